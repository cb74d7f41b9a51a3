//! Affine maps.

use crate::nn::Hooks;
use crate::nn::layer::{layers, parameter};
use crate::ops::create::Options;
use crate::tensor::Tensor;

layers! {
    /// `y = x Wᵀ + b` over the last dimension; both begin uniform within `±1/√in`.
    ///
    /// ```
    /// use wgrad::nn::{Layer, Linear};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let linear = Linear::new(3, 2, &dev);
    /// assert_eq!((linear.weight.shape(), linear.forward(&Tensor::ones([5, 3], &dev)).shape()), (&[2, 3][..], &[5, 2][..]));
    /// ```
    ///
    /// Source: [torch.nn.Linear](https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html).
    Linear {
        /// `[out, in]`
        weight: Tensor,
        /// `[out]`
        bias: Option<Tensor>,
    }
    members [weight, bias];
    |s, x| x.linear(&s.weight, s.bias.as_ref())
}

impl Linear {
    /// A layer from `input` to `output` features.
    #[track_caller]
    pub fn new(input: usize, output: usize, options: impl Into<Options>) -> Linear {
        let (options, bound) = (options.into(), 1.0 / (input as f64).sqrt());
        let weight = parameter(Tensor::uniform(-bound, bound, [output, input], options.clone()));
        let bias = parameter(Tensor::uniform(-bound, bound, [output], options));
        Linear { weight, bias: Some(bias), hooks: Hooks::default() }
    }

    /// The same layer without its bias.
    pub fn without_bias(self) -> Linear {
        Linear { bias: None, ..self }
    }
}

/// `yₒ = aᵀ Wₒ b + cₒ` over the last dimensions; all begin uniform within `±1/√(in of a)`.
///
/// ```
/// use wgrad::nn::Bilinear;
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let y = Bilinear::new(2, 3, 4, &dev).forward(&Tensor::ones([5, 2], &dev), &Tensor::ones([5, 3], &dev));
/// assert_eq!(y.shape(), [5, 4]);
/// ```
///
/// Source: [torch.nn.Bilinear](https://docs.pytorch.org/docs/stable/generated/torch.nn.Bilinear.html).
pub struct Bilinear {
    /// `[out, in of a, in of b]`
    pub weight: Tensor,
    /// `[out]`
    pub bias: Option<Tensor>,
    /// What runs before and after.
    pub hooks: Hooks,
}
crate::module!(Bilinear { weight, bias, hooks });

impl Bilinear {
    /// A layer from pairs of features.
    #[track_caller]
    pub fn new(a: usize, b: usize, output: usize, options: impl Into<Options>) -> Bilinear {
        let (options, bound) = (options.into(), 1.0 / (a as f64).sqrt());
        let weight = parameter(Tensor::uniform(-bound, bound, [output, a, b], options.clone()));
        let bias = parameter(Tensor::uniform(-bound, bound, [output], options));
        Bilinear { weight, bias: Some(bias), hooks: Hooks::default() }
    }

    /// The result for a pair of inputs.
    #[track_caller]
    pub fn forward(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let call = self.hooks.enter(&[a, b]);
        let y = call.inputs[0].bilinear(&call.inputs[1], &self.weight, self.bias.as_ref());
        call.leave(y)
    }
}
