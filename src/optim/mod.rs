//! Optimizers: what turns gradients into a step.
//!
//! An [`Optimizer`] holds groups of parameters, each with a [`Rule`]: its options, and how a gradient becomes a step. Rules
//! are rows, a few lines of tensor code each; weight decay, maximising, state and skipping are shared. A step is recorded
//! like everything else, so the update of a parameter becomes one fused kernel, which others share where they fit, and
//! numbers that change from step to step are parameters of the plan.
//!
//! ```
//! use wgrad::optim::{Muon, AdamW};
//! use wgrad::{Device, Tensor};
//! let dev = Device::cpu();
//! let w = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev).requires_grad_(true)?;
//! let b = Tensor::new([1.0, 2.0], &dev).requires_grad_(true)?;
//! // A group has options of its own, and may have another rule.
//! let mut optimizer = Muon { lr: 0.02, ..Default::default() }.over([&w]);
//! optimizer.add_group(AdamW { lr: 1e-3, ..Default::default() }, [&b]);
//! (w.square().sum() + b.square().sum()).backward()?;
//! optimizer.step()?;
//! assert!(b.to_vec::<f32>()?[0] < 1.0);
//! # Ok::<(), wgrad::Error>(())
//! ```

mod adaptive;
mod average;
mod clip;
mod lbfgs;
mod momentum;
mod optimizer;
mod plateau;
mod range;
mod rule;
pub(crate) mod scaler;
mod schedule;
mod scheduler;
mod state;
mod whole;

pub use adaptive::{Adadelta, Adagrad, Adam, AdamW, Adamax, NAdam, RAdam, RMSprop};
pub use average::WeightAverage;
pub use clip::{clip_grad_norm_, clip_grad_value_, grad_norm};
pub use lbfgs::Lbfgs;
pub use momentum::{Asgd, Lion, Rprop, Sgd};
pub use optimizer::Optimizer;
pub use plateau::ReduceLrOnPlateau;
pub use rule::{Decay, Rule, Step};
pub use schedule::{Anneal, Cycle, Schedule};
pub use scheduler::Scheduler;
pub use whole::{Adafactor, Lamb, Muon};
