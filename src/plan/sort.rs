//! Sorting and searching: stable merge sort in passes over all lines at once, and bisection.

use super::steps::Item;
use super::template::MAP;
use super::wgsl::{Text, computed};
use crate::ops::op::Op;
use crate::tensor::backend::Arg;

/// One pass of a merge sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Each block of a line is sorted: an element's place is the number of those before it.
    Blocks,
    /// Neighbouring runs of this length are merged: an element's place is its own in its run, and the number of those of
    /// the other run that come before it, found by bisection.
    Merge(usize),
}

/// The length of a block.
const BLOCK: usize = 32;

impl Pass {
    /// The passes that sort lines of `n` elements.
    pub fn all(n: usize) -> Vec<Pass> {
        let merges = std::iter::successors(Some(BLOCK), |run| Some(2 * run)).take_while(|run| *run < n);
        std::iter::once(Pass::Blocks).chain(merges.map(Pass::Merge)).collect()
    }
}

/// The places of the last dimension's elements in order, as far as one pass brings it.
pub(super) fn argsort(text: &mut Text, n: usize, pass: &Pass, reads: &[Item], to: Item) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::ArgSort { descending } = node.value.op else { unreachable!("asked for a sort") };
    let len = node.value.shape.last().copied().unwrap_or(1);
    let key = key(text, &node.args[0], "at");
    let key = if descending { format!("~{key}") } else { key };
    text.function("key".to_owned(), || format!("fn key(at: u32) -> u32 {{\n  return {key};\n}}"));
    let lines = match pass {
        Pass::Blocks => {
            let y = text.bind(to, "i32", true);
            format!(
                "  let line = i / {len}u * {len}u;
  let own = i - line;
  let begin = own / {BLOCK}u * {BLOCK}u;
  let end = min(begin + {BLOCK}u, {len}u);
  let k = key(i);
  var place = begin;
  for (var j = begin; j < end; j += 1u) {{
    let other = key(line + j);
    place += u32(other < k || (other == k && j < own));
  }}
  {y}[line + place] = i32(own);
"
            )
        }
        Pass::Merge(run) => {
            let from = reads.last().expect("a merge reads the pass before");
            let (x, y) = (text.bind(*from, "i32", false), text.bind(to, "i32", true));
            format!(
                "  let line = i / {len}u * {len}u;
  let own = i - line;
  let pair = own / {both}u * {both}u;
  let first = own < pair + {run}u;
  let begin = min(pair + select(0u, {run}u, first), {len}u);
  let end = min(begin + {run}u, {len}u);
  let e = {x}[i];
  let k = key(line + u32(e));
  var low = begin;
  var high = end;
  for (; low < high;) {{
    let mid = (low + high) / 2u;
    let other = key(line + u32({x}[line + mid]));
    // Of equal elements those of the first run stay first.
    if (other < k || (other == k && !first)) {{
      low = mid + 1u;
    }} else {{
      high = mid;
    }}
  }}
  let place = own - select({run}u, 0u, first) + low - begin;
  {y}[line + place] = e;
",
                both = 2 * run
            )
        }
    };
    finish(text, node.value.numel(), &lines)
}

/// How many elements of a sorted line lie before each value.
pub(super) fn search(text: &mut Text, n: usize) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::Search { right } = node.value.op else { unreachable!("asked for a search") };
    let [sorted, values] = &node.args[..] else { unreachable!("a search has two operands") };
    let len = sorted.layout.shape.last().copied().unwrap_or(1);
    let each = values.layout.shape.last().copied().unwrap_or(1);
    let (wanted, key) = (key(text, values, "i"), key(text, sorted, "at"));
    text.function("key".to_owned(), || format!("fn key(at: u32) -> u32 {{\n  return {key};\n}}"));
    let y = text.bind(Item::Node(n), "i32", true);
    let before = if right { "<=" } else { "<" };
    let lines = format!(
        "  let line = i / {each}u * {len}u;
  let k = {wanted};
  var low = 0u;
  var high = {len}u;
  for (; low < high;) {{
    let mid = (low + high) / 2u;
    if (key(line + mid) {before} k) {{
      low = mid + 1u;
    }} else {{
      high = mid;
    }}
  }}
  {y}[i] = i32(low);
"
    );
    finish(text, node.value.numel(), &lines)
}

/// An operand's element as a word that sorts as it does.
fn key(text: &mut Text, arg: &Arg, i: &str) -> String {
    let x = text.load(arg, i);
    match computed(text.flow.dtype(arg.source)) {
        "f32" => format!("sort_key_({x})"),
        "i32" => format!("(bitcast<u32>({x}) ^ 0x80000000u)"),
        _ => format!("u32({x})"),
    }
}

fn finish(text: &mut Text, threads: usize, lines: &str) -> (String, usize) {
    let hook = format!("fn hook_element(i: u32) {{\n{lines}}}");
    text.set_threads(threads);
    (MAP.compose(&text.header(), &[("hook_element", &hook)]), threads.div_ceil(MAP.workgroup_size[0] as usize))
}
