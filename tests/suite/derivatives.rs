//! First and second derivatives of every case against differences, by `gradcheck` and `gradgradcheck`: in double precision
//! on the CPU, and in single precision on the GPU.

use crate::cases::{Case, all, row_cases, structural_cases};
use crate::common::gpu;
use wgrad::autograd::{GradOptions, GradcheckOptions, by_definition, grad, gradcheck, gradgradcheck};
use wgrad::random::Stream;
use wgrad::testing::ROWS;
use wgrad::{DType, Device, Error, Tensor};

/// Fixed directions of a shape.
pub fn direction(shape: &[usize], stream: u64, dtype: DType, dev: &Device) -> Tensor {
    let s = Stream { seed: 5, stream };
    let x: Vec<f64> = (0..shape.iter().product()).map(|i| (2.0 * s.uniform(i) - 1.0) as f32 as f64).collect();
    Tensor::from_slice(&x, shape, (dev, dtype))
}

/// `⟨u, f(x)⟩` for a fixed `u`.
fn projected(case: &Case, x: &[Tensor]) -> Tensor {
    let y = (case.f)(x);
    (&y * direction(y.shape(), 100, y.dtype(), &y.device())).sum()
}

/// `⟨∇⟨u, f⟩, v⟩`, itself part of the graph.
fn slope(case: &Case, x: &[Tensor]) -> Tensor {
    let inputs: Vec<&Tensor> = x.iter().collect();
    let options = GradOptions { create_graph: true, allow_unused: Some(true), ..Default::default() };
    let g = grad(&[&projected(case, x)], &inputs, options).unwrap();
    let dots = g.iter().zip(x).enumerate().filter_map(|(i, (g, x))| {
        g.as_ref().map(|g| (g * direction(x.shape(), 200 + i as u64, x.dtype(), &x.device())).sum())
    });
    dots.reduce(|a, b| a + b).expect("one operand has a gradient")
}

fn close(got: f64, want: f64, tolerance: f64) -> bool {
    approx::relative_eq!(got, want, epsilon = tolerance, max_relative = tolerance)
}

/// Steps and tolerances for double precision.
fn options(case: &Case, tolerance: f64) -> GradcheckOptions {
    // A cast to f32 inside the expression leaves differences with f32's own error.
    let tolerance = if case.name.starts_with("cast") { 1e-1 } else { tolerance };
    GradcheckOptions { eps: 1e-5, atol: tolerance, rtol: tolerance, ..Default::default() }
}

type Checked<'a> = &'a dyn Fn(&dyn Fn(&[Tensor]) -> Vec<Tensor>, &[&Tensor], GradcheckOptions) -> Result<(), Error>;

/// Runs a check on a case, and names the case in what it says.
fn check(case: &Case, dtype: DType, dev: &Device, checked: Checked, options: GradcheckOptions) -> Result<(), String> {
    let x = case.leaves(&case.values(), dtype, dev);
    let inputs: Vec<&Tensor> = x.iter().collect();
    checked(&|x| vec![(case.f)(x)], &inputs, options).map_err(|e| format!("{}: {e}", case.name))
}

/// The first derivatives, or an account of what is wrong with them.
pub fn check_first(case: &Case) -> Result<(), String> {
    check(case, DType::F64, &Device::cpu(), &|f, x, o| gradcheck(f, x, o), options(case, 1e-7))
}

/// The second derivatives, or an account of what is wrong with them.
pub fn check_second(case: &Case) -> Result<(), String> {
    check(case, DType::F64, &Device::cpu(), &|f, x, o| gradgradcheck(f, x, o), options(case, 1e-6))
}

fn report(failures: Vec<Result<(), String>>) {
    let failures: Vec<String> = failures.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn first_derivatives_agree_with_differences() {
    report(all().iter().map(check_first).collect());
}

#[test]
fn second_derivatives_agree_with_differences() {
    report(all().iter().map(check_second).collect());
}

/// Single precision leaves differences over 2 · 0.001 an error of about 1e-7 / 0.002 of the values: a tenth of what a
/// derivative is, and 0.01, catch a wrong rule. Steps are no longer, as functions have kinks.
#[test]
fn derivatives_on_the_gpu_agree_with_differences() {
    let Some(gpu) = gpu() else { return };
    // A second run asks for other values, so that other operations fuse, and the last digit may be another.
    let options = GradcheckOptions { eps: 1e-3, atol: 1e-2, rtol: 1e-1, nondet_tol: 1e-4, ..Default::default() };
    let rows = row_cases().into_iter().filter(|case| ROWS.iter().any(|row| row.name == case.name));
    let cases: Vec<Case> = rows.chain(structural_cases()).collect();
    let first = |case| check(case, DType::F32, &gpu, &|f, x, o| gradcheck(f, x, o), options.clone());
    let second = |case| check(case, DType::F32, &gpu, &|f, x, o| gradgradcheck(f, x, o), options.clone());
    report(cases.iter().flat_map(|case| [first(case), second(case)]).collect());
}

type Step = fn(&Tensor, &Tensor) -> Tensor;

/// Steps from two 3 × 3 matrices to a third, which have derivatives of every order and neither vanish nor explode.
const STEPS: [Step; 12] = [
    |a, b| (a * b).tanh(),
    |a, b| a.matmul(b).sin(),
    |a, b| a.exp() / (b.square() + 1.5),
    |a, b| (a.softmax(0) * b).cumsum(1),
    |a, b| a.t().layer_norm(3, None, None, 0.1) + b,
    |a, b| (a.sigmoid() + 0.5).pow(b.sin()),
    |a, b| a.log_softmax(1).gather(0, &Tensor::new([[2, 0, 1]], &a.device())) * b,
    |a, b| Tensor::cat(&[a.narrow(0, 1, 2), b.select(1, 0).unsqueeze(0)], 0).gelu(),
    |a, b| (a.sum_dim(0, true) - b).softplus(),
    |a, b| (a.square() + b.square() + 0.1).sqrt(),
    |a, b| Tensor::where_(&a.gt(b), a.cos(), b.erf()),
    |a, b| a.flip([0]).sin() * b.var_dim(1, 1.0, true),
];

/// `⟨∇f(x), v⟩` by the nth direction, itself part of the graph.
fn along(y: &Tensor, x: &Tensor, n: u64) -> Tensor {
    let options = GradOptions { create_graph: true, ..Default::default() };
    let g = grad(&[y], &[x], options).unwrap().remove(0).unwrap();
    (g * direction(x.shape(), 300 + n, x.dtype(), &x.device())).sum()
}

#[test]
fn third_derivatives_of_random_composites_agree_with_differences() {
    let dev = Device::cpu();
    for seed in 0..40 {
        let draw = Stream { seed, stream: 9 };
        let pick = |i: usize, n: usize| (draw.uniform(i) * n as f64) as usize;
        let composite = |x: &Tensor| {
            let mut all = vec![x.clone(), x.t() * 0.5];
            for i in 0..5 {
                let (a, b) = (&all[pick(3 * i, all.len())], &all[pick(3 * i + 1, all.len())]);
                all.push(STEPS[pick(3 * i + 2, STEPS.len())](a, b));
            }
            // Every step counts.
            all[2..].iter().map(|y| y.sin().sum()).reduce(|a, b| a + b).expect("five steps")
        };
        let second = |x: &Tensor| along(&along(&composite(x), x, 0), x, 1);
        let x = direction(&[3, 3], seed, DType::F64, &dev).requires_grad_(true).unwrap();
        let third = along(&second(&x), &x, 2).item().unwrap();
        let moved = |h: f64| {
            let x = x.detach() + direction(&[3, 3], 302, DType::F64, &dev) * h;
            second(&x.requires_grad_(true).unwrap()).item().unwrap()
        };
        let differences = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!(close(third, differences, 1e-6), "seed {seed}: {third} by backward, {differences} by differences");
    }
}

#[test]
fn gradient_rules_of_composites_agree_with_their_definitions() {
    for case in structural_cases() {
        let x = case.leaves(&case.values(), DType::F64, &Device::cpu());
        let by_rule = slope(&case, &x).item().unwrap();
        let defined = by_definition(|| slope(&case, &x)).item().unwrap();
        assert!(close(by_rule, defined, 1e-12), "{}: {by_rule} by rule, {defined} by definition", case.name);
    }
}
