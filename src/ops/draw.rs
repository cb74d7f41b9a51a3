//! Random numbers: tensors of them, and tensors filled with them in place.
//!
//! All come from the counters of `random.rs`: a tensor takes one stream of its device, so the same seed gives the same
//! numbers on every kind of device, up to the rounding of the functions that shape them.

use crate::dtype::DType;
use crate::error::{Result, misuse};
use crate::ops::create::Options;
use crate::ops::map::{Arg, record_value};
use crate::ops::op::{Distribution, Op};
use crate::ops::scalar::rows;
use crate::shape::{Dims, Ints, sizes};
use crate::tensor::Tensor;
use crate::tensor::node::{Call, record};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI, SQRT_2};

/// Distributions made from uniform or normal numbers: each gives a function that makes a tensor and one that fills one.
macro_rules! draws {
    ($($(#[$doc:meta])* $name:ident $in_place:ident $node:literal ($($p:ident),*) if $legal:expr;
        $distribution:ident |$x:ident, $dtype:tt| $value:expr;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            #[track_caller]
            pub fn $name($($p: f64,)* shape: impl Ints, options: impl Into<Options>) -> Tensor {
                let options = options.into();
                let dtype = options.dtype_or(stringify!($name), DType::F32);
                expect_legal(stringify!($name), $legal, &[$((stringify!($p), $p)),*], dtype);
                let compute = Options { dtype: Some(dtype.compute()), device: options.device };
                let $dtype = dtype;
                let $x = random(stringify!($name), shape, Distribution::$distribution, DType::F32, compute);
                Tensor::cast(&$value, dtype)
            }

            #[doc = concat!("Fills this tensor as [`Tensor::", stringify!($name), "`] does. Derivative: 0.")]
            ///
            /// # Errors
            /// As [`Tensor::add_`].
            ///
            /// # Panics
            #[doc = concat!("As [`Tensor::", stringify!($name), "`].")]
            #[track_caller]
            pub fn $in_place(&self, $($p: f64),*) -> Result<&Tensor> {
                expect_legal(stringify!($in_place), $legal, &[$((stringify!($p), $p)),*], self.dtype());
                let x = self.before(stringify!($in_place))?;
                let y = Tensor::$name($($p,)* self.shape(), (&self.device(), self.dtype()));
                Ok(self.rebind(stringify!($in_place), record(y, $node, &[&x], &[], |_| vec![None])))
            }
        )* }
    };
}

draws! {
    /// Uniform random numbers from `low` up to but without `high`; generator as [`Tensor::rand`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::uniform(-1.0, 1.0, [100], &Device::cpu()).to_vec::<f32>()?;
    /// assert!(x.iter().all(|x| (-1.0..1.0).contains(x)));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `high` is below `low`, or the dtype is no float.
    uniform uniform_ "UniformBackward0" (low, high) if low <= high;
    Uniform |x, dtype| {
        let y = (as_held(x, dtype) * (high - low) + low).cast(dtype);
        // What is rounded up to the end counts as the beginning, as in PyTorch.
        Tensor::where_(&y.ge(high), low, y)
    };

    /// Random numbers of a mean and a standard deviation, normally distributed; generator as [`Tensor::rand`].
    ///
    /// # Panics
    /// If the standard deviation is negative, or the dtype is no float.
    normal normal_ "NormalBackward0" (mean, std) if std >= 0.0;
    Normal |x, _| x * std + mean;

    /// Random numbers `eⁿ` for normal `n` of a mean and a standard deviation; generator as [`Tensor::rand`].
    ///
    /// # Panics
    /// If the standard deviation is not positive, or the dtype is no float.
    log_normal log_normal_ "LogNormalBackward0" (mean, std) if std > 0.0;
    Normal |x, _| (x * std + mean).exp();

    /// Exponentially distributed random numbers, of density `rate e^(-rate x)`; generator as [`Tensor::rand`].
    ///
    /// # Panics
    /// If the rate is not positive, or the dtype is no float.
    exponential exponential_ "ExponentialBackward0" (rate) if rate > 0.0;
    Uniform |x, _| (1.0 - x).log() * (-1.0 / rate);

    /// Random numbers of the Cauchy distribution, `median + sigma tan(π (u - 1/2))`; generator as [`Tensor::rand`].
    ///
    /// # Panics
    /// If sigma is not positive, or the dtype is no float.
    cauchy cauchy_ "CauchyBackward0" (median, sigma) if sigma > 0.0;
    Uniform |x, _| {
        let angle = x * PI - FRAC_PI_2;
        angle.sin() / angle.cos() * sigma + median
    };

    /// How many trials of probability `p` it takes until one succeeds: 1, 2, …, as floats; generator as
    /// [`Tensor::rand`].
    ///
    /// # Panics
    /// If `p` is not between 0 and 1, or the dtype is no float.
    geometric geometric_ "GeometricBackward0" (p) if p > 0.0 && p < 1.0;
    Uniform |x, _| ((1.0 - x).log() * (1.0 / (-p).ln_1p())).floor() + 1.0;

    /// Normal random numbers of a mean and a standard deviation, of which only those between `low` and `high` are drawn;
    /// generator as [`Tensor::rand`].
    ///
    /// # Panics
    /// If the standard deviation is not positive, `low` is not below `high`, or the dtype is no float.
    ///
    /// Source: [torch.nn.init.trunc_normal_](https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.trunc_normal_).
    trunc_normal trunc_normal_ "TruncNormalBackward0" (mean, std, low, high) if std > 0.0 && low < high;
    Uniform |x, _| {
        // Uniform numbers between the values of the distribution function at both ends, through its inverse.
        let end = |bound: f64| rows::erf.at(&[(bound - mean) / std * FRAC_1_SQRT_2]);
        let (from, to) = (end(low), end(high));
        ((x * (to - from) + from).erfinv() * (std * SQRT_2) + mean).clamp(low, high)
    };
}

#[track_caller]
fn expect_legal(op: &str, legal: bool, parameters: &[(&str, f64)], dtype: DType) {
    if !dtype.is_float() {
        misuse(op, format!("fills floats, not {dtype} elements"));
    }
    if !legal {
        let parameters: Vec<String> = parameters.iter().map(|(name, x)| format!("{name} {x}")).collect();
        misuse(op, format!("there is no distribution of {}", parameters.join(" and ")));
    }
}

impl Tensor {
    /// Uniform random numbers in `[0, 1)`, in shape, dtype and device like this tensor.
    #[track_caller]
    pub fn rand_like(&self) -> Tensor {
        Tensor::rand(self.shape(), (&self.0.device, self.dtype()))
    }

    /// Standard normal random numbers, in shape, dtype and device like this tensor.
    #[track_caller]
    pub fn randn_like(&self) -> Tensor {
        Tensor::randn(self.shape(), (&self.0.device, self.dtype()))
    }

    /// Random integers as [`Tensor::randint`], in shape, dtype and device like this tensor.
    ///
    /// # Panics
    /// If `high` is not above `low`.
    #[track_caller]
    pub fn randint_like(&self, low: i32, high: i32) -> Tensor {
        Tensor::randint(low, high, self.shape(), (&self.0.device, self.dtype()))
    }

    /// Fills this tensor with random integers as [`Tensor::randint`] does. Derivative: 0.
    ///
    /// # Errors
    /// As [`Tensor::add_`].
    ///
    /// # Panics
    /// If `high` is not above `low`.
    #[track_caller]
    pub fn random_(&self, low: i32, high: i32) -> Result<&Tensor> {
        let x = self.before("random_")?;
        let y = Tensor::randint(low, high, self.shape(), (&self.device(), self.dtype()));
        Ok(self.rebind("random_", record(y, "RandomBackward0", &[&x], &[], no_slope)))
    }

    /// 1 with the probability that this tensor gives for each element, else 0. Derivative: 0.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let p = Tensor::new([0.0, 1.0], &Device::cpu());
    /// assert_eq!(p.bernoulli().to_vec::<f32>()?, [0.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the elements are no floats.
    #[track_caller]
    pub fn bernoulli(&self) -> Tensor {
        self.expect_float("bernoulli");
        let u = Tensor::rand(self.shape(), (&self.0.device, self.dtype().compute()));
        let y = u.lt(self.untracked()).cast(self.dtype());
        record(y, "BernoulliBackward0", &[self], &[], no_slope)
    }

    /// Fills this tensor with ones, with probability `p` (a number, or a tensor that broadcasts to this one's shape),
    /// and zeros. Derivative: 0.
    ///
    /// # Errors
    /// As [`Tensor::add_`].
    ///
    /// # Panics
    /// If the probabilities do not broadcast to this tensor's shape.
    #[track_caller]
    pub fn bernoulli_(&self, p: impl Into<Arg>) -> Result<&Tensor> {
        let x = self.before("bernoulli_")?;
        let y = Tensor::rand(self.shape(), &self.0.device).lt(p).cast(self.dtype());
        Ok(self.rebind("bernoulli_", record(y, "BernoulliBackward0", &[&x], &[], no_slope)))
    }

    /// Normal random numbers around this tensor's elements, of the given standard deviation (a number or a tensor; the
    /// two broadcast). Derivative: 0; `mean + std * noise` has another. PyTorch calls it `torch.normal(mean, std)`.
    ///
    /// # Panics
    /// If the elements are no floats, or the shapes do not broadcast.
    #[track_caller]
    pub fn normal_around(&self, std: impl Into<Arg>) -> Tensor {
        self.expect_float("normal_around");
        let std = match std.into() {
            Arg::Tensor(std) => std.untracked(),
            Arg::Number(std, _) => Tensor::number(std, self.dtype(), &self.0.device),
        };
        let spread = Tensor::broadcast_tensors(&[self.untracked(), std]);
        let y = &spread[0] + &spread[1] * spread[0].randn_like();
        record(y, "NormalBackward0", &[self], &[], |_| vec![None])
    }

    /// Places drawn at random, each as often as its weight says: `n` from a list of weights, or from each row of a matrix,
    /// as `I32`. Weights need not add up to 1. Without replacement no place is drawn twice, and places of weight 0 come
    /// only when there are no others. Derivative: none, the result holds integers.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let weights = Tensor::new([0.0, 3.0, 1.0, 0.0], &Device::cpu());
    /// let places = weights.multinomial(100, true).to_vec::<i32>()?;
    /// assert!(places.iter().all(|i| [1, 2].contains(i)));
    /// let mut places = weights.multinomial(2, false).to_vec::<i32>()?;
    /// places.sort();
    /// assert_eq!(places, [1, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the weights are no floats, no list or matrix of some, or fewer than are drawn without replacement.
    #[track_caller]
    pub fn multinomial(&self, n: usize, replacement: bool) -> Tensor {
        self.expect_float("multinomial");
        let places = self.shape().last().copied().unwrap_or(0);
        if !(1..=2).contains(&self.rank()) || places == 0 || !replacement && n > places {
            let how = if replacement { "with" } else { "without" };
            misuse("multinomial", format!("{n} of weights {:?} {how} replacement", self.shape()));
        }
        let weights = self.untracked().cast(self.dtype().compute());
        if !replacement {
            // The first of exponential clocks that run as fast as the weights say.
            let clocks = Tensor::exponential(1.0, weights.shape(), (&weights.device(), weights.dtype()));
            return (weights / clocks.maximum(1e-30)).topk(n, -1, true).1;
        }
        let sums = weights.cumsum(-1);
        let total = sums.narrow(-1, places - 1, 1);
        let mut shape = Dims::from_slice(self.shape());
        shape[self.rank() - 1] = n;
        let drawn = Tensor::rand(&shape[..], (&weights.device(), weights.dtype())) * &total;
        // A number that is rounded up to the total belongs to the last place that has a weight.
        sums.searchsorted(drawn, true).minimum(sums.searchsorted(total, false))
    }

    /// Uniform random numbers in `[0, 1)`, 24 random bits each.
    ///
    /// The generator is Philox4x32-10, counted per device and seeded by `Device::manual_seed`: the same seed gives the
    /// same numbers on every kind of device.
    #[track_caller]
    pub fn rand(shape: impl Ints, options: impl Into<Options>) -> Tensor {
        random("rand", shape, Distribution::Uniform, DType::F32, options.into())
    }

    /// Random numbers of mean 0 and standard deviation 1; generator as [`Tensor::rand`].
    #[track_caller]
    pub fn randn(shape: impl Ints, options: impl Into<Options>) -> Tensor {
        random("randn", shape, Distribution::Normal, DType::F32, options.into())
    }

    /// Random integers from `low` up to but without `high`; generator as [`Tensor::rand`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::randint(-2, 3, [100], &Device::cpu()).to_vec::<i32>()?;
    /// assert!(x.iter().all(|i| (-2..3).contains(i)));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `high` is not above `low`.
    #[track_caller]
    pub fn randint(low: i32, high: i32, shape: impl Ints, options: impl Into<Options>) -> Tensor {
        if high <= low {
            misuse("randint", format!("there is no integer from {low} up to but without {high}"));
        }
        let integers = Distribution::Integer { low, range: high.wrapping_sub(low) as u32 };
        random("randint", shape, integers, DType::I32, options.into())
    }

    /// The integers below `n` in random order; generator as [`Tensor::rand`].
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let mut order = Tensor::randperm(5, &Device::cpu()).to_vec::<i32>()?;
    /// order.sort();
    /// assert_eq!(order, [0, 1, 2, 3, 4]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn randperm(n: usize, options: impl Into<Options>) -> Tensor {
        let options = options.into();
        let (stream, varying) = options.device.next_stream("randperm");
        if !varying.is_empty() {
            misuse("randperm", "is made by the host, and cannot differ between the elements of a batch inside of vmap");
        }
        // Sorted by random keys; the index breaks the rare tie.
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_cached_key(|&i| (stream.bits(i), i));
        Tensor::new(order, options)
    }
}

#[track_caller]
fn random(op: &str, shape: impl Ints, distribution: Distribution, default: DType, options: Options) -> Tensor {
    let dtype = options.dtype_or(op, default);
    let device = options.device;
    let (stream, varying) = device.next_stream(op);
    let compute = match distribution {
        Distribution::Uniform | Distribution::Normal if dtype == DType::F64 => DType::F64,
        Distribution::Uniform | Distribution::Normal => DType::F32,
        Distribution::Integer { .. } => DType::I32,
    };
    let value = record_value(Op::Random(distribution, stream), varying, sizes(op, shape), compute, &device);
    let y = Tensor::from_value(value);
    let y = if distribution == Distribution::Uniform { as_held(y, dtype) } else { y };
    y.cast_value(dtype)
}

/// Numbers in `[0, 1)` with as many bits as a narrow float holds: it would round the largest ones up to 1.
#[track_caller]
fn as_held(x: Tensor, dtype: DType) -> Tensor {
    let steps = 2.0 / dtype.epsilon();
    if dtype.compute() == dtype { x } else { (x * steps).floor() * (1.0 / steps) }
}

/// The gradient of what was drawn: 0 for the one input.
fn no_slope(call: Call) -> Vec<Option<Tensor>> {
    vec![Some(call.g.zeros_like())]
}
