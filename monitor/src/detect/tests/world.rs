//! A short way to say what was on the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;

use crate::detect::{Detector, Settings};
use crate::limits::Limits;
use crate::model::*;

pub(super) const EDGE: &str = "10.0.0.1:1000";
pub(super) const ORIGIN: &str = "10.0.0.9:443";

/// A detector, a clock in microseconds, and everything it said.
pub(super) struct World {
    pub(super) detector: Detector,
    pub(super) out: Vec<Finding>,
    pub(super) now: u64,
    connections: u64,
}

/// A request's headers, as far as they matter here.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) path: &'static str,
    pub(super) id: Option<(IdentityKind, u64)>,
    pub(super) edge: Option<Edge>,
    pub(super) no_target: bool,
}

pub(super) fn get(path: &'static str) -> Ask {
    Ask { path, ..Ask::default() }
}

impl Ask {
    pub(super) fn with(mut self, kind: IdentityKind, value: u64) -> Self {
        self.id = Some((kind, value));
        self
    }

    pub(super) fn from(mut self, edge: Edge) -> Self {
        self.edge = Some(edge);
        self
    }

    pub(super) fn blurred(mut self) -> Self {
        self.no_target = true;
        self
    }

    fn request(&self) -> Request {
        let hash = self.path.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(0x1_0000_01b3).wrapping_add(byte.into()));
        Request {
            method: Some("GET".into()),
            authority: (!self.no_target).then(|| "example.org".into()),
            path: Some(self.path.into()),
            target: (!self.no_target).then_some(TargetKey(hash)),
            identity: self.id.map(|(kind, value)| smallvec![Identity { kind, value }]).unwrap_or_default(),
            edge: self.edge,
            ..Request::default()
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let detector = Detector::new(Settings::default(), Arc::new(limits));
        Self { detector, out: Vec::new(), now: 1_000_000_000, connections: 0 }
    }

    /// Microseconds pass.
    pub(super) fn wait(&mut self, micros: u64) {
        self.now += micros;
    }

    pub(super) fn say(&mut self, connection: ConnectionId, kind: Kind) {
        self.detector.event(Event { time: Time(self.now * 1_000), connection, kind }, &mut self.out);
    }

    pub(super) fn open(&mut self, client: &str, server: &str) -> ConnectionId {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        let client: SocketAddr = client.parse().unwrap();
        let ends = Endpoints { client: Some(client), server: server.parse().ok(), proxied: None };
        self.say(id, Kind::Opened { ends: Box::new(ends), joined: false, plaintext: false });
        id
    }

    /// A connection whose addresses are not known.
    pub(super) fn nowhere(&mut self, protocol: Protocol) -> ConnectionId {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        self.say(id, Kind::Opened { ends: Box::default(), joined: false, plaintext: true });
        self.say(id, Kind::Protocol(protocol));
        id
    }

    pub(super) fn h2(&mut self, client: &str) -> ConnectionId {
        self.speaking(client, ORIGIN, Protocol::H2)
    }

    pub(super) fn http1(&mut self, client: &str) -> ConnectionId {
        self.speaking(client, ORIGIN, Protocol::Http1)
    }

    pub(super) fn speaking(&mut self, client: &str, server: &str, protocol: Protocol) -> ConnectionId {
        let id = self.open(client, server);
        self.say(id, Kind::Protocol(protocol));
        id
    }

    pub(super) fn ask(&mut self, on: ConnectionId, id: u32, ask: &Ask) {
        let request = Arc::new(ask.request());
        self.say(on, Kind::Request(Exchange { id, request, pushed: false }));
    }

    pub(super) fn begin(&mut self, on: ConnectionId, id: u32, status: u16) {
        let informational = status < 200;
        self.say(on, Kind::Response { exchange: id, status: Some(status), informational, asks_windows_auth: false });
    }

    pub(super) fn answer(&mut self, on: ConnectionId, id: u32, status: u16) {
        self.begin(on, id, status);
        self.end(on, id, ExchangeEnd::Complete, Some(status));
    }

    pub(super) fn end(&mut self, on: ConnectionId, exchange: u32, end: ExchangeEnd, status: Option<u16>) {
        self.say(on, Kind::Ended { exchange, end, status, phase: phase(status), known: true });
    }

    /// An RST_STREAM that ends a stream; `status`: the response had begun.
    pub(super) fn reset(&mut self, on: ConnectionId, stream: u32, by: Side, code: u32, status: Option<u16>) {
        let reset = self.rst(on, stream, by, code, status);
        self.end(on, stream, ExchangeEnd::Reset(reset), status);
    }

    /// An RST_STREAM alone.
    pub(super) fn rst(
        &mut self,
        on: ConnectionId,
        stream: u32,
        by: Side,
        code: u32,
        status: Option<u16>,
    ) -> h2_tap::Reset {
        let reset = h2_tap::Reset { by, stream, code: ErrorCode(code), verified: true };
        let phase = phase(status);
        self.say(on, Kind::Reset(Box::new(ResetSeen { reset, phase, request: None, status, opened: None })));
        reset
    }

    /// The origin's HTTP_1_1_REQUIRED.
    pub(super) fn refuse(&mut self, on: ConnectionId, stream: u32) {
        self.reset(on, stream, Side::Server, 0xd, None);
    }

    pub(super) fn goaway(&mut self, on: ConnectionId, last_stream: u32, code: u32, open: usize) -> h2_tap::GoAway {
        let goaway =
            h2_tap::GoAway { by: Side::Server, last_stream, code: ErrorCode(code), debug_len: 0, verified: true };
        self.say(on, Kind::GoAway(Box::new(GoAwaySeen { goaway, open })));
        goaway
    }

    pub(super) fn cut(&mut self, on: ConnectionId, id: u32, how: CloseHow, goaway: Option<h2_tap::GoAway>) {
        self.end(on, id, ExchangeEnd::Closed { how, goaway }, None);
    }

    pub(super) fn close(&mut self, on: ConnectionId, how: CloseHow) {
        self.say(on, Kind::Closed { how, bytes: 1_000, unread: 0 });
    }

    /// Ends the input after `micros` and gives the cases.
    pub(super) fn cases_after(&mut self, micros: u64) -> Vec<CaseFinding> {
        self.wait(micros);
        self.detector.finish(Time(self.now * 1_000), &mut self.out);
        self.cases()
    }

    pub(super) fn cases(&self) -> Vec<CaseFinding> {
        let cases = self.out.iter().filter_map(|finding| match finding {
            Finding::Case(case) => Some((**case).clone()),
            _ => None,
        });
        let mut cases: Vec<_> = cases.collect();
        cases.sort_by_key(|case| case.id);
        cases
    }
}

const fn phase(status: Option<u16>) -> Phase {
    if status.is_some() { Phase::InBody } else { Phase::BeforeResponse }
}

/// What there is to say about a case in one line.
pub(super) fn line(case: &CaseFinding) -> String {
    let mut line = format!("{:?} {:?}", case.kind, case.outcome);
    if let Some(basis) = case.basis {
        line += &format!(" {basis:?}");
    }
    if let Some(why) = case.why {
        line += &format!(" {why:?}");
    }
    if let Some(retry) = &case.retry {
        line += &format!(" {} {:?}", retry.protocol.name(), retry.result);
    }
    format!("{line} resets {} attempts {}", case.reset_count, case.attempts)
}

pub(super) fn lines(cases: &[CaseFinding]) -> Vec<String> {
    cases.iter().map(line).collect()
}

/// Longer than any window.
pub(super) const LONG: u64 = 10_000_000;

pub(super) const fn micros(duration: Duration) -> u128 {
    duration.as_micros()
}

/// Runs a scenario and tells its cases once every window is over.
pub(super) fn told(scenario: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = World::new();
    scenario(&mut world);
    lines(&world.cases_after(LONG))
}
