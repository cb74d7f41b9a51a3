//! Dropout: elements or whole channels left out at random.
//!
//! The mask is a function of a stream of the counter-based generator, so it is computed wherever it is read: the graph
//! keeps the stream, and backward makes the same mask again. No buffer of its size is kept.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::map::record_value;
use crate::ops::op::{Distribution, Op};
use crate::random::Stream;
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use crate::tensor::value::Operands;

/// What dropped elements of [`Tensor::alpha_dropout`] are before the result is scaled: the limit of SELU at -∞.
const SATURATED: f64 = -1.7580993408473766;

/// Which elements are kept, each with one probability.
#[derive(Clone)]
struct Mask {
    stream: Stream,
    varying: Operands,
    shape: Dims,
    keep: f64,
    device: Device,
}

impl Mask {
    /// 1 where an element is kept, 0 where it is dropped.
    #[track_caller]
    fn values(&self, dtype: DType) -> Tensor {
        let op = Op::Random(Distribution::Uniform, self.stream);
        let random = record_value(op, self.varying.clone(), self.shape.clone(), DType::F32, &self.device);
        Tensor::from_value(random).lt(self.keep).cast(dtype)
    }
}

/// What becomes of the dropped elements.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    /// They are 0, and the mean stays.
    Zero,
    /// They saturate, and mean and variance of a standard normal input stay.
    Saturated,
}

impl Tensor {
    /// In training, each element is 0 with probability `p`, else `x / (1 - p)`; `x` itself otherwise. Derivative: the
    /// same mask and factor.
    ///
    /// The mask comes from the device's generator (see [`Tensor::rand`]): the same on every device for the same seed.
    /// Backward computes it again; it is not kept.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([1000], &Device::cpu()).requires_grad_(true)?;
    /// let y = x.dropout(0.5, true);
    /// assert!(y.to_vec::<f32>()?.iter().all(|&y| y == 0.0 || y == 2.0));
    /// y.sum().backward()?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, y.to_vec::<f32>()?);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `p` is not between 0 and 1, or the elements are no floats.
    ///
    /// Source: [torch.nn.functional.dropout](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html).
    #[track_caller]
    pub fn dropout(&self, p: f64, training: bool) -> Tensor {
        self.dropped("dropout", p, training, self.shape(), Fill::Zero)
    }

    /// [`Tensor::dropout`] of whole channels: dimension 1 of `[n, channels, length]`, dimension 0 without the batch.
    ///
    /// # Panics
    /// If the rank is neither 2 nor 3, or as [`Tensor::dropout`].
    #[track_caller]
    pub fn dropout1d(&self, p: f64, training: bool) -> Tensor {
        let shape = self.channel_mask("dropout1d", &[2, 3], 3);
        self.dropped("dropout1d", p, training, &shape, Fill::Zero)
    }

    /// [`Tensor::dropout`] of whole channels, dimension 1 of `[n, channels, height, width]` or `[n, channels, length]`.
    ///
    /// # Panics
    /// If the rank is neither 3 nor 4, or as [`Tensor::dropout`].
    #[track_caller]
    pub fn dropout2d(&self, p: f64, training: bool) -> Tensor {
        let shape = self.channel_mask("dropout2d", &[3, 4], 0);
        self.dropped("dropout2d", p, training, &shape, Fill::Zero)
    }

    /// [`Tensor::dropout`] of whole channels: dimension 1 of `[n, channels, depth, height, width]`, dimension 0 without
    /// the batch.
    ///
    /// # Panics
    /// If the rank is neither 4 nor 5, or as [`Tensor::dropout`].
    #[track_caller]
    pub fn dropout3d(&self, p: f64, training: bool) -> Tensor {
        let shape = self.channel_mask("dropout3d", &[4, 5], 5);
        self.dropped("dropout3d", p, training, &shape, Fill::Zero)
    }

    /// Dropout that keeps mean 0 and variance 1: dropped elements become the limit of SELU at -∞, and all are scaled and
    /// shifted. Derivative: the same mask and factor.
    ///
    /// # Panics
    /// As [`Tensor::dropout`].
    ///
    /// Source: Klambauer et al., "Self-normalizing neural networks" (2017).
    #[track_caller]
    pub fn alpha_dropout(&self, p: f64, training: bool) -> Tensor {
        self.dropped("alpha_dropout", p, training, self.shape(), Fill::Saturated)
    }

    /// [`Tensor::alpha_dropout`] of whole channels, dimension 1.
    ///
    /// # Panics
    /// If there is no dimension 1, or as [`Tensor::dropout`].
    #[track_caller]
    pub fn feature_alpha_dropout(&self, p: f64, training: bool) -> Tensor {
        let ranks: Vec<usize> = (2..=self.rank().max(2)).collect();
        let shape = self.channel_mask("feature_alpha_dropout", &ranks, 0);
        self.dropped("feature_alpha_dropout", p, training, &shape, Fill::Saturated)
    }

    /// The shape of a mask over channels: they are dimension 1, or 0 below the rank a batch has.
    #[track_caller]
    fn channel_mask(&self, op: &str, ranks: &[usize], batched: usize) -> Dims {
        if !ranks.contains(&self.rank()) {
            misuse(op, format!("needs {ranks:?} dimensions, and the input has {:?}", self.shape()));
        }
        let kept = if self.rank() < batched { 1 } else { 2 };
        (0..self.rank()).map(|d| if d < kept { self.shape()[d] } else { 1 }).collect()
    }

    #[track_caller]
    fn dropped(&self, op: &str, p: f64, training: bool, mask: &[usize], fill: Fill) -> Tensor {
        self.expect_float(op);
        if !(0.0..=1.0).contains(&p) {
            misuse(op, format!("a probability of {p} is not between 0 and 1"));
        }
        if !training || p == 0.0 {
            return self.clone();
        }
        let device = self.device();
        let (stream, varying) = device.next_stream(op);
        let mask = Mask { stream, varying, shape: Dims::from_slice(mask), keep: 1.0 - p, device };
        // `y = m a x + b` where kept and `b + (1 - m) a s` where dropped, for the mask m and what is saturated, s.
        let a = match fill {
            _ if p == 1.0 => 0.0,
            Fill::Zero => 1.0 / (1.0 - p),
            Fill::Saturated => ((SATURATED * SATURATED * p + 1.0) * (1.0 - p)).sqrt().recip(),
        };
        let x = self.wide();
        let definition = || {
            let m = mask.values(x.dtype());
            match fill {
                Fill::Zero => &x * (m * a),
                Fill::Saturated => &x * (&m * a) + ((1.0 - m) * (a * SATURATED) - a * SATURATED * p),
            }
        };
        let again = mask.clone();
        composite("NativeDropoutBackward0", &[&x], &[], definition, move |call| {
            vec![Some(call.g * (again.values(call.g.dtype()) * a))]
        })
        .cast(self.dtype())
    }
}
