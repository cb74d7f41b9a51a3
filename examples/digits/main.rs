//! Learns to read handwritten digits: 1,797 grey images of 8 x 8 pixels, a network of two layers, Adam.
//!
//!     cargo run --release --example digits
//!     cargo run --release --example digits -- --device cpu --epochs 10 --json
//!
//! Here are the program and its training loop; the network is in `net.rs`, the images are in `data.rs`, and what is
//! made of the results is in `../common/learning.rs`. All of it is plain tensors: nothing is hidden in a layer or a trainer.

#[path = "../common/mod.rs"]
mod common;
mod data;
#[path = "../common/learning.rs"]
mod learning;
mod net;

use clap::Parser;
use common::{Common, Error, Result};
use data::{CLASSES, Set};
use indicatif::{ProgressBar, ProgressStyle};
use learning::Epoch;
use net::Mlp;
use std::path::{Path, PathBuf};
use std::{process::ExitCode, time::Instant};
use wgrad::{Tensor, optim::Adam};

/// Trains a small network on the optical digits set and says how well it reads images it has not seen.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The images: one per line, 64 pixels of 0..16 and the label 0..9, separated by commas
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv"))]
    data: PathBuf,
    /// Where the weights and the loss curve go
    #[arg(long, value_name = "DIR", default_value = "target/digits")]
    out: PathBuf,
    /// How often every training image is seen
    #[arg(long, value_name = "NUMBER", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
}

const BATCH: usize = 64;
const LEARNING_RATE: f64 = 5e-3;

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("digits", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let (seen, unseen) = data::split(data::read(&args.data)?)?;
    println!("data: {} images to learn from, {} to be tested on", seen.len(), unseen.len());
    std::fs::create_dir_all(&args.out).map_err(about(&args.out))?;

    let dev = args.common.open()?;
    let (training, test) = (Set::new(&seen, &dev), Set::new(&unseen, &dev));
    let net = Mlp::new(&dev)?;
    let history = train(&net, &training, &test, args.epochs)?;
    println!("\n{}", learning::confusion_table(&test.y.to_vec()?, &net.read(&test.x).to_vec()?, CLASSES));

    let (weights, picture) = (args.out.join("digits.safetensors"), args.out.join("loss.svg"));
    learning::draw(&history, &picture).map_err(about(&picture))?;
    println!("wrote {}: loss and accuracy by epoch", picture.display());
    net.save(&weights).map_err(about(&weights))?;
    println!("wrote {}: the {} parameters", weights.display(), net.count());

    // The file holds all that was learned: a network made of it reads the test images exactly as well.
    let loaded = Mlp::load(&weights, &dev).map_err(about(&weights))?;
    let (right, again) = (test.right(&net).item()?, test.right(&loaded).item()?);
    if right != again {
        return Err(
            format!("{}: loaded back, it reads {again} images right instead of {right}", weights.display()).into()
        );
    }
    let accuracy = right / unseen.len() as f64;
    let seconds = start.elapsed().as_secs_f64();
    println!("test accuracy {:.2} %, and the same with the weights loaded back; {seconds:.1} s", 100.0 * accuracy);
    args.common.report(serde_json::json!({
        "device": dev.name(), "test_accuracy": accuracy, "train_loss": history.last().map(|e| e.train_loss),
        "seconds": seconds, "epochs": args.epochs, "parameters": net.count(), "files": [picture, weights],
    }));
    Ok(ExitCode::SUCCESS)
}

fn train(net: &Mlp, training: &Set, test: &Set, epochs: u32) -> Result<Vec<Epoch>> {
    let (dev, n) = (training.y.device(), training.y.numel());
    let mut adam = Adam::new(net.parameters().map(|(_, p)| p), LEARNING_RATE);
    let mut history = Vec::new();
    // Drawn only where someone is looking: in a log there are just the lines.
    let bar = ProgressBar::new(epochs as u64 * n.div_ceil(BATCH) as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos} of {len} steps, {eta} left")?);
    for epoch in 1..=epochs {
        let order = Tensor::randperm(n, &dev).to_vec::<i32>()?;
        let total = Tensor::zeros((), &dev);
        for batch in order.chunks(BATCH) {
            // All images are on the device already; what travels there are 64 row numbers.
            let rows = Tensor::new(batch, &dev);
            let (x, y) = (training.x.index_select(0, &rows), training.y.index_select(0, &rows));
            // Up to `step` nothing is computed: operations are recorded, those of `backward` as well. `step` hands all
            // of them to the device as one plan, which the cache has from the second step on.
            let loss = net.forward(&x).cross_entropy(&y);
            adam.zero_grad();
            loss.backward()?;
            // Reading the loss would be waiting for it, each step. It is summed up on the device instead.
            total.add_(loss.detach() * batch.len())?;
            adam.step()?;
            bar.inc(1);
        }
        // The figures of the epoch are read at once: only here does the program wait for the device.
        let figures = Tensor::stack(&[total, test.loss(net), test.right(net)], 0).to_vec::<f64>()?;
        let (train_loss, test_accuracy) = (figures[0] / n as f64, figures[2] / test.y.numel() as f64);
        let e = Epoch { train_loss, test_loss: figures[1], test_accuracy };
        bar.suspend(|| {
            let percent = 100.0 * e.test_accuracy;
            println!(
                "epoch {epoch:3}: loss {:.4}, test loss {:.4}, test accuracy {percent:.2} %",
                e.train_loss, e.test_loss
            );
        });
        history.push(e);
    }
    bar.finish_and_clear();
    Ok(history)
}

/// Says which file an error is about.
pub fn about<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Error {
    move |error| format!("{}: {error}", path.display()).into()
}
