//! Windows: parts of a dimension that slide along it and may overlap, read without a copy, and added up again.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::create::full;
use crate::ops::map::{cast_operand, record_value};
use crate::ops::op::Op;
use crate::shape::{Dims, Layout, axis};
use crate::tensor::Tensor;
use crate::tensor::node::record;
use crate::tensor::profile;
use crate::tensor::value::Operands;

impl Tensor {
    /// A view of all windows of `size` elements along one dimension, each `step` further than the last: the dimension counts
    /// the windows, and a new last one walks through them. Derivative: the gradients of the windows, added where they overlap.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::arange(0, 5, 1, &Device::cpu()).unfold(0, 3, 1);
    /// assert_eq!(x.shape(), [3, 3]);
    /// assert_eq!(x.to_vec::<i32>()?, [0, 1, 2, 1, 2, 3, 2, 3, 4]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or shorter than a window, or the step is 0.
    ///
    /// Source: [torch.Tensor.unfold](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.unfold.html).
    #[track_caller]
    pub fn unfold(&self, dim: isize, size: usize, step: usize) -> Tensor {
        let d = axis("unfold", self.shape(), dim);
        if step == 0 {
            misuse("unfold", format!("a step of 0 through dimension {d} of {:?}", self.shape()));
        }
        if self.rank() == 0 {
            if size > 1 {
                misuse("unfold", format!("a window of {size} in a 0-d tensor"));
            }
            return self.reshape(1).narrow(0, 0, size);
        }
        if size > self.shape()[d] {
            misuse("unfold", format!("a window of {size} is longer than dimension {d} of {:?}", self.shape()));
        }
        self.windows(d, size, step, 1)
    }

    /// [`Tensor::unfold`] with the places in a window `dilation` apart.
    #[track_caller]
    pub(crate) fn windows(&self, d: usize, size: usize, step: usize, dilation: usize) -> Tensor {
        let Layout { mut shape, mut strides, offset } = self.0.layout.clone();
        let (n, stride) = (shape[d], strides[d]);
        let span = if size == 0 { 0 } else { dilation * (size - 1) + 1 };
        shape[d] = (n - span) / step + 1;
        strides[d] = stride * step as isize;
        shape.push(size);
        strides.push(stride * dilation as isize);
        self.viewed(
            "UnfoldBackward0",
            Layout { shape, strides, offset },
            move |x| x.windows(d, size, step, dilation),
            move |g| g.overlap_add(d, n, step, dilation),
        )
    }

    /// Windows, counted by dimension `d` and walked through by the last one, added to `n` places where they overlap; the
    /// adjoint of [`Tensor::windows`]. Derivative: the windows of `g`.
    #[track_caller]
    pub(crate) fn overlap_add(&self, d: usize, n: usize, step: usize, dilation: usize) -> Tensor {
        let (dtype, device) = (self.dtype(), self.device());
        // Bools are added as integers; what is not 0 is true again.
        let compute = if dtype == DType::Bool { DType::I32 } else { dtype.compute() };
        let mut shape = Dims::from_slice(&self.shape()[..self.rank() - 1]);
        shape[d] = n;
        let _operation = profile::operation("overlap_add");
        let y = if self.numel() == 0 {
            full(0.0, shape, compute, &device)
        } else {
            let operands = Operands::from_iter([cast_operand(self.operand(), compute)]);
            Tensor::from_value(record_value(
                Op::OverlapAdd { dim: d, step, dilation },
                operands,
                shape,
                compute,
                &device,
            ))
        };
        let size = self.shape()[self.rank() - 1];
        record(y.cast_value(dtype), "OverlapAddBackward0", &[self], &[], move |call| {
            vec![Some(call.g.windows(d, size, step, dilation))]
        })
    }
}
