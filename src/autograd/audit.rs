//! The audit: which parameters the loss did not reach, what is wrong with the gradients of the others, and where paths
//! were cut.

use crate::autograd::graph::reached;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::cuts::{CutBy, Cuts};
use crate::tensor::mode::no_grad;
use crate::tensor::node::Node;
use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// What [`audit`] found. It prints as plain sentences.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The parameters, in the order they were named.
    pub parameters: Vec<Parameter>,
    /// Where a path to the loss was cut off, in the order in which the loss came to depend on it.
    pub cuts: Vec<Cut>,
}

/// A parameter, and what was found.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name it was given.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// What was found.
    pub finding: Finding,
}

/// What was found of one parameter: the first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It does not require grad.
    NotRequired,
    /// The loss does not depend on it by any recorded path.
    NoPath,
    /// It is a result of recorded operations, in which backward stores nothing: a parameter is a leaf.
    NoLeaf,
    /// There is a path, and no gradient: no backward has run since it was forgotten, or a rule on the way gave none.
    NoGradient,
    /// So many elements of its gradient are NaN, and so many are infinite.
    NonFinite {
        /// The number of elements that are NaN.
        nan: usize,
        /// The number of elements that are infinite.
        infinite: usize,
    },
    /// Its gradient is zero everywhere.
    Zero,
    /// It has a finite gradient that is not zero.
    Good,
}

/// Where something that requires grad was cut off from the loss.
#[derive(Clone, Debug)]
pub struct Cut {
    /// By what.
    pub by: CutBy,
    /// The line: of the call, or of the guard.
    pub at: &'static Location<'static>,
    /// The first node that used what was cut off; `None` if the loss itself has no graph.
    pub used_by: Option<Node>,
}

impl Audit {
    /// Whether every parameter has a good gradient and no path was cut.
    pub fn is_clean(&self) -> bool {
        self.cuts.is_empty() && self.parameters.iter().all(|parameter| parameter.finding == Finding::Good)
    }
}

/// Looks, after backward, for parameters that the loss has not taught, and for the reasons. It waits for the gradients.
///
/// ```
/// use wgrad::autograd::{Finding, audit};
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let [a, b] = [1.0, 2.0].map(|x| Tensor::new([x], &dev).requires_grad_(true).unwrap());
/// let loss = ((&a * 3.0).detach() * &b).sum();
/// loss.backward()?;
/// let audit = audit(&loss, &[("a", &a), ("b", &b)])?;
/// assert_eq!((audit.parameters[0].finding, audit.parameters[1].finding), (Finding::NoPath, Finding::Good));
/// assert_eq!(audit.cuts.len(), 1);
/// println!("{audit}"); // … a, of shape [1], has no path to the loss. …
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// What went by way of the host ([`Tensor::item`], [`Tensor::to_vec`]) leaves no trace, nor does a mask that a comparison has
/// made, or what was cut inside of [`vmap`](crate::func::vmap).
///
/// # Errors
/// If a gradient could not be computed.
#[track_caller]
pub fn audit(loss: &Tensor, parameters: &[(&str, &Tensor)]) -> Result<Audit> {
    let nodes = reached(&[loss]);
    let seen: HashSet<_> = nodes.iter().map(|node| Arc::as_ptr(&node.0)).collect();
    let mut cuts: Vec<Cut> = Vec::new();
    let mut add = |lines: &Cuts, used_by: Option<&Node>| {
        for &(by, at) in lines.lines() {
            if !cuts.iter().any(|cut| (cut.by, cut.at) == (by, at)) {
                cuts.push(Cut { by, at, used_by: used_by.cloned() });
            }
        }
    };
    for node in &nodes {
        add(&node.0.cuts, Some(node));
    }
    if loss.gradient_edge().is_none() {
        add(&loss.0.meta.lock().cuts.clone(), None);
    }
    let mut found = Vec::with_capacity(parameters.len());
    for (name, x) in parameters {
        let finding = match x.gradient_edge() {
            None => Finding::NotRequired,
            Some(edge) if !seen.contains(&Arc::as_ptr(&edge.node)) => Finding::NoPath,
            Some(_) if !x.is_leaf() && !x.retains_grad() => Finding::NoLeaf,
            Some(_) => x.grad().map_or(Ok(Finding::NoGradient), |g| judged(&g))?,
        };
        found.push(Parameter { name: name.to_string(), shape: x.shape().to_vec(), finding });
    }
    Ok(Audit { parameters: found, cuts })
}

/// What is to be said of a gradient.
#[track_caller]
fn judged(g: &Tensor) -> Result<Finding> {
    let _unrecorded = no_grad();
    let counts = Tensor::stack(&[g.ne(0.0).sum(), g.isnan().sum(), g.isinf().sum()], 0).to_vec::<i32>()?;
    Ok(match counts[..] {
        [0, _, _] => Finding::Zero,
        [_, 0, 0] => Finding::Good,
        _ => Finding::NonFinite { nan: counts[1] as usize, infinite: counts[2] as usize },
    })
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, of shape {:?}, ", self.name, self.shape)?;
        match self.finding {
            Finding::NotRequired => write!(f, "does not require grad."),
            Finding::NoPath => write!(f, "has no path to the loss."),
            Finding::NoLeaf => write!(f, "is no leaf but a result, which stores no gradient."),
            Finding::NoGradient => {
                write!(f, "has a path to the loss, and no gradient: backward has not run, or a rule gave none.")
            }
            Finding::NonFinite { nan, infinite } => {
                write!(f, "has a gradient in which {nan} elements are NaN and {infinite} infinite.")
            }
            Finding::Zero => write!(f, "has a gradient that is zero everywhere."),
            Finding::Good => write!(f, "has a gradient."),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A path to the loss was cut by {} at {}", self.by, self.at)?;
        match &self.used_by {
            Some(node) => write!(f, ", whose result {} used at {}.", node.name(), node.location()),
            None => write!(f, ", and the loss has no other."),
        }
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let good = self.parameters.iter().filter(|parameter| parameter.finding == Finding::Good).count();
        writeln!(f, "{good} of {} parameters have a gradient that is finite and not zero.", self.parameters.len())?;
        for parameter in self.parameters.iter().filter(|parameter| parameter.finding != Finding::Good) {
            writeln!(f, "{parameter}")?;
        }
        for cut in &self.cuts {
            writeln!(f, "{cut}")?;
        }
        Ok(())
    }
}
