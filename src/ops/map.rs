//! Recording a row: numbers as operands, promotion, broadcasting. No other file knows that operands may differ in type
//! or shape.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::op::Op;
use crate::ops::row::{Row, RowKind};
use crate::shape::{Dims, Layout, broadcast};
use crate::tensor::Tensor;
use crate::tensor::autocast;
use crate::tensor::cuts::{CutBy, Cuts};
use crate::tensor::device::Device;
use crate::tensor::mode::{is_grad_enabled, site};
use crate::tensor::node::{Save, record};
use crate::tensor::profile;
use crate::tensor::value::{Operand, Operands, Value};
use smallvec::SmallVec;

/// An operand: a tensor, or a number, which takes the type of the tensors it meets.
#[derive(Clone, Debug)]
pub enum Arg {
    /// A tensor.
    Tensor(Tensor),
    /// A number and the type it has by itself: `f32`, `i32` or `bool`.
    Number(f64, DType),
}

impl From<&Tensor> for Arg {
    fn from(x: &Tensor) -> Arg {
        Arg::Tensor(x.clone())
    }
}

impl From<&&Tensor> for Arg {
    fn from(x: &&Tensor) -> Arg {
        Arg::Tensor((*x).clone())
    }
}

impl From<Tensor> for Arg {
    fn from(x: Tensor) -> Arg {
        Arg::Tensor(x)
    }
}

macro_rules! numbers {
    ($($t:ty => $dtype:ident)*) => { $(
        impl From<$t> for Arg {
            fn from(x: $t) -> Arg { Arg::Number(x as f64, DType::$dtype) }
        }
    )* };
}
numbers!(f32 => F32 f64 => F32 i32 => I32 i64 => I32 u32 => I32 usize => I32);

impl From<bool> for Arg {
    fn from(x: bool) -> Arg {
        Arg::Number(x as u8 as f64, DType::Bool)
    }
}

impl Arg {
    /// A factor beside elements of a type: among integers a number is one too, its fraction cut off.
    pub(crate) fn of(self, dtype: DType) -> Arg {
        match self {
            Arg::Number(x, _) if !dtype.is_float() => Arg::Number(dtype.round(x), dtype),
            factor => factor,
        }
    }
}

/// The type operands combine to, as PyTorch promotes: a 0-d tensor or a number widens only to a higher category.
///
/// Source: [tensor attributes](https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc).
pub(crate) fn result_type<'a>(args: impl Iterator<Item = &'a Arg>) -> DType {
    let mut best: [Option<DType>; 3] = [None; 3];
    for arg in args {
        let (rank, dtype) = match arg {
            Arg::Tensor(x) if x.rank() > 0 => (0, x.dtype()),
            Arg::Tensor(x) => (1, x.dtype()),
            Arg::Number(_, dtype) => (2, *dtype),
        };
        best[rank] = Some(best[rank].map_or(dtype, |d| d.promote(dtype)));
    }
    best.into_iter()
        .flatten()
        .reduce(|d, lower| if lower.category() > d.category() { lower } else { d })
        .expect("there is an operand")
}

/// Records a row over its operands: promotes, broadcasts, and keeps what the derivatives read.
#[track_caller]
pub(crate) fn map(row: &'static Row, args: &[Arg]) -> Tensor {
    let _operation = profile::operation(row.name);
    let device = common_device(row.name, args);
    let choice = row.kind == RowKind::Choice;
    if choice && !matches!(&args[0], Arg::Tensor(condition) if condition.dtype() == DType::Bool) {
        misuse(row.name, format!("the condition must be a bool tensor, not {}", type_of(&args[0])));
    }
    let promoted = result_type(args[choice as usize..].iter());
    if row.kind == RowKind::Bits && promoted.is_float() {
        let shapes: Vec<String> = args.iter().map(shape_of).collect();
        misuse(row.name, format!("wants integers or bools, not {promoted}: {}", shapes.join(" and ")));
    }
    let compute = match row.kind {
        // Bools are added, multiplied and ordered as integers; a sum or product is a bool again.
        RowKind::Arithmetic | RowKind::Compare | RowKind::Bits if promoted == DType::Bool => DType::I32,
        RowKind::Arithmetic | RowKind::Compare | RowKind::Bits | RowKind::Choice => promoted.compute(),
        RowKind::Float | RowKind::Test if !promoted.is_float() => DType::F32,
        RowKind::Float | RowKind::Test => promoted.compute(),
        RowKind::Logic => DType::Bool,
    };
    let dtype = match row.kind {
        RowKind::Arithmetic | RowKind::Bits | RowKind::Choice => promoted,
        RowKind::Float if promoted.is_float() => promoted,
        RowKind::Float => compute,
        RowKind::Compare | RowKind::Test | RowKind::Logic => DType::Bool,
    };
    // A number divided by a tensor is a reciprocal, which may be as large.
    let inverts = row.name == "div" && matches!(args[0], Arg::Number(..));
    let dtype = autocast::result(if inverts { "reciprocal" } else { row.name }, dtype);

    let tensors: SmallVec<[Tensor; 3]> = args
        .iter()
        .map(|arg| match arg {
            Arg::Tensor(x) => x.clone(),
            Arg::Number(x, _) => Tensor::number(*x, compute, &device),
        })
        .collect();
    let Some(shape) = tensors.iter().try_fold(Dims::new(), |shape, x| broadcast(&shape, x.shape())) else {
        let shapes: Vec<String> = tensors.iter().map(|x| format!("{:?}", x.shape())).collect();
        misuse(row.name, format!("shapes do not broadcast: {}", shapes.join(" and ")))
    };
    let operands: Operands = tensors
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let operand = cast_operand(x.operand(), if choice && i == 0 { DType::Bool } else { compute });
            Operand { layout: operand.layout.expand(&shape), value: operand.value }
        })
        .collect();
    let value = record_value(Op::Map(row), operands, shape, row.result(compute), &device);
    let y = Tensor::from_value(value).cast_value(dtype);

    let inputs: SmallVec<[&Tensor; 3]> = tensors.iter().collect();
    if !dtype.is_float() {
        // A mask is no path: what it chooses from has its own.
        if dtype != DType::Bool {
            Cuts::of(&inputs).carry(&[&y]);
        }
        return y;
    }
    if row.grads.len() < inputs.len() && inputs[row.grads.len()..].iter().any(|x| x.is_tracked()) {
        misuse(row.name, "has no gradient for this operand, which requires one");
    }
    let mut letters: SmallVec<[&str; 4]> = SmallVec::new();
    for (x, grad) in inputs.iter().zip(row.grads) {
        if x.is_tracked() {
            letters.extend(grad.saves.iter().filter(|s| !letters.contains(s)).copied().collect::<SmallVec<[_; 4]>>());
        }
    }
    let saves: SmallVec<[Save; 4]> = letters
        .iter()
        .map(|letter| match row.letters().iter().position(|l| l == letter) {
            Some(i) if matches!(args[i], Arg::Number(..)) => Save::Number(inputs[i]),
            Some(i) => Save::Input(inputs[i]),
            None => Save::Output,
        })
        .collect();
    let like: SmallVec<[(Dims, DType); 3]> = inputs.iter().map(|x| (Dims::from_slice(x.shape()), x.dtype())).collect();
    // Operands beyond the derivatives take none, and have no edge.
    let name = match args {
        [Arg::Number(..), ..] => row.nodes[2],
        [.., Arg::Number(..)] => row.nodes[1],
        _ => row.nodes[0],
    };
    record(y, name, &inputs[..row.grads.len()], &saves, move |call| {
        (row.grads.iter().zip(call.needs).zip(&like))
            .map(|((grad, needed), (shape, dtype))| {
                let saved =
                    |s: &&str| call.saved[letters.iter().position(|l| l == s).expect("saved at recording")].clone();
                needed.then(|| {
                    // Narrow floats are rounded once, at the end.
                    let saved: SmallVec<[Tensor; 4]> = grad.saves.iter().map(|letter| saved(letter).wide()).collect();
                    (grad.rule)(&call.g.wide(), &saved).sum_to(shape).cast(*dtype)
                })
            })
            .collect()
    })
}

/// A value of a non-empty shape on the pending graph; of an empty one, there is nothing to compute.
#[track_caller]
pub(crate) fn record_value(
    op: Op,
    operands: Operands,
    shape: Dims,
    dtype: DType,
    device: &Device,
) -> std::sync::Arc<Value> {
    let empty = shape.contains(&0);
    Value::record(
        if empty { Op::Full(0.0) } else { op },
        if empty { Operands::new() } else { operands },
        shape,
        dtype,
        device,
        site(),
    )
}

/// The device all tensors among the operands live on.
#[track_caller]
pub(crate) fn common_device(op: &str, args: &[Arg]) -> Device {
    let mut tensors = args.iter().filter_map(|arg| match arg {
        Arg::Tensor(x) => Some(x),
        Arg::Number(..) => None,
    });
    let first = tensors.next().expect("one operand is a tensor");
    for x in tensors {
        first.expect_same_device(op, x);
    }
    first.device()
}

/// A value converted to a dtype, its strides kept where nothing has to be done.
#[track_caller]
pub(crate) fn cast_operand(x: Operand, dtype: DType) -> Operand {
    if x.value.dtype == dtype {
        return x;
    }
    if let Op::Full(number) = x.value.op {
        return Operand {
            value: record_value(Op::Full(number), Operands::new(), x.value.shape.clone(), dtype, &x.value.device),
            layout: x.layout,
        };
    }
    let device = x.value.device.clone();
    // What a layout reads several times is converted once.
    if x.layout.numel() > x.value.numel() {
        let whole = Operand { layout: Layout::contiguous(&x.value.shape), value: x.value };
        return Operand { value: cast_operand(whole, dtype).value, layout: x.layout };
    }
    let shape = x.layout.shape.clone();
    let value = record_value(Op::Cast, Operands::from_iter([x]), shape, dtype, &device);
    Operand { layout: Layout::contiguous(&value.shape), value }
}

fn shape_of(arg: &Arg) -> String {
    match arg {
        Arg::Tensor(x) => format!("{:?}", x.shape()),
        Arg::Number(x, _) => x.to_string(),
    }
}

fn type_of(arg: &Arg) -> &'static str {
    match arg {
        Arg::Tensor(x) => x.dtype().name(),
        Arg::Number(..) => "a number",
    }
}

impl Tensor {
    /// A 0-d constant.
    #[track_caller]
    pub(crate) fn number(x: f64, dtype: DType, device: &Device) -> Tensor {
        Tensor::from_value(Value::record(Op::Full(x), Operands::new(), Dims::new(), dtype, device, site()))
    }

    #[track_caller]
    pub(crate) fn expect_same_device(&self, op: &str, other: &Tensor) {
        if self.0.device != other.0.device {
            misuse(
                op,
                format!(
                    "tensors of shapes {:?} and {:?} are on different devices: {} and {}",
                    self.shape(),
                    other.shape(),
                    self.device().name(),
                    other.device().name()
                ),
            );
        }
    }

    /// The values in another dtype, without a place in the graph.
    #[track_caller]
    pub(crate) fn cast_value(self, dtype: DType) -> Tensor {
        if self.dtype() == dtype {
            return self;
        }
        let operand = cast_operand(self.operand(), dtype);
        let device = self.device();
        Tensor::from_parts(
            crate::tensor::Cell::new(operand.value),
            operand.layout,
            dtype,
            device,
            Default::default(),
            None,
        )
    }

    /// The elements in the type that arithmetic runs in: composites round narrow floats once, at the end.
    #[track_caller]
    pub(crate) fn wide(&self) -> Tensor {
        self.cast(self.dtype().compute())
    }

    /// The elements converted to another type: floats to integers truncate, and whatever is not 0 becomes true.
    /// Derivative: 1 between floats.
    ///
    /// ```
    /// use wgrad::{DType, Device, Tensor};
    /// let x = Tensor::new([1.7, -1.7, 0.0], &Device::cpu());
    /// assert_eq!(x.cast(DType::I32).to_vec::<i32>()?, [1, -1, 0]);
    /// assert_eq!(x.cast(DType::Bool).to_vec::<bool>()?, [true, true, false]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the device cannot hold the type, as a GPU cannot hold `F64`.
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Tensor {
        if self.dtype() == dtype {
            return self.clone();
        }
        expect_supported("cast", dtype, &self.0.device);
        let _operation = profile::operation("cast");
        // The result is a tensor of its own, each element of which has a place.
        let x = if self.0.layout.overlaps() { self.untracked().copy() } else { self.snapshot() };
        let y = x.cast_value(dtype);
        if !dtype.is_float() {
            let is_cut = is_grad_enabled() && self.requires_grad();
            if is_cut { Cuts::at(CutBy::Cast, site()) } else { Cuts::of(&[self]) }.carry(&[&y]);
            return y;
        }
        let from = self.dtype();
        record(y, "ToCopyBackward0", &[self], &[], move |call| vec![Some(call.g.cast(from))])
    }
}

/// Panics if tensors of a dtype cannot live on a device.
#[track_caller]
pub(crate) fn expect_supported(op: &str, dtype: DType, device: &Device) {
    if !device.supports(dtype) {
        misuse(op, format!("{dtype} tensors cannot live on {}; they exist on the CPU device only", device.name()));
    }
}
