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
    /// The host that opened its connection.
    pub(super) sender: u64,
    pub(super) protocol: Protocol,
    /// The first on its connection.
    pub(super) first: bool,
    /// Nothing tells who asked.
    pub(super) stranger: bool,
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
    /// The one before it in its chain: the low half of its number.
    before: u32,
    /// Neither this nor any older record in the ring began later.
    peak: Time,
}

/// A ring of the last requests. Those whose `shape` falls into the same slot are chained, newest first.
#[derive(Debug)]
pub(super) struct Candidates {
    ring: VecDeque<Record>,
    /// Number of the oldest in the ring; numbers begin with 1.
    base: u64,
    /// The newest of each chain: the low half of its number. Every request changes one of them, in no order, so they are kept small for
    /// the processor's caches.
    heads: Vec<u32>,
    /// The latest start among the last records, up to `cap` of them, and among the `cap` before those.
    peaks: (Time, Time),
    cap: usize,
}

impl Candidates {
    pub(super) fn new(cap: usize) -> Self {
        let cap = cap.max(1);
        Self { ring: VecDeque::new(), base: 1, heads: vec![0; cap.next_power_of_two()], peaks: Default::default(), cap }
    }

    /// Remembers a request; the number that it goes by.
    pub(super) fn push(&mut self, brief: Brief) -> u64 {
        if self.ring.len() >= self.cap {
            self.ring.pop_front();
            self.base += 1;
        }
        let number = self.base + self.ring.len() as u64;
        let slot = brief.shape as usize & (self.heads.len() - 1);
        let before = self.heads.get_mut(slot).map_or(0, |head| std::mem::replace(head, number as u32));
        if number.is_multiple_of(self.cap as u64) {
            self.peaks = (Time::default(), self.peaks.0);
        }
        self.peaks.0 = self.peaks.0.max(brief.start);
        let peak = self.peaks.0.max(self.peaks.1);
        self.ring.push_back(Record { brief, state: State::Open, status: None, before, peak });
        number
    }

    /// The number in the ring whose low half this is; 0, which is no number, where there is none. Four thousand million requests later it
    /// may be that of a record of another chain.
    fn number(&self, low: u32) -> u64 {
        let newest = self.last();
        let back = u64::from((newest as u32).wrapping_sub(low));
        if back >= self.ring.len() as u64 { 0 } else { newest - back }
    }

    /// The number of the newest; 0: there is none.
    pub(super) fn last(&self) -> u64 {
        self.base + self.ring.len() as u64 - 1
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
        let mut next = self.heads.get(slot).map_or(0, |&low| self.number(low));
        std::iter::from_fn(move || {
            let number = next;
            let record = self.get(number).filter(|record| record.peak > since)?;
            // Older ones alone follow.
            next = self.number(record.before).min(number - 1);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    fn brief(shape: u64, start: u64) -> Brief {
        Brief {
            key: 0,
            who: 0,
            target: 0,
            shape,
            ids: Ids::default(),
            start: Time(start),
            connected: Time(0),
            host: 0,
            server: 0,
            server_host: 0,
            sender: 0,
            protocol: Protocol::H2,
            first: false,
            stranger: false,
        }
    }

    #[test]
    fn a_chain_gives_every_record_of_a_shape_that_is_kept() {
        const CAP: usize = 64;
        // Before the low half of the numbers begins anew, and over it.
        for base in [1, (1 << 32) - 500] {
            let mut candidates = Candidates { base, ..Candidates::new(CAP) };
            let mut all = Vec::new();
            for n in 0..1_000_u64 {
                // Shapes that share slots, and times that go back now and then.
                let (shape, start) = ((n * 7 % 13) * 16, 1_000 + n * 10 - if n % 9 == 0 { n * 5 } else { 0 });
                let number = candidates.push(brief(shape, start));
                all.push((number, shape, start));
                let since = start.saturating_sub(n % 200);
                let kept = all.iter().rev().take(CAP).filter(|&&(_, of, at)| of == shape && at > since);
                let wanted: Vec<u64> = kept.map(|&(number, ..)| number).collect();
                let found: Vec<u64> = candidates.chain(shape, Time(since)).map(|(number, _)| number).collect();
                assert_eq!(found, wanted);
            }
        }
    }

    #[test]
    fn a_time_far_ahead_is_forgotten() {
        let mut candidates = Candidates::new(8);
        candidates.push(brief(1, u64::MAX));
        for n in 0..16 {
            candidates.push(brief(1, n));
        }
        assert!(candidates.newest().next().is_some_and(|record| record.peak < Time(u64::MAX)));
    }
}
