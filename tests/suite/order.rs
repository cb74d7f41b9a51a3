//! Sorting, searching and scattering, also over lines longer than one block of a kernel.

use crate::common::{on_every_device, own_devices};
use wgrad::random::Stream;
use wgrad::{DType, Tensor};

/// Numbers with ties, infinities, both zeros and NaN.
fn numbers(n: usize) -> Vec<f32> {
    let stream = Stream { seed: 5, stream: n as u64 };
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0];
    let number = |i: usize| match stream.bits(i) % 16 {
        k @ 0..5 => special[k as usize],
        _ => (stream.bits(i) >> 8 & 63) as f32 - 31.0,
    };
    (0..n).map(number).collect()
}

/// The order the documentation promises.
fn order(x: &[f32], descending: bool) -> Vec<i32> {
    let mut order: Vec<i32> = (0..x.len() as i32).collect();
    let key = |i: &i32| (x[*i as usize].is_nan(), if x[*i as usize].is_nan() { 0.0 } else { x[*i as usize] });
    order.sort_by(|a, b| {
        let order = key(a).partial_cmp(&key(b)).unwrap();
        if descending { order.reverse() } else { order }
    });
    order
}

#[test]
fn lines_of_any_length_are_sorted() {
    on_every_device(|dev| {
        for n in [1, 2, 31, 32, 33, 64, 65, 100, 1000, 5000] {
            let (a, b) = (numbers(n), numbers(n + 7)[7..].to_vec());
            let x = Tensor::from_slice(&[a.clone(), b.clone()].concat(), [2, n], dev);
            for descending in [false, true] {
                let want = [order(&a, descending), order(&b, descending)].concat();
                assert_eq!(x.argsort(1, descending).to_vec::<i32>()?, want, "{n}");
                // The same along columns, and of other types.
                let columns = x.t().copy().argsort(0, descending);
                assert_eq!(columns.t().to_vec::<i32>()?, want, "{n}");
            }
            let half = x.cast(DType::F16).argsort(-1, false);
            assert_eq!(half.to_vec::<i32>()?, [order(&a, false), order(&b, false)].concat());
            let ints: Vec<i32> = (0..n as i32).map(|i| (i * 7919) % 101 - 50).collect();
            let want = order(&ints.iter().map(|&i| i as f32).collect::<Vec<_>>(), false);
            assert_eq!(Tensor::from_slice(&ints, n, dev).argsort(0, false).to_vec::<i32>()?, want);
        }
        let one = Tensor::new(2.0, dev);
        assert_eq!(one.argsort(0, true).item()?, 0.0);
        assert_eq!(Tensor::zeros([0, 3], dev).argsort(0, false).shape(), [0, 3]);
        Ok(())
    });
}

#[test]
fn values_are_found_in_sorted_lines() {
    on_every_device(|dev| {
        let line = [-1.0, 0.0, 0.0, 2.5, f64::INFINITY, f64::NAN];
        let values = [-2.0, -1.0, -0.0, 1.0, f64::INFINITY, f64::NAN];
        let (line, values) = (Tensor::new(line, dev), Tensor::new(values, dev));
        assert_eq!(line.searchsorted(&values, false).to_vec::<i32>()?, [0, 0, 1, 3, 4, 5]);
        assert_eq!(line.searchsorted(&values, true).to_vec::<i32>()?, [0, 1, 3, 3, 5, 6]);
        assert_eq!(line.searchsorted(2.5, true).to_vec::<i32>()?, [4]);
        let lines = Tensor::new([[1, 3, 5], [2, 4, 6]], dev);
        let each = Tensor::new([[3, 6], [3, 7]], dev);
        assert_eq!(lines.searchsorted(&each, false).to_vec::<i32>()?, [1, 3, 1, 3]);
        // A sequence of ints meets floats as floats.
        assert_eq!(lines.select(0, 0).searchsorted(Tensor::new([[2.5], [5.5]], dev), false).to_vec::<i32>()?, [1, 3]);
        assert_eq!(Tensor::zeros([0], dev).searchsorted(&each, false).to_vec::<i32>()?, [0; 4]);
        Ok(())
    });
}

#[test]
fn long_lines_are_scattered_in_their_order() {
    on_every_device(|dev| {
        for n in [20, 33, 700] {
            let stream = Stream { seed: 3, stream: n as u64 };
            let places: Vec<i32> = (0..n).map(|i| (stream.bits(i) % 50) as i32).collect();
            let source: Vec<f32> = (0..n).map(|i| (stream.bits(i + n) % 9) as f32).collect();
            let mut want = vec![0f32; 50];
            places.iter().zip(&source).for_each(|(&i, x)| want[i as usize] += x);
            let (index, x) = (Tensor::from_slice(&places, n, dev), Tensor::from_slice(&source, n, dev));
            assert_eq!(Tensor::zeros([50], dev).scatter_add(0, &index, &x).to_vec::<f32>()?, want);
            // Rows chosen by one list: the index is expanded, and sorted once.
            let rows = x.reshape([n, 1]).expand([n, 3]);
            let y = Tensor::zeros([50, 3], dev).scatter_add(0, &index.reshape([n, 1]).expand([n, 3]), &rows);
            assert_eq!(y.select(1, 2).to_vec::<f32>()?, want);
        }
        Ok(())
    });
}

#[test]
fn a_place_beyond_a_long_line_is_an_error() {
    for dev in own_devices() {
        let (line, far) = (Tensor::zeros([7], &dev), Tensor::full([40], 7, &dev));
        let error = line.scatter_add(0, &far, &Tensor::ones([40], &dev)).to_vec::<f32>().unwrap_err();
        assert!(error.to_string().starts_with("scatter_add: "), "{error}");
    }
}
