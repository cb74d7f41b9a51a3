//! Whether two devices agree on a program: by a bound that follows from its operations.
//!
//! Every step may differ by its own rounding, and whatever comes after carries that on. How far is found by trying: on the
//! CPU the program runs again with a random error of that size after every step, which also disturbs the way back. What
//! those runs change, with a margin, is what another device may change. Where no step rounds, bits must agree.

use super::build::Program;
use wgrad::random::Stream;
use wgrad::{DType, Device, Result, Tensor};

/// Values and gradients as numbers; a gradient that is not there is empty.
pub type Numbers = Vec<Vec<f64>>;

/// The program's results and the gradients of its leaves, computed on a device in one flush.
pub fn run(program: &Program, dev: &Device, noise: Option<Noise>) -> Result<Numbers> {
    let leaves: Vec<Tensor> = program.leaves.iter().map(|leaf| leaf.tensor(dev)).collect();
    let mut values = leaves.clone();
    for (i, (step, args)) in program.steps.iter().enumerate() {
        let x: Vec<&Tensor> = args.iter().map(|&i| &values[i]).collect();
        let y = step.apply(&x)?;
        values.push(match noise {
            Some(noise) => noise.disturb(y, i, program.errors[i]),
            None => y,
        });
    }
    let results: Vec<Tensor> = program.results.iter().map(|&i| values[i].clone()).collect();
    // Only results are held, so that the rest can be fused.
    drop(values);
    let parts = results.iter().filter(|y| y.requires_grad()).map(|y| (y * (y * 0.5 + 1.0)).sum().cast(DType::F32));
    if let Some(loss) = parts.reduce(|a, b| a + b) {
        loss.backward()?;
    }
    let mut numbers = Vec::new();
    for y in &results {
        numbers.push(y.to_data()?.to_f64());
    }
    for leaf in &leaves {
        numbers.push(leaf.grad().map_or(Ok(vec![]), |g| g.to_data().map(|g| g.to_f64()))?);
    }
    Ok(numbers)
}

/// Random errors: which ones, and how many times what a step may differ by.
#[derive(Clone, Copy)]
pub struct Noise {
    pub seed: u64,
    pub times: f64,
}

impl Noise {
    fn disturb(self, y: Tensor, step: usize, (relative, absolute): (f64, f64)) -> Tensor {
        if relative == 0.0 && absolute == 0.0 {
            return y;
        }
        let random = |k: u64, size: f64, middle: f64| {
            let s = Stream { seed: self.seed, stream: 2 * step as u64 + k };
            let x: Vec<f64> = (0..y.numel()).map(|i| middle + self.times * size * (2.0 * s.uniform(i) - 1.0)).collect();
            Tensor::from_slice(&x, y.shape(), (&y.device(), y.dtype()))
        };
        &y * random(0, relative, 1.0) + random(1, absolute, 0.0)
    }
}

/// What came of a comparison.
pub enum Verdict {
    Agree,
    /// A tiny change of an operand changes the result by much, as at the knee of `relu`: nothing follows.
    Unstable,
    Differ(String),
}

/// How far each number strays from the reference in some runs with noise.
fn strays(program: &Program, reference: &Numbers, seeds: std::ops::Range<u64>, times: f64) -> Numbers {
    let mut most: Numbers = reference.iter().map(|x| vec![0.0; x.len()]).collect();
    for seed in seeds {
        let noisy = run(program, &Device::cpu(), Some(Noise { seed, times })).unwrap();
        for ((most, noisy), reference) in most.iter_mut().zip(&noisy).zip(reference) {
            for ((most, noisy), reference) in most.iter_mut().zip(noisy).zip(reference) {
                // What may overflow, or become no number, may be anything.
                *most = most.max(distance(*noisy, *reference));
            }
        }
    }
    most
}

fn distance(a: f64, b: f64) -> f64 {
    match a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false if a.is_finite() && b.is_finite() => (a - b).abs(),
        false => f64::INFINITY,
    }
}

fn median(x: &[f64]) -> f64 {
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(x.len() / 2).copied().unwrap_or(0.0)
}

/// Where `got` lies outside of what `strays` allow: the result's number, the element, and its bound.
fn outside(program: &Program, reference: &Numbers, got: &Numbers, strays: &Numbers) -> Vec<(usize, usize, f64)> {
    let rounds = program.errors.iter().any(|&(relative, _)| relative > 0.0);
    // The way back rounds to narrow numbers where the way there did.
    let narrow = program.errors.iter().map(|&(relative, _)| relative).fold(0.0, f64::max);
    let mut outside = Vec::new();
    for (k, ((reference, got), strays)) in reference.iter().zip(got).zip(strays).enumerate() {
        let largest = reference.iter().filter(|x| x.is_finite()).fold(0.0, |a: f64, x| a.max(x.abs()));
        let is_gradient = k >= program.results.len();
        let least = match (is_gradient, rounds) {
            (false, _) => 0.0,
            (true, false) => 1e-6 * largest,
            (true, true) => (1e-6 + 4.0 * narrow) * largest,
        };
        let typical = 4.0 * median(strays);
        for i in 0..reference.len() {
            let bound = least + typical + 8.0 * strays[i];
            if distance(reference[i], got[i]) > bound {
                outside.push((k, i, bound));
            }
        }
    }
    outside
}

/// Compares a device's numbers with the CPU's.
pub fn judge(program: &Program, reference: &Numbers, got: &Numbers) -> Verdict {
    let lengths = |x: &Numbers| x.iter().map(Vec::len).collect::<Vec<_>>();
    if lengths(reference) != lengths(got) {
        return Verdict::Differ(format!("{:?} elements instead of {:?}", lengths(got), lengths(reference)));
    }
    if reference.iter().flatten().zip(got.iter().flatten()).all(|(a, b)| distance(*a, *b) == 0.0) {
        return Verdict::Agree;
    }
    if outside(program, reference, got, &strays(program, reference, 0..3, 1.0)).is_empty() {
        return Verdict::Agree;
    }
    // Three runs may have missed what is possible.
    let wrong = outside(program, reference, got, &strays(program, reference, 0..24, 1.0));
    let Some(&(k, i, bound)) = wrong.first() else { return Verdict::Agree };
    let far = strays(program, reference, 100..116, 30.0);
    if wrong.iter().all(|&(k, i, _)| far[k][i] > distance(reference[k][i], got[k][i]) / 4.0) {
        return Verdict::Unstable;
    }
    let what = match k.checked_sub(program.results.len()) {
        None => format!("result {k}"),
        Some(leaf) => format!("the gradient of x{leaf}"),
    };
    Verdict::Differ(format!(
        "{what}, element {i}: {} instead of {}, where {bound:e} is allowed ({} elements differ)",
        got[k][i],
        reference[k][i],
        wrong.len()
    ))
}
