//! Horizontal fusion: pointwise kernels whose results no other kernel reads, such as the updates of parameters, share one
//! dispatch, whatever their sizes.

use super::Options;
use super::flow::Flow;
use super::fuse::{MAX_WORDS, words};
use super::steps::{Step, Work};
use crate::tensor::backend::Source;
use std::mem::take;

/// Joins each such step with the one before it, at the place of the later one.
pub(super) fn join(flow: &Flow, options: &Options, steps: &mut Vec<Step>) {
    let mut last: Option<usize> = None;
    for at in 0..steps.len() {
        if !is_lone(flow, &steps[at]) {
            continue;
        }
        if let Some(before) = last
            && fits(flow, options, &steps[before], &steps[at])
            && steps[before + 1..=at].iter().all(|step| !overwrites(step, &steps[before]))
        {
            let earlier = &mut steps[before];
            let (nodes, outputs) = (take(&mut earlier.nodes), take(&mut earlier.outputs));
            let (reads, writes, over) = (take(&mut earlier.reads), take(&mut earlier.writes), take(&mut earlier.over));
            let step = &mut steps[at];
            step.nodes.splice(..0, nodes);
            step.outputs.splice(..0, outputs);
            step.writes.splice(..0, writes);
            step.over.splice(..0, over);
            step.reads.retain(|item| !reads.contains(item));
            step.reads.splice(..0, reads);
        }
        last = Some(at);
    }
    steps.retain(|step| !step.nodes.is_empty());
}

/// Whether a step is pointwise, and nothing in the plan waits for what it computes.
fn is_lone(flow: &Flow, step: &Step) -> bool {
    let is_read = |&n: &usize| flow.readers(Source::Node(n)).iter().any(|reader| !step.nodes.contains(reader));
    // A step without outputs is the copy of a base that a write goes on with.
    matches!(step.work, Work::Map) && !step.outputs.is_empty() && !step.outputs.iter().any(is_read)
}

/// Whether one kernel can bind the buffers and the numbers of both.
fn fits(flow: &Flow, options: &Options, a: &Step, b: &Step) -> bool {
    let shared = a.reads.iter().filter(|item| b.reads.contains(item)).count();
    let buffers = |step: &Step| step.reads.len() + step.writes.len() - step.over.len();
    let members: Vec<usize> = a.nodes.iter().chain(&b.nodes).copied().collect();
    let (of_a, of_b): (Vec<usize>, Vec<usize>) = (sizes(flow, &a.nodes), sizes(flow, &b.nodes));
    let wasted = of_b.len() * of_a.iter().sum::<usize>() + of_a.len() * of_b.iter().sum::<usize>();
    // Each size takes a word for where its threads begin, and one for where its elements end.
    members.len() <= MAX_NODES
        && (!options.target.processor || wasted <= MAX_WASTED)
        && buffers(a) + buffers(b) - shared <= options.max_storage_buffers
        && words(flow, &members) + 2 * sizes(flow, &members).len() <= MAX_WORDS
}

/// Whether a step overwrites what an earlier one reads, and would do so too early if that ran in its place.
fn overwrites(step: &Step, earlier: &Step) -> bool {
    step.over.iter().any(|(_, from)| earlier.reads.contains(from))
}

/// More are compiled too slowly.
const MAX_NODES: usize = 256;
/// Elements for which a processor may compute what is thrown away, rather than begin one more kernel: llvmpipe's vectors go
/// through the branches of all sizes, and store nothing in the wrong ones.
const MAX_WASTED: usize = 1 << 14;

/// The sizes of pointwise nodes, in the order of their first node.
pub(super) fn sizes(flow: &Flow, nodes: &[usize]) -> Vec<usize> {
    let mut sizes = Vec::new();
    for &n in nodes {
        let numel = flow.node(n).value.numel();
        if !sizes.contains(&numel) {
            sizes.push(numel);
        }
    }
    sizes
}
