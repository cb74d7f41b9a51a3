//! Modules: what networks are built of, as plain structs that own their parameters.
//!
//! A [`Module`] shows a visitor its members by name; [`module!`](crate::module) writes that from a list of fields. Everything
//! else follows: named parameters, state dicts in PyTorch's names and layouts, training and evaluation, freezing, moving,
//! summaries, hooks. A [`Layer`] is a module with one tensor in and one out.
//!
//! ```
//! use wgrad::nn::{Layer, Linear, Module};
//! use wgrad::{Device, Tensor, module};
//! struct Mlp { fc1: Linear, fc2: Linear }
//! module!(Mlp { fc1, fc2 });
//! impl Mlp {
//!     fn forward(&self, x: &Tensor) -> Tensor {
//!         self.fc2.forward(&self.fc1.forward(x).relu())
//!     }
//! }
//! let dev = Device::cpu();
//! let net = Mlp { fc1: Linear::new(2, 8, &dev), fc2: Linear::new(8, 1, &dev) };
//! assert_eq!(net.forward(&Tensor::ones([5, 2], &dev)).shape(), [5, 1]);
//! let names: Vec<String> = net.named_parameters().into_iter().map(|(name, _)| name).collect();
//! assert_eq!(names, ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]);
//! ```

mod activation;
mod attention;
mod container;
mod conv;
mod dropout;
mod embedding;
mod functional;
mod hooks;
pub mod init;
mod layer;
mod linear;
mod load;
mod loss;
mod member;
mod module;
mod norm;
mod pool;
mod position;
mod rnn;
mod summary;
mod transformer;

pub use activation::{
    Celu, Elu, Gelu, Glu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, LeakyReLU, LogSigmoid, LogSoftmax, Mish, PReLU,
    RReLU, ReLU, ReLU6, Selu, SiLU, Sigmoid, Softmax, Softmin, Softplus, Softshrink, Softsign, Tanh, Tanhshrink,
    Threshold,
};
pub use attention::{Attended, MultiheadAttention, MultiheadAttentionOptions};
pub use container::{Flatten, Identity, Lambda, ModuleDict, ModuleList, Sequential, Unflatten};
pub use conv::{Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use dropout::{AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout};
pub use embedding::{Embedding, EmbeddingBag};
pub use functional::functional_call;
pub use hooks::{HookedCall, Hooks};
pub use linear::{Bilinear, Linear};
pub use load::LoadReport;
pub use loss::{
    BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, CtcLoss, GaussianNLLLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss,
    NLLLoss, PoissonNLLLoss, SmoothL1Loss, SoftMarginLoss, TripletMarginLoss,
};
pub use member::{Buffer, Mode};
pub use module::{Layer, Member, Module, Visitor};
pub use norm::{
    BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, LayerNorm,
    RMSNorm,
};
pub use pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d,
    AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d,
};
pub use position::{LearnedPositions, Rotary, SinusoidalPositions};
pub use rnn::{Gru, GruCell, Lstm, LstmCell, Rnn, RnnCell, RnnNonlinearity};
pub use transformer::{
    TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer, TransformerOptions,
};
