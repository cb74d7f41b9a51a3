//! The same network as PyTorch's, from the same weights and batches: `tests/interop/gpt.py` writes the fixture.

use crate::net::{Config, Gpt};
use crate::text::Text;
use crate::{loss, optimizer};
use std::path::Path;
use wgrad::autograd::no_grad;
use wgrad::io::load_safetensors;
use wgrad::nn::Module;
use wgrad::optim::clip_grad_norm_;
use wgrad::{Device, Tensor};

const CONTEXT: usize = 32;
const BATCH: usize = 8;
const STEPS: usize = 200;

/// Passages that begin at places far apart, all of them different.
fn batch(tokens: &[i32], step: usize, dev: &Device) -> (Tensor, Tensor) {
    let starts = (0..BATCH).map(|i| (step * BATCH + i) * 7919 % (tokens.len() - CONTEXT - 1));
    let (x, y): (Vec<_>, Vec<_>) =
        starts.map(|at| (&tokens[at..at + CONTEXT], &tokens[at + 1..at + CONTEXT + 1])).unzip();
    let tensor = |rows: Vec<&[i32]>| Tensor::from_slice(&rows.concat(), [BATCH, CONTEXT], dev);
    (tensor(x), tensor(y))
}

fn agrees_on(dev: &Device) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = Text::read(&root.join("examples/data/kjv.txt.gz")).unwrap();
    let config =
        Config { vocabulary: text.letters.len(), context: CONTEXT, layers: 2, heads: 2, size: 32, dropout: 0.0 };
    let net = Gpt::new(config, dev).unwrap();
    let mut fixture = load_safetensors(root.join("tests/data/gpt.safetensors"), dev).unwrap();
    let [losses, validation] = ["losses", "validation"].map(|name| fixture.remove(name).unwrap());
    let losses = losses.to_vec::<f32>().unwrap();
    net.load_state_dict(&fixture).unwrap();

    let (mut adamw, mut scheduler) = optimizer(&net, 3e-3, STEPS);
    for (step, &expected) in losses.iter().enumerate() {
        let (x, y) = batch(&text.training, step, dev);
        let loss = loss(&net, &x, &y);
        adamw.zero_grad();
        loss.backward().unwrap();
        clip_grad_norm_(adamw.parameters(), 1.0, 2.0).unwrap();
        adamw.step().unwrap();
        scheduler.step(&mut adamw);
        let got = loss.item().unwrap() as f32;
        assert!((got - expected).abs() <= 1e-3 * expected, "step {step} on {}: {got} and {expected}", dev.name());
    }
    let _unrecorded = no_grad();
    let losses: Vec<f64> =
        (0..8).map(|i| batch(&text.validation, i, dev)).map(|(x, y)| loss(&net, &x, &y).item().unwrap()).collect();
    let (got, expected) = (losses.iter().sum::<f64>() / 8.0, validation.item().unwrap());
    println!("{}: validation loss {got:.5}, PyTorch's {expected:.5}", dev.name());
    assert!((got - expected).abs() <= 1e-3 * expected, "{got} and {expected}");
}

#[test]
fn two_hundred_steps_end_where_those_of_pytorch_end() {
    agrees_on(&Device::cpu());
}

#[test]
fn two_hundred_steps_on_a_gpu_end_where_those_of_pytorch_end() {
    match Device::gpu() {
        Ok(dev) => agrees_on(&dev),
        Err(error) if std::env::var_os("WGRAD_REQUIRE_GPU").is_none() => println!("not run: {error}"),
        Err(error) => panic!("{error}"),
    }
}
