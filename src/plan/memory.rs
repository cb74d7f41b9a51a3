//! Which buffer each value lies in: values that never live at the same time share one.

use super::flow::Flow;
use super::steps::{Item, Schedule, Step};
use super::{Place, Plan};
use crate::dtype::DType;
use std::collections::{HashMap, HashSet};

/// A buffer that exists while the plan runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its size, as [`size_class`] rounds it.
    pub bytes: usize,
    /// The input whose buffer it is, if that may be overwritten.
    pub input: Option<usize>,
    /// The first kernel that uses it, and the last one.
    pub used: (usize, usize),
}

/// Bytes that elements take in device memory: one word each, or two narrow floats a word.
pub fn bytes_of(dtype: DType, numel: usize) -> usize {
    match dtype {
        DType::F16 | DType::BF16 => numel.div_ceil(2) * 4,
        _ => numel * 4,
    }
}

impl Plan {
    /// The bytes of buffers that hold neither inputs nor what is kept.
    pub fn temporary_bytes(&self) -> u64 {
        let kept: HashSet<usize> = self.held.iter().map(|(_, slot)| *slot).collect();
        let temporary = self.slots.iter().enumerate().filter(|(s, slot)| slot.input.is_none() && !kept.contains(s));
        temporary.map(|(_, slot)| slot.bytes as u64).sum()
    }
}

/// The size of the buffer that holds `bytes`: at most a quarter more, so that buffers fit many values.
pub fn size_class(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 8).max(256);
    bytes.next_multiple_of(step)
}

pub(super) struct Memory {
    pub slots: Vec<Slot>,
    places: HashMap<Item, Place>,
}

impl Memory {
    pub fn place(&self, item: Item) -> Place {
        self.places[&item]
    }

    pub fn slot(&self, node: usize) -> usize {
        match self.place(Item::Node(node)) {
            Place::Slot(slot) => slot,
            Place::Input(_) | Place::Status => unreachable!("a result lies in a slot"),
        }
    }

    pub fn held(&self, flow: &Flow) -> Vec<(usize, usize)> {
        flow.computed().filter(|&n| flow.node(n).held).map(|n| (n, self.slot(n))).collect()
    }
}

pub(super) fn assign(flow: &Flow, schedule: &Schedule) -> Memory {
    let mut memory = Memory { slots: Vec::new(), places: HashMap::new() };
    for (i, input) in flow.graph.inputs.iter().enumerate() {
        let place = if input.donated {
            let bytes = size_class(bytes_of(input.value.dtype, input.value.numel()));
            memory.slots.push(Slot { bytes, input: Some(i), used: (usize::MAX, 0) });
            Place::Slot(memory.slots.len() - 1)
        } else {
            Place::Input(i)
        };
        memory.places.insert(Item::Input(i), place);
    }
    let last = last_uses(flow, schedule);
    let mut free: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, step) in schedule.steps.iter().enumerate() {
        for &(item, from) in &step.over {
            let place = memory.places[&from];
            memory.places.insert(item, place);
        }
        for &item in &step.writes {
            if memory.places.contains_key(&item) {
                continue;
            }
            let size = size_class(size(flow, schedule, item));
            let slot = free.get_mut(&size).and_then(Vec::pop).unwrap_or_else(|| {
                memory.slots.push(Slot { bytes: size, input: None, used: (usize::MAX, 0) });
                memory.slots.len() - 1
            });
            memory.places.insert(item, Place::Slot(slot));
        }
        for item in items(step) {
            let Place::Slot(slot) = memory.places[&item] else { continue };
            let used = &mut memory.slots[slot].used;
            *used = (used.0.min(at), at);
        }
        let mut ended: Vec<usize> = items(step)
            .filter(|item| last.get(item) == Some(&at) && !step.over.iter().any(|(_, from)| from == item))
            .filter_map(|item| match memory.places[&item] {
                Place::Slot(slot) => Some(slot),
                Place::Input(_) | Place::Status => None,
            })
            .collect();
        ended.sort_unstable();
        ended.dedup();
        for slot in ended {
            free.entry(memory.slots[slot].bytes).or_default().push(slot);
        }
    }
    memory
}

fn items(step: &Step) -> impl Iterator<Item = Item> + '_ {
    step.reads.iter().chain(&step.writes).copied()
}

fn size(flow: &Flow, schedule: &Schedule, item: Item) -> usize {
    match item {
        Item::Input(i) => bytes_of(flow.graph.inputs[i].value.dtype, flow.graph.inputs[i].value.numel()),
        Item::Node(n) => bytes_of(flow.node(n).value.dtype, flow.node(n).value.numel()),
        Item::Scratch(k) => 4 * schedule.scratch[k],
    }
}

/// The last step that uses each value; nothing for those that outlive the plan.
fn last_uses(flow: &Flow, schedule: &Schedule) -> HashMap<Item, usize> {
    let mut last = HashMap::new();
    for (at, step) in schedule.steps.iter().enumerate() {
        last.extend(items(step).map(|item| (item, at)));
    }
    last.retain(|item, _| match *item {
        Item::Node(n) => !flow.node(n).held,
        Item::Input(_) | Item::Scratch(_) => true,
    });
    last
}
