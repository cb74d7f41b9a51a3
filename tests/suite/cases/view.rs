//! Views, layout, joining and writing.

use super::{ANY, Case};
use wgrad::{DType, Tensor};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("reshape", &[(&[2, 6], ANY)], |x| x[0].reshape([3, -1]).sin()),
        Case::new("reshape of a transpose", &[(&[2, 3], ANY)], |x| x[0].t().reshape(6).sin()),
        Case::new("flatten", &[(&[2, 3, 2], ANY)], |x| x[0].flatten(0, 1).sin()),
        Case::new("permute", &[(&[2, 3, 4], ANY)], |x| x[0].permute([2, 0, 1]).exp()),
        Case::new("transpose", &[(&[2, 3], ANY)], |x| x[0].transpose(0, 1).exp()),
        Case::new("expand", &[(&[3, 1], ANY)], |x| x[0].expand([2, 3, 4]).sin()),
        Case::new("narrow", &[(&[4, 3], ANY)], |x| x[0].narrow(0, 1, 2).sin()),
        Case::new("slice", &[(&[3, 7], ANY)], |x| x[0].slice(1, 1, -1, 2).sin()),
        Case::new("select", &[(&[3, 4], ANY)], |x| x[0].select(1, -2).sin()),
        Case::new("flip", &[(&[3, 4], ANY)], |x| x[0].flip([0, 1]).sin()),
        Case::new("unfold", &[(&[2, 7, 2], ANY)], |x| x[0].unfold(1, 3, 2).sin()),
        Case::new("unfold twice, overlapping", &[(&[5, 6], ANY)], |x| x[0].t().unfold(0, 3, 1).unfold(1, 2, 2).sin()),
        Case::new("unfold and product", &[(&[2, 9], ANY), (&[3, 4], ANY)], |x| {
            x[0].unfold(1, 3, 1).matmul(&x[1]).sin()
        }),
        Case::new("squeeze", &[(&[1, 3, 1], ANY)], |x| x[0].squeeze(0).sin()),
        Case::new("unsqueeze", &[(&[3], ANY)], |x| x[0].unsqueeze(-1).sin()),
        Case::new("copy", &[(&[3, 2], ANY)], |x| x[0].t().copy().sin()),
        Case::new("cat", &[(&[2, 3], ANY), (&[1, 3], ANY)], |x| {
            Tensor::cat(&[x[0].clone(), x[1].clone(), x[0].clone()], 0).sin()
        }),
        Case::new("stack", &[(&[3], ANY), (&[3], ANY)], |x| Tensor::stack(x, 1).sin()),
        Case::new("in place", &[(&[3], ANY), (&[3], ANY)], |x| {
            let y = &x[0] * 2.0;
            y.mul_(&x[1]).unwrap().add_(1.0).unwrap();
            y.sin()
        }),
        Case::new("in place on a view", &[(&[2, 3], ANY), (&[2], ANY)], |x| {
            let y = &x[0] * 2.0;
            y.select(1, 1).mul_(&x[1]).unwrap();
            y.sin()
        }),
        Case::new("copy_", &[(&[2, 3], ANY), (&[3], ANY)], |x| {
            let y = &x[0] * 2.0;
            y.narrow(0, 1, 1).copy_(&x[1]).unwrap();
            y.sin()
        }),
        Case::new("cast there and back", &[(&[3], ANY)], |x| x[0].cast(DType::F32).cast(x[0].dtype())),
    ]
}
