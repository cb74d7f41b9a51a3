//! Attention of several heads, with PyTorch's weights.

use crate::dtype::DType;
use crate::error::misuse;
use crate::nn::layer::parameter;
use crate::nn::{Hooks, Linear, Mode, init};
use crate::ops::attention::AttentionOptions;
use crate::ops::create::Options;
use crate::tensor::Tensor;

/// Queries, keys and values mapped, attended to in several heads, and mapped again. Inputs are `[length, batch, size]`, or
/// `[batch, length, size]` with `batch_first`, or without a batch.
///
/// ```
/// use wgrad::nn::MultiheadAttention;
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let mut attention = MultiheadAttention::new(8, 2, &dev);
/// attention.batch_first = true;
/// let x = Tensor::ones([1, 5, 8], &dev);
/// assert_eq!(attention.forward(&x, &x, &x, Default::default()).output.shape(), [1, 5, 8]);
/// ```
///
/// Source: [torch.nn.MultiheadAttention](https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html).
pub struct MultiheadAttention {
    /// `[3 size, size]`: the maps of queries, keys and values, if all three have one size; Xavier's uniform numbers in the
    /// beginning, as the next three.
    pub in_proj_weight: Option<Tensor>,
    /// `[size, size]`: the map of queries, where keys or values have another size.
    pub q_proj_weight: Option<Tensor>,
    /// `[size, kdim]`: the map of keys likewise.
    pub k_proj_weight: Option<Tensor>,
    /// `[size, vdim]`: the map of values likewise.
    pub v_proj_weight: Option<Tensor>,
    /// `[3 size]`: 0 in the beginning.
    pub in_proj_bias: Option<Tensor>,
    /// The map of the result; its bias is 0 in the beginning.
    pub out_proj: Linear,
    /// The number of heads.
    pub num_heads: usize,
    /// The probability with which a weight is dropped in training: 0.
    pub dropout: f64,
    /// Whether the batch is the first dimension: no.
    pub batch_first: bool,
    /// Whether dropout drops.
    pub training: Mode,
    /// What runs before and after.
    pub hooks: Hooks,
}
crate::module!(MultiheadAttention {
    in_proj_weight,
    q_proj_weight,
    k_proj_weight,
    v_proj_weight,
    in_proj_bias,
    out_proj,
    training,
    hooks,
});

/// What [`MultiheadAttention::forward`] takes besides queries, keys and values.
#[derive(Clone, Default)]
pub struct MultiheadAttentionOptions {
    /// `[queries, keys]`, or with a leading `batch · heads`: true where a query may *not* see a key, or numbers added to the
    /// scores.
    pub attn_mask: Option<Tensor>,
    /// `[batch, keys]`, without a batch `[keys]`: true for keys that nobody may see, or numbers added to their scores.
    pub key_padding_mask: Option<Tensor>,
    /// Whether a query sees only keys up to its own place.
    pub is_causal: bool,
    /// Whether the weights are wanted too, averaged over heads.
    pub need_weights: bool,
}

/// The result of [`MultiheadAttention::forward`].
pub struct Attended {
    /// Of the queries' shape.
    pub output: Tensor,
    /// `[batch, queries, keys]`, if they were wanted.
    pub weights: Option<Tensor>,
}

/// A mask as numbers that are added: minus infinity where it is true.
fn added(mask: &Tensor, dtype: DType) -> Tensor {
    match mask.dtype() {
        DType::Bool => Tensor::where_(mask, f64::NEG_INFINITY, Tensor::zeros((), (&mask.device(), dtype))),
        _ => mask.cast(dtype),
    }
}

impl MultiheadAttention {
    /// Attention over vectors of a size in so many heads.
    ///
    /// # Panics
    /// If the heads do not divide the size.
    #[track_caller]
    pub fn new(size: usize, num_heads: usize, place: impl Into<Options>) -> MultiheadAttention {
        MultiheadAttention::with_dims(size, num_heads, size, size, place)
    }

    /// Attention of queries of a size to keys and values of other ones.
    ///
    /// ```
    /// use wgrad::nn::MultiheadAttention;
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let attention = MultiheadAttention::with_dims(8, 2, 3, 5, &dev);
    /// let (q, k, v) = (Tensor::ones([4, 8], &dev), Tensor::ones([6, 3], &dev), Tensor::ones([6, 5], &dev));
    /// assert_eq!(attention.forward(&q, &k, &v, Default::default()).output.shape(), [4, 8]);
    /// ```
    ///
    /// # Panics
    /// As [`MultiheadAttention::new`].
    #[track_caller]
    pub fn with_dims(
        size: usize,
        num_heads: usize,
        kdim: usize,
        vdim: usize,
        place: impl Into<Options>,
    ) -> MultiheadAttention {
        if num_heads == 0 || !size.is_multiple_of(num_heads) {
            misuse("MultiheadAttention", format!("{num_heads} heads do not divide {size}"));
        }
        let place = place.into();
        let weight = |shape: [usize; 2]| {
            let w = parameter(Tensor::zeros(shape, place.clone()).copy());
            init::xavier_uniform_(&w, 1.0).expect("a new tensor can be changed");
            Some(w)
        };
        let alike = (kdim, vdim) == (size, size);
        let own = |inputs: usize| if alike { None } else { weight([size, inputs]) };
        let in_proj_weight = if alike { weight([3 * size, size]) } else { None };
        let [q_proj_weight, k_proj_weight, v_proj_weight] = [size, kdim, vdim].map(own);
        let mut out_proj = Linear::new(size, size, place.clone());
        out_proj.bias = Some(parameter(Tensor::zeros([size], place.clone()).copy()));
        MultiheadAttention {
            in_proj_weight,
            q_proj_weight,
            k_proj_weight,
            v_proj_weight,
            in_proj_bias: Some(parameter(Tensor::zeros([3 * size], place).copy())),
            out_proj,
            num_heads,
            dropout: 0.0,
            batch_first: false,
            training: Mode::default(),
            hooks: Hooks::default(),
        }
    }

    /// What the queries find among the values by the keys.
    #[track_caller]
    pub fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor, options: MultiheadAttentionOptions) -> Attended {
        let op = "MultiheadAttention";
        let size = self.out_proj.weight.size(0);
        let weights = self.weights(size);
        let of = [0, 1, 2].map(|i| weights[i].size(1));
        if [q, k, v].iter().zip(of).any(|(x, n)| x.rank() != q.rank() || !matches!(x.rank(), 2 | 3) || x.size(-1) != n)
        {
            let (q, k, v) = (q.shape(), k.shape(), v.shape());
            misuse(op, format!("queries {q:?}, keys {k:?} and values {v:?} do not fit vectors of {of:?}"));
        }
        let call = self.hooks.enter(&[q, k, v]);
        let batched = call.inputs[0].rank() == 3;
        // Inside, the batch is first.
        let inside = |x: &Tensor| match (batched, self.batch_first) {
            (false, _) => x.unsqueeze(0),
            (true, false) => x.transpose(0, 1),
            (true, true) => x.clone(),
        };
        let heads = |i: usize| {
            let b = self.in_proj_bias.as_ref().map(|b| b.narrow(0, i * size, size));
            let y = inside(&call.inputs[i]).linear(&weights[i], b.as_ref());
            y.unflatten(-1, [self.num_heads, size / self.num_heads]).transpose(1, 2)
        };
        let [q, k, v] = [0, 1, 2].map(heads);
        let dropout_p = if self.training.is_training() { self.dropout } else { 0.0 };
        let mask = self.mask(op, &options, &q, &k);
        let weights = options.need_weights.then(|| {
            let scale = 1.0 / (q.size(-1) as f64).sqrt();
            let scores = (&q * scale).matmul(&k.transpose(-1, -2));
            mask.as_ref().map_or(scores.clone(), |mask| scores + mask).softmax(-1)
        });
        let y = match &weights {
            // The weights that are given are those before dropout.
            Some(weights) => weights.dropout(dropout_p, true).matmul(&v),
            None => q.scaled_dot_product_attention(&k, &v, AttentionOptions { mask, dropout_p, ..Default::default() }),
        };
        let y = crate::nn::Layer::forward(&self.out_proj, &y.transpose(1, 2).flatten(-2, -1));
        let y = match (batched, self.batch_first) {
            (false, _) => y.squeeze(0),
            (true, false) => y.transpose(0, 1),
            (true, true) => y,
        };
        let weights = weights.map(|w| w.mean_dim(1, false)).map(|w| if batched { w } else { w.squeeze(0) });
        Attended { output: call.leave(y), weights }
    }

    /// The maps of queries, keys and values.
    #[track_caller]
    fn weights(&self, size: usize) -> [Tensor; 3] {
        let own = [&self.q_proj_weight, &self.k_proj_weight, &self.v_proj_weight];
        [0, 1, 2].map(|i| match (&self.in_proj_weight, own[i]) {
            (Some(w), _) => w.narrow(0, i * size, size),
            (None, Some(w)) => w.clone(),
            (None, None) => misuse("MultiheadAttention", "there is neither in_proj_weight nor one for each input"),
        })
    }

    /// All masks as numbers added to the scores `[batch, heads, queries, keys]`.
    #[track_caller]
    fn mask(&self, op: &str, options: &MultiheadAttentionOptions, q: &Tensor, k: &Tensor) -> Option<Tensor> {
        let (batch, queries, keys) = (q.size(0), q.size(-2), k.size(-2));
        let mut masks = Vec::new();
        if let Some(mask) = &options.attn_mask {
            let each = [batch * self.num_heads, queries, keys];
            match mask.shape() {
                shape if *shape == each[1..] => masks.push(added(mask, q.dtype())),
                shape if *shape == each => masks.push(added(mask, q.dtype()).unflatten(0, [batch, self.num_heads])),
                shape => misuse(op, format!("a mask of shape {shape:?} is neither {:?} nor {each:?}", &each[1..])),
            }
        }
        if let Some(mask) = &options.key_padding_mask {
            let mask = if mask.rank() == 1 { mask.unsqueeze(0) } else { mask.clone() };
            if *mask.shape() != [batch, keys] {
                misuse(op, format!("a mask of keys of shape {:?} instead of [{batch}, {keys}]", mask.shape()));
            }
            masks.push(added(&mask, q.dtype()).reshape([batch, 1, 1, keys]));
        }
        if options.is_causal {
            let seen = Tensor::ones([queries, keys], (&q.device(), DType::Bool)).tril(0);
            masks.push(added(&seen.logical_not(), q.dtype()));
        }
        masks.into_iter().reduce(|a, b| a + b)
    }
}
