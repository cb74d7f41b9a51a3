//! In-place operations: a new value bound to the old storage, seen by every view, with the graph told.

use crate::error::{Error, Kind, Result, misuse};
use crate::ops::map::Arg;
use crate::ops::scatter::Combine;
use crate::shape::{Dims, broadcast};
use crate::tensor::autocast::no_autocast;
use crate::tensor::cuts::{CutBy, Cuts};
use crate::tensor::dual::{below, without_tangents};
use crate::tensor::hole::escapes;
use crate::tensor::mode::{at_site, is_grad_enabled, is_inference, site};
use crate::tensor::node::{Edge, record};
use crate::tensor::profile;
use crate::tensor::{Made, Tensor, View};

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
            // What is written back is of this tensor's type anyway; operands are not to lose digits on the way.
            let _as_given = no_autocast();
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
    float_power_ float_power(b: impl Into<Arg>);
    fmod_ fmod(b: impl Into<Arg>);
    remainder_ remainder(b: impl Into<Arg>);
    floor_divide_ floor_divide(b: impl Into<Arg>);
    atan2_ atan2(b: impl Into<Arg>);
    hypot_ hypot(b: impl Into<Arg>);
    copysign_ copysign(b: impl Into<Arg>);
    xlogy_ xlogy(b: impl Into<Arg>);
    heaviside_ heaviside(b: impl Into<Arg>);
    eq_ eq(b: impl Into<Arg>);
    ne_ ne(b: impl Into<Arg>);
    lt_ lt(b: impl Into<Arg>);
    le_ le(b: impl Into<Arg>);
    gt_ gt(b: impl Into<Arg>);
    ge_ ge(b: impl Into<Arg>);
    logical_and_ logical_and(b: impl Into<Arg>);
    logical_or_ logical_or(b: impl Into<Arg>);
    logical_xor_ logical_xor(b: impl Into<Arg>);
    logical_not_ logical_not();
    bitwise_and_ bitwise_and(b: impl Into<Arg>);
    bitwise_or_ bitwise_or(b: impl Into<Arg>);
    bitwise_xor_ bitwise_xor(b: impl Into<Arg>);
    bitwise_left_shift_ bitwise_left_shift(b: impl Into<Arg>);
    bitwise_right_shift_ bitwise_right_shift(b: impl Into<Arg>);
    bitwise_not_ bitwise_not();
    gcd_ gcd(b: impl Into<Arg>);
    lcm_ lcm(b: impl Into<Arg>);
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
    exp2_ exp2();
    expm1_ expm1();
    log_ log();
    log2_ log2();
    log10_ log10();
    log1p_ log1p();
    logit_ logit(eps: impl Into<Option<f64>>);
    sin_ sin();
    cos_ cos();
    tan_ tan();
    asin_ asin();
    acos_ acos();
    atan_ atan();
    sinh_ sinh();
    cosh_ cosh();
    tanh_ tanh();
    asinh_ asinh();
    acosh_ acosh();
    atanh_ atanh();
    sinc_ sinc();
    deg2rad_ deg2rad();
    rad2deg_ rad2deg();
    erf_ erf();
    erfc_ erfc();
    erfinv_ erfinv();
    lgamma_ lgamma();
    digamma_ digamma();
    sigmoid_ sigmoid();
    relu_ relu();
    relu6_ relu6();
    leaky_relu_ leaky_relu(slope: impl Into<Arg>);
    elu_ elu(alpha: impl Into<Arg>);
    celu_ celu(alpha: impl Into<Arg>);
    selu_ selu();
    hardtanh_ hardtanh(min: impl Into<Arg>, max: impl Into<Arg>);
    hardsigmoid_ hardsigmoid();
    hardswish_ hardswish();
    threshold_ threshold(threshold: impl Into<Arg>, value: impl Into<Arg>);
    silu_ silu();
    mish_ mish();
    floor_ floor();
    ceil_ ceil();
    round_ round();
    trunc_ trunc();
    frac_ frac();
    nan_to_num_ nan_to_num(nan: f64, posinf: impl Into<Option<f64>>, neginf: impl Into<Option<f64>>);
    tril_ tril(diagonal: isize);
    triu_ triu(diagonal: isize);
    cumsum_ cumsum(dim: isize);
    cumprod_ cumprod(dim: isize);
    addmm_ addmm(a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>);
    addmv_ addmv(a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>);
    addr_ addr(a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>);
    addbmm_ addbmm(a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>);
    baddbmm_ baddbmm(a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>);
    renorm_ renorm(p: f64, dim: isize, maxnorm: f64);
    put_ put(index: &Tensor, source: &Tensor, accumulate: bool);
    scatter_reduce_ scatter_reduce(dim: isize, index: &Tensor, source: &Tensor, combine: Combine, include_self: bool);
    index_reduce_ index_reduce(dim: isize, index: &Tensor, source: &Tensor, combine: Combine, include_self: bool);
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
        let _operation = profile::operation("zero_");
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
        let _operation = profile::operation("copy_");
        let x = self.before("copy_")?;
        let (shape, dtype) = (Dims::from_slice(source.shape()), source.dtype());
        let y = source.untracked().snapshot().expand(self.shape()).cast(self.dtype());
        let y = record(y, "CopyBackwards", &[&x, source], &[], move |call| {
            vec![call.needs[0].then(|| call.g.zeros_like()), call.needs[1].then(|| call.g.sum_to(&shape).cast(dtype))]
        });
        Ok(self.rebind("copy_", y))
    }

    /// The value that an in-place operation is about to replace, as a tensor of its own with this one's history.
    #[track_caller]
    pub(crate) fn before(&self, op: &str) -> Result<Tensor> {
        self.expect_changeable(op)?;
        Ok(self.remembered(if is_grad_enabled() { self.replaced_edge() } else { None }))
    }

    /// Where the gradient of what is about to be replaced goes: from a part of a base to the base by a way of its own, since
    /// the hooks of a view are for those who have read it.
    #[track_caller]
    fn replaced_edge(&self) -> Option<Edge> {
        match &self.0.view {
            Some(View { base, replay }) if base.requires_grad() => {
                at_site(site(), || without_tangents(|| replay.apply(base))).gradient_edge()
            }
            _ => self.gradient_edge(),
        }
    }

    /// Whether this may be changed in place.
    #[track_caller]
    pub(crate) fn expect_changeable(&self, op: &str) -> Result<()> {
        let (recording, base, shape) = (is_grad_enabled(), self.root(), self.shape());
        let refuse = |why: String| Err(Error::new(Kind::InPlace, format!("{op}: {why}")));
        if self.is_inference() && !is_inference() {
            return refuse(format!(
                "a tensor of shape {shape:?} made in inference mode cannot be changed outside; copy it first"
            ));
        }
        let leaf = |what: &str| {
            refuse(format!("{what}a leaf that requires grad cannot be changed in place, shape {shape:?}; use no_grad"))
        };
        let is_tracked_leaf = |x: &Tensor| x.is_leaf() && x.requires_grad();
        if recording && is_tracked_leaf(base) {
            return leaf(if self.0.view.is_some() { "a view of " } else { "" });
        }
        let how = match self.0.meta.lock().made {
            Made::Recorded => None,
            Made::Unrecorded => Some("that was made under no_grad cannot be changed in place outside"),
            Made::Together => Some("that was made with others by one operation cannot be changed in place"),
            Made::ByFunction => Some(
                "that was made by a function with a gradient rule of its own cannot be changed in place; copy it first",
            ),
        };
        if let Some(how) = how.filter(|_| recording && base.requires_grad()) {
            return refuse(format!("a view of shape {shape:?} {how}"));
        }
        if recording && is_tracked_leaf(self) {
            return leaf("");
        }
        if self.0.layout.overlaps() {
            misuse(op, format!("a view of shape {shape:?} has several elements in one place; copy it first"));
        }
        Ok(())
    }

    /// The current value as a tensor of its own, with a gradient function and this one's tangents.
    pub(crate) fn remembered(&self, edge: Option<Edge>) -> Tensor {
        let x = self.snapshot();
        let meta = self.refreshed();
        let (dual, cuts) = (meta.dual.clone(), meta.cuts.clone());
        drop(meta);
        let mut meta = x.0.meta.lock();
        (meta.grad_fn, meta.dual, meta.cuts) = (edge, dual, cuts);
        drop(meta);
        x
    }

    fn base(&self) -> &Tensor {
        self.0.view.as_ref().map_or(self, |view| &view.base)
    }

    /// The base of the base, if that is a dual tensor, and so on.
    fn root(&self) -> &Tensor {
        std::iter::successors(Some(self), |x| x.0.view.as_ref().map(|view| &view.base)).last().expect("this is one")
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
        Cuts::of(&[&new]).carry(&[self, self.base(), self.root()]);
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
                format!(
                    "inside of vmap, a batched value cannot be written to a tensor of shape {shape:?} outside; \
                     make that one an input with a batch dimension"
                ),
            );
        }
        cell.rebind(value, site());
        self.adopt(&new);
        self
    }

    /// Tells the graph what was written to this tensor: the base gets a new history, which its views take over when they
    /// are next asked.
    #[track_caller]
    pub(crate) fn adopt(&self, new: &Tensor) {
        let (recording, base) = (is_grad_enabled(), self.base());
        let is_known = |x: &Tensor| {
            let meta = x.refreshed();
            meta.requires() || meta.dual.is_some()
        };
        let is_dual = new.is_dual() || base.is_dual();
        if !(is_dual || recording && (is_known(new) || is_known(base))) {
            return;
        }
        let (mut edge, dual) = new.history();
        let own = self.0.meta.lock().own;
        if let Some(View { replay, .. }) = &self.0.view {
            let write = || {
                let before = base.remembered(base.gradient_edge());
                base.adopt(&before.write_lying(base.0.layout.clone(), replay.clone(), new));
            };
            own.map_or_else(write, |level| below(level, write));
            // It is the replay of its base from now on, wherever it was made.
            self.0.meta.lock().made = Made::Recorded;
            if own.is_some() {
                edge = self.refreshed().grad_fn.clone();
            }
        } else if !recording {
            // Tangents follow the elements whether backward is recorded or not.
            edge = self.history().0;
        }
        if own.is_some() || self.0.view.is_none() {
            self.take_history(edge, dual);
            self.0.meta.lock().history += 1;
        }
        // A rule that reads its result reads this storage, and notices when it is changed again.
        if let Some(edge) = new.history().0 {
            edge.node.result_lies_in(edge.output, self);
        }
    }

    /// The same values without a place in the graph; storage is shared, so changes in place are seen on both sides.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([2], &Device::cpu()).requires_grad_(true)?;
    /// assert!(!x.detach().requires_grad());
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn detach(&self) -> Tensor {
        let y = self.untracked();
        // A view that was made where nothing was recorded requires grad, and has nothing left to cut.
        let cuts = Cuts::of(&[self]);
        let is_cut_here = cuts.lines().is_empty() && self.requires_grad();
        y.0.meta.lock().cuts = if is_cut_here { Cuts::at(CutBy::Detach, site()) } else { cuts };
        y
    }

    /// [`Tensor::detach`] for what needs values only: no cut that [`audit`](crate::autograd::audit) would tell of.
    pub(crate) fn untracked(&self) -> Tensor {
        self.alias(self.0.layout.clone())
    }

    /// A leaf of its own, with the same elements and gradient, that requires grad if this one does.
    ///
    /// # Errors
    /// If this is no leaf: [`Tensor::copy`] has a history, and [`Tensor::detach`] none.
    pub fn deep_copy(&self) -> Result<Tensor> {
        if !self.is_leaf() {
            let shape = self.shape();
            return Err(Error::new(Kind::Graph, format!("deep_copy: only leaves, not a result of shape {shape:?}")));
        }
        let y = self.untracked().copy().requires_grad_(self.requires_grad())?;
        let grad = self.grad().map(|g| g.untracked().copy());
        let grad_dtype = self.0.meta.lock().grad_dtype;
        let mut meta = y.0.meta.lock();
        (meta.grad, meta.grad_dtype) = (grad, grad_dtype);
        drop(meta);
        Ok(y)
    }
}
