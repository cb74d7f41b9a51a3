//! Forward mode and functions of functions: every way to a derivative against the others.

use crate::cases::{Case, all};
use crate::common::{gpu, on_every_device};
use crate::derivatives::direction;
use std::sync::Arc;
use wgrad::autograd::forward_ad::{dual_level, make_dual, unpack_dual};
use wgrad::autograd::{
    CheckpointOptions, Context, Function, GradOptions, apply, checkpoint, grad as grad_of, memory_budget, no_grad,
    save_on_cpu,
};
use wgrad::func::*;
use wgrad::{DType, Device, Result, Tensor};

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec().unwrap()
}

/// Equal to five digits.
#[track_caller]
pub fn close(got: &Tensor, want: &[f32]) {
    let got = values(got);
    assert_eq!(got.len(), want.len(), "{got:?} and {want:?}");
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0)), "{got:?}, not {want:?}");
}

#[track_caller]
pub fn same(got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape(), want.shape());
    close(got, &values(want));
}

/// Fixed numbers of a shape.
pub fn some(shape: &[usize], seed: u64, dev: &Device) -> Tensor {
    direction(shape, seed, DType::F32, dev)
}

pub fn at(x: &Tensor, i: isize) -> Tensor {
    x.select(0, i)
}

#[test]
fn tangents_pass_where_nothing_is_recorded() {
    on_every_device(|dev| {
        let ones = Tensor::ones([1], dev);
        let _level = dual_level()?;
        let d = make_dual(&ones, &ones)?;
        let _unrecorded = no_grad();
        close(&unpack_dual(&(&d * 3.0)).1.unwrap(), &[3.0]);
        Ok(())
    });
}

#[test]
fn tangents_pass_through_writes_and_views() {
    on_every_device(|dev| {
        let _level = dual_level()?;
        let tangent = |x: &Tensor| unpack_dual(x).1.unwrap();
        let d = make_dual(&Tensor::new([[1.0, 2.0], [3.0, 4.0]], dev), &Tensor::new([[1.0, 0.0], [0.0, 2.0]], dev))?;
        let c = d.copy();
        c.select(0, 0).copy_(&(c.select(0, 1) * 2.0))?;
        close(&tangent(&c), &[0.0, 4.0, 0.0, 2.0]);
        // The base is written to, and a view made before follows.
        let row = c.select(0, 1);
        c.mul_(2.0)?;
        close(&tangent(&row), &[0.0, 4.0]);
        c.zero_()?;
        close(&tangent(&row), &[0.0, 0.0]);
        // A composite with a rule of its own, which saves its result.
        let t = tangent(&d.softmax(1));
        let p = 1.0 / (1.0 + 1f32.exp());
        close(&t, &[p * (1.0 - p), -p * (1.0 - p), -2.0 * p * (1.0 - p), 2.0 * p * (1.0 - p)]);
        Ok(())
    });
}

/// `J v` from forward mode, dotted with a fixed direction.
fn push(case: &Case, x: &[Tensor]) -> f64 {
    let directions: Vec<Tensor> =
        x.iter().enumerate().map(|(i, x)| direction(x.shape(), 200 + i as u64, x.dtype(), &x.device())).collect();
    let x: Vec<Tensor> = x.iter().map(Tensor::detach).collect();
    let (_, t) = jvp(|x: &Vec<Tensor>| (case.f)(x), &x, &directions).unwrap();
    (&t * direction(t.shape(), 100, t.dtype(), &t.device())).sum().item().unwrap()
}

#[test]
fn every_operation_carries_tangents_as_backward_carries_gradients() {
    let devices = [Some((Device::cpu(), DType::F64, 1e-9)), gpu().map(|gpu| (gpu, DType::F32, 1e-4))];
    for (dev, dtype, within) in devices.into_iter().flatten() {
        tangents_agree_with_gradients(&dev, dtype, within);
    }
}

/// Single precision and its sums of a few hundred numbers leave an error of 1e-5; a wrong rule errs by far more than 1e-4.
fn tangents_agree_with_gradients(dev: &Device, dtype: DType, within: f64) {
    let mut failures = Vec::new();
    for case in all() {
        let x = case.leaves(&case.values(), dtype, dev);
        let y = (case.f)(&x);
        let u = direction(y.shape(), 100, y.dtype(), &y.device());
        let inputs: Vec<&Tensor> = x.iter().collect();
        let options = GradOptions { allow_unused: Some(true), ..Default::default() };
        let g = grad_of(&[&(&y * &u).sum()], &inputs, options).unwrap();
        let want: f64 = g
            .iter()
            .zip(&x)
            .enumerate()
            .filter_map(|(i, (g, x))| {
                let v = direction(x.shape(), 200 + i as u64, dtype, &x.device());
                g.as_ref().map(|g| (g * v).sum().item().unwrap())
            })
            .sum();
        let got = push(&case, &x);
        if !approx::relative_eq!(got, want, epsilon = within, max_relative = within) {
            failures.push(format!("{}: {got} forward, {want} backward", case.name));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn tangents_of_rows_agree_with_differences() {
    let dev = Device::cpu();
    let mut failures = Vec::new();
    for case in crate::cases::row_cases() {
        let x = case.leaves(&case.values(), DType::F64, &dev);
        let moved = |h: f64| {
            let x: Vec<Tensor> = x
                .iter()
                .enumerate()
                .map(|(i, x)| x.detach() + direction(x.shape(), 200 + i as u64, DType::F64, &dev) * h)
                .collect();
            let y = (case.f)(&x);
            (&y * direction(y.shape(), 100, y.dtype(), &dev)).sum().item().unwrap()
        };
        let (got, want) = (push(&case, &x), (moved(1e-5) - moved(-1e-5)) / 2e-5);
        if !approx::relative_eq!(got, want, epsilon = 1e-7, max_relative = 1e-7) {
            failures.push(format!("{}: tangent {got}, differences give {want}", case.name));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn third_derivatives_agree_in_every_mode() {
    on_every_device(|dev| {
        let f = |x: &Tensor| x.sin() * x.exp();
        let x = Tensor::new(0.7, dev);
        // d³/dx³ sin x eˣ = 2 eˣ (cos x - sin x)
        let want = [2.0 * 0.7f32.exp() * (0.7f32.cos() - 0.7f32.sin())];
        close(&grad(grad(grad(f)))(&x)?, &want);
        close(&jacfwd(jacfwd(jacfwd(f)))(&x)?, &want);
        close(&jacrev(jacfwd(grad(f)))(&x)?, &want);
        close(&jacfwd(jacrev(jacfwd(f)))(&x)?, &want);
        let one = Tensor::ones((), dev);
        let push = |f: &dyn Fn(&Tensor) -> Result<Tensor>, x: &Tensor| Ok(jvp(f, x, &one)?.1);
        let first = |x: &Tensor| push(&|x| Ok(f(x)), x);
        let second = |x: &Tensor| push(&first, x);
        close(&push(&second, &x)?, &want);
        Ok(())
    });
}

#[test]
fn results_have_a_history_only_where_something_outside_has() -> Result<()> {
    let dev = Device::cpu();
    let (x, w) = (some(&[3], 1, &dev), some(&[3], 2, &dev).requires_grad_(true)?);
    let f = |x: &Tensor| x.pow(3.0).sum();
    assert!(!grad(f)(&x)?.requires_grad() && !vjp(f, &x)?.0.requires_grad());
    assert!(!vmap(grad(|x: &Tensor| x.sin()), 0, 0)(&x)?.requires_grad());
    let g = grad(|x: &Tensor| (x.pow(3.0) * &w).sum())(&x)?;
    g.sum().backward()?;
    close(&w.grad().unwrap(), &values(&(x.square() * 3.0)));
    assert!(x.grad().is_none());
    let _unrecorded = no_grad();
    assert!(!grad(f)(&w)?.requires_grad());
    Ok(())
}

#[test]
fn a_level_that_ended_keeps_nothing_alive() -> Result<()> {
    let x = some(&[3], 1, &Device::cpu()).requires_grad_(true)?;
    let token = Arc::new(());
    {
        let _level = dual_level()?;
        // The node saves the result, whose tangent follows from the result.
        let y = make_dual(&x, &x)?.exp();
        let held = token.clone();
        y.register_hook(move |_| {
            let _ = &held;
            None
        })?;
        assert!(unpack_dual(&y).1.unwrap().requires_grad());
    }
    assert_eq!(Arc::strong_count(&token), 1);
    Ok(())
}

#[test]
fn long_chains_carry_tangents_in_linear_time() -> Result<()> {
    let dev = Device::cpu();
    let x = Tensor::ones([1], &dev).requires_grad_(true)?;
    let chain = |x: &Tensor| (0..20_000).fold(x.clone(), |y, _| y * 1.0001);
    let (y, t) = jvp(chain, &x, &Tensor::ones([1], &dev))?;
    assert!((y.item()? - t.item()?).abs() < 1e-4);
    Ok(())
}

/// Rounds, and passes gradients on: no derivative of what it computes.
struct StraightThrough;

impl Function for StraightThrough {
    fn forward(&mut self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].round()])
    }

    fn backward(&self, _: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![gradients[0].clone()])
    }
}

#[test]
fn tangents_of_a_function_follow_from_its_rule_and_not_from_its_operations() {
    on_every_device(|dev| {
        let (x, one) = (Tensor::new([0.4, 1.6], dev), Tensor::ones([2], dev));
        let f = |x: &Tensor| Ok(apply(StraightThrough, &[x])?.remove(0));
        close(&jvp(f, &x, &one)?.1, &[1.0, 1.0]);
        close(&jvp(|x: &Tensor| f(&(x * 3.0)), &x, &one)?.1, &[3.0, 3.0]);
        close(&jacfwd(jacrev(|x: &Tensor| Ok(f(&x.square())?.sum())))(&x)?, &[2.0, 0.0, 0.0, 2.0]);
        Ok(())
    });
}

#[test]
fn tangents_pass_through_whatever_is_done_with_saved_tensors() {
    on_every_device(|dev| {
        let (x, v) = (Tensor::new([0.5, 1.0], dev), Tensor::new([1.0, -2.0], dev));
        let plain = |x: &Tensor| x.sin().exp() * x;
        let region = |x: &[Tensor]| vec![x[0].sin().exp() * &x[0]];
        let checked = |x: &Tensor| checkpoint(region, &[x], CheckpointOptions::default()).remove(0);
        let nested = |x: &Tensor| {
            let outer = move |x: &[Tensor]| checkpoint(region, &[&x[0]], CheckpointOptions::default());
            checkpoint(outer, &[x], CheckpointOptions::default()).remove(0)
        };
        let budgeted = |x: &Tensor| {
            let _scope = memory_budget(0);
            plain(x)
        };
        let on_cpu = |x: &Tensor| {
            let _scope = save_on_cpu();
            plain(x)
        };
        let ways: [&dyn Fn(&Tensor) -> Tensor; 4] = [&checked, &nested, &budgeted, &on_cpu];
        for f in ways {
            same(&jvp(f, &x, &v)?.1, &jvp(plain, &x, &v)?.1);
            let (loss, want) = (|x: &Tensor| f(x).sum(), |x: &Tensor| plain(x).sum());
            same(&hvp(loss, &x, &v)?.1, &hvp(want, &x, &v)?.1);
            same(&hessian(loss)(&x)?, &hessian(want)(&x)?);
            same(&jacfwd(jacfwd(loss))(&x)?, &hessian(want)(&x)?);
            // A tangent that is part of a graph.
            let w = v.detach().requires_grad_(true)?;
            jvp(f, &x, &w)?.1.sum().backward()?;
            same(&w.grad().unwrap(), &grad(want)(&x)?);
        }
        Ok(())
    });
}

/// Fails in backward, and so in forward mode.
struct Failing;

impl Function for Failing {
    fn forward(&mut self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![&inputs[0] * 2.0])
    }

    fn backward(&self, _: &Context, _: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Err(Tensor::ones([1], &Device::cpu()).backward().unwrap_err())
    }
}

#[test]
fn a_tangent_that_fails_is_an_error_for_who_reads_it() {
    on_every_device(|dev| {
        let x = Tensor::new([0.5, 1.0], dev);
        let (y, t) = jvp(|x: &Tensor| Ok(apply(Failing, &[x])?.remove(0) * 3.0), &x, &x)?;
        close(&y, &[3.0, 6.0]);
        assert!(t.to_vec::<f32>().unwrap_err().is_graph());
        Ok(())
    });
}
