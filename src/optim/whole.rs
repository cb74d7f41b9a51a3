//! Rules that look at a parameter as a whole: its norm, its rows and columns, its singular values.

use crate::error::misuse;
use crate::optim::Decay;
use crate::optim::adaptive::moments;
use crate::optim::rule::rules;
use crate::tensor::Tensor;

/// The root of the mean square.
fn rms(x: &Tensor) -> Tensor {
    x.square().mean().sqrt()
}

rules! {
    /// Adam whose step for a parameter is as long as the parameter: `u = m̂ / (√v̂ + ε) + λ p`, `p ← p - lr |p| / |u| · u`, with 1 for
    /// `|p| / |u|` where either is 0. For large batches.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Lamb};
    /// let p = Tensor::new([2.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut lamb = Lamb::new([&p], 0.1);
    /// (&p * &p).sum().backward()?;
    /// lamb.step()?;
    /// assert!((p.item()? - 1.8).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: You et al., [Large batch optimization for deep learning](https://arxiv.org/abs/1904.00962).
    Lamb {
        /// The learning rate.
        lr: f64 = 1e-3,
        /// `β₁` and `β₂`.
        betas: (f64, f64) = (0.9, 0.999),
        /// `ε`, added after the root.
        eps: f64 = 1e-6,
        /// `λ`.
        weight_decay: f64 = 0.0,
        /// Whether to go up.
        maximize: bool = false,
    }
    states ["exp_avg", "exp_avg_sq"];
    decay |_o| Decay::Own;
    |o, x| {
        let (m, v) = moments(x, o.betas)?;
        let step = x.unbiased(&m, o.betas.0) / (x.unbiased(&v, o.betas.1).sqrt() + o.eps);
        let step = step + &x.p * o.weight_decay;
        let (length, of_step) = (x.p.norm(), step.norm());
        let ratio = Tensor::where_(&length.gt(0.0).logical_and(of_step.gt(0.0)), length / of_step, 1.0);
        Ok(step * (ratio * o.lr))
    }

    /// Adam without momentum whose squares are kept by row and by column: memory `n + m` instead of `n m` for a matrix.
    ///
    /// `r ← (1 - b) r + b mean_row(g²)`, `c` likewise by column, `v = r c / mean(r)`, for `b = t^β`; one tensor `v` where there is
    /// one dimension. `u = g / √v`, `p ← p - α u / max(1, rms(u) / d)`, with `α = max(ε₂, rms(p)) min(lr, 1 / √t)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Adafactor};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut adafactor = Adafactor::new([&p], 0.1);
    /// (&p * &p).sum().backward()?;
    /// adafactor.step()?;
    /// assert!((p.item()? - 0.9).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.optim.Adafactor](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html).
    Adafactor {
        /// The largest relative step.
        lr: f64 = 1e-2,
        /// `β`: the power by which new squares count less.
        beta2_decay: f64 = -0.8,
        /// `ε₁`, under which a root never is (NaN for the dtype's precision), and `ε₂`, the least size of a parameter.
        eps: (f64, f64) = (f64::NAN, 1e-3),
        /// The largest root mean square of a step.
        d: f64 = 1.0,
        /// `λ` of [`Decay::Decoupled`].
        weight_decay: f64 = 0.0,
        /// Whether to go up.
        maximize: bool = false,
    }
    states (|shape: &[usize]| {
        let one = |d: usize| {
            let mut shape = shape.to_vec();
            let at = shape.len() - d;
            shape[at] = 1;
            Some(shape)
        };
        match shape.len() {
            0 | 1 => vec![("variance", Some(shape.to_vec()))],
            _ => vec![("row_var", one(1)), ("col_var", one(2))],
        }
    });
    decay |_o| Decay::Decoupled;
    |o, x| {
        let g = x.g.clone();
        let least = if o.eps.0.is_nan() { g.dtype().epsilon() } else { o.eps.0 };
        let new = x.t.powf(o.beta2_decay);
        let squares = g.square();
        let v = if g.rank() > 1 {
            let (by_row, by_column) = (squares.mean_dim(-1, true), squares.mean_dim(-2, true));
            let row = x.keep_from("row_var", |_| by_row.zeros_like(), |r| r.lerp(&by_row, new))?;
            let column = x.keep_from("col_var", |_| by_column.zeros_like(), |c| c.lerp(&by_column, new))?;
            &row * &column / row.mean_dim(-2, true).clamp_min(least)
        } else {
            x.keep("variance", |v| v.lerp(&squares, new))?
        };
        let step = g * v.clamp_min(least * least).rsqrt();
        let size = rms(&x.p).clamp_min(o.eps.1) * o.lr.min(1.0 / x.t.sqrt());
        Ok(&step * (size / (rms(&step) / o.d).clamp_min(1.0)))
    }

    /// Momentum made orthogonal, for matrices: `m ← μ m + (1 - μ) g`, `u = g + μ (m - g)` with Nesterov's momentum, and
    /// `p ← p - lr √max(1, rows / columns) · U`, where `U` is `u` with all singular values near 1: Newton-Schulz iterations
    /// `U ← a U + b (U Uᵀ) U + c (U Uᵀ)² U` in the parameter's own precision. Other parameters take a group of [`super::AdamW`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Muon};
    /// let p = Tensor::eye(2, &Device::cpu()).requires_grad_(true)?;
    /// let mut muon = Muon { lr: 0.1, weight_decay: 0.0, ..Default::default() }.over([&p]);
    /// p.square().sum().backward()?;
    /// muon.step()?;
    /// assert!((p.to_vec::<f64>()?[0] - 0.9).abs() < 0.05);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// In [`Optimizer::step`](super::Optimizer::step), if a parameter is no matrix.
    ///
    /// Source: Jordan et al., [Muon](https://kellerjordan.github.io/posts/muon/);
    /// [torch.optim.Muon](https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html).
    Muon {
        /// The learning rate.
        lr: f64 = 1e-3,
        /// `λ` of [`Decay::Decoupled`].
        weight_decay: f64 = 0.1,
        /// `μ`: how much of the momentum is kept.
        momentum: f64 = 0.95,
        /// Whether the gradient is looked at where momentum leads.
        nesterov: bool = true,
        /// The least norm that a step is divided by.
        eps: f64 = 1e-7,
        /// `a`, `b` and `c`.
        ns_coefficients: (f64, f64, f64) = (3.4445, -4.775, 2.0315),
        /// How often the singular values are drawn towards 1.
        ns_steps: usize = 5,
    }
    states ["momentum_buffer"];
    decay |_o| Decay::Decoupled;
    |o, x| {
        let g = x.g.clone();
        let &[rows, columns] = g.shape() else {
            misuse("Muon", format!("a parameter is a matrix, not of shape {:?}", g.shape()));
        };
        let m = x.keep("momentum_buffer", |m| m.lerp(&g, 1.0 - o.momentum))?;
        let u = if o.nesterov { g.lerp(&m, o.momentum) } else { m };
        // The product of the smaller size is the cheaper one.
        let mut u = if rows > columns { u.t() } else { u };
        u = &u / u.norm().clamp_min(o.eps);
        let (a, b, c) = o.ns_coefficients;
        for _ in 0..o.ns_steps {
            let square = u.matmul(&u.t());
            u = &u * a + (&square * b + square.matmul(&square) * c).matmul(&u);
        }
        let u = if rows > columns { u.t() } else { u };
        Ok(u * (o.lr * (rows as f64 / columns as f64).max(1.0).sqrt()))
    }
}
