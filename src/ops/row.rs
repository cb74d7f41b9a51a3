//! What a scalar function is: its meaning, its WGSL, its derivative and its test, all in one row.

use crate::dtype::DType;
use crate::elements::{Data, Stored, View, in_lines};
use crate::tensor::Tensor;
use pulp::{Arch, Simd, WithSimd};

/// A scalar function. The rows themselves are in `scalar.rs`.
pub struct Row {
    /// The method's name, and the word for it in plans.
    pub name: &'static str,
    /// The names of its gradient function, as PyTorch spells them: of tensors alone, as `PowBackward1`, where the last operand
    /// is a number, as `PowBackward0`, and where the first one is, as `PowBackward2`.
    pub nodes: [&'static str; 3],
    /// Which types it takes and gives.
    pub kind: RowKind,
    /// Its meaning, in double precision.
    pub cpu: Meaning,
    /// The meaning looped over operands of one size; the dtype is the result's.
    pub(crate) eval: fn(&[View], DType) -> Data,
    /// Whether an integer as second operand must not be 0.
    pub divides: bool,
    /// The WGSL expression: over `x`, or `a` and `b`, or `a`, `b` and `c`.
    pub wgsl: &'static str,
    /// The WGSL expression where the operands are integers, `T` in the name of a function standing for their type; empty
    /// if it is the same.
    pub wgsl_int: &'static str,
    /// One derivative per operand; empty where the function is flat and its result no number.
    pub grads: &'static [Derivative],
    /// Where it is tested.
    pub test: Domain,
}

/// Which types a row takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Numbers to numbers of the same type.
    Arithmetic,
    /// Numbers to floats: integers are converted first.
    Float,
    /// Two numbers to a bool.
    Compare,
    /// A float to a bool.
    Test,
    /// Bools to a bool.
    Logic,
    /// Integers or bools to the same type.
    Bits,
    /// A bool and two numbers to a number.
    Choice,
}

/// The meaning of a row as a function of doubles.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Meaning {
    Unary(fn(f64) -> f64),
    Binary(fn(f64, f64) -> f64),
    Ternary(fn(f64, f64, f64) -> f64),
}

/// The derivative with respect to one operand, written in tensor operations.
pub struct Derivative {
    /// What the rule reads: operands by their letter, the result as `y`.
    pub saves: &'static [&'static str],
    /// `(g, saved) → gradient of the operand`, where `g` is the gradient of `y`.
    pub rule: fn(&Tensor, &[Tensor]) -> Tensor,
}

/// Where a row is tested, and how closely devices must agree there.
pub struct Domain {
    /// The interval each operand is drawn from.
    pub within: &'static [(f64, f64)],
    /// Special points, tried for every operand.
    pub at: &'static [f64],
    /// Largest error of a float result on a GPU, relative to the result: what naga's targets allow, with a margin.
    pub tolerance: f64,
    /// A result below this size may be as wrong as one of this size: for functions that lose digits near a zero.
    pub least: f64,
}

impl Row {
    /// The number of operands.
    pub fn arity(&self) -> usize {
        match self.cpu {
            Meaning::Unary(_) => 1,
            Meaning::Binary(_) => 2,
            Meaning::Ternary(_) => 3,
        }
    }

    /// The names of the operands in `wgsl` and in derivatives.
    pub fn letters(&self) -> &'static [&'static str] {
        match self.cpu {
            Meaning::Unary(_) => &["x"],
            Meaning::Binary(_) => &["a", "b"],
            Meaning::Ternary(_) => &["a", "b", "c"],
        }
    }

    /// The meaning at one point.
    pub fn at(&self, x: &[f64]) -> f64 {
        match self.cpu {
            Meaning::Unary(f) => f(x[0]),
            Meaning::Binary(f) => f(x[0], x[1]),
            Meaning::Ternary(f) => f(x[0], x[1], x[2]),
        }
    }

    /// The result's dtype, given the dtype the operands are computed in.
    pub fn result(&self, operands: DType) -> DType {
        match self.kind {
            RowKind::Arithmetic | RowKind::Float | RowKind::Choice | RowKind::Bits => operands,
            RowKind::Compare | RowKind::Test | RowKind::Logic => DType::Bool,
        }
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The loops for meanings of one arity.
macro_rules! loops {
    ($arity:ident ($($x:ident $i:tt),*)) => {
        #[allow(dead_code, reason = "not every kind of row has every arity")]
        pub(crate) mod $arity {
            use super::*;

            /// A meaning. What implements it by itself, and no closure, is inlined into every loop, however long it is.
            pub(crate) trait Function<T, U>: Sync {
                fn call(&self, $($x: T),*) -> U;

                /// Replaces results for operands so rare that a loop should not look for them element by element.
                #[inline(always)]
                fn mend(&self, $($x: &[T],)* y: &mut [U]) {
                    let _ = ($($x,)* y);
                }
            }

            impl<T, U, F: Fn($(loops!(@each $x T)),*) -> U + Sync> Function<T, U> for F {
                #[inline(always)]
                fn call(&self, $($x: T),*) -> U {
                    self($($x),*)
                }
            }

            /// [`over`] with a closure.
            pub(crate) fn each<T: Stored, U: Stored>(args: &[View], f: impl Fn($(loops!(@each $x T)),*) -> U + Sync) -> Data {
                over::<T, U>(args, f)
            }

            /// Loops a meaning over operands of type `T`, element by element; compiled for every meaning by itself.
            pub(crate) fn over<T: Stored, U: Stored>(args: &[View], f: impl Function<T, U>) -> Data {
                $(let $x = args[$i].chunks::<T>();)*
                let mut y = U::room(args[0].part.len());
                in_lines(&mut y, 1, 1, &|mut start, mut y| {
                    let mut room: [Vec<T>; 3] = Default::default();
                    while !y.is_empty() {
                        let n = y.len()$(.min($x.run(start)))*;
                        let (now, later) = std::mem::take(&mut y).split_at_mut(n);
                        let mut room = room.iter_mut();
                        $(let $x = $x.read(start, n, room.next().expect("there are three operands at most"));)*
                        Arch::new().dispatch(Chunk { y: now, $($x,)* f: &f });
                        (start, y) = (start + n, later);
                    }
                });
                U::wrap(y)
            }

            /// The innermost loop, compiled once more for wider vectors than every machine has; no number depends on them.
            struct Chunk<'a, T, U, F> {
                y: &'a mut [U],
                $($x: &'a [T],)*
                f: &'a F,
            }

            impl<T: Copy, U, F: Function<T, U>> WithSimd for Chunk<'_, T, U, F> {
                type Output = ();

                #[inline(always)]
                fn with_simd<S: Simd>(self, _: S) {
                    for (i, y) in self.y.iter_mut().enumerate() {
                        *y = self.f.call($(self.$x[i]),*);
                    }
                    self.f.mend($(self.$x,)* self.y);
                }
            }

            /// Floats to floats. The meaning is called through a pointer: it takes longer than the call.
            pub(crate) fn float(args: &[View], dtype: DType, f: fn($(loops!(@each $x f64)),*) -> f64) -> Data {
                match dtype {
                    DType::F64 => each::<f64, f64>(args, f),
                    _ => each::<f32, f32>(args, |$($x),*| f($($x as f64),*) as f32),
                }
            }

            /// Integers to integers of the same type; what does not fit wraps.
            pub(crate) fn bits(args: &[View], dtype: DType, f: impl Fn($(loops!(@each $x i64)),*) -> i64 + Sync) -> Data {
                match dtype {
                    DType::U32 => each::<u32, u32>(args, |$($x),*| f($($x as i64),*) as u32),
                    _ => each::<i32, i32>(args, |$($x),*| f($($x as i64),*) as i32),
                }
            }
        }
    };
    (@each $x:ident $T:ident) => { $T };
}
loops!(unary(x 0));
loops!(binary(a 0, b 1));
loops!(ternary(a 0, b 1, c 2));

/// The loops that a kind of row needs, and no others. `$f` is the meaning over doubles, `$int` the one over integers.
macro_rules! eval {
    (Arithmetic $arity:ident ($($x:ident)*) $f:expr, $int:expr) => {
        |args, dtype| match dtype {
            DType::F32 => $arity::each::<f32, f32>(args, |$($x),*| $f($($x as f64),*) as f32),
            DType::F64 => $arity::each::<f64, f64>(args, $f),
            _ => $arity::bits(args, dtype, |$($x),*| $int($($x),*)),
        }
    };
    (Compare $arity:ident ($($x:ident)*) $f:expr, $int:expr) => {
        |args, _| match args[0].data.dtype() {
            DType::F32 => $arity::each::<f32, bool>(args, |$($x),*| $f($($x as f64),*) != 0.0),
            DType::F64 => $arity::each::<f64, bool>(args, |$($x),*| $f($($x),*) != 0.0),
            DType::I32 => $arity::each::<i32, bool>(args, |$($x),*| $f($($x as f64),*) != 0.0),
            DType::U32 => $arity::each::<u32, bool>(args, |$($x),*| $f($($x as f64),*) != 0.0),
            DType::Bool | DType::F16 | DType::BF16 => unreachable!("computed in a wider type"),
        }
    };
    (Float $arity:ident ($($x:ident)*) $f:expr, $int:expr) => { |args, dtype| $arity::float(args, dtype, $f) };
    (Arithmetic $arity:ident ($($x:ident)*) $f:expr, $int:expr, $single:expr) => {
        |args, dtype| match dtype {
            DType::F32 => eval!(@single $arity ($($x)*) args, $single),
            DType::F64 => $arity::float(args, dtype, $f),
            _ => $arity::bits(args, dtype, |$($x),*| $int($($x),*)),
        }
    };
    (Float $arity:ident ($($x:ident)*) $f:expr, $int:expr, $single:expr) => {
        |args, dtype| match dtype {
            DType::F64 => $arity::float(args, dtype, $f),
            _ => eval!(@single $arity ($($x)*) args, $single),
        }
    };
    (Float unary ($x:ident) $f:expr, $int:expr, $single:expr, $limit:path, $beyond:expr) => {
        |args, dtype| match dtype {
            DType::F64 => unary::float(args, dtype, $f),
            _ => {
                struct Single;
                impl unary::Function<f32, f32> for Single {
                    #[inline(always)]
                    fn call(&self, $x: f32) -> f32 {
                        $single
                    }

                    #[inline(always)]
                    fn mend(&self, x: &[f32], y: &mut [f32]) {
                        let is_beyond = |x: f32| x.is_nan() | (x.abs() > $limit);
                        if x.iter().fold(false, |any, &x| any | is_beyond(x)) {
                            for ($x, y) in x.iter().copied().zip(y).filter(|(x, _)| is_beyond(*x)) {
                                *y = $beyond;
                            }
                        }
                    }
                }
                unary::over::<f32, f32>(args, Single)
            }
        }
    };
    (@single $arity:ident ($($x:ident)*) $args:expr, $single:expr) => {{
        struct Single;
        impl $arity::Function<f32, f32> for Single {
            #[inline(always)]
            fn call(&self, $($x: f32),*) -> f32 {
                $single
            }
        }
        $arity::over::<f32, f32>($args, Single)
    }};
    (Test $arity:ident ($($x:ident)*) $f:expr, $int:expr) => {
        |args, _| match args[0].data.dtype() {
            DType::F64 => $arity::each::<f64, bool>(args, |$($x),*| $f($($x),*) != 0.0),
            _ => $arity::each::<f32, bool>(args, |$($x),*| $f($($x as f64),*) != 0.0),
        }
    };
    (Logic $arity:ident ($($x:ident)*) $f:expr, $int:expr) => {
        |args, _| $arity::each::<bool, bool>(args, |$($x),*| $f($($x as u8 as f64),*) != 0.0)
    };
    (Bits $arity:ident ($($x:ident)*) $f:expr, $int:expr) => { |args, dtype| $arity::bits(args, dtype, $int) };
}
pub(crate) use eval;

/// Chooses between two operands by a third.
pub(crate) fn eval_choice(args: &[View], dtype: DType) -> Data {
    fn over<T: Stored>(args: &[View]) -> Data {
        let (a, b, c) = (args[0].chunks::<bool>(), args[1].chunks::<T>(), args[2].chunks::<T>());
        let mut y = T::room(args[0].part.len());
        in_lines(&mut y, 1, 1, &|start, y| {
            let (mut first, mut second, mut third) = Default::default();
            let a = a.read(start, y.len(), &mut first);
            let b = b.read(start, y.len(), &mut second);
            let c = c.read(start, y.len(), &mut third);
            for (i, y) in y.iter_mut().enumerate() {
                // Both are read: a loop without branches is turned into vector instructions.
                let (b, c) = (b[i], c[i]);
                *y = if a[i] { b } else { c };
            }
        });
        T::wrap(y)
    }
    match dtype {
        DType::F32 => over::<f32>(args),
        DType::F64 => over::<f64>(args),
        DType::I32 => over::<i32>(args),
        DType::U32 => over::<u32>(args),
        DType::Bool => over::<bool>(args),
        DType::F16 | DType::BF16 => unreachable!("narrow floats are computed in f32"),
    }
}
