//! Elements repeated, and all combinations of elements.

use crate::dtype::DType;
use crate::error::{Result, misuse};
use crate::ops::composite::composite;
use crate::shape::{Dims, Ints, sizes};
use crate::tensor::Tensor;

/// Which argument of [`Tensor::meshgrid`] varies along which dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// Argument `i` varies along dimension `i`, as matrices are indexed.
    Ij,
    /// The first argument varies along dimension 1 and the second along dimension 0, as planes are drawn.
    Xy,
}

impl Tensor {
    /// The whole tensor repeated along each dimension; further numbers in front make new dimensions.
    /// Derivative: the sum over the repetitions.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1, 2], &Device::cpu()).repeat([2, 2]);
    /// assert_eq!(x.to_vec::<i32>()?, [1, 2, 1, 2, 1, 2, 1, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are fewer numbers than dimensions, or one is negative.
    #[track_caller]
    pub fn repeat(&self, repeats: impl Ints) -> Tensor {
        let repeats = sizes("repeat", repeats);
        if repeats.len() < self.rank() {
            misuse("repeat", format!("{:?} repeats for the dimensions of {:?}", repeats.as_slice(), self.shape()));
        }
        let new = repeats.len() - self.rank();
        let (mut apart, mut wide, mut joined) = (Dims::new(), Dims::new(), Dims::new());
        for (d, &times) in repeats.iter().enumerate() {
            let n = if d < new { 1 } else { self.shape()[d - new] };
            apart.extend([1, n]);
            wide.extend([times, n]);
            joined.push(times * n);
        }
        let definition = || {
            let y = self.reshape(&apart[..]).expand(&wide[..]).reshape(&joined[..]);
            // Repeating is a copy, also once.
            if y.shares_storage(self) { y.copy() } else { y }
        };
        let (from, apart, wide) = (Dims::from_slice(self.shape()), apart.clone(), wide.clone());
        composite("RepeatBackward0", &[self], &[], definition, move |call| {
            vec![Some(call.g.reshape(&wide[..]).sum_to(&apart).reshape(&from[..]))]
        })
    }

    /// [`Tensor::repeat`] with 1 for the dimensions in front that are left out.
    ///
    /// # Panics
    /// If a number is negative.
    #[track_caller]
    pub fn tile(&self, repeats: impl Ints) -> Tensor {
        let given = sizes("tile", repeats);
        let mut repeats = Dims::from_elem(1, self.rank().saturating_sub(given.len()));
        repeats.extend(given);
        self.repeat(&repeats[..])
    }

    /// Every index of a dimension repeated `n` times; without a dimension, every element of the list of all.
    /// Derivative: the sum over the repetitions.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1, 2], &Device::cpu());
    /// assert_eq!(x.repeat_interleave(2, None).to_vec::<i32>()?, [1, 1, 2, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range.
    #[track_caller]
    pub fn repeat_interleave(&self, n: usize, dim: impl Into<Option<isize>>) -> Tensor {
        let Some(dim) = dim.into() else { return self.ravel().repeat_interleave(n, 0) };
        let x = self.atleast_1d();
        let d = x.axis_of("repeat_interleave", dim) as isize;
        let mut wide = [-1].repeat(x.rank() + 1);
        wide[d as usize + 1] = n as isize;
        let mut shape = Dims::from_slice(x.shape());
        shape[d as usize] *= n;
        let y = x.unsqueeze(d + 1).expand(&wide[..]).reshape(&shape[..]);
        if y.shares_storage(self) { y.copy() } else { y }
    }

    /// Index `i` of a dimension repeated `counts[i]` times, or every one `counts[0]` times if there is but one count;
    /// without a dimension, the elements of the list of all. Derivative: the sum over the repetitions.
    ///
    /// # Errors
    /// If the counts, on which the shape depends, cannot be read.
    ///
    /// # Panics
    /// If the counts are no list of integers, one per index, or one is negative.
    #[track_caller]
    pub fn repeat_interleave_by(&self, counts: &Tensor, dim: impl Into<Option<isize>>) -> Result<Tensor> {
        let op = "repeat_interleave_by";
        let Some(dim) = dim.into() else { return self.ravel().repeat_interleave_by(counts, 0) };
        let x = self.atleast_1d();
        let d = x.axis_of(op, dim);
        let (n, shape) = (x.shape()[d], counts.shape());
        if counts.rank() > 1 || counts.numel() != 1 && counts.numel() != n {
            misuse(op, format!("counts {shape:?} do not fit dimension {d} of {:?}", x.shape()));
        }
        if counts.dtype().is_float() || counts.dtype() == DType::Bool {
            misuse(op, format!("the counts must be integers, not {} elements of shape {shape:?}", counts.dtype()));
        }
        let given = counts.to_data()?.to_f64();
        if given.iter().any(|&n| n < 0.0) {
            misuse(op, format!("a count is negative, counts have shape {shape:?}"));
        }
        let count = |i: usize| given[if given.len() == 1 { 0 } else { i }] as usize;
        let places: Vec<i32> = (0..n).flat_map(|i| [i as i32].repeat(count(i))).collect();
        Ok(x.index_select(d as isize, &Tensor::new(places, &x.device())))
    }

    /// Lists expanded to one grid: result `k` holds the elements of list `k`, varying along its own dimension. Views.
    /// Derivative: the sum over the other dimensions.
    ///
    /// ```
    /// use wgrad::{Device, Indexing, Tensor};
    /// let dev = Device::cpu();
    /// let grid = Tensor::meshgrid(&[Tensor::new([1, 2], &dev), Tensor::new([3, 4, 5], &dev)], Indexing::Ij);
    /// assert_eq!(grid[0].to_vec::<i32>()?, [1, 1, 1, 2, 2, 2]);
    /// assert_eq!(grid[1].to_vec::<i32>()?, [3, 4, 5, 3, 4, 5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a tensor has more than one dimension, there are none, or they live on different devices.
    #[track_caller]
    pub fn meshgrid(tensors: &[Tensor], indexing: Indexing) -> Vec<Tensor> {
        lists("meshgrid", tensors);
        let mut shape: Dims = tensors.iter().map(Tensor::numel).collect();
        let swapped = indexing == Indexing::Xy && tensors.len() > 1;
        if swapped {
            shape.swap(0, 1);
        }
        let mut grid = Vec::with_capacity(tensors.len());
        for (k, x) in tensors.iter().enumerate() {
            let d = if swapped && k < 2 { 1 - k } else { k };
            let mut along = Dims::from_elem(1, tensors.len());
            along[d] = x.numel();
            grid.push(x.reshape(&along[..]).expand(&shape[..]));
        }
        grid
    }

    /// Every way to take one element from each list, one way a row; of a single list, the list itself.
    /// Derivative: each element gets the sum over the rows it is in.
    ///
    /// # Panics
    /// If a tensor has not one dimension, there are none, or they live on different devices.
    #[track_caller]
    pub fn cartesian_prod(tensors: &[Tensor]) -> Tensor {
        lists("cartesian_prod", tensors);
        if let [x] = tensors {
            return x.clone();
        }
        let mut columns = Vec::with_capacity(tensors.len());
        for x in Tensor::meshgrid(tensors, Indexing::Ij) {
            columns.push(x.ravel());
        }
        Tensor::stack(&columns, 1)
    }

    /// Every way to take `r` elements from a list in their order, one way a row; with replacement, the same one again.
    /// Derivative: each element gets the sum over the rows it is in.
    ///
    /// # Panics
    /// If this is no list, or `r` is 0.
    #[track_caller]
    pub fn combinations(&self, r: usize, with_replacement: bool) -> Tensor {
        if self.rank() != 1 || r == 0 {
            misuse("combinations", format!("{r} elements from {:?}, which must be a list", self.shape()));
        }
        let mut rows: Vec<Vec<i32>> = vec![Vec::new()];
        for _ in 0..r {
            let first = |row: &Vec<i32>| row.last().map_or(0, |&last| last + !with_replacement as i32);
            let longer =
                |row: &Vec<i32>| (first(row)..self.numel() as i32).map(|i| [&row[..], &[i]].concat()).collect();
            rows = rows.iter().flat_map(|row| -> Vec<Vec<i32>> { longer(row) }).collect();
        }
        let places: Vec<i32> = rows.concat();
        self.index_select(0, &Tensor::new(places, &self.device())).reshape([rows.len(), r])
    }
}

/// Panics if a tensor is no list, or there are none.
#[track_caller]
fn lists(op: &str, tensors: &[Tensor]) {
    let Some(first) = tensors.first() else { misuse(op, "there are no tensors") };
    for x in tensors {
        first.expect_same_device(op, x);
        if x.rank() > 1 {
            misuse(op, format!("{:?} is no list", x.shape()));
        }
    }
}
