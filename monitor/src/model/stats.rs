use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{
    Basis, CaseKind, CloseHow, DarkWhy, Edge, ErrorCode, Histogram, KernelResets, Outcome, PacketCounts, Phase,
    Protocol, RetryFailure, RetryResult, Servers, Side, Time, Why,
};

/// Every count that the outputs show. The text summary, the JSON summary and the metrics are views of it.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Packets and what became of them.
    pub packets: PacketCounts,
    /// Time of the first and the last packet.
    pub span: Option<(Time, Time)>,
    /// What the input was and what was wrong with it.
    pub input: InputStats,
    /// Key material.
    pub keys: KeyStats,
    /// Connections.
    pub connections: ConnectionStats,
    /// Requests by protocol.
    pub requests: BTreeMap<Protocol, u64>,
    /// Final responses by protocol and status class (1 to 5; 0 when the status could not be decoded).
    pub responses: BTreeMap<(Protocol, u8), u64>,
    /// HTTP/2 streams by who opened them.
    pub streams: BTreeMap<Side, u64>,
    /// Counts by server.
    pub servers: Servers,
    /// Resets: frame name, code, sender, phase.
    pub resets: BTreeMap<(&'static str, ErrorCode, Side, Phase), u64>,
    /// Resets whose code has no name, once [`resets`](Self::resets) was full: frame name, sender, phase.
    pub resets_beyond: BTreeMap<(&'static str, Side, Phase), u64>,
    /// Resets that programs in the kernel counted, where they do.
    pub kernel_resets: Option<KernelResets>,
    /// Resets that rest on bytes that could not be authenticated.
    pub unverified_resets: u64,
    /// Cases.
    pub cases: BTreeMap<(CaseKind, Outcome, Option<Edge>), u64>,
    /// Cases by basis.
    pub bases: BTreeMap<(CaseKind, Basis), u64>,
    /// Unknown outcomes by reason.
    pub unknown: BTreeMap<(CaseKind, Why), u64>,
    /// Retries by protocol and result.
    pub retries: BTreeMap<(Protocol, RetryResult), u64>,
    /// Of these, retries that failed their visitor all the same, by the kind of the case.
    pub failed_retries: BTreeMap<(CaseKind, RetryFailure), u64>,
    /// 5xx that the server which was asked answered itself, by status: nothing in view stands behind it.
    pub origin_errors: BTreeMap<u16, u64>,
    /// 5xx of a server that may have sent the request on where it cannot be seen or told from others, by status.
    pub unattributed_errors: BTreeMap<u16, u64>,
    /// Requests without a complete response that are no cases.
    pub unfinished: BTreeMap<(Unfinished, Phase), Waits>,
    /// Requests of which nobody saw what became of them (a gap, an eviction).
    pub unseen_requests: u64,
    /// Suspected downgrades of unreadable connections.
    pub suspected: u64,
    /// Gaps by where they were noticed, and their bytes.
    pub gaps: BTreeMap<&'static str, (u64, u64)>,
    /// Anomalies by name.
    pub anomalies: BTreeMap<&'static str, u64>,
    /// Things dropped at a cap, by cap.
    pub capped: BTreeMap<&'static str, u64>,
    /// From request to reset.
    pub reset_age: Histogram,
    /// From reset to retry.
    pub retry_delay: Histogram,
    /// Cases by path, host and client: what the summary calls worst.
    pub worst: Worst,
    /// Cases over time.
    pub timeline: Timeline,
}

/// What the input was.
#[derive(Clone, Debug, Default)]
pub struct InputStats {
    /// Files, or 1 for standard input.
    pub files: u64,
    /// Damage: one clear line each (at most 16), for example "x.pcap: cut off at byte 4711".
    pub damage: Vec<String>,
    /// Packets that sources said they lost.
    pub lost: u64,
    /// For how long a source missed packets of which nobody knows how many: an interface was not there.
    pub missed: Duration,
}

/// Key material.
#[derive(Clone, Debug, Default)]
pub struct KeyStats {
    /// Lines that held a secret.
    pub secrets: u64,
    /// Lines that could not be read, by file and line number (at most 16), and how many.
    pub malformed: (Vec<String>, u64),
    /// NUL bytes passed over.
    pub holes: u64,
    /// Connections that the secrets are for: client randoms, and transcripts of those that a probe took.
    pub randoms: u64,
    /// Connections whose key was found.
    pub matched: u64,
    /// Connections joined late whose secret was found by search.
    pub found_late: u64,
    /// Trials of that search.
    pub trials: u64,
    /// The search ended at its budget; live: it has more to try than its rate allows.
    pub exhausted: bool,
    /// Directions of connections joined late that are searched.
    pub sought: u64,
    /// Directions and secrets that the search gave up because there were too many.
    pub given_up: u64,
    /// Secrets dropped because the store was full: connections, sessions.
    pub evicted: u64,
    /// Secrets wiped because their connection had ended or they were old: connections, sessions.
    pub wiped: u64,
}

impl KeyStats {
    /// Connections that the secrets are or were for: of a live run most have gone by the end.
    #[must_use]
    pub const fn named(&self) -> u64 {
        self.randoms.saturating_add(self.evicted).saturating_add(self.wiped)
    }
}

/// Connections.
#[derive(Clone, Debug, Default)]
pub struct ConnectionStats {
    /// All.
    pub total: u64,
    /// By application protocol, as soon as known.
    pub protocols: BTreeMap<Protocol, u64>,
    /// By TLS version.
    pub versions: BTreeMap<&'static str, u64>,
    /// By how they ended ([`CloseHow`] without its side).
    pub closed: BTreeMap<&'static str, u64>,
    /// Whose start was not in the capture.
    pub joined_late: u64,
    /// Of which no packet of this side was captured.
    pub one_way: BTreeMap<Side, u64>,
    /// Open now.
    pub open: u64,
    /// Not readable at some time, by reason.
    pub dark: BTreeMap<&'static str, u64>,
    /// Open now and not readable, by reason.
    pub dark_open: BTreeMap<&'static str, u64>,
    /// Of plaintext, by what became of them; all but [`PlaintextUse::Own`] are no connections of their own.
    pub plaintext: BTreeMap<PlaintextUse, u64>,
    /// Payload bytes.
    pub bytes: u64,
    /// Payload bytes that could not be read, on connections that are or may be HTTP.
    pub unread: u64,
}

/// What became of the plaintext of a connection, where packets are captured as well: each connection is counted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PlaintextUse {
    /// It is read, and no packets are captured.
    Own,
    /// It is read instead of the connection's packets, which cannot be.
    Instead,
    /// It is not read: the connection's packets are.
    Left,
    /// It is not read: its addresses are not known, or no packets with them were seen, so that nobody can say which connection's it is.
    Unplaced,
}

impl PlaintextUse {
    /// Every one, for series that are there from the start.
    pub const ALL: [Self; 4] = [Self::Own, Self::Instead, Self::Left, Self::Unplaced];

    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Instead => "instead",
            Self::Left => "left",
            Self::Unplaced => "unplaced",
        }
    }
}

impl ConnectionStats {
    /// TLS was seen that a key could open.
    #[must_use]
    pub fn want_keys(&self) -> bool {
        let versions = self.versions.iter().filter(|(version, _)| **version != "other");
        let closed = ["no_key", "joined_late", "wrong_key", "held_too_much"];
        versions
            .map(|(_, count)| count)
            .chain(closed.iter().filter_map(|why| self.dark.get(why)))
            .any(|&count| count > 0)
    }

    /// Connections that could not be read at some time and may have hidden HTTP.
    #[must_use]
    pub fn hiding(&self) -> u64 {
        hiding(&self.dark)
    }

    /// Of those that are open now, connections that cannot be read and may hide HTTP.
    #[must_use]
    pub fn hiding_open(&self) -> u64 {
        hiding(&self.dark_open)
    }
}

fn hiding(dark: &BTreeMap<&'static str, u64>) -> u64 {
    dark.iter().filter(|(why, _)| !DarkWhy::HARMLESS.contains(why)).map(|(_, count)| count).sum()
}

/// Why a request has no complete response and is no case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unfinished {
    /// The input ended first.
    InFlight,
    /// Its client gave it up.
    Abandoned,
    /// What became of it was not seen.
    Unseen,
}

impl Unfinished {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::InFlight, Self::Abandoned, Self::Unseen];

    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Abandoned => "abandoned",
            Self::Unseen => "unseen",
        }
    }
}

/// Requests that waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many.
    pub count: u64,
    /// Of these, for longer than a retry is waited for.
    pub long: u64,
    /// The longest, from the request on.
    pub longest: Duration,
}

impl CloseHow {
    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin(_) => "fin",
            Self::Rst(_) => "rst",
            Self::Alert(..) => "alert",
            Self::Reused => "reused",
            Self::Idle => "idle",
            Self::Freed => "freed",
            Self::ProcessEnded(_) => "process_ended",
            Self::Evicted => "evicted",
            Self::InputEnded => "input_ended",
        }
    }
}

/// Cases by what they hit; at most [`Limits::top`](crate::limits::Limits::top) each.
#[derive(Clone, Debug, Default)]
pub struct Worst {
    /// By method and path without query.
    pub paths: BTreeMap<String, CaseCounts>,
    /// By host.
    pub hosts: BTreeMap<String, CaseCounts>,
    /// By client address without port, or the edge's name behind a CDN.
    pub clients: BTreeMap<String, CaseCounts>,
    /// By server.
    pub servers: BTreeMap<SocketAddr, CaseCounts>,
}

/// Cases of one thing by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaseCounts {
    /// Of kind downgrade.
    pub downgrade: u64,
    /// Of kind failure.
    pub failure: u64,
    /// Whose visitor was failed: given up or truncated.
    pub failed: u64,
}

/// Cases over time, in equal steps that widen as the capture goes on: never more than 60.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Start of the first step.
    pub start: Time,
    /// Length of a step.
    pub step: Duration,
    /// Requests, downgrade cases and failure cases in each step.
    pub steps: Vec<(u64, u64, u64)>,
}

/// What a replay says in its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough was seen, and no case.
    Nothing,
    /// A case of either kind.
    Found,
    /// No case, but too little was seen to say "nothing".
    Inconclusive(Unsure),
}

/// Why a verdict is inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsure {
    /// No packets.
    Empty,
    /// No HTTP request could be seen at all.
    NoHttp,
    /// Too large a share of connections that may be HTTP could not be read.
    Dark,
    /// Too much was lost.
    Lost,
    /// Something looked like a downgrade but could not be read.
    Suspected,
    /// Of too many requests neither a response nor an end was seen.
    Unanswered,
}
