//! Mixed precision: inside a guard, products are made of narrow floats, and what would lose by that gives wide ones.
//!
//! Arithmetic runs in `f32` either way; what changes is the type that operands are read and results are stored in. Gradient
//! rules run outside of the mode, so that every gradient has the type of its tensor.

use crate::dtype::DType;
use crate::error::misuse;
use crate::tensor::Tensor;
use crate::tensor::mode::{at_site, site};
use crate::tensor::scopes::Scopes;
use std::cell::Cell;
use std::marker::PhantomData;

/// What adds up many terms, or takes numbers far from 1: its operands become `f32`, and so does its result. Products (`matmul`
/// and what is made of it, `einsum`, `vecdot`, convolutions, attention, recurrent cells, `prelu`) take the mode's type; `dot`,
/// `tensordot`, `bilinear`, `grid_sample` and `scatter_add` the widest of their operands'. All else takes what it is given.
///
/// Source: [the lists of torch.amp](https://docs.pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float32).
pub const WIDE: &[&str] = &[
    "acos",
    "asin",
    "binary_cross_entropy_with_logits",
    "cdist",
    "cosh",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "cumprod",
    "cumsum",
    "dist",
    "erfinv",
    "exp",
    "expm1",
    "gaussian_nll_loss",
    "group_norm",
    "hinge_embedding_loss",
    "huber_loss",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "local_response_norm",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_softmax",
    "logsumexp",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "norm",
    "normalize",
    "pairwise_distance",
    "pdist",
    "poisson_nll_loss",
    "pow",
    "prod",
    "reciprocal",
    "renorm",
    "rsqrt",
    "sinh",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "square",
    "sum",
    "tan",
    "triplet_margin_loss",
];

thread_local! {
    static SCOPES: Scopes<Option<DType>> = const { Scopes::new() };
    static CURRENT: Cell<Option<DType>> = const { Cell::new(None) };
}

/// Until the guard is dropped, products read and give `dtype`, and what needs the digits (sums, powers, exponentials and
/// logarithms, softmax, layer and group norm, losses) gives `f32`: PyTorch's lists for GPUs, of which `affine_grid` is
/// excepted, as places need digits too. Parameters stay `f32`, and so do their gradients. Operations in place, gradient rules
/// and optimizers are as without it. It belongs to its thread; backward can run inside or outside.
///
/// ```
/// use wgrad::amp::autocast;
/// use wgrad::{DType, Device, Tensor};
/// let dev = Device::cpu();
/// let w = Tensor::randn([3, 2], &dev).requires_grad_(true)?;
/// let loss = {
///     let _guard = autocast(DType::BF16);
///     let y = Tensor::ones([4, 2], &dev).linear(&w, None).relu();
///     assert_eq!(y.dtype(), DType::BF16);
///     y.mse_loss(&Tensor::zeros([4, 3], &dev), Default::default())
/// };
/// assert_eq!(loss.dtype(), DType::F32);
/// loss.backward()?;
/// assert_eq!(w.grad().unwrap().dtype(), DType::F32);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Panics
/// If `dtype` is neither `F16` nor `BF16`.
///
/// Source: [torch.autocast](https://docs.pytorch.org/docs/stable/amp.html#torch.autocast).
#[track_caller]
pub fn autocast(dtype: DType) -> AutocastGuard {
    if !dtype.is_narrow() {
        misuse("autocast", format!("takes f16 or bf16, not {dtype}"));
    }
    cast_to(Some(dtype))
}

/// Ends [`autocast`] until the guard is dropped: every operation takes what it is given.
pub fn no_autocast() -> AutocastGuard {
    cast_to(None)
}

/// The type that products take on this thread, if there is a mode.
pub fn autocast_dtype() -> Option<DType> {
    CURRENT.get()
}

/// Sets the mode.
pub(crate) fn cast_to(dtype: Option<DType>) -> AutocastGuard {
    CURRENT.set(dtype);
    AutocastGuard { id: SCOPES.with(|scopes| scopes.push(dtype)), one_thread: PhantomData }
}

/// Ends a mode of its thread when dropped; of several guards the last one that is left counts.
#[must_use = "the mode lasts only as long as the guard: bind it to a name"]
pub struct AutocastGuard {
    id: u64,
    one_thread: PhantomData<*const ()>,
}

impl Drop for AutocastGuard {
    fn drop(&mut self) {
        SCOPES.with(|scopes| scopes.remove(self.id));
        CURRENT.set(SCOPES.with(Scopes::last).flatten());
    }
}

/// The type of a result that would have been of `dtype`.
pub(crate) fn result(op: &str, dtype: DType) -> DType {
    match CURRENT.get() {
        Some(_) if dtype.is_narrow() && WIDE.contains(&op) => DType::F32,
        _ => dtype,
    }
}

/// Casts several operands for the caller's line, which a closure alone would not know.
#[track_caller]
pub(crate) fn cast_here<T>(cast: impl FnOnce() -> T) -> T {
    at_site(site(), cast)
}

impl Tensor {
    /// An operand of a product.
    #[track_caller]
    pub(crate) fn factor(&self) -> Tensor {
        match CURRENT.get() {
            Some(dtype) if self.dtype() == DType::F32 || self.dtype().is_narrow() => self.cast(dtype),
            _ => self.clone(),
        }
    }

    /// The operand an operation takes instead, if it is to be a wide one.
    #[track_caller]
    pub(crate) fn widened(&self, op: &str) -> Option<Tensor> {
        let dtype = result(op, self.dtype());
        // Not in a closure, which would have a line of its own.
        if dtype == self.dtype() { None } else { Some(self.cast(dtype)) }
    }

    /// Operands that should be of one type, each in the widest of theirs; outside of the mode as they are.
    #[track_caller]
    pub(crate) fn widest<const N: usize>(operands: [&Tensor; N]) -> [Tensor; N] {
        let dtype = operands.iter().map(|x| x.dtype()).reduce(DType::promote);
        cast_here(|| {
            operands.map(|x| match dtype {
                Some(dtype) if CURRENT.get().is_some() && x.dtype().is_float() => x.cast(dtype),
                _ => x.clone(),
            })
        })
    }
}
