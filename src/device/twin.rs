//! A device that computes everything twice, on the CPU and on a GPU, and names the first kernel that differs.
//!
//! The GPU plays its plan kernel by kernel. After each, the results are compared and then replaced by the reference's, so
//! that every kernel reads what the reference read, and an error that is found is the kernel's own.

use super::cpu::{buffer, evaluate_all};
use super::error_model::{bounds, compare};
use super::gpu::{Gpu, Session};
use super::lent::Lent;
use super::watch::Watch;
use crate::dtype::DType;
use crate::elements::Data;
use crate::error::{Error, Kind, Result};
use crate::plan::{Kernel, Output};
use crate::tensor::backend::{Backend, Graph, Input, Node, Read, Sought, Stats};
use crate::tensor::value::Buffer;
use std::sync::Arc;

/// A GPU and its reference. A buffer is a pair.
pub struct Twin {
    gpu: Gpu,
    /// Looks at the reference: the GPU's results agree with it.
    watch: Watch,
    lent: Arc<Lent>,
}

/// What profiles call the CPU of a twin.
const REFERENCE: &str = "cpu (reference)";

struct Pair {
    gpu: Buffer,
    cpu: Buffer,
}

impl Twin {
    /// The twin of an open GPU.
    pub fn of(gpu: Gpu) -> Twin {
        Twin { gpu, watch: Watch::default(), lent: Arc::new(Lent::on(REFERENCE)) }
    }

    /// Plays the kernels one by one, and compares.
    fn play(&self, session: &Session, graph: &Graph, reference: &[Arc<Data>]) -> Result<()> {
        for (at, kernel) in session.prepared.plan.kernels.iter().enumerate() {
            session.dispatch(at..at + 1)?;
            if kernel.outputs.is_empty() {
                continue;
            }
            let bounds = bounds(graph, reference, &kernel.nodes);
            for output in &kernel.outputs {
                let value = &graph.nodes[output.node].value;
                let buffer = session.slot(output.slot);
                let got = self.gpu.wait(self.gpu.download(&buffer, value.dtype, value.numel()))?;
                let wanted = &reference[output.node];
                if let Some(difference) = largest(&got, wanted, &bounds[&output.node]) {
                    return Err(self.mismatch(graph, kernel, output, &difference));
                }
                self.gpu.write(&buffer, wanted);
            }
        }
        Ok(())
    }

    fn mismatch(&self, graph: &Graph, kernel: &Kernel, output: &Output, difference: &Difference) -> Error {
        let node = &graph.nodes[output.node];
        let value = &node.value;
        let operands: Vec<String> = node.args.iter().map(|arg| format!("{:?}", arg.layout.shape)).collect();
        let Difference { index, got, wanted, error, bound, count } = difference;
        Error::new(
            Kind::Mismatch,
            format!(
                "{op} differs from the reference on {adapter}: {operands} -> {shape:?} {dtype}, recorded at {file}:{line}\n  \
                 {count} of {len} elements differ; at {index} it gives {got} instead of {wanted}, off by {error:e} where {bound:e} is allowed\n  \
                 kernel {kernel}\n{wgsl}",
                op = value.op.name(),
                adapter = self.gpu.name(),
                operands = operands.join(" "),
                shape = value.shape,
                dtype = value.dtype,
                file = value.at.file(),
                line = value.at.line(),
                len = value.numel(),
                wgsl = kernel.wgsl,
            ),
        )
    }
}

/// The worst element of a value.
struct Difference {
    index: usize,
    got: f64,
    wanted: f64,
    error: f64,
    bound: f64,
    count: usize,
}

/// The element that is furthest outside its bound, if any is outside.
fn largest(got: &Data, wanted: &Data, bounds: &[f64]) -> Option<Difference> {
    let mut worst: Option<Difference> = None;
    for (index, &bound) in bounds.iter().enumerate() {
        let (got, wanted) = (got.at(index), wanted.at(index));
        let (fits, error) = compare(got, wanted, bound);
        if fits {
            continue;
        }
        let count = worst.as_ref().map_or(0, |worst| worst.count) + 1;
        match &mut worst {
            Some(worst) if worst.error - worst.bound >= error - bound => worst.count = count,
            _ => worst = Some(Difference { index, got, wanted, error, bound, count }),
        }
    }
    worst
}

/// The same graph over one of the two buffers of each input.
fn half(graph: &Graph, choose: impl Fn(&Pair) -> Buffer) -> Graph {
    let nodes =
        graph.nodes.iter().map(|node| Node { value: node.value.clone(), args: node.args.clone(), held: node.held });
    let inputs = graph.inputs.iter().map(|input| Input {
        value: input.value.clone(),
        buffer: choose(&pair(&input.buffer)),
        donated: input.donated,
    });
    Graph { nodes: nodes.collect(), inputs: inputs.collect() }
}

fn pair(buffer: &Buffer) -> Arc<Pair> {
    buffer.clone().downcast().expect("a buffer of a twin is a pair")
}

impl Backend for Twin {
    fn name(&self) -> String {
        format!("twin of {}", self.gpu.name())
    }

    fn supports(&self, dtype: DType) -> bool {
        self.gpu.supports(dtype)
    }

    fn fails_at_once(&self) -> bool {
        true
    }

    fn upload(&self, data: Data) -> Result<Buffer> {
        let gpu = self.gpu.upload(data.clone())?;
        Ok(Arc::new(Pair { gpu, cpu: buffer(Arc::new(data), &self.lent) }))
    }

    fn run(&self, graph: &Graph) -> Result<()> {
        let on_gpu = half(graph, |pair| pair.gpu.clone());
        let on_cpu = half(graph, |pair| pair.cpu.clone());
        let mut results = Vec::with_capacity(graph.nodes.len());
        evaluate_all(REFERENCE, &on_cpu, &vec![true; graph.nodes.len()], true, |node, result| {
            self.watch.look(&on_cpu, node, result);
            results.push(result.clone());
        });
        let reference: Result<Vec<Arc<Data>>> = results.iter().cloned().collect();
        let session = match reference {
            Ok(reference) => {
                let session = Session::open(&self.gpu, &on_gpu)?;
                self.play(&session, &on_cpu, &reference)?;
                Some(session)
            }
            // An index was out of range. The reference has said so, and the GPU is not asked.
            Err(_) => None,
        };
        let slots = session.iter().flat_map(|session| session.prepared.plan.held.iter());
        let slots: std::collections::HashMap<usize, usize> = slots.copied().collect();
        for (n, (node, result)) in graph.nodes.iter().zip(results).enumerate().filter(|(_, (node, _))| node.held) {
            let pair = result.and_then(|data| {
                let gpu = match &session {
                    Some(session) => session.slot(slots[&n]),
                    None => self.gpu.upload((*data).clone())?,
                };
                Ok(Arc::new(Pair { gpu, cpu: buffer(data, &self.lent) }) as Buffer)
            });
            node.value.settle(pair);
        }
        Ok(())
    }

    fn download(&self, buffer: &Buffer, dtype: DType, len: usize) -> Read {
        match self.watch.check() {
            Ok(()) => self.gpu.download(&pair(buffer).gpu, dtype, len),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    fn wait(&self, read: Read) -> Result<Data> {
        self.gpu.wait(read)
    }

    fn sync(&self) -> Result<()> {
        self.gpu.sync()?;
        self.watch.check()
    }

    fn watch(&self, sought: Option<Sought>) {
        self.watch.set(sought);
    }

    fn stats(&self) -> Stats {
        self.gpu.stats()
    }

    fn time(&self) -> Result<()> {
        self.gpu.time()
    }

    fn explain(&self) -> String {
        self.gpu.explain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_element_is_told() {
        let (got, wanted) = (Data::F32(vec![1.0, 2.0, 5.0]), Data::F32(vec![1.0, 2.5, 3.0]));
        let worst = largest(&got, &wanted, &[0.0, 0.1, 0.1]).unwrap();
        assert_eq!((worst.index, worst.count), (2, 2));
        assert!(largest(&got, &wanted, &[0.0, 0.5, 2.0]).is_none());
    }
}
