//! The layers of transformers, and stacks of them.

use crate::nn::attention::MultiheadAttentionOptions;
use crate::nn::{Dropout, Layer, LayerNorm, Linear, MultiheadAttention};
use crate::ops::create::Options;
use crate::tensor::Tensor;

/// The settings of a transformer's layers: PyTorch's defaults.
#[derive(Clone, Copy, Debug)]
pub struct TransformerOptions {
    /// The size of the vectors between the two maps: 2048.
    pub dim_feedforward: usize,
    /// The probability of all dropouts: 0.1.
    pub dropout: f64,
    /// Between the two maps: [`Tensor::relu`].
    pub activation: fn(&Tensor) -> Tensor,
    /// Whether each part normalises its input instead of its result: no.
    pub norm_first: bool,
    /// Whether the batch is the first dimension: no.
    pub batch_first: bool,
    /// Added to variances: 1e-5.
    pub layer_norm_eps: f64,
}

impl Default for TransformerOptions {
    fn default() -> TransformerOptions {
        TransformerOptions {
            dim_feedforward: 2048,
            dropout: 0.1,
            activation: Tensor::relu,
            norm_first: false,
            batch_first: false,
            layer_norm_eps: 1e-5,
        }
    }
}

#[track_caller]
fn attention(size: usize, heads: usize, o: &TransformerOptions, place: &Options) -> MultiheadAttention {
    let mut attention = MultiheadAttention::new(size, heads, place.clone());
    (attention.dropout, attention.batch_first) = (o.dropout, o.batch_first);
    attention
}

#[track_caller]
fn norm(size: usize, o: &TransformerOptions, place: &Options) -> LayerNorm {
    LayerNorm { eps: o.layer_norm_eps, ..LayerNorm::new(size, place.clone()) }
}

/// `x` and a part of the layer, with the norm before the part or after the sum.
#[track_caller]
fn residual(x: &Tensor, norm: &LayerNorm, norm_first: bool, part: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    if norm_first { x + part(&norm.forward(x)) } else { norm.forward(&(x + part(x))) }
}

/// Attention to the sequence itself, then two maps of each vector; both are added to what they are given.
///
/// ```
/// use wgrad::nn::{TransformerEncoderLayer, TransformerOptions};
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let options = TransformerOptions { dim_feedforward: 16, batch_first: true, ..Default::default() };
/// let layer = TransformerEncoderLayer::new(8, 2, options, &dev);
/// assert_eq!(layer.forward(&Tensor::ones([1, 5, 8], &dev), Default::default()).shape(), [1, 5, 8]);
/// ```
///
/// Source: [torch.nn.TransformerEncoderLayer](https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html).
#[allow(missing_docs, reason = "the fields are PyTorch's")]
pub struct TransformerEncoderLayer {
    pub self_attn: MultiheadAttention,
    pub linear1: Linear,
    pub dropout: Dropout,
    pub linear2: Linear,
    pub norm1: LayerNorm,
    pub norm2: LayerNorm,
    pub dropout1: Dropout,
    pub dropout2: Dropout,
    pub options: TransformerOptions,
}
crate::module!(TransformerEncoderLayer { self_attn, linear1, dropout, linear2, norm1, norm2, dropout1, dropout2 });

impl TransformerEncoderLayer {
    /// A layer over vectors of a size with so many heads.
    #[track_caller]
    pub fn new(size: usize, heads: usize, options: TransformerOptions, place: impl Into<Options>) -> Self {
        let (o, place) = (&options, place.into());
        TransformerEncoderLayer {
            self_attn: attention(size, heads, o, &place),
            linear1: Linear::new(size, o.dim_feedforward, place.clone()),
            dropout: Dropout::new(o.dropout),
            linear2: Linear::new(o.dim_feedforward, size, place.clone()),
            norm1: norm(size, o, &place),
            norm2: norm(size, o, &place),
            dropout1: Dropout::new(o.dropout),
            dropout2: Dropout::new(o.dropout),
            options,
        }
    }

    /// The result for a sequence, with masks for the attention.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: MultiheadAttentionOptions) -> Tensor {
        let first = self.options.norm_first;
        let x =
            residual(x, &self.norm1, first, |x| self.dropout1.forward(&self.self_attn.forward(x, x, x, masks).output));
        residual(&x, &self.norm2, first, |x| {
            let inner = (self.options.activation)(&self.linear1.forward(x));
            self.dropout2.forward(&self.linear2.forward(&self.dropout.forward(&inner)))
        })
    }
}

/// [`TransformerEncoderLayer`] with attention to another sequence, `memory`, in between.
///
/// ```
/// use wgrad::nn::{TransformerDecoderLayer, TransformerOptions};
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let options = TransformerOptions { dim_feedforward: 16, batch_first: true, ..Default::default() };
/// let layer = TransformerDecoderLayer::new(8, 2, options, &dev);
/// let (x, memory) = (Tensor::ones([1, 5, 8], &dev), Tensor::ones([1, 3, 8], &dev));
/// assert_eq!(layer.forward(&x, &memory, Default::default(), Default::default()).shape(), [1, 5, 8]);
/// ```
///
/// Source: [torch.nn.TransformerDecoderLayer](https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html).
#[allow(missing_docs, reason = "the fields are PyTorch's")]
pub struct TransformerDecoderLayer {
    pub self_attn: MultiheadAttention,
    pub multihead_attn: MultiheadAttention,
    pub linear1: Linear,
    pub dropout: Dropout,
    pub linear2: Linear,
    pub norm1: LayerNorm,
    pub norm2: LayerNorm,
    pub norm3: LayerNorm,
    pub dropout1: Dropout,
    pub dropout2: Dropout,
    pub dropout3: Dropout,
    pub options: TransformerOptions,
}
crate::module!(TransformerDecoderLayer {
    self_attn,
    multihead_attn,
    linear1,
    dropout,
    linear2,
    norm1,
    norm2,
    norm3,
    dropout1,
    dropout2,
    dropout3
});

impl TransformerDecoderLayer {
    /// A layer over vectors of a size with so many heads.
    #[track_caller]
    pub fn new(size: usize, heads: usize, options: TransformerOptions, place: impl Into<Options>) -> Self {
        let (o, place) = (&options, place.into());
        TransformerDecoderLayer {
            self_attn: attention(size, heads, o, &place),
            multihead_attn: attention(size, heads, o, &place),
            linear1: Linear::new(size, o.dim_feedforward, place.clone()),
            dropout: Dropout::new(o.dropout),
            linear2: Linear::new(o.dim_feedforward, size, place.clone()),
            norm1: norm(size, o, &place),
            norm2: norm(size, o, &place),
            norm3: norm(size, o, &place),
            dropout1: Dropout::new(o.dropout),
            dropout2: Dropout::new(o.dropout),
            dropout3: Dropout::new(o.dropout),
            options,
        }
    }

    /// The result for a sequence and a memory, with masks for the attention to each.
    #[track_caller]
    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        masks: MultiheadAttentionOptions,
        memory_masks: MultiheadAttentionOptions,
    ) -> Tensor {
        let first = self.options.norm_first;
        let x =
            residual(x, &self.norm1, first, |x| self.dropout1.forward(&self.self_attn.forward(x, x, x, masks).output));
        let x = residual(&x, &self.norm2, first, |x| {
            self.dropout2.forward(&self.multihead_attn.forward(x, memory, memory, memory_masks).output)
        });
        residual(&x, &self.norm3, first, |x| {
            let inner = (self.options.activation)(&self.linear1.forward(x));
            self.dropout3.forward(&self.linear2.forward(&self.dropout.forward(&inner)))
        })
    }
}

macro_rules! stacks {
    ($($(#[$doc:meta])* $name:ident $layer:ident ($($p:ident: $type:ty),*) ($($pass:expr),*);)*) => { $(
        $(#[$doc])*
        pub struct $name {
            /// The layers, in order.
            pub layers: Vec<$layer>,
            /// The norm of the result, if there is one.
            pub norm: Option<LayerNorm>,
        }
        crate::module!($name { layers, norm });

        impl $name {
            /// So many layers over vectors of a size, each with parameters of its own, without a norm at the end.
            #[track_caller]
            pub fn new(
                layers: usize,
                size: usize,
                heads: usize,
                options: TransformerOptions,
                place: impl Into<Options>,
            ) -> Self {
                let place = place.into();
                let layers = (0..layers).map(|_| $layer::new(size, heads, options, place.clone())).collect();
                $name { layers, norm: None }
            }

            /// The result of all layers, each with the same masks.
            #[track_caller]
            pub fn forward(&self, x: &Tensor, $($p: $type),*) -> Tensor {
                let mut y = x.clone();
                for layer in &self.layers {
                    y = layer.forward(&y, $($pass),*);
                }
                self.norm.as_ref().map_or(y.clone(), |norm| norm.forward(&y))
            }
        }
    )* };
}

stacks! {
    /// [`TransformerEncoderLayer`]s one after the other.
    ///
    /// ```
    /// use wgrad::nn::{TransformerEncoder, TransformerOptions};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let encoder = TransformerEncoder::new(2, 8, 2, TransformerOptions::default(), &dev);
    /// assert_eq!(encoder.forward(&Tensor::ones([5, 1, 8], &dev), Default::default()).shape(), [5, 1, 8]);
    /// ```
    ///
    /// Source: [torch.nn.TransformerEncoder](https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html).
    TransformerEncoder TransformerEncoderLayer (masks: MultiheadAttentionOptions) (masks.clone());
    /// [`TransformerDecoderLayer`]s one after the other, all with the same memory.
    ///
    /// ```
    /// use wgrad::nn::{TransformerDecoder, TransformerOptions};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let decoder = TransformerDecoder::new(2, 8, 2, TransformerOptions::default(), &dev);
    /// let (x, memory) = (Tensor::ones([5, 1, 8], &dev), Tensor::ones([3, 1, 8], &dev));
    /// assert_eq!(decoder.forward(&x, &memory, Default::default(), Default::default()).shape(), [5, 1, 8]);
    /// ```
    ///
    /// Source: [torch.nn.TransformerDecoder](https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html).
    TransformerDecoder TransformerDecoderLayer
        (memory: &Tensor, masks: MultiheadAttentionOptions, memory_masks: MultiheadAttentionOptions)
        (memory, masks.clone(), memory_masks.clone());
}
