//! A learning rate that falls when a metric no longer gets better.

use crate::error::Result;
use crate::optim::Optimizer;
use crate::state::{StateDict, number, read_number};

/// Multiplies the learning rates by a factor when a metric has not got better for more than `patience` steps.
///
/// ```
/// use wgrad::optim::{ReduceLrOnPlateau, Sgd};
/// use wgrad::{Device, Tensor};
/// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
/// let mut sgd = Sgd::new([&p], 0.1);
/// let mut plateau = ReduceLrOnPlateau { factor: 0.5, patience: 1, ..Default::default() };
/// for loss in [1.0, 0.9, 0.9, 0.9] {
///     plateau.step(&mut sgd, loss);
/// }
/// assert_eq!(sgd.lr(), 0.05);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.optim.lr_scheduler.ReduceLROnPlateau](https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html).
#[derive(Clone, Debug)]
pub struct ReduceLrOnPlateau {
    /// Whether larger is better: no.
    pub maximize: bool,
    /// The factor: 0.1.
    pub factor: f64,
    /// How many steps without getting better are borne: 10.
    pub patience: usize,
    /// By how much a metric must be better than the best to count: 1e-4.
    pub threshold: f64,
    /// Whether the threshold is a part of the best metric: yes.
    pub relative: bool,
    /// How many steps after a change nothing is counted: 0.
    pub cooldown: usize,
    /// The least rate: 0.
    pub min_lr: f64,
    /// A smaller change than this is not made: 1e-8.
    pub eps: f64,
    /// The best metric so far.
    pub best: Option<f64>,
    /// How many steps ago that was.
    pub num_bad_epochs: usize,
    /// For how many steps more nothing is counted.
    pub cooldown_counter: usize,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> ReduceLrOnPlateau {
        ReduceLrOnPlateau {
            maximize: false,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            relative: true,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
            best: None,
            num_bad_epochs: 0,
            cooldown_counter: 0,
        }
    }
}

impl ReduceLrOnPlateau {
    /// Takes note of a metric, and lowers the rates if it is time. A metric that is NaN is never better.
    pub fn step(&mut self, optimizer: &mut Optimizer, metric: f64) {
        if self.is_better(metric) {
            (self.best, self.num_bad_epochs) = (Some(metric), 0);
        } else {
            self.num_bad_epochs += 1;
        }
        if self.cooldown_counter > 0 {
            self.cooldown_counter -= 1;
            self.num_bad_epochs = 0;
        }
        if self.num_bad_epochs <= self.patience {
            return;
        }
        for i in 0..optimizer.groups() {
            let lr = optimizer.option(i, "lr").unwrap_or(0.0);
            let lower = (lr * self.factor).max(self.min_lr);
            if lr - lower > self.eps {
                optimizer.set_option(i, "lr", lower);
            }
        }
        (self.cooldown_counter, self.num_bad_epochs) = (self.cooldown, 0);
    }

    fn is_better(&self, metric: f64) -> bool {
        let sign = if self.maximize { -1.0 } else { 1.0 };
        let Some(best) = self.best else { return !metric.is_nan() };
        let margin = if self.relative { best * self.threshold * sign } else { self.threshold };
        sign * metric < sign * best - margin
    }

    /// What was seen so far.
    pub fn state_dict(&self) -> StateDict {
        let counts = [("num_bad_epochs", self.num_bad_epochs), ("cooldown_counter", self.cooldown_counter)];
        let counts = counts.map(|(name, n)| (name.to_string(), number(n as f64)));
        let best = self.best.map(|best| ("best".to_string(), number(best)));
        counts.into_iter().chain(best).collect()
    }

    /// Goes on from a state given by [`ReduceLrOnPlateau::state_dict`].
    ///
    /// # Errors
    /// If an entry is missing: the error names it.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let bad = read_number(state, "num_bad_epochs")? as usize;
        let cooldown = read_number(state, "cooldown_counter")? as usize;
        let best = if state.contains_key("best") { Some(read_number(state, "best")?) } else { None };
        (self.num_bad_epochs, self.cooldown_counter, self.best) = (bad, cooldown, best);
        Ok(())
    }
}
