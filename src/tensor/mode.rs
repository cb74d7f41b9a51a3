//! Whether operations are recorded for backward, and which line they are recorded for. Both belong to the thread.

use crate::tensor::autocast::no_autocast;
use crate::tensor::scopes::Scopes;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::Location;

thread_local! {
    static MODES: Scopes<Mode> = const { Scopes::new() };
    static MODE: Cell<Mode> = const { Cell::new(Mode::DEFAULT) };
    static SITE: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
    static NODE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Mode {
    recording: bool,
    inference: bool,
}

impl Mode {
    const DEFAULT: Mode = Mode { recording: true, inference: false };

    fn begin(self) -> GradGuard {
        MODE.set(self);
        GradGuard { id: MODES.with(|modes| modes.push(self)), one_thread: PhantomData }
    }
}

/// Whether operations on this thread are recorded for backward.
pub fn is_grad_enabled() -> bool {
    MODE.get().recording
}

/// Stops recording for backward until the guard is dropped.
///
/// ```
/// use wgrad::{Device, Tensor, autograd::no_grad};
/// let x = Tensor::ones([2], &Device::cpu()).requires_grad_(true)?;
/// {
///     let _guard = no_grad();
///     assert!(!(&x * 2.0).requires_grad());
/// }
/// assert!((&x * 2.0).requires_grad());
/// # Ok::<(), wgrad::Error>(())
/// ```
pub fn no_grad() -> GradGuard {
    set_grad_enabled(false)
}

/// Records for backward, also inside [`no_grad`] but not inside [`inference_mode`], until the guard is dropped.
pub fn enable_grad() -> GradGuard {
    set_grad_enabled(true)
}

/// Records for backward or not until the guard is dropped; of several guards the last one that is left counts.
pub fn set_grad_enabled(enabled: bool) -> GradGuard {
    let inference = is_inference();
    Mode { recording: enabled && !inference, inference }.begin()
}

/// Records in whatever mode: for graphs that the library makes for itself.
pub(crate) fn recording() -> GradGuard {
    Mode { recording: true, inference: is_inference() }.begin()
}

/// As [`no_grad`], and what is made can never become part of a graph: it cannot require grad, be saved for backward or,
/// outside the mode, be changed in place. A copy made outside can.
///
/// ```
/// use wgrad::{Device, Tensor, autograd::inference_mode};
/// let y = {
///     let _guard = inference_mode();
///     Tensor::ones([2], &Device::cpu())
/// };
/// assert!(y.is_inference() && y.requires_grad_(true).is_err());
/// assert!(y.copy().requires_grad_(true).is_ok());
/// ```
///
/// Source: [torch.inference_mode](https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.inference_mode.html).
pub fn inference_mode() -> GradGuard {
    Mode { recording: false, inference: true }.begin()
}

/// Whether this thread is in [`inference_mode`].
pub fn is_inference() -> bool {
    MODE.get().inference
}

/// Ends a grad mode of its thread when dropped.
#[must_use = "the mode lasts only as long as the guard: bind it to a name"]
pub struct GradGuard {
    id: u64,
    one_thread: PhantomData<*const ()>,
}

impl Drop for GradGuard {
    fn drop(&mut self) {
        MODES.with(|modes| modes.remove(self.id));
        MODE.set(MODES.with(Scopes::last).unwrap_or(Mode::DEFAULT));
    }
}

/// The user's line: the caller's, or while a gradient rule runs, the line of the forward operation.
#[track_caller]
pub(crate) fn site() -> &'static Location<'static> {
    match SITE.get() {
        Some(at) => at,
        // Not in a closure, which would have a line of its own.
        None => Location::caller(),
    }
}

/// The node whose gradient rule is running.
pub(crate) fn node() -> Option<&'static str> {
    NODE.get()
}

/// Attributes what `f` records to the gradient rule of a node.
pub(crate) fn in_node<T>(name: Option<&'static str>, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<&'static str>);
    impl Drop for Restore {
        fn drop(&mut self) {
            NODE.set(self.0);
        }
    }
    let _restore = Restore(NODE.replace(name));
    let _as_given = no_autocast();
    f()
}

/// Attributes what `f` records to a line.
pub(crate) fn at_site<T>(at: &'static Location<'static>, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<&'static Location<'static>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SITE.set(self.0);
        }
    }
    let _restore = Restore(SITE.replace(Some(at)));
    f()
}
