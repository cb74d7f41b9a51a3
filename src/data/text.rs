//! Text as numbers: characters, tokenizers, and windows to predict the next token in.

use super::sets::Dataset;
use crate::error::{Error, Kind, Result, misuse};
use std::collections::{BTreeSet, HashMap};
#[cfg(feature = "tokenizers")]
use {crate::elements::Data, crate::tensor::Tensor, crate::tensor::device::Device, std::iter::repeat_n};

/// One number per character of a text, in the order of Unicode.
///
/// ```
/// use wgrad::data::Characters;
/// let characters = Characters::of("banana");
/// assert_eq!((characters.len(), characters.encode("nab")?), (3, vec![2, 0, 1]));
/// assert_eq!(characters.decode(&[1, 0, 2])?, "ban");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Characters {
    all: Vec<char>,
    numbers: HashMap<char, i32>,
}

impl Characters {
    /// The characters that occur in a text.
    pub fn of(text: &str) -> Characters {
        let all: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
        let numbers = all.iter().copied().zip(0..).collect();
        Characters { all, numbers }
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty, reason = "the size of a vocabulary")]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The numbers of a text's characters.
    ///
    /// # Errors
    /// If a character is none of these.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let number = |(at, c)| {
            let unknown =
                || Error::new(Kind::Data, format!("Characters: {c:?} at character {at} is none of {}", self.all.len()));
            self.numbers.get(&c).copied().ok_or_else(unknown)
        };
        text.chars().enumerate().map(number).collect()
    }

    /// The text of numbers.
    ///
    /// # Errors
    /// If a number is out of range.
    pub fn decode(&self, tokens: &[i32]) -> Result<String> {
        let unknown =
            |token| Error::new(Kind::Data, format!("Characters: there is no token {token} among {}", self.all.len()));
        tokens.iter().map(|&t| self.all.get(t as usize).copied().ok_or_else(|| unknown(t))).collect()
    }
}

/// Windows of a list of tokens: a sample is `length` tokens, and the tokens that follow each of them.
///
/// ```
/// use wgrad::data::{Dataset, Windows};
/// let windows = Windows::new(vec![1, 2, 3, 4, 5], 3, 1);
/// assert_eq!((windows.len(), windows.get(1)?), (2, (vec![2, 3, 4], vec![3, 4, 5])));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Windows {
    tokens: Vec<i32>,
    length: usize,
    stride: usize,
}

impl Windows {
    /// Windows that begin `stride` tokens apart.
    ///
    /// # Panics
    /// If length or stride is 0.
    #[track_caller]
    pub fn new(tokens: Vec<i32>, length: usize, stride: usize) -> Windows {
        if length == 0 || stride == 0 {
            misuse("Windows", format!("windows of {length} tokens, {stride} apart"));
        }
        Windows { tokens, length, stride }
    }
}

impl Dataset for Windows {
    type Item = (Vec<i32>, Vec<i32>);

    fn len(&self) -> usize {
        self.tokens.len().checked_sub(self.length + 1).map_or(0, |rest| rest / self.stride + 1)
    }

    fn get(&self, i: usize) -> Result<Self::Item> {
        let at = i * self.stride;
        let Some(window) = self.tokens[..].get(at..at + self.length + 1) else {
            return Err(Error::new(Kind::Data, format!("Windows: no window {i} among {}", self.len())));
        };
        Ok((window[..self.length].to_vec(), window[1..].to_vec()))
    }
}

/// A tokenizer that a `tokenizer.json` describes.
///
/// Source: [Hugging Face Tokenizers](https://huggingface.co/docs/tokenizers).
#[cfg(feature = "tokenizers")]
pub struct Tokenizer {
    tokenizer: tokenizers::Tokenizer,
    /// What shorter texts of a batch are filled up with.
    padding: i32,
}

/// Texts as one batch, the shorter ones filled up at their ends.
#[cfg(feature = "tokenizers")]
#[derive(Clone, Debug)]
pub struct BatchEncoding {
    /// The tokens, `[texts, longest]`, `I32`.
    pub input_ids: Tensor,
    /// Where there is a token of the text and no filling, `[texts, longest]`, `Bool`.
    pub attention_mask: Tensor,
}

#[cfg(feature = "tokenizers")]
fn refused(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Data, format!("Tokenizer: {error}"))
}

#[cfg(feature = "tokenizers")]
impl Tokenizer {
    /// Reads a `tokenizer.json`. Texts are cut as it says, and filled up only in a batch.
    ///
    /// # Errors
    /// If the file cannot be read or understood.
    pub fn read(path: impl AsRef<std::path::Path>) -> Result<Tokenizer> {
        let path = path.as_ref();
        let mut tokenizer = tokenizers::Tokenizer::from_file(path)
            .map_err(|error| Error::new(Kind::Data, format!("{}: {error}", path.display())))?;
        let padding = tokenizer.get_padding().map_or(0, |padding| padding.pad_id as i32);
        tokenizer.with_padding(None);
        Ok(Tokenizer { tokenizer, padding })
    }

    /// Cuts texts to so many tokens, those around them counted, instead of what the file says.
    ///
    /// # Panics
    /// If the tokens around a text alone are as many.
    #[track_caller]
    pub fn with_max_length(mut self, tokens: usize) -> Tokenizer {
        use tokenizers::PostProcessor;
        let around = self.tokenizer.get_post_processor().map_or(0, |around| around.added_tokens(false));
        if tokens <= around {
            misuse("Tokenizer", format!("{tokens} tokens leave no place for a text beside the {around} around it"));
        }
        let cut = tokenizers::TruncationParams { max_length: tokens, ..Default::default() };
        self.tokenizer.with_truncation(Some(cut)).expect("the cut parts do not overlap");
        self
    }

    /// The tokens of a text, with those that the model expects around it.
    ///
    /// # Errors
    /// If the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let encoding = self.tokenizer.encode(text, true).map_err(refused)?;
        Ok(encoding.get_ids().iter().map(|&id| id as i32).collect())
    }

    /// The tokens of several texts as tensors on a device.
    ///
    /// # Errors
    /// If the tokenizer refuses a text, or the device has no memory left.
    pub fn encode_batch(&self, texts: &[impl AsRef<str>], device: &Device) -> Result<BatchEncoding> {
        let rows = texts.iter().map(|text| self.encode(text.as_ref())).collect::<Result<Vec<_>>>()?;
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for row in &rows {
            let filling = longest - row.len();
            ids.extend(row.iter().copied().chain(repeat_n(self.padding, filling)));
            mask.extend(repeat_n(true, row.len()).chain(repeat_n(false, filling)));
        }
        let shape = [rows.len(), longest];
        Ok(BatchEncoding {
            input_ids: Tensor::from_data(Data::I32(ids), &shape, device)?,
            attention_mask: Tensor::from_data(Data::Bool(mask), &shape, device)?,
        })
    }

    /// The text of tokens.
    ///
    /// # Errors
    /// If the tokenizer refuses them.
    pub fn decode(&self, tokens: &[i32]) -> Result<String> {
        let ids: Vec<u32> = tokens.iter().map(|&token| token as u32).collect();
        self.tokenizer.decode(&ids, true).map_err(refused)
    }
}
