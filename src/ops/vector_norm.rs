//! Norms of vectors and matrices, and what is measured by them.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::create::full;
use crate::ops::op::Fold;
use crate::shape::{Dims, Ints, axes, axis};
use crate::tensor::Tensor;
use crate::tensor::node::{Save, record};

/// Which norm [`Tensor::matrix_norm`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MatrixNorm {
    /// `√Σx²`, Frobenius's.
    Fro,
    /// The largest sum of sizes in a column for 1, in a row for infinity; for -1 and negative infinity the smallest one.
    P(f64),
}

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

    /// The norm of matrices whose rows lie along the first of two dimensions, and whose columns along the second.
    /// Derivative: through the sums, shared evenly among those that are largest or smallest; `x / y` of Frobenius's.
    ///
    /// ```
    /// use wgrad::{Device, MatrixNorm, Tensor};
    /// let x = Tensor::new([[1.0, -2.0], [3.0, 4.0]], &Device::cpu());
    /// assert_eq!(x.matrix_norm(MatrixNorm::P(1.0), [-2, -1], false).item()?, 6.0);
    /// assert_eq!(x.matrix_norm(MatrixNorm::P(f64::INFINITY), [-2, -1], false).item()?, 7.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the elements are no floats, a dimension is out of range or both are one, there are no sums to find the smallest
    /// of, or `p` is another number: those norms are of singular values.
    ///
    /// Source: [torch.linalg.matrix_norm](https://docs.pytorch.org/docs/stable/generated/torch.linalg.matrix_norm.html).
    #[track_caller]
    pub fn matrix_norm(&self, norm: MatrixNorm, dims: [isize; 2], keepdim: bool) -> Tensor {
        let op = "matrix_norm";
        self.expect_float(op);
        if self.rank() < 2 {
            misuse(op, format!("{:?} is no matrix", self.shape()));
        }
        let [rows, columns] = dims.map(|d| axis(op, self.shape(), d));
        let dims = axes(op, self.shape(), dims);
        let p = match norm {
            MatrixNorm::Fro => return self.norm_over(op, 2.0, dims, keepdim),
            MatrixNorm::P(p) if p.abs() == 1.0 || p.is_infinite() => p,
            MatrixNorm::P(p) => misuse(op, format!("the norm of p = {p} is one of singular values")),
        };
        let (summed, rest) = if p.is_infinite() { (columns, rows) } else { (rows, columns) };
        let sums = self.wide().abs().sum_dim(summed as isize, true);
        let y = match p > 0.0 {
            // Of no sums the largest is 0.
            true if sums.shape()[rest] == 0 => sums.sum_dim(rest as isize, true),
            true => sums.amax(rest as isize, true),
            false => sums.amin(rest as isize, true),
        };
        let y = y.cast(self.dtype());
        if keepdim { y } else { y.squeeze(&dims[..]) }
    }

    #[track_caller]
    fn norm_over(&self, op: &str, p: f64, dims: Dims, keepdim: bool) -> Tensor {
        self.expect_float(op);
        if let Some(x) = self.widened("norm") {
            return x.norm_over(op, p, dims, keepdim);
        }
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
            return self.abs().sum_named(NAME, dims, keepdim);
        }
        if p.is_infinite() {
            let fold = if p > 0.0 { Fold::Max } else { Fold::Min };
            return self.abs().extreme(op, NAME, fold, dims, keepdim);
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
        if let Some(x) = self.widened("dist") {
            return x.dist(other, p);
        }
        let difference = self - other;
        difference.norm_over("dist", p, axes("dist", difference.shape(), ()), false)
    }
}
