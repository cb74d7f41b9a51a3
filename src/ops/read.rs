//! Reading values back, and copies in row-major order.

use crate::dtype::Element;
use crate::elements::{Data, with_data};
use crate::error::{Result, misuse};
use crate::ops::create::full;
use crate::ops::map::record_value;
use crate::ops::op::Op;
use crate::shape::Layout;
use crate::tensor::node::record;
use crate::tensor::profile;
use crate::tensor::value::{Operands, Value};
use crate::tensor::{Cell, Meta, Tensor};
use std::sync::Arc;

impl Tensor {
    /// The elements in host memory.
    ///
    /// # Errors
    /// As [`Tensor::to_vec`].
    pub fn to_data(&self) -> Result<Data> {
        let whole = self.materialised();
        self.0.device.wait(self.0.device.read(&whole))
    }

    /// The elements in row-major order; waits until they have been computed.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu());
    /// assert_eq!(x.t().to_vec::<f32>()?, [1.0, 3.0, 2.0, 4.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the value could not be computed: the device was lost or has no memory, or a twin found a difference.
    ///
    /// # Panics
    /// If the elements are not of type `T`; [`Tensor::cast`] converts. Any float type may be read as `f64`.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.expect_readable_as::<T>("to_vec");
        self.to_data().map(elements)
    }

    /// [`Tensor::to_vec`] as a future that never waits for a GPU: for executors, and for browsers, where nothing may wait.
    /// On the CPU device and a twin the values are computed by the call itself.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::ones([2], &Device::cpu());
    /// assert_eq!(pollster::block_on(x.to_vec_async::<f32>())?, [1.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn to_vec_async<T: Element>(&self) -> impl Future<Output = Result<Vec<T>>> + Send + use<T> {
        self.expect_readable_as::<T>("to_vec_async");
        let whole = self.materialised();
        let read = self.0.device.read(&whole);
        async { read.await.map(elements) }
    }

    /// The one element of a tensor as a double; waits until it has been computed.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// assert_eq!(Tensor::new([1.0, 2.0], &Device::cpu()).sum().item()?, 3.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::to_vec`].
    ///
    /// # Panics
    /// If there is not exactly one element.
    #[track_caller]
    pub fn item(&self) -> Result<f64> {
        self.expect_single("item");
        self.to_data().map(|data| data.at(0))
    }

    /// [`Tensor::item`] as a future that never blocks.
    #[track_caller]
    pub fn item_async(&self) -> impl Future<Output = Result<f64>> + Send + use<> {
        self.expect_single("item_async");
        let whole = self.materialised();
        let read = self.0.device.read(&whole);
        async { read.await.map(|data| data.at(0)) }
    }

    #[track_caller]
    fn expect_single(&self, op: &str) {
        if self.numel() != 1 {
            misuse(op, format!("a tensor of shape {:?} has {} elements, not one", self.shape(), self.numel()));
        }
    }

    #[track_caller]
    fn expect_readable_as<T: Element>(&self, op: &str) {
        let double = std::any::TypeId::of::<T>() == std::any::TypeId::of::<f64>();
        if !(double && self.dtype().is_float()) && (double || T::DTYPE != self.dtype()) {
            misuse(
                op,
                format!(
                    "{} elements of shape {:?} cannot be read as {}; cast them",
                    self.dtype(),
                    self.shape(),
                    std::any::type_name::<T>()
                ),
            );
        }
    }

    /// The elements as a value of their own in row-major order.
    #[track_caller]
    pub(crate) fn materialised(&self) -> Arc<Value> {
        let operand = self.operand();
        if operand.layout.is_whole(operand.value.numel()) {
            return operand.value;
        }
        if let Op::Full(x) = operand.value.op {
            return full(x, operand.layout.shape, self.dtype(), &self.0.device).0.cell.value();
        }
        let shape = operand.layout.shape.clone();
        record_value(Op::Cast, Operands::from_iter([operand]), shape, self.dtype(), &self.0.device)
    }

    /// This tensor if its elements lie in row-major order, else a copy of which they do. Derivative: 1.
    #[track_caller]
    pub fn contiguous(&self) -> Tensor {
        if self.is_contiguous() { self.clone() } else { self.copy() }
    }

    /// This result, or a copy of it if it shares storage with an operand: where PyTorch computes, a change in place must
    /// not reach the operand.
    #[track_caller]
    pub(crate) fn apart_from(&self, x: &Tensor) -> Tensor {
        if self.shares_storage(x) { self.copy() } else { self.clone() }
    }

    /// A copy with storage of its own. Derivative: 1.
    #[track_caller]
    pub fn copy(&self) -> Tensor {
        let _operation = profile::operation("clone");
        let cell = Cell::new(self.materialised());
        let y = Tensor::from_parts(
            cell,
            Layout::contiguous(self.shape()),
            self.dtype(),
            self.device(),
            Meta::default(),
            None,
        );
        record(y, "CloneBackward0", &[self], &[], |call| vec![Some(call.g.clone())])
    }
}

fn elements<T: Element>(data: Data) -> Vec<T> {
    with_data!(&data, v => v.iter().map(|x| T::from_f64(x.to_f64())).collect())
}
