//! Kernels that read or write at computed places: gather, scatter-add, and writing through a layout.

use super::Param;
use super::map::{MIN_QUADS, cast, four};
use super::reduce::folded;
use super::rows::quad;
use super::steps::Item;
use super::target::Target;
use super::template::{MAP, SCATTER, SCATTER_SORTED};
use super::wgsl::{Text, element, position, stored, sum};
use crate::dtype::DType;
use crate::ops::op::Op;
use crate::shape::Layout;
use crate::tensor::backend::{Arg, Node};
use std::ops::Range;

/// `y[i] = x[i with i_dim replaced by index[i]]`. An index out of range is noted, and reads the nearest element.
pub(super) fn gather(text: &mut Text, n: usize) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::Gather { dim } = node.value.op else { unreachable!("asked for a gather") };
    let (x, index, numel, dtype) = (&node.args[0], &node.args[1], node.value.numel(), node.value.dtype);
    let size = x.layout.shape.get(dim).copied().unwrap_or(1);
    // The result's coordinates walk the operand in all dimensions but the indexed one.
    let mut strides = x.layout.strides.clone();
    let stride = strides.get_mut(dim).map_or(0, std::mem::take);
    let lines = Layout { shape: node.value.shape.clone(), strides, offset: x.layout.offset };
    let start = position(&lines, "i");
    let at = |k: &str| sum(0, &[(start.clone(), 1), (format!("u32({k})"), stride)]);
    let note = note(text, n, size);
    let check = |wanted: &str, zero: &str, last: &str, differ: &str| {
        format!(
            "  let wanted = {wanted};\n  let k = clamp(wanted, {zero}, {last});\n  if ({differ}) {{\n    {note}\n  }}\n"
        )
    };
    let (last, differ) = (format!("{}", size - 1), "k != wanted");
    let in_quads = text.options.quads
        && numel >= MIN_QUADS
        && !dtype.is_narrow()
        && x.source != index.source
        && node.value.shape.last().is_some_and(|n| n % 4 == 0);
    let (threads, hook) = if in_quads {
        let (loads, wanted) = four(text, index);
        let wanted = wanted.map(|k| cast(&k, text.flow.dtype(index.source), DType::I32));
        let along = lines.strides.last().copied().unwrap_or(0);
        let is_one = index.layout.strides.last() == Some(&0);
        let mut steps = lines.strides.iter().rev().skip(1).chain([&stride]);
        let check = if is_one {
            check(&wanted[0], "0", &last, differ)
        } else {
            check(
                &format!("vec4<i32>({})", wanted.join(", ")),
                "vec4<i32>()",
                &format!("vec4<i32>({last})"),
                "any(k != wanted)",
            )
        };
        let are_neighbours = is_one && along == 1 && steps.all(|step| step % 4 == 0) && lines.offset.is_multiple_of(4);
        let value = if are_neighbours && !text.flow.is_free(x.source) {
            text.quads = true;
            format!("{}[({}) >> 2u]", text.bind_read(x.source, dtype), at("k"))
        } else {
            let cells = ["x", "y", "z", "w"].iter().zip(0..).map(|(cell, c)| {
                let k = if is_one { "k".to_owned() } else { format!("k.{cell}") };
                let at = sum(0, &[(at(&k), 1), (format!("{c}u"), along)]);
                stored(dtype, &text.load_at(x.source, &at))
            });
            format!("{}({})", quad(element(dtype)), cells.collect::<Vec<_>>().join(", "))
        };
        let y = text.bind(Item::Node(n), quad(element(dtype)), true);
        (numel / 4, format!("fn hook_element(t: u32) {{\n  let i = t << 2u;\n{loads}{check}  {y}[t] = {value};\n}}"))
    } else {
        let check = check(&integer(text, index, "i"), "0", &last, differ);
        let value = stored(dtype, &text.load_at(x.source, &at("k")));
        let y = text.bind(Item::Node(n), element(dtype), true);
        (numel, format!("fn hook_element(i: u32) {{\n{check}  {y}[i] = {value};\n}}"))
    };
    text.set_threads(threads);
    (MAP.compose(&text.header(), &[("hook_element", &hook)]), threads.div_ceil(MAP.workgroup_size[0] as usize))
}

/// `y = x`, then `source[i]` folded into `y[i with i_dim replaced by index[i]]` for some `entries` of each line of the index.
pub(super) fn scatter(text: &mut Text, n: usize, entries: Range<usize>) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::Scatter { dim, fold } = node.value.op else { unreachable!("asked for a scatter") };
    let [x, index, source, order @ ..] = &node.args[..] else { unreachable!("a scatter has three operands or four") };
    let (dtype, t) = (node.value.dtype, element(node.value.dtype));
    let size = node.value.shape.get(dim).copied().unwrap_or(1);
    let wanted = integer(text, index, "p");
    let check = format!("if (k < 0 || k >= {size}) {{\n    {}\n  }}", note(text, n, size));
    let start = if entries.start == 0 {
        stored(dtype, &text.load(x, "i"))
    } else {
        format!("{}[i]", text.bind(Item::Node(n), t, true))
    };
    let value = stored(dtype, &text.load(source, "p"));
    let place = order.first().map(|order| text.load(order, "p"));
    let y = text.bind(Item::Node(n), t, true);
    let fold = fold.map_or("b", |fold| folded(fold, dtype));
    let (line, target) = line(&node.value.shape, &index.layout.shape, dim);
    let stride = Layout::contiguous(&index.layout.shape).strides.get(dim).copied().unwrap_or(1);
    let header = format!(
        "{}alias T = {t};\nconst N: u32 = {}u;\nconst BEGIN: u32 = {}u;\nconst END: u32 = {}u;\nconst STRIDE: u32 = {stride}u;\n",
        text.header(),
        node.value.numel(),
        entries.start,
        entries.end
    );
    let mut hooks = vec![
        ("hook_start", format!("fn hook_start(i: u32) -> T {{\n  return {start};\n}}")),
        ("hook_line", format!("fn hook_line(i: u32) -> u32 {{\n{line}}}")),
        ("hook_target", format!("fn hook_target(i: u32) -> i32 {{\n  return i32({target});\n}}")),
        ("hook_source", format!("fn hook_source(p: u32) -> T {{\n  return {value};\n}}")),
        ("hook_fold", format!("fn hook_fold(a: T, b: T) -> T {{\n  return {fold};\n}}")),
        ("hook_store", format!("fn hook_store(i: u32, x: T) {{\n  {y}[i] = x;\n}}")),
    ];
    let template = match &place {
        Some(place) => {
            hooks.push(("hook_index", format!("fn hook_index(p: u32) -> i32 {{\n  return {wanted};\n}}")));
            hooks.push(("hook_check", format!("fn hook_check(k: i32) {{\n  {check}\n}}")));
            hooks.push(("hook_order", format!("fn hook_order(p: u32) -> u32 {{\n  return u32({place});\n}}")));
            &SCATTER_SORTED
        }
        None => {
            let body = format!("  let k = {wanted};\n  {check}\n  return k;\n");
            hooks.push(("hook_index", format!("fn hook_index(p: u32) -> i32 {{\n{body}}}")));
            &SCATTER
        }
    };
    let hooks: Vec<(&str, &str)> = hooks.iter().map(|(name, body)| (*name, body.as_str())).collect();
    (template.compose(&header, &hooks), node.value.numel().div_ceil(template.workgroup_size[0] as usize))
}

/// Whether a thread takes a line of entries and folds them in one after the other, rather than an element and looks for its
/// entries. It takes as many lines as keep a device busy, and no order; short lines are looked through in one kernel.
pub(super) fn by_lines(node: &Node, target: Target) -> bool {
    let Op::Scatter { dim, .. } = node.value.op else { return false };
    let index = &node.args[1].layout;
    let lines = index.numel() / index.shape.get(dim).copied().unwrap_or(1).max(1);
    node.args.len() == 4 && lines >= if target.processor { 16 } else { 1 << 13 }
}

/// As [`scatter`], a thread for each line of the index, into a result that holds the base already.
pub(super) fn scatter_lines(text: &mut Text, n: usize, entries: Range<usize>) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::Scatter { dim, fold } = node.value.op else { unreachable!("asked for a scatter") };
    let [index, source] = &node.args[1..3] else { unreachable!("a scatter has an index and a source") };
    let (dtype, t, size) = (node.value.dtype, element(node.value.dtype), node.value.shape[dim]);
    // Where line `i` of a layout begins, as far as the index goes, and the step along it.
    let line = |layout: &Layout| {
        let mut lines = layout.clone();
        lines.shape = index.layout.shape.clone();
        lines.shape.remove(dim);
        let step = lines.strides.remove(dim);
        (position(&lines, "i"), step as i32 as u32)
    };
    let (index_at, index_step) = line(&index.layout);
    let (source_at, source_step) = line(&source.layout);
    let (y_at, y_step) = line(&Layout::contiguous(&node.value.shape));
    let k = text.load_at(index.source, &format!("index_at + j * {index_step}u"));
    let k = cast(&k, text.flow.dtype(index.source), DType::I32);
    let x = stored(dtype, &text.load_at(source.source, &format!("source_at + j * {source_step}u")));
    let note = note(text, n, size);
    let y = text.bind(Item::Node(n), t, true);
    let fold = fold.map_or("b", |fold| folded(fold, dtype));
    let hook = format!(
        "fn fold(a: {t}, b: {t}) -> {t} {{\n  return {fold};\n}}\n\nfn hook_element(i: u32) {{\n  let index_at = {index_at};\n  \
         let source_at = {source_at};\n  let y_at = {y_at};\n  for (var j = {}u; j < {}u; j += 1u) {{\n    let k = {k};\n    \
         if (k < 0 || k >= {size}) {{\n      {note}\n    }} else {{\n      let at = y_at + u32(k) * {y_step}u;\n      \
         {y}[at] = fold({y}[at], {x});\n    }}\n  }}\n}}",
        entries.start, entries.end
    );
    let lines = index.layout.numel() / index.layout.shape[dim];
    text.set_threads(lines);
    (MAP.compose(&text.header(), &[("hook_element", &hook)]), lines.div_ceil(MAP.workgroup_size[0] as usize))
}

/// The body that finds the line of the index that belongs to result `i`, and the coordinate of `i` along it.
fn line(shape: &[usize], index: &[usize], dim: usize) -> (String, String) {
    let strides = Layout::contiguous(index).strides;
    let (mut body, mut terms, mut target, mut inner) = (String::new(), Vec::new(), "0u".to_owned(), 1);
    for d in (0..shape.len()).rev() {
        let quotient = if inner == 1 { "i".to_owned() } else { format!("i / {inner}u") };
        let coordinate = if d == 0 { quotient } else { format!("{quotient} % {}u", shape[d]) };
        if d == dim {
            target = coordinate;
        } else {
            if index[d] < shape[d] {
                body += &format!("  if ({coordinate} >= {}u) {{\n    return 0xffffffffu;\n  }}\n", index[d]);
            }
            terms.push((coordinate, strides[d]));
        }
        inner *= shape[d];
    }
    body += &format!("  return {};\n", sum(0, &terms));
    (body, target)
}

/// `y[layout(i)] = source[i]`, into a result that holds the base already.
pub(super) fn write(text: &mut Text, n: usize) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::Write(to) = &node.value.op else { unreachable!("asked for a write") };
    let dtype = node.value.dtype;
    let value = text.load(&node.args[1], "i");
    let at = position(to, "i");
    let y = text.bind(Item::Node(n), element(dtype), true);
    let lines = format!("  {y}[{at}] = {};\n", stored(dtype, &value));
    let hook = format!("fn hook_element(i: u32) {{\n{lines}}}");
    text.set_threads(to.numel());
    (MAP.compose(&text.header(), &[("hook_element", &hook)]), to.numel().div_ceil(MAP.workgroup_size[0] as usize))
}

/// An index as an `i32`.
fn integer(text: &mut Text, index: &Arg, i: &str) -> String {
    let x = text.load(index, i);
    cast(&x, text.flow.dtype(index.source), DType::I32)
}

/// The statement that notes an index out of range. The earliest place in the program has the largest word.
fn note(text: &mut Text, node: usize, size: usize) -> String {
    let status = text.bind_status();
    let word = text.param(Param::Report { node, size });
    format!("atomicMax(&{status}[0], {word});")
}
