//! wgrad

pub mod autograd;
pub mod data;
mod device;
pub mod dtype;
pub mod error;
mod ops;
pub mod optim;
pub mod random;
pub mod shape;
mod tensor;

pub use autograd::BackwardOptions;
pub use data::Data;
pub use dtype::{DType, Element};
pub use error::{Error, Result, catch};
pub use tensor::Tensor;
pub use tensor::device::{Device, Stats};
