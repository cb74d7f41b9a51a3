//! First and second derivatives by random projection against differences in double precision.
//!
//! `⟨Jᵀu, v⟩` from backward must equal the difference quotient of `⟨u, f⟩` along `v`; the same again with the gradient in
//! the place of `f`. Two evaluations tell, whatever the size.

use crate::cases::{Case, all, structural_cases};
use wgrad::autograd::{GradOptions, by_definition, grad, no_grad};
use wgrad::random::Stream;
use wgrad::{DType, Device, Tensor};

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

/// The difference quotient of a scalar function along the directions of [`slope`], in double precision.
fn quotient(case: &Case, f: impl Fn(&[Tensor]) -> f64) -> f64 {
    let dev = Device::cpu();
    let h = 1e-5;
    let along = |t: f64| {
        let values = case.values();
        let moved: Vec<Vec<f64>> = case
            .operands
            .iter()
            .zip(&values)
            .enumerate()
            .map(|(i, ((shape, _), x))| {
                let v = direction(shape, 200 + i as u64, DType::F64, &dev).to_vec::<f64>().unwrap();
                x.iter().zip(v).map(|(x, v)| x + t * v).collect()
            })
            .collect();
        f(&case.leaves(&moved, DType::F64, &dev))
    };
    (along(h) - along(-h)) / (2.0 * h)
}

fn close(got: f64, want: f64, tolerance: f64) -> bool {
    approx::relative_eq!(got, want, epsilon = tolerance, max_relative = tolerance)
}

/// The first derivative, or an account of what is wrong with it.
pub fn check_first(case: &Case) -> Result<(), String> {
    let x = case.leaves(&case.values(), DType::F64, &Device::cpu());
    let got = slope(case, &x).item().unwrap();
    let want = quotient(case, |x| {
        let _guard = no_grad();
        projected(case, x).item().unwrap()
    });
    // A cast to f32 inside the expression leaves differences with f32's own error.
    let tolerance = if case.name.starts_with("cast") { 1e-1 } else { 1e-7 };
    if close(got, want, tolerance) {
        Ok(())
    } else {
        Err(format!("{}: derivative {got}, differences give {want}", case.name))
    }
}

/// The second derivative, or an account of what is wrong with it.
fn check_second(case: &Case) -> Result<(), String> {
    let x = case.leaves(&case.values(), DType::F64, &Device::cpu());
    let slope_at = |x: &[Tensor]| slope(case, x);
    let inputs: Vec<&Tensor> = x.iter().collect();
    let first = slope_at(&x);
    let options = GradOptions { allow_unused: Some(true), ..Default::default() };
    let second = if first.requires_grad() { grad(&[&first], &inputs, options).unwrap() } else { vec![None; x.len()] };
    let got: f64 = second
        .iter()
        .zip(&x)
        .enumerate()
        .filter_map(|(i, (g, x))| {
            g.as_ref()
                .map(|g| (g * direction(x.shape(), 200 + i as u64, DType::F64, &x.device())).sum().item().unwrap())
        })
        .sum();
    let want = quotient(case, |x| slope_at(x).item().unwrap());
    let tolerance = if case.name.starts_with("cast") { 1e-1 } else { 1e-6 };
    if close(got, want, tolerance) {
        Ok(())
    } else {
        Err(format!("{}: second derivative {got}, differences give {want}", case.name))
    }
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

#[test]
fn gradient_rules_of_composites_agree_with_their_definitions() {
    for case in structural_cases() {
        let x = case.leaves(&case.values(), DType::F64, &Device::cpu());
        let by_rule = slope(&case, &x).item().unwrap();
        let defined = by_definition(|| slope(&case, &x)).item().unwrap();
        assert!(close(by_rule, defined, 1e-12), "{}: {by_rule} by rule, {defined} by definition", case.name);
    }
}
