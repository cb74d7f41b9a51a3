//! Fused pointwise kernels: one thread per element computes every member and stores what is asked for.

use super::Param;
use super::horizontal::sizes;
use super::steps::Item;
use super::template::MAP;
use super::wgsl::{Text, computed, element, stored, widened};
use crate::dtype::DType;
use crate::ops::op::{Distribution, Op};
use crate::ops::row::Row;
use crate::shape::Layout;
use crate::tensor::backend::Source;
use std::collections::HashMap;
use std::fmt::Write;

pub(super) fn map(text: &mut Text, nodes: &[usize], writes: &[Item]) -> (String, usize) {
    let sizes = sizes(text.flow, nodes);
    let is_alone = sizes.len() == 1;
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

/// A function that computes one element of each node, and how many threads call it.
fn part(text: &mut Text, name: &str, nodes: &[usize], writes: &[Item]) -> (String, usize) {
    let numel = text.flow.node(nodes[0]).value.numel();
    let mut body = Body::new(text, "i");
    for &n in nodes {
        body.compute(n);
    }
    let Body { mut lines, names, text, .. } = body;
    let stores = nodes.iter().filter(|&&n| writes.contains(&Item::Node(n)));
    let stores = stores.map(|n| (Item::Node(*n), text.flow.node(*n).value.dtype, &names[n]));
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

    /// Computes a member from its operands, which have been computed or are loaded.
    pub fn compute(&mut self, n: usize) {
        let node = self.text.flow.node(n);
        // Where a write is among the members, this is the copy of its base.
        let args = if matches!(node.value.op, Op::Write(_)) { &node.args[..1] } else { &node.args[..] };
        let operands: Vec<(String, DType)> =
            args.iter().map(|arg| (self.operand(arg), self.text.flow.dtype(arg.source))).collect();
        let dtype = node.value.dtype;
        let value = match &node.value.op {
            Op::Iota => format!("{}({})", computed(dtype), self.i),
            Op::Random(distribution, _) => self.random(n, *distribution, dtype),
            Op::Map(row) => self.call(row, &operands),
            Op::Cast => cast(&operands[0].0, operands[0].1, dtype),
            Op::Write(_) => operands[0].0.clone(),
            Op::Data
            | Op::Full(_)
            | Op::Reduce { .. }
            | Op::Scan(_)
            | Op::Matmul { .. }
            | Op::OverlapAdd { .. }
            | Op::Gather { .. }
            | Op::Scatter { .. }
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

    fn operand(&mut self, arg: &crate::tensor::backend::Arg) -> String {
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
