//! A run that shows what a test wants.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use h2watch::model::{
    Basis, CaseFinding, CaseKind, ConnectionId, DarkFinding, DarkWhy, Edge, ErrorCode, Evidence, Finding, Frame,
    OriginErrorFinding, Outcome, Parties, Phase, Protocol, Request, ResetFinding, Retry, RetryResult, Side, Stats,
    Time, TlsDark, Verdict,
};
use h2watch::source::keylogs::KeyLogHealth;
use h2watch::source::live::InterfaceHealth;
use h2watch::watch::history::History;
use h2watch::watch::{Board, Snapshot};
use h2watch::web::{Bound, Server};

/// Text that would be markup if it were put in as such.
pub const HOSTILE: &str = "<img src=x onerror=\"document.title='broken'\">";

pub fn now() -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time(u64::try_from(now.as_nanos()).unwrap())
}

/// A served port, with a run behind it that gives a snapshot when one is wanted.
pub struct Running {
    pub address: SocketAddr,
    /// Snapshots that were taken.
    pub taken: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    run: Option<JoinHandle<()>>,
    server: Option<Server>,
}

impl Running {
    pub fn start(snapshot: Snapshot, config: Option<&Path>) -> Self {
        let bound = Bound::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], config).expect("bind");
        let (board, publisher) = Board::new(Snapshot::default());
        let server = bound.serve(board).expect("serve");
        let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let run = thread::spawn({
            let (stop, taken) = (Arc::clone(&stop), Arc::clone(&taken));
            move || {
                while !stop.load(Ordering::Acquire) {
                    let number = taken.load(Ordering::Acquire);
                    if publisher.wanted() || number == 0 {
                        taken.store(number + 1, Ordering::Release);
                        publisher.publish(Snapshot { number: number + 1, at: now(), ..snapshot.clone() });
                    }
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        Self { address: server.addresses()[0], taken, stop, run: Some(run), server: Some(server) }
    }

    /// Ends the run; the port stays.
    pub fn end_run(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.run.take().map(JoinHandle::join);
    }

    /// Closes the port.
    pub fn close(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end_run();
        self.close();
    }
}

fn client(n: u64) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, (n % 200) as u8], 40_000 + (n % 9_000) as u16))
}

fn server() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 10], 443))
}

fn parties(n: u64) -> Parties {
    Parties { client: Some(client(n)), server: Some(server()), process: None }
}

fn request(path: &str) -> Option<Arc<Request>> {
    Some(Arc::new(Request {
        method: Some("GET".into()),
        scheme: Some("https".into()),
        authority: Some("shop.example".into()),
        path: Some(path.into()),
        ..Request::default()
    }))
}

fn reset(id: u64, time: Time, path: &str, code: ErrorCode) -> Finding {
    Finding::Reset(Box::new(ResetFinding {
        time,
        id,
        connection: ConnectionId(id),
        parties: parties(id),
        sni: Some("shop.example".into()),
        frame: Frame::RstStream(1 + 2 * u32::try_from(id).unwrap()),
        code,
        sender: if code == ErrorCode::CANCEL { Side::Client } else { Side::Server },
        phase: Phase::BeforeResponse,
        request: request(path),
        status: None,
        age: Some(Duration::from_micros(1_840)),
        edge: Some(Edge::Cloudflare),
        evidence: vec![Evidence::AuthorizationNegotiate, Evidence::NoResponseHeaders],
        verified: true,
    }))
}

fn case(id: u64, time: Time, path: &str, kind: CaseKind, outcome: Outcome) -> Finding {
    let retry = Retry {
        protocol: Protocol::Http1,
        delay: Duration::from_micros(3_510),
        status: Some(200),
        result: RetryResult::Ok,
    };
    let retried = outcome == Outcome::Retried;
    Finding::Case(Box::new(CaseFinding {
        time,
        id,
        began: Time(time.0 - 2_000_000_000),
        kind,
        resets: vec![id],
        reset_count: 1,
        attempts: 1,
        outcome,
        basis: Some(if retried { Basis::Identity } else { Basis::Absence }),
        why: None,
        ended_by: (kind == CaseKind::Failure).then_some("fin"),
        parties: parties(id),
        request: request(path),
        edge: Some(Edge::Cloudflare),
        retry: retried.then_some(retry),
    }))
}

fn add<K: Ord>(counts: &mut std::collections::BTreeMap<K, u64>, key: K, count: u64) {
    *counts.entry(key).or_default() += count;
}

/// Half an hour in which much went wrong.
pub fn busy() -> Snapshot {
    let end = now();
    let (mut stats, mut history) = (Stats::default(), History::default());
    let mut latest = Vec::new();
    for step in 0..360_u64 {
        let time = Time(end.0 - (360 - step) * 5_000_000_000);
        add(&mut stats.requests, Protocol::H2, 400 + step * 7 % 90);
        add(&mut stats.requests, Protocol::Http1, 20);
        stats.connections.total += 12;
        stats.connections.bytes += 9_000_000;
        stats.connections.unread += 180_000;
        if step % 7 == 0 {
            add(&mut stats.connections.dark, "no_key", 1);
        }
        let key = |code, sender| ("RST_STREAM", code, sender, Phase::BeforeResponse);
        add(&mut stats.resets, key(ErrorCode::CANCEL, Side::Client), step * 13 % 5);
        if step % 40 == 0 {
            add(&mut stats.resets, key(ErrorCode(0xbad), Side::Server), 1);
            add(&mut stats.resets, key(ErrorCode::ENHANCE_YOUR_CALM, Side::Server), 2);
            latest.push(reset(step, time, "/slow", ErrorCode::CANCEL));
        }
        if step > 120 && step % 4 == 0 {
            let path = if step % 3 == 0 { "/secure/report" } else { HOSTILE };
            let outcome = match step % 12 {
                0 => Outcome::GivenUp,
                4 => Outcome::Retried,
                _ => Outcome::Unknown,
            };
            add(&mut stats.resets, key(ErrorCode::HTTP_1_1_REQUIRED, Side::Server), 3);
            add(&mut stats.cases, (CaseKind::Downgrade, outcome, Some(Edge::Cloudflare)), 3);
            latest.push(reset(1_000 + step, time, path, ErrorCode::HTTP_1_1_REQUIRED));
            latest.push(case(1_000 + step, time, path, CaseKind::Downgrade, outcome));
        }
        if step == 300 {
            add(&mut stats.cases, (CaseKind::Failure, Outcome::Truncated, None), 2);
            add(&mut stats.origin_errors, 503, 4);
            latest.push(case(5_000, time, "/download/big.iso", CaseKind::Failure, Outcome::Truncated));
            latest.push(Finding::OriginError(Box::new(OriginErrorFinding {
                time,
                id: 1,
                parties: parties(3),
                protocol: Protocol::H2,
                request: request("/api/cart"),
                status: 503,
                edge: None,
            })));
            latest.push(Finding::Dark(Box::new(DarkFinding {
                time,
                connection: ConnectionId(77),
                parties: parties(77),
                sni: Some("admin.example".into()),
                by: None,
                why: DarkWhy::Tls(TlsDark::NoKey),
            })));
        }
        latest.iter().skip(latest.len().saturating_sub(3)).for_each(|finding| history.finding(finding));
        history.observe(time, &stats, &[]);
    }
    stats.span = Some((Time(end.0 - 1_800_000_000_000), end));
    stats.packets.packets = 4_000_000;
    (stats.keys.secrets, stats.keys.randoms, stats.keys.matched) = (8_600, 4_300, 4_269);
    let interface = InterfaceHealth {
        name: "eth0".to_owned(),
        kind: "pcap",
        up: true,
        received: 4_000_000,
        dropped_kernel: 17,
        ..InterfaceHealth::default()
    };
    let log = KeyLogHealth {
        path: "/run/h2watch/keys.log".into(),
        readable: true,
        exposed: true,
        bytes: 1_510_000,
        quiet: Some(Duration::from_secs(2)),
        ..KeyLogHealth::default()
    };
    let latest: Vec<_> = latest.into_iter().map(Arc::new).collect();
    let latest = latest[latest.len().saturating_sub(150)..].to_vec();
    Snapshot {
        at: end,
        started: Time(end.0 - 7_300_000_000_000),
        capturing: true,
        stats,
        verdict: Some(Verdict::Found),
        interfaces: vec![interface],
        keylogs: vec![log],
        latest_numbers: (1..=latest.len() as u64).collect(),
        latest,
        top: history.top(),
        history: history.steps(),
        ..Snapshot::default()
    }
}

/// Nothing went wrong, and all could be read.
pub fn quiet() -> Snapshot {
    let end = now();
    let (mut stats, mut history) = (Stats::default(), History::default());
    history.observe(Time(end.0 - 60_000_000_000), &stats, &[]);
    add(&mut stats.requests, Protocol::H2, 1_200);
    stats.connections.total = 40;
    stats.connections.bytes = 1_000_000;
    history.observe(end, &stats, &[]);
    Snapshot {
        at: end,
        started: Time(end.0 - 60_000_000_000),
        capturing: true,
        stats,
        verdict: Some(Verdict::Nothing),
        interfaces: vec![InterfaceHealth { name: "lo".to_owned(), kind: "pcap", up: true, ..Default::default() }],
        history: history.steps(),
        ..Snapshot::default()
    }
}
