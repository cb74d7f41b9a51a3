//! burn on one of its backends; its operations take their operands, which clones share.

use crate::{Bench, F, I, Operand, floats, integers, measure};
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::nn::{Lstm, LstmConfig, LstmState};
use burn::tensor::activation::{gelu, relu, softmax};
use burn::tensor::module::{
    attention, avg_pool2d, batch_norm_train, conv_transpose2d, conv1d, conv2d, embedding, interpolate, layer_norm,
    linear, max_pool2d,
};
use burn::tensor::ops::{
    AttentionModuleOptions, AvgPoolOptions, ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions,
    MaxPoolOptions, PadMode,
};
use burn::tensor::{Device, Distribution, Gradients, IndexingUpdateOp, Int, Tensor, TensorData};

impl<const D: usize> Operand<Device> for F<D> {
    type Value = Tensor<D>;

    fn text(&self) -> String {
        crate::text(&self.0)
    }

    fn value(&self, dev: &Device, gradients: bool) -> Tensor<D> {
        let x = Tensor::from_data(TensorData::new(floats(&self.0), self.0), dev);
        if gradients { x.require_grad() } else { x }
    }
}

impl<const D: usize> Operand<Device> for I<D> {
    type Value = Tensor<D, Int>;

    fn text(&self) -> String {
        crate::text(&self.1)
    }

    fn value(&self, dev: &Device, _: bool) -> Tensor<D, Int> {
        Tensor::from_data(TensorData::new(integers(self.0, &self.1), self.1), dev)
    }
}

/// The weights of an LSTM, which are eight matrices and eight vectors here.
struct Weights;

impl Operand<Device> for Weights {
    type Value = Lstm;

    fn text(&self) -> String {
        "256x64,256x64,256,256".to_string()
    }

    fn value(&self, dev: &Device, _: bool) -> Lstm {
        LstmConfig::new(64, 64, true).with_batch_first(false).init(dev)
    }
}

/// A result: floats, which can have gradients, or integers.
trait Output: Sized {
    fn gradients(&self) -> Option<Gradients>;
}

impl<const D: usize> Output for Tensor<D> {
    fn gradients(&self) -> Option<Gradients> {
        Some(self.clone().sum().backward())
    }
}

impl<const D: usize> Output for Tensor<D, Int> {
    fn gradients(&self) -> Option<Gradients> {
        None
    }
}

fn device(dev: &Device, gradients: bool) -> Device {
    if gradients { dev.clone().autodiff() } else { dev.clone() }
}

/// What a call computes: a result and the gradients of its sum, once the device has done it.
fn finish<T: Output>(f: impl FnOnce() -> T, gradients: bool, dev: &Device) -> (T, Option<Gradients>) {
    let y = f();
    let held = if gradients { y.gradients() } else { None };
    dev.sync().expect("the device has computed");
    (y, held)
}

/// The first adapter, or the one that burn's own environment variables name.
#[cfg(feature = "burn-wgpu")]
pub fn wgpu() -> Device {
    let (dev, setup) = Device::wgpu_options().init_with_setup().expect("an adapter");
    eprintln!("{:?}", setup.adapter.get_info());
    dev
}

pub fn run(bench: &Bench, dev: &Device) {
    measure! { bench, dev;
        "add" FORWARD [x: F([1024, 1024]), y: F([1024, 1024])] x + y;
        "add_row" FORWARD [x: F([1024, 1024]), y: F([1024])] x + y.unsqueeze();
        "exp" FORWARD [x: F([1024, 1024])] x.exp();
        "sin" FORWARD [x: F([1024, 1024])] x.sin();
        "tanh" FORWARD [x: F([1024, 1024])] x.tanh();
        "gelu" BOTH [x: F([1024, 1024])] gelu(x);
        "chain" BOTH [x: F([1024, 1024])] (x.clone() * 1.5 + 0.25).tanh() * x.clone() - relu(x);
        "where" FORWARD [x: F([1024, 1024]), y: F([1024, 1024])] y.mask_where(x.clone().greater_scalar(0.0), x);

        "sum_all" FORWARD [x: F([2048, 2048])] x.sum();
        "sum_rows" FORWARD [x: F([4096, 1024])] x.sum_dim(1);
        "sum_columns" FORWARD [x: F([4096, 1024])] x.sum_dim(0);
        "amax" FORWARD [x: F([4096, 1024])] x.max_dim(1);
        "argmax" FORWARD [x: F([4096, 1024])] x.argmax(1);
        "var" FORWARD [x: F([4096, 1024])] x.var(1);
        "cumsum" FORWARD [x: F([1024, 1024])] x.cumsum(1);
        "cumprod" BOTH [x: F([256, 1024])] x.cumprod(1);

        "matmul" BOTH [x: F([512, 512]), y: F([512, 512])] x.matmul(y);
        "bmm" FORWARD [x: F([16, 128, 64]), y: F([16, 64, 128])] x.matmul(y);
        "linear" BOTH [x: F([64, 784]), w: F([256, 784]), b: F([256])] linear(x, w.transpose(), Some(b));

        "transpose_copy" FORWARD [x: F([1024, 1024])] x.transpose().reshape([1024 * 1024]);
        "cat" FORWARD [x: F([512, 1024]), y: F([512, 1024])] Tensor::cat(vec![x, y], 0);
        "pad" FORWARD [x: F([16, 16, 32, 32])] x.pad((1, 1, 1, 1), PadMode::Constant(0.0));
        "roll" FORWARD [x: F([1024, 1024])] x.roll_dim(17, 1);
        "tril" FORWARD [x: F([1024, 1024])] x.tril(0);

        "gather" FORWARD [x: F([1024, 1024]), i: I(1024, [1024, 256])] x.gather(1, i);
        "index_select" FORWARD [x: F([10000, 128]), i: I(10000, [4096])] x.select(0, i);
        "scatter_add" FORWARD [x: F([1024, 1024]), i: I(1024, [1024, 256]), s: F([1024, 256])] {
            x.scatter(1, i, s, IndexingUpdateOp::Add)
        };
        "embedding" BOTH [w: F([10000, 128]), i: I(10000, [32, 64])] embedding(w, i);
        "sort" FORWARD [x: F([256, 1024])] x.sort(1);
        "topk" FORWARD [x: F([256, 1024])] x.topk(8, 1);

        "softmax" BOTH [x: F([4096, 1024])] softmax(x, 1);
        "layer_norm" BOTH [x: F([4096, 1024]), w: F([1024]), b: F([1024])] layer_norm(x, w, Some(b), 1e-5);
        "batch_norm" BOTH [x: F([32, 32, 32, 32]), w: F([32]), b: F([32])] batch_norm_train(x, w, b, 1e-5).output;
        "cross_entropy" BOTH [x: F([4096, 1000]), i: I(1000, [4096])] {
            CrossEntropyLossConfig::new().init(&x.device()).forward(x, i)
        };
        "mse_loss" BOTH [x: F([1024, 1024]), y: F([1024, 1024])] MseLoss::new().forward(x, y, Reduction::Mean);

        "conv1d" BOTH [x: F([16, 32, 256]), w: F([64, 32, 5]), b: F([64])] {
            conv1d(x, w, Some(b), ConvOptions::new([1], [2], [1], 1))
        };
        "conv2d" BOTH [x: F([16, 16, 32, 32]), w: F([32, 16, 3, 3]), b: F([32])] {
            conv2d(x, w, Some(b), ConvOptions::new([1, 1], [1, 1], [1, 1], 1))
        };
        "conv2d_depthwise" FORWARD [x: F([8, 64, 32, 32]), w: F([64, 1, 3, 3])] {
            conv2d(x, w, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 64))
        };
        "conv_transpose2d" FORWARD [x: F([8, 32, 16, 16]), w: F([32, 16, 2, 2])] {
            conv_transpose2d(x, w, None, ConvTransposeOptions::new([2, 2], [0, 0], [0, 0], [1, 1], 1))
        };
        "max_pool2d" BOTH [x: F([16, 32, 32, 32])] max_pool2d(x, MaxPoolOptions::new([2, 2]));
        "avg_pool2d" FORWARD [x: F([16, 32, 32, 32])] avg_pool2d(x, AvgPoolOptions::new([2, 2]));
        "interpolate" FORWARD [x: F([8, 16, 32, 32])] {
            let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
            interpolate(x, options.with_scale_factor([2.0, 2.0]))
        };
        "attention" BOTH [q: F([8, 4, 64, 32]), k: F([8, 4, 64, 32]), v: F([8, 4, 64, 32])] {
            attention(q, k, v, None, None, AttentionModuleOptions { is_causal: true, ..Default::default() })
        };
        "lstm" BOTH [x: F([32, 16, 64]), h: F([1, 16, 64]), weights: Weights] {
            let h = h.squeeze_dim::<2>(0);
            weights.forward(x, Some(LstmState::new(h.clone(), h))).0
        };
        "rand" FORWARD [x: F([1])] Tensor::<2>::random([1024, 1024], Distribution::Uniform(0.0, 1.0), &x.device());
    }
}
