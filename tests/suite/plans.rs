//! Plans: what is fused, what a step costs in steady state, and that none of it changes a number.

use crate::cases::all;
use crate::common::gpu;
use wgrad::optim::Adam;
use wgrad::testing::open_gpu;
use wgrad::{DType, Device, Result, Stats, Tensor};

/// A step of an MLP with Adam; the learning rate is another every time.
fn trainer(dev: &Device) -> Result<impl FnMut() -> Result<()>> {
    let fixed = |shape: &[usize], seed| {
        let s = wgrad::random::Stream { seed, stream: 0 };
        let x: Vec<f64> = (0..shape.iter().product()).map(|i| s.uniform(i) - 0.5).collect();
        Tensor::from_slice(&x, shape, dev)
    };
    let (x, target) =
        (fixed(&[16, 8], 1), Tensor::arange(0, 16, 1, dev).cast(DType::F32).sin().gt(0.0).cast(DType::I32));
    let leaf = |shape: &[usize], seed| fixed(shape, seed).requires_grad_(true);
    let (w1, b1, w2, b2) = (leaf(&[8, 12], 2)?, leaf(&[12], 3)?, leaf(&[12, 2], 4)?, leaf(&[2], 5)?);
    let mut adam = Adam::new([&w1, &b1, &w2, &b2], 1e-2);
    Ok(move || {
        adam.zero_grad();
        adam.set_lr(adam.lr() * 0.99);
        let loss = ((x.matmul(&w1) + &b1).relu().matmul(&w2) + &b2).cross_entropy(&target);
        loss.backward()?;
        adam.step()
    })
}

fn difference(a: Stats, b: Stats) -> Stats {
    Stats {
        flushes: b.flushes - a.flushes,
        kernels: b.kernels - a.kernels,
        plan_hits: b.plan_hits - a.plan_hits,
        plan_misses: b.plan_misses - a.plan_misses,
        pipelines: b.pipelines - a.pipelines,
        buffers: b.buffers - a.buffers,
        bind_groups: b.bind_groups - a.bind_groups,
        bytes: b.bytes - a.bytes,
        reads: b.reads - a.reads,
        values: b.values - a.values,
        nodes: b.nodes - a.nodes,
        ..Stats::default()
    }
}

#[test]
fn a_step_in_steady_state_creates_nothing() {
    let Some(dev) = gpu().map(|_| open_gpu(true, false, None).unwrap()) else { return };
    let mut step = trainer(&dev).unwrap();
    for _ in 0..6 {
        step().unwrap();
    }
    let before = dev.stats();
    for _ in 0..10 {
        step().unwrap();
    }
    let steady = difference(before, dev.stats());
    assert_eq!((steady.flushes, steady.plan_hits, steady.plan_misses), (10, 10, 0));
    assert_eq!((steady.pipelines, steady.buffers, steady.bind_groups, steady.bytes), (0, 0, 0, 0));
    // What fusion saves must not be lost without being noticed.
    assert!(steady.kernels <= 10 * 40, "{} kernels per step:\n{}", steady.kernels / 10, dev.explain());
}

#[test]
fn adam_updates_a_parameter_in_one_kernel() {
    let Some(dev) = gpu().map(|_| open_gpu(true, false, None).unwrap()) else { return };
    let p = Tensor::new([1.0, 2.0, 3.0], &dev).requires_grad_(true).unwrap();
    let mut adam = Adam::new([&p], 0.1);
    for _ in 0..3 {
        p.set_grad(Some(Tensor::new([0.1, 0.2, 0.3], &dev)));
        let before = dev.stats().kernels;
        adam.step().unwrap();
        assert_eq!(dev.stats().kernels - before, 1, "{}", dev.explain());
    }
}

#[test]
fn chains_fuse_and_views_need_no_kernel() {
    let Some(dev) = gpu().map(|_| open_gpu(true, false, None).unwrap()) else { return };
    let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &dev);
    let before = dev.stats().kernels;
    let y = (x.t().exp() * 2.0 + 1.0).tanh().reshape(-1);
    y.to_vec::<f32>().unwrap();
    assert_eq!(dev.stats().kernels - before, 1);
    assert!(dev.explain().contains("exp>mul>add>tanh"), "{}", dev.explain());
}

#[test]
fn the_plan_is_found_again_whatever_the_numbers() {
    let Some(dev) = gpu().map(|_| open_gpu(true, false, None).unwrap()) else { return };
    let x = Tensor::new([1.0, 2.0], &dev);
    for (i, number) in [1.0, -7.5, 0.0].into_iter().enumerate() {
        let before = dev.stats();
        let y = &x * number + 1.0;
        assert_eq!(y.to_vec::<f32>().unwrap(), [number as f32 + 1.0, 2.0 * number as f32 + 1.0]);
        let now = difference(before, dev.stats());
        assert_eq!((now.plan_hits, now.pipelines), if i == 0 { (0, now.pipelines) } else { (1, 0) });
    }
    // Another shape is another plan, and a chain over contiguous elements the same kernel.
    let before = dev.stats();
    let x = Tensor::new([1.0, 2.0, 3.0], &dev);
    let y = &x * 2.0 + 1.0;
    assert_eq!(y.to_vec::<f32>().unwrap(), [3.0, 5.0, 7.0]);
    let now = difference(before, dev.stats());
    assert_eq!((now.plan_hits, now.plan_misses, now.pipelines), (0, 1, 0));
}

#[test]
fn fusion_changes_no_number() {
    if gpu().is_none() {
        return;
    }
    let (fused, unfused) = (open_gpu(true, false, None).unwrap(), open_gpu(false, false, None).unwrap());
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
        for (a, b) in run(&fused).iter().flatten().zip(run(&unfused).iter().flatten()) {
            // A driver may contract a multiplication and an addition that it sees together.
            assert!(
                (a - b).abs() <= 1e-6 * (1.0 + b.abs()) || a.is_nan() && b.is_nan(),
                "{}: {a} fused, {b} not",
                case.name
            );
        }
    }
    assert!(fused.stats().kernels * 4 < unfused.stats().kernels * 3, "{:?} {:?}", fused.stats(), unfused.stats());
}

#[test]
fn a_value_that_is_too_large_is_refused_before_anything_runs() {
    let Some(dev) = gpu() else { return };
    let x = Tensor::new([1.0], &dev).expand([1usize << 31]) * 2.0;
    let error = x.to_vec::<f32>().unwrap_err();
    assert!(error.is_out_of_memory(), "{error}");
    assert!(error.to_string().contains("mul"), "{error}");
    assert_eq!((Tensor::ones([2], &dev) * 2.0).to_vec::<f32>().unwrap(), [2.0, 2.0]);
}

#[test]
fn reads_do_not_block_their_executor() {
    let Some(dev) = gpu() else { return };
    let x = Tensor::arange(0.0, 1000.0, 1.0, &dev);
    let (a, b) = ((&x * 2.0).sum().item_async(), (&x + 1.0).to_vec_async::<f32>());
    assert_eq!(pollster::block_on(a).unwrap(), 999_000.0);
    assert_eq!(pollster::block_on(b).unwrap()[999], 1000.0);
}
