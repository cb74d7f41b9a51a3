//! Losses over classes: one score for each class, and which class it should have been.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::distance::pair;
use crate::ops::loss::{Reduction, weighted};
use crate::ops::ranges::iota;
use crate::shape::Dims;
use crate::tensor::Tensor;

/// What [`Tensor::cross_entropy_with`] takes besides logits and target.
#[derive(Clone, Debug)]
pub struct CrossEntropyOptions {
    /// A factor for each class.
    pub weight: Option<Tensor>,
    /// The target that counts for nothing; -100 by default.
    pub ignore_index: i32,
    /// How the losses are combined. The mean of targets that are classes divides by the sum of their weights.
    pub reduction: Reduction,
    /// The share of the target that is spread evenly over all classes.
    pub label_smoothing: f64,
}

impl Default for CrossEntropyOptions {
    fn default() -> CrossEntropyOptions {
        CrossEntropyOptions { weight: None, ignore_index: -100, reduction: Reduction::Mean, label_smoothing: 0.0 }
    }
}

/// What [`Tensor::nll_loss_with`] takes besides log-probabilities and target.
#[derive(Clone, Debug)]
pub struct NllOptions {
    /// A factor for each class.
    pub weight: Option<Tensor>,
    /// The target that counts for nothing; -100 by default.
    pub ignore_index: i32,
    /// How the losses are combined. The mean divides by the sum of the targets' weights.
    pub reduction: Reduction,
}

impl Default for NllOptions {
    fn default() -> NllOptions {
        NllOptions { weight: None, ignore_index: -100, reduction: Reduction::Mean }
    }
}

/// What [`Tensor::multi_margin_loss`] takes besides scores and target.
#[derive(Clone, Debug)]
pub struct MultiMarginOptions {
    /// The power, 1 or 2.
    pub p: u32,
    /// By how much the score of the right class should be ahead.
    pub margin: f64,
    /// A factor for each class.
    pub weight: Option<Tensor>,
    /// How the losses are combined.
    pub reduction: Reduction,
}

impl Default for MultiMarginOptions {
    fn default() -> MultiMarginOptions {
        MultiMarginOptions { p: 1, margin: 1.0, weight: None, reduction: Reduction::Mean }
    }
}

/// Targets that are classes: which of them count, and the weight of each.
struct Targets {
    /// Their places along the dimension of classes, 0 for one that does not count.
    index: Tensor,
    counted: Tensor,
    /// The weight of each, 0 for one that does not count.
    weight: Tensor,
}

impl Tensor {
    /// The mean cross entropy between logits and classes: `-mean(log_softmax(x)[t])`, targets of -100 left out.
    ///
    /// The classes are dimension 1 of `[n, classes, …]` (dimension 0 of `[classes]`); `t` holds integers and has the
    /// logits' shape without it, or holds probabilities and has the logits' shape. The mean of no targets is NaN, with
    /// gradient 0. Derivative: `softmax(x) - t`, with `t` as probabilities, divided by their number.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let loss = Tensor::new([[2.0, 0.0], [0.0, 0.0]], &dev).cross_entropy(&Tensor::new([0, 1], &dev));
    /// assert!((loss.item()? - (0.126928 + 0.693147) / 2.0).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// A class out of range is told when the result is read.
    ///
    /// # Panics
    /// If the shapes do not fit, or the target holds neither integers nor floats.
    ///
    /// Source: [torch.nn.functional.cross_entropy](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html).
    #[track_caller]
    pub fn cross_entropy(&self, t: &Tensor) -> Tensor {
        self.cross_entropy_with(t, CrossEntropyOptions::default())
    }

    /// [`Tensor::cross_entropy`] with weights for the classes, an index to ignore, smoothed labels, and another reduction.
    ///
    /// ```
    /// use wgrad::{CrossEntropyOptions, Device, Reduction, Tensor};
    /// let dev = Device::cpu();
    /// let (x, t) = (Tensor::zeros([2, 4], &dev), Tensor::new([3, 1], &dev));
    /// let options = CrossEntropyOptions { ignore_index: 1, reduction: Reduction::None, ..Default::default() };
    /// assert_eq!(x.cross_entropy_with(&t, options).to_vec::<f32>()?, [4f32.ln(), 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the smoothing is not between 0 and 1, weights have not one element for each class, an index is to be ignored
    /// among probabilities, or as [`Tensor::cross_entropy`].
    #[track_caller]
    pub fn cross_entropy_with(&self, t: &Tensor, options: CrossEntropyOptions) -> Tensor {
        let op = "cross_entropy";
        if let Some(x) = self.widened(op) {
            return x.cross_entropy_with(t, options);
        }
        let CrossEntropyOptions { weight, ignore_index, reduction, label_smoothing } = options;
        let d = self.class_dim(op, t);
        if !(0.0..=1.0).contains(&label_smoothing) {
            misuse(op, format!("a label smoothing of {label_smoothing} is not between 0 and 1"));
        }
        let classes = self.size(d);
        let x = self.wide().log_softmax(d);
        let class_weight = self.class_weight(op, weight.as_ref(), d);
        let by_class = |x: Tensor| match &class_weight {
            Some(w) => x * w,
            None => x,
        };
        if t.dtype().is_float() {
            if ignore_index >= 0 {
                misuse(op, "no index can be ignored where the target holds probabilities");
            }
            let mut t = t.cast(x.dtype());
            if label_smoothing > 0.0 {
                t = t * (1.0 - label_smoothing) + label_smoothing / classes as f64;
            }
            let losses = -by_class(x * t).sum_dim(d, false);
            return reduction.of(&losses).cast(self.dtype());
        }
        let targets = self.targets(t, d, class_weight.as_ref(), ignore_index);
        let mut losses = targets.losses(&x, d);
        if label_smoothing > 0.0 {
            let all = Tensor::where_(&targets.counted, -by_class(x).sum_dim(d, false), 0.0);
            losses = losses * (1.0 - label_smoothing) + all * (label_smoothing / classes as f64);
        }
        targets.reduce(losses, reduction).cast(self.dtype())
    }

    /// The mean of `-x[t]` for log-probabilities `x`: the second half of [`Tensor::cross_entropy`], which see for shapes.
    ///
    /// # Errors
    /// A class out of range is told when the result is read.
    ///
    /// # Panics
    /// If the shapes do not fit, or the target holds no integers.
    ///
    /// Source: [torch.nn.functional.nll_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.nll_loss.html).
    #[track_caller]
    pub fn nll_loss(&self, t: &Tensor) -> Tensor {
        self.nll_loss_with(t, NllOptions::default())
    }

    /// [`Tensor::nll_loss`] with weights for the classes, an index to ignore, and another reduction.
    ///
    /// # Panics
    /// If weights have not one element for each class, or as [`Tensor::nll_loss`].
    #[track_caller]
    pub fn nll_loss_with(&self, t: &Tensor, options: NllOptions) -> Tensor {
        if let Some(x) = self.widened("nll_loss") {
            return x.nll_loss_with(t, options);
        }
        let d = self.class_dim("nll_loss", t);
        let weight = self.class_weight("nll_loss", options.weight.as_ref(), d);
        let targets = self.targets(t, d, weight.as_ref(), options.ignore_index);
        let losses = targets.losses(&self.wide(), d);
        targets.reduce(losses, options.reduction).cast(self.dtype())
    }

    /// `Σ w[t] max(margin - x[t] + x[j], 0)ᵖ / classes` over all classes `j` but the target, for scores `[n, classes]` and
    /// targets `[n]`, or `[classes]` and `[]`.
    ///
    /// # Errors
    /// A class out of range is told when the result is read.
    ///
    /// # Panics
    /// If the shapes do not fit, the target holds no integers, or `p` is neither 1 nor 2.
    ///
    /// Source: [torch.nn.functional.multi_margin_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multi_margin_loss.html).
    #[track_caller]
    pub fn multi_margin_loss(&self, t: &Tensor, options: MultiMarginOptions) -> Tensor {
        let op = "multi_margin_loss";
        if let Some(x) = self.widened(op) {
            return x.multi_margin_loss(t, options);
        }
        if self.rank() < 2 && t.numel() == 1 && (self.rank() == 0 || t.rank() == 1) {
            // One score is a list of one, and one target as well.
            return self.reshape([-1]).multi_margin_loss(&t.reshape(()), options);
        }
        let d = self.class_dim(op, t);
        if self.rank() > 2 || !matches!(options.p, 1 | 2) {
            misuse(op, format!("needs scores [n, classes] and p 1 or 2, not {:?} and {}", self.shape(), options.p));
        }
        let weight = self.class_weight(op, options.weight.as_ref(), d);
        // No index is left out: a negative one is out of range.
        let targets = self.targets(t, d, weight.as_ref(), i32::MIN);
        let x = self.wide();
        let ahead = (options.margin - x.gather(d, &targets.index) + &x).relu();
        let ahead = if options.p == 2 { &ahead * &ahead } else { ahead };
        let others = iota(self.size(d), &self.device()).ne(&targets.index);
        let losses = Tensor::where_(&others, ahead, 0.0).sum_dim(d, false) * targets.weight;
        options.reduction.of(&(losses / self.size(d))).cast(self.dtype())
    }

    /// `ΣΣ max(1 - x[t] + x[j], 0) / classes` over the target classes `t` and the others `j`, for scores `[n, classes]` or
    /// `[classes]` and targets of the same shape, which list classes up to the first -1.
    ///
    /// # Panics
    /// If the shapes do not fit, or the target holds no integers.
    ///
    /// Source: [torch.nn.functional.multilabel_margin_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multilabel_margin_loss.html).
    #[track_caller]
    pub fn multilabel_margin_loss(&self, t: &Tensor, reduction: Reduction) -> Tensor {
        let op = "multilabel_margin_loss";
        self.expect_float(op);
        if let Some(x) = self.widened(op) {
            return x.multilabel_margin_loss(t, reduction);
        }
        self.expect_same_device(op, t);
        if self.rank() == 0 && t.rank() == 0 {
            return self.reshape(1).multilabel_margin_loss(&t.reshape(1), reduction);
        }
        if !matches!(self.rank(), 1 | 2) || self.shape() != t.shape() || !is_index(t) {
            misuse(
                op,
                format!(
                    "needs [n, classes] and integers of that shape, not {:?} and {} ones of {:?}",
                    self.shape(),
                    t.dtype(),
                    t.shape()
                ),
            );
        }
        let classes = self.size(-1);
        if self.numel() == 0 {
            return reduction.of(&self.sum_dim(-1, false));
        }
        let x = self.wide();
        let place = iota(classes, &self.device());
        let end = Tensor::where_(&t.lt(0), &place, classes).amin(-1, true);
        let listed = place.lt(end);
        let index = Tensor::where_(&listed, t, 0);
        let is_target = x.untracked().zeros_like().scatter_add(-1, &index, &listed.cast(x.dtype())).gt(0.0);
        let ahead = (1.0 - x.gather(-1, &index).unsqueeze(-1) + x.unsqueeze(-2)).relu();
        let counted = listed.unsqueeze(-1).logical_and(is_target.logical_not().unsqueeze(-2));
        let losses = Tensor::where_(&counted, ahead, 0.0).sum_dim([-1, -2], false) / classes;
        reduction.of(&losses).cast(self.dtype())
    }

    /// `-mean(w (t ln σ(x) + (1 - t) ln σ(-x)))` over the classes, the last dimension, for targets 0 and 1.
    ///
    /// # Panics
    /// If the shapes do not broadcast or no operand holds floats.
    ///
    /// Source: [torch.nn.functional.multilabel_soft_margin_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multilabel_soft_margin_loss.html).
    #[track_caller]
    pub fn multilabel_soft_margin_loss(&self, t: &Tensor, weight: Option<&Tensor>, reduction: Reduction) -> Tensor {
        let op = "multilabel_soft_margin_loss";
        let (x, t, dtype) = pair(op, self, t);
        let losses = (&t - 1.0) * (-&x).logsigmoid() - t * x.logsigmoid();
        reduction.of(&weighted(op, losses, weight).mean_dim(-1, false)).cast(dtype)
    }

    /// The dimension of classes; floats may be targets only for cross entropy.
    #[track_caller]
    fn class_dim(&self, op: &str, t: &Tensor) -> isize {
        self.expect_float(op);
        self.expect_same_device(op, t);
        if self.rank() == 0 {
            misuse(op, "scores need a dimension of classes, and have shape []");
        }
        let d = self.rank().min(2) - 1;
        let probabilities = op == "cross_entropy" && t.dtype().is_float() && self.shape() == t.shape();
        if !probabilities && (!is_index(t) || *t.shape() != self.without(d)[..]) {
            misuse(
                op,
                format!(
                    "scores {:?} want integer targets of shape {:?}, not {} ones of {:?}",
                    self.shape(),
                    self.without(d).as_slice(),
                    t.dtype(),
                    t.shape()
                ),
            );
        }
        d as isize
    }

    fn without(&self, d: usize) -> Dims {
        (0..self.rank()).filter(|&i| i != d).map(|i| self.shape()[i]).collect()
    }

    /// A weight for each class, in a shape that broadcasts to the scores'.
    #[track_caller]
    fn class_weight(&self, op: &str, weight: Option<&Tensor>, d: isize) -> Option<Tensor> {
        let w = weight?;
        self.expect_same_device(op, w);
        if *w.shape() != [self.size(d)] || !w.dtype().is_float() {
            misuse(
                op,
                format!("the weight of {} classes has shape {:?} and type {}", self.size(d), w.shape(), w.dtype()),
            );
        }
        let mut like = Dims::from_elem(1, self.rank());
        like[d as usize] = self.size(d);
        Some(w.wide().reshape(&like[..]))
    }

    /// The targets along the dimension of classes.
    #[track_caller]
    fn targets(&self, t: &Tensor, d: isize, weight: Option<&Tensor>, ignore_index: i32) -> Targets {
        let t = t.cast(DType::I32);
        let counted = t.ne(ignore_index);
        let index = Tensor::where_(&counted, t, 0).unsqueeze(d);
        let weight = match weight {
            Some(w) => w.expand(self.shape()).gather(d, &index).squeeze(d),
            None => Tensor::ones((), (&self.device(), self.dtype().compute())),
        };
        let weight = Tensor::where_(&counted, weight, 0.0);
        Targets { index, counted, weight }
    }
}

impl Targets {
    /// `-w x[t]` for each target, 0 for one that does not count.
    #[track_caller]
    fn losses(&self, x: &Tensor, d: isize) -> Tensor {
        let picked = x.gather(d, &self.index).squeeze(d);
        -Tensor::where_(&self.counted, picked, 0.0) * &self.weight
    }

    /// The mean divides by the weights of what counts.
    #[track_caller]
    fn reduce(&self, losses: Tensor, reduction: Reduction) -> Tensor {
        match reduction {
            Reduction::Mean => losses.sum() / self.weight.sum(),
            Reduction::Sum | Reduction::BatchMean | Reduction::None => reduction.of(&losses),
        }
    }
}

fn is_index(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::I32 | DType::U32)
}
