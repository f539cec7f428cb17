//! Scenarios: a few events in, the cases out.

mod cases;
mod dark;
mod doubt;
mod ends;
mod generator;
mod identity;
mod retries;
mod sight;
mod strangers;
mod unfinished;
mod world;
