//! Views and layout.
