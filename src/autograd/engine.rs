//! The walk: later nodes first, each once, when every gradient that flows into it has arrived.

use crate::error::{Result, misuse};
use crate::tensor::Tensor;
use crate::tensor::mode::{at_site, set_grad_enabled};
use crate::tensor::node::{Call, Edge, Function, NodeInner};
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

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

impl Walk {
    pub fn run(&self, roots: Vec<(Edge, Tensor)>, goal: Goal) -> Result<Vec<Option<Tensor>>> {
        let wanted: &[Option<Edge>] = match &goal {
            Goal::Accumulate => &[],
            Goal::AccumulateInto(edges, _) | Goal::Capture(edges) | Goal::Collect(edges) => edges,
        };
        let mut graph = Reached::from(&roots, self.since);
        if !matches!(goal, Goal::Accumulate) {
            graph.keep_only_paths_to(wanted);
        }
        let mut captured: Vec<Option<Tensor>> = vec![None; wanted.len()];
        let mut arrived: HashMap<Id, Tensor> = HashMap::new();
        let mut waiting = std::mem::take(&mut graph.incoming);
        let mut ready = BinaryHeap::new();

        let _mode = set_grad_enabled(self.create_graph);
        for (edge, g) in roots {
            if graph.runs(&edge.node) {
                arrive(&mut arrived, &edge.node, g);
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
                Some(g) => {
                    let g = match goal {
                        Goal::Collect(_) if graph.is_end(&node) => g,
                        _ => pass_hooks(&node, g),
                    };
                    for (edge, captured) in wanted.iter().zip(&mut captured) {
                        if edge.as_ref().is_some_and(|edge| Arc::ptr_eq(&edge.node, &node)) {
                            *captured = Some(g.clone());
                        }
                    }
                    // A node that is only asked for its gradient has nothing to pass on.
                    if graph.is_end(&node) { Vec::new() } else { self.call(&node, &g, &graph, &goal)? }
                }
                None => Vec::new(),
            };
            for (i, edge) in graph.edges(&node).iter().enumerate() {
                let Some(edge) = edge else { continue };
                if !graph.runs(&edge.node) {
                    continue;
                }
                if let Some(g) = gradients.get(i).cloned().flatten() {
                    arrive(&mut arrived, &edge.node, g);
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
        Ok(captured)
    }

    /// Runs one node: gradients of its inputs, or for a leaf, its own.
    fn call(&self, node: &Arc<NodeInner>, g: &Tensor, graph: &Reached, goal: &Goal) -> Result<Vec<Option<Tensor>>> {
        match &node.function {
            Function::Accumulate(leaf) => {
                if matches!(goal, Goal::Accumulate) {
                    self.accumulate(leaf, g);
                }
                Ok(Vec::new())
            }
            Function::Rule { rule, saves, saved } => {
                let values = node.unpack(saved, *saves)?;
                if !self.retain_graph {
                    node.free();
                }
                let needs: Vec<bool> =
                    node.edges.iter().map(|edge| edge.as_ref().is_some_and(|edge| graph.runs(&edge.node))).collect();
                // What the rule records belongs to the line of the forward operation.
                let gradients = at_site(node.at, || rule(Call { g, saved: &values, needs: &needs }));
                debug_assert_eq!(gradients.len(), node.edges.len(), "{} gives one gradient per input", node.name);
                Ok(gradients)
            }
        }
    }

    /// Adds a gradient to the one a tensor has stored.
    fn accumulate(&self, leaf: &Tensor, g: &Tensor) {
        // Several threads may walk graphs that end in one leaf.
        let _one_at_a_time = leaf.0.accumulating.lock();
        let old = leaf.0.meta.lock().grad.clone();
        let new = match old {
            // A tensor of its own, in row-major order: the gradient that arrived may be someone else's, or a view.
            None if self.create_graph => g.copy(),
            None => g.detach().copy(),
            Some(old) if self.create_graph => &old + g,
            Some(old) => {
                // In place, so that whoever holds the stored gradient sees it grow.
                old.add_(g).expect("a stored gradient is no leaf that requires grad");
                return;
            }
        };
        let _old = leaf.0.meta.lock().grad.replace(new);
    }
}

/// Adds a gradient to what has arrived at a node.
fn arrive(arrived: &mut HashMap<Id, Tensor>, node: &Arc<NodeInner>, g: Tensor) {
    if *g.shape() != node.output.shape[..] || g.dtype() != node.output.dtype || g.device() != node.output.device {
        misuse(
            node.name,
            format!(
                "was given a gradient of shape {:?} and type {}, but made shape {:?} and type {}",
                g.shape(),
                g.dtype(),
                node.output.shape.as_slice(),
                node.output.dtype
            ),
        );
    }
    let sum = match arrived.remove(&Arc::as_ptr(node)) {
        Some(other) => at_site(node.at, || other + g),
        None => g,
    };
    arrived.insert(Arc::as_ptr(node), sum);
}

/// Shows the gradient to the hooks of the tensor, in order, and stores it where it is to be retained.
fn pass_hooks(node: &Arc<NodeInner>, mut g: Tensor) -> Tensor {
    let hooks = node.hooks.lock().clone();
    for (_, hooks) in hooks {
        // Copied, so that a hook may remove itself or others.
        let hooks = hooks.lock().clone();
        for (_, hook) in hooks {
            if let Some(replacement) = hook(&g) {
                if replacement.shape() != g.shape() || replacement.dtype() != g.dtype() {
                    let (new, old) = (replacement.shape(), g.shape());
                    let types = format!("{} of shape {new:?} for {} of {old:?}", replacement.dtype(), g.dtype());
                    misuse("register_hook", format!("a hook gave another gradient than it was shown: {types}"));
                }
                g = replacement;
            }
        }
    }
    let retains = node.retains.lock().clone();
    for (_, tensor) in retains {
        if let Some(inner) = tensor.upgrade() {
            let old = inner.meta.lock().grad.clone();
            let new = old.map_or_else(|| g.copy(), |old| old + &g);
            let _old = inner.meta.lock().grad.replace(new);
        }
    }
    g
}

/// The part of the graph a run can reach.
struct Reached {
    nodes: Vec<Arc<NodeInner>>,
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
        let mut reached =
            Reached { nodes: Vec::new(), incoming: HashMap::new(), needed: None, ends: HashSet::new(), since };
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
