//! Elementary functions of `f32` that a compiler turns into vector instructions: no branch, no table, no call.
//!
//! They are for the CPU device's loops over `F32`, where the double-precision functions of the system's library would
//! take ten times as long. Errors are below 2 ulp (the tests here say which), special values exact. After fdlibm and Cephes.

#![allow(clippy::excessive_precision, reason = "the digits are those of the sources")]

/// Adding and subtracting this rounds a number below 2²² to an integer, halves to even, and leaves it in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `c` where the condition holds, else `x`: written so that both sides are computed.
#[inline(always)]
pub fn select(condition: bool, c: f32, x: f32) -> f32 {
    if condition { c } else { x }
}

/// `2ᵏ` for `-127 < k < 128`.
#[inline(always)]
fn power_of_two(k: i32) -> f32 {
    f32::from_bits(((k + 127) << 23) as u32)
}

/// `eʳ - 1` for `|r| ≤ 0.36`.
#[inline(always)]
fn expm1_near_zero(r: f32) -> f32 {
    let q = 0.166_666_55 + r * (0.041_665_796 + r * (0.008_333_452 + r * (0.001_398_199_9 + r * 0.000_198_756_91)));
    r * r * (0.5 + r * q) + r
}

/// `x` as `k ln 2 + r`: `k` as an integer, and `r`.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    (shifted.to_bits() as i32 - ROUND.to_bits() as i32, x - k * 0.693_359_4 + k * 0.000_212_194_44)
}

/// `eˣ`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (k, r) = reduce(select(x > -104.5, select(x < 89.0, x, 89.0), -104.5));
    // Two factors reach what one cannot: subnormal results, and overflow.
    let half = k >> 1;
    let y = (1.0 + expm1_near_zero(r)) * power_of_two(half) * power_of_two(k - half);
    select(x.is_nan(), x, y)
}

/// `eˣ - 1`.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let (k, r) = reduce(select(x > -20.0, select(x < 89.0, x, 89.0), -20.0));
    let p = expm1_near_zero(r);
    // Beyond 2³⁰ the 1 no longer counts, and the factor must not overflow before the product does.
    let near = if k < 31 { k } else { 30 };
    let half = k >> 1;
    let far = (1.0 + p) * power_of_two(half) * power_of_two(k - half);
    let y = power_of_two(near) * (p + (1.0 - power_of_two(-near)));
    select(x.is_nan() || x == 0.0, x, select(k > 30, far, y))
}

/// `ln(2ᵏ (1 + f)) + c` for `√½ ≤ 1 + f < √2`.
#[inline(always)]
fn log_series(f: f32, k: f32, c: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * (0.666_666_6 + z * (0.400_009_72 + z * (0.284_987_87 + z * 0.242_790_79)));
    let h = 0.5 * f * f;
    (s * (h + r) + (k * 9.058_001e-6 + c) - h + f) + k * 0.693_138_1
}

/// The natural logarithm.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let bits = select(tiny, x * 8_388_608.0, x).to_bits().wrapping_add(0x004a_fb0d);
    let k = (bits >> 23) as i32 - if tiny { 150 } else { 127 };
    let f = f32::from_bits((bits & 0x007f_ffff) + 0x3f35_04f3) - 1.0;
    let y = select(x == f32::INFINITY, x, log_series(f, k as f32, 0.0));
    let y = select(x == 0.0, f32::NEG_INFINITY, y);
    select(x >= 0.0, y, f32::NAN)
}

/// `ln(1 + x)`.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let near = x > -0.2928 && x < 0.4142;
    let u = 1.0 + x;
    let bits = u.to_bits().wrapping_add(0x004a_fb0d);
    let k = if near { 0 } else { (bits >> 23) as i32 - 127 };
    let f = select(near, x, f32::from_bits((bits & 0x007f_ffff) + 0x3f35_04f3) - 1.0);
    // What 1 + x lost.
    let c = select(k >= 2, 1.0 - (u - x), x - (u - 1.0)) / u;
    let y = log_series(f, k as f32, select(near || k >= 25, 0.0, c));
    let y = select(x == f32::INFINITY || x == 0.0, x, select(x == -1.0, f32::NEG_INFINITY, y));
    select(x >= -1.0, y, f32::NAN)
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = select(x.abs() < 10.0, x.abs(), 10.0);
    let z = x * x;
    let p = -0.333_332_8 + z * (0.133_314_42 + z * (-0.053_739_715 + z * (0.020_639_088 + z * -0.005_704_988_7)));
    let near = x * z * p + x;
    let far = (1.0 - 2.0 / (exp(2.0 * a) + 1.0)).copysign(x);
    select(x.is_nan() || x == 0.0, x, select(a < 0.625, near, far))
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    // Only negative numbers are exponentiated, so nothing overflows.
    let e = exp(-x.abs());
    select(x.is_nan(), x, select(x < 0.0, e, 1.0) / (1.0 + e))
}

/// `ln(1 + eˣ)`.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let y = select(x > 0.0, x, 0.0) + log1p(exp(-x.abs()));
    select(x.is_nan(), x, y)
}

/// `e^(a²) erfc a` for `0 ≤ a ≤ 10.1`. The polynomial in `(a - 2) / (a + 2)` is Norbert Juffa's form.
#[inline(always)]
fn erfcx(a: f32) -> f32 {
    let q = (a - 2.0) / (a + 2.0);
    let p = 0.001_313_615_1 + q * (-0.001_230_807_5 + q * -0.000_401_091_15);
    let p = -0.054_204_486 + q * (-0.008_059_751 + q * (0.008_632_4 + q * p));
    let p = 0.276_978_4 + q * (-0.092_763_98 + q * (-0.166_031_4 + q * (0.164_055_32 + q * p)));
    (1.0 + p) / (1.0 + 2.0 * a)
}

/// `e^(-scale a²)` for `scale a² ≤ 300`: the square of the upper bits is exact, and what they leave is small.
#[inline(always)]
fn exp_square(a: f32, scale: f32) -> f32 {
    let h = f32::from_bits(a.to_bits() & 0xffff_f000);
    exp(-scale * (h * h)) * (1.0 + expm1_near_zero(-scale * ((a - h) * (a + h))))
}

/// `1 - erf x`.
#[inline(always)]
pub fn erfc(x: f32) -> f32 {
    let a = select(x.abs() < 10.1, x.abs(), 10.1);
    let y = erfcx(a) * exp_square(a, 1.0);
    select(x.is_nan(), x, select(x < 0.0, 2.0 - y, y))
}

/// The error function.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let z = select(x * x < 0.85, x * x, 0.85);
    let p = -0.026_859_698 + z * (0.005_201_706 + z * (-0.000_814_968_8 + z * 0.000_083_972_88));
    let near = x + x * (0.128_379_17 + z * (-0.376_126_35 + z * (0.112_837_02 + z * p)));
    let far = (1.0 - erfc(x.abs())).copysign(x);
    select(x.is_nan() || x == 0.0, x, select(x.abs() < 0.92, near, far))
}

/// The standard normal distribution's integral up to `x`.
#[inline(always)]
pub fn normal_cdf(x: f32) -> f32 {
    let a = select(x.abs() < 14.2, x.abs(), 14.2);
    let y = 0.5 * erfcx(std::f32::consts::FRAC_1_SQRT_2 * a) * exp_square(a, 0.5);
    select(x.is_nan(), x, select(x < 0.0, y, 1.0 - y))
}

/// The largest operand of [`sin`] and [`cos`]; the pieces of π/2 are exact up to there.
pub const MAX_ANGLE: f32 = 1_048_576.0;

/// The sine of `x + quarters π/2`, as long as `|x|` is below [`MAX_ANGLE`].
#[inline(always)]
fn sin_of_quarter(x: f32, quarters: u32) -> f32 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let shifted = x as f64 * std::f64::consts::FRAC_2_PI + ROUND;
    let k = shifted - ROUND;
    let r = (x as f64 - k * 1.570_796_326_734_125_614_17 - k * 6.077_100_506_506_192_249_32e-11) as f32;
    let z = r * r;
    let sin = r + r * z * (-0.166_666_55 + z * (0.008_332_161 + z * -0.000_195_152_96));
    let cos = 1.0 - 0.5 * z + z * z * (0.041_666_646 + z * (-0.001_388_731_6 + z * 0.000_024_433_157));
    let turned = (shifted.to_bits() as u32).wrapping_add(quarters);
    let y = select(turned & 1 == 0, sin, cos);
    f32::from_bits(y.to_bits() ^ (turned & 2) << 30)
}

/// The sine.
#[inline(always)]
pub fn sin(x: f32) -> f32 {
    select(x == 0.0, x, sin_of_quarter(x, 0))
}

/// The cosine.
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    sin_of_quarter(x, 1)
}

#[cfg(test)]
mod tests {
    /// The largest error in ulp against double precision, over all exponents and both signs.
    fn error(f: fn(f32) -> f32, want: fn(f64) -> f64, range: std::ops::Range<f32>) -> f64 {
        let mut worst = 0.0f64;
        for bits in (0..u32::MAX).step_by(65_521) {
            let x = f32::from_bits(bits);
            if !range.contains(&x) {
                continue;
            }
            let (y, exact) = (f(x), want(x as f64));
            let rounded = exact as f32;
            if rounded.is_infinite() || rounded.is_nan() {
                assert!(
                    y.to_bits() == rounded.to_bits() || y.is_nan() && rounded.is_nan(),
                    "f({x}) = {y}, not {rounded}"
                );
                continue;
            }
            let ulp = (f32::from_bits(rounded.abs().to_bits() + 1) - rounded.abs()) as f64;
            worst = worst.max((y as f64 - exact).abs() / ulp);
        }
        worst
    }

    #[test]
    fn errors_are_below_two_ulp() {
        let all = f32::MIN..f32::MAX;
        for (name, worst) in [
            ("exp", error(super::exp, f64::exp, all.clone())),
            ("expm1", error(super::expm1, f64::exp_m1, all.clone())),
            ("log", error(super::log, f64::ln, all.clone())),
            ("log1p", error(super::log1p, f64::ln_1p, all.clone())),
            ("tanh", error(super::tanh, f64::tanh, all.clone())),
            ("sin", error(super::sin, f64::sin, -super::MAX_ANGLE..super::MAX_ANGLE)),
            ("cos", error(super::cos, f64::cos, -super::MAX_ANGLE..super::MAX_ANGLE)),
            ("sigmoid", error(super::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), all)),
        ] {
            assert!(worst < 2.0, "{name} is off by {worst} ulp");
        }
    }

    #[test]
    fn special_values_are_exact() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let functions = [super::exp, super::expm1, super::log, super::log1p, super::tanh, super::sigmoid];
        assert!(functions.iter().all(|f| f(nan).is_nan()));
        assert_eq!(functions.map(|f| f(inf)), [inf, inf, inf, inf, 1.0, 1.0]);
        assert_eq!(
            [super::exp(-inf), super::expm1(-inf), super::tanh(-inf), super::sigmoid(-inf)],
            [0.0, -1.0, -1.0, 0.0]
        );
        assert_eq!([super::log(0.0), super::log(-0.0), super::log1p(-1.0)], [-inf; 3]);
        assert!(super::log(-1.0).is_nan() && super::log1p(-1.5).is_nan() && super::log(-inf).is_nan());
        assert!(super::expm1(-0.0).is_sign_negative() && super::tanh(-0.0).is_sign_negative());
        assert_eq!([super::exp(0.0), super::log(1.0), super::exp(89.0)], [1.0, 0.0, inf]);
    }
}
