//! Structures of tensors: what functions take and give, and transforms look into.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A structure of tensors, which PyTorch calls a pytree: a tensor, or tuples, arrays and `Vec`s of structures.
/// [`tree!`](crate::tree) makes one of a struct.
pub trait Tree: Sized {
    /// The tensors, in an order of their own.
    fn tensors(&self) -> Vec<Tensor>;

    /// The same structure of other tensors, which come in the same order.
    fn with(&self, tensors: &mut dyn Iterator<Item = Tensor>) -> Self;

    /// How many tensors each part has: what [`vmap`](super::vmap) names dimensions for.
    fn parts(&self) -> Vec<usize>;
}

/// A structure that can hold something else in the place of each tensor: a Jacobian holds one structure of inputs for
/// each output.
pub trait Each: Tree {
    /// The structure with a `T` for each tensor.
    type Each<T>;

    /// The structure of what comes, in the order of [`Tree::tensors`].
    fn each<T>(&self, next: &mut dyn Iterator<Item = T>) -> Self::Each<T>;
}

/// What a function to be transformed may return: a structure of tensors, or a `Result` of one.
pub trait Outcome {
    /// The structure.
    type Tree: Tree;

    /// The structure, or the error.
    fn outcome(self) -> Result<Self::Tree>;
}

impl<T: Tree> Outcome for T {
    type Tree = T;

    fn outcome(self) -> Result<T> {
        Ok(self)
    }
}

impl<T: Tree> Outcome for Result<T, Error> {
    type Tree = T;

    fn outcome(self) -> Result<T> {
        self
    }
}

const ENOUGH: &str = "there is one for each tensor";

impl Tree for Tensor {
    fn tensors(&self) -> Vec<Tensor> {
        vec![self.clone()]
    }

    fn with(&self, tensors: &mut dyn Iterator<Item = Tensor>) -> Tensor {
        tensors.next().expect(ENOUGH)
    }

    fn parts(&self) -> Vec<usize> {
        vec![1]
    }
}

impl Each for Tensor {
    type Each<T> = T;

    fn each<T>(&self, next: &mut dyn Iterator<Item = T>) -> T {
        next.next().expect(ENOUGH)
    }
}

impl<S: Tree> Tree for Vec<S> {
    fn tensors(&self) -> Vec<Tensor> {
        self.iter().flat_map(S::tensors).collect()
    }

    fn with(&self, tensors: &mut dyn Iterator<Item = Tensor>) -> Vec<S> {
        self.iter().map(|part| part.with(tensors)).collect()
    }

    fn parts(&self) -> Vec<usize> {
        self.iter().map(|part| part.tensors().len()).collect()
    }
}

impl<S: Each> Each for Vec<S> {
    type Each<T> = Vec<S::Each<T>>;

    fn each<T>(&self, next: &mut dyn Iterator<Item = T>) -> Vec<S::Each<T>> {
        self.iter().map(|part| part.each(next)).collect()
    }
}

impl<S: Tree, const N: usize> Tree for [S; N] {
    fn tensors(&self) -> Vec<Tensor> {
        self.iter().flat_map(S::tensors).collect()
    }

    fn with(&self, tensors: &mut dyn Iterator<Item = Tensor>) -> [S; N] {
        self.each_ref().map(|part| part.with(tensors))
    }

    fn parts(&self) -> Vec<usize> {
        self.iter().map(|part| part.tensors().len()).collect()
    }
}

impl<S: Each, const N: usize> Each for [S; N] {
    type Each<T> = [S::Each<T>; N];

    fn each<T>(&self, next: &mut dyn Iterator<Item = T>) -> [S::Each<T>; N] {
        self.each_ref().map(|part| part.each(next))
    }
}

macro_rules! tuples {
    ($($($part:ident $i:tt)*;)*) => { $(
        impl<$($part: Tree),*> Tree for ($($part,)*) {
            fn tensors(&self) -> Vec<Tensor> {
                [$(self.$i.tensors()),*].concat()
            }

            fn with(&self, tensors: &mut dyn Iterator<Item = Tensor>) -> Self {
                ($(self.$i.with(tensors),)*)
            }

            fn parts(&self) -> Vec<usize> {
                vec![$(self.$i.tensors().len()),*]
            }
        }

        impl<$($part: Each),*> Each for ($($part,)*) {
            type Each<T> = ($($part::Each<T>,)*);

            fn each<T>(&self, next: &mut dyn Iterator<Item = T>) -> Self::Each<T> {
                ($(self.$i.each(next),)*)
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

/// Makes a [`Tree`](crate::func::Tree) of a struct whose fields are structures of tensors; all of them are listed.
///
/// ```
/// use wgrad::{Device, Tensor, func};
/// struct Line {
///     slope: Tensor,
///     start: Tensor,
/// }
/// wgrad::tree!(Line { slope, start });
///
/// let x = Tensor::new([1.0, 2.0], &Device::cpu());
/// let line = Line { slope: Tensor::new(3.0, &x.device()), start: Tensor::new(0.5, &x.device()) };
/// let g = func::grad(|line: &Line| (&line.slope * &x + &line.start).sum())(&line)?;
/// assert_eq!((g.slope.item()?, g.start.item()?), (3.0, 2.0));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[macro_export]
macro_rules! tree {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::func::Tree for $name {
            fn tensors(&self) -> Vec<$crate::Tensor> {
                [$($crate::func::Tree::tensors(&self.$field)),*].concat()
            }

            fn with(&self, tensors: &mut dyn Iterator<Item = $crate::Tensor>) -> Self {
                $name { $($field: $crate::func::Tree::with(&self.$field, tensors)),* }
            }

            fn parts(&self) -> Vec<usize> {
                vec![$($crate::func::Tree::tensors(&self.$field).len()),*]
            }
        }
    };
}
