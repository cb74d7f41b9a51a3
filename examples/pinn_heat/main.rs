//! Solves the heat equation without data: a network is trained until its own derivatives fulfil it.
//!
//!     cargo run --release --example pinn_heat
//!     cargo run --release --example pinn_heat -- --device cpu --steps 300 --json
//!
//! `u_t = α u_xx` for a rod from 0 to 1 whose ends stay at 0, and that starts as `sin πx`. The loss is the mean square of
//! `u_t - α u_xx` at random points: it holds second derivatives by the place, and training takes the derivatives of those
//! by the weights. Start and ends hold by construction: `u = sin πx + t x (1 - x) N(x, t)` for the network `N`, after
//! [Lagaris 1998](https://arxiv.org/abs/physics/9705023). The exact solution, `exp(-π² α t) sin πx`, is used only to
//! measure the error.

#[path = "../common/mod.rs"]
mod common;
mod picture;

use clap::Parser;
use common::{Common, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::f64::consts::PI;
use std::path::PathBuf;
use std::{process::ExitCode, time::Instant};
use wgrad::autograd::{GradOptions, grad, grad_of};
use wgrad::{Device, Tensor, optim::Adam};

/// Solves the heat equation with a network whose second derivatives are in its loss.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Where the picture goes
    #[arg(long, value_name = "DIR", default_value = "target/pinn_heat")]
    out: PathBuf,
    /// How many steps the optimizer takes
    #[arg(long, value_name = "NUMBER", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
}

/// How fast heat spreads.
const ALPHA: f64 = 0.2;
const HIDDEN: usize = 32;
const POINTS: usize = 256;
const LEARNING_RATE: f64 = 5e-3;
/// Places, and moments, at which the result is compared.
const GRID: usize = 41;

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("pinn_heat", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let dev = args.common.open()?;
    let net = Net::new(&dev)?;
    let loss = train(&net, args.steps)?;

    let axis = Tensor::linspace(0.0, 1.0, GRID, &dev);
    let (x, t) = (axis.reshape([1, GRID]).expand([GRID, GRID]), axis.reshape([GRID, 1]).expand([GRID, GRID]));
    let u = net.heat(&x.reshape([-1, 1]), &t.reshape([-1, 1])).detach().reshape([GRID, GRID]);
    let exact = (&t * (-PI * PI * ALPHA)).exp() * (&x * PI).sin();
    let error = ((&u - &exact).norm() / exact.norm()).item()?;

    std::fs::create_dir_all(&args.out)?;
    let file = args.out.join("heat.svg");
    picture::draw(&file, &u.to_vec()?, &exact.to_vec()?, GRID)?;
    println!("wrote {}: the network, the exact solution, and how they differ", file.display());
    let seconds = start.elapsed().as_secs_f64();
    println!("relative error {:.3} % after {} steps, residual {loss:.1e}; {seconds:.1} s", 100.0 * error, args.steps);
    args.common.report(serde_json::json!({
        "device": dev.name(), "relative_error": error, "loss": loss, "seconds": seconds, "files": [file],
    }));
    Ok(ExitCode::SUCCESS)
}

fn train(net: &Net, steps: u32) -> Result<f64> {
    let mut adam = Adam::new(net.layers.iter().flatten(), LEARNING_RATE);
    let bar = ProgressBar::new(steps as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos} of {len} steps, {eta} left")?);
    let mut last = 0.0;
    for step in 1..=steps {
        adam.set_lr(LEARNING_RATE * (1.0 - step as f64 / steps as f64) + 1e-5);
        let loss = net.residual(POINTS)?.pow(2.0).mean();
        adam.zero_grad();
        loss.backward()?;
        adam.step()?;
        bar.inc(1);
        if step % 100 == 0 || step == steps {
            last = loss.item()?;
            bar.suspend(|| println!("step {step:4}: loss {last:.2e}"));
        }
    }
    bar.finish_and_clear();
    Ok(last)
}

/// Place and moment, two hidden layers, one number.
struct Net {
    layers: Vec<[Tensor; 2]>,
}

impl Net {
    fn new(dev: &Device) -> Result<Net> {
        let mut layers = Vec::new();
        for (input, output) in [(2, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)] {
            let bound = (6.0 / (input + output) as f64).sqrt();
            let weight = ((Tensor::rand([output, input], dev) * 2.0 - 1.0) * bound).requires_grad_(true)?;
            layers.push([weight, Tensor::zeros([output], dev).requires_grad_(true)?]);
        }
        Ok(Net { layers })
    }

    /// `u` at places and moments, both of shape `[n, 1]`.
    fn heat(&self, x: &Tensor, t: &Tensor) -> Tensor {
        let (last, hidden) = self.layers.split_last().expect("there are layers");
        let inputs = Tensor::cat(&[x.clone(), t.clone()], 1);
        let n = hidden.iter().fold(inputs, |y, [weight, bias]| y.linear(weight, Some(bias)).tanh());
        (x * PI).sin() + t * x * (1.0 - x) * n.linear(&last[0], Some(&last[1]))
    }

    /// `u_t - α u_xx` at random points.
    fn residual(&self, points: usize) -> Result<Tensor> {
        let dev = self.layers[0][0].device();
        let x = Tensor::rand([points, 1], &dev).requires_grad_(true)?;
        let t = Tensor::rand([points, 1], &dev).requires_grad_(true)?;
        let recorded = || GradOptions { create_graph: true, ..Default::default() };
        let first = grad(&[&self.heat(&x, &t).sum()], &[&x, &t], recorded())?;
        let [Some(u_x), Some(u_t)] = &first[..] else { unreachable!("u depends on both") };
        let u_xx = grad_of(&u_x.sum(), &x, recorded())?;
        Ok(u_t - ALPHA * u_xx)
    }
}
