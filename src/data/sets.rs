//! Sets of samples, and sets made of others.

use super::sampler::permutation;
use super::stack::{Collate, Row};
use crate::error::{Error, Kind, Result, misuse};
use crate::func::Tree;
use crate::random::Stream;
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use std::sync::Arc;

/// A set of samples that can be asked for by number.
///
/// ```
/// use wgrad::Result;
/// use wgrad::data::Dataset;
/// struct Squares;
/// impl Dataset for Squares {
///     type Item = (f32, f32);
///     fn len(&self) -> usize {
///         10
///     }
///     fn get(&self, i: usize) -> Result<(f32, f32)> {
///         Ok((i as f32, (i * i) as f32))
///     }
/// }
/// assert_eq!(Squares.get(3)?, (3.0, 9.0));
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.utils.data.Dataset](https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.Dataset).
pub trait Dataset: Send + Sync {
    /// One sample.
    type Item: Collate;

    /// How many samples there are.
    fn len(&self) -> usize;

    /// Sample `i`.
    ///
    /// # Errors
    /// If the sample cannot be read or understood: say which, and where it is.
    fn get(&self, i: usize) -> Result<Self::Item>;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Several samples as a batch. A set that can do better than one by one does it here.
    ///
    /// # Errors
    /// As [`Dataset::get`] and [`Collate::collate`].
    fn batch(&self, indices: &[usize], device: &Device) -> Result<<Self::Item as Collate>::Batch> {
        let samples = indices.iter().map(|&i| self.get(i)).collect::<Result<Vec<_>>>()?;
        Self::Item::collate(samples, device)
    }

    /// The set with a function applied to each sample as it is read: transforms, augmentation.
    fn map<B: Collate, F: Fn(Self::Item) -> Result<B> + Send + Sync>(self, f: F) -> Map<Self, F>
    where
        Self: Sized,
    {
        Map { set: self, f }
    }
}

/// Samples in the memory of the host.
#[derive(Clone, Debug)]
pub struct InMemory<T>(pub Vec<T>);

impl<T: Collate + Clone + Send + Sync> Dataset for InMemory<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, i: usize) -> Result<T> {
        Ok(self.0[i].clone())
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, i: usize) -> Result<D::Item> {
        (**self).get(i)
    }

    fn batch(&self, indices: &[usize], device: &Device) -> Result<<D::Item as Collate>::Batch> {
        (**self).batch(indices, device)
    }
}

/// Tensors that lie on a device whole; sample `i` is row `i` of each. A batch is one `index_select` per tensor.
///
/// Source: [torch.utils.data.TensorDataset](https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.TensorDataset).
#[derive(Clone, Debug)]
pub struct TensorDataset<T> {
    tensors: T,
    len: usize,
}

impl<T: Tree> TensorDataset<T> {
    /// The set of a tensor, or of a tuple or another structure of tensors.
    ///
    /// # Panics
    /// If there is no tensor, one is 0-d, or they differ in the size of dimension 0.
    #[track_caller]
    pub fn new(tensors: T) -> TensorDataset<T> {
        let all = tensors.tensors();
        let shapes: Vec<_> = all.iter().map(Tensor::shape).collect();
        let Some(&[len, ..]) = shapes.first().copied() else {
            misuse("TensorDataset", format!("needs a tensor with a dimension of samples, and was given {shapes:?}"))
        };
        if shapes.iter().any(|shape| shape.first() != Some(&len)) {
            misuse("TensorDataset", format!("the tensors differ in how many samples they hold: {shapes:?}"));
        }
        TensorDataset { tensors, len }
    }
}

impl<T: Tree + Send + Sync> Dataset for TensorDataset<T> {
    type Item = Row<T>;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, i: usize) -> Result<Row<T>> {
        let rows = self.tensors.tensors().into_iter().map(|x| x.select(0, i as isize));
        Ok(Row(self.tensors.with(&mut rows.into_iter())))
    }

    fn batch(&self, indices: &[usize], device: &Device) -> Result<T> {
        let places: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
        let mut parts = Vec::new();
        for x in self.tensors.tensors() {
            let index = Tensor::from_slice(&places, [places.len()], &x.device());
            parts.push(x.index_select(0, &index).to_device(device)?);
        }
        Ok(self.tensors.with(&mut parts.into_iter()))
    }
}

/// A set with a function applied to each sample: [`Dataset::map`].
#[derive(Clone, Debug)]
pub struct Map<D, F> {
    set: D,
    f: F,
}

impl<D: Dataset, B: Collate, F: Fn(D::Item) -> Result<B> + Send + Sync> Dataset for Map<D, F> {
    type Item = B;

    fn len(&self) -> usize {
        self.set.len()
    }

    fn get(&self, i: usize) -> Result<B> {
        (self.f)(self.set.get(i)?)
    }
}

/// Some samples of a set.
#[derive(Clone, Debug)]
pub struct Subset<D> {
    set: D,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// The samples of these numbers, in this order.
    ///
    /// # Panics
    /// If a number is out of range.
    #[track_caller]
    pub fn new(set: D, indices: Vec<usize>) -> Subset<D> {
        if let Some(i) = indices.iter().find(|&&i| i >= set.len()) {
            misuse("Subset", format!("there is no sample {i} among {}", set.len()));
        }
        Subset { set, indices }
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, i: usize) -> Result<D::Item> {
        self.set.get(self.indices[i])
    }

    fn batch(&self, indices: &[usize], device: &Device) -> Result<<D::Item as Collate>::Batch> {
        let inside: Vec<usize> = indices.iter().map(|&i| self.indices[i]).collect();
        self.set.batch(&inside, device)
    }
}

/// One set after another.
#[derive(Clone, Debug)]
pub struct Concat<D>(pub Vec<D>);

impl<D: Dataset> Dataset for Concat<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.0.iter().map(D::len).sum()
    }

    fn get(&self, mut i: usize) -> Result<D::Item> {
        for set in &self.0 {
            match i.checked_sub(set.len()) {
                Some(rest) => i = rest,
                None => return set.get(i),
            }
        }
        Err(Error::new(Kind::Data, format!("Concat: no sample {i} beyond {}", self.len())))
    }
}

/// How large a part of [`random_split`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// So many samples.
    Samples(usize),
    /// This share of the samples, rounded down; what rounding leaves goes to the first parts, one each.
    Share(f64),
}

/// Parts of a set without a sample in common, drawn at random: for training, validation, test.
///
/// ```
/// use wgrad::data::{Dataset, InMemory, Part, random_split};
/// let parts = random_split(InMemory((0..10).collect()), &[Part::Share(0.8), Part::Share(0.2)], 0);
/// assert_eq!((parts[0].len(), parts[1].len()), (8, 2));
/// ```
///
/// # Panics
/// If the parts are not the whole set.
///
/// Source: [torch.utils.data.random_split](https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.random_split).
#[track_caller]
pub fn random_split<D: Dataset>(set: D, parts: &[Part], seed: u64) -> Vec<Subset<Arc<D>>> {
    let n = set.len();
    let mut sizes: Vec<usize> = parts
        .iter()
        .map(|part| match *part {
            Part::Samples(samples) => samples,
            Part::Share(share) => (share * n as f64 + 1e-9).floor() as usize,
        })
        .collect();
    let shares = |part: &Part| if let Part::Share(share) = *part { Some(share) } else { None };
    if let Some(all) = parts.iter().map(shares).sum::<Option<f64>>()
        && (all - 1.0).abs() < 1e-6
    {
        let left = n.saturating_sub(sizes.iter().sum());
        sizes.iter_mut().take(left).for_each(|size| *size += 1);
    }
    if sizes.iter().sum::<usize>() != n {
        misuse("random_split", format!("{parts:?} are {sizes:?} samples, and the set has {n}"));
    }
    let (set, order) = (Arc::new(set), permutation(n, Stream { seed, stream: 0 }));
    let mut rest = &order[..];
    let part = |size: usize| {
        let (now, later) = rest.split_at(size);
        rest = later;
        Subset::new(set.clone(), now.to_vec())
    };
    sizes.into_iter().map(part).collect()
}
