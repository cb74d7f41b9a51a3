//! Einstein's summation: products and sums over named dimensions.

use crate::error::misuse;
use crate::ops::contract::{Labels, contract};
use crate::shape::Dims;
use crate::tensor::Tensor;
use crate::tensor::autocast::{cast_here, no_autocast};

/// Dimensions that an ellipsis stands for are numbered from the last one on, beyond all letters.
const ELLIPSIS: u32 = 1 << 16;

impl Tensor {
    /// Einstein's summation: `einsum("ij,jk->ik", …)` multiplies the operands, whose dimensions carry the letters, and sums
    /// over every letter that the result lacks. A letter twice in one operand is a diagonal; `...` stands for dimensions that
    /// broadcast; without `->` the result has the letters that occur once, in the order of the alphabet (capitals first),
    /// behind those of `...`. Derivative: `g` times the other operands, summed likewise.
    ///
    /// ```
    /// use wgrad::{Device, Tensor};
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu());
    /// assert_eq!(Tensor::einsum("ij->j", &[&x]).to_vec::<f32>()?, [4.0, 6.0]);
    /// assert_eq!(Tensor::einsum("ij,kj", &[&x, &x]).to_vec::<f32>()?, [5.0, 11.0, 11.0, 25.0]);
    /// assert_eq!(Tensor::einsum("ii", &[&x]).item()?, 5.0);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the equation cannot be read, names another number of operands or dimensions than there are, or gives one letter
    /// two sizes (1 broadcasts).
    ///
    /// Source: [torch.einsum](https://docs.pytorch.org/docs/stable/generated/torch.einsum.html). Operands are multiplied from
    /// left to right.
    #[track_caller]
    pub fn einsum(equation: &str, operands: &[&Tensor]) -> Tensor {
        let operands: Vec<Tensor> = cast_here(|| operands.iter().map(|x| x.factor()).collect());
        let operands = &operands.iter().collect::<Vec<_>>()[..];
        let _as_given = no_autocast();
        let (terms, result) = read(equation, operands);
        let sizes = sizes(equation, &terms, operands);
        let Some(first) = operands.first() else {
            misuse("einsum", format!("{equation:?} has no operands"));
        };
        let mut rest = Vec::new();
        for (x, term) in operands.iter().zip(&terms) {
            if operands.len() > 1 {
                first.expect_multipliable("einsum", x);
            }
            rest.push(unrepeated(x, term, &sizes));
        }
        rest.reverse();
        let (mut y, mut ly) = rest.pop().expect("there is a first operand");
        while let Some((x, lx)) = rest.pop() {
            // What nobody asks for later is summed: alone here, or together in the product.
            let later = |l: &u32| result.contains(l) || rest.iter().any(|(_, labels)| labels.contains(l));
            let (a, la) = summed(&y, &ly, |l| later(l) || lx.contains(l));
            let (b, lb) = summed(&x, &lx, |l| later(l) || la.contains(l));
            let mut wanted: Labels = if rest.is_empty() { result.clone() } else { la.clone() };
            wanted.extend(lb.iter().copied().filter(|l| !rest.is_empty() && !la.contains(l)));
            wanted.retain(|l| later(l) && (la.contains(l) || lb.contains(l)));
            (y, ly) = (contract("BmmBackward0", &a, &la, &b, &lb, &wanted), wanted);
        }
        let (y, ly) = summed(&y, &ly, |l| result.contains(l));
        let order: Dims =
            result.iter().map(|l| ly.iter().position(|m| m == l).expect("every letter is there")).collect();
        match order.iter().copied().eq(0..order.len()) {
            true if operands.iter().any(|x| x.is_same(&y)) => y.view_as_itself(),
            true => y,
            false => y.permute(&order[..]),
        }
    }
}

/// The names of every operand's dimensions, and of the result's.
#[track_caller]
fn read(equation: &str, operands: &[&Tensor]) -> (Vec<Labels>, Labels) {
    let text: String = equation.chars().filter(|c| *c != ' ').collect();
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (text.as_str(), None),
    };
    let parts: Vec<&str> = left.split(',').collect();
    if parts.len() != operands.len() {
        misuse("einsum", format!("{equation:?} names {} operands, and there are {}", parts.len(), operands.len()));
    }
    let (mut terms, mut rest) = (Vec::new(), 0);
    for (part, x) in parts.iter().zip(operands) {
        let letters = part.chars().filter(|c| *c != '.').count();
        let open = x.rank().saturating_sub(letters);
        if letters > x.rank() || open > 0 && !part.contains("...") {
            misuse("einsum", format!("{part:?} in {equation:?} does not name the dimensions of {:?}", x.shape()));
        }
        rest = rest.max(open);
        terms.push(term(equation, part, open));
    }
    let result = match right {
        Some(right) => term(equation, right, rest),
        None => {
            let count = |l: u32| terms.iter().flatten().filter(|&&m| m == l).count();
            let mut letters: Labels =
                terms.iter().flatten().copied().filter(|&l| l < ELLIPSIS && count(l) == 1).collect();
            letters.sort_unstable();
            (ELLIPSIS..ELLIPSIS + rest as u32).rev().chain(letters).collect()
        }
    };
    for (i, &l) in result.iter().enumerate() {
        let letter = char::from_u32(l).filter(|_| l < ELLIPSIS).map_or("...".to_owned(), |c| c.to_string());
        if result[..i].contains(&l) {
            misuse("einsum", format!("{letter:?} stands twice in the result of {equation:?}"));
        }
        if !terms.iter().any(|term| term.contains(&l)) {
            misuse("einsum", format!("{letter:?} in the result of {equation:?} is in no operand"));
        }
    }
    (terms, result)
}

/// One operand's part of an equation, in which the ellipsis stands for `open` dimensions.
#[track_caller]
fn term(equation: &str, part: &str, open: usize) -> Labels {
    let mut labels = Labels::new();
    let pieces: Vec<&str> = part.split("...").collect();
    if pieces.len() > 2 {
        misuse("einsum", format!("{part:?} in {equation:?} has two ellipses"));
    }
    for (i, piece) in pieces.iter().enumerate() {
        if i == 1 {
            labels.extend((ELLIPSIS..ELLIPSIS + open as u32).rev());
        }
        for c in piece.chars() {
            if !c.is_ascii_alphabetic() {
                misuse("einsum", format!("{c:?} in {equation:?} is no letter"));
            }
            labels.push(c as u32);
        }
    }
    labels
}

/// The size of every name.
#[track_caller]
fn sizes(equation: &str, terms: &[Labels], operands: &[&Tensor]) -> Vec<(u32, usize)> {
    let mut sizes: Vec<(u32, usize)> = Vec::new();
    for (term, x) in terms.iter().zip(operands) {
        for (&l, &n) in term.iter().zip(x.shape()) {
            match sizes.iter_mut().find(|(m, _)| *m == l) {
                None => sizes.push((l, n)),
                Some((_, size)) if *size == 1 => *size = n,
                Some((_, size)) if *size != n && n != 1 => {
                    let shapes: Vec<&[usize]> = operands.iter().map(|x| x.shape()).collect();
                    misuse("einsum", format!("{equation:?} gives one dimension the sizes {size} and {n}: {shapes:?}"));
                }
                Some(_) => {}
            }
        }
    }
    sizes
}

/// An operand with every name once: diagonals where one stands twice, and without the sizes of 1 that broadcast.
#[track_caller]
fn unrepeated(x: &Tensor, term: &Labels, sizes: &[(u32, usize)]) -> (Tensor, Labels) {
    let (mut x, mut labels) = (x.clone(), term.clone());
    let size = |l: u32| sizes.iter().find(|(m, _)| *m == l).map_or(1, |(_, n)| *n);
    while let Some(d) = (0..labels.len()).find(|&d| x.shape()[d] == 1 && size(labels[d]) != 1) {
        x = x.squeeze(d as isize);
        labels.remove(d);
    }
    while let Some((a, b)) =
        (0..labels.len()).find_map(|b| Some((labels[..b].iter().position(|l| *l == labels[b])?, b)))
    {
        x = x.diagonal(0, a as isize, b as isize);
        let l = labels[a];
        labels.remove(b);
        labels.remove(a);
        labels.push(l);
    }
    (x, labels)
}

/// A tensor summed over all names but those to keep.
#[track_caller]
fn summed(x: &Tensor, labels: &Labels, keep: impl Fn(&u32) -> bool) -> (Tensor, Labels) {
    let gone: Dims = (0..labels.len()).filter(|&d| !keep(&labels[d])).collect();
    if gone.is_empty() {
        return (x.clone(), labels.clone());
    }
    (x.sum_dim(&gone[..], false), labels.iter().copied().filter(|l| keep(l)).collect())
}
