//! Validates every shader with naga and writes it, split at its hooks, to `OUT_DIR/shaders.rs`.
//!
//! It knows nothing of what the shaders compute. `src/plan/template.rs` includes the result and puts kernels together.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{Expression, Function, Module};
use std::fmt::Write;
use std::{env, fs, path::Path, process::exit};

const HEADER_STARTS: [&str; 3] = ["@group(", "alias ", "const "];
const COMMENT_PARTS: [&str; 4] = ["// Computes:", "// Mapping:", "// Hooks:", "// Limits:"];

fn main() {
    println!("cargo:rerun-if-changed=shaders");
    println!("cargo:rerun-if-changed=build.rs");
    let mut paths: Vec<_> = fs::read_dir("shaders")
        .expect("the crate has a folder `shaders`")
        .map(|entry| entry.expect("`shaders` is readable").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "wgsl"))
        .collect();
    paths.sort();

    let is_prelude = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("prelude"));
    let (parts, templates): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| is_prelude(path));
    let prelude: String = parts.iter().map(|path| read(path)).collect();
    let mut out = emit_prelude(&prelude);
    let mut names = Vec::new();
    for path in &templates {
        let source = read(path);
        let file = path.display().to_string();
        // Appending the whole prelude proves that no name is used twice.
        validate(&format!("{file} + shaders/prelude*.wgsl"), &format!("{source}\n{prelude}"));
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("shader names are plain text");
        out += &emit_template(&file, name, &source);
        names.push(format!("&{}", name.to_uppercase()));
    }
    let names = names.join(", ");
    let _ = write!(
        out,
        "/// Every template, in the order of their names.\n\
         #[allow(dead_code, reason = \"only tests walk all templates\")]\n\
         pub static TEMPLATES: &[&Template] = &[{names}];\n"
    );
    let target = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&target).join("shaders.rs"), out).expect("OUT_DIR is writable");
}

/// Reads a shader and checks the four parts of its header comment.
fn read(path: &Path) -> String {
    let file = path.display();
    let source = fs::read_to_string(path).unwrap_or_else(|e| fail(&format!("{file}: {e}")));
    let comment = source.lines().take_while(|line| line.starts_with("//"));
    let found: Vec<_> = comment.filter_map(|line| COMMENT_PARTS.iter().find(|part| line.starts_with(**part))).collect();
    if !found.iter().copied().eq(&COMMENT_PARTS) {
        fail(&format!("{file}: the file must begin with a comment of the parts {COMMENT_PARTS:?}, in this order"));
    }
    source
}

/// Parses and validates without any optional capability, so that every browser accepts the program too.
fn validate(file: &str, source: &str) -> Module {
    let module =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|e| fail(&e.emit_to_string_with_path(source, file)));
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|e| fail(&e.emit_to_string_with_path(source, file)));
    module
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}

/// The functions of a module with their byte ranges, in the order of the file.
fn functions(module: &Module) -> Vec<(std::ops::Range<usize>, &str, &Function)> {
    let mut found: Vec<_> = module
        .functions
        .iter()
        .map(|(handle, f)| {
            let range = module.functions.get_span(handle).to_range().expect("parsed functions have spans");
            (range, f.name.as_deref().expect("parsed functions have names"), f)
        })
        .collect();
    found.sort_by_key(|(range, ..)| range.start);
    found
}

fn emit_prelude(source: &str) -> String {
    let file = "shaders/prelude*.wgsl";
    let module = validate(file, source);
    if !module.constants.is_empty() || !module.global_variables.is_empty() || !module.entry_points.is_empty() {
        fail(&format!("{file}: only functions may stand here, because each is copied alone"));
    }
    let mut out = String::from(
        "/// The functions of the prelude, in the order of the file.\npub static PRELUDE: &[Function] = &[\n",
    );
    for (range, name, f) in functions(&module) {
        let mut calls: Vec<_> = f
            .expressions
            .iter()
            .filter_map(|(_, e)| match e {
                Expression::CallResult(callee) => module.functions[*callee].name.as_deref(),
                _ => None,
            })
            .collect();
        calls.sort_unstable();
        calls.dedup();
        let text = &source[range];
        let _ = writeln!(out, "    Function {{ name: {name:?}, text: {text:?}, calls: &{calls:?} }},");
    }
    out + "];\n"
}

fn emit_template(file: &str, name: &str, source: &str) -> String {
    let module = validate(file, source);
    let [entry] = module.entry_points.as_slice() else {
        fail(&format!("{file}: a template has one entry point"));
    };
    let size = entry.workgroup_size;
    if size.iter().product::<u32>() > 256 {
        fail(&format!("{file}: more than 256 threads in a workgroup"));
    }
    let mut header = Vec::new();
    let mut pieces = String::new();
    let mut at = 0;
    for (range, hook, _) in functions(&module).iter().filter(|(_, name, _)| name.starts_with("hook_")) {
        let text = split_header(&source[at..range.start], &mut header);
        let default = &source[range.clone()];
        let _ = writeln!(pieces, "        Piece::Text({text:?}),");
        let _ = writeln!(pieces, "        Piece::Hook {{ name: {hook:?}, default: {default:?} }},");
        at = range.end;
    }
    let rest = split_header(&source[at..], &mut header);
    format!(
        "/// `{file}`.\npub static {}: Template = Template {{\n    name: {name:?},\n    workgroup_size: {size:?},\n    \
         header: &{header:?},\n    pieces: &[\n{pieces}        Piece::Text({rest:?}),\n    ],\n}};\n",
        name.to_uppercase()
    )
}

/// Moves the header lines of `text`, with the names they declare, to `header` and returns what is left.
fn split_header<'a>(text: &'a str, header: &mut Vec<(&'a str, &'a str)>) -> String {
    let mut rest = String::new();
    for line in text.split_inclusive('\n') {
        if HEADER_STARTS.iter().any(|start| line.starts_with(start)) {
            let line = line.trim_end();
            let declared = line.split([':', '=']).next().unwrap_or(line).trim_end();
            header.push((declared.rsplit(' ').next().unwrap_or(declared), line));
        } else {
            rest += line;
        }
    }
    rest
}
