//! What an adapter can do at best, measured by two small kernels: one that copies, one that computes in registers.

use super::adapter::Context;
use crate::tensor::profile::Event;

/// The most that kernels reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceilings {
    /// Bytes that memory reads and writes, in a second.
    pub bandwidth: f64,
    /// Multiplications and additions of `f32`, in a second.
    pub flops: f64,
}

/// A copy of vectors of four words.
const COPY: &str = "
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i < arrayLength(&y)) {
    y[i] = x[i];
  }
}";

/// Chains of multiplications and additions that do not wait for each other; the one number read keeps them from being
/// computed beforehand, and the sum from being left out.
const COMPUTE: &str = "
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  let m = vec4<f32>(x[0]) + 0.5;
  var a = m + f32(i);
  var b = a + 1.0;
  var c = a + 2.0;
  var d = a + 3.0;
  for (var k = 0u; k < ROUNDSu; k++) {
    a = a * m + m;
    b = b * m + m;
    c = c * m + m;
    d = d * m + m;
  }
  y[i % arrayLength(&y)] = vec4<u32>(a + b + c + d);
}";

/// Operations of a thread in one round: four vectors of four, each multiplied and added to.
const PER_ROUND: usize = 32;
const RUNS: usize = 5;

impl Ceilings {
    /// Measures both; nothing is known if the device refuses.
    pub fn measure(context: &Context) -> Option<Ceilings> {
        // Long enough to be timed; a processor would take too long for what a GPU does in a millisecond.
        let (bytes, threads, rounds) =
            if context.target.processor { (64 << 20, 1 << 15, 512) } else { (512 << 20, 1 << 20, 1024) };
        let most = context.limits.max_storage_buffer_binding_size.min(context.limits.max_buffer_size) as usize;
        let bytes = bytes.min(most) / 16 * 16;
        let copy = fastest(context, COPY, bytes, bytes / 16)?;
        let compute = fastest(context, &COMPUTE.replace("ROUNDS", &rounds.to_string()), 1 << 20, threads)?;
        let flops = (threads * rounds * PER_ROUND) as f64 / compute;
        Some(Ceilings { bandwidth: 2.0 * bytes as f64 / copy, flops })
    }
}

/// What a kernel took and reached, as its line in a plan ends.
pub(super) fn share(kernel: &Event, ceilings: Option<Ceilings>) -> String {
    let seconds = kernel.duration.as_secs_f64();
    let time = format!("; {:.1} µs", seconds * 1e6);
    let bytes = (kernel.bytes_read + kernel.bytes_written) as f64;
    let (amount, unit, most) = match kernel.flops {
        0 => (bytes, "GB/s", ceilings.map(|ceilings| ceilings.bandwidth)),
        flops => (flops as f64, "GFLOP/s", ceilings.map(|ceilings| ceilings.flops)),
    };
    if seconds == 0.0 || amount == 0.0 {
        return time;
    }
    let rate = amount / seconds;
    let share = most.map(|most| format!(", {:.0} % of {:.1}", 100.0 * rate / most, most * 1e-9)).unwrap_or_default();
    format!("{time}, {:.2} {unit}{share}", rate * 1e-9)
}

/// The seconds of the fastest of several runs of a kernel.
fn fastest(context: &Context, wgsl: &str, bytes: usize, threads: usize) -> Option<f64> {
    let device = &context.device;
    let buffer = |size: usize, usage| {
        let descriptor = wgpu::BufferDescriptor { label: None, size: size as u64, usage, mapped_at_creation: false };
        device.create_buffer(&descriptor)
    };
    let [x, y] = [(); 2].map(|()| buffer(bytes, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST));
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("ceiling"),
        source: wgpu::ShaderSource::Wgsl(wgsl.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("ceiling"),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: None,
    });
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: x.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: y.as_entire_binding() },
        ],
    });
    let count = 2 * RUNS as u32;
    let set = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count };
    let set = device.create_query_set(&set);
    let size = 8 * count as usize;
    let resolved = buffer(size, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
    let staging = buffer(size, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let mut encoder = device.create_command_encoder(&Default::default());
    let [columns, rows, _] = crate::plan::grid(threads.div_ceil(64));
    for run in 0..RUNS as u32 {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: Some(2 * run),
                end_of_pass_write_index: Some(2 * run + 1),
            }),
        });
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(columns, rows, 1);
    }
    encoder.resolve_query_set(&set, 0..count, &resolved, 0);
    encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size as u64);
    context.queue.submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |_| {});
    context.wait().ok()?;
    let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..).ok()?);
    let shortest = ticks.chunks(2).map(|run| run[1].saturating_sub(run[0])).min()?;
    (shortest > 0).then(|| shortest as f64 * context.queue.get_timestamp_period() as f64 * 1e-9)
}
