//! Operations of the user's own, with gradients of their own, written in tensor operations.

use crate::autograd::forward_ad::expect_tangent;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result, misuse};
use crate::ops::create::full;
use crate::shape::Dims;
use crate::tensor::device::Device;
use crate::tensor::dual::{below, levels, without_tangents};
use crate::tensor::mode::{no_grad, site};
use crate::tensor::node::{Call, Edge, Save, record_all};
use crate::tensor::profile;
use crate::tensor::{Made, Tensor};
use parking_lot::Mutex;
use std::collections::HashMap;

/// An operation with a gradient of its own.
///
/// The value is moved into the graph, so that what `forward` stores in it is there in `backward`; tensors belong into
/// [`Context::save_for_backward`], which notices changes in place and takes part in hooks for saved tensors.
///
/// ```
/// use wgrad::autograd::{Context, Function, apply};
/// use wgrad::{Device, Result, Tensor};
///
/// struct Cube;
///
/// impl Function for Cube {
///     fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
///         ctx.save_for_backward(&[&inputs[0]]);
///         Ok(vec![inputs[0].pow(3.0)])
///     }
///
///     fn backward(&self, ctx: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
///         let (x, g) = (&ctx.saved_tensors()[0], gradients[0].as_ref().unwrap());
///         Ok(vec![Some(g * 3.0 * x * x)])
///     }
/// }
///
/// let x = Tensor::new([1.0, 2.0], &Device::cpu()).requires_grad_(true)?;
/// let y = apply(Cube, &[&x])?.remove(0);
/// y.sum().backward()?;
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [3.0, 12.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.autograd.Function](https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.Function).
pub trait Function: Send + Sync + 'static {
    /// The results. Nothing is recorded meanwhile.
    ///
    /// # Errors
    /// Whatever the operation reports; [`apply`] passes it on.
    fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>>;

    /// The gradients of the inputs from those of the results: one place per input, `None` for an input that has none; more
    /// of `None` may follow. A gradient of a shape that the input broadcasts to is summed, and converted to the input's type.
    ///
    /// # Errors
    /// Whatever the rule reports; backward passes it on.
    fn backward(&self, ctx: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>;

    /// The tangents of the results from those of the inputs, for forward mode: one place per result, `None` for a result
    /// that has none. By default they follow from `backward`, which is linear in the gradients; an operation that is
    /// [`Function::once_differentiable`] has none then.
    ///
    /// # Errors
    /// Whatever the rule reports; [`apply`] passes it on.
    fn jvp(&self, ctx: &Context, tangents: &[Option<Tensor>]) -> Option<Result<Vec<Option<Tensor>>>> {
        let _ = (ctx, tangents);
        None
    }

    /// The name of the node: the type's, followed by `Backward`.
    fn name(&self) -> &'static str {
        node_name(std::any::type_name::<Self>())
    }

    /// Whether `backward` does more than record operations of tensors, so that its results have no derivatives. As in
    /// PyTorch, they require grad only if a gradient given to `backward` does, and then asking for more is an error.
    fn once_differentiable(&self) -> bool {
        false
    }
}

/// What a [`Function`] shares between forward and backward.
#[derive(Default)]
pub struct Context {
    saved: Vec<Tensor>,
    needs: Vec<bool>,
    non_differentiable: Vec<Tensor>,
    dirty: Vec<Tensor>,
    materialize: bool,
    grad_dtypes: Option<Vec<Option<DType>>>,
    buffers: Vec<Option<Tensor>>,
}

impl Context {
    /// Keeps tensors for backward: inputs, results or others.
    pub fn save_for_backward(&mut self, tensors: &[&Tensor]) {
        self.saved = tensors.iter().map(|&x| x.clone()).collect();
    }

    /// The tensors that were kept.
    pub fn saved_tensors(&self) -> &[Tensor] {
        &self.saved
    }

    /// Whether an input wants a gradient: in forward, whether it requires grad, recording or not.
    pub fn needs_input_grad(&self, input: usize) -> bool {
        self.needs[input]
    }

    /// Says that results have no gradients.
    pub fn mark_non_differentiable(&mut self, results: &[&Tensor]) {
        self.non_differentiable = results.iter().map(|&x| x.clone()).collect();
    }

    /// Says that inputs were changed in place; they must be among the results.
    pub fn mark_dirty(&mut self, inputs: &[&Tensor]) {
        self.dirty = inputs.iter().map(|&x| x.clone()).collect();
    }

    /// Whether backward is given zeros (the default), or `None`, for a result that no gradient has arrived for.
    pub fn set_materialize_grads(&mut self, materialize: bool) {
        self.materialize = materialize;
    }

    /// Says, for each result, in which type backward is given its gradient: that of the result unless this is called,
    /// whatever type it arrives in for `None`, which also stands for results without gradients.
    ///
    /// Source: [torch.autograd.function.FunctionCtx.set_output_grad_dtype](https://docs.pytorch.org/docs/main/generated/torch.autograd.function.FunctionCtx.set_output_grad_dtype.html).
    pub fn set_output_grad_dtype(&mut self, dtypes: &[Option<DType>]) {
        self.grad_dtypes = Some(dtypes.to_vec());
    }

    /// In backward, for each input, the sum of the gradients that have arrived for it from elsewhere so far. Backward may add
    /// its own in place, and give `None` for that input. There is none, as far as an input is concerned, before anything has
    /// arrived, where somebody else holds what has, and with `create_graph`.
    ///
    /// Source: [torch.autograd.function.FunctionCtx.input_grad_buffers](https://docs.pytorch.org/docs/main/generated/torch.autograd.function.FunctionCtx.input_grad_buffers.html).
    pub fn input_grad_buffers(&self) -> &[Option<Tensor>] {
        &self.buffers
    }
}

/// Runs an operation of the user's own, and records it.
///
/// # Errors
/// What `forward` reports, and if a leaf that requires grad was changed in place.
///
/// # Panics
/// If an input that was changed in place is no result; in backward, if the gradients do not fit the inputs.
#[track_caller]
pub fn apply<F: Function>(mut function: F, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let _operation = profile::operation(function.name());
    let needs = inputs.iter().map(|x| x.requires_grad()).collect();
    let mut ctx = Context { needs, materialize: true, ..Context::default() };
    let given: Vec<Tensor> = inputs.iter().map(|&x| x.clone()).collect();
    let edges: Vec<_> = inputs.iter().map(|x| x.before_function()).collect();
    let results = {
        let _unrecorded = no_grad();
        function.forward(&mut ctx, &given)?
    };
    let tangents = given_tangents(&function, &ctx, &edges)?;
    let Context { saved, non_differentiable, dirty, materialize, grad_dtypes, .. } = ctx;
    if let Some(dtypes) = &grad_dtypes {
        let fits = |(y, dtype): (&Tensor, &Option<DType>)| {
            let has_gradient = y.dtype().is_float() && !non_differentiable.iter().any(|x| x.is_same(y));
            dtype.is_none_or(|dtype| has_gradient && dtype.is_float())
        };
        if dtypes.len() != results.len() || !results.iter().zip(dtypes).all(fits) {
            let types: Vec<_> = results.iter().map(Tensor::dtype).collect();
            misuse("set_output_grad_dtype", format!("{}: {dtypes:?} for results of {types:?}", function.name()));
        }
    }
    let among = |list: &[Tensor], x: &Tensor| list.iter().any(|y| y.is_same(x));
    for x in &dirty {
        if !among(&results, x) {
            misuse("apply", format!("{} changed an input of shape {:?} that is no result", function.name(), x.shape()));
        }
        x.expect_changeable(function.name())?;
    }
    // What is recorded: of a tensor that stands in the graph already, another one with the same elements.
    let mut ys: Vec<Tensor> = Vec::with_capacity(results.len());
    for y in &results {
        ys.push(match () {
            () if among(&non_differentiable, y) => y.untracked(),
            () if among(&dirty, y) => y.snapshot(),
            () if among(&given, y) => without_tangents(|| {
                let _unrecorded = no_grad();
                y.view_as_itself()
            }),
            () => y.clone(),
        });
    }
    // A replay of such a view would pass by the gradient rule.
    for y in ys.iter().filter(|y| y.0.view.is_some()) {
        y.0.meta.lock().made = Made::ByFunction;
    }
    let recorded = |x| results.iter().position(|y| y.is_same(x)).filter(|_| among(&dirty, x) || !among(&given, x));
    let saves: Vec<Save> = saved.iter().map(|x| Save::Input(recorded(x).map_or(x, |i| &ys[i]))).collect();
    let operands: Vec<&Tensor> = edges.iter().collect();
    let asked = |i: usize| grad_dtypes.as_ref().and_then(|dtypes| dtypes[i]);
    let kinds = ys.iter().enumerate().map(|(i, y)| (asked(i).unwrap_or(y.dtype()), y.device()));
    let shapes: Vec<(Dims, (DType, Device))> = ys.iter().map(|y| Dims::from_slice(y.shape())).zip(kinds).collect();
    let ys: Vec<&Tensor> = ys.iter().collect();
    let (name, once) = (function.name(), function.once_differentiable());
    let rule = move |call: Call| {
        let gradients: Vec<Option<Tensor>> = call
            .gradients
            .iter()
            .zip(&shapes)
            .map(|(g, (shape, (dtype, device)))| {
                g.clone().or_else(|| materialize.then(|| full(0.0, shape.clone(), *dtype, device)))
            })
            .collect();
        let ctx = Context {
            saved: call.saved.to_vec(),
            needs: call.needs.to_vec(),
            materialize,
            buffers: (0..call.needs.len()).map(call.buffer).collect(),
            ..Context::default()
        };
        let mut results = {
            let _unrecorded = once.then(no_grad);
            function.backward(&ctx, &gradients)?
        };
        if results.iter().skip(call.needs.len()).all(Option::is_none) {
            results.truncate(call.needs.len());
        }
        if results.len() != call.needs.len() {
            // While a rule runs, the line is the forward operation's.
            let (at, got, wanted) = (site(), results.len(), call.needs.len());
            misuse(name, format!("recorded at {at}, gave {got} gradients for {wanted} inputs"));
        }
        Ok(if once { refuse_more(name, results, &gradients) } else { results })
    };
    match tangents {
        None => record_all(&ys, name, &operands, &saves, rule),
        Some(tangents) => {
            without_tangents(|| record_all(&ys, name, &operands, &saves, rule));
            // What `forward` has carried along is not the rule's.
            ys.iter().for_each(|y| y.0.meta.lock().dual = None);
            for (level, tangents) in tangents {
                let count = (tangents.len(), ys.len());
                if count.0 != count.1 {
                    misuse("apply", format!("{name} gave {} tangents for {} results", count.0, count.1));
                }
                for (y, t) in ys.iter().zip(tangents) {
                    t.iter().for_each(|t| y.set_tangent(level, expect_tangent("apply", y, t)));
                }
            }
        }
    }
    for (y, dtype) in ys.iter().zip(grad_dtypes.into_iter().flatten()) {
        if let Some(Edge { node, output }) = &y.0.meta.lock().grad_fn {
            let _new = node.outputs[*output].asked.set(dtype);
        }
    }
    let mut seen = Vec::with_capacity(results.len());
    for (result, y) in results.into_iter().zip(ys) {
        seen.push(if among(&non_differentiable, &result) {
            let mut meta = y.0.meta.lock();
            let _old = (meta.grad_fn.take(), meta.dual.take());
            drop(meta);
            y.clone()
        } else if among(&dirty, &result) {
            result.adopt(y);
            result
        } else {
            y.clone()
        });
    }
    Ok(seen)
}

/// For each level one place per result.
type Given = Vec<(u64, Vec<Option<Tensor>>)>;

/// The tangents that a function gives by a rule of its own, level by level.
fn given_tangents<F: Function>(function: &F, ctx: &Context, inputs: &[Tensor]) -> Result<Option<Given>> {
    let mut all = Vec::new();
    for level in levels() {
        let tangents: Vec<_> = inputs.iter().map(|x| x.tangent(level)).collect();
        if tangents.iter().any(Option::is_some) {
            match below(level, || function.jvp(ctx, &tangents)) {
                None => return Ok(None),
                Some(tangents) => all.push((level, tangents?)),
            }
        }
    }
    Ok(Some(all).filter(|all| !all.is_empty()))
}

/// The same gradients, whose own derivatives are an error.
#[track_caller]
fn refuse_more(name: &'static str, results: Vec<Option<Tensor>>, gradients: &[Option<Tensor>]) -> Vec<Option<Tensor>> {
    let inputs: Vec<&Tensor> = gradients.iter().flatten().collect();
    let refused = |y: Tensor| {
        record_all(&[&y], "OnceDifferentiable", &inputs, &[], move |_| {
            let why = format!("backward: {name} is differentiable once only");
            Err(Error::new(Kind::Graph, why))
        });
        y
    };
    results.into_iter().map(|g| g.map(|g| refused(g.untracked()))).collect()
}

/// `CubeBackward` for the path of a type `Cube`; every name is made once.
fn node_name(path: &'static str) -> &'static str {
    static NAMES: Mutex<Option<HashMap<&'static str, &'static str>>> = Mutex::new(None);
    let plain = path.split('<').next().unwrap_or(path);
    let name = || &*format!("{}Backward", plain.rsplit("::").next().unwrap_or(plain)).leak();
    NAMES.lock().get_or_insert_default().entry(path).or_insert_with(name)
}

impl Tensor {
    /// This tensor's place in the graph as it is now, which an operation in place is about to change.
    fn before_function(&self) -> Tensor {
        match self.is_leaf() && self.requires_grad() {
            true => self.clone(),
            false => self.remembered(self.gradient_edge()),
        }
    }
}
