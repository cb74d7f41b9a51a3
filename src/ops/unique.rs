//! Elements, or slices, each taken once; and how often they occur.

use crate::dtype::DType;
use crate::error::{Result, misuse};
use crate::ops::create::full;
use crate::shape::{Dims, axis};
use crate::tensor::Tensor;
use std::cmp::Ordering;

/// What [`Tensor::unique`] finds.
#[derive(Clone, Debug)]
pub struct Unique {
    /// Every element once.
    pub values: Tensor,
    /// For each element of the input, which of the values it is, as `I32`.
    pub inverse: Tensor,
    /// How often each value occurs, as `I32`.
    pub counts: Tensor,
}

impl Tensor {
    /// Every element once, in ascending order; or every slice along a dimension. NaN is equal to nothing.
    /// Derivative: back to the first one of each.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let found = Tensor::new([3, 1, 3], &Device::cpu()).unique(None)?;
    /// assert_eq!(found.values.to_vec::<i32>()?, [1, 3]);
    /// assert_eq!(found.inverse.to_vec::<i32>()?, [1, 0, 1]);
    /// assert_eq!(found.counts.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the elements, on which the shape depends, cannot be read.
    ///
    /// # Panics
    /// If the dimension is out of range.
    ///
    /// Source: [torch.unique](https://docs.pytorch.org/docs/stable/generated/torch.unique.html).
    #[track_caller]
    pub fn unique(&self, dim: impl Into<Option<isize>>) -> Result<Unique> {
        self.distinct("unique", dim.into(), true)
    }

    /// Every run of equal elements once, in the order of the runs; or of equal slices along a dimension.
    /// Derivative: back to the first one of each.
    ///
    /// # Errors
    /// As [`Tensor::unique`].
    ///
    /// # Panics
    /// If the dimension is out of range.
    #[track_caller]
    pub fn unique_consecutive(&self, dim: impl Into<Option<isize>>) -> Result<Unique> {
        self.distinct("unique_consecutive", dim.into(), false)
    }

    #[track_caller]
    fn distinct(&self, op: &str, dim: Option<isize>, sorted: bool) -> Result<Unique> {
        let Some(dim) = dim else {
            let found = self.ravel().distinct(op, Some(0), sorted)?;
            return Ok(Unique { inverse: found.inverse.reshape(self.shape()), ..found });
        };
        let d = axis(op, self.shape(), dim) as isize;
        if self.rank() == 0 {
            return self.reshape(1).distinct(op, Some(0), sorted);
        }
        let n = self.size(d);
        let elements = self.movedim(d, 0).to_data()?.to_f64();
        let width = elements.len().checked_div(n).unwrap_or(0);
        let row = |i: usize| &elements[i * width..][..width];
        let mut order: Vec<usize> = (0..n).collect();
        if sorted {
            order.sort_by(|&a, &b| compare(row(a), row(b)));
        }
        let (mut firsts, mut counts, mut inverse) = (Vec::new(), Vec::new(), vec![0i32; n]);
        for (k, &i) in order.iter().enumerate() {
            if k == 0 || row(order[k - 1]) != row(i) {
                firsts.push(i as i32);
                counts.push(0i32);
            }
            inverse[i] = firsts.len() as i32 - 1;
            *counts.last_mut().expect("just pushed") += 1;
        }
        let list = |x: Vec<i32>| Tensor::from_slice(&x, x.len(), (&self.device(), DType::I32));
        Ok(Unique { values: self.index_select(d, &list(firsts)), inverse: list(inverse), counts: list(counts) })
    }

    /// How often each number from 0 up occurs in a list of such integers, or the sum of the weights where it occurs; at
    /// least `minlength` numbers are counted. As `I32`, or as the weights' dtype. Derivative: of the weights, `g` of their
    /// number.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let counts = Tensor::new([0, 2, 2], &Device::cpu()).bincount(None, 4)?;
    /// assert_eq!(counts.to_vec::<i32>()?, [1, 0, 2, 0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the largest number, on which the shape depends, cannot be read.
    ///
    /// # Panics
    /// If this is no list of integers that are not negative, or the weights have another shape.
    #[track_caller]
    pub fn bincount(&self, weights: Option<&Tensor>, minlength: usize) -> Result<Tensor> {
        self.expect_integers("bincount");
        if self.rank() != 1 || weights.is_some_and(|w| w.shape() != self.shape()) {
            let weights = weights.map(|w| format!(" and weights {:?}", w.shape())).unwrap_or_default();
            misuse("bincount", format!("needs a list, not {:?}{weights}", self.shape()));
        }
        let (mut bins, mut least) = (minlength, 0.0);
        if self.numel() > 0 {
            let ends = Tensor::stack(&[self.max(), self.min()], 0).to_data()?;
            (bins, least) = (bins.max((ends.at(0) + 1.0) as usize), ends.at(1));
        }
        if least < 0.0 {
            misuse("bincount", format!("{least} is negative, in a list of {:?}", self.shape()));
        }
        let ones = full(1.0, Dims::from_slice(self.shape()), DType::I32, &self.device());
        let weights = weights.unwrap_or(&ones);
        let zeros = full(0.0, Dims::from_slice(&[bins]), weights.dtype(), &self.device());
        Ok(zeros.index_add(0, self, weights, 1.0))
    }

    /// How many elements lie in each of `bins` equal parts of the interval from `low` to `high`, which belongs to the last
    /// part; where the two are equal, of the interval from the smallest to the largest element. Derivative: 0.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([0.0, 0.5, 1.0, 7.0], &Device::cpu());
    /// assert_eq!(x.histc(2, 0.0, 1.0).to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are no bins, `high` is below `low`, or the elements are no floats.
    #[track_caller]
    pub fn histc(&self, bins: usize, low: f64, high: f64) -> Tensor {
        self.expect_float("histc");
        if bins == 0 || low > high || !(high - low).is_finite() {
            misuse("histc", format!("{bins} parts from {low} to {high}, for {:?}", self.shape()));
        }
        let x = self.untracked().ravel();
        let whole = low == high;
        let number = |n: f64| Tensor::number(n, x.dtype(), &x.device());
        let (mut low, mut high) = (number(low), number(high));
        if whole && x.numel() > 0 {
            (low, high) = (x.min(), x.max());
        }
        // Where all elements are equal, one to either side.
        let point = low.eq(&high).cast(x.dtype());
        let (low, high) = (low - &point, high + &point);
        let place = ((&x - &low) / (&high - &low) * bins as f64).floor().minimum(bins as f64 - 1.0);
        let within = x.ge(&low).logical_and(x.le(&high));
        let place = Tensor::where_(&within, place, 0.0).cast(DType::I32);
        let zeros = full(0.0, Dims::from_slice(&[bins]), x.dtype(), &x.device());
        zeros.index_add(0, &place, &within.cast(x.dtype()), 1.0)
    }

    /// For each integer a row that is 1 at its place and 0 elsewhere; the classes are a new last dimension, as `I32`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::new([1, 0], &Device::cpu()).one_hot(3).to_vec::<i32>()?, [0, 1, 0, 1, 0, 0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// An integer that is no class is told when the result is read, as by [`Tensor::gather`].
    ///
    /// # Panics
    /// If this tensor holds no integers, or there are no classes for them.
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Tensor {
        self.expect_integers("one_hot");
        if classes == 0 && self.numel() > 0 {
            misuse("one_hot", format!("no classes for integers of shape {:?}", self.shape()));
        }
        let mut shape = Dims::from_slice(self.shape());
        shape.push(classes);
        full(0.0, shape, DType::I32, &self.device()).scatter(-1, &self.unsqueeze(-1), 1)
    }
}

/// The order of rows, element by element; NaN is the largest.
fn compare(a: &[f64], b: &[f64]) -> Ordering {
    let each = |(x, y): (&f64, &f64)| x.partial_cmp(y).unwrap_or_else(|| x.is_nan().cmp(&y.is_nan()));
    a.iter().zip(b).map(each).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
