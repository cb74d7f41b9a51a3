//! More elements around a tensor, or fewer; and elements moved round.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::create::full;
use crate::shape::{Dims, Ints, Layout, axis};
use crate::tensor::Tensor;
use crate::tensor::node::record;
use crate::tensor::profile;

/// What [`Tensor::pad`] puts around a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// One number.
    Constant(f64),
    /// The elements mirrored at the outermost one, which is not repeated: `c b | a b c | b a`.
    Reflect,
    /// The outermost element again and again: `a a | a b c | c c`.
    Replicate,
    /// The elements from the other end: `b c | a b c | a b`.
    Circular,
}

impl Tensor {
    /// A tensor with elements around it: `pad` lists how many before and after, for the last dimension first, then the
    /// one before it, and so on. A negative number takes elements away. Derivative: what came from an element flows
    /// back to it.
    ///
    /// ```
    /// use wgrad::{Device, PadMode, Tensor};
    /// let x = Tensor::new([1, 2, 3], &Device::cpu());
    /// assert_eq!(x.pad([1, -1], PadMode::Constant(9.0)).to_vec::<i32>()?, [9, 1, 2]);
    /// assert_eq!(x.pad([2, 1], PadMode::Reflect).to_vec::<i32>()?, [3, 2, 1, 2, 3, 2]);
    /// assert_eq!(x.pad([2, 1], PadMode::Circular).to_vec::<i32>()?, [2, 3, 1, 2, 3, 1]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `pad` is no list of pairs for dimensions that exist, more is taken away than there is, or a mode wants more
    /// elements than the tensor has: `Reflect` at least one more than it adds, `Circular` as many, `Replicate` one.
    ///
    /// Source: [torch.nn.functional.pad](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html).
    #[track_caller]
    pub fn pad(&self, pad: impl Ints, mode: PadMode) -> Tensor {
        let pad = pad.ints();
        if !pad.len().is_multiple_of(2) || pad.len() / 2 > self.rank() {
            misuse("pad", format!("{:?} is no list of pairs for dimensions of {:?}", pad.as_slice(), self.shape()));
        }
        for (i, pair) in pad.chunks(2).enumerate() {
            let (d, left, right) = (self.rank() - 1 - i, pair[0], pair[1]);
            let n = self.shape()[d] as isize;
            let enough = match mode {
                PadMode::Constant(_) => true,
                PadMode::Reflect => left.max(right) < n,
                PadMode::Replicate => n > 0,
                PadMode::Circular => left.max(right) <= n + left.min(0) + right.min(0),
            };
            if !enough && (left, right) != (0, 0) || n + left + right < 0 || n + left.min(0) + right.min(0) < 0 {
                let shape = self.shape();
                misuse(
                    "pad",
                    format!("dimension {d} of {shape:?} is too small for {left} and {right} in mode {mode:?}"),
                );
            }
        }
        if let PadMode::Constant(x) = mode {
            return self.pad_constant(pad.iter().copied().collect(), x);
        }
        let mut y = self.clone();
        for (i, pair) in pad.chunks(2).enumerate().filter(|(_, pair)| *pair != [0, 0]) {
            y = y.pad_dim(self.rank() - 1 - i, pair[0], pair[1], mode);
        }
        y.apart_from(self)
    }

    #[track_caller]
    fn pad_constant(&self, pad: Vec<isize>, x: f64) -> Tensor {
        // What is taken away is not read; the rest is written into the middle of the result.
        let mut part = self.untracked();
        let mut shape = Dims::from_slice(self.shape());
        let mut starts = Dims::from_elem(0, self.rank());
        for (i, pair) in pad.chunks(2).enumerate() {
            let (d, left, right) = (self.rank() - 1 - i, pair[0], pair[1]);
            let n = part.shape()[d] as isize;
            let len = n + left.min(0) + right.min(0);
            part = part.narrow(d as isize, (-left).max(0) as usize, len as usize);
            starts[d] = left.max(0) as usize;
            shape[d] = (n + left + right) as usize;
        }
        let mut to = Layout::contiguous(&shape);
        for (d, &start) in starts.iter().enumerate() {
            to = to.slice(d, start, part.shape()[d], 1);
        }
        let _operation = profile::operation("constant_pad_nd");
        let mut y = full(x, shape, self.dtype(), &self.device());
        if part.numel() > 0 {
            y = y.write_through(to, &part);
        }
        let back: Vec<isize> = pad.iter().map(|n| -n).collect();
        record(y, "ConstantPadNdBackward0", &[self], &[], move |call| {
            vec![Some(call.g.pad(&back, PadMode::Constant(0.0)))]
        })
    }

    /// One dimension with copies of its own elements before and after.
    #[track_caller]
    fn pad_dim(&self, d: usize, left: isize, right: isize, mode: PadMode) -> Tensor {
        let dim = d as isize;
        let crop = |x: &Tensor| {
            let n = x.shape()[d] as isize;
            x.narrow(dim, (-left).max(0) as usize, (n + left.min(0) + right.min(0)) as usize)
        };
        let (before, after) = (left.max(0) as usize, right.max(0) as usize);
        // Only the circular mode does not look at what is taken away.
        let x = if mode == PadMode::Circular { crop(self) } else { self.clone() };
        let n = x.shape()[d];
        let mut shape = [-1].repeat(self.rank());
        let mut edge = |at: usize, len: usize| {
            shape[d] = len as isize;
            x.narrow(dim, at, 1).expand(&shape[..])
        };
        let (head, tail) = match mode {
            PadMode::Reflect => (x.narrow(dim, 1, before).flip(dim), x.narrow(dim, n - 1 - after, after).flip(dim)),
            PadMode::Replicate => (edge(0, before), edge(n - 1, after)),
            PadMode::Circular => (x.narrow(dim, n - before, before), x.narrow(dim, 0, after)),
            PadMode::Constant(_) => unreachable!("a constant needs no elements"),
        };
        let y = Tensor::cat(&[head, x, tail], dim);
        if mode == PadMode::Circular { y } else { crop(&y) }
    }

    /// Elements moved by `shifts` along `dims`, those that leave at one end coming back at the other: `y[i] = x[i -
    /// shift]`. For no dimensions (`()`), along the list of all elements. Derivative: `g` moved back.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1, 2], [3, 4]], &Device::cpu());
    /// assert_eq!(x.roll(1, ()).to_vec::<i32>()?, [4, 1, 2, 3]);
    /// assert_eq!(x.roll(1, 1).to_vec::<i32>()?, [2, 1, 4, 3]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there is not one shift per dimension (or one for none).
    #[track_caller]
    pub fn roll(&self, shifts: impl Ints, dims: impl Ints) -> Tensor {
        let (shifts, dims) = (shifts.ints(), dims.ints());
        if dims.is_empty() && shifts.len() == 1 {
            return self.ravel().rolled(0, shifts[0]).reshape(self.shape());
        }
        if shifts.len() != dims.len() || dims.is_empty() {
            let (shifts, dims) = (shifts.as_slice(), dims.as_slice());
            misuse("roll", format!("shifts {shifts:?} do not fit dimensions {dims:?} of {:?}", self.shape()));
        }
        let mut y = self.clone();
        for (&shift, &dim) in shifts.iter().zip(&dims) {
            y = y.rolled(axis("roll", self.shape(), dim), shift);
        }
        y
    }

    #[track_caller]
    fn rolled(&self, d: usize, shift: isize) -> Tensor {
        if self.numel() == 0 || self.rank() == 0 {
            return self.copy();
        }
        let n = self.shape()[d];
        let split = n - shift.rem_euclid(n as isize) as usize;
        let definition = || {
            let dim = d as isize;
            Tensor::cat(&[self.narrow(dim, split, n - split), self.narrow(dim, 0, split)], dim)
        };
        composite("RollBackward0", &[self], &[], definition, move |call| vec![Some(call.g.rolled(d, -shift))])
    }
}
