//! A budget for what is saved: beyond it, the values that are cheapest to compute again are not kept.
//!
//! # Note: what can be computed again
//! Values are immutable, and one that is still pending knows its operation and operands. So it can be recorded once more
//! from values that are kept anyway, down to the last one; a random value is the same again, since its numbers are
//! counted. Nothing has to be run twice by the user, as a checkpoint has to.

use crate::error::{Error, Kind, Result};
use crate::ops::op::Op;
use crate::shape::{Layout, numel};
use crate::tensor::saved::{SavedTensorsGuard, hooks_that_keep};
use crate::tensor::value::{Operand, Value};
use crate::tensor::{Cell, Meta, Tensor};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// Until the guard is dropped, what this thread saves for backward shall take no more than `bytes`. Where it would, the
/// values that are cheapest to compute again, for the bytes they take, are given up, and computed again in backward:
/// the cost of a value is how many elements its operation reads, of a matrix product how many it multiplies. Gradients are
/// the same. A value that has been computed already is kept, so that the budget may be exceeded.
///
/// ```
/// use wgrad::autograd::memory_budget;
/// use wgrad::{Device, Tensor};
/// let x = Tensor::ones([1000], &Device::cpu()).requires_grad_(true)?;
/// let y = {
///     let _scope = memory_budget(8_000);
///     x.sin().exp().tanh().sigmoid().sum()
/// };
/// y.backward()?;
/// assert!(x.grad().is_some());
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// Backward fails if a tensor that is still held was changed in place.
pub fn memory_budget(bytes: usize) -> SavedTensorsGuard {
    let budget = Mutex::new(Budget { bytes, entries: Vec::new() });
    let pack = move |x: Tensor| budget.lock().keep(&x);
    hooks_that_keep(pack, |entry: &Arc<Entry>| entry.tensor(), |entry| Some(entry.values()))
}

struct Budget {
    bytes: usize,
    entries: Vec<Weak<Entry>>,
}

/// One saved tensor.
struct Entry {
    layout: Layout,
    cell: Weak<Cell>,
    version: u64,
    kept: Mutex<Kept>,
}

#[derive(Clone)]
enum Kept {
    Value(Arc<Value>),
    Recipe(Arc<Recipe>),
}

/// How a value follows from others that are kept.
struct Recipe {
    /// The value without its operands.
    of: Arc<Value>,
    operands: Vec<(Kept, Layout)>,
    cost: usize,
}

impl Entry {
    /// What is kept of it, or for it.
    fn values(&self) -> Vec<Arc<Value>> {
        let mut all = HashMap::new();
        self.kept.lock().read(&mut all);
        all.into_values().collect()
    }

    fn tensor(&self) -> Result<Tensor> {
        if self.cell.upgrade().is_some_and(|cell| cell.version() != self.version) {
            let shape = self.layout.shape.as_slice();
            return Err(Error::new(
                Kind::InPlace,
                format!("backward: a value of shape {shape:?} saved under a memory budget was changed in place"),
            ));
        }
        let value = self.kept.lock().clone().value();
        let (dtype, device) = (value.dtype, value.device.clone());
        Ok(Tensor::from_parts(Cell::new(value), self.layout.clone(), dtype, device, Meta::default(), None))
    }
}

impl Kept {
    /// The value, recorded anew if need be.
    fn value(self) -> Arc<Value> {
        match self {
            Kept::Value(value) => value,
            Kept::Recipe(recipe) => {
                let operand =
                    |(kept, layout): &(Kept, Layout)| Operand { value: kept.clone().value(), layout: layout.clone() };
                let operands = recipe.operands.iter().map(operand).collect();
                let Value { op, shape, dtype, device, at, .. } = &*recipe.of;
                Value::record(op.clone(), operands, shape.clone(), *dtype, device, at)
            }
        }
    }

    /// Adds the values that are read.
    fn read(&self, all: &mut HashMap<u64, Arc<Value>>) {
        match self {
            Kept::Value(value) => drop(all.insert(value.id, value.clone())),
            Kept::Recipe(recipe) => recipe.operands.iter().for_each(|(kept, _)| kept.read(all)),
        }
    }
}

/// How far back a value may be computed again.
const DEPTH: usize = 16;

impl Budget {
    fn keep(&mut self, x: &Tensor) -> Arc<Entry> {
        let Operand { value, layout } = x.operand();
        let kept = Mutex::new(Kept::Value(value));
        let entry = Arc::new(Entry { layout, cell: Arc::downgrade(&x.0.cell), version: x.version(), kept });
        self.entries.retain(|entry| entry.strong_count() > 0);
        self.entries.push(Arc::downgrade(&entry));
        while self.give_up_one() {}
        entry
    }

    /// Gives up the value that is cheapest to compute again for its bytes, if the budget is exceeded and there is one.
    fn give_up_one(&self) -> bool {
        let entries: Vec<Arc<Entry>> = self.entries.iter().filter_map(Weak::upgrade).collect();
        let (mut saved, mut read) = (HashMap::new(), HashMap::new());
        for entry in &entries {
            match &*entry.kept.lock() {
                Kept::Value(value) => drop(saved.insert(value.id, value.clone())),
                recipe => recipe.read(&mut read),
            }
        }
        let bytes = |value: &Value| value.numel() * value.dtype.size();
        let all: HashMap<u64, usize> = saved.iter().chain(&read).map(|(&id, value)| (id, bytes(value))).collect();
        if all.values().sum::<usize>() <= self.bytes {
            return false;
        }
        let kept: HashSet<u64> = all.keys().copied().collect();
        // What a recipe reads stays.
        let free = saved.values().filter(|value| !read.contains_key(&value.id));
        let recipes = free.filter_map(|value| Some((value.id, bytes(value), recipe(value, &kept, DEPTH)?)));
        let rate = |(_, bytes, recipe): &(u64, usize, Arc<Recipe>)| *bytes as f64 / recipe.cost as f64;
        let Some((id, _, recipe)) = recipes.max_by(|a, b| rate(a).total_cmp(&rate(b))) else { return false };
        for entry in entries {
            let mut kept = entry.kept.lock();
            if matches!(&*kept, Kept::Value(value) if value.id == id) {
                *kept = Kept::Recipe(recipe.clone());
            }
        }
        true
    }
}

/// A recipe for a pending value from values that are kept, or computed already.
fn recipe(value: &Arc<Value>, kept: &HashSet<u64>, depth: usize) -> Option<Arc<Recipe>> {
    let operands = value.operands();
    if depth == 0 || operands.is_empty() && !matches!(value.op, Op::Random(..) | Op::Iota) {
        return None;
    }
    let mut cost = operands.iter().map(|operand| operand.layout.numel()).sum::<usize>().max(value.numel());
    if let Op::Matmul { cols, .. } = value.op {
        let inner = &operands[0].layout.shape[value.shape.len() - cols..];
        cost = 2 * value.numel() * numel(inner);
    }
    let mut again = Vec::with_capacity(operands.len());
    for Operand { value: x, layout } in operands {
        let is_there = kept.contains(&x.id) || x.buffer().is_some() || matches!(x.op, Op::Full(_));
        again.push(match is_there {
            true => (Kept::Value(x), layout),
            false => {
                let recipe = recipe(&x, kept, depth - 1)?;
                cost += recipe.cost;
                (Kept::Recipe(recipe), layout)
            }
        });
    }
    Some(Arc::new(Recipe { of: value.without_operands(), operands: again, cost: cost.max(1) }))
}
