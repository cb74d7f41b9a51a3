//! How long kernels take by the device's own clock: while a profile runs, each has a pass of its own between two timestamps.
//!
//! Nobody waits for a kernel: timestamps are copied to a buffer that the host maps when they are there. The two clocks are
//! brought together by what is certain, that no kernel begins before the host has submitted it: the device's clock is moved
//! forward as little as makes that true of all flushes so far. A kernel's row may so be early by the shortest time that a
//! submission took to begin, and is never out of order.

use super::adapter::Context;
use super::ceilings::Ceilings;
use super::play::Prepared;
use crate::error::Result;
use crate::tensor::backend::Graph;
use crate::tensor::profile::{self, Event, Listeners};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The kernels of a device whose times are awaited, and those of the last play that was timed.
#[derive(Default)]
pub(super) struct Timings {
    state: Mutex<State>,
    ceilings: OnceLock<Option<Ceilings>>,
}

#[derive(Default)]
struct State {
    awaited: VecDeque<Timer>,
    /// The first timestamp, from which the device's time is counted: some begin in 1970, which no float could tell exactly.
    origin: Option<u64>,
    /// How far the device's time is moved to be the host's, in nanoseconds.
    moved: Option<i128>,
    last: Option<(Arc<Prepared>, Vec<Option<Event>>)>,
}

/// The timestamps of some kernels of one play.
pub(super) struct Timer {
    sets: Vec<wgpu::QuerySet>,
    buffer: wgpu::Buffer,
    mapped: Arc<AtomicBool>,
    submitted: Duration,
    prepared: Arc<Prepared>,
    kernels: Range<usize>,
    events: Vec<Event>,
    listeners: Listeners,
}

/// Timestamps that one set may have.
const MAX_QUERIES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;
const TIMESTAMP_BYTES: usize = wgpu::QUERY_SIZE as usize;

impl Timer {
    /// Timestamps for some kernels of a plan, if a profile wants them and the device has a clock.
    pub fn of(context: &Context, prepared: &Arc<Prepared>, graph: &Graph, kernels: &Range<usize>) -> Option<Timer> {
        let mut listeners = profile::listeners();
        listeners.retain(|listener| listener.kernels);
        if listeners.is_empty() || kernels.is_empty() {
            return None;
        }
        let name = &context.description.name;
        if !context.has_clock {
            for listener in &listeners {
                listener.untimed.lock().insert(name.clone());
            }
            return None;
        }
        let row: Arc<str> = name.as_str().into();
        let traffic = prepared.plan.traffic(graph);
        let events = kernels.clone().map(|at| {
            let kernel = &prepared.plan.kernels[at];
            let (bytes_read, bytes_written) = traffic[at];
            let event = graph.kernel(&kernel.nodes, Duration::ZERO, Duration::ZERO);
            Event { name: kernel.label.clone().into(), row: row.clone(), bytes_read, bytes_written, ..event }
        });
        let queries = 2 * kernels.len();
        let counts = (0..queries).step_by(MAX_QUERIES).map(|from| (queries - from).min(MAX_QUERIES) as u32);
        let set = |count| wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count };
        let sets = counts.map(|count| context.device.create_query_set(&set(count))).collect();
        Some(Timer {
            sets,
            buffer: context.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: (queries * TIMESTAMP_BYTES) as u64,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
            mapped: Arc::default(),
            submitted: Duration::ZERO,
            prepared: prepared.clone(),
            kernels: kernels.clone(),
            events: events.collect(),
            listeners,
        })
    }

    /// The pass of one of the kernels.
    pub fn pass(&self, i: usize) -> wgpu::ComputePassDescriptor<'_> {
        let at = 2 * i % MAX_QUERIES;
        wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.sets[2 * i / MAX_QUERIES],
                beginning_of_pass_write_index: Some(at as u32),
                end_of_pass_write_index: Some(at as u32 + 1),
            }),
        }
    }

    /// Has the timestamps copied behind the kernels; the submission follows.
    pub fn resolve(&mut self, context: &Context, encoder: &mut wgpu::CommandEncoder) {
        let resolved = context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: self.buffer.size(),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        for (k, set) in self.sets.iter().enumerate() {
            let from = k * MAX_QUERIES;
            let count = (2 * self.kernels.len() - from).min(MAX_QUERIES) as u32;
            encoder.resolve_query_set(set, 0..count, &resolved, (from * TIMESTAMP_BYTES) as u64);
        }
        encoder.copy_buffer_to_buffer(&resolved, 0, &self.buffer, 0, self.buffer.size());
        self.submitted = profile::now();
    }

    /// The timestamps, which have come.
    fn timestamps(&self) -> Option<Vec<u64>> {
        let mapped = self.buffer.get_mapped_range(..).ok()?;
        Some(bytemuck::pod_collect_to_vec(&mapped))
    }
}

impl Timings {
    /// The kernels of a timer have been submitted.
    pub fn submitted(&self, context: &Context, timer: Timer) {
        let mapped = timer.mapped.clone();
        timer.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            mapped.store(result.is_ok(), Ordering::Release);
        });
        let mut state = self.state.lock();
        if !state.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, &timer.prepared)) {
            state.last = Some((timer.prepared.clone(), vec![None; timer.prepared.plan.kernels.len()]));
        }
        state.awaited.push_back(timer);
        state.collect(context);
    }

    /// Waits for all times, and tells them.
    pub fn finish(&self, context: &Context) -> Result<()> {
        if self.state.lock().awaited.is_empty() {
            return Ok(());
        }
        let waited = context.wait();
        let mut state = self.state.lock();
        state.collect(context);
        // What is not there now never comes.
        state.awaited.clear();
        waited
    }

    /// What is known of each kernel of a plan, if it was the last one that was timed; and what the adapter can do, which is
    /// measured the first time.
    pub fn last(&self, context: &Context, prepared: &Arc<Prepared>) -> Option<(Vec<Option<Event>>, Option<Ceilings>)> {
        let events = match &self.state.lock().last {
            Some((last, events)) if Arc::ptr_eq(last, prepared) => events.clone(),
            _ => return None,
        };
        Some((events, *self.ceilings.get_or_init(|| Ceilings::measure(context))))
    }
}

impl State {
    /// Tells the times that have come.
    fn collect(&mut self, context: &Context) {
        let period = context.queue.get_timestamp_period() as f64;
        while self.awaited.front().is_some_and(|timer| timer.mapped.load(Ordering::Acquire)) {
            let Some(timer) = self.awaited.pop_front() else { break };
            let Some(ticks) = timer.timestamps() else { continue };
            let origin = *self.origin.get_or_insert(ticks[0]);
            let since = |ticks: &u64| (ticks.wrapping_sub(origin) as i64 as f64 * period) as i128;
            let ns: Vec<i128> = ticks.iter().map(since).collect();
            let least = timer.submitted.as_nanos() as i128 - ns[0];
            let moved = self.moved.map_or(least, |moved| moved.max(least));
            self.moved = Some(moved);
            for (i, mut event) in timer.events.into_iter().enumerate() {
                let (start, end) = (ns[2 * i], ns[2 * i + 1]);
                event.start = Duration::from_nanos((start + moved).max(0) as u64);
                event.duration = Duration::from_nanos((end - start).max(0) as u64);
                event.self_time = event.duration;
                if let Some((last, events)) = &mut self.last
                    && Arc::ptr_eq(last, &timer.prepared)
                {
                    events[timer.kernels.start + i] = Some(event.clone());
                }
                profile::tell(&timer.listeners, event);
            }
        }
    }
}
