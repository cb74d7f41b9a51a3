//! The network: a GPT, as GPT-2 is built and named.

use wgrad::autograd::no_grad;
use wgrad::nn::{Dropout, Embedding, Layer, LayerNorm, Linear, Module, init};
use wgrad::{AttentionOptions, DType, Device, Result, Tensor, module};

/// The sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// How many tokens there are.
    pub vocabulary: usize,
    /// How many tokens it sees at most.
    pub context: usize,
    pub layers: usize,
    pub heads: usize,
    /// The length of the vector that stands for a token.
    pub size: usize,
    pub dropout: f64,
}

/// Tokens and their places as vectors, blocks of attention and thought, and the same table of tokens read backwards.
pub struct Gpt {
    wte: Embedding,
    wpe: Embedding,
    drop: Dropout,
    h: Vec<Block>,
    ln_f: LayerNorm,
    config: Config,
}
module!(Gpt { wte, wpe, drop, h, ln_f });

struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    mlp: Mlp,
}
module!(Block { ln_1, attn, ln_2, mlp });

struct Attention {
    c_attn: Linear,
    c_proj: Linear,
    drop: Dropout,
    heads: usize,
}
module!(Attention { c_attn, c_proj, drop });

struct Mlp {
    c_fc: Linear,
    c_proj: Linear,
    drop: Dropout,
}
module!(Mlp { c_fc, c_proj, drop });

impl Gpt {
    /// A network that knows nothing, with the weights GPT-2 begins with: normal of deviation 0.02, less for what is added
    /// to the residual stream, and no biases.
    pub fn new(config: Config, dev: &Device) -> Result<Gpt> {
        let Config { vocabulary, context, layers, heads, size, dropout } = config;
        let embedding = |numbers| Embedding::new(numbers, size, Default::default(), dev);
        let block = |_| Block {
            ln_1: LayerNorm::new(size, dev),
            attn: Attention {
                c_attn: Linear::new(size, 3 * size, dev),
                c_proj: Linear::new(size, size, dev),
                drop: Dropout::new(dropout),
                heads,
            },
            ln_2: LayerNorm::new(size, dev),
            mlp: Mlp {
                c_fc: Linear::new(size, 4 * size, dev),
                c_proj: Linear::new(4 * size, size, dev),
                drop: Dropout::new(dropout),
            },
        };
        let net = Gpt {
            wte: embedding(vocabulary),
            wpe: embedding(context),
            drop: Dropout::new(dropout),
            h: (0..layers).map(block).collect(),
            ln_f: LayerNorm::new(size, dev),
            config,
        };
        for (name, p) in net.named_parameters() {
            match p.rank() {
                1 if name.ends_with("bias") => init::constant_(&p, 0.0)?,
                1 => {}
                _ if name.ends_with("c_proj.weight") => init::normal_(&p, 0.0, 0.02 / (2.0 * layers as f64).sqrt())?,
                _ => init::normal_(&p, 0.0, 0.02)?,
            }
        }
        Ok(net)
    }

    /// The scores of the next token after every one of `[batch, length]` tokens: `[batch, length, vocabulary]`.
    pub fn forward(&self, tokens: &Tensor) -> Tensor {
        let places = Tensor::arange(0, tokens.size(1), 1, &tokens.device());
        let x = self.drop.forward(&(self.wte.forward(tokens) + self.wpe.forward(&places)));
        let x = self.h.iter().fold(x, |x, block| block.forward(&x));
        self.ln_f.forward(&x).linear(&self.wte.weight, None)
    }

    /// What it goes on with after a text, token by token, each drawn by its probability; scores are divided by the
    /// temperature.
    pub fn write(&self, begin: &[i32], length: usize, temperature: f64, dev: &Device) -> Result<Vec<i32>> {
        let _unrecorded = no_grad();
        let mut tokens = begin.to_vec();
        for _ in 0..length {
            let seen = &tokens[tokens.len().saturating_sub(self.config.context)..];
            // Sequences of one length need one plan: what comes after the last token does not concern it.
            let mut padded = seen.to_vec();
            padded.resize(self.config.context, 0);
            let scores = self.forward(&Tensor::from_slice(&padded, [1, padded.len()], dev));
            let last = scores.select(0, 0).select(0, seen.len() as isize - 1).cast(DType::F32);
            let next = (last / temperature).softmax(-1).multinomial(1, false);
            tokens.push(next.cast(DType::I32).item()? as i32);
        }
        Ok(tokens)
    }

    /// The parameters that weight decay draws towards 0, and the others: vectors are not.
    pub fn groups(&self) -> [Vec<Tensor>; 2] {
        let (matrices, vectors) = self.parameters().into_iter().partition(|p| p.rank() > 1);
        [matrices, vectors]
    }
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = x + self.attn.forward(&self.ln_1.forward(x));
        &x + self.mlp.forward(&self.ln_2.forward(&x))
    }
}

impl Attention {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (batch, length, size) = (x.size(0), x.size(1), x.size(2));
        // [3, batch, heads, length, size of a head]
        let qkv =
            self.c_attn.forward(x).reshape([batch, length, 3, self.heads, size / self.heads]).permute([2, 0, 3, 1, 4]);
        let dropout_p = if self.drop.training.is_training() { self.drop.p } else { 0.0 };
        let options = AttentionOptions { is_causal: true, dropout_p, ..Default::default() };
        let y = qkv.select(0, 0).scaled_dot_product_attention(&qkv.select(0, 1), &qkv.select(0, 2), options);
        self.drop.forward(&self.c_proj.forward(&y.transpose(1, 2).reshape([batch, length, size])))
    }
}

impl Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.drop.forward(&self.c_proj.forward(&self.c_fc.forward(x).gelu()))
    }
}
