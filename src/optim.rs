//! Optimizers: what turns gradients into a step.
//!
//! A step is recorded like everything else, so the update of a parameter becomes one fused kernel, and numbers that
//! change from step to step are parameters of the plan.

use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::mode::no_grad;

/// Stochastic gradient descent with momentum: `m ← μ m + g`, `p ← p - lr m`.
///
/// ```
/// use wgrad::{Device, Tensor, optim::Sgd};
/// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
/// let mut sgd = Sgd::new([&p], 0.1);
/// (&p * &p).sum().backward()?;
/// sgd.step()?;
/// assert_eq!(p.to_vec::<f32>()?, [0.8]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.optim.SGD](https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html).
pub struct Sgd {
    /// The learning rate.
    pub lr: f64,
    /// `μ`: how much of the last step is kept.
    pub momentum: f64,
    slots: Vec<Slot<1>>,
}

/// Adam: steps scaled by running estimates of the gradient's mean and square.
///
/// `m ← β₁ m + (1 - β₁) g`, `v ← β₂ v + (1 - β₂) g²`, `p ← p - lr m̂ / (√v̂ + ε)`, where `m̂ = m / (1 - β₁ᵗ)` and
/// `v̂ = v / (1 - β₂ᵗ)` undo the start from zero.
///
/// ```
/// use wgrad::{Device, Tensor, optim::Adam};
/// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
/// let mut adam = Adam::new([&p], 0.1);
/// (&p * &p).sum().backward()?;
/// adam.step()?;
/// assert!((p.item()? - 0.9).abs() < 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015);
/// [torch.optim.Adam](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html).
pub struct Adam {
    /// The learning rate.
    pub lr: f64,
    /// `β₁` and `β₂`.
    pub betas: (f64, f64),
    /// `ε`, added after the root.
    pub eps: f64,
    slots: Vec<Slot<2>>,
}

/// A parameter, its state, and the number of steps it took part in.
struct Slot<const N: usize> {
    parameter: Tensor,
    state: Option<[Tensor; N]>,
    steps: i32,
}

fn slots<'a, const N: usize>(parameters: impl IntoIterator<Item = &'a Tensor>) -> Vec<Slot<N>> {
    parameters.into_iter().map(|p| Slot { parameter: p.clone(), state: None, steps: 0 }).collect()
}

/// Updates every parameter that has a gradient, and starts the device on it.
fn step<const N: usize>(slots: &mut [Slot<N>], update: impl Fn(&mut Slot<N>, &Tensor) -> Result<()>) -> Result<()> {
    let _unrecorded = no_grad();
    for slot in &mut *slots {
        if let Some(g) = slot.parameter.grad() {
            slot.steps += 1;
            update(slot, &g.untracked())?;
        }
    }
    slots.first().map_or(Ok(()), |slot| slot.parameter.device().flush())
}

impl Sgd {
    /// Descent without momentum; set [`Sgd::momentum`] for some.
    pub fn new<'a>(parameters: impl IntoIterator<Item = &'a Tensor>, lr: f64) -> Sgd {
        Sgd { lr, momentum: 0.0, slots: slots(parameters) }
    }

    /// One step for every parameter that has a gradient.
    ///
    /// # Errors
    /// If the device fails.
    #[track_caller]
    pub fn step(&mut self) -> Result<()> {
        let (lr, momentum) = (self.lr, self.momentum);
        step(&mut self.slots, |slot, g| {
            if momentum == 0.0 {
                return slot.parameter.sub_(g * lr).map(drop);
            }
            // The first momentum is the gradient itself.
            let [m] = slot.state.get_or_insert_with(|| [g.zeros_like()]);
            m.mul_(momentum)?.add_(g)?;
            slot.parameter.sub_(&*m * lr).map(drop)
        })
    }

    /// Forgets the gradients of all parameters.
    pub fn zero_grad(&self) {
        self.slots.iter().for_each(|slot| slot.parameter.zero_grad());
    }
}

impl Adam {
    /// Adam with PyTorch's defaults: `β = (0.9, 0.999)`, `ε = 1e-8`.
    pub fn new<'a>(parameters: impl IntoIterator<Item = &'a Tensor>, lr: f64) -> Adam {
        Adam { lr, betas: (0.9, 0.999), eps: 1e-8, slots: slots(parameters) }
    }

    /// One step for every parameter that has a gradient.
    ///
    /// # Errors
    /// If the device fails.
    #[track_caller]
    pub fn step(&mut self) -> Result<()> {
        let (lr, (b1, b2), eps) = (self.lr, self.betas, self.eps);
        step(&mut self.slots, |slot, g| {
            let [m, v] = slot.state.get_or_insert_with(|| [g.zeros_like(), g.zeros_like()]);
            m.copy_(&(&*m * b1 + g * (1.0 - b1)))?;
            v.copy_(&(&*v * b2 + g * g * (1.0 - b2)))?;
            let step = lr / (1.0 - b1.powi(slot.steps));
            let root = (1.0 - b2.powi(slot.steps)).sqrt();
            slot.parameter.sub_(&*m * step / (v.sqrt() / root + eps)).map(drop)
        })
    }

    /// Forgets the gradients of all parameters.
    pub fn zero_grad(&self) {
        self.slots.iter().for_each(|slot| slot.parameter.zero_grad());
    }
}
