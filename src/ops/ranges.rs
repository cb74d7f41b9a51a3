//! Ranges and patterns: evenly spaced numbers, the unit matrix, powers.

use crate::dtype::{DType, Element};
use crate::elements::Data;
use crate::error::misuse;
use crate::ops::create::{Options, uploaded};
use crate::ops::map::record_value;
use crate::ops::op::Op;
use crate::shape::{Dims, Ints, sizes};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use crate::tensor::value::Operands;

/// The integers below `n`.
#[track_caller]
pub(crate) fn iota(n: usize, device: &Device) -> Tensor {
    Tensor::from_value(record_value(Op::Iota, Operands::new(), Dims::from_slice(&[n]), DType::I32, device))
}

/// Element `i` of `n` evenly spaced numbers, counted from the nearer end, so that both ends are exact.
fn evenly(start: f64, end: f64, n: usize) -> impl Fn(usize) -> f64 + Sync {
    let step = (end - start) / (n.max(2) - 1) as f64;
    move |i| if i < n.div_ceil(2) { start + step * i as f64 } else { end - step * (n - 1 - i) as f64 }
}

impl Tensor {
    /// `start, start + step, …` below `end` (above it for a negative step). Integers if all three are.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// assert_eq!(Tensor::arange(0, 3, 1, &dev).to_vec::<i32>()?, [0, 1, 2]);
    /// assert_eq!(Tensor::arange(-1.0, 1.0, 0.5, &dev).to_vec::<f32>()?, [-1.0, -0.5, 0.0, 0.5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the step is 0 or leads away from `end`.
    #[track_caller]
    pub fn arange<T: Element>(start: T, end: T, step: T, options: impl Into<Options>) -> Tensor {
        let (start, end, step) = (start.to_f64(), end.to_f64(), step.to_f64());
        if step == 0.0 || step.is_nan() || (end - start) / step < 0.0 {
            misuse("arange", format!("steps of {step} do not lead from {start} to {end}"));
        }
        let options = options.into();
        let n = ((end - start) / step).ceil() as usize;
        let dtype = options.dtype_or("arange", T::DTYPE);
        if (start, step, dtype) == (0.0, 1.0, DType::I32) {
            return iota(n, &options.device);
        }
        let data = Data::generate(dtype, n, |i| start + i as f64 * step);
        uploaded("arange", data, &[n], &options.device)
    }

    /// `n` evenly spaced numbers from `start` to `end`, both included.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 5, &Device::cpu()).to_vec::<f32>()?, [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn linspace(start: f64, end: f64, n: usize, options: impl Into<Options>) -> Tensor {
        let options = options.into();
        let dtype = options.dtype_or("linspace", DType::F32);
        uploaded("linspace", Data::generate(dtype, n, evenly(start, end, n)), &[n], &options.device)
    }

    /// `n` numbers from `base^start` to `base^end`, both included, their logarithms evenly spaced.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::logspace(0.0, 2.0, 3, 10.0, &Device::cpu()).to_vec::<f32>()?, [1.0, 10.0, 100.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn logspace(start: f64, end: f64, n: usize, base: f64, options: impl Into<Options>) -> Tensor {
        let options = options.into();
        let dtype = options.dtype_or("logspace", DType::F32);
        let exponent = evenly(start, end, n);
        uploaded("logspace", Data::generate(dtype, n, |i| base.powf(exponent(i))), &[n], &options.device)
    }

    /// The matrix with ones on the diagonal and zeros elsewhere: `n × n` for one size, or of the two sizes given.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::eye([2, 3], &Device::cpu()).to_vec::<f32>()?, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If there are neither one nor two sizes, or one is negative.
    #[track_caller]
    pub fn eye(size: impl Ints, options: impl Into<Options>) -> Tensor {
        let options = options.into();
        let dtype = options.dtype_or("eye", DType::F32);
        let (rows, columns) = match *sizes("eye", size) {
            [n] => (n, n),
            [rows, columns] => (rows, columns),
            ref other => misuse("eye", format!("{other:?} are no sizes of a matrix")),
        };
        iota(rows, &options.device).unsqueeze(1).eq(iota(columns, &options.device)).cast(dtype)
    }

    /// The powers of a list, or of batches of lists, as the columns of a matrix: `n` of them, `x⁰` last or, increasing,
    /// first, as `torch.linalg.vander` has them. Derivative: `k xᵏ⁻¹`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([2, 3], &Device::cpu());
    /// assert_eq!(x.vander(3, false).to_vec::<i32>()?, [4, 2, 1, 9, 3, 1]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If this is 0-d.
    #[track_caller]
    pub fn vander(&self, n: impl Into<Option<usize>>, increasing: bool) -> Tensor {
        let Some(&len) = self.shape().last() else { misuse("vander", format!("{:?} is no list", self.shape())) };
        let n = n.into().unwrap_or(len);
        let mut powers: Vec<Tensor> = Vec::with_capacity(n);
        for k in 0..n {
            powers.push(if k == 0 { self.ones_like() } else { &powers[k - 1] * self });
        }
        if powers.is_empty() {
            return self.unsqueeze(-1).narrow(-1, 0, 0);
        }
        if !increasing {
            powers.reverse();
        }
        Tensor::stack(&powers, -1)
    }
}
