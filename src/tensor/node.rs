//! The autograd graph: gradient functions, the edges between them, and the values they save.
//!
//! Recording an operation makes a node here; walking the nodes is `autograd/`'s work. A node never owns the tensor it
//! made: a saved result is kept as a value, so that no reference goes in a circle.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::shape::Dims;
use crate::tensor::cuts::{CutBy, Cuts};
use crate::tensor::device::Device;
use crate::tensor::dual;
use crate::tensor::mode::{is_grad_enabled, site, stopped_at};
pub(crate) use crate::tensor::saved::Save;
use crate::tensor::saved::Saved;
use crate::tensor::scopes::Scopes;
use crate::tensor::value::Value;
use crate::tensor::{Inner, Tensor, profile};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// A node of the autograd graph: the gradient function of one recorded operation.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<NodeInner>);

/// Where a gradient goes: output `output` of a node.
#[derive(Clone)]
pub(crate) struct Edge {
    pub node: Arc<NodeInner>,
    pub output: usize,
}

pub(crate) struct NodeInner {
    /// The name as PyTorch prints it.
    pub name: &'static str,
    /// Nodes are numbered as they are recorded; backward runs later ones first.
    pub order: u64,
    pub at: &'static Location<'static>,
    pub edges: Vec<Option<Edge>>,
    pub outputs: SmallVec<[Output; 1]>,
    pub function: Function,
    /// The hooks of the tensors that the node made, by output.
    pub hooks: Mutex<Vec<(usize, Hooks)>>,
    pub retains: Mutex<Vec<(usize, Weak<Inner>)>>,
    /// The hooks of the node itself, if there are any.
    pub own_hooks: Mutex<Option<Box<NodeHooks>>>,
    /// What the user wrote on it.
    pub metadata: Mutex<BTreeMap<String, String>>,
    /// Where the histories of inputs without an edge were cut off.
    pub cuts: Cuts,
}

/// The hooks of a node: those that see what flows into it, and those that also see what flows out.
#[derive(Clone, Default)]
pub(crate) struct NodeHooks {
    pub before: Vec<(u64, PreHook)>,
    pub after: Vec<(u64, PostHook)>,
}

/// Sees the gradients of a node's results, and may give others.
pub(crate) type PreHook = Arc<dyn Fn(&[Option<Tensor>]) -> Option<Vec<Option<Tensor>>> + Send + Sync>;

/// Sees the gradients of a node's inputs, for which it may give others, and of its results.
pub(crate) type PostHook =
    Arc<dyn Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Option<Vec<Option<Tensor>>> + Send + Sync>;

/// What is called with a leaf whose gradient has been added to.
pub(crate) type PostHooks = Arc<Mutex<Vec<(u64, Arc<dyn Fn(&Tensor) + Send + Sync>)>>>;

/// Told of every node that is made.
type CreationHook = Arc<dyn Fn(&Node) + Send + Sync>;

/// The shape and type of a result of the node, which a gradient must have as well.
pub(crate) struct Output {
    pub shape: Dims,
    pub dtype: DType,
    pub device: Device,
    /// The type that a user's rule wants the gradient in instead, or whatever type it has.
    pub asked: OnceLock<Option<DType>>,
}

pub(crate) enum Function {
    /// Adds the gradient to a leaf.
    Accumulate(Tensor),
    /// Computes gradients of the inputs.
    Rule { rule: Rule, saves: bool, saved: Mutex<Option<Vec<Saved>>> },
}

/// A gradient rule.
pub(crate) type Rule = Box<dyn Fn(Call) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

/// What a rule is called with.
pub(crate) struct Call<'a> {
    /// The gradient of the result, or of the first one: zeros if none has arrived.
    pub g: &'a Tensor,
    /// The gradients of all results; `None` where none has arrived.
    pub gradients: &'a [Option<Tensor>],
    /// The saved values, in the order they were saved.
    pub saved: &'a [Tensor],
    /// Which inputs want a gradient.
    pub needs: &'a [bool],
    /// What has arrived for an input from elsewhere, if it may be changed in place.
    pub buffer: &'a dyn Fn(usize) -> Option<Tensor>,
}

/// A hook: sees the gradient that has arrived, if any, and may give another in its place.
pub(crate) type Hook = Arc<dyn Fn(Option<&Tensor>) -> Option<Tensor> + Send + Sync>;

/// The hooks of one tensor, in the order they were registered.
pub(crate) type Hooks = Arc<Mutex<Vec<(u64, Hook)>>>;

/// Gives `y` a gradient function if one of the inputs wants gradients and recording is on.
#[track_caller]
pub(crate) fn record(
    y: Tensor,
    name: &'static str,
    inputs: &[&Tensor],
    saves: &[Save],
    rule: impl Fn(Call) -> Vec<Option<Tensor>> + Send + Sync + 'static,
) -> Tensor {
    record_all(&[&y], name, inputs, saves, move |call| Ok(rule(call)));
    y
}

/// Gives results one gradient function, if one of the inputs wants gradients and recording is on.
#[track_caller]
pub(crate) fn record_all(
    ys: &[&Tensor],
    name: &'static str,
    inputs: &[&Tensor],
    saves: &[Save],
    rule: impl Fn(Call) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) {
    let _operation = profile::described(name, inputs, ys);
    let mut cuts = Cuts::of(inputs);
    let has_tangents = dual::expect(ys, inputs);
    let is_tracked = inputs.iter().any(|x| x.requires_grad());
    if !is_grad_enabled() || !is_tracked {
        if let Some(line) = stopped_at().filter(|_| is_tracked) {
            cuts.add(&Cuts::at(CutBy::NoGrad, line));
        }
        cuts.carry(ys);
        if has_tangents {
            dual::carry(ys, inputs, saves, &rule);
        }
        return;
    }
    let mut saved: Vec<Saved> = Vec::with_capacity(saves.len());
    // Not in a closure, which would have a line of its own.
    for save in saves {
        saved.push(match save {
            Save::Input(x) => match ys.iter().position(|y| y.is_same(x)) {
                Some(output) => Saved::new(name, x, None, Some(output)),
                None => Saved::new(name, x, x.gradient_edge(), None),
            },
            Save::Number(x) => Saved::as_it_is(x, None),
            Save::Output => Saved::new(name, ys[0], None, Some(0)),
        });
    }
    ys[0].0.device.live().nodes.fetch_add(1, Ordering::Relaxed);
    // Asked for first: a view may record the history it takes over from its base, and nodes before this one.
    let edges = inputs.iter().map(|x| x.gradient_edge()).collect();
    let node = Arc::new(NodeInner {
        name,
        order: next_order(),
        at: site(),
        edges,
        outputs: ys.iter().map(|y| Output::of(y)).collect(),
        function: Function::Rule { rule: Box::new(rule), saves: !saved.is_empty(), saved: Mutex::new(Some(saved)) },
        hooks: Mutex::default(),
        retains: Mutex::default(),
        own_hooks: Mutex::default(),
        metadata: Mutex::default(),
        cuts,
    });
    profile::recorded(node.order);
    for (output, y) in ys.iter().enumerate().filter(|(_, y)| y.dtype().is_float()) {
        y.0.meta.lock().grad_fn = Some(Edge { node: node.clone(), output });
    }
    if has_tangents && let Function::Rule { rule, .. } = &node.function {
        dual::carry(ys, inputs, saves, rule);
    }
    for hook in CREATION_HOOKS.with(Scopes::all) {
        hook(&Node(node.clone()));
    }
}

thread_local! {
    static CREATION_HOOKS: Scopes<CreationHook> = const { Scopes::new() };
}

/// Ends a [`node_creation_hook`] when dropped.
#[must_use = "the hook lasts only as long as the guard: bind it to a name"]
pub struct CreationHookGuard {
    id: u64,
    one_thread: PhantomData<*const ()>,
}

/// Until the guard is dropped, calls `hook` with every node that this thread records, when it is complete.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use wgrad::{Device, Tensor, autograd::node_creation_hook};
/// let x = Tensor::ones([2], &Device::cpu()).requires_grad_(true)?;
/// let names = Arc::new(Mutex::new(Vec::new()));
/// let seen = names.clone();
/// let _scope = node_creation_hook(move |node| seen.lock().unwrap().push(node.name().to_string()));
/// (&x * 2.0).exp();
/// assert_eq!(*names.lock().unwrap(), ["MulBackward0", "ExpBackward0"]);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub fn node_creation_hook(hook: impl Fn(&Node) + Send + Sync + 'static) -> CreationHookGuard {
    CreationHookGuard { id: CREATION_HOOKS.with(|hooks| hooks.push(Arc::new(hook))), one_thread: PhantomData }
}

impl Drop for CreationHookGuard {
    fn drop(&mut self) {
        drop(CREATION_HOOKS.with(|hooks| hooks.remove(self.id)));
    }
}

impl Output {
    fn of(y: &Tensor) -> Output {
        Output { shape: Dims::from_slice(y.shape()), dtype: y.dtype(), device: y.device(), asked: OnceLock::new() }
    }

    /// A gradient in the type that the rule is given it in.
    pub fn typed(&self, g: &Tensor) -> Tensor {
        self.asked.get().copied().unwrap_or(Some(self.dtype)).map_or_else(|| g.clone(), |dtype| g.cast(dtype))
    }
}

/// A number larger than that of every node recorded so far, and smaller than those to come.
pub(crate) fn next_order() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl NodeInner {
    pub fn accumulate(leaf: &Tensor, hooks: Hooks, grad_dtype: Option<DType>) -> Arc<NodeInner> {
        leaf.0.device.live().nodes.fetch_add(1, Ordering::Relaxed);
        Arc::new(NodeInner {
            name: "AccumulateGrad",
            // Run as soon as the gradient is complete, so that it is not kept longer than needed.
            order: u64::MAX,
            at: leaf.0.cell.value().at,
            edges: Vec::new(),
            outputs: SmallVec::from([Output { dtype: grad_dtype.unwrap_or(leaf.dtype()), ..Output::of(leaf) }]),
            function: Function::Accumulate(leaf.clone()),
            hooks: Mutex::new(vec![(0, hooks)]),
            retains: Mutex::default(),
            own_hooks: Mutex::default(),
            metadata: Mutex::default(),
            cuts: Cuts::default(),
        })
    }

    /// The saved values as tensors that are still part of the graph.
    pub fn unpack(self: &Arc<Self>, saved: &Mutex<Option<Vec<Saved>>>, saves: bool) -> Result<Vec<Tensor>> {
        let packed = match &*saved.lock() {
            // The user's hooks run outside of the lock.
            Some(saved) if saved.iter().any(Saved::is_packed) => Some(saved.clone()),
            Some(saved) => return saved.iter().map(|s| s.unpack(self)).collect(),
            None => None,
        };
        match packed {
            Some(saved) => saved.iter().map(|s| s.unpack(self)).collect(),
            None if !saves => Ok(Vec::new()),
            None => Err(Error::new(
                Kind::Graph,
                format!(
                    "backward: the values saved by {} (recorded at {}:{}) were freed by an earlier backward; run that one with retain_graph",
                    self.name,
                    self.at.file(),
                    self.at.line()
                ),
            )),
        }
    }

    /// Where a saved result lies, now that an operation in place has written it into another storage.
    pub fn result_lies_in(&self, output: usize, x: &Tensor) {
        let Function::Rule { saved, .. } = &self.function else { return };
        if !saved.lock().iter().flatten().any(|saved| saved.is_result(output)) {
            return;
        }
        // Asked for outside of the lock: a view records its history anew.
        let place = x.0.view.as_ref().and_then(|_| x.gradient_edge());
        let mut saved = saved.lock();
        let results = saved.iter_mut().flatten().filter(|saved| saved.is_result(output));
        results.for_each(|saved| saved.move_result(x, place.as_ref()));
    }

    /// For each value that was saved and is still there, the values that are kept for it: `None` for what a hook packed
    /// and nobody can look into.
    pub fn saved_values(&self) -> Vec<Option<Vec<Arc<Value>>>> {
        match &self.function {
            Function::Accumulate(_) => Vec::new(),
            Function::Rule { saved, .. } => saved.lock().iter().flatten().map(Saved::values).collect(),
        }
    }

    /// Lets go of the saved values.
    pub fn free(&self) {
        if let Function::Rule { saved, .. } = &self.function {
            // Dropped after the lock is released: saved values may be long chains.
            let _old = saved.lock().take();
        }
    }
}

impl Node {
    /// The node's name, as `MulBackward0`.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The values saved for the gradient rule, as tensors of the graph, in the order they were saved.
    ///
    /// # Errors
    /// If a backward pass has freed them, or one was changed in place.
    pub fn saved_tensors(&self) -> Result<Vec<Tensor>> {
        match &self.0.function {
            Function::Accumulate(_) => Ok(Vec::new()),
            Function::Rule { saved, saves, .. } => self.0.unpack(saved, *saves),
        }
    }

    /// The shapes of the results that gradients arrive for.
    pub fn output_shapes(&self) -> Vec<Vec<usize>> {
        self.0.outputs.iter().map(|output| output.shape.to_vec()).collect()
    }

    /// The bytes of the values kept for the gradient rule. Not counted are numbers that stand in all places, as nobody
    /// stores them, and what hooks packed otherwise than as tensors.
    pub fn saved_bytes(&self) -> usize {
        let mut seen = HashSet::new();
        let values = self.0.saved_values().into_iter().flatten().flatten();
        values.filter(|value| seen.insert(value.id)).map(|value| value.bytes()).sum()
    }

    /// The number of the node in the order of recording; backward runs later ones first.
    pub fn sequence_nr(&self) -> u64 {
        self.0.order
    }

    /// The nodes this one sends gradients to, one place per input of the operation: `None` for an input that wants
    /// none; the number says which output of that node the input was.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([1], &Device::cpu()).requires_grad_(true)?;
    /// let y = (&x + 1.0) * 2.0;
    /// let add = y.grad_fn().unwrap().next_functions()[0].clone().unwrap().0;
    /// assert_eq!(add.name(), "AddBackward0");
    /// assert!(add.next_functions()[0].as_ref().unwrap().0.variable().unwrap().is_same(&x));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn next_functions(&self) -> Vec<Option<(Node, usize)>> {
        self.0.edges.iter().map(|e| e.as_ref().map(|e| (Node(e.node.clone()), e.output))).collect()
    }

    /// The leaf an `AccumulateGrad` node adds to.
    pub fn variable(&self) -> Option<Tensor> {
        if let Function::Accumulate(leaf) = &self.0.function { Some(leaf.clone()) } else { None }
    }

    /// Writes something on the node, under a key: the layer it belongs to, say, from a [`node_creation_hook`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::ones([1], &Device::cpu()).requires_grad_(true)? * 2.0;
    /// y.grad_fn().unwrap().set_metadata("layer", "first");
    /// assert_eq!(y.grad_fn().unwrap().metadata()["layer"], "first");
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.autograd.graph.Node.metadata](https://docs.pytorch.org/docs/stable/generated/torch.autograd.graph.Node.metadata.html).
    pub fn set_metadata(&self, key: impl Into<String>, value: impl Into<String>) {
        self.0.metadata.lock().insert(key.into(), value.into());
    }

    /// What was written on the node.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.0.metadata.lock().clone()
    }

    /// The user's line that recorded the operation.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.at
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}>", self.name())
    }
}

/// What a node refers to other nodes by.
type Links = (Vec<Option<Edge>>, Option<Vec<Saved>>, Option<Rule>);

thread_local! {
    /// What is left to drop, while somebody is at it.
    static LINKS: RefCell<Option<Vec<Links>>> = const { RefCell::new(None) };
}

/// Long graphs are dropped node by node, never by recursion: a node that goes while another one does leaves its links to
/// whoever began. They may lead anywhere, as those of a checkpoint do through the hooks of what it saved.
impl Drop for NodeInner {
    fn drop(&mut self) {
        self.outputs[0].device.live().nodes.fetch_sub(1, Ordering::Relaxed);
        let links = self.take_links();
        let is_first = LINKS.try_with(|rest| {
            let mut rest = rest.borrow_mut();
            let is_first = rest.is_none();
            rest.get_or_insert_default().push(links);
            is_first
        });
        if is_first == Ok(true) {
            while let Some(links) = LINKS.with_borrow_mut(|rest| rest.as_mut().and_then(Vec::pop)) {
                drop(links);
            }
            LINKS.set(None);
        }
    }
}

impl NodeInner {
    /// Moves out whatever may refer to other nodes.
    fn take_links(&mut self) -> Links {
        let edges = std::mem::take(&mut self.edges);
        match &mut self.function {
            Function::Accumulate(_) => (edges, None, None),
            Function::Rule { rule, saved, .. } => {
                let gone: Rule = Box::new(|_| unreachable!("the node was dropped"));
                (edges, saved.get_mut().take(), Some(std::mem::replace(rule, gone)))
            }
        }
    }
}
