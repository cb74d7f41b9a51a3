//! Activations: functions of tensors as layers, each a row.

use crate::nn::layer::{layers, parameter};
use crate::nn::{Hooks, Mode};
use crate::ops::create::Options;
use crate::tensor::Tensor;

/// A layer from a function: `new` takes the options in order, and `Default` has PyTorch's.
macro_rules! activations {
    ($($name:ident $(($($field:ident: $type:ty = $default:expr),*))? |$s:ident, $x:ident| $y:expr, $doc:expr;)*) => {
        layers! { $(
            #[doc = $doc]
            ///
            /// ```
            #[doc = concat!("use wgrad::nn::{", stringify!($name), ", Layer};")]
            /// use wgrad::{Device, Tensor};
            /// let x = Tensor::new([[-1.0, 2.0]], &Device::cpu());
            #[doc = concat!("assert_eq!(", stringify!($name), "::default().forward(&x).rank(), 2);")]
            /// ```
            ///
            /// Source: [torch.nn](https://docs.pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity).
            $name {
                $($(
                    #[doc = concat!("The option `", stringify!($field), "` of PyTorch's module; `", stringify!($default), "` unless it is said.")]
                    $field: $type,
                )*)?
            }
            members [];
            |$s, $x| $y
        )* }

        $(
            impl Default for $name {
                fn default() -> $name {
                    $name { $($($field: $default,)*)? hooks: Hooks::default() }
                }
            }

            impl $name {
                /// The layer with these options.
                #[allow(clippy::new_without_default, reason = "there is one")]
                pub fn new($($($field: $type),*)?) -> $name {
                    $name { $($($field,)*)? hooks: Hooks::default() }
                }
            }
        )*
    };
}

activations! {
    ReLU |_s, x| x.relu(), "[`Tensor::relu`] as a layer.";
    ReLU6 |_s, x| x.relu6(), "[`Tensor::relu6`] as a layer.";
    LeakyReLU(negative_slope: f64 = 0.01) |s, x| x.leaky_relu(s.negative_slope), "[`Tensor::leaky_relu`] as a layer.";
    Elu(alpha: f64 = 1.0) |s, x| x.elu(s.alpha), "[`Tensor::elu`] as a layer.";
    Celu(alpha: f64 = 1.0) |s, x| x.celu(s.alpha), "[`Tensor::celu`] as a layer.";
    Selu |_s, x| x.selu(), "[`Tensor::selu`] as a layer.";
    Gelu |_s, x| x.gelu(), "[`Tensor::gelu`] as a layer.";
    SiLU |_s, x| x.silu(), "[`Tensor::silu`] as a layer.";
    Mish |_s, x| x.mish(), "[`Tensor::mish`] as a layer.";
    Sigmoid |_s, x| x.sigmoid(), "[`Tensor::sigmoid`] as a layer.";
    LogSigmoid |_s, x| x.logsigmoid(), "[`Tensor::logsigmoid`] as a layer.";
    Tanh |_s, x| x.tanh(), "[`Tensor::tanh`] as a layer.";
    Tanhshrink |_s, x| x.tanhshrink(), "[`Tensor::tanhshrink`] as a layer.";
    Softsign |_s, x| x.softsign(), "[`Tensor::softsign`] as a layer.";
    Softplus(beta: f64 = 1.0, threshold: f64 = 20.0) |s, x| x.softplus_with(s.beta, s.threshold),
        "[`Tensor::softplus_with`] as a layer.";
    Softshrink(lambd: f64 = 0.5) |s, x| x.softshrink(s.lambd), "[`Tensor::softshrink`] as a layer.";
    Hardshrink(lambd: f64 = 0.5) |s, x| x.hardshrink(s.lambd), "[`Tensor::hardshrink`] as a layer.";
    Hardsigmoid |_s, x| x.hardsigmoid(), "[`Tensor::hardsigmoid`] as a layer.";
    Hardswish |_s, x| x.hardswish(), "[`Tensor::hardswish`] as a layer.";
    Hardtanh(min_val: f64 = -1.0, max_val: f64 = 1.0) |s, x| x.hardtanh(s.min_val, s.max_val),
        "[`Tensor::hardtanh`] as a layer.";
    Threshold(threshold: f64 = 0.0, value: f64 = 0.0) |s, x| x.threshold(s.threshold, s.value),
        "[`Tensor::threshold`] as a layer.";
    Glu(dim: isize = -1) |s, x| x.glu(s.dim), "[`Tensor::glu`] as a layer.";
    Softmax(dim: isize = -1) |s, x| x.softmax(s.dim), "[`Tensor::softmax`] as a layer.";
    Softmin(dim: isize = -1) |s, x| x.softmin(s.dim), "[`Tensor::softmin`] as a layer.";
    LogSoftmax(dim: isize = -1) |s, x| x.log_softmax(s.dim), "[`Tensor::log_softmax`] as a layer.";
}

layers! {
    /// [`Tensor::prelu`] with slopes that are learned, 1/4 in the beginning.
    ///
    /// ```
    /// use wgrad::nn::{Layer, PReLU};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// assert_eq!(PReLU::new(1, &dev).forward(&Tensor::new([-4.0], &dev)).item()?, -1.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.nn.PReLU](https://docs.pytorch.org/docs/stable/generated/torch.nn.PReLU.html).
    PReLU {
        /// One slope, or one for each channel.
        weight: Tensor,
    }
    members [weight];
    |s, x| x.prelu(&s.weight)

    /// [`Tensor::rrelu`]: random slopes in training.
    ///
    /// ```
    /// use wgrad::nn::{Layer, Module, RReLU};
    /// use wgrad::{Device, Tensor};
    /// let rrelu = RReLU::new(0.25, 0.75);
    /// rrelu.eval();
    /// assert_eq!(rrelu.forward(&Tensor::new([-4.0], &Device::cpu())).item()?, -2.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.nn.RReLU](https://docs.pytorch.org/docs/stable/generated/torch.nn.RReLU.html).
    RReLU {
        /// The least slope.
        lower: f64,
        /// The largest slope.
        upper: f64,
        /// Whether slopes are random.
        training: Mode,
    }
    members [training];
    |s, x| x.rrelu(s.lower, s.upper, s.training.is_training())
}

impl PReLU {
    /// A layer with one slope, or with one for each channel.
    #[track_caller]
    pub fn new(parameters: usize, place: impl Into<Options>) -> PReLU {
        PReLU { weight: parameter(Tensor::full([parameters], 0.25, place).copy()), hooks: Hooks::default() }
    }
}

impl RReLU {
    /// A layer with slopes between two numbers.
    pub fn new(lower: f64, upper: f64) -> RReLU {
        RReLU { lower, upper, training: Mode::default(), hooks: Hooks::default() }
    }
}
