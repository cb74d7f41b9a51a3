//! Every operation and its gradients on every device against the CPU, by value.

use crate::cases::{Case, all, apply};
use crate::common::{devices, own_devices};
use crate::derivatives::direction;
use wgrad::autograd::{GradOptions, grad};
use wgrad::testing::{ROWS, Row, RowKind};
use wgrad::{DType, Device, Tensor};

/// The value of a case, its gradients, and the gradients of those.
fn everything(case: &Case, dev: &Device) -> Vec<(String, Vec<f32>)> {
    let x = case.leaves(&case.values(), DType::F32, dev);
    let inputs: Vec<&Tensor> = x.iter().collect();
    let mut results = Vec::new();
    let mut y = (case.f)(&x);
    for order in ["value", "gradient", "second gradient"] {
        results.push((order.to_string(), y.to_vec::<f32>().unwrap_or_else(|e| panic!("{} {order}: {e}", case.name))));
        if !y.requires_grad() || order == "second gradient" {
            break;
        }
        let weighted = (&y * direction(y.shape(), 100, DType::F32, dev)).sum();
        let options = GradOptions { create_graph: true, allow_unused: Some(true), ..Default::default() };
        let g: Vec<Tensor> =
            grad(&[&weighted], &inputs, options).unwrap().into_iter().flatten().map(|g| g.flatten(0, -1)).collect();
        if g.is_empty() {
            break;
        }
        y = Tensor::cat(&g, 0);
    }
    results
}

/// The first element that differs, if one does.
fn differs(got: &[f32], want: &[f32], relative: f32, absolute: f32) -> Option<String> {
    assert_eq!(got.len(), want.len());
    let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= absolute + relative * b.abs();
    let at = got.iter().zip(want).position(|(&a, &b)| !same(a, b))?;
    Some(format!("element {at} is {}, the CPU has {}", got[at], want[at]))
}

#[test]
fn every_operation_and_gradient_equals_the_cpu() {
    let cases = all();
    let mut failures = Vec::new();
    for dev in devices().into_iter().filter(|dev| *dev != Device::cpu()) {
        for case in &cases {
            for ((order, got), (_, want)) in everything(case, &dev).iter().zip(&everything(case, &Device::cpu())) {
                if let Some(difference) = differs(got, want, 2e-5, 4e-6) {
                    failures.push(format!("{} on {}: {order}: {difference}", case.name, dev.name()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Operands as a row takes them: conditions, bools, integers.
fn as_taken(row: &Row, x: &[f64]) -> Vec<f64> {
    let own = |(k, &x): (usize, &f64)| match row.kind {
        RowKind::Choice if k == 0 => (x > 0.5) as u8 as f64,
        RowKind::Logic => (x > 0.5) as u8 as f64,
        // No integer is divided by 0.
        RowKind::Bits if k == 1 && row.divides && x as i32 == 0 => 3.0,
        RowKind::Bits => x as i32 as f64,
        _ => x,
    };
    x.iter().enumerate().map(own).collect()
}

#[test]
fn rows_keep_their_special_values_on_every_device() {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 2.5, 1e30, -1e-30];
    let mut failures = Vec::new();
    for dev in devices() {
        for row in ROWS {
            let points: Vec<f64> = special.iter().chain(row.test.at).copied().collect();
            let n = points.len();
            // Every pair of points; a third operand repeats the second.
            let a: Vec<f64> = (0..n * n).map(|i| points[i / n]).collect();
            let b: Vec<f64> = (0..n * n).map(|i| points[i % n]).collect();
            let tensor = |x: &Vec<f64>| Tensor::from_slice(x, [n * n], &dev);
            let operands = [tensor(&a), tensor(&b), tensor(&b)];
            let y = match apply(row, &operands[..row.arity()]).cast(DType::F32).to_vec::<f32>() {
                Ok(y) => y,
                Err(error) => {
                    // The twin has compared already, and says more than a kernel's text.
                    failures.push(error.to_string().lines().take(2).collect::<Vec<_>>().join("\n"));
                    continue;
                }
            };
            for i in 0..n * n {
                let float = |x: f64| x as f32 as f64;
                let x = as_taken(row, &[float(a[i]), float(b[i]), float(b[i])][..row.arity()]);
                let want = row.at(&x) as f32;
                // Subnormal results may be flushed to zero.
                let absolute = (row.test.tolerance * row.test.least) as f32 + 1.2e-38;
                if let Some(difference) = differs(&y[i..=i], &[want], row.test.tolerance as f32, absolute) {
                    failures.push(format!("{}({x:?}) on {}: {difference}", row.name, dev.name()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} wrong\n{}", failures.len(), failures[..failures.len().min(40)].join("\n"));
}

#[test]
fn rows_are_as_close_as_their_tolerance_says() {
    for dev in devices() {
        for row in ROWS {
            let n = 4096;
            let operands: Vec<Vec<f64>> = (row.test.within.iter().enumerate())
                .map(|(k, (low, high))| {
                    let s = wgrad::random::Stream { seed: 3, stream: k as u64 };
                    (0..n).map(|i| (low + (high - low) * s.uniform(i)) as f32 as f64).collect()
                })
                .collect();
            let x: Vec<Tensor> = operands.iter().map(|x| Tensor::from_slice(x, [n], &dev)).collect();
            let y = apply(row, &x).cast(DType::F32).to_vec::<f32>().unwrap();
            for i in 0..n {
                let at = as_taken(row, &operands.iter().map(|x| x[i]).collect::<Vec<_>>());
                let want = row.at(&at) as f32;
                // Half a unit in the last place for rounding the result.
                let relative = row.test.tolerance as f32 + 6e-8;
                let absolute = (row.test.tolerance * row.test.least) as f32;
                if let Some(difference) = differs(&y[i..=i], &[want], relative, absolute) {
                    panic!("{}({at:?}) on {}: {difference}", row.name, dev.name());
                }
            }
        }
    }
}

#[test]
fn empty_tensors_go_through_every_row_and_reduction() {
    for dev in devices() {
        for row in ROWS {
            let x = Tensor::zeros([0, 3], &dev).requires_grad_(true).unwrap();
            let y = apply(row, &vec![x.clone(); row.arity()]);
            assert_eq!((y.shape(), y.to_data().unwrap().len()), (&[0, 3][..], 0), "{}", row.name);
            if y.requires_grad() {
                y.sum().backward().unwrap();
                assert_eq!(x.grad().unwrap().shape(), [0, 3], "{}", row.name);
            }
        }
        let x = Tensor::zeros([0, 3], &dev);
        assert_eq!(x.sum().item().unwrap(), 0.0);
        assert_eq!(x.sum_dim(0, false).to_vec::<f32>().unwrap(), [0.0; 3]);
        assert!(x.mean().item().unwrap().is_nan());
        assert_eq!(x.amax(1, false).shape(), [0]);
        assert_eq!(x.matmul(&Tensor::zeros([3, 2], &dev)).shape(), [0, 2]);
        assert_eq!(x.t().matmul(&x).to_vec::<f32>().unwrap(), [0.0; 9]);
        assert_eq!(Tensor::cat(&[x.clone(), Tensor::ones([1, 3], &dev)], 0).to_vec::<f32>().unwrap(), [1.0; 3]);
        assert_eq!(x.softmax(1).shape(), [0, 3]);
    }
}

#[test]
fn integers_and_bools_compute_exactly() {
    for dev in devices() {
        let a = Tensor::new([7, -3, i32::MAX, 0], &dev);
        let b = Tensor::new([2, 5, 1, -1], &dev);
        assert_eq!((&a + &b).to_vec::<i32>().unwrap(), [9, 2, i32::MIN, -1]);
        assert_eq!((&a * &b).to_vec::<i32>().unwrap(), [14, -15, i32::MAX, 0]);
        assert_eq!((&a / &b).dtype(), DType::F32);
        assert_eq!(a.maximum(&b).to_vec::<i32>().unwrap(), [7, 5, i32::MAX, 0]);
        assert_eq!((-&a).to_vec::<i32>().unwrap(), [-7, 3, -i32::MAX, 0]);
        assert_eq!(a.abs().sum().cast(DType::F32).dtype(), DType::F32);
        assert_eq!(a.lt(&b).to_vec::<bool>().unwrap(), [false, true, false, false]);
        assert_eq!(a.gt(0).sum().item().unwrap(), 2.0);
        let u = Tensor::new([3u32, u32::MAX], &dev);
        assert_eq!((&u + 1).to_vec::<u32>().unwrap(), [4, 0]);
        assert_eq!(u.amax(0, false).to_vec::<u32>().unwrap(), [u32::MAX]);
        assert_eq!(a.amin(0, false).to_vec::<i32>().unwrap(), [-3]);
        let both = a.gt(0).logical_and(b.gt(0));
        assert_eq!(both.to_vec::<bool>().unwrap(), [true, false, true, false]);
        assert_eq!((a.gt(0) + b.gt(0)).to_vec::<bool>().unwrap(), [true, true, true, false]);

        let (a, b) = (Tensor::new([7, -7, 7, -7, 5, i32::MIN], &dev), Tensor::new([2, 2, -2, -2, 0, -1], &dev));
        let by = Tensor::new([2, 2, -2, -2, 3, -1], &dev);
        assert_eq!(a.div_floor(&by).to_vec::<i32>().unwrap(), [3, -4, -4, 3, 1, i32::MIN]);
        assert_eq!(a.div_trunc(&by).to_vec::<i32>().unwrap(), [3, -3, -3, 3, 1, i32::MIN]);
        assert_eq!((&a % &by).to_vec::<i32>().unwrap(), [1, 1, -1, -1, 2, 0]);
        assert_eq!(a.fmod(&by).to_vec::<i32>().unwrap(), [1, -1, 1, -1, 2, 0]);
        assert_eq!((100 % &by).to_vec::<i32>().unwrap(), [0, 0, 0, 0, 1, 0]);
        assert_eq!(a.pow(&b).to_vec::<i32>().unwrap(), [49, 49, 0, 0, 1, 0]);
        assert_eq!(
            Tensor::new([-1, 1, -3], &dev).pow(Tensor::new([-3, -3, 21], &dev)).to_vec::<i32>().unwrap(),
            [-1, 1, (-3i32).wrapping_pow(21)]
        );
        assert_eq!(b.rpow(3).to_vec::<i32>().unwrap(), [9, 9, 0, 0, 1, 0]);
        assert_eq!(((&a & 3) | 8).to_vec::<i32>().unwrap(), [11, 9, 11, 9, 9, 8]);
        assert_eq!((!&a ^ 1).to_vec::<i32>().unwrap(), [-7, 7, -7, 7, -5, i32::MAX - 1]);
        assert_eq!((&a << 2).to_vec::<i32>().unwrap(), [28, -28, 28, -28, 20, 0]);
        assert_eq!((&a >> 1).to_vec::<i32>().unwrap(), [3, -4, 3, -4, 2, i32::MIN / 2]);
        assert_eq!((&a >> 40).to_vec::<i32>().unwrap(), [0, -1, 0, -1, 0, -1]);
        assert_eq!(a.square().to_vec::<i32>().unwrap(), [49, 49, 49, 49, 25, 0]);
        assert_eq!(a.clamp(-5, f64::INFINITY).to_vec::<i32>().unwrap(), [7, -5, 7, -5, 5, -5]);
        assert_eq!(Tensor::new([12, -18], &dev).gcd(8).to_vec::<i32>().unwrap(), [4, 2]);
        assert_eq!(Tensor::new([12, -18], &dev).lcm(8).to_vec::<i32>().unwrap(), [24, 72]);
        let u = Tensor::new([u32::MAX, 9u32], &dev);
        assert_eq!((&u / 2).dtype(), DType::F32);
        assert_eq!(u.div_floor(2).to_vec::<u32>().unwrap(), [u32::MAX / 2, 4]);
        assert_eq!((&u % 10).to_vec::<u32>().unwrap(), [5, 9]);
        assert_eq!((&u >> 1).to_vec::<u32>().unwrap(), [u32::MAX / 2, 4]);
        assert_eq!(u.pow(3).to_vec::<u32>().unwrap(), [u32::MAX, 729]);
        let (p, q) = (Tensor::new([true, true, false], &dev), Tensor::new([true, false, false], &dev));
        assert_eq!((&p & &q).to_vec::<bool>().unwrap(), [true, false, false]);
        assert_eq!((&p ^ &q).to_vec::<bool>().unwrap(), [false, true, false]);
        assert_eq!((!&p).to_vec::<bool>().unwrap(), [false, false, true]);
    }
}

#[test]
fn tensors_are_equal_or_close() {
    for dev in devices() {
        let x = Tensor::new([1.0, f32::INFINITY, f32::NAN], &dev);
        let y = Tensor::new([1.00001, f32::INFINITY, f32::NAN], &dev);
        assert_eq!(x.isclose(&y, 1e-4, 0.0, false).to_vec::<bool>().unwrap(), [true, true, false]);
        assert_eq!(x.isclose(&y, 0.0, 0.0, true).to_vec::<bool>().unwrap(), [false, true, true]);
        assert!(x.allclose(&y, 1e-4, 0.0, true).unwrap() && !x.allclose(&y, 1e-4, 0.0, false).unwrap());
        assert!(!x.equal(&x).unwrap() && x.narrow(0, 0, 2).equal(&x.narrow(0, 0, 2)).unwrap());
        assert_eq!(x.nan_to_num(0.0, None, -1.0).to_vec::<f32>().unwrap(), [1.0, f32::MAX, 0.0]);
    }
}

#[test]
fn constants_are_numbers_of_their_type() {
    for dev in devices() {
        let x = Tensor::full([2], 1.7, (&dev, DType::I32));
        assert_eq!((&x + Tensor::zeros([2], &dev)).to_vec::<f32>().unwrap(), [1.0; 2]);
        let y = Tensor::full([2], 1.7, &dev).cast(DType::I32).cast(DType::F32);
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0; 2]);
        let y = Tensor::full([1], 0.1, &dev).cast(DType::F16).cast(DType::F32);
        assert_eq!(y.to_vec::<f32>().unwrap(), [half::f16::from_f64(0.1).to_f32()]);
        let (p, q) = (Tensor::new([true, false], &dev), Tensor::new([false, false], &dev));
        assert_eq!(p.gt(&q).to_vec::<bool>().unwrap(), [true, false]);
        assert_eq!(p.le(&q).to_vec::<bool>().unwrap(), [false, true]);
    }
}

#[test]
fn narrow_floats_store_load_and_cast() {
    let values = [0.0f32, 1.0, -2.5, 65504.0, 1e-7, 3.3333, f32::INFINITY, 70000.0, 1.0009766];
    for dev in devices() {
        let x = Tensor::new(values, &dev);
        for dtype in [DType::F16, DType::BF16] {
            let narrow = x.cast(dtype);
            let rounded = |x: f32| match dtype {
                DType::F16 => half::f16::from_f32(x).to_f32(),
                _ => half::bf16::from_f32(x).to_f32(),
            };
            assert_eq!(
                narrow.cast(DType::F32).to_vec::<f32>().unwrap(),
                values.map(rounded),
                "{dtype} on {}",
                dev.name()
            );
            // Read back narrow, uploaded narrow, an odd number of elements, and read through a view.
            let again = Tensor::from_data(narrow.to_data().unwrap(), &[9], &dev).unwrap();
            assert_eq!(
                again.slice(0, 1, None, 3).cast(DType::F32).to_vec::<f32>().unwrap(),
                [1.0, 1e-7, 70000.0].map(rounded)
            );
            // Computed in f32, rounded once.
            let y = &narrow * 3.0 + 1.0;
            assert_eq!(y.dtype(), dtype);
            let want: Vec<f32> = values.map(rounded).iter().map(|&x| rounded(rounded(x * 3.0) + 1.0)).collect();
            assert_eq!(y.cast(DType::F32).to_vec::<f32>().unwrap(), want, "{dtype} on {}", dev.name());
        }
    }
}

#[test]
fn random_numbers_are_the_same_on_every_device() {
    let draw = |dev: &Device| {
        // Seeding and drawing must not be interrupted by another test that seeds the same device.
        static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one = ONE.lock().unwrap();
        dev.manual_seed(42);
        let (a, b, c, d) = (
            Tensor::rand([1001], dev),
            Tensor::randn([1001], dev),
            Tensor::randint(-5, 1000, [1001], dev),
            Tensor::randperm(100, dev),
        );
        (a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap(), c.to_vec::<i32>().unwrap(), d.to_vec::<i32>().unwrap())
    };
    let cpu = draw(&Device::cpu());
    let mean = cpu.1.iter().sum::<f32>() / 1001.0;
    assert!(mean.abs() < 0.1, "{mean}");
    for dev in devices() {
        let got = draw(&dev);
        assert_eq!((&got.0, &got.2, &got.3), (&cpu.0, &cpu.2, &cpu.3), "on {}", dev.name());
        assert_eq!(differs(&got.1, &cpu.1, 1e-6, 2e-6), None, "on {}", dev.name());
    }
}

#[test]
fn long_reductions_and_products_are_whole() {
    // Past 65,535 of everything: some software adapters leave long loops without a word.
    for dev in devices() {
        let n = 200_000;
        assert_eq!(Tensor::ones([n], &dev).copy().sum().item().unwrap(), n as f64);
        let x = Tensor::arange(0, n, 1, &dev);
        assert_eq!(x.amax(0, false).item().unwrap(), (n - 1) as f64, "on {}", dev.name());
        assert_eq!(x.cast(DType::F32).argmax(0, false).item().unwrap(), (n - 1) as f64);
        let ones = Tensor::rand([1, n], &dev) * 0.0 + 1.0;
        assert_eq!(ones.matmul(&ones.t()).item().unwrap(), n as f64);
        let index = Tensor::zeros([n], (&dev, DType::I32));
        let y = Tensor::zeros([2], &dev).scatter_add(0, &index, &ones.reshape(-1));
        assert_eq!(y.to_vec::<f32>().unwrap(), [n as f32, 0.0]);
        // More workgroups than one dimension of a dispatch has.
        let big = Tensor::ones([5_000_000], &dev) * 2.0;
        assert_eq!(big.sum().item().unwrap(), 1e7, "on {}", dev.name());
        let rows = (Tensor::ones([70_000, 100], &dev) * 2.0).sum_dim(1, false);
        assert_eq!(rows.amin(0, false).item().unwrap(), 200.0);
    }
}

#[test]
fn an_index_out_of_range_is_an_error_where_it_is_read() {
    for dev in own_devices() {
        let x = Tensor::new([1.0, 2.0], &dev);
        for bad in [2, -1] {
            let y = x.gather(0, &Tensor::new([0, bad], &dev));
            let error = y.to_vec::<f32>().unwrap_err().to_string();
            assert!(
                error.starts_with("gather: ")
                    && error.contains("out of range for dimension 0 of size 2 (recorded at tests"),
                "{error}"
            );
            let y = x.scatter_add(0, &Tensor::new([bad], &dev), &Tensor::new([1.0], &dev));
            assert!(y.to_vec::<f32>().unwrap_err().to_string().starts_with("scatter_add: "));
        }
        assert_eq!((&x + 1.0).to_vec::<f32>().unwrap(), [2.0, 3.0], "{} stays usable", dev.name());
    }
}
