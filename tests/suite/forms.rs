//! The forms of a kernel: tiles of large matrix products and passes over rows, as chosen for the adapter and as any WebGPU
//! device can run them, each compared with the CPU by a twin; and what is computed with each optimisation off.

use crate::cases::all;
use crate::common::gpu;
use std::slice::from_ref;
use wgrad::autograd::{GradOptions, grad};
use wgrad::testing::{open_gpu, open_gpu_with};
use wgrad::{Combine, ConvOptions, DType, Device, GpuOptions, Tensor};

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
            x.matmul(&x.transpose(-2, -1))
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

type Function = fn(&Tensor) -> Tensor;

/// What a network does with rows, each with one result.
const ROWS: [(&str, Function); 9] = [
    ("softmax", |x| x.softmax(-1)),
    ("log_softmax", |x| x.log_softmax(-1)),
    ("logsumexp", |x| x.logsumexp(-1, false)),
    ("layer_norm", |x| x.layer_norm(*x.shape().last().unwrap(), None, None, 1e-5)),
    ("rms_norm", |x| x.rms_norm(*x.shape().last().unwrap(), None, 1e-5)),
    ("var", |x| x.var_dim(-1, 1.0, false)),
    ("sum", |x| x.sum_dim(-1, false)),
    ("amax", |x| x.amax(-1, true) - x),
    ("amin", |x| x.tanh().amin(-1, false)),
];

#[test]
fn rows_are_read_through_any_view() {
    let views: [(&str, Function); 9] = [
        ("transposed", |x| x.t()),
        ("backwards", |x| x.flip([0, 1])),
        ("off the quads", |x| x.narrow(1, 1, 64)),
        ("every second row", |x| x.slice(0, 0, 70, 2)),
        ("every second column", |x| x.slice(1, 1, 129, 2)),
        ("one row for all", |x| x.select(0, 3).expand([80, 132])),
        ("one number for each row", |x| x.narrow(1, 5, 1).expand([70, 64])),
        ("cut into more rows", |x| x.reshape([140, 66])),
        ("in four dimensions", |x| x.reshape([7, 10, 12, 11]).permute([2, 0, 3, 1])),
    ];
    for dev in twins() {
        let x = random(&[70, 132], &dev);
        for (view, of) in views {
            for (op, f) in ROWS {
                check(&format!("{op} of {view}"), from_ref(&x), |x| f(&of(&x[0])));
            }
        }
        // One operand is read in as many elements as the other, and has other dimensions.
        check("two shapes", &[x.clone(), random(&[9240], &dev)], |x| {
            (x[0].softmax(1).flatten(0, -1) * &x[1]).reshape([70, 132]).sum_dim(1, false)
        });
        check("a number", &[x, random(&[], &dev)], |x| (&x[0] * &x[1]).softmax(1) + &x[1]);
    }
}

#[test]
fn rows_of_numbers_that_are_not_finite() {
    let inf = f32::INFINITY;
    let special: [&[f32]; 7] =
        [&[-inf], &[inf], &[f32::NAN], &[-inf, 1.0], &[inf, -inf], &[0.5, inf], &[f32::NAN, -inf]];
    for dev in twins() {
        for cols in [5, 64, 131] {
            // Each row has them at one place of two, of three and so on; the last rows have none.
            let rows: Vec<Vec<f32>> = (0..70)
                .map(|r| {
                    let special = special[r % special.len()];
                    let every = r / special.len() + 1;
                    let at = |c: usize| {
                        if r < 63 && c.is_multiple_of(every) {
                            special[c / every % special.len()]
                        } else {
                            c as f32 / 100.0
                        }
                    };
                    (0..cols).map(at).collect()
                })
                .collect();
            let x = Tensor::from_slice(&rows.concat(), [70, cols], &dev);
            for (op, f) in ROWS {
                check(&format!("{op} of {cols}"), from_ref(&x), |x| f(&x[0]));
            }
            let largest: Vec<f32> = x.amax(1, false).to_vec().unwrap();
            for (row, y) in rows.iter().zip(largest) {
                let has_nan = row.iter().any(|x| x.is_nan());
                let wanted = row.iter().copied().fold(-inf, f32::max);
                assert!(y == wanted && !has_nan || y.is_nan() && has_nan, "{row:?}: {y}");
            }
        }
    }
}

#[test]
fn rows_that_are_empty_single_or_longer_than_any_group() {
    for dev in twins() {
        for (op, f) in ROWS {
            check(&format!("{op} of no rows"), &[random(&[0, 300], &dev)], |x| f(&x[0]));
            check(&format!("{op} of one row"), &[random(&[1, 300], &dev)], |x| f(&x[0]));
            // More cells than a row program takes, and fewer.
            check(&format!("{op} of long rows"), &[random(&[2, 40_001], &dev)], |x| f(&x[0]));
        }
        for op in [ROWS[0], ROWS[3], ROWS[6]] {
            // Three passes over such rows are more than the 65,535 iterations after which llvmpipe leaves a loop.
            check(&format!("{} of many long rows", op.0), &[random(&[64, 30_001], &dev)], |x| op.1(&x[0]));
            check(&format!("{} of groups", op.0), &[random(&[257, 1030], &dev)], |x| op.1(&x[0]));
        }
        check("rows of nothing", &[random(&[300, 0], &dev)], |x| x[0].softmax(1).sum_dim(1, false));
        check("one number", &[random(&[], &dev)], |x| x[0].softmax(0) + x[0].sum());
        for shapes in [[[0, 64], [64, 64]], [[64, 0], [0, 64]], [[64, 64], [64, 0]]] {
            check(&format!("{shapes:?}"), &shapes.map(|shape| random(&shape, &dev)), |x| x[0].matmul(&x[1]));
        }
    }
}

#[test]
fn narrow_numbers_are_computed_as_the_reference_does() {
    for dev in twins() {
        for dtype in [DType::F16, DType::BF16] {
            for cols in [7, 64, 130] {
                let x = random(&[70, cols], &dev).cast(dtype);
                for (op, f) in ROWS {
                    check(&format!("{op} of {cols} {dtype}"), from_ref(&x), |x| f(&x[0]));
                    check(&format!("{op} of {cols} {dtype}"), from_ref(&x), |x| f(&x[0].cast(DType::F32)).cast(dtype));
                }
            }
            let (a, b) = (random(&[65, 40], &dev).cast(dtype), random(&[40, 70], &dev).cast(dtype));
            check(&format!("product of {dtype}"), &[a, b], |x| x[0].matmul(&x[1]));
        }
    }
}

#[test]
fn a_row_value_has_many_readers() {
    for dev in twins() {
        for [rows, cols] in [[70, 64], [65, 131], [300, 512]] {
            let x = random(&[rows, cols], &dev);
            let total = x.sum_dim(1, true);
            let largest = x.amax(1, true);
            // Some are of the row's size, some of the matrix's, and some read two of them, or what another one made.
            let all = [
                &x / &largest,
                (&x - &total).tanh(),
                &total * 2.0,
                (&total + &largest).exp(),
                (&x * &total).sum_dim(1, true) - &largest,
                (&x - &largest).exp().sum_dim(0, false),
                x.gt(largest.expand_as(&x)).cast(DType::F32).sum_dim(1, true) + &total,
                total.t().matmul(&x),
            ];
            for y in all.iter().chain([&largest, &total]) {
                y.to_data().unwrap_or_else(|error| panic!("[{rows}, {cols}] on {}: {error}", dev.name()));
            }
        }
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

/// Tensors so long that a thread takes four elements, of every length beside a multiple of four, read through every view.
#[test]
fn four_elements_a_thread() {
    let one = gpu().map(|_| open_gpu_with(&GpuOptions { quads: false, ..Default::default() }, true, None).unwrap());
    for dev in twins().into_iter().chain(one) {
        for n in 5000..5004 {
            let x = [random(&[n], &dev), random(&[n + 3], &dev), random(&[], &dev)];
            check(&format!("{n} elements"), &x, |x| (&x[0] * x[1].narrow(0, 3, n) + &x[2]).tanh());
            let tail = x[0].exp().narrow(0, n - 5, 5) + Tensor::arange(0, n as i32, 1, &dev).narrow(0, n - 5, 5);
            tail.to_data().unwrap();
            let is_large = x[0].gt(0.5);
            Tensor::where_(&is_large, &x[0], is_large.cast(DType::I32) + 1).to_data().unwrap();
            (Tensor::rand(n, &dev) + Tensor::randn(n, &dev)).to_data().unwrap();
        }
        for [rows, cols] in [[70, 64], [70, 67], [3, 2000], [2000, 3], [64, 100]] {
            let x = [random(&[rows, cols], &dev), random(&[cols], &dev), random(&[rows, 1], &dev)];
            check(&format!("[{rows}, {cols}]"), &x, |x| (&x[0] + &x[1]) * &x[2] - x[0].flip([0, 1]));
            check(&format!("[{rows}, {cols}] transposed"), &x[..1], |x| x[0].t().exp() * x[0].t().sin());
            for dtype in [DType::F16, DType::BF16] {
                (x[0].cast(dtype) * 3.0 + x[1].cast(DType::F32)).to_data().unwrap();
            }
            (Tensor::arange(0, cols as i32, 1, &dev) * 2 + x[0].gt(0.0).cast(DType::I32)).to_data().unwrap();
            x[0].argmax(1, false).to_data().unwrap();
            x[0].argmin(0, false).to_data().unwrap();
            x[0].tril(1).to_data().unwrap();
        }
    }
}

#[test]
fn everything_is_summed_in_any_size() {
    for dev in twins() {
        for n in [4096 * 7, 4096 * 8, 4096 * 9, 32_768 * 8, 32_768 * 9, 70_001] {
            let x = random(&[n + 4], &dev);
            for from in [0, 3, 4] {
                check(&format!("{n} elements from {from}"), from_ref(&x), |x| x[0].narrow(0, from, n).sum());
                x.narrow(0, from, n).amax((), false).to_data().unwrap();
                x.narrow(0, from, n).gt(0.999).any().to_data().unwrap();
            }
        }
    }
}

#[test]
fn lines_of_every_length_are_sorted() {
    for dev in twins() {
        for n in [0, 1, 2, 7, 8, 9, 16, 17, 31, 64, 65, 100, 1000, 2049] {
            // Few different numbers, so that many are equal and keep their order.
            let x = (random(&[3, n], &dev) * 5.0).floor();
            x.argsort(1, false).to_data().unwrap();
            x.argsort(1, true).to_data().unwrap();
            x.t().argsort(0, false).to_data().unwrap();
            for k in [1, 3, 8, 9, 40] {
                if k <= n {
                    x.topk(k, 1, true).1.to_data().unwrap();
                    // As long as somebody holds the places, they are sorted to the end.
                    let (largest, smallest) = (x.topk(k, 1, true).0, x.topk(k, 1, false).0);
                    largest.to_data().unwrap();
                    (smallest + x.kthvalue(k, 1, true).0).to_data().unwrap();
                }
            }
        }
    }
}

#[test]
fn scattered_by_lines_and_by_places() {
    for dev in twins() {
        for shape in [[2, 300, 3], [40, 200, 3], [9000, 100, 1]] {
            let places = || (Tensor::rand(&shape[..], &dev) * 50.0).cast(DType::I32);
            let (index, source) = (places(), random(&shape, &dev));
            let base = random(&[shape[0], 50, shape[2]], &dev);
            let name = format!("into {:?} from {shape:?}", base.shape());
            check(&name, &[base.clone(), source.clone()], |x| x[0].scatter_add(1, &index, &x[1]));
            check(&name, &[base.clone(), source.clone()], |x| {
                x[0].scatter_reduce(1, &index, &x[1], Combine::Amax, true)
            });
            check(&name, from_ref(&source), |x| {
                Tensor::zeros([shape[0], 50, shape[2]], &dev).scatter(1, &index, &x[0])
            });
            let part = source.flip([1]).narrow(1, 0, 90);
            check(&name, &[base, part], |x| x[0].scatter_add(1, &index.narrow(1, 10, 90), &x[1]));
        }
        let (rows, weight) = ((Tensor::rand([8, 50], &dev) * 60.0).cast(DType::I32), random(&[60, 20], &dev));
        check("embedding", &[weight], |x| rows.embedding(&x[0]));
    }
}

#[test]
fn every_optimisation_can_be_off() {
    if gpu().is_none() {
        return;
    }
    for options in [
        GpuOptions { fuse: false, ..Default::default() },
        GpuOptions { tiles: false, ..Default::default() },
        GpuOptions { rows: false, ..Default::default() },
        GpuOptions { adapted: false, ..Default::default() },
    ] {
        let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::gpu_with(&options).unwrap());
        assert_eq!(x.matmul(&x).sum_dim(1, false).to_vec::<f32>().unwrap(), [17.0, 37.0], "{options:?}");
        // Sums in another order differ by more than any fixed part of them; the twin knows by how much they may.
        let twin = open_gpu_with(&options, true, None).unwrap();
        for case in all() {
            let x = case.leaves(&case.values(), DType::F32, &twin);
            let y = (case.f)(&x);
            if y.requires_grad() {
                y.sum().backward().unwrap_or_else(|error| panic!("{} with {options:?}: {error}", case.name));
            }
            for x in x.iter().filter_map(Tensor::grad).chain([y]) {
                x.to_data().unwrap_or_else(|error| panic!("{} with {options:?}: {error}", case.name));
            }
        }
    }
}
