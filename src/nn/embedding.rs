//! Tables of vectors, looked up by number.

use crate::nn::Hooks;
use crate::nn::layer::{layers, parameter};
use crate::ops::create::Options;
use crate::ops::embedding::{EmbeddingBagOptions, EmbeddingOptions};
use crate::shape::axis;
use crate::tensor::Tensor;

layers! {
    /// Rows of a table for numbers of any shape; the table begins normal, and the row at `padding_idx` 0.
    ///
    /// ```
    /// use wgrad::nn::{Embedding, Layer};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let words = Embedding::new(10, 4, Default::default(), &dev);
    /// assert_eq!(words.forward(&Tensor::new([[1, 2, 3]], &dev)).shape(), [1, 3, 4]);
    /// ```
    ///
    /// Source: [torch.nn.Embedding](https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html).
    Embedding {
        /// `[numbers, size]`
        weight: Tensor,
        /// How rows are looked up.
        options: EmbeddingOptions,
    }
    members [weight];
    |s, x| x.embedding_with(&s.weight, s.options.clone())

    /// The sum, mean or largest elements of the rows of each bag; the table begins as that of [`Embedding`].
    ///
    /// ```
    /// use wgrad::nn::{EmbeddingBag, Layer};
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let bags = EmbeddingBag::new(10, 4, Default::default(), &dev);
    /// assert_eq!(bags.forward(&Tensor::new([[1, 2, 3], [4, 5, 6]], &dev)).shape(), [2, 4]);
    /// ```
    ///
    /// Source: [torch.nn.EmbeddingBag](https://docs.pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html).
    EmbeddingBag {
        /// `[numbers, size]`
        weight: Tensor,
        /// How bags are found and rows looked up.
        options: EmbeddingBagOptions,
    }
    members [weight];
    |s, x| x.embedding_bag(&s.weight, s.options.clone())
}

#[track_caller]
fn table(op: &str, numbers: usize, size: usize, padding_idx: Option<isize>, place: Options) -> Tensor {
    let table = Tensor::randn([numbers, size], place);
    let padding = padding_idx.map(|row| axis(op, &vec![0; numbers], row));
    if let Some(row) = padding {
        table.select(0, row as isize).zero_().expect("a new table can be changed");
    }
    parameter(table.untracked())
}

impl Embedding {
    /// A table of `numbers` vectors of a size.
    #[track_caller]
    pub fn new(numbers: usize, size: usize, options: EmbeddingOptions, place: impl Into<Options>) -> Embedding {
        let weight = table("Embedding", numbers, size, options.padding_idx, place.into());
        Embedding { weight, options, hooks: Hooks::default() }
    }
}

impl EmbeddingBag {
    /// A table of `numbers` vectors of a size.
    #[track_caller]
    pub fn new(numbers: usize, size: usize, options: EmbeddingBagOptions, place: impl Into<Options>) -> EmbeddingBag {
        let weight = table("EmbeddingBag", numbers, size, options.table.padding_idx, place.into());
        EmbeddingBag { weight, options, hooks: Hooks::default() }
    }

    /// The result for numbers in a line, with the places where bags begin.
    #[track_caller]
    pub fn forward_offsets(&self, x: &Tensor, offsets: &Tensor) -> Tensor {
        let options = EmbeddingBagOptions { offsets: Some(offsets.clone()), ..self.options.clone() };
        let call = self.hooks.enter(&[x]);
        let y = call.inputs[0].embedding_bag(&self.weight, options);
        call.leave(y)
    }
}
