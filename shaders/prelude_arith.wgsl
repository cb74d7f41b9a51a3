// Computes: quotients and remainders, exact whatever the size of the quotient, and powers of integers.
// Mapping: none, as in prelude.wgsl.
// Hooks: none.
// Limits: as in prelude.wgsl. fmod_ runs a loop of one turn for every 32 bits of the quotient.

// a - b trunc(a / b), by long division of the mantissas.
fn fmod_(a: f32, b: f32) -> f32 {
  let x = magnitude_(a);
  let y = magnitude_(b);
  if (x >= 0x7f800000u || y > 0x7f800000u || y == 0u) {
    return nan_();
  }
  if (x < y) {
    return a;
  }
  // Each is a whole number times a power of two, subnormals too.
  let m = (y & 0x007fffffu) | select(0u, 0x00800000u, y >= 0x00800000u);
  let e = max(y >> 23u, 1u);
  var r = ((x & 0x007fffffu) | select(0u, 0x00800000u, x >= 0x00800000u)) % m;
  var d = max(x >> 23u, 1u) - e;
  while (d > 0u && r > 0u) {
    r = (r << min(d, 8u)) % m;
    d -= min(d, 8u);
    r = (r << min(d, 8u)) % m;
    d -= min(d, 8u);
    r = (r << min(d, 8u)) % m;
    d -= min(d, 8u);
    r = (r << min(d, 8u)) % m;
    d -= min(d, 8u);
  }
  let n = countLeadingZeros(r) - 8u;
  let normal = ((e - n) << 23u) | ((r << n) & 0x007fffffu);
  let bits = select(r << (e - 1u), normal, e > n);
  return bitcast<f32>(select(bits, 0u, r == 0u) | (bitcast<u32>(a) & 0x80000000u));
}

// Whether a remainder is not zero and has another sign than the divisor.
fn misses_(r: f32, b: f32) -> bool {
  return magnitude_(r) != 0u && ((bitcast<u32>(r) ^ bitcast<u32>(b)) >> 31u) == 1u;
}

fn remainder_(a: f32, b: f32) -> f32 {
  let r = fmod_(a, b);
  let lifted = select(r + b, b, is_inf(b));
  return select(select(r, lifted, misses_(r, b)), nan_(), is_nan(r));
}

// floor(a / b), from the exact remainder.
fn div_floor_(a: f32, b: f32) -> f32 {
  let sign = (bitcast<u32>(a) ^ bitcast<u32>(b)) & 0x80000000u;
  if (magnitude_(b) == 0u && magnitude_(a) != 0u && !is_nan(a)) {
    return bitcast<f32>(sign | bitcast<u32>(inf_()));
  }
  let r = fmod_(a, b);
  if (is_nan(r)) {
    return nan_();
  }
  let whole = select((a - r) / b, 0.0, is_inf(b));
  let q = whole - select(0.0, 1.0, misses_(r, b));
  let y = floor(q) + select(0.0, 1.0, q - floor(q) > 0.5);
  return select(y, bitcast<f32>(sign), y == 0.0);
}

fn div_floor_i32_(a: i32, b: i32) -> i32 {
  if (b == 0) {
    return 0;
  }
  let r = a % b;
  return a / b - select(0, 1, r != 0 && (r < 0) != (b < 0));
}

fn div_floor_u32_(a: u32, b: u32) -> u32 {
  return select(a / max(b, 1u), 0u, b == 0u);
}

fn div_trunc_i32_(a: i32, b: i32) -> i32 {
  if (b == 0) {
    return 0;
  }
  return a / b;
}

fn div_trunc_u32_(a: u32, b: u32) -> u32 {
  return div_floor_u32_(a, b);
}

fn fmod_i32_(a: i32, b: i32) -> i32 {
  if (b == 0 || b == -1) {
    return select(0, a, b == 0);
  }
  return a % b;
}

fn fmod_u32_(a: u32, b: u32) -> u32 {
  return select(a % max(b, 1u), a, b == 0u);
}

fn remainder_i32_(a: i32, b: i32) -> i32 {
  let r = fmod_i32_(a, b);
  return r + select(0, b, b != 0 && r != 0 && (r < 0) != (b < 0));
}

fn remainder_u32_(a: u32, b: u32) -> u32 {
  return fmod_u32_(a, b);
}

fn pow_u32_(a: u32, b: u32) -> u32 {
  var y = 1u;
  var square = a;
  var left = b;
  while (left != 0u) {
    y = select(y, y * square, (left & 1u) == 1u);
    square *= square;
    left >>= 1u;
  }
  return y;
}

// A negative exponent leaves 0, but of 1 and -1.
fn pow_i32_(a: i32, b: i32) -> i32 {
  if (b < 0) {
    let unit = a == 1 || a == -1;
    return select(0, select(a, 1, (b & 1) == 0), unit);
  }
  return bitcast<i32>(pow_u32_(bitcast<u32>(a), u32(b)));
}

fn gcd_u32_(a: u32, b: u32) -> u32 {
  var x = a;
  var y = b;
  while (y != 0u) {
    let rest = x % y;
    x = y;
    y = rest;
  }
  return x;
}

fn gcd_i32_(a: i32, b: i32) -> i32 {
  return bitcast<i32>(gcd_u32_(bitcast<u32>(abs(a)), bitcast<u32>(abs(b))));
}

fn lcm_u32_(a: u32, b: u32) -> u32 {
  return a / max(gcd_u32_(a, b), 1u) * b;
}

fn lcm_i32_(a: i32, b: i32) -> i32 {
  return bitcast<i32>(lcm_u32_(bitcast<u32>(abs(a)), bitcast<u32>(abs(b))));
}

// Shifting by all bits or more, or by a negative number, leaves nothing but the sign.
fn shift_left_u32_(a: u32, b: u32) -> u32 {
  return select(a << (b & 31u), 0u, b > 31u);
}

fn shift_left_i32_(a: i32, b: i32) -> i32 {
  return select(a << (bitcast<u32>(b) & 31u), 0, bitcast<u32>(b) > 31u);
}

fn shift_right_u32_(a: u32, b: u32) -> u32 {
  return select(a >> (b & 31u), 0u, b > 31u);
}

fn shift_right_i32_(a: i32, b: i32) -> i32 {
  return a >> min(bitcast<u32>(b), 31u);
}
