//! Modules as functions of their parameters.

use crate::error::{Result, misuse};
use crate::nn::Module;
use crate::state::StateDict;
use crate::tensor::Tensor;

/// Puts tensors back where others stand in their place.
struct Restore<'m, M: Module> {
    net: &'m mut M,
    tensors: Vec<Tensor>,
}

impl<M: Module> Drop for Restore<'_, M> {
    fn drop(&mut self) {
        let mut tensors = self.tensors.drain(..);
        // What was not replaced yet stays.
        let _ = self.net.map(&mut |x| Ok(tensors.next().unwrap_or_else(|| x.clone())));
    }
}

/// What `f` gives for a module whose parameters and buffers of these names are other tensors meanwhile, with the history that
/// they have: so that a transform can differentiate by them, or a batch have its own for each element.
///
/// ```
/// use std::sync::Mutex;
/// use wgrad::nn::{Layer, Linear, Module, functional_call};
/// use wgrad::{Device, Tensor, func};
/// let dev = Device::cpu();
/// let net = Mutex::new(Linear::new(2, 1, &dev));
/// let (names, values): (Vec<_>, Vec<_>) = net.lock().unwrap().named_parameters().into_iter().unzip();
/// let loss = |values: &Vec<Tensor>, x: &Tensor| {
///     let tensors = names.iter().cloned().zip(values.iter().cloned()).collect();
///     functional_call(&mut *net.lock().unwrap(), &tensors, |net| net.forward(x).sum())
/// };
/// // The gradients of each sample by every parameter.
/// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev);
/// let per_sample = func::vmap(|x: &Tensor| func::grad(|values: &Vec<Tensor>| loss(values, x))(&values), 0, 0)(&x)?;
/// assert_eq!(per_sample[0].reshape([2, 2]).to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Panics
/// If the module has no parameter or buffer of a name, or of another shape.
///
/// Source: [torch.func.functional_call](https://docs.pytorch.org/docs/stable/generated/torch.func.functional_call.html).
#[track_caller]
pub fn functional_call<M: Module, R>(net: &mut M, tensors: &StateDict, f: impl FnOnce(&M) -> R) -> R {
    let mut named = net.named_parameters();
    named.extend(net.named_buffers());
    let mut pairs = Vec::with_capacity(tensors.len());
    for (name, new) in tensors {
        let Some((_, old)) = named.iter().find(|(other, _)| other == name) else {
            misuse("functional_call", format!("the module has no parameter or buffer {name}"));
        };
        if old.shape() != new.shape() {
            let shapes = (new.shape(), old.shape());
            misuse("functional_call", format!("{name} is of shape {:?}, not {:?}", shapes.1, shapes.0));
        }
        pairs.push((old, new));
    }
    let mut all = Restore { net, tensors: Vec::new() };
    let Restore { net, tensors } = &mut all;
    let swapped: Result<()> = net.map(&mut |x| {
        tensors.push(x.clone());
        Ok(pairs.iter().find(|(old, _)| old.is_same(x)).map_or_else(|| x.clone(), |(_, new)| (*new).clone()))
    });
    swapped.expect("nothing here fails");
    f(net)
}
