//! Elements as a GPU stores them: a word each, or two narrow floats a word, the first one in the lower half.

use crate::dtype::DType;
use crate::elements::Data;
use half::{bf16, f16};
use std::borrow::Cow;

/// The bytes of elements in device memory.
pub(super) fn pack(data: &Data) -> Cow<'_, [u8]> {
    match data {
        Data::F32(v) => Cow::Borrowed(bytemuck::cast_slice(v)),
        Data::I32(v) => Cow::Borrowed(bytemuck::cast_slice(v)),
        Data::U32(v) => Cow::Borrowed(bytemuck::cast_slice(v)),
        Data::Bool(v) => bytes(v.iter().map(|&x| x as u32)),
        Data::F16(v) => bytes(v.chunks(2).map(|pair| halves(pair, f16::to_bits))),
        Data::BF16(v) => bytes(v.chunks(2).map(|pair| halves(pair, bf16::to_bits))),
        Data::F64(_) => unreachable!("no GPU tensor is f64"),
    }
}

/// The first `len` elements in bytes from device memory.
pub(super) fn unpack(bytes: &[u8], dtype: DType, len: usize) -> Data {
    let words = || bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let halves = || bytes.chunks_exact(2).map(|half| u16::from_le_bytes([half[0], half[1]])).take(len);
    match dtype {
        DType::F32 => Data::F32(words().take(len).map(f32::from_bits).collect()),
        DType::I32 => Data::I32(words().take(len).map(|word| word as i32).collect()),
        DType::U32 => Data::U32(words().take(len).collect()),
        DType::Bool => Data::Bool(words().take(len).map(|word| word != 0).collect()),
        DType::F16 => Data::F16(halves().map(f16::from_bits).collect()),
        DType::BF16 => Data::BF16(halves().map(bf16::from_bits).collect()),
        DType::F64 => unreachable!("no GPU tensor is f64"),
    }
}

fn bytes(words: impl Iterator<Item = u32>) -> Cow<'static, [u8]> {
    Cow::Owned(words.flat_map(u32::to_le_bytes).collect())
}

fn halves<T: Copy>(pair: &[T], bits: impl Fn(T) -> u16) -> u32 {
    bits(pair[0]) as u32 | pair.get(1).map_or(0, |&x| (bits(x) as u32) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back() {
        let narrow = [1.0, -2.5, 0.0].map(f16::from_f64).to_vec();
        let data = [
            Data::F32(vec![1.5, f32::INFINITY]),
            Data::I32(vec![-1, i32::MIN]),
            Data::Bool(vec![true, false, true]),
            Data::F16(narrow),
            Data::BF16(vec![crate::dtype::to_bf16(3.0)]),
        ];
        for x in data {
            assert_eq!(unpack(&pack(&x), x.dtype(), x.len()), x);
            assert_eq!(pack(&x).len() % 4, 0);
        }
    }
}
