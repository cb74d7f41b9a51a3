//! New tensors and random numbers.

use super::check;
use crate::common::devices;
use wgrad::{DType, Tensor};

#[test]
fn creation_refuses_what_does_not_exist() {
    for dev in devices() {
        let dev = &dev;
        check(dev, "eye: [2, 2, 2] are no sizes of a matrix", |d| drop(Tensor::eye([2, 2, 2], d)));
        check(dev, "vander: [] is no list", |d| drop(Tensor::zeros((), d).vander(None, true)));
        check(dev, "uniform: there is no distribution of low 1 and high 0", |d| {
            drop(Tensor::uniform(1.0, 0.0, [2], d))
        });
        check(dev, "normal_: there is no distribution of mean 0 and std -1", |d| {
            drop(Tensor::zeros([2], d).normal_(0.0, -1.0).map(drop))
        });
        check(dev, "exponential: fills floats, not i32 elements", |d| {
            drop(Tensor::exponential(1.0, [2], (d, DType::I32)))
        });
        check(dev, "bernoulli: needs floats, not i32 elements of shape [1]", |d| drop(Tensor::new([1], d).bernoulli()));
        check(dev, "multinomial: 3 of weights [2] without replacement", |d| {
            drop(Tensor::ones([2], d).multinomial(3, false))
        });
        check(dev, "new_zeros: negative size in shape [-1]", |d| drop(Tensor::zeros([1], d).new_zeros([-1])));
    }
}
