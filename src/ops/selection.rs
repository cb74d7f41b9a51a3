//! How an index of brackets is carried out.
//!
//! Ranges, numbers and new dimensions make a view. Index tensors and masks then choose among the entries of the
//! dimensions they stand at: those are moved together and joined to one dimension, and their indices to one index of it.

use crate::dtype::DType;
use crate::error::{Result, misuse};
use crate::ops::index::Index;
use crate::shape::{Dims, broadcast};
use crate::tensor::Tensor;

/// An index taken apart: the steps to a view, and what chooses among the entries of the view.
pub(crate) struct Selection {
    steps: Vec<Step>,
    /// Dimensions of the view, from the first to the last, with their indices, which are not negative unless out of range.
    chosen: Vec<(usize, Tensor)>,
}

enum Step {
    Select(usize, isize),
    Slice(usize, Option<isize>, Option<isize>, usize),
    Unsqueeze(usize),
}

impl Step {
    #[track_caller]
    fn apply(&self, x: &Tensor) -> Tensor {
        match *self {
            Step::Select(d, i) => x.select(d as isize, i),
            Step::Slice(d, start, end, step) => x.slice(d as isize, start, end, step),
            Step::Unsqueeze(d) => x.unsqueeze(d as isize),
        }
    }
}

impl Selection {
    /// Takes an index of a tensor apart, and checks it.
    #[track_caller]
    pub fn of(op: &str, x: &Tensor, indices: Vec<Index>) -> Result<Selection> {
        let dims = |index: &Index| match index {
            Index::At(_) | Index::Slice(..) => 1,
            Index::NewAxis | Index::Ellipsis => 0,
            Index::Tensor(x) if x.dtype() == DType::Bool => x.rank(),
            Index::Tensor(_) => 1,
        };
        let named: usize = indices.iter().map(dims).sum();
        if named > x.rank() {
            misuse(op, format!("places for {named} dimensions, of which {:?} has {}", x.shape(), x.rank()));
        }
        if indices.iter().filter(|index| matches!(index, Index::Ellipsis)).count() > 1 {
            misuse(op, format!("more than one `Ellipsis`, for shape {:?}", x.shape()));
        }
        let mut y = Selection { steps: Vec::new(), chosen: Vec::new() };
        let (mut view, mut d) = (x.untracked(), 0);
        for index in indices {
            let step = match index {
                Index::At(i) => Step::Select(d, i),
                Index::Slice(start, end, by) => {
                    d += 1;
                    Step::Slice(d - 1, start, end, by)
                }
                Index::NewAxis => {
                    d += 1;
                    Step::Unsqueeze(d - 1)
                }
                Index::Ellipsis => {
                    d += x.rank() - named;
                    continue;
                }
                Index::Tensor(mask) if mask.dtype() == DType::Bool => {
                    x.expect_same_device(op, &mask);
                    if *mask.shape() != view.shape()[d..d + mask.rank()] {
                        let (mask, whole) = (mask.shape(), x.shape());
                        misuse(op, format!("a mask of {mask:?} does not fit its dimensions of {whole:?}"));
                    }
                    // A 0-d mask chooses the whole, or nothing, along a new dimension.
                    let new = mask.rank() == 0;
                    let at = d;
                    for places in mask.atleast_1d().nonzero_tuple()? {
                        y.chosen.push((d, places));
                        d += 1;
                    }
                    if !new {
                        continue;
                    }
                    Step::Unsqueeze(at)
                }
                Index::Tensor(index) => {
                    x.expect_same_device(op, &index);
                    index.expect_integers(op);
                    if index.rank() > 0 {
                        y.chosen.push((d, index.wrapped(view.shape()[d])));
                        d += 1;
                        continue;
                    }
                    Step::Select(d, index.item()? as isize)
                }
            };
            view = step.apply(&view);
            y.steps.push(step);
        }
        Ok(y)
    }

    /// Whether nothing is chosen by tensors.
    pub fn is_view(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Whether the view is the tensor itself.
    pub fn is_whole(&self) -> bool {
        self.steps.is_empty()
    }

    /// The view among whose entries tensors choose.
    #[track_caller]
    pub fn view(&self, x: &Tensor) -> Tensor {
        let mut view = x.clone();
        for step in &self.steps {
            view = step.apply(&view);
        }
        view
    }

    /// Moves the chosen dimensions of a view together, and makes one index of theirs.
    #[track_caller]
    pub fn joined(&self, op: &str, view: &Tensor) -> Joined {
        let Some(result) = self.chosen.iter().try_fold(Dims::new(), |shape, (_, x)| broadcast(&shape, x.shape()))
        else {
            let shapes: Vec<_> = self.chosen.iter().map(|(_, x)| x.shape()).collect();
            misuse(op, format!("index tensors do not broadcast: {shapes:?}"))
        };
        let (first, index) = &self.chosen[0];
        let mut index = index.clone();
        let mut legal: Option<Tensor> = None;
        for (k, (d, next)) in self.chosen.iter().enumerate().filter(|_| self.chosen.len() > 1) {
            let n = view.shape()[*d];
            let within = next.ge(0).logical_and(next.lt(n));
            legal = Some(legal.map_or(within.clone(), |so_far| so_far.logical_and(&within)));
            index = if k == 0 { index } else { index * n + next };
        }
        if let Some(legal) = legal {
            // One index out of range is not to be made good by another.
            index = Tensor::where_(&legal, index, -1);
        }
        let neighbours = self.chosen.iter().enumerate().all(|(k, (d, _))| *d == first + k);
        let at = if neighbours { *first } else { 0 };
        let mut order: Dims = (0..view.rank()).filter(|d| self.chosen.iter().all(|(c, _)| c != d)).collect();
        for (k, (d, _)) in self.chosen.iter().enumerate() {
            order.insert(at + k, *d);
        }
        let shape = order.iter().map(|&d| view.shape()[d]).collect();
        let index = index.expand(&result[..]).ravel();
        Joined { order, at, after: at + self.chosen.len(), shape, index, result }
    }
}

/// The chosen dimensions of a view joined to one, and a list of indices of it.
pub(crate) struct Joined {
    /// The view's dimensions in an order in which the chosen ones are neighbours, from `at` up to but without `after`.
    order: Dims,
    at: usize,
    after: usize,
    /// The view's shape in that order.
    shape: Dims,
    /// The list of indices, and the shape for which it stands in the result.
    index: Tensor,
    result: Dims,
}

impl Joined {
    /// The chosen entries.
    #[track_caller]
    pub fn read(&self, view: &Tensor) -> Tensor {
        self.entries(view).index_select(self.at as isize, &self.index).reshape(&self.around(&self.result)[..])
    }

    /// The view with values in the place of the chosen entries, or added to them.
    #[track_caller]
    pub fn put(&self, view: &Tensor, values: &Tensor, accumulate: bool) -> Tensor {
        let (x, dim) = (self.entries(view), self.at as isize);
        let values = values.spread("index_put", &self.around(&self.result));
        let values = values.reshape(&self.around(&[self.index.numel()])[..]);
        let y = match accumulate {
            true => x.index_add(dim, &self.index, &values, 1.0),
            false => x.index_copy(dim, &self.index, &values),
        };
        let mut back = Dims::from_elem(0, self.order.len());
        for (i, &d) in self.order.iter().enumerate() {
            back[d] = i;
        }
        y.reshape(&self.shape[..]).permute(&back[..])
    }

    /// The view with the chosen dimensions as one.
    #[track_caller]
    fn entries(&self, view: &Tensor) -> Tensor {
        view.permute(&self.order[..]).flatten(self.at as isize, self.after as isize - 1)
    }

    /// A shape in the place of the chosen dimensions.
    fn around(&self, inner: &[usize]) -> Dims {
        let mut shape = Dims::from_slice(&self.shape[..self.at]);
        shape.extend_from_slice(inner);
        shape.extend_from_slice(&self.shape[self.after..]);
        shape
    }
}

impl Tensor {
    /// Values expanded to the shape of the places they go to.
    #[track_caller]
    pub(crate) fn spread(&self, op: &str, shape: &[usize]) -> Tensor {
        if broadcast(self.shape(), shape).as_deref() != Some(shape) {
            misuse(op, format!("values {:?} do not broadcast to places {shape:?}", self.shape()));
        }
        self.expand(shape)
    }
}
