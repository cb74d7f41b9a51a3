//! Random tensors: their moments, that all devices draw the same, and that filling in place tells the graph.

use crate::common::{on_every_device, own_devices};
use wgrad::{DType, Device, Result, Tensor};

type Draw = fn(&Device) -> Tensor;

/// Each distribution with its mean and standard deviation; the Cauchy distribution, which has none, with the median of
/// its signs and a share of large numbers.
const DRAWS: &[(&str, Draw, f64, f64)] = &[
    ("uniform", |dev| Tensor::uniform(-1.0, 3.0, [N], dev), 1.0, 1.1547),
    ("normal", |dev| Tensor::normal(2.0, 0.5, [N], dev), 2.0, 0.5),
    ("log_normal", |dev| Tensor::log_normal(0.0, 0.25, [N], dev), 1.03174, 0.26202),
    ("exponential", |dev| Tensor::exponential(2.0, [N], dev), 0.5, 0.5),
    ("cauchy", |dev| Tensor::cauchy(1.0, 2.0, [N], dev).gt(1.0).cast(DType::F32), 0.5, 0.5),
    ("cauchy", |dev| Tensor::cauchy(0.0, 1.0, [N], dev).abs().gt(1.0).cast(DType::F32), 0.5, 0.5),
    ("geometric", |dev| Tensor::geometric(0.25, [N], dev), 4.0, 3.4641),
    ("bernoulli", |dev| Tensor::full([N], 0.3, dev).bernoulli(), 0.3, 0.45826),
    ("trunc_normal", |dev| Tensor::trunc_normal(0.0, 1.0, -1.0, 2.0, [N], dev), 0.22964, 0.72095),
    ("multinomial", |dev| Tensor::new([1.0, 0.0, 2.0, 1.0], dev).multinomial(N, true).cast(DType::F32), 1.75, 1.08972),
    ("normal_around", |dev| Tensor::full([N], 3.0, dev).normal_around(0.5), 3.0, 0.5),
    ("randint", |dev| Tensor::randint(-3, 4, [N], (dev, DType::F32)), 0.0, 2.0),
    ("narrow", |dev| Tensor::rand([N], (dev, DType::BF16)).cast(DType::F32), 0.498, 0.28868),
];

const N: usize = 20000;

#[test]
fn distributions_have_their_moments_on_every_device() {
    for (name, draw, mean, std) in DRAWS {
        let mut first: Option<Vec<f32>> = None;
        for dev in own_devices() {
            dev.manual_seed(17);
            let x = draw(&dev).to_vec::<f32>().unwrap();
            let got = x.iter().map(|&x| x as f64).sum::<f64>() / N as f64;
            let spread = (x.iter().map(|&x| (x as f64 - got).powi(2)).sum::<f64>() / N as f64).sqrt();
            // Four standard errors of the mean, and five hundredths of the deviation.
            assert!((got - mean).abs() < 4.0 * std / (N as f64).sqrt(), "{name}: mean {got} instead of {mean}");
            assert!((spread - std).abs() < 0.05 * std, "{name}: deviation {spread} instead of {std}");
            let want = &*first.get_or_insert_with(|| x.clone());
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * b.abs().max(1.0);
            // A step of a step function may fall the other way, where a device rounds otherwise.
            let other = x.iter().zip(want).filter(|&pair| !close(pair)).count();
            assert!(other <= 2, "{name}: {other} numbers on {} are others than on the CPU", dev.name());
        }
    }
}

#[test]
fn places_are_drawn_once_without_replacement() {
    on_every_device(|dev| {
        let weights = Tensor::new([[1.0, 2.0, 0.0, 4.0], [1.0, 1.0, 1.0, 1.0]], dev);
        dev.manual_seed(3);
        for _ in 0..20 {
            let drawn = weights.multinomial(3, false);
            let mut rows: Vec<Vec<i32>> = drawn.to_vec::<i32>()?.chunks(3).map(<[i32]>::to_vec).collect();
            rows.iter_mut().for_each(|row| row.sort());
            assert_eq!(rows[0], [0, 1, 3], "a place without weight comes last");
            assert!(rows[1].windows(2).all(|w| w[0] < w[1]));
        }
        Ok(())
    });
}

#[test]
fn narrow_uniform_numbers_stay_below_their_bound() {
    on_every_device(|dev| {
        for dtype in [DType::F16, DType::BF16] {
            assert!(Tensor::rand([N], (dev, dtype)).max().item()? < 1.0);
        }
        Ok(())
    });
}

#[test]
fn uniform_numbers_stay_below_their_end() {
    for dev in own_devices() {
        // Few numbers lie between the bounds, so that many would be rounded up to the end.
        for (dtype, low, high) in [
            (DType::F32, 1000.0, 1000.0001),
            (DType::F16, 0.0, 1.0),
            (DType::BF16, -1.0, 1.0),
            (DType::BF16, 128.0, 130.0),
        ] {
            let x = Tensor::uniform(low, high, [N], (&dev, dtype));
            let within = x.ge(low).logical_and(x.lt(high)).all().item().unwrap();
            assert!(within == 1.0, "{dtype} from {low} to {high} on {}", dev.name());
        }
        assert_eq!(Tensor::uniform(3.0, 3.0, [2], &dev).to_vec::<f32>().unwrap(), [3.0; 2]);
    }
}

#[test]
fn rare_successes_take_long() {
    for dev in own_devices() {
        dev.manual_seed(17);
        let mean = Tensor::geometric(1e-20, [N], &dev).mean().item().unwrap();
        assert!((mean * 1e-20 - 1.0).abs() < 0.05, "{mean}");
    }
}

#[test]
fn filling_in_place_ends_the_gradient() {
    let fills: [fn(&Tensor) -> Result<&Tensor>; 10] = [
        |x| x.uniform_(0.0, 1.0),
        |x| x.normal_(0.0, 1.0),
        |x| x.log_normal_(0.0, 1.0),
        |x| x.exponential_(1.0),
        |x| x.cauchy_(0.0, 1.0),
        |x| x.geometric_(0.5),
        |x| x.trunc_normal_(0.0, 1.0, -2.0, 2.0),
        |x| x.bernoulli_(0.5),
        |x| x.bernoulli_(x.detach()),
        |x| x.random_(0, 9),
    ];
    on_every_device(|dev| {
        for fill in fills {
            let x = Tensor::ones([3], dev).requires_grad_(true)?;
            let y = &x * 2.0;
            fill(&y.narrow(0, 1, 2))?;
            (&y * 3.0).sum().backward()?;
            assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [6.0, 0.0, 0.0]);
        }
        let p = Tensor::full([2], 0.5, dev).requires_grad_(true)?;
        (&p + p.bernoulli()).sum().backward()?;
        assert_eq!(p.grad().unwrap().to_vec::<f32>()?, [1.0, 1.0]);
        Ok(())
    });
}
