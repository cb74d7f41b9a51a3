//! The autograd graph: gradient functions, the edges between them, and the values they save.
//!
//! Recording an operation makes a node here; walking the nodes is `autograd/`'s work. A node never owns the tensor it
//! made: a saved result is kept as a value, so that no reference goes in a circle.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::shape::{Dims, Layout};
use crate::tensor::device::Device;
use crate::tensor::dual::{self, Dual};
use crate::tensor::mode::{is_grad_enabled, site};
use crate::tensor::value::Value;
use crate::tensor::{Cell, Inner, Meta, Tensor};
use parking_lot::Mutex;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

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
    pub output: Output,
    pub function: Function,
    pub hooks: Mutex<Vec<(usize, Hooks)>>,
    pub retains: Mutex<Vec<(usize, Weak<Inner>)>>,
}

/// The shape and type of what the node made, which a gradient must have as well.
pub(crate) struct Output {
    pub shape: Dims,
    pub dtype: DType,
    pub device: Device,
}

pub(crate) enum Function {
    /// Adds the gradient to a leaf.
    Accumulate(Tensor),
    /// Computes gradients of the inputs.
    Rule { rule: Rule, saves: bool, saved: Mutex<Option<Vec<Saved>>> },
}

pub(crate) type Rule = Box<dyn Fn(Call) -> Vec<Option<Tensor>> + Send + Sync>;

/// What a rule is called with.
pub(crate) struct Call<'a> {
    /// The gradient of the result.
    pub g: &'a Tensor,
    /// The saved values, in the order they were saved.
    pub saved: &'a [Tensor],
    /// Which inputs want a gradient.
    pub needs: &'a [bool],
}

/// A hook: sees a gradient, and may give another in its place.
pub(crate) type Hook = Arc<dyn Fn(&Tensor) -> Option<Tensor> + Send + Sync>;

/// The hooks of one tensor, in the order they were registered.
pub(crate) type Hooks = Arc<Mutex<Vec<(u64, Hook)>>>;

/// What an operation keeps for its gradient rule.
pub(crate) enum Save<'a> {
    Input(&'a Tensor),
    Output,
}

/// A saved value, with the version its storage had.
pub(crate) struct Saved {
    value: Arc<Value>,
    layout: Layout,
    cell: Arc<Cell>,
    version: u64,
    /// The edge of a saved input; a saved result is made again from the node itself.
    edge: Option<Edge>,
    dual: Option<Dual>,
    is_output: bool,
}

/// Gives `y` a gradient function if one of the inputs wants gradients and recording is on.
#[track_caller]
pub(crate) fn record(
    y: Tensor,
    name: &'static str,
    inputs: &[&Tensor],
    saves: &[Save],
    rule: impl Fn(Call) -> Vec<Option<Tensor>> + Send + Sync + 'static,
) -> Tensor {
    let has_tangents = dual::expect(&y, inputs);
    if !is_grad_enabled() || !inputs.iter().any(|x| x.requires_grad()) {
        if has_tangents {
            dual::carry(&y, inputs, saves, &rule);
        }
        return y;
    }
    let saved: Vec<Saved> = saves
        .iter()
        .map(|save| match save {
            Save::Input(x) => Saved::new(x, x.gradient_edge(), false),
            Save::Output => Saved::new(&y, None, true),
        })
        .collect();
    // Asked for first: a view may record the history it takes over from its base, and nodes before this one.
    let edges = inputs.iter().map(|x| x.gradient_edge()).collect();
    let node = Arc::new(NodeInner {
        name,
        order: next_order(),
        at: site(),
        edges,
        output: Output { shape: Dims::from_slice(y.shape()), dtype: y.dtype(), device: y.device() },
        function: Function::Rule { rule: Box::new(rule), saves: !saved.is_empty(), saved: Mutex::new(Some(saved)) },
        hooks: Mutex::default(),
        retains: Mutex::default(),
    });
    y.0.meta.lock().grad_fn = Some(Edge { node: node.clone(), output: 0 });
    if has_tangents && let Function::Rule { rule, .. } = &node.function {
        dual::carry(&y, inputs, saves, rule);
    }
    y
}

/// A number larger than that of every node recorded so far, and smaller than those to come.
pub(crate) fn next_order() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Saved {
    fn new(x: &Tensor, edge: Option<Edge>, is_output: bool) -> Saved {
        let operand = x.operand();
        Saved {
            value: operand.value,
            layout: operand.layout,
            cell: x.0.cell.clone(),
            version: x.version(),
            edge,
            dual: x.0.meta.lock().dual.clone(),
            is_output,
        }
    }

    fn unpack(&self, node: &Arc<NodeInner>) -> Result<Tensor> {
        let now = self.cell.version();
        if now != self.version {
            let line = |at: &Location| format!("{}:{}", at.file(), at.line());
            return Err(Error::new(
                Kind::InPlace,
                format!(
                    "backward: a value of shape {:?} saved by {} (recorded at {}) was changed in place{}: it is at version {now}, version {} was saved",
                    self.layout.shape.as_slice(),
                    node.name,
                    line(node.at),
                    self.cell.changed_at().map(|at| format!(" at {}", line(at))).unwrap_or_default(),
                    self.version,
                ),
            ));
        }
        let edge = if self.is_output { Some(Edge { node: node.clone(), output: 0 }) } else { self.edge.clone() };
        if let Some(Edge { node, .. }) = &edge
            && let Function::Accumulate(leaf) = &node.function
            && Arc::ptr_eq(&leaf.0.cell, &self.cell)
            && leaf.0.layout == self.layout
        {
            return Ok(leaf.clone());
        }
        let meta = Meta { grad_fn: edge, dual: self.dual.clone(), ..Meta::default() };
        Ok(Tensor::from_parts(
            self.cell.clone(),
            self.layout.clone(),
            self.value.dtype,
            self.value.device.clone(),
            meta,
            None,
        ))
    }
}

impl NodeInner {
    pub fn accumulate(leaf: &Tensor, hooks: Hooks) -> Arc<NodeInner> {
        Arc::new(NodeInner {
            name: "AccumulateGrad",
            // Run as soon as the gradient is complete, so that it is not kept longer than needed.
            order: u64::MAX,
            at: site(),
            edges: Vec::new(),
            output: Output { shape: Dims::from_slice(leaf.shape()), dtype: leaf.dtype(), device: leaf.device() },
            function: Function::Accumulate(leaf.clone()),
            hooks: Mutex::new(vec![(0, hooks)]),
            retains: Mutex::default(),
        })
    }

    /// The saved values as tensors that are still part of the graph.
    pub fn unpack(self: &Arc<Self>, saved: &Mutex<Option<Vec<Saved>>>, saves: bool) -> Result<Vec<Tensor>> {
        match &*saved.lock() {
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

    /// The numbers of the saved values.
    pub fn saved_values(&self) -> Vec<u64> {
        match &self.function {
            Function::Rule { saved, .. } => saved.lock().iter().flatten().map(|saved| saved.value.id).collect(),
            Function::Accumulate(_) => Vec::new(),
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
        match &self.0.function {
            Function::Accumulate(leaf) => Some(leaf.clone()),
            Function::Rule { .. } => None,
        }
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

/// Long graphs are dropped node by node, never by recursion.
impl Drop for NodeInner {
    fn drop(&mut self) {
        let mut rest = Vec::new();
        self.take_links(&mut rest);
        while let Some(node) = rest.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                node.take_links(&mut rest);
            }
        }
    }
}

impl NodeInner {
    /// Moves every reference to another node out of this one.
    fn take_links(&mut self, rest: &mut Vec<Arc<NodeInner>>) {
        rest.extend(self.edges.drain(..).flatten().map(|edge| edge.node));
        if let Function::Rule { saved, .. } = &mut self.function
            && let Some(saved) = saved.get_mut()
        {
            rest.extend(saved.iter_mut().filter_map(|s| s.edge.take()).map(|edge| edge.node));
        }
    }
}
