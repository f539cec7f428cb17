//! Scenarios: a few events in, the cases out.

mod cases;
mod generator;
mod sight;
mod strangers;
mod world;
