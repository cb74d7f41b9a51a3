// Computes: circular and hyperbolic functions and their inverses, to a few units in the last place, for every operand.
// Mapping: none, as in prelude.wgsl.
// Hooks: none.
// Limits: as in prelude.wgsl. The drivers' own sin, cos and tan are unusable: WGSL bounds their error between -π and π
//   only, and only its size, so that results near a zero may have no right digit.

// One of five words of the digits of 1 / 2π: reading an array at a computed place costs more than choosing.
fn digits_(at: u32, d0: u32, d1: u32, d2: u32, d3: u32, d4: u32) -> u32 {
  return select(select(select(select(d4, d3, at < 4u), d2, at < 3u), d1, at < 2u), d0, at < 1u);
}

// x / 2π without its whole part, in units of 2^-64, for |x| >= 2^-9. After Payne and Hanek: of the digits of 1 / 2π only
// those count that make neither whole turns nor less than the last unit.
fn turns_(x: f32) -> vec2<u32> {
  let bits = bitcast<u32>(x);
  let m = (bits & 0x007fffffu) | 0x00800000u;
  let first = min(((bits >> 23u) & 255u) - 118u, 136u);
  let at = first >> 5u;
  let left = first & 31u;
  let right = 31u - left;
  let d0 = digits_(at, 0u, 0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u);
  let d1 = digits_(at, 0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u);
  let d2 = digits_(at, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u);
  let d3 = digits_(at, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u, 0x7f9458eau);
  let a = (d0 << left) | ((d1 >> 1u) >> right);
  let b = (d1 << left) | ((d2 >> 1u) >> right);
  let c = (d2 << left) | ((d3 >> 1u) >> right);
  let low = m * b + mulhi_(m, c);
  return vec2<u32>(m * a + mulhi_(m, b) + select(0u, 1u, low < m * b), low);
}

// x less the nearest multiple of π/2, and that multiple modulo 4.
fn quarter_(x: f32) -> vec2<f32> {
  let size = magnitude_(x);
  if (size <= 0x3f490fdbu || size >= 0x7f800000u) {
    return vec2<f32>(x, 0.0);
  }
  let turn = turns_(x);
  let quarters = (turn.x + 0x20000000u) >> 30u;
  let signed = turn.x - (quarters << 30u);
  let back = (signed >> 31u) == 1u;
  let high = select(signed, ~signed + select(0u, 1u, turn.y == 0u), back);
  let low = select(turn.y, ~turn.y + 1u, back);
  // The leading 32 bits are a float to its last digit, however near x is to the multiple.
  let short = high == 0u;
  let n = min(countLeadingZeros(select(high, low, short)), 31u);
  let top = select((high << n) | ((low >> 1u) >> (31u - n)), low << n, short);
  let rest = f32(top) * 1.46291807926716e-9 * bitcast<f32>((127u - n - select(0u, 32u, short)) << 23u);
  let negative = (bitcast<u32>(x) >> 31u) == 1u;
  return vec2<f32>(select(rest, -rest, back != negative), f32(select(quarters, 4u - quarters, negative) & 3u));
}

// sin r and cos r for |r| <= π/4.
fn sin_poly_(r: f32) -> f32 {
  let z = r * r;
  let y = r + r * z * (-0.16666664666 + z * (0.0083327487114 + z * -0.0001958794705));
  return select(y, r, magnitude_(r) < 0x39800000u);
}

fn cos_poly_(r: f32) -> f32 {
  let z = r * r;
  return 1.0 - 0.5 * z + z * z * (0.041666664663 + z * (-0.0013888303356 + z * 0.000024547978676));
}

// sin(r + quarters π/2).
fn sin_quarter_(r: f32, quarters: u32) -> f32 {
  let y = select(sin_poly_(r), cos_poly_(r), (quarters & 1u) != 0u);
  return select(y, -y, (quarters & 2u) != 0u);
}

fn sin_(x: f32) -> f32 {
  let q = quarter_(x);
  return select(sin_quarter_(q.x, u32(q.y)), nan_(), magnitude_(x) >= 0x7f800000u);
}

fn cos_(x: f32) -> f32 {
  let q = quarter_(x);
  return select(sin_quarter_(q.x, u32(q.y) + 1u), nan_(), magnitude_(x) >= 0x7f800000u);
}

fn tan_(x: f32) -> f32 {
  let q = quarter_(x);
  let s = sin_poly_(q.x);
  let c = cos_poly_(q.x);
  let odd = (u32(q.y) & 1u) != 0u;
  let y = select(s, -c, odd) / select(c, s, odd);
  let small = magnitude_(x) < 0x39800000u;
  return select(select(y, x, small), nan_(), magnitude_(x) >= 0x7f800000u);
}

// sin πx and cos πx for finite x: the whole turns are split off exactly.
fn sin_cos_pi_(x: f32) -> vec2<f32> {
  let turned = x - 2.0 * floor(0.5 * x + 0.5);
  let quarters = floor(2.0 * turned + 0.5);
  let r = (turned - 0.5 * quarters) * 3.14159265359;
  let k = u32(i32(quarters) + 4);
  return vec2<f32>(sin_quarter_(r, k), sin_quarter_(r, k + 1u));
}

fn sinc_(x: f32) -> f32 {
  let size = magnitude_(x);
  let finite = select(0.5, x, size < 0x7f800000u && size != 0u);
  let y = sin_cos_pi_(finite).x / (3.14159265359 * finite);
  return select(select(select(y, 1.0, size < 0x39000000u), nan_(), size >= 0x7f800000u), 0.0, size > 0x4b800000u && size < 0x7f800000u);
}

// asin x for |x| <= 1/2, and (asin √z) / √z - 1.
fn asin_rest_(z: f32) -> f32 {
  return z * (0.16666666294 + z * (0.075001033983 + z * (0.044596536747 + z * (0.031133039926 + z * (0.017000068882 + z * 0.033931182595)))));
}

fn asin_(x: f32) -> f32 {
  let a = abs(x);
  if (a <= 0.5) {
    return select(x + x * asin_rest_(x * x), x, a < 0.0001);
  }
  let z = 0.5 - 0.5 * a;
  let s = sqrt_(max(z, 0.0));
  let y = 1.57079632679 - 2.0 * (s + s * asin_rest_(z));
  return select(select(y, -y, x < 0.0), nan_(), is_nan(x) || a > 1.0);
}

fn acos_(x: f32) -> f32 {
  let a = abs(x);
  if (a <= 0.5) {
    return 1.57079632679 - (x + (x * asin_rest_(x * x) - 7.54978995e-8));
  }
  let z = 0.5 - 0.5 * a;
  let s = sqrt_(max(z, 0.0));
  let y = 2.0 * (s + s * asin_rest_(z));
  return select(select(y, 3.14159265359 - y, x < 0.0), nan_(), is_nan(x) || a > 1.0);
}

// atan t + base for t between 0 and 1, where base is a multiple of π/4.
fn atan_unit_(t: f32) -> f32 {
  let far = t > 0.414213562;
  let u = select(t, (t - 1.0) / (t + 1.0), far);
  let z = u * u;
  let rest = u * z * (-0.33333331859 + z * (0.19999558305 + z * (-0.14264465044 + z * (0.10748398309 + z * -0.064652973552))));
  let y = select(0.0, 0.785398163397, far) + (rest + u);
  return select(y, t, magnitude_(t) < 0x39800000u);
}

fn atan_(x: f32) -> f32 {
  let a = abs(x);
  let over = a > 1.0;
  let y = atan_unit_(select(a, select(1.0 / a, 0.0, is_inf(x)), over));
  let size = select(y, 1.57079632679 - y, over);
  return select(select(size, -size, x < 0.0), x, is_nan(x) || magnitude_(x) < 0x39800000u);
}

// What brings the larger of two magnitudes to where their quotient is accurate.
fn into_range_(size: f32) -> f32 {
  return select(select(1.0, 18446744073709551616.0, size < 5.421010862427522e-20), 5.421010862427522e-20, size > 18446744073709551616.0);
}

fn atan2_(a: f32, b: f32) -> f32 {
  if (is_nan(a) || is_nan(b)) {
    return nan_();
  }
  let high = max(abs(a), abs(b));
  let scale = into_range_(high);
  let high_inf = magnitude_(high) == 0x7f800000u;
  let low = min(abs(a), abs(b));
  let t = select((low * scale) / (high * scale), select(0.0, 1.0, magnitude_(low) == 0x7f800000u), high_inf);
  var y = atan_unit_(select(t, 0.0, magnitude_(high) == 0u));
  y = select(y, 1.57079632679 - y, abs(a) > abs(b));
  y = select(y, 3.14159265359 - y, (bitcast<u32>(b) >> 31u) == 1u);
  return bitcast<f32>(bitcast<u32>(y) | (bitcast<u32>(a) & 0x80000000u));
}

fn hypot_(a: f32, b: f32) -> f32 {
  let high = max_(abs(a), abs(b));
  let scale = into_range_(high);
  let t = (min(abs(a), abs(b)) * scale) / (high * scale);
  let y = high * sqrt(1.0 + t * t);
  let plain = select(select(y, high, magnitude_(high) == 0u), nan_(), is_nan(a) || is_nan(b));
  return select(plain, inf_(), is_inf(a) || is_inf(b));
}

fn sinh_(x: f32) -> f32 {
  let a = min(abs(x), 90.0);
  let e = expm1_(min(a, 20.0));
  let half = exp_(0.5 * a);
  let y = select(0.5 * (e + e / (e + 1.0)), (0.5 * half) * half, a > 10.0);
  return select(select(y, -y, x < 0.0), x, is_nan(x) || is_inf(x) || magnitude_(x) < 0x39800000u);
}

fn cosh_(x: f32) -> f32 {
  let a = min(abs(x), 90.0);
  let half = exp_(0.5 * a);
  let e = half * half;
  return select(select(0.5 * e + 0.5 / e, (0.5 * half) * half, a > 10.0), abs(x), is_nan(x) || is_inf(x));
}

fn asinh_(x: f32) -> f32 {
  let a = abs(x);
  let m = min(a, 4096.0);
  let near = log1p_(m + m * m / (1.0 + sqrt(1.0 + m * m)));
  let y = select(near, ln_(a) + 0.69314718056, a > 4096.0);
  return select(select(y, -y, x < 0.0), x, is_nan(x) || magnitude_(x) < 0x39800000u);
}

fn acosh_(x: f32) -> f32 {
  let t = clamp(x - 1.0, 0.0, 4096.0);
  let y = select(log1p_(t + sqrt_(2.0 * t + t * t)), ln_(x) + 0.69314718056, x > 4096.0);
  return select(y, nan_(), is_nan(x) || x < 1.0);
}

fn atanh_(x: f32) -> f32 {
  let a = min(abs(x), 1.0);
  let d = 2.0 * a;
  let y = 0.5 * log1p_(select(d / (1.0 - a), d + d * a / (1.0 - a), a < 0.5));
  let size = select(y, inf_(), a == 1.0);
  let signed = select(size, -size, x < 0.0);
  return select(select(signed, nan_(), abs(x) > 1.0), x, is_nan(x) || magnitude_(x) < 0x39800000u);
}
