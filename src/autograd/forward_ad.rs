//! Forward mode: tensors with tangents, which every operation carries on from its inputs to its result.
//!
//! A tangent says how a tensor moves when something it follows from moves: `ẏ = J ẋ`, one column of the Jacobian for one
//! evaluation, where backward gives one row. Tangents live in a [`dual_level`], are independent of
//! [`no_grad`](super::no_grad), and are themselves part of the graph, so both modes combine in any order.
//!
//! ```
//! use wgrad::autograd::forward_ad::{dual_level, make_dual, unpack_dual};
//! use wgrad::{Device, Tensor};
//! let dev = Device::cpu();
//! let level = dual_level()?;
//! let x = make_dual(&Tensor::new([1.0, 2.0], &dev), &Tensor::new([1.0, 10.0], &dev))?;
//! let (y, tangent) = unpack_dual(&(&x * &x));
//! assert_eq!(y.to_vec::<f32>()?, [1.0, 4.0]);
//! assert_eq!(tangent.unwrap().to_vec::<f32>()?, [2.0, 40.0]);
//! drop(level);
//! assert!(unpack_dual(&x).1.is_none());
//! # Ok::<(), wgrad::Error>(())
//! ```

pub use crate::tensor::dual::DualLevel;

use crate::autograd::anomaly::set_detect_anomaly;
use crate::autograd::engine::{Goal, Walk};
use crate::error::{Error, Kind, Result, misuse};
use crate::tensor::Tensor;
use crate::tensor::dual::{below, levels};
use crate::tensor::mode::is_grad_enabled;

/// Lets tensors of this thread have tangents until the guard is dropped, which takes them away.
///
/// # Errors
/// If there is a level already: [`func::jvp`](crate::func::jvp) nests.
///
/// Source: [torch.autograd.forward_ad.dual_level](https://docs.pytorch.org/docs/stable/generated/torch.autograd.forward_ad.dual_level.html).
#[must_use = "tangents last only as long as the level: bind it to a name"]
pub fn dual_level() -> Result<DualLevel> {
    if !levels().is_empty() {
        return Err(Error::new(Kind::Graph, "dual_level: levels do not nest; func::jvp does"));
    }
    Ok(enter())
}

/// A view of a tensor that has a tangent. Changes in place of the view, and of views of it, carry the tangent on; those of
/// the tensor are seen by the view, and leave its tangent as it is.
///
/// # Errors
/// Outside of a level, and if the tensor has a tangent already.
///
/// # Panics
/// If shape or device of the tangent are not the tensor's, or either holds no floats. Between floats the tangent is converted.
///
/// Source: [torch.autograd.forward_ad.make_dual](https://docs.pytorch.org/docs/stable/generated/torch.autograd.forward_ad.make_dual.html).
#[track_caller]
pub fn make_dual(primal: &Tensor, tangent: &Tensor) -> Result<Tensor> {
    let tangent = expect_tangent("make_dual", primal, tangent);
    let Some(&level) = levels().last() else {
        return Err(Error::new(Kind::Graph, "make_dual: tensors have tangents only inside of a dual_level"));
    };
    if primal.tangent(level).is_some() {
        let shape = primal.shape();
        return Err(Error::new(Kind::Graph, format!("make_dual: the tensor of shape {shape:?} has a tangent already")));
    }
    Ok(with_tangent(primal, &tangent, level))
}

/// A view of a tensor without its tangent, and the tangent, if there is one: results of tensors without tangents have
/// none, and outside of a level nothing has.
///
/// Source: [torch.autograd.forward_ad.unpack_dual](https://docs.pytorch.org/docs/stable/generated/torch.autograd.forward_ad.unpack_dual.html).
#[track_caller]
pub fn unpack_dual(x: &Tensor) -> (Tensor, Option<Tensor>) {
    match levels().last() {
        Some(&level) => without_tangent(x, level),
        None => (x.view_as_itself(), None),
    }
}

/// Begins a level inside those there are.
pub(crate) fn enter() -> DualLevel {
    DualLevel::enter(transpose)
}

/// The tangent in the type of the tensor. Panics if it does not fit.
#[track_caller]
pub(crate) fn expect_tangent(op: &str, primal: &Tensor, tangent: &Tensor) -> Tensor {
    primal.expect_same_device(op, tangent);
    if primal.shape() != tangent.shape() || !primal.dtype().is_float() || !tangent.dtype().is_float() {
        let types = format!("{} of shape {:?}", tangent.dtype(), tangent.shape());
        misuse(op, format!("the tangent is {types}, the tensor {} of {:?}", primal.dtype(), primal.shape()));
    }
    tangent.cast(primal.dtype())
}

#[track_caller]
pub(crate) fn with_tangent(primal: &Tensor, tangent: &Tensor, level: u64) -> Tensor {
    let (y, _) = without_tangent(primal, level);
    y.set_tangent(level, tangent.clone());
    y
}

#[track_caller]
pub(crate) fn without_tangent(x: &Tensor, level: u64) -> (Tensor, Option<Tensor>) {
    let y = below(level, || x.view_as_itself());
    y.0.meta.lock().own = Some(level);
    (y, x.tangent(level))
}

/// What `g` contributes to `Σ ⟨y, ẋ⟩`: the walk from every `y` back to `g`, with `ẋ` in the place of its gradient.
fn transpose(g: &Tensor, pairs: Vec<(Tensor, Tensor)>, since: u64) -> Result<Option<Tensor>> {
    // This is no backward of the user's: its gradients are tangents.
    let _unchecked = set_detect_anomaly(false, false);
    let roots: Vec<_> = pairs.into_iter().filter_map(|(y, tangent)| Some((y.gradient_edge()?, tangent))).collect();
    let walk = Walk { create_graph: is_grad_enabled(), retain_graph: false, since };
    Ok(walk.run(roots, Goal::Collect(&[g.gradient_edge()]))?.remove(0))
}
