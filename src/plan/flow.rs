//! A pending graph with its edges turned round: who reads each value.

use super::index::by_lines;
use super::target::Target;
use crate::dtype::DType;
use crate::ops::op::Op;
use crate::tensor::backend::{Arg, Graph, Node, Source};
use std::collections::HashMap;

pub(super) struct Flow<'a> {
    pub graph: &'a Graph,
    /// Whether a node is held or leads to one that is.
    pub live: Vec<bool>,
    readers: HashMap<Source, Vec<usize>>,
}

impl<'a> Flow<'a> {
    pub fn of(graph: &'a Graph, target: Target) -> Flow<'a> {
        let mut live: Vec<bool> = graph.nodes.iter().map(|node| node.held).collect();
        for (n, node) in graph.nodes.iter().enumerate().rev() {
            if live[n] {
                for arg in needed(node, target) {
                    if let Source::Node(p) = arg.source {
                        live[p] = true;
                    }
                }
            }
        }
        let mut readers: HashMap<Source, Vec<usize>> = HashMap::new();
        for (n, node) in graph.nodes.iter().enumerate().filter(|(n, _)| live[*n]) {
            for arg in needed(node, target) {
                let list = readers.entry(arg.source).or_default();
                if list.last() != Some(&n) {
                    list.push(n);
                }
            }
        }
        Flow { graph, live, readers }
    }

    pub fn node(&self, n: usize) -> &'a Node {
        &self.graph.nodes[n]
    }

    /// The nodes that have to be computed, in order: numbers and places are left to their readers.
    pub fn computed(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.graph.nodes.len()).filter(|&n| self.live[n] && !self.is_free(Source::Node(n)))
    }

    /// The operands of a node that lie in memory or are made by other kernels.
    pub fn reads(&self, n: usize) -> impl Iterator<Item = &'a Arg> + '_ {
        self.node(n).args.iter().filter(|arg| !self.is_free(arg.source))
    }

    /// Whether a value is known without a kernel and without memory.
    pub fn is_free(&self, source: Source) -> bool {
        self.number(source).is_some() || self.is_place(source)
    }

    /// Whether a value's elements are their own places, for readers that compute those anyway.
    pub fn is_place(&self, source: Source) -> bool {
        let Source::Node(n) = source else { return false };
        let node = self.node(n);
        let are_pointwise = || self.readers(source).iter().all(|&r| self.node(r).value.op.is_pointwise());
        matches!(node.value.op, Op::Iota) && !node.held && are_pointwise()
    }

    /// The nodes that read a value, in order.
    pub fn readers(&self, source: Source) -> &[usize] {
        self.readers.get(&source).map_or(&[], Vec::as_slice)
    }

    /// The node's position, if the value is one number that is never stored.
    pub fn number(&self, source: Source) -> Option<usize> {
        match source {
            Source::Node(n) if is_number(self.node(n)) => Some(n),
            _ => None,
        }
    }

    pub fn dtype(&self, source: Source) -> DType {
        match source {
            Source::Node(n) => self.node(n).value.dtype,
            Source::Input(i) => self.graph.inputs[i].value.dtype,
        }
    }

    pub fn numel(&self, source: Source) -> usize {
        match source {
            Source::Node(n) => self.node(n).value.numel(),
            Source::Input(i) => self.graph.inputs[i].value.numel(),
        }
    }

    /// Whether the value may be overwritten once its last reader has run.
    pub fn is_expendable(&self, source: Source) -> bool {
        match source {
            Source::Node(n) => !self.node(n).held,
            Source::Input(i) => self.graph.inputs[i].donated,
        }
    }

    /// Whether an operand is read in order and completely: element `i` by element `i`.
    pub fn is_whole(&self, arg: &Arg) -> bool {
        arg.layout.is_whole(self.numel(arg.source))
    }
}

/// The operands that a node's kernels read: the order of a scatter's entries need not be known.
fn needed(node: &Node, target: Target) -> &[Arg] {
    if by_lines(node, target) { &node.args[..3] } else { &node.args }
}

fn is_number(node: &Node) -> bool {
    matches!(node.value.op, Op::Full(_))
}
