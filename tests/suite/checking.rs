//! What helps to find errors in models: gradient checks, anomaly detection, messages that name the line.

use crate::common::devices;
use std::panic::Location;
use wgrad::autograd::{
    self, Context, Function, GradOptions, GradcheckOptions, apply, detect_anomaly, gradcheck, gradgradcheck,
    saved_tensors_hooks,
};
use wgrad::func::{grad, hessian, jacrev, vmap};
use wgrad::testing::with_rule;
use wgrad::{BackwardOptions, DType, Device, Error, Result, Tensor};

pub fn leaf(x: &[f64], dev: &Device) -> Tensor {
    Tensor::from_slice(x, [x.len()], dev).requires_grad_(true).unwrap()
}

fn double(x: &[f64]) -> Tensor {
    Tensor::from_slice(x, [x.len()], (&Device::cpu(), DType::F64)).requires_grad_(true).unwrap()
}

/// The line this is called from, in this file.
#[track_caller]
pub fn line() -> u32 {
    Location::caller().line()
}

/// Asserts that an error's text has all these parts.
#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn an_anomaly_names_the_node_the_line_and_the_shapes_and_stops_backward() {
    for dev in devices() {
        let (a, b) = (leaf(&[1.0, 2.0, 3.0], &dev), leaf(&[4.0, 0.0, 4.0], &dev));
        let (x, at) = (&a * &b, line());
        let y = x.sqrt().sum();
        let _scope = detect_anomaly(true);
        // The slope of the root of 0 is infinite, which passes, and times 0 no number.
        let error = y.backward().unwrap_err();
        says(&error, &["Function 'MulBackward0' returned nan values in its 0th output.", "gradient of shape [3]"]);
        says(&error, &[&format!("checking.rs:{at}:")]);
        assert!(a.grad().is_none() && b.grad().is_none());
    }
}

struct Broken;

impl Function for Broken {
    fn forward(&mut self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![&inputs[0] * 2.0])
    }

    fn backward(&self, _: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        // Whatever goes wrong in here is passed on.
        gradients[0].as_ref().unwrap().backward()?;
        Ok(vec![None])
    }
}

#[test]
fn a_backward_that_fails_says_which_forward_line_it_was_for() {
    let x = leaf(&[1.0], &Device::cpu());
    let (y, at) = (apply(Broken, &[&x]).unwrap().remove(0), line());
    let plain = y.backward_with(None, BackwardOptions { retain_graph: Some(true), ..Default::default() }).unwrap_err();
    assert!(!plain.to_string().contains("recorded at"), "{plain}");
    let _scope = detect_anomaly(false);
    let error = y.backward().unwrap_err();
    assert!(error.is_graph());
    says(&error, &[&plain.to_string(), &format!("BrokenBackward was recorded at tests/suite/checking.rs:{at}:")]);
}

#[test]
fn gradcheck_tells_the_wrong_one_of_several_inputs_outputs_and_elements() {
    for fast_mode in [true, false] {
        let options = || GradcheckOptions { fast_mode, ..Default::default() };
        let (a, b) = (double(&[0.5, 1.5, 2.5]), double(&[1.0, -1.0]));
        let c = Tensor::ones([2], (&Device::cpu(), DType::F64));
        let f = |slope: f64| {
            move |x: &[Tensor]| {
                let slopes = Tensor::from_slice(&[1.0, slope], [2], (&x[1].device(), DType::F64));
                let odd = with_rule(&x[1], x[1].copy(), move |g| g * &slopes);
                vec![x[0].exp(), x[0].sum() * odd * &x[2], x[1].gt(0.0)]
            }
        };
        gradcheck(f(1.0), &[&a, &b, &c], options()).unwrap();
        gradgradcheck(f(1.0), &[&a, &b, &c], options()).unwrap();
        let error = gradcheck(f(1.5), &[&a, &b, &c], options()).unwrap_err();
        says(
            &error,
            &["output 1 with respect to input 1", "element [1] of the output, of shape [2]", "element [1] of"],
        );
        says(&error, &["backward gives 6.75, differences give 4."]);

        // A result that has no gradient must not depend on the inputs.
        let cut = |x: &[Tensor]| vec![x[0].detach() * 2.0];
        says(&gradcheck(cut, &[&a], options()).unwrap_err(), &["backward gives 0, differences give 2"]);
        gradcheck(|x: &[Tensor]| vec![x[0].detach() * 0.0], &[&a], options()).unwrap();
        // What is no number is as wrong as can be.
        let nan = |x: &[Tensor]| vec![with_rule(&x[0], x[0].copy(), |g| g * f64::NAN)];
        says(&gradcheck(nan, &[&a], options()).unwrap_err(), &["backward gives NaN"]);
        // Elements without any.
        gradcheck(|x: &[Tensor]| vec![x[0].exp()], &[&double(&[])], options()).unwrap();
    }
}

/// `x³`, whose rule for tangents is right for a factor of 1.
struct Cube {
    factor: f64,
}

impl Function for Cube {
    fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        ctx.save_for_backward(&[&inputs[0]]);
        Ok(vec![inputs[0].pow(3)])
    }

    fn backward(&self, ctx: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![gradients[0].as_ref().map(|g| g * 3.0 * ctx.saved_tensors()[0].square())])
    }

    fn jvp(&self, ctx: &Context, tangents: &[Option<Tensor>]) -> Option<Result<Vec<Option<Tensor>>>> {
        let x = &ctx.saved_tensors()[0];
        Some(Ok(vec![tangents[0].as_ref().map(|t| t * (3.0 * self.factor) * x.square())]))
    }

    fn once_differentiable(&self) -> bool {
        self.factor != 1.0
    }
}

#[test]
fn gradcheck_compares_tangents_too() {
    let cube = |factor: f64| move |x: &[Tensor]| apply(Cube { factor }, &[&(&x[0] * 2.0)]).unwrap();
    let x = double(&[0.5, -1.5, 2.5]);
    for fast_mode in [true, false] {
        let options = || GradcheckOptions { fast_mode, check_forward_ad: true, ..Default::default() };
        gradcheck(cube(1.0), &[&x], options()).unwrap();
        gradgradcheck(cube(1.0), &[&x], options()).unwrap();
        gradgradcheck(|x| vec![x[0].sin() * &x[0], x[0].gt(0.0)], &[&x], options()).unwrap();
        gradcheck(cube(2.0), &[&x], GradcheckOptions { check_forward_ad: false, ..options() }).unwrap();
        let error = gradcheck(cube(2.0), &[&x], options()).unwrap_err();
        says(&error, &["output 0 with respect to input 0", "forward mode gives"]);
    }
}

#[test]
fn anomalies_are_found_in_every_kind_of_batch() {
    for dev in devices() {
        let x = Tensor::new([[1.0, 2.0], [0.0, 4.0]], &dev);
        let good = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev);
        let _scope = detect_anomaly(true);
        // The slope of the root of 0 is infinite, and times 0 no number: in the second sample alone.
        let h = |x: &Tensor| x.square().sqrt().sum();
        let mut errors = vec![vmap(|x: &Tensor| grad(h)(x), 0, 0)(&x).unwrap_err()];
        vmap(|x: &Tensor| grad(h)(x), 0, 0)(&good).unwrap();
        errors.push(jacrev(|x: &Tensor| x.square().sqrt())(&x).unwrap_err());
        let rows = (&x * 1.0).requires_grad_(true).unwrap();
        let (y, other) = (rows.square().sqrt().sum_dim(1, false), line());
        let options = GradOptions {
            grad_outputs: vec![Some(Tensor::eye(2, &dev))],
            is_grads_batched: true,
            ..Default::default()
        };
        says(
            &autograd::grad(&[&y], &[&rows], options).unwrap_err(),
            &["returned nan values", &format!("checking.rs:{other}:")],
        );
        // The walk of a batch's own node, and batches inside of batches.
        let leaf = x.copy().requires_grad_(true).unwrap();
        errors.push(vmap(h, 0, 0)(&leaf).unwrap().sum().backward().unwrap_err());
        let twice = x.reshape([2, 1, 2]);
        errors.push(vmap(vmap(grad(h), 0, 0), 0, 0)(&twice).unwrap_err());
        errors.push(hessian(h)(&x.select(0, 1)).unwrap_err());
        for error in &errors {
            assert!(error.is_anomaly(), "{error}");
            says(error, &["returned nan values in its 0th output. It was recorded at tests/suite/checking.rs:"]);
        }
        hessian(h)(&good.select(0, 1)).unwrap();
        jacrev(|x: &Tensor| x.square().sqrt())(&good).unwrap();
        // What was in doubt is settled, and a batch that fails on its way leaves nothing behind.
        let failing = |x: &Tensor| -> Result<Tensor> {
            grad(h)(x)?;
            x.sum().item()?;
            Ok(x.clone())
        };
        assert!(vmap(failing, 0, 0)(&x).unwrap_err().is_graph());
        vmap(|x: &Tensor| grad(h)(x), 0, 0)(&good).unwrap();
    }
}

#[test]
fn messages_name_the_line_of_the_user() {
    struct TooMany;
    impl Function for TooMany {
        fn forward(&mut self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
            Ok(vec![&inputs[0] * 2.0])
        }

        fn backward(&self, _: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
            Ok(vec![gradients[0].clone(), gradients[0].clone()])
        }
    }
    for dev in devices() {
        let x = leaf(&[1.0, 2.0], &dev);
        let (y, at) = (apply(TooMany, &[&x]).unwrap().remove(0), line());
        let error = wgrad::catch(|| y.sum().backward()).unwrap_err();
        says(
            &error,
            &["TooManyBackward: recorded at ", &format!("checking.rs:{at}:"), "gave 2 gradients for 1 inputs"],
        );
        let (hook, at) = (x.register_hook(|g| Some(g.sum())), line());
        let error = wgrad::catch(|| (&x * 2.0).sum().backward()).unwrap_err();
        says(&error, &["f32 of shape [] for f32 of [2]", "registered at ", &format!("checking.rs:{at}:")]);
        hook.unwrap().remove();
        // What a hook unpacks must be what it packed.
        for wrong in [|x: &Tensor| x.sum(), |x: &Tensor| x.cast(DType::F16)] {
            let (y, at) = {
                let _scope = saved_tensors_hooks(|x| x, move |x| Ok(wrong(x)));
                (x.exp(), line())
            };
            let error = y.sum().backward().unwrap_err();
            says(
                &error,
                &["ExpBackward0", &format!("checking.rs:{at}"), "packed by a hook as f32 of shape [2]", "unpacked as"],
            );
        }
    }
}

#[test]
fn gradcheck_knows_results_batches_and_chance() {
    let x = double(&[0.5, -1.5, 2.5]);
    let all = || GradcheckOptions { check_forward_ad: true, check_batched_grad: true, ..Default::default() };
    // One tensor, a tuple, a result.
    gradcheck(|x| x[0].sin(), &[&x], all()).unwrap();
    gradcheck(|x| (x[0].sin(), x[0].exp().sum()), &[&x], all()).unwrap();
    gradcheck(|x| Ok(apply(Cube { factor: 1.0 }, &[&x[0]])?.remove(0)), &[&x], all()).unwrap();
    gradgradcheck(|x| Ok(apply(Cube { factor: 1.0 }, &[&x[0]])?.remove(0)), &[&x], all()).unwrap();
    let refused = |x: &[Tensor]| -> Result<Tensor> {
        Tensor::ones([1], &x[0].device()).backward()?;
        Ok(x[0].clone())
    };
    assert!(gradcheck(refused, &[&x], all()).unwrap_err().is_graph());
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let count = || calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64;
    let by_chance = |x: &[Tensor]| &x[0] + 1e-3 * count();
    says(&gradcheck(by_chance, &[&x], all()).unwrap_err(), &["the function is not deterministic: output 0"]);
    gradcheck(|x| &x[0] + 1e-9 * count(), &[&x], GradcheckOptions { nondet_tol: 1.0, eps: 1.0, ..all() }).unwrap();
    let chance = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let backward = |x: &[Tensor]| {
        let chance = chance.clone();
        with_rule(&x[0], x[0].copy(), move |g| {
            g * (1.0 + 1e-7 * chance.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64)
        })
    };
    let error = gradcheck(backward, &[&x], GradcheckOptions::default()).unwrap_err();
    says(&error, &["backward is not deterministic: the gradient of input 0 from output 0", "and in another run"]);
}
