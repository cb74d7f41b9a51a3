//! Lengths and distances along a dimension: normalising, similarity, distance.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::map::result_type;
use crate::shape::{Dims, Ints, axis, broadcast};
use crate::tensor::Tensor;
use crate::tensor::autocast;
use crate::tensor::node::Save;

impl Tensor {
    /// `y = x / max(‖x‖ₚ, eps)`, the p-norm over `dims`. Derivative: through both; the norm's is 0 where it is below `eps`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[3.0, 4.0], [0.0, 0.0]], &Device::cpu());
    /// assert_eq!(x.normalize(2.0, 1, 1e-12).to_vec::<f32>()?, [0.6, 0.8, 0.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a dimension is out of range or the elements are no floats.
    ///
    /// Source: [torch.nn.functional.normalize](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html).
    #[track_caller]
    pub fn normalize(&self, p: f64, dims: impl Ints, eps: f64) -> Tensor {
        self.expect_float("normalize");
        if let Some(x) = self.widened("normalize") {
            return x.normalize(p, dims, eps);
        }
        let x = self.wide();
        let norm = x.norm_dim(p, dims, true).clamp(eps, f64::INFINITY);
        (x / norm).cast(self.dtype())
    }

    /// `y = Σ a b / (‖a‖ ‖b‖)` over one dimension of the shape both broadcast to, norms below `eps` raised to it.
    /// Derivative: as if no norm were raised; that of a norm is 0 at 0.
    ///
    /// # Panics
    /// If the shapes do not broadcast, the dimension is out of range, or no operand holds floats.
    ///
    /// Source: [torch.nn.functional.cosine_similarity](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_similarity.html).
    #[track_caller]
    pub fn cosine_similarity(&self, b: &Tensor, dim: isize, eps: f64) -> Tensor {
        let (a, b, dtype) = pair("cosine_similarity", self, b);
        let d = axis("cosine_similarity", a.shape(), dim) as isize;
        // Divided before they are multiplied, so that no product overflows.
        let unit = [&a, &b].map(|x| x / x.norm_dim(2.0, d, true).raised(eps));
        (&unit[0] * &unit[1]).sum_dim(d, false).cast(dtype)
    }

    /// `y = ‖a - b + eps‖ₚ` over the last dimension of the shape both broadcast to. Derivative: the p-norm's.
    ///
    /// # Panics
    /// If the shapes do not broadcast or no operand holds floats.
    ///
    /// Source: [torch.nn.functional.pairwise_distance](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pairwise_distance.html).
    #[track_caller]
    pub fn pairwise_distance(&self, b: &Tensor, p: f64, eps: f64, keepdim: bool) -> Tensor {
        let (a, b, dtype) = pair("pairwise_distance", self, b);
        (a - b + eps).norm_dim(p, -1, keepdim).cast(dtype)
    }

    /// The parts along one dimension whose p-norm is above `largest` scaled down to it. Derivative: the norm's included.
    ///
    /// # Panics
    /// If the rank is below 2, the dimension is out of range, or the elements are no floats.
    ///
    /// Source: [torch.renorm](https://docs.pytorch.org/docs/stable/generated/torch.renorm.html).
    #[track_caller]
    pub fn renorm(&self, p: f64, dim: isize, largest: f64) -> Tensor {
        self.expect_float("renorm");
        if let Some(x) = self.widened("renorm") {
            return x.renorm(p, dim, largest);
        }
        let d = axis("renorm", self.shape(), dim);
        if self.rank() < 2 {
            misuse("renorm", format!("needs at least two dimensions, not {:?}", self.shape()));
        }
        let x = self.wide();
        let others: Dims = (0..self.rank()).filter(|&i| i != d).collect();
        let norm = x.norm_dim(p, &others[..], true);
        let factor = Tensor::where_(&norm.gt(largest), largest / (&norm + 1e-7), 1.0);
        (x * factor).cast(self.dtype())
    }

    /// The p-norm distances between the rows of two batches of matrices: `[.., m, k]` and `[.., n, k]` give `[.., m, n]`.
    /// Derivative: the p-norm's, 0 where two rows are equal; for an infinite `p` every largest difference gets it whole.
    ///
    /// # Panics
    /// If the rows differ in length, the batches do not broadcast, the elements are no floats, or `p` is negative.
    ///
    /// Source: [torch.cdist](https://docs.pytorch.org/docs/stable/generated/torch.cdist.html).
    #[track_caller]
    pub fn cdist(&self, b: &Tensor, p: f64) -> Tensor {
        self.expect_float("cdist");
        if let Some(x) = self.widened("cdist") {
            return x.cdist(b, p);
        }
        if self.rank() < 2 || b.rank() < 2 || self.shape()[self.rank() - 1] != b.shape()[b.rank() - 1] {
            misuse("cdist", format!("{:?} and {:?} do not hold rows of one length", self.shape(), b.shape()));
        }
        (self.unsqueeze(-2) - b.unsqueeze(-3)).lengths("cdist", p)
    }

    /// The p-norm distances between the rows of a matrix, each pair once: of row 0 to all later ones, then of row 1, and so
    /// on. Derivative: that of [`Tensor::cdist`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]], &Device::cpu());
    /// assert_eq!(x.pdist(2.0).to_vec::<f32>()?, [5.0, 3.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If this is no matrix of floats, or `p` is negative.
    ///
    /// Source: [torch.nn.functional.pdist](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pdist.html).
    #[track_caller]
    pub fn pdist(&self, p: f64) -> Tensor {
        self.expect_float("pdist");
        if let Some(x) = self.widened("pdist") {
            return x.pdist(p);
        }
        let [n, _] = *self.shape() else { misuse("pdist", format!("{:?} is no matrix", self.shape())) };
        let (from, to): (Vec<usize>, Vec<usize>) = (0..n).flat_map(|i| (i + 1..n).map(move |k| (i, k))).unzip();
        let rows = |places: Vec<usize>| self.index_select(0, &Tensor::new(places, (&self.device(), DType::I32)));
        (rows(from) - rows(to)).lengths("pdist", p)
    }

    /// The p-norms of differences along the last dimension.
    #[track_caller]
    fn lengths(&self, op: &str, p: f64) -> Tensor {
        if p < 0.0 {
            misuse(op, format!("a negative p of {p}"));
        }
        // Nothing is no distance, whatever the norm.
        if self.shape().last() == Some(&0) {
            return self.sum_dim(-1, false);
        }
        if !p.is_infinite() {
            return self.norm_dim(p, -1, false);
        }
        let definition = || self.norm_dim(p, -1, false);
        composite("CdistBackward0", &[self], &[Save::Input(self), Save::Output], definition, |call| {
            let [x, y] = call.saved else { unreachable!("both are saved") };
            let reached = x.abs().eq(y.unsqueeze(-1));
            vec![Some(Tensor::where_(&reached, x.sign() * call.g.unsqueeze(-1), 0.0))]
        })
    }

    /// `max(x, least)` with derivative 1 everywhere.
    #[track_caller]
    pub(crate) fn raised(&self, least: f64) -> Tensor {
        let definition = || self.clamp(least, f64::INFINITY);
        composite("ClampMinBackward0", &[self], &[], definition, |call| vec![Some(call.g.clone())])
    }
}

/// Two operands read in the shape they broadcast to, in the type arithmetic runs in, and the float type of the result.
#[track_caller]
pub(crate) fn pair(op: &str, a: &Tensor, b: &Tensor) -> (Tensor, Tensor, DType) {
    a.expect_same_device(op, b);
    let dtype = result_type([a.into(), b.into()].iter());
    let Some(shape) = broadcast(a.shape(), b.shape()) else {
        misuse(op, format!("shapes do not broadcast: {:?} and {:?}", a.shape(), b.shape()));
    };
    if !dtype.is_float() {
        misuse(op, format!("needs floats, not {} and {}", a.dtype(), b.dtype()));
    }
    let read = |x: &Tensor| x.cast(dtype.compute()).expanded(&shape);
    (read(a), read(b), autocast::result(op, dtype))
}
