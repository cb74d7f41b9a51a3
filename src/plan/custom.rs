//! Kernels of the user's own: their text as it is, and the buffers in the order of its bindings.

use super::Param;
use super::steps::Item;
use super::wgsl::{Text, grid};
use crate::ops::op::Op;
use std::sync::Arc;

pub(super) fn custom(text: &mut Text, n: usize) -> (Arc<str>, [u32; 3]) {
    let node = text.flow.node(n);
    let Op::Custom(call) = &node.value.op else { unreachable!("asked for a kernel of the user's") };
    let program = &call.definition.program;
    let mut inputs = node.args.iter();
    for at in 0..program.buffers.len() {
        if at == program.output {
            text.bind_alone(Item::Node(n), node.value.numel(), true);
        } else {
            let arg = inputs.next().expect("a call has as many inputs as its kernel");
            text.bind_alone(arg.source.into(), arg.layout.numel(), false);
        }
    }
    text.set_params((0..program.params).map(|word| Param::Of { node: n, word }).collect());
    let groups = call.workgroups.unwrap_or_else(|| grid(node.value.numel().div_ceil(program.threads)));
    (call.definition.wgsl.clone(), groups)
}
