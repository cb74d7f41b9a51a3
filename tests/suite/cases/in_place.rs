//! Operations in place: each on a value that is part of a graph, whose history is written anew.

use super::{ANY, Case, index};
use wgrad::{Arg, Combine, Tensor};

/// Away from 0.
const POSITIVE: (f64, f64) = (0.5, 2.0);
const PART: (f64, f64) = (0.1, 0.9);

/// Cases named after the operation: the intervals of its operands, of shapes [2, 3] and [3], and its arguments.
macro_rules! cases {
    ($($name:ident $within:expr, |$x:ident| ($($arg:expr),*);)*) => { vec![$(
        Case::new(stringify!($name), &[(&[2, 3], $within[0]), (&[3], $within[$within.len() - 1])], |$x| {
            let y = &$x[0] * 1.0;
            let whole = y.exp();
            y.$name($($arg),*).unwrap();
            // The second operand counts in any case, and a view of what was written is read.
            (y.select(0, 1) * whole.select(0, 0) + &$x[1]).sin()
        })
    ),*] };
}

fn columns(x: &Tensor) -> Tensor {
    index(x, &[2, 0], &[2])
}

fn places(x: &Tensor) -> Tensor {
    index(x, &[1, 0, 1], &[1, 3])
}

fn pair(x: &Tensor) -> Tensor {
    x.narrow(0, 0, 2)
}

fn square(x: &Tensor) -> Tensor {
    x.outer(x)
}

pub fn cases() -> Vec<Case> {
    named().into_iter().chain(others()).collect()
}

fn named() -> Vec<Case> {
    cases! {
        add_ [ANY], |x| (&x[1]);
        sub_ [ANY], |x| (&x[1]);
        mul_ [ANY], |x| (&x[1]);
        div_ [ANY, POSITIVE], |x| (&x[1]);
        pow_ [POSITIVE], |x| (&x[1]);
        float_power_ [POSITIVE], |x| (&x[1]);
        fmod_ [(2.1, 2.4), (0.9, 1.0)], |x| (&x[1]);
        remainder_ [(2.1, 2.4), (0.9, 1.0)], |x| (&x[1]);
        atan2_ [POSITIVE], |x| (&x[1]);
        hypot_ [POSITIVE], |x| (&x[1]);
        copysign_ [POSITIVE, (-2.0, -0.5)], |x| (x[1].detach());
        xlogy_ [POSITIVE], |x| (&x[1]);
        lerp_ [ANY], |x| (&x[1], 0.3);
        addcmul_ [ANY], |x| (&x[1], &x[1], 0.5);
        addcdiv_ [ANY, POSITIVE], |x| (&x[1], &x[1].exp(), 0.5);
        clamp_ [ANY], |x| (-0.7, 0.9);
        clamp_min_ [ANY], |x| (0.1);
        clamp_max_ [ANY], |x| (0.1);
        neg_ [ANY], |x| ();
        abs_ [POSITIVE], |x| ();
        square_ [ANY], |x| ();
        sqrt_ [POSITIVE], |x| ();
        rsqrt_ [POSITIVE], |x| ();
        reciprocal_ [POSITIVE], |x| ();
        exp_ [ANY], |x| ();
        exp2_ [ANY], |x| ();
        expm1_ [ANY], |x| ();
        log_ [POSITIVE], |x| ();
        log2_ [POSITIVE], |x| ();
        log10_ [POSITIVE], |x| ();
        log1p_ [POSITIVE], |x| ();
        logit_ [PART], |x| (None);
        sin_ [ANY], |x| ();
        cos_ [ANY], |x| ();
        tan_ [PART], |x| ();
        asin_ [PART], |x| ();
        acos_ [PART], |x| ();
        atan_ [ANY], |x| ();
        sinh_ [ANY], |x| ();
        cosh_ [ANY], |x| ();
        tanh_ [ANY], |x| ();
        asinh_ [ANY], |x| ();
        acosh_ [(1.5, 3.0)], |x| ();
        atanh_ [PART], |x| ();
        sinc_ [PART], |x| ();
        deg2rad_ [ANY], |x| ();
        erf_ [ANY], |x| ();
        erfc_ [ANY], |x| ();
        erfinv_ [PART], |x| ();
        lgamma_ [POSITIVE], |x| ();
        digamma_ [POSITIVE], |x| ();
        sigmoid_ [ANY], |x| ();
        relu_ [ANY], |x| ();
        relu6_ [ANY], |x| ();
        leaky_relu_ [ANY], |x| (0.2);
        elu_ [ANY], |x| (1.3);
        celu_ [ANY], |x| (1.3);
        selu_ [ANY], |x| ();
        hardtanh_ [ANY], |x| (-0.7, 0.9);
        hardsigmoid_ [ANY], |x| ();
        hardswish_ [ANY], |x| ();
        threshold_ [ANY], |x| (0.3, -1.0);
        silu_ [ANY], |x| ();
        mish_ [ANY], |x| ();
        frac_ [(1.1, 1.9)], |x| ();
        nan_to_num_ [ANY], |x| (0.0, None, None);
        tril_ [ANY], |x| (0);
        triu_ [ANY], |x| (0);
        cumsum_ [ANY], |x| (1);
        cumprod_ [ANY], |x| (1);
        addmm_ [ANY], |x| (&square(&pair(&x[1])), &x[0], 0.5, 2.0);
        addr_ [ANY], |x| (&pair(&x[1]), &x[1], 1, 2.0);
        renorm_ [POSITIVE], |x| (2.0, 0, 0.7);
        masked_fill_ [ANY], |x| (&x[1].gt(0.0), 0.4);
        masked_scatter_ [ANY], |x| (&x[0].gt(0.0), &x[0].exp());
        index_add_ [ANY], |x| (1, &columns(&x[1]), &x[0].narrow(1, 1, 2), 0.5);
        index_copy_ [ANY], |x| (1, &columns(&x[1]), &x[0].narrow(1, 1, 2).exp());
        index_fill_ [ANY], |x| (1, &columns(&x[1]), 0.5);
        index_put_ [ANY], |x| ((&columns(&x[1]).zeros_like(), &columns(&x[1])), Arg::from(pair(&x[1])), true);
        put_ [ANY], |x| (&columns(&x[1]), &pair(&x[1]), true);
        scatter_ [ANY], |x| (0, &places(&x[1]), Arg::from(x[1].unsqueeze(0)));
        scatter_add_ [ANY], |x| (0, &places(&x[1]), &x[1].unsqueeze(0));
        scatter_reduce_ [ANY], |x| (0, &places(&x[1]), &x[1].unsqueeze(0), Combine::Prod, true);
        index_reduce_ [ANY], |x| (1, &columns(&x[1]), &x[0].narrow(1, 1, 2).exp(), Combine::Amax, true);
        copy_ [ANY], |x| (&x[1]);
        fill_ [ANY], |x| (Arg::from(x[1].sum()));
        bernoulli_ [ANY], |x| (0.0);
    }
}

/// Those that need other shapes, or numbers near 0.
fn others() -> Vec<Case> {
    vec![
        Case::new("rad2deg_", &[(&[2, 3], ANY)], |x| {
            let y = &x[0] * 0.02;
            y.rad2deg_().unwrap();
            y.sin()
        }),
        Case::new("addmv_", &[(&[2], ANY), (&[2, 3], ANY), (&[3], ANY)], |x| {
            let y = &x[0] * 1.0;
            y.addmv_(&x[1], &x[2], 0.5, 2.0).unwrap();
            y.sin()
        }),
        Case::new("addbmm_", &[(&[2, 2], ANY), (&[3, 2, 4], ANY), (&[3, 4, 2], ANY)], |x| {
            let y = &x[0] * 1.0;
            y.addbmm_(&x[1], &x[2], 0.5, 2.0).unwrap();
            y.sin()
        }),
        Case::new("baddbmm_", &[(&[2, 2, 2], ANY), (&[2, 2, 3], ANY), (&[2, 3, 2], ANY)], |x| {
            let y = &x[0] * 1.0;
            y.baddbmm_(&x[1], &x[2], 0.5, 2.0).unwrap();
            y.sin()
        }),
    ]
}
