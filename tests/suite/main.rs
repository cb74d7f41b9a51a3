//! The integration tests, in one binary: one link, easy to carry to a machine with a real GPU.

mod arithmetic;
mod cases;
mod common;
mod derivatives;
mod draws;
mod func;
mod graphs;
mod indexing;
mod kernels;
mod layers;
mod misuse;
mod nn;
mod non_finite;
mod operations;
mod oracle;
mod order;
mod parity;
mod plans;
mod programs;
mod reductions;
mod sabotage;
mod saved;
mod seeds;
mod semantics;
mod spatial;
mod vmap;
