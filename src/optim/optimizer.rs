//! What all rules share: groups and their options, weight decay, steps that are skipped.

use crate::error::{Result, misuse};
use crate::optim::range::{expect_option, expect_together};
use crate::optim::rule::{Decay, Memory, Rule, Step, choose};
use crate::tensor::Tensor;
use crate::tensor::autocast::no_autocast;
use crate::tensor::device::Device;
use crate::tensor::mode::no_grad;
use crate::tensor::profile::{self, EventKind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Groups of parameters, and the rule by which each group follows its gradients.
///
/// ```
/// use wgrad::{Device, Tensor, optim::Sgd};
/// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
/// let mut sgd = Sgd::new([&p], 0.1);
/// for _ in 0..2 {
///     sgd.zero_grad();
///     p.square().sum().backward()?;
///     sgd.step()?;
/// }
/// assert!((p.item()? - 0.64).abs() < 1e-6);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.optim.Optimizer](https://docs.pytorch.org/docs/stable/optim.html).
pub struct Optimizer {
    id: u64,
    pub(super) groups: Vec<Group>,
    skips_non_finite: bool,
    pub(super) skipped: Option<Tensor>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

pub(super) struct Group {
    pub rule: Box<dyn Rule>,
    pub slots: Vec<Slot>,
}

/// A parameter, what is remembered of it, and the number of steps it took part in.
pub(super) struct Slot {
    pub parameter: Tensor,
    pub memory: Memory,
    pub steps: usize,
}

impl Optimizer {
    /// An optimizer with one group.
    ///
    /// # Panics
    /// If there are no parameters, and as [`Optimizer::add_group`].
    #[track_caller]
    pub fn new<'a>(rule: impl Rule, parameters: impl IntoIterator<Item = &'a Tensor>) -> Optimizer {
        let mut optimizer = Optimizer {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            groups: Vec::new(),
            skips_non_finite: false,
            skipped: None,
        };
        let name = rule.name();
        optimizer.add_group(rule, parameters);
        if optimizer.parameters().next().is_none() {
            misuse(name, "the list of parameters is empty");
        }
        optimizer
    }

    /// Adds a group with a rule of its own.
    ///
    /// # Panics
    /// If an option is outside of its range, such as a learning rate below 0 or a `β` of 1, or a parameter is no leaf of
    /// floats, or is there already.
    #[track_caller]
    pub fn add_group<'a>(&mut self, rule: impl Rule, parameters: impl IntoIterator<Item = &'a Tensor>) {
        let name = rule.name();
        for (option, x) in rule.options() {
            expect_option(name, &option, x);
        }
        expect_together(&rule);
        let mut slots: Vec<Slot> = Vec::new();
        for p in parameters {
            expect_parameter(name, p, self.parameters().chain(slots.iter().map(|slot| &slot.parameter)));
            slots.push(Slot { parameter: p.clone(), memory: Memory::default(), steps: 0 });
        }
        self.groups.push(Group { rule: Box::new(rule), slots });
    }

    /// One step for every parameter that has a gradient; the others, and their states, stay. As in PyTorch, a step without any
    /// gradient changes nothing; [`audit`](crate::autograd::audit) finds parameters that a loss does not reach, such as those of
    /// a model that was moved to another device after the optimizer was made.
    ///
    /// # Errors
    /// If the device fails, or a gradient could not be computed, as with a label that is no class. On the CPU and on a twin
    /// parameters and states are then as they were; on a GPU the next read tells.
    #[track_caller]
    pub fn step(&mut self) -> Result<()> {
        let _unrecorded = no_grad();
        let finite = if self.skips_non_finite { self.finite() } else { None };
        self.advance(finite.as_ref())
    }

    /// One step where a 0-d condition holds, which is computed on the device and not waited for. Otherwise parameters and
    /// states stay, and the step is counted in [`Optimizer::skipped_steps`] and not in the corrections of averages that
    /// began with zeros. What other rules compute from the number of the step (`NAdam`, `RAdam`, `Adafactor`, `Asgd`,
    /// Adagrad's `lr_decay`, Sgd's first momentum with dampening) counts it.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Adam};
    /// let dev = Device::cpu();
    /// let p = Tensor::new([1.0], &dev).requires_grad_(true)?;
    /// let mut adam = Adam::new([&p], 0.1);
    /// p.square().sum().backward()?;
    /// adam.step_if(&Tensor::new(false, &dev))?;
    /// assert_eq!((p.item()?, adam.skipped_steps()?), (1.0, 1));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the device fails.
    #[track_caller]
    pub fn step_if(&mut self, condition: &Tensor) -> Result<()> {
        let _unrecorded = no_grad();
        self.advance(Some(condition))
    }

    /// Whether steps with a gradient that is infinite or NaN are skipped from now on. Whether one is, only the device knows:
    /// nothing waits for it.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Sgd};
    /// let dev = Device::cpu();
    /// let p = Tensor::new([1.0], &dev).requires_grad_(true)?;
    /// let mut sgd = Sgd::new([&p], 0.1);
    /// sgd.skip_non_finite(true);
    /// p.set_grad(Some(Tensor::new([f64::NAN], &dev)));
    /// sgd.step()?;
    /// assert_eq!((p.item()?, sgd.skipped_steps()?), (1.0, 1));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn skip_non_finite(&mut self, on: bool) {
        self.skips_non_finite = on;
    }

    /// How many steps were skipped; waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn skipped_steps(&self) -> Result<usize> {
        self.skipped.as_ref().map_or(Ok(0), |n| n.item().map(|n| n as usize))
    }

    /// Forgets the gradients of all parameters.
    pub fn zero_grad(&self) {
        self.parameters().for_each(Tensor::zero_grad);
    }

    /// The parameters of all groups.
    pub fn parameters(&self) -> impl Iterator<Item = &Tensor> {
        self.groups.iter().flat_map(|group| &group.slots).map(|slot| &slot.parameter)
    }

    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// An option of a group by its name: `lr`, `weight_decay`, `betas.0`.
    pub fn option(&self, group: usize, name: &str) -> Option<f64> {
        self.groups[group].rule.option(name)
    }

    /// Changes an option of a group.
    ///
    /// # Panics
    /// If the group's rule has no option of that name, or the number is outside of the option's range.
    #[track_caller]
    pub fn set_option(&mut self, group: usize, name: &str, x: f64) {
        let rule = &mut self.groups[group].rule;
        expect_option(rule.name(), name, x);
        if !rule.set_option(name, x) {
            let known: Vec<String> = rule.options().into_iter().map(|(name, _)| name).collect();
            misuse("set_option", format!("{} has no {name}, only {}", rule.name(), known.join(", ")));
        }
    }

    /// The learning rate of the first group.
    pub fn lr(&self) -> f64 {
        self.option(0, "lr").unwrap_or(f64::NAN)
    }

    /// Gives all groups one learning rate.
    #[track_caller]
    pub fn set_lr(&mut self, lr: f64) {
        for group in 0..self.groups() {
            self.set_option(group, "lr", lr);
        }
    }

    /// What a scaler knows it by.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether all gradients are finite, on the device of the first one.
    pub(crate) fn finite(&self) -> Option<Tensor> {
        let finite = self.parameters().filter_map(Tensor::grad).map(|g| g.untracked().isfinite().all());
        finite.reduce(|a, b| a.logical_and(b))
    }

    /// Updates every parameter that has a gradient, and starts the devices on it.
    #[track_caller]
    fn advance(&mut self, taken: Option<&Tensor>) -> Result<()> {
        let _stepping = profile::named(EventKind::Optimizer, || format!("{}.step", self.groups[0].rule.name()));
        let _as_given = no_autocast();
        // No parameter takes over what can never be read.
        for g in self.parameters().filter_map(Tensor::grad) {
            g.device().expect_computed(&g.operand().value)?;
        }
        // Counts of skipped steps are shared by all parameters that took part in the same steps.
        let mut counts: Vec<(Option<Tensor>, Tensor)> = Vec::new();
        let mut devices: Vec<Device> = Vec::new();
        for group in &mut self.groups {
            let rule = &group.rule;
            let option = |name| rule.option(name).unwrap_or(0.0);
            let (lr, weight_decay, maximize) = (option("lr"), option("weight_decay"), option("maximize") != 0.0);
            let decay = if weight_decay == 0.0 { Decay::Own } else { rule.decay() };
            for slot in &mut group.slots {
                let Some(g) = slot.parameter.grad() else { continue };
                slot.steps += 1;
                if taken.is_some() && slot.memory.skipped.is_none() {
                    slot.memory.skipped = Some(count(&mut counts, None, || Tensor::zeros((), &g.device())));
                }
                let p = slot.parameter.untracked();
                let mut g = if maximize { g.untracked().neg() } else { g.untracked() };
                if decay == Decay::Coupled {
                    g = g + &p * weight_decay;
                }
                let t = slot.steps as f64;
                let mut step = Step { p: p.clone(), g, t, memory: &mut slot.memory, taken };
                let delta = rule.step(&mut step)?;
                let start = if decay == Decay::Decoupled { &p * (1.0 - lr * weight_decay) } else { p.clone() };
                slot.parameter.copy_(&choose(taken, &(start - delta), &p))?;
                if let (Some(taken), Some(before)) = (taken, slot.memory.skipped.take()) {
                    let next = || &before + taken.logical_not().cast(before.dtype());
                    slot.memory.skipped = Some(count(&mut counts, Some(&before), next));
                }
                if !devices.contains(&p.device()) {
                    devices.push(p.device());
                }
            }
        }
        if let Some(taken) = taken {
            let before = self.skipped.take().unwrap_or_else(|| Tensor::zeros((), &taken.device()));
            self.skipped = Some(&before + taken.logical_not().cast(before.dtype()));
        }
        devices.iter().try_for_each(Device::flush)
    }
}

/// Refuses a parameter that cannot learn, or is there already.
#[track_caller]
pub(super) fn expect_parameter<'a>(name: &str, p: &Tensor, mut others: impl Iterator<Item = &'a Tensor>) {
    if !p.is_leaf() || !p.dtype().is_float() {
        let (shape, dtype) = (p.shape(), p.dtype());
        misuse(name, format!("a parameter is a leaf of floats, not a result or {dtype} elements of {shape:?}"));
    }
    if others.any(|other| other.is_same(p)) {
        misuse(name, format!("the parameter of shape {:?} is in a group already", p.shape()));
    }
}

/// What a count became or, the first time, becomes.
fn count(known: &mut Vec<(Option<Tensor>, Tensor)>, before: Option<&Tensor>, next: impl FnOnce() -> Tensor) -> Tensor {
    let same = |other: &Option<Tensor>| match (other, before) {
        (Some(a), Some(b)) => a.is_same(b),
        (None, None) => true,
        _ => false,
    };
    if let Some((_, after)) = known.iter().find(|(other, _)| same(other)) {
        return after.clone();
    }
    let after = next();
    known.push((before.cloned(), after.clone()));
    after
}
