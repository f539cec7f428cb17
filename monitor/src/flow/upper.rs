use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use h2_tap::Auth;
use tls_tap::{Chunk, KeyStore};

use super::Events;
use super::http::Http;
use super::proxy;
use super::roles;
use super::sniff::{self, Guess};
use super::tls::{Beside, TlsLayer};
use super::voice::{Teller, Voice};
use crate::limits::Limits;
use crate::model::{CloseHow, DarkWhy, Endpoints, FlowKey, GapWhere, Kind, Protocol, Side, Time};

/// What every layer needs from outside.
pub(crate) struct Env<'a> {
    pub(crate) out: &'a mut Events,
    pub(crate) limits: &'a Arc<Limits>,
    pub(crate) keys: &'a KeyStore,
    pub(crate) beside: &'a mut Beside,
}

/// Everything above TCP on one connection.
#[derive(Debug)]
pub(crate) struct Upper<'m> {
    voice: Voice,
    key: FlowKey,
    client_is_low: Option<bool>,
    joined: bool,
    proxied: Option<SocketAddr>,
    opened: bool,
    /// Whether its payload is read, as it was told last.
    interest: bool,
    stage: Stage<'m>,
}

#[derive(Debug)]
enum Stage<'m> {
    /// What it is is not known yet.
    Sniffing(Sniffing<'m>),
    Tls(Box<TlsLayer<'m>>),
    Clear(Http),
    /// Neither TLS nor HTTP, or no room.
    Blind,
}

/// What waits until the protocol is known, in the order of arrival.
#[derive(Debug, Default)]
struct Sniffing<'m> {
    queue: VecDeque<Waiting<'m>>,
    bytes: usize,
    /// Bytes of a direction were lost in front of what waits: low end, high end.
    lost: [bool; 2],
    /// Parts that looked like nothing.
    failed: u32,
}

#[derive(Debug)]
struct Waiting<'m> {
    time: Time,
    from_low: bool,
    what: What<'m>,
}

#[derive(Debug)]
enum What<'m> {
    Data(Cow<'m, [u8]>),
    Gap(u64),
}

/// Parts that may wait.
const QUEUE: usize = 64;
/// Bytes that may wait.
const QUEUE_BYTES: usize = 16 << 10;
/// Bytes of a direction that are looked at: a PROXY header and what follows.
const LOOKED_AT: usize = 4_608;
/// Parts that look like nothing before a connection joined late is called dark.
const TRIES: u32 = 8;

/// What is to be done with the bytes that wait.
enum Decision {
    Wait,
    /// A PROXY header of this length.
    Proxy(usize, Option<SocketAddr>),
    /// They look like nothing: others may follow.
    Drop,
    Is(Is, Option<Side>),
}

enum Is {
    Tls { midstream: bool, skip: usize },
    H2 { joined: bool },
    Http1,
    Nothing,
}

impl<'m> Upper<'m> {
    /// `client_is_low`: known from a SYN. `joined`: no SYN was seen.
    pub(crate) fn new(voice: Voice, key: FlowKey, client_is_low: Option<bool>, joined: bool) -> Self {
        Self {
            voice,
            key,
            client_is_low,
            joined,
            proxied: None,
            opened: false,
            interest: true,
            stage: Stage::Sniffing(Sniffing::default()),
        }
    }

    pub(crate) const fn voice_mut(&mut self) -> &mut Voice {
        &mut self.voice
    }

    /// A SYN that came late says who the client is.
    pub(crate) fn client_is(&mut self, low: bool) {
        self.client_is_low.get_or_insert(low);
    }

    /// Who sends, where it is known.
    pub(crate) fn side(&self, from_low: bool) -> Side {
        roles::side(self.client_is_low.unwrap_or_else(|| roles::by_port(&self.key)), from_low)
    }

    /// The next bytes of a direction.
    pub(crate) fn data(&mut self, from_low: bool, time: Time, chunk: Chunk<'m, '_>, env: &mut Env<'_>) {
        if let Stage::Sniffing(_) = self.stage {
            self.sniff(from_low, time, chunk, env);
            return;
        }
        let side = self.side(from_low);
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        match &mut self.stage {
            Stage::Tls(tls) => tls.data(time, side, chunk, env.keys, env.beside, &mut teller),
            Stage::Clear(http) => {
                let tunnel = http.data(time, side, chunk.bytes(), true, &mut || Auth::Verified, &mut teller);
                if let Some(used) = tunnel {
                    self.stage = Stage::Sniffing(Sniffing::default());
                    let rest = chunk.slice(used..chunk.len());
                    if !rest.is_empty() {
                        self.sniff(from_low, time, rest, env);
                    }
                }
            }
            Stage::Blind => teller.unread(chunk.len() as u64),
            Stage::Sniffing(_) => {}
        }
    }

    /// Whether its payload is read, when that is not what was told last. `cut`: some was missing just now, so that it is told again.
    pub(crate) fn take_interest(&mut self, cut: bool) -> Option<bool> {
        let interest = match &self.stage {
            Stage::Sniffing(_) | Stage::Clear(_) => true,
            Stage::Tls(tls) => !tls.is_dead(),
            Stage::Blind => false,
        };
        let before = std::mem::replace(&mut self.interest, interest);
        (before != interest || (cut && interest)).then_some(interest)
    }

    /// The next bytes of a direction are lost.
    pub(crate) fn gap(&mut self, from_low: bool, time: Time, bytes: u64, at: GapWhere, env: &mut Env<'_>) {
        if at == GapWhere::Truncated && !self.interest {
            // Left out because nobody reads it: as good as seen.
            self.voice.add_unread(bytes);
            return;
        }
        let side = self.side(from_low);
        if let Stage::Sniffing(sniffing) = &mut self.stage {
            sniffing.lose(from_low, time, bytes);
            // The event needs the roles; the ports must do if nothing better came.
            self.open(time, env);
        }
        let side = if self.client_is_low.is_some() { self.side(from_low) } else { side };
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        teller.tell(time, Kind::Gap { by: side, bytes: Some(bytes), at });
        teller.unread(bytes);
        match &mut self.stage {
            Stage::Tls(tls) => tls.gap(time, side, bytes, env.keys, env.beside, &mut teller),
            Stage::Clear(http) => http.gap(time, side, bytes, bytes, &mut teller),
            Stage::Sniffing(_) | Stage::Blind => {}
        }
    }

    /// Tells the connection's ends, once.
    fn open(&mut self, time: Time, env: &mut Env<'_>) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        let low_is_client = *self.client_is_low.get_or_insert_with(|| roles::by_port(&self.key));
        let (low, high) = (FlowKey::address(self.key.low), FlowKey::address(self.key.high));
        let (client, server) = if low_is_client { (low, high) } else { (high, low) };
        let ends = Box::new(Endpoints { client: Some(client), server: Some(server), proxied: self.proxied });
        let opened = Kind::Opened { ends, joined: self.joined, plaintext: false };
        teller(&mut self.voice, env.out, env.limits).tell(time, opened);
    }

    fn sniff(&mut self, from_low: bool, time: Time, chunk: Chunk<'m, '_>, env: &mut Env<'_>) {
        let Stage::Sniffing(sniffing) = &mut self.stage else { return };
        if sniffing.queue.is_empty() {
            // Most connections are known by their first bytes, which then need no copy.
            match self.judge(from_low, chunk.bytes(), false) {
                Decision::Is(is, client) => {
                    let skip = if let Is::Tls { skip, .. } = is { skip } else { 0 };
                    self.become_it(is, client, from_low, time, env);
                    self.voice.add_unread(skip as u64);
                    self.data(from_low, time, chunk.slice(skip..chunk.len()), env);
                    return;
                }
                Decision::Drop => {
                    self.dropped(chunk.len() as u64, time, env);
                    return;
                }
                Decision::Wait | Decision::Proxy(..) => {}
            }
        }
        let Stage::Sniffing(sniffing) = &mut self.stage else { return };
        sniffing.bytes = sniffing.bytes.saturating_add(chunk.len());
        sniffing.queue.push_back(Waiting { time, from_low, what: What::Data(chunk.keep()) });
        self.judge_queue(from_low, time, env);
    }

    /// Looks again at what waits of a direction.
    fn judge_queue(&mut self, from_low: bool, time: Time, env: &mut Env<'_>) {
        loop {
            let Stage::Sniffing(sniffing) = &self.stage else { return };
            let full = sniffing.queue.len() >= QUEUE || sniffing.bytes >= QUEUE_BYTES;
            let prefix = sniffing.prefix(from_low);
            if prefix.is_empty() {
                return;
            }
            match self.judge(from_low, &prefix, full) {
                Decision::Wait => return,
                Decision::Proxy(length, source) => {
                    self.proxied = source;
                    self.client_is_low.get_or_insert(from_low);
                    if let Stage::Sniffing(sniffing) = &mut self.stage {
                        sniffing.take(from_low, length);
                    }
                }
                Decision::Drop => {
                    let Stage::Sniffing(sniffing) = &mut self.stage else { return };
                    let dropped = sniffing.take(from_low, usize::MAX);
                    self.dropped(dropped, time, env);
                    return;
                }
                Decision::Is(is, client) => {
                    self.become_it(is, client, from_low, time, env);
                    return;
                }
            }
        }
    }

    /// Bytes of a connection joined late that look like nothing.
    fn dropped(&mut self, bytes: u64, time: Time, env: &mut Env<'_>) {
        let Stage::Sniffing(sniffing) = &mut self.stage else { return };
        sniffing.failed = sniffing.failed.saturating_add(1);
        let failed = sniffing.failed;
        self.voice.add_unread(bytes);
        if failed == TRIES {
            self.open(time, env);
            teller(&mut self.voice, env.out, env.limits).dark(time, None, DarkWhy::NotHttp);
        }
    }

    fn judge(&self, from_low: bool, bytes: &[u8], full: bool) -> Decision {
        let Stage::Sniffing(sniffing) = &self.stage else { return Decision::Wait };
        let joined = self.joined || sniffing.lost(from_low);
        let other_lost = self.joined || sniffing.lost(!from_low);
        let side = self.client_is_low.map(|low| roles::side(low, from_low));
        // Who may speak first: the client, or anybody where its first bytes are gone.
        let may_decide = side != Some(Side::Server) || other_lost || joined || full;
        let sender = |as_side: Side| Some(if from_low { as_side } else { as_side.peer() });
        match sniff::wire(bytes) {
            Guess::Proxy(proxy::Found::Header { length, source })
                if self.proxied.is_none() && side != Some(Side::Server) =>
            {
                Decision::Proxy(length, source)
            }
            Guess::Tls(hello) if may_decide => {
                let midstream = joined && hello != Some(Side::Client);
                Decision::Is(Is::Tls { midstream, skip: 0 }, hello.and_then(sender))
            }
            Guess::Preface if side != Some(Side::Server) => {
                Decision::Is(Is::H2 { joined: false }, sender(Side::Client))
            }
            Guess::Request if side != Some(Side::Server) => Decision::Is(Is::Http1, sender(Side::Client)),
            Guess::Response if side != Some(Side::Client) && may_decide => {
                Decision::Is(Is::Http1, sender(Side::Server))
            }
            Guess::Frames if joined => Decision::Is(Is::H2 { joined: true }, None),
            Guess::Partial if !full => Decision::Wait,
            _ if joined => match sniff::record_inside(bytes) {
                Some(skip) => Decision::Is(Is::Tls { midstream: true, skip }, None),
                None => Decision::Drop,
            },
            _ if side == Some(Side::Client) || full => Decision::Is(Is::Nothing, None),
            _ => Decision::Wait,
        }
    }

    /// The protocol is known: tells who is who, and hands over what waits. `client`: the low end's side, where the bytes say it.
    fn become_it(&mut self, is: Is, low: Option<Side>, from_low: bool, time: Time, env: &mut Env<'_>) {
        if let Some(low) = low {
            self.client_is_low.get_or_insert(low == Side::Client);
        }
        let Stage::Sniffing(mut sniffing) = std::mem::replace(&mut self.stage, Stage::Blind) else { return };
        let time = sniffing.queue.front().map_or(time, |first| first.time);
        let failed = sniffing.failed >= TRIES;
        self.open(time, env);
        let side = self.side(from_low);
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        if failed && !matches!(is, Is::Nothing) {
            teller.lit_http(time, side);
        }
        self.stage = match is {
            Is::Tls { midstream, skip } => {
                let skipped = sniffing.take(from_low, skip);
                teller.unread(skipped);
                Stage::Tls(Box::new(TlsLayer::new(midstream, env.limits)))
            }
            Is::H2 { joined } => Stage::Clear(Http::clear_h2(time, joined, &mut teller)),
            Is::Http1 => Stage::Clear(Http::clear_http1(time, self.joined, &mut teller)),
            Is::Nothing => {
                teller.tell(time, Kind::Protocol(Protocol::Other));
                teller.dark(time, None, DarkWhy::NotHttp);
                Stage::Blind
            }
        };
        for waiting in sniffing.queue {
            match waiting.what {
                What::Data(Cow::Borrowed(bytes)) => {
                    self.data(waiting.from_low, waiting.time, Chunk::Lasting(bytes), env);
                }
                What::Data(Cow::Owned(bytes)) => {
                    self.data(waiting.from_low, waiting.time, Chunk::Passing(&bytes), env);
                }
                What::Gap(bytes) => self.lost_before(waiting.from_low, waiting.time, bytes, env),
            }
        }
    }

    /// Hands over a loss that was told already.
    fn lost_before(&mut self, from_low: bool, time: Time, bytes: u64, env: &mut Env<'_>) {
        let side = self.side(from_low);
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        match &mut self.stage {
            Stage::Tls(tls) => tls.gap(time, side, bytes, env.keys, env.beside, &mut teller),
            Stage::Clear(http) => http.gap(time, side, bytes, bytes, &mut teller),
            Stage::Sniffing(_) | Stage::Blind => {}
        }
    }

    /// Says something odd of TCP, where the connection has been told of.
    pub(crate) fn odd(&mut self, from_low: bool, time: Time, what: &'static str, env: &mut Env<'_>) {
        self.open(time, env);
        let side = self.side(from_low);
        teller(&mut self.voice, env.out, env.limits).anomaly(time, Some(side), what);
    }

    /// TCP has ended it so.
    pub(crate) fn ended(&mut self, time: Time, how: CloseHow, env: &mut Env<'_>) {
        if self.voice.ended(time, how) && self.opened && self.waits(env.keys) {
            teller(&mut self.voice, env.out, env.limits).tell(time, Kind::Ending(how));
        }
    }

    /// The server has ended its direction, and all of it was seen: nothing more can be answered.
    pub(crate) fn server_ended(&mut self, time: Time, env: &mut Env<'_>) {
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        match &mut self.stage {
            Stage::Tls(tls) if !tls.waits(env.keys) => tls.http_finish(time, &mut teller),
            Stage::Clear(http) => http.finish(time, true, &mut teller),
            Stage::Tls(_) | Stage::Sniffing(_) | Stage::Blind => {}
        }
    }

    /// Bytes are held back that a later key may open.
    pub(crate) fn waits(&self, keys: &KeyStore) -> bool {
        matches!(&self.stage, Stage::Tls(tls) if tls.waits(keys))
    }

    /// The connection is over: the last words. `orderly`: with a FIN of the server, and all in front of it was seen.
    pub(crate) fn close(&mut self, time: Time, ending: CloseHow, bytes: u64, orderly: bool, env: &mut Env<'_>) {
        if let Stage::Sniffing(sniffing) = &self.stage
            && (sniffing.bytes > 0 || sniffing.failed > 0)
        {
            let unread = sniffing.bytes as u64;
            self.open(time, env);
            let mut teller = teller(&mut self.voice, env.out, env.limits);
            teller.unread(unread);
            teller.dark(time, None, DarkWhy::TooLittle);
        }
        if !self.opened {
            return;
        }
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        teller.ending = ending;
        match &mut self.stage {
            Stage::Tls(tls) => tls.finish(time, orderly, env.keys, env.beside, &mut teller),
            Stage::Clear(http) => http.finish(teller.voice.left(time), orderly, &mut teller),
            Stage::Sniffing(_) | Stage::Blind => {}
        }
        let how = teller.how();
        let unread = teller.voice.unread().min(bytes);
        teller.tell(time, Kind::Closed { how, bytes, unread });
    }

    /// New key material for this connection.
    pub(crate) fn retry(&mut self, env: &mut Env<'_>) {
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        if let Stage::Tls(tls) = &mut self.stage {
            tls.retry(env.keys, env.beside, &mut teller);
        }
    }

    /// The search has found a secret of this connection.
    pub(crate) fn unlock(&mut self, found: tls_tap::late::Found, env: &mut Env<'_>) {
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        if let Stage::Tls(tls) = &mut self.stage {
            tls.unlock(found, env.keys, env.beside, &mut teller);
        }
    }

    /// There is no room for what is held back: it will not be read.
    pub(crate) fn give_up_held(&mut self, time: Time, env: &mut Env<'_>) {
        let mut teller = teller(&mut self.voice, env.out, env.limits);
        if let Stage::Tls(tls) = &mut self.stage {
            teller.dark(time, None, DarkWhy::Tls(tls_tap::Dark::HeldTooMuch));
            tls.finish(time, false, env.keys, env.beside, &mut teller);
            self.stage = Stage::Blind;
        }
    }

    pub(crate) fn tls(&mut self) -> Option<&mut TlsLayer<'m>> {
        match &mut self.stage {
            Stage::Tls(tls) => Some(tls),
            Stage::Sniffing(_) | Stage::Clear(_) | Stage::Blind => None,
        }
    }

    /// Encrypted bytes that are held back.
    pub(crate) fn held(&self) -> usize {
        match &self.stage {
            Stage::Tls(tls) => tls.held(),
            Stage::Sniffing(_) | Stage::Clear(_) | Stage::Blind => 0,
        }
    }

    /// Memory of TLS and of HTTP.
    pub(crate) fn memory(&self) -> (usize, usize) {
        match &self.stage {
            Stage::Tls(tls) => tls.memory(),
            Stage::Clear(http) => (0, http.memory()),
            Stage::Sniffing(sniffing) => (sniffing.bytes, sniffing.queue.capacity() * size_of::<Waiting<'_>>()),
            Stage::Blind => (0, 0),
        }
    }
}

fn teller<'a>(voice: &'a mut Voice, out: &'a mut Events, limits: &'a Arc<Limits>) -> Teller<'a> {
    Teller { voice, out, limits, ending: CloseHow::InputEnded }
}

impl<'m> Sniffing<'m> {
    const fn lost(&self, from_low: bool) -> bool {
        let [low, high] = self.lost;
        if from_low { low } else { high }
    }

    fn lose(&mut self, from_low: bool, time: Time, bytes: u64) {
        let [low, high] = &mut self.lost;
        *(if from_low { low } else { high }) = true;
        if self.queue.len() < QUEUE {
            self.queue.push_back(Waiting { time, from_low, what: What::Gap(bytes) });
        }
    }

    /// The first bytes of a direction behind its last gap.
    fn prefix(&self, from_low: bool) -> Vec<u8> {
        let mut prefix = Vec::new();
        for waiting in self.queue.iter().filter(|waiting| waiting.from_low == from_low) {
            match &waiting.what {
                What::Gap(_) => prefix.clear(),
                What::Data(data) => {
                    let room = LOOKED_AT.saturating_sub(prefix.len());
                    prefix.extend_from_slice(data.get(..room).unwrap_or(data));
                }
            }
        }
        prefix
    }

    /// Takes bytes off the front of a direction; returns how many.
    fn take(&mut self, from_low: bool, bytes: usize) -> u64 {
        let mut left = bytes;
        for waiting in self.queue.iter_mut().filter(|waiting| waiting.from_low == from_low) {
            let What::Data(data) = &mut waiting.what else { continue };
            let here = left.min(data.len());
            left -= here;
            match data {
                Cow::Borrowed(bytes) => *bytes = bytes.get(here..).unwrap_or_default(),
                Cow::Owned(bytes) => {
                    bytes.drain(..here);
                }
            }
            self.bytes = self.bytes.saturating_sub(here);
        }
        self.queue.retain(|waiting| !matches!(&waiting.what, What::Data(data) if data.is_empty()));
        (bytes - left) as u64
    }
}
