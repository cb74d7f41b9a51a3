//! What a run has learned, by name: the one form in which models, optimizers and schedulers give and take their state.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use std::collections::BTreeMap;

/// Tensors by name. Numbers, such as learning rates and step counts, are 0-d `F64` tensors on the CPU, so that they come
/// back to the last bit.
///
/// ```
/// use wgrad::{Device, Tensor, optim::Adam};
/// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
/// let state = Adam::new([&p], 0.1).state_dict();
/// assert_eq!(state["param_groups.0.lr"].item()?, 0.1);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub type StateDict = BTreeMap<String, Tensor>;

/// A number as an entry.
pub(crate) fn number(x: f64) -> Tensor {
    Tensor::full((), x, (&Device::cpu(), DType::F64))
}

/// The number under a name.
pub(crate) fn read_number(state: &StateDict, key: &str) -> Result<f64> {
    let entry = state.get(key).ok_or_else(|| Error::new(Kind::Data, format!("the state has no {key}")))?;
    if entry.numel() != 1 {
        let shape = entry.shape();
        return Err(Error::new(Kind::Data, format!("{key} is no number but a tensor of shape {shape:?}")));
    }
    entry.item()
}
