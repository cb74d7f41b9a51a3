//! Copying a state into a module, and saying what did not fit.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::state::{StateDict, as_in};
use crate::tensor::Tensor;
use crate::tensor::mode::no_grad;
use std::fmt;

/// What of a state did not fit a module: the names, and for shapes the one of the state and the one of the module. As text
/// it lists all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// In the module, but not in the state.
    pub missing: Vec<String>,
    /// In the state, but not in the module.
    pub unexpected: Vec<String>,
    /// In both, with different shapes: first the state's, then the module's.
    pub mis_shaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// In both, integers or bools in one and floats in the other: first the state's type, then the module's. Floats of another
    /// size are converted.
    pub mis_typed: Vec<(String, DType, DType)>,
}

impl LoadReport {
    /// Whether everything fitted.
    pub fn is_empty(&self) -> bool {
        *self == LoadReport::default()
    }

    pub(super) fn of(own: &StateDict, state: &StateDict) -> LoadReport {
        let absent = |a: &StateDict, b: &StateDict| a.keys().filter(|name| !b.contains_key(*name)).cloned().collect();
        let both: Vec<_> = own.iter().filter_map(|(name, x)| Some((name, state.get(name)?, x))).collect();
        let shapes = both.iter().filter(|(_, got, want)| got.shape() != want.shape());
        let types = both.iter().filter(|(_, got, want)| got.dtype().is_float() != want.dtype().is_float());
        LoadReport {
            missing: absent(own, state),
            unexpected: absent(state, own),
            mis_shaped: shapes
                .map(|(name, got, x)| (name.to_string(), got.shape().to_vec(), x.shape().to_vec()))
                .collect(),
            mis_typed: types.map(|(name, got, x)| (name.to_string(), got.dtype(), x.dtype())).collect(),
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut parts = Vec::new();
        for (what, names) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            if !names.is_empty() {
                parts.push(format!("{what}: {}", names.join(", ")));
            }
        }
        parts.extend(
            self.mis_shaped.iter().map(|(name, got, want)| format!("{name} has the shape {got:?} instead of {want:?}")),
        );
        parts.extend(self.mis_typed.iter().map(|(name, got, want)| format!("{name} holds {got} instead of {want}")));
        f.write_str(&parts.join("; "))
    }
}

pub(super) fn mismatch(report: &LoadReport) -> Error {
    Error::new(Kind::Data, format!("load_state_dict: {report}"))
}

/// Whether an entry can be copied to a tensor of a module.
fn fits(entry: &Tensor, x: &Tensor) -> bool {
    entry.shape() == x.shape() && entry.dtype().is_float() == x.dtype().is_float()
}

/// Copies the entries that fit.
pub(super) fn load(own: &StateDict, state: &StateDict) -> Result<()> {
    let _unrecorded = no_grad();
    for (name, x) in own {
        if let Some(entry) = state.get(name).filter(|entry| fits(entry, x)) {
            x.copy_(&as_in(entry, x)?)?;
        }
    }
    Ok(())
}
