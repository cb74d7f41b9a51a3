//! Reverse mode: gradients, and products of vectors with Jacobians.

use super::trace::Trace;
use super::tree::{Outcome, Tree};
use crate::error::{Error, Kind, Result};
use crate::tensor::Tensor;

/// The function that gives the gradient of a function with a 0-d result, with respect to all tensors it takes.
///
/// ```
/// use wgrad::{Device, Tensor, func::grad};
/// let x = Tensor::new(1.0, &Device::cpu());
/// let second = grad(grad(|x: &Tensor| x.sin()));
/// assert!((second(&x)?.item()? + 1.0_f64.sin()).abs() < 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the function does not give one 0-d tensor, or gives an error itself.
///
/// # Panics
/// If an input holds no floats.
///
/// Source: [torch.func.grad](https://docs.pytorch.org/docs/stable/generated/torch.func.grad.html).
pub fn grad<A: Tree, R: Outcome<Tree = Tensor>>(f: impl Fn(&A) -> R) -> impl Fn(&A) -> Result<A> {
    move |x| {
        let trace = Trace::of("grad", &f, x)?;
        trace.pull(&[trace.scalar("grad")?], false)
    }
}

/// The function that gives the value of a function with a 0-d result and its gradient.
///
/// ```
/// use wgrad::{Device, Tensor, func::value_and_grad};
/// let (y, g) = value_and_grad(|x: &Tensor| x.square().sum())(&Tensor::new([1.0, 2.0], &Device::cpu()))?;
/// assert_eq!(y.item()?, 5.0);
/// assert_eq!(g.to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`grad`].
///
/// # Panics
/// As [`grad`].
///
/// Source: [torch.func.grad_and_value](https://docs.pytorch.org/docs/stable/generated/torch.func.grad_and_value.html).
pub fn value_and_grad<A: Tree, R: Outcome<Tree = Tensor>>(f: impl Fn(&A) -> R) -> impl Fn(&A) -> Result<(Tensor, A)> {
    move |x| {
        let trace = Trace::of("value_and_grad", &f, x)?;
        let g = trace.pull(&[trace.scalar("value_and_grad")?], false)?;
        Ok((trace.value(), g))
    }
}

/// [`value_and_grad`] of a function that gives other tensors beside the one to be differentiated: the first of the pair is
/// what is differentiated, the second is given back as it is.
///
/// ```
/// use wgrad::{Device, Tensor, func::value_and_grad_aux};
/// let f = |x: &Tensor| (x.square().sum(), x * 2.0);
/// let ((y, twice), g) = value_and_grad_aux(f)(&Tensor::new([1.0, 2.0], &Device::cpu()))?;
/// assert_eq!((y.item()?, twice.to_vec::<f32>()?, g.to_vec::<f32>()?), (5.0, vec![2.0, 4.0], vec![2.0, 4.0]));
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`grad`].
///
/// # Panics
/// As [`grad`].
pub fn value_and_grad_aux<A: Tree, B: Tree, R: Outcome<Tree = (Tensor, B)>>(
    f: impl Fn(&A) -> R,
) -> impl Fn(&A) -> Result<((Tensor, B), A)> {
    move |x| {
        let trace = Trace::of("value_and_grad_aux", &f, x)?;
        let (y, aux) = trace.value();
        if y.rank() != 0 {
            let shape = y.shape();
            return Err(Error::new(
                Kind::Graph,
                format!("value_and_grad_aux: wants a 0-d tensor, not shape {shape:?}"),
            ));
        }
        let nothing = aux.tensors().into_iter().map(|aux| aux.zeros_like());
        let g = trace.pull(&[y.ones_like()].into_iter().chain(nothing).collect::<Vec<_>>(), false)?;
        Ok(((y, aux), g))
    }
}

/// The value `y = f(x)`, and the function that gives `vᵀ J` for any `v` of the structure of `y`, however often.
///
/// ```
/// use wgrad::{Device, Tensor, func::vjp};
/// let dev = Device::cpu();
/// let (y, pull) = vjp(|x: &Tensor| x.square(), &Tensor::new([1.0, 2.0, 3.0], &dev))?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 4.0, 9.0]);
/// assert_eq!(pull(&Tensor::new([1.0, 0.0, 2.0], &dev))?.to_vec::<f32>()?, [2.0, 0.0, 12.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the function gives an error.
///
/// # Panics
/// If an input holds no floats; the function given, if `v` is not of the shape of `y`, or no float.
///
/// Source: [torch.func.vjp](https://docs.pytorch.org/docs/stable/generated/torch.func.vjp.html).
#[track_caller]
#[allow(clippy::type_complexity, reason = "a closure's type has no other name")]
pub fn vjp<A: Tree, R: Outcome, F: Fn(&A) -> R>(
    f: F,
    x: &A,
) -> Result<(R::Tree, impl Fn(&R::Tree) -> Result<A> + use<A, R, F>)> {
    let trace = Trace::of("vjp", &f, x)?;
    Ok((trace.value(), move |v: &R::Tree| trace.pull(&v.tensors(), true)))
}
