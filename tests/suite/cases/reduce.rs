//! Reductions and scans.

use super::{ANY, Case};

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
    ]
}
