//! Overlapping windows added where they overlap, the adjoint of reading windows: every result gathers its own terms.

use super::steps::Item;
use super::template::MAP;
use super::wgsl::{Text, element, position};
use crate::ops::op::Op;
use crate::shape::Layout;
use std::ops::Range;

/// Adds some `places` of each window, counted from its end; all but the first start from what is stored already.
pub(super) fn overlap_add(text: &mut Text, n: usize, places: Range<usize>) -> (String, usize) {
    let node = text.flow.node(n);
    let Op::OverlapAdd { dim, step, dilation } = node.value.op else { unreachable!("asked to add windows") };
    let windows = &node.args[0].layout;
    let last = windows.shape.len() - 1;
    let (count, size) = (windows.shape[dim], windows.shape[last]);
    // The result's coordinates walk the windows in all dimensions but the two of this one.
    let mut lines = Layout { shape: node.value.shape.clone(), ..windows.clone() };
    lines.strides.truncate(last);
    let stride = std::mem::take(&mut lines.strides[dim]);
    let at = format!(
        "line + window * {}u + ({}u - j) * {}u",
        stride as i32 as u32,
        size - 1,
        windows.strides[last] as i32 as u32
    );
    let x = text.load_at(node.args[0].source, &at);
    let t = element(node.value.dtype);
    let y = text.bind(Item::Node(n), t, true);
    let start = if places.start == 0 { format!("{t}(0)") } else { format!("{y}[i]") };
    let inner: usize = node.value.shape[dim + 1..].iter().product();
    // The terms are added from the first window to the last, as the reference does. What lies before the first window is
    // a huge unsigned number, and so beyond the last.
    let hook = format!(
        "fn hook_element(i: u32) {{\n  let line = {line};\n  let place = i / {inner}u % {len}u;\n  var sum = {start};\n  \
         for (var j = {begin}u; j < {end}u; j += 1u) {{\n    let first = place - ({last_place}u - j) * {dilation}u;\n    \
         let window = first / {step}u;\n    if (window < {count}u && first == window * {step}u) {{\n      sum += {x};\n    }}\n  }}\n  \
         {y}[i] = sum;\n}}",
        line = position(&lines, "i"),
        len = node.value.shape[dim],
        begin = places.start,
        end = places.end,
        last_place = size - 1,
    );
    let numel = node.value.numel();
    text.set_threads(numel);
    (MAP.compose(&text.header(), &[("hook_element", &hook)]), numel.div_ceil(MAP.workgroup_size[0] as usize))
}
