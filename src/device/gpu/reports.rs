//! Indices out of range, which only the device sees: kernels leave a word in a small buffer, which goes out with the next
//! readback.

use super::adapter::Context;
use crate::error::{Error, Kind};
use crate::ops::op::Op;
use crate::tensor::value::Value;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Reports {
    status: wgpu::Buffer,
    places: Mutex<Places>,
    /// Whether a kernel that may report was dispatched since the buffer was last read.
    armed: AtomicBool,
}

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
            size: 16,
            usage,
            mapped_at_creation: false,
        });
        Reports { status, places: Mutex::default(), armed: AtomicBool::new(false) }
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

    /// A kernel that may report has been submitted.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::Release);
    }

    /// Whether there may be something to read; asking disarms.
    pub fn disarm(&self) -> bool {
        self.armed.swap(false, Ordering::AcqRel)
    }

    /// What a word of the buffer says.
    pub fn error(&self, word: u32) -> Option<Error> {
        let places = self.places.lock();
        let message = places.messages.get((u32::MAX - word) as usize)?;
        (word != 0).then(|| Error::new(Kind::Misuse, message.clone()))
    }
}
