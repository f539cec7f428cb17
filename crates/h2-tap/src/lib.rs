//! Passive HTTP/2 (RFC 9113) for bytes seen on the wire.
//!
//! Sans-IO: the caller hands in the bytes of each side in order, and a time; an [`Observer`] hears what happened. The crate
//! never sends, never fails on wrong bytes, and goes on from the middle of a connection or after a gap. Reset and GOAWAY
//! decoding needs neither HPACK nor the connection's start.

#![forbid(unsafe_code)]

mod code;
mod connection;
mod frame;
mod hpack;
mod ledger;
mod limits;
mod observer;
mod resync;
mod settings;
mod side;
#[cfg(test)]
mod tests;

pub use code::ErrorCode;
pub use connection::{Auth, Connection};
pub use hpack::{Decoder, Field, Fields, FieldsBuf, HpackError, Wanted};
pub use limits::Limits;
pub use observer::{Anomaly, End, GoAway, HeadKind, Observer, Phase, Reset, Stream};
pub use side::Side;
