//! Views of the same elements in the same order under other shapes.

use crate::error::misuse;
use crate::shape::{Dims, Ints, Layout, axes, axis, numel};
use crate::tensor::Tensor;

/// The sizes given, the open one (-1) chosen so that their product is `n`; `None` if they do not fit.
fn filled(given: &[isize], n: usize) -> Option<Dims> {
    let known: usize = given.iter().filter(|&&n| n != -1).map(|&n| n.max(0) as usize).product();
    let fits = match given.iter().filter(|&&n| n == -1).count() {
        0 => known == n,
        1 => known > 0 && n.is_multiple_of(known),
        _ => false,
    };
    let legal = fits && given.iter().all(|&n| n >= -1);
    legal.then(|| given.iter().map(|&m| if m == -1 { n / known } else { m as usize }).collect())
}

impl Tensor {
    /// The same elements in row-major order under another shape; one size may be -1. A view where strides allow it,
    /// else a copy. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::arange(0, 6, 1, &Device::cpu());
    /// assert_eq!(x.reshape([2, -1]).shape(), [2, 3]);
    /// ```
    ///
    /// # Panics
    /// If the shapes differ in their number of elements.
    #[track_caller]
    pub fn reshape(&self, shape: impl Ints) -> Tensor {
        let shape = self.shape_of("reshape", shape);
        match self.0.layout.reshape(&shape) {
            Some(layout) => self.reshaped(shape, layout),
            None => {
                let copy = self.copy();
                let layout = copy.0.layout.reshape(&shape).expect("a copy lies in row-major order");
                copy.reshaped(shape, layout)
            }
        }
    }

    /// The shape asked for, an open size filled in.
    #[track_caller]
    fn shape_of(&self, op: &str, shape: impl Ints) -> Dims {
        let given = shape.ints();
        let Some(shape) = filled(&given, self.numel()) else {
            let (from, n) = (self.shape(), self.numel());
            misuse(op, format!("{from:?} with {n} elements does not fill {:?}", given.as_slice()))
        };
        shape
    }

    #[track_caller]
    fn reshaped(&self, shape: Dims, layout: Layout) -> Tensor {
        let from = Dims::from_slice(self.shape());
        self.viewed("ViewBackward0", layout, move |x| x.reshape(&shape[..]), move |g| g.reshape(&from[..]))
    }

    /// [`Tensor::reshape`] where that needs no copy. Derivative: 1.
    ///
    /// # Panics
    /// If the shapes differ in their number of elements, or the strides do not allow the shape without a copy.
    #[track_caller]
    pub fn view(&self, shape: impl Ints) -> Tensor {
        let shape = self.shape_of("view", shape);
        let Some(layout) = self.0.layout.reshape(&shape) else {
            let (from, strides) = (self.shape(), self.strides());
            misuse("view", format!("{from:?} with strides {strides:?} is no {shape:?} without a copy; use reshape"));
        };
        self.reshaped(shape, layout)
    }

    /// [`Tensor::view`] under the shape of another tensor.
    ///
    /// # Panics
    /// As [`Tensor::view`].
    #[track_caller]
    pub fn view_as(&self, other: &Tensor) -> Tensor {
        self.view(other.shape())
    }

    /// [`Tensor::reshape`] to the shape of another tensor.
    ///
    /// # Panics
    /// If the shapes differ in their number of elements.
    #[track_caller]
    pub fn reshape_as(&self, other: &Tensor) -> Tensor {
        self.reshape(other.shape())
    }

    /// Dimensions `start` to `end`, both included, joined into one; a 0-d tensor becomes a list of one element.
    /// Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::zeros([2, 3, 4], &Device::cpu()).flatten(1, -1).shape(), [2, 12]);
    /// ```
    ///
    /// # Panics
    /// If `end` comes before `start`.
    #[track_caller]
    pub fn flatten(&self, start: isize, end: isize) -> Tensor {
        let (start, end) = (axis("flatten", self.shape(), start), axis("flatten", self.shape(), end));
        if start > end {
            misuse("flatten", format!("dimensions {start} to {end} of {:?} run backwards", self.shape()));
        }
        if self.rank() == 0 {
            return self.reshape(1);
        }
        if start == end {
            return self.clone();
        }
        let mut shape = Dims::from_slice(&self.shape()[..start]);
        shape.push(numel(&self.shape()[start..=end]));
        shape.extend_from_slice(&self.shape()[end + 1..]);
        self.reshape(&shape[..])
    }

    /// All elements as a list in row-major order; a view where strides allow it. Derivative: 1.
    #[track_caller]
    pub fn ravel(&self) -> Tensor {
        self.reshape(self.numel())
    }

    /// One dimension cut into several of the given sizes; one of them may be -1. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::zeros([2, 12], &Device::cpu()).unflatten(1, [3, -1]).shape(), [2, 3, 4]);
    /// ```
    ///
    /// # Panics
    /// If the product of the sizes is not the size of the dimension.
    #[track_caller]
    pub fn unflatten(&self, dim: isize, sizes: impl Ints) -> Tensor {
        let d = self.axis_of("unflatten", dim);
        let (n, given) = (self.shape()[d], sizes.ints());
        let Some(sizes) = filled(&given, n).filter(|_| !given.is_empty()) else {
            misuse("unflatten", format!("dimension {d} of {:?} is not cut into {:?}", self.shape(), given.as_slice()))
        };
        let mut shape = Dims::from_slice(&self.shape()[..d]);
        shape.extend(sizes);
        shape.extend_from_slice(&self.shape()[d + 1..]);
        self.reshape(&shape[..])
    }

    /// Dimensions of size 1 left out: the listed ones that have size 1, or all of them for `()`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::zeros([1, 2, 1], &Device::cpu());
    /// assert_eq!((x.squeeze(()).shape(), x.squeeze(0).shape()), (&[2][..], &[2, 1][..]));
    /// ```
    #[track_caller]
    pub fn squeeze(&self, dims: impl Ints) -> Tensor {
        let given = dims.ints();
        let name = ["SqueezeBackward0", "SqueezeBackward1", "SqueezeBackward2"][given.len().min(2)];
        let mut dims = axes("squeeze", self.shape(), &given[..]);
        dims.retain(|d| self.shape()[*d] == 1);
        let layout = self.0.layout.squeeze(&dims);
        let from = Dims::from_slice(self.shape());
        let replay = move |x: &Tensor| match dims.is_empty() {
            true => x.clone(),
            false => x.squeeze(&dims[..]),
        };
        self.viewed(name, layout, replay, move |g| g.reshape(&from[..]))
    }

    /// A new dimension of size 1 at place `dim`.
    #[track_caller]
    pub fn unsqueeze(&self, dim: isize) -> Tensor {
        let rank = self.rank() as isize + 1;
        if !(-rank..rank).contains(&dim) {
            misuse(
                "unsqueeze",
                format!("place {dim} is out of range for shape {:?} ({}..={})", self.shape(), -rank, rank - 1),
            );
        }
        let d = dim.rem_euclid(rank) as usize;
        let layout = self.0.layout.unsqueeze(d);
        self.viewed("UnsqueezeBackward0", layout, move |x| x.unsqueeze(d as isize), move |g| g.squeeze(d as isize))
    }

    /// At least 1 dimension: a 0-d tensor becomes `[1]`. Derivative: 1.
    #[track_caller]
    pub fn atleast_1d(&self) -> Tensor {
        if self.rank() == 0 { self.reshape(1) } else { self.clone() }
    }

    /// At least 2 dimensions: new ones come first. Derivative: 1.
    #[track_caller]
    pub fn atleast_2d(&self) -> Tensor {
        if self.rank() < 2 { self.atleast_1d().unsqueeze(0) } else { self.clone() }
    }

    /// At least 3 dimensions: `[n]` becomes `[1, n, 1]`, and `[m, n]` becomes `[m, n, 1]`. Derivative: 1.
    #[track_caller]
    pub fn atleast_3d(&self) -> Tensor {
        if self.rank() < 3 { self.atleast_2d().unsqueeze(-1) } else { self.clone() }
    }
}
