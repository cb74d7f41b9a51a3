//! Calculus on samples: differences and integrals along a dimension.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::create::full;
use crate::ops::map::Arg;
use crate::shape::{Dims, Ints, axes, axis};
use crate::tensor::Tensor;

impl Tensor {
    /// The differences of neighbours along a dimension, `x_{k+1} - x_k`, taken `n` times; of bools, whether they differ.
    /// Derivative: that of the differences. What PyTorch prepends and appends is joined by [`Tensor::cat`] before.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1, 4, 9, 16], &Device::cpu());
    /// assert_eq!(x.diff(1, -1).to_vec::<i32>()?, [3, 5, 7]);
    /// assert_eq!(x.diff(2, -1).to_vec::<i32>()?, [2, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or this tensor is 0-d.
    #[track_caller]
    pub fn diff(&self, n: usize, dim: isize) -> Tensor {
        let d = axis("diff", self.shape(), dim);
        if self.rank() == 0 {
            misuse("diff", "a 0-d tensor has no dimensions");
        }
        let mut x = if n == 0 { self.copy() } else { self.clone() };
        for _ in 0..n.min(self.shape()[d]) {
            let (before, after) = x.neighbours(d);
            x = if x.dtype() == DType::Bool { after.ne(before) } else { after - before };
        }
        x
    }

    /// All elements of a dimension but the last one, and all but the first one.
    #[track_caller]
    fn neighbours(&self, d: usize) -> (Tensor, Tensor) {
        let (dim, n) = (d as isize, self.shape()[d]);
        (self.narrow(dim, 0, n.saturating_sub(1)), self.narrow(dim, n.min(1), n.saturating_sub(1)))
    }

    /// The slopes of a function known at samples, along each of some dimensions, all of them for `()`: between two samples
    /// the difference quotient, at a sample the mean of its neighbours', the nearer one weighing more; at the ends the
    /// quotient itself or, for an `edge_order` of 2, as a parabola through three samples has it. `spacing` is for every
    /// dimension the distance of samples or a list of their places, one distance for all dimensions, or empty for 1.
    /// Derivative: that of the quotients.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1.0, 4.0, 9.0, 16.0], &Device::cpu());
    /// assert_eq!(x.gradient(&[], (), 1)[0].to_vec::<f32>()?, [3.0, 4.0, 6.0, 7.0]);
    /// assert_eq!(x.gradient(&[2.0.into()], 0, 2)[0].to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a dimension is out of range, named twice, or not larger than `edge_order`, which must be 1 or 2; or the spacing
    /// does not fit.
    ///
    /// Source: [torch.gradient](https://docs.pytorch.org/docs/stable/generated/torch.gradient.html).
    #[track_caller]
    pub fn gradient(&self, spacing: &[Arg], dims: impl Ints, edge_order: usize) -> Vec<Tensor> {
        let op = "gradient";
        let dims = dims.ints();
        // All of them, or checked; in the order in which they are named.
        let all = axes(op, self.shape(), &dims[..]);
        let dims = if dims.is_empty() { all } else { dims.iter().map(|&d| axis(op, self.shape(), d)).collect() };
        let one_for_all = matches!(spacing, [Arg::Number(..)]);
        if !spacing.is_empty() && spacing.len() != dims.len() && !one_for_all {
            misuse(op, format!("a spacing for {} of {} dimensions of {:?}", spacing.len(), dims.len(), self.shape()));
        }
        let dtype = if self.dtype().is_float() { self.dtype() } else { DType::F32 };
        let x = self.cast(dtype.compute());
        let mut slopes = Vec::new();
        for (i, &d) in dims.iter().enumerate() {
            let n = x.shape()[d];
            if !(1..=2).contains(&edge_order) || n <= edge_order {
                misuse(op, format!("an edge order of {edge_order} along dimension {d} of {:?}", x.shape()));
            }
            let mut shape = Dims::from_elem(1, x.rank());
            shape[d] = n - 1;
            let steps = match spacing.get(if one_for_all { 0 } else { i }) {
                None => full(1.0, shape, x.dtype(), &x.device()),
                Some(Arg::Number(distance, _)) => full(*distance, shape, x.dtype(), &x.device()),
                Some(Arg::Tensor(places)) => {
                    let places = places.cast(x.dtype());
                    if places.shape() != [n] {
                        let (places, samples) = (places.shape(), x.shape());
                        misuse(op, format!("places {places:?} do not fit samples {samples:?} along dimension {d}"));
                    }
                    places.diff(1, 0).reshape(&shape[..])
                }
            };
            slopes.push(x.slopes_along(d, &steps, edge_order).cast(dtype));
        }
        slopes
    }

    /// The slopes at samples `steps` apart along a dimension.
    #[track_caller]
    fn slopes_along(&self, d: usize, steps: &Tensor, edge_order: usize) -> Tensor {
        let dim = d as isize;
        let between = self.diff(1, dim) / steps;
        let (left, right) = between.neighbours(d);
        let (before, after) = steps.neighbours(d);
        let inner = (&right * &before + &left * &after) / (before + after);
        let last = self.shape()[d] - 2;
        let edge = |at: usize, next: usize| {
            let [slope, step] = [&between, steps].map(|x| x.narrow(dim, at, 1));
            if edge_order == 1 {
                return slope;
            }
            let (bend, far) = (&slope - between.narrow(dim, next, 1), &step + steps.narrow(dim, next, 1));
            slope + bend * (step / far)
        };
        Tensor::cat(&[edge(0, 1), inner, edge(last, last.saturating_sub(1))], dim)
    }

    /// The integral over a dimension by the trapezoidal rule, `Σ (y_{k+1} + y_k) (x_{k+1} - x_k) / 2`: `x` is the distance
    /// of all samples, or a tensor of their places, one for every sample. Derivative: that of the sum.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::new([1.0, 5.0, 10.0], &dev);
    /// assert_eq!(y.trapezoid(2.0, -1).item()?, 21.0);
    /// assert_eq!(y.trapezoid(Tensor::new([1.0, 3.0, 6.0], &dev), -1).item()?, 28.5);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range, this tensor is 0-d, or the places do not fit.
    ///
    /// Source: [torch.trapezoid](https://docs.pytorch.org/docs/stable/generated/torch.trapezoid.html).
    #[track_caller]
    pub fn trapezoid(&self, x: impl Into<Arg>, dim: isize) -> Tensor {
        let d = axis("trapezoid", self.shape(), dim) as isize - self.rank() as isize;
        self.trapezoids("trapezoid", x.into(), d).sum_dim(d, false)
    }

    /// The integrals over a dimension up to each sample after the first; otherwise as [`Tensor::trapezoid`].
    #[track_caller]
    pub fn cumulative_trapezoid(&self, x: impl Into<Arg>, dim: isize) -> Tensor {
        let d = axis("cumulative_trapezoid", self.shape(), dim) as isize - self.rank() as isize;
        self.trapezoids("cumulative_trapezoid", x.into(), d).cumsum(d)
    }

    /// The areas between neighbours along dimension `dim`, counted from the end since places may have fewer dimensions.
    #[track_caller]
    fn trapezoids(&self, op: &str, x: Arg, dim: isize) -> Tensor {
        if self.rank() == 0 {
            misuse(op, "a 0-d tensor has no dimensions");
        }
        let d = (dim + self.rank() as isize) as usize;
        let (before, after) = self.neighbours(d);
        let x = match x {
            Arg::Number(distance, _) => return (before + after) * (distance / 2.0),
            Arg::Tensor(x) => x,
        };
        // A list of places belongs to the dimension, wherever it is.
        let places = if x.rank() == 1 && dim < -1 {
            let mut shape = vec![1; dim.unsigned_abs()];
            shape[0] = x.numel();
            x.reshape(shape)
        } else {
            x.clone()
        };
        let at = places.rank() as isize + dim;
        if at < 0 || places.shape()[at as usize] != self.shape()[d] {
            misuse(op, format!("places {:?} do not fit samples {:?} along dimension {d}", x.shape(), self.shape()));
        }
        let (left, right) = places.neighbours(at as usize);
        (before + after) * (right - left) / 2.0
    }
}
