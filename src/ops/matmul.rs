//! The matrix product, with PyTorch's rules for ranks.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::contract::{Labels, contract_as};
use crate::shape::broadcast;
use crate::tensor::Tensor;

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
    /// If the inner sizes differ, the batches do not broadcast, an operand is 0-d, or the elements are bools or of two types.
    ///
    /// Source: [torch.matmul](https://docs.pytorch.org/docs/stable/generated/torch.matmul.html).
    #[track_caller]
    pub fn matmul(&self, b: &Tensor) -> Tensor {
        self.matmul_named("matmul", b)
    }

    /// The product, under the name that a misuse is told of.
    #[track_caller]
    pub(crate) fn matmul_named(&self, op: &str, b: &Tensor) -> Tensor {
        let (a, b) = (&self.factor(), &b.factor());
        a.matmul_as(op, b, a.dtype())
    }

    /// The product of operands as they are, in the type given: see [`contract_as`].
    #[track_caller]
    pub(crate) fn matmul_as(&self, op: &str, b: &Tensor, dtype: DType) -> Tensor {
        let a = self;
        let shapes = || format!("{:?} x {:?}", a.shape(), b.shape());
        if a.rank() == 0 || b.rank() == 0 {
            misuse(op, format!("a 0-d operand: {}", shapes()));
        }
        a.expect_multipliable(op, b);
        let (row, column) = (a.rank() == 1, b.rank() == 1);
        let (inner_a, inner_b) = (a.shape()[a.rank() - 1], b.shape()[b.rank().max(2) - 2]);
        if inner_a != inner_b {
            misuse(op, format!("inner sizes differ: {} ({inner_a} != {inner_b})", shapes()));
        }
        let (batch_a, batch_b) = (a.rank().max(2) - 2, b.rank().max(2) - 2);
        if broadcast(&a.shape()[..batch_a], &b.shape()[..batch_b]).is_none() {
            misuse(op, format!("batches do not broadcast: {}", shapes()));
        }
        let name = match (a.rank(), b.rank()) {
            (1, 1) => "DotBackward0",
            (2, 1) => "MvBackward0",
            (2, 2) => "MmBackward0",
            _ => "BmmBackward0",
        };
        // Batch dimensions are named from the last one on, as they broadcast.
        const ROW: u32 = u32::MAX;
        const INNER: u32 = u32::MAX - 1;
        const COLUMN: u32 = u32::MAX - 2;
        let labels = |batch: usize, matrix: &[u32]| -> Labels {
            (0..batch as u32).rev().chain(matrix.iter().copied()).collect()
        };
        let la = labels(batch_a, if row { &[INNER] } else { &[ROW, INNER] });
        let lb = labels(batch_b, if column { &[INNER] } else { &[INNER, COLUMN] });
        let mut ly = labels(batch_a.max(batch_b), &[ROW, COLUMN]);
        ly.retain(|l| !(row && *l == ROW || column && *l == COLUMN));
        contract_as(dtype, name, a, &la, b, &lb, &ly)
    }

    /// Panics unless both hold numbers of one type on one device.
    #[track_caller]
    pub(crate) fn expect_multipliable(&self, op: &str, b: &Tensor) {
        self.expect_same_device(op, b);
        if self.dtype() != b.dtype() || self.dtype() == DType::Bool {
            misuse(
                op,
                format!(
                    "needs two operands of one number type: {:?} x {:?} of {} and {}",
                    self.shape(),
                    b.shape(),
                    self.dtype(),
                    b.dtype()
                ),
            );
        }
    }
}
