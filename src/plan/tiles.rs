//! Large matrix products in what every WebGPU device has: a group of 256 threads loads a tile of each operand into its
//! memory, and each thread computes a square of results from them. Sizes are parameters, so that few texts are compiled.

use super::contract::{Product, Walk};
use super::steps::Item;
use super::wgsl::{Text, position};
use crate::shape::Layout;
use std::fmt::Write;

/// Groups that keep a device busy, so that each may compute a larger tile.
const ENOUGH_GROUPS: usize = 128;

pub(super) fn product(text: &mut Text, product: &Product) -> (String, usize) {
    let &Product { m, n, batch, ref places, .. } = product;
    let tiles = |size: usize| batch * m.div_ceil(size) * n.div_ceil(size);
    // Quads of rows and of columns for each thread; with the places it makes 16 KiB at most.
    let (quads, depth) = if tiles(128) >= ENOUGH_GROUPS { (2, 8) } else { (1, 16) };
    let size = 64 * quads;
    let groups = tiles(size);
    loads(text, "a", &product.a);
    loads(text, "b", &product.b);
    let y = text.bind(Item::Node(product.node), "f32", true);
    let numbers: Vec<String> =
        [m, n, places.start, places.end, batch].into_iter().map(|number| text.number(number)).collect();
    // One more than the tile needs, so that threads which store below each other use different banks.
    let pitch = size + 1;
    let mut header = text.header();
    let _ = write!(
        header,
        "\nvar<workgroup> tile_a: array<f32, {len}>;\nvar<workgroup> tile_b: array<f32, {len}>;\n",
        len = pitch * depth
    );
    let mut body = format!(
        "  let m = {};\n  let n = {};\n  let begin = {};\n  let end = {};\n  let group = w.y * groups.x + w.x;\n  \
         let tile_rows = (m + {last}u) / {size}u;\n  let tiles = tile_rows * ((n + {last}u) / {size}u);\n  \
         let batch = group / tiles;\n  if (batch >= {}) {{ return; }}\n  \
         let row = (group % tiles) % tile_rows * {size}u;\n  let col = (group % tiles) / tile_rows * {size}u;\n  \
         let down = local / 16u * 4u;\n  let right = local % 16u * 4u;\n",
        numbers[0],
        numbers[1],
        numbers[2],
        numbers[3],
        numbers[4],
        last = size - 1,
    );
    for r in 0..4 * quads {
        for v in 0..quads {
            let _ = writeln!(body, "  var c{r}_{v} = vec4<f32>();");
        }
    }
    let _ = writeln!(body, "  for (var k = begin; k < end; k += {depth}u) {{");
    for (name, walk, first, lines) in [("a", &product.a, "row", "m"), ("b", &product.b, "col", "n")] {
        for j in 0..size * depth / 256 {
            // Neighbouring threads read neighbours in memory.
            let e = format!("(local + {}u)", 256 * j);
            let (line, place) = match is_along_inner(walk) {
                true => (format!("{e} / {depth}u"), format!("{e} % {depth}u")),
                false => (format!("{e} % {size}u"), format!("{e} / {size}u")),
            };
            let _ = write!(
                body,
                "    let line_{name}{j} = {line};\n    let place_{name}{j} = {place};\n    \
                 var {name}{j} = 0.0;\n    if ({first} + line_{name}{j} < {lines} && k + place_{name}{j} < end) {{\n      \
                 {name}{j} = load_{name}(batch, {first} + line_{name}{j}, k + place_{name}{j});\n    }}\n    \
                 tile_{name}[place_{name}{j} * {pitch}u + line_{name}{j}] = {name}{j};\n"
            );
        }
    }
    let _ = writeln!(body, "    workgroupBarrier();\n    for (var p = 0u; p < {}u; p += {pitch}u) {{", pitch * depth);
    for (name, at) in [("a", "down"), ("b", "right")] {
        for q in 0..quads {
            let x: Vec<String> = (0..4).map(|c| format!("tile_{name}[p + {at} + {}u]", 64 * q + c)).collect();
            let _ = writeln!(body, "      let {name}{q} = vec4<f32>({});", x.join(", "));
        }
    }
    for r in 0..4 * quads {
        for v in 0..quads {
            let _ = writeln!(body, "      c{r}_{v} += a{}.{} * b{v};", r / 4, XYZW[r % 4]);
        }
    }
    body += "    }\n    workgroupBarrier();\n  }\n";
    let adds = if places.start > 0 { "+=" } else { "=" };
    for r in 0..4 * quads {
        let row = format!("row + down + {}u", r / 4 * 64 + r % 4);
        let _ = writeln!(body, "  if ({row} < m) {{");
        for v in 0..quads {
            for (c, part) in XYZW.iter().enumerate() {
                let col = format!("col + right + {}u", v * 64 + c);
                let at = format!("(batch * m + {row}) * n + {col}");
                let _ = writeln!(body, "    if ({col} < n) {{ {y}[{at}] {adds} c{r}_{v}.{part}; }}");
            }
        }
        body += "  }\n";
    }
    let main = format!(
        "@compute @workgroup_size(256)\nfn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: \
         vec3<u32>, @builtin(local_invocation_index) local: u32) {{\n{body}}}\n"
    );
    (format!("{header}\n{main}"), groups)
}

const XYZW: [&str; 4] = ["x", "y", "z", "w"];

/// Whether the inner places of an operand are neighbours in memory, rather than its lines.
fn is_along_inner(walk: &Walk) -> bool {
    walk.inner.strides.last() == Some(&1)
}

/// Writes the function that loads one element of an operand.
fn loads(text: &mut Text, name: &str, walk: &Walk) {
    let mut terms = vec![text.number(walk.batch.offset)];
    for (layout, i) in [(&walk.batch, "batch"), (&walk.line, "line"), (&walk.inner, "place")] {
        let at = match layout.strides[..] {
            [] => continue,
            [1] => i.to_owned(),
            [stride] => format!("{i} * {}", text.number(stride as i32 as u32 as usize)),
            _ => position(&Layout { offset: 0, ..layout.clone() }, i),
        };
        terms.push(at);
    }
    let x = text.load_at(walk.source, &terms.join(" + "));
    let load = format!("fn load_{name}(batch: u32, line: u32, place: u32) -> f32 {{\n  return {x};\n}}");
    text.function(format!("load_{name}"), || load);
}
