//! Runs that must agree with each other: the same one twice, and a batch with its elements.

use super::{Check, Wrong, coordinates, direction};
use crate::autograd::{GradOptions, grad};
use crate::error::{Error, Kind, Result};
use crate::tensor::Tensor;

impl Check<'_> {
    /// Compares two runs of the function and of its backward.
    pub(super) fn is_deterministic(&self) -> Result<()> {
        let op = self.op;
        let differs = |what: String, first: &[f64], again: &[f64], shape: &[usize]| {
            let apart = |&i: &usize| {
                let (a, b) = (first[i], again[i]);
                let by = Wrong { analytic: a, differences: b }.by();
                a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()) && by > self.options.nondet_tol
            };
            let Some(i) = (0..first.len()).find(apart) else { return Ok(()) };
            let (a, b, place) = (first[i], again[i], coordinates(shape, i));
            let message = format!("{op}: {what} is {a} at element {place:?}, and in another run {b}");
            Err(Error::new(Kind::Mismatch, message))
        };
        let results = (self.f)(&self.inputs)?;
        for &output in &self.outputs {
            let y = &self.results[output];
            let again = results.get(output).filter(|again| again.shape() == y.shape() && again.dtype() == y.dtype());
            let Some(again) = again else {
                let message = format!(
                    "{op}: the function is not deterministic: output {output} is of another shape or type in another run"
                );
                return Err(Error::new(Kind::Mismatch, message));
            };
            let what = format!("the function is not deterministic: output {output}");
            differs(what, &y.to_vec()?, &again.to_vec()?, y.shape())?;
        }
        for &output in &self.outputs {
            let v = direction(self.results[output].numel(), 200 + output);
            let (first, again) = (self.gradients(output, &v)?, self.gradients(output, &v)?);
            for ((&input, first), again) in self.wanted.iter().zip(&first).zip(&again) {
                let what = format!("backward is not deterministic: the gradient of input {input} from output {output}");
                differs(what, first, again, self.inputs[input].shape())?;
            }
        }
        Ok(())
    }

    /// Compares the gradients of a batch of two vectors with those of each.
    pub(super) fn batched(&self) -> Result<()> {
        let inputs: Vec<&Tensor> = self.wanted.iter().map(|&input| &self.inputs[input]).collect();
        for &output in self.outputs.iter().filter(|&&output| self.results[output].requires_grad()) {
            let y = &self.results[output];
            let n = y.numel();
            let v = direction(2 * n, 400 + output);
            let shape: Vec<usize> = [2].iter().chain(y.shape()).copied().collect();
            let options = GradOptions {
                grad_outputs: vec![Some(Tensor::from_slice(&v, shape, (&y.device(), y.dtype())))],
                retain_graph: Some(true),
                allow_unused: Some(true),
                is_grads_batched: true,
                ..Default::default()
            };
            let both = grad(&[y], &inputs, options)?;
            for (half, v) in v.chunks(n.max(1)).enumerate() {
                let alone = self.gradients(output, v)?;
                for ((&input, both), alone) in self.wanted.iter().zip(&both).zip(&alone) {
                    let m = alone.len();
                    let both = both.as_ref().map_or(Ok(vec![0.0; 2 * m]), Tensor::to_vec::<f64>)?;
                    for (e, (&a, &b)) in both[half * m..].iter().zip(alone).enumerate() {
                        if !self.close(&Wrong { analytic: a, differences: b }) {
                            let message = format!(
                                "{}: batched gradients of output {output} with respect to input {input} differ at element {:?}: {a} in the batch, {b} alone",
                                self.op,
                                coordinates(self.inputs[input].shape(), e),
                            );
                            return Err(Error::new(Kind::Mismatch, message));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
