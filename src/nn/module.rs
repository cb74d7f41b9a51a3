//! What a module is: members with names, of which everything else follows.

use crate::dtype::DType;
use crate::error::Result;
use crate::nn::load::{LoadReport, load, mismatch};
use crate::nn::summary::summary;
use crate::nn::{Hooks, Mode};
use crate::state::StateDict;
use crate::tensor::Tensor;
use crate::tensor::device::Device;

/// A part of a network. [`module!`](crate::module) writes the two methods that have to be written; tensors, buffers,
/// modes, hooks, and options, vectors and boxes of modules are modules too, so all of them can be fields.
pub trait Module: Send + Sync {
    /// Shows a visitor every member by its name.
    fn visit(&self, visitor: &mut Visitor);

    /// Replaces every parameter and buffer by what `f` makes of it.
    ///
    /// # Errors
    /// Those of `f`.
    fn map(&mut self, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<()>;

    /// Calls `see` with every member of this module and of those inside, and its path.
    fn for_each(&self, see: &mut dyn FnMut(&str, Member)) {
        let mut visitor = Visitor { path: String::new(), see };
        self.visit(&mut visitor);
    }

    /// The parameters by name, one that is shared only once.
    fn named_parameters(&self) -> Vec<(String, Tensor)> {
        let mut all: Vec<(String, Tensor)> = Vec::new();
        self.for_each(&mut |path, member| {
            if let Member::Parameter(p) = member
                && !all.iter().any(|(_, other)| other.is_same(p))
            {
                all.push((path.to_string(), p.clone()));
            }
        });
        all
    }

    /// The parameters, one that is shared only once: `Adam::new(&net.parameters(), 1e-3)`.
    fn parameters(&self) -> Vec<Tensor> {
        self.named_parameters().into_iter().map(|(_, p)| p).collect()
    }

    /// The buffers by name: what is saved and not trained.
    fn named_buffers(&self) -> Vec<(String, Tensor)> {
        let mut all = Vec::new();
        self.for_each(&mut |path, member| {
            if let Member::Buffer(b) = member {
                all.push((path.to_string(), b.clone()));
            }
        });
        all
    }

    /// Parameters and buffers by name, outside of the graph; they share their storage with the module.
    fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        self.for_each(&mut |path, member| {
            if let Member::Parameter(x) | Member::Buffer(x) = member {
                state.insert(path.to_string(), x.untracked());
            }
        });
        state
    }

    /// Copies a state into the parameters and buffers, converted to their types. Nothing is changed unless all of it fits.
    ///
    /// ```
    /// use wgrad::nn::{Linear, Module};
    /// use wgrad::Device;
    /// let dev = Device::cpu();
    /// let (a, b) = (Linear::new(2, 3, &dev), Linear::new(2, 3, &dev));
    /// b.load_state_dict(&a.state_dict())?;
    /// assert_eq!(a.weight.to_vec::<f32>()?, b.weight.to_vec::<f32>()?);
    /// let error = Linear::new(2, 4, &dev).load_state_dict(&a.state_dict()).unwrap_err();
    /// assert!(error.to_string().contains("weight has the shape [3, 2] instead of [4, 2]"));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If entries are missing, unexpected or of another shape: the error names all of them.
    fn load_state_dict(&self, state: &StateDict) -> Result<()> {
        let report = LoadReport::of(&self.state_dict(), state);
        if !report.is_empty() {
            return Err(mismatch(&report));
        }
        load(&self.state_dict(), state)
    }

    /// Copies what fits of a state, and reports what does not.
    ///
    /// ```
    /// use wgrad::nn::{Linear, Module};
    /// use wgrad::Device;
    /// let dev = Device::cpu();
    /// let (mut state, net) = (Linear::new(2, 3, &dev).state_dict(), Linear::new(2, 3, &dev));
    /// state.remove("bias");
    /// let report = net.load_matching(&state)?;
    /// assert_eq!(report.missing, ["bias"]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the device fails.
    fn load_matching(&self, state: &StateDict) -> Result<LoadReport> {
        let own = self.state_dict();
        load(&own, state)?;
        Ok(LoadReport::of(&own, state))
    }

    /// Whether dropout drops, and statistics are those of the batch, in this module and all inside.
    ///
    /// ```
    /// use wgrad::nn::{Dropout, Layer, Module};
    /// use wgrad::{Device, Tensor};
    /// let (dropout, x) = (Dropout::new(1.0), Tensor::ones([2], &Device::cpu()));
    /// dropout.eval();
    /// assert_eq!(dropout.forward(&x).to_vec::<f32>()?, [1.0, 1.0]);
    /// dropout.train(true);
    /// assert_eq!(dropout.forward(&x).to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    fn train(&self, on: bool) {
        self.for_each(&mut |_, member| {
            if let Member::Mode(mode) = member {
                mode.set(on);
            }
        });
    }

    /// [`Module::train`] with false.
    fn eval(&self) {
        self.train(false);
    }

    /// Forgets the gradients of all parameters.
    fn zero_grad(&self) {
        self.parameters().iter().for_each(Tensor::zero_grad);
    }

    /// Makes the parameters whose names match a pattern want no gradient, so that optimizers leave them alone; `*` stands
    /// for any characters. The result is how many there are.
    ///
    /// ```
    /// use wgrad::nn::{Linear, Module};
    /// let net = vec![Linear::new(2, 2, &wgrad::Device::cpu()), Linear::new(2, 2, &wgrad::Device::cpu())];
    /// assert_eq!(net.freeze("0.*"), 2);
    /// assert!(!net[0].weight.requires_grad() && net[1].weight.requires_grad());
    /// assert_eq!(net.unfreeze("*.bias"), 2);
    /// ```
    fn freeze(&self, pattern: &str) -> usize {
        mark(&self.named_parameters(), pattern, false)
    }

    /// Undoes [`Module::freeze`].
    fn unfreeze(&self, pattern: &str) -> usize {
        mark(&self.named_parameters(), pattern, true)
    }

    /// Moves parameters and buffers to a device. They become other tensors, so optimizers are made afterwards.
    ///
    /// # Errors
    /// If a device fails.
    fn to_device(&mut self, device: &Device) -> Result<()> {
        self.map(&mut replaced(|x| x.to_device(device)))
    }

    /// Converts parameters and buffers of floats to another type of floats. They become other tensors, so optimizers are
    /// made afterwards.
    ///
    /// ```
    /// use wgrad::nn::{Linear, Module};
    /// use wgrad::{DType, Device};
    /// let mut net = Linear::new(2, 2, &Device::cpu());
    /// net.to_dtype(DType::F64)?;
    /// assert!(net.weight.dtype() == DType::F64 && net.weight.requires_grad());
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a device fails.
    fn to_dtype(&mut self, dtype: DType) -> Result<()> {
        self.map(&mut replaced(|x| Ok(if x.dtype().is_float() { x.cast(dtype) } else { x.clone() })))
    }

    /// A table of all parameters and buffers with shapes, types, numbers of elements and bytes.
    ///
    /// ```
    /// use wgrad::nn::{Linear, Module};
    /// let table = Linear::new(3, 2, &wgrad::Device::cpu()).summary();
    /// assert!(table.ends_with("8 parameters, 8 of them trained; 32 bytes"), "{table}");
    /// ```
    fn summary(&self) -> String {
        summary(self.named_parameters(), self.named_buffers())
    }

    /// The hooks of the module with this name inside of this one, or of this one for an empty name, if it has any.
    fn hooks(&self, name: &str) -> Option<Hooks> {
        let wanted = if name.is_empty() { "hooks".to_string() } else { format!("{name}.hooks") };
        let mut found = None;
        self.for_each(&mut |path, member| {
            if let Member::Hooks(hooks) = member
                && path == wanted
            {
                found = Some(hooks.clone());
            }
        });
        found
    }
}

/// A module that makes one tensor of one.
pub trait Layer: Module {
    /// The result for an input; hooks run before and after.
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor;
}

/// What a module is made of.
#[derive(Clone, Copy)]
pub enum Member<'a> {
    /// What is trained.
    Parameter(&'a Tensor),
    /// What is saved and not trained.
    Buffer(&'a Tensor),
    /// Whether the module is in training.
    Mode(&'a Mode),
    /// What runs before and after the module.
    Hooks(&'a Hooks),
}

/// Goes through the members of a module, and knows where it is.
pub struct Visitor<'v> {
    path: String,
    see: &'v mut dyn FnMut(&str, Member),
}

impl Visitor<'_> {
    /// Visits a member; an empty name stands for this module itself.
    pub fn member(&mut self, name: &str, member: &dyn Module) {
        let length = self.path.len();
        if length > 0 && !name.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
        member.visit(self);
        self.path.truncate(length);
    }

    /// Tells of what is here.
    pub fn leaf(&mut self, member: Member) {
        (self.see)(&self.path, member);
    }
}

/// Writes [`Module`](crate::nn::Module) for a struct from the fields that are modules: parameters, buffers, other modules.
///
/// ```
/// use wgrad::nn::{Layer, Linear, Module, ReLU};
/// use wgrad::{Device, Tensor, module};
/// struct Scaled<L> { inner: L, scale: Tensor, times: usize }
/// module!(Scaled<L> { inner, scale });
/// let dev = Device::cpu();
/// let scale = Tensor::ones([1], &dev).requires_grad_(true)?;
/// let scaled = Scaled { inner: Linear::new(2, 2, &dev), scale, times: 3 };
/// assert_eq!(scaled.named_parameters().len(), scaled.times);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// A name that no field can have, or that a file of weights knows another way, is said after `as`:
///
/// ```
/// # use wgrad::nn::{LayerNorm, Linear, Module};
/// # use wgrad::{Device, module};
/// struct Block { attention: Linear, norm: LayerNorm }
/// module!(Block { attention as "self", norm as "LayerNorm" });
/// # let dev = Device::cpu();
/// # let block = Block { attention: Linear::new(2, 2, &dev).without_bias(), norm: LayerNorm::new(2, &dev) };
/// assert!(block.state_dict().keys().eq(["LayerNorm.bias", "LayerNorm.weight", "self.weight"]));
/// ```
#[macro_export]
macro_rules! module {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    ($type:ident $(<$($of:ident),+>)? { $($field:ident $(as $name:literal)?),* $(,)? }) => {
        impl $(<$($of: $crate::nn::Module),+>)? $crate::nn::Module for $type $(<$($of),+>)? {
            fn visit(&self, visitor: &mut $crate::nn::Visitor) {
                $(visitor.member($crate::module!(@name $field $($name)?), &self.$field);)*
                let _ = visitor;
            }

            fn map(
                &mut self,
                f: &mut dyn FnMut(&$crate::Tensor) -> $crate::Result<$crate::Tensor>,
            ) -> $crate::Result<()> {
                $($crate::nn::Module::map(&mut self.$field, f)?;)*
                let _ = f;
                Ok(())
            }
        }
    };
}

/// Makes a function of tensors one of parameters: the result is a leaf that wants a gradient if the tensor did, and shared
/// tensors stay shared.
fn replaced(f: impl Fn(&Tensor) -> Result<Tensor>) -> impl FnMut(&Tensor) -> Result<Tensor> {
    let mut known: Vec<(Tensor, Tensor)> = Vec::new();
    move |x| {
        if let Some((_, y)) = known.iter().find(|(other, _)| other.is_same(x)) {
            return Ok(y.clone());
        }
        let y = f(&x.untracked())?.untracked().requires_grad_(x.requires_grad())?;
        known.push((x.clone(), y.clone()));
        Ok(y)
    }
}

fn mark(parameters: &[(String, Tensor)], pattern: &str, trained: bool) -> usize {
    let chosen = parameters.iter().filter(|(name, _)| matches(pattern, name));
    // Only results refuse, and parameters are leaves.
    chosen.filter(|(_, p)| p.requires_grad_(trained).is_ok()).count()
}

/// Whether a name is what a pattern says, with `*` for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().expect("a split has a first part");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    #[test]
    fn patterns_match_names() {
        for (pattern, name, want) in [
            ("a.weight", "a.weight", true),
            ("a", "a.weight", false),
            ("a*", "a.weight", true),
            ("*.weight", "a.weight", true),
            ("*.weight", "a.weights", false),
            ("*.0.*.bias", "layers.0.fc.bias", true),
            ("*.0.*.bias", "layers.10.fc.bias", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(super::matches(pattern, name), want, "{pattern} {name}");
        }
    }
}
