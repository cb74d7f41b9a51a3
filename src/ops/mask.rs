//! Masks: elements filled, chosen or replaced where a bool is true.

use crate::dtype::DType;
use crate::error::{Result, misuse};
use crate::ops::composite::{composite, fit};
use crate::ops::map::Arg;
use crate::shape::{Dims, Layout, broadcast};
use crate::tensor::Tensor;
use crate::tensor::node::Save;

impl Tensor {
    /// A number or 0-d tensor where the mask is true, this tensor elsewhere; the two broadcast.
    /// Derivatives: `g` where the mask is false; the sum of `g` where it is true for the 0-d tensor.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1.0, -2.0], &Device::cpu());
    /// assert_eq!(x.masked_fill(&x.lt(0.0), 9.0).to_vec::<f32>()?, [1.0, 9.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the mask holds no bools, the shapes do not broadcast, or the value has dimensions.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: impl Into<Arg>) -> Tensor {
        self.expect_mask("masked_fill", mask);
        self.fill_where("masked_fill", ["MaskedFillBackward0", "MaskedFillBackward1"], mask, value.into())
    }

    /// A value where the mask is true; the first name is the node's beside a number.
    #[track_caller]
    pub(crate) fn fill_where(&self, op: &str, names: [&'static str; 2], mask: &Tensor, value: Arg) -> Tensor {
        let name = names[matches!(value, Arg::Tensor(_)) as usize];
        let value = &self.filling(op, value);
        let (own, others) = (fit(self), fit(value));
        let definition = || Tensor::where_(mask, value, self);
        composite(name, &[self, value], &[Save::Input(mask)], definition, move |call| {
            let (g, mask) = (call.g, &call.saved[0]);
            let value = || others(Tensor::where_(mask, g, 0.0));
            vec![call.needs[0].then(|| own(Tensor::where_(mask, 0.0, g))), call.needs[1].then(value)]
        })
    }

    /// The elements where the mask is true as a list in row-major order; the two broadcast.
    /// Derivative: back to where they came from.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1.0, -2.0, 3.0], &Device::cpu());
    /// assert_eq!(x.masked_select(&x.gt(0.0))?.to_vec::<f32>()?, [1.0, 3.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the mask, on which the shape depends, cannot be read.
    ///
    /// # Panics
    /// If the mask holds no bools, or the shapes do not broadcast.
    #[track_caller]
    pub fn masked_select(&self, mask: &Tensor) -> Result<Tensor> {
        let shape = self.expect_mask("masked_select", mask);
        let (x, mask) = (self.expanded(&shape).ravel(), mask.expanded(&shape).ravel());
        Ok(x.gathered("MaskedSelectBackward0", 0, &mask.nonzero_tuple()?[0], true))
    }

    /// This tensor with the elements where the mask is true replaced by those of the source, in row-major order; this
    /// tensor and the mask broadcast. Derivatives: `g` where the mask is false; for the source, `g` where it went.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1, 2, 3], &Device::cpu());
    /// let y = x.masked_scatter(&x.ne(2), &Tensor::new([7, 8], &Device::cpu()));
    /// assert_eq!(y.to_vec::<i32>()?, [7, 2, 8]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the source has fewer elements than the mask has true ones, as an index out of range of [`Tensor::gather`].
    ///
    /// # Panics
    /// If the mask holds no bools, the shapes do not broadcast, the dtypes differ, or the source is empty.
    #[track_caller]
    pub fn masked_scatter(&self, mask: &Tensor, source: &Tensor) -> Tensor {
        let shape = self.expect_mask("masked_scatter", mask);
        self.expect_same_device("masked_scatter", source);
        let (x, mask) = (self.expanded(&shape), mask.expanded(&shape));
        if source.dtype() != self.dtype() {
            misuse("masked_scatter", format!("the source must hold {}, not {}", self.dtype(), source.dtype()));
        }
        if x.numel() == 0 {
            return x.copy();
        }
        if source.numel() == 0 {
            misuse("masked_scatter", format!("a source of {:?} has no elements for {shape:?}", source.shape()));
        }
        let place = Tensor::where_(&mask, mask.ravel().cumsum(0).reshape(&shape[..]) - 1, 0);
        Tensor::where_(&mask, source.take(&place), &x)
    }

    /// Where the elements are not 0, in row-major order: `[n, rank]`, one row of indices for each, as `I32`.
    /// Derivative: none, the result holds integers.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[0.0, 1.0], [2.0, 0.0]], &Device::cpu());
    /// assert_eq!(x.nonzero()?.to_vec::<i32>()?, [0, 1, 1, 0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the elements, on which the shape depends, cannot be read.
    #[track_caller]
    pub fn nonzero(&self) -> Result<Tensor> {
        let places = self.places_not_zero()?;
        let rows: Vec<i32> = places.iter().flat_map(|&i| self.coordinates(i)).collect();
        Ok(Tensor::from_slice(&rows, [places.len(), self.rank()], (&self.device(), DType::I32)))
    }

    /// [`Tensor::nonzero`] under its other name.
    ///
    /// # Errors
    /// As [`Tensor::nonzero`].
    #[track_caller]
    pub fn argwhere(&self) -> Result<Tensor> {
        self.nonzero()
    }

    /// [`Tensor::nonzero`] as a list of indices for each dimension, as [`Tensor::index`] takes them.
    ///
    /// # Errors
    /// As [`Tensor::nonzero`].
    ///
    /// # Panics
    /// If the tensor is 0-d; PyTorch takes that for one dimension, as [`Tensor::atleast_1d`] does.
    #[track_caller]
    pub fn nonzero_tuple(&self) -> Result<Vec<Tensor>> {
        if self.rank() == 0 {
            misuse("nonzero_tuple", "a 0-d tensor has no dimensions");
        }
        let places = self.places_not_zero()?;
        let mut lists = Vec::with_capacity(self.rank());
        for d in 0..self.rank() {
            let list: Vec<i32> = places.iter().map(|&i| self.coordinate(i, d)).collect();
            lists.push(Tensor::from_slice(&list, list.len(), (&self.device(), DType::I32)));
        }
        Ok(lists)
    }

    /// The row-major places of elements that are not 0; NaN is not.
    fn places_not_zero(&self) -> Result<Vec<usize>> {
        let data = self.to_data()?;
        Ok((0..data.len()).filter(|&i| data.at(i) != 0.0).collect())
    }

    fn coordinates(&self, place: usize) -> impl Iterator<Item = i32> {
        (0..self.rank()).map(move |d| self.coordinate(place, d))
    }

    /// Coordinate `d` of a row-major place.
    fn coordinate(&self, place: usize, d: usize) -> i32 {
        let step = Layout::contiguous(self.shape()).strides[d] as usize;
        (place / step % self.shape()[d]) as i32
    }

    /// The shape of the two.
    #[track_caller]
    fn expect_mask(&self, op: &str, mask: &Tensor) -> Dims {
        self.expect_same_device(op, mask);
        if mask.dtype() != DType::Bool {
            misuse(op, format!("the mask must hold bools, not {} elements", mask.dtype()));
        }
        let Some(shape) = broadcast(self.shape(), mask.shape()) else {
            misuse(op, format!("mask {:?} and {:?} do not broadcast", mask.shape(), self.shape()))
        };
        shape
    }
}
