//! Indexing as Python writes it in brackets: `x[1:3, None, i, ..., m]`.
//!
//! Here is what may stand in the brackets; `selection.rs` does the work.

use crate::error::Result;
use crate::ops::map::Arg;
use crate::ops::selection::Selection;
use crate::shape::{Ints, sizes};
use crate::tensor::{Replay, Tensor};
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

/// What stands at one place of [`Tensor::index`]; made from what Rust has for it.
///
/// | Python | here |
/// |---|---|
/// | `3`, `-1` | `3`, `-1` |
/// | `:`, `1:3`, `1:`, `:-1` | `..`, `1..3`, `1..`, `..-1` |
/// | `1:-1`, `::2` | `Index::slice(1, -1, 1)`, `Index::slice(None, None, 2)` |
/// | `None` | `NewAxis` |
/// | `...` | `Ellipsis` |
/// | an index tensor `i`, a mask `m` | `&i`, `&m` |
#[derive(Clone, Debug)]
pub enum Index {
    /// One index of a dimension, which disappears.
    At(isize),
    /// A range of a dimension, as [`Tensor::slice`] takes it.
    Slice(Option<isize>, Option<isize>, usize),
    /// A new dimension of size 1.
    NewAxis,
    /// All dimensions that nothing else stands for.
    Ellipsis,
    /// Indices of a dimension, or a mask over as many dimensions as it has.
    Tensor(Tensor),
}

/// A new dimension of size 1, in [`Tensor::index`]: Python's `None`.
#[derive(Clone, Copy, Debug)]
pub struct NewAxis;

/// All dimensions that nothing else stands for, in [`Tensor::index`]: Python's `...`.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsis;

impl Index {
    /// Every `step`-th element from `start` up to but without `end`, as [`Tensor::slice`] takes them.
    pub fn slice(start: impl Into<Option<isize>>, end: impl Into<Option<isize>>, step: usize) -> Index {
        Index::Slice(start.into(), end.into(), step)
    }
}

macro_rules! from {
    ($($t:ty, $x:pat => $index:expr;)*) => { $(
        impl From<$t> for Index {
            fn from($x: $t) -> Index { $index }
        }
    )* };
}
from! {
    NewAxis, _ => Index::NewAxis;
    Ellipsis, _ => Index::Ellipsis;
    RangeFull, _ => Index::Slice(None, None, 1);
    Tensor, x => Index::Tensor(x);
    &Tensor, x => Index::Tensor(x.clone());
}

macro_rules! from_numbers {
    ($($t:ty)*) => { $( from! {
        $t, i => Index::At(i as isize);
        Range<$t>, r => Index::Slice(Some(r.start as isize), Some(r.end as isize), 1);
        RangeFrom<$t>, r => Index::Slice(Some(r.start as isize), None, 1);
        RangeTo<$t>, r => Index::Slice(None, Some(r.end as isize), 1);
        RangeInclusive<$t>, r => Index::Slice(Some(*r.start() as isize), after(*r.end() as isize), 1);
        RangeToInclusive<$t>, r => Index::Slice(None, after(r.end as isize), 1);
    } )* };
}
from_numbers!(i32 i64 isize usize);

/// The end of a range that includes its last place; after -1 comes the dimension's own end.
fn after(last: isize) -> Option<isize> {
    (last != -1).then_some(last + 1)
}

/// What [`Tensor::index`] takes: one place, a tuple of up to six, or a `Vec<Index>`.
pub trait Indices {
    /// The places from the first dimension on.
    fn indices(self) -> Vec<Index>;
}

impl<T: Into<Index>> Indices for T {
    fn indices(self) -> Vec<Index> {
        vec![self.into()]
    }
}

impl Indices for Vec<Index> {
    fn indices(self) -> Vec<Index> {
        self
    }
}

macro_rules! tuples {
    ($($($T:ident $x:ident)*;)*) => { $(
        impl<$($T: Into<Index>),*> Indices for ($($T,)*) {
            fn indices(self) -> Vec<Index> {
                let ($($x,)*) = self;
                vec![$($x.into()),*]
            }
        }
    )* };
}
tuples! {
    A a;
    A a B b;
    A a B b C c;
    A a B b C c D d;
    A a B b C c D d E e;
    A a B b C c D d E e F f;
}

impl Tensor {
    /// `x[…]`: places from the first dimension on, dimensions that are left out being taken whole. A view if no index
    /// tensor or mask is among them. Derivative: added up where the elements came from.
    ///
    /// Index tensors broadcast, and choose together: their shape takes the place of their dimensions or, where a range,
    /// a new dimension or `Ellipsis` separates them, comes first. Negative indices count from the end. A mask stands for
    /// the indices of its true elements, a 0-d index tensor for its number.
    ///
    /// ```
    /// use wgrad::{Device, Ellipsis, NewAxis, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::arange(0, 12, 1, &dev).reshape([3, 4]);
    /// assert_eq!(x.index((.., -1))?.to_vec::<i32>()?, [3, 7, 11]);
    /// assert_eq!(x.index((1.., NewAxis, ..2))?.shape(), [2, 1, 2]);
    /// let rows = Tensor::new([2, 0], &dev);
    /// assert_eq!(x.index((&rows, 1))?.to_vec::<i32>()?, [9, 1]);
    /// assert_eq!(x.index(&x.gt(8))?.to_vec::<i32>()?, [9, 10, 11]);
    /// assert_eq!(x.index((Ellipsis, &rows))?.shape(), [3, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a mask or a 0-d index tensor, on which the shape or the view depends, cannot be read. An index out of range in
    /// a tensor is told when the result is read, as by [`Tensor::gather`].
    ///
    /// # Panics
    /// If there are more places than dimensions, a number is out of range, a mask has another shape than its dimensions,
    /// index tensors do not broadcast or hold floats, or there is more than one `Ellipsis`.
    #[track_caller]
    pub fn index(&self, indices: impl Indices) -> Result<Tensor> {
        let selection = Selection::of("index", self, indices.indices())?;
        let view = selection.view(self);
        if selection.is_view() {
            return Ok(view);
        }
        Ok(selection.joined("index", &view).read(&view))
    }

    /// `y = x`, then `y[…] = values`, or `y[…] += values` if they accumulate; the values are a tensor or a number, and
    /// broadcast to what [`Tensor::index`] would give. Where an index repeats, the last value stays, or all are added.
    /// Derivatives: `g`, 0 in the places replaced; `g` of those places for the values.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::zeros([2, 3], &dev);
    /// let (i, j) = (Tensor::new([0, 1, 0], &dev), Tensor::new([2, 0, 2], &dev));
    /// assert_eq!(x.index_put((&i, &j), 1.0, true)?.to_vec::<f32>()?, [0.0, 0.0, 2.0, 1.0, 0.0, 0.0]);
    /// assert_eq!(x.index_put((.., 1), 5.0, false)?.to_vec::<f32>()?, [0.0, 5.0, 0.0, 0.0, 5.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::index`].
    ///
    /// # Panics
    /// As [`Tensor::index`], and if the values do not broadcast to the places.
    #[track_caller]
    pub fn index_put(&self, indices: impl Indices, values: impl Into<Arg>, accumulate: bool) -> Result<Tensor> {
        let selection = Selection::of("index_put", self, indices.indices())?;
        let view = selection.view(self);
        let values = match values.into() {
            Arg::Tensor(values) => values.cast(self.dtype()),
            Arg::Number(x, _) => Tensor::number(x, self.dtype(), &self.device()),
        };
        self.expect_same_device("index_put", &values);
        let part = if selection.is_view() {
            let values = values.spread("index_put", view.shape());
            if accumulate { &view + values } else { values }
        } else {
            selection.joined("index_put", &view).put(&view, &values, accumulate)
        };
        if selection.is_whole() {
            return Ok(if part.shares_storage(&values) { part.copy() } else { part });
        }
        Ok(self.write(Replay::new(move |x| selection.view(x)), &part))
    }

    /// `x[…] ← values`, or `x[…] ← x[…] + values` if they accumulate: [`Tensor::index_put`] in place.
    ///
    /// # Errors
    /// As [`Tensor::index`] and [`Tensor::add_`].
    ///
    /// # Panics
    /// As [`Tensor::index_put`].
    #[track_caller]
    pub fn index_put_(&self, indices: impl Indices, values: impl Into<Arg>, accumulate: bool) -> Result<&Tensor> {
        let y = self.before("index_put_")?.index_put(indices, values, accumulate)?;
        Ok(self.rebind("index_put_", y))
    }

    /// The places in a tensor of some shape that integers name in row-major order: one tensor of indices for each of its
    /// dimensions. Derivative: none, the results hold integers.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let places = Tensor::new([5, 2], &Device::cpu()).unravel_index([2, 3]);
    /// assert_eq!(places[0].to_vec::<i32>()?, [1, 0]);
    /// assert_eq!(places[1].to_vec::<i32>()?, [2, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If this tensor holds no integers.
    ///
    /// Source: [torch.unravel_index](https://docs.pytorch.org/docs/stable/generated/torch.unravel_index.html).
    #[track_caller]
    pub fn unravel_index(&self, shape: impl Ints) -> Vec<Tensor> {
        self.expect_integers("unravel_index");
        let mut rest = self.clone();
        let mut places: Vec<Tensor> = Vec::new();
        for n in sizes("unravel_index", shape).into_iter().rev() {
            places.push(rest.remainder(n));
            rest = rest.floor_divide(n);
        }
        places.reverse();
        places
    }
}
