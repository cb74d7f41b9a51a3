//! Hooks on tensors: functions that see a gradient as backward passes it, and may replace it.

use crate::error::{Error, Kind, Result};
use crate::tensor::Tensor;
use crate::tensor::node::Hooks;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Removes a hook: [`HookHandle::remove`]. Dropping the handle leaves the hook in place.
pub struct HookHandle {
    hooks: Weak<parking_lot::Mutex<Vec<(u64, crate::tensor::node::Hook)>>>,
    id: u64,
}

impl HookHandle {
    /// Takes the hook away.
    pub fn remove(self) {
        if let Some(hooks) = self.hooks.upgrade() {
            hooks.lock().retain(|(id, _)| *id != self.id);
        }
    }
}

impl Tensor {
    /// Calls `hook` with the gradient of this tensor whenever backward has it complete. A tensor it returns takes the
    /// gradient's place. Hooks run in the order they were registered.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([3], &Device::cpu()).requires_grad_(true)?;
    /// let y = &x * 2.0;
    /// let handle = y.register_hook(|g| Some(g * 10.0))?;
    /// y.sum().backward()?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [20.0, 20.0, 20.0]);
    /// handle.remove();
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the tensor does not require grad.
    ///
    /// Source: [torch.Tensor.register_hook](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html).
    pub fn register_hook(
        &self,
        hook: impl Fn(&Tensor) -> Option<Tensor> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let hooks = self.hooks("register_hook")?;
        hooks.lock().push((id, Arc::new(hook)));
        Ok(HookHandle { hooks: Arc::downgrade(&hooks), id })
    }

    /// Stores the gradient of this tensor in backward although it is no leaf: [`Tensor::grad`] gives it.
    ///
    /// # Errors
    /// If the tensor does not require grad.
    pub fn retain_grad(&self) -> Result<()> {
        let Some(edge) = self.gradient_edge() else { return Err(untracked("retain_grad", self)) };
        let mut meta = self.0.meta.lock();
        if meta.grad_fn.is_some() && !meta.retains_grad {
            meta.retains_grad = true;
            edge.node.retains.lock().push((edge.output, Arc::downgrade(&self.0)));
        }
        Ok(())
    }

    /// The list of this tensor's hooks, known to the node that its gradient arrives at.
    fn hooks(&self, op: &str) -> Result<Hooks> {
        let Some(edge) = self.gradient_edge() else { return Err(untracked(op, self)) };
        let hooks = self.0.meta.lock().hooks.clone();
        let mut known = edge.node.hooks.lock();
        if !known.iter().any(|(_, h)| Arc::ptr_eq(h, &hooks)) {
            known.push((edge.output, hooks.clone()));
        }
        Ok(hooks)
    }
}

fn untracked(op: &str, x: &Tensor) -> Error {
    Error::new(Kind::Graph, format!("{op}: the tensor of shape {:?} does not require grad", x.shape()))
}
