//! When to end a training that no longer gets better.

use crate::error::Result;
use crate::state::{StateDict, number, read_number};

/// Says when a metric has not got better for `patience` observations in a row.
///
/// ```
/// use wgrad::train::EarlyStopping;
/// let mut stopping = EarlyStopping { patience: 2, ..Default::default() };
/// let losses = [1.0, 0.5, 0.6, 0.5, 0.1];
/// let stopped = losses.iter().position(|&loss| stopping.observe(loss));
/// assert_eq!((stopped, stopping.best), (Some(3), Some(0.5)));
/// ```
///
/// Source: [lightning.pytorch.callbacks.EarlyStopping](https://lightning.ai/docs/pytorch/stable/api/lightning.pytorch.callbacks.EarlyStopping.html).
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    /// Whether larger is better: no.
    pub maximize: bool,
    /// After how many observations in a row that are no better it is time to stop: 3.
    pub patience: usize,
    /// By more than how much a metric must be better than the best to count: 0.
    pub min_delta: f64,
    /// The best metric so far.
    pub best: Option<f64>,
    /// How many observations ago that was.
    pub wait_count: usize,
}

impl Default for EarlyStopping {
    fn default() -> EarlyStopping {
        EarlyStopping { maximize: false, patience: 3, min_delta: 0.0, best: None, wait_count: 0 }
    }
}

impl EarlyStopping {
    /// Takes note of a metric, and says whether it is time to stop. A metric that is NaN is never better.
    pub fn observe(&mut self, metric: f64) -> bool {
        let gain = |best: f64| if self.maximize { metric - best } else { best - metric };
        if self.best.map_or(!metric.is_nan(), |best| gain(best) > self.min_delta) {
            (self.best, self.wait_count) = (Some(metric), 0);
        } else {
            self.wait_count += 1;
        }
        self.wait_count >= self.patience
    }

    /// What was seen so far.
    pub fn state_dict(&self) -> StateDict {
        let best = self.best.map(|best| ("best".to_string(), number(best)));
        best.into_iter().chain([("wait_count".to_string(), number(self.wait_count as f64))]).collect()
    }

    /// Goes on from a state given by [`EarlyStopping::state_dict`].
    ///
    /// # Errors
    /// If an entry is missing: the error names it.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let wait_count = read_number(state, "wait_count")? as usize;
        let best = if state.contains_key("best") { Some(read_number(state, "best")?) } else { None };
        (self.best, self.wait_count) = (best, wait_count);
        Ok(())
    }
}
