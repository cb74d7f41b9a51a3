//! Exponentials that sum to one over a dimension, and their logarithms.

use crate::ops::composite::composite;
use crate::shape::axis;
use crate::tensor::Tensor;
use crate::tensor::node::Save;

impl Tensor {
    /// `y = eˣ / Σeˣ` along one dimension. Derivative: `y (g - Σ g y)`. A slice of -∞ alone gives NaN.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::new([[0.0, 0.0], [1000.0, 0.0]], &Device::cpu()).softmax(1);
    /// assert_eq!(y.to_vec::<f32>()?, [0.5, 0.5, 1.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or the elements are no floats.
    ///
    /// Source: [torch.nn.functional.softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html);
    /// its `dtype` is `x.cast(dtype).softmax(dim)`.
    #[track_caller]
    pub fn softmax(&self, dim: isize) -> Tensor {
        self.softmax_named("softmax", dim)
    }

    /// `y = e⁻ˣ / Σe⁻ˣ` along one dimension: the softmax of `-x`. Derivative: `-y (g - Σ g y)`.
    ///
    /// # Panics
    /// If the dimension is out of range or the elements are no floats.
    #[track_caller]
    pub fn softmin(&self, dim: isize) -> Tensor {
        self.expect_float("softmin");
        (-self).softmax_named("softmin", dim)
    }

    #[track_caller]
    fn softmax_named(&self, op: &str, dim: isize) -> Tensor {
        self.expect_float(op);
        if let Some(x) = self.widened(op) {
            return x.softmax_named(op, dim);
        }
        let d = axis(op, self.shape(), dim) as isize;
        if self.numel() == 0 {
            return self.copy();
        }
        let x = self.wide();
        let definition = || {
            // Shifted by the largest element: the quotient is the same, and nothing overflows.
            let e = (&x - x.untracked().amax(d, true)).exp();
            &e / e.sum_dim(d, true)
        };
        composite("SoftmaxBackward0", &[&x], &[Save::Output], definition, move |call| {
            let (g, y) = (call.g, &call.saved[0]);
            vec![Some(y * (g - (g * y).sum_dim(d, true)))]
        })
        .cast(self.dtype())
    }

    /// The softmax over the last dimension, but 0 with gradient 0 where a whole slice is -∞.
    #[track_caller]
    pub(crate) fn masked_softmax(&self) -> Tensor {
        if self.numel() == 0 {
            return self.copy();
        }
        let definition = || {
            let top = self.untracked().amax(-1, true);
            let masked = top.eq(f64::NEG_INFINITY);
            let e = (self - Tensor::where_(&masked, 0.0, top)).exp();
            &e / Tensor::where_(&masked, 1.0, e.sum_dim(-1, true))
        };
        composite("SafeSoftmaxBackward0", &[self], &[Save::Output], definition, |call| {
            let (g, y) = (call.g, &call.saved[0]);
            vec![Some(y * (g - (g * y).sum_dim(-1, true)))]
        })
    }

    /// `y = ln softmax(x) = x - ln Σeˣ` along one dimension. Derivative: `g - eʸ Σg`.
    ///
    /// # Panics
    /// If the dimension is out of range or the elements are no floats.
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Tensor {
        self.expect_float("log_softmax");
        if let Some(x) = self.widened("log_softmax") {
            return x.log_softmax(dim);
        }
        let d = axis("log_softmax", self.shape(), dim) as isize;
        if self.numel() == 0 {
            return self.copy();
        }
        let x = self.wide();
        let definition = || {
            let shifted = &x - x.untracked().amax(d, true);
            let total = shifted.exp().sum_dim(d, true);
            shifted - total.log()
        };
        composite("LogSoftmaxBackward0", &[&x], &[Save::Output], definition, move |call| {
            let (g, y) = (call.g, &call.saved[0]);
            vec![Some(g - y.exp() * g.sum_dim(d, true))]
        })
        .cast(self.dtype())
    }
}
