//! Order: sorting and searching in what is sorted.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::map::{Arg, cast_operand, record_value, result_type};
use crate::ops::op::Op;
use crate::shape::{Dims, Layout, axis};
use crate::tensor::Tensor;
use crate::tensor::value::{Operand, Operands};

impl Tensor {
    /// The places of the elements along one dimension in ascending or descending order. Equal elements keep their order,
    /// and NaN is the largest. Derivative: none, the result holds integers.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([3.0, 1.0, 2.0], &Device::cpu());
    /// assert_eq!(x.argsort(0, false).to_vec::<i32>()?, [1, 2, 0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range.
    #[track_caller]
    pub fn argsort(&self, dim: isize, descending: bool) -> Tensor {
        let d = axis("argsort", self.shape(), dim);
        if self.rank() == 0 {
            return Tensor::number(0.0, DType::I32, &self.device());
        }
        let mut order: Dims = (0..self.rank()).filter(|&i| i != d).collect();
        order.push(d);
        let x = cast_operand(self.operand(), self.dtype().compute());
        let x = Operand { layout: x.layout.permute(&order), value: x.value };
        let shape = x.layout.shape.clone();
        let op = Op::ArgSort { descending };
        let y =
            Tensor::from_value(record_value(op, Operands::from_iter([x]), shape.clone(), DType::I32, &self.device()));
        let mut back: Dims = (0..self.rank() - 1).collect();
        back.insert(d, self.rank() - 1);
        y.alias(Layout::contiguous(&shape).permute(&back))
    }

    /// For each value, how many elements of a sorted sequence lie before it: less than it, or not greater if `right`.
    ///
    /// The sequences are the lines of this tensor's last dimension; a single one serves values of any shape, several
    /// take values whose leading dimensions are theirs. Derivative: none, the result holds integers.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let places = Tensor::new([1.0, 3.0, 3.0, 5.0], &dev).searchsorted(Tensor::new([3.0, 6.0], &dev), false);
    /// assert_eq!(places.to_vec::<i32>()?, [1, 4]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the leading dimensions differ, or this tensor is 0-d.
    ///
    /// Source: [torch.searchsorted](https://docs.pytorch.org/docs/stable/generated/torch.searchsorted.html).
    #[track_caller]
    pub fn searchsorted(&self, values: impl Into<Arg>, right: bool) -> Tensor {
        let values = match values.into() {
            Arg::Tensor(values) => values,
            Arg::Number(x, dtype) => Tensor::number(x, dtype, &self.device()),
        };
        self.expect_same_device("searchsorted", &values);
        let lines = self.rank().max(1) - 1;
        let fits = lines == 0 || values.rank() == self.rank() && values.shape()[..lines] == self.shape()[..lines];
        if self.rank() == 0 || !fits {
            misuse("searchsorted", format!("sequences {:?} do not fit values {:?}", self.shape(), values.shape()));
        }
        // One line of all values, where there is one sequence.
        let flat = if lines == 0 { values.reshape(-1) } else { values.clone() };
        if flat.numel() == 0 || self.numel() == 0 {
            return crate::ops::create::full(0.0, Dims::from_slice(values.shape()), DType::I32, &self.device());
        }
        let dtype = result_type([self.into(), (&flat).into()].iter()).compute();
        let operands = Operands::from_iter([cast_operand(self.operand(), dtype), cast_operand(flat.operand(), dtype)]);
        let shape = Dims::from_slice(flat.shape());
        let y = Tensor::from_value(record_value(Op::Search { right }, operands, shape, DType::I32, &self.device()));
        y.alias(Layout::contiguous(values.shape()))
    }
}
