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
pub mod composite;
pub mod contract;
pub mod create;
pub mod distance;
pub mod dropout;
pub mod in_place;
pub mod index;
pub mod linear;
pub mod loss;
pub mod loss_classes;
pub mod loss_pairs;
pub mod map;
pub mod matmul;
pub mod norm;
pub mod read;
pub mod reduce;
pub mod rnn;
pub mod softmax;
pub mod sort;
pub mod view;
pub mod window;
