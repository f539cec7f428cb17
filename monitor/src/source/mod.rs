//! Where packets come from: capture files and pipes.
//!
//! [`OpenedInputs`] owns what lasts for a whole run (mappings, progress, what was wrong with the input); [`CaptureSource`] reads it in
//! batches of packets in time order. Batch boundaries depend on the packets alone, never on the sizes of reads.

mod capture;
#[cfg(feature = "ebpf")]
mod clock;
mod compression;
#[cfg(feature = "ebpf")]
mod elf;
mod feed;
pub mod keylogs;
pub mod live;
mod mapped;
mod merge;
#[cfg(feature = "ebpf")]
mod object;
mod opened;
mod pcap;
mod pcapng;
#[cfg(feature = "ebpf")]
pub mod plain;
mod prescan;
#[cfg(feature = "ebpf")]
pub mod probe;
pub mod processes;
mod step;
#[cfg(feature = "ebpf")]
pub mod survey;
#[cfg(feature = "ebpf")]
pub mod tap;
#[cfg(test)]
mod tests;
#[cfg(feature = "ebpf")]
pub mod trial;
#[cfg(feature = "ebpf")]
mod uprobes;

use std::{fmt, io};

pub use merge::CaptureSource;
pub use opened::{OpenedInputs, Progress};

use crate::model::PacketBatch;

/// Packets in a batch, at most: so few that what small requests give rise to is still in the processor's caches when the next stage reads
/// it, so many that handing them on costs little.
pub const BATCH_PACKETS: usize = 256;

/// A batch ends with the packet that brings its captured bytes to this number.
pub const BATCH_BYTES: usize = 1 << 20;

/// Batches that may be in use at a time: the pages of a mapped file that a batch covered are given back when this many further batches
/// have been filled. Reading a slice of an older batch is still right, it only costs reading the page again.
pub const BATCHES_IN_FLIGHT: usize = 4;

/// Yields packets in time order. `'m`: what the packets' bytes may be borrowed from beyond the batch.
pub trait Source<'m> {
    /// Clears `batch` and fills it with the next packets, at most [`BATCH_PACKETS`] and about [`BATCH_BYTES`]. `Ok(false)`: the input
    /// has ended; `batch` may still hold secrets and a count of lost packets, but no packets.
    ///
    /// # Errors
    /// When the system fails the source as a whole. What is wrong with one of several inputs is noted, and the others go on.
    fn fill(&mut self, batch: &mut PacketBatch<'m>) -> Result<bool, SourceError>;
}

/// The environment failed a source.
#[derive(Debug)]
pub enum SourceError {
    /// Standard input was named more than once.
    StandardInputTwice,
    /// An operation on an object failed.
    Io {
        /// The operation and its object, for example "open x.pcap".
        what: String,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInputTwice => f.write_str("standard input (-) is named more than once"),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::StandardInputTwice => None,
            Self::Io { error, .. } => Some(error),
        }
    }
}
