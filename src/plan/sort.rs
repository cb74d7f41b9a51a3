//! Sorting and searching: stable merge sort in passes over all lines at once, and bisection.

use super::steps::Item;
use super::template::MAP;
use super::wgsl::{Text, computed};
use crate::ops::op::Op;
use crate::tensor::backend::Arg;
use std::fmt::Write;

/// One pass of a merge sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    stage: Stage,
    /// How many elements of each line are wanted: the others of a run are left where they are.
    wanted: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A thread sorts a block.
    Blocks,
    /// A thread goes through a longer run, and keeps what is wanted of it.
    Select,
    /// Neighbouring runs of this length are merged.
    Merge(usize),
}

/// The elements that a thread sorts in registers, and that it merges.
const BLOCK: usize = 8;
/// The elements that a thread looks through for no more than a block of them.
const SEGMENT: usize = 64;

impl Pass {
    /// The passes that bring the first `wanted` elements of lines of `n` in order.
    pub fn all(n: usize, wanted: usize) -> Vec<Pass> {
        let (first, run) =
            if wanted <= BLOCK && n > SEGMENT { (Stage::Select, SEGMENT) } else { (Stage::Blocks, BLOCK) };
        let merges = std::iter::successors(Some(run), |run| Some(2 * run)).take_while(|run| *run < n);
        std::iter::once(first).chain(merges.map(Stage::Merge)).map(|stage| Pass { stage, wanted }).collect()
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
    let (run, each, lines) = match pass.stage {
        Stage::Blocks => (BLOCK, BLOCK, blocks(text, len, to)),
        Stage::Select => (SEGMENT, BLOCK, select(text, len, pass.wanted, to)),
        Stage::Merge(run) => {
            let from = reads.last().expect("a merge reads the pass before");
            (2 * run, pass.wanted.min(2 * run), merge(text, (len, run, pass.wanted), *from, to))
        }
    };
    let (runs, each) = (len.div_ceil(run).max(1), each.div_ceil(BLOCK));
    let begin = format!(
        "  let line = i / {per_line}u * {len}u;\n  let begin = i % {per_line}u / {each}u * {run}u;\n  \
         let own = i % {each}u * {BLOCK}u;\n",
        per_line = runs * each
    );
    finish(text, node.value.numel() / len.max(1) * runs * each, &(begin + &lines))
}

/// A thread sorts a block: an element's place is the number of those before it.
fn blocks(text: &mut Text, len: usize, to: Item) -> String {
    let y = text.bind(to, "i32", true);
    let mut lines = String::new();
    for c in 0..BLOCK {
        let at = format!("min(begin + {c}u, {}u)", len.max(1) - 1);
        let _ = writeln!(lines, "  let k{c} = select(0xffffffffu, key(line + {at}), begin + {c}u < {len}u);");
    }
    for c in 0..BLOCK {
        let before =
            (0..BLOCK).filter(|&d| d != c).map(|d| format!("u32(k{d} {} k{c})", if d < c { "<=" } else { "<" }));
        let place = before.collect::<Vec<_>>().join(" + ");
        let _ = writeln!(
            lines,
            "  if (begin + {c}u < {len}u) {{\n    {y}[line + begin + {place}] = i32(begin + {c}u);\n  }}"
        );
    }
    lines
}

/// A thread keeps the first elements of a segment in order: each new one moves those that come after it up by a place.
fn select(text: &mut Text, len: usize, wanted: usize, to: Item) -> String {
    let y = text.bind(to, "i32", true);
    let mut lines = String::new();
    for c in 0..wanted {
        let _ = writeln!(lines, "  var k{c} = 0xffffffffu;\n  var e{c} = 0xffffffffu;");
    }
    let _ = writeln!(lines, "  let end = min(begin + {SEGMENT}u, {len}u);\n  for (var j = begin; j < end; j += 1u) {{");
    lines += "    var e = j;\n    var k = key(line + j);\n    var before = false;\n    var later = vec2<u32>();\n";
    for c in 0..wanted {
        // A place that nothing has taken yet is told by its entry, since every word is the key of some number.
        let _ = writeln!(
            lines,
            "    before = k < k{c} || e{c} == 0xffffffffu;\n    later = select(vec2<u32>(k, e), vec2<u32>(k{c}, e{c}), before);\n    \
             k{c} = select(k{c}, k, before);\n    e{c} = select(e{c}, e, before);\n    k = later.x;\n    e = later.y;"
        );
    }
    lines += "  }\n";
    for c in 0..wanted {
        let _ = writeln!(lines, "  if (begin + {c}u < {len}u) {{\n    {y}[line + begin + {c}u] = i32(e{c});\n  }}");
    }
    lines
}

/// A thread makes some neighbours of two merged runs: where they begin in either run is found by bisection. Of equal elements
/// those of the first run stay first.
fn merge(text: &mut Text, (len, run, wanted): (usize, usize, usize), from: Item, to: Item) -> String {
    let (x, y) = (text.bind(from, "i32", false), text.bind(to, "i32", true));
    text.function("entry".to_owned(), || format!("fn entry(at: u32) -> u32 {{\n  return u32({x}[at]);\n}}"));
    let most = run.min(wanted);
    format!(
        "  let a = line + begin;
  let b = a + {run}u;
  let n_a = min({most}u, {len}u - begin);
  let n_b = min({most}u, {len}u - min(begin + {run}u, {len}u));
  var low = own - min(own, n_b);
  var high = min(own, n_a);
  for (; low < high;) {{
    let mid = (low + high) / 2u;
    if (key(line + entry(a + mid)) <= key(line + entry(b + own - 1u - mid))) {{
      low = mid + 1u;
    }} else {{
      high = mid;
    }}
  }}
  var p = low;
  var q = own - low;
  // Beyond the end of a run any element does, since it is not looked at.
  var x_a = entry(a + min(p, n_a - 1u));
  var x_b = entry(select(a, b + min(q, max(n_b, 1u) - 1u), n_b > 0u));
  var k_a = key(line + x_a);
  var k_b = key(line + x_b);
  let end = min(own + {BLOCK}u, min(n_a + n_b, {wanted}u));
  for (var k = own; k < end; k += 1u) {{
    let first = q >= n_b || (p < n_a && k_a <= k_b);
    {y}[a + k] = i32(select(x_b, x_a, first));
    p += u32(first);
    q += u32(!first);
    let next = entry(select(b + min(q, max(n_b, 1u) - 1u), a + min(p, n_a - 1u), first));
    let k_next = key(line + next);
    x_a = select(x_a, next, first);
    k_a = select(k_a, k_next, first);
    x_b = select(next, x_b, first);
    k_b = select(k_next, k_b, first);
  }}
"
    )
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
