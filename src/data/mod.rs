//! Data for training: sets of samples, samplers, loaders that prefetch on threads of their own, and readers of files.
//!
//! ```
//! use wgrad::data::{DataLoader, LoaderOptions, Shuffle, TensorDataset};
//! use wgrad::{Device, Tensor};
//! let dev = Device::cpu();
//! let (x, y) = (Tensor::randn([100, 4], &dev), Tensor::arange(0, 100, 1, &dev));
//! let options = LoaderOptions { batch_size: 32, sampler: Box::new(Shuffle { seed: 0 }), ..Default::default() };
//! let loader = DataLoader::new(TensorDataset::new((x, y)), &dev, options)?;
//! for _epoch in 0..2 {
//!     for batch in &loader {
//!         let (x, y) = batch?;
//!         assert_eq!(x.size(0), y.size(0));
//!     }
//! }
//! # Ok::<(), wgrad::Error>(())
//! ```

#[cfg(feature = "csv")]
mod csv;
#[cfg(feature = "flate2")]
mod idx;
#[cfg(feature = "image")]
mod images;
mod loader;
mod sampler;
mod sets;
mod stack;
mod text;

pub use crate::elements::Data;
#[cfg(feature = "csv")]
pub use csv::{CsvOptions, Table};
#[cfg(feature = "flate2")]
pub use idx::read_idx;
#[cfg(feature = "image")]
pub use images::{ImageFolder, ImageOptions};
pub use loader::{BadSample, Batches, DataLoader, LoaderOptions, LoaderState};
pub use sampler::{Sampler, Sequential, Shuffle, Weighted};
pub use sets::{Concat, Dataset, InMemory, Map, Part, Subset, TensorDataset, random_split};
pub use stack::{Array, Collate, Row};
#[cfg(feature = "tokenizers")]
pub use text::{BatchEncoding, Tokenizer};
pub use text::{Characters, Windows};
