//! What a run has learned, by name: the one form in which models, optimizers, schedulers and random
//! numbers give and take their state.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::random::Stream;
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

/// The entries whose names begin so.
pub(crate) fn below<'a>(state: &'a StateDict, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Tensor)> {
    state.range(prefix.to_string()..).take_while(move |(key, _)| key.starts_with(prefix))
}

/// An entry on a tensor's device, in its type: cast where there is that type.
pub(crate) fn as_in(entry: &Tensor, x: &Tensor) -> Result<Tensor> {
    let entry = entry.untracked();
    let here = if entry.device().supports(x.dtype()) { entry.cast(x.dtype()) } else { entry };
    Ok(here.to_device(&x.device())?.cast(x.dtype()))
}

impl Device {
    /// Where the device's random numbers are: four words that [`Device::set_rng_state`] takes, a `U32` tensor on the CPU.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let state = dev.rng_state();
    /// let a = Tensor::rand([3], &dev).to_vec::<f32>()?;
    /// dev.set_rng_state(&state)?;
    /// assert_eq!(a, Tensor::rand([3], &dev).to_vec::<f32>()?);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn rng_state(&self) -> Tensor {
        let Stream { seed, stream } = self.stream();
        words([seed, stream])
    }

    /// Lets the device's random numbers go on from a state.
    ///
    /// # Errors
    /// If the tensor is no such state, or cannot be read.
    pub fn set_rng_state(&self, state: &Tensor) -> Result<()> {
        let [seed, stream] = from_words(state)?;
        self.set_stream(Stream { seed, stream });
        Ok(())
    }
}

/// Two numbers as four words, the lower ones first.
pub(crate) fn words([a, b]: [u64; 2]) -> Tensor {
    Tensor::from_slice(&[a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32], [4], (&Device::cpu(), DType::U32))
}

/// The numbers of [`words`].
pub(crate) fn from_words(x: &Tensor) -> Result<[u64; 2]> {
    match x.to_vec::<u32>()?[..] {
        [a, b, c, d] => Ok([a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32]),
        _ => Err(Error::new(Kind::Data, format!("four words were expected, not a tensor of shape {:?}", x.shape()))),
    }
}
