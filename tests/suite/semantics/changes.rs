//! Detaching, modes, changes in place, hooks.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use wgrad::autograd::{
    enable_grad, inference_mode, is_grad_enabled, no_grad, register_any_grad_hook, register_multi_grad_hook,
    set_grad_enabled,
};
use wgrad::catch;

type Seen<T> = Arc<Mutex<Vec<T>>>;

facts! {
    detach_02 => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = &x * &x;
        x.detach().mul_(2.0)?;
        raises(y.sum().backward(), "backward: a value of shape [2] saved by MulBackward0");
    }
    detach_04 => |dev| {
        let x = t([2.0], dev);
        let y = &x * 3.0;
        let _z = &y * 2.0;
        y.detach_()?;
        assert_eq!((y.is_leaf(), y.requires_grad()), (true, false));
        (&y * 2.0 + &x).backward()?;
        assert_eq!(stored(&x), [1.0]);
    }
    detach_05 => |dev| {
        raises((t([1.0, 2.0], dev) * 2.0).narrow(0, 0, 1).detach_(), "detach_: a view, of shape [1]; use detach");
    }
    mode_02 => |dev| {
        let x = t(2.0, dev);
        let tracked = || (&x * 1.0).requires_grad();
        let mut r = Vec::new();
        {
            let _outer = no_grad();
            r.push(tracked());
            {
                let _middle = enable_grad();
                r.push(tracked());
                {
                    let _inner = no_grad();
                    r.push(tracked());
                }
                r.push(tracked());
            }
            r.push(tracked());
        }
        r.push(tracked());
        assert_eq!(r, [false, true, false, true, false, true]);
    }
    mode_03 => |dev| {
        let x = t(2.0, dev);
        let tracked = || (&x * 1.0).requires_grad();
        let a = { let _guard = set_grad_enabled(false); tracked() };
        let guard = set_grad_enabled(false);
        let b = tracked();
        drop(guard);
        assert_eq!((a, b, tracked()), (false, false, true));
    }
    mode_05 => |dev| {
        let _ = dev;
        let _ = catch_unwind(|| { let _guard = no_grad(); std::panic::resume_unwind(Box::new(())) });
        assert!(is_grad_enabled());
    }
    mode_07 => |dev| {
        let x = t(3.0, dev);
        let c = { let _guard = no_grad(); &x * &x };
        (c * &x).backward()?;
        assert_eq!(stored(&x), [9.0]);
    }
    mode_08 => |dev| {
        let x = t(3.0, dev);
        let y = &x * &x;
        { let _guard = no_grad(); y.backward()?; }
        assert_eq!(stored(&x), [6.0]);
    }
    mode_10 => |dev| {
        let _ = dev;
        let _guard = no_grad();
        assert!(std::thread::spawn(is_grad_enabled).join().unwrap() && !is_grad_enabled());
    }
    mode_12 => |dev| {
        let c = { let _guard = inference_mode(); Tensor::ones([2], dev) };
        raises(c.add_(1.0), "add_: a tensor of shape [2] made in inference mode cannot be changed outside; copy it first");
        raises(c.add_(t([1.0, 1.0], dev)), "add_: a tensor of shape [2] made in inference mode cannot be changed outside; copy it first");
        // And what is inside the mode may change there.
        let _guard = inference_mode();
        assert_eq!(values(c.add_(1.0)?), [2.0, 2.0]);
    }
    mode_13 => |dev| {
        let c = { let _guard = inference_mode(); Tensor::ones([2], dev) };
        raises(c.requires_grad_(true), "requires_grad_: a tensor of shape [2] made in inference mode; copy it first");
        assert!(c.copy().requires_grad_(true)?.requires_grad());
        // Nor can it be saved for backward.
        raises(catch(|| t([1.0, 1.0], dev) * &c), "mul: a tensor of shape [2] made in inference mode cannot be saved for backward; use a copy of it");
    }
    inplace_02 => |dev| {
        let x = t([1.0, 2.0], dev);
        raises(x.select(0, 0).mul_(2.0), "mul_: a view of a leaf that requires grad cannot be changed in place, shape []; use no_grad");
        raises(x.reshape([2, 1]).add_(1.0), "add_: a view of a leaf that requires grad cannot be changed in place, shape [2, 1]; use no_grad");
    }
    inplace_03 => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = &x * 2.0;
        let before = y.grad_fn().unwrap().name();
        assert!(y.mul_(3.0)?.is_same(&y));
        assert_eq!((before, y.grad_fn().unwrap().name()), ("MulBackward0", "MulBackward0"));
        y.sum().backward()?;
        assert_eq!(stored(&x), [6.0, 6.0]);
    }
    inplace_05 => |dev| {
        let y = t([1.0, 2.0], dev).exp();
        y.add_(1.0)?;
        raises(y.sum().backward(), "backward: a value of shape [2] saved by ExpBackward0");
    }
    inplace_07 => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = &x * 2.0;
        let z = &y + 1.0;
        y.add_(100.0)?;
        z.sum().backward()?;
        assert_eq!((stored(&x), values(&z)), (vec![2.0, 2.0], vec![3.0, 5.0]));
    }
    inplace_08 => |dev| {
        let y = t([1.0, 2.0], dev) * 1.0;
        let z = &y * &y;
        y.add_(1.0)?;
        y.sub_(1.0)?;
        raises(z.sum().backward(), "backward: a value of shape [2] saved by MulBackward0");
    }
    inplace_10 => |dev| {
        let (x, c) = (t([1.0], dev), Tensor::new([2.0], dev));
        let a = &x * 1.0;
        let y = &a * &c;
        a.add_(5.0)?;
        y.backward()?;
        assert_eq!(stored(&x), [2.0]);
    }
    inplace_12 => |dev| {
        let (w, h) = (t([1.0, 2.0], dev), t([3.0, 4.0], dev));
        let y = (&w * &h).sum();
        { let _guard = no_grad(); w.add_(1.0)?; }
        raises(y.backward(), "backward: a value of shape [2] saved by MulBackward0");
    }
    inplace_13 => |dev| {
        let (x, s) = (t([1.0, 2.0, 3.0], dev), t(7.0, dev));
        let y = &x * 2.0;
        y.select(0, 1).copy_(&s)?;
        assert_eq!((values(&y), y.grad_fn().unwrap().name()), (vec![2.0, 7.0, 6.0], "CopySlices"));
        (&y * Tensor::new([1.0, 10.0, 100.0], dev)).sum().backward()?;
        assert_eq!((stored(&x), stored(&s)), (vec![2.0, 0.0, 200.0], vec![10.0]));
    }
    inplace_15 => |dev| {
        let (x, s) = (t([[1.0, 2.0], [3.0, 4.0]], dev), t([5.0, 6.0], dev));
        let y = &x * 2.0;
        y.copy_(&s)?;
        (&y * Tensor::new([[1.0, 2.0], [3.0, 4.0]], dev)).sum().backward()?;
        assert_eq!((stored(&x), stored(&s)), (vec![0.0; 4], vec![4.0, 6.0]));
    }
    inplace_17 => |dev| {
        let x = t([1.0, 2.0, 3.0, 4.0], dev);
        let y = &x * 1.0;
        y.narrow(0, 1, 2).mul_(10.0)?;
        (&y * &y).sum().backward()?;
        assert_eq!((values(&y), stored(&x)), (vec![1.0, 20.0, 30.0, 4.0], vec![2.0, 400.0, 600.0, 8.0]));
        assert_eq!(y.grad_fn().unwrap().name(), "CopySlices");
    }
    inplace_18 => |dev| {
        let x = t([1.0, 2.0, 3.0], dev);
        let y = &x * 1.0;
        let v = y.narrow(0, 0, 2);
        y.mul_(4.0)?;
        assert_eq!(values(&v), [4.0, 8.0]);
        (&v * &v).sum().backward()?;
        assert_eq!(stored(&x), [32.0, 64.0, 0.0]);
    }
    inplace_20 => |dev| {
        let x = t([1.0, 1.0, 1.0, 1.0], dev);
        let y = &x * 1.0;
        y.narrow(0, 0, 3).mul_(2.0)?;
        y.narrow(0, 1, 3).mul_(3.0)?;
        y.sum().backward()?;
        assert_eq!((values(&y), stored(&x)), (vec![2.0, 6.0, 6.0, 3.0], vec![2.0, 6.0, 6.0, 3.0]));
    }
    inplace_22 => |dev| {
        raises(catch(|| Tensor::new([1, 2], dev).add_(1.5).map(drop)), "add_: the result is f32, which i32 storage cannot hold");
        assert_eq!(values(Tensor::new([1.0, 2.0], dev).add_(1)?), [2.0, 3.0]);
    }
    inplace_23 => |dev| {
        let (x, b) = (t([[1.0, 2.0], [3.0, 4.0]], dev), t([10.0, 20.0], dev));
        let y = &x * 1.0;
        y.mul_(&b)?;
        y.sum().backward()?;
        assert_eq!((stored(&x), stored(&b)), (vec![10.0, 20.0, 10.0, 20.0], vec![4.0, 6.0]));
    }
    inplace_25 => |dev| {
        let x = t([1.0, 2.0, 3.0, 4.0], dev);
        raises((&x * 1.0).split(2, 0)[0].mul_(2.0), "mul_: a view of shape [2] that was made with others by one operation cannot be changed in place");
        raises((&x * 1.0).unbind(0)[0].mul_(2.0), "mul_: a view of shape [] that was made with others by one operation cannot be changed in place");
        // What is not tracked may change.
        let y = x.detach();
        y.split(2, 0)[1].mul_(2.0)?;
        assert_eq!(values(&y), [1.0, 2.0, 6.0, 8.0]);
    }
    inplace_27 => |dev| {
        let (x, s) = (t([-1.0, 2.0, -3.0, 4.0], dev), t([5.0, 6.0], dev));
        let y = &x * 1.0;
        y.relu_()?;
        let y = y.copy();
        y.masked_fill_(&Tensor::new([false, false, false, true], dev), 9.0)?;
        y.index_add_(0, &Tensor::new([0, 0], dev), &s, 1.0)?;
        (&y * Tensor::new([1.0, 2.0, 3.0, 4.0], dev)).sum().backward()?;
        assert_eq!(values(&y), [11.0, 2.0, 0.0, 9.0]);
        assert_eq!((stored(&x), stored(&s)), (vec![0.0, 2.0, 0.0, 0.0], vec![1.0, 1.0]));
    }
    a_result_that_backward_does_not_read_may_change => |dev| {
        type Operation = fn(&Tensor, &Tensor) -> Tensor;
        let operations: [Operation; 17] = [
            |a, b| a * b, |a, _| a.elu(1.0), |a, _| a.selu(), |a, _| a.celu(1.0), |a, _| a.silu(), |a, _| a.sinc(),
            |a, _| a.log(), |a, _| a.leaky_relu(0.1), |a, _| a.abs(), |a, _| a.clamp(0.0, 1.0), |a, _| a.matmul(&a.t()),
            |a, _| a.sum_dim(0, false), |a, _| a.max_dim(0, false).0, |a, b| b / a, |a, _| a.erfinv(),
            |a, _| a.layer_norm(2, None, None, 1e-5), |a, _| a.rms_norm(2, None, 1e-5),
        ];
        for (i, f) in operations.into_iter().enumerate() {
            let (x, b) = (t([[0.5, -0.3], [0.2, 0.7]], dev), t([0.5, 2.0], dev));
            let gradient = |changed: bool| {
                x.zero_grad();
                let y = f(&(&x * 1.0), &b);
                if changed { y.add_(1.0)?; }
                y.sum().backward()?;
                Ok::<_, wgrad::Error>(stored(&x))
            };
            assert_eq!(gradient(true)?, gradient(false)?, "operation {i}");
        }
        let read: [Operation; 8] = [
            |a, _| a.sigmoid(), |a, _| a.tanh(), |a, _| a.exp(), |a, _| a.relu(), |a, _| a.softmax(0), |a, _| a.sqrt(),
            |a, _| a.logsumexp(0, false), |a, _| a.reciprocal(),
        ];
        for f in read {
            let y = f(&t([[0.5, 0.3], [0.2, 0.7]], dev), &t([0.5, 2.0], dev));
            y.add_(1.0)?;
            raises(y.sum().backward(), "changed in place");
        }
    }
    inplace_28 => |dev| {
        let y = t([1.0], dev) * 1.0;
        y.exp_()?;
        y.sigmoid_()?;
        raises(y.backward(), "backward: a value of shape [1] saved by ExpBackward0");
    }
    hooks_01 => |dev| {
        let (x, seen) = (t([1.0, 2.0], dev), Seen::default());
        let all = seen.clone();
        x.register_hook(move |g| { all.lock().unwrap().push(values(g)); None })?;
        (&x * &x).sum().backward()?;
        assert_eq!((seen.lock().unwrap().clone(), stored(&x)), (vec![vec![2.0, 4.0]], vec![2.0, 4.0]));
    }
    hooks_02 => |dev| {
        let x = t(2.0, dev);
        let y = &x * 3.0;
        y.register_hook(|g| Some(g * 100.0))?;
        (&y * &y).backward()?;
        assert_eq!(stored(&x), [3600.0]);
    }
    hooks_04 => |dev| {
        let (x, n) = (t(1.0, dev), Arc::new(Mutex::new(0)));
        let count = n.clone();
        let handle = x.register_hook(move |_| { *count.lock().unwrap() += 1; None })?;
        (&x * 2.0).backward()?;
        handle.remove();
        handle.remove();
        (&x * 2.0).backward()?;
        assert_eq!((*n.lock().unwrap(), stored(&x)), (1, vec![4.0]));
    }
    hooks_06 => |dev| {
        let (x, seen) = (t(2.0, dev), Seen::default());
        let y = &x * 1.0;
        let all = seen.clone();
        y.register_hook(move |g| { all.lock().unwrap().push(g.item().unwrap()); None })?;
        (&y * 3.0 + &y * &y + &y).backward()?;
        assert_eq!(*seen.lock().unwrap(), [8.0]);
    }
    // A hook that returns something other than a tensor does not compile.
    hooks_07 => |dev| {
        let x = t([1.0, 2.0], dev);
        let own = dev.clone();
        x.register_hook(move |_| Some(Tensor::ones([3], &own)))?;
        raises(catch(|| (&x * 2.0).sum().backward()), "gave another gradient than it was shown: f32 of shape [3] for f32 of [2]");
    }
    hooks_09 => |dev| {
        let (x, seen) = (t(1.0, dev), Seen::default());
        let all = seen.clone();
        x.register_post_accumulate_grad_hook(move |x| all.lock().unwrap().push(x.grad().unwrap().item().unwrap()))?;
        (&x * 2.0).backward()?;
        (&x * 3.0).backward()?;
        assert_eq!(*seen.lock().unwrap(), [2.0, 5.0]);
    }
    hooks_11 => |dev| {
        raises((t(1.0, dev) * 2.0).register_post_accumulate_grad_hook(|_| {}), "register_post_accumulate_grad_hook: only leaves accumulate, and this result of shape [] is none");
    }
    hooks_12 => |dev| {
        let x = t(1.0, dev);
        let y = &x * 2.0;
        y.retain_grad()?;
        y.register_hook(|g| Some(g * 10.0))?;
        (&y * 3.0).backward()?;
        assert_eq!((stored(&y), stored(&x)), (vec![30.0], vec![60.0]));
    }
    hooks_14 => |dev| {
        let (x, seen) = (t(2.0, dev), Seen::default());
        let y = &x * &x;
        let all = seen.clone();
        y.grad_fn().unwrap().register_hook(move |inputs, outputs| {
            let items = |gs: &[Option<Tensor>]| gs.iter().flatten().map(|g| g.item().unwrap()).collect::<Vec<_>>();
            all.lock().unwrap().push((items(inputs), items(outputs)));
            Some(inputs.iter().map(|g| g.as_ref().map(|g| g * 10.0)).collect())
        });
        (&y * 3.0).backward()?;
        assert_eq!((seen.lock().unwrap().clone(), stored(&x)), (vec![(vec![6.0, 6.0], vec![3.0])], vec![120.0]));
    }
    hooks_16 => |dev| {
        let (x, seen) = (t(2.0, dev), Seen::default());
        let y = &x * &x;
        let (a, b, c) = (seen.clone(), seen.clone(), seen.clone());
        let node = y.grad_fn().unwrap();
        node.register_prehook(move |_| { a.lock().unwrap().push("node"); None });
        y.register_hook(move |_| { b.lock().unwrap().push("tensor"); None })?;
        node.register_hook(move |_, _| { c.lock().unwrap().push("after"); None });
        (&y * 1.0).backward()?;
        assert_eq!(*seen.lock().unwrap(), ["tensor", "node", "after"]);
    }
    hooks_17 => |dev| {
        let x = t(1.0, dev);
        let y = &x * 2.0;
        y.register_hook(|_| std::panic::resume_unwind(Box::new("stop")))?;
        let panic = catch_unwind(AssertUnwindSafe(|| (&y * 1.0).backward())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"stop"));
        assert!(x.grad().is_none());
        // The engine is as it was before.
        (&x * 2.0).backward()?;
        assert_eq!(stored(&x), [2.0]);
    }
    hooks_19 => |dev| {
        let (a, b, seen) = (t(1.0, dev), t(2.0, dev), Seen::default());
        let (all, any) = (seen.clone(), seen.clone());
        register_multi_grad_hook(&[&a, &b], move |gs| {
            all.lock().unwrap().push(gs.iter().map(|g| g.as_ref().map(|g| g.item().unwrap())).collect::<Vec<_>>());
        })?;
        register_any_grad_hook(&[&a, &b], move |_| any.lock().unwrap().push(vec![]))?;
        (&a * &b).backward()?;
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_by_key(Vec::len);
        assert_eq!(seen, [vec![], vec![Some(2.0), Some(1.0)]]);
    }
}
