//! HTTP/1 as it goes by (RFC 9112): which request, which response, and where each ends.

mod framing;
mod head;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::framing::{Chunked, Framing, Says};
use self::head::{Gathered, Head};
use super::request::{Builder, Draft};
use super::voice::Teller;
use crate::model::{DarkWhy, Exchange, ExchangeEnd, ExchangeId, Kind, Phase, Request, Side, Time};

/// Requests that may wait for their responses on one connection (pipelining).
const PIPELINED: usize = 256;

/// HTTP/1 on a connection.
#[derive(Debug)]
pub(crate) struct Http1 {
    secure: bool,
    builder: Builder,
    client: Direction,
    server: Direction,
    waiting: VecDeque<Waiting>,
    next: ExchangeId,
    /// The exchange whose response's body goes by.
    answering: Option<Answering>,
}

#[derive(Debug, Default)]
struct Direction {
    at: At,
    head: Head,
}

/// Where in a message a direction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// In a header section, or in front of one.
    #[default]
    Head,
    /// So many bytes of a body are to come.
    Body(u64),
    /// In a chunked body.
    Chunked(Chunked),
    /// In a body that ends with the connection.
    UntilClose,
    /// The place was lost: the next bytes that begin like a message are one.
    Lost,
}

/// A request that has no final response yet.
#[derive(Debug)]
struct Waiting {
    exchange: Exchange,
    method: Method,
    /// Asked for `Upgrade: h2c`.
    h2c: bool,
    /// Its response may have been in what was lost.
    doubtful: bool,
}

/// What of a method the framing of the response depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Head,
    Connect,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Answering {
    id: ExchangeId,
    status: u16,
    known: bool,
}

/// What the connection is after the bytes.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Still HTTP/1.
    Same,
    /// HTTP/2 by upgrade: this request is its stream 1, and so many of the bytes were HTTP/1.
    H2c(Exchange, usize),
    /// A tunnel by CONNECT: behind so many of the bytes it may hold anything.
    Connected(usize),
    /// Something else.
    Tunnel,
}

/// `Negotiate` or `NTLM` is offered.
pub(crate) fn is_windows_auth(challenge: &[u8]) -> bool {
    challenge.split(|&byte| byte == b',').any(|part| {
        let scheme = part.trim_ascii().split(|&byte| byte == b' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"negotiate") || scheme.eq_ignore_ascii_case(b"ntlm")
    })
}

impl Http1 {
    /// `joined`: its start was not seen.
    pub(crate) fn new(secure: bool, joined: bool) -> Self {
        let direction = || Direction { at: if joined { At::Lost } else { At::Head }, head: Head::default() };
        Self {
            secure,
            builder: Builder::default(),
            client: direction(),
            server: direction(),
            waiting: VecDeque::new(),
            next: 1,
            answering: None,
        }
    }

    /// How many of this side's coming bytes are not needed.
    pub(crate) const fn skippable(&self, side: Side) -> u64 {
        match self.direction(side).at {
            At::Body(left) | At::Chunked(Chunked::Data(left)) => left,
            At::UntilClose => u64::MAX,
            At::Head | At::Chunked(_) | At::Lost => 0,
        }
    }

    const fn direction(&self, side: Side) -> &Direction {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    const fn direction_mut(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Bytes that were skipped, as [`skippable`](Self::skippable) allowed.
    pub(crate) fn skipped(&mut self, time: Time, side: Side, bytes: u64, teller: &mut Teller<'_>) {
        self.pass(time, side, bytes, teller);
    }

    /// The next bytes of a side.
    pub(crate) fn data(&mut self, time: Time, side: Side, bytes: &[u8], teller: &mut Teller<'_>) -> Turn {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.direction(side).at {
                At::Head => {
                    let (taken, turn) = self.head(time, side, rest, teller);
                    at += taken;
                    match turn {
                        Turn::Same => {}
                        Turn::H2c(exchange, _) => return Turn::H2c(exchange, at),
                        Turn::Connected(_) => return Turn::Connected(at),
                        Turn::Tunnel => return Turn::Tunnel,
                    }
                }
                At::Body(left) => {
                    let here = left.min(rest.len() as u64);
                    self.pass(time, side, here, teller);
                    at += usize::try_from(here).unwrap_or(rest.len());
                }
                At::Chunked(mut chunked) => {
                    at += chunked.take(rest);
                    self.direction_mut(side).at = At::Chunked(chunked);
                    match chunked {
                        Chunked::End => self.body_end(time, side, teller),
                        Chunked::Broken => {
                            teller.anomaly(time, Some(side), "http1_chunked");
                            self.lose(time, side, teller);
                            break;
                        }
                        _ => {}
                    }
                }
                At::UntilClose => break,
                At::Lost => {
                    if !begins(side, rest) {
                        break;
                    }
                    self.direction_mut(side).at = At::Head;
                    teller.lit_http(time, side);
                }
            }
        }
        Turn::Same
    }

    /// Bytes were lost. A loss inside a body of known length is none for the ledger.
    pub(crate) fn gap(&mut self, time: Time, side: Side, min: u64, max: u64, teller: &mut Teller<'_>) {
        match self.direction(side).at {
            At::Body(left) | At::Chunked(Chunked::Data(left)) if min == max && max <= left => {
                self.pass(time, side, max, teller);
            }
            At::UntilClose => {}
            _ => self.lose(time, side, teller),
        }
    }

    /// Passes bytes of a body over.
    fn pass(&mut self, time: Time, side: Side, bytes: u64, teller: &mut Teller<'_>) {
        let direction = self.direction_mut(side);
        match direction.at {
            At::Body(left) if left <= bytes => self.body_end(time, side, teller),
            At::Body(left) => direction.at = At::Body(left - bytes),
            At::Chunked(Chunked::Data(left)) if left <= bytes => direction.at = At::Chunked(Chunked::DataEnd),
            At::Chunked(Chunked::Data(left)) => direction.at = At::Chunked(Chunked::Data(left - bytes)),
            _ => {}
        }
    }

    /// The place in a direction is lost. What was open may have ended in what is missing.
    fn lose(&mut self, time: Time, side: Side, teller: &mut Teller<'_>) {
        let direction = self.direction_mut(side);
        direction.at = At::Lost;
        direction.head.clear();
        if side == Side::Server {
            match (self.answering.take(), self.waiting.make_contiguous()) {
                // The only request that waits: a response that comes next is its own, unless another request comes first.
                (None, [waiting]) => {
                    waiting.doubtful = true;
                    return;
                }
                (Some(answering), _) => end(time, answering, ExchangeEnd::Unseen, teller),
                (None, _) => {}
            }
            while let Some(waiting) = self.waiting.pop_front() {
                end_waiting(time, &waiting, ExchangeEnd::Unseen, teller);
            }
        }
    }

    fn head(&mut self, time: Time, side: Side, bytes: &[u8], teller: &mut Teller<'_>) -> (usize, Turn) {
        // Empty lines may stand in front of a message (RFC 9112 section 2.2).
        if self.direction(side).head.is_empty()
            && let Some(blank) = bytes.iter().position(|&byte| byte != b'\r' && byte != b'\n').or(Some(bytes.len()))
            && blank > 0
        {
            return (blank, Turn::Same);
        }
        let cap = teller.limits.http1_head;
        let mut head = std::mem::take(&mut self.direction_mut(side).head);
        match head.gather(bytes, cap) {
            Gathered::Partial => {
                self.direction_mut(side).head = head;
                (bytes.len(), Turn::Same)
            }
            Gathered::TooLong => {
                teller.anomaly(time, Some(side), "http1_head_too_long");
                self.lose(time, side, teller);
                (bytes.len(), Turn::Same)
            }
            Gathered::Whole(taken) => {
                let section = head.section(bytes.get(..taken).unwrap_or_default());
                let turn = match side {
                    Side::Client => self.request(time, section, teller),
                    Side::Server => self.response(time, section, taken, teller),
                };
                let Some(turn) = turn else {
                    teller.anomaly(time, Some(side), "http1_head");
                    teller.dark(time, Some(side), DarkWhy::Http1);
                    self.lose(time, side, teller);
                    return (bytes.len(), Turn::Same);
                };
                (taken, turn)
            }
        }
    }

    fn request(&mut self, time: Time, section: &[u8], teller: &mut Teller<'_>) -> Option<Turn> {
        let (secure, builder) = (self.secure, &mut self.builder);
        let (request, says, method, h2c) = head::request(section, |method, target, fields| {
            let mut draft = Draft::default();
            (draft.method, draft.path) = (Some(method), Some(target));
            let (mut says, mut h2c) = (Says::default(), false);
            for field in fields {
                let mut room = [0; 32];
                let Some(name) = head::lower(field.name, &mut room) else { continue };
                says.field(name, field.value);
                h2c |= name == b"upgrade" && list_has(field.value, b"h2c");
                draft.field(name, field.value);
            }
            draft.scheme = Some(if secure { b"https" } else { b"http" });
            let method = match method {
                b"HEAD" => Method::Head,
                b"CONNECT" => Method::Connect,
                _ => Method::Other,
            };
            (builder.build(draft, secure), says, method, h2c && !secure)
        })?;
        if says.wrong {
            teller.anomaly(time, Some(Side::Client), "http1_content_length");
        }
        let exchange = Exchange { id: self.name(), request, pushed: false };
        teller.tell(time, Kind::Request(exchange.clone()));
        if self.waiting.len() >= PIPELINED
            && let Some(oldest) = self.waiting.pop_front()
        {
            teller.anomaly(time, Some(Side::Client), "http1_pipeline_full");
            end_waiting(time, &oldest, ExchangeEnd::Unseen, teller);
        }
        self.waiting.push_back(Waiting { exchange, method, h2c, doubtful: false });
        self.client.at = body(says.request());
        Some(Turn::Same)
    }

    fn response(&mut self, time: Time, section: &[u8], taken: usize, teller: &mut Teller<'_>) -> Option<Turn> {
        let (status, says, asks_windows_auth, h2c) = head::response(section, |status, fields| {
            let (mut says, mut windows, mut h2c) = (Says::default(), false, false);
            for field in fields {
                let mut room = [0; 32];
                let Some(name) = head::lower(field.name, &mut room) else { continue };
                says.field(name, field.value);
                windows |= status == 401 && name == b"www-authenticate" && is_windows_auth(field.value);
                h2c |= name == b"upgrade" && list_has(field.value, b"h2c");
            }
            (status, says, windows, h2c)
        })?;
        let informational = (100..200).contains(&status);
        let final_one = !informational || status == 101;
        if self.waiting.len() > 1
            && let Some(unseen) = self.waiting.pop_front_if(|waiting| waiting.doubtful)
        {
            end_waiting(time, &unseen, ExchangeEnd::Unseen, teller);
        }
        let waiting = if final_one { self.waiting.pop_front() } else { None };
        let id = match (&waiting, self.waiting.front()) {
            (Some(waiting), _) => waiting.exchange.id,
            (None, Some(front)) if !final_one => front.exchange.id,
            // A response to a request that was not seen. A 1xx without one stands for nothing that ends.
            _ if final_one => self.name(),
            _ => return Some(Turn::Same),
        };
        teller.tell(time, Kind::Response { exchange: id, status: Some(status), informational, asks_windows_auth });
        if !final_one {
            return Some(Turn::Same);
        }
        if says.wrong {
            teller.anomaly(time, Some(Side::Server), "http1_content_length");
        }
        let (method, asked_h2c) = waiting.as_ref().map_or((Method::Other, false), |w| (w.method, w.h2c));
        let answering = Answering { id, status, known: waiting.is_some() };
        if status == 101 {
            if h2c
                && asked_h2c
                && let Some(waiting) = waiting
            {
                return Some(Turn::H2c(waiting.exchange, taken));
            }
            end(time, answering, ExchangeEnd::Complete, teller);
            return Some(Turn::Tunnel);
        }
        if method == Method::Connect && (200..300).contains(&status) {
            end(time, answering, ExchangeEnd::Complete, teller);
            return Some(Turn::Connected(taken));
        }
        self.answering = Some(answering);
        self.server.at = body(says.response(status, method == Method::Head));
        if self.server.at == At::Head {
            self.body_end(time, Side::Server, teller);
        }
        Some(Turn::Same)
    }

    fn body_end(&mut self, time: Time, side: Side, teller: &mut Teller<'_>) {
        self.direction_mut(side).at = At::Head;
        if side == Side::Server
            && let Some(answering) = self.answering.take()
        {
            end(time, answering, ExchangeEnd::Complete, teller);
        }
    }

    const fn name(&mut self) -> ExchangeId {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        id
    }

    /// The connection is over. `orderly`: the server ended its direction with a FIN and all of it was seen.
    pub(crate) fn finish(&mut self, time: Time, orderly: bool, teller: &mut Teller<'_>) {
        let closed = ExchangeEnd::Closed { how: teller.how(), goaway: None };
        if let Some(answering) = self.answering.take() {
            let complete = orderly && self.server.at == At::UntilClose;
            end(time, answering, if complete { ExchangeEnd::Complete } else { closed }, teller);
        }
        while let Some(waiting) = self.waiting.pop_front() {
            end_waiting(time, &waiting, if waiting.doubtful { ExchangeEnd::Unseen } else { closed }, teller);
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.client.head.memory()
            + self.server.head.memory()
            + self.waiting.capacity() * (size_of::<Waiting>() + size_of::<Request>())
    }
}

const fn body(framing: Framing) -> At {
    match framing {
        Framing::Length(0) => At::Head,
        Framing::Length(length) => At::Body(length),
        Framing::Chunked => At::Chunked(Chunked::START),
        Framing::UntilClose => At::UntilClose,
    }
}

fn end(time: Time, of: Answering, end: ExchangeEnd, teller: &mut Teller<'_>) {
    teller.tell(
        time,
        Kind::Ended { exchange: of.id, end, status: Some(of.status), phase: Phase::InBody, known: of.known },
    );
}

fn end_waiting(time: Time, waiting: &Waiting, end: ExchangeEnd, teller: &mut Teller<'_>) {
    teller.tell(
        time,
        Kind::Ended { exchange: waiting.exchange.id, end, status: None, phase: Phase::BeforeResponse, known: true },
    );
}

/// A comma-separated list has a word.
fn list_has(list: &[u8], word: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}

fn begins(side: Side, bytes: &[u8]) -> bool {
    match side {
        Side::Client => super::sniff::request_line(bytes) == super::sniff::Like::Yes,
        Side::Server => bytes.starts_with(b"HTTP/1."),
    }
}
