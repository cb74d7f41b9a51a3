//! The network: two convolutions and two linear layers.

use crate::data::CLASSES;
use wgrad::nn::{BatchNorm2d, Conv2d, Dropout, Layer, Linear};
use wgrad::{ConvOptions, Device, Tensor, module};

pub struct Cnn {
    conv1: Conv2d,
    norm1: BatchNorm2d,
    conv2: Conv2d,
    norm2: BatchNorm2d,
    dropout1: Dropout,
    fc1: Linear,
    dropout2: Dropout,
    fc2: Linear,
}
module!(Cnn { conv1, norm1, conv2, norm2, dropout1, fc1, dropout2, fc2 });

impl Cnn {
    /// A network for grey images of this height and width.
    pub fn new([height, width]: [usize; 2], dev: &Device) -> Cnn {
        // The norm after a convolution has a bias of its own.
        let conv = |input, output| {
            let options = ConvOptions { padding: 1.into(), ..Default::default() };
            Conv2d::new(input, output, 3, options, dev).without_bias()
        };
        Cnn {
            conv1: conv(1, 32),
            norm1: BatchNorm2d::new(32, dev),
            conv2: conv(32, 64),
            norm2: BatchNorm2d::new(64, dev),
            dropout1: Dropout::new(0.25),
            fc1: Linear::new(64 * (height / 4) * (width / 4), 128, dev),
            dropout2: Dropout::new(0.5),
            fc2: Linear::new(128, CLASSES, dev),
        }
    }

    /// The logits, `[n, 10]`, of images `[n, 1, height, width]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let half = |x: Tensor| x.max_pool2d(2, Default::default());
        let x = half(self.norm1.forward(&self.conv1.forward(x)).relu());
        let x = half(self.norm2.forward(&self.conv2.forward(&x)).relu());
        let x = self.dropout1.forward(&x.flatten(1, -1));
        self.fc2.forward(&self.dropout2.forward(&self.fc1.forward(&x).relu()))
    }
}
