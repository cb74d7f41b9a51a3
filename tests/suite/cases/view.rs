//! Views, layout, joining and writing.

use super::{ANY, Case, index};
use wgrad::{DType, Indexing, PadMode, Tensor};

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
        Case::new("view", &[(&[2, 6], ANY)], |x| x[0].view([3, 4]).sin()),
        Case::new("view_as, reshape_as", &[(&[2, 6], ANY), (&[3, 4], ANY)], |x| {
            x[0].view_as(&x[1]) * x[0].t().reshape_as(&x[1]) * &x[1]
        }),
        Case::new("ravel", &[(&[2, 3], ANY)], |x| x[0].t().ravel().sin()),
        Case::new("unflatten", &[(&[2, 6], ANY)], |x| x[0].unflatten(1, [2, -1]).sin()),
        Case::new("atleast", &[(&[], ANY), (&[3], ANY)], |x| {
            x[0].atleast_1d() * x[0].atleast_2d() * x[1].atleast_3d() * x[1].atleast_2d().sin()
        }),
        Case::new("expand_as, broadcast_to", &[(&[3, 1], ANY), (&[3, 4], ANY)], |x| {
            x[0].expand_as(&x[1]) * x[1].broadcast_to([2, 3, 4]).sin()
        }),
        Case::new("broadcast_tensors", &[(&[3, 1], ANY), (&[4], ANY)], |x| {
            let y = Tensor::broadcast_tensors(x);
            y[0].sin() * y[1].cos()
        }),
        Case::new("movedim", &[(&[2, 3, 4], ANY)], |x| x[0].movedim([0, 1], [-1, 0]).sin()),
        Case::new("moveaxis", &[(&[2, 3, 4], ANY)], |x| x[0].moveaxis(2, 0).sin()),
        Case::new("swapaxes, swapdims", &[(&[2, 3, 4], ANY)], |x| x[0].swapaxes(0, 2).swapdims(1, -1).sin()),
        Case::new("mt, adjoint", &[(&[2, 3, 4], ANY)], |x| x[0].mt().sin() * x[0].adjoint()),
        Case::new("fliplr, flipud", &[(&[3, 4], ANY)], |x| x[0].fliplr().sin() * x[0].flipud()),
        Case::new("rot90", &[(&[2, 3], ANY)], |x| x[0].rot90(1, [0, 1]).sin() * x[0].rot90(-1, [0, 1])),
        Case::new("unfold without overlap", &[(&[7, 2], ANY)], |x| x[0].unfold(0, 2, 3).sin()),
        Case::new("as_strided", &[(&[8], ANY)], |x| x[0].as_strided([2, 2, 2], [0, 2, 1], 1).sin()),
        Case::new("as_strided of a view", &[(&[3, 4], ANY)], |x| x[0].t().as_strided([2, 3], [4, 1], 1).sin()),
        Case::new("as_strided of an expanded tensor", &[(&[3], ANY)], |x| {
            x[0].expand([2, 3]).as_strided([2, 2], [1, 1], 0).sin()
        }),
        Case::new("diagonal", &[(&[2, 3, 4], ANY)], |x| x[0].diagonal(1, 0, 2).sin()),
        Case::new("diag", &[(&[3, 4], ANY), (&[3], ANY)], |x| x[0].diag(-1).sin().sum() * x[1].diag(1).sin()),
        Case::new("diagflat", &[(&[2, 2], ANY)], |x| x[0].diagflat(1).sin()),
        Case::new("diag_embed", &[(&[2, 3], ANY)], |x| x[0].diag_embed(-1, 0, 2).sin()),
        Case::new("tril, triu", &[(&[2, 3, 4], ANY)], |x| x[0].tril(0).exp() * x[0].triu(-1)),
        Case::new("split", &[(&[7, 2], ANY)], |x| {
            let (y, z) = (x[0].split(3, 0), x[0].split([1, 4, 2], 0));
            y[0].sin() * &y[1] + &y[2] * &z[0] * z[2].sum()
        }),
        Case::new("chunk, unbind", &[(&[4, 3], ANY)], |x| {
            let (y, z) = (x[0].chunk(2, 0), x[0].unbind(1));
            y[0].sin() * &y[1] + z[0].sin().sum() * z[2].sum()
        }),
        Case::new("tensor_split", &[(&[5, 2], ANY)], |x| {
            let (y, z) = (x[0].tensor_split(2, 0), x[0].tensor_split([1, 3], 0));
            y[0].sin().sum() * &y[1] * &z[1]
        }),
        Case::new("hsplit, vsplit, dsplit", &[(&[2, 2, 2], ANY)], |x| {
            x[0].hsplit(2)[0].sin().sum() * x[0].vsplit(2)[1].sin() * x[0].dsplit([1])[1].sum()
        }),
        Case::new("pad", &[(&[2, 3], ANY)], |x| x[0].pad([1, -1, 0, 2], PadMode::Constant(0.5)).sin()),
        Case::new("pad by reflection", &[(&[2, 4], ANY)], |x| x[0].pad([3, -1], PadMode::Reflect).sin()),
        Case::new("pad by replication", &[(&[2, 3], ANY)], |x| x[0].pad([2, 1, 1, 0], PadMode::Replicate).sin()),
        Case::new("pad round", &[(&[2, 3], ANY)], |x| x[0].pad([3, 1], PadMode::Circular).sin()),
        Case::new("roll", &[(&[2, 3], ANY)], |x| x[0].roll([1, -1], [0, 1]).sin() * x[0].roll(2, ())),
        Case::new("repeat", &[(&[2, 3], ANY)], |x| x[0].repeat([2, 1, 2]).sin()),
        Case::new("tile", &[(&[2, 3], ANY)], |x| x[0].t().tile(2).sin()),
        Case::new("repeat_interleave", &[(&[2, 3], ANY)], |x| x[0].repeat_interleave(2, 1).sin()),
        Case::new("repeat_interleave_by", &[(&[3, 2], ANY)], |x| {
            x[0].repeat_interleave_by(&index(&x[0], &[2, 0, 3], &[3]), 0).unwrap().sin()
        }),
        Case::new("meshgrid", &[(&[2], ANY), (&[3], ANY)], |x| {
            let (y, z) = (Tensor::meshgrid(x, Indexing::Ij), Tensor::meshgrid(x, Indexing::Xy));
            y[0].sin() * &y[1] * z[1].t()
        }),
        Case::new("cartesian_prod", &[(&[2], ANY), (&[3], ANY)], |x| Tensor::cartesian_prod(x).sin()),
        Case::new("combinations", &[(&[4], ANY)], |x| x[0].combinations(2, true).sin()),
        Case::new("hstack, vstack", &[(&[3], ANY), (&[3], ANY)], |x| {
            Tensor::hstack(x).sin().sum() * Tensor::vstack(x).sin()
        }),
        Case::new("dstack, column_stack", &[(&[3], ANY), (&[3], ANY)], |x| {
            Tensor::dstack(x).sin() * Tensor::column_stack(x)
        }),
        Case::new("block_diag", &[(&[2, 1], ANY), (&[], ANY), (&[2], ANY)], |x| Tensor::block_diag(x).sin()),
        Case::new("vander of batches", &[(&[2, 3], ANY)], |x| x[0].vander(4, true).sin()),
        Case::new("vander", &[(&[3], ANY)], |x| x[0].vander(4, false).sin()),
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
