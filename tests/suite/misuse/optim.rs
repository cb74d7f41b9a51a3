//! Optimizers: options outside of their ranges, and parameters that are none.

use super::{check, misuse};
use crate::common::{devices, on_every_device};
use wgrad::optim::*;
use wgrad::{Device, Tensor};

/// What no option of these names can be, and what is said of it.
const REFUSED: [(&str, f64, &str); 20] = [
    ("lr", -0.1, "lr must be at least 0, not -0.1"),
    ("lr", f64::NAN, "lr must be at least 0, not NaN"),
    ("weight_decay", -1.0, "weight_decay must be at least 0, not -1"),
    ("momentum", -0.5, "momentum must be at least 0, not -0.5"),
    ("eps", -1e-8, "eps must be at least 0, not -0.00000001"),
    ("eps.0", -1.0, "eps.0 must be at least 0, or NaN, not -1"),
    ("eps.1", -1.0, "eps.1 must be at least 0, not -1"),
    ("betas.0", 1.0, "betas.0 must be at least 0 and less than 1, not 1"),
    ("betas.1", -0.1, "betas.1 must be at least 0 and less than 1, not -0.1"),
    ("betas.1", f64::NAN, "betas.1 must be at least 0 and less than 1, not NaN"),
    ("alpha", -1.0, "alpha must be at least 0, not -1"),
    ("lr_decay", -1.0, "lr_decay must be at least 0, not -1"),
    ("lambd", -1.0, "lambd must be at least 0, not -1"),
    ("momentum_decay", -1.0, "momentum_decay must be at least 0, not -1"),
    ("initial_accumulator_value", -1.0, "initial_accumulator_value must be at least 0, not -1"),
    ("rho", 1.5, "rho must be from 0 to 1, not 1.5"),
    ("beta2_decay", 0.5, "beta2_decay must be at most 0, not 0.5"),
    ("d", 0.5, "d must be at least 1, not 0.5"),
    ("etas.0", 1.0, "etas.0 must be between 0 and 1, not 1"),
    ("etas.1", 1.0, "etas.1 must be more than 1, not 1"),
];

fn leaf(dev: &Device) -> Tensor {
    Tensor::ones([2, 2], dev).copy().requires_grad_(true).unwrap()
}

/// Tries everything on a rule, and says which options it has.
fn refuses<R: Rule + Clone + Default>(dev: &Device) -> Vec<&'static str> {
    let (p, q) = (leaf(dev), leaf(dev));
    let name = R::default().name();
    let mut tried = Vec::new();
    for (option, x, text) in REFUSED.into_iter().filter(|(option, ..)| R::default().option(option).is_some()) {
        let mut rule = R::default();
        assert!(rule.set_option(option, x));
        let text = format!("{name}: {text}");
        check(dev, &text, |_| drop(Optimizer::new(rule.clone(), [&p])));
        check(dev, &text, |_| Optimizer::new(R::default(), [&p]).add_group(rule, [&q]));
        check(dev, &text, |_| Optimizer::new(R::default(), [&p]).set_option(0, option, x));
        tried.push(option);
    }
    check(dev, &format!("{name}: the list of parameters is empty"), |_| drop(Optimizer::new(R::default(), [])));
    let twice = format!("{name}: the parameter of shape [2, 2] is in a group already");
    check(dev, &twice, |_| drop(Optimizer::new(R::default(), [&p, &p])));
    check(dev, &twice, |_| Optimizer::new(R::default(), [&p]).add_group(R::default(), [&q, &p]));
    let kind = format!("{name}: a parameter is a leaf of floats, not a result or f32 elements of [2, 2]");
    check(dev, &kind, |_| drop(Optimizer::new(R::default(), [&(&p * 2.0)])));
    let kind = format!("{name}: a parameter is a leaf of floats, not a result or i32 elements of [1]");
    check(dev, &kind, |d| drop(Optimizer::new(R::default(), [&Tensor::new([1], d)])));
    tried
}

#[test]
fn optimizers_refuse_what_no_option_can_be() {
    let dev = Device::cpu();
    let mut tried = Vec::new();
    macro_rules! all {
        ($($rule:ident)*) => { $({
            let these = refuses::<$rule>(&dev);
            assert!(these.contains(&"lr"));
            tried.extend(these);
        })* };
    }
    all! {
        Sgd Adam AdamW Adamax NAdam RAdam RMSprop Adagrad Adadelta Rprop Asgd Lion Lamb Adafactor Muon
    }
    assert!(REFUSED.iter().all(|(option, ..)| tried.contains(option)), "every row is an option of some rule");
}

#[test]
fn what_does_not_go_together_is_refused() {
    for dev in devices() {
        let (dev, p) = (&dev, leaf(&dev));
        let nesterov = Sgd { nesterov: true, ..Default::default() };
        let want = "Sgd: nesterov needs a momentum, not 0, and no dampening, not 0";
        check(dev, want, |_| drop(nesterov.clone().over([&p])));
        let want = "Sgd: nesterov needs a momentum, not 0.9, and no dampening, not 0.5";
        check(dev, want, |_| drop(Sgd { momentum: 0.9, dampening: 0.5, ..nesterov.clone() }.over([&p])));
        drop(Sgd { momentum: 0.9, ..nesterov }.over([&p]));
        check(
            dev,
            "set_option: Adam has no momentum, only lr, betas.0, betas.1, eps, weight_decay, amsgrad, maximize",
            |_| Adam::new([&p], 0.1).set_option(0, "momentum", 0.9),
        );
        // A group that was refused is not there.
        let (mut sgd, q) = (Sgd::new([&p], 0.1), leaf(dev));
        assert!(misuse(|| sgd.add_group(Sgd::default(), [&q, &p])).contains("is in a group already"));
        assert_eq!((sgd.groups(), sgd.parameters().count()), (1, 1));
        sgd.add_group(Sgd::default(), [&q]);
        assert_eq!((sgd.groups(), sgd.parameters().count()), (2, 2));
        check(dev, "Lbfgs: the list of parameters is empty", |_| drop(Lbfgs::new([])));
        check(dev, "Lbfgs: the parameter of shape [2, 2] is in a group already", |_| drop(Lbfgs::new([&p, &p])));
        let mut lbfgs = Lbfgs::new([&p]);
        lbfgs.lr = -1.0;
        let said = misuse(|| lbfgs.step(|| Ok(p.sum())));
        assert!(said.starts_with("Lbfgs: lr must be at least 0, not -1 (at "), "{said}");
    }
}

#[test]
fn a_step_changes_what_has_a_gradient_alone() {
    on_every_device(|dev| {
        let (p, q) = (leaf(dev), leaf(dev));
        let mut adam = Adam::new([&p, &q], 0.1);
        adam.step()?;
        adam.step_if(&Tensor::new(true, dev))?;
        assert_eq!(Lbfgs::new([&p]).step(|| Ok(q.sum()))?, 4.0);
        assert_eq!(p.to_vec::<f32>()?, [1.0; 4]);
        assert!(adam.state_dict().keys().all(|key| !key.starts_with("state.")));
        p.sum().backward()?;
        adam.step()?;
        assert_eq!(q.to_vec::<f32>()?, [1.0; 4]);
        assert!(adam.state_dict().keys().all(|key| !key.starts_with("state.1")));
        assert!(p.to_vec::<f32>()?[0] < 1.0);
        Ok(())
    });
}
