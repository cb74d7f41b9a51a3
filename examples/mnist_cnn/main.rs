//! Learns to read images: a convolutional network with batch norm and dropout, on the files of MNIST or of its relatives.
//!
//!     cargo run --release --example mnist_cnn
//!     cargo run --release --example mnist_cnn -- --data /usr/share/datasets/fashion-mnist --epochs 10
//!     cargo run --release --example mnist_cnn -- --data /usr/share/datasets/fashion-mnist --epochs 10 --resume
//!
//! The first command takes Fashion-MNIST where it is installed, and the digits beside the examples otherwise. A run that was
//! stopped, at whatever moment, goes on with `--resume` and ends with the same weights as one that was not.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod net;
mod sheet;

use clap::Parser;
use common::{Common, Result, about, finite};
use data::{CLASSES, Set, Sets};
use net::Cnn;
use sheet::Reading;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{process::ExitCode, time::Instant};
use wgrad::autograd::no_grad;
use wgrad::data::{DataLoader, Dataset, LoaderOptions, Shuffle};
use wgrad::io::{Best, Checkpoint, Checkpoints, save_safetensors};
use wgrad::nn::Module;
use wgrad::optim::{AdamW, Optimizer, Schedule, Scheduler};
use wgrad::train::{
    Accuracy, Confusion, ConfusionMatrix, Curves, Log, MeanMetric, Metric, Metrics, NanStrategy, Progress,
};
use wgrad::{DType, Device, Tensor};

/// Trains a convolutional network on MNIST, Fashion-MNIST, or the digits beside the examples.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The folder of the four IDX files, packed by gzip or not [default: Fashion-MNIST if installed, else small digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where checkpoints, weights, logs and pictures go
    #[arg(long, value_name = "DIR", default_value = "target/mnist_cnn")]
    out: PathBuf,
    /// How often every training image is seen
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// How many images at most are taken to learn from, and to be tested on [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Go on with the last checkpoint, under the same arguments; otherwise the run begins anew, and old checkpoints go
    #[arg(long)]
    resume: bool,
}

/// Losses, rates and accuracies by step, from which the curve is drawn.
const LOG: &str = "log.jsonl";
const BATCH: usize = 128;
const TEST_BATCH: usize = 500;
const LEARNING_RATE: f64 = 2e-3;
/// The part of the steps in which the learning rate rises; then it falls to 0.
const WARMUP: f64 = 0.1;
/// Steps from one checkpoint to the next; there is one after every epoch too.
const SAVE_EVERY: u64 = 100;
/// Steps over which the loss is averaged on the device before it is read.
const READ_EVERY: u64 = 20;

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("mnist_cnn", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let Sets { name, size, training, test } =
        data::read(args.data.as_deref(), args.limit.map_or(usize::MAX, |limit| limit as usize))?;
    let [height, width] = size;
    println!(
        "data: {name}: {} images of {height} x {width} to learn from, {} to be tested on",
        training.len(),
        test.len()
    );

    let dev = args.common.open()?;
    let net = Cnn::new(size, &dev);
    let begun = Instant::now();
    let epochs = train(args, &net, &training, &test, &dev)?;
    // Of the epochs of this run, each with its test.
    let epoch_seconds = (epochs > 0.0).then(|| begun.elapsed().as_secs_f64() / epochs);

    let (scores, confusion, readings) = examine(&net, &test, &dev)?;
    let (loss, accuracy) = (scores["loss"], scores["accuracy"]);
    println!("\n{confusion}\n");
    let [curve, wrong, weights] = ["curve.svg", "misread.svg", "mnist_cnn.safetensors"].map(|name| args.out.join(name));
    let curves = Curves::read(args.out.join(LOG))?;
    curves.save(&curve)?;
    println!("wrote {}: loss and accuracy by step", curve.display());
    sheet::draw(&test, &readings, &wrong).map_err(about(&wrong))?;
    println!("wrote {}: what it misreads", wrong.display());
    save_safetensors(&weights, &net.state_dict().into_iter().collect::<Vec<_>>())?;
    println!("wrote {}: the weights, for PyTorch too", weights.display());
    let seconds = start.elapsed().as_secs_f64();
    println!("test accuracy {:.2} %, test loss {loss:.4}; {seconds:.1} s", 100.0 * accuracy);
    args.common.report(serde_json::json!({
        "device": dev.name(), "data": name, "images": training.len(), "test_images": test.len(), "epochs": args.epochs,
        "test_accuracy": accuracy, "test_loss": loss, "train_loss": curves.points("loss/training").last().map(|(_, loss)| *loss),
        "seconds": seconds, "epoch_seconds": epoch_seconds,
        "parameters": net.parameters().iter().map(Tensor::numel).sum::<usize>(), "files": [curve, wrong, weights],
    }));
    Ok(ExitCode::SUCCESS)
}

/// Trains up to the last epoch, and says how many were trained now.
fn train(args: &Args, net: &Cnn, training: &Set, test: &Set, dev: &Device) -> Result<f64> {
    let [folder, lines, events] = ["checkpoints", LOG, "tensorboard"].map(|name| args.out.join(name));
    for path in [&folder, &lines, &events].into_iter().filter(|path| !args.resume && path.exists()) {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        removed.map_err(about(path))?;
    }
    let checkpoints = Checkpoints::open(&folder)?.keep_last(2).keep_best(Best::Highest);
    let mut log = Log::new().json_lines(&lines)?.tensorboard(&events)?;
    let sampler = Box::new(Shuffle { seed: args.common.seed });
    let options = LoaderOptions { batch_size: BATCH, sampler, workers: 1, ..Default::default() };
    let loader = DataLoader::new(training.clone(), dev, options)?;
    let steps = args.epochs as usize * loader.len();
    let mut adamw = AdamW { lr: LEARNING_RATE, weight_decay: 1e-2, ..Default::default() }.over(&net.parameters());
    let warmup = (WARMUP * steps as f64).ceil() as usize;
    let schedule = Schedule::Cosine { t_max: (steps - warmup).max(1), eta_min: 0.0 }.after_warmup(warmup);
    let mut scheduler = Scheduler::new(&mut adamw, schedule);
    let mut train_loss = MeanMetric::default().nan_strategy(NanStrategy::Disable);
    let mut step = 0;

    let (last, damaged) = checkpoints.latest_whole()?;
    damaged.iter().for_each(|error| eprintln!("left out: {error}"));
    if let Some(checkpoint) = last {
        net.load_state_dict(checkpoint.part("model")?)?;
        adamw.load_state_dict(checkpoint.part("optimizer")?)?;
        scheduler.load_state_dict(&mut adamw, checkpoint.part("scheduler")?)?;
        train_loss.load_state_dict(checkpoint.part("train_loss")?, dev)?;
        loader.load_state(checkpoint.loader()?);
        checkpoint.restore_rng(dev)?;
        step = checkpoint.step();
        println!("going on after step {step} of {steps}");
    } else if args.resume {
        println!("no checkpoint in {}: beginning anew", folder.display());
    }
    let checkpoint = |step, adamw: &Optimizer, scheduler: &Scheduler, train_loss: &MeanMetric| {
        Checkpoint::new(step)
            .with("model", net.state_dict())
            .with("optimizer", adamw.state_dict())
            .with("scheduler", scheduler.state_dict())
            .with("train_loss", train_loss.state_dict())
            .with_loader(loader.state())
            .with_rng(dev)
    };

    let progress = Progress::steps(steps as u64).at(step);
    let first = step;
    while loader.state().epoch < args.epochs as u64 {
        net.train(true);
        for batch in progress.over(&loader) {
            let (x, y) = batch?;
            let loss = net.forward(&x).cross_entropy(&y);
            adamw.zero_grad();
            loss.backward()?;
            // Reading the loss would be waiting for it, each step. It is summed up on the device instead.
            train_loss.add(&loss, y.numel() as f64);
            adamw.step()?;
            scheduler.step(&mut adamw);
            step += 1;
            if step % READ_EVERY == 0 {
                let loss = finite(train_loss.compute()?, &checkpoints)?;
                train_loss.reset();
                progress.show("loss", loss);
                log.scalars(step, [("loss/training", loss), ("learning rate", adamw.lr())])?;
            }
            // After the last batch of an epoch comes its test first.
            if step % SAVE_EVERY == 0 && loader.state().batch < loader.len() {
                checkpoints.save(&checkpoint(step, &adamw, &scheduler, &train_loss))?;
            }
        }
        let (scores, ..) = examine(net, test, dev)?;
        let (epoch, loss, percent) = (loader.state().epoch, scores["loss"], 100.0 * scores["accuracy"]);
        progress.println(format!("epoch {epoch:3}: test loss {loss:.4}, test accuracy {percent:.2} %"));
        log.scalars(step, [("loss/test", loss), ("test accuracy in %", percent)])?;
        checkpoints.save(&checkpoint(step, &adamw, &scheduler, &train_loss).with_metric(percent))?;
    }
    Ok((step - first) as f64 / loader.len() as f64)
}

/// Loss and accuracy over a set, which class was read as which, and what the network reads in each image.
fn examine(net: &Cnn, set: &Set, dev: &Device) -> Result<(BTreeMap<String, f64>, Confusion, Vec<Reading>)> {
    let _unrecorded = no_grad();
    net.eval();
    let options = LoaderOptions { batch_size: TEST_BATCH, workers: 1, ..Default::default() };
    let mut metrics = Metrics::new()
        .with("loss", MeanMetric::of(Tensor::cross_entropy))
        .with("accuracy", Accuracy::multiclass(CLASSES));
    let mut confusion = ConfusionMatrix::multiclass(CLASSES);
    let mut readings = Vec::new();
    for batch in &DataLoader::new(set.clone(), dev, options)? {
        let (x, y) = batch?;
        let logits = net.forward(&x);
        let (sure, read) = logits.softmax(1).max_dim(1, false);
        readings.push(Tensor::stack(&[sure, read.cast(DType::F32), y.cast(DType::F32)], 1));
        // Hands the batch to the device, which computes it while the next one is made.
        metrics.update(&logits, &y);
        confusion.update(&logits, &y);
    }
    let rows = Tensor::cat(&readings, 0).to_vec::<f32>()?;
    let reading = |row: &[f32]| Reading { sure: row[0], read: row[1] as i32, label: row[2] as i32 };
    Ok((metrics.compute()?, confusion.compute()?, rows.chunks(3).map(reading).collect()))
}
