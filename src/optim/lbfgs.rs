//! L-BFGS: steps by an estimate of the inverse Hessian, made of the last changes of parameters and gradient.

use crate::error::{Error, Kind, Result, misuse};
use crate::optim::optimizer::expect_parameter;
use crate::optim::range::expect_option;
use crate::state::{StateDict, as_in, below, number, read_number};
use crate::tensor::Tensor;
use crate::tensor::mode::no_grad;
use crate::tensor::profile::{self, EventKind};
use std::collections::VecDeque;

/// A quasi-Newton method for losses without noise. Its step asks for the loss several times, so it takes a closure; and it
/// reads numbers back to decide, so it waits for the device.
///
/// ```
/// use wgrad::{Device, Tensor, optim::Lbfgs};
/// let p = Tensor::new([-1.0, 2.0], &Device::cpu()).requires_grad_(true)?;
/// let mut lbfgs = Lbfgs::new([&p]);
/// lbfgs.strong_wolfe = true;
/// let mut loss = || {
///     p.zero_grad();
///     let (x, y) = (p.select(0, 0), p.select(0, 1));
///     let loss = (1.0 - &x).square() + (y - x.square()).square() * 100.0;
///     loss.backward()?;
///     Ok(loss)
/// };
/// for _ in 0..3 {
///     lbfgs.step(&mut loss)?;
/// }
/// assert!((p - 1.0).abs().amax(0, false).item()? < 1e-3);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: Nocedal and Wright, "Numerical optimization" (2006), algorithms 3.5, 3.6, 7.4 and 7.5;
/// [torch.optim.LBFGS](https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html).
pub struct Lbfgs {
    /// The length of a step, where none is searched for: 1.
    pub lr: f64,
    /// How many iterations a step makes at most: 20.
    pub max_iter: usize,
    /// How often a step asks for the loss at most: 25.
    pub max_eval: usize,
    /// A gradient without a larger element than this ends a step: 1e-7.
    pub tolerance_grad: f64,
    /// So does a smaller change of the loss or of all parameters: 1e-9.
    pub tolerance_change: f64,
    /// How many changes are kept: 100.
    pub history_size: usize,
    /// Whether the length of a step is searched for until it satisfies the strong Wolfe conditions: no.
    pub strong_wolfe: bool,
    parameters: Vec<Tensor>,
    history: VecDeque<Change>,
    last: Option<Last>,
}

/// A change of the parameters and that of the gradient.
struct Change {
    s: Tensor,
    y: Tensor,
}

/// The last iteration: where its gradient was taken, and the step from there.
struct Last {
    gradient: Tensor,
    step: Tensor,
}

/// The loss along a direction at a distance `t`.
#[derive(Clone)]
struct Point {
    t: f64,
    loss: f64,
    slope: f64,
    gradient: Tensor,
}

/// How much the loss must fall of what its slope promises, and how much of the slope may be left.
const SUFFICIENT: f64 = 1e-4;
const CURVATURE: f64 = 0.9;

/// What a state may hold, a name or how names begin. Of PyTorch's, what is no direction follows from those that are kept.
const KEPT: [&str; 12] = [
    "param_groups.0.",
    "state.0.H_diag",
    "state.0.al.",
    "state.0.d",
    "state.0.func_evals",
    "state.0.n_iter",
    "state.0.old_dirs.",
    "state.0.old_stps.",
    "state.0.prev_flat_grad",
    "state.0.prev_loss",
    "state.0.ro.",
    "state.0.t",
];

impl Lbfgs {
    /// PyTorch's defaults.
    ///
    /// # Panics
    /// If there are no parameters, one is no leaf of floats, or one is there twice.
    #[track_caller]
    pub fn new<'a>(parameters: impl IntoIterator<Item = &'a Tensor>) -> Lbfgs {
        let mut all: Vec<Tensor> = Vec::new();
        for p in parameters {
            expect_parameter("Lbfgs", p, all.iter());
            all.push(p.clone());
        }
        if all.is_empty() {
            misuse("Lbfgs", "the list of parameters is empty");
        }
        Lbfgs {
            lr: 1.0,
            max_iter: 20,
            max_eval: 25,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            strong_wolfe: false,
            parameters: all,
            history: VecDeque::new(),
            last: None,
        }
    }

    /// Forgets the gradients of all parameters.
    pub fn zero_grad(&self) {
        self.parameters.iter().for_each(Tensor::zero_grad);
    }

    /// Up to [`Lbfgs::max_iter`] iterations. The closure clears the gradients, computes the loss, runs backward and returns
    /// the loss; the result is its first value.
    ///
    /// # Errors
    /// As the closure, and if the device fails.
    ///
    /// # Panics
    /// If the learning rate is below 0 or NaN.
    #[track_caller]
    pub fn step(&mut self, mut closure: impl FnMut() -> Result<Tensor>) -> Result<f64> {
        let _stepping = profile::named(EventKind::Optimizer, || "Lbfgs.step".into());
        expect_option("Lbfgs", "lr", self.lr);
        let mut loss = closure()?.item()?;
        let (first, mut evaluations) = (loss, 1);
        let mut gradient = self.gradient();
        for iteration in 0..self.max_iter {
            if largest(&gradient)? <= self.tolerance_grad {
                break;
            }
            let is_first = self.last.is_none();
            let direction = self.direction(&gradient)?;
            let slope = gradient.dot(&direction).item()?;
            // A direction along which the loss hardly falls, or that is not a number, leads nowhere.
            if slope.is_nan() || slope > -self.tolerance_change {
                break;
            }
            let scale = if is_first { (1.0 / gradient.abs().sum().item()?).min(1.0) } else { 1.0 };
            let (before, mut t) = (loss, scale * self.lr);
            let start = Point { t: 0.0, loss, slope, gradient: gradient.clone() };
            if self.strong_wolfe {
                let origin: Vec<Tensor> = self.parameters.iter().map(|p| p.untracked().copy()).collect();
                let mut at = |t: f64| -> Result<Point> {
                    self.go(&direction, t, Some(&origin))?;
                    evaluations += 1;
                    let loss = closure()?.item()?;
                    let gradient = self.gradient();
                    Ok(Point { t, loss, slope: gradient.dot(&direction).item()?, gradient })
                };
                let found = search(&start, t, largest(&direction)?, self.tolerance_change, &mut at)?;
                self.go(&direction, found.t, Some(&origin))?;
                (t, loss, gradient) = (found.t, found.loss, found.gradient);
            } else {
                self.go(&direction, t, None)?;
            }
            let moved = &direction * t;
            self.last = Some(Last { gradient: start.gradient, step: moved.clone() });
            if iteration + 1 == self.max_iter {
                break;
            }
            if !self.strong_wolfe {
                loss = closure()?.item()?;
                gradient = self.gradient();
                evaluations += 1;
            }
            let still = largest(&moved)? <= self.tolerance_change || (loss - before).abs() < self.tolerance_change;
            if still || evaluations >= self.max_eval {
                break;
            }
        }
        Ok(first)
    }

    /// `-H g`, with the estimate `H` of the inverse Hessian that the changes so far give.
    fn direction(&mut self, gradient: &Tensor) -> Result<Tensor> {
        let _unrecorded = no_grad();
        let Some(last) = &self.last else { return Ok(gradient.neg()) };
        let (y, s) = (gradient - &last.gradient, last.step.clone());
        // Without curvature the estimate would not stay positive.
        if y.dot(&s).item()? > 1e-10 {
            self.history.push_back(Change { s, y });
            if self.history.len() > self.history_size {
                self.history.pop_front();
            }
        }
        let mut q = gradient.neg();
        let mut weights = Vec::new();
        for Change { s, y } in self.history.iter().rev() {
            let weight = s.dot(&q) / y.dot(s);
            q = &q - y * &weight;
            weights.push(weight);
        }
        if let Some(Change { s, y }) = self.history.back() {
            q = q * (y.dot(s) / y.dot(y));
        }
        for (Change { s, y }, weight) in self.history.iter().zip(weights.iter().rev()) {
            q = &q + s * (weight - y.dot(&q) / y.dot(s));
        }
        Ok(q)
    }

    /// The gradients of all parameters as one line; zeros where there is none.
    fn gradient(&self) -> Tensor {
        let gradient =
            |p: &Tensor| p.grad().map_or_else(|| p.untracked().zeros_like(), |g| g.untracked()).reshape(-1).copy();
        Tensor::cat(&self.parameters.iter().map(gradient).collect::<Vec<_>>(), 0)
    }

    /// Moves the parameters by `t` times a direction, from an origin or from where they are.
    fn go(&self, direction: &Tensor, t: f64, origin: Option<&[Tensor]>) -> Result<()> {
        let _unrecorded = no_grad();
        let mut begin = 0;
        for (i, p) in self.parameters.iter().enumerate() {
            let step = direction.narrow(0, begin, p.numel()).reshape(p.shape()) * t;
            let from = origin.map_or_else(|| p.untracked(), |origin| origin[i].clone());
            p.copy_(&(from + step))?;
            begin += p.numel();
        }
        Ok(())
    }

    /// The changes that are kept and the last iteration, under PyTorch's names: `state.0.old_stps.7`, `state.0.d`.
    pub fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        for (i, Change { s, y }) in self.history.iter().enumerate() {
            state.insert(format!("state.0.old_stps.{i}"), s.untracked());
            state.insert(format!("state.0.old_dirs.{i}"), y.untracked());
        }
        if let Some(Last { gradient, step }) = &self.last {
            state.insert("state.0.prev_flat_grad".into(), gradient.untracked());
            state.insert("state.0.d".into(), step.untracked());
            state.insert("state.0.t".into(), number(1.0));
        }
        state
    }

    /// Goes on from a state given by [`Lbfgs::state_dict`], or by PyTorch's L-BFGS, as [`load_pt`](crate::io::load_pt) reads
    /// it; its options stay fields of yours, and of more changes than [`Lbfgs::history_size`] the last ones are kept. Nothing is changed unless all of it fits.
    ///
    /// # Errors
    /// If an entry is missing, unknown, or of another length than all parameters together: the error names it.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let n: usize = self.parameters.iter().map(Tensor::numel).sum();
        let wrong = |what: String| Error::new(Kind::Data, format!("load_state_dict: {what}"));
        let is = |known: &&str, key: &str| key == *known || known.ends_with('.') && key.starts_with(known);
        if let Some(key) = state.keys().find(|key| !KEPT.iter().any(|known| is(known, key))) {
            return Err(wrong(format!("Lbfgs keeps no state {key}")));
        }
        let maximize = "param_groups.0.maximize";
        if state.contains_key(maximize) && read_number(state, maximize)? != 0.0 {
            return Err(wrong(format!("{maximize} is {}, and Lbfgs knows 0 alone", read_number(state, maximize)?)));
        }
        let entry = |key: String| match state.get(&key) {
            Some(entry) if *entry.shape() == [n] => Ok(as_in(entry, &self.parameters[0])?.copy()),
            _ => Err(wrong(format!("the state has no {key} of shape [{n}]"))),
        };
        let mut history = VecDeque::new();
        let changes = below(state, "state.0.old_stps.").count();
        for i in changes.saturating_sub(self.history_size)..changes {
            let (s, y) = (entry(format!("state.0.old_stps.{i}"))?, entry(format!("state.0.old_dirs.{i}"))?);
            history.push_back(Change { s, y });
        }
        let mut last = None;
        if state.contains_key("state.0.prev_flat_grad") {
            let (gradient, d) = (entry("state.0.prev_flat_grad".into())?, entry("state.0.d".into())?);
            last = Some(Last { gradient, step: d * read_number(state, "state.0.t")? });
        }
        (self.history, self.last) = (history, last);
        Ok(())
    }
}

fn largest(x: &Tensor) -> Result<f64> {
    x.abs().amax(0, false).item()
}

/// A distance from `start` that satisfies the strong Wolfe conditions, or the best one that was found. `size` is the largest
/// element of the direction.
fn search(
    start: &Point,
    first: f64,
    size: f64,
    tolerance: f64,
    at: &mut impl FnMut(f64) -> Result<Point>,
) -> Result<Point> {
    const MOST: usize = 25;
    let too_high = |p: &Point| p.loss.is_nan() || p.loss > start.loss + SUFFICIENT * p.t * start.slope;
    let is_flat = |p: &Point| p.slope.abs() <= -CURVATURE * start.slope;
    // Larger and larger distances, until a minimum lies between two.
    let (mut before, mut now) = (start.clone(), at(first)?);
    let mut tries = 1;
    let (mut low, mut high) = loop {
        if too_high(&now) || (tries > 1 && now.loss >= before.loss) {
            break (before, now);
        }
        if is_flat(&now) || tries == MOST {
            return Ok(now);
        }
        if now.slope >= 0.0 {
            break (now, before);
        }
        let next = cubic(&before, &now).clamp(now.t + 0.01 * (now.t - before.t), 10.0 * now.t);
        (before, now) = (now, at(next)?);
        tries += 1;
    };
    // Closer and closer to it: `low` is the best so far, and the loss falls from it towards `high`.
    while tries < MOST && (high.t - low.t).abs() * size >= tolerance {
        let (left, right) = (low.t.min(high.t), low.t.max(high.t));
        let margin = 0.1 * (right - left);
        let now = at(cubic(&low, &high).clamp(left + margin, right - margin))?;
        tries += 1;
        if too_high(&now) || now.loss >= low.loss {
            high = now;
            continue;
        }
        if is_flat(&now) {
            return Ok(now);
        }
        if now.slope * (high.t - low.t) >= 0.0 {
            high = low;
        }
        low = now;
    }
    Ok(low)
}

/// The minimum of the cubic that has the values and slopes of two points; their middle if it has none.
fn cubic(a: &Point, b: &Point) -> f64 {
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    let d2 = square.sqrt() * (b.t - a.t).signum();
    let minimum = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2));
    if square >= 0.0 && minimum.is_finite() { minimum } else { (a.t + b.t) / 2.0 }
}
