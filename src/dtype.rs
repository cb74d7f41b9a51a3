//! The types an element can have, and how two of them combine.

use half::{bf16, f16};

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// `true` or `false`.
    Bool,
    /// 32-bit unsigned integer.
    U32,
    /// 32-bit signed integer.
    I32,
    /// 16-bit brain float: 8 bits of exponent. Stored narrow, computed in `F32`.
    BF16,
    /// IEEE half float. Stored narrow, computed in `F32`.
    F16,
    /// IEEE single float, the default.
    F32,
    /// IEEE double float. On the CPU device only, for checking gradients.
    F64,
}

impl DType {
    /// Whether values are floating-point numbers, and gradients can exist.
    pub fn is_float(self) -> bool {
        self >= DType::BF16
    }

    /// Bytes of one element in host memory.
    pub fn size(self) -> usize {
        match self {
            DType::Bool => 1,
            DType::BF16 | DType::F16 => 2,
            DType::U32 | DType::I32 | DType::F32 => 4,
            DType::F64 => 8,
        }
    }

    /// The name Rust gives the type: `f32`, `bool`, …
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U32 => "u32",
            DType::I32 => "i32",
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// The type that holds both, as PyTorch promotes: float above integer above bool, and the wider of two floats.
    ///
    /// ```
    /// use wgrad::DType;
    /// assert_eq!(DType::I32.promote(DType::F16), DType::F16);
    /// assert_eq!(DType::BF16.promote(DType::F16), DType::F32);
    /// ```
    pub fn promote(self, other: DType) -> DType {
        match (self.min(other), self.max(other)) {
            (DType::BF16, DType::F16) => DType::F32,
            (_, wider) => wider,
        }
    }

    /// 0 for bool, 1 for integers, 2 for floats: a number or a 0-d tensor widens only across categories.
    pub(crate) fn category(self) -> u8 {
        match self {
            DType::Bool => 0,
            DType::U32 | DType::I32 => 1,
            _ => 2,
        }
    }

    /// The type arithmetic runs in: narrow floats are computed in `F32`.
    pub(crate) fn compute(self) -> DType {
        match self {
            DType::BF16 | DType::F16 => DType::F32,
            other => other,
        }
    }

    /// Whether it is stored in fewer bits than arithmetic runs in.
    pub(crate) fn is_narrow(self) -> bool {
        self.compute() != self
    }

    /// The number of this type that a constant becomes: rounded, truncated, or whether it is not 0.
    pub(crate) fn round(self, x: f64) -> f64 {
        match self {
            DType::Bool => (x != 0.0) as u8 as f64,
            DType::U32 => x as u32 as f64,
            DType::I32 => x as i32 as f64,
            DType::BF16 => to_bf16(x).to_f64(),
            DType::F16 => to_f16(x).to_f64(),
            DType::F32 => x as f32 as f64,
            DType::F64 => x,
        }
    }

    /// Distance from 1 to the next number, for floats; 0 for the others.
    pub(crate) fn epsilon(self) -> f64 {
        match self {
            DType::BF16 => 2f64.powi(-7),
            DType::F16 => 2f64.powi(-10),
            DType::F32 => 2f64.powi(-23),
            DType::F64 => 2f64.powi(-52),
            _ => 0.0,
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The nearest `bf16`, of two the even one.
pub(crate) fn to_bf16(x: f64) -> bf16 {
    bf16::from_f32(to_odd(x))
}

/// The nearest `f16`, of two the even one.
pub(crate) fn to_f16(x: f64) -> f16 {
    f16::from_f32(to_odd(x))
}

/// A number that rounds to a narrower type as `x` does: the one below in size, with an odd last bit, where `x` is no `f32`.
///
/// The conversions from `f64` of the crate `half` leave out the lower half of the bits before they round, and so take what
/// is just above the middle of two numbers for the middle.
fn to_odd(x: f64) -> f32 {
    let y = x as f32;
    if y as f64 == x || !y.is_finite() {
        return y;
    }
    f32::from_bits((y.to_bits() - ((y as f64).abs() > x.abs()) as u32) | 1)
}

/// A Rust type that elements can be made from and read as.
///
/// `DTYPE` is the type a tensor made from such values gets when none is asked for. As in PyTorch, a float literal
/// (`f64` in Rust) makes an `F32` tensor and an integer literal an `I32` one.
pub trait Element: Copy + Send + Sync + 'static {
    /// The dtype of a tensor made from such values.
    const DTYPE: DType;
    /// The value as a double, which holds every supported element exactly.
    fn to_f64(self) -> f64;
    /// The nearest value of this type; integers truncate and saturate.
    fn from_f64(x: f64) -> Self;
}

macro_rules! elements {
    ($($t:ty => $dtype:ident, $to:expr, $from:expr;)*) => { $(
        impl Element for $t {
            const DTYPE: DType = DType::$dtype;
            #[inline(always)]
            fn to_f64(self) -> f64 { $to(self) }
            #[inline(always)]
            fn from_f64(x: f64) -> Self { $from(x) }
        }
    )* };
}

elements! {
    f32 => F32, |x| x as f64, |x| x as f32;
    f64 => F32, |x| x, |x| x;
    f16 => F16, f16::to_f64, to_f16;
    bf16 => BF16, bf16::to_f64, to_bf16;
    i32 => I32, |x| x as f64, |x| x as i32;
    i64 => I32, |x| x as f64, |x| x as i64;
    usize => I32, |x| x as f64, |x| x as usize;
    u8 => I32, |x| x as f64, |x| x as u8;
    u32 => U32, |x| x as f64, |x| x as u32;
    bool => Bool, |x| x as u8 as f64, |x| x != 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_floats_are_rounded_once() {
        let half_way = |epsilon: f64| 1.0 + epsilon / 2.0;
        for beyond in [2f64.powi(-23), 2f64.powi(-50)] {
            assert_eq!(to_bf16(half_way(2f64.powi(-7)) + beyond).to_f64(), 1.0 + 2f64.powi(-7));
            assert_eq!(to_f16(half_way(2f64.powi(-10)) + beyond).to_f64(), 1.0 + 2f64.powi(-10));
            assert_eq!(to_bf16(-half_way(2f64.powi(-7)) + beyond).to_f64(), -1.0);
            assert_eq!(to_f16(-half_way(2f64.powi(-10)) + beyond).to_f64(), -1.0);
        }
        assert_eq!((to_bf16(half_way(2f64.powi(-7))).to_f64(), to_f16(half_way(2f64.powi(-10))).to_f64()), (1.0, 1.0));
        assert!(to_f16(f64::NAN).is_nan() && to_bf16(f64::INFINITY).is_infinite() && to_f16(1e-30).to_f64() == 0.0);
        assert_eq!(to_f16(1e300), f16::INFINITY);
    }
}
