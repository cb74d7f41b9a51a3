//! What stands at a place in the order of the elements: medians and quantiles.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::create::full;
use crate::ops::extreme::shared;
use crate::ops::map::Arg;
use crate::shape::{Dims, axes, axis};
use crate::tensor::Tensor;
use crate::tensor::node::Save;
use crate::tensor::profile;

/// What a quantile between two elements is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// On the line between the two.
    #[default]
    Linear,
    /// The smaller one.
    Lower,
    /// The larger one.
    Higher,
    /// The mean of the two.
    Midpoint,
    /// The nearer one; halfway, the one at an even place.
    Nearest,
}

impl Tensor {
    /// The median of all elements: the lower of the two in the middle of an even number, NaN if one is, and for no
    /// elements. Derivative: shared evenly among the elements that equal it.
    #[track_caller]
    pub fn median(&self) -> Tensor {
        self.middle("median", false)
    }

    /// The medians over a dimension, and where they are; otherwise as [`Tensor::median`]. Derivative: 1 for the element
    /// returned.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let (values, indices) = Tensor::new([[3.0, 1.0, 2.0, 4.0]], &Device::cpu()).median_dim(1, false);
    /// assert_eq!((values.to_vec::<f32>()?, indices.to_vec::<i32>()?), (vec![2.0], vec![2]));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or has no elements.
    #[track_caller]
    pub fn median_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        self.middle_along("median_dim", false, dim, keepdim)
    }

    /// The median of all elements that are numbers, NaN where none is; otherwise as [`Tensor::median`].
    #[track_caller]
    pub fn nanmedian(&self) -> Tensor {
        self.middle("nanmedian", true)
    }

    /// The medians over a dimension of the elements that are numbers; otherwise as [`Tensor::median_dim`].
    ///
    /// # Panics
    /// If the dimension is out of range or has no elements.
    #[track_caller]
    pub fn nanmedian_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        self.middle_along("nanmedian_dim", true, dim, keepdim)
    }

    #[track_caller]
    fn middle(&self, op: &str, numbers_only: bool) -> Tensor {
        if self.numel() == 0 {
            self.expect_float(op);
            return full(f64::NAN, Dims::new(), self.dtype(), &self.device());
        }
        let dims = axes(op, self.shape(), ());
        let _operation = profile::operation("median");
        let (y, _) = self.untracked().reshape(-1).middle_along(op, numbers_only, 0, false);
        let (y, over, with_ones) = (y.reshape(&self.kept(&dims)[..]), dims.clone(), self.kept(&dims));
        let name = if numbers_only { "NanmedianBackward0" } else { "MedianBackward0" };
        self.folded(name, y, dims, false, &[Save::Input(self), Save::Output], move |g, saved| {
            shared(g, &saved[0], &saved[1].reshape(&with_ones[..]), &over, true)
        })
    }

    #[track_caller]
    fn middle_along(&self, op: &str, numbers_only: bool, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        let d = axis(op, self.shape(), dim);
        let name = if numbers_only { "NanmedianBackward1" } else { "MedianBackward1" };
        if self.rank() == 0 {
            return self.picked(name, d, full(0.0, Dims::new(), DType::I32, &self.device()), keepdim);
        }
        let n = self.shape()[d];
        if n == 0 {
            misuse(op, format!("{:?} has no elements to compare", self.shape()));
        }
        // NaN is sorted last: the place after all numbers is that of the first one.
        let numbers = self.numbers(d);
        let place = (&numbers - 1).div_trunc(2);
        let place = if numbers_only { place } else { Tensor::where_(&numbers.eq(n), place, numbers) };
        self.picked(name, d, self.untracked().argsort(d as isize, false).gather(d as isize, &place), keepdim)
    }

    /// How many elements along a dimension are numbers.
    #[track_caller]
    fn numbers(&self, d: usize) -> Tensor {
        match self.dtype().is_float() {
            true => self.untracked().isnan().logical_not().sum_dim(d as isize, true),
            false => full(self.shape()[d] as f64, self.kept(&[d]), DType::I32, &self.device()),
        }
    }

    /// The elements that a share `q` of all elements does not exceed, along a dimension or, without one, of all: what
    /// stands at place `q (n - 1)` of the sorted elements, or on the line between its two neighbours. NaN where an element is.
    /// A tensor `q` puts its own dimension first. Derivative: the weights of the two elements.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::new([4.0, 1.0, 2.0, 3.0], &dev);
    /// assert_eq!(x.quantile(0.5, None, false).item()?, 2.5);
    /// assert_eq!(x.quantile(Tensor::new([0.0, 1.0], &dev), 0, false).to_vec::<f32>()?, [1.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// Shares outside 0 to 1 in a tensor `q` are told when the result is read, as in [`Tensor::gather`].
    ///
    /// # Panics
    /// If a number `q` is not from 0 to 1, a tensor `q` has more than one dimension, this tensor holds no floats or has no
    /// elements along the dimension, or the dimension is out of range.
    ///
    /// Source: [torch.quantile](https://docs.pytorch.org/docs/stable/generated/torch.quantile.html).
    #[track_caller]
    pub fn quantile(&self, q: impl Into<Arg>, dim: impl Into<Option<isize>>, keepdim: bool) -> Tensor {
        self.quantiles("quantile", false, q.into(), dim.into(), keepdim, Interpolation::Linear)
    }

    /// [`Tensor::quantile`] with another answer between two elements.
    #[track_caller]
    pub fn quantile_with(
        &self,
        q: impl Into<Arg>,
        dim: impl Into<Option<isize>>,
        keepdim: bool,
        interpolation: Interpolation,
    ) -> Tensor {
        self.quantiles("quantile", false, q.into(), dim.into(), keepdim, interpolation)
    }

    /// [`Tensor::quantile`] of the elements that are numbers; NaN where none is.
    #[track_caller]
    pub fn nanquantile(&self, q: impl Into<Arg>, dim: impl Into<Option<isize>>, keepdim: bool) -> Tensor {
        self.quantiles("nanquantile", true, q.into(), dim.into(), keepdim, Interpolation::Linear)
    }

    /// [`Tensor::nanquantile`] with another answer between two elements.
    #[track_caller]
    pub fn nanquantile_with(
        &self,
        q: impl Into<Arg>,
        dim: impl Into<Option<isize>>,
        keepdim: bool,
        interpolation: Interpolation,
    ) -> Tensor {
        self.quantiles("nanquantile", true, q.into(), dim.into(), keepdim, interpolation)
    }

    #[track_caller]
    fn quantiles(
        &self,
        op: &str,
        numbers_only: bool,
        q: Arg,
        dim: Option<isize>,
        keepdim: bool,
        interpolation: Interpolation,
    ) -> Tensor {
        self.expect_float(op);
        let q = match q {
            Arg::Number(q, _) if !(0.0..=1.0).contains(&q) => misuse(op, format!("{q} is no share from 0 to 1")),
            Arg::Number(q, _) => Tensor::number(q, self.dtype().compute(), &self.device()),
            Arg::Tensor(q) => q.cast(self.dtype().compute()),
        };
        self.expect_same_device(op, &q);
        let d = axis(op, self.shape(), dim.unwrap_or(0));
        let n = if dim.is_some() && self.rank() > 0 { self.shape()[d] } else { self.numel() };
        if n == 0 {
            misuse(op, format!("no elements of {:?} for shares of shape {:?}", self.shape(), q.shape()));
        }
        if q.rank() > 1 {
            misuse(op, format!("shares of shape {:?} are no list", q.shape()));
        }
        // The lines in the last dimension, and the shares in its place in the end.
        let mut kept = Dims::from_elem(1, self.rank());
        let lines = if dim.is_some() && self.rank() > 0 {
            kept = self.kept(&[d]);
            self.transpose(d as isize, -1)
        } else {
            self.reshape(-1)
        };
        let last = lines.rank() - 1;
        let numbers = lines.numbers(last);
        let ends = (&numbers - 1).maximum(0).cast(q.dtype());
        let ranks = q.reshape(-1) * ends;
        let ranks = if numbers_only { ranks } else { Tensor::where_(&numbers.eq(n), ranks, (n - 1) as f64) };
        let order = lines.untracked().argsort(-1, false);
        let at = |rank: Tensor| lines.gather(-1, &order.gather(-1, &rank.untracked().cast(DType::I32)));
        let y = match interpolation {
            Interpolation::Lower => at(ranks.floor()),
            Interpolation::Higher => at(ranks.ceil()),
            Interpolation::Nearest => at(ranks.round()),
            Interpolation::Linear | Interpolation::Midpoint => {
                let (below, above) = (at(ranks.floor()), at(ranks.ceil()));
                let weight = match interpolation {
                    Interpolation::Linear => &ranks - ranks.untracked().floor(),
                    _ => ranks.untracked().full_like(0.5),
                };
                // Rounded once, where elements are narrow and ranks are not.
                (&below + (above - &below) * weight).cast(self.dtype())
            }
        };
        let rank = y.rank() as isize;
        let d = if rank > 1 { d as isize } else { 0 };
        let y = y.transpose(d, -1);
        let mut order: Vec<isize> = (0..rank).filter(|&i| i != d).collect();
        order.insert(0, d);
        if !keepdim {
            kept = (0..kept.len()).filter(|&i| dim.is_some() && i as isize != d).map(|i| kept[i]).collect();
        }
        y.permute(order).reshape([q.shape(), &kept].concat())
    }
}
