use h2_tap::Auth;

use super::h2::H2;
use super::http1::{Http1, Turn};
use super::sniff::{self, Guess};
use super::voice::Teller;
use crate::model::{DarkWhy, Kind, Protocol, Side, Time};

/// Bytes that are kept of a direction while its protocol is not known.
const PREFIX: usize = 64;
/// Parts that are tried as a message's start before a joined connection is called dark.
const TRIES: u32 = 8;

/// HTTP of either version inside TLS or in the clear.
#[derive(Debug)]
pub(crate) struct Http {
    secure: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Not known yet: no ALPN, or joined late.
    Undecided(Box<Undecided>),
    H2(Box<H2>),
    Http1(Box<Http1>),
    /// Neither, from here on.
    Tunnel,
}

#[derive(Debug)]
struct Undecided {
    joined: bool,
    client: Vec<u8>,
    server: Vec<u8>,
    failed: u32,
}

impl Http {
    /// Inside TLS: ALPN or the plaintext will say which.
    pub(crate) fn undecided(joined: bool) -> Self {
        let undecided = Undecided { joined, client: Vec::new(), server: Vec::new(), failed: 0 };
        Self { secure: true, stage: Stage::Undecided(Box::new(undecided)) }
    }

    /// HTTP/2 in the clear.
    pub(crate) fn clear_h2(time: Time, joined: bool, teller: &mut Teller<'_>) -> Self {
        let mut this = Self { secure: false, stage: Stage::Tunnel };
        this.decide_h2(time, joined, teller);
        this
    }

    /// HTTP/1 in the clear.
    pub(crate) fn clear_http1(time: Time, joined: bool, teller: &mut Teller<'_>) -> Self {
        let mut this = Self { secure: false, stage: Stage::Tunnel };
        this.decide_http1(time, joined, teller);
        this
    }

    fn decide_h2(&mut self, time: Time, joined: bool, teller: &mut Teller<'_>) {
        let protocol = if self.secure { Protocol::H2 } else { Protocol::H2c };
        teller.tell(time, Kind::Protocol(protocol));
        self.stage = Stage::H2(Box::new(H2::new(self.secure, joined, teller.limits.h2)));
    }

    fn decide_http1(&mut self, time: Time, joined: bool, teller: &mut Teller<'_>) {
        teller.tell(time, Kind::Protocol(Protocol::Http1));
        self.stage = Stage::Http1(Box::new(Http1::new(self.secure, joined)));
    }

    /// The ALPN protocol that the handshake settled.
    pub(crate) fn alpn(&mut self, time: Time, protocol: &str, teller: &mut Teller<'_>) {
        let Stage::Undecided(undecided) = &self.stage else { return };
        let joined = undecided.joined;
        match protocol {
            "h2" => self.decide_h2(time, joined, teller),
            "http/1.1" | "http/1.0" => self.decide_http1(time, joined, teller),
            _ => {
                teller.tell(time, Kind::Protocol(Protocol::Other));
                self.stage = Stage::Tunnel;
            }
        }
    }

    /// How many of this side's coming bytes are not needed.
    pub(crate) fn skippable(&self, side: Side) -> u64 {
        match &self.stage {
            Stage::Undecided(_) => 0,
            Stage::H2(h2) => h2.skippable(side),
            Stage::Http1(http1) => http1.skippable(side),
            Stage::Tunnel => u64::MAX,
        }
    }

    /// Looks at bytes that are not authenticated yet.
    pub(crate) fn peek(&mut self, time: Time, side: Side, bytes: &[u8], teller: &mut Teller<'_>) -> Option<u64> {
        match &mut self.stage {
            Stage::H2(h2) => h2.peek(time, side, bytes, teller),
            Stage::Undecided(_) | Stage::Http1(_) | Stage::Tunnel => None,
        }
    }

    /// The next bytes of a side. `Some(n)`: in the clear, a tunnel by CONNECT begins behind `n` of them.
    pub(crate) fn data(
        &mut self,
        time: Time,
        side: Side,
        bytes: &[u8],
        record_start: bool,
        auth: &mut dyn FnMut() -> Auth,
        teller: &mut Teller<'_>,
    ) -> Option<usize> {
        match &mut self.stage {
            Stage::H2(h2) => h2.data(time, side, bytes, record_start, auth, teller),
            Stage::Http1(http1) => match http1.data(time, side, bytes, teller) {
                Turn::Same => {}
                Turn::H2c(exchange, used) => {
                    // Requests behind the upgraded one get no answer.
                    http1.finish(time, false, teller);
                    teller.tell(time, Kind::Protocol(Protocol::H2c));
                    self.stage = Stage::H2(Box::new(H2::upgraded(exchange, time, teller.limits.h2)));
                    let rest = bytes.get(used..).unwrap_or_default();
                    if !rest.is_empty() {
                        self.data(time, side, rest, true, auth, teller);
                    }
                }
                Turn::Connected(used) if !self.secure => {
                    http1.finish(time, false, teller);
                    return Some(used);
                }
                turn @ (Turn::Connected(_) | Turn::Upgraded) => {
                    http1.finish(time, false, teller);
                    let why = if matches!(turn, Turn::Upgraded) { DarkWhy::Upgraded } else { DarkWhy::Http1 };
                    teller.dark(time, None, why);
                    self.stage = Stage::Tunnel;
                }
            },
            Stage::Undecided(undecided) => {
                let joined = undecided.joined;
                let prefix = undecided.prefix(side);
                let kept = std::mem::take(prefix);
                let whole = [kept.as_slice(), bytes].concat();
                match sniff::plain(&whole) {
                    Guess::Preface => self.decide_h2(time, false, teller),
                    Guess::Frames => self.decide_h2(time, joined, teller),
                    Guess::Request | Guess::Response => self.decide_http1(time, joined, teller),
                    Guess::Partial if whole.len() < PREFIX => {
                        *prefix = whole;
                        return None;
                    }
                    _ => {
                        undecided.failed += 1;
                        if !joined {
                            teller.tell(time, Kind::Protocol(Protocol::Other));
                            self.stage = Stage::Tunnel;
                        } else if undecided.failed == TRIES {
                            teller.dark(time, None, DarkWhy::NotHttp);
                        }
                        return None;
                    }
                }
                teller.lit_http(time, side);
                return self.data(time, side, &whole, record_start || !kept.is_empty(), auth, teller);
            }
            Stage::Tunnel => {}
        }
        None
    }

    /// Bytes that were passed over.
    pub(crate) fn skipped(&mut self, time: Time, side: Side, bytes: u64, teller: &mut Teller<'_>) {
        match &mut self.stage {
            Stage::H2(h2) => h2.skipped(side, bytes),
            Stage::Http1(http1) => http1.skipped(time, side, bytes, teller),
            Stage::Undecided(_) | Stage::Tunnel => {}
        }
    }

    /// Payload of a DATA frame whose header came was not given at all.
    pub(crate) fn body_skipped(&mut self, time: Time, side: Side, bytes: u64, teller: &mut Teller<'_>) {
        match &mut self.stage {
            Stage::H2(h2) => h2.body_skipped(time, side, bytes, teller),
            Stage::Undecided(_) | Stage::Http1(_) | Stage::Tunnel => self.skipped(time, side, bytes, teller),
        }
    }

    /// Bytes were lost: between `min` and `max`.
    pub(crate) fn gap(&mut self, time: Time, side: Side, min: u64, max: u64, teller: &mut Teller<'_>) {
        match &mut self.stage {
            Stage::H2(h2) => h2.gap(time, side, min, max, teller),
            Stage::Http1(http1) => http1.gap(time, side, min, max, teller),
            Stage::Undecided(undecided) => {
                undecided.prefix(side).clear();
                undecided.joined = true;
            }
            Stage::Tunnel => {}
        }
    }

    /// The connection is over, or the server has ended its direction. `orderly`: with a FIN, and all in front of it was seen.
    pub(crate) fn finish(&mut self, time: Time, orderly: bool, teller: &mut Teller<'_>) {
        match &mut self.stage {
            Stage::H2(h2) => h2.finish(time, teller),
            Stage::Http1(http1) => http1.finish(time, orderly, teller),
            Stage::Undecided(undecided) => {
                if undecided.failed > 0 || !undecided.client.is_empty() || !undecided.server.is_empty() {
                    teller.dark(time, None, DarkWhy::TooLittle);
                }
            }
            Stage::Tunnel => {}
        }
    }

    pub(crate) fn memory(&self) -> usize {
        match &self.stage {
            Stage::H2(h2) => h2.memory(),
            Stage::Http1(http1) => http1.memory(),
            Stage::Undecided(_) => size_of::<Undecided>() + 2 * PREFIX,
            Stage::Tunnel => 0,
        }
    }
}

impl Undecided {
    const fn prefix(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}
