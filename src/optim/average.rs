//! Averages of weights over a training run, which often generalise better than the last ones.

use crate::error::{Error, Kind, Result};
use crate::state::{StateDict, number, read_number};
use crate::tensor::Tensor;
use crate::tensor::mode::no_grad;

/// An average of parameters: exponential (EMA), `a ← β a + (1 - β) p`, or of all updates alike (SWA), `a ← a + (p - a) / (n + 1)`.
/// The first update is a copy.
///
/// ```
/// use wgrad::{Device, Tensor, optim::WeightAverage};
/// let p = Tensor::new([1.0], &Device::cpu());
/// let mut ema = WeightAverage::ema([&p], 0.75);
/// ema.update()?;
/// p.add_(4.0)?;
/// ema.update()?;
/// ema.swap()?; // to evaluate with the averages
/// assert_eq!(p.item()?, 2.0);
/// ema.swap()?; // to go on training
/// assert_eq!(p.item()?, 5.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.optim.swa_utils](https://docs.pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema).
pub struct WeightAverage {
    parameters: Vec<Tensor>,
    averages: Vec<Tensor>,
    /// `None` for an average in which all updates count alike.
    decay: Option<f64>,
    updates: usize,
}

impl WeightAverage {
    /// The exponential average with the factor `β`.
    pub fn ema<'a>(parameters: impl IntoIterator<Item = &'a Tensor>, decay: f64) -> WeightAverage {
        WeightAverage::of(parameters, Some(decay))
    }

    /// The average in which all updates count alike.
    pub fn swa<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) -> WeightAverage {
        WeightAverage::of(parameters, None)
    }

    fn of<'a>(parameters: impl IntoIterator<Item = &'a Tensor>, decay: Option<f64>) -> WeightAverage {
        let parameters: Vec<Tensor> = parameters.into_iter().map(Tensor::detach).collect();
        let averages = parameters.iter().map(Tensor::copy).collect();
        WeightAverage { parameters, averages, decay, updates: 0 }
    }

    /// Takes the parameters as they are now into the average.
    ///
    /// # Errors
    /// If the device fails.
    pub fn update(&mut self) -> Result<()> {
        let _unrecorded = no_grad();
        let share = match self.decay {
            _ if self.updates == 0 => 1.0,
            Some(decay) => 1.0 - decay,
            None => 1.0 / (self.updates + 1) as f64,
        };
        for (a, p) in self.averages.iter().zip(&self.parameters) {
            // Not a multiple of the difference, which may round to something else than `p`.
            a.copy_(&if share == 1.0 { p.copy() } else { a * (1.0 - share) + p * share })?;
        }
        self.updates += 1;
        self.parameters.iter().try_for_each(|p| p.device().flush())
    }

    /// Exchanges parameters and averages, in place.
    ///
    /// # Errors
    /// If the device fails.
    pub fn swap(&mut self) -> Result<()> {
        let _unrecorded = no_grad();
        for (a, p) in self.averages.iter().zip(&self.parameters) {
            let before = p.copy();
            p.copy_(a)?;
            a.copy_(&before)?;
        }
        Ok(())
    }

    /// The averages, in the order of the parameters.
    pub fn averages(&self) -> &[Tensor] {
        &self.averages
    }

    /// The averages as `average.0` and so on, and the number of updates.
    pub fn state_dict(&self) -> StateDict {
        let averages = self.averages.iter().enumerate().map(|(i, a)| (format!("average.{i}"), a.untracked()));
        averages.chain([("updates".to_string(), number(self.updates as f64))]).collect()
    }

    /// Goes on from a state given by [`WeightAverage::state_dict`]. Nothing is changed unless all of it fits.
    ///
    /// # Errors
    /// If an entry is missing or of another shape: the error names it.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let mut given = Vec::new();
        for (i, a) in self.averages.iter().enumerate() {
            let entry = state.get(&format!("average.{i}")).filter(|entry| entry.shape() == a.shape());
            let shape = a.shape();
            given.push(entry.ok_or_else(|| {
                Error::new(Kind::Data, format!("load_state_dict: the state has no average.{i} of shape {shape:?}"))
            })?);
        }
        self.updates = read_number(state, "updates")? as usize;
        for (a, entry) in self.averages.iter().zip(given) {
            a.copy_(&entry.untracked().to_device(&a.device())?)?;
        }
        Ok(())
    }
}
