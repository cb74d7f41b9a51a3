//! In-place operations: a new value bound to the old storage, seen by every view, with the graph told.

use crate::error::{Error, Kind, Result, misuse};
use crate::ops::map::Arg;
use crate::shape::{Dims, broadcast};
use crate::tensor::hole::escapes;
use crate::tensor::mode::{is_grad_enabled, site};
use crate::tensor::node::{Edge, record};
use crate::tensor::{Tensor, View};

macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident $method:ident;)*) => { impl Tensor { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// If this is a leaf that requires grad, or a view of one, and recording is on.
        ///
        /// # Panics
        /// If the operand does not broadcast to this tensor's shape.
        #[track_caller]
        pub fn $name(&self, b: impl Into<Arg>) -> Result<&Tensor> {
            let y = self.before(stringify!($name))?.$method(b);
            Ok(self.rebind(stringify!($name), y))
        }
    )* } };
}

in_place! {
    /// `x ← x + b`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::zeros([2, 2], &Device::cpu());
    /// x.select(0, 1).add_(1.0)?;
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    add_ add;
    /// `x ← x - b`.
    sub_ sub;
    /// `x ← x b`.
    mul_ mul;
    /// `x ← x / b`.
    div_ div;
}

impl Tensor {
    /// `x ← 0`.
    ///
    /// # Errors
    /// As [`Tensor::add_`].
    #[track_caller]
    pub fn zero_(&self) -> Result<&Tensor> {
        let x = self.before("zero_")?;
        let y = record(x.zeros_like(), "ZeroBackward0", &[&x], &[], |_| vec![None]);
        Ok(self.rebind("zero_", y))
    }

    /// `x ← source`, broadcast and converted to this tensor's shape and dtype.
    ///
    /// # Errors
    /// As [`Tensor::add_`].
    ///
    /// # Panics
    /// If the source does not broadcast to this tensor's shape.
    #[track_caller]
    pub fn copy_(&self, source: &Tensor) -> Result<&Tensor> {
        self.expect_same_device("copy_", source);
        if broadcast(self.shape(), source.shape()).as_deref() != Some(self.shape()) {
            misuse("copy_", format!("{:?} does not broadcast to {:?}", source.shape(), self.shape()));
        }
        let x = self.before("copy_")?;
        let (shape, dtype) = (Dims::from_slice(source.shape()), source.dtype());
        let y = source.detach().snapshot().expand(self.shape()).cast(self.dtype());
        let y = record(y, "CopyBackwards", &[&x, source], &[], move |call| {
            vec![None, call.needs[1].then(|| call.g.sum_to(&shape).cast(dtype))]
        });
        Ok(self.rebind("copy_", y))
    }

    /// The value that an in-place operation is about to replace, as a tensor of its own with this one's history.
    #[track_caller]
    pub(crate) fn before(&self, op: &str) -> Result<Tensor> {
        let recording = is_grad_enabled();
        let base = self.base();
        let is_tracked_leaf = |x: &Tensor| x.is_leaf() && x.requires_grad();
        if recording && (is_tracked_leaf(self) || is_tracked_leaf(base)) {
            let what = if is_tracked_leaf(self) { "" } else { "a view of " };
            let shape = self.shape();
            return Err(Error::new(
                Kind::InPlace,
                format!(
                    "{op}: {what}a leaf that requires grad cannot be changed in place, shape {shape:?}; use no_grad"
                ),
            ));
        }
        if recording && base.requires_grad() && !self.requires_grad() {
            let shape = self.shape();
            return Err(Error::new(
                Kind::InPlace,
                format!(
                    "{op}: a view of shape {shape:?} that was made under no_grad cannot be changed in place outside"
                ),
            ));
        }
        if self.0.layout.overlaps() {
            let shape = self.shape();
            misuse(op, format!("a view of shape {shape:?} has several elements in one place; copy it first"));
        }
        Ok(self.remembered(if recording { self.gradient_edge() } else { None }))
    }

    /// The current value as a tensor of its own, with a gradient function and this one's tangents.
    fn remembered(&self, edge: Option<Edge>) -> Tensor {
        let x = self.snapshot();
        let dual = self.refreshed().dual.clone();
        let mut meta = x.0.meta.lock();
        (meta.grad_fn, meta.dual) = (edge, dual);
        drop(meta);
        x
    }

    fn base(&self) -> &Tensor {
        self.0.view.as_ref().map_or(self, |view| &view.base)
    }

    /// Binds a new value to the storage, which views share, and tells the graph.
    #[track_caller]
    pub(crate) fn rebind(&self, op: &str, new: Tensor) -> &Tensor {
        if new.shape() != self.shape() {
            let (shape, result) = (self.shape(), new.shape());
            misuse(op, format!("the operand's shape does not broadcast to {shape:?}: the result has {result:?}"));
        }
        if new.dtype().category() > self.dtype().category() {
            misuse(op, format!("the result is {}, which {} storage cannot hold", new.dtype(), self.dtype()));
        }
        let new = new.cast(self.dtype());
        let cell = &self.0.cell;
        let stored = cell.value();
        let value = if self.0.layout.is_whole(stored.numel()) {
            new.materialised()
        } else if self.numel() == 0 {
            stored.clone()
        } else {
            Tensor::from_value(stored.clone()).write_through(self.0.layout.clone(), &new).materialised()
        };
        if escapes(&stored, &value) {
            let shape = self.shape();
            misuse(
                op,
                format!("inside of vmap, a batched value cannot be written to a tensor of shape {shape:?} outside"),
            );
        }
        let base = self.base();
        let recording = is_grad_enabled();
        let is_dual = new.is_dual() || base.is_dual();
        let after = match &self.0.view {
            // The base gets a new history, which its views take over when they are next asked.
            Some(View { replay, .. }) if recording && (new.requires_grad() || base.requires_grad()) || is_dual => {
                Some(base.remembered(base.gradient_edge()).write(replay.clone(), &new))
            }
            None if recording || is_dual => Some(new),
            _ => None,
        };
        cell.rebind(value, site());
        if let Some((edge, dual)) = after.map(|after| after.history()) {
            // Tangents follow the elements whether backward is recorded or not.
            let edge = if recording { edge } else { base.history().0 };
            let history = base.0.meta.lock().history + 1;
            base.take_history(edge, dual, history);
        }
        self
    }

    /// The same values without a place in the graph; storage is shared, so changes in place are seen on both sides.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([2], &Device::cpu()).requires_grad_(true)?;
    /// assert!(!x.detach().requires_grad());
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn detach(&self) -> Tensor {
        self.alias(self.0.layout.clone())
    }
}
