//! Normalisation, losses, layers.

use super::{ANY, Case, index};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("softmax", &[(&[3, 4], ANY)], |x| x[0].softmax(1) * &x[0]),
        Case::new("softmax of dimension 0", &[(&[3, 4], ANY)], |x| x[0].softmax(0).sin()),
        Case::new("log_softmax", &[(&[3, 4], ANY)], |x| x[0].log_softmax(-1).sin()),
        Case::new("cross_entropy", &[(&[4, 3], ANY)], move |x| {
            x[0].cross_entropy(&index(&x[0], &[0, 2, -100, 1], &[4]))
        }),
        Case::new("a perceptron", &[(&[4, 3], ANY), (&[3, 5], ANY), (&[5], ANY), (&[5, 2], ANY)], |x| {
            (x[0].matmul(&x[1]) + &x[2]).tanh().matmul(&x[3]).log_softmax(1)
        }),
    ]
}
