//! What an operation keeps for its gradient rule, and who may keep it in its stead.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result, misuse};
use crate::shape::{Dims, Layout};
use crate::tensor::device::Device;
use crate::tensor::dual::Dual;
use crate::tensor::mode::is_inference;
use crate::tensor::node::{Edge, Function, NodeInner};
use crate::tensor::scopes::Scopes;
use crate::tensor::value::{Kept, Value, with_witness};
use crate::tensor::work::verb;
use crate::tensor::{Cell, Meta, Tensor};
use std::any::Any;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, Weak};

/// What an operation asks to be kept.
pub(crate) enum Save<'a> {
    Input(&'a Tensor),
    /// An input that was given as a number: no tensor of the user's, so no hook sees it.
    Number(&'a Tensor),
    Output,
}

/// A saved value, and where in the graph it stands.
#[derive(Clone)]
pub(crate) struct Saved {
    content: Content,
    pub edge: Option<Edge>,
    dual: Option<Dual>,
    /// Which result of the node it is: that is made again from the node itself, which must not hold itself.
    output: Option<usize>,
    /// The node of the view through which an operation in place has written the result.
    through: Option<(Weak<NodeInner>, usize)>,
}

#[derive(Clone)]
enum Content {
    /// The value, with the version its storage had; without one, changes in place do not matter.
    Value { value: Kept, layout: Layout, cell: Arc<Cell>, version: Option<u64> },
    /// What a pack hook made of it, and what it was.
    Packed { payload: Payload, hooks: Arc<Pair>, shape: Dims, dtype: DType, device: Device },
}

type Payload = Arc<dyn Any + Send + Sync>;
type Unpack = Box<dyn Fn(&Payload) -> Result<Tensor> + Send + Sync>;
type Keeps = Box<dyn Fn(&Payload) -> Option<Vec<Arc<Value>>> + Send + Sync>;

/// The hooks of one scope.
struct Pair {
    pack: Box<dyn Fn(Tensor) -> Payload + Send + Sync>,
    unpack: Unpack,
    /// The values that a payload keeps, if that is known.
    keeps: Keeps,
}

#[derive(Clone)]
enum Hooks {
    Pair(Arc<Pair>),
    Disabled(String),
}

thread_local! {
    static HOOKS: Scopes<Hooks> = const { Scopes::new() };
    static MUTATION: Scopes<()> = const { Scopes::new() };
}

/// Ends its scope when dropped.
#[must_use = "the scope lasts only as long as the guard: bind it to a name"]
pub struct SavedTensorsGuard {
    id: u64,
    end: fn(u64),
    one_thread: PhantomData<*const ()>,
}

impl SavedTensorsGuard {
    fn pushed(hooks: Hooks) -> SavedTensorsGuard {
        let id = HOOKS.with(|all| all.push(hooks));
        SavedTensorsGuard { id, end: |id| drop(HOOKS.with(|all| all.remove(id))), one_thread: PhantomData }
    }
}

impl Drop for SavedTensorsGuard {
    fn drop(&mut self) {
        (self.end)(self.id);
    }
}

/// Until the guard is dropped, every tensor this thread saves for backward goes through `pack`, and what it made goes
/// through `unpack` when a gradient rule needs it. The innermost scope counts.
///
/// ```
/// use wgrad::autograd::saved_tensors_hooks;
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new([1.0, 2.0], &Device::cpu()).requires_grad_(true)?;
/// let y = {
///     let _scope = saved_tensors_hooks(|x| x * 10.0, |packed| Ok(packed.clone()));
///     &x * &x
/// };
/// y.sum().backward()?;
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [20.0, 40.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// Backward fails if what `unpack` gives is of another shape, dtype or device than what was packed, or with its own error.
///
/// # Panics
/// Where [`disable_saved_tensors_hooks`] forbids it; and an operation panics if `pack` changes in place what it is given.
///
/// Source: [torch.autograd.graph.saved_tensors_hooks](https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.graph.saved_tensors_hooks).
#[track_caller]
pub fn saved_tensors_hooks<P: Send + Sync + 'static>(
    pack: impl Fn(Tensor) -> P + Send + Sync + 'static,
    unpack: impl Fn(&P) -> Result<Tensor> + Send + Sync + 'static,
) -> SavedTensorsGuard {
    hooks_that_keep(pack, unpack, |payload: &P| {
        let payload: &dyn Any = payload;
        let one = payload.downcast_ref::<Tensor>().map(std::slice::from_ref);
        let tensors = one.or(payload.downcast_ref::<Vec<Tensor>>().map(Vec::as_slice))?;
        Some(tensors.iter().map(|x| x.0.cell.value()).collect())
    })
}

/// [`saved_tensors_hooks`] of which it is known what values a payload keeps.
#[track_caller]
pub(crate) fn hooks_that_keep<P: Send + Sync + 'static>(
    pack: impl Fn(Tensor) -> P + Send + Sync + 'static,
    unpack: impl Fn(&P) -> Result<Tensor> + Send + Sync + 'static,
    keeps: impl Fn(&P) -> Option<Vec<Arc<Value>>> + Send + Sync + 'static,
) -> SavedTensorsGuard {
    if let Some(why) = HOOKS.with(Scopes::all).iter().rev().find_map(Hooks::disabled) {
        misuse("saved_tensors_hooks", why);
    }
    SavedTensorsGuard::pushed(Hooks::Pair(Arc::new(Pair {
        pack: Box::new(move |x| Arc::new(pack(x))),
        unpack: Box::new(move |payload| unpack(own(payload))),
        keeps: Box::new(move |payload| keeps(own(payload))),
    })))
}

/// A payload as what its hooks made.
fn own<P: 'static>(payload: &Payload) -> &P {
    payload.downcast_ref().expect("a payload goes back to who packed it")
}

/// Until the guard is dropped, what this thread saves for backward waits in the memory of the CPU, and goes back to its
/// device when a gradient rule needs it: memory of the device is saved for the time of two copies.
///
/// ```
/// use wgrad::autograd::save_on_cpu;
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new([1.0, 2.0], &Device::best()?).requires_grad_(true)?;
/// let y = {
///     let _scope = save_on_cpu();
///     x.exp()
/// };
/// y.sum().backward()?;
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// Backward fails if a value could not be read or written.
///
/// Source: [torch.autograd.graph.save_on_cpu](https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.graph.save_on_cpu).
#[track_caller]
pub fn save_on_cpu() -> SavedTensorsGuard {
    // A copy, since the tensor may be changed in place on a device that is the CPU.
    let pack = |x: Tensor| (x.device(), x.to_device(&Device::cpu()).map(|x| x.copy()));
    let unpack = |(device, x): &(Device, Result<Tensor>)| x.clone()?.to_device(device);
    hooks_that_keep(pack, unpack, |(_, x)| Some(x.iter().map(|x| x.0.cell.value()).collect()))
}

/// Until the guard is dropped, [`saved_tensors_hooks`] panics with this message on this thread.
///
/// # Panics
/// Inside of a scope of such hooks, with the message.
#[track_caller]
pub fn disable_saved_tensors_hooks(message: impl Into<String>) -> SavedTensorsGuard {
    let message = message.into();
    if HOOKS.with(Scopes::all).iter().any(|hooks| hooks.disabled().is_none()) {
        misuse("disable_saved_tensors_hooks", message);
    }
    SavedTensorsGuard::pushed(Hooks::Disabled(message))
}

/// Until the guard is dropped, what is saved stays as it was saved: tensors may be changed in place, and backward sees
/// the values of before.
///
/// ```
/// use wgrad::autograd::allow_mutation_on_saved_tensors;
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new([1.0, 2.0], &Device::cpu()).requires_grad_(true)?;
/// let _scope = allow_mutation_on_saved_tensors();
/// let y = &x * 1.0;
/// let z = &y * &y;
/// y.add_(100.0)?;
/// z.sum().backward()?;
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Values are immutable, so nothing is copied for it.
pub fn allow_mutation_on_saved_tensors() -> SavedTensorsGuard {
    let id = MUTATION.with(|all| all.push(()));
    SavedTensorsGuard { id, end: |id| _ = MUTATION.with(|all| all.remove(id)), one_thread: PhantomData }
}

impl Hooks {
    fn disabled(&self) -> Option<String> {
        match self {
            Hooks::Disabled(message) => Some(message.clone()),
            Hooks::Pair(_) => None,
        }
    }
}

/// Runs `f` without hooks and without a witness: what it saves and records is nobody's but its own.
pub(crate) fn without_hooks<T>(f: impl FnOnce() -> T) -> T {
    HOOKS.with(|all| all.without(|| with_witness(None, f)))
}

impl Saved {
    /// Keeps a tensor for the node of a name; `output` tells which result of the node being made it is.
    #[track_caller]
    pub fn new(by: &str, x: &Tensor, edge: Option<Edge>, output: Option<usize>) -> Saved {
        if x.0.cell.inference && !is_inference() {
            let shape = x.shape();
            misuse(
                &verb(by),
                format!(
                    "a tensor of shape {shape:?} made in inference mode cannot be saved for backward; use a copy of it"
                ),
            );
        }
        let dual = x.0.meta.lock().dual.clone();
        if let Some(Hooks::Pair(hooks)) = HOOKS.with(Scopes::last) {
            // A hook's own operations are not packed again.
            let version = x.version();
            let payload = without_hooks(|| (hooks.pack)(x.untracked()));
            if x.version() != version {
                let (verb, shape) = (verb(by), x.shape());
                misuse("saved_tensors_hooks", format!("pack changed what {verb} saves, of shape {shape:?}, in place"));
            }
            let (shape, dtype, device) = (Dims::from_slice(x.shape()), x.dtype(), x.device());
            let content = Content::Packed { payload, hooks, shape, dtype, device };
            return Saved { content, edge, dual, output, through: None };
        }
        let version = MUTATION.with(Scopes::last).is_none().then(|| x.version());
        Saved { edge, dual, output, ..Saved::as_it_is(x, version) }
    }

    /// Keeps a tensor that is in no graph, without asking a hook.
    pub fn as_it_is(x: &Tensor, version: Option<u64>) -> Saved {
        let operand = x.operand();
        let content =
            Content::Value { value: Kept::new(operand.value), layout: operand.layout, cell: x.0.cell.clone(), version };
        Saved { content, edge: None, dual: None, output: None, through: None }
    }

    /// The tensor that a node saved, as part of the graph that it was part of.
    pub fn unpack(&self, node: &Arc<NodeInner>) -> Result<Tensor> {
        let edge = match self.output {
            Some(output) => {
                let view = self.through.as_ref().and_then(|(node, output)| Some((node.upgrade()?, *output)));
                let (node, output) = view.unwrap_or_else(|| (node.clone(), output));
                Some(Edge { node, output })
            }
            None => self.edge.clone(),
        };
        self.unpack_at(edge, || format!("{} (recorded at {}:{})", node.name, node.at.file(), node.at.line()))
    }

    /// The tensor that a checkpoint saved.
    pub fn unpack_alone(&self) -> Result<Tensor> {
        self.unpack_at(self.edge.clone(), || "a checkpoint".into())
    }

    fn unpack_at(&self, edge: Option<Edge>, by: impl Fn() -> String) -> Result<Tensor> {
        let meta = |grad_fn| Meta { grad_fn, dual: self.dual.clone(), ..Meta::default() };
        let (value, layout, cell, version) = match &self.content {
            Content::Packed { payload, hooks, shape, dtype, device } => {
                let x = (hooks.unpack)(payload)?;
                if x.shape() != &shape[..] || x.dtype() != *dtype || x.device() != *device {
                    let kind = |dtype: DType, shape: &[usize], device: &Device| {
                        format!("{dtype} of shape {shape:?} on {}", device.name())
                    };
                    return Err(Error::new(
                        Kind::Graph,
                        format!(
                            "backward: a value saved by {} was packed by a hook as {}, and unpacked as {}",
                            by(),
                            kind(*dtype, shape, device),
                            kind(x.dtype(), x.shape(), &x.device()),
                        ),
                    ));
                }
                let (cell, layout) = (x.0.cell.clone(), x.0.layout.clone());
                return Ok(Tensor::from_parts(cell, layout, x.dtype(), x.device(), meta(edge), None));
            }
            Content::Value { value, layout, cell, version } => (value, layout, cell, version),
        };
        if let Some(version) = version.filter(|&version| version != cell.version()) {
            let line = |at: &Location| format!("{}:{}", at.file(), at.line());
            return Err(Error::new(
                Kind::InPlace,
                format!(
                    "backward: a value of shape {:?} saved by {} was changed in place{}: it is at version {}, version {version} was saved",
                    layout.shape.as_slice(),
                    by(),
                    cell.changed_at().map(|at| format!(" at {}", line(at))).unwrap_or_default(),
                    cell.version(),
                ),
            ));
        }
        if let Some(Edge { node, .. }) = &edge
            && let Function::Accumulate(leaf) = &node.function
            && Arc::ptr_eq(&leaf.0.cell, cell)
            && leaf.0.layout == *layout
            && version.is_some()
        {
            return Ok(leaf.clone());
        }
        let value = value.value();
        let cell = if version.is_some() { cell.clone() } else { Cell::new(value.clone()) };
        Ok(Tensor::from_parts(cell, layout.clone(), value.dtype, value.device.clone(), meta(edge), None))
    }

    /// Whether this is a result of its node.
    pub fn is_result(&self, output: usize) -> bool {
        self.output == Some(output)
    }

    /// Whether reading it runs a hook.
    pub fn is_packed(&self) -> bool {
        matches!(self.content, Content::Packed { .. })
    }

    /// Notes that the result lies in another tensor's storage, of which, if it is a view, that is the place in the graph.
    pub fn move_result(&mut self, x: &Tensor, place: Option<&Edge>) {
        self.through = place.map(|edge| (Arc::downgrade(&edge.node), edge.output));
        if let Content::Value { value, layout, cell, version: Some(version) } = &mut self.content {
            (*value, *layout) = (Kept::new(x.0.cell.value()), x.0.layout.clone());
            (*cell, *version) = (x.0.cell.clone(), x.version());
        }
    }

    /// The values that are kept alive by it, as far as that is known of what a hook packed.
    pub fn values(&self) -> Option<Vec<Arc<Value>>> {
        match &self.content {
            Content::Value { value, .. } => Some(vec![value.value().clone()]),
            Content::Packed { payload, hooks, .. } => (hooks.keeps)(payload),
        }
    }
}
