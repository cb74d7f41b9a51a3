//! An operation with a gradient of one's own: weights of one bit, trained straight through the function `sign`.
//!
//!     cargo run --release --example custom_function
//!     cargo run --release --example custom_function -- --device cpu --json
//!
//! `sign` has the derivative 0, so nothing can be learned through it. The straight-through estimator gives it another one,
//! that of a clipped identity, and the same loop learns.

#[path = "common/mod.rs"]
mod common;

use clap::Parser;
use common::{Common, Result};
use std::process::ExitCode;
use std::time::Instant;
use wgrad::autograd::{Context, Function, apply};
use wgrad::{Device, Tensor, optim::Adam};

/// Learns weights that are 1 or -1.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// Steps of the optimizer
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
}

/// 1 where `x` is at least 0, else -1; in backward the gradient goes on as it is where `x` lies in [-1, 1].
struct StraightThroughSign;

impl Function for StraightThroughSign {
    fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> wgrad::Result<Vec<Tensor>> {
        ctx.save_for_backward(&[&inputs[0]]);
        Ok(vec![one_bit(&inputs[0])])
    }

    fn backward(&self, ctx: &Context, gradients: &[Option<Tensor>]) -> wgrad::Result<Vec<Option<Tensor>>> {
        let x = &ctx.saved_tensors()[0];
        // Gradients are there for every result, as nothing else was asked for.
        Ok(gradients.iter().map(|g| g.as_ref().map(|g| g.masked_fill(&x.abs().gt(1.0), 0.0))).collect())
    }
}

fn one_bit(x: &Tensor) -> Tensor {
    Tensor::where_(&x.ge(0.0), 1.0, -1.0)
}

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("custom_function", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let dev = args.common.open()?;
    println!("with the derivative of sign, which is 0:");
    let plain = train(&dev, args.steps, |w| Ok(w.sign()))?;
    println!("straight through:");
    let through = train(&dev, args.steps, |w| Ok(apply(StraightThroughSign, &[w])?.remove(0)))?;
    let seconds = start.elapsed().as_secs_f64();
    println!("bits of the weights found: {plain} of {BITS} before, {through} of {BITS} now; {seconds:.1} s");
    args.common.report(serde_json::json!({
        "device": dev.name(), "plain": plain, "straight_through": through, "bits": BITS, "seconds": seconds,
    }));
    Ok(ExitCode::SUCCESS)
}

/// The weights of one layer.
const BITS: usize = INPUTS * OUTPUTS;
const INPUTS: usize = 32;
const OUTPUTS: usize = 4;

/// Learns the weights of a layer from its results; says how many were found.
fn train(dev: &Device, steps: u32, bits: impl Fn(&Tensor) -> wgrad::Result<Tensor>) -> Result<usize> {
    dev.manual_seed(1);
    let secret = one_bit(&Tensor::randn([INPUTS, OUTPUTS], dev));
    let x = Tensor::randn([256, INPUTS], dev);
    let y = x.matmul(&secret);
    let w = (Tensor::randn([INPUTS, OUTPUTS], dev) * 0.1).detach().requires_grad_(true)?;
    let mut adam = Adam::new([&w], 0.02);
    for step in 0..=steps {
        adam.zero_grad();
        let loss = x.matmul(&bits(&w)?).mse_loss(&y, wgrad::Reduction::Mean);
        loss.backward()?;
        if step % 20 == 0 || step == steps {
            println!("  step {step:3}: loss {:.4}", loss.item()?);
        }
        adam.step()?;
    }
    Ok(one_bit(&w).eq(&secret).cast(wgrad::DType::F32).sum().item()? as usize)
}
