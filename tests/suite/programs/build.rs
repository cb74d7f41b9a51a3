//! Random programs from random bytes: whatever the bytes are, they are read as a program that is valid, so that one which
//! fails can be made smaller byte by byte.

use super::step::{Rounding, Step};
use wgrad::autograd::no_grad;
use wgrad::random::Stream;
use wgrad::testing::{ROWS, Row, RowKind};
use wgrad::{DType, Device, Tensor};

/// The bytes of one leaf and of one step.
pub type Gene = [u8; 6];

/// A program: leaves, steps over what came before, and the values it ends in.
#[derive(Clone, Debug)]
pub struct Program {
    pub leaves: Vec<Leaf>,
    pub steps: Vec<(Step, Vec<usize>)>,
    /// For each step how much devices may differ in it: relative to a result, and absolutely.
    pub errors: Vec<(f64, f64)>,
    /// Leaves and results of steps that no step reads.
    pub results: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct Leaf {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub elements: Vec<f64>,
}

impl Leaf {
    pub fn tensor(&self, dev: &Device) -> Tensor {
        let x = Tensor::from_slice(&self.elements, &self.shape[..], (dev, self.dtype));
        x.requires_grad_(self.dtype.is_float()).unwrap()
    }
}

/// Few shapes, so that kernels come back: scalars, nothing, single elements, partners for broadcasting, and some that take
/// more than one workgroup.
const SHAPES: &[&[usize]] = &[
    &[3],
    &[2, 3],
    &[],
    &[1],
    &[3, 1],
    &[1, 3],
    &[3, 2],
    &[3, 3],
    &[2, 3, 2],
    &[0],
    &[2, 0],
    &[5],
    &[1, 2, 1, 3],
    &[300],
    &[40, 7],
];

const DTYPES: &[DType] =
    &[DType::F32, DType::F32, DType::F32, DType::F32, DType::F16, DType::BF16, DType::I32, DType::Bool];

/// Rows that are called otherwise than by their own name and operands.
const NO_METHOD: &[&str] = &["clamp", "polygamma", "div_trunc_int", "softplus", "softshrink", "hardshrink", "logit"];

/// No result has more elements.
const MOST: usize = 2048;

fn leaf([dtype, shape, seed, kind, ..]: Gene) -> Leaf {
    let dtype = DTYPES[dtype as usize % DTYPES.len()];
    let shape = SHAPES[shape as usize % SHAPES.len()].to_vec();
    let s = Stream { seed: 1, stream: seed as u64 };
    let element = |i: usize| match dtype {
        DType::Bool => s.bits(i) as u8 as f64 % 2.0,
        DType::I32 => (s.bits(i) % 7) as f64 - 3.0,
        // Multiples of a quarter, of which there are few, so that ties and zeros are common and sums are exact.
        _ if kind % 2 == 0 => (s.bits(i) % 17) as f64 / 4.0 - 2.0,
        _ => (s.uniform(i) * 4.0 - 2.0) as f32 as f64,
    };
    let elements = (0..shape.iter().product()).map(element).collect();
    Leaf { dtype, shape, elements }
}

/// A value as far as the choice of further steps depends on it.
struct Known {
    tensor: Tensor,
    largest: f64,
    /// Whether every device has the same bits.
    exact: bool,
    /// Whether further steps may read it: not where it is large.
    usable: bool,
}

struct Builder {
    known: Vec<Known>,
    program: Program,
}

/// The program that some bytes stand for.
pub fn program(leaves: &[Gene], steps: &[Gene]) -> Program {
    let _values_only = no_grad();
    let program = Program { leaves: Vec::new(), steps: Vec::new(), errors: Vec::new(), results: Vec::new() };
    let mut builder = Builder { known: Vec::new(), program };
    for gene in leaves {
        let leaf = leaf(*gene);
        let tensor = leaf.tensor(&Device::cpu());
        let largest = leaf.elements.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        builder.known.push(Known { tensor, largest, exact: true, usable: true });
        builder.program.leaves.push(leaf);
    }
    for gene in steps {
        if let Some((step, args)) = builder.choose(*gene) {
            builder.push(step, args);
        }
    }
    let Builder { known, mut program } = builder;
    let read: Vec<usize> = program.steps.iter().flat_map(|(_, args)| args.iter().copied()).collect();
    program.results = (program.leaves.len()..known.len()).filter(|i| !read.contains(i)).collect();
    program
}

impl Builder {
    /// Adds a step, unless its result is too large or too much an accident.
    fn push(&mut self, step: Step, args: Vec<usize>) {
        let x: Vec<&Tensor> = args.iter().map(|&i| &self.known[i].tensor).collect();
        let exact_operands = args.iter().all(|&i| self.known[i].exact);
        if step.jumps() && !exact_operands {
            return;
        }
        let y = step.apply(&x).unwrap();
        // The CPU refuses to divide an integer by 0, and a GPU does not.
        let Ok(elements) = y.to_data().map(|data| data.to_f64()) else { return };
        let largest = elements.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        let whole = !y.dtype().is_float();
        if elements.len() > MOST || elements.iter().any(|x| !x.is_finite()) || (whole && largest > 1e4) {
            return;
        }
        let few_bits = || largest <= 16.0 && elements.iter().all(|x| (x * 1024.0).fract() == 0.0);
        let rounding = match step.rounding(&x) {
            _ if whole => (0.0, 0.0),
            Rounding::None => (0.0, 0.0),
            Rounding::Sums(_) if exact_operands && few_bits() => (0.0, 0.0),
            Rounding::Sums(size) => (1.2e-7, 1.2e-7 * size),
            Rounding::Relative(error, size) => (error, 1.2e-7 * largest.max(size)),
        };
        let exact = exact_operands && rounding == (0.0, 0.0);
        // A result that is not the same everywhere may be rounded to the next narrow number.
        let narrow = match y.dtype() {
            DType::F16 => 1e-3,
            DType::BF16 => 8e-3,
            _ => 0.0,
        };
        let (relative, absolute) = if exact { rounding } else { (rounding.0.max(narrow), rounding.1) };
        let moves = matches!(step.rounding(&x), Rounding::None) && !matches!(step, Step::Cast { .. });
        self.program.errors.push(if moves { (0.0, 0.0) } else { (relative, absolute) });
        self.program.steps.push((step, args));
        self.known.push(Known { tensor: y, largest, exact, usable: largest <= 8.0 });
        if largest > 8.0 && !whole {
            // A power of two, which adds no error.
            let by = 0.5f64.powi((largest / 4.0).log2().ceil() as i32);
            self.push(Step::Scale { by }, vec![self.known.len() - 1]);
        }
    }

    /// The value of that number among those that a step can take; the first for 0.
    fn pick(&self, number: u8, fits: impl Fn(&Known) -> bool) -> Option<usize> {
        let all: Vec<usize> = (0..self.known.len()).filter(|&i| self.known[i].usable && fits(&self.known[i])).collect();
        (!all.is_empty()).then(|| all[number as usize % all.len()])
    }

    fn choose(&self, [op, a, b, p, q, r]: Gene) -> Option<(Step, Vec<usize>)> {
        let float = |x: &Known| x.tensor.dtype().is_float();
        let number = |x: &Known| x.tensor.dtype() != DType::Bool;
        let ranked = |x: &Known| x.tensor.rank() > 0;
        let filled = |x: &Known| x.tensor.rank() > 0 && x.tensor.numel() > 0;
        let shape = |i: usize| self.known[i].tensor.shape();
        let dim = |i: usize, p: u8| p as isize % shape(i).len().max(1) as isize;
        let size = |i: usize, d: isize| shape(i).get(d as usize).copied().unwrap_or(1);
        let keep = q % 2 == 1;
        // One dimension, two, or all.
        let dims = |i: usize| match r % 3 {
            0 => vec![dim(i, p)],
            1 if shape(i).len() > 1 => vec![dim(i, p), (dim(i, p) + 1) % shape(i).len() as isize],
            _ => vec![],
        };
        let places = |n: usize, below: usize| -> Vec<i32> {
            let s = Stream { seed: 2, stream: r as u64 };
            (0..n).map(|i| s.bits(i) as i32 as u32 as i64 as usize % below).map(|i| i as i32).collect()
        };
        let one = |step: Step, i: usize| Some((step, vec![i]));
        match op % 50 {
            0..=9 => self.row(ROWS[p as usize % ROWS.len()], [a, b, q]),
            10 | 11 => self.row(ROWS.iter().find(|row| row.name == ["add", "mul"][p as usize % 2])?, [a, b, q]),
            12 => self.pick(a, |_| true).and_then(|i| {
                let (n, d) = (self.known[i].tensor.numel() as isize, dim(i, p));
                let sizes = match (q % 3, size(i, d) as isize) {
                    (0, _) | (_, 0) => vec![n],
                    (1, size) => vec![size, n / size],
                    (_, size) => vec![n / size, 1, size],
                };
                one(Step::Reshape { sizes }, i)
            }),
            13 | 14 => self.pick(a, ranked).and_then(|i| one(Step::Transpose { i: dim(i, p), j: dim(i, q) }, i)),
            15 => self.pick(a, ranked).and_then(|i| one(Step::Flip { dims: vec![dim(i, p)] }, i)),
            16 => self.pick(a, ranked).and_then(|i| {
                one(Step::Slice { dim: dim(i, p), start: (q % 2) as isize, by: 1 + (r % 3) as usize }, i)
            }),
            17 => self.pick(a, filled).and_then(|i| {
                let n = size(i, dim(i, p));
                let start = q as usize % n;
                one(Step::Narrow { dim: dim(i, p), start, len: 1 + r as usize % (n - start) }, i)
            }),
            18 => self
                .pick(a, filled)
                .and_then(|i| one(Step::Select { dim: dim(i, p), at: q as isize % size(i, dim(i, p)) as isize }, i)),
            19 => self.pick(a, ranked).and_then(|i| one(Step::Squeeze { dims: vec![dim(i, p)] }, i)),
            20 => self
                .pick(a, |x| x.tensor.rank() < 4)
                .and_then(|i| one(Step::Unsqueeze { dim: p as isize % (shape(i).len() as isize + 1) }, i)),
            21 => self.pick(a, |x| x.tensor.rank() < 4).and_then(|i| {
                let mut sizes: Vec<isize> =
                    shape(i).iter().map(|&n| if n == 1 { 1 + (q % 3) as isize } else { -1 }).collect();
                if p % 2 == 1 {
                    sizes.insert(0, 2);
                }
                one(Step::Expand { sizes }, i)
            }),
            22 | 23 => self.pick(a, |_| true).and_then(|i| one(Step::Sum { dims: dims(i), keep }, i)),
            24 => self
                .pick(a, |x| float(x) && x.tensor.numel() > 0)
                .and_then(|i| one(Step::Mean { dims: dims(i), keep }, i)),
            25 => self.pick(a, |x| filled(x) && number(x)).and_then(|i| one(Step::Amax { dims: dims(i), keep }, i)),
            26 => self.pick(a, |x| filled(x) && number(x)).and_then(|i| one(Step::Amin { dims: dims(i), keep }, i)),
            27 => self.pick(a, |x| filled(x) && number(x)).and_then(|i| match r % 3 {
                0 => one(Step::Max { dim: dim(i, p), keep }, i),
                1 => one(Step::Min { dim: dim(i, p), keep }, i),
                _ => one(Step::Argmax { dim: dim(i, p), keep }, i),
            }),
            28 => self.pick(a, |x| ranked(x) && float(x)).and_then(|i| match q % 2 {
                0 => one(Step::Softmax { dim: dim(i, p) }, i),
                _ => one(Step::LogSoftmax { dim: dim(i, p) }, i),
            }),
            29 | 30 => self.pick(a, |x| ranked(x) && float(x)).and_then(|i| {
                let x = &self.known[i].tensor;
                let inner = *x.shape().last()?;
                let fits = |y: &Known| {
                    let shape = y.tensor.shape();
                    y.tensor.dtype() == x.dtype()
                        && !shape.is_empty()
                        && (shape.len() < 3 || x.rank() < 3)
                        && shape[shape.len().max(2) - 2] == inner
                };
                self.pick(b, fits).map(|j| (Step::Matmul {}, vec![i, j]))
            }),
            31 => self.pick(a, filled).and_then(|i| {
                let mut sizes: Vec<isize> = shape(i).iter().map(|&n| n as isize).collect();
                sizes[dim(i, p) as usize] = 1 + (q % 4) as isize;
                let n = sizes.iter().product::<isize>() as usize;
                let places = places(n, size(i, dim(i, p)));
                one(Step::Gather { dim: dim(i, p), places, sizes }, i)
            }),
            32 => self.pick(a, filled).and_then(|i| {
                one(Step::IndexSelect { dim: dim(i, p), places: places(q as usize % 5, size(i, dim(i, p))) }, i)
            }),
            33 => self.pick(a, |x| filled(x) && number(x)).and_then(|i| {
                let x = &self.known[i].tensor;
                let fits = |y: &Known| y.tensor.dtype() == x.dtype() && y.tensor.shape() == x.shape();
                let j = self.pick(b, fits)?;
                let sizes = shape(j).iter().map(|&n| n as isize).collect();
                if q % 3 == 0 {
                    // Where two entries go to one place, either may stay: each place gets one.
                    let n = size(i, dim(i, p));
                    let inner: usize = shape(i)[dim(i, p) as usize + 1..].iter().product();
                    let turned = |k: usize| ((k / inner + r as usize) % n) as i32;
                    let places = (0..self.known[j].tensor.numel()).map(turned).collect();
                    return Some((Step::Scatter { dim: dim(i, p), places, sizes }, vec![i, j]));
                }
                let places = places(self.known[j].tensor.numel(), size(i, dim(i, p)));
                Some((Step::ScatterAdd { dim: dim(i, p), places, sizes }, vec![i, j]))
            }),
            34 => self.pick(a, ranked).and_then(|i| {
                let (d, like) = (dim(i, p) as usize, shape(i));
                let fits = |y: &Known| {
                    let shape = y.tensor.shape();
                    shape.len() == like.len() && (0..like.len()).all(|k| k == d || shape[k] == like[k])
                };
                self.pick(b, fits).map(|j| (Step::Cat { dim: d as isize }, vec![i, j]))
            }),
            35 => self.pick(a, |x| x.tensor.rank() < 4).and_then(|i| {
                let j = self.pick(b, |y| y.tensor.shape() == shape(i))?;
                Some((Step::Stack { dim: p as isize % (shape(i).len() as isize + 1) }, vec![i, j]))
            }),
            36 => self.pick(a, |_| true).and_then(|i| {
                let to = [DType::F32, DType::F16, DType::BF16, DType::I32, DType::Bool][p as usize % 5];
                one(Step::Cast { to }, i)
            }),
            37 => self.pick(a, |_| true).and_then(|i| match p % 2 {
                0 => one(Step::Copy {}, i),
                _ => one(Step::Detach {}, i),
            }),
            38 | 39 => self.pick(a, |x| filled(x) && float(x)).and_then(|i| self.in_place(i, [b, p, q, r])),
            40 => self.pick(a, |x| filled(x) && float(x)).and_then(|i| match q % 5 {
                0 => one(Step::Prod { dims: dims(i), keep: r > 127 }, i),
                1 | 2 => one(Step::Logsumexp { dims: dims(i), keep: r > 127 }, i),
                3 => one(Step::Any { dims: dims(i), keep: r > 127 }, i),
                _ if shape(i).iter().all(|&n| n > 1) => one(Step::Var { dims: dims(i), keep: r > 127 }, i),
                _ => None,
            }),
            41 => self.pick(a, |x| ranked(x) && number(x)).and_then(|i| one(Step::Cumsum { dim: dim(i, p) }, i)),
            42 => self.pick(a, |x| filled(x) && float(x)).and_then(|i| match q % 4 {
                0 => one(Step::Cumprod { dim: dim(i, p) }, i),
                1 => one(Step::Cummax { dim: dim(i, p) }, i),
                2 => one(Step::Cummin { dim: dim(i, p) }, i),
                _ => one(Step::Logcumsumexp { dim: dim(i, p) }, i),
            }),
            43 => self.pick(a, |x| filled(x) && number(x)).and_then(|i| match q % 4 {
                0 => one(Step::Sort { dim: dim(i, p), descending: r % 2 == 1 }, i),
                1 => one(Step::Argsort { dim: dim(i, p), descending: r % 2 == 1 }, i),
                _ => {
                    let k = 1 + r as usize % size(i, dim(i, p));
                    one(Step::Topk { k, dim: dim(i, p), largest: q % 2 == 1 }, i)
                }
            }),
            44 => self.pick(a, ranked).and_then(|i| one(Step::Roll { by: q as isize % 5 - 2, dim: dim(i, p) }, i)),
            45 => self.pick(a, |x| x.tensor.rank() > 1).and_then(|i| match p % 2 {
                0 => one(Step::Tril { offset: q as isize % 3 - 1 }, i),
                _ => one(Step::Diagonal { offset: q as isize % 3 - 1, i: 0, j: 1 }, i),
            }),
            46 => self.pick(a, |x| x.tensor.rank() < 4).and_then(|i| {
                let repeats = |&n: &usize| if n < 4 { 1 + (q % 2) as isize } else { 1 };
                let mut sizes: Vec<isize> = shape(i).iter().map(repeats).collect();
                if p % 2 == 1 {
                    sizes.insert(0, 2);
                }
                one(Step::Repeat { sizes }, i)
            }),
            47 => self.pick(a, |x| filled(x) && x.tensor.rank() < 4).and_then(|i| {
                let size = 1 + q as usize % size(i, dim(i, p));
                one(Step::Unfold { dim: dim(i, p), size, by: 1 + (r % 2) as usize }, i)
            }),
            48 => self
                .pick(a, |x| filled(x) && float(x))
                .and_then(|i| one(Step::Pad { pad: vec![(p % 3) as isize, (q % 2) as isize] }, i)),
            _ => self.pick(a, |x| float(x)).and_then(|i| {
                let fits = |m: &Known| {
                    let (m, x) = (&m.tensor, shape(i));
                    m.dtype() == DType::Bool
                        && m.rank() <= x.len()
                        && broadcasts(m.shape(), x)
                        && m.shape().iter().rev().zip(x.iter().rev()).all(|(m, x)| m == x || *m == 1)
                };
                self.pick(b, fits).map(|j| (Step::MaskedFill { value: 0.25 }, vec![i, j]))
            }),
        }
    }

    /// A row over operands that broadcast, brought into the interval in which the row is well conditioned.
    fn row(&self, row: &'static Row, numbers: [u8; 3]) -> Option<(Step, Vec<usize>)> {
        let takes_no_gradient = match row.kind {
            RowKind::Arithmetic | RowKind::Float | RowKind::Choice => row.grads.len() < row.arity(),
            RowKind::Compare | RowKind::Test | RowKind::Logic | RowKind::Bits => false,
        };
        if takes_no_gradient || NO_METHOD.contains(&row.name) {
            return None;
        }
        let divides = ["remainder", "fmod", "floor_divide", "div_trunc"].contains(&row.name);
        let mut args: Vec<usize> = Vec::new();
        for (k, number) in numbers.into_iter().enumerate().take(row.arity()) {
            let fits = |x: &Known| {
                let bool = x.tensor.dtype() == DType::Bool;
                let kind = match row.kind {
                    RowKind::Logic => bool,
                    RowKind::Choice if k == 0 => bool,
                    RowKind::Test => x.tensor.dtype().is_float(),
                    RowKind::Bits => !x.tensor.dtype().is_float(),
                    // By zero, integers have no quotient.
                    RowKind::Arithmetic if divides => x.tensor.dtype().is_float(),
                    _ => !bool,
                };
                kind && args.iter().all(|&i| broadcasts(self.known[i].tensor.shape(), x.tensor.shape()))
            };
            let i = self.pick(number, fits)?;
            args.push(i);
        }
        let total = row.test.tolerance <= 1.1e-7;
        let into = args.iter().zip(row.test.within).map(|(&i, &(low, high))| {
            let inside = self.known[i].largest <= high && -self.known[i].largest >= low;
            (!total && !inside).then_some((low, high))
        });
        Some((Step::Row(row, into.collect()), args.clone()))
    }

    /// A change of a part of a copy.
    fn in_place(&self, i: usize, [b, p, q, r]: [u8; 4]) -> Option<(Step, Vec<usize>)> {
        let x = &self.known[i].tensor;
        let d = p as usize % x.rank();
        let n = x.shape()[d];
        let mut part = x.shape().to_vec();
        let step = match r % 3 {
            0 => {
                let start = q as usize % n;
                let len = 1 + r as usize % (n - start);
                part[d] = len;
                Step::AddPart { dim: d as isize, start, len }
            }
            1 => {
                let (start, by) = (q as usize % 2, 1 + q as usize % 3);
                part[d] = n.saturating_sub(start).div_ceil(by);
                Step::MulPart { dim: d as isize, start: start as isize, by }
            }
            _ => {
                part.remove(d);
                Step::CopyPart { dim: d as isize, at: q as isize % n as isize }
            }
        };
        let fits = |y: &Known| {
            let shape = y.tensor.shape();
            y.tensor.dtype() != DType::Bool
                && shape.len() <= part.len()
                && shape.iter().rev().zip(part.iter().rev()).all(|(a, b)| a == b || *a == 1)
        };
        self.pick(b, fits).map(|j| (step, vec![i, j]))
    }
}

fn broadcasts(a: &[usize], b: &[usize]) -> bool {
    a.iter().rev().zip(b.iter().rev()).all(|(a, b)| a == b || *a == 1 || *b == 1)
}
