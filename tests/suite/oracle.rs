//! PyTorch's own numbers: every case of `tests/data/oracle` on every device, to the tolerance the case names.
//!
//! A case is one expression with its values, gradients, and second order: Hessian-vector products and, through gradients
//! of the upstream gradients, forward-mode products. `WGRAD_ORACLE` names another directory of the same schema, of which
//! the operations that wgrad lacks are skipped; in the committed one every case must run.

mod call;
mod functions;

use crate::common;
use call::{Stop, evaluate, ints};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use wgrad::autograd::{GradOptions, grad};
use wgrad::{DType, Device, Tensor};

#[test]
fn oracle_cpu() {
    run("cpu");
}

#[test]
fn oracle_gpu() {
    run("gpu");
}

#[test]
fn oracle_twin() {
    run("twin");
}

/// A stored tensor.
struct Array {
    shape: Vec<usize>,
    elements: Vec<f64>,
}

/// The manifest's cases, and every tensor they name.
struct Oracle {
    cases: Vec<Json>,
    tensors: HashMap<String, Array>,
    /// Whether these are the cases of this repository.
    committed: bool,
}

impl Oracle {
    fn load() -> Oracle {
        let given = std::env::var_os("WGRAD_ORACLE").map(PathBuf::from);
        let committed = given.is_none();
        let folder = given.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/oracle"));
        let read = |file: &str| {
            let path = folder.join(file);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let manifest: Json = serde_json::from_slice(&read("manifest.json")).expect("the manifest is JSON");
        let mut cases = manifest["cases"].as_array().expect("the manifest has cases").clone();
        // `WGRAD_ORACLE_ONLY=conv` runs the cases whose name starts so.
        if let Ok(only) = std::env::var("WGRAD_ORACLE_ONLY") {
            cases.retain(|case| text(&case["id"]).starts_with(&only));
        }
        let mut files: Vec<&str> = cases.iter().filter_map(|case| case["file"].as_str()).collect();
        files.sort_unstable();
        files.dedup();
        let mut tensors = HashMap::new();
        for file in files {
            let bytes = read(file);
            let stored = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
            for (key, view) in stored.tensors() {
                tensors.insert(key, Array { shape: view.shape().to_vec(), elements: doubles(&view) });
            }
        }
        Oracle { cases, tensors, committed }
    }

    /// The tensor behind a key of the manifest; `null` names none.
    fn array(&self, key: &Json) -> Option<&Array> {
        key.as_str().map(|key| self.tensors.get(key).unwrap_or_else(|| panic!("no file holds {key}")))
    }

    fn tensor(&self, key: &Json, dtype: DType, device: &Device) -> Tensor {
        let array = self.array(key).expect("the case names a tensor");
        Tensor::from_slice(&array.elements, &array.shape, (device, dtype))
    }

    /// The inputs by name, as leaves with the strides the case asks for.
    fn inputs(&self, case: &Json, device: &Device) -> Result<HashMap<String, Tensor>, Stop> {
        let mut inputs = HashMap::new();
        for input in list(&case["inputs"]) {
            let dtype = dtype(text(&input["dtype"]))?;
            let mut x = self.tensor(input.get("base").unwrap_or(&input["tensor"]), dtype, device);
            for step in list(&input["view"]) {
                x = view(&x, list(step));
            }
            let x = x.detach().requires_grad_(input["requires_grad"] == true)?;
            inputs.insert(text(&input["name"]).to_string(), x);
        }
        Ok(inputs)
    }
}

fn doubles(view: &TensorView) -> Vec<f64> {
    fn read<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|&b| f(b)).collect()
    }
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => read(bytes, |b| f32::from_le_bytes(b) as f64),
        Dtype::F64 => read(bytes, f64::from_le_bytes),
        Dtype::F16 => read(bytes, |b| half::f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => read(bytes, |b| half::bf16::from_le_bytes(b).to_f64()),
        Dtype::I64 => read(bytes, |b| i64::from_le_bytes(b) as f64),
        Dtype::I32 => read(bytes, |b| i32::from_le_bytes(b) as f64),
        Dtype::I16 => read(bytes, |b| i16::from_le_bytes(b) as f64),
        Dtype::I8 => read(bytes, |[b]| b as i8 as f64),
        Dtype::U8 | Dtype::BOOL => read(bytes, |[b]| b as f64),
        other => panic!("no case stores {other:?}"),
    }
}

/// The dtype a name of PyTorch's becomes: its 64-bit integers are 32-bit ones here.
fn dtype(name: &str) -> Result<DType, Stop> {
    Ok(match name {
        "float32" => DType::F32,
        "float64" => DType::F64,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "int64" | "int32" => DType::I32,
        "bool" => DType::Bool,
        _ => return Err(Stop::Unsupported(format!("dtype {name}"))),
    })
}

fn text(json: &Json) -> &str {
    json.as_str().expect("the manifest has a text here")
}

/// A list of the manifest; one that is left out is empty.
fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn entries(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
    json.as_object().into_iter().flatten()
}

/// One step from a base to a non-contiguous input: `["transpose", 0, 1]`.
fn view(x: &Tensor, step: &[Json]) -> Tensor {
    let int = |i: usize| step[i].as_i64().map(|i| i as isize);
    let dim = |i: usize| int(i).expect("views are made of integers");
    match text(&step[0]) {
        "transpose" => x.transpose(dim(1), dim(2)),
        "permute" => x.permute(ints(&step[1])),
        "expand" => x.expand(ints(&step[1])),
        "slice" => x.slice(dim(1), int(2), int(3), dim(4) as usize),
        other => panic!("no view is named {other}"),
    }
}

/// Compares results with stored tensors and lists where they differ.
struct Checker<'a> {
    oracle: &'a Oracle,
    tolerances: &'a Json,
    differences: Vec<String>,
}

impl Checker<'_> {
    /// `kind` names the tolerance. No gradient counts as zeros, on both sides.
    fn check(&mut self, what: String, kind: &str, got: Option<&Tensor>, want: &Json) -> Result<(), Stop> {
        let want = self.oracle.array(want);
        let (rtol, atol) = (&self.tolerances[kind]["rtol"], &self.tolerances[kind]["atol"]);
        let (rtol, atol) = (rtol.as_f64().expect("a tolerance"), atol.as_f64().expect("a tolerance"));
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
        }
        Ok(())
    }
}

/// Runs one case and lists where results differ.
fn check(oracle: &Oracle, case: &Json, device: &Device, tolerances: &str) -> Result<Vec<String>, Stop> {
    let mut checker = Checker { oracle, tolerances: &case[tolerances], differences: Vec::new() };
    let expression =
        case["call"].as_str().ok_or_else(|| Stop::Unsupported(format!("family {}", text(&case["family"]))))?;

    // Values, and first derivatives by `backward` of the sum of outputs times cotangents.
    let inputs = oracle.inputs(case, device)?;
    let outputs = evaluate(expression, &case["attrs"], &inputs)?;
    let expected = list(&case["outputs"]);
    if outputs.len() != expected.len() {
        return Ok(vec![format!("{} outputs instead of {}", outputs.len(), expected.len())]);
    }
    let mut loss: Option<Tensor> = None;
    for (i, (y, want)) in outputs.iter().zip(expected).enumerate() {
        let dtype = dtype(text(&want["dtype"]))?;
        if y.dtype() != dtype {
            checker.differences.push(format!("output {i}: {} elements instead of {dtype}", y.dtype()));
        }
        checker.check(format!("output {i}"), "out", Some(y), &want["tensor"])?;
        if want["cotangent"].is_string() && y.requires_grad() {
            let part = (y * oracle.tensor(&want["cotangent"], y.dtype(), device)).sum();
            loss = Some(loss.map_or(part.clone(), |loss| loss + part));
        }
    }
    if let Some(loss) = loss {
        loss.backward()?;
    }
    for (name, want) in entries(&case["grads"]) {
        checker.check(format!("gradient of {name}"), "grad", inputs[name].grad().as_ref(), want)?;
    }

    // Second derivatives: the gradients of Σ gradient · direction, by inputs and by cotangents.
    let Some(second) = case.get("second_order") else { return Ok(checker.differences) };
    let inputs = oracle.inputs(case, device)?;
    let outputs = evaluate(expression, &case["attrs"], &inputs)?;
    let (names, xs): (Vec<&String>, Vec<&Tensor>) =
        entries(&second["directions"]).map(|(name, _)| (name, &inputs[name])).unzip();
    let mut cotangents: Vec<Option<Tensor>> = Vec::new();
    for (y, want) in outputs.iter().zip(expected) {
        let differentiable = want["cotangent"].is_string() && y.requires_grad();
        let cotangent = || oracle.tensor(&want["cotangent"], y.dtype(), device).requires_grad_(true);
        cotangents.push(differentiable.then(cotangent).transpose()?);
    }
    let (ys, given): (Vec<&Tensor>, Vec<&Tensor>) =
        outputs.iter().zip(&cotangents).filter_map(|(y, c)| Some((y, c.as_ref()?))).unzip();
    let grad_outputs = given.iter().map(|&c| Some(c.clone())).collect();
    let gradients =
        grad(&ys, &xs, GradOptions { grad_outputs, create_graph: true, allow_unused: true, ..Default::default() })?;
    let mut total: Option<Tensor> = None;
    for ((name, x), g) in names.iter().zip(&xs).zip(gradients) {
        let part = g.map(|g| (g * oracle.tensor(&second["directions"][name], x.dtype(), device)).sum());
        total = match (total, part) {
            (Some(total), Some(part)) => Some(total + part),
            (total, part) => total.or(part),
        };
    }
    let wanted: Vec<&Tensor> = xs.iter().chain(&given).copied().collect();
    let mut products = match total.filter(Tensor::requires_grad) {
        Some(total) => grad(&[&total], &wanted, GradOptions { allow_unused: true, ..Default::default() })?,
        None => vec![None; wanted.len()],
    };
    let forward = products.split_off(xs.len());
    for (name, product) in names.iter().zip(&products) {
        checker.check(format!("second derivative by {name}"), "second", product.as_ref(), &second["hvp"][name])?;
    }
    let mut forward = forward.into_iter();
    let forward: Vec<Option<Tensor>> =
        cotangents.iter().map(|c| c.as_ref().and_then(|_| forward.next().flatten())).collect();
    for want in list(&second["jvp"]) {
        let i = want["output"].as_u64().expect("the number of an output") as usize;
        checker.check(format!("forward derivative of output {i}"), "second", forward[i].as_ref(), &want["tensor"])?;
    }
    Ok(checker.differences)
}

/// Runs every case on one device and prints the counts of each family.
fn run(word: &str) {
    if word != "cpu" && common::gpu().is_none() {
        return println!("oracle {word}: not run, there is no adapter");
    }
    let device = Device::named(word).unwrap();
    let oracle = Oracle::load();
    let tolerances = if word == "cpu" { "tol" } else { "tol_gpu" };
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut failures = Vec::new();
    for case in &oracle.cases {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            wgrad::catch(|| check(&oracle, case, &device, tolerances)).unwrap_or_else(|misuse| Err(misuse.into()))
        }));
        let failed = match outcome {
            Ok(Ok(differences)) => differences,
            Ok(Err(Stop::Unsupported(_))) if !oracle.committed => {
                counts.entry(text(&case["family"])).or_default()[2] += 1;
                continue;
            }
            Ok(Err(Stop::Unsupported(what))) => vec![format!("this test lacks {what}")],
            Ok(Err(Stop::Failed(error))) => vec![error.to_string()],
            Err(_) => vec!["panicked".to_string()],
        };
        counts.entry(text(&case["family"])).or_default()[usize::from(!failed.is_empty())] += 1;
        failures.extend(failed.iter().map(|what| format!("{} {}: {what}", text(&case["id"]), text(&case["call"]))));
    }
    let mut sum = [0; 3];
    for (family, counts) in &counts {
        println!("{family} {} {} {}", counts[0], counts[1], counts[2]);
        sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
    }
    println!("oracle {word}: {} passed, {} failed, {} skipped", sum[0], sum[1], sum[2]);
    assert!(sum[0] > 0, "no case passed");
    assert!(failures.is_empty(), "{} cases failed on {word}:\n{}", sum[1], failures.join("\n"));
}
