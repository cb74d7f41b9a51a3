//! Convolution, pooling, resampling.

use super::super::call::{Stop, Value, unsupported};
use super::{Answer, Args, one};
use wgrad::{
    AvgPoolOptions, ConvOptions, ConvTransposeOptions, GridMode, GridPadding, GridSampleOptions, Im2colOptions,
    InterpolateMode, InterpolateOptions, MaxPoolOptions, MaxUnpoolOptions, Padding, PerDim, Tensor,
};

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
        "conv1d" | "conv2d" | "conv3d" => {
            let (x, w, bias) = (a.tensor()?, a.tensor()?, optional(a, "bias")?);
            let stride = per_dim(a, "stride", 1)?;
            let padding = match a.next("padding") {
                Value::Text(how) if how == "same" => Padding::Same,
                Value::Text(_) => Padding::Valid,
                given => Padding::Each(numbers(given, 0)?),
            };
            let (dilation, groups) = (per_dim(a, "dilation", 1)?, a.number("groups", 1.0)? as usize);
            let options = ConvOptions { stride, padding, dilation, groups, ..Default::default() };
            match function {
                "conv1d" => x.conv1d(&w, bias.as_ref(), options),
                "conv2d" => x.conv2d(&w, bias.as_ref(), options),
                _ => x.conv3d(&w, bias.as_ref(), options),
            }
        }
        "conv_transpose1d" | "conv_transpose2d" | "conv_transpose3d" => {
            let (x, w, bias) = (a.tensor()?, a.tensor()?, optional(a, "bias")?);
            let options = ConvTransposeOptions {
                stride: per_dim(a, "stride", 1)?,
                padding: per_dim(a, "padding", 0)?,
                output_padding: per_dim(a, "output_padding", 0)?,
                groups: a.number("groups", 1.0)? as usize,
                dilation: per_dim(a, "dilation", 1)?,
            };
            match function {
                "conv_transpose1d" => x.conv_transpose1d(&w, bias.as_ref(), options),
                "conv_transpose2d" => x.conv_transpose2d(&w, bias.as_ref(), options),
                _ => x.conv_transpose3d(&w, bias.as_ref(), options),
            }
        }
        // `x.unfold(dim, size, step)` is another function, with three integers.
        "unfold" if a.positional.len() + a.named.len() != 4 => {
            let (x, kernel) = (a.tensor()?, per_dim(a, "kernel_size", 1)?);
            x.im2col(kernel, im2col(a)?)
        }
        "fold" => {
            let (x, output) = (a.tensor()?, per_dim(a, "output_size", 1)?);
            let kernel = per_dim(a, "kernel_size", 1)?;
            x.col2im(output, kernel, im2col(a)?)
        }
        "max_pool1d" | "max_pool2d" | "max_pool3d" => {
            let (x, kernel) = (a.tensor()?, per_dim(a, "kernel_size", 1)?);
            let options = MaxPoolOptions {
                stride: stride(a)?,
                padding: per_dim(a, "padding", 0)?,
                dilation: per_dim(a, "dilation", 1)?,
                ceil_mode: a.flag("ceil_mode"),
            };
            let (y, indices) = match function {
                "max_pool1d" => x.max_pool1d_with_indices(kernel, options),
                "max_pool2d" => x.max_pool2d_with_indices(kernel, options),
                _ => x.max_pool3d_with_indices(kernel, options),
            };
            return with_indices(a, y, indices);
        }
        "avg_pool1d" | "avg_pool2d" | "avg_pool3d" => {
            let (x, kernel) = (a.tensor()?, per_dim(a, "kernel_size", 1)?);
            let options = AvgPoolOptions {
                stride: stride(a)?,
                padding: per_dim(a, "padding", 0)?,
                ceil_mode: a.flag("ceil_mode"),
                count_include_pad: !matches!(a.next("count_include_pad"), Value::Bool(false)),
                divisor_override: match a.number("divisor_override", 0.0)? as i32 {
                    0 => None,
                    n => Some(n),
                },
            };
            match function {
                "avg_pool1d" => x.avg_pool1d(kernel, options),
                "avg_pool2d" => x.avg_pool2d(kernel, options),
                _ => x.avg_pool3d(kernel, options),
            }
        }
        "adaptive_avg_pool1d" => a.tensor()?.adaptive_avg_pool1d(sizes(a)?),
        "adaptive_avg_pool2d" => a.tensor()?.adaptive_avg_pool2d(sizes(a)?),
        "adaptive_avg_pool3d" => a.tensor()?.adaptive_avg_pool3d(sizes(a)?),
        "adaptive_max_pool1d" | "adaptive_max_pool2d" | "adaptive_max_pool3d" => {
            let (x, sizes) = (a.tensor()?, sizes(a)?);
            let (y, indices) = match function {
                "adaptive_max_pool1d" => x.adaptive_max_pool1d_with_indices(sizes),
                "adaptive_max_pool2d" => x.adaptive_max_pool2d_with_indices(sizes),
                _ => x.adaptive_max_pool3d_with_indices(sizes),
            };
            return with_indices(a, y, indices);
        }
        "lp_pool1d" | "lp_pool2d" | "lp_pool3d" => {
            let (x, p, kernel) = (a.tensor()?, a.number("norm_type", 2.0)?, per_dim(a, "kernel_size", 1)?);
            let (stride, ceil) = (stride(a)?, a.flag("ceil_mode"));
            match function {
                "lp_pool1d" => x.lp_pool1d(p, kernel, stride, ceil),
                "lp_pool2d" => x.lp_pool2d(p, kernel, stride, ceil),
                _ => x.lp_pool3d(p, kernel, stride, ceil),
            }
        }
        "max_unpool1d" | "max_unpool2d" | "max_unpool3d" => {
            let (x, indices, kernel) = (a.tensor()?, a.tensor()?, per_dim(a, "kernel_size", 1)?);
            let (stride, padding) = (stride(a)?, per_dim(a, "padding", 0)?);
            // The sizes may be those of the whole result.
            let dims = function["max_unpool".len()..][..1].parse().unwrap_or(0);
            let spatial = |sizes: Vec<isize>| sizes[sizes.len().saturating_sub(dims)..].to_vec();
            let output_size = a.ints("output_size")?.map(|sizes| PerDim::from(spatial(sizes)));
            let options = MaxUnpoolOptions { stride, padding, output_size };
            match function {
                "max_unpool1d" => x.max_unpool1d(&indices, kernel, options),
                "max_unpool2d" => x.max_unpool2d(&indices, kernel, options),
                _ => x.max_unpool3d(&indices, kernel, options),
            }
        }
        "interpolate" | "upsample_nearest" => interpolate(a)?,
        "upsample_bilinear" => {
            a.named.insert("mode".into(), Value::Text("bilinear".into()));
            a.named.insert("align_corners".into(), Value::Bool(true));
            interpolate(a)?
        }
        "grid_sample" => {
            let (x, grid) = (a.tensor()?, a.tensor()?);
            let mode = match text(a, "mode", "bilinear")?.as_str() {
                "nearest" => GridMode::Nearest,
                "bicubic" => GridMode::Cubic,
                _ => GridMode::Linear,
            };
            let padding = match text(a, "padding_mode", "zeros")?.as_str() {
                "border" => GridPadding::Border,
                "reflection" => GridPadding::Reflection,
                _ => GridPadding::Zeros,
            };
            x.grid_sample(&grid, GridSampleOptions { mode, padding, align_corners: a.flag("align_corners") })
        }
        "affine_grid" => {
            let (theta, size) = (a.tensor()?, super::shape(a, "size")?);
            let size: Vec<usize> = size.iter().map(|&n| n as usize).collect();
            theta.affine_grid(&size, a.flag("align_corners"))
        }
        "pixel_shuffle" => a.tensor()?.pixel_shuffle(a.int("upscale_factor")? as usize),
        "pixel_unshuffle" => a.tensor()?.pixel_unshuffle(a.int("downscale_factor")? as usize),
        "channel_shuffle" => a.tensor()?.channel_shuffle(a.int("groups")? as usize),
        _ => return Ok(None),
    })
}

fn with_indices(a: &mut Args, y: Tensor, indices: Tensor) -> Answer {
    Ok(Some(if a.flag("return_indices") { vec![y, indices] } else { vec![y] }))
}

fn optional(a: &mut Args, name: &str) -> Result<Option<Tensor>, Stop> {
    match a.next(name) {
        Value::None => Ok(None),
        Value::Tensor(x) => Ok(Some(x)),
        _ => unsupported(format!("{name} that is no tensor")),
    }
}

fn text(a: &mut Args, name: &str, default: &str) -> Result<String, Stop> {
    match a.next(name) {
        Value::None => Ok(default.into()),
        Value::Text(text) => Ok(text),
        _ => unsupported(format!("{name} that is no text")),
    }
}

fn numbers(value: Value, default: isize) -> Result<PerDim, Stop> {
    match value {
        Value::None => Ok(default.into()),
        value => value.ints().map_or_else(|| unsupported("sizes that are no integers"), |x| Ok(x.into())),
    }
}

fn per_dim(a: &mut Args, name: &str, default: isize) -> Result<PerDim, Stop> {
    numbers(a.next(name), default)
}

/// The stride of a pool; PyTorch's default may also be an empty list.
fn stride(a: &mut Args) -> Result<Option<PerDim>, Stop> {
    Ok(a.ints("stride")?.filter(|stride| !stride.is_empty()).map(PerDim::from))
}

/// The sizes of an adaptive pool, where `None` keeps one.
fn sizes(a: &mut Args) -> Result<PerDim, Stop> {
    match a.next("output_size") {
        Value::List(items) => {
            let kept = |x: Value| if matches!(x, Value::None) { Value::Int(-1) } else { x };
            numbers(Value::List(items.into_iter().map(kept).collect()), 1)
        }
        value => numbers(value, 1),
    }
}

fn im2col(a: &mut Args) -> Result<Im2colOptions, Stop> {
    Ok(Im2colOptions {
        dilation: per_dim(a, "dilation", 1)?,
        padding: per_dim(a, "padding", 0)?,
        stride: per_dim(a, "stride", 1)?,
    })
}

fn interpolate(a: &mut Args) -> Result<Tensor, Stop> {
    let x = a.tensor()?;
    let size = a.ints("size")?.map(PerDim::from);
    let scale_factor = match a.next("scale_factor") {
        Value::None => None,
        Value::List(items) => Some(items.into_iter().map(float).collect::<Result<Vec<f64>, Stop>>()?),
        value => Some(vec![float(value)?]),
    };
    let mode = match text(a, "mode", "nearest")?.as_str() {
        "nearest" => InterpolateMode::Nearest,
        "nearest-exact" => InterpolateMode::NearestExact,
        "linear" | "bilinear" | "trilinear" => InterpolateMode::Linear,
        "bicubic" => InterpolateMode::Cubic,
        "area" => InterpolateMode::Area,
        other => return unsupported(format!("the mode {other}")),
    };
    let align_corners = a.flag("align_corners");
    let recompute_scale_factor = a.flag("recompute_scale_factor");
    let antialias = a.flag("antialias");
    let options = InterpolateOptions { size, scale_factor, mode, align_corners, recompute_scale_factor, antialias };
    Ok(x.interpolate(options))
}

fn float(value: Value) -> Result<f64, Stop> {
    match value {
        Value::Int(x) => Ok(x as f64),
        Value::Float(x) => Ok(x),
        _ => unsupported("a factor that is no number"),
    }
}
