//! New tensors and random numbers.
