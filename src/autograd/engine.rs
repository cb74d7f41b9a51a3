//! The walk: later nodes first, each once, when every gradient that flows into it has arrived.

use crate::autograd::anomaly;
use crate::error::{Result, misuse};
use crate::ops::create::full;
use crate::shape::broadcast;
use crate::tensor::Tensor;
use crate::tensor::mode::{at_site, in_node, set_grad_enabled};
use crate::tensor::node::{Call, Edge, Function, NodeInner, Output};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One run over the graph.
#[derive(Default)]
pub(crate) struct Walk {
    pub create_graph: bool,
    pub retain_graph: bool,
    /// Nodes with smaller numbers are the outside: the run ends at them.
    pub since: u64,
}

/// What a run is for.
pub(crate) enum Goal<'a> {
    /// Add to the `grad` of every leaf that is reached.
    Accumulate,
    /// Add to the `grad` of these tensors only, leaves or not.
    AccumulateInto(&'a [Option<Edge>], &'a [Tensor]),
    /// Return the gradients that arrive at these edges.
    Capture(&'a [Option<Edge>]),
    /// As `Capture`, hidden from the hooks at these edges: another run will show them the gradients.
    Collect(&'a [Option<Edge>]),
}

/// A node ready to run; the heap gives the one recorded last.
struct Ready(Arc<NodeInner>);

type Id = *const NodeInner;

/// The gradients that have arrived at the results of a node.
type Arrived = SmallVec<[Option<Tensor>; 1]>;

/// A run under way on this thread.
pub(super) struct Task {
    pub id: u64,
    graph: Reached,
    callbacks: RefCell<Vec<Box<dyn FnOnce()>>>,
}

thread_local! {
    static TASKS: RefCell<Vec<Rc<Task>>> = const { RefCell::new(Vec::new()) };
}

impl Task {
    /// The innermost run of this thread.
    pub fn current() -> Option<Rc<Task>> {
        TASKS.with_borrow(|tasks| tasks.last().cloned())
    }

    /// Whether the run will come to a node.
    pub fn runs(&self, node: &Arc<NodeInner>) -> bool {
        self.graph.reaches(node)
    }

    /// Calls `f` when the run has ended well.
    pub fn at_end(&self, f: impl FnOnce() + 'static) {
        self.callbacks.borrow_mut().push(Box::new(f));
    }
}

impl Walk {
    /// Saved values are kept only with `create_graph`, unless it is said.
    pub fn of(create_graph: bool, retain_graph: Option<bool>) -> Walk {
        Walk { create_graph, retain_graph: retain_graph.unwrap_or(create_graph), since: 0 }
    }

    pub fn run(&self, roots: Vec<(Edge, Tensor)>, goal: Goal) -> Result<Vec<Option<Tensor>>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let wanted: &[Option<Edge>] = match &goal {
            Goal::Accumulate => &[],
            Goal::AccumulateInto(edges, _) | Goal::Capture(edges) | Goal::Collect(edges) => edges,
        };
        let mut graph = Reached::from(&roots, self.since);
        if !matches!(goal, Goal::Accumulate) {
            graph.keep_only_paths_to(wanted);
        }
        let mut waiting = std::mem::take(&mut graph.incoming);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let task = Rc::new(Task { id, graph, callbacks: RefCell::default() });
        let graph = &task.graph;
        let _current = Current::of(task.clone());
        let mut captured: Vec<Option<Tensor>> = vec![None; wanted.len()];
        let mut arrived: HashMap<Id, Arrived> = HashMap::new();
        let mut ready = BinaryHeap::new();

        let _mode = set_grad_enabled(self.create_graph);
        for (edge, g) in roots {
            if graph.runs(&edge.node) {
                arrive(&mut arrived, &edge, g);
                if waiting.get(&Arc::as_ptr(&edge.node)).copied().unwrap_or(0) == 0 {
                    ready.push(Ready(edge.node));
                }
            }
        }
        // A root may be given twice, or be an input of another root.
        let mut done: HashSet<Id> = HashSet::new();
        while let Some(Ready(node)) = ready.pop() {
            let id = Arc::as_ptr(&node);
            if !done.insert(id) {
                continue;
            }
            let gradients = match arrived.remove(&id) {
                Some(mut gs) => {
                    // Of what is collected, another run shows the gradients to the hooks.
                    if !(matches!(goal, Goal::Collect(_)) && graph.is_end(&node)) {
                        pass_hooks(&node, &mut gs);
                    }
                    for (edge, captured) in wanted.iter().zip(&mut captured) {
                        if let Some(edge) = edge.as_ref().filter(|edge| Arc::ptr_eq(&edge.node, &node)) {
                            *captured = gs[edge.output].clone();
                        }
                    }
                    // A node that is only asked for its gradient has nothing to pass on.
                    if graph.is_end(&node) { Vec::new() } else { self.call(&node, gs, graph, &goal)? }
                }
                None => Vec::new(),
            };
            for (i, edge) in graph.edges(&node).iter().enumerate() {
                let Some(edge) = edge else { continue };
                if !graph.runs(&edge.node) {
                    continue;
                }
                if let Some(g) = gradients.get(i).cloned().flatten() {
                    arrive(&mut arrived, edge, fitted(&node, edge, g));
                }
                let left = waiting.get_mut(&Arc::as_ptr(&edge.node)).expect("every edge was counted");
                *left -= 1;
                if *left == 0 {
                    ready.push(Ready(edge.node.clone()));
                }
            }
        }
        if let Goal::AccumulateInto(_, inputs) = goal {
            for (i, (x, g)) in inputs.iter().zip(&captured).enumerate() {
                let meta = x.0.meta.lock();
                // What retains its gradient has stored it on the way; what is named twice counts once.
                let stored = meta.retains_grad && meta.grad_fn.is_some() || inputs[..i].iter().any(|y| y.is_same(x));
                drop(meta);
                if let Some(g) = g.as_ref().filter(|_| !stored) {
                    self.accumulate(x, g);
                }
            }
        }
        // A callback may queue another one.
        while let Some(callbacks) = Some(task.callbacks.take()).filter(|all| !all.is_empty()) {
            callbacks.into_iter().for_each(|f| f());
        }
        Ok(captured)
    }

    /// Runs one node: gradients of its inputs, or for a leaf, its own.
    fn call(&self, node: &Arc<NodeInner>, gs: Arrived, graph: &Reached, goal: &Goal) -> Result<Vec<Option<Tensor>>> {
        match &node.function {
            Function::Accumulate(leaf) => {
                if let Some(g) = gs[0].as_ref().filter(|_| matches!(goal, Goal::Accumulate)) {
                    self.accumulate(leaf, g);
                }
                after_hooks(node, &[], &gs);
                Ok(Vec::new())
            }
            Function::Rule { rule, saves, saved } => {
                let values = node.unpack(saved, *saves)?;
                if !self.retain_graph {
                    node.free();
                }
                let needs: Vec<bool> =
                    node.edges.iter().map(|edge| edge.as_ref().is_some_and(|edge| graph.runs(&edge.node))).collect();
                let first = match &gs[0] {
                    Some(g) => g.clone(),
                    None => {
                        let Output { shape, dtype, device } = &node.outputs[0];
                        full(0.0, shape.clone(), *dtype, device)
                    }
                };
                // What the rule records belongs to the line of the forward operation.
                let call = Call { g: &first, gradients: &gs, saved: &values, needs: &needs };
                let given = in_node(Some(node.name), || at_site(node.at, || rule(call))).map(|gradients| {
                    debug_assert_eq!(gradients.len(), node.edges.len(), "{} gives one gradient per input", node.name);
                    after_hooks(node, &gradients, &gs).unwrap_or(gradients)
                });
                anomaly::checked(node, &gs, given)
            }
        }
    }

    /// Adds a gradient to the one a tensor has stored, and tells the tensor's hooks.
    fn accumulate(&self, leaf: &Tensor, g: &Tensor) {
        // Who stopped to require grad since the graph was recorded wants none.
        if !leaf.requires_grad() {
            return;
        }
        // Several threads may walk graphs that end in one leaf.
        let one_at_a_time = leaf.0.accumulating.lock();
        let old = leaf.0.meta.lock().grad.clone();
        match old {
            Some(old) if !self.create_graph => {
                // In place, so that whoever holds the stored gradient sees it grow.
                old.add_(g).expect("a stored gradient is no leaf that requires grad");
            }
            old => {
                let new = match old {
                    // A tensor of its own, in row-major order: the gradient that arrived may be someone else's, or a view.
                    None if self.create_graph => g.copy(),
                    None => g.untracked().copy(),
                    Some(old) => &old + g,
                };
                let _old = leaf.0.meta.lock().grad.replace(new);
            }
        }
        drop(one_at_a_time);
        let hooks = leaf.0.meta.lock().post_hooks.clone();
        // Copied, so that a hook may remove itself or others.
        let hooks = hooks.lock().clone();
        hooks.into_iter().for_each(|(_, hook)| hook(leaf));
    }
}

/// Makes a task the current one until it is dropped.
struct Current;

impl Current {
    fn of(task: Rc<Task>) -> Current {
        TASKS.with_borrow_mut(|tasks| tasks.push(task));
        Current
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        TASKS.with_borrow_mut(|tasks| drop(tasks.pop()));
    }
}

/// A gradient as the result it belongs to: summed over the dimensions that were broadcast, and of its type.
fn fitted(from: &NodeInner, edge: &Edge, g: Tensor) -> Tensor {
    let output = &edge.node.outputs[edge.output];
    if broadcast(&output.shape, g.shape()).as_deref() != Some(g.shape())
        || !g.dtype().is_float()
        || g.device() != output.device
    {
        misuse(
            from.name,
            format!(
                "recorded at {}, gave a gradient of shape {:?} and type {} for an input of shape {:?} and type {}",
                from.at,
                g.shape(),
                g.dtype(),
                output.shape.as_slice(),
                output.dtype
            ),
        );
    }
    g.sum_to(&output.shape).cast(output.dtype)
}

/// Adds a gradient to what has arrived at a result of a node.
fn arrive(arrived: &mut HashMap<Id, Arrived>, edge: &Edge, g: Tensor) {
    let node = &edge.node;
    let gs = arrived.entry(Arc::as_ptr(node)).or_insert_with(|| node.outputs.iter().map(|_| None).collect());
    gs[edge.output] = Some(match gs[edge.output].take() {
        Some(other) => at_site(node.at, || other + g),
        None => g,
    });
}

/// Shows the gradients to the hooks of the tensors, in order, stores them where they are to be retained, and shows them
/// to the hooks of the node.
fn pass_hooks(node: &Arc<NodeInner>, gs: &mut Arrived) {
    let hooks = node.hooks.lock().clone();
    for (output, hooks) in hooks {
        // Copied, so that a hook may remove itself or others.
        let hooks = hooks.lock().clone();
        for (_, hook) in hooks {
            let Some(g) = &gs[output] else { break };
            if let Some(replacement) = hook(g) {
                gs[output] = Some(replacement);
            }
        }
    }
    let retains = node.retains.lock().clone();
    for (output, tensor) in retains {
        if let Some((inner, g)) = tensor.upgrade().zip(gs[output].as_ref()) {
            let old = inner.meta.lock().grad.clone();
            let new = old.map_or_else(|| g.copy(), |old| old + g);
            let _old = inner.meta.lock().grad.replace(new);
        }
    }
    let own = node.own_hooks.lock().clone();
    for (_, hook) in own.into_iter().flat_map(|own| own.before) {
        if let Some(new) = hook(gs) {
            *gs = replaced("register_prehook", node, gs, new).into();
        }
    }
}

/// Shows what flows out of a node, and what flowed in, to its hooks; gives what they put in the place of the former.
fn after_hooks(node: &NodeInner, gradients: &[Option<Tensor>], gs: &[Option<Tensor>]) -> Option<Vec<Option<Tensor>>> {
    let own = node.own_hooks.lock().clone()?;
    own.after.into_iter().fold(None, |now: Option<Vec<Option<Tensor>>>, (_, hook)| {
        let before = now.as_deref().unwrap_or(gradients);
        hook(before, gs).map(|new| replaced("register_hook", node, before, new)).or(now)
    })
}

/// Gradients that a hook gave in the place of others.
fn replaced(op: &str, node: &NodeInner, old: &[Option<Tensor>], new: Vec<Option<Tensor>>) -> Vec<Option<Tensor>> {
    if new.len() != old.len() {
        misuse(
            op,
            format!("a hook of {}, recorded at {}, gave {} gradients for {}", node.name, node.at, new.len(), old.len()),
        );
    }
    new
}

/// The part of the graph a run can reach.
#[derive(Default)]
struct Reached {
    nodes: Vec<Arc<NodeInner>>,
    seen: HashSet<Id>,
    /// How many edges of reached nodes lead to each node.
    incoming: HashMap<Id, usize>,
    /// The nodes on a path to what is wanted, if not everything is.
    needed: Option<HashSet<Id>>,
    /// Needed nodes that no needed node follows.
    ends: HashSet<Id>,
    since: u64,
}

impl Reached {
    fn from(roots: &[(Edge, Tensor)], since: u64) -> Reached {
        let mut reached = Reached { since, ..Reached::default() };
        let mut seen: HashSet<Id> = HashSet::new();
        let mut rest: Vec<Arc<NodeInner>> = roots.iter().map(|(edge, _)| edge.node.clone()).collect();
        while let Some(node) = rest.pop() {
            if !seen.insert(Arc::as_ptr(&node)) {
                continue;
            }
            for edge in reached.edges(&node).iter().flatten() {
                rest.push(edge.node.clone());
                *reached.incoming.entry(Arc::as_ptr(&edge.node)).or_default() += 1;
            }
            reached.nodes.push(node);
        }
        reached.seen = seen;
        reached
    }

    /// The edges that this run follows.
    fn edges<'a>(&self, node: &'a NodeInner) -> &'a [Option<Edge>] {
        if node.order < self.since { &[] } else { &node.edges }
    }

    /// Leaves out every node from which none of the edges can be reached.
    fn keep_only_paths_to(&mut self, wanted: &[Option<Edge>]) {
        let targets: HashSet<Id> = wanted.iter().flatten().map(|edge| Arc::as_ptr(&edge.node)).collect();
        // Inputs are recorded before the nodes that use them; leaves carry the largest number, and come first of all.
        self.nodes.sort_by_key(|node| node.order.wrapping_add(1));
        let mut needed: HashSet<Id> = HashSet::new();
        for node in &self.nodes {
            let leads = self.edges(node).iter().flatten().any(|edge| needed.contains(&Arc::as_ptr(&edge.node)));
            let id = Arc::as_ptr(node);
            if leads || targets.contains(&id) {
                needed.insert(id);
            }
            if targets.contains(&id) && !leads {
                self.ends.insert(id);
            }
        }
        self.incoming.clear();
        for node in self.nodes.iter().filter(|node| needed.contains(&Arc::as_ptr(node))) {
            for edge in self.edges(node).iter().flatten() {
                *self.incoming.entry(Arc::as_ptr(&edge.node)).or_default() += 1;
            }
        }
        self.needed = Some(needed);
    }

    fn runs(&self, node: &Arc<NodeInner>) -> bool {
        self.needed.as_ref().is_none_or(|needed| needed.contains(&Arc::as_ptr(node)))
    }

    fn reaches(&self, node: &Arc<NodeInner>) -> bool {
        self.seen.contains(&Arc::as_ptr(node)) && self.runs(node)
    }

    fn is_end(&self, node: &Arc<NodeInner>) -> bool {
        self.ends.contains(&Arc::as_ptr(node))
    }
}

impl PartialEq for Ready {
    fn eq(&self, other: &Ready) -> bool {
        self.0.order == other.0.order
    }
}

impl Eq for Ready {}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Ready) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ready {
    fn cmp(&self, other: &Ready) -> std::cmp::Ordering {
        self.0.order.cmp(&other.0.order)
    }
}
