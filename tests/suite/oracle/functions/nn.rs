//! Activations over a dimension, normalisation, attention, recurrent layers.

use super::{Answer, Args, one};

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
        "softmax" => a.tensor()?.softmax(a.int("dim")?),
        "log_softmax" => a.tensor()?.log_softmax(a.int("dim")?),
        _ => return Ok(None),
    })
}
