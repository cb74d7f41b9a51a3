//! Reductions: folds over dimensions, and what is summed, multiplied, averaged and counted by them.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::create::full;
use crate::ops::map::{cast_operand, record_value};
use crate::ops::op::{Fold, Op};
use crate::shape::{Dims, Ints, Layout, axes, broadcast, numel, sizes};
use crate::tensor::Tensor;
use crate::tensor::autocast::no_autocast;
use crate::tensor::node::{Save, record};
use crate::tensor::profile;
use crate::tensor::value::{Operand, Operands};

impl Tensor {
    /// The value of a fold over `dims` (sorted), which are kept with size 1.
    #[track_caller]
    pub(crate) fn fold(&self, fold: Fold, dims: &[usize], dtype: DType) -> Tensor {
        let compute = match dtype {
            DType::Bool => DType::I32,
            dtype => dtype.compute(),
        };
        let kept: Dims = (0..self.rank()).filter(|d| !dims.contains(d)).collect();
        let shape: Dims = kept.iter().map(|&d| self.shape()[d]).collect();
        let with_ones = self.kept(dims);
        let empty = dims.iter().any(|&d| self.shape()[d] == 0);
        let y = if empty {
            // An empty fold of bools is none of them (`Max`) or all of them (`Min`); that of numbers is refused.
            let neutral = matches!(fold, Fold::Prod | Fold::Min) as u8 as f64;
            full(neutral, shape, compute, &self.0.device)
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
    pub(crate) fn folded(
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

    /// The sum over the dimensions that expanding `shape` to this tensor's shape would repeat: the adjoint of
    /// [`Tensor::expand`]. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([2, 3], &Device::cpu());
    /// assert_eq!(x.sum_to_size([2, 1]).to_vec::<f32>()?, [3.0, 3.0]);
    /// assert_eq!(x.sum_to_size(3).to_vec::<f32>()?, [2.0; 3]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `shape` does not expand to this tensor's shape.
    #[track_caller]
    pub fn sum_to_size(&self, shape: impl Ints) -> Tensor {
        let shape = sizes("sum_to_size", shape);
        if broadcast(&shape, self.shape()).as_deref() != Some(self.shape()) {
            misuse("sum_to_size", format!("{:?} does not expand to {:?}", shape.as_slice(), self.shape()));
        }
        self.sum_to(&shape)
    }

    #[track_caller]
    pub(crate) fn sum_named(&self, name: &'static str, dims: Dims, keepdim: bool) -> Tensor {
        if let Some(x) = self.widened("sum") {
            return x.sum_named(name, dims, keepdim);
        }
        let dtype = if self.dtype() == DType::Bool { DType::I32 } else { self.dtype() };
        let from = Dims::from_slice(self.shape());
        let _operation = profile::operation(name);
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
    pub(crate) fn mean_named(&self, name: &'static str, dims: Dims, keepdim: bool) -> Tensor {
        self.expect_float("mean");
        let n = self.count(&dims);
        let from = Dims::from_slice(self.shape());
        let with_ones = self.kept(&dims);
        let definition = || self.rounded_once(|x| x.sum_named("SumBackward1", dims.clone(), keepdim) / n);
        composite(name, &[self], &[], definition, move |call| {
            vec![Some((call.g.reshape(&with_ones[..]) / n).expand(&from[..]))]
        })
    }

    /// The product of all elements; of bools, 1 if all are true. Derivative: the product of all others, which is exact where
    /// elements are 0. The product of nothing is 1.
    #[track_caller]
    pub fn prod(&self) -> Tensor {
        self.prod_over("ProdBackward0", axes("prod", self.shape(), ()), false)
    }

    /// The product over dimensions, which are kept with size 1 or disappear; otherwise as [`Tensor::prod`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[2.0, 3.0], [0.0, 5.0]], &Device::cpu()).requires_grad_(true)?;
    /// let y = x.prod_dim(1, false);
    /// assert_eq!(y.to_vec::<f32>()?, [6.0, 0.0]);
    /// y.sum().backward()?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [3.0, 2.0, 5.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a dimension is out of range or named twice.
    #[track_caller]
    pub fn prod_dim(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.prod_over("ProdBackward1", axes("prod", self.shape(), dims), keepdim)
    }

    #[track_caller]
    fn prod_over(&self, name: &'static str, dims: Dims, keepdim: bool) -> Tensor {
        if let Some(x) = self.widened("prod") {
            return x.prod_over(name, dims, keepdim);
        }
        let dtype = if self.dtype() == DType::Bool { DType::I32 } else { self.dtype() };
        let _operation = profile::operation(name);
        let y = self.fold(Fold::Prod, &dims, dtype);
        let over = dims.clone();
        let with_ones = self.kept(&dims);
        self.folded(name, y, dims, keepdim, &[Save::Input(self), Save::Output], move |g, saved| {
            let (x, y) = (saved[0].wide(), saved[1].wide().reshape(&with_ones[..]));
            (x.products_of_others(&over).or_quotient(&y, &x, &x.eq(0.0).any()) * g).cast(g.dtype())
        })
    }

    /// A product without one of its factors `x`. PyTorch divides the whole product `y` where there are no zeros, so where
    /// `y` is infinite or NaN, that is the result.
    #[track_caller]
    pub(crate) fn or_quotient(&self, y: &Tensor, x: &Tensor, zeros: &Tensor) -> Tensor {
        Tensor::where_(&y.isfinite().logical_or(zeros), self, y / Tensor::where_(&x.eq(0.0), 1.0, x))
    }

    /// For every element, the product of all others over `dims`.
    #[track_caller]
    fn products_of_others(&self, dims: &[usize]) -> Tensor {
        if self.numel() == 0 || dims.is_empty() {
            return self.ones_like();
        }
        let kept = (0..self.rank()).filter(|d| !dims.contains(d));
        let order: Dims = kept.chain(dims.iter().copied()).collect();
        let mut back = Dims::from_elem(0, self.rank());
        order.iter().enumerate().for_each(|(i, &d)| back[d] = i);
        let x = self.permute(&order[..]);
        let shape = Dims::from_slice(x.shape());
        let n = numel(&shape[self.rank() - dims.len()..]);
        let lines = x.reshape([(self.numel() / n) as isize, -1]);
        let others = lines.products_before(1) * lines.flip(1).products_before(1).flip(1);
        others.reshape(&shape[..]).permute(&back[..])
    }

    /// `ln Σeˣ` over dimensions, without overflow; all of them for `()`. Derivative: `eˣ⁻ʸ`. Of nothing, it is -∞.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::new([[1000.0, 1000.0]], &Device::cpu()).logsumexp(1, false);
    /// assert!((y.item()? - 1000.693).abs() < 1e-3);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a dimension is out of range or named twice.
    #[track_caller]
    pub fn logsumexp(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        if let Some(x) = self.widened("logsumexp") {
            return x.logsumexp(dims, keepdim);
        }
        let dims = axes("logsumexp", self.shape(), dims);
        let x = if self.dtype().is_float() { self.clone() } else { self.cast(DType::F32) };
        let with_ones = x.kept(&dims);
        let empty = x.count(&dims) == 0.0;
        let sum = |x: Tensor| x.sum_named("SumBackward1", dims.clone(), true);
        let shifted = |x: &Tensor| {
            if empty {
                return sum(x.exp()).log();
            }
            let largest = x.untracked().fold(Fold::Max, &dims, x.dtype());
            // Nothing is to be subtracted from infinities.
            let largest = Tensor::where_(&largest.abs().eq(f64::INFINITY), 0.0, &largest);
            sum((x - &largest).exp()).log() + largest
        };
        let definition = || {
            let y = x.rounded_once(shifted);
            if keepdim { y } else { y.squeezed(&dims) }
        };
        composite("LogsumexpBackward0", &[&x], &[Save::Input(&x), Save::Output], definition, move |call| {
            let [x, y] = call.saved else { unreachable!("both are saved") };
            vec![Some(call.g.reshape(&with_ones[..]) * (x - y.reshape(&with_ones[..])).exp())]
        })
    }

    /// The sum over dimensions of the elements that are numbers, all dimensions for `()`. Derivative: 1, and 0 for NaN.
    ///
    /// # Panics
    /// If a dimension is out of range or named twice.
    #[track_caller]
    pub fn nansum(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        let dims = axes("nansum", self.shape(), dims);
        let _as_given = no_autocast();
        if !self.dtype().is_float() {
            return self.sum_named("NansumBackward0", dims, keepdim);
        }
        let with_ones = self.kept(&dims);
        let definition = || Tensor::where_(&self.isnan(), 0.0, self).sum_named("SumBackward1", dims, keepdim);
        composite("NansumBackward0", &[self], &[Save::Input(self)], definition, move |call| {
            vec![Some(Tensor::where_(&call.saved[0].isnan(), 0.0, call.g.reshape(&with_ones[..])))]
        })
    }

    /// The mean over dimensions of the elements that are numbers, all dimensions for `()`; NaN where none is.
    /// Derivative: 1 over their number, and 0 for NaN.
    ///
    /// # Panics
    /// If the elements are no floats, or a dimension is out of range or named twice.
    #[track_caller]
    pub fn nanmean(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.expect_float("nanmean");
        let dims = axes("nanmean", self.shape(), dims);
        let n = self.isnan().logical_not().sum_named("SumBackward1", dims.clone(), keepdim);
        self.rounded_once(|x| x.nansum(&dims[..], keepdim) / n)
    }

    /// Whether an element is not 0; NaN is not. Of nothing, false.
    #[track_caller]
    pub fn any(&self) -> Tensor {
        self.some(Fold::Max, axes("any", self.shape(), ()), false)
    }

    /// Whether an element is not 0, over dimensions; otherwise as [`Tensor::any`].
    ///
    /// # Panics
    /// If a dimension is out of range or named twice.
    #[track_caller]
    pub fn any_dim(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.some(Fold::Max, axes("any", self.shape(), dims), keepdim)
    }

    /// Whether no element is 0. Of nothing, true.
    #[track_caller]
    pub fn all(&self) -> Tensor {
        self.some(Fold::Min, axes("all", self.shape(), ()), false)
    }

    /// Whether no element is 0, over dimensions; otherwise as [`Tensor::all`].
    ///
    /// # Panics
    /// If a dimension is out of range or named twice.
    #[track_caller]
    pub fn all_dim(&self, dims: impl Ints, keepdim: bool) -> Tensor {
        self.some(Fold::Min, axes("all", self.shape(), dims), keepdim)
    }

    #[track_caller]
    fn some(&self, fold: Fold, dims: Dims, keepdim: bool) -> Tensor {
        let y = self.ne(false).fold(fold, &dims, DType::Bool);
        if keepdim { y } else { y.squeezed(&dims) }
    }

    /// How many elements are not 0 over dimensions, all of them for `()`.
    ///
    /// # Panics
    /// If a dimension is out of range or named twice.
    #[track_caller]
    pub fn count_nonzero(&self, dims: impl Ints) -> Tensor {
        let dims = axes("count_nonzero", self.shape(), dims);
        self.ne(false).sum_named("SumBackward1", dims, false)
    }

    /// The listed dimensions, each of size 1, left out.
    #[track_caller]
    fn squeezed(&self, dims: &[usize]) -> Tensor {
        if dims.is_empty() { self.clone() } else { self.squeeze(dims) }
    }

    /// `f` of the elements in the type that arithmetic runs in, its result rounded back once: inside, a sum of narrow
    /// floats would lose digits and overflow.
    #[track_caller]
    pub(crate) fn rounded_once(&self, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        f(&self.wide()).cast(self.dtype())
    }

    /// The shape after a reduction over `dims` that keeps them.
    pub(crate) fn kept(&self, dims: &[usize]) -> Dims {
        (0..self.rank()).map(|d| if dims.contains(&d) { 1 } else { self.shape()[d] }).collect()
    }

    /// How many elements a reduction over `dims` combines.
    pub(crate) fn count(&self, dims: &[usize]) -> f64 {
        numel(&dims.iter().map(|&d| self.shape()[d]).collect::<Dims>()) as f64
    }

    #[track_caller]
    pub(crate) fn expect_float(&self, op: &str) {
        if !self.dtype().is_float() {
            misuse(op, format!("needs floats, not {} elements of shape {:?}", self.dtype(), self.shape()));
        }
    }
}
