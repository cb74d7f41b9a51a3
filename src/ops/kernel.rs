//! Kernels of the user's own: WGSL for GPUs, a closure for the CPU, and a gradient rule in tensor operations.

pub(crate) mod program;

use crate::dtype::{DType, Element};
use crate::elements::{Data, View, with_data};
use crate::error::{Result, misuse};
use crate::ops::map::{Arg, common_device, record_value};
use crate::ops::op::Op;
use crate::shape::{Dims, Ints, Layout, numel, sizes};
use crate::tensor::Tensor;
use crate::tensor::mode::is_grad_enabled;
use crate::tensor::node::{Save, record};
use crate::tensor::profile;
use crate::tensor::value::Operand;
use program::{MAX_WORKGROUPS, Program};
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A kernel of the user's own: WGSL that GPUs run, a closure that says on the CPU what it means, and, if it is to be
/// differentiated, a gradient rule.
///
/// The WGSL has one entry point, the compute shader `main`. It binds, all in group 0, the inputs as storage buffers that are
/// read, the result as the one that is `read_write`, from binding 1 on in any order, and at binding 0 a uniform if it wants
/// one. A tensor is an `array<f32>`, `array<i32>` or `array<u32>` that holds its elements in row-major order, so that
/// `arrayLength` is their number; what lies beyond cannot be reached. Elements of the result that no thread writes are
/// undefined.
///
/// ```
/// use wgrad::{Data, Device, Kernel, KernelOptions, Tensor};
/// let square = Kernel::new(
///     "square",
///     "@group(0) @binding(1) var<storage, read> x: array<f32>;
///      @group(0) @binding(2) var<storage, read_write> y: array<f32>;
///      @compute @workgroup_size(64)
///      fn main(@builtin(global_invocation_id) id: vec3<u32>) {
///        if (id.x < arrayLength(&y)) { y[id.x] = x[id.x] * x[id.x]; }
///      }",
///     |call| Data::F32(call.input::<f32>(0).iter().map(|x| x * x).collect()),
/// )?
/// .with_gradient(|call| vec![Some(call.g * &call.inputs[0] * 2.0)]);
///
/// let x = Tensor::new([1.0, -3.0], &Device::best()?).requires_grad_(true)?;
/// let y = square.call(&[&x], x.shape(), KernelOptions::default());
/// y.sum().backward()?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 9.0]);
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, -6.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Kernel(Arc<Definition>);

/// How a [`Kernel`] is called.
#[derive(Clone, Debug, Default)]
pub struct KernelOptions {
    /// The words of the uniform as it lies in memory, padding included; a float by its bits ([`f32::to_bits`]). They are
    /// numbers of a plan and no part of it: a call that differs in them alone finds its plan in the cache.
    pub params: Vec<u32>,
    /// The workgroups in each dimension; by default as many as give every element of the result a thread. If those are more
    /// than 65,535, they go on in the second dimension, and the number of a group is `id.y * groups.x + id.x` of the
    /// built-in values `workgroup_id` and `num_workgroups`.
    pub workgroups: Option<[u32; 3]>,
}

/// What the closure of a [`Kernel`] is called with.
pub struct KernelCall<'a> {
    args: &'a [View<'a>],
    /// The sizes of the result.
    pub shape: &'a [usize],
    /// The words of the uniform.
    pub params: &'a [u32],
}

/// What the gradient rule of a [`Kernel`] is called with.
pub struct KernelGradient<'a> {
    /// The gradient of the result.
    pub g: &'a Tensor,
    /// The inputs, as tensors of the graph.
    pub inputs: &'a [Tensor],
    /// The words of the uniform.
    pub params: &'a [u32],
    /// Which inputs want a gradient.
    pub needs: &'a [bool],
}

/// A kernel as it was registered.
#[derive(Clone)]
pub(crate) struct Definition {
    /// Its number: different for every kernel, for ever.
    pub id: u64,
    pub name: &'static str,
    pub wgsl: Arc<str>,
    pub program: Program,
    /// Relative, and absolute.
    pub tolerance: (f64, f64),
    cpu: Arc<dyn Fn(&KernelCall) -> Data + Send + Sync>,
    gradient: Option<Gradient>,
}

/// The gradients of the inputs.
type GradientRule = dyn Fn(&KernelGradient) -> Vec<Option<Tensor>> + Send + Sync;

#[derive(Clone)]
struct Gradient {
    node: &'static str,
    rule: Arc<GradientRule>,
}

/// One call of a kernel, as a value has it for its operation.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub definition: Arc<Definition>,
    pub params: Arc<[u32]>,
    pub workgroups: Option<[u32; 3]>,
}

impl Kernel {
    /// Registers a kernel. The closure gives the result's elements in row-major order; a twin holds it against the WGSL.
    ///
    /// # Errors
    /// If the WGSL is wrong, asks for more than every device has, or binds anything else than described above
    /// ([`Error::is_data`](crate::Error::is_data)); the message shows the place in the text.
    pub fn new(
        name: &'static str,
        wgsl: &str,
        cpu: impl Fn(&KernelCall) -> Data + Send + Sync + 'static,
    ) -> Result<Kernel> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let program = Program::of(name, wgsl)?;
        let (wgsl, cpu) = (wgsl.into(), Arc::new(cpu));
        Ok(Kernel(Arc::new(Definition { id, name, wgsl, program, tolerance: (1e-5, 1e-5), cpu, gradient: None })))
    }

    /// The same kernel with other tolerances: floats `y` of the WGSL may lie `atol + rtol |y|` from the closure's, as in
    /// PyTorch's `allclose`. Both are 1e-5 by default; integers must agree.
    pub fn with_tolerance(mut self, rtol: f64, atol: f64) -> Kernel {
        Arc::make_mut(&mut self.0).tolerance = (rtol, atol);
        self
    }

    /// The same kernel with a gradient rule: the gradients of the inputs, `None` for one that has none. It is written in
    /// operations of tensors, among which may be kernels, and so has derivatives if they have. It may read the inputs; a
    /// rule that needs the result, too, is an [`autograd::Function`](crate::autograd::Function) around the kernel.
    pub fn with_gradient(
        mut self,
        rule: impl Fn(&KernelGradient) -> Vec<Option<Tensor>> + Send + Sync + 'static,
    ) -> Kernel {
        // Names of nodes live as long as the program, as kernels mostly do.
        let node = format!("{}Backward", self.0.name).leak();
        Arc::make_mut(&mut self.0).gradient = Some(Gradient { node, rule: Arc::new(rule) });
        self
    }

    /// The result of a call, of the given shape. As every operation it is recorded only, and computed with the others.
    ///
    /// # Panics
    /// If the inputs do not fit the bindings in number, type or device, the words of the uniform in number, or the
    /// workgroups the limits; if an input without elements meets a result that has some; if an input requires grad and there
    /// is no gradient rule; in backward, if the rule gives another number of gradients than there are inputs.
    #[track_caller]
    pub fn call(&self, inputs: &[&Tensor], shape: impl Ints, options: KernelOptions) -> Tensor {
        let Definition { name, program, gradient, .. } = &*self.0;
        let shape = sizes(name, shape);
        self.expect_inputs(inputs, &shape);
        self.expect_room(&shape, &options);
        let is_float = program.dtype().is_float();
        let is_wanted = |x: &&Tensor| is_grad_enabled() && x.requires_grad() || x.is_dual();
        if is_float && gradient.is_none() && inputs.iter().any(is_wanted) {
            misuse(name, "an input requires grad or has a tangent, and the kernel has no gradient rule");
        }
        let args: Vec<Arg> = inputs.iter().map(Arg::from).collect();
        let device = common_device(name, &args);
        let params: Arc<[u32]> = options.params.into();
        let custom = Custom { definition: self.0.clone(), params: params.clone(), workgroups: options.workgroups };
        let _operation = profile::operation(name);
        // Inputs of an empty result are not looked at.
        let operands = if numel(&shape) == 0 { Vec::new() } else { inputs.iter().map(|x| x.in_memory()).collect() };
        let y = Tensor::from_value(record_value(Op::Custom(custom), operands, shape, program.dtype(), &device));
        let Some(Gradient { node, rule }) = gradient.clone().filter(|_| is_float) else { return y };
        let saves: Vec<Save> = inputs.iter().copied().map(Save::Input).collect();
        record(y, node, inputs, &saves, move |call| {
            let gradients = rule(&KernelGradient { g: call.g, inputs: call.saved, params: &params, needs: call.needs });
            if gradients.len() != call.needs.len() {
                misuse(node, format!("gave {} gradients for {} inputs", gradients.len(), call.needs.len()));
            }
            gradients
        })
    }

    #[track_caller]
    fn expect_inputs(&self, inputs: &[&Tensor], shape: &[usize]) {
        let Definition { name, program, .. } = &*self.0;
        let wanted: Vec<DType> = program.inputs().collect();
        let given: Vec<DType> = inputs.iter().map(|x| x.dtype()).collect();
        if given != wanted {
            let list = |types: &[DType]| types.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ");
            misuse(name, format!("binds inputs of types ({}) and was given ({})", list(&wanted), list(&given)));
        }
        if numel(shape) > 0
            && let Some(empty) = inputs.iter().find(|x| x.numel() == 0)
        {
            let of = empty.shape();
            misuse(name, format!("no device binds an input of shape {of:?}, which a result of {shape:?} needs"));
        }
    }

    #[track_caller]
    fn expect_room(&self, shape: &[usize], options: &KernelOptions) {
        let Definition { name, program, .. } = &*self.0;
        if options.params.len() != program.params {
            let (given, wanted) = (options.params.len(), program.params);
            misuse(name, format!("its uniform has {wanted} words, and {given} were given"));
        }
        match options.workgroups {
            Some(groups) if groups.iter().any(|&n| n == 0 || n as usize > MAX_WORKGROUPS) => {
                misuse(name, format!("{groups:?} workgroups: each number must be 1 to {MAX_WORKGROUPS}"))
            }
            None if numel(shape).div_ceil(program.threads) > MAX_WORKGROUPS && !program.counts_groups => misuse(
                name,
                format!(
                    "a result of shape {shape:?} takes more than {MAX_WORKGROUPS} workgroups, which go on in the second \
                     dimension; the kernel must number them by num_workgroups, or be given a number of them"
                ),
            ),
            _ => {}
        }
    }
}

impl KernelCall<'_> {
    /// The elements of an input, in row-major order.
    ///
    /// # Panics
    /// If there is no such input, or its elements are not of type `T`.
    #[track_caller]
    pub fn input<T: Element>(&self, input: usize) -> &[T] {
        let data = self.args[input].data;
        let elements = with_data!(data, v => (v as &dyn Any).downcast_ref::<Vec<T>>());
        let wrong = || misuse("input", format!("input {input} is {}, not {}", data.dtype(), T::DTYPE));
        elements.unwrap_or_else(wrong)
    }

    /// The sizes of an input.
    pub fn input_shape(&self, input: usize) -> &[usize] {
        &self.args[input].layout.shape
    }
}

impl Custom {
    /// What the call means.
    pub fn evaluate(&self, args: &[View], shape: &[usize]) -> Data {
        (self.definition.cpu)(&KernelCall { args, shape, params: &self.params })
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Tensor {
    /// The elements where a kernel can bind them: in a buffer, in row-major order.
    #[track_caller]
    fn in_memory(&self) -> Operand {
        let operand = self.operand();
        let is_number = matches!(operand.value.op, Op::Full(_));
        let (shape, dtype, device): (Dims, _, _) = (self.shape().into(), self.dtype(), self.device());
        let value = match operand.layout.is_whole(operand.value.numel()) && !is_number {
            true => operand.value,
            false => record_value(Op::Cast, vec![operand], shape.clone(), dtype, &device),
        };
        Operand { value, layout: Layout::contiguous(&shape) }
    }
}
