//! Which results may be changed in place before backward: all that PyTorch does not keep for its own.

use super::call::{Stop, evaluate};
use super::store::{Oracle, text};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad::{Device, Result, Tensor, catch};

/// The cases whose result PyTorch keeps, or does not let be changed for another reason; here some of them may be changed.
const KEPT: &str = include_str!("../../data/oracle/kept.txt");

#[test]
fn a_result_that_pytorch_does_not_keep_may_be_changed() {
    let (dev, oracle) = (Device::cpu(), Oracle::load());
    let mut failures = Vec::new();
    let mut changed = 0;
    for case in oracle.cases.iter().filter(|_| oracle.committed) {
        let id = text(&case["id"]);
        // Windows may lie over each other, and what has several elements in one place is never changed here.
        let Some(call) = case["call"].as_str().filter(|call| !call.starts_with("x.unfold(")) else { continue };
        if KEPT.lines().any(|kept| kept == id) {
            continue;
        }
        let results = || -> Result<Vec<Tensor>, Stop> {
            let mut inputs = oracle.inputs(case, &dev)?;
            for x in inputs.values_mut().filter(|x| x.requires_grad()) {
                *x = &*x * 1.0;
            }
            evaluate(call, &case["attrs"], &inputs)
        };
        for k in 0.. {
            // Run anew for each result: a change of one may be seen by another.
            let Ok(Ok(ys)) = catch_unwind(AssertUnwindSafe(results)) else { break };
            let Some(y) = ys.get(k) else { break };
            if !y.requires_grad() {
                continue;
            }
            let told = catch(|| y.add_(1.0).and_then(|y| y.sum().backward())).and_then(|told| told);
            failures.extend(told.err().map(|error| format!("{id}: {call}: {error}")));
            changed += 1;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(!oracle.committed || changed > 500, "only {changed} results were changed");
}
