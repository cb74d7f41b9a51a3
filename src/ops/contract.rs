//! Contractions: sums of products of two operands whose dimensions are named. Matrix products, einsum, and convolutions with
//! their gradients are all of this form, and so is the gradient of each.

use crate::dtype::DType;
use crate::ops::create::full;
use crate::ops::map::{cast_operand, record_value};
use crate::ops::op::{Fold, Op};
use crate::shape::{Dims, Layout};
use crate::tensor::Tensor;
use crate::tensor::node::{Save, record};
use crate::tensor::profile;
use crate::tensor::value::{Operand, Operands};
use smallvec::SmallVec;
use std::cmp::Reverse;

/// The names of a tensor's dimensions. Dimensions of one name are walked together.
pub(crate) type Labels = SmallVec<[u32; 8]>;

/// `y[ly] = Σ a[la] b[lb]`, the sum running over the names that `ly` lacks. Derivatives: contractions of `g` with the other
/// operand.
///
/// A name stands once in an operand, and both in another one of `a`, `b` and `y`; a size of 1 is repeated where another
/// operand has more.
#[track_caller]
pub(crate) fn contract(name: &'static str, a: &Tensor, la: &[u32], b: &Tensor, lb: &[u32], ly: &[u32]) -> Tensor {
    contract_as(a.dtype(), name, a, la, b, lb, ly)
}

/// [`contract`] with another type of the result: that in which narrow floats are added up, where more is to be added.
#[track_caller]
pub(crate) fn contract_as(
    dtype: DType,
    name: &'static str,
    a: &Tensor,
    la: &[u32],
    b: &Tensor,
    lb: &[u32],
    ly: &[u32],
) -> Tensor {
    let _operation = profile::operation(name);
    let y = Product::of(a, la, b, lb, ly).record(dtype.compute()).cast_value(dtype);
    let [la, lb, ly] = [la, lb, ly].map(Labels::from_slice);
    record(y, name, &[a, b], &[Save::Input(a), Save::Input(b)], move |call| {
        let [a, b] = call.saved else { unreachable!("both are saved") };
        let size = |l: u32| common(size_of(l, a, &la), size_of(l, b, &lb));
        // A size of 1 that was repeated is summed over, and comes back by the reshape.
        let back = |x: &Tensor, lx: &Labels, other: &Tensor, lo: &Labels| {
            let kept: Dims = (0..x.rank()).filter(|&d| x.shape()[d] == size(lx[d])).collect();
            let mut sorted = kept.clone();
            // A gradient lies as its operand does, since what is added to it and stepped along it does.
            if !x.strides().contains(&0) {
                sorted.sort_by_key(|&d| Reverse(x.strides()[d].unsigned_abs()));
            }
            let names: Labels = sorted.iter().map(|&d| lx[d]).collect();
            let g = contract_as(x.dtype(), name, call.g, &ly, other, lo, &names);
            let order = kept.iter().filter_map(|d| sorted.iter().position(|s| s == d));
            let g = if sorted == kept { g } else { g.permute(&order.collect::<Dims>()[..]) };
            g.reshape(x.shape())
        };
        vec![call.needs[0].then(|| back(a, &la, b, &lb)), call.needs[1].then(|| back(b, &lb, a, &la))]
    })
}

/// The size of a named dimension; 1 where there is none.
fn size_of(label: u32, x: &Tensor, labels: &[u32]) -> usize {
    labels.iter().position(|&l| l == label).map_or(1, |d| x.shape()[d])
}

/// The size of a dimension that two operands share.
fn common(a: usize, b: usize) -> usize {
    if a == 1 { b } else { a }
}

/// A contraction sorted by groups of names.
struct Product<'a> {
    a: (&'a Tensor, &'a [u32]),
    b: (&'a Tensor, &'a [u32]),
    ly: &'a [u32],
    batch: Labels,
    rows: Labels,
    inner: Labels,
    cols: Labels,
}

/// The least number of rows or columns that keeps the threads of a tile busy.
const FULL_TILE: usize = 32;
/// Tiles that keep a device busy, and the least number of terms that one of them should add.
const ENOUGH_TILES: usize = 256;
const ENOUGH_TERMS: usize = 512;

impl<'a> Product<'a> {
    fn of(a: &'a Tensor, la: &'a [u32], b: &'a Tensor, lb: &'a [u32], ly: &'a [u32]) -> Product<'a> {
        let mut p = Product {
            a: (a, la),
            b: (b, lb),
            ly,
            batch: Labels::new(),
            rows: Labels::new(),
            inner: Labels::new(),
            cols: Labels::new(),
        };
        // The result should lie in the order asked for, so what comes last there are columns.
        let single = ly.iter().rev().find(|&&l| p.is_in(l, p.a) != p.is_in(l, p.b));
        if single.is_some_and(|&l| p.is_in(l, p.a)) {
            std::mem::swap(&mut p.a, &mut p.b);
        }
        p.sort();
        p
    }

    fn size(&self, l: u32) -> usize {
        common(size_of(l, self.a.0, self.a.1), size_of(l, self.b.0, self.b.1))
    }

    /// Whether an operand has this dimension in full.
    fn is_in(&self, l: u32, (x, lx): (&Tensor, &[u32])) -> bool {
        lx.contains(&l) && size_of(l, x, lx) == self.size(l)
    }

    fn numel(&self, labels: &[u32]) -> usize {
        labels.iter().map(|&l| self.size(l)).product()
    }

    fn sort(&mut self) {
        for &l in self.ly {
            match (self.is_in(l, self.a), self.is_in(l, self.b)) {
                (true, false) => self.rows.push(l),
                (false, true) => self.cols.push(l),
                _ => self.batch.push(l),
            }
        }
        let inner = |(_, lx): (&'a Tensor, &'a [u32]), p: &Self| -> Labels {
            lx.iter().copied().filter(|l| !p.ly.contains(l) && p.size(*l) > 1).collect()
        };
        self.inner = inner(self.a, self);
        debug_assert_eq!(self.inner.len(), inner(self.b, self).len(), "every inner dimension is in both operands");

        // Where rows and columns alternate in the result, as images, channels and places do, the first of them may be a
        // batch instead, over which the other operand is repeated: the result then lies in order. Not if that leaves
        // tiles too small.
        let single: Labels = self.ly.iter().copied().filter(|l| !self.batch.contains(l)).collect();
        let is_sorted = |from: usize| {
            let first_col = single[from..].iter().position(|l| self.cols.contains(l)).unwrap_or(single.len() - from);
            single[from + first_col..].iter().all(|l| self.cols.contains(l))
        };
        let moved = (0..=single.len()).find(|&from| is_sorted(from)).unwrap_or(0);
        let rest =
            |group: &Labels| -> Labels { group.iter().copied().filter(|l| !single[..moved].contains(l)).collect() };
        let (rows, cols) = (rest(&self.rows), rest(&self.cols));
        let fills = |rest: &Labels, all: &Labels| rest.len() == all.len() || self.numel(rest) >= FULL_TILE;
        if moved > 0 && fills(&rows, &self.rows) && fills(&cols, &self.cols) {
            self.batch = self.ly.iter().copied().filter(|l| !rows.contains(l) && !cols.contains(l)).collect();
            (self.rows, self.cols) = (rows, cols);
        }
    }

    /// The operand read as the dimensions named; those it lacks are repeated.
    fn operand(&self, (x, lx): (&Tensor, &[u32]), order: impl Iterator<Item = u32>, compute: DType) -> Operand {
        let x = cast_operand(x.operand(), compute);
        let mut layout = Layout { shape: Dims::new(), strides: SmallVec::new(), offset: x.layout.offset };
        for l in order {
            let at = lx.iter().position(|&m| m == l);
            layout.shape.push(self.size(l));
            layout.strides.push(at.map_or(0, |d| if x.layout.shape[d] == 1 { 0 } else { x.layout.strides[d] }));
        }
        Operand { value: x.value, layout }
    }

    /// Records the value.
    #[track_caller]
    fn record(&self, compute: DType) -> Tensor {
        let device = self.a.0.device();
        let sorted: Labels = self.batch.iter().chain(&self.rows).chain(&self.cols).copied().collect();
        let shape: Dims = sorted.iter().map(|&l| self.size(l)).collect();
        let is_empty = [self.a.0, self.b.0].iter().any(|x| x.numel() == 0);
        let y = if is_empty {
            full(0.0, shape, compute, &device)
        } else {
            let lines = |group| self.batch.iter().chain(group).copied();
            let a = self.operand(self.a, lines(&self.rows).chain(self.inner.iter().copied()), compute);
            let b = self.operand(self.b, lines(&self.inner).chain(self.cols.iter().copied()), compute);
            self.record_sums(a, b, shape, compute)
        };
        let order: Dims =
            self.ly.iter().map(|l| sorted.iter().position(|m| m == l).expect("sorted from these")).collect();
        y.alias(y.0.layout.permute(&order))
    }

    /// One product; or, where few results have many terms each, several ones of parts of the terms, and their sum.
    #[track_caller]
    fn record_sums(&self, mut a: Operand, mut b: Operand, shape: Dims, compute: DType) -> Tensor {
        let device = self.a.0.device();
        let (rows, inner, cols) = (self.rows.len(), self.inner.len(), self.cols.len());
        let op = Op::Matmul { rows, inner, cols };
        let Some((d, parts)) = self.parts() else {
            return Tensor::from_value(record_value(op, vec![a, b], shape, compute, &device));
        };
        let batch = self.batch.len();
        for (x, at) in [(&mut a, batch + rows + d), (&mut b, batch + d)] {
            let (n, stride) = (x.layout.shape[at], x.layout.strides[at]);
            x.layout.shape[at] = n / parts;
            x.layout.shape.insert(0, parts);
            x.layout.strides.insert(0, stride * (n / parts) as isize);
        }
        let parted: Dims = [parts].into_iter().chain(shape.iter().copied()).collect();
        let value = record_value(op, vec![a, b], parted, compute, &device);
        let order: Dims = (1..=shape.len()).chain([0]).collect();
        let layout = Layout::contiguous(&value.shape).permute(&order);
        let sum = Op::Reduce { fold: Fold::Sum, dims: 1 };
        Tensor::from_value(record_value(sum, Operands::from_iter([Operand { value, layout }]), shape, compute, &device))
    }

    /// The inner dimension to cut, and into how many parts.
    fn parts(&self) -> Option<(usize, usize)> {
        let terms = self.numel(&self.inner);
        let tiles = self.numel(&self.batch)
            * self.numel(&self.rows).div_ceil(FULL_TILE)
            * self.numel(&self.cols).div_ceil(FULL_TILE);
        let most = (terms / ENOUGH_TERMS).min(ENOUGH_TILES.div_ceil(tiles));
        let (d, n) = self.inner.iter().map(|&l| self.size(l)).enumerate().max_by_key(|&(d, n)| (n, usize::MAX - d))?;
        let parts = (2..=most).rev().find(|parts| n.is_multiple_of(*parts))?;
        Some((d, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::device::Device;

    fn groups(a: &[usize], la: &[u32], b: &[usize], lb: &[u32], ly: &[u32]) -> [Vec<u32>; 4] {
        let device = Device::cpu();
        let (a, b) = (Tensor::zeros(a, &device), Tensor::zeros(b, &device));
        let p = Product::of(&a, la, &b, lb, ly);
        [p.batch, p.rows, p.inner, p.cols].map(|group| group.to_vec())
    }

    #[test]
    fn names_fall_into_groups() {
        let matrices = groups(&[2, 3], &[0, 1], &[3, 4], &[1, 2], &[0, 2]);
        assert_eq!(matrices, [vec![], vec![0], vec![1], vec![2]]);
        // The result comes transposed, so the operands change places.
        assert_eq!(groups(&[2, 3], &[0, 1], &[3, 4], &[1, 2], &[2, 0]), [vec![], vec![2], vec![1], vec![0]]);
        // A size of 1 is repeated.
        let batches = groups(&[1, 2, 3], &[5, 0, 1], &[7, 3, 4], &[5, 1, 2], &[5, 0, 2]);
        assert_eq!(batches, [vec![], vec![0], vec![1], vec![5, 2]].map(|x: Vec<u32>| x));
    }

    #[test]
    fn images_are_a_batch_unless_they_are_small() {
        // Weights [o, c] and windows [n, c, place] make [n, o, place].
        let conv = |places| groups(&[16, 3], &[1, 2], &[8, 3, places], &[0, 2, 3], &[0, 1, 3]);
        assert_eq!(conv(100), [vec![0], vec![1], vec![2], vec![3]]);
        assert_eq!(conv(4), [vec![], vec![1], vec![2], vec![0, 3]]);
    }

    #[test]
    fn long_sums_of_few_results_are_cut() {
        let device = Device::cpu();
        let (a, b) = (Tensor::zeros([2, 8192], &device), Tensor::zeros([8192, 2], &device));
        assert_eq!(Product::of(&a, &[0, 1], &b, &[1, 2], &[0, 2]).parts(), Some((0, 16)));
        let (a, b) = (Tensor::zeros([2, 512], &device), Tensor::zeros([512, 2], &device));
        assert_eq!(Product::of(&a, &[0, 1], &b, &[1, 2], &[0, 2]).parts(), None);
    }
}
