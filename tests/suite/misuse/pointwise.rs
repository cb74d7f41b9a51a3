//! Scalar functions.

use super::check;
use crate::common::devices;
use wgrad::{DType, Tensor};

#[test]
fn scalar_functions_refuse_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        let ints = |shape: &[usize]| Tensor::zeros(shape, (dev, DType::I32));
        check(dev, "atan2: shapes do not broadcast: [2, 3] and [2]", |_| drop(zeros(&[2, 3]).atan2(zeros(&[2]))));
        check(dev, "bitwise_and: wants integers or bools, not f32: [2] and [2]", |_| drop(zeros(&[2]) & ints(&[2])));
        check(dev, "bitwise_or: wants integers or bools, not f32: [2] and 1.5", |_| drop(ints(&[2]) | 1.5));
        check(dev, "bitwise_not: wants integers or bools, not f32: [2]", |_| drop(!zeros(&[2])));
        check(dev, "gcd: wants integers or bools, not f32: [] and 2", |_| drop(zeros(&[]).gcd(2)));
        check(dev, "pow: integers of shape [3] to the negative integer power -1; cast them", |_| {
            drop(ints(&[3]).pow(-1))
        });
        check(dev, "floor_divide: has no gradient for this operand, which requires one", |_| {
            drop(zeros(&[2]).requires_grad_(true).unwrap().floor_divide(2.0))
        });
        check(dev, "heaviside: has no gradient for this operand, which requires one", |_| {
            drop(zeros(&[2]).heaviside(zeros(&[2]).requires_grad_(true).unwrap()))
        });
        check(dev, "elu: has no gradient for this operand, which requires one", |_| {
            drop(zeros(&[2]).elu(zeros(&[2]).requires_grad_(true).unwrap()))
        });
        check(dev, "polygamma: order 31 is above 30, for shape [2]", |_| drop(zeros(&[2]).polygamma(31)));
        check(dev, "positive: bools of shape [2] have no sign", |_| drop(zeros(&[2]).gt(0.0).positive()));
        check(dev, "glu: dimension 1 of shape [2, 3] has no halves", |_| drop(zeros(&[2, 3]).glu(1)));
        check(dev, "glu: dimension 0 of shape [] has no halves", |_| drop(zeros(&[]).glu(0)));
        check(dev, "glu: dimension 2 is out of range for shape [2, 4] (-2..=1)", |_| drop(zeros(&[2, 4]).glu(2)));
        check(dev, "prelu: a weight of shape [2] for 3 channels of [2, 3]", |_| {
            drop(zeros(&[2, 3]).prelu(&zeros(&[2])))
        });
        check(dev, "softshrink: lambda is -1, below 0, for shape [2]", |_| drop(zeros(&[2]).softshrink(-1.0)));
        check(dev, "rrelu: the lower slope 0.5 is above the upper 0.1, for shape [2]", |_| {
            drop(zeros(&[2]).rrelu(0.5, 0.1, false))
        });
        check(dev, "addcdiv: divides floats, not i32 by i32 elements; cast them", |_| {
            drop(zeros(&[2]).addcdiv(&ints(&[2]), &ints(&[2]), 1))
        });
        check(dev, "where: the condition must be a bool tensor, not f32", |_| {
            drop(Tensor::where_(&zeros(&[1]), 1.0, 2.0))
        });
    }
}
