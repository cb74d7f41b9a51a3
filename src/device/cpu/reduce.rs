//! Folding the elements of a reduction, fast enough where the compiler can use vectors.

use crate::data::{Data, Stored, View, in_lines};
use crate::ops::op::Fold;
use crate::shape::numel;

/// What a fold starts from, and how two elements combine.
pub trait Folded: Stored {
    fn start(fold: Fold) -> Self;
    fn fold(fold: Fold, a: Self, b: Self) -> Self;
}

macro_rules! folded {
    ($($t:ty, $low:expr, $high:expr, $add:expr, $mul:expr;)*) => { $(
        impl Folded for $t {
            fn start(fold: Fold) -> $t {
                match fold { Fold::Sum => 0 as $t, Fold::Prod => 1 as $t, Fold::Max => $low, Fold::Min => $high }
            }
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

/// Elements that are folded one after the other; halves of longer ones are folded first, so that the error of a sum grows
/// with the logarithm of its length.
const LEAF: usize = 512;
/// Accumulators of a leaf, which a compiler keeps in vectors.
const LANES: usize = 16;

/// Folds the last `dims` dimensions of a view into `n` elements.
pub fn reduce<T: Folded>(fold: Fold, dims: usize, x: View, n: usize) -> Data {
    // One loop per fold: the choice is made once.
    match fold {
        Fold::Sum => fold_by(dims, x, n, T::start(fold), |a, b| T::fold(Fold::Sum, a, b)),
        Fold::Prod => fold_by(dims, x, n, T::start(fold), |a, b| T::fold(Fold::Prod, a, b)),
        Fold::Max => fold_by(dims, x, n, T::start(fold), |a, b| T::fold(Fold::Max, a, b)),
        Fold::Min => fold_by(dims, x, n, T::start(fold), |a, b| T::fold(Fold::Min, a, b)),
    }
}

fn fold_by<T: Folded>(dims: usize, x: View, n: usize, start: T, f: impl Fn(T, T) -> T + Sync + Copy) -> Data {
    let rank = x.layout.shape.len();
    let columns = numel(&x.layout.shape[rank - dims..]);
    let mut y = T::room(n);
    let (kept, folded) = x.layout.split(rank - dims);
    if let ([1], &[down]) = (&kept.strides[..], &folded.strides[..]) {
        // Results are neighbours in memory: rows of them are folded into one another.
        let x = T::slice(x.data);
        in_lines(&mut y, 1, columns.min(32), &|first, y| {
            let row = |r: usize| {
                let at = (kept.offset + first) as isize + r as isize * down;
                &x[at as usize..][..y.len()]
            };
            let folded = rows(&row, 0, columns, f);
            y.copy_from_slice(&folded);
        });
        return T::wrap(y);
    }
    let values = x.values::<T>();
    if n == 1 {
        y[0] = halves(&values, start, f);
    } else if columns <= LANES {
        in_lines(&mut y, 1, columns, &|first, y| {
            for (y, x) in y.iter_mut().zip(values[first * columns..].chunks(columns.max(1))) {
                *y = x.iter().fold(start, |a, &b| f(a, b));
            }
        });
    } else {
        in_lines(&mut y, 1, columns, &|first, y| {
            for (row, y) in y.iter_mut().enumerate() {
                *y = halves(&values[(first + row) * columns..][..columns], start, f);
            }
        });
    }
    T::wrap(y)
}

/// Folds one line.
fn halves<T: Folded>(x: &[T], start: T, f: impl Fn(T, T) -> T + Sync + Copy) -> T {
    if x.len() <= LEAF {
        let mut lanes = [start; LANES];
        let chunks = x.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane = f(*lane, x);
            }
        }
        return lanes.iter().chain(rest).fold(start, |a, &b| f(a, b));
    }
    let (a, b) = x.split_at(x.len() / 2);
    let both = match x.len() > 1 << 16 {
        true => rayon::join(|| halves(a, start, f), || halves(b, start, f)),
        false => (halves(a, start, f), halves(b, start, f)),
    };
    f(both.0, both.1)
}

/// Folds `count` rows from `first` on into one.
fn rows<'a, T: Folded>(
    row: &impl Fn(usize) -> &'a [T],
    first: usize,
    count: usize,
    f: impl Fn(T, T) -> T + Copy,
) -> Vec<T> {
    let fold = |mut y: Vec<T>, x: &[T]| {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(*y, x));
        y
    };
    if count <= 64 {
        return (first + 1..first + count).fold(row(first).to_vec(), |y, r| fold(y, row(r)));
    }
    let half = count / 2;
    fold(rows(row, first, half, f), &rows(row, first + half, count - half, f))
}
