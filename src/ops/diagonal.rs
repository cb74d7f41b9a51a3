//! Diagonals and triangles of matrices.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::create::{Options, full};
use crate::ops::ranges::iota;
use crate::shape::{Dims, axis};
use crate::tensor::{Replay, Tensor};

impl Tensor {
    /// The elements whose index along `dim2` is `offset` larger than that along `dim1`, as a view; they become the last
    /// dimension. Derivative: `g` on the diagonal, 0 elsewhere.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::arange(0, 6, 1, &Device::cpu()).reshape([2, 3]);
    /// assert_eq!(x.diagonal(1, 0, 1).to_vec::<i32>()?, [1, 5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the two dimensions are out of range or the same.
    #[track_caller]
    pub fn diagonal(&self, offset: isize, dim1: isize, dim2: isize) -> Tensor {
        let (a, b) = self.plane("diagonal", dim1, dim2);
        let layout = self.0.layout.diagonal(offset, a, b);
        self.part("DiagonalBackward0", layout, move |x| x.diagonal(offset, a as isize, b as isize))
    }

    #[track_caller]
    fn plane(&self, op: &str, dim1: isize, dim2: isize) -> (usize, usize) {
        let (a, b) = (axis(op, self.shape(), dim1), axis(op, self.shape(), dim2));
        if a == b {
            misuse(op, format!("dimensions {dim1} and {dim2} of {:?} are no plane", self.shape()));
        }
        (a, b)
    }

    /// The matrix with a list on its diagonal `offset`; of a matrix, a copy of that diagonal. Derivative: the other one
    /// of the two.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1, 2], &Device::cpu()).diag(0);
    /// assert_eq!(x.to_vec::<i32>()?, [1, 0, 0, 2]);
    /// assert_eq!(x.diag(0).to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the rank is neither 1 nor 2.
    #[track_caller]
    pub fn diag(&self, offset: isize) -> Tensor {
        match self.rank() {
            1 => self.diag_embed(offset, 0, 1),
            2 => self.diagonal(offset, 0, 1).copy(),
            _ => misuse("diag", format!("{:?} is neither a list nor a matrix", self.shape())),
        }
    }

    /// The matrix with all elements, in row-major order, on its diagonal `offset`. Derivative: that diagonal of `g`.
    #[track_caller]
    pub fn diagflat(&self, offset: isize) -> Tensor {
        self.ravel().diag_embed(offset, 0, 1)
    }

    /// Zeros with the last dimension on the diagonal `offset` of the plane of the result's dimensions `dim1` and `dim2`.
    /// Derivative: that diagonal of `g`.
    ///
    /// # Panics
    /// If the tensor is 0-d, or the two dimensions are out of range for the result or the same.
    ///
    /// Source: [torch.diag_embed](https://docs.pytorch.org/docs/stable/generated/torch.diag_embed.html).
    #[track_caller]
    pub fn diag_embed(&self, offset: isize, dim1: isize, dim2: isize) -> Tensor {
        if self.rank() == 0 {
            misuse("diag_embed", "a 0-d tensor has no dimensions");
        }
        let last = self.rank() - 1;
        let n = self.shape()[last] + offset.unsigned_abs();
        let mut shape = Dims::from_slice(&self.shape()[..last]);
        let ranks = Dims::from_elem(1, last + 2);
        let (a, b) = (axis("diag_embed", &ranks, dim1), axis("diag_embed", &ranks, dim2));
        if a == b {
            misuse("diag_embed", format!("dimensions {dim1} and {dim2} for {:?} are no plane", self.shape()));
        }
        for d in [a.min(b), a.max(b)] {
            shape.insert(d, n);
        }
        let diagonal = move |x: &Tensor| x.diagonal(offset, a as isize, b as isize);
        full(0.0, shape, self.dtype(), &self.device()).write(Replay::new(diagonal), self)
    }

    /// The elements on and below diagonal `offset` of each matrix in the last two dimensions, 0 above.
    /// Derivative: the same of `g`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([2, 2], &Device::cpu());
    /// assert_eq!(x.tril(0).to_vec::<f32>()?, [1.0, 0.0, 1.0, 1.0]);
    /// assert_eq!(x.triu(1).to_vec::<f32>()?, [0.0, 1.0, 0.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    #[track_caller]
    pub fn tril(&self, offset: isize) -> Tensor {
        let above = self.places_above("tril").gt(offset as i64);
        self.zero_where("TrilBackward0", above, move |g| g.tril(offset))
    }

    /// The elements on and above diagonal `offset` of each matrix in the last two dimensions, 0 below.
    /// Derivative: the same of `g`.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    #[track_caller]
    pub fn triu(&self, offset: isize) -> Tensor {
        let below = self.places_above("triu").lt(offset as i64);
        self.zero_where("TriuBackward0", below, move |g| g.triu(offset))
    }

    #[track_caller]
    fn zero_where(
        &self,
        name: &'static str,
        mask: Tensor,
        rule: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Tensor {
        let definition = || Tensor::where_(&mask, Tensor::number(0.0, self.dtype(), &self.device()), self);
        composite(name, &[self], &[], definition, move |call| vec![Some(rule(call.g))])
    }

    /// How far above the diagonal each element of a matrix is.
    #[track_caller]
    fn places_above(&self, op: &str) -> Tensor {
        let [.., rows, columns] = *self.shape() else {
            misuse(op, format!("{:?} is no batch of matrices", self.shape()))
        };
        let device = self.device();
        iota(columns, &device) - iota(rows, &device).unsqueeze(1)
    }

    /// The places on and below diagonal `offset` of a matrix, row by row: `[2, n]`, rows and columns, as `I32`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::tril_indices(2, 3, 0, &Device::cpu()).to_vec::<i32>()?, [0, 1, 1, 0, 0, 1]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn tril_indices(rows: usize, columns: usize, offset: isize, options: impl Into<Options>) -> Tensor {
        triangle(rows, columns, |above| above <= offset, options.into())
    }

    /// The places on and above diagonal `offset` of a matrix, row by row: `[2, n]`, rows and columns, as `I32`.
    #[track_caller]
    pub fn triu_indices(rows: usize, columns: usize, offset: isize, options: impl Into<Options>) -> Tensor {
        triangle(rows, columns, |above| above >= offset, options.into())
    }
}

#[track_caller]
fn triangle(rows: usize, columns: usize, within: impl Fn(isize) -> bool, options: Options) -> Tensor {
    let all = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j)));
    let (i, j): (Vec<i32>, Vec<i32>) =
        all.filter(|&(i, j)| within(j as isize - i as isize)).map(|(i, j)| (i as i32, j as i32)).unzip();
    let n = i.len();
    Tensor::from_slice(&[i, j].concat(), [2, n], options)
}
