//! Reductions: folds over dimensions, and the statistics made of them.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::create::full;
use crate::ops::map::{cast_operand, record_value};
use crate::ops::op::{Fold, Op};
use crate::ops::ranges::iota;
use crate::shape::{Dims, Ints, Layout, axes, axis, numel};
use crate::tensor::Tensor;
use crate::tensor::node::{Save, record};
use crate::tensor::value::{Operand, Operands};

impl Tensor {
    /// The value of a fold over `dims` (sorted), which are kept with size 1.
    #[track_caller]
    fn fold(&self, fold: Fold, dims: &[usize], dtype: DType) -> Tensor {
        let compute = match dtype {
            DType::Bool => DType::I32,
            dtype => dtype.compute(),
        };
        let kept: Dims = (0..self.rank()).filter(|d| !dims.contains(d)).collect();
        let shape: Dims = kept.iter().map(|&d| self.shape()[d]).collect();
        let with_ones = self.kept(dims);
        let empty = dims.iter().any(|&d| self.shape()[d] == 0);
        let y = if empty {
            full(0.0, shape, compute, &self.0.device)
        } else {
            let operand = cast_operand(self.operand(), compute);
            let order: Dims = kept.iter().chain(dims).copied().collect();
            let operand = Operand { layout: operand.layout.permute(&order), value: operand.value };
            let op = Op::Reduce { fold, dims: dims.len() };
            Tensor::from_value(record_value(op, Operands::from_iter([operand]), shape, compute, &self.0.device))
        };
        let y = y.cast_value(dtype);
        y.alias(Layout::contiguous(&with_ones))
    }

    /// A differentiable fold: `rule` gets the gradient with the reduced dimensions kept.
    #[track_caller]
    fn folded(
        &self,
        name: &'static str,
        y: Tensor,
        dims: Dims,
        keepdim: bool,
        saves: &[Save],
        rule: impl Fn(&Tensor, &[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Tensor {
        let with_ones = Dims::from_slice(y.shape());
        let y = if keepdim { y } else { y.alias(y.0.layout.squeeze(&dims)) };
        let shape = with_ones.clone();
        record(y, name, &[self], saves, move |call| vec![Some(rule(&call.g.reshape(&shape[..]), call.saved))])
    }

    /// The sum of all elements; of bools, how many are true. Derivative: 1. The sum of nothing is 0.
    #[track_caller]
    pub fn sum(&self) -> Tensor {
        self.sum_named("SumBackward0", axes("sum", self.shape(), ()), false)
    }

    /// The sum over dimensions, which are kept with size 1 or disappear. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu());
    /// assert_eq!(x.sum_dim(1, false).to_vec::<f32>()?, [3.0, 7.0]);
    /// assert_eq!(x.sum_dim([0, 1], true).shape(), [1, 1]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a dimension is out of range or named twice.
    #[track_caller]
    pub fn sum_dim(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.sum_named("SumBackward1", axes("sum", self.shape(), dims), keepdim)
    }

    #[track_caller]
    fn sum_named(&self, name: &'static str, dims: Dims, keepdim: bool) -> Tensor {
        let dtype = if self.dtype() == DType::Bool { DType::I32 } else { self.dtype() };
        let from = Dims::from_slice(self.shape());
        let y = self.fold(Fold::Sum, &dims, dtype);
        self.folded(name, y, dims, keepdim, &[], move |g, _| g.expand(&from[..]))
    }

    /// The mean of all elements. Derivative: `1 / n`.
    #[track_caller]
    pub fn mean(&self) -> Tensor {
        self.mean_named("MeanBackward0", axes("mean", self.shape(), ()), false)
    }

    /// The mean over dimensions, which are kept with size 1 or disappear. Derivative: `1 / n`.
    ///
    /// # Panics
    /// If the elements are no floats, or a dimension is out of range or named twice.
    #[track_caller]
    pub fn mean_dim(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.mean_named("MeanBackward1", axes("mean", self.shape(), dims), keepdim)
    }

    #[track_caller]
    fn mean_named(&self, name: &'static str, dims: Dims, keepdim: bool) -> Tensor {
        self.expect_float("mean");
        let n = self.count(&dims);
        let from = Dims::from_slice(self.shape());
        let with_ones = self.kept(&dims);
        let definition = || self.sum_named("SumBackward1", dims.clone(), keepdim) / n;
        composite(name, &[self], &[], definition, move |call| {
            vec![Some((call.g.reshape(&with_ones[..]) / n).expand(&from[..]))]
        })
    }

    /// The largest element, NaN if one is. Derivative: shared evenly among the elements that are largest.
    ///
    /// # Panics
    /// If there are no elements.
    #[track_caller]
    pub fn max(&self) -> Tensor {
        self.extreme("max", "MaxBackward1", Fold::Max, axes("max", self.shape(), ()), false)
    }

    /// The smallest element, NaN if one is. Derivative: shared evenly among the elements that are smallest.
    ///
    /// # Panics
    /// If there are no elements.
    #[track_caller]
    pub fn min(&self) -> Tensor {
        self.extreme("min", "MinBackward1", Fold::Min, axes("min", self.shape(), ()), false)
    }

    /// The largest elements over dimensions. Derivative: shared evenly among the elements that are largest.
    #[track_caller]
    pub fn amax(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.extreme("amax", "AmaxBackward0", Fold::Max, axes("amax", self.shape(), dims), keepdim)
    }

    /// The smallest elements over dimensions. Derivative: shared evenly among the elements that are smallest.
    #[track_caller]
    pub fn amin(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.extreme("amin", "AminBackward0", Fold::Min, axes("amin", self.shape(), dims), keepdim)
    }

    #[track_caller]
    fn extreme(&self, op: &str, name: &'static str, fold: Fold, dims: Dims, keepdim: bool) -> Tensor {
        if dims.iter().any(|&d| self.shape()[d] == 0) {
            misuse(op, format!("{:?} has no elements to compare", self.shape()));
        }
        let y = self.fold(fold, &dims, self.dtype());
        // As in PyTorch, NaN equals itself in `max` and `min`, and does not in `amax` and `amin`.
        let nan_ties = matches!(op, "max" | "min");
        let reduced = dims.clone();
        let with_ones = self.kept(&dims);
        self.folded(name, y, dims, keepdim, &[Save::Input(self), Save::Output], move |g, saved| {
            let [x, y] = saved else { unreachable!("both are saved") };
            let found = x.eq(y.reshape(&with_ones[..]));
            let found = if nan_ties { found.logical_or(x.isnan()) } else { found };
            let mask = found.cast(g.dtype());
            if reduced.is_empty() {
                return g * mask;
            }
            let ties = mask.sum_dim(&reduced[..], true);
            mask * (g / ties)
        })
    }

    /// The largest elements over one dimension, and where they are: the first one where several are.
    /// Derivative: 1 for the element returned.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let (values, indices) = Tensor::new([[1.0, 5.0], [7.0, 2.0]], &Device::cpu()).max_dim(1, false);
    /// assert_eq!((values.to_vec::<f32>()?, indices.to_vec::<i32>()?), (vec![5.0, 7.0], vec![1, 0]));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or has no elements.
    #[track_caller]
    pub fn max_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        self.extreme_dim("max_dim", Fold::Max, dim, keepdim)
    }

    /// The smallest elements over one dimension, and where they are; otherwise as [`Tensor::max_dim`].
    #[track_caller]
    pub fn min_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        self.extreme_dim("min_dim", Fold::Min, dim, keepdim)
    }

    #[track_caller]
    fn extreme_dim(&self, op: &str, fold: Fold, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        let d = axis(op, self.shape(), dim);
        let indices = self.arg_extreme(op, fold, Some(dim), true);
        if self.rank() == 0 {
            return (self.reshape(()), indices);
        }
        let values = self.gather(d as isize, &indices);
        match keepdim {
            true => (values, indices),
            false => (values.squeeze(d as isize), indices.squeeze(d as isize)),
        }
    }

    /// Where the largest element is, along one dimension or, without one, in row-major order of all; the first one
    /// where several are, and NaN counts as largest.
    ///
    /// # Panics
    /// If the dimension is out of range or there are no elements.
    #[track_caller]
    pub fn argmax(&self, dim: impl Into<Option<isize>>, keepdim: bool) -> Tensor {
        self.arg_extreme("argmax", Fold::Max, dim.into(), keepdim)
    }

    /// Where the smallest element is; otherwise as [`Tensor::argmax`].
    #[track_caller]
    pub fn argmin(&self, dim: impl Into<Option<isize>>, keepdim: bool) -> Tensor {
        self.arg_extreme("argmin", Fold::Min, dim.into(), keepdim)
    }

    /// The smallest index of an element that equals the extreme one, or is NaN.
    #[track_caller]
    fn arg_extreme(&self, op: &str, fold: Fold, dim: Option<isize>, keepdim: bool) -> Tensor {
        let x = self.detach();
        let Some(dim) = dim else {
            let index = x.reshape(-1).arg_extreme(op, fold, Some(0), false);
            return if keepdim { index.reshape(vec![1usize; self.rank()]) } else { index };
        };
        let d = axis(op, x.shape(), dim);
        if x.numel() == 0 && x.shape()[d] == 0 {
            misuse(op, format!("{:?} has no elements to compare", x.shape()));
        }
        if x.rank() == 0 {
            return full(0.0, Dims::new(), DType::I32, &x.device());
        }
        let n = x.shape()[d];
        let extreme = x.fold(fold, &[d], x.dtype());
        let found = if x.dtype().is_float() { x.eq(&extreme).logical_or(x.isnan()) } else { x.eq(&extreme) };
        let mut along = Dims::from_elem(1, x.rank());
        along[d] = n;
        let index =
            Tensor::where_(&found, iota(n, &x.device()).reshape(&along[..]), n).fold(Fold::Min, &[d], DType::I32);
        if keepdim { index } else { index.squeeze(d as isize) }
    }

    /// The variance of all elements, divided by `n - correction`; 1 is the unbiased estimate.
    /// Derivative: `2 (x - mean) / (n - correction)`.
    #[track_caller]
    pub fn var(&self, correction: f64) -> Tensor {
        self.var_over(axes("var", self.shape(), ()), correction, false)
    }

    /// The variance over dimensions, divided by `n - correction`; otherwise as [`Tensor::var`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1.0, 3.0], [2.0, 6.0]], &Device::cpu());
    /// assert_eq!(x.var_dim(1, 1.0, false).to_vec::<f32>()?, [2.0, 8.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn var_dim(&self, dims: impl Ints, correction: f64, keepdim: bool) -> Tensor {
        self.var_over(axes("var", self.shape(), dims), correction, keepdim)
    }

    #[track_caller]
    fn var_over(&self, dims: Dims, correction: f64, keepdim: bool) -> Tensor {
        self.expect_float("var");
        let divisor = (self.count(&dims) - correction).max(0.0);
        let with_ones = self.kept(&dims);
        let over = dims.clone();
        // Two passes, the mean first: the difference of mean square and squared mean loses all digits.
        let centred = move |x: &Tensor| x - x.mean_named("MeanBackward1", over.clone(), true);
        let definition = || {
            let d = centred(self);
            (&d * &d).sum_named("SumBackward1", dims.clone(), keepdim) / divisor
        };
        let rule = centred.clone();
        composite("VarBackward0", &[self], &[Save::Input(self)], definition, move |call| {
            vec![Some(rule(&call.saved[0]) * (call.g.reshape(&with_ones[..]) * (2.0 / divisor)))]
        })
    }

    /// The 2-norm of all elements, `√Σx²`. Derivative: `x / y`, 0 where the norm is 0.
    #[track_caller]
    pub fn norm(&self) -> Tensor {
        self.norm_over(2.0, axes("norm", self.shape(), ()), false)
    }

    /// The p-norm over dimensions, `(Σ|x|ᵖ)^(1/p)`; `p` may be infinite (the largest `|x|`) or 0 (how many are not 0).
    /// Derivative: `sign(x) (|x| / y)ᵖ⁻¹`, 0 where the norm is 0.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[3.0, -4.0]], &Device::cpu());
    /// assert_eq!(x.norm_dim(2.0, 1, false).item()?, 5.0);
    /// assert_eq!(x.norm_dim(f64::INFINITY, 1, false).item()?, 4.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.linalg.vector_norm](https://docs.pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html).
    #[track_caller]
    pub fn norm_dim(&self, p: f64, dims: impl Ints, keepdim: bool) -> Tensor {
        self.norm_over(p, axes("norm", self.shape(), dims), keepdim)
    }

    #[track_caller]
    fn norm_over(&self, p: f64, dims: Dims, keepdim: bool) -> Tensor {
        self.expect_float("norm");
        let sum = |x: Tensor| x.sum_named("SumBackward1", dims.clone(), keepdim);
        if p == 0.0 {
            return sum(self.ne(0.0).cast(self.dtype()));
        }
        if p == 1.0 {
            return sum(self.abs());
        }
        if p.is_infinite() {
            let fold = if p > 0.0 { Fold::Max } else { Fold::Min };
            return self.abs().extreme("norm", "AmaxBackward0", fold, dims, keepdim);
        }
        let with_ones = self.kept(&dims);
        let definition = || if p == 2.0 { sum(self * self).sqrt() } else { sum(self.abs().pow(p)).pow(1.0 / p) };
        composite("LinalgVectorNormBackward0", &[self], &[Save::Input(self), Save::Output], definition, move |call| {
            let [x, y] = call.saved else { unreachable!("both are saved") };
            let (g, y) = (call.g.reshape(&with_ones[..]), y.reshape(&with_ones[..]));
            let slope = if p == 2.0 { x / &y } else { x.sign() * (x.abs() / &y).pow(p - 1.0) };
            vec![Some(Tensor::where_(&y.eq(0.0), 0.0, g * slope))]
        })
    }

    /// The shape after a reduction over `dims` that keeps them.
    fn kept(&self, dims: &[usize]) -> Dims {
        (0..self.rank()).map(|d| if dims.contains(&d) { 1 } else { self.shape()[d] }).collect()
    }

    /// How many elements a reduction over `dims` combines.
    fn count(&self, dims: &[usize]) -> f64 {
        numel(&dims.iter().map(|&d| self.shape()[d]).collect::<Dims>()) as f64
    }

    #[track_caller]
    pub(crate) fn expect_float(&self, op: &str) {
        if !self.dtype().is_float() {
            misuse(op, format!("needs floats, not {} elements of shape {:?}", self.dtype(), self.shape()));
        }
    }
}
