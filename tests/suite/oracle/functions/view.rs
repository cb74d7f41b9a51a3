//! Views and layout.

use super::{Answer, Args, one, shape};
use wgrad::Tensor;

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
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
        _ => return Ok(None),
    })
}
