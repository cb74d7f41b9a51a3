//! Fused pointwise kernels: a thread computes every member for an element, or for four neighbours, and stores what is asked for.

use super::Param;
use super::flow::Flow;
use super::horizontal::sizes;
use super::rows::quad;
use super::steps::Item;
use super::template::MAP;
use super::wgsl::{Text, computed, element, position, stored, widened};
use crate::dtype::DType;
use crate::ops::op::{Distribution, Op};
use crate::ops::row::Row;
use crate::shape::Layout;
use crate::tensor::backend::{Arg, Node, Source};
use std::collections::HashMap;
use std::fmt::Write;

pub(super) fn map(text: &mut Text, nodes: &[usize], writes: &[Item]) -> (String, usize) {
    let sizes = sizes(text.flow, nodes);
    let is_alone = sizes.len() == 1;
    text.quads = text.options.quads && is_worth_quads(text.flow, nodes, writes);
    let (mut functions, mut calls, mut threads) = (String::new(), String::new(), 0);
    for (k, &numel) in sizes.iter().enumerate() {
        let name = if is_alone { "hook_element".to_owned() } else { format!("elements_{k}") };
        let own: Vec<usize> = nodes.iter().copied().filter(|&n| text.flow.node(n).value.numel() == numel).collect();
        let (function, count) = part(text, &name, &own, writes);
        functions += &function;
        if !is_alone {
            let (begin, end) = (text.number(threads), text.number(threads + count));
            let _ = writeln!(calls, "  if (i >= {begin} && i < {end}) {{\n    {name}(i - {begin});\n  }}");
        }
        threads += count;
    }
    if !is_alone {
        let _ = write!(functions, "fn hook_element(i: u32) {{\n{calls}}}");
    }
    text.set_threads(threads);
    (MAP.compose(&text.header(), &[("hook_element", &functions)]), threads.div_ceil(MAP.workgroup_size[0] as usize))
}

/// Whether a thread computes four elements. Loads and stores of four cost little more than those of one, and there are fewer
/// threads; short tensors keep too few of them busy, and the text is four times as long.
fn is_worth_quads(flow: &Flow, nodes: &[usize], writes: &[Item]) -> bool {
    let is_narrow = |n: &usize| writes.contains(&Item::Node(*n)) && flow.node(*n).value.dtype.is_narrow();
    nodes.iter().any(|&n| flow.node(n).value.numel() >= MIN_QUADS) && !nodes.iter().any(is_narrow)
}

/// Results of fewer elements are computed one by one.
pub(super) const MIN_QUADS: usize = 1 << 12;

/// A function that computes an element of each node, or four, and how many threads call it.
fn part(text: &mut Text, name: &str, nodes: &[usize], writes: &[Item]) -> (String, usize) {
    let numel = text.flow.node(nodes[0]).value.numel();
    let stores: Vec<usize> = nodes.iter().copied().filter(|&n| writes.contains(&Item::Node(n))).collect();
    let mut body = Body::new(text, "i");
    if body.text.quads {
        return (in_quads(body, name, nodes, &stores), numel.div_ceil(4));
    }
    for &n in nodes {
        body.compute(n);
    }
    let Body { mut lines, names, text, .. } = body;
    let stores = stores.iter().map(|&n| (Item::Node(n), text.flow.node(n).value.dtype, &names[&n]));
    let (narrow, wide): (Vec<_>, Vec<_>) = stores.partition(|(_, dtype, _)| dtype.is_narrow());
    for (item, dtype, x) in wide {
        let y = text.bind(item, element(dtype), true);
        let _ = writeln!(lines, "  {y}[i] = {};", stored(dtype, x));
    }
    if narrow.is_empty() {
        (format!("fn {name}(i: u32) {{\n{lines}}}\n"), numel)
    } else {
        (in_pairs(text, name, numel, &lines, &narrow), numel.div_ceil(2))
    }
}

/// A thread computes four neighbours, and loads and stores them at once where they are neighbours in memory too. What the last
/// thread has too many goes to the padding of buffers.
fn in_quads(mut body: Body, name: &str, nodes: &[usize], stores: &[usize]) -> String {
    let flow = body.text.flow;
    let outside = nodes.iter().flat_map(|&n| operands(flow.node(n))).filter(|arg| match arg.source {
        Source::Node(p) => !flow.is_free(arg.source) && !nodes.contains(&p),
        Source::Input(_) => true,
    });
    for arg in outside {
        body.load_four(arg);
    }
    let loads = body.loads.clone();
    let mut cells = vec![Vec::new(); stores.len()];
    for c in 0..4 {
        body.turn_to(c);
        body.i = format!("(i | {c}u)");
        for &n in nodes {
            body.compute(n);
        }
        for (cells, &n) in cells.iter_mut().zip(stores) {
            cells.push(stored(flow.node(n).value.dtype, &body.names[&n]));
        }
        body.names.clear();
        body.loads.clone_from(&loads);
    }
    for (x, &n) in cells.iter().zip(stores) {
        let t = element(flow.node(n).value.dtype);
        let y = body.text.bind(Item::Node(n), quad(t), true);
        let _ = writeln!(body.lines, "  {y}[t] = vec4<{t}>({});", x.join(", "));
    }
    format!("fn {name}(t: u32) {{\n  let i = t << 2u;\n{}}}\n", body.lines)
}

/// Statements that load an operand for four elements from `i` on, and the four.
pub(super) fn four(text: &mut Text, arg: &Arg) -> (String, [String; 4]) {
    text.quads = true;
    let mut body = Body::new(text, "i");
    if !body.text.flow.is_free(arg.source) {
        body.load_four(arg);
    }
    let loads = body.loads.clone();
    let x = [0, 1, 2, 3].map(|c| {
        body.turn_to(c);
        body.i = format!("(i | {c}u)");
        let x = body.operand(arg);
        body.loads.clone_from(&loads);
        x
    });
    let Body { lines, text, .. } = body;
    text.quads = false;
    (lines, x)
}

/// Two narrow floats share a word, so one thread computes both and stores the word.
fn in_pairs(text: &mut Text, name: &str, numel: usize, lines: &str, narrow: &[(Item, DType, &String)]) -> String {
    let n = text.param(Param::Word(numel as u32));
    let fields: Vec<String> = (0..narrow.len()).map(|k| format!("h{k}: u32")).collect();
    let halves: Vec<String> = narrow.iter().map(|(_, dtype, x)| stored(*dtype, x)).collect();
    let mut hook = format!(
        "struct {name}_halves {{ {} }}\n\nfn {name}_half(i: u32) -> {name}_halves {{\n{lines}  return {name}_halves({});\n}}\n\n\
         fn {name}(t: u32) {{\n  let low = {name}_half(2u * t);\n  var high = {name}_halves();\n  \
         if (2u * t + 1u < {n}) {{\n    high = {name}_half(2u * t + 1u);\n  }}\n",
        fields.join(", "),
        halves.join(", ")
    );
    for (k, (item, ..)) in narrow.iter().enumerate() {
        let y = text.bind(*item, "u32", true);
        let _ = writeln!(hook, "  {y}[t] = low.h{k} | (high.h{k} << 16u);");
    }
    hook + "}\n"
}

/// What is read for an element. Where a node is not pointwise, this is the copy of the base that it begins with.
fn operands(node: &Node) -> &[Arg] {
    if node.value.op.is_pointwise() { &node.args } else { &node.args[..1] }
}

/// Statements that compute members for one element.
pub(super) struct Body<'t, 'a> {
    pub text: &'t mut Text<'a>,
    pub lines: String,
    /// The variable of each member.
    pub names: HashMap<usize, String>,
    /// The variable of each operand that was loaded.
    pub loads: HashMap<(Source, Layout), String>,
    /// The position of the element.
    pub i: String,
    variables: usize,
}

impl<'t, 'a> Body<'t, 'a> {
    pub fn new(text: &'t mut Text<'a>, i: &str) -> Body<'t, 'a> {
        let (names, loads) = (HashMap::new(), HashMap::new());
        Body { text, lines: String::new(), names, loads, i: i.to_owned(), variables: 0 }
    }

    /// A name that no other variable has.
    pub fn variable(&mut self, letter: char) -> String {
        self.variables += 1;
        format!("{letter}_{}", self.variables - 1)
    }

    /// Loads an operand for four elements from `self.i` on, if they are neighbours in memory or all the same.
    fn load_four(&mut self, arg: &Arg) {
        let layout = arg.layout.merged();
        let key = (arg.source, layout.clone());
        let (last, rest) = layout.strides.split_last().unwrap_or((&0, &[]));
        let is_cut = rest.is_empty() || layout.shape.last().is_some_and(|n| n % 4 == 0);
        if self.loads.contains_key(&key) || !is_cut {
            return;
        }
        let at = position(&layout, &self.i);
        let is_aligned = layout.offset.is_multiple_of(4) && rest.iter().all(|stride| stride % 4 == 0);
        if *last == 0 {
            let x = self.text.load_at(arg.source, &at);
            let name = self.variable('u');
            let _ = writeln!(self.lines, "  let {name} = {x};");
            self.loads.insert(key, name);
        } else if *last == 1 && is_aligned && !self.text.flow.dtype(arg.source).is_narrow() {
            self.load_quad(arg, &at);
        }
    }

    /// Loads four neighbours of an operand at once, the first of which is element `at`.
    pub fn load_quad(&mut self, arg: &Arg, at: &str) {
        let b = self.text.bind_read(arg.source, self.text.flow.dtype(arg.source));
        let name = self.variable('q');
        let _ = writeln!(self.lines, "  let {name} = {b}[({at}) >> 2u];");
        self.loads.insert((arg.source, arg.layout.merged()), name);
    }

    /// Takes the element `c` of all four that were loaded at once.
    pub fn turn_to(&mut self, c: usize) {
        for ((source, _), name) in self.loads.iter_mut().filter(|(_, name)| name.starts_with('q')) {
            let x = format!("{name}.{}", ["x", "y", "z", "w"][c]);
            *name = if self.text.flow.dtype(*source) == DType::Bool { format!("({x} != 0u)") } else { x };
        }
    }

    /// Computes a member from its operands, which have been computed or are loaded.
    pub fn compute(&mut self, n: usize) {
        let node = self.text.flow.node(n);
        let args = operands(node);
        let operands: Vec<(String, DType)> =
            args.iter().map(|arg| (self.operand(arg), self.text.flow.dtype(arg.source))).collect();
        let dtype = node.value.dtype;
        let value = match &node.value.op {
            Op::Iota => format!("{}({})", computed(dtype), self.i),
            Op::Random(distribution, _) => self.random(n, *distribution, dtype),
            Op::Map(row) => self.call(row, &operands),
            Op::Cast => cast(&operands[0].0, operands[0].1, dtype),
            Op::Write(_) | Op::Scatter { .. } => operands[0].0.clone(),
            Op::Data
            | Op::Full(_)
            | Op::Reduce { .. }
            | Op::Scan(_)
            | Op::Matmul { .. }
            | Op::OverlapAdd { .. }
            | Op::Gather { .. }
            | Op::ArgSort { .. }
            | Op::Search { .. }
            | Op::Custom(_) => unreachable!("{} is not pointwise", node.value.op.name()),
        };
        let name = self.variable('v');
        // Fused or not, a narrow float has the precision of its type.
        let value = if dtype.is_narrow() { widened(dtype, &stored(dtype, &value)) } else { value };
        let _ = writeln!(self.lines, "  let {name} = {value};");
        self.names.insert(n, name);
    }

    fn operand(&mut self, arg: &Arg) -> String {
        if self.text.flow.number(arg.source).is_some() {
            return self.text.load_at(arg.source, "0u");
        }
        if let Source::Node(p) = arg.source
            && let Some(name) = self.names.get(&p)
        {
            return name.clone();
        }
        let key = (arg.source, arg.layout.merged());
        if let Some(name) = self.loads.get(&key) {
            return name.clone();
        }
        let name = self.variable('l');
        let x = self.text.load(arg, &self.i);
        let _ = writeln!(self.lines, "  let {name} = {x};");
        self.loads.insert(key, name.clone());
        name
    }

    /// A call of the row's function, which is written once per operand type.
    fn call(&mut self, row: &Row, operands: &[(String, DType)]) -> String {
        let of = operands.last().map_or(DType::F32, |(_, dtype)| *dtype);
        let t = computed(of);
        let name = format!("op_{}_{t}", row.name);
        self.text.function(name.clone(), || {
            let letters = row
                .letters()
                .iter()
                .zip(operands)
                .map(|(letter, (_, dtype))| format!("{letter}: {}", computed(*dtype)));
            let expression = if of.is_float() || row.wgsl_int.is_empty() { row.wgsl } else { row.wgsl_int };
            let expression = expression.replace("_T_", &format!("_{t}_"));
            format!(
                "fn {name}({}) -> {} {{\n  return {expression};\n}}",
                letters.collect::<Vec<_>>().join(", "),
                computed(row.result(of))
            )
        });
        let operands: Vec<&str> = operands.iter().map(|(x, _)| x.as_str()).collect();
        format!("{name}({})", operands.join(", "))
    }

    fn random(&mut self, n: usize, distribution: Distribution, dtype: DType) -> String {
        let mut word = |word| self.text.param(Param::Of { node: n, word });
        let (low, range) = match distribution {
            Distribution::Integer { .. } => (word(4), word(5)),
            Distribution::Uniform | Distribution::Normal => Default::default(),
        };
        let stream = format!("vec2<u32>({}, {}), vec2<u32>({}, {})", word(0), word(1), word(2), word(3));
        let i = &self.i;
        match distribution {
            Distribution::Uniform => format!("random_uniform_({i}, {stream})"),
            Distribution::Normal => format!("random_normal_({i}, {stream})"),
            Distribution::Integer { .. } => {
                let integer = format!("bitcast<i32>({} + random_bits_({i}, {stream}) % {})", low, range);
                cast(&integer, DType::I32, dtype)
            }
        }
    }
}

/// A value converted as the CPU does it: floats truncate and saturate, integers saturate, whatever is not 0 is true.
pub(super) fn cast(x: &str, from: DType, to: DType) -> String {
    match (computed(from), computed(to)) {
        (a, b) if a == b => x.to_owned(),
        ("f32", "bool") => format!("ne_({x}, 0.0)"),
        (_, "bool") => format!("({x} != 0)"),
        ("f32", "i32") => format!("f32_to_i32_({x})"),
        ("f32", "u32") => format!("f32_to_u32_({x})"),
        ("i32", "u32") => format!("u32(max({x}, 0))"),
        ("u32", "i32") => format!("i32(min({x}, 2147483647u))"),
        (_, b) => format!("{b}({x})"),
    }
}
