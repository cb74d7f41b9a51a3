//! Convolution, pooling, resampling.
