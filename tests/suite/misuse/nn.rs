//! Normalisation, attention, recurrent layers.

use super::check;
use crate::common::devices;
use wgrad::{AttentionOptions, BatchNormOptions, DType, RnnOptions, Tensor};

#[test]
fn norms_refuse_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        check(dev, "softmax: dimension 2 is out of range for shape [2, 3] (-2..=1)", |_| {
            drop(zeros(&[2, 3]).softmax(2))
        });
        check(dev, "softmin: needs floats, not i32 elements of shape [1]", |d| drop(Tensor::new([1], d).softmin(0)));
        check(dev, "layer_norm: the input of shape [2, 3] does not end in [2]", |_| {
            drop(zeros(&[2, 3]).layer_norm(2, None, None, 1e-5))
        });
        check(dev, "layer_norm: the weight must hold floats of shape [3], not f32 of [2]", |_| {
            drop(zeros(&[2, 3]).layer_norm(3, Some(&zeros(&[2])), None, 1e-5))
        });
        check(dev, "rms_norm: the input of shape [3] does not end in []", |_| {
            drop(zeros(&[3]).rms_norm((), None, None))
        });
        check(dev, "rms_norm: negative size in shape [-3]", |_| drop(zeros(&[3]).rms_norm(-3, None, None)));
        let batch = BatchNormOptions { training: true, ..Default::default() };
        check(dev, "batch_norm: needs at least 2 dimensions, channels second, and the input has [3]", |_| {
            drop(zeros(&[3]).batch_norm(batch.clone()))
        });
        check(dev, "batch_norm: training needs more than one element for each channel of [1, 3]", |_| {
            drop(zeros(&[1, 3]).batch_norm(batch.clone()))
        });
        check(dev, "batch_norm: outside training a running mean is needed", |_| {
            drop(zeros(&[2, 3]).batch_norm(BatchNormOptions::default()))
        });
        check(dev, "batch_norm: the running mean must hold floats of shape [3], not f32 of [2]", |_| {
            drop(zeros(&[2, 3]).batch_norm(BatchNormOptions { running_mean: Some(zeros(&[2])), ..batch.clone() }))
        });
        check(dev, "instance_norm: statistics need more than one element for each channel of [2, 3]", |_| {
            drop(zeros(&[2, 3]).instance_norm(1e-5))
        });
        check(dev, "group_norm: 2 groups do not divide 3 channels of [2, 3, 4]", |_| {
            drop(zeros(&[2, 3, 4]).group_norm(2, None, None, 1e-5))
        });
        check(dev, "group_norm: the bias must hold floats of shape [4], not f32 of [2]", |_| {
            drop(zeros(&[2, 4]).group_norm(2, None, Some(&zeros(&[2])), 1e-5))
        });
        check(dev, "local_response_norm: a window of 0 channels over [2, 3, 4]", |_| {
            drop(zeros(&[2, 3, 4]).local_response_norm(0, 1e-4, 0.75, 1.0))
        });
        check(dev, "normalize: needs floats, not i32 elements of shape [1]", |d| {
            drop(Tensor::new([1], d).normalize(2.0, 0, 1e-12))
        });
        check(dev, "cosine_similarity: shapes do not broadcast: [2, 3] and [4]", |_| {
            drop(zeros(&[2, 3]).cosine_similarity(&zeros(&[4]), 1, 1e-8))
        });
        check(dev, "pairwise_distance: needs floats, not i32 and i32", |d| {
            let x = Tensor::new([1], d);
            drop(x.pairwise_distance(&x, 2.0, 1e-6, false))
        });
        check(dev, "renorm: needs at least two dimensions, not [3]", |_| drop(zeros(&[3]).renorm(2.0, 0, 1.0)));
        check(dev, "dropout: a probability of 1.5 is not between 0 and 1", |_| drop(zeros(&[3]).dropout(1.5, false)));
        check(dev, "dropout2d: needs [3, 4] dimensions, and the input has [3]", |_| {
            drop(zeros(&[3]).dropout2d(0.5, true))
        });
        check(dev, "feature_alpha_dropout: needs [2] dimensions, and the input has [3]", |_| {
            drop(zeros(&[3]).feature_alpha_dropout(0.5, true))
        });
    }
}

#[test]
fn attention_refuses_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        let attend = |q: &[usize], k: &[usize], v: &[usize]| [zeros(q), zeros(k), zeros(v)];
        let op = "scaled_dot_product_attention";
        check(dev, &format!("{op}: too few dimensions: queries [3], keys [2, 3], values [2, 3]"), |_| {
            let [q, k, v] = attend(&[3], &[2, 3], &[2, 3]);
            drop(q.scaled_dot_product_attention(&k, &v, Default::default()))
        });
        check(dev, &format!("{op}: shapes do not fit: queries [2, 3], keys [2, 3], values [4, 3]"), |_| {
            let [q, k, v] = attend(&[2, 3], &[2, 3], &[4, 3]);
            drop(q.scaled_dot_product_attention(&k, &v, Default::default()))
        });
        check(
            dev,
            &format!("{op}: batches do not broadcast: queries [2, 1, 3], keys [3, 1, 3], values [3, 1, 3]"),
            |_| {
                let [q, k, v] = attend(&[2, 1, 3], &[3, 1, 3], &[3, 1, 3]);
                drop(q.scaled_dot_product_attention(&k, &v, Default::default()))
            },
        );
        let [q, k, v] = attend(&[3, 2, 4], &[2, 5, 4], &[2, 5, 4]);
        check(
            dev,
            &format!(
                "{op}: heads of keys and values do not divide those of queries: queries [3, 2, 4], keys [2, 5, 4], values [2, 5, 4]"
            ),
            |_| {
                let options = AttentionOptions { enable_gqa: true, ..Default::default() };
                drop(q.scaled_dot_product_attention(&k, &v, options))
            },
        );
        let mask = |shape: &[usize], dtype| Some(Tensor::zeros(shape, (dev, dtype)));
        check(dev, &format!("{op}: the mask [2, 4] does not broadcast to the scores [2, 2, 5]"), |_| {
            let options = AttentionOptions { mask: mask(&[2, 4], DType::Bool), ..Default::default() };
            drop(q.narrow(0, 0, 2).scaled_dot_product_attention(&k, &v, options))
        });
        check(dev, &format!("{op}: the mask must hold bools or floats, not i32"), |_| {
            let options = AttentionOptions { mask: mask(&[2, 5], DType::I32), ..Default::default() };
            drop(q.narrow(0, 0, 2).scaled_dot_product_attention(&k, &v, options))
        });
        check(dev, &format!("{op}: a causal attention takes no other mask"), |_| {
            let options = AttentionOptions { mask: mask(&[2, 5], DType::Bool), is_causal: true, ..Default::default() };
            drop(q.narrow(0, 0, 2).scaled_dot_product_attention(&k, &v, options))
        });
        check(dev, &format!("{op}: types differ: f32, f16 and f32"), |_| {
            drop(q.scaled_dot_product_attention(&k.cast(DType::F16), &v, Default::default()))
        });
    }
}

#[test]
fn layers_refuse_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        check(dev, "linear: shapes do not fit: input [2, 3], weight [3, 4]", |_| {
            drop(zeros(&[2, 3]).linear(&zeros(&[3, 4]), None))
        });
        check(dev, "linear: shapes do not fit: input [2, 3], weight [4, 3], bias [3]", |_| {
            drop(zeros(&[2, 3]).linear(&zeros(&[4, 3]), Some(&zeros(&[3]))))
        });
        check(dev, "bilinear: shapes do not fit: [2, 3] and [1, 3], weight [4, 3, 3]", |_| {
            drop(zeros(&[2, 3]).bilinear(&zeros(&[1, 3]), &zeros(&[4, 3, 3]), None))
        });
        check(dev, "gru_cell: shapes do not fit: input [2, 3], state [2, 4], weights [12, 3] and [12, 5]", |_| {
            drop(zeros(&[2, 3]).gru_cell(&zeros(&[2, 4]), &zeros(&[12, 3]), &zeros(&[12, 5]), None))
        });
        check(dev, "lstm: an input [5, 2, 3] and a state [2, 4] do not fit", |_| {
            let h = zeros(&[2, 4]);
            drop(zeros(&[5, 2, 3]).lstm((&h, &h), &[], RnnOptions::default()))
        });
        check(
            dev,
            "rnn_relu: 2 weights, an input [5, 2, 3] and a state [1, 2, 4] do not make 1 layers of 1 directions",
            |_| {
                let weights = [zeros(&[4, 3]), zeros(&[4, 4])];
                drop(zeros(&[5, 2, 3]).rnn_relu(&zeros(&[1, 2, 4]), &weights, RnnOptions::default()))
            },
        );
        check(
            dev,
            "rnn_tanh: the weights [4, 5] and [4, 4] of layer 0 do not fit an input of 3 and a state of 4",
            |_| {
                let weights = [zeros(&[4, 5]), zeros(&[4, 4])];
                let options = RnnOptions { bias: false, ..Default::default() };
                drop(zeros(&[5, 2, 3]).rnn_tanh(&zeros(&[1, 2, 4]), &weights, options))
            },
        );
    }
}
