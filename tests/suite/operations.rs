//! `docs/OPERATIONS.md`: every operation with its documentation, its types, and what the tests have seen of it.
//!
//! `WGRAD_BLESS=1` writes it anew. Otherwise its text must be what the source says, and no error may exceed what it states.

mod expand;
mod parse;

use crate::cases::structural_cases;
use crate::{common, oracle};
use parse::{File, Operation, files};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use wgrad::testing::{ROWS, RowKind};
use wgrad::{DType, Device, Tensor};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");

/// Operations whose fixtures have another name in PyTorch.
const FIXTURES: &[(&str, &[&str])] = &[
    ("matmul", &["matmul", "mm", "mv", "dot", "bmm"]),
    ("norm", &["norm", "vector_norm"]),
    ("expand", &["expand", "broadcast_to"]),
    ("copy", &["clone"]),
    ("index", &["advanced_index", "index"]),
    ("im2col", &["unfold"]),
    ("col2im", &["fold"]),
    ("cast", &["to"]),
];

/// Fixtures of no operation in particular.
const NO_OPERATION: &[&str] = &["operator", "composite_view", "dag"];

/// Operations whose derivatives no expression in `cases/` checks, and why.
const NO_DERIVATIVE: &[(&str, &str)] = &[
    (
        "they make a tensor of none, or forget what was there",
        "from_slice from_data zeros ones empty zeros_like empty_like ones_like full full_like new_zeros new_ones new_full \
         new_empty tril_indices triu_indices arange linspace logspace eye one_hot zero_ detach detach_ deep_copy",
    ),
    (
        "they draw random numbers: `draws.rs` and `nn.rs` check what gradients they have",
        "uniform uniform_ normal normal_ log_normal log_normal_ exponential exponential_ cauchy cauchy_ geometric \
         geometric_ trunc_normal trunc_normal_ rand_like randn_like randint_like random_ bernoulli bernoulli_ \
         normal_around multinomial rand randn randint randperm dropout dropout1d dropout2d dropout3d alpha_dropout \
         feature_alpha_dropout",
    ),
    (
        "their results are integers or bools, or do not move with the operands",
        "bitwise_not isclose allclose equal argmax argmin nonzero argwhere nonzero_tuple any any_dim all all_dim \
         count_nonzero argsort searchsorted bucketize isin histc unravel_index unique_consecutive floor_divide_ \
         heaviside_ eq_ ne_ lt_ le_ gt_ ge_ logical_and_ logical_or_ logical_xor_ logical_not_ bitwise_and_ bitwise_or_ \
         bitwise_xor_ bitwise_not_ bitwise_left_shift_ bitwise_right_shift_ gcd_ lcm_ sign_ floor_ ceil_ round_ trunc_",
    ),
    ("they read", "to_data to_vec to_vec_async item item_async"),
    ("they run on two devices", "to_device"),
    ("it runs a function", "by_definition"),
    ("its gradient leaves a row out by convention: `indexing.rs` checks it", "embedding_with"),
];

/// The functions of PyTorch whose fixtures measure an operation.
fn fixtures(name: &str) -> Vec<&str> {
    let stem = name.trim_end_matches("_with").trim_end_matches("_dim").trim_end_matches('_');
    FIXTURES.iter().find(|(op, _)| *op == stem).map_or(vec![stem, name], |(_, functions)| functions.to_vec())
}

/// The largest errors of values and derivatives that were seen, or none.
type Errors = Option<[f64; 2]>;

fn measured(outcome: Option<&oracle::Outcome>, name: &str) -> Errors {
    let functions = fixtures(name);
    let of = |(function, errors): (&String, &[f64; 2])| {
        functions.contains(&function.trim_start_matches("scalar_")).then_some(*errors)
    };
    outcome?.errors.iter().filter_map(of).reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])])
}

/// A number rounded up to one digit.
fn up(x: f64) -> f64 {
    let text = format!("{x:.0e}");
    let rounded: f64 = text.parse().expect("a number");
    if rounded >= x { rounded } else { rounded + 10f64.powi(rounded.log10().floor() as i32) }
}

/// `cpu 1e-7 and 2e-7`; exact numbers have no error.
fn told(device: &str, errors: Errors) -> String {
    let number = |x: f64| if x == 0.0 { "0".to_string() } else { format!("{:.0e}", up(x)) };
    match errors {
        None => String::new(),
        Some([value, derivative]) => format!(" {device} {} / {};", number(value), number(derivative)),
    }
}

/// The errors that a line of the file states for a device.
fn stated(line: &str, device: &str) -> Errors {
    let (value, rest) = line.split_once(&format!(" {device} "))?.1.split_once(" / ")?;
    Some([value.parse().ok()?, rest.split([';', ' ', '\n']).next()?.parse().ok()?])
}

/// The types that a kind of row takes.
fn row_types(name: &str) -> &'static str {
    match ROWS.iter().find(|row| row.name == name).map(|row| row.kind) {
        Some(RowKind::Arithmetic) => "numbers to numbers of the same type",
        Some(RowKind::Float) => "numbers to floats",
        Some(RowKind::Compare) => "numbers to bools",
        Some(RowKind::Test) => "floats to bools",
        Some(RowKind::Logic) => "bools to bools",
        Some(RowKind::Bits) => "integers and bools to the same type",
        Some(RowKind::Choice) => "a bool and two operands of any type",
        None => "",
    }
}

/// The types for which the expressions named after an operation run.
fn types() -> BTreeMap<String, BTreeSet<DType>> {
    let mut types: BTreeMap<String, BTreeSet<DType>> = BTreeMap::new();
    for case in structural_cases() {
        let name = case.name.split(' ').next().unwrap_or_default().to_string();
        for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16, DType::I32, DType::Bool] {
            let shapes = case.operands.iter().map(|(shape, _)| shape);
            let leaf = |(shape, x): (&Vec<usize>, Vec<f64>)| Tensor::from_slice(&x, shape, (&Device::cpu(), dtype));
            let x: Vec<Tensor> = shapes.zip(case.values()).map(leaf).collect();
            let runs = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                wgrad::catch(|| (case.f)(&x).to_data().is_ok()).unwrap_or(false)
            }));
            if runs.unwrap_or(false) {
                types.entry(name.clone()).or_default().insert(dtype);
            }
        }
    }
    types
}

/// The names of the expressions in `cases/` that call an operation.
fn checks(name: &str) -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/cases");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut names: Vec<String> = structural_cases()
        .into_iter()
        .map(|case| case.name)
        .filter(|case| case.split([' ', ',']).next() == Some(name))
        .collect();
    for path in paths {
        let text = std::fs::read_to_string(path).unwrap();
        for case in text.split("Case::new(").skip(1) {
            if case.contains(&format!(".{name}(")) || case.contains(&format!("Tensor::{name}(")) {
                names.extend(case.split('"').nth(1).map(str::to_string));
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

/// What is known of an operation beyond its documentation.
struct Known {
    types: BTreeMap<String, BTreeSet<DType>>,
    file: String,
    measured: bool,
}

impl Known {
    fn checked(&self, op: &Operation) -> String {
        let row = ROWS.iter().find(|row| row.name == op.name);
        let checks = checks(&op.name);
        match row {
            Some(row) if op.is_row && row.grads.is_empty() => "no derivative".to_string(),
            Some(_) if op.is_row => "derivatives 1 and 2 as a row".to_string(),
            _ if checks.is_empty() => String::new(),
            _ if checks.len() > 4 => format!("derivatives 1 and 2 in {} expressions", checks.len()),
            _ => format!("derivatives 1 and 2 in {}", checks.join(", ")),
        }
    }

    fn types(&self, op: &Operation) -> String {
        if op.is_row {
            return row_types(&op.name).to_string();
        }
        let Some(types) = self.types.get(&op.name) else { return String::new() };
        let (floats, rest): (Vec<DType>, Vec<DType>) = types.iter().partition(|dtype| dtype.is_float());
        let floats = if floats.len() == 4 { "floats".to_string() } else { list(&floats) };
        [floats, list(&rest)].into_iter().filter(|x| !x.is_empty()).collect::<Vec<_>>().join(", ")
    }

    /// The largest errors: those that were measured, or where these are within what the file states, the file's.
    fn errors(&self, op: &Operation, failures: &mut Vec<String>) -> String {
        let bless = std::env::var_os("WGRAD_BLESS").is_some();
        let head = format!("`{}{}`", op.name, op.signature);
        let line = self.file.split_once(&head).map_or("", |(_, rest)| rest.split("\n#").next().unwrap_or(rest));
        let mut text = String::new();
        for (word, device) in [("cpu", "cpu"), ("gpu", "llvmpipe")] {
            let stated = stated(line, device);
            let seen = if self.measured { measured(oracle::outcome(word), &op.name) } else { None };
            let is_llvmpipe = || common::gpu().is_some_and(|gpu| gpu.name().contains("llvmpipe"));
            let counts = self.measured && (word == "cpu" || is_llvmpipe());
            if let (Some(seen), true) = (seen, counts && !bless)
                && !stated.is_some_and(|stated| seen[0] <= stated[0] && seen[1] <= stated[1])
            {
                failures.push(format!("{}: {device} errs by {seen:?}, the file says {stated:?}", op.name));
            }
            text += &told(device, if bless && counts { seen } else { stated });
        }
        text.trim_end_matches(';').to_string()
    }
}

fn list(types: &[DType]) -> String {
    types.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(", ")
}

const HEAD: &str = "\
# Operations

Written by a test from the documentation in `src/ops` and from what the tests see (`tests/suite/operations.rs`).

- **types**: what the operation takes; of the floats, `f16` and `bf16` are computed in `f32` and rounded once, and `f64`
  exists on the CPU only.
- **checked**: the expressions in which values, first and second derivatives are compared with differences in double
  precision, and with every device.
- **errors**: the largest difference of values / of derivatives from PyTorch's numbers, computed in double precision, relative to
  the number or to 1, whichever is larger, rounded up to one digit: on the CPU, and on llvmpipe. Only operations that
  have such numbers state errors.
";

const SPECIAL: &str = "
## NaN, infinities, signed zeros and subnormal numbers by adapter

- **cpu**: as IEEE 754 has them.
- **llvmpipe**: as on the CPU; every case of special and of subnormal values passes. The prelude of the shaders tests the bits of
  numbers, so that a compiler that assumes that there is no NaN does no harm.
- Other adapters may flush subnormal numbers to zero, which WGSL allows. Nothing else is known to be impossible.

Cases of PyTorch's numbers that are not run:

";

fn document(known: &Known, files: &[File], failures: &mut Vec<String>) -> String {
    let mut text = HEAD.to_string();
    for file in files {
        let _ = write!(text, "\n## {}\n\n`{}`\n", file.title, file.path);
        for op in &file.operations {
            let _ = write!(text, "\n#### `{}{}`\n\n{}\n", op.name, op.signature, op.text);
            let errors = known.errors(op, failures);
            let parts = [("types", known.types(op)), ("checked", known.checked(op)), ("errors", errors)];
            let parts = parts.iter().filter(|(_, what)| !what.is_empty());
            let mut facts: Vec<String> = parts.map(|(name, what)| format!("*{name}:* {}", what.trim())).collect();
            facts.extend(op.source.iter().map(|source| format!("*source:* {source}")));
            if !facts.is_empty() {
                let _ = write!(text, "\n{}\n", facts.join(" · "));
            }
        }
    }
    text.push_str(SPECIAL);
    for (id, devices, reason) in oracle::SKIPPED {
        let _ = writeln!(text, "- `{id}`, on {}: {reason}.", devices.join(", "));
    }
    let random = include_str!("../../src/random.rs");
    let random = random.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim_start);
    let _ = write!(text, "\n## Random numbers\n\n{}\n", random.collect::<Vec<_>>().join("\n"));
    text
}

#[test]
fn the_list_of_operations_is_up_to_date() {
    let files = files();
    assert!(
        files.iter().map(|file| file.operations.len()).sum::<usize>() > 100,
        "operations are written otherwise now"
    );
    for op in files.iter().flat_map(|file| &file.operations) {
        assert!(!op.text.is_empty() && !op.text.contains('$'), "{} has no text that is understood", op.name);
    }
    let unchecked = |op: &&Operation| {
        let excused = NO_DERIVATIVE.iter().any(|(_, names)| names.split(' ').any(|name| name == op.name));
        let row = op.is_row && ROWS.iter().any(|row| row.name == op.name);
        !excused && !row && checks(&op.name).is_empty()
    };
    let unchecked: Vec<_> =
        files.iter().flat_map(|file| &file.operations).filter(unchecked).map(|op| &op.name).collect();
    assert!(unchecked.is_empty(), "no expression in cases/ checks the derivatives of {unchecked:?}");
    if let Some(outcome) = oracle::outcome("cpu") {
        let known = |function: &&String| {
            let function = function.trim_start_matches("scalar_");
            NO_OPERATION.contains(&function)
                || files.iter().flat_map(|file| &file.operations).any(|op| fixtures(&op.name).contains(&function))
        };
        let unknown: Vec<&String> = outcome.errors.keys().filter(|function| !known(function)).collect();
        assert!(unknown.is_empty(), "no operation has the fixtures of {unknown:?}");
    }
    let file = std::fs::read_to_string(PATH).unwrap_or_default();
    // Part of the cases, or others, say nothing about all of them.
    let measured = ["WGRAD_ORACLE", "WGRAD_ORACLE_ONLY"].iter().all(|name| std::env::var_os(name).is_none());
    let known = Known { types: types(), file, measured };
    let mut failures = Vec::new();
    let text = document(&known, &files, &mut failures);
    if std::env::var_os("WGRAD_BLESS").is_some() {
        return std::fs::write(PATH, text).unwrap();
    }
    let line = text.lines().zip(known.file.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or(text.lines().count().min(known.file.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("nothing").to_string();
    assert!(
        text == known.file,
        "line {} of docs/OPERATIONS.md is\n{}\nand should be\n{}\nWGRAD_BLESS=1 writes it anew",
        line + 1,
        at(&known.file),
        at(&text)
    );
    assert!(failures.is_empty(), "larger errors than docs/OPERATIONS.md states\n{}", failures.join("\n"));
}
