//! The walk: later nodes first, each once, when every gradient that flows into it has arrived.

use crate::autograd::anomaly;
use crate::autograd::hooks::{Group, replaced};
use crate::error::{Result, misuse};
use crate::ops::create::full;
use crate::shape::broadcast;
use crate::tensor::Tensor;
use crate::tensor::mode::{at_site, in_node, set_grad_enabled};
use crate::tensor::node::{Call, Edge, Function, NodeInner, Output};
use crate::tensor::profile::{self, EventKind};
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
    /// Add to the `grad` of every leaf that is reached, or of those only that these edges lead to.
    Accumulate(Option<&'a [Option<Edge>]>),
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
    /// What has arrived so far for groups of tensors.
    pub groups: RefCell<HashMap<u64, Group>>,
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
        let _walk = profile::span(EventKind::Backward, "backward");
        let wanted: &[Option<Edge>] = match goal {
            Goal::Accumulate(edges) => edges.unwrap_or_default(),
            Goal::Capture(edges) | Goal::Collect(edges) => edges,
        };
        let mut graph = Reached::from(&roots, self.since);
        if !matches!(goal, Goal::Accumulate(None)) {
            graph.keep_only_paths_to(wanted);
        }
        let mut waiting = std::mem::take(&mut graph.incoming);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let task = Rc::new(Task { id, graph, callbacks: RefCell::default(), groups: RefCell::default() });
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
                    // A node that is only asked for its gradient does not run; a leaf runs to store it.
                    let adds = matches!((&goal, &node.function), (Goal::Accumulate(_), Function::Accumulate(_)));
                    let runs = adds || !graph.is_end(&node);
                    // Of what is collected, another run shows the gradients to the hooks.
                    if !runs && !matches!(goal, Goal::Collect(_)) {
                        tensor_hooks(&node, &mut gs);
                    }
                    for (edge, captured) in wanted.iter().zip(&mut captured) {
                        if let Some(edge) = edge.as_ref().filter(|edge| Arc::ptr_eq(&edge.node, &node)) {
                            *captured = gs[edge.output].clone();
                        }
                    }
                    if runs {
                        tensor_hooks(&node, &mut gs);
                        prehooks(&node, &mut gs);
                        self.call(&node, gs, graph, &arrived)?
                    } else {
                        Vec::new()
                    }
                }
                None => {
                    // Whoever waits for several gradients is told that this one does not come.
                    if !node.hooks.lock().is_empty() {
                        tensor_hooks(&node, &mut node.outputs.iter().map(|_| None).collect());
                    }
                    Vec::new()
                }
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
        // A callback may queue another one.
        while let Some(callbacks) = Some(task.callbacks.take()).filter(|all| !all.is_empty()) {
            callbacks.into_iter().for_each(|f| f());
        }
        Ok(captured)
    }

    /// Runs one node: gradients of its inputs, or for a leaf, its own.
    fn call(
        &self,
        node: &Arc<NodeInner>,
        gs: Arrived,
        graph: &Reached,
        arrived: &HashMap<Id, Arrived>,
    ) -> Result<Vec<Option<Tensor>>> {
        let _running = profile::node(node.name, node.at, node.order);
        match &node.function {
            Function::Accumulate(leaf) => {
                if let Some(g) = &gs[0] {
                    self.accumulate(leaf, g)?;
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
                        let Output { shape, dtype, device, .. } = &node.outputs[0];
                        full(0.0, shape.clone(), *dtype, device)
                    }
                };
                // What the rule records belongs to the line of the forward operation.
                let buffer = |i: usize| {
                    let edge = node.edges[i].as_ref().filter(|_| !self.create_graph && needs[i])?;
                    let sum = arrived.get(&Arc::as_ptr(&edge.node))?[edge.output].as_ref()?;
                    // Whoever else holds it would see the change.
                    (Arc::strong_count(&sum.0) == 1 && Arc::strong_count(&sum.0.cell) == 1).then(|| sum.clone())
                };
                let call = Call { g: &first, gradients: &gs, saved: &values, needs: &needs, buffer: &buffer };
                let given = in_node(Some(node.name), || at_site(node.at, || rule(call))).map(|gradients| {
                    debug_assert_eq!(gradients.len(), node.edges.len(), "{} gives one gradient per input", node.name);
                    after_hooks(node, &gradients, &gs).unwrap_or(gradients)
                });
                anomaly::checked(node, &gs, given)
            }
        }
    }

    /// Adds a gradient to the one a tensor has stored, and tells the tensor's hooks.
    fn accumulate(&self, leaf: &Tensor, g: &Tensor) -> Result<()> {
        // Who stopped to require grad since the graph was recorded wants none.
        if !leaf.requires_grad() {
            return Ok(());
        }
        add_to_grad(
            leaf,
            |old| match old {
                // In place, so that whoever holds the stored gradient sees it grow.
                Some(_) if !self.create_graph => None,
                Some(old) => Some(old + g),
                // A tensor of its own, in row-major order: the gradient that arrived may be someone else's, or a view.
                None if self.create_graph => Some(g.copy()),
                None => Some(g.untracked().copy()),
            },
            g,
        )?;
        let hooks = leaf.0.meta.lock().post_hooks.clone();
        // Copied, so that a hook may remove itself or others.
        let hooks = hooks.lock().clone();
        hooks.into_iter().for_each(|(_, hook)| hook(leaf));
        Ok(())
    }
}

/// Stores what follows from the stored gradient and a new one; `None` adds in place. Several threads may walk graphs that
/// end in one tensor.
fn add_to_grad(x: &Tensor, sum: impl Fn(Option<&Tensor>) -> Option<Tensor>, g: &Tensor) -> Result<()> {
    let stored = || x.grad().map(|old| (old.version(), old));
    loop {
        let old = stored();
        // Recorded before the lock is taken: a hook for new nodes may walk graphs itself.
        let new = sum(old.as_ref().map(|(_, old)| old));
        let _one_at_a_time = x.0.accumulating.lock();
        let unchanged = match (&old, &stored()) {
            (None, None) => true,
            (Some((before, a)), Some((now, b))) => a.is_same(b) && (before == now || new.is_none()),
            _ => false,
        };
        match (new, old) {
            _ if !unchanged => continue,
            (Some(new), _) => drop(x.0.meta.lock().grad.replace(new)),
            (None, Some((_, old))) => drop(old.add_(g)?),
            (None, None) => unreachable!("there is nothing to add to"),
        }
        return Ok(());
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
    output.typed(&g.sum_to(&output.shape))
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

/// Shows the gradients to the hooks of the tensors, in order, and stores them where they are to be retained.
fn tensor_hooks(node: &Arc<NodeInner>, gs: &mut Arrived) {
    let hooks = node.hooks.lock().clone();
    for (output, hooks) in hooks {
        // Copied, so that a hook may remove itself or others.
        let hooks = hooks.lock().clone();
        for (_, hook) in hooks {
            if let Some(replacement) = hook(gs[output].as_ref()) {
                gs[output] = Some(replacement);
            }
        }
    }
    let retains = node.retains.lock().clone();
    for (output, tensor) in retains {
        if let Some((inner, g)) = tensor.upgrade().zip(gs[output].as_ref()) {
            let sum = |old: Option<&Tensor>| Some(old.map_or_else(|| g.copy(), |old| old + g));
            add_to_grad(&Tensor(inner), sum, g).expect("nothing is changed in place");
        }
    }
}

/// Shows the gradients to the hooks of the node.
fn prehooks(node: &Arc<NodeInner>, gs: &mut Arrived) {
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
