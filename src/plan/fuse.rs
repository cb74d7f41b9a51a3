//! Which values share a kernel.
//!
//! Kernels run in the order of the list, and every operand of a member comes from an earlier kernel, from an input, or,
//! element by element, from the same kernel. Each move below keeps that true, so the order never has to be sorted.

use super::Options;
use super::flow::Flow;
use super::program::{self, Program};
use crate::tensor::backend::{Arg, Source};
use std::collections::HashMap;

/// Lists of nodes: one node, or several pointwise ones of one size. Numbers are in none.
pub(super) fn fuse(flow: &Flow, options: &Options) -> Vec<Vec<usize>> {
    let mut fuser = Fuser {
        flow,
        options: *options,
        groups: Vec::new(),
        place: vec![None; flow.graph.nodes.len()],
        inside: vec![false; flow.graph.nodes.len()],
        recent: HashMap::new(),
    };
    for n in flow.computed() {
        fuser.add(n);
    }
    for group in &mut fuser.groups {
        group.sort_unstable();
    }
    fuser.groups.retain(|group| !group.is_empty());
    fuser.groups
}

/// Larger kernels compile slowly and keep too many numbers in registers.
const MAX_NODES: usize = 64;
/// Words of parameters that a device binds at once, less two for sizes.
pub(super) const MAX_WORDS: usize = 126;
/// How many of the last kernels that read a value are considered as company for one more reader.
const MAX_SIBLINGS: usize = 8;

struct Fuser<'a> {
    flow: &'a Flow<'a>,
    options: Options,
    groups: Vec<Vec<usize>>,
    /// The group of each node, once it has one.
    place: Vec<Option<usize>>,
    /// Marks the members of the group under consideration.
    inside: Vec<bool>,
    /// The groups that read a value, the latest one last.
    recent: HashMap<Source, Vec<usize>>,
}

impl Fuser<'_> {
    fn add(&mut self, n: usize) {
        let at = self.company(n).unwrap_or_else(|| {
            self.groups.push(Vec::new());
            self.groups.len() - 1
        });
        self.groups[at].push(n);
        self.place[n] = Some(at);
        for arg in self.flow.reads(n).filter(|arg| !arg.layout.is_uniform()) {
            let recent = self.recent.entry(arg.source).or_default();
            if recent.last() != Some(&at) {
                recent.push(at);
            }
        }
        if self.is_open(n) {
            self.draw_in_producers(n);
        }
    }

    fn is_open(&self, n: usize) -> bool {
        let is_open = self.flow.node(n).value.op.is_pointwise() || self.matrix(n).is_some();
        self.options.fuse && self.options.watch.is_none() && is_open
    }

    /// The rows and columns of a reduction that can be part of a row program.
    fn matrix(&self, n: usize) -> Option<(usize, usize)> {
        program::matrix(self.flow, &self.options, n)
    }

    /// The groups of the operands.
    fn producers(&self, n: usize) -> Vec<usize> {
        let mut groups: Vec<usize> = self.flow.reads(n).filter_map(|arg| self.group_of(arg)).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    fn group_of(&self, arg: &Arg) -> Option<usize> {
        match arg.source {
            Source::Node(p) => self.place[p],
            Source::Input(_) => None,
        }
    }

    /// The group that a new node may join: that of its last operand, or a later one that reads an operand as well.
    fn company(&mut self, n: usize) -> Option<usize> {
        if !self.is_open(n) {
            return None;
        }
        let last = self.producers(n).last().copied();
        let siblings = self
            .flow
            .reads(n)
            .filter(|arg| !arg.layout.is_uniform())
            .filter_map(|arg| self.recent.get(&arg.source))
            .flat_map(|groups| groups.iter().rev().take(MAX_SIBLINGS).copied())
            .filter(|&group| Some(group) > last);
        let candidates: Vec<usize> = last.into_iter().chain(siblings).collect();
        candidates.into_iter().find(|&at| self.joins(at, &[n], at))
    }

    /// Joins the groups of a node's operands with its own, at the place of the one or of the other.
    fn draw_in_producers(&mut self, n: usize) {
        for from in self.producers(n) {
            let own = self.place[n].expect("the node has just been placed");
            if from == own || self.groups[from].is_empty() {
                continue;
            }
            let members = self.groups[from].clone();
            if self.joins(own, &members, own) {
                self.merge(from, own);
            } else if self.joins(own, &members, from) {
                self.merge(own, from);
            }
        }
    }

    fn merge(&mut self, from: usize, into: usize) {
        for n in std::mem::take(&mut self.groups[from]) {
            self.place[n] = Some(into);
            self.groups[into].push(n);
            for arg in self.flow.reads(n).filter(|arg| !arg.layout.is_uniform()) {
                self.recent.entry(arg.source).or_default().push(into);
            }
        }
    }

    /// Whether a group and further nodes can be one kernel at a place in the order.
    fn joins(&mut self, group: usize, more: &[usize], at: usize) -> bool {
        let Some(&first) = self.groups[group].first() else { return false };
        let members: Vec<usize> = self.groups[group].iter().chain(more).copied().collect();
        let numel = |n: usize| self.flow.node(n).value.numel();
        let matrix = members.iter().find_map(|&n| self.matrix(n));
        let fits = |n: usize| match (matrix, self.matrix(n)) {
            (None, _) => numel(n) == numel(first),
            (Some(matrix), Some(own)) => own == matrix,
            (Some((rows, cols)), None) => {
                (numel(n) == rows || numel(n) == rows * cols) && !self.flow.node(n).value.dtype.is_narrow()
            }
        };
        if members.len() > MAX_NODES || !members.iter().all(|&n| self.is_open(n) && fits(n)) {
            return false;
        }
        for &n in &members {
            self.inside[n] = true;
        }
        let fits = self.is_ordered(&members, at, matrix)
            && self.buffers(&members, matrix.is_none()) <= self.options.max_storage_buffers
            && words(self.flow, &members) <= MAX_WORDS
            && (matrix.is_none() || self.has_program(&members) && !self.updates(&members));
        for &n in &members {
            self.inside[n] = false;
        }
        fits
    }

    fn is_inside(&self, source: Source) -> bool {
        matches!(source, Source::Node(n) if self.inside[n])
    }

    /// Whether a row program computes no costly function too often, and no thread goes round too often.
    fn has_program(&self, members: &[usize]) -> bool {
        let mut sorted = members.to_vec();
        sorted.sort_unstable();
        Program::of(self.flow, &self.options, &sorted, |n| self.is_output(n)).is_some()
    }

    /// Whether a result could take over the buffer of an input. Row programs read operands again after they have stored
    /// results, so what is updated step by step is left to a kernel that may overwrite it.
    fn updates(&self, members: &[usize]) -> bool {
        let like = |arg: &Arg, n: usize| {
            let value = &self.flow.node(n).value;
            value.numel() == arg.layout.numel() && value.dtype == self.flow.dtype(arg.source) && self.is_output(n)
        };
        let is_free = |arg: &&Arg| {
            matches!(arg.source, Source::Input(_)) && self.flow.is_expendable(arg.source) && self.flow.is_whole(arg)
        };
        let mut free = members.iter().flat_map(|&n| self.flow.reads(n)).filter(is_free);
        free.any(|arg| members.iter().any(|&n| like(arg, n)))
    }

    /// Whether somebody outside the members needs a member.
    fn is_output(&self, n: usize) -> bool {
        self.flow.node(n).held || !self.flow.readers(Source::Node(n)).iter().all(|&r| self.inside[r])
    }

    /// Whether a member reads another one where both are computed: in order, or as what belongs to its row.
    fn lines_up(&self, n: usize, arg: &Arg, matrix: Option<(usize, usize)>) -> bool {
        match matrix {
            Some((rows, cols)) if self.flow.numel(arg.source) == rows && arg.layout.numel() == rows * cols => {
                self.flow.node(n).value.op.is_pointwise() && program::is_repeated(&arg.layout, rows)
            }
            _ => self.flow.is_whole(arg),
        }
    }

    /// Whether everything the members read comes before `at`, and everything that reads them after it.
    fn is_ordered(&self, members: &[usize], at: usize, matrix: Option<(usize, usize)>) -> bool {
        members.iter().all(|&n| {
            let reads = self.flow.reads(n).all(|arg| match self.is_inside(arg.source) {
                true => self.lines_up(n, arg, matrix),
                false => self.group_of(arg).is_none_or(|group| group < at),
            });
            let is_read = || {
                self.flow
                    .readers(Source::Node(n))
                    .iter()
                    .all(|&r| self.inside[r] || self.place[r].is_none_or(|group| group > at))
            };
            reads && is_read()
        })
    }

    /// How many buffers the members bind if nobody else joins them; results may take over those of operands.
    fn buffers(&self, members: &[usize], take_over: bool) -> usize {
        let mut sources: Vec<(Source, bool)> = Vec::new();
        for arg in members.iter().flat_map(|&n| self.flow.reads(n)).filter(|arg| !self.is_inside(arg.source)) {
            let whole = self.flow.is_whole(arg);
            match sources.iter_mut().find(|(source, _)| *source == arg.source) {
                Some((_, all)) => *all &= whole,
                None => sources.push((arg.source, whole)),
            }
        }
        let mut dying: Vec<_> = sources
            .iter()
            .filter(|(source, whole)| take_over && *whole && self.flow.is_expendable(*source))
            .filter(|(source, _)| self.flow.readers(*source).iter().all(|&r| self.inside[r]))
            .map(|(source, _)| self.flow.dtype(*source))
            .collect();
        let mut count = sources.len();
        for &n in members {
            let node = self.flow.node(n);
            if self.is_output(n) {
                match dying.iter().position(|&dtype| dtype == node.value.dtype) {
                    Some(i) => drop(dying.swap_remove(i)),
                    None => count += 1,
                }
            }
        }
        count
    }
}

/// How many words of parameters the members take.
pub(super) fn words(flow: &Flow, members: &[usize]) -> usize {
    let nodes = || members.iter().map(|&n| flow.node(n));
    let mut numbers: Vec<usize> =
        nodes().flat_map(|node| &node.args).filter_map(|arg| flow.number(arg.source)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len() + nodes().map(|node| node.value.op.parameters(node.value.dtype).len()).sum::<usize>()
}
