//! Mixed precision: which results are narrow and which are wide, what gradients are, and how far training comes.

use crate::common::{devices, own_devices};
use wgrad::amp::{GradScaler, GradScalerOptions, autocast, autocast_dtype, no_autocast};
use wgrad::autograd::{CheckpointOptions, checkpoint};
use wgrad::nn::{BatchNorm2d, Conv2d, Gelu, Layer, LayerNorm, Linear, Module, Sequential};
use wgrad::optim::Adam;
use wgrad::testing::WIDE;
use wgrad::{
    AttentionOptions, BatchNormOptions, DType, Device, InterpolateOptions, Reduction, Result, RnnOptions, Tensor, catch,
};

const NARROW: [DType; 2] = [DType::F16, DType::BF16];

type Call = fn(&Tensor, &Tensor) -> Tensor;

/// What adds up or takes large numbers, of an operand `[4, 4]` between 0 and 1 and another.
const CALLS: [(&str, Call); 56] = [
    ("acos", |x, _| x.acos()),
    ("asin", |x, _| x.asin()),
    ("binary_cross_entropy_with_logits", |x, t| x.binary_cross_entropy_with_logits(t, None, None, Reduction::Mean)),
    ("cdist", |x, t| x.cdist(t, 2.0)),
    ("cosh", |x, _| x.cosh()),
    ("cosine_embedding_loss", |x, t| {
        x.cosine_embedding_loss(t, &classes(x).eq(1).cast(DType::I32), 0.5, Reduction::Mean)
    }),
    ("cosine_similarity", |x, t| x.cosine_similarity(t, 1, 1e-8)),
    ("cross_entropy", |x, _| x.cross_entropy(&classes(x))),
    ("ctc_loss", |x, _| {
        x.unsqueeze(1).ctc_loss(&classes(x).narrow(0, 1, 1).unsqueeze(0), &[4], &[1], Default::default())
    }),
    ("cumprod", |x, _| x.cumprod(0)),
    ("cumsum", |x, _| x.cumsum(0)),
    ("dist", |x, t| x.dist(t, 2.0)),
    ("erfinv", |x, _| x.erfinv()),
    ("exp", |x, _| x.exp()),
    ("expm1", |x, _| x.expm1()),
    ("gaussian_nll_loss", |x, t| x.gaussian_nll_loss(t, &t.cast(DType::F32), Default::default())),
    ("group_norm", |x, _| x.group_norm(2, None, None, 1e-5)),
    ("hinge_embedding_loss", |x, t| x.hinge_embedding_loss(t, 1.0, Reduction::Mean)),
    ("huber_loss", |x, t| x.huber_loss(t, 1.0, Reduction::Mean)),
    ("interpolate", |x, _| {
        x.unsqueeze(0).interpolate(InterpolateOptions { scale_factor: Some(vec![2.0]), ..Default::default() })
    }),
    ("kl_div", |x, t| x.kl_div(t, false, Reduction::Mean)),
    ("l1_loss", |x, t| x.l1_loss(t, Reduction::Mean)),
    ("layer_norm", |x, t| x.layer_norm(4, Some(&t.select(0, 0)), None, 1e-5)),
    ("local_response_norm", |x, _| x.unsqueeze(0).local_response_norm(2, 1e-4, 0.75, 1.0)),
    ("log", |x, _| x.log()),
    ("log10", |x, _| x.log10()),
    ("log1p", |x, _| x.log1p()),
    ("log2", |x, _| x.log2()),
    ("log_softmax", |x, _| x.log_softmax(1)),
    ("logsumexp", |x, _| x.logsumexp(1, false)),
    ("margin_ranking_loss", |x, t| x.margin_ranking_loss(t, &t.sign(), 0.0, Reduction::Mean)),
    ("mse_loss", |x, t| x.mse_loss(t, Reduction::Mean)),
    ("multi_margin_loss", |x, _| x.multi_margin_loss(&classes(x), Default::default())),
    ("multilabel_margin_loss", |x, _| {
        x.multilabel_margin_loss(&classes(x).unsqueeze(1).expand([4, 4]), Reduction::Mean)
    }),
    ("multilabel_soft_margin_loss", |x, t| x.multilabel_soft_margin_loss(t, None, Reduction::Mean)),
    ("nll_loss", |x, _| x.nll_loss(&classes(x))),
    ("norm", |x, _| x.norm()),
    ("normalize", |x, _| x.normalize(2.0, 1, 1e-12)),
    ("pairwise_distance", |x, t| x.pairwise_distance(t, 2.0, 1e-6, false)),
    ("pdist", |x, _| x.pdist(2.0)),
    ("poisson_nll_loss", |x, t| x.poisson_nll_loss(t, Default::default())),
    ("pow", |x, _| x.pow(3.0)),
    ("prod", |x, _| x.prod()),
    ("reciprocal", |x, _| x.reciprocal()),
    ("renorm", |x, _| x.renorm(2.0, 0, 0.5)),
    ("rsqrt", |x, _| x.rsqrt()),
    ("sinh", |x, _| x.sinh()),
    ("smooth_l1_loss", |x, t| x.smooth_l1_loss(t, 1.0, Reduction::Mean)),
    ("soft_margin_loss", |x, t| x.soft_margin_loss(t, Reduction::Mean)),
    ("softmax", |x, _| x.softmax(1)),
    ("softmin", |x, _| x.softmin(1)),
    ("softplus", |x, _| x.softplus()),
    ("square", |x, _| x.square()),
    ("sum", |x, _| x.sum_dim(1, false)),
    ("tan", |x, _| x.tan()),
    ("triplet_margin_loss", |x, t| x.triplet_margin_loss(t, &t.flip(0), Default::default())),
];

/// Products of `[4, 4]` and `[4, 4]`.
const PRODUCTS: [(&str, Call); 20] = [
    ("matmul", |a, b| a.matmul(b)),
    ("mm", |a, b| a.mm(b)),
    ("mv", |a, b| a.mv(&b.select(0, 0))),
    ("bmm", |a, b| a.unsqueeze(0).bmm(&b.unsqueeze(0))),
    ("linear", |a, b| a.linear(b, Some(&b.cast(DType::F32).select(0, 0)))),
    ("addmm", |a, b| a.addmm(a, b, 1.0, 1.0)),
    ("addmv", |a, b| a.select(0, 0).addmv(a, &b.select(0, 0), 1.0, 1.0)),
    ("addr", |a, b| a.addr(&a.select(0, 0), &b.select(0, 0), 1.0, 1.0)),
    ("baddbmm", |a, b| a.baddbmm(&a.unsqueeze(0), &b.unsqueeze(0), 1.0, 1.0)),
    ("addbmm", |a, b| a.addbmm(&a.unsqueeze(0), &b.unsqueeze(0), 1.0, 1.0)),
    ("vecdot", |a, b| a.vecdot(b, 1)),
    ("einsum", |a, b| Tensor::einsum("ij,kj->ik", &[a, b])),
    ("chain_matmul", |a, b| Tensor::multi_dot(&[a.clone(), b.clone(), a.clone()])),
    ("conv1d", |a, b| {
        a.unsqueeze(0).conv1d(&b.unsqueeze(2), Some(&b.cast(DType::F32).select(0, 0)), Default::default())
    }),
    ("conv_transpose1d", |a, b| a.unsqueeze(0).conv_transpose1d(&b.unsqueeze(2), None, Default::default())),
    ("conv2d", |a, b| a.reshape([1, 1, 4, 4]).conv2d(&b.reshape([1, 1, 4, 4]), None, Default::default())),
    ("attention", |a, b| {
        a.unsqueeze(0).scaled_dot_product_attention(
            &b.unsqueeze(0),
            &a.cast(DType::F32).unsqueeze(0),
            AttentionOptions::default(),
        )
    }),
    ("gru_cell", |a, b| a.gru_cell(b, &b.repeat([3, 1]), &a.repeat([3, 1]), None)),
    ("lstm", |a, b| {
        let state = b.cast(DType::F32).unsqueeze(0);
        let options = RnnOptions { bias: false, ..Default::default() };
        a.unsqueeze(0).lstm((&state, &state), &[b.repeat([4, 1]), a.repeat([4, 1])], options).0
    }),
    ("prelu", |a, b| a.prelu(&b.select(0, 0))),
];

fn classes(x: &Tensor) -> Tensor {
    Tensor::new([0, 1, 2, 3], &x.device())
}

fn operands(dev: &Device) -> (Tensor, Tensor) {
    let x = (Tensor::arange(1, 17, 1, dev).cast(DType::F32) / 20.0).reshape([4, 4]);
    let t = (Tensor::arange(16, 0, -1, dev).cast(DType::F32) / 17.0).reshape([4, 4]);
    (x, t)
}

/// The largest difference, by the size of what is compared.
fn far(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.untracked_f32(), b.untracked_f32());
    let size = b.abs().max().item().unwrap().max(1e-3);
    (a - b).abs().max().item().unwrap() / size
}

trait AsF32 {
    fn untracked_f32(&self) -> Tensor;
}

impl AsF32 for Tensor {
    fn untracked_f32(&self) -> Tensor {
        self.detach().cast(DType::F32)
    }
}

#[test]
fn what_adds_up_is_wide() {
    let named: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, WIDE, "every name of the list is tried");
    for dev in devices() {
        let (x, t) = operands(&dev);
        for dtype in NARROW {
            let (x, t) = (x.cast(dtype), t.cast(dtype));
            for (name, f) in CALLS {
                let leaf = x.copy().requires_grad_(true).unwrap();
                let y = {
                    let _guard = autocast(dtype);
                    f(&leaf, &t)
                };
                assert_eq!(y.dtype(), DType::F32, "{name} of {dtype}");
                // The same as of operands that were wide from the beginning: nothing is rounded on the way.
                let wide = x.cast(DType::F32).requires_grad_(true).unwrap();
                let expected = f(&wide, &t.cast(DType::F32));
                assert!(far(&y, &expected) < 2e-6, "{name} of {dtype}: {y} and {expected}");
                let weights = Tensor::arange(1, 1 + y.numel(), 1, &dev).cast(DType::F32).reshape(y.shape());
                (y * &weights).sum().backward().unwrap();
                (expected * &weights).sum().backward().unwrap();
                let (g, expected) = (leaf.grad().unwrap(), wide.grad().unwrap());
                assert_eq!(g.dtype(), dtype, "{name}");
                assert!(far(&g, &expected.cast(dtype)) < 1e-6, "{name} of {dtype}: {g} and {expected}");
            }
        }
    }
}

#[test]
fn products_are_narrow() {
    for dev in devices() {
        let (x, t) = operands(&dev);
        for dtype in NARROW {
            for (name, f) in PRODUCTS {
                let leaf = x.copy().requires_grad_(true).unwrap();
                let y = {
                    let _guard = autocast(dtype);
                    f(&leaf, &t.cast(dtype))
                };
                assert_eq!(y.dtype(), dtype, "{name} of {dtype}");
                let expected = f(&x, &t);
                let digits = if dtype == DType::F16 { 2e-3 } else { 2e-2 };
                assert!(far(&y, &expected) < digits, "{name} of {dtype}: {y} and {expected}");
                y.sum().backward().unwrap();
                assert_eq!(leaf.grad().unwrap().dtype(), DType::F32, "{name} of {dtype}");
            }
        }
    }
}

#[test]
fn some_products_take_the_widest_type() {
    let dev = Device::cpu();
    let (x, t) = operands(&dev);
    let _guard = autocast(DType::F16);
    let narrow = t.cast(DType::F16);
    let row = |x: &Tensor| x.select(0, 0);
    for (a, b, dtype) in [(&x, &t, DType::F32), (&x, &narrow, DType::F32), (&narrow, &narrow, DType::F16)] {
        let ys = [
            row(a).dot(&row(b)),
            row(a).vdot(&row(b)),
            a.tensordot(b, 1),
            a.inner(b),
            a.bilinear(b, &b.unsqueeze(0), None),
        ];
        assert!(ys.iter().all(|y| y.dtype() == dtype));
    }
    let large = Tensor::new([300.0], &dev);
    assert_eq!(large.dot(&large).item().unwrap(), 90000.0);
    assert_eq!(large.cast(DType::F16).square().item().unwrap(), 90000.0);
    assert!((1.0 / Tensor::new([1e-5], (&dev, DType::F16))).item().unwrap().is_finite());
    for equation in ["ij,jk->k", "ij,jk->i", "ij,jk->ik"] {
        assert_eq!(Tensor::einsum(equation, &[&x, &narrow]).dtype(), DType::F16, "{equation}");
    }
    // An accumulator keeps its digits.
    let sum = Tensor::new([[1.001]], &dev);
    let zero = Tensor::zeros([1, 1], &dev);
    sum.addmm_(&zero, &zero, 1.0, 1.0).unwrap();
    assert_eq!(sum.item().unwrap() as f32, 1.001);
}

#[test]
fn other_operations_take_what_they_are_given() {
    let dev = Device::cpu();
    let (x, t) = operands(&dev);
    let _guard = autocast(DType::BF16);
    let narrow = x.cast(DType::BF16);
    for y in
        [narrow.relu(), narrow.tanh(), &narrow * 2.0, narrow.mean(), narrow.amax(1, false), narrow.t().contiguous()]
    {
        assert_eq!(y.dtype(), DType::BF16);
    }
    assert_eq!((&narrow + &t).dtype(), DType::F32);
    assert_eq!(Tensor::cat(&[narrow.clone(), t.clone()], 0).dtype(), DType::F32);
    assert_eq!(narrow.scatter_add(0, &Tensor::zeros([4, 4], (&dev, DType::I32)), &t).dtype(), DType::F32);
    // Neither is in PyTorch's list for GPUs.
    assert_eq!((narrow.nansum((), false).dtype(), narrow.trace().dtype()), (DType::BF16, DType::BF16));
    assert_eq!(narrow.batch_norm(BatchNormOptions { training: true, ..Default::default() }).dtype(), DType::BF16);
    let wide = x.cast(DType::F64);
    assert_eq!(wide.matmul(&wide).dtype(), DType::F64, "f64 is nobody's business");
    let places = Tensor::new([[1.0, 0.0, 0.001], [0.0, 1.0, 0.0]], &dev).unsqueeze(0);
    let grid = places.affine_grid(&[1, 1, 2, 2], false);
    assert!((grid.select(1, 0).select(1, 0).select(1, 0).item().unwrap() + 0.499).abs() < 1e-6);
    let refused = catch(|| narrow.sigmoid().binary_cross_entropy(&t, None, Reduction::Mean)).unwrap_err().to_string();
    assert!(refused.contains("binary_cross_entropy_with_logits"), "{refused}");
}

#[test]
fn guards_end_in_any_order_and_belong_to_their_thread() {
    assert_eq!(autocast_dtype(), None);
    let outer = autocast(DType::F16);
    let inner = autocast(DType::BF16);
    assert_eq!(autocast_dtype(), Some(DType::BF16));
    drop(outer);
    assert_eq!(autocast_dtype(), Some(DType::BF16));
    {
        let _off = no_autocast();
        assert_eq!(autocast_dtype(), None);
    }
    assert_eq!(std::thread::spawn(autocast_dtype).join().unwrap(), None);
    drop(inner);
    assert_eq!(autocast_dtype(), None);
    assert!(catch(|| drop(autocast(DType::F32))).unwrap_err().to_string().contains("f16 or bf16"));
}

/// A network with most kinds of layers, and its gradients.
fn gradients(dev: &Device, run: impl Fn(&Sequential, &Tensor) -> Tensor) -> Tensor {
    dev.manual_seed(3);
    let net = Sequential::new()
        .then(Conv2d::new(2, 4, 3, Default::default(), dev))
        .then(BatchNorm2d::new(4, dev))
        .then(Gelu::default())
        .then(wgrad::nn::Flatten::default())
        .then(LayerNorm::new(64, dev))
        .then(Linear::new(64, 5, dev));
    let x = Tensor::randn([3, 2, 6, 6], dev);
    run(&net, &x).backward().unwrap();
    let all = net.parameters();
    let gradients = all.iter().map(|p| p.grad().expect("every parameter is used"));
    assert!(gradients.clone().all(|g| g.dtype() == DType::F32));
    Tensor::cat(&gradients.map(|g| g.flatten(0, -1)).collect::<Vec<_>>(), 0)
}

#[test]
fn backward_is_alike_inside_and_outside() {
    for dev in own_devices() {
        let t = Tensor::new([0, 1, 2], &dev);
        let outside = gradients(&dev, |net, x| {
            let _guard = autocast(DType::BF16);
            net.forward(x).cross_entropy(&t)
        });
        let guard = autocast(DType::BF16);
        let inside = gradients(&dev, |net, x| net.forward(x).cross_entropy(&t));
        assert_eq!(outside.to_vec::<f32>().unwrap(), inside.to_vec::<f32>().unwrap());
        drop(guard);
        let wide = gradients(&dev, |net, x| net.forward(x).cross_entropy(&t));
        assert!(far(&outside, &wide) < 0.05, "{outside} and {wide}");
    }
}

#[test]
fn a_checkpoint_runs_again_in_its_mode() {
    for dev in devices() {
        let (x, w) = operands(&dev);
        let run = |again: bool| {
            let (x, w) = (x.copy().requires_grad_(true).unwrap(), w.copy().requires_grad_(true).unwrap());
            let f = |x: &[Tensor]| x[0].matmul(&x[1]).tanh().matmul(&x[1]);
            let y = {
                let _guard = autocast(DType::F16);
                if again { checkpoint(f, &[&x, &w], CheckpointOptions::default()) } else { f(&[x.clone(), w.clone()]) }
            };
            y.sum().backward().unwrap();
            [x, w].map(|x| x.grad().unwrap().to_vec::<f32>().unwrap())
        };
        assert_eq!(run(true), run(false));
    }
}

#[test]
fn tangents_have_the_types_of_their_tensors() {
    let dev = Device::cpu();
    let (x, w) = operands(&dev);
    let f = |x: &Tensor| x.matmul(&w).tanh().log_softmax(1);
    let (_, expected) = wgrad::func::jvp(f, &x, &x.ones_like()).unwrap();
    let _guard = autocast(DType::BF16);
    let (y, tangent) = wgrad::func::jvp(f, &x, &x.ones_like()).unwrap();
    assert_eq!((y.dtype(), tangent.dtype()), (DType::F32, DType::F32));
    assert!(far(&tangent, &expected) < 0.05, "{tangent} and {expected}");
}

#[test]
fn narrow_training_comes_as_far_as_wide_training() {
    for dev in own_devices() {
        for dtype in NARROW {
            let train = |dtype: Option<DType>| -> Result<f64> {
                dev.manual_seed(1);
                let net = Sequential::new()
                    .then(Linear::new(8, 32, &dev))
                    .then(Gelu::default())
                    .then(Linear::new(32, 4, &dev));
                let x = Tensor::randn([64, 8], &dev);
                let t = x.narrow(1, 0, 4).argmax(1, false);
                let mut adam = Adam::new(&net.parameters(), 0.01);
                let mut scaler = GradScaler::new(&dev, GradScalerOptions::default());
                let mut last = 0.0;
                for step in 0..40 {
                    adam.zero_grad();
                    let loss = {
                        let _guard = dtype.map(autocast);
                        net.forward(&x).cross_entropy(&t)
                    };
                    scaler.scale(&loss).backward()?;
                    scaler.step(&mut adam)?;
                    scaler.update()?;
                    if step == 39 {
                        last = loss.item()?;
                    }
                }
                assert_eq!(adam.skipped_steps()?, 0);
                Ok(last)
            };
            let (wide, narrow) = (train(None).unwrap(), train(Some(dtype)).unwrap());
            assert!(wide < 0.5 && (narrow - wide).abs() < 0.05 * wide, "{dtype}: {narrow} and {wide}");
        }
    }
}
