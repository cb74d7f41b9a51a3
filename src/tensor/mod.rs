//! The noun: a cheap handle to a value, its place in the autograd graph, and nothing else.
//!
//! What can be done with a tensor stands in `ops/` and `autograd/`, each with its own `impl Tensor`; this file does not
//! know how anything is computed. A tensor and its views share one [`Cell`], which holds the current value: an in-place
//! operation rebinds the cell to a new value, so values themselves never change.

pub mod autocast;
pub mod backend;
pub mod cuts;
pub mod device;
pub mod draws;
pub mod dual;
pub mod hole;
pub mod mode;
pub mod node;
pub mod print;
pub mod profile;
pub mod saved;
pub mod scopes;
pub mod value;
pub mod work;

use crate::dtype::DType;
use crate::error::misuse;
use crate::shape::Layout;
use cuts::Cuts;
use device::Device;
use dual::{Dual, below, beside_hidden, with_all_tangents};
use node::{Edge, Hooks, Node, NodeInner, PostHooks};
use parking_lot::Mutex;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use value::{Operand, Value};

/// An n-dimensional array on a device, and a node of the autograd graph. Cloning it copies a reference.
///
/// ```
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev).requires_grad_(true)?;
/// let y = (&x * &x).sum();
/// y.backward()?;
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, 4.0, 6.0, 8.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub cell: Arc<Cell>,
    pub layout: Layout,
    pub dtype: DType,
    pub device: Device,
    pub meta: Mutex<Meta>,
    /// Held while backward adds to the gradient.
    pub accumulating: Mutex<()>,
    /// What this is a view of, if autograd knows it as one.
    pub view: Option<View>,
}

/// The storage that a tensor and its views share.
pub(crate) struct Cell {
    value: Mutex<Arc<Value>>,
    version: AtomicU64,
    /// Whether it was made in inference mode.
    pub inference: bool,
    /// The user's line that changed the value last.
    changed: Mutex<Option<&'static Location<'static>>>,
}

/// How a view follows from its base: done again when an in-place operation gives the base a new history.
pub(crate) struct View {
    pub base: Tensor,
    pub replay: Replay,
}

/// How a view was made, which decides whether it may be changed in place, and whether it takes over a new history of its
/// base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Made {
    #[default]
    Recorded,
    /// Where nothing was recorded.
    Unrecorded,
    /// With others by one operation.
    Together,
    /// By an operation of the user's own, whose gradient rule the replay does not know.
    ByFunction,
}

/// The steps from a base to a view, the last one first: a list, since a closure around a closure would recurse.
#[derive(Clone)]
pub(crate) struct Replay(Option<Arc<Step>>);

type Again = dyn Fn(&Tensor) -> Tensor + Send + Sync;

struct Step {
    again: Box<Again>,
    before: Replay,
}

impl Replay {
    pub fn new(again: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Replay {
        Replay(None).then(again)
    }

    /// These steps and one more.
    pub fn then(&self, again: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Replay {
        Replay(Some(Arc::new(Step { again: Box::new(again), before: self.clone() })))
    }

    /// Makes the view of another tensor of the base's shape.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let steps: Vec<&Step> = std::iter::successors(self.0.as_deref(), |step| step.before.0.as_deref()).collect();
        steps.iter().rev().fold(x.clone(), |x, step| (step.again)(&x))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let mut rest = self.0.take();
        while let Some(mut step) = rest.and_then(Arc::into_inner) {
            rest = step.before.0.take();
        }
    }
}

/// What autograd knows of a tensor.
#[derive(Default)]
pub(crate) struct Meta {
    pub requires_grad: bool,
    pub grad: Option<Tensor>,
    /// The type of the gradient, if it is not the tensor's.
    pub grad_dtype: Option<DType>,
    pub grad_fn: Option<Edge>,
    pub accumulator: Weak<NodeInner>,
    pub hooks: Hooks,
    /// Hooks of a leaf that are called when its gradient has been added to.
    pub post_hooks: PostHooks,
    pub retains_grad: bool,
    /// The tangents of forward mode.
    pub dual: Option<Dual>,
    /// How often this tensor was given a new history.
    pub history: u64,
    /// The history of the base that a view's `grad_fn` belongs to, and the version of the storage.
    pub seen: (u64, u64),
    /// Of a dual tensor, the level: its tangents, of this level and those inside it, are no part of its base's.
    pub own: Option<u64>,
    pub made: Made,
    /// Where the history of this tensor was cut off; of no meaning for one that has a `grad_fn`.
    pub cuts: Cuts,
}

impl Cell {
    pub fn new(value: Arc<Value>) -> Arc<Cell> {
        Arc::new(Cell {
            value: Mutex::new(value),
            version: AtomicU64::new(0),
            inference: mode::is_inference(),
            changed: Mutex::new(None),
        })
    }

    pub fn value(&self) -> Arc<Value> {
        self.value.lock().clone()
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn changed_at(&self) -> Option<&'static Location<'static>> {
        *self.changed.lock()
    }

    /// Binds a new value, which every view sees from now on.
    pub fn rebind(&self, value: Arc<Value>, at: &'static Location<'static>) {
        *self.changed.lock() = Some(at);
        // The old value is dropped after the lock is released.
        let _old = std::mem::replace(&mut *self.value.lock(), value);
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Tensor {
    /// A tensor that reads the whole of a new value.
    pub(crate) fn from_value(value: Arc<Value>) -> Tensor {
        let layout = Layout::contiguous(&value.shape);
        let (dtype, device) = (value.dtype, value.device.clone());
        Tensor::from_parts(Cell::new(value), layout, dtype, device, Meta::default(), None)
    }

    pub(crate) fn from_parts(
        cell: Arc<Cell>,
        layout: Layout,
        dtype: DType,
        device: Device,
        meta: Meta,
        view: Option<View>,
    ) -> Tensor {
        Tensor(Arc::new(Inner {
            cell,
            layout,
            dtype,
            device,
            meta: Mutex::new(meta),
            accumulating: Mutex::default(),
            view,
        }))
    }

    /// The same storage read through another layout, without a place in the graph.
    pub(crate) fn alias(&self, layout: Layout) -> Tensor {
        Tensor::from_parts(self.0.cell.clone(), layout, self.dtype(), self.device(), Meta::default(), None)
    }

    /// The current value as a tensor of its own: what happens to this one's storage later does not reach it.
    pub(crate) fn snapshot(&self) -> Tensor {
        let cell = Cell::new(self.0.cell.value());
        Tensor::from_parts(cell, self.0.layout.clone(), self.dtype(), self.device(), Meta::default(), None)
    }

    /// The value and how to read it.
    pub(crate) fn operand(&self) -> Operand {
        Operand { value: self.0.cell.value(), layout: self.0.layout.clone() }
    }

    /// The sizes of the dimensions; empty for a 0-d tensor.
    pub fn shape(&self) -> &[usize] {
        &self.0.layout.shape
    }

    /// The size of one dimension, counted from the end if negative.
    #[track_caller]
    pub fn size(&self, dim: isize) -> usize {
        if self.rank() == 0 {
            crate::error::misuse("size", "a 0-d tensor has no dimensions");
        }
        self.shape()[crate::shape::axis("size", self.shape(), dim)]
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape().len()
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.0.layout.numel()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Where the tensor lives.
    pub fn device(&self) -> Device {
        self.0.device.clone()
    }

    /// The steps between neighbours in storage, in elements: 0 where expanded, negative where flipped.
    pub fn strides(&self) -> &[isize] {
        &self.0.layout.strides
    }

    /// Whether the elements lie in storage in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.0.layout.is_dense()
    }

    /// Whether two handles are the same tensor.
    pub fn is_same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether two tensors share storage, as a tensor and its views do.
    pub fn shares_storage(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0.cell, &other.0.cell)
    }

    /// How often the storage was changed in place.
    pub fn version(&self) -> u64 {
        self.0.cell.version()
    }

    /// Whether operations on this tensor are recorded for backward. A view requires grad where its base does.
    pub fn requires_grad(&self) -> bool {
        // As in PyTorch, a view does where its base does, also one that was made where nothing was recorded.
        self.0.view.as_ref().is_some_and(|view| view.base.requires_grad()) || self.0.meta.lock().requires()
    }

    /// Whether this is no result of a recorded operation: gradients are stored in leaves.
    #[track_caller]
    pub fn is_leaf(&self) -> bool {
        self.refreshed().grad_fn.is_none()
    }

    /// The node that made this tensor; `None` for a leaf.
    #[track_caller]
    pub fn grad_fn(&self) -> Option<Node> {
        self.refreshed().grad_fn.as_ref().map(|edge| Node(edge.node.clone()))
    }

    /// Where the gradient of this tensor goes: its node, or for a leaf the one that accumulates.
    #[track_caller]
    pub(crate) fn gradient_edge(&self) -> Option<Edge> {
        let mut meta = self.refreshed();
        if let Some(edge) = &meta.grad_fn {
            return Some(edge.clone());
        }
        if !meta.requires_grad {
            return None;
        }
        let node = meta.accumulator.upgrade().unwrap_or_else(|| {
            let node = NodeInner::accumulate(self, meta.hooks.clone(), meta.grad_dtype);
            meta.accumulator = Arc::downgrade(&node);
            node
        });
        Some(Edge { node, output: 0 })
    }

    /// What autograd knows, after a view has taken over the history that its base was given since.
    #[track_caller]
    pub(crate) fn refreshed(&self) -> parking_lot::MutexGuard<'_, Meta> {
        if let Some(View { base, replay }) = &self.0.view {
            let history = (base.refreshed().history, self.version());
            let (seen, own, made, requires) = {
                let meta = self.0.meta.lock();
                (meta.seen, meta.own, meta.made, meta.requires())
            };
            // A change that was not recorded leaves the history of the base, and a view takes it over again, as in PyTorch.
            let is_changed = || seen.1 != history.1 && mode::is_grad_enabled() && base.requires_grad();
            if seen.0 != history.0 || is_changed() {
                let how = match made {
                    Made::Recorded | Made::Together => None,
                    Made::Unrecorded => Some("where nothing was recorded"),
                    Made::ByFunction => Some("by a function with a gradient rule of its own"),
                };
                if let Some(how) = how.filter(|_| requires || base.requires_grad()) {
                    let shape = self.shape();
                    misuse(
                        "view",
                        format!(
                            "one of shape {shape:?}, made {how}, has no history any more: its base was changed in place"
                        ),
                    );
                }
                let (_recording, at) = (mode::recording(), mode::site());
                let take = || {
                    let (edge, dual) = mode::at_site(at, || replay.apply(base)).history();
                    self.take_history(edge, dual);
                };
                with_all_tangents(|| own.map_or_else(take, |level| below(level, take)));
                let mut meta = self.0.meta.lock();
                (meta.seen, meta.history) = (history, meta.history + 1);
            }
        }
        self.0.meta.lock()
    }
}

impl Tensor {
    /// The gradient function and the tangents of a tensor that was just made.
    pub(crate) fn history(&self) -> (Option<Edge>, Option<Dual>) {
        let meta = self.0.meta.lock();
        (meta.grad_fn.clone(), meta.dual.clone())
    }

    /// Gives the tensor a gradient function and tangents, but for those of hidden levels: if the function is another one,
    /// hooks stay with the old one, a wish to retain the gradient does not. Without a function, hooks stay with both.
    pub(crate) fn take_history(&self, edge: Option<Edge>, dual: Option<Dual>) {
        let dual = beside_hidden(dual, self.0.meta.lock().dual.clone());
        let mut meta = self.0.meta.lock();
        let is_same = match (&meta.grad_fn, &edge) {
            (Some(a), Some(b)) => Arc::ptr_eq(&a.node, &b.node) && a.output == b.output,
            (a, b) => a.is_none() && b.is_none(),
        };
        if meta.retains_grad && !is_same {
            let is_this = |kept: &Weak<Inner>| std::ptr::eq(kept.as_ptr(), Arc::as_ptr(&self.0));
            if let Some(old) = &meta.grad_fn {
                old.node.retains.lock().retain(|(_, kept)| !is_this(kept));
            }
            if let Some(new) = &edge {
                new.node.retains.lock().push((new.output, Arc::downgrade(&self.0)));
            }
        }
        if !is_same && edge.is_some() {
            meta.hooks = Hooks::default();
        }
        let old = (std::mem::replace(&mut meta.grad_fn, edge), std::mem::replace(&mut meta.dual, dual));
        // Dropped after the lock is released: it may be the end of a long chain.
        drop(meta);
        drop(old);
    }
}

impl Meta {
    pub fn requires(&self) -> bool {
        self.requires_grad || self.grad_fn.is_some()
    }
}
