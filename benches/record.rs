//! What the host pays: recording an operation, playing a graph whose plan is known, and a training step.
//!
//! `cargo bench --bench record` prints medians for the CPU and, where there is an adapter, the GPU. These are
//! measurements of one machine, not tests; what must not grow is asserted in `tests/suite/plans.rs`.

use std::time::Instant;
use wgrad::optim::Adam;
use wgrad::{Device, Result, Tensor};

fn main() -> Result<()> {
    let mut devices = vec![Device::cpu()];
    devices.extend(Device::gpu());
    for dev in devices {
        println!("{}", dev.name());
        chain(&dev)?;
        step(&dev)?;
    }
    Ok(())
}

/// The median of several runs of a function that tells its own numbers.
fn median<const N: usize>(runs: usize, mut f: impl FnMut() -> Result<[f64; N]>) -> Result<[f64; N]> {
    let mut all = Vec::new();
    for _ in 0..runs {
        all.push(f()?);
    }
    Ok(std::array::from_fn(|i| {
        let mut column: Vec<f64> = all.iter().map(|run| run[i]).collect();
        column.sort_by(f64::total_cmp);
        column[runs / 2]
    }))
}

/// 1,000 chained additions on 16 elements: recording alone, and with the flush.
fn chain(dev: &Device) -> Result<()> {
    for requires_grad in [false, true] {
        let x = Tensor::ones([16], dev).copy().requires_grad_(requires_grad)?;
        let [record, flush] = median(21, || {
            let start = Instant::now();
            let mut y = x.clone();
            for _ in 0..1000 {
                y = &y + &x;
            }
            let recorded = start.elapsed();
            dev.sync()?;
            Ok([recorded.as_secs_f64() * 1e3, start.elapsed().as_secs_f64() * 1e3])
        })?;
        let kind = if requires_grad { "for backward" } else { "without grad" };
        println!("  an addition of 16 elements, {kind}: {record:.2} µs recorded, {flush:.2} µs with the flush");
    }
    Ok(())
}

/// One step of a 64-128-10 perceptron with Adam on a batch of 64.
fn step(dev: &Device) -> Result<()> {
    dev.manual_seed(0);
    let (x, target) = (Tensor::rand([64, 64], dev), Tensor::randint(0, 10, [64], dev));
    let leaf = |shape: &[usize]| (Tensor::randn(shape, dev) * 0.1).requires_grad_(true);
    let (w1, b1, w2, b2) = (leaf(&[64, 128])?, leaf(&[128])?, leaf(&[128, 10])?, leaf(&[10])?);
    let mut adam = Adam::new([&w1, &b1, &w2, &b2], 1e-3);
    let mut step = || {
        adam.zero_grad();
        let loss = ((x.matmul(&w1) + &b1).relu().matmul(&w2) + &b2).cross_entropy(&target);
        loss.backward()?;
        adam.step()
    };
    for _ in 0..5 {
        step()?;
    }
    dev.sync()?;
    let before = dev.stats();
    let [ms] = median(51, || {
        let start = Instant::now();
        step()?;
        dev.sync()?;
        Ok([start.elapsed().as_secs_f64() * 1e3])
    })?;
    let after = dev.stats();
    let per_step = |count: fn(&wgrad::Stats) -> u64| (count(&after) - count(&before)) as f64 / 51.0;
    println!(
        "  a step of an MLP 64-128-10, batch 64, Adam: {ms:.2} ms, {} kernels, {} plan hits, {} misses, {} buffers, {} bind groups",
        per_step(|s| s.kernels),
        per_step(|s| s.plan_hits),
        per_step(|s| s.plan_misses),
        per_step(|s| s.buffers),
        per_step(|s| s.bind_groups),
    );
    Ok(())
}
