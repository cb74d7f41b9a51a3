//! The images: read from a file that may be wrong, split, and put on a device.

use crate::common::{Result, about};
use std::path::Path;
use wgrad::{Device, Tensor};

pub const PIXELS: usize = 64;
pub const CLASSES: usize = 10;
/// Images in the set: a file with fewer has lost some.
const IMAGES: usize = 1797;
/// The split is the same whatever `--seed` says, so that results can be compared.
const SPLIT_SEED: u64 = 1998;

/// One line of the file: the pixels and the label.
pub type Image = [u8; PIXELS + 1];

/// Reads the images; an error says what is wrong in which line.
pub fn read(path: &Path) -> Result<Vec<Image>> {
    let bytes = std::fs::read(path).map_err(about(path))?;
    let text = String::from_utf8_lossy(&bytes);
    let wrong = |line, what| format!("{}:{line}: {what}", path.display());
    let mut images = Vec::with_capacity(IMAGES);
    for (i, line) in text.trim_end().lines().enumerate() {
        images.push(image(line).map_err(|what| wrong(i + 1, what))?);
    }
    if images.len() < IMAGES {
        let what = format!("the file ends after {} images, and the set has {IMAGES}", images.len());
        return Err(wrong(images.len() + 1, what).into());
    }
    Ok(images)
}

fn image(line: &str) -> Result<Image, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let mut image = [0; PIXELS + 1];
    if fields.len() != image.len() {
        return Err(format!("expected {PIXELS} pixels and a label, found {} fields", fields.len()));
    }
    for (i, (value, field)) in image.iter_mut().zip(&fields).enumerate() {
        let (what, most) = if i < PIXELS { ("pixel", 16) } else { ("label", CLASSES as u8 - 1) };
        let number = field.parse().ok().filter(|&number| number <= most);
        *value =
            number.ok_or_else(|| format!("field {}: expected a {what} from 0 to {most}, found {field:?}", i + 1))?;
    }
    Ok(image)
}

/// Four fifths of the images to learn from, and the rest.
pub fn split(images: Vec<Image>) -> Result<(Vec<Image>, Vec<Image>)> {
    let cpu = Device::cpu();
    cpu.manual_seed(SPLIT_SEED);
    let order = Tensor::randperm(images.len(), &cpu).to_vec::<i32>()?;
    let mut seen: Vec<Image> = order.iter().map(|&i| images[i as usize]).collect();
    let unseen = seen.split_off(images.len() * 4 / 5);
    Ok((seen, unseen))
}

/// Images and their labels on a device.
pub struct Set {
    /// `[images, 64]`, from 0 to 1.
    pub x: Tensor,
    /// `[images]`
    pub y: Tensor,
}

impl Set {
    pub fn new(images: &[Image], dev: &Device) -> Set {
        let pixels: Vec<f32> = images.iter().flat_map(|image| &image[..PIXELS]).map(|&p| p as f32 / 16.0).collect();
        let labels: Vec<u8> = images.iter().map(|image| image[PIXELS]).collect();
        Set { x: Tensor::from_slice(&pixels, [images.len(), PIXELS], dev), y: Tensor::new(labels, dev) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with these contents.
    fn refused(name: &str, contents: &str) -> String {
        let path = std::env::temp_dir().join(format!("wgrad-{}-{name}.csv", std::process::id()));
        std::fs::write(&path, contents).unwrap();
        let error = read(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        let (_, text) = error.split_once(".csv:").unwrap_or_else(|| panic!("{error} names no line"));
        text.to_owned()
    }

    #[test]
    fn the_set_is_whole() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv"));
        assert_eq!(read(path).unwrap().len(), IMAGES);
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line() {
        let line = ["3"; PIXELS + 1].join(",");
        assert_eq!(
            refused("short", &format!("{line}\n{line}\n")),
            "3: the file ends after 2 images, and the set has 1797"
        );
        assert_eq!(refused("cut", &format!("{line}\n3,3,")), "2: expected 64 pixels and a label, found 3 fields");
        let bad = line.replacen('3', "17", 1);
        assert_eq!(refused("bright", &bad), "1: field 1: expected a pixel from 0 to 16, found \"17\"");
        assert_eq!(refused("binary", "\0\u{fffd}"), "1: expected 64 pixels and a label, found 1 fields");
        let missing = read(Path::new("no-such-file.csv")).unwrap_err().to_string();
        assert!(missing.starts_with("no-such-file.csv: "), "{missing}");
    }
}
