//! How parameters begin: functions that fill a tensor in place, unrecorded.
//!
//! Source: [torch.nn.init](https://docs.pytorch.org/docs/stable/nn.init.html).

use crate::dtype::DType;
use crate::error::{Result, misuse};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use crate::tensor::mode::no_grad;

/// Which sizes a scheme holds the variance constant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// Those that come in: forward keeps its variance.
    In,
    /// Those that go out: backward keeps its variance.
    Out,
}

/// What follows a layer, by which [`gain`] scales its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nonlinearity {
    /// None, or a sigmoid: 1.
    Linear,
    /// A hyperbolic tangent: 5/3.
    Tanh,
    /// A rectifier: `√2`.
    ReLU,
    /// A rectifier with a slope `a` below 0: `√(2 / (1 + a²))`.
    LeakyReLU(f64),
    /// SELU: 3/4.
    Selu,
}

/// The factor that keeps the variance through what follows a layer.
///
/// ```
/// use wgrad::nn::init::{Nonlinearity, gain};
/// assert_eq!(gain(Nonlinearity::LeakyReLU(1.0)), 1.0);
/// ```
pub fn gain(nonlinearity: Nonlinearity) -> f64 {
    match nonlinearity {
        Nonlinearity::Linear => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::ReLU => 2f64.sqrt(),
        Nonlinearity::LeakyReLU(a) => (2.0 / (1.0 + a * a)).sqrt(),
        Nonlinearity::Selu => 0.75,
    }
}

/// How many inputs an output sees, and how many outputs an input reaches, for weights `[out, in, window..]`.
#[track_caller]
fn fans(op: &str, w: &Tensor) -> (f64, f64) {
    let &[out, input, ref window @ ..] = w.shape() else {
        misuse(op, format!("a weight has at least two dimensions, and the shape is {:?}", w.shape()));
    };
    let window: usize = window.iter().product();
    ((input * window) as f64, (out * window) as f64)
}

macro_rules! fills {
    ($($(#[$doc:meta])* $name:ident($w:ident $(, $p:ident: $type:ty)*) $fill:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// If the device fails.
        #[track_caller]
        pub fn $name($w: &Tensor $(, $p: $type)*) -> Result<()> {
            let _unrecorded = no_grad();
            $fill?;
            Ok(())
        }
    )* };
}

fills! {
    /// Uniform between two numbers.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, nn::init};
    /// let w = Tensor::zeros([100], &Device::cpu()).requires_grad_(true)?;
    /// init::uniform_(&w, 1.0, 2.0)?;
    /// assert!(w.to_vec::<f32>()?.iter().all(|w| (1.0..2.0).contains(w)));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    uniform_(w, low: f64, high: f64) w.uniform_(low, high);
    /// Normal.
    normal_(w, mean: f64, std: f64) w.normal_(mean, std);
    /// Normal, of which only numbers between two bounds are drawn.
    trunc_normal_(w, mean: f64, std: f64, low: f64, high: f64) w.trunc_normal_(mean, std, low, high);
    /// One number everywhere.
    constant_(w, x: f64) w.copy_(&w.full_like(x));
    /// Uniform within `±gain √(6 / (in + out))`.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    xavier_uniform_(w, gain: f64) {
        let (input, output) = fans("xavier_uniform_", w);
        let bound = gain * (6.0 / (input + output)).sqrt();
        w.uniform_(-bound, bound)
    };
    /// Normal with the deviation `gain √(2 / (in + out))`.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    xavier_normal_(w, gain: f64) {
        let (input, output) = fans("xavier_normal_", w);
        w.normal_(0.0, gain * (2.0 / (input + output)).sqrt())
    };
    /// Uniform within `±gain √(3 / fan)`.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    kaiming_uniform_(w, fan: Fan, nonlinearity: Nonlinearity) {
        let (input, output) = fans("kaiming_uniform_", w);
        let bound = gain(nonlinearity) * (3.0 / if fan == Fan::In { input } else { output }).sqrt();
        w.uniform_(-bound, bound)
    };
    /// Normal with the deviation `gain / √fan`.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    kaiming_normal_(w, fan: Fan, nonlinearity: Nonlinearity) {
        let (input, output) = fans("kaiming_normal_", w);
        w.normal_(0.0, gain(nonlinearity) / if fan == Fan::In { input } else { output }.sqrt())
    };
    /// Ones on the diagonal of a matrix.
    ///
    /// # Panics
    /// If it is none.
    eye_(w) {
        if w.rank() != 2 {
            misuse("eye_", format!("needs a matrix, and the shape is {:?}", w.shape()));
        }
        w.copy_(&Tensor::eye([w.size(0), w.size(1)], (&w.device(), w.dtype())))
    };
    /// Rows, or columns if there are fewer, of length `gain` and orthogonal to each other; dimensions after the first count as
    /// one. The numbers are drawn by the device and made orthogonal on the host.
    ///
    /// ```
    /// use wgrad::{Device, Tensor, nn::init};
    /// let w = Tensor::zeros([2, 3], &Device::cpu());
    /// init::orthogonal_(&w, 1.0)?;
    /// let product = w.matmul(&w.t()).to_vec::<f64>()?;
    /// assert!(product.iter().zip([1.0, 0.0, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    ///
    /// Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear networks" (2014).
    orthogonal_(w, gain: f64) {
        fans("orthogonal_", w);
        let rows = w.size(0);
        let columns = w.numel() / rows.max(1);
        let (n, length) = (rows.min(columns), rows.max(columns));
        let drawn = Tensor::randn([n, length], &w.device()).to_vec::<f64>()?;
        let host = (&Device::cpu(), DType::F64);
        let y = Tensor::from_slice(&orthogonal(drawn, length), [n, length], host) * gain;
        let y = if rows > columns { y.t() } else { y };
        w.copy_(&y.reshape(w.shape()).cast(w.dtype()).to_device(&w.device())?)
    };
}

/// Lines of a matrix made orthogonal to each other and of length 1, one after the other, twice for the sake of rounding.
fn orthogonal(mut x: Vec<f64>, length: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for i in 0..x.len() / length.max(1) {
        let (before, rest) = x.split_at_mut(i * length);
        let line = &mut rest[..length];
        for _ in 0..2 {
            for other in before.chunks_exact(length) {
                let along = dot(other, line);
                line.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
            }
        }
        let norm = dot(line, line).sqrt();
        line.iter_mut().for_each(|x| *x /= norm);
    }
    x
}
