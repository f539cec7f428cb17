//! The last requests, whatever became of them: among them are the retries of a reset that is heard of late, and the company that a
//! refused request kept.

use std::collections::VecDeque;

use super::connections::mix;
use super::identity::Ids;
use crate::model::{Protocol, Time};

/// What became of a remembered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No final response yet.
    Open,
    /// A final response began or came in full, or the client gave it up.
    Answered,
    /// Left without a complete response: part of a case.
    Refused,
}

/// What a request is remembered by. Numbers are hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief {
    /// Who asked for what, as [`super::cases`] groups it.
    pub(super) key: u64,
    /// Who asked: the client's host, or its CDN.
    pub(super) who: u64,
    /// Method, authority and full path; 0 unknown.
    pub(super) target: u64,
    /// Method and path; 0 unknown.
    pub(super) shape: u64,
    pub(super) ids: Ids,
    pub(super) start: Time,
    /// When its connection was opened.
    pub(super) connected: Time,
    /// The client's host.
    pub(super) host: u64,
    pub(super) server: u64,
    /// The server's host.
    pub(super) server_host: u64,
    pub(super) protocol: Protocol,
    /// The first on its connection.
    pub(super) first: bool,
}

impl Brief {
    /// The key that groups what may be one request asked again: the same asker and target. A server on the asker's own host is part of
    /// it, as such a request is not the asker's own but one that it serves (an edge seen from both sides).
    pub(super) fn key(who: u64, target: u64, host: u64, server_host: u64, server: u64) -> u64 {
        mix((who, target, if host == server_host { server } else { 0 }))
    }

    pub(super) fn is_http1(&self) -> bool {
        self.protocol == Protocol::Http1
    }
}

/// A request in short, and what became of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) brief: Brief,
    pub(super) state: State,
    pub(super) status: Option<u16>,
    /// Latest start among this and every older record of its chain.
    peak: Time,
    /// The one before it in its chain, 0 for none.
    before: u64,
}

/// The newest of a chain: its number, 0 for none, and its peak, so that adding to a chain does not read a record of long ago.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    number: u64,
    peak: Time,
}

/// A ring of the last requests. Those whose `shape` falls into the same slot are chained, newest first.
#[derive(Debug)]
pub(super) struct Candidates {
    ring: VecDeque<Record>,
    /// Number of the oldest in the ring; numbers begin with 1.
    base: u64,
    heads: Vec<Head>,
    cap: usize,
}

impl Candidates {
    pub(super) fn new(cap: usize) -> Self {
        let cap = cap.max(1);
        Self { ring: VecDeque::new(), base: 1, heads: vec![Head::default(); cap.next_power_of_two()], cap }
    }

    /// Remembers a request; the number that it goes by.
    pub(super) fn push(&mut self, brief: Brief) -> u64 {
        if self.ring.len() >= self.cap {
            self.ring.pop_front();
            self.base += 1;
        }
        let number = self.base + self.ring.len() as u64;
        let slot = brief.shape as usize & (self.heads.len() - 1);
        let mut record = Record { brief, state: State::Open, status: None, peak: brief.start, before: 0 };
        if let Some(head) = self.heads.get_mut(slot) {
            record.before = head.number;
            if head.number >= self.base {
                record.peak = head.peak.max(brief.start);
            }
            *head = Head { number, peak: record.peak };
        }
        self.ring.push_back(record);
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<&Record> {
        self.ring.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    pub(super) fn set(&mut self, number: u64, state: State, status: Option<u16>) {
        let at = number.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        if let Some(record) = at.and_then(|at| self.ring.get_mut(at)) {
            record.state = state;
            record.status = status.or(record.status);
        }
    }

    /// Requests of this shape, newest first, as long as one that began after `since` may follow.
    pub(super) fn chain(&self, shape: u64, since: Time) -> impl Iterator<Item = (u64, &Record)> {
        let slot = shape as usize & (self.heads.len() - 1);
        let mut next = self.heads.get(slot).map_or(0, |head| head.number);
        std::iter::from_fn(move || {
            let number = next;
            let record = self.get(number).filter(|record| record.peak > since)?;
            next = record.before;
            Some((number, record))
        })
        .filter(move |(_, record)| record.brief.shape == shape && record.brief.start > since)
    }

    /// Every request, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Record> {
        self.ring.iter().rev()
    }

    /// How long ago the oldest began, when anything was forgotten.
    pub(super) fn forgotten_before(&self) -> Option<Time> {
        (self.base > 1).then(|| self.ring.front().map(|record| record.brief.start)).flatten()
    }
}
