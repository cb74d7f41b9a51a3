//! Compiled kernels, and bind groups that tie them to buffers; both are made once and kept.

use super::adapter::Context;
use crate::error::{Error, Kind, Result};
use crate::plan::Kernel;
use crate::tensor::profile::{self, EventKind};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The parameters of one kernel take at most this many bytes.
pub(super) const PARAMS_BYTES: u64 = 512;

/// A kernel that can be dispatched.
pub(super) struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    /// Bit `i` is set if storage buffer `i` is written; a bit above all of them ends the list.
    pattern: u64,
}

/// Everything that was compiled for a device.
#[derive(Default)]
pub(super) struct Pipelines {
    /// By WGSL text: kernels of different plans are often the same.
    compiled: HashMap<Arc<str>, Arc<Pipeline>>,
    layouts: HashMap<u64, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>,
    groups: HashMap<(u64, SmallVec<[u64; 8]>), wgpu::BindGroup>,
    /// Pipelines and bind groups created so far.
    pub created: (u64, u64),
    /// The time that compiling took.
    pub compile_time: Duration,
}

/// More pipelines than this are searched for those that no plan has any more.
const MAX_PIPELINES: usize = 1024;

/// More bind groups than this are taken for leftovers of shapes that do not come back.
const MAX_GROUPS: usize = 8192;

impl Pipelines {
    /// The pipeline of a kernel, compiled if it is new.
    pub fn pipeline(&mut self, context: &Context, kernel: &Kernel) -> Result<Arc<Pipeline>> {
        if let Some(pipeline) = self.compiled.get(&kernel.wgsl) {
            return Ok(pipeline.clone());
        }
        let _compiling = profile::span(EventKind::Flush, "compile");
        let start = Instant::now();
        let writes = kernel.bindings.iter().enumerate().map(|(i, binding)| (binding.write as u64) << i).sum::<u64>();
        let pattern = writes | 1u64 << kernel.bindings.len();
        let (_, layout) = self.layouts.entry(pattern).or_insert_with(|| layouts(&context.device, pattern));
        let device = &context.device;
        let label = Some(kernel.label.as_str());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label,
            source: wgpu::ShaderSource::Wgsl(kernel.wgsl.as_ref().into()),
        });
        let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(layout),
            module: &module,
            entry_point: Some("main"),
            // Every kernel of this crate writes its workgroup memory before it reads it; the user's need not.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: kernel.sizes.is_some(),
                ..Default::default()
            },
            cache: None,
        });
        context.check().map_err(|source| {
            let message = format!("kernel {} does not compile: {source}\n{}", kernel.label, kernel.wgsl);
            Error::with_source(Kind::DeviceLost, message, source)
        })?;
        if self.compiled.len() >= MAX_PIPELINES {
            self.compiled.retain(|_, pipeline| Arc::strong_count(pipeline) > 1);
        }
        self.created.0 += 1;
        self.compile_time += start.elapsed();
        let pipeline = Arc::new(Pipeline { raw, pattern });
        self.compiled.insert(kernel.wgsl.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// The bind group of a pipeline, the parameters and some storage buffers, which are told apart by number; of each, as
    /// many bytes as `sizes` says, or all.
    pub fn group(
        &mut self,
        context: &Context,
        pipeline: &Pipeline,
        params: &wgpu::Buffer,
        buffers: &[(u64, &wgpu::Buffer)],
        sizes: Option<&[u64]>,
    ) -> &wgpu::BindGroup {
        if self.groups.len() >= MAX_GROUPS {
            self.groups.clear();
        }
        let Pipelines { groups, layouts, created, .. } = self;
        // The pattern tells how many buffers there are, and so where the sizes begin.
        let key =
            (pipeline.pattern, buffers.iter().map(|(id, _)| id).chain(sizes.unwrap_or_default()).copied().collect());
        groups.entry(key).or_insert_with(|| {
            created.1 += 1;
            let limit = context.limits.max_storage_buffer_binding_size;
            let bound = |buffer, size| {
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: wgpu::BufferSize::new(size),
                })
            };
            let params = bound(params, PARAMS_BYTES);
            let storage = buffers
                .iter()
                .enumerate()
                .map(|(i, (_, buffer))| bound(buffer, sizes.map_or(buffer.size().min(limit), |sizes| sizes[i])));
            let entries: Vec<wgpu::BindGroupEntry> = std::iter::once(params)
                .chain(storage)
                .enumerate()
                .map(|(i, resource)| wgpu::BindGroupEntry { binding: i as u32, resource })
                .collect();
            let layout = &layouts[&pipeline.pattern].0;
            context.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
        })
    }

    /// Lets go of all buffers.
    pub fn forget_groups(&mut self) {
        self.groups.clear();
    }
}

/// Layouts are shared by all kernels that bind alike, so that bind groups are, too.
fn layouts(device: &wgpu::Device, pattern: u64) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
    let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    };
    let storage =
        |i: u32| entry(i + 1, wgpu::BufferBindingType::Storage { read_only: pattern & (1u64 << i) == 0 }, false);
    let entries: Vec<_> = std::iter::once(entry(0, wgpu::BufferBindingType::Uniform, true))
        .chain((0..pattern.ilog2()).map(storage))
        .collect();
    let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&group)],
        immediate_size: 0,
    });
    (group, pipeline)
}
