//! The CPU device evaluates long operations block by block. Whoever looks at every value has it evaluate them one by one;
//! both must give the same bits.

use wgrad::autograd::{GradOptions, grad};
use wgrad::testing::open_cpu;
use wgrad::{DType, Device, PadMode, Reduction, Tensor};

type Function = fn(&Tensor, &Tensor) -> Tensor;

/// Over `x` of `[97, 131]` and `row` of `[131]`: sizes of which no block is a multiple.
const FUNCTIONS: &[(&str, Function)] = &[
    ("chain", |x, row| (x * 1.5 + row).tanh() * x - x.relu()),
    ("column", |x, row| (x - x.mean_dim(1, true)) * row.exp()),
    ("several results", |x, row| {
        let y = (x + row).sin();
        y.t().matmul(&(&y * &y).sqrt())
    }),
    ("strided", |x, row| x.t().contiguous().t() * row + x.flip(0)),
    ("other shape", |x, _| x.sin().reshape([131, 97]).cos().sum_dim(1, false)),
    ("read twice", |x, _| (x * x).t().matmul(&(x * x + 1.0).log())),
    ("sum of all", |x, row| (x * row).sum() + (x - row).square().mean()),
    ("long lines", |x, row| (x * row).repeat([7, 3]).reshape([3, -1]).exp().sum_dim(1, false)),
    ("two folds", |x, row| {
        let y = x * row;
        y.exp().sum_dim(1, false).sum() + y.square().sum() + y.abs().amax(1, false).sum()
    }),
    ("softmax", |x, row| (x + row).softmax(1)),
    ("layer_norm", |x, row| x.layer_norm(131, Some(row), Some(row), 1e-5)),
    ("folds of folds", |x, row| {
        let d = x - x.mean_dim(1, true);
        let var = (&d * &d).mean_dim(1, true);
        let z = &d * (&var + 0.1).rsqrt();
        &z * z.abs().amax(1, true) + var.exp() * row + (&z * 0.5 + &var).sum_dim(1, true)
    }),
    ("many short lines", |x, row| {
        let y = Tensor::stack(&[x.clone(), x * row, x.exp()], 2);
        (&y - y.mean_dim(2, true).exp()).amax(2, false) * row
    }),
    ("lines that are turned", |x, row| {
        let sums = (x * row).sum_dim(1, false);
        (x * row).narrow(1, 0, 97) * &sums + (x * &sums.exp().unsqueeze(1)).narrow(1, 1, 97)
    }),
    ("mse_loss", |x, row| x.sin().mse_loss(&(x * row), Reduction::Mean)),
    ("cat", |x, row| Tensor::cat(&[x.exp(), x * row, x.narrow(1, 3, 60)], 1).square()),
    ("cat of rows", |x, row| Tensor::cat(&[row.unsqueeze(0), x.exp(), x.narrow(0, 90, 7).flip(1)], 0)),
    ("pad", |x, row| (x * row).pad([1, 2, 3, 4], PadMode::Constant(0.5)).tanh()),
    ("roll", |x, row| (x + row).roll([5, -7], [0, 1])),
    ("steps", |x, row| {
        let y = Tensor::zeros([97, 131], &x.device());
        y.slice_scatter(&(x * row).slice(1, 0, None, 3), 1, 0, None, 3).exp()
    }),
    ("mask", |x, row| Tensor::where_(&x.gt(row), x, &(row * 2.0)).tril(3)),
    ("types", |x, row| ((x * row * 100.0).cast(DType::I32) % 7 + 1).cast(DType::F32) * x),
    ("half", |x, row| (x.cast(DType::BF16) * row.cast(DType::BF16)).cast(DType::F32).exp()),
];

fn bits(dev: &Device, f: Function) -> wgrad::Result<Vec<Vec<u32>>> {
    dev.manual_seed(3);
    let x = (Tensor::rand([97, 131], dev) * 2.0 - 1.0).detach().requires_grad_(true)?;
    let row = (Tensor::rand([131], dev) * 2.0 - 1.0).detach().requires_grad_(true)?;
    let y = f(&x, &row);
    let options = GradOptions { allow_unused: Some(true), create_graph: true, ..Default::default() };
    let first = grad(&[&y.square().sum()], &[&x, &row], options)?;
    let second = first.iter().flatten().map(|g| g.square().sum()).reduce(|a, b| a + b).expect("one is used");
    let options = GradOptions { allow_unused: Some(true), ..Default::default() };
    let second = if second.requires_grad() { grad(&[&second], &[&x, &row], options)? } else { vec![] };
    let all = [Some(y.clone())].into_iter().chain(first).chain(second).flatten();
    all.map(|y| Ok(y.detach().to_vec::<f32>()?.into_iter().map(f32::to_bits).collect())).collect()
}

#[test]
fn blocks_give_the_bits_of_whole_operations() {
    // Devices that other tests do not meet: numbers are drawn from them.
    let (by_blocks, by_operation) = (open_cpu(), open_cpu());
    by_operation.watch_non_finite(true);
    for (name, f) in FUNCTIONS {
        let (got, wanted) = (bits(&by_blocks, *f).unwrap(), bits(&by_operation, *f).unwrap());
        assert!(got == wanted, "{name} differs");
        assert_eq!(got, bits(&by_blocks, *f).unwrap(), "{name} differs from run to run");
    }
}

#[test]
fn an_operand_that_fails_fails_what_follows() {
    let dev = Device::cpu();
    let x = Tensor::ones([97, 131], &dev);
    let bad = Tensor::full([97, 131], 200.0, &dev).cast(DType::I32);
    let y = (x.gather(1, &bad) + 1.0).exp();
    let other = (&x + 1.0).exp();
    assert!(y.to_vec::<f32>().unwrap_err().to_string().contains("out of range"));
    assert!((other.mean().item().unwrap() / 2f64.exp() - 1.0).abs() < 1e-6);
}

#[test]
fn the_first_of_a_sorted_line_are_those_of_the_whole() {
    let dev = Device::cpu();
    let x = Tensor::rand([40, 300], &dev);
    let (values, places) = x.sort(1, true);
    let (first, at) =
        (values.narrow(1, 0, 9).to_vec::<f32>().unwrap(), places.narrow(1, 0, 9).to_vec::<i32>().unwrap());
    // The places are read by nobody else here, so that only nine of a line are put in order.
    assert_eq!(x.topk(9, 1, true).0.to_vec::<f32>().unwrap(), first);
    assert_eq!(x.topk(9, 1, true).1.to_vec::<i32>().unwrap(), at);
    assert_eq!(
        x.topk(9, 1, false).0.to_vec::<f32>().unwrap(),
        x.sort(1, false).0.narrow(1, 0, 9).to_vec::<f32>().unwrap()
    );
}
