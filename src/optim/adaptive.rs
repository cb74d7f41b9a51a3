//! Rules that scale each element's step by running estimates of its gradient's square.

use crate::error::Result;
use crate::optim::rule::rules;
use crate::optim::{Decay, Step};
use crate::tensor::Tensor;

/// Averages of the gradient and of its square: `m ← β₁ m + (1 - β₁) g`, `v ← β₂ v + (1 - β₂) g²`.
pub(super) fn moments(x: &mut Step, (b1, b2): (f64, f64)) -> Result<(Tensor, Tensor)> {
    let g = x.g.clone();
    let m = x.keep("exp_avg", |m| m * b1 + &g * (1.0 - b1))?;
    let v = x.keep("exp_avg_sq", |v| v * b2 + &g * &g * (1.0 - b2))?;
    Ok((m, v))
}

/// What Adam and AdamW subtract.
fn adam(x: &mut Step, lr: f64, betas: (f64, f64), eps: f64, amsgrad: bool) -> Result<Tensor> {
    let (m, mut v) = moments(x, betas)?;
    if amsgrad {
        v = x.keep("max_exp_avg_sq", |most| most.maximum(&v))?;
    }
    Ok(x.unbiased(&m, betas.0) * lr / (x.unbiased(&v, betas.1).sqrt() + eps))
}

rules! {
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
    Adam {
        /// The learning rate.
        lr: f64 = 1e-3,
        /// `β₁` and `β₂`.
        betas: (f64, f64) = (0.9, 0.999),
        /// `ε`, added after the root.
        eps: f64 = 1e-8,
        /// `λ` of [`Decay::Coupled`].
        weight_decay: f64 = 0.0,
        /// Whether the largest `v` so far takes the place of `v`.
        amsgrad: bool = false,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
    decay |_o| Decay::Coupled;
    |o, x| adam(x, o.lr, o.betas, o.eps, o.amsgrad)

    /// [`Adam`] with weight decay beside the step instead of in the gradient.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::AdamW};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut adam = AdamW { lr: 0.1, weight_decay: 0.5, ..Default::default() }.over([&p]);
    /// (&p * &p).sum().backward()?;
    /// adam.step()?;
    /// assert!((p.item()? - 0.85).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019);
    /// [torch.optim.AdamW](https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html).
    AdamW {
        /// The learning rate.
        lr: f64 = 1e-3,
        /// `β₁` and `β₂`.
        betas: (f64, f64) = (0.9, 0.999),
        /// `ε`, added after the root.
        eps: f64 = 1e-8,
        /// `λ` of [`Decay::Decoupled`].
        weight_decay: f64 = 1e-2,
        /// Whether the largest `v` so far takes the place of `v`.
        amsgrad: bool = false,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
    decay |_o| Decay::Decoupled;
    |o, x| adam(x, o.lr, o.betas, o.eps, o.amsgrad)

    /// Adam by the largest gradient: `u ← max(β₂ u, |g| + ε)`, `p ← p - lr m̂ / u`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Adamax};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut adamax = Adamax::new([&p], 0.1);
    /// (&p * &p).sum().backward()?;
    /// adamax.step()?;
    /// assert!((p.item()? - 0.9).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.Adamax](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adamax.html).
    Adamax {
        /// The learning rate.
        lr: f64 = 2e-3,
        /// `β₁` and `β₂`.
        betas: (f64, f64) = (0.9, 0.999),
        /// `ε`, added to the gradient's size.
        eps: f64 = 1e-8,
        /// `λ` of [`Decay::Coupled`].
        weight_decay: f64 = 0.0,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["exp_avg", "exp_inf"];
    decay |_o| Decay::Coupled;
    |o, x| {
        let (g, (b1, b2)) = (x.g.clone(), o.betas);
        let m = x.keep("exp_avg", |m| m * b1 + &g * (1.0 - b1))?;
        let u = x.keep("exp_inf", |u| (u * b2).maximum(g.abs() + o.eps))?;
        Ok(x.unbiased(&m, b1) * o.lr / u)
    }

    /// Adam with Nesterov's momentum, which follows a schedule `μₜ = β₁ (1 - 0.96^(t ψ) / 2)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::NAdam};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut nadam = NAdam::new([&p], 0.1);
    /// (&p * &p).sum().backward()?;
    /// nadam.step()?;
    /// assert!(p.item()? < 0.95);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.NAdam](https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html).
    NAdam {
        /// The learning rate.
        lr: f64 = 2e-3,
        /// `β₁` and `β₂`.
        betas: (f64, f64) = (0.9, 0.999),
        /// `ε`, added after the root.
        eps: f64 = 1e-8,
        /// `λ` of the weight decay.
        weight_decay: f64 = 0.0,
        /// `ψ`: how fast the momentum reaches `β₁`.
        momentum_decay: f64 = 4e-3,
        /// Whether weight decay is [`Decay::Decoupled`].
        decoupled_weight_decay: bool = false,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["exp_avg", "exp_avg_sq"; "mu_product"];
    decay |o| if o.decoupled_weight_decay { Decay::Decoupled } else { Decay::Coupled };
    |o, x| {
        let momentum = |t: f64| o.betas.0 * (1.0 - 0.5 * 0.96f64.powf(t * o.momentum_decay));
        let (now, next) = (momentum(x.t), momentum(x.t + 1.0));
        let product = x.keep_number("mu_product", 1.0, |product| product * now);
        let (m, v) = moments(x, o.betas)?;
        let ahead = &x.g * ((1.0 - now) / (1.0 - product)) + m * (next / (1.0 - product * next));
        Ok(ahead * o.lr / (x.unbiased(&v, o.betas.1).sqrt() + o.eps))
    }

    /// Adam that trusts its scaling only once enough gradients were seen for it: `p ← p - lr r m̂ / (√v̂ + ε)`, or `lr m̂` before.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::RAdam};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut radam = RAdam::new([&p], 0.1);
    /// (&p * &p).sum().backward()?;
    /// radam.step()?;
    /// assert!((p.item()? - 0.8).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: Liu et al., "On the variance of the adaptive learning rate and beyond" (2020);
    /// [torch.optim.RAdam](https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html).
    RAdam {
        /// The learning rate.
        lr: f64 = 1e-3,
        /// `β₁` and `β₂`.
        betas: (f64, f64) = (0.9, 0.999),
        /// `ε`, added after the root.
        eps: f64 = 1e-8,
        /// `λ` of the weight decay.
        weight_decay: f64 = 0.0,
        /// Whether weight decay is [`Decay::Decoupled`].
        decoupled_weight_decay: bool = false,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["exp_avg", "exp_avg_sq"];
    decay |o| if o.decoupled_weight_decay { Decay::Decoupled } else { Decay::Coupled };
    |o, x| {
        let (m, v) = moments(x, o.betas)?;
        let step = x.unbiased(&m, o.betas.0) * o.lr;
        // The length of the average that `v` is, at most and now.
        let kept = o.betas.1.powf(x.t);
        let most = 2.0 / (1.0 - o.betas.1) - 1.0;
        let now = most - 2.0 * x.t * kept / (1.0 - kept);
        if now <= 5.0 {
            return Ok(step);
        }
        let trust = ((now - 4.0) * (now - 2.0) * most / ((most - 4.0) * (most - 2.0) * now)).sqrt();
        Ok(step * (trust * (1.0 - kept).sqrt()) / (v.sqrt() + o.eps))
    }

    /// Steps divided by the root of a running average of the gradient's square: `v ← α v + (1 - α) g²`,
    /// `p ← p - lr g / (√v + ε)`; centred, `v` less the square of the gradient's average; with momentum, `m ← μ m + g / (√v + ε)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::RMSprop};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut rmsprop = RMSprop::new([&p], 0.01);
    /// (&p * &p).sum().backward()?;
    /// rmsprop.step()?;
    /// assert!((p.item()? - 0.9).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.RMSprop](https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html).
    RMSprop {
        /// The learning rate.
        lr: f64 = 1e-2,
        /// `α`: how much of the average is kept.
        alpha: f64 = 0.99,
        /// `ε`, added after the root.
        eps: f64 = 1e-8,
        /// `λ` of [`Decay::Coupled`].
        weight_decay: f64 = 0.0,
        /// `μ`: how much of the last step is kept.
        momentum: f64 = 0.0,
        /// Whether the variance is estimated instead of the square.
        centered: bool = false,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["square_avg", "grad_avg", "momentum_buffer"];
    decay |_o| Decay::Coupled;
    |o, x| {
        let (g, a) = (x.g.clone(), o.alpha);
        let mut v = x.keep("square_avg", |v| v * a + &g * &g * (1.0 - a))?;
        if o.centered {
            let mean = x.keep("grad_avg", |mean| mean * a + &g * (1.0 - a))?;
            v = v - &mean * &mean;
        }
        let step = g / (v.sqrt() + o.eps);
        if o.momentum == 0.0 {
            return Ok(step * o.lr);
        }
        Ok(x.keep("momentum_buffer", |m| m * o.momentum + step)? * o.lr)
    }

    /// Steps divided by the root of the sum of all squares so far: `s ← s + g²`, `p ← p - lr / (1 + (t - 1) η) · g / (√s + ε)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Adagrad};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut adagrad = Adagrad::new([&p], 0.1);
    /// (&p * &p).sum().backward()?;
    /// adagrad.step()?;
    /// assert!((p.item()? - 0.9).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.Adagrad](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html).
    Adagrad {
        /// The learning rate.
        lr: f64 = 1e-2,
        /// `η`: how fast the learning rate falls.
        lr_decay: f64 = 0.0,
        /// `λ` of [`Decay::Coupled`].
        weight_decay: f64 = 0.0,
        /// The first `s`.
        initial_accumulator_value: f64 = 0.0,
        /// `ε`, added after the root.
        eps: f64 = 1e-10,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["sum"];
    decay |_o| Decay::Coupled;
    |o, x| {
        let g = x.g.clone();
        let sum = x.keep_from("sum", |p| p.full_like(o.initial_accumulator_value), |sum| sum + &g * &g)?;
        Ok(g * (o.lr / (1.0 + (x.t - 1.0) * o.lr_decay)) / (sum.sqrt() + o.eps))
    }

    /// Steps as large as earlier ones were, by the gradient's size: `v ← ρ v + (1 - ρ) g²`, `d = √(u + ε) / √(v + ε) g`,
    /// `u ← ρ u + (1 - ρ) d²`, `p ← p - lr d`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Adadelta};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut adadelta = Adadelta::new([&p], 1.0);
    /// (&p * &p).sum().backward()?;
    /// adadelta.step()?;
    /// assert!((p.item()? - 0.996838).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.Adadelta](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html).
    Adadelta {
        /// The learning rate.
        lr: f64 = 1.0,
        /// `ρ`: how much of the averages is kept.
        rho: f64 = 0.9,
        /// `ε`, added under the roots.
        eps: f64 = 1e-6,
        /// `λ` of [`Decay::Coupled`].
        weight_decay: f64 = 0.0,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["square_avg", "acc_delta"];
    decay |_o| Decay::Coupled;
    |o, x| {
        let (g, r) = (x.g.clone(), o.rho);
        let v = x.keep("square_avg", |v| v * r + &g * &g * (1.0 - r))?;
        let mut step = None;
        x.keep("acc_delta", |u| {
            let d = (u + o.eps).sqrt() / (v + o.eps).sqrt() * g;
            let next = u * r + &d * &d * (1.0 - r);
            step = Some(d);
            next
        })?;
        Ok(step.expect("the average was kept") * o.lr)
    }
}
