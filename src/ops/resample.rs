//! Resampling one dimension: every result is a weighted sum of a few elements, which the host knows beforehand.

use crate::dtype::DType;
use crate::ops::composite::composite;
use crate::tensor::Tensor;
use std::sync::Arc;

/// For each result, the same number of elements and their weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taps {
    /// The number of results.
    out: usize,
    /// The number of elements that each sees; those beyond its own have the weight 0.
    width: usize,
    index: Vec<usize>,
    weight: Vec<f64>,
    /// How many elements each result sees of its own.
    own: Vec<usize>,
}

impl Taps {
    /// Taps of lists of elements and weights.
    pub fn of(lists: Vec<Vec<(usize, f64)>>) -> Taps {
        let width = lists.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut taps = Taps { out: lists.len(), width, index: Vec::new(), weight: Vec::new(), own: Vec::new() };
        for list in &lists {
            taps.own.push(list.len());
            for k in 0..width {
                let (index, weight) = list.get(k).copied().unwrap_or((list.first().map_or(0, |tap| tap.0), 0.0));
                taps.index.push(index);
                taps.weight.push(weight);
            }
        }
        taps
    }

    /// The means of the windows of adaptive pooling.
    pub fn adaptive(len: usize, out: usize) -> Taps {
        let window = |i: usize| {
            let (start, end) = (i * len / out, ((i + 1) * len).div_ceil(out));
            (start..end).map(|k| (k, 1.0 / (end - start) as f64)).collect()
        };
        Taps::of((0..out).map(window).collect())
    }

    /// The adjoint: for each of `len` elements, the results that see it.
    fn transposed(&self, len: usize) -> Taps {
        let mut lists = vec![Vec::new(); len];
        for (i, (&index, &weight)) in self.index.iter().zip(&self.weight).enumerate() {
            if weight != 0.0 {
                lists[index].push((i / self.width, weight));
            }
        }
        Taps::of(lists)
    }

    /// Dimension `d` as two, the results and the elements that each sees: `fill` stands where there are fewer.
    #[track_caller]
    pub fn read(&self, x: &Tensor, d: usize, fill: f64) -> Tensor {
        let y = self.picked(x, d);
        if self.own.iter().all(|&own| own == self.width) {
            return y;
        }
        let missing: Vec<bool> = self.own.iter().flat_map(|&own| (0..self.width).map(move |k| k >= own)).collect();
        let missing = Tensor::from_slice(&missing, self.shape_at(x, d), &x.device());
        Tensor::where_(&missing, Tensor::number(fill, x.dtype(), &x.device()), y)
    }

    #[track_caller]
    fn picked(&self, x: &Tensor, d: usize) -> Tensor {
        let pick = |index: &[i32], sizes: [usize; 2]| {
            let y = x.index_select(d as isize, &Tensor::from_slice(index, [index.len()], &x.device()));
            let (outer, inner) = (&x.shape()[..d], &x.shape()[d + 1..]);
            y.reshape(&[outer, &sizes, inner].concat()[..])
        };
        let index: Vec<i32> = self.index.iter().map(|&i| i as i32).collect();
        if self.width > FEW {
            return pick(&index, [self.out, self.width]);
        }
        // Of few elements for each result, all first ones come first: those of neighbouring results are neighbours.
        let turned: Vec<i32> = (0..self.width).flat_map(|k| index[k..].iter().step_by(self.width)).copied().collect();
        pick(&turned, [self.width, self.out]).transpose(d as isize, d as isize + 1)
    }

    /// The shape of one number per tap that broadcasts to what is picked along `d`.
    fn shape_at(&self, x: &Tensor, d: usize) -> Vec<usize> {
        let mut shape = vec![1; x.rank() + 1 - d];
        (shape[0], shape[1]) = (self.out, self.width);
        shape
    }

    fn is_identity(&self, len: usize) -> bool {
        self.width == 1 && self.is_plain() && self.index.iter().copied().eq(0..len)
    }

    /// Whether the weights of every result add up to 1.
    #[cfg(test)]
    pub fn is_average(&self) -> bool {
        self.weight.chunks(self.width).all(|weights| (weights.iter().sum::<f64>() - 1.0).abs() < 1e-12)
    }

    /// Whether every weight is 1.
    fn is_plain(&self) -> bool {
        self.weight.iter().all(|&w| w == 1.0)
    }
}

/// Sums of so few terms are written out.
const FEW: usize = 4;

impl Tensor {
    /// One dimension resampled. Derivative: `g` resampled by the adjoint taps.
    #[track_caller]
    pub(crate) fn resampled(&self, d: usize, taps: &Arc<Taps>) -> Tensor {
        let len = self.shape()[d];
        if taps.is_identity(len) {
            return self.clone();
        }
        let definition = || {
            if taps.width == 1 && taps.is_plain() {
                return taps.picked(self, d).squeeze(d as isize + 1);
            }
            // Where fewer elements are seen, 0 stands for the others: an infinite one would be NaN, weightless or not.
            let y = taps.read(self, d, 0.0);
            let dtype: DType = self.dtype();
            let weight = Tensor::from_slice(&taps.weight, taps.shape_at(self, d), (&self.device(), dtype));
            let part = |k: usize| y.select(d as isize + 1, k as isize) * weight.select(1, k as isize);
            match taps.width {
                ..=FEW => (1..taps.width).fold(part(0), |sum, k| sum + part(k)),
                _ => (y * weight).sum_dim(d as isize + 1, false),
            }
        };
        let kept = taps.clone();
        composite("UpsampleBackward0", &[self], &[], definition, move |call| {
            vec![Some(call.g.resampled(d, &Arc::new(kept.transposed(len))))]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adjoint_sees_the_other_way() {
        let taps = Taps::adaptive(5, 2);
        assert_eq!((taps.width, &taps.index[..]), (3, &[0, 1, 2, 2, 3, 4][..]));
        let back = taps.transposed(5);
        assert_eq!((back.width, &back.own[..]), (2, &[1, 1, 2, 1, 1][..]));
        assert_eq!(back.index[4..6], [0, 1]);
        assert!(Taps::adaptive(3, 3).is_identity(3));
    }
}
