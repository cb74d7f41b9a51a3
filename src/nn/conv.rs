//! Convolutions.

use crate::nn::Hooks;
use crate::nn::layer::{layers, parameter};
use crate::ops::conv::{ConvOptions, ConvTransposeOptions};
use crate::ops::create::Options;
use crate::ops::spatial::PerDim;
use crate::tensor::Tensor;

/// Weights of a shape, and a bias, uniform within one over the root of the number of inputs that an output sees.
#[track_caller]
fn begin(shape: &[usize], outputs: usize, options: Options) -> (Tensor, Option<Tensor>) {
    let bound = 1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt();
    let weight = parameter(Tensor::uniform(-bound, bound, shape, options.clone()));
    (weight, Some(parameter(Tensor::uniform(-bound, bound, [outputs], options))))
}

macro_rules! convolutions {
    ($($name:ident $f:ident $transposed:ident $g:ident $dims:literal $input:literal $size:literal;)*) => {
        layers! { $(
            #[doc = concat!("[`Tensor::", stringify!($f), "`] with a weight and a bias, which begin uniform within `±1/√n` for `n` inputs of an \
                output.")]
            ///
            /// ```
            #[doc = concat!("use wgrad::nn::{Layer, ", stringify!($name), "};")]
            /// use wgrad::{ConvOptions, Device, Tensor};
            /// let dev = Device::cpu();
            #[doc = concat!("let conv = ", stringify!($name), "::new(2, 4, 3, ConvOptions { padding: 1.into(), ..Default::default() }, &dev);")]
            #[doc = concat!("assert_eq!(conv.forward(&Tensor::ones(", $input, ", &dev)).size(1), 4);")]
            /// ```
            ///
            #[doc = concat!("Source: [torch.nn.", stringify!($name), "](https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($name), ".html).")]
            $name {
                /// `[out, in / groups, window..]`
                weight: Tensor,
                /// `[out]`
                bias: Option<Tensor>,
                /// Stride, padding, dilation and groups.
                options: ConvOptions,
            }
            members [weight, bias];
            |s, x| x.$f(&s.weight, s.bias.as_ref(), s.options.clone())

            #[doc = concat!("[`Tensor::", stringify!($g), "`] with a weight and a bias, which begin as in PyTorch.")]
            ///
            /// ```
            #[doc = concat!("use wgrad::nn::{Layer, ", stringify!($transposed), "};")]
            /// use wgrad::{ConvTransposeOptions, Device, Tensor};
            /// let dev = Device::cpu();
            /// let options = ConvTransposeOptions { stride: 2.into(), ..Default::default() };
            #[doc = concat!("let conv = ", stringify!($transposed), "::new(2, 4, 2, options, &dev);")]
            #[doc = concat!("assert_eq!(conv.forward(&Tensor::ones(", $input, ", &dev)).size(-1), ", $size, ");")]
            /// ```
            ///
            #[doc = concat!("Source: [torch.nn.", stringify!($transposed), "](https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($transposed), ".html).")]
            $transposed {
                /// `[in, out / groups, window..]`
                weight: Tensor,
                /// `[out]`
                bias: Option<Tensor>,
                /// Stride, padding, output padding, dilation and groups.
                options: ConvTransposeOptions,
            }
            members [weight, bias];
            |s, x| x.$g(&s.weight, s.bias.as_ref(), s.options.clone())
        )* }

        $(
            impl $name {
                /// A layer from `input` to `output` channels.
                #[track_caller]
                pub fn new(
                    input: usize,
                    output: usize,
                    kernel_size: impl Into<PerDim>,
                    options: ConvOptions,
                    place: impl Into<Options>,
                ) -> $name {
                    let window = kernel_size.into().each(stringify!($name), "kernel_size", $dims, 1);
                    let shape = [&[output, input / options.groups.max(1)], &window[..]].concat();
                    let (weight, bias) = begin(&shape, output, place.into());
                    $name { weight, bias, options, hooks: Hooks::default() }
                }

                /// The same layer without its bias.
                pub fn without_bias(self) -> $name {
                    $name { bias: None, ..self }
                }
            }

            impl $transposed {
                /// A layer from `input` to `output` channels.
                #[track_caller]
                pub fn new(
                    input: usize,
                    output: usize,
                    kernel_size: impl Into<PerDim>,
                    options: ConvTransposeOptions,
                    place: impl Into<Options>,
                ) -> $transposed {
                    let window = kernel_size.into().each(stringify!($transposed), "kernel_size", $dims, 1);
                    let shape = [&[input, output / options.groups.max(1)], &window[..]].concat();
                    let (weight, bias) = begin(&shape, output, place.into());
                    $transposed { weight, bias, options, hooks: Hooks::default() }
                }

                /// The same layer without its bias.
                pub fn without_bias(self) -> $transposed {
                    $transposed { bias: None, ..self }
                }
            }
        )*
    };
}

convolutions! {
    Conv1d conv1d ConvTranspose1d conv_transpose1d 1 "[1, 2, 5]" "10";
    Conv2d conv2d ConvTranspose2d conv_transpose2d 2 "[1, 2, 5, 5]" "10";
    Conv3d conv3d ConvTranspose3d conv_transpose3d 3 "[1, 2, 3, 3, 3]" "6";
}
