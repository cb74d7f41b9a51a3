//! Where in a sequence a vector stands: learned vectors, sines, rotations.

use crate::dtype::DType;
use crate::error::misuse;
use crate::nn::layer::parameter;
use crate::nn::{Buffer, Hooks};
use crate::ops::create::Options;
use crate::tensor::Tensor;

/// The first vectors of a table for the places of `[.., length, size]`.
#[track_caller]
fn places(op: &str, table: &Tensor, x: &Tensor) -> Tensor {
    if x.rank() < 2 || x.size(-1) != table.size(1) || x.size(-2) > table.size(0) {
        misuse(op, format!("the input {:?} does not fit positions of shape {:?}", x.shape(), table.shape()));
    }
    table.narrow(0, 0, x.size(-2))
}

crate::nn::layer::layers! {
    /// Adds a learned vector for each place, `[.., length, size]`; normal with the deviation 0.02 in the beginning.
    ///
    /// ```
    /// use wgrad::nn::{Layer, LearnedPositions};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::ones([2, 5, 4], &dev);
    /// assert_eq!(LearnedPositions::new(10, 4, &dev).forward(&x).shape(), x.shape());
    /// ```
    LearnedPositions {
        /// `[places, size]`
        weight: Tensor,
    }
    members [weight];
    |s, x| x + places("LearnedPositions", &s.weight, x)

    /// Adds `sin(t / 10000^(2i/size))` to element `2i` of the vector at place `t`, and the cosine to element `2i + 1`.
    ///
    /// ```
    /// use wgrad::nn::{Layer, SinusoidalPositions};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = SinusoidalPositions::new(10, 2, &dev).forward(&Tensor::zeros([2, 2], &dev));
    /// assert!((y.to_vec::<f64>()?[2] - 1f64.sin()).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: Vaswani et al., [Attention is all you need](https://arxiv.org/abs/1706.03762).
    SinusoidalPositions {
        /// `[places, size]`
        pe: Buffer,
    }
    members [pe];
    |s, x| x + places("SinusoidalPositions", &s.pe, x).cast(x.dtype())

    /// Turns the pairs `(i, i + size / 2)` of the vector at place `t` by `t / base^(2i/size)`: to be applied to queries and
    /// keys, `[.., length, size]`, whose products then depend on distances only.
    ///
    /// ```
    /// use wgrad::nn::{Layer, Rotary};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Rotary::new(10, 2, 1e4, &dev).forward(&Tensor::new([[1.0, 0.0], [1.0, 0.0]], &dev));
    /// assert!((y.to_vec::<f64>()?[2] - 1f64.cos()).abs() < 1e-6);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// Source: Su et al., [RoFormer](https://arxiv.org/abs/2104.09864).
    Rotary {
        /// `[places, size / 2]`
        cos: Buffer,
        /// `[places, size / 2]`
        sin: Buffer,
    }
    members [cos, sin];
    |s, x| s.turn(x)
}

/// `f(t, i)` for every place and `i` below a number.
#[track_caller]
fn table(places: usize, size: usize, place: Options, f: impl Fn(f64, usize) -> f64) -> Tensor {
    let elements: Vec<f64> = (0..places * size).map(|k| f((k / size) as f64, k % size)).collect();
    let dtype = place.dtype_or("table", DType::F32);
    Tensor::from_slice(&elements, [places, size], (&place.device, dtype))
}

impl LearnedPositions {
    /// Vectors of a size for so many places.
    #[track_caller]
    pub fn new(places: usize, size: usize, place: impl Into<Options>) -> LearnedPositions {
        LearnedPositions {
            weight: parameter(Tensor::normal(0.0, 0.02, [places, size], place)),
            hooks: Hooks::default(),
        }
    }
}

impl SinusoidalPositions {
    /// Vectors of a size for so many places.
    #[track_caller]
    pub fn new(places: usize, size: usize, place: impl Into<Options>) -> SinusoidalPositions {
        let angle = |t: f64, i: usize| t / 1e4f64.powf((i / 2 * 2) as f64 / size as f64);
        let value = |t, i| if i % 2 == 0 { angle(t, i).sin() } else { angle(t, i).cos() };
        SinusoidalPositions { pe: Buffer(table(places, size, place.into(), value)), hooks: Hooks::default() }
    }
}

impl Rotary {
    /// Rotations of vectors of a size for so many places; `base` is 10,000 in most models.
    ///
    /// # Panics
    /// If the size is odd.
    #[track_caller]
    pub fn new(places: usize, size: usize, base: f64, place: impl Into<Options>) -> Rotary {
        if size % 2 == 1 {
            misuse("Rotary", format!("vectors of {size} elements have no pairs"));
        }
        let place = place.into();
        let angle = |t: f64, i: usize| t / base.powf(2.0 * i as f64 / size as f64);
        let buffer = |f: fn(f64) -> f64| Buffer(table(places, size / 2, place.clone(), |t, i| f(angle(t, i))));
        Rotary { cos: buffer(f64::cos), sin: buffer(f64::sin), hooks: Hooks::default() }
    }

    #[track_caller]
    fn turn(&self, x: &Tensor) -> Tensor {
        let half = self.cos.size(1);
        if x.rank() < 2 || x.size(-1) != 2 * half || x.size(-2) > self.cos.size(0) {
            let (shape, places) = (x.shape(), self.cos.size(0));
            misuse("Rotary", format!("the input {shape:?} does not fit {places} places of vectors of {}", 2 * half));
        }
        let [cos, sin] = [&self.cos, &self.sin].map(|table| table.narrow(0, 0, x.size(-2)).cast(x.dtype()));
        let (a, b) = (x.narrow(-1, 0, half), x.narrow(-1, half, half));
        Tensor::cat(&[&a * &cos - &b * &sin, b * cos + a * sin], -1)
    }
}
