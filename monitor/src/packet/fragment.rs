//! Reassembly of IP datagrams from fragments (RFC 791 section 3.2, RFC 8200 section 4.5), within caps.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::limits::Limits;
use crate::model::Time;

/// A datagram whose fragments do not come within this (capture time) is lost.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Pieces of one datagram: 64 KiB in the smallest packets that any network must carry.
const MAX_PIECES: usize = 128;

/// No datagram is longer.
const MAX_DATAGRAM: usize = 65_535;

/// Names the datagram that a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) from: u128,
    pub(super) to: u128,
    pub(super) id: u32,
    pub(super) protocol: u8,
    pub(super) tunnel: u32,
}

/// A fragment: where its bytes are in its packet, and where they belong in its datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) name: Name,
    pub(super) protocol: u8,
    /// Offset in the datagram.
    pub(super) offset: usize,
    pub(super) more: bool,
    /// Offset in the packet.
    pub(super) at: usize,
    /// Bytes captured.
    pub(super) len: usize,
    /// Bytes not captured.
    pub(super) missing: usize,
}

/// A whole datagram without its IP header.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) name: Name,
    pub(super) protocol: u8,
    pub(super) bytes: Vec<u8>,
}

/// Datagrams that wait for fragments.
#[derive(Debug)]
pub(super) struct Fragments {
    waiting: HashMap<Name, Waiting>,
    /// Oldest first; an entry whose serial number is not its datagram's is spent.
    order: VecDeque<(Name, u64)>,
    serial: u64,
    held: usize,
    max_datagrams: usize,
    max_bytes: usize,
    /// Fragments that were given up.
    pub(super) lost: u64,
}

#[derive(Debug)]
struct Waiting {
    serial: u64,
    since: Time,
    fragments: u64,
    /// Protocol that the first fragment names.
    protocol: u8,
    /// Length, once the last fragment was seen.
    total: Option<usize>,
    bytes: Vec<u8>,
    /// Ranges that are filled, in order, not touching.
    filled: Vec<(usize, usize)>,
}

impl Fragments {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            waiting: HashMap::new(),
            order: VecDeque::new(),
            serial: 0,
            held: 0,
            max_datagrams: limits.fragments,
            max_bytes: limits.fragment_bytes,
            lost: 0,
        }
    }

    /// Adds a fragment; the whole datagram when it was the last one wanted.
    pub(super) fn add(&mut self, now: Time, packet: &[u8], piece: &Piece) -> Option<Datagram> {
        self.expire(now);
        let end = piece.offset.saturating_add(piece.len);
        let bytes = packet.get(piece.at..piece.at + piece.len).unwrap_or_default();
        // A fragment that is not whole can never make a whole datagram; one that is not the last has a length of whole eights.
        if piece.missing > 0 || end > MAX_DATAGRAM || (piece.more && !piece.len.is_multiple_of(8)) || piece.len == 0 {
            self.lost += 1;
            return None;
        }
        if !self.waiting.contains_key(&piece.name) {
            self.begin(now, piece);
        }
        let waiting = self.waiting.get_mut(&piece.name)?;
        waiting.fragments += 1;
        if piece.offset == 0 {
            waiting.protocol = piece.protocol;
        }
        if !piece.more && waiting.total.is_none() {
            waiting.total = Some(end);
        }
        let before = waiting.bytes.len();
        waiting.fill(piece.offset, bytes);
        self.held += waiting.bytes.len() - before;
        if let Some(total) = waiting.total
            && waiting.filled.first().is_some_and(|&(start, end)| start == 0 && end >= total)
        {
            let mut whole = self.remove(piece.name)?;
            whole.bytes.truncate(total);
            return Some(Datagram { name: piece.name, protocol: whole.protocol, bytes: whole.bytes });
        }
        if waiting.filled.len() > MAX_PIECES {
            self.give_up(piece.name);
        }
        while self.held > self.max_bytes && self.give_up_oldest() {}
        None
    }

    /// Gives up everything that waits.
    pub(super) fn clear(&mut self) {
        while self.give_up_oldest() {}
    }

    fn begin(&mut self, now: Time, piece: &Piece) {
        while self.waiting.len() >= self.max_datagrams.max(1) && self.give_up_oldest() {}
        self.serial += 1;
        let waiting = Waiting {
            serial: self.serial,
            since: now,
            fragments: 0,
            protocol: piece.protocol,
            total: None,
            bytes: Vec::new(),
            filled: Vec::new(),
        };
        self.waiting.insert(piece.name, waiting);
        self.order.push_back((piece.name, self.serial));
        // Datagrams that became whole leave their entries behind: swept when they are the most.
        if self.order.len() > 2 * self.max_datagrams.max(32) {
            let waiting = &self.waiting;
            self.order.retain(|(name, serial)| waiting.get(name).is_some_and(|entry| entry.serial == *serial));
        }
    }

    fn expire(&mut self, now: Time) {
        while let Some(&(name, serial)) = self.order.front() {
            match self.waiting.get(&name) {
                Some(waiting) if waiting.serial == serial => {
                    if now.since(waiting.since) <= TIMEOUT {
                        break;
                    }
                    self.give_up(name);
                }
                _ => {}
            }
            self.order.pop_front();
        }
    }

    /// False when none waits.
    fn give_up_oldest(&mut self) -> bool {
        while let Some((name, serial)) = self.order.pop_front() {
            if self.waiting.get(&name).is_some_and(|waiting| waiting.serial == serial) {
                self.give_up(name);
                return true;
            }
        }
        false
    }

    fn give_up(&mut self, name: Name) {
        if let Some(waiting) = self.remove(name) {
            self.lost += waiting.fragments;
        }
    }

    fn remove(&mut self, name: Name) -> Option<Waiting> {
        let waiting = self.waiting.remove(&name)?;
        self.held -= waiting.bytes.len();
        Some(waiting)
    }
}

impl Waiting {
    /// Fills a range; where it was filled before, the first bytes stay.
    fn fill(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let mut at = start;
        for &(from, until) in &self.filled {
            copy(&mut self.bytes, start, bytes, at, end.min(from));
            at = at.max(until);
        }
        copy(&mut self.bytes, start, bytes, at, end);
        // The filled ranges that this one touches become one with it.
        let first = self.filled.partition_point(|&(_, until)| until < start);
        let last = self.filled.partition_point(|&(from, _)| from <= end).max(first);
        let touched = self.filled.get(first..last).unwrap_or_default();
        let from = touched.first().map_or(start, |range| range.0.min(start));
        let until = touched.last().map_or(end, |range| range.1.max(end));
        self.filled.splice(first..last, [(from, until)]);
    }
}

/// Copies the part `from..until` of a datagram out of `bytes`, which belong at `start`.
fn copy(datagram: &mut [u8], start: usize, bytes: &[u8], from: usize, until: usize) {
    if from < until
        && let Some(into) = datagram.get_mut(from..until)
        && let Some(out) = bytes.get(from - start..until - start)
    {
        into.copy_from_slice(out);
    }
}
