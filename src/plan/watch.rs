//! Kernels that look for NaN, or for all numbers that are not finite, and note the first operation that made one in the device's status.

use super::Param;
use super::steps::Looked;
use super::template::MAP;
use super::wgsl::Text;
use crate::tensor::backend::{Sought, Source};

/// One thread per element of a result, or of an operand that was there before. Kernels run one after the other, so what an
/// earlier one noted stays, and the threads of one kernel note the same operation.
pub(super) fn watch(text: &mut Text, n: usize, looked: Looked) -> (String, usize) {
    let node = text.flow.node(n);
    let (x, numel) = match looked {
        Looked::Result => (text.load_at(Source::Node(n), "i"), node.value.numel()),
        Looked::Operand(k) => (text.load(&node.args[k], "i"), node.args[k].layout.numel()),
    };
    let status = text.bind_status();
    let sought = text.options.watch.expect("something is sought");
    let word = text.param(Param::Watched { node: n, sought });
    let note = match looked {
        // The earliest operation has the largest word, and so does its first element.
        Looked::Result => format!("atomicMax(&{status}[1], {word});\n  atomicMax(&{status}[2], 0xffffffffu - i);"),
        Looked::Operand(_) => format!("atomicStore(&{status}[3], {word});"),
    };
    // By bits: WGSL lets an implementation assume that such numbers do not occur.
    let bits = format!("bitcast<u32>({x})");
    let is_fine = match sought {
        Sought::Nan => format!("({bits} & 0x7fffffffu) <= 0x7f800000u"),
        Sought::NonFinite => format!("({bits} & 0x7f800000u) != 0x7f800000u"),
    };
    let hook = format!(
        "fn hook_element(i: u32) {{\n  if ({is_fine}) {{\n    return;\n  }}\n  \
         let found = atomicLoad(&{status}[1]);\n  if (found != 0u && found != {word}) {{\n    return;\n  }}\n  {note}\n}}"
    );
    text.set_threads(numel);
    (MAP.compose(&text.header(), &[("hook_element", &hook)]), numel.div_ceil(MAP.workgroup_size[0] as usize))
}
