//! Forward mode and functions of functions: PyTorch's facts, and every way to a derivative against the others.

use crate::cases::{Case, all, structural_cases};
use crate::common::{gpu, on_every_device};
use crate::derivatives::direction;
use std::sync::Arc;
use wgrad::autograd::forward_ad::{dual_level, make_dual, unpack_dual};
use wgrad::autograd::{GradOptions, grad as grad_of, no_grad};
use wgrad::func::*;
use wgrad::{ConvOptions, DType, Device, Result, Tensor};

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec().unwrap()
}

/// Equal to five digits.
#[track_caller]
fn close(got: &Tensor, want: &[f32]) {
    let got = values(got);
    assert_eq!(got.len(), want.len(), "{got:?} and {want:?}");
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0)), "{got:?}, not {want:?}");
}

#[track_caller]
fn same(got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape(), want.shape());
    close(got, &values(want));
}

fn new(x: &[f32], dev: &Device) -> Tensor {
    Tensor::from_slice(x, [x.len()], dev)
}

/// Fixed numbers of a shape.
fn some(shape: &[usize], seed: u64, dev: &Device) -> Tensor {
    direction(shape, seed, DType::F32, dev)
}

fn at(x: &Tensor, i: isize) -> Tensor {
    x.select(0, i)
}

#[test]
fn tangents_live_in_levels() {
    on_every_device(|dev| {
        let ones = Tensor::ones([1], dev);
        let d = {
            let _level = dual_level()?;
            assert!(unpack_dual(&(&ones * 2.0)).1.is_none());
            let d = make_dual(&ones, &ones)?;
            assert!(dual_level().is_err(), "levels do not nest");
            let two = Tensor::ones([2], dev);
            let three = Tensor::ones([3], dev);
            assert!(wgrad::catch(|| make_dual(&two, &three)).is_err(), "another shape");
            assert!(wgrad::catch(|| make_dual(&two, &two.cast(DType::F16))).is_err(), "another dtype");
            let _unrecorded = no_grad();
            close(&unpack_dual(&(&d * 3.0)).1.unwrap(), &[3.0]);
            d
        };
        assert!(make_dual(&ones, &ones).is_err(), "no level");
        let _level = dual_level()?;
        assert!(unpack_dual(&d).1.is_none());
        Ok(())
    });
}

#[test]
fn tangents_pass_through_views_reductions_products_and_writes() {
    on_every_device(|dev| {
        let _level = dual_level()?;
        let tangent = |x: &Tensor| unpack_dual(x).1.unwrap();
        let d = make_dual(&Tensor::new([[1.0, 2.0], [3.0, 4.0]], dev), &Tensor::new([[1.0, 0.0], [0.0, 2.0]], dev))?;
        let a = Tensor::new([[1.0, 1.0], [0.0, 1.0]], dev);
        close(&tangent(&d.matmul(&a).t().select(0, 0).sum()), &[1.0]);
        close(&tangent(&Tensor::where_(&d.gt(2.0), &d * &d, &d)), &[1.0, 0.0, 0.0, 16.0]);
        let c = d.copy();
        c.select(0, 0).copy_(&(c.select(0, 1) * 2.0))?;
        close(&tangent(&c), &[0.0, 4.0, 0.0, 2.0]);
        // The base is written to, and a view made before follows.
        let row = c.select(0, 1);
        c.mul_(2.0)?;
        close(&tangent(&row), &[0.0, 4.0]);
        c.zero_()?;
        assert!(unpack_dual(&row).1.is_none());
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
    let mut failures = Vec::new();
    for case in all() {
        let x = case.leaves(&case.values(), DType::F64, &Device::cpu());
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
                let v = direction(x.shape(), 200 + i as u64, DType::F64, &x.device());
                g.as_ref().map(|g| (g * v).sum().item().unwrap())
            })
            .sum();
        let got = push(&case, &x);
        if !approx::relative_eq!(got, want, epsilon = 1e-9, max_relative = 1e-9) {
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
fn functionals_are_those_of_pytorch() {
    on_every_device(|dev| {
        let j = jacobian(
            |x: &Tensor| Tensor::stack(&[at(x, 0) * at(x, 1), at(x, 0).square(), at(x, 1) * 3.0], 0),
            &new(&[2.0, 5.0], dev),
        )?;
        assert_eq!(j.shape(), [3, 2]);
        close(&j, &[5.0, 2.0, 4.0, 0.0, 0.0, 3.0]);

        close(&hessian(|x: &Tensor| at(x, 0).pow(3.0) * at(x, 1))(&new(&[2.0, 3.0], dev))?, &[36.0, 12.0, 12.0, 0.0]);
        let pair = (Tensor::new(2.0, dev), Tensor::new(3.0, dev));
        let ((aa, ab), (ba, bb)) = hessian(|(a, b): &(Tensor, Tensor)| (a * b * b).sum())(&pair)?;
        assert_eq!([aa, ab, ba, bb].map(|x| x.item().unwrap()), [0.0, 6.0, 6.0, 4.0]);

        let (y, pull) = vjp(|x: &Tensor| x.square(), &new(&[1.0, 2.0, 3.0], dev))?;
        close(&y, &[1.0, 4.0, 9.0]);
        close(&pull(&new(&[1.0, 0.0, 2.0], dev))?, &[2.0, 0.0, 12.0]);

        let f = |x: &Tensor| x.pow(3.0).sum() + at(x, 0) * at(x, 1);
        let (x, v) = (new(&[1.0, 2.0], dev), new(&[1.0, -1.0], dev));
        for (y, h) in [hvp(f, &x, &v)?, vhp(f, &x, &v)?] {
            close(&y, &[11.0]);
            close(&h, &[5.0, -11.0]);
            assert!(!y.requires_grad() && !h.requires_grad());
        }

        let x = new(&[1.0, 2.0], dev).requires_grad_(true)?;
        let j = jacobian(|x: &Tensor| x.pow(3.0), &x)?;
        close(&j, &[3.0, 0.0, 0.0, 12.0]);
        j.sum().backward()?;
        close(&x.grad().unwrap(), &[6.0, 12.0]);
        Ok(())
    });
}

#[test]
fn transforms_compose() {
    on_every_device(|dev| {
        let x = Tensor::new(1.0, dev);
        close(&grad(grad(|x: &Tensor| x.sin()))(&x)?, &[-0.84147]);
        let f = |x: &Tensor| at(x, 0).square() * at(x, 1);
        let x = new(&[2.0, 3.0], dev);
        let want = [6.0, 4.0, 4.0, 0.0];
        close(&jacfwd(jacrev(f))(&x)?, &want);
        close(&jacrev(jacfwd(f))(&x)?, &want);
        close(&jacrev(jacrev(f))(&x)?, &want);
        close(&jacfwd(jacfwd(f))(&x)?, &want);
        close(&hessian(f)(&x)?, &want);
        let samples = new(&[1.0, 3.0], dev);
        let per_sample = vmap(|(w, a): &(Tensor, Tensor)| grad(|w: &Tensor| (w * a).square())(w), (None, 0), 0);
        close(&per_sample(&(Tensor::new(2.0, dev), samples))?, &[4.0, 36.0]);
        Ok(())
    });
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
fn a_batch_of_gradients_is_walked_at_once() {
    on_every_device(|dev| {
        let x = new(&[1.0, 2.0], dev).requires_grad_(true)?;
        let y = Tensor::stack(&[at(&x, 0) * at(&x, 1), at(&x, 0) + at(&x, 1)], 0);
        let batch = Some(Tensor::eye(2, dev));
        let options =
            GradOptions { grad_outputs: vec![batch], is_grads_batched: true, create_graph: true, ..Default::default() };
        let j = grad_of(&[&y], &[&x], options)?.remove(0).unwrap();
        close(&j, &[2.0, 1.0, 1.0, 1.0]);
        j.square().sum().backward()?;
        close(&x.grad().unwrap(), &[2.0, 4.0]);
        Ok(())
    });
}

/// A small network of two layers.
struct Mlp {
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
}
wgrad::tree!(Mlp { w1, b1, w2 });

impl Mlp {
    fn new(dev: &Device) -> Mlp {
        Mlp { w1: some(&[3, 5], 1, dev), b1: some(&[5], 2, dev), w2: some(&[5, 4], 3, dev) }
    }

    fn loss(&self, x: &Tensor, class: &Tensor) -> Tensor {
        (x.unsqueeze(0).matmul(&self.w1) + &self.b1).tanh().matmul(&self.w2).cross_entropy(&class.unsqueeze(0))
    }
}

#[test]
fn per_sample_gradients_of_a_network_are_those_of_a_loop() {
    on_every_device(|dev| {
        let net = Mlp::new(dev);
        let (x, class) = (some(&[6, 3], 4, dev), Tensor::new([0, 1, 2, 3, 1, 0], dev));
        let one = |(x, class): &(Tensor, Tensor)| grad(|net: &Mlp| net.loss(x, class))(&net);
        let all = vmap(one, 0, 0)(&(x.clone(), class.clone()))?;
        assert_eq!(all.w1.shape(), [6, 3, 5]);
        for i in 0..6 {
            let want = one(&(at(&x, i), at(&class, i)))?;
            for (all, want) in all.tensors().iter().zip(want.tensors()) {
                same(&at(all, i), &want);
            }
        }
        Ok(())
    });
}

#[test]
fn per_sample_gradients_of_a_convolution_are_those_of_a_loop() {
    on_every_device(|dev| {
        let w = some(&[2, 3, 3, 3], 1, dev);
        let x = some(&[4, 3, 6, 5], 2, dev);
        let options = || ConvOptions { stride: 2.into(), padding: 1.into(), ..Default::default() };
        let loss = |w: &Tensor, x: &Tensor| {
            x.unsqueeze(0).conv2d(w, None, options()).relu().max_pool2d(2, Default::default()).square().sum()
        };
        let one = |x: &Tensor| grad(|(w, x): &(Tensor, Tensor)| loss(w, x))(&(w.clone(), x.clone()));
        let (gw, gx) = vmap(one, 0, (0, 0))(&x)?;
        for i in 0..4 {
            let (want_w, want_x) = one(&at(&x, i))?;
            same(&at(&gw, i), &want_w);
            same(&at(&gx, i), &want_x);
        }
        Ok(())
    });
}

/// A case and its gradient for two samples at once: the case's own values, and those a little moved.
fn batched(case: &Case, dtype: DType, dev: &Device) -> Option<Result<Vec<[Tensor; 2]>>> {
    let x = case.leaves(&case.values(), dtype, dev);
    let x: Vec<Tensor> = x.iter().map(Tensor::detach).collect();
    let batch: Vec<Tensor> = x.iter().map(|x| Tensor::stack(&[x.clone(), x * 0.99], 0)).collect();
    let run = |x: &Vec<Tensor>| {
        let (y, pull) = vjp(|x: &Vec<Tensor>| (case.f)(x), x)?;
        let g = pull(&direction(y.shape(), 100, dtype, dev).cast(y.dtype()))?;
        Ok::<_, wgrad::Error>([vec![y], g].concat())
    };
    let mapped = || {
        let options = VmapOptions { randomness: Randomness::Same, ..Default::default() };
        let all = vmap_with(run, options)(&batch)?;
        // Copied: a sample's storage is its own, as `as_strided` sees it.
        let alone =
            (0..2).map(|i| run(&batch.iter().map(|x| at(x, i).copy()).collect())).collect::<Result<Vec<_>>>()?;
        let pairs =
            |i: usize| all.iter().map(move |all| at(all, i as isize)).zip(alone[i].clone()).map(|(a, b)| [a, b]);
        Ok((0..2).flat_map(pairs).collect())
    };
    // A case whose shape depends on values reads them, which is refused.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(mapped)) {
        Ok(result) => Some(result),
        Err(panic) if panic.downcast_ref::<String>().is_some_and(|why| why.contains("inside of vmap")) => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[test]
fn every_operation_can_be_batched() {
    let (mut failures, mut refused) = (Vec::new(), Vec::new());
    for case in all() {
        match batched(&case, DType::F64, &Device::cpu()) {
            None => refused.push(case.name),
            Some(Err(error)) => failures.push(format!("{}: {error}", case.name)),
            Some(Ok(pairs)) => {
                for (k, pair) in pairs.iter().enumerate() {
                    let [got, want] = pair.each_ref().map(|x| x.cast(DType::F64).to_vec::<f64>().unwrap());
                    let close = |(a, b): (&f64, &f64)| {
                        a == b || (a - b).abs() < 1e-9 * b.abs().max(1.0) || a.is_nan() && b.is_nan()
                    };
                    if pair[0].shape() != pair[1].shape() || !got.iter().zip(&want).all(close) {
                        failures.push(format!("{}, tensor {k}: {got:?}, not {want:?}", case.name));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(refused.len() < 12, "only what reads values is refused: {refused:?}");
}

#[test]
fn batches_of_structural_operations_agree_on_a_twin() {
    let Some(gpu) = gpu() else { return };
    let twin = Device::twin(&gpu).unwrap();
    for case in structural_cases() {
        for [all, _] in batched(&case, DType::F32, &twin).transpose().unwrap().into_iter().flatten() {
            all.to_data().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        }
    }
}

#[test]
fn batches_nest_and_stand_anywhere() {
    on_every_device(|dev| {
        let (a, b) = (some(&[3, 2], 1, dev), some(&[4, 2], 2, dev));
        // All pairs of rows.
        let dots = vmap(|a: &Tensor| vmap(|b: &Tensor| (a * b).sum(), 0, 0)(&b), 0, 0)(&a)?;
        same(&dots, &a.matmul(&b.t()));
        let x = some(&[2, 3, 4], 3, dev);
        let y = vmap(|x: &Tensor| x.sum_dim(0, false), 1, 1)(&x)?;
        same(&y, &x.sum_dim(0, false).t());
        let y = vmap(|x: &Tensor| x.cumsum(0), -1, -1)(&x.transpose(0, 2))?;
        same(&y, &x.cumsum(2).transpose(0, 2).transpose(0, 1).transpose(0, 1));
        // A part without a batch, and a result without one.
        let options = VmapOptions { in_dims: (None, 1).into(), out_dims: (0, None).into(), ..Default::default() };
        let (y, w) = vmap_with(|(w, x): &(Tensor, Tensor)| (w.t() * x, w.exp()), options)(&(b.clone(), b.clone()))?;
        same(&y, &(b.t() * b.t().unsqueeze(1)));
        same(&w, &b.exp());
        Ok(())
    });
}

#[test]
fn batches_are_differentiable() {
    on_every_device(|dev| {
        let w = some(&[3, 2], 1, dev).requires_grad_(true)?;
        let x = some(&[4, 3], 2, dev).requires_grad_(true)?;
        let f = |x: &Tensor| (x.unsqueeze(0).matmul(&w).tanh().square().sum() * x.sum()).exp();
        let loop_ = || Tensor::stack(&(0..4).map(|i| f(&at(&x, i))).collect::<Vec<_>>(), 0);
        let mapped = || vmap(f, 0, 0)(&x).unwrap();
        same(&mapped(), &loop_());
        let first = |y: Tensor| {
            let options = GradOptions { create_graph: true, ..Default::default() };
            let g = grad_of(&[&(&y * some(&[4], 3, dev)).sum()], &[&w, &x], options).unwrap();
            g.into_iter().flatten().collect::<Vec<_>>()
        };
        let second = |g: Vec<Tensor>| {
            let y = g.iter().enumerate().map(|(i, g)| (g * some(g.shape(), 10 + i as u64, dev)).sum());
            first_of(&y.reduce(|a, b| a + b).unwrap(), &[&w, &x])
        };
        let (got, want) = (first(mapped()), first(loop_()));
        got.iter().zip(&want).for_each(|(a, b)| same(a, b));
        let (got, want) = (second(got), second(want));
        got.iter().zip(&want).for_each(|(a, b)| same(a, b));
        Ok(())
    });
}

fn first_of(y: &Tensor, x: &[&Tensor]) -> Vec<Tensor> {
    grad_of(&[y], x, GradOptions::default()).unwrap().into_iter().flatten().collect()
}

#[test]
fn every_order_of_transforms_agrees() {
    on_every_device(|dev| {
        let x = some(&[3, 2], 1, dev);
        let v = some(&[3, 2], 2, dev);
        let f = |x: &Tensor| (x.square().sum().sin() * at(x, 0)).exp();
        // The slope of the sum of gradients along v: batches inside and outside of both modes.
        let rows = |x: &Tensor| vmap(f, 0, 0)(x);
        let total = |x: &Tensor| Ok::<_, wgrad::Error>(rows(x)?.sum());
        let (_, want) = jvp(grad(|x: &Tensor| (0..3).map(|i| f(&at(x, i))).reduce(|a, b| a + b).unwrap()), &x, &v)?;
        same(&jvp(grad(total), &x, &v)?.1, &want);
        same(&grad(|x: &Tensor| Ok::<_, wgrad::Error>(jvp(rows, x, &v)?.1.sum()))(&x)?, &want);
        same(
            &vmap(|(x, v): &(Tensor, Tensor)| Ok::<_, wgrad::Error>(jvp(grad(f), x, v)?.1), 0, 0)(&(
                x.clone(),
                v.clone(),
            ))?,
            &want,
        );
        same(&jvp(|x: &Tensor| vmap(grad(f), 0, 0)(x), &x, &v)?.1, &want);
        let (_, pull) = vjp(|x: &Tensor| vmap(grad(f), 0, 0)(x), &x)?;
        same(&pull(&v)?, &want);
        let (_, push) = linearize(|x: &Tensor| vmap(grad(f), 0, 0)(x), &x)?;
        same(&push(&v)?, &want);
        Ok(())
    });
}

#[test]
fn randomness_is_refused_shared_or_each_elements_own() {
    for dev in crate::common::own_devices() {
        let x = Tensor::zeros([3, 4], &dev).requires_grad_(true).unwrap();
        let noisy = |x: &Tensor| (x + 1.0).dropout(0.5, true) + x.rand_like();
        assert!(wgrad::catch(|| vmap(noisy, 0, 0)(&x)).is_err());
        let with = |randomness| vmap_with(noisy, VmapOptions { randomness, ..Default::default() })(&x).unwrap();
        let same_draws = values(&with(Randomness::Same));
        assert!(same_draws[..4] == same_draws[4..8] && same_draws[..4] == same_draws[8..]);
        let y = with(Randomness::Different);
        let different = values(&y);
        assert!(different[..4] != different[4..8] && different[4..8] != different[8..]);
        // The mask of backward is that of forward.
        y.sum().backward().unwrap();
        for (y, g) in different.iter().zip(values(&x.grad().unwrap())) {
            assert!(g == 0.0 && *y < 1.0 || g == 2.0 && *y >= 2.0, "{y} has gradient {g}");
        }
        // Inside a batch whose elements share their numbers, another whose elements do not.
        let pairs = Tensor::zeros([2, 3], &dev);
        let inner = |x: &Tensor| {
            let options = VmapOptions { randomness: Randomness::Different, ..Default::default() };
            vmap_with(|x: &Tensor| x.rand_like(), options)(x)
        };
        let shared = VmapOptions { randomness: Randomness::Same, ..Default::default() };
        let y = values(&vmap_with(inner, shared)(&pairs).unwrap());
        assert!(y[..3] == y[3..] && y[0] != y[1]);
        let own = VmapOptions { randomness: Randomness::Different, ..Default::default() };
        let y = values(&vmap_with(inner, own)(&pairs).unwrap());
        assert!(y[..3] != y[3..] && y[0] != y[1]);
    }
}

#[test]
fn what_vmap_cannot_know_is_refused() {
    on_every_device(|dev| {
        let x = some(&[3, 2], 1, dev);
        let read =
            vmap(|x: &Tensor| Ok::<_, wgrad::Error>(if x.sum().item()? > 0.0 { x.clone() } else { -x }), 0, 0)(&x);
        assert!(read.unwrap_err().is_graph());
        // What does not depend on the element can be read.
        let y = vmap(|v: &Tensor| Ok::<_, wgrad::Error>(v * x.sum().item()?), 0, 0)(&x)?;
        same(&y, &(&x * x.sum()));
        let c = Tensor::zeros([2], dev);
        assert!(wgrad::catch(|| vmap(|x: &Tensor| c.add_(x).cloned(), 0, 0)(&x)).is_err(), "written outside");
        assert_eq!(values(&c), [0.0, 0.0]);
        assert!(wgrad::catch(|| vmap(|x: &Tensor| x.clone(), None, 0)(&x)).is_err(), "no batch");
        assert!(wgrad::catch(|| vmap(|x: &Tensor| x.clone(), 2, 0)(&x)).is_err(), "no such dimension");
        assert!(wgrad::catch(|| vmap(|x: &Tensor| x.exp(), 0, None)(&x)).is_err(), "out_dims None");
        let two = (x.clone(), some(&[4, 2], 2, dev));
        assert!(wgrad::catch(|| vmap(|(a, b): &(Tensor, Tensor)| a + b, 0, 0)(&two)).is_err(), "different sizes");
        // Elements may be written to: so is the batch.
        let y = x.copy();
        vmap(|x: &Tensor| x.mul_(2.0).cloned(), 0, 0)(&y)?;
        same(&y, &(&x * 2.0));
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
