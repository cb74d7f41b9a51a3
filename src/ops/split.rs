//! Views that cut a tensor into pieces along one dimension.

use crate::error::misuse;
use crate::tensor::Tensor;

/// How a dimension is cut: by one number, or by a list. What they mean is said by the operation that takes them.
///
/// Made from `2`, `[1, 2, 3]`, a slice or a vector.
#[derive(Clone, Debug)]
pub enum Pieces {
    /// One number.
    One(isize),
    /// A list.
    List(Vec<isize>),
}

macro_rules! pieces {
    ($($t:ty)*) => { $(
        impl From<$t> for Pieces {
            fn from(n: $t) -> Pieces { Pieces::One(n as isize) }
        }
        impl<const N: usize> From<[$t; N]> for Pieces {
            fn from(list: [$t; N]) -> Pieces { Pieces::List(list.iter().map(|&n| n as isize).collect()) }
        }
        impl From<&[$t]> for Pieces {
            fn from(list: &[$t]) -> Pieces { Pieces::List(list.iter().map(|&n| n as isize).collect()) }
        }
        impl From<Vec<$t>> for Pieces {
            fn from(list: Vec<$t>) -> Pieces { Pieces::List(list.iter().map(|&n| n as isize).collect()) }
        }
    )* };
}
pieces!(i32 i64 isize usize);

impl Tensor {
    /// Views of pieces of one dimension: of a given size, the last one smaller if need be, or of the sizes of a list.
    /// Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::arange(0, 5, 1, &Device::cpu());
    /// assert_eq!(x.split(2, 0)[2].to_vec::<i32>()?, [4]);
    /// assert_eq!(x.split([1, 4], 0)[1].to_vec::<i32>()?, [1, 2, 3, 4]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the size is not positive (0 is legal for an empty dimension), or the sizes of a list do not add up to the
    /// dimension's.
    #[track_caller]
    pub fn split(&self, sizes: impl Into<Pieces>, dim: isize) -> Vec<Tensor> {
        let d = self.axis_of("split", dim);
        let n = self.shape()[d] as isize;
        let sizes = match sizes.into() {
            Pieces::One(size) if size > 0 => {
                let whole = vec![size; (n / size) as usize];
                let rest = n % size;
                if rest > 0 || n == 0 { [whole, vec![rest]].concat() } else { whole }
            }
            Pieces::One(0) if n == 0 => vec![0],
            Pieces::One(size) => {
                misuse("split", format!("pieces of size {size} of dimension {d} of {:?}", self.shape()))
            }
            Pieces::List(sizes) => sizes,
        };
        if sizes.iter().any(|&size| size < 0) || sizes.iter().sum::<isize>() != n {
            misuse("split", format!("sizes {sizes:?} do not add up to dimension {d} of {:?}", self.shape()));
        }
        let dim = d as isize;
        let make = |x: &Tensor| {
            let mut start = 0;
            let mut pieces = Vec::with_capacity(sizes.len());
            for size in sizes {
                pieces.push(x.narrow(dim, start, size as usize));
                start += size as usize;
            }
            pieces
        };
        self.several("SplitBackward0", make, move |gradients| Tensor::cat(gradients, dim))
    }

    /// At most `chunks` views of pieces of one dimension: all of one size but the last, which may be smaller, so that
    /// there may be fewer. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::arange(0, 6, 1, &Device::cpu());
    /// assert_eq!(x.chunk(4, 0).len(), 3);
    /// ```
    ///
    /// # Panics
    /// If `chunks` is 0.
    #[track_caller]
    pub fn chunk(&self, chunks: usize, dim: isize) -> Vec<Tensor> {
        let d = self.axis_of("chunk", dim);
        if chunks == 0 {
            misuse("chunk", format!("no chunks of dimension {d} of {:?}", self.shape()));
        }
        match self.shape()[d] {
            0 => self.split(vec![0usize; chunks], dim),
            n => self.split(n.div_ceil(chunks), dim),
        }
    }

    /// Views of every index of one dimension, which disappears. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let rows = Tensor::zeros([3, 2], &Device::cpu()).unbind(0);
    /// assert_eq!((rows.len(), rows[0].shape()), (3, &[2][..]));
    /// ```
    ///
    /// # Panics
    /// If the tensor is 0-d.
    #[track_caller]
    pub fn unbind(&self, dim: isize) -> Vec<Tensor> {
        let d = self.axis_of("unbind", dim);
        let dim = d as isize;
        let make = |x: &Tensor| {
            let mut parts = Vec::with_capacity(x.shape()[d]);
            for i in 0..x.shape()[d] {
                parts.push(x.select(dim, i as isize));
            }
            parts
        };
        self.several("UnbindBackward0", make, move |gradients| Tensor::stack(gradients, dim))
    }

    /// Views of pieces of one dimension: as many as a number says, the first ones larger by one where it does not
    /// divide the size, or cut before each index of a list. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::arange(0, 5, 1, &Device::cpu());
    /// assert_eq!(x.tensor_split(2, 0)[0].to_vec::<i32>()?, [0, 1, 2]);
    /// assert_eq!(x.tensor_split([1, 3], 0)[1].to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the number of pieces is not positive, or the tensor is 0-d.
    ///
    /// Source: [torch.tensor_split](https://docs.pytorch.org/docs/stable/generated/torch.tensor_split.html).
    #[track_caller]
    pub fn tensor_split(&self, at: impl Into<Pieces>, dim: isize) -> Vec<Tensor> {
        self.split_named("tensor_split", at.into(), dim)
    }

    /// [`Tensor::tensor_split`] along the columns: dimension 1, or 0 of a list. Derivative: 1.
    ///
    /// # Panics
    /// If the tensor is 0-d, or a number of pieces does not divide the dimension.
    #[track_caller]
    pub fn hsplit(&self, at: impl Into<Pieces>) -> Vec<Tensor> {
        self.evenly("hsplit", at.into(), (self.rank() > 1) as usize, 1)
    }

    /// [`Tensor::tensor_split`] along the rows: dimension 0. Derivative: 1.
    ///
    /// # Panics
    /// If there are fewer than 2 dimensions, or a number of pieces does not divide the dimension.
    #[track_caller]
    pub fn vsplit(&self, at: impl Into<Pieces>) -> Vec<Tensor> {
        self.evenly("vsplit", at.into(), 0, 2)
    }

    /// [`Tensor::tensor_split`] along the depth: dimension 2. Derivative: 1.
    ///
    /// # Panics
    /// If there are fewer than 3 dimensions, or a number of pieces does not divide the dimension.
    #[track_caller]
    pub fn dsplit(&self, at: impl Into<Pieces>) -> Vec<Tensor> {
        self.evenly("dsplit", at.into(), 2, 3)
    }

    #[track_caller]
    fn evenly(&self, op: &str, at: Pieces, d: usize, least: usize) -> Vec<Tensor> {
        if self.rank() < least {
            misuse(op, format!("needs {least} dimensions or more, not shape {:?}", self.shape()));
        }
        if let Pieces::One(pieces) = at
            && (pieces < 1 || self.shape()[d] as isize % pieces != 0)
        {
            misuse(op, format!("{pieces} pieces do not divide dimension {d} of {:?}", self.shape()));
        }
        self.split_named(op, at, d as isize)
    }

    #[track_caller]
    fn split_named(&self, op: &str, at: Pieces, dim: isize) -> Vec<Tensor> {
        let d = self.axis_of(op, dim);
        let n = self.shape()[d] as isize;
        let ends: Vec<isize> = match at {
            Pieces::One(pieces) if pieces > 0 => (1..pieces).map(|i| i * (n / pieces) + i.min(n % pieces)).collect(),
            Pieces::One(pieces) => misuse(op, format!("{pieces} pieces of dimension {d} of {:?}", self.shape())),
            Pieces::List(ends) => ends,
        };
        let mut start = 0;
        let mut pieces = Vec::with_capacity(ends.len() + 1);
        for end in ends {
            pieces.push(self.slice(d as isize, start, end, 1));
            start = end;
        }
        pieces.push(self.slice(d as isize, start, None, 1));
        pieces
    }
}
