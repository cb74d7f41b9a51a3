//! Views: the same storage read through another layout. No element is copied, and writing to a view writes to its base.
//!
//! Here is how a view is made, and the views that leave out or repeat elements; `reshape.rs`, `permute.rs`, `split.rs`,
//! `diagonal.rs`, `window.rs` and `strided.rs` hold the others.

use crate::error::misuse;
use crate::ops::create::full;
use crate::shape::{Dims, Ints, Layout, axis, broadcast};
use crate::tensor::dual::without_tangents;
use crate::tensor::mode::{is_grad_enabled, no_grad};
use crate::tensor::node::{record, record_all};
use crate::tensor::{Made, Meta, Replay, Tensor, View};

impl Tensor {
    /// A view of this tensor. `replay` makes the same view of any tensor of this shape, and `rule` carries a gradient of
    /// the view back.
    #[track_caller]
    pub(crate) fn viewed(
        &self,
        name: &'static str,
        layout: Layout,
        replay: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
        rule: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Tensor {
        let view = match &self.0.view {
            Some(View { base, replay: first }) if self.0.meta.lock().own.is_none() => {
                View { base: base.clone(), replay: first.then(replay) }
            }
            _ => View { base: self.clone(), replay: Replay::new(replay) },
        };
        self.viewed_from(name, layout, view, rule)
    }

    /// A view of which it is known how it follows from its base.
    #[track_caller]
    pub(crate) fn viewed_from(
        &self,
        name: &'static str,
        layout: Layout,
        view: View,
        rule: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Tensor {
        let made = if is_grad_enabled() { Made::Recorded } else { Made::Unrecorded };
        let meta = Meta { seen: (view.base.0.meta.lock().history, self.version()), made, ..Meta::default() };
        let y = Tensor::from_parts(self.0.cell.clone(), layout, self.dtype(), self.device(), meta, Some(view));
        record(y, name, &[self], &[], move |call| vec![Some(rule(call.g))])
    }

    /// A view of the whole tensor as it is.
    #[track_caller]
    pub(crate) fn view_as_itself(&self) -> Tensor {
        self.viewed("ViewBackward0", self.0.layout.clone(), Tensor::view_as_itself, Tensor::clone)
    }

    /// Views that one operation makes together, as `make` makes them one by one; its gradient is what `rule` makes of
    /// theirs. While they are tracked they cannot be changed in place.
    #[track_caller]
    pub(crate) fn several(
        &self,
        name: &'static str,
        make: impl FnOnce(&Tensor) -> Vec<Tensor>,
        rule: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Vec<Tensor> {
        let parts = without_tangents(|| {
            let _unrecorded = no_grad();
            make(self)
        });
        for y in parts.iter().filter(|_| is_grad_enabled()) {
            y.0.meta.lock().made = Made::Together;
        }
        let shapes: Vec<Dims> = parts.iter().map(|y| Dims::from_slice(y.shape())).collect();
        let ys: Vec<&Tensor> = parts.iter().collect();
        record_all(&ys, name, &[self], &[], move |call| {
            let zeros = |shape: &Dims| full(0.0, shape.clone(), call.g.dtype(), &call.g.device());
            let gradients: Vec<Tensor> = call
                .gradients
                .iter()
                .zip(&shapes)
                .map(|(g, shape)| g.clone().unwrap_or_else(|| zeros(shape)))
                .collect();
            Ok(vec![Some(rule(&gradients))])
        });
        parts
    }

    /// A view that leaves elements out: its gradient is 0 in all places but the view's.
    #[track_caller]
    pub(crate) fn part(
        &self,
        name: &'static str,
        layout: Layout,
        replay: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Tensor {
        let shape = Dims::from_slice(self.shape());
        let replay = Replay::new(replay);
        let again = replay.clone();
        self.viewed(
            name,
            layout,
            move |x| again.apply(x),
            move |g| full(0.0, shape.clone(), g.dtype(), &g.device()).write(replay.clone(), g),
        )
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
        let from = Dims::from_slice(self.shape());
        let layout = self.0.layout.expand(&shape);
        self.viewed("ExpandBackward0", layout, move |x| x.expand(&shape[..]), move |g| g.sum_to(&from))
    }

    /// [`Tensor::expand`] for operations that have no use for a view of the shape there is.
    #[track_caller]
    pub(crate) fn expanded(&self, shape: &[usize]) -> Tensor {
        if self.shape() == shape { self.clone() } else { self.expand(shape) }
    }

    /// [`Tensor::expand`] to the shape of another tensor.
    ///
    /// # Panics
    /// If this tensor does not broadcast to that shape.
    #[track_caller]
    pub fn expand_as(&self, other: &Tensor) -> Tensor {
        self.expand(other.shape())
    }

    /// [`Tensor::expand`] under its other name; here no size may be -1.
    ///
    /// # Panics
    /// If this tensor does not broadcast to that shape.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl Ints) -> Tensor {
        let shape = crate::shape::sizes("broadcast_to", shape);
        self.expand(&shape[..])
    }

    /// Tensors expanded to the one shape they broadcast to.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::broadcast_tensors(&[Tensor::zeros([2, 1], &dev), Tensor::zeros([3], &dev)]);
    /// assert_eq!((y[0].shape(), y[1].shape()), (&[2, 3][..], &[2, 3][..]));
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn broadcast_tensors(tensors: &[Tensor]) -> Vec<Tensor> {
        let Some(shape) = tensors.iter().try_fold(Dims::new(), |shape, x| broadcast(&shape, x.shape())) else {
            let shapes: Vec<_> = tensors.iter().map(Tensor::shape).collect();
            misuse("broadcast_tensors", format!("shapes do not broadcast: {shapes:?}"));
        };
        let mut expanded = Vec::with_capacity(tensors.len());
        for x in tensors {
            expanded.push(x.expanded(&shape));
        }
        expanded
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
    pub(crate) fn axis_of(&self, op: &str, dim: isize) -> usize {
        if self.rank() == 0 {
            misuse(op, "a 0-d tensor has no dimensions");
        }
        axis(op, self.shape(), dim)
    }
}
