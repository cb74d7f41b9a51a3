//! What can be recorded: the structural operations, as attributes only; inputs sit on the value.

use crate::ops::kernel::Custom;
use crate::ops::row::Row;
use crate::random::Stream;
use crate::shape::Layout;
use smallvec::SmallVec;

/// How a value follows from its operands.
///
/// An operand is read through a strided layout, so views, broadcasting and transposition are no operations.
/// The shape and dtype of the result stand on the value. Matches over this enum have no `_ =>` arm: the compiler then
/// lists what a new operation needs.
#[derive(Clone, Debug)]
pub enum Op {
    /// Given by the host.
    Data,
    /// Every element is this number. Never computed by itself: whoever reads it takes the number.
    Full(f64),
    /// Element `i` is `i`.
    Iota,
    /// Element `i` is a random number that depends on the stream and `i` alone.
    Random(Distribution, Stream),
    /// Pointwise: a row of the table of scalar functions over operands of the result's shape.
    Map(&'static Row),
    /// The operand converted to the value's dtype; a copy in row-major order where the dtype is the same.
    Cast,
    /// The operand's last `dims` dimensions folded into one element each.
    Reduce {
        /// What folds two elements into one.
        fold: Fold,
        /// How many trailing dimensions are folded.
        dims: usize,
    },
    /// A recurrence along the last dimension: `y_0 = x_0`, and `y_k` follows from `y_{k-1}` and `x_k`.
    Scan(Scan),
    /// `y[batch.., rows.., cols..] = Σ a[batch.., rows.., inner..] b[batch.., inner.., cols..]`, the sum running over all
    /// inner dimensions. Both operands have all batch dimensions, which are those that no field counts.
    Matmul {
        /// How many dimensions the left operand and the result share alone.
        rows: usize,
        /// How many dimensions are summed over.
        inner: usize,
        /// How many dimensions the right operand and the result share alone.
        cols: usize,
    },
    /// `y[i] = x[i with i_dim replaced by index[i]]`; operands `x`, `index`; `y` has the index's shape.
    Gather {
        /// The dimension that is indexed.
        dim: usize,
    },
    /// `y = x`, then `source[i]` folded into `y[i with i_dim replaced by index[i]]`, or written there if there is no fold:
    /// entries of one place in their order. Operands `x`, `index`, `source` and, where lines are long, `order`: the
    /// index's [`Op::ArgSort`] along `dim`, by which a kernel finds the entries of a place.
    Scatter {
        /// The dimension that is indexed.
        dim: usize,
        /// What combines an element with what is there.
        fold: Option<Fold>,
    },
    /// The places of each line's elements (the last dimension) in ascending or descending order; equal ones in their
    /// own order, NaN as the largest.
    ArgSort {
        /// Whether the largest element comes first.
        descending: bool,
    },
    /// How many elements of a sorted line lie before each value; operands `[.., n]` and `[.., m]`, the result like the
    /// second. NaN is the largest.
    Search {
        /// Whether elements equal to the value lie before it.
        right: bool,
    },
    /// `y[.., i, ..] = Σ x[.., o, .., k]` over the windows `o` and the places `k` in them with
    /// `o · step + k · dilation = i`, where `i` and `o` stand at `dim` and `k` last: windows added where they overlap.
    OverlapAdd {
        /// The dimension whose windows are added.
        dim: usize,
        /// How far one window is from the next.
        step: usize,
        /// How far one place in a window is from the next.
        dilation: usize,
    },
    /// `y = x`, then `y[layout(i)] = source[i]`; operands `x`, `source`. The layout reads no element twice.
    Write(Layout),
    /// A kernel of the user's; its operands lie in memory, in row-major order.
    Custom(Custom),
}

/// What folds the elements of a reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the field's own")]
pub enum Fold {
    Sum,
    Prod,
    Max,
    Min,
}

/// What a scan carries from one element to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scan {
    /// `y_k = a_{k-1} y_{k-1} + x_k`; operands `x` and the links `a`, of which there is one less.
    ///
    /// The derivative is the same recurrence from the other end: `s_k = g_k + a_k s_{k+1}`.
    Linear,
    /// The largest so far, NaN from the first one on.
    Max,
    /// The smallest so far, NaN from the first one on.
    Min,
    /// `y_k = ln(exp y_{k-1} + exp x_k)`.
    LogAddExp,
}

/// The distribution of a random value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the field's own")]
pub enum Distribution {
    /// In `[0, 1)`.
    Uniform,
    /// Mean 0, standard deviation 1.
    Normal,
    /// `low + bits mod range`.
    Integer { low: i32, range: u32 },
}

impl Op {
    /// The word for this operation in plans, messages and labels.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Data => "data",
            Op::Full(_) => "full",
            Op::Iota => "iota",
            Op::Random(Distribution::Uniform, _) => "uniform",
            Op::Random(Distribution::Normal, _) => "normal",
            Op::Random(Distribution::Integer { .. }, _) => "integer",
            Op::Map(row) => row.name,
            Op::Cast => "cast",
            Op::Reduce { fold: Fold::Sum, .. } => "sum",
            Op::Reduce { fold: Fold::Prod, .. } => "prod",
            Op::Reduce { fold: Fold::Max, .. } => "amax",
            Op::Reduce { fold: Fold::Min, .. } => "amin",
            Op::Scan(Scan::Linear) => "linear_scan",
            Op::Scan(Scan::Max) => "cummax",
            Op::Scan(Scan::Min) => "cummin",
            Op::Scan(Scan::LogAddExp) => "logcumsumexp",
            Op::Matmul { .. } => "matmul",
            Op::OverlapAdd { .. } => "overlap_add",
            Op::Gather { .. } => "gather",
            Op::Scatter { fold: None, .. } => "scatter",
            Op::Scatter { fold: Some(Fold::Sum), .. } => "scatter_add",
            Op::Scatter { fold: Some(Fold::Prod), .. } => "scatter_prod",
            Op::Scatter { fold: Some(Fold::Max), .. } => "scatter_amax",
            Op::Scatter { fold: Some(Fold::Min), .. } => "scatter_amin",
            Op::ArgSort { .. } => "argsort",
            Op::Search { .. } => "searchsorted",
            Op::Write(_) => "write",
            Op::Custom(call) => call.definition.name,
        }
    }

    /// Whether result element `i` depends on element `i` of each operand alone, so that it can join a fused kernel.
    pub fn is_pointwise(&self) -> bool {
        match self {
            Op::Full(_) | Op::Iota | Op::Random(..) | Op::Map(_) | Op::Cast => true,
            Op::Data
            | Op::Reduce { .. }
            | Op::Scan(_)
            | Op::Matmul { .. }
            | Op::OverlapAdd { .. }
            | Op::Gather { .. }
            | Op::Scatter { .. }
            | Op::ArgSort { .. }
            | Op::Search { .. }
            | Op::Write(_)
            | Op::Custom(_) => false,
        }
    }

    /// The numbers a plan takes anew each time: never part of its key or of a shader's text.
    ///
    /// A `Full` number is one word in the type of the value (see [`word`]); a random value is its seed, its stream and
    /// the bounds of an integer, and a kernel of the user's the words of its uniform.
    pub fn parameters(&self, dtype: crate::DType) -> SmallVec<[u32; 6]> {
        match self {
            Op::Full(x) => SmallVec::from_slice(&[word(*x, dtype)]),
            Op::Random(distribution, s) => {
                let mut words = SmallVec::from_slice(&[
                    s.seed as u32,
                    (s.seed >> 32) as u32,
                    s.stream as u32,
                    (s.stream >> 32) as u32,
                ]);
                if let Distribution::Integer { low, range } = distribution {
                    words.extend([*low as u32, *range]);
                }
                words
            }
            Op::Custom(call) => SmallVec::from_slice(&call.params),
            Op::Data
            | Op::Iota
            | Op::Map(_)
            | Op::Cast
            | Op::Reduce { .. }
            | Op::Scan(_)
            | Op::Matmul { .. }
            | Op::OverlapAdd { .. }
            | Op::Gather { .. }
            | Op::Scatter { .. }
            | Op::ArgSort { .. }
            | Op::Search { .. }
            | Op::Write(_) => SmallVec::new(),
        }
    }
}

/// A number as the 32 bits a kernel reads: f32 bits for floats of any width, the integer itself, 0 or 1 for bool.
pub fn word(x: f64, dtype: crate::DType) -> u32 {
    use crate::DType::*;
    match dtype {
        Bool => (x != 0.0) as u32,
        U32 => x as u32,
        I32 => x as i32 as u32,
        BF16 => crate::dtype::to_bf16(x).to_f32().to_bits(),
        F16 => crate::dtype::to_f16(x).to_f32().to_bits(),
        F32 | F64 => (x as f32).to_bits(),
    }
}
