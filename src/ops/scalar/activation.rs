//! Activations: the scalar functions between the layers of a network.

use super::*;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// The two constants that let activations keep mean 0 and variance 1.
///
/// Source: [Self-Normalizing Neural Networks](https://arxiv.org/abs/1706.02515).
const SELU: [f64; 2] = [1.0507009873554805, 1.6732632423543772];

rows! {
    /// `1 / (1 + e⁻ˣ)`. Derivative: `y (1 - y)`.
    sigmoid(x) => "Sigmoid" Float {
        cpu: |x| 1.0 / (1.0 + (-x).exp()),
        single: single::sigmoid(x),
        wgsl: "sigmoid_(x)",
        grad: [|g, y| g * (y * (1.0 - y))],
        test: [(-4.0, 4.0)], at [0.0, 200.0, -200.0, f64::NAN], within 2e-6,
    }
    /// `ln sigmoid x`, without overflow. Derivative: `sigmoid(-x)`.
    logsigmoid(x) => "LogSigmoid" Float {
        cpu: |x| x.min(0.0) - (-x.abs()).exp().ln_1p() + if x.is_nan() { x } else { 0.0 },
        single: single::select(x < 0.0, x, 0.0) - single::log1p(single::exp(-x.abs())) + single::select(x.is_nan(), x, 0.0),
        wgsl: "logsigmoid_(x)",
        grad: [|g, x| g * (-x).sigmoid()],
        test: [(-4.0, 4.0)], at [0.0, 200.0, -200.0, f64::NEG_INFINITY, f64::NAN], within 2e-6,
    }
    /// `max(x, 0)`, NaN where `x` is. Derivative: 1 above 0, else 0.
    relu(x) => "Relu" Arithmetic {
        cpu: |x| if x < 0.0 { 0.0 } else { x },
        wgsl: "relu_(x)",
        wgsl_int: "max(x, 0)",
        grad: [|g, y| unless(y.le(0.0), g)],
        test: [(-4.0, 4.0)], at [0.0, f64::NAN, f64::INFINITY], within 0.0,
    }
    /// `x` where it is positive, else `slope · x`. Derivatives: 1 or the slope, the slope at 0; and, for the slope, `x`
    /// where it is not positive.
    leaky_relu(a, b) => ["PreluKernelBackward0", "LeakyReluBackward0", "LeakyReluBackward0"] Float {
        cpu: |a, b| if a > 0.0 { a } else { a * b },
        single: single::select(a > 0.0, a, a * b),
        wgsl: "select(a * b, a, gt_(a, 0.0))",
        grad: [
            |g, a, b| Tensor::where_(&a.gt(0.0), g, g * b),
            |g, a| unless(a.gt(0.0), &(g * a))
        ],
        test: [(-4.0, 4.0), (0.01, 0.5)], at [0.0, f64::NAN], within 1e-7,
    }
    /// `x` where it is positive, else `α (eˣ - 1)`, for a number `α`. Derivative: 1 or `y + α`, which it is at 0.
    elu(a, b) => "Elu" Float {
        cpu: |a, b| if a > 0.0 { a } else { a.exp_m1() * b },
        wgsl: "select(expm1_(a) * b, a, gt_(a, 0.0))",
        grad: [|g, a, b| Tensor::where_(&a.le(0.0), g * (a.elu(b) + b), g)],
        test: [(-4.0, 4.0), (0.5, 2.0)], at [0.0, -80.0, f64::NAN], within 1e-6,
    }
    /// `x` where it is positive, else `α (e^(x/α) - 1)`, for a number `α`. Derivative: 1 or `y / α + 1`.
    celu(a, b) => "Celu" Float {
        cpu: |a, b| if a > 0.0 || a / b == 0.0 { a } else { (a / b).exp_m1() * b },
        wgsl: "select(expm1_(a / b) * b, a, gt_(a, 0.0) || lt_(abs(a / b), 1e-9))",
        grad: [|g, a, b| Tensor::where_(&a.le(0.0), g * (a.celu(b) / b + 1.0), g)],
        test: [(-4.0, 4.0), (0.5, 2.0)], at [0.0, -80.0, f64::NAN], within 2e-6,
    }
    /// `λx` where `x` is positive, else `λα (eˣ - 1)`, with `λ = 1.0507…` and `α = 1.6732…`. Derivative: `λ` or `y + λα`.
    ///
    /// Source: [Self-Normalizing Neural Networks](https://arxiv.org/abs/1706.02515).
    selu(x) => "Elu" Float {
        cpu: |x| if x > 0.0 { SELU[0] * x } else { SELU[0] * SELU[1] * x.exp_m1() },
        wgsl: "select(expm1_(x) * 1.7580993408473766, x * 1.0507009873554805, gt_(x, 0.0))",
        grad: [|g, x| Tensor::where_(&x.le(0.0), g * (x.selu() + SELU[0] * SELU[1]), g * SELU[0])],
        test: [(-4.0, 4.0)], at [0.0, -80.0, f64::NAN], within 1e-6,
    }
    /// `x sigmoid x`, also called swish. Derivative: `s (1 + x (1 - s))` for `s = sigmoid x`.
    silu(x) => "Silu" Float {
        cpu: |x| x / (1.0 + (-x).exp()),
        single: x * single::sigmoid(x),
        wgsl: "silu_(x)",
        grad: [|g, x| {
            let s = x.sigmoid();
            g * (&s * (1.0 + x * (1.0 - &s)))
        }],
        test: [(-4.0, 4.0)], at [0.0, 200.0, -80.0, f64::NEG_INFINITY, f64::NAN], within 2e-6,
    }
    /// `x tanh(softplus x)`. Derivative: `t + x s (1 - t²)` for `t = tanh(softplus x)`, `s = sigmoid x`.
    ///
    /// Source: [Mish](https://arxiv.org/abs/1908.08681).
    mish(x) => "Mish" Float {
        cpu: |x| {
            let e = x.min(30.0).exp();
            x * (e * (e + 2.0) / (e * (e + 2.0) + 2.0))
        },
        wgsl: "mish_(x)",
        grad: [|g, x| {
            let t = x.softplus().tanh();
            g * (&t + x * x.sigmoid() * (1.0 - &t * &t))
        }],
        test: [(-4.0, 4.0)], at [0.0, 20.0, 200.0, -80.0, f64::NEG_INFINITY, f64::NAN], within 2e-6,
    }
    /// `x Φ(x)`, with the normal distribution's `Φ(x) = (1 + erf(x / √2)) / 2`. Derivative: `Φ(x) + x φ(x)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1.0], &Device::cpu());
    /// assert!((x.gelu().item()? - 0.841345).abs() < 1e-6);
    /// assert!((x.gelu_tanh().item()? - 0.841192).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [Gaussian Error Linear Units](https://arxiv.org/abs/1606.08415).
    gelu(x) => "Gelu" Float {
        cpu: |x| x * (0.5 * libm::erfc(x * -FRAC_1_SQRT_2)),
        single: x * single::normal_cdf(x),
        wgsl: "gelu_(x)",
        grad: [|g, x| g * map(&rows::gelu_slope, &[x.into()])],
        test: [(-4.0, 4.0)], at [0.0, 20.0, -5.0, -10.0, f64::INFINITY, f64::NAN], within 2e-6,
    }
    gelu_slope(x) => "GeluSlope" Float {
        cpu: |x| 0.5 * libm::erfc(x * -FRAC_1_SQRT_2) + x * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2) * (-0.5 * x * x).exp(),
        single: single::normal_cdf(x) + x * (0.398_942_3 * single::exp(-0.5 * x * x)),
        wgsl: "normal_cdf_(x) + x * (0.3989423 * exp_(-0.5 * x * x))",
        grad: [|g, x| g * (2.0 - x * x) * (x * x * -0.5).exp() * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2)],
        test: [(-4.0, 4.0)], at [0.0, 20.0, -5.0, -10.0], within 2e-6, of 0.5,
    }
    /// [`Tensor::gelu`] by a hyperbolic tangent: `x (1 + tanh u) / 2` for `u = √(2/π) (x + 0.044715 x³)`; PyTorch's
    /// `approximate="tanh"`. Derivative: `(1 + t + x (1 - t²) u′) / 2` for `t = tanh u`.
    gelu_tanh(x) => "Gelu" Float {
        cpu: |x| x / (1.0 + (-2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (x + 0.044715 * x * x * x)).exp()),
        single: x * single::sigmoid(x * (1.595_769_2 + 0.071_354_814 * x * x)),
        wgsl: "gelu_tanh_(x)",
        grad: [|g, x| {
            let k = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
            let t = ((x + 0.044715 * (x * x * x)) * k).tanh();
            let slope = (1.0 + 3.0 * 0.044715 * (x * x)) * k;
            g * (0.5 * (1.0 + &t) + 0.5 * x * (1.0 - &t * &t) * slope)
        }],
        test: [(-4.0, 4.0)], at [0.0, 20.0, -5.0, f64::NAN], within 2e-6, of 0.1,
    }
    softplus(a, b, c) => "Softplus" Float {
        cpu: |a, b, c| if a * b > c { a } else { double::softplus(a * b) / b },
        single: single::select(a * b > c, a, single::softplus(a * b) / b),
        wgsl: "softplus_(a, b, c)",
        grad: [|g, a, b, c| {
            let t = a * b;
            Tensor::where_(&t.gt(c), g, g * t.sigmoid())
        }],
        test: [(-4.0, 4.0), (0.5, 2.0), (20.0, 20.0)], at [0.0, -80.0], within 1e-6, of 0.1,
    }
    /// `x` held between two numbers, NaN where `x` is. Derivative: 1 strictly between them, else 0, also for NaN.
    hardtanh(a, b, c) => "Hardtanh" Float {
        cpu: |a, b, c| double::smaller(double::larger(a, b), c),
        wgsl: "min_(max_(a, b), c)",
        grad: [|g, a, b, c| Tensor::where_(&a.gt(b).logical_and(a.lt(c)), g, 0.0)],
        test: [(-4.0, 4.0), (-1.0, -0.5), (0.5, 1.0)], at [0.0, 1.0], within 0.0,
    }
    /// `min(max(x, 0), 6)`. Derivative: 1 strictly between 0 and 6, else 0.
    relu6(x) => "Hardtanh" Arithmetic {
        cpu: |x| x.clamp(0.0, 6.0),
        wgsl: "min_(max_(x, 0.0), 6.0)",
        wgsl_int: "min(max(x, 0), 6)",
        grad: [|g, x| Tensor::where_(&x.gt(0.0).logical_and(x.lt(6.0)), g, 0.0)],
        test: [(-8.0, 8.0)], at [0.0, 6.0, f64::NAN], within 0.0,
    }
    /// `min(max(x + 3, 0), 6) / 6`. Derivative: 1/6 strictly between -3 and 3, else 0.
    hardsigmoid(x) => "Hardsigmoid" Float {
        cpu: |x| (x + 3.0).clamp(0.0, 6.0) / 6.0,
        wgsl: "min_(max_(x + 3.0, 0.0), 6.0) / 6.0",
        grad: [|g, x| Tensor::where_(&x.gt(-3.0).logical_and(x.lt(3.0)), g * (1.0 / 6.0), 0.0)],
        test: [(-4.0, 4.0)], at [3.0, -3.0, f64::NAN], within 1e-6, of 0.5,
    }
    softshrink(a, b) => "Softshrink" Float {
        cpu: |a, b| if a > b { a - b } else if a < -b { a + b } else if a.is_nan() { a } else { 0.0 },
        wgsl: "select(select(select(0.0, a + b, lt_(a, -b)), a - b, gt_(a, b)), a, is_nan(a))",
        grad: [|g, a, b| unless(a.abs().le(b), g)],
        test: [(-4.0, 4.0), (0.5, 0.5)], at [0.5], within 1e-7,
    }
    hardshrink(a, b) => "Hardshrink" Float {
        cpu: |a, b| if a >= -b && a <= b { 0.0 } else { a },
        wgsl: "select(a, 0.0, ge_(a, -b) && le_(a, b))",
        grad: [|g, a, b| unless(a.abs().le(b), g)],
        test: [(-4.0, 4.0), (0.5, 0.5)], at [0.5], within 0.0,
    }
    /// `x` where it is above the threshold `b`, else the number `c`. Derivative: 1 above the threshold, else 0.
    threshold(a, b, c) => "Threshold" Arithmetic {
        cpu: |a, b, c| if a <= b { c } else { a },
        wgsl: "select(a, c, le_(a, b))",
        wgsl_int: "select(a, c, a <= b)",
        grad: [|g, a, b| unless(a.le(b), g)],
        test: [(-4.0, 4.0), (0.5, 0.5), (2.0, 2.0)], at [0.5, f64::NAN], within 0.0,
    }
}
