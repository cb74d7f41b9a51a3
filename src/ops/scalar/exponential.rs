//! Exponentials, logarithms, and what is made of them.

use super::*;
use crate::dtype::DType;
use crate::tensor::Tensor;
use std::f64::consts::{LN_2, LN_10};

rows! {
    /// `eˣ`. Derivative: `y`.
    exp(x) => "Exp" Float {
        cpu: |x| x.exp(),
        single: single::exp(x),
        wgsl: "exp_(x)",
        grad: [|g, y| g * y],
        test: [(-4.0, 4.0)], at [0.0, -80.0, 80.0, 200.0, f64::NEG_INFINITY, f64::NAN], within 1e-6,
    }
    /// `2ˣ`. Derivative: `y ln 2`.
    exp2(x) => "Exp2" Float {
        cpu: |x| x.exp2(),
        single: x.exp2(),
        wgsl: "exp2_(x)",
        grad: [|g, y| g * (LN_2 * y)],
        test: [(-4.0, 4.0)], at [0.0, 3.0, -120.0, 127.5, 200.0, f64::NEG_INFINITY, f64::NAN], within 1e-6,
    }
    /// `eˣ - 1`, without loss of digits near 0. Derivative: `y + 1`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1e-10], &Device::cpu());
    /// assert_eq!(x.expm1().item()? as f32, 1e-10);
    /// assert_eq!((x.exp() - 1.0).item()?, 0.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    expm1(x) => "Expm1" Float {
        cpu: |x| x.exp_m1(),
        single: single::expm1(x),
        wgsl: "expm1_(x)",
        grad: [|g, y| g * (y + 1.0)],
        test: [(-4.0, 4.0)], at [0.0, 1e-7, -80.0, 80.0, 200.0, f64::NEG_INFINITY, f64::NAN], within 1e-6,
    }
    /// The natural logarithm. Derivative: `1 / x`.
    log(x) => "Log" Float {
        cpu: |x| x.ln(),
        single: single::log(x),
        wgsl: "ln_(x)",
        grad: [|g, x| g / x],
        test: [(0.2, 4.0)], at [1.0, 1.0001, 0.0, -1.0, f64::INFINITY, f64::NAN], within 1e-6,
    }
    /// The logarithm to base 2, exact for powers of 2. Derivative: `1 / (x ln 2)`.
    log2(x) => "Log2" Float {
        cpu: |x| x.log2(),
        single: x.log2(),
        wgsl: "log2_(x)",
        grad: [|g, x| g / (x * LN_2)],
        test: [(0.2, 4.0)], at [1.0, 1.0001, 8.0, 0.0, -1.0, f64::INFINITY, f64::NAN], within 1e-6,
    }
    /// The logarithm to base 10. Derivative: `1 / (x ln 10)`.
    log10(x) => "Log10" Float {
        cpu: |x| x.log10(),
        single: x.log10(),
        wgsl: "log10_(x)",
        grad: [|g, x| g / (x * LN_10)],
        test: [(0.2, 4.0)], at [1.0, 1.0001, 1000.0, 0.0, -1.0, f64::INFINITY, f64::NAN], within 1e-6,
    }
    /// `ln(1 + x)`, without loss of digits near 0. Derivative: `1 / (1 + x)`.
    log1p(x) => "Log1P" Float {
        cpu: |x| x.ln_1p(),
        single: single::log1p(x),
        wgsl: "log1p_(x)",
        grad: [|g, x| g / (x + 1.0)],
        test: [(-0.5, 4.0)], at [0.0, 1e-7, -1.0, -2.0, f64::INFINITY, f64::NAN], within 1e-6,
    }
    logit(x) => "Logit" Float {
        cpu: |x| (x / (1.0 - x)).ln(),
        wgsl: "logit_(x)",
        grad: [|g, x| Tensor::where_(&x.ge(0.0).logical_and(x.le(1.0)), g / (x * (1.0 - x)), f64::NAN)],
        test: [(0.05, 0.95)], at [0.0, 0.5, 1.0, -1.0, 2.0, f64::NAN], within 2e-6,
    }
    /// `ln(eᵃ + eᵇ)`, without overflow. Derivatives: `sigmoid(a - b)` and `sigmoid(b - a)`.
    logaddexp(a, b) => "Logaddexp" Float {
        cpu: |a, b| {
            let high = double::larger(a, b);
            if high.is_finite() { high + (-(a - b).abs()).exp().ln_1p() } else { high }
        },
        wgsl: "logaddexp_(a, b)",
        grad: [|g, a, b| g * (a - b).sigmoid(), |g, a, b| g * (b - a).sigmoid()],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 200.0], within 1e-6, of 1.0,
    }
    /// `log2(2ᵃ + 2ᵇ)`, without overflow. Derivatives: `1 / (1 + 2ᵇ⁻ᵃ)` and `1 / (1 + 2ᵃ⁻ᵇ)`.
    logaddexp2(a, b) => "Logaddexp2" Float {
        cpu: |a, b| {
            let high = double::larger(a, b);
            if high.is_finite() { high + (-(a - b).abs()).exp2().ln_1p() / LN_2 } else { high }
        },
        wgsl: "logaddexp2_(a, b)",
        grad: [|g, a, b| g * ((a - b) * LN_2).sigmoid(), |g, a, b| g * ((b - a) * LN_2).sigmoid()],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 200.0], within 1e-6, of 1.0,
    }
    /// `a ln b`, 0 where `a` is 0 and `b` no NaN. Derivatives: `ln b`, 0 where `a` is 0 and `b` not positive; and `a / b`.
    xlogy(a, b) => "Xlogy" Float {
        cpu: |a, b| if b.is_nan() { b } else if a == 0.0 { 0.0 } else { a * b.ln() },
        wgsl: "select(select(a * ln_(b), 0.0, a == 0.0 && !is_nan(a)), nan_(), is_nan(b))",
        grad: [
            |g, a, b| unless(a.eq(0.0).logical_and(b.le(0.0)), &(g * b.log())),
            |g, a, b| g * (a / b)
        ],
        test: [(-4.0, 4.0), (0.2, 4.0)], at [0.0, 1.0], within 2e-6,
    }
    /// `-x ln x`, the entropy; 0 at 0, and negatively infinite below. Derivative: `-ln x - 1`.
    entr(x) => "SpecialEntr" Float {
        cpu: |x| if x == 0.0 { 0.0 } else if x < 0.0 { f64::NEG_INFINITY } else { -x * x.ln() },
        wgsl: "select(select(-x * ln_(x), 0.0, x == 0.0 && !is_nan(x)), -inf_(), lt_(x, 0.0))",
        grad: [|g, x| -(g * (x.log() + 1.0))],
        test: [(0.2, 4.0)], at [0.0, 1.0, -1.0, f64::INFINITY, f64::NAN], within 2e-6,
    }
    /// `a ln(1 + b)`, 0 where `a` is 0 and `b` no NaN. Derivatives: `ln(1 + b)`, 0 where `a` is 0 and `b` not above -1; and
    /// `a / (1 + b)`.
    xlog1py(a, b) => "SpecialXlog1Py" Float {
        cpu: |a, b| if b.is_nan() { b } else if a == 0.0 { 0.0 } else { a * b.ln_1p() },
        wgsl: "select(select(a * log1p_(b), 0.0, a == 0.0 && !is_nan(a)), nan_(), is_nan(b))",
        grad: [
            |g, a, b| unless(a.eq(0.0).logical_and(b.le(-1.0)), &(g * b.log1p())),
            |g, a, b| g * (a / (b + 1.0))
        ],
        test: [(-4.0, 4.0), (-0.5, 4.0)], at [0.0, 1.0], within 2e-6,
    }
    frexp_mantissa(x) => "Frexp" Float {
        cpu: |x| double::frexp(x).0,
        wgsl: "frexp_mantissa_(x)",
        grad: [|g, x| g * (-map(&rows::frexp_exponent, &[x.untracked().into()])).exp2()],
        test: [(0.55, 0.95)], at [0.0, 3.0, -1e-40, 1e-44, 1e30, f64::INFINITY, f64::NAN], within 0.0,
    }
    frexp_exponent(x) => "Frexp" Float {
        cpu: |x| double::frexp(x).1,
        wgsl: "frexp_exponent_(x)",
        grad: [],
        test: [(0.55, 0.95)], at [0.0, 3.0, -1e-40, 1e-44, 1e30, f64::INFINITY, f64::NAN], within 0.0,
    }
}

impl Tensor {
    /// The mantissa `m`, of magnitude from 1/2 to 1, and the exponent `e`, an `I32`, of `x = m 2ᵉ`, exactly; `x` and 0 for
    /// zeros, infinities and NaN. Derivative of the mantissa: `2⁻ᵉ`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let (m, e) = Tensor::new([6.0, -0.25], &Device::cpu()).frexp();
    /// assert_eq!((m.to_vec::<f32>()?, e.to_vec::<i32>()?), (vec![0.75, -0.5], vec![3, -1]));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the elements are no floats.
    ///
    /// Source: [torch.frexp](https://docs.pytorch.org/docs/stable/generated/torch.frexp.html).
    #[track_caller]
    pub fn frexp(&self) -> (Tensor, Tensor) {
        self.expect_float("frexp");
        let exponent = map(&rows::frexp_exponent, &[self.untracked().wide().into()]);
        (map(&rows::frexp_mantissa, &[self.into()]), exponent.cast(DType::I32))
    }
}
