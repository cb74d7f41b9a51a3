//! Indexing by tensors, and joining: gather and its adjoint, writing into parts, cat and stack.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::create::full;
use crate::ops::map::{Arg, cast_operand, record_value, result_type};
use crate::ops::op::{Fold, Op};
use crate::shape::{Dims, Layout, axis};
use crate::tensor::node::record;
use crate::tensor::value::Operands;
use crate::tensor::{Replay, Tensor};

/// A kernel reads this many entries of an index for each place; more are sorted first.
const MAX_SCAN: usize = 32;

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
        let d = self.expect_index("gather", dim, index, None);
        if self.rank() == 0 {
            return self.reshape(1).gather(0, &index.reshape(1)).reshape(());
        }
        let (dtype, compute) = (self.dtype(), self.dtype().compute());
        let x = cast_operand(self.operand(), compute);
        let operands = Operands::from_iter([x, cast_operand(index.operand(), DType::I32)]);
        let value =
            record_value(Op::Gather { dim: d }, operands, Dims::from_slice(index.shape()), compute, &self.device());
        let y = Tensor::from_value(value).cast_value(dtype);
        let (shape, index) = (Dims::from_slice(self.shape()), index.snapshot());
        record(y, "GatherBackward0", &[self], &[], move |call| {
            let zeros = full(0.0, shape.clone(), call.g.dtype(), &call.g.device());
            vec![Some(zeros.scatter_add(d as isize, &index, call.g))]
        })
    }

    /// `y = x`, then `y[i with i_dim replaced by index[i]] += source[i]`, in a fixed order. Derivatives: `g` for this
    /// tensor, gather of `g` for the source.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::zeros([3], &dev).scatter_add(0, &Tensor::new([2, 0, 2], &dev), &Tensor::new([1.0, 2.0, 3.0], &dev));
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 0.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If the shapes or dtypes do not fit, or the index holds no integers.
    #[track_caller]
    pub fn scatter_add(&self, dim: isize, index: &Tensor, source: &Tensor) -> Tensor {
        let d = self.expect_index("scatter_add", dim, index, Some(source));
        if self.rank() == 0 {
            return self.reshape(1).scatter_add(0, &index.reshape(1), &source.reshape(1)).reshape(());
        }
        let y = self.scatter_value(d, index, source, Some(Fold::Sum));
        let (shape, index) = (Dims::from_slice(source.shape()), index.snapshot());
        record(y, "ScatterAddBackward0", &[self, source], &[], move |call| {
            let source = || {
                if shape[..] != *index.shape() {
                    misuse(
                        "scatter_add",
                        format!("no gradient for a source {shape:?} larger than its index {:?}", index.shape()),
                    );
                }
                call.g.gather(d as isize, &index)
            };
            vec![call.needs[0].then(|| call.g.clone()), call.needs[1].then(source)]
        })
    }

    /// The value of a scatter: elements of the source folded into the places that an index names, or written there, the
    /// later ones over the earlier ones. What is called has checked that all fits.
    #[track_caller]
    pub(crate) fn scatter_value(&self, d: usize, index: &Tensor, source: &Tensor, fold: Option<Fold>) -> Tensor {
        if index.numel() == 0 {
            return self.copy().detach();
        }
        let (dtype, compute) = (self.dtype(), self.dtype().compute());
        // Only as much of the source as the index covers is read.
        let mut read = source.operand();
        read.layout.shape = Dims::from_slice(index.shape());
        let mut operands = Operands::from_iter([
            cast_operand(self.operand(), compute),
            cast_operand(index.operand(), DType::I32),
            cast_operand(read, compute),
        ]);
        if index.shape()[d] > MAX_SCAN {
            operands.push(index.order_of_entries(d).operand());
        }
        let op = Op::Scatter { dim: d, fold };
        Tensor::from_value(record_value(op, operands, Dims::from_slice(self.shape()), compute, &self.device()))
            .cast_value(dtype)
    }

    /// The order of an index's entries along a dimension; where the index was expanded, it is sorted once.
    #[track_caller]
    fn order_of_entries(&self, d: usize) -> Tensor {
        let mut once = self.0.layout.clone();
        for i in 0..once.shape.len() {
            if i != d && once.strides[i] == 0 {
                once.shape[i] = 1;
            }
        }
        let order = self.alias(once).argsort(d as isize, false);
        order.alias(order.0.layout.expand(self.shape()))
    }

    /// The entries of one dimension that a list of indices names. Derivative: index-add into zeros.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let rows = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev).index_select(0, &Tensor::new([1, 1, 0], &dev));
    /// assert_eq!(rows.to_vec::<f32>()?, [3.0, 4.0, 3.0, 4.0, 1.0, 2.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If the index is no list of integers.
    #[track_caller]
    pub fn index_select(&self, dim: isize, index: &Tensor) -> Tensor {
        let d = axis("index_select", self.shape(), dim);
        if index.rank() > 1 {
            misuse("index_select", format!("the index must be a list, not of shape {:?}", index.shape()));
        }
        if self.rank() == 0 {
            return self.gather(0, &index.reshape(()));
        }
        let mut shape = Dims::from_elem(1, self.rank());
        shape[d] = index.numel();
        let index = index.reshape(&shape[..]);
        let mut wide = Dims::from_slice(self.shape());
        wide[d] = index.numel();
        self.gather(d as isize, &index.expand(&wide[..]))
    }

    #[track_caller]
    fn expect_index(&self, op: &str, dim: isize, index: &Tensor, source: Option<&Tensor>) -> usize {
        let d = axis(op, self.shape(), dim);
        self.expect_same_device(op, index);
        if !matches!(index.dtype(), DType::I32 | DType::U32) {
            misuse(op, format!("the index must hold integers, not {}", index.dtype()));
        }
        let fits = |a: &[usize], b: &[usize], but: Option<usize>| {
            a.len() == b.len() && (0..a.len()).all(|i| Some(i) == but || a[i] <= b[i])
        };
        if self.numel() == 0 && index.numel() > 0 {
            misuse(op, format!("{:?} has no elements for the index {:?}", self.shape(), index.shape()));
        }
        let mut fit = index.numel() == 0 || fits(index.shape(), self.shape(), Some(d));
        fit &= index.rank() == self.rank() || index.rank().max(self.rank()) == 1;
        if let Some(source) = source {
            self.expect_same_device(op, source);
            fit &= index.numel() == 0 || fits(index.shape(), source.shape(), None);
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

    /// `y = x` with a part replaced: `part` makes the view of any tensor of this shape that `source` replaces.
    #[track_caller]
    pub(crate) fn write(&self, part: Replay, source: &Tensor) -> Tensor {
        let y = self.write_value(&part, source);
        record(y, "CopySlices", &[self, source], &[], move |call| {
            let g = call.g;
            let rest = || {
                let shape = part.apply(&g.detach()).shape().to_vec();
                g.write(part.clone(), &full(0.0, Dims::from_slice(&shape), g.dtype(), &g.device()))
            };
            vec![call.needs[0].then(rest), call.needs[1].then(|| part.apply(g))]
        })
    }

    #[track_caller]
    fn write_value(&self, part: &Replay, source: &Tensor) -> Tensor {
        let whole =
            Tensor::from_value(full(0.0, Dims::from_slice(self.shape()), self.dtype(), &self.device()).operand().value);
        let layout = part.apply(&whole).0.layout.clone();
        if source.numel() == 0 {
            return self.copy().detach();
        }
        self.write_through(layout, source)
    }

    /// A value with `source` written into a layout of it.
    #[track_caller]
    pub(crate) fn write_through(&self, layout: Layout, source: &Tensor) -> Tensor {
        let (dtype, compute) = (self.dtype(), self.dtype().compute());
        let operands =
            Operands::from_iter([cast_operand(self.operand(), compute), cast_operand(source.operand(), compute)]);
        Tensor::from_value(record_value(
            Op::Write(layout),
            operands,
            Dims::from_slice(self.shape()),
            compute,
            &self.device(),
        ))
        .cast_value(dtype)
    }

    /// Tensors joined along a dimension. Derivative: each gets its part of `g`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::cat(&[Tensor::ones([1, 2], &dev), Tensor::zeros([2, 2], &dev)], 0);
    /// assert_eq!(y.shape(), [3, 2]);
    /// ```
    ///
    /// # Panics
    /// If the list is empty, or the shapes differ in another dimension.
    #[track_caller]
    pub fn cat(tensors: &[Tensor], dim: isize) -> Tensor {
        Tensor::joined("cat", "CatBackward0", tensors, dim)
    }

    #[track_caller]
    fn joined(op: &'static str, name: &'static str, tensors: &[Tensor], dim: isize) -> Tensor {
        // As in PyTorch, an empty list of numbers joins with anything.
        let parts: Vec<&Tensor> = tensors.iter().filter(|x| x.shape() != [0]).collect();
        let Some(first) = parts.first().copied().or(tensors.first()) else {
            misuse(op, "there are no tensors to join");
        };
        if first.rank() == 0 {
            misuse(op, "0-d tensors have no dimension to join along; use stack");
        }
        let d = axis(op, first.shape(), dim);
        for x in &parts {
            first.expect_same_device(op, x);
            let fits = x.rank() == first.rank() && (0..x.rank()).all(|i| i == d || x.shape()[i] == first.shape()[i]);
            if !fits {
                misuse(op, format!("shapes {:?} and {:?} differ beyond dimension {d}", first.shape(), x.shape()));
            }
        }
        let dtype = result_type(tensors.iter().map(Arg::from).collect::<Vec<_>>().iter());
        let mut shape = Dims::from_slice(first.shape());
        shape[d] = parts.iter().map(|x| x.shape()[d]).sum();
        let mut y = full(0.0, shape.clone(), dtype, &first.device());
        let whole = Layout::contiguous(&shape);
        let mut start = 0;
        let mut ranges = Vec::new();
        for x in &parts {
            let len = x.shape()[d];
            if x.numel() > 0 {
                y = y.write_through(whole.slice(d, start, len, 1), &x.detach().cast(dtype));
            }
            ranges.push((start, len, x.dtype()));
            start += len;
        }
        record(y, name, &parts, &[], move |call| {
            let part = |(needed, (start, len, dtype)): (&bool, &(usize, usize, DType))| {
                needed.then(|| call.g.narrow(d as isize, *start, *len).cast(*dtype))
            };
            call.needs.iter().zip(&ranges).map(part).collect()
        })
    }

    /// Tensors of one shape joined along a new dimension. Derivative: each gets its part of `g`.
    ///
    /// # Panics
    /// If the list is empty or the shapes differ.
    #[track_caller]
    pub fn stack(tensors: &[Tensor], dim: isize) -> Tensor {
        if tensors.iter().any(|x| x.shape() != tensors[0].shape()) {
            let shapes: Vec<_> = tensors.iter().map(Tensor::shape).collect();
            misuse("stack", format!("shapes differ: {shapes:?}"));
        }
        let unsqueezed: Vec<Tensor> = tensors.iter().map(|x| x.unsqueeze(dim)).collect();
        Tensor::joined("stack", "StackBackward0", &unsqueezed, dim)
    }
}

impl From<&&Tensor> for Arg {
    fn from(x: &&Tensor) -> Arg {
        Arg::Tensor((*x).clone())
    }
}
