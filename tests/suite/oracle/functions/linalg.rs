//! Products.

use super::{Answer, Args, one};

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
        "mm" | "mv" | "dot" | "bmm" | "matmul" => a.tensor()?.matmul(&a.tensor()?),
        _ => return Ok(None),
    })
}
