//! Folding the elements of a reduction, fast enough where the compiler can use vectors.

use crate::elements::{Data, Stored, View, in_lines};
use crate::ops::op::Fold;
use crate::shape::numel;
use pulp::{Arch, Simd, WithSimd};

/// What a fold starts from, and how two elements combine.
pub trait Folded: Stored {
    fn start(fold: Fold) -> Self;
    fn fold(fold: Fold, a: Self, b: Self) -> Self;
}

macro_rules! folded {
    ($($t:ty, $low:expr, $high:expr, $add:expr, $mul:expr;)*) => { $(
        impl Folded for $t {
            #[inline(always)]
            fn start(fold: Fold) -> $t {
                match fold { Fold::Sum => 0 as $t, Fold::Prod => 1 as $t, Fold::Max => $low, Fold::Min => $high }
            }
            #[inline(always)]
            #[allow(clippy::eq_op, reason = "a float that differs from itself is NaN")]
            fn fold(fold: Fold, a: $t, b: $t) -> $t {
                match fold {
                    Fold::Sum => $add(a, b),
                    Fold::Prod => $mul(a, b),
                    Fold::Max => if a > b || a != a { a } else { b },
                    Fold::Min => if a < b || a != a { a } else { b },
                }
            }
        }
    )* };
}
folded! {
    f32, f32::NEG_INFINITY, f32::INFINITY, |a, b| a + b, |a, b| a * b;
    f64, f64::NEG_INFINITY, f64::INFINITY, |a, b| a + b, |a, b| a * b;
    i32, i32::MIN, i32::MAX, i32::wrapping_add, i32::wrapping_mul;
    u32, u32::MIN, u32::MAX, u32::wrapping_add, u32::wrapping_mul;
}

impl Folded for bool {
    fn start(fold: Fold) -> bool {
        matches!(fold, Fold::Prod | Fold::Min)
    }
    fn fold(fold: Fold, a: bool, b: bool) -> bool {
        match fold {
            Fold::Sum | Fold::Max => a || b,
            Fold::Prod | Fold::Min => a && b,
        }
    }
}

/// Longer lines are cut into parts of so many elements, which are folded first, so that the error of a sum grows with the
/// logarithm of its length.
pub const PART: usize = 1 << 12;
/// What parts are cut into in their turn.
const LEAF: usize = 512;
/// Accumulators of a leaf, which a compiler keeps in vectors.
const LANES: usize = 32;

/// One loop per fold: the choice is made once.
macro_rules! by_fold {
    ($fold:expr, $T:ident, $f:ident => $body:expr) => {
        match $fold {
            Fold::Sum => by_fold!(@with Fold::Sum, $T, $f => $body),
            Fold::Prod => by_fold!(@with Fold::Prod, $T, $f => $body),
            Fold::Max => by_fold!(@with Fold::Max, $T, $f => $body),
            Fold::Min => by_fold!(@with Fold::Min, $T, $f => $body),
        }
    };
    (@with $fold:expr, $T:ident, $f:ident => $body:expr) => {{
        let $f = |a: $T, b: $T| $T::fold($fold, a, b);
        $body
    }};
}

/// Folds the last `dims` dimensions of a view into `n` elements.
pub fn reduce<T: Folded>(fold: Fold, dims: usize, x: &View, n: usize) -> Data {
    let rank = x.layout.shape.len();
    let columns = numel(&x.layout.shape[rank - dims..]);
    let (kept, folded) = x.layout.split(rank - dims);
    let ([1], &[down]) = (&kept.strides[..], &folded.strides[..]) else {
        let mut y = match columns {
            0 => T::room(n),
            _ => fold_lines(fold, &x.values::<T>(), columns),
        };
        if columns == 0 {
            y.fill(T::start(fold));
        }
        return T::wrap(y);
    };
    // Results are neighbours in memory: rows of them are folded into one another.
    let (x, mut y) = (T::slice(x.data), T::room(n));
    by_fold!(fold, T, f => in_lines(&mut y, 1, 1, &|first, y| {
        let row = |r: usize| {
            let at = (kept.offset + first) as isize + r as isize * down;
            &x[at as usize..][..y.len()]
        };
        let folded = rows(&row, 0, columns, f);
        y.copy_from_slice(&folded);
    }));
    T::wrap(y)
}

/// Folds every line of `columns` elements into one.
pub fn fold_lines<T: Folded>(fold: Fold, x: &[T], columns: usize) -> Vec<T> {
    let parts = columns.div_ceil(PART);
    let mut y = T::room(x.len() / columns * parts);
    by_fold!(fold, T, f => in_lines(&mut y, 1, columns.min(PART), &|first, y| {
        Arch::new().dispatch(Parts { y, x, first, columns, start: T::start(fold), f });
    }));
    if parts > 1 { fold_lines(fold, &y, parts) } else { y }
}

/// Folds parts of lines, compiled once more for wider vectors than every machine has; no number depends on them.
struct Parts<'a, T, F> {
    y: &'a mut [T],
    x: &'a [T],
    /// The number of the first part.
    first: usize,
    columns: usize,
    start: T,
    f: F,
}

impl<T: Folded, F: Fn(T, T) -> T + Copy> WithSimd for Parts<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Parts { y, x, first, columns, start, f } = self;
        if columns < LANES {
            let x = &x[first * columns..];
            // What is known beforehand is turned into vector instructions: pairs, and windows of two by two.
            return match columns {
                2 => y.iter_mut().zip(x.as_chunks::<2>().0).for_each(|(y, &[a, b])| *y = f(a, b)),
                4 => y.iter_mut().zip(x.as_chunks::<4>().0).for_each(|(y, &[a, b, c, d])| *y = f(f(a, b), f(c, d))),
                _ => y.iter_mut().zip(x.chunks_exact(columns)).for_each(|(y, x)| {
                    *y = x.iter().fold(start, |a, &b| f(a, b));
                }),
            };
        }
        let parts = columns.div_ceil(PART);
        for (i, y) in (first..).zip(y) {
            let part = i % parts * PART;
            let x = &x[i / parts * columns + part..][..PART.min(columns - part)];
            let mut folded = [start; PART / LEAF];
            for (y, x) in folded.iter_mut().zip(x.chunks(LEAF)) {
                *y = leaf(x, start, f);
            }
            *y = halves(folded, x.len().div_ceil(LEAF).next_power_of_two(), f);
        }
    }
}

/// Folds the elements of a leaf.
#[inline(always)]
fn leaf<T: Folded>(x: &[T], start: T, f: impl Fn(T, T) -> T + Copy) -> T {
    let mut lanes = [start; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, x);
        }
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &x)| *lane = f(*lane, x));
    halves(lanes, LANES, f)
}

/// Folds the first `n` elements, a power of two: one half into the other again and again.
#[inline(always)]
fn halves<T: Folded, const N: usize>(mut x: [T; N], mut n: usize, f: impl Fn(T, T) -> T + Copy) -> T {
    while n > 1 {
        n /= 2;
        for i in 0..n {
            x[i] = f(x[i], x[i + n]);
        }
    }
    x[0]
}

/// Folds `count` rows from `first` on into one.
fn rows<'a, T: Folded>(
    row: &(impl Fn(usize) -> &'a [T] + Sync),
    first: usize,
    count: usize,
    f: impl Fn(T, T) -> T + Copy + Send + Sync,
) -> Vec<T> {
    let fold = |mut y: Vec<T>, x: &[T]| {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(*y, x));
        y
    };
    if count <= 64 {
        return (first + 1..first + count).fold(row(first).to_vec(), |y, r| fold(y, row(r)));
    }
    let half = count / 2;
    let (upper, lower) = (|| rows(row, first, half, f), || rows(row, first + half, count - half, f));
    let (y, x) = if count * row(first).len() > 1 << 16 { rayon::join(upper, lower) } else { (upper(), lower()) };
    fold(y, &x)
}
