//! Device memory: buffers in a few sizes, which come back here when nobody holds them any more.

use super::adapter::Context;
use crate::device::lent::Lent;
use crate::error::{Error, Kind, Result};
use crate::plan::size_class;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A buffer of a pool, lent until it is dropped.
pub(super) struct PooledBuffer {
    pub raw: wgpu::Buffer,
    /// Different for every buffer of the pool, for ever.
    pub id: u64,
    pool: Arc<Pool>,
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.take_back(self.id, self.raw.clone());
    }
}

/// The free buffers of one use, and counts of all.
pub(super) struct Pool {
    context: Arc<Context>,
    usage: wgpu::BufferUsages,
    lent: Lent,
    state: Mutex<State>,
    /// How often buffers were destroyed: whoever keeps references to buffers must then let go of them.
    pub destroyed: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Free buffers by size and number. The one with the smallest number goes first, so that a repeated program meets
    /// the same buffers again, whatever order they came back in.
    free: BTreeMap<u64, BTreeMap<u64, wgpu::Buffer>>,
    created: u64,
    bytes: u64,
}

impl Pool {
    /// A pool for buffers of one use, whose memory profiles know by a name.
    pub fn new(name: &str, context: Arc<Context>, usage: wgpu::BufferUsages) -> Arc<Pool> {
        let (lent, state, destroyed) = (Lent::on(name), Mutex::default(), AtomicU64::new(0));
        Arc::new(Pool { context, usage, lent, state, destroyed })
    }

    /// A buffer of at least `bytes`, whose contents are left over from earlier.
    pub fn lend(self: &Arc<Pool>, bytes: usize) -> Result<Arc<PooledBuffer>> {
        let limit = self.context.limits.max_buffer_size & !3;
        let size = (size_class(bytes.max(4)) as u64).min(limit);
        let mut state = self.state.lock();
        let reused = state.free.get_mut(&size).and_then(BTreeMap::pop_first);
        let (id, raw) = match reused {
            Some(reused) => reused,
            None => {
                let raw = self.create(&mut state, size)?;
                state.created += 1;
                state.bytes += size;
                (state.created, raw)
            }
        };
        drop(state);
        self.lent.take(size as usize);
        Ok(Arc::new(PooledBuffer { raw, id, pool: self.clone() }))
    }

    /// The number of buffers created so far, and the bytes that exist.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.created, state.bytes)
    }

    /// The bytes that are lent, and the most that were.
    pub fn lent(&self) -> (u64, u64) {
        self.lent.bytes()
    }

    fn create(&self, state: &mut State, size: u64) -> Result<wgpu::Buffer> {
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage: self.usage, mapped_at_creation: false };
        let raw = self.context.device.create_buffer(&descriptor);
        match self.context.check() {
            Err(error) if error.is_out_of_memory() => {}
            result => return result.map(|()| raw),
        }
        // Free buffers of other sizes are all that can be given up.
        self.destroy(state, 0);
        self.context.wait()?;
        let raw = self.context.device.create_buffer(&descriptor);
        self.context.check().map_err(|_| {
            Error::new(
                Kind::OutOfMemory,
                format!(
                    "{} has no memory left for {size} bytes; {} are in use",
                    self.context.description.name,
                    self.lent.bytes().0
                ),
            )
        })?;
        Ok(raw)
    }

    fn take_back(&self, id: u64, raw: wgpu::Buffer) {
        let size = raw.size();
        self.lent.give_back(size as usize);
        let mut state = self.state.lock();
        state.free.entry(size).or_default().insert(id, raw);
        // Programs whose shapes change would otherwise keep one buffer of each size they ever had.
        let (_, peak) = self.lent.bytes();
        let allowed = 2 * peak;
        if state.bytes > allowed {
            self.destroy(&mut state, allowed);
        }
    }

    /// Destroys free buffers, large ones first, until no more than `allowed` bytes exist.
    fn destroy(&self, state: &mut State, allowed: u64) {
        while state.bytes > allowed {
            let Some((&size, buffers)) = state.free.iter_mut().next_back() else { break };
            match buffers.pop_last() {
                Some(_) => state.bytes -= size,
                None => drop(state.free.remove(&size)),
            }
        }
        self.destroyed.fetch_add(1, Ordering::Release);
    }
}
