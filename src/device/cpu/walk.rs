//! The order of evaluation: one operation after the other or, where several walk through as many elements in order, block
//! by block, so that what one gives the next still finds in the fastest memory. Every element is computed alike either way.

use super::block::{Member, Operand, Stores, blocks, is_ascending, play, write};
use super::reduce::{PART, fold_lines};
use super::{argsort, elements, evaluate, with_numbers};
use crate::elements::{Data, Stored, View, in_lines, with_data};
use crate::error::Result;
use crate::ops::op::Op;
use crate::shape::{Layout, numel};
use crate::tensor::backend::{Arg, Graph, Node, Source};
use crate::tensor::profile::{self, Event, Listeners};
use crate::tensor::value::Value;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Evaluates the nodes chosen of a graph whose inputs are this device's buffers, and shows each result to `done`; unless
/// `every` one is asked for, those that only a neighbour in a block reads are left out. What nobody will read any more is
/// dropped, or written over. Profiles are told of it as the work of a device of this name.
pub fn evaluate_all(
    device: &'static str,
    graph: &Graph,
    chosen: &[bool],
    every: bool,
    done: impl FnMut(&Node, &Result<Arc<Data>>),
) {
    let mut readers = vec![0; graph.nodes.len()];
    for (_, node) in graph.nodes.iter().enumerate().filter(|(n, _)| chosen[*n]) {
        node.args.iter().filter_map(|arg| arg.source.node()).for_each(|p| readers[p] += 1);
    }
    let mut walk = Walk {
        graph,
        inputs: graph.inputs.iter().map(|input| elements(&input.buffer)).collect(),
        results: vec![None; graph.nodes.len()],
        readers,
        waiting: Vec::new(),
        every,
        done,
        device,
        listeners: profile::listeners(),
    };
    for n in (0..graph.nodes.len()).filter(|&n| chosen[n]) {
        if every || !walk.joins(n) {
            walk.alone(n);
        }
    }
    while !walk.waiting.is_empty() {
        walk.finish(0);
    }
}

/// Operations that walk through as many elements, and whose results nobody else has asked for yet.
struct Group {
    numel: usize,
    /// How long the lines are that are folded, if any are.
    columns: Option<usize>,
    members: Vec<usize>,
    /// Those of the members that have one element for each line.
    folded: Vec<usize>,
}

impl Group {
    /// How many lines there are, if blocks hold whole ones.
    fn lines(&self) -> Option<usize> {
        self.columns.filter(|&columns| columns <= PART).map(|columns| self.numel / columns)
    }

    /// Whether a layout reads one element for each line, as often as the line is long.
    fn spreads(&self, layout: &Layout) -> bool {
        let Layout { shape, strides, offset } = layout.merged();
        offset == 0 && strides[..] == [1, 0] && Some(shape[0]) == self.lines()
    }
}

/// Groups of more members would no longer fit the fastest memory.
const MEMBERS: usize = 64;

struct Walk<'g, F> {
    graph: &'g Graph,
    inputs: Vec<Arc<Data>>,
    results: Vec<Option<Result<Arc<Data>>>>,
    /// How many operands are still to be read from each node.
    readers: Vec<usize>,
    waiting: Vec<Group>,
    every: bool,
    done: F,
    device: &'static str,
    listeners: Listeners,
}

impl<F: FnMut(&Node, &Result<Arc<Data>>)> Walk<'_, F> {
    /// Puts a node into a group, if it can be evaluated block by block. Otherwise its operands wait no longer.
    fn joins(&mut self, n: usize) -> bool {
        let Node { value, args, .. } = &self.graph.nodes[n];
        let mut columns = None;
        // How many elements are walked through, and whether that is better than alone if they lie somewhere already: not
        // for a line that no block holds, nor for a part that is replaced where it lies.
        let (walked, starts) = match &value.op {
            Op::Map(row) if row.divides && !value.dtype.is_float() => (None, false),
            Op::Map(_) | Op::Cast => (Some(value.numel()), true),
            Op::Write(layout) => (is_ascending(&layout.merged()).then(|| value.numel()), self.is_number(&args[0])),
            Op::Reduce { dims, .. } => {
                let layout = &args[0].layout;
                let line = numel(&layout.shape[layout.shape.len() - dims..]);
                columns = Some(line);
                (Some(layout.numel()), line <= PART && layout.is_dense())
            }
            Op::Data
            | Op::Full(_)
            | Op::Iota
            | Op::Random(..)
            | Op::Scan(_)
            | Op::Matmul { .. }
            | Op::OverlapAdd { .. }
            | Op::Gather { .. }
            | Op::Scatter { .. }
            | Op::ArgSort { .. }
            | Op::Search { .. }
            | Op::Custom(_) => (None, false),
        };
        let walked = walked.filter(|&walked| walked >= PART);
        let reads = |group: &Group, folded: bool| {
            let members = if folded { &group.folded } else { &group.members };
            args.iter().filter_map(|arg| arg.source.node()).any(|p| members.contains(&p))
        };
        // What lines came to is computed with while the lines are there.
        let by_lines = |group: &Group| {
            let is_pointwise = starts && matches!(value.op, Op::Map(_) | Op::Cast);
            is_pointwise && Some(value.numel()) == group.lines() && group.columns != Some(1) && reads(group, true)
        };
        let fits = |group: &Group| {
            let same_lines = columns.is_none() || group.columns.is_none() || group.columns == columns;
            let is_full = group.members.len() >= MEMBERS;
            !is_full && (by_lines(group) || walked == Some(group.numel) && same_lines)
        };
        let home = |walk: &Self| {
            let best = walk.waiting.iter().position(|group| fits(group) && reads(group, false));
            best.or_else(|| walk.waiting.iter().position(fits))
        };
        let mut group = home(self);
        for (k, arg) in args.iter().enumerate() {
            let Some(p) = arg.source.node() else { continue };
            let Some(g) = self.waiting.iter().position(|group| group.members.contains(&p)) else { continue };
            let of = &self.waiting[g];
            let is_source = k == 1 && matches!(value.op, Op::Write(_));
            let in_step = match of.folded.contains(&p) {
                true if by_lines(of) => of.lines().is_some_and(|lines| arg.layout.is_whole(lines)),
                true => matches!(value.op, Op::Map(_) | Op::Cast) && of.spreads(&arg.layout),
                false => !by_lines(of) && arg.layout.is_whole(of.numel),
            };
            if group != Some(g) || !in_step || is_source {
                self.finish(g);
                group = home(self);
            }
        }
        let g = match (group, walked) {
            (Some(g), _) if starts || reads(&self.waiting[g], false) => g,
            (None, Some(numel)) if starts => {
                self.waiting.push(Group { numel, columns: None, members: Vec::new(), folded: Vec::new() });
                self.waiting.len() - 1
            }
            _ => return false,
        };
        let is_line = by_lines(&self.waiting[g]);
        let group = &mut self.waiting[g];
        group.columns = group.columns.or(columns);
        group.members.push(n);
        if is_line || columns.is_some() {
            group.folded.push(n);
        }
        true
    }

    fn is_number(&self, arg: &Arg) -> bool {
        arg.source.node().is_some_and(|p| matches!(self.graph.nodes[p].value.op, Op::Full(_)))
    }

    /// What an operand reads, and how; a number is one element.
    fn operand(&self, arg: &Arg) -> Result<(Arc<Data>, Layout)> {
        let data = match arg.source {
            Source::Node(p) => self.results[p].clone().unwrap_or_else(|| Ok(Arc::new(TAKEN.clone())))?,
            Source::Input(i) => self.inputs[i].clone(),
        };
        let mut layout = arg.layout.clone();
        if self.is_number(arg) {
            layout.offset = 0;
            layout.strides.fill(0);
        }
        Ok((data, layout))
    }

    /// When something begins, if a profile wants to know.
    fn begun(&self) -> Option<Duration> {
        (!self.listeners.is_empty()).then(profile::now)
    }

    /// Tells profiles that nodes have been evaluated, and some of them kept.
    fn ended(&self, begun: Option<Duration>, nodes: &[usize], kept: impl Iterator<Item = usize>) {
        let Some(begun) = begun else { return };
        let inside = |source: &Source| matches!(source, Source::Node(n) if nodes.contains(n));
        let args = nodes.iter().flat_map(|&n| &self.graph.nodes[n].args).filter(|arg| !self.is_number(arg));
        let mut sources: Vec<Source> = args.map(|arg| arg.source).filter(|source| !inside(source)).collect();
        sources.sort_unstable();
        sources.dedup();
        let read = |&source: &Source| self.graph.read_from(nodes, source) * self.graph.value(source).dtype.size();
        let event = Event {
            row: self.device.into(),
            bytes_read: sources.iter().map(read).sum::<usize>() as u64,
            bytes_written: kept.map(|n| self.graph.nodes[n].value.bytes()).sum::<usize>() as u64,
            ..self.graph.kernel(nodes, begun, profile::now() - begun)
        };
        profile::tell(&self.listeners, event);
    }

    fn alone(&mut self, n: usize) {
        let node = &self.graph.nodes[n];
        // A number is no work.
        let begun = self.begun().filter(|_| !matches!(node.value.op, Op::Full(_)));
        // What nobody has asked for whole is as much of it as is read.
        let in_part = !self.every && !node.held;
        let result = if let (Op::Full(x), true) = (&node.value.op, in_part) {
            Ok(Data::generate(node.value.dtype, 1, |_| *x))
        } else if let (Op::ArgSort { descending }, true) = (&node.value.op, in_part) {
            let read = self.graph.prefix_read(n);
            self.operand(&node.args[0]).map(|(x, layout)| with_data!(&*x, x => argsort(x, &layout, *descending, read)))
        } else {
            let base = self.take_base(node);
            let operands: Result<Vec<_>> = node.args.iter().map(|arg| self.operand(arg)).collect();
            operands.and_then(|operands| {
                let args: Vec<View> = operands.iter().map(|(data, layout)| View::whole(data, layout)).collect();
                evaluate(&node.value, &args, base)
            })
        };
        self.ended(begun, &[n], std::iter::once(n));
        self.settle(n, result);
    }

    fn settle(&mut self, n: usize, result: Result<Data>) {
        let (node, result) = (&self.graph.nodes[n], result.map(Arc::new));
        (self.done)(node, &result);
        self.results[n] = Some(result);
        self.has_read(node);
    }

    fn has_read(&mut self, node: &Node) {
        for p in node.args.iter().filter_map(|arg| arg.source.node()) {
            self.readers[p] -= 1;
            if self.readers[p] == 0 {
                self.results[p] = None;
            }
        }
    }

    /// The elements that an operation changes in part, if nobody else needs them as they are.
    fn take_base(&mut self, node: &Node) -> Option<Data> {
        let (Op::Write(_) | Op::Scatter { .. }) = node.value.op else { return None };
        let base = node.args.first()?;
        let p = base.source.node().filter(|&p| self.readers[p] == 1)?;
        let data = self.results[p].take_if(|result| {
            let whole = |data: &Arc<Data>| Arc::strong_count(data) == 1 && base.layout.is_whole(data.len());
            result.as_ref().is_ok_and(whole)
        })?;
        data.ok().and_then(Arc::into_inner)
    }

    /// Evaluates a group.
    fn finish(&mut self, g: usize) {
        let Group { numel, columns, members, folded } = self.waiting.remove(g);
        if self.writes_alone(&members) {
            return self.join(&members);
        }
        let in_step = self.members(&members, &folded).filter(|_| members.len() > 1);
        let Some(in_step) = in_step else { return members.into_iter().for_each(|n| self.alone(n)) };
        let begun = self.begun();
        let mut inside = vec![0; members.len()];
        for operand in in_step.iter().flat_map(|member| &member.operands) {
            if let Operand::Member(j) | Operand::Lines(j) = operand {
                inside[*j] += 1;
            }
        }
        let columns = columns.unwrap_or(numel);
        let blocks = blocks(numel, columns);
        // What is needed of each member in the end: all elements, or what each block's lines come to.
        let mut kept: Vec<(usize, Data)> = Vec::new();
        for (i, &n) in members.iter().enumerate() {
            let Node { value, held, .. } = &self.graph.nodes[n];
            if *held || self.readers[n] > inside[i] {
                let len = blocks.iter().map(|block| in_step[i].results(block, columns).len()).sum();
                kept.push((i, Data::room(value.dtype, len)));
            }
        }
        let mut jobs: Vec<(Range<usize>, Stores)> =
            blocks.into_iter().map(|block| (block, Vec::with_capacity(kept.len()))).collect();
        for (i, y) in &mut kept {
            let member = &in_step[*i];
            with_data!(y, y => {
                let mut rest = &mut y[..];
                for (block, stores) in &mut jobs {
                    let (here, later) = rest.split_at_mut(member.results(block, columns).len());
                    stores.push((*i, Box::new(move |data| here.copy_from_slice(Stored::slice(data)))));
                    rest = later;
                }
            });
        }
        jobs.into_par_iter().for_each(|(block, stores)| play(&in_step, block, columns, stores));
        drop(in_step);
        self.ended(begun, &members, kept.iter().map(|(i, _)| members[*i]));
        let mut kept = kept.into_iter().peekable();
        for (i, &n) in members.iter().enumerate() {
            match kept.next_if(|(j, _)| *j == i) {
                Some((_, y)) => {
                    let Value { op, dtype, .. } = &*self.graph.nodes[n].value;
                    let mut y = y;
                    if let Op::Reduce { fold, .. } = op
                        && columns > PART
                    {
                        // A line of several blocks comes to what those come to.
                        let parts = columns.div_ceil(PART);
                        y = with_numbers!(*dtype, T => T::wrap(fold_lines(*fold, T::slice(&y), parts)));
                    }
                    self.settle(n, Ok(y));
                }
                None => self.has_read(&self.graph.nodes[n]),
            }
        }
    }

    /// Whether members only write parts, one into the result of the other, and nobody else reads those in between.
    fn writes_alone(&self, members: &[usize]) -> bool {
        let follows = |pair: &[usize]| {
            let (first, second) = (&self.graph.nodes[pair[0]], &self.graph.nodes[pair[1]]);
            !first.held && self.readers[pair[0]] == 1 && second.args[0].source == Source::Node(pair[0])
        };
        members.iter().all(|&n| matches!(self.graph.nodes[n].value.op, Op::Write(_))) && members.windows(2).all(follows)
    }

    /// Writes parts one after the other, from the first one's base to the last one's result.
    fn join(&mut self, members: &[usize]) {
        let begun = self.begun();
        let nodes = members.iter().map(|&n| &self.graph.nodes[n]);
        let operands = nodes.clone().map(|node| self.operand(&node.args[1])).collect::<Result<Vec<_>>>();
        let base = self.operand(&self.graph.nodes[members[0]].args[0]);
        let result = operands.and_then(|sources| {
            let (data, layout) = base?;
            let Value { shape, dtype, .. } = &*self.graph.nodes[members[0]].value;
            let mut y = Data::room(*dtype, numel(shape));
            let layouts: Vec<Layout> = nodes
                .filter_map(|node| if let Op::Write(layout) = &node.value.op { Some(layout.merged()) } else { None })
                .collect();
            with_data!(&mut y, y => in_lines(y, 1, 1, &|start, y| {
                View::whole(&data, &layout).chunks().copy(start, y);
                for (layout, (data, from)) in layouts.iter().zip(&sources) {
                    write(y, start, layout, &View::whole(data, from));
                }
            }));
            Ok(y)
        });
        self.ended(begun, members, members.last().copied().into_iter());
        let (last, others) = members.split_last().expect("a group has a member");
        others.iter().for_each(|&n| self.has_read(&self.graph.nodes[n]));
        self.settle(*last, result);
    }

    /// The members of a group with what they read, unless an operand of one has failed.
    fn members(&self, members: &[usize], folded: &[usize]) -> Option<Vec<Member<'_>>> {
        let mut in_step: Vec<Member> = Vec::with_capacity(members.len());
        for &n in members {
            let Node { value, args, .. } = &self.graph.nodes[n];
            let is_folded = folded.contains(&n);
            let by_lines = is_folded && !matches!(value.op, Op::Reduce { .. });
            let operand = |arg: &Arg| {
                let member = arg.source.node().and_then(|p| members.iter().position(|&m| m == p));
                match member {
                    Some(j) if in_step[j].is_folded && !by_lines => Some(Operand::Lines(j)),
                    Some(j) => Some(Operand::Member(j)),
                    None => self.operand(arg).ok().map(|(data, layout)| Operand::Elements(data, layout)),
                }
            };
            let operands = args.iter().map(operand).collect::<Option<Vec<_>>>()?;
            in_step.push(Member { value, operands, is_folded, ends: Vec::new() });
        }
        let mut ended = vec![false; in_step.len()];
        for member in in_step.iter_mut().rev() {
            for operand in &member.operands {
                if let Operand::Member(j) | Operand::Lines(j) = operand
                    && !std::mem::replace(&mut ended[*j], true)
                {
                    member.ends.push(*j);
                }
            }
        }
        Some(in_step)
    }
}

/// Stands for an operand whose elements became those of the result.
static TAKEN: Data = Data::Bool(Vec::new());
