//! HPACK (RFC 7541), decoding only, from any point of a connection.

mod fields;
mod decoder;

pub use fields::{Field, Fields};
pub(crate) use decoder::Decoder;
