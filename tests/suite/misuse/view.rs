//! Views and layout.

use super::check;
use crate::common::devices;
use wgrad::{Indexing, PadMode, Tensor};

#[test]
fn views_refuse_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        check(dev, "view: [2, 3] with strides [1, 2] is no [6] without a copy; use reshape", |_| {
            drop(zeros(&[3, 2]).t().view(6))
        });
        check(dev, "view: [2, 3] with 6 elements does not fill [5]", |_| drop(zeros(&[2, 3]).view(5)));
        check(dev, "unflatten: dimension 1 of [2, 6] is not cut into [4, -1]", |_| {
            drop(zeros(&[2, 6]).unflatten(1, [4, -1]))
        });
        check(dev, "broadcast_tensors: shapes do not broadcast: [[2], [3]]", |_| {
            drop(Tensor::broadcast_tensors(&[zeros(&[2]), zeros(&[3])]))
        });
        check(dev, "movedim: [0, 1] and [0] differ in length, for shape [2, 3]", |_| {
            drop(zeros(&[2, 3]).movedim([0, 1], 0))
        });
        check(dev, "movedim: dimension named twice in [0, 0] for shape [2, 3]", |_| {
            drop(zeros(&[2, 3]).movedim([0, 0], [0, 1]))
        });
        check(dev, "mt: [3] is no batch of matrices", |_| drop(zeros(&[3]).mt()));
        check(dev, "fliplr: [3] has no dimension 1", |_| drop(zeros(&[3]).fliplr()));
        check(dev, "rot90: a plane needs two dimensions, not [0] of [2, 3]", |_| drop(zeros(&[2, 3]).rot90(1, 0)));
        check(dev, "unfold: a window of 4 is longer than dimension 0 of [3]", |_| drop(zeros(&[3]).unfold(0, 4, 1)));
        check(dev, "as_strided: [2, 2] by [2, 1] from 1 on is not in 4 elements", |_| {
            drop(zeros(&[4]).as_strided([2, 2], [2, 1], 1))
        });
        check(dev, "diagonal: dimensions 0 and -2 of [2, 3] are no plane", |_| drop(zeros(&[2, 3]).diagonal(0, 0, -2)));
        check(dev, "diag: [1, 1, 1] is neither a list nor a matrix", |_| drop(zeros(&[1, 1, 1]).diag(0)));
        check(dev, "tril: [3] is no batch of matrices", |_| drop(zeros(&[3]).tril(0)));
        check(dev, "split: sizes [1, 3] do not add up to dimension 0 of [3]", |_| drop(zeros(&[3]).split([1, 3], 0)));
        check(dev, "split: pieces of size 0 of dimension 0 of [3]", |_| drop(zeros(&[3]).split(0, 0)));
        check(dev, "chunk: no chunks of dimension 0 of [3]", |_| drop(zeros(&[3]).chunk(0, 0)));
        check(dev, "unbind: a 0-d tensor has no dimensions", |_| drop(zeros(&[]).unbind(0)));
        check(dev, "hsplit: 2 pieces do not divide dimension 1 of [2, 3]", |_| drop(zeros(&[2, 3]).hsplit(2)));
        check(dev, "dsplit: needs 3 dimensions or more, not shape [2, 3]", |_| drop(zeros(&[2, 3]).dsplit(1)));
        check(dev, "pad: [1] is no list of pairs for dimensions of [3]", |_| {
            drop(zeros(&[3]).pad(1, PadMode::Constant(0.0)))
        });
        check(dev, "pad: dimension 0 of [3] is too small for 3 and 0 in mode Reflect", |_| {
            drop(zeros(&[3]).pad([3, 0], PadMode::Reflect))
        });
        check(dev, "pad: dimension 0 of [3] is too small for -2 and -2 in mode Constant(0.0)", |_| {
            drop(zeros(&[3]).pad([-2, -2], PadMode::Constant(0.0)))
        });
        check(dev, "roll: shifts [1, 2] do not fit dimensions [0] of [3]", |_| drop(zeros(&[3]).roll([1, 2], 0)));
        check(dev, "repeat: [2] repeats for the dimensions of [2, 3]", |_| drop(zeros(&[2, 3]).repeat(2)));
        check(dev, "repeat_interleave_by: counts [2] do not fit dimension 0 of [3]", |d| {
            drop(zeros(&[3]).repeat_interleave_by(&Tensor::new([1, 2], d), 0))
        });
        check(dev, "meshgrid: [2, 3] is no list", |_| drop(Tensor::meshgrid(&[zeros(&[2, 3])], Indexing::Ij)));
        check(dev, "block_diag: [1, 1, 1] is no matrix", |_| drop(Tensor::block_diag(&[zeros(&[1, 1, 1])])));
        check(dev, "add_: a view of shape [3, 2] has several elements in one place; copy it first", |_| {
            drop(zeros(&[4]).unfold(0, 2, 1).add_(1.0).map(drop))
        });
    }
}
