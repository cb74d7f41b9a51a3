//! What a rule is: options with names, and a gradient that becomes a step. The macro here writes a rule from one row.

use crate::error::Result;
use crate::ops::map::Arg;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// How an optimizer moves one parameter: its options are its fields.
///
/// Rules of your own need no more than this trait:
///
/// ```
/// use wgrad::optim::{Optimizer, Rule, Step};
/// use wgrad::{Device, Result, Tensor};
/// struct SignDescent { lr: f64 }
/// impl Rule for SignDescent {
///     fn name(&self) -> &'static str { "SignDescent" }
///     fn options(&self) -> Vec<(String, f64)> { vec![("lr".into(), self.lr)] }
///     fn set_option(&mut self, name: &str, x: f64) -> bool {
///         if name == "lr" { self.lr = x; }
///         name == "lr"
///     }
///     fn step(&self, x: &mut Step) -> Result<Tensor> { Ok(x.g.sign() * self.lr) }
/// }
/// let p = Tensor::new([1.0, -1.0], &Device::cpu()).requires_grad_(true)?;
/// let mut optimizer = Optimizer::new(SignDescent { lr: 0.25 }, [&p]);
/// p.square().sum().backward()?;
/// optimizer.step()?;
/// assert_eq!(p.to_vec::<f32>()?, [0.75, -0.75]);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub trait Rule: Send + Sync + 'static {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// The options by name, those of PyTorch: `lr`, `weight_decay`, `betas.0`; a bool is 0 or 1, and no number is NaN. What
    /// has one of PyTorch's names has its range too.
    fn options(&self) -> Vec<(String, f64)>;

    /// Changes an option; false if there is none of that name.
    fn set_option(&mut self, name: &str, x: f64) -> bool;

    /// What becomes of the option `weight_decay`.
    fn decay(&self) -> Decay {
        Decay::Coupled
    }

    /// What is subtracted from the parameter; keeps its state with [`Step::keep`].
    ///
    /// # Errors
    /// As operations in place.
    fn step(&self, x: &mut Step) -> Result<Tensor>;

    /// The names that the state of a parameter of some shape has after a step, and the shapes of its tensors; `None` stands
    /// for a number. `grad_avg`, `max_exp_avg_sq` and `momentum_buffer` may be missing where `centered`, `amsgrad` or
    /// `momentum` is 0.
    fn states(&self, shape: &[usize]) -> Vec<(&'static str, Option<Vec<usize>>)> {
        let _ = shape;
        Vec::new()
    }

    /// An option by name.
    fn option(&self, name: &str) -> Option<f64> {
        self.options().into_iter().find(|(other, _)| other == name).map(|(_, x)| x)
    }
}

/// What weight decay `λ` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// `g ← g + λ p`, as if `λ/2 |p|²` stood in the loss.
    Coupled,
    /// `p ← (1 - lr λ) p` beside the step.
    Decoupled,
    /// The rule sees to it.
    Own,
}

/// One parameter at the moment of a step.
pub struct Step<'a> {
    /// The parameter, outside of the graph.
    pub p: Tensor,
    /// Its gradient, turned round if the group maximises, with the weight decay if that is coupled.
    pub g: Tensor,
    /// The number of this step, from 1: how often the parameter had a gradient, skipped steps included.
    pub t: f64,
    pub(super) memory: &'a mut Memory,
    /// Whether the step is taken, if only the device knows.
    pub(super) taken: Option<&'a Tensor>,
}

/// What is remembered of a parameter between steps.
#[derive(Default)]
pub(super) struct Memory {
    pub tensors: BTreeMap<String, Tensor>,
    pub numbers: BTreeMap<String, f64>,
    /// How many of the steps were skipped; only the device knows.
    pub skipped: Option<Tensor>,
}

impl Step<'_> {
    /// Replaces a state by what `update` makes of it, zeros in the beginning, and gives the new one.
    ///
    /// # Errors
    /// As operations in place.
    pub fn keep(&mut self, name: &str, update: impl FnOnce(&Tensor) -> Tensor) -> Result<Tensor> {
        self.keep_from(name, Tensor::zeros_like, update)
    }

    /// [`Step::keep`] with what `start` makes of the parameter in the beginning.
    ///
    /// # Errors
    /// As operations in place.
    pub fn keep_from(
        &mut self,
        name: &str,
        start: impl FnOnce(&Tensor) -> Tensor,
        update: impl FnOnce(&Tensor) -> Tensor,
    ) -> Result<Tensor> {
        let state = self.memory.tensors.entry(name.to_string()).or_insert_with(|| start(&self.p));
        let new = update(state);
        state.copy_(&choose(self.taken, &new, state))?;
        Ok(new)
    }

    /// Replaces a number by what `update` makes of it, and gives the new one.
    pub fn keep_number(&mut self, name: &str, start: f64, update: impl FnOnce(f64) -> f64) -> f64 {
        let x = self.memory.numbers.entry(name.to_string()).or_insert(start);
        *x = update(*x);
        *x
    }

    /// `x / (1 - βᵗ)`: undoes that an average with the factor `β` began with zeros. Skipped steps do not count.
    pub fn unbiased(&self, x: &Tensor, beta: f64) -> Tensor {
        let correction: Arg = match &self.memory.skipped {
            None => (1.0 - beta.powf(self.t)).into(),
            Some(skipped) => ((self.t - skipped) * beta.ln()).expm1().neg().into(),
        };
        x / correction
    }
}

/// The new value where the step is taken, else the old one.
pub(super) fn choose(taken: Option<&Tensor>, new: &Tensor, old: &Tensor) -> Tensor {
    match taken {
        Some(taken) => Tensor::where_(taken, new, old),
        None => new.clone(),
    }
}

/// A field of a rule, as numbers with names.
pub(super) trait Setting {
    fn parts(&self) -> Vec<(&'static str, f64)>;
    fn set_part(&mut self, part: &str, x: f64) -> bool;
}

impl Setting for f64 {
    fn parts(&self) -> Vec<(&'static str, f64)> {
        vec![("", *self)]
    }
    fn set_part(&mut self, part: &str, x: f64) -> bool {
        *self = if part.is_empty() { x } else { *self };
        part.is_empty()
    }
}

impl Setting for bool {
    fn parts(&self) -> Vec<(&'static str, f64)> {
        vec![("", *self as u8 as f64)]
    }
    fn set_part(&mut self, part: &str, x: f64) -> bool {
        *self = if part.is_empty() { x != 0.0 } else { *self };
        part.is_empty()
    }
}

impl Setting for usize {
    fn parts(&self) -> Vec<(&'static str, f64)> {
        vec![("", *self as f64)]
    }
    fn set_part(&mut self, part: &str, x: f64) -> bool {
        *self = if part.is_empty() { x as usize } else { *self };
        part.is_empty()
    }
}

macro_rules! settings_of_parts {
    ($($tuple:ty: $($part:literal $field:tt),*;)*) => { $(
        impl Setting for $tuple {
            fn parts(&self) -> Vec<(&'static str, f64)> {
                vec![$(($part, self.$field)),*]
            }
            fn set_part(&mut self, part: &str, x: f64) -> bool {
                match part {
                    $($part => self.$field = x,)*
                    _ => return false,
                }
                true
            }
        }
    )* };
}
settings_of_parts! {
    (f64, f64): ".0" 0, ".1" 1;
    (f64, f64, f64): ".0" 0, ".1" 1, ".2" 2;
}

/// Writes a rule: its options with their defaults, its states, its weight decay, and what is subtracted in a step.
macro_rules! rules {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$about:meta])* $field:ident: $type:ty = $default:expr,)*
        }
        states $states:tt;
        decay |$d:ident| $decay:expr;
        |$o:ident, $x:ident| $step:expr
    )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$about])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default),* }
            }
        }

        impl $name {
            /// An optimizer over one group of parameters with this learning rate; the other options have their defaults.
            ///
            /// # Panics
            /// As [`Optimizer::add_group`](crate::optim::Optimizer::add_group).
            #[track_caller]
            #[allow(clippy::new_ret_no_self, reason = "the options are the rule, and what has one is an optimizer")]
            pub fn new<'a>(
                parameters: impl IntoIterator<Item = &'a $crate::Tensor>,
                lr: f64,
            ) -> $crate::optim::Optimizer {
                $name { lr, ..$name::default() }.over(parameters)
            }

            /// An optimizer over one group of parameters with these options.
            ///
            /// # Panics
            /// As [`Optimizer::add_group`](crate::optim::Optimizer::add_group).
            #[track_caller]
            pub fn over<'a>(
                self,
                parameters: impl IntoIterator<Item = &'a $crate::Tensor>,
            ) -> $crate::optim::Optimizer {
                $crate::optim::Optimizer::new(self, parameters)
            }
        }

        impl $crate::optim::Rule for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn options(&self) -> Vec<(String, f64)> {
                let mut all = Vec::new();
                $(for (part, x) in $crate::optim::rule::Setting::parts(&self.$field) {
                    all.push((format!(concat!(stringify!($field), "{}"), part), x));
                })*
                all
            }

            fn set_option(&mut self, name: &str, x: f64) -> bool {
                $(if let Some(part) = name.strip_prefix(stringify!($field))
                    && $crate::optim::rule::Setting::set_part(&mut self.$field, part, x) { return true; })*
                false
            }

            fn decay(&self) -> $crate::optim::Decay {
                let $d = self;
                $decay
            }

            fn states(&self, shape: &[usize]) -> Vec<(&'static str, Option<Vec<usize>>)> {
                $crate::optim::rule::states!(shape, $states)
            }

            fn step(&self, $x: &mut $crate::optim::Step) -> $crate::error::Result<$crate::Tensor> {
                let $o = self;
                $step
            }
        }
    )* };
}
pub(super) use rules;

/// States of the parameter's shape by name, numbers after a semicolon; or a function of the shape.
macro_rules! states {
    ($shape:ident, [$($state:literal),* $(; $($number:literal),*)?]) => {{
        let tensors: &[&'static str] = &[$($state),*];
        let numbers: &[&'static str] = &[$($($number),*)?];
        let tensors = tensors.iter().map(|&name| (name, Some($shape.to_vec())));
        tensors.chain(numbers.iter().map(|&name| (name, None))).collect()
    }};
    ($shape:ident, ($of:expr)) => { $of($shape) };
}
pub(super) use states;
