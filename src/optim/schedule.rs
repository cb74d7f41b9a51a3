//! Learning rates over time, as data: each schedule is one row of the match in [`Schedule::at`].

use std::f64::consts::PI;
use std::sync::Arc;

/// A learning rate as a function of the step `t`, from 0, and of the rate that the optimizer began with.
///
/// ```
/// use wgrad::optim::Schedule;
/// let warm = Schedule::Cosine { t_max: 90, eta_min: 0.0 }.after_warmup(10);
/// assert_eq!(warm.at(0, 1.0).0, 0.1);
/// assert_eq!(warm.at(10, 1.0).0, 1.0);
/// assert!(warm.at(100, 1.0).0 < 1e-9);
/// ```
///
/// Source: [torch.optim.lr_scheduler](https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate).
#[derive(Clone)]
pub enum Schedule {
    /// Multiplied by `gamma` every `step_size` steps.
    Step {
        /// How many steps a rate lasts.
        step_size: usize,
        /// The factor.
        gamma: f64,
    },
    /// Multiplied by `gamma` at each milestone.
    MultiStep {
        /// The steps at which the rate falls.
        milestones: Vec<usize>,
        /// The factor.
        gamma: f64,
    },
    /// Multiplied by `gamma` every step.
    Exponential {
        /// The factor.
        gamma: f64,
    },
    /// Multiplied by `factor` in the first `total_iters` steps.
    Constant {
        /// The factor.
        factor: f64,
        /// For how many steps.
        total_iters: usize,
    },
    /// The factor goes from one number to another in a straight line, and stays there.
    Linear {
        /// The first factor.
        start_factor: f64,
        /// The last factor.
        end_factor: f64,
        /// The step at which it is reached.
        total_iters: usize,
    },
    /// `(1 - t / total_iters)^power`, then 0.
    Polynomial {
        /// The step at which the rate is 0.
        total_iters: usize,
        /// The power.
        power: f64,
    },
    /// `η + (lr - η) (1 + cos(π t / t_max)) / 2`, which rises again after `t_max`.
    Cosine {
        /// Half a period.
        t_max: usize,
        /// `η`, the least rate.
        eta_min: f64,
    },
    /// The first half period of the cosine over and over, each `t_mult` times as long as the one before.
    CosineWarmRestarts {
        /// The length of the first one.
        t_0: usize,
        /// The factor of lengths.
        t_mult: usize,
        /// The least rate.
        eta_min: f64,
    },
    /// Up to `max_lr` and down to nearly nothing, once; momentum goes the other way.
    OneCycle {
        /// The largest rate.
        max_lr: f64,
        /// The length of the whole.
        total_steps: usize,
        /// The part of it in which the rate rises: PyTorch's 0.3.
        pct_start: f64,
        /// The way from one rate to the next.
        anneal: Anneal,
        /// The largest rate over the first one: 25.
        div_factor: f64,
        /// The first rate over the last one: 1e4.
        final_div_factor: f64,
        /// Whether the way down goes first to the first rate, as long as the way up.
        three_phase: bool,
        /// The momentum at the largest rate and at the others, if it changes: `(0.85, 0.95)`.
        momentum: Option<(f64, f64)>,
    },
    /// Up and down between two rates; momentum goes the other way.
    Cyclic {
        /// The least rate.
        base_lr: f64,
        /// The largest rate.
        max_lr: f64,
        /// The steps up.
        step_size_up: usize,
        /// The steps down.
        step_size_down: usize,
        /// How the height of the cycles changes.
        mode: Cycle,
        /// The momentum at the largest rate and at the least, if it changes.
        momentum: Option<(f64, f64)>,
    },
    /// Multiplied by a function of the step.
    Lambda(Arc<dyn Fn(usize) -> f64 + Send + Sync>),
    /// One schedule after another, each from its own beginning.
    Sequential {
        /// The schedules.
        parts: Vec<Schedule>,
        /// The steps at which all but the first of them begin.
        milestones: Vec<usize>,
    },
    /// Each schedule applied to the rate of the one before: factors multiply.
    Chained(Vec<Schedule>),
}

/// The way from one number to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anneal {
    /// Half a period of the cosine.
    Cosine,
    /// A straight line.
    Linear,
}

/// How the height of the cycles of [`Schedule::Cyclic`] changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cycle {
    /// Not at all.
    Triangular,
    /// Halved every cycle.
    Triangular2,
    /// Multiplied by a number every step.
    ExpRange(f64),
}

impl Anneal {
    fn between(self, from: f64, to: f64, part: f64) -> f64 {
        match self {
            Anneal::Cosine => to + (from - to) / 2.0 * (1.0 + (PI * part).cos()),
            Anneal::Linear => from + (to - from) * part,
        }
    }
}

impl Schedule {
    /// A factor by a function of the step.
    pub fn lambda(f: impl Fn(usize) -> f64 + Send + Sync + 'static) -> Schedule {
        Schedule::Lambda(Arc::new(f))
    }

    /// This schedule, begun `steps` later; before that the rate rises in a straight line, `(t + 1) / steps`.
    pub fn after_warmup(self, steps: usize) -> Schedule {
        let total_iters = steps.saturating_sub(1);
        let rise = Schedule::Linear { start_factor: 1.0 / steps.max(1) as f64, end_factor: 1.0, total_iters };
        rise.then(steps, self)
    }

    /// This schedule, and another one from a step on.
    pub fn then(self, milestone: usize, next: Schedule) -> Schedule {
        match self {
            Schedule::Sequential { mut parts, mut milestones } => {
                parts.push(next);
                milestones.push(milestone);
                Schedule::Sequential { parts, milestones }
            }
            first => Schedule::Sequential { parts: vec![first, next], milestones: vec![milestone] },
        }
    }

    /// The learning rate of step `t`, from 0, for an optimizer that began with `lr`, and the momentum if that changes.
    pub fn at(&self, t: usize, lr: f64) -> (f64, Option<f64>) {
        let n = t as f64;
        let rate = match self {
            Schedule::Step { step_size, gamma } => lr * gamma.powi((t / step_size) as i32),
            Schedule::MultiStep { milestones, gamma } => {
                lr * gamma.powi(milestones.iter().filter(|&&milestone| milestone <= t).count() as i32)
            }
            Schedule::Exponential { gamma } => lr * gamma.powf(n),
            Schedule::Constant { factor, total_iters } => lr * if t < *total_iters { *factor } else { 1.0 },
            Schedule::Linear { start_factor, end_factor, total_iters } => {
                let part = if t < *total_iters { n / *total_iters as f64 } else { 1.0 };
                lr * (start_factor + (end_factor - start_factor) * part)
            }
            Schedule::Polynomial { total_iters, power } => {
                let part = if t < *total_iters { n / *total_iters as f64 } else { 1.0 };
                lr * (1.0 - part).powf(*power)
            }
            Schedule::Cosine { t_max, eta_min } => Anneal::Cosine.between(lr, *eta_min, n / *t_max as f64),
            Schedule::CosineWarmRestarts { t_0, t_mult, eta_min } => {
                let (mut begun, mut length) = (0, *t_0);
                while t >= begun + length {
                    (begun, length) = (begun + length, length * t_mult);
                }
                Anneal::Cosine.between(lr, *eta_min, (t - begun) as f64 / length as f64)
            }
            Schedule::OneCycle {
                max_lr,
                total_steps,
                pct_start,
                anneal,
                div_factor,
                final_div_factor,
                three_phase,
                momentum,
            } => {
                let (total, first) = (*total_steps as f64, max_lr / div_factor);
                let last = first / final_div_factor;
                let (low, high) = momentum.unwrap_or_default();
                // Where each phase ends, its rates, and its momenta.
                let top = (pct_start * total - 1.0, [first, *max_lr], [high, low]);
                let phases = match three_phase {
                    false => vec![top, (total - 1.0, [*max_lr, last], [low, high])],
                    true => vec![
                        top,
                        (2.0 * pct_start * total - 2.0, [*max_lr, first], [low, high]),
                        (total - 1.0, [first, last], [high, high]),
                    ],
                };
                let at = phases.iter().position(|(end, ..)| n <= *end).unwrap_or(phases.len() - 1);
                let begun = if at == 0 { 0.0 } else { phases[at - 1].0 };
                let (end, [a, b], [c, d]) = phases[at];
                let part = ((n - begun) / (end - begun)).min(1.0);
                return (anneal.between(a, b, part), momentum.map(|_| anneal.between(c, d, part)));
            }
            Schedule::Cyclic { base_lr, max_lr, step_size_up, step_size_down, mode, momentum } => {
                let length = step_size_up + step_size_down;
                let (cycle, place) = (t / length, t % length);
                let height = if place <= *step_size_up {
                    place as f64 / *step_size_up as f64
                } else {
                    (length - place) as f64 / *step_size_down as f64
                };
                let height = height
                    * match mode {
                        Cycle::Triangular => 1.0,
                        Cycle::Triangular2 => 0.5f64.powi(cycle as i32),
                        Cycle::ExpRange(gamma) => gamma.powf(n),
                    };
                let momentum = momentum.map(|(low, high)| high - (high - low) * height);
                return (base_lr + (max_lr - base_lr) * height, momentum);
            }
            Schedule::Lambda(f) => lr * f(t),
            Schedule::Sequential { parts, milestones } => {
                let at = milestones.iter().filter(|&&milestone| milestone <= t).count().min(parts.len() - 1);
                return parts[at].at(t - if at == 0 { 0 } else { milestones[at - 1] }, lr);
            }
            Schedule::Chained(parts) => {
                return parts.iter().fold((lr, None), |(lr, momentum), part| {
                    let (lr, next) = part.at(t, lr);
                    (lr, next.or(momentum))
                });
            }
        };
        (rate, None)
    }
}
