//! The task: which of two sentences says what a report says, when one has its words and the other its meaning?

use crate::bert::Bert;
use crate::common::Result;
use std::path::Path;
use wgrad::autograd::no_grad;
use wgrad::data::{BatchEncoding, CsvOptions, Table, Tokenizer};
use wgrad::{Device, Tensor};

/// How sharp the choice between sentences is: what sentence models are trained with.
const SCALE: f64 = 20.0;

/// Reports, then as many sentences that mean the same, then as many that mean the opposite.
pub struct Reports {
    tokens: BatchEncoding,
    pub count: usize,
}

impl Reports {
    /// The rows of one part of the table.
    pub fn read(path: &Path, part: &str, tokenizer: &Tokenizer, dev: &Device) -> Result<Reports> {
        let table = Table::read(path, CsvOptions::default())?;
        let parts = table.text("part")?;
        let mut texts = Vec::new();
        for column in ["report", "same", "opposite"] {
            texts.extend(
                table.text(column)?.into_iter().zip(&parts).filter(|&(_, of)| *of == part).map(|(text, _)| text),
            );
        }
        if texts.is_empty() {
            return Err(format!("{}: there is no record of the part {part}", path.display()).into());
        }
        Ok(Reports { tokens: tokenizer.encode_batch(&texts, dev)?, count: texts.len() / 3 })
    }

    /// Some of the reports with their sentences. All batches are of one length, so a device sees one shape.
    pub fn batch(&self, numbers: &[i32]) -> BatchEncoding {
        let n = self.count as i32;
        let rows: Vec<i32> = (0..3).flat_map(|part| numbers.iter().map(move |i| part * n + i)).collect();
        let rows = Tensor::new(rows, &self.tokens.input_ids.device());
        BatchEncoding {
            input_ids: self.tokens.input_ids.index_select(0, &rows),
            attention_mask: self.tokens.attention_mask.index_select(0, &rows),
        }
    }

    /// What the network makes of all of them.
    pub fn judge(&self, net: &Bert) -> Result<Figures> {
        let _unrecorded = no_grad();
        let cosines = cosines(&net.embed(&self.tokens)).to_vec::<f64>()?;
        let (n, m) = (self.count, 2 * self.count);
        let pair = |i: usize, opposite: bool| cosines[i * m + i + if opposite { n } else { 0 }];
        let same: Vec<f64> = (0..n).map(|i| pair(i, false)).collect();
        let opposite: Vec<f64> = (0..n).map(|i| pair(i, true)).collect();
        let found = (0..n).filter(|&i| cosines[i * m..][..m].iter().all(|&other| other <= same[i])).count();
        let labels: Vec<f64> = (0..m).map(|i| if i < n { 1.0 } else { 0.0 }).collect();
        Ok(Figures {
            spearman: spearman(&[&same[..], &opposite].concat(), &labels),
            right: same.iter().zip(&opposite).filter(|(same, opposite)| same > opposite).count(),
            found,
            same: same.iter().sum::<f64>() / n as f64,
            opposite: opposite.iter().sum::<f64>() / n as f64,
        })
    }
}

/// How well reports are understood.
pub struct Figures {
    /// Spearman's correlation of the cosines of all pairs with 1 for the same and 0 for the opposite. With so many ties
    /// among the labels it lies within ±0.866.
    pub spearman: f64,
    /// For how many reports the same is nearer than the opposite.
    pub right: usize,
    /// For how many reports the same is the nearest of all sentences of the part.
    pub found: usize,
    /// The mean cosine of reports and the same.
    pub same: f64,
    /// The mean cosine of reports and the opposite.
    pub opposite: f64,
}

/// The cosine of every report, a third of the rows, with every other sentence: `[reports, 2 · reports]`.
fn cosines(y: &Tensor) -> Tensor {
    let n = y.size(0) / 3;
    y.narrow(0, 0, n).matmul(&y.narrow(0, n, 2 * n).t())
}

/// The cross entropy of choosing, for each report, what means the same among all sentences of the batch, the opposites of
/// this and other reports included.
pub fn contrast(y: &Tensor) -> Tensor {
    let scores = cosines(y) * SCALE;
    scores.cross_entropy(&Tensor::arange(0, scores.size(0) as i32, 1, &y.device()))
}

/// Pearson's correlation of the ranks; equal elements share the mean of theirs.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let centred = |x: &[f64]| -> Vec<f64> {
        let below = |v: f64| {
            x.iter()
                .map(|&w| {
                    if w < v {
                        1.0
                    } else if w == v {
                        0.5
                    } else {
                        0.0
                    }
                })
                .sum::<f64>()
        };
        x.iter().map(|&v| below(v) - x.len() as f64 / 2.0).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (a, b) = (centred(a), centred(b));
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spearman_is_of_ranks_and_shares_ties() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0, 9.0], &[1.0, 4.0, 5.0, 6.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
        // scipy.stats.spearmanr
        assert!((spearman(&[0.1, 0.9, 0.4, 0.8], &[0.0, 1.0, 1.0, 0.0]) - 0.4472135954999579).abs() < 1e-15);
    }
}
