//! Broadcasting, graphs, operations of the user's own, checkpoints, hooks for saved tensors, threads, corners.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wgrad::autograd::{
    CheckpointOptions, Context, Function, allow_mutation_on_saved_tensors, apply, checkpoint, enable_grad,
    is_grad_enabled, saved_tensors_hooks,
};
use wgrad::{DType, catch};

/// A function from closures.
struct Own<F, B> {
    forward: F,
    backward: B,
    once: bool,
}

impl<F, B> Function for Own<F, B>
where
    F: Fn(&mut Context, &[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    B: Fn(&Context, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
{
    fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        (self.forward)(ctx, inputs)
    }

    fn backward(&self, ctx: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        (self.backward)(ctx, gradients[0].as_ref().unwrap())
    }

    fn once_differentiable(&self) -> bool {
        self.once
    }
}

fn own(
    forward: impl Fn(&mut Context, &[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    backward: impl Fn(&Context, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) -> impl Function {
    Own { forward, backward, once: false }
}

struct Cube;

impl Function for Cube {
    fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        ctx.save_for_backward(&[&inputs[0]]);
        Ok(vec![inputs[0].pow(3.0)])
    }

    fn backward(&self, ctx: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let (x, g) = (&ctx.saved_tensors()[0], gradients[0].as_ref().unwrap());
        Ok(vec![Some(g * 3.0 * x.pow(2.0))])
    }
}

facts! {
    broadcast_02 => |dev| {
        let (s, v) = (t(2.0, dev), t([[1.0, 2.0], [3.0, 4.0]], dev));
        (&s * &v).sum().backward()?;
        assert_eq!((stored(&s), stored(&v)), (vec![10.0], vec![2.0; 4]));
    }
    broadcast_03 => |dev| {
        let (a, b, c) = (t([1.0, 2.0, 3.0], dev), Tensor::ones([2, 1, 3], dev), t([1.0], dev));
        (&a + &b + &c).sum().backward()?;
        assert_eq!((stored(&a), stored(&c)), (vec![2.0; 3], vec![6.0]));
    }
    broadcast_05 => |dev| {
        let (narrow, wide) = if dev.name() == "cpu" { (DType::F32, DType::F64) } else { (DType::F16, DType::F32) };
        let a = Tensor::new([1.0, 2.0], (dev, narrow)).requires_grad_(true)?;
        let b = Tensor::new([3.0, 4.0], (dev, wide)).requires_grad_(true)?;
        let y = &a * &b;
        y.sum().backward()?;
        let (p, q) = (a.grad().unwrap(), b.grad().unwrap());
        assert_eq!((y.dtype(), p.dtype(), q.dtype()), (wide, narrow, wide));
        assert_eq!((p.to_vec::<f64>()?, q.to_vec::<f64>()?), (vec![3.0, 4.0], vec![1.0, 2.0]));
    }
    broadcast_07 => |dev| {
        let x = t([1.0, 2.0, 3.0], dev);
        x.index(Tensor::new([0, 0, 2], dev))?.sum().backward()?;
        assert_eq!(stored(&x), [2.0, 0.0, 1.0]);
        x.zero_grad();
        (x.select(0, 1) * x.narrow(0, 1, 2)).sum().backward()?;
        assert_eq!(stored(&x), [0.0, 7.0, 2.0]);
    }
    broadcast_08 => |dev| {
        let (x, i) = (t([1.0, 2.0], dev), Tensor::new([3, 4], dev));
        let y = &x * &i;
        y.sum().backward()?;
        assert_eq!((values(&y), stored(&x), i.grad().is_none()), (vec![3.0, 8.0], vec![3.0, 4.0], true));
    }
    graph_01 => |dev| {
        let x = t(3.0, dev);
        ((&x * 2.0) * (&x * &x)).backward()?;
        assert_eq!(stored(&x), [54.0]);
    }
    graph_03 => |dev| {
        let x = t(1.0, dev);
        let mut y = x.clone();
        for _ in 0..if dev.name().starts_with("twin") { 1_000 } else { 100_000 } {
            y = y + 0.5;
        }
        y.backward()?;
        assert_eq!(stored(&x), [1.0]);
    }
    graph_04 => |dev| {
        let mut y = t(1.0, dev);
        for _ in 0..if dev.name().starts_with("twin") { 1_000 } else { 100_000 } {
            y = y * 1.0;
        }
        drop(y);
    }
    graph_06 => |dev| {
        let x = t([1.0, 2.0, 3.0], dev);
        let parts = x.unbind(0);
        assert_eq!(parts[1].grad_fn().unwrap().name(), "UnbindBackward0");
        (&parts[1] * 10.0).backward()?;
        assert_eq!(stored(&x), [0.0, 10.0, 0.0]);
        x.zero_grad();
        let (v, i) = x.max_dim(0, false);
        v.backward()?;
        assert_eq!((stored(&x), i.item()?), (vec![0.0, 0.0, 1.0], 2.0));
    }
    graph_08 => |dev| {
        let x = t(2.0, dev);
        let z = { let y = &x * &x; y.exp() };
        z.backward()?;
        let g = x.grad().unwrap().item()?;
        assert!((g - 218.39259).abs() < 1e-3, "{g}");
    }
    graph_09 => |dev| {
        let (x, c) = (t(1.0, dev), Tensor::new(1.0, dev));
        let add = (&x * 2.0 + &c).grad_fn().unwrap();
        let next = add.next_functions();
        assert_eq!(add.name(), "AddBackward0");
        let (mul, output) = next[0].clone().unwrap();
        assert_eq!((mul.name(), output, next[1].is_none()), ("MulBackward0", 0, true));
        let leaf = mul.next_functions()[0].clone().unwrap().0;
        assert_eq!(leaf.name(), "AccumulateGrad");
        assert!(leaf.variable().unwrap().is_same(&x));
    }
    graph_11 => |dev| {
        let x = t([0.5, 1.0, -0.25], dev);
        let (mut y, mut k) = (&x * 2.0, 0);
        while y.detach().norm().item()? < 100.0 {
            y = y * 2.0;
            k += 1;
        }
        weighted(&y, &Tensor::new([0.1, 1.0, 0.0001], dev))?;
        assert_eq!((k, five(&x.grad().unwrap())), (6, vec![12.8, 128.0, 0.0128]));
    }
    function_01 => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = apply(Cube, &[&x])?.remove(0);
        y.sum().backward()?;
        assert_eq!((values(&y), stored(&x)), (vec![1.0, 8.0], vec![3.0, 12.0]));
        assert_eq!(y.grad_fn().unwrap().name(), "CubeBackward");
    }
    function_03 => |dev| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let (a, b, k) = (t(2.0, dev), Tensor::new(5.0, dev), 3.0);
        let f = own(
            move |ctx, x| {
                ctx.save_for_backward(&[&x[0], &x[1]]);
                Ok(vec![&x[0] * &x[1] * k])
            },
            move |ctx, g| {
                told.lock().unwrap().push((ctx.needs_input_grad(0), ctx.needs_input_grad(1)));
                let [a, b] = ctx.saved_tensors() else { unreachable!() };
                Ok(vec![
                    ctx.needs_input_grad(0).then(|| g * b * k),
                    ctx.needs_input_grad(1).then(|| g * a * k),
                ])
            },
        );
        apply(f, &[&a, &b])?[0].backward()?;
        assert_eq!((seen.lock().unwrap().clone(), stored(&a)), (vec![(true, false)], vec![15.0]));
    }
    function_05 => |dev| {
        let giving = |g: Tensor| own(|_, x| Ok(vec![x[0].expand([3, 2]) * 1.0]), move |_, _| Ok(vec![Some(g.clone())]));
        let x = t([1.0, 2.0], dev);
        apply(giving(Tensor::ones([3, 2], dev)), &[&x])?[0].sum().backward()?;
        assert_eq!(stored(&x), [3.0, 3.0]);
        let y = apply(giving(Tensor::ones([3], dev)), &[&x])?.remove(0);
        raises(catch(|| y.sum().backward()), "gave a gradient of shape [3] and type f32 for an input of shape [2] and type f32");
    }
    function_06 => |dev| {
        let other = if dev.name() == "cpu" { DType::F64 } else { DType::F16 };
        let f = own(|_, x| Ok(vec![&x[0] * 1.0]), move |_, g| Ok(vec![Some(g.cast(other) * 2.0)]));
        let x = t(1.0, dev);
        apply(f, &[&x])?[0].backward()?;
        assert_eq!((stored(&x), x.grad().unwrap().dtype()), (vec![2.0], DType::F32));
    }
    function_08 => |dev| {
        let f = own(
            |ctx, x| {
                let i = x[0].argsort(0, false);
                let v = x[0].gather(0, &i);
                ctx.mark_non_differentiable(&[&i]);
                ctx.save_for_backward(&[&i]);
                Ok(vec![v, i])
            },
            |ctx, g| Ok(vec![Some(g.zeros_like().scatter(0, &ctx.saved_tensors()[0], g))]),
        );
        let x = t([3.0, 1.0, 2.0], dev);
        let y = apply(f, &[&x])?;
        assert_eq!((y[0].requires_grad(), y[1].requires_grad()), (true, false));
        (&y[0] * Tensor::new([1.0, 10.0, 100.0], dev)).sum().backward()?;
        assert_eq!(stored(&x), [100.0, 1.0, 10.0]);
    }
    function_10 => |dev| {
        let f = Own {
            forward: |ctx: &mut Context, x: &[Tensor]| {
                ctx.save_for_backward(&[&x[0]]);
                Ok(vec![x[0].pow(2.0)])
            },
            backward: |ctx: &Context, g: &Tensor| Ok(vec![Some(&ctx.saved_tensors()[0] * 2.0 * g)]),
            once: true,
        };
        let x = t(3.0, dev);
        let y = apply(f, &[&x])?.remove(0);
        let given = |g: &Tensor| {
            let grad_outputs = vec![Some(g.clone())];
            let options = GradOptions { grad_outputs, create_graph: true, retain_graph: Some(true), ..Default::default() };
            Ok::<_, wgrad::Error>(grad(&[&y], &[&x], options)?.remove(0).unwrap())
        };
        let (one, tracked) = (Tensor::new(1.0, dev), t(1.0, dev));
        assert_eq!((given(&one)?.item()?, given(&one)?.requires_grad()), (6.0, false));
        let g = given(&tracked)?;
        assert!(g.requires_grad());
        raises(d(&g, &tracked), "once");
        raises(d(&g, &x), "do not depend on input 0");
    }
    function_11 => |dev| {
        let doubling = || {
            own(
                |ctx, x| {
                    ctx.mark_dirty(&[&x[0]]);
                    Ok(vec![x[0].mul_(2.0)?.clone()])
                },
                |_, g| Ok(vec![Some(g * 2.0)]),
            )
        };
        let x = t([1.0, 2.0], dev);
        let y = &x * 1.0;
        let z = apply(doubling(), &[&y])?.remove(0);
        assert_eq!((z.is_same(&y), values(&y)), (true, vec![2.0, 4.0]));
        y.sum().backward()?;
        assert_eq!(stored(&x), [2.0, 2.0]);
        raises(apply(doubling(), &[&t([1.0], dev)]), "OwnBackward: a leaf that requires grad cannot be changed in place, shape [1]");
    }
    function_13 => |dev| {
        let x = t(1.0, dev);
        let y = apply(own(|_, x| Ok(vec![x[0].clone()]), |_, g| Ok(vec![Some(g * 5.0)])), &[&x])?.remove(0);
        assert_eq!((y.is_same(&x), y.is_leaf()), (false, false));
        y.backward()?;
        assert_eq!(stored(&x), [5.0]);
    }
    function_15 => |dev| {
        let x = t([0.4, 1.6], dev);
        let y = &apply(own(|_, x| Ok(vec![x[0].round()]), |_, g| Ok(vec![Some(g.clone())])), &[&x])?[0] * 3.0;
        y.sum().backward()?;
        assert_eq!((values(&y), stored(&x)), (vec![0.0, 6.0], vec![3.0, 3.0]));
    }
    function_16 => |dev| {
        let f = own(|_, x| Ok(vec![&x[0] * 2.0]), |_, _| unreachable!("nothing is tracked"));
        assert!(!apply(f, &[&Tensor::ones([1], dev)])?[0].requires_grad());
    }
    checkpoint_01 => |dev| {
        let n = Arc::new(AtomicUsize::new(0));
        let count = n.clone();
        let f = move |x: &[Tensor]| {
            count.fetch_add(1, Ordering::Relaxed);
            vec![(x[0].sin() * &x[0]).exp()]
        };
        let x = t([0.5, 1.0], dev);
        checkpoint(f.clone(), &[&x], CheckpointOptions::default())[0].sum().backward()?;
        let a = stored(&x);
        x.zero_grad();
        f(std::slice::from_ref(&x))[0].sum().backward()?;
        assert_eq!((n.load(Ordering::Relaxed), a), (3, stored(&x)));
    }
    checkpoint_02 => |dev| {
        let (x, c) = (t(2.0, dev), Tensor::new(3.0, dev));
        let y = checkpoint(|x| vec![x[0].pow(3.0) * &x[1]], &[&x, &c], CheckpointOptions::default()).remove(0);
        let g = recorded(&y, &x)?;
        assert_eq!((g.item()?, d(&g, &x)?.item()?), (36.0, 36.0));
    }
    saved_hooks_01 => |dev| {
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let (packed, unpacked) = (counts.clone(), counts.clone());
        let now = || [0, 1].map(|i| counts[i].load(Ordering::Relaxed));
        let (x, w) = (t(2.0, dev), t(3.0, dev));
        let scope = saved_tensors_hooks(
            move |x| { packed[0].fetch_add(1, Ordering::Relaxed); x },
            move |x: &Tensor| { unpacked[1].fetch_add(1, Ordering::Relaxed); Ok(x.clone()) },
        );
        let s = (&x * &w).exp() + 1.0;
        drop(scope);
        assert_eq!(now(), [3, 0]);
        s.backward()?;
        assert_eq!(now(), [3, 3]);
        let g = x.grad().unwrap().item()?;
        assert!((g - 1210.28638).abs() < 1e-2, "{g}");
    }
    // A number beside a tensor is none, and no hook sees it.
    saved_hooks_see_no_numbers => |dev| {
        let (x, packed) = (t([1.0, 2.0], dev), Arc::new(AtomicUsize::new(0)));
        let count = packed.clone();
        let _scope = saved_tensors_hooks(
            move |x| { count.fetch_add(1, Ordering::Relaxed); x },
            |x: &Tensor| Ok(x.clone()),
        );
        let y = (2.0 / (&x * 2.0 / 4.0)).pow(3.0).clamp(0.0, 1e3);
        assert_eq!(packed.load(Ordering::Relaxed), 3);
        y.sum().backward()?;
        assert_eq!(stored(&x), [-192.0, -12.0]);
    }
    saved_hooks_02 => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = { let _scope = saved_tensors_hooks(|x| x * 10.0, |x| Ok(x.clone())); &x * &x };
        y.sum().backward()?;
        assert_eq!((values(&y), stored(&x)), (vec![1.0, 4.0], vec![20.0, 40.0]));
    }
    saved_hooks_04 => |dev| {
        let x = t([1.0, 2.0], dev);
        let own = dev.clone();
        let y = {
            let _scope = saved_tensors_hooks(
                |x| (x.to_vec::<f32>().unwrap(), x.shape().to_vec()),
                move |(values, shape)| Ok(Tensor::from_slice(values, shape, &own)),
            );
            (&x * &x).exp()
        };
        y.sum().backward()?;
        let g = x.grad().unwrap().to_vec::<f32>()?;
        assert!((g[0] - 5.43656).abs() < 1e-4 && (g[1] - 218.3926).abs() < 1e-3, "{g:?}");
    }
    a_pack_hook_does_not_change_what_it_is_given => |dev| {
        let x = t([1.0, 2.0], dev);
        let _scope = saved_tensors_hooks(|x| { x.mul_(2.0).unwrap(); x }, |x: &Tensor| Ok(x.clone()));
        raises(catch(|| x.exp()), "saved_tensors_hooks: pack changed what exp saves, of shape [2], in place");
    }
    saved_hooks_06 => |dev| {
        let x = t([1.0, 2.0], dev);
        let _scope = allow_mutation_on_saved_tensors();
        let y = &x * 1.0;
        let z = &y * &y;
        y.add_(100.0)?;
        z.sum().backward()?;
        assert_eq!(stored(&x), [2.0, 4.0]);
    }
    threads_02 => |dev| {
        let (x, w) = (t(2.0, dev), t(5.0, dev));
        let y = &x * 3.0;
        let inner = w.clone();
        y.register_hook(move |g| {
            assert!(!is_grad_enabled());
            let _recording = enable_grad();
            (&inner * &inner).backward().unwrap();
            Some(g.clone())
        })?;
        (&y * 1.0).backward()?;
        assert_eq!((stored(&x), stored(&w)), (vec![3.0], vec![10.0]));
    }
    threads_03 => |dev| {
        let f = own(
            |ctx, x| {
                ctx.save_for_backward(&[&x[0]]);
                Ok(vec![x[0].pow(3.0)])
            },
            |ctx, g| {
                let _recording = enable_grad();
                let x = ctx.saved_tensors()[0].detach().requires_grad_(true)?;
                let options = GradOptions { grad_outputs: vec![Some(g.clone())], ..Default::default() };
                grad(&[&x.pow(3.0)], &[&x], options)
            },
        );
        let x = t(2.0, dev);
        apply(f, &[&x])?[0].backward()?;
        assert_eq!(stored(&x), [12.0]);
    }
    corner_01 => |dev| {
        let slope = |f: &dyn Fn(&Tensor) -> Tensor, v: &[f32]| {
            let x = Tensor::from_slice(v, v.len(), dev).requires_grad_(true).unwrap();
            f(&x).sum().backward().unwrap();
            stored(&x)
        };
        assert_eq!(slope(&|x| x.relu(), &[0.0, -0.0]), [0.0, 0.0]);
        assert_eq!(slope(&|x| x.abs(), &[0.0, -0.0]), [0.0, 0.0]);
        assert_eq!(slope(&|x| x.sign(), &[0.0, 2.0]), [0.0, 0.0]);
        assert_eq!(slope(&|x| x.clamp(-1.0, 1.0), &[-1.0, 1.0, 1.5]), [0.0, 0.0, 0.0]);
        assert_eq!(slope(&|x| x.floor(), &[1.5, 2.0]), [0.0, 0.0]);
        assert_eq!(slope(&|x| x.round(), &[0.5]), [0.0]);
    }
    corner_03 => |dev| {
        let x = t([1.0, 3.0, 3.0], dev);
        x.max().backward()?;
        assert_eq!(stored(&x), [0.0, 0.5, 0.5]);
        let y = t([3.0, 3.0, 3.0], dev);
        y.amax(0, false).backward()?;
        assert_eq!(five(&y.grad().unwrap()), [0.33333, 0.33333, 0.33333]);
        x.zero_grad();
        x.max_dim(0, false).0.backward()?;
        assert_eq!(stored(&x), [0.0, 1.0, 0.0]);
        let (a, b) = (t([2.0], dev), t([2.0], dev));
        a.maximum(&b).backward()?;
        assert_eq!((stored(&a), stored(&b)), (vec![0.5], vec![0.5]));
    }
    corner_04 => |dev| {
        let (x, low) = (t([1.0, 2.0], dev), t([1.0, 1.0], dev));
        x.clamp_min(&low).sum().backward()?;
        assert_eq!((stored(&x), stored(&low)), (vec![0.5, 1.0], vec![0.5, 0.0]));
    }
    corner_06 => |dev| {
        let x = t([0.0, 4.0], dev);
        Tensor::where_(&x.gt(0.0), x.sqrt() * x.log(), &x).sum().backward()?;
        let g = stored(&x);
        assert!(g[0].is_nan() && (g[1] - 0.8466).abs() < 1e-4, "{g:?}");
        x.zero_grad();
        let s = Tensor::where_(&x.gt(0.0), &x, Tensor::ones([2], dev));
        Tensor::where_(&x.gt(0.0), s.sqrt(), &x).sum().backward()?;
        assert_eq!(stored(&x), [1.0, 0.25]);
    }
    corner_08 => |dev| {
        let mut slopes = Vec::new();
        for p in [2.0, 1.0, 0.0, 0.5] {
            let x = t(0.0, dev);
            x.pow(p).backward()?;
            slopes.extend(stored(&x));
        }
        for p in [0.0, 2.0] {
            let p = t(p, dev);
            Tensor::new(0.0, dev).pow(&p).backward()?;
            slopes.extend(stored(&p));
        }
        assert_eq!(slopes, [0.0, 1.0, 0.0, f32::INFINITY, 0.0, 0.0]);
    }
    corner_09 => |dev| {
        let mut slopes = Vec::new();
        for v in [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0]] {
            let x = t(v, dev);
            x.prod().backward()?;
            slopes.push(stored(&x));
            x.zero_grad();
            x.cumprod(0).sum().backward()?;
            slopes.push(stored(&x));
        }
        assert_eq!(slopes, [[0.0, 6.0, 0.0], [1.0, 8.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
    }
    corner_11 => |dev| {
        let x = Tensor::zeros([0], dev).requires_grad_(true)?;
        assert_eq!((x.sum().item()?, x.prod().item()?, x.mean().item()?.is_nan()), (0.0, 1.0, true));
        raises(catch(|| x.max()), "max: [0] has no elements to compare");
        x.sum().backward()?;
        assert_eq!(x.grad().unwrap().shape(), [0]);
    }
    // More gradients than inputs may be given, if they are none.
    function_gives_none_for_what_is_no_input => |dev| {
        let backward = |more: Option<Tensor>| {
            let x = t(2.0, dev);
            let f = own(|_, x| Ok(vec![&x[0] * 3.0]), move |_, g| Ok(vec![Some(g * 3.0), None, more.clone()]));
            apply(f, &[&x])?.remove(0).backward()?;
            x.grad().unwrap().item()
        };
        assert_eq!(backward(None)?, 3.0);
        raises(catch(|| backward(Some(Tensor::new(1.0, dev)))).and_then(|g| g), "gave 3 gradients for 1 inputs");
    }
    function_knows_what_requires_grad_also_under_no_grad => |dev| {
        let (x, c, seen) = (t(2.0, dev), Tensor::new(1.0, dev), Arc::new(Mutex::new(Vec::new())));
        let all = seen.clone();
        let f = own(
            move |ctx, x| {
                all.lock().unwrap().extend([0, 1].map(|i| ctx.needs_input_grad(i)));
                Ok(vec![&x[0] * &x[1]])
            },
            |_, g| Ok(vec![Some(g.clone()), None]),
        );
        let _guard = wgrad::autograd::no_grad();
        assert!(!apply(f, &[&x, &c])?[0].requires_grad());
        assert_eq!(*seen.lock().unwrap(), [true, false]);
    }
    function_says_in_which_type_a_gradient_arrives => |dev| {
        let types = Arc::new(Mutex::new(Vec::new()));
        let run = |asked: &'static [Option<DType>]| {
            let (x, seen) = (t(2.0, dev), types.clone());
            let f = own(
                move |ctx, x| {
                    if !asked.is_empty() {
                        ctx.set_output_grad_dtype(asked);
                    }
                    Ok(vec![(&x[0] * 3.0).cast(DType::F16)])
                },
                move |_, g| {
                    seen.lock().unwrap().push(g.dtype());
                    Ok(vec![Some(g * 3.0)])
                },
            );
            let y = apply(f, &[&x])?.remove(0);
            y.retain_grad()?;
            y.cast(DType::F32).backward()?;
            assert_eq!((stored(&x), y.dtype()), (vec![3.0], DType::F16));
            Ok::<_, wgrad::Error>(y.grad().unwrap().dtype())
        };
        assert_eq!([run(&[])?, run(&[Some(DType::F32)])?, run(&[None])?], [DType::F16, DType::F32, DType::F16]);
        assert_eq!(*types.lock().unwrap(), [DType::F16, DType::F32, DType::F16]);
        raises(catch(|| run(&[None, None])).and_then(|y| y), "[None, None] for results of [F16]");
        raises(catch(|| run(&[Some(DType::I32)])).and_then(|y| y), "[Some(I32)] for results of [F16]");
    }
    function_adds_to_what_has_arrived => |dev| {
        for (create_graph, shared) in [(false, false), (false, true), (true, false)] {
            let (x, seen) = (t(2.0, dev), Arc::new(Mutex::new(Vec::new())));
            let told = seen.clone();
            let f = own(
                |_, x| Ok(vec![&x[0] * 3.0]),
                move |ctx, g| {
                    let [sum] = ctx.input_grad_buffers() else { unreachable!() };
                    told.lock().unwrap().push(sum.is_some());
                    let Some(sum) = sum else { return Ok(vec![Some(g * 3.0)]) };
                    sum.add_(g * 3.0)?;
                    Ok(vec![None])
                },
            );
            let y = apply(f, &[&x])?.remove(0);
            // What arrives from a sum as it is belongs to both of its operands.
            let z = if shared { y + &x } else { y + &x * 10.0 };
            let g = grad(&[&z], &[&x], GradOptions { create_graph, ..Default::default() })?.remove(0).unwrap();
            assert_eq!(g.item()?, if shared { 4.0 } else { 13.0 });
            assert_eq!(*seen.lock().unwrap(), [!create_graph && !shared], "{create_graph} {shared}");
        }
    }
    corner_13 => |dev| {
        let x = t([0.0], dev);
        (&x / &x).backward()?;
        let y = t([f32::NEG_INFINITY], dev);
        (&y * y.exp()).backward()?;
        assert!(stored(&x)[0].is_nan() && stored(&y)[0].is_nan());
    }
    // There is no wrapper around a tensor: it requires grad by itself.
    legacy_01 => |dev| {
        assert!(Tensor::ones([2], dev).requires_grad_(true)?.requires_grad());
    }
}
