//! Findings and counts for tests: every field is set in at least one, and no two counts are alike by chance.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Basis, CaseCounts, CaseFinding, CaseKind, ConnectionId, DarkFinding, DarkWhy, Edge, ErrorCode, Evidence, Finding,
    Frame, GapWhere, OriginErrorFinding, Outcome, Parties, Phase, Process, Protocol, Request, ResetFinding, Retry,
    RetryResult, Side, Stats, SuspectedFinding, Time, TlsDark, Unfinished, Waits, Why,
};

const START: u64 = 1_700_000_000_000_000_001;

pub(crate) fn at(millis: u64) -> Time {
    Time(START + millis * 1_000_000)
}

pub(crate) fn client() -> SocketAddr {
    "192.0.2.7:40001".parse().unwrap()
}

pub(crate) fn server() -> SocketAddr {
    "[2001:db8::1]:8443".parse().unwrap()
}

pub(crate) fn parties() -> Parties {
    Parties { client: Some(client()), server: Some(server()), process: None }
}

/// A web server in a container.
pub(crate) fn process() -> Arc<Process> {
    Arc::new(Process {
        pid: 4711,
        command: "nginx".into(),
        container: Some("0123456789ab".into()),
        unit: Some("docker.service".into()),
    })
}

pub(crate) fn request(path: &str) -> Arc<Request> {
    Arc::new(Request {
        method: Some("GET".into()),
        scheme: Some("https".into()),
        authority: Some("shop.example".into()),
        path: Some(path.into()),
        ..Request::default()
    })
}

pub(crate) fn reset() -> ResetFinding {
    ResetFinding {
        time: at(5),
        id: 1,
        connection: ConnectionId(3),
        parties: parties(),
        sni: Some("shop.example".into()),
        frame: Frame::RstStream(7),
        code: ErrorCode::HTTP_1_1_REQUIRED,
        sender: Side::Server,
        phase: Phase::BeforeResponse,
        request: Some(request("/secure")),
        status: None,
        age: Some(Duration::from_nanos(1_234_567)),
        edge: Some(Edge::Cloudflare),
        evidence: vec![Evidence::AuthorizationNtlm, Evidence::NoResponseHeaders],
        verified: true,
    }
}

pub(crate) fn case() -> CaseFinding {
    CaseFinding {
        time: at(2005),
        id: 1,
        began: at(5),
        kind: CaseKind::Downgrade,
        resets: vec![1, 2],
        reset_count: 2,
        attempts: 2,
        outcome: Outcome::GivenUp,
        basis: Some(Basis::Absence),
        why: None,
        ended_by: None,
        parties: parties(),
        request: Some(request("/secure")),
        edge: Some(Edge::Cloudflare),
        retry: None,
    }
}

pub(crate) fn findings() -> Vec<Finding> {
    let retry = Retry {
        protocol: Protocol::Http1,
        delay: Duration::from_micros(3_500),
        status: Some(200),
        result: RetryResult::Ok,
    };
    vec![
        Finding::Reset(Box::new(reset())),
        Finding::Reset(Box::new(ResetFinding {
            id: 2,
            frame: Frame::GoAway(9),
            code: ErrorCode(0xff),
            sender: Side::Client,
            phase: Phase::Unknown,
            sni: None,
            request: None,
            status: Some(200),
            age: None,
            edge: None,
            evidence: Vec::new(),
            verified: false,
            parties: Parties { client: None, server: None, process: Some(process()) },
            ..reset()
        })),
        Finding::Case(Box::new(case())),
        Finding::Case(Box::new(CaseFinding {
            id: 2,
            outcome: Outcome::Retried,
            basis: Some(Basis::ProtocolSwitch),
            edge: None,
            retry: Some(retry),
            ..case()
        })),
        Finding::Case(Box::new(CaseFinding {
            id: 3,
            kind: CaseKind::Failure,
            resets: Vec::new(),
            reset_count: 0,
            attempts: 1,
            outcome: Outcome::Unknown,
            basis: None,
            why: Some(Why::InputEnded),
            ended_by: Some("fin"),
            request: None,
            edge: None,
            ..case()
        })),
        Finding::OriginError(Box::new(OriginErrorFinding {
            time: at(6),
            id: 1,
            parties: parties(),
            protocol: Protocol::H2,
            request: Some(request("/broken")),
            status: 502,
            edge: Some(Edge::Fastly),
        })),
        Finding::Suspected(Box::new(SuspectedFinding {
            time: at(7),
            id: 1,
            parties: parties(),
            sni: Some("shop.example".into()),
            delay: Duration::from_millis(2),
        })),
        Finding::Gap {
            time: at(8),
            connection: ConnectionId(3),
            parties: parties(),
            by: Side::Server,
            bytes: Some(1448),
            at: GapWhere::Acknowledged,
        },
        dark(DarkWhy::Tls(TlsDark::Suite(0x000a)), Some(Side::Client)),
        dark(DarkWhy::Tls(TlsDark::Version(0x0301)), None),
        Finding::Anomaly {
            time: at(10),
            connection: ConnectionId(4),
            parties: parties(),
            by: Some(Side::Client),
            what: "h2_hpack",
        },
    ]
}

fn dark(why: DarkWhy, by: Option<Side>) -> Finding {
    Finding::Dark(Box::new(DarkFinding {
        time: at(9),
        connection: ConnectionId(4),
        parties: parties(),
        sni: Some("shop.example".into()),
        by,
        why,
    }))
}

pub(crate) fn stats() -> Stats {
    let mut stats = Stats { span: Some((at(0), at(60_000))), suspected: 1, unverified_resets: 1, ..Stats::default() };
    stats.packets.packets = 12_345;
    stats.packets.bytes = 9_876_543;
    stats.packets.tcp = 12_300;
    stats.packets.malformed = 2;
    stats.input.files = 1;
    stats.input.damage = vec!["x.pcap: cut off at byte 4711".into()];
    stats.keys.secrets = 20;
    stats.keys.randoms = 5;
    stats.keys.matched = 4;
    stats.keys.found_late = 1;
    stats.keys.malformed = (vec!["keys.log:3".into()], 1);
    stats.connections.total = 8;
    stats.connections.joined_late = 2;
    stats.connections.protocols = [(Protocol::H2, 4), (Protocol::Http1, 1)].into();
    stats.connections.versions = [("1.2", 1), ("1.3", 6)].into();
    stats.connections.closed = [("fin", 7), ("input_ended", 1)].into();
    stats.connections.dark = [("no_key", 2), ("not_http", 1)].into();
    stats.connections.bytes = 9_000_000;
    stats.connections.unread = 70_000;
    stats.requests = [(Protocol::H2, 1_234), (Protocol::Http1, 3)].into();
    stats.responses = [((Protocol::H2, 2), 1_215), ((Protocol::H2, 5), 3), ((Protocol::Http1, 2), 3)].into();
    let reset = |frame, code, by, phase| (frame, code, by, phase);
    stats.resets = [
        (reset("RST_STREAM", ErrorCode::HTTP_1_1_REQUIRED, Side::Server, Phase::BeforeResponse), 48),
        (reset("RST_STREAM", ErrorCode::CANCEL, Side::Client, Phase::InBody), 5),
        (reset("GOAWAY", ErrorCode(0xff), Side::Server, Phase::Unknown), 1),
    ]
    .into();
    stats.cases = [
        ((CaseKind::Downgrade, Outcome::GivenUp, Some(Edge::Cloudflare)), 11),
        ((CaseKind::Downgrade, Outcome::Truncated, Some(Edge::Cloudflare)), 1),
        ((CaseKind::Downgrade, Outcome::Retried, None), 3),
        ((CaseKind::Failure, Outcome::GivenUp, None), 2),
        ((CaseKind::Failure, Outcome::Unknown, None), 1),
    ]
    .into();
    stats.bases =
        [((CaseKind::Downgrade, Basis::Absence), 12), ((CaseKind::Downgrade, Basis::ProtocolSwitch), 3)].into();
    stats.unknown = [((CaseKind::Failure, Why::InputEnded), 1)].into();
    stats.retries = [((Protocol::Http1, RetryResult::Ok), 2), ((Protocol::Http1, RetryResult::HttpError), 1)].into();
    stats.origin_errors = [(502, 2), (599, 1)].into();
    stats.unattributed_errors = [(504, 1)].into();
    let waits = |count, seconds| Waits { count, long: 0, longest: Duration::from_secs(seconds) };
    stats.unfinished = [
        ((Unfinished::InFlight, Phase::BeforeResponse), waits(2, 9)),
        ((Unfinished::Abandoned, Phase::InBody), waits(1, 30)),
    ]
    .into();
    stats.connections.one_way = [(Side::Server, 1)].into();
    stats.gaps = [("acknowledged", (3, 4344))].into();
    stats.anomalies = [("h2_hpack", 1)].into();
    stats.capped = [("cases", 6)].into();
    for millis in [1, 3, 3, 40] {
        stats.reset_age.record(Duration::from_millis(millis));
        stats.retry_delay.record(Duration::from_millis(millis * 2));
    }
    let counts = |downgrade, failure, failed| CaseCounts { downgrade, failure, failed };
    let paths = [("GET /secure", counts(15, 0, 12)), ("POST /a\u{202e}b", counts(0, 3, 2))];
    stats.worst.paths = paths.map(|(name, counts)| (name.to_owned(), counts)).into();
    stats.worst.hosts = [("shop.example".to_owned(), counts(15, 3, 14))].into();
    stats.worst.clients =
        [("cloudflare".to_owned(), counts(12, 0, 12)), ("192.0.2.7".to_owned(), counts(3, 3, 2))].into();
    stats.worst.servers = [(server(), counts(15, 3, 14))].into();
    stats.timeline.start = at(0);
    stats.timeline.step = Duration::from_secs(5);
    stats.timeline.steps = (0..12).map(|i| (100 + i, if i == 4 { 14 } else { u64::from(i == 5) }, i / 5)).collect();
    stats
}
