//! The network, in tensors, and its weights as a file.

use crate::common::{Error, Result};
use crate::data::{CLASSES, PIXELS};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::path::Path;
use wgrad::{Device, Tensor, autograd::no_grad};

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
        let mut parameters = Vec::new();
        for (name, p) in self.parameters() {
            let bytes: Vec<u8> = p.to_vec::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect();
            parameters.push((name, p.shape().to_vec(), bytes));
        }
        let view = |(name, shape, bytes)| Ok::<_, Error>((name, TensorView::new(Dtype::F32, shape, bytes)?));
        let views = parameters.iter().map(|(name, shape, bytes)| view((name, shape.clone(), bytes)));
        Ok(std::fs::write(path, safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None)?)?)
    }

    /// The network whose parameters a file holds.
    pub fn load(path: &Path, dev: &Device) -> Result<Mlp> {
        let bytes = std::fs::read(path)?;
        let file = SafeTensors::deserialize(&bytes)?;
        let parameter = |name: String, shape: &[usize]| {
            let view = file.tensor(&name)?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                return Err(format!(
                    "{name} is {:?} of shape {:?} instead of F32 of {shape:?}",
                    view.dtype(),
                    view.shape()
                )
                .into());
            }
            let elements: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            Ok::<_, Error>(Tensor::from_slice(&elements, shape, dev).requires_grad_(true)?)
        };
        let layer = |name: &str, input, output| {
            let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
            Ok::<_, Error>(Linear { weight: parameter(weight, &[output, input])?, bias: parameter(bias, &[output])? })
        };
        Ok(Mlp { fc1: layer("fc1", PIXELS, HIDDEN)?, fc2: layer("fc2", HIDDEN, CLASSES)? })
    }
}
