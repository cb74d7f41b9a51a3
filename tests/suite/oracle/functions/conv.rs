//! Convolution, pooling, resampling.

use super::{Answer, Args};

pub fn call(_: &str, _: &mut Args) -> Answer {
    Ok(None)
}
