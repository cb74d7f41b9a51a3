//! Connectionist temporal classification: how likely a sequence of labels is, whatever the steps each is spread over.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::loss::Reduction;
use crate::ops::ranges::iota;
use crate::tensor::Tensor;

/// The logarithm of what cannot happen. A finite one: differences of infinities are no numbers.
const NEVER: f64 = -1e30;

/// What [`Tensor::ctc_loss`] takes besides log-probabilities, targets and lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct CtcOptions {
    /// The class that stands for no label.
    pub blank: usize,
    /// How the losses are combined; the mean first divides each by the length of its target.
    pub reduction: Reduction,
    /// Whether a target that its input is too short for counts as 0 instead of ∞.
    pub zero_infinity: bool,
}

impl Tensor {
    /// `-ln Σ Π x`, the sum over all ways in which a target is read from its input: each step gives a label or the blank,
    /// equal neighbours are one label, and blanks are dropped. `x` holds log-probabilities `[time, n, classes]` or
    /// `[time, classes]`; targets are `[n, longest]`, or joined without gaps as `[total]`.
    ///
    /// Derivative: minus the probability of each class at each step, given the target; 0 for a target that is impossible.
    /// PyTorch adds `eˣ`, which makes no difference behind a `log_softmax`.
    ///
    /// ```
    /// use wgrad::{CtcOptions, Device, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::full([2, 1, 2], 0.5f32.ln(), &dev);
    /// let y = x.ctc_loss(&Tensor::new([[1]], &dev), &[2], &[1], CtcOptions::default());
    /// // Read from "1-", "-1" and "11" out of four.
    /// assert!((y.item()? + 0.75f64.ln()).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes or lengths do not fit, there are no steps, or the blank is no class.
    ///
    /// Source: Graves et al., "Connectionist temporal classification" (ICML 2006);
    /// [torch.nn.functional.ctc_loss](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.ctc_loss.html).
    #[track_caller]
    pub fn ctc_loss(
        &self,
        targets: &Tensor,
        input_lengths: &[usize],
        target_lengths: &[usize],
        options: CtcOptions,
    ) -> Tensor {
        let op = "ctc_loss";
        self.expect_float(op);
        if let Some(x) = self.widened(op) {
            return x.ctc_loss(targets, input_lengths, target_lengths, options);
        }
        self.expect_same_device(op, targets);
        let batched = self.rank() == 3;
        if !matches!(self.rank(), 2 | 3) || !matches!(targets.dtype(), DType::I32 | DType::U32) {
            misuse(
                op,
                format!(
                    "needs log-probabilities [time, n, classes] and integer targets, not {:?} and {}",
                    self.shape(),
                    targets.dtype()
                ),
            );
        }
        let x = if batched { self.wide() } else { self.wide().unsqueeze(1) };
        let (steps, n, classes) = (x.size(0), x.size(1), x.size(2));
        let total: usize = target_lengths.iter().sum();
        let longest = target_lengths.iter().copied().max().unwrap_or(0);
        let fits = steps > 0
            && options.blank < classes
            && input_lengths.len() == n
            && target_lengths.len() == n
            && input_lengths.iter().all(|&len| len <= steps)
            && match targets.rank() {
                1 => targets.numel() == total,
                2 => targets.size(0) == n && targets.size(1) >= longest,
                _ => false,
            };
        if !fits {
            misuse(
                op,
                format!(
                    "log-probabilities {:?}, targets {:?}, lengths {input_lengths:?} and {target_lengths:?}, and blank {} do not fit",
                    self.shape(),
                    targets.shape(),
                    options.blank
                ),
            );
        }
        let losses = Lattice { labels: labels(targets, target_lengths, longest, options.blank), blank: options.blank }
            .losses(&x.clamp(NEVER, f64::INFINITY), input_lengths, target_lengths);
        let impossible = if options.zero_infinity { 0.0 } else { f64::INFINITY };
        let losses = Tensor::where_(&losses.ge(-0.5 * NEVER), impossible, losses);
        let losses = if batched { losses } else { losses.reshape(()) };
        let losses = match options.reduction {
            Reduction::Mean => {
                let lengths: Vec<f64> = target_lengths.iter().map(|&len| len.max(1) as f64).collect();
                losses / Tensor::from_slice(&lengths, [n], (&self.device(), x.dtype()))
            }
            Reduction::Sum | Reduction::BatchMean | Reduction::None => losses,
        };
        options.reduction.of(&losses).cast(self.dtype())
    }
}

/// The targets with a blank before, between and after labels: `[n, 2 longest + 1]`.
#[track_caller]
fn labels(targets: &Tensor, lengths: &[usize], longest: usize, blank: usize) -> Tensor {
    let (n, device) = (lengths.len(), targets.device());
    let blanks = |size: usize| Tensor::full([n, size], blank as i32, &device);
    if longest == 0 {
        return blanks(1);
    }
    let mut at = Vec::with_capacity(n * longest);
    let mut start = 0;
    for (i, &len) in lengths.iter().enumerate() {
        let first = if targets.rank() == 2 { i * targets.size(1) } else { start };
        // Places beyond a target are read by nothing that counts.
        at.extend((0..longest).map(|j| if j < len { first + j } else { 0 }));
        start += len;
    }
    let flat = targets.cast(DType::I32).reshape(-1);
    let labels = flat.index_select(0, &Tensor::new(at, &device)).reshape([n, longest]);
    let pairs = Tensor::stack(&[blanks(longest), labels], 2).reshape([n, 2 * longest]);
    Tensor::cat(&[pairs, blanks(1)], 1)
}

/// The ways through a target: step by step, one stays, goes on by one place, or skips a blank between unequal labels.
struct Lattice {
    labels: Tensor,
    blank: usize,
}

impl Lattice {
    #[track_caller]
    fn losses(&self, x: &Tensor, input_lengths: &[usize], target_lengths: &[usize]) -> Tensor {
        let (steps, n, device) = (x.size(0), x.size(1), x.device());
        let places = self.labels.size(1);
        let never = |size: usize| Tensor::full([n, size], NEVER, (&device, x.dtype()));
        let column = |numbers: Vec<i32>| Tensor::from_slice(&numbers, [n, 1], &device);
        let emitted = x.gather(2, &self.labels.expand([steps, n, places]));
        // Two places to the left of the first there is no label.
        let left = Tensor::cat(&[Tensor::full([n, 2], -1, &device), self.labels.clone()], 1).narrow(1, 0, places);
        let skips = self.labels.ne(&left).logical_and(self.labels.ne(self.blank));

        let starts = iota(places, &device).lt(2);
        let mut ways = Tensor::where_(&starts, emitted.select(0, 0), NEVER);
        let lengths = column(input_lengths.iter().map(|&len| len as i32).collect());
        for t in 1..steps {
            let wide = Tensor::cat(&[never(2), ways.clone()], 1);
            let skipped = Tensor::where_(&skips, wide.narrow(1, 0, places), NEVER);
            let arriving = Tensor::stack(&[ways.clone(), wide.narrow(1, 1, places), skipped], 0);
            let next = arriving.logsumexp(0, false) + emitted.select(0, t as isize);
            // A shorter input stands still once it has ended.
            ways = if input_lengths.iter().all(|&len| len > t) {
                next
            } else {
                Tensor::where_(&lengths.gt(t), next, ways)
            };
        }
        // A target ends at its last label or at the blank behind it; an empty one at the only blank.
        let at =
            |back: usize| column(target_lengths.iter().map(|&len| (2 * len).saturating_sub(back) as i32).collect());
        let empty = column(target_lengths.iter().map(|&len| (len == 0) as i32).collect()).eq(1);
        let at_label = Tensor::where_(&empty, NEVER, ways.gather(1, &at(1)));
        let losses = -Tensor::cat(&[ways.gather(1, &at(0)), at_label], 1).logsumexp(1, false);
        // No step reads the empty target alone.
        let unread = lengths.eq(0).squeeze(1);
        Tensor::where_(&unread, Tensor::where_(&empty.squeeze(1), 0.0, -NEVER), losses)
    }
}
