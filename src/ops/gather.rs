//! Reading at computed places, one element at a time.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::create::full;
use crate::ops::map::{cast_operand, record_value};
use crate::ops::op::Op;
use crate::shape::{Dims, axis, broadcast};
use crate::tensor::Tensor;
use crate::tensor::node::{Save, record};
use crate::tensor::profile;
use crate::tensor::value::Operands;

impl Tensor {
    /// `y[i] = x[i with i_dim replaced by index[i]]`; the result has the index's shape, which may be smaller than this
    /// tensor's in the other dimensions. Derivative: scatter-add into zeros.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev);
    /// let y = x.gather(1, &Tensor::new([[0, 0], [1, 0]], &dev));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 1.0, 4.0, 3.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// An index out of range is told when the result is read; on a GPU, which computes on with the nearest index, by the
    /// next read from the device, whatever is read.
    ///
    /// # Panics
    /// If the shapes do not fit, or the index holds no integers.
    #[track_caller]
    pub fn gather(&self, dim: isize, index: &Tensor) -> Tensor {
        self.gathered("GatherBackward0", dim, index, true)
    }

    /// [`Tensor::gather`] with a node of another name, which may drop the dimension where the index has one place.
    #[track_caller]
    pub(crate) fn gathered(&self, name: &'static str, dim: isize, index: &Tensor, keepdim: bool) -> Tensor {
        let d = self.expect_index("gather", dim, index, None);
        if self.rank().min(index.rank()) == 0 {
            return self.reshape(-1).gather(0, &index.reshape(-1)).reshape(index.shape());
        }
        let _operation = profile::operation(name);
        let (dtype, compute) = (self.dtype(), self.dtype().compute());
        let x = cast_operand(self.operand(), compute);
        let operands = Operands::from_iter([x, cast_operand(index.operand(), DType::I32)]);
        let value =
            record_value(Op::Gather { dim: d }, operands, Dims::from_slice(index.shape()), compute, &self.device());
        let y = Tensor::from_value(value).cast_value(dtype);
        let shape = Dims::from_slice(self.shape());
        let y = if keepdim { y } else { y.alias(y.0.layout.squeeze(&[d])) };
        record(y, name, &[self], &[Save::Input(index)], move |call| {
            let zeros = full(0.0, shape.clone(), call.g.dtype(), &call.g.device());
            let g = if keepdim { call.g.clone() } else { call.g.unsqueeze(d as isize) };
            vec![Some(zeros.scatter_add(d as isize, &call.saved[0], &g))]
        })
    }

    /// The elements of the list of all elements that the indices name; the result has the index's shape. Negative indices
    /// count from the end. Derivative: added up where they came from.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::new([[1, 2], [3, 4]], &dev);
    /// assert_eq!(x.take(&Tensor::new([0, -1], &dev)).to_vec::<i32>()?, [1, 4]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If the index holds no integers, or there are no elements to take.
    #[track_caller]
    pub fn take(&self, index: &Tensor) -> Tensor {
        index.expect_integers("take");
        self.expect_same_device("take", index);
        if self.numel() == 0 && index.numel() > 0 {
            misuse("take", format!("{:?} has no elements for the index {:?}", self.shape(), index.shape()));
        }
        let (shape, places) = (Dims::from_slice(self.shape()), index.ravel().wrapped(self.numel()));
        let definition = || self.ravel().gather(0, &places).reshape(index.shape());
        composite("TakeBackward0", &[self], &[Save::Input(&places)], definition, move |call| {
            let zeros = full(0.0, Dims::from_elem(shape.iter().product(), 1), call.g.dtype(), &call.g.device());
            vec![Some(zeros.scatter_add(0, &call.saved[0], &call.g.ravel()).reshape(&shape[..]))]
        })
    }

    /// [`Tensor::gather`] where the other dimensions of the two broadcast; without a dimension, from the list of all
    /// elements by the list of all indices. Derivative: as there.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[3.0, 1.0], [2.0, 4.0]], &Device::cpu());
    /// let best = x.argmax(1, true);
    /// assert_eq!(x.take_along_dim(&best, 1).to_vec::<f32>()?, [3.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If the ranks differ, other dimensions do not broadcast, or the index holds no integers.
    #[track_caller]
    pub fn take_along_dim(&self, index: &Tensor, dim: impl Into<Option<isize>>) -> Tensor {
        index.expect_integers("take_along_dim");
        let Some(dim) = dim.into() else {
            return self.ravel().gather(0, &index.ravel().wrapped(self.numel()));
        };
        let d = axis("take_along_dim", self.shape(), dim);
        let index = &index.wrapped(self.shape().get(d).copied().unwrap_or(1));
        let (mut a, mut b) = (Dims::from_slice(self.shape()), Dims::from_slice(index.shape()));
        if a.len() != b.len() {
            misuse("take_along_dim", format!("index {b:?} and {a:?} differ in rank"));
        }
        if a.is_empty() {
            return self.gather(0, index);
        }
        let (n, m) = (std::mem::replace(&mut a[d], 1), std::mem::replace(&mut b[d], 1));
        let Some(mut shape) = broadcast(&a, &b) else {
            let (x, i) = (self.shape(), index.shape());
            misuse("take_along_dim", format!("index {i:?} and {x:?} do not broadcast beyond dimension {d}"))
        };
        shape[d] = m;
        let index = index.expanded(&shape);
        shape[d] = n;
        self.expanded(&shape).gather(d as isize, &index)
    }

    /// Indices with the negative ones counted from the end of `n`.
    #[track_caller]
    pub(crate) fn wrapped(&self, n: usize) -> Tensor {
        if self.dtype() == DType::U32 {
            return self.cast(DType::I32);
        }
        Tensor::where_(&self.lt(0), self + n as i32, self)
    }

    #[track_caller]
    pub(crate) fn expect_integers(&self, op: &str) {
        if !matches!(self.dtype(), DType::I32 | DType::U32) {
            misuse(op, format!("the index must hold integers, not {}", self.dtype()));
        }
    }

    #[track_caller]
    pub(crate) fn expect_index(&self, op: &str, dim: isize, index: &Tensor, source: Option<&Tensor>) -> usize {
        let d = axis(op, self.shape(), dim);
        self.expect_same_device(op, index);
        index.expect_integers(op);
        // A 0-d tensor counts as a list of one.
        let list = |x: &Tensor| if x.rank() == 0 { Dims::from_elem(1, 1) } else { Dims::from_slice(x.shape()) };
        let fits = |a: Dims, b: Dims, but: Option<usize>| {
            a.len() == b.len() && (0..a.len()).all(|i| Some(i) == but || a[i] <= b[i])
        };
        if self.numel() == 0 && index.numel() > 0 {
            misuse(op, format!("{:?} has no elements for the index {:?}", self.shape(), index.shape()));
        }
        let mut fit = index.numel() == 0 || fits(list(index), list(self), Some(d));
        fit &= index.rank() == self.rank() || index.rank().max(self.rank()) == 1;
        if let Some(source) = source {
            self.expect_same_device(op, source);
            fit &= index.numel() == 0 || fits(list(index), list(source), None);
            if source.dtype() != self.dtype() {
                misuse(op, format!("the source must hold {}, not {}", self.dtype(), source.dtype()));
            }
        }
        if !fit {
            let source = source.map(|s| format!(" and source {:?}", s.shape())).unwrap_or_default();
            misuse(
                op,
                format!("index {:?} does not fit {:?} along dimension {d}{source}", index.shape(), self.shape()),
            );
        }
        d
    }
}
