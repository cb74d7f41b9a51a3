//! The images: from the four files of MNIST and its relatives, or from the digits that lie beside the examples.

use crate::common::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wgrad::data::{Array, CsvOptions, Dataset, Part, Subset, Table, random_split, read_idx};
use wgrad::{Data, Device};

pub const CLASSES: usize = 10;
/// Where the Debian package dataset-fashion-mnist puts its files.
const FASHION: &str = "/usr/share/datasets/fashion-mnist";
const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");
/// The digits come in one file, whose split is the same whatever `--seed` says.
const SPLIT_SEED: u64 = 1998;

/// Grey images of one size, a byte per pixel, and their classes. A batch of 128 is made when it is asked for: as floats on a
/// device, all of MNIST would be 188 MB, more than some adapters have in one piece.
pub struct Images {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    size: [usize; 2],
}

impl Dataset for Images {
    type Item = (Array<f32>, i32);

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn get(&self, i: usize) -> wgrad::Result<(Array<f32>, i32)> {
        let [height, width] = self.size;
        let pixels = &self.pixels[i * height * width..][..height * width];
        let elements = pixels.iter().map(|&p| p as f32 / 255.0).collect();
        Ok((Array { elements, shape: vec![1, height, width] }, self.labels[i] as i32))
    }
}

/// Some of the images.
pub type Set = Subset<Arc<Images>>;

/// What there is to learn from and to be tested on.
pub struct Sets {
    pub name: String,
    /// Height and width of all images.
    pub size: [usize; 2],
    pub training: Set,
    pub test: Set,
}

/// Reads the images, at most `limit` of each part; without a folder those that are installed, or the digits.
pub fn read(folder: Option<&Path>, limit: usize) -> Result<Sets> {
    let folder = match folder {
        Some(folder) => folder,
        None if Path::new(FASHION).is_dir() => Path::new(FASHION),
        None => {
            println!(
                "no --data DIR, and no {FASHION} (Debian: apt install dataset-fashion-mnist): \
                 taking the 8 x 8 digits in {DIGITS}"
            );
            return digits(limit);
        }
    };
    let part = |name: &str| {
        let images = idx(folder, name)?;
        let n = images.len().min(limit);
        Ok::<_, Error>((images.size, Subset::new(Arc::new(images), (0..n).collect())))
    };
    let ((size, training), (other, test)) = (part("train")?, part("t10k")?);
    if size != other {
        return Err(format!("{}: images of {size:?} to learn, and of {other:?} to test", folder.display()).into());
    }
    Ok(Sets { name: folder.display().to_string(), size, training, test })
}

/// One part of the set: `NAME-images-idx3-ubyte` and `NAME-labels-idx1-ubyte`, packed or not.
fn idx(folder: &Path, name: &str) -> Result<Images> {
    let bytes = |path: &Path| {
        let (data, shape) = read_idx(path)?;
        let bytes = match &data {
            Data::I32(numbers) => numbers.iter().map(|&x| u8::try_from(x).ok()).collect(),
            _ => None,
        };
        let bytes: Vec<u8> = bytes.ok_or_else(|| format!("{}: its elements are no bytes", path.display()))?;
        Ok::<_, Error>((bytes, shape))
    };
    let (image_file, label_file) =
        (file(folder, &format!("{name}-images-idx3-ubyte"))?, file(folder, &format!("{name}-labels-idx1-ubyte"))?);
    let ((pixels, shape), (labels, _)) = (bytes(&image_file)?, bytes(&label_file)?);
    let [n, height @ 4..=usize::MAX, width @ 4..=usize::MAX] = shape[..] else {
        return Err(format!("{}: images of at least 4 x 4 pixels, not {shape:?}", image_file.display()).into());
    };
    if n != labels.len() {
        return Err(format!("{}: {} labels for {n} images", label_file.display(), labels.len()).into());
    }
    if let Some((i, label)) = labels.iter().enumerate().find(|(_, label)| **label as usize >= CLASSES) {
        return Err(format!("{}: label {i} is {label}, not below {CLASSES}", label_file.display()).into());
    }
    Ok(Images { pixels, labels, size: [height, width] })
}

fn file(folder: &Path, name: &str) -> Result<PathBuf> {
    let paths = [folder.join(name), folder.join(format!("{name}.gz"))];
    paths.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let folder = folder.display();
        format!(
            "{folder}: there is no {name} or {name}.gz. The Debian package dataset-fashion-mnist puts Fashion-MNIST into {FASHION}"
        )
        .into()
    })
}

fn digits(limit: usize) -> Result<Sets> {
    let table = Table::read(DIGITS, CsvOptions { has_headers: false, ..Default::default() })?;
    let columns: Vec<&str> = table.columns().iter().map(String::as_str).collect();
    let (label, pixels) = columns.split_last().ok_or_else(|| format!("{DIGITS}: it is empty"))?;
    let bytes = |columns: &[&str], most: f32| {
        let numbers = table.tensor(columns, &Device::cpu())?.to_vec::<f32>()?;
        Ok::<_, Error>(numbers.into_iter().map(|x| (x * 255.0 / most) as u8).collect::<Vec<_>>())
    };
    let size = [8, 8];
    let images = Images { pixels: bytes(pixels, 16.0)?, labels: bytes(&[label], 255.0)?, size };
    let n = images.len();
    let (training, test) = ((n * 4 / 5).min(limit), (n / 5).min(limit));
    let sizes = [training, test, n - training - test].map(Part::Samples);
    let parts = random_split(images, &sizes, SPLIT_SEED);
    Ok(Sets { name: DIGITS.into(), size, training: parts[0].clone(), test: parts[1].clone() })
}
