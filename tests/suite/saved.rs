//! What is kept for backward: checkpoints, budgets, hooks, and what is let go.

use crate::common::{devices, on_every_device, own_devices};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wgrad::autograd::{
    CheckpointOptions, CheckpointPolicy, GradOptions, checkpoint, checkpoint_sequential, disable_saved_tensors_hooks,
    grad, graph::ledger, memory_budget, queue_callback, register_multi_grad_hook, save_on_cpu, saved_tensors_hooks,
};
use wgrad::{BackwardOptions, Device, Result, Tensor, catch};

fn leaf(shape: &[usize], dev: &Device) -> Tensor {
    (Tensor::rand(shape, dev) - 0.5).detach().copy().requires_grad_(true).unwrap()
}

/// Whether gradients agree: in every bit, but on a GPU up to rounding. What is computed again, or was moved away, shares
/// kernels with other operations, and a driver may compute `a·b - a·c` as `a·(b - c)` where one kernel has both products
/// (Mesa does, so llvmpipe too).
fn agree(a: &[Vec<u32>], b: &[Vec<u32>], dev: &Device) -> bool {
    let numbers = |x: &[Vec<u32>]| -> Vec<f32> { x.iter().flatten().map(|&bits| f32::from_bits(bits)).collect() };
    let (a, b) = (numbers(a), numbers(b));
    let largest = a.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let is_exact = dev.name() == "cpu" || dev.name().starts_with("twin");
    let bound = if is_exact { 0.0 } else { 1e-5 * largest };
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= bound)
}

fn bits(x: &Tensor) -> Vec<u32> {
    x.grad().expect("it has a gradient").to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// A block with a product, a norm, random numbers and an activation.
fn block(x: &Tensor, w: &Tensor) -> Tensor {
    x.linear(w, None).layer_norm(w.size(0), None, None, 1e-5).gelu().dropout(0.3, true)
}

/// Gradients of a deep network, whose blocks are run by `run`.
fn gradients(dev: &Device, run: impl Fn(&Tensor, &Tensor) -> Tensor) -> Vec<Vec<u32>> {
    dev.manual_seed(3);
    let x = leaf(&[4, 8], dev);
    let ws: Vec<Tensor> = (0..4).map(|_| leaf(&[8, 8], dev)).collect();
    ws.iter().fold(x.clone(), |x, w| run(&x, w)).pow(2.0).sum().backward().unwrap();
    ws.iter().chain([&x]).map(bits).collect()
}

#[test]
fn what_is_saved_on_the_cpu_changes_no_gradient_and_takes_no_memory_of_the_device() {
    for dev in own_devices() {
        let plain = gradients(&dev, block);
        let moved = {
            let _scope = save_on_cpu();
            gradients(&dev, block)
        };
        assert!(agree(&plain, &moved, &dev), "{}: {plain:?}, {moved:?}", dev.name());

        let x = leaf(&[1000], &dev);
        dev.flush().unwrap();
        let before = dev.stats().values;
        let _scope = save_on_cpu();
        let y = x.exp();
        let z = y.sin().sum();
        // Backward sees what was saved.
        y.add_(1.0).unwrap();
        drop(y);
        z.item().unwrap();
        if dev.name() != "cpu" {
            assert_eq!(dev.stats().values, before + 1, "the result alone, on {}", dev.name());
        }
        z.backward().unwrap();
        let got = x.grad().unwrap().to_vec::<f32>().unwrap();
        for (g, x) in got.iter().zip(x.to_vec::<f32>().unwrap()) {
            assert!((g - x.exp() * x.exp().cos()).abs() < 1e-5, "{}", dev.name());
        }
    }
}

#[test]
fn checkpoints_give_the_same_bits_with_the_same_random_numbers() {
    for dev in own_devices() {
        let plain = gradients(&dev, block);
        let one = |x: &[Tensor]| vec![block(&x[0], &x[1])];
        let once = gradients(&dev, |x, w| checkpoint(one, &[x, w], CheckpointOptions::default()).remove(0));
        assert_eq!(plain, once, "{}", dev.name());
        let nested = move |x: &[Tensor]| checkpoint(one, &[&x[0], &x[1]], CheckpointOptions::default());
        let twice = gradients(&dev, |x, w| checkpoint(nested, &[x, w], CheckpointOptions::default()).remove(0));
        assert_eq!(plain, twice, "{}", dev.name());
    }
}

#[test]
fn a_checkpoint_stops_early_and_frees_what_it_computed() {
    on_every_device(|dev| {
        let steps = Arc::new(AtomicUsize::new(0));
        let count = steps.clone();
        let f = move |x: &[Tensor]| {
            let y = x[0].exp();
            count.fetch_add(1, Ordering::Relaxed);
            // Nothing is saved for a sum.
            let z = y.sin() + 1.0;
            count.fetch_add(1, Ordering::Relaxed);
            vec![z]
        };
        let x = leaf(&[3], dev);
        let y = checkpoint(f, &[&x], CheckpointOptions::default()).remove(0);
        assert_eq!(steps.load(Ordering::Relaxed), 2);
        y.sum().backward()?;
        assert_eq!(steps.load(Ordering::Relaxed), 3, "the region was run to its end");
        Ok(())
    });
}

#[test]
fn a_region_that_changes_is_an_error() {
    on_every_device(|dev| {
        let runs = AtomicUsize::new(0);
        let f = move |x: &[Tensor]| match runs.fetch_add(1, Ordering::Relaxed) {
            0 => vec![x[0].exp().sin()],
            _ => vec![x[0].sum().exp().sin()],
        };
        let y = checkpoint(f, &[&leaf(&[3], dev)], CheckpointOptions::default()).remove(0);
        let error = y.sum().backward().unwrap_err().to_string();
        assert!(error.starts_with("checkpoint: computed again"), "{error}");
        Ok(())
    });
}

#[test]
fn sequences_are_cut_into_segments() {
    on_every_device(|dev| {
        let fs: Vec<fn(&Tensor) -> Tensor> = vec![|x| x.sin(), |x| x.exp(), |x| x * x, |x| x.tanh(), |x| x.cos()];
        let x = leaf(&[4], dev);
        fs.iter().fold(x.clone(), |x, f| f(&x)).sum().backward()?;
        let plain = bits(&x);
        for segments in 1..=5 {
            x.zero_grad();
            checkpoint_sequential(fs.clone(), segments, &x).sum().backward()?;
            assert_eq!(bits(&x), plain);
        }
        assert!(catch(|| checkpoint_sequential(fs.clone(), 6, &x)).is_err());
        Ok(())
    });
}

#[test]
fn a_budget_changes_no_gradient() {
    for dev in own_devices() {
        let plain = gradients(&dev, block);
        for bytes in [0, 500, 2_000, 1 << 20] {
            let scoped = |x: &Tensor, w: &Tensor| {
                let _scope = memory_budget(bytes);
                block(x, w)
            };
            let got = gradients(&dev, scoped);
            assert!(agree(&plain, &got, &dev), "{} with {bytes} bytes: {plain:?}, {got:?}", dev.name());
        }
    }
}

/// Device memory of a long chain whose every step saves its result.
fn peak(dev: &Device, bytes: Option<usize>) -> u64 {
    let x = Tensor::rand([1 << 16], dev).detach().copy().requires_grad_(true).unwrap();
    dev.sync().unwrap();
    let before = dev.stats().bytes;
    let y = {
        let _scope = bytes.map(memory_budget);
        // Each is saved, and none is read by the next but one.
        (0..24).fold(x.clone(), |y, i| if i % 2 == 0 { y.flip([0]).sin() } else { y.flip([0]).tanh() })
    };
    dev.flush().unwrap();
    let peak = dev.stats().bytes - before;
    y.sum().backward().unwrap();
    assert!(x.grad().unwrap().to_vec::<f32>().unwrap().iter().all(|g| g.is_finite()));
    peak
}

#[test]
fn a_budget_saves_device_memory() {
    for dev in own_devices().into_iter().skip(1) {
        let (all, less) = (peak(&dev, None), peak(&dev, Some(8 << 18)));
        assert!(less < all, "{}: {less} bytes with a budget, {all} without", dev.name());
    }
    assert!(!devices().is_empty());
}

#[test]
fn a_budget_does_not_hide_a_change_in_place() {
    on_every_device(|dev| {
        let x = leaf(&[4], dev);
        let y = {
            let _scope = memory_budget(0);
            x.exp()
        };
        y.add_(1.0)?;
        assert!(y.sum().backward().is_err());
        Ok(())
    });
}

#[test]
fn hooks_nest_and_can_be_forbidden() {
    on_every_device(|dev| {
        let x = leaf(&[2], dev);
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let hooks = |i: usize| {
            let counts = counts.clone();
            let pack = move |x: Tensor| {
                counts[i].fetch_add(1, Ordering::Relaxed);
                // The hook's own operations are not packed.
                &x * 1.0
            };
            saved_tensors_hooks(pack, |x: &Tensor| Ok(x.clone()))
        };
        let outer = hooks(0);
        let a = x.exp();
        let inner = hooks(1);
        let b = a.sin();
        let refused = catch(|| disable_saved_tensors_hooks("not inside"));
        assert!(refused.err().unwrap().to_string().contains("not inside"));
        drop(inner);
        let c = b.tanh();
        drop(outer);
        assert_eq!([0, 1].map(|i| counts[i].load(Ordering::Relaxed)), [2, 1]);
        c.sum().backward()?;
        let _forbidden = disable_saved_tensors_hooks("not here");
        let refused = catch(|| saved_tensors_hooks(|x| x, |x: &Tensor| Ok(x.clone())));
        assert!(refused.err().unwrap().to_string().contains("not here"));
        let _again = disable_saved_tensors_hooks("not here either");
        Ok(())
    });
}

/// A step with everything that holds on to something: hooks, checkpoints, budgets, changes in place, second derivatives.
fn step(x: &Tensor, w: &Tensor) -> Result<()> {
    let one = |x: &[Tensor]| vec![(x[0].matmul(&x[1])).tanh()];
    let h = checkpoint(one, &[x, w], CheckpointOptions::default()).remove(0);
    let y = {
        let _scope = memory_budget(64);
        h.sin().exp() * 1.0
    };
    y.select(0, 0).mul_(2.0)?;
    y.retain_grad()?;
    y.register_hook(|g| {
        queue_callback(|| {});
        Some(g * 0.5)
    })?;
    y.grad_fn().unwrap().register_prehook(|_| None);
    register_multi_grad_hook(&[&h, &y], |_| {})?;
    let g = grad(&[&y.sum()], &[w], GradOptions { create_graph: true, ..Default::default() })?.remove(0).unwrap();
    let parts = (g.pow(2.0).sum() + y.sum()).unsqueeze(0).unbind(0);
    parts[0].backward_with(None, BackwardOptions::default())?;
    w.zero_grad();
    // A graph that nobody walks.
    let _ = (w * 2.0).exp();
    w.device().flush()
}

#[test]
fn ten_thousand_steps_do_not_grow() {
    for dev in own_devices() {
        let (x, w) = (Tensor::rand([2, 3], &dev), leaf(&[3, 3], &dev));
        let run = |steps: usize| -> (u64, u64, u64) {
            (0..steps).for_each(|_| step(&x, &w).unwrap());
            dev.sync().unwrap();
            let stats = dev.stats();
            (stats.values, stats.nodes, stats.bytes)
        };
        let first = run(20);
        let steps = if dev.name() == "cpu" { 10_000 } else { 200 };
        assert_eq!(first, run(steps), "{}", dev.name());
    }
}

#[test]
fn a_checkpoint_keeps_what_its_policy_says_and_does_not_compute_it_again() {
    for dev in own_devices() {
        let region = |x: &[Tensor]| (x[0].matmul(&x[1]).tanh().matmul(&x[1]).exp(), x[0].sum());
        // What the kernels, or on the CPU the operations, of one step cost without a policy and with one.
        let run = |policy: Option<CheckpointPolicy>| {
            dev.manual_seed(3);
            let (x, w) = (leaf(&[4, 8], &dev), leaf(&[8, 8], &dev));
            let options = CheckpointOptions { policy, ..Default::default() };
            let (y, z) = checkpoint(region, &[&x, &w], options);
            dev.sync().unwrap();
            let (kept, before) = (ledger(&[&y]).bytes(), dev.stats().kernels);
            (y.sum() + z).backward().unwrap();
            let found = [&x, &w].map(bits);
            (found, kept, dev.stats().kernels - before)
        };
        let (plain, none, all) = run(None);
        assert_eq!(none, (4 * 8 + 8 * 8) * 4, "the inputs");
        let (same, products, fewer) = run(Some(CheckpointPolicy::keep(|operation, _| operation == "matmul")));
        assert_eq!(plain, same, "{}", dev.name());
        assert_eq!(products, none + 2 * 4 * 8 * 4, "and two products");
        // Where nothing is fused, two operations less are counted.
        let less = if dev.name() == "cpu" { 2 } else { 0 };
        assert!(fewer + less <= all, "{}: {fewer} of {all}", dev.name());
        let (same, two, _) = run(Some(CheckpointPolicy::keep(|_, shape| shape == [4, 8])));
        assert!(plain == same && two > products, "{}", dev.name());
    }
}

#[test]
fn a_region_may_fail() {
    on_every_device(|dev| {
        let runs = AtomicUsize::new(0);
        let f = move |x: &[Tensor]| -> Result<Tensor> {
            if runs.fetch_add(1, Ordering::Relaxed) == 1 {
                x[0].detach().backward()?;
            }
            Ok(x[0].exp().sin())
        };
        let y = checkpoint(f, &[&leaf(&[3], dev)], CheckpointOptions::default())?;
        assert!(y.sum().backward().unwrap_err().to_string().contains("does not require grad"));
        Ok(())
    });
}

#[test]
fn a_ledger_counts_what_is_kept_in_the_stead_of_values() {
    for dev in own_devices() {
        let x = leaf(&[1000], &dev);
        // What is computed cannot be given up.
        dev.sync().unwrap();
        let whole = ledger(&[&x.sin().exp().tanh()]);
        assert_eq!((whole.bytes(), whole.packed), (12_000, 0));
        let y = {
            let _scope = memory_budget(4_000);
            x.sin().exp().tanh()
        };
        let less = ledger(&[&y]);
        assert_eq!((less.bytes(), less.packed), (4_000, 0), "{less}");
        let y = checkpoint(|x: &[Tensor]| x[0].sin().exp(), &[&x], CheckpointOptions::default());
        let inputs = ledger(&[&y]);
        assert_eq!((inputs.bytes(), inputs.leaf_bytes, inputs.packed), (4_000, 4_000, 0), "{inputs}");
        let y = {
            let _scope = save_on_cpu();
            x.exp()
        };
        let moved = ledger(&[&y]);
        // The CPU of the process, which is none of these devices.
        assert_eq!((moved.bytes(), moved.elsewhere_bytes, moved.packed), (4_000, 4_000, 0), "{moved}");
    }
}
