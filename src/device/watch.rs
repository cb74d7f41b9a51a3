//! Where a NaN or an infinity comes from: what is said of it, and how it is found among the CPU's results.

use super::cpu::elements;
use crate::dtype::{DType, Element};
use crate::elements::{Data, with_data};
use crate::error::{Error, Kind, Result};
use crate::ops::op::Op;
use crate::shape::Dims;
use crate::tensor::backend::{Graph, Node, Sought, Source};
use crate::tensor::value::Value;
use parking_lot::Mutex;
use std::panic::Location;
use std::sync::Arc;

/// What is known of an operation before its result is.
pub(super) struct Watched {
    /// The number of its value.
    pub id: u64,
    op: &'static str,
    at: &'static Location<'static>,
    /// The node whose rule recorded it, in backward.
    node: Option<&'static str>,
    shape: Dims,
    dtype: DType,
    /// Whether one of its operands is a number of the kind that is sought.
    reads_number: bool,
    sought: Sought,
}

/// Looks at results that lie in host memory.
#[derive(Default)]
pub(super) struct Watch {
    sought: Mutex<Option<Sought>>,
    found: Mutex<Option<Error>>,
}

impl Watched {
    pub fn of(graph: &Graph, node: &Node, sought: Sought) -> Watched {
        let Value { id, op, at, node: rule, shape, dtype, .. } = &*node.value;
        let is_bad = |source: Source| match source {
            Source::Node(n) => matches!(graph.nodes[n].value.op, Op::Full(x) if sought.is(x)),
            Source::Input(_) => false,
        };
        let reads_number = node.args.iter().any(|arg| is_bad(arg.source));
        Watched { id: *id, op: op.name(), at, node: *rule, shape: shape.clone(), dtype: *dtype, reads_number, sought }
    }

    /// The error that its result has what is sought at row-major position `i`.
    pub fn error(&self, i: usize, reads_bad: bool) -> Error {
        let Watched { op, at, node, shape, dtype, reads_number, sought, .. } = self;
        let mut rest = i;
        let mut index: Vec<usize> = shape.iter().rev().map(|n| (rest % n, rest /= n).0).collect();
        index.reverse();
        let (is, already, not_yet) = match sought {
            Sought::Nan => ("NaN", "NaN already", "not NaN"),
            Sought::NonFinite => ("not finite", "not finite already", "finite"),
        };
        let inputs = if reads_bad || *reads_number { already } else { not_yet };
        let (file, line) = (at.file(), at.line());
        let within = node.map_or("recorded".into(), |node| format!("in {node}, of the operation recorded"));
        let message = format!(
            "{op}: the result of shape {shape:?} and type {dtype} is {is}, first at {index:?}; its inputs were {inputs} \
             ({within} at {file}:{line})"
        );
        Error::new(Kind::NonFinite, message)
    }
}

impl Watch {
    /// Turning it off forgets what was found.
    pub fn set(&self, sought: Option<Sought>) {
        *self.sought.lock() = sought;
        if sought.is_none() {
            *self.found.lock() = None;
        }
    }

    /// Whether every result is looked at.
    pub fn is_on(&self) -> bool {
        self.sought.lock().is_some()
    }

    /// Looks at the result of a node of a graph over this device's buffers, unless something was found before. What nodes
    /// gave was looked at, so of the operands only the graph's inputs are left.
    pub fn look(&self, graph: &Graph, node: &Node, result: &Result<Arc<Data>>) {
        let Ok(data) = result else { return };
        let Some(sought) = *self.sought.lock() else { return };
        if !data.dtype().is_float() || matches!(node.value.op, Op::Full(_)) {
            return;
        }
        let mut found = self.found.lock();
        if found.is_some() {
            return;
        }
        let first = with_data!(&**data, v => v.iter().position(|x| sought.is(x.to_f64())));
        *found = first.map(|i| {
            let reads_bad = node.args.iter().any(|arg| match arg.source {
                Source::Node(_) => false,
                Source::Input(k) => {
                    let data = elements(&graph.inputs[k].buffer);
                    arg.layout.indices().any(|at| sought.is(data.at(at)))
                }
            });
            Watched::of(graph, node, sought).error(i, reads_bad)
        });
    }

    /// What was found since this was last asked.
    pub fn check(&self) -> Result<()> {
        self.found.lock().take().map_or(Ok(()), Err)
    }
}
