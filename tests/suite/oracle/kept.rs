//! Changes in place between a function and its backward: the gradient is that of an unchanged run, or backward refuses; and of
//! a result that PyTorch does not keep for backward, it does not refuse.

use super::call::{Stop, evaluate};
use super::store::{Oracle, text};
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad::autograd::{GradOptions, grad};
use wgrad::{DType, Device, Result, Tensor};

/// The cases whose result PyTorch keeps, or does not let be changed for another reason; here some of them may be changed.
const KEPT: &str = include_str!("../../data/oracle/kept.txt");

type Inputs = HashMap<String, Tensor>;

/// What is changed of the inputs, or of the results beside the one that is differentiated; and by how much the gradient is
/// another one then.
struct Change {
    name: &'static str,
    factor: f64,
    /// Whether it changes the result itself.
    of_result: bool,
    make: fn(&Inputs, &[Tensor], usize) -> Result<()>,
}

const CHANGES: [Change; 4] = [
    Change { name: "added to", factor: 1.0, of_result: true, make: |_, ys, k| ys[k].add_(1.0).map(drop) },
    Change { name: "negated", factor: -1.0, of_result: true, make: |_, ys, k| ys[k].neg_().map(drop) },
    Change {
        name: "inputs changed",
        factor: 1.0,
        of_result: false,
        // Behind the graph's back, as a leaf may not be changed.
        make: |inputs, _, _| {
            let floats = inputs.values().filter(|x| x.dtype().is_float());
            floats.map(Tensor::detach).try_for_each(|x| x.add_(1.5).map(drop))
        },
    },
    Change {
        name: "other results changed",
        factor: 1.0,
        of_result: false,
        make: |_, ys, k| {
            let others = ys.iter().enumerate().filter(|(i, y)| *i != k && y.dtype() != DType::Bool);
            others.map(|(_, y)| y.detach()).try_for_each(|y| y.add_(1).map(drop))
        },
    },
];

type Gradients = Vec<Option<Vec<f64>>>;

/// The gradients of a weighted sum of a result, or those of the sum of their squares; `None` if these have none.
fn gradients(y: &Tensor, leaves: &[Tensor], second: bool) -> Result<Option<Gradients>> {
    let weights = Tensor::arange(0, y.numel(), 1, &y.device()).cast(y.dtype()).reshape(y.shape()) * 0.1 + 0.5;
    let leaves: Vec<&Tensor> = leaves.iter().collect();
    let options = || GradOptions { allow_unused: Some(true), ..Default::default() };
    let mut found = grad(&[(y * weights).sum()], &leaves, GradOptions { create_graph: second, ..options() })?;
    if second {
        let tracked = found.iter().flatten().filter(|g| g.requires_grad());
        let squares = tracked.map(|g| g.cast(DType::F32).square().sum()).reduce(|a, b| a + b);
        let Some(squares) = squares else { return Ok(None) };
        found = grad(&[squares], &leaves, options())?;
    }
    let values = |g: &Option<Tensor>| g.as_ref().map(|g| g.cast(DType::F64).to_vec::<f64>()).transpose();
    found.iter().map(values).collect::<Result<_>>().map(Some)
}

/// Whether all are the same but for rounding, beside the largest one.
fn same(want: &Gradients, got: &Gradients, factor: f64) -> bool {
    want.iter().zip(got).all(|pair| match pair {
        (Some(want), Some(got)) => {
            let largest = want.iter().filter(|x| x.is_finite()).fold(1e-3f64, |most, x| most.max(x.abs()));
            let is_same = |(a, b): (&f64, &f64)| {
                let a = a * factor;
                a == *b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-5 * largest
            };
            want.iter().zip(got).all(is_same)
        }
        (want, got) => want.is_none() && got.is_none(),
    })
}

#[test]
fn a_change_in_place_is_refused_or_leaves_the_gradient() {
    let (dev, oracle) = (Device::cpu(), Oracle::load());
    let (mut failures, mut free, mut compared) = (Vec::new(), 0, 0);
    for case in oracle.cases.iter().filter(|_| oracle.committed) {
        let id = text(&case["id"]);
        let Some(call) = case["call"].as_str() else { continue };
        // Windows may lie over each other, and what has several elements in one place is never changed here.
        let is_kept = KEPT.lines().any(|kept| kept == id) || call.starts_with("x.unfold(");
        let evaluated = || -> Result<(Vec<Tensor>, Inputs, Vec<Tensor>), Stop> {
            let mut inputs = oracle.inputs(case, &dev)?;
            // In the same order each time.
            let leaves: BTreeMap<String, Tensor> =
                inputs.clone().into_iter().filter(|(_, x)| x.requires_grad()).collect();
            for x in inputs.values_mut().filter(|x| x.requires_grad()) {
                *x = &*x * 1.0;
            }
            let ys = evaluate(call, &case["attrs"], &inputs)?;
            Ok((leaves.into_values().collect(), inputs, ys))
        };
        let Ok(Ok((.., ys))) = catch_unwind(AssertUnwindSafe(evaluated)) else { continue };
        for (k, second) in (0..ys.len()).filter(|&k| ys[k].requires_grad()).flat_map(|k| [(k, false), (k, true)]) {
            // Run anew each time: a change of one result may be seen by another.
            let run = |change: Option<&Change>| -> Result<Option<Gradients>, String> {
                let all = || -> Result<Option<Gradients>, Stop> {
                    let (leaves, inputs, ys) = evaluated()?;
                    if let Some(change) = change {
                        (change.make)(&inputs, &ys, k)?;
                    }
                    Ok(gradients(&ys[k], &leaves, second)?)
                };
                match catch_unwind(AssertUnwindSafe(all)) {
                    Ok(Ok(found)) => Ok(found),
                    Ok(Err(Stop::Failed(error))) => Err(error.to_string()),
                    Ok(Err(Stop::Unsupported(what))) => Err(what),
                    Err(_) => Err("a misuse".into()),
                }
            };
            let want = match run(None) {
                Ok(Some(want)) => want,
                Ok(None) => continue,
                Err(error) => {
                    failures.push(format!("{id}: {call}: result {k}, unchanged: {error}"));
                    continue;
                }
            };
            for change in &CHANGES {
                let is_free = change.of_result && !is_kept && !second;
                // The second time, squares forget the sign.
                let factor = if second { 1.0 } else { change.factor };
                match run(Some(change)) {
                    Ok(Some(got)) if same(&want, &got, factor) => compared += 1,
                    Err(_) if !is_free => continue,
                    Err(error) => failures.push(format!("{id}: {call}: result {k}, {}: {error}", change.name)),
                    Ok(_) => failures.push(format!("{id}: {call}: result {k}, {}: another gradient", change.name)),
                }
                free += is_free as usize;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(!oracle.committed || free > 1000 && compared > 3000, "only {free} and {compared} results were changed");
}
