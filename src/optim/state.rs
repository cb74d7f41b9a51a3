//! The state of an optimizer by name, given and taken; PyTorch's own is taken as well.

use crate::error::{Error, Kind, Result};
use crate::optim::range::{fault, may_be_nan};
use crate::optim::rule::Memory;
use crate::optim::{Decay, Optimizer, Rule};
use crate::state::{StateDict, as_in, below, number, read_number};
use crate::tensor::Tensor;

/// Options of PyTorch's that change no step: how it computes, and what its schedulers keep in groups.
const ASIDE: [&str; 10] = [
    "base_momentum",
    "capturable",
    "differentiable",
    "foreach",
    "fused",
    "initial_lr",
    "max_lr",
    "max_momentum",
    "min_lr",
    "swa_lr",
];

/// States that are kept where an option is not 0 only.
const OPTIONAL: [(&str, &str); 3] =
    [("grad_avg", "centered"), ("max_exp_avg_sq", "amsgrad"), ("momentum_buffer", "momentum")];

impl Optimizer {
    /// Options, states and step counts, under PyTorch's names, such as `param_groups.0.lr` and `state.3.exp_avg`. Tensors
    /// share their storage with the optimizer.
    pub fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        for (i, group) in self.groups.iter().enumerate() {
            for (name, x) in group.rule.options() {
                state.insert(format!("param_groups.{i}.{name}"), number(x));
            }
        }
        let slots = self.groups.iter().flat_map(|group| &group.slots).enumerate();
        for (i, slot) in slots.filter(|(_, slot)| slot.steps > 0 || !slot.memory.tensors.is_empty()) {
            state.insert(format!("state.{i}.step"), number(slot.steps as f64));
            let skipped = slot.memory.skipped.iter().map(|x| ("skipped".to_string(), x.untracked()));
            let tensors = slot.memory.tensors.iter().map(|(name, x)| (name.clone(), x.untracked()));
            let numbers = slot.memory.numbers.iter().map(|(name, &x)| (name.clone(), number(x)));
            state.extend(tensors.chain(numbers).chain(skipped).map(|(name, x)| (format!("state.{i}.{name}"), x)));
        }
        state.extend(self.skipped.iter().map(|n| ("skipped".to_string(), n.untracked())));
        state
    }

    /// Takes a state given by [`Optimizer::state_dict`] of an optimizer with the same groups, or by PyTorch's, as
    /// [`load_pt`](crate::io::load_pt) reads it. Nothing is changed unless all of it fits.
    ///
    /// Options that only say how PyTorch computes (`foreach`, `fused`) are passed over. Others that the rule lacks must be
    /// off; texts (Muon's `adjust_lr_fn`) are not read from its files, and stay at their defaults.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, optim::Adam};
    /// let p = Tensor::new([1.0], &Device::cpu()).requires_grad_(true)?;
    /// let mut adam = Adam::new([&p], 0.1);
    /// let mut state = Adam::new([&p], 0.2).state_dict();
    /// state.insert("param_groups.0.fused".into(), Tensor::full((), 1.0, &Device::cpu()));
    /// adam.load_state_dict(&state)?;
    /// assert_eq!(adam.lr(), 0.2);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If an entry is missing, unknown, outside of its range or of another shape, or a group has another number of
    /// parameters: the error names it.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let mut options = Vec::new();
        for (i, group) in self.groups.iter().enumerate() {
            options.push(read_options(&*group.rule, group.slots.len(), state, &format!("param_groups.{i}."))?);
        }
        let mut memories = Vec::new();
        for (group, options) in self.groups.iter().zip(&options) {
            for slot in &group.slots {
                let prefix = format!("state.{}.", memories.len());
                memories.push(read_memory(&*group.rule, options, &slot.parameter, state, &prefix)?);
            }
        }
        let (groups, parameters) = (self.groups.len(), memories.len());
        let is_known = |key: &str| match key.split('.').collect::<Vec<_>>()[..] {
            ["skipped"] => true,
            ["param_groups", i, ..] => i.parse().is_ok_and(|i: usize| i < groups),
            ["state", i, ..] => i.parse().is_ok_and(|i: usize| i < parameters),
            _ => false,
        };
        if let Some(key) = state.keys().find(|key| !is_known(key)) {
            return Err(wrong(format!("there is no parameter or group for {key}")));
        }
        let skipped = match (state.get("skipped"), self.parameters().next()) {
            (Some(n), Some(p)) => Some(n.untracked().to_device(&p.device())?.copy()),
            _ => None,
        };
        for (group, options) in self.groups.iter_mut().zip(options) {
            for (name, x) in options {
                group.rule.set_option(&name, x);
            }
        }
        let slots = self.groups.iter_mut().flat_map(|group| &mut group.slots);
        for (slot, (memory, steps)) in slots.zip(memories) {
            (slot.memory, slot.steps) = (memory, steps);
        }
        self.skipped = skipped;
        Ok(())
    }
}

fn wrong(what: String) -> Error {
    Error::new(Kind::Data, format!("load_state_dict: {what}"))
}

/// Options by name.
type Options = Vec<(String, f64)>;

/// The options of a group.
fn read_options(rule: &dyn Rule, parameters: usize, state: &StateDict, prefix: &str) -> Result<Options> {
    let mut options = rule.options();
    for (name, x) in &mut options {
        let key = format!("{prefix}{name}");
        // What may be NaN is None in Python, and no entry of its files.
        if !state.contains_key(&key) && (x.is_nan() || may_be_nan(name)) {
            *x = f64::NAN;
            continue;
        }
        *x = read_number(state, &key)?;
        if let Some(fault) = fault(name, *x) {
            return Err(wrong(format!("{prefix}{fault}")));
        }
    }
    let mut listed = 0;
    for (key, _) in below(state, prefix) {
        let name = &key[prefix.len()..];
        if name.starts_with("params.") {
            listed += 1;
        } else if rule.option(name).is_none() && !ASIDE.contains(&name) {
            let is_decoupled = name == "decoupled_weight_decay" && rule.decay() == Decay::Decoupled;
            let (x, own) = (read_number(state, key)?, is_decoupled as u8 as f64);
            if x != own {
                return Err(wrong(format!("{key} is {x}, and {} knows {own} alone", rule.name())));
            }
        }
    }
    if listed != 0 && listed != parameters {
        return Err(wrong(format!("{prefix}params are {listed}, and the group has {parameters}")));
    }
    Ok(options)
}

/// What is remembered of a parameter, and the number of its steps.
fn read_memory(
    rule: &dyn Rule,
    options: &Options,
    p: &Tensor,
    state: &StateDict,
    prefix: &str,
) -> Result<(Memory, usize)> {
    let (mut memory, mut steps) = (Memory::default(), None);
    let states = rule.states(p.shape());
    for (key, entry) in below(state, prefix) {
        let name = &key[prefix.len()..];
        let shape = states.iter().find(|(other, _)| *other == name).map(|(_, shape)| shape);
        match (name, shape) {
            ("step", _) => steps = Some(read_number(state, key)? as usize),
            ("skipped", _) => memory.skipped = Some(entry.untracked().to_device(&p.device())?.copy()),
            (_, Some(Some(shape))) if entry.shape() != shape => {
                return Err(wrong(format!("{key} has the shape {:?} instead of {shape:?}", entry.shape())));
            }
            (_, Some(Some(_))) => drop(memory.tensors.insert(name.to_string(), as_in(entry, p)?.copy())),
            (_, Some(None)) => drop(memory.numbers.insert(name.to_string(), read_number(state, key)?)),
            (_, None) => return Err(wrong(format!("{} keeps no state {key}", rule.name()))),
        }
    }
    let is_asked_for = |name: &str| match OPTIONAL.iter().find(|(state, _)| *state == name) {
        Some((_, option)) => options.iter().any(|(name, x)| name == option && *x != 0.0),
        None => true,
    };
    let is_missing = |name: &str| !memory.tensors.contains_key(name) && !memory.numbers.contains_key(name);
    if let Some((name, _)) = states.iter().find(|(name, _)| steps.is_some() && is_asked_for(name) && is_missing(name)) {
        return Err(wrong(format!("the state has no {prefix}{name}")));
    }
    // Where PyTorch keeps a momentum alone it counts no steps, as its rule asks for no number of them.
    if steps.is_none() && memory.tensors.keys().any(|name| name != "momentum_buffer") {
        return Err(wrong(format!("the state has no {prefix}step")));
    }
    Ok((memory, steps.unwrap_or(0)))
}
