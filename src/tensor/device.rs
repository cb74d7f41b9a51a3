//! Devices as the language sees them: a pending graph, a random seed, and a backend that plays what is pending.

use crate::dtype::DType;
use crate::elements::Data;
use crate::error::{Error, Kind, Result};
use crate::ops::op::Op;
use crate::random::Stream;
use crate::tensor::backend::{Arg, Backend, Graph, Input, Meter, Node, Read, Sought, Source, Stats};
use crate::tensor::draws::{self, Draw};
use crate::tensor::hole::varying;
use crate::tensor::profile::{self, EventKind};
use crate::tensor::value::{Buffer, Operands, Value};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
/// A place where tensors live and are computed; a cheap handle.
///
/// Devices are shared by the process: two calls of [`Device::cpu`] give the same device.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    backend: Box<dyn Backend>,
    pending: Mutex<Vec<Weak<Value>>>,
    playing: Mutex<()>,
    random: Mutex<Stream>,
    watching: AtomicBool,
    live: Live,
}

/// What exists of a device's values and of the nodes that made them, and what was moved, in all threads.
#[derive(Default)]
pub(crate) struct Live {
    pub values: AtomicU64,
    pub nodes: AtomicU64,
    pub reads: AtomicU64,
    /// Bytes that were moved to the device, and to the host.
    pub moved: [AtomicU64; 2],
    /// Bytes of values that nodes keep.
    pub saved: Meter,
}

/// The pending graph is played when it has this many nodes, so that an endless loop without a read cannot fill memory.
const MAX_PENDING: usize = 4096;

impl Device {
    pub(crate) fn new(backend: impl Backend + 'static) -> Device {
        Device(Arc::new(Inner {
            backend: Box::new(backend),
            pending: Mutex::default(),
            playing: Mutex::default(),
            random: Mutex::new(Stream { seed: 0, stream: 0 }),
            live: Live::default(),
            watching: AtomicBool::new(false),
        }))
    }

    /// What the device is called.
    pub fn name(&self) -> String {
        self.0.backend.name()
    }

    /// Starts the device's random numbers anew: the same seed gives the same tensors, on every kind of device.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// dev.manual_seed(7);
    /// let a = Tensor::rand([3], &dev).to_vec::<f32>()?;
    /// dev.manual_seed(7);
    /// assert_eq!(a, Tensor::rand([3], &dev).to_vec::<f32>()?);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn manual_seed(&self, seed: u64) {
        self.set_stream(Stream { seed, stream: 0 });
    }

    /// Plays what is pending and waits until the device has done it.
    ///
    /// # Errors
    /// If the device was lost, has no memory left, or, on a twin, if a value differs from the reference.
    pub fn sync(&self) -> Result<()> {
        self.flush()?;
        self.0.backend.sync()
    }

    /// Says whether to look for infinities and NaN in every result of floats, forward and backward.
    ///
    /// The first operation that makes one is told by the next read from the device, once, as an error
    /// ([`Error::is_non_finite`]) with its name, source line and first index, and whether its inputs were finite: if they
    /// were, it is the origin. In backward it names the node and the forward operation's line. Nothing else changes; a second read gives the value. On a GPU small kernels look, and their
    /// finding comes with the read: nobody waits for each operation. Meanwhile nothing is fused, so that every result can be
    /// seen. What is pending is played as before; turning it off forgets what was found and not told yet. While this is off,
    /// it costs nothing. Between two reads only the first finding is kept, be it a NaN or an infinity that was wanted, as in
    /// a mask of `-inf`: [`Device::watch_nan`] lets those pass.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::best()?;
    /// dev.watch_non_finite(true);
    /// let y = (Tensor::new([4.0, -1.0], &dev).sqrt() * 2.0).sum();
    /// let error = y.item().unwrap_err();
    /// assert!(error.to_string().starts_with("sqrt: the result of shape [2] and type f32 is not finite, first at [1]"));
    /// assert!(y.item()?.is_nan());
    /// dev.watch_non_finite(false);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn watch_non_finite(&self, on: bool) {
        self.watch(on.then_some(Sought::NonFinite));
    }

    /// [`Device::watch_non_finite`] for NaN alone: infinities pass, as those of a mask do. The one that is asked for last
    /// counts, and either ends with `false`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::best()?;
    /// dev.watch_nan(true);
    /// let masked = Tensor::zeros([2], &dev).masked_fill(&Tensor::new([true, false], &dev), f64::NEG_INFINITY);
    /// assert_eq!(masked.softmax(0).to_vec::<f32>()?, [0.0, 1.0]);
    /// let error = (&masked - &masked).to_vec::<f32>().unwrap_err();
    /// assert!(error.to_string().starts_with("sub: the result of shape [2] and type f32 is NaN, first at [0]"));
    /// dev.watch_nan(false);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn watch_nan(&self, on: bool) {
        self.watch(on.then_some(Sought::Nan));
    }

    fn watch(&self, sought: Option<Sought>) {
        // An error is kept by the values that were not computed, and told to whoever reads them.
        let _ = self.flush();
        self.0.watching.store(sought.is_some(), Ordering::Relaxed);
        self.0.backend.watch(sought);
    }

    /// Counts of what the device has done.
    pub fn stats(&self) -> Stats {
        let Live { values, nodes, reads, moved: [up, down], saved } = &self.0.live;
        let [values, nodes, reads, bytes_to_device, bytes_to_host] =
            [values, nodes, reads, up, down].map(|n| n.load(Ordering::Relaxed));
        let (saved_bytes, peak_saved_bytes) = (saved.now(), saved.peak());
        let backend = self.0.backend.stats();
        Stats { values, nodes, reads, bytes_to_device, bytes_to_host, saved_bytes, peak_saved_bytes, ..backend }
    }

    pub(crate) fn live(&self) -> &Live {
        &self.0.live
    }

    /// Tells profiles of kernels whose times are not known yet; waits for those.
    pub(crate) fn time(&self) -> Result<()> {
        self.0.backend.time()
    }

    /// The last plan in words: its kernels, what each fuses, and its buffers. Empty on the CPU, which has no plans.
    ///
    /// If the plan was played last under a [profile](crate::profiler), each kernel has its time, and the share of what the
    /// adapter can do that it reached: of its rate of multiplications and additions for products, and of its memory's
    /// bandwidth for all others. Both are measured when this is asked for the first time.
    pub fn explain(&self) -> String {
        self.0.backend.explain()
    }

    /// Plays what is pending, as an optimizer does at the end of a step. Waits only if the device is several flushes behind.
    ///
    /// # Errors
    /// As [`Device::sync`], as far as they are known at once.
    pub fn flush(&self) -> Result<()> {
        self.play()?;
        self.0.backend.throttle()
    }

    /// Plays what is pending, and never waits for the device.
    fn play(&self) -> Result<()> {
        let _playing = profile::span(EventKind::Flush, "flush");
        let _one_at_a_time = self.0.playing.lock();
        let graph = self.take_pending();
        if graph.nodes.is_empty() {
            return Ok(());
        }
        profile::played(self);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.0.backend.run(&graph)));
        let (result, panic) = match run {
            Ok(result) => (result, None),
            // Nothing may be left pending that is on no list any more.
            Err(panic) => (Err(Error::lost("the device panicked while it played a graph")), Some(panic)),
        };
        for node in &graph.nodes {
            match (&result, node.held) {
                (Err(error), true) => node.value.settle(Err(error.clone())),
                _ => node.value.release(),
            }
        }
        if let Some(panic) = panic {
            std::panic::resume_unwind(panic);
        }
        result
    }

    pub(crate) fn supports(&self, dtype: DType) -> bool {
        self.0.backend.supports(dtype)
    }

    pub(crate) fn upload(&self, data: Data) -> Result<Buffer> {
        let bytes = data.len() * data.dtype().size();
        let moving = profile::span(EventKind::Transfer, "upload");
        moving.moves(0, bytes);
        self.0.live.moved[0].fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.backend.upload(data)
    }

    pub(crate) fn wait(&self, read: Read) -> Result<Data> {
        let _waiting = profile::span(EventKind::Transfer, "wait");
        self.0.backend.wait(read)
    }

    /// The next random numbers to come.
    pub(crate) fn stream(&self) -> Stream {
        *self.0.random.lock()
    }

    /// Sets which random numbers come next, unless they were noted.
    pub(crate) fn set_stream(&self, stream: Stream) {
        if !draws::is_repeating() {
            *self.0.random.lock() = stream;
        }
    }

    /// The next random numbers, and what a value of them depends on.
    #[track_caller]
    pub(crate) fn next_stream(&self, op: &str) -> Draw {
        let varying = if draws::is_repeating() { Operands::new() } else { varying(op) };
        draws::next(|| {
            let mut random = self.0.random.lock();
            random.stream += 1;
            (Stream { stream: random.stream - 1, ..*random }, varying)
        })
    }

    /// The error of a value that could not be computed, where the device knows it without a wait.
    pub(crate) fn expect_computed(&self, value: &Value) -> Result<()> {
        if self.0.backend.fails_at_once() && value.buffer().is_none() {
            self.flush()?;
        }
        value.buffer().map_or(Ok(()), |buffer| buffer.map(drop))
    }

    /// Starts reading a value, which is computed first if it is pending.
    pub(crate) fn read(&self, value: &Arc<Value>) -> Read {
        if let Op::Full(x) = value.op {
            let data = Data::generate(value.dtype, value.numel(), |_| x);
            return Box::pin(async { Ok(data) });
        }
        if value.waits_for != 0 {
            let why = "a value inside of vmap follows from a batched input, so it has no one number that could be read";
            return Box::pin(async move { Err(Error::new(Kind::Graph, why)) });
        }
        let moving = profile::span(EventKind::Transfer, "read");
        moving.moves(value.bytes(), 0);
        self.0.live.reads.fetch_add(1, Ordering::Relaxed);
        self.0.live.moved[1].fetch_add(value.bytes() as u64, Ordering::Relaxed);
        let mut buffer = value.buffer();
        if buffer.is_none() {
            // The error is told by the value itself, if it concerns it.
            let _ = self.play();
            buffer = value.buffer();
        }
        match buffer {
            Some(Ok(buffer)) => self.0.backend.download(&buffer, value.dtype, value.numel()),
            Some(Err(error)) => Box::pin(async { Err(error) }),
            None => unreachable!("a value that was read is held, and the flush settles every held value"),
        }
    }

    /// Adds a value to the pending graph.
    pub(crate) fn append(&self, value: &Arc<Value>) {
        let mut pending = self.0.pending.lock();
        pending.push(Arc::downgrade(value));
        let full = pending.len() >= MAX_PENDING;
        drop(pending);
        if full {
            // An error is kept by the values that were not computed, and told to whoever reads them.
            let _ = self.flush();
        }
    }

    /// Takes the pending graph, with what it reads and who else holds what.
    fn take_pending(&self) -> Graph {
        let taken = std::mem::take(&mut *self.0.pending.lock());
        let mut values: Vec<(Arc<Value>, Operands)> =
            taken.iter().filter_map(Weak::upgrade).map(|value| (value.clone(), value.operands())).collect();
        let mut numbers: Vec<(Arc<Value>, Operands)> = Vec::new();
        for operand in values.iter().flat_map(|(_, operands)| operands) {
            // `Full` values are listed nowhere; they are found through their readers.
            if matches!(operand.value.op, Op::Full(_)) {
                numbers.push((operand.value.clone(), Operands::new()));
            }
        }
        values.append(&mut numbers);
        values.sort_by_key(|(value, _)| value.id);
        values.dedup_by_key(|(value, _)| value.id);

        // How often each value is referred to by the graph itself: every operand stands once in its reader's own list
        // and once in the copy made above. Whatever else holds a value is outside.
        let mut inside: HashMap<u64, usize> = values.iter().map(|(value, _)| (value.id, 1)).collect();
        for operand in values.iter().flat_map(|(_, operands)| operands) {
            *inside.entry(operand.value.id).or_default() += 2;
        }
        let held_outside = |value: &Arc<Value>| Arc::strong_count(value) > inside[&value.id];
        let held: Vec<bool> =
            values.iter().map(|(value, _)| !matches!(value.op, Op::Full(_)) && held_outside(value)).collect();
        let kept: Vec<Vec<bool>> =
            values.iter().map(|(_, operands)| operands.iter().map(|o| held_outside(&o.value)).collect()).collect();

        let mut position: HashMap<u64, Source> = HashMap::with_capacity(values.len());
        // What an operation read may have to be looked at after it.
        let watching = self.0.watching.load(Ordering::Relaxed);
        let mut graph = Graph { nodes: Vec::with_capacity(values.len()), inputs: Vec::new() };
        for (((value, operands), held), kept) in values.into_iter().zip(held).zip(kept) {
            let mut args = Vec::with_capacity(operands.len());
            let mut failed = None;
            for (operand, kept) in operands.into_iter().zip(kept) {
                let source = match (position.get(&operand.value.id), operand.value.buffer()) {
                    (Some(&source), _) => source,
                    (None, Some(Ok(buffer))) => {
                        let source = Source::Input(graph.inputs.len());
                        position.insert(operand.value.id, source);
                        graph.inputs.push(Input { value: operand.value, buffer, donated: !kept && !watching });
                        source
                    }
                    (None, Some(Err(error))) => {
                        failed = Some(error);
                        break;
                    }
                    (None, None) => unreachable!("an operand is computed, or pending on the same list, or a number"),
                };
                args.push(Arg { source, layout: operand.layout });
            }
            // What depends on a failed value fails with it; everything else is computed.
            if let Some(error) = failed {
                value.settle(Err(error));
                continue;
            }
            position.insert(value.id, Source::Node(graph.nodes.len()));
            graph.nodes.push(Node { value, args, held });
        }
        graph
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.name())
    }
}

impl Error {
    pub(crate) fn lost(message: impl Into<String>) -> Error {
        Error::new(Kind::DeviceLost, message)
    }
}
