//! Scans: what has run up to every element of a dimension.

use crate::dtype::DType;
use crate::ops::composite::composite;
use crate::ops::create::full;
use crate::ops::map::{cast_operand, record_value};
use crate::ops::op::{Op, Scan};
use crate::shape::{Dims, Layout, axis};
use crate::tensor::Tensor;
use crate::tensor::node::{Save, record};
use crate::tensor::profile;
use crate::tensor::value::{Operand, Operands};

impl Tensor {
    /// The sums of the elements of a dimension up to each of them, `y_k = Σ x_j` for `j ≤ k`; of bools, how many are true.
    /// Derivative: the sums from the other end.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1.0, 2.0, 3.0]], &Device::cpu());
    /// assert_eq!(x.cumsum(1).to_vec::<f32>()?, [1.0, 3.0, 6.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range.
    #[track_caller]
    pub fn cumsum(&self, dim: isize) -> Tensor {
        if let Some(x) = self.widened("cumsum") {
            return x.cumsum(dim);
        }
        let d = axis("cumsum", self.shape(), dim);
        let x = self.counted();
        if x.is_short(d) {
            return x.copy();
        }
        let mut shape = Dims::from_slice(x.shape());
        shape[d] -= 1;
        let _operation = profile::operation("cumsum");
        let y = scan(Scan::Linear, &[&x, &full(1.0, shape, x.dtype(), &x.device())], d);
        let d = d as isize;
        record(y, "CumsumBackward0", &[&x], &[], move |call| vec![Some(call.g.flip(d).cumsum(d).flip(d))])
    }

    /// The products of the elements of a dimension up to each of them, `y_k = Π x_j` for `j ≤ k`. Derivative:
    /// `y_{k-1} s_k` with `s_k = g_k + x_{k+1} s_{k+1}`, which is exact where elements are 0.
    ///
    /// # Panics
    /// If the dimension is out of range.
    #[track_caller]
    pub fn cumprod(&self, dim: isize) -> Tensor {
        if let Some(x) = self.widened("cumprod") {
            return x.cumprod(dim);
        }
        let d = axis("cumprod", self.shape(), dim);
        let x = self.counted();
        if x.is_short(d) {
            return x.copy();
        }
        let (n, dim) = (x.shape()[d], d as isize);
        let links = move |x: &Tensor| x.narrow(dim, 1, n - 1);
        let definition = || {
            // The recurrence starts from the first element, and nothing is added later.
            let first = x.narrow(dim, 0, 1);
            Tensor::cat(&[first, links(&x).untracked().zeros_like()], dim).linear_scan(&links(&x), d)
        };
        composite("CumprodBackward0", &[&x], &[Save::Input(&x), Save::Output], definition, move |call| {
            let [x, y] = call.saved else { unreachable!("both are saved") };
            let s = call.g.flip(dim).linear_scan(&links(x).flip(dim), d).flip(dim);
            let zeros = x.eq(0.0).cumsum(dim).gt(0);
            let sums = (call.g * y).flip(dim).cumsum(dim).flip(dim);
            vec![Some((s * y.one_later(d)).or_quotient(&sums, x, &zeros))]
        })
    }

    /// The products of the elements of a dimension before each of them; 1 for the first.
    #[track_caller]
    pub(crate) fn products_before(&self, d: usize) -> Tensor {
        self.cumprod(d as isize).one_later(d)
    }

    /// The elements of a dimension moved by one place, the first one being 1.
    #[track_caller]
    fn one_later(&self, d: usize) -> Tensor {
        let dim = d as isize;
        let first = self.untracked().narrow(dim, 0, 1).ones_like();
        Tensor::cat(&[first, self.narrow(dim, 0, self.shape()[d] - 1)], dim)
    }

    /// `y_0 = x_0`, then `y_k = a_{k-1} y_{k-1} + x_k` along a dimension, for links `a` of one element less.
    /// Derivatives: `s_k = g_k + a_k s_{k+1}` for `x`, and `s_{k+1} y_k` for `a`.
    ///
    /// Source: [Martin and Cundy 2018](https://arxiv.org/abs/1709.04057), who differentiate it so.
    #[track_caller]
    pub(crate) fn linear_scan(&self, links: &Tensor, d: usize) -> Tensor {
        if self.is_short(d) {
            return self.copy();
        }
        let _operation = profile::operation("linear_scan");
        let y = scan(Scan::Linear, &[self, links], d);
        let (n, dim) = (self.shape()[d], d as isize);
        record(y, "LinearScanBackward0", &[self, links], &[Save::Input(links), Save::Output], move |call| {
            let [links, y] = call.saved else { unreachable!("both are saved") };
            let s = call.g.flip(dim).linear_scan(&links.flip(dim), d).flip(dim);
            let slope = call.needs[1].then(|| s.narrow(dim, 1, n - 1) * y.narrow(dim, 0, n - 1));
            vec![Some(s), slope]
        })
    }

    /// `y_k = ln Σ exp x_j` for `j ≤ k` along a dimension, without overflow. Derivative: `exp(x_k - y_k) r_k` with
    /// `r_k = g_k + exp(y_k - y_{k+1}) r_{k+1}`, where no factor exceeds 1.
    ///
    /// # Panics
    /// If the dimension is out of range or the elements are no floats.
    #[track_caller]
    pub fn logcumsumexp(&self, dim: isize) -> Tensor {
        self.expect_float("logcumsumexp");
        let d = axis("logcumsumexp", self.shape(), dim);
        if self.is_short(d) {
            return self.copy();
        }
        let _operation = profile::operation("logcumsumexp");
        let y = scan(Scan::LogAddExp, &[self], d);
        let (n, dim) = (self.shape()[d], d as isize);
        record(y, "LogcumsumexpBackward0", &[self], &[Save::Input(self), Save::Output], move |call| {
            let [x, y] = call.saved else { unreachable!("both are saved") };
            let (before, after) = (y.narrow(dim, 0, n - 1), y.narrow(dim, 1, n - 1));
            // Two infinities that follow each other do not differ.
            let links = Tensor::where_(&before.eq(&after), 1.0, (before - after).exp());
            let r = call.g.flip(dim).linear_scan(&links.flip(dim), d).flip(dim);
            vec![Some((x - y).exp() * r)]
        })
    }

    /// The largest element of a dimension up to each one, and where it is: the last of equal ones. NaN is the largest.
    /// Derivative: 1 for the element returned.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let (values, indices) = Tensor::new([1.0, 3.0, 2.0, 3.0], &Device::cpu()).cummax(0);
    /// assert_eq!(values.to_vec::<f32>()?, [1.0, 3.0, 3.0, 3.0]);
    /// assert_eq!(indices.to_vec::<i32>()?, [0, 1, 1, 3]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range.
    #[track_caller]
    pub fn cummax(&self, dim: isize) -> (Tensor, Tensor) {
        self.running("cummax", "CummaxBackward0", Scan::Max, dim)
    }

    /// The smallest element of a dimension up to each one, and where it is; NaN is the smallest. Otherwise as
    /// [`Tensor::cummax`].
    #[track_caller]
    pub fn cummin(&self, dim: isize) -> (Tensor, Tensor) {
        self.running("cummin", "CumminBackward0", Scan::Min, dim)
    }

    #[track_caller]
    fn running(&self, op: &str, name: &'static str, kind: Scan, dim: isize) -> (Tensor, Tensor) {
        let d = axis(op, self.shape(), dim);
        if self.is_short(d) {
            return (self.copy(), full(0.0, Dims::from_slice(self.shape()), DType::I32, &self.device()));
        }
        let x = self.untracked();
        let extreme = scan(kind, &[&x], d);
        // What equals the extreme so far is where it was found last.
        let indices = scan(Scan::Max, &[&Tensor::where_(&x.same(&extreme), x.places_along(d), 0)], d);
        (self.gathered(name, d as isize, &indices, true), indices)
    }

    /// Bools as integers, whose sums count them.
    #[track_caller]
    fn counted(&self) -> Tensor {
        if self.dtype() == DType::Bool { self.cast(DType::I32) } else { self.clone() }
    }

    /// Whether nothing runs along a dimension.
    fn is_short(&self, d: usize) -> bool {
        self.rank() == 0 || self.shape()[d] <= 1
    }
}

/// The value of a scan along a dimension of more than one element.
#[track_caller]
fn scan(kind: Scan, operands: &[&Tensor], d: usize) -> Tensor {
    let x = operands[0];
    let compute = match x.dtype() {
        DType::Bool => DType::I32,
        dtype => dtype.compute(),
    };
    let mut order: Dims = (0..x.rank()).filter(|&i| i != d).collect();
    order.push(d);
    let mut back: Dims = (0..x.rank() - 1).collect();
    back.insert(d, x.rank() - 1);
    let mut lines = Operands::new();
    for operand in operands {
        let operand = cast_operand(operand.operand(), compute);
        lines.push(Operand { layout: operand.layout.permute(&order), value: operand.value });
    }
    let shape: Dims = order.iter().map(|&d| x.shape()[d]).collect();
    let y = Tensor::from_value(record_value(Op::Scan(kind), lines, shape.clone(), compute, &x.device()));
    let y = y.cast_value(x.dtype());
    y.alias(Layout::contiguous(&shape).permute(&back))
}
