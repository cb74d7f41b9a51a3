//! Reductions whose results are neighbours in memory, as when the columns of a matrix are summed: a thread folds a quad of
//! columns over a part of the rows, and where there are several parts, a second kernel folds those in order.

use super::Options;
use super::flow::Flow;
use super::reduce::{folded, identity, rows_are_adjacent};
use super::rows::quad;
use super::steps::Item;
use super::template::prelude_for;
use super::wgsl::{Text, element, position};
use crate::ops::op::{Fold, Op};
use crate::shape::Layout;

/// How a reduction is cut: results, elements folded into each, and parts of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub results: usize,
    len: usize,
    part: usize,
    pub parts: usize,
    /// Whether the results are those of a whole tensor read as matrices, which are to be folded into one.
    pub of_whole: bool,
}

/// Rows that are worth a thread of their own, and the most that stay far from the 65,535 iterations after which llvmpipe
/// leaves a loop of four.
const LEAST: usize = 64;
const MOST: usize = 100_000;

impl Columns {
    /// The cut, if four results at once can be read.
    pub fn of(flow: &Flow, options: &Options, n: usize) -> Option<Columns> {
        let node = flow.node(n);
        let arg = &node.args[0];
        let results = node.value.numel();
        let len = arg.layout.numel() / results.max(1);
        let (kept, folded) = split(flow, n);
        let is_quad = kept.strides.last() == Some(&1)
            && kept.shape.last().is_some_and(|n| n % 4 == 0)
            && kept.strides.iter().rev().skip(1).chain(&folded.strides).all(|stride| stride % 4 == 0)
            && kept.offset.is_multiple_of(4);
        let fits = can_fold(flow, options, n) && len > 32 && rows_are_adjacent(&arg.layout, len) && is_quad;
        // A processor has few threads to keep busy, and each of its groups costs something.
        let threads = if options.target.processor { 1 << 12 } else { 1 << 15 };
        let parts = (threads / (results / 4).max(1)).min(len / LEAST).max(len.div_ceil(MOST)).max(1);
        let part = len.div_ceil(parts);
        fits.then_some(Columns { results, len, part, parts: len.div_ceil(part), of_whole: false })
    }

    /// The cut of a reduction of everything: what lies in order is read as matrices, of as many columns as keep the device busy.
    pub fn of_whole(flow: &Flow, options: &Options, n: usize) -> Option<Columns> {
        let node = flow.node(n);
        let arg = &node.args[0];
        let layout = arg.layout.merged();
        let columns = if options.target.processor { 1 << 12 } else { 1 << 15 };
        let len = layout.numel() / columns;
        let fits = can_fold(flow, options, n)
            && node.value.numel() == 1
            && layout.strides[..] == [1]
            && layout.offset.is_multiple_of(4)
            && layout.numel().is_multiple_of(columns)
            && (8..=MOST).contains(&len);
        fits.then_some(Columns { results: columns, len, part: len, parts: 1, of_whole: true })
    }
}

/// Whether there are elements in memory to be read in quads, and that is wanted.
fn can_fold(flow: &Flow, options: &Options, n: usize) -> bool {
    let node = flow.node(n);
    options.rows && !node.value.dtype.is_narrow() && flow.number(node.args[0].source).is_none()
}

fn split(flow: &Flow, n: usize) -> (Layout, Layout) {
    let node = flow.node(n);
    let Op::Reduce { dims, .. } = node.value.op else { unreachable!("asked for a reduction") };
    let layout = &node.args[0].layout;
    layout.split(layout.shape.len() - dims)
}

/// A tensor in order as matrices one behind the other, so narrow that threads which run in step read on and on.
fn matrices(text: &Text, n: usize, cut: &Columns) -> (Layout, Layout) {
    let width = if text.options.target.processor { 32 } else { 256 };
    let whole = Layout::contiguous(&[cut.results / width, cut.len, width]).permute(&[0, 2, 1]);
    let (kept, rest) = whole.split(2);
    (Layout { offset: text.flow.node(n).args[0].layout.offset, ..kept }, rest)
}

pub(super) fn columns(text: &mut Text, n: usize, cut: &Columns, to: Item) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::Reduce { fold, .. } = node.value.op else { unreachable!("asked for a reduction") };
    let dtype = node.value.dtype;
    let (t, one) = (quad(element(dtype)), element(dtype));
    let (kept, rest) = if cut.of_whole { matrices(text, n, cut) } else { split(text.flow, n) };
    let x = text.bind(node.args[0].source.into(), t, false);
    let y = text.bind(to, t, true);
    let threads = cut.results / 4 * cut.parts;
    let [threads_, quads, part, len] = [threads, cut.results / 4, cut.part, cut.len].map(|number| text.number(number));
    let fold_of = match fold {
        Fold::Sum | Fold::Prod => folded(fold, dtype).to_owned(),
        Fold::Max | Fold::Min => {
            let parts = ["x", "y", "z", "w"].map(|c| format!("fold_one(a.{c}, b.{c})"));
            format!("{t}({})", parts.join(", "))
        }
    };
    let text = format!(
        "{header}\nfn fold_one(a: {one}, b: {one}) -> {one} {{\n  return {of_one};\n}}\n\nfn fold(a: {t}, b: {t}) -> {t} {{\n  \
         return {fold_of};\n}}\n\nfn load(start: u32, k: u32) -> {t} {{\n  return {x}[(start + {step}) >> 2u];\n}}\n\n\
         @compute @workgroup_size(64)\nfn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: \
         vec3<u32>, @builtin(local_invocation_index) local: u32) {{\n  let thread = (w.y * groups.x + w.x) * 64u + local;\n  \
         if (thread >= {threads_}) {{ return; }}\n  let quads = {quads};\n  let row = thread % quads * 4u;\n  \
         let start = {start};\n  var k = thread / quads * {part};\n  let end = min(k + {part}, {len});\n  \
         var a = {t}({none});\n  var b = a;\n  var c = a;\n  var d = a;\n  for (; k + 4u <= end; k += 4u) {{\n    \
         a = fold(a, load(start, k));\n    b = fold(b, load(start, k + 1u));\n    c = fold(c, load(start, k + 2u));\n    \
         d = fold(d, load(start, k + 3u));\n  }}\n  for (; k < end; k += 1u) {{\n    a = fold(a, load(start, k));\n  }}\n  \
         {y}[thread] = fold(fold(a, b), fold(c, d));\n}}\n",
        header = text.header(),
        of_one = folded(fold, dtype),
        step = position(&rest, "k"),
        start = position(&kept, "row"),
        none = identity(fold, dtype),
    );
    let prelude = prelude_for(&text);
    (text + &prelude, threads.div_ceil(64))
}
