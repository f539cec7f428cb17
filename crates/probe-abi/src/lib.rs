//! What h2watch's kernel programs and its user space share: records in ring buffers, keys and values of maps.
//!
//! Everything is in the byte order of the machine, for both sides run on it, unless a field says otherwise.

#![no_std]
#![forbid(unsafe_code)]

pub mod plain;
pub mod secret;
pub mod tap;

/// Part of a record by its place.
fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
