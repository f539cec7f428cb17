//! Requests, their responses and how they end.

use std::sync::Arc;

use h2_tap::Reset;

use super::candidates::{Brief, State};
use super::cases::{Left, Loss, Scene};
use super::connections::{Connection, Open, mix};
use super::forwarding::Maker;
use super::identity::Ids;
use super::{Core, stats};
use crate::model::{
    CaseKind, CloseHow, ErrorCode, Exchange, ExchangeEnd, ExchangeId, Finding, OriginErrorFinding, Phase, Protocol,
    Request, Side, Time,
};

/// TLS alerts of a client that only say goodbye: close_notify, user_canceled.
const FAREWELLS: [u8; 2] = [0, 90];

/// How soon a client's CANCEL follows a server's for both to have met the same deadline.
const BOTH_CANCEL: std::time::Duration = std::time::Duration::from_millis(10);

/// A request's response header section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) exchange: ExchangeId,
    pub(super) status: Option<u16>,
    pub(super) informational: bool,
    pub(super) asks_windows_auth: bool,
}

/// How a request left its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) exchange: ExchangeId,
    pub(super) end: ExchangeEnd,
    pub(super) status: Option<u16>,
    pub(super) phase: Phase,
    pub(super) known: bool,
}

/// Why a request is a case.
struct Cause {
    kind: CaseKind,
    time: Time,
    reset: Option<u64>,
    ended_by: Option<&'static str>,
}

impl Core {
    pub(super) fn request(&mut self, at: Time, connection: &mut Connection, exchange: Exchange) {
        let protocol = connection.protocol.unwrap_or(Protocol::Other);
        let unasked = connection.take_unasked(exchange.id);
        if unasked.is_none() {
            self.stream(protocol, exchange.id);
        }
        if exchange.pushed {
            return; // The server's idea, and no client waits for it.
        }
        *self.stats.requests.entry(protocol).or_default() += 1;
        connection.counts(&mut self.stats.servers).requests += 1;
        self.stats.timeline.at(at, |step| step.0 += 1);
        connection.requests += 1;
        let Exchange { id, request, .. } = exchange;
        if self.open >= self.limits.candidates {
            *self.stats.capped.entry("open_requests").or_default() += 1;
            return;
        }
        let brief = brief(connection, Some(&request), at);
        let record = self.candidates.push(brief);
        if !self.cases.is_empty() {
            if let Some(edge) = connection.edge(Some(&request)).filter(|edge| edge.is_cdn()) {
                self.cases.edge_asked(edge, brief.server, at);
            }
            self.cases.asked(record, &brief, &self.candidates);
        }
        if let Some(case) = unasked.or_else(|| connection.goaway_case.take())
            && self.cases.attach(case, &request, record, brief)
        {
            connection.attached = Some((id, case));
            if unasked.is_some() {
                // It was heard of late: what may be its retry was, too.
                self.cases.catch_up(case, &self.candidates);
            }
        }
        if connection.open.insert(id, Open { request, start: at, record, status: None }).is_none() {
            self.open += 1;
        }
    }

    pub(super) fn response(&mut self, at: Time, connection: &mut Connection, answer: Answer, out: &mut Vec<Finding>) {
        if answer.informational {
            return;
        }
        let protocol = connection.protocol.unwrap_or(Protocol::Other);
        let class = answer.status.map(|status| status / 100).filter(|class| (1..=5).contains(class));
        let class = class.and_then(|class| u8::try_from(class).ok()).unwrap_or(0);
        *self.stats.responses.entry((protocol, class)).or_default() += 1;
        let open = connection.open.get_mut(&answer.exchange);
        let target = open.as_ref().map_or(0, |open| target(&open.request));
        if answer.asks_windows_auth {
            connection.windows_auth = true;
            if target != 0 {
                self.unauthorized.add(target);
            }
        }
        if let Some(open) = open {
            open.status = answer.status;
            self.cases.left(open.record, Left::Begun, answer.status, self.now);
        }
        if let Some(status) = answer.status.filter(|status| (500..600).contains(status)) {
            let open = connection.open.get(&answer.exchange);
            match self.maker(connection, open) {
                Maker::Behind => return,
                Maker::Unknown => {
                    *self.stats.unattributed_errors.entry(status).or_default() += 1;
                    return;
                }
                Maker::Server => {}
            }
            *self.stats.origin_errors.entry(status).or_default() += 1;
            self.errors += 1;
            out.push(Finding::OriginError(Box::new(OriginErrorFinding {
                time: at,
                id: self.errors,
                parties: connection.parties(),
                protocol,
                edge: connection.edge(open.map(|open| &*open.request)),
                request: open.map(|open| Arc::clone(&open.request)),
                status,
            })));
        }
    }

    /// Counts a stream by who opened it (RFC 9113 section 5.1.1).
    fn stream(&mut self, protocol: Protocol, id: ExchangeId) {
        if matches!(protocol, Protocol::H2 | Protocol::H2c) {
            let by = if id.is_multiple_of(2) { Side::Server } else { Side::Client };
            *self.stats.streams.entry(by).or_default() += 1;
        }
    }

    pub(super) fn ended(&mut self, at: Time, connection: &mut Connection, ended: Ended, out: &mut Vec<Finding>) {
        if !ended.known {
            self.stream(connection.protocol.unwrap_or(Protocol::Other), ended.exchange);
        }
        let open = connection.open.remove(&ended.exchange);
        self.open -= usize::from(open.is_some());
        let record = open.as_ref().map_or(0, |open| open.record);
        let attached = connection.attached.filter(|&(id, _)| id == ended.exchange).map(|(_, case)| case);
        let Some(cause) = cause(at, connection, &ended, open.as_ref()) else {
            self.unfinished(at, &ended, open.as_ref());
            if ended.end == ExchangeEnd::Unseen {
                self.stats.unseen_requests += 1;
            }
            let in_flight = matches!(ended.end, ExchangeEnd::Closed { how: CloseHow::InputEnded, .. });
            if !in_flight && record != 0 {
                self.candidates.set(record, State::Answered, ended.status);
                self.cases.left(record, Left::Answered, ended.status, self.now);
            }
            if let Some(case) = attached.filter(|_| ended.end == ExchangeEnd::Complete) {
                self.cases.withdraw(case);
            }
            return;
        };
        self.candidates.set(record, State::Refused, ended.status);
        let sent_on = open.as_ref().and_then(|open| self.forwarded(connection, open));
        let mut brief = brief(connection, open.as_ref().map(|open| &*open.request), cause.time);
        brief.start = open.as_ref().map_or(cause.time, |open| open.start);
        let loss = Loss {
            time: cause.time,
            kind: cause.kind,
            parties: connection.parties(),
            edge: connection.edge(open.as_ref().map(|open| &*open.request)),
            request: open.map(|open| open.request),
            record,
            brief,
            reset: cause.reset,
            phase: ended.phase,
            ended_by: cause.ended_by,
        };
        // An edge's own failure towards its visitor, when what it sent on is a case, is the same loss.
        if let Some(case) = attached {
            self.cases.came(case, ended.phase);
        }
        if self.cases.lost(&loss, self.now, &self.candidates) || attached.is_some() || sent_on == Some(State::Refused) {
            return;
        }
        let case = self.open_case(loss, out);
        if !ended.known {
            connection.note_unasked(ended.exchange, case);
            // Its client may have asked for somebody else.
            self.senders.point((connection.sender, connection.server), at);
        }
        if let ExchangeEnd::Reset(reset) = ended.end
            && (reset.by, reset.code) == (Side::Server, ErrorCode::CANCEL)
        {
            connection.note_cancel(ended.exchange, at, case);
        }
    }

    pub(super) fn open_case(&mut self, loss: Loss, out: &mut Vec<Finding>) -> u64 {
        let scene = Scene { candidates: &self.candidates, blind: &self.blind, losses: &self.losses };
        let (case, dropped) = self.cases.open(loss, scene);
        if let Some(dropped) = dropped {
            *self.stats.capped.entry("cases").or_default() += 1;
            stats::case(&mut self.stats, &dropped, self.limits.top);
            out.push(Finding::Case(Box::new(dropped)));
        }
        case
    }

    /// A client's CANCEL right after the server's: both met a deadline (gRPC), nothing failed.
    pub(super) fn client_cancel(&mut self, at: Time, connection: &Connection, stream: ExchangeId) {
        let both = connection.cancels.iter().find(|cancel| cancel.stream == stream);
        if let Some(cancel) = both.filter(|cancel| at.since(cancel.time) <= BOTH_CANCEL) {
            self.cases.withdraw(cancel.case);
        }
    }
}

/// Why a request that ended this way is a case; `None`: it is none.
fn cause(at: Time, connection: &Connection, ended: &Ended, open: Option<&Open>) -> Option<Cause> {
    let kind = |code| match code {
        ErrorCode::HTTP_1_1_REQUIRED => CaseKind::Downgrade,
        _ => CaseKind::Failure,
    };
    let promised = connection.protocol != Some(Protocol::Http1) && ended.exchange.is_multiple_of(2);
    // An accepted CONNECT or WebSocket has no end that is a complete response: whoever closes it ends it.
    let gentle = match ended.end {
        ExchangeEnd::Reset(reset) => matches!(reset.code, ErrorCode::NO_ERROR | ErrorCode::CANCEL),
        ExchangeEnd::Closed { how, .. } => !matches!(how, CloseHow::Alert(..)),
        ExchangeEnd::Complete | ExchangeEnd::Unseen => true,
    };
    let tunnel = gentle && ended.phase == Phase::InBody && open.is_some_and(|open| open.request.tunnel);
    // Of a request that was not seen, only the server's refusal tells that it was left without a response.
    let untold = !ended.known
        && match ended.end {
            ExchangeEnd::Reset(Reset { by, code, .. }) => {
                by == Side::Client || matches!(code, ErrorCode::NO_ERROR | ErrorCode::STREAM_CLOSED)
            }
            _ => ended.phase == Phase::Unknown,
        };
    if promised || tunnel || untold {
        return None;
    }
    let start = open.map_or(Time::default(), |open| open.start);
    let by_goaway = |code| {
        let seen = connection.goaway.filter(|seen| seen.code == code);
        Cause {
            kind: kind(code),
            time: seen.map_or(at, |seen| seen.time.max(start)),
            reset: seen.map(|seen| seen.reset),
            ended_by: Some("goaway"),
        }
    };
    match ended.end {
        ExchangeEnd::Complete | ExchangeEnd::Unseen => None,
        ExchangeEnd::Reset(reset) => {
            let cancelled = (reset.by, reset.code) == (Side::Client, ErrorCode::CANCEL);
            if cancelled {
                // What the server refused before is refused, whatever the client tidies up afterwards.
                let refused = connection.goaway.filter(|goaway| ended.exchange > goaway.last_stream)?;
                return Some(by_goaway(refused.code));
            }
            // A client that had closed the stream has what it wants of the response (curl, which does not wait for its end), and one that
            // lets go of it behind lost bytes of the server may have.
            let done = match reset.code {
                ErrorCode::STREAM_CLOSED => ended.phase != Phase::BeforeResponse,
                ErrorCode::NO_ERROR => ended.phase == Phase::Unknown,
                _ => false,
            };
            if done && reset.by == Side::Client {
                return None;
            }
            let id = connection.last_reset.filter(|&(stream, _)| stream == ended.exchange).map(|(_, id)| id);
            let server = reset.by == Side::Server;
            Some(Cause {
                kind: if server { kind(reset.code) } else { CaseKind::Failure },
                time: at,
                reset: id,
                ended_by: None,
            })
        }
        ExchangeEnd::Closed { how, goaway } => {
            let covered = goaway.filter(|goaway| goaway.by == Side::Server);
            let above = covered.filter(|goaway| ended.exchange > goaway.last_stream);
            if let Some(goaway) = above {
                return Some(by_goaway(goaway.code));
            }
            let failed = covered.filter(|goaway| goaway.code != ErrorCode::NO_ERROR);
            let (by, word) = match how {
                // Who closed it is not known; that the server had failed it says itself.
                CloseHow::Freed if failed.is_some() => (Side::Server, "freed"),
                CloseHow::Fin(by) => (by, "fin"),
                CloseHow::Rst(by) => (by, "rst"),
                CloseHow::ProcessEnded(by) => (by, "process_ended"),
                CloseHow::Alert(by, description) if by == Side::Client && !FAREWELLS.contains(&description) => {
                    (Side::Server, "alert")
                }
                CloseHow::Alert(by, _) => (by, "alert"),
                CloseHow::Reused | CloseHow::Idle | CloseHow::Freed | CloseHow::Evicted | CloseHow::InputEnded => {
                    return None;
                }
            };
            if let Some(goaway) = failed {
                return Some(by_goaway(goaway.code));
            }
            // A client that leaves before the response has given up: the origin failed nobody.
            (by == Side::Server).then_some(Cause {
                kind: CaseKind::Failure,
                time: at,
                reset: None,
                ended_by: Some(word),
            })
        }
    }
}

fn target(request: &Request) -> u64 {
    request.target.map_or(0, |target| target.0.max(1))
}

/// What a request is remembered by.
pub(super) fn brief(connection: &Connection, request: Option<&Request>, at: Time) -> Brief {
    let edge = connection.edge(request);
    let who = connection.who(edge);
    let (host, server, server_host) = (connection.host, connection.server, connection.server_host);
    let target = request.map_or(0, target);
    let shape = request.map_or(0, |request| match (&request.method, &request.path) {
        (Some(method), Some(path)) => mix((method, path)).max(1),
        _ => 0,
    });
    Brief {
        key: Brief::key(who, target, host, server_host, server),
        who,
        target,
        shape,
        ids: request.map(Ids::of).unwrap_or_default(),
        start: at,
        connected: connection.opened,
        host,
        server,
        server_host,
        sender: connection.sender,
        protocol: connection.protocol.unwrap_or(Protocol::Other),
        first: connection.requests == 1,
        stranger: connection.is_stranger(edge),
    }
}
