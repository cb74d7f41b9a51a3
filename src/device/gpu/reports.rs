//! What only the device sees, an index out of range and a result that is not finite: kernels leave words in a small buffer,
//! which go out with the next readback.

use super::adapter::Context;
use crate::device::watch::Watched;
use crate::error::{Error, Kind};
use crate::ops::op::Op;
use crate::tensor::backend::{Graph, Node, Sought};
use crate::tensor::value::Value;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Reports {
    status: wgpu::Buffer,
    places: Mutex<Places>,
    /// The operations whose results are looked at, in their order, since the buffer was last read.
    watched: Mutex<Vec<Watched>>,
    /// Whether a kernel that may report was dispatched since the buffer was last read.
    armed: AtomicBool,
}

/// Bytes of the buffer: a word for an index out of range; and for results the word of the first operation, what its first
/// index lacks of the largest number, and the word of the last operation whose operands had it already.
pub(super) const STATUS_BYTES: usize = 16;

#[derive(Default)]
struct Places {
    numbers: HashMap<(&'static Location<'static>, &'static str, usize, usize), u32>,
    messages: Vec<String>,
}

impl Reports {
    pub fn new(context: &Context) -> Reports {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let status = context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("status"),
            size: STATUS_BYTES as u64,
            usage,
            mapped_at_creation: false,
        });
        let (places, watched) = (Mutex::default(), Mutex::default());
        Reports { status, places, watched, armed: AtomicBool::new(false) }
    }

    pub fn status(&self) -> &wgpu::Buffer {
        &self.status
    }

    /// The word that stands for an index of `value` being out of range: the earlier a place was met, the larger.
    pub fn word(&self, value: &Value, size: usize) -> u32 {
        let (Op::Gather { dim } | Op::Scatter { dim, .. }) = value.op else {
            unreachable!("only indices are reported")
        };
        let (name, at) = (value.op.name(), value.at);
        let mut places = self.places.lock();
        let next = places.messages.len() as u32;
        let number = *places.numbers.entry((at, name, dim, size)).or_insert(next);
        if number == next {
            let (file, line) = (at.file(), at.line());
            places.messages.push(format!(
                "{name}: an index is out of range for dimension {dim} of size {size} (recorded at {file}:{line})"
            ));
        }
        u32::MAX - number
    }

    /// The word that stands for the result of a node having what is sought: the earlier it is computed, the larger. The kernels
    /// that look at one node follow each other.
    pub fn watched(&self, graph: &Graph, node: &Node, sought: Sought) -> u32 {
        let mut watched = self.watched.lock();
        if watched.last().is_none_or(|last| last.id != node.value.id) {
            watched.push(Watched::of(graph, node, sought));
        }
        u32::MAX - (watched.len() - 1) as u32
    }

    /// A kernel that may report has been submitted.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::Release);
    }

    /// The operations that were looked at, if there may be something to read; asking disarms.
    pub fn disarm(&self) -> Option<Vec<Watched>> {
        self.armed.swap(false, Ordering::AcqRel).then(|| std::mem::take(&mut *self.watched.lock()))
    }

    /// Forgets what was found of results.
    pub fn forget(&self, context: &Context) {
        self.watched.lock().clear();
        let mut encoder = context.device.create_command_encoder(&Default::default());
        encoder.clear_buffer(&self.status, 4, None);
        context.queue.submit([encoder.finish()]);
    }

    /// What the words of the buffer say.
    pub fn error(&self, words: &[u32], watched: &[Watched]) -> Option<Error> {
        let &[index, first, element, operands] = words else { unreachable!("the status has four words") };
        let number = |word: u32| (word != 0).then_some((u32::MAX - word) as usize);
        if let Some(message) = number(index).and_then(|number| self.places.lock().messages.get(number).cloned()) {
            return Some(Error::new(Kind::Misuse, message));
        }
        Some(watched.get(number(first)?)?.error(number(element)?, operands == first))
    }
}
