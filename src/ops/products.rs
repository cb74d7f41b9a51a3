//! Products of vectors and matrices by their names, and what is made of them.

use crate::error::misuse;
use crate::ops::composite::composite;
use crate::ops::contract::{Labels, contract};
use crate::ops::create::full;
use crate::ops::distance::pair;
use crate::shape::{Dims, Ints, axis};
use crate::tensor::autocast::no_autocast;
use crate::tensor::{Replay, Tensor};

/// Which dimensions [`Tensor::tensordot`] sums over: so many (the last of one operand with the first of the other), or a list
/// for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Contracted(Result<usize, [Vec<isize>; 2]>);

impl From<usize> for Contracted {
    fn from(n: usize) -> Contracted {
        Contracted(Ok(n))
    }
}

impl From<i32> for Contracted {
    fn from(n: i32) -> Contracted {
        Contracted(Ok(n.max(0) as usize))
    }
}

impl<A: Ints, B: Ints> From<(A, B)> for Contracted {
    fn from((a, b): (A, B)) -> Contracted {
        Contracted(Err([a.ints().to_vec(), b.ints().to_vec()]))
    }
}

impl Tensor {
    /// The product of two matrices; otherwise as [`Tensor::matmul`].
    #[track_caller]
    pub fn mm(&self, b: &Tensor) -> Tensor {
        self.expect_ranks("mm", 2, b, 2);
        self.matmul_named("mm", b)
    }

    /// The product of a matrix and a vector; otherwise as [`Tensor::matmul`].
    #[track_caller]
    pub fn mv(&self, b: &Tensor) -> Tensor {
        self.expect_ranks("mv", 2, b, 1);
        self.matmul_named("mv", b)
    }

    /// The products of two batches of matrices, which do not broadcast; otherwise as [`Tensor::matmul`].
    #[track_caller]
    pub fn bmm(&self, b: &Tensor) -> Tensor {
        self.expect_batches("bmm", b);
        self.matmul_named("bmm", b)
    }

    #[track_caller]
    pub(crate) fn expect_batches(&self, op: &str, b: &Tensor) {
        self.expect_ranks(op, 3, b, 3);
        if self.shape()[0] != b.shape()[0] {
            misuse(op, format!("batches differ: {:?} x {:?}", self.shape(), b.shape()));
        }
    }

    /// `Σ a b` of two vectors. Derivatives: `b` and `a`.
    #[track_caller]
    pub fn dot(&self, b: &Tensor) -> Tensor {
        self.expect_ranks("dot", 1, b, 1);
        let [a, b] = Tensor::widest([self, b]);
        let _as_given = no_autocast();
        a.matmul_named("dot", &b)
    }

    /// `Σ a b` along a dimension, the last one for -1; the shapes broadcast. Derivatives: `b` and `a`.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (a, b) = (Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev), Tensor::new([1.0, 10.0], &dev));
    /// assert_eq!(a.vecdot(&b, -1).to_vec::<f32>()?, [21.0, 43.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the types differ or are no floats, the shapes do not broadcast, or the dimension is out of range.
    ///
    /// Source: [torch.linalg.vecdot](https://docs.pytorch.org/docs/stable/generated/torch.linalg.vecdot.html).
    #[track_caller]
    pub fn vecdot(&self, b: &Tensor, dim: isize) -> Tensor {
        self.expect_float("vecdot");
        let (a, b) = (self.factor(), b.factor());
        a.expect_multipliable("vecdot", &b);
        let (a, b, dtype) = pair("vecdot", &a, &b);
        let _as_given = no_autocast();
        (a * b).sum_dim(dim, false).cast(dtype)
    }

    /// [`Tensor::dot`]: the two differ for complex numbers only.
    #[track_caller]
    pub fn vdot(&self, b: &Tensor) -> Tensor {
        self.expect_ranks("vdot", 1, b, 1);
        self.dot(b)
    }

    /// `Σ a[.., k] b[.., k]` for every pair of lines along the last dimensions; the plain product if one operand is 0-d.
    #[track_caller]
    pub fn inner(&self, b: &Tensor) -> Tensor {
        match self.rank() == 0 || b.rank() == 0 {
            true => self * b,
            false => self.tensordot_named("inner", b, &[-1], &[-1]),
        }
    }

    /// `y[i, j] = a[i] b[j]` of two vectors.
    #[track_caller]
    pub fn outer(&self, b: &Tensor) -> Tensor {
        self.expect_ranks("outer", 1, b, 1);
        self.unsqueeze(1) * b
    }

    /// The sum of products over chosen dimensions of both operands; the others of `a`, then the others of `b`, are left.
    /// Derivatives: the sums of products of `g` with the other operand.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (a, b) = (Tensor::ones([2, 3, 4], &dev), Tensor::ones([3, 4, 5], &dev));
    /// assert_eq!(a.tensordot(&b, 2).shape(), [2, 5]);
    /// assert_eq!(a.tensordot(&b, ([1], [0])).shape(), [2, 4, 4, 5]);
    /// ```
    ///
    /// # Panics
    /// If the dimensions summed over differ in number or size, or are named twice.
    ///
    /// Source: [torch.tensordot](https://docs.pytorch.org/docs/stable/generated/torch.tensordot.html).
    #[track_caller]
    pub fn tensordot(&self, b: &Tensor, dims: impl Into<Contracted>) -> Tensor {
        match dims.into().0 {
            Ok(n) if n > self.rank() || n > b.rank() => {
                misuse("tensordot", format!("{:?} and {:?} do not both have {n} dimensions", self.shape(), b.shape()))
            }
            Ok(n) => {
                let last: Vec<isize> = (self.rank() - n..self.rank()).map(|d| d as isize).collect();
                let first: Vec<isize> = (0..n as isize).collect();
                self.tensordot_named("tensordot", b, &last, &first)
            }
            Err([a, others]) => self.tensordot_named("tensordot", b, &a, &others),
        }
    }

    #[track_caller]
    pub(crate) fn tensordot_named(&self, op: &str, b: &Tensor, dims_a: &[isize], dims_b: &[isize]) -> Tensor {
        let [mut a, mut b] = Tensor::widest([self, b]);
        let _as_given = no_autocast();
        a.expect_multipliable(op, &b);
        let shapes = format!("{:?} along {dims_a:?} and {:?} along {dims_b:?}", a.shape(), b.shape());
        if dims_a.len() != dims_b.len() {
            misuse(op, format!("not as many dimensions of both: {shapes}"));
        }
        let la: Labels = (0..a.rank() as u32).collect();
        let mut lb: Labels = (a.rank() as u32..(a.rank() + b.rank()) as u32).collect();
        let mut inner = Labels::new();
        for (&da, &db) in dims_a.iter().zip(dims_b) {
            let (da, db) = (axis(op, a.shape(), da), axis(op, b.shape(), db));
            if a.rank() == 0 || b.rank() == 0 || inner.contains(&la[da]) || inner.contains(&lb[db]) {
                misuse(op, format!("dimensions that do not exist or are named twice: {shapes}"));
            }
            // As in PyTorch, a size of 1 is repeated, which sums up the other.
            match (a.shape()[da], b.shape()[db]) {
                (m, n) if m == n => {}
                (1, _) => b = b.sum_dim(db as isize, true),
                (_, 1) => a = a.sum_dim(da as isize, true),
                _ => misuse(op, format!("sizes differ: {shapes}")),
            }
            lb[db] = la[da];
            inner.push(la[da]);
        }
        let ly: Labels = la.iter().chain(&lb).copied().filter(|l| !inner.contains(l)).collect();
        contract("MmBackward0", &a, &la, &b, &lb, &ly)
    }

    /// The product of several matrices, in the order that takes the fewest multiplications. The first may be a row and the
    /// last a column, of rank 1.
    ///
    /// # Panics
    /// If there are fewer than two, or sizes differ.
    ///
    /// Source: [torch.linalg.multi_dot](https://docs.pytorch.org/docs/stable/generated/torch.linalg.multi_dot.html).
    #[track_caller]
    pub fn multi_dot(matrices: &[Tensor]) -> Tensor {
        let last = matrices.len().saturating_sub(1);
        if last == 0 {
            misuse("multi_dot", format!("wants two matrices or more, not {}", matrices.len()));
        }
        let mut sizes = Vec::new();
        for (i, x) in matrices.iter().enumerate() {
            let outer = i == 0 || i == last;
            if x.rank() != 2 && !(outer && x.rank() == 1) {
                misuse("multi_dot", format!("operand {i} of shape {:?} is no matrix", x.shape()));
            }
            // A row's first size is 1, and a column's last.
            sizes.push(if x.rank() == 1 && i == 0 { 1 } else { x.shape()[0] });
        }
        sizes.push(if matrices[last].rank() == 1 { 1 } else { matrices[last].shape()[1] });
        let n = matrices.len();
        // The least cost of each run of matrices, and where it is cut last.
        let mut best = vec![vec![(0.0f64, 0usize); n]; n];
        for len in 1..n {
            for i in 0..n - len {
                let cost = |cut: usize| {
                    let product = sizes[i] as f64 * sizes[cut + 1] as f64 * sizes[i + len + 1] as f64;
                    (best[i][cut].0 + best[cut + 1][i + len].0 + product, cut)
                };
                best[i][i + len] = (i..i + len).map(cost).min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is a cut");
            }
        }
        // Cut by cut, the left part first: a stack, since a closure would lose the caller's line.
        let (mut open, mut done): (Vec<(usize, usize, bool)>, Vec<Tensor>) = (vec![(0, n - 1, false)], Vec::new());
        while let Some((i, j, ready)) = open.pop() {
            if i == j {
                done.push(matrices[i].clone());
            } else if ready {
                let (b, a) = (done.pop().expect("made before"), done.pop().expect("made before"));
                done.push(a.matmul_named("multi_dot", &b));
            } else {
                let cut = best[i][j].1;
                open.extend([(i, j, true), (cut + 1, j, false), (i, cut, false)]);
            }
        }
        done.pop().expect("the product of all")
    }

    /// The product of several matrices; [`Tensor::multi_dot`] by its older name.
    #[track_caller]
    pub fn chain_matmul(matrices: &[Tensor]) -> Tensor {
        match matrices {
            [x] => x.copy(),
            _ => Tensor::multi_dot(matrices),
        }
    }

    /// A square matrix, or a batch of them, multiplied by itself `n` times; the identity for 0.
    ///
    /// # Panics
    /// If it is not square.
    #[track_caller]
    pub fn matrix_power(&self, n: usize) -> Tensor {
        let [.., rows, cols] = *self.shape() else {
            misuse("matrix_power", format!("{:?} is no matrix", self.shape()));
        };
        if rows != cols {
            misuse("matrix_power", format!("{:?} is not square", self.shape()));
        }
        if n == 0 {
            return Tensor::eye(rows, (&self.device(), self.dtype())).expand(self.shape()).copy();
        }
        let (mut power, mut y, mut left) = (self.clone(), None::<Tensor>, n);
        loop {
            if left & 1 == 1 {
                y = Some(y.map_or(power.clone(), |y| y.matmul(&power)));
            }
            left >>= 1;
            if left == 0 {
                return y.expect("the highest bit is set").apart_from(self);
            }
            power = power.matmul(&power);
        }
    }

    /// The Kronecker product: every element of `a` times the whole of `b`, as blocks.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let y = Tensor::new([1.0, 10.0], &dev).kron(&Tensor::new([1.0, 2.0], &dev));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 10.0, 20.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    #[track_caller]
    pub fn kron(&self, b: &Tensor) -> Tensor {
        let rank = self.rank().max(b.rank());
        let size = |x: &Tensor, d: usize| if d + x.rank() < rank { 1 } else { x.shape()[d + x.rank() - rank] };
        let pairs = |f: &dyn Fn(usize) -> [usize; 2]| -> Dims { (0..rank).flat_map(f).collect() };
        let a_shape = pairs(&|d| [size(self, d), 1]);
        let b_shape = pairs(&|d| [1, size(b, d)]);
        let shape: Dims = (0..rank).map(|d| size(self, d) * size(b, d)).collect();
        (self.reshape(&a_shape[..]) * b.reshape(&b_shape[..])).reshape(&shape[..])
    }

    /// The sum of a matrix's diagonal. Derivative: `g` on the diagonal.
    ///
    /// # Panics
    /// If this is no matrix.
    #[track_caller]
    pub fn trace(&self) -> Tensor {
        if self.rank() != 2 {
            misuse("trace", format!("{:?} is no matrix", self.shape()));
        }
        let _as_given = no_autocast();
        let shape = Dims::from_slice(self.shape());
        composite(
            "TraceBackward0",
            &[self],
            &[],
            || self.diagonal(0, 0, 1).sum(),
            move |call| {
                let zeros = full(0.0, shape.clone(), call.g.dtype(), &call.g.device());
                let diagonal = Replay::new(|x: &Tensor| x.diagonal(0, 0, 1));
                vec![Some(zeros.write(diagonal, &call.g.expand(shape[0].min(shape[1]))))]
            },
        )
    }

    /// The cross product of vectors of three elements along `dim`; the other dimensions broadcast.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let dev = Device::cpu();
    /// let (x, y) = (Tensor::new([1.0, 0.0, 0.0], &dev), Tensor::new([0.0, 1.0, 0.0], &dev));
    /// assert_eq!(x.cross(&y, -1).to_vec::<f32>()?, [0.0, 0.0, 1.0]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the ranks differ, the shapes do not broadcast, or `dim` does not have three elements.
    ///
    /// Source: [torch.linalg.cross](https://docs.pytorch.org/docs/stable/generated/torch.linalg.cross.html).
    #[track_caller]
    pub fn cross(&self, b: &Tensor, dim: isize) -> Tensor {
        let d = axis("cross", self.shape(), dim);
        if self.rank() != b.rank() || self.rank() == 0 || self.shape()[d] != 3 || b.shape()[d] != 3 {
            misuse("cross", format!("{:?} and {:?} do not hold vectors of 3 along {dim}", self.shape(), b.shape()));
        }
        let turned = |x: &Tensor, by: isize| x.roll(by, d as isize);
        turned(self, -1) * turned(b, -2) - turned(self, -2) * turned(b, -1)
    }

    #[track_caller]
    pub(crate) fn expect_ranks(&self, op: &str, rank: usize, b: &Tensor, rank_b: usize) {
        if self.rank() != rank || b.rank() != rank_b {
            misuse(op, format!("wants ranks {rank} and {rank_b}: {:?} x {:?}", self.shape(), b.shape()));
        }
    }
}
