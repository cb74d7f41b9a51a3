//! Looking at time and memory: what the host records, walks, plans and submits, and what each kernel takes on its device.
//!
//! Everything is lazy here, so a profile has two sides. *Host* events are operations as they are recorded, nodes as the engine
//! runs them, steps of optimizers, ranges of the user's own, and what playing a graph is made of: `plan hit` or `plan miss`,
//! `compile`, `encode`, `submit`. *Device* events are kernels, by the words in which [`Device::explain`] prints them, with the
//! lines of all operations that share them, the bytes they read and write, and the arithmetic of products. On the CPU a kernel
//! is an operation that is evaluated, or several that are evaluated block by block.
//!
//! ```
//! use wgrad::profiler::{GroupBy, ProfileOptions, SortBy, profile, record_function};
//! use wgrad::{Device, Tensor, optim::Sgd};
//! let dev = Device::best()?;
//! let w = Tensor::randn([16, 4], &dev).requires_grad_(true)?;
//! let mut sgd = Sgd::new([&w], 0.1);
//!
//! let running = profile(ProfileOptions::default());
//! let loss = record_function("forward", || Tensor::ones([8, 16], &dev).matmul(&w).tanh().sum());
//! loss.backward()?;
//! sgd.step()?;
//! let profile = running.stop()?;
//!
//! assert!(profile.events().iter().any(|event| event.name == "TanhBackward0"));
//! println!("{}", profile.key_averages(GroupBy::Name).table(SortBy::HostTime, 10));
//! # let path = std::env::temp_dir().join(format!("wgrad-{}-profile.json", std::process::id()));
//! profile.export_chrome_trace(&path)?;
//! # std::fs::remove_file(path).unwrap();
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! The file opens in [Perfetto](https://ui.perfetto.dev) or `chrome://tracing`. What is pending when a profile stops has not
//! been played, and so has no kernels: an optimizer's step, a read, or [`Device::flush`] plays it.
//!
//! Kernels are timed by the adapter's own timestamps, one pass for each; nobody waits for one before the end. An adapter without
//! timestamps, or a device opened without [`adapted`](crate::GpuOptions::adapted), has no device times, and the table says so.
//! While no profile runs, an operation, a node or a flush pays for one relaxed atomic load.
//!
//! Source: [torch.profiler](https://docs.pytorch.org/docs/stable/profiler.html).

mod averages;
mod chrome;

pub use crate::tensor::profile::{Event, EventKind, MemoryRecord};
pub use averages::{Average, Averages, GroupBy, SortBy};

use crate::error::Result;
use crate::tensor::device::Device;
use crate::tensor::profile::{Collector, named, now};
use parking_lot::Mutex;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What [`profile`] may be told.
///
/// ```
/// use wgrad::profiler::{ProfileOptions, profile};
/// use wgrad::{Device, Tensor};
/// let running = profile(ProfileOptions { profile_memory: true, ..Default::default() });
/// drop(Tensor::ones([1000], &Device::cpu()).exp().to_vec::<f32>()?);
/// let records = running.stop()?.memory().to_vec();
/// assert!(records.iter().any(|record| record.bytes == 4000));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileOptions {
    /// Whether to note device memory that is taken and given back.
    pub profile_memory: bool,
    /// Whether all threads are seen, or that which begins the profile only, as in PyTorch.
    pub profile_all_threads: bool,
    /// Whether GPUs time their kernels, which takes the host about 10 µs for each.
    pub kernels: bool,
}

impl Default for ProfileOptions {
    fn default() -> ProfileOptions {
        ProfileOptions { profile_memory: false, profile_all_threads: false, kernels: true }
    }
}

/// A profile under way; dropping it ends it, and nobody sees it.
#[must_use = "a profile runs only as long as this lives: bind it to a name"]
pub struct Profiler {
    collector: Arc<Collector>,
    id: Option<u64>,
    one_thread: PhantomData<*const ()>,
}

/// What a profile has seen.
#[derive(Clone, Debug)]
pub struct Profile {
    events: Vec<Event>,
    memory: Vec<MemoryRecord>,
    untimed: Vec<String>,
}

/// Begins a profile, which [`Profiler::stop`] ends. Several may run at a time, one inside another too: each sees what happens
/// while it runs. Results and gradients are the same bits as without it.
pub fn profile(options: ProfileOptions) -> Profiler {
    let ProfileOptions { profile_memory, profile_all_threads, kernels } = options;
    let collector = Arc::new(Collector {
        begun: now(),
        everywhere: profile_all_threads,
        memory: profile_memory,
        kernels,
        events: Mutex::default(),
        records: Mutex::default(),
        devices: Mutex::default(),
        untimed: Mutex::default(),
    });
    let id = Some(collector.begin());
    Profiler { collector, id, one_thread: PhantomData }
}

impl Profiler {
    /// Ends the profile, and waits for the times of the kernels that devices were given meanwhile.
    ///
    /// # Errors
    /// If a device was lost.
    pub fn stop(mut self) -> Result<Profile> {
        self.finish()
    }

    fn finish(&mut self) -> Result<Profile> {
        let Collector { begun, .. } = *self.collector;
        let timed = {
            // Let go of in any case: a device may hold the profile until it has told its times.
            let devices = std::mem::take(&mut *self.collector.devices.lock());
            devices.iter().try_for_each(Device::time)
        };
        if let Some(id) = self.id.take() {
            self.collector.end(id);
        }
        timed?;
        let mut events = std::mem::take(&mut *self.collector.events.lock());
        let mut memory = std::mem::take(&mut *self.collector.records.lock());
        events.iter_mut().for_each(|event| event.start -= begun);
        memory.iter_mut().for_each(|record| record.at -= begun);
        // What is inside comes after what is around it, which ended later.
        events.sort_by_key(|event| (event.start, std::cmp::Reverse(event.duration)));
        memory.sort_by_key(|record| record.at);
        let untimed = std::mem::take(&mut *self.collector.untimed.lock()).into_iter().collect();
        Ok(Profile { events, memory, untimed })
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        if self.id.is_some() {
            // Nobody asked for it, and the next read tells of a lost device.
            let _ = self.finish();
        }
    }
}

impl Profile {
    /// What took time, in the order in which it began.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Device memory that was taken and given back, if it was asked for.
    pub fn memory(&self) -> &[MemoryRecord] {
        &self.memory
    }

    /// The devices whose kernels could not be timed, as they have no timestamps.
    pub fn untimed_devices(&self) -> &[String] {
        &self.untimed
    }
}

/// Runs `f` as a range that profiles show by this name, on any thread, one inside another; without a profile, just runs it.
///
/// ```
/// use wgrad::profiler::{EventKind, ProfileOptions, profile, record_function};
/// let running = profile(ProfileOptions::default());
/// let y = record_function("outer", || record_function("inner", || 1 + 1));
/// let profile = running.stop()?;
/// assert_eq!((y, profile.events()[0].name.as_ref()), (2, "outer"));
/// assert!(profile.events()[0].duration >= profile.events()[1].duration);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.profiler.record_function](https://docs.pytorch.org/docs/stable/generated/torch.autograd.profiler.record_function.html).
#[track_caller]
pub fn record_function<T>(name: &str, f: impl FnOnce() -> T) -> T {
    let _range = named(EventKind::Range, || name.to_owned());
    f()
}

/// A trace under way: the file is written when this is finished or dropped.
#[must_use = "a trace runs only as long as this lives: bind it to a name"]
pub struct Trace {
    profiler: Option<Profiler>,
    path: PathBuf,
}

impl Device {
    /// Begins a [profile](crate::profiler) of this thread, memory included, which is written to a file for Perfetto or
    /// `chrome://tracing` when the [`Trace`] is finished or dropped: forward, backward and optimizer, rows of the host and of
    /// devices, source lines. What is pending on this device then is played before.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::best()?;
    /// # let path = std::env::temp_dir().join(format!("wgrad-{}-trace.json", std::process::id()));
    /// let trace = dev.trace(&path)?;
    /// let x = Tensor::ones([4, 4], &dev).requires_grad_(true)?;
    /// x.matmul(&x).sum().backward()?;
    /// trace.finish()?;
    /// assert!(std::fs::read_to_string(&path).unwrap().contains("MmBackward0"));
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the file cannot be written: that is known before anything is traced.
    pub fn trace(&self, path: impl AsRef<Path>) -> Result<Trace> {
        let path = path.as_ref().to_owned();
        std::fs::File::create(&path).map_err(|error| crate::io::failed(&path, error))?;
        let profiler = profile(ProfileOptions { profile_memory: true, ..Default::default() });
        crate::tensor::profile::played(self);
        Ok(Trace { profiler: Some(profiler), path })
    }
}

impl Trace {
    /// Ends the trace and writes the file.
    ///
    /// # Errors
    /// If a device was lost, or the file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        let Some(profiler) = self.profiler.take() else { return Ok(()) };
        let devices = profiler.collector.devices.lock().clone();
        devices.iter().try_for_each(Device::flush)?;
        profiler.stop()?.export_chrome_trace(&self.path)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Err(error) = self.write() {
            log::warn!("the trace was not written: {error}");
        }
    }
}
