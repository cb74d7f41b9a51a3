//! Views: the same storage read through another layout. No element is copied, and writing to a view writes to its base.

use crate::error::misuse;
use crate::ops::create::full;
use crate::shape::{Dims, Ints, Layout, axes, axis, broadcast, numel};
use crate::tensor::node::record;
use crate::tensor::{Meta, Replay, Tensor, View};

impl Tensor {
    /// A view of this tensor. `replay` makes the same view of any tensor of this shape, and `rule` carries a gradient of
    /// the view back.
    #[track_caller]
    pub(crate) fn view_as(
        &self,
        name: &'static str,
        layout: Layout,
        replay: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
        rule: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Tensor {
        let view = match &self.0.view {
            Some(View { base, replay: first }) => View { base: base.clone(), replay: first.then(replay) },
            None => View { base: self.clone(), replay: Replay::new(replay) },
        };
        let meta = Meta { history: view.base.0.meta.lock().history, ..Meta::default() };
        let y = Tensor::from_parts(self.0.cell.clone(), layout, self.dtype(), self.device(), meta, Some(view));
        record(y, name, &[self], &[], move |call| vec![Some(rule(call.g))])
    }

    /// A view that leaves elements out: its gradient is 0 in all places but the view's.
    #[track_caller]
    fn part(
        &self,
        name: &'static str,
        layout: Layout,
        replay: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Tensor {
        let shape = Dims::from_slice(self.shape());
        let replay = Replay::new(replay);
        let again = replay.clone();
        self.view_as(
            name,
            layout,
            move |x| again.apply(x),
            move |g| full(0.0, shape.clone(), g.dtype(), &g.device()).write(replay.clone(), g),
        )
    }

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
        let given = shape.ints();
        let known: usize = given.iter().filter(|&&n| n != -1).map(|&n| n.max(0) as usize).product();
        let open = given.iter().filter(|&&n| n == -1).count();
        let fits = match open {
            0 => known == self.numel(),
            1 => known > 0 && self.numel().is_multiple_of(known),
            _ => false,
        };
        if !fits || given.iter().any(|&n| n < -1) {
            misuse(
                "reshape",
                format!("{:?} with {} elements does not fill {:?}", self.shape(), self.numel(), given.as_slice()),
            );
        }
        let shape: Dims = given.iter().map(|&n| if n == -1 { self.numel() / known } else { n as usize }).collect();
        let Some(layout) = self.0.layout.reshape(&shape) else {
            return self.copy().reshape(&shape[..]);
        };
        let from = Dims::from_slice(self.shape());
        self.view_as("ViewBackward0", layout, move |x| x.reshape(&shape[..]), move |g| g.reshape(&from[..]))
    }

    /// Dimensions `start` to `end`, both included, joined into one.
    #[track_caller]
    pub fn flatten(&self, start: isize, end: isize) -> Tensor {
        let (start, end) = (axis("flatten", self.shape(), start), axis("flatten", self.shape(), end));
        if start > end {
            misuse("flatten", format!("dimensions {start} to {end} of {:?} run backwards", self.shape()));
        }
        if self.rank() == 0 {
            return self.reshape(1);
        }
        let mut shape = Dims::from_slice(&self.shape()[..start]);
        shape.push(numel(&self.shape()[start..=end]));
        shape.extend_from_slice(&self.shape()[end + 1..]);
        self.reshape(&shape[..])
    }

    /// Dimensions in another order: dimension `i` of the result is `dims[i]` of this tensor.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::zeros([2, 3, 5], &Device::cpu()).permute([2, 0, 1]).shape(), [5, 2, 3]);
    /// ```
    ///
    /// # Panics
    /// If `dims` does not name every dimension once.
    #[track_caller]
    pub fn permute(&self, dims: impl Ints) -> Tensor {
        let given = dims.ints();
        let mut order = Dims::new();
        for &d in &given {
            order.push(axis("permute", self.shape(), d));
        }
        let mut inverse: Dims = Dims::from_elem(usize::MAX, self.rank());
        for (i, &d) in order.iter().enumerate() {
            if self.rank() == order.len() {
                inverse[d] = i;
            }
        }
        if order.len() != self.rank() || inverse.contains(&usize::MAX) {
            misuse(
                "permute",
                format!("{:?} does not name every dimension of {:?} once", given.as_slice(), self.shape()),
            );
        }
        let layout = self.0.layout.permute(&order);
        self.view_as("PermuteBackward0", layout, move |x| x.permute(&order[..]), move |g| g.permute(&inverse[..]))
    }

    /// Two dimensions exchanged.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Tensor {
        let (a, b) = (axis("transpose", self.shape(), a), axis("transpose", self.shape(), b));
        let mut order: Dims = (0..self.rank()).collect();
        if self.rank() > 0 {
            order.swap(a, b);
        }
        let swap = move |x: &Tensor| x.transpose(a as isize, b as isize);
        self.view_as("TransposeBackward0", self.0.layout.permute(&order), swap, swap)
    }

    /// A matrix transposed; a tensor of rank 0 or 1 as it is.
    ///
    /// # Panics
    /// If the rank is above 2.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        match self.rank() {
            0 | 1 => self.clone(),
            2 => {
                let t = |x: &Tensor| x.t();
                self.view_as("TBackward0", self.0.layout.permute(&[1, 0]), t, t)
            }
            _ => misuse("t", format!("{:?} is no matrix; name the dimensions with transpose", self.shape())),
        }
    }

    /// Dimensions of size 1, and new leading ones, repeated to a shape without a copy; -1 keeps a size.
    /// Derivative: the sum over the repeated dimensions.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1.0], [2.0]], &Device::cpu()).expand([-1, 3]);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a size is neither the old one nor 1 before.
    #[track_caller]
    pub fn expand(&self, shape: impl Ints) -> Tensor {
        let given = shape.ints();
        let new = given.len().saturating_sub(self.rank());
        let shape: Dims = given
            .iter()
            .enumerate()
            .map(|(d, &n)| if n == -1 && d >= new { self.shape()[d - new] } else { n.max(0) as usize })
            .collect();
        if given.len() < self.rank()
            || given.iter().enumerate().any(|(d, &n)| n < -1 || n == -1 && d < new)
            || broadcast(self.shape(), &shape).as_deref() != Some(&shape[..])
        {
            misuse("expand", format!("{:?} does not expand to {:?}", self.shape(), given.as_slice()));
        }
        if shape[..] == *self.shape() {
            return self.clone();
        }
        let from = Dims::from_slice(self.shape());
        let layout = self.0.layout.expand(&shape);
        self.view_as("ExpandBackward0", layout, move |x| x.expand(&shape[..]), move |g| g.sum_to(&from))
    }

    /// `len` elements of one dimension from `start` on.
    ///
    /// # Panics
    /// If they reach beyond the dimension.
    #[track_caller]
    pub fn narrow(&self, dim: isize, start: usize, len: usize) -> Tensor {
        let d = self.axis_of("narrow", dim);
        if start + len > self.shape()[d] {
            misuse("narrow", format!("{start} + {len} reaches beyond dimension {d} of {:?}", self.shape()));
        }
        self.part("SliceBackward0", self.0.layout.slice(d, start, len, 1), move |x| x.narrow(d as isize, start, len))
    }

    /// Every `step`-th element of one dimension from `start` up to but without `end`; `None` is the dimension's own end,
    /// negative places count from there, and places outside are cut off, as in Python.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::arange(0, 8, 1, &Device::cpu());
    /// assert_eq!(x.slice(0, 1, -1, 2).to_vec::<i32>()?, [1, 3, 5]);
    /// assert_eq!(x.slice(0, -2, None, 1).to_vec::<i32>()?, [6, 7]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the step is 0.
    #[track_caller]
    pub fn slice(
        &self,
        dim: isize,
        start: impl Into<Option<isize>>,
        end: impl Into<Option<isize>>,
        step: usize,
    ) -> Tensor {
        let d = self.axis_of("slice", dim);
        if step == 0 {
            misuse("slice", format!("a step of 0 through dimension {d} of {:?}", self.shape()));
        }
        let n = self.shape()[d] as isize;
        let place = |i: isize| if i < 0 { (i + n).max(0) } else { i.min(n) };
        let (start, end) = (start.into().map_or(0, place), end.into().map_or(n, place));
        let len = ((end - start).max(0) as usize).div_ceil(step);
        let layout = self.0.layout.slice(d, start as usize, len, step);
        self.part("SliceBackward0", layout, move |x| x.slice(d as isize, start, end, step))
    }

    /// One index of one dimension, which disappears.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu());
    /// assert_eq!(x.select(0, -1).to_vec::<f32>()?, [3.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the index is out of range.
    #[track_caller]
    pub fn select(&self, dim: isize, index: isize) -> Tensor {
        let d = self.axis_of("select", dim);
        let n = self.shape()[d] as isize;
        if !(-n..n).contains(&index) {
            misuse("select", format!("index {index} is out of range for dimension {d} of {:?}", self.shape()));
        }
        let layout = self.0.layout.slice(d, index.rem_euclid(n) as usize, 1, 1).squeeze(&[d]);
        self.part("SelectBackward0", layout, move |x| x.select(d as isize, index))
    }

    /// The listed dimensions read backwards. Unlike PyTorch's, which copies, this is a view.
    #[track_caller]
    pub fn flip(&self, dims: impl Ints) -> Tensor {
        let dims = dims.ints();
        let dims: Dims = if dims.is_empty() { Dims::new() } else { axes("flip", self.shape(), &dims[..]) };
        let layout = dims.iter().fold(self.0.layout.clone(), |layout, &d| layout.flip(d));
        let flip = move |x: &Tensor| x.flip(&dims[..]);
        self.view_as("FlipBackward0", layout, flip.clone(), flip)
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
        let mut dims = axes("squeeze", self.shape(), dims);
        dims.retain(|d| self.shape()[*d] == 1);
        let layout = self.0.layout.squeeze(&dims);
        let from = Dims::from_slice(self.shape());
        let replay = move |x: &Tensor| match dims.is_empty() {
            true => x.clone(),
            false => x.squeeze(&dims[..]),
        };
        self.view_as("SqueezeBackward0", layout, replay, move |g| g.reshape(&from[..]))
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
        self.view_as("UnsqueezeBackward0", layout, move |x| x.unsqueeze(d as isize), move |g| g.squeeze(d as isize))
    }

    /// The sum over the dimensions that broadcasting to this shape from `shape` repeated.
    #[track_caller]
    pub(crate) fn sum_to(&self, shape: &[usize]) -> Tensor {
        if *shape == *self.shape() {
            return self.clone();
        }
        let new = self.rank() - shape.len();
        let repeated: Dims = (0..self.rank()).filter(|&d| d < new || shape[d - new] != self.shape()[d]).collect();
        let y = if repeated.is_empty() { self.clone() } else { self.sum_dim(&repeated[..], true) };
        y.reshape(shape)
    }

    #[track_caller]
    fn axis_of(&self, op: &str, dim: isize) -> usize {
        if self.rank() == 0 {
            misuse(op, "a 0-d tensor has no dimensions");
        }
        axis(op, self.shape(), dim)
    }
}
