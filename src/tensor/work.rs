//! What nodes of a graph amount to: names, lines, products, how much they read. Labels of kernels, and what profiles tell.

use crate::ops::op::Op;
use crate::shape::numel;
use crate::tensor::backend::{Graph, Node, Source};
use crate::tensor::profile::Event;
use crate::tensor::value::Value;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

impl Graph {
    /// The value that a source stands for.
    pub fn value(&self, source: Source) -> &Arc<Value> {
        match source {
            Source::Node(n) => &self.nodes[n].value,
            Source::Input(i) => &self.inputs[i].value,
        }
    }

    /// The names of nodes; of a long chain, its ends.
    pub fn label(&self, nodes: &[usize]) -> String {
        let names: Vec<&str> = nodes.iter().map(|&n| self.nodes[n].value.op.name()).collect();
        match names.len() {
            ..=12 => names.join(">"),
            len => format!("{}>…{}…>{}", names[..6].join(">"), len - 12, names[len - 6..].join(">")),
        }
    }

    /// The user's lines that recorded nodes, each once.
    fn lines(&self, nodes: &[usize]) -> Vec<&'static Location<'static>> {
        let mut lines: Vec<_> = nodes.iter().map(|&n| self.nodes[n].value.at).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// The multiplications and additions of the products among nodes.
    fn flops(&self, nodes: &[usize]) -> u64 {
        let of = |Node { value, args, .. }: &Node| {
            let Op::Matmul { inner, cols, .. } = value.op else { return 0 };
            let shape = &args[1].layout.shape;
            let terms = numel(&shape[shape.len() - cols - inner..shape.len() - cols]);
            2 * (value.numel() * terms) as u64
        };
        nodes.iter().map(|&n| of(&self.nodes[n])).sum()
    }

    /// How many elements of a source nodes read at most, each counted once.
    pub fn read_from(&self, nodes: &[usize], source: Source) -> usize {
        let whole = self.value(source).numel();
        let reads = nodes.iter().flat_map(|&n| {
            let Node { value, args, .. } = &self.nodes[n];
            let read = args.iter().enumerate().filter(|(_, arg)| arg.source == source);
            read.map(|(k, arg)| {
                // Of what is indexed, as many elements as there are results.
                let is_indexed = k == 0 && matches!(value.op, Op::Gather { .. });
                if is_indexed { value.numel() } else { arg.layout.numel() }
            })
        });
        reads.sum::<usize>().min(whole)
    }

    /// A kernel that computes nodes, as a profile is told of it.
    pub fn kernel(&self, nodes: &[usize], start: Duration, duration: Duration) -> Event {
        let last = nodes.last().map(|&n| &self.nodes[n].value);
        Event {
            name: self.label(nodes).into(),
            lines: self.lines(nodes),
            output: last.map(|value| (value.shape.to_vec(), value.dtype)),
            flops: self.flops(nodes),
            ..Event::at(start, duration)
        }
    }
}

/// The operation that a node is the gradient of: `log_softmax` for `LogSoftmaxBackward0`.
pub(crate) fn verb(name: &str) -> String {
    let name = name.split("Backward").next().unwrap_or_default();
    let mut verb = String::new();
    for c in name.chars() {
        if c.is_uppercase() && verb.chars().last().is_some_and(char::is_lowercase) {
            verb.push('_');
        }
        verb.extend(c.to_lowercase());
    }
    verb
}
