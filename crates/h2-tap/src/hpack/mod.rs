//! HPACK (RFC 7541), decoding only, from any point of a connection.

mod fields;

pub use fields::{Field, Fields};
