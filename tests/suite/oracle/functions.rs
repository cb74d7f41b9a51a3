//! What the functions of `torch` and `torch.nn.functional` are here.

use super::call::{Stop, Value, unsupported};
use std::collections::{HashMap, VecDeque};
use wgrad::Tensor;

/// The arguments of a call that are not taken yet.
#[derive(Default)]
pub struct Args {
    pub positional: VecDeque<Value>,
    pub named: HashMap<String, Value>,
}

impl Args {
    /// The next positional argument, else the one of that name, else none.
    fn next(&mut self, name: &str) -> Value {
        self.positional.pop_front().or_else(|| self.named.remove(name)).unwrap_or(Value::None)
    }

    fn tensor(&mut self) -> Result<Tensor, Stop> {
        match self.next("input") {
            Value::Tensor(x) => Ok(x),
            _ => unsupported("a call without a tensor"),
        }
    }

    fn int(&mut self, name: &str) -> Result<isize, Stop> {
        match self.next(name) {
            Value::Int(i) => Ok(i as isize),
            _ => unsupported(format!("a call without the integer {name}")),
        }
    }

    /// One integer or a list; `None` if it is left out.
    fn ints(&mut self, name: &str) -> Result<Option<Vec<isize>>, Stop> {
        match self.next(name) {
            Value::None => Ok(None),
            value => value.ints().map_or_else(|| unsupported(format!("integers as {name}")), |x| Ok(Some(x))),
        }
    }

    fn number(&mut self, name: &str, default: f64) -> Result<f64, Stop> {
        match self.next(name) {
            Value::None => Ok(default),
            Value::Int(x) => Ok(x as f64),
            Value::Float(x) => Ok(x),
            _ => unsupported(format!("{name} that is no number")),
        }
    }

    fn bound(&mut self, name: &str, open: f64) -> Result<Value, Stop> {
        match self.next(name) {
            Value::None => Ok(Value::Float(open)),
            Value::Tensor(_) => unsupported("tensors as bounds"),
            bound => Ok(bound),
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        matches!(self.next(name), Value::Bool(true))
    }
}

/// An expression in which an operand is a tensor or a number, as it comes.
macro_rules! operand {
    (|$x:ident| $y:expr, $value:expr) => {
        match $value {
            Value::Tensor($x) => $y,
            Value::Float($x) => $y,
            Value::Int(i) => {
                let $x = i as i32;
                $y
            }
            _ => return unsupported("an operand that is no number"),
        }
    };
}

/// An operator between two tensors, or a tensor and a number on either side.
macro_rules! operator {
    ($a:expr, $op:tt, $b:expr) => {
        match ($a, $b) {
            (Value::Tensor(a), b) => operand!(|b| &a $op b, b),
            (a, Value::Tensor(b)) => operand!(|a| a $op &b, a),
            _ => return unsupported("an operator without a tensor"),
        }
    };
}

/// What a function of `torch` or `torch.nn.functional` is here.
pub fn apply(function: &str, a: &mut Args) -> Result<Vec<Tensor>, Stop> {
    Ok(vec![match function {
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

        "sum" => match (a.tensor()?, a.ints("dim")?) {
            (x, None) => x.sum(),
            (x, Some(dims)) => x.sum_dim(dims, a.flag("keepdim")),
        },
        "mean" => match (a.tensor()?, a.ints("dim")?) {
            (x, None) => x.mean(),
            (x, Some(dims)) => x.mean_dim(dims, a.flag("keepdim")),
        },
        "amax" => a.tensor()?.amax(a.ints("dim")?.unwrap_or_default(), a.flag("keepdim")),
        "amin" => a.tensor()?.amin(a.ints("dim")?.unwrap_or_default(), a.flag("keepdim")),
        "max" | "min" => {
            let (x, dim) = (a.tensor()?, a.next("dim"));
            let (values, indices) = match (function, dim) {
                ("max", Value::None) => return Ok(vec![x.max()]),
                (_, Value::None) => return Ok(vec![x.min()]),
                ("max", Value::Int(dim)) => x.max_dim(dim as isize, a.flag("keepdim")),
                (_, Value::Int(dim)) => x.min_dim(dim as isize, a.flag("keepdim")),
                _ => return unsupported("max of two tensors"),
            };
            return Ok(vec![values, indices]);
        }
        "argmax" => a.tensor()?.argmax(a.ints("dim")?.map(|dims| dims[0]), a.flag("keepdim")),
        "argmin" => a.tensor()?.argmin(a.ints("dim")?.map(|dims| dims[0]), a.flag("keepdim")),
        "var" => match (a.tensor()?, a.ints("dim")?, a.named.remove("correction")) {
            (x, None, None) => x.var(1.0),
            (x, None, Some(Value::Int(n))) => x.var(n as f64),
            (x, Some(dims), Some(Value::Int(n))) => x.var_dim(dims, n as f64, a.flag("keepdim")),
            (x, Some(dims), None) => x.var_dim(dims, 1.0, a.flag("keepdim")),
            _ => return unsupported("var with such a correction"),
        },
        "norm" => {
            let (x, p) = (a.tensor()?, a.next("p"));
            let p = match p {
                Value::None => 2.0,
                Value::Text(p) if p == "fro" => 2.0,
                Value::Int(p) => p as f64,
                Value::Float(p) => p,
                _ => return unsupported("a norm that is no p-norm"),
            };
            match a.ints("dim")? {
                None if p == 2.0 => x.norm(),
                dims => x.norm_dim(p, dims.unwrap_or_default(), a.flag("keepdim")),
            }
        }

        "mm" | "mv" | "dot" | "bmm" | "matmul" => a.tensor()?.matmul(&a.tensor()?),
        "softmax" => a.tensor()?.softmax(a.int("dim")?),
        "log_softmax" => a.tensor()?.log_softmax(a.int("dim")?),
        "cross_entropy" => {
            let (x, t) = (a.tensor()?, a.tensor()?);
            if t.dtype().is_float() {
                return unsupported("probabilities as targets");
            }
            match a.named.remove("reduction") {
                None => x.cross_entropy(&t),
                Some(Value::Text(how)) if how == "mean" => x.cross_entropy(&t),
                Some(Value::Text(how)) if how == "sum" => cross_entropies(&x, &t)?.sum(),
                _ => cross_entropies(&x, &t)?,
            }
        }

        "reshape" => a.tensor()?.reshape(shape(a, "shape")?),
        "flatten" => a.tensor()?.flatten(a.number("start_dim", 0.0)? as isize, a.number("end_dim", -1.0)? as isize),
        "permute" => a.tensor()?.permute(shape(a, "dims")?),
        "transpose" => a.tensor()?.transpose(a.int("dim0")?, a.int("dim1")?),
        "t" => a.tensor()?.t(),
        "expand" | "broadcast_to" => a.tensor()?.expand(shape(a, "size")?),
        "narrow" => a.tensor()?.narrow(a.int("dim")?, a.int("start")? as usize, a.int("length")? as usize),
        "select" => a.tensor()?.select(a.int("dim")?, a.int("index")?),
        "flip" => a.tensor()?.flip(shape(a, "dims")?),
        "squeeze" => a.tensor()?.squeeze(a.ints("dim")?.unwrap_or_default()),
        "unsqueeze" => a.tensor()?.unsqueeze(a.int("dim")?),
        "cat" => Tensor::cat(&a.next("tensors").tensors()?, a.number("dim", 0.0)? as isize),
        "stack" => Tensor::stack(&a.next("tensors").tensors()?, a.number("dim", 0.0)? as isize),
        "gather" => a.tensor()?.gather(a.int("dim")?, &a.tensor()?),
        "index_select" => a.tensor()?.index_select(a.int("dim")?, &a.tensor()?),
        "scatter_add" => a.tensor()?.scatter_add(a.int("dim")?, &a.tensor()?, &a.tensor()?),
        _ => return unsupported(function),
    }])
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

fn shape(a: &mut Args, name: &str) -> Result<Vec<isize>, Stop> {
    a.ints(name)?.map_or_else(|| unsupported(format!("a call without {name}")), Ok)
}

/// The cross entropy of every target by itself: wgrad has only their mean.
fn cross_entropies(x: &Tensor, t: &Tensor) -> Result<Tensor, Stop> {
    let classes = x.rank().min(2) as isize - 1;
    let counted = t.ne(-100);
    let index = Tensor::where_(&counted, t, 0).unsqueeze(classes);
    let picked = x.log_softmax(classes).gather(classes, &index).squeeze(classes);
    Ok(-Tensor::where_(&counted, picked, 0.0))
}
