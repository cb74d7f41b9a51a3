//! BERT's encoder, under the names that its published weights have.

use crate::common::{Result, about};
use std::path::Path;
use wgrad::data::BatchEncoding;
use wgrad::io::load_safetensors;
use wgrad::nn::{Dropout, Embedding, Layer, LayerNorm, Linear, Mode, Module};
use wgrad::{AttentionOptions, Device, Tensor, module};

/// What of `config.json` the network is made by.
pub struct Config {
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub layer_norm_eps: f64,
    pub hidden_dropout_prob: f64,
    pub attention_probs_dropout_prob: f64,
}

impl Config {
    pub fn read(path: &Path) -> Result<Config> {
        let text = std::fs::read_to_string(path).map_err(about(path))?;
        let json: serde_json::Value = serde_json::from_str(&text).map_err(about(path))?;
        let number = |name: &str| json[name].as_f64().ok_or_else(|| about(path)(format!("{name} is no number")));
        let size = |name: &str| number(name).map(|x| x as usize);
        for (name, known) in [("hidden_act", "gelu"), ("position_embedding_type", "absolute")] {
            if json.get(name).is_some_and(|value| value != known) {
                return Err(about(path)(format!("{name} is {}, and this example knows {known} alone", json[name])));
            }
        }
        Ok(Config {
            vocab_size: size("vocab_size")?,
            max_position_embeddings: size("max_position_embeddings")?,
            type_vocab_size: size("type_vocab_size")?,
            hidden_size: size("hidden_size")?,
            num_hidden_layers: size("num_hidden_layers")?,
            num_attention_heads: size("num_attention_heads")?,
            intermediate_size: size("intermediate_size")?,
            layer_norm_eps: number("layer_norm_eps")?,
            hidden_dropout_prob: number("hidden_dropout_prob")?,
            attention_probs_dropout_prob: number("attention_probs_dropout_prob")?,
        })
    }
}

/// The whole network without its pooler, which sentence models do not use.
pub struct Bert {
    embeddings: Embeddings,
    encoder: Encoder,
}
module!(Bert { embeddings, encoder });

struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    norm: LayerNorm,
    dropout: Dropout,
}
module!(Embeddings {
    word_embeddings,
    position_embeddings,
    token_type_embeddings,
    norm as "LayerNorm",
    dropout
});

struct Encoder {
    layer: Vec<Block>,
}
module!(Encoder { layer });

struct Block {
    attention: Attention,
    intermediate: Intermediate,
    output: Output,
}
module!(Block { attention, intermediate, output });

struct Attention {
    itself: SelfAttention,
    output: Output,
}
module!(Attention { itself as "self", output });

struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    heads: usize,
    dropout: f64,
    training: Mode,
}
module!(SelfAttention { query, key, value, training });

struct Intermediate {
    dense: Linear,
}
module!(Intermediate { dense });

/// A map whose result is added to what went into the part that it ends.
struct Output {
    dense: Linear,
    dropout: Dropout,
    norm: LayerNorm,
}
module!(Output { dense, dropout, norm as "LayerNorm" });

impl Bert {
    pub fn new(c: &Config, dev: &Device) -> Bert {
        let table = |rows| Embedding::new(rows, c.hidden_size, Default::default(), dev);
        let linear = |input, output| Linear::new(input, output, dev);
        let norm = || LayerNorm { eps: c.layer_norm_eps, ..LayerNorm::new(c.hidden_size, dev) };
        let dropout = || Dropout::new(c.hidden_dropout_prob);
        let size = c.hidden_size;
        let output = |input| Output { dense: linear(input, size), dropout: dropout(), norm: norm() };
        let block = |_| Block {
            attention: Attention {
                itself: SelfAttention {
                    query: linear(size, size),
                    key: linear(size, size),
                    value: linear(size, size),
                    heads: c.num_attention_heads,
                    dropout: c.attention_probs_dropout_prob,
                    training: Mode::default(),
                },
                output: output(size),
            },
            intermediate: Intermediate { dense: linear(size, c.intermediate_size) },
            output: output(c.intermediate_size),
        };
        Bert {
            embeddings: Embeddings {
                word_embeddings: table(c.vocab_size),
                position_embeddings: table(c.max_position_embeddings),
                token_type_embeddings: table(c.type_vocab_size),
                norm: norm(),
                dropout: dropout(),
            },
            encoder: Encoder { layer: (0..c.num_hidden_layers).map(block).collect() },
        }
    }

    /// The network in a folder, ready for use, and the names of what its file holds besides.
    pub fn load(folder: &Path, dev: &Device) -> Result<(Bert, Vec<String>)> {
        let net = Bert::new(&Config::read(&folder.join("config.json"))?, dev);
        let path = folder.join("model.safetensors");
        let report = net.load_matching(&load_safetensors(&path, dev)?)?;
        if !report.missing.is_empty() || !report.mis_shaped.is_empty() {
            return Err(about(&path)(report));
        }
        net.eval();
        Ok((net, report.unexpected))
    }

    /// The vectors of all tokens, `[texts, tokens, size]`.
    pub fn forward(&self, tokens: &BatchEncoding) -> Tensor {
        // Which keys a query may see, for all heads and queries.
        let seen = tokens.attention_mask.unsqueeze(1).unsqueeze(1);
        let x = self.embeddings.forward(&tokens.input_ids);
        self.encoder.layer.iter().fold(x, |x, block| block.forward(&x, &seen))
    }

    /// The texts as unit vectors, `[texts, size]`: the mean of the vectors of their tokens, normalised.
    pub fn embed(&self, tokens: &BatchEncoding) -> Tensor {
        let x = self.forward(tokens);
        let mask = tokens.attention_mask.unsqueeze(-1).cast(x.dtype());
        let mean = (x * &mask).sum_dim(1, false) / mask.sum_dim(1, false);
        mean.normalize(2.0, -1, 1e-12)
    }
}

impl Embeddings {
    fn forward(&self, ids: &Tensor) -> Tensor {
        let places = Tensor::arange(0, ids.size(1) as i32, 1, &ids.device());
        // There is one text and no second that answers it: all tokens are of type 0.
        let kind = self.token_type_embeddings.weight.select(0, 0);
        let x = self.word_embeddings.forward(ids) + self.position_embeddings.forward(&places) + kind;
        self.dropout.forward(&self.norm.forward(&x))
    }
}

impl Block {
    fn forward(&self, x: &Tensor, seen: &Tensor) -> Tensor {
        let x = self.attention.output.forward(&self.attention.itself.forward(x, seen), x);
        self.output.forward(&self.intermediate.dense.forward(&x).gelu(), &x)
    }
}

impl SelfAttention {
    fn forward(&self, x: &Tensor, seen: &Tensor) -> Tensor {
        let heads = |map: &Linear| map.forward(x).unflatten(-1, [self.heads as isize, -1]).transpose(1, 2);
        let dropout_p = if self.training.is_training() { self.dropout } else { 0.0 };
        let options = AttentionOptions { mask: Some(seen.clone()), dropout_p, ..Default::default() };
        let (q, k, v) = (heads(&self.query), heads(&self.key), heads(&self.value));
        q.scaled_dot_product_attention(&k, &v, options).transpose(1, 2).flatten(-2, -1)
    }
}

impl Output {
    fn forward(&self, x: &Tensor, added: &Tensor) -> Tensor {
        self.norm.forward(&(self.dropout.forward(&self.dense.forward(x)) + added))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::contrast;
    use wgrad::optim::Sgd;

    /// `tests/interop/minilm.py` wrote the network and what PyTorch computes with it in double precision.
    #[test]
    fn a_tiny_network_computes_and_learns_what_pytorchs_does() -> Result {
        let mut devices = vec![Device::cpu()];
        match Device::gpu() {
            Ok(gpu) => devices.push(gpu),
            Err(error) => {
                assert!(std::env::var_os("WGRAD_REQUIRE_GPU").is_none(), "WGRAD_REQUIRE_GPU is set, but: {error}")
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sentences/tiny.safetensors");
        for dev in devices {
            let file = load_safetensors(path, &dev)?;
            let part = |of: &str| {
                let entries = file.iter().filter_map(|(name, x)| Some((name.strip_prefix(of)?.to_string(), x.clone())));
                entries.collect::<std::collections::BTreeMap<_, _>>()
            };
            let net = Bert::new(
                &Config {
                    vocab_size: 30,
                    max_position_embeddings: 12,
                    type_vocab_size: 2,
                    hidden_size: 32,
                    num_hidden_layers: 2,
                    num_attention_heads: 4,
                    intermediate_size: 48,
                    layer_norm_eps: 1e-12,
                    hidden_dropout_prob: 0.0,
                    attention_probs_dropout_prob: 0.0,
                },
                &dev,
            );
            net.load_state_dict(&part("state/"))?;
            let tokens =
                BatchEncoding { input_ids: file["input_ids"].clone(), attention_mask: file["attention_mask"].clone() };
            let close = |what: &str, got: &Tensor, want: &Tensor| {
                let far = (got - want).abs().max().item().unwrap() / want.abs().max().item().unwrap();
                assert!(far < 1e-5, "{what} on {}: off by {far:e} of the largest element", dev.name());
            };
            let y = net.embed(&tokens);
            close("embeddings", &y, &file["embeddings"]);
            let loss = contrast(&y);
            close("loss", &loss, &file["loss"]);
            loss.backward()?;
            // A bias of keys moves all scores of a query alike: its gradient is 0, and nothing to compare with.
            let expected = part("grad/");
            for (name, p) in net.named_parameters().iter().filter(|(name, _)| !name.ends_with("key.bias")) {
                close(name, &p.grad().expect("every parameter has a share"), &expected[name]);
            }
            Sgd { lr: 0.01, ..Default::default() }.over(&net.parameters()).step()?;
            close("loss after a step", &contrast(&net.embed(&tokens)), &file["loss_after"]);
        }
        Ok(())
    }
}
