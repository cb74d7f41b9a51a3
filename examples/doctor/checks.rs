//! What is tested: every operation, as an expression over a few tensors.

use wgrad::optim::{Adam, Sgd};
use wgrad::{DType, Result, Tensor};

/// An expression. Its value is tested and, where it is differentiable, its gradients.
pub struct Check {
    pub name: &'static str,
    pub inputs: &'static [Input],
    pub f: fn(&[Tensor]) -> Tensor,
    /// The largest error allowed, relative to the value where that is above 1.
    pub tolerance: f64,
}

/// The shape of an input, and the interval its numbers are from.
pub type Input = (&'static [usize], f64, f64);

impl Check {
    /// Whether numbers are stored narrow or computed roughly, so that difference quotients say nothing.
    pub fn is_rough(&self) -> bool {
        self.tolerance > TOLERANCE
    }
}

/// What devices may differ by: some hundred times the precision of a number.
const TOLERANCE: f64 = 1e-5;

const fn check(name: &'static str, inputs: &'static [Input], f: fn(&[Tensor]) -> Tensor) -> Check {
    Check { name, inputs, f, tolerance: TOLERANCE }
}

/// A check of numbers that are stored narrow, or come from functions that GPUs compute roughly.
const fn rough(tolerance: f64, check: Check) -> Check {
    Check { tolerance, ..check }
}

const A: Input = (&[5, 7], -2.0, 2.0);
const B: Input = (&[5, 7], -2.0, 2.0);
const POSITIVE: Input = (&[5, 7], 0.3, 3.0);
const ROW: Input = (&[7], -2.0, 2.0);
const COLUMN: Input = (&[5, 1], -2.0, 2.0);
const ONE: Input = (&[], -2.0, 2.0);
const CUBE: Input = (&[3, 4, 5], -2.0, 2.0);

pub const GROUPS: &[(&str, &[Check])] = &[
    ("functions", FUNCTIONS),
    ("arithmetic", ARITHMETIC),
    ("views", VIEWS),
    ("reductions", REDUCTIONS),
    ("products", PRODUCTS),
    ("indexing", INDEXING),
    ("classification", CLASSIFICATION),
    ("in place", IN_PLACE),
    ("types", TYPES),
    ("new tensors", NEW),
    ("training", TRAINING),
];

const FUNCTIONS: &[Check] = &[
    check("neg", &[A], |x| -&x[0]),
    check("abs", &[A], |x| x[0].abs()),
    check("sign", &[A], |x| x[0].sign()),
    check("floor", &[A], |x| x[0].floor()),
    check("ceil", &[A], |x| x[0].ceil()),
    check("round", &[A], |x| x[0].round()),
    check("reciprocal", &[POSITIVE], |x| x[0].reciprocal()),
    check("exp", &[A], |x| x[0].exp()),
    check("log", &[POSITIVE], |x| x[0].log()),
    check("sqrt", &[POSITIVE], |x| x[0].sqrt()),
    check("sin", &[A], |x| x[0].sin()),
    check("cos", &[A], |x| x[0].cos()),
    check("tanh", &[A], |x| x[0].tanh()),
    check("tanh of large numbers", &[A], |x| (&x[0] * 100.0).tanh()),
    check("sigmoid", &[A], |x| x[0].sigmoid()),
    check("relu", &[A], |x| x[0].relu()),
    check("isnan", &[A], |x| x[0].log().isnan()),
    check("clamp", &[A], |x| x[0].clamp(-1.0, 0.5)),
    check("where", &[A, B], |x| Tensor::where_(&x[0].gt(&x[1]), &x[0], &x[1] * 2.0)),
];

const ARITHMETIC: &[Check] = &[
    check("add", &[A, B], |x| &x[0] + &x[1]),
    check("sub", &[A, B], |x| &x[0] - &x[1]),
    check("mul", &[A, B], |x| &x[0] * &x[1]),
    check("div", &[A, POSITIVE], |x| &x[0] / &x[1]),
    check("pow", &[POSITIVE, A], |x| x[0].pow(&x[1])),
    check("maximum", &[A, B], |x| x[0].maximum(&x[1])),
    check("minimum", &[A, B], |x| x[0].minimum(&x[1])),
    check("a number on either side", &[POSITIVE], |x| 1.0 / (2.0 - 0.25 * &x[0]) + 3),
    check("broadcasting", &[COLUMN, ROW, ONE], |x| &x[0] * &x[1] + &x[2]),
    check("a long chain", &[A], |x| (0..30).fold(x[0].clone(), |y, i| (y * 1.5 + i).sin())),
    check("eq", &[A, B], |x| x[0].round().eq(x[1].round())),
    check("ne", &[A, B], |x| x[0].round().ne(x[1].round())),
    check("lt", &[A, B], |x| x[0].lt(&x[1])),
    check("le", &[A, B], |x| x[0].round().le(x[1].round())),
    check("gt", &[A, B], |x| x[0].gt(&x[1])),
    check("ge", &[A, B], |x| x[0].round().ge(x[1].round())),
    check("logical_and", &[A, B], |x| x[0].gt(0.0).logical_and(x[1].gt(0.0))),
    check("logical_or", &[A, B], |x| x[0].gt(0.0).logical_or(x[1].gt(0.0))),
    check("logical_not", &[A], |x| x[0].gt(0.0).logical_not()),
];

const VIEWS: &[Check] = &[
    check("reshape", &[CUBE], |x| x[0].reshape([6, -1]).exp()),
    check("flatten", &[CUBE], |x| x[0].flatten(1, 2).exp()),
    check("permute", &[CUBE], |x| x[0].permute([2, 0, 1]).exp()),
    check("transpose", &[CUBE], |x| x[0].transpose(0, 2).exp()),
    check("t", &[A], |x| x[0].t().exp()),
    check("expand", &[COLUMN], |x| x[0].expand([2, 5, 3]).exp()),
    check("narrow", &[A], |x| x[0].narrow(1, 2, 3).exp()),
    check("slice", &[A], |x| x[0].slice(1, 1, -1, 2).exp()),
    check("select", &[A], |x| x[0].select(0, -2).exp()),
    check("flip", &[A], |x| x[0].flip([0, 1]).exp()),
    check("squeeze", &[COLUMN], |x| x[0].squeeze(1).exp()),
    check("unsqueeze", &[ROW], |x| x[0].unsqueeze(-1).exp()),
    check("copy", &[A], |x| x[0].t().copy()),
    check("contiguous", &[A], |x| x[0].t().contiguous().exp()),
];

const REDUCTIONS: &[Check] = &[
    check("sum", &[A], |x| x[0].sum()),
    check("sum of many", &[(&[300_000], 0.0, 1.0)], |x| x[0].sum()),
    check("sum of many rows", &[(&[3, 70_000], 0.0, 1.0)], |x| x[0].sum_dim(1, false)),
    check("sum of many columns", &[(&[70_000, 3], 0.0, 1.0)], |x| x[0].sum_dim(0, false)),
    check("sum_dim", &[CUBE], |x| x[0].sum_dim([0, 2], true)),
    check("sum of products", &[A, B], |x| (&x[0] * &x[1]).sum_dim(1, false).exp()),
    check("mean", &[A], |x| x[0].mean()),
    check("mean_dim", &[CUBE], |x| x[0].mean_dim(1, false)),
    check("max", &[A], |x| x[0].max()),
    check("min", &[A], |x| x[0].min()),
    check("amax", &[A], |x| x[0].amax(0, false)),
    check("amin", &[A], |x| x[0].amin(1, true)),
    check("max_dim", &[A], |x| x[0].max_dim(1, false).0),
    check("min_dim", &[A], |x| x[0].min_dim(0, true).0),
    check("argmax", &[A], |x| x[0].argmax(1, false)),
    check("argmin", &[A], |x| x[0].argmin(None, false)),
    check("var", &[A], |x| x[0].var(1.0)),
    check("var_dim", &[A], |x| x[0].var_dim(1, 0.0, true)),
    check("norm", &[A], |x| x[0].norm()),
    check("norm_dim", &[A], |x| x[0].norm_dim(3.0, 1, false)),
    check("norm_dim, p = ∞", &[A], |x| x[0].norm_dim(f64::INFINITY, 1, false)),
    check("prod", &[ROW], |x| x[0].prod()),
    check("cumsum", &[A], |x| x[0].cumsum(1)),
    check("cumsum of many", &[(&[2, 70_000], 0.0, 1.0)], |x| x[0].cumsum(1)),
    check("cumprod of columns", &[A], |x| x[0].cumprod(0)),
    check("cumprod of many", &[(&[2_000], 0.99, 1.01)], |x| x[0].cumprod(0)),
    check("logcumsumexp of many", &[(&[20_000], -1.0, 1.0)], |x| x[0].logcumsumexp(0)),
    check("cummax of many", &[(&[20_000], -1.0, 1.0)], |x| x[0].cummax(0).0),
    check("median_dim", &[A], |x| x[0].median_dim(1, false).0),
];

const PRODUCTS: &[Check] = &[
    check("matmul", &[(&[5, 7], -1.0, 1.0), (&[7, 3], -1.0, 1.0)], |x| x[0].matmul(&x[1])),
    check("matmul of larger matrices", &[(&[70, 65], -1.0, 1.0), (&[65, 33], -1.0, 1.0)], |x| x[0].matmul(&x[1])),
    check("matmul of transposes", &[(&[65, 70], -1.0, 1.0), (&[33, 65], -1.0, 1.0)], |x| x[0].t().matmul(&x[1].t())),
    check("matmul of batches", &[(&[2, 1, 5, 7], -1.0, 1.0), (&[3, 7, 4], -1.0, 1.0)], |x| x[0].matmul(&x[1])),
    check("matrix and vector", &[A, ROW], |x| x[0].matmul(&x[1])),
    check("vector and matrix", &[ROW, A], |x| x[0].matmul(&x[1].t())),
    check("dot product", &[ROW, ROW], |x| x[0].matmul(&x[1])),
    check("a layer", &[A, (&[4, 7], -1.0, 1.0), (&[4], -1.0, 1.0)], |x| (x[0].matmul(&x[1].t()) + &x[2]).relu()),
];

const INDEXING: &[Check] = &[
    check("gather", &[A], |x| x[0].gather(1, &index(x, &[0, 6, 6, 1, 2, 0], &[3, 2]))),
    check("scatter_add", &[A, (&[2, 7], -2.0, 2.0)], |x| {
        x[0].scatter_add(0, &index(x, &[0, 4, 4, 0, 1, 2, 3, 0, 0, 4, 0, 1, 2, 3], &[2, 7]), &x[1])
    }),
    check("index_select", &[A], |x| x[0].index_select(0, &index(x, &[2, 0, 2, 4], &[4]))),
    check("cat", &[A, (&[2, 7], -2.0, 2.0)], |x| Tensor::cat(&[x[0].clone(), x[1].clone(), x[0].exp()], 0)),
    check("stack", &[A, B], |x| Tensor::stack(&[x[0].clone(), x[1].exp()], 1)),
];

const CLASSIFICATION: &[Check] = &[
    check("softmax", &[A], |x| x[0].softmax(1)),
    check("softmax of columns", &[A], |x| x[0].softmax(0)),
    check("softmax of large numbers", &[A], |x| (&x[0] * 1e4).softmax(1)),
    check("log_softmax", &[A], |x| x[0].log_softmax(-1)),
    check("cross_entropy", &[A], |x| x[0].cross_entropy(&index(x, &[0, 6, 3, -100, 2], &[5]))),
];

const IN_PLACE: &[Check] = &[
    check("add_", &[A, B], |x| changed(&x[0], |y| y.add_(&x[1]))),
    check("sub_", &[A, B], |x| changed(&x[0], |y| y.sub_(&x[1]))),
    check("mul_", &[A, B], |x| changed(&x[0], |y| y.mul_(&x[1]))),
    check("div_", &[A, POSITIVE], |x| changed(&x[0], |y| y.div_(&x[1]))),
    check("zero_ of a view", &[A], |x| changed(&x[0], |y| y.narrow(0, 1, 2).zero_().map(|_| y))),
    check("copy_ to a view", &[A, ROW], |x| changed(&x[0], |y| y.select(0, 1).copy_(&x[1]).map(|_| y))),
    check("mul_ of a view", &[A, (&[5], -2.0, 2.0)], |x| changed(&x[0], |y| y.select(1, 3).mul_(&x[1]).map(|_| y))),
];

const TYPES: &[Check] = &[
    check("cast to i32", &[A], |x| (&x[0] * 10.0).cast(DType::I32)),
    check("cast to u32", &[POSITIVE], |x| (&x[0] * 10.0).cast(DType::U32)),
    check("cast to bool", &[A], |x| x[0].relu().cast(DType::Bool)),
    check("i32 arithmetic", &[A], |x| (&x[0] * 10.0).cast(DType::I32) * 7 - 3),
    check("u32 arithmetic", &[POSITIVE], |x| (&x[0] * 10.0).cast(DType::U32) * 7 + 3),
    rough(1e-3, check("f16", &[A, B], |x| (x[0].cast(DType::F16) * x[1].cast(DType::F16)).cast(x[0].dtype()))),
    rough(8e-3, check("bf16", &[A, B], |x| (x[0].cast(DType::BF16) * x[1].cast(DType::BF16)).cast(x[0].dtype()))),
];

const NEW: &[Check] = &[
    check("zeros, ones, full", &[ROW], |x| x[0].zeros_like() + x[0].ones_like() * x[0].full_like(0.5)),
    check("arange", &[ONE], |x| Tensor::arange(0, 100, 3, &x[0].device()) * 2),
    check("linspace", &[ONE], |x| Tensor::linspace(-1.0, 1.0, 9, &x[0].device()) * 2.0),
    check("eye", &[ONE], |x| Tensor::eye(4, &x[0].device()) * 2.0),
    check("rand", &[ONE], |x| Tensor::rand([1000], &x[0].device())),
    rough(1e-4, check("randn", &[ONE], |x| Tensor::randn([1000], &x[0].device()))),
    check("randint", &[ONE], |x| Tensor::randint(-5, 12, [1000], &x[0].device())),
    check("randperm", &[ONE], |x| Tensor::randperm(100, &x[0].device())),
];

const TRAINING: &[Check] = &[
    check("steps of Sgd", &[A], |x| {
        let p = parameter(&x[0]);
        let mut sgd = Sgd { lr: 0.1, momentum: 0.9, ..Default::default() }.over([&p]);
        steps(&p, || sgd.step())
    }),
    check("steps of Adam", &[A], |x| {
        let p = parameter(&x[0]);
        let mut adam = Adam::new([&p], 0.1);
        steps(&p, || adam.step())
    }),
];

/// Indices, where the inputs are.
fn index(x: &[Tensor], elements: &[i32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(elements, shape, &x[0].device())
}

/// Twice `x`, changed in place.
fn changed(x: &Tensor, change: impl for<'a> FnOnce(&'a Tensor) -> Result<&'a Tensor>) -> Tensor {
    let y = x * 2.0;
    change(&y).expect("a result may be changed in place");
    y
}

/// A leaf with the values of `x`.
fn parameter(x: &Tensor) -> Tensor {
    x.detach().copy().requires_grad_(true).expect("a copy is a leaf")
}

/// What a parameter is after three steps down a bowl.
fn steps(p: &Tensor, mut step: impl FnMut() -> Result<()>) -> Tensor {
    for _ in 0..3 {
        p.zero_grad();
        (p * p).sum().backward().and_then(|()| step()).expect("a step works");
    }
    p.detach()
}
