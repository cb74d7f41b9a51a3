//! Comparisons, tests of floats, and logic: results are bools, and there are no derivatives.

use super::*;

rows! {
    /// Whether `a = b`.
    eq(a, b) => "Eq" Compare {
        cpu: |a, b| (a == b) as u8 as f64,
        wgsl: "eq_(a, b)",
        wgsl_int: "a == b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a ≠ b`.
    ne(a, b) => "Ne" Compare {
        cpu: |a, b| (a != b) as u8 as f64,
        wgsl: "ne_(a, b)",
        wgsl_int: "a != b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a < b`.
    lt(a, b) => "Lt" Compare {
        cpu: |a, b| (a < b) as u8 as f64,
        wgsl: "lt_(a, b)",
        wgsl_int: "a < b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a ≤ b`.
    le(a, b) => "Le" Compare {
        cpu: |a, b| (a <= b) as u8 as f64,
        wgsl: "le_(a, b)",
        wgsl_int: "a <= b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a > b`.
    gt(a, b) => "Gt" Compare {
        cpu: |a, b| (a > b) as u8 as f64,
        wgsl: "gt_(a, b)",
        wgsl_int: "a > b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a ≥ b`.
    ge(a, b) => "Ge" Compare {
        cpu: |a, b| (a >= b) as u8 as f64,
        wgsl: "ge_(a, b)",
        wgsl_int: "a >= b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    same(a, b) => "Same" Compare {
        cpu: |a, b| (a == b || a.is_nan() && b.is_nan()) as u8 as f64,
        wgsl: "eq_(a, b) || is_nan(a) && is_nan(b)",
        wgsl_int: "a == b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `x` is not a number.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([0.0, f32::NAN, f32::INFINITY], &Device::cpu());
    /// assert_eq!(x.isnan().to_vec::<bool>()?, [false, true, false]);
    /// assert_eq!(x.isfinite().to_vec::<bool>()?, [true, false, false]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    isnan(x) => "Isnan" Test {
        cpu: |x| x.is_nan() as u8 as f64,
        wgsl: "is_nan(x)",
        grad: [],
        test: [(-4.0, 4.0)], at [f64::NAN, f64::INFINITY], within 0.0,
    }
    /// Whether `x` is infinite, of either sign.
    isinf(x) => "Isinf" Test {
        cpu: |x| x.is_infinite() as u8 as f64,
        wgsl: "is_inf(x)",
        grad: [],
        test: [(-4.0, 4.0)], at [f64::NAN, f64::INFINITY, -0.0], within 0.0,
    }
    /// Whether `x` is neither infinite nor NaN.
    isfinite(x) => "Isfinite" Test {
        cpu: |x| x.is_finite() as u8 as f64,
        wgsl: "magnitude_(x) < 0x7f800000u",
        grad: [],
        test: [(-4.0, 4.0)], at [f64::NAN, f64::INFINITY, -0.0], within 0.0,
    }
    /// Whether `x` is positive infinity.
    isposinf(x) => "Isposinf" Test {
        cpu: |x| (x == f64::INFINITY) as u8 as f64,
        wgsl: "bitcast<u32>(x) == 0x7f800000u",
        grad: [],
        test: [(-4.0, 4.0)], at [f64::NAN, f64::INFINITY, -0.0], within 0.0,
    }
    /// Whether `x` is negative infinity.
    isneginf(x) => "Isneginf" Test {
        cpu: |x| (x == f64::NEG_INFINITY) as u8 as f64,
        wgsl: "bitcast<u32>(x) == 0xff800000u",
        grad: [],
        test: [(-4.0, 4.0)], at [f64::NAN, f64::INFINITY, -0.0], within 0.0,
    }
    /// Whether the sign of `x` is set, as it is for -0.
    signbit(x) => "Signbit" Test {
        cpu: |x| x.is_sign_negative() as u8 as f64,
        wgsl: "(bitcast<u32>(x) >> 31u) == 1u",
        grad: [],
        test: [(-4.0, 4.0)], at [f64::NAN, f64::INFINITY, -0.0], within 0.0,
    }
    /// Whether `x` is false.
    logical_not(x) => "LogicalNot" Logic {
        cpu: |x| (x == 0.0) as u8 as f64,
        wgsl: "!x",
        grad: [],
        test: [(0.0, 1.0)], at [], within 0.0,
    }
    /// Whether both are true.
    logical_and(a, b) => "LogicalAnd" Logic {
        cpu: |a, b| (a != 0.0 && b != 0.0) as u8 as f64,
        wgsl: "a && b",
        grad: [],
        test: [(0.0, 1.0), (0.0, 1.0)], at [], within 0.0,
    }
    /// Whether either is true.
    logical_or(a, b) => "LogicalOr" Logic {
        cpu: |a, b| (a != 0.0 || b != 0.0) as u8 as f64,
        wgsl: "a || b",
        grad: [],
        test: [(0.0, 1.0), (0.0, 1.0)], at [], within 0.0,
    }
    /// Whether exactly one is true.
    logical_xor(a, b) => "LogicalXor" Logic {
        cpu: |a, b| ((a != 0.0) != (b != 0.0)) as u8 as f64,
        wgsl: "a != b",
        grad: [],
        test: [(0.0, 1.0), (0.0, 1.0)], at [], within 0.0,
    }
}
