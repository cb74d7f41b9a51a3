//! The graph as a picture: operations in layers from the leaves down, forward on the left of each box and backward on its
//! right.

use super::{first_saved, ledger, reached, shapes, size};
use crate::tensor::Tensor;
use crate::tensor::node::{Node, NodeInner};
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::panic::Location;
use std::sync::Arc;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 62.0;
/// Between boxes beside each other, and between layers.
const GAP: (f64, f64) = (36.0, 58.0);
/// The room above the boxes, for the legend.
const HEAD: f64 = 74.0;
/// Half the distance between the two lines that join boxes.
const LANE: f64 = 7.0;
/// A larger graph is no picture: its last operations are drawn.
const MOST: usize = 600;

const FORWARD: &str = "#2563a8";
const BACKWARD: &str = "#c2560c";

/// The graph that hangs on some tensors as a self-contained SVG. Each box is an operation, blue, with the shape of its
/// result, beside its gradient function, orange, with the bytes that it saved and no operation before it; below stands the
/// line that recorded it. Where it used what `detach` cut off, the line of the `detach` is red. Leaves are green.
/// Of a graph of more than 600 nodes only the last are drawn.
///
/// ```
/// use wgrad::autograd::graph::to_svg;
/// use wgrad::{Device, Tensor};
/// let x = Tensor::ones([2], &Device::cpu()).requires_grad_(true)?;
/// let svg = to_svg(&[&x.tanh().sum()]);
/// assert!(svg.starts_with("<svg") && svg.contains("TanhBackward0"));
/// # Ok::<(), wgrad::Error>(())
/// ```
pub fn to_svg(ys: &[&Tensor]) -> String {
    let all = reached(ys);
    let drawn = drawn(&all);
    let picture = Picture::of(&drawn);
    let (left, right) = picture.extent();
    let (width, height) = ((right - left + 40.0).max(560.0), HEAD + picture.layers.len() as f64 * (HEIGHT + GAP.1));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<defs>\n"
    );
    for (name, colour) in [("forward", FORWARD), ("backward", BACKWARD)] {
        let _ = writeln!(
            svg,
            "<marker id=\"{name}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0.5L8 4L0 7.5z\" fill=\"{colour}\"/></marker>"
        );
    }
    svg += "</defs>\n";
    legend(&mut svg, ys, &all, drawn.len());
    let _ = writeln!(svg, "<g transform=\"translate({:.1} {HEAD})\">", width / 2.0 - (left + right) / 2.0);
    picture.edges(&mut svg);
    let roots: Vec<_> = ys.iter().map(|y| y.gradient_edge().map(|edge| Arc::as_ptr(&edge.node))).collect();
    let mut seen = HashSet::new();
    let saved: HashMap<_, _> = all.iter().map(|node| (Arc::as_ptr(&node.0), first_saved(node, &mut seen))).collect();
    for (i, node) in drawn.iter().enumerate() {
        let outputs: Vec<String> =
            (0..roots.len()).filter(|&k| roots[k] == Some(Arc::as_ptr(&node.0))).map(|k| k.to_string()).collect();
        let at = (picture.items[i].x, picture.items[i].y());
        tile(&mut svg, node, at, saved[&Arc::as_ptr(&node.0)], &outputs.join(", "));
    }
    svg + "</g>\n</svg>\n"
}

/// The nodes to draw: all, or the last operations with their leaves.
fn drawn(all: &[Node]) -> Vec<Node> {
    let skipped = all.len().saturating_sub(MOST);
    let leaves = all.iter().take_while(|node| node.variable().is_some()).count();
    let later = &all[leaves.max(skipped)..];
    let read: HashSet<_> =
        later.iter().flat_map(|node| &node.0.edges).flatten().map(|e| Arc::as_ptr(&e.node)).collect();
    let near = |leaf: &&Node| skipped == 0 || read.contains(&Arc::as_ptr(&leaf.0));
    all[..leaves].iter().filter(near).chain(later).cloned().collect()
}

/// A box, or a place where a line passes through a layer.
struct Item {
    layer: usize,
    x: f64,
    is_box: bool,
    /// How much it draws its neighbours to itself: a leaf stands aside, so that operations in a row stand in one.
    weight: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

impl Item {
    fn y(&self) -> f64 {
        self.layer as f64 * (HEIGHT + GAP.1)
    }

    fn half(&self) -> f64 {
        if self.is_box { WIDTH / 2.0 } else { LANE }
    }
}

struct Picture {
    /// The boxes come first, as the nodes do.
    items: Vec<Item>,
    layers: Vec<Vec<usize>>,
}

impl Picture {
    fn of(nodes: &[Node]) -> Picture {
        let numbers: HashMap<*const NodeInner, usize> =
            nodes.iter().map(|node| Arc::as_ptr(&node.0)).zip(0..).collect();
        let inputs: Vec<Vec<usize>> = nodes
            .iter()
            .map(|node| {
                let mut inputs: Vec<usize> =
                    node.0.edges.iter().flatten().filter_map(|e| numbers.get(&Arc::as_ptr(&e.node)).copied()).collect();
                inputs.sort();
                inputs.dedup();
                inputs
            })
            .collect();
        // An operation stands below its inputs, and a leaf right above the first operation that reads it.
        let mut layer = vec![0; nodes.len()];
        let mut first = vec![usize::MAX; nodes.len()];
        for (i, inputs) in inputs.iter().enumerate() {
            layer[i] = inputs.iter().map(|&k| layer[k] + 1).max().unwrap_or(0);
            inputs.iter().for_each(|&k| first[k] = first[k].min(layer[i]));
        }
        for (i, node) in nodes.iter().enumerate().filter(|(i, _)| first[*i] < usize::MAX) {
            if node.variable().is_some() {
                layer[i] = first[i] - 1;
            }
        }
        let item = |layer, is_box, weight| Item { layer, x: 0.0, is_box, weight, above: Vec::new(), below: Vec::new() };
        let weight = |node: &Node| if node.variable().is_some() { 0.05 } else { 1.0 };
        let mut items: Vec<Item> =
            layer.iter().zip(nodes).map(|(&layer, node)| item(layer, true, weight(node))).collect();
        // Lines from one box to boxes far below run through the layers between as one.
        let mut ends: Vec<usize> = (0..nodes.len()).collect();
        let mut consumers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        inputs.iter().enumerate().for_each(|(i, inputs)| inputs.iter().for_each(|&k| consumers[k].push(i)));
        for (k, mut readers) in consumers.into_iter().enumerate() {
            readers.sort_by_key(|&i| layer[i]);
            for i in readers {
                while items[ends[k]].layer + 1 < layer[i] {
                    let (above, bend) = (ends[k], items.len());
                    items.push(item(items[above].layer + 1, false, 0.2));
                    items[bend].above.push(above);
                    items[above].below.push(bend);
                    ends[k] = bend;
                }
                items[ends[k]].below.push(i);
                items[i].above.push(ends[k]);
            }
        }
        let mut layers = vec![Vec::new(); items.iter().map(|item| item.layer + 1).max().unwrap_or(0)];
        for (i, item) in items.iter().enumerate() {
            layers[item.layer].push(i);
        }
        let mut picture = Picture { items, layers };
        for round in 0..8 {
            let places = 0..picture.layers.len();
            match round % 2 {
                0 => places.for_each(|at| picture.settle(at, false, round < 6)),
                _ => places.rev().for_each(|at| picture.settle(at, true, round < 6)),
            }
        }
        picture
    }

    /// Moves a layer's items to the middle of their neighbours, in their order or one that crosses fewer lines.
    fn settle(&mut self, at: usize, below: bool, sort: bool) {
        let items = &self.items;
        let wish = |&i: &usize| {
            let item = &items[i];
            let (near, far) = if below { (&item.below, &item.above) } else { (&item.above, &item.below) };
            let neighbours = if near.is_empty() { far } else { near };
            let sum: f64 = neighbours.iter().map(|&k| items[k].x * items[k].weight).sum();
            let weights: f64 = neighbours.iter().map(|&k| items[k].weight).sum();
            if neighbours.is_empty() { item.x } else { sum / weights }
        };
        let mut row: Vec<(f64, usize)> = self.layers[at].iter().map(|i| (wish(i), *i)).collect();
        if sort {
            row.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let mut places: Vec<f64> = Vec::with_capacity(row.len());
        for (k, &(wish, i)) in row.iter().enumerate() {
            let least =
                k.checked_sub(1).map(|before| places[before] + items[row[before].1].half() + items[i].half() + GAP.0);
            places.push(least.map_or(wish, |least| wish.max(least)));
        }
        // What was pushed to the right only is moved back as a whole.
        let weights: f64 = row.iter().map(|(_, i)| self.items[*i].weight).sum();
        let off: f64 = row.iter().zip(&places).map(|((wish, i), x)| (x - wish) * self.items[*i].weight).sum();
        let off = off / weights.max(0.01);
        for ((_, i), x) in row.iter().zip(places) {
            self.items[*i].x = x - off;
        }
        self.layers[at] = row.into_iter().map(|(_, i)| i).collect();
    }

    fn extent(&self) -> (f64, f64) {
        let ends =
            |(low, high): (f64, f64), item: &Item| (low.min(item.x - item.half()), high.max(item.x + item.half()));
        let (low, high) = self.items.iter().fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        if low <= high { (low, high) } else { (0.0, 0.0) }
    }

    /// Two lines for every edge: values go down on the left, gradients up on the right.
    fn edges(&self, svg: &mut String) {
        for (i, item) in self.items.iter().enumerate() {
            let mut above = item.above.clone();
            above.sort_by(|&a, &b| self.items[a].x.total_cmp(&self.items[b].x));
            let spread = if item.is_box { (WIDTH * 0.6 / above.len().max(1) as f64).min(72.0) } else { 0.0 };
            for (k, &from) in above.iter().enumerate() {
                let source = &self.items[from];
                let shift = (k as f64 - (above.len() - 1) as f64 / 2.0) * spread;
                let (x0, y0) = (source.x, source.y() + HEIGHT);
                let (x1, y1) = (item.x + shift, item.y());
                let middle = (y0 + y1) / 2.0;
                let curve = |from: f64, to: f64, end: f64| {
                    format!("C{from:.1} {middle:.1} {to:.1} {middle:.1} {to:.1} {end:.1}")
                };
                // Beside the boxes of a layer, lines run straight down.
                let (pass, start) = if item.is_box {
                    (String::new(), format!("M{:.1} {y1:.1}", x1 + LANE))
                } else {
                    let end = y1 + HEIGHT;
                    (format!("V{end:.1}"), format!("M{:.1} {end:.1}V{y1:.1}", x1 + LANE))
                };
                let down = format!("M{:.1} {y0:.1}{}{pass}", x0 - LANE, curve(x0 - LANE, x1 - LANE, y1));
                let up = format!("{start}{}", curve(x1 + LANE, x0 + LANE, y0));
                let arrow = |name, wanted| if wanted { format!(" marker-end=\"url(#{name})\"") } else { String::new() };
                let (to, back) = (arrow("forward", item.is_box), arrow("backward", source.is_box));
                let _ = writeln!(
                    svg,
                    "<path class=\"forward\" data-from=\"{from}\" data-to=\"{i}\" d=\"{down}\" fill=\"none\" stroke=\"{FORWARD}\" stroke-width=\"1.4\"{to}/>\n<path class=\"backward\" data-from=\"{i}\" data-to=\"{from}\" d=\"{up}\" fill=\"none\" stroke=\"{BACKWARD}\" stroke-width=\"1.4\"{back}/>"
                );
            }
        }
    }
}

/// One box.
fn tile(svg: &mut String, node: &Node, (x, y): (f64, f64), saved: usize, outputs: &str) {
    let leaf = node.variable().is_some();
    let (left, half) = (x - WIDTH / 2.0, WIDTH / 2.0);
    let (fill, stroke) = if leaf { ("#e3f5e8", "#3c9a5f") } else { ("#e9f1fb", "#8aa7c9") };
    let _ = writeln!(
        svg,
        "<g class=\"{}\"><title>{}</title>",
        if leaf { "leaf" } else { "node" },
        escaped(&format!("{} {} saves {} at {}", node.name(), shapes(node), size(saved), node.location()))
    );
    let _ = writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"7\" fill=\"{fill}\"/>\n<path d=\"M{x:.1} {y:.1}h{:.1}a7 7 0 0 1 7 7v{:.1}a7 7 0 0 1 -7 7h-{:.1}z\" fill=\"#fdf0e3\"/>\n<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"7\" fill=\"none\" stroke=\"{stroke}\"/>\n<path d=\"M{x:.1} {y:.1}v{HEIGHT}\" stroke=\"{stroke}\"/>",
        half - 7.0,
        HEIGHT - 14.0,
        half - 7.0,
    );
    let mut line = |x: f64, dy: f64, style: &str, text: &str| {
        let text = escaped(&shortened(text, if style.contains("\"10\"") { 27 } else { 24 }));
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" {style}>{text}</text>", x + 9.0, y + dy);
    };
    // Long names are smaller, so that they fit.
    let bold =
        |text: &str| format!("font-weight=\"bold\" font-size=\"{}\"", if text.len() > 20 { "10" } else { "11.5" });
    let plain = "fill=\"#333\"";
    let (verb, name) = (verb(node), node.name());
    line(left, 20.0, &format!("{} fill=\"{}\"", bold(&verb), if leaf { "#23733f" } else { FORWARD }), &verb);
    line(left, 37.0, plain, &shapes(node));
    line(x, 20.0, &format!("{} fill=\"{BACKWARD}\"", bold(name)), name);
    if !leaf {
        line(left, 53.0, "font-size=\"10\" fill=\"#777\"", &place(node.location()));
        let text = match saved {
            0 if node.saved_bytes() > 0 => "saves nothing new".into(),
            0 => "saves nothing".into(),
            bytes => format!("saves {}", size(bytes)),
        };
        line(x, 37.0, plain, &text);
        if let Some((by, at)) = node.0.cuts.lines().first() {
            line(x, 53.0, "font-size=\"10\" fill=\"#b3261e\"", &format!("{by} at {}", place(at)));
        }
    }
    if !outputs.is_empty() {
        let text = format!("output {outputs}");
        let width = 7.0 * text.len() as f64 + 10.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"18\" rx=\"9\" fill=\"#333\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"white\" text-anchor=\"middle\">{text}</text>",
            x + half - width - 8.0,
            y + HEIGHT - 9.0,
            x + half - width / 2.0 - 8.0,
            y + HEIGHT + 4.0,
        );
    }
    svg.push_str("</g>\n");
}

fn legend(svg: &mut String, ys: &[&Tensor], all: &[Node], drawn: usize) {
    let leaves = all.iter().filter(|node| node.variable().is_some()).count();
    let left_out = match all.len() - drawn {
        0 => String::new(),
        n => format!(", of which {n} are not drawn"),
    };
    let text = format!(
        "{} operations and {leaves} {}{left_out}, {} saved for backward",
        all.len() - leaves,
        if leaves == 1 { "leaf" } else { "leaves" },
        size(ledger(ys).bytes())
    );
    let _ = writeln!(svg, "<text x=\"20\" y=\"26\" font-size=\"15\" font-weight=\"bold\" fill=\"#222\">{text}</text>");
    for (x, name, colour, text) in [(20.0, "forward", FORWARD, "values"), (130.0, "backward", BACKWARD, "gradients")] {
        let _ = writeln!(
            svg,
            "<path d=\"M{x} 46h32\" stroke=\"{colour}\" stroke-width=\"1.6\" marker-end=\"url(#{name})\"/><text x=\"{}\" y=\"50\" fill=\"#333\">{text}</text>",
            x + 40.0
        );
    }
}

/// The operation that a node is the gradient of.
fn verb(node: &Node) -> String {
    if node.variable().is_some() { "leaf".into() } else { crate::tensor::work::verb(node.name()) }
}

/// A line, its file without the folders it lies in.
fn place(at: &Location) -> String {
    let file = at.file().rsplit(['/', '\\']).next().unwrap_or_default();
    format!("{file}:{}", at.line())
}

fn shortened(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.into(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
