//! Convolution over any number of dimensions, and its adjoints.
//!
//! `Σ x[n, g, c, o·step + k·dilation] w[g, m, c, k] y[n, g, m, o]` is linear in `x`, `w` and `y`. Convolution is its derivative by
//! `y`, transposed convolution (the gradient of the input) that by `x`, and the gradient of the weight that by `w`: three
//! contractions over views of windows, each of which has the other two as its derivatives, to any order.
//!
//! Source: [torch.nn.functional.conv2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html).

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::contract::{Labels, contract};
use crate::ops::pad::PadMode;
use crate::ops::spatial::{PerDim, Window, Windows};
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::autocast::cast_here;
use crate::tensor::node::Save;

/// How much stands around the input of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub enum Padding {
    /// So many elements before, and as many behind.
    Each(PerDim),
    /// As many as make the result as large as the input; the odd one stands behind. Only with a stride of 1.
    Same,
    /// None.
    Valid,
}

impl<T: Into<PerDim>> From<T> for Padding {
    fn from(n: T) -> Padding {
        Padding::Each(n.into())
    }
}

/// The settings of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvOptions {
    /// How far one window is from the next: 1.
    pub stride: PerDim,
    /// How much stands around the input: nothing.
    pub padding: Padding,
    /// What stands there: zeros.
    pub padding_mode: PadMode,
    /// How far one place in a window is from the next: 1.
    pub dilation: PerDim,
    /// Into how many groups the channels fall, each seeing its own inputs only: 1.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> ConvOptions {
        ConvOptions {
            stride: 1.into(),
            padding: 0.into(),
            padding_mode: PadMode::Constant(0.0),
            dilation: 1.into(),
            groups: 1,
        }
    }
}

/// The settings of a transposed convolution, named as those of the convolution that it is the adjoint of.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTransposeOptions {
    /// How far one window of the result is from the next: 1.
    pub stride: PerDim,
    /// How much of the result is left out on each side: 0.
    pub padding: PerDim,
    /// How much is added to the result on one side, to choose among the sizes that the convolution maps to one: 0.
    pub output_padding: PerDim,
    /// How far one place in a window is from the next: 1.
    pub dilation: PerDim,
    /// Into how many groups the channels fall: 1.
    pub groups: usize,
}

impl Default for ConvTransposeOptions {
    fn default() -> ConvTransposeOptions {
        ConvTransposeOptions {
            stride: 1.into(),
            padding: 0.into(),
            output_padding: 0.into(),
            dilation: 1.into(),
            groups: 1,
        }
    }
}

macro_rules! convolutions {
    ($($(#[$doc:meta])* $name:ident $transposed:ident $dims:literal;)*) => { impl Tensor { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If a shape does not fit, the groups do not divide the channels, or a window is larger than the padded input.
        #[track_caller]
        pub fn $name<'a>(&self, w: &Tensor, bias: impl Into<Option<&'a Tensor>>, options: ConvOptions) -> Tensor {
            conv(stringify!($name), $dims, self, w, bias.into(), options)
        }

        #[doc = concat!("The adjoint of [`Tensor::", stringify!($name), "`]: every input places a weighted window into the result, \
            and windows add where they overlap. Weights `[in channels, channels / groups, sizes..]`; a size `n` becomes `(n - 1) \
            stride - 2 padding + dilation (size - 1) + output_padding + 1`. Derivatives: the convolution of `g`, and the sum \
            over all windows of `g` times `x`.")]
        ///
        /// # Panics
        /// If a shape does not fit, the groups do not divide the channels, or the output padding is neither smaller than
        /// the stride nor than the dilation.
        #[track_caller]
        pub fn $transposed<'a>(
            &self,
            w: &Tensor,
            bias: impl Into<Option<&'a Tensor>>,
            options: ConvTransposeOptions,
        ) -> Tensor {
            conv_transpose(stringify!($transposed), $dims, self, w, bias.into(), options)
        }
    )* } };
}

convolutions! {
    /// `y[n, m, o] = Σ x[n, c, o·stride + k·dilation] w[m, c, k] + bias[m]` over the channels `c` of a group and the places
    /// `k` of a window. Input `[batch, channels, length]` or without the batch, weights `[out, channels / groups, size]`.
    /// Derivatives: the transposed convolution of `g`, and the sum over all windows of `x` times `g`.
    conv1d conv_transpose1d 1;
    /// Convolution over two dimensions: input `[batch, channels, height, width]` or without the batch, weights `[out,
    /// channels / groups, height, width]`; otherwise as [`Tensor::conv1d`].
    ///
    /// ```
    /// use wgrad::{ConvOptions, Device, Tensor};
    /// let dev = Device::cpu();
    /// let (x, w) = (Tensor::ones([1, 1, 3, 3], &dev), Tensor::ones([1, 1, 2, 2], &dev));
    /// let y = x.conv2d(&w, None, ConvOptions { padding: 1.into(), stride: 2.into(), ..Default::default() });
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 2.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    conv2d conv_transpose2d 2;
    /// Convolution over three dimensions; otherwise as [`Tensor::conv1d`].
    conv3d conv_transpose3d 3;
}

/// How a convolution lies: its windows and groups.
#[derive(Clone)]
struct Form {
    windows: Windows,
    groups: usize,
}

#[track_caller]
fn conv(op: &'static str, dims: usize, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, options: ConvOptions) -> Tensor {
    let (w, bias) = &cast_here(|| (w.factor(), bias.map(Tensor::factor)));
    let (mut x, alone) = x.factor().batched(op, dims);
    let groups = expect_weights(op, dims, &x, w, options.groups);
    if x.shape()[1] != w.shape()[1] * groups || !w.shape()[0].is_multiple_of(groups) {
        misuse(op, format!("input {:?} and weights {:?} do not fit in {groups} groups", x.shape(), w.shape()));
    }
    let (step, dilation) = (options.stride.each(op, "stride", dims, 1), options.dilation.each(op, "dilation", dims, 1));
    let padding = match &options.padding {
        Padding::Each(n) => n.each(op, "padding", dims, 0),
        Padding::Same | Padding::Valid => Dims::from_elem(0, dims),
    };
    if options.padding == Padding::Same && step.iter().any(|&n| n != 1) {
        misuse(op, format!("a stride of {:?} does not keep the size that padding asks for", step.as_slice()));
    }
    let mut windows = Windows::new();
    for d in 0..dims {
        let (len, size) = (x.shape()[2 + d], w.shape()[2 + d]);
        let reach = dilation[d] * (size - 1);
        let (before, after) = match options.padding {
            Padding::Same => (reach / 2, reach - reach / 2),
            Padding::Each(_) | Padding::Valid => (padding[d], padding[d]),
        };
        let window = Window { len, size, step: step[d], dilation: dilation[d], before, after };
        if window.count().is_none() {
            let (span, padded, x) = (window.span(), before + len + after, x.shape());
            misuse(op, format!("a window of {span} places does not fit the padded size {padded} of {x:?}"));
        }
        windows.push(window);
    }
    if options.padding_mode != PadMode::Constant(0.0) {
        // Only zeros are never stored; all else becomes part of the input.
        x = x.padded(&windows, options.padding_mode);
        windows.iter_mut().zip(&x.shape()[2..]).for_each(|(w, &len)| *w = Window { len, before: 0, after: 0, ..*w });
    }
    let y = forward(&x, w, bias_of(op, bias.as_ref(), w.shape()[0], &x), &Form { windows, groups });
    if alone { y.squeeze(0) } else { y }
}

#[track_caller]
fn conv_transpose(
    op: &'static str,
    dims: usize,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    options: ConvTransposeOptions,
) -> Tensor {
    let (w, bias) = &cast_here(|| (w.factor(), bias.map(Tensor::factor)));
    let (x, alone) = x.factor().batched(op, dims);
    let groups = expect_weights(op, dims, &x, w, options.groups);
    if x.shape()[1] != w.shape()[0] || !w.shape()[0].is_multiple_of(groups) {
        misuse(op, format!("input {:?} and weights {:?} do not fit in {groups} groups", x.shape(), w.shape()));
    }
    let (step, dilation) = (options.stride.each(op, "stride", dims, 1), options.dilation.each(op, "dilation", dims, 1));
    let padding = options.padding.each(op, "padding", dims, 0);
    let more = options.output_padding.each(op, "output_padding", dims, 0);
    let (mut windows, mut beyond) = (Windows::new(), Vec::new());
    for d in 0..dims {
        let (count, size) = (x.shape()[2 + d], w.shape()[2 + d]);
        if more[d] >= step[d].max(dilation[d]) {
            misuse(
                op,
                format!(
                    "an output padding of {} is neither below the stride {} nor the dilation {}",
                    more[d], step[d], dilation[d]
                ),
            );
        }
        // Beyond the last window nothing is placed; a window more would fit there only if it were as far as the stride.
        let rest = more[d] - more[d].min(step[d] - 1);
        let reached = (count.max(1) - 1) * step[d] + dilation[d] * (size - 1) + 1 + more[d] - rest;
        if reached + rest <= 2 * padding[d] || count == 0 {
            misuse(op, format!("nothing is left of {:?} with a padding of {}", x.shape(), padding[d]));
        }
        // The rest first shows what the padding would cut off at the end.
        let (mut before, mut after) = (padding[d], padding[d] - rest.min(padding[d]));
        let mut around = [0, (rest - rest.min(padding[d])) as isize];
        if reached <= before + after {
            // All that is placed is cut off, and the rest alone is left.
            around = [-(reached as isize), (reached + rest - 2 * padding[d]) as isize];
            (before, after) = (0, 0);
        }
        beyond.push(around);
        let len = reached - before - after;
        windows.push(Window { len, size, step: step[d], dilation: dilation[d], before, after });
    }
    let bias = bias_of(op, bias.as_ref(), w.shape()[1] * groups, &x);
    let form = Form { windows, groups };
    let y = if beyond.iter().all(|around| *around == [0, 0]) {
        backward(&x, w, bias, &form)
    } else {
        let pad: Vec<isize> = beyond.into_iter().rev().flatten().collect();
        biased(backward(&x, w, None, &form).pad(&pad, PadMode::Constant(0.0)), bias)
    };
    if alone { y.squeeze(0) } else { y }
}

/// The groups, after the checks that both directions share.
#[track_caller]
fn expect_weights(op: &str, dims: usize, x: &Tensor, w: &Tensor, groups: usize) -> usize {
    x.expect_multipliable(op, w);
    if w.rank() != dims + 2 {
        misuse(op, format!("wants weights of rank {}, not of shape {:?}", dims + 2, w.shape()));
    }
    if groups == 0 || w.shape()[2..].contains(&0) || x.shape()[1] == 0 {
        misuse(op, format!("input {:?} and weights {:?} in {groups} groups", x.shape(), w.shape()));
    }
    groups
}

/// The bias, one number per channel.
#[track_caller]
fn bias_of<'a>(op: &str, bias: Option<&'a Tensor>, channels: usize, x: &Tensor) -> Option<&'a Tensor> {
    if let Some(bias) = bias {
        x.expect_same_device(op, bias);
        if bias.shape() != [channels] || bias.dtype() != x.dtype() {
            misuse(
                op,
                format!("wants a bias of {channels} {}, not {} of shape {:?}", x.dtype(), bias.dtype(), bias.shape()),
            );
        }
    }
    bias
}

const BATCH: u32 = 0;
const GROUP: u32 = 1;
const OUT: u32 = 2;
const IN: u32 = 3;

/// `[first.., counts.., sizes..]` by name.
fn labels(first: &[u32], dims: usize, counts: bool, sizes: bool) -> Labels {
    let spatial = |from: u32, with: bool| (0..dims as u32).filter(move |_| with).map(move |d| from + d);
    first.iter().copied().chain(spatial(4, counts)).chain(spatial(4 + dims as u32, sizes)).collect()
}

impl Form {
    /// `[n, groups · c, ..]` as `[n, groups, c, ..]`.
    #[track_caller]
    fn split(&self, x: &Tensor, d: usize) -> Tensor {
        let mut shape = Dims::from_slice(x.shape());
        shape[d] /= self.groups;
        shape.insert(d, self.groups);
        x.reshape(&shape[..])
    }

    /// Dimension `d` and the groups before it joined.
    #[track_caller]
    fn join(&self, x: &Tensor, d: usize) -> Tensor {
        x.flatten(d as isize - 1, d as isize)
    }

    /// The windows of the input: `[n, groups, c, counts.., sizes..]`.
    #[track_caller]
    fn windows_of(&self, x: &Tensor) -> Tensor {
        self.split(x, 1).over_windows(&self.windows, 0.0)
    }
}

/// Adds one number per channel.
#[track_caller]
fn biased(y: Tensor, bias: Option<&Tensor>) -> Tensor {
    let Some(bias) = bias else { return y };
    let mut shape = Dims::from_elem(1, y.rank() - 1);
    shape[0] = bias.numel();
    y + bias.reshape(&shape[..])
}

/// The gradient of a bias.
#[track_caller]
fn bias_gradient(g: &Tensor) -> Tensor {
    let others: Dims = (0..g.rank()).filter(|&d| d != 1).collect();
    g.sum_dim(&others[..], false)
}

/// Runs a definition on narrow floats in the type they are computed in.
#[track_caller]
fn widened(
    a: &Tensor,
    b: &Tensor,
    bias: Option<&Tensor>,
    f: impl FnOnce(&Tensor, &Tensor, Option<&Tensor>) -> Tensor,
) -> Tensor {
    let (dtype, compute) = (a.dtype(), a.dtype().compute());
    f(&a.cast(compute), &b.cast(compute), bias.map(|x| x.cast(compute)).as_ref()).cast(dtype)
}

/// `y` from `x` and `w`: the convolution.
#[track_caller]
fn forward(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, form: &Form) -> Tensor {
    let dims = form.windows.len();
    let definition = || {
        widened(x, w, bias, |x, w, bias| {
            let (w, x) = (form.split(w, 0), form.windows_of(x));
            let (lw, lx) =
                (labels(&[GROUP, OUT, IN], dims, false, true), labels(&[BATCH, GROUP, IN], dims, true, true));
            let y =
                contract("ConvolutionBackward0", &w, &lw, &x, &lx, &labels(&[BATCH, GROUP, OUT], dims, true, false));
            biased(form.join(&y, 2), bias)
        })
    };
    let inner = form.clone();
    let inputs: Vec<&Tensor> = [x, w].into_iter().chain(bias).collect();
    composite("ConvolutionBackward0", &inputs, &[Save::Input(x), Save::Input(w)], definition, move |call| {
        let [x, w] = call.saved else { unreachable!("both are saved") };
        let mut gradients = vec![
            call.needs[0].then(|| backward(call.g, w, None, &inner)),
            call.needs[1].then(|| weight(x, call.g, &inner)),
        ];
        gradients.extend(call.needs.get(2).map(|needed| needed.then(|| bias_gradient(call.g))));
        gradients
    })
}

/// `x` from `y` and `w`: the transposed convolution.
#[track_caller]
fn backward(y: &Tensor, w: &Tensor, bias: Option<&Tensor>, form: &Form) -> Tensor {
    let dims = form.windows.len();
    let definition = || {
        widened(y, w, bias, |y, w, bias| {
            let (w, y) = (form.split(w, 0), form.split(y, 1));
            let lw = labels(&[GROUP, OUT, IN], dims, false, true);
            let x = match form.mirrored() {
                // The windows of y around each place of x, under the weights in reverse.
                Some(windows) => {
                    let flipped: Dims = (3..3 + dims).collect();
                    let ly = labels(&[BATCH, GROUP, OUT], dims, true, true);
                    let lx = labels(&[BATCH, GROUP, IN], dims, true, false);
                    let y = y.over_windows(&windows, 0.0);
                    contract("ConvolutionBackward0", &w.flip(&flipped[..]), &lw, &y, &ly, &lx)
                }
                // With a stride, most places of such windows would be empty; so the windows of x are made and added.
                None => {
                    let ly = labels(&[BATCH, GROUP, OUT], dims, true, false);
                    let spread = labels(&[BATCH, GROUP, IN], dims, false, true)
                        .into_iter()
                        .chain(labels(&[], dims, true, false))
                        .collect::<Labels>();
                    let x = contract("ConvolutionBackward0", &w, &lw, &y, &ly, &spread);
                    let order: Dims = (0..3).chain(3 + dims..3 + 2 * dims).chain(3..3 + dims).collect();
                    x.permute(&order[..]).added_windows(&form.windows)
                }
            };
            biased(form.join(&x, 2), bias)
        })
    };
    let inner = form.clone();
    let inputs: Vec<&Tensor> = [y, w].into_iter().chain(bias).collect();
    composite("ConvolutionBackward0", &inputs, &[Save::Input(y), Save::Input(w)], definition, move |call| {
        let [y, w] = call.saved else { unreachable!("both are saved") };
        let mut gradients = vec![
            call.needs[0].then(|| forward(call.g, w, None, &inner)),
            call.needs[1].then(|| weight(call.g, y, &inner)),
        ];
        gradients.extend(call.needs.get(2).map(|needed| needed.then(|| bias_gradient(call.g))));
        gradients
    })
}

/// `w` from `x` and `y`: the gradient of the weight.
#[track_caller]
fn weight(x: &Tensor, y: &Tensor, form: &Form) -> Tensor {
    let dims = form.windows.len();
    let definition = || {
        widened(x, y, None, |x, y, _| {
            let (x, y) = (form.windows_of(x), form.split(y, 1));
            let (lx, ly) =
                (labels(&[BATCH, GROUP, IN], dims, true, true), labels(&[BATCH, GROUP, OUT], dims, true, false));
            let w = contract("ConvolutionBackward0", &y, &ly, &x, &lx, &labels(&[GROUP, OUT, IN], dims, false, true));
            form.join(&w, 1)
        })
    };
    let inner = form.clone();
    composite("ConvolutionBackward0", &[x, y], &[Save::Input(x), Save::Input(y)], definition, move |call| {
        let [x, y] = call.saved else { unreachable!("both are saved") };
        vec![
            call.needs[0].then(|| backward(y, call.g, None, &inner)),
            call.needs[1].then(|| forward(x, call.g, None, &inner)),
        ]
    })
}

impl Form {
    /// The windows over `y` that each place of `x` sees, if no stride comes between.
    fn mirrored(&self) -> Option<Windows> {
        let mirrored = |w: &Window| {
            let reach = w.span() - 1;
            let count = w.count()?;
            let before = reach.checked_sub(w.before)?;
            let after = (w.before + w.len).checked_sub(count)?;
            (w.step == 1).then_some(Window { len: count, before, after, ..*w })
        };
        self.windows.iter().map(mirrored).collect()
    }
}
