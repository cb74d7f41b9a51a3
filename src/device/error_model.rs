//! How far a GPU's results may lie from the reference's, element by element, when its kernel read what the reference read.
//!
//! Operands from outside a kernel are exact. Inside a fused kernel every value carries a bound, which the next operation
//! turns into a bound of its own by being evaluated at both ends of each operand, and at the corners of two. A bound of zero
//! means that the bits must agree, and an infinite one that anything may come out.

use crate::device::cpu::{elements, evaluate};
use crate::dtype::DType;
use crate::elements::{Data, View};
use crate::ops::op::{Distribution, Fold, Op, Scan};
use crate::ops::row::{Row, RowKind};
use crate::shape::{Layout, numel};
use crate::tensor::backend::{Arg, Graph, Node, Source};
use std::collections::HashMap;
use std::sync::Arc;

/// Rounding of one operation; drivers may round to the nearest number or towards zero.
const ROUNDING: f64 = 1.2e-7;
/// Numbers below the smallest normal one may be flushed to zero.
const TINY: f64 = 1.2e-38;

/// The bounds of each node of one kernel, given the reference's value of every node.
pub fn bounds(graph: &Graph, reference: &[Arc<Data>], nodes: &[usize]) -> HashMap<usize, Vec<f64>> {
    let mut model = Model { graph, reference, bounds: HashMap::new() };
    for &n in nodes {
        let bound = model.bound(n);
        model.bounds.insert(n, bound);
    }
    model.bounds
}

/// Whether a result is as good as the reference's, and how far it is off.
pub fn compare(got: f64, wanted: f64, bound: f64) -> (bool, f64) {
    let error = distance(got, wanted);
    (error <= bound, error)
}

struct Model<'a> {
    graph: &'a Graph,
    reference: &'a [Arc<Data>],
    bounds: HashMap<usize, Vec<f64>>,
}

impl Model<'_> {
    fn bound(&self, n: usize) -> Vec<f64> {
        let node = &self.graph.nodes[n];
        let y = &self.reference[n];
        let exact = || vec![0.0; y.len()];
        match &node.value.op {
            Op::Data | Op::Full(_) | Op::Gather { .. } | Op::Write(_) => exact(),
            Op::Iota => scaled(y, |y| if y.abs() > 16_777_216.0 { ROUNDING * y.abs() } else { 0.0 }),
            Op::Random(Distribution::Normal, _) => {
                scaled(y, |y| 2e-6 * (1.0 + y.abs()) + node.value.dtype.epsilon() * y.abs())
            }
            Op::Random(Distribution::Uniform | Distribution::Integer { .. }, _) => exact(),
            Op::Map(row) => self.pointwise(node, y, |x, e, y| map_bound(row, x, e, y, node.value.dtype)),
            Op::Cast => self.pointwise(node, y, |x, e, y| cast_bound(x[0], e[0], y, node.value.dtype)),
            Op::Reduce { fold: Fold::Sum, .. } => {
                let terms = node.args[0].layout.numel() / y.len();
                let mut bounds = self.summed(node, y, terms, 8.0);
                // In a row program the terms were computed by the kernel itself.
                if let Some(terms) = self.operand_bounds(&node.args[0]) {
                    bounds
                        .iter_mut()
                        .zip(terms.chunks(terms.len() / y.len()))
                        .for_each(|(b, e)| *b += e.iter().sum::<f64>());
                }
                bounds
            }
            Op::Reduce { fold: Fold::Prod, .. } => self.multiplied(node, y),
            Op::Reduce { fold: fold @ (Fold::Max | Fold::Min), .. } => self.extreme(node, *fold, y),
            Op::Scan(Scan::Max | Scan::Min) => exact(),
            Op::Scan(scan @ (Scan::Linear | Scan::LogAddExp)) => self.scanned(node, *scan, y),
            Op::Matmul { inner, .. } => {
                let shape = &node.args[0].layout.shape;
                self.summed(node, y, numel(&shape[shape.len() - inner..]), 8.0)
            }
            Op::OverlapAdd { .. } => self.summed(node, y, node.args[0].layout.shape.last().copied().unwrap_or(1), 4.0),
            Op::Scatter { dim, fold: Some(Fold::Sum) } => self.summed(node, y, node.args[1].layout.shape[*dim], 4.0),
            Op::Scatter { dim, fold: Some(Fold::Prod) } => {
                let factors = node.args[1].layout.shape[*dim] as f64;
                scaled(y, |y| ROUNDING * factors * y.abs() + TINY)
            }
            Op::Scatter { .. } | Op::ArgSort { .. } | Op::Search { .. } => exact(),
            Op::Custom(call) if node.value.dtype.is_float() => {
                let (rtol, atol) = call.definition.tolerance;
                scaled(y, |y| if y.is_finite() { rtol * y.abs() + atol } else { 0.0 })
            }
            Op::Custom(_) => exact(),
        }
    }

    /// The bounds of the elements that an operand reads, if this kernel computes it.
    fn operand_bounds(&self, arg: &Arg) -> Option<Vec<f64>> {
        let Source::Node(n) = arg.source else { return None };
        self.bounds.get(&n).map(|bounds| arg.layout.indices().map(|at| bounds[at]).collect())
    }

    /// Bounds of extremes: how far the largest or smallest of the lower and of the upper ends lies from that of the elements.
    fn extreme(&self, node: &Node, fold: Fold, y: &Data) -> Vec<f64> {
        let Some(bounds) = self.operand_bounds(&node.args[0]) else { return vec![0.0; y.len()] };
        let data = self.data(&node.args[0]);
        let x: Vec<f64> = node.args[0].layout.indices().map(|at| data.at(at)).collect();
        let cols = x.len() / y.len();
        (0..y.len())
            .map(|i| {
                let row = || x[i * cols..][..cols].iter().zip(&bounds[i * cols..][..cols]);
                let (low, high) = match fold {
                    Fold::Min => (
                        row().map(|(x, e)| x - e).fold(f64::INFINITY, f64::min),
                        row().map(|(x, e)| x + e).fold(f64::INFINITY, f64::min),
                    ),
                    _ => (
                        row().map(|(x, e)| x - e).fold(f64::NEG_INFINITY, f64::max),
                        row().map(|(x, e)| x + e).fold(f64::NEG_INFINITY, f64::max),
                    ),
                };
                if y.at(i).is_nan() { 0.0 } else { distance(low, y.at(i)).max(distance(high, y.at(i))) }
            })
            .collect()
    }

    /// Bounds of products: the roundings add up, and a product that passes through the limits of its type in one order may
    /// stay within them in another.
    fn multiplied(&self, node: &Node, y: &Data) -> Vec<f64> {
        if !node.value.dtype.is_float() {
            return vec![0.0; y.len()];
        }
        let data = self.data(&node.args[0]);
        let x: Vec<f64> = node.args[0].layout.indices().map(|at| data.at(at)).collect();
        let terms = x.len() / y.len();
        let factor = ROUNDING / 2.0 * (8.0 + (terms as f64).sqrt());
        (0..y.len())
            .map(|i| {
                let finite = x[i * terms..][..terms].iter().map(|x| x.abs()).filter(|x| x.is_finite() && *x > 0.0);
                let (mut largest, mut smallest) = (1.0, 1.0);
                finite.for_each(|x| if x > 1.0 { largest *= x } else { smallest *= x });
                let within = largest < f32::MAX as f64 && smallest > TINY;
                if !within {
                    f64::INFINITY
                } else if y.at(i).is_finite() {
                    factor * y.at(i).abs() + TINY
                } else {
                    0.0
                }
            })
            .collect()
    }

    /// Bounds of recurrences along lines: every element rounds once in its block and once per carry.
    fn scanned(&self, node: &Node, scan: Scan, y: &Data) -> Vec<f64> {
        if !node.value.dtype.is_float() {
            return vec![0.0; y.len()];
        }
        let len = node.value.shape.last().copied().unwrap_or(1);
        let factor = ROUNDING * (16.0 + len.min(1024) as f64 + (len as f64).sqrt());
        if scan == Scan::LogAddExp {
            let mut largest: f64 = 1.0;
            return scaled(y, |y| if y.is_finite() { y.abs() } else { 1.0 })
                .iter()
                .enumerate()
                .map(|(i, size)| {
                    largest = if i % len == 0 { size.max(1.0) } else { largest.max(*size) };
                    if y.at(i).is_finite() { factor * largest } else { 0.0 }
                })
                .collect();
        }
        let data: Vec<Data> = node.args.iter().map(|arg| absolute(&self.data(arg))).collect();
        let links = View::whole(&data[1], &node.args[1].layout);
        let along = |x: &Data, layout| {
            evaluate(&node.value, &[View::whole(x, layout), links.clone()], None)
                .expect("the reference was evaluated before")
        };
        let sizes = along(&data[0], &node.args[0].layout);
        // What was flushed to zero comes through the links as well.
        let flushed = along(&Data::F32(vec![TINY as f32; y.len()]), &Layout::contiguous(&node.value.shape));
        let mut beyond = false;
        (0..y.len())
            .map(|i| {
                // A number beyond the type's is one more infinity to a device that has no wider type.
                beyond = (beyond && i % len > 0) || !sizes.at(i).is_finite();
                match (beyond, y.at(i).is_finite()) {
                    (false, _) => factor * sizes.at(i) + flushed.at(i),
                    (true, true) => f64::INFINITY,
                    (true, false) => 0.0,
                }
            })
            .collect()
    }

    fn data(&self, arg: &Arg) -> Arc<Data> {
        match arg.source {
            Source::Node(n) => self.reference[n].clone(),
            Source::Input(i) => elements(&self.graph.inputs[i].buffer),
        }
    }

    /// A bound for each element from the operands there and their bounds.
    fn pointwise(&self, node: &Node, y: &Data, f: impl Fn(&[f64], &[f64], f64) -> f64) -> Vec<f64> {
        let data: Vec<Arc<Data>> = node.args.iter().map(|arg| self.data(arg)).collect();
        let operands: Vec<(Vec<f64>, Option<Vec<f64>>)> = node
            .args
            .iter()
            .zip(&data)
            .map(|(arg, data)| (arg.layout.indices().map(|at| data.at(at)).collect(), self.operand_bounds(arg)))
            .collect();
        let (mut x, mut e) = (vec![0.0; operands.len()], vec![0.0; operands.len()]);
        (0..y.len())
            .map(|i| {
                for (k, (values, bounds)) in operands.iter().enumerate() {
                    x[k] = values[i];
                    e[k] = bounds.as_ref().map_or(0.0, |bounds| bounds[i]);
                }
                f(&x, &e, y.at(i))
            })
            .collect()
    }

    /// Bounds of sums of `terms` products or numbers: the error of a sum in any order grows with its absolute terms.
    fn summed(&self, node: &Node, y: &Data, terms: usize, least: f64) -> Vec<f64> {
        if !node.value.dtype.is_float() {
            return vec![0.0; y.len()];
        }
        let data: Vec<Data> = node.args.iter().map(|arg| absolute(&self.data(arg))).collect();
        let views: Vec<View> = node.args.iter().zip(&data).map(|(arg, data)| View::whole(data, &arg.layout)).collect();
        let sizes = evaluate(&node.value, &views, None).expect("the reference was evaluated before");
        let factor = ROUNDING / 2.0 * (least + (terms as f64).sqrt());
        (0..y.len())
            .map(|i| match (sizes.at(i).is_finite(), y.at(i).is_finite()) {
                (true, _) => factor * sizes.at(i) + TINY,
                // The sum may overflow in one order and not in another.
                (false, true) => f64::INFINITY,
                (false, false) => 0.0,
            })
            .collect()
    }
}

fn scaled(y: &Data, f: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..y.len()).map(|i| f(y.at(i))).collect()
}

fn absolute(x: &Data) -> Data {
    match x {
        Data::F32(v) => Data::F32(v.iter().map(|x| x.abs()).collect()),
        other => other.clone(),
    }
}

fn map_bound(row: &Row, x: &[f64], e: &[f64], y: f64, dtype: DType) -> f64 {
    if row.kind == RowKind::Compare && (e[0] > 0.0 || e[1] > 0.0) {
        return if (x[0] - x[1]).abs() > e[0] + e[1] { 0.0 } else { 1.0 };
    }
    let mut bound = 0.0;
    let mut at = x.to_vec();
    for k in 0..x.len() {
        let e = if x[k].abs() < TINY && row.test.tolerance > 0.0 { e[k].max(x[k].abs()) } else { e[k] };
        if e > 0.0 {
            let y = row.at(x);
            let moved = [x[k] - e, x[k] + e].map(|x| {
                at[k] = x;
                distance(row.at(&at), y)
            });
            at[k] = x[k];
            bound += moved[0].max(moved[1]);
        }
    }
    // What each operand does alone says nothing of 0 · 0: both have to be off.
    if let ([a, b], [d, e]) = (x, e)
        && *d > 0.0
        && *e > 0.0
    {
        let corners = [(a - d, b - e), (a - d, b + e), (a + d, b - e), (a + d, b + e)];
        let moved = corners.map(|(a, b)| distance(row.at(&[a, b]), row.at(x)));
        bound = moved.into_iter().fold(bound, f64::max);
    }
    if !dtype.is_float() || row.test.tolerance == 0.0 {
        return bound;
    }
    let size = y.abs().max(row.test.least);
    let own = if size.is_finite() { row.test.tolerance.max(ROUNDING) * size } else { 0.0 };
    bound + own + TINY
}

/// A conversion rounds as the reference does; only a bound of its operand makes it differ.
fn cast_bound(x: f64, e: f64, y: f64, dtype: DType) -> f64 {
    if e == 0.0 {
        let flushed = if dtype.is_float() && x.abs() < TINY { TINY } else { 0.0 };
        // Whole numbers beyond 2^24 are rounded on the way to a float.
        return if dtype.is_float() && x.abs() > 16_777_216.0 { dtype.epsilon() * y.abs() } else { flushed };
    }
    let convert = |x: f64| match dtype {
        DType::Bool => (x != 0.0) as u8 as f64,
        DType::U32 => (x as u32) as f64,
        DType::I32 => (x as i32) as f64,
        DType::F16 => crate::dtype::to_f16(x).to_f64(),
        DType::BF16 => crate::dtype::to_bf16(x).to_f64(),
        DType::F32 | DType::F64 => x,
    };
    if dtype == DType::Bool && x.abs() <= e {
        return 1.0;
    }
    distance(convert(x - e), y).max(distance(convert(x + e), y))
}

/// How far two numbers are apart; not at all if both are NaN, infinitely far if only one is a number.
fn distance(a: f64, b: f64) -> f64 {
    // What overflows in single precision is infinite.
    let single = |x: f64| if x.abs() > f32::MAX as f64 { f64::INFINITY.copysign(x) } else { x };
    let (a, b) = (single(a), single(b));
    if a == b || (a.is_nan() && b.is_nan()) {
        0.0
    } else if a.is_finite() && b.is_finite() {
        (a - b).abs()
    } else {
        f64::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::scalar::rows;

    #[test]
    fn bounds_follow_the_function() {
        let tight = map_bound(&rows::add, &[1.0, 2.0], &[0.0, 0.0], 3.0, DType::F32);
        assert!(tight > 0.0 && tight < 1e-6);
        assert!(map_bound(&rows::exp, &[10.0], &[1e-3], 22026.0, DType::F32) > 22.0);
        // A square of what should be 0 is off by the square of the bound.
        let square = map_bound(&rows::mul, &[0.0, 0.0], &[1e-7, 1e-7], 0.0, DType::F32);
        assert!((square / 1e-14 - 1.0).abs() < 1e-9, "{square:e}");
        assert_eq!(map_bound(&rows::gt, &[1.0, 0.5], &[0.1, 0.1], 1.0, DType::Bool), 0.0);
        assert_eq!(map_bound(&rows::eq, &[1.0, 1.05], &[0.1, 0.0], 0.0, DType::Bool), 1.0);
        assert_eq!(map_bound(&rows::relu, &[-1.0], &[0.0], 0.0, DType::F32), 0.0);
        assert_eq!(map_bound(&rows::exp, &[88.7], &[0.1], 3.3e38, DType::F32), f64::INFINITY);
    }

    #[test]
    fn bounds_of_two_operands_are_no_more_than_the_box() {
        let (x, e) = ([0.7, -1.3], [3e-4, 2e-4]);
        for row in [&rows::add, &rows::sub, &rows::mul, &rows::div] {
            let y = row.at(&x);
            let bound = map_bound(row, &x, &e, y, DType::F32) - map_bound(row, &x, &[0.0; 2], y, DType::F32);
            let places = (0..121).map(|i| [i / 11, i % 11].map(|k| k as f64 / 5.0 - 1.0));
            let moved = places.map(|[s, t]| (row.at(&[x[0] + s * e[0], x[1] + t * e[1]]) - y).abs());
            let farthest = moved.fold(0.0, f64::max);
            assert!((bound / farthest - 1.0).abs() < 1e-9, "{}: {bound:e} for {farthest:e}", row.name);
        }
    }

    #[test]
    fn special_values_must_agree() {
        assert!(compare(f64::NAN, f64::NAN, 0.0).0);
        assert!(!compare(0.0, f64::NAN, 1e30).0);
        assert!(!compare(3e38, f64::INFINITY, 1e37).0);
        assert!(compare(f64::INFINITY, f64::INFINITY, 0.0).0);
    }
}
