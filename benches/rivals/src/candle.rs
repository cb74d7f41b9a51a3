//! candle on the CPU: a call has computed when it returns.

use crate::{Bench, F, I, Operand, floats, integers, measure};
use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Module, Result, Tensor, Var};
use candle_nn::attention::{AttnMask, flash_attn};
use candle_nn::rnn::{LSTMState, RNN};
use candle_nn::{BatchNorm, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Embedding, Linear, VarBuilder, loss, ops};

impl<const N: usize> Operand<Device> for F<N> {
    type Value = Tensor;

    fn text(&self) -> String {
        crate::text(&self.0)
    }

    fn value(&self, dev: &Device, gradients: bool) -> Tensor {
        let x = Tensor::from_vec(floats(&self.0), &self.0, dev).expect("the shape fits");
        if gradients { Var::from_tensor(&x).expect("floats").into_inner() } else { x }
    }
}

impl<const N: usize> Operand<Device> for I<N> {
    type Value = Tensor;

    fn text(&self) -> String {
        crate::text(&self.1)
    }

    fn value(&self, dev: &Device, _: bool) -> Tensor {
        let x: Vec<u32> = integers(self.0, &self.1).into_iter().map(|x| x as u32).collect();
        Tensor::from_vec(x, &self.1, dev).expect("the shape fits")
    }
}

fn device(dev: &Device, _: bool) -> Device {
    dev.clone()
}

/// What a call computes: a result, and the gradients of its sum.
fn finish(f: impl FnOnce() -> Result<Tensor>, gradients: bool, _: &Device) -> (Tensor, Option<GradStore>) {
    let y = f().expect("candle computes");
    let held = gradients.then(|| y.sum_all().and_then(|y| y.backward()).expect("candle has gradients"));
    (y, held)
}

fn lstm(x: Tensor, h: Tensor, weights: [Tensor; 4]) -> Result<Tensor> {
    let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].map(String::from);
    let weights = VarBuilder::from_tensors(names.into_iter().zip(weights).collect(), DType::F32, &Device::Cpu);
    let cell = candle_nn::lstm(64, 64, Default::default(), weights)?;
    let h = h.squeeze(0)?;
    cell.states_to_tensor(&cell.seq_init(&x.transpose(0, 1)?, &LSTMState::new(h.clone(), h))?)
}

pub fn run(bench: &Bench, dev: &Device) {
    const EPS: f64 = 1e-5;
    let zeros = |n: usize| Tensor::zeros(n, DType::F32, dev);
    let ones = |n: usize| Tensor::ones(n, DType::F32, dev);
    let padded = Conv1dConfig { padding: 2, ..Default::default() };
    let padded2 = Conv2dConfig { padding: 1, ..Default::default() };
    measure! { bench, dev;
        "add" FORWARD [x: F([1024, 1024]), y: F([1024, 1024])] x + y;
        "add_row" FORWARD [x: F([1024, 1024]), y: F([1024])] x.broadcast_add(&y);
        "exp" FORWARD [x: F([1024, 1024])] x.exp();
        "sin" FORWARD [x: F([1024, 1024])] x.sin();
        "tanh" FORWARD [x: F([1024, 1024])] x.tanh();
        "gelu" BOTH [x: F([1024, 1024])] x.gelu_erf();
        "chain" BOTH [x: F([1024, 1024])] ((&x * 1.5)? + 0.25)?.tanh()? * &x - x.relu()?;
        "where" FORWARD [x: F([1024, 1024]), y: F([1024, 1024])] x.gt(0f32)?.where_cond(&x, &y);

        "sum_all" FORWARD [x: F([2048, 2048])] x.sum_all();
        "sum_rows" FORWARD [x: F([4096, 1024])] x.sum(1);
        "sum_columns" FORWARD [x: F([4096, 1024])] x.sum(0);
        "amax" FORWARD [x: F([4096, 1024])] x.max(1);
        "argmax" FORWARD [x: F([4096, 1024])] x.argmax(1);
        "var" FORWARD [x: F([4096, 1024])] x.var(1);
        "logsumexp" BOTH [x: F([4096, 1024])] x.log_sum_exp(1);
        "cumsum" FORWARD [x: F([1024, 1024])] x.cumsum(1);

        "matmul" BOTH [x: F([512, 512]), y: F([512, 512])] x.matmul(&y);
        "bmm" FORWARD [x: F([16, 128, 64]), y: F([16, 64, 128])] x.matmul(&y);
        "linear" BOTH [x: F([64, 784]), w: F([256, 784]), b: F([256])] Linear::new(w, Some(b)).forward(&x);

        "transpose_copy" FORWARD [x: F([1024, 1024])] x.t()?.contiguous();
        "cat" FORWARD [x: F([512, 1024]), y: F([512, 1024])] Tensor::cat(&[x, y], 0);
        "pad" FORWARD [x: F([16, 16, 32, 32])] x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1);
        "roll" FORWARD [x: F([1024, 1024])] x.roll(17, 1);
        "tril" FORWARD [x: F([1024, 1024])] x * Tensor::tril2(1024, DType::F32, dev)?;

        "gather" FORWARD [x: F([1024, 1024]), i: I(1024, [1024, 256])] x.gather(&i, 1);
        "index_select" FORWARD [x: F([10000, 128]), i: I(10000, [4096])] x.index_select(&i, 0);
        "scatter_add" FORWARD [x: F([1024, 1024]), i: I(1024, [1024, 256]), s: F([1024, 256])] x.scatter_add(&i, &s, 1);
        "embedding" BOTH [w: F([10000, 128]), i: I(10000, [32, 64])] Embedding::new(w, 128).forward(&i);
        "sort" FORWARD [x: F([256, 1024])] Ok(x.sort_last_dim(true)?.0);

        // What candle has as one kernel has no gradients there: those are of compositions that it has as well.
        "softmax" FORWARD [x: F([4096, 1024])] ops::softmax_last_dim(&x);
        "softmax" GRADIENTS [x: F([4096, 1024])] ops::softmax(&x, D::Minus1);
        "layer_norm" FORWARD [x: F([4096, 1024]), w: F([1024]), b: F([1024])] ops::layer_norm(&x, &w, &b, EPS as f32);
        "layer_norm" GRADIENTS [x: F([4096, 1024]), w: F([1024]), b: F([1024])] {
            ops::layer_norm_slow(&x, &w, &b, EPS as f32)
        };
        "batch_norm" BOTH [x: F([32, 32, 32, 32]), w: F([32]), b: F([32])] {
            BatchNorm::new(32, zeros(32)?, ones(32)?, w, b, EPS)?.forward_train(&x)
        };
        "cross_entropy" BOTH [x: F([4096, 1000]), i: I(1000, [4096])] loss::cross_entropy(&x, &i);
        "mse_loss" BOTH [x: F([1024, 1024]), y: F([1024, 1024])] loss::mse(&x, &y);

        "conv1d" BOTH [x: F([16, 32, 256]), w: F([64, 32, 5]), b: F([64])] Conv1d::new(w, Some(b), padded).forward(&x);
        "conv2d" BOTH [x: F([16, 16, 32, 32]), w: F([32, 16, 3, 3]), b: F([32])] {
            Conv2d::new(w, Some(b), padded2).forward(&x)
        };
        "conv2d_depthwise" FORWARD [x: F([8, 64, 32, 32]), w: F([64, 1, 3, 3])] x.conv2d(&w, 1, 1, 1, 64);
        "conv_transpose2d" FORWARD [x: F([8, 32, 16, 16]), w: F([32, 16, 2, 2])] x.conv_transpose2d(&w, 0, 0, 2, 1);
        "max_pool2d" BOTH [x: F([16, 32, 32, 32])] x.max_pool2d(2);
        "avg_pool2d" FORWARD [x: F([16, 32, 32, 32])] x.avg_pool2d(2);
        "interpolate" FORWARD [x: F([8, 16, 32, 32])] x.upsample_bilinear2d_with_scale(2.0, 2.0, false);
        "attention" FORWARD [q: F([8, 4, 64, 32]), k: F([8, 4, 64, 32]), v: F([8, 4, 64, 32])] {
            let [q, k, v] = [q.transpose(1, 2)?, k.transpose(1, 2)?, v.transpose(1, 2)?];
            flash_attn::<f32>(&q, &k, &v, 1.0 / 32f32.sqrt(), AttnMask::causal(), None, None)
        };
        "lstm" BOTH [x: F([32, 16, 64]), h: F([1, 16, 64]), wi: F([256, 64]), wh: F([256, 64]), bi: F([256]), bh: F([256])] {
            lstm(x, h, [wi, wh, bi, bh])
        };
        "rand" FORWARD [_x: F([1])] Tensor::rand(0f32, 1f32, (1024, 1024), dev);
    }
}
