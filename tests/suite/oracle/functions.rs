//! What the functions of `torch` and `torch.nn.functional` are here: one file per family.

mod conv;
mod create;
mod index;
mod linalg;
mod loss;
mod nn;
mod pointwise;
mod reduce;
mod view;

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
    pub fn next(&mut self, name: &str) -> Value {
        self.positional.pop_front().or_else(|| self.named.remove(name)).unwrap_or(Value::None)
    }

    pub fn tensor(&mut self) -> Result<Tensor, Stop> {
        match self.next("input") {
            Value::Tensor(x) => Ok(x),
            _ => unsupported("a call without a tensor"),
        }
    }

    pub fn tensor_named(&mut self, name: &str) -> Result<Tensor, Stop> {
        match self.next(name) {
            Value::Tensor(x) => Ok(x),
            _ => unsupported(format!("a call without the tensor {name}")),
        }
    }

    pub fn int(&mut self, name: &str) -> Result<isize, Stop> {
        match self.next(name) {
            Value::Int(i) => Ok(i as isize),
            _ => unsupported(format!("a call without the integer {name}")),
        }
    }

    pub fn int_or(&mut self, name: &str, default: isize) -> Result<isize, Stop> {
        match self.next(name) {
            Value::None => Ok(default),
            Value::Int(i) => Ok(i as isize),
            _ => unsupported(format!("{name} that is no integer")),
        }
    }

    /// One integer or a list; `None` if it is left out.
    pub fn ints(&mut self, name: &str) -> Result<Option<Vec<isize>>, Stop> {
        match self.next(name) {
            Value::None => Ok(None),
            value => value.ints().map_or_else(|| unsupported(format!("integers as {name}")), |x| Ok(Some(x))),
        }
    }

    pub fn number(&mut self, name: &str, default: f64) -> Result<f64, Stop> {
        match self.next(name) {
            Value::None => Ok(default),
            Value::Int(x) => Ok(x as f64),
            Value::Float(x) => Ok(x),
            Value::Bool(x) => Ok(x as u8 as f64),
            _ => unsupported(format!("{name} that is no number")),
        }
    }

    pub fn flag(&mut self, name: &str) -> bool {
        matches!(self.next(name), Value::Bool(true))
    }
}

/// An expression in which an operand is a tensor or a number, as it comes.
macro_rules! operand {
    (|$x:ident| $y:expr, $value:expr) => {
        match $value {
            Value::Tensor($x) => $y,
            Value::Float($x) => $y,
            Value::Bool($x) => $y,
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
            (Value::Float(a), Value::Tensor(b)) => a $op &b,
            (Value::Int(a), Value::Tensor(b)) => (a as i32) $op &b,
            _ => return unsupported("an operator without a tensor"),
        }
    };
}
pub(crate) use {operand, operator};

/// The results of a call; `None` where the function is of another family.
pub type Answer = Result<Option<Vec<Tensor>>, Stop>;

/// A call with one result.
pub fn one(y: Tensor) -> Answer {
    Ok(Some(vec![y]))
}

/// What a function of `torch` or `torch.nn.functional` is here.
pub fn apply(function: &str, a: &mut Args) -> Result<Vec<Tensor>, Stop> {
    let families = [
        pointwise::call,
        create::call,
        reduce::call,
        linalg::call,
        view::call,
        index::call,
        conv::call,
        nn::call,
        loss::call,
    ];
    for call in families {
        if let Some(results) = call(function, a)? {
            return Ok(results);
        }
    }
    unsupported(function)
}

/// A list of sizes or dimensions.
pub fn shape(a: &mut Args, name: &str) -> Result<Vec<isize>, Stop> {
    a.ints(name)?.map_or_else(|| unsupported(format!("a call without {name}")), Ok)
}
