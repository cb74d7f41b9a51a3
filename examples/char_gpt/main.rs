//! Learns to write, letter by letter: a GPT on the first ten books of the King James Bible.
//!
//!     cargo run --release --example char_gpt
//!     cargo run --release --example char_gpt -- --resume
//!     cargo run --release --example char_gpt -- --precision f16 --layers 6 --size 384 --heads 6 --context 256 --batch 64
//!
//! The network is in `net.rs`, the text in `text.rs`. A run that was stopped, at whatever moment, goes on with `--resume` and
//! otherwise the same arguments, and ends with the same weights as one that was not.

#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod fixture;
mod net;
mod run;
mod text;

use clap::Parser;
use common::{Common, Result, about, finite};
use net::{Config, Gpt};
use std::path::PathBuf;
use std::{process::ExitCode, time::Instant};
use text::Text;
use wgrad::amp::{GradScaler, GradScalerOptions, autocast};
use wgrad::autograd::no_grad;
use wgrad::data::{DataLoader, LoaderOptions, Shuffle, Windows};
use wgrad::io::{Checkpoint, Checkpoints, save_safetensors};
use wgrad::nn::Module;
use wgrad::optim::{AdamW, Optimizer, Schedule, Scheduler, clip_grad_norm_};
use wgrad::train::{Curves, Log, MeanMetric, Metric, NanStrategy, Progress};
use wgrad::{DType, Device, Tensor};

/// Trains a small GPT on the letters of a text, and has it write.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The text, packed by gzip or not
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/kjv.txt.gz"))]
    data: PathBuf,
    /// Where checkpoints, weights, logs and the picture go
    #[arg(long, value_name = "DIR", default_value = "target/char_gpt")]
    out: PathBuf,
    /// How many batches it learns from
    #[arg(long, value_name = "NUMBER", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// How many passages a batch holds
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    batch: usize,
    /// How many letters it sees at most
    #[arg(long, value_name = "NUMBER", default_value_t = 64)]
    context: usize,
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    layers: usize,
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    heads: usize,
    /// The length of the vectors that stand for letters
    #[arg(long, value_name = "NUMBER", default_value_t = 96)]
    size: usize,
    #[arg(long, value_name = "NUMBER", default_value_t = 0.1)]
    dropout: f64,
    /// The highest learning rate
    #[arg(long, value_name = "NUMBER", default_value_t = 3e-3)]
    lr: f64,
    /// f32, bf16 or f16: what products are made of
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = precision)]
    precision: DType,
    /// Go on with the last checkpoint, under the same arguments; otherwise the run begins anew, and old checkpoints go
    #[arg(long)]
    resume: bool,
    /// What it is to go on with, at the end
    #[arg(long, value_name = "TEXT", default_value = "And it came to pass")]
    prompt: String,
    /// Below 1 it writes what it is sure of, above 1 it takes chances
    #[arg(long, value_name = "NUMBER", default_value_t = 0.8)]
    temperature: f64,
}

/// Steps over which the loss is averaged on the device before it is read.
const READ_EVERY: u64 = 20;
/// Steps from one validation, sample and checkpoint to the next.
const SAVE_EVERY: u64 = 100;
/// How many batches a validation reads.
const VALIDATION: usize = 16;

fn precision(word: &str) -> Result<DType, String> {
    [DType::F32, DType::BF16, DType::F16]
        .into_iter()
        .find(|dtype| dtype.name() == word)
        .ok_or_else(|| "f32, bf16 or f16".to_string())
}

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("char_gpt", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let text = Text::read(&args.data)?;
    let (seen, unseen) = (text.training.len(), text.validation.len());
    println!("data: {seen} letters to learn from, {unseen} to be tested on, {} different ones", text.letters.len());
    if args.heads == 0 || !args.size.is_multiple_of(args.heads) {
        return Err(format!("{} heads do not divide vectors of {}", args.heads, args.size).into());
    }
    let dev = args.common.open()?;
    let Args { context, layers, heads, size, dropout, .. } = *args;
    let net = Gpt::new(Config { vocabulary: text.letters.len(), context, layers, heads, size, dropout }, &dev)?;
    let parameters = net.parameters().iter().map(Tensor::numel).sum::<usize>();
    println!("network: {parameters} parameters; products of {}", args.precision);
    let begun = Instant::now();
    let steps = train(args, &net, &text, &dev)?;
    let step_seconds = (steps > 0).then(|| begun.elapsed().as_secs_f64() / steps as f64);

    let loss = validate(args, &net, &text, &dev)?;
    println!("\n{}\n", sample(args, &net, &text, 400, &dev)?);
    let [curve, weights] = ["curve.svg", "char_gpt.safetensors"].map(|name| args.out.join(name));
    let curves = Curves::read(args.out.join("log.jsonl"))?;
    curves.save(&curve)?;
    println!("wrote {}: loss by step", curve.display());
    save_safetensors(&weights, &net.state_dict().into_iter().collect::<Vec<_>>())?;
    println!("wrote {}: the weights, named as GPT-2's", weights.display());
    let seconds = start.elapsed().as_secs_f64();
    println!("validation loss {loss:.4} ({:.3} bits per letter); {seconds:.1} s", loss / 2f64.ln());
    args.common.report(serde_json::json!({
        "device": dev.name(), "precision": args.precision.name(), "parameters": parameters, "steps": args.steps,
        "validation_loss": loss, "train_loss": curves.points("loss/training").last().map(|(_, loss)| *loss),
        "seconds": seconds, "step_seconds": step_seconds, "files": [curve, weights],
    }));
    Ok(ExitCode::SUCCESS)
}

/// AdamW with weight decay for matrices alone, and a rate that rises in a twentieth of the steps and then falls to a tenth.
fn optimizer(net: &Gpt, lr: f64, steps: usize) -> (Optimizer, Scheduler) {
    let rule = AdamW { lr, betas: (0.9, 0.99), weight_decay: 0.1, ..Default::default() };
    let [matrices, vectors] = net.groups();
    let mut adamw = rule.clone().over(&matrices);
    adamw.add_group(AdamW { weight_decay: 0.0, ..rule }, &vectors);
    let warmup = steps.div_ceil(20);
    let cosine = Schedule::Cosine { t_max: (steps - warmup).max(1), eta_min: lr / 10.0 };
    let scheduler = Scheduler::new(&mut adamw, cosine.after_warmup(warmup));
    (adamw, scheduler)
}

/// The mean cross entropy of the letters that follow.
fn loss(net: &Gpt, x: &Tensor, y: &Tensor) -> Tensor {
    net.forward(x).flatten(0, 1).cross_entropy(&y.flatten(0, 1))
}

/// Trains up to the last step, and says how many were made now.
fn train(args: &Args, net: &Gpt, text: &Text, dev: &Device) -> Result<u64> {
    let (folder, lines) = (args.out.join("checkpoints"), args.out.join("log.jsonl"));
    for path in [&folder, &lines].into_iter().filter(|path| !args.resume && path.exists()) {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        removed.map_err(about(path))?;
    }
    let checkpoints = Checkpoints::open(&folder)?.keep_last(2);
    run::same_arguments(&args.out.join("arguments.json"), &arguments(args, text), args.resume)?;
    let mut log = Log::new().json_lines(&lines)?;
    let windows = Windows::new(text.training.clone(), args.context, 1);
    let sampler = Box::new(Shuffle { seed: args.common.seed });
    let options = LoaderOptions { batch_size: args.batch, sampler, workers: 1, drop_last: true, ..Default::default() };
    let loader = DataLoader::new(windows, dev, options)?;
    let (mut adamw, mut scheduler) = optimizer(net, args.lr, args.steps as usize);
    // Gradients in f16 would often be too small for it; those in bf16 never are.
    let scaled = GradScalerOptions { enabled: args.precision == DType::F16, ..Default::default() };
    let mut scaler = GradScaler::new(dev, scaled);
    let mut train_loss = MeanMetric::default().nan_strategy(NanStrategy::Disable);
    let mut step = 0;
    let (last, damaged) = checkpoints.latest_whole()?;
    damaged.iter().for_each(|error| eprintln!("left out: {error}"));
    if let Some(checkpoint) = last {
        net.load_state_dict(checkpoint.part("model")?)?;
        adamw.load_state_dict(checkpoint.part("optimizer")?)?;
        scheduler.load_state_dict(&mut adamw, checkpoint.part("scheduler")?)?;
        scaler.load_state_dict(checkpoint.part("scaler")?)?;
        train_loss.load_state_dict(checkpoint.part("train_loss")?, dev)?;
        loader.load_state(checkpoint.loader()?);
        checkpoint.restore_rng(dev)?;
        step = checkpoint.step();
        println!("going on after step {step} of {}", args.steps);
    }

    let first = step;
    let progress = Progress::steps(args.steps).at(step);
    while step < args.steps {
        for batch in progress.over(loader.iter().take((args.steps - step) as usize)) {
            let (x, y) = batch?;
            let loss = {
                let _narrow = (args.precision != DType::F32).then(|| autocast(args.precision));
                loss(net, &x, &y)
            };
            adamw.zero_grad();
            scaler.scale(&loss).backward()?;
            scaler.unscale_(&adamw)?;
            clip_grad_norm_(adamw.parameters(), 1.0, 2.0)?;
            train_loss.add(&loss, 1.0);
            scaler.step(&mut adamw)?;
            scaler.update()?;
            scheduler.step(&mut adamw);
            step += 1;
            if step % READ_EVERY == 0 {
                let loss = finite(train_loss.compute()?, &checkpoints)?;
                train_loss.reset();
                progress.show("loss", loss);
                log.scalars(step, [("loss/training", loss), ("learning rate", adamw.lr())])?;
            }
            if step % SAVE_EVERY == 0 || step == args.steps {
                let validation = validate(args, net, text, dev)?;
                log.scalar("loss/validation", step, validation)?;
                let written = sample(args, net, text, 60, dev)?.replace('\n', " / ");
                progress.println(format!("step {step:5}: validation loss {validation:.4}: {written}"));
                let checkpoint = Checkpoint::new(step)
                    .with("model", net.state_dict())
                    .with("optimizer", adamw.state_dict())
                    .with("scheduler", scheduler.state_dict())
                    .with("scaler", scaler.state_dict())
                    .with("train_loss", train_loss.state_dict())
                    .with_loader(loader.state())
                    .with_rng(dev);
                checkpoints.save(&checkpoint)?;
            }
        }
    }
    Ok(step - first)
}

/// What the weights depend on.
fn arguments(args: &Args, text: &Text) -> serde_json::Value {
    let Args { steps, batch, context, layers, heads, size, dropout, lr, .. } = args;
    let data = format!("{} letters, {} different", text.training.len() + text.validation.len(), text.letters.len());
    serde_json::json!({
        "seed": args.common.seed, "data": data, "steps": steps, "batch": batch, "context": context, "layers": layers,
        "heads": heads, "size": size, "dropout": dropout, "lr": lr, "precision": args.precision.name(),
    })
}

/// The loss on text it has not seen.
fn validate(args: &Args, net: &Gpt, text: &Text, dev: &Device) -> Result<f64> {
    let _unrecorded = no_grad();
    net.eval();
    let windows = Windows::new(text.validation.clone(), args.context, args.context);
    let options = LoaderOptions { batch_size: args.batch, drop_last: true, ..Default::default() };
    let mut mean = MeanMetric::default();
    for batch in DataLoader::new(windows, dev, options)?.iter().take(VALIDATION) {
        let (x, y) = batch?;
        mean.add(&loss(net, &x, &y), 1.0);
    }
    net.train(true);
    Ok(mean.compute()?)
}

/// What the network writes after the prompt.
fn sample(args: &Args, net: &Gpt, text: &Text, length: usize, dev: &Device) -> Result<String> {
    net.eval();
    let begin = text.letters.encode(&args.prompt)?;
    let written = net.write(&begin, length, args.temperature, dev)?;
    net.train(true);
    Ok(text.letters.decode(&written)?)
}
