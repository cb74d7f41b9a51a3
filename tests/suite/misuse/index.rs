//! Indexing, sorting, searching.
