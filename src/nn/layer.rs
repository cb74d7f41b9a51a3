//! The macro by which layers are rows: their fields, which of them are members, and what they make of an input.

use crate::tensor::Tensor;

/// Writes the struct of a layer with its hooks, [`Module`](crate::nn::Module) and [`Layer`](crate::nn::Layer).
macro_rules! layers {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* }
        members [$($member:ident),*];
        |$s:ident, $x:ident| $y:expr
    )*) => { $(
        $(#[$doc])*
        pub struct $name {
            $($(#[$about])* pub $field: $type,)*
            /// What runs before and after.
            pub hooks: $crate::nn::Hooks,
        }

        $crate::module!($name { $($member,)* hooks });

        impl $crate::nn::Layer for $name {
            #[track_caller]
            fn forward(&self, x: &$crate::Tensor) -> $crate::Tensor {
                let call = self.hooks.enter(&[x]);
                let ($s, $x) = (self, &call.inputs[0]);
                let y = $y;
                call.leave(y)
            }
        }
    )* };
}
pub(super) use layers;

/// A new parameter.
pub(super) fn parameter(x: Tensor) -> Tensor {
    x.requires_grad_(true).expect("a new tensor is a leaf")
}
