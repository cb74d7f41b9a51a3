//! Means over samples: of a loss, and of what a language model loses per token.

use super::metric::{Metric, Noted, State, wide};
use crate::error::{Error, Kind, Result, misuse};
use crate::ops::loss::Reduction;
use crate::ops::loss_classes::CrossEntropyOptions;
use crate::tensor::Tensor;

/// `Σ wᵢ xᵢ / Σ wᵢ`: the mean of numbers that are given one by one, or computed from each batch.
///
/// ```
/// use wgrad::train::{MeanMetric, Metric};
/// use wgrad::{Device, Tensor};
/// let dev = Device::best()?;
/// let mut loss = MeanMetric::default();
/// loss.add(&Tensor::new(0.5, &dev), 32.0); // a loss over 32 samples: nothing is read
/// loss.add(&Tensor::new(1.0, &dev), 16.0);
/// assert!((loss.compute()? - 32.0 / 48.0).abs() < 1e-6);
///
/// let mut loss = MeanMetric::of(Tensor::cross_entropy); // of logits and labels, with others in `Metrics`
/// loss.update(&Tensor::zeros([4, 2], &dev), &Tensor::new([0, 1, 0, 1], &dev));
/// assert!((loss.compute()? - 2f64.ln()).abs() < 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Numbers that are NaN are left out with their weights, which is warned of, unless [`MeanMetric::nan_strategy`] says otherwise.
///
/// Source: [torchmetrics.MeanMetric](https://lightning.ai/docs/torchmetrics/stable/aggregation/mean.html).
#[derive(Default)]
pub struct MeanMetric {
    of: Option<Box<Of>>,
    nan_strategy: NanStrategy,
    state: State,
}

type Of = dyn Fn(&Tensor, &Tensor) -> Tensor;

/// What becomes of numbers that are NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NanStrategy {
    /// They are left out, and a warning is logged when the metric is computed.
    #[default]
    Warn,
    /// They are left out.
    Ignore,
    /// Computing the metric is an error.
    Error,
    /// They count: the mean is NaN. So a training loop sees that its loss is lost.
    Disable,
}

impl MeanMetric {
    /// The mean of what a function gives for predictions and targets: a number that is itself the mean over a batch. The size
    /// of the batch is its weight.
    pub fn of(f: impl Fn(&Tensor, &Tensor) -> Tensor + 'static) -> MeanMetric {
        MeanMetric { of: Some(Box::new(f)), ..MeanMetric::default() }
    }

    /// What becomes of numbers that are NaN: [`NanStrategy::Warn`], if this is not called.
    pub fn nan_strategy(self, nan_strategy: NanStrategy) -> MeanMetric {
        MeanMetric { nan_strategy, ..self }
    }

    /// Takes note of a number, with its weight, without waiting for it.
    ///
    /// # Panics
    /// If the tensor has more than one element.
    #[track_caller]
    pub fn add(&mut self, x: &Tensor, weight: f64) {
        let _noted = Noted::of(x);
        self.weigh(x, weight);
    }

    #[track_caller]
    fn weigh(&mut self, x: &Tensor, weight: f64) {
        if x.numel() != 1 {
            misuse("MeanMetric", format!("a tensor of shape {:?} is not one number", x.shape()));
        }
        let x = wide(x).reshape(1);
        // What is left out is counted on the device, and taken off the weights that the host knows.
        let nan = if self.nan_strategy == NanStrategy::Disable { x.zeros_like() } else { x.isnan().cast(x.dtype()) };
        self.state.add([Tensor::where_(&nan.gt(0.0), 0.0, &x * weight), nan * weight], weight);
    }
}

impl Metric for MeanMetric {
    type Value = f64;

    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
        let Some(of) = &self.of else { misuse("MeanMetric", "no function of predictions and targets; use `add`") };
        let (x, weight) = (of(preds, target), target.shape().first().copied().unwrap_or(1) as f64);
        self.weigh(&x, weight);
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    fn value(&self, parts: &[Vec<f64>]) -> Result<f64> {
        let (sum, left_out) = (parts[0][0], parts[1][0]);
        match self.nan_strategy {
            NanStrategy::Error if left_out != 0.0 => return Err(Error::new(Kind::Data, "MeanMetric: a number is NaN")),
            NanStrategy::Warn if left_out != 0.0 => {
                log::warn!("MeanMetric: NaN is left out, with {left_out} of the weight {}", self.state.count)
            }
            _ => {}
        }
        Ok(sum / (self.state.count - left_out))
    }
}

/// `exp(−Σ log pᵢ / n)`, where `pᵢ` is the probability that the softmax of the logits `[…, V]` gives to token `i` of the
/// targets `[…]`.
///
/// ```
/// use wgrad::train::{Metric, Perplexity};
/// use wgrad::{Device, Tensor};
/// let dev = Device::best()?;
/// let mut perplexity = Perplexity::default().ignore_index(-100);
/// perplexity.update(&Tensor::zeros([1, 3, 8], &dev), &Tensor::new([[1, 7, -100]], &dev));
/// assert!((perplexity.compute()? - 8.0).abs() < 1e-5);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torchmetrics.text.Perplexity](https://lightning.ai/docs/torchmetrics/stable/text/perplexity.html).
#[derive(Default)]
pub struct Perplexity {
    ignore_index: Option<i32>,
    state: State,
}

impl Perplexity {
    /// Leaves out targets of this number.
    pub fn ignore_index(self, index: i32) -> Perplexity {
        Perplexity { ignore_index: Some(index), ..self }
    }
}

impl Metric for Perplexity {
    type Value = f64;

    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor) {
        let tokens = preds.shape().last().copied().unwrap_or(0);
        if preds.rank() != target.rank() + 1 || preds.shape()[..target.rank()] != *target.shape() {
            misuse("Perplexity", format!("logits {:?} do not fit targets {:?}", preds.shape(), target.shape()));
        }
        let target = target.reshape(-1);
        // Without one, no token has this number.
        let ignore_index = self.ignore_index.unwrap_or(i32::MIN);
        let options = CrossEntropyOptions { reduction: Reduction::Sum, ignore_index, ..Default::default() };
        let loss = wide(&preds.reshape([target.numel(), tokens])).cross_entropy_with(&target, options);
        self.state.add([loss.reshape(1), target.ne(ignore_index).sum().reshape(1)], 0.0);
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    fn value(&self, parts: &[Vec<f64>]) -> Result<f64> {
        Ok((parts[0][0] / parts[1][0]).exp())
    }
}
