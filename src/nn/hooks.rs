//! Functions that run before and after a module, forward and backward.

use crate::autograd::{HookHandle, List, push};
use crate::tensor::Tensor;
use crate::tensor::node::record_all;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;

type PreHook = dyn Fn(&[Tensor]) -> Option<Vec<Tensor>> + Send + Sync;
type ForwardHook = dyn Fn(&[Tensor], &[Tensor]) -> Option<Vec<Tensor>> + Send + Sync;
type Gradients = [Option<Tensor>];
type BackwardPreHook = dyn Fn(&Gradients) -> Option<Vec<Option<Tensor>>> + Send + Sync;
type BackwardHook = dyn Fn(&Gradients, &Gradients) -> Option<Vec<Option<Tensor>>> + Send + Sync;

/// The hooks of one module; clones are the same hooks. A module of your own that has a field `hooks: Hooks` runs them with
/// [`Hooks::enter`] and [`HookedCall::leave`].
///
/// ```
/// use wgrad::nn::{Layer, Linear};
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let linear = Linear::new(2, 1, &dev);
/// linear.hooks.register_forward_hook(|_, outputs| Some(vec![&outputs[0] * 0.0]));
/// assert_eq!(linear.forward(&Tensor::ones([2], &dev)).to_vec::<f32>()?, [0.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Hooks {
    before: List<PreHook>,
    after: List<ForwardHook>,
    backward_before: List<BackwardPreHook>,
    backward: List<BackwardHook>,
}

/// A run of a module: its inputs, after the hooks before it.
pub struct HookedCall {
    /// The inputs to compute with.
    pub inputs: SmallVec<[Tensor; 1]>,
    hooks: Option<Hooks>,
    arrived: Arc<Mutex<Vec<Option<Tensor>>>>,
    has_input_node: bool,
}

/// The hooks of a list as they are now, so that a hook may change the list.
fn snapshot<F: ?Sized>(list: &List<F>) -> Vec<Arc<F>> {
    list.lock().iter().map(|(_, hook)| hook.clone()).collect()
}

impl Hooks {
    /// Calls `hook` with the inputs before the module runs; what it returns takes their place.
    ///
    /// Source: [torch.nn.Module.register_forward_pre_hook](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_forward_pre_hook).
    pub fn register_forward_pre_hook(
        &self,
        hook: impl Fn(&[Tensor]) -> Option<Vec<Tensor>> + Send + Sync + 'static,
    ) -> HookHandle {
        push(&self.before, Arc::new(hook) as Arc<PreHook>)
    }

    /// Calls `hook` with the inputs and outputs after the module has run; what it returns takes the outputs' place.
    ///
    /// Source: [torch.nn.Module.register_forward_hook](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_forward_hook).
    pub fn register_forward_hook(
        &self,
        hook: impl Fn(&[Tensor], &[Tensor]) -> Option<Vec<Tensor>> + Send + Sync + 'static,
    ) -> HookHandle {
        push(&self.after, Arc::new(hook) as Arc<ForwardHook>)
    }

    /// Calls `hook` in backward with the gradients of the outputs, when they are complete; what it returns takes their
    /// place.
    ///
    /// Source: [torch.nn.Module.register_full_backward_pre_hook](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_full_backward_pre_hook).
    pub fn register_full_backward_pre_hook(
        &self,
        hook: impl Fn(&[Option<Tensor>]) -> Option<Vec<Option<Tensor>>> + Send + Sync + 'static,
    ) -> HookHandle {
        push(&self.backward_before, Arc::new(hook) as Arc<BackwardPreHook>)
    }

    /// Calls `hook` in backward with the gradients of the inputs and of the outputs, when they are complete; what it returns
    /// takes the place of the former. An input that wants no gradient has `None`.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use wgrad::nn::{Layer, Tanh};
    /// use wgrad::{Device, Tensor};
    /// let tanh = Tanh::new();
    /// let seen = Arc::new(Mutex::new(Vec::new()));
    /// let all = seen.clone();
    /// tanh.hooks.register_full_backward_hook(move |inputs, outputs| {
    ///     all.lock().unwrap().extend([&inputs[0], &outputs[0]].map(|g| g.as_ref().unwrap().item().unwrap()));
    ///     None
    /// });
    /// let x = Tensor::new(0.0, &Device::cpu()).requires_grad_(true)?;
    /// (tanh.forward(&x) * 3.0).backward()?;
    /// assert_eq!(*seen.lock().unwrap(), [3.0, 3.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.nn.Module.register_full_backward_hook](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_full_backward_hook).
    pub fn register_full_backward_hook(
        &self,
        hook: impl Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Option<Vec<Option<Tensor>>> + Send + Sync + 'static,
    ) -> HookHandle {
        push(&self.backward, Arc::new(hook) as Arc<BackwardHook>)
    }

    fn is_empty(&self) -> bool {
        self.before.lock().is_empty() && self.after.lock().is_empty() && !self.sees_backward()
    }

    fn sees_backward(&self) -> bool {
        !self.backward_before.lock().is_empty() || !self.backward.lock().is_empty()
    }

    /// Begins a run of the module.
    #[track_caller]
    pub fn enter(&self, inputs: &[&Tensor]) -> HookedCall {
        let inputs: SmallVec<[Tensor; 1]> = inputs.iter().map(|&x| x.clone()).collect();
        let mut call = HookedCall { inputs, hooks: None, arrived: Arc::default(), has_input_node: false };
        if self.is_empty() {
            return call;
        }
        for hook in snapshot(&self.before) {
            if let Some(inputs) = hook(&call.inputs) {
                call.inputs = inputs.into();
            }
        }
        if self.sees_backward() {
            let (through, has_node) = through(&call.inputs);
            (call.inputs, call.has_input_node) = (through, has_node);
            let node = call.inputs.iter().find(|x| x.requires_grad()).and_then(Tensor::grad_fn);
            if let (true, Some(node)) = (has_node, node) {
                let (hooks, arrived) = (self.clone(), call.arrived.clone());
                node.register_hook(move |inputs, _| {
                    let outputs = std::mem::take(&mut *arrived.lock());
                    hooks.tell(inputs, &outputs)
                });
            }
        }
        call.hooks = Some(self.clone());
        call
    }

    /// Runs the hooks that see gradients of inputs and outputs.
    fn tell(&self, inputs: &Gradients, outputs: &Gradients) -> Option<Vec<Option<Tensor>>> {
        let mut replaced: Option<Vec<Option<Tensor>>> = None;
        for hook in snapshot(&self.backward) {
            replaced = hook(replaced.as_deref().unwrap_or(inputs), outputs).or(replaced);
        }
        replaced
    }
}

impl HookedCall {
    /// Ends a run of a module with one output.
    #[track_caller]
    pub fn leave(self, y: Tensor) -> Tensor {
        if self.hooks.is_none() { y } else { self.leave_all(vec![y]).remove(0) }
    }

    /// Ends a run of a module with several outputs.
    #[track_caller]
    pub fn leave_all(self, mut outputs: Vec<Tensor>) -> Vec<Tensor> {
        let Some(hooks) = self.hooks else { return outputs };
        for hook in snapshot(&hooks.after) {
            outputs = hook(&self.inputs, &outputs).unwrap_or(outputs);
        }
        if !hooks.sees_backward() {
            return outputs;
        }
        let (through, has_node) = through(&outputs);
        let node = through.iter().find(|y| y.requires_grad()).and_then(Tensor::grad_fn);
        if let (true, Some(node)) = (has_node, node) {
            let (arrived, inputs, has_input_node) = (self.arrived, self.inputs.len(), self.has_input_node);
            node.register_prehook(move |gradients| {
                let mut replaced: Option<Vec<Option<Tensor>>> = None;
                for hook in snapshot(&hooks.backward_before) {
                    replaced = hook(replaced.as_deref().unwrap_or(gradients)).or(replaced);
                }
                let outputs = replaced.as_deref().unwrap_or(gradients).to_vec();
                match has_input_node {
                    true => *arrived.lock() = outputs,
                    // No gradient flows to the inputs, so nothing else would tell of the module's end.
                    false => drop(hooks.tell(&vec![None; inputs], &outputs)),
                }
                replaced
            });
        }
        through.into_vec()
    }
}

/// The same tensors behind one node of the graph, and whether there is one: it is made if a tensor wants a gradient.
#[track_caller]
fn through(xs: &[Tensor]) -> (SmallVec<[Tensor; 1]>, bool) {
    let ys: SmallVec<[Tensor; 1]> = xs.iter().map(Tensor::detach).collect();
    let (inputs, outputs): (Vec<&Tensor>, Vec<&Tensor>) = (xs.iter().collect(), ys.iter().collect());
    record_all(&outputs, "BackwardHookFunctionBackward", &inputs, &[], |call| Ok(call.gradients.to_vec()));
    let has_node = ys.iter().any(Tensor::requires_grad);
    (ys, has_node)
}
