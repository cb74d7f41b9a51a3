//! Reductions, statistics and scans.

use super::super::call::{Value, unsupported};
use super::{Answer, Args, one};

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
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
                ("max", Value::None) => return one(x.max()),
                (_, Value::None) => return one(x.min()),
                ("max", Value::Int(dim)) => x.max_dim(dim as isize, a.flag("keepdim")),
                (_, Value::Int(dim)) => x.min_dim(dim as isize, a.flag("keepdim")),
                _ => return unsupported("max of two tensors"),
            };
            return Ok(Some(vec![values, indices]));
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
        _ => return Ok(None),
    })
}
