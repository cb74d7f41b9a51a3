//! The lines where histories were cut off: they go along with tensors, and stay on the nodes that read them.

use crate::tensor::Tensor;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What has cut a history off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutBy {
    /// [`Tensor::detach`], or its twin in place.
    Detach,
    /// A guard that stops recording, such as [`no_grad`](crate::autograd::no_grad).
    NoGrad,
    /// A cast of floats to a type that has no gradients.
    Cast,
}

impl fmt::Display for CutBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CutBy::Detach => "detach",
            CutBy::NoGrad => "no_grad",
            CutBy::Cast => "cast",
        })
    }
}

/// A line, and what it did.
type Line = (CutBy, &'static Location<'static>);

/// Lines that cut: each once, and hardly ever any.
#[derive(Clone, Default)]
pub(crate) struct Cuts(Option<Arc<Vec<Line>>>);

/// Whether there ever was a cut: until then nothing is looked for.
static ANY: AtomicBool = AtomicBool::new(false);

impl Cuts {
    pub fn at(by: CutBy, line: &'static Location<'static>) -> Cuts {
        ANY.store(true, Ordering::Relaxed);
        Cuts(Some(Arc::new(vec![(by, line)])))
    }

    /// Those that the inputs of an operation without a path to any leaf have behind them.
    pub fn of(inputs: &[&Tensor]) -> Cuts {
        let mut all = Cuts::default();
        if !ANY.load(Ordering::Relaxed) {
            return all;
        }
        for x in inputs {
            let cuts = x.0.meta.lock().cuts.clone();
            // Not whether it requires grad, which a view does as its base.
            if cuts.0.is_some() && x.gradient_edge().is_none() {
                all.add(&cuts);
            }
        }
        all
    }

    /// Gives them to the results of an operation that was not recorded.
    pub fn carry(self, ys: &[&Tensor]) {
        if self.0.is_some() {
            for y in ys {
                y.0.meta.lock().cuts.add(&self);
            }
        }
    }

    pub fn lines(&self) -> &[Line] {
        self.0.as_ref().map_or(&[], |lines| lines)
    }

    pub fn add(&mut self, other: &Cuts) {
        let new = other.lines().iter().filter(|line| !self.lines().contains(line));
        let new: Vec<_> = new.copied().collect();
        match &mut self.0 {
            None => *self = other.clone(),
            Some(_) if new.is_empty() => {}
            Some(lines) => Arc::make_mut(lines).extend(new),
        }
    }
}
