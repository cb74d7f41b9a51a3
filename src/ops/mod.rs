//! The verbs that record operations, in reading order.
//!
//! A function of numbers is a row of the table in `scalar/`; a structural operation is a variant of [`op::Op`] and the
//! function that records it; a composite is a function over those.

pub mod op;
pub mod row;
pub mod scalar;

pub mod activation;
pub mod arith;
pub mod attention;
pub mod calculus;
pub mod composite;
pub mod contract;
pub mod conv;
pub mod create;
pub mod diagonal;
pub mod distance;
pub mod draw;
pub mod dropout;
pub mod einsum;
pub mod embedding;
pub mod entries;
pub mod extreme;
pub mod gather;
pub mod grid_sample;
pub mod im2col;
pub mod in_place;
pub mod index;
pub mod interpolate;
pub mod join;
pub mod linear;
pub mod loss;
pub mod loss_classes;
pub mod loss_ctc;
pub mod loss_pairs;
pub mod map;
pub mod mask;
pub mod matmul;
pub mod norm;
pub mod pad;
pub mod permute;
pub mod pool;
pub mod products;
pub mod quantile;
pub mod ranges;
pub mod read;
pub mod reduce;
pub mod repeat;
pub mod resample;
pub mod reshape;
pub mod rnn;
pub mod scan;
pub mod scatter;
pub mod selection;
pub mod shuffle;
pub mod softmax;
pub mod sort;
pub mod spatial;
pub mod split;
pub mod statistics;
pub mod strided;
pub mod unique;
pub mod vector_norm;
pub mod view;
pub mod window;
pub mod write;
