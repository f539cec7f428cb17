//! Scenarios: a few events in, the cases out.

mod cases;
mod doubt;
mod ends;
mod generator;
mod identity;
mod sight;
mod strangers;
mod unfinished;
mod world;
