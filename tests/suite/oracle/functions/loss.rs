//! Losses.

use super::super::call::{Stop, Value, unsupported};
use super::{Answer, Args, one};
use wgrad::Tensor;

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
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
        _ => return Ok(None),
    })
}

/// The cross entropy of every target by itself: wgrad has only their mean.
fn cross_entropies(x: &Tensor, t: &Tensor) -> Result<Tensor, Stop> {
    let classes = x.rank().min(2) as isize - 1;
    let counted = t.ne(-100);
    let index = Tensor::where_(&counted, t, 0).unsqueeze(classes);
    let picked = x.log_softmax(classes).gather(classes, &index).squeeze(classes);
    Ok(-Tensor::where_(&counted, picked, 0.0))
}
