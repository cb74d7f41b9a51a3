//! How a tensor prints: values, shape, dtype, and its place in the graph.

use crate::dtype::DType;
use crate::elements::Data;
use crate::tensor::Tensor;
use std::fmt;

/// Dimensions longer than this show their first and last three entries, if there are many elements in all.
const EDGE: usize = 3;
const MANY: usize = 1000;

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_data() {
            Ok(data) => {
                let mut cells =
                    Cells { data: &data, shape: self.shape(), cut: self.numel() > MANY, text: String::new() };
                cells.write(0, 0, 1);
                f.write_str(&cells.text)
            }
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

/// `Tensor([[1.0, 2.0]], shape=[1, 2], f32, grad_fn=<MulBackward0>)`
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({self}, shape={:?}, {}", self.shape(), self.dtype())?;
        match self.grad_fn() {
            Some(node) => write!(f, ", grad_fn={node:?}")?,
            None if self.requires_grad() => f.write_str(", requires_grad=true")?,
            None => {}
        }
        f.write_str(")")
    }
}

struct Cells<'a> {
    data: &'a Data,
    shape: &'a [usize],
    cut: bool,
    text: String,
}

impl Cells<'_> {
    /// Writes dimension `d` of the block that starts at element `start`; recursion is as deep as the rank.
    fn write(&mut self, d: usize, start: usize, indent: usize) {
        if d == self.shape.len() {
            return self.text.push_str(&element(self.data, start));
        }
        let n = self.shape[d];
        let step: usize = self.shape[d + 1..].iter().product();
        self.text.push('[');
        let mut i = 0;
        while i < n {
            if i > 0 {
                self.text.push(',');
                match d + 1 < self.shape.len() {
                    true => self.text.extend(std::iter::once('\n').chain(std::iter::repeat_n(' ', indent))),
                    false => self.text.push(' '),
                }
            }
            if self.cut && n > 2 * EDGE && i == EDGE {
                self.text.push_str("..., ");
                i = n - EDGE;
            }
            self.write(d + 1, start + i * step, indent + 1);
            i += 1;
        }
        self.text.push(']');
    }
}

fn element(data: &Data, i: usize) -> String {
    match data {
        Data::Bool(v) => v[i].to_string(),
        Data::U32(_) | Data::I32(_) => format!("{}", data.at(i)),
        _ => {
            let x = data.at(i);
            let narrow = data.dtype() != DType::F64;
            match x {
                _ if x.is_finite() && x != 0.0 && !(1e-4..1e8).contains(&x.abs()) => format!("{x:.4e}"),
                _ if x == x.trunc() => format!("{x:?}"),
                _ if narrow => format!("{}", (x * 1e4).round() / 1e4),
                _ => format!("{x}"),
            }
        }
    }
}
