//! PyTorch's own numbers: every case of `tests/data/oracle` on every device, to the tolerance the case names.
//!
//! A case is one expression, a random program, or a part of training, with its values, gradients, and second order: Hessian-vector products
//! and, through gradients of the upstream gradients, forward-mode products. `WGRAD_ORACLE` names another directory of the
//! same schema, of which the functions that wgrad lacks are skipped and named; in the committed one every case must run.
//! `WGRAD_ORACLE_ONLY=conv` runs the cases whose name starts so.

mod call;
mod check;
mod dag;
mod functions;
mod kept;
mod store;
mod training;

use crate::common;
use call::Stop;
use check::Checker;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use store::{Oracle, list, text};
use wgrad::testing::open_gpu;
use wgrad::{Device, Result};

/// Cases that are not run on some devices, and why. None is here because wgrad lacks a function.
pub const SKIPPED: &[(&str, &[&str], &str)] = &[
    ("cast.to.03", GPUS, "no GPU holds numbers of double precision"),
    ("cast.to.11", GPUS, "no GPU holds numbers of double precision"),
    ("cast.to.04", ALL, "the target is an 8-bit integer, of which there are no tensors here"),
    ("unary.gelu.sp.00", ALL, "PyTorch's gelu of an infinity is infinite or NaN, as its own code path goes"),
];
const GPUS: &[&str] = &["gpu", "gpu-unfused", "twin"];
const ALL: &[&str] = &["cpu", "gpu", "gpu-unfused", "twin"];

#[test]
fn oracle_cpu() {
    report("cpu");
}

#[test]
fn oracle_gpu() {
    report("gpu");
}

#[test]
fn oracle_gpu_without_fusion() {
    report("gpu-unfused");
}

#[test]
fn oracle_twin() {
    report("twin");
}

fn device(word: &str) -> Result<Device> {
    match word {
        "gpu-unfused" => open_gpu(false, false, None),
        word => Device::named(word),
    }
}

/// What came of all cases on one device.
#[derive(Default)]
pub struct Outcome {
    /// How many passed, failed and were skipped, by family.
    counts: BTreeMap<String, [usize; 3]>,
    failures: Vec<String>,
    /// Why cases were skipped, and how many for that.
    reasons: BTreeMap<String, usize>,
    /// The largest error of values and of derivatives by function, where PyTorch computed in double precision.
    pub errors: BTreeMap<String, [f64; 2]>,
}

/// Runs every case on a device once, whoever asks; `None` without an adapter.
pub fn outcome(word: &'static str) -> Option<&'static Outcome> {
    static CPU: OnceLock<Outcome> = OnceLock::new();
    static GPU: OnceLock<Outcome> = OnceLock::new();
    if word != "cpu" && common::gpu().is_none() {
        return None;
    }
    Some(match word {
        "cpu" => CPU.get_or_init(|| run(word)),
        "gpu" => GPU.get_or_init(|| run(word)),
        _ => Box::leak(Box::new(run(word))),
    })
}

fn run(word: &str) -> Outcome {
    let device = device(word).unwrap();
    let oracle = Oracle::load();
    let tolerances = if word == "cpu" { "tol" } else { "tol_gpu" };
    let mut outcome = Outcome::default();
    for case in &oracle.cases {
        let (id, family) = (text(&case["id"]), text(&case["family"]).to_string());
        let skipped = SKIPPED.iter().find(|(skipped, on, _)| id == *skipped && on.contains(&word));
        let mut checker = Checker::new(&oracle, case, &device, tolerances);
        let result = match skipped {
            Some((_, _, reason)) => Err(format!("{id}: {reason}")),
            None => check(&mut checker),
        };
        let count = outcome.counts.entry(family).or_default();
        match result {
            Err(reason) if skipped.is_some() || !oracle.committed => {
                count[2] += 1;
                *outcome.reasons.entry(reason).or_default() += 1;
            }
            result => {
                checker.differences.extend(result.err());
                count[usize::from(!checker.differences.is_empty())] += 1;
                let call = case["call"].as_str().unwrap_or("a program");
                outcome.failures.extend(checker.differences.iter().map(|what| format!("{id} {call}: {what}")));
                let native = ["special", "denormal", "promotion", "native"];
                let is_training = ["optim", "schedule", "clip", "train"].contains(&text(&case["family"]));
                if !list(&case["tags"]).iter().any(|tag| native.contains(&text(tag)))
                    && case["family"] != "cast"
                    && !is_training
                {
                    let function = text(&case["op"]).rsplit('.').next().expect("there is a last part");
                    let kept = outcome.errors.entry(function.to_string()).or_default();
                    *kept = [kept[0].max(checker.errors[0]), kept[1].max(checker.errors[1])];
                }
            }
        }
    }
    outcome
}

/// Runs one case; the error is what this test or the crate lacks.
fn check(checker: &mut Checker) -> std::result::Result<(), String> {
    let case = checker.case;
    let done = catch_unwind(AssertUnwindSafe(|| {
        let run = || match (case["call"].as_str(), text(&case["family"])) {
            (Some(_), _) => check::expression(checker),
            (None, "dag") => dag::program(checker),
            (None, "optim") => training::optimizer(checker),
            (None, "schedule") => training::learning_rates(checker),
            (None, "clip") => training::clipping(checker),
            (None, "train") => training::run(checker),
            (None, family) => call::unsupported(format!("the family {family}")),
        };
        wgrad::catch(run).unwrap_or_else(|misuse| Err(misuse.into()))
    }));
    match done {
        Ok(Ok(())) => {}
        Ok(Err(Stop::Unsupported(what))) => return Err(format!("not known here: {what}")),
        Ok(Err(Stop::Failed(error))) => checker.differences.push(error.to_string()),
        Err(_) => checker.differences.push("panicked".to_string()),
    }
    Ok(())
}

/// Prints the counts of one device, and fails if a case did.
fn report(word: &'static str) {
    let Some(outcome) = outcome(word) else {
        return common::say(&format!("oracle {word}: not run, there is no adapter\n"));
    };
    let mut text = String::new();
    let mut sum = [0; 3];
    for (family, counts) in &outcome.counts {
        let _ = writeln!(text, "{family} {} {} {}", counts[0], counts[1], counts[2]);
        sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
    }
    for (reason, cases) in &outcome.reasons {
        let _ = writeln!(text, "skipped {cases}: {reason}");
    }
    let _ = writeln!(text, "oracle {word}: {} passed, {} failed, {} skipped", sum[0], sum[1], sum[2]);
    common::say(&text);
    assert!(sum[0] > 0, "no case passed");
    let failures = &outcome.failures;
    assert!(failures.is_empty(), "{} cases failed on {word}:\n{}", sum[1], failures.join("\n"));
}

#[test]
fn few_cases_are_skipped() {
    let oracle = Oracle::load();
    let known = |id: &str| oracle.cases.iter().any(|case: &Json| case["id"] == id);
    if oracle.committed && std::env::var_os("WGRAD_ORACLE_ONLY").is_none() {
        assert!(SKIPPED.iter().all(|(id, _, _)| known(id)), "a skipped case does not exist");
        assert!(100 * SKIPPED.len() < oracle.cases.len(), "{} cases are skipped", SKIPPED.len());
    }
}
