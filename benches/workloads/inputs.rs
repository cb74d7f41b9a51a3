//! Inputs that are the same numbers in every library: a hash of the stream and the place of the element.

use wgrad::{Device, Tensor};

fn hash(stream: u64, i: u64) -> u64 {
    let mut z = (stream << 32).wrapping_add(i).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn numbers(stream: u64, shape: &[usize], dev: &Device, f: impl Fn(f32) -> f32) -> Tensor {
    let n = shape.iter().product::<usize>() as u64;
    let x: Vec<f32> = (0..n).map(|i| f((hash(stream, i) >> 40) as f32 / 16_777_216.0)).collect();
    Tensor::from_slice(&x, shape, dev)
}

/// Numbers between 0 and 1.
pub fn uniform01(stream: u64, shape: &[usize], dev: &Device) -> Tensor {
    numbers(stream, shape, dev, |u| u)
}

/// Numbers between `-scale` and `scale`.
pub fn uniform(stream: u64, shape: &[usize], scale: f32, dev: &Device) -> Tensor {
    numbers(stream, shape, dev, |u| (2.0 * u - 1.0) * scale)
}

/// The weights of a layer that sees `fan_in` numbers.
pub fn weights(stream: u64, shape: &[usize], fan_in: usize, dev: &Device) -> Tensor {
    uniform(stream, shape, (1.0 / (fan_in as f64).sqrt()) as f32, dev).requires_grad_(true).expect("a new tensor")
}

/// Integers below `m`.
pub fn ints(stream: u64, shape: &[usize], m: u64, dev: &Device) -> Tensor {
    let n = shape.iter().product::<usize>() as u64;
    let x: Vec<i32> = (0..n).map(|i| ((hash(stream, i) >> 33) % m) as i32).collect();
    Tensor::from_slice(&x, shape, dev)
}
