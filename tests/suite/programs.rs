//! Random programs: views, pointwise chains, reductions, products and writes in any order, forward and backward, on every
//! device against the CPU. `./test --long` runs many more.

use crate::common::devices;
use wgrad::random::Stream;
use wgrad::{Device, Tensor};

/// Choices that a seed determines.
struct Choices {
    stream: Stream,
    at: usize,
}

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.at += 1;
        self.stream.bits(self.at) as usize % n
    }
}

/// A program's leaves and a result of all its values; every step keeps values bounded, so that errors do not grow.
fn program(seed: u64, dev: &Device) -> (Vec<Tensor>, Tensor) {
    let mut choose = Choices { stream: Stream { seed, stream: 0 }, at: 0 };
    let leaves: Vec<Tensor> = (0..3)
        .map(|k| {
            let shape: Vec<usize> = (0..choose.below(4)).map(|_| 1 + choose.below(4)).collect();
            let s = Stream { seed, stream: 1 + k };
            let x: Vec<f64> = (0..shape.iter().product()).map(|i| 2.0 * s.uniform(i) - 1.0).collect();
            Tensor::from_slice(&x, shape, dev).requires_grad_(true).unwrap()
        })
        .collect();
    let mut values = leaves.clone();
    for _ in 0..6 + choose.below(20) {
        let a = values[choose.below(values.len())].clone();
        let b = values[choose.below(values.len())].clone();
        let dim = choose.below(a.rank().max(1)) as isize;
        let y = match choose.below(16) {
            0 => a.tanh(),
            1 => a.sin() * 0.5,
            2 => a.sigmoid() - 0.5,
            3 => (&a * 2.0).exp().sin(),
            4 | 5 => wgrad::catch(|| (&a + &b) * 0.5).unwrap_or_else(|_| a.relu()),
            6 => wgrad::catch(|| &a * &b).unwrap_or_else(|_| a.abs()),
            7 if a.rank() > 0 => a.transpose(0, dim),
            8 if a.rank() > 0 => a.flip(dim),
            9 if a.rank() > 0 => a.slice(dim, choose.below(2) as isize, None, 1 + choose.below(2)),
            10 => a.reshape(-1),
            11 if a.rank() > 0 && a.size(dim) > 0 => a.mean_dim(dim, choose.below(2) == 0),
            12 if a.rank() > 0 && a.size(dim) > 0 => a.softmax(dim),
            13 if a.rank() == 2 => a.matmul(&a.t()).tanh(),
            14 if a.rank() > 0 && a.numel() > 0 => {
                let y = a.copy();
                y.slice(dim, None, 1, 1).mul_(0.5).unwrap();
                y
            }
            15 => Tensor::where_(&a.gt(0.1), a.cos() * 0.5, &a),
            _ => a.unsqueeze(0).expand([2].iter().chain(a.shape()).copied().collect::<Vec<usize>>()),
        };
        if y.numel() <= 512 {
            values.push(y);
        }
    }
    let flat: Vec<Tensor> = values.iter().map(|x| x.reshape(-1)).collect();
    (leaves, Tensor::cat(&flat, 0))
}

fn results(seed: u64, dev: &Device) -> Vec<f32> {
    let (leaves, y) = program(seed, dev);
    (&y * &y).sum().backward().unwrap();
    let mut all = y.to_vec::<f32>().unwrap_or_else(|error| panic!("program {seed}: {error}"));
    for leaf in leaves {
        all.extend(leaf.grad().map(|g| g.to_vec::<f32>().unwrap()).unwrap_or_default());
    }
    all
}

#[test]
fn random_programs_agree_with_the_cpu() {
    let programs = if std::env::var_os("WGRAD_LONG").is_some() { 2000 } else { 40 };
    for seed in 0..programs {
        let want = results(seed, &Device::cpu());
        for dev in devices().into_iter().filter(|dev| *dev != Device::cpu()) {
            let got = results(seed, &dev);
            assert_eq!(got.len(), want.len());
            let wrong = got.iter().zip(&want).position(|(a, b)| (a - b).abs() > 1e-4 * (1.0 + b.abs()));
            if let Some(i) = wrong {
                panic!("program {seed} on {}: element {i} is {}, the CPU has {}", dev.name(), got[i], want[i]);
            }
        }
    }
}
