//! Views of storage with strides of one's own, in which one element may stand several times.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::create::full;
use crate::shape::{Dims, Ints, Layout, numel, sizes};
use crate::tensor::{Replay, Tensor, View};

impl Tensor {
    /// A view of the tensor's storage with a shape and strides of one's own, which starts at element `offset` of the
    /// storage (`None`: where this tensor starts). The storage of a tensor that is no view are its elements in
    /// row-major order. Derivative: each element gets the sum over its places in the view.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::arange(0, 8, 1, &Device::cpu());
    /// assert_eq!(x.as_strided([2, 3], [2, 1], 1).to_vec::<i32>()?, [1, 2, 3, 3, 4, 5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there is not one stride per size, one of either is negative, or the view reaches beyond the storage.
    ///
    /// Source: [torch.as_strided](https://docs.pytorch.org/docs/stable/generated/torch.as_strided.html).
    #[track_caller]
    pub fn as_strided(&self, size: impl Ints, stride: impl Ints, offset: impl Into<Option<usize>>) -> Tensor {
        let (shape, steps) = (sizes("as_strided", size), sizes("as_strided", stride));
        let offset = offset.into().unwrap_or(self.0.layout.offset);
        let stored = self.0.cell.value().numel();
        let reach: usize = shape.iter().zip(&steps).map(|(n, step)| n.saturating_sub(1) * step).sum();
        if shape.len() != steps.len() || numel(&shape) > 0 && offset + reach >= stored {
            let (shape, steps) = (shape.as_slice(), steps.as_slice());
            misuse("as_strided", format!("{shape:?} by {steps:?} from {offset} on is not in {stored} elements"));
        }
        let strides = steps.iter().map(|&step| step as isize).collect();
        self.restrided(Layout { shape, strides, offset })
    }

    /// The storage read through a layout.
    #[track_caller]
    fn restrided(&self, layout: Layout) -> Tensor {
        let stored = self.0.cell.value().numel();
        let base = self.0.view.as_ref().filter(|_| self.0.meta.lock().own.is_none()).map_or(self, |view| &view.base);
        let plain = base.0.layout.is_whole(stored);
        let again = layout.clone();
        // Made from the base in one step: what the views between leave out is in the storage all the same.
        let replay = Replay::new(move |x| {
            if !plain {
                let shape = x.shape();
                misuse("as_strided", format!("a view of strided storage, shape {shape:?}, cannot be changed in place"));
            }
            x.whole().restrided(again.clone())
        });
        let (from, to) = (self.0.layout.clone(), layout.clone());
        let rule = move |g: &Tensor| {
            // Through the gradient of the whole storage, of which the input shows a part.
            let g = g.scattered(&to, stored).restrided(from.clone());
            if !from.overlaps() {
                return g;
            }
            // Where several elements of the input are one in storage, they share its gradient.
            let ones = full(1.0, from.shape.clone(), g.dtype(), &g.device());
            &g / ones.scattered(&from, stored).restrided(from.clone())
        };
        self.viewed_from("AsStridedBackward0", layout, View { base: base.clone(), replay }, rule)
    }

    /// This tensor if it is the whole of its storage in row-major order, else a copy of which that is true.
    #[track_caller]
    pub(crate) fn whole(&self) -> Tensor {
        if self.0.layout.is_whole(self.0.cell.value().numel()) { self.clone() } else { self.copy() }
    }

    /// A list of `n` zeros to which this tensor's elements are added where a layout says.
    #[track_caller]
    pub(crate) fn scattered(&self, to: &Layout, n: usize) -> Tensor {
        let zeros = full(0.0, Dims::from_slice(&[n]), self.dtype(), &self.device());
        if self.numel() == 0 {
            return zeros;
        }
        if !to.overlaps() {
            let to = to.clone();
            return zeros.write(Replay::new(move |x| x.whole().restrided(to.clone())), self);
        }
        let places: Vec<i32> = to.indices().map(|i| i as i32).collect();
        let places = Tensor::from_slice(&places, places.len(), (&self.device(), DType::I32));
        zeros.scatter_add(0, &places, &self.reshape(places.numel()))
    }
}
