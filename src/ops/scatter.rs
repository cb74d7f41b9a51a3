//! Writing at computed places, one element at a time: into a copy, replacing what is there or combining with it.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::map::{Arg, cast_operand, record_value};
use crate::ops::op::{Fold, Op};
use crate::ops::pad::PadMode;
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::node::{Save, record};
use crate::tensor::profile;
use crate::tensor::value::Operands;

/// A kernel reads this many entries of an index for each place; more are sorted first.
const MAX_SCAN: usize = 32;

/// How [`Tensor::scatter_reduce`] and [`Tensor::index_reduce`] combine elements that meet in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Their sum.
    Sum,
    /// Their product.
    Prod,
    /// Their mean.
    Mean,
    /// The largest.
    Amax,
    /// The smallest.
    Amin,
}

impl Tensor {
    /// `y = x`, then `y[i with i_dim replaced by index[i]] = source[i]`; the source is a tensor or a number. Where an
    /// index repeats, the last entry stays. Derivatives: `g`, 0 in the places written, for this tensor; gather of `g`
    /// for the source, as if no index repeated.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let index = Tensor::new([[1], [0]], &dev);
    /// assert_eq!(Tensor::zeros([2, 2], &dev).scatter(1, &index, 5.0).to_vec::<f32>()?, [0.0, 5.0, 5.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If the shapes or dtypes do not fit, or the index holds no integers.
    #[track_caller]
    pub fn scatter(&self, dim: isize, index: &Tensor, source: impl Into<Arg>) -> Tensor {
        match source.into() {
            Arg::Tensor(source) => self.scatter_named("ScatterBackward0", dim, index, source),
            Arg::Number(x, _) => {
                let source = Tensor::number(x, self.dtype(), &self.device()).expand(index.shape());
                self.scatter_named("ScatterBackward1", dim, index, source)
            }
        }
    }

    /// [`Tensor::scatter`] with a node of another name.
    #[track_caller]
    pub(crate) fn scatter_named(&self, name: &'static str, dim: isize, index: &Tensor, source: Tensor) -> Tensor {
        let d = self.expect_index("scatter", dim, index, Some(&source));
        if let Some([x, index, source]) = self.as_lists(index, &source) {
            return x.scatter_named(name, 0, &index, source).reshape(self.shape());
        }
        let _operation = profile::operation("scatter");
        let y = self.scatter_value(d, index, &source, None);
        let shape = Dims::from_slice(source.shape());
        record(y, name, &[self, &source], &[Save::Input(index)], move |call| {
            let index = &call.saved[0];
            let rest = || call.g.scatter(d as isize, index, 0.0);
            let source = || call.g.gather(d as isize, index).padded_to(&shape);
            vec![call.needs[0].then(rest), call.needs[1].then(source)]
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
        self.scatter_add_named("ScatterAddBackward0", dim, index, source)
    }

    /// [`Tensor::scatter_add`] with a node of another name.
    #[track_caller]
    pub(crate) fn scatter_add_named(&self, name: &'static str, dim: isize, index: &Tensor, source: &Tensor) -> Tensor {
        let [x, source] = &Tensor::widest([self, source]);
        let d = x.expect_index("scatter_add", dim, index, Some(source));
        if let Some([a, index, source]) = x.as_lists(index, source) {
            return a.scatter_add_named(name, 0, &index, &source).reshape(x.shape());
        }
        let _operation = profile::operation("scatter_add");
        let y = x.scatter_value(d, index, source, Some(Fold::Sum));
        let shape = Dims::from_slice(source.shape());
        record(y, name, &[x, source], &[Save::Input(index)], move |call| {
            let source = || call.g.gather(d as isize, &call.saved[0]).padded_to(&shape);
            vec![call.needs[0].then(|| call.g.clone()), call.needs[1].then(source)]
        })
    }

    /// `y = x`, then the elements of the source combined with those in the places that the index names, or, without
    /// `include_self`, among themselves. Derivatives: of the sum `g`, of the mean its share, of the product the product
    /// of the others, of the extremes shared evenly among the elements that are extreme.
    ///
    /// ```
    /// use wgrad::{Combine, Device, Tensor};
    /// let dev = Device::cpu();
    /// let (x, index) = (Tensor::new([1.0, 2.0], &dev), Tensor::new([0, 0], &dev));
    /// let y = x.scatter_reduce(0, &index, &Tensor::new([3.0, 5.0], &dev), Combine::Mean, true);
    /// assert_eq!(y.to_vec::<f32>()?, [3.0, 2.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If the shapes or dtypes do not fit, or the index holds no integers.
    ///
    /// Source: [torch.Tensor.scatter_reduce_](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_reduce_.html).
    #[track_caller]
    pub fn scatter_reduce(
        &self,
        dim: isize,
        index: &Tensor,
        source: &Tensor,
        combine: Combine,
        include_self: bool,
    ) -> Tensor {
        let d = self.expect_index("scatter_reduce", dim, index, Some(source));
        if let Some([x, index, source]) = self.as_lists(index, source) {
            return x.scatter_reduce(0, &index, &source, combine, include_self).reshape(self.shape());
        }
        let dim = d as isize;
        if index.numel() == 0 {
            return self.copy();
        }
        let source = source.cut_to(index.shape());
        let fold = match combine {
            Combine::Sum | Combine::Mean => Fold::Sum,
            Combine::Prod => Fold::Prod,
            Combine::Amax => Fold::Max,
            Combine::Amin => Fold::Min,
        };
        // What is not to count is replaced by what changes nothing.
        let start = if include_self { self.clone() } else { self.scatter(dim, index, neutral(fold, self.dtype())) };
        match combine {
            Combine::Sum => start.scatter_add(dim, index, &source),
            Combine::Mean => {
                let own = if include_self { self.ones_like() } else { self.ones_like().scatter(dim, index, 0.0) };
                let count = own.untracked().scatter_add(dim, index, &source.ones_like());
                let sum = start.scatter_add(dim, index, &source);
                // Whole numbers keep their type and are rounded down.
                if self.dtype().is_float() { sum / count } else { sum.floor_divide(count) }
            }
            Combine::Prod => start.scatter_product(d, index, &source),
            Combine::Amax | Combine::Amin => start.scatter_extreme(d, index, &source, fold),
        }
    }

    #[track_caller]
    fn scatter_product(&self, d: usize, index: &Tensor, source: &Tensor) -> Tensor {
        let _operation = profile::operation("scatter_reduce");
        let y = self.scatter_value(d, index, source, Some(Fold::Prod));
        let dim = d as isize;
        let saves = [Save::Input(self), Save::Input(source), Save::Input(index), Save::Output];
        record(y, "ScatterReduceBackward0", &[self, source], &saves, move |call| {
            let [x, source, index, y] = call.saved else { unreachable!("four are saved") };
            let g = call.g;
            // The product of the others is the product without a factor: the quotient, or where the factor is 0, the
            // product computed anew with 1 in its place.
            let own = || {
                let x = Tensor::where_(&x.eq(0.0), 1.0, x);
                g * x.scatter_product(d, index, source) / x
            };
            let others = || {
                let zero = source.eq(0.0);
                let zeros = x.zeros_like().scatter_add(dim, index, &zero.cast(source.dtype())).gather(dim, index);
                let alone = zero.logical_and(zeros.eq(1.0));
                let without = x.scatter_product(d, index, &Tensor::where_(&alone, 1.0, source));
                let quotient = (g * y).gather(dim, index) / Tensor::where_(&zero, 1.0, source);
                Tensor::where_(&alone, (g * without).gather(dim, index), quotient)
            };
            vec![call.needs[0].then(own), call.needs[1].then(others)]
        })
    }

    #[track_caller]
    fn scatter_extreme(&self, d: usize, index: &Tensor, source: &Tensor, fold: Fold) -> Tensor {
        let _operation = profile::operation("scatter_reduce");
        let y = self.scatter_value(d, index, source, Some(fold));
        let dim = d as isize;
        let saves = [Save::Input(self), Save::Input(source), Save::Input(index), Save::Output];
        record(y, "ScatterReduceBackward0", &[self, source], &saves, move |call| {
            let [x, source, index, y] = call.saved else { unreachable!("four are saved") };
            let (x, source, y) = (x.untracked(), source.untracked(), y.untracked());
            let own = x.eq(&y).cast(call.g.dtype());
            let others = source.eq(y.gather(dim, index)).cast(call.g.dtype());
            let share = call.g / own.scatter_add(dim, index, &others);
            vec![call.needs[0].then(|| &own * &share), call.needs[1].then(|| &others * share.gather(dim, index))]
        })
    }

    /// The list of all elements with those replaced, or added to, that the indices name; negative ones count from the
    /// end. Derivatives: as [`Tensor::scatter`] or [`Tensor::scatter_add`].
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If there is not one source element per index, the dtypes differ, or the index holds no integers.
    ///
    /// Source: [torch.Tensor.put_](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.put_.html).
    #[track_caller]
    pub fn put(&self, index: &Tensor, source: &Tensor, accumulate: bool) -> Tensor {
        index.expect_integers("put");
        if index.numel() != source.numel() {
            misuse("put", format!("index {:?} and source {:?} differ in size", index.shape(), source.shape()));
        }
        let (x, index) = (self.ravel(), index.ravel().wrapped(self.numel()));
        let y = match accumulate {
            true => x.scatter_add(0, &index, &source.ravel()),
            false => x.scatter(0, &index, source.ravel()),
        };
        y.reshape(self.shape())
    }

    /// A 0-d tensor, its index and source as lists; `None` where all have dimensions.
    #[track_caller]
    fn as_lists(&self, index: &Tensor, source: &Tensor) -> Option<[Tensor; 3]> {
        let flat = self.rank().min(index.rank()).min(source.rank()) == 0;
        flat.then(|| [self.ravel(), index.ravel(), source.ravel()])
    }

    /// The leading elements of each dimension.
    #[track_caller]
    fn cut_to(&self, shape: &[usize]) -> Tensor {
        let mut y = self.clone();
        for (d, &n) in shape.iter().enumerate().filter(|&(d, &n)| n < self.shape()[d]) {
            y = y.narrow(d as isize, 0, n);
        }
        y
    }

    /// Zeros behind the elements of each dimension: the adjoint of [`Tensor::cut_to`].
    #[track_caller]
    fn padded_to(&self, shape: &[usize]) -> Tensor {
        if *shape == *self.shape() {
            return self.clone();
        }
        let pad: Vec<usize> = (0..self.rank()).rev().flat_map(|d| [0, shape[d] - self.shape()[d]]).collect();
        self.pad(&pad, PadMode::Constant(0.0))
    }

    /// The value of a scatter: elements of the source folded into the places that an index names, or written there, the
    /// later ones over the earlier ones. What is called has checked that all fits.
    #[track_caller]
    pub(crate) fn scatter_value(&self, d: usize, index: &Tensor, source: &Tensor, fold: Option<Fold>) -> Tensor {
        if index.numel() == 0 {
            return self.copy().untracked();
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
}

/// What a fold starts from, so that it changes nothing.
fn neutral(fold: Fold, dtype: DType) -> f64 {
    let (low, high) = match dtype {
        DType::Bool => (0.0, 1.0),
        DType::U32 => (0.0, u32::MAX as f64),
        DType::I32 => (i32::MIN as f64, i32::MAX as f64),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    match fold {
        Fold::Sum => 0.0,
        Fold::Prod => 1.0,
        Fold::Max => low,
        Fold::Min => high,
    }
}
