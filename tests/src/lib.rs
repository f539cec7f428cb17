//! What the end-to-end tests and the benchmarks share: generated traffic, the tshark oracle, the shipped and the shared captures.

pub mod traffic;
