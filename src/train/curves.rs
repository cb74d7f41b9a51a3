//! Learning curves: numbers over steps, and pictures of them.

use super::log::read_lines;
use crate::error::Result;
#[cfg(feature = "plots")]
use crate::error::{Error, Kind};
use std::collections::BTreeMap;
use std::path::Path;

/// Numbers by name and step. In a name, what stands before `/` is the chart, and what stands after it the curve:
/// `loss/training` and `loss/test` are two curves of one chart.
///
/// ```
/// use wgrad::train::Curves;
/// let mut curves = Curves::new();
/// for step in 0..50 {
///     curves.scalar("loss/training", step, 1.0 / (1.0 + step as f64));
/// }
/// # let path = std::env::temp_dir().join(format!("wgrad-curves-example-{}.svg", std::process::id()));
/// # #[cfg(feature = "plots")]
/// curves.save(&path)?; // "loss.svg"
/// # let _ = std::fs::remove_file(&path);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Curves {
    points: BTreeMap<String, BTreeMap<u64, f64>>,
}

impl Curves {
    /// No curves yet.
    pub fn new() -> Curves {
        Curves::default()
    }

    /// The curves of a file that [`Log::json_lines`](super::Log::json_lines) wrote. Of a step that stands there twice, as where
    /// a run was resumed, the later number counts.
    ///
    /// # Errors
    /// If the file cannot be read: the error names the line.
    pub fn read(path: impl AsRef<Path>) -> Result<Curves> {
        let mut curves = Curves::new();
        read_lines(path.as_ref())?.into_iter().for_each(|(step, name, x)| curves.scalar(&name, step, x));
        Ok(curves)
    }

    /// Adds a number.
    pub fn scalar(&mut self, name: &str, step: u64, x: f64) {
        self.points.entry(name.to_string()).or_default().insert(step, x);
    }

    /// A curve: steps in their order, and numbers; empty if there is none of that name.
    pub fn points(&self, name: &str) -> Vec<(u64, f64)> {
        self.points.get(name).map(|points| points.iter().map(|(&step, &x)| (step, x)).collect()).unwrap_or_default()
    }

    /// Draws the charts side by side as an SVG picture; what is not finite is left out.
    ///
    /// # Errors
    /// If there is nothing to draw, or the file cannot be written.
    #[cfg(feature = "plots")]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let charts = self.charts();
        if charts.is_empty() {
            return Err(Error::new(Kind::Data, format!("{}: there is no curve to draw", path.display())));
        }
        let mut svg = String::new();
        picture::draw(&charts, &mut svg)
            .map_err(|error| Error::new(Kind::Data, format!("{}: {error}", path.display())))?;
        crate::io::write_whole(path, |file| {
            std::io::Write::write_all(file, svg.as_bytes()).map_err(|e| crate::io::failed(path, e))
        })
    }

    /// The finite points of each curve, by chart.
    #[cfg(feature = "plots")]
    fn charts(&self) -> BTreeMap<&str, Vec<Curve<'_>>> {
        let mut charts: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (name, points) in &self.points {
            let (chart, curve) = name.split_once('/').unwrap_or((name, ""));
            let finite = points.iter().filter(|(_, x)| x.is_finite());
            let points: Vec<(f64, f64)> = finite.map(|(&step, &x)| (step as f64, x)).collect();
            if !points.is_empty() {
                charts.entry(chart).or_default().push((curve, points));
            }
        }
        charts
    }
}

/// A name, and points.
#[cfg(feature = "plots")]
type Curve<'a> = (&'a str, Vec<(f64, f64)>);

#[cfg(feature = "plots")]
mod picture {
    use super::Curve;
    use plotters::coord::Shift;
    use plotters::prelude::*;
    use std::collections::BTreeMap;
    use std::error::Error;

    const SIZE: (u32, u32) = (480, 360);
    /// Colours that people who cannot tell red from green can tell apart: Okabe and Ito, 2008.
    const COLORS: [RGBColor; 6] = [
        RGBColor(0, 114, 178),
        RGBColor(213, 94, 0),
        RGBColor(0, 158, 115),
        RGBColor(204, 121, 167),
        RGBColor(230, 159, 0),
        RGBColor(86, 180, 233),
    ];

    pub fn draw(charts: &BTreeMap<&str, Vec<Curve>>, svg: &mut String) -> Result<(), Box<dyn Error>> {
        let width = SIZE.0 * charts.len() as u32;
        let area = SVGBackend::with_string(svg, (width, SIZE.1)).into_drawing_area();
        area.fill(&WHITE)?;
        for (area, (title, curves)) in area.split_evenly((1, charts.len())).iter().zip(charts) {
            chart(area, title, curves)?;
        }
        area.present()?;
        Ok(())
    }

    fn chart(area: &DrawingArea<SVGBackend, Shift>, title: &str, curves: &[Curve]) -> Result<(), Box<dyn Error>> {
        let points = || curves.iter().flat_map(|(_, points)| points);
        let (x, y) = (range(points().map(|p| p.0)), range(points().map(|p| p.1)));
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        let digits = (1.0 - (y.1 - y.0).log10()).ceil().clamp(0.0, 12.0) as usize;
        chart
            .configure_mesh()
            .x_desc("step")
            .x_labels(6)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.digits$}"))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for ((name, points), color) in curves.iter().zip(COLORS.iter().cycle()) {
            let line = color.stroke_width(2);
            let series = chart.draw_series(LineSeries::new(points.iter().copied(), line))?;
            if !name.is_empty() {
                series.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], line));
            }
            // A curve of a few points would hide where they are, and one of a single point itself.
            if points.len() <= 30 {
                chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, color.filled())))?;
            }
        }
        if curves.iter().any(|(name, _)| !name.is_empty()) {
            let labels = &mut chart.configure_series_labels();
            labels.position(SeriesLabelPosition::UpperRight).border_style(BLACK).background_style(WHITE).draw()?;
        }
        Ok(())
    }

    /// From the least to the greatest, with some room where they are one.
    fn range(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
        let (least, most) =
            numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), x| (least.min(x), most.max(x)));
        let room = if least < most { 0.05 * (most - least) } else { 0.5 * least.abs().max(1.0) };
        (least - room, most + room)
    }
}
