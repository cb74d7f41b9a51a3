//! Scalar functions, comparisons and choices.

use super::super::call::{Stop, Value, unsupported};
use super::{Answer, Args, one, operand, operator};
use wgrad::Tensor;

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
        "neg" => -a.tensor()?,
        "abs" => a.tensor()?.abs(),
        "sign" => a.tensor()?.sign(),
        "exp" => a.tensor()?.exp(),
        "log" => a.tensor()?.ln(),
        "sqrt" => a.tensor()?.sqrt(),
        "square" => a.tensor()?.pow(2.0),
        "sin" => a.tensor()?.sin(),
        "cos" => a.tensor()?.cos(),
        "tanh" => a.tensor()?.tanh(),
        "sigmoid" => a.tensor()?.sigmoid(),
        "relu" => a.tensor()?.relu(),
        "reciprocal" => a.tensor()?.reciprocal(),
        "floor" => a.tensor()?.floor(),
        "ceil" => a.tensor()?.ceil(),
        "round" => a.tensor()?.round(),
        "isnan" => a.tensor()?.is_nan(),
        "logical_not" => a.tensor()?.logical_not(),
        "clamp" => {
            let (x, low, high) = (a.tensor()?, a.bound("min", f64::NEG_INFINITY)?, a.bound("max", f64::INFINITY)?);
            operand!(|low| operand!(|high| x.clamp(low, high), high), low)
        }

        "add" => operator!(a.next("input"), +, scaled(a)?),
        "sub" => operator!(a.next("input"), -, scaled(a)?),
        "rsub" => {
            let (x, y) = (a.next("input"), scaled(a)?);
            operator!(y, -, x)
        }
        "mul" => operator!(a.next("input"), *, a.next("other")),
        "div" => operator!(a.next("input"), /, a.next("other")),
        "pow" => match (a.next("input"), a.next("exponent")) {
            (Value::Tensor(x), y) => operand!(|y| x.pow(y), y),
            (Value::Float(x), Value::Tensor(y)) => Tensor::full((), x, &y.device()).pow(y),
            (Value::Int(x), Value::Tensor(y)) => Tensor::full((), x, &y.device()).pow(y),
            _ => return unsupported("a power without a tensor"),
        },
        "maximum" => operand!(|b| a.tensor()?.maximum(b), second(a)),
        "minimum" => operand!(|b| a.tensor()?.minimum(b), second(a)),
        "eq" => operand!(|b| a.tensor()?.eq(b), second(a)),
        "ne" => operand!(|b| a.tensor()?.ne(b), second(a)),
        "lt" => operand!(|b| a.tensor()?.lt(b), second(a)),
        "le" => operand!(|b| a.tensor()?.le(b), second(a)),
        "gt" => operand!(|b| a.tensor()?.gt(b), second(a)),
        "ge" => operand!(|b| a.tensor()?.ge(b), second(a)),
        "logical_and" => a.tensor()?.logical_and(a.tensor()?),
        "logical_or" => a.tensor()?.logical_or(a.tensor()?),
        "where" => {
            let (c, x, y) = (a.tensor()?, a.next("self"), a.next("other"));
            operand!(|x| operand!(|y| Tensor::where_(&c, x, y), y), x)
        }
        _ => return Ok(None),
    })
}

/// The other operand of a sum or difference, times `alpha` where that is given.
fn scaled(a: &mut Args) -> Result<Value, Stop> {
    Ok(match (a.next("other"), a.named.remove("alpha")) {
        (other, None) => other,
        (other, Some(alpha)) => Value::Tensor(operator!(other, *, alpha)),
    })
}

/// The second argument, the first being left for later.
fn second(a: &mut Args) -> Value {
    a.positional.remove(1).or_else(|| a.named.remove("other")).unwrap_or(Value::None)
}
