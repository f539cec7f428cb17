//! h2watch: which requests an HTTP/2 origin refused, with which code, and what became of them.
//!
//! `ARCHITECTURE.md` at the top of the repository has the code map and the invariants.

pub mod cli;
pub mod config;
pub mod detect;
pub mod doctor;
pub mod engine;
pub mod explain;
pub mod export;
pub mod flow;
pub mod limits;
pub mod model;
pub mod packet;
pub mod replay;
pub mod sink;
pub mod source;
pub mod watch;
pub mod web;
