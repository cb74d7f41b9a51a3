//! What a row program computes in which pass: pure analysis, which fusion asks before it joins nodes and `rows` follows when
//! it writes the text.
//!
//! A pass goes over the cells of each row once. The first one folds what needs no reduction; each later one starts from the
//! reductions before it.

use super::Options;
use super::flow::Flow;
use super::reduce::rows_are_adjacent;
use crate::ops::op::{Fold, Op};
use crate::shape::Layout;
use crate::tensor::backend::Source;
use std::collections::HashMap;

/// Which members are computed in which pass.
pub(super) struct Program {
    pub rows: usize,
    pub cols: usize,
    /// Whether one thread takes a row, rather than a group.
    pub by_thread: bool,
    /// Whether four neighbours are computed at once.
    pub quads: bool,
    /// The members of one element per row that each pass starts from: the reductions of the pass before, and what follows.
    pub before: Vec<Vec<usize>>,
    /// The members of one element per cell that each pass computes.
    pub during: Vec<Vec<usize>>,
    /// The reductions that each pass folds.
    pub folds: Vec<Vec<usize>>,
    /// The members of one element per cell that each pass stores.
    pub stores: Vec<Vec<usize>>,
}

/// The rows and columns of a reduction that can be a member.
pub(super) fn matrix(flow: &Flow, options: &Options, n: usize) -> Option<(usize, usize)> {
    let node = flow.node(n);
    let Op::Reduce { fold: Fold::Sum | Fold::Max | Fold::Min, .. } = node.value.op else { return None };
    let arg = &node.args[0];
    let rows = node.value.numel();
    let cols = arg.layout.numel() / rows.max(1);
    let is_small = rows * cols <= 1 << 14;
    let enough = if options.target.processor { 64 } else { 256 };
    let fits = options.rows
        && !node.value.dtype.is_narrow()
        && flow.number(arg.source).is_none()
        && (2..=MAX_COLS).contains(&cols)
        && (is_small || rows >= enough)
        && (cols <= 32 || !rows_are_adjacent(&arg.layout, cols));
    fits.then_some((rows, cols))
}

const MAX_COLS: usize = 1 << 15;
/// Iterations of all passes of one thread together: far from the 65,535 after which llvmpipe leaves every loop.
const MAX_LOOPS: usize = 1 << 15;
/// Threads of a group that shares a row.
pub(super) const GROUP: usize = 64;
/// Times that a function which is not a few instructions may be computed for one cell.
const MAX_COSTLY: usize = 2;

/// Whether a layout reads one element for all cells of a row, rows being in order.
pub(super) fn is_repeated(layout: &Layout, rows: usize) -> bool {
    split(layout, rows).is_some_and(|(kept, folded)| {
        kept.offset == 0 && kept.is_dense() && folded.strides.iter().all(|&stride| stride == 0)
    })
}

/// The layout of the rows and that of the columns, if a dimension ends where a row begins or can be cut there. It depends on
/// which elements are read in which order alone, and not on how many dimensions say so.
pub(super) fn split(layout: &Layout, rows: usize) -> Option<(Layout, Layout)> {
    let mut layout = layout.merged();
    let (mut rank, mut left) = (0, rows);
    while left > 1 {
        let n = *layout.shape.get(rank)?;
        if left.is_multiple_of(n) {
            left /= n;
        } else if n.is_multiple_of(left) {
            let stride = layout.strides[rank];
            layout.shape[rank] = left;
            layout.strides[rank] = stride * (n / left) as isize;
            layout.shape.insert(rank + 1, n / left);
            layout.strides.insert(rank + 1, stride);
            left = 1;
        } else {
            return None;
        }
        rank += 1;
    }
    Some(layout.split(rank))
}

impl Program {
    /// The program of members in order, or nothing if a costly function were computed too often, or one thread had too many
    /// iterations.
    pub fn of(flow: &Flow, options: &Options, members: &[usize], is_output: impl Fn(usize) -> bool) -> Option<Program> {
        let reduction = members.iter().find(|&&n| is_reduction(flow, n))?;
        let rows = flow.node(*reduction).value.numel();
        let cols = flow.node(*reduction).args[0].layout.numel() / rows;
        let is_row = |n: usize| flow.node(n).value.numel() == rows;
        let mut level: HashMap<usize, usize> = HashMap::new();
        for &n in members {
            let inside = flow.node(n).args.iter().filter_map(|arg| match arg.source {
                Source::Node(p) => level.get(&p).copied(),
                Source::Input(_) => None,
            });
            let first = inside.max().unwrap_or(0);
            level.insert(n, first + is_reduction(flow, n) as usize);
        }
        let passes = level.values().max()? + 1;
        let empty = || vec![Vec::new(); passes];
        let mut program = Program {
            rows,
            cols,
            by_thread: options.target.processor || cols <= 64,
            quads: cols.is_multiple_of(4) && cols >= 64,
            before: empty(),
            during: empty(),
            folds: empty(),
            stores: empty(),
        };
        for &n in members {
            if is_row(n) {
                program.before[level[&n]].push(n);
            } else if is_output(n) {
                program.stores[level[&n]].push(n);
            }
            if is_reduction(flow, n) {
                program.folds[level[&n] - 1].push(n);
            }
        }
        let mut times: HashMap<usize, usize> = HashMap::new();
        for pass in 0..passes {
            let mut needed: Vec<usize> = program.stores[pass].clone();
            let operands = |n: usize| {
                flow.node(n).args.iter().filter_map(|arg| match arg.source {
                    Source::Node(p) if level.contains_key(&p) && !is_row(p) => Some(p),
                    _ => None,
                })
            };
            needed.extend(program.folds[pass].iter().flat_map(|&n| operands(n)));
            let mut open = needed.clone();
            while let Some(n) = open.pop() {
                for p in operands(n) {
                    if !needed.contains(&p) {
                        needed.push(p);
                        open.push(p);
                    }
                }
            }
            needed.sort_unstable();
            needed.dedup();
            for &n in &needed {
                *times.entry(n).or_default() += 1;
            }
            program.during[pass] = needed;
        }
        let is_bearable = |(&n, &times): (&usize, &usize)| times <= MAX_COSTLY || !is_costly(&flow.node(n).value.op);
        let loops = (0..passes).filter(|&pass| program.has_loop(pass)).count() * program.iterations();
        (times.iter().all(is_bearable) && loops <= MAX_LOOPS).then_some(program)
    }

    /// Whether a pass goes over the cells, rather than computing what belongs to the row alone.
    pub fn has_loop(&self, pass: usize) -> bool {
        !(self.folds[pass].is_empty() && self.stores[pass].is_empty())
    }

    /// How often a thread goes round in one pass.
    fn iterations(&self) -> usize {
        let cells = if self.quads { 4 } else { 1 };
        self.cols.div_ceil(cells * if self.by_thread { 1 } else { GROUP })
    }
}

pub(super) fn is_reduction(flow: &Flow, n: usize) -> bool {
    matches!(flow.node(n).value.op, Op::Reduce { .. })
}

/// Whether an operation calls a function of the prelude, rather than being an instruction or two.
fn is_costly(op: &Op) -> bool {
    match op {
        Op::Map(row) => row.wgsl.contains("_("),
        op => matches!(op, Op::Random(..)),
    }
}
