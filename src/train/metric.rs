//! What metrics have in common: sums on the device, which one read brings to the host.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::state::{StateDict, number, read_number};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use crate::tensor::mode::{GradGuard, is_grad_enabled, no_grad};
use std::collections::BTreeMap;

/// A figure of merit over many batches, of predictions and what they should have been.
///
/// [`Metric::update`] only records a few operations on the device. Numbers come to the host in [`Metric::compute`], in one
/// read, which is the only place where the program waits.
///
/// ```
/// use wgrad::train::{Metric, MeanAbsoluteError};
/// use wgrad::{Device, Tensor};
/// let dev = Device::best()?;
/// let mut error = MeanAbsoluteError::default();
/// for batch in [[1.0, 2.0], [3.0, 5.0]] {
///     error.update(&Tensor::new(batch, &dev), &Tensor::new([1.0, 3.0], &dev));
/// }
/// assert_eq!(error.compute()?, 1.25);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// A metric of your own says what a batch adds to its [`State`], and what the state comes to.
///
/// Source: [torchmetrics.Metric](https://lightning.ai/docs/torchmetrics/stable/pages/implement.html).
pub trait Metric {
    /// What the metric comes to: one number for most.
    type Value;

    /// Adds a batch to the state. Called by [`Metric::update`], where nothing is recorded for backward.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    fn accumulate(&mut self, preds: &Tensor, target: &Tensor);

    /// What has been accumulated.
    fn state(&self) -> &State;

    /// The same, to change it.
    fn state_mut(&mut self) -> &mut State;

    /// The tensors whose elements [`Metric::value`] needs.
    fn parts(&self) -> Vec<Tensor> {
        self.state().tensors.clone()
    }

    /// What the elements of the parts come to.
    ///
    /// # Errors
    /// If what was accumulated makes no value.
    fn value(&self, parts: &[Vec<f64>]) -> Result<Self::Value>;

    /// Takes note of a batch, without waiting for it.
    ///
    /// Where nothing is recorded for backward, as in a test under [`no_grad`](crate::autograd::no_grad), the device is also
    /// handed what is pending, as no step of an optimizer will do that.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    fn update(&mut self, preds: &Tensor, target: &Tensor) {
        let _noted = Noted::of(preds);
        self.accumulate(preds, target);
    }

    /// The metric over all batches since the beginning, or since [`Metric::reset`]; waits for them, and reads once.
    ///
    /// # Errors
    /// If there was no batch, or what was accumulated cannot be read or makes no value: a label that is no class is told
    /// here.
    fn compute(&self) -> Result<Self::Value> {
        self.value(&parts_of(self)?)
    }

    /// Forgets all batches.
    fn reset(&mut self) {
        *self.state_mut() = State::default();
    }

    /// What was accumulated, for a checkpoint within an epoch.
    fn state_dict(&self) -> StateDict {
        let State { tensors, count } = self.state();
        let entries = tensors.iter().enumerate().map(|(i, x)| (i.to_string(), x.clone()));
        entries.chain([("count".to_string(), number(*count))]).collect()
    }

    /// Goes on, on a device, from a state given by [`Metric::state_dict`].
    ///
    /// # Errors
    /// If an entry is missing, which the error names, or does not fit on the device.
    fn load_state_dict(&mut self, state: &StateDict, device: &Device) -> Result<()> {
        let count = read_number(state, "count")?;
        let entry = |i: usize| {
            let entry = state.get(&i.to_string());
            entry.ok_or_else(|| Error::new(Kind::Data, format!("the state has no {i}")))?.to_device(device)
        };
        *self.state_mut() = State { tensors: (0..state.len() - 1).map(entry).collect::<Result<_>>()?, count };
        Ok(())
    }
}

/// What a metric has accumulated: tensors on the device, and a number that the host knows by itself.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Sums, as a rule.
    pub tensors: Vec<Tensor>,
    /// How many samples, or their weights.
    pub count: f64,
}

impl State {
    /// Adds sums of a batch to those there are.
    #[track_caller]
    pub fn add(&mut self, batch: impl IntoIterator<Item = Tensor>, count: f64) {
        let before = std::mem::take(&mut self.tensors);
        // The sums before are dropped here, so that a device may write over them.
        self.tensors = match before.is_empty() {
            true => batch.into_iter().collect(),
            false => before.into_iter().zip(batch).map(|(sum, x)| sum + x).collect(),
        };
        self.count += count;
    }
}

/// Several metrics by name, which [`Metrics::compute`] brings to the host in one read.
///
/// ```
/// use wgrad::train::{Accuracy, Average, F1Score, MeanMetric, Metrics};
/// use wgrad::{Device, Tensor};
/// let dev = Device::best()?;
/// let mut metrics = Metrics::new()
///     .with("loss", MeanMetric::of(Tensor::cross_entropy))
///     .with("accuracy", Accuracy::multiclass(2))
///     .with("f1", F1Score::multiclass(2).average(Average::Macro));
/// metrics.update(&Tensor::new([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]], &dev), &Tensor::new([0, 1, 1], &dev));
/// let scores = metrics.compute()?;
/// assert!((scores["accuracy"] - 2.0 / 3.0).abs() < 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torchmetrics.MetricCollection](https://lightning.ai/docs/torchmetrics/stable/pages/overview.html#metriccollection).
#[derive(Default)]
pub struct Metrics(BTreeMap<String, Box<dyn Metric<Value = f64>>>);

impl Metrics {
    /// No metrics yet.
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// The same with one more.
    pub fn with(mut self, name: &str, metric: impl Metric<Value = f64> + 'static) -> Metrics {
        self.0.insert(name.to_string(), Box::new(metric));
        self
    }

    /// As [`Metric::update`], of all.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn update(&mut self, preds: &Tensor, target: &Tensor) {
        let _noted = Noted::of(preds);
        for metric in self.0.values_mut() {
            metric.accumulate(preds, target);
        }
    }

    /// As [`Metric::compute`], of all in one read.
    ///
    /// # Errors
    /// As [`Metric::compute`].
    pub fn compute(&self) -> Result<BTreeMap<String, f64>> {
        let parts: Vec<Vec<Tensor>> = self.0.values().map(|metric| metric.parts()).collect();
        if parts.is_empty() {
            return Ok(BTreeMap::new());
        }
        if parts.iter().any(Vec::is_empty) {
            return Err(empty());
        }
        let mut numbers = read(&parts.concat())?.into_iter();
        let values = self.0.iter().zip(&parts).map(|((name, metric), parts)| {
            let numbers: Vec<Vec<f64>> = numbers.by_ref().take(parts.len()).collect();
            Ok((name.clone(), metric.value(&numbers)?))
        });
        values.collect()
    }

    /// As [`Metric::reset`], of all.
    pub fn reset(&mut self) {
        self.0.values_mut().for_each(|metric| metric.reset());
    }

    /// What all have accumulated, by their names and `.`.
    pub fn state_dict(&self) -> StateDict {
        let entries = self.0.iter().flat_map(|(name, metric)| {
            metric.state_dict().into_iter().map(move |(key, x)| (format!("{name}.{key}"), x))
        });
        entries.collect()
    }

    /// Goes on, on a device, from a state given by [`Metrics::state_dict`].
    ///
    /// # Errors
    /// As [`Metric::load_state_dict`].
    pub fn load_state_dict(&mut self, state: &StateDict, device: &Device) -> Result<()> {
        for (name, metric) in &mut self.0 {
            let prefix = format!("{name}.");
            let own = state.iter().filter_map(|(key, x)| Some((key.strip_prefix(&prefix)?.to_string(), x.clone())));
            // Of a metric whose name begins with this one's and a point.
            let own = own.filter(|(key, _)| !key.contains('.'));
            let loaded = metric.load_state_dict(&own.collect(), device);
            loaded.map_err(|error| error.remarked(format!("of the metric {name}")))?;
        }
        Ok(())
    }
}

/// While a batch is taken note of, nothing is recorded for backward; afterwards, where nothing is recorded anyway, the device
/// is handed what is pending.
pub(super) struct Noted {
    hands_over: Option<Device>,
    _unrecorded: GradGuard,
}

impl Noted {
    pub fn of(x: &Tensor) -> Noted {
        Noted { hands_over: (!is_grad_enabled()).then(|| x.device()), _unrecorded: no_grad() }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(device) = self.hands_over.take().filter(|_| !std::thread::panicking()) {
            // An error is kept by the values that were not computed, and told to whoever reads them.
            let _ = device.flush();
        }
    }
}

/// The elements of a metric's parts, in one read.
pub(super) fn parts_of<M: Metric + ?Sized>(metric: &M) -> Result<Vec<Vec<f64>>> {
    let parts = metric.parts();
    if parts.is_empty() { Err(empty()) } else { read(&parts) }
}

fn empty() -> Error {
    Error::new(Kind::Other, "compute: there was no batch")
}

/// The elements of several tensors in one read.
fn read(parts: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    let _unrecorded = no_grad();
    let mut floats = Vec::new();
    for x in parts {
        if x.dtype().is_float() {
            floats.push(wide(x).ravel());
        } else {
            // A count may have more digits than a float: it travels as two.
            let (x, high) = (x.ravel(), x.ravel().div_trunc(SPLIT));
            floats.extend([(&x - &high * SPLIT).cast(DType::F32), high.cast(DType::F32)]);
        }
    }
    let numbers = Tensor::cat(&floats, 0).to_vec::<f64>()?;
    let mut numbers = numbers.into_iter();
    let elements = parts.iter().map(|x| {
        let mut take = || numbers.by_ref().take(x.numel()).collect::<Vec<f64>>();
        match x.dtype().is_float() {
            true => take(),
            false => take().into_iter().zip(take()).map(|(low, high)| low + high * SPLIT as f64).collect(),
        }
    });
    Ok(elements.collect())
}

const SPLIT: i32 = 1 << 16;

/// The tensor in a type in which sums may be kept.
pub(super) fn wide(x: &Tensor) -> Tensor {
    if x.dtype() == DType::F64 { x.clone() } else { x.cast(DType::F32) }
}
