//! Lines that print themselves and what they give.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use wgrad::Tensor;

static LINES: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);

/// Prints a line, does what it says, and prints and checks what it gives.
macro_rules! show {
    (let $x:ident = $e:expr => $want:expr) => { show!(@value $x, concat!("let ", stringify!($x), " = ", stringify!($e)), $e, $want) };
    (let $x:ident = $e:expr) => { $crate::show::say(concat!("let ", stringify!($x), " = ", stringify!($e)), "\n"); let $x = $e; };
    ($e:expr => $want:expr) => { show!(@value x, stringify!($e), $e, $want); let _ = x; };
    ($e:expr) => { $crate::show::say(stringify!($e), "\n"); let _ = $e; };
    (@value $x:ident, $source:expr, $e:expr, $want:expr) => {
        $crate::show::say($source, "");
        let $x = $e;
        $crate::show::check(&$x.gives(), $want);
    };
}

/// Prints the title of a chapter.
pub fn title(text: &str) {
    println!("\n{text}");
}

/// Prints a comment.
pub fn note(text: &str) {
    println!("\n  // {text}");
}

/// How many lines were shown, and how many gave something else than they should.
pub fn counts() -> (usize, usize) {
    (LINES.load(Relaxed), WRONG.load(Relaxed))
}

/// Prints the source of a line, without the breaks it may have.
pub fn say(source: &str, end: &str) {
    LINES.fetch_add(1, Relaxed);
    print!("  {}{end}", source.split_whitespace().collect::<Vec<_>>().join(" "));
}

/// Prints what a line gives, and whether that is what it should give.
pub fn check(gives: &str, want: &str) {
    println!("\n      {gives}");
    if gives != want && !(want == "error" && gives.starts_with("error: ")) {
        WRONG.fetch_add(1, Relaxed);
        println!("      WRONG, should be: {want}");
    }
}

/// What a value looks like on one line.
pub trait Gives {
    fn gives(&self) -> String;
}

impl Gives for Tensor {
    fn gives(&self) -> String {
        let node = self.grad_fn().map(|node| format!(" {node:?}")).unwrap_or_default();
        self.to_string().split_whitespace().collect::<Vec<_>>().join(" ") + &node
    }
}

impl Gives for Option<Tensor> {
    fn gives(&self) -> String {
        self.as_ref().map_or("None".into(), Tensor::gives)
    }
}

impl<const N: usize> Gives for [Option<Tensor>; N] {
    fn gives(&self) -> String {
        self.each_ref().map(Gives::gives).join(", ")
    }
}

impl<T> Gives for wgrad::Result<T> {
    fn gives(&self) -> String {
        self.as_ref().map_or_else(|error| format!("error: {error}"), |_| "no error".into())
    }
}

macro_rules! debug {
    ($($T:ty)*) => { $(impl Gives for $T { fn gives(&self) -> String { format!("{self:?}") } })* };
}
debug!(bool usize f64 Option<bool> [bool; 3] (bool, bool, bool, bool) (bool, bool) [(bool, bool); 3] [&str; 2] Vec<usize>);

impl Gives for &'static str {
    fn gives(&self) -> String {
        self.to_string()
    }
}
