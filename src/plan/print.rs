//! Plans in words.

use super::{Binding, Kernel, Place, Plan, Slot};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.annotated(|_| String::new()))
    }
}

impl Plan {
    /// The plan in words, with a remark behind each kernel.
    pub fn annotated(&self, remark: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        let bytes: usize = self.slots.iter().map(|slot| slot.bytes).sum();
        let (kernels, buffers) = (counted(self.kernels.len(), "kernel"), counted(self.slots.len(), "buffer"));
        text += &format!("{kernels}, {buffers}, {bytes} bytes\n");
        for (at, kernel) in self.kernels.iter().enumerate() {
            text += &format!("{at:4}: {kernel}{}\n", remark(at));
        }
        for (at, slot) in self.slots.iter().enumerate() {
            let held: Vec<String> =
                self.held.iter().filter(|(_, s)| *s == at).map(|(node, _)| format!("%{node}")).collect();
            let kept = if held.is_empty() { String::new() } else { format!(", kept as {}", held.join(" ")) };
            text += &format!("{:>5} {slot}{kept}\n", format!("s{at}:"));
        }
        text
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |listed: fn(&&Binding) -> bool| -> String {
            let places: Vec<String> = self.bindings.iter().filter(listed).map(|b| b.place.to_string()).collect();
            places.join(" ")
        };
        let (reads, writes) = (list(|b| b.read), list(|b| b.write));
        let arrow = if reads.is_empty() { "->" } else { " ->" };
        write!(
            f,
            "{:<24} {reads}{arrow} {writes}, {}",
            self.label,
            counted(self.workgroups.iter().map(|&n| n as usize).product(), "group")
        )?;
        let outputs: Vec<String> = self.outputs.iter().map(|output| format!("%{}", output.node)).collect();
        if outputs.is_empty() { Ok(()) } else { write!(f, ", gives {}", outputs.join(" ")) }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, used {}..={}", self.bytes, self.used.0, self.used.1)?;
        self.input.map_or(Ok(()), |input| write!(f, ", taken over from x{input}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Input(i) => write!(f, "x{i}"),
            Place::Slot(s) => write!(f, "s{s}"),
            Place::Status => f.write_str("status"),
        }
    }
}

fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
