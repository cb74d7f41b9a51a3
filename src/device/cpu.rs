//! The reference: evaluates one operation after the other, unfused, and knows nothing of plans.
//!
//! What an operation means is written here (structural operations) and in the rows (scalar functions); every other
//! device is an optimisation of this one and is tested against it.

mod block;
mod gemm;
mod index;
mod reduce;
mod scan;
mod walk;

/// Runs an expression with `$T` as the type of the numbers of a dtype that is computed in.
macro_rules! with_numbers {
    ($dtype:expr, $T:ident => $body:expr) => {{
        macro_rules! with {
            ($t:ty) => {{
                type $T = $t;
                $body
            }};
        }
        match $dtype {
            $crate::dtype::DType::F32 => with!(f32),
            $crate::dtype::DType::F64 => with!(f64),
            $crate::dtype::DType::I32 => with!(i32),
            $crate::dtype::DType::U32 => with!(u32),
            $crate::dtype::DType::Bool | $crate::dtype::DType::F16 | $crate::dtype::DType::BF16 => {
                unreachable!("computed in a wider type")
            }
        }
    }};
}
pub use walk::evaluate_all;
use with_numbers;

use super::lent::Lent;
use super::watch::Watch;
use crate::dtype::DType;
use crate::elements::{Data, Stored, View, fill, gather, in_lines, read_all, with_data};
use crate::error::{Error, Kind, Result};
use crate::ops::op::{Distribution, Op};
use crate::shape::Layout;
use crate::tensor::backend::{Backend, Graph, Read, Sought, Stats};
use crate::tensor::value::{Buffer, Value};
use index::Places;
use parking_lot::Mutex;
use reduce::reduce;
use scan::scan;
use std::sync::Arc;

/// The CPU device. A buffer is [`Elements`].
pub struct Cpu {
    stats: Mutex<Stats>,
    watch: Watch,
    lent: Arc<Lent>,
}

impl Default for Cpu {
    fn default() -> Cpu {
        Cpu { stats: Mutex::default(), watch: Watch::default(), lent: Arc::new(Lent::on(NAME)) }
    }
}

const NAME: &str = "cpu";

/// Elements that are counted while somebody holds them.
struct Elements {
    data: Arc<Data>,
    lent: Arc<Lent>,
}

impl Drop for Elements {
    fn drop(&mut self) {
        self.lent.give_back(self.data.len() * self.data.dtype().size());
    }
}

/// A buffer of this device.
pub fn buffer(data: Arc<Data>, lent: &Arc<Lent>) -> Buffer {
    lent.take(data.len() * data.dtype().size());
    Arc::new(Elements { data, lent: lent.clone() })
}

impl Backend for Cpu {
    fn name(&self) -> String {
        NAME.into()
    }

    fn supports(&self, _: DType) -> bool {
        true
    }

    fn fails_at_once(&self) -> bool {
        true
    }

    fn upload(&self, data: Data) -> Result<Buffer> {
        Ok(buffer(Arc::new(data), &self.lent))
    }

    fn run(&self, graph: &Graph) -> Result<()> {
        evaluate_all(NAME, graph, &needed(graph), self.watch.is_on(), |node, result| {
            self.watch.look(graph, node, result);
            if node.held {
                node.value.settle(result.clone().map(|data| buffer(data, &self.lent)));
            }
        });
        let mut stats = self.stats.lock();
        stats.flushes += 1;
        stats.kernels += graph.nodes.len() as u64;
        Ok(())
    }

    fn download(&self, buffer: &Buffer, _: DType, _: usize) -> Read {
        let data = self.watch.check().map(|()| elements(buffer));
        Box::pin(async move { data.map(Arc::unwrap_or_clone) })
    }

    fn wait(&self, read: Read) -> Result<Data> {
        pollster::block_on(read)
    }

    fn sync(&self) -> Result<()> {
        self.watch.check()
    }

    fn watch(&self, sought: Option<Sought>) {
        self.watch.set(sought);
    }

    fn stats(&self) -> Stats {
        let (live_bytes, peak_bytes) = self.lent.bytes();
        Stats { live_bytes, peak_bytes, bytes: live_bytes, ..*self.stats.lock() }
    }

    fn explain(&self) -> String {
        String::new()
    }
}

/// The elements in a buffer of this device.
pub fn elements(buffer: &Buffer) -> Arc<Data> {
    let elements: Arc<Elements> = buffer.clone().downcast().expect("a buffer of the CPU holds elements");
    elements.data.clone()
}

/// Which nodes are held, or read by the meaning of one that is needed: the order of a scatter's entries only helps kernels.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed: Vec<bool> = graph.nodes.iter().map(|node| node.held).collect();
    for (n, node) in graph.nodes.iter().enumerate().rev() {
        let read = if matches!(node.value.op, Op::Scatter { .. }) { 3 } else { node.args.len() };
        for p in node.args.iter().take(read).filter_map(|arg| arg.source.node()) {
            needed[p] |= needed[n];
        }
    }
    needed
}

/// The meaning of one operation. `base` holds the first operand's elements where they may be changed.
pub fn evaluate(value: &Value, args: &[View], base: Option<Data>) -> Result<Data> {
    let (n, dtype) = (value.numel(), value.dtype);
    let base = || base.unwrap_or_else(|| args[0].data.read(args[0].layout));
    Ok(match &value.op {
        Op::Data => unreachable!("data is given, never computed"),
        Op::Full(x) => Data::generate(dtype, n, |_| *x),
        Op::Iota => Data::generate(dtype, n, |i| i as f64),
        Op::Random(distribution, stream) => match *distribution {
            Distribution::Uniform => in_blocks(n, |block| stream.uniforms(block)).cast(dtype),
            Distribution::Normal => in_blocks(n, |block| stream.normals(block)).cast(dtype),
            Distribution::Integer { low, range } => {
                Data::generate(dtype, n, |i| low.wrapping_add((stream.bits(i) % range) as i32) as f64)
            }
        },
        Op::Map(row) => {
            if row.divides && !dtype.is_float() && with_data!(args[1].data, x => holds_zero(x, args[1].layout)) {
                return Err(refused(value, "an integer is divided by 0"));
            }
            (row.eval)(args, dtype)
        }
        Op::Cast => args[0].cast(dtype),
        Op::Reduce { fold, dims } => with_numbers!(dtype, T => reduce::<T>(*fold, *dims, &args[0], n)),
        Op::Scan(kind) => scan(*kind, args, dtype, value.shape.last().copied().unwrap_or(1)),
        Op::Matmul { rows, inner, cols } => gemm::matmul(args, &value.shape, [*rows, *inner, *cols], dtype),
        Op::OverlapAdd { dim, step, dilation } => {
            with_numbers!(dtype, T => index::overlap_add::<T>(&args[0], &value.shape, *dim, *step, *dilation))
        }
        Op::Gather { dim } => {
            let places = Places::of(value, *dim, &args[1], args[0].layout)?;
            with_data!(args[0].data, x => index::gather(x, &places))
        }
        Op::Scatter { dim, fold } => {
            let places = Places::of(value, *dim, &args[1], &Layout::contiguous(&value.shape))?;
            match dtype {
                DType::Bool => index::scatter::<bool>(*fold, base(), &args[2], &places, (&value.shape, *dim)),
                _ => {
                    with_numbers!(dtype, T => index::scatter::<T>(*fold, base(), &args[2], &places, (&value.shape, *dim)))
                }
            }
        }
        Op::ArgSort { descending } => {
            with_data!(args[0].data, x => argsort(x, args[0].layout, *descending, usize::MAX))
        }
        Op::Search { right } => with_data!(args[0].data, x => search(x, args, *right)),
        Op::Write(layout) => {
            let mut y = base();
            with_data!(&mut y, y => {
                if layout.is_dense() {
                    read_all(Stored::slice(args[1].data), args[1].layout, &mut y[layout.offset..][..layout.numel()]);
                    return Ok(Stored::wrap(std::mem::take(y)));
                }
                let source = gather(Stored::slice(args[1].data), args[1].layout);
                layout.merged().runs(0, source.len(), |i, at, stride, n| match stride {
                    1 => y[at..][..n].copy_from_slice(&source[i..][..n]),
                    _ => (0..n).for_each(|k| y[(at as isize + k as isize * stride) as usize] = source[i + k]),
                });
            });
            y
        }
        Op::Custom(call) => {
            let y = call.evaluate(args, &value.shape);
            if (y.len(), y.dtype()) != (n, dtype) {
                let (given, of) = (y.len(), y.dtype());
                return Err(refused(
                    value,
                    &format!("the closure gave {given} elements of {of} instead of {n} of {dtype}"),
                ));
            }
            y
        }
    })
}

fn holds_zero<T: Stored>(x: &[T], layout: &Layout) -> bool {
    gather(x, layout).iter().any(|x| x.to_f64() == 0.0)
}

/// The error of an operation whose elements do not allow it.
fn refused(value: &Value, why: &str) -> Error {
    let (op, at) = (value.op.name(), value.at);
    Error::new(Kind::Misuse, format!("{op}: {why} (recorded at {}:{})", at.file(), at.line()))
}

/// `n` numbers of which four come at a time.
fn in_blocks(n: usize, block: impl Fn(u32) -> [f64; 4] + Sync) -> Data {
    let mut y = vec![[0.0; 4]; n.div_ceil(4)];
    in_lines(&mut y, 1, 64, &|start, y| y.iter_mut().enumerate().for_each(|(i, y)| *y = block((start + i) as u32)));
    let mut y = y.into_flattened();
    y.truncate(n);
    Data::F64(y)
}

/// A number as bits that sort as it does: -0 as 0, NaN last.
fn sort_key(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    match x.is_nan() {
        true => u64::MAX,
        false => bits ^ (((bits as i64 >> 63) as u64) | 1 << 63),
    }
}

/// The places of each line's elements, the first `wanted` of them in order; equal ones are told apart by their places, so
/// that no order is lost.
fn argsort<T: Stored>(x: &[T], layout: &Layout, descending: bool, wanted: usize) -> Data {
    let values = gather(x, layout);
    let n = layout.shape.last().copied().unwrap_or(1);
    let flip = if descending { u64::MAX } else { 0 };
    let mut y = i32::room(values.len());
    in_lines(&mut y, n, 32, &|first, y| {
        for (line, y) in y.chunks_mut(n).enumerate() {
            let keys = values[(first + line) * n..][..n].iter().map(|x| sort_key(x.to_f64()) ^ flip);
            // Of all types but the widest, 35 bits tell numbers apart; with a place they fit one word, which sorts fast.
            if T::DTYPE != DType::F64 && !matches!(T::DTYPE, DType::I32 | DType::U32) && n <= 1 << 29 {
                let mut words: Vec<u64> = keys.zip(0..).map(|(key, i)| key >> 29 << 29 | i).collect();
                sort_first(&mut words, wanted);
                y.iter_mut().zip(words).for_each(|(y, word)| *y = (word & ((1 << 29) - 1)) as i32);
            } else {
                let mut keys: Vec<(u64, i32)> = keys.zip(0..).collect();
                sort_first(&mut keys, wanted);
                y.iter_mut().zip(keys).for_each(|(y, (_, i))| *y = i);
            }
        }
    });
    Data::I32(y)
}

/// Puts the first elements in order, and the others behind them.
fn sort_first<T: Ord>(x: &mut [T], wanted: usize) {
    let mut first = x;
    if wanted < first.len() {
        first = first.select_nth_unstable(wanted).0;
    }
    first.sort_unstable();
}

/// How many elements of its sorted line lie before each value.
fn search<T: Stored>(sorted: &[T], args: &[View], right: bool) -> Data {
    let lines = gather(sorted, args[0].layout);
    let values = args[1].values::<T>();
    let last = |layout: &Layout| layout.shape.last().copied().unwrap_or(1);
    let (n, each) = (last(args[0].layout), last(args[1].layout));
    Data::I32(fill(values.len(), |i| {
        let line = &lines[i / each * n..][..n];
        let wanted = sort_key(values[i].to_f64());
        line.partition_point(|x| sort_key(x.to_f64()) < wanted || right && sort_key(x.to_f64()) == wanted) as i32
    }))
}
