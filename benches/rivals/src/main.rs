//! The list of `families.rs` on other libraries, as lines of JSON of the same shape.
//!
//! `cargo run --release --features candle -- --device candle > candle.jsonl`; the devices are `burn-wgpu`, `burn-flex` and
//! `candle`, each with a feature of its name. `--only PREFIX` runs some operations. Each library computes what its users
//! would write: operations that it has not, or only as several lines of others, are left out. Shapes, values and how
//! long is measured are those of `families.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

#[cfg(any(feature = "burn-wgpu", feature = "burn-flex"))]
mod burn;
#[cfg(feature = "candle")]
mod candle;

/// Numbers between -1 and 1 of this shape.
#[derive(Clone, Copy)]
struct F<const D: usize>([usize; D]);

/// Integers from 0 up to a number, of this shape.
#[derive(Clone, Copy)]
struct I<const D: usize>(i32, [usize; D]);

/// An operand: its shape as text, and its value in a library that has devices `Dev`.
trait Operand<Dev> {
    type Value: Clone;
    fn text(&self) -> String;
    fn value(&self, dev: &Dev, gradients: bool) -> Self::Value;
}

/// Whether an operation is measured forward, with its gradients, or once as either.
const FORWARD: &[bool] = &[false];
#[cfg(feature = "candle")]
const GRADIENTS: &[bool] = &[true];
const BOTH: &[bool] = &[false, true];

/// Measures a table of operations in turn: a name, what is measured, operands by name, and an expression of them.
macro_rules! measure {
    ($bench:expr, $dev:expr; $($op:literal $modes:ident [$($x:ident: $operand:expr),*] $y:expr;)*) => {
        $(for &gradients in crate::$modes {
            let dev = device($dev, gradients);
            let shape = [$(crate::Operand::text(&$operand)),*].join(",");
            $bench.run($op, gradients, &shape, || {
                $(let $x = crate::Operand::value(&$operand, &dev, gradients);)*
                move || {
                    $(let $x = $x.clone();)*
                    finish(|| $y, gradients, &dev)
                }
            });
        })*
    };
}
use measure;

fn text(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// Numbers between 0 and 1: others in each call, the same in every run.
fn uniform(n: usize) -> impl Iterator<Item = f64> {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let mut state = CALLS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..n).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    })
}

fn floats(shape: &[usize]) -> Vec<f32> {
    uniform(shape.iter().product()).map(|x| (x * 2.0 - 1.0) as f32).collect()
}

fn integers(below: i32, shape: &[usize]) -> Vec<i32> {
    uniform(shape.iter().product()).map(|x| (x * below as f64) as i32).collect()
}

/// What is measured, and the name of the device in the lines that are printed.
struct Bench {
    device: String,
    only: String,
}

impl Bench {
    /// Prints the median time of a call, which returns what it computed, to be dropped out of the time.
    fn run<T, Call: Fn() -> T>(&self, op: &str, gradients: bool, shape: &str, prepare: impl FnOnce() -> Call) {
        if !op.starts_with(&self.only) {
            return;
        }
        let op = format!("{op}{}", if gradients { " and gradients" } else { "" });
        let measured = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| time(prepare())));
        match measured {
            Ok((ms, n)) => {
                let line =
                    serde_json::json!({ "op": op, "shape": shape, "device": self.device, "ms_median": ms, "n": n });
                println!("{line}");
            }
            Err(_) => eprintln!("{}: {op} failed", self.device),
        }
    }
}

/// The median time of a call in milliseconds, and of how many: the rule of `families.rs`, where tuning kernels is
/// warm-up too, for as long as a minute.
fn time<T>(call: impl Fn() -> T) -> (f64, usize) {
    let call = || {
        let start = Instant::now();
        let held = call();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        drop(held);
        ms
    };
    let warm = Instant::now();
    for i in 0.. {
        call();
        let seconds = warm.elapsed().as_secs_f64();
        if i >= 2 && seconds > 0.3 || seconds > 60.0 {
            break;
        }
    }
    let (begun, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || (times.len() < 100 && begun.elapsed().as_secs_f64() < 1.0) {
        times.push(call());
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times.len())
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|i| args.get(i + 1)).cloned();
    let bench = Bench { device: value("--device").unwrap_or_default(), only: value("--only").unwrap_or_default() };
    match bench.device.as_str() {
        #[cfg(feature = "burn-wgpu")]
        "burn-wgpu" => burn::run(&bench, &burn::wgpu()),
        #[cfg(feature = "burn-flex")]
        "burn-flex" => burn::run(&bench, &::burn::tensor::Device::flex()),
        #[cfg(feature = "candle")]
        "candle" => candle::run(&bench, &candle_core::Device::Cpu),
        other => panic!("--device {other:?}: built without it; it is burn-wgpu, burn-flex or candle, a feature each"),
    }
}
