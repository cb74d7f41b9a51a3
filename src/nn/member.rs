//! What modules are made of besides other modules: tensors, and lists of modules.

use crate::error::Result;
use crate::nn::{Hooks, Member, Module, Visitor};
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

type Map<'f> = &'f mut dyn FnMut(&Tensor) -> Result<Tensor>;

/// A tensor that belongs to a module's state and is not trained, as running statistics are.
///
/// ```
/// use wgrad::nn::{Buffer, Module};
/// use wgrad::{Device, Tensor, module};
/// struct Counter { seen: Buffer }
/// module!(Counter { seen });
/// let counter = Counter { seen: Buffer(Tensor::zeros((), &Device::cpu())) };
/// assert!(counter.parameters().is_empty() && counter.state_dict().contains_key("seen"));
/// ```
#[derive(Clone)]
pub struct Buffer(pub Tensor);

impl Deref for Buffer {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

/// Whether a module is in training: at first it is. [`Module::train`] sets it, through shared references too.
///
/// ```
/// let mode = wgrad::nn::Mode::default();
/// assert!(mode.is_training());
/// mode.set(false);
/// assert!(!mode.is_training());
/// ```
pub struct Mode(AtomicBool);

impl Default for Mode {
    fn default() -> Mode {
        Mode(AtomicBool::new(true))
    }
}

impl Mode {
    /// Whether the module is in training.
    pub fn is_training(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins or ends training.
    pub fn set(&self, training: bool) {
        self.0.store(training, Ordering::Relaxed);
    }
}

impl Module for Tensor {
    fn visit(&self, visitor: &mut Visitor) {
        visitor.leaf(Member::Parameter(self));
    }

    fn map(&mut self, f: Map) -> Result<()> {
        *self = f(self)?;
        Ok(())
    }
}

impl Module for Buffer {
    fn visit(&self, visitor: &mut Visitor) {
        visitor.leaf(Member::Buffer(&self.0));
    }

    fn map(&mut self, f: Map) -> Result<()> {
        self.0.map(f)
    }
}

impl Module for Mode {
    fn visit(&self, visitor: &mut Visitor) {
        visitor.leaf(Member::Mode(self));
    }

    fn map(&mut self, _: Map) -> Result<()> {
        Ok(())
    }
}

impl Module for Hooks {
    fn visit(&self, visitor: &mut Visitor) {
        visitor.leaf(Member::Hooks(self));
    }

    fn map(&mut self, _: Map) -> Result<()> {
        Ok(())
    }
}

impl<M: Module> Module for Option<M> {
    fn visit(&self, visitor: &mut Visitor) {
        self.iter().for_each(|m| m.visit(visitor));
    }

    fn map(&mut self, f: Map) -> Result<()> {
        self.iter_mut().try_for_each(|m| m.map(f))
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn visit(&self, visitor: &mut Visitor) {
        (**self).visit(visitor);
    }

    fn map(&mut self, f: Map) -> Result<()> {
        (**self).map(f)
    }
}

impl<M: Module> Module for Vec<M> {
    fn visit(&self, visitor: &mut Visitor) {
        self.iter().enumerate().for_each(|(i, m)| visitor.member(&i.to_string(), m));
    }

    fn map(&mut self, f: Map) -> Result<()> {
        self.iter_mut().try_for_each(|m| m.map(f))
    }
}

impl<M: Module> Module for BTreeMap<String, M> {
    fn visit(&self, visitor: &mut Visitor) {
        self.iter().for_each(|(name, m)| visitor.member(name, m));
    }

    fn map(&mut self, f: Map) -> Result<()> {
        self.values_mut().try_for_each(|m| m.map(f))
    }
}
