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
            Arg::Number(x, dtype) => {
                let dtype = if self.dtype().is_float() { self.dtype().compute() } else { dtype };
                Tensor::number(x, dtype, &self.device())
            }
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

    /// The places where values would be inserted into a sorted list of boundaries: for each value, how many boundaries
    /// are less than it, or not greater if `right`. Derivative: none, the result holds integers.
    ///
    /// # Panics
    /// If the boundaries are no list.
    #[track_caller]
    pub fn bucketize(&self, boundaries: &Tensor, right: bool) -> Tensor {
        if boundaries.rank() != 1 {
            misuse("bucketize", format!("boundaries {:?} are no list", boundaries.shape()));
        }
        boundaries.searchsorted(self, right)
    }

    /// The elements along one dimension in ascending or descending order, and where they were. Equal elements keep their
    /// order, and NaN is the largest. Derivative: back to where the elements were.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let (values, places) = Tensor::new([3.0, 1.0, 2.0], &Device::cpu()).sort(0, true);
    /// assert_eq!((values.to_vec::<f32>()?, places.to_vec::<i32>()?), (vec![3.0, 2.0, 1.0], vec![0, 2, 1]));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range.
    #[track_caller]
    pub fn sort(&self, dim: isize, descending: bool) -> (Tensor, Tensor) {
        axis("sort", self.shape(), dim);
        let places = self.argsort(dim, descending);
        (self.gathered("SortBackward0", dim, &places, true), places)
    }

    /// The elements along dimension 0 in ascending order: the values of [`Tensor::sort`].
    #[track_caller]
    pub fn msort(&self) -> Tensor {
        self.sort(0, false).0
    }

    /// The `k` largest, or smallest, elements along one dimension in their order, and where they were.
    /// Derivative: back to where the elements were.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let (values, places) = Tensor::new([3.0, 1.0, 2.0], &Device::cpu()).topk(2, 0, true);
    /// assert_eq!((values.to_vec::<f32>()?, places.to_vec::<i32>()?), (vec![3.0, 2.0], vec![0, 2]));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or has fewer than `k` elements.
    #[track_caller]
    pub fn topk(&self, k: usize, dim: isize, largest: bool) -> (Tensor, Tensor) {
        let d = axis("topk", self.shape(), dim);
        if k > self.shape().get(d).copied().unwrap_or(1) {
            misuse("topk", format!("there are no {k} elements along dimension {d} of {:?}", self.shape()));
        }
        let places = self.argsort(dim, largest);
        let places = if self.rank() == 0 { places.reshape(1).narrow(0, 0, k) } else { places.narrow(dim, 0, k) };
        let places = if self.rank() == 0 && k == 1 { places.reshape(()) } else { places };
        (self.gathered("TopkBackward0", dim, &places, true), places)
    }

    /// The `k`-th smallest element along one dimension, the first being `k = 1`, and where it is.
    /// Derivative: 1 for the element returned.
    ///
    /// # Panics
    /// If the dimension is out of range or has no `k` elements, or `k` is 0.
    #[track_caller]
    pub fn kthvalue(&self, k: usize, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        let d = axis("kthvalue", self.shape(), dim);
        if k == 0 || k > self.shape().get(d).copied().unwrap_or(1) {
            misuse("kthvalue", format!("there is no element {k} along dimension {d} of {:?}", self.shape()));
        }
        let places = self.argsort(dim, false);
        self.picked(
            "KthvalueBackward0",
            d,
            if self.rank() == 0 { places } else { places.narrow(dim, k - 1, 1) },
            keepdim,
        )
    }

    /// The most frequent element along one dimension, the smallest one where several are, and where it is last.
    /// Derivative: 1 for the element returned.
    ///
    /// # Panics
    /// If the dimension is out of range or has no elements.
    #[track_caller]
    pub fn mode(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        let d = axis("mode", self.shape(), dim);
        if self.shape().get(d) == Some(&0) {
            misuse("mode", format!("{:?} has no elements to compare", self.shape()));
        }
        if self.rank() == 0 {
            return self.picked("ModeBackward0", d, self.argsort(0, false), keepdim);
        }
        let places = self.untracked().argsort(dim, false);
        let sorted = self.untracked().gather(dim, &places).movedim(dim, -1).contiguous();
        // The longest run of equal elements; its end is the last of them.
        let (begin, end) = (sorted.searchsorted(&sorted, false), sorted.searchsorted(&sorted, true));
        let longest = (&end - begin).argmax(-1, true);
        let last = (end.gather(-1, &longest) - 1).movedim(-1, dim);
        self.picked("ModeBackward0", d, places.gather(dim, &last), keepdim)
    }

    /// The elements at one place of each line, and the places.
    #[track_caller]
    pub(crate) fn picked(&self, name: &'static str, d: usize, places: Tensor, keepdim: bool) -> (Tensor, Tensor) {
        let keepdim = keepdim || self.rank() == 0;
        let values = self.gathered(name, d as isize, &places, keepdim);
        (values, if keepdim { places } else { places.squeeze(d as isize) })
    }

    /// Whether each element is among others: equal to one of them, which NaN never is.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let found = Tensor::new([1, 2, 3], &dev).isin(&Tensor::new([3, 1], &dev));
    /// assert_eq!(found.to_vec::<bool>()?, [true, false, true]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn isin(&self, others: &Tensor) -> Tensor {
        self.expect_same_device("isin", others);
        let others = others.untracked().ravel().sort(0, false).0;
        let (before, until) = (others.searchsorted(self, false), others.searchsorted(self, true));
        let found = until.gt(before);
        if self.dtype().is_float() { found.logical_and(self.isnan().logical_not()) } else { found }
    }
}
