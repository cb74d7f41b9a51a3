//! The largest and smallest elements of dimensions, and where they are.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::create::full;
use crate::ops::map::map;
use crate::ops::op::Fold;
use crate::ops::ranges::iota;
use crate::ops::scalar::rows;
use crate::shape::{Dims, Ints, axes, axis};
use crate::tensor::Tensor;
use crate::tensor::node::Save;
use crate::tensor::profile;

impl Tensor {
    /// The largest element, NaN if one is. Derivative: shared evenly among the elements that are largest.
    ///
    /// # Panics
    /// If there are no elements.
    #[track_caller]
    pub fn max(&self) -> Tensor {
        self.extreme("max", "MaxBackward1", Fold::Max, axes("max", self.shape(), ()), false)
    }

    /// The smallest element, NaN if one is. Derivative: shared evenly among the elements that are smallest.
    ///
    /// # Panics
    /// If there are no elements.
    #[track_caller]
    pub fn min(&self) -> Tensor {
        self.extreme("min", "MinBackward1", Fold::Min, axes("min", self.shape(), ()), false)
    }

    /// The largest elements over dimensions. Derivative: shared evenly among the elements that are largest.
    #[track_caller]
    pub fn amax(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.extreme("amax", "AmaxBackward0", Fold::Max, axes("amax", self.shape(), dims), keepdim)
    }

    /// The smallest elements over dimensions. Derivative: shared evenly among the elements that are smallest.
    #[track_caller]
    pub fn amin(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.extreme("amin", "AminBackward0", Fold::Min, axes("amin", self.shape(), dims), keepdim)
    }

    /// The smallest and the largest elements over one dimension or, without one, over all. Derivative: shared evenly among
    /// the elements that are smallest, or largest.
    ///
    /// # Panics
    /// If the dimension is out of range or there are no elements.
    #[track_caller]
    pub fn aminmax(&self, dim: impl Into<Option<isize>>, keepdim: bool) -> (Tensor, Tensor) {
        let dims = dim.into().map_or(vec![], |d| vec![d]);
        (self.amin(&dims, keepdim), self.amax(&dims, keepdim))
    }

    #[track_caller]
    pub(crate) fn extreme(&self, op: &str, name: &'static str, fold: Fold, dims: Dims, keepdim: bool) -> Tensor {
        if dims.iter().any(|&d| self.shape()[d] == 0) {
            misuse(op, format!("{:?} has no elements to compare", self.shape()));
        }
        let _operation = profile::operation(name);
        let y = self.fold(fold, &dims, self.dtype());
        // As in PyTorch, NaN equals itself in `max` and `min`, and does not in `amax` and `amin`.
        let nan_ties = matches!(op, "max" | "min");
        let reduced = dims.clone();
        let with_ones = self.kept(&dims);
        self.folded(name, y, dims, keepdim, &[Save::Input(self), Save::Output], move |g, saved| {
            let [x, y] = saved else { unreachable!("both are saved") };
            shared(g, x, &y.reshape(&with_ones[..]), &reduced, nan_ties)
        })
    }

    /// The largest elements over one dimension, and where they are: the first one where several are.
    /// Derivative: 1 for the element returned.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let (values, indices) = Tensor::new([[1.0, 5.0], [7.0, 2.0]], &Device::cpu()).max_dim(1, false);
    /// assert_eq!((values.to_vec::<f32>()?, indices.to_vec::<i32>()?), (vec![5.0, 7.0], vec![1, 0]));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or has no elements.
    #[track_caller]
    pub fn max_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        self.extreme_dim("max_dim", "MaxBackward0", Fold::Max, dim, keepdim)
    }

    /// The smallest elements over one dimension, and where they are; otherwise as [`Tensor::max_dim`].
    #[track_caller]
    pub fn min_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        self.extreme_dim("min_dim", "MinBackward0", Fold::Min, dim, keepdim)
    }

    #[track_caller]
    fn extreme_dim(&self, op: &str, name: &'static str, fold: Fold, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        let d = axis(op, self.shape(), dim);
        self.picked(name, d, self.arg_extreme(op, fold, Some(dim), true), keepdim)
    }

    /// Where the largest element is, along one dimension or, without one, in row-major order of all; the first one
    /// where several are, and NaN counts as largest.
    ///
    /// # Panics
    /// If the dimension is out of range or there are no elements.
    #[track_caller]
    pub fn argmax(&self, dim: impl Into<Option<isize>>, keepdim: bool) -> Tensor {
        self.arg_extreme("argmax", Fold::Max, dim.into(), keepdim)
    }

    /// Where the smallest element is; otherwise as [`Tensor::argmax`].
    #[track_caller]
    pub fn argmin(&self, dim: impl Into<Option<isize>>, keepdim: bool) -> Tensor {
        self.arg_extreme("argmin", Fold::Min, dim.into(), keepdim)
    }

    /// The smallest index of an element that equals the extreme one, or is NaN.
    #[track_caller]
    fn arg_extreme(&self, op: &str, fold: Fold, dim: Option<isize>, keepdim: bool) -> Tensor {
        let x = self.untracked();
        let Some(dim) = dim else {
            let index = x.reshape(-1).arg_extreme(op, fold, Some(0), false);
            return if keepdim { index.reshape(vec![1usize; self.rank()]) } else { index };
        };
        let d = axis(op, x.shape(), dim);
        if x.numel() == 0 && x.shape()[d] == 0 {
            misuse(op, format!("{:?} has no elements to compare", x.shape()));
        }
        if x.rank() == 0 {
            return full(0.0, Dims::new(), DType::I32, &x.device());
        }
        let n = x.shape()[d];
        let extreme = x.fold(fold, &[d], x.dtype());
        let index = Tensor::where_(&x.same(&extreme), x.places_along(d), n).fold(Fold::Min, &[d], DType::I32);
        if keepdim { index } else { index.squeeze(d as isize) }
    }

    /// Whether `a = b`, or both are NaN.
    #[track_caller]
    pub(crate) fn same(&self, b: &Tensor) -> Tensor {
        map(&rows::same, &[self.into(), b.into()])
    }

    /// The place of every element along a dimension, in a shape that broadcasts with this one.
    #[track_caller]
    pub(crate) fn places_along(&self, d: usize) -> Tensor {
        let mut shape = Dims::from_elem(1, self.rank());
        shape[d] = self.shape()[d];
        iota(self.shape()[d], &self.device()).reshape(&shape[..])
    }
}

/// A gradient shared evenly among the elements over `dims` that equal `y`; where NaN counts as equal to itself, among NaNs.
#[track_caller]
pub(crate) fn shared(g: &Tensor, x: &Tensor, y: &Tensor, dims: &[usize], nan_ties: bool) -> Tensor {
    let found = if nan_ties { x.same(y) } else { x.eq(y) };
    let mask = found.cast(g.dtype());
    if dims.is_empty() {
        return g * mask;
    }
    let ties = mask.sum_dim(dims, true);
    mask * (g / ties)
}
