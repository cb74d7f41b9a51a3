//! Matrix products with any number of row, inner and column dimensions, read in place through the layouts of both
//! operands: transposes, broadcasts and overlapping windows need no copy.

use super::steps::Item;
use super::template::MATMUL;
use super::wgsl::{Text, element, position};
use crate::ops::op::Op;
use crate::shape::{Layout, numel};
use crate::tensor::device::Arg;
use std::ops::Range;

/// Adds up the inner `places`; all but the first start from what is stored already.
pub(super) fn matmul(text: &mut Text, n: usize, places: Range<usize>) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::Matmul { rows, inner, cols } = node.value.op else { unreachable!("asked for a product") };
    let shape = &node.value.shape;
    let batch = shape.len() - rows - cols;
    let (entries, m, n_cols) =
        (numel(&shape[..batch]), numel(&shape[batch..batch + rows]), numel(&shape[batch + rows..]));
    let t = element(node.value.dtype);
    let (a, b) = (Walk::of(&node.args[0], batch, rows), Walk::of(&node.args[1], batch, inner));
    let (load_a, load_b) = (text.load_at(node.args[0].source, "at"), text.load_at(node.args[1].source, "at"));
    let y = text.bind(Item::Node(n), t, true);
    let at = format!("{y}[(batch * M + row) * N + col]");
    let start = if places.start == 0 { "T(0)" } else { &at };
    let row_threads = row_threads(m, n_cols);
    let header = format!(
        "{}alias T = {t};\nconst BATCH: u32 = {entries}u;\nconst M: u32 = {m}u;\nconst N: u32 = {n_cols}u;\n\
         const K_BEGIN: u32 = {}u;\nconst K_END: u32 = {}u;\nconst ROW_THREADS: u32 = {row_threads}u;\n",
        text.header(),
        places.start,
        places.end
    );
    let hooks = [
        ("hook_row", format!("fn hook_row(batch: u32, row: u32) -> u32 {{\n  return {};\n}}", a.line("row"))),
        ("hook_col", format!("fn hook_col(batch: u32, col: u32) -> u32 {{\n  return {};\n}}", b.across("col"))),
        ("hook_inner_a", format!("fn hook_inner_a(k: u32) -> u32 {{\n  return {};\n}}", position(&a.second, "k"))),
        ("hook_inner_b", format!("fn hook_inner_b(k: u32) -> u32 {{\n  return {};\n}}", position(&b.first, "k"))),
        ("hook_load_a", format!("fn hook_load_a(at: u32) -> T {{\n  return {load_a};\n}}")),
        ("hook_load_b", format!("fn hook_load_b(at: u32) -> T {{\n  return {load_b};\n}}")),
        ("hook_start", format!("fn hook_start(batch: u32, row: u32, col: u32) -> T {{\n  return {start};\n}}")),
        ("hook_store", format!("fn hook_store(batch: u32, row: u32, col: u32, x: T) {{\n  {at} = x;\n}}")),
    ];
    let hooks: Vec<(&str, &str)> = hooks.iter().map(|(name, body)| (*name, body.as_str())).collect();
    let tiles = m.div_ceil(4 * row_threads) * n_cols.div_ceil(256 / row_threads);
    (MATMUL.compose(&header, &hooks), entries * tiles)
}

/// How many of a group's 64 threads stand below each other: fewer or more where the result is flat or narrow.
fn row_threads(m: usize, n: usize) -> usize {
    let threads = |size: usize| size.div_ceil(4).next_power_of_two();
    match (threads(m), threads(n)) {
        (rows @ ..8, _) => rows,
        (_, cols @ ..8) => 64 / cols,
        _ => 8,
    }
}

/// The layout of an operand by groups of dimensions.
struct Walk {
    batch: Layout,
    first: Layout,
    second: Layout,
}

impl Walk {
    fn of(arg: &Arg, batch: usize, first: usize) -> Walk {
        let Layout { shape, strides, offset } = &arg.layout;
        let part = |range: Range<usize>, offset: usize| Layout {
            shape: shape[range.clone()].into(),
            strides: strides[range].into(),
            offset,
        };
        let second = batch + first;
        Walk { batch: part(0..batch, *offset), first: part(batch..second, 0), second: part(second..shape.len(), 0) }
    }

    /// Where line `i` of the first group begins, in the matrix of entry `batch`.
    fn line(&self, i: &str) -> String {
        format!("{} + {}", position(&self.batch, "batch"), position(&self.first, i))
    }

    /// Where line `i` of the second group begins, in the matrix of entry `batch`.
    fn across(&self, i: &str) -> String {
        format!("{} + {}", position(&self.batch, "batch"), position(&self.second, i))
    }
}
