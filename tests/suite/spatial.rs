//! Products, convolution, pooling and resampling where the cases of PyTorch do not reach: narrow floats, integers, nothing at
//! all, ties, and sizes that take other paths through the contraction.

use crate::common::on_every_device;
use wgrad::{
    AvgPoolOptions, ConvOptions, ConvTransposeOptions, DType, InterpolateMode, InterpolateOptions, MaxPoolOptions,
    Tensor,
};

#[test]
fn narrow_floats_are_computed_wide_and_rounded_once() {
    on_every_device(|dev| {
        let smooth =
            || InterpolateOptions { size: Some(7.into()), mode: InterpolateMode::Linear, ..Default::default() };
        let functions: [fn(&Tensor, &Tensor, InterpolateOptions) -> Tensor; 5] = [
            |x, w, _| x.conv2d(w, None, ConvOptions { padding: 1.into(), ..Default::default() }),
            |x, w, _| x.conv_transpose2d(w, None, ConvTransposeOptions { stride: 2.into(), ..Default::default() }),
            |x, _, _| x.avg_pool2d(3, AvgPoolOptions { padding: 1.into(), ..Default::default() }),
            |x, _, _| x.max_pool2d(2, MaxPoolOptions::default()),
            |x, _, options| x.interpolate(options),
        ];
        for dtype in [DType::F16, DType::BF16] {
            let (x, w) = (Tensor::rand([1, 2, 5, 5], dev).cast(dtype), Tensor::rand([2, 2, 3, 3], dev).cast(dtype));
            for f in functions {
                let narrow = f(&x, &w, smooth());
                let wide = f(&x.cast(DType::F32), &w.cast(DType::F32), smooth());
                assert_eq!((narrow.dtype(), narrow.shape()), (dtype, wide.shape()));
                assert_eq!(
                    narrow.cast(DType::F32).to_vec::<f32>()?,
                    wide.cast(dtype).cast(DType::F32).to_vec::<f32>()?
                );
            }
            let x = x.requires_grad_(true)?;
            x.conv2d(&w, None, ConvOptions::default()).sum().backward()?;
            assert_eq!(x.grad().unwrap().dtype(), dtype);
        }
        Ok(())
    });
}

#[test]
fn integers_multiply_exactly_and_wrap() {
    on_every_device(|dev| {
        let a = Tensor::new([[1, 2], [i32::MAX, -3]], dev);
        assert_eq!(a.matmul(&a.t()).to_vec::<i32>()?, [5, i32::MAX - 6, i32::MAX - 6, 10]);
        assert_eq!(Tensor::einsum("ij,jk->i", &[&a, &a]).to_vec::<i32>()?, [-5, 9]);
        let u = Tensor::new([[3u32, 4]], dev);
        assert_eq!(u.matmul(&u.t()).to_vec::<u32>()?, [25]);
        assert_eq!(a.trace().item()?, -2.0);
        let x = Tensor::new([[[1, 2, 3, -8]]], dev);
        let y = x.conv1d(&Tensor::new([[[1, -1]]], dev), None, ConvOptions { padding: 1.into(), ..Default::default() });
        assert_eq!(y.to_vec::<i32>()?, [-1, -1, -1, 11, -8]);
        assert_eq!(x.avg_pool1d(2, AvgPoolOptions::default()).to_vec::<i32>()?, [1, -2]);
        assert_eq!(
            x.max_pool1d(3, MaxPoolOptions { padding: 1.into(), ..Default::default() }).to_vec::<i32>()?,
            [2, 3]
        );
        Ok(())
    });
}

#[test]
fn nothing_gives_nothing_and_sums_of_nothing_are_zero() {
    on_every_device(|dev| {
        let w = Tensor::ones([3, 2, 2, 2], dev).requires_grad_(true)?;
        let y = Tensor::ones([0, 2, 4, 4], dev).conv2d(&w, None, ConvOptions::default());
        assert_eq!(y.shape(), [0, 3, 3, 3]);
        y.sum().backward()?;
        assert_eq!(w.grad().unwrap().to_vec::<f32>()?, [0.0; 24]);
        assert_eq!(Tensor::ones([0, 2, 4, 4], dev).max_pool2d(2, MaxPoolOptions::default()).shape(), [0, 2, 2, 2]);
        assert_eq!(Tensor::ones([0, 2, 4], dev).avg_pool1d(2, AvgPoolOptions::default()).shape(), [0, 2, 2]);
        let (a, b) = (Tensor::zeros([2, 0], dev), Tensor::zeros([0, 3], dev));
        assert_eq!(Tensor::einsum("ij,jk->ki", &[&a, &b]).to_vec::<f32>()?, [0.0; 6]);
        assert_eq!(a.tensordot(&b, 1).shape(), [2, 3]);
        assert_eq!(a.cdist(&Tensor::zeros([3, 0], dev), 2.0).to_vec::<f32>()?, [0.0; 6]);
        Ok(())
    });
}

#[test]
fn the_largest_of_a_window_is_the_first_and_nan_wins() {
    on_every_device(|dev| {
        let low = f64::NEG_INFINITY;
        let x = Tensor::new([[1.0, 1.0, f64::NAN, 5.0, low, low, 0.0]], dev).requires_grad_(true)?;
        let options = MaxPoolOptions { padding: 1.into(), ceil_mode: true, ..Default::default() };
        let (y, indices) = x.max_pool1d_with_indices(2, options);
        assert_eq!(indices.to_vec::<i32>()?, [0, 2, 3, 6]);
        let y = y.to_vec::<f32>()?;
        assert!(y[1].is_nan());
        assert_eq!((y[0], y[2], y[3]), (1.0, 5.0, 0.0));
        let windows = MaxPoolOptions { stride: Some(1.into()), ..Default::default() };
        let (y, _) = x.max_pool1d_with_indices(2, windows);
        y.slice(1, 4, None, 1).sum().backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
        Ok(())
    });
}

/// Convolution of any size against loops.
#[test]
fn convolution_is_what_its_loops_say() {
    on_every_device(|dev| {
        // Many images of few places are one batch of columns; few images of many places are a batch of products.
        for (n, len) in [(9, 4), (2, 70)] {
            let (x, w) = (Tensor::rand([n, 3, len], dev), Tensor::rand([4, 3, 3], dev));
            let y = x.conv1d(&w, None, ConvOptions { padding: 1.into(), ..Default::default() });
            let (x, w, y) = (x.to_vec::<f32>()?, w.to_vec::<f32>()?, y.to_vec::<f32>()?);
            for (i, &y) in y.iter().enumerate() {
                let (image, channel, place) = (i / (4 * len), i / len % 4, i % len);
                let mut sum = 0.0;
                for c in 0..3 {
                    for k in 0..3 {
                        let at = (place + k).wrapping_sub(1);
                        if at < len {
                            sum += x[(image * 3 + c) * len + at] * w[(channel * 3 + c) * 3 + k];
                        }
                    }
                }
                assert!((y - sum).abs() < 1e-5, "{y} instead of {sum} at {i}");
            }
        }
        Ok(())
    });
}

#[test]
fn what_no_window_reaches_holds_the_bias() {
    on_every_device(|dev| {
        let x = Tensor::ones([1, 1, 1], dev).requires_grad_(true)?;
        let (w, bias) = (Tensor::ones([1, 2, 1], dev).requires_grad_(true)?, Tensor::new([1.0, 2.0], dev));
        let bias = bias.requires_grad_(true)?;
        let options = ConvTransposeOptions {
            padding: 1.into(),
            output_padding: 3.into(),
            dilation: 4.into(),
            ..Default::default()
        };
        // All that is placed lies in the padding that is cut off.
        let y = x.conv_transpose1d(&w, Some(&bias), options.clone());
        assert_eq!((y.shape(), y.to_vec::<f32>()?), (&[1, 2, 2][..], vec![1.0, 1.0, 2.0, 2.0]));
        y.sum().backward()?;
        let gradient = |x: &Tensor| x.grad().unwrap().to_vec::<f32>().unwrap();
        assert_eq!((gradient(&x), gradient(&w), gradient(&bias)), (vec![0.0], vec![0.0; 2], vec![2.0; 2]));
        let lines = Tensor::arange(1, 3, 1, (dev, DType::F32)).reshape([1, 1, 2]);
        let y = lines.conv_transpose1d(&w, Some(&bias), ConvTransposeOptions { output_padding: 2.into(), ..options });
        assert_eq!(y.to_vec::<f32>()?, [3.0, 1.0, 4.0, 2.0]);
        Ok(())
    });
}

#[test]
fn the_last_nan_of_a_window_is_the_largest() {
    on_every_device(|dev| {
        let x = Tensor::new([[1.0, f64::NAN, 3.0, f64::NAN, 2.0, 5.0]], dev).requires_grad_(true)?;
        let each = || MaxPoolOptions { stride: Some(1.into()), ..Default::default() };
        let (y, places) = x.max_pool1d_with_indices(3, each());
        assert_eq!(places.to_vec::<i32>()?, [1, 3, 3, 3]);
        assert!(y.isnan().all().item()? == 1.0);
        y.sum().backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [0.0, 1.0, 0.0, 3.0, 0.0, 0.0]);
        assert_eq!(x.adaptive_max_pool1d_with_indices(2).1.to_vec::<i32>()?, [1, 3]);
        let (_, places) = x.reshape([1, 2, 3]).max_pool2d_with_indices(2, each());
        assert_eq!(places.to_vec::<i32>()?, [3, 1]);
        let nothing = Tensor::full([1, 2, 2], f64::NEG_INFINITY, dev).max_pool2d_with_indices(2, each());
        assert_eq!(nothing.1.to_vec::<i32>()?, [0]);
        Ok(())
    });
}
