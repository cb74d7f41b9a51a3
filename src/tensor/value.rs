//! Values: an operation and its operands until it has been computed, and a device buffer afterwards.

use crate::dtype::DType;
use crate::error::Error;
use crate::ops::op::Op;
use crate::shape::{Dims, Layout, numel};
use crate::tensor::device::Device;
use crate::tensor::mode::node;
use crate::tensor::profile;
use parking_lot::Mutex;
use std::any::Any;
use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Whatever a device keeps a value in. The language holds it and cannot look into it.
pub type Buffer = Arc<dyn Any + Send + Sync>;

/// A value read through a layout.
#[derive(Clone)]
pub struct Operand {
    /// What is read.
    pub value: Arc<Value>,
    /// How it is read.
    pub layout: Layout,
}

/// The operands of one value.
pub type Operands = Vec<Operand>;

/// Whether a value has been computed.
pub enum State {
    /// Not yet; a `Full` number stays so for ever.
    Pending(Operands),
    /// Yes, and here it lies, in row-major order.
    Ready(Buffer),
    /// It should have been, and could not.
    Failed(Error),
}

/// Sees what this thread records: makes the value, or gives one that is there already in its place.
pub(crate) type Witness = Rc<dyn Fn(&Op, &[usize], DType, &mut dyn FnMut() -> Arc<Value>) -> Arc<Value>>;

thread_local! {
    static WITNESS: RefCell<Option<Witness>> = const { RefCell::new(None) };
}

/// Runs `f` with another witness, or without one.
pub(crate) fn with_witness<T>(witness: Option<Witness>, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<Witness>);
    impl Drop for Restore {
        fn drop(&mut self) {
            WITNESS.set(self.0.take());
        }
    }
    let _restore = Restore(WITNESS.replace(witness));
    f()
}

/// One immutable value: the node of the pending graph. Values are numbered as they are recorded, so operands always
/// have smaller numbers than their consumers.
pub struct Value {
    /// Its number in the order of recording.
    pub id: u64,
    /// How it follows from its operands.
    pub op: Op,
    /// Its sizes.
    pub shape: Dims,
    /// Its element type.
    pub dtype: DType,
    /// Where it lives.
    pub device: Device,
    /// The user's line that recorded it.
    pub at: &'static Location<'static>,
    /// The node whose gradient rule recorded it, if one did.
    pub node: Option<&'static str>,
    /// The number of the latest placeholder this follows from; 0 if there is none, and it can be computed.
    pub waits_for: u64,
    /// How many nodes keep it for backward.
    kept: AtomicU32,
    state: Mutex<State>,
}

impl Value {
    /// Records a value on its device's pending graph.
    pub fn record(
        op: Op,
        operands: Operands,
        shape: Dims,
        dtype: DType,
        device: &Device,
        at: &'static Location<'static>,
    ) -> Arc<Value> {
        let op = match op {
            Op::Full(x) => Op::Full(dtype.round(x)),
            other => other,
        };
        let is_number = matches!(op, Op::Full(_));
        let _operation = (!is_number).then(|| profile::value(op.name(), at, &shape, dtype));
        let witness = WITNESS.with_borrow(Option::clone).filter(|_| !is_number);
        let Some(witness) = witness else { return Value::make(op, operands, shape, dtype, device, at) };
        let mut given = Some((op.clone(), operands, shape.clone()));
        witness(&op, &shape, dtype, &mut || {
            let (op, operands, shape) = given.take().expect("a value is made once");
            Value::make(op, operands, shape, dtype, device, at)
        })
    }

    fn make(
        op: Op,
        operands: Operands,
        shape: Dims,
        dtype: DType,
        device: &Device,
        at: &'static Location<'static>,
    ) -> Arc<Value> {
        let waits_for = operands.iter().map(|operand| operand.value.waits_for).max().unwrap_or(0);
        let mut value = Value::new(op, State::Pending(operands), shape, dtype, device, at);
        value.waits_for = waits_for;
        let value = Arc::new(value);
        // A `Full` value is computed by whoever reads it, and what waits for a placeholder by nobody.
        if waits_for == 0 && !matches!(value.op, Op::Full(_)) {
            device.append(&value);
        }
        value
    }

    /// A placeholder: data that nobody has given.
    pub fn placeholder(shape: Dims, dtype: DType, device: &Device, at: &'static Location<'static>) -> Arc<Value> {
        let mut value = Value::new(Op::Data, State::Pending(Operands::new()), shape, dtype, device, at);
        value.waits_for = value.id;
        Arc::new(value)
    }

    /// A value that lies on its device already.
    pub fn ready(
        buffer: Buffer,
        shape: Dims,
        dtype: DType,
        device: &Device,
        at: &'static Location<'static>,
    ) -> Arc<Value> {
        Arc::new(Value::new(Op::Data, State::Ready(buffer), shape, dtype, device, at))
    }

    /// A value that could not be made, and says so to whoever reads it.
    pub fn failed(
        error: Error,
        shape: Dims,
        dtype: DType,
        device: &Device,
        at: &'static Location<'static>,
    ) -> Arc<Value> {
        Arc::new(Value::new(Op::Data, State::Failed(error), shape, dtype, device, at))
    }

    fn new(op: Op, state: State, shape: Dims, dtype: DType, device: &Device, at: &'static Location<'static>) -> Value {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        device.live().values.fetch_add(1, Ordering::Relaxed);
        let (device, node, kept, state) = (device.clone(), node(), AtomicU32::new(0), Mutex::new(state));
        Value { id, op, shape, dtype, device, at, node, waits_for: 0, kept, state }
    }

    /// What the value is, without its operands: it is never computed.
    pub fn without_operands(&self) -> Arc<Value> {
        let state = State::Pending(Operands::new());
        Arc::new(Value::new(self.op.clone(), state, self.shape.clone(), self.dtype, &self.device, self.at))
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        numel(&self.shape)
    }

    /// The bytes it takes where it lives: a number that stands in all places is not stored.
    pub fn bytes(&self) -> usize {
        if matches!(self.op, Op::Full(_)) { 0 } else { self.numel() * self.dtype.size() }
    }

    /// The operands, while the value is pending.
    pub fn operands(&self) -> Operands {
        match &*self.state.lock() {
            State::Pending(operands) => operands.clone(),
            State::Ready(_) | State::Failed(_) => Operands::new(),
        }
    }

    /// The buffer, if the value was computed; the error, if it should have been.
    pub fn buffer(&self) -> Option<Result<Buffer, Error>> {
        match &*self.state.lock() {
            State::Pending(_) => None,
            State::Ready(buffer) => Some(Ok(buffer.clone())),
            State::Failed(error) => Some(Err(error.clone())),
        }
    }

    /// Gives the value its buffer, or the reason why it has none, and lets go of its operands.
    pub fn settle(&self, result: Result<Buffer, Error>) {
        let state = match result {
            Ok(buffer) => State::Ready(buffer),
            Err(error) => State::Failed(error),
        };
        // Dropped only after the lock is released: operands may be long chains.
        let _old = std::mem::replace(&mut *self.state.lock(), state);
    }

    /// Lets go of the operands of a value that nobody will ask for.
    pub fn release(&self) {
        let _old = match &mut *self.state.lock() {
            State::Pending(operands) => std::mem::take(operands),
            State::Ready(_) | State::Failed(_) => Operands::new(),
        };
    }
}

/// A value that a node of the autograd graph keeps; the device counts the bytes of such values, each once.
pub(crate) struct Kept(Arc<Value>);

impl Kept {
    pub fn new(value: Arc<Value>) -> Kept {
        if value.kept.fetch_add(1, Ordering::Relaxed) == 0 {
            value.device.live().saved.add(value.bytes());
        }
        Kept(value)
    }

    pub fn value(&self) -> &Arc<Value> {
        &self.0
    }
}

impl Clone for Kept {
    fn clone(&self) -> Kept {
        Kept::new(self.0.clone())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.0.kept.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.device.live().saved.remove(self.0.bytes());
        }
    }
}

/// Long chains of pending values are dropped one by one, never by recursion.
impl Drop for Value {
    fn drop(&mut self) {
        self.device.live().values.fetch_sub(1, Ordering::Relaxed);
        let State::Pending(operands) = self.state.get_mut() else { return };
        let mut rest = std::mem::take(operands);
        while let Some(operand) = rest.pop() {
            if let Some(mut value) = Arc::into_inner(operand.value)
                && let State::Pending(operands) = value.state.get_mut()
            {
                rest.append(operands);
            }
        }
    }
}
