//! Who made a response: the server that was asked, or one behind it that it asked in turn.

use super::Core;
use super::candidates::{Record, State};
use super::connections::{Connection, Hides, Open};
use crate::model::Time;

/// Most requests that are looked at for the one that a request was forwarded as.
const LOOK: usize = 64;

/// Who made a 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// The server that was asked: nothing in view stands behind it.
    Server,
    /// It sent the request on, and what came of that is told as such.
    Behind,
    /// It may have sent the request on, where it cannot be seen or told from others.
    Unknown,
}

impl Core {
    /// Who made the 5xx that a connection's server answers.
    pub(super) fn maker(&self, connection: &Connection, open: Option<&Open>) -> Maker {
        if open.is_some_and(|open| self.forwarded(connection, open).is_some()) {
            return Maker::Behind;
        }
        let start = open.map_or(self.window_before(self.now), |open| open.start);
        let hidden = self.senders.elsewhere(connection.server_host, connection.server, start);
        if hidden || self.may_be_forwarded(connection, open) { Maker::Unknown } else { Maker::Server }
    }

    /// The request that the server of this one sent on, where the capture sees an edge from both sides: what became of the latest. Where
    /// everything is on one host, one that is itself sent on is told by the older request for the same path that still waits for it.
    pub(super) fn forwarded(&self, connection: &Connection, open: &Open) -> Option<State> {
        let own = self.candidates.get(open.record).filter(|own| own.brief.shape != 0)?;
        let one_host = connection.sender == connection.server_host;
        let since =
            if one_host { self.window_before(own.brief.start) } else { Time(own.brief.start.0.saturating_sub(1)) };
        let mut latest = None;
        let mut older = !one_host;
        for (number, record) in self.candidates.chain(own.brief.shape, since).take(LOOK) {
            let elsewhere = record.brief.server != connection.server;
            older |= number <= open.record;
            if number > open.record && elsewhere && record.brief.sender == connection.server_host {
                latest = latest.or(Some(record.state));
            }
            let waits = record.state == State::Open && record.brief.server_host == connection.sender;
            if number < open.record && elsewhere && one_host && waits {
                return None;
            }
        }
        latest.filter(|_| older)
    }

    /// A request that somebody else sent to another server meanwhile failed as well, and may be this one sent on: an edge may have another
    /// address behind it than in front, and other paths. Of a request that is not known, any that its server sent.
    fn may_be_forwarded(&self, connection: &Connection, open: Option<&Open>) -> bool {
        let own = open.and_then(|open| self.candidates.get(open.record)).filter(|own| own.brief.shape != 0);
        let failed = |record: &Record| {
            record.brief.server != connection.server
                && (record.state != State::Answered || record.status.is_some_and(|status| status >= 500))
        };
        let Some((own, open)) = own.zip(open) else {
            let since = self.window_before(self.now);
            let late = |record: &&Record| record.brief.start > since;
            let sent = |record: &Record| record.brief.sender == connection.server_host && failed(record);
            return self.candidates.newest().take(LOOK).take_while(late).any(sent);
        };
        let one_host = connection.sender == connection.server_host;
        let sent_on = |number: u64, record: &Record| {
            number > open.record && failed(record) && (one_host || record.brief.sender != connection.sender)
        };
        let since = Time(own.brief.start.0.saturating_sub(1));
        self.candidates.chain(own.brief.shape, since).take(LOOK).any(|(number, record)| sent_on(number, record))
    }

    fn window_before(&self, time: Time) -> Time {
        let window = u64::try_from(self.settings.window.as_nanos()).unwrap_or(u64::MAX);
        Time(time.0.saturating_sub(window))
    }

    /// Whether a connection may hide what its client sends on changes. `held`: what it hid stays hidden.
    pub(super) fn hides(&mut self, connection: &mut Connection, hides: Hides, held: Option<Time>) {
        let before = std::mem::replace(&mut connection.hides, hides);
        let pair = (connection.sender, connection.server);
        match before {
            _ if before == hides => return,
            Hides::Nothing => {}
            Hides::Perhaps(since) => {
                self.senders.settle(pair, since, connection.id);
                if let Some(at) = held {
                    self.senders.point(pair, at);
                }
            }
            Hides::All => self.senders.end(pair, held),
        }
        match hides {
            Hides::Nothing => {}
            Hides::Perhaps(since) => self.senders.pend(pair, since, connection.id),
            Hides::All => self.senders.begin(pair),
        }
    }
}
