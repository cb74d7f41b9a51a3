//! Samplers: which samples an epoch shows, and in which order.

use crate::error::misuse;
use crate::random::Stream;

/// The order in which an epoch shows the samples of a set. It follows from the number of the epoch alone, so that a run
/// that was stopped can go on where it was.
pub trait Sampler: Send + Sync {
    /// The places of the samples that an epoch shows of `n`, in order.
    fn indices(&self, n: usize, epoch: u64) -> Vec<usize>;
}

/// All samples, as they come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

/// All samples, in an order that is drawn anew for every epoch.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    /// The same seed gives the same orders.
    pub seed: u64,
}

/// As many samples as are asked for, drawn with the probabilities that the weights stand to each other in.
///
/// Source: [torch.utils.data.WeightedRandomSampler](https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.WeightedRandomSampler).
#[derive(Clone, Debug)]
pub struct Weighted {
    /// One weight per sample, none negative.
    pub weights: Vec<f64>,
    /// How many samples an epoch shows.
    pub samples: usize,
    /// Whether a sample may come more than once.
    pub replacement: bool,
    /// The same seed gives the same samples.
    pub seed: u64,
}

impl Sampler for Sequential {
    fn indices(&self, n: usize, _: u64) -> Vec<usize> {
        (0..n).collect()
    }
}

impl Sampler for Shuffle {
    fn indices(&self, n: usize, epoch: u64) -> Vec<usize> {
        permutation(n, Stream { seed: self.seed, stream: epoch })
    }
}

impl Sampler for Weighted {
    /// # Panics
    /// If there are not as many weights as samples, one is negative or no number, all are 0, or without replacement fewer
    /// are above 0 than are asked for.
    #[track_caller]
    fn indices(&self, n: usize, epoch: u64) -> Vec<usize> {
        let (weights, draw) = (&self.weights, Stream { seed: self.seed, stream: epoch });
        if weights.len() != n {
            misuse("Weighted", format!("{} weights for {n} samples", weights.len()));
        }
        if let Some(bad) = weights.iter().find(|w| !w.is_finite() || **w < 0.0) {
            misuse("Weighted", format!("a weight is {bad}"));
        }
        let possible = weights.iter().filter(|w| **w > 0.0).count();
        if self.samples > 0 && possible == 0 || !self.replacement && possible < self.samples {
            misuse("Weighted", format!("{} samples of {possible} whose weight is above 0", self.samples));
        }
        if !self.replacement {
            // The largest of u^(1/w) are a weighted sample: Efraimidis and Spirakis, "Weighted random sampling" (2006).
            let key = |i: usize| (1.0 - draw.uniform(i)).ln() / weights[i];
            let mut order: Vec<usize> = (0..n).filter(|&i| weights[i] > 0.0).collect();
            order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
            order.truncate(self.samples);
            return order;
        }
        let mut sums: Vec<f64> = weights.to_vec();
        for i in 1..n {
            sums[i] += sums[i - 1];
        }
        let total = sums.last().copied().unwrap_or(0.0);
        let pick = |i: usize| sums.partition_point(|&sum| sum <= draw.uniform(i) * total);
        (0..self.samples).map(pick).collect()
    }
}

/// The numbers below `n` in a random order (Fisher and Yates).
pub(super) fn permutation(n: usize, draw: Stream) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        // 32 random bits scaled to the range: the bias is below i / 2³².
        let j = (draw.bits(i) as u64 * (i as u64 + 1)) >> 32;
        order.swap(i, j as usize);
    }
    order
}
