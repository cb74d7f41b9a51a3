//! Elements in host memory, and loops over them: what uploads, downloads and the CPU device speak.

use crate::dtype::{DType, Element};
use crate::recycle::{Own, Spare};
use crate::shape::{Layout, numel};
use half::{bf16, f16};
use rayon::prelude::*;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::ops::{Deref, Range};

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
            $crate::elements::Data::Bool($v) => $body,
            $crate::elements::Data::U32($v) => $body,
            $crate::elements::Data::I32($v) => $body,
            $crate::elements::Data::BF16($v) => $body,
            $crate::elements::Data::F16($v) => $body,
            $crate::elements::Data::F32($v) => $body,
            $crate::elements::Data::F64($v) => $body,
        }
    };
}
pub(crate) use with_data;

/// An element type whose vector is a variant of [`Data`].
pub(crate) trait Stored: Element + Default {
    fn slice(data: &Data) -> &[Self];
    fn slice_mut(data: &mut Data) -> &mut [Self];
    fn wrap(v: Vec<Self>) -> Data;
    /// Vectors of this type that are free.
    fn spare() -> &'static Spare<Self>;

    /// `n` elements of whatever value, to be written over.
    fn room(n: usize) -> Vec<Self> {
        Self::spare().take(n)
    }
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
            fn spare() -> &'static Spare<$t> {
                thread_local!(static OWN: Own<$t> = const { RefCell::new(Vec::new()) });
                static SPARE: Spare<$t> = Spare::new(&OWN);
                &SPARE
            }
        }
    )* };
}
stored!(bool => Bool u32 => U32 i32 => I32 bf16 => BF16 f16 => F16 f32 => F32 f64 => F64);

/// Loops shorter than this stay on one thread: starting threads costs more.
const PARALLEL: usize = 1 << 15;

impl Drop for Data {
    fn drop(&mut self) {
        with_data!(self, v => Stored::spare().give(std::mem::take(v)));
    }
}

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

    /// `n` elements of whatever value, to be written over.
    pub(crate) fn room(dtype: DType, n: usize) -> Data {
        match dtype {
            DType::Bool => Data::Bool(Stored::room(n)),
            DType::U32 => Data::U32(Stored::room(n)),
            DType::I32 => Data::I32(Stored::room(n)),
            DType::BF16 => Data::BF16(Stored::room(n)),
            DType::F16 => Data::F16(Stored::room(n)),
            DType::F32 => Data::F32(Stored::room(n)),
            DType::F64 => Data::F64(Stored::room(n)),
        }
    }

    /// The elements converted to `dtype`; to `Bool`, whatever is not 0 becomes true.
    pub(crate) fn cast(&self, dtype: DType) -> Data {
        View::whole(self, &Layout::contiguous(&[self.len()])).cast(dtype)
    }

    /// The elements a layout reads, in row-major order.
    pub(crate) fn read(&self, layout: &Layout) -> Data {
        with_data!(self, v => Stored::wrap(gather(v, layout).into_vec()))
    }
}

/// `n` elements from a function of their index, on several threads if they are many.
pub(crate) fn fill<T: Stored>(n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut y = T::room(n);
    in_lines(&mut y, 1, 1, &|start, chunk| {
        for (i, y) in chunk.iter_mut().enumerate() {
            *y = f(start + i);
        }
    });
    y
}

/// Works on chunks of a slice that are whole lines of `line` elements, told the number of the first line; the work on one
/// element is as much as `cost` simple ones. The work is a `dyn` on purpose: the machinery of threads is then compiled once
/// per element type, and not once per operation.
pub(crate) fn in_lines<T: Send>(y: &mut [T], line: usize, cost: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
    if y.len().saturating_mul(cost) < PARALLEL {
        return work(0, y);
    }
    let lines = (PARALLEL / 4 / cost.max(1) / line).max(1);
    y.par_chunks_mut(lines * line).enumerate().for_each(|(i, y)| work(i * lines, y));
}

/// Elements in order: where they lay already, or read into memory that is then used again.
#[derive(Default)]
pub(crate) struct Elements<'a, T: Stored> {
    borrowed: &'a [T],
    read: Vec<T>,
}

impl<T: Stored> From<Vec<T>> for Elements<'_, T> {
    fn from(read: Vec<T>) -> Self {
        Elements { borrowed: &[], read }
    }
}

impl<T: Stored> Elements<'_, T> {
    fn into_vec(mut self) -> Vec<T> {
        if self.read.is_empty() {
            self.read = T::room(self.borrowed.len());
            in_lines(&mut self.read, 1, 1, &|start, y| y.copy_from_slice(&self.borrowed[start..][..y.len()]));
        }
        std::mem::take(&mut self.read)
    }
}

impl<T: Stored> Deref for Elements<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        if self.read.is_empty() { self.borrowed } else { &self.read }
    }
}

impl<T: Stored> Drop for Elements<'_, T> {
    fn drop(&mut self) {
        T::spare().give(std::mem::take(&mut self.read));
    }
}

/// The elements a layout reads from a slice.
pub(crate) fn gather<'a, T: Stored>(x: &'a [T], layout: &Layout) -> Elements<'a, T> {
    if layout.is_dense() {
        return Elements { borrowed: &x[layout.offset..][..layout.numel()], read: Vec::new() };
    }
    let mut y = T::room(layout.numel());
    read_all(x, layout, &mut y);
    y.into()
}

/// The elements a layout reads, into as many places.
pub(crate) fn read_all<T: Stored>(x: &[T], layout: &Layout, y: &mut [T]) {
    let layout = layout.merged();
    in_lines(y, 1, 1, &|start, y| read_into(x, &layout, start, y));
}

/// Runs shorter than this are not worth a copy each.
const SHORT: usize = 16;

/// Reads elements from number `start` of a merged layout on.
fn read_into<T: Copy>(x: &[T], layout: &Layout, start: usize, y: &mut [T]) {
    let rank = layout.shape.len();
    let columns = match (&layout.shape[..], &layout.strides[..]) {
        // Columns of a matrix: several are read at once, so that neighbours in memory are.
        (&[.., _, _], &[.., down, along]) if down.abs() == 1 && along.abs() > 1 => Some((rank - 2, SHORT)),
        // Short runs: the loop goes over a longer dimension, for every element of a run.
        _ => (0..rank).rev().find(|&d| layout.shape[d] >= SHORT).filter(|&d| d + 1 < rank).map(|d| (d, usize::MAX)),
    };
    let Some((d, most)) = columns else { return read_runs(x, layout, start, y) };
    let n = numel(&layout.shape[d + 1..]);
    let inner = Layout { shape: layout.shape[d + 1..].into(), strides: layout.strides[d + 1..].into(), offset: 0 };
    let places: SmallVec<[isize; 64]> = inner.indices().map(|at| at as isize).collect();
    let (rows, down) = (layout.shape[d], layout.strides[d]);
    let head = ((n - start % n) % n).min(y.len());
    let (first, mut rest) = y.split_at_mut(head);
    read_runs(x, layout, start, first);
    let mut row = (start + head) / n;
    while rest.len() >= n {
        let count = (rest.len() / n).min(most).min(rows - row % rows);
        let from = layout.place(row * n) as isize;
        let (now, later) = rest.split_at_mut(count * n);
        for (col, place) in places.iter().enumerate() {
            let mut at = from + place;
            for y in now[col..].iter_mut().step_by(n) {
                *y = x[at as usize];
                at += down;
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
            -1 => y.iter_mut().zip(x[..at + 1].iter().rev()).for_each(|(y, &x)| *y = x),
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

/// One operand of an operation, or a part of it.
#[derive(Clone)]
pub(crate) struct View<'a> {
    pub data: &'a Data,
    pub layout: &'a Layout,
    /// The numbers of the elements that a pointwise loop reads, in row-major order.
    pub part: Range<usize>,
}

impl<'a> View<'a> {
    /// All that a layout reads.
    pub fn whole(data: &'a Data, layout: &'a Layout) -> View<'a> {
        View { data, layout, part: 0..layout.numel() }
    }

    /// All elements, whatever the part.
    pub fn values<T: Stored>(&self) -> Elements<'a, T> {
        gather(T::slice(self.data), self.layout)
    }

    /// The elements of the part.
    pub fn elements<T: Stored>(&self) -> Elements<'a, T> {
        self.chunks().all(self.part.len())
    }

    /// [`Data::cast`] of the part.
    pub fn cast(&self, dtype: DType) -> Data {
        let n = self.part.len();
        if dtype == self.data.dtype() && n == self.layout.numel() {
            return self.data.read(self.layout);
        }
        with_data!(self.data, v => {
            let x = Chunks::of(v, self).all(n);
            match dtype == self.data.dtype() {
                true => Stored::wrap(x.into_vec()),
                false => Data::generate(dtype, n, |i| x[i].to_f64()),
            }
        })
    }

    pub fn chunks<T: Stored>(&self) -> Chunks<'a, T> {
        Chunks::of(T::slice(self.data), self)
    }
}

/// An operand of a pointwise loop, read chunk by chunk, so that what is strided is never written out as a whole.
pub(crate) struct Chunks<'a, T> {
    x: &'a [T],
    /// Where the part starts, among the elements of the layout or, without one, in memory.
    first: usize,
    /// How it is strided, if it is.
    layout: Option<Layout>,
}

impl<'a, T: Stored> Chunks<'a, T> {
    fn of(x: &'a [T], view: &View) -> Chunks<'a, T> {
        match view.layout.is_dense() {
            true => Chunks { x, first: view.layout.offset + view.part.start, layout: None },
            false => Chunks { x, first: view.part.start, layout: Some(view.layout.merged()) },
        }
    }

    /// How many elements from number `start` on are best read at a time: those that lie in order, or fit the fastest memory.
    pub fn run(&self, start: usize) -> usize {
        match &self.layout {
            None => usize::MAX,
            Some(Layout { shape, strides, .. }) => match (shape.last(), strides.last()) {
                (Some(&n), Some(1)) if n >= PIECE / 4 => n - (self.first + start) % n,
                _ => PIECE,
            },
        }
    }

    /// The first `n` elements.
    fn all(self, n: usize) -> Elements<'a, T> {
        let Some(layout) = &self.layout else {
            return Elements { borrowed: &self.x[self.first..][..n], read: Vec::new() };
        };
        let mut y = T::room(n);
        in_lines(&mut y, 1, 1, &|start, y| read_into(self.x, layout, self.first + start, y));
        y.into()
    }

    /// The elements from `start` on, into `y`.
    pub fn copy(&self, start: usize, y: &mut [T]) {
        let first = self.first + start;
        match &self.layout {
            Some(layout) => read_into(self.x, layout, first, y),
            None => y.copy_from_slice(&self.x[first..][..y.len()]),
        }
    }

    /// `n` elements from `start` on: the operand's own where they lie in order, else read into `room`.
    pub fn read<'b>(&self, start: usize, n: usize, room: &'b mut Vec<T>) -> &'b [T]
    where
        'a: 'b,
    {
        let first = self.first + start;
        let Some(layout) = &self.layout else { return &self.x[first..][..n] };
        if let (Some(&line), Some(1)) = (layout.shape.last(), layout.strides.last())
            && first % line + n <= line
        {
            return &self.x[layout.place(first)..][..n];
        }
        room.resize(n, T::default());
        read_into(self.x, layout, first, room);
        room
    }
}

/// A strided operand is read as many elements at a time.
const PIECE: usize = 1 << 10;
