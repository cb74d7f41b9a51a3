//! Normalisation, distances, attention, linear and recurrent layers.

use super::{ANY, Case};
use wgrad::{AttentionOptions, BatchNormOptions, RnnOptions, Tensor};

pub fn cases() -> Vec<Case> {
    [norms(), distances(), layers(), recurrent()].into_iter().flatten().collect()
}

fn norms() -> Vec<Case> {
    vec![
        Case::new("softmax", &[(&[3, 4], ANY)], |x| x[0].softmax(1) * &x[0]),
        Case::new("softmax of dimension 0", &[(&[3, 4], ANY)], |x| x[0].softmax(0).sin()),
        Case::new("softmax of 0-d", &[(&[], ANY)], |x| x[0].softmax(0) * &x[0]),
        Case::new("softmin of a transpose", &[(&[3, 4], ANY)], |x| x[0].t().softmin(-1).sin()),
        Case::new("log_softmax", &[(&[3, 4], ANY)], |x| x[0].log_softmax(-1).sin()),
        Case::new("layer_norm", &[(&[3, 4], ANY), (&[4], ANY), (&[4], ANY)], |x| {
            x[0].layer_norm(4, Some(&x[1]), Some(&x[2]), 1e-5).sin()
        }),
        Case::new("layer_norm over two dimensions, strided", &[(&[3, 4, 2], ANY)], |x| {
            x[0].permute([2, 0, 1]).layer_norm([3, 4], None, None, 1e-3).sin()
        }),
        Case::new("rms_norm", &[(&[3, 4], ANY), (&[4], ANY)], |x| x[0].rms_norm(4, Some(&x[1]), 1e-5).sin()),
        Case::new("batch_norm in training", &[(&[3, 2, 4], ANY), (&[2], ANY), (&[2], ANY)], |x| {
            let (weight, bias) = (Some(x[1].clone()), Some(x[2].clone()));
            x[0].batch_norm(BatchNormOptions { weight, bias, training: true, ..Default::default() }).sin()
        }),
        Case::new("batch_norm by running statistics", &[(&[3, 2], ANY), (&[2], ANY), (&[2], ANY)], |x| {
            let options = BatchNormOptions {
                running_mean: Some(Tensor::full([2], 0.3, (&x[0].device(), x[0].dtype()))),
                running_var: Some(Tensor::full([2], 1.5, (&x[0].device(), x[0].dtype()))),
                weight: Some(x[1].clone()),
                bias: Some(x[2].clone()),
                ..Default::default()
            };
            x[0].batch_norm(options).sin()
        }),
        Case::new("group_norm", &[(&[2, 4, 3], ANY), (&[4], ANY), (&[4], ANY)], |x| {
            x[0].group_norm(2, Some(&x[1]), Some(&x[2]), 1e-5).sin()
        }),
        Case::new("instance_norm_with", &[(&[2, 3, 4], ANY), (&[3], ANY), (&[3], ANY)], |x| {
            let (weight, bias) = (Some(x[1].clone()), Some(x[2].clone()));
            x[0].instance_norm_with(BatchNormOptions { weight, bias, training: true, ..Default::default() }).sin()
        }),
        Case::new("instance_norm", &[(&[2, 3, 4], ANY)], |x| x[0].instance_norm(1e-5).sin()),
        Case::new("local_response_norm", &[(&[2, 4, 3], ANY)], |x| x[0].local_response_norm(3, 0.3, 0.75, 1.5).sin()),
    ]
}

fn distances() -> Vec<Case> {
    vec![
        Case::new("normalize", &[(&[3, 4], ANY)], |x| x[0].normalize(2.0, 1, 1e-12).sin()),
        Case::new("normalize by the 3-norm", &[(&[3, 4], ANY)], |x| x[0].normalize(3.0, [0, 1], 1e-12).sin()),
        Case::new("cosine_similarity", &[(&[2, 3, 4], ANY), (&[4], ANY)], |x| {
            x[0].cosine_similarity(&x[1], -1, 1e-8).sin()
        }),
        Case::new("pairwise_distance", &[(&[3, 4], ANY), (&[1, 4], ANY)], |x| {
            x[0].pairwise_distance(&x[1], 2.0, 1e-6, true).sin()
        }),
        Case::new("renorm", &[(&[3, 4], ANY)], |x| x[0].renorm(2.0, 0, 1.5).sin()),
    ]
}

fn layers() -> Vec<Case> {
    vec![
        Case::new("a perceptron", &[(&[4, 3], ANY), (&[3, 5], ANY), (&[5], ANY), (&[5, 2], ANY)], |x| {
            (x[0].matmul(&x[1]) + &x[2]).tanh().matmul(&x[3]).log_softmax(1)
        }),
        Case::new("linear", &[(&[2, 3, 4], ANY), (&[5, 4], ANY), (&[5], ANY)], |x| {
            x[0].linear(&x[1], Some(&x[2])).sin()
        }),
        Case::new("linear of vectors", &[(&[4], ANY), (&[4], ANY), (&[], ANY)], |x| {
            x[0].linear(&x[1], Some(&x[2])).sin()
        }),
        Case::new("bilinear", &[(&[3, 2], ANY), (&[3, 4], ANY), (&[5, 2, 4], ANY), (&[5], ANY)], |x| {
            x[0].bilinear(&x[1], &x[2], Some(&x[3])).sin()
        }),
        Case::new("attention", &[(&[2, 3, 4], ANY), (&[2, 5, 4], ANY), (&[2, 5, 2], ANY), (&[3, 5], ANY)], |x| {
            let options = AttentionOptions { mask: Some(x[3].clone()), ..Default::default() };
            x[0].scaled_dot_product_attention(&x[1], &x[2], options).sin()
        }),
        Case::new("causal attention", &[(&[2, 4, 3], ANY), (&[1, 3, 3], ANY), (&[2, 3, 2], ANY)], |x| {
            let options = AttentionOptions { is_causal: true, scale: Some(0.7), ..Default::default() };
            x[0].scaled_dot_product_attention(&x[1], &x[2], options).sin()
        }),
        Case::new("attention of grouped queries", &[(&[4, 2, 3], ANY), (&[2, 3, 3], ANY), (&[2, 3, 2], ANY)], |x| {
            let options = AttentionOptions { enable_gqa: true, ..Default::default() };
            x[0].scaled_dot_product_attention(&x[1], &x[2], options).sin()
        }),
        Case::new("attention that sees nothing", &[(&[2, 3], ANY), (&[2, 3], ANY), (&[2, 2], ANY)], |x| {
            let mask = Tensor::new([[false, false], [true, true]], &x[0].device());
            let options = AttentionOptions { mask: Some(mask), ..Default::default() };
            x[0].scaled_dot_product_attention(&x[1], &x[2], options).sin()
        }),
    ]
}

fn recurrent() -> Vec<Case> {
    let lstm: &[(&[usize], (f64, f64))] =
        &[(&[2, 3], ANY), (&[2, 2], ANY), (&[2, 2], ANY), (&[8, 3], ANY), (&[8, 2], ANY), (&[8], ANY), (&[8], ANY)];
    let gru: &[(&[usize], (f64, f64))] =
        &[(&[2, 3], ANY), (&[2, 2], ANY), (&[6, 3], ANY), (&[6, 2], ANY), (&[6], ANY), (&[6], ANY)];
    vec![
        Case::new("lstm_cell", lstm, |x| {
            let (h, c) = x[0].lstm_cell((&x[1], &x[2]), &x[3], &x[4], Some((&x[5], &x[6])));
            h * c
        }),
        Case::new("gru_cell", gru, |x| x[0].gru_cell(&x[1], &x[2], &x[3], Some((&x[4], &x[5]))).sin()),
        Case::new("rnn_tanh_cell", &[(&[3], ANY), (&[2], ANY), (&[2, 3], ANY), (&[2, 2], ANY)], |x| {
            x[0].rnn_tanh_cell(&x[1], &x[2], &x[3], None).sin()
        }),
        Case::new("rnn_relu_cell", &[(&[2, 3], ANY), (&[2, 2], ANY), (&[2, 3], ANY), (&[2, 2], ANY)], |x| {
            x[0].rnn_relu_cell(&x[1], &x[2], &x[3], None).sin()
        }),
        Case::new("rnn_tanh, rnn_relu", &[(&[3, 3], ANY), (&[1, 2], ANY), (&[2, 3], ANY), (&[2, 2], ANY)], |x| {
            let options = || RnnOptions { bias: false, ..Default::default() };
            x[0].rnn_tanh(&x[1], &x[2..], options()).0 * x[0].rnn_relu(&x[1], &x[2..], options()).0.sin()
        }),
        Case::new("lstm", &[(&[2, 3], ANY), (&[1, 2], ANY), (&[1, 2], ANY), (&[8, 3], ANY), (&[8, 2], ANY)], |x| {
            let options = RnnOptions { bias: false, ..Default::default() };
            let (y, (h, c)) = x[0].lstm((&x[1], &x[2]), &x[3..], options);
            y.sin().sum() + h.sin().sum() * c.sin().sum()
        }),
        Case::new(
            "gru both ways",
            &[(&[2, 3], ANY), (&[2, 2], ANY), (&[6, 3], ANY), (&[6, 2], ANY), (&[6, 3], ANY), (&[6, 2], ANY)],
            |x| {
                let options = RnnOptions { bias: false, bidirectional: true, ..Default::default() };
                let (y, h) = x[0].gru(&x[1], &x[2..], options);
                y.sin().sum() + h.sin().sum()
            },
        ),
    ]
}
