//! How far predicted numbers are from what they should be.

use super::metric::{Metric, State, wide};
use crate::error::{Error, Kind, Result, misuse};
use crate::tensor::Tensor;

/// `Σ |ŷ − y| / n` over all elements.
///
/// Source: [torchmetrics.MeanAbsoluteError](https://lightning.ai/docs/torchmetrics/stable/regression/mean_absolute_error.html).
#[derive(Default)]
pub struct MeanAbsoluteError(State);

/// `Σ (ŷ − y)² / n` over all elements, or its square root, the RMSE.
///
/// ```
/// use wgrad::train::{MeanSquaredError, Metric};
/// use wgrad::{Device, Tensor};
/// let dev = Device::best()?;
/// let mut rmse = MeanSquaredError::root();
/// rmse.update(&Tensor::new([1.0, 2.0], &dev), &Tensor::new([4.0, 6.0], &dev));
/// assert!((rmse.compute()? - 12.5f64.sqrt()).abs() < 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torchmetrics.MeanSquaredError](https://lightning.ai/docs/torchmetrics/stable/regression/mean_squared_error.html).
#[derive(Default)]
pub struct MeanSquaredError {
    root: bool,
    state: State,
}

impl MeanSquaredError {
    /// The square root of the mean, in the unit of what is predicted: torchmetrics' `squared=False`.
    pub fn root() -> MeanSquaredError {
        MeanSquaredError { root: true, state: State::default() }
    }
}

/// `1 − Σ (ŷ − y)² / Σ (y − ȳ)²`: which part of the variance is explained; of several outputs `[n, D]`, the mean of theirs.
///
/// ```
/// use wgrad::train::{Metric, R2Score};
/// use wgrad::{Device, Tensor};
/// let dev = Device::best()?;
/// let mut r2 = R2Score::default();
/// r2.update(&Tensor::new([2.5, 0.0, 2.0, 8.0], &dev), &Tensor::new([3.0, -0.5, 2.0, 7.0], &dev));
/// assert!((r2.compute()? - 0.9486).abs() < 1e-4);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Sums of squares are taken around the mean of the first batch, so that they lose no digits where a mean is far from 0. Where
/// targets do not vary there is no variance to explain, and the score is 1 if they are met and 0 if not. A single sample is an
/// error.
///
/// Source: [torchmetrics.R2Score](https://lightning.ai/docs/torchmetrics/stable/regression/r2_score.html).
#[derive(Default)]
pub struct R2Score(State);

/// The difference of predictions and targets.
#[track_caller]
fn error(op: &str, preds: &Tensor, target: &Tensor) -> Tensor {
    if preds.shape() != target.shape() {
        misuse(op, format!("predictions {:?} do not fit targets {:?}", preds.shape(), target.shape()));
    }
    wide(preds) - wide(target)
}

impl Metric for MeanAbsoluteError {
    type Value = f64;

    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
        let error = error("MeanAbsoluteError", preds, target);
        self.0.add([error.abs().sum().reshape(1)], target.numel() as f64);
    }

    fn state(&self) -> &State {
        &self.0
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.0
    }

    fn value(&self, parts: &[Vec<f64>]) -> Result<f64> {
        Ok(parts[0][0] / self.0.count)
    }
}

impl Metric for MeanSquaredError {
    type Value = f64;

    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
        let error = error("MeanSquaredError", preds, target);
        self.state.add([error.square().sum().reshape(1)], target.numel() as f64);
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    fn value(&self, parts: &[Vec<f64>]) -> Result<f64> {
        let mean = parts[0][0] / self.state.count;
        Ok(if self.root { mean.sqrt() } else { mean })
    }
}

impl Metric for R2Score {
    type Value = f64;

    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
        if !(1..=2).contains(&target.rank()) {
            misuse("R2Score", format!("targets are [n] or [n, D], not {:?}", target.shape()));
        }
        let (n, outputs) = (target.size(0), target.numel() / target.size(0).max(1));
        let squares = error("R2Score", preds, target).square().reshape([n, outputs]).sum_dim(0, false);
        let target = wide(target).reshape([n, outputs]);
        let centre = self.0.tensors.pop().unwrap_or_else(|| target.mean_dim(0, false));
        let away = target - &centre;
        self.0.add([squares, away.sum_dim(0, false), away.square().sum_dim(0, false)], n as f64);
        self.0.tensors.push(centre);
    }

    fn state(&self) -> &State {
        &self.0
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.0
    }

    fn value(&self, parts: &[Vec<f64>]) -> Result<f64> {
        let n = self.0.count;
        if n < 2.0 {
            return Err(Error::new(Kind::Data, "R2Score: at least two samples are needed, and there is one"));
        }
        let score = |i: usize| {
            let (unexplained, sum, squares) = (parts[0][i], parts[1][i], parts[2][i]);
            let variance = squares - sum * sum / n;
            if variance > 0.0 { 1.0 - unexplained / variance } else { (unexplained == 0.0) as u8 as f64 }
        };
        let outputs = parts[0].len();
        Ok((0..outputs).map(score).sum::<f64>() / outputs as f64)
    }
}
