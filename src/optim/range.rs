//! Which numbers an option may be, by its name: PyTorch's own rules, for all optimizers.

use crate::error::misuse;
use crate::optim::Rule;

/// Names of options, in words what they must be, and whether a number is that. NaN is only what says so.
type Range = (&'static [&'static str], &'static str, fn(f64) -> bool);

const RANGES: [Range; 8] = [
    (
        &[
            "lr",
            "weight_decay",
            "momentum",
            "eps",
            "eps.1",
            "alpha",
            "lr_decay",
            "lambd",
            "momentum_decay",
            "initial_accumulator_value",
        ],
        "at least 0",
        |x| x >= 0.0,
    ),
    (&["eps.0"], "at least 0, or NaN", |x| x >= 0.0 || x.is_nan()),
    (&["betas.0", "betas.1"], "at least 0 and less than 1", |x| (0.0..1.0).contains(&x)),
    (&["rho"], "from 0 to 1", |x| (0.0..=1.0).contains(&x)),
    (&["beta2_decay"], "at most 0", |x| x <= 0.0),
    (&["d"], "at least 1", |x| x >= 1.0),
    (&["etas.0"], "between 0 and 1", |x| x > 0.0 && x < 1.0),
    (&["etas.1"], "more than 1", |x| x > 1.0),
];

/// What is wrong with a number for an option.
pub(super) fn fault(option: &str, x: f64) -> Option<String> {
    let (_, range, is_inside) = RANGES.iter().find(|(names, ..)| names.contains(&option))?;
    (!is_inside(x)).then(|| format!("{option} must be {range}, not {x}"))
}

/// Whether an option may be NaN, which stands for Python's None.
pub(super) fn may_be_nan(option: &str) -> bool {
    RANGES.iter().any(|(names, _, is_inside)| names.contains(&option) && is_inside(f64::NAN))
}

/// Refuses a number that an option cannot be.
#[track_caller]
pub(super) fn expect_option(rule: &str, option: &str, x: f64) {
    if let Some(fault) = fault(option, x) {
        misuse(rule, fault);
    }
}

/// Refuses options that do not go together.
#[track_caller]
pub(super) fn expect_together(rule: &dyn Rule) {
    let option = |name| rule.option(name);
    if let (Some(nesterov), Some(momentum), Some(dampening)) =
        (option("nesterov"), option("momentum"), option("dampening"))
        && nesterov != 0.0
        && (momentum == 0.0 || dampening != 0.0)
    {
        misuse(rule.name(), format!("nesterov needs a momentum, not {momentum}, and no dampening, not {dampening}"));
    }
}
