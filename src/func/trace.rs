//! One run of a function over inputs of its own, so that a transform sees its graph alone.
//!
//! The inputs inside are views of those outside where these are tracked, and leaves where they are not. What the function
//! records is told from what was there before by the numbers of the nodes; a result that depends on nothing outside which
//! is tracked leaves its history behind, as if it had never been recorded.

use super::tree::{Outcome, Tree};
use crate::autograd::engine::{Goal, Walk};
use crate::error::{Error, Kind, Result, misuse};
use crate::tensor::Tensor;
use crate::tensor::mode::{is_grad_enabled, recording};
use crate::tensor::node::{Edge, Function, NodeInner, next_order};
use std::collections::HashSet;
use std::sync::Arc;

/// A function run once, with what it came to.
pub(super) struct Trace<A, B> {
    x: A,
    edges: Vec<Option<Edge>>,
    outputs: Vec<Tensor>,
    y: B,
    since: u64,
    /// Whether a result depends on something outside that is tracked.
    tracked: bool,
}

impl<A: Tree, B: Tree> Trace<A, B> {
    #[track_caller]
    pub fn of<R: Outcome<Tree = B>>(op: &str, f: &impl Fn(&A) -> R, x: &A) -> Result<Trace<A, B>> {
        let since = next_order();
        let recorded_outside = is_grad_enabled();
        let _recorded = recording();
        let mut inside = Vec::new();
        for x in x.tensors() {
            inside.push(x.inside(op, recorded_outside));
        }
        let edges: Vec<Option<Edge>> = inside.iter().map(Tensor::gradient_edge).collect();
        let leaves: HashSet<_> = edges.iter().flatten().filter(|edge| edge.is_leaf()).map(Edge::id).collect();
        let y = f(&x.with(&mut inside.clone().into_iter())).outcome()?;
        let outputs = y.tensors();
        let roots = outputs.iter().filter_map(Tensor::gradient_edge);
        let tracked =
            recorded_outside && boundary(roots, since, |_| {}).iter().any(|edge| !leaves.contains(&edge.id()));
        Ok(Trace { x: x.with(&mut inside.into_iter()), edges, outputs, y, since, tracked })
    }

    /// The result as the outside sees it.
    pub fn value(&self) -> B {
        let outside = |y: &Tensor| if self.tracked { y.clone() } else { y.without_history() };
        self.y.with(&mut self.outputs.iter().map(outside))
    }

    /// Whether the result depends on something outside that requires grad.
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// The gradient of the one tensor of the result, which must be 0-d, by itself.
    pub fn scalar(&self, op: &str) -> Result<Tensor> {
        match &self.outputs[..] {
            [y] if y.rank() == 0 => Ok(y.ones_like()),
            outputs => {
                let shapes: Vec<&[usize]> = outputs.iter().map(Tensor::shape).collect();
                Err(Error::new(
                    Kind::Graph,
                    format!("{op}: the function must give one 0-d tensor, not shapes {shapes:?}"),
                ))
            }
        }
    }

    /// The gradients of `Σ ⟨y, g⟩`; zeros where the result does not depend on an input.
    #[track_caller]
    pub fn pull(&self, g: &[Tensor], retain_graph: bool) -> Result<A> {
        let g = alike("vjp", "the vector", &self.outputs, g);
        let create_graph = is_grad_enabled() && (self.tracked || g.iter().any(Tensor::requires_grad));
        let roots = self.outputs.iter().zip(g).filter_map(|(y, g)| Some((y.gradient_edge()?, g))).collect();
        let walk = Walk { create_graph, retain_graph: retain_graph || create_graph, since: self.since };
        let gradients = walk.run(roots, Goal::Capture(&self.edges))?;
        let inputs = self.x.tensors();
        Ok(self.x.with(&mut gradients.into_iter().zip(&inputs).map(|(g, x)| g.unwrap_or_else(|| x.zeros_like()))))
    }
}

/// What is given in the dtypes of what is wanted: floats stand for floats. Panics if there is not one tensor of the same
/// shape, kind and device for each.
#[track_caller]
pub(super) fn alike(op: &str, what: &str, wanted: &[Tensor], given: &[Tensor]) -> Vec<Tensor> {
    let kind = |x: &Tensor| (x.dtype(), x.shape().to_vec());
    let is_like = |(x, y): (&Tensor, &Tensor)| {
        x.shape() == y.shape() && (x.dtype() == y.dtype() || x.dtype().is_float() && y.dtype().is_float())
    };
    if wanted.len() != given.len() || !wanted.iter().zip(given).all(is_like) {
        let [wanted, given] = [wanted, given].map(|all| all.iter().map(kind).collect::<Vec<_>>());
        misuse(op, format!("{what} has tensors {given:?}, not {wanted:?}"));
    }
    let fitted = |(x, y): (&Tensor, &Tensor)| {
        x.expect_same_device(op, y);
        y.cast(x.dtype())
    };
    wanted.iter().zip(given).map(fitted).collect()
}

impl Tensor {
    /// The tensor as an input of a function of its own.
    #[track_caller]
    fn inside(&self, op: &str, recorded_outside: bool) -> Tensor {
        if !self.dtype().is_float() {
            misuse(op, format!("only floats have derivatives, not {} of shape {:?}", self.dtype(), self.shape()));
        }
        if recorded_outside && self.requires_grad() {
            return self.view_as_itself();
        }
        let x = self.without_history();
        x.0.meta.lock().requires_grad = true;
        x
    }
}

impl Edge {
    pub(super) fn id(&self) -> *const NodeInner {
        Arc::as_ptr(&self.node)
    }

    fn is_leaf(&self) -> bool {
        matches!(self.node.function, Function::Accumulate(_))
    }
}

/// Where the part of a graph that was recorded since a number ends: edges to leaves and to nodes recorded before. The nodes
/// of that part are shown to `visit`.
pub(super) fn boundary(roots: impl Iterator<Item = Edge>, since: u64, mut visit: impl FnMut(&NodeInner)) -> Vec<Edge> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut rest: Vec<Edge> = roots.collect();
    while let Some(edge) = rest.pop() {
        let is_outside = edge.is_leaf() || edge.node.order < since;
        let output = if is_outside { edge.output } else { 0 };
        if !seen.insert((edge.id(), output)) {
            continue;
        }
        if is_outside {
            found.push(edge);
        } else {
            visit(&edge.node);
            rest.extend(edge.node.edges.iter().flatten().cloned());
        }
    }
    found
}
