//! Whole Jacobians and Hessians, and products with Hessians: vectors multiplied by all at once.

use super::Randomness;
use super::forward::jvp;
use super::reverse::{grad, value_and_grad, vjp};
use super::tree::{Each, Outcome, Tree};
use super::vmap::{VmapOptions, vmap_with};
use crate::error::Result;
use crate::tensor::Tensor;

/// The function that gives the Jacobian, row by row in reverse mode: [`vmap`](super::vmap) of [`vjp`]. For each tensor
/// that `f` gives there is one structure of inputs, whose tensors have the shape of the output followed by the input's.
///
/// ```
/// use wgrad::{Device, Tensor, func::jacrev};
/// let x = Tensor::new([2.0, 5.0], &Device::cpu());
/// let j = jacrev(|x: &Tensor| Tensor::stack(&[x.prod(), x.sum(), x.select(0, 1) * 3.0], 0))(&x)?;
/// assert_eq!(j.shape(), [3, 2]);
/// assert_eq!(j.to_vec::<f32>()?, [5.0, 2.0, 1.0, 1.0, 0.0, 3.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the function gives an error.
///
/// # Panics
/// If an input or a result holds no floats.
///
/// Source: [torch.func.jacrev](https://docs.pytorch.org/docs/stable/generated/torch.func.jacrev.html).
pub fn jacrev<A: Tree, R: Outcome>(f: impl Fn(&A) -> R) -> impl Fn(&A) -> Result<<R::Tree as Each>::Each<A>>
where
    R::Tree: Each,
{
    jacrev_in_chunks(f, None)
}

/// [`jacrev`] of at most so many rows at once, which need less memory at a time.
///
/// ```
/// use wgrad::{Device, Tensor, func::jacrev_in_chunks};
/// let x = Tensor::new([1.0, 2.0, 3.0], &Device::cpu());
/// let j = jacrev_in_chunks(|x: &Tensor| x.square(), 2)(&x)?;
/// assert_eq!(j.to_vec::<f32>()?, [2.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 6.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`jacrev`].
///
/// # Panics
/// As [`jacrev`].
pub fn jacrev_in_chunks<A: Tree, R: Outcome>(
    f: impl Fn(&A) -> R,
    chunk_size: impl Into<Option<usize>>,
) -> impl Fn(&A) -> Result<<R::Tree as Each>::Each<A>>
where
    R::Tree: Each,
{
    let options = VmapOptions { chunk_size: chunk_size.into(), ..same_draws() };
    move |x| {
        let (y, pull) = vjp(&f, x)?;
        let (outputs, inputs) = (y.tensors(), x.tensors());
        let rows = rows_of(&outputs);
        // One row for each element of each output.
        let g = vmap_with(|v: &Vec<Tensor>| pull(&y.with(&mut v.iter().cloned())), options.clone())(&rows)?.tensors();
        let mut blocks = Vec::new();
        for (start, y) in starts(&outputs).zip(&outputs) {
            let block = |(g, x): (&Tensor, &Tensor)| {
                let shape: Vec<usize> = y.shape().iter().chain(x.shape()).copied().collect();
                g.narrow(0, start, y.numel()).reshape(shape)
            };
            blocks.push(x.with(&mut g.iter().zip(&inputs).map(block)));
        }
        Ok(y.each(&mut blocks.into_iter()))
    }
}

/// The function that gives the Jacobian as [`jacrev`] does, column by column in forward mode: [`vmap`](super::vmap) of
/// [`jvp`]. Better where there are fewer inputs than outputs.
///
/// ```
/// use wgrad::{Device, Tensor, func::jacfwd};
/// let x = Tensor::new([2.0, 5.0], &Device::cpu());
/// let j = jacfwd(|x: &Tensor| x.square())(&x)?;
/// assert_eq!(j.to_vec::<f32>()?, [4.0, 0.0, 0.0, 10.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`jacrev`].
///
/// # Panics
/// As [`jacrev`].
///
/// Source: [torch.func.jacfwd](https://docs.pytorch.org/docs/stable/generated/torch.func.jacfwd.html).
pub fn jacfwd<A: Tree, R: Outcome>(f: impl Fn(&A) -> R) -> impl Fn(&A) -> Result<<R::Tree as Each>::Each<A>>
where
    R::Tree: Each,
{
    move |x| {
        let inputs = x.tensors();
        let columns = rows_of(&inputs);
        let push = |t: &Vec<Tensor>| jvp(&f, x, &x.with(&mut t.iter().cloned()));
        // The value is the same for every column.
        let options = VmapOptions { out_dims: (None, 0).into(), ..same_draws() };
        let (y, tangents) = vmap_with(push, options)(&columns)?;
        let mut blocks = Vec::new();
        for (y, t) in y.tensors().iter().zip(tangents.tensors()) {
            let block = |(start, x): (usize, &Tensor)| {
                let shape: Vec<usize> = y.shape().iter().chain(x.shape()).copied().collect();
                t.narrow(0, start, x.numel()).movedim(0, -1).reshape(shape)
            };
            blocks.push(x.with(&mut starts(&inputs).zip(&inputs).map(block)));
        }
        Ok(y.each(&mut blocks.into_iter()))
    }
}

/// The Jacobian of `f` at `x`: [`jacrev`] at once. It is part of the graph if `x`, or something else that `f` reads,
/// requires grad.
///
/// # Errors
/// As [`jacrev`].
///
/// # Panics
/// As [`jacrev`].
///
/// Source: [torch.autograd.functional.jacobian](https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jacobian.html).
pub fn jacobian<A: Tree, R: Outcome>(f: impl Fn(&A) -> R, x: &A) -> Result<<R::Tree as Each>::Each<A>>
where
    R::Tree: Each,
{
    jacrev(f)(x)
}

/// The function that gives the Hessian of a function of one element: [`jacfwd`] of [`grad`]. Of several inputs, the
/// structure holds a structure of blocks for each.
///
/// ```
/// use wgrad::{Device, Tensor, func::hessian};
/// let x = Tensor::new([2.0, 3.0], &Device::cpu());
/// let h = hessian(|x: &Tensor| x.select(0, 0).pow(3.0) * x.select(0, 1))(&x)?;
/// assert_eq!(h.to_vec::<f32>()?, [36.0, 12.0, 12.0, 0.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`grad`].
///
/// # Panics
/// As [`grad`].
///
/// Source: [torch.func.hessian](https://docs.pytorch.org/docs/stable/generated/torch.func.hessian.html).
pub fn hessian<A: Each, R: Outcome<Tree = Tensor>>(f: impl Fn(&A) -> R) -> impl Fn(&A) -> Result<A::Each<A>> {
    jacfwd(grad(zero_dimensional(f)))
}

/// The value of a function of one element, and its Hessian multiplied by a vector, `H v`: [`jvp`] of [`grad`].
///
/// ```
/// use wgrad::{Device, Tensor, func::hvp};
/// let dev = Device::cpu();
/// let (x, v) = (Tensor::new([1.0, 2.0], &dev), Tensor::new([1.0, -1.0], &dev));
/// let (y, h) = hvp(|x: &Tensor| x.pow(3.0).sum() + x.prod(), &x, &v)?;
/// assert_eq!(y.item()?, 11.0);
/// assert_eq!(h.to_vec::<f32>()?, [5.0, -11.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`grad`].
///
/// # Panics
/// As [`jvp`].
///
/// Source: [torch.autograd.functional.hvp](https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hvp.html).
#[track_caller]
pub fn hvp<A: Tree, R: Outcome<Tree = Tensor>>(f: impl Fn(&A) -> R, x: &A, v: &A) -> Result<(Tensor, A)> {
    let ((y, _), (_, h)) = jvp(value_and_grad(zero_dimensional(f)), x, v)?;
    Ok((y, h))
}

/// The value of a function of one element, and a vector multiplied by its Hessian, `vᵀ H`: [`vjp`] of [`grad`].
///
/// # Errors
/// As [`grad`].
///
/// # Panics
/// If an input holds no floats, or `v` is not of the shapes of `x`.
///
/// Source: [torch.autograd.functional.vhp](https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.vhp.html).
#[track_caller]
pub fn vhp<A: Tree, R: Outcome<Tree = Tensor>>(f: impl Fn(&A) -> R, x: &A, v: &A) -> Result<(Tensor, A)> {
    let ((y, g), pull) = vjp(value_and_grad(zero_dimensional(f)), x)?;
    drop(g);
    let zero = y.zeros_like();
    let h = pull(&(zero, v.with(&mut v.tensors().into_iter())))?;
    Ok((y, h))
}

/// A function of one element as [`grad`] wants it.
fn zero_dimensional<A: Tree, R: Outcome<Tree = Tensor>>(f: impl Fn(&A) -> R) -> impl Fn(&A) -> Result<Tensor> {
    move |x| f(x).outcome().map(|y| if y.numel() == 1 && y.rank() > 0 { y.reshape(()) } else { y })
}

/// A function that draws random numbers draws them once.
fn same_draws() -> VmapOptions {
    VmapOptions { randomness: Randomness::Same, ..Default::default() }
}

/// Where each tensor's elements start among those of all.
fn starts(tensors: &[Tensor]) -> impl Iterator<Item = usize> + '_ {
    tensors.iter().scan(0, |start, x| {
        *start += x.numel();
        Some(*start - x.numel())
    })
}

/// The unit vectors of the space of all elements: for each tensor, its part of each of them.
#[track_caller]
fn rows_of(tensors: &[Tensor]) -> Vec<Tensor> {
    let n = tensors.iter().map(Tensor::numel).sum();
    let mut rows = Vec::new();
    for (start, x) in starts(tensors).zip(tensors) {
        let shape: Vec<usize> = [n].iter().chain(x.shape()).copied().collect();
        rows.push(Tensor::eye(n, (&x.device(), x.dtype())).narrow(1, start, x.numel()).reshape(shape));
    }
    rows
}
