//! The streams of one connection, and what they come to.

mod end;
mod headers;
mod open;

use std::collections::VecDeque;

pub(crate) use headers::Section;
use open::Open;

use crate::{Anomaly, End, GoAway, Limits, Observer, Phase, Side, Stream};

/// An open stream.
#[derive(Debug)]
struct Entry<T> {
    stream: Stream<T>,
    /// [`Ledger::losses`] when a frame of this stream was last seen: when they differ, its end may have been lost.
    seen: u64,
    /// [`Ledger::server_losses`] when it was last certain that no response had begun.
    certain: u64,
}

/// A stream that ended, kept so that late frames find it.
#[derive(Debug)]
struct Closed<T> {
    stream: Stream<T>,
    end: End,
}

/// DATA of one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    /// Stream of the frame.
    pub(crate) stream: u32,
    /// Payload that went by, without padding.
    pub(crate) bytes: u64,
    /// And the end of a frame that had END_STREAM.
    pub(crate) end: bool,
    /// When the frame's header was seen.
    pub(crate) began: u64,
}

/// The streams of one connection. The order of their identifiers is the order of their age.
#[derive(Debug)]
pub(crate) struct Ledger<T> {
    open: Open<T>,
    client_open: usize,
    closed: VecDeque<Closed<T>>,
    /// How many of `closed` ended without a request that we saw.
    closed_unasked: usize,
    streams: usize,
    closed_streams: usize,
    /// The highest stream that a client's HEADERS named: its next request is above.
    highest_request: u32,
    /// Requests may have gone by unseen: joined late, or bytes of the client lost.
    unseen_requests: bool,
    /// The connection's start was not seen.
    joined: bool,
    losses: u64,
    server_losses: u64,
    /// The server's last GOAWAY, and its last with an error.
    goaway: Option<GoAway>,
    goaway_error: Option<GoAway>,
}

impl<T> Ledger<T> {
    pub(crate) fn new(limits: &Limits, joined: bool) -> Self {
        Self {
            open: Open::new(),
            client_open: 0,
            closed: VecDeque::new(),
            closed_unasked: 0,
            streams: limits.streams.max(1),
            closed_streams: limits.closed_streams,
            highest_request: 0,
            unseen_requests: joined,
            joined,
            losses: 0,
            server_losses: 0,
            goaway: None,
            goaway_error: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn memory(&self) -> usize {
        self.open.memory() + self.closed.capacity() * size_of::<Closed<T>>()
    }

    /// Open, so that DATA of `side` may name it.
    pub(crate) fn takes_data(&self, id: u32, side: Side) -> bool {
        self.open.get(id).is_some_and(|entry| match side {
            Side::Client => !entry.stream.client_ended,
            Side::Server => true,
        })
    }

    /// A frame may well name this stream: it is open, ended lately, or cannot be judged because requests went by unseen.
    pub(crate) fn plausible(&self, id: u32) -> bool {
        self.open.contains(id)
            || self.closed.iter().any(|closed| closed.stream.id == id)
            || (self.unseen_requests && id % 2 == 1)
    }

    /// A client's HEADERS on this stream would be a request.
    pub(crate) const fn next_request(&self, id: u32) -> bool {
        id % 2 == 1 && id > self.highest_request
    }

    /// A stream that the ledger does not know, whose request may not have been seen: not one that ended long ago.
    fn may_be_unasked(&self, id: u32) -> bool {
        id % 2 == 1 && (id > self.highest_request || self.unseen_requests)
    }

    /// Bytes of `side` were lost, ends of streams may be among them.
    pub(crate) fn lost(&mut self, side: Side) {
        self.losses += 1;
        match side {
            Side::Client => self.unseen_requests = true,
            Side::Server => self.server_losses += 1,
        }
    }

    /// Stream 1 of an upgraded connection (RFC 7540 section 3.2).
    pub(crate) fn upgraded(&mut self, time: u64, tag: T) {
        let mut stream = fresh(1, Some(tag), time);
        stream.client_ended = true;
        self.highest_request = 1;
        self.insert(stream);
    }

    fn insert(&mut self, stream: Stream<T>) -> Option<Stream<T>> {
        let evicted = if self.open.len() >= self.streams { self.open.pop_first() } else { None };
        self.client_open -= evicted.as_ref().map_or(0, |entry| usize::from(entry.stream.id % 2 == 1));
        self.client_open += usize::from(stream.id % 2 == 1);
        self.open.insert(Entry { seen: self.losses, certain: self.server_losses, stream });
        evicted.map(|entry| entry.stream)
    }

    /// Enters a stream; a full ledger lets go of the oldest.
    fn enter<O: Observer<Tag = T>>(&mut self, time: u64, by: Side, stream: Stream<T>, o: &mut O) {
        if let Some(oldest) = self.insert(stream) {
            o.anomaly(time, by, Anomaly::LedgerFull);
            self.close(time, oldest, End::Unknown, o);
        }
    }

    fn take(&mut self, id: u32) -> Option<Entry<T>> {
        let entry = self.open.remove(id)?;
        self.client_open -= usize::from(id % 2 == 1);
        Some(entry)
    }

    /// Says how a stream ended that has left the ledger, and remembers it.
    fn close<O: Observer<Tag = T>>(&mut self, time: u64, stream: Stream<T>, end: End, o: &mut O) {
        o.end(time, &stream, end);
        self.remember(stream, end);
    }

    fn remember(&mut self, mut stream: Stream<T>, end: End) {
        if self.closed_streams == 0 {
            return;
        }
        if end == End::Complete {
            stream.phase = Phase::AfterEnd;
        }
        if self.closed.len() >= self.closed_streams {
            let oldest = self.closed.pop_front();
            self.closed_unasked -= usize::from(oldest.is_some_and(|closed| closed.stream.tag.is_none()));
        }
        self.closed_unasked += usize::from(stream.tag.is_none());
        self.closed.push_back(Closed { stream, end });
    }

    /// DATA went by, the last of it at `time`.
    pub(crate) fn data<O: Observer<Tag = T>>(&mut self, time: u64, side: Side, passed: Passed, o: &mut O) {
        let Passed { stream: id, end, began, .. } = passed;
        if self.passed(side, passed) {
            if end && side == Side::Server {
                self.complete(time, id, o);
            }
            return;
        }
        let closed = !self.unseen_requests || self.closed.iter().any(|closed| closed.stream.id == id);
        if side == Side::Server && !closed {
            let mut stream = fresh(id, None, began);
            stream.phase = Phase::Unknown;
            self.enter(time, side, stream, o);
            self.data(time, side, passed, o);
        }
    }

    /// Enters DATA of an open stream.
    #[inline]
    fn passed(&mut self, side: Side, passed: Passed) -> bool {
        let Some(entry) = self.open.get_mut(passed.stream) else { return false };
        entry.seen = self.losses;
        match side {
            Side::Client => entry.stream.client_ended |= passed.end,
            Side::Server => {
                entry.stream.response_bytes = entry.stream.response_bytes.saturating_add(passed.bytes);
                // A body proves a response's header section, seen or not.
                entry.stream.phase = Phase::InBody;
            }
        }
        true
    }

    fn complete<O: Observer<Tag = T>>(&mut self, time: u64, id: u32, o: &mut O) {
        if let Some(mut entry) = self.take(id) {
            entry.stream.server_ended = true;
            entry.stream.phase = Phase::AfterEnd;
            self.close(time, entry.stream, End::Complete, o);
        }
    }
}

fn fresh<T>(id: u32, tag: Option<T>, opened: u64) -> Stream<T> {
    Stream {
        id,
        tag,
        opened,
        responded: None,
        status: None,
        informational: None,
        phase: Phase::BeforeResponse,
        client_ended: false,
        server_ended: false,
        response_bytes: 0,
        content_length: None,
    }
}
