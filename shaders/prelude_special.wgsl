// Computes: error and gamma functions, and activations made of them.
// Mapping: none, as in prelude.wgsl.
// Hooks: none.
// Limits: as in prelude.wgsl. Near a zero that is no whole number, and below -512 for polygamma of a second or higher
//   order, gamma functions lose digits; polygamma_ runs a loop of as many turns as its operand lies below 1.

// e^(a²) erfc a for 0 <= a <= 10.1. The polynomial in (a - 2) / (a + 2) is Norbert Juffa's form.
fn erfcx_(a: f32) -> f32 {
  let q = (a - 2.0) / (a + 2.0);
  let p = 0.27697839324 + q * (-0.092763978952 + q * (-0.16603140901 + q * (0.16405531071 + q * (-0.054204485533 + q * (-0.0080597512048 + q * (0.0086324004035 + q * (0.0013136151002 + q * (-0.0012308074946 + q * -0.00040109115092))))))));
  return (1.0 + p) / (1.0 + 2.0 * a);
}

// e^(-scale a²): the square of the upper bits is exact, and the rest lies below 0.08.
fn exp_square_(a: f32, scale: f32) -> f32 {
  let h = high_(a);
  return exp_(-scale * (h * h)) * (1.0 + expm1_poly_(-scale * ((a - h) * (a + h))));
}

fn erfc_(x: f32) -> f32 {
  let a = min(abs(x), 10.1);
  let y = erfcx_(a) * exp_square_(a, 1.0);
  return select(select(y, 2.0 - y, x < 0.0), x, is_nan(x));
}

fn erf_(x: f32) -> f32 {
  let z = min(x * x, 0.85);
  let p = 0.12837916669 + z * (-0.37612634184 + z * (0.11283701548 + z * (-0.026859698203 + z * (0.0052017058045 + z * (-0.00081496875403 + z * 0.000083972878374)))));
  if (abs(x) < 0.92) {
    return select(x + x * p, x, x == 0.0);
  }
  let y = 1.0 - erfc_(abs(x));
  return select(select(y, -y, x < 0.0), x, is_nan(x));
}

// After Giles: a polynomial in the logarithm of 1 - x² near 0, in its root near 1.
fn erfinv_(x: f32) -> f32 {
  let w = -ln_((1.0 - x) * (1.0 + x));
  let c = w - 2.5;
  let near = 1.5014093593 + c * (0.24664028615 + c * (-0.0041773867435 + c * (-0.0012527418787 + c * (0.00021834441083 + c * (-4.9633518505e-6 + c * (-3.4626975978e-6 + c * (4.6617225962e-7 + c * (2.3232080917e-8 + c * -8.7912103774e-9))))))));
  let t = sqrt(max(w, 5.0)) - 3.0;
  let far = 2.8329769901 + t * (1.0016741819 + t * (0.009435622127 + t * (-0.007625301758 + t * (0.0057617978584 + t * (-0.003660135762 + t * (0.0013002253944 + t * (0.000086101183944 + t * -0.00016542402307)))))));
  let y = x * select(near, far, w > 5.0);
  let edge = select(y, select(inf_(), -inf_(), x < 0.0), abs(x) == 1.0);
  return select(select(edge, nan_(), abs(x) > 1.0), x, is_nan(x) || x == 0.0);
}

// The standard normal distribution's integral up to x.
fn normal_cdf_(x: f32) -> f32 {
  let a = min(abs(x), 14.2);
  let y = 0.5 * erfcx_(0.70710678119 * a) * exp_square_(a, 0.5);
  return select(1.0 - y, y, x < 0.0);
}

fn gelu_(x: f32) -> f32 {
  let y = x * normal_cdf_(x);
  return select(select(y, nan_(), is_nan(x)), x, bitcast<u32>(x) == 0x7f800000u || magnitude_(x) == 0u);
}

// ln Γ(1 + u) for -0.3 <= u <= 0.7.
fn lgamma_near_one_(u: f32) -> f32 {
  return u * (-0.57721565121 + u * (0.82246701325 + u * (-0.40068921205 + u * (0.27058916699 + u * (-0.20724555133 + u * (0.1690895753 + u * (-0.14541326086 + u * (0.13297676638 + u * (-0.11573117099 + u * (0.072328817447 + u * -0.021366076969))))))))));
}

// ln Γ(a) for a >= 0.3.
fn lgamma_positive_(a: f32) -> f32 {
  if (a < 0.7) {
    return lgamma_near_one_(a) - ln_(a);
  }
  if (a < 1.7) {
    return lgamma_near_one_(a - 1.0);
  }
  if (a < 3.0) {
    let t = a - 2.0;
    return t * (0.42278433308 + t * (0.32246703889 + t * (-0.067352014884 + t * (0.020580324938 + t * (-0.0073913360106 + t * (0.0029053243312 + t * (-0.0011735861596 + t * (0.00040369761739 + t * -0.000076604254235))))))));
  }
  let r = 1.0 / a;
  let z = r * r;
  let p = r * (0.083333313806 + z * (-0.0027744741423 + z * 0.00070937193757));
  return (a - 0.5) * (ln_(a) - 1.0) + (0.418938533205 + p);
}

fn lgamma_(x: f32) -> f32 {
  let size = magnitude_(x);
  if (size > 0x7f800000u) {
    return x;
  }
  if (size == 0x7f800000u || (x <= 0.0 && floor(x) == x)) {
    return inf_();
  }
  if (x > -0.3 && x < 0.7) {
    return lgamma_near_one_(x) - ln_(abs(x));
  }
  let y = lgamma_positive_(abs(x));
  let reflected = 1.14472988585 - ln_(abs(x * sin_cos_pi_(x).x)) - y;
  let overflows = x > 4.085e36;
  return select(select(y, inf_(), overflows), reflected, x < 0.0);
}

fn digamma_(x: f32) -> f32 {
  let size = magnitude_(x);
  if (size > 0x7f800000u || bitcast<u32>(x) == 0x7f800000u) {
    return x;
  }
  if (size == 0u) {
    return select(-inf_(), inf_(), bitcast<u32>(x) == 0x80000000u);
  }
  if (x < 0.0 && (size == 0x7f800000u || floor(x) == x)) {
    return nan_();
  }
  let turn = sin_cos_pi_(x);
  let a = select(x, 1.0 - x, x < 0.0);
  let low = a < 6.0;
  let b = min(a, 6.0);
  let steps = 1.0 / b + 1.0 / (b + 1.0) + 1.0 / (b + 2.0) + 1.0 / (b + 3.0) + 1.0 / (b + 4.0) + 1.0 / (b + 5.0);
  let c = select(a, a + 6.0, low);
  let r = 1.0 / c;
  let z = r * r;
  let far = ln_(c) - 0.5 * r - z * (0.083333333333 - z * (0.0083333333333 - z * 0.003968253968254));
  let y = select(far, far - steps, low);
  return select(y, y - 3.14159265359 * turn.y / turn.x, x < 0.0);
}

// Σ (q + k)^-s over all k >= 0, for q > 0: some terms, then Euler and Maclaurin's formula for the rest.
fn zeta_(s: f32, q: f32) -> f32 {
  let n = -s;
  let some = pow_(q, n) + pow_(q + 1.0, n) + pow_(q + 2.0, n) + pow_(q + 3.0, n) + pow_(q + 4.0, n) + pow_(q + 5.0, n);
  let w = q + 6.0;
  let last = pow_(w, 1.0 - s);
  let z = 1.0 / (w * w);
  let series = 1.0 + z * (s + 1.0) * (s + 2.0) * (-0.016666666667 + z * (s + 3.0) * (s + 4.0) * (0.00039682539683 - z * (s + 5.0) * (s + 6.0) * 0.0000099206349206));
  return some + last * (1.0 / (s - 1.0) + 0.5 / w + s * z / 12.0 * series);
}

// The derivative of order n of digamma.
fn polygamma_(x: f32, n: f32) -> f32 {
  if (is_nan(x) || !(n >= 0.0 && n <= 34.0 && floor(n) == n)) {
    return nan_();
  }
  if (n == 0.0) {
    return digamma_(x);
  }
  if (bitcast<u32>(x) == 0x7f800000u) {
    return 0.0;
  }
  let odd = (i32(n) & 1) == 1;
  if (x <= 0.0 && (floor(x) == x || is_inf(x))) {
    return inf_();
  }
  if (n == 1.0) {
    let s = sin_cos_pi_(x).x;
    let y = zeta_(2.0, select(x, 1.0 - x, x < 0.5));
    return select(y, 9.86960440109 / (s * s) - y, x < 0.5);
  }
  var q = x;
  var below = 0.0;
  for (var k = 0; k < 512 && q < 1.0; k += 1) {
    below += pow_(q, -1.0 - n);
    q += 1.0;
  }
  if (q < 1.0) {
    return nan_();
  }
  var factorial = 1.0;
  for (var k = 2.0; k <= n; k += 1.0) {
    factorial *= k;
  }
  let y = factorial * (below + zeta_(n + 1.0, q));
  return select(-y, y, odd);
}
