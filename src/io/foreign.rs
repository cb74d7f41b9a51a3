//! Element types of files, of which some are not ours.

use crate::dtype::DType;
use crate::elements::Data;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use half::{bf16, f16};
use std::borrow::Cow;

macro_rules! types {
    ($($name:ident $t:ty => $variant:ident $as:ty, $npy:literal, $torch:literal;)*) => {
        /// An element type in a file, little-endian.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Foreign { $($name),* }

        impl Foreign {
            pub fn size(self) -> usize {
                match self { $(Foreign::$name => size_of::<$t>()),* }
            }

            /// The type that NumPy writes so.
            pub fn npy(descr: &str) -> Option<Foreign> {
                match descr { $($npy => Some(Foreign::$name),)* _ => None }
            }

            /// The type of the elements of a PyTorch storage.
            pub fn torch(storage: &str) -> Option<Foreign> {
                match storage { $($torch => Some(Foreign::$name),)* _ => None }
            }

            /// How NumPy writes it.
            pub fn descr(self) -> &'static str {
                match self { $(Foreign::$name => $npy),* }
            }

            /// The elements; or the first that our type cannot hold.
            pub fn read(self, bytes: &[u8]) -> Result<Data, String> {
                match self { $(Foreign::$name => {
                    let words = bytes.chunks_exact(size_of::<$t>());
                    words.map(|word| <$t as Word>::of(word).held().ok_or_else(|| {
                        format!("holds {:?}, which {} cannot", <$t as Word>::of(word), stringify!($as))
                    })).collect::<Result<Vec<$as>, String>>().map(Data::$variant)
                })* }
            }
        }
    };
}
types! {
    Bool Byte => Bool bool, "|b1", "BoolStorage";
    U8 u8 => I32 i32, "|u1", "ByteStorage";
    I8 i8 => I32 i32, "|i1", "CharStorage";
    U16 u16 => I32 i32, "<u2", "UInt16Storage";
    I16 i16 => I32 i32, "<i2", "ShortStorage";
    U32 u32 => U32 u32, "<u4", "UInt32Storage";
    I32 i32 => I32 i32, "<i4", "IntStorage";
    U64 u64 => U32 u32, "<u8", "UInt64Storage";
    I64 i64 => I32 i32, "<i8", "LongStorage";
    F16 f16 => F16 f16, "<f2", "HalfStorage";
    BF16 bf16 => BF16 bf16, "bfloat16", "BFloat16Storage";
    F32 f32 => F32 f32, "<f4", "FloatStorage";
    F64 f64 => F64 f64, "<f8", "DoubleStorage";
}

impl From<DType> for Foreign {
    fn from(dtype: DType) -> Foreign {
        match dtype {
            DType::Bool => Foreign::Bool,
            DType::U32 => Foreign::U32,
            DType::I32 => Foreign::I32,
            DType::BF16 => Foreign::BF16,
            DType::F16 => Foreign::F16,
            DType::F32 => Foreign::F32,
            DType::F64 => Foreign::F64,
        }
    }
}

/// A tensor of what a file holds; doubles become `F32` where there are none.
pub fn tensor(data: Data, shape: &[usize], device: &Device) -> Result<Tensor> {
    let narrow = data.dtype() == DType::F64 && !device.supports(DType::F64);
    Tensor::from_data(if narrow { data.cast(DType::F32) } else { data }, shape, device)
}

/// The bytes of elements, little-endian.
pub fn bytes(data: &Data) -> Cow<'_, [u8]> {
    match data {
        Data::Bool(v) => Cow::Owned(v.iter().map(|&x| x as u8).collect()),
        Data::U32(v) => little(v),
        Data::I32(v) => little(v),
        Data::BF16(v) => Cow::Owned(v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::F16(v) => Cow::Owned(v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::F32(v) => little(v),
        Data::F64(v) => little(v),
    }
}

/// This machine's order of bytes is that of the files: wgpu runs on no other.
fn little<T: bytemuck::NoUninit>(v: &[T]) -> Cow<'_, [u8]> {
    const { assert!(cfg!(target_endian = "little"), "files are little-endian") };
    Cow::Borrowed(bytemuck::cast_slice(v))
}

/// A byte that is 0 or not.
#[derive(Clone, Copy, Debug)]
struct Byte(u8);

/// An element as it lies in a file.
trait Word: Copy + std::fmt::Debug {
    fn of(bytes: &[u8]) -> Self;
}

/// What our type makes of it.
trait Held<T> {
    fn held(self) -> Option<T>;
}

impl Word for Byte {
    fn of(bytes: &[u8]) -> Byte {
        Byte(bytes[0])
    }
}

impl Held<bool> for Byte {
    fn held(self) -> Option<bool> {
        Some(self.0 != 0)
    }
}

macro_rules! words {
    ($($t:ty => $as:ty),*) => { $(
        impl Word for $t {
            fn of(bytes: &[u8]) -> $t {
                <$t>::from_le_bytes(bytes.try_into().expect("a word of this size"))
            }
        }

        impl Held<$as> for $t {
            fn held(self) -> Option<$as> {
                <$as>::try_from(self).ok()
            }
        }
    )* };
}
words!(u8 => i32, i8 => i32, u16 => i32, i16 => i32, u32 => u32, i32 => i32, u64 => u32, i64 => i32);
words!(f16 => f16, bf16 => bf16, f32 => f32, f64 => f64);
