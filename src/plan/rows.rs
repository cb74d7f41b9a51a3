//! Row programs: reductions over the rows of a matrix, with pointwise operations before, between and after them, as one
//! kernel that passes over each row as often as one reduction needs another one's result.
//!
//! Members have an element for each row, or for each cell of the matrix. What a later pass needs of the cells it computes
//! anew from operands that the first pass brought into the cache. A thread takes a row where a processor plays the GPU or
//! rows are short, a group of threads otherwise. Four cells that are neighbours in memory are loaded and stored at once.

use super::flow::Flow;
use super::map::Body;
use super::program::{GROUP, Program, is_reduction, split};
use super::reduce::{folded, identity};
use super::steps::Item;
use super::wgsl::{Text, element, position, stored};
use crate::dtype::DType;
use crate::ops::op::{Fold, Op};
use crate::shape::Layout;
use crate::tensor::backend::{Arg, Source};
use std::collections::HashMap;
use std::fmt::Write;

pub(super) fn rows(text: &mut Text, nodes: &[usize], writes: &[Item]) -> (String, usize) {
    let flow = text.flow;
    let program =
        Program::of(flow, text.options, nodes, |n| writes.contains(&Item::Node(n))).expect("the members were accepted");
    let (n_rows, n_cols) = (text.number(program.rows), text.number(program.cols));
    // Rows are stored one by one, by different threads, so no two of them may share a vector.
    for &item in writes {
        if let Item::Node(n) = item
            && flow.node(n).value.numel() == program.rows
        {
            text.bind(item, element(flow.node(n).value.dtype), true);
        }
    }
    text.quads = program.quads;
    let mut writer = Writer { program: &program, body: Body::new(text, "row"), writes, bases: HashMap::new() };
    for pass in 0..program.during.len() {
        writer.pass(pass);
    }
    let lines = writer.body.lines;
    let group = "let group = w.y * groups.x + w.x;";
    let (size, row, workgroups) = match program.by_thread {
        // Few rows at a time stay in the cache of a processor; shorter ones do not need to.
        true if text.options.target.processor && program.cols >= 256 => {
            (8, "group * 8u + local", program.rows.div_ceil(8))
        }
        true => (64, "group * 64u + local", program.rows.div_ceil(64)),
        false => (GROUP, "group", program.rows),
    };
    let mut header = text.header();
    for t in ["f32", "i32", "u32"].iter().filter(|t| lines.contains(&format!("partial_{t}["))) {
        let _ = writeln!(header, "var<workgroup> partial_{t}: array<{t}, {GROUP}>;");
    }
    let main = format!(
        "@compute @workgroup_size({size})\nfn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) groups: \
         vec3<u32>, @builtin(local_invocation_index) local: u32) {{\n  {group}\n  let row = {row};\n  \
         let cols = {n_cols};\n  if (row >= {n_rows}) {{ return; }}\n{lines}}}\n"
    );
    let text = format!("{header}\n{main}");
    let prelude = super::template::prelude_for(&text);
    (text + &prelude, workgroups)
}

struct Writer<'t, 'a> {
    program: &'t Program,
    body: Body<'t, 'a>,
    writes: &'t [Item],
    /// The variable that says where an operand's row begins.
    bases: HashMap<(Source, Layout), String>,
}

impl<'a> Writer<'_, 'a> {
    fn flow(&self) -> &'a Flow<'a> {
        self.body.text.flow
    }

    fn line(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.body.lines, "  {}", line.as_ref());
    }

    fn pass(&mut self, pass: usize) {
        let program = self.program;
        for &n in &program.before[pass] {
            if !is_reduction(self.flow(), n) {
                self.body.i = "row".to_owned();
                self.body.compute(n);
            }
            self.store_row(n);
        }
        if !program.has_loop(pass) {
            return;
        }
        let width = if self.program.quads { 4 } else { 1 };
        self.find_rows(pass);
        for &n in &program.folds[pass] {
            let (t, start) = (self.folded_type(n), identity(fold(self.flow(), n), self.flow().node(n).value.dtype));
            for c in 0..width {
                self.line(format!("var a{n}_{c} = {t}({start});"));
            }
        }
        let (first, step) = if self.program.by_thread { (0, width) } else { (width, width * GROUP) };
        let first = if first == 0 { "0u".to_owned() } else { format!("local * {first}u") };
        self.line(format!("for (var col = {first}; col < cols; col += {step}u) {{"));
        self.load(pass);
        let mut cells: Vec<HashMap<usize, String>> = Vec::new();
        for c in 0..width {
            self.cell(pass, c);
            cells.push(program.during[pass].iter().map(|&n| (n, self.body.names[&n].clone())).collect());
        }
        for &n in &program.stores[pass] {
            self.store_cells(n, &cells);
        }
        self.line("}");
        self.forget(pass);
        for &n in &program.folds[pass] {
            self.fold_up(n, width);
        }
    }

    /// Where the row of each operand begins; operands that are the same for all cells of a row are loaded here.
    fn find_rows(&mut self, pass: usize) {
        for arg in self.outside(pass) {
            let key = (arg.source, arg.layout.merged());
            if self.bases.contains_key(&key) || self.body.loads.contains_key(&key) {
                continue;
            }
            let Some((kept, folded)) = split(&arg.layout, self.program.rows) else { continue };
            let at = position(&kept, "row");
            let name = self.body.variable('r');
            if folded.strides.iter().all(|&stride| stride == 0) {
                let x = self.body.text.load_at(arg.source, &name);
                let value = self.body.variable('u');
                self.line(format!("let {name} = {at};\n  let {value} = {x};"));
                self.body.loads.insert(key, value);
            } else {
                self.line(format!("let {name} = {at};"));
                self.bases.insert(key, name);
            }
        }
    }

    /// The operands of a pass that no member computes, one element for each cell.
    fn outside(&self, pass: usize) -> Vec<&'a Arg> {
        let flow = self.flow();
        let inside = |arg: &&Arg| match arg.source {
            Source::Node(n) => self.program.during[pass].contains(&n) || self.body.names.contains_key(&n),
            Source::Input(_) => false,
        };
        let members = self.program.during[pass].iter().chain(&self.program.folds[pass]);
        members.flat_map(|&n| flow.reads(n)).filter(|arg| !inside(arg)).collect()
    }

    /// Loads four neighbours of each operand where they are that.
    fn load(&mut self, pass: usize) {
        if !self.program.quads {
            return;
        }
        for arg in self.outside(pass) {
            let key = (arg.source, arg.layout.merged());
            let dtype = self.flow().dtype(arg.source);
            let Some(base) = self.bases.get(&key).cloned() else { continue };
            if self.body.loads.contains_key(&key) || dtype.is_narrow() {
                continue;
            }
            let (kept, folded) = split(&arg.layout, self.program.rows).expect("it has a base");
            let is_aligned = kept.offset % 4 == 0 && kept.strides.iter().all(|stride| stride % 4 == 0);
            if folded.strides[..] != [1] || !is_aligned {
                continue;
            }
            self.body.load_quad(arg, &format!("{base} + col"));
        }
    }

    /// Computes the members of a pass for one cell, and folds them.
    fn cell(&mut self, pass: usize, c: usize) {
        let flow = self.flow();
        let program = self.program;
        self.forget_names(pass);
        let loads = self.body.loads.clone();
        self.body.turn_to(c);
        let i = self.body.variable('i');
        self.line(format!("let {i} = row * cols + col + {c}u;"));
        self.body.i = i;
        for arg in self.outside(pass) {
            let key = (arg.source, arg.layout.merged());
            if loads.contains_key(&key) {
                continue;
            }
            if let Some(base) = self.bases.get(&key) {
                let (_, folded) = split(&arg.layout, program.rows).expect("it has a base");
                let at = format!("{base} + {}", position(&folded, &format!("(col + {c}u)")));
                let x = self.body.text.load_at(arg.source, &at);
                let name = self.body.variable('l');
                self.line(format!("let {name} = {x};"));
                self.body.loads.insert(key, name);
            }
        }
        for &n in &program.during[pass] {
            self.body.compute(n);
        }
        for &n in &program.folds[pass] {
            let node = flow.node(n);
            let arg = &node.args[0];
            let x = match arg.source {
                Source::Node(p) if program.during[pass].contains(&p) => self.body.names[&p].clone(),
                _ => match self.body.loads.get(&(arg.source, arg.layout.merged())) {
                    Some(x) => x.clone(),
                    None => self.body.text.load(arg, &self.body.i.clone()),
                },
            };
            let (f, x) = (self.fold_function(n), stored(node.value.dtype, &x));
            self.line(format!("a{n}_{c} = {f}(a{n}_{c}, {x});"));
        }
        self.body.loads = loads;
    }

    /// Forgets what holds for one cell alone.
    fn forget_names(&mut self, pass: usize) {
        for n in &self.program.during[pass] {
            self.body.names.remove(n);
        }
    }

    fn forget(&mut self, pass: usize) {
        self.forget_names(pass);
        self.body.loads.retain(|_, name| name.starts_with('u'));
    }

    /// The name of the function that folds two elements for a reduction.
    fn fold_function(&mut self, n: usize) -> String {
        let node = self.flow().node(n);
        let fold = fold(self.flow(), n);
        let (t, op) = (element(node.value.dtype), folded(fold, node.value.dtype));
        let name = format!("fold_{}_{}", node.value.op.name(), node.value.dtype);
        self.body.text.function(name.clone(), || format!("fn {name}(a: {t}, b: {t}) -> {t} {{\n  return {op};\n}}"));
        name
    }

    fn folded_type(&self, n: usize) -> &'static str {
        element(self.flow().node(n).value.dtype)
    }

    /// Folds what the cells and the threads of a row have folded, into the value of the reduction.
    fn fold_up(&mut self, n: usize, width: usize) {
        let f = self.fold_function(n);
        let mut x = match width {
            1 => format!("a{n}_0"),
            _ => format!("{f}({f}(a{n}_0, a{n}_1), {f}(a{n}_2, a{n}_3))"),
        };
        if !self.program.by_thread {
            let partial = format!("partial_{}", self.folded_type(n));
            self.line(format!("{partial}[local] = {x};\n  workgroupBarrier();"));
            self.line(format!("for (var half = {}u; half > 0u; half >>= 1u) {{", GROUP / 2));
            self.line(format!(
                "  if (local < half) {{ {partial}[local] = {f}({partial}[local], {partial}[local + half]); }}\n    \
                 workgroupBarrier();\n  }}"
            ));
            x = format!("{partial}[0]");
        }
        let name = self.body.variable('f');
        let x = if self.flow().node(n).value.dtype == DType::Bool { format!("({x} != 0u)") } else { x };
        self.line(format!("let {name} = {x};"));
        if !self.program.by_thread {
            // Nobody may write the next one's parts before everybody has read this result.
            self.line("workgroupBarrier();");
        }
        self.body.names.insert(n, name);
    }

    fn store_row(&mut self, n: usize) {
        if !self.writes.contains(&Item::Node(n)) {
            return;
        }
        let dtype = self.flow().node(n).value.dtype;
        let y = self.body.text.bind(Item::Node(n), element(dtype), true);
        let x = stored(dtype, &self.body.names[&n]);
        let first = if self.program.by_thread { "" } else { "if (local == 0u) " };
        self.line(format!("{first}{{ {y}[row] = {x}; }}"));
    }

    fn store_cells(&mut self, n: usize, cells: &[HashMap<usize, String>]) {
        let dtype = self.flow().node(n).value.dtype;
        let x: Vec<String> = cells.iter().map(|cell| stored(dtype, &cell[&n])).collect();
        let t = element(dtype);
        if self.program.quads {
            let y = self.body.text.bind(Item::Node(n), quad(t), true);
            self.line(format!("{y}[(row * cols + col) >> 2u] = vec4<{t}>({});", x.join(", ")));
        } else {
            let y = self.body.text.bind(Item::Node(n), t, true);
            self.line(format!("{y}[row * cols + col] = {};", x[0]));
        }
    }
}

fn fold(flow: &Flow, n: usize) -> Fold {
    let Op::Reduce { fold, .. } = flow.node(n).value.op else { unreachable!("only reductions fold") };
    fold
}

/// Four elements of a buffer at once.
pub(super) fn quad(element: &str) -> &'static str {
    match element {
        "f32" => "vec4<f32>",
        "i32" => "vec4<i32>",
        _ => "vec4<u32>",
    }
}
