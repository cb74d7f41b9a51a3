#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

#[doc = include_str!("../ARCHITECTURE.md")]
pub mod architecture {}

#[doc = include_str!("../CHANGELOG.md")]
pub mod changelog {}

/// Chapters that teach, with examples that run.
pub mod guide {
    #[doc = include_str!("../docs/AUTOGRAD.md")]
    pub mod autograd {}

    #[doc = include_str!("../docs/TRAINING.md")]
    pub mod training {}
}

/// Automatic mixed precision: narrow floats where they do no harm, and loss scaling.
pub mod amp {
    pub use crate::optim::scaler::{GradScaler, GradScalerOptions};
    pub use crate::tensor::autocast::{AutocastGuard, autocast, autocast_dtype, no_autocast};
}

pub mod autograd;
pub mod data;
mod device;
mod dtype;
mod elements;
mod error;
pub mod func;
pub mod io;
pub mod nn;
mod ops;
pub mod optim;
mod plan;
pub mod profiler;
pub mod random;
mod recycle;
mod shape;
mod single;
mod state;
mod tensor;
pub mod train;

pub use autograd::{BackwardInput, BackwardOptions};
pub use device::gpu::{Adapter, GpuOptions, adapters};
pub use dtype::{DType, Element};
pub use elements::Data;
pub use error::{Error, Result, catch};
pub use ops::attention::AttentionOptions;
pub use ops::conv::{ConvOptions, ConvTransposeOptions, Padding};
pub use ops::create::{IntoData, Options};
pub use ops::embedding::{BagMode, EmbeddingBagOptions, EmbeddingOptions};
pub use ops::grid_sample::{GridMode, GridPadding, GridSampleOptions};
pub use ops::im2col::Im2colOptions;
pub use ops::index::{Ellipsis, Index, Indices, NewAxis};
pub use ops::interpolate::{InterpolateMode, InterpolateOptions};
pub use ops::kernel::{Kernel, KernelCall, KernelGradient, KernelOptions};
pub use ops::loss::{GaussianNllOptions, PoissonNllOptions, Reduction};
pub use ops::loss_classes::{CrossEntropyOptions, MultiMarginOptions, NllOptions};
pub use ops::loss_ctc::CtcOptions;
pub use ops::loss_pairs::TripletOptions;
pub use ops::map::Arg;
pub use ops::norm::BatchNormOptions;
pub use ops::pad::PadMode;
pub use ops::pool::{AvgPoolOptions, MaxPoolOptions, MaxUnpoolOptions};
pub use ops::products::Contracted;
pub use ops::quantile::Interpolation;
pub use ops::repeat::Indexing;
pub use ops::rnn::RnnOptions;
pub use ops::scatter::Combine;
pub use ops::spatial::PerDim;
pub use ops::split::Pieces;
pub use ops::statistics::CovOptions;
pub use ops::unique::Unique;
pub use ops::vector_norm::MatrixNorm;
pub use shape::Ints;
pub use state::StateDict;
pub use tensor::Tensor;
pub use tensor::backend::Stats;
pub use tensor::device::Device;

/// What the tests of this crate look into. Nothing here is stable.
#[doc(hidden)]
pub mod testing {
    pub use crate::device::gpu::Fault;
    use crate::device::gpu::{Gpu, GpuOptions};
    use crate::device::twin::Twin;
    use crate::error::Result;
    pub use crate::ops::row::{Row, RowKind};
    pub use crate::ops::scalar::ROWS;
    pub use crate::plan::{Place, Plan};
    use crate::tensor::Tensor;
    pub use crate::tensor::autocast::WIDE;
    use crate::tensor::device::Device;

    /// A CPU device of its own, with its own stream of random numbers.
    pub fn open_cpu() -> Device {
        Device::new(crate::device::cpu::Cpu::default())
    }

    /// A device of its own on the first adapter: with or without fusion, alone or as a twin, with a fault planted in every
    /// new plan.
    pub fn open_gpu(fuse: bool, twin: bool, fault: Option<Fault>) -> Result<Device> {
        open_gpu_with(&GpuOptions { fuse, ..Default::default() }, twin, fault)
    }

    /// The same with all options.
    pub fn open_gpu_with(options: &GpuOptions, twin: bool, fault: Option<Fault>) -> Result<Device> {
        let gpu = Gpu::open(options)?;
        let gpu = match fault {
            Some(fault) => gpu.with_fault(fault),
            None => gpu,
        };
        Ok(if twin { Device::new(Twin::of(gpu)) } else { Device::new(gpu) })
    }

    /// Records a row over tensors.
    #[track_caller]
    pub fn map(row: &'static Row, x: &[Tensor]) -> Tensor {
        crate::ops::map::map(row, &x.iter().map(Into::into).collect::<Vec<_>>())
    }

    /// A copy of `y` whose gradient is `rule(g)`, right or wrong, for one input.
    #[track_caller]
    pub fn with_rule(x: &Tensor, y: Tensor, rule: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Tensor {
        crate::tensor::node::record(y.untracked().copy(), "TestBackward0", &[x], &[], move |call| {
            vec![Some(rule(call.g))]
        })
    }
}
