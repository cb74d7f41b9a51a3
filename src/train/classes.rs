//! Accuracy, precision, recall and F1 of a classifier: fractions of how often each class was right, read, and there.

use super::metric::{Metric, State, wide};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result, misuse};
use crate::tensor::Tensor;

/// How one number is made of the scores of all classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Average {
    /// The counts of all classes are added up first, so every sample counts alike.
    #[default]
    Micro,
    /// The mean of the classes' scores, without classes that neither targets nor predictions have.
    Macro,
    /// Their mean, weighted with how many samples are of a class.
    Weighted,
}

/// What a sample may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    /// 0 or 1, which a score above the threshold is.
    Binary { threshold: f64 },
    /// One of so many classes.
    Multiclass(usize),
}

/// A metric that is a fraction of counts by class: [`Accuracy`], [`Precision`], [`Recall`] or [`F1Score`].
///
/// Of a binary classifier, predictions `[…]` are labels, probabilities, or, if any lies outside of `[0, 1]`, logits, of which
/// the sigmoid is taken; the score is that of class 1. Of several classes, predictions are labels `[n, …]` or scores
/// `[n, C, …]`, and targets `[n, …]`. Counts are exact: 12 bytes for each class on the device. A label that is no class is an error of
/// [`Metric::compute`].
///
/// Source: [torchmetrics.classification.StatScores](https://lightning.ai/docs/torchmetrics/stable/classification/stat_scores.html).
pub struct StatScores {
    row: &'static Row,
    task: Task,
    average: Average,
    top_k: usize,
    ignore_index: Option<i32>,
    zero_division: f64,
    state: State,
}

/// How often a class was read where it is, was read, and is.
#[derive(Clone, Copy, Default)]
struct Counts {
    right: f64,
    read: f64,
    there: f64,
}

/// A fraction of counts: numerator and denominator, and whether in the binary case both classes count.
struct Row {
    name: &'static str,
    fraction: fn(Counts) -> (f64, f64),
    both: bool,
}

macro_rules! scores {
    ($($(#[$doc:meta])* $name:ident: $fraction:expr, both $both:expr;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl $name {
            /// Of samples that are 0 or 1; a probability above 0.5 is 1.
            pub fn binary() -> StatScores {
                StatScores::new(&Row { name: stringify!($name), fraction: $fraction, both: $both }, Task::Binary { threshold: 0.5 })
            }

            /// Of samples of so many classes.
            pub fn multiclass(classes: usize) -> StatScores {
                StatScores::new(&Row { name: stringify!($name), fraction: $fraction, both: $both }, Task::Multiclass(classes))
            }
        }
    )+};
}

scores! {
    /// The part of the samples that is read right: `TP / n`; of one class, of the samples of that class.
    ///
    /// ```
    /// use wgrad::train::{Accuracy, Metric};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::best()?;
    /// let mut accuracy = Accuracy::multiclass(3);
    /// accuracy.update(&Tensor::new([0, 1, 1, 2], &dev), &Tensor::new([0, 1, 2, 2], &dev));
    /// assert_eq!((accuracy.compute()?, accuracy.per_class()?), (0.75, vec![1.0, 1.0, 0.5]));
    ///
    /// let mut top2 = Accuracy::multiclass(3).top_k(2); // right if the class is one of the two with the highest scores
    /// top2.update(&Tensor::new([[0.1, 0.3, 0.6], [0.5, 0.4, 0.1]], &dev), &Tensor::new([1, 2], &dev));
    /// assert_eq!(top2.compute()?, 0.5);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torchmetrics.Accuracy](https://lightning.ai/docs/torchmetrics/stable/classification/accuracy.html).
    Accuracy: |c| (c.right, c.there), both true;

    /// The part of the samples read as a class that are of it: `TP / (TP + FP)`.
    ///
    /// ```
    /// use wgrad::train::{Metric, Precision};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::best()?;
    /// let mut precision = Precision::binary();
    /// precision.update(&Tensor::new([0.9, 0.8, 0.3], &dev), &Tensor::new([1, 0, 1], &dev));
    /// assert_eq!(precision.compute()?, 0.5);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torchmetrics.Precision](https://lightning.ai/docs/torchmetrics/stable/classification/precision.html).
    Precision: |c| (c.right, c.read), both false;

    /// The part of the samples of a class that are read as it: `TP / (TP + FN)`.
    ///
    /// Source: [torchmetrics.Recall](https://lightning.ai/docs/torchmetrics/stable/classification/recall.html).
    Recall: |c| (c.right, c.there), both false;

    /// The harmonic mean of precision and recall: `2 TP / (2 TP + FP + FN)`.
    ///
    /// Source: [torchmetrics.F1Score](https://lightning.ai/docs/torchmetrics/stable/classification/f1_score.html).
    F1Score: |c| (2.0 * c.right, c.read + c.there), both false;
}

impl StatScores {
    fn new(row: &'static Row, task: Task) -> StatScores {
        let state = State::default();
        StatScores { row, task, average: Average::Micro, top_k: 1, ignore_index: None, zero_division: 0.0, state }
    }

    /// How one number is made of the scores of the classes: [`Average::Micro`], if this is not called.
    pub fn average(self, average: Average) -> StatScores {
        StatScores { average, ..self }
    }

    /// Counts a sample as read right if its class is among those with the `k` highest scores; of equal ones the first is
    /// the higher. Classes that no target has are then left out of a [`Average::Macro`], though they may be predicted.
    ///
    /// # Panics
    /// If `k` is not 1 to the number of classes, or there are no classes.
    #[track_caller]
    pub fn top_k(self, k: usize) -> StatScores {
        match self.task {
            Task::Multiclass(classes) if (1..=classes).contains(&k) => StatScores { top_k: k, ..self },
            task => misuse(self.row.name, format!("there are no {k} highest of {task:?}")),
        }
    }

    /// Leaves out samples whose target is this number, which need not be a class.
    pub fn ignore_index(self, index: i32) -> StatScores {
        StatScores { ignore_index: Some(index), ..self }
    }

    /// What `0 / 0` counts as: 0, if this is not called.
    pub fn zero_division(self, value: f64) -> StatScores {
        StatScores { zero_division: value, ..self }
    }

    /// Above which probability a binary sample is read as 1: 0.5, if this is not called.
    ///
    /// # Panics
    /// If this is of more than two classes.
    #[track_caller]
    pub fn threshold(self, threshold: f64) -> StatScores {
        StatScores { task: self.task.with_threshold(self.row.name, threshold), ..self }
    }

    /// The score of every class, without an average; waits, and reads once.
    ///
    /// # Errors
    /// As [`Metric::compute`].
    pub fn per_class(&self) -> Result<Vec<f64>> {
        let counts = self.counts(&super::metric::parts_of(self)?[0])?;
        Ok(counts.into_iter().map(|c| self.score(c)).collect())
    }

    fn score(&self, counts: Counts) -> f64 {
        let (above, below) = (self.row.fraction)(counts);
        if below == 0.0 { self.zero_division } else { above / below }
    }

    /// The counts by class, which the device has as three rows. The last element of each is of labels that are no class.
    fn counts(&self, rows: &[f64]) -> Result<Vec<Counts>> {
        let n = self.task.classes();
        let counts = |i: usize| Counts { right: rows[i], read: rows[n + 1 + i], there: rows[2 * (n + 1) + i] };
        self.task.expect_classes(self.row.name, counts(n).there, counts(n).read)?;
        Ok((0..n).map(counts).collect())
    }
}

impl Metric for StatScores {
    type Value = f64;

    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
        let Labels { read, target } = self.task.labels(self.row.name, preds, target, self.top_k, self.ignore_index);
        // Of each sample the label that it has and is read as, if both are one, the one it is read as, and the one it has.
        let list = |n: i32| Tensor::arange(0, n, 1, (&preds.device(), DType::I32)).unsqueeze(1);
        let (which, right) = (list(3), Tensor::where_(&read.eq(&target), &read, -1));
        let labels = Tensor::where_(&which.eq(0), right, Tensor::where_(&which.eq(1), read, target));
        // Each class looks through all of them: sums of rows, where counting at computed places would have to sort.
        let is = labels.unsqueeze(1).eq(list(self.task.classes() as i32 + 1));
        self.state.add([is.cast(DType::I32).sum_dim(2, false)], 0.0);
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    fn value(&self, parts: &[Vec<f64>]) -> Result<f64> {
        let counts = self.counts(&parts[0])?;
        if let (Task::Binary { .. }, false) = (self.task, self.row.both) {
            return Ok(self.score(counts[1]));
        }
        let weight = |c: &Counts| match self.average {
            Average::Weighted => c.there,
            _ if self.top_k > 1 => (c.there > 0.0) as u8 as f64,
            _ => (c.read + c.there > 0.0) as u8 as f64,
        };
        if let (Task::Binary { .. }, _) | (_, Average::Micro) = (self.task, self.average) {
            let sum = |a: Counts, b: &Counts| Counts {
                right: a.right + b.right,
                read: a.read + b.read,
                there: a.there + b.there,
            };
            return Ok(self.score(counts.iter().fold(Counts::default(), sum)));
        }
        let (sum, weights) = counts.iter().fold((0.0, 0.0), |(sum, weights), c| {
            let weight = weight(c);
            (sum + weight * self.score(*c), weights + weight)
        });
        Ok(if weights == 0.0 { 0.0 } else { sum / weights })
    }
}

/// What the samples of a batch are, and what they are read as: lists of `I32`. What is none of `C` classes is `C`, and where a
/// sample does not count, both are -1.
pub(super) struct Labels {
    pub read: Tensor,
    pub target: Tensor,
}

impl Task {
    pub fn classes(self) -> usize {
        match self {
            Task::Binary { .. } => 2,
            Task::Multiclass(classes) => classes,
        }
    }

    /// The same with another threshold.
    #[track_caller]
    pub fn with_threshold(self, op: &str, threshold: f64) -> Task {
        match self {
            Task::Binary { .. } => Task::Binary { threshold },
            task => misuse(op, format!("a threshold does not suit {task:?}")),
        }
    }

    /// An error if there were labels that are no class.
    pub fn expect_classes(self, op: &str, targets: f64, predictions: f64) -> Result<()> {
        if targets + predictions == 0.0 {
            return Ok(());
        }
        let n = self.classes();
        let text = format!("{op}: {targets} targets and {predictions} predictions are none of the {n} classes");
        Err(Error::new(Kind::Data, text))
    }

    /// The targets of a batch, as in [`Labels`].
    #[track_caller]
    pub fn targets(self, op: &str, target: &Tensor, ignore: Option<i32>) -> Tensor {
        if target.dtype().is_float() {
            misuse(op, format!("targets are classes, not {}", target.dtype()));
        }
        let target = target.ravel().cast(DType::I32);
        let class = self.class(&target);
        match ignore {
            Some(index) => Tensor::where_(&target.eq(index), -1, class),
            None => class,
        }
    }

    /// The labels, with `C` for what is none of `C` classes.
    fn class(self, label: &Tensor) -> Tensor {
        let n = self.classes() as i32;
        Tensor::where_(&label.ge(0).logical_and(label.lt(n)), label, n)
    }

    /// The labels of a batch of predictions.
    #[track_caller]
    pub fn labels(self, op: &str, preds: &Tensor, target: &Tensor, top_k: usize, ignore: Option<i32>) -> Labels {
        preds.expect_same_device(op, target);
        let classes = self.targets(op, target, ignore);
        let scores = match self {
            Task::Multiclass(classes) if preds.rank() == target.rank() + 1 => {
                let [n, rest @ ..] = target.shape() else { misuse(op, "targets are a list, not one number") };
                let fits = preds.size(0) == *n && preds.size(1) == classes && preds.shape()[2..] == *rest;
                fits.then(|| preds.movedim(1, -1).reshape([target.numel(), classes]))
            }
            _ => None,
        };
        let read = match (self, scores) {
            (Task::Multiclass(_), Some(scores)) => {
                let first = scores.argmax(1, false);
                if top_k == 1 {
                    first
                } else {
                    Tensor::where_(
                        &among(&scores, &classes.clamp(0, scores.size(1) as i32 - 1), top_k),
                        &classes,
                        first,
                    )
                }
            }
            (_, None)
                if preds.shape() != target.shape()
                    || preds.dtype().is_float() && matches!(self, Task::Multiclass(_)) =>
            {
                let (p, t) = (preds.shape(), target.shape());
                misuse(op, format!("predictions {p:?} of {} and targets {t:?} do not fit {self:?}", preds.dtype()))
            }
            (_, _) if top_k > 1 => misuse(op, format!("labels have no {top_k} highest")),
            (Task::Binary { threshold }, _) if preds.dtype().is_float() => {
                probability(&preds.ravel()).gt(threshold).cast(DType::I32)
            }
            _ => preds.ravel().cast(DType::I32),
        };
        let read = self.class(&read);
        Labels { read: if ignore.is_some() { Tensor::where_(&classes.ge(0), read, -1) } else { read }, target: classes }
    }
}

/// Whether fewer than `k` scores `[n, C]` come before that of the target. NaN comes before everything.
fn among(scores: &Tensor, target: &Tensor, k: usize) -> Tensor {
    let target = target.unsqueeze(1);
    let class = Tensor::arange(0, scores.size(1) as i32, 1, (&scores.device(), DType::I32));
    let own = scores.gather(1, &target);
    let earlier = scores.eq(&own).logical_and(class.lt(&target));
    let before = scores.le(&own).logical_not().logical_or(earlier);
    before.cast(DType::I32).sum_dim(1, false).lt(k as i32)
}

/// The scores, if all are probabilities, and otherwise the sigmoid of each.
pub(super) fn probability(scores: &Tensor) -> Tensor {
    let scores = wide(scores);
    Tensor::where_(&outside(&scores), scores.sigmoid(), &scores)
}

/// Whether any of the scores is no probability.
pub(super) fn outside(scores: &Tensor) -> Tensor {
    scores.lt(0.0).logical_or(scores.gt(1.0)).any()
}
