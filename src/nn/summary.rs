//! A module as a table.

use crate::tensor::Tensor;
use std::fmt::Write;

/// A line for each parameter and buffer, and the sums.
pub(super) fn summary(parameters: Vec<(String, Tensor)>, buffers: Vec<(String, Tensor)>) -> String {
    let bytes = |x: &Tensor| x.numel() * x.dtype().size();
    let row = |(name, x): &(String, Tensor), what: &str| {
        [
            name.clone(),
            format!("{:?}", x.shape()),
            x.dtype().to_string(),
            x.numel().to_string(),
            bytes(x).to_string(),
            what.into(),
        ]
    };
    let head = ["name", "shape", "dtype", "elements", "bytes", ""].map(String::from);
    let mut rows = vec![head];
    for p in &parameters {
        rows.push(row(p, if p.1.requires_grad() { "" } else { "frozen" }));
    }
    rows.extend(buffers.iter().map(|b| row(b, "buffer")));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for [name, shape, dtype, elements, size, what] in &rows {
        let line = format!(
            "{name:<0$}  {shape:<1$}  {dtype:<2$}  {elements:>3$}  {size:>4$}  {what}",
            widths[0], widths[1], widths[2], widths[3], widths[4]
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let count = |all: &mut dyn Iterator<Item = &(String, Tensor)>| all.map(|(_, p)| p.numel()).sum::<usize>();
    let (all, trained) =
        (count(&mut parameters.iter()), count(&mut parameters.iter().filter(|(_, p)| p.requires_grad())));
    let size: usize = parameters.iter().chain(&buffers).map(|(_, x)| bytes(x)).sum();
    let _ = write!(text, "{all} parameters, {trained} of them trained; {size} bytes");
    text
}
