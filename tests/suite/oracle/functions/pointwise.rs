//! Scalar functions, comparisons and choices.

use super::super::call::{Stop, Value, unsupported};
use super::{Answer, Args, one, operand, operator};
use wgrad::{Arg, DType, Tensor};

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
        "abs" => a.tensor()?.abs(),
        "acos" => a.tensor()?.acos(),
        "acosh" => a.tensor()?.acosh(),
        "angle" => a.tensor()?.angle(),
        "asin" => a.tensor()?.asin(),
        "asinh" => a.tensor()?.asinh(),
        "atan" => a.tensor()?.atan(),
        "atanh" => a.tensor()?.atanh(),
        "bitwise_not" => a.tensor()?.bitwise_not(),
        "ceil" => a.tensor()?.ceil(),
        "cos" => a.tensor()?.cos(),
        "cosh" => a.tensor()?.cosh(),
        "deg2rad" => a.tensor()?.deg2rad(),
        "digamma" => a.tensor()?.digamma(),
        "entr" => a.tensor()?.entr(),
        "erf" => a.tensor()?.erf(),
        "erfc" => a.tensor()?.erfc(),
        "erfinv" => a.tensor()?.erfinv(),
        "exp" => a.tensor()?.exp(),
        "exp2" => a.tensor()?.exp2(),
        "expm1" => a.tensor()?.expm1(),
        "floor" => a.tensor()?.floor(),
        "frac" => a.tensor()?.frac(),
        "isfinite" => a.tensor()?.isfinite(),
        "isinf" => a.tensor()?.isinf(),
        "isnan" => a.tensor()?.isnan(),
        "isneginf" => a.tensor()?.isneginf(),
        "isposinf" => a.tensor()?.isposinf(),
        "lgamma" => a.tensor()?.lgamma(),
        "log" => a.tensor()?.log(),
        "log10" => a.tensor()?.log10(),
        "log1p" => a.tensor()?.log1p(),
        "log2" => a.tensor()?.log2(),
        "logical_not" => a.tensor()?.logical_not(),
        "ndtr" => a.tensor()?.ndtr(),
        "neg" => -a.tensor()?,
        "positive" => a.tensor()?.positive(),
        "rad2deg" => a.tensor()?.rad2deg(),
        "reciprocal" => a.tensor()?.reciprocal(),
        "rsqrt" => a.tensor()?.rsqrt(),
        "sgn" => a.tensor()?.sgn(),
        "sign" => a.tensor()?.sign(),
        "signbit" => a.tensor()?.signbit(),
        "sin" => a.tensor()?.sin(),
        "sinc" => a.tensor()?.sinc(),
        "sinh" => a.tensor()?.sinh(),
        "sqrt" => a.tensor()?.sqrt(),
        "square" => a.tensor()?.square(),
        "tan" => a.tensor()?.tan(),
        "tanh" => a.tensor()?.tanh(),
        "trunc" => a.tensor()?.trunc(),
        "logit" => {
            let x = a.tensor()?;
            x.logit(optional(a, "eps")?)
        }
        "polygamma" => {
            let n = a.int("n")? as usize;
            a.tensor()?.polygamma(n)
        }
        "round" => {
            let x = a.tensor()?;
            x.round_to(a.number("decimals", 0.0)? as i32)
        }
        "nan_to_num" => {
            let (x, nan) = (a.tensor()?, a.number("nan", 0.0)?);
            x.nan_to_num(nan, optional(a, "posinf")?, optional(a, "neginf")?)
        }
        "clamp" | "clip" => {
            let (x, low, high) = (a.tensor()?, a.next("min"), a.next("max"));
            match (low, high) {
                (Value::None, high) => x.clamp_max(arg(high)?),
                (low, Value::None) => x.clamp_min(arg(low)?),
                (low, high) => x.clamp(arg(low)?, arg(high)?),
            }
        }
        "clamp_min" => {
            let x = a.tensor()?;
            x.clamp_min(arg(a.next("min"))?)
        }
        "clamp_max" => {
            let x = a.tensor()?;
            x.clamp_max(arg(a.next("max"))?)
        }
        "where" => {
            let (c, x, y) = (a.tensor()?, a.next("self"), a.next("other"));
            Tensor::where_(&c, arg(x)?, arg(y)?)
        }
        _ => match two(function, a)? {
            Some(y) => y,
            None => match activation(function, a)? {
                Some(y) => y,
                None => return Ok(None),
            },
        },
    })
}

/// Functions of two or three operands.
fn two(function: &str, a: &mut Args) -> Result<Option<Tensor>, Stop> {
    Ok(Some(match function {
        "add" => operator!(a.next("input"), +, scaled(a)?),
        "sub" => operator!(a.next("input"), -, scaled(a)?),
        "rsub" => {
            let (x, y) = (a.tensor()?, a.next("other"));
            let x = match a.named.remove("alpha") {
                None => x,
                Some(alpha) => operator!(Value::Tensor(x), *, alpha),
            };
            x.rsub(arg(y)?)
        }
        "mul" => operator!(a.next("input"), *, a.next("other")),
        "div" | "true_divide" => {
            let (x, y) = (a.next("input"), a.next("other"));
            match a.named.remove("rounding_mode") {
                None | Some(Value::None) => operator!(x, /, y),
                Some(Value::Text(mode)) if mode == "floor" => tensor(x, &y)?.div_floor(arg(y)?),
                Some(Value::Text(mode)) if mode == "trunc" => tensor(x, &y)?.div_trunc(arg(y)?),
                _ => return unsupported("this rounding mode"),
            }
        }
        "remainder" => operator!(a.next("input"), %, a.next("other")),
        "bitwise_and" => operator!(a.next("input"), &, a.next("other")),
        "bitwise_or" => operator!(a.next("input"), |, a.next("other")),
        "bitwise_xor" => operator!(a.next("input"), ^, a.next("other")),
        "bitwise_left_shift" => operator!(a.next("input"), <<, a.next("other")),
        "bitwise_right_shift" => operator!(a.next("input"), >>, a.next("other")),
        "pow" => match (a.next("input"), a.next("exponent")) {
            (Value::Tensor(x), y) => x.pow(arg(y)?),
            (x, Value::Tensor(y)) => y.rpow(arg(x)?),
            _ => return unsupported("a power without a tensor"),
        },
        "isclose" => {
            let (x, y) = (a.tensor()?, a.tensor_named("other")?);
            let (rtol, atol) = (a.number("rtol", 1e-5)?, a.number("atol", 1e-8)?);
            x.isclose(&y, rtol, atol, a.flag("equal_nan"))
        }
        "ldexp" => {
            let x = a.tensor()?;
            x.ldexp(&a.tensor_named("other")?)
        }
        "lerp" => {
            let (x, end) = (a.tensor()?, a.tensor_named("end")?);
            x.lerp(&end, arg(a.next("weight"))?)
        }
        "addcmul" | "addcdiv" => {
            let (x, y, z) = (a.tensor()?, a.tensor_named("tensor1")?, a.tensor_named("tensor2")?);
            let value = match a.next("value") {
                Value::None => Arg::from(1),
                value => arg(value)?,
            };
            if function == "addcmul" { x.addcmul(&y, &z, value) } else { x.addcdiv(&y, &z, value) }
        }
        _ => {
            let f: fn(&Tensor, Arg) -> Tensor = match function {
                "atan2" => |x, y| x.atan2(y),
                "copysign" => |x, y| x.copysign(y),
                "eq" => |x, y| x.eq(y),
                "float_power" => |x, y| x.float_power(y),
                "floor_divide" => |x, y| x.floor_divide(y),
                "fmax" => |x, y| x.fmax(y),
                "fmin" => |x, y| x.fmin(y),
                "fmod" => |x, y| x.fmod(y),
                "gcd" => |x, y| x.gcd(y),
                "ge" => |x, y| x.ge(y),
                "gt" => |x, y| x.gt(y),
                "heaviside" => |x, y| x.heaviside(y),
                "hypot" => |x, y| x.hypot(y),
                "lcm" => |x, y| x.lcm(y),
                "le" => |x, y| x.le(y),
                "logaddexp" => |x, y| x.logaddexp(y),
                "logaddexp2" => |x, y| x.logaddexp2(y),
                "logical_and" => |x, y| x.logical_and(y),
                "logical_or" => |x, y| x.logical_or(y),
                "logical_xor" => |x, y| x.logical_xor(y),
                "lt" => |x, y| x.lt(y),
                "maximum" => |x, y| x.maximum(y),
                "minimum" => |x, y| x.minimum(y),
                "ne" => |x, y| x.ne(y),
                "xlog1py" => |x, y| x.xlog1py(y),
                "xlogy" => |x, y| x.xlogy(y),
                _ => return Ok(None),
            };
            let (x, y) = (a.next("input"), a.next("other"));
            f(&tensor(x, &y)?, arg(y)?)
        }
    }))
}

/// Activations, with PyTorch's own settings where none are given.
fn activation(function: &str, a: &mut Args) -> Result<Option<Tensor>, Stop> {
    const NAMES: &[&str] = &[
        "celu",
        "elu",
        "gelu",
        "glu",
        "hardshrink",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "logsigmoid",
        "mish",
        "prelu",
        "relu",
        "relu6",
        "rrelu",
        "selu",
        "sigmoid",
        "silu",
        "softplus",
        "softshrink",
        "softsign",
        "tanhshrink",
        "threshold",
    ];
    if !NAMES.contains(&function) {
        return Ok(None);
    }
    let x = a.tensor()?;
    Ok(Some(match function {
        "celu" => x.celu(a.number("alpha", 1.0)?),
        "elu" => x.elu(a.number("alpha", 1.0)?),
        "gelu" => match a.next("approximate") {
            Value::Text(way) if way == "tanh" => x.gelu_tanh(),
            _ => x.gelu(),
        },
        "glu" => match a.next("dim") {
            Value::Int(dim) => x.glu(dim as isize),
            _ => x.glu(-1),
        },
        "hardshrink" => x.hardshrink(a.number("lambd", 0.5)?),
        "hardsigmoid" => x.hardsigmoid(),
        "hardswish" => x.hardswish(),
        "hardtanh" => x.hardtanh(a.number("min_val", -1.0)?, a.number("max_val", 1.0)?),
        "leaky_relu" => x.leaky_relu(a.number("negative_slope", 0.01)?),
        "logsigmoid" => x.logsigmoid(),
        "mish" => x.mish(),
        "prelu" => x.prelu(&a.tensor_named("weight")?),
        "relu" => x.relu(),
        "relu6" => x.relu6(),
        "rrelu" => x.rrelu(a.number("lower", 1.0 / 8.0)?, a.number("upper", 1.0 / 3.0)?, a.flag("training")),
        "selu" => x.selu(),
        "sigmoid" => x.sigmoid(),
        "silu" => x.silu(),
        "softplus" => x.softplus_with(a.number("beta", 1.0)?, a.number("threshold", 20.0)?),
        "softshrink" => x.softshrink(a.number("lambd", 0.5)?),
        "softsign" => x.softsign(),
        "tanhshrink" => x.tanhshrink(),
        "threshold" => x.threshold(a.number("threshold", 0.0)?, a.number("value", 0.0)?),
        _ => return unsupported(function),
    }))
}

/// An operand: a tensor or a number.
fn arg(value: Value) -> Result<Arg, Stop> {
    Ok(match value {
        Value::Tensor(x) => x.into(),
        Value::Float(x) => x.into(),
        Value::Int(i) => i.into(),
        Value::Bool(x) => x.into(),
        _ => return unsupported("an operand that is no number"),
    })
}

/// The first operand as a tensor; a number beside a tensor is a 0-d one.
fn tensor(x: Value, beside: &Value) -> Result<Tensor, Stop> {
    match (x, beside) {
        (Value::Tensor(x), _) => Ok(x),
        (Value::Float(x), Value::Tensor(y)) => Ok(Tensor::full((), x, &y.device())),
        (Value::Int(i), Value::Tensor(y)) => Ok(Tensor::full((), i as f64, (&y.device(), DType::I32))),
        _ => unsupported("an operation without a tensor"),
    }
}

/// A number that may be left out.
fn optional(a: &mut Args, name: &str) -> Result<Option<f64>, Stop> {
    match a.next(name) {
        Value::None => Ok(None),
        Value::Int(x) => Ok(Some(x as f64)),
        Value::Float(x) => Ok(Some(x)),
        _ => unsupported(format!("{name} that is no number")),
    }
}

/// The other operand of a sum or difference, times `alpha` where that is given.
fn scaled(a: &mut Args) -> Result<Value, Stop> {
    Ok(match (a.next("other"), a.named.remove("alpha")) {
        (other, None | Some(Value::None)) => other,
        (other, Some(alpha)) => Value::Tensor(operator!(other, *, alpha)),
    })
}
