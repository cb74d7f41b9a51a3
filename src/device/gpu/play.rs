//! Playing a plan: buffers for its slots, one buffer of parameters, one encoder, one pass, one submission.

use super::Gpu;
use super::adapter::Context;
use super::pipelines::{PARAMS_BYTES, Pipeline, Pipelines};
use super::pool::PooledBuffer;
use super::timing::Timer;
use crate::error::Result;
use crate::plan::{Kernel, Param, Place, Plan};
use crate::tensor::backend::Graph;
use crate::tensor::profile::{self, EventKind};
use crate::tensor::value::Buffer;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A plan and its pipelines.
pub(in crate::device) struct Prepared {
    pub plan: Plan,
    pub(super) pipelines: Vec<Arc<Pipeline>>,
    pub(super) temporary_bytes: u64,
}

/// What playing needs and keeps between plays.
pub(super) struct Player {
    pub pipelines: Pipelines,
    params: wgpu::Buffer,
    words: Vec<u32>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    /// The count of destroyed buffers when bind groups were last forgotten.
    destroyed: u64,
}

/// Submissions that may wait for the device before the host waits, too: more would pile up memory.
const MAX_IN_FLIGHT: usize = 3;

impl Player {
    /// The submission to wait for before the host runs further ahead.
    pub fn overdue(&mut self) -> Option<wgpu::SubmissionIndex> {
        if self.in_flight.len() > MAX_IN_FLIGHT { self.in_flight.pop_front() } else { None }
    }

    pub fn new(context: &Context) -> Player {
        Player {
            pipelines: Pipelines::default(),
            params: params_buffer(context, 1 << 16),
            words: Vec::new(),
            in_flight: VecDeque::new(),
            destroyed: 0,
        }
    }
}

fn params_buffer(context: &Context, size: u64) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    context.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("parameters"),
        size,
        usage,
        mapped_at_creation: false,
    })
}

/// One play of a plan, whole or kernel by kernel.
pub(in crate::device) struct Session<'a> {
    gpu: &'a Gpu,
    graph: &'a Graph,
    pub prepared: Arc<Prepared>,
    inputs: Vec<Arc<PooledBuffer>>,
    slots: Vec<Arc<PooledBuffer>>,
}

impl<'a> Session<'a> {
    /// Plans a graph, or finds its plan, and gets it buffers.
    pub fn open(gpu: &'a Gpu, graph: &'a Graph) -> Result<Session<'a>> {
        let prepared = gpu.prepare(graph)?;
        let inputs: Vec<Arc<PooledBuffer>> = graph.inputs.iter().map(|input| pooled(&input.buffer)).collect();
        let slots = prepared.plan.slots.iter().map(|slot| match slot.input {
            Some(input) => Ok(inputs[input].clone()),
            None => gpu.memory.lend(slot.bytes),
        });
        let slots = slots.collect::<Result<_>>()?;
        gpu.needs_temporaries(prepared.temporary_bytes);
        Ok(Session { gpu, graph, prepared, inputs, slots })
    }

    /// The buffer of a slot.
    pub fn slot(&self, slot: usize) -> Buffer {
        self.slots[slot].clone()
    }

    /// Submits some of the kernels.
    pub fn dispatch(&self, kernels: Range<usize>) -> Result<()> {
        let encoding = profile::span(EventKind::Flush, "encode");
        let context = &self.gpu.context;
        let mut player = self.gpu.player.lock();
        let player = &mut *player;
        let offsets = self.write_params(player, kernels.clone());
        let reports = self.prepared.plan.kernels[kernels.clone()]
            .iter()
            .any(|kernel| kernel.bindings.iter().any(|binding| binding.place == Place::Status));
        let destroyed = self.gpu.memory.destroyed.load(std::sync::atomic::Ordering::Acquire);
        if destroyed != player.destroyed {
            player.destroyed = destroyed;
            player.pipelines.forget_groups();
        }
        let mut encoder = context.device.create_command_encoder(&Default::default());
        let mut timer = Timer::of(context, &self.prepared, self.graph, &kernels);
        let mut pass: Option<wgpu::ComputePass> = None;
        for (i, (at, offset)) in kernels.zip(offsets).enumerate() {
            let next = match (&timer, &pass) {
                (Some(timer), _) => Some(timer.pass(i)),
                (None, None) => Some(Default::default()),
                (None, Some(_)) => None,
            };
            if let Some(next) = next {
                drop(pass.take());
                pass = Some(encoder.begin_compute_pass(&next).forget_lifetime());
            }
            let Some(pass) = &mut pass else { unreachable!("there is a pass before the first kernel") };
            let (kernel, pipeline) = (&self.prepared.plan.kernels[at], &self.prepared.pipelines[at]);
            let buffers: SmallVec<[(u64, &wgpu::Buffer); 8]> =
                kernel.bindings.iter().map(|binding| self.buffer(binding.place)).collect();
            let group = player.pipelines.group(context, pipeline, &player.params, &buffers, kernel.sizes.as_deref());
            pass.set_pipeline(&pipeline.raw);
            pass.set_bind_group(0, group, &[offset]);
            let [x, y, z] = kernel.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
        drop(pass);
        if let Some(timer) = &mut timer {
            timer.resolve(context, &mut encoder);
        }
        let commands = encoder.finish();
        drop(encoding);
        let submitting = profile::span(EventKind::Flush, "submit");
        player.in_flight.push_back(context.queue.submit([commands]));
        drop(submitting);
        if let Some(timer) = timer {
            self.gpu.timings.submitted(context, timer);
        }
        // Waiting for a submission is waiting for all before it, so older ones need not be known.
        if player.in_flight.len() > MAX_IN_FLIGHT + 1 {
            player.in_flight.pop_front();
        }
        // Only now: a read that disarms earlier would clear the buffer before the kernel writes it.
        if reports {
            self.gpu.reports.arm();
        }
        context.check()
    }

    /// Gives every held value its buffer.
    pub fn settle(&self) {
        for &(node, slot) in &self.prepared.plan.held {
            self.graph.nodes[node].value.settle(Ok(self.slot(slot)));
        }
    }

    fn buffer(&self, place: Place) -> (u64, &wgpu::Buffer) {
        match place {
            Place::Input(i) => (self.inputs[i].id, &self.inputs[i].raw),
            Place::Slot(s) => (self.slots[s].id, &self.slots[s].raw),
            // Numbers of pooled buffers start at 1.
            Place::Status => (0, self.gpu.reports.status()),
        }
    }

    /// Writes the parameters of the kernels one after the other, and tells where each begins.
    fn write_params(&self, player: &mut Player, kernels: Range<usize>) -> Vec<u32> {
        let context = &self.gpu.context;
        let alignment = context.limits.min_uniform_buffer_offset_alignment as usize / 4;
        player.words.clear();
        let mut offsets = Vec::with_capacity(kernels.len());
        for kernel in &self.prepared.plan.kernels[kernels] {
            let start = player.words.len().next_multiple_of(alignment);
            player.words.resize(start, 0);
            offsets.push(4 * start as u32);
            self.words(kernel, &mut player.words);
        }
        let needed = 4 * player.words.len() as u64 + PARAMS_BYTES;
        if needed > player.params.size() {
            player.params = params_buffer(context, needed.next_power_of_two());
            player.pipelines.forget_groups();
        }
        context.queue.write_buffer(&player.params, 0, bytemuck::cast_slice(&player.words));
        offsets
    }

    fn words(&self, kernel: &Kernel, words: &mut Vec<u32>) {
        words.extend(kernel.params.iter().map(|param| match *param {
            Param::Word(word) => word,
            Param::Of { node, word } => {
                let value = &self.graph.nodes[node].value;
                value.op.parameters(value.dtype)[word]
            }
            Param::Report { node, size } => self.gpu.reports.word(&self.graph.nodes[node].value, size),
            Param::Watched { node, sought } => self.gpu.reports.watched(self.graph, &self.graph.nodes[node], sought),
        }));
    }
}

/// A buffer of this device.
pub(super) fn pooled(buffer: &Buffer) -> Arc<PooledBuffer> {
    buffer.clone().downcast().expect("a buffer of a GPU comes from its pool")
}
