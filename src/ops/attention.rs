//! Attention.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::ranges::iota;
use crate::shape::{Dims, broadcast};
use crate::tensor::Tensor;
use crate::tensor::autocast::{cast_here, no_autocast};

/// What [`Tensor::scaled_dot_product_attention`] takes besides queries, keys and values.
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    /// Which keys each query may see (bools), or what is added to the scores (floats); broadcast to
    /// `[…, queries, keys]`.
    pub mask: Option<Tensor>,
    /// The probability with which a weight is dropped; see [`Tensor::dropout`].
    pub dropout_p: f64,
    /// Whether query `i` sees keys `0..=i` alone.
    pub is_causal: bool,
    /// The factor of the scores; `1 / √size` by default.
    pub scale: Option<f64>,
    /// Whether keys and values may have fewer heads (dimension -3) than queries, each serving a group of them.
    pub enable_gqa: bool,
}

impl Tensor {
    /// `y = softmax(scale · q kᵀ + mask) v` for queries `[…, queries, size]`, keys `[…, keys, size]` and values
    /// `[…, keys, size of a value]`. A query that sees no key gives 0, and has gradient 0.
    ///
    /// ```
    /// use wgrad::{AttentionOptions, Device, Tensor};
    /// let dev = Device::cpu();
    /// let (q, v) = (Tensor::zeros([2, 4], &dev), Tensor::new([[1.0], [3.0]], &dev));
    /// let options = AttentionOptions { is_causal: true, ..Default::default() };
    /// let y = q.scaled_dot_product_attention(&q, &v, options);
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit, a mask is given to a causal attention, or the operands are not of one float type.
    ///
    /// Source: [torch.nn.functional.scaled_dot_product_attention](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html).
    #[track_caller]
    pub fn scaled_dot_product_attention(&self, k: &Tensor, v: &Tensor, options: AttentionOptions) -> Tensor {
        let op = "scaled_dot_product_attention";
        let [q, k, v] = &cast_here(|| [self, k, v].map(Tensor::factor));
        let _as_given = no_autocast();
        let shapes = || format!("queries {:?}, keys {:?}, values {:?}", q.shape(), k.shape(), v.shape());
        for x in [q, k, v] {
            x.expect_float(op);
            q.expect_same_device(op, x);
        }
        if q.dtype() != k.dtype() || q.dtype() != v.dtype() {
            misuse(op, format!("types differ: {}, {} and {}", q.dtype(), k.dtype(), v.dtype()));
        }
        let ranks = [q.rank(), k.rank(), v.rank()];
        if ranks.iter().any(|&rank| rank < 2) || options.enable_gqa && ranks.iter().any(|&rank| rank < 3) {
            misuse(op, format!("too few dimensions: {}", shapes()));
        }
        if q.size(-1) != k.size(-1) || k.size(-2) != v.size(-2) {
            misuse(op, format!("shapes do not fit: {}", shapes()));
        }
        // A group of queries that share a key is a batch dimension of its own.
        let mut group = 1;
        if options.enable_gqa {
            let heads = k.size(-3);
            if heads == 0 || !q.size(-3).is_multiple_of(heads) || v.size(-3) != heads {
                misuse(op, format!("heads of keys and values do not divide those of queries: {}", shapes()));
            }
            group = q.size(-3) / heads;
        }
        let batches = |x: &Tensor, heads: usize| {
            let mut batch = Dims::from_slice(&x.shape()[..x.rank() - 2]);
            if options.enable_gqa {
                *batch.last_mut().expect("there are heads") = heads;
            }
            batch
        };
        let heads = if options.enable_gqa { q.size(-3) } else { 0 };
        let batch = broadcast(&batches(q, heads), &batches(k, heads));
        let Some(batch) = batch.and_then(|batch| broadcast(&batch, &batches(v, heads))) else {
            misuse(op, format!("batches do not broadcast: {}", shapes()));
        };
        let (queries, keys) = (q.size(-2), k.size(-2));
        let seen = options.seen(op, q, &batch, queries, keys);

        let scale = options.scale.unwrap_or(1.0 / (q.size(-1) as f64).sqrt());
        let scores = (q.wide() * scale).grouped(group).matmul(&k.wide().shared(group).transpose(-1, -2));
        let scores = scores.ungrouped(group);
        let scores = match seen {
            Some(seen) if seen.dtype() == DType::Bool => Tensor::where_(&seen, scores, f64::NEG_INFINITY),
            Some(added) => scores + added.wide(),
            None => scores,
        };
        let weights = scores.masked_softmax().dropout(options.dropout_p, true);
        weights.grouped(group).matmul(&v.wide().shared(group)).ungrouped(group).cast(q.dtype())
    }

    /// `[…, heads, n, m]` as `[…, heads / group, group, n, m]`.
    #[track_caller]
    fn grouped(&self, group: usize) -> Tensor {
        if group == 1 {
            return self.clone();
        }
        let (shape, heads) = (self.shape(), self.rank() - 3);
        let split = [&shape[..heads], &[shape[heads] / group, group], &shape[heads + 1..]].concat();
        self.reshape(split)
    }

    /// `[…, heads, n, m]` as `[…, heads, 1, n, m]`: one for a whole group.
    #[track_caller]
    fn shared(&self, group: usize) -> Tensor {
        if group == 1 { self.clone() } else { self.unsqueeze(-3) }
    }

    /// [`Tensor::grouped`] undone.
    #[track_caller]
    fn ungrouped(&self, group: usize) -> Tensor {
        if group == 1 { self.clone() } else { self.flatten(-4, -3) }
    }
}

impl AttentionOptions {
    /// The mask, if there is one; it broadcasts to the scores.
    #[track_caller]
    fn seen(&self, op: &str, q: &Tensor, batch: &[usize], queries: usize, keys: usize) -> Option<Tensor> {
        let Some(mask) = &self.mask else {
            let device = q.device();
            return self.is_causal.then(|| {
                let place = |n: usize| iota(n, &device);
                place(queries).unsqueeze(-1).ge(place(keys))
            });
        };
        if self.is_causal {
            misuse(op, "a causal attention takes no other mask");
        }
        q.expect_same_device(op, mask);
        let scores = [batch, &[queries, keys]].concat();
        if broadcast(&scores, mask.shape()).as_deref() != Some(&scores[..]) {
            misuse(op, format!("the mask {:?} does not broadcast to the scores {scores:?}", mask.shape()));
        }
        if mask.dtype() != DType::Bool && !mask.dtype().is_float() {
            misuse(op, format!("the mask must hold bools or floats, not {}", mask.dtype()));
        }
        Some(mask.clone())
    }
}
