//! Losses.

use super::super::call::{Stop, Value, unsupported};
use super::nn::optional;
use super::{Answer, Args, one};
use wgrad::{
    CrossEntropyOptions, CtcOptions, GaussianNllOptions, MultiMarginOptions, NllOptions, PoissonNllOptions, Reduction,
    TripletOptions,
};

pub fn call(function: &str, a: &mut Args) -> Answer {
    if function == "ctc_loss" {
        return ctc_loss(a);
    }
    if function == "linear_cross_entropy" {
        let (x, w, bias) = (a.tensor()?, a.tensor()?, a.named.remove("linear_bias"));
        let bias = bias.map(|bias| bias.tensors().map(|mut x| x.remove(0))).transpose()?;
        // Classes may have dimensions of their own behind them.
        let y = x.linear(&w.flatten(0, -2), bias.map(|bias| bias.ravel()).as_ref());
        a.positional.push_front(Value::Tensor(y.unflatten(-1, &w.shape()[..w.rank() - 1])));
        return call("cross_entropy", a);
    }
    let elements = matches!(
        function,
        "l1_loss"
            | "mse_loss"
            | "smooth_l1_loss"
            | "huber_loss"
            | "soft_margin_loss"
            | "hinge_embedding_loss"
            | "binary_cross_entropy"
            | "binary_cross_entropy_with_logits"
            | "kl_div"
            | "poisson_nll_loss"
            | "gaussian_nll_loss"
            | "cross_entropy"
            | "nll_loss"
            | "multi_margin_loss"
            | "multilabel_margin_loss"
            | "multilabel_soft_margin_loss"
            | "margin_ranking_loss"
            | "cosine_embedding_loss"
            | "triplet_margin_loss"
            | "triplet_margin_with_distance_loss"
    );
    if !elements {
        return Ok(None);
    }
    let (x, t) = (a.tensor()?, a.tensor()?);
    let reduction = reduction(a)?;
    one(match function {
        "l1_loss" => x.l1_loss(&t, reduction),
        "mse_loss" => x.mse_loss(&t, reduction),
        "smooth_l1_loss" => x.smooth_l1_loss(&t, named(a, "beta", 1.0)?, reduction),
        "huber_loss" => x.huber_loss(&t, named(a, "delta", 1.0)?, reduction),
        "soft_margin_loss" => x.soft_margin_loss(&t, reduction),
        "hinge_embedding_loss" => x.hinge_embedding_loss(&t, named(a, "margin", 1.0)?, reduction),
        "binary_cross_entropy" => x.binary_cross_entropy(&t, optional(a, "weight")?.as_ref(), reduction),
        "binary_cross_entropy_with_logits" => {
            let (w, p) = (optional(a, "weight")?, optional(a, "pos_weight")?);
            x.binary_cross_entropy_with_logits(&t, w.as_ref(), p.as_ref(), reduction)
        }
        "kl_div" => x.kl_div(&t, truth(a, "log_target", false), reduction),
        "poisson_nll_loss" => {
            let (log_input, full) = (truth(a, "log_input", true), truth(a, "full", false));
            x.poisson_nll_loss(&t, PoissonNllOptions { log_input, full, eps: named(a, "eps", 1e-8)?, reduction })
        }
        "gaussian_nll_loss" => {
            let (v, full) = (a.tensor()?, truth(a, "full", false));
            x.gaussian_nll_loss(&t, &v, GaussianNllOptions { full, eps: named(a, "eps", 1e-6)?, reduction })
        }
        "cross_entropy" => {
            let options = CrossEntropyOptions {
                weight: optional(a, "weight")?,
                ignore_index: named(a, "ignore_index", -100.0)? as i32,
                reduction,
                label_smoothing: named(a, "label_smoothing", 0.0)?,
            };
            x.cross_entropy_with(&t, options)
        }
        "nll_loss" => {
            let (weight, ignore_index) = (optional(a, "weight")?, named(a, "ignore_index", -100.0)? as i32);
            x.nll_loss_with(&t, NllOptions { weight, ignore_index, reduction })
        }
        "multi_margin_loss" => {
            let (p, margin) = (named(a, "p", 1.0)? as u32, named(a, "margin", 1.0)?);
            x.multi_margin_loss(&t, MultiMarginOptions { p, margin, weight: optional(a, "weight")?, reduction })
        }
        "multilabel_margin_loss" => x.multilabel_margin_loss(&t, reduction),
        "multilabel_soft_margin_loss" => x.multilabel_soft_margin_loss(&t, optional(a, "weight")?.as_ref(), reduction),
        "margin_ranking_loss" => x.margin_ranking_loss(&t, &a.tensor()?, named(a, "margin", 0.0)?, reduction),
        "cosine_embedding_loss" => x.cosine_embedding_loss(&t, &a.tensor()?, named(a, "margin", 0.0)?, reduction),
        _ => {
            let negative = a.tensor()?;
            let options = TripletOptions {
                margin: named(a, "margin", 1.0)?,
                p: named(a, "p", 2.0)?,
                eps: named(a, "eps", 1e-6)?,
                swap: truth(a, "swap", false),
                reduction,
            };
            x.triplet_margin_loss(&t, &negative, options)
        }
    })
}

/// A number that is given by name.
fn named(a: &mut Args, name: &str, default: f64) -> Result<f64, Stop> {
    match a.named.remove(name) {
        None => Ok(default),
        Some(Value::Int(x)) => Ok(x as f64),
        Some(Value::Float(x)) => Ok(x),
        Some(_) => unsupported(format!("{name} that is no number")),
    }
}

fn truth(a: &mut Args, name: &str, default: bool) -> bool {
    match a.named.remove(name) {
        Some(Value::Bool(x)) => x,
        _ => default,
    }
}

fn reduction(a: &mut Args) -> Result<Reduction, Stop> {
    Ok(match a.named.remove("reduction") {
        None => Reduction::Mean,
        Some(Value::Text(how)) => match how.as_str() {
            "mean" => Reduction::Mean,
            "sum" => Reduction::Sum,
            "batchmean" => Reduction::BatchMean,
            "none" => Reduction::None,
            other => return unsupported(format!("the reduction {other}")),
        },
        Some(_) => return unsupported("a reduction that is no text"),
    })
}

fn ctc_loss(a: &mut Args) -> Answer {
    let (x, targets) = (a.tensor()?, a.tensor()?);
    let mut lengths = Vec::new();
    for name in ["input_lengths", "target_lengths"] {
        lengths.push(match a.next(name) {
            Value::Tensor(x) => x.flatten(0, -1).to_vec::<i32>()?.iter().map(|&x| x as usize).collect::<Vec<_>>(),
            value => value.ints().unwrap_or_default().iter().map(|&x| x as usize).collect(),
        });
    }
    let blank = a.number("blank", 0.0)? as usize;
    let options = CtcOptions { blank, reduction: reduction(a)?, zero_infinity: truth(a, "zero_infinity", false) };
    one(x.ctc_loss(&targets, &lengths[0], &lengths[1], options))
}
