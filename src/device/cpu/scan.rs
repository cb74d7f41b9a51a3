//! Scans: every line is walked from its first element to its last.

use super::reduce::Folded;
use crate::data::{Data, Stored, View, in_lines};
use crate::dtype::DType;
use crate::ops::op::{Fold, Scan};

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
        Scan::Linear => carry::<T, W>(args, n, |y, x, link| W::fold(Fold::Sum, W::fold(Fold::Prod, link, y), x)),
        Scan::Max => carry::<T, W>(args, n, |y, x, _| W::fold(Fold::Max, y, x)),
        Scan::Min => carry::<T, W>(args, n, |y, x, _| W::fold(Fold::Min, y, x)),
        Scan::LogAddExp => carry::<T, W>(args, n, |y, x, _| W::from_f64(log_add_exp(y.to_f64(), x.to_f64()))),
    }
}

/// Carries `f` of what is carried, the next element and the link to it, if there are links, along every line.
fn carry<T: Stored, W: Folded>(args: &[View], n: usize, f: impl Fn(W, W, W) -> W + Sync) -> Data {
    let x = args[0].values::<T>();
    let links = args.get(1).map(|links| links.values::<T>());
    let mut y = T::room(x.len());
    in_lines(&mut y, n, 2, &|first, y| {
        for (line, y) in y.chunks_mut(n).enumerate() {
            let x = &x[(first + line) * n..][..n];
            let links = links.as_ref().map(|links| &links[(first + line) * (n - 1)..][..n - 1]);
            let mut carried = W::from_f64(x[0].to_f64());
            y[0] = x[0];
            for (k, (y, x)) in y[1..].iter_mut().zip(&x[1..]).enumerate() {
                let link = links.map_or(carried, |links| W::from_f64(links[k].to_f64()));
                carried = f(carried, W::from_f64(x.to_f64()), link);
                *y = T::from_f64(carried.to_f64());
            }
        }
    });
    T::wrap(y)
}

fn log_add_exp(a: f64, b: f64) -> f64 {
    let largest = f64::fold(Fold::Max, a, b);
    if largest.is_finite() { largest + (-(a - b).abs()).exp().ln_1p() } else { largest }
}
