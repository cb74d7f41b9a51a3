//! Kernel templates: the programs of `shaders/`, split at their hooks by `build.rs`, and how they become WGSL text.
//!
//! Nothing here knows what a kernel computes; the generator supplies the header and the hooks. The numeric functions
//! of `shaders/prelude*.wgsl` come along when they are named.

/// A program of `shaders/`, split at its hooks.
#[derive(Debug)]
pub struct Template {
    /// The file's name without its ending.
    pub name: &'static str,
    /// The threads of one workgroup.
    pub workgroup_size: [u32; 3],
    /// The declared name and the full line of every default that the generator's header replaces.
    #[allow(dead_code, reason = "the tests put every template together with its own defaults")]
    pub header: &'static [(&'static str, &'static str)],
    /// The rest of the file, in its order.
    pub pieces: &'static [Piece],
}

/// A part of a template.
#[derive(Debug)]
pub enum Piece {
    /// Text that every kernel keeps.
    Text(&'static str),
    /// A function that a kernel may replace.
    Hook {
        /// The function's name, which starts with `hook_`.
        name: &'static str,
        /// The whole function as the file has it.
        default: &'static str,
    },
}

/// A function of the prelude.
#[derive(Debug)]
pub struct Function {
    /// The function's name.
    pub name: &'static str,
    /// The whole function.
    pub text: &'static str,
    /// The prelude functions that it calls itself.
    pub calls: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

impl Template {
    /// Puts a kernel together: `header`, which replaces all default declarations, then the template with the given
    /// hooks (name and whole function; the others keep their defaults), then the prelude functions it names.
    ///
    /// # Panics
    ///
    /// If a hook's name is not one of this template's.
    pub fn compose(&self, header: &str, hooks: &[(&str, &str)]) -> String {
        for (hook, _) in hooks {
            let known = self.pieces.iter().any(|p| matches!(p, Piece::Hook { name, .. } if name == hook));
            assert!(known, "template {}: no hook is named {hook}", self.name);
        }
        let mut text = format!("{}\n\n", header.trim_end());
        for piece in self.pieces {
            text += match piece {
                Piece::Text(kept) => kept,
                Piece::Hook { name, default } => {
                    hooks.iter().find(|(hook, _)| hook == name).map_or(default, |(_, f)| f)
                }
            };
        }
        let functions = prelude_for(&text);
        text + &functions
    }
}

/// The prelude functions whose names occur in `text`, and all that they call, in the order of the prelude.
pub fn prelude_for(text: &str) -> String {
    let position = |word: &str| PRELUDE.iter().position(|f| f.name == word);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut open: Vec<usize> = words.filter_map(position).collect();
    let mut used = vec![false; PRELUDE.len()];
    while let Some(i) = open.pop() {
        if !used[i] {
            used[i] = true;
            open.extend(PRELUDE[i].calls.iter().filter_map(|call| position(call)));
        }
    }
    let functions = PRELUDE.iter().zip(used).filter(|(_, used)| *used);
    functions.map(|(f, _)| format!("\n{}\n", f.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<uniform> params: array<vec4<u32>, 1>;";

    #[test]
    fn defaults_give_back_the_file() {
        for template in TEMPLATES {
            let header: Vec<&str> = template.header.iter().map(|(_, line)| *line).collect();
            let text = template.compose(&header.join("\n"), &[]);
            for piece in template.pieces {
                let (Piece::Text(part) | Piece::Hook { default: part, .. }) = piece;
                assert!(text.contains(part), "{}: {part}", template.name);
            }
            for (name, line) in template.header {
                assert_eq!(text.matches(line).count(), 1, "{}: {name}", template.name);
            }
        }
    }

    #[test]
    fn header_and_hooks_replace_the_defaults() {
        let text = MAP.compose(HEADER, &[("hook_element", "fn hook_element(i: u32) { out[i] = 7.0; }")]);
        assert!(text.starts_with(HEADER));
        assert!(text.contains("out[i] = 7.0;") && !text.contains("y[i] = 0.0"));
        assert_eq!(text.matches("var<").count(), 2);
        assert_eq!(text.matches("fn hook_element").count(), 1);
        assert_eq!(MAP.workgroup_size, [64, 1, 1]);
        assert_eq!(MAP.header[0].0, "params");
        assert_eq!(REDUCE_THREAD.header.iter().map(|h| h.0).collect::<Vec<_>>(), ["x", "y", "T", "N_ROWS", "N_COLS"]);
    }

    #[test]
    #[should_panic(expected = "template map: no hook is named hook_load")]
    fn an_unknown_hook_panics() {
        MAP.compose(HEADER, &[("hook_load", "fn hook_load() {}")]);
    }

    #[test]
    fn the_prelude_comes_along_with_all_it_calls() {
        let text = MAP.compose(HEADER, &[("hook_element", "fn hook_element(i: u32) { out[i] = tanh_(out[i]); }")]);
        for name in ["tanh_", "exp_", "scale_", "inf_", "from_bits_", "is_nan", "magnitude_"] {
            assert_eq!(text.matches(&format!("fn {name}(")).count(), 1, "{name}");
        }
        assert!(!text.contains("fn ln_(") && !text.contains("fn philox_("));
        assert_eq!(prelude_for("my_tanh_ + tanh_x"), "");
    }

    #[test]
    fn every_call_is_listed() {
        for function in PRELUDE {
            for callee in PRELUDE.iter().filter(|f| f.name != function.name) {
                let written =
                    function.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == callee.name);
                assert_eq!(written, function.calls.contains(&callee.name), "{} calls {}", function.name, callee.name);
            }
        }
    }
}
