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
    line: Option<&'static Location<'static>>,
}

impl Mode {
    const DEFAULT: Mode = Mode { recording: true, inference: false, line: None };
}

/// Whether operations on this thread are recorded for backward.
pub fn is_grad_enabled() -> bool {
    MODE.get().recording
}

/// Stops recording until the guard is dropped: for what the library computes for itself, which cuts nobody's path off.
pub(crate) fn no_grad() -> GradGuard {
    set_grad_enabled(false)
}

/// Records for backward or not until the guard is dropped; of several guards the last one that is left counts.
pub(crate) fn set_grad_enabled(enabled: bool) -> GradGuard {
    let inference = is_inference();
    begin(enabled && !inference, inference, None)
}

/// Begins a mode; `line` is the user's that stops recording.
pub(crate) fn begin(recording: bool, inference: bool, line: Option<&'static Location<'static>>) -> GradGuard {
    let mode = Mode { recording, inference, line };
    MODE.set(mode);
    GradGuard { id: MODES.with(|modes| modes.push(mode)), one_thread: PhantomData }
}

/// The user's line that has stopped recording.
pub(crate) fn stopped_at() -> Option<&'static Location<'static>> {
    MODE.get().line
}

/// Records in whatever mode: for graphs that the library makes for itself.
pub(crate) fn recording() -> GradGuard {
    begin(true, is_inference(), None)
}

/// Whether this thread is in [`inference_mode`](crate::autograd::inference_mode).
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
