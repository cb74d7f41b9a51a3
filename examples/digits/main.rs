//! Learns to read handwritten digits: 1,797 grey images of 8 x 8 pixels, a network of two layers, Adam.
//!
//!     cargo run --release --example digits
//!     cargo run --release --example digits -- --device cpu --epochs 10 --json
//!
//! Here are the program and its training loop; the network is in `net.rs`, and the images are in `data.rs`. All of it is
//! plain tensors: nothing is hidden in a layer or a trainer. `wgrad::train` shows progress, and counts what is read right.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod net;

use clap::Parser;
use common::{Common, Result, about};
use data::{CLASSES, Set};
use net::Mlp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{process::ExitCode, time::Instant};
use wgrad::train::{Accuracy, ConfusionMatrix, Curves, MeanMetric, Metric, Metrics, Progress};
use wgrad::{Tensor, autograd::no_grad, optim::Adam};

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
    let curves = train(&net, &training, &test, args.epochs)?;
    let mut confusion = ConfusionMatrix::multiclass(CLASSES);
    confusion.update(&net.read(&test.x), &test.y);
    println!("\n{}\n", confusion.compute()?);

    let (weights, picture) = (args.out.join("digits.safetensors"), args.out.join("loss.svg"));
    curves.save(&picture)?;
    println!("wrote {}: loss and accuracy by step", picture.display());
    net.save(&weights)?;
    println!("wrote {}: the {} parameters", weights.display(), net.count());

    // The file holds all that was learned: a network made of it reads the test images exactly as well.
    let loaded = Mlp::load(&weights, &dev)?;
    let (accuracy, again) = (examine(&net, &test)?["accuracy"], examine(&loaded, &test)?["accuracy"]);
    if accuracy != again {
        return Err(format!("{}: loaded back, its accuracy is {again} instead of {accuracy}", weights.display()).into());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("test accuracy {:.2} %, and the same with the weights loaded back; {seconds:.1} s", 100.0 * accuracy);
    args.common.report(serde_json::json!({
        "device": dev.name(), "test_accuracy": accuracy, "train_loss": curves.points("loss/training").last().map(|(_, loss)| *loss),
        "seconds": seconds, "epochs": args.epochs, "parameters": net.count(), "files": [picture, weights],
    }));
    Ok(ExitCode::SUCCESS)
}

/// The loss and the accuracy on images, read at once.
fn examine(net: &Mlp, set: &Set) -> wgrad::Result<BTreeMap<String, f64>> {
    let _unrecorded = no_grad();
    let loss = MeanMetric::of(Tensor::cross_entropy);
    let mut metrics = Metrics::new().with("loss", loss).with("accuracy", Accuracy::multiclass(CLASSES));
    metrics.update(&net.forward(&set.x), &set.y);
    metrics.compute()
}

fn train(net: &Mlp, training: &Set, test: &Set, epochs: u32) -> Result<Curves> {
    let (dev, n) = (training.y.device(), training.y.numel());
    let mut adam = Adam::new(net.parameters().map(|(_, p)| p), LEARNING_RATE);
    let (mut curves, mut train_loss) = (Curves::new(), MeanMetric::default());
    let progress = Progress::steps(epochs as u64 * n.div_ceil(BATCH) as u64);
    for epoch in 1..=epochs {
        let order = Tensor::randperm(n, &dev).to_vec::<i32>()?;
        for batch in progress.over(order.chunks(BATCH)) {
            // All images are on the device already; what travels there are 64 row numbers.
            let rows = Tensor::new(batch, &dev);
            let (x, y) = (training.x.index_select(0, &rows), training.y.index_select(0, &rows));
            // Up to `step` nothing is computed: operations are recorded, those of `backward` as well. `step` hands all
            // of them to the device as one plan, which the cache has from the second step on.
            let loss = net.forward(&x).cross_entropy(&y);
            adam.zero_grad();
            loss.backward()?;
            // Reading the loss would be waiting for it, each step. It is summed up on the device instead.
            train_loss.add(&loss, batch.len() as f64);
            adam.step()?;
        }
        // Only here does the program wait for the device.
        let (loss, scores) = (train_loss.compute()?, examine(net, test)?);
        train_loss.reset();
        let (test_loss, percent) = (scores["loss"], 100.0 * scores["accuracy"]);
        progress.println(format!(
            "epoch {epoch:3}: loss {loss:.4}, test loss {test_loss:.4}, test accuracy {percent:.2} %"
        ));
        let step = progress.position();
        curves.scalar("loss/training", step, loss);
        curves.scalar("loss/test", step, test_loss);
        curves.scalar("test accuracy in %", step, percent);
    }
    Ok(curves)
}
