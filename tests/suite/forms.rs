//! The forms of a kernel: tiles of large matrix products and passes over rows, as chosen for the adapter and as any WebGPU
//! device can run them, each compared with the CPU by a twin; and what is computed with each optimisation off.

use crate::cases::all;
use crate::common::gpu;
use wgrad::autograd::{GradOptions, grad};
use wgrad::testing::{open_gpu, open_gpu_with};
use wgrad::{ConvOptions, DType, Device, GpuOptions, Tensor};

/// A twin whose kernels are chosen for the adapter, and one whose kernels are not.
fn twins() -> Vec<Device> {
    if gpu().is_none() {
        return Vec::new();
    }
    let open = |adapted| open_gpu_with(&GpuOptions { adapted, ..Default::default() }, true, None).unwrap();
    vec![open(true), open(false)]
}

/// Numbers between -1 and 1.
fn random(shape: &[usize], dev: &Device) -> Tensor {
    Tensor::rand(shape, dev) * 2.0 - 1.0
}

/// Has the values and all gradients computed; the twin compares.
fn check(name: &str, x: &[Tensor], f: impl Fn(&[Tensor]) -> Tensor) {
    let x: Vec<Tensor> = x.iter().map(|x| x.copy().requires_grad_(true).unwrap()).collect();
    let y = f(&x);
    let g = random(y.shape(), &y.device());
    let options = GradOptions { grad_outputs: vec![Some(g)], ..Default::default() };
    let all: Vec<Tensor> = grad(&[&y], &x.iter().collect::<Vec<_>>(), options).unwrap().into_iter().flatten().collect();
    for x in all.iter().chain([&y]) {
        x.to_data().unwrap_or_else(|error| panic!("{name} on {}: {error}", y.device().name()));
    }
}

#[test]
fn products_of_every_size_and_layout() {
    for dev in twins() {
        for [m, k, n] in [
            [64, 64, 64],
            [37, 53, 70],
            [5, 300, 130],
            [130, 300, 5],
            [1, 600, 200],
            [48, 129, 36],
            [128, 40, 32],
            [20, 1000, 10],
        ] {
            let (a, b) = (random(&[m, k], &dev), random(&[k, n], &dev));
            let name = format!("[{m}, {k}] x [{k}, {n}]");
            check(&name, &[a.clone(), b.clone()], |x| x[0].matmul(&x[1]));
            // Gradients are products with transposed operands; these make all operands transposed.
            check(&name, &[a.t().copy(), b.t().copy()], |x| x[0].t().matmul(&x[1].t()));
            let part = |x: &Tensor| Tensor::cat(&[x.clone(), x.clone()], 1).narrow(1, 3, x.shape()[1]);
            check(&name, &[part(&a), part(&b)], |x| x[0].flip([0]).matmul(&x[1].narrow(1, 1, n - 1)));
        }
    }
}

#[test]
fn products_of_batches_windows_and_many_terms() {
    for dev in twins() {
        let (a, b) = (random(&[6, 40, 36], &dev), random(&[6, 36, 44], &dev));
        check("bmm", &[a.clone(), b], |x| x[0].matmul(&x[1]));
        check("repeated", &[a.clone(), random(&[36, 64], &dev)], |x| x[0].matmul(&x[1]));
        check("heads", &[a], |x| {
            let x = x[0].reshape([6, 40, 4, 9]).permute([0, 2, 1, 3]);
            x.matmul(&x.t())
        });
        check("many terms", &[random(&[8, 33_333], &dev), random(&[33_333, 4], &dev)], |x| x[0].matmul(&x[1]));
        check("many tiles", &[random(&[130, 128, 20], &dev), random(&[130, 20, 128], &dev)], |x| x[0].matmul(&x[1]));
        let options = ConvOptions { padding: 1.into(), ..Default::default() };
        check("conv2d", &[random(&[3, 8, 13, 12], &dev), random(&[40, 8, 3, 3], &dev)], |x| {
            x[0].conv2d(&x[1], None, options.clone())
        });
    }
}

#[test]
fn row_programs_of_every_size() {
    for dev in twins() {
        for [rows, cols] in [[70, 64], [70, 67], [3, 5], [300, 256], [65, 300], [1, 2], [1000, 7]] {
            let x = [random(&[rows, cols], &dev), random(&[cols], &dev), random(&[cols], &dev)];
            let name = |op: &str| format!("{op} of [{rows}, {cols}]");
            check(&name("softmax"), &x[..1], |x| x[0].softmax(1));
            check(&name("log_softmax"), &x[..1], |x| (&x[0] * 3.0).log_softmax(1));
            check(&name("logsumexp"), &x[..1], |x| x[0].logsumexp(1, true) + &x[0]);
            check(&name("var"), &x[..1], |x| x[0].var_dim(1, 1.0, false));
            check(&name("amax"), &x[..1], |x| x[0].tanh().amax(1, false));
            check(&name("layer_norm"), &x, |x| x[0].layer_norm(cols, Some(&x[1]), Some(&x[2]), 1e-5));
            check(&name("rms_norm"), &x[..2], |x| x[0].rms_norm(cols, Some(&x[1]), 1e-5));
            check(&name("a view"), &x[..1], |x| x[0].flip([1]).softmax(1).narrow(1, 1, cols - 1).sum_dim(1, false));
            let counts = x[0].gt(0.25).sum_dim(1, false) + x[0].gt(2.0).any_dim(1, false).cast(DType::I32);
            counts.to_data().unwrap();
        }
        let x = random(&[4, 20, 3, 64], &dev);
        check("several dimensions", &[x], |x| x[0].layer_norm([3, 64], None, None, 1e-5) * x[0].sum_dim([2, 3], true));
    }
}

#[test]
fn what_follows_from_rows_is_one_kernel() {
    let Some(dev) = gpu().map(|_| open_gpu(true, false, None).unwrap()) else { return };
    let (x, w) = (random(&[128, 64], &dev), random(&[64], &dev));
    x.to_data().unwrap();
    w.to_data().unwrap();
    let kernels = |f: &dyn Fn() -> Tensor| {
        let before = dev.stats().kernels;
        f().to_data().unwrap();
        (dev.stats().kernels - before, dev.explain())
    };
    for (name, f) in [
        ("softmax", &(|| x.softmax(1)) as &dyn Fn() -> Tensor),
        ("log_softmax", &|| x.log_softmax(1)),
        ("logsumexp", &|| x.logsumexp(1, false)),
        ("layer_norm", &|| x.layer_norm(64, Some(&w), Some(&w), 1e-5)),
        ("var", &|| x.var_dim(1, 1.0, false)),
    ] {
        let (count, plan) = kernels(f);
        assert_eq!(count, 1, "{name}:\n{plan}");
    }
}

#[test]
fn every_optimisation_can_be_off() {
    if gpu().is_none() {
        return;
    }
    let on = open_gpu(true, false, None).unwrap();
    for options in [
        GpuOptions { tiles: false, ..Default::default() },
        GpuOptions { rows: false, ..Default::default() },
        GpuOptions { adapted: false, ..Default::default() },
    ] {
        let off = Device::gpu_with(&options).unwrap();
        for case in all() {
            let run = |dev: &Device| {
                let x = case.leaves(&case.values(), DType::F32, dev);
                let y = (case.f)(&x);
                if y.requires_grad() {
                    y.sum().backward().unwrap();
                }
                let mut all = vec![y.to_vec::<f32>().unwrap()];
                all.extend(x.iter().filter_map(Tensor::grad).map(|g| g.to_vec::<f32>().unwrap()));
                all
            };
            for (a, b) in run(&on).iter().flatten().zip(run(&off).iter().flatten()) {
                let fits = (a - b).abs() <= 1e-6 * (1.0 + b.abs()) || a.is_nan() && b.is_nan();
                assert!(fits, "{}: {a} with all, {b} with {options:?}", case.name);
            }
        }
    }
}
