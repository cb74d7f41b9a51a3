//! Composites: functions that carry their definition in other operations, and may have a better gradient rule.
//!
//! The definition is what every device computes. A rule is only a shorter way to the same gradient: with
//! [`by_definition`] the rules are left out, and a test compares the two.

use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::dual::without_tangents;
use crate::tensor::mode::{at_site, no_grad, site};
use crate::tensor::node::{Call, Save, record};
use crate::tensor::profile;
use std::cell::Cell;

thread_local! {
    static BY_DEFINITION: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with composites differentiated through their definitions, their own gradient rules left out.
///
/// For tests of the rules: both ways must give the same gradients.
pub fn by_definition<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            BY_DEFINITION.set(self.0);
        }
    }
    let _restore = Restore(BY_DEFINITION.replace(true));
    f()
}

/// What makes of a gradient one that fits an operand: of its shape, which may have been broadcast, and of its type.
pub(crate) fn fit(x: &Tensor) -> impl Fn(Tensor) -> Tensor + Send + Sync + use<> {
    let (shape, dtype) = (Dims::from_slice(x.shape()), x.dtype());
    move |g| g.sum_to(&shape).cast(dtype)
}

/// Computes a definition, and records the rule as its gradient.
#[track_caller]
pub(crate) fn composite(
    name: &'static str,
    inputs: &[&Tensor],
    saves: &[Save],
    definition: impl FnOnce() -> Tensor,
    rule: impl Fn(Call) -> Vec<Option<Tensor>> + Send + Sync + 'static,
) -> Tensor {
    let _operation = profile::operation(name);
    // What the definition records belongs to the user's line, not to this crate's.
    if BY_DEFINITION.get() {
        return at_site(site(), definition);
    }
    let y = {
        let _unrecorded = no_grad();
        let at = site();
        // The rule will carry the tangents too.
        without_tangents(|| at_site(at, definition))
    };
    record(y, name, inputs, saves, rule)
}
