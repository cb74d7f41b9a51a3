//! Activations made of rows: those with settings, with weights, and with halves that gate each other.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::map::map;
use crate::ops::scalar::rows;
use crate::shape::axis;
use crate::tensor::Tensor;
use crate::tensor::node::Save;

impl Tensor {
    /// `ln(1 + eˣ)`, and `x` itself above 20. Derivative: `sigmoid x`, or 1.
    #[track_caller]
    pub fn softplus(&self) -> Tensor {
        self.softplus_with(1.0, 20.0)
    }

    /// `ln(1 + e^(βx)) / β`, and `x` itself where `βx` is above the threshold. Derivative: `sigmoid(βx)`, or 1.
    ///
    /// Source: [torch.nn.Softplus](https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html).
    #[track_caller]
    pub fn softplus_with(&self, beta: f64, threshold: f64) -> Tensor {
        map(&rows::softplus, &[self.into(), beta.into(), threshold.into()])
    }

    /// `x min(max(x + 3, 0), 6) / 6`. Derivative: 0 up to -3, `x / 3 + 1/2` below 3, and 1 from there and for NaN.
    ///
    /// Source: [Searching for MobileNetV3](https://arxiv.org/abs/1905.02244).
    #[track_caller]
    pub fn hardswish(&self) -> Tensor {
        let definition = || self * (self + 3.0).relu6() / 6.0;
        composite("HardswishBackward0", &[self], &[Save::Input(self)], definition, |call| {
            let (g, x) = (call.g, &call.saved[0]);
            let inside = Tensor::where_(&x.lt(3.0), g * (x / 3.0 + 0.5), g);
            vec![Some(Tensor::where_(&x.le(-3.0), 0.0, inside))]
        })
    }

    /// `x` moved towards 0 by `lambda`, and 0 where it is not further away. Derivative: 1 where the result is not 0, else 0.
    ///
    /// # Panics
    /// If `lambda` is negative.
    #[track_caller]
    pub fn softshrink(&self, lambda: f64) -> Tensor {
        if lambda < 0.0 {
            misuse("softshrink", format!("lambda is {lambda}, below 0, for shape {:?}", self.shape()));
        }
        map(&rows::softshrink, &[self.into(), lambda.into()])
    }

    /// `x`, and 0 where it is between `-lambda` and `lambda`. Derivative: 1 where the result is not 0, else 0.
    #[track_caller]
    pub fn hardshrink(&self, lambda: f64) -> Tensor {
        map(&rows::hardshrink, &[self.into(), lambda.into()])
    }

    /// `x - tanh x`. Derivative: `tanh² x`.
    #[track_caller]
    pub fn tanhshrink(&self) -> Tensor {
        self - self.tanh()
    }

    /// `x / (1 + |x|)`. Derivative: `1 / (1 + |x|)²`.
    #[track_caller]
    pub fn softsign(&self) -> Tensor {
        self / (self.abs() + 1.0)
    }

    /// The first half of a dimension times the sigmoid of the second: `a sigmoid(b)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[3.0, 0.0]], &Device::cpu());
    /// assert_eq!(x.glu(-1).to_vec::<f32>()?, [1.5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or its size is odd.
    ///
    /// Source: [Language Modeling with Gated Convolutional Networks](https://arxiv.org/abs/1612.08083).
    #[track_caller]
    pub fn glu(&self, dim: isize) -> Tensor {
        let d = axis("glu", self.shape(), dim);
        if self.rank() == 0 || self.shape()[d] % 2 == 1 {
            misuse("glu", format!("dimension {dim} of shape {:?} has no halves", self.shape()));
        }
        let half = self.shape()[d] / 2;
        let halves = move |x: &Tensor| [0, half].map(|start| x.narrow(d as isize, start, half));
        let definition = || {
            let [a, b] = halves(self);
            a * b.sigmoid()
        };
        composite("GluBackward0", &[self], &[Save::Input(self)], definition, move |call| {
            let ([a, b], g) = (halves(&call.saved[0].wide()), call.g.wide());
            let gate = b.sigmoid();
            let by_gate = &g * a * &gate * (1.0 - &gate);
            vec![Some(Tensor::cat(&[g * gate, by_gate], d as isize).cast(call.g.dtype()))]
        })
    }

    /// [`Tensor::leaky_relu`] with the slope as a weight: one for all, or one for each channel (dimension 1). Derivatives:
    /// 1 or the weight; and, for the weight, `x` where it is not positive.
    ///
    /// # Panics
    /// If the weight has neither one element nor one for each channel.
    ///
    /// Source: [torch.nn.functional.prelu](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.prelu.html).
    #[track_caller]
    pub fn prelu(&self, weight: &Tensor) -> Tensor {
        let channels = if self.rank() > 1 { self.shape()[1] } else { 1 };
        if weight.rank() > 1 || (weight.numel() != 1 && weight.numel() != channels) {
            misuse(
                "prelu",
                format!("a weight of shape {:?} for {channels} channels of {:?}", weight.shape(), self.shape()),
            );
        }
        let weight = match weight.numel() {
            1 => weight.reshape(()),
            n => {
                let mut shape = vec![1; self.rank()];
                shape[1] = n as isize;
                weight.reshape(shape)
            }
        };
        self.factor().leaky_relu(weight.factor())
    }

    /// [`Tensor::leaky_relu`] with a random slope for each element, uniform between two numbers, while training; and with
    /// the mean of the two otherwise. PyTorch's own bounds are 1/8 and 1/3.
    ///
    /// # Panics
    /// If `lower` is above `upper`.
    ///
    /// Source: [Empirical Evaluation of Rectified Activations](https://arxiv.org/abs/1505.00853).
    #[track_caller]
    pub fn rrelu(&self, lower: f64, upper: f64, training: bool) -> Tensor {
        if lower > upper {
            misuse(
                "rrelu",
                format!("the lower slope {lower} is above the upper {upper}, for shape {:?}", self.shape()),
            );
        }
        if !training {
            return self.leaky_relu((lower + upper) / 2.0);
        }
        let slope = Tensor::rand(self.shape(), &self.device()).cast(self.dtype()) * (upper - lower) + lower;
        self.leaky_relu(slope)
    }
}
