//! Where gradients start and arrive: edges of the graph, and tensors that stand for theirs.

use crate::error::{Error, Kind, Result};
use crate::tensor::Tensor;
use crate::tensor::node::{Edge, Node};

/// Where the gradient of a tensor arrives: a result of a node. It outlives the tensor, and stands for it wherever a
/// [`TensorOrEdge`] is asked for.
///
/// ```
/// use wgrad::autograd::{GradOptions, GradientEdge, grad};
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new(2.0, &Device::cpu()).requires_grad_(true)?;
/// let y = &x * 3.0;
/// let (edge, z) = (GradientEdge::of(&y)?, &y * &y);
/// drop(y);
/// assert_eq!(grad(&[&z], &[edge], GradOptions::default())?[0].as_ref().unwrap().item()?, 12.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.autograd.graph.GradientEdge](https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.graph.GradientEdge).
#[derive(Clone, Debug)]
pub struct GradientEdge {
    /// The node.
    pub node: Node,
    /// The number of the result.
    pub output_nr: usize,
}

impl GradientEdge {
    /// The edge of a tensor.
    ///
    /// # Errors
    /// If the tensor does not require grad.
    pub fn of(x: &Tensor) -> Result<GradientEdge> {
        x.edge("gradient edge")
    }
}

impl From<GradientEdge> for Edge {
    fn from(edge: GradientEdge) -> Edge {
        Edge { node: edge.node.0, output: edge.output_nr }
    }
}

/// What [`BackwardOptions::inputs`](crate::autograd::BackwardOptions) lists.
///
/// ```
/// use wgrad::autograd::{BackwardOptions, GradientEdge};
/// use wgrad::{Device, Tensor};
/// let [x, w] = [2.0, 3.0].map(|x| Tensor::new(x, &Device::cpu()).requires_grad_(true).unwrap());
/// let inputs = Some(vec![GradientEdge::of(&x)?.into()]);
/// (&x * &w).backward_with(None, BackwardOptions { inputs, ..Default::default() })?;
/// assert_eq!((x.grad().unwrap().item()?, w.grad().is_none()), (3.0, true));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum BackwardInput {
    /// A leaf, or a result, which then retains its gradient.
    Tensor(Tensor),
    /// A place in the graph.
    Edge(GradientEdge),
}

impl From<&Tensor> for BackwardInput {
    fn from(x: &Tensor) -> BackwardInput {
        BackwardInput::Tensor(x.clone())
    }
}

impl From<GradientEdge> for BackwardInput {
    fn from(edge: GradientEdge) -> BackwardInput {
        BackwardInput::Edge(edge)
    }
}

/// A tensor or a [`GradientEdge`]: what [`grad`](crate::autograd::grad) and [`backward`](crate::autograd::backward) begin at, and what gradients are asked for.
///
/// ```
/// use wgrad::autograd::{GradOptions, GradientEdge, TensorOrEdge, grad};
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new(2.0, &Device::cpu()).requires_grad_(true)?;
/// let y = &x * 3.0;
/// let edge = GradientEdge::of(&y)?;
/// let inputs: [&dyn TensorOrEdge; 2] = [&edge, &x];
/// let gradients = grad(&[&y * &y], &inputs, GradOptions::default())?;
/// assert_eq!(gradients[0].as_ref().unwrap().item()?, 12.0);
/// assert_eq!(gradients[1].as_ref().unwrap().item()?, 36.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub trait TensorOrEdge {
    /// The edge, for an operation of this name.
    ///
    /// # Errors
    /// If it is a tensor that does not require grad.
    fn edge(&self, op: &str) -> Result<GradientEdge>;
}

impl TensorOrEdge for Tensor {
    fn edge(&self, op: &str) -> Result<GradientEdge> {
        let Some(Edge { node, output }) = self.gradient_edge() else {
            let shape = self.shape();
            let why = format!("{op}: the tensor of shape {shape:?} does not require grad and has no grad_fn");
            return Err(Error::new(Kind::Graph, why));
        };
        Ok(GradientEdge { node: Node(node), output_nr: output })
    }
}

impl TensorOrEdge for GradientEdge {
    fn edge(&self, _: &str) -> Result<GradientEdge> {
        Ok(self.clone())
    }
}

impl<T: TensorOrEdge + ?Sized> TensorOrEdge for &T {
    fn edge(&self, op: &str) -> Result<GradientEdge> {
        (**self).edge(op)
    }
}
