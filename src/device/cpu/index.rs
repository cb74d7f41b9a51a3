//! Reading and writing at computed places: element by element, or run by run where an index is the same all along.

use super::reduce::Folded;
use super::refused;
use crate::elements::{Data, Elements, Stored, View, gather as read, in_lines};
use crate::error::Result;
use crate::ops::op::Fold;
use crate::shape::{Layout, numel};
use crate::tensor::value::Value;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The places in a layout that an index names, in the index's order: runs of elements, `step` apart.
pub(super) struct Places {
    starts: Elements<'static, u32>,
    run: usize,
    step: isize,
    /// How many of the starts belong to each line: an index of the dimensions before the indexed one.
    per_line: usize,
}

impl Places {
    /// What `index` names along dimension `dim` of `layout`.
    pub fn of(value: &Value, dim: usize, index: &View, layout: &Layout) -> Result<Places> {
        let shape = &index.layout.shape;
        let part = |x: &Layout, range: Range<usize>, offset| Layout {
            shape: shape[range.clone()].into(),
            strides: x.strides[range].into(),
            offset,
        };
        let same = |d: &usize| *d > dim && (shape[*d] == 1 || index.layout.strides[*d] == 0);
        let mut rank = shape.len() - (0..shape.len()).rev().take_while(same).count();
        let tail = part(layout, rank..shape.len(), 0).merged();
        let (run, step) = match (&tail.shape[..], &tail.strides[..]) {
            (&[run], &[step]) => (run, step),
            _ => {
                rank = shape.len();
                (1, 1)
            }
        };
        let head = part(index.layout, 0..rank, index.layout.offset);
        let index = View::whole(index.data, &head).values::<i32>();
        let n = layout.shape[dim];
        // The layout of the index's shape, with the indexed dimension standing still.
        let mut lines = part(layout, 0..rank, layout.offset);
        lines.strides[dim] = 0;
        let (lines, along) = (lines.merged(), layout.strides[dim] as u32);
        let mut starts = u32::room(index.len());
        let beyond = AtomicBool::new(false);
        in_lines(&mut starts, 1, 2, &|start, starts| {
            let mut all = true;
            lines.runs(start, starts.len(), |i, at, stride, run| {
                // Places fit 32 bits, so that sums of parts that do not are right all the same.
                let (mut at, stride) = (at as u32, stride as u32);
                for (start, &index) in starts[i..][..run].iter_mut().zip(&index[start + i..]) {
                    all &= (index as u32 as usize) < n;
                    *start = at.wrapping_add((index as u32).wrapping_mul(along));
                    at = at.wrapping_add(stride);
                }
            });
            if !all {
                beyond.store(true, Relaxed);
            }
        });
        if beyond.into_inner() {
            let bad = index.iter().find(|&&i| i as u32 as usize >= n).expect("one is out of range");
            return Err(refused(value, &format!("index {bad} is out of range for dimension {dim} of size {n}")));
        }
        let per_line = numel(&head.shape[dim..]);
        Ok(Places { starts: Elements::from(starts), run, step, per_line })
    }
}

/// The elements of `x` at the places.
pub(super) fn gather<T: Stored>(x: &[T], places: &Places) -> Data {
    let Places { starts, run, step, .. } = places;
    let mut y = T::room(starts.len() * run);
    in_lines(&mut y, *run, 2, &|first, y| {
        let starts = &starts[first..];
        match (*run, *step) {
            (1, _) => y.iter_mut().zip(starts).for_each(|(y, &at)| *y = x[at as usize]),
            (run, 1) => y.chunks_mut(run).zip(starts).for_each(|(y, &at)| y.copy_from_slice(&x[at as usize..][..run])),
            (run, step) => {
                for (y, &at) in y.chunks_mut(run).zip(starts) {
                    let place = |k: usize| (at as isize + k as isize * step) as usize;
                    y.iter_mut().enumerate().for_each(|(k, y)| *y = x[place(k)]);
                }
            }
        }
    });
    T::wrap(y)
}

/// Entries of one place in their order: folded with what is there, or in its stead. The places along dimension `dim` lie
/// in a row-major `base` of a shape.
pub(super) fn scatter<T: Folded>(
    fold: Option<Fold>,
    mut base: Data,
    source: &View,
    places: &Places,
    (shape, dim): (&[usize], usize),
) -> Data {
    let source = source.values::<T>();
    let Places { starts, run, per_line, .. } = places;
    let lines = |first: usize, origin: usize, y: &mut [T], starts: &[u32]| {
        let source = &source[first * run..];
        match fold {
            Some(fold) if *run == 1 => starts.iter().zip(source).for_each(|(&at, &x)| {
                let y = &mut y[at as usize - origin];
                *y = T::fold(fold, *y, x);
            }),
            _ => starts.iter().zip(source.chunks(*run)).for_each(|(&at, x)| {
                let y = &mut y[at as usize - origin..][..*run];
                match fold {
                    None => y.copy_from_slice(x),
                    Some(fold) => y.iter_mut().zip(x).for_each(|(y, &x)| *y = T::fold(fold, *y, x)),
                }
            }),
        }
    };
    let line = numel(&shape[dim..]);
    let y = T::slice_mut(&mut base);
    if starts.len() / (*per_line).max(1) * line != y.len() {
        // The index leaves lines out.
        lines(0, 0, y, starts);
        return base;
    }
    in_lines(y, line, 2, &|first, y| {
        let count = y.len() / line;
        lines(first * per_line, first * line, y, &starts[first * per_line..][..count * per_line]);
    });
    base
}

/// Adds every place of every window, which the last dimension walks through, to its place along dimension `dim`.
pub(super) fn overlap_add<T: Folded>(
    windows: &View,
    shape: &[usize],
    dim: usize,
    step: usize,
    dilation: usize,
) -> Data {
    let (n, inner) = (shape[dim], numel(&shape[dim + 1..]));
    let sizes = &windows.layout.shape;
    let (count, size) = (sizes[dim], sizes[sizes.len() - 1]);
    let windows = read(T::slice(windows.data), windows.layout);
    let mut y = T::room(numel(shape));
    in_lines(&mut y, n * inner, size.div_ceil(step), &|first, y| {
        y.fill(T::start(Fold::Sum));
        for (y, windows) in y.chunks_mut(n * inner).zip(windows.chunks(count * inner * size).skip(first)) {
            for (w, k) in (0..count).flat_map(|w| (0..size).map(move |k| (w, k))) {
                let y = &mut y[(w * step + k * dilation) * inner..][..inner];
                let x = windows[w * inner * size..][..inner * size].iter().skip(k).step_by(size);
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = T::fold(Fold::Sum, *y, x));
            }
        }
    });
    T::wrap(y)
}
