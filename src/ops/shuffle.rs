//! Channels and places exchanged.

use crate::error::misuse;
use crate::shape::Dims;
use crate::tensor::Tensor;

impl Tensor {
    /// Channels spread over blocks of places: `[.., c·r², h, w]` becomes `[.., c, h·r, w·r]`. Derivative:
    /// [`Tensor::pixel_unshuffle`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::arange(0, 4, 1, &Device::cpu()).reshape([4, 1, 1]).pixel_shuffle(2);
    /// assert_eq!((y.shape(), y.to_vec::<i32>()?), (&[1, 2, 2][..], vec![0, 1, 2, 3]));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are fewer than three dimensions, or `r²` does not divide the channels.
    #[track_caller]
    pub fn pixel_shuffle(&self, upscale_factor: usize) -> Tensor {
        let r = upscale_factor;
        let [batch @ .., channels, h, w] = self.shape() else {
            misuse("pixel_shuffle", format!("{:?} has no channels, rows and columns", self.shape()));
        };
        if r == 0 || channels % (r * r) != 0 {
            misuse("pixel_shuffle", format!("blocks of {r} x {r} do not divide the channels of {:?}", self.shape()));
        }
        let n = batch.len();
        let order = [n, n + 3, n + 1, n + 4, n + 2];
        let c = channels / (r * r);
        self.rearranged(n, &[c, r, r, *h, *w], &order, &[c, h * r, w * r])
    }

    /// Blocks of places gathered into channels: `[.., c, h·r, w·r]` becomes `[.., c·r², h, w]`. Derivative:
    /// [`Tensor::pixel_shuffle`].
    ///
    /// # Panics
    /// If there are fewer than three dimensions, or `r` does not divide the last two.
    #[track_caller]
    pub fn pixel_unshuffle(&self, downscale_factor: usize) -> Tensor {
        let r = downscale_factor;
        let [batch @ .., c, h, w] = self.shape() else {
            misuse("pixel_unshuffle", format!("{:?} has no channels, rows and columns", self.shape()));
        };
        if r == 0 || h % r != 0 || w % r != 0 {
            misuse("pixel_unshuffle", format!("blocks of {r} x {r} do not divide the places of {:?}", self.shape()));
        }
        let n = batch.len();
        let order = [n, n + 2, n + 4, n + 1, n + 3];
        self.rearranged(n, &[*c, h / r, r, w / r, r], &order, &[c * r * r, h / r, w / r])
    }

    /// The channels of `[batch, channels, ..]` dealt out: the first of each group, then the second of each, and so on.
    ///
    /// # Panics
    /// If there are fewer than three dimensions, or the groups do not divide the channels.
    #[track_caller]
    pub fn channel_shuffle(&self, groups: usize) -> Tensor {
        if self.rank() < 3 || groups == 0 || !self.shape()[1].is_multiple_of(groups) {
            misuse("channel_shuffle", format!("{groups} groups do not divide the channels of {:?}", self.shape()));
        }
        let mut split = vec![groups, self.shape()[1] / groups];
        split.extend_from_slice(&self.shape()[2..]);
        let order: Vec<usize> = [2, 1].into_iter().chain(3..self.rank() + 1).collect();
        self.rearranged(1, &split, &order, &self.shape()[1..])
    }

    /// The dimensions from `n` on split, reordered, and joined again.
    #[track_caller]
    fn rearranged(&self, n: usize, split: &[usize], order: &[usize], joined: &[usize]) -> Tensor {
        let shape = |rest: &[usize]| -> Dims { self.shape()[..n].iter().chain(rest).copied().collect() };
        let order: Dims = (0..n).chain(order.iter().copied()).collect();
        self.reshape(&shape(split)[..]).permute(&order[..]).reshape(&shape(joined)[..]).apart_from(self)
    }
}
