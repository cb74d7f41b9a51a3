//! In-place operations: a new value bound to the old storage, seen by every view, with the graph told.

use crate::error::{Error, Kind, Result, misuse};
use crate::ops::map::Arg;
use crate::shape::{Dims, broadcast};
use crate::tensor::mode::{is_grad_enabled, is_inference, site};
use crate::tensor::node::record;
use crate::tensor::{Tensor, View};

macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident $method:ident($($arg:ident: $type:ty),*);)*) => { impl Tensor { $(
        #[doc = concat!("`x ← ", stringify!($method), "(x, ..)`: [`Tensor::", stringify!($method), "`] in place.")]
        ///
        $(#[$doc])*
        ///
        /// # Errors
        /// If this is a leaf that requires grad, or a view of one, and recording is on.
        ///
        /// # Panics
        /// As the operation, and if its result has another shape or a type that this tensor's storage cannot hold.
        #[track_caller]
        pub fn $name(&self, $($arg: $type),*) -> Result<&Tensor> {
            let y = self.before(stringify!($name))?.$method($($arg),*);
            Ok(self.rebind(stringify!($name), y))
        }
    )* } };
}

in_place! {
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::zeros([2, 2], &Device::cpu());
    /// x.select(0, 1).add_(1.0)?;
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    add_ add(b: impl Into<Arg>);
    sub_ sub(b: impl Into<Arg>);
    mul_ mul(b: impl Into<Arg>);
    div_ div(b: impl Into<Arg>);
    pow_ pow(b: impl Into<Arg>);
    fmod_ fmod(b: impl Into<Arg>);
    remainder_ remainder(b: impl Into<Arg>);
    lerp_ lerp(end: &Tensor, weight: impl Into<Arg>);
    addcmul_ addcmul(a: &Tensor, b: &Tensor, value: impl Into<Arg>);
    addcdiv_ addcdiv(a: &Tensor, b: &Tensor, value: impl Into<Arg>);
    clamp_ clamp(min: impl Into<Arg>, max: impl Into<Arg>);
    clamp_min_ clamp_min(min: impl Into<Arg>);
    clamp_max_ clamp_max(max: impl Into<Arg>);
    neg_ neg();
    abs_ abs();
    sign_ sign();
    square_ square();
    sqrt_ sqrt();
    rsqrt_ rsqrt();
    reciprocal_ reciprocal();
    exp_ exp();
    expm1_ expm1();
    log_ log();
    log1p_ log1p();
    sin_ sin();
    cos_ cos();
    tanh_ tanh();
    sigmoid_ sigmoid();
    relu_ relu();
    silu_ silu();
    floor_ floor();
    ceil_ ceil();
    round_ round();
    trunc_ trunc();
    tril_ tril(diagonal: isize);
    triu_ triu(diagonal: isize);
    cumsum_ cumsum(dim: isize);
    masked_fill_ masked_fill(mask: &Tensor, value: impl Into<Arg>);
    masked_scatter_ masked_scatter(mask: &Tensor, source: &Tensor);
    index_add_ index_add(dim: isize, index: &Tensor, source: &Tensor, alpha: f64);
    index_copy_ index_copy(dim: isize, index: &Tensor, source: &Tensor);
    index_fill_ index_fill(dim: isize, index: &Tensor, value: impl Into<Arg>);
    scatter_ scatter(dim: isize, index: &Tensor, source: impl Into<Arg>);
    scatter_add_ scatter_add(dim: isize, index: &Tensor, source: &Tensor);
}

impl Tensor {
    /// `x ← 0`.
    ///
    /// # Errors
    /// As [`Tensor::add_`].
    #[track_caller]
    pub fn zero_(&self) -> Result<&Tensor> {
        let x = self.before("zero_")?;
        let y = record(x.zeros_like(), "ZeroBackward0", &[&x], &[], |call| vec![Some(call.g.zeros_like())]);
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
            vec![call.needs[0].then(|| call.g.zeros_like()), call.needs[1].then(|| call.g.sum_to(&shape).cast(dtype))]
        });
        Ok(self.rebind("copy_", y))
    }

    /// The value that an in-place operation is about to replace, as a tensor of its own with this one's history.
    #[track_caller]
    pub(crate) fn before(&self, op: &str) -> Result<Tensor> {
        let recording = is_grad_enabled();
        let base = self.base();
        if self.is_inference() && !is_inference() {
            let shape = self.shape();
            return Err(Error::new(
                Kind::InPlace,
                format!(
                    "{op}: a tensor of shape {shape:?} made in inference mode cannot be changed outside; copy it first"
                ),
            ));
        }
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
        if recording && self.requires_grad() && self.0.view.as_ref().is_some_and(|view| view.several) {
            let shape = self.shape();
            return Err(Error::new(
                Kind::InPlace,
                format!(
                    "{op}: a view of shape {shape:?} that was made with others by one operation cannot be changed in place"
                ),
            ));
        }
        if self.0.layout.overlaps() {
            let shape = self.shape();
            misuse(op, format!("a view of shape {shape:?} has several elements in one place; copy it first"));
        }
        let x = self.snapshot();
        x.0.meta.lock().grad_fn = if recording { self.gradient_edge() } else { None };
        Ok(x)
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
            stored
        } else {
            Tensor::from_value(stored).write_through(self.0.layout.clone(), &new).materialised()
        };
        let base = self.base();
        let history = match &self.0.view {
            // The base gets a new history, which its views take over when they are next asked.
            Some(View { replay, .. }) if is_grad_enabled() && (new.requires_grad() || base.requires_grad()) => {
                let before = base.snapshot();
                before.0.meta.lock().grad_fn = base.gradient_edge();
                let edge = before.write(replay.clone(), &new).0.meta.lock().grad_fn.clone();
                Some(edge)
            }
            None if is_grad_enabled() => Some(new.0.meta.lock().grad_fn.clone()),
            _ => None,
        };
        cell.rebind(value, site());
        // A rule that reads its result reads this storage, and notices when it is changed again.
        if let Some(node) = new.grad_fn() {
            node.0.results_lie_in(self);
        }
        if let Some(edge) = history {
            let history = base.0.meta.lock().history + 1;
            base.take_history(edge, history);
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

    /// A leaf of its own, with the same elements, that requires grad if this one does.
    ///
    /// # Errors
    /// If this is no leaf: [`Tensor::copy`] has a history, and [`Tensor::detach`] none.
    pub fn deep_copy(&self) -> Result<Tensor> {
        if !self.is_leaf() {
            let shape = self.shape();
            return Err(Error::new(Kind::Graph, format!("deep_copy: only leaves, not a result of shape {shape:?}")));
        }
        self.detach().copy().requires_grad_(self.requires_grad())
    }
}
