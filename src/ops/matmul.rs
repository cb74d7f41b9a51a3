//! The matrix product, with PyTorch's rules for ranks.

use crate::error::misuse;
use crate::ops::create::full;
use crate::ops::map::{cast_operand, record_value, result_type};
use crate::ops::op::Op;
use crate::shape::{Dims, broadcast};
use crate::tensor::Tensor;
use crate::tensor::node::{Save, record};
use crate::tensor::value::{Operand, Operands};

impl Tensor {
    /// The matrix product. Dimensions before the last two are a batch and broadcast; a tensor of rank 1 is a row on the
    /// left and a column on the right, and its dimension disappears.
    ///
    /// `y = a b`; derivatives: `g bᵀ` and `aᵀ g`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let a = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev);
    /// assert_eq!(a.matmul(&Tensor::new([1.0, 10.0], &dev)).to_vec::<f32>()?, [21.0, 43.0]);
    /// assert_eq!(Tensor::zeros([5, 1, 2, 3], &dev).matmul(&Tensor::zeros([4, 3, 6], &dev)).shape(), [5, 4, 2, 6]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the inner sizes differ, the batches do not broadcast, an operand is 0-d, or the elements are no floats.
    ///
    /// Source: [torch.matmul](https://docs.pytorch.org/docs/stable/generated/torch.matmul.html).
    #[track_caller]
    pub fn matmul(&self, b: &Tensor) -> Tensor {
        let a = self;
        a.expect_same_device("matmul", b);
        let shapes = || format!("{:?} x {:?}", a.shape(), b.shape());
        if a.rank() == 0 || b.rank() == 0 {
            misuse("matmul", format!("a 0-d operand: {}", shapes()));
        }
        if !a.dtype().is_float() || !b.dtype().is_float() || a.dtype() != b.dtype() {
            misuse(
                "matmul",
                format!("needs two operands of one float type: {} of {} and {}", shapes(), a.dtype(), b.dtype()),
            );
        }
        let (row, column) = (a.rank() == 1, b.rank() == 1);
        let (inner_a, inner_b) = (a.shape()[a.rank() - 1], b.shape()[b.rank().max(2) - 2]);
        if inner_a != inner_b {
            misuse("matmul", format!("inner sizes differ: {} ({inner_a} != {inner_b})", shapes()));
        }
        let matrix = |x: &Tensor, at: Option<usize>| {
            let operand = x.operand();
            let layout = at.map_or(operand.layout.clone(), |d| operand.layout.unsqueeze(d));
            Operand { value: operand.value, layout }
        };
        let (ma, mb) = (matrix(a, row.then_some(0)), matrix(b, column.then_some(1)));
        let (sa, sb) = (ma.layout.shape.clone(), mb.layout.shape.clone());
        let Some(batch) = broadcast(&sa[..sa.len() - 2], &sb[..sb.len() - 2]) else {
            misuse("matmul", format!("batches do not broadcast: {}", shapes()));
        };

        let sized = |rows: usize, columns: usize| -> Dims { batch.iter().copied().chain([rows, columns]).collect() };
        let (m, n) = (sa[sa.len() - 2], sb[sb.len() - 1]);
        let dtype = result_type([a.into(), b.into()].iter());
        let compute = dtype.compute();
        let y = if inner_a == 0 {
            full(0.0, sized(m, n), compute, &a.device())
        } else {
            let operand = |x: Operand, rows, columns| {
                let x = cast_operand(x, compute);
                Operand { layout: x.layout.expand(&sized(rows, columns)), value: x.value }
            };
            let operands = Operands::from_iter([operand(ma, m, inner_a), operand(mb, inner_a, n)]);
            Tensor::from_value(record_value(Op::Matmul, operands, sized(m, n), compute, &a.device()))
        };
        let y = y.cast_value(dtype);
        let mut gone = Dims::new();
        if row {
            gone.push(batch.len());
        }
        if column {
            gone.push(batch.len() + 1);
        }
        let y = y.alias(y.0.layout.squeeze(&gone));

        let name = match (a.rank(), b.rank()) {
            (1, 1) => "DotBackward0",
            (2, 1) => "MvBackward0",
            (2, 2) => "MmBackward0",
            _ => "BmmBackward0",
        };
        record(y, name, &[a, b], &[Save::Input(a), Save::Input(b)], move |call| {
            let [a, b] = call.saved else { unreachable!("both are saved") };
            let matrix = |x: &Tensor, at: Option<isize>| at.map_or(x.clone(), |d| x.unsqueeze(d));
            let (ma, mb) = (matrix(a, row.then_some(0)), matrix(b, column.then_some(1)));
            let g = matrix(call.g, row.then_some(if column { -1 } else { -2 }));
            let g = matrix(&g, column.then_some(-1));
            let back = |x: Tensor, like: &Tensor, to: &Tensor| x.sum_to(like.shape()).reshape(to.shape());
            vec![
                call.needs[0].then(|| back(g.matmul(&mb.transpose(-1, -2)), &ma, a)),
                call.needs[1].then(|| back(ma.transpose(-1, -2).matmul(&g), &mb, b)),
            ]
        })
    }
}
