//! What profiles are told: host time in spans, kernels of devices, device memory. While no profile runs, each place that
//! would tell something reads one relaxed atomic, and that is all.

use crate::dtype::DType;
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use crate::tensor::mode::site;
use crate::tensor::scopes::Scopes;
use crate::tensor::work::verb;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What an event of a profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// An operation of the forward pass is recorded.
    Forward,
    /// The engine walks, or runs a node, or an operation of a node's gradient rule is recorded.
    Backward,
    /// An optimizer makes a step, or an operation of it is recorded.
    Optimizer,
    /// A range of the user's: [`record_function`](crate::profiler::record_function).
    Range,
    /// The host plays what is pending: plans, compiles, encodes, submits.
    Flush,
    /// The host gives elements to a device, or waits for some.
    Transfer,
    /// A device computes.
    Kernel,
}

impl EventKind {
    /// The kind as a word.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Forward => "forward",
            EventKind::Backward => "backward",
            EventKind::Optimizer => "optimizer",
            EventKind::Range => "range",
            EventKind::Flush => "flush",
            EventKind::Transfer => "transfer",
            EventKind::Kernel => "kernel",
        }
    }
}

/// Something that took time, on a thread of the host or on a device.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it was: an operation, a node, an optimizer, a range, a kernel.
    pub name: Cow<'static, str>,
    /// What kind of thing that is.
    pub kind: EventKind,
    /// The thread, or for [`EventKind::Kernel`] the device.
    pub row: Arc<str>,
    /// When it began, from the beginning of the profile on.
    pub start: Duration,
    /// How long it took.
    pub duration: Duration,
    /// That without the events of the same thread inside.
    pub self_time: Duration,
    /// The user's line; of a kernel, the lines of all that it computes.
    pub lines: Vec<&'static Location<'static>>,
    /// The shapes of an operation's inputs.
    pub shapes: Vec<Vec<usize>>,
    /// Shape and type of an operation's first result.
    pub output: Option<(Vec<usize>, DType)>,
    /// The [number](crate::autograd::Node::sequence_nr) of the node that an operation has recorded, or that was run.
    pub node: Option<u64>,
    /// Bytes that a kernel reads, or that go to the host.
    pub bytes_read: u64,
    /// Bytes that a kernel writes, or that come from the host.
    pub bytes_written: u64,
    /// Multiplications and additions of a kernel's products; 0 for kernels without any.
    pub flops: u64,
    /// Bytes of device memory that were taken meanwhile by the same thread, given back or not; only if asked for.
    pub allocated: u64,
}

/// Device memory that was taken or given back.
#[derive(Clone, Debug)]
pub struct MemoryRecord {
    /// When, from the beginning of the profile on.
    pub at: Duration,
    /// On which device.
    pub device: Arc<str>,
    /// How many bytes were taken; negative if they were given back.
    pub bytes: i64,
    /// Bytes that are in use after it.
    pub live: u64,
}

/// What one profile has been told. Times are those since the process first looked.
pub(crate) struct Collector {
    pub begun: Duration,
    pub everywhere: bool,
    pub memory: bool,
    /// Whether GPUs are to time each kernel.
    pub kernels: bool,
    pub events: Mutex<Vec<Event>>,
    pub records: Mutex<Vec<MemoryRecord>>,
    /// Devices that were played: some have times of kernels that nobody has read yet.
    pub devices: Mutex<Vec<Device>>,
    /// Devices that cannot time kernels.
    pub untimed: Mutex<BTreeSet<String>>,
}

/// The profiles that want to know.
pub(crate) type Listeners = SmallVec<[Arc<Collector>; 1]>;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static EVERYWHERE: Mutex<Vec<Arc<Collector>>> = Mutex::new(Vec::new());

thread_local! {
    static HERE: Scopes<Arc<Collector>> = const { Scopes::new() };
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
    static THREAD: Arc<str> = thread_name();
}

fn thread_name() -> Arc<str> {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let thread = std::thread::current();
    thread.name().map_or_else(|| format!("thread {number}"), |name| format!("{name} (thread {number})")).into()
}

/// Whether any profile runs.
#[inline]
pub(crate) fn is_on() -> bool {
    RUNNING.load(Ordering::Relaxed) != 0
}

/// The time, of which only differences mean something.
pub(crate) fn now() -> Duration {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed()
}

/// The profiles that see this thread.
pub(crate) fn listeners() -> Listeners {
    if !is_on() {
        return Listeners::new();
    }
    // A thread that ends has no list any more.
    let mut all: Listeners = HERE.try_with(Scopes::all).unwrap_or_default().into();
    all.extend(EVERYWHERE.lock().iter().cloned());
    all
}

impl Collector {
    /// Begins to listen, to this thread or to all; the number ends it.
    pub fn begin(self: &Arc<Collector>) -> u64 {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        match self.everywhere {
            true => {
                EVERYWHERE.lock().push(self.clone());
                0
            }
            false => HERE.with(|here| here.push(self.clone())),
        }
    }

    /// Listens no longer.
    pub fn end(self: &Arc<Collector>, id: u64) {
        match self.everywhere {
            true => EVERYWHERE.lock().retain(|other| !Arc::ptr_eq(other, self)),
            false => drop(HERE.with(|here| here.remove(id))),
        }
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells of something that has ended.
pub(crate) fn tell(listeners: &Listeners, event: Event) {
    for listener in listeners {
        // What had begun before belongs to nobody's profile.
        if event.start >= listener.begun {
            listener.events.lock().push(event.clone());
        }
    }
}

/// Tells that a device was played, so that its times are asked for in the end.
pub(crate) fn played(device: &Device) {
    for listener in listeners() {
        let mut devices = listener.devices.lock();
        if !devices.contains(device) {
            devices.push(device.clone());
        }
    }
}

/// Tells of device memory that was taken or given back.
#[inline]
pub(crate) fn memory(device: &Arc<str>, bytes: i64, live: u64) {
    if is_on() {
        told_memory(device, bytes, live);
    }
}

#[cold]
fn told_memory(device: &Arc<str>, bytes: i64, live: u64) {
    let mut wanted = listeners();
    wanted.retain(|listener| listener.memory);
    for listener in &wanted {
        listener.records.lock().push(MemoryRecord { at: now(), device: device.clone(), bytes, live });
    }
    if !wanted.is_empty() && bytes > 0 {
        with_innermost(|open| open.event.allocated += bytes as u64);
    }
}

/// An event that has not ended.
struct Open {
    event: Event,
    /// Whether it is an operation, which knows of the values and the node that are recorded meanwhile.
    operation: bool,
    /// Time of the events inside.
    inside: Duration,
}

fn with_innermost<T>(f: impl FnOnce(&mut Open) -> T) -> Option<T> {
    OPEN.try_with(|open| open.borrow_mut().last_mut().map(f)).ok().flatten()
}

/// Ends an event when dropped.
#[must_use = "the event lasts only as long as the span: bind it to a name"]
pub(crate) struct Span {
    open: bool,
    one_thread: PhantomData<*const ()>,
}

impl Span {
    const OFF: Span = Span { open: false, one_thread: PhantomData };

    /// Gives another name, once it is known.
    pub fn rename(&self, name: &'static str) {
        if self.open {
            with_innermost(|open| open.event.name = name.into());
        }
    }

    /// Says how many bytes go to the host, and how many come from it.
    pub fn moves(&self, read: usize, written: usize) {
        if self.open {
            with_innermost(|open| {
                (open.event.bytes_read, open.event.bytes_written) = (read as u64, written as u64);
            });
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.open {
            close();
        }
    }
}

#[cold]
fn close() {
    let Some(Open { mut event, inside, .. }) = OPEN.with_borrow_mut(Vec::pop) else { return };
    event.duration = now().saturating_sub(event.start);
    event.self_time = event.duration.saturating_sub(inside);
    with_innermost(|around| {
        around.inside += event.duration;
        around.event.allocated += event.allocated;
    });
    tell(&listeners(), event);
}

#[cold]
fn open(kind: EventKind, name: Cow<'static, str>, line: Option<&'static Location<'static>>, operation: bool) -> Span {
    // Another thread's profile is none of this one's business.
    if listeners().is_empty() {
        return Span::OFF;
    }
    let event = Event {
        name,
        kind,
        row: THREAD.with(Arc::clone),
        lines: line.into_iter().collect(),
        ..Event::at(now(), Duration::ZERO)
    };
    OPEN.with_borrow_mut(|all| all.push(Open { event, operation, inside: Duration::ZERO }));
    Span { open: true, one_thread: PhantomData }
}

impl Event {
    /// An event of which only the time is known yet.
    pub(crate) fn at(start: Duration, duration: Duration) -> Event {
        Event {
            name: Cow::Borrowed(""),
            kind: EventKind::Kernel,
            row: Arc::from(""),
            start,
            duration,
            self_time: duration,
            lines: Vec::new(),
            shapes: Vec::new(),
            output: None,
            node: None,
            bytes_read: 0,
            bytes_written: 0,
            flops: 0,
            allocated: 0,
        }
    }
}

/// A span of a kind.
#[inline]
pub(crate) fn span(kind: EventKind, name: &'static str) -> Span {
    if is_on() { open(kind, name.into(), None, false) } else { Span::OFF }
}

/// A span that has a name of its own and belongs to the caller's line.
#[inline]
#[track_caller]
pub(crate) fn named(kind: EventKind, name: impl FnOnce() -> String) -> Span {
    if is_on() { open(kind, name().into(), Some(site()), false) } else { Span::OFF }
}

/// The span of a node that the engine runs.
#[inline]
pub(crate) fn node(name: &'static str, at: &'static Location<'static>, order: u64) -> Span {
    if !is_on() {
        return Span::OFF;
    }
    let span = open(EventKind::Backward, name.into(), Some(at), false);
    if span.open {
        // No operation has recorded a node that accumulates.
        with_innermost(|open| open.event.node = Some(order).filter(|&order| order != u64::MAX));
    }
    span
}

/// The span of an operation, by its own name or by that of its node.
#[inline]
#[track_caller]
pub(crate) fn operation(name: &'static str) -> Span {
    if !is_on() {
        return Span::OFF;
    }
    // The node of a module's hooks begins with the word that others end with.
    let verb = Some(verb(name)).filter(|verb| !verb.is_empty());
    open(inherited(), verb.map_or(name.into(), Cow::Owned), Some(site()), true)
}

/// An operation is part of what is under way.
fn inherited() -> EventKind {
    let is_pass = |kind: &EventKind| matches!(kind, EventKind::Backward | EventKind::Optimizer);
    let around = OPEN.with_borrow(|all| all.iter().rev().map(|open| open.event.kind).find(is_pass));
    around.unwrap_or(EventKind::Forward)
}

/// The span of recording a value, unless it is part of an operation that has a span.
#[inline]
pub(crate) fn value(name: &'static str, at: &'static Location<'static>, shape: &Dims, dtype: DType) -> Span {
    if is_on() && with_innermost(|open| open.operation) != Some(true) {
        let span = open(inherited(), name.into(), Some(at), true);
        if span.open {
            with_innermost(|open| open.event.output = Some((shape.to_vec(), dtype)));
        }
        return span;
    }
    Span::OFF
}

/// Tells the operation under way what it was given and what it gives; where none is, there is one for recording its node.
#[inline]
#[track_caller]
pub(crate) fn described(name: &'static str, inputs: &[&Tensor], ys: &[&Tensor]) -> Span {
    if !is_on() {
        return Span::OFF;
    }
    let span = match with_innermost(|open| open.operation) {
        Some(true) => Span::OFF,
        _ => operation(name),
    };
    with_innermost(|open| {
        if open.operation {
            open.event.shapes = inputs.iter().map(|x| x.shape().to_vec()).collect();
            open.event.output = ys.first().map(|y| (y.shape().to_vec(), y.dtype()));
        }
    });
    span
}

/// Tells the operation under way which node it has recorded.
#[inline]
pub(crate) fn recorded(order: u64) {
    if is_on() {
        with_innermost(|open| {
            if open.operation {
                open.event.node = Some(order);
            }
        });
    }
}
