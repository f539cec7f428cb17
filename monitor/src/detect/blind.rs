//! Where a client could have asked without being seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ConnectionId, DarkWhy, Time};

/// What one client host has that cannot be read, towards one server.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    /// Connections that cannot be read now.
    open: u32,
    /// When one of them last could have held something.
    last: Time,
}

/// Most servers of one client that are looked at.
const LOOK: usize = 64;

/// Unreadable connections by client host and server.
#[derive(Debug, Default)]
pub(super) struct Blind {
    pairs: BTreeMap<(u64, u64), Pair>,
    /// Open connections of which it is not known yet whether they can be read, by when they began.
    pending: BTreeSet<((u64, u64), Time, u64)>,
    /// Pairs at which those of long ago are dropped: twice what was left the last time, so that the work stays linear.
    full: usize,
    /// When the latest of the pairs was that there was no room for: since then any client may have asked unseen.
    anybody: Option<Time>,
}

impl Blind {
    /// A connection cannot be read from here on.
    pub(super) fn begin(&mut self, pair: (u64, u64)) {
        self.pairs.entry(pair).or_default().open += 1;
    }

    /// It ended, or can be read again. `held`: what it had in between stays unread.
    pub(super) fn end(&mut self, pair: (u64, u64), held: Option<Time>) {
        let Some(found) = self.pairs.get_mut(&pair) else { return };
        found.open = found.open.saturating_sub(1);
        found.last = found.last.max(held.unwrap_or_default());
        if found.open == 0 && found.last == Time::default() {
            self.pairs.remove(&pair);
        }
    }

    /// Bytes of a client were lost.
    pub(super) fn point(&mut self, pair: (u64, u64), at: Time) {
        let found = self.pairs.entry(pair).or_default();
        found.last = found.last.max(at);
    }

    /// A connection began, and what it speaks is not known yet.
    pub(super) fn pend(&mut self, pair: (u64, u64), began: Time, id: ConnectionId) {
        self.pending.insert((pair, began, id.0));
    }

    /// It is known now, or the connection has ended.
    pub(super) fn settle(&mut self, pair: (u64, u64), began: Time, id: ConnectionId) {
        self.pending.remove(&(pair, began, id.0));
    }

    /// The client has a connection to this server that began before `until`, and nobody knows yet whether it can be read.
    pub(super) fn is_pending(&self, pair: (u64, u64), until: Time) -> bool {
        self.pending.range((pair, Time(0), 0)..(pair, until, 0)).next().is_some()
    }

    /// The client may have asked this server since `since` without being seen.
    pub(super) fn since(&self, pair: (u64, u64), since: Time) -> bool {
        self.anybody.is_some_and(|last| last >= since)
            || self.pairs.get(&pair).is_some_and(|found| found.open > 0 || found.last >= since)
    }

    /// The client may have asked another server than `own` since `since` without being seen.
    pub(super) fn elsewhere(&self, client: u64, own: u64, since: Time) -> bool {
        let all = (client, 0)..=(client, u64::MAX);
        let mut looked = 0;
        let mut other = |server: u64, hides: bool| {
            looked += 1;
            looked > LOOK || (server != own && hides)
        };
        self.anybody.is_some_and(|last| last >= since)
            || self.pairs.range(all).any(|(&(_, server), pair)| other(server, pair.open > 0 || pair.last >= since))
            || self
                .pending
                .range(((client, 0), Time(0), 0)..=((client, u64::MAX), Time(u64::MAX), u64::MAX))
                .any(|&((_, server), ..)| other(server, true))
    }

    /// Forgets what lies before `horizon`, when there is more than `cap` of it. False: even so there was more, and what is not open any
    /// more now speaks of every client.
    pub(super) fn trim(&mut self, cap: usize, horizon: Time) -> bool {
        if self.pairs.len() <= self.full.max(cap) {
            return true;
        }
        self.pairs.retain(|_, pair| pair.open > 0 || pair.last >= horizon);
        let fits = self.pairs.len() <= cap;
        if !fits {
            let closed = self.pairs.values().filter(|pair| pair.open == 0).map(|pair| pair.last).max();
            self.anybody = self.anybody.max(closed);
            self.pairs.retain(|_, pair| pair.open > 0);
        }
        self.full = self.pairs.len().saturating_mul(2);
        fits
    }
}

/// A connection that is dark for this reason may still be HTTP.
pub(super) const fn may_be_http(why: DarkWhy) -> bool {
    !matches!(why, DarkWhy::NotHttp | DarkWhy::TooLittle | DarkWhy::Tls(tls_tap::Dark::NotTls))
}

#[cfg(test)]
mod tests {
    use super::Blind;
    use crate::model::{ConnectionId, Time};

    #[test]
    fn what_there_is_no_room_for_speaks_of_every_client() {
        let (mut blind, cap) = (Blind::default(), 100);
        let mut full = 0_u64;
        for n in 1..10_000 {
            blind.begin((n, 1));
            blind.end((n, 1), Some(Time(n)));
            full += u64::from(!blind.trim(cap, Time(0)));
            assert!(blind.pairs.len() <= 2 * cap + 1);
            assert!(blind.since((n, 1), Time(n)), "it may have asked");
        }
        assert!(full > 10, "and that is counted");
        assert!(blind.since((77_777, 1), Time(5)), "whoever asked may be among those");
        assert!(!blind.since((77_777, 1), Time(20_000)));
    }

    #[test]
    fn what_began_later_is_not_waited_for() {
        let mut blind = Blind::default();
        blind.pend((1, 1), Time(100), ConnectionId(7));
        assert!(blind.is_pending((1, 1), Time(101)) && !blind.is_pending((1, 1), Time(100)));
        assert!(!blind.is_pending((1, 2), Time(200)) && !blind.is_pending((2, 1), Time(200)));
        blind.settle((1, 1), Time(100), ConnectionId(7));
        assert!(!blind.is_pending((1, 1), Time(200)));
    }

    #[test]
    fn connections_that_are_open_stay_and_cost_one_look_each() {
        let mut blind = Blind::default();
        for n in 0..10_000 {
            blind.begin((n, 1));
            blind.trim(100, Time(u64::MAX));
        }
        assert_eq!(blind.pairs.len(), 10_000);
        assert!(blind.since((0, 1), Time(u64::MAX)) && !blind.since((10_000, 1), Time(0)));
    }
}
