//! Expressions that every check runs: each row of the table of scalar functions, and each structural operation and
//! composite, with strided, broadcast, 0-d and reused operands.

mod conv;
mod in_place;
mod index;
mod linalg;
mod loss;
mod nn;
mod pointwise;
mod reduce;
mod view;

use wgrad::testing::{ROWS, Row, RowKind};
use wgrad::{DType, Device, Tensor};

type Expression = Box<dyn Fn(&[Tensor]) -> Tensor + Send + Sync>;

/// An expression over a few tensors.
pub struct Case {
    pub name: String,
    /// Shape and interval of each operand.
    pub operands: Vec<(Vec<usize>, (f64, f64))>,
    pub f: Expression,
}

impl Case {
    fn new(
        name: &str,
        operands: &[(&[usize], (f64, f64))],
        f: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Case {
        let operands = operands.iter().map(|(shape, within)| (shape.to_vec(), *within)).collect();
        Case { name: name.into(), operands, f: Box::new(f) }
    }

    /// The operands' values: fixed by the case, inside the intervals, away from their ends.
    pub fn values(&self) -> Vec<Vec<f64>> {
        let fill = |(k, (shape, (low, high))): (usize, &(Vec<usize>, (f64, f64)))| {
            let stream = wgrad::random::Stream { seed: 11, stream: k as u64 };
            let n = shape.iter().product();
            // Rounded to f32, so that every device starts from the same numbers.
            (0..n).map(|i| (low + (high - low) * (0.02 + 0.96 * stream.uniform(i))) as f32 as f64).collect()
        };
        self.operands.iter().enumerate().map(fill).collect()
    }

    /// The operands as leaves that require grad.
    pub fn leaves(&self, values: &[Vec<f64>], dtype: DType, dev: &Device) -> Vec<Tensor> {
        let leaf = |((shape, _), x): (&(Vec<usize>, _), &Vec<f64>)| {
            Tensor::from_slice(x, shape, (dev, dtype)).requires_grad_(true).unwrap()
        };
        self.operands.iter().zip(values).map(leaf).collect()
    }
}

/// One expression per row: plain, over strided and broadcast operands, and inside a chain that fuses.
pub fn row_cases() -> Vec<Case> {
    ROWS.iter().filter(|row| !row.grads.is_empty()).flat_map(|row| row_case(row)).collect()
}

/// A row applied to float operands; a condition is made of the first one, integers of all, and operands that have no
/// derivative are cut off.
pub fn apply(row: &'static Row, x: &[Tensor]) -> Tensor {
    let own = |(k, x): (usize, &Tensor)| match row.kind {
        RowKind::Choice if k == 0 => x.gt(0.5),
        RowKind::Logic => x.gt(0.5),
        // No integer is divided by 0.
        RowKind::Bits if k == 1 && row.divides => {
            let x = x.cast(DType::I32);
            Tensor::where_(&x.eq(0), 3, &x)
        }
        RowKind::Bits => x.cast(DType::I32),
        _ if k >= row.grads.len() => x.detach(),
        _ => x.clone(),
    };
    wgrad::testing::map(row, &x.iter().enumerate().map(own).collect::<Vec<_>>())
}

fn row_case(row: &'static Row) -> Vec<Case> {
    // An operand without a derivative is a number, for it may not move with the others either.
    let apply = |row: &'static Row, x: &[Tensor]| {
        let middle = |(low, high): &(f64, f64)| Tensor::full((), (low + high) / 2.0, (&x[0].device(), x[0].dtype()));
        let numbers = row.test.within[x.len()..].iter().map(middle);
        apply(row, &x.iter().cloned().chain(numbers).collect::<Vec<_>>())
    };
    let within = &row.test.within[..row.grads.len()];
    let shapes = |shapes: [&'static [usize]; 3]| -> Vec<(&'static [usize], (f64, f64))> {
        within.iter().enumerate().map(|(i, &w)| (shapes[i], w)).collect()
    };
    vec![
        Case::new(row.name, &shapes([&[2, 3], &[2, 3], &[2, 3]]), move |x| apply(row, x)),
        Case::new(&format!("{} strided, broadcast", row.name), &shapes([&[3, 2], &[3], &[]]), move |x| {
            let mut x = x.to_vec();
            x[0] = x[0].t().flip(1);
            apply(row, &x)
        }),
        Case::new(&format!("{} of 0-d", row.name), &shapes([&[], &[], &[]]), move |x| apply(row, x)),
        Case::new(&format!("{} in a chain", row.name), &shapes([&[5], &[5], &[5]]), move |x| {
            let y = apply(row, x);
            (&y * 0.5 + &x[0]) * &y
        }),
    ]
}

/// Operands of either sign.
const ANY: (f64, f64) = (-2.0, 2.0);

/// An index tensor on the device of an operand.
fn index(x: &Tensor, data: &[i32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(data, shape, &x.device())
}

/// Structural operations and composites.
pub fn structural_cases() -> Vec<Case> {
    [
        conv::cases(),
        in_place::cases(),
        index::cases(),
        linalg::cases(),
        loss::cases(),
        nn::cases(),
        pointwise::cases(),
        reduce::cases(),
        view::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub fn all() -> Vec<Case> {
    row_cases().into_iter().chain(structural_cases()).collect()
}
