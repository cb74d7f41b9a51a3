//! Looks at the graphics adapters of this machine, and tests whether they compute what the CPU computes.
//!
//!     cargo run --release --example doctor
//!     cargo run --release --example doctor -- --device llvmpipe --json
//!
//! Without `--device` and `WGRAD_DEVICE` the best adapter is tested, even if only in software. The tests themselves
//! are a table in `checks.rs`; the last line (with `--json`, the last but one) counts those that passed and failed.

mod checks;
#[path = "../common/mod.rs"]
mod common;

use checks::{Check, GROUPS};
use clap::Parser;
use common::{Common, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use wgrad::autograd::no_grad;
use wgrad::{Adapter, DType, Device, Tensor, adapters};

/// Lists the graphics adapters, says which one would be used, and tests every operation and gradient on it.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let args = Args::parse();
    common::run("doctor", || example(&args))
}

fn example(args: &Args) -> Result<ExitCode> {
    let start = std::time::Instant::now();
    let found = adapters();
    println!("{} graphics adapter(s)", found.len());
    found.iter().for_each(describe);
    println!("\n{}\n", choice(&found, args.common.device.as_deref()));

    // A failing check may panic inside a driver; its message belongs into the list, and the next check is run.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut passed, mut failed) = (0, 0);
    let dev = match catch_unwind(AssertUnwindSafe(|| open(&args.common, &found))) {
        Ok(Ok(dev)) => dev,
        Ok(Err(error)) => {
            println!("FAILED the device could not be opened: {error}");
            failed += 1;
            Device::cpu()
        }
        Err(panic) => std::panic::resume_unwind(panic),
    };
    let by_differences = dev == Device::cpu();
    match by_differences {
        true => println!("testing the gradients of the CPU, in double precision, against difference quotients"),
        false => println!("testing values and gradients against the CPU"),
    }
    for (group, checks) in GROUPS {
        println!("  {group}: {}", checks.iter().map(|check| check.name).collect::<Vec<_>>().join(", "));
        for check in *checks {
            let run = || {
                if by_differences {
                    against_differences(check, args.common.seed)
                } else {
                    against_cpu(check, &dev, args.common.seed)
                }
            };
            let outcomes = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(message(panic).into()));
            let outcomes = outcomes.unwrap_or_else(|error| vec![("", Err(error.to_string()))]);
            for (what, outcome) in outcomes {
                match outcome {
                    Ok(()) => passed += 1,
                    Err(error) => {
                        failed += 1;
                        println!("    FAILED {}{what}: {error}", check.name);
                    }
                }
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("\nwrote no files; {seconds:.1} s\n{passed} passed, {failed} failed");
    args.common.report(serde_json::json!({
        "device": dev.name(), "adapters": found.iter().map(|a| &a.name).collect::<Vec<_>>(),
        "passed": passed, "failed": failed, "seconds": seconds,
    }));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What wgrad cares about: what it must bind, and what it could use.
fn describe(adapter: &Adapter) {
    let Adapter { name, driver, backend, kind, .. } = adapter;
    let (least, most) = adapter.subgroup;
    println!("\n  {name}");
    println!("    type: {kind}, through {backend}");
    println!("    driver: {driver}");
    println!("    largest value: {} MiB", adapter.max_value_bytes >> 20);
    println!("    storage buffers per kernel: {}", adapter.max_storage_buffers);
    println!("    memory of a workgroup: {} KiB", adapter.workgroup_bytes >> 10);
    println!("    threads in step: {least} to {most}");
    println!("    arithmetic in f16: {}", if adapter.f16 { "yes" } else { "no" });
}

/// Which device a program that uses `Device::best` gets, and why.
fn choice(found: &[Adapter], asked: Option<&str>) -> String {
    match (asked, std::env::var("WGRAD_DEVICE"), found.first()) {
        (Some(word), ..) => format!("chosen: {word:?}, because --device says so"),
        (_, Ok(word), _) => format!("chosen: {word:?}, because the environment variable WGRAD_DEVICE says so"),
        (.., None) => {
            "chosen: the CPU, because there is no graphics adapter (drivers for Vulkan, Metal or DX12 are looked for)"
                .into()
        }
        (.., Some(first)) if first.kind == "cpu" => {
            format!("chosen: the CPU, because no adapter is a real GPU: {} is the CPU as well, by a detour", first.name)
        }
        (.., Some(first)) => format!(
            "chosen: {}, because a real GPU is preferred to the CPU, and among GPUs discrete ones come before integrated and virtual ones",
            first.name
        ),
    }
}

/// The device that is asked for, else the best adapter, be it in software, else the CPU.
fn open(common: &Common, found: &[Adapter]) -> Result<Device> {
    let asked = common.device.is_some() || std::env::var_os("WGRAD_DEVICE").is_some();
    if asked || found.is_empty() {
        return common.open();
    }
    let dev = Device::gpu()?;
    println!("device: {}", dev.name());
    Ok(dev)
}

/// What is tested of a check, and what came out.
type Outcomes = Vec<(&'static str, Result<(), String>)>;

/// A value, and the gradient of each input if there are any.
type Evaluated = (Vec<f64>, Option<Vec<Vec<f64>>>);

/// The value and the gradients of the inputs, each compared with those on the CPU.
fn against_cpu(check: &Check, dev: &Device, seed: u64) -> Result<Outcomes> {
    let points = points(check, seed)?;
    let (got, want) = (
        evaluate(check, &points, (dev, DType::F32), seed)?,
        evaluate(check, &points, (&Device::cpu(), DType::F32), seed)?,
    );
    let mut outcomes = vec![("", compare(&got.0, &want.0, check.tolerance))];
    if let (Some(got), Some(want)) = (got.1, want.1) {
        outcomes.push((", gradient", compare(&got.concat(), &want.concat(), check.tolerance)));
    }
    Ok(outcomes)
}

/// The gradients along a random direction `v`, compared with `(f(x + h v) - f(x - h v)) / 2 h`.
fn against_differences(check: &Check, seed: u64) -> Result<Outcomes> {
    let double = (&Device::cpu(), DType::F64);
    let x = points(check, seed)?;
    let (value, Some(gradients)) = evaluate(check, &x, double, seed)? else { return Ok(vec![]) };
    // Narrow types are too coarse for differences.
    if check.is_rough() {
        return Ok(vec![]);
    }
    let (h, u) = (1e-5, weights(value.len()));
    let along = |h: f64| -> Result<f64> {
        let moved =
            x.iter().map(|x| x.iter().zip(weights(x.len())).map(|(x, v)| x + h * v).collect()).collect::<Vec<_>>();
        let _unrecorded = no_grad();
        Ok(evaluate(check, &moved, double, seed)?.0.iter().zip(&u).map(|(y, u)| y * u).sum())
    };
    let want = (along(h)? - along(-h)?) / (2.0 * h);
    let got = gradients.iter().map(|g| g.iter().zip(weights(g.len())).map(|(g, v)| g * v).sum::<f64>()).sum();
    Ok(vec![(", gradient", compare(&[got], &[want], check.tolerance))])
}

/// Random numbers for the inputs, representable in single precision.
fn points(check: &Check, seed: u64) -> Result<Vec<Vec<f64>>> {
    let cpu = Device::cpu();
    cpu.manual_seed(seed);
    let of =
        |&(shape, low, high): &checks::Input| Ok((Tensor::rand(shape, &cpu) * (high - low) + low).to_vec::<f64>()?);
    check.inputs.iter().map(of).collect()
}

/// Evaluates a check, and the gradients of its value weighted with fixed numbers.
fn evaluate(check: &Check, points: &[Vec<f64>], on: (&Device, DType), seed: u64) -> Result<Evaluated> {
    on.0.manual_seed(seed);
    let leaf = |(x, (shape, ..)): (&Vec<f64>, &checks::Input)| Tensor::from_slice(x, *shape, on).requires_grad_(true);
    let x: Vec<Tensor> = points.iter().zip(check.inputs).map(leaf).collect::<wgrad::Result<_>>()?;
    let y = (check.f)(&x);
    let value = y.to_data()?.to_f64();
    if !y.requires_grad() {
        return Ok((value, None));
    }
    let u = Tensor::from_slice(&weights(y.numel()), y.shape(), (on.0, y.dtype()));
    y.backward_with(Some(&u), Default::default())?;
    let gradient = |x: &Tensor| x.grad().map_or(Ok(vec![0.0; x.numel()]), |g| Ok(g.to_data()?.to_f64()));
    Ok((value, Some(x.iter().map(gradient).collect::<Result<_>>()?)))
}

/// Fixed numbers between -1 and 1, without a pattern that a wrong kernel could share.
fn weights(n: usize) -> Vec<f64> {
    (0..n).map(|i| (i * i * 31 + i * 17) % 97).map(|k| k as f64 / 48.0 - 1.0).collect()
}

/// Whether two lists agree, or by how much they differ.
fn compare(got: &[f64], want: &[f64], tolerance: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements instead of {}", got.len(), want.len()));
    }
    let error = |(got, want): (&f64, &f64)| match got == want || got.is_nan() && want.is_nan() {
        true => 0.0,
        false => ((got - want).abs() / want.abs().max(1.0)).max(f64::MIN_POSITIVE),
    };
    // The largest of NaN and a number is the number; an error that is NaN counts as infinite.
    let errors = got.iter().zip(want).map(error).map(|e| if e.is_nan() { f64::INFINITY } else { e });
    let (i, largest) = errors.enumerate().fold((0, 0.0), |most, e| if e.1 > most.1 { e } else { most });
    match largest <= tolerance {
        true => Ok(()),
        false => Err(format!(
            "largest error {largest:.1e}, at element {i} of {}: {} instead of {}",
            got.len(),
            got[i],
            want[i]
        )),
    }
}

/// What a panic says.
fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_else(|| "panicked".into())
}
