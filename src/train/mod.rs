//! What stands around a training loop that is yours: progress, metrics, logs, learning curves and early stopping.
//!
//! Nothing here calls the network, and each part works without the others.
//!
//! ```
//! use wgrad::nn::{Layer, Linear, Module};
//! use wgrad::optim::AdamW;
//! use wgrad::train::{Accuracy, Curves, EarlyStopping, MeanMetric, Metric, Metrics, Progress};
//! use wgrad::{Device, Tensor, autograd::no_grad};
//! let dev = Device::cpu();
//! dev.manual_seed(0);
//! let batches: Vec<(Tensor, Tensor)> = (0..8)
//!     .map(|_| Tensor::randn([32, 4], &dev))
//!     .map(|x| (x.clone(), x.argmax(1, false)))
//!     .collect();
//! let net = Linear::new(4, 4, &dev);
//! let mut adamw = AdamW { lr: 0.1, ..Default::default() }.over(&net.parameters());
//! let mut metrics = Metrics::new()
//!     .with("loss", MeanMetric::of(Tensor::cross_entropy))
//!     .with("accuracy", Accuracy::multiclass(4));
//! let (progress, mut curves, mut train_loss) = (Progress::new(), Curves::new(), MeanMetric::default());
//! let mut stopping = EarlyStopping { patience: 2, ..Default::default() };
//! for epoch in 0..10 {
//!     for (x, y) in progress.over(&batches[..7]) {
//!         let loss = net.forward(x).cross_entropy(y);
//!         adamw.zero_grad();
//!         loss.backward()?;
//!         train_loss.add(&loss, 32.0); // stays on the device
//!         adamw.step()?;
//!     }
//!     curves.scalar("loss/training", epoch, train_loss.compute()?); // is read here
//!     train_loss.reset();
//!     let _unrecorded = no_grad();
//!     metrics.reset();
//!     metrics.update(&net.forward(&batches[7].0), &batches[7].1);
//!     let scores = metrics.compute()?; // one read for all
//!     progress.show("accuracy", scores["accuracy"]);
//!     if stopping.observe(scores["loss"]) {
//!         break;
//!     }
//! }
//! assert!(curves.points("loss/training").last().unwrap().1 < 0.5);
//! # Ok::<(), wgrad::Error>(())
//! ```

mod auroc;
mod classes;
mod confusion;
mod curves;
mod errors;
mod events;
mod log;
mod mean;
mod metric;
mod progress;
mod stopping;

pub use auroc::Auroc;
pub use classes::{Accuracy, Average, F1Score, Precision, Recall, StatScores};
pub use confusion::{Confusion, ConfusionMatrix, Normalize};
pub use curves::Curves;
pub use errors::{MeanAbsoluteError, MeanSquaredError, R2Score};
pub use log::Log;
pub use mean::{MeanMetric, NanStrategy, Perplexity};
pub use metric::{Metric, Metrics, State};
pub use progress::{Over, Progress};
pub use stopping::EarlyStopping;
