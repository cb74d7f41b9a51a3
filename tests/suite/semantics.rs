//! PyTorch's autograd, fact by fact: each test is named as the fact, and holds its values on every device.
//!
//! How PyTorch's calls are said here, where they differ:
//!
//! | PyTorch | wgrad |
//! |---|---|
//! | `T(v)` | `t(v, dev)`: `Tensor::new(v, dev).requires_grad_(true)?` |
//! | an exception | `Err`, or for misuse a panic that [`catch`] turns into one |
//! | `x.backward(g, retain_graph=.., inputs=..)` | `x.backward_with(Some(&g), BackwardOptions { .. })` |
//! | `torch.autograd.backward([..])` | `autograd::backward(&[..], &[..], options)` |
//! | `x.grad = None` | `x.zero_grad()` or `x.set_grad(None)` |
//! | `x.data`, `.detach()` | `x.detach()` |
//! | `copy.deepcopy(x)` | `x.deep_copy()?` |
//! | `with torch.no_grad():` | `let _guard = no_grad();` |
//! | `y[1] = s`, `y[1:3].mul_(10)` | `y.select(0, 1).copy_(&s)?`, `y.narrow(0, 1, 2).mul_(10.0)?` |
//! | `get_gradient_edge(y)` as an input | `GradientEdge::of(&y)?` |
//! | `f._saved_self` | `f.saved_tensors()?` |
//! | `class F(torch.autograd.Function)`, `F.apply(x)` | `impl Function for F`, `apply(F, &[&x])?` |
//! | `checkpoint(f, x, use_reentrant=False)` | `checkpoint(f, &[&x], options)` |
//! | `torch.func`, `torch.autograd.functional` | `func` |
//! | `torch.autograd.forward_ad` | `autograd::forward_ad` |
//! | `register_multi_grad_hook(.., mode="any")` | `register_any_grad_hook` |
//! | `raise` in a hook | `panic!`, which leaves backward |
//!
//! The dtypes of `F64` facts are `F16` on a GPU, which has no doubles; those of gradcheck are `F32` there. What cannot be said in Rust (an integer that
//! requires grad by type, a hook that returns no tensor) is told beside the fact.

mod changes;
mod engine;
mod hooked;
mod scopes;
mod storage;
mod tangents;
mod transforms;
mod user;

use wgrad::autograd::{GradOptions, grad};
use wgrad::{BackwardOptions, Device, IntoData, Result, Tensor};

/// Writes one test per fact, which runs on every device.
macro_rules! facts {
    ($($fact:ident => |$dev:ident| $body:block)*) => { $(
        #[test]
        fn $fact() {
            $crate::common::on_every_device(|$dev| {
                $body
                Ok(())
            });
        }
    )* };
}
use facts;

/// A leaf that requires grad.
fn t(data: impl IntoData<Element: wgrad::Element>, dev: &Device) -> Tensor {
    Tensor::new(data, dev).requires_grad_(true).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec().unwrap()
}

/// The stored gradient.
#[track_caller]
fn stored(x: &Tensor) -> Vec<f32> {
    values(&x.grad().expect("backward has stored a gradient"))
}

/// The values to five decimals.
fn five(x: &Tensor) -> Vec<f64> {
    values(x).iter().map(|&v| (v as f64 * 1e5).round() / 1e5).collect()
}

/// The gradient of a scalar by one input.
fn d(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    Ok(grad(&[y], &[x], GradOptions::default())?.remove(0).unwrap())
}

/// The same, recorded.
fn recorded(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    Ok(grad(&[y], &[x], GradOptions { create_graph: true, ..Default::default() })?.remove(0).unwrap())
}

/// That something is refused, and what the refusal says.
#[track_caller]
fn raises<T>(result: Result<T>, text: &str) {
    let error = result.map(drop).expect_err("this is refused").to_string();
    assert!(error.contains(text), "{error}");
}

/// Backward that keeps the graph.
fn keep() -> BackwardOptions {
    BackwardOptions { retain_graph: Some(true), ..Default::default() }
}

fn weighted(y: &Tensor, g: &Tensor) -> Result<()> {
    y.backward_with(Some(g), BackwardOptions::default())
}
