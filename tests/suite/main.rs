//! One binary of integration tests.
mod smoke;
