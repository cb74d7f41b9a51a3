//! Plans: what a pending graph becomes before a device plays it. Pure data, which prints in words; no device is needed.
//!
//! [`plan`] decides which values share a kernel (`fuse`), cuts the rest into steps (`steps`), gives every stored value a
//! buffer (`memory`) and writes each kernel's WGSL (`wgsl` and the files named after their kernels). [`key()`] tells
//! whether a plan made earlier fits.

mod columns;
mod contract;
mod custom;
mod flow;
mod fuse;
mod horizontal;
mod index;
mod key;
mod lanes;
mod map;
mod memory;
mod print;
mod program;
mod reduce;
mod rows;
mod scan;
mod sort;
mod steps;
mod target;
pub mod template;
#[cfg(test)]
mod tests;
mod tiles;
mod traffic;
mod watch;
mod wgsl;
mod window;

pub use key::{Key, key};
pub use memory::{Slot, bytes_of, size_class};
pub use target::Target;
pub use wgsl::grid;

use crate::tensor::backend::{Graph, Sought};
use std::sync::Arc;

/// What a plan may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Whether values may share a kernel.
    pub fuse: bool,
    /// Whether large matrix products are computed in tiles that a group or a vector shares.
    pub tiles: bool,
    /// Whether reductions over rows are passes over each row, which pointwise operations and other reductions may share.
    pub rows: bool,
    /// Whether a thread of a pointwise kernel computes four neighbours, if the tensor is long enough.
    pub quads: bool,
    /// What kernels are written for.
    pub target: Target,
    /// Storage buffers that one kernel may bind.
    pub max_storage_buffers: usize,
    /// What every result is looked at for, if anything; none may then be hidden in a fused kernel.
    pub watch: Option<Sought>,
}

impl Default for Options {
    /// What every WebGPU device can do.
    fn default() -> Options {
        Options {
            fuse: true,
            tiles: true,
            rows: true,
            quads: true,
            target: Target::default(),
            max_storage_buffers: 8,
            watch: None,
        }
    }
}

/// Kernels in the order in which they run, and the buffers they share.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What runs.
    pub kernels: Vec<Kernel>,
    /// Buffers that exist while the plan runs, and longer where they hold what someone asked for.
    pub slots: Vec<Slot>,
    /// Nodes that someone outside holds, and the slot each ends in.
    pub held: Vec<(usize, usize)>,
}

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What it computes, as in `mul>add>relu`.
    pub label: String,
    /// Its program; entry point `main`, everything in bind group 0, parameters at binding 0.
    pub wgsl: Arc<str>,
    /// What is bound from binding 1 on.
    pub bindings: Vec<Binding>,
    /// The words of the parameters.
    pub params: Vec<Param>,
    /// How many workgroups there are in each dimension.
    pub workgroups: [u32; 3],
    /// The bytes of each binding that a program of the user's sees, so that an array there is as long as its tensor. The
    /// programs of this crate see whole buffers, so that they can share bind groups.
    pub sizes: Option<Vec<u64>>,
    /// The nodes that it computes, or helps to compute.
    pub nodes: Vec<usize>,
    /// The nodes whose values are complete and stored after it.
    pub outputs: Vec<Output>,
}

/// A value that a kernel leaves in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The node.
    pub node: usize,
    /// Where it lies.
    pub slot: usize,
}

/// A buffer as a kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Which buffer.
    pub place: Place,
    /// Whether the kernel reads it.
    pub read: bool,
    /// Whether the kernel writes it.
    pub write: bool,
}

/// Which buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// That of an input of the graph, which is only read.
    Input(usize),
    /// One of the plan's own.
    Slot(usize),
    /// The device's, in which kernels note an index that is out of range, and a result that is not finite.
    Status,
}

/// Where a 32-bit word of a kernel's parameters comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Param {
    /// It is part of the plan.
    Word(u32),
    /// A word of the [parameters](crate::ops::op::Op::parameters) of a node.
    Of {
        /// The node.
        node: usize,
        /// Which of its words.
        word: usize,
    },
    /// What the device wants to be noted when an index of this node is out of range.
    Report {
        /// The node.
        node: usize,
        /// The size of the dimension that is indexed.
        size: usize,
    },
    /// What the device wants to be noted when the result of this node has what is sought.
    Watched {
        /// The node.
        node: usize,
        /// What is sought.
        sought: Sought,
    },
}

/// Plans a graph.
pub fn plan(graph: &Graph, options: &Options) -> Plan {
    let flow = flow::Flow::of(graph, options.target);
    let groups = fuse::fuse(&flow, options);
    let schedule = steps::steps(&flow, groups, options);
    let memory = memory::assign(&flow, &schedule);
    let kernels = schedule.steps.iter().map(|step| wgsl::kernel(&flow, &memory, options, step)).collect();
    Plan { kernels, held: memory.held(&flow), slots: memory.slots }
}
