//! Reductions: one thread per row or one workgroup per row, in two stages where rows are few and long.

use super::steps::Item;
use super::template::{REDUCE_GROUP, REDUCE_THREAD};
use super::wgsl::{Text, element, stored};
use crate::dtype::DType;
use crate::ops::op::Fold;
use crate::shape::Layout;

/// One stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reduction {
    /// Results.
    pub rows: usize,
    /// Elements folded into each.
    pub cols: usize,
    pub stage: Stage,
    /// Whether one thread folds a whole row.
    pub by_thread: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Only,
    /// Result `part · rows + row` folds one part of a row; the last part may be short.
    First {
        rows: usize,
        cols: usize,
    },
    Second,
}

/// Threads that keep a device busy.
const ENOUGH_THREADS: usize = 1 << 15;

/// Elements of a row that one thread, or one group of 64, folds: the least that is worth a dispatch of its own, and the
/// most that stays far from the 65,535 iterations after which llvmpipe leaves a loop.
fn bounds(by_thread: bool) -> (usize, usize) {
    if by_thread { (256, 100_000) } else { (2048, 1_000_000) }
}

impl Reduction {
    /// The one or two stages that fold the rows of an operand read through `layout`.
    pub fn of(layout: &Layout, rows: usize, cols: usize) -> (Reduction, Option<Reduction>) {
        let by_thread = prefers_threads(rows_are_adjacent(layout, cols), rows, cols);
        let (least, most) = bounds(by_thread);
        let threads = if by_thread { rows } else { 64 * rows };
        let parts = (ENOUGH_THREADS / threads).min(cols / least).max(cols.div_ceil(most));
        if parts <= 1 {
            return (Reduction { rows, cols, stage: Stage::Only, by_thread }, None);
        }
        let part = cols.div_ceil(parts);
        let parts = cols.div_ceil(part);
        let first = Reduction { rows: rows * parts, cols: part, stage: Stage::First { rows, cols }, by_thread };
        (first, Some(Reduction::second(rows, parts)))
    }

    /// The stage that folds the results of parts.
    pub fn second(rows: usize, parts: usize) -> Reduction {
        Reduction { rows, cols: parts, stage: Stage::Second, by_thread: prefers_threads(true, rows, parts) }
    }
}

/// Threads of one group should read neighbours in memory.
fn prefers_threads(rows_adjacent: bool, rows: usize, cols: usize) -> bool {
    cols <= 32 || (rows_adjacent && rows >= 64) || (cols <= 256 && rows >= 256)
}

/// Whether neighbours in memory belong to different rows, as when columns of a matrix are summed.
pub(super) fn rows_are_adjacent(layout: &Layout, cols: usize) -> bool {
    let mut inner = 1;
    for (&n, &stride) in layout.shape.iter().zip(&layout.strides).rev() {
        if n > 1 && inner < cols && stride.abs() == 1 {
            return false;
        }
        if n > 1 && inner >= cols {
            return stride.abs() == 1;
        }
        inner *= n;
    }
    false
}

pub(super) fn reduce(
    text: &mut Text,
    n: usize,
    reduction: &Reduction,
    from: Option<Item>,
    to: Item,
) -> (String, usize) {
    let node = text.flow.node(n);
    let dtype = node.value.dtype;
    let t = element(dtype);
    let crate::ops::op::Op::Reduce { fold, .. } = node.value.op else { unreachable!("a reduction folds") };
    let load = match reduction.stage {
        Stage::Only => format!("  return {};\n", stored(dtype, &text.load(&node.args[0], "i"))),
        Stage::First { rows, cols } => {
            let part = reduction.cols;
            let x = stored(dtype, &text.load(&node.args[0], "k"));
            format!(
                "  let col = i / {}u * {part}u + i % {part}u;\n  if (col >= {cols}u) {{\n    return hook_identity();\n  }}\n  \
                 let k = i / {part}u % {rows}u * {cols}u + col;\n  return {x};\n",
                part * rows
            )
        }
        Stage::Second => {
            let x = text.bind(from.expect("a second stage reads the first one's results"), t, false);
            format!(
                "  return {x}[i % {cols}u * {rows}u + i / {cols}u];\n",
                cols = reduction.cols,
                rows = reduction.rows
            )
        }
    };
    let y = text.bind(to, t, true);
    let header = format!(
        "{}alias T = {t};\nconst N_ROWS: u32 = {}u;\nconst N_COLS: u32 = {}u;\n",
        text.header(),
        reduction.rows,
        reduction.cols
    );
    let hooks = [
        ("hook_identity", format!("fn hook_identity() -> T {{\n  return {};\n}}", identity(fold, dtype))),
        ("hook_load", format!("fn hook_load(i: u32) -> T {{\n{load}}}")),
        ("hook_fold", format!("fn hook_fold(a: T, b: T) -> T {{\n  return {};\n}}", folded(fold, dtype))),
        ("hook_store", format!("fn hook_store(row: u32, acc: T) {{\n  {y}[row] = acc;\n}}")),
    ];
    let hooks: Vec<(&str, &str)> = hooks.iter().map(|(name, body)| (*name, body.as_str())).collect();
    match reduction.by_thread {
        true => {
            (REDUCE_THREAD.compose(&header, &hooks), reduction.rows.div_ceil(REDUCE_THREAD.workgroup_size[0] as usize))
        }
        false => (REDUCE_GROUP.compose(&header, &hooks), reduction.rows),
    }
}

/// What changes nothing when it is folded in. An infinity is made from its bits, since WGSL has no literal for it.
pub(super) fn identity(fold: Fold, dtype: DType) -> &'static str {
    match (fold, element(dtype)) {
        (Fold::Sum, "f32") => "0.0",
        (Fold::Sum, _) => "0",
        (Fold::Prod, "f32") => "1.0",
        (Fold::Prod, _) => "1",
        (Fold::Max, "f32") => "-inf_()",
        (Fold::Min, "f32") => "inf_()",
        (Fold::Max, "i32") => "i32(-2147483648)",
        (Fold::Min, "i32") => "2147483647",
        (Fold::Max, _) => "0u",
        (Fold::Min, _) => "4294967295u",
    }
}

pub(super) fn folded(fold: Fold, dtype: DType) -> &'static str {
    match (fold, element(dtype)) {
        // Bools lie in memory as 0 and 1.
        (Fold::Sum | Fold::Max, _) if dtype == DType::Bool => "a | b",
        (Fold::Prod | Fold::Min, _) if dtype == DType::Bool => "a & b",
        (Fold::Sum, _) => "a + b",
        (Fold::Prod, _) => "a * b",
        (Fold::Max, "f32") => "max_(a, b)",
        (Fold::Min, "f32") => "min_(a, b)",
        (Fold::Max, _) => "max(a, b)",
        (Fold::Min, _) => "min(a, b)",
    }
}
