//! HPACK (RFC 7541), decoding only, from any point of a connection.

mod decoder;
mod fields;

pub(crate) use decoder::Decoder;
pub use fields::{Field, Fields};
