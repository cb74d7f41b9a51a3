//! Kernels that look for numbers that are not finite, and note the first operation that made one in the device's status.

use super::Param;
use super::steps::Looked;
use super::template::MAP;
use super::wgsl::Text;
use crate::tensor::backend::Source;

/// One thread per element of a result, or of an operand that was there before. Kernels run one after the other, so what an
/// earlier one noted stays, and the threads of one kernel note the same operation.
pub(super) fn watch(text: &mut Text, n: usize, looked: Looked) -> (String, usize) {
    let node = text.flow.node(n);
    let (x, numel) = match looked {
        Looked::Result => (text.load_at(Source::Node(n), "i"), node.value.numel()),
        Looked::Operand(k) => (text.load(&node.args[k], "i"), node.args[k].layout.numel()),
    };
    let status = text.bind_status();
    let word = text.param(Param::Watched { node: n });
    let note = match looked {
        // The earliest operation has the largest word, and so does its first element.
        Looked::Result => format!("atomicMax(&{status}[1], {word});\n  atomicMax(&{status}[2], 0xffffffffu - i);"),
        Looked::Operand(_) => format!("atomicStore(&{status}[3], {word});"),
    };
    let hook = format!(
        "fn hook_element(i: u32) {{\n  if ((bitcast<u32>({x}) & 0x7f800000u) != 0x7f800000u) {{\n    return;\n  }}\n  \
         let found = atomicLoad(&{status}[1]);\n  if (found != 0u && found != {word}) {{\n    return;\n  }}\n  {note}\n}}"
    );
    text.set_threads(numel);
    (MAP.compose(&text.header(), &[("hook_element", &hook)]), numel.div_ceil(MAP.workgroup_size[0] as usize))
}
