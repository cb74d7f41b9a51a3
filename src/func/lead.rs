//! A recorded value done again for a batch: every operation with one more dimension, the first.
//!
//! This is all that `vmap` knows of operations. Gradients are values too, so they need no rules of their own here.

use crate::ops::op::Op;
use crate::shape::Layout;
use crate::tensor::Tensor;
use crate::tensor::value::{Operand, Operands, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// The values of a batch: element `i` in row-major order from `offset + i · stride` on.
#[derive(Clone)]
pub(super) struct Batched {
    pub value: Arc<Value>,
    pub offset: usize,
    pub stride: isize,
}

/// The values known so far, by the number of the value that stands for an element of them.
pub(super) type Known = HashMap<u64, Batched>;

impl Batched {
    /// All of a value whose first dimension is the batch's.
    pub fn whole(value: Arc<Value>) -> Batched {
        let stride = value.shape[1..].iter().product::<usize>() as isize;
        Batched { value, offset: 0, stride }
    }
}

/// An operand read for the whole batch: what does not depend on the element is read again for each.
pub(super) fn leading(operand: &Operand, size: usize, known: &Known) -> Operand {
    let mut layout = operand.layout.clone();
    layout.shape.insert(0, size);
    match known.get(&operand.value.id) {
        Some(batched) => {
            layout.strides.insert(0, batched.stride);
            layout.offset += batched.offset;
            Operand { value: batched.value.clone(), layout }
        }
        None => {
            layout.strides.insert(0, 0);
            Operand { value: operand.value.clone(), layout }
        }
    }
}

/// The value for the whole batch, if it depends on the element.
pub(super) fn recorded(value: &Value, size: usize, known: &Known) -> Option<Batched> {
    let operands = value.operands();
    let varies = |operand: &Operand| known.contains_key(&operand.value.id);
    if !operands.iter().any(varies) {
        return None;
    }
    let batched = || operands.iter().map(|operand| leading(operand, size, known)).collect();
    let (op, operands): (Op, Operands) = match &value.op {
        Op::Data | Op::Full(_) | Op::Iota => unreachable!("{} has no operands", value.op.name()),
        // Numbers of its own for each element; what remains are the elements of batches around this one.
        Op::Random(..) => (value.op.clone(), operands.iter().filter(|operand| !varies(operand)).cloned().collect()),
        Op::Map(_) | Op::Cast | Op::Reduce { .. } | Op::Scan(_) | Op::ArgSort { .. } | Op::Search { .. } => {
            (value.op.clone(), batched())
        }
        Op::Matmul { rows, inner, cols } => {
            let (rows, inner, cols) = (*rows, *inner, *cols);
            let has_batch = value.shape.len() > rows + cols;
            match [varies(&operands[0]), varies(&operands[1])] {
                // Elements that meet the same right side are rows of one product.
                [true, false] if !has_batch => {
                    let left = leading(&operands[0], size, known);
                    (Op::Matmul { rows: rows + 1, inner, cols }, vec![left, operands[1].clone()])
                }
                // Without rows, elements that meet the same left side are its columns.
                [false, true] if !has_batch && rows == 0 => {
                    let mut right = leading(&operands[1], size, known);
                    right.layout.shape[..=inner].rotate_left(1);
                    right.layout.strides[..=inner].rotate_left(1);
                    (Op::Matmul { rows, inner, cols: cols + 1 }, vec![operands[0].clone(), right])
                }
                _ => (Op::Matmul { rows, inner, cols }, batched()),
            }
        }
        Op::Gather { dim } => (Op::Gather { dim: dim + 1 }, batched()),
        Op::Scatter { dim, fold } => (Op::Scatter { dim: dim + 1, fold: *fold }, batched()),
        Op::OverlapAdd { dim, step, dilation } => {
            (Op::OverlapAdd { dim: dim + 1, step: *step, dilation: *dilation }, batched())
        }
        Op::Custom(_) => return Some(one_by_one(value, &operands, size, known)),
        Op::Write(layout) => {
            let mut layout: Layout = layout.clone();
            layout.shape.insert(0, size);
            layout.strides.insert(0, value.numel() as isize);
            (Op::Write(layout), batched())
        }
    };
    let shape = [size].into_iter().chain(value.shape.iter().copied()).collect();
    let (op, operands) = if size == 0 { (Op::Full(0.0), Operands::new()) } else { (op, operands) };
    Some(Batched::whole(Value::record(op, operands, shape, value.dtype, &value.device, value.at)))
}

/// An operation that knows no batches, done for every element by itself.
fn one_by_one(value: &Value, operands: &[Operand], size: usize, known: &Known) -> Batched {
    let record = |op: Op, operands: Operands, shape: &[usize]| {
        Value::record(op, operands, shape.into(), value.dtype, &value.device, value.at)
    };
    let shape: Vec<usize> = [size].into_iter().chain(value.shape.iter().copied()).collect();
    let all = |value: Arc<Value>| Operand { layout: Layout::contiguous(&value.shape), value };
    let mut whole = record(Op::Full(0.0), Operands::new(), &shape);
    for i in 0..size {
        let element = |operand: &Operand| match known.get(&operand.value.id) {
            Some(Batched { value, offset, stride }) => {
                let mut layout = operand.layout.clone();
                layout.offset = (layout.offset + offset).wrapping_add_signed(i as isize * stride);
                // A kernel of the user's reads whole values.
                all(Tensor::from_value(value.clone()).alias(layout).materialised())
            }
            None => operand.clone(),
        };
        let one = record(value.op.clone(), operands.iter().map(element).collect(), &value.shape);
        let at = Layout { offset: i * value.numel(), ..Layout::contiguous(&value.shape) };
        whole = record(Op::Write(at), vec![all(whole), all(one)], &shape);
    }
    Batched::whole(whole)
}
