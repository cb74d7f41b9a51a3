//! The reference: evaluates one operation after the other, unfused, and knows nothing of plans.
//!
//! What an operation means is written here (structural operations) and in the rows (scalar functions); every other
//! device is an optimisation of this one and is tested against it.

use crate::data::{Data, Stored, View, fill, gather, with_data};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::ops::op::{Distribution, Fold, Op};
use crate::shape::{Dims, Layout, numel};
use crate::tensor::device::{Backend, Graph, Read, Source, Stats};
use crate::tensor::value::{Buffer, Value};
use parking_lot::Mutex;
use rayon::prelude::*;
use std::cmp::Ordering;
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
        for (node, result) in graph.nodes.iter().zip(evaluate_all(graph)) {
            if node.held {
                node.value.settle(result.map(|data| data as Buffer));
            }
        }
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

/// Evaluates every node of a graph whose inputs are this device's buffers.
pub fn evaluate_all(graph: &Graph) -> Vec<Result<Arc<Data>>> {
    let inputs: Vec<Arc<Data>> = graph.inputs.iter().map(|input| elements(&input.buffer)).collect();
    let mut results: Vec<Result<Arc<Data>>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let args: Result<Vec<View>> = node
            .args
            .iter()
            .map(|arg| {
                let data = match arg.source {
                    Source::Node(i) => results[i].as_deref().map_err(Error::clone)?,
                    Source::Input(i) => &inputs[i],
                };
                Ok(View { data, layout: &arg.layout })
            })
            .collect();
        let result = args.and_then(|args| evaluate(&node.value, &args)).map(Arc::new);
        results.push(result);
    }
    results
}

/// The meaning of one operation.
pub fn evaluate(value: &Value, args: &[View]) -> Result<Data> {
    let (n, dtype) = (value.numel(), value.dtype);
    Ok(match &value.op {
        Op::Data => unreachable!("data is given, never computed"),
        Op::Full(x) => Data::generate(dtype, n, |_| *x),
        Op::Iota => Data::generate(dtype, n, |i| i as f64),
        Op::Random(distribution, stream) => match *distribution {
            Distribution::Uniform => Data::generate(dtype, n, |i| stream.uniform(i)),
            Distribution::Normal => Data::generate(dtype, n, |i| stream.normal(i)),
            Distribution::Integer { low, range } => {
                Data::generate(dtype, n, |i| low.wrapping_add((stream.bits(i) % range) as i32) as f64)
            }
        },
        Op::Map(row) => (row.eval)(args, dtype),
        Op::Cast => args[0].data.read(args[0].layout).cast(dtype),
        Op::Reduce { fold, dims } => match dtype {
            DType::F32 => reduce::<f32>(*fold, *dims, args[0], n),
            DType::F64 => reduce::<f64>(*fold, *dims, args[0], n),
            DType::I32 => reduce::<i32>(*fold, *dims, args[0], n),
            DType::U32 => reduce::<u32>(*fold, *dims, args[0], n),
            DType::Bool | DType::F16 | DType::BF16 => unreachable!("folded in a wider type"),
        },
        Op::Matmul => match dtype {
            DType::F64 => matmul(args, &value.shape, |m, k, n, a, (ra, ca), b, (rb, cb), y| {
                // SAFETY: the pointers start views of `m × k` and `k × n` elements with these strides, checked when the
                // operation was recorded, and `y` is a fresh row-major matrix of `m × n`.
                unsafe { matrixmultiply::dgemm(m, k, n, 1.0, a, ra, ca, b, rb, cb, 0.0, y, n as isize, 1) }
            }),
            _ => matmul(args, &value.shape, |m, k, n, a, (ra, ca), b, (rb, cb), y| {
                // SAFETY: as above.
                unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, ra, ca, b, rb, cb, 0.0, y, n as isize, 1) }
            }),
        },
        Op::Gather { dim } => {
            let index = args[1].values::<i32>();
            let places = places(value, *dim, &value.shape, args[0].layout, &index)?;
            with_data!(args[0].data, x => Stored::wrap(fill(n, |i| x[places[i]])))
        }
        Op::Scatter { dim, fold } => {
            let index = args[1].values::<i32>();
            let places = places(value, *dim, &args[1].layout.shape, &Layout::contiguous(&value.shape), &index)?;
            match dtype {
                DType::F32 => scatter::<f32>(*fold, args, &places),
                DType::F64 => scatter::<f64>(*fold, args, &places),
                DType::I32 => scatter::<i32>(*fold, args, &places),
                DType::U32 => scatter::<u32>(*fold, args, &places),
                DType::Bool => scatter::<bool>(*fold, args, &places),
                DType::F16 | DType::BF16 => unreachable!("narrow floats are computed in f32"),
            }
        }
        Op::ArgSort { descending } => with_data!(args[0].data, x => argsort(x, args[0].layout, *descending)),
        Op::Search { right } => with_data!(args[0].data, x => search(x, args, *right)),
        Op::Write(layout) => {
            let mut y = args[0].data.read(args[0].layout);
            let source = args[1].data.read(args[1].layout);
            with_data!(&mut y, y => {
                let source = Stored::slice(&source);
                for (i, at) in layout.indices().enumerate() {
                    y[at] = source[i];
                }
            });
            y
        }
    })
}

/// What a fold starts from, and how two elements combine.
trait Folded: Stored {
    fn start(fold: Fold) -> Self;
    fn fold(fold: Fold, a: Self, b: Self) -> Self;
}

macro_rules! folded {
    ($($t:ty, $low:expr, $high:expr, $add:expr, $mul:expr;)*) => { $(
        impl Folded for $t {
            fn start(fold: Fold) -> $t {
                match fold { Fold::Sum => 0 as $t, Fold::Prod => 1 as $t, Fold::Max => $low, Fold::Min => $high }
            }
            #[allow(clippy::eq_op, reason = "a float that differs from itself is NaN")]
            fn fold(fold: Fold, a: $t, b: $t) -> $t {
                match fold {
                    Fold::Sum => $add(a, b),
                    Fold::Prod => $mul(a, b),
                    Fold::Max => if a > b || a != a { a } else { b },
                    Fold::Min => if a < b || a != a { a } else { b },
                }
            }
        }
    )* };
}
folded! {
    f32, f32::NEG_INFINITY, f32::INFINITY, |a, b| a + b, |a, b| a * b;
    f64, f64::NEG_INFINITY, f64::INFINITY, |a, b| a + b, |a, b| a * b;
    i32, i32::MIN, i32::MAX, i32::wrapping_add, i32::wrapping_mul;
    u32, u32::MIN, u32::MAX, u32::wrapping_add, u32::wrapping_mul;
}

impl Folded for bool {
    fn start(fold: Fold) -> bool {
        matches!(fold, Fold::Prod | Fold::Min)
    }
    fn fold(fold: Fold, a: bool, b: bool) -> bool {
        match fold {
            Fold::Sum | Fold::Max => a || b,
            Fold::Prod | Fold::Min => a && b,
        }
    }
}

/// Folds the last `dims` dimensions of a view.
fn reduce<T: Folded>(fold: Fold, dims: usize, x: View, n: usize) -> Data {
    let values = x.values::<T>();
    let rank = x.layout.shape.len();
    let columns = numel(&x.layout.shape[rank - dims..]);
    // Halves are folded first, so that the error of a sum grows with the logarithm of its length.
    fn halves<T: Folded>(fold: Fold, x: &[T]) -> T {
        if x.len() <= 64 {
            return x.iter().fold(T::start(fold), |a, &b| T::fold(fold, a, b));
        }
        let (a, b) = x.split_at(x.len() / 2);
        T::fold(fold, halves(fold, a), halves(fold, b))
    }
    T::wrap(fill(n, |row| halves(fold, &values[row * columns..][..columns])))
}

type Steps = (isize, isize);

/// One matrix product per batch entry, by a strided GEMM.
fn matmul<T: Stored + Default>(
    args: &[View],
    shape: &[usize],
    gemm: impl Fn(usize, usize, usize, *const T, Steps, *const T, Steps, *mut T) + Sync,
) -> Data {
    let (a, b) = (T::slice(args[0].data), T::slice(args[1].data));
    let rank = shape.len();
    let (m, n, k) = (shape[rank - 2], shape[rank - 1], args[0].layout.shape[rank - 1]);
    let batch = |layout: &Layout| -> (Vec<usize>, Steps) {
        let outer = Layout {
            shape: Dims::from_slice(&layout.shape[..rank - 2]),
            strides: layout.strides[..rank - 2].into(),
            offset: layout.offset,
        };
        (outer.indices().collect(), (layout.strides[rank - 2], layout.strides[rank - 1]))
    };
    let ((starts_a, steps_a), (starts_b, steps_b)) = (batch(args[0].layout), batch(args[1].layout));
    let mut y = vec![T::default(); numel(shape)];
    let one = |(i, y): (usize, &mut [T])| {
        gemm(m, k, n, a[starts_a[i]..].as_ptr(), steps_a, b[starts_b[i]..].as_ptr(), steps_b, y.as_mut_ptr());
    };
    match starts_a.len() {
        1 => one((0, &mut y)),
        _ => y.par_chunks_mut(m * n).enumerate().for_each(one),
    }
    T::wrap(y)
}

/// For every entry of an index of shape `shape`, the place in `layout` it names along `dim`.
fn places(value: &Value, dim: usize, shape: &[usize], layout: &Layout, index: &[i32]) -> Result<Vec<usize>> {
    let n = layout.shape[dim];
    if let Some(bad) = index.iter().find(|&&i| i < 0 || i as usize >= n) {
        let (op, at) = (value.op.name(), value.at);
        return Err(Error::new(
            Kind::Misuse,
            format!(
                "{op}: index {bad} is out of range for dimension {dim} of size {n} (recorded at {}:{})",
                at.file(),
                at.line()
            ),
        ));
    }
    // The layout restricted to the index's shape, with the indexed dimension standing still.
    let mut lines = Layout { shape: Dims::from_slice(shape), ..layout.clone() };
    lines.strides[dim] = 0;
    let step = layout.strides[dim];
    Ok(lines.indices().zip(index).map(|(line, &i)| (line as isize + i as isize * step) as usize).collect())
}

/// Entries of one place in their order: folded with what is there, or in its stead.
fn scatter<T: Folded>(fold: Option<Fold>, args: &[View], places: &[usize]) -> Data {
    let mut y = args[0].values::<T>().into_owned();
    let source = args[2].values::<T>();
    for (&at, &x) in places.iter().zip(source.iter()) {
        y[at] = fold.map_or(x, |fold| T::fold(fold, y[at], x));
    }
    T::wrap(y)
}

/// The order of numbers in which NaN is the largest and -0 equals 0.
fn ordered(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The places of each line's elements in order.
fn argsort<T: Stored>(x: &[T], layout: &Layout, descending: bool) -> Data {
    let values = gather(x, layout);
    let n = layout.shape.last().copied().unwrap_or(1);
    let mut places: Vec<i32> = fill(values.len(), |i| (i % n) as i32);
    places.par_chunks_mut(n).zip(values.par_chunks(n)).for_each(|(places, line)| {
        places.sort_by(|&a, &b| {
            let order = ordered(line[a as usize].to_f64(), line[b as usize].to_f64());
            if descending { order.reverse() } else { order }
        });
    });
    Data::I32(places)
}

/// How many elements of its sorted line lie before each value.
fn search<T: Stored>(sorted: &[T], args: &[View], right: bool) -> Data {
    let lines = gather(sorted, args[0].layout);
    let values = args[1].values::<T>();
    let last = |layout: &Layout| layout.shape.last().copied().unwrap_or(1);
    let (n, each) = (last(args[0].layout), last(args[1].layout));
    let last_before = if right { Ordering::Equal } else { Ordering::Less };
    Data::I32(fill(values.len(), |i| {
        let line = &lines[i / each * n..][..n];
        line.partition_point(|x| ordered(x.to_f64(), values[i].to_f64()) <= last_before) as i32
    }))
}
