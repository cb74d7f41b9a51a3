//! Reductions and scans.

use super::{ANY, Case};
use wgrad::{CovOptions, Interpolation, MatrixNorm, PadMode, Tensor};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("sum", &[(&[3, 4], ANY)], |x| x[0].sum().sin()),
        Case::new("sum_dim", &[(&[2, 3, 4], ANY)], |x| x[0].sum_dim([0, 2], false).sin()),
        Case::new("sum_dim of a transpose", &[(&[2, 3, 4], ANY)], |x| x[0].transpose(0, 2).sum_dim(1, true).sin()),
        Case::new("mean", &[(&[3, 4], ANY)], |x| x[0].mean().sin()),
        Case::new("mean_dim", &[(&[3, 4], ANY)], |x| x[0].mean_dim(-1, true).sin()),
        Case::new("max", &[(&[3, 4], ANY)], |x| x[0].max().sin()),
        Case::new("min", &[(&[3, 4], ANY)], |x| x[0].min().sin()),
        Case::new("amax", &[(&[3, 4], ANY)], |x| x[0].amax(0, false).sin()),
        Case::new("amin", &[(&[3, 4], ANY)], |x| x[0].amin(1, true).sin()),
        Case::new("max_dim", &[(&[3, 4], ANY)], |x| x[0].max_dim(1, false).0.sin()),
        Case::new("min_dim", &[(&[3, 4], ANY)], |x| x[0].min_dim(0, true).0.sin()),
        Case::new("var", &[(&[3, 4], ANY)], |x| x[0].var(1.0)),
        Case::new("var_dim", &[(&[3, 4], ANY)], |x| x[0].var_dim(1, 0.0, true).sin()),
        Case::new("norm", &[(&[3, 4], ANY)], |x| x[0].norm()),
        Case::new("norm_dim 1", &[(&[3, 4], ANY)], |x| x[0].norm_dim(1.0, 1, false).sin()),
        Case::new("norm_dim 3", &[(&[3, 4], ANY)], |x| x[0].norm_dim(3.0, 0, false).sin()),
        Case::new("norm_dim inf", &[(&[3, 4], ANY)], |x| x[0].norm_dim(f64::INFINITY, 1, true).sin()),
        Case::new("norm_dim 0.5", &[(&[3, 4], ANY)], |x| x[0].norm_dim(0.5, 1, false).sin()),
        Case::new("norm_dim -inf", &[(&[3, 4], ANY)], |x| x[0].norm_dim(f64::NEG_INFINITY, 1, true).sin()),
        Case::new("vector_norm", &[(&[3, 2, 4], ANY)], |x| {
            x[0].permute([2, 0, 1]).vector_norm(-1.0, [0, 2], true).sin()
        }),
        Case::new("matrix_norm of columns", &[(&[3, 2, 4], ANY)], |x| {
            x[0].matrix_norm(MatrixNorm::P(1.0), [2, 0], true).sin()
        }),
        Case::new("matrix_norm of rows", &[(&[3, 4], ANY)], |x| {
            x[0].t().matrix_norm(MatrixNorm::P(f64::NEG_INFINITY), [0, 1], false).sin()
                * x[0].matrix_norm(MatrixNorm::Fro, [0, 1], false)
        }),
        Case::new("sum_to_size", &[(&[2, 3, 4], ANY)], |x| x[0].transpose(0, 2).sum_to_size([3, 1]).sin()),
        Case::new("dist", &[(&[3, 4], ANY), (&[4], ANY)], |x| x[0].dist(&x[1], 2.5)),
        Case::new("std", &[(&[3, 4], ANY)], |x| x[0].std(1.0).sin()),
        Case::new("std_dim", &[(&[3, 4, 2], ANY)], |x| x[0].std_dim([0, -1], 0.0, true) * &x[0]),
        Case::new("var_mean", &[(&[3, 4], ANY)], |x| {
            let (var, mean) = x[0].t().var_mean(0, 1.0, false);
            var * mean.sin()
        }),
        Case::new("std_mean", &[(&[3, 4], ANY)], |x| {
            let (std, mean) = x[0].std_mean((), 1.0, true);
            std * mean.sin()
        }),
        Case::new("cov", &[(&[3, 5], ANY)], |x| x[0].cov(CovOptions::default()).sin()),
        Case::new("cov with weights", &[(&[3, 4], ANY), (&[4], (0.5, 2.0))], |x| {
            let frequencies = Some(Tensor::new([1, 2, 1, 3], &x[0].device()));
            x[0].cov(CovOptions { correction: 0.5, frequencies, weights: Some(x[1].clone()) }).sin()
        }),
        Case::new("corrcoef", &[(&[2, 5], ANY)], |x| x[0].corrcoef()),
        Case::new("prod", &[(&[2, 3], ANY)], |x| x[0].prod().sin()),
        Case::new("prod_dim", &[(&[2, 3, 2], ANY)], |x| x[0].transpose(0, 1).prod_dim([0, 2], true).sin()),
        Case::new("prod with a zero", &[(&[2, 3], ANY), (&[2, 1], (0.0, 0.0))], |x| {
            Tensor::cat(&[x[0].clone(), x[1].clone()], 1).prod_dim(1, false).exp()
        }),
        Case::new("prod with zeros", &[(&[2, 2], ANY), (&[2, 2], (0.0, 0.0))], |x| {
            Tensor::cat(&[x[1].clone(), x[0].clone()], 1).prod_dim(1, false).exp()
        }),
        Case::new("cumprod with zeros", &[(&[2, 3], ANY), (&[2, 2], (0.0, 0.0))], |x| {
            Tensor::cat(&[x[0].clone(), x[1].clone(), &x[0] + 1.0], 1).cumprod(1).exp()
        }),
        Case::new("logsumexp", &[(&[3, 4], ANY)], |x| x[0].logsumexp(1, false).sin()),
        Case::new("logsumexp over all", &[(&[3, 4], ANY)], |x| x[0].t().logsumexp((), true) * &x[0]),
        Case::new("nansum", &[(&[3, 4], ANY)], |x| {
            Tensor::where_(&x[0].gt(-1.0), &x[0], f64::NAN).nansum(1, false).sin()
        }),
        Case::new("nanmean", &[(&[3, 4], ANY)], |x| {
            Tensor::where_(&x[0].gt(-1.0), &x[0], f64::NAN).nanmean(0, true).sin()
        }),
        Case::new("aminmax", &[(&[3, 4], ANY)], |x| {
            let (low, high) = x[0].aminmax(0, false);
            low * high.sin()
        }),
        Case::new("median", &[(&[3, 4], ANY)], |x| x[0].median().sin()),
        Case::new("median_dim", &[(&[3, 4], ANY)], |x| x[0].median_dim(0, true).0.sin()),
        Case::new("nanmedian_dim", &[(&[3, 4], ANY)], |x| x[0].nanmedian_dim(1, false).0.sin()),
        Case::new("quantile", &[(&[3, 4], ANY)], |x| x[0].quantile(0.4, None, false).sin()),
        Case::new("quantile of shares", &[(&[3, 4, 2], ANY), (&[2], (0.1, 0.9))], |x| {
            x[0].quantile(&x[1], 1, true).sin()
        }),
        Case::new("quantile_with", &[(&[3, 4], ANY)], |x| {
            x[0].quantile_with(0.3, 1, true, Interpolation::Higher) * &x[0]
        }),
        Case::new("nanmedian", &[(&[3, 5], ANY)], |x| x[0].nanmedian().sin() * x[0].nanquantile(0.2, 1, true)),
        Case::new("nanquantile", &[(&[3, 4], ANY)], |x| {
            x[0].nanquantile_with(0.7, 0, false, Interpolation::Midpoint).sin()
        }),
        Case::new("cumsum", &[(&[3, 4], ANY)], |x| x[0].cumsum(1).sin()),
        Case::new("cumsum of columns", &[(&[3, 4, 2], ANY)], |x| x[0].transpose(0, 1).flip(0).cumsum(0).sin()),
        Case::new("cumprod", &[(&[3, 4], ANY)], |x| x[0].cumprod(0).sin()),
        Case::new("cumprod of a transpose", &[(&[3, 4], ANY)], |x| x[0].t().cumprod(-1).exp()),
        Case::new("cumsum of a long line", &[(&[700], ANY)], |x| (x[0].cumsum(0) * 0.01).sin()),
        Case::new("cumprod of a long line", &[(&[2, 300], (0.9, 1.1))], |x| x[0].cumprod(1).sin()),
        Case::new("logcumsumexp", &[(&[3, 4], ANY)], |x| x[0].logcumsumexp(1).sin()),
        Case::new("logcumsumexp of a long line", &[(&[200, 2], ANY)], |x| x[0].logcumsumexp(0).sin()),
        Case::new("cummax", &[(&[3, 4], ANY)], |x| x[0].cummax(1).0.sin()),
        Case::new("cummin", &[(&[3, 4], ANY)], |x| x[0].cummin(0).0.sin()),
        Case::new("diff", &[(&[3, 5], ANY)], |x| x[0].diff(2, 1).sin()),
        Case::new("gradient", &[(&[3, 4], ANY)], |x| {
            let slopes = x[0].gradient(&[0.5.into(), 2.0.into()], [1, 0], 1);
            slopes[0].sin() * &slopes[1]
        }),
        Case::new("gradient at places", &[(&[2, 5], ANY), (&[4], (0.5, 1.5))], |x| {
            x[0].gradient(&[x[1].cumsum(0).pad([1, 0], PadMode::Constant(0.0)).into()], 1, 2)[0].sin()
        }),
        Case::new("trapezoid", &[(&[3, 4], ANY), (&[3], ANY)], |x| x[0].trapezoid(&x[1], 0).sin()),
        Case::new("cumulative_trapezoid", &[(&[3, 4], ANY)], |x| x[0].cumulative_trapezoid(0.5, 1).sin()),
    ]
}
