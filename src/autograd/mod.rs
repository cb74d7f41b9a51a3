//! The engine: walking the graph backwards, hooks, and what autograd lets a user ask of a tensor.
//!
//! Gradient rules are written in tensor operations, so a walk only records more of them: gradients of gradients follow
//! from nothing. This module does not know any operation.

pub(crate) mod anomaly;
mod audit;
mod budget;
mod checkpoint;
mod edge;
pub(crate) mod engine;
pub mod forward_ad;
mod function;
mod gradcheck;
pub mod graph;
mod hooks;
mod leaf;
mod modes;

pub use crate::ops::composite::by_definition;
pub use crate::tensor::cuts::CutBy;
pub use crate::tensor::node::{CreationHookGuard, Node, node_creation_hook};
pub use crate::tensor::saved::{
    SavedTensorsGuard, allow_mutation_on_saved_tensors, disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks,
};
pub use anomaly::{AnomalyGuard, detect_anomaly, is_anomaly_enabled, set_detect_anomaly};
pub use audit::{Audit, Cut, Finding, Parameter, audit};
pub use budget::memory_budget;
pub use checkpoint::{CheckpointOptions, CheckpointPolicy, checkpoint, checkpoint_sequential};
pub use edge::{BackwardInput, GradientEdge, TensorOrEdge};
pub use function::{Context, Function, apply};
pub use gradcheck::{GradcheckOptions, gradcheck, gradgradcheck};
pub use hooks::{HookHandle, queue_callback, register_any_grad_hook, register_multi_grad_hook};
pub(crate) use hooks::{List, push};
pub use modes::{GradGuard, enable_grad, inference_mode, is_grad_enabled, is_inference, no_grad, set_grad_enabled};

use crate::error::{Error, Kind, Result};
use crate::func::{Batch, Randomness};
use crate::ops::create::full;
use crate::tensor::Tensor;
use crate::tensor::node::{Edge, Output};
use engine::{Goal, Walk};

/// What [`Tensor::backward_with`] may be told.
///
/// ```
/// use wgrad::{BackwardOptions, Device, Tensor};
/// let x = Tensor::new(3.0, &Device::cpu()).requires_grad_(true)?;
/// let y = &x * &x;
/// y.backward_with(None, BackwardOptions { retain_graph: Some(true), ..Default::default() })?;
/// y.backward()?;
/// assert_eq!(x.grad().unwrap().item()?, 12.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BackwardOptions {
    /// Whether to keep the saved values, so that another backward can run over the same graph: only with `create_graph`,
    /// unless it is said.
    pub retain_graph: Option<bool>,
    /// Record the backward pass itself, so that gradients can be differentiated again.
    pub create_graph: bool,
    /// Accumulate into these only, tensors (leaves or not) or edges of leaves; else into all leaves that are reached. The
    /// gradient at another edge is shown to its hooks.
    pub inputs: Option<Vec<BackwardInput>>,
}

/// What [`grad`] may be told.
///
/// ```
/// use wgrad::autograd::{GradOptions, grad_of};
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let x = Tensor::new([1.0, 2.0], &dev).requires_grad_(true)?;
/// // A row of the Jacobian for each row of the identity.
/// let options = GradOptions {
///     grad_outputs: vec![Some(Tensor::eye(2, &dev))],
///     is_grads_batched: true,
///     ..Default::default()
/// };
/// let j = grad_of(&(&x * &x), &x, options)?;
/// assert_eq!(j.to_vec::<f32>()?, [2.0, 0.0, 0.0, 4.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GradOptions {
    /// The gradient of each output, or none at all; 1 for a one-element output without.
    pub grad_outputs: Vec<Option<Tensor>>,
    /// Whether to keep the saved values: only with `create_graph`, unless it is said.
    pub retain_graph: Option<bool>,
    /// Record the pass itself, so that the results can be differentiated again.
    pub create_graph: bool,
    /// Whether an input that the outputs do not depend on gives `None` instead of an error: only with `materialize_grads`,
    /// unless it is said.
    pub allow_unused: Option<bool>,
    /// Give zeros for such an input, which require grad with `create_graph`.
    pub materialize_grads: bool,
    /// Each gradient given is a batch of them along a new first dimension, as is each result, in one walk.
    pub is_grads_batched: bool,
}

/// The gradients of the sum of `outputs` with respect to `inputs`, which may be any tensors or edges of the graph. No `grad`
/// of a leaf is touched. [`grad_of`] is for one of each.
///
/// ```
/// use wgrad::autograd::{GradOptions, grad};
/// use wgrad::{Device, Tensor};
/// let [a, b] = [2.0, 5.0].map(|x| Tensor::new(x, &Device::cpu()).requires_grad_(true).unwrap());
/// let gradients = grad(&[&(&a * &b)], &[&a, &b], GradOptions::default())?;
/// assert_eq!(gradients[0].as_ref().unwrap().item()?, 5.0);
/// assert_eq!(gradients[1].as_ref().unwrap().item()?, 2.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If an output needs no gradient or is no scalar and has no gradient given, if there are no inputs, one needs no gradient, or
/// is not part of the graph (unless `allow_unused`), or if the graph was freed or a saved value changed in place.
///
/// Source: [torch.autograd.grad](https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html).
#[track_caller]
pub fn grad(
    outputs: &[impl TensorOrEdge],
    inputs: &[impl TensorOrEdge],
    options: GradOptions,
) -> Result<Vec<Option<Tensor>>> {
    if options.is_grads_batched {
        return batched(outputs, inputs, options);
    }
    let unused = options.allow_unused.unwrap_or(options.materialize_grads);
    if options.materialize_grads && !unused {
        return Err(Error::new(Kind::Graph, "grad: materialize_grads gives zeros for what allow_unused refuses"));
    }
    if inputs.is_empty() {
        return Err(Error::new(Kind::Graph, "grad: the list of inputs is empty"));
    }
    let mut edges = Vec::with_capacity(inputs.len());
    for (i, x) in inputs.iter().enumerate() {
        edges.push(Some(Edge::from(x.edge(&format!("grad: input {i}"))?)));
    }
    let roots = roots("grad", outputs, &options.grad_outputs)?;
    let mut gradients = Walk::of(options.create_graph, options.retain_graph).run(roots, Goal::Capture(&edges))?;
    for (i, (g, edge)) in gradients.iter_mut().zip(edges.iter().flatten()).enumerate() {
        let Output { shape, dtype, device, .. } = &edge.node.outputs[edge.output];
        if g.is_none() && !unused {
            let shape = shape.as_slice();
            return Err(Error::new(
                Kind::Graph,
                format!(
                    "grad: the outputs do not depend on input {i} of shape {shape:?}; allow_unused gives None for it"
                ),
            ));
        }
        if options.materialize_grads && g.is_none() {
            *g = Some(full(0.0, shape.clone(), *dtype, device).requires_grad_(options.create_graph)?);
        }
    }
    Ok(gradients)
}

/// [`grad`] of one output with respect to one input.
///
/// ```
/// use wgrad::autograd::{GradOptions, grad_of};
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new(3.0, &Device::cpu()).requires_grad_(true)?;
/// let first = grad_of(&x.pow(3.0), &x, GradOptions { create_graph: true, ..Default::default() })?;
/// let second = grad_of(&first, &x, Default::default())?;
/// assert_eq!((first.item()?, second.item()?), (27.0, 18.0));
/// // What is not used has no gradient to give, unless zeros are asked for.
/// let other = Tensor::new(1.0, &Device::cpu()).requires_grad_(true)?;
/// assert!(grad_of(&x.exp(), &other, GradOptions { allow_unused: Some(true), ..Default::default() }).is_err());
/// let zeros = GradOptions { materialize_grads: true, ..Default::default() };
/// assert_eq!(grad_of(&x.exp(), &other, zeros)?.item()?, 0.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`grad`]; and if the output does not depend on the input, also with `allow_unused`.
#[track_caller]
pub fn grad_of(y: &Tensor, x: &Tensor, options: GradOptions) -> Result<Tensor> {
    let g = grad(&[y], &[x], options)?.swap_remove(0);
    g.ok_or_else(|| Error::new(Kind::Graph, format!("grad_of: the output does not depend on {:?}", x.shape())))
}

/// [`grad`] with a batch of gradients for each output.
#[track_caller]
fn batched(
    outputs: &[impl TensorOrEdge],
    inputs: &[impl TensorOrEdge],
    options: GradOptions,
) -> Result<Vec<Option<Tensor>>> {
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
    let mut wholes = batch.whole(&found)?.into_iter();
    Ok(inside.iter().map(|g| g.as_ref().and_then(|_| wholes.next())).collect())
}

/// [`Tensor::backward_with`] from several roots at once: the gradient of `Σ gradientᵢ · yᵢ`; a gradient that is `None`, as all
/// are if none are given, is 1 for a root of one element.
///
/// ```
/// use wgrad::autograd::backward;
/// use wgrad::{BackwardOptions, Device, Tensor};
/// let x = Tensor::new(2.0, &Device::cpu()).requires_grad_(true)?;
/// backward(&[&(&x * 2.0), &x.pow(3.0)], &[], BackwardOptions::default())?;
/// assert_eq!(x.grad().unwrap().item()?, 14.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// An edge stands for a tensor that may be gone:
///
/// ```
/// use wgrad::autograd::{GradientEdge, backward};
/// use wgrad::{BackwardOptions, Device, Tensor};
/// let dev = Device::cpu();
/// let x = Tensor::new([1.0, 2.0], &dev).requires_grad_(true)?;
/// let edge = GradientEdge::of(&(&x * 3.0))?;
/// backward(&[edge], &[Some(Tensor::new([1.0, 10.0], &dev))], BackwardOptions::default())?;
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [3.0, 30.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`Tensor::backward_with`].
///
/// Source: [torch.autograd.backward](https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html).
#[track_caller]
pub fn backward(roots: &[impl TensorOrEdge], gradients: &[Option<Tensor>], options: BackwardOptions) -> Result<()> {
    let roots = self::roots("backward", roots, gradients)?;
    let walk = Walk::of(options.create_graph, options.retain_graph);
    let Some(inputs) = options.inputs else { return walk.run(roots, Goal::Accumulate(None)).map(drop) };
    let edge = |x: &BackwardInput| match x {
        // A result is asked to retain its gradient, as in PyTorch; leaves store theirs.
        BackwardInput::Tensor(x) => x.retain_grad().ok().and_then(|()| x.gradient_edge()),
        BackwardInput::Edge(edge) => Some(edge.clone().into()),
    };
    let edges: Vec<_> = inputs.iter().map(edge).collect();
    if inputs.is_empty() || edges.iter().any(Option::is_none) {
        let what = if inputs.is_empty() { "the list of inputs is empty" } else { "an input does not require grad" };
        return Err(Error::new(Kind::Graph, format!("backward: {what}")));
    }
    walk.run(roots, Goal::Accumulate(Some(&edges))).map(drop)
}

/// The outputs' edges with the gradients to start from.
#[track_caller]
fn roots(op: &str, outputs: &[impl TensorOrEdge], given: &[Option<Tensor>]) -> Result<Vec<(Edge, Tensor)>> {
    if !given.is_empty() && given.len() != outputs.len() {
        return Err(Error::new(Kind::Graph, format!("{op}: {} outputs and {} gradients", outputs.len(), given.len())));
    }
    let mut roots = Vec::with_capacity(outputs.len());
    for (i, y) in outputs.iter().enumerate() {
        let edge = Edge::from(y.edge(op)?);
        let output = &edge.node.outputs[edge.output];
        // Stands for the result, which may be gone.
        let y = full(1.0, output.shape.clone(), output.dtype, &output.device);
        let g = match given.get(i).cloned().flatten() {
            Some(g) => {
                y.expect_same_device(op, &g);
                if g.shape() != y.shape() {
                    return Err(Error::new(
                        Kind::Graph,
                        format!("{op}: the gradient has shape {:?}, the tensor {:?}", g.shape(), y.shape()),
                    ));
                }
                output.typed(&g)
            }
            None if y.numel() == 1 => output.typed(&y),
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
        backward(&[self], &[gradient.cloned()], options)
    }
}
