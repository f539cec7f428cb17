//! Handshake messages: joined out of records, read as far as decryption and the reader need.

pub(crate) mod hello;
pub(crate) mod messages;
