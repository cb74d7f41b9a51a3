//! Whole entries of one dimension, named by a list of indices: read, replaced, added to.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::map::Arg;
use crate::ops::scatter::Combine;
use crate::shape::{Dims, axis};
use crate::tensor::Tensor;

impl Tensor {
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
        let d = self.expect_list("index_select", dim, index);
        if self.rank() == 0 {
            return self.gather(0, &index.reshape(()));
        }
        self.gathered("IndexSelectBackward0", d as isize, &self.entries(d, index), true)
    }

    /// `y = x`, then `alpha source` added to the entries of one dimension that the index names, entry by entry.
    /// Derivatives: `g`, and `alpha g` of those entries.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (index, rows) = (Tensor::new([1, 1], &dev), Tensor::ones([2, 2], &dev));
    /// assert_eq!(Tensor::zeros([2, 2], &dev).index_add(0, &index, &rows, 0.5).to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If the index is no list of integers, or the source is not of this tensor's dtype and shape with as many entries as
    /// the index has.
    #[track_caller]
    pub fn index_add(&self, dim: isize, index: &Tensor, source: &Tensor, alpha: f64) -> Tensor {
        let (d, index) = self.expect_entries("index_add", dim, index, source);
        let scaled = if alpha == 1.0 { source.clone() } else { source.mul(Arg::from(alpha).of(self.dtype())) };
        self.scatter_add_named("IndexAddBackward0", d, &index, &scaled.shaped_as(&index))
    }

    /// `y = x` with the entries of one dimension that the index names replaced by those of the source.
    /// Derivatives: as [`Tensor::scatter`].
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// As [`Tensor::index_add`].
    #[track_caller]
    pub fn index_copy(&self, dim: isize, index: &Tensor, source: &Tensor) -> Tensor {
        let (d, index) = self.expect_entries("index_copy", dim, index, source);
        self.scatter_named("IndexCopyBackward0", d, &index, source.shaped_as(&index))
    }

    /// `y = x` with the entries of one dimension that the index names filled with a number or a 0-d tensor.
    /// Derivatives: `g`, 0 in those entries; the sum of `g` over them for the 0-d tensor.
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If the index is no list of integers, or the value has dimensions.
    #[track_caller]
    pub fn index_fill(&self, dim: isize, index: &Tensor, value: impl Into<Arg>) -> Tensor {
        let d = self.expect_list("index_fill", dim, index);
        let value = value.into();
        if self.rank() == 0 {
            return self.scatter(0, index, self.filling("index_fill", value).expanded(index.shape()));
        }
        // Chosen by a mask, so that an entry named twice counts once in the gradient of the value.
        let index = index.wrapped(self.shape()[d]);
        let (index, nowhere) = (self.entries(d, &index), self.untracked().zeros_like().cast(DType::Bool));
        let mask = nowhere.scatter(d as isize, &index, true);
        self.fill_where("index_fill", ["IndexFillBackward0", "IndexFillBackward1"], &mask, value)
    }

    /// [`Tensor::scatter_reduce`] over the entries of one dimension that the index names, entry by entry.
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// As [`Tensor::index_add`].
    ///
    /// Source: [torch.Tensor.index_reduce_](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_reduce_.html).
    #[track_caller]
    pub fn index_reduce(
        &self,
        dim: isize,
        index: &Tensor,
        source: &Tensor,
        combine: Combine,
        include_self: bool,
    ) -> Tensor {
        let (d, index) = self.expect_entries("index_reduce", dim, index, source);
        self.scatter_reduce(d, &index, &source.shaped_as(&index), combine, include_self)
    }

    /// Reshaped where the shapes differ.
    #[track_caller]
    fn shaped_as(&self, other: &Tensor) -> Tensor {
        if self.shape() == other.shape() { self.clone() } else { self.reshape(other.shape()) }
    }

    /// A number or a 0-d tensor as a tensor of this one's dtype.
    #[track_caller]
    pub(crate) fn filling(&self, op: &str, value: Arg) -> Tensor {
        match value {
            Arg::Number(x, _) => Tensor::number(x, self.dtype(), &self.device()),
            Arg::Tensor(x) => {
                self.expect_same_device(op, &x);
                if x.rank() > 0 {
                    misuse(op, format!("the value must be a number or 0-d, not of shape {:?}", x.shape()));
                }
                x.cast(self.dtype())
            }
        }
    }

    /// A list of indices of one dimension, as the index of every element of those entries.
    #[track_caller]
    fn entries(&self, d: usize, index: &Tensor) -> Tensor {
        let mut shape = Dims::from_elem(1, self.rank());
        shape[d] = index.numel();
        let mut wide = Dims::from_slice(self.shape());
        wide[d] = index.numel();
        index.reshape(&shape[..]).expand(&wide[..])
    }

    #[track_caller]
    fn expect_list(&self, op: &str, dim: isize, index: &Tensor) -> usize {
        let d = axis(op, self.shape(), dim);
        index.expect_integers(op);
        self.expect_same_device(op, index);
        if index.rank() > 1 {
            misuse(op, format!("the index must be a list, not of shape {:?}", index.shape()));
        }
        d
    }

    /// The dimension, and the index of every element of the source.
    #[track_caller]
    fn expect_entries(&self, op: &str, dim: isize, index: &Tensor, source: &Tensor) -> (isize, Tensor) {
        let d = self.expect_list(op, dim, index);
        self.expect_same_device(op, source);
        let x = self.atleast_1d();
        let index = x.entries(d, index);
        if source.shape() != index.shape() && (self.rank() > 0 || source.numel() != index.numel()) {
            let (source, entries, shape) = (source.shape(), index.shape()[d], self.shape());
            misuse(op, format!("source {source:?} is not {entries} entries of dimension {d} of {shape:?}"));
        }
        if source.dtype() != self.dtype() {
            misuse(op, format!("the source must hold {}, not {}", self.dtype(), source.dtype()));
        }
        (d as isize, index)
    }
}
