//! The engine: walking the graph backwards, hooks, and what autograd lets a user ask of a tensor.
//!
//! Gradient rules are written in tensor operations, so a walk only records more of them: gradients of gradients follow
//! from nothing. This module does not know any operation.

pub(crate) mod engine;
pub mod forward_ad;
mod hooks;

pub use crate::ops::composite::by_definition;
pub use crate::tensor::mode::{GradGuard, enable_grad, is_grad_enabled, no_grad, set_grad_enabled};
pub use crate::tensor::node::Node;
pub use hooks::HookHandle;

use crate::error::{Error, Kind, Result, misuse};
use crate::func::{Batch, Randomness};
use crate::tensor::Tensor;
use engine::{Goal, Walk};

/// What [`Tensor::backward_with`] may be told.
///
/// ```
/// use wgrad::{BackwardOptions, Device, Tensor};
/// let x = Tensor::new(3.0, &Device::cpu()).requires_grad_(true)?;
/// let y = &x * &x;
/// y.backward_with(None, BackwardOptions { retain_graph: true, ..Default::default() })?;
/// y.backward()?;
/// assert_eq!(x.grad().unwrap().item()?, 12.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BackwardOptions {
    /// Keep the saved values, so that another backward can run over the same graph. `create_graph` implies it.
    pub retain_graph: bool,
    /// Record the backward pass itself, so that gradients can be differentiated again.
    pub create_graph: bool,
    /// Accumulate into these tensors only, leaves or not; into all leaves that are reached, if there are none here.
    pub inputs: Vec<Tensor>,
}

/// What [`grad`] may be told.
///
/// ```
/// use wgrad::autograd::{GradOptions, grad};
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let x = Tensor::new([1.0, 2.0], &dev).requires_grad_(true)?;
/// // A row of the Jacobian for each row of the identity.
/// let options = GradOptions {
///     grad_outputs: vec![Some(Tensor::eye(2, &dev))],
///     is_grads_batched: true,
///     ..Default::default()
/// };
/// let j = grad(&[&(&x * &x)], &[&x], options)?.remove(0).unwrap();
/// assert_eq!(j.to_vec::<f32>()?, [2.0, 0.0, 0.0, 4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GradOptions {
    /// The gradient of each output; ones for a one-element output without.
    pub grad_outputs: Vec<Option<Tensor>>,
    /// Keep the saved values. `create_graph` implies it.
    pub retain_graph: bool,
    /// Record the pass itself, so that the results can be differentiated again.
    pub create_graph: bool,
    /// Give `None` for an input that the outputs do not depend on, or that needs no gradient, instead of an error.
    pub allow_unused: bool,
    /// Each gradient given is a batch of them along a new first dimension, as is each result, in one walk.
    pub is_grads_batched: bool,
}

/// The gradients of the sum of `outputs` with respect to `inputs`, which may be any tensors of the graph. No `grad` of a
/// leaf is touched.
///
/// ```
/// use wgrad::autograd::{GradOptions, grad};
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new([1.0, 2.0], &Device::cpu()).requires_grad_(true)?;
/// let y = x.pow(3.0).sum();
/// let options = GradOptions { create_graph: true, ..Default::default() };
/// let first = grad(&[&y], &[&x], options)?.remove(0).unwrap();
/// let second = grad(&[&first.sum()], &[&x], GradOptions::default())?.remove(0).unwrap();
/// assert_eq!(second.to_vec::<f32>()?, [6.0, 12.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If an output needs no gradient or is no scalar and has no gradient given, if an input is not part of the graph (unless
/// `allow_unused`), or if the graph was freed or a saved value changed in place.
///
/// Source: [torch.autograd.grad](https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html).
#[track_caller]
pub fn grad(outputs: &[&Tensor], inputs: &[&Tensor], options: GradOptions) -> Result<Vec<Option<Tensor>>> {
    if options.is_grads_batched {
        return batched(outputs, inputs, options);
    }
    let roots = roots("grad", outputs, &options.grad_outputs)?;
    let edges: Vec<_> = inputs.iter().map(|x| x.gradient_edge()).collect();
    if let Some(i) = edges.iter().position(Option::is_none)
        && !options.allow_unused
    {
        let shape = inputs[i].shape();
        return Err(Error::new(Kind::Graph, format!("grad: input {i} of shape {shape:?} does not require grad")));
    }
    let walk = Walk {
        create_graph: options.create_graph,
        retain_graph: options.retain_graph || options.create_graph,
        since: 0,
    };
    let gradients = walk.run(roots, Goal::Capture(&edges))?;
    if let Some(i) = gradients.iter().position(Option::is_none)
        && !options.allow_unused
    {
        let shape = inputs[i].shape();
        return Err(Error::new(
            Kind::Graph,
            format!("grad: the outputs do not depend on input {i} of shape {shape:?}; allow_unused gives None for it"),
        ));
    }
    Ok(gradients)
}

/// [`grad`] with a batch of gradients for each output.
#[track_caller]
fn batched(outputs: &[&Tensor], inputs: &[&Tensor], options: GradOptions) -> Result<Vec<Option<Tensor>>> {
    let mut sizes = Vec::new();
    for g in options.grad_outputs.iter().flatten() {
        sizes.push(g.shape().first().copied());
    }
    let first = options.grad_outputs.iter().flatten().next();
    let (Some(first), Some(&Some(size))) = (first, sizes.first()) else {
        return Err(Error::new(
            Kind::Graph,
            "grad: is_grads_batched needs gradients of the outputs, with a batch dimension",
        ));
    };
    if sizes.iter().any(|other| *other != Some(size)) {
        return Err(Error::new(Kind::Graph, format!("grad: the gradients are batches of different sizes: {sizes:?}")));
    }
    let mut batch = Batch::of(size, first);
    let mut grad_outputs = Vec::new();
    for g in &options.grad_outputs {
        grad_outputs.push(g.as_ref().map(|g| batch.hole(g)));
    }
    let options = GradOptions { grad_outputs, is_grads_batched: false, ..options };
    let inside = batch.run(Randomness::Same, || grad(outputs, inputs, options))?;
    let found: Vec<Tensor> = inside.iter().flatten().cloned().collect();
    let mut wholes = batch.whole(&found).into_iter();
    Ok(inside.iter().map(|g| g.as_ref().and_then(|_| wholes.next())).collect())
}

/// The outputs' edges with the gradients to start from.
#[track_caller]
fn roots(op: &str, outputs: &[&Tensor], given: &[Option<Tensor>]) -> Result<Vec<(crate::tensor::node::Edge, Tensor)>> {
    let mut roots = Vec::with_capacity(outputs.len());
    for (i, y) in outputs.iter().enumerate() {
        let Some(edge) = y.gradient_edge() else {
            return Err(Error::new(
                Kind::Graph,
                format!("{op}: the tensor of shape {:?} does not require grad and has no grad_fn", y.shape()),
            ));
        };
        let g = match given.get(i).cloned().flatten() {
            Some(g) => {
                y.expect_same_device(op, &g);
                if g.shape() != y.shape() {
                    return Err(Error::new(
                        Kind::Graph,
                        format!("{op}: the gradient has shape {:?}, the tensor {:?}", g.shape(), y.shape()),
                    ));
                }
                g.cast(y.dtype())
            }
            None if y.numel() == 1 => y.ones_like(),
            None => {
                return Err(Error::new(
                    Kind::Graph,
                    format!(
                        "{op}: only a tensor of one element needs no gradient given, and this one has shape {:?}",
                        y.shape()
                    ),
                ));
            }
        };
        roots.push((edge, g));
    }
    Ok(roots)
}

impl Tensor {
    /// Adds the gradient of this one-element tensor to the `grad` of every leaf it depends on, and frees the graph.
    ///
    /// # Errors
    /// As [`Tensor::backward_with`].
    #[track_caller]
    pub fn backward(&self) -> Result<()> {
        self.backward_with(None, BackwardOptions::default())
    }

    /// Adds the gradient of `Σ gradient · y` to the `grad` of leaves. Without a gradient, the tensor must have one
    /// element, and the gradient is 1.
    ///
    /// ```
    /// use wgrad::{BackwardOptions, Device, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::new([1.0, 2.0], &dev).requires_grad_(true)?;
    /// (&x * &x).backward_with(Some(&Tensor::new([1.0, 10.0], &dev)), BackwardOptions::default())?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, 40.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the tensor needs no gradient, or is no scalar and has no gradient given, or the gradient has another shape, or
    /// an earlier backward freed the graph, or a saved value was changed in place.
    ///
    /// Source: [torch.Tensor.backward](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html).
    #[track_caller]
    pub fn backward_with(&self, gradient: Option<&Tensor>, options: BackwardOptions) -> Result<()> {
        let roots = roots("backward", &[self], &[gradient.cloned()])?;
        let walk = Walk {
            create_graph: options.create_graph,
            retain_graph: options.retain_graph || options.create_graph,
            since: 0,
        };
        let edges: Vec<_> = options.inputs.iter().map(Tensor::gradient_edge).collect();
        if edges.iter().any(Option::is_none) {
            return Err(Error::new(Kind::Graph, "backward: an input does not require grad"));
        }
        let goal = if edges.is_empty() { Goal::Accumulate } else { Goal::AccumulateInto(&edges, &options.inputs) };
        walk.run(roots, goal).map(drop)
    }

    /// Whether operations on this tensor shall be recorded; gives the tensor itself back.
    ///
    /// # Errors
    /// If the tensor is a result of recorded operations and is asked to require no grad: detach it instead.
    ///
    /// # Panics
    /// If the elements are no floats.
    #[track_caller]
    pub fn requires_grad_(&self, requires_grad: bool) -> Result<Tensor> {
        if requires_grad && !self.dtype().is_float() {
            misuse(
                "requires_grad_",
                format!("only floats can require grad, not {} elements of shape {:?}", self.dtype(), self.shape()),
            );
        }
        let mut meta = self.refreshed();
        if meta.grad_fn.is_some() && !requires_grad {
            return Err(Error::new(
                Kind::Graph,
                format!(
                    "requires_grad_: a result of recorded operations, of shape {:?}, always requires grad; detach it",
                    self.shape()
                ),
            ));
        }
        if meta.grad_fn.is_none() {
            meta.requires_grad = requires_grad;
        }
        drop(meta);
        Ok(self.clone())
    }

    /// The gradient that backward has stored: in leaves, and where [`Tensor::retain_grad`] asked for it.
    pub fn grad(&self) -> Option<Tensor> {
        self.0.meta.lock().grad.clone()
    }

    /// Stores a gradient, or none.
    ///
    /// # Panics
    /// If shape, dtype or device are not this tensor's.
    #[track_caller]
    pub fn set_grad(&self, grad: Option<Tensor>) {
        if let Some(g) = &grad {
            self.expect_same_device("set_grad", g);
            if g.shape() != self.shape() || g.dtype() != self.dtype() {
                misuse(
                    "set_grad",
                    format!(
                        "the gradient is {} of shape {:?}, the tensor {} of {:?}",
                        g.dtype(),
                        g.shape(),
                        self.dtype(),
                        self.shape()
                    ),
                );
            }
        }
        let _old = std::mem::replace(&mut self.0.meta.lock().grad, grad);
    }

    /// Forgets the stored gradient, so that the next backward starts anew.
    pub fn zero_grad(&self) {
        let _old = self.0.meta.lock().grad.take();
    }
}
