//! Derivatives against difference quotients: whether the gradients of a function are those of its values.

mod runs;

use crate::autograd::{GradOptions, grad};
use crate::error::{Error, Kind, Result};
use crate::func::{Outcome, Tree, jvp};
use crate::random::Stream;
use crate::tensor::Tensor;
use std::ops::Range;

/// What [`gradcheck`] and [`gradgradcheck`] may be told. The defaults are PyTorch's, which are for `F64`, except that
/// `fast_mode` is on.
#[derive(Clone, Debug)]
pub struct GradcheckOptions {
    /// How far an element is moved to either side: 1e-6.
    pub eps: f64,
    /// How far apart two derivatives may be, …: 1e-5.
    pub atol: f64,
    /// … and how much further, relative to the one from differences: 1e-3.
    pub rtol: f64,
    /// Compare `vᵀJu` for fixed random `u` and `v`, which takes two evaluations per input and one backward per output
    /// whatever the sizes, instead of the Jacobian `J` element by element.
    pub fast_mode: bool,
    /// Compare tangents as well, which forward mode gives; in [`gradgradcheck`] those of the gradients.
    pub check_forward_ad: bool,
    /// Compare the gradients that [`GradOptions::is_grads_batched`] gives with those of one vector after the other.
    pub check_batched_grad: bool,
    /// How far apart two runs of `f`, or of its backward, may be: 0.
    pub nondet_tol: f64,
}

impl Default for GradcheckOptions {
    fn default() -> GradcheckOptions {
        GradcheckOptions {
            eps: 1e-6,
            atol: 1e-5,
            rtol: 1e-3,
            fast_mode: true,
            check_forward_ad: false,
            check_batched_grad: false,
            nondet_tol: 0.0,
        }
    }
}

/// Compares the gradients of `f`, which backward gives, with `(f(x + ε) - f(x - ε)) / 2ε` at the inputs that require grad.
/// `f` gives a structure of tensors, or a `Result` of one, and must give the same every time. The inputs should be `F64`: differences of `F32` have few digits, so that the
/// default tolerances are not met.
///
/// ```
/// use wgrad::autograd::{GradcheckOptions, gradcheck};
/// use wgrad::{DType, Device, Tensor};
/// let x = Tensor::new([0.5, -1.3], (&Device::cpu(), DType::F64)).requires_grad_(true)?;
/// gradcheck(|x| x[0].sin() * &x[0], &[&x], GradcheckOptions::default())?;
/// // What is cut off by `detach` changes the values, but has no gradient.
/// let error = gradcheck(|x| x[0].detach() * &x[0], &[&x], GradcheckOptions::default()).unwrap_err();
/// assert!(error.to_string().contains("output 0 with respect to input 0"));
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If a derivative differs, with the input, the element and both numbers (`is_mismatch`), if `f` or its backward is not
/// deterministic, if no input requires grad, or if `f` or backward fails.
///
/// Source: [torch.autograd.gradcheck](https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html).
#[track_caller]
pub fn gradcheck<R: Outcome>(f: impl Fn(&[Tensor]) -> R, inputs: &[&Tensor], options: GradcheckOptions) -> Result<()> {
    Check::new("gradcheck", &|x| Ok(f(x).outcome()?.tensors()), inputs, options)?.run()
}

/// [`gradcheck`] of the gradients of `f`, as functions of the inputs and of the gradients of the results: second
/// derivatives.
///
/// ```
/// use wgrad::autograd::{GradcheckOptions, gradgradcheck};
/// use wgrad::{DType, Device, Tensor};
/// let x = Tensor::new([0.5, -1.3], (&Device::cpu(), DType::F64)).requires_grad_(true)?;
/// gradgradcheck(|x| x[0].sin() * &x[0], &[&x], GradcheckOptions::default())?;
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// As [`gradcheck`]; inputs beyond those given are the gradients of the results.
///
/// Source: [torch.autograd.gradgradcheck](https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradgradcheck.html).
#[track_caller]
pub fn gradgradcheck<R: Outcome>(
    f: impl Fn(&[Tensor]) -> R,
    inputs: &[&Tensor],
    options: GradcheckOptions,
) -> Result<()> {
    let values = |x: &[Tensor]| Ok(f(x).outcome()?.tensors());
    let first = Check::new("gradgradcheck", &values, inputs, options.clone())?;
    let mut all = first.inputs.clone();
    for &output in &first.outputs {
        let y = &first.results[output];
        let v = Tensor::from_slice(&direction(y.numel(), 300 + output), y.shape(), (&y.device(), y.dtype()));
        all.push(v.requires_grad_(true)?);
    }
    let gradients = |x: &[Tensor]| {
        let (x, v) = x.split_at(inputs.len());
        let y = values(x)?;
        let outputs: Vec<&Tensor> = first.outputs.iter().map(|&output| &y[output]).collect();
        if !outputs.iter().any(|y| y.requires_grad()) {
            return Ok(Vec::new());
        }
        let inputs: Vec<&Tensor> = first.wanted.iter().map(|&input| &x[input]).collect();
        let grad_outputs = v.iter().cloned().map(Some).collect();
        let options = GradOptions { grad_outputs, create_graph: true, allow_unused: Some(true), ..Default::default() };
        Ok(grad(&outputs, &inputs, options)?.into_iter().flatten().collect())
    };
    Check::new("gradgradcheck", &gradients, &all.iter().collect::<Vec<_>>(), options)?.run()
}

type Function<'a> = &'a dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>;

/// A function at a point.
struct Check<'a> {
    op: &'static str,
    f: Function<'a>,
    options: GradcheckOptions,
    /// The inputs as leaves of their own.
    inputs: Vec<Tensor>,
    /// Those that require grad.
    wanted: Vec<usize>,
    results: Vec<Tensor>,
    /// The results that have gradients; if none has, all floats: they must not change then.
    outputs: Vec<usize>,
}

impl<'a> Check<'a> {
    fn new(op: &'static str, f: Function<'a>, given: &[&Tensor], options: GradcheckOptions) -> Result<Check<'a>> {
        let mut inputs = Vec::with_capacity(given.len());
        for x in given {
            inputs.push(x.untracked().copy().requires_grad_(x.requires_grad())?);
        }
        let wanted: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i].requires_grad()).collect();
        if wanted.is_empty() {
            let shapes: Vec<_> = inputs.iter().map(Tensor::shape).collect();
            return Err(Error::new(Kind::Graph, format!("{op}: no input requires grad, of shapes {shapes:?}")));
        }
        let results = f(&inputs)?;
        let which = |of: fn(&Tensor) -> bool| (0..results.len()).filter(|&j| of(&results[j])).collect::<Vec<_>>();
        let tracked = which(Tensor::requires_grad);
        let outputs = if tracked.is_empty() { which(|y| y.dtype().is_float()) } else { tracked };
        Ok(Check { op, f, options, inputs, wanted, results, outputs })
    }

    fn run(&self) -> Result<()> {
        self.is_deterministic()?;
        if self.options.fast_mode {
            self.projected()?
        } else {
            self.element_by_element()?
        }
        if self.options.check_forward_ad {
            self.forward()?;
        }
        if self.options.check_batched_grad { self.batched() } else { Ok(()) }
    }

    /// Compares `Ju`, which forward mode gives: for one random `u`, or for every element of an input.
    fn forward(&self) -> Result<()> {
        for &input in &self.wanted {
            let ones = vec![1.0; self.inputs[input].numel()];
            let directions = match self.options.fast_mode {
                true => vec![self.along(input)],
                false => (0..ones.len()).map(|e| masked(&ones, e..e + 1)).collect(),
            };
            for u in directions {
                let (tangents, quotients) = (self.tangents(input, &u)?, self.quotient(input, &u)?);
                for (nr, &output) in self.outputs.iter().enumerate() {
                    let pairs = tangents[nr].iter().zip(&quotients[nr]);
                    let wrongs: Vec<_> =
                        pairs.map(|(&analytic, &differences)| Wrong { analytic, differences }).collect();
                    let worst = (0..wrongs.len()).max_by(|&a, &b| wrongs[a].by().total_cmp(&wrongs[b].by()));
                    let Some(k) = worst.filter(|&k| !self.close(&wrongs[k])) else { continue };
                    let along = |u: &[f64]| {
                        let (analytic, differences) =
                            (self.tangents(input, u)?[nr][k], self.quotient(input, u)?[nr][k]);
                        Ok(Wrong { analytic, differences })
                    };
                    let e = largest(u.len(), |part| along(&masked(&u, part)))?;
                    let wrong = along(&masked(&ones, e..e + 1))?;
                    return Err(self.account("forward mode", input, output, [e, k], wrong));
                }
            }
        }
        Ok(())
    }

    /// Compares `vᵀJu` for every pair of an input and an output.
    fn projected(&self) -> Result<()> {
        let mut quotients = Vec::new();
        for &input in &self.wanted {
            quotients.push(self.quotient(input, &self.along(input))?);
        }
        for (&output, nr) in self.outputs.iter().zip(0..) {
            let v = direction(self.results[output].numel(), 200 + output);
            let gradients = self.gradients(output, &v)?;
            for ((&input, g), quotients) in self.wanted.iter().zip(&gradients).zip(&quotients) {
                let u = self.along(input);
                let wrong = Wrong { analytic: dot(g, &u), differences: dot(&quotients[nr], &v) };
                if !self.close(&wrong) {
                    return Err(self.located(input, (output, nr), &u, &v)?);
                }
            }
        }
        Ok(())
    }

    /// Compares all elements of the Jacobians.
    fn element_by_element(&self) -> Result<()> {
        for &input in &self.wanted {
            let n = self.inputs[input].numel();
            let columns: Vec<_> =
                (0..n).map(|e| self.quotient(input, &masked(&vec![1.0; n], e..e + 1))).collect::<Result<_>>()?;
            let place = self.wanted.iter().position(|&i| i == input).expect("it is among the wanted ones");
            for (&output, nr) in self.outputs.iter().zip(0..) {
                let m = self.results[output].numel();
                let mut worst: Option<(f64, [usize; 2], Wrong)> = None;
                for k in 0..m {
                    let g = self.gradients(output, &masked(&vec![1.0; m], k..k + 1))?.swap_remove(place);
                    for (e, column) in columns.iter().enumerate() {
                        let wrong = Wrong { analytic: g[e], differences: column[nr][k] };
                        let by = wrong.by();
                        if !self.close(&wrong) && worst.as_ref().is_none_or(|(most, ..)| by > *most) {
                            worst = Some((by, [e, k], wrong));
                        }
                    }
                }
                if let Some((_, elements, wrong)) = worst {
                    return Err(self.account("backward", input, output, elements, wrong));
                }
            }
        }
        Ok(())
    }

    /// An account of the element that makes a projection wrong: the half with the larger error is halved again.
    fn located(&self, input: usize, (output, nr): (usize, usize), u: &[f64], v: &[f64]) -> Result<Error> {
        let place = self.wanted.iter().position(|&i| i == input).expect("it is among the wanted ones");
        let g = self.gradients(output, v)?.swap_remove(place);
        let element = largest(u.len(), |part| {
            let u = masked(u, part);
            Ok(Wrong { analytic: dot(&g, &u), differences: dot(&self.quotient(input, &u)?[nr], v) })
        })?;
        let column = self.quotient(input, &masked(&vec![1.0; u.len()], element..element + 1))?.swap_remove(nr);
        let entry = |v: &[f64]| {
            let analytic = self.gradients(output, v)?[place][element];
            Ok(Wrong { analytic, differences: dot(&column, v) })
        };
        let k = largest(v.len(), |part| entry(&masked(v, part)))?;
        let wrong = entry(&masked(&vec![1.0; v.len()], k..k + 1))?;
        Ok(self.account("backward", input, output, [element, k], wrong))
    }

    fn account(&self, mode: &str, input: usize, output: usize, [e, k]: [usize; 2], wrong: Wrong) -> Error {
        let (x, y) = (&self.inputs[input], &self.results[output]);
        let GradcheckOptions { atol, rtol, .. } = self.options;
        let precision = match x.dtype().size() {
            8 => String::new(),
            _ => format!("; the input is {}, whose differences have few digits: F64 inputs have more", x.dtype()),
        };
        let Wrong { analytic, differences } = wrong;
        Error::new(
            Kind::Mismatch,
            format!(
                "{}: the derivative of output {output} with respect to input {input} is wrong, most at element {:?} of the output, of shape {:?}, and element {:?} of the input, of shape {:?}: {mode} gives {analytic}, differences give {differences} (atol {atol}, rtol {rtol}){precision}",
                self.op,
                coordinates(y.shape(), k),
                y.shape(),
                coordinates(x.shape(), e),
                x.shape(),
            ),
        )
    }

    fn close(&self, wrong: &Wrong) -> bool {
        wrong.by() <= self.options.atol + self.options.rtol * wrong.differences.abs()
    }

    fn along(&self, input: usize) -> Vec<f64> {
        direction(self.inputs[input].numel(), 100 + input)
    }

    /// The difference quotients of all outputs along a direction of one input.
    fn quotient(&self, input: usize, u: &[f64]) -> Result<Vec<Vec<f64>>> {
        let x = &self.inputs[input];
        let values = x.to_vec::<f64>()?;
        let at = |t: f64| -> Result<Vec<Vec<f64>>> {
            let moved: Vec<f64> = values.iter().zip(u).map(|(x, u)| x + t * u).collect();
            let mut inputs = self.inputs.clone();
            inputs[input] = Tensor::from_slice(&moved, x.shape(), (&x.device(), x.dtype())).requires_grad_(true)?;
            let results = (self.f)(&inputs)?;
            self.outputs.iter().map(|&output| results[output].to_vec()).collect()
        };
        let eps = self.options.eps;
        let (after, before) = (at(eps)?, at(-eps)?);
        let slope = |(a, b): (&f64, &f64)| (a - b) / (2.0 * eps);
        Ok(after.iter().zip(&before).map(|(a, b)| a.iter().zip(b).map(slope).collect()).collect())
    }

    /// The tangents of all outputs for a tangent of one input.
    fn tangents(&self, input: usize, u: &[f64]) -> Result<Vec<Vec<f64>>> {
        let x = &self.inputs[input];
        let f = |x: &Tensor| {
            let mut inputs = self.inputs.clone();
            inputs[input] = x.clone();
            let results = (self.f)(&inputs)?;
            Ok(self.outputs.iter().map(|&output| results[output].clone()).collect::<Vec<_>>())
        };
        let (_, tangents) = jvp(f, x, &Tensor::from_slice(u, x.shape(), (&x.device(), x.dtype())))?;
        tangents.iter().map(Tensor::to_vec).collect()
    }

    /// The gradients of `⟨v, output⟩` with respect to the inputs that require grad: 0 where there is none.
    fn gradients(&self, output: usize, v: &[f64]) -> Result<Vec<Vec<f64>>> {
        let y = &self.results[output];
        if !y.requires_grad() {
            return Ok(self.wanted.iter().map(|&input| vec![0.0; self.inputs[input].numel()]).collect());
        }
        let v = Tensor::from_slice(v, y.shape(), (&y.device(), y.dtype()));
        let inputs: Vec<&Tensor> = self.wanted.iter().map(|&input| &self.inputs[input]).collect();
        let options = GradOptions {
            grad_outputs: vec![Some(v)],
            retain_graph: Some(true),
            materialize_grads: true,
            ..Default::default()
        };
        grad(&[y], &inputs, options)?.iter().flatten().map(Tensor::to_vec).collect()
    }
}

/// Two accounts of one derivative.
struct Wrong {
    analytic: f64,
    differences: f64,
}

impl Wrong {
    /// How far they are apart; infinitely far if one is no number.
    fn by(&self) -> f64 {
        let by = (self.analytic - self.differences).abs();
        if by.is_nan() { f64::INFINITY } else { by }
    }
}

/// A fixed direction in which no element has a small part.
fn direction(n: usize, stream: usize) -> Vec<f64> {
    let random = Stream { seed: 0, stream: stream as u64 };
    let part = |i| {
        let t = 2.0 * random.uniform(i) - 1.0;
        t + 0.5f64.copysign(t)
    };
    (0..n).map(part).collect()
}

/// A vector with zeros outside of a part.
fn masked(x: &[f64], part: Range<usize>) -> Vec<f64> {
    x.iter().enumerate().map(|(i, &x)| if part.contains(&i) { x } else { 0.0 }).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Follows the part that is wrong by most down to one element.
fn largest(n: usize, wrong: impl Fn(Range<usize>) -> Result<Wrong>) -> Result<usize> {
    let mut part = 0..n;
    while part.len() > 1 {
        let middle = part.start + part.len() / 2;
        let (low, high) = (part.start..middle, middle..part.end);
        part = if wrong(low.clone())?.by() >= wrong(high.clone())?.by() { low } else { high };
    }
    Ok(part.start)
}

/// Where element `i` lies in a shape.
fn coordinates(shape: &[usize], mut i: usize) -> Vec<usize> {
    let mut place: Vec<usize> = shape.iter().rev().map(|&n| (i % n, i /= n).0).collect();
    place.reverse();
    place
}
