//! PyTorch's own files: the tensors of a state dict.

use super::foreign::{Foreign, tensor};
use super::pickle::{self, Value};
use super::{failed, wrong};
use crate::error::Result;
use crate::shape::{Dims, Layout};
use crate::state::number;
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads the tensors of a file that `torch.save` wrote (`.pt`, `.pth`): of a state dict, or of dicts and lists of them, whose keys
/// and numbers are then joined by dots. Numbers and bools in them are `F64` on the CPU, as in a [`StateDict`](crate::StateDict).
/// Nothing in the file is executed; all else is passed over.
///
/// ```no_run
/// use wgrad::{Device, io::load_pt};
/// let weights = load_pt("model.pt", &Device::best()?)?;
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be read or understood, is of the format before PyTorch 1.6, or holds a type or an integer that no
/// tensor can.
///
/// Source: [torch.save](https://docs.pytorch.org/docs/stable/generated/torch.save.html).
pub fn load_pt(path: impl AsRef<Path>, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    let mut file = File::open(path).map_err(|e| failed(path, e))?;
    let mut archive = zip::ZipArchive::new(&mut file).map_err(|e| {
        let hint = "a file of PyTorch before 1.6 is none: torch.save it again";
        wrong(path, format!("no zip archive ({e}); {hint}"))
    })?;
    let names: Vec<String> = archive.file_names().filter_map(Result::ok).map(|name| name.into_owned()).collect();
    let inside = names.iter().find_map(|name| name.strip_suffix("data.pkl"));
    let root = inside.ok_or_else(|| wrong(path, "the archive has no data.pkl: torch.save did not write it"))?;
    if names.iter().any(|name| name == &format!("{root}constants.pkl")) {
        return Err(wrong(path, "it is a TorchScript program; save its state_dict instead"));
    }
    let mut contents = |name: String| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        archive.by_name(&name).map_err(|e| failed(path, e))?.read_to_end(&mut bytes).map_err(|e| failed(path, e))?;
        Ok(bytes)
    };
    let order = format!("{root}byteorder");
    if names.contains(&order) && contents(order)? != b"little" {
        return Err(wrong(path, "its numbers are big-endian"));
    }
    let value = pickle::read(&contents(format!("{root}data.pkl"))?).map_err(|what| wrong(path, what))?;
    let mut found = Vec::new();
    collect(&value, String::new(), &mut found);
    let mut storages: HashMap<String, Vec<u8>> = HashMap::new();
    let mut tensors = BTreeMap::new();
    for (name, value) in found {
        if let Some(x) = value.number() {
            tensors.insert(name, number(x));
            continue;
        }
        let about = |what: &str| wrong(path, format!("{name}: {what}"));
        let saved = Saved::of(value).ok_or_else(|| about("is no tensor of the kind that torch.save writes"))?;
        let foreign = Foreign::torch(saved.storage).ok_or_else(|| about(&format!("holds a {}", saved.storage)))?;
        if !storages.contains_key(saved.key) {
            storages.insert(saved.key.to_string(), contents(format!("{root}data/{}", saved.key))?);
        }
        let storage = &storages[saved.key];
        if saved.end().and_then(|end| end.checked_mul(foreign.size())).is_none_or(|end| end > storage.len()) {
            return Err(about(&format!("reaches beyond its storage of {} bytes", storage.len())));
        }
        let data = foreign.read(storage).map_err(|what| about(&what))?;
        tensors.insert(name, tensor(data.read(&saved.layout()), &saved.shape, device)?);
    }
    Ok(tensors)
}

/// The values that rebuild tensors, and numbers, with the path to each.
fn collect<'a>(value: &'a Value, path: String, found: &mut Vec<(String, &'a Value)>) {
    let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    match value {
        Value::Call(name, ..) if name.starts_with("torch._utils._rebuild") => found.push((path, value)),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => found.push((path, value)),
        Value::Dict(entries) => {
            for (key, value) in entries {
                match key {
                    Value::Text(key) => collect(value, below(key), found),
                    Value::Int(key) => collect(value, below(&key.to_string()), found),
                    _ => {}
                }
            }
        }
        Value::List(list) => {
            list.iter().enumerate().for_each(|(i, value)| collect(value, below(&i.to_string()), found))
        }
        _ => {}
    }
}

/// What a pickle says of a tensor.
struct Saved<'a> {
    storage: &'a str,
    key: &'a str,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Saved<'_> {
    fn of(value: &Value) -> Option<Saved<'_>> {
        let Value::Call(name, arguments, _) = value else { return None };
        if name.starts_with("torch._utils._rebuild_parameter") {
            return Saved::of(arguments.first()?);
        }
        let [Value::Outside(outside), Value::Int(offset), Value::List(shape), Value::List(strides), ..] =
            &arguments[..]
        else {
            return None;
        };
        // ("storage", class, key, location, elements)
        let Value::List(outside) = &**outside else { return None };
        let [_, Value::Global(class), Value::Text(key), ..] = &outside[..] else { return None };
        let sizes = |list: &[Value]| {
            let size = |value: &Value| if let Value::Int(n) = value { usize::try_from(*n).ok() } else { None };
            list.iter().map(size).collect::<Option<Vec<usize>>>()
        };
        Some(Saved {
            storage: class.rsplit('.').next()?,
            key,
            offset: usize::try_from(*offset).ok()?,
            shape: sizes(shape)?,
            strides: sizes(strides)?,
        })
    }

    fn layout(&self) -> Layout {
        let strides = self.strides.iter().map(|&stride| stride as isize).collect();
        Layout { shape: Dims::from_slice(&self.shape), strides, offset: self.offset }
    }

    /// One more than the place of the last element; `None` if that is no number, or the strides are not one per size.
    fn end(&self) -> Option<usize> {
        if self.shape.len() != self.strides.len() {
            return None;
        }
        if self.shape.contains(&0) {
            return Some(0);
        }
        let steps = self.shape.iter().zip(&self.strides);
        let mut last = steps.map(|(&size, &stride)| (size - 1).checked_mul(stride));
        last.try_fold(self.offset, |end, step| end.checked_add(step?))?.checked_add(1)
    }
}
