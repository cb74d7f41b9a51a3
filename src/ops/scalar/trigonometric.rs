//! Circular and hyperbolic functions, their inverses, and lengths and angles in a plane.

use super::*;
use std::f64::consts::PI;

rows! {
    /// The sine of `x` in radians, right to the last digits however large `x` is. Derivative: `cos x`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::new([1e22], &Device::cpu()).sin();
    /// assert!((y.item()? - (1e22f32 as f64).sin()).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    sin(x) => "Sin" Float {
        cpu: |x| x.sin(),
        single: single::sin(x), beyond single::MAX_ANGLE: x.sin(),
        wgsl: "sin_(x)",
        grad: [|g, x| g * x.cos()],
        test: [(-3.0, 3.0)], at [0.0, 1e-7, 22.0, 1e5, 3.4e38, -3.4e38, f64::INFINITY], within 4e-7,
    }
    /// The cosine of `x` in radians. Derivative: `-sin x`.
    cos(x) => "Cos" Float {
        cpu: |x| x.cos(),
        single: single::cos(x), beyond single::MAX_ANGLE: x.cos(),
        wgsl: "cos_(x)",
        grad: [|g, x| -(g * x.sin())],
        test: [(-3.0, 3.0)], at [0.0, 1e-7, 22.0, 1e5, 3.4e38, -3.4e38, f64::INFINITY], within 4e-7,
    }
    /// The tangent of `x` in radians. Derivative: `1 + y²`.
    tan(x) => "Tan" Float {
        cpu: |x| x.tan(),
        single: x.tan(),
        wgsl: "tan_(x)",
        grad: [|g, y| g * (1.0 + y * y)],
        test: [(-1.4, 1.4)], at [0.0, 1e-7, 22.0, 1e5, 3.4e38, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 8e-7,
    }
    /// The angle in `[-π/2, π/2]` whose sine is `x`. Derivative: `1 / √(1 - x²)`.
    asin(x) => "Asin" Float {
        cpu: |x| x.asin(),
        single: x.asin(),
        wgsl: "asin_(x)",
        grad: [|g, x| g * (1.0 - x * x).rsqrt()],
        test: [(-0.9, 0.9)], at [0.0, 1e-5, 0.5, 0.999, 1.0, -1.0, 2.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 8e-7,
    }
    /// The angle in `[0, π]` whose cosine is `x`. Derivative: `-1 / √(1 - x²)`.
    acos(x) => "Acos" Float {
        cpu: |x| x.acos(),
        single: x.acos(),
        wgsl: "acos_(x)",
        grad: [|g, x| -(g * (1.0 - x * x).rsqrt())],
        test: [(-0.9, 0.9)], at [0.0, 0.5, 0.999, 1.0, -1.0, 2.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 8e-7,
    }
    /// The angle in `[-π/2, π/2]` whose tangent is `x`. Derivative: `1 / (1 + x²)`.
    atan(x) => "Atan" Float {
        cpu: |x| x.atan(),
        single: x.atan(),
        wgsl: "atan_(x)",
        grad: [|g, x| g / (x * x + 1.0)],
        test: [(-4.0, 4.0)], at [0.0, 1e-5, 1.0, 1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 8e-7,
    }
    /// The hyperbolic sine. Derivative: `cosh x`.
    sinh(x) => "Sinh" Float {
        cpu: |x| x.sinh(),
        single: x.sinh(),
        wgsl: "sinh_(x)",
        grad: [|g, x| g * x.cosh()],
        test: [(-4.0, 4.0)], at [0.0, 1e-5, 11.0, 89.0, 1000.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 1.5e-6,
    }
    /// The hyperbolic cosine. Derivative: `sinh x`.
    cosh(x) => "Cosh" Float {
        cpu: |x| x.cosh(),
        single: x.cosh(),
        wgsl: "cosh_(x)",
        grad: [|g, x| g * x.sinh()],
        test: [(-4.0, 4.0)], at [0.0, 1e-5, 11.0, 89.0, 1000.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 1.5e-6,
    }
    /// The hyperbolic tangent. Derivative: `1 - y²`.
    tanh(x) => "Tanh" Float {
        cpu: |x| x.tanh(),
        single: single::tanh(x),
        wgsl: "tanh_(x)",
        grad: [|g, y| g * (1.0 - y * y)],
        test: [(-4.0, 4.0)], at [0.0, 1e-4, 50.0, 1000.0, f64::INFINITY, f64::NAN], within 2e-6,
    }
    /// The inverse hyperbolic sine. Derivative: `1 / √(x² + 1)`.
    asinh(x) => "Asinh" Float {
        cpu: double::asinh,
        wgsl: "asinh_(x)",
        grad: [|g, x| g * (x * x + 1.0).rsqrt()],
        test: [(-4.0, 4.0)], at [0.0, 1e-5, 1e4, 3e38, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 1e-6,
    }
    /// The inverse hyperbolic cosine, NaN below 1. Derivative: `1 / √(x² - 1)`.
    acosh(x) => "Acosh" Float {
        cpu: double::acosh,
        wgsl: "acosh_(x)",
        grad: [|g, x| g * (x * x - 1.0).rsqrt()],
        test: [(1.2, 4.0)], at [1.0, 1.0001, 1e4, 3e38, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 1e-6,
    }
    /// The inverse hyperbolic tangent, NaN beyond ±1. Derivative: `1 / (1 - x²)`.
    atanh(x) => "Atanh" Float {
        cpu: double::atanh,
        wgsl: "atanh_(x)",
        grad: [|g, x| g / (1.0 - x * x)],
        test: [(-0.9, 0.9)], at [0.0, 1e-5, 0.5, 0.999, 1.0, -1.0, 2.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN], within 1e-6,
    }
    /// The sine of `πx` over `πx`, and 1 at 0. Derivative: `(cos πx - y) / x`, 0 at 0.
    sinc(x) => "Sinc" Float {
        cpu: double::sinc,
        wgsl: "sinc_(x)",
        grad: [|g, x| unless(x.eq(0.0), &(g * (((x * PI).cos() - x.sinc()) / x)))],
        test: [(0.3, 3.7)], at [0.0, 1e-7, 1.0, 7.5, 1e30, f64::INFINITY, f64::NAN], within 1e-6,
    }
    /// Degrees as radians: `x π / 180`. Derivative: `π / 180`.
    deg2rad(x) => "Deg2Rad" Float {
        cpu: |x| x * (PI / 180.0),
        wgsl: "x * 0.017453292519943295",
        grad: [|g| g * (PI / 180.0)],
        test: [(-180.0, 180.0)], at [0.0], within 2e-7,
    }
    /// Radians as degrees: `x 180 / π`. Derivative: `180 / π`.
    rad2deg(x) => "Rad2Deg" Float {
        cpu: |x| x * (180.0 / PI),
        wgsl: "x * 57.29577951308232",
        grad: [|g| g * (180.0 / PI)],
        test: [(-4.0, 4.0)], at [0.0], within 2e-7,
    }
    /// The angle in `[-π, π]` of the point with height `a` and width `b`, zeros and infinities with their signs.
    /// Derivatives: `b / (a² + b²)` and `-a / (a² + b²)`, 0 at the origin.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::new([1.0, -1.0], &Device::cpu()).atan2(-1.0);
    /// assert_eq!(y.rad2deg().to_vec::<f32>()?, [135.0, -135.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    atan2(a, b) => "Atan2" Float {
        cpu: |a, b| a.atan2(b),
        wgsl: "atan2_(a, b)",
        grad: [
            |g, a, b| {
                let square = a * a + b * b;
                unless(square.eq(0.0), &(g * (b / square)))
            },
            |g, a, b| {
                let square = a * a + b * b;
                unless(square.eq(0.0), &-(g * (a / square)))
            }
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1e-5, f64::NEG_INFINITY], within 1e-6,
    }
    /// The angle of `x` on the line of real numbers: π where it is negative, else 0; NaN of NaN. Derivative: 0.
    angle(x) => "Angle" Float {
        cpu: |x| if x.is_nan() { x } else if x < 0.0 { PI } else { 0.0 },
        wgsl: "select(select(0.0, 3.14159265359, x < 0.0), x, is_nan(x))",
        grad: [|g| g.zeros_like()],
        test: [(-4.0, 4.0)], at [0.0, -0.0, f64::NEG_INFINITY, f64::NAN], within 1e-7,
    }
    /// `√(a² + b²)`, without overflow on the way. Derivatives: `a / y` and `b / y`, NaN at the origin.
    hypot(a, b) => "Hypot" Float {
        cpu: |a, b| a.hypot(b),
        wgsl: "hypot_(a, b)",
        grad: [|g, a, y| g * (a / y), |g, b, y| g * (b / y)],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 3.0, 4.0], within 1e-6,
    }
}
