//! Operators between tensors and numbers, on either side, owned or borrowed; and arithmetic made of rows.

use crate::dtype::DType;
use crate::error::{Result, misuse};
use crate::ops::composite::{composite, fit};
use crate::ops::map::{Arg, map, result_type};
use crate::ops::scalar::rows;
use crate::tensor::Tensor;
use crate::tensor::node::Save;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Rem, Shl, Shr, Sub};

macro_rules! operators {
    ($($Trait:ident $method:ident $row:ident;)*) => { $(
        operators!(@right $Trait $method $row Tensor &Tensor);
        // One float and one integer type on the left, so that a literal there has one meaning only.
        operators!(@left $Trait $method $row f64 i32);
    )* };
    (@right $Trait:ident $method:ident $row:ident $($A:ty)*) => { $(
        impl<B: Into<Arg>> $Trait<B> for $A {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, b: B) -> Tensor {
                map(&rows::$row, &[self.into(), b.into()])
            }
        }
    )* };
    (@left $Trait:ident $method:ident $row:ident $($A:ty)*) => { $(
        operators!(@pair $Trait $method $row $A, Tensor);
        operators!(@pair $Trait $method $row $A, &Tensor);
    )* };
    (@pair $Trait:ident $method:ident $row:ident $A:ty, $B:ty) => {
        impl $Trait<$B> for $A {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, b: $B) -> Tensor {
                map(&rows::$row, &[self.into(), b.into()])
            }
        }
    };
}

operators! {
    Add add add;
    Sub sub sub;
    Mul mul mul;
    Div div div;
    Rem rem remainder;
    BitAnd bitand bitwise_and;
    BitOr bitor bitwise_or;
    BitXor bitxor bitwise_xor;
    Shl shl bitwise_left_shift;
    Shr shr bitwise_right_shift;
}

macro_rules! prefixes {
    ($($Trait:ident $method:ident $of:ident;)*) => { $(
        prefixes!(@on $Trait $method $of Tensor &Tensor);
    )* };
    (@on $Trait:ident $method:ident $of:ident $($A:ty)*) => { $(
        impl $Trait for $A {
            type Output = Tensor;
            #[track_caller]
            fn $method(self) -> Tensor {
                Tensor::$of(&self)
            }
        }
    )* };
}

prefixes! {
    Neg neg neg;
    Not not bitwise_not;
}

/// A bound that is infinite on its side is none: it must not turn integers into floats, as a float would.
fn bound(b: Arg, none: f64) -> Arg {
    match b {
        Arg::Number(x, _) if x == none => Arg::Number(x, DType::Bool),
        b => b,
    }
}

/// The type of a sum of tensors, and a factor in it.
fn summed(terms: [&Tensor; 3], factor: Arg) -> (DType, Arg) {
    let dtype = result_type(terms.map(Arg::from).iter());
    match factor.of(dtype) {
        Arg::Tensor(x) => (result_type(terms.map(Arg::from).iter().chain([&Arg::from(&x)])), x.wide().into()),
        number => (dtype, number),
    }
}

/// Saved tensors in the types that arithmetic runs in.
fn wide(saved: &[Tensor]) -> Vec<Tensor> {
    saved.iter().map(Tensor::wide).collect()
}

impl Tensor {
    /// `b - self`, with the operands exchanged; also `b - &x`. Derivatives: -1 and 1.
    #[track_caller]
    pub fn rsub(&self, b: impl Into<Arg>) -> Tensor {
        map(&rows::sub, &[b.into(), self.into()])
    }

    /// `aᵇ`; of integers an integer, modulo 2³², where a negative exponent leaves 0, but of 1 and -1. Derivatives:
    /// `b aᵇ⁻¹`, 0 where `b` is 0; and `y ln a`, 0 where `a` is 0 and `b` is not negative.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1.0, 2.0, 3.0], &Device::cpu());
    /// assert_eq!(x.pow(2.0).to_vec::<f32>()?, [1.0, 4.0, 9.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the exponent is a negative integer number, and this tensor holds integers.
    #[track_caller]
    pub fn pow(&self, b: impl Into<Arg>) -> Tensor {
        let b = b.into();
        if let Arg::Number(x, DType::I32) = b
            && x < 0.0
            && !self.dtype().is_float()
        {
            misuse("pow", format!("integers of shape {:?} to the negative integer power {x}; cast them", self.shape()));
        }
        map(&rows::pow, &[self.into(), b])
    }

    /// `x²`; of bools an integer. Derivative: `2x`.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        let whole = if self.dtype() == DType::Bool { self.cast(DType::I32) } else { self.clone() };
        map(&rows::square, &[whole.into()])
    }

    /// `bᵃ` for this tensor as the exponent `a`, as Python's `b ** x` with a number `b`. Derivatives: as
    /// [`Tensor::pow`].
    #[track_caller]
    pub fn rpow(&self, b: impl Into<Arg>) -> Tensor {
        map(&rows::pow, &[b.into(), self.into()])
    }

    /// [`Tensor::pow`] with integers converted to floats first. PyTorch computes it in double precision, which no GPU has.
    #[track_caller]
    pub fn float_power(&self, b: impl Into<Arg>) -> Tensor {
        let b = b.into();
        let dtype = result_type([&self.into(), &b].into_iter());
        let dtype = if dtype.is_float() { dtype } else { DType::F32 };
        map(&rows::pow, &[self.cast(dtype).into(), b])
    }

    /// `a 2ᵇ`, a float. Derivatives: `2ᵇ` and `y ln 2`.
    #[track_caller]
    pub fn ldexp(&self, b: &Tensor) -> Tensor {
        self * b.exp2()
    }

    /// The quotient `a / b` cut off towards 0. Derivatives: 0.
    ///
    /// Of floats it is the rounded quotient that is cut off, as in PyTorch.
    ///
    /// # Errors
    /// As [`Tensor::div_floor`].
    #[track_caller]
    pub fn div_trunc(&self, b: impl Into<Arg>) -> Tensor {
        let (a, b) = (self.into(), b.into());
        if result_type([&a, &b].into_iter()).is_float() {
            return map(&rows::div, &[a, b]).trunc();
        }
        map(&rows::div_trunc_int, &[a, b])
    }

    /// `x` rounded to `decimals` places after the point, halves to the even digit; before the point if negative.
    /// Derivative: 0.
    #[track_caller]
    pub fn round_to(&self, decimals: i32) -> Tensor {
        let scale = 10f64.powi(decimals.abs());
        match decimals {
            0 => self.round(),
            1.. => (self * scale).round() / scale,
            _ => (self / scale).round() * scale,
        }
    }

    /// The tensor itself: Python's `+x`.
    ///
    /// # Panics
    /// If the elements are bools.
    #[track_caller]
    pub fn positive(&self) -> Tensor {
        if self.dtype() == DType::Bool {
            misuse("positive", format!("bools of shape {:?} have no sign", self.shape()));
        }
        self.clone()
    }

    /// [`Tensor::sign`], which for real numbers is PyTorch's `sgn` too.
    #[track_caller]
    pub fn sgn(&self) -> Tensor {
        self.sign()
    }

    /// Every bit flipped; of bools, whether `x` is false. Also `!x`.
    #[track_caller]
    pub fn bitwise_not(&self) -> Tensor {
        if self.dtype() == DType::Bool {
            return self.logical_not();
        }
        map(&rows::bitwise_not, &[self.into()])
    }

    /// `x` held between the bounds; `max` where they cross, and NaN where `x` is. An infinite bound is none.
    ///
    /// Derivatives: with numbers as bounds 1 strictly between them, else 0. Bounds that are tensors have derivatives too:
    /// 1 for the operand that is the result, half each where two are equal, and 0 for NaN.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([-2.0, 0.5, 2.0], &Device::cpu());
    /// assert_eq!(x.clamp(-1.0, 1.0).to_vec::<f32>()?, [-1.0, 0.5, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: [torch.clamp](https://docs.pytorch.org/docs/stable/generated/torch.clamp.html).
    #[track_caller]
    pub fn clamp(&self, min: impl Into<Arg>, max: impl Into<Arg>) -> Tensor {
        let (min, max) = (bound(min.into(), f64::NEG_INFINITY), bound(max.into(), f64::INFINITY));
        match (&min, &max) {
            (Arg::Number(..), Arg::Number(..)) => map(&rows::clamp, &[self.into(), min, max]),
            _ => self.clamp_min(min).clamp_max(max),
        }
    }

    /// The larger of `x` and a bound, NaN where either is. Derivatives: as [`Tensor::clamp`].
    #[track_caller]
    pub fn clamp_min(&self, min: impl Into<Arg>) -> Tensor {
        match bound(min.into(), f64::NEG_INFINITY) {
            min @ Arg::Tensor(_) => map(&rows::clamp_min, &[self.into(), min]),
            min => map(&rows::clamp, &[self.into(), min, Arg::Number(f64::INFINITY, DType::Bool)]),
        }
    }

    /// The smaller of `x` and a bound, NaN where either is. Derivatives: as [`Tensor::clamp`].
    #[track_caller]
    pub fn clamp_max(&self, max: impl Into<Arg>) -> Tensor {
        match bound(max.into(), f64::INFINITY) {
            max @ Arg::Tensor(_) => map(&rows::clamp_max, &[self.into(), max]),
            max => map(&rows::clamp, &[self.into(), Arg::Number(f64::NEG_INFINITY, DType::Bool), max]),
        }
    }

    /// `ln(x / (1 - x))`, the inverse of [`Tensor::sigmoid`]; with `eps`, `x` is first held between `eps` and `1 - eps`.
    /// Derivative: `1 / (x (1 - x))`, NaN outside of `[0, 1]`, and 0 where `x` was held.
    #[track_caller]
    pub fn logit(&self, eps: impl Into<Option<f64>>) -> Tensor {
        let x = match eps.into() {
            // The lower bound goes first: an `eps` above 1/2 turns the two round.
            Some(eps) => {
                let below = Tensor::where_(&self.gt(1.0 - eps), 1.0 - eps, self);
                Tensor::where_(&self.lt(eps), eps, below)
            }
            None => self.clone(),
        };
        map(&rows::logit, &[x.into()])
    }

    /// The point of the line from `x` to `end` at `weight`: `x + weight (end - x)`, and exactly `end` at 1. Derivatives:
    /// `1 - weight`, `weight` and `end - x`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let (x, end) = (Tensor::new([0.0], &Device::cpu()), Tensor::new([4.0], &Device::cpu()));
    /// assert_eq!(x.lerp(&end, 0.25).item()?, 1.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn lerp(&self, end: &Tensor, weight: impl Into<Arg>) -> Tensor {
        let weight = weight.into();
        let dtype = result_type([self.into(), end.into(), weight.clone()].iter());
        let definition = || {
            let (start, end) = (self.wide(), end.wide());
            let way = &end - &start;
            // From the nearer end, so that rounding cannot miss it.
            let y = match &weight {
                Arg::Number(w, _) if w.abs() < 0.5 => start + way * *w,
                Arg::Number(w, _) => end - way * (1.0 - w),
                Arg::Tensor(w) => {
                    let w = w.wide();
                    Tensor::where_(&w.abs().lt(0.5), start + &way * &w, end - &way * (1.0 - &w))
                }
            };
            y.cast(dtype)
        };
        let [fit_start, fit_end] = [self, end].map(fit);
        match &weight {
            &Arg::Number(w, _) => composite("LerpBackward0", &[self, end], &[], definition, move |call| {
                let g = call.g.wide();
                vec![call.needs[0].then(|| fit_start(&g * (1.0 - w))), call.needs[1].then(|| fit_end(&g * w))]
            }),
            Arg::Tensor(w) => {
                let (inputs, fit_weight) = ([self, end, w], fit(w));
                composite("LerpBackward1", &inputs, &inputs.map(Save::Input), definition, move |call| {
                    let (g, x) = (call.g.wide(), wide(call.saved));
                    vec![
                        call.needs[0].then(|| fit_start(&g * (1.0 - &x[2]))),
                        call.needs[1].then(|| fit_end(&g * &x[2])),
                        call.needs[2].then(|| fit_weight(&g * (&x[1] - &x[0]))),
                    ]
                })
            }
        }
    }

    /// `x + value a b`, narrow floats rounded once; of integers, a number as `value` is cut off to one. Derivatives: 1,
    /// `value b` and `value a`.
    #[track_caller]
    pub fn addcmul(&self, a: &Tensor, b: &Tensor, value: impl Into<Arg>) -> Tensor {
        let (dtype, value) = summed([self, a, b], value.into());
        let definition = || (self.wide() + a.wide() * value.clone() * b.wide()).cast(dtype);
        let &Arg::Number(value, _) = &value else { return definition() };
        let ([fit_x, fit_a, fit_b], saves) = ([self, a, b].map(fit), [a, b].map(Save::Input));
        composite("AddcmulBackward0", &[self, a, b], &saves, definition, move |call| {
            let (g, x) = (call.g.wide(), wide(call.saved));
            vec![
                call.needs[0].then(|| fit_x(g.clone())),
                call.needs[1].then(|| fit_a(&g * value * &x[1])),
                call.needs[2].then(|| fit_b(&g * value * &x[0])),
            ]
        })
    }

    /// `x + value a / b`, narrow floats rounded once. Derivatives: 1, `value / b` and `-value a / b²`.
    ///
    /// # Panics
    /// If neither `a` nor `b` holds floats: whether their quotient is cut off has to be said.
    #[track_caller]
    pub fn addcdiv(&self, a: &Tensor, b: &Tensor, value: impl Into<Arg>) -> Tensor {
        if !a.dtype().is_float() && !b.dtype().is_float() {
            misuse("addcdiv", format!("divides floats, not {} by {} elements; cast them", a.dtype(), b.dtype()));
        }
        let (dtype, value) = summed([self, a, b], value.into());
        let definition = || (self.wide() + a.wide() * value.clone() / b.wide()).cast(dtype);
        let &Arg::Number(value, _) = &value else { return definition() };
        let ([fit_x, fit_a, fit_b], saves) = ([self, a, b].map(fit), [a, b].map(Save::Input));
        composite("AddcdivBackward0", &[self, a, b], &saves, definition, move |call| {
            let (g, x) = (call.g.wide(), wide(call.saved));
            let by_a = || &g * value / &x[1];
            vec![
                call.needs[0].then(|| fit_x(g.clone())),
                call.needs[1].then(|| fit_a(by_a())),
                call.needs[2].then(|| fit_b(-by_a() * (&x[0] / &x[1]))),
            ]
        })
    }

    /// `x` with NaN and the infinities replaced by numbers; the infinities by the largest and the smallest number of the
    /// type if none are given. Derivative: 1 where nothing was replaced, else 0.
    #[track_caller]
    pub fn nan_to_num(&self, nan: f64, posinf: impl Into<Option<f64>>, neginf: impl Into<Option<f64>>) -> Tensor {
        let largest = match self.dtype() {
            DType::F16 => half::f16::MAX.to_f64(),
            DType::BF16 => half::bf16::MAX.to_f64(),
            DType::F64 => f64::MAX,
            DType::F32 => f32::MAX as f64,
            DType::Bool | DType::U32 | DType::I32 => return self.copy(),
        };
        let (high, low) = (posinf.into().unwrap_or(largest), neginf.into().unwrap_or(-largest));
        let definition = || {
            let finite = Tensor::where_(&self.isposinf(), high, Tensor::where_(&self.isneginf(), low, self));
            Tensor::where_(&self.isnan(), nan, finite)
        };
        composite("NanToNumBackward0", &[self], &[Save::Input(self)], definition, |call| {
            vec![Some(Tensor::where_(&call.saved[0].isfinite(), call.g, 0.0))]
        })
    }

    /// Whether `|a - b| ≤ atol + rtol |b|`, element by element; infinities are close to themselves, and NaN to NaN if
    /// `equal_nan` is set. PyTorch's own tolerances are `1e-5` and `1e-8`.
    #[track_caller]
    pub fn isclose(&self, b: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Tensor {
        let (a, b) = (&self.untracked(), &b.untracked());
        // Integers are compared as floats, whose difference does not wrap.
        let float = |x: &Tensor| if x.dtype().is_float() { x.clone() } else { x.cast(DType::F32) };
        let difference = float(a) - float(b);
        let near = difference.abs().le(float(b).abs() * rtol + atol);
        // An infinite tolerance makes nothing close.
        let mut close = a.eq(b).logical_or(difference.isfinite().logical_and(near));
        if equal_nan {
            close = close.logical_or(a.isnan().logical_and(b.isnan()));
        }
        close
    }

    /// Whether all elements are close, as [`Tensor::isclose`]. Reads the result.
    ///
    /// # Errors
    /// If the device fails.
    #[track_caller]
    pub fn allclose(&self, b: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<bool> {
        Ok(self.isclose(b, rtol, atol, equal_nan).logical_not().sum().item()? == 0.0)
    }

    /// Whether shapes and all elements are equal. NaN equals nothing. Reads the result.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([1.0, 2.0], &Device::cpu());
    /// assert!(x.equal(&(&x * 1.0))?);
    /// assert!(!x.equal(&x.reshape([1, 2]))?);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the device fails.
    #[track_caller]
    pub fn equal(&self, b: &Tensor) -> Result<bool> {
        Ok(self.shape() == b.shape() && self.ne(b).sum().item()? == 0.0)
    }
}
