//! The scale of a loss: how it follows the gradients, what is saved of it, and what it costs.

use crate::common::own_devices;
use wgrad::amp::{GradScaler, GradScalerOptions};
use wgrad::optim::{Adam, Sgd, clip_grad_norm_};
use wgrad::{Device, Result, StateDict, Tensor, catch};

#[test]
fn the_scale_follows_the_gradients() {
    for dev in own_devices() {
        let p = Tensor::new([1.0, 2.0], &dev).requires_grad_(true).unwrap();
        let mut sgd = Sgd::new([&p], 0.5);
        let options = GradScalerOptions { init_scale: 8.0, growth_interval: 2, ..Default::default() };
        let mut scaler = GradScaler::new(&dev, options);
        let mut step = |factor: f64| -> Result<(f64, Vec<f32>)> {
            p.zero_grad();
            scaler.scale(&(&p * factor).sum()).backward()?;
            scaler.step(&mut sgd)?;
            scaler.update()?;
            Ok((scaler.current_scale()?, p.to_vec()?))
        };
        assert_eq!(step(1.0).unwrap(), (8.0, vec![0.5, 1.5]));
        assert_eq!(step(f64::INFINITY).unwrap(), (4.0, vec![0.5, 1.5]), "the step was skipped");
        assert_eq!(step(f64::NAN).unwrap(), (2.0, vec![0.5, 1.5]));
        assert_eq!(step(1.0).unwrap(), (2.0, vec![0.0, 1.0]));
        assert_eq!(step(1.0).unwrap(), (4.0, vec![-0.5, 0.5]), "two in a row");
        assert_eq!(sgd.skipped_steps().unwrap(), 2);

        // States come back from a file on the CPU.
        let file = |state: StateDict| -> StateDict {
            state.into_iter().map(|(name, x)| (name, x.to_device(&Device::cpu()).unwrap())).collect()
        };
        let (optimizer, scale) = (file(sgd.state_dict()), file(scaler.state_dict()));
        sgd.load_state_dict(&optimizer).unwrap();
        scaler.load_state_dict(&scale).unwrap();
        p.zero_grad();
        scaler.scale(&(&p * f64::NAN).sum()).backward().unwrap();
        scaler.step(&mut sgd).unwrap();
        scaler.update().unwrap();
        assert_eq!((sgd.skipped_steps().unwrap(), scaler.current_scale().unwrap()), (3, 2.0));

        let state = scaler.state_dict();
        let mut other = GradScaler::new(&dev, GradScalerOptions::default());
        other.load_state_dict(&state).unwrap();
        assert_eq!(other.current_scale().unwrap(), 2.0);
        // PyTorch's names, and its own state after a finite step.
        let torch = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files/scaler.pt");
        let torch = wgrad::io::load_pt(torch, &dev).unwrap();
        let torch: StateDict =
            torch.into_iter().map(|(name, x)| (name.strip_prefix("scaler.").unwrap().to_string(), x)).collect();
        assert!(torch.keys().eq(state.keys()), "{:?}", torch.keys());
        other.load_state_dict(&torch).unwrap();
        assert_eq!(other.current_scale().unwrap(), 1024.0);
        for (name, x) in other.state_dict() {
            assert_eq!(x.item().unwrap(), torch[&name].item().unwrap(), "{name}");
        }
        let mut damaged = state.clone();
        damaged.remove("_growth_tracker");
        let error = other.load_state_dict(&damaged).unwrap_err().to_string();
        assert!(error.contains("_growth_tracker"), "{error}");
    }
}

#[test]
fn a_scaler_that_is_off_changes_nothing() {
    let dev = Device::cpu();
    let p = Tensor::new([1.0], &dev).requires_grad_(true).unwrap();
    let mut sgd = Sgd::new([&p], 0.5);
    let mut scaler = GradScaler::new(&dev, GradScalerOptions { enabled: false, ..Default::default() });
    scaler.scale(&p.sum()).backward().unwrap();
    scaler.unscale_(&sgd).unwrap();
    scaler.step(&mut sgd).unwrap();
    scaler.update().unwrap();
    assert_eq!((p.item().unwrap(), p.grad().unwrap().item().unwrap()), (0.5, 1.0));
}

#[test]
fn a_scale_never_becomes_infinite() {
    let dev = Device::cpu();
    let p = Tensor::new([1e-30], &dev).requires_grad_(true).unwrap();
    let mut sgd = Sgd::new([&p], 0.0);
    let options = GradScalerOptions { init_scale: 2e38, growth_interval: 1, ..Default::default() };
    let mut scaler = GradScaler::new(&dev, options);
    p.sum().backward().unwrap();
    scaler.step(&mut sgd).unwrap();
    scaler.update().unwrap();
    assert_eq!(scaler.current_scale().unwrap() as f32, 2e38);
}

#[test]
fn a_scaler_is_used_in_order() {
    let dev = Device::cpu();
    let p = Tensor::new([3.0, 4.0], &dev).requires_grad_(true).unwrap();
    let mut sgd = Sgd::new([&p], 1.0);
    let mut scaler = GradScaler::new(&dev, GradScalerOptions::default());
    assert!(scaler.update().unwrap_err().to_string().contains("no gradients were unscaled"));
    scaler.scale(&(&p * &p).sum()).backward().unwrap();
    scaler.unscale_(&sgd).unwrap();
    assert_eq!(p.grad().unwrap().to_vec::<f32>().unwrap(), [6.0, 8.0]);
    let again = catch(|| scaler.unscale_(&sgd)).unwrap_err().to_string();
    assert!(again.contains("already for this optimizer"), "{again}");
    // Clipped between the two, the gradient is not unscaled again.
    clip_grad_norm_([&p], 1.0, 2.0).unwrap();
    scaler.step(&mut sgd).unwrap();
    assert!((p.to_vec::<f32>().unwrap()[0] - 2.4).abs() < 1e-5);
    let again = catch(|| scaler.step(&mut sgd)).unwrap_err().to_string();
    assert!(again.contains("already for this optimizer"), "{again}");
    scaler.update().unwrap();
    scaler.step(&mut sgd).unwrap();
    scaler.update().unwrap();
    sgd.zero_grad();
    assert!(scaler.step(&mut sgd).unwrap_err().to_string().contains("no parameter of the optimizer has a gradient"));
}

#[test]
fn scaling_waits_for_nothing_and_makes_no_new_plans() {
    for dev in own_devices() {
        let p = Tensor::ones([64], &dev).requires_grad_(true).unwrap();
        let mut adam = Adam::new([&p], 0.01);
        let mut scaler = GradScaler::new(&dev, GradScalerOptions::default());
        let mut before = dev.stats();
        for step in 0..8 {
            if step == 4 {
                before = dev.stats();
            }
            adam.zero_grad();
            scaler.scale(&p.square().sum()).backward().unwrap();
            scaler.step(&mut adam).unwrap();
            scaler.update().unwrap();
        }
        let after = dev.stats();
        // Where a gradient that cannot be computed is known at once, it is looked at before the step.
        let flushes = if dev.name() == "cpu" || dev.name().starts_with("twin") { 8 } else { 4 };
        assert!(after.flushes - before.flushes <= flushes, "the optimizer flushes once a step on {}", dev.name());
        assert_eq!(after.reads, before.reads, "nothing is read back");
        assert_eq!(after.plan_misses, before.plan_misses);
        assert_eq!((after.nodes, after.values), (before.nodes, before.values));
    }
}
