//! Checkpoints: regions of the forward pass that keep nothing for backward, and are computed again when it needs them.

use crate::autograd::engine::Task;
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use crate::func::Outcome;
use crate::ops::op::Op;
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::autocast::{autocast_dtype, cast_to};
use crate::tensor::draws::{Draws, noting, repeating};
use crate::tensor::dual::without_tangents;
use crate::tensor::mode::recording;
use crate::tensor::saved::{Saved, hooks_that_keep, saved_tensors_hooks};
use crate::tensor::value::{Value, Witness, with_witness};
use parking_lot::Mutex;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What [`checkpoint`] may be told.
#[derive(Clone, Debug)]
pub struct CheckpointOptions {
    /// Whether random numbers are the same when the region is computed again, on all devices: yes.
    pub preserve_rng_state: bool,
    /// Whether what is computed again must have the shapes and types of what was not kept: yes.
    pub determinism_check: bool,
    /// Whether computing again stops at the last value that backward needs: yes. It takes a panic to leave the region, so
    /// that programs built with `panic = "abort"` run it to its end.
    pub early_stop: bool,
    /// Which values of the region are kept and not computed again: none.
    pub policy: Option<CheckpointPolicy>,
}

/// Says which values inside of a checkpoint are kept: those that take long to compute for their size.
///
/// ```
/// use wgrad::autograd::{CheckpointOptions, CheckpointPolicy, checkpoint};
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let (x, w) = (Tensor::rand([8, 64], &dev), Tensor::rand([64, 8], &dev).requires_grad_(true)?);
/// let policy = CheckpointPolicy::keep(|operation, _shape| operation == "matmul");
/// let options = CheckpointOptions { policy: Some(policy), ..Default::default() };
/// let y = checkpoint(|x: &[Tensor]| x[0].matmul(&x[1]).tanh().exp(), &[&x, &w], options);
/// y.sum().backward()?; // computes tanh and exp again, and no product
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [create_selective_checkpoint_contexts](https://docs.pytorch.org/docs/stable/checkpoint.html#torch.utils.checkpoint.create_selective_checkpoint_contexts).
#[derive(Clone)]
pub struct CheckpointPolicy(Arc<Keep>);

type Keep = dyn Fn(&str, &[usize]) -> bool + Send + Sync;

impl CheckpointPolicy {
    /// Keeps the values for which `f` of the operation's name and the value's shape is true. The names are those of
    /// what is computed, such as `matmul` for every product and convolution, `sum` or `exp`.
    pub fn keep(f: impl Fn(&str, &[usize]) -> bool + Send + Sync + 'static) -> CheckpointPolicy {
        CheckpointPolicy(Arc::new(f))
    }
}

impl fmt::Debug for CheckpointPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckpointPolicy")
    }
}

impl Default for CheckpointOptions {
    fn default() -> CheckpointOptions {
        CheckpointOptions { preserve_rng_state: true, determinism_check: true, early_stop: true, policy: None }
    }
}

type Region = Box<dyn Fn(&[Tensor]) -> Result<()> + Send + Sync>;

/// One region, and what is known of the values that it would have saved.
struct Frame {
    f: Region,
    /// The inputs are saved as an operation saves them: by a checkpoint around this one not at all.
    inputs: Vec<Saved>,
    wants: Vec<bool>,
    /// What the region has drawn, if it is to draw the same again.
    draws: Option<Draws>,
    autocast: Option<DType>,
    options: CheckpointOptions,
    kept: Mutex<Vec<(Dims, DType)>>,
    /// Whether the region has been run to its end.
    complete: AtomicBool,
    /// The values that the policy keeps, in the order in which they were recorded.
    chosen: Mutex<Vec<Arc<Value>>>,
    again: Mutex<Again>,
}

/// What is done about a value that the policy keeps, by its number, and what it is to be.
type Kept = fn(&Frame, usize, (&Op, &[usize], DType), &mut dyn FnMut() -> Arc<Value>) -> Arc<Value>;

/// The values computed again in one run of backward; each is given away once.
#[derive(Default)]
struct Again {
    task: u64,
    values: Vec<Option<Tensor>>,
}

/// Ends a computation early.
struct Enough;

/// Computes `f` of the inputs without keeping what backward needs of it but the inputs; backward computes `f` again.
/// Gradients are the same, of any order; memory is saved for time. Regions may be nested. What `f` gives is given back: a
/// structure of tensors, or a `Result` of one.
///
/// An input that is changed in place before backward is an error. What `f` captures is not looked at: were a captured
/// tensor changed, `f` would be computed again with the new elements, and the gradients would be wrong. Pass it as an input.
///
/// ```
/// use wgrad::autograd::{CheckpointOptions, checkpoint};
/// use wgrad::{Device, Tensor};
/// let x = Tensor::new([0.5, 1.0], &Device::cpu()).requires_grad_(true)?;
/// let y = checkpoint(|x: &[Tensor]| (x[0].sin() * &x[0]).exp(), &[&x], CheckpointOptions::default());
/// y.sum().backward()?;
/// assert!(x.grad().is_some());
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// Backward fails if the region, computed again, saves other shapes or types, or fewer values.
///
/// Source: [torch.utils.checkpoint](https://docs.pytorch.org/docs/stable/checkpoint.html), without reentrant autograd.
#[track_caller]
pub fn checkpoint<R: Outcome>(
    f: impl Fn(&[Tensor]) -> R + Send + Sync + 'static,
    inputs: &[&Tensor],
    options: CheckpointOptions,
) -> R {
    let f = Arc::new(f);
    let again = f.clone();
    let given: Vec<Tensor> = inputs.iter().map(|&x| x.clone()).collect();
    let draws = options.preserve_rng_state.then(Draws::default);
    let frame = Arc::new(Frame {
        f: Box::new(move |x| again(x).outcome().map(drop)),
        inputs: inputs.iter().map(|x| Saved::new("checkpoint", x, x.gradient_edge(), None)).collect(),
        wants: inputs.iter().map(|x| x.requires_grad()).collect(),
        draws,
        autocast: autocast_dtype(),
        options,
        kept: Mutex::default(),
        complete: AtomicBool::default(),
        chosen: Mutex::default(),
        again: Mutex::default(),
    });
    let (packing, unpacking, keeping) = (frame.clone(), frame.clone(), frame.clone());
    let _scope = hooks_that_keep(
        move |x| {
            let mut kept = packing.kept.lock();
            kept.push((Dims::from_slice(x.shape()), x.dtype()));
            kept.len() - 1
        },
        move |&number: &usize| unpacking.value(number),
        move |_| keeping.keeps(),
    );
    let run = || with_witness(frame.witness(Frame::choose), || f(&given));
    let ys = match &frame.draws {
        Some(draws) => noting(draws.clone(), run),
        None => run(),
    };
    frame.complete.store(true, Ordering::Relaxed);
    ys
}

/// Runs functions one after the other, in `segments` regions of which all but the last are checkpoints.
///
/// # Panics
/// If there are no functions, or not as many as segments.
#[track_caller]
pub fn checkpoint_sequential<F>(functions: Vec<F>, segments: usize, x: &Tensor) -> Tensor
where
    F: Fn(&Tensor) -> Tensor + Send + Sync + 'static,
{
    if segments == 0 || functions.len() < segments {
        let n = functions.len();
        crate::error::misuse("checkpoint_sequential", format!("{n} functions do not make {segments} segments"));
    }
    let each = functions.len() / segments;
    let mut rest = functions.into_iter();
    let mut x = x.clone();
    for _ in 1..segments {
        let part: Vec<F> = rest.by_ref().take(each).collect();
        let run = move |x: &[Tensor]| part.iter().fold(x[0].clone(), |x, f| f(&x));
        x = checkpoint(run, &[&x], CheckpointOptions::default());
    }
    rest.fold(x, |x, f| f(&x))
}

impl Frame {
    /// Does something about every value of the region that the policy keeps.
    fn witness(self: &Arc<Self>, kept: Kept) -> Option<Witness> {
        let CheckpointPolicy(keep) = self.options.policy.clone()?;
        let (frame, count) = (self.clone(), Cell::new(0));
        Some(Rc::new(move |op, shape, dtype, make| match keep(op.name(), shape) {
            true => kept(&frame, count.replace(count.get() + 1), (op, shape, dtype), make),
            false => make(),
        }))
    }

    /// Keeps a value.
    fn choose(&self, _: usize, _: (&Op, &[usize], DType), make: &mut dyn FnMut() -> Arc<Value>) -> Arc<Value> {
        let value = make();
        self.chosen.lock().push(value.clone());
        value
    }

    /// Gives the value that was kept as number `number`, if it is of the same operation.
    fn reuse(
        &self,
        number: usize,
        (op, shape, dtype): (&Op, &[usize], DType),
        make: &mut dyn FnMut() -> Arc<Value>,
    ) -> Arc<Value> {
        let is_alike =
            |kept: &Arc<Value>| kept.op.name() == op.name() && kept.shape[..] == *shape && kept.dtype == dtype;
        self.chosen.lock().get(number).cloned().filter(is_alike).unwrap_or_else(make)
    }

    /// What is kept for the values of the region: its inputs, and what the policy chose.
    fn keeps(&self) -> Option<Vec<Arc<Value>>> {
        let mut all = self.chosen.lock().clone();
        for input in &self.inputs {
            all.extend(input.values()?);
        }
        Some(all)
    }

    /// The value saved as number `number`, computed again.
    fn value(self: &Arc<Self>, number: usize) -> Result<Tensor> {
        let task = Task::current().map_or(0, |task| task.id);
        let known = |again: &mut Again| match again.task == task {
            true => again.values.get_mut(number).and_then(Option::take),
            false => None,
        };
        if let Some(x) = known(&mut self.again.lock()) {
            return Ok(x);
        }
        // The user's function runs outside of the lock.
        let mut again = Again { task, values: self.compute()? };
        let x = known(&mut again);
        let _old = std::mem::replace(&mut *self.again.lock(), again);
        x.ok_or_else(|| self.differs("fewer values were saved"))
    }

    /// Runs the region again, and gives what it saves.
    fn compute(self: &Arc<Self>) -> Result<Vec<Option<Tensor>>> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (saved, &wants) in self.inputs.iter().zip(&self.wants) {
            let x = saved.unpack_alone()?.untracked();
            inputs.push(if wants { x.requires_grad_(true)? } else { x });
        }
        let count = self.kept.lock().len();
        let found: Arc<Mutex<Vec<Option<Tensor>>>> = Arc::default();
        // Without unwinding there is no way out of the middle of a region.
        let (finding, early) = (found.clone(), self.options.early_stop && cfg!(panic = "unwind"));
        // The tangents of what was saved are kept beside it.
        let compute = || without_tangents(|| with_witness(self.witness(Frame::reuse), || (self.f)(&inputs)));
        let again = || match &self.draws {
            Some(draws) => repeating(draws.clone(), compute),
            None => compute(),
        };
        let run = catch_unwind(AssertUnwindSafe(|| {
            let _modes = (recording(), cast_to(self.autocast));
            let _scope = saved_tensors_hooks(
                move |x| {
                    let mut found = finding.lock();
                    found.push(Some(x.clone()));
                    if early && found.len() == count {
                        drop(found);
                        resume_unwind(Box::new(Enough));
                    }
                    x
                },
                // A region that differentiates walks a graph of its own.
                |x: &Tensor| Ok(x.clone()),
            );
            again()
        }));
        match run {
            Err(panic) if !panic.is::<Enough>() => resume_unwind(panic),
            Err(_) => {}
            Ok(outcome) => outcome?,
        }
        let found = std::mem::take(&mut *found.lock());
        if self.options.determinism_check {
            let kept = self.kept.lock();
            // A region that differentiates asks for values before it has saved the last one.
            if found.len() < kept.len() || found.len() > kept.len() && self.complete.load(Ordering::Relaxed) {
                return Err(self.differs(&format!("{} values were saved, not {}", found.len(), kept.len())));
            }
            for (x, (shape, dtype)) in found.iter().flatten().zip(kept.iter()) {
                if x.shape() != &shape[..] || x.dtype() != *dtype {
                    let (now, then) = (x.shape(), shape.as_slice());
                    return Err(self.differs(&format!("{} of {now:?} was saved, not {dtype} of {then:?}", x.dtype())));
                }
            }
        }
        Ok(found)
    }

    fn differs(&self, how: &str) -> Error {
        Error::new(Kind::Graph, format!("checkpoint: computed again, the region does something else: {how}"))
    }
}
