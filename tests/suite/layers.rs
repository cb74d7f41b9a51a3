//! The rules of the house that a compiler does not know: who may import whom, and what may not stand in the code.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the ground up. A file imports from its own layer and below.
const LAYERS: &[&[&str]] = &[
    &["error", "dtype", "shape", "elements", "random", "single", "recycle"],
    &["tensor", "ops"],
    &["autograd", "func"],
    &["plan"],
    &["device"],
    &["state", "nn", "optim", "data", "io", "train", "profiler", "lib"],
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            match entry.is_dir() {
                true => walk(&entry, found),
                false => found.push((entry.clone(), fs::read_to_string(&entry).unwrap())),
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 20);
    found
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|l| l.contains(&module)).unwrap_or_else(|| panic!("module {module} stands in no layer"))
}

/// The module a file belongs to, as `tensor` for `src/tensor/node.rs`.
fn module(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(src).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Modules that the code of a file names after `crate::`; tests, comments and macros left out.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '!').next().unwrap_or_default().to_string()
        })
        .filter(|name: &String| name.starts_with(char::is_lowercase) && !name.ends_with('!'))
        .collect()
}

#[test]
fn no_file_imports_from_a_layer_above() {
    for (path, text) in sources() {
        let own = layer(&module(&path));
        for import in imports(&text).iter().filter(|name| !matches!(name.as_str(), "catch" | "testing")) {
            assert!(layer(import) <= own, "{} imports crate::{import}, which is above it", path.display());
        }
    }
}

#[test]
fn the_reference_knows_no_plans_and_plans_know_no_device() {
    for (path, text) in sources() {
        let name = path.to_string_lossy();
        if name.ends_with("device/cpu.rs") {
            assert!(!imports(&text).contains(&"plan".into()), "an error in a plan must not cancel out");
        }
        if module(&path) == "plan" {
            assert!(!text.contains("wgpu"), "{name}: plans are data");
        }
    }
}

#[test]
fn the_structural_matches_have_no_wildcard() {
    let mut found = 0;
    for (path, text) in sources() {
        let heads = ["value.op {\n", "match op {\n", "match self {\n            Op::"];
        for (start, _) in heads.iter().flat_map(|head| text.match_indices(head)) {
            found += 1;
            let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
            let indent = text[line..].len() - text[line..].trim_start().len();
            let end = text[start..].find(&format!("\n{}}}", " ".repeat(indent))).map_or(text.len(), |i| start + i);
            let wildcard = format!("\n{}_ =>", " ".repeat(indent + 4));
            assert!(!text[start..end].contains(&wildcard), "{}: a wildcard over operations", path.display());
        }
    }
    assert!(found >= 7, "only {found} matches over operations were found: are they written otherwise now?");
}

#[test]
fn nothing_is_left_open() {
    for (path, text) in sources() {
        for word in ["todo!", "unimplemented!", "dbg!", "TODO", "FIXME", "XXX"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
        let lines = text.lines().count();
        assert!(lines <= 450, "{} has {lines} lines: it probably holds two ideas", path.display());
    }
}

#[test]
fn every_shader_says_what_it_is() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for part in ["// Computes", "// Mapping", "// Hooks", "// Limits"] {
            assert!(text.contains(part), "{} lacks {part}", path.display());
        }
        // Browsers have neither through wgpu, and naga refuses the line.
        assert!(!text.contains("enable ") && !text.contains("subgroup"), "{}", path.display());
    }
}
