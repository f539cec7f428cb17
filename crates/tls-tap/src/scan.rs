//! Looks for a record boundary in bytes behind a hole.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Guess;
use crate::record::{HEADER, Header, MAX, content};

/// Most bytes kept: whatever lies further back than two records was looked at in full.
const KEPT: usize = 64 << 10;
const TWO_RECORDS: usize = 2 * (MAX + HEADER);

/// A search for a record header with another one, or the end of what was seen, right behind its record.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Stream bytes between the last known boundary and `bytes`.
    before: u64,
    bytes: Vec<u8>,
    /// Bytes up to this index came at this time.
    times: Vec<(usize, u64)>,
    /// First index that was not looked at.
    next: usize,
    /// Candidates by the index where their record ends, with the index where it starts.
    candidates: BinaryHeap<Reverse<(usize, usize)>>,
}

impl Scan {
    /// `before`: stream bytes since the last known boundary.
    pub(crate) const fn new(before: u64) -> Self {
        Self { before, bytes: Vec::new(), times: Vec::new(), next: 0, candidates: BinaryHeap::new() }
    }

    pub(crate) fn push(&mut self, time: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.trim();
        self.bytes.extend_from_slice(bytes);
        match self.times.last_mut() {
            Some((end, last)) if *last == time => *end = self.bytes.len(),
            _ => self.times.push((self.bytes.len(), time)),
        }
    }

    /// More bytes are missing behind those pushed.
    pub(crate) fn gap(&mut self, lost: u64) {
        self.before = self.before.saturating_add(self.bytes.len() as u64).saturating_add(lost);
        self.bytes.clear();
        self.times.clear();
        self.candidates.clear();
        self.next = 0;
    }

    /// A boundary: the stream bytes between the last known one and it, and its index in [`bytes`](Self::bytes). `ends`: nothing more will
    /// come, and the beginning of a header behind a record has to do.
    pub(crate) fn find(&mut self, ends: bool) -> Option<(u64, usize)> {
        while let Some(window) = self.bytes.get(self.next..) {
            let Some(header) = Header::at(window) else { break };
            if is_candidate(header) {
                self.candidates.push(Reverse((self.next + HEADER + header.len(), self.next)));
            }
            self.next += 1;
        }
        while let Some(Reverse((end, start))) = self.candidates.peek().copied() {
            let behind = self.bytes.get(end..)?;
            let fits = match Header::at(behind) {
                Some(header) => is_candidate(header) || header.may_follow(),
                None if behind.is_empty() => true,
                None if ends => behind.iter().zip([20..=23, 3..=3, 3..=3]).all(|(byte, range)| range.contains(byte)),
                None => return None,
            };
            self.candidates.pop();
            if fits {
                return Some((self.before.saturating_add(start as u64), start));
            }
        }
        None
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// No byte came yet, and none is missing.
    pub(crate) const fn is_untouched(&self) -> bool {
        self.before == 0 && self.bytes.is_empty()
    }

    /// When the byte at `index` came.
    pub(crate) fn time_at(&self, index: usize) -> u64 {
        let at = self.times.partition_point(|(end, _)| *end <= index);
        self.times.get(at).or(self.times.last()).map_or(0, |(_, time)| *time)
    }

    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + (self.times.capacity() + self.candidates.capacity()) * size_of::<(usize, usize)>()
    }

    fn trim(&mut self) {
        if self.bytes.len() <= KEPT {
            return;
        }
        let gone = self.bytes.len() - TWO_RECORDS;
        self.bytes.drain(..gone);
        self.before = self.before.saturating_add(gone as u64);
        self.next = self.next.saturating_sub(gone);
        self.times.retain_mut(|(end, _)| {
            let stays = *end > gone;
            *end = end.saturating_sub(gone);
            stays
        });
        self.candidates = self
            .candidates
            .drain()
            .filter_map(|Reverse((end, start))| Some(Reverse((end - gone, start.checked_sub(gone)?))))
            .collect();
    }
}

fn is_candidate(header: Header) -> bool {
    let [content_type, major, minor, ..] = header.0;
    match content_type {
        content::CHANGE_CIPHER_SPEC => major == 3 && minor == 3 && header.len() == 1,
        content::HANDSHAKE => major == 3 && minor == 3 && (4..=MAX).contains(&header.len()),
        _ => header.is_protected_data(),
    }
}

/// Whether a chain of records of protected data runs through these bytes of a stream's middle.
pub(crate) fn chain(bytes: &[u8]) -> Guess {
    let mut scan = Scan::new(0);
    let kept = bytes.get(..KEPT).unwrap_or(bytes);
    scan.push(0, kept);
    match scan.find(false) {
        Some(_) => Guess::Yes,
        None if !scan.candidates.is_empty() => Guess::Maybe,
        None => Guess::No,
    }
}
