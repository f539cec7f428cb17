use std::sync::Arc;
use std::time::Duration;

use super::{
    ConnectionId, DarkWhy, Edge, ErrorCode, Evidence, GapWhere, Parties, Phase, Protocol, Request, Side, Time,
};

/// What `detect` tells the sinks. Ids are unique within a run and the same in every run over the same input.
#[derive(Clone, Debug)]
pub enum Finding {
    /// A reset or GOAWAY.
    Reset(Box<ResetFinding>),
    /// A request that was left without a complete response, and what became of it.
    Case(Box<CaseFinding>),
    /// A 5xx that the server which was asked made itself.
    OriginError(Box<OriginErrorFinding>),
    /// Without keys: a hello that offers only http/1.1 right after the same client's h2 connection. Not a case.
    Suspected(Box<SuspectedFinding>),
    /// Bytes that the capture does not have.
    Gap {
        /// When it was noticed.
        time: Time,
        /// Where.
        connection: ConnectionId,
        /// Who is who.
        parties: Parties,
        /// Who sent the lost bytes.
        by: Side,
        /// How many, where it is known.
        bytes: Option<u64>,
        /// How it was noticed.
        at: GapWhere,
    },
    /// What could not be read.
    Dark(Box<DarkFinding>),
    /// Bytes that the protocols do not allow, or a cap.
    Anomaly {
        /// When.
        time: Time,
        /// Where.
        connection: ConnectionId,
        /// Who is who.
        parties: Parties,
        /// Who sent it.
        by: Option<Side>,
        /// What: a stable snake_case word.
        what: &'static str,
    },
}

impl Finding {
    /// Moves every time in it: `ahead` nanoseconds later, wrapping.
    pub fn shift(&mut self, ahead: u64) {
        let by = |time: &mut Time| time.0 = time.0.wrapping_add(ahead);
        match self {
            Self::Reset(finding) => by(&mut finding.time),
            Self::Case(finding) => {
                by(&mut finding.time);
                by(&mut finding.began);
            }
            Self::OriginError(finding) => by(&mut finding.time),
            Self::Suspected(finding) => by(&mut finding.time),
            Self::Dark(finding) => by(&mut finding.time),
            Self::Gap { time, .. } | Self::Anomaly { time, .. } => by(time),
        }
    }
}

/// Which frame reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Frame {
    /// RST_STREAM, with its stream.
    RstStream(u32),
    /// GOAWAY, with its last stream.
    GoAway(u32),
}

impl Frame {
    /// The name in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RstStream(_) => "RST_STREAM",
            Self::GoAway(_) => "GOAWAY",
        }
    }
}

/// A reset or GOAWAY as it was on the wire.
#[derive(Clone, Debug)]
pub struct ResetFinding {
    /// When.
    pub time: Time,
    /// `r<n>`.
    pub id: u64,
    /// Where.
    pub connection: ConnectionId,
    /// Who is who on the connection.
    pub parties: Parties,
    /// Server name of the hello.
    pub sni: Option<Box<str>>,
    /// The frame.
    pub frame: Frame,
    /// Error code.
    pub code: ErrorCode,
    /// Who sent it.
    pub sender: Side,
    /// Where in its life the stream was.
    pub phase: Phase,
    /// The request, where it is known.
    pub request: Option<Arc<Request>>,
    /// Final status, where one began.
    pub status: Option<u16>,
    /// From the stream's first frame to the reset.
    pub age: Option<Duration>,
    /// The edge.
    pub edge: Option<Edge>,
    /// What points to a cause.
    pub evidence: Vec<Evidence>,
    /// Everything it rests on was authenticated.
    pub verified: bool,
}

/// Kind of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CaseKind {
    /// HTTP_1_1_REQUIRED.
    Downgrade,
    /// Anything else.
    Failure,
}

/// What became of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Asked again, over HTTP/1.1, or over HTTP/2 with identity and not refused again.
    Retried,
    /// Nothing of that kind within the window, no response header section.
    GivenUp,
    /// As given up, but the response had begun.
    Truncated,
    /// Anything else.
    Unknown,
}

/// What the outcome rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// A request id, ray id or forwarding header that the retry keeps.
    Identity,
    /// The same client's new HTTP/1.1 connection, the only candidate.
    ProtocolSwitch,
    /// Inferred from order.
    Sequence,
    /// Nothing came.
    Absence,
}

/// Why an outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Why {
    /// The capture ended before the window did.
    InputEnded,
    /// The client had connections that could not be read.
    ClientBlind,
    /// The client's address is not known, or a request for the same came from one that is not: it may have asked again unrecognised.
    ClientUnknown,
    /// Several candidates fit equally.
    Ambiguous,
    /// A CDN may have asked another origin.
    OtherOrigin,
    /// The request itself was not readable, so that its retry cannot be told.
    RequestUnseen,
    /// Too many cases or candidates at once: some were dropped.
    Cap,
    /// The capture lost packets within the window.
    CaptureLoss,
}

/// How the retry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetryResult {
    /// A status below 400.
    Ok,
    /// 4xx or 5xx.
    HttpError,
    /// None came.
    NoResponse,
}

/// The retry of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// On what protocol.
    pub protocol: Protocol,
    /// From the last reset to the retry.
    pub delay: Duration,
    /// Its status.
    pub status: Option<u16>,
    /// How it went.
    pub result: RetryResult,
}

/// A request that was left without a complete response.
#[derive(Clone, Debug)]
pub struct CaseFinding {
    /// When it was decided (the end of the window, or the retry's response).
    pub time: Time,
    /// `c<n>`.
    pub id: u64,
    /// When the first reset or end came.
    pub began: Time,
    /// Kind.
    pub kind: CaseKind,
    /// Ids of its resets, at most [`Limits::case_resets`](crate::limits::Limits::case_resets).
    pub resets: Vec<u64>,
    /// How many resets, listed or not. 0: the connection ended without a frame that says why.
    pub reset_count: u64,
    /// How often it was asked, the retry not counted.
    pub attempts: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// What the outcome rests on.
    pub basis: Option<Basis>,
    /// Why the outcome is unknown.
    pub why: Option<Why>,
    /// How the connection ended under it, where no frame reset it: `fin`, `rst`, `alert`, `goaway`.
    pub ended_by: Option<&'static str>,
    /// Who is who on the connection.
    pub parties: Parties,
    /// The request, where it is known.
    pub request: Option<Arc<Request>>,
    /// The edge.
    pub edge: Option<Edge>,
    /// The retry.
    pub retry: Option<Retry>,
}

/// A 5xx of the origin's own: nobody else made it.
#[derive(Clone, Debug)]
pub struct OriginErrorFinding {
    /// When.
    pub time: Time,
    /// `o<n>`.
    pub id: u64,
    /// Who is who on the connection.
    pub parties: Parties,
    /// On what protocol.
    pub protocol: Protocol,
    /// The request, where it is known.
    pub request: Option<Arc<Request>>,
    /// The status.
    pub status: u16,
    /// The edge.
    pub edge: Option<Edge>,
}

/// A downgrade that cannot be read, only suspected.
#[derive(Clone, Debug)]
pub struct SuspectedFinding {
    /// When the HTTP/1.1 hello came.
    pub time: Time,
    /// `s<n>`.
    pub id: u64,
    /// Who asked whom.
    pub parties: Parties,
    /// Server name.
    pub sni: Option<Box<str>>,
    /// From the last sign of the h2 connection to the hello.
    pub delay: Duration,
}

/// A connection, or a side of it, that could not be read.
#[derive(Clone, Debug)]
pub struct DarkFinding {
    /// When.
    pub time: Time,
    /// Where.
    pub connection: ConnectionId,
    /// Who is who.
    pub parties: Parties,
    /// Server name.
    pub sni: Option<Box<str>>,
    /// Which side; `None`: neither is readable.
    pub by: Option<Side>,
    /// Why.
    pub why: DarkWhy,
}
