//! The program `h2watch`.

fn main() {}
