//! Windows over the last dimensions of a tensor: what convolution and pooling have in common, for any number of dimensions.

use crate::error::misuse;
use crate::ops::pad::PadMode;
use crate::shape::Dims;
use crate::tensor::Tensor;
use smallvec::SmallVec;

/// One number for every spatial dimension, or one for each of them: `2.into()` or `[2, 1].into()`.
#[derive(Clone, Debug, PartialEq)]
pub struct PerDim(SmallVec<[isize; 3]>);

macro_rules! per_dim {
    ($($t:ty)*) => { $(
        impl From<$t> for PerDim { fn from(n: $t) -> PerDim { PerDim(SmallVec::from_slice(&[n as isize])) } }
        impl<const N: usize> From<[$t; N]> for PerDim { fn from(n: [$t; N]) -> PerDim { PerDim(n.iter().map(|&n| n as isize).collect()) } }
        impl From<&[$t]> for PerDim { fn from(n: &[$t]) -> PerDim { PerDim(n.iter().map(|&n| n as isize).collect()) } }
        impl From<Vec<$t>> for PerDim { fn from(n: Vec<$t>) -> PerDim { PerDim(n.iter().map(|&n| n as isize).collect()) } }
    )* };
}
per_dim!(i32 usize isize);

impl PerDim {
    /// One number for each of `n` dimensions, none of them below `least`.
    #[track_caller]
    pub(crate) fn each(&self, op: &str, what: &str, n: usize, least: isize) -> Dims {
        let given = self.0.as_slice();
        if given.len() != 1 && given.len() != n {
            misuse(op, format!("{what} {given:?} is neither one number nor {n} of them"));
        }
        if let Some(bad) = given.iter().find(|&&x| x < least) {
            misuse(op, format!("{what} {given:?} holds {bad}, and {least} is the least"));
        }
        (0..n).map(|d| given[d % given.len()] as usize).collect()
    }

    /// As [`PerDim::each`]; -1 stands for the size that a dimension has.
    #[track_caller]
    pub(crate) fn each_or_kept(&self, op: &str, what: &str, n: usize, sizes: &[usize]) -> Dims {
        let kept = PerDim(self.0.iter().map(|&x| if x == -1 { 0 } else { x }).collect());
        let mut each = kept.each(op, what, n, 0);
        for d in 0..n {
            if self.0[d % self.0.len()] == -1 {
                each[d] = sizes[d];
            }
        }
        each
    }
}

/// How windows lie over one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The elements of the dimension.
    pub len: usize,
    /// The places of one window.
    pub size: usize,
    /// How far one window is from the next.
    pub step: usize,
    /// How far one place in a window is from the next.
    pub dilation: usize,
    /// The places before the dimension that the first window begins with.
    pub before: usize,
    /// The places behind the dimension that windows may reach.
    pub after: usize,
}

impl Window {
    /// How far a window reaches from its first place to its last, both included.
    pub fn span(&self) -> usize {
        self.dilation * (self.size - 1) + 1
    }

    /// The number of windows; `None` if not even one fits.
    pub fn count(&self) -> Option<usize> {
        let places = (self.before + self.len + self.after).checked_sub(self.span())?;
        Some(places / self.step + 1)
    }

    /// How much has to stand before and behind the dimension so that every window is full.
    pub fn padding(&self) -> [isize; 2] {
        let reached = self.count().map_or(0, |count| (count - 1) * self.step + self.span());
        [self.before as isize, (reached as isize - (self.before + self.len) as isize).max(0)]
    }
}

/// The layout of windows over several dimensions.
pub(crate) type Windows = SmallVec<[Window; 3]>;

impl Tensor {
    /// The windows over the last dimensions: `[.., lengths..]` becomes `[.., counts.., sizes..]`, a view of this tensor with
    /// `fill` standing around it.
    #[track_caller]
    pub(crate) fn over_windows(&self, windows: &[Window], fill: f64) -> Tensor {
        let first = self.rank() - windows.len();
        let mut x = self.padded(windows, PadMode::Constant(fill));
        for (i, w) in windows.iter().enumerate() {
            // What no window reaches is left out by the windows themselves.
            x = x.windows(first + i, w.size, w.step, w.dilation);
        }
        x
    }

    /// The adjoint of [`Tensor::over_windows`]: windows added where they overlap, and what stood around left out.
    #[track_caller]
    pub(crate) fn added_windows(&self, windows: &[Window]) -> Tensor {
        let first = self.rank() - 2 * windows.len();
        let mut x = self.clone();
        for (i, w) in windows.iter().enumerate().rev() {
            let [before, after] = w.padding();
            let d = first + i;
            x = x.overlap_add(d, (before + after) as usize + w.len, w.step, w.dilation);
            if before + after > 0 {
                x = x.narrow(d as isize, before as usize, w.len);
            }
        }
        x
    }

    /// What windows reach over, in the last dimensions.
    #[track_caller]
    pub(crate) fn padded(&self, windows: &[Window], mode: PadMode) -> Tensor {
        let pad: SmallVec<[isize; 6]> = windows.iter().rev().flat_map(Window::padding).collect();
        if pad.iter().all(|&n| n == 0) {
            return self.clone();
        }
        self.pad(&pad[..], mode)
    }

    /// A tensor with a batch before its `dims` spatial dimensions and their channels, and whether it had to be added.
    #[track_caller]
    pub(crate) fn batched(&self, op: &str, dims: usize) -> (Tensor, bool) {
        match self.rank() {
            rank if rank == dims + 2 => (self.clone(), false),
            rank if rank == dims + 1 => (self.unsqueeze(0), true),
            _ => misuse(
                op,
                format!("wants [batch, channels, {dims} sizes] or [channels, {dims} sizes], not {:?}", self.shape()),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_counted_and_padded() {
        let window = |len, size, step, dilation, before, after| Window { len, size, step, dilation, before, after };
        assert_eq!(window(5, 3, 1, 1, 0, 0).count(), Some(3));
        assert_eq!(window(5, 3, 2, 1, 1, 1).count(), Some(3));
        assert_eq!(window(5, 3, 1, 2, 1, 0).count(), Some(2));
        assert_eq!(window(2, 3, 1, 1, 0, 0).count(), None);
        // The last padding is not reached.
        assert_eq!(window(6, 3, 2, 1, 1, 1).padding(), [1, 0]);
    }
}
