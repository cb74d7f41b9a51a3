//! Looking at graphs: what they keep in memory and where that comes from, as text, and what they look like, as DOT or SVG.

mod svg;

pub use svg::to_svg;

use crate::tensor::Tensor;
use crate::tensor::node::{Node, NodeInner};
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};
use std::panic::Location;
use std::sync::Arc;

/// What a graph keeps for backward, by operation and line: the largest first. It prints as a table.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// One line of the table each; operations that keep nothing have none.
    pub entries: Vec<Entry>,
    /// How many values hooks have packed otherwise than as tensors: their bytes are not known.
    pub packed: usize,
    /// The bytes that wait on another device than the operation's, as with [`save_on_cpu`](super::save_on_cpu); they are
    /// part of the sum.
    pub elsewhere_bytes: usize,
    /// The bytes that the graph's leaves hold anyway; they are part of the sum.
    pub leaf_bytes: usize,
}

/// What one operation keeps for backward at one line of the program.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name of its nodes.
    pub name: &'static str,
    /// The line that recorded them.
    pub at: &'static Location<'static>,
    /// The number of values they keep, without those that an earlier operation keeps already.
    pub values: usize,
    /// The bytes of these.
    pub bytes: usize,
}

impl Ledger {
    /// The bytes that are kept in all.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: usize = self.entries.iter().map(|entry| entry.values).sum();
        write!(f, "{} saved for backward in {values} values", size(self.bytes()))?;
        if self.leaf_bytes > 0 {
            write!(f, ", {} of it in leaves", size(self.leaf_bytes))?;
        }
        if self.elsewhere_bytes > 0 {
            write!(f, ", {} of it on another device", size(self.elsewhere_bytes))?;
        }
        if self.packed > 0 {
            write!(f, ", and {} values packed by hooks", self.packed)?;
        }
        writeln!(f)?;
        let longest = self.entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
        for Entry { name, at, values, bytes } in &self.entries {
            let word = if *values == 1 { "value " } else { "values" };
            writeln!(f, "{:>12}  {values:>5} {word}  {name:longest$}  {at}", size(*bytes))?;
        }
        Ok(())
    }
}

/// The ledger of the graph that hangs on some tensors. A value that several operations keep counts once, for the first of
/// them; what backward has freed does not count. Under a budget, in a checkpoint and on the CPU it counts what is kept: the
/// values that others are computed again from, a region's inputs, and the copies.
///
/// ```
/// use wgrad::autograd::graph::ledger;
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new([1.0, 2.0], &Device::cpu()).requires_grad_(true)?;
/// let y = (x.exp() + 1.0).sum();
/// let ledger = ledger(&[&y]);
/// assert_eq!((ledger.bytes(), ledger.entries.len()), (8, 1));
/// assert_eq!(ledger.entries[0].name, "ExpBackward0");
/// println!("{ledger}");
/// # Ok::<(), wgrad::Error>(())
/// ```
pub fn ledger(ys: &[&Tensor]) -> Ledger {
    let nodes = reached(ys);
    let leaves: HashSet<_> =
        nodes.iter().filter_map(Node::variable).map(|leaf| Arc::as_ptr(&leaf.operand().value)).collect();
    let mut seen = HashSet::new();
    let mut lines: HashMap<(&str, &Location), usize> = HashMap::new();
    let (mut entries, mut packed, mut leaf_bytes, mut elsewhere_bytes) = (Vec::<Entry>::new(), 0, 0, 0);
    for node in &nodes {
        let saved = node.0.saved_values();
        packed += saved.iter().filter(|values| values.is_none()).count();
        for value in saved.into_iter().flatten().flatten() {
            if value.bytes() == 0 || !seen.insert(Arc::as_ptr(&value)) {
                continue;
            }
            let at = *lines.entry((node.name(), node.location())).or_insert_with(|| {
                entries.push(Entry { name: node.name(), at: node.location(), values: 0, bytes: 0 });
                entries.len() - 1
            });
            entries[at].values += 1;
            entries[at].bytes += value.bytes();
            elsewhere_bytes += if value.device == node.0.outputs[0].device { 0 } else { value.bytes() };
            leaf_bytes += if leaves.contains(&Arc::as_ptr(&value)) { value.bytes() } else { 0 };
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.bytes));
    Ledger { entries, packed, elsewhere_bytes, leaf_bytes }
}

/// The graph that hangs on some tensors, for Graphviz: arrows go where gradients go.
///
/// ```
/// use wgrad::autograd::graph::to_dot;
/// use wgrad::{Device, Tensor};
/// let x = Tensor::ones([2], &Device::cpu()).requires_grad_(true)?;
/// let dot = to_dot(&[&(&x * 2.0)]);
/// assert!(dot.starts_with("digraph") && dot.contains("MulBackward0"));
/// # Ok::<(), wgrad::Error>(())
/// ```
pub fn to_dot(ys: &[&Tensor]) -> String {
    let nodes = reached(ys);
    let numbers: HashMap<*const NodeInner, usize> = nodes.iter().map(|node| Arc::as_ptr(&node.0)).zip(0..).collect();
    let mut dot = String::from("digraph autograd {\n    node [shape=box, fontname=\"sans-serif\", fontsize=10];\n");
    for (i, node) in nodes.iter().enumerate() {
        let (shapes, leaf) = (shapes(node), node.variable().is_some());
        let label = match leaf {
            true => format!("leaf\n{shapes}"),
            false => format!("{}\n{shapes}\nsaves {}\n{}", node.name(), size(node.saved_bytes()), node.location()),
        };
        let label = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let style = if leaf { ", style=filled, fillcolor=\"#d9f2e0\"" } else { "" };
        let _ = writeln!(dot, "    n{i} [label=\"{label}\"{style}];");
        for edge in node.0.edges.iter().flatten() {
            let label = match edge.node.outputs.len() {
                1 => String::new(),
                _ => format!(" [label=\"{}\"]", edge.output),
            };
            let _ = writeln!(dot, "    n{i} -> n{}{label};", numbers[&Arc::as_ptr(&edge.node)]);
        }
    }
    dot + "}\n"
}

/// The nodes of the graph that hangs on some tensors, in the order of recording, leaves first.
pub(super) fn reached(ys: &[&Tensor]) -> Vec<Node> {
    let mut rest: Vec<_> = ys.iter().filter_map(|y| y.gradient_edge()).map(|edge| edge.node).collect();
    let mut seen = HashSet::new();
    let mut nodes = Vec::new();
    while let Some(node) = rest.pop() {
        if seen.insert(Arc::as_ptr(&node)) {
            rest.extend(node.edges.iter().flatten().map(|edge| edge.node.clone()));
            nodes.push(Node(node));
        }
    }
    // Leaves carry the largest number.
    nodes.sort_by_key(|node| node.sequence_nr().wrapping_add(1));
    nodes
}

/// The bytes that a node keeps and none that was seen before.
fn first_saved(node: &Node, seen: &mut HashSet<u64>) -> usize {
    let values = node.0.saved_values().into_iter().flatten().flatten();
    values.filter(|value| seen.insert(value.id)).map(|value| value.bytes()).sum()
}

/// The shapes and types of a node's results.
fn shapes(node: &Node) -> String {
    let each = node.0.outputs.iter().map(|output| format!("{:?} {}", output.shape.as_slice(), output.dtype));
    each.collect::<Vec<_>>().join(", ")
}

/// A number of bytes as people read it.
fn size(bytes: usize) -> String {
    let mut x = bytes as f64;
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = "";
    for larger in units {
        if x < 1024.0 {
            break;
        }
        (x, unit) = (x / 1024.0, larger);
    }
    format!("{x:.1} {unit}")
}
