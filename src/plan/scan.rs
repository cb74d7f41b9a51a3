//! Scans: one thread per line, or per block of a long line.
//!
//! What a block comes to, as a function of what enters it, is a step of the same kind of scan: `y ↦ links · y + total`. So
//! the totals of the blocks of a line are scanned like a line themselves, and the results carried into the blocks.

use super::steps::Item;
use super::template::SCAN;
use super::wgsl::{Text, element};
use crate::dtype::DType;
use crate::ops::op::{Op, Scan};

/// One dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub lines: usize,
    /// Elements of a line.
    pub len: usize,
    /// Elements of a block; the last block of a line may be short.
    pub block: usize,
    /// Totals that are scanned in place of the operands.
    pub from: Option<Item>,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Stores the total of every block and, behind all of them, the product of the links of every block.
    Totals,
    /// Stores every element; a block starts from what the blocks before it come to.
    Elements { carried: Option<Item> },
}

/// Lines that keep a device busy when each is walked by one thread, and how long they may be then: a sum without blocks
/// rounds once per element.
const ENOUGH_LINES: usize = 4096;
const MAX_LINE: usize = 1024;
/// Elements of a block.
const BLOCK: usize = 128;

/// The elements of a line that one thread walks.
pub(super) fn block(lines: usize, len: usize) -> usize {
    if len <= BLOCK || (lines >= ENOUGH_LINES && len <= MAX_LINE) { len } else { BLOCK }
}

pub(super) fn scan(text: &mut Text, n: usize, pass: &Pass, to: Item) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::Scan(scan) = node.value.op else { unreachable!("asked for a scan") };
    let t = element(node.value.dtype);
    let blocks = pass.len.div_ceil(pass.block);
    // The product of many links may leave the range of a float while what is carried through them does not.
    let (l, one) = if t == "f32" { ("vec2<f32>", "vec2<f32>(1.0, 0.0)") } else { (t, "1") };
    let links = Links { scan, is_split: t == "f32", comes_split: t == "f32" && pass.from.is_some() };
    let (load, link) = match pass.from {
        None => {
            let load = format!("  let i = line * N + k;\n  return {};\n", text.load(&node.args[0], "i"));
            let link = match node.args.get(1) {
                Some(link) => format!("  let i = line * (N - 1u) + k - 1u;\n  let link = {};\n", text.load(link, "i")),
                None => String::new(),
            };
            (load, link)
        }
        Some(totals) => {
            let (b, half) = (text.bind(totals, t, false), pass.lines * pass.len);
            let link = match (scan, links.is_split) {
                (Scan::Linear, true) => {
                    format!("  let i = {half}u + 2u * (line * N + k);\n  let link = vec2<f32>({b}[i], {b}[i + 1u]);\n")
                }
                (Scan::Linear, false) => format!("  let link = {b}[{half}u + line * N + k];\n"),
                _ => String::new(),
            };
            (format!("  return {b}[line * N + k];\n"), link)
        }
    };
    let enter = match pass.stage {
        Stage::Elements { carried: Some(carried) } => {
            format!("hook_step(line, k, {}[block - 1u])", text.bind(carried, t, false))
        }
        Stage::Totals | Stage::Elements { carried: None } => "hook_load(line, k)".to_owned(),
    };
    let y = text.bind(to, t, true);
    let is_totals = pass.stage == Stage::Totals;
    let (store, leave) = match is_totals {
        true => (String::new(), format!("  {y}[block] = x;\n{}", links.stored(&y, pass.lines * blocks))),
        false => (format!("  {y}[i] = x;\n"), String::new()),
    };
    let join = match is_totals && scan == Scan::Linear {
        true => format!("{link}  return {};\n", links.joined()),
        false => "  return links;\n".to_owned(),
    };
    let step = format!("  let x = hook_load(line, k);\n{link}  return {};\n", links.step(node.value.dtype, is_totals));
    let header = format!(
        "{}alias T = {t};\nalias L = {l};\nconst ONE: L = {one};\nconst N_LINES: u32 = {}u;\nconst N_BLOCKS: u32 = {blocks}u;\n\
         const N: u32 = {}u;\nconst LEN: u32 = {}u;\n",
        text.header(),
        pass.lines,
        pass.len,
        pass.block
    );
    let hooks = [
        ("hook_load", format!("fn hook_load(line: u32, k: u32) -> T {{\n{load}}}")),
        ("hook_step", format!("fn hook_step(line: u32, k: u32, y: T) -> T {{\n{step}}}")),
        ("hook_links", format!("fn hook_links(line: u32, k: u32, links: L) -> L {{\n{join}}}")),
        ("hook_enter", format!("fn hook_enter(block: u32, line: u32, k: u32) -> T {{\n  return {enter};\n}}")),
        ("hook_store", format!("fn hook_store(i: u32, x: T) {{\n{store}}}")),
        ("hook_leave", format!("fn hook_leave(block: u32, links: L, x: T) {{\n{leave}}}")),
    ];
    let hooks: Vec<(&str, &str)> = hooks.iter().map(|(name, body)| (*name, body.as_str())).collect();
    (SCAN.compose(&header, &hooks), (pass.lines * blocks).div_ceil(SCAN.workgroup_size[0] as usize))
}

/// How one pass treats links.
struct Links {
    scan: Scan,
    /// Whether products of links are split into factor and exponent.
    is_split: bool,
    /// Whether each link is such a product already.
    comes_split: bool,
}

impl Links {
    /// What follows `y` at `x`, through `link`.
    fn step(&self, dtype: DType, is_totals: bool) -> String {
        match (self.scan, element(dtype)) {
            (Scan::Linear, _) => {
                let product = if self.comes_split { "unsplit_(split_times_(link, y))" } else { "link * y" };
                // The 0 from which a block's total begins stands for nothing, whatever it is multiplied by.
                match is_totals && self.is_split {
                    true => format!("select({product}, 0.0, y == 0.0 && k >= LEN) + x"),
                    false => format!("{product} + x"),
                }
            }
            (Scan::Max, "f32") => "max_(y, x)".to_owned(),
            (Scan::Min, "f32") => "min_(y, x)".to_owned(),
            (Scan::Max, _) => "max(y, x)".to_owned(),
            (Scan::Min, _) => "min(y, x)".to_owned(),
            (Scan::LogAddExp, _) => "logaddexp_(y, x)".to_owned(),
        }
    }

    /// Links multiplied by one more.
    fn joined(&self) -> &'static str {
        match (self.is_split, self.comes_split) {
            (true, true) => "vec2<f32>(0.0, link.y) + split_times_(links, link.x)",
            (true, false) => "split_times_(links, link)",
            (false, _) => "links * link",
        }
    }

    /// The statement that stores the links of a block behind the totals of all.
    fn stored(&self, y: &str, totals: usize) -> String {
        match (self.scan, self.is_split) {
            (Scan::Linear, true) => {
                format!("  let i = {totals}u + 2u * block;\n  {y}[i] = links.x;\n  {y}[i + 1u] = links.y;\n")
            }
            (Scan::Linear, false) => format!("  {y}[{totals}u + block] = links;\n"),
            _ => String::new(),
        }
    }
}
