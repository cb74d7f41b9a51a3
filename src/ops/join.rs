//! Tensors joined along a dimension, an old one or a new one.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::create::full;
use crate::ops::map::{Arg, result_type};
use crate::shape::{Dims, Layout, axis};
use crate::tensor::Tensor;
use crate::tensor::node::record;
use crate::tensor::profile;

impl Tensor {
    /// Tensors joined along a dimension. Derivative: each gets its part of `g`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::cat(&[Tensor::ones([1, 2], &dev), Tensor::zeros([2, 2], &dev)], 0);
    /// assert_eq!(y.shape(), [3, 2]);
    /// ```
    ///
    /// # Panics
    /// If the list is empty, or the shapes differ in another dimension.
    #[track_caller]
    pub fn cat(tensors: &[Tensor], dim: isize) -> Tensor {
        Tensor::joined("cat", "CatBackward0", tensors, dim)
    }

    #[track_caller]
    fn joined(op: &'static str, name: &'static str, tensors: &[Tensor], dim: isize) -> Tensor {
        // As in PyTorch, an empty list of numbers joins with anything.
        let parts: Vec<&Tensor> = tensors.iter().filter(|x| x.shape() != [0]).collect();
        let Some(first) = parts.first().copied().or(tensors.first()) else {
            misuse(op, "there are no tensors to join");
        };
        if first.rank() == 0 {
            misuse(op, "0-d tensors have no dimension to join along; use stack");
        }
        let d = axis(op, first.shape(), dim);
        for x in &parts {
            first.expect_same_device(op, x);
            let fits = x.rank() == first.rank() && (0..x.rank()).all(|i| i == d || x.shape()[i] == first.shape()[i]);
            if !fits {
                misuse(op, format!("shapes {:?} and {:?} differ beyond dimension {d}", first.shape(), x.shape()));
            }
        }
        let _operation = profile::operation(name);
        let dtype = result_type(tensors.iter().map(Arg::from).collect::<Vec<_>>().iter());
        let mut shape = Dims::from_slice(first.shape());
        shape[d] = parts.iter().map(|x| x.shape()[d]).sum();
        let mut y = full(0.0, shape.clone(), dtype, &first.device());
        let whole = Layout::contiguous(&shape);
        let mut start = 0;
        let mut ranges = Vec::new();
        for x in &parts {
            let len = x.shape()[d];
            if x.numel() > 0 {
                y = y.write_through(whole.slice(d, start, len, 1), &x.untracked().cast(dtype));
            }
            ranges.push((start, len, x.dtype()));
            start += len;
        }
        record(y, name, &parts, &[], move |call| {
            let part = |(needed, (start, len, dtype)): (&bool, &(usize, usize, DType))| {
                needed.then(|| call.g.narrow(d as isize, *start, *len).cast(*dtype))
            };
            call.needs.iter().zip(&ranges).map(part).collect()
        })
    }

    /// Tensors of one shape joined along a new dimension. Derivative: each gets its part of `g`.
    ///
    /// # Panics
    /// If the list is empty or the shapes differ.
    #[track_caller]
    pub fn stack(tensors: &[Tensor], dim: isize) -> Tensor {
        if tensors.iter().any(|x| x.shape() != tensors[0].shape()) {
            let shapes: Vec<_> = tensors.iter().map(Tensor::shape).collect();
            misuse("stack", format!("shapes differ: {shapes:?}"));
        }
        let unsqueezed: Vec<Tensor> = tensors.iter().map(|x| x.unsqueeze(dim)).collect();
        Tensor::joined("stack", "StackBackward0", &unsqueezed, dim)
    }

    /// Tensors joined side by side: along dimension 1, or 0 where they are lists. Derivative: each gets its part of `g`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (a, b) = (Tensor::new([1, 2], &dev), Tensor::new([3, 4], &dev));
    /// let pair = [a, b];
    /// assert_eq!(Tensor::hstack(&pair).shape(), [4]);
    /// assert_eq!(Tensor::vstack(&pair).shape(), [2, 2]);
    /// assert_eq!(Tensor::dstack(&pair).shape(), [1, 2, 2]);
    /// assert_eq!(Tensor::column_stack(&pair).to_vec::<i32>()?, [1, 3, 2, 4]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the list is empty, or the shapes differ in another dimension.
    #[track_caller]
    pub fn hstack(tensors: &[Tensor]) -> Tensor {
        let tensors: Vec<Tensor> = tensors.iter().map(Tensor::atleast_1d).collect();
        let dim = tensors.first().is_some_and(|x| x.rank() > 1) as isize;
        Tensor::joined("hstack", "CatBackward0", &tensors, dim)
    }

    /// Tensors joined one below the other: along dimension 0, lists counting as rows.
    /// Derivative: each gets its part of `g`.
    ///
    /// # Panics
    /// If the list is empty, or the shapes differ in another dimension.
    #[track_caller]
    pub fn vstack(tensors: &[Tensor]) -> Tensor {
        let tensors: Vec<Tensor> = tensors.iter().map(Tensor::atleast_2d).collect();
        Tensor::joined("vstack", "CatBackward0", &tensors, 0)
    }

    /// Tensors joined one behind the other: along dimension 2, of [`Tensor::atleast_3d`].
    /// Derivative: each gets its part of `g`.
    ///
    /// # Panics
    /// If the list is empty, or the shapes differ in another dimension.
    #[track_caller]
    pub fn dstack(tensors: &[Tensor]) -> Tensor {
        let tensors: Vec<Tensor> = tensors.iter().map(Tensor::atleast_3d).collect();
        Tensor::joined("dstack", "CatBackward0", &tensors, 2)
    }

    /// Tensors joined as columns: along dimension 1, lists counting as one column.
    /// Derivative: each gets its part of `g`.
    ///
    /// # Panics
    /// If the list is empty, or the shapes differ in another dimension.
    #[track_caller]
    pub fn column_stack(tensors: &[Tensor]) -> Tensor {
        let column = |x: &Tensor| if x.rank() < 2 { x.reshape([x.numel(), 1]) } else { x.clone() };
        let tensors: Vec<Tensor> = tensors.iter().map(column).collect();
        Tensor::joined("column_stack", "CatBackward0", &tensors, 1)
    }

    /// Matrices along the diagonal of one, 0 elsewhere; a list counts as one row, a 0-d tensor as one element.
    /// Derivative: each gets its block of `g`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::block_diag(&[Tensor::ones([2, 1], &dev), Tensor::ones([1, 2], &dev)]);
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the list is empty or a tensor has more than two dimensions.
    #[track_caller]
    pub fn block_diag(tensors: &[Tensor]) -> Tensor {
        let Some(first) = tensors.first() else { misuse("block_diag", "there are no tensors to join") };
        let mut rows = Vec::with_capacity(tensors.len());
        let columns: usize = tensors.iter().map(|x| if x.rank() == 0 { 1 } else { x.shape()[x.rank() - 1] }).sum();
        let mut before = 0;
        for x in tensors {
            if x.rank() > 2 {
                misuse("block_diag", format!("{:?} is no matrix", x.shape()));
            }
            first.expect_same_device("block_diag", x);
            let block = x.atleast_2d();
            let n = block.shape()[1];
            let zeros = |n| full(0.0, Dims::from_slice(&[block.shape()[0], n]), x.dtype(), &x.device());
            rows.push(Tensor::cat(&[zeros(before), block.clone(), zeros(columns - before - n)], 1));
            before += n;
        }
        Tensor::cat(&rows, 0)
    }
}
