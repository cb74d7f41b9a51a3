//! Modules that hold others, and layers that only arrange.

use crate::error::Result;
use crate::nn::layer::layers;
use crate::nn::{Hooks, Layer, Module, Visitor};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// A list of modules, named by their numbers.
pub type ModuleList<M> = Vec<M>;

/// Modules by name.
pub type ModuleDict<M> = BTreeMap<String, M>;

/// Layers one after the other, named by their numbers.
///
/// ```
/// use wgrad::nn::{Layer, Linear, Module, ReLU, Sequential};
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let net = Sequential::new().then(Linear::new(2, 8, &dev)).then(ReLU::new()).then(Linear::new(8, 1, &dev));
/// assert_eq!(net.forward(&Tensor::ones([5, 2], &dev)).shape(), [5, 1]);
/// assert!(net.state_dict().contains_key("2.weight"));
/// ```
///
/// Source: [torch.nn.Sequential](https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html).
#[derive(Default)]
pub struct Sequential {
    /// The layers, in order.
    pub layers: Vec<Box<dyn Layer>>,
    /// What runs before and after.
    pub hooks: Hooks,
}

impl Sequential {
    /// No layer yet.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// These layers and one more.
    pub fn then(mut self, layer: impl Layer + 'static) -> Sequential {
        self.layers.push(Box::new(layer));
        self
    }
}

impl Module for Sequential {
    fn visit(&self, visitor: &mut Visitor) {
        visitor.member("", &self.layers);
        visitor.member("hooks", &self.hooks);
    }

    fn map(&mut self, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<()> {
        self.layers.map(f)
    }
}

impl Layer for Sequential {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let call = self.hooks.enter(&[x]);
        let mut y = call.inputs[0].clone();
        for layer in &self.layers {
            y = layer.forward(&y);
        }
        call.leave(y)
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        (**self).forward(x)
    }
}

/// A function as a layer.
///
/// ```
/// use wgrad::nn::{Lambda, Layer};
/// use wgrad::{Device, Tensor};
/// let double = Lambda::new(|x| x * 2.0);
/// assert_eq!(double.forward(&Tensor::ones((), &Device::cpu())).item()?, 2.0);
/// # Ok::<(), wgrad::Error>(())
/// ```
pub struct Lambda<F>(F);

impl<F: Fn(&Tensor) -> Tensor + Send + Sync> Lambda<F> {
    /// The layer that calls a function.
    pub fn new(f: F) -> Lambda<F> {
        Lambda(f)
    }
}

impl<F: Fn(&Tensor) -> Tensor + Send + Sync> Module for Lambda<F> {
    fn visit(&self, _: &mut Visitor) {}

    fn map(&mut self, _: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<()> {
        Ok(())
    }
}

impl<F: Fn(&Tensor) -> Tensor + Send + Sync> Layer for Lambda<F> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        (self.0)(x)
    }
}

layers! {
    /// The input itself.
    ///
    /// ```
    /// use wgrad::nn::{Identity, Layer};
    /// let x = wgrad::Tensor::ones([2], &wgrad::Device::cpu());
    /// assert!(Identity::default().forward(&x).is_same(&x));
    /// ```
    ///
    /// Source: [torch.nn.Identity](https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html).
    #[derive(Default)]
    Identity {}
    members [];
    |_s, x| x.clone()

    /// [`Tensor::flatten`] from one dimension to another: all but the first by default.
    ///
    /// ```
    /// use wgrad::nn::{Flatten, Layer};
    /// let x = wgrad::Tensor::ones([2, 3, 4], &wgrad::Device::cpu());
    /// assert_eq!(Flatten::default().forward(&x).shape(), [2, 12]);
    /// ```
    ///
    /// Source: [torch.nn.Flatten](https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html).
    Flatten {
        /// The first dimension.
        start_dim: isize,
        /// The last dimension.
        end_dim: isize,
    }
    members [];
    |s, x| x.flatten(s.start_dim, s.end_dim)

    /// [`Tensor::unflatten`]: one dimension becomes several.
    ///
    /// ```
    /// use wgrad::nn::{Layer, Unflatten};
    /// let x = wgrad::Tensor::ones([2, 12], &wgrad::Device::cpu());
    /// assert_eq!(Unflatten::new(1, vec![3, 4]).forward(&x).shape(), [2, 3, 4]);
    /// ```
    ///
    /// Source: [torch.nn.Unflatten](https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html).
    Unflatten {
        /// The dimension.
        dim: isize,
        /// What it becomes.
        sizes: Vec<usize>,
    }
    members [];
    |s, x| x.unflatten(s.dim, &s.sizes)
}

impl Default for Flatten {
    fn default() -> Flatten {
        Flatten::new(1, -1)
    }
}

impl Flatten {
    /// The layer for these dimensions.
    pub fn new(start_dim: isize, end_dim: isize) -> Flatten {
        Flatten { start_dim, end_dim, hooks: Hooks::default() }
    }
}

impl Unflatten {
    /// The layer for this dimension.
    pub fn new(dim: isize, sizes: Vec<usize>) -> Unflatten {
        Unflatten { dim, sizes, hooks: Hooks::default() }
    }
}
