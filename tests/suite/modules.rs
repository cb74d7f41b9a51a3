//! Modules: names, state, training and evaluation, hooks; and optimizers that skip, stop and go on.

use crate::common::{on_every_device, own_devices};
use std::sync::{Arc, Mutex};
use wgrad::nn::{
    BatchNorm1d, Dropout, Layer, Linear, Lstm, Module, MultiheadAttention, MultiheadAttentionOptions, ReLU, Sequential,
    TransformerEncoderLayer, TransformerOptions,
};
use wgrad::optim::{Adam, AdamW, Muon, Optimizer, Sgd};
use wgrad::{DType, Device, Result, RnnOptions, Tensor, catch};

fn names(module: &dyn Module) -> Vec<String> {
    module.state_dict().into_keys().collect()
}

#[test]
fn names_are_those_of_pytorch() {
    let dev = Device::cpu();
    let options = TransformerOptions { dim_feedforward: 4, ..Default::default() };
    let layer = TransformerEncoderLayer::new(4, 2, options, &dev);
    assert_eq!(
        names(&layer),
        [
            "linear1.bias",
            "linear1.weight",
            "linear2.bias",
            "linear2.weight",
            "norm1.bias",
            "norm1.weight",
            "norm2.bias",
            "norm2.weight",
            "self_attn.in_proj_bias",
            "self_attn.in_proj_weight",
            "self_attn.out_proj.bias",
            "self_attn.out_proj.weight",
        ]
    );
    let options = RnnOptions { num_layers: 2, bidirectional: true, bias: false, ..Default::default() };
    let lstm = Lstm::new(3, 2, options, &dev);
    assert_eq!(lstm.named_parameters()[2].0, "weight_ih_l0_reverse");
    assert_eq!(lstm.state_dict()["weight_ih_l1"].shape(), [8, 4]);
    assert_eq!(
        names(&BatchNorm1d::new(2, &dev)),
        ["bias", "num_batches_tracked", "running_mean", "running_var", "weight"]
    );
}

#[test]
fn a_state_that_does_not_fit_changes_nothing() {
    on_every_device(|dev| {
        let net = Sequential::new().then(Linear::new(2, 3, dev)).then(ReLU::new()).then(Linear::new(3, 1, dev));
        let before = net.parameters()[0].to_vec::<f32>()?;
        let mut state = Sequential::new().then(Linear::new(2, 3, dev)).then(Linear::new(4, 1, dev)).state_dict();
        let wide = Linear::new(4, 1, dev).state_dict();
        state.insert("2.weight".into(), wide["weight"].clone());
        let error = net.load_state_dict(&state).unwrap_err();
        assert!(error.is_data());
        assert_eq!(
            error.to_string(),
            "load_state_dict: missing: 2.bias; unexpected: 1.bias, 1.weight; 2.weight has the shape [1, 4] instead of [1, 3]"
        );
        assert_eq!(net.parameters()[0].to_vec::<f32>()?, before);
        let report = net.load_matching(&state)?;
        assert_eq!(report.mis_shaped, [("2.weight".to_string(), vec![1, 4], vec![1, 3])]);
        assert_eq!(net.parameters()[0].to_vec::<f32>()?, state["0.weight"].to_vec::<f32>()?);
        Ok(())
    });
}

#[test]
fn a_shared_parameter_stays_shared_when_it_moves() -> Result<()> {
    let dev = Device::cpu();
    let mut net = vec![Linear::new(2, 2, &dev), Linear::new(2, 2, &dev)];
    net[1].weight = net[0].weight.clone();
    assert_eq!(net.named_parameters().len(), 3);
    net.to_dtype(DType::F64)?;
    assert!(net[0].weight.is_same(&net[1].weight) && net[0].weight.requires_grad());
    assert_eq!(net.state_dict().len(), 4);
    Ok(())
}

#[test]
fn evaluation_reaches_all_modules() {
    let dev = Device::cpu();
    let net = Sequential::new().then(Dropout::new(1.0)).then(Sequential::new().then(BatchNorm1d::new(1, &dev)));
    net.eval();
    let y = net.forward(&Tensor::new([[2.0], [4.0]], &dev)).to_vec::<f64>().unwrap();
    assert!((y[0] - 2.0).abs() < 1e-4 && (y[1] - 4.0).abs() < 1e-4, "{y:?}");
}

#[test]
fn hooks_see_and_replace() {
    on_every_device(|dev| {
        let net = Sequential::new().then(Linear::new(2, 2, dev)).then(ReLU::new());
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let order = order.clone();
            move || order.lock().unwrap().push(what)
        };
        let hooks = net.hooks("0").expect("a linear layer has hooks");
        let (before, after, backward) = (note("before"), note("after"), note("backward"));
        hooks.register_forward_pre_hook(move |inputs| {
            before();
            Some(vec![inputs[0].zeros_like()])
        });
        let last = hooks.register_forward_hook(move |_, outputs| {
            after();
            Some(vec![outputs[0].ones_like() + &outputs[0] * 0.0])
        });
        hooks.register_full_backward_hook(move |inputs, outputs| {
            backward();
            assert_eq!(outputs[0].as_ref().unwrap().shape(), [1, 2]);
            Some(vec![inputs[0].as_ref().map(|g| g.ones_like() * 7.0)])
        });
        let x = Tensor::new([[1.0, 2.0]], dev).requires_grad_(true)?;
        let y = net.forward(&x);
        assert_eq!(y.to_vec::<f32>()?, [1.0, 1.0]);
        y.sum().backward()?;
        assert_eq!(*order.lock().unwrap(), ["before", "after", "backward"]);
        last.remove();
        net.forward(&x);
        assert_eq!(*order.lock().unwrap(), ["before", "after", "backward", "before"]);
        Ok(())
    });
}

#[test]
fn attention_is_the_same_with_and_without_its_weights() {
    on_every_device(|dev| {
        let attention = MultiheadAttention::new(4, 2, dev);
        let x = Tensor::new([[0.1, -0.2, 0.3, 0.4], [0.5, 0.6, -0.7, 0.8], [0.9, -1.0, 1.1, 1.2]], dev);
        let hidden = Tensor::new([false, false, true], dev);
        let options = |need_weights| MultiheadAttentionOptions {
            key_padding_mask: Some(hidden.clone()),
            is_causal: true,
            need_weights,
            ..Default::default()
        };
        let (a, b) = (attention.forward(&x, &x, &x, options(false)), attention.forward(&x, &x, &x, options(true)));
        assert!(a.weights.is_none() && a.output.allclose(&b.output, 1e-5, 1e-6, false)?);
        let weights = b.weights.expect("they were wanted").to_vec::<f64>()?;
        let seen: Vec<bool> = weights.iter().map(|&w| w > 0.0).collect();
        assert_eq!(seen, [true, false, false, true, true, false, true, true, false]);
        Ok(())
    });
}

/// Whether two optimizers have the same state and their parameters the same bits.
fn twins(a: (&Optimizer, &Tensor), b: (&Optimizer, &Tensor)) -> Result<bool> {
    Ok(a.1.to_vec::<f32>()? == b.1.to_vec::<f32>()? && a.0.state_dict().len() == b.0.state_dict().len())
}

#[test]
fn a_skipped_step_is_as_if_it_had_not_been() {
    on_every_device(|dev| {
        let leaf = || Tensor::new([1.0, -2.0], dev).requires_grad_(true);
        let (p, q) = (leaf()?, leaf()?);
        let rule = AdamW { lr: 0.1, ..Default::default() };
        let (mut a, mut b) = (rule.clone().over([&p]), rule.over([&q]));
        a.skip_non_finite(true);
        b.skip_non_finite(true);
        for step in 0..5 {
            let g = Tensor::new([0.3, step as f64], dev);
            if step % 2 == 1 {
                p.set_grad(Some(&g * f64::INFINITY));
                a.step()?;
            }
            p.set_grad(Some(g.clone()));
            q.set_grad(Some(g));
            a.step()?;
            b.step()?;
        }
        assert!(twins((&a, &p), (&b, &q))?);
        assert_eq!((a.skipped_steps()?, b.skipped_steps()?), (2, 0));
        Ok(())
    });
}

#[test]
fn an_optimizer_goes_on_from_its_state() {
    on_every_device(|dev| {
        let leaf = || Tensor::new([[1.0, -2.0], [0.5, 0.25]], dev).requires_grad_(true);
        let (p, q) = (leaf()?, leaf()?);
        let loss = |p: &Tensor| {
            p.zero_grad();
            (p.square() * p).sum().backward()
        };
        for make in [|p: &Tensor| Adam::new([p], 0.05), |p: &Tensor| Muon::new([p], 0.05)] {
            let (mut a, mut b) = (make(&p), make(&q));
            for _ in 0..3 {
                loss(&p)?;
                a.step()?;
            }
            a.set_lr(0.01);
            q.detach().copy_(&p.detach())?;
            b.load_state_dict(&a.state_dict())?;
            for _ in 0..3 {
                loss(&p)?;
                loss(&q)?;
                a.step()?;
                b.step()?;
            }
            assert!(twins((&a, &p), (&b, &q))?);
        }
        Ok(())
    });
}

#[test]
fn unknown_states_are_named() -> Result<()> {
    let p = Tensor::ones([2], &Device::cpu()).copy().requires_grad_(true)?;
    let mut adam = Adam::new([&p], 0.1);
    let refused = |adam: &mut Optimizer, key: &str, x: Tensor| {
        let mut state = adam.state_dict();
        state.insert(key.into(), x);
        adam.load_state_dict(&state).unwrap_err().to_string()
    };
    let ones = |shape: &[usize]| Tensor::ones(shape, &Device::cpu());
    assert_eq!(
        refused(&mut adam, "state.0.momentum_buffer", ones(&[2])),
        "load_state_dict: Adam keeps no state state.0.momentum_buffer"
    );
    assert_eq!(
        refused(&mut adam, "state.0.exp_avg", ones(&[3])),
        "load_state_dict: state.0.exp_avg has the shape [3] instead of [2]"
    );
    assert_eq!(
        refused(&mut adam, "state.1.exp_avg", ones(&[2])),
        "load_state_dict: there is no parameter or group for state.1.exp_avg"
    );
    Ok(())
}

#[test]
fn misuse_of_modules_and_optimizers_is_named() {
    for dev in own_devices() {
        let p = Tensor::ones([2], &dev).copy().requires_grad_(true).unwrap();
        let said = |error: wgrad::Error| error.to_string().split(" (at ").next().unwrap().to_string();
        let twice = catch(|| Sgd::new([&p, &p], 0.1)).err().map(said);
        assert_eq!(twice.as_deref(), Some("Sgd: the parameter of shape [2] is in a group already"));
        let result = catch(|| Sgd::new([&(&p * 2.0)], 0.1)).err().map(said);
        assert_eq!(
            result.as_deref(),
            Some("Sgd: a parameter is a leaf of floats, not a result or f32 elements of [2]")
        );
        let heads = catch(|| MultiheadAttention::new(4, 3, &dev)).err().map(said);
        assert_eq!(heads.as_deref(), Some("MultiheadAttention: 3 heads do not divide 4"));
        let input = catch(|| BatchNorm1d::new(2, &dev).forward(&p)).err().map(said);
        assert_eq!(input.as_deref(), Some("BatchNorm1d: needs [2, 3] dimensions, and the input has [2]"));
    }
}
