//! The public operations of `src/ops`, read from the source: names, signatures and documentation.

use super::expand::Macro;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of operations under the first line of its own documentation.
pub struct File {
    pub path: String,
    pub title: String,
    pub operations: Vec<Operation>,
}

pub struct Operation {
    pub name: String,
    /// `(&self, dim: isize) -> Tensor`.
    pub signature: String,
    /// What it computes, its derivative and its conventions: the documentation without examples and panics.
    pub text: String,
    pub source: Option<String>,
    /// Whether it is a row of the table of scalar functions.
    pub is_row: bool,
}

/// All files that hold operations, in the order in which `mod` lines name them.
pub fn files() -> Vec<File> {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let mut files = Vec::new();
    walk(&ops.join("mod.rs"), &ops, &mut files);
    files
}

fn walk(path: &Path, below: &Path, files: &mut Vec<File>) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let first = text.lines().next().unwrap_or_default().trim_start_matches("//! ");
    let operations = operations(&expanded(&text));
    if !operations.is_empty() {
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        files.push(File { path, title: first.split(['.', ';']).next().unwrap_or_default().to_string(), operations });
    }
    for line in text.lines() {
        let name = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").strip_prefix("mod ");
        if let Some(name) = name.and_then(|name| name.strip_suffix(';')) {
            let folder: PathBuf = below.join(name);
            walk(&below.join(format!("{name}.rs")), &folder, files);
        }
    }
}

/// The source with every macro call replaced by the methods it makes.
fn expanded(text: &str) -> String {
    let mut macros: Vec<Macro> = Vec::new();
    let mut result = String::new();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        let is_call = |line: &str| {
            line.strip_suffix("! {").is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
        };
        let definition = line.strip_prefix("macro_rules! ").and_then(|line| line.strip_suffix(" {"));
        if definition.is_none() && !is_call(line) {
            result.push_str(line);
            result.push('\n');
            rest = after;
            continue;
        }
        let end = after.find("\n}").map_or(after.len(), |i| i + 1);
        let (body, after) = after.split_at(end);
        rest = after.split_once('\n').map_or("", |(_, rest)| rest);
        if let Some(name) = definition {
            macros.push(Macro::read(name, body));
            continue;
        }
        result.push_str("impl Tensor {\n");
        match macros.iter().find(|m| line.strip_suffix("! {") == Some(m.name)) {
            Some(m) if m.name != "rows" => result.push_str(&with_plain_docs(&m.call(body))),
            _ => rows(body, &mut result),
        }
        result.push_str("}\n");
    }
    result + rest
}

/// The methods of rows: those that are documented have one.
fn rows(body: &str, result: &mut String) {
    let mut docs = String::new();
    for line in body.lines().map(str::trim) {
        if line.starts_with("///") {
            docs.push_str(&format!("{line}\n"));
            continue;
        }
        if let Some((name, operands)) = line.split_once(") => ").and_then(|(head, _)| head.split_once('('))
            && !docs.is_empty()
        {
            let arguments: String = operands.split(", ").skip(1).map(|x| format!(", {x}: impl Into<Arg>")).collect();
            result.push_str(&format!("{docs}#[row]\npub fn {name}(&self{arguments}) -> Tensor {{\n"));
        }
        docs.clear();
    }
}

/// `#[doc = concat!(…)]` as the comment it stands for.
fn with_plain_docs(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("#[doc = concat!(") {
        let (arguments, after) = after.split_once(")]").expect("the attribute ends");
        result.push_str(before);
        result.push_str("/// ");
        // Pieces outside of quotes are words, perhaps in `stringify!`; those inside are text.
        for (i, piece) in arguments.split('"').enumerate() {
            match i % 2 {
                0 => result.push_str(piece.trim_matches([',', ' ', '\n', ')']).trim_start_matches("stringify!(")),
                _ => result.push_str(&piece.split("\\\n").map(str::trim_start).collect::<Vec<_>>().concat()),
            }
        }
        rest = after;
    }
    result + rest
}

fn operations(text: &str) -> Vec<Operation> {
    let (mut found, mut docs, mut in_tensor, mut is_row) = (Vec::new(), Vec::new(), false, false);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim();
        if !line.starts_with(' ') && code.starts_with("impl") {
            in_tensor = code == "impl Tensor {";
        }
        if let Some(doc) = code.strip_prefix("///") {
            docs.push(doc.trim().to_string());
            continue;
        }
        if code.is_empty() || code.starts_with("#[") {
            is_row |= code == "#[row]";
            continue;
        }
        if let Some(rest) = code.strip_prefix("pub fn ").filter(|_| in_tensor) {
            let mut signature = rest.to_string();
            while !signature.contains('{') {
                signature.push_str(lines.next().expect("a function has a body").trim());
                signature.push(' ');
            }
            let signature = signature.split(" {").next().unwrap_or_default();
            // What macros repeat has no spaces in between.
            let spaced = signature.replace(',', ", ");
            let signature = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
            let signature = signature.replace("( ", "(").replace(", )", ")");
            let at = signature.find(['(', '<']).expect("a function has arguments");
            found.push(operation(&signature[..at], &signature[at..], &docs, is_row));
        }
        docs.clear();
        is_row = false;
    }
    found
}

fn operation(name: &str, signature: &str, docs: &[String], is_row: bool) -> Operation {
    let source =
        docs.iter().find_map(|line| line.strip_prefix("Source: ")).map(|line| line.trim_end_matches('.').to_string());
    let shown = docs.iter().take_while(|line| !line.starts_with("```") && !line.starts_with("# "));
    let text = shown.filter(|line| !line.starts_with("Source: ")).cloned().collect::<Vec<_>>().join(" ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("[`Tensor::", "[`");
    // Links to other items would lead nowhere from here.
    let text = text.replace("[`", "`").replace("`]", "`");
    Operation { name: name.to_string(), signature: signature.to_string(), text, source, is_row }
}
