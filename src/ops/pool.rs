//! Pooling: the largest element, or the mean, of every window.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::map::Arg;
use crate::ops::resample::Taps;
use crate::ops::spatial::{PerDim, Window, Windows};
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::node::Save;
use std::sync::Arc;

/// The settings of max pooling.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPoolOptions {
    /// How far one window is from the next; `None` for the size of a window.
    pub stride: Option<PerDim>,
    /// How much stands around the input, never to be the largest: 0. At most half a window.
    pub padding: PerDim,
    /// How far one place in a window is from the next: 1.
    pub dilation: PerDim,
    /// Whether a last window that reaches beyond the padded input counts: no.
    pub ceil_mode: bool,
}

impl Default for MaxPoolOptions {
    fn default() -> MaxPoolOptions {
        MaxPoolOptions { stride: None, padding: 0.into(), dilation: 1.into(), ceil_mode: false }
    }
}

/// The settings of average pooling.
#[derive(Clone, Debug, PartialEq)]
pub struct AvgPoolOptions {
    /// How far one window is from the next; `None` for the size of a window.
    pub stride: Option<PerDim>,
    /// How many zeros stand around the input: 0. At most half a window.
    pub padding: PerDim,
    /// Whether a last window that reaches beyond the padded input counts: no. What is beyond is never counted.
    pub ceil_mode: bool,
    /// Whether the zeros count among the elements that the sum is divided by: yes.
    pub count_include_pad: bool,
    /// A number to divide every sum by instead.
    pub divisor_override: Option<i32>,
}

impl Default for AvgPoolOptions {
    fn default() -> AvgPoolOptions {
        AvgPoolOptions {
            stride: None,
            padding: 0.into(),
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }
}

macro_rules! pools {
    ($($max:ident $max_indices:ident $max_node:literal $avg:ident $dims:literal;)*) => { impl Tensor { $(
        #[doc = concat!("The largest element of every window over the last dimensions (", $dims, "), NaN if one is; the input is `[batch, \
            channels, sizes..]` or without the batch. Derivative: 1 for the element returned, the first one of equal ones.")]
        ///
        /// # Panics
        /// If the rank does not fit, not one window does, or the padding is more than half a window.
        #[track_caller]
        pub fn $max(&self, kernel_size: impl Into<PerDim>, options: MaxPoolOptions) -> Tensor {
            self.max_pool(stringify!($max), $max_node, $dims, &kernel_size.into(), &options).0
        }

        #[doc = concat!("[`Tensor::", stringify!($max), "`], and where in the input's spatial dimensions, flattened, each element was.")]
        #[track_caller]
        pub fn $max_indices(&self, kernel_size: impl Into<PerDim>, options: MaxPoolOptions) -> (Tensor, Tensor) {
            self.max_pool(stringify!($max), $max_node, $dims, &kernel_size.into(), &options)
        }

        #[doc = concat!("The mean of every window over the last dimensions (", $dims, "); the input is `[batch, channels, sizes..]` or without \
            the batch. Derivative: `g` divided evenly among the window.")]
        ///
        /// # Panics
        /// If the rank does not fit, not one window does, the padding is more than half a window, or the divisor is 0.
        #[track_caller]
        pub fn $avg(&self, kernel_size: impl Into<PerDim>, options: AvgPoolOptions) -> Tensor {
            self.avg_pool(stringify!($avg), $dims, &kernel_size.into(), &options)
        }
    )* } };
}

pools! {
    max_pool1d max_pool1d_with_indices "MaxPool2DWithIndicesBackward0" avg_pool1d 1;
    max_pool2d max_pool2d_with_indices "MaxPool2DWithIndicesBackward0" avg_pool2d 2;
    max_pool3d max_pool3d_with_indices "MaxPool3DWithIndicesBackward0" avg_pool3d 3;
}

macro_rules! adaptive {
    ($($max:ident $max_indices:ident $avg:ident $dims:literal;)*) => { impl Tensor { $(
        #[doc = concat!("The largest element of every window, of which there are as many as `output_size` says (-1 keeps a size): window `i` \
            of `m` over `n` elements goes from `⌊i n / m⌋` to `⌈(i + 1) n / m⌉`. Otherwise as [`Tensor::max_pool", $dims, "d`].")]
        #[track_caller]
        pub fn $max(&self, output_size: impl Into<PerDim>) -> Tensor {
            self.adaptive_max_pool(stringify!($max), $dims, &output_size.into()).0
        }

        #[doc = concat!("[`Tensor::", stringify!($max), "`], and where in the input's spatial dimensions, flattened, each element was.")]
        #[track_caller]
        pub fn $max_indices(&self, output_size: impl Into<PerDim>) -> (Tensor, Tensor) {
            self.adaptive_max_pool(stringify!($max), $dims, &output_size.into())
        }

        #[doc = concat!("The mean of every window; windows as in [`Tensor::", stringify!($max), "`].")]
        #[track_caller]
        pub fn $avg(&self, output_size: impl Into<PerDim>) -> Tensor {
            self.adaptive_avg_pool(stringify!($avg), $dims, &output_size.into())
        }
    )* } };
}

adaptive! {
    adaptive_max_pool1d adaptive_max_pool1d_with_indices adaptive_avg_pool1d 1;
    adaptive_max_pool2d adaptive_max_pool2d_with_indices adaptive_avg_pool2d 2;
    adaptive_max_pool3d adaptive_max_pool3d_with_indices adaptive_avg_pool3d 3;
}

impl Tensor {
    #[track_caller]
    fn max_pool(
        &self,
        op: &'static str,
        node: &'static str,
        dims: usize,
        kernel: &PerDim,
        options: &MaxPoolOptions,
    ) -> (Tensor, Tensor) {
        let windows = self.pool_windows(
            op,
            dims,
            kernel,
            options.stride.as_ref(),
            &options.padding,
            &options.dilation,
            options.ceil_mode,
        );
        let low = lowest(self.dtype());
        let (positions, total) = self.positions(dims);
        let positions = positions.over_windows(&windows, total as f64);
        let places: Dims = (self.rank()..self.rank() + dims).collect();
        let indices = first_largest(&self.untracked().over_windows(&windows, low), &positions, total, &places);
        let definition = || self.over_windows(&windows, low).amax(&places[..], false);
        let (laid, depth) = (windows.clone(), dims);
        let y = composite(node, &[self], &[Save::Input(&indices)], definition, move |call| {
            let (mut g, mut index) = (call.g.clone(), call.saved[0].clone());
            for _ in 0..depth {
                (g, index) = (g.unsqueeze(-1), index.unsqueeze(-1));
            }
            vec![Some(Tensor::where_(&index.eq(&positions), &g, 0.0).added_windows(&laid))]
        });
        (y, indices)
    }

    #[track_caller]
    fn avg_pool(&self, op: &'static str, dims: usize, kernel: &PerDim, options: &AvgPoolOptions) -> Tensor {
        if self.dtype() == DType::Bool {
            misuse(op, format!("bools of shape {:?} have no mean", self.shape()));
        }
        let (stride, ceil) = (options.stride.as_ref(), options.ceil_mode);
        let windows = self.pool_windows(op, dims, kernel, stride, &options.padding, &1.into(), ceil);
        let padding = options.padding.each(op, "padding", dims, 0);
        if options.divisor_override == Some(0) {
            misuse(op, "a divisor of 0");
        }
        let places: Dims = (self.rank()..self.rank() + dims).collect();
        let compute = self.dtype().compute();
        let sums = self.cast(compute).over_windows(&windows, 0.0).sum_dim(&places[..], false);
        // How many elements each window counts, dimension by dimension: what is beyond the padding never does.
        let counts = |(d, w): (usize, &Window)| -> Vec<usize> {
            let end = w.before + w.len + if options.count_include_pad { padding[d] } else { 0 };
            let begin = if options.count_include_pad { 0 } else { w.before };
            let count = |i: usize| (i * w.step + w.size).min(end).saturating_sub((i * w.step).max(begin));
            (0..w.count().unwrap_or(0)).map(count).collect()
        };
        let counts: Vec<Vec<usize>> = windows.iter().enumerate().map(counts).collect();
        let all_equal = counts.iter().all(|line| line.windows(2).all(|pair| pair[0] == pair[1]));
        let divisor: Arg = match options.divisor_override {
            Some(divisor) => divisor.into(),
            None if all_equal => counts.iter().map(|line| line[0]).product::<usize>().into(),
            None => {
                let product = |all: Vec<usize>, line: &Vec<usize>| -> Vec<usize> {
                    all.iter().flat_map(|a| line.iter().map(move |b| a * b)).collect()
                };
                let all = counts.iter().fold(vec![1], product);
                let shape: Dims = counts.iter().map(Vec::len).collect();
                Tensor::from_slice(&all, &shape[..], (&self.device(), compute)).into()
            }
        };
        match self.dtype().is_float() {
            true => (sums / divisor).cast(self.dtype()),
            // As in PyTorch, the mean of integers is one, rounded towards zero.
            false => sums.div_trunc(divisor),
        }
    }

    /// The windows of a pool over the last dimensions.
    #[track_caller]
    #[allow(clippy::too_many_arguments, reason = "the settings of two kinds of pools")]
    fn pool_windows(
        &self,
        op: &str,
        dims: usize,
        kernel: &PerDim,
        stride: Option<&PerDim>,
        padding: &PerDim,
        dilation: &PerDim,
        ceil: bool,
    ) -> Windows {
        self.expect_pooled(op, dims);
        let size = kernel.each(op, "kernel size", dims, 1);
        let step = stride.unwrap_or(kernel).each(op, "stride", dims, 1);
        let padding = padding.each(op, "padding", dims, 0);
        let dilation = dilation.each(op, "dilation", dims, 1);
        let mut windows = Windows::new();
        for d in 0..dims {
            let len = self.shape()[self.rank() - dims + d];
            let mut w = Window {
                len,
                size: size[d],
                step: step[d],
                dilation: dilation[d],
                before: padding[d],
                after: padding[d],
            };
            if padding[d] > w.span() / 2 {
                misuse(op, format!("a padding of {} is more than half a window of {}", padding[d], w.span()));
            }
            let more = if ceil { step[d] - 1 } else { 0 };
            let Some(places) = (len + 2 * padding[d] + more).checked_sub(w.span()) else {
                misuse(
                    op,
                    format!("a window of {} places does not fit {:?} padded by {}", w.span(), self.shape(), padding[d]),
                );
            };
            // The last window of ceil mode must begin inside, or in the padding before.
            let last = (places / step[d] * step[d]).min((len + padding[d] - 1) / step[d] * step[d]);
            w.after = (last + w.span()).saturating_sub(len + padding[d]);
            windows.push(w);
        }
        windows
    }

    #[track_caller]
    fn expect_pooled(&self, op: &str, dims: usize) {
        let spatial = self.rank().saturating_sub(dims);
        if !(1..=2).contains(&spatial) || self.shape()[self.rank() - dims - 1..].contains(&0) {
            misuse(
                op,
                format!("wants [batch, channels, {dims} sizes] or [channels, {dims} sizes], not {:?}", self.shape()),
            );
        }
    }

    /// The place of each element in the last dimensions, flattened, and how many there are.
    #[track_caller]
    fn positions(&self, dims: usize) -> (Tensor, usize) {
        let sizes = Dims::from_slice(&self.shape()[self.rank() - dims..]);
        let total: usize = sizes.iter().product();
        (Tensor::arange(0, total, 1, &self.device()).reshape(&sizes[..]), total)
    }

    #[track_caller]
    fn adaptive_max_pool(&self, op: &'static str, dims: usize, output: &PerDim) -> (Tensor, Tensor) {
        let sizes = self.adaptive_sizes(op, dims, output);
        let first = self.rank() - dims;
        let (positions, total) = self.positions(dims);
        let (mut seen, mut positions) = (self.untracked(), positions);
        let mut places = Dims::new();
        for d in 0..dims {
            let (at, taps) = (first + 2 * d, Taps::adaptive(self.shape()[first + d], sizes[d]));
            seen = taps.read(&seen, at, lowest(self.dtype()));
            positions = taps.read(&positions, 2 * d, total as f64);
            places.push(at + 1);
        }
        let indices = first_largest(&seen, &positions, total, &places);
        let flat = indices.flatten(first as isize, -1);
        let y = self.flatten(first as isize, -1).gather(first as isize, &flat);
        (y.reshape(indices.shape()), indices)
    }

    #[track_caller]
    pub(crate) fn adaptive_avg_pool(&self, op: &'static str, dims: usize, output: &PerDim) -> Tensor {
        self.expect_float(op);
        let sizes = self.adaptive_sizes(op, dims, output);
        let first = self.rank() - dims;
        let mut y = self.cast(self.dtype().compute());
        for (d, &size) in sizes.iter().enumerate() {
            y = y.resampled(first + d, &Arc::new(Taps::adaptive(self.shape()[first + d], size)));
        }
        y.cast(self.dtype()).apart_from(self)
    }

    #[track_caller]
    fn adaptive_sizes(&self, op: &str, dims: usize, output: &PerDim) -> Dims {
        self.expect_pooled(op, dims);
        let sizes = output.each_or_kept(op, "output size", dims, &self.shape()[self.rank() - dims..]);
        if sizes.contains(&0) {
            misuse(op, format!("an output size of {:?}", sizes.as_slice()));
        }
        sizes
    }

    #[track_caller]
    fn lp_pool(
        &self,
        op: &'static str,
        dims: usize,
        p: f64,
        kernel: &PerDim,
        stride: Option<PerDim>,
        ceil_mode: bool,
    ) -> Tensor {
        let options = AvgPoolOptions { stride, ceil_mode, ..Default::default() };
        let size: usize = kernel.each(op, "kernel size", dims, 1).iter().product();
        let mean = self.pow(p).avg_pool(op, dims, kernel, &options);
        ((mean.sign() * mean.abs().relu()) * size).pow(1.0 / p)
    }

    #[track_caller]
    fn max_unpool(
        &self,
        op: &'static str,
        dims: usize,
        indices: &Tensor,
        kernel: &PerDim,
        options: &MaxUnpoolOptions,
    ) -> Tensor {
        self.expect_pooled(op, dims);
        if indices.shape() != self.shape() {
            misuse(op, format!("indices {:?} do not belong to {:?}", indices.shape(), self.shape()));
        }
        let first = self.rank() - dims;
        let size = kernel.each(op, "kernel size", dims, 1);
        let step = options.stride.as_ref().unwrap_or(kernel).each(op, "stride", dims, 1);
        let padding = options.padding.each(op, "padding", dims, 0);
        let sizes: Dims = match &options.output_size {
            Some(sizes) => sizes.each(op, "output size", dims, 1),
            None => (0..dims)
                .map(|d| ((self.shape()[first + d] - 1) * step[d] + size[d]).saturating_sub(2 * padding[d]))
                .collect(),
        };
        let mut shape = Dims::from_slice(&self.shape()[..first]);
        shape.push(sizes.iter().product());
        let zeros = Tensor::zeros(&shape[..], (&self.device(), self.dtype()));
        let dim = first as isize;
        let y = zeros.scatter(dim, &indices.flatten(dim, -1), self.flatten(dim, -1));
        shape.pop();
        shape.extend(sizes);
        y.reshape(&shape[..])
    }
}

/// The settings of [`Tensor::max_unpool2d`].
#[derive(Clone, Debug, PartialEq)]
pub struct MaxUnpoolOptions {
    /// The stride of the pool; `None` for the size of a window.
    pub stride: Option<PerDim>,
    /// The padding of the pool: 0.
    pub padding: PerDim,
    /// The sizes of the pool's input; `None` for the smallest that it may have been.
    pub output_size: Option<PerDim>,
}

impl Default for MaxUnpoolOptions {
    fn default() -> MaxUnpoolOptions {
        MaxUnpoolOptions { stride: None, padding: 0.into(), output_size: None }
    }
}

macro_rules! others {
    ($($lp:ident $unpool:ident $dims:literal;)*) => { impl Tensor { $(
        #[doc = concat!("`(Σ xᵖ)^(1/p)` over every window of the last dimensions (", $dims, "); `None` as stride is the size of a window.")]
        ///
        /// # Panics
        /// As the average pool.
        #[track_caller]
        pub fn $lp(
            &self,
            p: f64,
            kernel_size: impl Into<PerDim>,
            stride: impl Into<Option<PerDim>>,
            ceil_mode: bool,
        ) -> Tensor {
            self.lp_pool(stringify!($lp), $dims, p, &kernel_size.into(), stride.into(), ceil_mode)
        }

        #[doc = concat!("Zeros with the elements of a max pool over ", $dims, " dimensions put back where `indices` say that they were.")]
        /// Derivative: `g` at those places.
        ///
        /// # Errors
        /// An index out of range is told when the result is read.
        ///
        /// # Panics
        /// If the shapes do not fit.
        #[track_caller]
        pub fn $unpool(&self, indices: &Tensor, kernel_size: impl Into<PerDim>, options: MaxUnpoolOptions) -> Tensor {
            self.max_unpool(stringify!($unpool), $dims, indices, &kernel_size.into(), &options)
        }
    )* } };
}

others! {
    lp_pool1d max_unpool1d 1;
    lp_pool2d max_unpool2d 2;
    lp_pool3d max_unpool3d 3;
}

/// What is larger than nothing.
fn lowest(dtype: DType) -> f64 {
    match dtype {
        DType::I32 => i32::MIN as f64,
        DType::Bool | DType::U32 => 0.0,
        _ => f64::NEG_INFINITY,
    }
}

/// The least position among the largest elements over `places`; NaN is largest, and of several the last one, as in PyTorch.
#[track_caller]
fn first_largest(seen: &Tensor, positions: &Tensor, total: usize, places: &[usize]) -> Tensor {
    let found = Tensor::where_(&seen.eq(seen.amax(places, true)), positions, total);
    if !seen.dtype().is_float() {
        return found.amin(places, false);
    }
    // The positions of NaN lie below all others and run the other way.
    let found = Tensor::where_(&seen.isnan(), -1 - positions, found).amin(places, false);
    Tensor::where_(&found.lt(0), -1 - &found, &found)
}
