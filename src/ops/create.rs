//! Tensors of host data and of constants; `ranges.rs` and `draw.rs` have ranges and random numbers.

use crate::dtype::{DType, Element};
use crate::elements::Data;
use crate::error::{Result, misuse};
use crate::ops::map::expect_supported;
use crate::ops::op::Op;
use crate::shape::{Dims, Ints, numel, sizes};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use crate::tensor::mode::site;
use crate::tensor::value::{Operands, Value};

/// Where a new tensor lives and, if that is said, its dtype: `&device` or `(&device, DType::I32)`.
#[derive(Clone)]
pub struct Options {
    pub(crate) device: Device,
    pub(crate) dtype: Option<DType>,
}

impl Options {
    /// The dtype, with the one it has if none is said; panics if tensors of it cannot live there.
    #[track_caller]
    pub(crate) fn dtype_or(&self, op: &str, default: DType) -> DType {
        let dtype = self.dtype.unwrap_or(default);
        expect_supported(op, dtype, &self.device);
        dtype
    }
}

impl From<&Device> for Options {
    fn from(device: &Device) -> Options {
        Options { device: device.clone(), dtype: None }
    }
}

impl From<(&Device, DType)> for Options {
    fn from((device, dtype): (&Device, DType)) -> Options {
        Options { device: device.clone(), dtype: Some(dtype) }
    }
}

/// Host data a tensor can be made from: a number, nested arrays, a slice, a vector, or a pair of a vector and a shape.
pub trait IntoData {
    /// The type of one element.
    type Element: Element;
    /// The elements in row-major order, and the shape.
    #[track_caller]
    fn into_data(self) -> (Vec<Self::Element>, Vec<usize>);
}

impl<T: Element> IntoData for T {
    type Element = T;
    #[track_caller]
    fn into_data(self) -> (Vec<T>, Vec<usize>) {
        (vec![self], vec![])
    }
}

impl<A: IntoData, const N: usize> IntoData for [A; N] {
    type Element = A::Element;
    #[track_caller]
    fn into_data(self) -> (Vec<A::Element>, Vec<usize>) {
        nested(self.into_iter())
    }
}

impl<A: IntoData> IntoData for Vec<A> {
    type Element = A::Element;
    #[track_caller]
    fn into_data(self) -> (Vec<A::Element>, Vec<usize>) {
        nested(self.into_iter())
    }
}

impl<A: IntoData + Copy> IntoData for &[A] {
    type Element = A::Element;
    #[track_caller]
    fn into_data(self) -> (Vec<A::Element>, Vec<usize>) {
        nested(self.iter().copied())
    }
}

impl<A: IntoData + Copy, const N: usize> IntoData for &[A; N] {
    type Element = A::Element;
    #[track_caller]
    fn into_data(self) -> (Vec<A::Element>, Vec<usize>) {
        nested(self.iter().copied())
    }
}

impl<A: IntoData + Clone> IntoData for &Vec<A> {
    type Element = A::Element;
    #[track_caller]
    fn into_data(self) -> (Vec<A::Element>, Vec<usize>) {
        nested(self.iter().cloned())
    }
}

#[track_caller]
fn nested<A: IntoData>(rows: impl ExactSizeIterator<Item = A>) -> (Vec<A::Element>, Vec<usize>) {
    let mut shape = vec![rows.len()];
    let mut elements = Vec::with_capacity(rows.len());
    for (i, row) in rows.enumerate() {
        let (row, inner) = row.into_data();
        if i == 0 {
            shape.extend(&inner);
        } else if shape[1..] != inner[..] {
            misuse("new", format!("rows differ in shape: {:?} and {inner:?}", &shape[1..]));
        }
        elements.extend(row);
    }
    (elements, shape)
}

impl Tensor {
    /// A tensor of host data: a number, nested arrays, slices or vectors. Floats make an `F32` tensor, integers an
    /// `I32` one, unless another dtype is asked for.
    ///
    /// ```
    /// use wgrad::{DType, Device, Tensor};
    /// let dev = Device::cpu();
    /// let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &dev);
    /// assert_eq!((x.shape(), x.dtype()), (&[2, 3][..], DType::F32));
    /// let i = Tensor::new(vec![1, 2], (&dev, DType::U32));
    /// assert_eq!(i.to_vec::<u32>()?, [1, 2]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If rows differ in length, or the device cannot hold the dtype or the data.
    #[track_caller]
    pub fn new<A: IntoData>(data: A, options: impl Into<Options>) -> Tensor {
        let (elements, shape) = data.into_data();
        Tensor::from_elements("new", &elements, &shape, options.into())
    }

    /// A tensor of the elements of a slice in row-major order.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2], &Device::cpu());
    /// assert_eq!(x.shape(), [2, 2]);
    /// ```
    ///
    /// # Panics
    /// If the shape does not have as many elements as the slice.
    #[track_caller]
    pub fn from_slice<T: Element>(elements: &[T], shape: impl Ints, options: impl Into<Options>) -> Tensor {
        Tensor::from_elements("from_slice", elements, &sizes("from_slice", shape), options.into())
    }

    #[track_caller]
    fn from_elements<T: Element>(op: &str, elements: &[T], shape: &[usize], options: Options) -> Tensor {
        if numel(shape) != elements.len() {
            misuse(op, format!("{} elements do not fill shape {shape:?}", elements.len()));
        }
        let dtype = options.dtype_or(op, T::DTYPE);
        uploaded(op, Data::generate(dtype, elements.len(), |i| elements[i].to_f64()), shape, &options.device)
    }

    /// A tensor of elements that are typed already.
    ///
    /// # Errors
    /// If the device has no memory for them.
    #[track_caller]
    pub fn from_data(data: Data, shape: &[usize], device: &Device) -> Result<Tensor> {
        if numel(shape) != data.len() {
            misuse("from_data", format!("{} elements do not fill shape {shape:?}", data.len()));
        }
        expect_supported("from_data", data.dtype(), device);
        let dtype = data.dtype();
        if data.is_empty() {
            return Ok(full(0.0, Dims::from_slice(shape), dtype, device));
        }
        let buffer = device.upload(data)?;
        Ok(Tensor::from_value(Value::ready(buffer, Dims::from_slice(shape), dtype, device, site())))
    }

    /// The same elements on another device. Derivative: 1.
    ///
    /// # Errors
    /// If reading or writing fails on either device.
    #[track_caller]
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if *device == self.0.device {
            return Ok(self.clone());
        }
        let y = Tensor::from_data(self.to_data()?, self.shape(), device)?;
        let from = self.device();
        Ok(crate::tensor::node::record(y, "ToCopyBackward0", &[self], &[], move |call| {
            vec![Some(call.g.to_device(&from).unwrap_or_else(|error| misuse("to_device", error)))]
        }))
    }

    /// All elements 0.
    #[track_caller]
    pub fn zeros(shape: impl Ints, options: impl Into<Options>) -> Tensor {
        Tensor::filled("zeros", shape, 0.0, options.into())
    }

    /// All elements 1.
    #[track_caller]
    pub fn ones(shape: impl Ints, options: impl Into<Options>) -> Tensor {
        Tensor::filled("ones", shape, 1.0, options.into())
    }

    /// All elements one number.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::full([2], 0.5, &Device::cpu()).to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn full<T: Element>(shape: impl Ints, x: T, options: impl Into<Options>) -> Tensor {
        let options = options.into();
        let dtype = options.dtype.unwrap_or(T::DTYPE);
        Tensor::filled("full", shape, x.to_f64(), Options { dtype: Some(dtype), ..options })
    }

    /// A tensor whose elements do not matter, as they will be written before they are read: here they are 0.
    #[track_caller]
    pub fn empty(shape: impl Ints, options: impl Into<Options>) -> Tensor {
        Tensor::filled("empty", shape, 0.0, options.into())
    }

    #[track_caller]
    fn filled(op: &str, shape: impl Ints, x: f64, options: Options) -> Tensor {
        let dtype = options.dtype_or(op, DType::F32);
        full(x, sizes(op, shape), dtype, &options.device)
    }

    /// All elements 0, in shape, dtype and device like this tensor.
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// [`Tensor::empty`] in shape, dtype and device like this tensor.
    #[track_caller]
    pub fn empty_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// All elements 1, in shape, dtype and device like this tensor.
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    /// All elements one number, in shape, dtype and device like this tensor.
    #[track_caller]
    pub fn full_like(&self, x: impl Element) -> Tensor {
        full(x.to_f64(), Dims::from_slice(self.shape()), self.dtype(), &self.0.device)
    }

    /// All elements 0, in dtype and device like this tensor.
    #[track_caller]
    pub fn new_zeros(&self, shape: impl Ints) -> Tensor {
        full(0.0, sizes("new_zeros", shape), self.dtype(), &self.0.device)
    }

    /// All elements 1, in dtype and device like this tensor.
    #[track_caller]
    pub fn new_ones(&self, shape: impl Ints) -> Tensor {
        full(1.0, sizes("new_ones", shape), self.dtype(), &self.0.device)
    }

    /// All elements one number, in dtype and device like this tensor.
    #[track_caller]
    pub fn new_full(&self, shape: impl Ints, x: impl Element) -> Tensor {
        full(x.to_f64(), sizes("new_full", shape), self.dtype(), &self.0.device)
    }

    /// [`Tensor::empty`] in dtype and device like this tensor.
    #[track_caller]
    pub fn new_empty(&self, shape: impl Ints) -> Tensor {
        full(0.0, sizes("new_empty", shape), self.dtype(), &self.0.device)
    }
}

/// A tensor of data that the device is expected to have room for.
#[track_caller]
pub(crate) fn uploaded(op: &str, data: Data, shape: &[usize], device: &Device) -> Tensor {
    match Tensor::from_data(data, shape, device) {
        Ok(x) => x,
        Err(error) => misuse(op, error),
    }
}

/// A constant of any shape.
#[track_caller]
pub(crate) fn full(x: f64, shape: Dims, dtype: DType, device: &Device) -> Tensor {
    Tensor::from_value(Value::record(Op::Full(x), Operands::new(), shape, dtype, device, site()))
}
