//! The order of the layers: TCP, TLS, HTTP. Segments in, events out; sans-IO.
//!
//! A [`Shard`] owns the flows whose segments and plaintext it is given. Bytes of a flow go from its reassembly to what is above TCP: first its
//! protocol is found by content, then TLS and HTTP read it, and what they see becomes events in the words of `model`. Plaintext that a probe took is read by HTTP alone.

mod connection;
mod events;
mod h2;
mod http;
mod http1;
mod plain;
mod proxy;
mod reassembly;
mod request;
mod roles;
mod shard;
mod sniff;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod upper;
mod voice;

pub use events::Events;
pub use shard::{FlowCounts, Samples, Shard};
