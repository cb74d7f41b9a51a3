//! Placeholders: values that stand for any element of a batch while a function runs once for all of them.
//!
//! A placeholder is data that nobody has given. What follows from one is recorded as any value is, but stands on no
//! pending graph, so no device computes it: `func::vmap` reads the graph back and records it anew for the whole batch.

use crate::error::misuse;
use crate::shape::Layout;
use crate::tensor::value::{Operand, Operands, Value};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

/// What random operations mean inside of [`vmap`](crate::func::vmap).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Randomness {
    /// They are refused.
    #[default]
    Error,
    /// Every element of the batch sees the same numbers.
    Same,
    /// Every element has numbers of its own.
    Different,
}

/// The life of one run of a function on placeholders, on its thread.
pub(crate) struct Run {
    one_thread: PhantomData<*const ()>,
}

struct Frame {
    /// Stands for the number of the element; recorded before all that follows from it.
    element: Arc<Value>,
    randomness: Randomness,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

impl Run {
    pub fn begin(element: Arc<Value>, randomness: Randomness) -> Run {
        FRAMES.with_borrow_mut(|frames| frames.push(Frame { element, randomness }));
        Run { one_thread: PhantomData }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ended = FRAMES.with_borrow_mut(Vec::pop);
    }
}

/// What a random value depends on: the elements of the batches that have numbers of their own.
#[track_caller]
pub(crate) fn varying(op: &str) -> Operands {
    let frames = FRAMES
        .with_borrow(|frames| frames.iter().map(|frame| (frame.element.clone(), frame.randomness)).collect::<Vec<_>>());
    let mut operands = Operands::new();
    for (element, randomness) in frames {
        match randomness {
            Randomness::Error => {
                misuse(op, "draws random numbers inside of vmap, which must be told whether all elements get the same")
            }
            Randomness::Same => {}
            Randomness::Different => operands.push(Operand { value: element, layout: Layout::contiguous(&[]) }),
        }
    }
    operands
}

/// Whether writing a value over another would leave a placeholder in a tensor that is older than a run.
pub(crate) fn escapes(old: &Value, new: &Value) -> bool {
    FRAMES
        .with_borrow(|frames| frames.iter().any(|frame| new.waits_for >= frame.element.id && old.id < frame.element.id))
}
