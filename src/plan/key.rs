//! The structure of a graph as a list of words: two graphs with the same words can be played by the same plan.

use crate::ops::op::{Distribution, Op};
use crate::shape::Layout;
use crate::tensor::backend::{Graph, Source};

/// Everything a plan depends on, word by word; compared exactly, so that a collision of hashes does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Vec<u64>);

/// The key of a graph: operations, shapes, types, who reads what and how, and what survives. Numbers are left out.
pub fn key(graph: &Graph) -> Key {
    let mut words = Vec::with_capacity(16 * graph.nodes.len());
    words.extend([graph.nodes.len() as u64, graph.inputs.len() as u64]);
    for input in &graph.inputs {
        words.extend([input.value.dtype as u64, input.value.numel() as u64, input.donated as u64]);
    }
    for node in &graph.nodes {
        operation(&mut words, &node.value.op);
        words.extend([node.value.dtype as u64, node.held as u64, node.args.len() as u64]);
        list(&mut words, node.value.shape.iter().map(|&n| n as u64));
        for arg in &node.args {
            words.push(match arg.source {
                Source::Node(n) => 2 * n as u64,
                Source::Input(i) => 2 * i as u64 + 1,
            });
            layout(&mut words, &arg.layout);
        }
    }
    Key(words)
}

fn operation(words: &mut Vec<u64>, op: &Op) {
    match op {
        Op::Data => words.push(0),
        Op::Full(_) => words.push(1),
        Op::Iota => words.push(2),
        Op::Random(Distribution::Uniform, _) => words.push(3),
        Op::Random(Distribution::Normal, _) => words.push(4),
        Op::Random(Distribution::Integer { .. }, _) => words.push(5),
        // A row is a static: its address is its name.
        Op::Map(row) => words.extend([6, std::ptr::from_ref(*row) as u64]),
        Op::Cast => words.push(7),
        Op::Reduce { fold, dims } => words.extend([8, *fold as u64, *dims as u64]),
        Op::Matmul { rows, inner, cols } => words.extend([9, *rows as u64, *inner as u64, *cols as u64]),
        Op::Gather { dim } => words.extend([10, *dim as u64]),
        Op::Scatter { dim, fold } => words.extend([11, *dim as u64, fold.map_or(u64::MAX, |fold| fold as u64)]),
        Op::Write(to) => {
            words.push(12);
            layout(words, to);
        }
        Op::ArgSort { descending } => words.extend([13, *descending as u64]),
        Op::Search { right } => words.extend([14, *right as u64]),
        Op::OverlapAdd { dim, step, dilation } => words.extend([15, *dim as u64, *step as u64, *dilation as u64]),
        Op::Scan(scan) => words.extend([16, *scan as u64]),
        Op::Custom(call) => {
            words.extend([17, call.definition.id]);
            list(words, call.workgroups.iter().flatten().map(|&n| n as u64).collect::<Vec<_>>().into_iter());
        }
    }
}

fn layout(words: &mut Vec<u64>, layout: &Layout) {
    words.push(layout.offset as u64);
    list(words, layout.shape.iter().map(|&n| n as u64));
    list(words, layout.strides.iter().map(|&n| n as u64));
}

/// The length comes first, so that no list can be taken for another one.
fn list(words: &mut Vec<u64>, values: impl ExactSizeIterator<Item = u64>) {
    words.push(values.len() as u64);
    words.extend(values);
}
