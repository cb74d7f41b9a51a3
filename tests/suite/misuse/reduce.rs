//! Reductions and scans.

use super::check;
use crate::common::devices;
use wgrad::{CovOptions, MatrixNorm, Tensor};

#[test]
fn reductions_refuse_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        let ints = || Tensor::new([1, 2], dev);
        check(dev, "prod: dimension 2 is out of range for shape [2, 3] (-2..=1)", |_| {
            drop(zeros(&[2, 3]).prod_dim(2, false))
        });
        check(dev, "any: dimension named twice in [1, -1] for shape [2, 3]", |_| {
            drop(zeros(&[2, 3]).any_dim([1, -1], false))
        });
        check(dev, "all: dimension -3 is out of range for shape [2, 3] (-2..=1)", |_| {
            drop(zeros(&[2, 3]).all_dim(-3, false))
        });
        check(dev, "count_nonzero: dimension 1 is out of range for shape [2] (-1..=0)", |_| {
            drop(zeros(&[2]).count_nonzero(1))
        });
        check(dev, "logsumexp: dimension 1 is out of range for shape [] (-1..=0)", |_| {
            drop(zeros(&[]).logsumexp(1, false))
        });
        check(dev, "nansum: dimension 1 is out of range for shape [2] (-1..=0)", |_| {
            drop(zeros(&[2]).nansum(1, false))
        });
        check(dev, "nanmean: needs floats, not i32 elements of shape [2]", |_| drop(ints().nanmean(0, false)));
        check(dev, "amin: [0] has no elements to compare", |_| drop(zeros(&[0]).aminmax(None, false)));
    }
}

#[test]
fn statistics_and_norms_refuse_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        let ints = || Tensor::new([1, 2], dev);
        check(dev, "var: needs floats, not i32 elements of shape [2]", |_| drop(ints().var(1.0)));
        check(dev, "std: needs floats, not i32 elements of shape [2]", |_| drop(ints().std_dim(0, 1.0, false)));
        check(dev, "std_mean: dimension 1 is out of range for shape [2] (-1..=0)", |_| {
            drop(zeros(&[2]).std_mean(1, 1.0, false))
        });
        check(dev, "cov: needs a matrix of variables and observations, not [1, 1, 2]", |_| {
            drop(zeros(&[1, 1, 2]).cov(CovOptions::default()))
        });
        check(dev, "cov: weights [2] for 3 observations", |_| {
            drop(zeros(&[2, 3]).cov(CovOptions { weights: Some(zeros(&[2])), ..Default::default() }))
        });
        check(dev, "corrcoef: needs a matrix of variables and observations, not [1, 1, 2]", |_| {
            drop(zeros(&[1, 1, 2]).corrcoef())
        });
        check(dev, "median_dim: [0, 2] has no elements to compare", |_| drop(zeros(&[0, 2]).median_dim(0, false)));
        check(dev, "nanmedian_dim: dimension 1 is out of range for shape [2] (-1..=0)", |_| {
            drop(zeros(&[2]).nanmedian_dim(1, false))
        });
        check(dev, "mode: [2, 0] has no elements to compare", |_| drop(zeros(&[2, 0]).mode(1, false)));
        check(dev, "quantile: 1.5 is no share from 0 to 1", |_| drop(zeros(&[2]).quantile(1.5, None, false)));
        check(dev, "quantile: no elements of [0] for shares of shape []", |_| {
            drop(zeros(&[0]).quantile(0.5, None, false))
        });
        check(dev, "nanquantile: shares of shape [1, 1] are no list", |_| {
            drop(zeros(&[2]).nanquantile(zeros(&[1, 1]), 0, false))
        });
        check(dev, "norm: needs floats, not i32 elements of shape [2]", |_| drop(ints().norm()));
        check(dev, "vector_norm: [0] has no elements to compare", |_| {
            drop(zeros(&[0]).vector_norm(f64::INFINITY, (), false))
        });
        check(dev, "norm: [2, 0] has no elements to compare", |_| drop(zeros(&[2, 0]).norm_dim(-1.0, 1, false)));
        let norm = |shape: &[usize], p, dims| drop(zeros(shape).matrix_norm(MatrixNorm::P(p), dims, false));
        check(dev, "matrix_norm: [3] is no matrix", |_| norm(&[3], 1.0, [0, 1]));
        check(dev, "matrix_norm: dimension named twice in [1, -1] for shape [2, 3]", |_| norm(&[2, 3], 1.0, [1, -1]));
        check(dev, "matrix_norm: the norm of p = 2 is one of singular values", |_| norm(&[2, 3], 2.0, [0, 1]));
        check(dev, "amin: [1, 0] has no elements to compare", |_| norm(&[3, 0], -1.0, [0, 1]));
        check(dev, "sum_to_size: [2] does not expand to [2, 3]", |_| drop(zeros(&[2, 3]).sum_to_size(2)));
        check(dev, "sub: shapes do not broadcast: [2] and [3]", |_| drop(zeros(&[2]).dist(&zeros(&[3]), 2.0)));
    }
}

#[test]
fn scans_refuse_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        check(dev, "cumsum: dimension 2 is out of range for shape [2, 3] (-2..=1)", |_| drop(zeros(&[2, 3]).cumsum(2)));
        check(dev, "cumprod: dimension 1 is out of range for shape [] (-1..=0)", |_| drop(zeros(&[]).cumprod(1)));
        check(dev, "logcumsumexp: needs floats, not i32 elements of shape [2]", |d| {
            drop(Tensor::new([1, 2], d).logcumsumexp(0))
        });
        check(dev, "cummax: dimension -2 is out of range for shape [2] (-1..=0)", |_| drop(zeros(&[2]).cummax(-2)));
        check(dev, "cummin: dimension -2 is out of range for shape [2] (-1..=0)", |_| drop(zeros(&[2]).cummin(-2)));
        check(dev, "diff: a 0-d tensor has no dimensions", |_| drop(zeros(&[]).diff(1, 0)));
        check(dev, "gradient: an edge order of 2 along dimension 0 of [2]", |_| drop(zeros(&[2]).gradient(&[], (), 2)));
        check(dev, "gradient: a spacing for 1 of 2 dimensions of [2, 3]", |_| {
            drop(zeros(&[2, 3]).gradient(&[zeros(&[2]).into()], (), 1))
        });
        check(dev, "gradient: places [2] do not fit samples [3] along dimension 0", |_| {
            drop(zeros(&[3]).gradient(&[zeros(&[2]).into()], (), 1))
        });
        check(dev, "trapezoid: places [2] do not fit samples [3] along dimension 0", |_| {
            drop(zeros(&[3]).trapezoid(zeros(&[2]), 0))
        });
        check(dev, "cumulative_trapezoid: a 0-d tensor has no dimensions", |_| {
            drop(zeros(&[]).cumulative_trapezoid(1.0, 0))
        });
    }
}
