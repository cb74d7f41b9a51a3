//! Losses of elements: how far each lies from its target. Losses over classes and over pairs have files of their own.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::distance::pair;
use crate::tensor::Tensor;
use crate::tensor::autocast::autocast_dtype;
use crate::tensor::node::Save;

/// How the losses of elements are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean; of no elements, NaN.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Their sum divided by the size of dimension 0, the batch.
    BatchMean,
    /// Each by itself.
    None,
}

impl Reduction {
    #[track_caller]
    pub(crate) fn of(self, losses: &Tensor) -> Tensor {
        match self {
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
            Reduction::BatchMean => losses.sum() / losses.shape().first().copied().unwrap_or(1),
            Reduction::None => losses.clone(),
        }
    }
}

/// Turns the loss of one element, as an expression over the input, the target and numbers, into a method.
macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident($x:ident, $t:ident $(, $p:ident)*) { $loss:expr })*) => { impl Tensor { $(
        $(#[$doc])*
        ///
        /// Input and target broadcast.
        #[track_caller]
        pub fn $name(&self, $t: &Tensor, $($p: f64,)* reduction: Reduction) -> Tensor {
            let ($x, $t, dtype) = pair(stringify!($name), self, $t);
            reduction.of(&$loss).cast(dtype)
        }
    )* } };
}

losses! {
    /// `|x - t|`. Derivative: the sign of `x - t`, 0 at 0.
    ///
    /// ```
    /// use wgrad::{Device, Reduction, Tensor};
    /// let dev = Device::cpu();
    /// let (x, t) = (Tensor::new([1.0, 4.0], &dev), Tensor::new([3.0, 3.0], &dev));
    /// assert_eq!(x.l1_loss(&t, Reduction::Mean).item()?, 1.5);
    /// assert_eq!(x.mse_loss(&t, Reduction::Sum).item()?, 5.0);
    /// assert_eq!(x.huber_loss(&t, 1.0, Reduction::None).to_vec::<f32>()?, [1.5, 0.5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    l1_loss(x, t) { (x - t).abs() }

    /// `(x - t)²`. Derivative: `2 (x - t)`.
    mse_loss(x, t) {{
        let d = x - t;
        &d * &d
    }}

    /// `d² / 2` where `d = x - t` is at most `delta` from 0, else `delta (|d| - delta / 2)`. Derivative: `d` held between
    /// `-delta` and `delta`.
    ///
    /// # Panics
    /// If `delta` is not positive.
    ///
    /// Source: [torch.nn.functional.huber_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.huber_loss.html).
    huber_loss(x, t, delta) {{
        if delta.is_nan() || delta <= 0.0 {
            misuse("huber_loss", format!("delta must be positive, not {delta}"));
        }
        let d = x - t;
        let held = d.clamp(-delta, delta);
        &held * (d - &held * 0.5)
    }}

    /// [`Tensor::huber_loss`] divided by its knee: `d² / 2 beta` where `d = x - t` is at most `beta` from 0, else
    /// `|d| - beta / 2`. Derivative: `d / beta` held between -1 and 1.
    ///
    /// # Panics
    /// If `beta` is negative.
    ///
    /// Source: [torch.nn.functional.smooth_l1_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.smooth_l1_loss.html).
    smooth_l1_loss(x, t, beta) {{
        if beta.is_nan() || beta < 0.0 {
            misuse("smooth_l1_loss", format!("beta must not be negative, and is {beta}"));
        }
        let d = x - t;
        if beta == 0.0 {
            d.abs()
        } else {
            let held = d.clamp(-beta, beta);
            &held * (d - &held * 0.5) / beta
        }
    }}

    /// `ln(1 + e^(-t x))`, for targets 1 and -1. Derivative: `-t / (1 + e^(t x))`.
    ///
    /// Source: [torch.nn.functional.soft_margin_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.soft_margin_loss.html).
    soft_margin_loss(x, t) { -(x * t).logsigmoid() }

    /// `x` where the target is 1, `max(margin - x, 0)` where it is -1. Derivatives: 1, and -1 inside the margin.
    ///
    /// Source: [torch.nn.functional.hinge_embedding_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hinge_embedding_loss.html).
    hinge_embedding_loss(x, t, margin) {
        Tensor::where_(&t.ne(1.0), (margin - &x).relu(), 0.0) + Tensor::where_(&t.ne(-1.0), &x, 0.0)
    }
}

/// What [`Tensor::poisson_nll_loss`] takes besides input and target.
#[derive(Clone, Copy, Debug)]
pub struct PoissonNllOptions {
    /// Whether the input is the logarithm of the rate.
    pub log_input: bool,
    /// Whether Stirling's approximation of `ln t!` is added where the target is above 1.
    pub full: bool,
    /// Added to the rate before its logarithm is taken.
    pub eps: f64,
    /// How the losses are combined.
    pub reduction: Reduction,
}

impl Default for PoissonNllOptions {
    fn default() -> PoissonNllOptions {
        PoissonNllOptions { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

/// What [`Tensor::gaussian_nll_loss`] takes besides input, target and variance.
#[derive(Clone, Copy, Debug)]
pub struct GaussianNllOptions {
    /// Whether the constant `ln(2π) / 2` is added.
    pub full: bool,
    /// The least variance; smaller ones are raised to it.
    pub eps: f64,
    /// How the losses are combined.
    pub reduction: Reduction,
}

impl Default for GaussianNllOptions {
    fn default() -> GaussianNllOptions {
        GaussianNllOptions { full: false, eps: 1e-6, reduction: Reduction::Mean }
    }
}

impl Tensor {
    /// `-w (t ln x + (1 - t) ln(1 - x))` for probabilities `x`, logarithms held above -100. Derivatives:
    /// `w (x - t) / max(x (1 - x), 1e-12)` and, for the target, `w (ln(1 - x) - ln x)`.
    ///
    /// # Panics
    /// If the shapes do not broadcast or no operand holds floats. Under [`autocast`](crate::amp::autocast), if the
    /// probabilities are narrow floats.
    ///
    /// Source: [torch.nn.functional.binary_cross_entropy](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html).
    #[track_caller]
    pub fn binary_cross_entropy(&self, t: &Tensor, weight: Option<&Tensor>, reduction: Reduction) -> Tensor {
        if autocast_dtype().is_some_and(|dtype| dtype == self.dtype()) {
            misuse(
                "binary_cross_entropy",
                "probabilities of narrow floats are not safe: take binary_cross_entropy_with_logits, or cast them",
            );
        }
        let (x, t, dtype) = pair("binary_cross_entropy", self, t);
        let held = |x: Tensor| x.clamp(-100.0, f64::INFINITY);
        let definition = || (&t - 1.0) * held((-&x).log1p()) - &t * held(x.log());
        let saves = [Save::Input(&x), Save::Input(&t)];
        let losses = composite("BinaryCrossEntropyBackward0", &[&x, &t], &saves, definition, |call| {
            let (g, [x, t]) = (call.g, call.saved) else { unreachable!("both are saved") };
            let by_x = || g * ((x - t) / (x * (1.0 - x)).clamp(1e-12, f64::INFINITY));
            let by_t = || g * ((-x).log1p() - x.log());
            vec![call.needs[0].then(by_x), call.needs[1].then(by_t)]
        });
        reduction.of(&weighted("binary_cross_entropy", losses, weight)).cast(dtype)
    }

    /// [`Tensor::binary_cross_entropy`] of `σ(x)`, without overflow: `w ((1 - t) x - (1 + (p - 1) t) ln σ(x))`, where `p`,
    /// `pos_weight`, weighs the positive targets. Derivative: `w ((1 - t + p t) σ(x) - p t)`.
    ///
    /// ```
    /// use wgrad::{Device, Reduction, Tensor};
    /// let dev = Device::cpu();
    /// let (x, t) = (Tensor::new([0.0, -300.0], &dev), Tensor::new([1.0, 1.0], &dev));
    /// let y = x.binary_cross_entropy_with_logits(&t, None, None, Reduction::None);
    /// assert_eq!(y.to_vec::<f32>()?, [std::f32::consts::LN_2, 300.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast or no operand holds floats.
    ///
    /// Source: [torch.nn.functional.binary_cross_entropy_with_logits](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html).
    #[track_caller]
    pub fn binary_cross_entropy_with_logits(
        &self,
        t: &Tensor,
        weight: Option<&Tensor>,
        pos_weight: Option<&Tensor>,
        reduction: Reduction,
    ) -> Tensor {
        let op = "binary_cross_entropy_with_logits";
        let (x, t, dtype) = pair(op, self, t);
        let log = match pos_weight {
            Some(p) => {
                let (p, t, _) = pair(op, p, &t);
                weighted(op, x.logsigmoid(), Some(&((p - 1.0) * t + 1.0)))
            }
            None => x.logsigmoid(),
        };
        reduction.of(&weighted(op, (1.0 - t) * x - log, weight)).cast(dtype)
    }

    /// `t (ln t - x)` for log-probabilities `x`, 0 where `t` is 0; with `log_target`, `eᵗ (t - x)`. Derivative: `-t`, or
    /// `-eᵗ`. The mean over a batch is [`Reduction::BatchMean`].
    ///
    /// # Panics
    /// If the shapes do not broadcast or no operand holds floats.
    ///
    /// Source: [torch.nn.functional.kl_div](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.kl_div.html).
    #[track_caller]
    pub fn kl_div(&self, t: &Tensor, log_target: bool, reduction: Reduction) -> Tensor {
        let (x, t, dtype) = pair("kl_div", self, t);
        let losses = if log_target { t.exp() * (t - x) } else { t.xlogy(&t) - t * x };
        reduction.of(&losses).cast(dtype)
    }

    /// `eˣ - t x` for the logarithm of a rate, else `x - t ln(x + eps)`: how unlikely the count `t` is. Derivative:
    /// `eˣ - t`, or `1 - t / (x + eps)`.
    ///
    /// # Panics
    /// If the shapes do not broadcast or no operand holds floats.
    ///
    /// Source: [torch.nn.functional.poisson_nll_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.poisson_nll_loss.html).
    #[track_caller]
    pub fn poisson_nll_loss(&self, t: &Tensor, options: PoissonNllOptions) -> Tensor {
        let (x, t, dtype) = pair("poisson_nll_loss", self, t);
        let mut losses = if options.log_input { x.exp() - &t * x } else { &x - &t * (&x + options.eps).log() };
        if options.full {
            let large = t.gt(1.0);
            // Where the target is small, a number that the formula has a finite derivative at.
            let t = Tensor::where_(&large, t, 1.0);
            let stirling = &t * t.log() - &t + 0.5 * (t * std::f64::consts::TAU).log();
            losses = losses + Tensor::where_(&large, stirling, 0.0);
        }
        options.reduction.of(&losses).cast(dtype)
    }

    /// `(ln v + (x - t)² / v) / 2` for the mean `x` and the variance `v`: how unlikely `t` is. `v` has the input's shape,
    /// or one without its last dimension, or with 1 there; derivatives are as if no variance were raised.
    ///
    /// # Panics
    /// If the shapes do not fit or no operand holds floats.
    ///
    /// Source: [torch.nn.functional.gaussian_nll_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gaussian_nll_loss.html).
    #[track_caller]
    pub fn gaussian_nll_loss(&self, t: &Tensor, v: &Tensor, options: GaussianNllOptions) -> Tensor {
        let op = "gaussian_nll_loss";
        let (x, t, dtype) = pair(op, self, t);
        let shape = x.shape();
        let short = shape.len() == v.rank() + 1 && shape.starts_with(v.shape());
        let v = if short && v.shape() != shape { v.unsqueeze(-1) } else { v.clone() };
        let (d, v, _) = pair(op, &(x - t), &v.wide());
        let v = v.raised(options.eps);
        let mut losses = 0.5 * (v.log() + &d * &d / v);
        if options.full {
            losses = losses + 0.5 * std::f64::consts::TAU.ln();
        }
        options.reduction.of(&losses).cast(dtype)
    }
}

/// Losses times weights, if there are any.
#[track_caller]
pub(crate) fn weighted(op: &str, losses: Tensor, weight: Option<&Tensor>) -> Tensor {
    match weight {
        Some(w) => {
            let (losses, w, _) = pair(op, &losses, &w.wide());
            losses * w
        }
        None => losses,
    }
}
