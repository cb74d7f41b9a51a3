//! Work that is defined in numbers, so that other libraries can do the same: see `benches/README.md`.
//!
//! `cargo bench --bench workloads -- --device cpu` prints one line of JSON for each workload, and fails if a result is wrong.

mod inputs;
mod networks;
mod timing;

use clap::Parser;
use inputs::{uniform, uniform01};
use serde_json::{Value, json};
use std::time::Instant;
use timing::{Timing, bench, median};
use wgrad::autograd::{GradOptions, grad};
use wgrad::{ConvOptions, Device, Result, Tensor};

/// Measures what libraries for training are measured by.
#[derive(Parser)]
struct Args {
    /// cpu, gpu, or part of an adapter's name
    #[arg(long, value_name = "WORD", default_value = "cpu")]
    device: String,
    /// Only workloads whose name has this in it; `cold` is the time from the start of the process to the first step
    #[arg(long, value_name = "WORD", default_value = "")]
    workload: String,
    /// Each workload a few times: for its result
    #[arg(long)]
    quick: bool,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

const WORKLOADS: [&str; 13] = [
    "matmul_256",
    "matmul_512",
    "matmul_1024",
    "eltwise_1m",
    "eltwise_8m",
    "sum_8m",
    "softmax_4096x1024",
    "layernorm_4096x1024",
    "conv2d_fwdbwd",
    "train_mlp",
    "train_cnn",
    "train_gpt",
    "overhead_add16",
];

fn main() -> Result<()> {
    let args = Args::parse();
    let dev = Device::named(&args.device)?;
    if args.workload == "cold" {
        return cold(&dev);
    }
    for name in WORKLOADS.into_iter().filter(|name| name.contains(&args.workload)) {
        match name.strip_prefix("train_") {
            Some(_) => train(name, &dev, args.quick)?,
            None => operation(name, &dev, args.quick)?,
        }
    }
    Ok(())
}

/// What a workload computes, besides training.
fn work(name: &str, dev: &Device) -> Box<dyn Fn() -> Vec<Tensor>> {
    let one = |f: Box<dyn Fn() -> Tensor>| -> Box<dyn Fn() -> Vec<Tensor>> { Box::new(move || vec![f()]) };
    match name {
        "eltwise_1m" | "eltwise_8m" => {
            let x = uniform(11, &[1 << if name == "eltwise_1m" { 20 } else { 23 }], 2.0, dev);
            one(Box::new(move || (&x * 1.5 + 0.25).tanh() * &x - x.relu()))
        }
        "sum_8m" => {
            let x = uniform01(12, &[1 << 23], dev);
            one(Box::new(move || x.sum()))
        }
        "softmax_4096x1024" => {
            let x = uniform(13, &[4096, 1024], 4.0, dev);
            one(Box::new(move || x.softmax(1)))
        }
        "layernorm_4096x1024" => {
            let x = uniform(14, &[4096, 1024], 2.0, dev);
            let (w, b) = ((uniform(15, &[1024], 0.1, dev) + 1.0), uniform(16, &[1024], 0.1, dev));
            one(Box::new(move || x.layer_norm(1024, Some(&w), Some(&b), 1e-5)))
        }
        "conv2d_fwdbwd" => {
            let leaf = |x: Tensor| x.requires_grad_(true).expect("a new tensor");
            let x = leaf(uniform(101, &[16, 16, 32, 32], 1.0, dev));
            let w = inputs::weights(102, &[32, 16, 3, 3], 144, dev);
            let b = leaf(uniform(103, &[32], 0.1, dev));
            let r = uniform(104, &[16, 32, 32, 32], 1.0, dev);
            Box::new(move || {
                let options = ConvOptions { padding: 1.into(), ..Default::default() };
                let loss = (x.conv2d(&w, Some(&b), options) * &r).sum();
                let gradients =
                    grad(&[&loss], &[&x, &w, &b], GradOptions::default()).expect("the loss has a path to each");
                [loss.detach()].into_iter().chain(gradients.into_iter().flatten()).collect()
            })
        }
        "overhead_add16" => {
            let (x, y) = (Tensor::zeros([16], dev).copy(), Tensor::full([16], 0.001, dev).copy());
            one(Box::new(move || (0..1000).fold(x.clone(), |x, _| x + &y)))
        }
        matmul => {
            let n = matmul["matmul_".len()..].parse().expect("the name ends in a size");
            let (a, b) = (uniform(1, &[n, n], 1.0, dev), uniform(2, &[n, n], 1.0, dev));
            one(Box::new(move || a.matmul(&b)))
        }
    }
}

fn operation(name: &str, dev: &Device, quick: bool) -> Result<()> {
    let f = work(name, dev);
    dev.sync()?;
    let start = Instant::now();
    let first = f();
    dev.sync()?;
    let first_ms = start.elapsed().as_secs_f64() * 1e3;
    let checks = first.iter().map(digest).collect::<Result<Vec<_>>>()?;
    expect(name, &checks);
    let timing = bench(quick, || {
        let y = f();
        dev.sync()?;
        drop(y);
        Ok(())
    })?;
    let y = f();
    dev.sync()?;
    let start = Instant::now();
    y[0].flatten(0, -1).narrow(0, 0, 1).item()?;
    let read_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut extra = json!({ "first_ms": first_ms, "check": checks, "read_after_sync_ms": read_ms });
    let seconds = timing.median() * 1e-3;
    if let Some(n) = name.strip_prefix("matmul_").and_then(|n| n.parse::<f64>().ok()) {
        extra["gflops"] = json!(2.0 * n.powi(3) / seconds / 1e9);
    }
    let bytes = match name {
        "eltwise_1m" => 8.0 * (1 << 20) as f64,
        "eltwise_8m" => 8.0 * (1 << 23) as f64,
        "sum_8m" => 4.0 * (1 << 23) as f64,
        "softmax_4096x1024" | "layernorm_4096x1024" => 8.0 * (1 << 22) as f64,
        _ => 0.0,
    };
    if bytes > 0.0 {
        extra["gbps"] = json!(bytes / seconds / 1e9);
    }
    if name == "overhead_add16" {
        extra["us_per_op"] = json!(timing.median());
    }
    line(name, dev, &timing, extra);
    Ok(())
}

/// Samples of a result and its sums.
fn digest(y: &Tensor) -> Result<[f64; 8]> {
    let y = y.to_vec::<f32>()?;
    let n = y.len();
    let at = |i: usize| y[i.min(n - 1)] as f64;
    let (sum, abs) = y.iter().fold((0.0, 0.0), |(sum, abs), &y| (sum + y as f64, abs + (y as f64).abs()));
    Ok([at(0), at(1), at(n / 3), at(n / 2), at(2 * n / 3), at(n - 1), sum, abs])
}

/// Digests of what PyTorch computes in double precision (`overhead_add16`: in `f32`, as its rounding errors are part of it).
const EXPECTED: &str = include_str!("expected.json");

fn expect(name: &str, checks: &[[f64; 8]]) {
    let expected: Value = serde_json::from_str(EXPECTED).expect("the file is JSON");
    let expected = expected[name].as_array().unwrap_or_else(|| panic!("{name} is not in expected.json"));
    assert_eq!(expected.len(), checks.len(), "{name}");
    for (check, expected) in checks.iter().zip(expected) {
        let size = expected[7].as_f64().expect("a number");
        for (i, x) in check.iter().enumerate() {
            let wanted = expected[i].as_f64().expect("a number");
            // Sums are compared by the sum of magnitudes, elements by their own size.
            let near = if i < 6 { 2e-4 * wanted.abs().max(0.05) } else { 1e-5 * size.max(0.05) };
            assert!((x - wanted).abs() <= near, "{name}: number {i} is {x} instead of {wanted}");
        }
    }
}

fn train(name: &str, dev: &Device, quick: bool) -> Result<()> {
    let losses = match name {
        "train_mlp" => [2.30206, 1.86759],
        "train_cnn" => [2.32342, 1.68488],
        _ => [4.27387, 0.63553],
    };
    let mut step = networks::of(name, dev);
    dev.sync()?;
    let start = Instant::now();
    let loss0 = step()?.item()?;
    let first_ms = start.elapsed().as_secs_f64() * 1e3;
    for _ in 1..20 {
        step()?;
    }
    let loss20 = step()?.item()?;
    for (loss, wanted) in [(loss0, losses[0]), (loss20, losses[1])] {
        assert!((loss - wanted).abs() < 2e-3 * wanted, "{name}: the loss is {loss} instead of {wanted}");
    }
    let mut step = networks::of(name, dev);
    let timing = bench(quick, || {
        step()?;
        dev.sync()
    })?;
    let before = dev.stats();
    let mut queued = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        for _ in 0..20 {
            step()?;
        }
        dev.sync()?;
        queued.push(start.elapsed().as_secs_f64() * 1e3 / 20.0);
    }
    let kernels = (dev.stats().kernels - before.kernels) as f64 / 60.0;
    line(
        name,
        dev,
        &timing,
        json!({
            "loss0": loss0, "loss20": loss20, "first_ms": first_ms, "ms_per_step_pipelined": median(&queued),
            "kernels_per_step": kernels,
        }),
    );
    Ok(())
}

/// From the start of the process to the end of the first step.
fn cold(dev: &Device) -> Result<()> {
    let mut step = networks::of("train_mlp", dev);
    let loss0 = step()?.item()?;
    dev.sync()?;
    let ms = timing::ms_since_start();
    let timing = Timing::once(ms);
    line("cold_start_mlp", dev, &timing, json!({ "loss0": loss0 }));
    Ok(())
}

fn line(name: &str, dev: &Device, timing: &Timing, mut extra: Value) {
    for (key, x) in timing.extra() {
        extra[key] = json!(x);
    }
    let (low, high) = timing.bounds();
    println!(
        "{}",
        json!({
            "peer": "wgrad", "version": env!("CARGO_PKG_VERSION"), "backend": dev.name(), "workload": name,
            "ms_median": timing.median(), "ms_min": low, "ms_max": high, "n": timing.ms.len(), "extra": extra,
        })
    );
}
