//! Behaviours of PyTorch that introductions to autograd show, one test per row: `Ss.nn` is row nn of introduction s.
//!
//! Every row states what PyTorch 2 prints for its modern form: values, gradients, shapes, node names, errors. Where an
//! introduction printed something else (it is of an old release, or wrong), PyTorch is right. The table says which call
//! of this crate stands for which behaviour; `w` is a tensor of weights, `retain` the option `retain_graph: Some(true)`.
//!
//! | Row | In this crate |
//! | --- | --- |
//! | S0.01 | `Tensor::ones([2, 2], dev).requires_grad_(true)?`; `&a + 2`; `b.grad_fn()`, its `name()` |
//! | S0.02 | the same on another leaf |
//! | S0.03 | `grad_fn()` is `None` where no operand requires grad |
//! | S0.04 | `(&b * &b * 3).mean()`; `out.item()?` |
//! | S0.05 | `out.backward()?`; `a.grad()` |
//! | S0.06 | `backward()` of an untracked result: an error that `is_graph()` |
//! | S0.07 | `a.grad()` is a `Tensor` that does not require grad |
//! | S0.08 | `grad()` of a result is `None` (and does not warn) |
//! | S0.09 | `b.retain_grad()?` |
//! | S0.10 | `y.register_hook(f)?`; `y.pow(2)` |
//! | S0.11 | a second `backward()`: an error that `is_graph()`; what is stored stays |
//! | S0.12 | `out.backward_with(None, retain)?`, then `backward()?`: gradients add up |
//! | S0.13 | `z.sum_dim(1, false)` |
//! | S0.14 | `z.backward_with(Some(&w), retain)?` |
//! | S0.15 | `x.grad().unwrap().zero_()?` |
//! | S0.16 | weights `Tensor::ones([1, 4], dev)` |
//! | S0.17 | `backward()` of shape `[1]` as with weights `Tensor::ones([1], dev)`; `copy()` for Python's `clone()` |
//! | S0.18 | four passes without zeroing |
//! | S0.19 | a product has saved its other operand, a plain number too: the second pass is refused |
//! | S0.20 | `shape()`, `size(1)`, `shape()[1]` |
//! | S1.01 | `Tensor::new([[1, 3], [2, 2]], (dev, DType::F32)).requires_grad_(true)?` |
//! | S1.02 | `requires_grad_(true)` of integers: a misuse panic, an error that `is_misuse()` through `catch` |
//! | S1.03 | `3 * y.pow(2)` |
//! | S1.04 | `x.matmul(&x)` has node `MmBackward0`; an undefined name does not compile |
//! | S1.05 | `(&y * &y).mean()` |
//! | S1.06 | `out.backward()?` |
//! | S1.07 | `a.requires_grad_(true)?` of a result nobody recorded; `is_leaf()` |
//! | S1.08 | `b.backward()?` |
//! | S1.09 | the flag is always named: `requires_grad_(true)`; a new tensor's is false |
//! | S1.10 | `2 * &x + &x * &x * 3` |
//! | S1.11 | `backward()?` of one element of shape `[1]` |
//! | S1.12 | `backward()?` as `backward_with(Some(&Tensor::new(1.0, dev)), …)?` |
//! | S1.13 | a number is no `Option<&Tensor>` and does not compile; a 0-d tensor for a vector: `is_graph()` |
//! | S1.14 | `backward()` of a vector: an error that `is_graph()` |
//! | S1.15 | `backward_with(Some(&w), …)?` |
//! | S1.16 | `g.add_(&g.ones_like())?`, then `g.requires_grad_(true)?` |
//! | S1.17 | `g.detach().copy().requires_grad_(true)?` |
//! | S1.18 | `while y.detach().norm().item()? < 100.0` |
//! | S1.19 | `let _guard = no_grad();`; `requires_grad_(false)?` |
//! | S1.20 | `x.detach()`, `x.eq(&y)`; `shares_storage` for Python's `data_ptr` |
//! | S1.21 | `next_functions()`, `variable()`, `is_same` |
//! | S1.22 | `if x.item()? > 0.0` |
//! | S1.23 | `m.matmul(&x)`, `m.t()` |
//! | S2.01 | `item()?`, `requires_grad()`, `grad()`, `grad_fn()`, `is_leaf()` |
//! | S2.02 | `x.pow(3).backward()?` |
//! | S2.03 | weight `Tensor::new(1.0, dev)` |
//! | S2.04 | weights of ones |
//! | S2.05 | weights of another shape: an error that `is_graph()` |
//! | S2.06 | the leaf itself as weights |
//! | S2.07 | `y = x.pow(2)`, `y.pow(3)`, weights, retain |
//! | S2.08 | a second pass |
//! | S2.09 | `y.retain_grad()?`; the retained gradient adds up too |
//! | S2.10 | three retained passes into two leaves |
//! | S2.11 | the second and third pass without retain are refused |
//! | S2.12 | one-hot weights, `zero_()?` in between |
//! | S2.13 | `detach()` for Python's `.data`: `x.grad().unwrap().detach().zero_()?` |
//! | S3.01 | `Tensor::rand`; `grad_fn()` where release 0.1 had `creator`, which does not compile |
//! | S3.02 | `z.backward()?`; `grad()` of an untracked operand is `None` |
//! | S3.03 | `if t.item()? > 0.0 { t.clone() } else { -t }`; `backward()?` of the leaf itself; `is_same` |
//! | S3.04 | the same for -1 |
//! | S3.05 | `-1 * leaf` is no leaf, and stores nothing |
//! | S3.06 | `x.select(0, i)` in a loop with `item()?` |
//! | S3.07 | `Tensor::arange(-2, 4, 1, dev)` holds `I32` (Python: int64), which cannot be tracked: `is_misuse()` |
//! | S3.08 | `select(0, 0)` of a 0-d tensor: `is_misuse()`; `item()?` reads it |
//! | S3.09 | `requires_grad()` |
//! | S3.10 | `no_grad()` for release 0.1's `volatile` |
//! | S3.11 | `volatile` does not compile; without it the product is tracked |
//! | S3.12 | two tracked operands |
//! | S3.13 | `z.backward()?` |
//! | S3.14 | `autograd::grad(&[&z], &[&y], GradOptions::default())?` |
//! | S3.15 | `register_hook(f)?` gives a handle; `handle.remove()` |
//! | S3.16 | a hook that returns `Some(g * 10)` |
//! | S3.17 | `Tensor::arange(0.0, 3.0, 1.0, dev).requires_grad_(true)?` |
//! | S3.18 | the same with weights of ones |
//! | S4.01 | `let q = p.clone()` is the same tensor: `is_same` |
//! | S4.02 | `q.detach().requires_grad_(true)?` for `Variable(q, requires_grad=True)`; `shares_storage` |
//! | S4.03 | `&p * &image + 2`, then `+ 100` |
//! | S4.04 | the same with weights and an image, summed |
//! | S4.05 | `(&image * &p).sum()` |
//! | S4.06 | under `no_grad()`: `p.sub_(0.1 * p.grad().unwrap())?` |
//! | S4.07 | `grad()` and `grad_fn()` of a leaf before backward |
//! | S4.08 | `b.pow(2).sum()`, of shape `[]` |
//! | S4.09 | a misspelt method (`cum`) does not compile |
//! | S4.10 | `out.backward()?` |
//! | S4.11 | `grad()`, `grad_fn()`, `requires_grad()` of results after backward |
//! | S4.12 | weights `[0.1, 1, 10]` |
//! | S4.13 | the chain rule by hand, with `b.detach()` |
//! | S4.14 | a parameter is a tensor after `requires_grad_(true)?`; ordinary tensors are not tracked |

use crate::common::on_every_device;
use std::sync::{Arc, Mutex};
use wgrad::autograd::{GradOptions, grad, no_grad};
use wgrad::{BackwardOptions, DType, Device, Result, Tensor, catch};

/// Writes one test per row, which runs on every device.
macro_rules! seeds {
    ($($row:ident => |$dev:ident| $body:block)*) => { $(
        #[test]
        fn $row() {
            on_every_device(|$dev| {
                $body
                Ok(())
            });
        }
    )* };
}

/// Asserts a tensor's shape and exact values, as nested lists.
macro_rules! assert_list {
    ($x:expr, $list:expr) => {
        let (x, list) = (&$x, Tensor::new($list, &Device::cpu()));
        assert_eq!((x.shape(), values(x)), (list.shape(), values(&list)));
    };
}

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec().unwrap()
}

/// The values to some decimals.
fn rounded(x: &Tensor, decimals: i32) -> Vec<f64> {
    let unit = 10f64.powi(decimals);
    values(x).iter().map(|&v| (v as f64 * unit).round() / unit).collect()
}

/// The stored gradient.
#[track_caller]
fn stored(x: &Tensor) -> Tensor {
    x.grad().expect("backward has stored a gradient")
}

/// The name of the node that made a tensor.
fn node(x: &Tensor) -> Option<&'static str> {
    x.grad_fn().map(|node| node.name())
}

/// Backward with weights.
fn weighted(y: &Tensor, w: &Tensor) -> Result<()> {
    y.backward_with(Some(w), BackwardOptions::default())
}

/// Backward that keeps the graph.
fn retained(y: &Tensor, w: Option<&Tensor>) -> Result<()> {
    y.backward_with(w, BackwardOptions { retain_graph: Some(true), ..Default::default() })
}

/// Asserts an error of the graph's state.
#[track_caller]
fn assert_refused(result: Result<()>, text: &str) {
    let error = result.expect_err("the graph does not allow this");
    assert!(error.is_graph() && error.to_string().contains(text), "{error:?}");
}

/// Asserts a misuse.
#[track_caller]
fn assert_misuse<T>(call: impl FnOnce() -> T, text: &str) {
    let error = catch(call).err().expect("this is a misuse");
    assert!(error.is_misuse() && error.to_string().contains(text), "{error:?}");
}

/// What a hook has seen.
type Notes = Arc<Mutex<Vec<Tensor>>>;

/// A hook that notes the gradients it sees.
fn noting() -> (Notes, impl Fn(&Tensor) -> Option<Tensor> + Send + Sync) {
    let seen = Notes::default();
    let notes = seen.clone();
    let hook = move |g: &Tensor| {
        notes.lock().unwrap().push(g.clone());
        None
    };
    (seen, hook)
}

/// Names that tensors do not have. A method of the tensor's own would be called instead, and would not be [`Absent`].
trait Missing {
    fn creator(&self) -> Absent {
        Absent
    }
    fn volatile(&self) -> Absent {
        Absent
    }
    fn cum(&self) -> Absent {
        Absent
    }
}

#[derive(Debug, PartialEq)]
struct Absent;

impl Missing for Tensor {}

/// `a`, `b = a + 2`, `c = 3 b²`, and the mean of `c`.
fn mean_of_squares(dev: &Device) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
    let a = Tensor::ones([2, 2], dev).requires_grad_(true)?;
    let b = &a + 2;
    let c = &b * &b * 3;
    let out = c.mean();
    Ok((a, b, c, out))
}

/// A row `x` of 1 to 4, `z = 2 x`, and the sum of `z` over the row.
fn doubled(dev: &Device) -> Result<(Tensor, Tensor, Tensor)> {
    let x = Tensor::new([[1.0, 2.0, 3.0, 4.0]], dev).requires_grad_(true)?;
    let z = 2 * &x;
    let loss = z.sum_dim(1, false);
    Ok((x, z, loss))
}

const FIRST: [[f64; 4]; 1] = [[1.0, 0.0, 0.0, 0.0]];
const SECOND: [[f64; 4]; 1] = [[0.0, 1.0, 0.0, 0.0]];
const ALL: [[f64; 4]; 1] = [[1.0; 4]];

seeds! {
    s0_01 => |dev| {
        let a = Tensor::ones([2, 2], dev).requires_grad_(true)?;
        let b = &a + 2;
        assert_list!(a, [[1.0, 1.0], [1.0, 1.0]]);
        assert_list!(b, [[3.0, 3.0], [3.0, 3.0]]);
        assert_eq!((node(&b), b.requires_grad()), (Some("AddBackward0"), true));
    }
    s0_02 => |dev| {
        let a1 = Tensor::ones([2, 2], dev).requires_grad_(true)?;
        assert_eq!(node(&(a1 + 2)), Some("AddBackward0"));
    }
    s0_03 => |dev| {
        let u = Tensor::ones([2, 2], dev) + 2;
        assert_eq!((node(&u), u.requires_grad()), (None, false));
    }
    s0_04 => |dev| {
        let (_, _, c, out) = mean_of_squares(dev)?;
        assert_list!(c, [[27.0, 27.0], [27.0, 27.0]]);
        assert_list!(out, 27.0);
        assert_eq!((node(&c), node(&out)), (Some("MulBackward0"), Some("MeanBackward0")));
    }
    s0_05 => |dev| {
        let (a, _, _, out) = mean_of_squares(dev)?;
        out.backward()?;
        assert_list!(stored(&a), [[4.5, 4.5], [4.5, 4.5]]);
    }
    s0_06 => |dev| {
        assert_refused((Tensor::ones([2, 2], dev) + 2).mean().backward(), "does not require grad");
    }
    s0_07 => |dev| {
        let (a, _, _, out) = mean_of_squares(dev)?;
        out.backward()?;
        let g: Tensor = stored(&a);
        assert_eq!((g.requires_grad(), g.shape()), (false, &[2, 2][..]));
    }
    s0_08 => |dev| {
        let (_, b, c, out) = mean_of_squares(dev)?;
        out.backward()?;
        assert!(b.grad().is_none() && c.grad().is_none());
    }
    s0_09 => |dev| {
        let (_, b, c, out) = mean_of_squares(dev)?;
        b.retain_grad()?;
        c.retain_grad()?;
        out.backward()?;
        assert_list!(stored(&b), [[4.5, 4.5], [4.5, 4.5]]);
        assert_list!(stored(&c), [[0.25, 0.25], [0.25, 0.25]]);
    }
    s0_10 => |dev| {
        let x = Tensor::ones([1, 1], dev).requires_grad_(true)?;
        let y = 3 * &x;
        let z = y.pow(2);
        let (seen, hook) = noting();
        y.register_hook(hook)?;
        z.backward()?;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        assert_list!(seen[0], [[6.0]]);
        assert_list!(stored(&x), [[18.0]]);
        assert_eq!(z.shape(), [1, 1]);
    }
    s0_11 => |dev| {
        let (a, _, _, out) = mean_of_squares(dev)?;
        out.backward()?;
        assert_refused(out.backward(), "freed");
        assert_list!(stored(&a), [[4.5, 4.5], [4.5, 4.5]]);
    }
    s0_12 => |dev| {
        let (a, _, _, out) = mean_of_squares(dev)?;
        retained(&out, None)?;
        out.backward()?;
        assert_list!(stored(&a), [[9.0, 9.0], [9.0, 9.0]]);
    }
    s0_13 => |dev| {
        let (_, z, loss) = doubled(dev)?;
        assert_list!(z, [[2.0, 4.0, 6.0, 8.0]]);
        assert_list!(loss, [20.0]);
    }
    s0_14 => |dev| {
        let (x, z, _) = doubled(dev)?;
        retained(&z, Some(&Tensor::new(FIRST, dev)))?;
        assert_list!(stored(&x), [[2.0, 0.0, 0.0, 0.0]]);
    }
    s0_15 => |dev| {
        let (x, z, _) = doubled(dev)?;
        retained(&z, Some(&Tensor::new(FIRST, dev)))?;
        stored(&x).zero_()?;
        retained(&z, Some(&Tensor::new(SECOND, dev)))?;
        assert_list!(stored(&x), [[0.0, 2.0, 0.0, 0.0]]);
    }
    s0_16 => |dev| {
        let (x, z, _) = doubled(dev)?;
        retained(&z, Some(&Tensor::new(SECOND, dev)))?;
        stored(&x).zero_()?;
        retained(&z, Some(&Tensor::ones([1, 4], dev)))?;
        assert_list!(stored(&x), [[2.0, 2.0, 2.0, 2.0]]);
    }
    s0_17 => |dev| {
        let (x, _, loss) = doubled(dev)?;
        retained(&loss, None)?;
        let g = stored(&x).copy();
        stored(&x).zero_()?;
        weighted(&loss, &Tensor::ones([1], dev))?;
        assert_list!(g, [[2.0, 2.0, 2.0, 2.0]]);
        assert_eq!(values(&g), values(&stored(&x)));
    }
    s0_18 => |dev| {
        let (x, z, _) = doubled(dev)?;
        for w in [FIRST, SECOND, ALL] {
            retained(&z, Some(&Tensor::new(w, dev)))?;
        }
        z.sum().backward()?;
        assert_list!(stored(&x), [[6.0, 6.0, 4.0, 4.0]]);
    }
    s0_19 => |dev| {
        let (_, z, _) = doubled(dev)?;
        weighted(&z, &Tensor::new(FIRST, dev))?;
        assert_refused(weighted(&z, &Tensor::new(SECOND, dev)), "freed");
    }
    s0_20 => |dev| {
        let a = Tensor::ones([3, 5], dev);
        assert_eq!((a.shape(), a.size(1), a.shape()[1]), (&[3, 5][..], 5, 5));
    }
}

/// A tracked matrix `x`, `y = x + 2`, and the mean of `y²`.
fn shifted_squares(dev: &Device) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
    let x = Tensor::new([[1, 3], [2, 2]], (dev, DType::F32)).requires_grad_(true)?;
    let y = &x + 2;
    let z = &y * &y;
    let out = z.mean();
    Ok((x, y, z, out))
}

/// A tracked matrix whose elements were raised by 1 before, and weights for it.
fn raised(dev: &Device) -> Result<(Tensor, Tensor)> {
    let g = Tensor::new([[1.0, 1.0, 1.0], [2.0, 3.0, 4.0]], dev);
    g.add_(g.ones_like())?;
    Ok((g.requires_grad_(true)?, Tensor::new([[1.0, 1.0, 2.0], [2.0, 2.0, 2.0]], dev)))
}

/// A result that was tracked only later, and the sum of its squares.
fn tracked_later(dev: &Device) -> Result<(Tensor, Tensor)> {
    let a = Tensor::new([2.0, 2.0], dev) * 3;
    assert!(!a.requires_grad());
    a.requires_grad_(true)?;
    let b = (&a * &a).sum();
    Ok((a, b))
}

/// A tracked 3 of shape `[1]`, and `2 x + 3 x²`.
fn polynomial(dev: &Device) -> Result<(Tensor, Tensor)> {
    let x = Tensor::new([3.0], dev).requires_grad_(true)?;
    let y = 2 * &x + &x * &x * 3;
    Ok((x, y))
}

seeds! {
    s1_01 => |dev| {
        let (x, ..) = shifted_squares(dev)?;
        assert_list!(x, [[1.0, 3.0], [2.0, 2.0]]);
        assert_eq!((x.requires_grad(), node(&x)), (true, None));
    }
    s1_02 => |dev| {
        assert_misuse(|| Tensor::new([[1, 3], [2, 2]], dev).requires_grad_(true), "only floats can require grad");
    }
    s1_03 => |dev| {
        let (_, y, ..) = shifted_squares(dev)?;
        let z = 3 * y.pow(2);
        assert_list!(y, [[3.0, 5.0], [4.0, 4.0]]);
        assert_list!(z, [[27.0, 75.0], [48.0, 48.0]]);
        assert_eq!((node(&y), node(&z)), (Some("AddBackward0"), Some("MulBackward0")));
    }
    s1_04 => |dev| {
        let (x, y, ..) = shifted_squares(dev)?;
        assert_eq!((node(&y), node(&x.matmul(&x))), (Some("AddBackward0"), Some("MmBackward0")));
    }
    s1_05 => |dev| {
        let (_, _, z, out) = shifted_squares(dev)?;
        assert_list!(z, [[9.0, 25.0], [16.0, 16.0]]);
        assert_list!(out, 16.5);
        assert_eq!((node(&z), node(&out)), (Some("MulBackward0"), Some("MeanBackward0")));
    }
    s1_06 => |dev| {
        let (x, _, _, out) = shifted_squares(dev)?;
        out.backward()?;
        assert_list!(stored(&x), [[1.5, 2.5], [2.0, 2.0]]);
    }
    s1_07 => |dev| {
        let (a, b) = tracked_later(dev)?;
        assert_list!(a, [6.0, 6.0]);
        assert!(a.requires_grad() && a.is_leaf());
        assert_list!(b, 72.0);
        assert_eq!(node(&b), Some("SumBackward0"));
    }
    s1_08 => |dev| {
        let (a, b) = tracked_later(dev)?;
        b.backward()?;
        assert_list!(stored(&a), [12.0, 12.0]);
    }
    s1_09 => |dev| {
        let t = Tensor::zeros([1], dev);
        t.requires_grad_(true)?;
        assert_eq!((t.requires_grad(), Tensor::zeros([1], dev).requires_grad()), (true, false));
    }
    s1_10 => |dev| {
        let (_, y) = polynomial(dev)?;
        assert_list!(y, [33.0]);
        assert_eq!(node(&y), Some("AddBackward0"));
    }
    s1_11 => |dev| {
        let (x, y) = polynomial(dev)?;
        y.backward()?;
        assert_list!(stored(&x), [20.0]);
    }
    s1_12 => |dev| {
        for w in [None, Some(Tensor::new(1.0, dev))] {
            let t = Tensor::new(3.0, dev).requires_grad_(true)?;
            (&t * &t).backward_with(w.as_ref(), BackwardOptions::default())?;
            assert_list!(stored(&t), 6.0);
        }
    }
    s1_13 => |dev| {
        let _takes_no_number: fn(&Tensor, Option<&Tensor>, BackwardOptions) -> Result<()> = Tensor::backward_with;
        let t = Tensor::new([1.0, 2.0], dev).requires_grad_(true)?;
        assert_refused(weighted(&(&t * &t), &Tensor::new(1.0, dev)), "the gradient has shape [], the tensor [2]");
    }
    s1_14 => |dev| {
        let t = Tensor::new([1.0, 2.0], dev).requires_grad_(true)?;
        assert_refused((&t * &t).backward(), "one element");
    }
    s1_15 => |dev| {
        let x = Tensor::new([3.0, 4.0, 6.0], dev).requires_grad_(true)?;
        weighted(&(&x * &x * 3), &Tensor::new([1.0, 1.0, 2.0], dev))?;
        assert_list!(stored(&x), [18.0, 24.0, 72.0]);
    }
    s1_16 => |dev| {
        let (g, v) = raised(dev)?;
        assert_list!(g, [[2.0, 2.0, 2.0], [3.0, 4.0, 5.0]]);
        assert!(g.requires_grad());
        weighted(&(&g * &g * &g + 3 * &g), &v)?;
        assert_list!(stored(&g), [[15.0, 15.0, 30.0], [60.0, 102.0, 156.0]]);
    }
    s1_17 => |dev| {
        let (g, v) = raised(dev)?;
        let h = g.detach().copy().requires_grad_(true)?;
        weighted(&(&h * &h * &h), &v)?;
        assert_list!(stored(&h), [[12.0, 12.0, 24.0], [54.0, 96.0, 150.0]]);
    }
    s1_18 => |dev| {
        let x = Tensor::new([0.7491, 1.0516, -0.0123], dev).requires_grad_(true)?;
        let (mut y, mut count) = (&x * 2, 0);
        while y.detach().norm().item()? < 100.0 {
            y = y * 2;
            count += 1;
        }
        weighted(&y, &Tensor::new([0.1, 1.0, 0.0001], dev))?;
        assert_eq!((rounded(&y, 4), count), (vec![95.8848, 134.6048, -1.5744], 6));
        assert_eq!(rounded(&stored(&x), 7), [12.8000002, 128.0, 0.0128]);
    }
    s1_19 => |dev| {
        let x = Tensor::randn([3], dev).requires_grad_(true)?;
        assert!(x.requires_grad() && x.pow(2).requires_grad());
        {
            let _guard = no_grad();
            assert!(!x.pow(2).requires_grad());
        }
        x.requires_grad_(false)?;
        assert!(!x.pow(2).requires_grad());
    }
    s1_20 => |dev| {
        let x = Tensor::randn([3], dev).requires_grad_(true)?;
        let y = x.detach();
        assert_eq!((x.requires_grad(), y.requires_grad()), (true, false));
        assert_eq!(x.eq(&y).to_vec::<bool>()?, [true, true, true]);
        assert!(y.shares_storage(&x));
    }
    s1_21 => |dev| {
        let x = Tensor::ones([1], dev).requires_grad_(true)?;
        let y = (&x + 1) * 2;
        assert_eq!((node(&x), node(&y)), (None, Some("MulBackward0")));
        let (add, _) = y.grad_fn().unwrap().next_functions()[0].clone().unwrap();
        assert_eq!(add.name(), "AddBackward0");
        let (leaf, _) = add.next_functions()[0].clone().unwrap();
        assert!(leaf.variable().unwrap().is_same(&x));
    }
    s1_22 => |dev| {
        for (s, expected) in [(1.0, 2.0), (-1.0, -2.0)] {
            let x = Tensor::new(s, dev).requires_grad_(true)?;
            let y = if x.item()? > 0.0 { &x * 2 } else { x.pow(2) };
            y.backward()?;
            assert_list!(stored(&x), expected);
        }
    }
    s1_23 => |dev| {
        let m = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dev);
        let x = Tensor::zeros([3], dev).requires_grad_(true)?;
        let v = Tensor::new([1.0, 10.0], dev);
        weighted(&m.matmul(&x), &v)?;
        assert_list!(stored(&x), [41.0, 52.0, 63.0]);
        assert_list!(m.t().matmul(&v), [41.0, 52.0, 63.0]);
    }
}

/// A tracked vector of 1 and 2.
fn one_two(dev: &Device) -> Result<Tensor> {
    Tensor::new([1.0, 2.0], dev).requires_grad_(true)
}

/// Leaves `x` and `z`, and `x² + z³`.
fn two_leaves(dev: &Device) -> Result<(Tensor, Tensor, Tensor)> {
    let x = Tensor::new([2.0, 2.0], dev).requires_grad_(true)?;
    let z = Tensor::new([4.0, 4.0], dev).requires_grad_(true)?;
    let y = x.pow(2) + z.pow(3);
    Ok((x, z, y))
}

seeds! {
    s2_01 => |dev| {
        let x = Tensor::new(1.0, dev).requires_grad_(true)?;
        let y = Tensor::new(2.0, dev);
        let z = &x * &y;
        for (t, value, requires_grad, name, is_leaf) in
            [(x, 1.0, true, None, true), (y, 2.0, false, None, true), (z, 2.0, true, Some("MulBackward0"), false)]
        {
            assert_list!(t, value);
            assert_eq!((t.requires_grad(), node(&t), t.is_leaf()), (requires_grad, name, is_leaf));
            assert!(t.grad().is_none());
        }
    }
    s2_02 => |dev| {
        let x = Tensor::new(1.0, dev).requires_grad_(true)?;
        x.pow(3).backward()?;
        assert_list!(stored(&x), 3.0);
    }
    s2_03 => |dev| {
        let x = Tensor::new(1.0, dev).requires_grad_(true)?;
        weighted(&x.pow(3), &Tensor::new(1.0, dev))?;
        assert_list!(stored(&x), 3.0);
    }
    s2_04 => |dev| {
        let x = one_two(dev)?;
        weighted(&x.pow(2), &Tensor::new([1.0, 1.0], dev))?;
        assert_list!(stored(&x), [2.0, 4.0]);
    }
    s2_05 => |dev| {
        let w = Tensor::new([1.0], dev);
        assert_refused(weighted(&one_two(dev)?.pow(2), &w), "the gradient has shape [1], the tensor [2]");
    }
    s2_06 => |dev| {
        let x = one_two(dev)?;
        weighted(&x.pow(2), &x)?;
        assert_list!(stored(&x), [2.0, 8.0]);
        assert!(!stored(&x).requires_grad());
    }
    s2_07 => |dev| {
        let x = one_two(dev)?;
        let y = x.pow(2);
        retained(&y.pow(3), Some(&Tensor::ones([2], dev)))?;
        assert!(y.grad().is_none());
        assert_list!(stored(&x), [6.0, 192.0]);
    }
    s2_08 => |dev| {
        let x = one_two(dev)?;
        let y = x.pow(2);
        let z = y.pow(3);
        for _ in 0..2 {
            retained(&z, Some(&Tensor::ones([2], dev)))?;
        }
        assert!(y.grad().is_none());
        assert_list!(stored(&x), [12.0, 384.0]);
    }
    s2_09 => |dev| {
        let y = one_two(dev)?.pow(2);
        y.retain_grad()?;
        let (z, w) = (y.pow(3), Tensor::ones([2], dev));
        retained(&z, Some(&w))?;
        assert_list!(stored(&y), [3.0, 48.0]);
        weighted(&z, &w)?;
        assert_list!(stored(&y), [6.0, 96.0]);
    }
    s2_10 => |dev| {
        let (x, z, y) = two_leaves(dev)?;
        for pass in [1.0, 2.0, 3.0] {
            retained(&y, Some(&Tensor::ones([2], dev)))?;
            assert_list!(stored(&x), [4.0 * pass, 4.0 * pass]);
            assert_list!(stored(&z), [48.0 * pass, 48.0 * pass]);
        }
    }
    s2_11 => |dev| {
        let (x, z, y) = two_leaves(dev)?;
        let w = Tensor::ones([2], dev);
        weighted(&y, &w)?;
        for _ in 0..2 {
            assert_list!(stored(&x), [4.0, 4.0]);
            assert_list!(stored(&z), [48.0, 48.0]);
            assert_refused(weighted(&y, &w), "freed");
        }
        assert_list!(stored(&x), [4.0, 4.0]);
        assert_list!(stored(&z), [48.0, 48.0]);
    }
    s2_12 => |dev| {
        let (x, z, loss) = doubled(dev)?;
        for (w, expected) in [
            (FIRST, [[2.0, 0.0, 0.0, 0.0]]),
            (SECOND, [[0.0, 2.0, 0.0, 0.0]]),
            (ALL, [[2.0, 2.0, 2.0, 2.0]]),
        ] {
            retained(&z, Some(&Tensor::new(w, dev)))?;
            assert_list!(stored(&x), expected);
            stored(&x).zero_()?;
        }
        loss.backward()?;
        assert_list!(stored(&x), [[2.0, 2.0, 2.0, 2.0]]);
    }
    s2_13 => |dev| {
        let (x, _, loss) = doubled(dev)?;
        loss.backward()?;
        stored(&x).detach().zero_()?;
        assert_list!(stored(&x), [[0.0, 0.0, 0.0, 0.0]]);
    }
}

/// A random weight, a random bias, an input of 1, and weight times input.
fn neuron(dev: &Device) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
    let x = Tensor::ones([1], dev);
    let b = Tensor::rand([1], dev).requires_grad_(true)?;
    let w = Tensor::rand([1], dev).requires_grad_(true)?;
    let y = &w * &x;
    Ok((w, b, x, y))
}

/// The absolute value, by branching.
fn my_abs(t: &Tensor) -> Result<Tensor> {
    Ok(if t.item()? > 0.0 { t.clone() } else { -t })
}

/// The product of the positive elements, as a loop.
fn product_of_positive(t: &Tensor) -> Result<Tensor> {
    let mut r = Tensor::new(1.0, &t.device());
    for i in 0..t.size(0) {
        let e = t.select(0, i as isize);
        if e.item()? > 0.0 {
            r = e * r;
        }
    }
    Ok(r)
}

/// A leaf `x` of ones, a random leaf `w`, their product, and its sum.
fn product(dev: &Device) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
    let x = Tensor::ones([3], dev).requires_grad_(true)?;
    let w = Tensor::rand([3], dev).requires_grad_(true)?;
    let y = &x * &w;
    let z = y.sum();
    Ok((x, w, y, z))
}

/// A tracked range of 0 to 2, and `x² + 2 x`.
fn parabola(dev: &Device) -> Result<(Tensor, Tensor)> {
    let x = Tensor::arange(0.0, 3.0, 1.0, dev).requires_grad_(true)?;
    let y = x.pow(2) + &x * 2;
    Ok((x, y))
}

seeds! {
    s3_01 => |dev| {
        let (_, b, _, y) = neuron(dev)?;
        let z = &y + &b;
        assert_eq!((node(&z), node(&y)), (Some("AddBackward0"), Some("MulBackward0")));
        assert_eq!(z.creator(), Absent);
    }
    s3_02 => |dev| {
        let (w, b, x, y) = neuron(dev)?;
        (y + &b).backward()?;
        assert_list!(stored(&w), [1.0]);
        assert_list!(stored(&b), [1.0]);
        assert!(x.grad().is_none());
    }
    s3_03 => |dev| {
        let x = Tensor::ones([1], dev).requires_grad_(true)?;
        let y = my_abs(&x)?;
        y.backward()?;
        assert_list!(stored(&x), [1.0]);
        assert!(y.is_same(&x));
    }
    s3_04 => |dev| {
        let x = (-1 * Tensor::ones([1], dev)).requires_grad_(true)?;
        my_abs(&x)?.backward()?;
        assert_list!(stored(&x), [-1.0]);
    }
    s3_05 => |dev| {
        let x = -1 * Tensor::ones([1], dev).requires_grad_(true)?;
        my_abs(&x)?.backward()?;
        assert!(!x.is_leaf() && x.grad().is_none());
    }
    s3_06 => |dev| {
        let x = Tensor::arange(-2.0, 4.0, 1.0, dev).requires_grad_(true)?;
        let y = product_of_positive(&x)?;
        y.backward()?;
        assert_list!(y, 6.0);
        assert_list!(stored(&x), [0.0, 0.0, 0.0, 6.0, 3.0, 2.0]);
    }
    s3_07 => |dev| {
        let x = Tensor::arange(-2, 4, 1, dev);
        assert_misuse(|| x.requires_grad_(true), "only floats can require grad");
        assert_eq!(x.dtype(), DType::I32);
    }
    s3_08 => |dev| {
        let e = Tensor::new(1.0, dev);
        assert_misuse(|| e.detach().select(0, 0), "0-d");
        assert_eq!(e.item()?, 1.0);
    }
    s3_09 => |dev| {
        let (w, _, x, y) = neuron(dev)?;
        assert_eq!([x.requires_grad(), w.requires_grad(), y.requires_grad()], [false, true, true]);
    }
    s3_10 => |dev| {
        let (w, _, x, _) = neuron(dev)?;
        let y = {
            let _guard = no_grad();
            &x * &w
        };
        assert_eq!([x.requires_grad(), w.requires_grad(), y.requires_grad()], [false, true, false]);
    }
    s3_11 => |dev| {
        let (w, _, x, _) = neuron(dev)?;
        assert_eq!(x.volatile(), Absent);
        let y = &x * &w;
        assert_eq!([x.requires_grad(), w.requires_grad(), y.requires_grad()], [false, true, true]);
    }
    s3_12 => |dev| {
        let (x, w, y, _) = product(dev)?;
        assert_eq!([x.requires_grad(), w.requires_grad(), y.requires_grad()], [true, true, true]);
    }
    s3_13 => |dev| {
        let x = Tensor::ones([3], dev).requires_grad_(true)?;
        let w = Tensor::ones([3], dev).requires_grad_(true)?;
        let y = &x * &w;
        y.sum().backward()?;
        assert_list!(stored(&x), [1.0, 1.0, 1.0]);
        assert_list!(stored(&w), [1.0, 1.0, 1.0]);
        assert!(y.grad().is_none());
    }
    s3_14 => |dev| {
        let (x, _, y, z) = product(dev)?;
        let g = grad(&[&z], &[&y], GradOptions::default())?;
        assert_eq!(g.len(), 1);
        assert_list!(g[0].clone().unwrap(), [1.0, 1.0, 1.0]);
        assert!(x.grad().is_none());
    }
    s3_15 => |dev| {
        let (x, w, y, z) = product(dev)?;
        let (seen, hook) = noting();
        let handle = y.register_hook(hook)?;
        retained(&z, None)?;
        handle.remove();
        z.backward()?;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        assert_list!(seen[0], [1.0, 1.0, 1.0]);
        assert_eq!(values(&stored(&x)), values(&(2 * w.detach())));
    }
    s3_16 => |dev| {
        let x = Tensor::ones([3], dev).requires_grad_(true)?;
        let y = &x * 2;
        y.register_hook(|g| Some(g * 10))?;
        y.sum().backward()?;
        assert_list!(stored(&x), [20.0, 20.0, 20.0]);
    }
    s3_17 => |dev| {
        let (x, y) = parabola(dev)?;
        y.sum().backward()?;
        assert_list!(stored(&x), [2.0, 4.0, 6.0]);
    }
    s3_18 => |dev| {
        let (x, y) = parabola(dev)?;
        weighted(&y, &Tensor::new([1.0, 1.0, 1.0], dev))?;
        assert_list!(stored(&x), [2.0, 4.0, 6.0]);
    }
}

/// An input, a tracked parameter, and the sum of their product.
fn input_times_parameter(dev: &Device) -> Result<(Tensor, Tensor, Tensor)> {
    let input = Tensor::ones([2, 2], dev);
    let p = Tensor::ones([2, 2], dev).requires_grad_(true)?;
    let loss = (&input * &p).sum();
    Ok((input, p, loss))
}

/// `a`, `b = a + 2`, `c = b²`, and the sum of `c`.
fn sum_of_squares(dev: &Device) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
    let a = Tensor::ones([2, 2], dev).requires_grad_(true)?;
    let b = &a + 2;
    let c = b.pow(2);
    let out = c.sum();
    Ok((a, b, c, out))
}

seeds! {
    s4_01 => |dev| {
        let input = Tensor::ones([2, 2], dev);
        let p = Tensor::ones([2, 2], dev);
        let q = p.clone();
        assert_list!(input, [[1.0, 1.0], [1.0, 1.0]]);
        assert_list!(q, [[1.0, 1.0], [1.0, 1.0]]);
        assert!(p.is_same(&q));
    }
    s4_02 => |dev| {
        let q = Tensor::ones([2, 2], dev);
        let p = q.detach().requires_grad_(true)?;
        assert_list!(p, [[1.0, 1.0], [1.0, 1.0]]);
        assert_eq!((p.requires_grad(), node(&p), p.is_leaf()), (true, None, true));
        assert!(p.grad().is_none() && p.shares_storage(&q) && !q.requires_grad());
    }
    s4_03 => |dev| {
        let (input, p, _) = input_times_parameter(dev)?;
        let o = &p * &input + 2;
        let loss = &o + 100;
        assert_list!(o, [[3.0, 3.0], [3.0, 3.0]]);
        assert_list!(loss, [[103.0, 103.0], [103.0, 103.0]]);
        assert_eq!(node(&loss), Some("AddBackward0"));
    }
    s4_04 => |dev| {
        let w = Tensor::new([[1.0, 2.0], [3.0, 4.0]], dev).requires_grad_(true)?;
        let image = Tensor::new([[5.0, 6.0], [7.0, 8.0]], dev);
        ((&w * &image + 1) + 100).sum().backward()?;
        assert_list!(stored(&w), [[5.0, 6.0], [7.0, 8.0]]);
    }
    s4_05 => |dev| {
        let (input, p, loss) = input_times_parameter(dev)?;
        loss.backward()?;
        assert_list!(loss, 4.0);
        assert_list!(stored(&p), [[1.0, 1.0], [1.0, 1.0]]);
        assert!(input.grad().is_none());
    }
    s4_06 => |dev| {
        let (_, p, loss) = input_times_parameter(dev)?;
        loss.backward()?;
        {
            let _guard = no_grad();
            p.sub_(0.1 * stored(&p))?;
        }
        assert_list!(p, [[0.8999999761581421; 2]; 2]);
        assert!(p.requires_grad());
    }
    s4_07 => |dev| {
        let (a, ..) = sum_of_squares(dev)?;
        assert_list!(a, [[1.0, 1.0], [1.0, 1.0]]);
        assert!(a.grad().is_none() && a.grad_fn().is_none());
    }
    s4_08 => |dev| {
        let (_, b, c, out) = sum_of_squares(dev)?;
        assert_list!(b, [[3.0, 3.0], [3.0, 3.0]]);
        assert_list!(c, [[9.0, 9.0], [9.0, 9.0]]);
        assert_list!(out, 36.0);
    }
    s4_09 => |dev| {
        let (_, _, c, _) = sum_of_squares(dev)?;
        assert_eq!(c.cum(), Absent);
    }
    s4_10 => |dev| {
        let (a, _, _, out) = sum_of_squares(dev)?;
        out.backward()?;
        assert_list!(a, [[1.0, 1.0], [1.0, 1.0]]);
        assert_list!(stored(&a), [[6.0, 6.0], [6.0, 6.0]]);
        assert_eq!(node(&a), None);
    }
    s4_11 => |dev| {
        let (_, b, c, out) = sum_of_squares(dev)?;
        out.backward()?;
        for (t, name) in [(b, "AddBackward0"), (c, "PowBackward0"), (out, "SumBackward0")] {
            assert_eq!((node(&t), t.requires_grad()), (Some(name), true));
            assert!(t.grad().is_none());
        }
    }
    s4_12 => |dev| {
        let x = Tensor::ones([3], dev).requires_grad_(true)?;
        let z = x.pow(2) * 3;
        weighted(&z, &Tensor::new([0.1, 1.0, 10.0], dev))?;
        assert_list!(z, [3.0, 3.0, 3.0]);
        assert_list!(x, [1.0, 1.0, 1.0]);
        assert_eq!(rounded(&stored(&x), 5), [0.6, 6.0, 60.0]);
        assert_eq!(node(&x), None);
    }
    s4_13 => |dev| {
        let (a, b, _, out) = sum_of_squares(dev)?;
        out.backward()?;
        assert_list!(Tensor::ones([2, 2], dev) * (2 * b.detach()) * 1, [[6.0, 6.0], [6.0, 6.0]]);
        assert_list!(stored(&a), [[6.0, 6.0], [6.0, 6.0]]);
    }
    s4_14 => |dev| {
        let parameters = [Tensor::rand([2, 2], dev), Tensor::zeros([2], dev)];
        for p in &parameters {
            p.requires_grad_(true)?;
        }
        let input = Tensor::ones([2], dev);
        let y = parameters[0].matmul(&input) + &parameters[1];
        assert!(parameters.iter().all(|p| p.requires_grad() && p.is_leaf()));
        assert_eq!((input.requires_grad(), y.requires_grad()), (false, true));
    }
}
