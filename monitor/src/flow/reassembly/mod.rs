//! One direction of a TCP connection, put in order (RFC 9293 section 3.10).

mod ack;
mod pieces;
#[cfg(test)]
mod tests;

use tls_tap::Chunk;

use self::pieces::Pieces;
use crate::limits::Limits;
use crate::model::{GapWhere, Time};

/// Takes a direction's bytes in order.
pub(crate) trait Ordered<'m> {
    /// The next bytes.
    fn data(&mut self, time: Time, chunk: Chunk<'m, '_>);

    /// The next bytes are not in the capture.
    fn gap(&mut self, time: Time, bytes: u64, at: GapWhere);
}

/// Payload of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'m, 'b> {
    /// When it was captured.
    pub(crate) time: Time,
    /// Sequence number of its first byte.
    pub(crate) seq: u32,
    /// Bytes that were captured.
    pub(crate) chunk: Chunk<'m, 'b>,
    /// Bytes behind them that a snap length cut off.
    pub(crate) missing: u32,
}

/// Where the stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Nothing was seen of this direction.
    Unseen,
    /// Nothing was seen of it but that the other side acknowledged what comes before its first byte; until `until` that may have been
    /// under way when the capture began, and so may what comes next.
    Acknowledged { until: Time },
    /// The SYN was not seen: the lowest sequence number among the first few segments. Nothing is given on until it is settled.
    Floating,
    /// Settled: bytes in front of it are old.
    Settled,
}

/// What a segment turned out to be, where that is worth a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// Bytes that came twice and differ.
    Conflict,
    /// A sequence number that no window reaches.
    OutOfWindow,
    /// Bytes behind the FIN.
    AfterFin,
}

impl Oddity {
    /// The name in every output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Conflict => "tcp_overlap_conflict",
            Self::OutOfWindow => "tcp_out_of_window",
            Self::AfterFin => "tcp_data_after_fin",
        }
    }
}

/// The largest window that TCP can have (RFC 7323 section 2.3): what lies further ahead cannot be part of the stream.
const WINDOW: u64 = 1 << 30;
/// A retransmission from further back than this is not one.
const BEHIND: u64 = 1 << 28;
/// So many segments in a row that no window reaches: the capture has lost more than a window.
const STRAYS: u8 = 8;
/// A stream whose start was not seen begins with the lowest of this many segments, at the latest.
const FLOATING_PIECES: usize = 3;
/// How far in front of the first segment seen a stream may begin: an initial window with room (RFC 6928).
const FLOATING_REACH: u64 = 64 << 10;
/// Offset that the first byte seen gets when it need not be the stream's first.
const ORIGIN: u64 = 1 << 32;

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Reassembly<'m> {
    start: Start,
    /// Sequence number at `next`.
    seq: u32,
    /// Offset of the next byte to give on.
    next: u64,
    /// Highest offset that the receiver acknowledged.
    acked: u64,
    /// Since when bytes are acknowledged that were not seen.
    overdue: Option<Time>,
    /// Offset of the FIN.
    fin: Option<u64>,
    strays: u8,
    held: Pieces<'m>,
}

impl<'m> Reassembly<'m> {
    /// `first`: the sequence number of the first byte, where the SYN or its acknowledgment was seen.
    pub(crate) fn new(first: Option<u32>) -> Self {
        Self {
            start: if first.is_some() { Start::Settled } else { Start::Unseen },
            seq: first.unwrap_or_default(),
            next: ORIGIN,
            acked: ORIGIN,
            overdue: None,
            fin: None,
            strays: 0,
            held: Pieces::default(),
        }
    }

    /// Bytes that wait for a missing segment.
    pub(crate) const fn held(&self) -> usize {
        self.held.bytes()
    }

    /// Every byte up to the FIN was given on.
    pub(crate) fn ended(&self) -> bool {
        self.start == Start::Settled && self.fin.is_some_and(|fin| self.next >= fin)
    }

    /// Nothing was seen of this direction.
    pub(crate) const fn unseen(&self) -> bool {
        matches!(self.start, Start::Unseen | Start::Acknowledged { .. })
    }

    /// The start of the stream is `first`, as a SYN says that was captured late. Of no effect once bytes were given on.
    pub(crate) fn begins(&mut self, first: u32) {
        match self.start {
            Start::Unseen => {
                self.seq = first;
                self.start = Start::Settled;
            }
            Start::Floating | Start::Acknowledged { .. } => {
                if let Some(offset) = self.place(first).filter(|&offset| offset <= self.next) {
                    self.seq = first;
                    self.next = offset;
                    self.start = Start::Settled;
                }
            }
            Start::Settled => {}
        }
    }

    /// A SYN that says that the stream begins at `first` may be this connection's.
    pub(crate) fn may_begin(&self, first: u32) -> bool {
        match self.start {
            Start::Unseen => true,
            Start::Floating | Start::Acknowledged { .. } => self
                .place(first)
                .is_some_and(|offset| offset <= self.next && offset.saturating_add(FLOATING_REACH) >= self.next),
            Start::Settled => self.place(first) == Some(ORIGIN),
        }
    }

    /// The offset of a sequence number: the one nearest to `next`. `None`: below every offset.
    fn place(&self, seq: u32) -> Option<u64> {
        let ahead = i64::from(seq.wrapping_sub(self.seq).cast_signed());
        self.next.checked_add_signed(ahead)
    }

    /// A sequence number that may be this direction's next, or a little beside it: what an RST needs (RFC 9293 section 3.5.2).
    pub(crate) fn accepts_reset(&self, seq: u32) -> bool {
        /// Windows beyond this are rare, and a forged RST is to be unlikely.
        const REACH: u64 = 1 << 24;
        if self.unseen() {
            return true;
        }
        let top = self.held.end().unwrap_or(self.next).max(self.acked).max(self.next).saturating_add(REACH);
        self.place(seq).is_some_and(|offset| offset.saturating_add(1) >= self.next && offset <= top)
    }

    /// A segment with payload.
    pub(crate) fn data(
        &mut self,
        payload: Payload<'m, '_>,
        limits: &Limits,
        to: &mut impl Ordered<'m>,
    ) -> Option<Oddity> {
        if self.start == Start::Settled && payload.seq == self.seq && self.held.is_empty() && self.fin.is_none() {
            self.strays = 0;
            self.give(payload.time, payload.chunk, u64::from(payload.missing), to);
            return None;
        }
        self.data_out_of_order(payload, limits, to)
    }

    fn data_out_of_order(
        &mut self,
        payload: Payload<'m, '_>,
        limits: &Limits,
        to: &mut impl Ordered<'m>,
    ) -> Option<Oddity> {
        self.first_seen(payload.time, payload.seq);
        let length = (payload.chunk.len() as u64).saturating_add(u64::from(payload.missing));
        let offset = match self.place(payload.seq) {
            Some(offset)
                if offset <= self.next.saturating_add(WINDOW) && offset.saturating_add(BEHIND) >= self.next =>
            {
                self.strays = 0;
                offset
            }
            strayed => {
                self.strays = self.strays.saturating_add(1);
                if self.strays < STRAYS {
                    return Some(Oddity::OutOfWindow);
                }
                self.restart(payload.time, payload.seq, strayed, to);
                self.next
            }
        };
        if self.start == Start::Floating && offset < self.next && offset.saturating_add(FLOATING_REACH) >= self.next {
            self.next = offset;
            self.seq = payload.seq;
        }
        let mut end = offset.saturating_add(length);
        let mut odd = None;
        let mut missing = u64::from(payload.missing);
        if let Some(fin) = self.fin.filter(|&fin| fin < end) {
            odd = Some(Oddity::AfterFin);
            missing = missing.min(fin.saturating_sub(offset).saturating_sub(payload.chunk.len() as u64));
            end = fin;
        }
        if end <= self.next {
            return odd;
        }
        let skip = self.next.saturating_sub(offset);
        let from = usize::try_from(skip).unwrap_or(usize::MAX).min(payload.chunk.len());
        let missing = missing.min(end - self.next);
        let upto = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(payload.chunk.len());
        let chunk = payload.chunk.slice(from..upto);
        let offset = offset.max(self.next);
        let direct = self.start == Start::Settled
            && offset == self.next
            && self.held.first().is_none_or(|first| first.offset >= end);
        if direct {
            self.give(payload.time, chunk, missing, to);
        } else if self.held.insert(offset, chunk, missing, payload.time) {
            odd = Some(Oddity::Conflict);
        }
        if self.start == Start::Floating {
            if self.held.len() >= FLOATING_PIECES {
                self.settle(to);
            }
        } else {
            self.drain(to);
        }
        while self.held.bytes() > limits.reassembly_flow || self.held.len() > limits.reassembly_pieces {
            self.give_up(GapWhere::Cap, to);
        }
        odd
    }

    /// The first segment with payload.
    fn first_seen(&mut self, time: Time, seq: u32) {
        let Start::Acknowledged { until } = self.start else {
            if self.start == Start::Unseen {
                (self.start, self.seq) = (Start::Floating, seq);
            }
            return;
        };
        let plausible = |offset: u64| {
            offset <= self.next.saturating_add(WINDOW) && offset.saturating_add(FLOATING_REACH) >= self.next
        };
        match self.place(seq).filter(|&offset| time >= until && plausible(offset)) {
            // What was acknowledged should have been seen, and so should what came since then.
            Some(offset) => {
                if offset < self.next {
                    (self.next, self.seq) = (offset, seq);
                }
                self.start = if self.acked > self.next { Start::Settled } else { Start::Floating };
            }
            None => {
                (self.start, self.seq) = (Start::Floating, seq);
                (self.acked, self.overdue) = (self.next, None);
            }
        }
    }

    /// The stream goes on at `seq`, more than a window away.
    fn restart(&mut self, time: Time, seq: u32, place: Option<u64>, to: &mut impl Ordered<'m>) {
        self.flush(time, to);
        let lost = match place {
            Some(offset) if offset > self.next => offset - self.next,
            _ => u64::from(seq.wrapping_sub(self.seq)),
        };
        to.gap(time, lost, GapWhere::Cap);
        self.next = self.next.saturating_add(lost);
        self.seq = seq;
        self.acked = self.next;
        self.overdue = None;
        self.fin = None;
        self.strays = 0;
    }

    /// The first hole is lost: what waits behind it goes on. `false`: nothing waits.
    pub(crate) fn give_up(&mut self, at: GapWhere, to: &mut impl Ordered<'m>) -> bool {
        self.start = Start::Settled;
        let Some((offset, time)) = self.held.first().map(|first| (first.offset, first.time)) else { return false };
        self.lose(time, offset.saturating_sub(self.next), at, to);
        self.drain(to);
        true
    }

    /// The FIN of this direction; `seq` is its own sequence number, behind the payload of its segment.
    pub(crate) fn fin(&mut self, seq: u32, to: &mut impl Ordered<'m>) {
        if self.unseen() && self.acked <= self.next {
            self.seq = seq;
        }
        if self.unseen() {
            self.start = Start::Settled;
        }
        self.settle(to);
        let Some(offset) = self.place(seq) else { return };
        if self.fin.is_none() && offset >= self.next && offset <= self.next.saturating_add(WINDOW) {
            self.fin = Some(offset);
        }
    }

    /// The lowest of the segments seen is the stream's start.
    fn settle(&mut self, to: &mut impl Ordered<'m>) {
        if self.start == Start::Floating {
            self.start = Start::Settled;
            self.drain(to);
        }
    }

    /// No more will come: gives on what waits, with its holes.
    pub(crate) fn flush(&mut self, time: Time, to: &mut impl Ordered<'m>) {
        /// A hole that nobody acknowledged and that is larger than this is a stray segment, not a loss.
        const PLAUSIBLE: u64 = 16 << 20;
        self.settle(to);
        while let Some((offset, at)) = self.held.first().map(|first| (first.offset, first.time)) {
            let hole = offset.saturating_sub(self.next);
            if hole > PLAUSIBLE && self.acked < offset {
                self.held.clear();
                break;
            }
            self.lose(at, hole, GapWhere::End, to);
            self.drain(to);
        }
        let end = self.fin.unwrap_or_else(|| self.acked_data());
        self.lose(time, end.saturating_sub(self.next), GapWhere::End, to);
    }

    /// Gives on the pieces that follow without a hole.
    fn drain(&mut self, to: &mut impl Ordered<'m>) {
        while self.held.first().is_some_and(|first| first.offset <= self.next) {
            if let Some(piece) = self.held.pop() {
                let chunk = match &piece.data {
                    std::borrow::Cow::Borrowed(bytes) => Chunk::Lasting(bytes),
                    std::borrow::Cow::Owned(bytes) => Chunk::Passing(bytes),
                };
                self.give(piece.time, chunk, piece.missing, to);
            }
        }
    }

    fn give(&mut self, time: Time, chunk: Chunk<'m, '_>, missing: u64, to: &mut impl Ordered<'m>) {
        if !chunk.is_empty() {
            self.advance(chunk.len() as u64);
            to.data(time, chunk);
        }
        self.lose(time, missing, GapWhere::Truncated, to);
    }

    fn lose(&mut self, time: Time, bytes: u64, at: GapWhere, to: &mut impl Ordered<'m>) {
        if bytes > 0 {
            self.advance(bytes);
            to.gap(time, bytes, at);
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.next = self.next.saturating_add(bytes);
        // Sequence numbers count modulo 2^32.
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is meant")]
        let step = bytes as u32;
        self.seq = self.seq.wrapping_add(step);
    }
}
