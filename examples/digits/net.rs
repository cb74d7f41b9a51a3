//! The network, in tensors, and its weights as a file.

use crate::common::{Error, Result};
use crate::data::{CLASSES, PIXELS};
use std::path::Path;
use wgrad::autograd::no_grad;
use wgrad::io::{load_safetensors, save_safetensors};
use wgrad::{DType, Device, Tensor};

const HIDDEN: usize = 128;

/// A layer: `x Wᵀ + b`, with `W` of shape `[out, in]` as in PyTorch.
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weights and bias uniform in `±1/√in`, as PyTorch starts them.
    fn new(input: usize, output: usize, dev: &Device) -> Result<Linear> {
        let bound = 1.0 / (input as f64).sqrt();
        // `requires_grad_` comes last: the tensor it is said of is the leaf, and how that was made is not recorded.
        let start = |shape: &[usize]| ((Tensor::rand(shape, dev) * 2.0 - 1.0) * bound).requires_grad_(true);
        Ok(Linear { weight: start(&[output, input])?, bias: start(&[output])? })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.matmul(&self.weight.t()) + &self.bias
    }
}

/// 64 pixels, 128 hidden units, 10 classes.
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    pub fn new(dev: &Device) -> Result<Mlp> {
        Ok(Mlp { fc1: Linear::new(PIXELS, HIDDEN, dev)?, fc2: Linear::new(HIDDEN, CLASSES, dev)? })
    }

    /// The logits of a batch of images.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.fc2.forward(&self.fc1.forward(x).relu())
    }

    /// The digits that the network reads.
    pub fn read(&self, x: &Tensor) -> Tensor {
        let _unrecorded = no_grad();
        self.forward(x).argmax(1, false)
    }

    /// The parameters, by the names that PyTorch would give them.
    pub fn parameters(&self) -> [(&'static str, &Tensor); 4] {
        let Mlp { fc1, fc2 } = self;
        [("fc1.weight", &fc1.weight), ("fc1.bias", &fc1.bias), ("fc2.weight", &fc2.weight), ("fc2.bias", &fc2.bias)]
    }

    /// The number of parameters.
    pub fn count(&self) -> usize {
        self.parameters().iter().map(|(_, p)| p.numel()).sum()
    }

    /// Writes the parameters as a safetensors file, which `safetensors.torch.load_file` reads as a state dict.
    pub fn save(&self, path: &Path) -> Result {
        let parameters: Vec<_> = self.parameters().iter().map(|&(name, p)| (name.to_string(), p.clone())).collect();
        Ok(save_safetensors(path, &parameters)?)
    }

    /// The network whose parameters a file holds.
    pub fn load(path: &Path, dev: &Device) -> Result<Mlp> {
        let mut file = load_safetensors(path, dev)?;
        let mut parameter = |name: String, shape: &[usize]| {
            let p = file.remove(&name).ok_or_else(|| format!("{}: there is no {name}", path.display()))?;
            if p.dtype() != DType::F32 || p.shape() != shape {
                let (dtype, got) = (p.dtype(), p.shape());
                let file = path.display();
                return Err(format!("{file}: {name} is {dtype} of shape {got:?} instead of f32 of {shape:?}").into());
            }
            Ok::<_, Error>(p.requires_grad_(true)?)
        };
        let mut layer = |name: &str, input, output| {
            let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
            Ok::<_, Error>(Linear { weight: parameter(weight, &[output, input])?, bias: parameter(bias, &[output])? })
        };
        Ok(Mlp { fc1: layer("fc1", PIXELS, HIDDEN)?, fc2: layer("fc2", HIDDEN, CLASSES)? })
    }
}
