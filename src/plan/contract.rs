//! Matrix products with any number of row, inner and column dimensions, read in place through the layouts of both
//! operands: transposes, broadcasts and overlapping windows need no copy. Small ones and integers are computed by the
//! template `matmul`; `lanes` and `tiles` write the kernels of larger ones.

use super::steps::Item;
use super::template::MATMUL;
use super::wgsl::{Text, element, position};
use super::{lanes, tiles};
use crate::dtype::DType;
use crate::ops::op::Op;
use crate::shape::{Layout, numel};
use crate::tensor::backend::{Arg, Source};
use std::ops::Range;

/// Adds up the inner `places`; all but the first start from what is stored already.
pub(super) fn matmul(text: &mut Text, n: usize, places: Range<usize>) -> (String, usize) {
    let product = Product::of(text, n, places);
    let node = text.flow.node(n);
    let is_large = text.options.tiles
        && product.batch * product.m * product.n * product.places.len() >= ENOUGH_TERMS
        && node.value.dtype == DType::F32
        && node.args.iter().all(|arg| text.flow.number(arg.source).is_none());
    match text.options.target.lanes() {
        Some(width) if is_large && lanes::suits(&product) => lanes::product(text, product, width),
        None if is_large && product.m.min(product.n) >= 32 => tiles::product(text, &product),
        _ => plain(text, &product),
    }
}

/// Terms of a product that is worth a kernel which takes long to compile.
const ENOUGH_TERMS: usize = 1 << 16;

/// For each entry of a batch, the product of a matrix of `m` rows and one of `n` columns.
pub(super) struct Product {
    pub node: usize,
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    /// The inner places that are added up.
    pub places: Range<usize>,
    pub a: Walk,
    pub b: Walk,
}

impl Product {
    fn of(text: &Text, node: usize, places: Range<usize>) -> Product {
        let (value, args) = (&text.flow.node(node).value, &text.flow.node(node).args);
        let Op::Matmul { rows, inner, cols } = value.op else { unreachable!("asked for a product") };
        let batch = value.shape.len() - rows - cols;
        let (m, n) = (numel(&value.shape[batch..batch + rows]), numel(&value.shape[batch + rows..]));
        let batches = numel(&value.shape[..batch]);
        let (a, b) = (Walk::of(&args[0], batch, rows, true), Walk::of(&args[1], batch, inner, false));
        Product { node, batch: batches, m, n, places, a, b }
    }
}

/// An operand's layout by groups of dimensions. A line is a row of the left operand, a column of the right one.
pub(super) struct Walk {
    pub source: Source,
    pub batch: Layout,
    pub line: Layout,
    pub inner: Layout,
}

impl Walk {
    /// `first` dimensions follow those of the batch, and are the lines or the inner ones.
    fn of(arg: &Arg, batch: usize, first: usize, is_left: bool) -> Walk {
        let Layout { shape, strides, offset } = &arg.layout;
        let part = |range: Range<usize>, offset: usize| {
            Layout { shape: shape[range.clone()].into(), strides: strides[range].into(), offset }.merged()
        };
        let (first, second) = (part(batch..batch + first, 0), part(batch + first..shape.len(), 0));
        let (line, inner) = if is_left { (first, second) } else { (second, first) };
        Walk { source: arg.source, batch: part(0..batch, *offset), line, inner }
    }

    /// Where line `i` begins in the matrix of entry `batch`.
    fn begin(&self, i: &str) -> String {
        format!("{} + {}", position(&self.batch, "batch"), position(&self.line, i))
    }
}

/// The template, which has every size in its text.
fn plain(text: &mut Text, product: &Product) -> (String, usize) {
    let Product { batch, m, n, places, a, b, .. } = product;
    let dtype = text.flow.node(product.node).value.dtype;
    let t = element(dtype);
    let (load_a, load_b) = (text.load_at(a.source, "at"), text.load_at(b.source, "at"));
    let y = text.bind(Item::Node(product.node), t, true);
    let at = format!("{y}[(batch * M + row) * N + col]");
    let start = if places.start == 0 { "T(0)" } else { &at };
    let row_threads = row_threads(*m, *n);
    let header = format!(
        "{}alias T = {t};\nconst BATCH: u32 = {batch}u;\nconst M: u32 = {m}u;\nconst N: u32 = {n}u;\n\
         const K_BEGIN: u32 = {}u;\nconst K_END: u32 = {}u;\nconst ROW_THREADS: u32 = {row_threads}u;\n",
        text.header(),
        places.start,
        places.end
    );
    let hooks = [
        ("hook_row", format!("fn hook_row(batch: u32, row: u32) -> u32 {{\n  return {};\n}}", a.begin("row"))),
        ("hook_col", format!("fn hook_col(batch: u32, col: u32) -> u32 {{\n  return {};\n}}", b.begin("col"))),
        ("hook_inner_a", format!("fn hook_inner_a(k: u32) -> u32 {{\n  return {};\n}}", position(&a.inner, "k"))),
        ("hook_inner_b", format!("fn hook_inner_b(k: u32) -> u32 {{\n  return {};\n}}", position(&b.inner, "k"))),
        ("hook_load_a", format!("fn hook_load_a(at: u32) -> T {{\n  return {load_a};\n}}")),
        ("hook_load_b", format!("fn hook_load_b(at: u32) -> T {{\n  return {load_b};\n}}")),
        ("hook_start", format!("fn hook_start(batch: u32, row: u32, col: u32) -> T {{\n  return {start};\n}}")),
        ("hook_store", format!("fn hook_store(batch: u32, row: u32, col: u32, x: T) {{\n  {at} = x;\n}}")),
    ];
    let hooks: Vec<(&str, &str)> = hooks.iter().map(|(name, body)| (*name, body.as_str())).collect();
    let tiles = m.div_ceil(4 * row_threads) * n.div_ceil(256 / row_threads);
    (MATMUL.compose(&header, &hooks), batch * tiles)
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
