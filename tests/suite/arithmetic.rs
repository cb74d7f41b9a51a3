//! Sums, products and norms where PyTorch's cases do not reach: narrow floats that overflow on the way, integers, bools,
//! zero as a divisor, ties.

use crate::common::{on_every_device, own_devices};
use wgrad::{BagMode, DType, Device, EmbeddingBagOptions, MatrixNorm, Tensor};

#[test]
fn narrow_floats_do_not_overflow_on_the_way() {
    on_every_device(|dev| {
        // Twice as much is beyond the largest number of the type.
        let (dtype, large) = (DType::F16, 6e4);
        let list = |x: [f64; 2]| Tensor::new(x, (dev, dtype));
        let (x, a) = (list([-large, large]), list([large, -large]));
        let held = |y: &Tensor, want: f64| {
            assert_eq!(y.dtype(), dtype);
            let y = y.cast(DType::F32).to_vec::<f32>().unwrap();
            let near = |(y, want): (&f32, f64)| (*y as f64 / want - 1.0).abs() < 0.01;
            assert!([want, -want].into_iter().zip(&y).all(|(want, y)| near((y, want))), "{y:?}, not {want}");
        };
        held(&x.addcmul(&a, &list([4.0, 4.0]), 0.5), large);
        held(&x.addcdiv(&a, &list([0.5, 0.5]), 1.0), large);
        held(&x.lerp(&a, 0.25), -large / 2.0);
        held(&x.lerp(&a, list([0.75, 0.75])), large / 2.0);
        let two = Tensor::full([1, 1], 2.0, (dev, dtype));
        held(&x.unsqueeze(1).addmm(&a.unsqueeze(1), &two, 1, 1), large);
        held(&x.unsqueeze(1).addmm(&a.unsqueeze(1), &two, 0, 0.5), large);

        let table = Tensor::stack(&[a.clone(), a.clone(), x.clone()], 0);
        let bags = |mode| EmbeddingBagOptions { mode, ..Default::default() };
        let bag = Tensor::new([[0, 1, 2]], dev);
        held(&bag.embedding_bag(&table, bags(BagMode::Sum)).squeeze(0), large);
        let mean = Tensor::new([[0, 1]], dev).embedding_bag(&table, bags(BagMode::Mean));
        held(&mean.squeeze(0), large);
        Ok(())
    });
}

#[test]
fn factors_of_integers_are_integers() {
    on_every_device(|dev| {
        let x = Tensor::zeros([2], (dev, DType::I32));
        let (places, source) = (Tensor::new([0, 1], dev), Tensor::new([100_000_001, -16_777_217], dev));
        assert_eq!(x.index_add(0, &places, &source, 3.0).to_vec::<i32>()?, [300_000_003, -50_331_651]);
        assert_eq!(x.index_add(0, &places, &source, 2.5).to_vec::<i32>()?, [200_000_002, -33_554_434]);
        let ones = Tensor::ones([2, 2], (dev, DType::I32));
        let (row, batch) = (ones.select(0, 0), ones.unsqueeze(0));
        assert_eq!(ones.addmm(&ones, &ones, 1, 1.5).to_vec::<i32>()?, [3; 4]);
        assert_eq!(ones.addmm(&ones, &ones, 1.5, 2.0).to_vec::<i32>()?, [5; 4]);
        assert_eq!(row.addmv(&ones, &row, 2.9, 1).to_vec::<i32>()?, [4; 2]);
        assert_eq!(ones.addbmm(&batch, &batch, 0.5, 1).to_vec::<i32>()?, [2; 4]);
        assert_eq!(batch.baddbmm(&batch, &batch, 1, 1.5).to_vec::<i32>()?, [3; 4]);
        assert_eq!(row.addcmul(&row, &row, 1.5).to_vec::<i32>()?, [2; 2]);
        // Types of vectors may differ, and bools multiply.
        assert_eq!(ones.cast(DType::F32).addr(&row, &row, 1, 0.5).to_vec::<f32>()?, [1.5; 4]);
        let yes = row.cast(DType::Bool);
        assert_eq!(ones.cast(DType::Bool).addr(&yes, &yes, 2, 0).to_vec::<bool>()?, [true; 4]);
        assert_eq!(Tensor::new([true, false], dev).square().to_vec::<i32>()?, [1, 0]);
        Ok(())
    });
}

#[test]
fn the_cpu_refuses_to_divide_integers_by_zero() {
    let divisions: [fn(&Tensor, &Tensor) -> Tensor; 5] =
        [|a, b| a.floor_divide(b), |a, b| a.div_floor(b), |a, b| a.div_trunc(b), |a, b| a.fmod(b), |a, b| a % b];
    for divide in divisions {
        for dev in own_devices() {
            let (a, b) = (Tensor::new([5, -7], &dev), Tensor::new([2, 0], &dev));
            let result = divide(&a, &b).to_vec::<i32>();
            match dev.name().as_str() {
                "cpu" => {
                    let error = result.unwrap_err().to_string();
                    assert!(error.contains(": an integer is divided by 0 (recorded at tests"), "{error}");
                }
                // A GPU has no way to tell.
                name if !name.contains("twin") => assert_eq!(result.unwrap().len(), 2),
                _ => {}
            }
            assert_eq!(divide(&a, &(&b + 3)).to_vec::<i32>().unwrap().len(), 2);
            assert!(divide(&a.narrow(0, 0, 0), &b.narrow(0, 1, 0)).to_vec::<i32>().unwrap().is_empty());
            assert!(divide(&a.cast(DType::F32), &b.cast(DType::F32)).to_vec::<f32>().is_ok());
        }
    }
    let number = Tensor::new([5], &Device::cpu()) % 0;
    assert!(number.to_vec::<i32>().is_err());
}

#[test]
fn every_largest_difference_gets_the_gradient_of_an_infinite_norm() {
    on_every_device(|dev| {
        let gradients = |a: [f64; 3], b: [f64; 3], f: fn(&Tensor, &Tensor) -> Tensor| {
            let leaf = |x: [f64; 3]| Tensor::new([x], dev).requires_grad_(true).unwrap();
            let (a, b) = (leaf(a), leaf(b));
            f(&a, &b).sum().backward().unwrap();
            [a, b].map(|x| x.grad().unwrap().to_vec::<f32>().unwrap())
        };
        let both: [fn(&Tensor, &Tensor) -> Tensor; 2] =
            [|a, b| a.cdist(b, f64::INFINITY), |a, b| Tensor::cat(&[a.clone(), b.clone()], 0).pdist(f64::INFINITY)];
        for f in both {
            assert_eq!(gradients([0.0; 3], [1.0, -1.0, 0.5], f), [[-1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]);
            assert_eq!(gradients([0.0, 1.0, 0.0], [0.0, 1.0, 0.0], f), [[0.0; 3], [0.0; 3]]);
        }
        let nothing = Tensor::zeros([2, 0], dev);
        assert_eq!(nothing.cdist(&nothing, f64::INFINITY).to_vec::<f32>()?, [0.0; 4]);
        assert_eq!(
            (nothing.pdist(2.0).to_vec::<f32>()?, Tensor::zeros([1, 3], dev).pdist(2.0).numel()),
            (vec![0.0], 0)
        );
        Ok(())
    });
}

#[test]
fn special_points_are_those_of_pytorch() {
    on_every_device(|dev| {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let x = Tensor::new([0.0, 1.0, -2.0, inf, nan], dev);
        let y = x.entr().to_vec::<f32>()?;
        assert!(y[..2] == [0.0, 0.0] && y[2] == f32::NEG_INFINITY && y[3] == f32::NEG_INFINITY && y[4].is_nan());
        let y = x.angle().to_vec::<f32>()?;
        assert!(y[..4] == [0.0, 0.0, std::f32::consts::PI, 0.0] && y[4].is_nan());
        assert_eq!(Tensor::new([-1, 2], dev).angle().to_vec::<f32>()?, [std::f32::consts::PI, 0.0]);
        let y = Tensor::new([0.0, -5.0, -inf, inf], dev).ndtr().to_vec::<f32>()?;
        assert!((y[0] - 0.5).abs() < 1e-7 && (y[1] / 2.866516e-7 - 1.0).abs() < 1e-5 && y[2..] == [0.0, 1.0], "{y:?}");
        // Bounds of which the lower one is above the upper one.
        let y = Tensor::new([0.1, 0.7], dev).logit(0.6).to_vec::<f32>()?;
        assert!((y[0] - 0.405465).abs() < 1e-5 && (y[1] + 0.405465).abs() < 1e-5, "{y:?}");

        let norm = |shape: [usize; 2], p| Tensor::zeros(shape, dev).matrix_norm(MatrixNorm::P(p), [0, 1], false).item();
        assert_eq!((norm([0, 3], 1.0)?, norm([0, 3], -1.0)?, norm([0, 3], inf)?), (0.0, 0.0, 0.0));
        assert_eq!((norm([3, 0], 1.0)?, norm([3, 0], inf)?, norm([3, 0], -inf)?), (0.0, 0.0, 0.0));
        let x = Tensor::new([[1.0, -2.0], [3.0, 4.0]], dev);
        let norms = [1.0, -1.0, inf, -inf].map(|p| x.matrix_norm(MatrixNorm::P(p), [-2, -1], false).item().unwrap());
        assert_eq!(norms, [6.0, 4.0, 7.0, 3.0]);
        assert_eq!(x.matrix_norm(MatrixNorm::P(1.0), [1, 0], true).to_vec::<f32>()?, [7.0]);

        let y = Tensor::new([1.0, 4.0, 9.0, 16.0], dev);
        let places = Tensor::new([0.0, 1.0, 3.0, 6.0], dev);
        let slopes = y.gradient(&[places.into()], 0, 2)[0].to_vec::<f32>()?;
        let want = [3.1666667, 2.8333333, 2.4333334, 2.2333333];
        assert!(slopes.iter().zip(want).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5), "{slopes:?}");
        assert_eq!(y.cast(DType::I32).gradient(&[2.into()], (), 1)[0].to_vec::<f32>()?, [1.5, 2.0, 3.0, 3.5]);
        let places = Tensor::new([5, -1, 6], dev).unravel_index([2, 3]);
        assert_eq!((places[0].to_vec::<i32>()?, places[1].to_vec::<i32>()?), (vec![1, 1, 0], vec![2, 2, 0]));
        assert_eq!(Tensor::ones([2, 3], (dev, DType::Bool)).sum_to_size(1).to_vec::<i32>()?, [6]);
        Ok(())
    });
}
