//! What events mean: cases, outcomes, counts. Knows events, never bytes.

mod blind;
mod candidates;
mod cases;
mod connections;
mod dark;
mod evidence;
mod forwarding;
mod frames;
mod identity;
mod losses;
mod ranges;
mod requests;
mod sight;
mod stats;
mod suspected;
mod unfinished;
mod verdict;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use self::blind::Blind;
use self::candidates::Candidates;
use self::cases::{Cases, Scene};
use self::connections::{Connection, Hides, Map};
use self::dark::Grace;
use self::evidence::Unauthorized;
use self::losses::Losses;
use self::requests::{Answer, Ended};
use self::suspected::Suspicion;
use self::verdict::Lost;
use crate::limits::Limits;
use crate::model::{ConnectionId, Event, Finding, Kind, Servers, Stats, Time, Verdict};

/// What an operator may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long after its last reset a request may be asked again and still be the same case (capture time).
    pub window: Duration,
    /// Servers that have counts of their own; empty: the first that are seen, up to a cap.
    pub servers: Vec<SocketAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: Duration::from_secs(2), servers: Vec::new() }
    }
}

/// Takes events, gives findings and counts. Sans-IO: no bytes, no clock. The same events give the same findings.
#[derive(Debug)]
pub struct Detector {
    connections: Map<ConnectionId, Connection>,
    core: Core,
}

/// Everything but the connections themselves.
#[derive(Debug)]
struct Core {
    settings: Settings,
    limits: Arc<Limits>,
    stats: Stats,
    /// The latest capture time heard of.
    now: Time,
    candidates: Candidates,
    cases: Cases,
    /// By client host and server: where a retry may have been asked.
    blind: Blind,
    grace: Grace,
    /// By the host that opened the connection and server: where a request may have been sent on.
    senders: Blind,
    losses: Losses,
    unauthorized: Unauthorized,
    suspicion: Suspicion,
    /// Requests without an answer, over all connections.
    open: usize,
    /// Ids given so far.
    resets: u64,
    errors: u64,
    suspects: u64,
    /// Connections that were dark for a reason that may hide HTTP.
    maybe_http_dark: u64,
    lost_bytes: u64,
    /// Something was lost, and nobody knows how much.
    lost_unsized: bool,
}

impl Detector {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(settings: Settings, limits: Arc<Limits>) -> Self {
        let core = Core {
            stats: Stats { servers: Servers::new(&settings.servers), ..Stats::default() },
            now: Time::default(),
            candidates: Candidates::new(limits.candidates),
            cases: Cases::new(settings.window, limits.cases, limits.case_resets),
            blind: Blind::default(),
            grace: Grace::default(),
            senders: Blind::default(),
            losses: Losses::default(),
            unauthorized: Unauthorized::new(limits.top),
            suspicion: Suspicion::default(),
            open: 0,
            resets: 0,
            errors: 0,
            suspects: 0,
            maybe_http_dark: 0,
            lost_bytes: 0,
            lost_unsized: false,
            settings,
            limits,
        };
        Self { connections: Map::default(), core }
    }

    /// Goes on with other settings. Cases that are open keep the window that they began with.
    pub fn set(&mut self, settings: Settings) {
        let core = &mut self.core;
        if settings.servers != core.settings.servers {
            core.stats.servers = core.stats.servers.renamed(&settings.servers);
            self.connections.values_mut().for_each(Connection::forget_slot);
        }
        core.cases.set_window(settings.window);
        core.settings = settings;
    }

    /// Takes the next event, in the order that [`Event`] describes. What it says of a connection that was not opened is passed over.
    #[inline]
    pub fn event(&mut self, event: Event, out: &mut Vec<Finding>) {
        let Event { time: at, connection: id, kind } = event;
        self.advance(at, out);
        let core = &mut self.core;
        match kind {
            Kind::Opened { ends, joined, .. } => {
                core.stats.connections.total += 1;
                core.stats.connections.open += 1;
                core.stats.connections.joined_late += u64::from(joined);
                let mut connection = Connection::new(id, *ends, at);
                if joined {
                    core.hides(&mut connection, Hides::Perhaps(at), None);
                }
                self.connections.insert(id, connection);
            }
            Kind::Closed { how, bytes, unread } => {
                if let Some(mut connection) = self.connections.remove(&id) {
                    core.closed(at, &mut connection, how, (bytes, unread), out);
                }
            }
            kind => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    core.seen(at, connection, kind, out);
                }
            }
        }
    }

    /// The capture's clock: decides the cases whose window is over, and tells what was dark for long enough.
    #[inline]
    pub fn advance(&mut self, now: Time, out: &mut Vec<Finding>) {
        self.core.advance(now, out);
        while let Some((due, id)) = self.core.grace.over(self.core.now) {
            if let Some(connection) = self.connections.get_mut(&id) {
                self.core.grace_over(connection, due, out);
            }
        }
    }

    /// The capture lost packets at some time from `since` to `until`, of whatever connections: what did not come then is no absence.
    pub fn lost(&mut self, since: Time, until: Time) {
        let horizon = self.core.horizon();
        self.core.losses.add((since, until), horizon);
    }

    /// The input ended: everything still open is decided.
    pub fn finish(&mut self, now: Time, out: &mut Vec<Finding>) {
        let Core { cases, candidates, blind, losses, stats, limits, now: latest, .. } = &mut self.core;
        *latest = now.max(*latest);
        let scene = Scene { candidates, blind, losses };
        cases.finish(*latest, scene, |case| {
            stats::case(stats, &case, limits.top);
            out.push(Finding::Case(Box::new(case)));
        });
    }

    /// Every count so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// For what only the runner knows: packets, input, keys.
    pub const fn stats_mut(&mut self) -> &mut Stats {
        &mut self.core.stats
    }

    /// What the counts say so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let lost = Lost { bytes: self.core.lost_bytes, more: self.core.lost_unsized };
        verdict::of(&self.core.stats, self.core.maybe_http_dark, lost)
    }
}

impl Core {
    /// What lies before it concerns no open case any more.
    fn horizon(&self) -> Time {
        let window = u64::try_from(self.settings.window.as_nanos()).unwrap_or(u64::MAX);
        Time(self.now.0.saturating_sub(window.saturating_mul(4)))
    }

    fn advance(&mut self, now: Time, out: &mut Vec<Finding>) {
        self.now = self.now.max(now);
        if self.cases.due(self.now) {
            let Self { cases, candidates, blind, losses, stats, limits, .. } = self;
            cases.decide(self.now, Scene { candidates, blind, losses }, |case| {
                stats::case(stats, &case, limits.top);
                out.push(Finding::Case(Box::new(case)));
            });
        }
    }

    /// Something was seen on an open connection.
    fn seen(&mut self, at: Time, connection: &mut Connection, kind: Kind, out: &mut Vec<Finding>) {
        match kind {
            Kind::Ends(ends) => self.renamed(connection, |connection| connection.place(*ends)),
            Kind::Process(process) => self.renamed(connection, |connection| connection.belongs_to(process)),
            Kind::Hello(hello) => self.hello(at, connection, *hello),
            Kind::Secured(secured) => *self.stats.connections.versions.entry(secured.version).or_default() += 1,
            Kind::Protocol(protocol) => self.protocol(connection, protocol),
            Kind::Request(exchange) => self.request(at, connection, exchange),
            Kind::Response { exchange, status, informational, asks_windows_auth } => {
                let answer = Answer { exchange, status, informational, asks_windows_auth };
                self.response(at, connection, answer, out);
            }
            Kind::Reset(seen) => self.reset(at, connection, *seen, out),
            Kind::GoAway(seen) => self.goaway(at, connection, *seen, out),
            Kind::Ended { exchange, end, status, phase, known } => {
                self.ended(at, connection, Ended { exchange, end, status, phase, known }, out);
            }
            Kind::Gap { by, bytes, at: noticed } => self.gap(at, connection, by, bytes, noticed, out),
            Kind::Dark { by, why } => self.dark(at, connection, by, why, out),
            Kind::Lit => self.lit(connection),
            Kind::Progress { bytes, unread } => self.carried(connection, bytes, unread),
            Kind::Anomaly { by, what } => self.anomaly(at, connection, by, what, out),
            // An alert that ends requests is in their `Ended`; the others are handled before.
            Kind::Alert { .. } | Kind::Named(_) | Kind::Ending(_) | Kind::Opened { .. } | Kind::Closed { .. } => {}
        }
    }
}
