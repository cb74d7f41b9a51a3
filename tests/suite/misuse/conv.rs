//! Convolution, pooling, resampling.

use super::check;
use crate::common::devices;
use wgrad::{
    AvgPoolOptions, ConvOptions, ConvTransposeOptions, GridMode, GridSampleOptions, Im2colOptions, InterpolateMode,
    InterpolateOptions, MaxPoolOptions, MaxUnpoolOptions, Padding, Tensor,
};

#[test]
fn convolution_refuses_what_does_not_fit() {
    for dev in devices() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, &dev);
        let (x, w) = (zeros(&[1, 2, 5, 5]), zeros(&[4, 2, 3, 3]));
        let plain = ConvOptions::default;
        let refused = |want: &str, f: &dyn Fn()| check(&dev, want, |_| f());
        refused("conv1d: wants [batch, channels, 1 sizes] or [channels, 1 sizes], not [1, 2, 5, 5]", &|| {
            drop(x.conv1d(&w, None, plain()))
        });
        refused("conv2d: wants weights of rank 4, not of shape [4, 2, 3]", &|| {
            drop(x.conv2d(&zeros(&[4, 2, 3]), None, plain()))
        });
        refused("conv2d: input [1, 2, 5, 5] and weights [4, 2, 3, 3] do not fit in 2 groups", &|| {
            drop(x.conv2d(&w, None, ConvOptions { groups: 2, ..plain() }))
        });
        refused("conv2d: input [1, 2, 5, 5] and weights [4, 2, 3, 3] in 0 groups", &|| {
            drop(x.conv2d(&w, None, ConvOptions { groups: 0, ..plain() }))
        });
        refused("conv2d: a window of 7 places does not fit the padded size 5 of [1, 2, 5, 5]", &|| {
            drop(x.conv2d(&w, None, ConvOptions { dilation: 3.into(), ..plain() }))
        });
        refused("conv2d: stride [0] holds 0, and 1 is the least", &|| {
            drop(x.conv2d(&w, None, ConvOptions { stride: 0.into(), ..plain() }))
        });
        refused("conv2d: padding [1, -1] holds -1, and 0 is the least", &|| {
            drop(x.conv2d(&w, None, ConvOptions { padding: [1, -1].into(), ..plain() }))
        });
        refused("conv2d: dilation [1, 1, 1] is neither one number nor 2 of them", &|| {
            drop(x.conv2d(&w, None, ConvOptions { dilation: [1, 1, 1].into(), ..plain() }))
        });
        refused("conv2d: a stride of [2, 2] does not keep the size that padding asks for", &|| {
            drop(x.conv2d(&w, None, ConvOptions { stride: 2.into(), padding: Padding::Same, ..plain() }))
        });
        refused("conv2d: wants a bias of 4 f32, not f32 of shape [2]", &|| drop(x.conv2d(&w, &zeros(&[2]), plain())));
        refused("conv2d: needs two operands of one number type: [1, 2, 5, 5] x [4, 2, 3, 3] of i32 and f32", &|| {
            drop(x.cast(wgrad::DType::I32).conv2d(&w, None, plain()))
        });
        let plain = ConvTransposeOptions::default;
        refused("conv_transpose2d: input [1, 2, 5, 5] and weights [4, 2, 3, 3] do not fit in 1 groups", &|| {
            drop(x.conv_transpose2d(&w, None, plain()))
        });
        let w = zeros(&[2, 2, 3, 3]);
        refused("conv_transpose2d: an output padding of 2 is neither below the stride 2 nor the dilation 1", &|| {
            let options = ConvTransposeOptions { stride: 2.into(), output_padding: 2.into(), ..plain() };
            drop(x.conv_transpose2d(&w, None, options))
        });
        refused("conv_transpose2d: nothing is left of [1, 2, 5, 5] with a padding of 4", &|| {
            drop(x.conv_transpose2d(&w, None, ConvTransposeOptions { padding: 4.into(), ..plain() }))
        });
        refused("im2col: a window of 6 places does not fit [5, 5] padded by 0", &|| {
            drop(x.im2col(6, Im2colOptions::default()))
        });
        refused("col2im: [1, 8, 10] does not hold 3 x 3 windows of 2 x 2 places", &|| {
            drop(zeros(&[1, 8, 10]).col2im(4, 2, Im2colOptions::default()))
        });
    }
}

#[test]
fn pooling_refuses_what_does_not_fit() {
    for dev in devices() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, &dev);
        let x = zeros(&[1, 2, 5, 5]);
        let refused = |want: &str, f: &dyn Fn()| check(&dev, want, |_| f());
        refused("max_pool1d: wants [batch, channels, 1 sizes] or [channels, 1 sizes], not [1, 2, 5, 5]", &|| {
            drop(x.max_pool1d(2, MaxPoolOptions::default()))
        });
        refused("max_pool2d: kernel size [0] holds 0, and 1 is the least", &|| {
            drop(x.max_pool2d(0, MaxPoolOptions::default()))
        });
        refused("max_pool2d: a padding of 2 is more than half a window of 3", &|| {
            drop(x.max_pool2d(3, MaxPoolOptions { padding: 2.into(), ..Default::default() }))
        });
        refused("avg_pool2d: a window of 6 places does not fit [1, 2, 5, 5] padded by 0", &|| {
            drop(x.avg_pool2d(6, AvgPoolOptions::default()))
        });
        refused("avg_pool2d: a divisor of 0", &|| {
            drop(x.avg_pool2d(2, AvgPoolOptions { divisor_override: Some(0), ..Default::default() }))
        });
        refused("adaptive_avg_pool2d: an output size of [0, 0]", &|| drop(x.adaptive_avg_pool2d(0)));
        refused("adaptive_max_pool2d: output size [-2] holds -2, and 0 is the least", &|| {
            drop(x.adaptive_max_pool2d(-2))
        });
        refused("max_unpool2d: indices [1, 2, 2, 2] do not belong to [1, 2, 5, 5]", &|| {
            let indices = Tensor::zeros([1, 2, 2, 2], (&dev, wgrad::DType::I32));
            drop(x.max_unpool2d(&indices, 2, MaxUnpoolOptions::default()))
        });
    }
}

#[test]
fn resampling_refuses_what_does_not_fit() {
    for dev in devices() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, &dev);
        let x = zeros(&[1, 2, 5, 5]);
        let plain = InterpolateOptions::default;
        let refused = |want: &str, f: &dyn Fn()| check(&dev, want, |_| f());
        refused("interpolate: wants either a size or a scale_factor", &|| drop(x.interpolate(plain())));
        refused("interpolate: size [0] holds 0, and 1 is the least", &|| {
            drop(x.interpolate(InterpolateOptions { size: Some(0.into()), ..plain() }))
        });
        refused("interpolate: factors [0.1] leave nothing of [1, 2, 5, 5]", &|| {
            drop(x.interpolate(InterpolateOptions { scale_factor: Some(vec![0.1]), ..plain() }))
        });
        refused("interpolate: factors [-1.0] for [1, 2, 5, 5]", &|| {
            drop(x.interpolate(InterpolateOptions { scale_factor: Some(vec![-1.0]), ..plain() }))
        });
        refused("interpolate: Cubic does not resample [1, 2, 5]", &|| {
            let options = InterpolateOptions { size: Some(3.into()), mode: InterpolateMode::Cubic, ..plain() };
            drop(zeros(&[1, 2, 5]).interpolate(options))
        });
        refused("interpolate: Nearest has neither corners to align nor aliases to avoid", &|| {
            drop(x.interpolate(InterpolateOptions { size: Some(3.into()), align_corners: true, ..plain() }))
        });
        refused("grid_sample: Linear does not sample [1, 2, 5, 5] at [2, 3, 3, 2]", &|| {
            drop(x.grid_sample(&zeros(&[2, 3, 3, 2]), GridSampleOptions::default()))
        });
        refused("grid_sample: Cubic does not sample [1, 1, 2, 2, 2] at [1, 1, 1, 1, 3]", &|| {
            let options = GridSampleOptions { mode: GridMode::Cubic, ..Default::default() };
            drop(zeros(&[1, 1, 2, 2, 2]).grid_sample(&zeros(&[1, 1, 1, 1, 3]), options))
        });
        refused("affine_grid: maps [1, 2, 2] do not fit a result of [1, 1, 4, 4]", &|| {
            drop(zeros(&[1, 2, 2]).affine_grid(&[1, 1, 4, 4], false))
        });
        refused("pixel_shuffle: blocks of 2 x 2 do not divide the channels of [1, 2, 5, 5]", &|| {
            drop(x.pixel_shuffle(2))
        });
        refused("pixel_unshuffle: blocks of 2 x 2 do not divide the places of [1, 2, 5, 5]", &|| {
            drop(x.pixel_unshuffle(2))
        });
        refused("pixel_shuffle: [4] has no channels, rows and columns", &|| drop(zeros(&[4]).pixel_shuffle(2)));
        refused("channel_shuffle: 3 groups do not divide the channels of [1, 2, 5, 5]", &|| drop(x.channel_shuffle(3)));
    }
}
