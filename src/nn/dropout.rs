//! Dropout as layers, each a row.

use crate::nn::layer::layers;
use crate::nn::{Hooks, Mode};

macro_rules! dropouts {
    ($($name:ident $f:ident $shape:literal;)*) => {
        layers! { $(
            #[doc = concat!("[`Tensor::", stringify!($f), "`](crate::Tensor::", stringify!($f), ") in training, and nothing otherwise.")]
            ///
            /// ```
            #[doc = concat!("use wgrad::nn::{", stringify!($name), ", Layer, Module};")]
            /// use wgrad::{Device, Tensor};
            #[doc = concat!("let (dropout, x) = (", stringify!($name), "::new(0.5), Tensor::ones(", $shape, ", &Device::cpu()));")]
            /// assert_eq!(dropout.forward(&x).shape(), x.shape());
            /// dropout.eval();
            /// assert!(dropout.forward(&x).to_vec::<f32>()?.iter().all(|&x| x == 1.0));
            /// # Ok::<(), wgrad::Error>(())
            /// ```
            ///
            #[doc = concat!("Source: [torch.nn.", stringify!($name), "](https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($name), ".html).")]
            $name {
                /// The probability with which something is dropped.
                p: f64,
                /// Whether anything is dropped.
                training: Mode,
            }
            members [training];
            |s, x| x.$f(s.p, s.training.is_training())
        )* }

        $(impl $name {
            /// A layer that drops with a probability.
            pub fn new(p: f64) -> $name {
                $name { p, training: Mode::default(), hooks: Hooks::default() }
            }
        })*
    };
}

dropouts! {
    Dropout dropout "[4]";
    Dropout1d dropout1d "[1, 2, 3]";
    Dropout2d dropout2d "[1, 2, 3, 3]";
    Dropout3d dropout3d "[1, 2, 3, 3, 3]";
    AlphaDropout alpha_dropout "[4]";
    FeatureAlphaDropout feature_alpha_dropout "[1, 2, 3]";
}
