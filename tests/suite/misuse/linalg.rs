//! Products.

use super::check;
use crate::common::devices;
use wgrad::{DType, Tensor};

#[test]
fn products_refuse_what_does_not_fit() {
    for dev in devices() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, &dev);
        let refused = |want: &str, f: &dyn Fn()| check(&dev, want, |_| f());
        refused("mm: wants ranks 2 and 2: [2, 3] x [3]", &|| drop(zeros(&[2, 3]).mm(&zeros(&[3]))));
        refused("mv: inner sizes differ: [2, 3] x [4] (3 != 4)", &|| drop(zeros(&[2, 3]).mv(&zeros(&[4]))));
        refused("dot: inner sizes differ: [3] x [1] (3 != 1)", &|| drop(zeros(&[3]).dot(&zeros(&[1]))));
        refused("bmm: batches differ: [2, 3, 3] x [1, 3, 3]", &|| drop(zeros(&[2, 3, 3]).bmm(&zeros(&[1, 3, 3]))));
        refused("outer: wants ranks 1 and 1: [2, 3] x [3]", &|| drop(zeros(&[2, 3]).outer(&zeros(&[3]))));
        refused("inner: sizes differ: [2, 3] along [-1] and [4] along [-1]", &|| {
            drop(zeros(&[2, 3]).inner(&zeros(&[4])))
        });
        refused("tensordot: [2] and [2, 3] do not both have 2 dimensions", &|| {
            drop(zeros(&[2]).tensordot(&zeros(&[2, 3]), 2))
        });
        refused("tensordot: not as many dimensions of both: [2, 3] along [0, 1] and [2, 3] along [0]", &|| {
            drop(zeros(&[2, 3]).tensordot(&zeros(&[2, 3]), ([0, 1], [0])))
        });
        refused(
            "tensordot: dimensions that do not exist or are named twice: [2, 2] along [0, 0] and [2, 2] along [0, 1]",
            &|| drop(zeros(&[2, 2]).tensordot(&zeros(&[2, 2]), ([0, 0], [0, 1]))),
        );
        refused("addmm: [4] does not broadcast to the product [2, 3]", &|| {
            drop(zeros(&[4]).addmm(&zeros(&[2, 2]), &zeros(&[2, 3]), 1, 1))
        });
        refused("addmm: the summand or a factor makes f32 of i32 elements", &|| {
            let x = Tensor::zeros([2, 2], (&dev, DType::I32));
            drop(zeros(&[2, 2]).addmm(&x, &x, 1, 1))
        });
        refused("addmm: needs two operands of one number type: [2, 2] x [2, 2] of f32 and f16", &|| {
            let x = zeros(&[2, 2]);
            drop(x.addmm(&x, &x.cast(DType::F16), 1, 1))
        });
        refused("addr: the factor 0.5 among i32 elements is a float", &|| {
            let x = Tensor::zeros([2], (&dev, DType::I32));
            drop(x.addr(&x, &x, 1, 0.5))
        });
        refused("vecdot: needs floats, not i32 elements of shape [2]", &|| {
            let x = Tensor::zeros([2], (&dev, DType::I32));
            drop(x.vecdot(&x, -1))
        });
        refused("vecdot: shapes do not broadcast: [2] and [3]", &|| drop(zeros(&[2]).vecdot(&zeros(&[3]), -1)));
        refused("cdist: a negative p of -1", &|| drop(zeros(&[2, 4]).cdist(&zeros(&[2, 4]), -1.0)));
        refused("pdist: [2] is no matrix", &|| drop(zeros(&[2]).pdist(2.0)));
        refused("multi_dot: wants two matrices or more, not 1", &|| drop(Tensor::multi_dot(&[zeros(&[2, 2])])));
        refused("multi_dot: operand 1 of shape [2] is no matrix", &|| {
            drop(Tensor::multi_dot(&[zeros(&[2, 2]), zeros(&[2]), zeros(&[2, 2])]))
        });
        refused("matrix_power: [2, 3] is not square", &|| drop(zeros(&[2, 3]).matrix_power(2)));
        refused("trace: [2] is no matrix", &|| drop(zeros(&[2]).trace()));
        refused("cross: [2, 4] and [2, 4] do not hold vectors of 3 along 1", &|| {
            drop(zeros(&[2, 4]).cross(&zeros(&[2, 4]), 1))
        });
        refused("cdist: [2, 4] and [2, 3] do not hold rows of one length", &|| {
            drop(zeros(&[2, 4]).cdist(&zeros(&[2, 3]), 2.0))
        });
    }
}

#[test]
fn equations_that_cannot_be_read_are_refused() {
    for dev in devices() {
        let x = Tensor::zeros([2, 3], &dev);
        for (equation, operands, want) in [
            ("ij", 2, "\"ij\" names 1 operands, and there are 2"),
            ("ijk", 1, "\"ijk\" in \"ijk\" does not name the dimensions of [2, 3]"),
            ("i->i", 1, "\"i\" in \"i->i\" does not name the dimensions of [2, 3]"),
            ("i1->i", 1, "'1' in \"i1->i\" is no letter"),
            ("i.j->i", 1, "'.' in \"i.j->i\" is no letter"),
            ("......->", 1, "\"......\" in \"......->\" has two ellipses"),
            ("ij->k", 1, "\"k\" in the result of \"ij->k\" is in no operand"),
            ("ij->ii", 1, "\"i\" stands twice in the result of \"ij->ii\""),
            ("ij,jk->ik", 2, "\"ij,jk->ik\" gives one dimension the sizes 3 and 2: [[2, 3], [2, 3]]"),
            ("ii", 1, "\"ii\" gives one dimension the sizes 2 and 3: [[2, 3]]"),
        ] {
            let operands = vec![&x; operands];
            check(&dev, &format!("einsum: {want}"), |_| drop(Tensor::einsum(equation, &operands)));
        }
    }
}
