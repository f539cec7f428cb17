use std::collections::VecDeque;

use crate::model::{Time, Writer};

/// Parts that may wait.
const PARTS: usize = 64;
/// Bytes that may wait.
const BYTES: usize = 16 << 10;
/// Bytes of a writer that are looked at.
const LOOKED_AT: usize = 1_024;

/// Part of what a side wrote.
#[derive(Debug)]
pub(super) enum What {
    /// Bytes.
    Bytes(Box<[u8]>),
    /// Payload of a DATA frame that was not copied.
    Skipped(u64),
    /// Bytes that were lost; how many, where it is known.
    Lost(Option<u64>),
}

/// What was written before it is known who is the server, in order.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    parts: VecDeque<(Time, Writer, What)>,
    bytes: usize,
    given_up: bool,
}

impl Waiting {
    pub(super) fn push(&mut self, time: Time, by: Writer, what: What) {
        if let What::Bytes(bytes) = &what {
            self.bytes = self.bytes.saturating_add(bytes.len());
        }
        self.parts.push_back((time, by, what));
    }

    /// No more can wait.
    pub(super) fn is_full(&self) -> bool {
        self.parts.len() >= PARTS || self.bytes >= BYTES
    }

    /// Something that waited was let go.
    pub(super) const fn given_up(&self) -> bool {
        self.given_up
    }

    /// Lets go of everything; how many bytes that were, skipped and lost ones left out.
    pub(super) fn give_up(&mut self) -> u64 {
        self.given_up |= !self.parts.is_empty();
        self.parts = VecDeque::new();
        std::mem::take(&mut self.bytes) as u64
    }

    /// The first bytes of a writer behind the last that are not here.
    pub(super) fn prefix(&self, of: Writer) -> Vec<u8> {
        let mut prefix = Vec::new();
        for (_, _, what) in self.parts.iter().filter(|(_, by, _)| *by == of) {
            match what {
                What::Bytes(bytes) => {
                    let room = LOOKED_AT.saturating_sub(prefix.len());
                    prefix.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                }
                What::Skipped(_) | What::Lost(_) => prefix.clear(),
            }
        }
        prefix
    }

    pub(super) fn into_items(self) -> impl Iterator<Item = (Time, Writer, What)> {
        self.parts.into_iter()
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes + self.parts.capacity() * size_of::<(Time, Writer, What)>()
    }
}
