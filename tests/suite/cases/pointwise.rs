//! What is made of scalar functions.

use super::{ANY, Case};

/// Away from 0.
const POSITIVE: (f64, f64) = (0.5, 2.0);

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("pow", &[(&[2, 3], POSITIVE), (&[3], ANY)], |x| x[0].pow(&x[1]) * x[0].pow(3)),
        Case::new("positive, sgn, contiguous", &[(&[2, 3], ANY)], |x| {
            x[0].sgn() * x[0].positive().t().contiguous().t().sin()
        }),
        Case::new("frexp", &[(&[2, 3], (0.55, 0.95))], |x| (x[0].frexp().0 * x[0].frexp().1.exp2()).sin()),
        Case::new("div_trunc", &[(&[2, 3], ANY), (&[3], POSITIVE)], |x| x[0].div_trunc(&x[1]) * &x[0]),
        Case::new("rsub, rpow", &[(&[2, 3], ANY)], |x| x[0].rsub(3.0).rpow(1.5)),
        Case::new("ldexp, float_power", &[(&[4], POSITIVE), (&[4], ANY)], |x| x[0].ldexp(&x[1]).float_power(1.5)),
        Case::new("clamp by tensors", &[(&[2, 4], ANY), (&[4], (-2.0, -0.1)), (&[2, 1], (0.1, 2.0))], |x| {
            x[0].clamp(&x[1], &x[2]) * &x[0]
        }),
        Case::new("clamp_min, clamp_max by numbers", &[(&[2, 3], ANY)], |x| {
            x[0].clamp_min(-0.7).clamp_max(0.9) * &x[0]
        }),
        Case::new("logit with eps", &[(&[6], (0.02, 0.98))], |x| x[0].logit(0.1)),
        Case::new("square", &[(&[2, 3], ANY)], |x| x[0].square().sin()),
        Case::new("lerp", &[(&[2, 3], ANY), (&[3], ANY), (&[2, 1], (0.0, 1.0))], |x| x[0].lerp(&x[1], &x[2])),
        Case::new("lerp by a number", &[(&[3], ANY), (&[3], ANY)], |x| x[0].lerp(&x[1], 0.8) * x[0].lerp(&x[1], 0.2)),
        Case::new("addcmul, addcdiv", &[(&[2, 3], ANY), (&[3], ANY), (&[2, 1], POSITIVE)], |x| {
            x[0].addcmul(&x[1], &x[2], 0.5).addcdiv(&x[1], &x[2], -2.0)
        }),
        Case::new("nan_to_num", &[(&[2, 3], ANY)], |x| (x[0].nan_to_num(0.5, None, None)).square()),
        Case::new("round_to, frac", &[(&[2, 3], ANY)], |x| (&x[0] - x[0].round_to(1)) * x[0].frac()),
        Case::new("hardswish", &[(&[2, 5], (-4.0, 4.0))], |x| x[0].hardswish() * &x[0]),
        Case::new("softplus_with", &[(&[2, 3], ANY)], |x| x[0].softplus_with(2.0, 1.0) + x[0].softplus()),
        Case::new("softshrink, hardshrink", &[(&[7], ANY)], |x| x[0].softshrink(0.5) * x[0].hardshrink(0.3)),
        Case::new("tanhshrink, softsign", &[(&[7], ANY)], |x| x[0].tanhshrink() * x[0].softsign()),
        Case::new("glu", &[(&[2, 4, 3], ANY)], |x| x[0].glu(1)),
        Case::new("prelu", &[(&[2, 3, 2], ANY), (&[3], POSITIVE)], |x| x[0].prelu(&x[1])),
        Case::new("prelu of one weight", &[(&[4], ANY), (&[1], POSITIVE)], |x| x[0].prelu(&x[1]) * &x[0]),
        Case::new("rrelu", &[(&[2, 3], ANY)], |x| x[0].rrelu(0.1, 0.3, false)),
        Case::new("polygamma", &[(&[4], (0.5, 4.0))], |x| x[0].polygamma(2) + x[0].lgamma()),
        Case::new("polygamma below 0", &[(&[4], (-1.9, -1.1))], |x| x[0].polygamma(1) * x[0].digamma() + x[0].lgamma()),
    ]
}
