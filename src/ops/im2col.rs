//! Windows of images as columns of a matrix, and columns added up to images: PyTorch's `F.unfold` and `F.fold`.

use crate::error::misuse;
use crate::ops::spatial::{PerDim, Window, Windows};
use crate::shape::Dims;
use crate::tensor::Tensor;

/// The settings of [`Tensor::im2col`] and [`Tensor::col2im`].
#[derive(Clone, Debug, PartialEq)]
pub struct Im2colOptions {
    /// How far one place in a window is from the next: 1.
    pub dilation: PerDim,
    /// How many zeros stand around the image: 0.
    pub padding: PerDim,
    /// How far one window is from the next: 1.
    pub stride: PerDim,
}

impl Default for Im2colOptions {
    fn default() -> Im2colOptions {
        Im2colOptions { dilation: 1.into(), padding: 0.into(), stride: 1.into() }
    }
}

impl Tensor {
    /// The windows over `[batch, channels, height, width]` (or without the batch) as columns: `[batch, channels · size, windows]`.
    /// PyTorch's `F.unfold`. Derivative: the columns of `g` added where windows overlap.
    ///
    /// # Panics
    /// If the rank does not fit, or not one window does.
    ///
    /// Source: [torch.nn.functional.unfold](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html).
    #[track_caller]
    pub fn im2col(&self, kernel_size: impl Into<PerDim>, options: Im2colOptions) -> Tensor {
        let (x, alone) = self.batched("im2col", 2);
        let windows = windows("im2col", &x.shape()[2..], &kernel_size.into(), &options);
        let y = x.over_windows(&windows, 0.0).permute([0, 1, 4, 5, 2, 3]).flatten(1, 3).flatten(2, 3);
        if alone { y.squeeze(0) } else { y }
    }

    /// Columns `[batch, channels · size, windows]` (or without the batch) added where their windows overlap in images of
    /// `output_size`: `[batch, channels, height, width]`. PyTorch's `F.fold`. Derivative: the windows of `g` as columns.
    ///
    /// ```
    /// use wgrad::{Device, Im2colOptions, Tensor};
    /// let x = Tensor::ones([1, 1, 3, 3], &Device::cpu());
    /// let columns = x.im2col(2, Im2colOptions::default());
    /// assert_eq!(columns.shape(), [1, 4, 4]);
    /// let y = columns.col2im(3, 2, Im2colOptions::default());
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the columns are not those of such windows.
    ///
    /// Source: [torch.nn.functional.fold](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fold.html).
    #[track_caller]
    pub fn col2im(
        &self,
        output_size: impl Into<PerDim>,
        kernel_size: impl Into<PerDim>,
        options: Im2colOptions,
    ) -> Tensor {
        let sizes = output_size.into().each("col2im", "output size", 2, 1);
        let windows = windows("col2im", &sizes, &kernel_size.into(), &options);
        let counts: Dims = windows.iter().filter_map(Window::count).collect();
        let size = windows[0].size * windows[1].size;
        let alone = self.rank() == 2;
        let columns = if alone { self.unsqueeze(0) } else { self.clone() };
        let fits = matches!(*columns.shape(), [_, rows, n] if rows % size == 0 && n == counts[0] * counts[1]);
        if !fits {
            misuse(
                "col2im",
                format!(
                    "{:?} does not hold {} x {} windows of {} x {} places",
                    self.shape(),
                    counts[0],
                    counts[1],
                    windows[0].size,
                    windows[1].size
                ),
            );
        }
        let [n, rows] = [columns.shape()[0], columns.shape()[1]];
        let y = columns
            .reshape([n, rows / size, windows[0].size, windows[1].size, counts[0], counts[1]])
            .permute([0, 1, 4, 5, 2, 3])
            .added_windows(&windows);
        if alone { y.squeeze(0) } else { y }
    }
}

#[track_caller]
fn windows(op: &str, lens: &[usize], kernel: &PerDim, options: &Im2colOptions) -> Windows {
    let size = kernel.each(op, "kernel size", 2, 1);
    let (step, dilation) = (options.stride.each(op, "stride", 2, 1), options.dilation.each(op, "dilation", 2, 1));
    let padding = options.padding.each(op, "padding", 2, 0);
    let mut windows = Windows::new();
    for d in 0..2 {
        let (before, after) = (padding[d], padding[d]);
        let window = Window { len: lens[d], size: size[d], step: step[d], dilation: dilation[d], before, after };
        if window.count().is_none() {
            misuse(op, format!("a window of {} places does not fit {lens:?} padded by {before}", window.span()));
        }
        windows.push(window);
    }
    windows
}
