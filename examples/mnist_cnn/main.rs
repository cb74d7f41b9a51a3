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
#[path = "../common/learning.rs"]
mod learning;
mod net;
mod sheet;

use clap::Parser;
use common::{Common, Error, Result};
use data::{CLASSES, Set, Sets};
use indicatif::{ProgressBar, ProgressStyle};
use learning::Epoch;
use net::Cnn;
use sheet::Reading;
use std::path::{Path, PathBuf};
use std::{process::ExitCode, time::Instant};
use wgrad::autograd::no_grad;
use wgrad::data::{DataLoader, Dataset, LoaderOptions, Shuffle};
use wgrad::io::{Best, Checkpoint, Checkpoints, save_safetensors};
use wgrad::nn::Module;
use wgrad::optim::{AdamW, Optimizer, Schedule, Scheduler};
use wgrad::{DType, Device, StateDict, Tensor};

/// Trains a convolutional network on MNIST, Fashion-MNIST, or the digits beside the examples.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The folder of the four IDX files, packed by gzip or not [default: Fashion-MNIST if installed, else small digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where checkpoints, weights and pictures go
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

const BATCH: usize = 128;
const TEST_BATCH: usize = 500;
const LEARNING_RATE: f64 = 2e-3;
/// The part of the steps in which the learning rate rises; then it falls to 0.
const WARMUP: f64 = 0.1;
/// Steps from one checkpoint to the next; there is one after every epoch too.
const SAVE_EVERY: u64 = 100;

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
    let (history, epochs) = train(args, &net, &training, &test, &dev)?;
    // Of the epochs of this run, each with its test.
    let epoch_seconds = (epochs > 0.0).then(|| begun.elapsed().as_secs_f64() / epochs);

    let (loss, readings) = examine(&net, &test, &dev)?;
    let accuracy = accuracy(&readings);
    let (labels, read): (Vec<i32>, Vec<i32>) = readings.iter().map(|reading| (reading.label, reading.read)).unzip();
    println!("\n{}", learning::confusion_table(&labels, &read, CLASSES));
    let [curve, wrong, weights] = ["curve.svg", "misread.svg", "mnist_cnn.safetensors"].map(|name| args.out.join(name));
    learning::draw(&history, &curve).map_err(about(&curve))?;
    println!("wrote {}: loss and accuracy by epoch", curve.display());
    sheet::draw(&test, &readings, &wrong).map_err(about(&wrong))?;
    println!("wrote {}: what it misreads", wrong.display());
    save_safetensors(&weights, &net.state_dict().into_iter().collect::<Vec<_>>())?;
    println!("wrote {}: the weights, for PyTorch too", weights.display());
    let seconds = start.elapsed().as_secs_f64();
    println!("test accuracy {:.2} %, test loss {loss:.4}; {seconds:.1} s", 100.0 * accuracy);
    args.common.report(serde_json::json!({
        "device": dev.name(), "data": name, "images": training.len(), "test_images": test.len(), "epochs": args.epochs,
        "test_accuracy": accuracy, "test_loss": loss, "train_loss": history.last().map(|e| e.train_loss),
        "seconds": seconds, "epoch_seconds": epoch_seconds,
        "parameters": net.parameters().iter().map(Tensor::numel).sum::<usize>(), "files": [curve, wrong, weights],
    }));
    Ok(ExitCode::SUCCESS)
}

/// Trains up to the last epoch, and says what is known after each, and how many were trained now.
fn train(args: &Args, net: &Cnn, training: &Set, test: &Set, dev: &Device) -> Result<(Vec<Epoch>, f64)> {
    let folder = args.out.join("checkpoints");
    if !args.resume && folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(about(&folder))?;
    }
    let checkpoints = Checkpoints::open(&folder)?.keep_last(2).keep_best(Best::Highest);
    let sampler = Box::new(Shuffle { seed: args.common.seed });
    let options = LoaderOptions { batch_size: BATCH, sampler, workers: 1, ..Default::default() };
    let loader = DataLoader::new(training.clone(), dev, options)?;
    let steps = args.epochs as usize * loader.len();
    let mut adamw = AdamW { lr: LEARNING_RATE, weight_decay: 1e-2, ..Default::default() }.over(&net.parameters());
    let warmup = (WARMUP * steps as f64).ceil() as usize;
    let schedule = Schedule::Cosine { t_max: (steps - warmup).max(1), eta_min: 0.0 }.after_warmup(warmup);
    let mut scheduler = Scheduler::new(&mut adamw, schedule);
    let mut progress = Progress { total: Tensor::zeros((), dev), history: Vec::new() };
    let mut step = 0;

    let (last, damaged) = checkpoints.latest_whole()?;
    damaged.iter().for_each(|error| eprintln!("left out: {error}"));
    if let Some(checkpoint) = last {
        net.load_state_dict(checkpoint.part("model")?)?;
        adamw.load_state_dict(checkpoint.part("optimizer")?)?;
        scheduler.load_state_dict(&mut adamw, checkpoint.part("scheduler")?)?;
        loader.load_state(checkpoint.loader()?);
        checkpoint.restore_rng(dev)?;
        progress = Progress::of(checkpoint.part("progress")?, dev)?;
        step = checkpoint.step();
        println!("going on after step {step} of {steps}");
    } else if args.resume {
        println!("no checkpoint in {}: beginning anew", folder.display());
    }
    let save = |step, adamw: &Optimizer, scheduler: &Scheduler, progress: &Progress| {
        let mut checkpoint = Checkpoint::new(step)
            .with("model", net.state_dict())
            .with("optimizer", adamw.state_dict())
            .with("scheduler", scheduler.state_dict())
            .with("progress", progress.state_dict())
            .with_loader(loader.state())
            .with_rng(dev);
        if let Some(epoch) = progress.history.last() {
            checkpoint = checkpoint.with_metric(epoch.test_accuracy);
        }
        checkpoints.save(&checkpoint)
    };

    // Drawn only where someone is looking: in a log there are just the lines.
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} steps, {elapsed}, {eta} left")?;
    let bar = ProgressBar::new(steps as u64).with_style(style).with_position(step);
    let first = step;
    while progress.history.len() < args.epochs as usize {
        net.train(true);
        for batch in &loader {
            let (x, y) = batch?;
            let loss = net.forward(&x).cross_entropy(&y);
            adamw.zero_grad();
            loss.backward()?;
            // Reading the loss would be waiting for it, each step. It is summed up on the device instead.
            progress.total.add_(loss.detach() * y.numel())?;
            adamw.step()?;
            scheduler.step(&mut adamw);
            step += 1;
            bar.inc(1);
            // After the last batch of an epoch comes its test first.
            if step % SAVE_EVERY == 0 && loader.state().batch < loader.len() {
                save(step, &adamw, &scheduler, &progress)?;
            }
        }
        let train_loss = progress.total.item()? / training.len() as f64;
        if !train_loss.is_finite() {
            let kept = checkpoints.steps()?;
            return Err(format!("the loss is {train_loss}; there are checkpoints after steps {kept:?}").into());
        }
        let (test_loss, readings) = examine(net, test, dev)?;
        let epoch = Epoch { train_loss, test_loss, test_accuracy: accuracy(&readings) };
        bar.suspend(|| {
            let (n, percent) = (progress.history.len() + 1, 100.0 * epoch.test_accuracy);
            println!("epoch {n:3}: loss {train_loss:.4}, test loss {test_loss:.4}, test accuracy {percent:.2} %");
        });
        progress.history.push(epoch);
        progress.total = Tensor::zeros((), dev);
        save(step, &adamw, &scheduler, &progress)?;
    }
    bar.finish_and_clear();
    Ok((progress.history, (step - first) as f64 / loader.len() as f64))
}

/// What a checkpoint keeps beside the library's parts: the losses of the running epoch, summed up, and the epochs before.
struct Progress {
    total: Tensor,
    history: Vec<Epoch>,
}

impl Progress {
    fn state_dict(&self) -> StateDict {
        let numbers: Vec<f64> =
            self.history.iter().flat_map(|e| [e.train_loss, e.test_loss, e.test_accuracy]).collect();
        let history = Tensor::from_slice(&numbers, [self.history.len(), 3], (&Device::cpu(), DType::F64));
        [("total".to_string(), self.total.clone()), ("history".to_string(), history)].into_iter().collect()
    }

    fn of(state: &StateDict, dev: &Device) -> Result<Progress> {
        let part = |name: &str| state.get(name).ok_or_else(|| format!("the checkpoint has no {name}"));
        let numbers = part("history")?.to_vec::<f64>()?;
        let epoch = |e: &[f64]| Epoch { train_loss: e[0], test_loss: e[1], test_accuracy: e[2] };
        let history = numbers.chunks_exact(3).map(epoch).collect();
        Ok(Progress { total: part("total")?.to_device(dev)?, history })
    }
}

/// The mean loss over a set, and what the network reads in each image of it.
fn examine(net: &Cnn, set: &Set, dev: &Device) -> Result<(f64, Vec<Reading>)> {
    let _unrecorded = no_grad();
    net.eval();
    let options = LoaderOptions { batch_size: TEST_BATCH, workers: 1, ..Default::default() };
    let (mut loss, mut readings) = (0.0, Vec::with_capacity(set.len()));
    for batch in &DataLoader::new(set.clone(), dev, options)? {
        let (x, y) = batch?;
        let logits = net.forward(&x);
        let (sure, read) = logits.softmax(1).max_dim(1, false);
        loss += logits.cross_entropy(&y).item()? * y.numel() as f64;
        let rows = y.to_vec::<i32>()?.into_iter().zip(read.to_vec::<i32>()?).zip(sure.to_vec::<f32>()?);
        readings.extend(rows.map(|((label, read), sure)| Reading { label, read, sure }));
    }
    Ok((loss / set.len() as f64, readings))
}

fn accuracy(readings: &[Reading]) -> f64 {
    readings.iter().filter(|reading| reading.read == reading.label).count() as f64 / readings.len() as f64
}

/// Says which file an error is about.
fn about<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Error {
    move |error| format!("{}: {error}", path.display()).into()
}
