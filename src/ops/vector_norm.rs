//! Norms of vectors, and what is measured by them.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::create::full;
use crate::ops::op::Fold;
use crate::shape::{Dims, Ints, axes};
use crate::tensor::Tensor;
use crate::tensor::node::{Save, record};

impl Tensor {
    /// The 2-norm of all elements, `√Σx²`. Derivative: `x / y`, 0 where the norm is 0.
    #[track_caller]
    pub fn norm(&self) -> Tensor {
        self.norm_over("norm", 2.0, axes("norm", self.shape(), ()), false)
    }

    /// The p-norm over dimensions, `(Σ|x|ᵖ)^(1/p)`; `p` may be infinite (the largest `|x|`), negatively infinite (the
    /// smallest) or 0 (how many are not 0). Derivative: `sign(x) (|x| / y)ᵖ⁻¹`, 0 where the norm or the element is 0;
    /// that of an infinite `p` is shared evenly among the elements that are largest.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[3.0, -4.0]], &Device::cpu());
    /// assert_eq!(x.norm_dim(2.0, 1, false).item()?, 5.0);
    /// assert_eq!(x.norm_dim(f64::INFINITY, 1, false).item()?, 4.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the elements are no floats, a dimension is out of range or named twice, or `p` is negative or
    /// infinite and there are no elements to compare.
    ///
    /// Source: [torch.linalg.vector_norm](https://docs.pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html).
    #[track_caller]
    pub fn norm_dim(&self, p: f64, dims: impl Ints, keepdim: bool) -> Tensor {
        self.norm_over("norm", p, axes("norm", self.shape(), dims), keepdim)
    }

    /// The p-norm over dimensions, all of them for `()`: [`Tensor::norm_dim`] under the name it has in `torch.linalg`.
    #[track_caller]
    pub fn vector_norm(&self, p: f64, dims: impl Ints, keepdim: bool) -> Tensor {
        self.norm_over("vector_norm", p, axes("vector_norm", self.shape(), dims), keepdim)
    }

    #[track_caller]
    fn norm_over(&self, op: &str, p: f64, dims: Dims, keepdim: bool) -> Tensor {
        self.expect_float(op);
        if (p < 0.0 || p.is_infinite()) && self.count(&dims) == 0.0 {
            misuse(op, format!("{:?} has no elements to compare", self.shape()));
        }
        const NAME: &str = "LinalgVectorNormBackward0";
        let sum = |x: Tensor| x.sum_named("SumBackward1", dims.clone(), keepdim);
        if p == 0.0 {
            let y = sum(self.ne(0.0)).cast(self.dtype());
            let shape = Dims::from_slice(self.shape());
            // The count is flat wherever it has a derivative.
            return record(y, NAME, &[self], &[], move |call| {
                vec![Some(full(0.0, shape.clone(), call.g.dtype(), &call.g.device()))]
            });
        }
        if p == 1.0 {
            return sum(self.abs());
        }
        if p.is_infinite() {
            let fold = if p > 0.0 { Fold::Max } else { Fold::Min };
            return self.abs().extreme(op, "AmaxBackward0", fold, dims, keepdim);
        }
        let with_ones = self.kept(&dims);
        let power = |x: &Tensor| if p == 2.0 { sum(x * x).sqrt() } else { sum(x.abs().pow(p)).pow(1.0 / p) };
        composite(
            NAME,
            &[self],
            &[Save::Input(self), Save::Output],
            || self.rounded_once(power),
            move |call| {
                let [x, y] = call.saved else { unreachable!("both are saved") };
                let (g, y) = (call.g.reshape(&with_ones[..]), y.reshape(&with_ones[..]));
                // Divisors and bases of powers stay off 0, so that no NaN comes out of the branch that is not chosen.
                let flat = y.eq(0.0);
                let y = Tensor::where_(&flat, 1.0, y);
                if p == 2.0 {
                    return vec![Some(Tensor::where_(&flat, 0.0, g * (x / y)))];
                }
                let flat = flat.logical_or(x.eq(0.0));
                let slope = x.sign() * (Tensor::where_(&flat, 1.0, x.abs()) / y).pow(p - 1.0);
                vec![Some(Tensor::where_(&flat, 0.0, g * slope))]
            },
        )
    }

    /// The p-norm of a difference, `‖a - b‖`; the two broadcast. Derivative: that of [`Tensor::norm_dim`].
    ///
    /// # Panics
    /// If the shapes do not broadcast or the difference is of no floats.
    #[track_caller]
    pub fn dist(&self, other: &Tensor, p: f64) -> Tensor {
        let difference = self - other;
        difference.norm_over("dist", p, axes("dist", difference.shape(), ()), false)
    }
}
