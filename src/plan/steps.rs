//! The dispatches that each group of nodes needs, what they read and write, and which results take over the buffer of an
//! operand that nobody reads any more.

use super::Options;
use super::columns::Columns;
use super::flow::Flow;
use super::horizontal;
use super::index::by_lines;
use super::program;
use super::reduce::Reduction;
use super::scan::{self, Pass, Stage};
use super::sort;
use crate::ops::op::Op;
use crate::shape::{Layout, numel};
use crate::tensor::backend::{Arg, Source};
use std::ops::Range;

pub(super) struct Schedule {
    pub steps: Vec<Step>,
    /// Numbers of elements of values that are neither inputs nor nodes.
    pub scratch: Vec<usize>,
}

/// One dispatch before its buffers are known.
pub(super) struct Step {
    pub work: Work,
    pub nodes: Vec<usize>,
    pub reads: Vec<Item>,
    pub writes: Vec<Item>,
    /// Pairs of a result and the operand whose buffer it takes over.
    pub over: Vec<(Item, Item)>,
    /// The nodes that are complete after this step, and stored.
    pub outputs: Vec<usize>,
}

pub(super) enum Work {
    /// Pointwise nodes, or the copy of its base that a write begins with.
    Map,
    /// Reductions over rows, and pointwise nodes.
    Rows,
    Reduce(Reduction),
    /// Results that are neighbours in memory.
    Columns(Columns),
    Scan(Pass),
    /// The inner places that are added up.
    Matmul(Range<usize>),
    /// The places of each window that are added.
    OverlapAdd(Range<usize>),
    Gather,
    /// The entries of each line that are folded in.
    Scatter(Range<usize>),
    /// The same by threads that each take a line.
    ScatterLines(Range<usize>),
    ArgSort(sort::Pass),
    Search,
    Write,
    Custom,
    /// A look for NaN, or for all numbers that are not finite.
    Watch(Looked),
}

/// What is looked at after a node was computed.
#[derive(Clone, Copy)]
pub(super) enum Looked {
    Result,
    Operand(usize),
}

/// Something that lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Input(usize),
    Node(usize),
    Scratch(usize),
}

impl From<Source> for Item {
    fn from(source: Source) -> Item {
        match source {
            Source::Node(n) => Item::Node(n),
            Source::Input(i) => Item::Input(i),
        }
    }
}

pub(super) fn steps(flow: &Flow, groups: Vec<Vec<usize>>, options: &Options) -> Schedule {
    let mut place = vec![0; flow.graph.nodes.len()];
    for (at, group) in groups.iter().enumerate() {
        for &n in group {
            place[n] = at;
        }
    }
    let mut writer = Writer { flow, options, place, schedule: Schedule { steps: Vec::new(), scratch: Vec::new() } };
    for group in groups {
        let n = group[0];
        writer.group(group);
        if options.watch.is_some() && flow.node(n).value.dtype.is_float() {
            writer.watch(n);
        }
    }
    if options.fuse && options.watch.is_none() {
        horizontal::join(flow, options, &mut writer.schedule.steps);
    }
    writer.schedule
}

/// llvmpipe leaves every loop after 65,535 iterations of one invocation, so longer sums take several dispatches.
const MAX_LOOP: usize = 32768;

struct Writer<'a> {
    flow: &'a Flow<'a>,
    options: &'a Options,
    /// The group of each node.
    place: Vec<usize>,
    schedule: Schedule,
}

impl Writer<'_> {
    fn group(&mut self, nodes: Vec<usize>) {
        let flow = self.flow;
        let n = nodes[0];
        let node = flow.node(n);
        if nodes.iter().any(|&n| program::matrix(flow, self.options, n).is_some()) {
            return self.together(Work::Rows, nodes);
        }
        match &node.value.op {
            Op::Data | Op::Full(_) => unreachable!("nothing computes {}", node.value.op.name()),
            Op::Iota | Op::Random(..) | Op::Map(_) | Op::Cast => self.together(Work::Map, nodes),
            Op::Reduce { .. } => self.reduce(n),
            Op::Scan(_) => {
                let len = node.value.shape.last().copied().unwrap_or(1);
                self.scan(n, node.value.numel() / len, len, None, Item::Node(n));
            }
            Op::Matmul { inner, .. } => {
                let shape = &node.args[0].layout.shape;
                self.in_parts(n, numel(&shape[shape.len() - inner..]), &node.args, &node.args, Work::Matmul);
            }
            Op::OverlapAdd { .. } => {
                let size = node.args[0].layout.shape.last().copied().unwrap_or(1);
                self.in_parts(n, size, &node.args, &node.args, Work::OverlapAdd);
            }
            Op::Gather { .. } => self.push(Work::Gather, n, &node.args, Item::Node(n), true),
            Op::Scatter { dim, .. } if by_lines(node, self.options.target) => {
                let over = self.begin_with_base(n);
                let first = self.schedule.steps.len();
                let entries = node.args[1].layout.shape.get(*dim).copied().unwrap_or(1);
                self.in_parts(n, entries, &node.args[1..3], &node.args[1..3], Work::ScatterLines);
                self.take_over(first, over);
            }
            Op::Scatter { dim, .. } => {
                let over = self.takes_over(n, &node.args[0]);
                let first = self.schedule.steps.len();
                let entries = node.args[1].layout.shape.get(*dim).copied().unwrap_or(1);
                // Later parts start from the result, not from the base.
                self.in_parts(n, entries, &node.args, &node.args[1..], Work::Scatter);
                self.schedule.steps[first].over.extend(over);
            }
            Op::ArgSort { .. } => self.argsort(n),
            Op::Search { .. } => self.push(Work::Search, n, &node.args, Item::Node(n), true),
            Op::Write(to) => self.write(n, to),
            Op::Custom(_) => self.push(Work::Custom, n, &node.args, Item::Node(n), true),
        }
    }

    fn push(&mut self, work: Work, n: usize, args: &[Arg], to: Item, complete: bool) {
        let reads = args.iter().filter(|arg| !self.flow.is_free(arg.source)).map(|arg| arg.source.into()).collect();
        let outputs = if complete { vec![n] } else { Vec::new() };
        self.schedule.steps.push(Step { work, nodes: vec![n], reads, writes: vec![to], over: Vec::new(), outputs });
    }

    /// Looks at a result, and at the operands that nothing has looked at: those that were computed before.
    fn watch(&mut self, n: usize) {
        let args = &self.flow.node(n).args;
        let before = |arg: &Arg| matches!(arg.source, Source::Input(_)) && self.flow.dtype(arg.source).is_float();
        let operands = (0..args.len()).filter(|&k| before(&args[k])).map(Looked::Operand);
        let steps = std::iter::once(Looked::Result).chain(operands).map(|looked| {
            let item = match looked {
                Looked::Result => Item::Node(n),
                Looked::Operand(k) => args[k].source.into(),
            };
            let (work, reads) = (Work::Watch(looked), vec![item]);
            Step { work, nodes: vec![n], reads, writes: Vec::new(), over: Vec::new(), outputs: Vec::new() }
        });
        self.schedule.steps.extend(steps);
    }

    /// Whether nobody needs a value after the group of `n`.
    fn dies(&self, source: Source, n: usize) -> bool {
        self.flow.is_expendable(source) && self.flow.readers(source).iter().all(|&r| self.place[r] <= self.place[n])
    }

    /// The buffer of the first operand for the result, if no other operand reads it too.
    fn takes_over(&self, n: usize, base: &Arg) -> Option<(Item, Item)> {
        let node = self.flow.node(n);
        let free = self.flow.number(base.source).is_none()
            && self.flow.is_whole(base)
            && self.dies(base.source, n)
            && node.args.iter().filter(|arg| arg.source == base.source).count() == 1;
        free.then_some((Item::Node(n), base.source.into()))
    }

    /// Nodes that share a kernel, each result of which may take over the buffer of an operand that is read element by
    /// element. Row programs read operands again after they have stored results.
    fn together(&mut self, work: Work, nodes: Vec<usize>) {
        let flow = self.flow;
        let at = self.place[nodes[0]];
        let is_outside = |source: Source| !matches!(source, Source::Node(p) if self.place[p] == at);
        let mut sources: Vec<(Source, bool)> = Vec::new();
        for arg in nodes.iter().flat_map(|&n| flow.reads(n)).filter(|arg| is_outside(arg.source)) {
            match sources.iter_mut().find(|(source, _)| *source == arg.source) {
                Some((_, all)) => *all &= flow.is_whole(arg),
                None => sources.push((arg.source, flow.is_whole(arg))),
            }
        }
        let outputs: Vec<usize> = nodes
            .iter()
            .copied()
            .filter(|&n| flow.node(n).held || flow.readers(Source::Node(n)).iter().any(|&r| self.place[r] != at))
            .collect();
        let mut dying: Vec<Source> = sources
            .iter()
            .filter(|(source, whole)| matches!(work, Work::Map) && *whole && self.dies(*source, nodes[0]))
            .map(|(source, _)| *source)
            .collect();
        // What is updated step by step then stays in one buffer.
        dying.sort_by_key(|source| matches!(source, Source::Node(_)));
        let mut over = Vec::new();
        for &n in &outputs {
            if let Some(i) = dying.iter().position(|&source| flow.dtype(source) == flow.node(n).value.dtype) {
                over.push((Item::Node(n), dying.remove(i).into()));
            }
        }
        let reads = sources.into_iter().map(|(source, _)| source.into()).collect();
        let writes = outputs.iter().map(|&n| Item::Node(n)).collect();
        self.schedule.steps.push(Step { work, nodes, reads, writes, over, outputs });
    }

    fn reduce(&mut self, n: usize) {
        let node = self.flow.node(n);
        if let Some(cut) = Columns::of(self.flow, self.options, n) {
            if cut.parts == 1 {
                return self.push(Work::Columns(cut), n, &node.args, Item::Node(n), true);
            }
            let partial = self.scratch(cut.results * cut.parts);
            self.push(Work::Columns(cut), n, &node.args, partial, false);
            return self.second(n, Reduction::second(cut.results, cut.parts), partial);
        }
        if let Some(cut) = Columns::of_whole(self.flow, self.options, n) {
            let partial = self.scratch(cut.results);
            self.push(Work::Columns(cut), n, &node.args, partial, false);
            return self.second(n, Reduction::second(1, cut.results), partial);
        }
        let layout = &node.args[0].layout;
        let rows = node.value.numel();
        let (first, second) = Reduction::of(layout, rows, layout.numel() / rows);
        let Some(second) = second else {
            return self.push(Work::Reduce(first), n, &node.args, Item::Node(n), true);
        };
        let partial = self.scratch(first.rows);
        self.push(Work::Reduce(first), n, &node.args, partial, false);
        self.second(n, second, partial);
    }

    /// Folds the results of the parts.
    fn second(&mut self, n: usize, second: Reduction, partial: Item) {
        self.push(Work::Reduce(second), n, &[], Item::Node(n), true);
        self.schedule.steps.last_mut().expect("just pushed").reads.push(partial);
    }

    /// Passes from the places in order to the places sorted, by turns in the result's buffer and in another one.
    fn argsort(&mut self, n: usize) {
        let node = self.flow.node(n);
        let wanted = if node.held { usize::MAX } else { self.flow.graph.prefix_read(n) };
        let len = node.value.shape.last().copied().unwrap_or(1);
        let is_whole = wanted >= len;
        let passes = sort::Pass::all(len, wanted.min(len));
        let other = if passes.len() > 1 { self.scratch(node.value.numel()) } else { Item::Node(n) };
        let last = passes.len() - 1;
        for (k, pass) in passes.into_iter().enumerate() {
            let [to, from] = if (last - k).is_multiple_of(2) { [Item::Node(n), other] } else { [other, Item::Node(n)] };
            // What is sorted in part is no output: nobody reads the rest of it.
            self.push(Work::ArgSort(pass), n, &node.args, to, k == last && is_whole);
            if k > 0 {
                self.schedule.steps.last_mut().expect("just pushed").reads.push(from);
            }
        }
    }

    /// A scan of lines, which are those of the operands or the totals `from` of the blocks of longer ones.
    fn scan(&mut self, n: usize, lines: usize, len: usize, from: Option<Item>, to: Item) {
        let block = scan::block(lines, len);
        let blocks = len.div_ceil(block);
        let mut carried = None;
        if blocks > 1 {
            let (totals, sums) = (self.scratch(3 * lines * blocks), self.scratch(lines * blocks));
            self.pass(n, Pass { lines, len, block, from, stage: Stage::Totals }, totals);
            self.scan(n, lines, blocks, Some(totals), sums);
            carried = Some(sums);
        }
        self.pass(n, Pass { lines, len, block, from, stage: Stage::Elements { carried } }, to);
    }

    fn pass(&mut self, n: usize, pass: Pass, to: Item) {
        let args = if pass.from.is_none() { &self.flow.node(n).args[..] } else { &[] };
        self.push(Work::Scan(pass), n, args, to, to == Item::Node(n));
        let reads = &mut self.schedule.steps.last_mut().expect("just pushed").reads;
        reads.extend(pass.from);
        if let Stage::Elements { carried } = pass.stage {
            reads.extend(carried);
        }
    }

    fn scratch(&mut self, len: usize) -> Item {
        self.schedule.scratch.push(len);
        Item::Scratch(self.schedule.scratch.len() - 1)
    }

    /// Steps that each add a part of a sum to the result; all but the first read `again` alone.
    fn in_parts(&mut self, n: usize, len: usize, args: &[Arg], again: &[Arg], work: impl Fn(Range<usize>) -> Work) {
        for begin in (0..len.max(1)).step_by(MAX_LOOP) {
            let end = (begin + MAX_LOOP).min(len);
            let args = if begin == 0 { args } else { again };
            self.push(work(begin..end), n, args, Item::Node(n), end == len);
        }
    }

    fn write(&mut self, n: usize, to: &Layout) {
        let node = self.flow.node(n);
        let is_partial = to.numel() < node.value.numel();
        let over = if is_partial { self.begin_with_base(n) } else { self.takes_over(n, &node.args[0]) };
        let first = self.schedule.steps.len();
        self.push(Work::Write, n, &node.args[1..], Item::Node(n), true);
        self.take_over(first, over);
    }

    /// The buffer of the first operand for the result, or a copy of it.
    fn begin_with_base(&mut self, n: usize) -> Option<(Item, Item)> {
        let args = &self.flow.node(n).args;
        let over = self.takes_over(n, &args[0]);
        if over.is_none() {
            self.push(Work::Map, n, &args[..1], Item::Node(n), false);
        }
        over
    }

    /// Has a step take over a buffer. The operand is listed as read: its buffer must live until then.
    fn take_over(&mut self, step: usize, over: Option<(Item, Item)>) {
        let step = &mut self.schedule.steps[step];
        step.reads.extend(over.iter().map(|(_, base)| *base));
        step.over.extend(over);
    }
}
