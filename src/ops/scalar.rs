//! The table of scalar functions. From a row follow the method, the fused kernel, both derivatives and their tests.
//!
//! To add a function, add a row. Derivatives at kinks and ties follow PyTorch; they are written through the result
//! `y` where possible, since it is cheaper to keep and safer where the operand is large.

use crate::dtype::DType;
use crate::ops::map::{Arg, map};
use crate::ops::row::{Derivative, Domain, Meaning, Row, RowKind, each1, each2, each3, eval, eval_choice};
use crate::tensor::Tensor;

/// Turns rows into statics, methods of [`Tensor`] and the list [`ROWS`].
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident($($x:ident),*) => $node:literal $kind:ident {
        cpu: $cpu:expr,
        $(int: $int:expr,)?
        wgsl: $wgsl:literal,
        $(wgsl_int: $wgsl_int:literal,)?
        grad: [$(|$g:ident $(, $s:ident)*| $grad:expr),*],
        test: $within:expr, at $at:expr, within $tolerance:expr,
    })*) => {
        /// The rows by name.
        #[allow(non_upper_case_globals, reason = "a row is called what its method is called")]
        pub(crate) mod rows {
            use super::*;
            $(pub static $name: Row = Row {
                name: stringify!($name),
                node: concat!($node, "Backward0"),
                kind: RowKind::$kind,
                cpu: rows!(@meaning ($($x)*) $cpu),
                eval: rows!(@eval $kind ($($x)*) rows!(@double ($($x)*) $cpu), rows!(@int ($($x)*) $cpu $(, $int)?)),
                wgsl: $wgsl,
                wgsl_int: concat!($($wgsl_int)?),
                grads: &[$(Derivative {
                    saves: &[$(stringify!($s)),*],
                    rule: |$g: &Tensor, saved: &[Tensor]| {
                        let [$($s),*] = saved else { unreachable!("a rule is given what it saves") };
                        $grad
                    },
                }),*],
                test: Domain { within: &$within, at: &$at, tolerance: $tolerance },
            };)*
        }

        /// Every row, in the order of the table.
        pub static ROWS: &[&Row] = &[&WHERE, $(&rows::$name),*];

        impl Tensor {
            $(rows!(@method $(#[$doc])* $name ($($x)*));)*
        }
    };
    (@meaning (x) $f:expr) => { Meaning::Unary($f) };
    (@meaning (a b) $f:expr) => { Meaning::Binary($f) };
    (@meaning (a b c) $f:expr) => { Meaning::Ternary($f) };
    (@eval $kind:ident (x) $f:expr, $int:expr) => { eval!($kind each1 (x) $f, $int) };
    (@eval $kind:ident (a b) $f:expr, $int:expr) => { eval!($kind each2 (a b) $f, $int) };
    (@eval $kind:ident (a b c) $f:expr, $int:expr) => { eval!($kind each3 (a b c) $f, $int) };
    // A closure whose types are known; it is inlined into every loop.
    (@double (x) $f:expr) => { ({ let f: fn(f64) -> f64 = $f; f }) };
    (@double (a b) $f:expr) => { ({ let f: fn(f64, f64) -> f64 = $f; f }) };
    (@double (a b c) $f:expr) => { ({ let f: fn(f64, f64, f64) -> f64 = $f; f }) };
    // Without a meaning of its own, an integer takes the way through a double, which holds it exactly.
    (@int (x) $f:expr) => { (|x: i64| rows!(@double (x) $f)(x as f64) as i64) };
    (@int (a b) $f:expr) => { (|a: i64, b: i64| rows!(@double (a b) $f)(a as f64, b as f64) as i64) };
    (@int (a b c) $f:expr) => {
        (|a: i64, b: i64, c: i64| rows!(@double (a b c) $f)(a as f64, b as f64, c as f64) as i64)
    };
    (@int (x) $f:expr, $int:expr) => { ({ let f: fn(i64) -> i64 = $int; f }) };
    (@int (a b) $f:expr, $int:expr) => { ({ let f: fn(i64, i64) -> i64 = $int; f }) };
    (@method $(#[$doc:meta])* $name:ident (x)) => {
        $(#[$doc])*
        #[track_caller]
        pub fn $name(&self) -> Tensor {
            map(&rows::$name, &[self.into()])
        }
    };
    (@method $(#[$doc:meta])* $name:ident (a b)) => {
        $(#[$doc])*
        ///
        /// The other operand is a tensor or a number; the two broadcast.
        #[track_caller]
        pub fn $name(&self, b: impl Into<Arg>) -> Tensor {
            map(&rows::$name, &[self.into(), b.into()])
        }
    };
    (@method $(#[$doc:meta])* $name:ident (a b c)) => {
        $(#[$doc])*
        #[track_caller]
        pub fn $name(&self, b: impl Into<Arg>, c: impl Into<Arg>) -> Tensor {
            map(&rows::$name, &[self.into(), b.into(), c.into()])
        }
    };
}

fn sign_of(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// The larger of two, NaN if either is.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller of two, NaN if either is.
fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// Gradient that flows where a condition does not hold.
fn unless(condition: Tensor, g: &Tensor) -> Tensor {
    Tensor::where_(&condition, 0.0, g)
}

rows! {
    /// `-x`. Derivative: `-1`.
    neg(x) => "Neg" Arithmetic {
        cpu: |x| -x,
        int: |x| x.wrapping_neg(),
        wgsl: "-x",
        wgsl_int: "(~x + 1)",
        grad: [|g| -g],
        test: [(-4.0, 4.0)], at [0.0], within 0.0,
    }
    /// `|x|`. Derivative: the sign of `x`, 0 at 0.
    abs(x) => "Abs" Arithmetic {
        cpu: |x| x.abs(),
        int: |x| x.abs(),
        wgsl: "abs(x)",
        grad: [|g, x| g * x.sign()],
        test: [(-4.0, 4.0)], at [0.0, f64::NEG_INFINITY], within 0.0,
    }
    /// -1, 0 or 1, as `x` is negative, 0 (or NaN), or positive. Derivative: 0.
    sign(x) => "Sign" Arithmetic {
        cpu: sign_of,
        wgsl: "sign_(x)",
        wgsl_int: "(x >> 31u) | min(x, 1)",
        grad: [|g| g * 0.0],
        test: [(-4.0, 4.0)], at [0.0, f64::NAN], within 0.0,
    }
    /// The largest integer not above `x`. Derivative: 0.
    floor(x) => "Floor" Arithmetic {
        cpu: |x| x.floor(),
        wgsl: "floor(x)",
        wgsl_int: "x",
        grad: [|g| g * 0.0],
        test: [(-4.0, 4.0)], at [-0.5, 2.0], within 0.0,
    }
    /// The smallest integer not below `x`. Derivative: 0.
    ceil(x) => "Ceil" Arithmetic {
        cpu: |x| x.ceil(),
        wgsl: "ceil(x)",
        wgsl_int: "x",
        grad: [|g| g * 0.0],
        test: [(-4.0, 4.0)], at [-0.5, 2.0], within 0.0,
    }
    /// The nearest integer, halves to the even one. Derivative: 0.
    round(x) => "Round" Arithmetic {
        cpu: |x| x.round_ties_even(),
        wgsl: "round(x)",
        wgsl_int: "x",
        grad: [|g| g * 0.0],
        test: [(-4.0, 4.0)], at [0.5, 1.5, 2.5], within 0.0,
    }
    /// `1 / x`. Derivative: `-y²`.
    reciprocal(x) => "Reciprocal" Float {
        cpu: |x| 1.0 / x,
        wgsl: "1.0 / x",
        grad: [|g, y| -(g * y * y)],
        test: [(0.3, 4.0)], at [f64::INFINITY], within 3e-7,
    }
    /// `eˣ`. Derivative: `y`.
    exp(x) => "Exp" Float {
        cpu: |x| x.exp(),
        wgsl: "exp_(x)",
        grad: [|g, y| g * y],
        test: [(-4.0, 4.0)], at [0.0, -80.0, 80.0, 200.0, f64::NEG_INFINITY, f64::NAN], within 1e-6,
    }
    /// The natural logarithm. Derivative: `1 / x`.
    ln(x) => "Log" Float {
        cpu: |x| x.ln(),
        wgsl: "ln_(x)",
        grad: [|g, x| g / x],
        test: [(0.2, 4.0)], at [1.0, 1.0001, 0.0, -1.0, f64::INFINITY, f64::NAN], within 1e-6,
    }
    /// `ln(1 + x)`, without loss of digits near 0. Derivative: `1 / (1 + x)`.
    log1p(x) => "Log1P" Float {
        cpu: |x| x.ln_1p(),
        wgsl: "log1p_(x)",
        grad: [|g, x| g / (x + 1.0)],
        test: [(-0.5, 4.0)], at [0.0, 1e-7, -1.0, -2.0, f64::INFINITY, f64::NAN], within 1e-6,
    }
    /// `√x`. Derivative: `1 / 2y`; infinite at 0.
    sqrt(x) => "Sqrt" Float {
        cpu: |x| x.sqrt(),
        wgsl: "sqrt_(x)",
        grad: [|g, y| g / (2.0 * y)],
        test: [(0.2, 4.0)], at [0.0, -1.0, f64::INFINITY], within 3e-7,
    }
    /// The sine of `x` in radians. Derivative: `cos x`.
    sin(x) => "Sin" Float {
        cpu: |x| x.sin(),
        wgsl: "sin(x)",
        grad: [|g, x| g * x.cos()],
        test: [(-3.0, 3.0)], at [0.0], within 2e-6,
    }
    /// The cosine of `x` in radians. Derivative: `-sin x`.
    cos(x) => "Cos" Float {
        cpu: |x| x.cos(),
        wgsl: "cos(x)",
        grad: [|g, x| -(g * x.sin())],
        test: [(-3.0, 3.0)], at [0.0], within 2e-6,
    }
    /// The hyperbolic tangent. Derivative: `1 - y²`.
    tanh(x) => "Tanh" Float {
        cpu: |x| x.tanh(),
        wgsl: "tanh_(x)",
        grad: [|g, y| g * (1.0 - y * y)],
        test: [(-4.0, 4.0)], at [0.0, 1e-4, 50.0, 1000.0, f64::INFINITY, f64::NAN], within 2e-6,
    }
    /// `1 / (1 + e⁻ˣ)`. Derivative: `y (1 - y)`.
    sigmoid(x) => "Sigmoid" Float {
        cpu: |x| 1.0 / (1.0 + (-x).exp()),
        wgsl: "sigmoid_(x)",
        grad: [|g, y| g * (y * (1.0 - y))],
        test: [(-4.0, 4.0)], at [0.0, 200.0, -200.0, f64::NAN], within 2e-6,
    }
    /// `max(x, 0)`, NaN where `x` is. Derivative: 1 above 0, else 0.
    relu(x) => "Relu" Arithmetic {
        cpu: |x| if x < 0.0 { 0.0 } else { x },
        wgsl: "relu_(x)",
        wgsl_int: "max(x, 0)",
        grad: [|g, y| unless(y.le(0.0), g)],
        test: [(-4.0, 4.0)], at [0.0, f64::NAN, f64::INFINITY], within 0.0,
    }
    /// Whether `x` is not a number.
    is_nan(x) => "IsNan" Test {
        cpu: |x| x.is_nan() as u8 as f64,
        wgsl: "is_nan(x)",
        grad: [],
        test: [(-4.0, 4.0)], at [f64::NAN, f64::INFINITY], within 0.0,
    }
    /// Whether `x` is false.
    logical_not(x) => "LogicalNot" Logic {
        cpu: |x| (x == 0.0) as u8 as f64,
        wgsl: "!x",
        grad: [],
        test: [(0.0, 1.0)], at [], within 0.0,
    }

    /// `a + b`. Derivatives: 1 and 1.
    add(a, b) => "Add" Arithmetic {
        cpu: |a, b| a + b,
        int: |a, b| a + b,
        wgsl: "a + b",
        grad: [|g| g.clone(), |g| g.clone()],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, f64::INFINITY], within 1e-7,
    }
    /// `a - b`. Derivatives: 1 and -1.
    sub(a, b) => "Sub" Arithmetic {
        cpu: |a, b| a - b,
        int: |a, b| a - b,
        wgsl: "a - b",
        grad: [|g| g.clone(), |g| -g],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0], within 1e-7,
    }
    /// `a b`. Derivatives: `b` and `a`.
    mul(a, b) => "Mul" Arithmetic {
        cpu: |a, b| a * b,
        int: |a, b| a.wrapping_mul(b),
        wgsl: "a * b",
        grad: [|g, b| g * b, |g, a| g * a],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0], within 1e-7,
    }
    /// `a / b`, a float also for integers. Derivatives: `1 / b` and `-y / b`.
    div(a, b) => "Div" Float {
        cpu: |a, b| a / b,
        wgsl: "a / b",
        grad: [|g, b| g / b, |g, b, y| -(g * (y / b))],
        test: [(-4.0, 4.0), (0.3, 4.0)], at [1.0], within 3e-7,
    }
    /// `aᵇ`. Derivatives: `b aᵇ⁻¹`, 0 where `b` is 0; and `y ln a`, 0 where `a` is 0 and `b` is not negative.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1.0, 2.0, 3.0], &Device::cpu());
    /// assert_eq!(x.pow(2.0).to_vec::<f32>()?, [1.0, 4.0, 9.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pow(a, b) => "Pow" Float {
        cpu: |a, b| a.powf(b),
        wgsl: "pow_(a, b)",
        grad: [
            |g, a, b| unless(b.eq(0.0), &(g * (b * a.pow(b - 1.0)))),
            |g, a, b, y| unless(a.eq(0.0).logical_and(b.ge(0.0)), &(g * (y * a.ln())))
        ],
        test: [(0.3, 3.0), (-2.0, 3.0)], at [0.0, 1.0, 2.0, -2.0], within 4e-6,
    }
    /// The larger of the two, NaN if either is. Derivatives: 1 for the larger; equal operands get half each.
    maximum(a, b) => "Maximum" Arithmetic {
        cpu: larger,
        wgsl: "max_(a, b)",
        wgsl_int: "max(a, b)",
        grad: [
            |g, a, b| unless(a.lt(b), &Tensor::where_(&a.eq(b), 0.5 * g, g)),
            |g, a, b| unless(b.lt(a), &Tensor::where_(&a.eq(b), 0.5 * g, g))
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1.0, f64::NAN], within 0.0,
    }
    /// The smaller of the two, NaN if either is. Derivatives: 1 for the smaller; equal operands get half each.
    minimum(a, b) => "Minimum" Arithmetic {
        cpu: smaller,
        wgsl: "min_(a, b)",
        wgsl_int: "min(a, b)",
        grad: [
            |g, a, b| unless(a.gt(b), &Tensor::where_(&a.eq(b), 0.5 * g, g)),
            |g, a, b| unless(b.gt(a), &Tensor::where_(&a.eq(b), 0.5 * g, g))
        ],
        test: [(-4.0, 4.0), (-4.0, 4.0)], at [0.0, 1.0, f64::NAN], within 0.0,
    }
    /// Whether `a = b`.
    eq(a, b) => "Eq" Compare {
        cpu: |a, b| (a == b) as u8 as f64,
        wgsl: "eq_(a, b)",
        wgsl_int: "a == b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a ≠ b`.
    ne(a, b) => "Ne" Compare {
        cpu: |a, b| (a != b) as u8 as f64,
        wgsl: "ne_(a, b)",
        wgsl_int: "a != b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a < b`.
    lt(a, b) => "Lt" Compare {
        cpu: |a, b| (a < b) as u8 as f64,
        wgsl: "lt_(a, b)",
        wgsl_int: "a < b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a ≤ b`.
    le(a, b) => "Le" Compare {
        cpu: |a, b| (a <= b) as u8 as f64,
        wgsl: "le_(a, b)",
        wgsl_int: "a <= b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a > b`.
    gt(a, b) => "Gt" Compare {
        cpu: |a, b| (a > b) as u8 as f64,
        wgsl: "gt_(a, b)",
        wgsl_int: "a > b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether `a ≥ b`.
    ge(a, b) => "Ge" Compare {
        cpu: |a, b| (a >= b) as u8 as f64,
        wgsl: "ge_(a, b)",
        wgsl_int: "a >= b",
        grad: [],
        test: [(-2.0, 2.0), (-2.0, 2.0)], at [1.0, f64::NAN], within 0.0,
    }
    /// Whether both are true.
    logical_and(a, b) => "LogicalAnd" Logic {
        cpu: |a, b| (a != 0.0 && b != 0.0) as u8 as f64,
        wgsl: "a && b",
        grad: [],
        test: [(0.0, 1.0), (0.0, 1.0)], at [], within 0.0,
    }
    /// Whether either is true.
    logical_or(a, b) => "LogicalOr" Logic {
        cpu: |a, b| (a != 0.0 || b != 0.0) as u8 as f64,
        wgsl: "a || b",
        grad: [],
        test: [(0.0, 1.0), (0.0, 1.0)], at [], within 0.0,
    }

    /// `a` held between the bounds `b` and `c`; `c` where the bounds cross. Derivative: 1 strictly between them, else 0.
    ///
    /// The bounds are numbers, infinite for none, or tensors that take no gradient; bounds that do are
    /// `x.maximum(b).minimum(c)`.
    clamp(a, b, c) => "Clamp" Arithmetic {
        cpu: |a, b, c| smaller(larger(a, b), c),
        wgsl: "min_(max_(a, b), c)",
        wgsl_int: "min(max(a, b), c)",
        grad: [|g, a, b, c| {
            // An infinite bound is none, even for an infinite `a`.
            let above = a.gt(b).logical_or(b.eq(f64::NEG_INFINITY));
            let below = a.lt(c).logical_or(c.eq(f64::INFINITY));
            Tensor::where_(&above.logical_and(below), g, 0.0)
        }],
        test: [(-4.0, 4.0), (-2.0, -1.0), (1.0, 2.0)], at [f64::NAN], within 0.0,
    }
}

/// The one row that chooses by a bool: [`Tensor::where_`].
pub(crate) static WHERE: Row = Row {
    name: "where",
    node: "WhereBackward0",
    kind: RowKind::Choice,
    cpu: Meaning::Ternary(|a, b, c| if a != 0.0 { b } else { c }),
    eval: eval_choice,
    wgsl: "select(c, b, a)",
    wgsl_int: "",
    grads: &[
        Derivative { saves: &[], rule: |g, _| g * 0.0 },
        Derivative { saves: &["a"], rule: |g, saved| Tensor::where_(&saved[0], g, 0.0) },
        Derivative { saves: &["a"], rule: |g, saved| Tensor::where_(&saved[0], 0.0, g) },
    ],
    test: Domain { within: &[(0.0, 1.0), (-4.0, 4.0), (-4.0, 4.0)], at: &[], tolerance: 0.0 },
};

impl Tensor {
    /// `a` where the condition holds, else `b`; all three broadcast. Derivative: 1 where chosen, else 0.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([-1.0, 2.0], &Device::cpu());
    /// assert_eq!(Tensor::where_(&x.gt(0.0), &x, 10.0).to_vec::<f32>()?, [10.0, 2.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.where](https://docs.pytorch.org/docs/stable/generated/torch.where.html).
    #[track_caller]
    pub fn where_(condition: &Tensor, a: impl Into<Arg>, b: impl Into<Arg>) -> Tensor {
        map(&WHERE, &[condition.into(), a.into(), b.into()])
    }
}
