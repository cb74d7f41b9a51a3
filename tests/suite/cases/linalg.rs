//! Products.

use super::{ANY, Case};
use wgrad::Tensor;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("matmul", &[(&[3, 4], ANY), (&[4, 2], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("matmul of transposes", &[(&[4, 3], ANY), (&[2, 4], ANY)], |x| x[0].t().matmul(&x[1].t()).sin()),
        Case::new("matmul of one operand", &[(&[3, 3], ANY)], |x| x[0].matmul(&x[0]).sin()),
        Case::new("matmul batched", &[(&[2, 1, 3, 4], ANY), (&[3, 4, 2], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("dot", &[(&[5], ANY), (&[5], ANY)], |x| x[0].dot(&x[1]) * x[0].matmul(&x[1])),
        Case::new("chain_matmul", &[(&[2, 3], ANY), (&[3, 4], ANY), (&[4, 2], ANY)], |x| Tensor::chain_matmul(x).sin()),
        Case::new("matrix times vector", &[(&[3, 4], ANY), (&[4], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("vector times matrices", &[(&[4], ANY), (&[2, 4, 3], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("mm", &[(&[3, 4], ANY), (&[4, 2], ANY)], |x| x[0].mm(&x[1]).sin()),
        Case::new("mv", &[(&[3, 4], ANY), (&[4], ANY)], |x| x[0].mv(&x[1]).sin()),
        Case::new("bmm", &[(&[2, 3, 4], ANY), (&[2, 4, 2], ANY)], |x| x[0].bmm(&x[1]).sin()),
        Case::new("vdot", &[(&[5], ANY), (&[5], ANY)], |x| x[0].vdot(&x[1]).sin()),
        Case::new("inner", &[(&[2, 4], ANY), (&[3, 2, 4], ANY)], |x| x[0].inner(&x[1]).sin()),
        Case::new("outer", &[(&[3], ANY), (&[4], ANY)], |x| x[0].outer(&x[1]).sin()),
        Case::new("tensordot", &[(&[2, 3, 4], ANY), (&[3, 4, 2], ANY)], |x| x[0].tensordot(&x[1], 2).sin()),
        Case::new("tensordot over pairs", &[(&[2, 3, 4], ANY), (&[4, 1, 2], ANY)], |x| {
            x[0].tensordot(&x[1], ([2, 1], [0, 1])).sin()
        }),
        Case::new("product cut into parts", &[(&[2, 2048], ANY), (&[2048, 3], ANY)], |x| {
            x[0].matmul(&x[1]).mul(1e-2).sin()
        }),
        Case::new("addmm", &[(&[2], ANY), (&[3, 4], ANY), (&[4, 2], ANY)], |x| {
            x[0].addmm(&x[1], &x[2], 0.5, -2.0).sin()
        }),
        Case::new("addmm without its summand", &[(&[2], ANY), (&[3, 4], ANY), (&[4, 2], ANY)], |x| {
            x[0].addmm(&x[1], &x[2], 0, 1).sin()
        }),
        Case::new("addmv", &[(&[3], ANY), (&[3, 4], ANY), (&[4], ANY)], |x| x[0].addmv(&x[1], &x[2], 1, 2.0).sin()),
        Case::new("addbmm", &[(&[3, 2], ANY), (&[2, 3, 4], ANY), (&[2, 4, 2], ANY)], |x| {
            x[0].addbmm(&x[1], &x[2], 2.0, 1).sin()
        }),
        Case::new("baddbmm", &[(&[3, 1], ANY), (&[2, 3, 4], ANY), (&[2, 4, 2], ANY)], |x| {
            x[0].baddbmm(&x[1], &x[2], 1, 1).sin()
        }),
        Case::new("addr", &[(&[], ANY), (&[3], ANY), (&[2], ANY)], |x| x[0].addr(&x[1], &x[2], 1, 1).sin()),
        Case::new("multi_dot", &[(&[2], ANY), (&[2, 5], ANY), (&[5, 3], ANY), (&[3], ANY)], |x| {
            Tensor::multi_dot(x).sin()
        }),
        Case::new("matrix_power", &[(&[2, 3, 3], (-0.5, 0.5))], |x| x[0].matrix_power(5).sin()),
        Case::new("kron", &[(&[2, 1], ANY), (&[3, 1, 2], ANY)], |x| x[0].kron(&x[1]).sin()),
        Case::new("trace", &[(&[3, 4], ANY)], |x| x[0].trace().sin()),
        Case::new("cross", &[(&[2, 3], ANY), (&[1, 3], ANY)], |x| x[0].cross(&x[1], 1).sin()),
        Case::new("vecdot", &[(&[3, 4], ANY), (&[2, 1, 4], ANY)], |x| x[0].vecdot(&x[1], -1).sin()),
        Case::new("pdist", &[(&[4, 3], ANY)], |x| x[0].pdist(2.0).sin()),
        Case::new("cdist inf", &[(&[3, 4], ANY), (&[2, 4], ANY)], |x| x[0].cdist(&x[1], f64::INFINITY).sin()),
        Case::new("cdist", &[(&[2, 3, 4], ANY), (&[2, 4], ANY)], |x| x[0].cdist(&x[1], 2.0).sin()),
        Case::new("cdist 1.5", &[(&[3, 4], ANY), (&[2, 4], ANY)], |x| x[0].cdist(&x[1], 1.5).sin()),
        einsum("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        einsum("ij,jk->ki", &[&[2, 3], &[3, 4]]),
        einsum("...ij,...jk", &[&[2, 1, 2, 3], &[3, 3, 2]]),
        einsum("bhqk,bkhd->bqhd", &[&[2, 3, 2, 4], &[2, 4, 3, 2]]),
        einsum("iij->j", &[&[3, 3, 2]]),
        einsum("iji,kjk->ki", &[&[2, 3, 2], &[2, 3, 2]]),
        einsum("ab,bc,cd,d->a", &[&[2, 3], &[3, 2], &[2, 2], &[2]]),
        einsum("i...,i...->...", &[&[3, 2], &[3, 1]]),
        einsum("ijk,il->l", &[&[2, 3, 4], &[2, 3]]),
        einsum("ij,kl->", &[&[2, 3], &[2, 2]]),
        einsum("ij,ij->ij", &[&[2, 3], &[1, 3]]),
        einsum("ba,", &[&[2, 3], &[]]),
        einsum("j...->...", &[&[2, 3]]),
    ]
}

fn einsum(equation: &'static str, shapes: &[&[usize]]) -> Case {
    let operands: Vec<(&[usize], (f64, f64))> = shapes.iter().map(|&shape| (shape, ANY)).collect();
    Case::new(&format!("einsum {equation}"), &operands, move |x| {
        Tensor::einsum(equation, &x.iter().collect::<Vec<_>>()).sin()
    })
}
