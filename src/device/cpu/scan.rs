//! Scans: every line is walked from its first element to its last.

use super::reduce::Folded;
use crate::data::{Data, View};
use crate::dtype::DType;
use crate::ops::op::{Fold, Scan};
use rayon::prelude::*;

/// Scans lines of `n` elements. Floats are carried in double precision, so that no error builds up along a line.
pub fn scan(kind: Scan, args: &[View], dtype: DType, n: usize) -> Data {
    match dtype {
        DType::F32 | DType::F64 => lines::<f64>(kind, args, DType::F64, n).cast(dtype),
        DType::I32 => lines::<i32>(kind, args, dtype, n),
        DType::U32 => lines::<u32>(kind, args, dtype, n),
        DType::Bool | DType::F16 | DType::BF16 => unreachable!("scanned in a wider type"),
    }
}

fn lines<T: Folded>(kind: Scan, args: &[View], dtype: DType, n: usize) -> Data {
    let operands: Vec<Data> = args.iter().map(|x| x.data.read(x.layout).cast(dtype)).collect();
    let mut y = T::slice(&operands[0]).to_vec();
    let links = operands.get(1).map_or(&[][..], T::slice);
    y.par_chunks_mut(n).enumerate().for_each(|(line, y)| {
        for k in 1..n {
            let (before, x) = (y[k - 1], y[k]);
            y[k] = match kind {
                Scan::Linear => T::fold(Fold::Sum, T::fold(Fold::Prod, links[line * (n - 1) + k - 1], before), x),
                Scan::Max => T::fold(Fold::Max, before, x),
                Scan::Min => T::fold(Fold::Min, before, x),
                Scan::LogAddExp => T::from_f64(log_add_exp(before.to_f64(), x.to_f64())),
            };
        }
    });
    T::wrap(y)
}

fn log_add_exp(a: f64, b: f64) -> f64 {
    let largest = f64::fold(Fold::Max, a, b);
    if largest.is_finite() { largest + (-(a - b).abs()).exp().ln_1p() } else { largest }
}
