//! Modules and optimizers against PyTorch's own, whose states, inputs, results, gradients and steps
//! `tests/interop/modules.py` wrote down; it reads what is left in `WGRAD_INTEROP`.

use crate::common::on_every_device;
use std::collections::BTreeMap;
use std::path::Path;
use wgrad::nn::*;
use wgrad::optim::*;
use wgrad::{
    BackwardOptions, ConvOptions, ConvTransposeOptions, DType, Device, EmbeddingOptions, PadMode, Padding, Result,
    RnnOptions, StateDict, Tensor,
    io::{load_safetensors, save_safetensors},
};

fn written(dev: &Device) -> BTreeMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files/modules.safetensors");
    load_safetensors(path, dev).unwrap()
}

/// The tensors whose names begin so, without the beginning.
fn part(all: &BTreeMap<String, Tensor>, prefix: &str) -> StateDict {
    let named = all.iter().filter_map(|(name, x)| Some((name.strip_prefix(prefix)?.to_string(), x.clone())));
    named.collect()
}

#[track_caller]
fn close(what: &str, got: &Tensor, want: &Tensor, within: f64) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let (got, want) = (got.to_data().unwrap().to_f64(), want.to_data().unwrap().to_f64());
    for (i, (a, b)) in got.iter().zip(&want).enumerate() {
        assert!((a - b).abs() <= within * b.abs().max(1.0), "{what}, element {i}: {a}, and PyTorch has {b}");
    }
}

struct Cases {
    all: BTreeMap<String, Tensor>,
}

impl Cases {
    /// Loads PyTorch's state into a module and compares its result, its gradients and its state afterwards.
    fn module<M: Module>(&self, name: &str, net: M, forward: impl Fn(&M, &[Tensor]) -> Tensor) -> Result<()> {
        let case = part(&self.all, &format!("{name}/"));
        assert!(!case.is_empty(), "no case {name}");
        net.load_state_dict(&part(&case, "state/"))?;
        assert_eq!(
            net.state_dict().into_keys().collect::<Vec<_>>(),
            part(&case, "state/").into_keys().collect::<Vec<_>>()
        );
        let inputs: Vec<Tensor> = part(&case, "x").into_values().collect();
        let inputs =
            inputs.iter().map(|x| x.copy().requires_grad_(x.dtype().is_float())).collect::<Result<Vec<_>>>()?;
        let y = forward(&net, &inputs);
        close(&format!("{name}: y"), &y, &case["y"], 2e-6);
        y.backward_with(Some(&case["g"]), BackwardOptions::default())?;
        let parameters = net.named_parameters();
        let named = inputs.iter().enumerate().map(|(i, x)| (format!("x{i}"), x.clone()));
        for (key, p) in named.chain(parameters).filter(|(_, x)| x.requires_grad()) {
            let g = p.grad().unwrap_or_else(|| p.zeros_like());
            close(&format!("{name}: gradient of {key}"), &g, &case[&format!("grad/{key}")], 5e-6);
        }
        for (key, buffer) in net.named_buffers() {
            close(&format!("{name}: {key}"), &buffer, &case[&format!("after/{key}")], 2e-6);
        }
        if let Some(folder) = std::env::var_os("WGRAD_INTEROP") {
            // Copies, as a second forward pass changes the statistics of norms.
            let state = net.state_dict().into_iter().map(|(key, x)| (format!("state/{key}"), x.detach().copy()));
            let mut left: Vec<_> = state.collect();
            left.extend(inputs.iter().enumerate().map(|(i, x)| (format!("x{i}"), x.detach())));
            left.push(("y".into(), forward(&net, &inputs).detach()));
            save_safetensors(Path::new(&folder).join(format!("module_{name}.safetensors")), &left)?;
        }
        Ok(())
    }

    fn layer(&self, name: &str, net: impl Layer) -> Result<()> {
        self.module(name, net, |net, x| net.forward(&x[0]))
    }
}

#[test]
fn modules_compute_what_those_of_pytorch_do() {
    on_every_device(|dev| {
        let cases = Cases { all: written(dev) };
        cases.layer("linear", Linear::new(3, 4, dev))?;
        cases.layer("linear_bf16", Linear::new(24, 8, (dev, DType::BF16)))?;
        cases.module("bilinear", Bilinear::new(3, 2, 4, dev), |net, x| net.forward(&x[0], &x[1]))?;
        let options =
            ConvOptions { stride: 2.into(), padding: 2.into(), dilation: 2.into(), groups: 2, ..Default::default() };
        cases.layer("conv1d", Conv1d::new(4, 6, 3, options, dev))?;
        let options = ConvOptions { padding: [1, 0].into(), ..Default::default() };
        cases.layer("conv2d", Conv2d::new(2, 3, [2, 3], options, dev))?;
        cases.layer("conv3d", Conv3d::new(1, 2, 2, ConvOptions::default(), dev))?;
        for (name, mode) in
            [("reflect", PadMode::Reflect), ("replicate", PadMode::Replicate), ("circular", PadMode::Circular)]
        {
            let options = ConvOptions { stride: 2.into(), padding: 3.into(), padding_mode: mode, ..Default::default() };
            cases.layer(&format!("conv1d_{name}"), Conv1d::new(2, 3, 4, options, dev))?;
            let (padding, dilation) = (Padding::Same, [2, 1].into());
            let options = ConvOptions { padding, dilation, padding_mode: mode, ..Default::default() };
            cases.layer(&format!("conv2d_{name}"), Conv2d::new(2, 2, [2, 3], options, dev))?;
        }
        let options = ConvTransposeOptions {
            stride: 2.into(),
            padding: 1.into(),
            output_padding: 1.into(),
            groups: 2,
            ..Default::default()
        };
        cases.layer("conv_transpose1d", ConvTranspose1d::new(4, 2, 3, options, dev))?;
        let options = ConvTransposeOptions { stride: 2.into(), ..Default::default() };
        cases.layer("conv_transpose2d", ConvTranspose2d::new(2, 3, 2, options, dev))?;
        let options = EmbeddingOptions { padding_idx: Some(2), ..Default::default() };
        cases.layer("embedding", Embedding::new(6, 3, options, dev))?;
        cases.layer("layer_norm", LayerNorm::new([3, 4], dev))?;
        cases.layer("rms_norm", RMSNorm { eps: Some(1e-6), ..RMSNorm::new(4, dev) })?;
        cases.layer("group_norm", GroupNorm::new(2, 4, dev))?;
        cases.layer("batch_norm1d", BatchNorm1d::new(3, dev))?;
        cases.layer("batch_norm2d", BatchNorm2d::new(3, dev))?;
        cases.layer("batch_norm1d_averaged", BatchNorm1d { momentum: None, ..BatchNorm1d::new(3, dev) })?;
        let evaluated = BatchNorm2d::new(3, dev);
        evaluated.eval();
        cases.layer("batch_norm2d_eval", evaluated)?;
        cases.layer("instance_norm2d", InstanceNorm2d::affine(3, dev))?;
        cases.layer("prelu", PReLU::new(3, dev))?;
        Ok(())
    });
}

#[test]
fn sequences_are_those_of_pytorch() {
    on_every_device(|dev| {
        let cases = Cases { all: written(dev) };
        let two = || RnnOptions { num_layers: 2, ..Default::default() };
        cases.module("rnn", Rnn::new(3, 4, two(), dev), |net, x| net.forward(&x[0], None).0)?;
        let both = RnnOptions { bidirectional: true, batch_first: true, ..two() };
        cases.module("lstm", Lstm::new(3, 4, both, dev), |net, x| net.forward(&x[0], None).0)?;
        cases.module("gru", Gru::new(3, 4, RnnOptions::default(), dev), |net, x| net.forward(&x[0], None).0)?;
        cases.module("lstm_cell", LstmCell::new(3, 4, dev), |net, x| net.forward(&x[0], None).0)?;
        cases.module("gru_cell", GruCell::new(3, 4, dev), |net, x| net.forward(&x[0], None))?;

        let projected = RnnOptions { bidirectional: true, ..two() };
        let projected = Lstm::with_projection(3, 4, 2, projected, dev);
        cases.module("lstm_projected", projected, |net, x| net.forward(&x[0], None).0)?;
        let mut rnn = Rnn::new(3, 4, RnnOptions::default(), dev);
        rnn.nonlinearity = RnnNonlinearity::ReLU;
        cases.module("rnn_relu", rnn, |net, x| net.forward(&x[0], None).0)?;
        let cell = RnnCell { nonlinearity: RnnNonlinearity::ReLU, ..RnnCell::new(3, 4, dev) };
        cases.module("rnn_cell_relu", cell, |net, x| net.forward(&x[0], None))?;

        let attention = MultiheadAttention::with_dims(4, 2, 3, 5, dev);
        cases.module("attention_dims", attention, |net, x| {
            net.forward(&x[0], &x[1], &x[2], Default::default()).output
        })?;
        let mut attention = MultiheadAttention::new(4, 2, dev);
        attention.batch_first = true;
        let mask = Tensor::new([[false, true, false], [false, false, true]], dev);
        cases.module("attention", attention, |net, x| {
            let options = MultiheadAttentionOptions { key_padding_mask: Some(mask.clone()), ..Default::default() };
            net.forward(&x[0], &x[1], &x[2], options).output
        })?;
        let options = TransformerOptions { dim_feedforward: 6, dropout: 0.0, batch_first: true, ..Default::default() };
        let causal = || MultiheadAttentionOptions {
            attn_mask: Some(Tensor::ones([3, 3], (dev, DType::Bool)).triu(1)),
            is_causal: true,
            ..Default::default()
        };
        cases
            .module("encoder", TransformerEncoder::new(2, 4, 2, options, dev), |net, x| net.forward(&x[0], causal()))?;
        let first = TransformerOptions { norm_first: true, activation: Tensor::gelu, ..options };
        cases.module("encoder_first", TransformerEncoderLayer::new(4, 2, first, dev), |net, x| {
            net.forward(&x[0], Default::default())
        })?;
        cases.module("decoder", TransformerDecoderLayer::new(4, 2, options, dev), |net, x| {
            net.forward(&x[0], &x[1], Default::default(), Default::default())
        })
    });
}

/// The parameters that the script begins with.
fn parameters() -> Vec<Tensor> {
    let dev = Device::cpu();
    let line = |from, to, n| Tensor::linspace(from, to, n, (&dev, DType::F64));
    let p = [line(-1.0, 2.0, 6).reshape([2, 3]), line(0.5, 1.5, 4)];
    p.into_iter().map(|p| p.copy().requires_grad_(true).unwrap()).collect()
}

/// The script's valley.
fn loss(p: &[Tensor]) -> Tensor {
    let scale = Tensor::linspace(0.2, 2.0, 6, (&Device::cpu(), DType::F64)).reshape([2, 3]);
    let sides = (scale * (&p[0] - 0.3).square()).sum() + (p[1].sin() * &p[1]).sum();
    sides + (p[0].sum() * p[1].mean()).square() * 0.1
}

fn compare(
    name: &str,
    all: &BTreeMap<String, Tensor>,
    p: &[Tensor],
    within: f64,
    mut step: impl FnMut() -> Result<()>,
) -> Result<()> {
    for i in 0.. {
        let Some(want) = all.get(&format!("optim/{name}/{i}/0")) else {
            assert!(i > 0, "no case {name}");
            return Ok(());
        };
        step()?;
        close(&format!("{name}, step {i}"), &p[0], want, within);
        close(&format!("{name}, step {i}"), &p[1], &all[&format!("optim/{name}/{i}/1")], within);
    }
    Ok(())
}

#[test]
fn optimizers_step_where_those_of_pytorch_do() -> Result<()> {
    let all = written(&Device::cpu());
    let near = |name: &str, within: f64, make: &dyn Fn(&[Tensor]) -> Optimizer| {
        let p = parameters();
        let mut optimizer = make(&p);
        compare(name, &all, &p, within, || {
            optimizer.zero_grad();
            loss(&p).backward()?;
            optimizer.step()
        })
    };
    let rule = |name: &str, make: &dyn Fn(&[Tensor]) -> Optimizer| near(name, 1e-6, make);
    rule("rprop", &|p| Rprop { lr: 0.05, ..Default::default() }.over(p))?;
    rule("asgd", &|p| {
        Asgd { lr: 0.05, lambd: 0.01, alpha: 0.6, t0: 2.0, weight_decay: 0.1, ..Default::default() }.over(p)
    })?;
    rule("adafactor", &|p| Adafactor { lr: 0.1, weight_decay: 0.05, ..Default::default() }.over(p))?;
    rule("sgd_dampened", &|p| {
        Sgd { lr: 0.05, momentum: 0.9, dampening: 0.3, weight_decay: 0.1, ..Default::default() }.over(p)
    })?;
    rule("nadam", &|p| {
        NAdam { lr: 0.05, decoupled_weight_decay: true, weight_decay: 0.1, ..Default::default() }.over(p)
    })?;
    rule("radam", &|p| RAdam { lr: 0.05, weight_decay: 0.1, ..Default::default() }.over(p))?;
    rule("adamax", &|p| Adamax { lr: 0.05, weight_decay: 0.1, ..Default::default() }.over(p))?;
    rule("adadelta", &|p| Adadelta { lr: 0.5, weight_decay: 0.1, ..Default::default() }.over(p))?;
    rule("adagrad", &|p| {
        let options = Adagrad { lr: 0.1, lr_decay: 0.1, initial_accumulator_value: 0.2, ..Default::default() };
        Adagrad { weight_decay: 0.1, ..options }.over(p)
    })?;
    rule("rmsprop", &|p| {
        RMSprop { lr: 0.02, momentum: 0.5, centered: true, weight_decay: 0.1, ..Default::default() }.over(p)
    })?;
    rule("amsgrad", &|p| AdamW { lr: 0.05, amsgrad: true, weight_decay: 0.2, ..Default::default() }.over(p))?;

    // As their papers write them, in a few lines of the script.
    rule("lion", &|p| Lion { lr: 0.03, weight_decay: 0.1, ..Default::default() }.over(p))?;
    rule("lamb", &|p| Lamb { lr: 0.03, weight_decay: 0.1, ..Default::default() }.over(p))?;
    let muon = |options: Muon, p: &[Tensor]| {
        let mut muon = Muon { lr: 0.03, ..options }.over(&p[..1]);
        muon.add_group(Sgd { lr: 0.03, ..Default::default() }, &p[1..]);
        muon
    };
    // PyTorch iterates in bfloat16, whose steps are off by some 2⁻⁸; in double precision it takes the same ones.
    near("muon", 4e-3, &|p| muon(Muon::default(), p))?;
    rule("muon_double", &|p| muon(Muon::default(), p))?;
    rule("muon_plain", &|p| muon(Muon { nesterov: false, momentum: 0.8, ns_steps: 3, ..Default::default() }, p))?;

    for (name, strong_wolfe) in [("lbfgs", false), ("lbfgs_wolfe", true)] {
        let p = parameters();
        let mut lbfgs = Lbfgs::new(&p);
        lbfgs.strong_wolfe = strong_wolfe;
        match strong_wolfe {
            true => lbfgs.max_iter = 5,
            false => (lbfgs.lr, lbfgs.max_iter, lbfgs.history_size) = (0.2, 4, 3),
        }
        lbfgs.max_eval = lbfgs.max_iter * 5 / 4;
        let zero = p.clone();
        compare(name, &all, &p, 1e-6, || {
            lbfgs.step(|| {
                zero.iter().for_each(Tensor::zero_grad);
                let y = loss(&zero);
                y.backward()?;
                Ok(y)
            })?;
            Ok(())
        })?;
    }
    Ok(())
}
