//! Hooks of tensors that are changed in place: they stay at the node that made what was there before.

use super::*;
use std::sync::{Arc, Mutex};
use wgrad::autograd::register_multi_grad_hook;
use wgrad::{DType, catch};

type Seen = Arc<Mutex<Vec<(&'static str, Vec<f32>)>>>;

/// What a tensor's hook of this name sees.
fn watch(x: &Tensor, name: &'static str, seen: &Seen) -> Result<()> {
    let seen = seen.clone();
    x.register_hook(move |g| {
        seen.lock().unwrap().push((name, values(g)));
        None
    })?;
    Ok(())
}

fn told(seen: &Seen) -> Vec<(&'static str, Vec<f32>)> {
    std::mem::take(&mut *seen.lock().unwrap())
}

/// `y = x · 1`, and the view of its first element.
fn with_view(dev: &Device) -> (Tensor, Tensor, Tensor) {
    let x = t([1.0, 2.0], dev);
    let y = &x * 1.0;
    let v = y.narrow(0, 0, 1);
    (x, y, v)
}

facts! {
    hooks_stay_with_what_was_there_before_a_change => |dev| {
        let (seen, (x, y, _)) = (Seen::default(), with_view(dev));
        watch(&y, "old", &seen)?;
        y.mul_(3.0)?;
        watch(&y, "new", &seen)?;
        (&y * 2.0).sum().backward()?;
        assert_eq!((told(&seen), stored(&x)), (vec![("new", vec![2.0, 2.0]), ("old", vec![6.0, 6.0])], vec![6.0, 6.0]));
    }
    hooks_of_a_view_do_not_see_what_is_written_through_it => |dev| {
        for through_base in [false, true] {
            let (seen, (x, y, v)) = (Seen::default(), with_view(dev));
            watch(&v, "view", &seen)?;
            let pre = seen.clone();
            v.grad_fn().unwrap().register_prehook(move |_| { pre.lock().unwrap().push(("node", vec![])); None });
            v.mul_(3.0)?;
            (if through_base { &y } else { &v } * 2.0).sum().backward()?;
            assert_eq!((told(&seen), stored(&x)), (vec![], vec![6.0, if through_base { 2.0 } else { 0.0 }]));
        }
    }
    hooks_of_a_view_see_who_used_it_before => |dev| {
        for change_base in [false, true] {
            let (seen, (x, y, v)) = (Seen::default(), with_view(dev));
            watch(&v, "view", &seen)?;
            let before = &v * 5.0;
            if change_base { &y } else { &v }.mul_(3.0)?;
            (before.sum() + (&v * 2.0).sum()).backward()?;
            assert_eq!((told(&seen), stored(&x)), (vec![("view", vec![5.0])], vec![11.0, 0.0]));
        }
    }
    hooks_of_a_base_see_what_is_written_through_a_view => |dev| {
        for through_view in [false, true] {
            let (seen, (x, y, v)) = (Seen::default(), with_view(dev));
            watch(&y, "base", &seen)?;
            v.mul_(3.0)?;
            (if through_view { &v } else { &y } * 2.0).sum().backward()?;
            let g = vec![6.0, if through_view { 0.0 } else { 2.0 }];
            assert_eq!((told(&seen), stored(&x)), (vec![("base", g.clone())], g));
        }
    }
    hooks_of_a_view_are_lost_when_its_base_is_changed => |dev| {
        let (seen, (_, y, v)) = (Seen::default(), with_view(dev));
        watch(&v, "old", &seen)?;
        y.narrow(0, 0, 1).mul_(3.0)?;
        watch(&v, "new", &seen)?;
        (&v * 2.0).sum().backward()?;
        assert_eq!(told(&seen), [("new", vec![2.0])]);
        let (seen, (x, y, v)) = (Seen::default(), with_view(dev));
        watch(&v, "old", &seen)?;
        v.retain_grad()?;
        { let _guard = wgrad::autograd::no_grad(); y.add_(1.0)?; }
        (&v * 3.0).sum().backward()?;
        assert_eq!((told(&seen), stored(&v), stored(&x)), (vec![], vec![3.0], vec![3.0, 0.0]));
    }
    hooks_of_what_becomes_a_leaf_stay => |dev| {
        let (seen, (_, y, _)) = (Seen::default(), with_view(dev));
        watch(&y, "first", &seen)?;
        y.detach_()?.requires_grad_(true)?;
        (&y * 3.0).sum().backward()?;
        assert_eq!((told(&seen), stored(&y)), (vec![("first", vec![3.0, 3.0])], vec![3.0, 3.0]));
    }
    hooks_of_nodes_give_what_fits => |dev| {
        let other = if dev.name() == "cpu" { DType::F64 } else { DType::F16 };
        let gives = |first: Option<Tensor>, second: Option<Tensor>, before: bool| {
            let x = t([1.0, 2.0], dev);
            let y = &x * 2.0;
            let (node, given) = (y.grad_fn().unwrap(), [first, second]);
            match before {
                true => node.register_prehook(move |_| Some(given[..1].to_vec())),
                false => node.register_hook(move |_, _| Some(given.to_vec())),
            };
            catch(|| y.sum().backward()).and_then(|told| told).map(|()| x.grad())
        };
        let ones = |shape: &[usize]| Some(Tensor::ones(shape, dev));
        for before in [true, false] {
            let op = if before { "register_prehook" } else { "register_hook" };
            let said = format!("{op}: a hook of MulBackward0, recorded at");
            for shape in [&[3][..], &[1], &[2, 2]] {
                let error = gives(ones(shape), None, before).unwrap_err().to_string();
                assert!(error.starts_with(&said) && error.contains(&format!("gave f32 of shape {shape:?} for f32 of shape [2]")), "{error}");
            }
            let cast = ones(&[2]).map(|g| g.cast(other));
            raises(gives(cast, None, before), &format!("gave {other} of shape [2] for f32 of shape [2]"));
            assert_eq!(values(&gives(ones(&[2]), None, before)?.unwrap()), if before { [2.0, 2.0] } else { [1.0, 1.0] });
            // A rule that is given none computes with zeros.
            assert_eq!(gives(None, None, before)?.map(|g| values(&g)), before.then(|| vec![0.0, 0.0]));
        }
        raises(gives(ones(&[2]), ones(&[2]), false), "gave f32 of shape [2] where there is no gradient");
        // Of several results, those without a gradient get none from a hook.
        let parts = (t([1.0, 2.0], dev) * 1.0).split(1, 0);
        parts[0].grad_fn().unwrap().register_prehook(|g| Some(vec![g[0].clone(), g[0].clone()]));
        raises(catch(|| parts[0].sum().backward()).and_then(|told| told), "gave f32 of shape [1] where there is no gradient");
    }
    a_retained_gradient_is_that_of_the_tensor_as_it_is_now => |dev| {
        let changes: [fn(&Tensor, &Tensor) -> Result<()>; 2] = [|_, v| v.mul_(3.0).map(drop), |y, _| y.mul_(3.0).map(drop)];
        for change in changes {
            let (_, y, v) = with_view(dev);
            v.retain_grad()?;
            change(&y, &v)?;
            (&v * 2.0).sum().backward()?;
            assert_eq!(stored(&v), [2.0]);
            let (_, y, v) = with_view(dev);
            y.retain_grad()?;
            v.retain_grad()?;
            change(&y, &v)?;
            (&y * 2.0).sum().backward()?;
            assert_eq!((stored(&y), v.grad().is_none()), (vec![2.0, 2.0], true));
        }
    }
    hooks_of_a_group_stay_with_what_was_there_before_as_well => |dev| {
        for view in [false, true] {
            let (_, y, v) = with_view(dev);
            let z = t([1.0, 2.0], dev) * 2.0;
            let seen = Arc::new(Mutex::new(Vec::new()));
            let all = seen.clone();
            let member = if view { &v } else { &y };
            register_multi_grad_hook(&[member, &z], move |gs| {
                all.lock().unwrap().push(gs.iter().map(|g| g.as_ref().map(values)).collect::<Vec<_>>());
            })?;
            y.mul_(3.0)?;
            (member.sum() + z.sum()).backward()?;
            assert_eq!(*seen.lock().unwrap(), [vec![if view { None } else { Some(vec![3.0, 3.0]) }, Some(vec![1.0, 1.0])]]);
        }
    }
    a_tensor_keeps_its_hooks_where_nothing_is_recorded => |dev| {
        let (seen, (_, y, _)) = (Seen::default(), with_view(dev));
        watch(&y, "result", &seen)?;
        { let _guard = wgrad::autograd::no_grad(); y.mul_(2.0)?; }
        (&y * 2.0).sum().backward()?;
        let zeros = Tensor::zeros([2], dev);
        zeros.add_(t([1.0, 2.0], dev))?;
        watch(&zeros, "became tracked", &seen)?;
        zeros.mul_(2.0)?;
        (&zeros * 3.0).sum().backward()?;
        assert_eq!(told(&seen), [("result", vec![2.0, 2.0]), ("became tracked", vec![6.0, 6.0])]);
    }
}
