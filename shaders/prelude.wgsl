// Computes: scalar functions whose results must not depend on the driver, for use in generated kernels.
// Mapping: none, there is no entry point; each function stands alone with the functions that it calls.
// Hooks: none.
// Limits: drivers may flush subnormal results to zero and may assume that NaN and infinity do not occur,
//   so special values are tested on their bits and are made from bits that arrive through a parameter.
//   Drivers fold (a + b) - a to b, so compensated sums mask or clamp the sum, which no driver sees through.

fn from_bits_(bits: u32) -> f32 {
  return bitcast<f32>(bits);
}

fn nan_() -> f32 {
  return from_bits_(0x7fc00000u);
}

fn inf_() -> f32 {
  return from_bits_(0x7f800000u);
}

fn magnitude_(x: f32) -> u32 {
  return bitcast<u32>(x) & 0x7fffffffu;
}

fn is_nan(x: f32) -> bool {
  return magnitude_(x) > 0x7f800000u;
}

fn is_inf(x: f32) -> bool {
  return magnitude_(x) == 0x7f800000u;
}

fn ordered_(a: f32, b: f32) -> bool {
  return max(magnitude_(a), magnitude_(b)) <= 0x7f800000u;
}

fn eq_(a: f32, b: f32) -> bool {
  return ordered_(a, b) && a == b;
}

fn ne_(a: f32, b: f32) -> bool {
  return !eq_(a, b);
}

fn lt_(a: f32, b: f32) -> bool {
  return ordered_(a, b) && a < b;
}

fn le_(a: f32, b: f32) -> bool {
  return ordered_(a, b) && a <= b;
}

fn gt_(a: f32, b: f32) -> bool {
  return ordered_(a, b) && a > b;
}

fn ge_(a: f32, b: f32) -> bool {
  return ordered_(a, b) && a >= b;
}

fn max_(a: f32, b: f32) -> f32 {
  return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}

fn min_(a: f32, b: f32) -> f32 {
  return select(select(min(a, b), b, is_nan(b)), a, is_nan(a));
}

// A word that sorts as x does: negative zero as zero, NaN last.
fn sort_key_(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let key = select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
  return select(key, 0xffffffffu, is_nan(x));
}

fn relu_(x: f32) -> f32 {
  return select(0.0, x, is_nan(x) || x > 0.0);
}

fn sign_(x: f32) -> f32 {
  let unit = bitcast<f32>((bitcast<u32>(x) & 0x80000000u) | 0x3f800000u);
  return select(unit, 0.0, is_nan(x) || x == 0.0);
}

fn sqrt_(x: f32) -> f32 {
  let y = select(sqrt(x), nan_(), x < 0.0);
  return select(y, x, is_nan(x) || x == 0.0 || bitcast<u32>(x) == 0x7f800000u);
}

fn rsqrt_(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let size = magnitude_(x);
  // A subnormal is its bits times 2^-149.
  let tiny = size < 0x00800000u;
  let y = select(1.0, 2.6713739e22, tiny) / sqrt(select(x, f32(size), tiny));
  let edge = select(select(y, 0.0, bits == 0x7f800000u), bitcast<f32>((bits & 0x80000000u) | bitcast<u32>(inf_())), size == 0u);
  return select(edge, nan_(), bits > 0x80000000u || size > 0x7f800000u);
}

fn trunc_(x: f32) -> f32 {
  return select(trunc(x), x, magnitude_(x) >= 0x4b000000u);
}

/// How far a subnormal number is shifted until its leading bit stands where a normal one's is implied.
fn frexp_shift_(rest: u32) -> u32 {
  return u32(max(i32(countLeadingZeros(rest)) - 8, 0));
}

fn frexp_mantissa_(x: f32) -> f32 {
  let rest = magnitude_(x);
  let digits = (rest << frexp_shift_(rest)) & 0x007fffffu;
  let y = bitcast<f32>((bitcast<u32>(x) & 0x80000000u) | 0x3f000000u | digits);
  return select(y, x, rest == 0u || rest >= 0x7f800000u);
}

fn frexp_exponent_(x: f32) -> f32 {
  let rest = magnitude_(x);
  let e = select(i32(rest >> 23u) - 126, -125 - i32(frexp_shift_(rest)), rest < 0x00800000u);
  return select(f32(e), 0.0, rest == 0u || rest >= 0x7f800000u);
}

fn frac_(x: f32) -> f32 {
  return select(x - trunc_(x), nan_(), magnitude_(x) >= 0x7f800000u);
}

// The operand that is a number.
fn fmax_(a: f32, b: f32) -> f32 {
  return select(select(max(a, b), b, is_nan(a)), a, is_nan(b));
}

fn fmin_(a: f32, b: f32) -> f32 {
  return select(select(min(a, b), b, is_nan(a)), a, is_nan(b));
}

fn copysign_(a: f32, b: f32) -> f32 {
  return bitcast<f32>(magnitude_(a) | (bitcast<u32>(b) & 0x80000000u));
}

fn f16_to_f32_(h: u32) -> f32 {
  let sign = (h & 0x8000u) << 16u;
  let e = (h >> 10u) & 0x1fu;
  let m = h & 0x3ffu;
  var bits = ((e + 112u) << 23u) | (m << 13u);
  if (e == 31u) {
    bits = 0x7f800000u | (m << 13u) | select(0u, 0x00400000u, m != 0u);
  } else if (e == 0u) {
    let top = firstLeadingBit(max(m, 1u));
    bits = select(0u, ((top + 103u) << 23u) | ((m << (23u - top)) & 0x007fffffu), m != 0u);
  }
  return bitcast<f32>(sign | bits);
}

fn f32_to_f16_(x: f32) -> u32 {
  let a = magnitude_(x);
  let sign = (bitcast<u32>(x) >> 16u) & 0x8000u;
  if (a > 0x7f800000u) {
    return sign | 0x7e00u | ((a >> 13u) & 0x3ffu);
  }
  // 65520 and above round to infinity.
  if (a >= 0x477ff000u) {
    return sign | 0x7c00u;
  }
  // Normal: rebias the exponent and let the rounding carry into it.
  if (a >= 0x38800000u) {
    return sign | ((a - 0x38000000u + 0x0fffu + ((a >> 13u) & 1u)) >> 13u);
  }
  // Subnormal: shift the full mantissa to units of 2^-24. A shift of 25 or more leaves less than half a unit.
  let m = (a & 0x007fffffu) | 0x00800000u;
  let shift = min(126u - (a >> 23u), 25u);
  let half = (1u << (shift - 1u)) - 1u;
  return sign | ((m + half + ((m >> shift) & 1u)) >> shift);
}

fn bf16_to_f32_(h: u32) -> f32 {
  return bitcast<f32>(h << 16u);
}

fn f32_to_bf16_(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  return select((bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u, (bits >> 16u) | 0x0040u, is_nan(x));
}

fn f32_to_i32_(x: f32) -> i32 {
  let inside = i32(clamp(x, -2147483648.0, 2147483520.0));
  let y = select(inside, 2147483647, x >= 2147483648.0);
  return select(y, 0, is_nan(x));
}

fn f32_to_u32_(x: f32) -> u32 {
  let inside = u32(clamp(x, 0.0, 4294967040.0));
  let y = select(inside, 4294967295u, x >= 4294967296.0);
  return select(y, 0u, is_nan(x));
}
