//! Random programs on every kind of device against the CPU: values of all results and gradients of all leaves.
//!
//! `proptest` draws bytes, which `build` reads as a program: leaves of any type, strides and odd shapes, pointwise
//! functions, reductions, products, views, indexing, joins, casts and writes in place. `judge` says how far results may
//! differ. A program that fails is made smaller as long as it fails, and printed as Rust. `./test --long` runs many more;
//! `WGRAD_SEED` draws others, and `WGRAD_PROGRAMS` says how many.

mod build;
mod judge;
mod print;
#[allow(dead_code)]
#[rustfmt::skip]
mod printed;
mod step;

use crate::common;
use build::{Gene, Program, program};
use judge::{Numbers, Verdict, judge, run};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use wgrad::testing::{Fault, Plan, ROWS, open_gpu};
use wgrad::{Device, Error};

/// Bytes of leaves and of steps.
type Genes = (Vec<Gene>, Vec<Gene>);

fn genes() -> impl Strategy<Value = Genes> {
    (vec(any::<Gene>(), 1..4), vec(any::<Gene>(), 1..12))
}

/// What a run of many programs came to.
#[derive(Default)]
struct Counts {
    programs: Cell<usize>,
    unstable: Cell<usize>,
}

/// The smallest program found for which `disagreement` says something, after at most `cases` programs.
fn search(
    seed: u64,
    cases: u32,
    disagreement: impl Fn(&Program) -> Option<String>,
) -> Result<(), (Box<Program>, String)> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let told = RefCell::new(String::new());
    let result = TestRunner::new_with_rng(config, rng).run(&genes(), |(leaves, steps)| {
        match disagreement(&program(&leaves, &steps)) {
            None => Ok(()),
            Some(what) => {
                told.replace(what.clone());
                Err(TestCaseError::fail(what))
            }
        }
    });
    match result {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, (leaves, steps))) => {
            let program = program(&leaves, &steps);
            let what = disagreement(&program).unwrap_or_else(|| format!("{reason} (not every time)"));
            Err((Box::new(program), what))
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// What a device does differently from the CPU.
fn disagreement(program: &Program, dev: &Device, counts: &Counts) -> Option<String> {
    let reference = run(program, &Device::cpu(), None).expect("the CPU runs what it ran before");
    counts.programs.set(counts.programs.get() + 1);
    let name = dev.name();
    let got: Result<Numbers, Error> = run(program, dev, None);
    match got.map(|got| judge(program, &reference, &got)) {
        Ok(Verdict::Agree) => None,
        Ok(Verdict::Unstable) => {
            counts.unstable.set(counts.unstable.get() + 1);
            None
        }
        Ok(Verdict::Differ(what)) => Some(format!("{name}: {what}")),
        Err(error) => Some(format!("{name}: {error}")),
    }
}

/// Devices are opened anew after so many programs: what they have compiled fills memory.
const ROUND: u32 = 100;

/// Runs many programs on devices of this thread's own: with fusion, now and then without, and now and then as a twin,
/// which compares kernel by kernel and more closely.
fn agree(seed: u64, cases: u32) {
    let counts = Counts::default();
    for round in 0..cases.div_ceil(ROUND) {
        let [fused, plain, twin] =
            [(true, false), (false, false), (true, true)].map(|(fuse, twin)| open_gpu(fuse, twin, None).unwrap());
        let found = search(seed ^ ((round as u64) << 32), ROUND.min(cases - round * ROUND), |program| {
            let other = match program.steps.len() % 8 {
                1 | 5 => Some(&twin),
                3 => Some(&plain),
                _ => None,
            };
            let mut devices = std::iter::once(&fused).chain(other);
            devices.find_map(|dev| disagreement(program, dev, &counts))
        });
        if let Err((program, what)) = found {
            panic!("{what}\nin this program, which is as small as it gets:\n\n{}", print::source(&program));
        }
    }
    let (unstable, programs) = (counts.unstable.get(), counts.programs.get());
    assert!(unstable * 50 <= programs, "{unstable} of {programs} comparisons told nothing");
}

#[test]
fn random_programs_agree_with_the_cpu() {
    if common::gpu().is_none() {
        return;
    }
    let given = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    let usual = if std::env::var_os("WGRAD_LONG").is_some() { 100_000 } else { 2000 };
    let (cases, seed) = (given("WGRAD_PROGRAMS").unwrap_or(usual), given("WGRAD_SEED").unwrap_or(1));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8)) as u32;
    std::thread::scope(|scope| {
        let run = |k: u32| scope.spawn(move || agree(1000 * seed as u64 + k as u64, cases.div_ceil(threads)));
        let runs: Vec<_> = (0..threads).map(run).collect();
        for run in runs {
            if let Err(panic) = run.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// The smallest program that tells a GPU with a fault from the CPU.
fn smallest(fault: impl Fn(&mut Plan) + Send + Sync + 'static) -> Option<(Box<Program>, String)> {
    common::gpu()?;
    let fault: Fault = std::sync::Arc::new(fault);
    let dev = open_gpu(true, false, Some(fault)).unwrap();
    let found = search(7, 400, |program| disagreement(program, &dev, &Counts::default()));
    Some(found.expect_err("no program noticed the fault"))
}

#[test]
fn a_fault_in_a_kernel_is_found_and_made_small() {
    let Some((program, what)) = smallest(|plan| {
        for kernel in &mut plan.kernels {
            kernel.wgsl = kernel.wgsl.replace("exp_(x)", "(exp_(x) * 1.0001)").into();
        }
    }) else {
        return;
    };
    assert!(program.steps.len() <= 2, "{what}\n{}", print::source(&program));
}

#[test]
fn a_fault_in_the_flow_between_kernels_is_found() {
    // A sum is of the wrong numbers: two bindings are exchanged where a kernel has two inputs of one size.
    let found = smallest(|plan| {
        for kernel in plan.kernels.iter_mut().filter(|kernel| kernel.bindings.len() == 3 && !kernel.bindings[1].write) {
            kernel.bindings.swap(0, 1);
        }
    });
    if let Some((program, what)) = found {
        // Two kernels with two inputs each take a few steps; which ones are found changes with the list of operations.
        assert!(program.steps.len() <= 4, "{what}\n{}", print::source(&program));
    }
}

#[test]
fn programs_print_as_rust_that_does_the_same() {
    // `printed.rs` is what this prints, and was compiled with the tests.
    let sqrt = ROWS.iter().position(|row| row.name == "sqrt").unwrap() as u8;
    let program = program(
        &[[0, 1, 3, 1, 0, 0], [6, 1, 0, 0, 0, 0]],
        &[[0, 0, 0, sqrt, 0, 0], [22, 2, 0, 1, 1, 0], [38, 0, 2, 1, 0, 0], [31, 4, 0, 1, 2, 5], [36, 5, 0, 1, 0, 0]],
    );
    let text = print::source(&program);
    if std::env::var_os("WGRAD_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/programs/printed.rs"), &text).unwrap();
    }
    assert_eq!(text, include_str!("programs/printed.rs"), "WGRAD_BLESS=1 writes it anew");
    let (leaves, results) = printed::program(&Device::cpu()).unwrap();
    assert_eq!((leaves.len(), results.len()), (program.leaves.len(), program.results.len()));
    let got = results.iter().map(|y| y.to_data().unwrap().to_f64());
    assert!(got.eq(run(&program, &Device::cpu(), None).unwrap().into_iter().take(results.len())));
}
