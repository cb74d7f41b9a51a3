//! The area under the receiver operating characteristic.

use super::classes::{Average, Task, outside, probability};
use super::metric::{Metric, State, wide};
use crate::dtype::DType;
use crate::error::{Result, misuse};
use crate::tensor::Tensor;

/// The chance that a sample of a class has a higher score than one that is not of it, where equal scores are half a chance:
/// the area under the curve of true against false positives over all thresholds.
///
/// Exact: all scores are kept, and the device sorts them when the metric is computed. That takes `8 n` bytes on the device for
/// `n` samples that are 0 or 1, and `4 (C + 1) n` for `C` classes; twice as much again while they are sorted. `4 n` or `4 C n`
/// bytes are read, and the host counts. Predictions and targets are as for [`StatScores`](super::StatScores), where predictions
/// must be scores; of `C` classes that are not all in `[0, 1]`, the softmax is taken.
///
/// ```
/// use wgrad::train::{Auroc, Metric};
/// use wgrad::{Device, Tensor};
/// let dev = Device::best()?;
/// let mut auroc = Auroc::binary();
/// auroc.update(&Tensor::new([0.1, 0.4, 0.35, 0.8], &dev), &Tensor::new([0, 0, 1, 1], &dev));
/// assert_eq!(auroc.compute()?, 0.75);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// A class that no sample, or every sample, is of has 0; scores that are NaN give NaN, and such classes are left out of averages.
///
/// Source: [torchmetrics.AUROC](https://lightning.ai/docs/torchmetrics/stable/classification/auroc.html), with `thresholds=None`.
#[doc(alias = "AUROC")]
pub struct Auroc {
    task: Task,
    average: Average,
    ignore_index: Option<i32>,
    state: State,
}

impl Auroc {
    /// Of samples that are 0 or 1.
    pub fn binary() -> Auroc {
        let task = Task::Binary { threshold: 0.5 };
        Auroc { task, average: Average::Macro, ignore_index: None, state: State::default() }
    }

    /// Of samples of so many classes, each against the others.
    pub fn multiclass(classes: usize) -> Auroc {
        Auroc { task: Task::Multiclass(classes), ..Auroc::binary() }
    }

    /// How one number is made of the classes' areas: [`Average::Macro`], if this is not called, or [`Average::Weighted`].
    ///
    /// # Panics
    /// With [`Average::Micro`], which areas do not have.
    #[track_caller]
    pub fn average(self, average: Average) -> Auroc {
        if average == Average::Micro {
            misuse("Auroc", "areas of several classes have a macro or weighted average");
        }
        Auroc { average, ..self }
    }

    /// Leaves out samples whose target is this number, which need not be a class.
    pub fn ignore_index(self, index: i32) -> Auroc {
        Auroc { ignore_index: Some(index), ..self }
    }

    /// The area of every class, without an average; waits, and reads once.
    ///
    /// # Errors
    /// As [`Metric::compute`].
    pub fn per_class(&self) -> Result<Vec<f64>> {
        Ok(self.areas(&super::metric::parts_of(self)?[0])?.into_iter().map(|(area, _)| area).collect())
    }

    /// The lines of scores: one for each class, or one.
    fn lines(&self) -> usize {
        if let Task::Multiclass(classes) = self.task { classes } else { 1 }
    }

    /// The area of each line of marks, and how many samples are of its class.
    fn areas(&self, marks: &[f64]) -> Result<Vec<(f64, f64)>> {
        let mut lines = marks.chunks(marks.len() / self.lines()).peekable();
        let line = lines.peek().copied().unwrap_or_default();
        let strange = line.iter().filter(|&&mark| mark as i32 & STRANGE != 0).count();
        self.task.expect_classes("Auroc", strange as f64, 0.0)?;
        Ok(lines.map(area).collect())
    }
}

// The marks of a sample, in the order of scores.

/// It is of the class.
const POSITIVE: i32 = 1;
/// It counts.
const COUNTED: i32 = 2;
/// The next score is another one.
const LAST: i32 = 4;
/// The score is NaN.
const NAN: i32 = 8;
/// What it is of is no class.
const STRANGE: i32 = 16;

impl Metric for Auroc {
    type Value = f64;

    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
        preds.expect_same_device("Auroc", target);
        let (n, lines) = (target.numel(), self.lines());
        let whole = match self.task {
            Task::Binary { .. } => preds.shape() == target.shape(),
            Task::Multiclass(_) => {
                preds.rank() == target.rank() + 1 && preds.size(1) == lines && preds.numel() == n * lines
            }
        };
        if !whole || !preds.dtype().is_float() || n == 0 {
            let (p, t) = (preds.shape(), target.shape());
            misuse("Auroc", format!("scores {p:?} of {} and targets {t:?} do not fit {:?}", preds.dtype(), self.task));
        }
        let scores = match self.task {
            Task::Binary { .. } => probability(&preds.ravel()),
            Task::Multiclass(_) => {
                let scores = wide(&preds.movedim(1, -1).reshape([n, lines]));
                Tensor::where_(&outside(&scores), scores.softmax(1), &scores)
            }
        };
        let target = self.task.targets("Auroc", target, self.ignore_index);
        self.state.tensors.extend([scores.reshape([n, lines]), target]);
        self.state.count += n as f64;
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    fn parts(&self) -> Vec<Tensor> {
        if self.state.tensors.is_empty() {
            return Vec::new();
        }
        let batches = |which: usize| self.state.tensors.iter().skip(which).step_by(2).cloned().collect::<Vec<_>>();
        let (scores, target) = (Tensor::cat(&batches(0), 0).t(), Tensor::cat(&batches(1), 0));
        let (n, lines) = (target.numel(), self.lines());
        let (scores, order) = scores.sort(1, false);
        let target = target.unsqueeze(0).expand([lines, n]).gather(1, &order);
        let positive = match self.task {
            Task::Binary { .. } => target.eq(1),
            Task::Multiclass(_) => {
                target.eq(Tensor::arange(0, lines as i32, 1, (&target.device(), DType::I32)).unsqueeze(1))
            }
        };
        let end = Tensor::ones([lines, 1], (&target.device(), DType::Bool));
        let last = Tensor::cat(&[scores.narrow(1, 1, n - 1).ne(scores.narrow(1, 0, n - 1)), end], 1);
        let strange = target.ge(self.task.classes() as i32);
        let (counted, nan) = (target.ge(0), scores.isnan());
        let marks = [(positive, POSITIVE), (counted, COUNTED), (last, LAST), (nan, NAN), (strange, STRANGE)];
        let marks = marks.map(|(holds, mark)| holds.cast(DType::F32) * mark);
        vec![marks.into_iter().reduce(|a, b| a + b).expect("there are five")]
    }

    fn value(&self, parts: &[Vec<f64>]) -> Result<f64> {
        let areas = self.areas(&parts[0])?;
        let weight = |positive: f64| if self.average == Average::Weighted { positive } else { 1.0 };
        let (mut sum, mut weights) = (0.0, 0.0);
        for (area, positive) in areas.into_iter().filter(|(area, _)| !area.is_nan()) {
            sum += area * weight(positive);
            weights += weight(positive);
        }
        Ok(sum / weights)
    }
}

/// The area of one line, and how many samples are of the class.
fn area(marks: &[f64]) -> (f64, f64) {
    let (mut positive, mut negative) = (0u64, 0u64);
    // Of the equal scores that are being gone through.
    let (mut equal_positive, mut equal_negative) = (0u64, 0u64);
    // Twice the number of pairs in the right order, where equal scores are half a pair.
    let (mut pairs, mut nan) = (0u128, false);
    for mark in marks.iter().map(|&mark| mark as i32) {
        let counts = mark & COUNTED != 0;
        nan |= counts && mark & NAN != 0;
        equal_positive += (counts && mark & POSITIVE != 0) as u64;
        equal_negative += (counts && mark & POSITIVE == 0) as u64;
        if mark & LAST != 0 {
            pairs += equal_positive as u128 * (2 * negative + equal_negative) as u128;
            (positive, negative) = (positive + equal_positive, negative + equal_negative);
            (equal_positive, equal_negative) = (0, 0);
        }
    }
    let all = 2 * positive as u128 * negative as u128;
    let area = if nan {
        f64::NAN
    } else if all == 0 {
        0.0
    } else {
        pairs as f64 / all as f64
    };
    (area, positive as f64)
}
