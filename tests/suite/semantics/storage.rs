//! What shares storage: functions of the user's own that change or give back their inputs, views of bases that lie in
//! another order, casts.

use super::*;
use std::sync::{Arc, Mutex};
use wgrad::autograd::{Context, Function, apply, no_grad};
use wgrad::func::vmap;
use wgrad::{InterpolateMode, InterpolateOptions, catch};

/// Doubles its input in place.
struct Double;

impl Function for Double {
    fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        inputs[0].mul_(2.0)?;
        ctx.mark_dirty(&[&inputs[0]]);
        Ok(vec![inputs[0].clone()])
    }

    fn backward(&self, _: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![gradients[0].as_ref().map(|g| g * 2.0)])
    }
}

/// Gives back its input, or a view of it, and says that its derivative is 5.
struct Five {
    view: bool,
    differentiable: bool,
}

impl Function for Five {
    fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let y = if self.view { inputs[0].narrow(0, 0, 2) } else { inputs[0].clone() };
        if !self.differentiable {
            ctx.mark_non_differentiable(&[&y]);
        }
        Ok(vec![y])
    }

    fn backward(&self, _: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![gradients[0].as_ref().map(|g| g * 5.0)])
    }
}

fn double(x: &Tensor) -> Result<()> {
    let y = apply(Double, &[x])?.remove(0);
    assert!(y.is_same(x));
    Ok(())
}

facts! {
    a_write_through_a_reshaped_view_reaches_the_right_elements => |dev| {
        let s = t([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], dev);
        let d = Tensor::zeros([2, 3], dev).t().detach();
        d.copy_(&s.reshape([3, 2]))?;
        d.t().reshape([6]).select(0, 1).mul_(10.0)?;
        (&d * Tensor::new([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dev)).sum().backward()?;
        assert_eq!(values(&d), [1.0, 2.0, 30.0, 4.0, 5.0, 6.0]);
        assert_eq!(stored(&s), [1.0, 2.0, 30.0, 4.0, 5.0, 6.0]);
        let s = t([[1.0, 2.0], [3.0, 4.0]], dev);
        let gaps = Tensor::zeros([5, 4], dev).t().slice(0, 0, None, 2).narrow(1, 1, 2).flip(1).detach();
        gaps.copy_(&s)?;
        gaps.t().reshape([2, 2]).select(0, 1).mul_(10.0)?;
        (&gaps * Tensor::new([[1.0, 2.0], [3.0, 4.0]], dev)).sum().backward()?;
        assert_eq!(stored(&s), [1.0, 20.0, 3.0, 40.0]);
    }
    a_function_that_changes_a_view_changes_its_base => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = &x * 1.0;
        double(&y.narrow(0, 0, 1))?;
        y.sum().backward()?;
        assert_eq!((values(&y), stored(&x)), (vec![2.0, 2.0], vec![2.0, 1.0]));
        x.zero_grad();
        let y = &x * 1.0;
        let w = y.narrow(0, 0, 1);
        double(&y)?;
        w.sum().backward()?;
        assert_eq!(stored(&x), [2.0, 0.0]);
    }
    a_function_that_changes_its_input_moves_hooks_and_retained_gradients => |dev| {
        let y = t([1.0, 2.0], dev) * 1.0;
        y.retain_grad()?;
        double(&y)?;
        (&y * 3.0).sum().backward()?;
        assert_eq!(stored(&y), [3.0, 3.0]);
        let y = t([1.0, 2.0], dev) * 1.0;
        type Seen = Vec<(&'static str, Vec<f32>)>;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let note = |name| {
            let seen = seen.clone();
            move |g: &Tensor| { seen.lock().unwrap().push((name, values(g))); None }
        };
        y.register_hook(note("old"))?;
        double(&y)?;
        y.register_hook(note("new"))?;
        (&y * 3.0).sum().backward()?;
        assert_eq!(*seen.lock().unwrap(), [("new", vec![3.0, 3.0]), ("old", vec![6.0, 6.0])]);
    }
    a_function_changes_no_view_of_a_leaf => |dev| {
        let x = t([1.0, 2.0], dev);
        raises(double(&x.narrow(0, 0, 1)), "DoubleBackward: a view of a leaf that requires grad");
        raises(double(&x), "DoubleBackward: a leaf that requires grad");
    }
    an_input_that_a_function_gives_back_is_not_changed_in_place => |dev| {
        let x = t([1.0, 2.0], dev);
        let five = |x: &Tensor| Ok::<_, wgrad::Error>(apply(Five { view: false, differentiable: true }, &[x])?.remove(0));
        let a = &x * 1.0;
        let y = five(&a)?;
        assert!(y.shares_storage(&a));
        raises(y.mul_(3.0).map(drop), "mul_: a view of shape [2] that was made by a function");
        y.sum().backward()?;
        assert_eq!(stored(&x), [5.0, 5.0]);
        let y = five(&x)?;
        raises(y.mul_(3.0).map(drop), "mul_: a view of a leaf");
        assert_eq!(values(&x), [1.0, 2.0]);
    }
    a_view_that_a_function_made_has_no_history_once_its_base_was_changed => |dev| {
        let view = |x: &Tensor, differentiable| {
            Ok::<_, wgrad::Error>(apply(Five { view: true, differentiable }, &[x])?.remove(0))
        };
        let a = t([1.0, 2.0, 3.0], dev) * 1.0;
        let y = view(&a, true)?;
        a.mul_(3.0)?;
        assert!(y.requires_grad());
        assert!(catch(|| y.grad_fn()).unwrap_err().to_string().contains("made by a function"));
        let y = view(&a, false)?;
        a.mul_(3.0)?;
        assert!(!y.requires_grad() && !(&y * 2.0).requires_grad());
        let y = { let _guard = no_grad(); a.narrow(0, 0, 2) };
        a.mul_(3.0)?;
        assert!(y.requires_grad());
        assert!(catch(|| y.grad_fn()).unwrap_err().to_string().contains("made where nothing was recorded"));
        // So it is after a change where nothing is recorded.
        let y = { let _guard = no_grad(); let y = a.narrow(0, 0, 2); a.mul_(3.0)?; y };
        assert!(y.requires_grad());
        assert!(catch(|| &y * 2.0).unwrap_err().to_string().contains("made where nothing was recorded"));
    }
    a_view_requires_grad_where_its_base_does => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = &x * 1.0;
        for base in [&x, &y] {
            let v = { let _guard = no_grad(); base.narrow(0, 0, 1) };
            assert!(v.requires_grad() && v.is_leaf() && v.grad_fn().is_none());
            let w = &v * 2.0;
            assert_eq!(w.grad_fn().unwrap().name(), "MulBackward0");
            assert!(w.grad_fn().unwrap().next_functions()[0].is_none());
            w.backward()?;
            assert!(v.grad().is_none() && x.grad().is_none());
            raises(v.backward(), "does not require grad and has no grad_fn");
            assert!(!v.detach().requires_grad() && v.reshape([1]).requires_grad());
            // A leaf of its own stores its gradient.
            (v.requires_grad_(true)? * 3.0).backward()?;
            assert_eq!((stored(&v), x.grad().is_none()), (vec![3.0], true));
            assert!(v.requires_grad_(false)?.requires_grad());
        }
        let x = Tensor::ones([2], dev).copy();
        let v = x.narrow(0, 0, 1);
        x.requires_grad_(true)?;
        assert!(v.requires_grad());
        (&v * 2.0).backward()?;
        assert!(v.grad().is_none() && x.grad().is_none());
    }
    hooks_of_a_leaf_outlive_a_change_of_its_untracked_base => |dev| {
        let flat = Tensor::new([1.0, 2.0, 3.0], dev);
        let w = flat.narrow(0, 0, 2).requires_grad_(true)?;
        let calls = Arc::new(Mutex::new(0));
        let count = calls.clone();
        w.register_hook(move |_| { *count.lock().unwrap() += 1; None })?;
        flat.mul_(2.0)?;
        (&w * 2.0).sum().backward()?;
        assert_eq!((*calls.lock().unwrap(), stored(&w)), (1, vec![2.0, 2.0]));
    }
    what_gives_back_its_input_is_another_tensor => |dev| {
        let x = t([1.0, 2.0], dev);
        let a = &x * 1.0;
        let y = a.expand([2]);
        y.register_hook(|g| Some(g * 10.0))?;
        (&y + &a).sum().backward()?;
        assert_eq!(stored(&x), [11.0, 11.0]);
        assert!(a.expand([2]).detach_().is_err() && a.requires_grad());
        let (square, whole) = (Tensor::ones([2, 2], dev), Tensor::new([1, 2], dev));
        let (image, zero) = (Tensor::ones([1, 4, 2, 2], dev), Tensor::ones((), dev));
        let same = |mode| image.interpolate(InterpolateOptions { size: Some(2.into()), mode, ..Default::default() });
        for (x, y) in [
            (&square, square.rot90(0, [0, 1])),
            (&square, square.diff(0, 0)),
            (&whole, whole.nan_to_num(0.0, None, None)),
            (&whole, whole.round()),
            (&square, square.matrix_power(1)),
            (&square, Tensor::chain_matmul(std::slice::from_ref(&square))),
            (&image, same(InterpolateMode::Nearest)),
            (&image, same(InterpolateMode::Linear)),
            (&image, same(InterpolateMode::Area)),
            (&image, image.adaptive_avg_pool2d(2)),
            (&image, image.pixel_shuffle(1)),
            (&image, image.channel_shuffle(1)),
            (&zero, zero.max_dim(0, false).0),
            (&zero, zero.min_dim(-1, true).0),
            (&zero, zero.median_dim(0, false).0),
            (&zero, zero.nanmedian_dim(0, false).0),
        ] {
            y.add_(1)?;
            assert!(!y.shares_storage(x));
        }
        assert_eq!(values(&square), [1.0; 4]);
        // Views, though of everything as it is.
        let a = &x * 1.0;
        for y in [a.t(), Tensor::einsum("i->i", &[&a]), a.movedim((), ()), a.reshape([2]), a.narrow(0, 0, 2)] {
            assert!(!y.is_same(&a) && y.shares_storage(&a));
            y.register_hook(|g| Some(g * 10.0))?;
        }
        a.sum().backward()?;
        assert_eq!(stored(&x), [12.0, 12.0]);
        // And what is the input itself.
        let a = a.detach();
        let nothing = [
            a.contiguous(), a.cast(a.dtype()), a.flatten(0, -1), a.dropout(0.0, true), a.dropout(0.5, false), a.positive(),
            a.atleast_1d(), a.to_device(dev)?, Tensor::broadcast_tensors(&[a.clone(), a.clone()])[1].clone(),
        ];
        assert!(nothing.iter().all(|y| y.is_same(&a)));
    }
    a_cast_of_an_expanded_tensor_is_changed_in_place => |dev| {
        let x = t([1.5], dev);
        let y = x.expand([3]).cast(wgrad::DType::F16);
        y.mul_(2.0)?;
        y.cast(wgrad::DType::F32).sum().backward()?;
        assert_eq!((values(&y.cast(wgrad::DType::F32)), stored(&x)), (vec![3.0; 3], vec![6.0]));
    }
    detaching_a_base_leaves_the_histories_of_its_views => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = &x * 3.0;
        let w = y.narrow(0, 0, 1);
        y.detach_()?;
        assert!(!y.requires_grad());
        w.sum().backward()?;
        assert_eq!(stored(&x), [3.0, 0.0]);
    }
    a_result_changed_in_place_through_a_view_has_the_views_history => |dev| {
        let x = t([0.5, 0.7], dev);
        let y = &x * 1.0;
        let w = y.narrow(0, 0, 1);
        w.exp_()?;
        w.register_hook(|g| Some(g * 2.0))?;
        let create = GradOptions { create_graph: true, ..Default::default() };
        let g = grad(&[&w.sum()], &[&x], create)?.remove(0).unwrap();
        g.sum().backward()?;
        let g = stored(&x);
        assert!((g[0] - 4.0 * 0.5f32.exp()).abs() < 1e-4 && g[1] == 0.0, "{g:?}");
    }
    what_a_batch_writes_to_an_input_has_a_derivative => |dev| {
        let x = t([1.0, 2.0], dev);
        let a = &x * 1.0;
        let y = vmap(|a: &Tensor| { a.mul_(3.0).unwrap(); a * 2.0 }, 0, 0)(&a)?;
        assert_eq!((values(&a), values(&y)), (vec![3.0, 6.0], vec![6.0, 12.0]));
        (&y + &a).sum().backward()?;
        assert_eq!(stored(&x), [9.0, 9.0]);
        let outside = Tensor::zeros([2], dev);
        let nested = |x: &Tensor| vmap(|y: &Tensor| { let z = outside.select(0, 0); z.copy_(&(x * y)).unwrap(); y * 1.0 }, 0, 0)(&Tensor::ones([2], dev));
        assert!(catch(|| vmap(nested, 0, 0)(&Tensor::ones([3], dev))).is_err());
        let written = |x: &Tensor| vmap(|y: &Tensor| { outside.copy_(x).unwrap(); y * 1.0 }, 0, 0)(&Tensor::ones([2], dev));
        assert!(catch(|| vmap(written, 0, 0)(&Tensor::ones([3, 2], dev))).is_err());
    }
    no_tensor_is_its_own_gradient => |dev| {
        let x = t([1.0, 2.0], dev);
        assert!(catch(|| x.set_grad(Some(x.clone()))).unwrap_err().to_string().contains("its own gradient"));
    }
    draws_have_a_derivative_of_zero => |dev| {
        let p = t([0.5, 0.5], dev);
        p.bernoulli().sum().backward()?;
        assert_eq!(stored(&p), [0.0, 0.0]);
        for change in [|y: &Tensor| y.bernoulli_(0.5).map(drop), |y: &Tensor| y.random_(0, 3).map(drop)] {
            let x = t([0.5, 0.5], dev);
            let y = &x * 1.0;
            change(&y)?;
            y.sum().backward()?;
            assert_eq!(stored(&x), [0.0, 0.0]);
        }
    }
}
