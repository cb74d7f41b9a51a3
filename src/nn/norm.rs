//! Normalisation.

use crate::dtype::DType;
use crate::error::misuse;
use crate::nn::layer::{layers, parameter};
use crate::nn::{Buffer, Hooks, Mode};
use crate::ops::create::Options;
use crate::ops::norm::BatchNormOptions;
use crate::shape::{Ints, sizes};
use crate::tensor::Tensor;

layers! {
    /// [`Tensor::layer_norm`] over the last dimensions; weight 1 and bias 0 in the beginning.
    ///
    /// ```
    /// use wgrad::nn::{Layer, LayerNorm};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = LayerNorm::new(2, &dev).forward(&Tensor::new([[1.0, 3.0]], &dev));
    /// assert!((y.to_vec::<f64>()?[1] - 1.0).abs() < 1e-4);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.nn.LayerNorm](https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html).
    LayerNorm {
        /// The sizes that are normalised over.
        normalized_shape: Vec<usize>,
        /// A factor for each element.
        weight: Option<Tensor>,
        /// A number added to each element.
        bias: Option<Tensor>,
        /// Added to the variance: 1e-5.
        eps: f64,
    }
    members [weight, bias];
    |s, x| x.layer_norm(&s.normalized_shape, s.weight.as_ref(), s.bias.as_ref(), s.eps)

    /// [`Tensor::rms_norm`] over the last dimensions; weight 1 in the beginning.
    ///
    /// ```
    /// use wgrad::nn::{Layer, RMSNorm};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = RMSNorm::new(2, &dev).forward(&Tensor::new([[2.0, -2.0]], &dev));
    /// assert!((y.to_vec::<f64>()?[1] + 1.0).abs() < 1e-4);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.nn.RMSNorm](https://docs.pytorch.org/docs/stable/generated/torch.nn.modules.normalization.RMSNorm.html).
    RMSNorm {
        /// The sizes that are normalised over.
        normalized_shape: Vec<usize>,
        /// A factor for each element.
        weight: Option<Tensor>,
        /// Added to the mean square; `None` for the precision of the dtype.
        eps: Option<f64>,
    }
    members [weight];
    |s, x| x.rms_norm(&s.normalized_shape, s.weight.as_ref(), s.eps)

    /// [`Tensor::group_norm`]; weight 1 and bias 0 for each channel in the beginning.
    ///
    /// ```
    /// use wgrad::nn::{GroupNorm, Layer};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// assert_eq!(GroupNorm::new(2, 4, &dev).forward(&Tensor::ones([1, 4, 3], &dev)).shape(), [1, 4, 3]);
    /// ```
    ///
    /// Source: [torch.nn.GroupNorm](https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html).
    GroupNorm {
        /// Into how many groups the channels fall.
        num_groups: usize,
        /// A factor for each channel.
        weight: Option<Tensor>,
        /// A number added to each channel.
        bias: Option<Tensor>,
        /// Added to the variance: 1e-5.
        eps: f64,
    }
    members [weight, bias];
    |s, x| x.group_norm(s.num_groups, s.weight.as_ref(), s.bias.as_ref(), s.eps)
}

#[track_caller]
fn ones(shape: &[usize], place: Options) -> Option<Tensor> {
    Some(parameter(Tensor::ones(shape, place).copy()))
}

#[track_caller]
fn zeros(shape: &[usize], place: Options) -> Option<Tensor> {
    Some(parameter(Tensor::zeros(shape, place).copy()))
}

impl LayerNorm {
    /// A layer over the last dimensions.
    #[track_caller]
    pub fn new(normalized_shape: impl Ints, place: impl Into<Options>) -> LayerNorm {
        let (shape, place) = (sizes("LayerNorm", normalized_shape).to_vec(), place.into());
        let (weight, bias) = (ones(&shape, place.clone()), zeros(&shape, place));
        LayerNorm { normalized_shape: shape, weight, bias, eps: 1e-5, hooks: Hooks::default() }
    }
}

impl RMSNorm {
    /// A layer over the last dimensions.
    #[track_caller]
    pub fn new(normalized_shape: impl Ints, place: impl Into<Options>) -> RMSNorm {
        let shape = sizes("RMSNorm", normalized_shape).to_vec();
        let weight = ones(&shape, place.into());
        RMSNorm { normalized_shape: shape, weight, eps: None, hooks: Hooks::default() }
    }
}

impl GroupNorm {
    /// A layer over groups of channels.
    #[track_caller]
    pub fn new(num_groups: usize, channels: usize, place: impl Into<Options>) -> GroupNorm {
        let place = place.into();
        let (weight, bias) = (ones(&[channels], place.clone()), zeros(&[channels], place));
        GroupNorm { num_groups, weight, bias, eps: 1e-5, hooks: Hooks::default() }
    }
}

#[track_caller]
fn expect_rank(op: &str, x: &Tensor, ranks: &[usize]) {
    if !ranks.contains(&x.rank()) {
        misuse(op, format!("needs {ranks:?} dimensions, and the input has {:?}", x.shape()));
    }
}

macro_rules! statistics {
    ($($batch:ident $instance:ident $ranks:expr, $input:literal;)*) => {
        layers! { $(
            /// [`Tensor::batch_norm`] with running statistics; weight 1 and bias 0 for each channel in the beginning.
            ///
            /// ```
            #[doc = concat!("use wgrad::nn::{", stringify!($batch), ", Layer, Module};")]
            /// use wgrad::{Device, Tensor};
            /// let dev = Device::cpu();
            #[doc = concat!("let (norm, x) = (", stringify!($batch), "::new(2, &dev), Tensor::ones(", $input, ", &dev));")]
            /// norm.forward(&x);
            /// assert!(norm.running_mean.as_ref().unwrap().to_vec::<f64>()?.iter().all(|m| (m - 0.1).abs() < 1e-6));
            /// norm.eval();
            /// assert_eq!(norm.forward(&x).shape(), x.shape());
            /// # Ok::<(), wgrad::Error>(())
            /// ```
            ///
            #[doc = concat!("Source: [torch.nn.", stringify!($batch), "](https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($batch), ".html).")]
            $batch {
                /// A factor for each channel.
                weight: Option<Tensor>,
                /// A number added to each channel.
                bias: Option<Tensor>,
                /// The running mean of each channel; without, statistics are always those of the batch.
                running_mean: Option<Buffer>,
                /// The running variance of each channel.
                running_var: Option<Buffer>,
                /// How many batches the running statistics have seen.
                num_batches_tracked: Option<Buffer>,
                /// How far the running statistics move towards those of a batch: 0.1. `None` makes them the average over all
                /// batches.
                momentum: Option<f64>,
                /// Added to the variance: 1e-5.
                eps: f64,
                /// Whether statistics are those of the batch.
                training: Mode,
            }
            members [weight, bias, running_mean, running_var, num_batches_tracked, training];
            |s, x| {
                expect_rank(stringify!($batch), x, &$ranks);
                let training = s.training.is_training();
                if let (true, Some(n)) = (training, &s.num_batches_tracked) {
                    n.add_(1).expect("a buffer can be changed");
                }
                x.batch_norm(BatchNormOptions {
                    running_mean: s.running_mean.as_deref().cloned(),
                    running_var: s.running_var.as_deref().cloned(),
                    weight: s.weight.clone(),
                    bias: s.bias.clone(),
                    training: training || s.running_mean.is_none(),
                    momentum: match (s.momentum, &s.num_batches_tracked) {
                        (Some(momentum), _) => momentum.into(),
                        // Only the device counts the batches.
                        (None, Some(n)) => (1.0 / &n.0).into(),
                        (None, None) => 0.0.into(),
                    },
                    eps: s.eps,
                })
            }

            /// [`Tensor::instance_norm`]; weight, bias and running statistics only if they are set.
            ///
            /// ```
            #[doc = concat!("use wgrad::nn::{", stringify!($instance), ", Layer};")]
            /// use wgrad::{Device, Tensor};
            #[doc = concat!("let x = Tensor::ones(", $input, ", &Device::cpu());")]
            #[doc = concat!("assert_eq!(", stringify!($instance), "::new().forward(&x).shape(), x.shape());")]
            /// ```
            ///
            #[doc = concat!("Source: [torch.nn.", stringify!($instance), "](https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($instance), ".html).")]
            $instance {
                /// A factor for each channel.
                weight: Option<Tensor>,
                /// A number added to each channel.
                bias: Option<Tensor>,
                /// The running mean of each channel.
                running_mean: Option<Buffer>,
                /// The running variance of each channel.
                running_var: Option<Buffer>,
                /// How far the running statistics move towards those of a batch: 0.1.
                momentum: f64,
                /// Added to the variance: 1e-5.
                eps: f64,
                /// Whether running statistics follow, and are not used.
                training: Mode,
            }
            members [weight, bias, running_mean, running_var, training];
            |s, x| {
                // Without a batch there is one of size 1.
                expect_rank(stringify!($instance), x, &[$ranks[$ranks.len() - 1] - 1, $ranks[$ranks.len() - 1]]);
                let batched = $ranks.last() == Some(&x.rank());
                let y = if batched { x.clone() } else { x.unsqueeze(0) };
                let y = y.instance_norm_with(BatchNormOptions {
                    running_mean: s.running_mean.as_deref().cloned(),
                    running_var: s.running_var.as_deref().cloned(),
                    weight: s.weight.clone(),
                    bias: s.bias.clone(),
                    training: s.training.is_training(),
                    momentum: s.momentum.into(),
                    eps: s.eps,
                });
                if batched { y } else { y.squeeze(0) }
            }
        )* }

        $(
            impl $batch {
                /// A layer over channels, dimension 1.
                #[track_caller]
                pub fn new(channels: usize, place: impl Into<Options>) -> $batch {
                    let place = place.into();
                    let buffer = |x: Tensor| Some(Buffer(x.copy()));
                    $batch {
                        weight: ones(&[channels], place.clone()),
                        bias: zeros(&[channels], place.clone()),
                        running_mean: buffer(Tensor::zeros([channels], place.clone())),
                        running_var: buffer(Tensor::ones([channels], place.clone())),
                        num_batches_tracked: buffer(Tensor::zeros((), (&place.device, DType::I32))),
                        momentum: Some(0.1),
                        eps: 1e-5,
                        training: Mode::default(),
                        hooks: Hooks::default(),
                    }
                }
            }

            impl Default for $instance {
                fn default() -> $instance {
                    $instance {
                        weight: None,
                        bias: None,
                        running_mean: None,
                        running_var: None,
                        momentum: 0.1,
                        eps: 1e-5,
                        training: Mode::default(),
                        hooks: Hooks::default(),
                    }
                }
            }

            impl $instance {
                /// A layer without parameters and running statistics, as in PyTorch.
                pub fn new() -> $instance {
                    $instance::default()
                }

                /// A layer with a weight and a bias for each channel.
                #[track_caller]
                pub fn affine(channels: usize, place: impl Into<Options>) -> $instance {
                    let place = place.into();
                    let (weight, bias) = (ones(&[channels], place.clone()), zeros(&[channels], place));
                    $instance { weight, bias, ..Default::default() }
                }
            }
        )*
    };
}

statistics! {
    BatchNorm1d InstanceNorm1d [2, 3], "[4, 2, 3]";
    BatchNorm2d InstanceNorm2d [4], "[4, 2, 3, 3]";
    BatchNorm3d InstanceNorm3d [5], "[4, 2, 3, 3, 3]";
}
