//! Folders of images, one folder per class.

use super::sets::Dataset;
use super::stack::Array;
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// How [`ImageFolder`] reads images.
#[derive(Clone, Debug, Default)]
pub struct ImageOptions {
    /// Height and width that images are resized to; without it they keep their own, and must agree within a batch.
    pub size: Option<[usize; 2]>,
    /// Whether one grey channel is read instead of red, green and blue: no.
    pub grey: bool,
}

/// The images (PNG, JPEG) of a folder whose folders are the classes: a sample is an array of shape `[channels, height, width]`
/// with values from 0 to 1, and the number of its class.
///
/// ```no_run
/// use wgrad::data::{ImageFolder, ImageOptions};
/// let images = ImageFolder::read("pets", ImageOptions { size: Some([64, 64]), ..Default::default() })?;
/// assert_eq!(images.classes(), ["cat", "dog"]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torchvision.datasets.ImageFolder](https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html).
#[derive(Clone, Debug)]
pub struct ImageFolder {
    classes: Vec<String>,
    images: Vec<(PathBuf, i32)>,
    options: ImageOptions,
}

impl ImageFolder {
    /// Lists the images; they are read when they are asked for. Classes and images are in the order of their names.
    ///
    /// # Errors
    /// If a folder cannot be read, or holds no images.
    pub fn read(root: impl AsRef<Path>, options: ImageOptions) -> Result<ImageFolder> {
        let root = root.as_ref();
        let (mut classes, mut images) = (Vec::new(), Vec::new());
        for folder in listed(root)?.into_iter().filter(|path| path.is_dir()) {
            let class = classes.len() as i32;
            classes.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
            let is_image = |path: &PathBuf| {
                let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
                ["png", "jpg", "jpeg"].iter().any(|known| extension == *known)
            };
            images.extend(listed(&folder)?.into_iter().filter(is_image).map(|path| (path, class)));
        }
        if images.is_empty() {
            return Err(Error::new(Kind::Data, format!("{}: no folders with images", root.display())));
        }
        Ok(ImageFolder { classes, images, options })
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |e| Error::with_source(Kind::Data, format!("{}: {e}", folder.display()), e);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).and_then(|all| all.map(|entry| Ok(entry?.path())).collect()).map_err(wrong)?;
    paths.sort();
    Ok(paths)
}

impl Dataset for ImageFolder {
    type Item = (Array<f32>, i32);

    fn len(&self) -> usize {
        self.images.len()
    }

    fn get(&self, i: usize) -> Result<Self::Item> {
        let (path, class) = &self.images[i];
        let wrong = |e| Error::with_source(Kind::Data, format!("{}: {e}", path.display()), e);
        let mut image = image::open(path).map_err(wrong)?;
        if let Some([height, width]) = self.options.size {
            image = image.resize_exact(width as u32, height as u32, image::imageops::FilterType::Triangle);
        }
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (bytes, channels) = match self.options.grey {
            true => (image.into_luma8().into_raw(), 1),
            false => (image.into_rgb8().into_raw(), 3),
        };
        let pixels = width * height;
        let element = |i: usize| bytes[i % pixels * channels + i / pixels] as f32 / 255.0;
        let elements = (0..pixels * channels).map(element).collect();
        Ok((Array { elements, shape: vec![channels, height, width] }, *class))
    }
}
