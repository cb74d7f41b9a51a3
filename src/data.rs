//! Elements in host memory, and loops over them: what uploads, downloads and the CPU device speak.

use crate::dtype::{DType, Element};
use crate::shape::Layout;
use half::{bf16, f16};
use rayon::prelude::*;
use std::borrow::Cow;

/// A typed list of elements.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are the dtypes")]
pub enum Data {
    Bool(Vec<bool>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    BF16(Vec<bf16>),
    F16(Vec<f16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Runs an expression with `$v` bound to the vector inside, whatever its type.
macro_rules! with_data {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            $crate::data::Data::Bool($v) => $body,
            $crate::data::Data::U32($v) => $body,
            $crate::data::Data::I32($v) => $body,
            $crate::data::Data::BF16($v) => $body,
            $crate::data::Data::F16($v) => $body,
            $crate::data::Data::F32($v) => $body,
            $crate::data::Data::F64($v) => $body,
        }
    };
}
pub(crate) use with_data;

/// An element type whose vector is a variant of [`Data`].
pub(crate) trait Stored: Element + Default {
    fn slice(data: &Data) -> &[Self];
    fn slice_mut(data: &mut Data) -> &mut [Self];
    fn wrap(v: Vec<Self>) -> Data;
}

macro_rules! stored {
    ($($t:ty => $variant:ident)*) => { $(
        impl Stored for $t {
            fn slice(data: &Data) -> &[Self] {
                match data {
                    Data::$variant(v) => v,
                    other => unreachable!("{} elements read as {}", other.dtype(), stringify!($t)),
                }
            }
            fn slice_mut(data: &mut Data) -> &mut [Self] {
                match data {
                    Data::$variant(v) => v,
                    other => unreachable!("{} elements written as {}", other.dtype(), stringify!($t)),
                }
            }
            fn wrap(v: Vec<Self>) -> Data { Data::$variant(v) }
        }
    )* };
}
stored!(bool => Bool u32 => U32 i32 => I32 bf16 => BF16 f16 => F16 f32 => F32 f64 => F64);

/// Loops shorter than this stay on one thread: starting threads costs more.
const PARALLEL: usize = 1 << 15;

impl Data {
    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            Data::Bool(_) => DType::Bool,
            Data::U32(_) => DType::U32,
            Data::I32(_) => DType::I32,
            Data::BF16(_) => DType::BF16,
            Data::F16(_) => DType::F16,
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        with_data!(self, v => v.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `i` as a double.
    pub fn at(&self, i: usize) -> f64 {
        with_data!(self, v => v[i].to_f64())
    }

    /// Every element as a double.
    pub fn to_f64(&self) -> Vec<f64> {
        with_data!(self, v => v.iter().map(|x| x.to_f64()).collect())
    }

    /// `n` elements of `dtype`, element `i` being `f(i)`.
    pub(crate) fn generate(dtype: DType, n: usize, f: impl Fn(usize) -> f64 + Sync) -> Data {
        match dtype {
            DType::Bool => Data::Bool(fill(n, |i| f(i) != 0.0)),
            DType::U32 => Data::U32(fill(n, |i| f(i) as u32)),
            DType::I32 => Data::I32(fill(n, |i| f(i) as i32)),
            DType::BF16 => Data::BF16(fill(n, |i| crate::dtype::to_bf16(f(i)))),
            DType::F16 => Data::F16(fill(n, |i| crate::dtype::to_f16(f(i)))),
            DType::F32 => Data::F32(fill(n, |i| f(i) as f32)),
            DType::F64 => Data::F64(fill(n, f)),
        }
    }

    /// The elements converted to `dtype`; to `Bool`, whatever is not 0 becomes true.
    pub(crate) fn cast(&self, dtype: DType) -> Data {
        if dtype == self.dtype() {
            return self.clone();
        }
        with_data!(self, v => Data::generate(dtype, v.len(), |i| v[i].to_f64()))
    }

    /// The elements a layout reads, in row-major order.
    pub(crate) fn read(&self, layout: &Layout) -> Data {
        with_data!(self, v => Stored::wrap(gather(v, layout).into_owned()))
    }
}

/// `n` elements from a function of their index, on several threads if they are many.
pub(crate) fn fill<T: Send + Clone + Default>(n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut y = vec![T::default(); n];
    in_chunks(&mut y, 1, &|start, chunk| {
        for (i, y) in chunk.iter_mut().enumerate() {
            *y = f(start + i);
        }
    });
    y
}

/// Works on chunks of a slice, told the index each starts at; the work on one element is as much as `cost` simple ones.
/// The work is a `dyn` on purpose: the machinery of threads is then compiled once per element type, and not once per
/// operation.
pub(crate) fn in_chunks<T: Send>(y: &mut [T], cost: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
    if y.len().saturating_mul(cost) < PARALLEL {
        return work(0, y);
    }
    let chunk = (PARALLEL / 4 / cost.max(1)).max(1);
    y.par_chunks_mut(chunk).enumerate().for_each(|(i, y)| work(i * chunk, y));
}

/// The elements a layout reads from a slice; borrowed where they lie in order already.
pub(crate) fn gather<'a, T: Stored>(x: &'a [T], layout: &Layout) -> Cow<'a, [T]> {
    if layout.is_dense() {
        return Cow::Borrowed(&x[layout.offset..][..layout.numel()]);
    }
    let (layout, mut y) = (layout.merged(), vec![T::default(); layout.numel()]);
    in_chunks(&mut y, 1, &|start, y| read_into(x, &layout, start, y));
    Cow::Owned(y)
}

/// Reads elements from number `start` of a merged layout on.
fn read_into<T: Copy>(x: &[T], layout: &Layout, start: usize, y: &mut [T]) {
    let (&[.., rows, n], &[.., down, along]) = (&layout.shape[..], &layout.strides[..]) else {
        return read_runs(x, layout, start, y);
    };
    if along.abs() == 1 || along == 0 || down.abs() != 1 {
        return read_runs(x, layout, start, y);
    }
    // Where columns are read, several are read at once, so that neighbours in memory are.
    let head = ((n - start % n) % n).min(y.len());
    let (first, mut rest) = y.split_at_mut(head);
    read_runs(x, layout, start, first);
    let mut row = (start + head) / n;
    while rest.len() >= n {
        let count = (rest.len() / n).min(16).min(rows - row % rows);
        let from = layout.place(row * n) as isize;
        let (now, later) = rest.split_at_mut(count * n);
        for col in 0..n {
            for r in 0..count {
                now[r * n + col] = x[(from + col as isize * along + r as isize * down) as usize];
            }
        }
        (row, rest) = (row + count, later);
    }
    read_runs(x, layout, row * n, rest);
}

fn read_runs<T: Copy>(x: &[T], layout: &Layout, start: usize, y: &mut [T]) {
    layout.runs(start, y.len(), |i, at, stride, n| {
        let y = &mut y[i..][..n];
        match stride {
            0 => y.fill(x[at]),
            1 => y.copy_from_slice(&x[at..][..n]),
            _ => {
                let mut at = at as isize;
                for y in y {
                    *y = x[at as usize];
                    at += stride;
                }
            }
        }
    });
}

/// One operand of an operation.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub data: &'a Data,
    pub layout: &'a Layout,
}

impl<'a> View<'a> {
    pub fn values<T: Stored>(self) -> Cow<'a, [T]> {
        gather(T::slice(self.data), self.layout)
    }

    pub fn chunks<T: Stored>(self) -> Chunks<'a, T> {
        let layout = if self.layout.is_dense() { None } else { Some(self.layout.merged()) };
        Chunks { x: T::slice(self.data), offset: self.layout.offset, layout }
    }
}

/// An operand of a pointwise loop, read chunk by chunk, so that what is strided is never written out as a whole.
pub(crate) struct Chunks<'a, T> {
    x: &'a [T],
    offset: usize,
    /// How it is strided, if it is.
    layout: Option<Layout>,
}

impl<'a, T: Stored> Chunks<'a, T> {
    /// `n` elements from `start` on: the operand's own where they lie in order, else read into `room`.
    pub fn read<'b>(&self, start: usize, n: usize, room: &'b mut Vec<T>) -> &'b [T]
    where
        'a: 'b,
    {
        let Some(layout) = &self.layout else { return &self.x[self.offset + start..][..n] };
        room.resize(n, T::default());
        read_into(self.x, layout, start, room);
        room
    }
}
