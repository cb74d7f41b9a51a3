//! Statistics: variances, standard deviations, and covariances.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::shape::{Dims, Ints, axes};
use crate::tensor::Tensor;
use crate::tensor::node::Save;

impl Tensor {
    /// The variance of all elements, divided by `n - correction`; 1 is the unbiased estimate.
    /// Derivative: `2 (x - mean) / (n - correction)`.
    #[track_caller]
    pub fn var(&self, correction: f64) -> Tensor {
        self.deviation("var", "VarBackward0", false, axes("var", self.shape(), ()), correction, false)
    }

    /// The variance over dimensions, divided by `n - correction`; otherwise as [`Tensor::var`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1.0, 3.0], [2.0, 6.0]], &Device::cpu());
    /// assert_eq!(x.var_dim(1, 1.0, false).to_vec::<f32>()?, [2.0, 8.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the elements are no floats, or a dimension is out of range or named twice.
    #[track_caller]
    pub fn var_dim(&self, dims: impl Ints, correction: f64, keepdim: bool) -> Tensor {
        self.deviation("var", "VarBackward0", false, axes("var", self.shape(), dims), correction, keepdim)
    }

    /// The standard deviation of all elements, the root of [`Tensor::var`].
    /// Derivative: `(x - mean) / ((n - correction) y)`, 0 where all elements are equal.
    #[track_caller]
    pub fn std(&self, correction: f64) -> Tensor {
        self.deviation("std", "StdBackward0", true, axes("std", self.shape(), ()), correction, false)
    }

    /// The standard deviation over dimensions, the root of [`Tensor::var_dim`]; otherwise as [`Tensor::std`].
    ///
    /// # Panics
    /// If the elements are no floats, or a dimension is out of range or named twice.
    #[track_caller]
    pub fn std_dim(&self, dims: impl Ints, correction: f64, keepdim: bool) -> Tensor {
        self.deviation("std", "StdBackward0", true, axes("std", self.shape(), dims), correction, keepdim)
    }

    /// [`Tensor::var_dim`] and [`Tensor::mean_dim`] over the same dimensions, all of them for `()`.
    ///
    /// # Panics
    /// If the elements are no floats, or a dimension is out of range or named twice.
    #[track_caller]
    pub fn var_mean(&self, dims: impl Ints, correction: f64, keepdim: bool) -> (Tensor, Tensor) {
        let dims = axes("var_mean", self.shape(), dims);
        (
            self.deviation("var_mean", "VarMeanBackward0", false, dims.clone(), correction, keepdim),
            self.mean_named("VarMeanBackward0", dims, keepdim),
        )
    }

    /// [`Tensor::std_dim`] and [`Tensor::mean_dim`] over the same dimensions, all of them for `()`.
    ///
    /// # Panics
    /// If the elements are no floats, or a dimension is out of range or named twice.
    #[track_caller]
    pub fn std_mean(&self, dims: impl Ints, correction: f64, keepdim: bool) -> (Tensor, Tensor) {
        let dims = axes("std_mean", self.shape(), dims);
        (
            self.deviation("std_mean", "StdMeanBackward0", true, dims.clone(), correction, keepdim),
            self.mean_named("StdMeanBackward0", dims, keepdim),
        )
    }

    /// The variance over dimensions, or its root.
    #[track_caller]
    fn deviation(
        &self,
        op: &str,
        name: &'static str,
        root: bool,
        dims: Dims,
        correction: f64,
        keepdim: bool,
    ) -> Tensor {
        self.expect_float(op);
        let divisor = (self.count(&dims) - correction).max(0.0);
        let with_ones = self.kept(&dims);
        let over = dims.clone();
        // Two passes, the mean first: the difference of mean square and squared mean loses all digits.
        let centred = move |x: &Tensor| x - x.mean_named("MeanBackward1", over.clone(), true);
        let variance = |x: &Tensor| {
            let d = centred(x);
            (&d * &d).sum_named("SumBackward1", dims.clone(), keepdim) / divisor
        };
        let rule = centred.clone();
        if !root {
            let definition = || self.rounded_once(variance);
            return composite(name, &[self], &[Save::Input(self)], definition, move |call| {
                let g = call.g.wide().reshape(&with_ones[..]);
                vec![Some((rule(&call.saved[0].wide()) * (g * (2.0 / divisor))).cast(call.g.dtype()))]
            });
        }
        let definition = || self.rounded_once(|x| variance(x).sqrt());
        composite(name, &[self], &[Save::Input(self), Save::Output], definition, move |call| {
            let wide = |x: &Tensor| x.wide().reshape(&with_ones[..]);
            let (g, y) = (wide(call.g), wide(&call.saved[1]));
            let flat = y.eq(0.0);
            let slope = Tensor::where_(&flat, 0.0, g / (Tensor::where_(&flat, 1.0, y) * divisor));
            vec![Some((rule(&call.saved[0].wide()) * slope).cast(call.g.dtype()))]
        })
    }

    /// The covariances of variables, the rows, over observations, the columns: `Σ w (x - mean)(x - mean)ᵀ / divisor`. A
    /// vector is one variable. Derivative: that of the formula.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let c = Tensor::new([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]], &Device::cpu()).cov(Default::default());
    /// assert_eq!(c.to_vec::<f32>()?, [1.0, -1.0, -1.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the rank is above 2, or weights are not as many as observations.
    ///
    /// Source: [torch.cov](https://docs.pytorch.org/docs/stable/generated/torch.cov.html).
    #[track_caller]
    pub fn cov(&self, options: CovOptions) -> Tensor {
        let CovOptions { correction, frequencies, weights } = options;
        if self.rank() > 2 {
            misuse("cov", format!("needs a matrix of variables and observations, not {:?}", self.shape()));
        }
        let x = if self.dtype().is_float() { self.clone() } else { self.cast(crate::DType::F32) };
        let x = if x.rank() == 2 { x } else { x.reshape([1, -1]) };
        let n = x.shape()[1];
        for w in [&frequencies, &weights].into_iter().flatten() {
            if w.rank() > 1 || w.numel() != n {
                misuse("cov", format!("weights {:?} for {n} observations", w.shape()));
            }
        }
        let w = match (&frequencies, &weights) {
            (Some(f), Some(w)) => Some(f * w),
            (Some(w), None) | (None, Some(w)) => Some(w.clone()),
            (None, None) => None,
        };
        let w = w.map(|w| w.cast(x.dtype()).reshape([1, -1]));
        let (mean, divisor) = match &w {
            None => (x.mean_dim(1, true), Tensor::number(n as f64 - correction, x.dtype(), &x.device())),
            Some(w) => {
                let total = w.sum();
                let spent = match &weights {
                    Some(weights) if correction != 0.0 => (w * weights.cast(x.dtype())).sum() / &total * correction,
                    _ => Tensor::number(correction, x.dtype(), &x.device()),
                };
                ((&x * w).sum_dim(1, true) / &total, total - spent)
            }
        };
        let d = x - mean;
        let weighted = w.map_or(d.clone(), |w| &d * w);
        let y = weighted.matmul(&d.t()) / divisor.maximum(0.0);
        if y.numel() == 1 { y.reshape(()) } else { y }
    }

    /// The correlation coefficients of variables, the rows, over observations, the columns: the covariances divided by
    /// both standard deviations, held between -1 and 1. Derivative: that of the formula.
    ///
    /// # Panics
    /// If the rank is above 2.
    ///
    /// Source: [torch.corrcoef](https://docs.pytorch.org/docs/stable/generated/torch.corrcoef.html).
    #[track_caller]
    pub fn corrcoef(&self) -> Tensor {
        if self.rank() > 2 {
            misuse("corrcoef", format!("needs a matrix of variables and observations, not {:?}", self.shape()));
        }
        let c = self.cov(CovOptions::default());
        if c.rank() == 0 {
            return c.div(&c);
        }
        let x = if self.dtype().is_float() { self.clone() } else { self.cast(crate::DType::F32) };
        let std = x.std_dim(1, 1.0, true);
        (c / &std / std.t()).clamp(-1.0, 1.0)
    }
}

/// How [`Tensor::cov`] counts observations.
#[derive(Clone, Debug)]
pub struct CovOptions {
    /// Subtracted from the number of observations in the divisor; 1 by default, for the unbiased estimate.
    pub correction: f64,
    /// How often each observation was made, as integers.
    pub frequencies: Option<Tensor>,
    /// How much each observation counts.
    pub weights: Option<Tensor>,
}

impl Default for CovOptions {
    fn default() -> CovOptions {
        CovOptions { correction: 1.0, frequencies: None, weights: None }
    }
}
