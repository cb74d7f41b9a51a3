//! NPY files: one array of NumPy's.

use super::foreign::{Foreign, bytes, tensor};
use super::{failed, write_whole, wrong};
use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use std::io::Write;
use std::path::Path;

/// Writes a tensor; `BF16`, which NumPy has not, as `F32`. It waits for the value.
///
/// # Errors
/// If the value cannot be computed, or the file not be written.
///
/// Source: [numpy.lib.format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
pub fn save_npy(path: impl AsRef<Path>, x: &Tensor) -> Result<()> {
    let path = path.as_ref();
    let contents = encoded(x)?;
    write_whole(path, |file| file.write_all(&contents).map_err(|e| failed(path, e)))
}

/// Reads a tensor. Arrays in Fortran's order are brought into ours.
///
/// # Errors
/// If the file cannot be read or understood, or holds a type or an integer that no tensor can.
///
/// Source: [numpy.lib.format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
pub fn load_npy(path: impl AsRef<Path>, device: &Device) -> Result<Tensor> {
    let path = path.as_ref();
    decoded(&std::fs::read(path).map_err(|e| failed(path, e))?, device).map_err(|e| wrong(path, e))?
}

/// The contents of a file.
pub(super) fn encoded(x: &Tensor) -> Result<Vec<u8>> {
    let data = match x.to_data()? {
        data if data.dtype() == crate::DType::BF16 => data.cast(crate::DType::F32),
        data => data,
    };
    let sizes: String = x.shape().iter().map(|size| format!("{size}, ")).collect();
    let descr = Foreign::from(data.dtype()).descr();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // The elements begin at a multiple of 64 bytes.
    let padding = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut contents = b"\x93NUMPY\x01\x00".to_vec();
    contents.extend((header.len() as u16).to_le_bytes());
    contents.extend(header.as_bytes());
    contents.extend(&*bytes(&data));
    Ok(contents)
}

/// The tensor that the contents of a file are, or what is wrong with them.
pub(super) fn decoded(contents: &[u8], device: &Device) -> Result<Result<Tensor>, String> {
    let rest = contents.strip_prefix(b"\x93NUMPY").ok_or("no NPY file")?;
    let (header, elements) = match rest {
        [1, _, a, b, rest @ ..] => rest.split_at_checked(u16::from_le_bytes([*a, *b]) as usize),
        [2 | 3, _, a, b, c, d, rest @ ..] => rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => None,
    }
    .ok_or("it ends within its header")?;
    let header = std::str::from_utf8(header).map_err(|e| e.to_string())?;
    let entry = |key: &str| {
        let rest = header.split_once(key)?.1.trim_start_matches(['\'', '"', ':', ' ']);
        Some(rest)
    };
    let missing = |key: &str| format!("its header has no {key}: {header}");
    let descr = entry("descr").and_then(|rest| rest.split(['\'', '"']).next()).ok_or_else(|| missing("descr"))?;
    let fortran = entry("fortran_order").ok_or_else(|| missing("fortran_order"))?.starts_with("True");
    let sizes =
        entry("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or_else(|| missing("shape"))?.0;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes.map(str::parse).collect::<Result<_, _>>().map_err(|_| missing("shape of numbers"))?;
    let foreign = Foreign::npy(descr).ok_or_else(|| format!("elements of type {descr}"))?;
    let expected = shape.iter().try_fold(foreign.size(), |n, &size| n.checked_mul(size));
    if expected != Some(elements.len()) {
        return Err(format!("{} bytes for {shape:?} elements of {} bytes", elements.len(), foreign.size()));
    }
    let data = foreign.read(elements)?;
    if !fortran {
        return Ok(tensor(data, &shape, device));
    }
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let order: Vec<isize> = (0..shape.len() as isize).rev().collect();
    Ok(tensor(data, &reversed, device).map(|x| x.permute(order).contiguous()))
}
