//! The text: letters as numbers, the last tenth of them set aside.

use crate::common::{Result, about};
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::Path;
use wgrad::data::Characters;

pub struct Text {
    pub letters: Characters,
    pub training: Vec<i32>,
    pub validation: Vec<i32>,
}

impl Text {
    /// Reads a text in UTF-8, packed by gzip if its name ends in `.gz`.
    pub fn read(path: &Path) -> Result<Text> {
        let bytes = std::fs::read(path).map_err(about(path))?;
        let mut text = String::new();
        match path.extension().is_some_and(|extension| extension == "gz") {
            true => GzDecoder::new(&bytes[..]).read_to_string(&mut text),
            false => bytes.as_slice().read_to_string(&mut text),
        }
        .map_err(about(path))?;
        let letters = Characters::of(&text);
        let mut training = letters.encode(&text)?;
        let validation = training.split_off(training.len() / 10 * 9);
        Ok(Text { letters, training, validation })
    }
}
