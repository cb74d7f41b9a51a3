//! Affine maps of the last dimension.

use crate::error::misuse;
use crate::tensor::Tensor;
use crate::tensor::autocast::no_autocast;

impl Tensor {
    /// `y = x wᵀ + b` over the last dimension of `x`; `w` has the shape `[out, in]` or `[in]`, `b` `[out]` or `[]`.
    /// Narrow floats are rounded once, after the sum. Derivatives: `g w`, `gᵀ x` and the sum of `g`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (x, w) = (Tensor::new([[1.0, 2.0]], &dev), Tensor::new([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]], &dev));
    /// assert_eq!(x.linear(&w, Some(&Tensor::new([0.0, 0.0, 1.0], &dev))).to_vec::<f32>()?, [11.0, 17.0, 24.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit or the operands are not of one float type.
    ///
    /// Source: [torch.nn.functional.linear](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html).
    #[track_caller]
    pub fn linear(&self, w: &Tensor, b: Option<&Tensor>) -> Tensor {
        let fits = self.rank() > 0
            && matches!(w.rank(), 1 | 2)
            && w.shape().last() == self.shape().last()
            && b.is_none_or(|b| b.shape().is_empty() || *b.shape() == w.shape()[..w.rank() - 1]);
        if !fits {
            let bias = b.map(|b| format!(", bias {:?}", b.shape())).unwrap_or_default();
            misuse("linear", format!("shapes do not fit: input {:?}, weight {:?}{bias}", self.shape(), w.shape()));
        }
        match b {
            Some(b) => {
                let product = |x: &Tensor, w: &Tensor, y| x.matmul_as("linear", w, y);
                b.plus_product("linear", self, &w.t(), product, [1.into(), 1.into()])
            }
            None => self.matmul_named("linear", &w.t()),
        }
    }

    /// `yₒ = aᵀ Wₒ b + cₒ` over the last dimensions of `a` and `b`, whose others are the same; `w` has the shape
    /// `[out, in of a, in of b]`, `c` `[out]`.
    ///
    /// # Panics
    /// If the shapes do not fit or the operands are not of one float type.
    ///
    /// Source: [torch.nn.functional.bilinear](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.bilinear.html).
    #[track_caller]
    pub fn bilinear(&self, b: &Tensor, w: &Tensor, c: Option<&Tensor>) -> Tensor {
        let (a, rank) = (self, self.rank());
        let fits = rank > 0
            && b.rank() == rank
            && w.rank() == 3
            && a.shape()[..rank - 1] == b.shape()[..rank - 1]
            && (a.shape()[rank - 1], b.shape()[rank - 1]) == (w.shape()[1], w.shape()[2])
            && c.is_none_or(|c| *c.shape() == w.shape()[..1]);
        if !fits {
            let bias = c.map(|c| format!(", bias {:?}", c.shape())).unwrap_or_default();
            misuse(
                "bilinear",
                format!("shapes do not fit: {:?} and {:?}, weight {:?}{bias}", a.shape(), b.shape(), w.shape()),
            );
        }
        let [a, b, w] = &Tensor::widest([a, b, w]);
        let _as_given = no_autocast();
        let (out, of_a, of_b) = (w.shape()[0], w.shape()[1], w.shape()[2]);
        // First `aᵀ Wₒ` for every output, as one product.
        let mut shape = a.shape().to_vec();
        shape[rank - 1] = out;
        shape.push(of_b);
        let by_a = a.matmul(&w.transpose(0, 1).reshape([of_a, out * of_b])).reshape(shape);
        let y = by_a.matmul(&b.unsqueeze(-1)).squeeze(-1);
        match c {
            Some(c) => y + c,
            None => y,
        }
    }
}
