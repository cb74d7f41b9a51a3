//! Rules that follow the gradient or its sign, with or without momentum.

use crate::optim::Decay;
use crate::optim::rule::rules;
use crate::tensor::Tensor;

rules! {
    /// Stochastic gradient descent with momentum: `m ← μ m + (1 - τ) g`, `p ← p - lr m`; the first `m` is `g`. With Nesterov's
    /// momentum `p ← p - lr (g + μ m)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Sgd};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut sgd = Sgd { lr: 0.1, momentum: 0.9, ..Default::default() }.over([&p]);
    /// (&p * &p).sum().backward()?;
    /// sgd.step()?;
    /// assert_eq!(p.to_vec::<f32>()?, [0.8]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.SGD](https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html).
    Sgd {
        /// The learning rate.
        lr: f64 = 1e-3,
        /// `μ`: how much of the last step is kept.
        momentum: f64 = 0.0,
        /// `τ`: how much of the gradient momentum leaves out.
        dampening: f64 = 0.0,
        /// `λ` of [`Decay::Coupled`].
        weight_decay: f64 = 0.0,
        /// Whether the gradient is looked at where momentum leads.
        nesterov: bool = false,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["momentum_buffer"];
    decay |_o| Decay::Coupled;
    |o, x| {
        let g = x.g.clone();
        if o.momentum == 0.0 {
            return Ok(g * o.lr);
        }
        let gain = if x.memory.tensors.contains_key("momentum_buffer") { 1.0 - o.dampening } else { 1.0 };
        let m = x.keep("momentum_buffer", |m| m * o.momentum + &g * gain)?;
        Ok(if o.nesterov { (g + m * o.momentum) * o.lr } else { m * o.lr })
    }

    /// Resilient propagation: each element has a step of its own, which grows while its gradient keeps its sign and shrinks
    /// when that changes; only the sign counts. For gradients of the whole data, not of batches.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Rprop};
    /// let p = Tensor::new([1.0, -3.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut rprop = Rprop::new([&p], 0.5);
    /// p.square().sum().backward()?;
    /// rprop.step()?;
    /// assert_eq!(p.to_vec::<f32>()?, [0.5, -2.5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.Rprop](https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html).
    Rprop {
        /// The first step of every element.
        lr: f64 = 1e-2,
        /// The factors by which a step shrinks and grows.
        etas: (f64, f64) = (0.5, 1.2),
        /// The smallest and the largest step.
        step_sizes: (f64, f64) = (1e-6, 50.0),
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["prev", "step_size"];
    decay |_o| Decay::Own;
    |o, x| {
        let g = x.g.clone();
        let before = x.memory.tensors.get("prev").map_or_else(|| g.zeros_like(), Tensor::detach);
        let product = &g * before;
        let factor = Tensor::where_(&product.gt(0.0), o.etas.1, Tensor::where_(&product.lt(0.0), o.etas.0, g.ones_like()));
        // After a change of sign the element waits for one step.
        let g = x.keep("prev", |_| Tensor::where_(&product.lt(0.0), 0.0, &g))?;
        let (least, most) = o.step_sizes;
        let size = x.keep_from("step_size", |p| p.full_like(o.lr), |size| (size * factor).clamp(least, most))?;
        Ok(g.sign() * size)
    }

    /// Averaged stochastic gradient descent: a step `η` that shrinks, and the average `ax` of the parameters from step `t0` on.
    /// `p ← (1 - λη) p - η g`, `η = lr / (1 + λ lr t)^α`. The averages are the state `ax`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Asgd};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut asgd = Asgd::new([&p], 0.1);
    /// p.square().sum().backward()?;
    /// asgd.step()?;
    /// assert!((p.item()? - 0.79999).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.ASGD](https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html).
    Asgd {
        /// The first step.
        lr: f64 = 1e-2,
        /// `λ`: how fast parameters decay and steps shrink.
        lambd: f64 = 1e-4,
        /// The power by which steps shrink.
        alpha: f64 = 0.75,
        /// The step after which averaging begins.
        t0: f64 = 1e6,
        /// `λ` of [`Decay::Coupled`].
        weight_decay: f64 = 0.0,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["ax"; "eta", "mu"];
    decay |_o| Decay::Coupled;
    |o, x| {
        // The step is the one that the last learning rate gave.
        let next = o.lr / (1.0 + o.lambd * o.lr * x.t).powf(o.alpha);
        let mut eta = o.lr;
        x.keep_number("eta", o.lr, |now| { eta = now; next });
        let delta = &x.p * (o.lambd * eta) + &x.g * eta;
        // So is the share of the new parameter in the average.
        let (mut share, next) = (1.0, 1.0 / (x.t - o.t0).max(1.0));
        x.keep_number("mu", 1.0, |now| { share = now; next });
        let p = &x.p - &delta;
        x.keep("ax", |average| average + (p - average) * share)?;
        Ok(delta)
    }

    /// The sign of a momentum: `p ← p - lr sign(β₁ m + (1 - β₁) g)`, then `m ← β₂ m + (1 - β₂) g`. Every element moves by `lr`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Lion};
    /// let p = Tensor::new([1.0, -3.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut lion = Lion::new([&p], 0.5);
    /// p.square().sum().backward()?;
    /// lion.step()?;
    /// assert_eq!(p.to_vec::<f32>()?, [0.5, -2.5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: Chen et al., [Symbolic discovery of optimization algorithms](https://arxiv.org/abs/2302.06675).
    Lion {
        /// The learning rate.
        lr: f64 = 1e-4,
        /// `β₁` for the step, and `β₂` for the momentum.
        betas: (f64, f64) = (0.9, 0.99),
        /// `λ` of [`Decay::Decoupled`].
        weight_decay: f64 = 0.0,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["exp_avg"];
    decay |_o| Decay::Decoupled;
    |o, x| {
        let (g, (b1, b2)) = (x.g.clone(), o.betas);
        let mut direction = None;
        x.keep("exp_avg", |m| {
            direction = Some((m * b1 + &g * (1.0 - b1)).sign());
            m * b2 + &g * (1.0 - b2)
        })?;
        Ok(direction.expect("the momentum was kept") * o.lr)
    }
}
