//! Passive TLS 1.2 (RFC 5246) and 1.3 (RFC 8446) for bytes seen on the wire.
//!
//! Sans-IO: the caller hands in each side's bytes in order, a time and a [`KeyStore`]; a [`Reader`] gets the plaintext. The joint
//! is a pull: the reader says which bytes it does not need, and records are opened only where they must be.

#![forbid(unsafe_code)]

mod body;
mod chunk;
pub mod cipher;
mod cursor;
mod framer;
mod handshake;
pub mod keylog;
pub mod keys;
pub mod late;
mod reader;
mod record;
mod scan;
pub mod schedule;
mod secret;
mod session;
mod side;
pub mod suite;
mod tap;
#[cfg(test)]
mod testing;
mod transcripts;

pub use chunk::Chunk;
pub use keylog::KeyLog;
pub use keys::{KeyStore, Secrets};
pub use reader::{Alert, Dark, Followed, Forged, Gap, Hello, Proof, Reader, Secured, Version};
pub use secret::Secret;
pub use session::{Session, SessionName, SessionNames};
pub use side::Side;
pub use suite::Suite;
pub use tap::{Guess, Limits, Tls, looks_like_tls};
pub use transcripts::TranscriptName;
