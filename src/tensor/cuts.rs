//! The lines where `detach` cut histories off: they go along with tensors, and stay on the nodes that read them.

use crate::tensor::Tensor;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lines of calls of `detach`: each once, and hardly ever any.
#[derive(Clone, Default)]
pub(crate) struct Cuts(Option<Arc<Vec<&'static Location<'static>>>>);

/// Whether there ever was a cut: until then nothing is looked for.
static ANY: AtomicBool = AtomicBool::new(false);

impl Cuts {
    pub fn at(line: &'static Location<'static>) -> Cuts {
        ANY.store(true, Ordering::Relaxed);
        Cuts(Some(Arc::new(vec![line])))
    }

    /// Those that the inputs of an operation without a path to any leaf have behind them.
    pub fn of(inputs: &[&Tensor]) -> Cuts {
        let mut all = Cuts::default();
        if !ANY.load(Ordering::Relaxed) {
            return all;
        }
        for x in inputs {
            let cuts = x.0.meta.lock().cuts.clone();
            if cuts.0.is_some() && !x.requires_grad() {
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

    pub fn lines(&self) -> &[&'static Location<'static>] {
        self.0.as_ref().map_or(&[], |lines| lines)
    }

    fn add(&mut self, other: &Cuts) {
        let new = other.lines().iter().filter(|line| !self.lines().contains(line));
        let new: Vec<_> = new.copied().collect();
        match &mut self.0 {
            None => *self = other.clone(),
            Some(_) if new.is_empty() => {}
            Some(lines) => Arc::make_mut(lines).extend(new),
        }
    }
}
