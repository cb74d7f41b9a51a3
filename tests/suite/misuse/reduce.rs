//! Reductions and scans.
