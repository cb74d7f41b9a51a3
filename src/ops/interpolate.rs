//! InterpolateMode: the spatial dimensions resampled, one after the other, with taps and weights that the host computes.

use crate::error::misuse;
use crate::ops::resample::Taps;
use crate::ops::spatial::PerDim;
use crate::shape::Dims;
use crate::tensor::Tensor;
use std::sync::Arc;

/// How [`Tensor::interpolate`] finds the elements between elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterpolateMode {
    /// The element at the place rounded down: PyTorch's `nearest`.
    Nearest,
    /// The element whose middle is nearest: PyTorch's `nearest-exact`.
    NearestExact,
    /// A straight line between two neighbours, in one, two or three dimensions: `linear`, `bilinear`, `trilinear`.
    Linear,
    /// A cubic through four neighbours, in two dimensions: `bicubic`.
    Cubic,
    /// The mean of the elements that a result covers, as in adaptive pooling: `area`.
    Area,
}

/// The settings of [`Tensor::interpolate`]: a size or factors, and the mode.
#[derive(Clone, Debug, PartialEq)]
pub struct InterpolateOptions {
    /// The sizes of the result's spatial dimensions.
    pub size: Option<PerDim>,
    /// Instead of sizes: by how much each spatial dimension grows, or all of them if there is one number. Sizes are rounded
    /// down, and the steps from element to element are the factors' own.
    pub scale_factor: Option<Vec<f64>>,
    /// How elements between elements are found: [`InterpolateMode::Nearest`].
    pub mode: InterpolateMode,
    /// Whether the first and last elements lie at the ends of the result, and not around the middles of cells: no.
    pub align_corners: bool,
    /// Whether steps follow from the sizes although factors are given: no.
    pub recompute_scale_factor: bool,
    /// Whether a smaller result sees all elements that it covers, in the modes `Linear` and `Cubic` of two dimensions: no.
    pub antialias: bool,
}

impl Default for InterpolateOptions {
    fn default() -> InterpolateOptions {
        InterpolateOptions {
            size: None,
            scale_factor: None,
            mode: InterpolateMode::Nearest,
            align_corners: false,
            recompute_scale_factor: false,
            antialias: false,
        }
    }
}

impl Tensor {
    /// The spatial dimensions of `[batch, channels, sizes..]`, one to three of them, resampled to other sizes.
    /// Derivative: `g` carried back by the same weights.
    ///
    /// ```
    /// use wgrad::{Device, InterpolateOptions, InterpolateMode, Tensor};
    /// let x = Tensor::new([[[0.0, 4.0]]], &Device::cpu());
    /// let linear = InterpolateOptions { size: Some(4.into()), mode: InterpolateMode::Linear, ..Default::default() };
    /// assert_eq!(x.interpolate(linear).to_vec::<f32>()?, [0.0, 1.0, 3.0, 4.0]);
    /// let nearest = InterpolateOptions { scale_factor: Some(vec![2.0]), ..Default::default() };
    /// assert_eq!(x.interpolate(nearest).to_vec::<f32>()?, [0.0, 0.0, 4.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the rank does not fit the mode, a size is 0, both a size and factors are given or neither, or corners are to be
    /// aligned in a mode that has none.
    ///
    /// Source: [torch.nn.functional.interpolate](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html).
    #[track_caller]
    pub fn interpolate(&self, options: InterpolateOptions) -> Tensor {
        let op = "interpolate";
        self.expect_float(op);
        let dims = self.rank().saturating_sub(2);
        let mode = options.mode;
        if mode != InterpolateMode::Area
            && let Some(x) = self.widened(op)
        {
            return x.interpolate(options);
        }
        let fits = match mode {
            InterpolateMode::Cubic => dims == 2,
            _ => (1..=3).contains(&dims) && (!options.antialias || dims == 2),
        };
        if !fits || self.shape()[1..].contains(&0) {
            misuse(op, format!("{mode:?} does not resample {:?}", self.shape()));
        }
        let smooth = matches!(mode, InterpolateMode::Linear | InterpolateMode::Cubic);
        if (options.align_corners || options.antialias) && !smooth {
            misuse(op, format!("{mode:?} has neither corners to align nor aliases to avoid"));
        }
        let lens = &self.shape()[2..];
        let (sizes, factors) = match (&options.size, &options.scale_factor) {
            (Some(size), None) => (size.each(op, "size", dims, 1), None),
            (None, Some(given)) => {
                if given.len() != 1 && given.len() != dims || given.iter().any(|&f| f.is_nan() || f <= 0.0) {
                    misuse(op, format!("factors {given:?} for {:?}", self.shape()));
                }
                let factors: Vec<f64> = (0..dims).map(|d| given[d % given.len()]).collect();
                let sizes: Dims = lens.iter().zip(&factors).map(|(&n, f)| (n as f64 * f).floor() as usize).collect();
                if sizes.contains(&0) {
                    misuse(op, format!("factors {given:?} leave nothing of {:?}", self.shape()));
                }
                (sizes, (!options.recompute_scale_factor).then_some(factors))
            }
            _ => misuse(op, "wants either a size or a scale_factor"),
        };
        if mode == InterpolateMode::Area {
            return self.adaptive_avg_pool(op, dims, &PerDim::from(&sizes[..]));
        }
        let mut y = self.cast(self.dtype().compute());
        for d in 0..dims {
            let steps = Steps::of(lens[d], sizes[d], factors.as_ref().map(|f| f[d]), options.align_corners);
            let taps = match (mode, options.antialias) {
                (InterpolateMode::Linear, true) => steps.smoothed(2.0, |x| 1.0 - x),
                (InterpolateMode::Cubic, true) => steps.smoothed(4.0, |x| cubic(x, -0.5)),
                (InterpolateMode::Linear, false) => steps.linear(),
                (InterpolateMode::Cubic, false) => steps.cubic(),
                (InterpolateMode::NearestExact, _) => steps.nearest(0.5),
                _ => steps.nearest(0.0),
            };
            y = y.resampled(2 + d, &Arc::new(taps));
        }
        y.cast(self.dtype()).apart_from(self)
    }
}

/// The weight of an element at distance `x` under a cubic with the slope `a` at 1.
///
/// Source: Keys, "Cubic convolution interpolation for digital image processing" (1981).
pub(crate) fn cubic(x: f64, a: f64) -> f64 {
    match x.abs() {
        x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

/// How one dimension is walked through.
struct Steps {
    len: usize,
    out: usize,
    /// How far one result is from the next, in elements.
    step: f64,
    align_corners: bool,
}

impl Steps {
    fn of(len: usize, out: usize, factor: Option<f64>, align_corners: bool) -> Steps {
        let step = match factor {
            _ if align_corners && out > 1 => (len - 1) as f64 / (out - 1) as f64,
            _ if align_corners => 0.0,
            Some(factor) => 1.0 / factor,
            None => len as f64 / out as f64,
        };
        Steps { len, out, step, align_corners }
    }

    fn taps(&self, tap: impl Fn(usize) -> Vec<(usize, f64)>) -> Taps {
        Taps::of((0..self.out).map(tap).collect())
    }

    /// Where result `i` lies among the elements.
    fn place(&self, i: usize) -> f64 {
        if self.align_corners { i as f64 * self.step } else { (i as f64 + 0.5) * self.step - 0.5 }
    }

    fn nearest(&self, middle: f64) -> Taps {
        // In single precision, as PyTorch does it: a place that is whole there may lie just below in double precision.
        let place = |i: usize| ((i as f32 + middle as f32) * self.step as f32).floor() as usize;
        self.taps(|i| vec![(place(i).min(self.len - 1), 1.0)])
    }

    fn linear(&self) -> Taps {
        self.taps(|i| {
            if self.out == self.len {
                return vec![(i, 1.0)];
            }
            let place = self.place(i).max(0.0);
            let below = (place.floor() as usize).min(self.len - 1);
            let above = (below + 1).min(self.len - 1);
            let share = (place - below as f64).clamp(0.0, 1.0);
            vec![(below, 1.0 - share), (above, share)]
        })
    }

    fn cubic(&self) -> Taps {
        self.taps(|i| {
            let place = self.place(i);
            let below = place.floor();
            // Beyond the ends, the last element goes on.
            let tap = |k: isize| {
                let at = (below as isize + k).clamp(0, self.len as isize - 1);
                (at as usize, cubic(place - below - k as f64, -0.75))
            };
            (-1..3).map(tap).collect()
        })
    }

    /// All elements under a filter that is `width` results wide where the result is smaller.
    fn smoothed(&self, width: f64, filter: impl Fn(f64) -> f64) -> Taps {
        let wide = self.step.max(1.0);
        let reach = width / 2.0 * wide;
        self.taps(|i| {
            let centre = self.place(i) + 0.5;
            let begin = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(self.len);
            let weight = |k: usize| {
                let x = ((k as f64 + 0.5 - centre) / wide).abs();
                if x < width / 2.0 { filter(x) } else { 0.0 }
            };
            let total: f64 = (begin..end).map(weight).sum();
            (begin..end).map(|k| (k, weight(k) / total)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_every_result_add_up_to_one() {
        for (len, out) in [(5, 3), (3, 8), (4, 4), (1, 5), (9, 2)] {
            for align in [false, true] {
                let steps = Steps::of(len, out, None, align);
                let taps = [
                    steps.nearest(0.0),
                    steps.linear(),
                    steps.cubic(),
                    steps.smoothed(2.0, |x| 1.0 - x),
                    steps.smoothed(4.0, |x| cubic(x, -0.5)),
                ];
                assert!(taps.iter().all(Taps::is_average), "{len} to {out}");
            }
        }
    }
}
