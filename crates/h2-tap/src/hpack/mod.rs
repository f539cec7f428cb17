//! HPACK (RFC 7541), decoding only, from any point of a connection.
//!
//! A decoded field is two [`span::Span`]s: places in the static table or in the decoder's [`arena::Arena`], which holds the
//! table's entries and the literals of the current block. An indexed field thus costs no copy, however large its entry, and an
//! entry that is evicted while its block is decoded stays readable until the next block.

mod arena;
mod decoder;
mod fields;
mod huffman;
mod integer;
mod span;
mod static_table;
mod table;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, HpackError};
pub use fields::{Field, Fields, FieldsBuf, Wanted};
