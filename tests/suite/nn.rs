//! What PyTorch's own numbers do not cover of normalisation, losses, attention, recurrence and dropout: values against
//! plain loops, narrow floats, random masks, running statistics.

use crate::common::{devices, gpu, own_devices};
use wgrad::autograd::{GradOptions, grad};
use wgrad::testing::open_gpu;
use wgrad::*;

/// Numbers between -2 and 2.
fn numbers(n: usize, stream: u64) -> Vec<f64> {
    let s = wgrad::random::Stream { seed: 17, stream };
    (0..n).map(|i| (4.0 * s.uniform(i) - 2.0) as f32 as f64).collect()
}

fn close(got: &Tensor, want: &[f64]) {
    let got = got.cast(DType::F32).to_vec::<f32>().unwrap();
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((*got as f64 - want).abs() <= 1e-5 * (1.0 + want.abs()), "{got} instead of {want}");
    }
}

#[test]
fn losses_of_pairs_and_classes_are_their_formulas() {
    let (n, m) = (3, 4);
    let (x, y, z) = (numbers(n * m, 0), numbers(n * m, 1), numbers(n * m, 2));
    let at = |x: &[f64], i: usize, j: usize| x[i * m + j];
    let (classes, signs) = ([2usize, 0, 3], [1.0, -1.0, 1.0]);
    let weights = [0.5, 2.0, 1.0, 1.5];
    let multi_margin: Vec<f64> = (0..n)
        .map(|i| {
            let t = classes[i];
            let term = |j: usize| (0.8 - at(&x, i, t) + at(&x, i, j)).max(0.0).powi(2);
            weights[t] * (0..m).filter(|&j| j != t).map(term).sum::<f64>() / m as f64
        })
        .collect();
    let lists: [&[usize]; 3] = [&[3, 1], &[], &[0, 1, 2, 3]];
    let multilabel_margin: Vec<f64> = (0..n)
        .map(|i| {
            let others = (0..m).filter(|j| !lists[i].contains(j)).collect::<Vec<_>>();
            let term = |t: usize| others.iter().map(|&j| (1.0 - at(&x, i, t) + at(&x, i, j)).max(0.0)).sum::<f64>();
            lists[i].iter().map(|&t| term(t)).sum::<f64>() / m as f64
        })
        .collect();
    let ranking: Vec<f64> = (0..n).map(|i| (0.3 - signs[i] * (x[i] - y[i])).max(0.0)).collect();
    let dot = |a: &[f64], b: &[f64], i: usize| (0..m).map(|j| at(a, i, j) * at(b, i, j)).sum::<f64>();
    let cosine: Vec<f64> = (0..n)
        .map(|i| {
            let cos = dot(&x, &y, i) / (dot(&x, &x, i) * dot(&y, &y, i)).sqrt();
            if signs[i] > 0.0 { 1.0 - cos } else { (cos + 0.5).max(0.0) }
        })
        .collect();
    let distance =
        |a: &[f64], b: &[f64], i: usize| (0..m).map(|j| (at(a, i, j) - at(b, i, j) + 1e-6).powi(2)).sum::<f64>().sqrt();
    let triplet: Vec<f64> =
        (0..n).map(|i| (distance(&x, &y, i) - distance(&x, &z, i).min(distance(&y, &z, i)) + 1.0).max(0.0)).collect();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let soft: Vec<f64> = (0..n)
        .map(|i| {
            let t = |j: usize| (j % 2) as f64;
            let term = |j: usize| {
                let p = sigmoid(at(&x, i, j));
                -weights[j] * (t(j) * p.ln() + (1.0 - t(j)) * (1.0 - p).ln())
            };
            (0..m).map(term).sum::<f64>() / m as f64
        })
        .collect();
    for dev in devices() {
        let tensor = |x: &[f64]| Tensor::from_slice(x, [n, m], &dev);
        let (a, b, c) = (tensor(&x), tensor(&y), tensor(&z));
        let t = Tensor::new(classes, &dev);
        let s = Tensor::new(signs, &dev);
        let options = MultiMarginOptions {
            p: 2,
            margin: 0.8,
            weight: Some(Tensor::new(weights, &dev)),
            reduction: Reduction::None,
        };
        close(&a.multi_margin_loss(&t, options), &multi_margin);
        let labels = Tensor::new([[3, 1, -1, 2], [-1, 0, 0, 0], [0, 1, 2, 3]], &dev);
        close(&a.multilabel_margin_loss(&labels, Reduction::None), &multilabel_margin);
        let (first, second) = (a.reshape(-1).narrow(0, 0, n), b.reshape(-1).narrow(0, 0, n));
        close(&first.margin_ranking_loss(&second, &s, 0.3, Reduction::None), &ranking);
        close(&a.cosine_embedding_loss(&b, &s, -0.5, Reduction::None), &cosine);
        let options = TripletOptions { swap: true, reduction: Reduction::None, ..Default::default() };
        close(&a.triplet_margin_loss(&b, &c, options), &triplet);
        let every_other = Tensor::new([0.0, 1.0, 0.0, 1.0], &dev);
        let weight = Tensor::new(weights, &dev);
        close(&a.multilabel_soft_margin_loss(&every_other, Some(&weight), Reduction::None), &soft);
        // One score and one list are batches of their own.
        let one = Tensor::new(0.5, &dev);
        assert_eq!(one.multi_margin_loss(&Tensor::new(0, &dev), Default::default()).item().unwrap(), 0.0);
        assert_eq!(one.multilabel_margin_loss(&Tensor::new(0, &dev), Reduction::Mean).item().unwrap(), 0.0);
        let labels = Tensor::new([3, 1, -1, 2], &dev);
        close(&a.select(0, 0).multilabel_margin_loss(&labels, Reduction::None), &multilabel_margin[..1]);
        // The sum over a batch of three, divided by three.
        let total: f64 = triplet.iter().sum::<f64>() / 3.0;
        let options = TripletOptions { swap: true, reduction: Reduction::BatchMean, ..Default::default() };
        close(&a.triplet_margin_loss(&b, &c, options), &[total]);
    }
}

#[test]
fn likelihoods_are_their_formulas() {
    let (x, t) = ([0.3, -1.0, 0.5], [0.0, 1.0, 6.0]);
    let stirling = |t: f64| if t > 1.0 { t * t.ln() - t + 0.5 * (std::f64::consts::TAU * t).ln() } else { 0.0 };
    let poisson: Vec<f64> = (0..3).map(|i| f64::exp(x[i]) - t[i] * x[i] + stirling(t[i])).collect();
    let (v, eps) = ([0.5f64, 1e-9, 2.0], 1e-2);
    let gaussian: Vec<f64> = (0..3)
        .map(|i| {
            let v = v[i].max(eps);
            0.5 * (v.ln() + (x[i] - t[i]).powi(2) / v + std::f64::consts::TAU.ln())
        })
        .collect();
    for dev in devices() {
        let (x, t, v) =
            (Tensor::new(x, &dev), Tensor::new(t, &dev), Tensor::new(v, &dev).requires_grad_(true).unwrap());
        let options = PoissonNllOptions { full: true, reduction: Reduction::None, ..Default::default() };
        close(&x.poisson_nll_loss(&t, options), &poisson);
        let y = x.gaussian_nll_loss(&t, &v, GaussianNllOptions { full: true, eps, reduction: Reduction::None });
        close(&y, &gaussian);
        // The derivative is taken at the raised variance, and passes through.
        y.sum().backward().unwrap();
        let slope = v.grad().unwrap().to_vec::<f32>().unwrap()[1] as f64;
        let wanted = 0.5 * (1.0 / eps - 4.0 / (eps * eps));
        assert!((slope / wanted - 1.0).abs() < 1e-5, "{slope} instead of {wanted}");
    }
}

/// The labels that a way of reading stands for.
fn collapsed(way: &[usize], blank: usize) -> Vec<usize> {
    let mut labels = Vec::new();
    for (t, &class) in way.iter().enumerate() {
        if class != blank && (t == 0 || way[t - 1] != class) {
            labels.push(class);
        }
    }
    labels
}

#[test]
fn ctc_sums_every_way_of_reading() {
    let (steps, classes, blank) = (4usize, 3usize, 1usize);
    let targets: [&[usize]; 5] = [&[0, 2], &[2, 2], &[], &[0, 0, 0], &[0]];
    let inputs = [4usize, 3, 4, 4, 2];
    let n = targets.len();
    let x: Vec<f64> = numbers(steps * n * classes, 60).iter().map(|x| 0.5 * x - 1.5).collect();
    let want: Vec<f64> = (0..n)
        .map(|i| {
            let ways = (0..classes.pow(inputs[i] as u32))
                .map(|k| (0..inputs[i]).map(|t| k / classes.pow(t as u32) % classes).collect::<Vec<_>>());
            let likely = |way: Vec<usize>| (0..way.len()).map(|t| x[(t * n + i) * classes + way[t]]).sum::<f64>().exp();
            -ways.filter(|way| collapsed(way, blank) == targets[i]).map(likely).sum::<f64>().ln()
        })
        .collect();
    assert!(want[3].is_infinite(), "three equal labels need five steps");
    let lengths: Vec<usize> = targets.iter().map(|t| t.len()).collect();
    let padded: Vec<i32> = targets.iter().flat_map(|t| (0..3).map(|j| t.get(j).map_or(7, |&c| c as i32))).collect();
    let joined: Vec<i32> = targets.iter().flat_map(|t| t.iter().map(|&c| c as i32)).collect();
    for dev in devices() {
        let x = Tensor::from_slice(&x, [steps, n, classes], &dev).requires_grad_(true).unwrap();
        let options = CtcOptions { blank, reduction: Reduction::None, zero_infinity: false };
        for t in [Tensor::from_slice(&padded, [n, 3], &dev), Tensor::new(joined.clone(), &dev)] {
            let y = x.ctc_loss(&t, &inputs, &lengths, options);
            assert_eq!(y.to_vec::<f32>().unwrap()[3], f32::INFINITY);
            let finite = x.ctc_loss(&t, &inputs, &lengths, CtcOptions { zero_infinity: true, ..options });
            let wanted: Vec<f64> = want.iter().map(|&x| if x.is_finite() { x } else { 0.0 }).collect();
            close(&finite, &wanted);
            let mean = CtcOptions { zero_infinity: true, reduction: Reduction::Mean, ..options };
            let share = |i: usize| wanted[i] / lengths[i].max(1) as f64;
            close(&x.ctc_loss(&t, &inputs, &lengths, mean), &[(0..n).map(share).sum::<f64>() / n as f64]);
            let one = x.select(1, 0).ctc_loss(&Tensor::new([0, 2], &dev), &inputs[..1], &[2], options);
            assert_eq!(one.shape(), [0; 0]);
            close(&one, &want[..1]);
            // What is impossible, and what lies beyond an input, has no gradient.
            let g = grad(&[&finite.sum()], &[&x], Default::default()).unwrap()[0].clone().unwrap();
            assert_eq!(g.select(1, 3).abs().sum().item().unwrap(), 0.0);
            assert_eq!(g.select(1, 4).narrow(0, 2, 2).abs().sum().item().unwrap(), 0.0);
            // Each step of a possible one has the probability 1.
            close(&g.select(1, 0).sum_dim(1, false), &[-1.0; 4]);
        }
        let nothing = x.ctc_loss(&Tensor::new([0], &dev), &[0; 5], &[0, 0, 0, 0, 1], options);
        let inf = f32::INFINITY;
        assert_eq!(nothing.to_vec::<f32>().unwrap(), [0.0, 0.0, 0.0, 0.0, inf]);
    }
}

#[test]
fn narrow_floats_are_rounded_once() {
    for dev in devices() {
        let x = Tensor::from_slice(&numbers(12, 3), [3, 4], &dev);
        let t = Tensor::from_slice(&numbers(12, 4), [3, 4], &dev);
        let w = Tensor::from_slice(&numbers(4, 5), [4], &dev);
        let classes = Tensor::new([1, 3, 0], &dev);
        for dtype in [DType::F16, DType::BF16] {
            let all: Vec<Box<dyn Fn(DType) -> Tensor>> = vec![
                Box::new(|d| x.cast(dtype).cast(d).softmax(1)),
                Box::new(|d| x.cast(dtype).cast(d).log_softmax(0)),
                Box::new(|d| x.cast(dtype).cast(d).layer_norm(4, Some(&w.cast(dtype).cast(d)), None, 1e-5)),
                Box::new(|d| x.cast(dtype).cast(d).rms_norm(4, None, 1e-5)),
                Box::new(|d| x.cast(dtype).cast(d).huber_loss(&t.cast(dtype).cast(d), 0.5, Reduction::Sum)),
                Box::new(|d| x.cast(dtype).cast(d).cross_entropy(&classes)),
                Box::new(|d| {
                    let (x, t) = (x.cast(dtype).cast(d), t.cast(dtype).cast(d));
                    x.scaled_dot_product_attention(&t, &t, Default::default())
                }),
            ];
            for (i, f) in all.iter().enumerate() {
                let (narrow, wide) = (f(dtype), f(DType::F32).cast(dtype));
                assert_eq!(narrow.dtype(), dtype);
                let bits = |x: &Tensor| x.cast(DType::F32).to_vec::<f32>().unwrap();
                assert_eq!(bits(&narrow), bits(&wide), "expression {i} in {dtype} on {}", dev.name());
            }
        }
    }
}

#[test]
fn running_statistics_follow_the_batches() {
    for dev in devices() {
        let (mean, var) = (Tensor::zeros([2], &dev), Tensor::zeros([2], &dev));
        let batches: Vec<Tensor> = (0..3).map(|k| Tensor::from_slice(&numbers(16, 10 + k), [4, 2, 2], &dev)).collect();
        for (k, batch) in batches.iter().enumerate() {
            // A momentum of 1/n makes averages.
            let options = BatchNormOptions {
                running_mean: Some(mean.clone()),
                running_var: Some(var.clone()),
                training: true,
                momentum: (1.0 / (k + 1) as f64).into(),
                ..Default::default()
            };
            batch.batch_norm(options);
        }
        let average = |f: &dyn Fn(&Tensor) -> Tensor| {
            let sum = batches.iter().map(f).reduce(|a, b| a + b).unwrap() / 3.0;
            sum.to_vec::<f32>().unwrap().iter().map(|&x| x as f64).collect::<Vec<_>>()
        };
        close(&mean, &average(&|x| x.mean_dim([0, 2], false)));
        close(&var, &average(&|x| x.var_dim([0, 2], 1.0, false)));
        // Without training they are used and stay.
        let version = mean.version();
        let options =
            BatchNormOptions { running_mean: Some(mean.clone()), running_var: Some(var.clone()), ..Default::default() };
        let y = batches[0].instance_norm_with(options.clone());
        assert_eq!(y.to_vec::<f32>().unwrap(), batches[0].batch_norm(options).to_vec::<f32>().unwrap());
        assert_eq!(mean.version(), version);
        // Each sample's own statistics, averaged over the batch.
        let (mean, var) = (Tensor::zeros([2], &dev), Tensor::zeros([2], &dev));
        let options = BatchNormOptions {
            running_mean: Some(mean.clone()),
            running_var: Some(var.clone()),
            training: true,
            momentum: 1.0.into(),
            ..Default::default()
        };
        let y = batches[0].instance_norm_with(options);
        close(
            &y,
            &batches[0].instance_norm(1e-5).to_vec::<f32>().unwrap().iter().map(|&x| x as f64).collect::<Vec<_>>(),
        );
        let read = |x: Tensor| x.to_vec::<f32>().unwrap().iter().map(|&x| x as f64).collect::<Vec<_>>();
        close(&mean, &read(batches[0].mean_dim([0, 2], false)));
        close(&var, &read(batches[0].var_dim(2, 1.0, false).mean_dim(0, false)));
        let empty = Tensor::zeros([0, 2], &dev);
        let options = BatchNormOptions { running_mean: Some(mean), training: true, ..Default::default() };
        assert_eq!(empty.batch_norm(options).shape(), [0, 2]);
    }
}

#[test]
fn channels_respond_to_their_neighbours() {
    let x = numbers(2 * 5 * 3, 6);
    let (size, alpha, beta, k) = (4usize, 0.5, 0.75, 2.0);
    let at = |n: usize, c: usize, i: usize| x[(n * 5 + c) * 3 + i];
    let want: Vec<f64> = (0..30)
        .map(|e| {
            let (n, c, i) = (e / 15, e / 3 % 5, e % 3);
            let window = (c as isize - (size / 2) as isize)..=(c + (size - 1) / 2) as isize;
            let sum: f64 = window.filter(|c| (0..5).contains(c)).map(|c| at(n, c as usize, i).powi(2)).sum();
            at(n, c, i) / (k + alpha * sum / size as f64).powf(beta)
        })
        .collect();
    for dev in devices() {
        close(&Tensor::from_slice(&x, [2, 5, 3], &dev).local_response_norm(size, alpha, beta, k), &want);
        let y = Tensor::new([[3.0, 4.0], [0.3, 0.4]], &dev).renorm(2.0, 0, 1.0);
        close(&y, &[0.6, 0.8, 0.3, 0.4]);
        let (a, b) = (Tensor::new([[1.0, 2.0]], &dev), Tensor::new([[3.0, 5.0]], &dev));
        let w = Tensor::new([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]], &dev);
        close(&a.bilinear(&b, &w, None), &[13.0, 5.0]);
    }
}

#[test]
fn grouped_queries_share_their_keys() {
    for dev in devices() {
        let tensor =
            |shape: &[usize], stream| Tensor::from_slice(&numbers(shape.iter().product(), stream), shape, &dev);
        let (q, k, v) = (tensor(&[2, 6, 3, 4], 20), tensor(&[2, 2, 5, 4], 21), tensor(&[2, 2, 5, 4], 22));
        let mask = tensor(&[6, 3, 5], 23).gt(-1.0);
        let grouped = AttentionOptions { mask: Some(mask.clone()), enable_gqa: true, ..Default::default() };
        let y = q.scaled_dot_product_attention(&k, &v, grouped);
        for head in 0..6 {
            let one = |x: &Tensor, head: isize| x.select(1, head);
            let options = AttentionOptions { mask: Some(mask.select(0, head)), ..Default::default() };
            let (k, v) = (one(&k, head / 3), one(&v, head / 3));
            let want = one(&q, head).scaled_dot_product_attention(&k, &v, options);
            let want: Vec<f64> = want.to_vec::<f32>().unwrap().iter().map(|&x| x as f64).collect();
            close(&one(&y, head), &want);
        }
    }
}

#[test]
fn a_sequence_without_a_batch_is_a_batch_of_one() {
    for dev in devices() {
        let tensor =
            |shape: &[usize], stream| Tensor::from_slice(&numbers(shape.iter().product(), stream), shape, &dev);
        let (x, h, c) = (tensor(&[4, 3], 30), tensor(&[2, 2], 31), tensor(&[2, 2], 32));
        let weights: Vec<Tensor> =
            [[8, 3], [8, 2], [8, 2], [8, 2]].iter().zip(33..).map(|(shape, s)| tensor(shape, s)).collect();
        let options = RnnOptions { bias: false, num_layers: 2, ..Default::default() };
        let (y, (h1, c1)) = x.lstm((&h, &c), &weights, options);
        let (z, (h2, c2)) = x.unsqueeze(1).lstm((&h.unsqueeze(1), &c.unsqueeze(1)), &weights, options);
        assert_eq!((y.shape(), h1.shape(), c1.shape()), (&[4, 2][..], &[2, 2][..], &[2, 2][..]));
        for (a, b) in [(y, z), (h1, h2), (c1, c2)] {
            assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
        }
        // What is dropped between layers in training is all of it: the second layer sees zeros.
        let options = RnnOptions { dropout: 1.0, training: true, ..options };
        let (y, _) = x.lstm((&h, &c), &weights, options);
        let second = RnnOptions { bias: false, ..Default::default() };
        let (z, _) = Tensor::zeros([4, 2], &dev).lstm((&h.narrow(0, 1, 1), &c.narrow(0, 1, 1)), &weights[2..], second);
        assert_eq!(y.to_vec::<f32>().unwrap(), z.to_vec::<f32>().unwrap());
    }
}

#[test]
fn a_projected_state_is_the_result_times_a_matrix() {
    for dev in devices() {
        let tensor =
            |shape: &[usize], stream| Tensor::from_slice(&numbers(shape.iter().product(), stream), shape, &dev);
        let (x, h, c) = (tensor(&[1, 2, 3], 50), tensor(&[1, 2, 2], 51), tensor(&[1, 2, 4], 52));
        let weights = [tensor(&[16, 3], 53), tensor(&[16, 2], 54), tensor(&[2, 4], 55)];
        let options = RnnOptions { bias: false, ..Default::default() };
        let (y, (_, c1)) = x.lstm((&h, &c), &weights, options);
        // A state's part of the gates is what a wider state gives that is 0 beyond it.
        let wide = |x: &Tensor, dim: isize| {
            let mut rest = x.shape().to_vec();
            rest[x.rank() - 1] = 2;
            Tensor::cat(&[x.clone(), Tensor::zeros(rest, &dev)], dim)
        };
        let (h2, c2) = x.select(0, 0).lstm_cell(
            (&wide(&h.select(0, 0), 1), &c.select(0, 0)),
            &weights[0],
            &wide(&weights[1], 1),
            None,
        );
        let read = |x: &Tensor| x.to_vec::<f32>().unwrap().iter().map(|&x| x as f64).collect::<Vec<_>>();
        close(&y, &read(&h2.linear(&weights[2], None)));
        close(&c1, &read(&c2));
    }
}

/// Every kind of dropout, with the shape of its mask for an input of `[2, 3, 4, 5]`.
type Drop = fn(&Tensor) -> Tensor;
const DROPS: [(Drop, [usize; 4]); 4] = [
    (|x| x.dropout(0.4, true), [2, 3, 4, 5]),
    (|x| x.dropout2d(0.4, true), [2, 3, 1, 1]),
    (|x| x.alpha_dropout(0.4, true), [2, 3, 4, 5]),
    (|x| x.feature_alpha_dropout(0.4, true), [2, 3, 1, 1]),
];

#[test]
fn backward_makes_the_mask_of_forward_again() {
    for dev in own_devices() {
        // Of six channels, all may be kept by chance; by this seed, some are and some are not.
        dev.manual_seed(5);
        for dtype in [DType::F32, DType::F16] {
            for (drop, _) in DROPS {
                let x = Tensor::ones([2, 3, 5, 4], (&dev, dtype)).requires_grad_(true).unwrap();
                let u: Vec<f64> = numbers(120, 40).iter().map(|u| u + 3.0).collect();
                let u = Tensor::from_slice(&u, [2, 3, 4, 5], (&dev, dtype)).requires_grad_(true).unwrap();
                let y = drop(&x.transpose(2, 3));
                let grad_outputs = vec![Some(u.clone())];
                let g = grad(&[&y], &[&x], GradOptions { grad_outputs, create_graph: true, ..Default::default() });
                let g = g.unwrap()[0].clone().unwrap().transpose(2, 3);
                let read = |x: &Tensor| x.cast(DType::F32).to_vec::<f32>().unwrap();
                // What is kept of ones is the larger of two values.
                let values = read(&y);
                let largest = |x: &[f32]| x.iter().copied().fold(f32::MIN, f32::max);
                let kept: Vec<bool> = values.iter().map(|&y| y == largest(&values)).collect();
                assert!(kept.contains(&true) && kept.contains(&false));
                let slopes: Vec<f32> = read(&g).iter().zip(read(&u)).map(|(g, u)| g / u).collect();
                for (slope, kept) in slopes.iter().zip(&kept) {
                    let wanted = if *kept { largest(&slopes) } else { 0.0 };
                    assert!((slope - wanted).abs() < 3e-3, "{slope} instead of {wanted} on {}", dev.name());
                }
                // The gradient is linear in `u`, by the same mask.
                let second = grad(&[&g.sum()], &[&u], Default::default()).unwrap()[0].clone().unwrap();
                assert!(read(&second).iter().zip(&kept).all(|(s, kept)| (*s != 0.0) == *kept));
            }
        }
    }
}

#[test]
fn masks_cover_elements_or_channels_as_often_as_asked() {
    for dev in devices() {
        for (drop, mask) in DROPS {
            let y = drop(&Tensor::ones([2, 3, 4, 5], &dev));
            // Within one place of the mask all elements are alike.
            let dims: Vec<usize> = (0..4).filter(|&d| mask[d] == 1).collect();
            if !dims.is_empty() {
                let (least, most) = (y.amin(&dims, false), y.amax(&dims, false));
                assert_eq!(least.to_vec::<f32>().unwrap(), most.to_vec::<f32>().unwrap());
            }
        }
        let x = Tensor::randn([100_000], &dev);
        let share = x.ones_like().dropout(0.3, true).eq(0.0).sum().item().unwrap() / 1e5;
        assert!((share - 0.3).abs() < 0.01, "{share}");
        // Alpha dropout keeps mean and variance of a standard normal input.
        let y = x.alpha_dropout(0.3, true);
        assert!(y.mean().item().unwrap().abs() < 0.02 && (y.var(1.0).item().unwrap() - 1.0).abs() < 0.02);
        assert_eq!(x.dropout(1.0, true).abs().max().item().unwrap(), 0.0);
        assert!(x.dropout(0.5, false).is_same(&x) || x.dropout(0.5, false).shares_storage(&x));
        assert_eq!(Tensor::ones([3, 4], &dev).dropout1d(0.5, true).shape(), [3, 4]);
        assert_eq!(Tensor::ones([3, 4, 2, 2], &dev).dropout3d(0.5, true).shape(), [3, 4, 2, 2]);
    }
}

#[test]
fn no_mask_is_kept() {
    let Some(dev) = gpu().map(|_| open_gpu(true, false, None).unwrap()) else { return };
    let n = 1 << 20;
    let x = Tensor::ones([n], &dev).copy().requires_grad_(true).unwrap();
    dev.sync().unwrap();
    let before = dev.stats().bytes;
    let y = x.dropout(0.5, true).sum();
    y.item().unwrap();
    let forward = dev.stats().bytes - before;
    y.backward().unwrap();
    let g = x.grad().unwrap();
    dev.sync().unwrap();
    let backward = dev.stats().bytes - before;
    // Forward has room for the result before it is summed, and backward for the gradient.
    assert!(forward < 5 * n as u64, "{forward} bytes for {n} elements");
    assert!(backward < 9 * n as u64, "{backward} bytes for {n} elements and their gradient");
    assert_eq!(g.sum().item().unwrap(), y.item().unwrap());
}

#[test]
fn a_product_with_a_summand_is_recorded_where_it_was_called() {
    for dev in devices() {
        let x = Tensor::ones([2, 2], &dev).requires_grad_(true).unwrap();
        let y = x.linear(&x, Some(&Tensor::ones([2], &dev))).addmm(&x, &x, 1.0, 1.0).sum();
        y.backward().unwrap();
        let text = y.backward().unwrap_err().to_string();
        assert!(text.contains(&format!("MmBackward0 (recorded at {}", file!())), "{text}");
    }
}
