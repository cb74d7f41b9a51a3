//! Comparing results with stored tensors, and the check of a case that is one expression.

use super::call::{Stop, evaluate};
use super::store::{Oracle, dtype, entries, list, text};
use serde_json::Value as Json;
use std::collections::HashMap;
use wgrad::autograd::{GradOptions, grad};
use wgrad::{Device, Tensor};

/// Compares results with stored tensors, lists where they differ, and keeps the largest errors.
pub struct Checker<'a> {
    pub oracle: &'a Oracle,
    pub case: &'a Json,
    pub device: &'a Device,
    /// What the case calls the tolerances of this device.
    pub tolerances: &'a str,
    pub differences: Vec<String>,
    /// The largest error of the values and of the derivatives, relative to the number or to 1, whichever is larger.
    pub errors: [f64; 2],
}

impl<'a> Checker<'a> {
    pub fn new(oracle: &'a Oracle, case: &'a Json, device: &'a Device, tolerances: &'a str) -> Checker<'a> {
        Checker { oracle, case, device, tolerances, differences: Vec::new(), errors: [0.0; 2] }
    }

    /// `kind` names the tolerance. No gradient counts as zeros, on both sides.
    pub fn compare(&mut self, what: String, kind: &str, got: Option<&Tensor>, want: &Json) -> Result<(), Stop> {
        let want = self.oracle.array(want);
        // Random programs have one set of tolerances for all devices.
        let tolerance = &self.case.get(self.tolerances).unwrap_or(&self.case["tol"])[kind];
        let [rtol, atol] = ["rtol", "atol"].map(|name| tolerance[name].as_f64().expect("a tolerance"));
        if let (Some(got), Some(want)) = (got, want)
            && *got.shape() != want.shape[..]
        {
            self.differences.push(format!("{what}: shape {:?} instead of {:?}", got.shape(), want.shape));
            return Ok(());
        }
        let n = want.map(|x| x.elements.len()).or(got.map(Tensor::numel)).unwrap_or(0);
        let got = got.map_or(Ok(vec![0.0; n]), |x| x.to_data().map(|data| data.to_f64()))?;
        let want = want.map_or(vec![0.0; n], |x| x.elements.clone());
        let error = |i: usize| match (got[i], want[i]) {
            (a, b) if a == b || a.is_nan() && b.is_nan() => 0.0,
            (a, b) if a.is_finite() && b.is_finite() => (a - b).abs(),
            _ => f64::INFINITY,
        };
        let wrong: Vec<usize> =
            (0..n).filter(|&i| error(i) == f64::INFINITY || error(i) > atol + rtol * want[i].abs()).collect();
        if let Some(&i) = wrong.first() {
            let largest = wrong.iter().map(|&i| error(i)).fold(0.0, f64::max);
            self.differences.push(format!(
                "{what}: {} of {n} differ, by up to {largest:e}; first [{i}]: {} instead of {}",
                wrong.len(),
                got[i],
                want[i]
            ));
        } else {
            let relative = (0..n).map(|i| error(i) / want[i].abs().max(1.0)).fold(0.0, f64::max);
            let kept = &mut self.errors[(kind != "out") as usize];
            *kept = kept.max(relative);
        }
        Ok(())
    }

    pub fn tensor(&self, key: &Json, like: &Tensor) -> Tensor {
        self.oracle.tensor(key, like.dtype(), self.device)
    }
}

/// `Σ a · b` over the pairs, or none.
pub fn dots(pairs: impl Iterator<Item = (Tensor, Tensor)>) -> Option<Tensor> {
    pairs.map(|(a, b)| (a * b).sum()).reduce(|a, b| a + b)
}

/// The gradients of Σ gradient · direction by some tensors; none where nothing flows.
pub fn second(
    gradients: Vec<Option<Tensor>>,
    directions: Vec<Tensor>,
    by: &[&Tensor],
) -> Result<Vec<Option<Tensor>>, Stop> {
    let total = dots(gradients.into_iter().zip(directions).filter_map(|(g, v)| Some((g?, v))));
    Ok(match total.filter(Tensor::requires_grad) {
        Some(total) => grad(&[&total], by, GradOptions { allow_unused: Some(true), ..Default::default() })?,
        None => vec![None; by.len()],
    })
}

/// Checks a case that is one expression: values, gradients, Hessian-vector and forward-mode products.
pub fn expression(checker: &mut Checker) -> Result<(), Stop> {
    let (oracle, case, device) = (checker.oracle, checker.case, checker.device);
    let expression = text(&case["call"]);

    // Values, and first derivatives by `backward` of the sum of outputs times cotangents.
    let inputs = oracle.inputs(case, device)?;
    let outputs = evaluate(expression, &case["attrs"], &inputs)?;
    let expected = list(&case["outputs"]);
    if outputs.len() != expected.len() {
        checker.differences.push(format!("{} outputs instead of {}", outputs.len(), expected.len()));
        return Ok(());
    }
    let differentiable = |(y, want): &(&Tensor, &Json)| want["cotangent"].is_string() && y.requires_grad();
    for (i, (y, want)) in outputs.iter().zip(expected).enumerate() {
        let dtype = dtype(text(&want["dtype"]))?;
        if y.dtype() != dtype {
            checker.differences.push(format!("output {i}: {} elements instead of {dtype}", y.dtype()));
        }
        checker.compare(format!("output {i}"), "out", Some(y), &want["tensor"])?;
    }
    let weighted = outputs.iter().zip(expected).filter(differentiable);
    if let Some(loss) = dots(weighted.map(|(y, want)| (y.clone(), checker.tensor(&want["cotangent"], y)))) {
        loss.backward()?;
    }
    for (name, want) in entries(&case["grads"]) {
        checker.compare(format!("gradient of {name}"), "grad", inputs[name].grad().as_ref(), want)?;
    }

    // Second derivatives: the gradients of Σ gradient · direction, by inputs and by cotangents.
    let Some(products) = case.get("second_order") else { return Ok(()) };
    let inputs: HashMap<String, Tensor> = oracle.inputs(case, device)?;
    let outputs = evaluate(expression, &case["attrs"], &inputs)?;
    let (names, xs): (Vec<&String>, Vec<&Tensor>) =
        entries(&products["directions"]).map(|(name, _)| (name, &inputs[name])).unzip();
    let mut cotangents: Vec<Option<Tensor>> = Vec::new();
    for pair in outputs.iter().zip(expected) {
        let cotangent = || checker.tensor(&pair.1["cotangent"], pair.0).requires_grad_(true);
        cotangents.push(differentiable(&pair).then(cotangent).transpose()?);
    }
    let (ys, given): (Vec<&Tensor>, Vec<&Tensor>) =
        outputs.iter().zip(&cotangents).filter_map(|(y, c)| Some((y, c.as_ref()?))).unzip();
    let grad_outputs = given.iter().map(|&c| Some(c.clone())).collect();
    let options = GradOptions { grad_outputs, create_graph: true, allow_unused: Some(true), ..Default::default() };
    let directions = names.iter().zip(&xs).map(|(name, x)| checker.tensor(&products["directions"][name], x)).collect();
    let wanted: Vec<&Tensor> = xs.iter().chain(&given).copied().collect();
    let mut seconds = second(grad(&ys, &xs, options)?, directions, &wanted)?;
    let mut forward = seconds.split_off(xs.len()).into_iter();
    for (name, product) in names.iter().zip(&seconds) {
        checker.compare(
            format!("second derivative by {name}"),
            "second",
            product.as_ref(),
            &products["hvp"][name.as_str()],
        )?;
    }
    let forward: Vec<Option<Tensor>> =
        cotangents.iter().map(|c| c.as_ref().and_then(|_| forward.next().flatten())).collect();
    for want in list(&products["jvp"]) {
        let i = want["output"].as_u64().expect("the number of an output") as usize;
        checker.compare(format!("forward derivative of output {i}"), "second", forward[i].as_ref(), &want["tensor"])?;
    }
    Ok(())
}
