//! The manifest and its tensors, read from disk.

use super::call::{Stop, ints};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::PathBuf;
use wgrad::{DType, Device, Tensor};

/// A stored tensor.
pub struct Array {
    pub shape: Vec<usize>,
    pub elements: Vec<f64>,
}

/// The manifest's cases, and every tensor they name.
pub struct Oracle {
    pub cases: Vec<Json>,
    tensors: HashMap<String, Array>,
    /// Whether these are the cases of this repository.
    pub committed: bool,
}

impl Oracle {
    pub fn load() -> Oracle {
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
    pub fn array(&self, key: &Json) -> Option<&Array> {
        key.as_str().map(|key| self.tensors.get(key).unwrap_or_else(|| panic!("no file holds {key}")))
    }

    pub fn tensor(&self, key: &Json, dtype: DType, device: &Device) -> Tensor {
        let array = self.array(key).expect("the case names a tensor");
        Tensor::from_slice(&array.elements, &array.shape, (device, dtype))
    }

    /// The inputs by name, as leaves with the strides the case asks for.
    pub fn inputs(&self, case: &Json, device: &Device) -> Result<HashMap<String, Tensor>, Stop> {
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
pub fn dtype(name: &str) -> Result<DType, Stop> {
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

pub fn text(json: &Json) -> &str {
    json.as_str().expect("the manifest has a text here")
}

/// A list of the manifest; one that is left out is empty.
pub fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

pub fn entries(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
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
