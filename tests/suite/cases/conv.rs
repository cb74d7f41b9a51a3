//! Convolution, pooling, resampling.

use super::{ANY, Case};
use wgrad::{
    AvgPoolOptions, ConvOptions, ConvTransposeOptions, GridMode, GridPadding, GridSampleOptions, Im2colOptions,
    InterpolateMode, InterpolateOptions, MaxPoolOptions, MaxUnpoolOptions, Padding, Tensor,
};

pub fn cases() -> Vec<Case> {
    [convolutions(), pools(), resampling()].into_iter().flatten().collect()
}

fn convolutions() -> Vec<Case> {
    let conv = |name: &str, x: &[usize], w: &[usize], f: fn(&[Tensor]) -> Tensor| {
        let bias = if name.contains("transpose") { w[1] } else { w[0] };
        Case::new(name, &[(x, ANY), (w, ANY), (&[bias], ANY)], move |x| (f(x) * 0.2).sin())
    };
    vec![
        conv("conv1d", &[2, 3, 7], &[4, 3, 3], |x| x[0].conv1d(&x[1], &x[2], ConvOptions::default())),
        conv("conv1d same", &[3, 6], &[2, 3, 4], |x| {
            x[0].conv1d(&x[1], &x[2], ConvOptions { padding: Padding::Same, ..Default::default() })
        }),
        conv("conv1d strided and dilated, wider than its windows", &[1, 2, 8], &[4, 1, 2], |x| {
            let options = ConvOptions {
                stride: 3.into(),
                padding: 4.into(),
                dilation: 2.into(),
                groups: 2,
                ..Default::default()
            };
            x[0].conv1d(&x[1], &x[2], options)
        }),
        conv("conv2d", &[2, 2, 5, 4], &[3, 2, 2, 3], |x| {
            x[0].conv2d(&x[1], &x[2], ConvOptions { padding: [1, 2].into(), ..Default::default() })
        }),
        conv("conv2d by depth", &[1, 3, 4, 4], &[3, 1, 3, 3], |x| {
            x[0].conv2d(&x[1], &x[2], ConvOptions { padding: 1.into(), groups: 3, ..Default::default() })
        }),
        conv("conv2d strided", &[1, 2, 6, 5], &[2, 2, 3, 2], |x| {
            let x0 = x[0].transpose(2, 3);
            x0.conv2d(&x[1], &x[2], ConvOptions { stride: 2.into(), padding: [1, 0].into(), ..Default::default() })
        }),
        conv("conv3d", &[1, 2, 3, 3, 4], &[2, 2, 2, 2, 2], |x| x[0].conv3d(&x[1], &x[2], ConvOptions::default())),
        conv("conv_transpose1d", &[2, 3, 4], &[3, 2, 3], |x| {
            let options = ConvTransposeOptions {
                stride: 2.into(),
                padding: 1.into(),
                output_padding: 1.into(),
                ..Default::default()
            };
            x[0].conv_transpose1d(&x[1], &x[2], options)
        }),
        conv("conv_transpose3d", &[1, 2, 2, 2, 3], &[2, 2, 2, 1, 2], |x| {
            x[0].conv_transpose3d(&x[1], &x[2], ConvTransposeOptions { stride: 2.into(), ..Default::default() })
        }),
        conv("conv_transpose2d of stride 1", &[1, 2, 3, 4], &[2, 3, 2, 2], |x| {
            x[0].conv_transpose2d(&x[1], &x[2], ConvTransposeOptions { padding: 1.into(), ..Default::default() })
        }),
        conv("conv_transpose2d with more output than stride", &[1, 1, 3, 3], &[1, 2, 2, 2], |x| {
            let options =
                ConvTransposeOptions { dilation: 3.into(), output_padding: [2, 0].into(), ..Default::default() };
            x[0].conv_transpose2d(&x[1], &x[2], options)
        }),
        Case::new("conv2d without a bias", &[(&[3, 4, 4], ANY), (&[2, 3, 2, 2], ANY)], |x| {
            x[0].conv2d(&x[1], None, ConvOptions::default()).sin()
        }),
        Case::new("im2col", &[(&[2, 2, 5, 4], ANY)], |x| {
            x[0].im2col([2, 3], Im2colOptions { padding: 1.into(), stride: [1, 2].into(), ..Default::default() }).sin()
        }),
        Case::new("col2im", &[(&[2, 8, 9], ANY)], |x| {
            x[0].col2im(5, 2, Im2colOptions { dilation: 2.into(), ..Default::default() }).sin()
        }),
    ]
}

fn pools() -> Vec<Case> {
    vec![
        Case::new("max_pool1d", &[(&[2, 3, 8], ANY)], |x| {
            x[0].max_pool1d(3, MaxPoolOptions { stride: Some(2.into()), padding: 1.into(), ..Default::default() }).sin()
        }),
        Case::new("max_pool2d", &[(&[1, 2, 5, 6], ANY)], |x| {
            let options = MaxPoolOptions { stride: Some(1.into()), dilation: [1, 2].into(), ..Default::default() };
            x[0].max_pool2d([2, 3], options).sin()
        }),
        Case::new("max_pool3d in ceil mode", &[(&[2, 3, 4, 5], ANY)], |x| {
            x[0].max_pool3d(2, MaxPoolOptions { ceil_mode: true, ..Default::default() }).sin()
        }),
        Case::new("avg_pool1d", &[(&[2, 3, 8], ANY)], |x| x[0].avg_pool1d(3, AvgPoolOptions::default()).sin()),
        Case::new("avg_pool2d", &[(&[1, 2, 6, 7], ANY)], |x| {
            let options = AvgPoolOptions {
                stride: Some(2.into()),
                padding: 1.into(),
                ceil_mode: true,
                count_include_pad: false,
                ..Default::default()
            };
            x[0].avg_pool2d(3, options).sin()
        }),
        Case::new("avg_pool3d by another divisor", &[(&[1, 3, 4, 3], ANY)], |x| {
            x[0].avg_pool3d(2, AvgPoolOptions { divisor_override: Some(3), ..Default::default() }).sin()
        }),
        Case::new("lp_pool1d", &[(&[2, 5], (0.5, 2.0))], |x| x[0].lp_pool1d(2.0, 2, Some(1.into()), true).sin()),
        Case::new("lp_pool3d", &[(&[1, 2, 3, 4], (0.5, 2.0))], |x| x[0].lp_pool3d(3.0, 2, None, false).sin()),
        Case::new("lp_pool2d", &[(&[1, 2, 4, 4], (0.5, 2.0))], |x| x[0].lp_pool2d(3.0, 2, None, false).sin()),
        Case::new("adaptive_avg_pool2d", &[(&[1, 2, 5, 7], ANY)], |x| x[0].adaptive_avg_pool2d([2, 3]).sin()),
        Case::new("adaptive_avg_pool1d", &[(&[2, 7], ANY)], |x| x[0].adaptive_avg_pool1d(3).sin()),
        Case::new("adaptive_avg_pool3d", &[(&[1, 3, 5, 4], ANY)], |x| x[0].adaptive_avg_pool3d([2, 3, 4]).sin()),
        Case::new("adaptive_max_pool1d", &[(&[2, 7], ANY)], |x| {
            x[0].adaptive_max_pool1d(3).sin() * x[0].adaptive_max_pool1d_with_indices(3).0
        }),
        Case::new("adaptive_max_pool2d", &[(&[2, 5, 7], ANY)], |x| {
            x[0].adaptive_max_pool2d([3, -1]).sin() * x[0].adaptive_max_pool2d_with_indices([3, -1]).0
        }),
        Case::new("adaptive_max_pool3d", &[(&[1, 3, 5, 4], ANY)], |x| {
            x[0].adaptive_max_pool3d([2, 3, 1]).sin() * x[0].adaptive_max_pool3d_with_indices([2, 3, 1]).0
        }),
        Case::new("max_unpool1d", &[(&[2, 6], ANY)], |x| {
            let (y, indices) = x[0].max_pool1d_with_indices(2, MaxPoolOptions::default());
            y.max_unpool1d(&indices, 2, MaxUnpoolOptions::default()).sin()
        }),
        Case::new("max_unpool3d", &[(&[1, 4, 2, 4], ANY)], |x| {
            let (y, indices) = x[0].max_pool3d_with_indices(2, MaxPoolOptions::default());
            y.max_unpool3d(&indices, 2, MaxUnpoolOptions::default()).sin()
        }),
        Case::new("max_unpool2d", &[(&[1, 2, 4, 4], ANY)], |x| {
            let (y, indices) = x[0].max_pool2d_with_indices(2, MaxPoolOptions::default());
            y.max_unpool2d(&indices, 2, MaxUnpoolOptions::default()).sin()
        }),
    ]
}

fn resampling() -> Vec<Case> {
    let resampled = |name: &str, shape: &[usize], options: InterpolateOptions| {
        Case::new(name, &[(shape, ANY)], move |x| x[0].interpolate(options.clone()).sin())
    };
    let to = |size: &[usize], mode| InterpolateOptions { size: Some(size.into()), mode, ..Default::default() };
    let sampled = |name: &str, x: &[usize], grid: &[usize], mode, padding, align_corners| {
        let options = GridSampleOptions { mode, padding, align_corners };
        Case::new(name, &[(x, ANY), (grid, (-1.4, 1.4))], move |x| x[0].grid_sample(&x[1], options).sin())
    };
    let (plane, places) = ([1, 2, 4, 5], [1, 2, 3, 2]);
    vec![
        resampled("interpolate nearest", &[1, 2, 5, 4], to(&[3, 7], InterpolateMode::Nearest)),
        resampled("interpolate nearest-exact", &[1, 2, 5], to(&[7], InterpolateMode::NearestExact)),
        resampled("interpolate linear", &[2, 1, 4, 3], to(&[7, 2], InterpolateMode::Linear)),
        resampled(
            "interpolate linear to corners",
            &[1, 2, 2, 3, 4],
            InterpolateOptions { align_corners: true, ..to(&[3, 2, 5], InterpolateMode::Linear) },
        ),
        resampled(
            "interpolate cubic by factors",
            &[1, 2, 3, 5],
            InterpolateOptions {
                scale_factor: Some(vec![2.3, 0.7]),
                mode: InterpolateMode::Cubic,
                ..Default::default()
            },
        ),
        resampled("interpolate area", &[1, 1, 5, 4], to(&[2, 3], InterpolateMode::Area)),
        resampled(
            "interpolate smoothed",
            &[1, 1, 7, 6],
            InterpolateOptions { antialias: true, ..to(&[3, 4], InterpolateMode::Cubic) },
        ),
        sampled("grid_sample", &plane, &places, GridMode::Linear, GridPadding::Zeros, false),
        sampled("grid_sample to the border", &plane, &places, GridMode::Linear, GridPadding::Border, true),
        sampled("grid_sample in mirrors", &plane, &places, GridMode::Linear, GridPadding::Reflection, false),
        sampled("grid_sample of corners in mirrors", &plane, &places, GridMode::Cubic, GridPadding::Reflection, true),
        sampled("grid_sample cubic", &plane, &places, GridMode::Cubic, GridPadding::Zeros, false),
        sampled("grid_sample nearest", &plane, &places, GridMode::Nearest, GridPadding::Border, false),
        sampled("grid_sample in space", &[1, 1, 2, 3, 4], &[1, 1, 2, 2, 3], GridMode::Linear, GridPadding::Zeros, true),
        Case::new("affine_grid", &[(&[2, 2, 3], ANY)], |x| x[0].affine_grid(&[2, 1, 3, 2], false).sin()),
        Case::new("affine_grid of corners", &[(&[1, 3, 4], ANY)], |x| x[0].affine_grid(&[1, 1, 2, 1, 3], true).sin()),
        Case::new("pixel_shuffle", &[(&[2, 8, 2, 3], ANY)], |x| x[0].pixel_shuffle(2).sin()),
        Case::new("pixel_unshuffle", &[(&[3, 4, 6], ANY)], |x| x[0].pixel_unshuffle(2).sin()),
        Case::new("channel_shuffle", &[(&[1, 6, 3], ANY)], |x| x[0].channel_shuffle(2).sin()),
    ]
}
