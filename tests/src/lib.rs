//! What the end-to-end tests and the benchmarks share: generated traffic, the tshark oracle, the shipped and the shared captures.

pub mod captures;
pub mod hostile;
pub mod lab;
pub mod loss;
pub mod memory;
pub mod program;
pub mod traffic;
pub mod tshark;
pub mod visitors;

/// Says why a test does nothing, in the form that `cargo xtask test` counts.
pub fn skip(test: &str, why: &str) {
    println!("skipped: {test}: {why}");
}
