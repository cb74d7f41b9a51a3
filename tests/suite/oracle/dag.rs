//! Random programs: values and gradients of the results, of every leaf and of every step on the way.

use super::call::{Stop, Value, unsupported};
use super::check::{Checker, dots, second};
use super::functions::{Args, apply};
use super::store::{entries, list, text};
use serde_json::Value as Json;
use std::collections::HashMap;
use wgrad::autograd::{GradOptions, grad};
use wgrad::{DType, Tensor};

pub fn program(checker: &mut Checker) -> Result<(), Stop> {
    let case = checker.case;
    let (leaves, values) = run(checker, &case["intermediate"])?;
    for (name, sink) in entries(&case["sinks"]) {
        checker.compare(format!("value of {name}"), "out", Some(&values[name.as_str()]), &sink["value"])?;
    }
    let total = loss(checker, &values).expect("a program has results");
    checker.compare("the loss".into(), "out", Some(&total), &case["loss"])?;
    total.backward()?;
    for (name, want) in entries(&case["grads"]) {
        checker.compare(format!("gradient of {name}"), "grad", leaves[name.as_str()].grad().as_ref(), want)?;
    }
    for (name, want) in entries(&case["intermediate"]) {
        let y = &values[name.as_str()];
        checker.compare(format!("value of {name}"), "out", Some(y), &want["value"])?;
        checker.compare(format!("gradient of {name}"), "grad", y.grad().as_ref(), &want["grad"])?;
    }

    let (leaves, values) = run(checker, &Json::Null)?;
    let total = loss(checker, &values).expect("a program has results");
    let (names, xs): (Vec<&String>, Vec<&Tensor>) =
        entries(&case["directions"]).map(|(name, _)| (name, &leaves[name.as_str()])).unzip();
    let options = GradOptions { create_graph: true, allow_unused: Some(true), ..Default::default() };
    let directions = names.iter().zip(&xs).map(|(name, x)| checker.tensor(&case["directions"][name], x)).collect();
    let products = second(grad(&[&total], &xs, options)?, directions, &xs)?;
    for (name, product) in names.iter().zip(&products) {
        let want = &case["hvp"][name.as_str()];
        checker.compare(format!("second derivative by {name}"), "second", product.as_ref(), want)?;
    }
    Ok(())
}

type Named<'a> = HashMap<&'a str, Tensor>;

/// The leaves, and every value by name; those that `watched` names keep their gradient.
fn run<'a>(checker: &Checker<'a>, watched: &Json) -> Result<(Named<'a>, Named<'a>), Stop> {
    let mut leaves = HashMap::new();
    for (name, key) in entries(&checker.case["leaves"]) {
        let leaf = checker.oracle.tensor(key, DType::F32, checker.device).requires_grad_(true)?;
        leaves.insert(name.as_str(), leaf);
    }
    let mut values = leaves.clone();
    for node in list(&checker.case["nodes"]) {
        let args: Vec<Tensor> = list(&node[2]).iter().map(|name| values[text(name)].clone()).collect();
        let y = step(text(&node[1]), &args, &node[3])?;
        if watched.get(text(&node[0])).is_some() {
            y.retain_grad()?;
        }
        values.insert(text(&node[0]), y);
    }
    Ok((leaves, values))
}

/// The sum over the results of each times its cotangent.
fn loss(checker: &Checker, values: &Named) -> Option<Tensor> {
    dots(entries(&checker.case["sinks"]).map(|(name, sink)| {
        let y = &values[name.as_str()];
        (y.clone(), checker.tensor(&sink["cotangent"], y))
    }))
}

/// One step. What is not listed here is a function of `torch` under its own name.
fn step(op: &str, x: &[Tensor], attrs: &Json) -> Result<Tensor, Stop> {
    let (a, b) = (&x[0], x.last().expect("a step has operands"));
    let number = |name: &str| attrs[name].as_f64().expect("the step has this number");
    let dim = || number("dim") as isize;
    Ok(match op {
        "safediv" => a / (b * b + 1.0),
        "exp_tanh" => a.tanh().exp(),
        "log1p_square" => (a * a).log1p(),
        "sqrt1p_square" => (a * a + 1.0).sqrt(),
        "scale" => a * number("s") + number("b"),
        "transpose" => a.transpose(number("d0") as isize, number("d1") as isize),
        "slice" => a.narrow(dim(), number("start") as usize, number("length") as usize),
        "cat" => Tensor::cat(x, dim()),
        "index_select" => {
            let index: Vec<i32> = list(&attrs["index"]).iter().filter_map(Json::as_i64).map(|i| i as i32).collect();
            a.index_select(dim(), &Tensor::from_slice(&index, [index.len()], &a.device()))
        }
        "detach" => a.detach(),
        "clone" => a.copy(),
        "add_" => a.add_(b)?.clone(),
        "mul_" => a.mul_(b)?.clone(),
        "tanh_" => a.copy_(&a.tanh())?.clone(),
        function => {
            let positional = x.iter().cloned().map(Value::Tensor).collect();
            let named = entries(attrs).map(|(name, value)| {
                // What `torch` calls `size` is `shape` in the programs.
                (if function == "expand" { "size" } else { name.as_str() }.to_string(), Value::from(value))
            });
            let mut args = Args { positional, named: named.collect() };
            match <[Tensor; 1]>::try_from(apply(function, &mut args)?) {
                Ok([y]) if args.positional.is_empty() && args.named.is_empty() => y,
                _ => return unsupported(format!("{op} in a program")),
            }
        }
    })
}
