//! Collating: one batch of many samples.

use crate::dtype::Element;
use crate::elements::Stored;
use crate::error::{Error, Kind, Result, catch};
use crate::func::Tree;
use crate::ops::create::IntoData;
use crate::shape::numel;
use crate::tensor::Tensor;
use crate::tensor::device::Device;

/// A sample that a batch can be made of: numbers become a tensor of shape `[n]`, vectors and (nested) arrays of numbers of
/// one of `[n, ..]`, tensors are stacked, strings are listed, and tuples become tuples.
pub trait Collate: Sized {
    /// What `n` samples become.
    type Batch: Send;

    /// The batch, on a device.
    ///
    /// # Errors
    /// If the samples differ in shape, or the device has no memory left.
    fn collate(samples: Vec<Self>, device: &Device) -> Result<Self::Batch>;
}

/// Elements with a shape, as a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// The elements in row-major order.
    pub elements: Vec<T>,
    /// Their shape.
    pub shape: Vec<usize>,
}

/// One row of each tensor of a structure, as a sample; a batch is the structure.
#[derive(Clone, Debug)]
pub struct Row<T>(pub T);

fn differ(first: &[usize], other: &[usize]) -> Error {
    Error::new(Kind::Data, format!("collate: the samples of one batch differ in shape: {first:?} and {other:?}"))
}

macro_rules! numbers {
    ($($t:ty),*) => { $(
        impl Collate for $t {
            type Batch = Tensor;

            fn collate(samples: Vec<$t>, device: &Device) -> Result<Tensor> {
                let n = samples.len();
                Tensor::from_data(<$t as Stored>::wrap(samples), &[n], device)
            }
        }
    )* };
}
numbers!(bool, u32, i32, half::bf16, half::f16, f32, f64);

impl<T: IntoData> Collate for Vec<T> {
    type Batch = Tensor;

    fn collate(samples: Vec<Vec<T>>, device: &Device) -> Result<Tensor> {
        stacked(samples, device)
    }
}

impl<T: IntoData, const N: usize> Collate for [T; N] {
    type Batch = Tensor;

    fn collate(samples: Vec<[T; N]>, device: &Device) -> Result<Tensor> {
        stacked(samples, device)
    }
}

/// Rows that differ in shape are a misuse of a tensor, and an error of a file.
fn stacked<A>(samples: Vec<A>, device: &Device) -> Result<Tensor>
where
    Vec<A>: IntoData,
{
    let what = |error: Error| Error::with_source(Kind::Data, format!("collate: {error}"), error);
    catch(|| Tensor::new(samples, device)).map_err(what)
}

impl<T: Element> Collate for Array<T> {
    type Batch = Tensor;

    fn collate(samples: Vec<Array<T>>, device: &Device) -> Result<Tensor> {
        let first = samples.first().map_or(Vec::new(), |sample| sample.shape.clone());
        let mut elements = Vec::with_capacity(samples.len() * numel(&first));
        for sample in &samples {
            if sample.shape != first || sample.elements.len() != numel(&first) {
                return Err(differ(&first, &sample.shape));
            }
            elements.extend_from_slice(&sample.elements);
        }
        let shape = [&[samples.len()], &first[..]].concat();
        catch(|| Tensor::from_slice(&elements, shape, device))
    }
}

impl Collate for Tensor {
    type Batch = Tensor;

    fn collate(samples: Vec<Tensor>, device: &Device) -> Result<Tensor> {
        if let Some(other) = samples.iter().find(|sample| sample.shape() != samples[0].shape()) {
            return Err(differ(samples[0].shape(), other.shape()));
        }
        Tensor::stack(&samples, 0).to_device(device)
    }
}

impl<T: Tree + Send> Collate for Row<T> {
    type Batch = T;

    fn collate(samples: Vec<Row<T>>, device: &Device) -> Result<T> {
        let rows: Vec<Vec<Tensor>> = samples.iter().map(|sample| sample.0.tensors()).collect();
        let column = |k: usize| Tensor::collate(rows.iter().map(|row| row[k].clone()).collect(), device);
        let columns: Vec<Tensor> = (0..rows[0].len()).map(column).collect::<Result<_>>()?;
        Ok(samples[0].0.with(&mut columns.into_iter()))
    }
}

impl Collate for String {
    type Batch = Vec<String>;

    fn collate(samples: Vec<String>, _: &Device) -> Result<Vec<String>> {
        Ok(samples)
    }
}

macro_rules! tuples {
    ($($($part:ident $i:tt)*;)*) => { $(
        impl<$($part: Collate),*> Collate for ($($part,)*) {
            type Batch = ($($part::Batch,)*);

            #[allow(non_snake_case, reason = "the variables are named as their types")]
            fn collate(samples: Vec<Self>, device: &Device) -> Result<Self::Batch> {
                $(let mut $part = Vec::with_capacity(samples.len());)*
                for sample in samples {
                    $($part.push(sample.$i);)*
                }
                Ok(($($part::collate($part, device)?,)*))
            }
        }
    )* };
}
tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
}
