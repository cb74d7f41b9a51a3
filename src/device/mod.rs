//! Devices that play what is recorded: the CPU operation by operation, a GPU by plans, a twin both.

pub mod cpu;
mod error_model;
pub mod gpu;
mod lent;
mod select;
pub mod twin;
mod watch;
