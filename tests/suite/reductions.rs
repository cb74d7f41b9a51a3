//! What reductions and scans promise beyond their derivatives: accuracy over long lines, special values, narrow types.

use crate::common::on_every_device;
use wgrad::random::Stream;
use wgrad::{DType, Interpolation, Tensor};

fn uniform(n: usize, low: f64, high: f64) -> Vec<f32> {
    let stream = Stream { seed: 8, stream: n as u64 };
    (0..n).map(|i| (low + (high - low) * stream.uniform(i)) as f32).collect()
}

/// The largest difference from sums or products in double precision, relative to the largest of them.
fn error(y: &Tensor, x: &[f32], n: usize, f: fn(f64, f64) -> f64) -> f64 {
    let y = y.to_vec::<f32>().unwrap();
    let (mut worst, mut largest, mut acc) = (0f64, 0f64, 0.0);
    for (i, (&y, &x)) in y.iter().zip(x).enumerate() {
        acc = if i % n == 0 { x as f64 } else { f(acc, x as f64) };
        largest = largest.max(acc.abs());
        worst = worst.max((y as f64 - acc).abs());
    }
    worst / largest
}

#[test]
fn long_lines_are_scanned_accurately() {
    on_every_device(|dev| {
        // One thread a line, blocks, blocks of blocks, and many lines.
        for (lines, n) in [(3, 2), (2, 128), (2, 129), (1, 1000), (3, 20_000), (1, 70_000), (5000, 30), (4100, 200)] {
            let x = uniform(lines * n, 0.1, 1.0);
            let t = Tensor::from_slice(&x, [lines, n], dev);
            assert!(error(&t.cumsum(1), &x, n, |y, x| y + x) < 2e-6, "{n}");
            let t_columns = t.t().copy().cumsum(0).t().copy();
            assert!(error(&t_columns, &x, n, |y, x| y + x) < 2e-6, "{n}");
            let (largest, at) = t.cummax(1);
            assert_eq!(error(&largest, &x, n, f64::max), 0.0);
            assert_eq!(t.gather(1, &at).to_vec::<f32>()?, largest.to_vec::<f32>()?);
            assert_eq!(error(&t.cummin(1).0, &x, n, f64::min), 0.0);
            let lse = |y: f64, x: f64| y.max(x) + (-(y - x).abs()).exp().ln_1p();
            assert!(error(&t.logcumsumexp(1), &x, n, lse) < 1e-5, "{n}");
            let near_one: Vec<f32> = x.iter().map(|x| 1.0 + (x - 0.55) * 1e-3).collect();
            let t = Tensor::from_slice(&near_one, [lines, n], dev);
            assert!(error(&t.cumprod(1), &near_one, n, |y, x| y * x) < 1e-4, "{n}");
        }
        let ones = Tensor::ones([300_000], (dev, DType::I32)).cumsum(0);
        assert_eq!(ones.select(0, -1).item()?, 300_000.0);
        assert_eq!(ones.diff(1, 0).sum().item()?, 299_999.0);
        Ok(())
    });
}

#[test]
fn links_of_long_lines_pass_beyond_the_range_of_floats() {
    on_every_device(|dev| {
        let line = |parts: &[(f32, usize)]| {
            let x: Vec<f32> = parts.iter().flat_map(|&(x, n)| std::iter::repeat_n(x, n)).collect();
            Tensor::new(x, dev).cumprod(0).select(0, -1).item()
        };
        // 3 to the power of 300 is none.
        assert_eq!(line(&[(1.0, 5), (0.0, 1), (-3.0, 300)])?, 0.0);
        assert!((line(&[(1e-30, 1), (1.0, 127), (-10.0, 40), (1.0, 20_000)])? / 1e10 - 1.0).abs() < 1e-5);
        assert!((line(&[(1e30, 1), (1.0, 127), (0.1, 40), (1.0, 500)])? / 1e-10 - 1.0).abs() < 1e-5);
        assert_eq!(line(&[(2.0, 3), (1.0, 300), (f32::INFINITY, 1), (1.0, 300)])?, f64::INFINITY);
        assert!(line(&[(2.0, 3), (0.0, 200), (f32::INFINITY, 1), (1.0, 300)])?.is_nan());
        assert!(line(&[(2.0, 3), (1.0, 200), (f32::NAN, 1), (1.0, 300)])?.is_nan());
        // The derivative of a product of 20 × 20 elements, of which one is 0, is not 0 there alone.
        let mut x = vec![1.01f32; 400];
        x[170] = 0.0;
        let x = Tensor::from_slice(&x, [20, 20], dev).requires_grad_(true)?;
        x.prod().backward()?;
        let g = x.grad().unwrap().to_vec::<f32>()?;
        assert!((g[170] as f64 / 1.01f32.powi(399) as f64 - 1.0).abs() < 1e-4);
        assert!(g.iter().enumerate().all(|(i, &g)| i == 170 || g == 0.0));
        Ok(())
    });
}

#[test]
fn sums_of_equal_numbers_do_not_drift() {
    on_every_device(|dev| {
        // Every rounding goes the same way, so a plain loop would be off by a thousandth.
        for shape in [[1, 1_000_000], [300, 30_000], [30_000, 300]] {
            for dim in [0, 1] {
                let x = Tensor::full(shape, 0.1, dev).copy();
                let want = 0.1f32 as f64 * shape[dim as usize] as f64;
                let y = x.sum_dim(dim, false).select(0, 0).item()?;
                assert!((y / want - 1.0).abs() < 5e-6, "{shape:?} over {dim}: {y}, not {want}");
            }
        }
        // Two passes: the deviations are a millionth of the mean.
        let x = Tensor::new([1e4, 1e4 + 0.25, 1e4 - 0.25, 1e4], dev);
        assert_eq!(x.var(0.0).item()?, 0.03125);
        Ok(())
    });
}

#[test]
fn special_values_follow_the_conventions() {
    on_every_device(|dev| {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let list = |x: &Tensor| x.cast(DType::F32).to_vec::<f32>();
        let x = Tensor::new([[-inf, -inf], [inf, 1.0], [1000.0, 1000.0], [-inf, 2.0]], dev);
        let y = list(&x.logsumexp(1, false))?;
        assert_eq!((y[0], y[1], y[3]), (f32::NEG_INFINITY, f32::INFINITY, 2.0));
        assert!((y[2] - 1000.6931).abs() < 1e-3);
        assert_eq!(list(&Tensor::zeros([2, 0], dev).logsumexp(1, true))?, [f32::NEG_INFINITY; 2]);
        let y = Tensor::new([-inf, -inf, 0.0, 0.0, inf, 1.0, nan, 1.0], dev).logcumsumexp(0);
        let y = list(&y)?;
        assert_eq!(y[..3], [f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0]);
        assert!((y[3] - std::f32::consts::LN_2).abs() < 1e-6 && y[4] == f32::INFINITY && y[5] == f32::INFINITY);
        assert!(y[6].is_nan() && y[7].is_nan());

        let x = Tensor::new([1.0, nan, 3.0, 3.0, nan, 2.0], dev);
        let (values, places) = x.cummax(0);
        assert_eq!(places.to_vec::<i32>()?, [0, 1, 1, 1, 4, 4]);
        assert!(list(&values)?[2..].iter().all(|x| x.is_nan()));
        let (value, place) = x.median_dim(0, false);
        assert!(value.item()?.is_nan() && place.item()? == 1.0 && x.median().item()?.is_nan());
        assert_eq!((x.nanmedian().item()?, x.nanmedian_dim(0, false).1.item()?), (2.0, 5.0));
        assert!(x.quantile(0.5, None, false).item()?.is_nan());
        assert_eq!(x.nanquantile(0.5, None, false).item()?, 2.5);
        assert_eq!((x.nansum((), false).item()?, x.nanmean((), false).item()?), (9.0, 2.25));
        assert_eq!((x.any().item()?, x.all().item()?), (1.0, 1.0));

        let empty = Tensor::zeros([0, 2], dev);
        assert_eq!((empty.prod().item()?, empty.any().item()?, empty.all().item()?), (1.0, 0.0, 1.0));
        assert_eq!((empty.all_dim(0, false).to_vec::<bool>()?, empty.count_nonzero(()).item()?), (vec![true; 2], 0.0));
        assert!(empty.median().item()?.is_nan() && empty.var(1.0).item()?.is_nan());
        assert_eq!((empty.norm_dim(3.0, (), false).item()?, empty.cumsum(0).shape()), (0.0, &[0, 2][..]));
        assert_eq!(Tensor::new(2.0, dev).cumprod(-1).item()?, 2.0);
        assert_eq!(empty.diff(1, 1).shape(), [0, 1]);

        let q = Tensor::new([0.5, 0.3], dev);
        let x = Tensor::new([[0.0, 10.0, 30.0, 20.0]], dev);
        for (between, want) in [
            (Interpolation::Linear, [15.0, 9.0]),
            (Interpolation::Lower, [10.0, 0.0]),
            (Interpolation::Higher, [20.0, 10.0]),
            (Interpolation::Midpoint, [15.0, 5.0]),
            (Interpolation::Nearest, [20.0, 10.0]),
        ] {
            let y = x.quantile_with(&q, 1, true, between);
            assert_eq!((y.shape(), list(&y)?), (&[2, 1, 1][..], want.to_vec()), "{between:?}");
        }
        let (values, places) = Tensor::new([3, 1, 2, 1, 3, 7], dev).mode(0, false);
        assert_eq!((values.item()?, places.item()?), (1.0, 3.0));
        Ok(())
    });
}

#[test]
fn types_are_those_of_pytorch() {
    on_every_device(|dev| {
        let bools = Tensor::new([true, false, true], dev);
        assert_eq!((bools.cumsum(0).to_vec::<i32>()?, bools.prod().dtype()), (vec![1, 1, 2], DType::I32));
        assert_eq!(bools.cummax(0).0.to_vec::<bool>()?, [true; 3]);
        assert_eq!(bools.mode(0, false).0.item()?, 1.0);
        assert_eq!(bools.diff(1, 0).to_vec::<bool>()?, [true; 2]);
        let ints = Tensor::new([i32::MAX, 2, -3], dev);
        assert_eq!(ints.cumsum(0).to_vec::<i32>()?, [i32::MAX, i32::MIN + 1, i32::MAX - 1]);
        assert_eq!(ints.cumprod(0).to_vec::<i32>()?, [i32::MAX, -2, 6]);
        assert_eq!((ints.prod().item()?, ints.median().item()?), (6.0, 2.0));
        assert_eq!(Tensor::new([3u32, 5], dev).cumprod(0).to_vec::<u32>()?, [3, 15]);
        assert_eq!(Tensor::new([0, 0], dev).logsumexp((), false).dtype(), DType::F32);
        // Sums inside are made in single precision: neither they nor squares overflow.
        let x = Tensor::full([4096], 40.0, (dev, DType::F16));
        assert_eq!((x.mean().item()?, x.norm().item()?, x.var(0.0).item()?), (40.0, 2560.0, 0.0));
        assert_eq!((x.mean().dtype(), x.cumsum(0).dtype()), (DType::F16, DType::F16));
        let leaf = x.requires_grad_(true)?;
        leaf.norm().backward()?;
        assert_eq!(leaf.grad().unwrap().cast(DType::F32).amax((), false).item()?, 0.015625);
        Ok(())
    });
}

#[test]
fn gradients_at_zeros_are_finite() {
    on_every_device(|dev| {
        let gradient = |x: &[f64], f: &dyn Fn(&Tensor) -> Tensor| {
            let x = Tensor::from_slice(x, x.len(), (dev, DType::F32)).requires_grad_(true).unwrap();
            let y = f(&x);
            y.sum().backward().unwrap();
            x.grad().unwrap().to_vec::<f32>().unwrap()
        };
        for p in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, f64::INFINITY] {
            assert_eq!(gradient(&[0.0, 0.0], &|x| x.norm_dim(p, (), false)), [0.0, 0.0], "{p}");
        }
        assert_eq!(gradient(&[0.0, 4.0], &|x| x.norm_dim(0.5, (), false)), [0.0, 1.0]);
        assert_eq!(gradient(&[2.0, 2.0], &|x| x.std(1.0)), [0.0, 0.0]);
        assert_eq!(gradient(&[2.0, 0.0, 3.0], &|x| x.prod()), [0.0, 6.0, 0.0]);
        assert_eq!(gradient(&[0.0, 0.0, 3.0], &|x| x.prod()), [0.0; 3]);
        assert_eq!(gradient(&[2.0, 0.0, 3.0], &|x| x.cumprod(0)), [1.0, 8.0, 0.0]);
        assert_eq!(gradient(&[1.0, 3.0, 3.0, 9.0], &|x| x.median()), [0.0, 0.5, 0.5, 0.0]);
        Ok(())
    });
}
