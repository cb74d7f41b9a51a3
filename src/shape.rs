//! Shapes, axes, broadcasting, and strided layouts: which element of a buffer an index means.

use crate::error::misuse;
use smallvec::SmallVec;

/// Sizes of dimensions.
pub type Dims = SmallVec<[usize; 6]>;
/// Steps between neighbours, in elements. Negative for a flipped dimension, 0 for an expanded one.
pub type Strides = SmallVec<[isize; 6]>;

/// The number of elements of a shape; 1 for the 0-d shape.
pub fn numel(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// A list of integers given as `2`, `[0, 1]`, `&[…]`, `()` or a `Vec`: sizes or dimensions, where negative ones count
/// from the end.
pub trait Ints {
    /// The list itself.
    fn ints(self) -> SmallVec<[isize; 6]>;
}

macro_rules! ints {
    ($($t:ty)*) => { $(
        impl Ints for $t { fn ints(self) -> SmallVec<[isize; 6]> { SmallVec::from_slice(&[self as isize]) } }
        impl<const N: usize> Ints for [$t; N] { fn ints(self) -> SmallVec<[isize; 6]> { self.iter().map(|&x| x as isize).collect() } }
        impl<const N: usize> Ints for &[$t; N] { fn ints(self) -> SmallVec<[isize; 6]> { self.iter().map(|&x| x as isize).collect() } }
        impl Ints for &[$t] { fn ints(self) -> SmallVec<[isize; 6]> { self.iter().map(|&x| x as isize).collect() } }
        impl Ints for Vec<$t> { fn ints(self) -> SmallVec<[isize; 6]> { self.iter().map(|&x| x as isize).collect() } }
        impl Ints for &Vec<$t> { fn ints(self) -> SmallVec<[isize; 6]> { self.iter().map(|&x| x as isize).collect() } }
    )* };
}
ints!(i32 i64 isize usize);

impl Ints for () {
    fn ints(self) -> SmallVec<[isize; 6]> {
        SmallVec::new()
    }
}

/// The sizes a caller gave for a new tensor.
#[track_caller]
pub(crate) fn sizes(op: &str, shape: impl Ints) -> Dims {
    let given = shape.ints();
    if given.iter().any(|&n| n < 0) {
        misuse(op, format!("negative size in shape {given:?}"));
    }
    given.iter().map(|&n| n as usize).collect()
}

/// Dimension `dim` of `shape`, counted from the end if negative. A 0-d tensor takes 0 and -1.
#[track_caller]
pub(crate) fn axis(op: &str, shape: &[usize], dim: isize) -> usize {
    let rank = shape.len().max(1) as isize;
    if !(-rank..rank).contains(&dim) {
        misuse(op, format!("dimension {dim} is out of range for shape {shape:?} ({}..={})", -rank, rank - 1));
    }
    dim.rem_euclid(rank) as usize
}

/// The distinct dimensions `dims` of `shape`, sorted; all of them if the list is empty.
#[track_caller]
pub(crate) fn axes(op: &str, shape: &[usize], dims: impl Ints) -> Dims {
    let dims = dims.ints();
    if dims.is_empty() {
        return (0..shape.len()).collect();
    }
    // A loop, since a closure would be the caller that a misuse is told of.
    let mut sorted = Dims::new();
    for &d in &dims {
        sorted.push(axis(op, shape, d));
    }
    sorted.sort_unstable();
    if sorted.windows(2).any(|w| w[0] == w[1]) {
        misuse(op, format!("dimension named twice in {dims:?} for shape {shape:?}"));
    }
    if shape.is_empty() {
        sorted.clear();
    }
    sorted
}

/// The shape both broadcast to, aligned at the last dimension; `None` if they do not fit.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Dims> {
    let rank = a.len().max(b.len());
    let size = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (size(a, i), size(b, i)) {
            (m, n) if m == n => Some(m),
            (1, n) => Some(n),
            (m, 1) => Some(m),
            _ => None,
        })
        .collect()
}

/// How a tensor reads a buffer: element `i` of `shape` is at `offset + i · strides`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Sizes of the dimensions.
    pub shape: Dims,
    /// Steps in the buffer per dimension.
    pub strides: Strides,
    /// Where element 0 lies.
    pub offset: usize,
}

impl Layout {
    /// The row-major layout of `shape`.
    pub fn contiguous(shape: &[usize]) -> Layout {
        let mut strides: Strides = SmallVec::from_elem(0, shape.len());
        let mut step = 1;
        for (stride, &n) in strides.iter_mut().zip(shape).rev() {
            *stride = step;
            step *= n.max(1) as isize;
        }
        Layout { shape: Dims::from_slice(shape), strides, offset: 0 }
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        numel(&self.shape)
    }

    /// Whether element `i` in row-major order is simply at `offset + i`.
    pub fn is_dense(&self) -> bool {
        let mut step = 1;
        for (&n, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if n != 1 && stride != step {
                return self.numel() == 0;
            }
            step *= n as isize;
        }
        true
    }

    /// Whether this reads a whole buffer of `len` elements in order.
    pub fn is_whole(&self, len: usize) -> bool {
        self.offset == 0 && self.numel() == len && self.is_dense()
    }

    /// The length of the shortest buffer that holds all elements.
    pub fn extent(&self) -> usize {
        if self.numel() == 0 {
            return 0;
        }
        let reach = |(&n, &stride): (&usize, &isize)| stride.max(0) as usize * (n - 1);
        self.offset + self.shape.iter().zip(&self.strides).map(reach).sum::<usize>() + 1
    }

    /// Whether two indices may read one element: a dimension does not step over all that the finer ones reach.
    pub fn overlaps(&self) -> bool {
        let mut steps: SmallVec<[(usize, usize); 6]> = self
            .shape
            .iter()
            .zip(&self.strides)
            .filter(|(n, _)| **n > 1)
            .map(|(&n, s)| (s.unsigned_abs(), n))
            .collect();
        steps.sort_unstable();
        let mut reach = 0;
        steps.into_iter().any(|(step, n)| {
            let overlaps = step <= reach;
            reach += step * (n - 1);
            overlaps
        })
    }

    /// Whether every index reads the same element.
    pub fn is_uniform(&self) -> bool {
        self.shape.iter().zip(&self.strides).all(|(&n, &s)| n == 1 || s == 0)
    }

    /// Where every element lies, in row-major order.
    pub fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        let mut index: Dims = SmallVec::from_elem(0, self.shape.len());
        let mut at = self.offset as isize;
        (0..self.numel()).map(move |_| {
            let here = at as usize;
            for d in (0..index.len()).rev() {
                index[d] += 1;
                at += self.strides[d];
                if index[d] < self.shape[d] {
                    break;
                }
                at -= self.strides[d] * self.shape[d] as isize;
                index[d] = 0;
            }
            here
        })
    }

    /// The first `rank` dimensions, and the rest, each merged; the offset goes to the first.
    pub fn split(&self, rank: usize) -> (Layout, Layout) {
        let part = |range: std::ops::Range<usize>, offset| {
            Layout { shape: self.shape[range.clone()].into(), strides: self.strides[range].into(), offset }.merged()
        };
        (part(0..rank, self.offset), part(rank..self.shape.len(), 0))
    }

    /// Where element `i` in row-major order lies.
    pub fn place(&self, i: usize) -> usize {
        let (mut rest, mut at) = (i, self.offset as isize);
        for (&n, &stride) in self.shape.iter().zip(&self.strides).rev() {
            at += (rest % n) as isize * stride;
            rest /= n;
        }
        at as usize
    }

    /// Calls `f(i, at, stride, n)` for runs that make up `len` elements from `start` on: element `start + i` lies at `at`,
    /// and the next `n - 1` lie `stride` apart.
    pub fn runs(&self, start: usize, len: usize, mut f: impl FnMut(usize, usize, isize, usize)) {
        let Some((&last, outer)) = self.shape.split_last() else {
            return if len > 0 {
                f(0, self.offset, 0, 1)
            };
        };
        let stride = self.strides[outer.len()];
        // Most runs follow each other along the last but one dimension.
        let (&rows, beyond) = outer.split_last().unwrap_or((&1, &[]));
        let down = if outer.is_empty() { 0 } else { self.strides[beyond.len()] };
        let (mut index, mut rest, mut at) = (Dims::from_slice(&self.shape), start, self.offset as isize);
        for (d, &n) in self.shape.iter().enumerate().rev() {
            index[d] = rest % n.max(1);
            at += index[d] as isize * self.strides[d];
            rest /= n.max(1);
        }
        let (mut first, mut row, mut done) =
            (index[outer.len()], if outer.is_empty() { 0 } else { index[beyond.len()] }, 0);
        while done < len {
            let n = (last - first).min(len - done);
            f(done, at as usize, stride, n);
            done += n;
            at += down - first as isize * stride;
            (first, row) = (0, row + 1);
            if row < rows {
                continue;
            }
            at -= rows as isize * down;
            row = 0;
            for d in (0..beyond.len()).rev() {
                index[d] += 1;
                at += self.strides[d];
                if index[d] < outer[d] {
                    break;
                }
                at -= self.strides[d] * outer[d] as isize;
                index[d] = 0;
            }
        }
    }

    /// The same elements with dimensions in another order.
    pub fn permute(&self, order: &[usize]) -> Layout {
        Layout {
            shape: order.iter().map(|&d| self.shape[d]).collect(),
            strides: order.iter().map(|&d| self.strides[d]).collect(),
            offset: self.offset,
        }
    }

    /// Dimensions of size 1, and new leading ones, repeated without copying to `shape`, which they must broadcast to.
    pub fn expand(&self, shape: &[usize]) -> Layout {
        let new = shape.len() - self.shape.len();
        let strides = (0..shape.len())
            .map(|d| if d < new || self.shape[d - new] != shape[d] { 0 } else { self.strides[d - new] })
            .collect();
        Layout { shape: Dims::from_slice(shape), strides, offset: self.offset }
    }

    /// Elements `start, start + step, …` of one dimension, `len` of them.
    pub fn slice(&self, dim: usize, start: usize, len: usize, step: usize) -> Layout {
        let mut y = self.clone();
        if len > 0 {
            y.offset = (y.offset as isize + start as isize * y.strides[dim]) as usize;
        }
        y.shape[dim] = len;
        y.strides[dim] *= step as isize;
        y
    }

    /// One dimension read backwards.
    pub fn flip(&self, dim: usize) -> Layout {
        let mut y = self.clone();
        if self.numel() > 0 {
            y.offset = (y.offset as isize + (y.shape[dim] as isize - 1) * y.strides[dim]) as usize;
        }
        y.strides[dim] = -y.strides[dim];
        y
    }

    /// A new dimension of size 1 before `dim`.
    pub fn unsqueeze(&self, dim: usize) -> Layout {
        let mut y = self.clone();
        y.shape.insert(dim, 1);
        y.strides.insert(dim, 0);
        y
    }

    /// The elements whose index along `b` is `offset` larger than that along `a`, as a new last dimension.
    pub fn diagonal(&self, offset: isize, a: usize, b: usize) -> Layout {
        let (down, right) = ((-offset).max(0) as usize, offset.max(0) as usize);
        let len = self.shape[a].saturating_sub(down).min(self.shape[b].saturating_sub(right));
        let start = self.slice(a, down, len, 1).slice(b, right, len, 1);
        let kept: Dims = (0..self.shape.len()).filter(|&d| d != a && d != b).collect();
        let mut y = start.permute(&kept);
        y.shape.push(len);
        y.strides.push(self.strides[a] + self.strides[b]);
        y
    }

    /// The listed dimensions, each of size 1, left out.
    pub fn squeeze(&self, dims: &[usize]) -> Layout {
        let kept: Dims = (0..self.shape.len()).filter(|d| !dims.contains(d)).collect();
        self.permute(&kept)
    }

    /// The same elements in row-major order under another shape, if strides can say so without a copy.
    pub fn reshape(&self, shape: &[usize]) -> Option<Layout> {
        if self.is_dense() {
            return Some(Layout { offset: self.offset, ..Layout::contiguous(shape) });
        }
        let old = self.merged();
        let mut strides: Strides = SmallVec::from_elem(0, shape.len());
        let mut d = shape.len();
        for (&n, &stride) in old.shape.iter().zip(&old.strides).rev() {
            let (mut covered, mut step) = (1, stride);
            while covered < n {
                d = d.checked_sub(1)?;
                if shape[d] == 1 {
                    continue;
                }
                if n % (covered * shape[d]) != 0 {
                    return None;
                }
                strides[d] = step;
                step *= shape[d] as isize;
                covered *= shape[d];
            }
        }
        Some(Layout { shape: Dims::from_slice(shape), strides, offset: self.offset })
    }

    /// The same index order with as few dimensions as possible: neighbours that step as one are joined, 1s dropped.
    pub fn merged(&self) -> Layout {
        let mut y = Layout { shape: Dims::new(), strides: Strides::new(), offset: self.offset };
        for (&n, &stride) in self.shape.iter().zip(&self.strides) {
            match (y.shape.last_mut(), y.strides.last_mut()) {
                _ if n == 1 => {}
                (Some(m), Some(outer)) if *outer == stride * n as isize => {
                    *m *= n;
                    *outer = stride;
                }
                _ => {
                    y.shape.push(n);
                    y.strides.push(stride);
                }
            }
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_read_what_they_say() {
        let read = |layout: &Layout| layout.indices().collect::<Vec<_>>();
        let x = Layout::contiguous(&[2, 3, 4]);
        let t = x.permute(&[2, 0, 1]);
        assert_eq!(read(&t)[..7], [0, 4, 8, 12, 16, 20, 1]);
        assert_eq!(read(&x.flip(1))[..5], [8, 9, 10, 11, 4]);
        assert_eq!(read(&x.slice(2, 1, 2, 2))[..3], [1, 3, 5]);
        assert!(!t.overlaps() && !x.flip(1).overlaps() && x.unsqueeze(0).expand(&[2, 2, 3, 4]).overlaps());
        let windows =
            |step| Layout { shape: Dims::from_slice(&[3, 2]), strides: SmallVec::from_slice(&[step, 1]), offset: 0 };
        assert!(windows(1).overlaps() && !windows(2).overlaps());
        assert_eq!(x.permute(&[0, 2, 1]).reshape(&[2, 12]), None);
        assert_eq!(read(&t.reshape(&[4, 6]).unwrap()), read(&t));
        let part = x.slice(1, 0, 2, 1);
        assert_eq!(read(&part.reshape(&[2, 8]).unwrap()), read(&part));
        assert!(x.merged().shape[..] == [24]);
        assert_eq!(read(&x.diagonal(1, 1, 2)), [1, 6, 11, 13, 18, 23]);
        assert_eq!(x.diagonal(-3, 1, 2).numel(), 0);
        assert_eq!(read(&Layout::contiguous(&[])), [0]);
        assert_eq!(Layout::contiguous(&[3, 0]).numel(), 0);
    }

    #[test]
    fn runs_cover_a_part_in_order() {
        let x = Layout::contiguous(&[3, 4, 5]).permute(&[2, 0, 1]).flip(0).slice(2, 0, 3, 1);
        let all: Vec<usize> = x.indices().collect();
        for start in 0..all.len() {
            assert_eq!(x.place(start), all[start]);
            let mut part = Vec::new();
            x.runs(start, (all.len() - start).min(17), |i, at, stride, n| {
                assert_eq!(i, part.len());
                part.extend((0..n).map(|k| (at as isize + k as isize * stride) as usize));
            });
            assert_eq!(part, all[start..(start + 17).min(all.len())]);
        }
        let mut one = 0;
        Layout::contiguous(&[]).runs(0, 1, |_, _, _, _| one += 1);
        assert_eq!(one, 1);
    }

    #[test]
    fn broadcasting_aligns_at_the_end() {
        assert_eq!(broadcast(&[2, 1], &[3]).unwrap()[..], [2, 3]);
        assert_eq!(broadcast(&[0], &[1]).unwrap()[..], [0]);
        assert_eq!(broadcast(&[2], &[3]), None);
    }
}
