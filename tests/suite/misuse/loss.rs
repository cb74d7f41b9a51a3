//! Losses.

use super::check;
use crate::common::devices;
use wgrad::{CrossEntropyOptions, MultiMarginOptions, NllOptions, Reduction, Tensor};

#[test]
fn losses_refuse_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        let ints = |shape: &[usize]| Tensor::zeros(shape, (dev, wgrad::DType::I32));
        let mean = Reduction::Mean;
        check(dev, "mse_loss: shapes do not broadcast: [2, 3] and [4]", |_| {
            drop(zeros(&[2, 3]).mse_loss(&zeros(&[4]), mean))
        });
        check(dev, "l1_loss: needs floats, not i32 and i32", |_| drop(ints(&[2]).l1_loss(&ints(&[2]), mean)));
        check(dev, "huber_loss: delta must be positive, not 0", |_| {
            drop(zeros(&[2]).huber_loss(&zeros(&[2]), 0.0, mean))
        });
        check(dev, "smooth_l1_loss: beta must not be negative, and is -1", |_| {
            drop(zeros(&[2]).smooth_l1_loss(&zeros(&[2]), -1.0, mean))
        });
        check(dev, "binary_cross_entropy: shapes do not broadcast: [2, 3] and [2]", |_| {
            drop(zeros(&[2, 3]).binary_cross_entropy(&zeros(&[2, 3]), Some(&zeros(&[2])), mean))
        });
        check(dev, "binary_cross_entropy_with_logits: shapes do not broadcast: [2] and [2, 3]", |_| {
            drop(zeros(&[2, 3]).binary_cross_entropy_with_logits(&zeros(&[2, 3]), None, Some(&zeros(&[2])), mean))
        });
        check(dev, "gaussian_nll_loss: shapes do not broadcast: [2, 3] and [4]", |_| {
            drop(zeros(&[2, 3]).gaussian_nll_loss(&zeros(&[3]), &zeros(&[4]), Default::default()))
        });
        check(dev, "cross_entropy: scores [2, 3] want integer targets of shape [2], not f32 ones of [2]", |_| {
            drop(zeros(&[2, 3]).cross_entropy(&zeros(&[2])));
        });
        check(dev, "cross_entropy: scores need a dimension of classes, and have shape []", |_| {
            drop(zeros(&[]).cross_entropy(&ints(&[])))
        });
        check(dev, "cross_entropy: the weight of 3 classes has shape [2] and type f32", |_| {
            let options = CrossEntropyOptions { weight: Some(zeros(&[2])), ..Default::default() };
            drop(zeros(&[2, 3]).cross_entropy_with(&ints(&[2]), options))
        });
        check(dev, "cross_entropy: a label smoothing of 2 is not between 0 and 1", |_| {
            let options = CrossEntropyOptions { label_smoothing: 2.0, ..Default::default() };
            drop(zeros(&[2, 3]).cross_entropy_with(&ints(&[2]), options))
        });
        check(dev, "cross_entropy: no index can be ignored where the target holds probabilities", |_| {
            let options = CrossEntropyOptions { ignore_index: 1, ..Default::default() };
            drop(zeros(&[2, 3]).cross_entropy_with(&zeros(&[2, 3]), options))
        });
        check(dev, "nll_loss: scores [2, 3] want integer targets of shape [2], not f32 ones of [2, 3]", |_| {
            drop(zeros(&[2, 3]).nll_loss_with(&zeros(&[2, 3]), NllOptions::default()))
        });
        check(dev, "multi_margin_loss: needs scores [n, classes] and p 1 or 2, not [2, 3] and 3", |_| {
            let options = MultiMarginOptions { p: 3, ..Default::default() };
            drop(zeros(&[2, 3]).multi_margin_loss(&ints(&[2]), options))
        });
        check(
            dev,
            "multilabel_margin_loss: needs [n, classes] and integers of that shape, not [2, 3] and i32 ones of [2]",
            |_| drop(zeros(&[2, 3]).multilabel_margin_loss(&ints(&[2]), mean)),
        );
        check(
            dev,
            "ctc_loss: log-probabilities [4, 2, 3], targets [2, 2], lengths [4, 5] and [2, 1], and blank 0 do not fit",
            |_| drop(zeros(&[4, 2, 3]).ctc_loss(&ints(&[2, 2]), &[4, 5], &[2, 1], Default::default())),
        );
        check(dev, "ctc_loss: needs log-probabilities [time, n, classes] and integer targets, not [3] and i32", |_| {
            drop(zeros(&[3]).ctc_loss(&ints(&[2]), &[1], &[1], Default::default()))
        });
        check(dev, "margin_ranking_loss: shapes do not broadcast: [2] and [3]", |_| {
            drop(zeros(&[2]).margin_ranking_loss(&zeros(&[2]), &zeros(&[3]), 0.0, mean))
        });
        check(dev, "cosine_embedding_loss: needs [n, size] twice and targets [n], not [2], [2] and [2]", |_| {
            drop(zeros(&[2]).cosine_embedding_loss(&zeros(&[2]), &zeros(&[2]), 0.0, mean))
        });
        check(dev, "triplet_margin_loss: ranks differ: [2, 3], [2, 3] and [3]", |_| {
            drop(zeros(&[2, 3]).triplet_margin_loss(&zeros(&[2, 3]), &zeros(&[3]), Default::default()))
        });
    }
}
