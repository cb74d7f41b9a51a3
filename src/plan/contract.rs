//! Matrix products, read in place through the layouts of both operands.

use super::steps::Item;
use super::template::MATMUL;
use super::wgsl::{Text, position, sum};
use crate::shape::Layout;
use crate::tensor::device::Arg;
use std::ops::Range;

/// Adds up `columns` of the left operand; all but the first columns start from what is stored already.
pub(super) fn matmul(text: &mut Text, n: usize, columns: Range<usize>) -> (String, usize) {
    let node = text.flow.node(n);
    let [.., rows, cols] = node.value.shape[..] else { unreachable!("a matrix product has two dimensions") };
    let batch = node.value.numel() / (rows * cols);
    let a = text.load_at(node.args[0].source, &entry(&node.args[0]));
    let b = text.load_at(node.args[1].source, &entry(&node.args[1]));
    let y = text.bind(Item::Node(n), "f32", true);
    let at = format!("{y}[(batch * M + row) * N + col]");
    let start = if columns.start == 0 { "0.0" } else { &at };
    let header = format!(
        "{}const BATCH: u32 = {batch}u;\nconst M: u32 = {rows}u;\nconst N: u32 = {cols}u;\nconst K_BEGIN: u32 = {}u;\nconst K_END: u32 = {}u;\n",
        text.header(),
        columns.start,
        columns.end
    );
    let hooks = [
        ("hook_load_a", format!("fn hook_load_a(batch: u32, row: u32, col: u32) -> f32 {{\n  return {a};\n}}")),
        ("hook_load_b", format!("fn hook_load_b(batch: u32, row: u32, col: u32) -> f32 {{\n  return {b};\n}}")),
        ("hook_start", format!("fn hook_start(batch: u32, row: u32, col: u32) -> f32 {{\n  return {start};\n}}")),
        ("hook_store", format!("fn hook_store(batch: u32, row: u32, col: u32, x: f32) {{\n  {at} = x;\n}}")),
    ];
    let hooks: Vec<(&str, &str)> = hooks.iter().map(|(name, body)| (*name, body.as_str())).collect();
    (MATMUL.compose(&header, &hooks), batch * rows.div_ceil(32) * cols.div_ceil(32))
}

/// Where entry (`row`, `col`) of matrix `batch` lies.
fn entry(arg: &Arg) -> String {
    let Layout { shape, strides, offset } = &arg.layout;
    let rank = shape.len();
    let outer = Layout { shape: shape[..rank - 2].into(), strides: strides[..rank - 2].into(), offset: *offset };
    let batch = position(&outer, "batch");
    let inner = sum(0, &[("row".to_owned(), strides[rank - 2]), ("col".to_owned(), strides[rank - 1])]);
    match (batch.as_str(), inner.as_str()) {
        ("0u", _) => inner,
        (_, "0u") => batch,
        _ => format!("{batch} + {inner}"),
    }
}
