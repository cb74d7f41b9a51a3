//! Three maps over place and moment: what the network says, what is true, and the difference.

use crate::common::Result;
use plotters::prelude::*;
use std::path::Path;

const SIZE: u32 = 320;

/// Draws maps of `n` x `n` values, a row per moment.
pub fn draw(path: &Path, u: &[f32], exact: &[f32], n: usize) -> Result {
    let area = SVGBackend::new(path, (3 * SIZE, SIZE + 20)).into_drawing_area();
    area.fill(&WHITE)?;
    let difference: Vec<f32> = u.iter().zip(exact).map(|(u, exact)| u - exact).collect();
    let most = difference.iter().fold(0.0f32, |most, d| most.max(d.abs()));
    let maps = [
        ("the network".to_string(), u, 1.0),
        ("exact".to_string(), exact, 1.0),
        (format!("difference, at most {most:.4}"), &difference[..], most),
    ];
    for (map, (title, values, scale)) in area.split_evenly((1, 3)).iter().zip(maps) {
        let mut chart = ChartBuilder::on(map)
            .caption(title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(32)
            .y_label_area_size(40)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
        chart.configure_mesh().disable_mesh().x_desc("place x").y_desc("moment t").draw()?;
        let step = 1.0 / n as f64;
        let cell = |i: usize| {
            let (x, t) = ((i % n) as f64 * step, (i / n) as f64 * step);
            Rectangle::new([(x, t), (x + step, t + step)], color(values[i] / scale).filled())
        };
        chart.draw_series((0..n * n).map(cell))?;
    }
    Ok(area.present()?)
}

/// White at 0, red at 1, blue at -1.
fn color(x: f32) -> RGBColor {
    let fade = |full: f32| (255.0 - x.abs().min(1.0) * (255.0 - full)) as u8;
    if x >= 0.0 { RGBColor(fade(200.0), fade(30.0), fade(30.0)) } else { RGBColor(fade(30.0), fade(60.0), fade(200.0)) }
}
