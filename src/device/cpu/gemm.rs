//! The reference's products: one strided GEMM per batch entry. What strides cannot tell it is gathered first.

use super::reduce::Folded;
use super::with_numbers;
use crate::dtype::DType;
use crate::elements::{Data, Elements, View, gather};
use crate::ops::op::Fold;
use crate::shape::{Layout, numel};
use rayon::prelude::*;

/// How far one row, and one column, of a matrix is from the next.
type Steps = (isize, isize);

/// `Op::Matmul` over `[rows, inner, cols]` dimensions.
pub(super) fn matmul(args: &[View], shape: &[usize], dims: [usize; 3], dtype: DType) -> Data {
    with_numbers!(dtype, T => product::<T>(args, shape, dims))
}

/// An element type with a matrix product.
trait Multiplied: Folded {
    /// `y = a b` for matrices of `m × k` and `k × n`; `y` is row-major.
    ///
    /// # Safety
    /// The pointers start matrices with these sizes and steps.
    unsafe fn gemm(size: [usize; 3], a: (*const Self, Steps), b: (*const Self, Steps), y: *mut Self);
}

macro_rules! multiplied {
    ($($t:ty: $gemm:path;)*) => { $(
        impl Multiplied for $t {
            unsafe fn gemm([m, k, n]: [usize; 3], (a, sa): (*const $t, Steps), (b, sb): (*const $t, Steps), y: *mut $t) {
                // SAFETY: as the caller promised.
                unsafe { $gemm(m, k, n, 1 as $t, a, sa.0, sa.1, b, sb.0, sb.1, 0 as $t, y, n as isize, 1) }
            }
        }
    )* };
    (@integers $($t:ty)*) => { $(
        impl Multiplied for $t {
            unsafe fn gemm([m, k, n]: [usize; 3], (a, sa): (*const $t, Steps), (b, sb): (*const $t, Steps), y: *mut $t) {
                let at = |x: *const $t, steps: Steps, i: usize, j: usize| {
                    // SAFETY: as the caller promised.
                    unsafe { *x.offset(i as isize * steps.0 + j as isize * steps.1) }
                };
                for i in 0..m {
                    for j in 0..n {
                        let term = |sum: $t, l| sum.wrapping_add(at(a, sa, i, l).wrapping_mul(at(b, sb, l, j)));
                        // SAFETY: as the caller promised.
                        unsafe { *y.add(i * n + j) = (0..k).fold(0, term) };
                    }
                }
            }
        }
    )* };
}
multiplied! {
    f32: matrixmultiply::sgemm;
    f64: matrixmultiply::dgemm;
}
multiplied!(@integers i32 u32);

/// One operand: a matrix per batch entry.
struct Side<'a, T: Multiplied> {
    elements: &'a [T],
    /// Where the matrix of each batch entry starts.
    starts: Vec<usize>,
    /// One matrix, row by row, counted from its start.
    matrix: Layout,
    /// How a GEMM walks the matrix where it lies, if it can.
    steps: Option<Steps>,
    /// The number of columns.
    cols: usize,
}

impl<'a, T: Multiplied> Side<'a, T> {
    fn of(x: &View<'a>, batch: usize, rows: usize) -> Side<'a, T> {
        let part = |from: usize, to: usize, offset: usize| Layout {
            shape: x.layout.shape[from..to].into(),
            strides: x.layout.strides[from..to].into(),
            offset,
        };
        let rank = x.layout.shape.len();
        let step = |layout: Layout| match layout.merged().strides[..] {
            [] => Some(0),
            [step] => Some(step),
            _ => None,
        };
        let steps = step(part(batch, batch + rows, 0)).zip(step(part(batch + rows, rank, 0)));
        Side {
            elements: T::slice(x.data),
            starts: part(0, batch, x.layout.offset).indices().collect(),
            matrix: part(batch, rank, 0),
            steps,
            cols: numel(&x.layout.shape[batch + rows..]),
        }
    }

    /// The matrix in row-major order, if it has to be gathered and is the same for the whole batch.
    fn shared(&self) -> Option<Elements<'a, T>> {
        let same = self.steps.is_none() && self.starts.iter().all(|&start| start == self.starts[0]);
        same.then(|| self.gathered(0))
    }

    /// `y += Σ a_l row_l` over the rows of the matrix of batch entry `i`, which are read where they lie.
    fn add_rows(&self, i: usize, a: &[T], y: &mut [T]) {
        let matrix = Layout { offset: self.starts[i], ..self.matrix.clone() };
        for (l, &a) in a.iter().enumerate() {
            matrix.runs(l * y.len(), y.len(), |start, at, stride, n| {
                let add = |(y, &x): (&mut T, &T)| *y = T::fold(Fold::Sum, *y, T::fold(Fold::Prod, a, x));
                let y = y[start..][..n].iter_mut();
                match stride {
                    1 => y.zip(&self.elements[at..][..n]).for_each(add),
                    _ => y.enumerate().for_each(|(k, y)| {
                        add((y, &self.elements[(at as isize + k as isize * stride) as usize]));
                    }),
                }
            });
        }
    }

    fn gathered(&self, i: usize) -> Elements<'a, T> {
        gather(self.elements, &Layout { offset: self.starts[i], ..self.matrix.clone() })
    }

    /// Where the matrix of batch entry `i` starts, and its steps; `held` keeps it if it had to be gathered.
    fn walk(&self, i: usize, shared: &Option<Elements<'a, T>>, held: &mut Elements<'a, T>) -> (*const T, Steps) {
        let row_major = (self.cols as isize, 1);
        match (self.steps, shared) {
            // SAFETY: the start is the place of an element.
            (Some(steps), _) => (unsafe { self.elements.as_ptr().add(self.starts[i]) }, steps),
            (None, Some(shared)) => (shared.as_ptr(), row_major),
            (None, None) => {
                *held = self.gathered(i);
                (held.as_ptr(), row_major)
            }
        }
    }
}

fn product<T: Multiplied>(args: &[View], shape: &[usize], [rows, inner, cols]: [usize; 3]) -> Data {
    let batch = shape.len() - rows - cols;
    let (a, b) = (Side::<T>::of(&args[0], batch, rows), Side::<T>::of(&args[1], batch, inner));
    let size = [numel(&shape[batch..batch + rows]), a.cols, b.cols];
    // A matrix that every entry of the batch reads is gathered once.
    let (shared_a, shared_b) = (a.shared(), b.shared());
    let one = |(i, y): (usize, &mut [T])| {
        // A single row is not worth gathering a matrix for.
        if size[0] == 1 && b.steps.is_none() && shared_b.is_none() {
            y.fill(T::start(Fold::Sum));
            return b.add_rows(i, &a.gathered(i), y);
        }
        let (mut held_a, mut held_b) = (Elements::default(), Elements::default());
        let (a, b) = (a.walk(i, &shared_a, &mut held_a), b.walk(i, &shared_b, &mut held_b));
        // SAFETY: both matrices have the sizes and steps that their layouts tell, which were checked when the operation
        // was recorded, and `y` is a fresh row-major matrix.
        unsafe { T::gemm(size, a, b, y.as_mut_ptr()) }
    };
    let mut y = T::room(numel(shape));
    match a.starts.len() {
        1 => one((0, &mut y)),
        _ => y.par_chunks_mut(size[0] * size[2]).enumerate().for_each(one),
    }
    T::wrap(y)
}
