use std::collections::VecDeque;
use std::sync::Arc;

use h2_tap::{Anomaly, Auth, Connection, End, Fields, GoAway, HeadKind, Observer, Phase, Reset, Stream, Wanted};

use super::request::{self, Builder, Draft};
use super::voice::Teller;
use crate::model::{
    CloseHow, DarkWhy, Exchange, ExchangeEnd, ExchangeId, GoAwaySeen, Kind, Request, ResetSeen, Side, Time,
};

/// HTTP/2 on a connection.
#[derive(Debug)]
pub(crate) struct H2 {
    connection: Connection<Arc<Request>>,
    ears: Ears,
}

/// What is needed to tell of a stream.
#[derive(Debug)]
struct Ears {
    builder: Builder,
    secure: bool,
    /// The name of stream 1: an upgraded connection asked it over HTTP/1 under its own name.
    first: ExchangeId,
    /// What the requests in the ledger weigh, and of these the ones that ended last: the ledger keeps some.
    requests: usize,
    ended: VecDeque<u32>,
}

/// Bytes that a request takes.
fn weight(request: &Request) -> usize {
    size_of::<Request>() + 2 * size_of::<usize>() + request.text()
}

impl H2 {
    pub(crate) fn new(secure: bool, joined: bool, limits: h2_tap::Limits) -> Self {
        let connection = if joined { Connection::midstream(limits) } else { Connection::new(limits) };
        Self { connection, ears: Ears::new(secure, 1) }
    }

    /// `Upgrade: h2c` was accepted: stream 1 carries that request.
    pub(crate) fn upgraded(exchange: Exchange, time: Time, limits: h2_tap::Limits) -> Self {
        Self {
            ears: Ears { requests: weight(&exchange.request), ..Ears::new(false, exchange.id) },
            connection: Connection::upgraded(limits, time.0, exchange.request),
        }
    }

    pub(crate) fn skippable(&self, side: Side) -> u64 {
        self.connection.skippable(side)
    }

    pub(crate) fn peek(&mut self, time: Time, side: Side, bytes: &[u8], teller: &mut Teller<'_>) -> Option<u64> {
        self.connection.peek(time.0, side, bytes, &mut Hearing { ears: &mut self.ears, teller, finishing: false })
    }

    pub(crate) fn data(
        &mut self,
        time: Time,
        side: Side,
        bytes: &[u8],
        record_start: bool,
        auth: &mut dyn FnMut() -> Auth,
        teller: &mut Teller<'_>,
    ) {
        self.connection.data(
            time.0,
            side,
            bytes,
            record_start,
            auth,
            &mut Hearing { ears: &mut self.ears, teller, finishing: false },
        );
        if teller.is_dark(side) && self.connection.in_sync(side) {
            teller.lit_http(time, side);
        }
    }

    pub(crate) fn skipped(&mut self, side: Side, bytes: u64) {
        self.connection.skipped(side, bytes);
    }

    /// Payload of a DATA frame whose header came was not given at all.
    pub(crate) fn body_skipped(&mut self, time: Time, side: Side, bytes: u64, teller: &mut Teller<'_>) {
        if !self.connection.in_sync(side) {
            // The search for the place takes it as a hole of known size.
            return self.gap(time, side, bytes, bytes, teller);
        }
        let mut left = bytes;
        if left > 0 && self.connection.skippable(side) == 0 {
            // The frame is padded, and its pad length was among what was not given. As though it were 0: the frame ends where it ends.
            self.data(time, side, &[0], false, &mut || Auth::Verified, teller);
            left -= 1;
        }
        self.connection.skipped(side, left);
        // Its END_STREAM is told at once.
        self.data(time, side, &[], false, &mut || Auth::Verified, teller);
    }

    pub(crate) fn gap(&mut self, time: Time, side: Side, min: u64, max: u64, teller: &mut Teller<'_>) {
        self.connection.gap(time.0, side, min, max, &mut Hearing { ears: &mut self.ears, teller, finishing: false });
    }

    pub(crate) fn finish(&mut self, time: Time, teller: &mut Teller<'_>) {
        self.connection.finish(time.0, &mut Hearing { ears: &mut self.ears, teller, finishing: true });
    }

    pub(crate) fn memory(&self) -> usize {
        self.connection.memory() + self.ears.requests + 4 * self.ears.ended.capacity()
    }
}

impl Ears {
    fn new(secure: bool, first: ExchangeId) -> Self {
        Self { builder: Builder::default(), secure, first, requests: 0, ended: VecDeque::new() }
    }

    /// A request has left the ledger, which may keep it among those that ended lately.
    fn let_go(&mut self, request: Option<&Arc<Request>>, kept: usize) {
        if let Some(request) = request {
            self.ended.push_back(u32::try_from(weight(request)).unwrap_or(u32::MAX));
        }
        while self.ended.len() > kept
            && let Some(oldest) = self.ended.pop_front()
        {
            self.requests = self.requests.saturating_sub(oldest as usize);
        }
    }
}

/// Hears the connection and tells of it.
struct Hearing<'a, 'b> {
    ears: &'a mut Ears,
    teller: &'a mut Teller<'b>,
    /// The transport has ended.
    finishing: bool,
}

impl Hearing<'_, '_> {
    /// Where in its life a stream is that `reset` ends: when a client does, that no response has begun is not certain while it has bytes of
    /// the server that were not seen yet.
    fn phase(&self, stream: &Stream<Arc<Request>>, reset: Option<Reset>) -> Phase {
        let by_client = reset.is_some_and(|reset| reset.by == h2_tap::Side::Client);
        match stream.phase {
            Phase::BeforeResponse if by_client && self.teller.voice.server_lags() => Phase::Unknown,
            phase => phase,
        }
    }

    const fn name(&self, stream: u32) -> ExchangeId {
        if stream == 1 { self.ears.first } else { stream }
    }
}

impl Observer for Hearing<'_, '_> {
    type Tag = Arc<Request>;

    const WANTED: Wanted = request::WANTED;

    fn request(&mut self, time: u64, stream: u32, kind: HeadKind, fields: &Fields<'_>, _: bool) -> Self::Tag {
        let mut draft = Draft::default();
        for (mark, value) in fields.marked() {
            if let Some(value) = value {
                draft.marked(mark, value);
            }
        }
        let request = self.ears.builder.build(draft, self.ears.secure);
        self.ears.requests = self.ears.requests.saturating_add(weight(&request));
        let exchange =
            Exchange { id: self.name(stream), request: Arc::clone(&request), pushed: kind == HeadKind::Promise };
        self.teller.tell(Time(time), Kind::Request(exchange));
        request
    }

    fn response(
        &mut self,
        time: u64,
        stream: &Stream<Self::Tag>,
        kind: HeadKind,
        _: h2_tap::Side,
        fields: &Fields<'_>,
    ) {
        let informational = match kind {
            HeadKind::Informational => true,
            HeadKind::Response => false,
            HeadKind::Request | HeadKind::Promise | HeadKind::Trailers => return,
        };
        let status = if informational { stream.informational } else { stream.status };
        let asks_windows_auth = status == Some(401)
            && fields.marked().any(|(mark, value)| {
                mark == request::WWW_AUTHENTICATE && value.is_some_and(super::http1::is_windows_auth)
            });
        let exchange = self.name(stream.id);
        self.teller.tell(Time(time), Kind::Response { exchange, status, informational, asks_windows_auth });
    }

    fn reset(&mut self, time: u64, reset: Reset, stream: Option<&Stream<Self::Tag>>) {
        let seen = ResetSeen {
            reset,
            phase: stream.map_or(Phase::Unknown, |stream| self.phase(stream, Some(reset))),
            request: stream.and_then(|stream| stream.tag.clone()),
            status: stream.and_then(|stream| stream.status),
            opened: stream.map(|stream| Time(stream.opened)),
        };
        self.teller.tell(Time(time), Kind::Reset(Box::new(seen)));
    }

    fn goaway(&mut self, time: u64, goaway: GoAway, open: usize) {
        self.teller.tell(Time(time), Kind::GoAway(Box::new(GoAwaySeen { goaway, open })));
    }

    fn end(&mut self, time: u64, stream: &Stream<Self::Tag>, end: End) {
        self.ears.let_go(stream.tag.as_ref(), self.teller.limits.h2.closed_streams);
        let phase = self.phase(stream, if let End::Reset(reset) = end { Some(reset) } else { None });
        let end = match end {
            End::Complete => ExchangeEnd::Complete,
            End::Reset(reset) => ExchangeEnd::Reset(reset),
            // A GOAWAY ends the connection for streams above its last while the transport is still open: that is its sender's way
            // to close (RFC 9113 section 6.8), and stands as such.
            End::Closed(Some(goaway)) if !self.finishing => {
                ExchangeEnd::Closed { how: self.teller.voice.how(CloseHow::Fin(goaway.by)), goaway: Some(goaway) }
            }
            End::Closed(goaway) => ExchangeEnd::Closed { how: self.teller.how(), goaway },
            End::Unknown => ExchangeEnd::Unseen,
        };
        self.teller.tell(
            Time(time),
            Kind::Ended {
                exchange: self.name(stream.id),
                end,
                status: stream.status,
                phase,
                known: stream.tag.is_some(),
            },
        );
    }

    fn anomaly(&mut self, time: u64, by: h2_tap::Side, anomaly: Anomaly) {
        let what = match anomaly {
            Anomaly::FrameTooLong => "h2_frame_too_long",
            Anomaly::FrameSize => "h2_frame_size",
            Anomaly::StreamId => "h2_stream_id",
            Anomaly::Padding => "h2_padding",
            Anomaly::Continuation => "h2_continuation",
            Anomaly::HeaderBlockTooLong => "h2_header_block_too_long",
            Anomaly::Hpack => "h2_hpack",
            Anomaly::LedgerFull => "h2_ledger_full",
            Anomaly::LostSync => {
                self.teller.dark(Time(time), Some(by), DarkWhy::H2LostSync);
                return;
            }
            _ => "h2_other",
        };
        self.teller.anomaly(Time(time), Some(by), what);
    }
}
