//! Which classes are taken for which.

use super::classes::{Labels, Task};
use super::metric::{Metric, State};
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;
use std::fmt;

/// How often samples of each class are read as each class; the matrix of `C²` counts, each exact, is on the device.
///
/// ```
/// use wgrad::train::{ConfusionMatrix, Metric};
/// use wgrad::{Device, Tensor};
/// let dev = Device::best()?;
/// let mut confusion = ConfusionMatrix::multiclass(2);
/// confusion.update(&Tensor::new([0, 1, 1], &dev), &Tensor::new([0, 1, 0], &dev));
/// assert_eq!(confusion.compute()?.counts, [[1, 1], [0, 1]]); // by the true class, then the predicted one
/// println!("{}", confusion.compute()?);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Predictions and targets are as for [`StatScores`](super::StatScores).
///
/// Source: [torchmetrics.ConfusionMatrix](https://lightning.ai/docs/torchmetrics/stable/classification/confusion_matrix.html).
pub struct ConfusionMatrix {
    task: Task,
    ignore_index: Option<i32>,
    state: State,
}

impl ConfusionMatrix {
    /// Of samples that are 0 or 1; a probability above 0.5 is 1.
    pub fn binary() -> ConfusionMatrix {
        ConfusionMatrix { task: Task::Binary { threshold: 0.5 }, ignore_index: None, state: State::default() }
    }

    /// Of samples of so many classes.
    pub fn multiclass(classes: usize) -> ConfusionMatrix {
        ConfusionMatrix { task: Task::Multiclass(classes), ignore_index: None, state: State::default() }
    }

    /// Leaves out samples whose target is this number, which need not be a class.
    pub fn ignore_index(self, index: i32) -> ConfusionMatrix {
        ConfusionMatrix { ignore_index: Some(index), ..self }
    }

    /// Above which probability a binary sample is read as 1: 0.5, if this is not called.
    ///
    /// # Panics
    /// If this is of more than two classes.
    #[track_caller]
    pub fn threshold(self, threshold: f64) -> ConfusionMatrix {
        ConfusionMatrix { task: self.task.with_threshold("ConfusionMatrix", threshold), ..self }
    }
}

impl Metric for ConfusionMatrix {
    type Value = Confusion;

    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
        let Labels { read, target } = self.task.labels("ConfusionMatrix", preds, target, 1, self.ignore_index);
        // What is no class has a row and a column of its own.
        let n = self.task.classes() + 1;
        let counted = target.ge(0).cast(DType::I32);
        let place = (target * n as i32 + read) * &counted;
        let before = self.state.tensors.pop();
        let before = before.unwrap_or_else(|| Tensor::zeros([n * n], (&preds.device(), DType::I32)));
        self.state.tensors.push(before.scatter_add(0, &place, &counted));
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    fn value(&self, parts: &[Vec<f64>]) -> Result<Confusion> {
        let n = self.task.classes();
        let rows = parts[0].chunks(n + 1);
        self.task.expect_classes(
            "ConfusionMatrix",
            parts[0][n * (n + 1)..].iter().sum(),
            rows.clone().map(|row| row[n]).sum(),
        )?;
        let row = |row: &[f64]| row[..n].iter().map(|&count| count as u64).collect();
        Ok(Confusion { counts: rows.take(n).map(row).collect() })
    }
}

/// What a [`ConfusionMatrix`] comes to; printed, it is a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// `counts[i][j]`: how many samples of class `i` were read as class `j`.
    pub counts: Vec<Vec<u64>>,
}

/// What the counts of a [`Confusion`] are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    /// The number of samples of the true class: rows add up to 1.
    True,
    /// The number of samples of the predicted class: columns add up to 1.
    Pred,
    /// The number of all samples.
    All,
}

impl Confusion {
    /// The counts as parts of a whole; where that is 0, they are 0.
    ///
    /// ```
    /// use wgrad::train::{Confusion, Normalize};
    /// let confusion = Confusion { counts: vec![vec![3, 1], vec![0, 0]] };
    /// assert_eq!(confusion.normalized(Normalize::True), [[0.75, 0.25], [0.0, 0.0]]);
    /// ```
    pub fn normalized(&self, by: Normalize) -> Vec<Vec<f64>> {
        let n = self.counts.len();
        let whole = |i: usize, j: usize| -> u64 {
            match by {
                Normalize::True => self.counts[i].iter().sum(),
                Normalize::Pred => self.counts.iter().map(|row| row[j]).sum(),
                Normalize::All => self.counts.iter().flatten().sum(),
            }
        };
        let part = |i: usize, j: usize| self.counts[i][j] as f64 / whole(i, j).max(1) as f64;
        (0..n).map(|i| (0..n).map(|j| part(i, j)).collect()).collect()
    }
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.counts.iter().flatten().max().copied().unwrap_or(0).max(self.counts.len() as u64);
        let width = most.to_string().len() + 2;
        write!(f, "read as ")?;
        (0..self.counts.len()).try_for_each(|class| write!(f, "{class:>width$}"))?;
        for (class, row) in self.counts.iter().enumerate() {
            write!(f, "\nis {class:>4} ")?;
            for count in row {
                // Zeros would hide what is there.
                let text = if *count == 0 { ".".to_string() } else { count.to_string() };
                write!(f, "{text:>width$}")?;
            }
        }
        Ok(())
    }
}
