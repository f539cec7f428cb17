use std::sync::Arc;

use super::{ConnectionId, Endpoints, HandshakeName, Process, Protocol, Request, Side, Time};

/// Something that `flow` saw. Events of one connection come in order; events of several connections come in the order of the packets
/// that gave rise to them. An event that a late key made readable has an earlier time than those around it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Capture time of the bytes.
    pub time: Time,
    /// The connection.
    pub connection: ConnectionId,
    /// What was seen.
    pub kind: Kind,
}

/// Names a request within its connection: the stream id for HTTP/2, a running number for HTTP/1.
pub type ExchangeId = u32;

/// What was seen.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The first event of every connection: its ends. `joined`: its start was not in the capture.
    Opened {
        /// Who is who.
        ends: Box<Endpoints>,
        /// The SYN was not seen; of plaintext: the handshake.
        joined: bool,
        /// It is seen as the plaintext of a process, not as packets.
        plaintext: bool,
    },
    /// Its ends became known after it was opened.
    Ends(Box<Endpoints>),
    /// What names its handshake, in packets or in plaintext: for whoever finds out that two are one connection.
    Named(Box<HandshakeName>),
    /// How TCP ends a connection that cannot be read, ahead of its last word, which may wait for a key: for whoever else can read it.
    Ending(CloseHow),
    /// The process at one of its ends: any time while it is open.
    Process(Arc<Process>),
    /// A ClientHello.
    Hello(Box<HelloSeen>),
    /// The TLS handshake settled.
    Secured(Box<SecuredSeen>),
    /// The application protocol is known.
    Protocol(Protocol),
    /// A request began.
    Request(Exchange),
    /// A response's header section, 1xx or final.
    Response {
        /// Which request.
        exchange: ExchangeId,
        /// Status, where it could be decoded.
        status: Option<u16>,
        /// A 1xx: not the beginning of the response.
        informational: bool,
        /// A 401 that offers Negotiate or NTLM.
        asks_windows_auth: bool,
    },
    /// RST_STREAM.
    Reset(Box<ResetSeen>),
    /// GOAWAY.
    GoAway(Box<GoAwaySeen>),
    /// A request left the connection's ledger: exactly one for every `Request`, and for every response or reset without one. Where the
    /// request comes to light behind its end, as its side is read later, another one follows it.
    Ended {
        /// Which request.
        exchange: ExchangeId,
        /// How.
        end: ExchangeEnd,
        /// Status of the final response, where one began and could be decoded.
        status: Option<u16>,
        /// Where in its life it was.
        phase: h2_tap::Phase,
        /// The request's header section was seen.
        known: bool,
    },
    /// Bytes that the capture does not have, or that were lost between a probe and the monitor.
    Gap {
        /// Who sent them.
        by: Side,
        /// How many, where it is known.
        bytes: Option<u64>,
        /// How it was noticed.
        at: GapWhere,
    },
    /// A side is not readable from here on (`None`: neither).
    Dark {
        /// Which side.
        by: Option<Side>,
        /// Why.
        why: DarkWhy,
    },
    /// Readable again after `Dark`, or after a late key.
    Lit,
    /// What an open connection has carried up to its latest packet: told from time to time in a live run.
    Progress {
        /// Payload bytes so far, as in [`Kind::Closed`].
        bytes: u64,
        /// Of these, bytes that will not be read whatever key comes.
        unread: u64,
    },
    /// Bytes that the protocols do not allow, or a cap: a stable snake_case word.
    Anomaly {
        /// Who sent it.
        by: Option<Side>,
        /// What.
        what: &'static str,
    },
    /// A TLS alert.
    Alert {
        /// Who sent it.
        by: Side,
        /// Description (RFC 8446 section 6); 0 is close_notify.
        description: u8,
        /// Fatal.
        fatal: bool,
    },
    /// The last event of every connection, after the `Ended` of all its requests.
    Closed {
        /// How.
        how: CloseHow,
        /// Payload bytes of the connection: all, both directions.
        bytes: u64,
        /// Of these, bytes that could not be read (held back, dark, lost).
        unread: u64,
    },
}

/// A request and its name.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Names it within the connection.
    pub id: ExchangeId,
    /// The request.
    pub request: Arc<Request>,
    /// Promised by the server (PUSH_PROMISE).
    pub pushed: bool,
}

/// A ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloSeen {
    /// Server name.
    pub sni: Option<Box<str>>,
    /// ALPN protocols offered, in order.
    pub alpn: Vec<Box<str>>,
}

/// A settled handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecuredSeen {
    /// "1.2", "1.3", or "other".
    pub version: &'static str,
    /// IANA number of the cipher suite.
    pub suite: u16,
    /// ALPN protocol chosen, where readable.
    pub alpn: Option<Box<str>>,
    /// Resumed.
    pub resumed: bool,
}

/// An RST_STREAM frame with what the ledger knows of its stream.
#[derive(Clone, Debug)]
pub struct ResetSeen {
    /// The frame.
    pub reset: h2_tap::Reset,
    /// Where the stream was.
    pub phase: h2_tap::Phase,
    /// The request, where it is known.
    pub request: Option<Arc<Request>>,
    /// Final status, where one began and could be decoded.
    pub status: Option<u16>,
    /// When the stream was first seen.
    pub opened: Option<Time>,
}

/// A GOAWAY frame.
#[derive(Clone, Debug)]
pub struct GoAwaySeen {
    /// The frame.
    pub goaway: h2_tap::GoAway,
    /// Open client streams at that time.
    pub open: usize,
}

/// How a request left the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeEnd {
    /// The response is complete.
    Complete,
    /// RST_STREAM.
    Reset(h2_tap::Reset),
    /// The connection ended first, how [`Kind::Closed`] or [`Kind::Alert`] say; with the server's GOAWAY that covers it.
    Closed {
        /// How the connection ended.
        how: CloseHow,
        /// The GOAWAY that covers it.
        goaway: Option<h2_tap::GoAway>,
    },
    /// What became of it could not be seen (a gap, an eviction).
    Unseen,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseHow {
    /// FIN, first by this side.
    Fin(Side),
    /// RST, by this side.
    Rst(Side),
    /// A fatal TLS alert, by this side.
    Alert(Side, u8),
    /// A new connection took the same addresses and ports; the end was not seen.
    Reused,
    /// No packet for the idle time.
    Idle,
    /// The process let it go. Which end closed it cannot be seen from there.
    Freed,
    /// The process at this side ended, and its connections with it.
    ProcessEnded(Side),
    /// The flow table was full.
    Evicted,
    /// The input ended: requests were still in flight.
    InputEnded,
}

/// Where bytes were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapWhere {
    /// The receiver acknowledged bytes that the capture does not have.
    Acknowledged,
    /// The cap on bytes that wait was reached.
    Cap,
    /// Cut off by the snap length.
    Truncated,
    /// The flow ended with a hole.
    End,
    /// A probe took them, and there was no room for them.
    Probe,
}

impl GapWhere {
    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Cap => "cap",
            Self::Truncated => "truncated",
            Self::End => "end",
            Self::Probe => "probe",
        }
    }
}

/// Why a connection cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DarkWhy {
    /// As the TLS tap says.
    Tls(tls_tap::Dark),
    /// HTTP/2 frame boundaries were lost and not found again.
    H2LostSync,
    /// Neither TLS nor HTTP.
    NotHttp,
    /// HTTP/1 that could not be parsed, or was left by CONNECT.
    Http1,
    /// HTTP/1 was left by an upgrade to something else: a WebSocket.
    Upgraded,
    /// A flow of which too little was seen to say what it is.
    TooLittle,
}

impl DarkWhy {
    /// Every reason's name, for series that are there from the start.
    pub const NAMES: [&'static str; 15] = [
        "no_key",
        "joined_late",
        "joined_late_tls12",
        "handshake_lost",
        "suite",
        "version",
        "wrong_key",
        "lost_sync",
        "held_too_much",
        "not_tls",
        "h2_lost_sync",
        "not_http",
        "http1",
        "upgraded",
        "too_little",
    ];

    /// The names of the reasons that hide no HTTP.
    pub const HARMLESS: [&'static str; 4] = ["not_http", "not_tls", "too_little", "upgraded"];

    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        use tls_tap::Dark;
        match self {
            Self::Tls(Dark::NoKey) => "no_key",
            Self::Tls(Dark::JoinedLate) => "joined_late",
            Self::Tls(Dark::JoinedLateTls12) => "joined_late_tls12",
            Self::Tls(Dark::HandshakeLost) => "handshake_lost",
            Self::Tls(Dark::Suite(_)) => "suite",
            Self::Tls(Dark::Version(_)) => "version",
            Self::Tls(Dark::WrongKey) => "wrong_key",
            Self::Tls(Dark::HeldTooMuch) => "held_too_much",
            Self::Tls(Dark::NotTls) => "not_tls",
            Self::Tls(_) => "lost_sync",
            Self::H2LostSync => "h2_lost_sync",
            Self::NotHttp => "not_http",
            Self::Http1 => "http1",
            Self::Upgraded => "upgraded",
            Self::TooLittle => "too_little",
        }
    }
}
