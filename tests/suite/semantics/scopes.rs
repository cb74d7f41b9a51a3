//! Guards in any order, locks that nobody holds while the user's code runs, what ends when a run fails, the order of hooks.

use super::*;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use wgrad::autograd::graph::{ledger, to_dot};
use wgrad::autograd::{
    CheckpointOptions, Context, Function, apply, backward, checkpoint, enable_grad, inference_mode, is_grad_enabled,
    node_creation_hook, register_multi_grad_hook, saved_tensors_hooks, set_grad_enabled,
};

/// Fails, instead of waiting for ever, if `f` does not end.
fn ends(f: impl FnOnce() + Send + 'static) {
    let (done, end) = mpsc::channel();
    let run = std::thread::spawn(move || {
        f();
        done.send(()).unwrap();
    });
    assert_ne!(end.recv_timeout(Duration::from_secs(60)), Err(mpsc::RecvTimeoutError::Timeout), "a deadlock");
    run.join().unwrap();
}

/// The sum of its inputs, with a gradient for the first one only.
struct First;

impl Function for First {
    fn forward(&mut self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![&inputs[0] + &inputs[1]])
    }

    fn backward(&self, _: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![gradients[0].clone(), None])
    }
}

facts! {
    guards_end_in_any_order => |dev| {
        let mut guard = set_grad_enabled(false);
        assert!(!is_grad_enabled());
        guard = { let next = set_grad_enabled(true); drop(guard); next };
        assert!(is_grad_enabled());
        drop(guard);
        assert!(is_grad_enabled());
        let outer = inference_mode();
        { let _inner = enable_grad(); assert!(!(t(1.0, dev) * 2.0).requires_grad()); }
        drop(outer);

        let x = t([1.0], dev);
        let first = saved_tensors_hooks(|x| x * 10.0, |x| Ok(x.clone()));
        let second = saved_tensors_hooks(|x| x * 100.0, |x| Ok(x.clone()));
        drop(first);
        let y = &x * &x;
        drop(second);
        let z = &x * &x;
        y.backward()?;
        assert_eq!(stored(&x), [200.0]);
        x.zero_grad();
        z.backward()?;
        assert_eq!(stored(&x), [2.0]);

        let seen: Arc<Mutex<Vec<&str>>> = Arc::default();
        let note = |name| { let seen = seen.clone(); move |_: &_| seen.lock().unwrap().push(name) };
        let first = node_creation_hook(note("first"));
        let second = node_creation_hook(note("second"));
        drop(first);
        let _ = &x * 2.0;
        drop(second);
        assert_eq!(*seen.lock().unwrap(), ["second"]);
    }
    no_lock_is_held_while_the_users_code_runs => |dev| {
        let dev = dev.clone();
        ends(move || {
            let x = t([1.0], &dev);
            let slot: Arc<Mutex<Option<Tensor>>> = Arc::default();
            let held = slot.clone();
            let y = {
                let _scope = saved_tensors_hooks(|x| x, move |x: &Tensor| {
                    let y = held.lock().unwrap().clone().unwrap();
                    ledger(&[&y]);
                    to_dot(&[&y]);
                    Ok(x.clone())
                });
                &x * &x
            };
            *slot.lock().unwrap() = Some(y.clone());
            y.backward().unwrap();
            slot.lock().unwrap().take();

            let held = slot.clone();
            let region = move |x: &[Tensor]| {
                if let Some(y) = &*held.lock().unwrap() {
                    to_dot(&[y]);
                    y.grad_fn().unwrap().saved_bytes();
                }
                vec![x[0].sin()]
            };
            let y = checkpoint(region, &[&x], CheckpointOptions::default()).remove(0);
            *slot.lock().unwrap() = Some(y.clone());
            y.backward().unwrap();
            slot.lock().unwrap().take();

            let w = t([1.0], &dev);
            let of = w.clone();
            w.set_grad(Some(Tensor::ones([1], &dev).requires_grad_(true).unwrap()));
            let y = &w * &w;
            let inner = Mutex::new(Some(&of * 2.0));
            let _scope = node_creation_hook(move |node| {
                if node.name() == "AddBackward0" && let Some(y) = inner.lock().unwrap().take() {
                    y.backward().unwrap();
                }
            });
            y.backward_with(None, BackwardOptions { create_graph: true, ..Default::default() }).unwrap();
            assert_eq!(stored(&w), [5.0]);
            w.zero_grad();
        });
    }
    a_long_chain_of_checkpoints_is_dropped => |dev| {
        let mut y = t([1.0], dev);
        for _ in 0..if dev.name().starts_with("twin") { 1_000 } else { 20_000 } {
            y = checkpoint(|x| vec![x[0].sin()], &[&y], CheckpointOptions::default()).remove(0);
        }
        drop(y);
    }
    a_checkpoint_may_differentiate_inside => |dev| {
        for early_stop in [true, false] {
            let x = t([0.5, 1.0], dev);
            let region = |x: &[Tensor]| {
                let create = GradOptions { create_graph: true, ..Default::default() };
                let y = x[0].pow(3.0).sum();
                let g = grad(&[&y], &[&x[0]], create).unwrap().remove(0).unwrap();
                vec![(g * &x[0]).sin()]
            };
            let plain = t([0.5, 1.0], dev);
            region(std::slice::from_ref(&plain))[0].sum().backward()?;
            let options = CheckpointOptions { early_stop, ..Default::default() };
            checkpoint(region, &[&x], options).remove(0).sum().backward()?;
            assert_eq!(stored(&x), stored(&plain));
        }
    }
    a_multi_grad_hook_is_told_of_a_gradient_that_does_not_come => |dev| {
        let (a, b) = (t([1.0], dev), t([1.0], dev));
        let (x, y) = (&a * 1.0, &b * 1.0);
        let seen: Arc<Mutex<Vec<Vec<bool>>>> = Arc::default();
        let all = seen.clone();
        register_multi_grad_hook(&[&x, &y], move |gs| {
            all.lock().unwrap().push(gs.iter().map(Option::is_some).collect());
        })?;
        apply(First, &[&x, &y])?.remove(0).backward()?;
        assert_eq!(*seen.lock().unwrap(), [[true, false]]);
        assert!(b.grad().is_none());
    }
    threads_lose_no_retained_gradient => |dev| {
        let x = t([1.0], dev);
        let y = &x * 1.0;
        y.retain_grad()?;
        let times = if dev.name() == "cpu" { 100 } else { 5 };
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| (0..times).for_each(|_| {
                    let keep = BackwardOptions { retain_graph: Some(true), ..Default::default() };
                    (&y * 2.0).backward_with(None, keep).unwrap();
                }));
            }
        });
        assert_eq!(stored(&y), [8.0 * times as f32]);
        assert_eq!(stored(&x), [8.0 * times as f32]);
    }
    a_gradient_stored_in_inference_mode_is_added_to_nowhere_else => |dev| {
        let x = t([1.0], dev);
        let (y, z) = (&x * 2.0, &x * 3.0);
        { let _guard = inference_mode(); y.backward()?; }
        raises(z.backward(), "made in inference mode cannot be changed outside");
    }
    a_gradient_asked_for_is_that_before_the_hooks_of_what_goes_on => |dev| {
        let g = |outputs: &[&Tensor], inputs: &[&Tensor]| -> Result<Vec<Vec<f32>>> {
            Ok(grad(outputs, inputs, GradOptions::default())?.iter().flatten().map(values).collect())
        };
        let x = t([1.0], dev);
        let y = &x * 2.0;
        y.register_hook(|g| Some(g * 10.0))?;
        assert_eq!(g(&[&(&y * 3.0)], &[&y, &x])?, [[3.0], [60.0]]);
        let y = &x * 2.0;
        y.register_hook(|g| Some(g * 10.0))?;
        assert_eq!(g(&[&(&y * 3.0)], &[&y])?, [[30.0]]);
        let y = &x * 2.0;
        y.grad_fn().unwrap().register_prehook(|gs| Some(gs.iter().map(|g| g.as_ref().map(|g| g * 10.0)).collect()));
        assert_eq!(g(&[&(&y * 3.0)], &[&y])?, [[3.0]]);
    }
    a_leaf_that_is_an_input_of_backward_runs_its_node => |dev| {
        let x = t([1.0], dev);
        let y = &x * 2.0;
        let seen: Arc<Mutex<Vec<&str>>> = Arc::default();
        let note = |name| { let seen = seen.clone(); move || seen.lock().unwrap().push(name) };
        let node = y.grad_fn().unwrap().next_functions()[0].clone().unwrap().0;
        let (pre, post, acc) = (note("pre"), note("post"), note("acc"));
        node.register_prehook(move |_| { pre(); None });
        node.register_hook(move |_, _| { post(); None });
        x.register_post_accumulate_grad_hook(move |_| acc())?;
        let into = |x: &Tensor| BackwardOptions { inputs: Some(vec![x.into()]), retain_graph: Some(true), ..Default::default() };
        backward(&[&y], &[], into(&x))?;
        assert_eq!(*seen.lock().unwrap(), ["pre", "acc", "post"]);
        seen.lock().unwrap().clear();
        grad(&[&y], &[&x], GradOptions { retain_graph: Some(true), ..Default::default() })?;
        assert!(seen.lock().unwrap().is_empty());
        let z = &y * 3.0;
        backward(&[&z], &[], into(&y))?;
        assert!(y.retains_grad() && stored(&y) == [3.0]);
    }
}
