//! One operation of each family at a realistic size, forward and, where that has one, with its gradients.
//!
//! `cargo bench --bench families -- --device llvmpipe` prints a line of JSON for each: `{op, shape, device, ms_median, n}`.
//! `--only PREFIX` runs some; `--list` prints operations and shapes alone, for other libraries to run; `--table FILE...`
//! joins lines of one or more runs, of this or of others, to a table. A call is the work, and waiting until the device
//! has done it. These are measurements of one machine, not tests.

use std::collections::BTreeMap;
use std::time::Instant;
use wgrad::autograd::{GradOptions, grad};
use wgrad::{
    AttentionOptions, BatchNormOptions, ConvOptions, ConvTransposeOptions, DType, Device, InterpolateMode,
    InterpolateOptions, MaxPoolOptions, PadMode, Result, RnnOptions, Tensor,
};

/// What an operand holds.
#[derive(Clone, Copy)]
enum Operand {
    /// Numbers between -1 and 1 of this shape.
    Floats(&'static [usize]),
    /// Integers from 0 up to a number, of this shape.
    Integers(i32, &'static [usize]),
}
use Operand::{Floats as F, Integers as I};

/// An operation over operands; `gradients` asks for those of all floats as well.
struct Entry {
    op: &'static str,
    operands: &'static [Operand],
    gradients: bool,
    f: fn(&[Tensor]) -> Tensor,
}

macro_rules! entries {
    ($($op:literal $(+ $gradients:ident)? [$($operand:expr),*] $f:expr;)*) => {
        &[$(Entry { op: $op, operands: &[$($operand),*], gradients: { let given: &[&str] = &[$(stringify!($gradients))?]; !given.is_empty() }, f: $f }),*]
    };
}

const ENTRIES: &[Entry] = entries! {
    "add" [F(&[1024, 1024]), F(&[1024, 1024])] |x| &x[0] + &x[1];
    "add_row" [F(&[1024, 1024]), F(&[1024])] |x| &x[0] + &x[1];
    "exp" [F(&[1024, 1024])] |x| x[0].exp();
    "sin" [F(&[1024, 1024])] |x| x[0].sin();
    "tanh" [F(&[1024, 1024])] |x| x[0].tanh();
    "gelu" + gradients [F(&[1024, 1024])] |x| x[0].gelu();
    "chain" + gradients [F(&[1024, 1024])] |x| (&x[0] * 1.5 + 0.25).tanh() * &x[0] - x[0].relu();
    "where" [F(&[1024, 1024]), F(&[1024, 1024])] |x| Tensor::where_(&x[0].gt(0.0), &x[0], &x[1]);

    "sum_all" [F(&[2048, 2048])] |x| x[0].sum();
    "sum_rows" [F(&[4096, 1024])] |x| x[0].sum_dim(1, false);
    "sum_columns" [F(&[4096, 1024])] |x| x[0].sum_dim(0, false);
    "amax" [F(&[4096, 1024])] |x| x[0].amax(1, false);
    "argmax" [F(&[4096, 1024])] |x| x[0].argmax(1, false);
    "var" [F(&[4096, 1024])] |x| x[0].var_dim(1, 1.0, false);
    "logsumexp" + gradients [F(&[4096, 1024])] |x| x[0].logsumexp(1, false);
    "cumsum" [F(&[1024, 1024])] |x| x[0].cumsum(1);
    "cumprod" + gradients [F(&[256, 1024])] |x| x[0].cumprod(1);

    "matmul" + gradients [F(&[512, 512]), F(&[512, 512])] |x| x[0].matmul(&x[1]);
    "bmm" [F(&[16, 128, 64]), F(&[16, 64, 128])] |x| x[0].matmul(&x[1]);
    "linear" + gradients [F(&[64, 784]), F(&[256, 784]), F(&[256])] |x| x[0].linear(&x[1], Some(&x[2]));

    "transpose_copy" [F(&[1024, 1024])] |x| x[0].t().copy();
    "cat" [F(&[512, 1024]), F(&[512, 1024])] |x| Tensor::cat(x, 0);
    "pad" [F(&[16, 16, 32, 32])] |x| x[0].pad([1, 1, 1, 1], PadMode::Constant(0.0));
    "roll" [F(&[1024, 1024])] |x| x[0].roll(17, 1);
    "tril" [F(&[1024, 1024])] |x| x[0].tril(0);

    "gather" [F(&[1024, 1024]), I(1024, &[1024, 256])] |x| x[0].gather(1, &x[1]);
    "index_select" [F(&[10000, 128]), I(10000, &[4096])] |x| x[0].index_select(0, &x[1]);
    "scatter_add" [F(&[1024, 1024]), I(1024, &[1024, 256]), F(&[1024, 256])] |x| x[0].scatter_add(1, &x[1], &x[2]);
    "embedding" + gradients [F(&[10000, 128]), I(10000, &[32, 64])] |x| x[1].embedding(&x[0]);
    "sort" [F(&[256, 1024])] |x| x[0].sort(1, false).0;
    "topk" [F(&[256, 1024])] |x| x[0].topk(8, 1, true).0;

    "softmax" + gradients [F(&[4096, 1024])] |x| x[0].softmax(1);
    "layer_norm" + gradients [F(&[4096, 1024]), F(&[1024]), F(&[1024])] |x| {
        x[0].layer_norm(1024, Some(&x[1]), Some(&x[2]), 1e-5)
    };
    "batch_norm" + gradients [F(&[32, 32, 32, 32]), F(&[32]), F(&[32])] |x| {
        let (weight, bias) = (Some(x[1].clone()), Some(x[2].clone()));
        x[0].batch_norm(BatchNormOptions { weight, bias, training: true, ..Default::default() })
    };
    "cross_entropy" + gradients [F(&[4096, 1000]), I(1000, &[4096])] |x| x[0].cross_entropy(&x[1]);
    "mse_loss" + gradients [F(&[1024, 1024]), F(&[1024, 1024])] |x| x[0].mse_loss(&x[1], wgrad::Reduction::Mean);

    "conv1d" + gradients [F(&[16, 32, 256]), F(&[64, 32, 5]), F(&[64])] |x| x[0].conv1d(&x[1], &x[2], padded(2));
    "conv2d" + gradients [F(&[16, 16, 32, 32]), F(&[32, 16, 3, 3]), F(&[32])] |x| x[0].conv2d(&x[1], &x[2], padded(1));
    "conv2d_depthwise" [F(&[8, 64, 32, 32]), F(&[64, 1, 3, 3])] |x| {
        x[0].conv2d(&x[1], None, ConvOptions { groups: 64, ..padded(1) })
    };
    "conv_transpose2d" [F(&[8, 32, 16, 16]), F(&[32, 16, 2, 2])] |x| {
        x[0].conv_transpose2d(&x[1], None, ConvTransposeOptions { stride: 2.into(), ..Default::default() })
    };
    "max_pool2d" + gradients [F(&[16, 32, 32, 32])] |x| x[0].max_pool2d(2, MaxPoolOptions::default());
    "avg_pool2d" [F(&[16, 32, 32, 32])] |x| x[0].avg_pool2d(2, Default::default());
    "interpolate" [F(&[8, 16, 32, 32])] |x| {
        let (scale_factor, mode) = (Some(vec![2.0, 2.0]), InterpolateMode::Linear);
        x[0].interpolate(InterpolateOptions { scale_factor, mode, ..Default::default() })
    };
    "attention" + gradients [F(&[8, 4, 64, 32]), F(&[8, 4, 64, 32]), F(&[8, 4, 64, 32])] |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[2], AttentionOptions { is_causal: true, ..Default::default() })
    };
    "lstm" + gradients [F(&[32, 16, 64]), F(&[1, 16, 64]), F(&[256, 64]), F(&[256, 64]), F(&[256]), F(&[256])] |x| {
        x[0].lstm((&x[1], &x[1]), &x[2..], RnnOptions::default()).0
    };
    "rand" [F(&[1])] |x| Tensor::rand([1024, 1024], &x[0].device());
};

fn padded(by: usize) -> ConvOptions {
    ConvOptions { padding: by.into(), ..Default::default() }
}

impl Operand {
    fn tensor(self, dev: &Device, gradients: bool) -> Result<Tensor> {
        match self {
            Operand::Floats(shape) => {
                let x = Tensor::rand(shape, dev) * 2.0 - 1.0;
                x.sync_value()?.requires_grad_(gradients)
            }
            Operand::Integers(below, shape) => Tensor::randint(0, below, shape, dev).cast(DType::I32).sync_value(),
        }
    }

    fn text(self) -> String {
        let (Operand::Floats(shape) | Operand::Integers(_, shape)) = self;
        shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
    }
}

/// A tensor that is computed, and has no history.
trait Computed: Sized {
    fn sync_value(&self) -> Result<Self>;
}

impl Computed for Tensor {
    fn sync_value(&self) -> Result<Tensor> {
        let x = self.detach().copy();
        x.device().sync()?;
        Ok(x)
    }
}

/// The median time of a call in milliseconds, and of how many.
fn measure(entry: &Entry, gradients: bool, dev: &Device) -> Result<(f64, usize)> {
    dev.manual_seed(0);
    let x: Vec<Tensor> = entry.operands.iter().map(|x| x.tensor(dev, gradients)).collect::<Result<_>>()?;
    let leaves: Vec<&Tensor> = x.iter().filter(|x| x.requires_grad()).collect();
    let call = || -> Result<f64> {
        let start = Instant::now();
        let y = (entry.f)(&x);
        let held = match gradients {
            true => grad(&[&y.sum()], &leaves, GradOptions::default())?,
            false => vec![Some(y)],
        };
        dev.sync()?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        drop(held);
        Ok(ms)
    };
    let warm = Instant::now();
    for i in 0.. {
        call()?;
        if i >= 2 && warm.elapsed().as_secs_f64() > 0.3 {
            break;
        }
    }
    let (begun, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || (times.len() < 100 && begun.elapsed().as_secs_f64() < 1.0) {
        times.push(call()?);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[times.len() / 2], times.len()))
}

/// Joins lines of JSON to a table: a row for each operation, a column for each device, and how the first compares.
fn table(files: &[String]) {
    let mut columns: Vec<String> = Vec::new();
    let mut rows: BTreeMap<(usize, String, String), BTreeMap<String, f64>> = BTreeMap::new();
    let order = |op: &str| ENTRIES.iter().position(|entry| op.starts_with(entry.op)).unwrap_or(ENTRIES.len());
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        for line in text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
            let word = |name: &str| line[name].as_str().unwrap_or_default().to_string();
            let (device, op) = (word("device"), word("op"));
            if !columns.contains(&device) {
                columns.push(device.clone());
            }
            let row = rows.entry((order(&op), op, word("shape"))).or_default();
            row.insert(device, line["ms_median"].as_f64().unwrap_or(f64::NAN));
        }
    }
    println!("| operation | operands | {} | first / fastest other |", columns.join(" | "));
    println!("|---|---|{}", "---|".repeat(columns.len() + 1));
    for ((_, op, shape), times) in &rows {
        let cell = |name: &String| times.get(name).map_or(String::new(), |ms| format!("{ms:.3}"));
        let others = columns[1..].iter().filter_map(|name| times.get(name)).copied().reduce(f64::min);
        let ratio = columns.first().and_then(|name| Some(times.get(name)? / others?));
        let ratio = ratio.map_or(String::new(), |x| if x > 3.0 { format!("**{x:.1}**") } else { format!("{x:.1}") });
        println!("| {op} | {shape} | {} | {ratio} |", columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|i| args.get(i + 1)).map(String::as_str);
    if let Some(at) = args.iter().position(|arg| arg == "--table") {
        table(&args[at + 1..]);
        return Ok(());
    }
    let dev = Device::named(value("--device").unwrap_or("cpu"))?;
    for entry in ENTRIES.iter().filter(|entry| entry.op.starts_with(value("--only").unwrap_or(""))) {
        let shape = entry.operands.iter().map(|x| x.text()).collect::<Vec<_>>().join(",");
        for gradients in [false, true].into_iter().take(1 + entry.gradients as usize) {
            let op = format!("{}{}", entry.op, if gradients { " and gradients" } else { "" });
            if args.iter().any(|arg| arg == "--list") {
                println!("{}", serde_json::json!({ "op": op, "shape": shape }));
                continue;
            }
            let (ms, n) = measure(entry, gradients, &dev)?;
            let device = value("--device").unwrap_or("cpu");
            println!("{}", serde_json::json!({ "op": op, "shape": shape, "device": device, "ms_median": ms, "n": n }));
        }
    }
    Ok(())
}
