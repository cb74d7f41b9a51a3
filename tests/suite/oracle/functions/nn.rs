//! Activations over a dimension, normalisation, attention, linear and recurrent layers, dropout.

use super::super::call::{Stop, Value, unsupported};
use super::{Answer, Args, one, shape};
use wgrad::{AttentionOptions, BatchNormOptions, RnnOptions, Tensor};

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
        "softmax" | "softmin" | "log_softmax" => {
            let (x, dim) = (a.tensor()?, a.int("dim")?);
            let x = match a.named.remove("dtype") {
                Some(Value::Text(name)) => x.cast(super::super::store::dtype(&name)?),
                _ => x,
            };
            match function {
                "softmax" => x.softmax(dim),
                "softmin" => x.softmin(dim),
                _ => x.log_softmax(dim),
            }
        }
        "layer_norm" => {
            let (x, shape) = (a.tensor()?, shape(a, "normalized_shape")?);
            let (w, b) = (optional(a, "weight")?, optional(a, "bias")?);
            x.layer_norm(shape, w.as_ref(), b.as_ref(), a.number("eps", 1e-5)?)
        }
        "rms_norm" => {
            let (x, shape, w) = (a.tensor()?, shape(a, "normalized_shape")?, optional(a, "weight")?);
            x.rms_norm(shape, w.as_ref(), maybe(a, "eps")?)
        }
        "batch_norm" | "instance_norm" => {
            let x = a.tensor()?;
            let (running_mean, running_var) = (optional(a, "running_mean")?, optional(a, "running_var")?);
            let (weight, bias) = (optional(a, "weight")?, optional(a, "bias")?);
            let training = match function {
                "batch_norm" => a.flag("training"),
                _ => !matches!(a.next("use_input_stats"), Value::Bool(false)),
            };
            let (momentum, eps) = (a.number("momentum", 0.1)?.into(), a.number("eps", 1e-5)?);
            let options = BatchNormOptions { running_mean, running_var, weight, bias, training, momentum, eps };
            if function == "batch_norm" { x.batch_norm(options) } else { x.instance_norm_with(options) }
        }
        "group_norm" => {
            let (x, groups) = (a.tensor()?, a.int("num_groups")? as usize);
            let (w, b) = (optional(a, "weight")?, optional(a, "bias")?);
            x.group_norm(groups, w.as_ref(), b.as_ref(), a.number("eps", 1e-5)?)
        }
        "local_response_norm" => {
            let (x, size, alpha) = (a.tensor()?, a.int("size")? as usize, a.number("alpha", 1e-4)?);
            x.local_response_norm(size, alpha, a.number("beta", 0.75)?, a.number("k", 1.0)?)
        }
        "normalize" => {
            let (x, p, dims) = (a.tensor()?, a.number("p", 2.0)?, a.ints("dim")?);
            x.normalize(p, dims.unwrap_or(vec![1]), a.number("eps", 1e-12)?)
        }
        "cosine_similarity" => {
            let (x, y) = (a.tensor()?, a.tensor()?);
            x.cosine_similarity(&y, a.number("dim", 1.0)? as isize, a.number("eps", 1e-8)?)
        }
        "pairwise_distance" => {
            let (x, y, p, eps) = (a.tensor()?, a.tensor()?, a.number("p", 2.0)?, a.number("eps", 1e-6)?);
            x.pairwise_distance(&y, p, eps, a.flag("keepdim"))
        }
        "renorm" => {
            let (x, p, dim) = (a.tensor()?, a.number("p", 2.0)?, a.int("dim")?);
            x.renorm(p, dim, a.number("maxnorm", 1.0)?)
        }
        "scaled_dot_product_attention" => {
            let (q, k, v) = (a.tensor()?, a.tensor()?, a.tensor()?);
            let options = AttentionOptions {
                mask: optional(a, "attn_mask")?,
                dropout_p: a.number("dropout_p", 0.0)?,
                is_causal: a.flag("is_causal"),
                scale: maybe(a, "scale")?,
                enable_gqa: a.flag("enable_gqa"),
            };
            q.scaled_dot_product_attention(&k, &v, options)
        }
        "linear" => {
            let (x, w, b) = (a.tensor()?, a.tensor()?, optional(a, "bias")?);
            x.linear(&w, b.as_ref())
        }
        "bilinear" => {
            let (x, y, w, b) = (a.tensor()?, a.tensor()?, a.tensor()?, optional(a, "bias")?);
            x.bilinear(&y, &w, b.as_ref())
        }
        "dropout" | "dropout1d" | "dropout2d" | "dropout3d" | "alpha_dropout" | "feature_alpha_dropout" => {
            let (x, p) = (a.tensor()?, a.number("p", 0.5)?);
            let training = !matches!(a.next("training"), Value::Bool(false));
            if training && p > 0.0 && p < 1.0 {
                return unsupported("random numbers");
            }
            match function {
                "dropout" => x.dropout(p, training),
                "dropout1d" => x.dropout1d(p, training),
                "dropout2d" => x.dropout2d(p, training),
                "dropout3d" => x.dropout3d(p, training),
                "alpha_dropout" => x.alpha_dropout(p, training),
                _ => x.feature_alpha_dropout(p, training),
            }
        }
        "lstm_cell" | "gru_cell" | "rnn_tanh_cell" | "rnn_relu_cell" => {
            let (x, state) = (a.tensor()?, a.next("hx").tensors()?);
            let (ih, hh) = (a.tensor()?, a.tensor()?);
            let bias = optional(a, "b_ih")?.zip(optional(a, "b_hh")?);
            let bias = bias.as_ref().map(|(b, c)| (b, c));
            match function {
                "lstm_cell" => {
                    let (h, c) = x.lstm_cell((&state[0], &state[1]), &ih, &hh, bias);
                    return Ok(Some(vec![h, c]));
                }
                "gru_cell" => x.gru_cell(&state[0], &ih, &hh, bias),
                "rnn_tanh_cell" => x.rnn_tanh_cell(&state[0], &ih, &hh, bias),
                _ => x.rnn_relu_cell(&state[0], &ih, &hh, bias),
            }
        }
        "lstm" | "gru" | "rnn_tanh" | "rnn_relu" => {
            let (x, state, weights) = (a.tensor()?, a.next("hx").tensors()?, a.next("params").tensors()?);
            let options = RnnOptions {
                bias: a.flag("has_biases"),
                num_layers: a.int("num_layers")? as usize,
                dropout: a.number("dropout", 0.0)?,
                training: a.flag("train"),
                bidirectional: a.flag("bidirectional"),
                batch_first: a.flag("batch_first"),
            };
            let (y, h) = match function {
                "lstm" => {
                    let (y, (h, c)) = x.lstm((&state[0], &state[1]), &weights, options);
                    return Ok(Some(vec![y, h, c]));
                }
                "gru" => x.gru(&state[0], &weights, options),
                "rnn_tanh" => x.rnn_tanh(&state[0], &weights, options),
                _ => x.rnn_relu(&state[0], &weights, options),
            };
            return Ok(Some(vec![y, h]));
        }
        _ => return Ok(None),
    })
}

/// A tensor that may be left out.
pub fn optional(a: &mut Args, name: &str) -> Result<Option<Tensor>, Stop> {
    match a.next(name) {
        Value::None => Ok(None),
        Value::Tensor(x) => Ok(Some(x)),
        _ => unsupported(format!("{name} that is no tensor")),
    }
}

/// A number that may be left out.
fn maybe(a: &mut Args, name: &str) -> Result<Option<f64>, Stop> {
    a.number(name, f64::NAN).map(|x| if x.is_nan() { None } else { Some(x) })
}
