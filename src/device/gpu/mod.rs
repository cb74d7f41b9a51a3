//! A GPU: plays plans on whatever wgpu drives.

mod adapter;
mod ceilings;
mod pack;
mod pipelines;
mod play;
mod pool;
mod read;
mod reports;
mod timing;

pub use adapter::{Adapter, adapters};
pub(super) use play::Session;

use crate::dtype::DType;
use crate::elements::Data;
use crate::error::{Error, Kind, Result};
use crate::plan::{Key, Options, Plan, bytes_of, key, plan};
use crate::tensor::backend::{Backend, Graph, Read, Sought, Stats};
use crate::tensor::profile::{self, EventKind};
use crate::tensor::value::Buffer;
use adapter::Context;
use pack::pack;
use parking_lot::Mutex;
use play::{Player, Prepared, pooled};
use pool::Pool;
use reports::Reports;
use std::collections::HashMap;
use std::sync::Arc;
use timing::Timings;

/// How a GPU is opened, and which optimisations it does without. All are on by default; whichever are off, results are the
/// same up to rounding.
///
/// ```no_run
/// use wgrad::{Device, GpuOptions};
/// let dev = Device::gpu_with(&GpuOptions { tiles: false, ..Default::default() })?;
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuOptions {
    /// Part of the adapter's name, whatever the case; the most powerful one that has it is taken.
    pub name: String,
    /// Whether operations may share a kernel.
    pub fuse: bool,
    /// Whether large matrix products, and what is computed by them, are computed in tiles.
    pub tiles: bool,
    /// Whether reductions over rows may share a kernel with each other and with the operations between them.
    pub rows: bool,
    /// Whether a thread of a pointwise kernel computes four neighbours of a long tensor.
    pub quads: bool,
    /// Whether kernels are chosen for what the adapter is and can do; otherwise those that every WebGPU device can run.
    pub adapted: bool,
}

impl Default for GpuOptions {
    fn default() -> GpuOptions {
        GpuOptions { name: String::new(), fuse: true, tiles: true, rows: true, quads: true, adapted: true }
    }
}

/// Changes a plan before it is used, so that tests can show that they would notice.
pub type Fault = Arc<dyn Fn(&mut Plan) + Send + Sync>;

/// An open graphics adapter.
pub struct Gpu {
    context: Arc<Context>,
    options: Options,
    watch: Mutex<Option<Sought>>,
    fault: Option<Fault>,
    memory: Arc<Pool>,
    staging: Arc<Pool>,
    reports: Arc<Reports>,
    timings: Timings,
    player: Mutex<Player>,
    plans: Mutex<Plans>,
    stats: Mutex<Stats>,
    /// Bytes uploaded since the last submission.
    uploaded: Mutex<usize>,
}

/// Plans by structure, each with the time of its last use.
#[derive(Default)]
struct Plans {
    known: HashMap<(Key, Options), (Arc<Prepared>, u64)>,
    clock: u64,
    last: Option<Arc<Prepared>>,
}

/// Plans that are kept.
const MAX_PLANS: usize = 512;
/// Uploads lie in memory twice until the next submission.
const MAX_UPLOADED: usize = 64 << 20;

impl Gpu {
    /// Opens the most powerful adapter whose name contains that of the options.
    ///
    /// # Errors
    /// If there is no such adapter, or it cannot be opened.
    pub fn open(options: &GpuOptions) -> Result<Gpu> {
        let &GpuOptions { ref name, fuse, tiles, rows, quads, adapted } = options;
        let context = Arc::new(Context::open(name, adapted)?);
        let both = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let memory = Pool::new(&context.description.name, context.clone(), wgpu::BufferUsages::STORAGE | both);
        let staging =
            Pool::new("staging", context.clone(), wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let gpu = Gpu {
            options: Options {
                fuse,
                tiles,
                rows,
                quads,
                target: context.target,
                max_storage_buffers: context.limits.max_storage_buffers_per_shader_stage as usize,
                ..Options::default()
            },
            watch: Mutex::default(),
            fault: None,
            memory,
            staging,
            reports: Arc::new(Reports::new(&context)),
            timings: Timings::default(),
            player: Mutex::new(Player::new(&context)),
            plans: Mutex::default(),
            stats: Mutex::default(),
            uploaded: Mutex::new(0),
            context,
        };
        gpu.context.check()?;
        Ok(gpu)
    }

    /// The same device with every new plan changed.
    pub fn with_fault(self, fault: Fault) -> Gpu {
        Gpu { fault: Some(fault), ..self }
    }

    /// The plan of a graph, made now or earlier, with its pipelines.
    fn prepare(&self, graph: &Graph) -> Result<Arc<Prepared>> {
        let options = Options { watch: *self.watch.lock(), ..self.options };
        let looking = profile::span(EventKind::Flush, "plan hit");
        let key = (key(graph), options);
        let mut plans = self.plans.lock();
        plans.clock += 1;
        let now = plans.clock;
        if let Some((prepared, used)) = plans.known.get_mut(&key) {
            *used = now;
            let prepared = prepared.clone();
            plans.last = Some(prepared.clone());
            self.stats.lock().plan_hits += 1;
            return Ok(prepared);
        }
        looking.rename("plan miss");
        self.stats.lock().plan_misses += 1;
        let mut plan = plan(graph, &options);
        if let Some(fault) = &self.fault {
            fault(&mut plan);
        }
        for output in plan.kernels.iter().flat_map(|kernel| &kernel.outputs) {
            let value = &graph.nodes[output.node].value;
            self.expect_room(value.op.name(), &value.shape, bytes_of(value.dtype, value.numel()))?;
        }
        let compiled = &mut self.player.lock().pipelines;
        let pipelines =
            plan.kernels.iter().map(|kernel| compiled.pipeline(&self.context, kernel)).collect::<Result<_>>()?;
        let prepared = Arc::new(Prepared { temporary_bytes: plan.temporary_bytes(), plan, pipelines });
        if plans.known.len() >= MAX_PLANS
            && let Some(oldest) = plans.known.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
        {
            plans.known.remove(&oldest);
        }
        plans.known.insert(key, (prepared.clone(), now));
        plans.last = Some(prepared.clone());
        Ok(prepared)
    }

    /// Refuses a value that no kernel could bind.
    fn expect_room(&self, op: &str, shape: &[usize], bytes: usize) -> Result<()> {
        let most = self.context.limits.max_storage_buffer_binding_size.min(self.context.limits.max_buffer_size);
        if bytes as u64 <= most {
            return Ok(());
        }
        let name = &self.context.description.name;
        Err(Error::new(
            Kind::OutOfMemory,
            format!("{op}: a value of shape {shape:?} takes {bytes} bytes, and {name} can bind {most} at most"),
        ))
    }

    /// Counts the bytes that a plan needs only while it is played.
    fn needs_temporaries(&self, bytes: u64) {
        let most = &mut self.stats.lock().peak_temporary_bytes;
        *most = bytes.max(*most);
    }

    /// Copies elements into a buffer that exists already.
    pub(super) fn write(&self, buffer: &Buffer, data: &Data) {
        self.context.queue.write_buffer(&pooled(buffer).raw, 0, &pack(data));
    }
}

impl Backend for Gpu {
    fn name(&self) -> String {
        self.context.description.name.clone()
    }

    fn supports(&self, dtype: DType) -> bool {
        dtype != DType::F64
    }

    fn upload(&self, data: Data) -> Result<Buffer> {
        let bytes = bytes_of(data.dtype(), data.len());
        self.expect_room("upload", &[data.len()], bytes)?;
        let buffer: Buffer = self.memory.lend(bytes)?;
        self.write(&buffer, &data);
        let mut uploaded = self.uploaded.lock();
        *uploaded += bytes;
        if *uploaded > MAX_UPLOADED {
            *uploaded = 0;
            self.context.queue.submit([]);
        }
        self.context.check()?;
        Ok(buffer)
    }

    fn run(&self, graph: &Graph) -> Result<()> {
        let session = Session::open(self, graph)?;
        let kernels = session.prepared.plan.kernels.len();
        session.dispatch(0..kernels)?;
        session.settle();
        *self.uploaded.lock() = 0;
        let mut stats = self.stats.lock();
        stats.flushes += 1;
        stats.kernels += kernels as u64;
        Ok(())
    }

    fn download(&self, buffer: &Buffer, dtype: DType, len: usize) -> Read {
        read::read(self, Some(&pooled(buffer)), dtype, len)
    }

    fn wait(&self, read: Read) -> Result<Data> {
        // Waiting first, the future is ready when it is asked, and starts no thread.
        self.context.wait()?;
        pollster::block_on(read)
    }

    fn throttle(&self) -> Result<()> {
        let overdue = self.player.lock().overdue();
        overdue.map_or(Ok(()), |submission| self.context.poll(Some(submission)))
    }

    fn sync(&self) -> Result<()> {
        let read = read::read(self, None, DType::U32, 0);
        self.wait(read).map(drop)
    }

    fn watch(&self, sought: Option<Sought>) {
        *self.watch.lock() = sought;
        if sought.is_none() {
            // Nobody may read the words while they and what they stand for do not fit.
            let _player = self.player.lock();
            self.reports.forget(&self.context);
        }
    }

    fn stats(&self) -> Stats {
        let ((pipelines, bind_groups), compile_time) = {
            let player = self.player.lock();
            (player.pipelines.created, player.pipelines.compile_time)
        };
        let (buffers, bytes) = self.memory.counts();
        let (live_bytes, peak_bytes) = self.memory.lent();
        let pooled_bytes = bytes.saturating_sub(live_bytes);
        let counted = *self.stats.lock();
        Stats { pipelines, bind_groups, compile_time, buffers, bytes, live_bytes, peak_bytes, pooled_bytes, ..counted }
    }

    fn time(&self) -> Result<()> {
        self.timings.finish(&self.context)
    }

    fn explain(&self) -> String {
        let Some(prepared) = self.plans.lock().last.clone() else { return String::new() };
        // Times that do not come are left out.
        let _ = self.time();
        let Some((kernels, ceilings)) = self.timings.last(&self.context, &prepared) else {
            return prepared.plan.to_string();
        };
        prepared
            .plan
            .annotated(|at| kernels[at].as_ref().map(|kernel| ceilings::share(kernel, ceilings)).unwrap_or_default())
    }
}
