//! Pooling as layers, each a row.

use crate::nn::Hooks;
use crate::nn::layer::layers;
use crate::ops::pool::{AvgPoolOptions, MaxPoolOptions};
use crate::ops::spatial::PerDim;

macro_rules! pools {
    ($($name:ident $f:ident $options:ident $input:literal;)*) => {
        layers! { $(
            #[doc = concat!("[`Tensor::", stringify!($f), "`](crate::Tensor::", stringify!($f), ") as a layer.")]
            ///
            /// ```
            #[doc = concat!("use wgrad::nn::{", stringify!($name), ", Layer};")]
            /// use wgrad::{Device, Tensor};
            #[doc = concat!("let y = ", stringify!($name), "::new(2, Default::default()).forward(&Tensor::ones(", $input, ", &Device::cpu()));")]
            /// assert_eq!(y.size(-1), 2);
            /// ```
            ///
            #[doc = concat!("Source: [torch.nn.", stringify!($name), "](https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($name), ".html).")]
            $name {
                /// The size of a window.
                kernel_size: PerDim,
                /// Everything else.
                options: $options,
            }
            members [];
            |s, x| x.$f(s.kernel_size.clone(), s.options.clone())
        )* }

        $(impl $name {
            /// A layer with windows of a size.
            pub fn new(kernel_size: impl Into<PerDim>, options: $options) -> $name {
                $name { kernel_size: kernel_size.into(), options, hooks: Hooks::default() }
            }
        })*
    };
}

pools! {
    MaxPool1d max_pool1d MaxPoolOptions "[1, 2, 4]";
    MaxPool2d max_pool2d MaxPoolOptions "[1, 2, 4, 4]";
    MaxPool3d max_pool3d MaxPoolOptions "[1, 2, 4, 4, 4]";
    AvgPool1d avg_pool1d AvgPoolOptions "[1, 2, 4]";
    AvgPool2d avg_pool2d AvgPoolOptions "[1, 2, 4, 4]";
    AvgPool3d avg_pool3d AvgPoolOptions "[1, 2, 4, 4, 4]";
}

macro_rules! adaptive {
    ($($name:ident $f:ident $input:literal;)*) => {
        layers! { $(
            #[doc = concat!("[`Tensor::", stringify!($f), "`](crate::Tensor::", stringify!($f), ") as a layer.")]
            ///
            /// ```
            #[doc = concat!("use wgrad::nn::{", stringify!($name), ", Layer};")]
            /// use wgrad::{Device, Tensor};
            #[doc = concat!("let y = ", stringify!($name), "::new(2).forward(&Tensor::ones(", $input, ", &Device::cpu()));")]
            /// assert_eq!(y.size(-1), 2);
            /// ```
            ///
            #[doc = concat!("Source: [torch.nn.", stringify!($name), "](https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($name), ".html).")]
            $name {
                /// How many windows there are.
                output_size: PerDim,
            }
            members [];
            |s, x| x.$f(s.output_size.clone())
        )* }

        $(impl $name {
            /// A layer with a number of windows.
            pub fn new(output_size: impl Into<PerDim>) -> $name {
                $name { output_size: output_size.into(), hooks: Hooks::default() }
            }
        })*
    };
}

adaptive! {
    AdaptiveMaxPool1d adaptive_max_pool1d "[1, 2, 5]";
    AdaptiveMaxPool2d adaptive_max_pool2d "[1, 2, 5, 5]";
    AdaptiveMaxPool3d adaptive_max_pool3d "[1, 2, 5, 5, 5]";
    AdaptiveAvgPool1d adaptive_avg_pool1d "[1, 2, 5]";
    AdaptiveAvgPool2d adaptive_avg_pool2d "[1, 2, 5, 5]";
    AdaptiveAvgPool3d adaptive_avg_pool3d "[1, 2, 5, 5, 5]";
}
