//! Losses.

use super::{ANY, Case, index};
use wgrad::{
    CrossEntropyOptions, CtcOptions, GaussianNllOptions, MultiMarginOptions, NllOptions, PoissonNllOptions, Reduction,
    Tensor, TripletOptions,
};

/// Probabilities, and positive numbers.
const PART: (f64, f64) = (0.1, 0.9);
const POSITIVE: (f64, f64) = (0.5, 3.0);

pub fn cases() -> Vec<Case> {
    [elements(), classes(), pairs()].into_iter().flatten().collect()
}

/// Targets 1 and -1.
fn signs(x: &Tensor, n: usize) -> Tensor {
    let data: Vec<i32> = (0..n).map(|i| if i % 3 == 0 { -1 } else { 1 }).collect();
    index(x, &data, &[n])
}

fn elements() -> Vec<Case> {
    vec![
        Case::new("nll_loss_with", &[(&[3, 4], ANY)], |x| {
            let weight = Some(Tensor::linspace(0.5, 2.0, 4, (&x[0].device(), x[0].dtype())));
            let options = NllOptions { weight, ignore_index: 2, ..Default::default() };
            x[0].nll_loss_with(&index(&x[0], &[3, 2, 0], &[3]), options).sin()
        }),
        Case::new("l1_loss", &[(&[3, 4], ANY), (&[4], ANY)], |x| x[0].l1_loss(&x[1], Reduction::Mean).sin()),
        Case::new("mse_loss of a transpose", &[(&[4, 3], ANY), (&[3, 4], ANY)], |x| {
            x[0].t().mse_loss(&x[1], Reduction::Sum).sin()
        }),
        Case::new("smooth_l1_loss", &[(&[3, 4], ANY), (&[3, 4], ANY)], |x| {
            x[0].smooth_l1_loss(&x[1], 0.7, Reduction::None).sin()
        }),
        Case::new("huber_loss", &[(&[3, 4], ANY), (&[3, 4], ANY)], |x| {
            x[0].huber_loss(&x[1], 0.7, Reduction::BatchMean).sin()
        }),
        Case::new("soft_margin_loss", &[(&[5], ANY)], |x| {
            x[0].soft_margin_loss(&signs(&x[0], 5), Reduction::Mean).sin()
        }),
        Case::new("hinge_embedding_loss", &[(&[5], ANY)], |x| {
            x[0].hinge_embedding_loss(&signs(&x[0], 5), 0.6, Reduction::None).sin()
        }),
        Case::new("binary_cross_entropy", &[(&[3, 4], PART), (&[3, 4], PART), (&[4], PART)], |x| {
            x[0].binary_cross_entropy(&x[1], Some(&x[2]), Reduction::Sum).sin()
        }),
        Case::new("binary_cross_entropy_with_logits", &[(&[3, 4], ANY), (&[3, 4], PART), (&[4], PART)], |x| {
            x[0].binary_cross_entropy_with_logits(&x[1], None, Some(&x[2]), Reduction::None).sin()
        }),
        Case::new("kl_div", &[(&[3, 4], ANY), (&[3, 4], PART)], |x| x[0].kl_div(&x[1], false, Reduction::Mean)),
        Case::new("kl_div of logarithms", &[(&[3, 4], ANY), (&[3, 4], ANY)], |x| {
            x[0].kl_div(&x[1], true, Reduction::BatchMean).sin()
        }),
        Case::new("poisson_nll_loss", &[(&[3, 4], ANY), (&[3, 4], (0.2, 4.0))], |x| {
            x[0].poisson_nll_loss(&x[1], PoissonNllOptions { full: true, ..Default::default() })
        }),
        Case::new("poisson_nll_loss of rates", &[(&[5], POSITIVE), (&[5], POSITIVE)], |x| {
            x[0].poisson_nll_loss(&x[1], PoissonNllOptions { log_input: false, ..Default::default() })
        }),
        Case::new("gaussian_nll_loss", &[(&[3, 4], ANY), (&[3, 4], ANY), (&[3], POSITIVE)], |x| {
            x[0].gaussian_nll_loss(&x[1], &x[2], GaussianNllOptions { full: true, ..Default::default() })
        }),
    ]
}

fn classes() -> Vec<Case> {
    vec![
        Case::new("cross_entropy", &[(&[4, 3], ANY)], |x| x[0].cross_entropy(&index(&x[0], &[0, 2, -100, 1], &[4]))),
        Case::new("cross_entropy weighted and smoothed", &[(&[2, 3, 2], ANY), (&[3], POSITIVE)], |x| {
            let options = CrossEntropyOptions {
                weight: Some(x[1].clone()),
                ignore_index: 1,
                label_smoothing: 0.2,
                ..Default::default()
            };
            x[0].cross_entropy_with(&index(&x[0], &[0, 2, 1, 0], &[2, 2]), options)
        }),
        Case::new("cross_entropy of probabilities", &[(&[3, 4], ANY), (&[3, 4], PART)], |x| {
            let options = CrossEntropyOptions { label_smoothing: 0.1, ..Default::default() };
            x[0].cross_entropy_with(&x[1], options).sin()
        }),
        Case::new("nll_loss of one", &[(&[4], ANY)], |x| x[0].nll_loss(&index(&x[0], &[2], &[])).sin()),
        Case::new("multi_margin_loss", &[(&[3, 4], ANY), (&[4], POSITIVE)], |x| {
            let options = MultiMarginOptions { p: 2, weight: Some(x[1].clone()), ..Default::default() };
            x[0].multi_margin_loss(&index(&x[0], &[1, 3, 0], &[3]), options).sin()
        }),
        Case::new("multilabel_margin_loss", &[(&[2, 4], ANY)], |x| {
            let t = index(&x[0], &[3, 0, -1, 1, -1, 2, 0, 1], &[2, 4]);
            x[0].multilabel_margin_loss(&t, Reduction::Sum).sin()
        }),
        Case::new("ctc_loss", &[(&[4, 2, 3], ANY)], |x| {
            let t = index(&x[0], &[1, 2, 2, 0], &[2, 2]);
            x[0].ctc_loss(&t, &[4, 3], &[2, 1], CtcOptions::default()).sin()
        }),
        Case::new("multilabel_soft_margin_loss", &[(&[3, 4], ANY), (&[3, 4], PART)], |x| {
            x[0].multilabel_soft_margin_loss(&x[1], None, Reduction::None).sin()
        }),
    ]
}

fn pairs() -> Vec<Case> {
    vec![
        Case::new("margin_ranking_loss", &[(&[6], ANY), (&[6], ANY)], |x| {
            x[0].margin_ranking_loss(&x[1], &signs(&x[0], 6), 0.3, Reduction::Mean).sin()
        }),
        Case::new("cosine_embedding_loss", &[(&[4, 3], ANY), (&[4, 3], ANY)], |x| {
            x[0].cosine_embedding_loss(&x[1], &signs(&x[0], 4), 0.1, Reduction::None).sin()
        }),
        Case::new("triplet_margin_loss", &[(&[4, 3], ANY), (&[4, 3], ANY), (&[4, 3], ANY)], |x| {
            x[0].triplet_margin_loss(&x[1], &x[2], TripletOptions { swap: true, ..Default::default() }).sin()
        }),
        Case::new("triplet_margin_with_distance_loss", &[(&[4, 3], ANY), (&[4, 3], ANY), (&[4, 3], ANY)], |x| {
            let distance = |a: &Tensor, b: &Tensor| (a - b).abs().sum_dim(1, false);
            x[0].triplet_margin_with_distance_loss(&x[1], &x[2], distance, 2.0, false, Reduction::Mean).sin()
        }),
    ]
}
