//! The text of one kernel: what it binds, which numbers it takes, and how operands are read through strided layouts.

use super::flow::Flow;
use super::memory::Memory;
use super::steps::{Item, Step, Work};
use super::{
    Binding, Kernel, Options, Output, Param, Place, columns, contract, custom, index, map, reduce, rows, scan, sort,
    watch, window,
};
use crate::dtype::DType;
use crate::ops::kernel::program::MAX_WORKGROUPS;
use crate::shape::Layout;
use crate::tensor::backend::{Arg, Source};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

pub(super) fn kernel(flow: &Flow, memory: &Memory, options: &Options, step: &Step) -> Kernel {
    let mut text = Text {
        flow,
        options,
        memory,
        bindings: Vec::new(),
        params: vec![Param::Word(0)],
        functions: BTreeMap::new(),
        sizes: None,
        quads: false,
    };
    let n = step.nodes[0];
    let written = |(wgsl, groups): (String, usize)| (Arc::from(wgsl), grid(groups));
    let (wgsl, workgroups) = match &step.work {
        Work::Map => written(map::map(&mut text, &step.nodes, &step.writes)),
        Work::Columns(cut) => written(columns::columns(&mut text, n, cut, step.writes[0])),
        Work::Rows => written(rows::rows(&mut text, &step.nodes, &step.writes)),
        Work::Reduce(reduction) => {
            let from = step.reads.iter().find(|item| matches!(item, Item::Scratch(_)));
            written(reduce::reduce(&mut text, n, reduction, from.copied(), step.writes[0]))
        }
        Work::Scan(pass) => written(scan::scan(&mut text, n, pass, step.writes[0])),
        Work::Matmul(columns) => written(contract::matmul(&mut text, n, columns.clone())),
        Work::OverlapAdd(places) => written(window::overlap_add(&mut text, n, places.clone())),
        Work::Gather => written(index::gather(&mut text, n)),
        Work::Scatter(entries) => written(index::scatter(&mut text, n, entries.clone())),
        Work::ScatterLines(entries) => written(index::scatter_lines(&mut text, n, entries.clone())),
        Work::ArgSort(pass) => written(sort::argsort(&mut text, n, pass, &step.reads, step.writes[0])),
        Work::Search => written(sort::search(&mut text, n)),
        Work::Write => written(index::write(&mut text, n)),
        Work::Custom => custom::custom(&mut text, n),
        Work::Watch(looked) => written(watch::watch(&mut text, n, *looked)),
    };
    let bindings = text
        .bindings
        .iter()
        .map(|bound| Binding { place: bound.place, read: bound.read, write: bound.write })
        .collect();
    let outputs = step.outputs.iter().map(|&node| Output { node, slot: memory.slot(node) }).collect();
    let label = label(flow, step);
    let Text { params, sizes, .. } = text;
    Kernel { label, wgsl, bindings, params, workgroups, sizes, nodes: step.nodes.clone(), outputs }
}

/// A number of workgroups in the dimensions of a dispatch: those that one cannot hold go on in the next.
pub fn grid(groups: usize) -> [u32; 3] {
    let columns = groups.min(MAX_WORKGROUPS);
    [columns as u32, groups.div_ceil(columns) as u32, 1]
}

/// What the kernel does, by the names of its nodes.
fn label(flow: &Flow, step: &Step) -> String {
    let first = || &flow.node(step.nodes[0]).value.op;
    match (&step.work, step.nodes.len()) {
        (Work::Map, 1) if !first().is_pointwise() => "copy".to_owned(),
        (Work::Watch(_), _) => format!("watch {}", first().name()),
        _ => flow.graph.label(&step.nodes),
    }
}

pub(super) struct Text<'a> {
    pub flow: &'a Flow<'a>,
    pub options: &'a Options,
    memory: &'a Memory,
    bindings: Vec<Bound>,
    params: Vec<Param>,
    functions: BTreeMap<String, String>,
    sizes: Option<Vec<u64>>,
    /// Whether buffers of words that are read are arrays of vectors of four.
    pub quads: bool,
}

struct Bound {
    place: Place,
    element: &'static str,
    read: bool,
    write: bool,
}

impl Text<'_> {
    /// The name of a buffer. One buffer has one name, also where a result takes it over from an operand.
    pub fn bind(&mut self, item: Item, element: &'static str, write: bool) -> String {
        self.bind_place(self.memory.place(item), element, write)
    }

    /// The name of the buffer in which an index out of range is noted, or a result that is not finite.
    pub fn bind_status(&mut self) -> String {
        self.bind_place(Place::Status, "atomic<u32>", true)
    }

    fn bind_place(&mut self, place: Place, element: &'static str, write: bool) -> String {
        let at = self.bindings.iter().position(|bound| bound.place == place).unwrap_or_else(|| {
            self.bindings.push(Bound { place, element, read: false, write: false });
            self.bindings.len() - 1
        });
        self.bindings[at].read |= !write;
        self.bindings[at].write |= write;
        format!("b{at}")
    }

    /// Binds a value's buffer at the next place, also if it is bound already, and no longer than its elements.
    pub fn bind_alone(&mut self, item: Item, numel: usize, write: bool) {
        let place = self.memory.place(item);
        self.bindings.push(Bound { place, element: "u32", read: !write, write });
        self.sizes.get_or_insert_default().push(4 * numel as u64);
    }

    /// All words of the parameters, for a text that is not written here.
    pub fn set_params(&mut self, params: Vec<Param>) {
        self.params = params;
    }

    /// The expression for one word of the parameters.
    pub fn param(&mut self, param: Param) -> String {
        let at = self.params.iter().skip(1).position(|&p| p == param).map_or(self.params.len(), |at| at + 1);
        if at == self.params.len() {
            self.params.push(param);
        }
        format!("params[{}].{}", at / 4, ["x", "y", "z", "w"][at % 4])
    }

    /// The expression for a word of the parameters that no other expression shares, so that the text is the same whichever
    /// numbers are equal.
    pub fn number(&mut self, number: usize) -> String {
        let at = self.params.len();
        self.params.push(Param::Word(number as u32));
        format!("params[{}].{}", at / 4, ["x", "y", "z", "w"][at % 4])
    }

    /// Sets the first word: how many threads a map has.
    pub fn set_threads(&mut self, threads: usize) {
        self.params[0] = Param::Word(threads as u32);
    }

    /// A function that the kernel needs besides the template's and the prelude's.
    pub fn function(&mut self, name: String, text: impl FnOnce() -> String) {
        self.functions.entry(name).or_insert_with(text);
    }

    /// The value of an operand at row-major position `i` of its layout, in the type it is computed in.
    pub fn load(&mut self, arg: &Arg, i: &str) -> String {
        self.load_at(arg.source, &position(&arg.layout, i))
    }

    /// The value of element `at` of a buffer, in the type it is computed in.
    pub fn load_at(&mut self, source: Source, at: &str) -> String {
        let dtype = self.flow.dtype(source);
        if let Some(node) = self.flow.number(source) {
            let word = self.param(Param::Of { node, word: 0 });
            return match dtype.compute() {
                DType::Bool => format!("({word} != 0u)"),
                DType::U32 => word,
                DType::I32 => format!("bitcast<i32>({word})"),
                _ => format!("bitcast<f32>({word})"),
            };
        }
        if self.flow.is_place(source) {
            let place = format!("{}({at})", computed(dtype));
            return if dtype.is_narrow() { widened(dtype, &stored(dtype, &place)) } else { place };
        }
        let b = self.bind_read(source, dtype);
        let x = if self.quads { format!("{b}[({at}) >> 2u][({at}) & 3u]") } else { format!("{b}[{at}]") };
        match dtype {
            DType::Bool => format!("({x} != 0u)"),
            DType::U32 | DType::I32 | DType::F32 => x,
            DType::F16 | DType::BF16 => {
                let half = format!("half_{b}");
                self.function(half.clone(), || {
                    format!("fn {half}(i: u32) -> u32 {{\n  return ({b}[i >> 1u] >> ((i & 1u) * 16u)) & 0xffffu;\n}}")
                });
                widened(dtype, &format!("{half}({at})"))
            }
            DType::F64 => unreachable!("no GPU tensor is f64"),
        }
    }

    /// The name of an operand's buffer, of vectors if that is how buffers are read.
    pub fn bind_read(&mut self, source: Source, dtype: DType) -> String {
        let t = if self.quads && !dtype.is_narrow() { rows::quad(element(dtype)) } else { element(dtype) };
        self.bind(source.into(), t, false)
    }

    /// The declarations that replace a template's own.
    pub fn header(&self) -> String {
        let mut header = format!(
            "@group(0) @binding(0) var<uniform> params: array<vec4<u32>, {}>;\n",
            self.params.len().div_ceil(4)
        );
        for (at, bound) in self.bindings.iter().enumerate() {
            let access = if bound.write { "read_write" } else { "read" };
            let _ = writeln!(
                header,
                "@group(0) @binding({}) var<storage, {access}> b{at}: array<{}>;",
                at + 1,
                bound.element
            );
        }
        for function in self.functions.values() {
            let _ = write!(header, "\n{function}\n");
        }
        header
    }
}

/// The type of an array element in a buffer.
pub(super) fn element(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool | DType::U32 | DType::F16 | DType::BF16 => "u32",
        DType::I32 => "i32",
        DType::F32 => "f32",
        DType::F64 => unreachable!("no GPU tensor is f64"),
    }
}

/// The type that values are computed in.
pub(super) fn computed(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U32 => "u32",
        DType::I32 => "i32",
        DType::F16 | DType::BF16 | DType::F32 => "f32",
        DType::F64 => unreachable!("no GPU tensor is f64"),
    }
}

/// A computed value as an element of a buffer; a narrow float as the lower half of a word.
pub(super) fn stored(dtype: DType, x: &str) -> String {
    match dtype {
        DType::Bool => format!("u32({x})"),
        DType::F16 => format!("f32_to_f16_({x})"),
        DType::BF16 => format!("f32_to_bf16_({x})"),
        DType::U32 | DType::I32 | DType::F32 => x.to_owned(),
        DType::F64 => unreachable!("no GPU tensor is f64"),
    }
}

/// Half a word as the number it stands for.
pub(super) fn widened(dtype: DType, half: &str) -> String {
    match dtype {
        DType::F16 => format!("f16_to_f32_({half})"),
        DType::BF16 => format!("bf16_to_f32_({half})"),
        _ => unreachable!("{dtype} is not narrow"),
    }
}

/// Where row-major element `i` of a layout lies, as an expression of the variable `i`.
pub(super) fn position(layout: &Layout, i: &str) -> String {
    let layout = layout.merged();
    let mut terms = Vec::new();
    let mut inner = 1;
    for d in (0..layout.shape.len()).rev() {
        let (n, stride) = (layout.shape[d], layout.strides[d]);
        let quotient = if inner == 1 { i.to_owned() } else { format!("{i} / {inner}u") };
        let coordinate = if d == 0 { quotient } else { format!("{quotient} % {n}u") };
        terms.push((coordinate, stride));
        inner *= n;
    }
    terms.reverse();
    sum(layout.offset, &terms)
}

/// `offset + Σ coordinate · stride`. Unsigned arithmetic wraps, so that negative steps need no other type.
pub(super) fn sum(offset: usize, terms: &[(String, isize)]) -> String {
    let mut text = if offset == 0 { String::new() } else { format!("{offset}u") };
    for (coordinate, stride) in terms.iter().filter(|(_, stride)| *stride != 0) {
        let sign = if *stride < 0 { "-" } else { "+" };
        let is_plain = coordinate.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let factor = match stride.unsigned_abs() {
            1 if is_plain => coordinate.clone(),
            1 => format!("({coordinate})"),
            size if is_plain => format!("{coordinate} * {size}u"),
            size => format!("({coordinate}) * {size}u"),
        };
        match (text.is_empty(), sign) {
            (true, "+") => text = factor,
            (true, _) => text = format!("0u - {factor}"),
            (false, _) => text = format!("{text} {sign} {factor}"),
        }
    }
    if text.is_empty() { "0u".to_owned() } else { text }
}
