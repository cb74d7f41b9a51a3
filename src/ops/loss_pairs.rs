//! Losses that compare inputs with each other: which should be ahead, or nearer.

use crate::error::misuse;
use crate::ops::distance::pair;
use crate::ops::loss::Reduction;
use crate::tensor::Tensor;

/// What [`Tensor::triplet_margin_loss`] takes besides the three inputs.
#[derive(Clone, Copy, Debug)]
pub struct TripletOptions {
    /// By how much the negative should be farther away than the positive.
    pub margin: f64,
    /// The norm that distances are measured by.
    pub p: f64,
    /// Added to each difference; see [`Tensor::pairwise_distance`].
    pub eps: f64,
    /// Whether the distance from the positive to the negative counts where it is the shorter one.
    pub swap: bool,
    /// How the losses are combined.
    pub reduction: Reduction,
}

impl Default for TripletOptions {
    fn default() -> TripletOptions {
        TripletOptions { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

impl Tensor {
    /// `max(margin - t (x - other), 0)`: whether `x` is ahead of `other` where the target is 1, behind where it is -1.
    /// Derivatives: `-t` and `t` inside the margin, else 0.
    ///
    /// # Panics
    /// If the shapes do not broadcast or no operand holds floats.
    ///
    /// Source: [torch.nn.functional.margin_ranking_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.margin_ranking_loss.html).
    #[track_caller]
    pub fn margin_ranking_loss(&self, other: &Tensor, t: &Tensor, margin: f64, reduction: Reduction) -> Tensor {
        let op = "margin_ranking_loss";
        let (x, other, dtype) = pair(op, self, other);
        let (d, t, _) = pair(op, &(x - other), t);
        reduction.of(&(margin - t * d).relu()).cast(dtype)
    }

    /// `1 - cos` between two vectors where the target is 1, `max(cos - margin, 0)` where it is -1: for inputs
    /// `[n, size]` and targets `[n]`, or `[size]` and `[]`. 1e-12 is added to each squared length.
    ///
    /// # Panics
    /// If the shapes do not fit or no input holds floats.
    ///
    /// Source: [torch.nn.functional.cosine_embedding_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_embedding_loss.html).
    #[track_caller]
    pub fn cosine_embedding_loss(&self, other: &Tensor, t: &Tensor, margin: f64, reduction: Reduction) -> Tensor {
        let op = "cosine_embedding_loss";
        let (a, b, dtype) = pair(op, self, other);
        if !matches!(t.rank(), 0 | 1) || a.rank() != t.rank() + 1 {
            misuse(
                op,
                format!(
                    "needs [n, size] twice and targets [n], not {:?}, {:?} and {:?}",
                    self.shape(),
                    other.shape(),
                    t.shape()
                ),
            );
        }
        let dot = |x: &Tensor, y: &Tensor| (x * y).sum_dim(-1, false);
        let cos = dot(&a, &b) / ((dot(&a, &a) + 1e-12) * (dot(&b, &b) + 1e-12)).sqrt();
        let (cos, t, _) = pair(op, &cos, t);
        let ahead = (&cos - margin).relu();
        let losses = Tensor::where_(&t.eq(1.0), 1.0 - cos, 0.0) + Tensor::where_(&t.eq(-1.0), ahead, 0.0);
        reduction.of(&losses).cast(dtype)
    }

    /// `max(margin + ‖x - p‖ - ‖x - n‖, 0)`: whether the positive example is nearer than the negative one, over the last
    /// dimension.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, TripletOptions};
    /// let dev = Device::cpu();
    /// let x = |x: f64| Tensor::new([[x]], &dev);
    /// let y = x(0.0).triplet_margin_loss(&x(2.0), &x(2.5), TripletOptions { eps: 0.0, ..Default::default() });
    /// assert_eq!(y.item()?, 0.5);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the ranks differ, the shapes do not broadcast, or no input holds floats.
    ///
    /// Source: [torch.nn.functional.triplet_margin_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.triplet_margin_loss.html).
    #[track_caller]
    pub fn triplet_margin_loss(&self, positive: &Tensor, negative: &Tensor, options: TripletOptions) -> Tensor {
        let op = "triplet_margin_loss";
        if self.rank() != positive.rank() || self.rank() != negative.rank() {
            misuse(op, format!("ranks differ: {:?}, {:?} and {:?}", self.shape(), positive.shape(), negative.shape()));
        }
        let (x, p, dtype) = pair(op, self, positive);
        let (x, n, _) = pair(op, &x, negative);
        let distance = |a: &Tensor, b: &Tensor| a.pairwise_distance(b, options.p, options.eps, false);
        let to_negative = match options.swap {
            true => distance(&x, &n).minimum(distance(&p, &n)),
            false => distance(&x, &n),
        };
        let losses = (distance(&x, &p) - to_negative + options.margin).relu();
        options.reduction.of(&losses).cast(dtype)
    }

    /// [`Tensor::triplet_margin_loss`] with a distance of the caller's own: `max(margin + d(x, p) - d(x, n), 0)`.
    #[track_caller]
    pub fn triplet_margin_with_distance_loss(
        &self,
        positive: &Tensor,
        negative: &Tensor,
        distance: impl Fn(&Tensor, &Tensor) -> Tensor,
        margin: f64,
        swap: bool,
        reduction: Reduction,
    ) -> Tensor {
        let mut to_negative = distance(self, negative);
        if swap {
            to_negative = to_negative.minimum(distance(positive, negative));
        }
        reduction.of(&(distance(self, positive) - to_negative + margin).relu())
    }
}
