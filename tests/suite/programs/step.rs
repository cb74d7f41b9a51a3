//! The steps of random programs. One line each, which is both what runs and what is printed.

use wgrad::testing::{Row, RowKind, map};
use wgrad::{DType, PadMode, Result, Tensor};

/// How far the devices may differ in a step whose operands are equal.
pub enum Rounding {
    /// Not at all: elements are moved or chosen.
    None,
    /// Not at all if every result is a small multiple of 2⁻¹⁰; else by the rounding of numbers of this size.
    Sums(f64),
    /// By this, relative to the result, and by the rounding of numbers of this size on the way.
    Relative(f64, f64),
}

/// An interval that an operand is brought into first.
type Into = Option<(f64, f64)>;

macro_rules! steps {
    ($($name:ident($($x:ident),*) { $($p:ident: $t:ty),* } => $e:expr;)*) => {
        /// One operation with its attributes.
        #[derive(Clone, Debug)]
        pub enum Step {
            Row(&'static Row, Vec<Into>),
            $($name { $($p: $t),* },)*
        }

        impl Step {
            pub fn apply(&self, x: &[&Tensor]) -> Result<Tensor> {
                Ok(match self {
                    Step::Row(row, into) => {
                        let bring = |(x, into): (&&Tensor, &Into)| match into {
                            Some((low, high)) => x.sigmoid() * (high - low) + *low,
                            None => (*x).clone(),
                        };
                        map(row, &x.iter().zip(into).map(bring).collect::<Vec<_>>())
                    }
                    $(Step::$name { $($p),* } => {
                        let &[$($x),*] = x else { unreachable!("a step is given its operands") };
                        $(let $p = $p.clone();)*
                        $e
                    })*
                })
            }

            /// The step as Rust over operands of these names, which are references.
            pub fn source(&self, x: &[String]) -> String {
                match self {
                    Step::Row(row, into) => {
                        let bring = |(x, into): (&String, &Into)| match into {
                            Some((low, high)) => format!("(x.sigmoid() * {:?} + {low:?})", high - low).replace('x', x),
                            None => x.clone(),
                        };
                        let x: Vec<String> = x.iter().zip(into).map(bring).collect();
                        match row.kind {
                            RowKind::Choice => format!("Tensor::where_({})", x.join(", ")),
                            _ => format!("{}.{}({})", x[0], row.name, x[1..].join(", ")),
                        }
                    }
                    $(Step::$name { $($p),* } => {
                        let names: &[&str] = &[$(stringify!($x)),*];
                        let mut words: Vec<(&str, String)> = names.iter().copied().zip(x.iter().cloned()).collect();
                        words.extend([$((stringify!($p), $p.text())),*]);
                        replaced(stringify!($e), &words)
                    })*
                }
            }
        }
    };
}

steps! {
    Scale(a) { by: f64 } => a * by;
    Detach(a) {} => a.detach();
    Copy(a) {} => a.copy();
    Cast(a) { to: DType } => a.cast(to);

    Reshape(a) { sizes: Vec<isize> } => a.reshape(sizes);
    Transpose(a) { i: isize, j: isize } => a.transpose(i, j);
    Flip(a) { dims: Vec<isize> } => a.flip(dims);
    Slice(a) { dim: isize, start: isize, by: usize } => a.slice(dim, start, None, by);
    Narrow(a) { dim: isize, start: usize, len: usize } => a.narrow(dim, start, len);
    Select(a) { dim: isize, at: isize } => a.select(dim, at);
    Squeeze(a) { dims: Vec<isize> } => a.squeeze(dims);
    Unsqueeze(a) { dim: isize } => a.unsqueeze(dim);
    Expand(a) { sizes: Vec<isize> } => a.expand(sizes);

    Sum(a) { dims: Vec<isize>, keep: bool } => a.sum_dim(dims, keep);
    Mean(a) { dims: Vec<isize>, keep: bool } => a.mean_dim(dims, keep);
    Amax(a) { dims: Vec<isize>, keep: bool } => a.amax(dims, keep);
    Amin(a) { dims: Vec<isize>, keep: bool } => a.amin(dims, keep);
    Max(a) { dim: isize, keep: bool } => a.max_dim(dim, keep).0;
    Min(a) { dim: isize, keep: bool } => a.min_dim(dim, keep).0;
    Prod(a) { dims: Vec<isize>, keep: bool } => a.prod_dim(dims, keep);
    Logsumexp(a) { dims: Vec<isize>, keep: bool } => a.logsumexp(dims, keep);
    Var(a) { dims: Vec<isize>, keep: bool } => a.var_dim(dims, 1.0, keep);
    Any(a) { dims: Vec<isize>, keep: bool } => a.any_dim(dims, keep);
    Argmax(a) { dim: isize, keep: bool } => a.argmax(dim, keep);
    Softmax(a) { dim: isize } => a.softmax(dim);
    LogSoftmax(a) { dim: isize } => a.log_softmax(dim);

    Cumsum(a) { dim: isize } => a.cumsum(dim);
    Cumprod(a) { dim: isize } => a.cumprod(dim);
    Cummax(a) { dim: isize } => a.cummax(dim).0;
    Cummin(a) { dim: isize } => a.cummin(dim).0;
    Logcumsumexp(a) { dim: isize } => a.logcumsumexp(dim);
    Sort(a) { dim: isize, descending: bool } => a.sort(dim, descending).0;
    Argsort(a) { dim: isize, descending: bool } => a.argsort(dim, descending);
    Topk(a) { k: usize, dim: isize, largest: bool } => a.topk(k, dim, largest).0;

    Roll(a) { by: isize, dim: isize } => a.roll(by, dim);
    Tril(a) { offset: isize } => a.tril(offset);
    Diagonal(a) { offset: isize, i: isize, j: isize } => a.diagonal(offset, i, j);
    Repeat(a) { sizes: Vec<isize> } => a.repeat(sizes);
    Unfold(a) { dim: isize, size: usize, by: usize } => a.unfold(dim, size, by);
    Pad(a) { pad: Vec<isize> } => a.pad(pad, PadMode::Constant(0.5));
    MaskedFill(a, b) { value: f64 } => a.masked_fill(b, value);

    Matmul(a, b) {} => a.matmul(b);
    Gather(a) { dim: isize, places: Vec<i32>, sizes: Vec<isize> } =>
        a.gather(dim, &Tensor::from_slice(&places, sizes, &a.device()));
    IndexSelect(a) { dim: isize, places: Vec<i32> } =>
        a.index_select(dim, &Tensor::from_slice(&places, places.len(), &a.device()));
    ScatterAdd(a, b) { dim: isize, places: Vec<i32>, sizes: Vec<isize> } =>
        a.scatter_add(dim, &Tensor::from_slice(&places, sizes, &a.device()), b);
    Scatter(a, b) { dim: isize, places: Vec<i32>, sizes: Vec<isize> } =>
        a.scatter(dim, &Tensor::from_slice(&places, sizes, &a.device()), b);
    Cat(a, b) { dim: isize } => Tensor::cat(&[a.clone(), b.clone()], dim);
    Stack(a, b) { dim: isize } => Tensor::stack(&[a.clone(), b.clone()], dim);

    AddPart(a, b) { dim: isize, start: usize, len: usize } => {
        let y = a.copy();
        y.narrow(dim, start, len).add_(b)?;
        y
    };
    MulPart(a, b) { dim: isize, start: isize, by: usize } => {
        let y = a.copy();
        y.slice(dim, start, None, by).mul_(b)?;
        y
    };
    CopyPart(a, b) { dim: isize, at: isize } => {
        let y = a.copy();
        y.select(dim, at).copy_(b)?;
        y
    };
}

/// An attribute as Rust.
trait Text {
    fn text(&self) -> String;
}

macro_rules! plain {
    ($($t:ty)*) => { $(impl Text for $t {
        fn text(&self) -> String {
            format!("{self:?}")
        }
    })* };
}

plain!(isize usize bool f64);

impl Text for DType {
    fn text(&self) -> String {
        format!("DType::{self:?}")
    }
}

impl Text for Vec<isize> {
    fn text(&self) -> String {
        if self.is_empty() { "()".into() } else { format!("{self:?}") }
    }
}

impl Text for Vec<i32> {
    fn text(&self) -> String {
        if self.is_empty() { "[0i32; 0]".into() } else { format!("{self:?}") }
    }
}

/// A text on one line with whole words replaced, but not where they are the name of a method.
fn replaced(text: &str, words: &[(&str, String)]) -> String {
    let (mut result, mut word) = (String::new(), String::new());
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let by = words.iter().find(|(name, _)| *name == word && !result.ends_with('.'));
        result.push_str(by.map_or(&word, |(_, by)| by));
        word.clear();
        result.push(c);
    }
    result.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Rows that are not continuous.
const JUMPS: &[&str] = &[
    "sign",
    "floor",
    "ceil",
    "round",
    "trunc",
    "frac",
    "fmod",
    "remainder",
    "floor_divide",
    "div_trunc",
    "copysign",
    "heaviside",
    "signbit",
    "nextafter",
    "sgn",
];

impl Step {
    /// How closely devices agree, given the operands.
    pub fn rounding(&self, x: &[&Tensor]) -> Rounding {
        let size = |x: &Tensor| x.to_data().unwrap().to_f64().into_iter().map(f64::abs).fold(0.0, f64::max);
        match self {
            Step::Row(row, into) if into.iter().all(Option::is_none) && row.test.tolerance == 0.0 => Rounding::None,
            Step::Row(row, into) if into.iter().all(Option::is_none) && row.test.tolerance <= 1.1e-7 => {
                Rounding::Sums(x.iter().map(|x| size(x)).fold(0.0, f64::max))
            }
            Step::Row(row, into) => {
                let bringing = if into.iter().any(Option::is_some) { 2e-6 } else { 0.0 };
                Rounding::Relative(row.test.tolerance.max(1.2e-7) + bringing, row.test.least / 1.2e-7)
            }
            Step::Detach {}
            | Step::Copy {}
            | Step::Cast { .. }
            | Step::Reshape { .. }
            | Step::Transpose { .. }
            | Step::Flip { .. }
            | Step::Slice { .. }
            | Step::Narrow { .. }
            | Step::Select { .. }
            | Step::Squeeze { .. }
            | Step::Unsqueeze { .. }
            | Step::Expand { .. }
            | Step::Any { .. }
            | Step::Cummax { .. }
            | Step::Cummin { .. }
            | Step::Sort { .. }
            | Step::Argsort { .. }
            | Step::Topk { .. }
            | Step::Roll { .. }
            | Step::Tril { .. }
            | Step::Diagonal { .. }
            | Step::Repeat { .. }
            | Step::Unfold { .. }
            | Step::Pad { .. }
            | Step::MaskedFill { .. }
            | Step::Scatter { .. }
            | Step::Amax { .. }
            | Step::Amin { .. }
            | Step::Max { .. }
            | Step::Min { .. }
            | Step::Argmax { .. }
            | Step::Gather { .. }
            | Step::IndexSelect { .. }
            | Step::Cat { .. }
            | Step::Stack { .. }
            | Step::CopyPart { .. } => Rounding::None,
            Step::Scale { by } => Rounding::Sums(size(x[0]) * by.abs()),
            Step::Sum { .. } | Step::Cumsum { .. } => Rounding::Sums(size(x[0]) * x[0].numel() as f64),
            Step::Matmul {} => {
                Rounding::Sums(size(x[0]) * size(x[1]) * x[0].shape().last().copied().unwrap_or(1) as f64)
            }
            Step::ScatterAdd { places, .. } => Rounding::Sums(size(x[0]) + size(x[1]) * places.len() as f64),
            Step::AddPart { .. } | Step::MulPart { .. } => Rounding::Sums(size(x[0]).max(1.0) * size(x[1]).max(1.0)),
            Step::Mean { .. } => Rounding::Relative(2e-6, size(x[0])),
            Step::Softmax { .. } => Rounding::Relative(8e-6, 0.0),
            // The logarithm of a sum that is nearly 1.
            Step::LogSoftmax { .. } | Step::Logsumexp { .. } | Step::Logcumsumexp { .. } => {
                Rounding::Relative(8e-6, 32.0)
            }
            Step::Prod { .. } | Step::Cumprod { .. } => Rounding::Relative(1e-7 * x[0].numel() as f64, 0.0),
            Step::Var { .. } => Rounding::Relative(4e-6, size(x[0]) * size(x[0])),
        }
    }

    /// Whether a small change of an operand can change the result by much: such steps take operands without error.
    pub fn jumps(&self) -> bool {
        match self {
            Step::Row(row, _) => matches!(row.kind, RowKind::Compare | RowKind::Test) || JUMPS.contains(&row.name),
            Step::Argmax { .. } | Step::Argsort { .. } | Step::Any { .. } => true,
            Step::Cast { to } => !to.is_float(),
            _ => false,
        }
    }
}
