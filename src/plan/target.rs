//! What kernels are written for: the few facts about a device on which the choice between two forms of a kernel depends.

/// A device as the plan sees it. The default is what every WebGPU device can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Target {
    /// Whether a processor plays the part of the GPU: threads that run in step are the lanes of its vectors, so that a load
    /// is one load for each lane, memory shared by a group is no faster than any other, and few groups keep it busy.
    pub processor: bool,
    /// How many threads run in step and can pass numbers to each other, where that is one number and kernels may use it.
    pub subgroup: Option<u32>,
}

impl Target {
    /// The lanes of a processor whose threads can hand numbers round.
    pub fn lanes(&self) -> Option<usize> {
        self.subgroup.filter(|&lanes| self.processor && matches!(lanes, 4 | 8 | 16)).map(|lanes| lanes as usize)
    }
}
