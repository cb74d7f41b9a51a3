//! Holding gradients down before a step.

use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use crate::tensor::mode::no_grad;

/// Multiplies the gradients of all parameters by `max_norm / (norm + 1e-6)` if that is below 1, where `norm` is the
/// `norm_type`-norm of all of them together, and gives that norm: a 0-d tensor, which nothing waits for. An infinite norm
/// makes finite gradients 0 and infinite ones NaN.
///
/// ```
/// use wgrad::{Device, Tensor, optim::clip_grad_norm_};
/// let p = Tensor::new([1.0, 1.0], &Device::cpu()).requires_grad_(true)?;
/// p.set_grad(Some(Tensor::new([3.0, 4.0], &Device::cpu())));
/// assert_eq!(clip_grad_norm_([&p], 1.0, 2.0)?.item()?, 5.0);
/// assert!((p.grad().unwrap().norm().item()? - 1.0).abs() < 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As operations in place.
///
/// Source: [torch.nn.utils.clip_grad_norm_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html).
#[track_caller]
pub fn clip_grad_norm_<'a>(
    parameters: impl IntoIterator<Item = &'a Tensor>,
    max_norm: f64,
    norm_type: f64,
) -> Result<Tensor> {
    let _unrecorded = no_grad();
    let gradients: Vec<Tensor> = parameters.into_iter().filter_map(Tensor::grad).collect();
    let norm = norm_of(&gradients, norm_type);
    let factor = (max_norm / (&norm + 1e-6)).clamp_max(1.0);
    for g in &gradients {
        g.mul_(&factor)?;
    }
    Ok(norm)
}

/// The norm of the gradients of all parameters together: a 0-d tensor; 0 if there are none.
///
/// ```
/// use wgrad::{Device, Tensor, optim::grad_norm};
/// let p = Tensor::new([1.0, 1.0], &Device::cpu()).requires_grad_(true)?;
/// p.set_grad(Some(Tensor::new([3.0, 4.0], &Device::cpu())));
/// assert_eq!(grad_norm([&p], 2.0).item()?, 5.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[track_caller]
pub fn grad_norm<'a>(parameters: impl IntoIterator<Item = &'a Tensor>, norm_type: f64) -> Tensor {
    let _unrecorded = no_grad();
    norm_of(&parameters.into_iter().filter_map(Tensor::grad).collect::<Vec<_>>(), norm_type)
}

/// Holds every element of the gradients between `-clip_value` and `clip_value`.
///
/// ```
/// use wgrad::{Device, Tensor, optim::clip_grad_value_};
/// let p = Tensor::new([1.0, 1.0], &Device::cpu()).requires_grad_(true)?;
/// p.set_grad(Some(Tensor::new([3.0, -0.5], &Device::cpu())));
/// clip_grad_value_([&p], 1.0)?;
/// assert_eq!(p.grad().unwrap().to_vec::<f32>()?, [1.0, -0.5]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As operations in place.
///
/// Source: [torch.nn.utils.clip_grad_value_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html).
#[track_caller]
pub fn clip_grad_value_<'a>(parameters: impl IntoIterator<Item = &'a Tensor>, clip_value: f64) -> Result<()> {
    let _unrecorded = no_grad();
    for g in parameters.into_iter().filter_map(Tensor::grad) {
        g.clamp_(-clip_value, clip_value)?;
    }
    Ok(())
}

/// The norm of norms: on one device, the one of the first gradient.
#[track_caller]
fn norm_of(gradients: &[Tensor], norm_type: f64) -> Tensor {
    if gradients.is_empty() {
        return Tensor::zeros((), &Device::cpu());
    }
    let norm = |x: &Tensor| x.flatten(0, -1).vector_norm(norm_type, 0, false);
    let norms: Vec<Tensor> = gradients.iter().map(|g| norm(&g.untracked())).collect();
    norm(&Tensor::stack(&norms, 0))
}
