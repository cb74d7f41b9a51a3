//! Forward mode: products of Jacobians with vectors.

use super::trace::{Trace, alike};
use super::tree::{Outcome, Tree};
use crate::autograd::engine::{Goal, Walk};
use crate::autograd::forward_ad::{enter, with_tangent, without_tangent};
use crate::error::{Result, misuse};
use crate::tensor::Tensor;
use crate::tensor::mode::{is_grad_enabled, recording};
use crate::tensor::node::next_order;

/// The value `f(x)` and its tangent `J t`, in one run of the function. Levels of forward mode nest.
///
/// ```
/// use wgrad::{Device, Tensor, func::jvp};
/// let dev = Device::cpu();
/// let (x, t) = (Tensor::new([1.0, 2.0], &dev), Tensor::new([1.0, -1.0], &dev));
/// let (y, tangent) = jvp(|x: &Tensor| x.square(), &x, &t)?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 4.0]);
/// assert_eq!(tangent.to_vec::<f32>()?, [2.0, -4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the function gives an error.
///
/// # Panics
/// If the tangents are not of the shapes of the inputs, or either hold no floats.
///
/// Source: [torch.func.jvp](https://docs.pytorch.org/docs/stable/generated/torch.func.jvp.html).
#[track_caller]
pub fn jvp<A: Tree, R: Outcome>(f: impl Fn(&A) -> R, x: &A, t: &A) -> Result<(R::Tree, R::Tree)> {
    let inputs = x.tensors();
    let tangents = alike("jvp", "the tangent", &inputs, &t.tensors());
    if let Some(x) = inputs.iter().find(|x| !x.dtype().is_float()) {
        misuse("jvp", format!("only floats have tangents, not {} of shape {:?}", x.dtype(), x.shape()));
    }
    let level = enter();
    let mut duals = Vec::new();
    for (x, t) in inputs.iter().zip(&tangents) {
        duals.push(with_tangent(x, t, level.id()));
    }
    let y = f(&x.with(&mut duals.into_iter())).outcome()?;
    let (mut values, mut tangents) = (Vec::new(), Vec::new());
    for y in y.tensors() {
        let (value, tangent) = without_tangent(&y, level.id());
        tangents.push(tangent.unwrap_or_else(|| value.zeros_like()));
        values.push(value);
    }
    Ok((y.with(&mut values.into_iter()), y.with(&mut tangents.into_iter())))
}

/// The value `f(x)`, and the function that gives `J t` for any tangent `t`, however often, without running `f` again.
///
/// ```
/// use wgrad::{Device, Tensor, func::linearize};
/// let dev = Device::cpu();
/// let (_, push) = linearize(|x: &Tensor| x.square(), &Tensor::new([1.0, 2.0], &dev))?;
/// assert_eq!(push(&Tensor::new([1.0, 0.0], &dev))?.to_vec::<f32>()?, [2.0, 0.0]);
/// assert_eq!(push(&Tensor::new([0.0, 1.0], &dev))?.to_vec::<f32>()?, [0.0, 4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the function gives an error.
///
/// # Panics
/// If an input holds no floats; the function given, if `t` is not of the shapes of `x`, or no floats.
///
/// Source: [torch.func.linearize](https://docs.pytorch.org/docs/stable/generated/torch.func.linearize.html).
#[track_caller]
#[allow(clippy::type_complexity, reason = "a closure's type has no other name")]
pub fn linearize<A: Tree, R: Outcome, F: Fn(&A) -> R>(
    f: F,
    x: &A,
) -> Result<(R::Tree, impl Fn(&A) -> Result<R::Tree> + use<A, R, F>)> {
    let trace = Trace::of("linearize", &f, x)?;
    let y = trace.value();
    // `J t` is the transpose of `u ↦ uᵀ J`, which is linear: any `u` will do, and its own value is never computed.
    let since = next_order();
    let u: Vec<Tensor> =
        y.tensors().iter().map(|y| y.zeros_like().requires_grad_(y.dtype().is_float())).collect::<Result<_>>()?;
    let pulled = {
        let _recorded = recording();
        trace.pull(&u, true)?.tensors()
    };
    let (inputs, structure) = (x.tensors(), trace.value());
    let is_tracked = trace.is_tracked();
    let push = move |t: &A| {
        let tangents = alike("linearize", "the tangent", &inputs, &t.tensors());
        let edges: Vec<_> = u.iter().map(Tensor::gradient_edge).collect();
        let create_graph = is_grad_enabled() && (is_tracked || tangents.iter().any(Tensor::requires_grad));
        let roots = pulled.iter().zip(tangents).filter_map(|(y, t)| Some((y.gradient_edge()?, t))).collect();
        let pushed = Walk { create_graph, retain_graph: true, since }.run(roots, Goal::Collect(&edges))?;
        Ok(structure
            .with(&mut pushed.into_iter().zip(&u).map(|(y, u)| y.unwrap_or_else(|| u.untracked().zeros_like()))))
    };
    Ok((y, push))
}
