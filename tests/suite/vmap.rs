//! Batches: `vmap` against loops, for every operation, in every order with the other transforms, and what it refuses.

use crate::cases::{Case, all, structural_cases};
use crate::common::{gpu, on_every_device, own_devices};
use crate::derivatives::direction;
use crate::func::{at, same, some};
use wgrad::autograd::{CheckpointOptions, GradOptions, checkpoint, grad as grad_of};
use wgrad::func::*;
use wgrad::{BatchNormOptions, ConvOptions, DType, Device, Result, Tensor};

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec().unwrap()
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
        // Copied, since `as_strided` sees what a view leaves out.
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
    // Every operation stands in several cases, and a twin is slow.
    for case in structural_cases().iter().step_by(3) {
        for [all, _] in batched(case, DType::F32, &twin).transpose().unwrap().into_iter().flatten() {
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
fn running_statistics_are_not_shared_by_the_elements_of_a_batch() {
    on_every_device(|dev| {
        let (mean, var) = (Tensor::zeros([2], dev), Tensor::ones([2], dev));
        let x = some(&[3, 4, 2], 1, dev);
        let norm = |x: &Tensor, mean: &Tensor, var: &Tensor| {
            let (running_mean, running_var) = (Some(mean.clone()), Some(var.clone()));
            x.batch_norm(BatchNormOptions { running_mean, running_var, training: true, ..Default::default() })
        };
        let error = wgrad::catch(|| vmap(|x: &Tensor| norm(x, &mean, &var), 0, 0)(&x)).err().unwrap().to_string();
        assert!(
            error.starts_with("batch_norm: inside of vmap") && error.contains("running ones, of shape [2]"),
            "{error}"
        );
        let each = (x, Tensor::zeros([3, 2], dev), Tensor::ones([3, 2], dev));
        vmap(|(x, mean, var): &(Tensor, Tensor, Tensor)| norm(x, mean, var), 0, 0)(&each)?;
        same(&(each.1 * 10.0), &each.0.mean_dim(1, false));
        Ok(())
    });
}

#[test]
fn a_checkpoint_in_a_batch_draws_for_each_element_what_it_drew_before() -> Result<()> {
    for dev in own_devices() {
        for randomness in [Randomness::Different, Randomness::Same] {
            let region = |x: &[Tensor]| (x[0].rand_like() * &x[0]).sin();
            let g = |checkpointed: bool| {
                dev.manual_seed(3);
                let x = Tensor::ones([4, 3], &dev).requires_grad_(true)?;
                let f = move |x: &Tensor| match checkpointed {
                    true => checkpoint(region, &[x], CheckpointOptions::default()),
                    false => region(std::slice::from_ref(x)),
                };
                let y = vmap_with(f, VmapOptions { randomness, ..Default::default() })(&x)?;
                y.sum().backward()?;
                x.grad().unwrap().to_vec::<f32>()
            };
            let (plain, again) = (g(false)?, g(true)?);
            assert_eq!(plain, again, "{randomness:?} on {}", dev.name());
            assert_eq!(plain[..3] == plain[3..6], randomness == Randomness::Same);
        }
    }
    Ok(())
}

#[test]
fn a_checkpoint_draws_the_same_on_every_device() -> Result<()> {
    let [a, b, as_if] = [(); 3].map(|()| wgrad::testing::open_cpu());
    // The first device is that of the inputs; the second is one that the region alone knows of, and seeds.
    for seeds in [false, true] {
        let x = Tensor::ones([8], &a).requires_grad_(true)?;
        let other = b.clone();
        let region = move |x: &[Tensor]| {
            if seeds {
                other.manual_seed(5);
            }
            let there = Tensor::rand([8], &other).to_device(&x[0].device()).unwrap();
            x[0].rand_like() * &x[0] * there
        };
        let y = checkpoint(region, &[&x], CheckpointOptions::default());
        let seen = y.to_vec::<f32>()?;
        Tensor::rand([2], &b);
        y.sum().backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, seen, "the factor that it was multiplied by");
        // What comes next is as if nothing was computed again.
        if seeds {
            as_if.manual_seed(5);
        }
        Tensor::rand([8], &as_if);
        Tensor::rand([2], &as_if);
        assert_eq!(Tensor::rand([2], &b).to_vec::<f32>()?, Tensor::rand([2], &as_if).to_vec::<f32>()?);
    }
    Ok(())
}

#[test]
fn a_batch_in_chunks_is_the_batch() -> Result<()> {
    for dev in own_devices() {
        let (x, w) = (Tensor::rand([3, 5], &dev), Tensor::rand([3], &dev).requires_grad_(true)?);
        let run = |chunk_size, randomness| {
            dev.manual_seed(2);
            let options = VmapOptions { in_dims: 1.into(), out_dims: (1, None).into(), randomness, chunk_size };
            let noisy = randomness != Randomness::Error;
            let f = |x: &Tensor| ((x * &w).sin() + if noisy { x.rand_like() } else { x.zeros_like() }, &w * 2.0);
            let (y, shared) = vmap_with(f, options)(&x)?;
            w.zero_grad();
            (y.square().sum() + shared.sum()).backward()?;
            Ok::<_, wgrad::Error>((y.shape().to_vec(), values(&y), w.grad().unwrap()))
        };
        for randomness in [Randomness::Error, Randomness::Same] {
            let (shape, whole, g) = run(None, randomness)?;
            for chunk in [1, 2, 4, 7] {
                let (chunked_shape, chunked, chunked_g) = run(Some(chunk), randomness)?;
                assert_eq!(
                    (&chunked_shape, &chunked),
                    (&shape, &whole),
                    "{randomness:?}, {chunk} at once on {}",
                    dev.name()
                );
                assert!(chunked_g.allclose(&g, 1e-5, 1e-5, false)?);
            }
        }
        assert_ne!(run(Some(2), Randomness::Different)?.1, run(Some(2), Randomness::Same)?.1);
    }
    Ok(())
}
