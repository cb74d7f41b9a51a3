//! Scans: every line is walked from its first element to its last.

use super::reduce::Folded;
use crate::dtype::DType;
use crate::elements::{Data, Stored, View, in_lines};
use crate::ops::op::{Fold, Scan};
use std::array;

/// Scans lines of `n` elements. Floats are carried in double precision, so that no error builds up along a line.
pub fn scan(kind: Scan, args: &[View], dtype: DType, n: usize) -> Data {
    match dtype {
        DType::F32 => lines::<f32, f64>(kind, args, n),
        DType::F64 => lines::<f64, f64>(kind, args, n),
        DType::I32 => lines::<i32, i32>(kind, args, n),
        DType::U32 => lines::<u32, u32>(kind, args, n),
        DType::Bool | DType::F16 | DType::BF16 => unreachable!("scanned in a wider type"),
    }
}

fn lines<T: Stored, W: Folded>(kind: Scan, args: &[View], n: usize) -> Data {
    // One loop per kind: the choice is made once.
    match kind {
        Scan::Linear if is_one::<T>(&args[1]) => carry::<T, W>(&args[..1], n, |y, x, _| W::fold(Fold::Sum, y, x)),
        Scan::Linear => carry::<T, W>(args, n, |y, x, link| W::fold(Fold::Sum, W::fold(Fold::Prod, link, y), x)),
        Scan::Max => carry::<T, W>(args, n, |y, x, _| W::fold(Fold::Max, y, x)),
        Scan::Min => carry::<T, W>(args, n, |y, x, _| W::fold(Fold::Min, y, x)),
        Scan::LogAddExp => carry::<T, W>(args, n, |y, x, _| W::from_f64(log_add_exp(y.to_f64(), x.to_f64()))),
    }
}

/// Whether every element is the same one, 1.
fn is_one<T: Stored>(x: &View) -> bool {
    x.layout.strides.iter().all(|&stride| stride == 0)
        && T::slice(x.data).get(x.layout.offset).is_some_and(|x| x.to_f64() == 1.0)
}

/// Lines that are walked abreast: each step waits for the one before it, and the other lines' go on meanwhile.
const ABREAST: usize = 4;

/// Carries `f` of what is carried, the next element and the link to it, if there are links, along every line.
fn carry<T: Stored, W: Folded>(args: &[View], n: usize, f: impl Fn(W, W, W) -> W + Sync) -> Data {
    let x = args[0].values::<T>();
    let links = args.get(1).map(|links| links.values::<T>());
    let mut y = T::room(x.len());
    in_lines(&mut y, n * ABREAST, 2, &|first, y| {
        for (i, y) in y.chunks_mut(n * ABREAST).enumerate() {
            let line = (first + i) * ABREAST;
            let (x, links) = (&x[line * n..], links.as_ref().map(|links| &links[line * (n - 1)..]));
            match y.len() == n * ABREAST {
                true => walk::<T, W, ABREAST>(x, links, y, n, &f),
                false => y.chunks_mut(n).enumerate().for_each(|(l, y)| {
                    walk::<T, W, 1>(&x[l * n..], links.map(|links| &links[l * (n - 1)..]), y, n, &f);
                }),
            }
        }
    });
    T::wrap(y)
}

/// Walks along `L` lines.
fn walk<T: Stored, W: Folded, const L: usize>(
    x: &[T],
    links: Option<&[T]>,
    y: &mut [T],
    n: usize,
    f: &impl Fn(W, W, W) -> W,
) {
    let wide = |x: T| W::from_f64(x.to_f64());
    let x: [&[T]; L] = array::from_fn(|l| &x[l * n..][..n]);
    let links: Option<[&[T]; L]> = links.map(|links| array::from_fn(|l| &links[l * (n - 1)..][..n - 1]));
    let mut lines = y.chunks_exact_mut(n);
    let mut y: [&mut [T]; L] = array::from_fn(|_| lines.next().expect("as many lines"));
    let mut carried: [W; L] = array::from_fn(|l| wide(x[l][0]));
    y.iter_mut().zip(x).for_each(|(y, x)| y[0] = x[0]);
    for k in 1..n {
        for l in 0..L {
            let link = links.map_or(carried[l], |links| wide(links[l][k - 1]));
            carried[l] = f(carried[l], wide(x[l][k]), link);
            y[l][k] = T::from_f64(carried[l].to_f64());
        }
    }
}

fn log_add_exp(a: f64, b: f64) -> f64 {
    let largest = f64::fold(Fold::Max, a, b);
    if largest.is_finite() { largest + (-(a - b).abs()).exp().ln_1p() } else { largest }
}
