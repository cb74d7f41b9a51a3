//! Views with dimensions in another order, or read backwards.

use crate::error::misuse;
use crate::shape::{Dims, Ints, axes, axis};
use crate::tensor::Tensor;

impl Tensor {
    /// Dimensions in another order: dimension `i` of the result is `dims[i]` of this tensor.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::zeros([2, 3, 5], &Device::cpu()).permute([2, 0, 1]).shape(), [5, 2, 3]);
    /// ```
    ///
    /// # Panics
    /// If `dims` does not name every dimension once.
    #[track_caller]
    pub fn permute(&self, dims: impl Ints) -> Tensor {
        let given = dims.ints();
        let mut order = Dims::new();
        for &d in &given {
            order.push(axis("permute", self.shape(), d));
        }
        let mut inverse: Dims = Dims::from_elem(usize::MAX, self.rank());
        for (i, &d) in order.iter().enumerate() {
            if self.rank() == order.len() {
                inverse[d] = i;
            }
        }
        if order.len() != self.rank() || inverse.contains(&usize::MAX) {
            misuse(
                "permute",
                format!("{:?} does not name every dimension of {:?} once", given.as_slice(), self.shape()),
            );
        }
        let layout = self.0.layout.permute(&order);
        self.viewed("PermuteBackward0", layout, move |x| x.permute(&order[..]), move |g| g.permute(&inverse[..]))
    }

    /// Two dimensions exchanged. Derivative: 1.
    ///
    /// # Panics
    /// If a dimension is out of range.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Tensor {
        let (a, b) = (axis("transpose", self.shape(), a), axis("transpose", self.shape(), b));
        let mut order: Dims = (0..self.rank()).collect();
        if self.rank() > 0 {
            order.swap(a, b);
        }
        let swap = move |x: &Tensor| x.transpose(a as isize, b as isize);
        self.viewed("TransposeBackward0", self.0.layout.permute(&order), swap, swap)
    }

    /// [`Tensor::transpose`] under its other name.
    ///
    /// # Panics
    /// If a dimension is out of range.
    #[track_caller]
    pub fn swapaxes(&self, a: isize, b: isize) -> Tensor {
        self.transpose(a, b)
    }

    /// [`Tensor::transpose`] under its third name.
    ///
    /// # Panics
    /// If a dimension is out of range.
    #[track_caller]
    pub fn swapdims(&self, a: isize, b: isize) -> Tensor {
        self.transpose(a, b)
    }

    /// Dimensions `source` moved to the places `destination`, the others keeping their order. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::zeros([2, 3, 5], &Device::cpu());
    /// assert_eq!(x.movedim(0, -1).shape(), [3, 5, 2]);
    /// assert_eq!(x.movedim([0, 1], [1, 0]).shape(), [3, 2, 5]);
    /// ```
    ///
    /// # Panics
    /// If the lists differ in length, or a dimension is out of range or named twice.
    #[track_caller]
    pub fn movedim(&self, source: impl Ints, destination: impl Ints) -> Tensor {
        let (source, destination) = (source.ints(), destination.ints());
        if source.len() != destination.len() {
            let (from, to) = (source.as_slice(), destination.as_slice());
            misuse("movedim", format!("{from:?} and {to:?} differ in length, for shape {:?}", self.shape()));
        }
        if source.is_empty() {
            return self.view_as_itself();
        }
        // Checks that no dimension is named twice.
        let moved = axes("movedim", self.shape(), &source[..]);
        axes("movedim", self.shape(), &destination[..]);
        let mut order = Dims::from_elem(usize::MAX, self.rank());
        let mut others = (0..self.rank()).filter(|d| !moved.contains(d));
        if self.rank() == 0 {
            return self.permute(());
        }
        for (&from, &to) in source.iter().zip(&destination) {
            order[to.rem_euclid(self.rank() as isize) as usize] = from.rem_euclid(self.rank() as isize) as usize;
        }
        for d in order.iter_mut().filter(|d| **d == usize::MAX) {
            *d = others.next().expect("as many places are left as dimensions");
        }
        self.permute(&order[..])
    }

    /// [`Tensor::movedim`] under its other name.
    ///
    /// # Panics
    /// As [`Tensor::movedim`].
    #[track_caller]
    pub fn moveaxis(&self, source: impl Ints, destination: impl Ints) -> Tensor {
        self.movedim(source, destination)
    }

    /// A matrix transposed; a tensor of rank 0 or 1 as it is. Derivative: 1.
    ///
    /// # Panics
    /// If the rank is above 2.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        match self.rank() {
            0..=2 => {
                let order: &[usize] = if self.rank() == 2 { &[1, 0] } else { &[0][..self.rank()] };
                let t = |x: &Tensor| x.t();
                self.viewed("TBackward0", self.0.layout.permute(order), t, t)
            }
            _ => misuse("t", format!("{:?} is no matrix; name the dimensions with transpose", self.shape())),
        }
    }

    /// The last two dimensions exchanged: every matrix of a batch transposed. PyTorch's `mT`. Derivative: 1.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    #[track_caller]
    pub fn mt(&self) -> Tensor {
        if self.rank() < 2 {
            misuse("mt", format!("{:?} is no batch of matrices", self.shape()));
        }
        self.transpose(-2, -1)
    }

    /// The conjugate transpose of every matrix of a batch: [`Tensor::mt`], as there are no complex numbers.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    #[track_caller]
    pub fn adjoint(&self) -> Tensor {
        if self.rank() < 2 {
            misuse("adjoint", format!("{:?} is no batch of matrices", self.shape()));
        }
        self.transpose(-2, -1)
    }

    /// The listed dimensions read backwards. Unlike PyTorch's, which copies, this is a view. Derivative: 1.
    ///
    /// # Panics
    /// If a dimension is out of range or named twice.
    #[track_caller]
    pub fn flip(&self, dims: impl Ints) -> Tensor {
        let dims = dims.ints();
        let dims: Dims = if dims.is_empty() { Dims::new() } else { axes("flip", self.shape(), &dims[..]) };
        let layout = dims.iter().fold(self.0.layout.clone(), |layout, &d| layout.flip(d));
        let flip = move |x: &Tensor| x.flip(&dims[..]);
        self.viewed("FlipBackward0", layout, flip.clone(), flip)
    }

    /// Columns (dimension 1) read backwards: a view, as [`Tensor::flip`]. Derivative: 1.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    #[track_caller]
    pub fn fliplr(&self) -> Tensor {
        if self.rank() < 2 {
            misuse("fliplr", format!("{:?} has no dimension 1", self.shape()));
        }
        self.flip(1)
    }

    /// Rows (dimension 0) read backwards: a view, as [`Tensor::flip`]. Derivative: 1.
    ///
    /// # Panics
    /// If the tensor is 0-d.
    #[track_caller]
    pub fn flipud(&self) -> Tensor {
        if self.rank() == 0 {
            misuse("flipud", "a 0-d tensor has no dimensions");
        }
        self.flip(0)
    }

    /// A plane turned by `k` right angles, from its first dimension towards the second; a view. Derivative: 1.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1, 2], [3, 4]], &Device::cpu());
    /// assert_eq!(x.rot90(1, [0, 1]).to_vec::<i32>()?, [2, 4, 1, 3]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `dims` does not name two different dimensions.
    ///
    /// Source: [torch.rot90](https://docs.pytorch.org/docs/stable/generated/torch.rot90.html).
    #[track_caller]
    pub fn rot90(&self, k: isize, dims: impl Ints) -> Tensor {
        let dims = dims.ints();
        if dims.len() != 2 || self.rank() < 2 {
            let dims = dims.as_slice();
            misuse("rot90", format!("a plane needs two dimensions, not {dims:?} of {:?}", self.shape()));
        }
        axes("rot90", self.shape(), &dims[..]);
        let (a, b) = (dims[0], dims[1]);
        match k.rem_euclid(4) {
            1 => self.flip(b).transpose(a, b),
            2 => self.flip([a, b]),
            3 => self.flip(a).transpose(a, b),
            _ => self.copy(),
        }
    }
}
