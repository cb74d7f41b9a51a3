//! What a device is to the rest: a backend, the graphs that it is given, and what it counts.

use crate::dtype::DType;
use crate::elements::Data;
use crate::error::Result;
use crate::shape::Layout;
use crate::tensor::value::{Buffer, Value};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A read that is under way.
pub type Read = Pin<Box<dyn Future<Output = Result<Data>> + Send>>;

/// What a device may look for in its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sought {
    /// What is not a number.
    Nan,
    /// That, and infinities.
    NonFinite,
}

impl Sought {
    /// Whether a number is what is sought.
    pub fn is(self, x: f64) -> bool {
        match self {
            Sought::Nan => x.is_nan(),
            Sought::NonFinite => !x.is_finite(),
        }
    }
}

/// What a device must be able to do.
pub trait Backend: Send + Sync {
    /// What the device is called, as in `cpu` or `llvmpipe (LLVM 15.0.6, 256 bits)`.
    fn name(&self) -> String;

    /// Whether tensors of this type can live here.
    fn supports(&self, dtype: DType) -> bool;

    /// Copies elements to the device.
    fn upload(&self, data: Data) -> Result<Buffer>;

    /// Computes the graph and settles every held value of it with [`Value::settle`].
    fn run(&self, graph: &Graph) -> Result<()>;

    /// Waits while the device is too far behind; called by whoever may wait.
    fn throttle(&self) -> Result<()> {
        Ok(())
    }

    /// Whether a value that cannot be computed is known once it is played, and not at the next read.
    fn fails_at_once(&self) -> bool {
        false
    }

    /// Starts reading a buffer of `len` elements back; never blocks, unless the future is waited for.
    fn download(&self, buffer: &Buffer, dtype: DType, len: usize) -> Read;

    /// Waits for a read without an executor.
    fn wait(&self, read: Read) -> Result<Data>;

    /// Waits until the device has done all it was given.
    fn sync(&self) -> Result<()>;

    /// What to look for in every result of floats that is computed from now on; the next read or [`Backend::sync`] tells of
    /// the first one that has it, unless this was turned off since.
    fn watch(&self, sought: Option<Sought>);

    /// What the device has done so far.
    fn stats(&self) -> Stats;

    /// Tells profiles of kernels whose times they wait for; waits for those.
    fn time(&self) -> Result<()> {
        Ok(())
    }

    /// The last plan in words; empty where there are no plans.
    fn explain(&self) -> String;
}

/// Bytes of one kind: how many there are, and were at most. All threads add to it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    now: AtomicU64,
    peak: AtomicU64,
}

impl Meter {
    /// More of them; tells how many there are now.
    pub fn add(&self, bytes: usize) -> u64 {
        let now = self.now.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        self.peak.fetch_max(now, Ordering::Relaxed);
        now
    }

    /// Less of them; tells how many there are now.
    pub fn remove(&self, bytes: usize) -> u64 {
        self.now.fetch_sub(bytes as u64, Ordering::Relaxed) - bytes as u64
    }

    /// How many there are.
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// How many there were at most.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

/// Counts of what a device has done since it was opened.
///
/// Of memory a device can tell four classes. What is *live* lies in buffers that somebody holds: parameters, data, results,
/// and while a graph is played, its temporaries. What is *saved* is the part of all values that autograd nodes keep for
/// backward, parameters among them, pending ones included; its bytes are those of the elements, as that of one value may
/// be shared. *Temporary* is what a plan computes and nobody holds after it. *Pooled* buffers are free, for later use. Which
/// value is a parameter only an optimizer knows: each step gives a parameter another value.
///
/// ```
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let before = dev.stats();
/// Tensor::ones([4], &dev).exp().to_vec::<f32>()?;
/// assert!(dev.stats().kernels > before.kernels);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Graphs played.
    pub flushes: u64,
    /// Kernels dispatched; on the CPU, operations evaluated.
    pub kernels: u64,
    /// Graphs whose plan was in the cache.
    pub plan_hits: u64,
    /// Graphs that had to be planned.
    pub plan_misses: u64,
    /// Pipelines compiled.
    pub pipelines: u64,
    /// Time that compiling them took.
    pub compile_time: Duration,
    /// Device buffers created.
    pub buffers: u64,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Bytes of device memory in buffers, pooled ones included.
    pub bytes: u64,
    /// Bytes of buffers that somebody holds. The CPU counts results that are held, and not what is in between.
    pub live_bytes: u64,
    /// The most of them at one time.
    pub peak_bytes: u64,
    /// Bytes of the values that autograd nodes keep for backward, each counted once.
    pub saved_bytes: u64,
    /// The most of them at one time.
    pub peak_saved_bytes: u64,
    /// The most bytes that a plan needed besides its inputs and what is held after it.
    pub peak_temporary_bytes: u64,
    /// Bytes of free buffers.
    pub pooled_bytes: u64,
    /// Values brought to the host.
    pub reads: u64,
    /// Bytes of the elements that the host has given.
    pub bytes_to_device: u64,
    /// Bytes of the elements that were brought to the host.
    pub bytes_to_host: u64,
    /// Values that exist now, computed or pending.
    pub values: u64,
    /// Nodes of autograd graphs that exist now.
    pub nodes: u64,
}

/// The pending graph at the moment it is played: values in an order in which operands come first.
pub struct Graph {
    /// What is to be computed.
    pub nodes: Vec<Node>,
    /// Computed values that the nodes read.
    pub inputs: Vec<Input>,
}

impl Graph {
    /// How many elements of each line of a node's result the other nodes read at most, counted from its first one.
    pub fn prefix_read(&self, n: usize) -> usize {
        let line = self.nodes[n].value.shape.last().copied().unwrap_or(1);
        let args = self.nodes.iter().flat_map(|node| &node.args).filter(|arg| arg.source == Source::Node(n));
        let last = args.map(|Arg { layout, .. }| {
            let steps = layout.shape.iter().zip(&layout.strides).filter(|(_, stride)| *stride % line as isize != 0);
            let steps =
                steps.map(|(n, stride)| n.saturating_sub(1).saturating_mul(usize::try_from(*stride).unwrap_or(line)));
            steps.fold(layout.offset % line, usize::saturating_add)
        });
        last.max().map_or(line, |last| (last + 1).min(line))
    }
}

/// One value to be computed.
pub struct Node {
    /// The value.
    pub value: Arc<Value>,
    /// Its operands.
    pub args: Vec<Arg>,
    /// Whether someone outside the graph holds the value, so that it must be given a buffer.
    pub held: bool,
}

/// One computed value that is read.
pub struct Input {
    /// The value.
    pub value: Arc<Value>,
    /// Its buffer.
    pub buffer: Buffer,
    /// Whether nobody but this graph holds the value: its buffer may be overwritten once it has been read.
    pub donated: bool,
}

/// One operand of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arg {
    /// What is read.
    pub source: Source,
    /// How it is read.
    pub layout: Layout,
}

/// Where an operand comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A node of the same graph, by position.
    Node(usize),
    /// An input of the graph, by position.
    Input(usize),
}

impl Source {
    /// The position of the node, if it is one.
    pub fn node(self) -> Option<usize> {
        match self {
            Source::Node(n) => Some(n),
            Source::Input(_) => None,
        }
    }
}
