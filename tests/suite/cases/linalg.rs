//! Products.

use super::{ANY, Case};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("matmul", &[(&[3, 4], ANY), (&[4, 2], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("matmul of transposes", &[(&[4, 3], ANY), (&[2, 4], ANY)], |x| x[0].t().matmul(&x[1].t()).sin()),
        Case::new("matmul of one operand", &[(&[3, 3], ANY)], |x| x[0].matmul(&x[0]).sin()),
        Case::new("matmul batched", &[(&[2, 1, 3, 4], ANY), (&[3, 4, 2], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("dot", &[(&[5], ANY), (&[5], ANY)], |x| x[0].matmul(&x[1])),
        Case::new("matrix times vector", &[(&[3, 4], ANY), (&[4], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("vector times matrices", &[(&[4], ANY), (&[2, 4, 3], ANY)], |x| x[0].matmul(&x[1]).sin()),
    ]
}
