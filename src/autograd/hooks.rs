//! Hooks: functions that see gradients as backward passes them, and may replace them.

use crate::autograd::engine::Task;
use crate::error::{Error, Kind, Result, misuse};
use crate::tensor::Inner;
use crate::tensor::Tensor;
use crate::tensor::node::{Hooks, Node, NodeHooks, NodeInner};
use parking_lot::Mutex;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Removes a hook, or the hooks of a group: [`HookHandle::remove`]. Dropping the handle leaves the hook in place.
pub struct HookHandle(Vec<Box<dyn Fn() + Send + Sync>>);

impl HookHandle {
    /// Takes the hook away; a second time, nothing happens.
    pub fn remove(&self) {
        self.0.iter().for_each(|remove| remove());
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Hooks with the numbers they are removed by.
pub(crate) type List<F> = Arc<Mutex<Vec<(u64, Arc<F>)>>>;

/// Adds a hook to a list that others may hold as well.
pub(crate) fn push<F: Send + ?Sized + 'static>(list: &List<F>, hook: Arc<F>) -> HookHandle
where
    Arc<F>: Send + Sync,
{
    let id = next_id();
    list.lock().push((id, hook));
    let list = Arc::downgrade(list);
    HookHandle(vec![Box::new(move || {
        if let Some(list) = list.upgrade() {
            list.lock().retain(|(other, _)| *other != id);
        }
    })])
}

impl Tensor {
    /// Calls `hook` with the gradient of this tensor whenever backward has it complete. A tensor it returns takes the
    /// gradient's place. Hooks run in the order they were registered, with recording off unless backward creates a graph.
    /// They belong to the node that made the tensor: after a change in place they see the gradient of what was there before,
    /// and those of a view, of what used it before.
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
    /// # Panics
    /// Backward panics, with the line of this call, if shape, dtype or device of what the hook gives are not the gradient's.
    ///
    /// Source: [torch.Tensor.register_hook](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html).
    #[track_caller]
    pub fn register_hook(
        &self,
        hook: impl Fn(&Tensor) -> Option<Tensor> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        let at = Location::caller();
        self.register("register_hook", move |g| {
            let g = g?;
            let new = hook(g)?;
            if new.shape() != g.shape() || new.dtype() != g.dtype() || new.device() != g.device() {
                let (shape, before, devices) = (new.shape(), g.shape(), [new.device().name(), g.device().name()]);
                let kinds = format!("{} of shape {shape:?} for {} of {before:?}", new.dtype(), g.dtype());
                misuse(
                    "register_hook",
                    format!(
                        "the hook registered at {at} gave another gradient than it was shown: {kinds}, on {}",
                        devices.join(" for ")
                    ),
                );
            }
            Some(new)
        })
    }

    /// [`Tensor::register_hook`] that is told as well if backward comes by without a gradient.
    fn register(
        &self,
        op: &str,
        hook: impl Fn(Option<&Tensor>) -> Option<Tensor> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        Ok(push(&self.hooks(op)?, Arc::new(hook)))
    }

    /// Calls `hook` with this leaf whenever backward has added to its [`Tensor::grad`]: to take a step with the gradient
    /// and free it before the next one is computed.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, autograd::no_grad};
    /// let w = Tensor::new([1.0, 2.0], &Device::cpu()).requires_grad_(true)?;
    /// w.register_post_accumulate_grad_hook(|w| {
    ///     let _guard = no_grad();
    ///     w.sub_(w.grad().unwrap() * 0.5).unwrap();
    ///     w.zero_grad();
    /// })?;
    /// (&w * &w).sum().backward()?;
    /// assert_eq!(w.to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the tensor is no leaf that requires grad.
    ///
    /// Source: [register_post_accumulate_grad_hook](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_post_accumulate_grad_hook.html).
    pub fn register_post_accumulate_grad_hook(
        &self,
        hook: impl Fn(&Tensor) + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        let op = "register_post_accumulate_grad_hook";
        if !self.requires_grad() {
            return Err(untracked(op, self));
        }
        if !self.is_leaf() {
            let shape = self.shape();
            return Err(Error::new(
                Kind::Graph,
                format!("{op}: only leaves accumulate, and this result of shape {shape:?} is none"),
            ));
        }
        let hooks = self.0.meta.lock().post_hooks.clone();
        Ok(push(&hooks, Arc::new(hook)))
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

    /// Whether [`Tensor::retain_grad`] made this result keep its gradient.
    pub fn retains_grad(&self) -> bool {
        self.0.meta.lock().retains_grad
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

impl Node {
    /// Calls `hook` before the node runs, with the gradients of its results; what it returns takes their place. It runs
    /// after the hooks of the tensors themselves.
    pub fn register_prehook(
        &self,
        hook: impl Fn(&[Option<Tensor>]) -> Option<Vec<Option<Tensor>>> + Send + Sync + 'static,
    ) -> HookHandle {
        let id = next_id();
        self.own_hooks(|own| own.before.push((id, Arc::new(hook))));
        self.removal(move |own| own.before.retain(|(other, _)| *other != id))
    }

    /// Calls `hook` after the node has run, with the gradients of its inputs and of its results; what it returns takes the
    /// place of the former.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new(2.0, &Device::cpu()).requires_grad_(true)?;
    /// let y = &x * &x;
    /// y.grad_fn().unwrap().register_hook(|inputs, _| {
    ///     Some(inputs.iter().map(|g| g.as_ref().map(|g| g * 10.0)).collect())
    /// });
    /// y.backward()?;
    /// assert_eq!(x.grad().unwrap().item()?, 40.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.autograd.graph.Node.register_hook](https://docs.pytorch.org/docs/stable/generated/torch.autograd.graph.Node.register_hook.html).
    pub fn register_hook(
        &self,
        hook: impl Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Option<Vec<Option<Tensor>>> + Send + Sync + 'static,
    ) -> HookHandle {
        let id = next_id();
        self.own_hooks(|own| own.after.push((id, Arc::new(hook))));
        self.removal(move |own| own.after.retain(|(other, _)| *other != id))
    }

    fn own_hooks(&self, f: impl FnOnce(&mut NodeHooks)) {
        f(self.0.own_hooks.lock().get_or_insert_default());
    }

    fn removal(&self, f: impl Fn(&mut NodeHooks) + Send + Sync + 'static) -> HookHandle {
        let node = Arc::downgrade(&self.0);
        HookHandle(vec![Box::new(move || {
            if let Some(node) = node.upgrade() {
                Node(node).own_hooks(&f);
            }
        })])
    }
}

/// A tensor of a group: a leaf, whose node is made anew for every graph, or a result, which its node outlives.
enum Member {
    Leaf(Weak<Inner>),
    Result(Weak<NodeInner>),
}

impl Member {
    fn runs_in(&self, task: &Task) -> bool {
        let node = match self {
            Member::Leaf(x) => x.upgrade().and_then(|x| Tensor(x).gradient_edge()).map(|edge| edge.node),
            Member::Result(node) => node.upgrade(),
        };
        node.is_some_and(|node| task.runs(&node))
    }
}

/// What has arrived for a group of tensors in one run of backward.
pub(super) struct Group {
    left: usize,
    gradients: Vec<Option<Tensor>>,
}

/// Calls `hook` once in every backward, when the gradients of all these tensors that it comes to are complete; `None`
/// stands for the others.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use wgrad::{Device, Tensor, autograd::register_multi_grad_hook};
/// let dev = Device::cpu();
/// let a = Tensor::new(1.0, &dev).requires_grad_(true)?;
/// let b = Tensor::new(2.0, &dev).requires_grad_(true)?;
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let all = seen.clone();
/// register_multi_grad_hook(&[&a, &b], move |gs| {
///     all.lock().unwrap().extend(gs.iter().flatten().map(|g| g.item().unwrap()))
/// })?;
/// (&a * &b).backward()?;
/// assert_eq!(*seen.lock().unwrap(), [2.0, 1.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If a tensor does not require grad.
///
/// Source: [register_multi_grad_hook](https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.graph.register_multi_grad_hook).
pub fn register_multi_grad_hook(
    tensors: &[&Tensor],
    hook: impl Fn(&[Option<Tensor>]) + Send + Sync + 'static,
) -> Result<HookHandle> {
    let mut members = Vec::new();
    for x in tensors {
        let edge = x.gradient_edge().ok_or_else(|| untracked("register_multi_grad_hook", x))?;
        members.push(match x.is_leaf() {
            true => Member::Leaf(Arc::downgrade(&x.0)),
            false => Member::Result(Arc::downgrade(&edge.node)),
        });
    }
    let members = Arc::new(members);
    let (hook, id) = (Arc::new(hook), next_id());
    let mut handle = HookHandle(Vec::new());
    for (i, x) in tensors.iter().enumerate() {
        let (hook, members) = (hook.clone(), members.clone());
        let one = x.register("register_multi_grad_hook", move |g| {
            let task = Task::current()?;
            let mut group = task.groups.borrow_mut().remove(&id).unwrap_or_else(|| Group {
                left: members.iter().filter(|member| member.runs_in(&task)).count(),
                gradients: vec![None; members.len()],
            });
            group.gradients[i] = g.cloned();
            group.left -= 1;
            match group.left {
                0 => hook(&group.gradients),
                _ => drop(task.groups.borrow_mut().insert(id, group)),
            }
            None
        })?;
        handle.0.extend(one.0);
    }
    Ok(handle)
}

/// Calls `hook` once in every backward, with the first gradient that is complete of these tensors'.
///
/// # Errors
/// If a tensor does not require grad.
pub fn register_any_grad_hook(
    tensors: &[&Tensor],
    hook: impl Fn(&Tensor) + Send + Sync + 'static,
) -> Result<HookHandle> {
    let (hook, last) = (Arc::new(hook), Arc::new(AtomicU64::new(0)));
    let mut handle = HookHandle(Vec::new());
    for x in tensors {
        let (hook, last) = (hook.clone(), last.clone());
        let one = x.register_hook(move |g| {
            let task = Task::current()?;
            if last.swap(task.id, Ordering::Relaxed) != task.id {
                hook(g);
            }
            None
        })?;
        handle.0.extend(one.0);
    }
    Ok(handle)
}

/// Gradients that a hook of a node gave in the place of others: as many, each of the same shape and type, or none.
pub(super) fn replaced(
    op: &str,
    node: &NodeInner,
    old: &[Option<Tensor>],
    new: Vec<Option<Tensor>>,
) -> Vec<Option<Tensor>> {
    let refuse = |why: String| -> ! { misuse(op, format!("a hook of {}, recorded at {}, {why}", node.name, node.at)) };
    if new.len() != old.len() {
        refuse(format!("gave {} gradients for {}", new.len(), old.len()));
    }
    let kind = |g: &Tensor| format!("{} of shape {:?}", g.dtype(), g.shape());
    for (old, new) in old.iter().zip(&new) {
        match (old.as_ref().map(kind), new.as_ref().map(kind)) {
            (None, Some(new)) => refuse(format!("gave {new} where there is no gradient")),
            (Some(old), Some(new)) if old != new => refuse(format!("gave {new} for {old}")),
            _ => {}
        }
    }
    new
}

/// Calls `f` when the backward that is running on this thread has ended: for use in hooks.
///
/// # Panics
/// If no backward is running.
#[track_caller]
pub fn queue_callback(f: impl FnOnce() + 'static) {
    match Task::current() {
        Some(task) => task.at_end(f),
        None => misuse("queue_callback", "no backward is running on this thread"),
    }
}

fn untracked(op: &str, x: &Tensor) -> Error {
    Error::new(Kind::Graph, format!("{op}: the tensor of shape {:?} does not require grad", x.shape()))
}
