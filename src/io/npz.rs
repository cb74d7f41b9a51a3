//! NPZ files: zip archives of NPY files.

use super::npy::{decoded, encoded};
use super::{failed, write_whole, wrong};
use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;

/// Writes tensors under their names, as `numpy.savez` does. It waits for their values.
///
/// # Errors
/// If a value cannot be computed, or the file not be written; an older file of the name is then as it was.
///
/// Source: [numpy.savez](https://numpy.org/doc/stable/reference/generated/numpy.savez.html).
pub fn save_npz(path: impl AsRef<Path>, tensors: &[(String, Tensor)]) -> Result<()> {
    let path = path.as_ref();
    write_whole(path, |file| {
        let mut archive = zip::ZipWriter::new(file);
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(true);
        for (name, x) in tensors {
            archive.start_file(format!("{name}.npy"), stored).map_err(|e| failed(path, e))?;
            archive.write_all(&encoded(x)?).map_err(|e| failed(path, e))?;
        }
        archive.finish().map_err(|e| failed(path, e)).map(drop)
    })
}

/// Reads all tensors of a file, packed or not.
///
/// # Errors
/// If the file cannot be read or understood, or holds a type or an integer that no tensor can.
///
/// Source: [numpy.load](https://numpy.org/doc/stable/reference/generated/numpy.load.html).
pub fn load_npz(path: impl AsRef<Path>, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| failed(path, e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| failed(path, e))?;
    let mut tensors = BTreeMap::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(|e| failed(path, e))?;
        let name = entry.name().map_err(|e| failed(path, e))?.into_owned();
        let Some(name) = name.strip_suffix(".npy") else { continue };
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).map_err(|e| failed(path, e))?;
        let x = decoded(&contents, device).map_err(|what| wrong(path, format!("{name}: {what}")))??;
        tensors.insert(name.to_string(), x);
    }
    Ok(tensors)
}
