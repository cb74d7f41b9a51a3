//! Three networks, and a training step of each.

use crate::inputs::{ints, uniform, weights};
use wgrad::nn::{Conv2d, Embedding, Layer, LayerNorm, Linear, Module};
use wgrad::optim::{Adam, AdamW, Optimizer, Sgd};
use wgrad::{AttentionOptions, ConvOptions, Device, Result, Tensor, module};

/// A training step; gives the loss it began with.
pub type Step = Box<dyn FnMut() -> Result<Tensor>>;

pub fn of(name: &str, dev: &Device) -> Step {
    match name {
        "train_mlp" => mlp(dev),
        "train_cnn" => cnn(dev),
        _ => gpt(dev),
    }
}

fn step(mut optimizer: Optimizer, loss: impl Fn() -> Tensor + 'static) -> Step {
    Box::new(move || {
        optimizer.zero_grad();
        let loss = loss();
        loss.backward()?;
        optimizer.step()?;
        Ok(loss.detach())
    })
}

fn zeros(n: usize, dev: &Device) -> Option<Tensor> {
    Some(Tensor::zeros([n], dev).copy().requires_grad_(true).expect("a new tensor"))
}

fn linear(stream: u64, input: usize, output: usize, dev: &Device) -> Linear {
    let mut layer = Linear::new(input, output, dev);
    (layer.weight, layer.bias) = (weights(stream, &[output, input], input, dev), zeros(output, dev));
    layer
}

fn conv(stream: u64, input: usize, output: usize, dev: &Device) -> Conv2d {
    let options = ConvOptions { padding: 1.into(), ..Default::default() };
    let mut layer = Conv2d::new(input, output, 3, options, dev);
    (layer.weight, layer.bias) = (weights(stream, &[output, input, 3, 3], input * 9, dev), zeros(output, dev));
    layer
}

fn mlp(dev: &Device) -> Step {
    let layers = [linear(211, 784, 256, dev), linear(212, 256, 128, dev), linear(213, 128, 10, dev)];
    let parameters: Vec<Tensor> = layers.iter().flat_map(Module::parameters).collect();
    let (x, y) = (uniform(201, &[64, 784], 1.0, dev), ints(202, &[64], 10, dev));
    step(Sgd::new(&parameters, 0.1), move || {
        let x = layers[1].forward(&layers[0].forward(&x).relu()).relu();
        layers[2].forward(&x).cross_entropy(&y)
    })
}

fn cnn(dev: &Device) -> Step {
    let (conv1, conv2, head) = (conv(231, 1, 8, dev), conv(232, 8, 16, dev), linear(233, 784, 10, dev));
    let parameters = [conv1.parameters(), conv2.parameters(), head.parameters()].concat();
    let (x, y) = (uniform(221, &[32, 1, 28, 28], 1.0, dev), ints(222, &[32], 10, dev));
    step(Adam::new(&parameters, 1e-3), move || {
        let x = conv1.forward(&x).relu().max_pool2d(2, Default::default());
        let x = conv2.forward(&x).relu().max_pool2d(2, Default::default());
        head.forward(&x.flatten(1, -1)).cross_entropy(&y)
    })
}

struct Gpt {
    wte: Embedding,
    wpe: Embedding,
    blocks: Vec<Block>,
    lnf: LayerNorm,
    head: Tensor,
}
module!(Gpt { wte, wpe, blocks, lnf, head });

struct Block {
    ln1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    ln2: LayerNorm,
    fc: Linear,
    fc2: Linear,
}
module!(Block { ln1, qkv, proj, ln2, fc, fc2 });

const SIZE: usize = 128;
const HEADS: usize = 4;

fn gpt(dev: &Device) -> Step {
    let table = |stream, numbers| {
        let mut table = Embedding::new(numbers, SIZE, Default::default(), dev);
        table.weight = uniform(stream, &[numbers, SIZE], 0.05, dev).requires_grad_(true).expect("a new tensor");
        table
    };
    let block = |stream| Block {
        ln1: LayerNorm::new(SIZE, dev),
        qkv: linear(stream, SIZE, 3 * SIZE, dev),
        proj: linear(stream + 1, SIZE, SIZE, dev),
        ln2: LayerNorm::new(SIZE, dev),
        fc: linear(stream + 2, SIZE, 4 * SIZE, dev),
        fc2: linear(stream + 3, 4 * SIZE, SIZE, dev),
    };
    let net = Gpt {
        wte: table(401, 65),
        wpe: table(402, 64),
        blocks: vec![block(410), block(420)],
        lnf: LayerNorm::new(SIZE, dev),
        head: weights(450, &[65, SIZE], SIZE, dev),
    };
    let (tokens, targets) = (ints(301, &[8, 64], 65, dev), ints(302, &[512], 65, dev));
    let places = Tensor::arange(0, 64, 1, dev);
    let adamw = AdamW { lr: 1e-3, weight_decay: 0.01, ..Default::default() }.over(&net.parameters());
    step(adamw, move || {
        let x = net.wte.forward(&tokens) + net.wpe.forward(&places);
        let x = net.blocks.iter().fold(x, |x, block| block.forward(&x));
        net.lnf.forward(&x).linear(&net.head, None).flatten(0, 1).cross_entropy(&targets)
    })
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (batch, length) = (x.size(0), x.size(1));
        let qkv = self.qkv.forward(&self.ln1.forward(x)).reshape([batch, length, 3, HEADS, SIZE / HEADS]);
        let [q, k, v] = [0, 1, 2].map(|i| qkv.select(2, i).transpose(1, 2));
        let options = AttentionOptions { is_causal: true, ..Default::default() };
        let y = q.scaled_dot_product_attention(&k, &v, options).transpose(1, 2).reshape([batch, length, SIZE]);
        let x = x + self.proj.forward(&y);
        &x + self.fc2.forward(&self.fc.forward(&self.ln2.forward(&x)).gelu_tanh())
    }
}
