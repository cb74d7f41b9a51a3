//! IDX files, as MNIST and its relatives come in.

use crate::elements::Data;
use crate::error::{Error, Kind, Result};
use std::io::Read;
use std::path::Path;

/// Reads an IDX file, packed by gzip or not: the elements, and their shape. Bytes become `I32`.
///
/// ```no_run
/// use wgrad::{Device, Tensor, data::read_idx};
/// let (images, shape) = read_idx("train-images-idx3-ubyte.gz")?; // shape [60000, 28, 28]
/// let x = Tensor::from_data(images, &shape, &Device::best()?)?;
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be read, is no IDX file, or ends early.
///
/// Source: [the MNIST database](http://yann.lecun.com/exdb/mnist/), "The IDX file format".
pub fn read_idx(path: impl AsRef<Path>) -> Result<(Data, Vec<usize>)> {
    let path = path.as_ref();
    let wrong = |what: String| Error::new(Kind::Data, format!("{}: {what}", path.display()));
    let bytes = unpacked(path).map_err(|e| Error::with_source(Kind::Data, format!("{}: {e}", path.display()), e))?;
    let [0, 0, kind, rank, rest @ ..] = &bytes[..] else {
        return Err(wrong(format!("no IDX file: it begins with {:?}", &bytes[..bytes.len().min(4)])));
    };
    let rank = *rank as usize;
    let Some((sizes, elements)) = rest.split_at_checked(4 * rank) else {
        return Err(wrong(format!("it ends within the {rank} sizes")));
    };
    let shape: Vec<usize> = sizes.chunks(4).map(|n| u32::from_be_bytes([n[0], n[1], n[2], n[3]]) as usize).collect();
    let words = |size: usize| elements.chunks_exact(size);
    let data = match kind {
        0x08 => Data::I32(elements.iter().map(|&x| x as i32).collect()),
        0x09 => Data::I32(elements.iter().map(|&x| x as i8 as i32).collect()),
        0x0b => Data::I32(words(2).map(|x| i16::from_be_bytes([x[0], x[1]]) as i32).collect()),
        0x0c => Data::I32(words(4).map(|x| i32::from_be_bytes([x[0], x[1], x[2], x[3]])).collect()),
        0x0d => Data::F32(words(4).map(|x| f32::from_be_bytes([x[0], x[1], x[2], x[3]])).collect()),
        0x0e => Data::F64(words(8).map(|x| f64::from_be_bytes(x.try_into().expect("eight bytes"))).collect()),
        other => return Err(wrong(format!("no IDX type has the number {other:#04x}"))),
    };
    let expected = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    if expected != Some(data.len()) {
        return Err(wrong(format!("{} elements for the shape {shape:?}", data.len())));
    }
    Ok((data, shape))
}

fn unpacked(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}
