//! Rows of a table looked up by index, and bags of them.

use crate::dtype::DType;
use crate::error::misuse;
use crate::ops::create::full;
use crate::ops::pad::PadMode;
use crate::ops::ranges::iota;
use crate::ops::scatter::Combine;
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::mode::no_grad;
use crate::tensor::node::record;

/// How [`Tensor::embedding_with`] treats its table.
#[derive(Clone, Debug)]
pub struct EmbeddingOptions {
    /// A row, counted from the end if negative, that gets no gradient.
    pub padding_idx: Option<isize>,
    /// Rows that are looked up and whose norm is larger are first scaled down to it, in the table itself.
    pub max_norm: Option<f64>,
    /// Which p-norm `max_norm` means.
    pub norm_type: f64,
    /// Whether the gradient of a row is divided by the number of times it is looked up.
    pub scale_grad_by_freq: bool,
}

impl Default for EmbeddingOptions {
    /// A plain look-up.
    fn default() -> EmbeddingOptions {
        EmbeddingOptions { padding_idx: None, max_norm: None, norm_type: 2.0, scale_grad_by_freq: false }
    }
}

/// What [`Tensor::embedding_bag`] makes of the rows of a bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BagMode {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest element of each column.
    Max,
}

/// How [`Tensor::embedding_bag`] finds its bags and treats its table.
#[derive(Clone, Debug)]
pub struct EmbeddingBagOptions {
    /// What becomes of the rows of a bag.
    pub mode: BagMode,
    /// Where each bag begins in a list of indices; the rows of a matrix of indices are bags by themselves.
    pub offsets: Option<Tensor>,
    /// Whether the last offset is the end of the last bag and begins none.
    pub include_last_offset: bool,
    /// A factor for each index, of the indices' shape, for [`BagMode::Sum`].
    pub per_sample_weights: Option<Tensor>,
    /// As [`EmbeddingOptions`]; the row at `padding_idx` counts in no bag.
    pub table: EmbeddingOptions,
}

impl Default for EmbeddingBagOptions {
    /// The mean of the rows of a matrix of indices.
    fn default() -> EmbeddingBagOptions {
        EmbeddingBagOptions {
            mode: BagMode::Mean,
            offsets: None,
            include_last_offset: false,
            per_sample_weights: None,
            table: EmbeddingOptions::default(),
        }
    }
}

impl Tensor {
    /// The rows of a table that the integers of this tensor name: `y[.., :] = table[x[..], :]`.
    /// Derivative: each row of the table gets the sum of `g` over the places where it was looked up.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let table = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev);
    /// assert_eq!(Tensor::new([1, 0], &dev).embedding(&table).to_vec::<f32>()?, [3.0, 4.0, 1.0, 2.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If this tensor holds no integers or the table is no matrix.
    #[track_caller]
    pub fn embedding(&self, table: &Tensor) -> Tensor {
        self.embedding_with(table, EmbeddingOptions::default())
    }

    /// [`Tensor::embedding`] with a row that gets no gradient, scaled gradients, or a table whose rows are kept short.
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If this tensor holds no integers, the table is no matrix, or `padding_idx` is out of range.
    ///
    /// Source: [torch.nn.functional.embedding](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html).
    #[track_caller]
    pub fn embedding_with(&self, table: &Tensor, options: EmbeddingOptions) -> Tensor {
        let padding = self.expect_table("embedding", table, &options);
        let index = self.ravel();
        table.shorten_rows("embedding", &index, &options);
        let mut shape = Dims::from_slice(self.shape());
        shape.push(table.shape()[1]);
        let rows = table.index_select(0, &index);
        let rows = rows.with_row_gradients(&index, table.shape()[0], padding, options.scale_grad_by_freq);
        rows.reshape(&shape[..])
    }

    /// The sum, mean or maximum of the rows of a table that each bag of indices names; 0 for an empty bag. Bags are the
    /// rows of this matrix, or parts of this list. Derivative: through the rows, as of [`Tensor::embedding`]; of a
    /// maximum, through the first row that reaches it.
    ///
    /// ```
    /// use wgrad::{BagMode, Device, EmbeddingBagOptions, Tensor};
    /// let dev = Device::cpu();
    /// let table = Tensor::new([[1.0], [2.0], [4.0]], &dev);
    /// let offsets = Some(Tensor::new([0, 1], &dev));
    /// let options = EmbeddingBagOptions { mode: BagMode::Sum, offsets, ..Default::default() };
    /// assert_eq!(Tensor::new([0, 1, 2], &dev).embedding_bag(&table, options).to_vec::<f32>()?, [1.0, 6.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    ///
    /// # Panics
    /// If this tensor is no matrix of integers and no list with offsets, the table is no matrix, or there are weights of
    /// another shape or for another mode than the sum.
    ///
    /// Source: [torch.nn.functional.embedding_bag](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding_bag.html).
    #[track_caller]
    pub fn embedding_bag(&self, table: &Tensor, options: EmbeddingBagOptions) -> Tensor {
        let op = "embedding_bag";
        let padding = self.expect_table(op, table, &options.table);
        let (n, device) = (self.numel(), self.device());
        let (bags, bag) = match (&options.offsets, self.shape()) {
            (None, &[bags, each]) => (bags, iota(bags, &device).unsqueeze(1).expand([bags, each]).ravel()),
            (Some(offsets), [_]) if offsets.rank() == 1 => {
                offsets.expect_integers(op);
                let bags = offsets.numel() - (options.include_last_offset && offsets.numel() > 0) as usize;
                // The bag of a place is the last one that begins before or at it.
                (bags, offsets.narrow(0, 0, bags).searchsorted(iota(n, &device), true) - 1)
            }
            (offsets, shape) => {
                let offsets = offsets.as_ref().map(|x| format!("{:?}", x.shape())).unwrap_or("none".into());
                misuse(op, format!("indices {shape:?} with offsets {offsets} are no bags"))
            }
        };
        let weights = options.per_sample_weights.as_ref();
        if weights.is_some_and(|w| w.shape() != self.shape() || options.mode != BagMode::Sum) {
            misuse(op, format!("weights are for sums, one for each of {:?}", self.shape()));
        }
        let index = self.ravel();
        table.shorten_rows(op, &index, &options.table);
        let mut rows = table.index_select(0, &index);
        rows = rows.with_row_gradients(&index, table.shape()[0], None, options.table.scale_grad_by_freq).wide();
        // Rows of padding are replaced rather than scaled by 0: they may hold anything.
        let counted = padding.map(|padding| index.ne(padding).unsqueeze(1));
        let without_padding = |x: Tensor| match &counted {
            Some(counted) => Tensor::where_(counted, x, 0.0),
            None => x,
        };
        rows = without_padding(rows);
        if let Some(weights) = weights {
            rows = rows * without_padding(weights.wide().reshape([n, 1]));
        }
        let zeros = |columns: usize| full(0.0, Dims::from_slice(&[bags, columns]), rows.dtype(), &device);
        if bags == 0 {
            // No place has a bag, and yet the result depends on the table.
            return zeros(rows.shape()[1]).index_add(0, &index.narrow(0, 0, 0), &rows.narrow(0, 0, 0), 1.0);
        }
        let counts = || {
            let ones = without_padding(full(1.0, Dims::from_slice(&[n, 1]), rows.dtype(), &device));
            zeros(1).index_add(0, &bag, &ones, 1.0)
        };
        let y = match options.mode {
            BagMode::Sum => zeros(rows.shape()[1]).index_add(0, &bag, &rows, 1.0),
            BagMode::Mean => zeros(rows.shape()[1]).index_add(0, &bag, &rows, 1.0) / counts().maximum(1.0),
            BagMode::Max => rows.largest_of_bags(&bag, bags, counted.as_ref()),
        };
        y.cast(table.dtype())
    }

    /// The largest element of each column among the rows of each bag, the first one of equal ones; 0 for a bag of none.
    #[track_caller]
    fn largest_of_bags(&self, bag: &Tensor, bags: usize, counted: Option<&Tensor>) -> Tensor {
        let (n, device) = (self.shape()[0], self.device());
        let lines = |x: f64, dtype| full(x, Dims::from_slice(&[bags, self.shape()[1]]), dtype, &device);
        let rows = self.untracked();
        let among = match counted {
            Some(counted) => Tensor::where_(counted, &rows, f64::NEG_INFINITY),
            None => rows.clone(),
        };
        let largest = lines(f64::NEG_INFINITY, rows.dtype()).index_reduce(0, bag, &among, Combine::Amax, true);
        let found = rows.eq(largest.index_select(0, bag)).logical_or(rows.isnan());
        let found = counted.map_or(found.clone(), |counted| found.logical_and(counted));
        let places = Tensor::where_(&found, iota(n, &device).unsqueeze(1), n);
        let first = lines(n as f64, DType::I32).index_reduce(0, bag, &places, Combine::Amin, true);
        // A row of zeros behind the others is what empty bags find.
        self.pad([0, 0, 0, 1], PadMode::Constant(0.0)).gather(0, &first)
    }

    /// The rows themselves, with a gradient that leaves out one index, or is divided by how often an index occurs.
    #[track_caller]
    fn with_row_gradients(&self, index: &Tensor, n: usize, padding: Option<usize>, by_count: bool) -> Tensor {
        if padding.is_none() && !by_count || index.numel() == 0 {
            return self.clone();
        }
        let mut factor = full(1.0, Dims::from_slice(index.shape()), self.dtype(), &self.device());
        if by_count {
            let counts = full(0.0, Dims::from_slice(&[n]), self.dtype(), &self.device());
            factor = &factor / counts.index_add(0, index, &factor, 1.0).index_select(0, index);
        }
        if let Some(padding) = padding {
            factor = Tensor::where_(&index.eq(padding), 0.0, factor);
        }
        let factor = factor.unsqueeze(1);
        record(self.untracked(), "EmbeddingBackward0", &[self], &[], move |call| vec![Some(call.g * &factor)])
    }

    /// Scales the rows of a table that are looked up down to the largest norm allowed.
    #[track_caller]
    fn shorten_rows(&self, op: &str, index: &Tensor, options: &EmbeddingOptions) {
        let Some(max_norm) = options.max_norm else { return };
        let _guard = no_grad();
        let rows = self.untracked().index_select(0, index);
        let norm = rows.norm_dim(options.norm_type, 1, true);
        let scale = Tensor::where_(&norm.gt(max_norm), max_norm / (&norm + 1e-7), 1.0);
        let shortened = self.untracked().index_copy(0, index, &(rows * scale));
        if let Err(error) = self.copy_(&shortened) {
            misuse(op, error);
        }
    }

    /// Checks indices and table, and gives the row of padding.
    #[track_caller]
    fn expect_table(&self, op: &str, table: &Tensor, options: &EmbeddingOptions) -> Option<usize> {
        self.expect_integers(op);
        self.expect_same_device(op, table);
        let [rows, _] = *table.shape() else { misuse(op, format!("the table {:?} is no matrix", table.shape())) };
        let padding = options.padding_idx?;
        if !(-(rows as isize)..rows as isize).contains(&padding) {
            misuse(op, format!("padding_idx {padding} is no row of {:?}", table.shape()));
        }
        Some(padding.rem_euclid(rows as isize) as usize)
    }
}
