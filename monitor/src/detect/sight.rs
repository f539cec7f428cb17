//! Connections as such, and what could not be seen of them.

use super::Core;
use super::blind::may_be_http;
use super::connections::{Connection, Hides};
use crate::model::{
    CloseHow, DarkFinding, DarkWhy, Finding, GapWhere, HelloSeen, Protocol, Side, SuspectedFinding, Time,
};

impl Core {
    pub(super) fn hello(&mut self, at: Time, connection: &mut Connection, hello: HelloSeen) {
        connection.offers_h2 = hello.alpn.iter().any(|protocol| &**protocol == "h2");
        connection.offers_only_http1 = hello.alpn.len() == 1 && hello.alpn.iter().any(|one| &**one == "http/1.1");
        connection.offers_other = !hello.alpn.iter().any(|one| matches!(&**one, "h2" | "http/1.1" | "http/1.0"));
        connection.sni = hello.sni;
        if !self.suspicion.hello(connection, at, self.settings.window, self.limits.top) {
            *self.stats.capped.entry("suspected").or_default() += 1;
        }
        if connection.offers_other {
            self.hides(connection, Hides::Nothing, None);
        } else if connection.protocol.is_none() && connection.hides == Hides::Nothing {
            self.hides(connection, Hides::Perhaps(at), None);
        }
        // Until it is known what it speaks, it may have held anything.
        if connection.protocol.is_none() && connection.blind.is_none() && connection.pending.is_none() {
            connection.pending = Some(at);
            self.blind.pend((connection.host, connection.server), at, connection.id);
        }
    }

    /// What the connection is known by changes.
    pub(super) fn renamed(&mut self, connection: &mut Connection, change: impl FnOnce(&mut Connection)) {
        let before = connection.pair();
        let hides = connection.hides;
        self.hides(connection, Hides::Nothing, None);
        change(connection);
        self.hides(connection, hides, None);
        if connection.blind.is_some() && connection.pair() != before {
            self.blind.end(before, None);
            self.blind.begin(connection.pair());
        }
    }

    pub(super) fn protocol(&mut self, connection: &mut Connection, protocol: Protocol) {
        if connection.protocol.replace(protocol).is_none() {
            *self.stats.connections.protocols.entry(protocol).or_default() += 1;
        }
        if !connection.dark {
            self.see(connection, None);
            self.suspicion.readable(connection);
        }
    }

    pub(super) fn gap(
        &mut self,
        at: Time,
        connection: &mut Connection,
        by: Side,
        bytes: Option<u64>,
        noticed: GapWhere,
        out: &mut Vec<Finding>,
    ) {
        let counts = self.stats.gaps.entry(noticed.name()).or_default();
        *counts = (counts.0 + 1, counts.1.saturating_add(bytes.unwrap_or(0)));
        self.lost_bytes = self.lost_bytes.saturating_add(bytes.unwrap_or(0));
        self.lost_unsized |= bytes.is_none();
        if by == Side::Client && connection.protocol != Some(Protocol::Other) {
            self.blind.point(connection.pair(), at);
            self.senders.point((connection.sender, connection.server), at);
            self.trim();
        }
        if self.noted(connection) {
            let parties = connection.parties();
            out.push(Finding::Gap { time: at, connection: connection.id, parties, by, bytes, at: noticed });
        }
    }

    pub(super) fn dark(
        &mut self,
        at: Time,
        connection: &mut Connection,
        by: Option<Side>,
        why: DarkWhy,
        out: &mut Vec<Finding>,
    ) {
        // Each side of a connection may tell the same.
        if connection.is_newly_dark_for(why) {
            *self.stats.connections.dark.entry(why.name()).or_default() += 1;
        }
        let hides = may_be_http(why);
        if hides && !connection.dark {
            connection.dark = true;
            self.maybe_http_dark += 1;
        }
        if hides && by != Some(Side::Server) {
            self.go_blind(at, connection);
        } else if !hides {
            self.see(connection, None);
        }
        if let Some((time, delay)) = self.suspicion.dark(connection.id).filter(|_| hides) {
            self.stats.suspected += 1;
            self.suspects += 1;
            out.push(Finding::Suspected(Box::new(SuspectedFinding {
                time,
                id: self.suspects,
                parties: connection.parties(),
                sni: connection.sni.clone(),
                delay,
            })));
        }
        if self.noted(connection) {
            out.push(Finding::Dark(Box::new(DarkFinding {
                time: at,
                connection: connection.id,
                parties: connection.parties(),
                sni: connection.sni.clone(),
                by,
                why,
            })));
        }
    }

    pub(super) fn lit(&mut self, connection: &mut Connection) {
        if std::mem::take(&mut connection.dark) {
            self.maybe_http_dark = self.maybe_http_dark.saturating_sub(1);
        }
        self.see(connection, None);
        self.suspicion.readable(connection);
    }

    pub(super) fn anomaly(
        &mut self,
        at: Time,
        connection: &mut Connection,
        by: Option<Side>,
        what: &'static str,
        out: &mut Vec<Finding>,
    ) {
        *self.stats.anomalies.entry(what).or_default() += 1;
        if self.noted(connection) {
            let parties = connection.parties();
            out.push(Finding::Anomaly { time: at, connection: connection.id, parties, by, what });
        }
    }

    pub(super) fn closed(&mut self, at: Time, connection: &mut Connection, how: CloseHow, bytes: u64, unread: u64) {
        let stats = &mut self.stats.connections;
        *stats.closed.entry(how.name()).or_default() += 1;
        stats.bytes = stats.bytes.saturating_add(bytes);
        if connection.dark || !matches!(connection.protocol, None | Some(Protocol::Other)) {
            stats.unread = stats.unread.saturating_add(unread);
        }
        // Requests that `flow` did not end: none, unless this is not all of its events.
        self.open -= connection.open.len();
        let held = connection.dark || unread > 0;
        self.see(connection, held.then_some(at));
        self.suspicion.closed(connection, at);
    }

    fn go_blind(&mut self, at: Time, connection: &mut Connection) {
        self.settle(connection);
        if !connection.offers_other {
            self.hides(connection, Hides::All, None);
        }
        if connection.blind.is_none() {
            connection.blind = Some(at);
            self.blind.begin(connection.pair());
            self.trim();
        }
    }

    /// It is known now whether the connection can be read. True: it was not before.
    fn settle(&mut self, connection: &mut Connection) -> bool {
        let pending = connection.pending.take();
        if let Some(began) = pending {
            self.blind.settle((connection.host, connection.server), began, connection.id);
        }
        pending.is_some()
    }

    fn see(&mut self, connection: &mut Connection, held: Option<Time>) {
        self.hides(connection, Hides::Nothing, held);
        if self.settle(connection)
            && let Some(at) = held
        {
            self.blind.point((connection.host, connection.server), at);
            self.trim();
        }
        if connection.blind.take().is_some() {
            self.blind.end(connection.pair(), held);
        }
    }

    fn trim(&mut self) {
        let horizon = self.horizon();
        if !self.blind.trim(self.limits.candidates, horizon) | !self.senders.trim(self.limits.candidates, horizon) {
            *self.stats.capped.entry("blind_clients").or_default() += 1;
        }
    }

    /// One more note about a connection: whether it is written.
    fn noted(&mut self, connection: &mut Connection) -> bool {
        connection.notes = connection.notes.saturating_add(1);
        let written = connection.notes <= self.limits.notes_per_connection;
        if !written {
            *self.stats.capped.entry("notes").or_default() += 1;
        }
        written
    }
}
