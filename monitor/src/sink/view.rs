//! Findings as the schema shows them. Every field is described in `docs/events.md`; names and their order are part of the schema.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::{SCHEMA, words};
use crate::model::{
    CaseFinding, DarkFinding, DarkWhy, Edge, Finding, Frame, OriginErrorFinding, Parties, Process, Request,
    ResetFinding, Retry, Side, SuspectedFinding, Time, TlsDark,
};

/// A line of the events file. A field that is `None` or empty is left out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Line<'f> {
    schema: &'static str,
    event: &'static str,
    time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suite: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessView<'f>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_stream_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestView<'f>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
}

#[derive(Debug, Serialize)]
struct RequestView<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authority: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'f str>,
}

impl<'f> RequestView<'f> {
    /// `None` for a request of which no field is known.
    fn of(request: Option<&'f Request>) -> Option<Self> {
        let request = request?;
        let view = Self {
            method: request.method.as_deref(),
            scheme: request.scheme.as_deref(),
            authority: request.authority.as_deref(),
            path: request.path.as_deref(),
        };
        [view.method, view.scheme, view.authority, view.path].iter().any(Option::is_some).then_some(view)
    }
}

#[derive(Debug, Serialize)]
struct ProcessView<'f> {
    pid: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    command: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'f str>,
}

impl<'f> From<&'f Process> for ProcessView<'f> {
    fn from(process: &'f Process) -> Self {
        Self {
            pid: process.pid,
            command: &process.command,
            container: process.container.as_deref(),
            unit: process.unit.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
struct RetryView {
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    result: &'static str,
    delay_ms: f64,
}

impl From<&Retry> for RetryView {
    fn from(retry: &Retry) -> Self {
        Self {
            protocol: retry.protocol.name(),
            status: retry.status,
            result: words::result(retry.result),
            delay_ms: millis(retry.delay),
        }
    }
}

/// Milliseconds with what the nanoseconds say behind the point.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn millis(span: Duration) -> f64 {
    // Below 104 days nanoseconds are exact in an f64.
    span.as_nanos() as f64 / 1e6
}

impl<'f> Line<'f> {
    /// The line of a live run's event says which run.
    pub(super) fn of_run(self, run: Option<&'f str>) -> Self {
        Self { run, ..self }
    }

    fn new(event: &'static str, time: Time) -> Self {
        Self { schema: SCHEMA, event, time, ..Self::default() }
    }

    fn between(self, parties: &'f Parties) -> Self {
        let process = parties.process.as_deref().map(ProcessView::from);
        Self { client: parties.client, server: parties.server, process, ..self }
    }

    fn reset(found: &'f ResetFinding) -> Self {
        let (stream_id, last_stream_id) = match found.frame {
            Frame::RstStream(id) => (Some(id), None),
            Frame::GoAway(id) => (None, Some(id)),
        };
        Self {
            id: Some(format!("r{}", found.id)),
            connection: Some(found.connection.0),
            frame: Some(found.frame.name()),
            error_code: Some(found.code.0),
            error_name: Some(found.code.to_string()),
            sender: Some(words::side(found.sender)),
            sni: found.sni.as_deref(),
            stream_id,
            last_stream_id,
            phase: Some(words::phase(found.phase)),
            request: RequestView::of(found.request.as_deref()),
            status: found.status,
            age_ms: found.age.map(millis),
            edge: found.edge.map(Edge::name),
            evidence: found.evidence.iter().map(|it| it.name()).collect(),
            verified: (!found.verified).then_some(false),
            ..Self::new("reset", found.time)
        }
        .between(&found.parties)
    }

    fn case(found: &'f CaseFinding) -> Self {
        Self {
            id: Some(format!("c{}", found.id)),
            began: Some(found.began),
            kind: Some(words::kind(found.kind)),
            resets: Some(found.resets.iter().map(|id| format!("r{id}")).collect()),
            reset_count: Some(found.reset_count),
            attempts: Some(found.attempts),
            outcome: Some(words::outcome(found.outcome)),
            basis: found.basis.map(words::basis),
            why: found.why.map(words::why),
            ended_by: found.ended_by,
            request: RequestView::of(found.request.as_deref()),
            edge: found.edge.map(Edge::name),
            retry: found.retry.as_ref().map(RetryView::from),
            ..Self::new("case", found.time)
        }
        .between(&found.parties)
    }

    fn origin_error(found: &'f OriginErrorFinding) -> Self {
        Self {
            id: Some(format!("o{}", found.id)),
            protocol: Some(found.protocol.name()),
            request: RequestView::of(found.request.as_deref()),
            status: Some(found.status),
            edge: found.edge.map(Edge::name),
            ..Self::new("origin_error", found.time)
        }
        .between(&found.parties)
    }

    fn suspected(found: &'f SuspectedFinding) -> Self {
        Self {
            id: Some(format!("s{}", found.id)),
            sni: found.sni.as_deref(),
            delay_ms: Some(millis(found.delay)),
            ..Self::new("suspected", found.time)
        }
        .between(&found.parties)
    }

    fn dark(found: &'f DarkFinding) -> Self {
        let (suite, version) = match found.why {
            DarkWhy::Tls(TlsDark::Suite(suite)) => (Some(suite), None),
            DarkWhy::Tls(TlsDark::Version(version)) => (None, Some(version)),
            _ => (None, None),
        };
        Self {
            connection: Some(found.connection.0),
            sender: found.by.map(words::side),
            why: Some(found.why.name()),
            suite,
            version,
            sni: found.sni.as_deref(),
            ..Self::new("dark", found.time)
        }
        .between(&found.parties)
    }
}

impl<'f> From<&'f Finding> for Line<'f> {
    fn from(finding: &'f Finding) -> Self {
        let sender = |by: Option<Side>| by.map(words::side);
        match finding {
            Finding::Reset(found) => Self::reset(found),
            Finding::Case(found) => Self::case(found),
            Finding::OriginError(found) => Self::origin_error(found),
            Finding::Suspected(found) => Self::suspected(found),
            Finding::Dark(found) => Self::dark(found),
            Finding::Gap { time, connection, parties, by, bytes, at } => Self {
                connection: Some(connection.0),
                sender: sender(Some(*by)),
                why: Some(at.name()),
                bytes: *bytes,
                ..Self::new("gap", *time)
            }
            .between(parties),
            Finding::Anomaly { time, connection, parties, by, what } => Self {
                connection: Some(connection.0),
                sender: sender(*by),
                what: Some(what),
                ..Self::new("anomaly", *time)
            }
            .between(parties),
        }
    }
}
