//! Records that were looked at without a check, kept until a finding rests on them.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::body::Body;
use crate::framer::PIECES;
use crate::record::Header;

#[derive(Debug)]
struct Entry {
    header: Header,
    sequence: u64,
    pieces: usize,
}

/// One side's unverified records since the last anchor, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unverified<'m> {
    entries: VecDeque<Entry>,
    pieces: VecDeque<Cow<'m, [u8]>>,
    bytes: usize,
    dropped: bool,
}

impl<'m> Unverified<'m> {
    pub(super) fn push(
        &mut self,
        header: Header,
        sequence: u64,
        body: &mut Body<'_, 'm>,
        records: usize,
        bytes: usize,
    ) {
        let (pieces, len) = body.keep(&mut self.pieces);
        self.bytes += len;
        self.entries.push_back(Entry { header, sequence, pieces });
        while self.entries.len() > records || self.bytes > bytes {
            if !self.pop() {
                break;
            }
            self.dropped = true;
        }
    }

    /// Calls `check` on every record and forgets them all. `Err`: one failed; `Ok(false)`: some had been dropped before.
    pub(super) fn verify(
        &mut self,
        mut check: impl FnMut(Header, u64, &[Cow<'m, [u8]>]) -> bool,
    ) -> Result<bool, crate::Forged> {
        let mut result = Ok(!self.dropped);
        self.pieces.make_contiguous();
        let (mut pieces, _) = self.pieces.as_slices();
        for entry in &self.entries {
            let Some((own, rest)) = pieces.split_at_checked(entry.pieces) else { break };
            pieces = rest;
            if !check(entry.header, entry.sequence, own) {
                result = Err(crate::Forged);
                break;
            }
        }
        self.clear();
        result
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.pieces.clear();
        self.bytes = 0;
        self.dropped = false;
    }

    pub(super) fn memory(&self) -> usize {
        // As if every record were in as many pieces as it may be: what is counted does not hang on how the bytes came.
        self.bytes + self.entries.capacity() * (size_of::<Entry>() + PIECES * size_of::<Cow<'_, [u8]>>())
    }

    fn pop(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        for piece in self.pieces.drain(..entry.pieces.min(self.pieces.len())) {
            self.bytes -= piece.len();
        }
        true
    }
}
