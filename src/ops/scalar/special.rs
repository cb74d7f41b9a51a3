//! Error and gamma functions.

use super::*;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

rows! {
    /// The error function `2/√π ∫ e^(-t²) dt` from 0 to `x`. Derivative: `2/√π e^(-x²)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([0.5], &Device::cpu());
    /// assert!((x.erf().erfinv().item()? - 0.5).abs() < 1e-6);
    /// assert!((x + 8.5).erfc().item()? > 4.1e-37);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    erf(x) => "Erf" Float {
        cpu: libm::erf,
        single: single::erf(x),
        wgsl: "erf_(x)",
        grad: [|g, x| g * (FRAC_2_SQRT_PI * (-(x * x)).exp())],
        test: [(-3.0, 3.0)], at [0.0, 1e-7, 0.92, 5.0, f64::INFINITY, f64::NAN], within 1e-6,
    }
    /// `1 - erf x`, without loss of digits where that is small. Derivative: `-2/√π e^(-x²)`.
    erfc(x) => "Erfc" Float {
        cpu: libm::erfc,
        single: single::erfc(x),
        wgsl: "erfc_(x)",
        grad: [|g, x| -(g * (FRAC_2_SQRT_PI * (-(x * x)).exp()))],
        test: [(-3.0, 3.0)], at [0.0, 5.0, 9.0, f64::INFINITY, f64::NAN], within 2e-6,
    }
    /// The share of standard normal numbers below `x`: `erfc(-x / √2) / 2`. Derivative: their density, `e^(-x²/2) / √(2π)`.
    ndtr(x) => "SpecialNdtr" Float {
        cpu: |x| 0.5 * libm::erfc(-x * FRAC_1_SQRT_2),
        wgsl: "select(normal_cdf_(x), x, is_nan(x))",
        grad: [|g, x| g * (0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI * (-0.5 * x * x).exp())],
        test: [(-3.0, 3.0)], at [0.0, -5.0, -9.3, -12.9, 9.0, f64::INFINITY, f64::NAN], within 3e-6,
    }
    /// The number whose error function is `x`; infinite at ±1, NaN beyond. Derivative: `√π/2 e^(y²)`.
    erfinv(x) => "Erfinv" Float {
        cpu: double::erfinv,
        wgsl: "erfinv_(x)",
        grad: [|g, x| g * (x.erfinv().square().exp() / FRAC_2_SQRT_PI)],
        test: [(-0.9, 0.9)], at [0.0, 1e-7, 0.9999, 0.9999999, 1.0, -1.0, 2.0, f64::NAN], within 1e-6,
    }
    /// `ln |Γ(x)|`. Derivative: [`Tensor::digamma`].
    lgamma(x) => "Lgamma" Float {
        cpu: libm::lgamma,
        wgsl: "lgamma_(x)",
        grad: [|g, x| g * x.digamma()],
        test: [(0.2, 6.0)], at [0.0, 1.0, 1.0001, 2.0, 100.0, -0.1, -1.5, -20.3, f64::INFINITY, f64::NAN], within 4e-6, of 1.0,
    }
    /// The derivative of `ln Γ(x)`; infinite at 0, NaN at the negative integers. Derivative: [`Tensor::polygamma`] of 1.
    digamma(x) => "Digamma" Float {
        cpu: double::digamma,
        wgsl: "digamma_(x)",
        grad: [|g, x| g * x.polygamma(1)],
        test: [(0.2, 6.0)], at [0.0, 1.0, 1.4616, 2.0, 100.0, -0.1, -1.5, f64::INFINITY, f64::NAN], within 4e-6, of 1.0,
    }
    polygamma(a, b) => "Polygamma" Float {
        cpu: double::polygamma,
        wgsl: "polygamma_(a, b)",
        grad: [|g, a, b| g * map(&rows::polygamma, &[a.into(), (b + 1.0).into()])],
        test: [(0.2, 6.0), (1.0, 1.0)], at [2.0], within 1e-5,
    }
}

impl Tensor {
    /// The derivative of order `n` of [`Tensor::digamma`]; `n = 0` is digamma itself. Derivative: order `n + 1`.
    ///
    /// Infinite at 0 and the negative integers. For `n > 1` it is NaN below -512.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::new([1.0], &Device::cpu()).polygamma(1);
    /// assert!((y.item()? - 1.644934).abs() < 1e-6); // π² / 6
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `n` is above 30: the values leave the range of `f32`.
    ///
    /// Source: [torch.special.polygamma](https://docs.pytorch.org/docs/stable/special.html#torch.special.polygamma).
    #[track_caller]
    pub fn polygamma(&self, n: usize) -> Tensor {
        if n > 30 {
            crate::error::misuse("polygamma", format!("order {n} is above 30, for shape {:?}", self.shape()));
        }
        map(&rows::polygamma, &[self.into(), n.into()])
    }
}
