//! Forward mode where tensors are changed in place: a tangent belongs to the dual tensor, and not to what it was made of.

use super::*;
use wgrad::autograd::forward_ad::{dual_level, make_dual, unpack_dual};
use wgrad::autograd::no_grad;
use wgrad::func::{jvp, linearize, vjp};
use wgrad::{DType, catch};

/// The elements and the tangent.
fn both(x: &Tensor) -> (Vec<f32>, Option<Vec<f32>>) {
    (values(x), unpack_dual(x).1.as_ref().map(values))
}

fn dual(dev: &Device) -> (Tensor, Tensor) {
    let p = Tensor::new([1.0, 2.0], dev);
    let d = make_dual(&p, &Tensor::new([1.0, 10.0], dev)).unwrap();
    (p, d)
}

fn of<const N: usize, const M: usize>(x: [f32; N], t: [f32; M]) -> (Vec<f32>, Option<Vec<f32>>) {
    (x.to_vec(), Some(t.to_vec()))
}

facts! {
    a_change_of_the_primal_leaves_the_tangent_of_the_dual => |dev| {
        let _level = dual_level()?;
        let (p, d) = dual(dev);
        p.mul_(5.0)?;
        assert_eq!((both(&p), both(&d)), ((vec![5.0, 10.0], None), of([5.0, 10.0], [1.0, 10.0])));
        assert_eq!(both(&(&d * &d)), of([25.0, 100.0], [10.0, 200.0]));
        p.narrow(0, 0, 1).mul_(3.0)?;
        assert_eq!(both(&d), of([15.0, 10.0], [1.0, 10.0]));
        let (p, d) = dual(dev);
        p.mul_(&d)?;
        assert_eq!((both(&p), both(&d)), (of([1.0, 4.0], [1.0, 20.0]), of([1.0, 4.0], [1.0, 10.0])));
        let (_, d) = dual(dev);
        d.detach().mul_(2.0)?;
        assert_eq!(both(&d), of([2.0, 4.0], [1.0, 10.0]));
        let q = unpack_dual(&d).0;
        q.mul_(3.0)?;
        assert_eq!((both(&q), both(&d)), ((vec![6.0, 12.0], None), of([6.0, 12.0], [1.0, 10.0])));
    }
    a_change_of_the_dual_carries_its_tangent_and_not_the_primals => |dev| {
        let _level = dual_level()?;
        type Change = fn(&Tensor) -> Result<()>;
        let changes: [(Change, [f32; 2], [f32; 2]); 7] = [
            (|d| d.mul_(5.0).map(drop), [5.0, 10.0], [5.0, 50.0]),
            // PyTorch 2.15 gives 60 for the second one: its rule reads the factor after it was overwritten.
            (|d| d.mul_(d).map(drop), [1.0, 4.0], [2.0, 40.0]),
            (|d| d.add_(1.0).map(drop), [2.0, 3.0], [1.0, 10.0]),
            (|d| d.select(0, 0).fill_(7.0).map(drop), [7.0, 2.0], [0.0, 10.0]),
            (|d| d.zero_().map(drop), [0.0, 0.0], [0.0, 0.0]),
            (|d| { let _off = no_grad(); d.mul_(2.0).map(drop) }, [2.0, 4.0], [2.0, 20.0]),
            (|d| { d.relu_()?; d.clamp_(0.0, 1.5).map(drop) }, [1.0, 1.5], [1.0, 0.0]),
        ];
        for (change, value, tangent) in changes {
            let (p, d) = dual(dev);
            let (v, sum) = (d.narrow(0, 0, 1), d.sum());
            change(&d)?;
            assert_eq!((both(&p), both(&d)), ((value.to_vec(), None), of(value, tangent)));
            assert_eq!((both(&v), both(&sum)), (of([value[0]], [tangent[0]]), of([3.0], [11.0])));
        }
    }
    a_change_of_a_view_carries_the_tangent_of_the_dual => |dev| {
        let _level = dual_level()?;
        let (p, d) = dual(dev);
        let v = d.narrow(0, 0, 1);
        v.mul_(3.0)?;
        assert_eq!((both(&v), both(&d), both(&p)), (of([3.0], [3.0]), of([3.0, 2.0], [3.0, 10.0]), (vec![3.0, 2.0], None)));
        d.reshape([2]).mul_(&d)?;
        assert_eq!((both(&v), both(&d)), (of([9.0], [18.0]), of([9.0, 4.0], [18.0, 40.0])));
        d.split(1, 0)[0].mul_(2.0)?;
        assert_eq!(both(&d), of([18.0, 4.0], [36.0, 40.0]));
        let (_, d) = dual(dev);
        let v = { let _off = no_grad(); d.narrow(0, 0, 1) };
        d.mul_(2.0)?;
        assert_eq!(both(&v), of([2.0], [2.0]));
    }
    what_is_written_to_a_constant_gives_it_and_its_views_tangents => |dev| {
        let _level = dual_level()?;
        let (_, d) = dual(dev);
        let c = Tensor::zeros([3], dev);
        let (v, w) = (c.narrow(0, 1, 2), c.narrow(0, 0, 2));
        v.add_(&d)?;
        v.mul_(2.0)?;
        assert_eq!((both(&c), both(&v), both(&w)), (
            of([0.0, 2.0, 4.0], [0.0, 2.0, 20.0]),
            of([2.0, 4.0], [2.0, 20.0]),
            of([0.0, 2.0], [0.0, 2.0]),
        ));
        let c = Tensor::zeros([2], dev);
        let (wide, parts) = (c.expand([2, 2]), c.split(1, 0));
        c.add_(&d)?;
        assert_eq!(both(&wide), of([1.0, 2.0, 1.0, 2.0], [1.0, 10.0, 1.0, 10.0]));
        assert_eq!(both(&parts[1]), of([2.0], [10.0]));
    }
    backward_follows_changes_of_duals_and_of_primals => |dev| {
        let _level = dual_level()?;
        let x = t([1.0, 2.0], dev);
        let tangent = Tensor::new([1.0, 10.0], dev);
        let y = &x * 1.0;
        let d = make_dual(&y, &tangent)?;
        y.mul_(2.0)?;
        assert_eq!((both(&d), both(&y)), (of([2.0, 4.0], [1.0, 10.0]), (vec![2.0, 4.0], None)));
        (&d * &d).sum().backward()?;
        assert_eq!(stored(&x), [8.0, 16.0]);
        x.zero_grad();
        let y = &x * 1.0;
        let d = make_dual(&y, &tangent)?;
        d.narrow(0, 0, 1).mul_(2.0)?;
        assert_eq!((both(&d), both(&y)), (of([2.0, 2.0], [2.0, 10.0]), (vec![2.0, 2.0], None)));
        (&y * &d).sum().backward()?;
        assert_eq!(stored(&x), [8.0, 4.0]);
        let d = make_dual(&x, &tangent)?;
        raises(d.mul_(2.0), "mul_: a view of a leaf that requires grad cannot be changed in place");
        raises(make_dual(&d, &tangent), "make_dual: the tensor of shape [2] has a tangent already");
    }
    // A tangent of another float type is converted; the result's is of the result's type.
    a_tangent_may_be_of_another_float_type => |dev| {
        let (x, t) = (Tensor::new([1.0, 2.0], dev), Tensor::new([3.0, 4.0], (dev, DType::F16)));
        let doubled = |x: &Tensor| x * 2.0;
        let (_, tangent) = jvp(doubled, &x, &t)?;
        assert_eq!((tangent.dtype(), values(&tangent)), (DType::F32, vec![6.0, 8.0]));
        let (_, push) = linearize(doubled, &x)?;
        assert_eq!(values(&push(&t)?), [6.0, 8.0]);
        let (_, pull) = vjp(doubled, &x)?;
        assert_eq!((pull(&t)?.dtype(), values(&pull(&t)?)), (DType::F32, vec![6.0, 8.0]));
        let _level = dual_level()?;
        assert_eq!(values(&unpack_dual(&(make_dual(&x, &t)? * 2.0)).1.unwrap()), [6.0, 8.0]);
        raises(catch(|| make_dual(&x, &x.cast(DType::I32))), "make_dual: the tangent is i32 of shape [2], the tensor f32 of [2]");
    }
    a_function_may_change_its_dual_input => |dev| {
        let x = Tensor::new([1.0, 2.0], dev);
        let f = |x: &Tensor| { x.mul_(3.0).unwrap(); x.square() };
        let (y, tangent) = jvp(f, &x, &Tensor::new([1.0, 10.0], dev))?;
        assert_eq!((values(&y), values(&tangent), values(&x)), (vec![9.0, 36.0], vec![18.0, 360.0], vec![3.0, 6.0]));
        // Inside of another one, the outer tangent goes along as well.
        let x = Tensor::new([1.0, 2.0], dev);
        let inner = |x: &Tensor| Ok::<_, wgrad::Error>(jvp(f, x, &Tensor::ones([2], dev))?.1);
        let ((y, tangent), now) = (jvp(inner, &x, &Tensor::new([1.0, 10.0], dev))?, values(&x));
        assert_eq!((values(&y), values(&tangent), now), (vec![18.0, 36.0], vec![18.0, 180.0], vec![3.0, 6.0]));
    }
}
