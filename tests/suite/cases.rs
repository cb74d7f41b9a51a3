//! Expressions that every check runs: each row of the table of scalar functions, and each structural operation and
//! composite, with strided, broadcast, 0-d and reused operands.

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

/// A row applied to float operands; a condition is made of the first one.
pub fn apply(row: &'static Row, x: &[Tensor]) -> Tensor {
    match row.kind {
        RowKind::Choice => wgrad::testing::map(row, &[x[0].gt(0.5), x[1].clone(), x[2].clone()]),
        RowKind::Logic => wgrad::testing::map(row, &x.iter().map(|x| x.gt(0.5)).collect::<Vec<_>>()),
        _ if row.name == "clamp" => wgrad::testing::map(row, &[x[0].clone(), x[1].detach(), x[2].detach()]),
        _ => wgrad::testing::map(row, x),
    }
}

fn row_case(row: &'static Row) -> Vec<Case> {
    let apply = |row: &'static Row, x: &[Tensor]| match row.name {
        // The bounds take no gradient, so they may not move with the operands either.
        "clamp" => x[0].clamp(-1.5, 1.5),
        _ => apply(row, x),
    };
    let within = row.test.within;
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

/// Structural operations and composites.
pub fn structural_cases() -> Vec<Case> {
    const ANY: (f64, f64) = (-2.0, 2.0);
    let index = |x: &Tensor, data: &[i32], shape: &[usize]| Tensor::from_slice(data, shape, &x.device());
    vec![
        Case::new("reshape", &[(&[2, 6], ANY)], |x| x[0].reshape([3, -1]).sin()),
        Case::new("reshape of a transpose", &[(&[2, 3], ANY)], |x| x[0].t().reshape(6).sin()),
        Case::new("flatten", &[(&[2, 3, 2], ANY)], |x| x[0].flatten(0, 1).sin()),
        Case::new("permute", &[(&[2, 3, 4], ANY)], |x| x[0].permute([2, 0, 1]).exp()),
        Case::new("transpose", &[(&[2, 3], ANY)], |x| x[0].transpose(0, 1).exp()),
        Case::new("expand", &[(&[3, 1], ANY)], |x| x[0].expand([2, 3, 4]).sin()),
        Case::new("narrow", &[(&[4, 3], ANY)], |x| x[0].narrow(0, 1, 2).sin()),
        Case::new("slice", &[(&[3, 7], ANY)], |x| x[0].slice(1, 1, -1, 2).sin()),
        Case::new("select", &[(&[3, 4], ANY)], |x| x[0].select(1, -2).sin()),
        Case::new("flip", &[(&[3, 4], ANY)], |x| x[0].flip([0, 1]).sin()),
        Case::new("squeeze", &[(&[1, 3, 1], ANY)], |x| x[0].squeeze(0).sin()),
        Case::new("unsqueeze", &[(&[3], ANY)], |x| x[0].unsqueeze(-1).sin()),
        Case::new("copy", &[(&[3, 2], ANY)], |x| x[0].t().copy().sin()),
        Case::new("sum", &[(&[3, 4], ANY)], |x| x[0].sum().sin()),
        Case::new("sum_dim", &[(&[2, 3, 4], ANY)], |x| x[0].sum_dim([0, 2], false).sin()),
        Case::new("sum_dim of a transpose", &[(&[2, 3, 4], ANY)], |x| x[0].transpose(0, 2).sum_dim(1, true).sin()),
        Case::new("mean", &[(&[3, 4], ANY)], |x| x[0].mean().sin()),
        Case::new("mean_dim", &[(&[3, 4], ANY)], |x| x[0].mean_dim(-1, true).sin()),
        Case::new("max", &[(&[3, 4], ANY)], |x| x[0].max().sin()),
        Case::new("min", &[(&[3, 4], ANY)], |x| x[0].min().sin()),
        Case::new("amax", &[(&[3, 4], ANY)], |x| x[0].amax(0, false).sin()),
        Case::new("amin", &[(&[3, 4], ANY)], |x| x[0].amin(1, true).sin()),
        Case::new("max_dim", &[(&[3, 4], ANY)], |x| x[0].max_dim(1, false).0.sin()),
        Case::new("min_dim", &[(&[3, 4], ANY)], |x| x[0].min_dim(0, true).0.sin()),
        Case::new("var", &[(&[3, 4], ANY)], |x| x[0].var(1.0)),
        Case::new("var_dim", &[(&[3, 4], ANY)], |x| x[0].var_dim(1, 0.0, true).sin()),
        Case::new("norm", &[(&[3, 4], ANY)], |x| x[0].norm()),
        Case::new("norm_dim 1", &[(&[3, 4], ANY)], |x| x[0].norm_dim(1.0, 1, false).sin()),
        Case::new("norm_dim 3", &[(&[3, 4], ANY)], |x| x[0].norm_dim(3.0, 0, false).sin()),
        Case::new("norm_dim inf", &[(&[3, 4], ANY)], |x| x[0].norm_dim(f64::INFINITY, 1, true).sin()),
        Case::new("matmul", &[(&[3, 4], ANY), (&[4, 2], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("matmul of transposes", &[(&[4, 3], ANY), (&[2, 4], ANY)], |x| x[0].t().matmul(&x[1].t()).sin()),
        Case::new("matmul of one operand", &[(&[3, 3], ANY)], |x| x[0].matmul(&x[0]).sin()),
        Case::new("matmul batched", &[(&[2, 1, 3, 4], ANY), (&[3, 4, 2], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("dot", &[(&[5], ANY), (&[5], ANY)], |x| x[0].matmul(&x[1])),
        Case::new("matrix times vector", &[(&[3, 4], ANY), (&[4], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("vector times matrices", &[(&[4], ANY), (&[2, 4, 3], ANY)], |x| x[0].matmul(&x[1]).sin()),
        Case::new("softmax", &[(&[3, 4], ANY)], |x| x[0].softmax(1) * &x[0]),
        Case::new("softmax of dimension 0", &[(&[3, 4], ANY)], |x| x[0].softmax(0).sin()),
        Case::new("log_softmax", &[(&[3, 4], ANY)], |x| x[0].log_softmax(-1).sin()),
        Case::new("cross_entropy", &[(&[4, 3], ANY)], move |x| {
            x[0].cross_entropy(&index(&x[0], &[0, 2, -100, 1], &[4]))
        }),
        Case::new("gather", &[(&[3, 4], ANY)], move |x| x[0].gather(1, &index(&x[0], &[0, 3, 3, 1], &[2, 2])).sin()),
        Case::new("scatter_add", &[(&[3, 4], ANY), (&[2, 3], ANY)], move |x| {
            x[0].scatter_add(0, &index(&x[0], &[0, 2, 2, 0, 1, 2], &[2, 3]), &x[1]).sin()
        }),
        Case::new("index_select", &[(&[3, 4], ANY)], move |x| {
            x[0].index_select(0, &index(&x[0], &[2, 0, 2], &[3])).sin()
        }),
        Case::new("cat", &[(&[2, 3], ANY), (&[1, 3], ANY)], |x| {
            Tensor::cat(&[x[0].clone(), x[1].clone(), x[0].clone()], 0).sin()
        }),
        Case::new("stack", &[(&[3], ANY), (&[3], ANY)], |x| Tensor::stack(x, 1).sin()),
        Case::new("in place", &[(&[3], ANY), (&[3], ANY)], |x| {
            let y = &x[0] * 2.0;
            y.mul_(&x[1]).unwrap().add_(1.0).unwrap();
            y.sin()
        }),
        Case::new("in place on a view", &[(&[2, 3], ANY), (&[2], ANY)], |x| {
            let y = &x[0] * 2.0;
            y.select(1, 1).mul_(&x[1]).unwrap();
            y.sin()
        }),
        Case::new("copy_", &[(&[2, 3], ANY), (&[3], ANY)], |x| {
            let y = &x[0] * 2.0;
            y.narrow(0, 1, 1).copy_(&x[1]).unwrap();
            y.sin()
        }),
        Case::new("cast there and back", &[(&[3], ANY)], |x| x[0].cast(DType::F32).cast(x[0].dtype())),
        Case::new("a perceptron", &[(&[4, 3], ANY), (&[3, 5], ANY), (&[5], ANY), (&[5, 2], ANY)], |x| {
            (x[0].matmul(&x[1]) + &x[2]).tanh().matmul(&x[3]).log_softmax(1)
        }),
    ]
}

pub fn all() -> Vec<Case> {
    row_cases().into_iter().chain(structural_cases()).collect()
}
