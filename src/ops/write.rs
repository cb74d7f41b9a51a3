//! Parts replaced: a copy of a tensor in which the elements of a view of it are others.

use crate::error::{Result, misuse};
use crate::ops::create::full;
use crate::ops::map::{Arg, cast_operand, record_value};
use crate::ops::op::Op;
use crate::shape::{Dims, Ints, Layout};
use crate::tensor::node::record;
use crate::tensor::profile;
use crate::tensor::value::Operands;
use crate::tensor::{Replay, Tensor};

impl Tensor {
    /// `y = x` with a part replaced: `part` makes the view of any tensor of this shape that `source` replaces.
    #[track_caller]
    pub(crate) fn write(&self, part: Replay, source: &Tensor) -> Tensor {
        self.write_lying(Layout::contiguous(self.shape()), part, source)
    }

    /// [`Tensor::write`] for a tensor whose elements lie in storage in this way: a reshape that is a view there would be a
    /// copy of elements in row-major order.
    #[track_caller]
    pub(crate) fn write_lying(&self, lies: Layout, part: Replay, source: &Tensor) -> Tensor {
        let _operation = profile::operation("copy_slices");
        let y = self.write_value(&lies, &part, source);
        record(y, "CopySlices", &[self, source], &[], move |call| {
            let g = call.g;
            let rest = || {
                let shape = part.apply(&g.untracked()).shape().to_vec();
                g.write_lying(lies.clone(), part.clone(), &full(0.0, Dims::from_slice(&shape), g.dtype(), &g.device()))
            };
            vec![call.needs[0].then(rest), call.needs[1].then(|| part.apply(g))]
        })
    }

    #[track_caller]
    fn write_value(&self, lies: &Layout, part: &Replay, source: &Tensor) -> Tensor {
        if source.numel() == 0 {
            return self.copy().untracked();
        }
        let zeros = |shape: &[usize]| full(0.0, Dims::from_slice(shape), self.dtype(), &self.device());
        if lies.is_dense() || lies.overlaps() {
            let layout = part.apply(&zeros(self.shape())).0.layout.clone();
            return self.write_through(layout, source);
        }
        let storage = zeros(&[lies.extent()]).write_through(lies.clone(), self);
        let layout = part.apply(&storage.alias(lies.clone())).0.layout.clone();
        storage.write_through(layout, source).alias(lies.clone())
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

    /// [`Tensor::write`] for a user's source: converted to this tensor's dtype, and checked to fit.
    #[track_caller]
    fn replaced(&self, op: &str, part: Replay, source: &Tensor) -> Tensor {
        self.expect_same_device(op, source);
        let shape = part.apply(&self.untracked()).shape().to_vec();
        if source.shape() != shape {
            let (source, whole) = (source.shape(), self.shape());
            misuse(op, format!("the part of {whole:?} has shape {shape:?}, and the source {source:?}"));
        }
        self.write(part, &source.cast(self.dtype()))
    }

    /// `y = x` with one index of a dimension replaced, as if it were written to [`Tensor::select`].
    /// Derivatives: `g`, 0 in that part; that part of `g` for the source.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::zeros([2, 2], &dev).select_scatter(&Tensor::ones([2], &dev), 0, 1);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the index is out of range, or the source does not have the part's shape.
    #[track_caller]
    pub fn select_scatter(&self, source: &Tensor, dim: isize, index: isize) -> Tensor {
        self.select(dim, index);
        self.replaced("select_scatter", Replay::new(move |x| x.select(dim, index)), source)
    }

    /// `y = x` with a range of a dimension replaced, as if it were written to [`Tensor::slice`].
    /// Derivatives: `g`, 0 in that part; that part of `g` for the source.
    ///
    /// # Panics
    /// If the step is 0, or the source does not have the part's shape.
    #[track_caller]
    pub fn slice_scatter(
        &self,
        source: &Tensor,
        dim: isize,
        start: impl Into<Option<isize>>,
        end: impl Into<Option<isize>>,
        step: usize,
    ) -> Tensor {
        let (start, end) = (start.into(), end.into());
        self.slice(dim, start, end, step);
        self.replaced("slice_scatter", Replay::new(move |x| x.slice(dim, start, end, step)), source)
    }

    /// `y = x` with a diagonal replaced, as if it were written to [`Tensor::diagonal`].
    /// Derivatives: `g`, 0 in that part; that part of `g` for the source.
    ///
    /// # Panics
    /// If the dimensions are no plane, or the source does not have the diagonal's shape.
    #[track_caller]
    pub fn diagonal_scatter(&self, source: &Tensor, offset: isize, dim1: isize, dim2: isize) -> Tensor {
        self.diagonal(offset, dim1, dim2);
        self.replaced("diagonal_scatter", Replay::new(move |x| x.diagonal(offset, dim1, dim2)), source)
    }

    /// `y = x`, in row-major order, with the elements replaced that [`Tensor::as_strided`] would show.
    /// Derivatives: `g`, 0 in that part; that part of `g` for the source.
    ///
    /// # Panics
    /// If the strides reach beyond the elements or meet one of them twice, or the source does not have the shape.
    #[track_caller]
    pub fn as_strided_scatter(&self, source: &Tensor, size: impl Ints, stride: impl Ints, offset: usize) -> Tensor {
        let x = self.whole();
        let (size, stride) = (size.ints(), stride.ints());
        let part = x.as_strided(&size[..], &stride[..], offset);
        if part.0.layout.overlaps() {
            let (size, stride) = (size.as_slice(), stride.as_slice());
            misuse("as_strided_scatter", format!("{size:?} by {stride:?} may meet an element twice"));
        }
        let part = Replay::new(move |x| x.whole().as_strided(&size[..], &stride[..], offset));
        x.replaced("as_strided_scatter", part, source)
    }

    /// A number or a 0-d tensor in every place of a tensor of this one's shape and dtype.
    /// Derivatives: 0 for this tensor; the sum of `g` for the 0-d tensor.
    ///
    /// # Panics
    /// If the value has dimensions.
    #[track_caller]
    pub fn fill(&self, value: impl Into<Arg>) -> Tensor {
        self.filling("fill", value.into()).expand(self.shape()).copy()
    }

    /// `x ← value` in every place: a number or a 0-d tensor.
    ///
    /// # Errors
    /// As [`Tensor::add_`].
    ///
    /// # Panics
    /// If the value has dimensions.
    #[track_caller]
    pub fn fill_(&self, value: impl Into<Arg>) -> Result<&Tensor> {
        self.copy_(&self.filling("fill_", value.into()))
    }
}
