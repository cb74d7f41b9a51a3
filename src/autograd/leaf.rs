//! What autograd lets a user ask of a tensor: whether it is recorded, and which gradient it has stored.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result, misuse};
use crate::tensor::Tensor;
use crate::tensor::cuts::{CutBy, Cuts};
use crate::tensor::mode::{is_inference, site};
use crate::tensor::node::Edge;
use std::sync::Weak;

impl Tensor {
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
        if requires_grad && self.is_inference() && !is_inference() {
            return Err(Error::new(
                Kind::Graph,
                format!("requires_grad_: a tensor of shape {:?} made in inference mode; copy it first", self.shape()),
            ));
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

    /// Whether this was made in [`inference_mode`](super::inference_mode).
    pub fn is_inference(&self) -> bool {
        self.0.cell.inference
    }

    /// Takes this tensor out of the graph: it becomes a leaf that requires no grad.
    ///
    /// # Errors
    /// If the tensor is a view: its base would still have a history.
    #[track_caller]
    pub fn detach_(&self) -> Result<&Tensor> {
        if self.0.view.is_some() {
            let shape = self.shape();
            return Err(Error::new(Kind::Graph, format!("detach_: a view, of shape {shape:?}; use detach")));
        }
        if self.requires_grad() {
            self.0.meta.lock().cuts = Cuts::at(CutBy::Detach, site());
        }
        // Views keep the history that they have.
        self.take_history(None, None);
        self.0.meta.lock().requires_grad = false;
        Ok(self)
    }

    /// The gradient that backward has stored: in leaves, and where [`Tensor::retain_grad`] asked for it. To ask elsewhere is
    /// mostly a mistake, of which a warning is logged (crate `log`).
    pub fn grad(&self) -> Option<Tensor> {
        let (grad, grad_fn, retains) = {
            let meta = self.0.meta.lock();
            (meta.grad.clone(), meta.grad_fn.clone(), meta.retains_grad)
        };
        if let Some(Edge { node, .. }) = grad_fn.filter(|_| grad.is_none() && !retains) {
            let (shape, name, at) = (self.shape(), node.name, node.at);
            log::warn!(
                "grad: a result of shape {shape:?}, of {name} recorded at {at}, stores no gradient unless retain_grad is called before backward"
            );
        }
        grad
    }

    /// Says that the elements were changed by something that is not known of here, so that backward refuses saved values
    /// of before.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([2], &Device::cpu()).requires_grad_(true)?;
    /// let a = &x * 2.0;
    /// let y = (&a * &a).sum();
    /// a.increment_version();
    /// assert!(y.backward().unwrap_err().is_in_place());
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.autograd.graph.increment_version](https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.graph.increment_version).
    #[track_caller]
    pub fn increment_version(&self) {
        let cell = &self.0.cell;
        cell.rebind(cell.value(), site());
    }

    /// The type that backward gives the gradient of this tensor: its own, unless [`Tensor::set_grad_dtype`] says another.
    pub fn grad_dtype(&self) -> DType {
        self.0.meta.lock().grad_dtype.unwrap_or(self.dtype())
    }

    /// Lets a leaf have its gradient in another type, as a narrow parameter whose gradients add up in `F32`. It holds for what is
    /// recorded from now on.
    ///
    /// ```
    /// use wgrad::{DType, Device, Tensor};
    /// let w = Tensor::ones([2], (&Device::cpu(), DType::F16)).requires_grad_(true)?;
    /// w.set_grad_dtype(DType::F32)?;
    /// (&w * 3.0).sum().backward()?;
    /// assert_eq!(w.grad().unwrap().dtype(), DType::F32);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If this is no leaf, or has a gradient of another type already.
    ///
    /// # Panics
    /// If the type is no float.
    ///
    /// Source: [torch.Tensor.grad_dtype](https://docs.pytorch.org/docs/main/generated/torch.Tensor.grad_dtype.html).
    #[track_caller]
    pub fn set_grad_dtype(&self, dtype: DType) -> Result<()> {
        if !dtype.is_float() {
            misuse("set_grad_dtype", format!("{dtype}, for a tensor of shape {:?}, is no float", self.shape()));
        }
        let refuse = |why: String| Err(Error::new(Kind::Graph, format!("set_grad_dtype: {why}")));
        if !self.is_leaf() {
            return refuse(format!("only leaves, not a result of shape {:?}", self.shape()));
        }
        let mut meta = self.0.meta.lock();
        if let Some(g) = meta.grad.as_ref().filter(|g| g.dtype() != dtype) {
            return refuse(format!("there is a gradient of type {} already, not {dtype}; zero_grad first", g.dtype()));
        }
        // Graphs that were recorded before keep the node they have.
        (meta.grad_dtype, meta.accumulator) = (Some(dtype), Weak::new());
        Ok(())
    }

    /// Stores a gradient, or none.
    ///
    /// # Panics
    /// If shape and device are not this tensor's, the dtype is not [`Tensor::grad_dtype`], or it is this tensor itself.
    #[track_caller]
    pub fn set_grad(&self, grad: Option<Tensor>) {
        if let Some(g) = &grad {
            if g.is_same(self) {
                misuse("set_grad", format!("a tensor of shape {:?} cannot be its own gradient", self.shape()));
            }
            self.expect_same_device("set_grad", g);
            if g.shape() != self.shape() || g.dtype() != self.grad_dtype() {
                misuse(
                    "set_grad",
                    format!(
                        "the gradient is {} of shape {:?}, the tensor {} of {:?}",
                        g.dtype(),
                        g.shape(),
                        self.grad_dtype(),
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
