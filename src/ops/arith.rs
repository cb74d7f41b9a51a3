//! Operators between tensors and numbers, on either side, owned or borrowed.

use crate::ops::map::{Arg, map};
use crate::ops::scalar::rows;
use crate::tensor::Tensor;
use std::ops::{Add, Div, Mul, Neg, Sub};

macro_rules! operators {
    ($($Trait:ident $method:ident)*) => { $(
        operators!(@right $Trait $method Tensor &Tensor);
        // One float and one integer type on the left, so that a literal there has one meaning only.
        operators!(@left $Trait $method f64 i32);
    )* };
    (@right $Trait:ident $method:ident $($A:ty)*) => { $(
        impl<B: Into<Arg>> $Trait<B> for $A {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, b: B) -> Tensor {
                map(&rows::$method, &[self.into(), b.into()])
            }
        }
    )* };
    (@left $Trait:ident $method:ident $($A:ty)*) => { $(
        operators!(@pair $Trait $method $A, Tensor);
        operators!(@pair $Trait $method $A, &Tensor);
    )* };
    (@pair $Trait:ident $method:ident $A:ty, $B:ty) => {
        impl $Trait<$B> for $A {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, b: $B) -> Tensor {
                map(&rows::$method, &[self.into(), b.into()])
            }
        }
    };
}

operators!(Add add Sub sub Mul mul Div div);

macro_rules! negation {
    ($($A:ty)*) => { $(
        impl Neg for $A {
            type Output = Tensor;
            #[track_caller]
            fn neg(self) -> Tensor {
                map(&rows::neg, &[self.into()])
            }
        }
    )* };
}

negation!(Tensor & Tensor);
