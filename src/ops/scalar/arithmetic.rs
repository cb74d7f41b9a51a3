//! Sums, products, quotients and remainders, rounding, signs and extremes.

use super::*;

rows! {
    /// `-x`. Derivative: `-1`.
    neg(x) => "Neg" Arithmetic {
        cpu: |x| -x,
        int: |x| x.wrapping_neg(),
        wgsl: "-x",
        wgsl_int: "(~x + 1)",
        grad: [|g| -g],
        test: [(-4.0, 4.0)], at [0.0], within 0.0,
    }
    /// `|x|`. Derivative: the sign of `x`, 0 at 0.
    abs(x) => "Abs" Arithmetic {
        cpu: |x| x.abs(),
        int: |x| x.abs(),
        wgsl: "abs(x)",
        grad: [|g, x| g * x.sign()],
        test: [(-4.0, 4.0)], at [0.0, f64::NEG_INFINITY], within 0.0,
    }
    /// -1, 0 or 1, as `x` is negative, 0 (or NaN), or positive. Derivative: 0.
    sign(x) => "Sign" Arithmetic {
        cpu: double::sign,
        wgsl: "sign_(x)",
        wgsl_int: "(x >> 31u) | min(x, 1)",
        grad: [|g| g.zeros_like()],
        test: [(-4.0, 4.0)], at [0.0, f64::NAN], within 0.0,
    }
    /// The largest integer not above `x`. Derivative: 0.
    floor(x) => "Floor" Arithmetic {
        cpu: |x| x.floor(),
        wgsl: "floor(x)",
        wgsl_int: "x",
        grad: [|g| g.zeros_like()],
        test: [(-4.0, 4.0)], at [-0.5, 2.0], within 0.0,
    }
    /// The smallest integer not below `x`. Derivative: 0.
    ceil(x) => "Ceil" Arithmetic {
        cpu: |x| x.ceil(),
        wgsl: "ceil(x)",
        wgsl_int: "x",
        grad: [|g| g.zeros_like()],
        test: [(-4.0, 4.0)], at [-0.5, 2.0], within 0.0,
    }
    /// The nearest integer, halves to the even one. Derivative: 0. See also [`Tensor::round_to`].
    round(x) => "Round" Arithmetic {
        cpu: |x| x.round_ties_even(),
        wgsl: "round(x)",
        wgsl_int: "x",
        grad: [|g| g.zeros_like()],
        test: [(-4.0, 4.0)], at [0.5, 1.5, 2.5], within 0.0,
    }
    /// The integer part of `x`, towards 0. Derivative: 0.
    trunc(x) => "Trunc" Arithmetic {
        cpu: |x| x.trunc(),
        wgsl: "trunc_(x)",
        wgsl_int: "x",
        grad: [|g| g.zeros_like()],
        test: [(-4.0, 4.0)], at [-0.5, 1.5, 1e30], within 0.0,
    }
    /// The fractional part of `x`, with its sign: `x - trunc x`. Derivative: 1.
    frac(x) => "Frac" Float {
        cpu: |x| x - x.trunc(),
        wgsl: "frac_(x)",
        grad: [|g| g.clone()],
        test: [(-4.0, 4.0)], at [-0.5, 1.5, 1e30], within 1e-7,
    }
    square(x) => "Pow" Arithmetic {
        cpu: |x| x * x,
        int: |x| x.wrapping_mul(x),
        wgsl: "x * x",
        grad: [|g, x| g * (2.0 * x)],
        test: [(-4.0, 4.0)], at [0.0], within 1e-7,
    }
    /// `1 / x`. Derivative: `-y²`.
    reciprocal(x) => "Reciprocal" Float {
        cpu: |x| 1.0 / x,
        single: 1.0 / x,
        wgsl: "1.0 / x",
        grad: [|g, y| -(g * y * y)],
        test: [(0.3, 4.0)], at [f64::INFINITY], within 3e-7,
    }
    /// `√x`. Derivative: `1 / 2y`; infinite at 0.
    sqrt(x) => "Sqrt" Float {
        cpu: |x| x.sqrt(),
        single: x.sqrt(),
        wgsl: "sqrt_(x)",
        grad: [|g, y| g / (2.0 * y)],
        test: [(0.2, 4.0)], at [0.0, -1.0, f64::INFINITY], within 3e-7,
    }
    /// `1 / √x`. Derivative: `-y³ / 2`.
    rsqrt(x) => "Rsqrt" Float {
        cpu: |x| 1.0 / x.sqrt(),
        single: 1.0 / x.sqrt(),
        wgsl: "rsqrt_(x)",
        grad: [|g, y| g * (-0.5 * y * y * y)],
        test: [(0.2, 4.0)], at [0.0, -1.0, f64::INFINITY], within 5e-7,
    }

    /// `a + b`. Derivatives: 1 and 1.
    add(a, b) => "Add" Arithmetic {
        cpu: |a, b| a + b,
        int: |a, b| a + b,
        wgsl: "a + b",
        grad: [|g| g.clone(), |g| g.clone()],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, f64::INFINITY], within 1e-7,
    }
    /// `a - b`. Derivatives: 1 and -1.
    sub(a, b) => ["SubBackward0", "SubBackward0", "RsubBackward1"] Arithmetic {
        cpu: |a, b| a - b,
        int: |a, b| a - b,
        wgsl: "a - b",
        grad: [|g| g.clone(), |g| -g],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0], within 1e-7,
    }
    /// `a b`. Derivatives: `b` and `a`.
    mul(a, b) => "Mul" Arithmetic {
        cpu: |a, b| a * b,
        int: |a, b| a.wrapping_mul(b),
        wgsl: "a * b",
        grad: [|g, b| g * b, |g, a| g * a],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0], within 1e-7,
    }
    /// `a / b`, a float also for integers. Derivatives: `1 / b` and `-a / b²`.
    div(a, b) => "Div" Float {
        cpu: |a, b| a / b,
        single: a / b,
        wgsl: "a / b",
        grad: [|g, b| g / b, |g, a, b| -(g * ((a / b) / b))],
        test: [(-4.0, 4.0), (0.3, 4.0)], at [1.0], within 3e-7,
    }
    /// `⌊a / b⌋`. Derivatives: 0.
    ///
    /// Exact for floats too, whatever the size of the quotient.
    ///
    /// # Errors
    /// An integer divided by 0 is told when the result is read from the CPU device; on a GPU it is 0.
    div_floor(a, b) => "Div" Arithmetic {
        cpu: double::div_floor,
        int: |a, b| if b == 0 { 0 } else { a.div_euclid(b) - (b < 0 && a.rem_euclid(b) != 0) as i64 },
        divides: true,
        wgsl: "div_floor_(a, b)",
        wgsl_int: "div_floor_T_(a, b)",
        grad: [|g| g.zeros_like(), |g| g.zeros_like()],
        test: [(-4.0, 4.0), (0.3, 4.0)], at [3.0, 1e6], within 3e-7,
    }
    /// `⌊a / b⌋`, as [`Tensor::div_floor`], without a derivative.
    ///
    /// # Errors
    /// As [`Tensor::div_floor`].
    ///
    /// # Panics
    /// If an operand requires grad: PyTorch refuses to differentiate this one.
    floor_divide(a, b) => "FloorDivide" Arithmetic {
        cpu: double::div_floor,
        int: |a, b| if b == 0 { 0 } else { a.div_euclid(b) - (b < 0 && a.rem_euclid(b) != 0) as i64 },
        divides: true,
        wgsl: "div_floor_(a, b)",
        wgsl_int: "div_floor_T_(a, b)",
        grad: [],
        test: [(-4.0, 4.0), (0.3, 4.0)], at [3.0], within 3e-7,
    }
    div_trunc_int(a, b) => "Div" Bits {
        cpu: |a, b| double::wrapped(double::div_trunc(a as i64, b as i64)),
        int: double::div_trunc,
        divides: true,
        wgsl: "div_trunc_T_(a, b)",
        grad: [],
        test: [(-9.0, 9.0), (-4.0, 4.0)], at [3.0, -1.0], within 0.0,
    }
    /// `a - b trunc(a / b)`, exact: the remainder with the sign of `a`. Derivatives: 1 and `-trunc(a / b)`.
    ///
    /// # Errors
    /// An integer divided by 0 is told when the result is read from the CPU device; on a GPU `a` is left.
    fmod(a, b) => ["FmodBackward1", "FmodBackward0", "FmodBackward1"] Arithmetic {
        cpu: |a, b| a % b,
        int: |a, b| if b == 0 { a } else { a % b },
        divides: true,
        wgsl: "fmod_(a, b)",
        wgsl_int: "fmod_T_(a, b)",
        grad: [|g| g.clone(), |g, a, b| -(g * a.div_trunc(b))],
        test: [(-4.0, 4.0), (0.7, 1.3)], at [1e6, 3e-5, 3.0, -0.75], within 0.0,
    }
    /// `a - b ⌊a / b⌋`, exact: the remainder with the sign of `b`, Python's `%`. Derivatives: 1 and `-⌊a / b⌋`.
    ///
    /// # Errors
    /// An integer divided by 0 is told when the result is read from the CPU device; on a GPU `a` is left.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([7.0, -7.0], &Device::cpu());
    /// assert_eq!(x.remainder(3.0).to_vec::<f32>()?, [1.0, 2.0]);
    /// assert_eq!(x.fmod(3.0).to_vec::<f32>()?, [1.0, -1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    remainder(a, b) => ["RemainderBackward1", "RemainderBackward0", "RemainderBackward1"] Arithmetic {
        cpu: double::remainder,
        int: |a, b| if b == 0 { a } else { a - b * (a.div_euclid(b) - (b < 0 && a.rem_euclid(b) != 0) as i64) },
        divides: true,
        wgsl: "remainder_(a, b)",
        wgsl_int: "remainder_T_(a, b)",
        grad: [|g| g.clone(), |g, a, b| -(g * a.div_floor(b))],
        test: [(-4.0, 4.0), (0.7, 1.3)], at [1e6, 3e-5, 3.0, -0.75], within 1.2e-7,
    }
    pow(a, b) => ["PowBackward1", "PowBackward0", "PowBackward2"] Arithmetic {
        cpu: |a, b| a.powf(b),
        single: a.powf(b),
        int: double::pow_int,
        wgsl: "pow_(a, b)",
        wgsl_int: "pow_T_(a, b)",
        grad: [
            |g, a, b| unless(b.eq(0.0), &(g * (b * a.pow(b - 1.0)))),
            |g, a, b, y| unless(a.eq(0.0).logical_and(b.ge(0.0)), &(g * (y * a.log())))
        ],
        test: [(0.3, 3.0), (-2.0, 3.0)], at [0.0, 1.0, 2.0, -2.0], within 4e-6,
    }
    /// The larger of the two, NaN if either is. Derivatives: 1 for the larger; equal operands get half each.
    maximum(a, b) => "Maximum" Arithmetic {
        cpu: double::larger,
        wgsl: "max_(a, b)",
        wgsl_int: "max(a, b)",
        grad: [
            |g, a, b| unless(a.lt(b), &Tensor::where_(&a.eq(b), 0.5 * g, g)),
            |g, a, b| unless(b.lt(a), &Tensor::where_(&a.eq(b), 0.5 * g, g))
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1.0, f64::NAN], within 0.0,
    }
    /// The smaller of the two, NaN if either is. Derivatives: 1 for the smaller; equal operands get half each.
    minimum(a, b) => "Minimum" Arithmetic {
        cpu: double::smaller,
        wgsl: "min_(a, b)",
        wgsl_int: "min(a, b)",
        grad: [
            |g, a, b| unless(a.gt(b), &Tensor::where_(&a.eq(b), 0.5 * g, g)),
            |g, a, b| unless(b.gt(a), &Tensor::where_(&a.eq(b), 0.5 * g, g))
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1.0, f64::NAN], within 0.0,
    }
    /// The larger of the two, or the one that is a number. Derivatives: 1 for the one taken; equal operands get half each.
    fmax(a, b) => "Fmax" Arithmetic {
        cpu: |a, b| a.max(b),
        wgsl: "fmax_(a, b)",
        wgsl_int: "max(a, b)",
        grad: [
            |g, a, b| Tensor::where_(&a.gt(b).logical_or(b.isnan()), g, Tensor::where_(&a.eq(b), 0.5 * g, 0.0)),
            |g, a, b| Tensor::where_(&b.gt(a).logical_or(a.isnan()), g, Tensor::where_(&a.eq(b), 0.5 * g, 0.0))
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1.0, f64::NAN], within 0.0,
    }
    /// The smaller of the two, or the one that is a number. Derivatives: 1 for the one taken; equal operands get half each.
    fmin(a, b) => "Fmin" Arithmetic {
        cpu: |a, b| a.min(b),
        wgsl: "fmin_(a, b)",
        wgsl_int: "min(a, b)",
        grad: [
            |g, a, b| Tensor::where_(&a.lt(b).logical_or(b.isnan()), g, Tensor::where_(&a.eq(b), 0.5 * g, 0.0)),
            |g, a, b| Tensor::where_(&b.lt(a).logical_or(a.isnan()), g, Tensor::where_(&a.eq(b), 0.5 * g, 0.0))
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1.0, f64::NAN], within 0.0,
    }
    /// The size of `a` with the sign of `b`, that of zero and NaN included. Derivatives: ±1, 0 where `a` is 0; and 0.
    copysign(a, b) => "Copysign" Float {
        cpu: |a, b| a.copysign(b),
        wgsl: "copysign_(a, b)",
        grad: [|g, a, y| g * (a.sign() * y.sign()), |g| g.zeros_like()],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, -0.0], within 0.0,
    }
    /// 0 where `a` is negative or NaN, 1 where it is positive, and `b` where it is 0. It has no derivative, as in PyTorch.
    heaviside(a, b) => "Heaviside" Arithmetic {
        cpu: |a, b| if a == 0.0 { b } else { (a > 0.0) as u8 as f64 },
        wgsl: "select(select(0.0, 1.0, gt_(a, 0.0)), b, a == 0.0)",
        wgsl_int: "select(min(max(a, 0), 1), b, a == 0)",
        grad: [],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, -0.0], within 0.0,
    }
    clamp(a, b, c) => ["ClampBackward0", "ClampBackward1", "ClampBackward0"] Arithmetic {
        cpu: |a, b, c| double::smaller(double::larger(a, b), c),
        wgsl: "min_(max_(a, b), c)",
        wgsl_int: "min(max(a, b), c)",
        grad: [|g, a, b, c| {
            // An infinite bound is none, even for an infinite `a`.
            let above = a.gt(b).logical_or(b.eq(f64::NEG_INFINITY));
            let below = a.lt(c).logical_or(c.eq(f64::INFINITY));
            Tensor::where_(&above.logical_and(below), g, 0.0)
        }],
        test: [(-4.0, 4.0), (-2.0, -1.0), (1.0, 2.0)], at [f64::NAN], within 0.0,
    }
    clamp_min(a, b) => ["ClampMinBackward1", "ClampMinBackward0", "ClampMinBackward1"] Arithmetic {
        cpu: double::larger,
        wgsl: "max_(a, b)",
        wgsl_int: "max(a, b)",
        grad: [
            |g, a, b| Tensor::where_(&a.gt(b), g, Tensor::where_(&a.eq(b), 0.5 * g, 0.0)),
            |g, a, b| Tensor::where_(&b.gt(a), g, Tensor::where_(&a.eq(b), 0.5 * g, 0.0))
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1.0, f64::NAN], within 0.0,
    }
    clamp_max(a, b) => ["ClampMaxBackward1", "ClampMaxBackward0", "ClampMaxBackward1"] Arithmetic {
        cpu: double::smaller,
        wgsl: "min_(a, b)",
        wgsl_int: "min(a, b)",
        grad: [
            |g, a, b| Tensor::where_(&a.lt(b), g, Tensor::where_(&a.eq(b), 0.5 * g, 0.0)),
            |g, a, b| Tensor::where_(&b.lt(a), g, Tensor::where_(&a.eq(b), 0.5 * g, 0.0))
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1.0, f64::NAN], within 0.0,
    }
}
