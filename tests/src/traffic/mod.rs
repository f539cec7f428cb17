//! A generator of valid captures: TLS 1.3, HTTP/2 and TCP as real endpoints would send them, with keys, deterministic by seed.
//!
//! It shares no code with the crates under test: it seals with aws-lc-rs and encodes headers with httlib-hpack.

mod connection;
mod corpus;
mod h2;
mod packets;
mod random;
mod tls;

pub use connection::{Connection, Side};
pub use corpus::{Corpus, large, small};
pub use h2::{Encoder, data, frame, goaway, headers, rst_stream};
pub use packets::{Packets, Tcp};
pub use random::Random;
pub use tls::{Cipher, Seal, client_finished, client_hello, server_flight, server_hello};
