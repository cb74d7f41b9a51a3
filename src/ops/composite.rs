//! Composites: functions that carry their definition in other operations, and may have a better gradient rule.
//!
//! The definition is what every device computes. A rule is only a shorter way to the same gradient: with
//! [`by_definition`] the rules are left out, and a test compares the two.

use crate::dtype::DType;
use crate::error::misuse;
use crate::shape::axis;
use crate::tensor::Tensor;
use crate::tensor::mode::{at_site, no_grad, site};
use crate::tensor::node::{Call, Save, record};
use std::cell::Cell;

thread_local! {
    static BY_DEFINITION: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with composites differentiated through their definitions, their own gradient rules left out.
///
/// For tests of the rules: both ways must give the same gradients.
pub fn by_definition<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            BY_DEFINITION.set(self.0);
        }
    }
    let _restore = Restore(BY_DEFINITION.replace(true));
    f()
}

/// Computes a definition, and records the rule as its gradient.
#[track_caller]
pub(crate) fn composite(
    name: &'static str,
    inputs: &[&Tensor],
    saves: &[Save],
    definition: impl FnOnce() -> Tensor,
    rule: impl Fn(Call) -> Vec<Option<Tensor>> + Send + Sync + 'static,
) -> Tensor {
    // What the definition records belongs to the user's line, not to this crate's.
    if BY_DEFINITION.get() {
        return at_site(site(), definition);
    }
    let y = {
        let _unrecorded = no_grad();
        at_site(site(), definition)
    };
    record(y, name, inputs, saves, rule)
}

impl Tensor {
    /// `eˣ / Σeˣ` along one dimension. Derivative: `y (g - Σ g y)`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let y = Tensor::new([[0.0, 0.0], [1000.0, 0.0]], &Device::cpu()).softmax(1);
    /// assert_eq!(y.to_vec::<f32>()?, [0.5, 0.5, 1.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the dimension is out of range or the elements are no floats.
    #[track_caller]
    pub fn softmax(&self, dim: isize) -> Tensor {
        self.expect_float("softmax");
        let d = axis("softmax", self.shape(), dim) as isize;
        if self.numel() == 0 {
            return self.copy();
        }
        let definition = || {
            // Shifted by the largest element: the quotient is the same, and nothing overflows.
            let e = (self - self.detach().amax(d, true)).exp();
            &e / e.sum_dim(d, true)
        };
        composite("SoftmaxBackward0", &[self], &[Save::Output], definition, move |call| {
            let (g, y) = (call.g, &call.saved[0]);
            vec![Some(y * (g - (g * y).sum_dim(d, true)))]
        })
    }

    /// `ln softmax(x) = x - ln Σeˣ` along one dimension. Derivative: `g - eʸ Σg`.
    ///
    /// # Panics
    /// If the dimension is out of range or the elements are no floats.
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Tensor {
        self.expect_float("log_softmax");
        let d = axis("log_softmax", self.shape(), dim) as isize;
        if self.numel() == 0 {
            return self.copy();
        }
        let definition = || {
            let shifted = self - self.detach().amax(d, true);
            let total = shifted.exp().sum_dim(d, true);
            shifted - total.ln()
        };
        composite("LogSoftmaxBackward0", &[self], &[Save::Output], definition, move |call| {
            let (g, y) = (call.g, &call.saved[0]);
            vec![Some(g - y.exp() * g.sum_dim(d, true))]
        })
    }

    /// The mean cross entropy between logits and class indices: `-mean(log_softmax(x)[target])`.
    ///
    /// The classes are dimension 1 of `[n, classes, …]` (dimension 0 of `[classes]`); `target` has the logits' shape
    /// without it and holds integers. Targets of -100 are left out of the mean.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let loss = Tensor::new([[2.0, 0.0], [0.0, 0.0]], &dev).cross_entropy(&Tensor::new([0, 1], &dev));
    /// assert!((loss.item()? - (0.126928 + 0.693147) / 2.0).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit, or the target holds no integers.
    ///
    /// Source: [torch.nn.functional.cross_entropy](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html).
    #[track_caller]
    pub fn cross_entropy(&self, target: &Tensor) -> Tensor {
        self.expect_float("cross_entropy");
        self.expect_same_device("cross_entropy", target);
        if self.rank() == 0 {
            misuse("cross_entropy", "logits need a dimension of classes, and have shape []");
        }
        let classes = self.rank().min(2) - 1;
        let mut expected = self.shape().to_vec();
        expected.remove(classes);
        if expected != target.shape() || !matches!(target.dtype(), DType::I32 | DType::U32) {
            misuse(
                "cross_entropy",
                format!(
                    "logits {:?} want integer targets of shape {expected:?}, not {} ones of {:?}",
                    self.shape(),
                    target.dtype(),
                    target.shape()
                ),
            );
        }
        let target = target.cast(DType::I32);
        let counted = target.ne(-100);
        let index = Tensor::where_(&counted, &target, 0).unsqueeze(classes as isize);
        let picked = self.log_softmax(classes as isize).gather(classes as isize, &index).squeeze(classes as isize);
        -Tensor::where_(&counted, picked, 0.0).sum() / counted.sum()
    }
}
