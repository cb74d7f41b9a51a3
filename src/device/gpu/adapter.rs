//! Finding graphics adapters and opening one of them.

use crate::error::{Error, Kind, Result};
use crate::plan::Target;
use parking_lot::Mutex;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A graphics adapter as the system describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// The name, as in `NVIDIA H200` or `llvmpipe (LLVM 15.0.6, 256 bits)`.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
    /// The interface it is driven through: `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub kind: String,
    /// Bytes of the largest value.
    pub max_value_bytes: u64,
    /// Storage buffers that a kernel may bind.
    pub max_storage_buffers: u32,
    /// Bytes of memory that the threads of a workgroup may share.
    pub workgroup_bytes: u32,
    /// The smallest and the largest number of threads that run in step.
    pub subgroup: (u32, u32),
    /// Whether kernels could compute in half precision.
    pub f16: bool,
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}, {})", self.name, self.backend, self.kind, self.driver)
    }
}

/// The adapters of this machine, the most powerful first.
pub fn adapters() -> Vec<Adapter> {
    found().iter().map(describe).collect()
}

/// An open device and its errors.
pub(super) struct Context {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub description: Adapter,
    pub limits: wgpu::Limits,
    pub target: Target,
    /// Whether kernels can be timed.
    pub has_clock: bool,
    error: Arc<Mutex<Option<Error>>>,
}

impl Context {
    /// Opens the most powerful adapter whose name contains `filter`; unless `adapted`, as if it were any.
    pub fn open(filter: &str, adapted: bool) -> Result<Context> {
        let adapters = found();
        if adapters.is_empty() {
            return Err(Error::new(
                Kind::NoAdapter,
                "no graphics adapter was found: install a Vulkan driver (mesa-vulkan-drivers has one that needs no GPU)",
            ));
        }
        let fits = |adapter: &&wgpu::Adapter| {
            let name = adapter.get_info().name.to_lowercase();
            name.contains(&filter.to_lowercase())
        };
        let Some(adapter) = adapters.iter().find(fits) else {
            let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
            return Err(Error::new(
                Kind::UnknownDevice,
                format!("no graphics adapter is called {filter:?}; there are: {}", names.join(", ")),
            ));
        };
        let limits = needed_limits(&adapter.limits(), adapted);
        let wanted = match adapted {
            true => wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY,
            false => wgpu::Features::empty(),
        };
        let features = wanted & adapter.features();
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        });
        let name = adapter.get_info().name;
        let (device, queue) = pollster::block_on(request).map_err(|source| {
            Error::with_source(Kind::DeviceLost, format!("{name} could not be opened: {source}"), source)
        })?;
        let error = Arc::new(Mutex::new(None));
        let (refused, lost) = (error.clone(), error.clone());
        device.on_uncaptured_error(Arc::new(move |source: wgpu::Error| {
            refused.lock().get_or_insert(translate(source));
        }));
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                *lost.lock() = Some(Error::lost(format!("the device was lost: {message}")));
            }
        });
        let target = if adapted { target(&adapter.get_info(), features) } else { Target::default() };
        let has_clock = features.contains(wgpu::Features::TIMESTAMP_QUERY) && queue.get_timestamp_period() > 0.0;
        Ok(Context { device, queue, description: describe(adapter), limits, target, has_clock, error })
    }

    /// What went wrong since this was last asked.
    pub fn check(&self) -> Result<()> {
        match self.error.lock().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Waits until everything submitted so far has been done.
    pub fn wait(&self) -> Result<()> {
        self.poll(None)
    }

    /// Waits until one submission has been done, or all.
    pub fn poll(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None }).map_err(|source| {
            Error::with_source(Kind::DeviceLost, format!("the device does not answer: {source}"), source)
        })?;
        self.check()
    }
}

fn translate(source: wgpu::Error) -> Error {
    match source {
        wgpu::Error::OutOfMemory { .. } => Error::new(Kind::OutOfMemory, "the device has no memory left"),
        other => Error::lost(format!("the device refused a command: {other}")),
    }
}

/// OpenGL is left out: it lists adapters a second time, with fewer abilities.
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// The entrance to wgpu, opened once: loading the drivers takes time.
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = BACKENDS;
        // The default flags validate indirect dispatches even in release builds, which costs a hidden dispatch each.
        descriptor.flags = match std::env::var_os("WGPU_VALIDATION") {
            Some(_) => wgpu::InstanceFlags::debugging(),
            None => wgpu::InstanceFlags::empty(),
        };
        wgpu::Instance::new(descriptor)
    })
}

/// All adapters that compute; among equals the order is the system's.
fn found() -> Vec<wgpu::Adapter> {
    let mut adapters = pollster::block_on(instance().enumerate_adapters(BACKENDS));
    adapters
        .retain(|adapter| adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

fn describe(adapter: &wgpu::Adapter) -> Adapter {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    Adapter {
        name: info.name,
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        backend: info.backend.to_str().to_owned(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Other => "other",
            wgpu::DeviceType::Cpu => "cpu",
        }
        .to_owned(),
        max_value_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        subgroup: (info.subgroup_min_size, info.subgroup_max_size),
        f16: adapter.features().contains(wgpu::Features::SHADER_F16),
    }
}

/// What kernels may count on.
fn target(info: &wgpu::AdapterInfo, features: wgpu::Features) -> Target {
    let is_one_size = info.subgroup_min_size == info.subgroup_max_size;
    Target {
        processor: info.device_type == wgpu::DeviceType::Cpu,
        subgroup: (is_one_size && features.contains(wgpu::Features::SUBGROUP)).then_some(info.subgroup_min_size),
    }
}

/// A kernel that updates eight parameters by Adam binds this many. More would only make kernels that compile slowly.
const MAX_STORAGE_BUFFERS: u32 = 32;

/// The limits of every WebGPU device, with the large buffers and the fine alignment that the adapter has; if `adapted`, as
/// many buffers in one kernel as are of use.
fn needed_limits(adapter: &wgpu::Limits, adapted: bool) -> wgpu::Limits {
    let portable = wgpu::Limits::default().or_worse_values_from(adapter);
    let most = if adapted { adapter } else { &portable };
    // The parameters are one more buffer.
    let buffers = most.max_buffers_and_acceleration_structures_per_shader_stage.min(MAX_STORAGE_BUFFERS + 1);
    wgpu::Limits {
        max_buffers_and_acceleration_structures_per_shader_stage: buffers,
        max_storage_buffers_per_shader_stage: most.max_storage_buffers_per_shader_stage.min(buffers - 1),
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        min_uniform_buffer_offset_alignment: adapter.min_uniform_buffer_offset_alignment,
        min_storage_buffer_offset_alignment: adapter.min_storage_buffer_offset_alignment,
        ..portable
    }
}
