//! Batches: functions of one element run for all elements at once.

use super::batch::Batch;
use super::tree::{Outcome, Tree};
use crate::error::{Result, misuse};
use crate::shape::axis;
use crate::tensor::Tensor;
use crate::tensor::draws::{Draws, noting, repeating};
use crate::tensor::hole::Randomness;

/// Which dimension of each tensor is the batch: one number for all tensors, or a tuple, an array or a `Vec` with one for
/// each part of the structure. `None` is a part without a batch: every element sees the whole of it.
///
/// ```
/// use wgrad::func::BatchDims;
/// let (one, parts) = (BatchDims::from(0), BatchDims::from((None, 1)));
/// assert_ne!(one, parts);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchDims(Dims);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Dims {
    All(Option<isize>),
    Parts(Vec<Option<isize>>),
}

/// What [`vmap_with`] may be told.
#[derive(Clone, Debug, Default)]
pub struct VmapOptions {
    /// The dimensions of the inputs that are the batch.
    pub in_dims: BatchDims,
    /// Where the results have their batch; `None` for a result that does not depend on the element, which is given once.
    pub out_dims: BatchDims,
    /// What random operations mean inside.
    pub randomness: Randomness,
    /// At most so many elements at once, one chunk after the other, which need less memory at a time; all at once without.
    pub chunk_size: Option<usize>,
}

/// A function of one element as a function of a batch of them. `f` runs once: the operations it records are done for all
/// elements together.
///
/// The dimensions `in_dims` of the inputs are the batch, which `f` does not see; the results have it as their dimensions
/// `out_dims`. Everything else `f` reads is the same for all elements. The result is part of the graph as any other, and
/// `vmap` may stand inside of itself and of every other transform.
///
/// ```
/// use wgrad::{Device, Tensor, func::vmap};
/// let dev = Device::cpu();
/// let a = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev);
/// let b = Tensor::new([10.0, 1.0], &dev);
/// let dot = vmap(|(a, b): &(Tensor, Tensor)| (a * b).sum(), (0, None), 0);
/// assert_eq!(dot(&(a, b))?.to_vec::<f32>()?, [12.0, 34.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the function gives an error, as it does when it reads numbers that depend on the element: they are not known yet.
///
/// # Panics
/// If no input has a batch, or their sizes differ, or a dimension is out of range; if `f` draws random numbers, which
/// [`vmap_with`] can allow, or changes a tensor from outside in place.
///
/// Source: [torch.func.vmap](https://docs.pytorch.org/docs/stable/generated/torch.func.vmap.html).
pub fn vmap<A: Tree, R: Outcome>(
    f: impl Fn(&A) -> R,
    in_dims: impl Into<BatchDims>,
    out_dims: impl Into<BatchDims>,
) -> impl Fn(&A) -> Result<R::Tree> {
    vmap_with(f, VmapOptions { in_dims: in_dims.into(), out_dims: out_dims.into(), ..Default::default() })
}

/// [`vmap`] with options; without any, the batch is the first dimension everywhere.
///
/// ```
/// use wgrad::func::{Randomness, VmapOptions, vmap_with};
/// use wgrad::{Device, Tensor};
/// let x = Tensor::zeros([4], &Device::cpu());
/// let options = VmapOptions { randomness: Randomness::Different, ..Default::default() };
/// let y = vmap_with(|x: &Tensor| x + x.rand_like(), options)(&x)?.to_vec::<f32>()?;
/// assert!(y[0] != y[1]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`vmap`].
///
/// # Panics
/// As [`vmap`].
pub fn vmap_with<A: Tree, R: Outcome>(f: impl Fn(&A) -> R, options: VmapOptions) -> impl Fn(&A) -> Result<R::Tree> {
    move |x| {
        let inputs = x.tensors();
        let dims = options.in_dims.of("in_dims", &x.parts());
        let mut wholes = Vec::new();
        for (x, dim) in inputs.iter().zip(&dims) {
            wholes.push(dim.map(|dim| x.movedim(axis("vmap", x.shape(), dim) as isize, 0)));
        }
        let sizes: Vec<usize> = wholes.iter().flatten().map(|x| x.shape()[0]).collect();
        let Some(&size) = sizes.first() else { misuse("vmap", "no input has a batch: every dimension given is None") };
        if sizes.iter().any(|&other| other != size) {
            misuse("vmap", format!("the inputs are batches of different sizes: {sizes:?}"));
        }

        if let Some(chunk) = options.chunk_size.filter(|&chunk| chunk < size) {
            return in_chunks(&f, x, &options, &dims, size, chunk.max(1));
        }
        let mut batch = Batch::of(size, wholes.iter().flatten().next().expect("one has a size"));
        let mut inside = Vec::new();
        for (x, whole) in inputs.iter().zip(&wholes) {
            let element = whole.as_ref().map_or_else(|| x.clone(), |whole| batch.hole(whole));
            // No leaf, so that it can be changed in place if the whole can.
            inside.push(if whole.is_some() && element.requires_grad() { element.copy() } else { element });
        }
        let elements = x.with(&mut inside.clone().into_iter());
        let y = batch.run(options.randomness, || f(&elements).outcome())?;

        // What was written to an element is written to the batch; all results follow from what was there before.
        let pairs = wholes.iter().zip(&inside).filter_map(|(whole, inside)| Some((whole.as_ref()?, inside)));
        let written: Vec<_> = pairs.filter(|(_, inside)| inside.version() > 0).collect();
        written.iter().for_each(|(whole, _)| batch.remember(whole));
        for (whole, inside) in written {
            whole.copy_(&batch.whole(std::slice::from_ref(inside))?[0])?;
        }
        let outputs = y.tensors();
        let dims = options.out_dims.of("out_dims", &y.parts());
        let mut results = Vec::new();
        for ((y, dim), whole) in outputs.iter().zip(dims).zip(batch.whole(&outputs)?) {
            results.push(match dim {
                Some(dim) => whole.movedim(0, axis("vmap", whole.shape(), dim) as isize),
                None if batch.varies(y) => misuse(
                    "vmap",
                    format!("a result of shape {:?} has out_dims None, but depends on the element", y.shape()),
                ),
                None => y.clone(),
            });
        }
        Ok(y.with(&mut results.into_iter()))
    }
}

/// [`vmap_with`] of some elements after the others.
#[track_caller]
fn in_chunks<A: Tree, R: Outcome>(
    f: &dyn Fn(&A) -> R,
    x: &A,
    options: &VmapOptions,
    dims: &[Option<isize>],
    size: usize,
    chunk: usize,
) -> Result<R::Tree> {
    let inputs = x.tensors();
    let some = vmap_with(f, VmapOptions { chunk_size: None, ..options.clone() });
    let (mut parts, draws) = (Vec::new(), Draws::default());
    for start in (0..size).step_by(chunk) {
        let len = chunk.min(size - start);
        let part = |(x, dim): (&Tensor, &Option<isize>)| dim.map_or_else(|| x.clone(), |d| x.narrow(d, start, len));
        let x = x.with(&mut inputs.iter().zip(dims).map(part));
        parts.push(match options.randomness {
            Randomness::Same if start == 0 => noting(draws.clone(), || some(&x))?,
            Randomness::Same => repeating(draws.clone(), || some(&x))?,
            Randomness::Different | Randomness::Error => some(&x)?,
        });
    }
    let tensors: Vec<Vec<Tensor>> = parts.iter().map(Tree::tensors).collect();
    let dims = options.out_dims.of("out_dims", &parts[0].parts());
    let whole = |(i, dim): (usize, &Option<isize>)| match dim {
        Some(dim) => Tensor::cat(&tensors.iter().map(|part| part[i].clone()).collect::<Vec<_>>(), *dim),
        None => tensors[0][i].clone(),
    };
    Ok(parts[0].with(&mut dims.iter().enumerate().map(whole)))
}

impl BatchDims {
    /// The dimension of each tensor of a structure.
    #[track_caller]
    fn of(&self, what: &str, parts: &[usize]) -> Vec<Option<isize>> {
        match &self.0 {
            Dims::All(dim) => vec![*dim; parts.iter().sum()],
            Dims::Parts(dims) if dims.len() == parts.len() => {
                dims.iter().zip(parts).flat_map(|(dim, &n)| vec![*dim; n]).collect()
            }
            Dims::Parts(dims) => {
                misuse("vmap", format!("{what} has {} entries for a structure of {} parts", dims.len(), parts.len()))
            }
        }
    }
}

impl Default for BatchDims {
    fn default() -> BatchDims {
        BatchDims::from(0)
    }
}

impl<D: BatchDim> From<D> for BatchDims {
    fn from(dim: D) -> BatchDims {
        BatchDims(Dims::All(dim.dim()))
    }
}

impl<D: BatchDim> From<Vec<D>> for BatchDims {
    fn from(dims: Vec<D>) -> BatchDims {
        BatchDims(Dims::Parts(dims.into_iter().map(D::dim).collect()))
    }
}

impl<D: BatchDim, const N: usize> From<[D; N]> for BatchDims {
    fn from(dims: [D; N]) -> BatchDims {
        BatchDims(Dims::Parts(dims.into_iter().map(D::dim).collect()))
    }
}

/// A dimension, or none.
pub trait BatchDim {
    /// The dimension.
    fn dim(self) -> Option<isize>;
}

impl BatchDim for isize {
    fn dim(self) -> Option<isize> {
        Some(self)
    }
}

impl BatchDim for Option<isize> {
    fn dim(self) -> Option<isize> {
        self
    }
}

macro_rules! tuples {
    ($($($part:ident $i:tt)*;)*) => { $(
        impl<$($part: BatchDim),*> From<($($part,)*)> for BatchDims {
            fn from(dims: ($($part,)*)) -> BatchDims {
                BatchDims(Dims::Parts(vec![$(dims.$i.dim()),*]))
            }
        }
    )* };
}
tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
}
