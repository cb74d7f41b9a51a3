//! One block of elements of several operations, which are evaluated one after the other while it is in the fastest memory.

use super::reduce::{PART, fold_lines};
use super::with_numbers;
use crate::elements::{Data, Stored, View, with_data};
use crate::ops::op::Op;
use crate::shape::Layout;
use crate::tensor::value::Value;
use std::ops::Range;
use std::sync::Arc;

/// An operand of a member: an earlier member's block, one element for each line of which, or elements that were there before.
pub enum Operand {
    Member(usize),
    Lines(usize),
    Elements(Arc<Data>, Layout),
}

/// One member and what of the others it reads.
pub struct Member<'g> {
    pub value: &'g Value,
    pub operands: Vec<Operand>,
    /// Whether it has one element for each line, or part of a line.
    pub is_folded: bool,
    /// The members whose blocks nobody reads after this one.
    pub ends: Vec<usize>,
}

/// Puts what a member gave for a block where it belongs.
pub type Store<'a> = Box<dyn FnOnce(&Data) + Send + 'a>;

/// Those of the members whose elements are kept, in order.
pub type Stores<'a> = Vec<(usize, Store<'a>)>;

/// Elements of a block of whole lines.
const BLOCK: usize = 1 << 13;

/// Whole lines, or parts of long ones.
pub fn blocks(numel: usize, columns: usize) -> Vec<Range<usize>> {
    let line = if columns > PART { columns } else { BLOCK / columns * columns };
    let step = if columns > PART { PART } else { line };
    let lines = (0..numel).step_by(line);
    let parts = |start: usize| {
        let end = (start + line).min(numel);
        (start..end).step_by(step).map(move |part| part..(part + step).min(end))
    };
    lines.flat_map(parts).collect()
}

impl Member<'_> {
    /// Which of its results a block has.
    pub fn results(&self, block: &Range<usize>, columns: usize) -> Range<usize> {
        if self.is_folded { block.start / columns..block.end.div_ceil(columns) } else { block.clone() }
    }
}

/// Evaluates one block of every member.
pub fn play(members: &[Member], block: Range<usize>, columns: usize, stores: Stores) {
    let lines = [block.len() / columns, columns];
    let spread = Layout { shape: lines[..].into(), strides: [1, 0][..].into(), offset: 0 };
    let mut results: Vec<Option<Data>> = Vec::with_capacity(members.len());
    let mut stores = stores.into_iter().peekable();
    for (i, member) in members.iter().enumerate() {
        let Member { value, operands, ends, .. } = member;
        let of = |j: &usize| results[*j].as_ref().expect("an earlier one's block");
        let is_fold = matches!(value.op, Op::Reduce { .. });
        let part = if is_fold { block.clone() } else { member.results(&block, columns) };
        let whole = Layout::contiguous(&[part.len()]);
        let args: Vec<View> = operands
            .iter()
            .map(|operand| match operand {
                Operand::Member(j) => View::whole(of(j), &whole),
                Operand::Lines(j) => View::whole(of(j), &spread),
                Operand::Elements(data, layout) => View { data, layout, part: part.clone() },
            })
            .collect();
        let y = match &value.op {
            Op::Map(row) => (row.eval)(&args, value.dtype),
            Op::Cast => args[0].cast(value.dtype),
            Op::Reduce { fold, .. } => {
                let line = columns.min(block.len());
                with_numbers!(value.dtype, T => T::wrap(fold_lines(*fold, &args[0].elements::<T>(), line)))
            }
            Op::Write(layout) => {
                // Copied, since the views still read it.
                let mut y = args[0].cast(value.dtype);
                with_data!(&mut y, y => write(y, block.start, &layout.merged(), &args[1]));
                y
            }
            other => unreachable!("{} joins no group", other.name()),
        };
        if let Some((_, store)) = stores.next_if(|(j, _)| *j == i) {
            store(&y);
        }
        results.push(Some(y));
        ends.iter().for_each(|&j| results[j] = None);
    }
}

/// Writes those elements of a source whose places in an ascending layout fall into `y`, which starts at a place.
pub fn write<T: Stored>(y: &mut [T], start: usize, layout: &Layout, source: &View) {
    if start + y.len() <= layout.offset || layout.numel() == 0 || layout.place(layout.numel() - 1) < start {
        return;
    }
    let before = |place: usize| {
        let (mut low, mut high) = (0, layout.numel());
        while low < high {
            let middle = (low + high) / 2;
            if layout.place(middle) < place { low = middle + 1 } else { high = middle }
        }
        low
    };
    let part = before(start)..before(start + y.len());
    let (first, n, mut room) = (part.start, part.len(), Vec::new());
    let source = View { part, ..source.clone() }.chunks::<T>();
    layout.runs(first, n, |i, at, stride, n| {
        let (y, x) = (&mut y[at - start..], source.read(i, n, &mut room));
        match stride {
            // A single element has no next.
            0 | 1 => y[..n].copy_from_slice(x),
            _ => y.iter_mut().step_by(stride as usize).zip(x).for_each(|(y, x)| *y = *x),
        }
    });
}

/// Whether later elements lie at later places.
pub fn is_ascending(layout: &Layout) -> bool {
    let mut reach = 0;
    layout.shape.iter().zip(&layout.strides).rev().all(|(&n, &stride)| {
        let beyond = stride > reach;
        reach += stride * (n as isize - 1);
        beyond
    })
}
