//! The table of scalar functions. From a row follow the method, the fused kernel, both derivatives and their tests.
//!
//! To add a function, add a row to the file of its kind. Derivatives at kinks and ties follow PyTorch; they are written
//! through the result `y` where possible, since it is cheaper to keep and safer where the operand is large.

use crate::dtype::DType;
use crate::ops::map::{Arg, map};
use crate::ops::row::{Derivative, Domain, Meaning, Row, RowKind, binary, eval, eval_choice, ternary, unary};
use crate::single;
use crate::tensor::Tensor;

/// Turns rows into statics, methods of [`Tensor`] and the list `ROWS`. A row without documentation has no method: what
/// calls it is written by hand. `single:` is the result over operands in `f32`, where the meaning over `f64` would take much
/// longer; `beyond` a size of the operand it is another one. Of a node that is called otherwise beside numbers the row has all
/// names: [`Row::nodes`].
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident($($x:ident),*) => $node:tt $kind:ident {
        cpu: $cpu:expr,
        $(single: $single:expr, $(beyond $limit:path: $beyond:expr,)?)?
        $(int: $int:expr,)?
        $(divides: $divides:literal,)?
        wgsl: $wgsl:literal,
        $(wgsl_int: $wgsl_int:literal,)?
        grad: [$(|$g:ident $(, $s:ident)*| $grad:expr),*],
        test: $within:expr, at $at:expr, within $tolerance:expr $(, of $least:expr)?,
    })*) => {
        /// The rows by name.
        #[allow(non_upper_case_globals, reason = "a row is called what its method is called")]
        pub(crate) mod rows {
            use super::*;
            $(pub static $name: Row = Row {
                name: stringify!($name),
                nodes: rows!(@nodes $node),
                kind: RowKind::$kind,
                cpu: rows!(@meaning ($($x)*) $cpu),
                eval: rows!(@eval $kind ($($x)*) rows!(@double ($($x)*) $cpu), rows!(@int ($($x)*) $cpu $(, $int)?)
                    $(, $single $(, $limit, $beyond)?)?),
                divides: false $(|| $divides)?,
                wgsl: $wgsl,
                wgsl_int: concat!($($wgsl_int)?),
                grads: &[$(Derivative {
                    saves: &[$(stringify!($s)),*],
                    rule: |$g: &Tensor, saved: &[Tensor]| {
                        let [$($s),*] = saved else { unreachable!("a rule is given what it saves") };
                        $grad
                    },
                }),*],
                test: Domain { within: &$within, at: &$at, tolerance: $tolerance, least: 0.0 $(+ $least)? },
            };)*
        }

        /// The rows of this file, in its order.
        pub(super) const ROWS: &[&Row] = &[$(&rows::$name),*];

        impl Tensor {
            $(rows!(@method $(#[$doc])* $name ($($x)*));)*
        }
    };
    (@nodes [$($node:literal),*]) => { [$($node),*] };
    (@nodes $node:literal) => { [concat!($node, "Backward0"); 3] };
    (@meaning (x) $f:expr) => { Meaning::Unary($f) };
    (@meaning (a b) $f:expr) => { Meaning::Binary($f) };
    (@meaning (a b c) $f:expr) => { Meaning::Ternary($f) };
    (@eval $kind:ident ($x:ident) $($meanings:tt)*) => { eval!($kind unary ($x) $($meanings)*) };
    (@eval $kind:ident ($a:ident $b:ident) $($meanings:tt)*) => { eval!($kind binary ($a $b) $($meanings)*) };
    (@eval $kind:ident ($a:ident $b:ident $c:ident) $($meanings:tt)*) => {
        eval!($kind ternary ($a $b $c) $($meanings)*)
    };
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
    (@method $name:ident ($($x:ident)*)) => {};
    (@method $(#[$doc:meta])+ $name:ident (x)) => {
        $(#[$doc])*
        #[track_caller]
        pub fn $name(&self) -> Tensor {
            map(&rows::$name, &[self.into()])
        }
    };
    (@method $(#[$doc:meta])+ $name:ident (a b)) => {
        $(#[$doc])*
        ///
        /// The other operand is a tensor or a number; the two broadcast.
        #[track_caller]
        pub fn $name(&self, b: impl Into<Arg>) -> Tensor {
            map(&rows::$name, &[self.into(), b.into()])
        }
    };
    (@method $(#[$doc:meta])+ $name:ident (a b c)) => {
        $(#[$doc])*
        #[track_caller]
        pub fn $name(&self, b: impl Into<Arg>, c: impl Into<Arg>) -> Tensor {
            map(&rows::$name, &[self.into(), b.into(), c.into()])
        }
    };
}

/// Gradient that flows where a condition does not hold.
#[track_caller]
fn unless(condition: Tensor, g: &Tensor) -> Tensor {
    Tensor::where_(&condition, 0.0, g)
}

// After the macro, which they use.
mod activation;
mod arithmetic;
mod bits;
mod compare;
mod double;
mod exponential;
mod special;
mod trigonometric;

const PARTS: &[&[&Row]] = &[
    &[&WHERE],
    arithmetic::ROWS,
    exponential::ROWS,
    trigonometric::ROWS,
    special::ROWS,
    activation::ROWS,
    compare::ROWS,
    bits::ROWS,
];

/// Every row, in the order of the files.
pub static ROWS: &[&Row] = &{
    const COUNT: usize = {
        let (mut n, mut i) = (0, 0);
        while i < PARTS.len() {
            n += PARTS[i].len();
            i += 1;
        }
        n
    };
    let mut all: [&Row; COUNT] = [&WHERE; COUNT];
    let (mut n, mut i) = (0, 0);
    while i < PARTS.len() {
        let mut k = 0;
        while k < PARTS[i].len() {
            all[n] = PARTS[i][k];
            (n, k) = (n + 1, k + 1);
        }
        i += 1;
    }
    all
};

/// The rows by name, wherever they stand.
#[allow(unused_imports, reason = "rows that only their method records are looked for here all the same")]
pub(crate) mod rows {
    pub use super::activation::rows::*;
    pub use super::arithmetic::rows::*;
    pub use super::bits::rows::*;
    pub use super::compare::rows::*;
    pub use super::exponential::rows::*;
    pub use super::special::rows::*;
    pub use super::trigonometric::rows::*;
}

/// The one row that chooses by a bool: [`Tensor::where_`].
pub(crate) static WHERE: Row = Row {
    name: "where",
    nodes: ["WhereBackward0"; 3],
    kind: RowKind::Choice,
    cpu: Meaning::Ternary(|a, b, c| if a != 0.0 { b } else { c }),
    eval: eval_choice,
    divides: false,
    wgsl: "select(c, b, a)",
    wgsl_int: "",
    grads: &[
        Derivative { saves: &[], rule: |g, _| g.zeros_like() },
        Derivative { saves: &["a"], rule: |g, saved| Tensor::where_(&saved[0], g, 0.0) },
        Derivative { saves: &["a"], rule: |g, saved| Tensor::where_(&saved[0], 0.0, g) },
    ],
    test: Domain { within: &[(0.0, 1.0), (-4.0, 4.0), (-4.0, 4.0)], at: &[], tolerance: 0.0, least: 0.0 },
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
