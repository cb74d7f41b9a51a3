//! A summand beside a product. Narrow floats are rounded once, when both are added up.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::map::{Arg, result_type};
use crate::shape::broadcast;
use crate::tensor::Tensor;
use crate::tensor::autocast::{cast_here, no_autocast};
use crate::tensor::mode::{at_site, site};

impl Tensor {
    /// `beta c + alpha (a b)`, where `c` is this tensor and broadcasts, and `a` and `b` are matrices. Where `beta` is 0, `c` is
    /// not read, so NaN and infinities in it do no harm. Among integers, the fractions of numbers as factors are cut off.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (a, b) = (Tensor::ones([2, 3], &dev), Tensor::ones([3, 2], &dev));
    /// assert_eq!(Tensor::new([10.0, 20.0], &dev).addmm(&a, &b, 0.5, 2.0).to_vec::<f32>()?, [11.0, 16.0, 11.0, 16.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn addmm(&self, a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>) -> Tensor {
        a.expect_ranks("addmm", 2, b, 2);
        self.plus_product("addmm", a, b, |a, b, y| a.matmul_as("addmm", b, y), [beta.into(), alpha.into()])
    }

    /// `beta c + alpha (a b)` of a matrix and a vector; otherwise as [`Tensor::addmm`].
    #[track_caller]
    pub fn addmv(&self, a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>) -> Tensor {
        a.expect_ranks("addmv", 2, b, 1);
        self.plus_product("addmv", a, b, |a, b, y| a.matmul_as("addmv", b, y), [beta.into(), alpha.into()])
    }

    /// `beta c + alpha (a b)` of batches of matrices; otherwise as [`Tensor::addmm`].
    #[track_caller]
    pub fn baddbmm(&self, a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>) -> Tensor {
        a.expect_batches("baddbmm", b);
        self.plus_product("baddbmm", a, b, |a, b, y| a.matmul_as("baddbmm", b, y), [beta.into(), alpha.into()])
    }

    /// `beta c + alpha Σ a[n] b[n]` of batches of matrices, the products added up; otherwise as [`Tensor::addmm`].
    #[track_caller]
    pub fn addbmm(&self, a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>) -> Tensor {
        a.expect_ranks("addbmm", 3, b, 3);
        let product = |a: &Tensor, b: &Tensor, y| a.cast(y).tensordot_named("addbmm", &b.cast(y), &[0, 2], &[0, 1]);
        self.plus_product("addbmm", a, b, product, [beta.into(), alpha.into()])
    }

    /// `beta c + alpha a[i] b[j]` of two vectors, whose types may differ; otherwise as [`Tensor::addmm`].
    ///
    /// # Panics
    /// If the shapes do not fit, or a factor is a float among integers.
    #[track_caller]
    pub fn addr(&self, a: &Tensor, b: &Tensor, beta: impl Into<Arg>, alpha: impl Into<Arg>) -> Tensor {
        a.expect_ranks("addr", 1, b, 1);
        let dtype = result_type([self, a, b].map(Arg::from).iter());
        let factors = [beta.into(), alpha.into()];
        if let Some(Arg::Number(x, _)) =
            factors.iter().find(|x| matches!(x, Arg::Number(_, of) if of.is_float() && !dtype.is_float()))
        {
            misuse("addr", format!("the factor {x} among {dtype} elements is a float"));
        }
        let product = |a: &Tensor, b: &Tensor, y| a.cast(y).outer(&b.cast(y));
        self.cast(dtype).plus_product("addr", &a.cast(dtype), &b.cast(dtype), product, factors)
    }

    /// `beta c + alpha product(a, b)`, where the product is made in the type given.
    #[track_caller]
    pub(crate) fn plus_product(
        &self,
        op: &str,
        a: &Tensor,
        b: &Tensor,
        product: impl FnOnce(&Tensor, &Tensor, DType) -> Tensor,
        factors: [Arg; 2],
    ) -> Tensor {
        let [c, a, b] = &cast_here(|| [self, a, b].map(Tensor::factor));
        let _as_given = no_autocast();
        let dtype = a.dtype();
        c.expect_same_device(op, a);
        if b.dtype() != dtype {
            a.expect_multipliable(op, b);
        }
        // A closure alone would not know the caller's line.
        let product = at_site(site(), || product(a, b, dtype.compute()));
        if broadcast(c.shape(), product.shape()).as_deref() != Some(product.shape()) {
            misuse(op, format!("{:?} does not broadcast to the product {:?}", c.shape(), product.shape()));
        }
        let [beta, alpha] = factors.map(|factor| factor.of(dtype));
        let made = result_type([c.into(), a.into(), beta.clone(), alpha.clone()].iter());
        if made != dtype {
            misuse(op, format!("the summand or a factor makes {made} of {dtype} elements"));
        }
        let is = |factor: &Arg, n: f64| matches!(factor, Arg::Number(x, _) if *x == n);
        let scaled = if is(&alpha, 1.0) { product } else { product.mul(alpha) };
        let y = match () {
            _ if is(&beta, 0.0) => scaled,
            _ if is(&beta, 1.0) => scaled + c.wide(),
            _ => scaled + c.wide().mul(beta),
        };
        y.cast(dtype)
    }
}
