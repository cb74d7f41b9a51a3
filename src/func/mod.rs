//! Functions of functions, as in `torch.func`: derivatives of any order and kind, and batches of what was written for one.
//!
//! A transform takes a function of a [`Tree`], which is a tensor or a structure of tensors, and gives another one, so
//! transforms are composed by writing one inside the other. What is not to be differentiated or batched is captured.
//!
//! ```
//! use wgrad::func::{grad, vmap};
//! use wgrad::{Device, Tensor};
//! let dev = Device::cpu();
//! // One gradient for each sample, from one run of the function.
//! let w = Tensor::new(2.0, &dev);
//! let samples = Tensor::new([1.0, 3.0], &dev);
//! let per_sample = vmap(|a: &Tensor| grad(|w: &Tensor| (w * a).square())(&w), 0, 0)(&samples)?;
//! assert_eq!(per_sample.to_vec::<f32>()?, [4.0, 36.0]);
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! # Transforms and `requires_grad`
//!
//! A transform records what it needs, also under [`no_grad`](crate::autograd::no_grad). Its results require grad if an
//! input of it, or a tensor its function captures, does: transforms and [`backward`](crate::Tensor::backward) combine in any order.
//! Otherwise they have no history. A function may return a structure or a `Result` of one, so `?` works inside.

mod batch;
mod forward;
mod jacobian;
mod lead;
mod reverse;
mod trace;
mod tree;
mod vmap;

pub use crate::tensor::hole::Randomness;
pub(crate) use batch::Batch;
pub use forward::{jvp, linearize};
pub use jacobian::{hessian, hvp, jacfwd, jacobian, jacrev, jacrev_in_chunks, vhp};
pub use reverse::{grad, value_and_grad, value_and_grad_aux, vjp};
pub use tree::{Each, Outcome, Tree};
pub use vmap::{BatchDim, BatchDims, VmapOptions, vmap, vmap_with};
