//! A schedule at work: it counts steps and gives an optimizer its learning rate.

use crate::error::{Error, Kind, Result};
use crate::optim::{Optimizer, Schedule};
use crate::state::{StateDict, number, read_number};

/// Gives all groups of an optimizer the rates of a [`Schedule`], step by step.
///
/// ```
/// use wgrad::optim::{Schedule, Scheduler, Sgd};
/// use wgrad::{Device, Tensor};
/// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
/// let mut sgd = Sgd::new([&p], 0.1);
/// let mut scheduler = Scheduler::new(&mut sgd, Schedule::Step { step_size: 2, gamma: 0.5 });
/// let mut rates = Vec::new();
/// for _ in 0..4 {
///     rates.push(sgd.lr());
///     sgd.step()?;
///     scheduler.step(&mut sgd);
/// }
/// assert_eq!(rates, [0.1, 0.1, 0.05, 0.05]);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub struct Scheduler {
    schedule: Schedule,
    base_lrs: Vec<f64>,
    last_epoch: usize,
}

impl Scheduler {
    /// Sets the rates of the first step; the rates that the groups have now are those the schedule begins with.
    pub fn new(optimizer: &mut Optimizer, schedule: Schedule) -> Scheduler {
        let base_lrs = (0..optimizer.groups()).map(|i| optimizer.option(i, "lr").unwrap_or(0.0)).collect();
        let scheduler = Scheduler { schedule, base_lrs, last_epoch: 0 };
        scheduler.apply(optimizer);
        scheduler
    }

    /// Sets the rates of the next step.
    pub fn step(&mut self, optimizer: &mut Optimizer) {
        self.last_epoch += 1;
        self.apply(optimizer);
    }

    /// How many steps were made.
    pub fn last_epoch(&self) -> usize {
        self.last_epoch
    }

    /// The step and the first rates.
    pub fn state_dict(&self) -> StateDict {
        let rates = self.base_lrs.iter().enumerate().map(|(i, &lr)| (format!("base_lrs.{i}"), number(lr)));
        rates.chain([("last_epoch".to_string(), number(self.last_epoch as f64))]).collect()
    }

    /// Goes on from a state given by [`Scheduler::state_dict`], with the rates of that step.
    ///
    /// # Errors
    /// If an entry is missing or unknown: the error names it.
    pub fn load_state_dict(&mut self, optimizer: &mut Optimizer, state: &StateDict) -> Result<()> {
        let mut rates = Vec::new();
        for i in 0..self.base_lrs.len() {
            rates.push(read_number(state, &format!("base_lrs.{i}"))?);
        }
        let last_epoch = read_number(state, "last_epoch")? as usize;
        if state.len() != rates.len() + 1 {
            let (entries, groups) = (state.len() - 1, rates.len());
            return Err(Error::new(
                Kind::Data,
                format!("load_state_dict: rates for {entries} groups, and the scheduler has {groups}"),
            ));
        }
        (self.base_lrs, self.last_epoch) = (rates, last_epoch);
        self.apply(optimizer);
        Ok(())
    }

    fn apply(&self, optimizer: &mut Optimizer) {
        for (i, &lr) in self.base_lrs.iter().enumerate() {
            let (lr, momentum) = self.schedule.at(self.last_epoch, lr);
            optimizer.set_option(i, "lr", lr);
            // Adam's momentum is its first β.
            let name = ["momentum", "betas.0"].into_iter().find(|name| optimizer.option(i, name).is_some());
            if let (Some(momentum), Some(name)) = (momentum, name) {
                optimizer.set_option(i, name, momentum);
            }
        }
    }
}
