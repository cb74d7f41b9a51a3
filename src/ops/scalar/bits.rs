//! Functions of integers: their bits, shifts and divisors. Bools have bits too.

use super::*;

rows! {
    /// The bits set in both; of bools, whether both are true. Also `a & b`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([5, 6, 7], &Device::cpu());
    /// assert_eq!((&x & 3).to_vec::<i32>()?, [1, 2, 3]);
    /// assert_eq!((&x << 1).to_vec::<i32>()?, [10, 12, 14]);
    /// assert_eq!((!x.gt(5)).to_vec::<bool>()?, [true, false, false]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    bitwise_and(a, b) => "BitwiseAnd" Bits {
        cpu: |a, b| double::wrapped(double::and(a as i64, b as i64)),
        int: double::and,
        wgsl: "a & b",
        grad: [],
        test: [(-9.0, 9.0), (-9.0, 9.0)], at [], within 0.0,
    }
    /// The bits set in either; of bools, whether one is true. Also `a | b`.
    bitwise_or(a, b) => "BitwiseOr" Bits {
        cpu: |a, b| double::wrapped(double::or(a as i64, b as i64)),
        int: double::or,
        wgsl: "a | b",
        grad: [],
        test: [(-9.0, 9.0), (-9.0, 9.0)], at [], within 0.0,
    }
    /// The bits set in exactly one; of bools, whether exactly one is true. Also `a ^ b`.
    bitwise_xor(a, b) => "BitwiseXor" Bits {
        cpu: |a, b| double::wrapped(double::xor(a as i64, b as i64)),
        int: double::xor,
        wgsl: "a ^ b",
        grad: [],
        test: [(-9.0, 9.0), (-9.0, 9.0)], at [], within 0.0,
    }
    bitwise_not(x) => "BitwiseNot" Bits {
        cpu: |x| double::wrapped(double::not(x as i64)),
        int: double::not,
        wgsl: "~x",
        grad: [],
        test: [(-9.0, 9.0)], at [], within 0.0,
    }
    /// `a 2ᵇ`, keeping the low 32 bits; 0 where `b` is negative or above 31. Also `a << b`.
    bitwise_left_shift(a, b) => "BitwiseLeftShift" Bits {
        cpu: |a, b| double::wrapped(double::shift_left(a as i64, b as i64)),
        int: double::shift_left,
        wgsl: "shift_left_T_(a, b)",
        grad: [],
        test: [(-9.0, 9.0), (0.0, 31.0)], at [], within 0.0,
    }
    /// `⌊a / 2ᵇ⌋`; nothing but the sign is left where `b` is negative or above 31. Also `a >> b`.
    bitwise_right_shift(a, b) => "BitwiseRightShift" Bits {
        cpu: |a, b| double::wrapped(double::shift_right(a as i64, b as i64)),
        int: double::shift_right,
        wgsl: "shift_right_T_(a, b)",
        grad: [],
        test: [(-9.0, 9.0), (0.0, 31.0)], at [], within 0.0,
    }
    /// The greatest common divisor, not negative.
    gcd(a, b) => "Gcd" Bits {
        cpu: |a, b| double::wrapped(double::gcd(a as i64, b as i64)),
        int: double::gcd,
        wgsl: "gcd_T_(a, b)",
        grad: [],
        test: [(-99.0, 99.0), (-99.0, 99.0)], at [], within 0.0,
    }
    /// The least common multiple, not negative; 0 where either is 0.
    lcm(a, b) => "Lcm" Bits {
        cpu: |a, b| double::wrapped(double::lcm(a as i64, b as i64)),
        int: double::lcm,
        wgsl: "lcm_T_(a, b)",
        grad: [],
        test: [(-99.0, 99.0), (-99.0, 99.0)], at [], within 0.0,
    }
}
