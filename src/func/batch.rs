//! One run of a function for a whole batch, differentiable like any operation.
//!
//! The function runs once on placeholders, each of which stands for one element. What it recorded is values over them,
//! which `lead.rs` records anew for the batch, and a graph of its own, from its results back to the placeholders and to
//! what was captured.
//!
//! # The derivative of a batch
//!
//! A result for the batch is one node whose rule is the batch of the gradient: the gradient of the result for one
//! element, walked on the placeholders' graph with a placeholder for `g`, is again values over placeholders, and is
//! recorded for the batch by the same code. So it has such a node itself, and derivatives of any order follow. What was
//! captured gets the sum over the batch. A tangent needs no node: a batch of tensors with tangents is a batch and a batch
//! of tangents.

use super::lead::{Batched, Known, leading, recorded};
use super::trace::boundary;
use crate::autograd::anomaly::{Doubt, settle, take_doubts};
use crate::autograd::engine::{Goal, Walk};
use crate::error::Result;
use crate::ops::create::full;
use crate::shape::Dims;
use crate::tensor::dual::{below, levels, without_tangents};
use crate::tensor::hole::{Randomness, Run};
use crate::tensor::mode::{in_node, is_grad_enabled, site};
use crate::tensor::node::{Edge, Function, Save, next_order, record_all};
use crate::tensor::value::Value;
use crate::tensor::{Cell, Meta, Tensor};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

/// A batch for which a function is run once.
#[derive(Clone)]
pub(crate) struct Batch {
    size: usize,
    /// Stands for the number of the element; older than every other placeholder.
    element: Arc<Value>,
    /// Nodes recorded before are the outside.
    since: u64,
    /// The placeholders, and the tensors of whose elements they stand.
    holes: Vec<Hole>,
    wholes: Vec<Tensor>,
    /// Values that the graph of the placeholders has saved, for the batch.
    kept: Arc<Mutex<Known>>,
}

#[derive(Clone)]
struct Hole {
    value: Arc<Value>,
    edge: Option<Edge>,
}

impl Batch {
    /// A batch of so many elements, its placeholders on the device of `like`.
    #[track_caller]
    pub fn of(size: usize, like: &Tensor) -> Batch {
        let element = Value::placeholder(Dims::new(), like.dtype(), &like.device(), site());
        Batch { size, element, since: next_order(), holes: Vec::new(), wholes: Vec::new(), kept: Arc::default() }
    }

    /// Runs a function that sees placeholders; how random numbers are drawn must be said.
    pub fn run<T>(&self, randomness: Randomness, f: impl FnOnce() -> T) -> T {
        let _run = Run::begin(self.element.clone(), randomness);
        f()
    }

    /// A placeholder for the elements of a tensor along its first dimension, with tangents as it has.
    #[track_caller]
    pub fn hole(&mut self, whole: &Tensor) -> Tensor {
        let shape = Dims::from_slice(&whole.shape()[1..]);
        if shape.contains(&0) {
            return full(0.0, shape, whole.dtype(), &whole.device());
        }
        let value = Value::placeholder(shape, whole.dtype(), &whole.device(), site());
        let leaf = Tensor::from_value(value.clone());
        leaf.0.meta.lock().requires_grad = is_grad_enabled() && whole.requires_grad();
        self.holes.push(Hole { value, edge: leaf.gradient_edge() });
        self.wholes.push(whole.clone());
        for level in levels() {
            if let Some(tangent) = whole.tangent(level) {
                let tangent = below(level, || self.hole(&tangent));
                leaf.set_tangent(level, tangent);
            }
        }
        leaf
    }

    /// Goes on with a tensor as it is now: it is about to be changed in place.
    pub fn remember(&mut self, whole: &Tensor) {
        for x in self.wholes.iter_mut().filter(|x| x.is_same(whole)) {
            *x = whole.remembered(whole.gradient_edge());
        }
    }

    /// Whether a value inside differs between the elements.
    pub fn varies(&self, inside: &Tensor) -> bool {
        inside.operand().value.waits_for >= self.element.id
    }

    /// What values inside are for the whole batch, along a new first dimension; the error of an anomaly that is among them
    /// for one element.
    #[track_caller]
    pub fn whole(&self, inside: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut known = self.kept.lock().clone();
        known.insert(self.element.id, Batched::whole(self.number(&self.element)));
        for (hole, whole) in self.holes.iter().zip(&self.wholes) {
            known.insert(hole.value.id, elements_of(whole));
        }
        let mut wholes = Vec::with_capacity(inside.len());
        for inside in inside {
            wholes.push(self.whole_of(inside, &mut known));
        }
        for Doubt { found, error } in take_doubts(self.element.id) {
            let found = self.whole_of(&found, &mut known).any();
            settle(Doubt { found, error })?;
        }
        Ok(wholes)
    }

    #[track_caller]
    fn whole_of(&self, inside: &Tensor, known: &mut Known) -> Tensor {
        let operand = inside.operand();
        self.record(&operand.value, known);
        let operand = leading(&operand, self.size, known);
        let meta = Meta::default();
        let y =
            Tensor::from_parts(Cell::new(operand.value), operand.layout, inside.dtype(), inside.device(), meta, None);
        let y = without_tangents(|| self.tracked(y, inside, known));
        for level in levels() {
            if let Some(tangent) = inside.tangent(level) {
                let tangent = below(level, || self.whole_of(&tangent, known));
                y.set_tangent(level, tangent);
            }
        }
        y
    }

    /// Records what a value inside follows from, and itself, for the batch.
    fn record(&self, value: &Arc<Value>, known: &mut Known) {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut rest = vec![value.clone()];
        while let Some(value) = rest.pop() {
            // Older values follow from no placeholder of this batch.
            if value.waits_for < self.element.id || known.contains_key(&value.id) || !seen.insert(value.id) {
                continue;
            }
            rest.extend(value.operands().into_iter().map(|operand| operand.value));
            found.push(value);
        }
        found.sort_by_key(|value| value.id);
        for value in found {
            if let Some(batched) = in_node(value.node, || recorded(&value, self.size, known)) {
                known.insert(value.id, batched);
            }
        }
    }

    /// Gives a result for the batch its node, if the result inside has a history.
    #[track_caller]
    fn tracked(&self, y: Tensor, inside: &Tensor, known: &Known) -> Tensor {
        let Some(root) = inside.gradient_edge().filter(|_| is_grad_enabled()) else { return y };
        let mut saved = Vec::new();
        let ends = boundary([root.clone()].into_iter(), self.since, |node| {
            saved.extend(node.saved_values().iter().flatten().flatten().map(|value| value.id));
        });
        let (mut edges, mut inputs, mut captured) = (Vec::new(), Vec::new(), Vec::new());
        for end in ends {
            let hole = self.holes.iter().position(|hole| hole.edge.as_ref().is_some_and(|edge| edge.id() == end.id()));
            let outside = match (hole, &end.node.function) {
                (Some(at), _) => self.wholes[at].clone(),
                // A leaf made inside of the function is seen by nobody outside.
                (None, Function::Accumulate(leaf)) if self.varies(leaf) => continue,
                (None, Function::Accumulate(leaf)) => leaf.clone(),
                (None, Function::Rule { .. }) => stand_in(&end),
            };
            captured.push(hole.is_none());
            inputs.push(outside);
            edges.push(Some(end));
        }
        if inputs.is_empty() {
            return y;
        }
        let mut kept = self.kept.lock();
        kept.extend(saved.iter().filter_map(|id| Some((*id, known.get(id)?.clone()))));
        drop(kept);

        let batch = Batch { wholes: Vec::new(), ..self.clone() };
        let (saves, inputs): (Vec<Save>, Vec<&Tensor>) =
            (self.wholes.iter().map(Save::Input).collect(), inputs.iter().collect());
        record_all(&[&y], "VmapBackward0", &inputs, &saves, move |call| {
            let kept = Arc::new(Mutex::new(batch.kept.lock().clone()));
            let mut batch = Batch { wholes: call.saved.to_vec(), kept, ..batch.clone() };
            let g = batch.hole(call.g);
            let wanted: Vec<_> =
                edges.iter().zip(call.needs).map(|(edge, needed)| edge.clone().filter(|_| *needed)).collect();
            let walk = Walk { create_graph: is_grad_enabled(), retain_graph: true, since: batch.since };
            let inside = walk.run(vec![(root.clone(), g)], Goal::Collect(&wanted))?;
            let found: Vec<Tensor> = inside.iter().flatten().cloned().collect();
            let mut wholes = batch.whole(&found)?.into_iter();
            let places = inside.iter().zip(&captured);
            let gradients = places.map(|(inside, captured)| {
                let whole = inside.as_ref().and_then(|_| wholes.next())?;
                Some(if *captured { whole.sum_dim(0, false) } else { whole })
            });
            Ok(gradients.collect())
        });
        y
    }

    /// Any number, for each element.
    fn number(&self, like: &Value) -> Arc<Value> {
        full(0.0, Dims::from_slice(&[self.size]), like.dtype, &like.device).operand().value
    }
}

/// The elements of a tensor along its first dimension, each of which lies in row-major order.
#[track_caller]
fn elements_of(whole: &Tensor) -> Batched {
    let mut element = whole.0.layout.clone();
    let stride = element.strides.remove(0);
    element.shape.remove(0);
    match element.is_dense() {
        true => Batched { value: whole.operand().value, offset: element.offset, stride },
        false => Batched::whole(whole.materialised()),
    }
}

/// A tensor in the place of one that is known by its edge alone.
fn stand_in(edge: &Edge) -> Tensor {
    let output = &edge.node.outputs[edge.output];
    let x = full(0.0, output.shape.clone(), output.dtype, &output.device);
    x.0.meta.lock().grad_fn = Some(edge.clone());
    x
}
