//! The reference: evaluates one operation after the other, unfused, and knows nothing of plans.
//!
//! What an operation means is written here (structural operations) and in the rows (scalar functions); every other
//! device is an optimisation of this one and is tested against it.

mod gemm;
mod reduce;
mod scan;

use crate::data::{Data, Stored, View, fill, gather, in_chunks, with_data};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::ops::op::{Distribution, Fold, Op};
use crate::shape::{Dims, Layout};
use crate::tensor::device::{Backend, Graph, Node, Read, Source, Stats};
use crate::tensor::value::{Buffer, Value};
use parking_lot::Mutex;
use rayon::prelude::*;
use reduce::{Folded, reduce};
use scan::scan;
use std::sync::Arc;

/// The CPU device. A buffer is an `Arc<Data>`.
#[derive(Default)]
pub struct Cpu {
    stats: Mutex<Stats>,
}

impl Backend for Cpu {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn supports(&self, _: DType) -> bool {
        true
    }

    fn upload(&self, data: Data) -> Result<Buffer> {
        Ok(Arc::new(data))
    }

    fn run(&self, graph: &Graph) -> Result<()> {
        evaluate_all(graph, |node, result| {
            if node.held {
                node.value.settle(result.clone().map(|data| data as Buffer));
            }
        });
        let mut stats = self.stats.lock();
        stats.flushes += 1;
        stats.kernels += graph.nodes.len() as u64;
        Ok(())
    }

    fn download(&self, buffer: &Buffer, _: DType, _: usize) -> Read {
        let data = elements(buffer).clone();
        Box::pin(async move { Ok(Arc::unwrap_or_clone(data)) })
    }

    fn wait(&self, read: Read) -> Result<Data> {
        pollster::block_on(read)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        *self.stats.lock()
    }

    fn explain(&self) -> String {
        String::new()
    }
}

/// The elements in a buffer of this device.
pub fn elements(buffer: &Buffer) -> Arc<Data> {
    buffer.clone().downcast().expect("a buffer of the CPU holds elements")
}

/// Evaluates every node of a graph whose inputs are this device's buffers, and shows each result to `done`. What nobody
/// will read any more is dropped, or written over.
pub fn evaluate_all(graph: &Graph, mut done: impl FnMut(&Node, &Result<Arc<Data>>)) {
    let mut last_reader = vec![0; graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        for p in node.args.iter().filter_map(|arg| arg.source.node()) {
            last_reader[p] = n;
        }
    }
    let inputs: Vec<Arc<Data>> = graph.inputs.iter().map(|input| elements(&input.buffer)).collect();
    let mut results: Vec<Option<Result<Arc<Data>>>> = Vec::with_capacity(graph.nodes.len());
    for (n, node) in graph.nodes.iter().enumerate() {
        let base = take_base(node, &mut results, |p| last_reader[p] == n);
        let args: Result<Vec<View>> = node
            .args
            .iter()
            .map(|arg| {
                let data = match arg.source {
                    Source::Node(p) => match &results[p] {
                        Some(result) => result.as_deref().map_err(Error::clone)?,
                        None => &TAKEN,
                    },
                    Source::Input(i) => &inputs[i],
                };
                Ok(View { data, layout: &arg.layout })
            })
            .collect();
        let result = args.and_then(|args| evaluate(&node.value, &args, base)).map(Arc::new);
        done(node, &result);
        results.push(Some(result));
        for p in node.args.iter().filter_map(|arg| arg.source.node()).filter(|&p| last_reader[p] == n) {
            results[p] = None;
        }
    }
}

/// Stands for an operand whose elements became those of the result.
static TAKEN: Data = Data::Bool(Vec::new());

/// The elements that an operation changes in part, if nobody else needs them as they are.
fn take_base(node: &Node, results: &mut [Option<Result<Arc<Data>>>], ends: impl Fn(usize) -> bool) -> Option<Data> {
    let (Op::Write(_) | Op::Scatter { .. }) = node.value.op else { return None };
    let (base, others) = node.args.split_first()?;
    let p = base.source.node().filter(|&p| ends(p) && others.iter().all(|arg| arg.source != base.source))?;
    let data = results[p].take_if(|result| {
        let whole = |data: &Arc<Data>| Arc::strong_count(data) == 1 && base.layout.is_whole(data.len());
        result.as_ref().is_ok_and(whole)
    })?;
    data.ok().and_then(Arc::into_inner)
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
        Op::Cast => args[0].data.read(args[0].layout).cast(dtype),
        Op::Reduce { fold, dims } => match dtype {
            DType::F32 => reduce::<f32>(*fold, *dims, args[0], n),
            DType::F64 => reduce::<f64>(*fold, *dims, args[0], n),
            DType::I32 => reduce::<i32>(*fold, *dims, args[0], n),
            DType::U32 => reduce::<u32>(*fold, *dims, args[0], n),
            DType::Bool | DType::F16 | DType::BF16 => unreachable!("folded in a wider type"),
        },
        Op::Scan(kind) => scan(*kind, args, dtype, value.shape.last().copied().unwrap_or(1)),
        Op::Matmul { rows, inner, cols } => gemm::matmul(args, &value.shape, [*rows, *inner, *cols], dtype),
        Op::OverlapAdd { dim, step, dilation } => {
            let windows = args[0].layout;
            // Where in the result each place of each window lies.
            let mut at = Layout::contiguous(&value.shape);
            let along = at.strides[*dim];
            at.strides[*dim] = along * *step as isize;
            at.strides.push(along * *dilation as isize);
            at.shape = windows.shape.clone();
            match dtype {
                DType::F32 => overlap_add::<f32>(args[0], &at, n),
                DType::F64 => overlap_add::<f64>(args[0], &at, n),
                DType::I32 => overlap_add::<i32>(args[0], &at, n),
                DType::U32 => overlap_add::<u32>(args[0], &at, n),
                DType::Bool | DType::F16 | DType::BF16 => unreachable!("added in a wider type"),
            }
        }
        Op::Gather { dim } => {
            let index = args[1].values::<i32>();
            let places = places(value, *dim, &value.shape, args[0].layout, &index)?;
            with_data!(args[0].data, x => Stored::wrap(fill(n, |i| x[places[i]])))
        }
        Op::Scatter { dim, fold } => {
            let index = args[1].values::<i32>();
            let places = places(value, *dim, &args[1].layout.shape, &Layout::contiguous(&value.shape), &index)?;
            match dtype {
                DType::F32 => scatter::<f32>(*fold, base(), args[2], &places),
                DType::F64 => scatter::<f64>(*fold, base(), args[2], &places),
                DType::I32 => scatter::<i32>(*fold, base(), args[2], &places),
                DType::U32 => scatter::<u32>(*fold, base(), args[2], &places),
                DType::Bool => scatter::<bool>(*fold, base(), args[2], &places),
                DType::F16 | DType::BF16 => unreachable!("narrow floats are computed in f32"),
            }
        }
        Op::ArgSort { descending } => with_data!(args[0].data, x => argsort(x, args[0].layout, *descending)),
        Op::Search { right } => with_data!(args[0].data, x => search(x, args, *right)),
        Op::Write(layout) => {
            let mut y = base();
            with_data!(&mut y, y => {
                let source = gather(Stored::slice(args[1].data), args[1].layout);
                layout.merged().runs(0, source.len(), |i, at, stride, n| match stride {
                    1 => y[at..][..n].copy_from_slice(&source[i..][..n]),
                    _ => (0..n).for_each(|k| y[(at as isize + k as isize * stride) as usize] = source[i + k]),
                });
            });
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

/// Adds every place of every window to its place in the result.
fn overlap_add<T: Folded>(windows: View, at: &Layout, n: usize) -> Data {
    let mut y = vec![T::start(Fold::Sum); n];
    for (at, &x) in at.indices().zip(windows.values::<T>().iter()) {
        y[at] = T::fold(Fold::Sum, y[at], x);
    }
    T::wrap(y)
}

/// For every entry of an index of shape `shape`, the place in `layout` it names along `dim`.
fn places(value: &Value, dim: usize, shape: &[usize], layout: &Layout, index: &[i32]) -> Result<Vec<usize>> {
    let n = layout.shape[dim];
    if let Some(bad) = index.iter().find(|&&i| i < 0 || i as usize >= n) {
        return Err(refused(value, &format!("index {bad} is out of range for dimension {dim} of size {n}")));
    }
    // The layout restricted to the index's shape, with the indexed dimension standing still.
    let mut lines = Layout { shape: Dims::from_slice(shape), ..layout.clone() };
    lines.strides[dim] = 0;
    let (lines, step) = (lines.merged(), layout.strides[dim]);
    let mut places = vec![0; index.len()];
    in_chunks(&mut places, 2, &|start, places| {
        lines.runs(start, places.len(), |i, at, stride, n| {
            for k in 0..n {
                let wanted = index[start + i + k] as isize * step;
                places[i + k] = (at as isize + k as isize * stride + wanted) as usize;
            }
        });
    });
    Ok(places)
}

/// Entries of one place in their order: folded with what is there, or in its stead.
fn scatter<T: Folded>(fold: Option<Fold>, mut base: Data, source: View, places: &[usize]) -> Data {
    let y = T::slice_mut(&mut base);
    for (&at, &x) in places.iter().zip(source.values::<T>().iter()) {
        y[at] = fold.map_or(x, |fold| T::fold(fold, y[at], x));
    }
    base
}

/// `n` numbers of which four come at a time.
fn in_blocks(n: usize, block: impl Fn(u32) -> [f64; 4] + Sync) -> Data {
    let mut y = vec![[0.0; 4]; n.div_ceil(4)];
    in_chunks(&mut y, 64, &|start, y| y.iter_mut().enumerate().for_each(|(i, y)| *y = block((start + i) as u32)));
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

/// The places of each line's elements in order; equal ones are told apart by their places, so that no order is lost.
fn argsort<T: Stored>(x: &[T], layout: &Layout, descending: bool) -> Data {
    let values = gather(x, layout);
    let n = layout.shape.last().copied().unwrap_or(1);
    let flip = if descending { u64::MAX } else { 0 };
    let sorted = values.par_chunks(n).flat_map_iter(|line| {
        let mut keys: Vec<(u64, i32)> = line.iter().zip(0..).map(|(x, i)| (sort_key(x.to_f64()) ^ flip, i)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, i)| i)
    });
    Data::I32(sorted.collect())
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
