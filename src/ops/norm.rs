//! Normalisation: elements shifted and scaled by the statistics of the group they belong to.
//!
//! All of them are one composite, [`standardised`], over different groups, followed by a weight and a bias.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::map::Arg;
use crate::shape::{Dims, Ints, sizes};
use crate::tensor::Tensor;
use crate::tensor::hole::escapes;
use crate::tensor::mode::{is_grad_enabled, no_grad};
use crate::tensor::node::Save;

/// What [`Tensor::batch_norm`] and [`Tensor::instance_norm_with`] take besides the input.
#[derive(Clone, Debug)]
pub struct BatchNormOptions {
    /// The running mean of each channel, changed in place in training.
    pub running_mean: Option<Tensor>,
    /// The running variance of each channel, changed in place in training.
    pub running_var: Option<Tensor>,
    /// A factor for each channel.
    pub weight: Option<Tensor>,
    /// A number added to each channel.
    pub bias: Option<Tensor>,
    /// Whether statistics are those of the input, and the running ones follow them; else the running ones are used.
    pub training: bool,
    /// How far the running statistics move towards the new ones: `r ← (1 - momentum) r + momentum s`, a number or a tensor
    /// of one. At the n-th batch `1 / n` makes them the average over all batches.
    pub momentum: Arg,
    /// Added to the variance.
    pub eps: f64,
}

impl Default for BatchNormOptions {
    fn default() -> BatchNormOptions {
        BatchNormOptions {
            running_mean: None,
            running_var: None,
            weight: None,
            bias: None,
            training: false,
            momentum: 0.1.into(),
            eps: 1e-5,
        }
    }
}

/// Mean and mean squared distance from it over `dims`, kept with size 1, and the distances; without `centred` the mean is 0.
#[track_caller]
fn statistics(x: &Tensor, dims: &[usize], centred: bool) -> (Option<Tensor>, Tensor, Tensor) {
    let mean = if centred { Some(x.mean_dim(dims, true)) } else { None };
    // Two passes, the mean first: the difference of mean square and squared mean loses all digits.
    let d = shifted(x, &mean);
    let var = (&d * &d).mean_dim(dims, true);
    (mean, var, d)
}

#[track_caller]
fn shifted(x: &Tensor, mean: &Option<Tensor>) -> Tensor {
    match mean {
        Some(mean) => x - mean,
        None => x.clone(),
    }
}

/// `y = (x - mean) / √(var + eps)` over `dims`, the mean left out unless `centred`; and both statistics, without a place
/// in the graph. Derivative: `(g - mean g - y mean (g y)) / √(var + eps)`, `mean g` left out unless `centred`.
#[track_caller]
fn standardised(
    name: &'static str,
    x: &Tensor,
    dims: &[usize],
    eps: f64,
    centred: bool,
) -> (Tensor, Option<Tensor>, Tensor) {
    let (mean, var, d) = {
        let _unrecorded = no_grad();
        statistics(x, dims, centred)
    };
    let (over, kept) = (Dims::from_slice(dims), (mean.clone(), var.clone()));
    // Made again in backward: the result may be changed in place, as in PyTorch.
    let standard = move |x: &Tensor| {
        // Recorded anew where their own derivatives are asked for.
        if is_grad_enabled() {
            let (_, var, d) = statistics(x, &over, centred);
            return (d, (var + eps).rsqrt());
        }
        (shifted(x, &kept.0), (&kept.1 + eps).rsqrt())
    };
    let (again, over) = (standard.clone(), Dims::from_slice(dims));
    let rule = move |call: crate::tensor::node::Call| {
        let (g, (d, scale)) = (call.g, again(&call.saved[0]));
        let along = g - &d * ((g * &d).mean_dim(&over[..], true) * scale.square());
        let along = if centred { along - g.mean_dim(&over[..], true) } else { along };
        vec![Some(along * scale)]
    };
    let definition = || {
        let (d, scale) = if is_grad_enabled() { standard(x) } else { (d, (&var + eps).rsqrt()) };
        d * scale
    };
    let y = composite(name, &[x], &[Save::Input(x)], definition, rule);
    (y, mean, var)
}

/// `y w + b`, with both read in the shape `like`; they must have the shape `expected`.
#[track_caller]
fn affine(op: &str, y: Tensor, w: Option<&Tensor>, b: Option<&Tensor>, expected: &[usize], like: &[usize]) -> Tensor {
    for (what, x) in [("weight", w), ("bias", b)] {
        let Some(x) = x else { continue };
        expect_shape(op, what, x, expected);
        y.expect_same_device(op, x);
    }
    let y = match w {
        Some(w) => y * w.wide().reshape(like),
        None => y,
    };
    match b {
        Some(b) => y + b.wide().reshape(like),
        None => y,
    }
}

#[track_caller]
fn expect_shape(op: &str, what: &str, x: &Tensor, expected: &[usize]) {
    if x.shape() != expected || !x.dtype().is_float() {
        misuse(op, format!("the {what} must hold floats of shape {expected:?}, not {} of {:?}", x.dtype(), x.shape()));
    }
}

impl Tensor {
    /// `y = (x - mean) / √(var + eps) · w + b` over the last dimensions, which have the shape `normalized_shape`, as do
    /// `w` and `b`. Derivative: `(h - mean h - z mean (h z)) / √(var + eps)`, where `h = g w` and `z` is what `w` meets.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::new([[1.0, 3.0], [5.0, 5.0]], &Device::cpu()).layer_norm(2, None, None, 0.0001);
    /// assert!((y.narrow(0, 0, 1) - Tensor::new([-1.0, 1.0], &Device::cpu())).abs().max().item()? < 1e-4);
    /// assert_eq!(y.select(0, 1).to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the input does not end in `normalized_shape`, a weight or bias has another shape, or elements are no floats.
    ///
    /// Source: [torch.nn.functional.layer_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html).
    #[track_caller]
    pub fn layer_norm(&self, normalized_shape: impl Ints, w: Option<&Tensor>, b: Option<&Tensor>, eps: f64) -> Tensor {
        if let Some(x) = self.widened("layer_norm") {
            return x.layer_norm(normalized_shape, w, b, eps);
        }
        let (shape, dims) = self.last_dims("layer_norm", normalized_shape);
        let (y, ..) = standardised("NativeLayerNormBackward0", &self.wide(), &dims, eps, true);
        affine("layer_norm", y, w, b, &shape, &shape).cast(self.dtype())
    }

    /// `y = x / √(mean x² + eps) · w` over the last dimensions, as [`Tensor::layer_norm`]; without `eps`, the distance
    /// from 1 to the next number of the dtype is taken. Derivative: `(h - z mean (h z)) / √(mean x² + eps)`, `h = g w`.
    ///
    /// # Panics
    /// As [`Tensor::layer_norm`].
    ///
    /// Source: [torch.nn.functional.rms_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.rms_norm.html).
    #[track_caller]
    pub fn rms_norm(&self, normalized_shape: impl Ints, w: Option<&Tensor>, eps: impl Into<Option<f64>>) -> Tensor {
        let (shape, dims) = self.last_dims("rms_norm", normalized_shape);
        let eps = eps.into().unwrap_or(self.dtype().epsilon());
        let (y, ..) = standardised("FusedRmsNormBackward0", &self.wide(), &dims, eps, false);
        affine("rms_norm", y, w, None, &shape, &shape).cast(self.dtype())
    }

    #[track_caller]
    fn last_dims(&self, op: &str, normalized_shape: impl Ints) -> (Dims, Dims) {
        self.expect_float(op);
        let shape = sizes(op, normalized_shape);
        if shape.is_empty() || !self.shape().ends_with(&shape) {
            misuse(op, format!("the input of shape {:?} does not end in {:?}", self.shape(), shape.as_slice()));
        }
        let dims = (self.rank() - shape.len()..self.rank()).collect();
        (shape, dims)
    }

    /// `y = (x - mean) / √(var + eps) · w + b` for each channel, which is dimension 1: over the batch in training, by the
    /// running statistics otherwise. Derivative in training as of [`Tensor::layer_norm`], otherwise `w / √(var + eps)`.
    ///
    /// Training divides by n and stores in `running_var` a variance divided by n - 1.
    ///
    /// ```
    /// use wgrad::{BatchNormOptions, Device, Tensor};
    /// let dev = Device::cpu();
    /// let (mean, var) = (Tensor::zeros([1], &dev), Tensor::ones([1], &dev));
    /// let options = BatchNormOptions {
    ///     running_mean: Some(mean.clone()),
    ///     running_var: Some(var.clone()),
    ///     training: true,
    ///     ..Default::default()
    /// };
    /// Tensor::new([[1.0], [3.0]], &dev).batch_norm(options);
    /// assert_eq!((mean.item()? as f32, var.item()? as f32), (0.2, 1.1));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are no channels, a channel has one element in training, statistics, weight or bias have not one element
    /// for each channel, running statistics are missing outside training, or elements are no floats.
    ///
    /// Source: [torch.nn.functional.batch_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html).
    #[track_caller]
    pub fn batch_norm(&self, options: BatchNormOptions) -> Tensor {
        let op = "batch_norm";
        if *self.shape() == [0] {
            return self.copy();
        }
        let channels = self.channels(op, 2);
        let mut like = Dims::from_elem(1, self.rank());
        like[1] = channels;
        let x = self.wide();
        options.expect_statistics(op, channels);
        let y = if options.training {
            let dims: Dims = (0..self.rank()).filter(|&d| d != 1).collect();
            let n = self.numel() / channels.max(1);
            if n == 1 {
                misuse(op, format!("training needs more than one element for each channel of {:?}", self.shape()));
            }
            let (y, mean, var) = standardised("NativeBatchNormBackward0", &x, &dims, options.eps, true);
            options.follow(op, mean.expect("centred"), var, n, &[channels]);
            y
        } else {
            options.apply_running(op, &x, &like)
        };
        affine(op, y, options.weight.as_ref(), options.bias.as_ref(), &[channels], &like).cast(self.dtype())
    }

    /// `y = (x - mean) / √(var + eps)` over all dimensions but the first two: each sample's channels by themselves.
    /// Derivative as of [`Tensor::layer_norm`].
    ///
    /// # Panics
    /// As [`Tensor::instance_norm_with`].
    #[track_caller]
    pub fn instance_norm(&self, eps: f64) -> Tensor {
        self.instance_norm_with(BatchNormOptions { training: true, eps, ..Default::default() })
    }

    /// [`Tensor::instance_norm`] with weight, bias and running statistics for each channel, dimension 1. Statistics are
    /// those of the input in training and where no running ones are given; running ones follow the mean over the batch.
    ///
    /// # Panics
    /// If a channel of a sample has one element and its statistics are asked for, or as [`Tensor::batch_norm`].
    ///
    /// Source: [torch.nn.functional.instance_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.instance_norm.html).
    #[track_caller]
    pub fn instance_norm_with(&self, options: BatchNormOptions) -> Tensor {
        let op = "instance_norm";
        let channels = self.channels(op, 2);
        let mut like = Dims::from_elem(1, self.rank());
        like[1] = channels;
        let x = self.wide();
        let running = options.running_mean.is_some() || options.running_var.is_some();
        if running {
            options.expect_statistics(op, channels);
        }
        let y = if options.training || !running {
            let n: usize = self.shape()[2..].iter().product();
            if n == 1 {
                misuse(op, format!("statistics need more than one element for each channel of {:?}", self.shape()));
            }
            let dims: Dims = (2..self.rank()).collect();
            let (y, mean, var) = standardised("NativeBatchNormBackward0", &x, &dims, options.eps, true);
            if self.numel() > 0 {
                let over_batch = |s: Tensor| s.mean_dim(0, true);
                options.follow(op, over_batch(mean.expect("centred")), over_batch(var), n, &[channels]);
            }
            y
        } else {
            options.apply_running(op, &x, &like)
        };
        affine(op, y, options.weight.as_ref(), options.bias.as_ref(), &[channels], &like).cast(self.dtype())
    }

    /// `y = (x - mean) / √(var + eps) · w + b` over each sample's groups of channels (dimension 1); `w` and `b` have one
    /// element for each channel. Derivative as of [`Tensor::layer_norm`].
    ///
    /// # Panics
    /// If the groups do not divide the channels, or a weight or bias has not one element for each channel.
    ///
    /// Source: [torch.nn.functional.group_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.group_norm.html).
    #[track_caller]
    pub fn group_norm(&self, groups: usize, w: Option<&Tensor>, b: Option<&Tensor>, eps: f64) -> Tensor {
        if let Some(x) = self.widened("group_norm") {
            return x.group_norm(groups, w, b, eps);
        }
        let channels = self.channels("group_norm", 2);
        if groups == 0 || !channels.is_multiple_of(groups) {
            misuse("group_norm", format!("{groups} groups do not divide {channels} channels of {:?}", self.shape()));
        }
        let mut like = Dims::from_elem(1, self.rank());
        like[1] = channels;
        let samples = self.shape()[0];
        let size = if self.numel() == 0 { 0 } else { self.numel() / (samples * groups) };
        let x = self.wide().reshape([samples, groups, size]);
        let (y, ..) = standardised("NativeGroupNormBackward0", &x, &[2], eps, true);
        affine("group_norm", y.reshape(self.shape()), w, b, &[channels], &like).cast(self.dtype())
    }

    /// `y = x / (k + α mean x²)^β`, the mean over `size` channels (dimension 1) around each, zeros beyond the ends.
    ///
    /// # Panics
    /// If there are no channels, or `size` is 0.
    ///
    /// Source: [torch.nn.functional.local_response_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.local_response_norm.html).
    #[track_caller]
    pub fn local_response_norm(&self, size: usize, alpha: f64, beta: f64, k: f64) -> Tensor {
        let channels = self.channels("local_response_norm", 3);
        if let Some(x) = self.widened("local_response_norm") {
            return x.local_response_norm(size, alpha, beta, k);
        }
        if self.numel() == 0 {
            return self.copy();
        }
        if size == 0 {
            misuse("local_response_norm", format!("a window of 0 channels over {:?}", self.shape()));
        }
        let x = self.wide();
        let mut beyond = Dims::from_slice(self.shape());
        let mut zeros = |n: usize| {
            beyond[1] = n;
            Tensor::zeros(&beyond[..], (&self.device(), x.dtype()))
        };
        let padded = Tensor::cat(&[zeros(size / 2), &x * &x, zeros((size - 1) / 2)], 1);
        let mut sum = padded.narrow(1, 0, channels);
        for i in 1..size {
            sum = sum + padded.narrow(1, i, channels);
        }
        (x / (sum * (alpha / size as f64) + k).pow(beta)).cast(self.dtype())
    }

    /// The number of channels, dimension 1.
    #[track_caller]
    fn channels(&self, op: &str, rank: usize) -> usize {
        self.expect_float(op);
        if self.rank() < rank {
            misuse(
                op,
                format!("needs at least {rank} dimensions, channels second, and the input has {:?}", self.shape()),
            );
        }
        self.shape()[1]
    }
}

impl BatchNormOptions {
    #[track_caller]
    fn expect_statistics(&self, op: &str, channels: usize) {
        for (what, x) in [("running mean", &self.running_mean), ("running variance", &self.running_var)] {
            match x {
                Some(x) => expect_shape(op, what, x, &[channels]),
                None if self.training => {}
                None => misuse(op, format!("outside training a {what} is needed")),
            }
        }
    }

    /// The input by the running statistics, which take no gradient.
    #[track_caller]
    fn apply_running(&self, op: &str, x: &Tensor, like: &[usize]) -> Tensor {
        let (Some(mean), Some(var)) = (&self.running_mean, &self.running_var) else {
            misuse(op, "running mean and variance are needed together");
        };
        x.expect_same_device(op, mean);
        x.expect_same_device(op, var);
        let (mean, var) = (mean.untracked().wide().reshape(like), var.untracked().wide().reshape(like));
        (x - mean) / (var + self.eps).sqrt()
    }

    /// Moves the running statistics towards those of `n` elements a channel.
    #[track_caller]
    fn follow(&self, op: &str, mean: Tensor, var: Tensor, n: usize, shape: &[usize]) {
        if n == 0 {
            return;
        }
        let _unrecorded = no_grad();
        let unbiased = var * (n as f64 / (n as f64 - 1.0));
        for (running, new) in [(&self.running_mean, mean), (&self.running_var, unbiased)] {
            let Some(running) = running else { continue };
            let moved = running.wide().lerp(&new.reshape(shape), self.momentum.clone());
            if escapes(&running.operand().value, &moved.operand().value) {
                let shape = running.shape();
                misuse(
                    op,
                    format!(
                        "inside of vmap each element has statistics of its own, and the running ones, of shape {shape:?}, are \
                         shared: do without them, or make them inputs with a batch dimension"
                    ),
                );
            }
            running.copy_(&moved).expect("nothing is recorded");
        }
    }
}
