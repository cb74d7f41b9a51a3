//! Anomaly detection: backward stops at the first gradient that is not a number, and says which operation it comes from.

use crate::error::{Error, Kind, Result};
use crate::tensor::Tensor;
use crate::tensor::mode::{at_site, no_grad};
use crate::tensor::node::NodeInner;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

/// What is looked for on this thread.
#[derive(Clone, Copy)]
struct Mode {
    enabled: bool,
    check_nan: bool,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode { enabled: false, check_nan: true }) };
    static DOUBTS: RefCell<Vec<Doubt>> = const { RefCell::new(Vec::new()) };
}

/// What cannot be said before a batch is known: inside of `vmap` gradients have no numbers yet.
pub(crate) struct Doubt {
    /// Whether there is a NaN.
    pub found: Tensor,
    /// The error if there is.
    pub error: Error,
}

/// The doubts that wait for a placeholder of this number or a later one.
pub(crate) fn take_doubts(since: u64) -> Vec<Doubt> {
    let waits = |doubt: &mut Doubt| doubt.found.operand().value.waits_for >= since;
    DOUBTS.with_borrow_mut(|doubts| doubts.extract_if(.., waits).collect())
}

/// Says the error if its doubt is right, or puts it off until the batch around is known.
pub(crate) fn settle(Doubt { found, error }: Doubt) -> Result<()> {
    if found.operand().value.waits_for != 0 {
        DOUBTS.with_borrow_mut(|doubts| doubts.push(Doubt { found, error }));
        return Ok(());
    }
    if found.item()? != 0.0 { Err(error) } else { Ok(()) }
}

/// Restores what was before when dropped.
#[must_use = "anomalies are detected only as long as the guard lives: bind it to a name"]
pub struct AnomalyGuard {
    before: Mode,
    one_thread: PhantomData<*const ()>,
}

impl Drop for AnomalyGuard {
    fn drop(&mut self) {
        MODE.set(self.before);
        if !self.before.enabled {
            DOUBTS.take();
        }
    }
}

/// Until the guard is dropped, every backward on this thread that fails says which forward operation it failed for, with
/// its line; with `check_nan`, it fails at the first node that gives a gradient with a NaN. Infinities pass.
///
/// To know, backward waits for the values of each node before it goes to the next: this is for finding errors, not for
/// training. Inside of [`vmap`](crate::func::vmap) no value is known before the batch is: the gradients are looked at then.
///
/// ```
/// use wgrad::autograd::detect_anomaly;
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new([-1.0, 4.0], &Device::cpu()).requires_grad_(true)?;
/// let _scope = detect_anomaly(true);
/// let error = x.sqrt().sum().backward().unwrap_err();
/// assert!(error.is_anomaly());
/// assert!(error.to_string().starts_with("Function 'SqrtBackward0' returned nan values in its 0th output."));
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.autograd.detect_anomaly](https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.detect_anomaly).
pub fn detect_anomaly(check_nan: bool) -> AnomalyGuard {
    set_detect_anomaly(true, check_nan)
}

/// [`detect_anomaly`] if `enabled`; else none are detected until the guard is dropped.
pub fn set_detect_anomaly(enabled: bool, check_nan: bool) -> AnomalyGuard {
    AnomalyGuard { before: MODE.replace(Mode { enabled, check_nan }), one_thread: PhantomData }
}

/// Whether anomalies are detected on this thread.
pub fn is_anomaly_enabled() -> bool {
    MODE.get().enabled
}

/// Looks at what a node gave for its inputs, if anomalies are detected; `gs` are the gradients it was given.
pub(super) fn checked(
    node: &NodeInner,
    gs: &[Option<Tensor>],
    given: Result<Vec<Option<Tensor>>>,
) -> Result<Vec<Option<Tensor>>> {
    let Mode { enabled: true, check_nan } = MODE.get() else { return given };
    let line = || format!("{}:{}:{}", node.at.file(), node.at.line(), node.at.column());
    let gradients = given.map_err(|error| error.remarked(format!("{} was recorded at {}", node.name, line())))?;
    if !check_nan {
        return Ok(gradients);
    }
    let _unrecorded = no_grad();
    for (i, g) in gradients.iter().enumerate().filter_map(|(i, g)| Some((i, g.as_ref()?))) {
        let arrived: Vec<_> = gs.iter().flatten().map(|g| format!("{:?}", g.shape())).collect();
        let (name, shape, arrived) = (node.name, g.shape(), arrived.join(" and "));
        let error = Error::new(
            Kind::Anomaly,
            format!(
                "Function '{name}' returned nan values in its {i}th output. It was recorded at {}; it gave a gradient of shape {shape:?} for a result whose gradient has shape {arrived}",
                line()
            ),
        );
        settle(Doubt { found: at_site(node.at, || g.isnan().any()), error })?;
    }
    Ok(gradients)
}
