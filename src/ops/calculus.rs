//! Calculus on samples: differences and integrals along a dimension.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::map::Arg;
use crate::shape::axis;
use crate::tensor::Tensor;

impl Tensor {
    /// The differences of neighbours along a dimension, `x_{k+1} - x_k`, taken `n` times; of bools, whether they differ.
    /// Derivative: that of the differences. What PyTorch prepends and appends is joined by [`Tensor::cat`] before.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1, 4, 9, 16], &Device::cpu());
    /// assert_eq!(x.diff(1, -1).to_vec::<i32>()?, [3, 5, 7]);
    /// assert_eq!(x.diff(2, -1).to_vec::<i32>()?, [2, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or this tensor is 0-d.
    #[track_caller]
    pub fn diff(&self, n: usize, dim: isize) -> Tensor {
        let d = axis("diff", self.shape(), dim);
        if self.rank() == 0 {
            misuse("diff", "a 0-d tensor has no dimensions");
        }
        let mut x = self.clone();
        for _ in 0..n.min(self.shape()[d]) {
            let (before, after) = x.neighbours(d);
            x = if x.dtype() == DType::Bool { after.ne(before) } else { after - before };
        }
        x
    }

    /// All elements of a dimension but the last one, and all but the first one.
    #[track_caller]
    fn neighbours(&self, d: usize) -> (Tensor, Tensor) {
        let (dim, n) = (d as isize, self.shape()[d]);
        (self.narrow(dim, 0, n.saturating_sub(1)), self.narrow(dim, n.min(1), n.saturating_sub(1)))
    }

    /// The integral over a dimension by the trapezoidal rule, `Σ (y_{k+1} + y_k) (x_{k+1} - x_k) / 2`: `x` is the distance
    /// of all samples, or a tensor of their places, one for every sample. Derivative: that of the sum.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::new([1.0, 5.0, 10.0], &dev);
    /// assert_eq!(y.trapezoid(2.0, -1).item()?, 21.0);
    /// assert_eq!(y.trapezoid(Tensor::new([1.0, 3.0, 6.0], &dev), -1).item()?, 28.5);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range, this tensor is 0-d, or the places do not fit.
    ///
    /// Source: [torch.trapezoid](https://docs.pytorch.org/docs/stable/generated/torch.trapezoid.html).
    #[track_caller]
    pub fn trapezoid(&self, x: impl Into<Arg>, dim: isize) -> Tensor {
        let d = axis("trapezoid", self.shape(), dim) as isize - self.rank() as isize;
        self.trapezoids("trapezoid", x.into(), d).sum_dim(d, false)
    }

    /// The integrals over a dimension up to each sample after the first; otherwise as [`Tensor::trapezoid`].
    #[track_caller]
    pub fn cumulative_trapezoid(&self, x: impl Into<Arg>, dim: isize) -> Tensor {
        let d = axis("cumulative_trapezoid", self.shape(), dim) as isize - self.rank() as isize;
        self.trapezoids("cumulative_trapezoid", x.into(), d).cumsum(d)
    }

    /// The areas between neighbours along dimension `dim`, counted from the end since places may have fewer dimensions.
    #[track_caller]
    fn trapezoids(&self, op: &str, x: Arg, dim: isize) -> Tensor {
        if self.rank() == 0 {
            misuse(op, "a 0-d tensor has no dimensions");
        }
        let d = (dim + self.rank() as isize) as usize;
        let (before, after) = self.neighbours(d);
        let x = match x {
            Arg::Number(distance, _) => return (before + after) * (distance / 2.0),
            Arg::Tensor(x) => x,
        };
        // A list of places belongs to the dimension, wherever it is.
        let places = if x.rank() == 1 && dim < -1 {
            let mut shape = vec![1; dim.unsigned_abs()];
            shape[0] = x.numel();
            x.reshape(shape)
        } else {
            x.clone()
        };
        let at = places.rank() as isize + dim;
        if at < 0 || places.shape()[at as usize] != self.shape()[d] {
            misuse(op, format!("places {:?} do not fit samples {:?} along dimension {d}", x.shape(), self.shape()));
        }
        let (left, right) = places.neighbours(at as usize);
        (before + after) * (right - left) / 2.0
    }
}
