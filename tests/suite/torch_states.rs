//! States of optimizers to and from PyTorch: `tests/interop/optimizers.py` wrote some, and reads what is left in
//! `WGRAD_INTEROP`.

use crate::common::on_every_device;
use crate::files::fixture;
use std::path::PathBuf;
use wgrad::io::{load_pt, save_safetensors};
use wgrad::optim::*;
use wgrad::{Device, Result, StateDict, Tensor};

/// The entries whose names begin so, without the beginning.
fn part(all: &StateDict, prefix: &str) -> StateDict {
    all.iter().filter_map(|(name, x)| Some((name.strip_prefix(prefix)?.to_string(), x.clone()))).collect()
}

/// The script's parameters with these elements.
fn parameters(x: &Tensor, dev: &Device) -> Result<Vec<Tensor>> {
    let x = Tensor::from_slice(&x.to_vec::<f64>()?, 10, (dev, wgrad::DType::F32));
    let p = [x.narrow(0, 0, 6).reshape([2, 3]), x.narrow(0, 6, 4)];
    p.into_iter().map(|p| p.copy().requires_grad_(true)).collect()
}

/// The script's valley.
fn loss(p: &[Tensor]) -> Tensor {
    let sides = (&p[0] - 0.3).square().sum() + (p[1].sin() * &p[1]).sum();
    sides + (p[0].sum() * p[1].mean()).square() * 0.1
}

/// The largest distance of the parameters from PyTorch's.
fn distance(p: &[Tensor], want: &Tensor) -> Result<f64> {
    let got = p.iter().map(Tensor::to_vec::<f64>).collect::<Result<Vec<_>>>()?.concat();
    Ok(got.iter().zip(want.to_vec::<f64>()?).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
}

#[test]
fn states_of_pytorchs_optimizers_are_gone_on_from() {
    on_every_device(|dev| {
        // Read on the CPU, where doubles stay doubles, whatever device the parameters are on.
        let all = load_pt(fixture("optimizers.pt"), &Device::cpu())?;
        let go_on = |name: &str, within: f64, make: &dyn Fn(&[Tensor]) -> Optimizer| -> Result<()> {
            let case = part(&all, &format!("{name}."));
            let p = parameters(&case["before"], dev)?;
            let mut optimizer = make(&p);
            optimizer.load_state_dict(&part(&case, "optimizer."))?;
            let steps = |optimizer: &mut Optimizer| {
                (0..3).try_for_each(|_| {
                    optimizer.zero_grad();
                    loss(&p).backward()?;
                    optimizer.step()
                })
            };
            steps(&mut optimizer)?;
            let far = distance(&p, &case["after"])?;
            assert!(far < within, "{name} is {far:e} from PyTorch's on {}", dev.name());
            if let Some(out) = std::env::var_os("WGRAD_INTEROP").map(PathBuf::from) {
                // Copies, as the next steps change the tensors of a state.
                let state = optimizer.state_dict().into_iter().map(|(key, x)| (key, x.copy()));
                let mut left: Vec<_> = state.chain((0..2).map(|i| (format!("p{i}"), p[i].detach().copy()))).collect();
                steps(&mut optimizer)?;
                let after: Vec<Tensor> = p.iter().map(|p| p.detach().reshape(-1)).collect();
                left.push(("after".into(), Tensor::cat(&after, 0)));
                save_safetensors(out.join(format!("optimizer_{name}.safetensors")), &left)?;
            }
            Ok(())
        };
        // None of the options is repeated here: all of them come from the state.
        go_on("sgd", 2e-6, &|p| Sgd::default().over(p))?;
        go_on("adam", 2e-6, &|p| Adam::default().over(p))?;
        go_on("adam_double", 2e-6, &|p| Adam::default().over(p))?;
        go_on("adamw", 2e-6, &|p| AdamW::default().over(p))?;
        go_on("rmsprop", 2e-6, &|p| RMSprop::default().over(p))?;
        go_on("adagrad", 2e-6, &|p| Adagrad::default().over(p))?;
        go_on("adadelta", 2e-6, &|p| Adadelta::default().over(p))?;
        go_on("adamax", 2e-6, &|p| Adamax::default().over(p))?;
        go_on("nadam", 2e-6, &|p| NAdam::default().over(p))?;
        go_on("radam", 2e-6, &|p| RAdam::default().over(p))?;
        go_on("rprop", 2e-6, &|p| Rprop::default().over(p))?;
        go_on("asgd", 2e-6, &|p| Asgd::default().over(p))?;
        go_on("adafactor", 2e-6, &|p| Adafactor::default().over(p))?;
        // PyTorch's Muon iterates in bfloat16, whose steps are off by some 2⁻⁸.
        go_on("muon", 4e-3, &|p| Muon::default().over(&p[..1]))?;

        let case = part(&all, "lbfgs.");
        let p = parameters(&case["before"], dev)?;
        let mut lbfgs = Lbfgs::new(&p);
        (lbfgs.lr, lbfgs.max_iter, lbfgs.max_eval, lbfgs.history_size) = (0.2, 4, 5, 2);
        lbfgs.load_state_dict(&part(&case, "optimizer."))?;
        for _ in 0..3 {
            lbfgs.step(|| {
                p.iter().for_each(Tensor::zero_grad);
                let y = loss(&p);
                y.backward()?;
                Ok(y)
            })?;
        }
        let far = distance(&p, &case["after"])?;
        assert!(far < 1e-5, "lbfgs is {far:e} from PyTorch's on {}", dev.name());
        Ok(())
    });
}

#[test]
fn what_would_change_the_steps_is_refused_by_name() -> Result<()> {
    let all = load_pt(fixture("optimizers.pt"), &Device::cpu())?;
    let p = parameters(&all["muon.before"], &Device::cpu())?;
    let refused = |mut optimizer: Optimizer, name: &str, key: &str, x: f64| {
        let mut state = part(&all, &format!("{name}.optimizer."));
        match x.is_nan() {
            true => drop(state.remove(key).unwrap_or_else(|| panic!("there was no {key}"))),
            false => drop(state.insert(key.into(), Tensor::full((), x, (&Device::cpu(), wgrad::DType::F64)))),
        }
        let error = optimizer.load_state_dict(&state).unwrap_err();
        assert!(error.is_data());
        error.to_string()
    };
    let muon = || Muon::default().over(&p[..1]);
    let adam = || Adam::default().over(&p);
    let cases = [
        (
            refused(muon(), "muon", "param_groups.0.maximize", 1.0),
            "param_groups.0.maximize is 1, and Muon knows 0 alone",
        ),
        (
            refused(adam(), "adam", "param_groups.0.decoupled_weight_decay", 1.0),
            "param_groups.0.decoupled_weight_decay is 1, and Adam knows 0 alone",
        ),
        (
            refused(adam(), "adam", "param_groups.0.momentum", 0.5),
            "param_groups.0.momentum is 0.5, and Adam knows 0 alone",
        ),
        (refused(adam(), "adam", "param_groups.0.lr", -0.5), "param_groups.0.lr must be at least 0, not -0.5"),
        (
            refused(adam(), "adam", "param_groups.0.params.1", f64::NAN),
            "param_groups.0.params are 1, and the group has 2",
        ),
        (refused(adam(), "adam", "param_groups.1.lr", 0.5), "there is no parameter or group for param_groups.1.lr"),
        (refused(adam(), "adam", "state.1.step", f64::NAN), "the state has no state.1.step"),
        (refused(adam(), "adam", "state.0.eta", 0.5), "Adam keeps no state state.0.eta"),
        (refused(adam(), "adam", "state.0.exp_avg", f64::NAN), "the state has no state.0.exp_avg"),
        (refused(adam(), "adam", "param_groups.0.amsgrad", 1.0), "the state has no state.0.max_exp_avg_sq"),
        (
            refused(RMSprop::default().over(&p), "rmsprop", "state.1.grad_avg", f64::NAN),
            "the state has no state.1.grad_avg",
        ),
        (
            refused(NAdam::default().over(&p), "nadam", "state.0.mu_product", f64::NAN),
            "the state has no state.0.mu_product",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, format!("load_state_dict: {want}"));
    }
    assert_eq!(refused(adam(), "adam", "param_groups.0.lr", f64::NAN), "the state has no param_groups.0.lr");
    let adafactor = Adafactor::default().over(&p);
    let said = refused(adafactor, "adafactor", "param_groups.0.eps.1", f64::NAN);
    assert_eq!(said, "the state has no param_groups.0.eps.1");
    // PyTorch's None, which is no entry, takes the place of a number.
    let mut adafactor = Adafactor { eps: (0.5, 1e-3), ..Default::default() }.over(&p);
    adafactor.load_state_dict(&part(&all, "adafactor.optimizer."))?;
    assert!(adafactor.option(0, "eps.0").unwrap().is_nan());
    let lbfgs = |key: &str, x: f64| {
        let mut state = part(&all, "lbfgs.optimizer.");
        state.insert(key.into(), Tensor::full((), x, (&Device::cpu(), wgrad::DType::F64)));
        let mut lbfgs = Lbfgs::new(&p);
        lbfgs.history_size = 1;
        lbfgs.load_state_dict(&state).map(|()| lbfgs.state_dict())
    };
    for (key, x, want) in [
        ("state.0.exp_avg", 0.0, "Lbfgs keeps no state state.0.exp_avg"),
        ("state.0.dirt", 0.0, "Lbfgs keeps no state state.0.dirt"),
        ("param_groups.0.maximize", 1.0, "param_groups.0.maximize is 1, and Lbfgs knows 0 alone"),
    ] {
        assert_eq!(lbfgs(key, x).unwrap_err().to_string(), format!("load_state_dict: {want}"));
    }
    // Of two changes the last one is kept, as the next step would.
    let (kept, given) = (lbfgs("param_groups.0.maximize", 0.0)?, part(&all, "lbfgs.optimizer."));
    assert!(given.contains_key("state.0.old_stps.1") && !kept.contains_key("state.0.old_stps.1"));
    assert_eq!(kept["state.0.old_stps.0"].to_vec::<f32>()?, given["state.0.old_stps.1"].to_vec::<f32>()?);
    Ok(())
}
