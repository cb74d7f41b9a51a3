//! Large matrix products on a processor that plays the GPU: straight code whose threads are the lanes of a vector.
//!
//! There a load is one load for each lane, whatever is loaded, and memory of a group is no faster. So each lane loads four
//! neighbours at once, a value of the left operand is loaded by one lane and handed to the others by a shuffle, which is one
//! instruction, and as many results as possible stay with their lane. One group is one subgroup, which computes a tile of
//! `rows` times four columns for each lane, or eight. Sizes and strides are parameters, so that few texts are compiled.

use super::contract::{Product, Walk};
use super::steps::Item;
use super::wgsl::{Text, position};
use crate::ops::kernel::program::MAX_WORKGROUPS;
use crate::shape::Layout;
use std::fmt::Write;

/// What a lane loads at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quad {
    /// Four inner places of one line, which are neighbours in memory.
    Inner,
    /// One inner place of four lines, which are.
    Lines,
    /// Four inner places of one line, one by one.
    Single,
}

impl Quad {
    fn of(walk: &Walk, begin: usize) -> Quad {
        let aligned = |layout: &Layout, but_last: bool| {
            let strides = &layout.strides[..layout.strides.len() - but_last as usize];
            strides.iter().all(|stride| stride % 4 == 0)
        };
        let ends_in_quads = |layout: &Layout| {
            layout.strides.last() == Some(&1)
                && layout.shape.last().is_some_and(|n| n % 4 == 0)
                && aligned(layout, true)
        };
        let is_aligned = walk.batch.offset.is_multiple_of(4) && aligned(&walk.batch, false) && begin.is_multiple_of(4);
        // The last places of a single inner dimension are loaded one by one, so it may have any size.
        let is_run = walk.inner.strides[..] == [1];
        if is_aligned && (is_run || ends_in_quads(&walk.inner)) && aligned(&walk.line, false) {
            Quad::Inner
        } else if is_aligned && ends_in_quads(&walk.line) && aligned(&walk.inner, false) {
            Quad::Lines
        } else {
            Quad::Single
        }
    }
}

/// A tile: how many rows, and how many quads of columns for each lane.
type Tile = (usize, usize);

/// The tile for a result, and how much is computed for it with all that lies beyond the edges.
fn tile(m: usize, n: usize, width: usize, right: Quad) -> (Tile, usize) {
    let columns = 4 * width;
    let (rows, quads) = match (m, n) {
        (..=8, _) if n > columns => (8, 2),
        (..=8, _) => (8, 1),
        (..=16, _) if n <= columns => (16, 1),
        (32.., _) if n <= columns || right == Quad::Single => (32, 1),
        _ => (16, 2),
    };
    let rows = rows.max(width);
    ((rows, quads), m.next_multiple_of(rows) * n.next_multiple_of(columns * quads))
}

/// Whether a tile's rows are filled, or its operands are read in quads at least.
pub(super) fn suits(product: &Product) -> bool {
    let single = |walk: &Walk| Quad::of(walk, product.places.start) == Quad::Single;
    product.m.min(product.n) >= 8 || !(single(&product.a) || single(&product.b))
}

pub(super) fn product(text: &mut Text, product: Product, width: usize) -> (String, usize) {
    let quads = [Quad::of(&product.a, product.places.start), Quad::of(&product.b, product.places.start)];
    let (straight, turned) = (tile(product.m, product.n, width, quads[1]), tile(product.n, product.m, width, quads[0]));
    // The rows may be the columns of the result: what is narrow then fills the rows of a tile, and not its lanes.
    let is_turned = turned.1 * 4 < straight.1 * 3;
    let (product, [left, right], (tile, _)) = match is_turned {
        true => {
            let Product { node, batch, m, n, places, a, b } = product;
            (Product { node, batch, m: n, n: m, places, a: b, b: a }, [quads[1], quads[0]], turned)
        }
        false => (product, quads, straight),
    };
    let groups = product.batch * product.m.div_ceil(tile.0) * product.n.div_ceil(4 * width * tile.1);
    let mut writer = Writer { text, product: &product, left, right, tile, width, is_turned, lines: String::new() };
    writer.write(groups);
    let lines = writer.lines;
    let main = format!(
        "@compute @workgroup_size({width})\nfn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: \
         vec3<u32>, @builtin(local_invocation_index) lane: u32) {{\n{lines}}}\n"
    );
    (format!("{}\n{main}", text.header()), groups)
}

/// A layout and the name of its only stride.
struct Steps {
    layout: Layout,
    stride: Option<String>,
}

impl Steps {
    /// Where element `i` lies, `i` being a name or in parentheses.
    fn at(&self, i: &str) -> String {
        match (&self.stride, &self.layout.strides[..]) {
            (Some(stride), _) => format!("{i} * {stride}"),
            (None, []) => "0u".to_owned(),
            (None, [_]) => i.to_owned(),
            (None, _) => position(&self.layout, i),
        }
    }
}

struct Writer<'t, 'a> {
    text: &'t mut Text<'a>,
    product: &'t Product,
    left: Quad,
    right: Quad,
    tile: Tile,
    width: usize,
    is_turned: bool,
    lines: String,
}

const XYZW: [&str; 4] = ["x", "y", "z", "w"];

impl Writer<'_, '_> {
    fn line(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.lines, "  {}", line.as_ref());
    }

    fn write(&mut self, groups: usize) {
        let &Product { m, n, ref places, batch, .. } = self.product;
        let ((rows, quads), width) = (self.tile, self.width);
        let in_quads = self.left != Quad::Single || self.right != Quad::Single;
        let [a, b] = [&self.product.a, &self.product.b].map(|walk| self.load(walk, in_quads));
        for (name, number) in [("m", m), ("n", n), ("begin", places.start), ("end", places.end)] {
            let number = self.text.number(number);
            self.line(format!("let {name} = {number};"));
        }
        self.line("let group = w.y * groups.x + w.x;");
        self.line(format!("let tile_rows = (m + {}u) / {rows}u;", rows - 1));
        let columns = 4 * width * quads;
        self.line(format!("let tiles = tile_rows * ((n + {}u) / {columns}u);", columns - 1));
        self.line("let batch = group / tiles;");
        if groups > MAX_WORKGROUPS {
            let batch = self.text.number(batch);
            self.line(format!("if (batch >= {batch}) {{ return; }}"));
        }
        // Groups that run one after the other share their columns, which then come from the cache.
        self.line(format!("let row = (group % tiles) % tile_rows * {rows}u;"));
        self.line(format!("let col = (group % tiles) / tile_rows * {columns}u + lane * 4u;"));
        let along = self.places();
        for r in 0..rows {
            for v in 0..quads {
                self.line(format!("var c{r}_{v} = vec4<f32>();"));
            }
        }
        self.line("let middle = begin + (end - begin) / 4u * 4u;");
        self.line("for (var k = begin; k < middle; k += 4u) {");
        self.four_places([&a, &b], &along);
        self.line("}");
        if !places.len().is_multiple_of(4) {
            self.line("for (var k = middle; k < end; k += 1u) {");
            self.one_place([&a, &b], &along);
            self.line("}");
        }
        self.store();
    }

    /// The functions that load four neighbours, and one element.
    fn load(&mut self, walk: &Walk, in_quads: bool) -> String {
        let element = if in_quads { "vec4<f32>" } else { "f32" };
        let b = self.text.bind(walk.source.into(), element, false);
        self.text.function(format!("one_{b}"), || {
            let x = if in_quads { format!("{b}[at >> 2u][at & 3u]") } else { format!("{b}[at]") };
            format!("fn one_{b}(at: u32) -> f32 {{\n  return {x};\n}}")
        });
        b
    }

    /// How a layout is walked; a single stride is a parameter.
    fn steps(&mut self, name: &str, layout: &Layout) -> Steps {
        let layout = Layout { offset: 0, ..layout.clone() };
        let mut stride = None;
        if let [step] = layout.strides[..]
            && step != 1
        {
            let number = self.text.number(step as i32 as u32 as usize);
            self.line(format!("let {name} = {number};"));
            stride = Some(name.to_owned());
        }
        Steps { layout, stride }
    }

    /// Where the lines of both operands begin that each lane loads from, and how their inner places are walked.
    fn places(&mut self) -> [Steps; 2] {
        let product = self.product;
        for (name, walk) in [("a", &product.a), ("b", &product.b)] {
            let offset = self.text.number(walk.batch.offset);
            let batch = self.steps(&format!("{name}_batch"), &walk.batch).at("batch");
            self.line(format!("let {name}_at = {offset} + {batch};"));
        }
        let lines = self.steps("a_line", &product.a.line);
        let ragged = !product.places.len().is_multiple_of(4);
        for g in 0..self.tile.0 / self.width {
            let first = g * self.width;
            let quad = lines.at(&format!("min(row + {first}u + (lane & 0xfffffffcu), m - 4u)"));
            let single = lines.at(&format!("min(row + {first}u + lane, m - 1u)"));
            let chosen = if self.left == Quad::Lines { &quad } else { &single };
            self.line(format!("let a_at{g} = a_at + {chosen};"));
            if ragged && self.left == Quad::Lines {
                self.line(format!("let single_at{g} = a_at + {single};"));
            }
        }
        let lines = self.steps("b_line", &product.b.line);
        for v in 0..self.tile.1 {
            let first = v * 4 * self.width;
            if self.right == Quad::Lines {
                self.line(format!("let b_at{v} = b_at + {};", lines.at(&format!("min(col + {first}u, n - 4u)"))));
                continue;
            }
            for c in 0..4 {
                let line = lines.at(&format!("min(col + {}u, n - 1u)", first + c));
                self.line(format!("let b_at{v}_{c} = b_at + {line};"));
            }
        }
        [self.steps("a_inner", &product.a.inner), self.steps("b_inner", &product.b.inner)]
    }

    /// Four inner places for the whole tile.
    fn four_places(&mut self, [a, b]: [&str; 2], [along_a, along_b]: &[Steps; 2]) {
        for j in 0..4 {
            let k = format!("(k + {j}u)");
            self.line(format!("let ka{j} = {};", along_a.at(&k)));
            self.line(format!("let kb{j} = {};", along_b.at(&k)));
        }
        if self.left == Quad::Lines {
            self.line(format!("let ka = {};", along_a.at("(k + (lane & 3u))")));
        }
        for g in 0..self.tile.0 / self.width {
            let x = match self.left {
                Quad::Inner => format!("{a}[(a_at{g} + ka0) >> 2u]"),
                Quad::Lines => format!("{a}[(a_at{g} + ka) >> 2u]"),
                Quad::Single => four(|j| format!("one_{a}(a_at{g} + ka{j})")),
            };
            self.line(format!("let x{g} = {x};"));
        }
        if self.right == Quad::Inner {
            for v in 0..self.tile.1 {
                for c in 0..4 {
                    self.line(format!("let t{v}_{c} = {b}[(b_at{v}_{c} + kb0) >> 2u];"));
                }
            }
        }
        for (j, part) in XYZW.iter().enumerate() {
            for v in 0..self.tile.1 {
                let x = match self.right {
                    Quad::Lines => format!("{b}[(b_at{v} + kb{j}) >> 2u]"),
                    Quad::Inner => four(|c| format!("t{v}_{c}.{part}")),
                    Quad::Single => four(|c| format!("one_{b}(b_at{v}_{c} + kb{j})")),
                };
                self.line(format!("let y{j}_{v} = {x};"));
            }
            for r in 0..self.tile.0 {
                let (g, i) = (r / self.width, r % self.width);
                let x = match self.left {
                    Quad::Lines => format!("subgroupShuffle(x{g}.{}, {}u)", XYZW[i % 4], i / 4 * 4 + j),
                    Quad::Inner | Quad::Single => format!("subgroupShuffle(x{g}.{part}, {i}u)"),
                };
                self.line(format!("let s{j}_{r} = {x};"));
                for v in 0..self.tile.1 {
                    self.line(format!("c{r}_{v} += s{j}_{r} * y{j}_{v};"));
                }
            }
        }
    }

    /// One inner place, of those that do not make four.
    fn one_place(&mut self, [a, b]: [&str; 2], [along_a, along_b]: &[Steps; 2]) {
        let single = if self.left == Quad::Lines { "single_at" } else { "a_at" };
        self.line(format!("let ka = {};", along_a.at("k")));
        self.line(format!("let kb = {};", along_b.at("k")));
        for g in 0..self.tile.0 / self.width {
            self.line(format!("let x{g} = one_{a}({single}{g} + ka);"));
        }
        for v in 0..self.tile.1 {
            let x = match self.right {
                Quad::Lines => format!("{b}[(b_at{v} + kb) >> 2u]"),
                Quad::Inner | Quad::Single => four(|c| format!("one_{b}(b_at{v}_{c} + kb)")),
            };
            self.line(format!("let y{v} = {x};"));
        }
        for r in 0..self.tile.0 {
            let (g, i) = (r / self.width, r % self.width);
            self.line(format!("let s{r} = subgroupShuffle(x{g}, {i}u);"));
            for v in 0..self.tile.1 {
                self.line(format!("c{r}_{v} += s{r} * y{v};"));
            }
        }
    }

    fn store(&mut self) {
        let in_quads = !self.is_turned && self.product.n.is_multiple_of(4);
        let element = if in_quads { "vec4<f32>" } else { "f32" };
        let y = self.text.bind(Item::Node(self.product.node), element, true);
        let adds = if self.product.places.start > 0 { "+=" } else { "=" };
        for r in 0..self.tile.0 {
            self.line(format!("if (row + {r}u < m) {{"));
            for v in 0..self.tile.1 {
                let first = v * 4 * self.width;
                if in_quads {
                    let at = format!("((batch * m + row + {r}u) * n + col + {first}u) >> 2u");
                    self.line(format!("if (col + {first}u < n) {{ {y}[{at}] {adds} c{r}_{v}; }}"));
                    continue;
                }
                for (c, part) in XYZW.iter().enumerate() {
                    let col = format!("col + {}u", first + c);
                    let at = match self.is_turned {
                        true => format!("(batch * n + {col}) * m + row + {r}u"),
                        false => format!("(batch * m + row + {r}u) * n + {col}"),
                    };
                    self.line(format!("if ({col} < n) {{ {y}[{at}] {adds} c{r}_{v}.{part}; }}"));
                }
            }
            self.line("}");
        }
    }
}

fn four(x: impl Fn(usize) -> String) -> String {
    format!("vec4<f32>({}, {}, {}, {})", x(0), x(1), x(2), x(3))
}
