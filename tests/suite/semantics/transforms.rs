//! Facts of functions of functions, of forward mode, and of what checks gradients.

use super::{facts, raises, stored, t, values};
use crate::func::{at, close};
use wgrad::autograd::forward_ad::{dual_level, make_dual, unpack_dual};
use wgrad::autograd::{
    GradOptions, GradcheckOptions, detect_anomaly, grad as grad_of, gradcheck, gradgradcheck, is_anomaly_enabled,
    set_detect_anomaly,
};
use wgrad::func::*;
use wgrad::{DType, Device, Tensor, catch};

fn new(x: &[f64], dev: &Device) -> Tensor {
    Tensor::from_slice(x, [x.len()], dev)
}

/// The dtype that differences can be taken in, and how exact they are: a GPU has no doubles.
fn checked(dev: &Device) -> (DType, GradcheckOptions) {
    match dev.name() == "cpu" {
        true => (DType::F64, GradcheckOptions::default()),
        false => (DType::F32, GradcheckOptions { eps: 1e-2, atol: 1e-2, rtol: 1e-2, ..Default::default() }),
    }
}

facts! {
    grad_fn_14 => |dev| {
        let x = t([1.0, 2.0], dev);
        let y = Tensor::stack(&[at(&x, 0) * at(&x, 1), at(&x, 0) + at(&x, 1)], 0);
        let batch = vec![Some(Tensor::eye(2, dev))];
        let options =
            GradOptions { grad_outputs: batch, is_grads_batched: true, create_graph: true, ..Default::default() };
        let j = grad_of(&[&y], &[&x], options)?.remove(0).unwrap();
        assert_eq!((j.shape(), values(&j)), (&[2, 2][..], vec![2.0, 1.0, 1.0, 1.0]));
        j.square().sum().backward()?;
        assert_eq!(stored(&x), [2.0, 4.0]);
    }
    anomaly_01 => |dev| {
        let x = t([-1.0, 4.0], dev);
        x.sqrt().sum().backward()?;
        let g = stored(&x);
        assert!(g[0].is_nan() && g[1] == 0.25, "{g:?}");
    }
    anomaly_03 => |dev| {
        {
            let _looking = detect_anomaly(true);
            let x = t([0.0], dev);
            x.sqrt().backward()?;
            assert_eq!(stored(&x), [f32::INFINITY]);
            assert!(t([-1.0], dev).sqrt().backward().unwrap_err().is_anomaly());
            let _off = set_detect_anomaly(false, true);
            t([-1.0], dev).sqrt().backward()?;
            assert!(!is_anomaly_enabled());
        }
        assert!(!is_anomaly_enabled());
        let _passing = detect_anomaly(false);
        let x = t([-1.0], dev);
        x.sqrt().backward()?;
        assert!(stored(&x)[0].is_nan() && is_anomaly_enabled());
    }
    gradcheck_01 => |dev| {
        let (dtype, options) = checked(dev);
        let x = Tensor::new([0.5, -1.3], (dev, dtype)).requires_grad_(true)?;
        let f = |x: &[Tensor]| vec![(x[0].sin() * &x[0]).sum()];
        for fast_mode in [true, false] {
            gradcheck(f, &[&x], GradcheckOptions { fast_mode, ..options.clone() })?;
            gradgradcheck(f, &[&x], GradcheckOptions { fast_mode, ..options.clone() })?;
        }
    }
    gradcheck_03 => |dev| {
        let x = t([0.5, -1.3], dev);
        let f = |x: &[Tensor]| vec![x[0].sin() * &x[0]];
        for fast_mode in [true, false] {
            let exact = GradcheckOptions { fast_mode, ..Default::default() };
            assert!(gradcheck(f, &[&x], exact).unwrap_err().is_mismatch());
            gradcheck(f, &[&x], GradcheckOptions { eps: 1e-3, atol: 1e-2, rtol: 1e-2, fast_mode, ..Default::default() })?;
        }
    }
    gradcheck_04 => |dev| {
        let (dtype, options) = checked(dev);
        let x = Tensor::ones([1], (dev, dtype));
        assert!(gradcheck(|x| vec![&x[0] * 2.0], &[&x], options).unwrap_err().is_graph());
    }
    functional_01 => |dev| {
        let f = |x: &Tensor| Tensor::stack(&[at(x, 0) * at(x, 1), at(x, 0).square(), at(x, 1) * 3.0], 0);
        let j = jacobian(f, &new(&[2.0, 5.0], dev))?;
        assert_eq!((j.shape(), values(&j)), (&[3, 2][..], vec![5.0, 2.0, 4.0, 0.0, 0.0, 3.0]));
    }
    functional_03 => |dev| {
        close(&hessian(|x: &Tensor| at(x, 0).pow(3.0) * at(x, 1))(&new(&[2.0, 3.0], dev))?, &[36.0, 12.0, 12.0, 0.0]);
        let pair = (Tensor::new(2.0, dev), Tensor::new(3.0, dev));
        let ((aa, ab), (ba, bb)) = hessian(|(a, b): &(Tensor, Tensor)| (a * b * b).sum())(&pair)?;
        assert_eq!([aa, ab, ba, bb].map(|h| h.item().unwrap()), [0.0, 6.0, 6.0, 4.0]);
    }
    functional_04 => |dev| {
        let (y, pull) = vjp(|x: &Tensor| x.square(), &new(&[1.0, 2.0, 3.0], dev))?;
        assert_eq!(values(&y), [1.0, 4.0, 9.0]);
        assert_eq!(values(&pull(&new(&[1.0, 0.0, 2.0], dev))?), [2.0, 0.0, 12.0]);
    }
    functional_06 => |dev| {
        let f = |x: &Tensor| x.pow(3.0).sum() + at(x, 0) * at(x, 1);
        let (x, v) = (new(&[1.0, 2.0], dev), new(&[1.0, -1.0], dev));
        // What is to be differentiated is 0-d; where vectors are multiplied, one element will do.
        let list = |x: &Tensor| f(x).reshape([1]);
        raises(grad(list)(&x), "grad: the function must give one 0-d tensor, not shapes [[1]]");
        raises(value_and_grad(list)(&x), "value_and_grad: the function must give one 0-d tensor");
        raises(value_and_grad_aux(|x: &Tensor| (list(x), x * 2.0))(&x), "value_and_grad_aux: wants a 0-d tensor, not shape [1]");
        assert_eq!(values(&hessian(list)(&x)?), values(&hessian(f)(&x)?));
        for (y, h) in [hvp(f, &x, &v)?, vhp(f, &x, &v)?, hvp(list, &x, &v)?, vhp(list, &x, &v)?] {
            close(&y, &[11.0]);
            close(&h, &[5.0, -11.0]);
            assert!(!y.requires_grad() && !h.requires_grad());
        }
    }
    functional_08 => |dev| {
        let x = t([1.0, 2.0], dev);
        let j = jacobian(|x: &Tensor| x.pow(3.0), &x)?;
        close(&j, &[3.0, 0.0, 0.0, 12.0]);
        j.sum().backward()?;
        close(&x.grad().unwrap(), &[6.0, 12.0]);
    }
    functional_09 => |dev| {
        close(&grad(grad(|x: &Tensor| x.sin()))(&Tensor::new(1.0, dev))?, &[-0.84147]);
        let f = |x: &Tensor| at(x, 0).square() * at(x, 1);
        let x = new(&[2.0, 3.0], dev);
        let ways = [jacfwd(jacrev(f))(&x)?, jacrev(jacfwd(f))(&x)?, jacrev(jacrev(f))(&x)?, jacfwd(jacfwd(f))(&x)?];
        for h in ways.iter().chain([&hessian(f)(&x)?]) {
            close(h, &[6.0, 4.0, 4.0, 0.0]);
        }
        let samples = (Tensor::new(2.0, dev), new(&[1.0, 3.0], dev));
        let per_sample = vmap(|(w, a): &(Tensor, Tensor)| grad(|w: &Tensor| (w * a).square())(w), (None, 0), 0);
        close(&per_sample(&samples)?, &[4.0, 36.0]);
    }
    forward_ad_02 => |dev| {
        let ones = Tensor::ones([1], dev);
        let d = {
            let _level = dual_level()?;
            assert!(unpack_dual(&(&ones * 2.0)).1.is_none());
            make_dual(&ones, &ones)?
        };
        let _level = dual_level()?;
        assert!(unpack_dual(&d).1.is_none());
    }
    forward_ad_03 => |dev| {
        let [one, two, three] = [1, 2, 3].map(|n| Tensor::ones([n], dev));
        raises(make_dual(&one, &one), "make_dual: tensors have tangents only inside of a dual_level");
        let _level = dual_level()?;
        raises(catch(|| make_dual(&two, &three)), "make_dual: the tangent is f32 of shape [3], the tensor f32 of [2]");
        raises(dual_level(), "dual_level: levels do not nest; func::jvp does");
    }
    forward_ad_05 => |dev| {
        let _level = dual_level()?;
        let tangent = |x: &Tensor| unpack_dual(x).1.unwrap();
        let d = make_dual(&Tensor::new([[1.0, 2.0], [3.0, 4.0]], dev), &Tensor::new([[1.0, 0.0], [0.0, 2.0]], dev))?;
        let a = Tensor::new([[1.0, 1.0], [0.0, 1.0]], dev);
        assert_eq!(values(&tangent(&d.matmul(&a).t().select(0, 0).sum())), [1.0]);
        assert_eq!(values(&tangent(&Tensor::where_(&d.gt(2.0), &d * &d, &d))), [1.0, 0.0, 0.0, 16.0]);
        let c = d.copy();
        c.select(0, 0).copy_(&(c.select(0, 1) * 2.0))?;
        assert_eq!(values(&tangent(&c)), [0.0, 4.0, 0.0, 2.0]);
    }
}
