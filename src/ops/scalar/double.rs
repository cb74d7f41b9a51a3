//! Meanings that the standard library lacks, in double precision.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, PI};

pub fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// The larger of two, NaN if either is.
pub fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller of two, NaN if either is.
pub fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

pub fn remainder(a: f64, b: f64) -> f64 {
    let r = a % b;
    if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
}

/// The floor of the exact quotient: what is divided is a multiple of `b`, up to rounding.
pub fn div_floor(a: f64, b: f64) -> f64 {
    if b == 0.0 {
        return a / b;
    }
    let r = a % b;
    let quotient = (a - r) / b - (r != 0.0 && (r < 0.0) != (b < 0.0)) as u8 as f64;
    if quotient == 0.0 { (0.0f64).copysign(a / b) } else { quotient.round() }
}

/// A power of integers; a negative exponent leaves 0, but of 1 and -1.
pub fn pow_int(a: i64, b: i64) -> i64 {
    match (a, b) {
        (1, ..0) => 1,
        (-1, ..0) => 1 - 2 * (b & 1),
        (_, ..0) => 0,
        _ => (a as u32).wrapping_pow(b as u32) as i64,
    }
}

pub fn softplus(x: f64) -> f64 {
    // A NaN is neither larger nor smaller; the maximum would lose it.
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

pub fn asinh(x: f64) -> f64 {
    let a = x.abs();
    let y = if a > 1e9 { a.ln() + LN_2 } else { (a + a * a / (1.0 + (1.0 + a * a).sqrt())).ln_1p() };
    y.copysign(x)
}

pub fn acosh(x: f64) -> f64 {
    if x < 1.0 {
        return f64::NAN;
    }
    let t = x - 1.0;
    if x > 1e9 { x.ln() + LN_2 } else { (t + (2.0 * t + t * t).sqrt()).ln_1p() }
}

pub fn atanh(x: f64) -> f64 {
    let a = x.abs();
    (0.5 * (2.0 * a / (1.0 - a)).ln_1p()).copysign(x)
}

/// The sine and cosine of `πx`, exact where they are whole.
fn sin_cos_pi(x: f64) -> (f64, f64) {
    let turned = x - 2.0 * (0.5 * x).round();
    let quarters = (2.0 * turned).round();
    let (sin, cos) = ((turned - 0.5 * quarters) * PI).sin_cos();
    match quarters as i32 & 3 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

pub fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { sin_cos_pi(x).0 / (PI * x) }
}

/// Giles's approximation, then two of Newton's steps.
pub fn erfinv(x: f64) -> f64 {
    if x.abs() >= 1.0 || x.is_nan() {
        return if x.abs() == 1.0 { f64::INFINITY.copysign(x) } else { f64::NAN };
    }
    let w = -((1.0 - x) * (1.0 + x)).ln();
    let start: &[f64] = if w < 5.0 {
        &[
            2.81022636e-08,
            3.43273939e-07,
            -3.5233877e-06,
            -4.39150654e-06,
            0.00021858087,
            -0.00125372503,
            -0.00417768164,
            0.246640727,
            1.50140941,
        ]
    } else {
        &[
            -0.000200214257,
            0.000100950558,
            0.00134934322,
            -0.00367342844,
            0.00573950773,
            -0.0076224613,
            0.00943887047,
            1.00167406,
            2.83297682,
        ]
    };
    let t = if w < 5.0 { w - 2.5 } else { w.sqrt() - 3.0 };
    let mut y = x.abs() * start.iter().fold(0.0, |sum, c| sum * t + c);
    for _ in 0..2 {
        // The complement keeps its digits near 1, the function itself near 0.
        let error = if y < 0.5 { libm::erf(y) - x.abs() } else { (1.0 - x.abs()) - libm::erfc(y) };
        y -= error / (FRAC_2_SQRT_PI * (-y * y).exp());
    }
    y.copysign(x)
}

pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    if x < 0.0 {
        // Reflected; NaN at the negative integers and infinity.
        let (sin, cos) = sin_cos_pi(x);
        return if sin == 0.0 { f64::NAN } else { digamma(1.0 - x) - PI * cos / sin };
    }
    let (mut x, mut y) = (x, 0.0);
    while x < 12.0 {
        y -= 1.0 / x;
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    let series = [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32760.0, 1.0 / 12.0];
    y + x.ln() - 0.5 / x - z * series.iter().rev().fold(0.0, |sum, c| sum * z + c)
}

/// `Σ (q + k)^-s` over all `k ≥ 0`, for `q > 0`: some terms, then Euler and Maclaurin's formula for the rest.
fn zeta(s: f64, q: f64) -> f64 {
    const TERMS: usize = 16;
    // The Bernoulli number of 2j over (2j)!.
    const SERIES: [f64; 7] = [
        1.0 / 12.0,
        -1.0 / 720.0,
        1.0 / 30240.0,
        -1.0 / 1209600.0,
        1.0 / 47900160.0,
        -691.0 / 1307674368000.0,
        1.0 / 74724249600.0,
    ];
    let w = q + TERMS as f64;
    let mut sum: f64 = (0..TERMS).map(|k| (q + k as f64).powf(-s)).sum();
    let last = w.powf(-s);
    sum += last * (w / (s - 1.0) + 0.5);
    let mut factor = last * s / w;
    for (j, c) in SERIES.iter().enumerate() {
        sum += c * factor;
        let k = s + 2.0 * j as f64;
        factor *= (k + 1.0) * (k + 2.0) / (w * w);
    }
    sum
}

/// Mantissa and exponent.
pub fn frexp(x: f64) -> (f64, f64) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0.0);
    }
    let (m, e) = libm::frexp(x);
    (m, e as f64)
}

/// The derivative of order `n` of digamma.
pub fn polygamma(x: f64, n: f64) -> f64 {
    if x.is_nan() || !(0.0..=34.0).contains(&n) || n.fract() != 0.0 {
        return f64::NAN;
    }
    if n == 0.0 {
        return digamma(x);
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    if x <= 0.0 && (x == x.floor()) {
        return f64::INFINITY;
    }
    if n == 1.0 && x < 0.5 {
        let sin = sin_cos_pi(x).0;
        return (PI / sin).powi(2) - zeta(2.0, 1.0 - x);
    }
    if x < -511.0 {
        return f64::NAN;
    }
    let (mut q, mut below) = (x, 0.0);
    while q < 1.0 {
        below += q.powi(-1 - n as i32);
        q += 1.0;
    }
    let factorial: f64 = (2..=n as u32).map(f64::from).product();
    let y = factorial * (below + zeta(n + 1.0, q));
    if n as u32 % 2 == 1 { y } else { -y }
}

/// What is left of an integer in 32 bits.
pub fn wrapped(x: i64) -> f64 {
    x as i32 as f64
}

pub fn div_trunc(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a / b }
}

pub fn and(a: i64, b: i64) -> i64 {
    a & b
}

pub fn or(a: i64, b: i64) -> i64 {
    a | b
}

pub fn xor(a: i64, b: i64) -> i64 {
    a ^ b
}

pub fn not(x: i64) -> i64 {
    !x
}

pub fn shift_left(a: i64, b: i64) -> i64 {
    if (0..32).contains(&b) { a << b } else { 0 }
}

pub fn shift_right(a: i64, b: i64) -> i64 {
    a >> if (0..32).contains(&b) { b } else { 63 }
}

pub fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

pub fn lcm(a: i64, b: i64) -> i64 {
    (a / gcd(a, b).max(1) * b).abs()
}
