//! Grad modes: whether operations on a thread are recorded for backward. The line that stops recording is known to
//! [`audit`](super::audit).

use crate::tensor::mode::begin;
pub use crate::tensor::mode::{GradGuard, is_grad_enabled, is_inference};
use std::panic::Location;

/// Stops recording for backward until the guard is dropped.
///
/// ```
/// use wgrad::{Device, Tensor, autograd::no_grad};
/// let x = Tensor::ones([2], &Device::cpu()).requires_grad_(true)?;
/// {
///     let _guard = no_grad();
///     assert!(!(&x * 2.0).requires_grad());
/// }
/// assert!((&x * 2.0).requires_grad());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[track_caller]
pub fn no_grad() -> GradGuard {
    set_grad_enabled(false)
}

/// Records for backward, also inside [`no_grad`] but not inside [`inference_mode`], until the guard is dropped.
#[track_caller]
pub fn enable_grad() -> GradGuard {
    set_grad_enabled(true)
}

/// Records for backward or not until the guard is dropped; of several guards the last one that is left counts.
#[track_caller]
pub fn set_grad_enabled(enabled: bool) -> GradGuard {
    let inference = is_inference();
    begin(enabled && !inference, inference, if enabled { None } else { Some(Location::caller()) })
}

/// As [`no_grad`], and what is made can never become part of a graph: it cannot require grad, be saved for backward or,
/// outside the mode, be changed in place. A copy made outside can.
///
/// ```
/// use wgrad::{Device, Tensor, autograd::inference_mode};
/// let y = {
///     let _guard = inference_mode();
///     Tensor::ones([2], &Device::cpu())
/// };
/// assert!(y.is_inference() && y.requires_grad_(true).is_err());
/// assert!(y.copy().requires_grad_(true).is_ok());
/// ```
///
/// Source: [torch.inference_mode](https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.inference_mode.html).
#[track_caller]
pub fn inference_mode() -> GradGuard {
    begin(false, true, Some(Location::caller()))
}
