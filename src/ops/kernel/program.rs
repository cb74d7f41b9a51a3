//! The WGSL of a user's kernel: checked by naga once, and read for what it binds.

use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, Binding, BuiltIn, GlobalVariable, Module, ScalarKind, ShaderStage, TypeInner};
use naga::{Handle, Span, StorageAccess, WithSpan};

/// WebGPU's limit on workgroups in one dimension of a dispatch.
pub(crate) const MAX_WORKGROUPS: usize = 65535;
/// Storage buffers that every WebGPU device can bind.
const MAX_BUFFERS: usize = 8;
/// Words of a uniform that a device binds at once.
const MAX_WORDS: usize = 128;
/// Bytes that the threads of a workgroup can share on every WebGPU device.
const MAX_SHARED: u32 = 16 << 10;
/// Threads of a workgroup on every WebGPU device, in each dimension and in all.
const MAX_THREADS: [u32; 3] = [256, 256, 64];

/// What a program says of how it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The types of the storage buffers, from binding 1 on.
    pub buffers: Vec<DType>,
    /// Which of them is written.
    pub output: usize,
    /// Words of the uniform at binding 0; none if there is no such uniform.
    pub params: usize,
    /// Threads of a workgroup.
    pub threads: usize,
    /// Whether it asks how many workgroups there are, without which it cannot know where the second row of them begins.
    pub counts_groups: bool,
}

impl Program {
    /// Checks a text without any optional capability, so that every device accepts it.
    pub fn of(name: &str, wgsl: &str) -> Result<Program> {
        let module = naga::front::wgsl::parse_str(wgsl)
            .map_err(|error| refused(name, &error.emit_to_string_with_path(wgsl, name)))?;
        Validator::new(ValidationFlags::all(), Capabilities::empty())
            .validate(&module)
            .map_err(|error| refused(name, &error.emit_to_string_with_path(wgsl, name)))?;
        Reader { name, wgsl, module: &module }.program()
    }

    /// The types of the inputs, in the order of their bindings.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = DType> + '_ {
        let others = (0..self.buffers.len() - 1).map(|i| if i < self.output { i } else { i + 1 });
        others.map(|i| self.buffers[i])
    }

    /// The type of the result.
    pub fn dtype(&self) -> DType {
        self.buffers[self.output]
    }
}

struct Reader<'a> {
    name: &'a str,
    wgsl: &'a str,
    module: &'a Module,
}

impl Reader<'_> {
    fn program(&self) -> Result<Program> {
        let [entry] = &self.module.entry_points[..] else {
            return Err(refused(self.name, "it needs exactly one entry point, `main`"));
        };
        if entry.name != "main" || entry.stage != ShaderStage::Compute {
            return Err(refused(self.name, "its entry point must be a compute shader called `main`"));
        }
        let threads = entry.workgroup_size;
        if threads.iter().zip(MAX_THREADS).any(|(n, most)| *n > most) || threads.iter().product::<u32>() > 256 {
            return Err(refused(self.name, &format!("a workgroup of {threads:?} threads is more than 256 in all")));
        }
        if let Some((handle, _)) = self.module.overrides.iter().next() {
            let at = self.module.overrides.get_span(handle);
            return Err(self.refused_at(at, "an override has no value here: write a constant, or a uniform"));
        }
        let (mut storage, mut params, mut shared) = (Vec::new(), 0, 0);
        for (handle, variable) in self.module.global_variables.iter() {
            let size = self.module.types[variable.ty].inner.size(self.module.to_ctx());
            match (variable.space, &variable.binding) {
                (AddressSpace::Private, None) => {}
                (AddressSpace::WorkGroup, None) => shared += size,
                (AddressSpace::Uniform, Some(at)) if (at.group, at.binding) == (0, 0) => params = size.div_ceil(4),
                (AddressSpace::Storage { access }, Some(at)) if at.group == 0 && at.binding > 0 => {
                    storage.push((at.binding, access.contains(StorageAccess::STORE), self.element(handle, variable)?));
                }
                _ => {
                    let why = "a kernel binds a uniform at @group(0) @binding(0), if it has one, and storage buffers at \
                               @group(0) from @binding(1) on";
                    return Err(self.refused_at(self.module.global_variables.get_span(handle), why));
                }
            }
        }
        if params as usize > MAX_WORDS {
            return Err(refused(self.name, &format!("a uniform of {params} words is larger than {MAX_WORDS}")));
        }
        if shared > MAX_SHARED {
            return Err(refused(self.name, &format!("workgroups share {shared} bytes, more than {MAX_SHARED}")));
        }
        storage.sort_unstable();
        let outputs: Vec<usize> = (0..storage.len()).filter(|&i| storage[i].1).collect();
        let numbered = storage.iter().zip(1..).all(|((binding, ..), number)| *binding == number);
        let &[output] = &outputs[..] else {
            let found = outputs.len();
            return Err(refused(self.name, &format!("one buffer must be read_write, the result; {found} are")));
        };
        if !numbered || storage.len() < 2 || storage.len() > MAX_BUFFERS {
            let why = format!("its storage buffers must have the bindings 1, 2, …: 2 to {MAX_BUFFERS} of them");
            return Err(refused(self.name, &why));
        }
        Ok(Program {
            buffers: storage.iter().map(|(.., dtype)| *dtype).collect(),
            output,
            params: params as usize,
            threads: threads.iter().product::<u32>() as usize,
            counts_groups: entry.function.arguments.iter().any(|x| self.counts_groups(x.ty, x.binding.as_ref())),
        })
    }

    /// The type of the elements of a storage buffer.
    fn element(&self, handle: Handle<GlobalVariable>, variable: &GlobalVariable) -> Result<DType> {
        if let TypeInner::Array { base, size: ArraySize::Dynamic, .. } = self.module.types[variable.ty].inner
            && let TypeInner::Scalar(scalar) = self.module.types[base].inner
        {
            match (scalar.kind, scalar.width) {
                (ScalarKind::Float, 4) => return Ok(DType::F32),
                (ScalarKind::Sint, 4) => return Ok(DType::I32),
                (ScalarKind::Uint, 4) => return Ok(DType::U32),
                _ => {}
            }
        }
        let why = "a tensor is an array<f32>, array<i32> or array<u32> of no fixed length";
        Err(self.refused_at(self.module.global_variables.get_span(handle), why))
    }

    fn counts_groups(&self, ty: Handle<naga::Type>, binding: Option<&Binding>) -> bool {
        match (binding, &self.module.types[ty].inner) {
            (Some(binding), _) => *binding == Binding::BuiltIn(BuiltIn::NumWorkGroups),
            (None, TypeInner::Struct { members, .. }) => {
                members.iter().any(|member| self.counts_groups(member.ty, member.binding.as_ref()))
            }
            (None, _) => false,
        }
    }

    /// An error that shows the place in the text, as naga's own do.
    fn refused_at(&self, at: Span, why: &str) -> Error {
        let error = WithSpan::new(Error::new(Kind::Data, why)).with_span(at, "here");
        refused(self.name, &error.emit_to_string_with_path(self.wgsl, self.name))
    }
}

fn refused(name: &str, why: &str) -> Error {
    Error::new(Kind::Data, format!("kernel {name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) i: vec3<u32>)";

    fn program(bindings: &str) -> Result<Program> {
        Program::of("test", &format!("{bindings}\n{MAIN} {{ }}"))
    }

    #[test]
    fn bindings_are_read_from_the_text() {
        let text = "struct P { n: u32, scale: f32, at: vec3<f32> }
            @group(0) @binding(3) var<storage, read> index: array<i32>;
            @group(0) @binding(2) var<storage, read_write> y: array<u32>;
            @group(0) @binding(0) var<uniform> params: P;
            @group(0) @binding(1) var<storage, read> x: array<f32>;";
        let program = program(text).unwrap();
        assert_eq!(program.buffers, [DType::F32, DType::U32, DType::I32]);
        assert_eq!((program.output, program.params, program.threads, program.counts_groups), (1, 8, 64, false));
        assert_eq!(program.inputs().collect::<Vec<_>>(), [DType::F32, DType::I32]);
        assert_eq!(program.dtype(), DType::U32);
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_place() {
        let x = "@group(0) @binding(1) var<storage, read> x: array<f32>;\n";
        for (second, part) in [
            ("@group(0) @binding(2) var<storage, read_write> y: array<vec2<f32>>;", "test:2:"),
            ("@group(0) @binding(2) var<storage, read_write> y: array<f32, 4>;", "of no fixed length"),
            ("@group(1) @binding(2) var<storage, read_write> y: array<f32>;", "@group(0) from @binding(1)"),
            ("@group(0) @binding(2) var<storage, read> y: array<f32>;", "0 are"),
            ("@group(0) @binding(3) var<storage, read_write> y: array<f32>;", "the bindings 1, 2"),
            (
                "@group(0) @binding(2) var<storage, read_write> y: array<f32>;\nvar<workgroup> s: array<f32, 5000>;",
                "20000",
            ),
            ("@group(0) @binding(2) var<storage, read_write> y: array<f32>;\noverride n: u32;", "test:3:"),
            ("@group(0) @binding(2) var<storage, read_write> y: array<f64>;", "FLOAT64"),
        ] {
            let error = program(&format!("{x}{second}")).unwrap_err();
            assert!(error.is_data() && error.to_string().contains(part), "{second}: {error}");
        }
    }

    #[test]
    fn a_count_of_groups_is_seen_in_an_argument_of_either_kind() {
        let bindings = "struct In { @builtin(num_workgroups) groups: vec3<u32> }
            @group(0) @binding(1) var<storage, read> x: array<f32>;
            @group(0) @binding(2) var<storage, read_write> y: array<f32>;
            @compute @workgroup_size(8, 8) fn main";
        for arguments in ["(@builtin(num_workgroups) groups: vec3<u32>)", "(in: In)"] {
            assert!(Program::of("test", &format!("{bindings}{arguments} {{ }}")).unwrap().counts_groups);
        }
        let error = Program::of("test", &format!("{bindings}_() {{ }}")).unwrap_err();
        assert!(error.to_string().contains("called `main`"), "{error}");
    }
}
