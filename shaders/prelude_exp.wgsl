// Computes: exponentials, logarithms and powers, to a few units in the last place.
// Mapping: none, as in prelude.wgsl.
// Hooks: none.
// Limits: as in prelude.wgsl; overflow gives infinity, and subnormal results may be flushed.

// p * 2^k for p in [0.5, 2): adding to the exponent field is exact and cannot be reassociated, and the
// second factor rounds once when the result is subnormal.
fn scale_(p: f32, k: i32) -> f32 {
  let bits = bitcast<i32>(p);
  let e = (bits >> 23u) + k;
  let tiny = e < 1;
  let lifted = max(k, -185) + select(0, 64, tiny);
  let y = bitcast<f32>(bits + (lifted << 23u)) * select(1.0, 5.421010862427522e-20, tiny);
  return select(y, inf_(), e >= 255);
}

// x as a factor in [1, 2) and an exponent of 2; 0, subnormals, infinities and NaN are the factor themselves.
fn split_(x: f32) -> vec2<f32> {
  let e = magnitude_(x) >> 23u;
  let factor = bitcast<f32>((bitcast<u32>(x) & 0x807fffffu) | 0x3f800000u);
  return select(vec2<f32>(factor, f32(e) - 127.0), vec2<f32>(x, 0.0), e == 0u || e == 255u);
}

// A product of many numbers, split so that it can pass beyond the limits of its type and come back.
fn split_times_(a: vec2<f32>, x: f32) -> vec2<f32> {
  let b = split_(x);
  let y = split_(a.x * b.x);
  return vec2<f32>(y.x, a.y + b.y + y.y);
}

fn unsplit_(a: vec2<f32>) -> f32 {
  let y = scale_(abs(a.x), i32(clamp(a.y, -300.0, 300.0)));
  return select(select(y, -y, a.x < 0.0), a.x, a.x == 0.0 || magnitude_(a.x) >= 0x7f800000u);
}

// exp(r) - 1 for |r| <= 0.36, exact to about half an ulp of exp(r), relatively accurate at zero.
fn expm1_poly_(r: f32) -> f32 {
  let q = 0.5000000120 + r * (0.16666665459 + r * (0.041665795894 + r * (0.0083334519073 + r * (0.0013981999507 + r * 0.00019875691500))));
  return r * r * q + r;
}

// x - k ln 2. The clamp changes nothing; it keeps drivers from merging the two subtractions.
fn exp_rest_(x: f32, k: f32) -> f32 {
  return clamp(x - k * 0.693359375, -0.5, 0.5) + k * 0.000212194440;
}

fn exp_(x: f32) -> f32 {
  let a = clamp(x, -104.5, 89.0);
  let k = floor(a * 1.4426950409 + 0.5);
  let y = scale_(1.0 + expm1_poly_(exp_rest_(a, k)), i32(k));
  return select(y, x, is_nan(x));
}

fn exp2_(x: f32) -> f32 {
  let a = clamp(x, -151.0, 129.0);
  let k = floor(a + 0.5);
  return select(scale_(1.0 + expm1_poly_((a - k) * 0.69314718056), i32(k)), x, is_nan(x));
}

// With x = k ln 2 + r: 2^k ((exp(r) - 1) + (1 - 2^-k)), where 2^-k no longer counts beyond k = 30.
fn expm1_(x: f32) -> f32 {
  let a = clamp(x, -20.0, 89.0);
  let k = floor(a * 1.4426950409 + 0.5);
  let p = expm1_poly_(exp_rest_(a, k));
  let n = i32(k);
  let m = min(n, 30) << 23u;
  let near = bitcast<f32>(0x3f800000 + m) * (p + (1.0 - bitcast<f32>(0x3f800000 - m)));
  let y = select(near, scale_(1.0 + p, n), n > 30);
  return select(y, x, is_nan(x) || x == 0.0);
}

// ln(2^k (1 + f)) + c for sqrt(1/2) <= 1 + f < sqrt(2), after fdlibm.
fn ln_series_(f: f32, k: f32, c: f32) -> f32 {
  let s = f / (2.0 + f);
  let z = s * s;
  let r = z * (0.66666662693 + z * (0.40000972152 + z * (0.28498786688 + z * 0.24279078841)));
  let h = 0.5 * f * f;
  return (s * (h + r) + (k * 9.0580006145e-6 + c) - h + f) + k * 0.69313812256;
}

// x = 2^k (1 + f), as k and f.
fn ln_parts_(x: f32) -> vec2<f32> {
  let bits = bitcast<u32>(x);
  // A subnormal is its bits times 2^-149; the conversion gives a normal number even where subnormals are flushed.
  let tiny = bits < 0x00800000u;
  let b = select(bits, bitcast<u32>(f32(bits)), tiny) + 0x004afb0du;
  let k = f32(i32(b >> 23u) - select(127, 276, tiny));
  return vec2<f32>(k, bitcast<f32>((b & 0x007fffffu) + 0x3f3504f3u) - 1.0);
}

// A logarithm y of x, put right where x is no positive number.
fn ln_ends_(y: f32, x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let upper = select(select(y, x, bits == 0x7f800000u), nan_(), bits > 0x7f800000u);
  return select(upper, -inf_(), (bits & 0x7fffffffu) == 0u);
}

fn ln_(x: f32) -> f32 {
  let parts = ln_parts_(x);
  return ln_ends_(ln_series_(parts.y, parts.x, 0.0), x);
}

fn log2_(x: f32) -> f32 {
  let parts = ln_parts_(x);
  return ln_ends_(parts.x + ln_series_(parts.y, 0.0, 0.0) * 1.44269504089, x);
}

fn log10_(x: f32) -> f32 {
  let parts = ln_parts_(x);
  let low = parts.x * 0.00000460503898 + ln_series_(parts.y, 0.0, 0.0) * 0.434294481903;
  return ln_ends_(parts.x * 0.301025390625 + low, x);
}

fn log1p_(x: f32) -> f32 {
  let near = x > -0.2928 && x < 0.4142;
  // c is what 1 + x lost; the mask hides the sum from drivers that would fold c to zero.
  let bits = bitcast<u32>(1.0 + x) & 0xfffffffeu;
  let u = bitcast<f32>(bits);
  let b = bits + 0x004afb0du;
  let k = select(i32(b >> 23u) - 127, 0, near);
  let f = select(bitcast<f32>((b & 0x007fffffu) + 0x3f3504f3u) - 1.0, x, near);
  let c = select(x - (u - 1.0), 1.0 - (u - x), k >= 2) / u;
  var y = ln_series_(f, f32(k), select(c, 0.0, near || k >= 25));
  y = select(y, nan_(), x < -1.0);
  y = select(y, -inf_(), x == -1.0);
  return select(y, x, is_nan(x) || x == 0.0 || bitcast<u32>(x) == 0x7f800000u);
}

fn tanh_(x: f32) -> f32 {
  let a = min(abs(x), 10.0);
  if (a < 0.625) {
    let z = x * x;
    let p = -0.333332819422 + z * (0.133314422036 + z * (-0.0537397155531 + z * (0.0206390887954 + z * -0.00570498872745)));
    return select(x * z * p + x, x, is_nan(x) || x == 0.0);
  }
  let t = 1.0 - 2.0 / (exp_(2.0 * a) + 1.0);
  return select(select(t, -t, x < 0.0), x, is_nan(x));
}

// Exponentiates only negative numbers, so nothing overflows.
fn sigmoid_(x: f32) -> f32 {
  let e = exp_(-abs(x));
  return select(select(1.0, e, x < 0.0) / (1.0 + e), x, is_nan(x));
}

// ln(1 + e^(bx)) / b, and x itself where bx is above the threshold.
fn softplus_(x: f32, b: f32, threshold: f32) -> f32 {
  let t = x * b;
  let y = (max(t, 0.0) + log1p_(exp_(-abs(t)))) / b;
  return select(y, x, is_nan(x) || t > threshold);
}

fn logsigmoid_(x: f32) -> f32 {
  return select(min(x, 0.0) - log1p_(exp_(-abs(x))), x, is_nan(x) || bitcast<u32>(x) == 0xff800000u);
}

fn logaddexp_(a: f32, b: f32) -> f32 {
  let high = max_(a, b);
  let y = high + log1p_(exp_(-abs(a - b)));
  return select(y, high, is_nan(high) || is_inf(high));
}

fn logaddexp2_(a: f32, b: f32) -> f32 {
  let high = max_(a, b);
  let y = high + log1p_(exp2_(-abs(a - b))) * 1.44269504089;
  return select(y, high, is_nan(high) || is_inf(high));
}

// ln(x / (1 - x)), by the difference from 1 where that is small.
fn logit_(x: f32) -> f32 {
  let near = x > 0.3 && x < 0.65;
  let y = select(ln_(x / (1.0 - x)), log1p_((2.0 * x - 1.0) / (1.0 - x)), near);
  let edge = select(y, inf_(), x == 1.0);
  return select(edge, nan_(), is_nan(x) || x < 0.0 || x > 1.0);
}

fn silu_(x: f32) -> f32 {
  return select(x * sigmoid_(x), nan_(), is_nan(x) || bitcast<u32>(x) == 0xff800000u);
}

// x tanh(softplus(x)), where both exponentials cancel.
fn mish_(x: f32) -> f32 {
  let e = exp_(min(x, 20.0));
  let n = e * (e + 2.0);
  let y = select(x * (n / (n + 2.0)), x, x > 20.0);
  return select(y, nan_(), is_nan(x) || bitcast<u32>(x) == 0xff800000u);
}

// x (1 + tanh u) / 2 = x sigmoid(2u) for u = √(2/π) (x + 0.044715 x³).
fn gelu_tanh_(x: f32) -> f32 {
  let a = clamp(x, -30.0, 30.0);
  let y = x * sigmoid_(1.59576912161 * (a + 0.044715 * a * a * a));
  return select(y, nan_(), is_nan(x) || bitcast<u32>(x) == 0xff800000u);
}

fn high_(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}

// a^b for finite a > 0 and b. log2(a) is kept as the sum of two floats, after fdlibm: the upper one has twelve
// bits, so its products are exact, and each masked sum yields its own rounding error.
fn pow_positive_(a: f32, exponent: f32) -> f32 {
  // Beyond 2^40 every base but 1 has long overflowed or vanished.
  let b = clamp(exponent, -1.0e12, 1.0e12);
  let bits = bitcast<u32>(a);
  let tiny = bits < 0x00800000u;
  let normal = select(bits, bitcast<u32>(f32(bits)), tiny);
  let fraction = normal & 0x007fffffu;
  // 1 <= m < 2 lies near 1 or near 1.5, or m / 2 lies near 1.
  let near_2 = fraction >= 0x5db3d7u;
  let mid = fraction > 0x1cc471u && !near_2;
  let m = fraction | select(0x3f800000u, 0x3f000000u, near_2);
  let n = f32(i32(normal >> 23u) - select(127, 276, tiny) + select(0, 1, near_2));
  let base = select(1.0, 1.5, mid);
  let x = bitcast<f32>(m);

  // s = (x - base) / (x + base) as s_h + s_l.
  let u = x - base;
  let v = 1.0 / (x + base);
  let s = u * v;
  let s_h = high_(s);
  let t_h = bitcast<f32>((((m >> 1u) & 0xfffff000u) | 0x20000000u) + 0x00400000u + select(0u, 0x00200000u, mid));
  let t_l = x - (t_h - base);
  let s_l = v * ((u - s_h * t_h) - s_h * t_l);

  // log2(x / base) = 2 / ln 2 * atanh(s).
  let z = s * s;
  let r = z * z * (0.6 + z * (0.42857143283 + z * (0.33333334327 + z * (0.27272811532 + z * (0.23066075146 + z * 0.20697501302))))) + s_l * (s_h + s);
  let q = s_h * s_h;
  let w_h = high_(3.0 + q + r);
  let w_l = r - ((w_h - 3.0) - q);
  let g = s_h * w_h;
  let h = s_l * w_h + w_l * s;
  let p_h = high_(g + h);
  let p_l = h - (p_h - g);
  let c_h = 0.9619140625 * p_h;
  let c_l = -0.00011736857402 * p_h + p_l * 0.96179670095 + select(0.0, 1.56322085e-6, mid);
  let d = select(0.0, 0.584960938, mid);
  let l_h = high_(((c_h + c_l) + d) + n);
  let l_l = c_l - ((clamp(l_h - n, -2.0, 2.0) - d) - c_h);

  // b * log2(a) = k + e, and 2^e by the exponential's polynomial.
  let b_h = high_(b);
  let e_l = (b - b_h) * l_h + b * l_l;
  let e_h = b_h * l_h;
  let k = clamp(floor(e_h + e_l + 0.5), -190.0, 130.0);
  let e_k = e_h - k;
  let t = bitcast<f32>(bitcast<u32>(clamp(e_k + e_l, -1.0, 1.0)) & 0xffff8000u);
  let rest = (e_l - (t - e_k)) * 0.69314718246 + t * 1.42860654e-6;
  let y = 1.0 + expm1_poly_(clamp(t * 0.693145752 + rest, -0.5, 0.5));
  return scale_(y, i32(k));
}

fn pow_(a: f32, b: f32) -> f32 {
  if (b == 1.0) {
    return a;
  }
  if (b == 2.0) {
    return a * a;
  }
  if (b == 3.0) {
    return a * a * a;
  }
  let size = magnitude_(a);
  if (magnitude_(b) == 0u || bitcast<u32>(a) == 0x3f800000u) {
    return 1.0;
  }
  if (is_nan(a) || is_nan(b)) {
    return nan_();
  }
  let finite = size != 0u && size < 0x7f800000u;
  if (is_inf(b)) {
    return select(select(0.0, inf_(), (size > 0x3f800000u) == (b > 0.0)), 1.0, size == 0x3f800000u);
  }
  let whole = floor(b) == b;
  let odd = whole && abs(b) < 16777216.0 && (i32(clamp(b, -16777216.0, 16777216.0)) & 1) == 1;
  var y: f32;
  if (finite) {
    if (b == -1.0) {
      return 1.0 / a;
    }
    if (a < 0.0 && !whole) {
      return nan_();
    }
    if (b == 0.5) {
      return sqrt(a);
    }
    y = pow_positive_(abs(a), b);
  } else {
    y = select(0.0, inf_(), (size == 0u) == (b < 0.0));
  }
  return select(y, -y, odd && (bitcast<u32>(a) >> 31u) == 1u);
}
