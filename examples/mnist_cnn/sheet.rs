//! A sheet of images that the network misreads.

use crate::common::Result;
use crate::data::Set;
use plotters::prelude::*;
use std::path::Path;
use wgrad::data::Dataset;

const COLUMNS: usize = 10;
const ROWS: usize = 5;
/// The side of an image on the sheet, and the height of the line below it.
const SIDE: usize = 88;
const LINE: usize = 20;

/// What the network says of an image.
pub struct Reading {
    pub label: i32,
    pub read: i32,
    /// The probability it gives to that.
    pub sure: f32,
}

/// Draws those misread images of which the network was surest.
pub fn draw(set: &Set, readings: &[Reading], path: &Path) -> Result {
    let area = SVGBackend::new(path, ((COLUMNS * SIDE) as u32, (ROWS * (SIDE + LINE)) as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut wrong: Vec<usize> = (0..readings.len()).filter(|&i| readings[i].label != readings[i].read).collect();
    wrong.sort_by(|&i, &j| readings[j].sure.total_cmp(&readings[i].sure));
    for (place, &i) in wrong.iter().take(COLUMNS * ROWS).enumerate() {
        let (left, top) = (place % COLUMNS * SIDE, place / COLUMNS * (SIDE + LINE));
        let (image, _) = set.get(i)?;
        let (height, width) = (image.shape[1], image.shape[2]);
        let cell = (SIDE - 4) / height.max(width);
        for (k, &x) in image.elements.iter().enumerate().filter(|(_, x)| **x > 0.0) {
            let (x0, y0) = ((left + 2 + k % width * cell) as i32, (top + 2 + k / width * cell) as i32);
            let grey = (255.0 * (1.0 - x)) as u8;
            let corners = [(x0, y0), (x0 + cell as i32, y0 + cell as i32)];
            area.draw(&Rectangle::new(corners, RGBColor(grey, grey, grey).filled()))?;
        }
        let Reading { label, read, sure } = readings[i];
        let text = format!("{label}, read {read}: {:.0} %", 100.0 * sure);
        area.draw(&Text::new(text, ((left + 2) as i32, (top + SIDE) as i32), ("sans-serif", 11)))?;
    }
    Ok(area.present()?)
}
