//! Tensors in files: safetensors, NPY and NPZ both ways, and PyTorch's state dicts, read without executing anything.
//!
//! ```
//! use wgrad::io::{load_safetensors, save_safetensors};
//! use wgrad::{Device, Tensor};
//! let dev = Device::cpu();
//! let path = std::env::temp_dir().join("wgrad-io-example.safetensors");
//! save_safetensors(&path, &[("fc.weight".into(), Tensor::eye([2, 2], &dev))])?;
//! let weights = load_safetensors(&path, &dev)?;
//! assert_eq!(weights["fc.weight"].to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! A file is written beside its place and renamed into it, so that there is the old one or the new one, and never a part.
//! Integers of 64 bits are read as `I32` if they fit, and are an error otherwise; `F64` becomes `F32` on devices that
//! have no doubles.

mod checkpoint;
mod foreign;
mod npy;
#[cfg(feature = "zip")]
mod npz;
#[cfg(feature = "zip")]
mod pickle;
#[cfg(feature = "zip")]
mod pt;
mod safetensors;

pub use checkpoint::{Best, Checkpoint, Checkpoints};
pub use npy::{load_npy, save_npy};
#[cfg(feature = "zip")]
pub use npz::{load_npz, save_npz};
#[cfg(feature = "zip")]
pub use pt::load_pt;
pub use safetensors::{load_safetensors, load_safetensors_bytes, save_safetensors};

use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// An error of a file, with the file's name.
pub(crate) fn wrong(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Data, format!("{}: {what}", path.display()))
}

/// The same, with what caused it.
pub(crate) fn failed(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::with_source(Kind::Data, format!("{}: {error}", path.display()), error)
}

/// Writes a file whole or not at all: beside its place first, to the disk, and then under its name.
pub(crate) fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().ok_or_else(|| wrong(path, "is no name of a file"))?.to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside).map_err(|e| failed(path, e))?;
    let written = write(&mut file)
        .and_then(|()| file.flush().and_then(|()| file.sync_all()).map_err(|e| failed(path, e)))
        .and_then(|()| std::fs::rename(&beside, path).map_err(|e| failed(path, e)));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    // The name is on the disk when the folder is.
    if let (Ok(()), Some(folder)) = (&written, path.parent()) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    written
}
