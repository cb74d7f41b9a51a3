//! How many bytes each kernel of a plan reads and writes: each element counted once, however often it is read.

use super::{Binding, Place, Plan, bytes_of};
use crate::tensor::backend::{Graph, Source};
use std::collections::HashMap;

impl Plan {
    /// What each kernel reads and writes, if the plan is played for this graph.
    pub(crate) fn traffic(&self, graph: &Graph) -> Vec<(u64, u64)> {
        let taken = self.slots.iter().enumerate().filter_map(|(s, slot)| Some((s, Source::Input(slot.input?))));
        let mut contents: HashMap<usize, Source> = taken.collect();
        let kernels = self.kernels.iter().map(|kernel| {
            let read_from = |source| {
                let elements = graph.read_from(&kernel.nodes, source);
                (elements > 0).then(|| bytes_of(graph.value(source).dtype, elements))
            };
            let bytes_read = |binding: &Binding| match binding.place {
                Place::Input(i) => read_from(Source::Input(i)).unwrap_or(0),
                // What no node is named for is read as a whole, as the parts of a sum.
                Place::Slot(s) => contents.get(&s).and_then(|&x| read_from(x)).unwrap_or(self.slots[s].bytes),
                Place::Status => 0,
            };
            let bytes_written = |binding: &Binding| match binding.place {
                Place::Slot(s) => {
                    let output = kernel.outputs.iter().find(|output| output.slot == s);
                    let value = output.map(|output| &graph.nodes[output.node].value);
                    value.map_or(self.slots[s].bytes, |value| bytes_of(value.dtype, value.numel()))
                }
                Place::Input(_) | Place::Status => 0,
            };
            let read: usize = kernel.bindings.iter().filter(|binding| binding.read).map(bytes_read).sum();
            let written: usize = kernel.bindings.iter().filter(|binding| binding.write).map(bytes_written).sum();
            for binding in kernel.bindings.iter().filter(|binding| binding.write) {
                if let Place::Slot(s) = binding.place {
                    contents.remove(&s);
                }
            }
            contents.extend(kernel.outputs.iter().map(|output| (output.slot, Source::Node(output.node))));
            (read as u64, written as u64)
        });
        kernels.collect()
    }
}
