//! The graph as a structure: long chains, threads, freeing, hooks in order, views and their history.

use crate::common::{devices, on_every_device};
use std::sync::{Arc, Mutex};
use wgrad::autograd::{
    GradOptions, GradientEdge, backward, enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled,
};
use wgrad::optim::{Adam, Optimizer, Sgd};
use wgrad::{BackwardInput, BackwardOptions, Device, Tensor};

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec().unwrap()
}

fn leaf(x: &[f32], dev: &Device) -> Tensor {
    Tensor::from_slice(x, [x.len()], dev).requires_grad_(true).unwrap()
}

/// Runs on a stack of 2 MiB, whatever the test runner's is.
fn on_small_stack(f: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, f).unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn chains_of_100_000_nodes_record_differentiate_and_drop() {
    for dev in devices().into_iter().filter(|dev| !dev.name().starts_with("twin")) {
        on_small_stack(|| {
            let x = leaf(&[1.0], &dev);
            let mut y = x.clone();
            for i in 0..100_000 {
                y = if i % 2 == 0 { &y * 1.0 } else { y + 1e-5 };
            }
            y.sum().backward_with(None, BackwardOptions { retain_graph: Some(true), ..Default::default() }).unwrap();
            assert_eq!(values(&x.grad().unwrap()), [1.0], "{}", dev.name());
            drop(y);
            // A chain that nobody asks for is dropped as it was recorded, without being computed.
            let mut y = x.clone();
            for _ in 0..100_000 {
                y = y.sin();
            }
            drop(y);
        });
    }
}

#[test]
fn a_million_nodes_record_differentiate_and_drop() {
    on_small_stack(|| {
        let x = leaf(&[1.0], &Device::cpu());
        let y = (0..1_000_000).fold(x.clone(), |y, i| if i % 2 == 0 { -y } else { y + 1.0 });
        y.sum().backward().unwrap();
        assert_eq!(values(&x.grad().unwrap()), [1.0]);
        drop(y);
    });
}

#[test]
fn a_thousand_threads_share_a_leaf() {
    for dev in devices().into_iter().filter(|dev| !dev.name().starts_with("twin")) {
        let x = leaf(&[2.0], &dev);
        std::thread::scope(|scope| {
            for _ in 0..1_000 {
                scope.spawn(|| (&x * &x).sum().backward().unwrap());
            }
        });
        assert_eq!(values(&x.grad().unwrap()), [4000.0], "{}", dev.name());
    }
}

#[test]
fn a_chain_that_was_never_computed_drops_on_a_small_stack() {
    on_small_stack(|| {
        let _unrecorded = no_grad();
        let mut y = Tensor::ones([1], &Device::cpu());
        for _ in 0..4000 {
            y = y.exp();
        }
        drop(y);
    });
}

#[test]
fn two_threads_train_on_one_device() {
    for dev in devices() {
        let train = |target: f32| {
            let dev = dev.clone();
            move || {
                let w = leaf(&[0.0; 8], &dev);
                let mut sgd = Sgd::new([&w], 0.2);
                for _ in 0..20 {
                    sgd.zero_grad();
                    let loss = (&w - target as f64).pow(2.0).sum();
                    loss.backward().unwrap();
                    sgd.step().unwrap();
                }
                values(&w)
            }
        };
        let (a, b) = std::thread::scope(|scope| {
            let (a, b) = (scope.spawn(train(1.0)), scope.spawn(train(-3.0)));
            (a.join().unwrap(), b.join().unwrap())
        });
        assert!(a.iter().all(|x| (x - 1.0).abs() < 1e-3), "{a:?}");
        assert!(b.iter().all(|x| (x + 3.0).abs() < 1e-3), "{b:?}");
    }
}

#[test]
fn grad_mode_belongs_to_scope_and_thread() {
    assert!(is_grad_enabled());
    {
        let _off = no_grad();
        assert!(!is_grad_enabled());
        {
            let _on = enable_grad();
            assert!(is_grad_enabled());
        }
        assert!(!is_grad_enabled());
        assert!(std::thread::spawn(is_grad_enabled).join().unwrap());
        let _also_off = set_grad_enabled(false);
    }
    assert!(is_grad_enabled());
    let _ = std::panic::catch_unwind(|| {
        let _off = no_grad();
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(is_grad_enabled(), "a guard restores the mode when a panic unwinds");
}

#[test]
fn hooks_run_in_order_and_may_remove_themselves() {
    for dev in devices() {
        let x = leaf(&[1.0, 2.0], &dev);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = |name: &'static str, factor: f64| {
            let seen = seen.clone();
            move |g: &Tensor| {
                seen.lock().unwrap().push((name, values(g)));
                Some(g * factor)
            }
        };
        let y = &x * 3.0;
        y.register_hook(log("first", 2.0)).unwrap();
        let second = y.register_hook(log("second", 10.0)).unwrap();
        y.retain_grad().unwrap();
        x.register_hook(log("leaf", 1.0)).unwrap();
        let z = y.sum();
        z.backward_with(None, BackwardOptions { retain_graph: Some(true), ..Default::default() }).unwrap();
        let order: Vec<_> = seen.lock().unwrap().drain(..).collect();
        assert_eq!(order, [("first", vec![1.0; 2]), ("second", vec![2.0; 2]), ("leaf", vec![60.0; 2])]);
        assert_eq!(values(&y.grad().unwrap()), [20.0; 2], "what is retained is what the hooks made");
        second.remove();
        z.backward().unwrap();
        assert_eq!(values(&x.grad().unwrap()), [66.0; 2]);
    }
}

#[test]
fn gradients_of_any_order() {
    for dev in devices() {
        let x = leaf(&[2.0], &dev);
        let mut y = x.pow(5.0).sum();
        for want in [80.0, 160.0, 240.0, 240.0, 120.0] {
            let options = GradOptions { create_graph: true, ..Default::default() };
            y = grad(&[&y], &[&x], options).unwrap().remove(0).unwrap();
            assert_eq!(values(&y), [want], "{}", dev.name());
            y = y.sum();
        }
    }
}

#[test]
fn several_outputs_and_restricted_inputs() {
    for dev in devices() {
        let (a, b) = (leaf(&[2.0], &dev), leaf(&[5.0], &dev));
        let (p, q) = (&a * &b, &a * 3.0);
        let grads = grad(&[&p, &q], &[&a, &b], GradOptions::default()).unwrap();
        assert_eq!(grads.iter().map(|g| values(g.as_ref().unwrap())[0]).collect::<Vec<_>>(), [8.0, 2.0]);
        assert!(a.grad().is_none() && b.grad().is_none());
        let y = &a * &b;
        y.backward_with(None, BackwardOptions { inputs: Some(vec![(&b).into()]), ..Default::default() }).unwrap();
        assert!(a.grad().is_none());
        assert_eq!(values(&b.grad().unwrap()), [2.0]);
        // The same output twice, and an output that is an input of another.
        let y = &a * &b;
        let z = &y * 2.0;
        let g = grad(&[&y, &y, &z], &[&a], GradOptions::default()).unwrap();
        assert_eq!(values(g[0].as_ref().unwrap()), [20.0]);
        // The gradient of a tensor with respect to itself.
        let y = &a * &b;
        let g = grad(&[&y], &[&y, &a], GradOptions::default()).unwrap();
        assert_eq!(g.iter().map(|g| values(g.as_ref().unwrap())[0]).collect::<Vec<_>>(), [1.0, 5.0]);
    }
}

#[test]
fn views_alias_and_take_over_the_history_of_their_base() {
    for dev in devices() {
        let x = leaf(&[1.0, 2.0, 3.0, 4.0], &dev);
        let base = &x * 1.0;
        let square = base.reshape([2, 2]);
        let corner = square.select(0, 0).select(0, 1);
        square.select(1, 0).mul_(10.0).unwrap();
        corner.add_(5.0).unwrap();
        assert_eq!(values(&base), [10.0, 7.0, 30.0, 4.0]);
        assert_eq!((base.version(), corner.version()), (2, 2));
        assert_eq!(base.grad_fn().unwrap().name(), "CopySlices");
        (&square * &square).sum().backward().unwrap();
        assert_eq!(values(&x.grad().unwrap()), [200.0, 14.0, 600.0, 8.0]);
        // A detached alias shares storage and version, and has no history.
        let y = x.detach();
        y.mul_(2.0).unwrap();
        assert_eq!(values(&x), [2.0, 4.0, 6.0, 8.0]);
        assert!(x.version() == 1 && y.is_leaf() && !y.requires_grad());
    }
}

#[test]
fn accumulated_gradients_are_tensors_of_their_own() {
    for dev in devices() {
        let x = leaf(&[1.0, 2.0], &dev);
        let w = Tensor::new([3.0, 4.0], &dev);
        (&x + 0.0).backward_with(Some(&w), BackwardOptions::default()).unwrap();
        let g = x.grad().unwrap();
        w.zero_().unwrap();
        assert_eq!(values(&g), [3.0, 4.0], "the gradient given is not the gradient stored");
        x.sum().backward().unwrap();
        assert_eq!(values(&g), [4.0, 5.0], "the stored gradient grows in place");
        let y = x.expand([3, 2]).sum();
        x.zero_grad();
        y.backward().unwrap();
        assert!(x.grad().unwrap().is_contiguous());
    }
}

#[test]
fn a_graph_is_freed_by_its_backward() {
    let x = leaf(&[1.0; 4], &Device::cpu());
    let y = (&x * 2.0).exp();
    let (node, z) = (y.grad_fn().unwrap(), y.sum());
    z.backward().unwrap();
    assert!(y.sum().backward().is_err(), "{node:?} has let go of what it saved");
    // What saves nothing can be walked again.
    let z = (&x + 1.0).sum();
    z.backward().unwrap();
    z.backward().unwrap();
}

#[test]
fn optimizers_take_the_steps_of_their_formulas() {
    // Three steps over gradients 2p of p = [1, -2], worked out by hand and in double precision.
    let run = |dev: &Device, mut step: Box<dyn FnMut(&Tensor)>| {
        let p = leaf(&[1.0, -2.0], dev);
        for _ in 0..3 {
            p.zero_grad();
            (&p * &p).sum().backward().unwrap();
            step(&p);
        }
        values(&p)
    };
    let near = |got: Vec<f32>, want: [f64; 2]| got.iter().zip(want).all(|(&a, b)| (a as f64 - b).abs() < 2e-6);
    for dev in devices() {
        let mut sgd: Option<Optimizer> = None;
        let got = run(
            &dev,
            Box::new(move |p| {
                let sgd = sgd.get_or_insert_with(|| Sgd { lr: 0.1, momentum: 0.9, ..Default::default() }.over([p]));
                sgd.step().unwrap();
            }),
        );
        // p: 1 → 0.8 → 0.46 → 0.062
        assert!(near(got.clone(), [0.062, -0.124]), "{got:?}");
        let mut adam: Option<Optimizer> = None;
        let got = run(&dev, Box::new(move |p| adam.get_or_insert_with(|| Adam::new([p], 0.1)).step().unwrap()));
        // In double precision: m and v as the formula says, from zero.
        let reference = |mut p: f64| {
            let (mut m, mut v) = (0.0, 0.0);
            for t in 1..=3 {
                let g = 2.0 * p;
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                p -= 0.1 * (m / (1.0 - 0.9f64.powi(t))) / ((v / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
            }
            p
        };
        assert!(near(got.clone(), [reference(1.0), reference(-2.0)]), "{got:?}");
    }
}

#[test]
fn leaves_and_retained_tensors_never_share_a_gradient() {
    for dev in devices() {
        let (a, b, w) = (leaf(&[1.0, 2.0], &dev), leaf(&[3.0, 4.0], &dev), Tensor::new([5.0, 6.0], &dev));
        let y = || ((&a + &b) * &w).sum();
        y().backward_with(None, BackwardOptions { create_graph: true, ..Default::default() }).unwrap();
        y().backward().unwrap();
        assert_eq!(values(&a.grad().unwrap()), [10.0, 12.0]);
        let y = &a * 2.0;
        y.retain_grad().unwrap();
        let inputs = [&y, &a, &a].map(BackwardInput::from).to_vec();
        a.zero_grad();
        (&y * 3.0).sum().backward_with(None, BackwardOptions { inputs: Some(inputs), ..Default::default() }).unwrap();
        assert_eq!((values(&y.grad().unwrap()), values(&a.grad().unwrap())), (vec![3.0; 2], vec![6.0; 2]));
        let y = &a * 2.0;
        y.retain_grad().unwrap();
        y.backward_with(Some(&w), BackwardOptions::default()).unwrap();
        y.grad().unwrap().zero_().unwrap();
        assert_eq!(values(&w), [5.0, 6.0]);
    }
}

#[test]
fn a_view_that_takes_over_a_history_comes_before_what_is_made_of_it() {
    for dev in devices() {
        let (a, x) = (leaf(&[1.0], &dev), leaf(&[2.0, 3.0], &dev));
        let base = &x * 1.0;
        let view = base.narrow(0, 0, 1);
        base.mul_(2.0).unwrap();
        let y = Tensor::cat(&[a, view], 0).sum();
        let g = grad(&[&y], &[&x], GradOptions::default()).unwrap();
        assert_eq!(values(g[0].as_ref().unwrap()), [2.0, 0.0]);
    }
}

#[test]
fn hooks_stay_with_the_value_and_retaining_with_the_tensor() {
    for dev in devices() {
        let x = leaf(&[1.0], &dev);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = |name: &'static str| {
            let seen = seen.clone();
            move |g: &Tensor| {
                seen.lock().unwrap().push((name, values(g)[0]));
                None
            }
        };
        let y = &x * 1.0;
        y.register_hook(log("before")).unwrap();
        y.retain_grad().unwrap();
        y.mul_(2.0).unwrap();
        y.register_hook(log("after")).unwrap();
        y.sum().backward().unwrap();
        assert_eq!(*seen.lock().unwrap(), [("after", 1.0), ("before", 2.0)]);
        assert_eq!(values(&y.grad().unwrap()), [1.0]);
    }
}

#[test]
fn in_place_changes_that_would_lose_a_gradient_are_refused() {
    let dev = Device::cpu();
    let x = leaf(&[1.0, 2.0], &dev);
    let base = &x * 1.0;
    let view = {
        let _guard = no_grad();
        base.select(0, 0)
    };
    assert!(view.mul_(2.0).map(drop).unwrap_err().is_in_place());
    let own = Tensor::zeros([2], &dev).narrow(0, 0, 1).requires_grad_(true).unwrap();
    assert!(own.add_(1.0).map(drop).unwrap_err().is_in_place());
    let whole = Tensor::new([1, 2], &dev);
    let text = wgrad::catch(|| whole.add_(0.5).map(drop)).unwrap_err().to_string();
    assert!(text.starts_with("add_: the result is f32, which i32 storage cannot hold"), "{text}");
}

#[test]
fn threads_may_share_a_leaf() {
    for dev in devices() {
        let w = leaf(&[1.0; 4], &dev);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| (&w * 2.0).sum().backward().unwrap()));
            }
        });
        assert_eq!(values(&w.grad().unwrap()), [80.0; 4], "{}", dev.name());
    }
}

#[test]
fn chains_of_100_000_views_do_not_recurse() {
    on_small_stack(|| {
        let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu());
        let mut y = x.clone();
        for _ in 0..100_001 {
            y = y.t();
        }
        y.mul_(2.0).unwrap();
        assert_eq!((values(&x), values(&y)), (vec![2.0, 4.0, 6.0, 8.0], vec![2.0, 6.0, 4.0, 8.0]));
    });
}

/// Keeps what is logged.
struct Log(Mutex<Vec<String>>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        if record.level() == log::Level::Warn {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_gradient_that_nobody_stores_is_warned_of() {
    static LOG: Log = Log(Mutex::new(Vec::new()));
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let warnings = || LOG.0.lock().unwrap().iter().filter(|text| text.contains("[1, 7, 1]")).count();
    let x = Tensor::ones([1, 7, 1], &Device::cpu()).requires_grad_(true).unwrap();
    let (y, z) = (&x * 2.0, &x * 3.0);
    z.retain_grad().unwrap();
    assert!(x.grad().is_none() && z.grad().is_none() && x.detach().grad().is_none());
    assert_eq!(warnings(), 0);
    assert!(y.grad().is_none());
    assert_eq!(warnings(), 1);
    log::set_max_level(log::LevelFilter::Off);
}

#[test]
fn backward_starts_at_edges_as_at_tensors() {
    on_every_device(|dev| {
        let x = Tensor::new([1.0, 2.0], dev).requires_grad_(true)?;
        let (edge, whole) = {
            let y = &x * &x;
            (GradientEdge::of(&y)?, GradientEdge::of(&y.sum())?)
        };
        let keep = BackwardOptions { retain_graph: Some(true), ..Default::default() };
        backward(&[edge.clone(), whole], &[Some(Tensor::new([10.0, 1.0], dev)), None], keep)?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [22.0, 8.0]);
        let error = backward(&[edge], &[], BackwardOptions::default()).unwrap_err();
        assert!(error.to_string().contains("only a tensor of one element needs no gradient given"), "{error}");
        Ok(())
    });
}
