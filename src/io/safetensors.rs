//! Safetensors files.

use super::foreign::{Foreign, bytes, tensor};
use super::{failed, write_whole, wrong};
use crate::dtype::DType;
use crate::elements::Data;
use crate::error::{Error, Kind, Result};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Writes tensors under their names. It waits for their values.
///
/// # Errors
/// If a value cannot be computed, or the file not be written; an older file of the name is then as it was.
///
/// Source: [safetensors](https://huggingface.co/docs/safetensors).
pub fn save_safetensors(path: impl AsRef<Path>, tensors: &[(String, Tensor)]) -> Result<()> {
    let path = path.as_ref();
    let mut read: Vec<(&str, Vec<usize>, Data)> = Vec::with_capacity(tensors.len());
    for (name, x) in tensors {
        read.push((name, x.shape().to_vec(), x.to_data()?));
    }
    let bytes: Vec<_> = read.iter().map(|(.., data)| bytes(data)).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, shape, data), bytes) in read.iter().zip(&bytes) {
        let view = TensorView::new(written(data.dtype()), shape.clone(), bytes).map_err(|e| failed(path, e))?;
        views.push((*name, view));
    }
    let all = safetensors::serialize(views, None).map_err(|e| failed(path, e))?;
    write_whole(path, |file| file.write_all(&all).map_err(|e| failed(path, e)))
}

/// Reads all tensors of a file.
///
/// # Errors
/// If the file cannot be read or understood, or holds a type or an integer that no tensor can.
///
/// Source: [safetensors](https://huggingface.co/docs/safetensors).
pub fn load_safetensors(path: impl AsRef<Path>, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|e| failed(path, e))?;
    load_safetensors_bytes(&bytes, device).map_err(|e| wrong(path, e))
}

/// [`load_safetensors`] of the contents of a file.
///
/// # Errors
/// As [`load_safetensors`].
pub fn load_safetensors_bytes(bytes: &[u8], device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let refused = |what: String| Error::new(Kind::Data, what);
    let file = SafeTensors::deserialize(bytes).map_err(|e| refused(format!("no safetensors: {e}")))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let foreign = read(view.dtype()).ok_or_else(|| refused(format!("{name} is of type {:?}", view.dtype())))?;
        let data = foreign.read(view.data()).map_err(|what| refused(format!("{name} {what}")))?;
        tensors.insert(name.to_string(), tensor(data, view.shape(), device)?);
    }
    Ok(tensors)
}

fn written(dtype: DType) -> Dtype {
    match dtype {
        DType::Bool => Dtype::BOOL,
        DType::U32 => Dtype::U32,
        DType::I32 => Dtype::I32,
        DType::BF16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
    }
}

fn read(dtype: Dtype) -> Option<Foreign> {
    Some(match dtype {
        Dtype::BOOL => Foreign::Bool,
        Dtype::U8 => Foreign::U8,
        Dtype::I8 => Foreign::I8,
        Dtype::U16 => Foreign::U16,
        Dtype::I16 => Foreign::I16,
        Dtype::U32 => Foreign::U32,
        Dtype::I32 => Foreign::I32,
        Dtype::U64 => Foreign::U64,
        Dtype::I64 => Foreign::I64,
        Dtype::F16 => Foreign::F16,
        Dtype::BF16 => Foreign::BF16,
        Dtype::F32 => Foreign::F32,
        Dtype::F64 => Foreign::F64,
        _ => return None,
    })
}
