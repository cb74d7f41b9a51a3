//! What is made of the results of training a classifier: a table and a picture.

use crate::common::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// What is known after an epoch.
pub struct Epoch {
    pub train_loss: f64,
    pub test_loss: f64,
    pub test_accuracy: f64,
}

/// How often each class was read as which.
pub fn confusion_table(labels: &[i32], read: &[i32], classes: usize) -> String {
    let mut counts = vec![vec![0; classes]; classes];
    for (&label, &read) in labels.iter().zip(read) {
        counts[label as usize][read as usize] += 1;
    }
    let mut table = String::from("read as");
    (0..classes).for_each(|class| table += &format!("{class:>5}"));
    for (class, row) in counts.iter().enumerate() {
        table += &format!("\n   is {class}");
        row.iter().for_each(|&n| table += &format!("{:>5}", if n == 0 { ".".into() } else { n.to_string() }));
    }
    table + "\n"
}

/// The losses and the accuracy by epoch as an SVG picture.
pub fn draw(history: &[Epoch], path: &Path) -> Result {
    let area = SVGBackend::new(path, (960, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(480);
    let train_loss = Curve { label: "training", color: BLUE, at: |e| e.train_loss };
    let test_loss = Curve { label: "test", color: RED, at: |e| e.test_loss };
    let accuracy = Curve { label: "test", color: RED, at: |e| 100.0 * e.test_accuracy };
    let most = history.iter().fold(0.0, |m: f64, e| m.max(e.train_loss).max(e.test_loss));
    let least = history.iter().fold(0.99, |m: f64, e| m.min(e.test_accuracy));
    chart(&left, "cross entropy", 0.0..1.05 * most, history, &[train_loss, test_loss])?;
    chart(&right, "test accuracy in %", (100.0 * least).floor()..100.0, history, &[accuracy])?;
    Ok(area.present()?)
}

struct Curve {
    label: &'static str,
    color: RGBColor,
    at: fn(&Epoch) -> f64,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn chart(area: &Area, title: &str, y: Range<f64>, history: &[Epoch], curves: &[Curve]) -> Result {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d(1..history.len().max(2), y)?;
    chart.configure_mesh().x_desc("epoch").light_line_style(TRANSPARENT).draw()?;
    for &Curve { label, color, at } in curves {
        let points = history.iter().enumerate().map(|(i, e)| (i + 1, at(e)));
        let key = move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2));
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?.label(label).legend(key);
    }
    if curves.len() > 1 {
        let labels = &mut chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperRight).border_style(BLACK).background_style(WHITE).draw()?;
    }
    Ok(())
}
