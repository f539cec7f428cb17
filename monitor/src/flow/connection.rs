use super::reassembly::{Ordered, Payload, Reassembly};
use super::upper::{Env, Upper};
use super::voice::Voice;
use crate::model::{CloseHow, ConnectionId, FlowKey, GapWhere, Segment, Side, TcpFlags, Time};
use tls_tap::Chunk;

/// What is known of a connection before it carries payload.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    /// Sequence number of the first payload byte from the low and the high end, where a SYN said it.
    pub(crate) low: Option<u32>,
    pub(crate) high: Option<u32>,
    /// The low end is the client, where a SYN said it.
    pub(crate) client_is_low: Option<bool>,
    /// A packet of the low and of the high end was seen.
    heard: [bool; 2],
}

impl Start {
    /// Where the sender's direction begins, and its peer's.
    pub(crate) const fn of(&self, from_low: bool) -> (Option<u32>, Option<u32>) {
        if from_low { (self.low, self.high) } else { (self.high, self.low) }
    }

    /// The end of which no packet was seen: whether it is the low one.
    pub(crate) const fn silent(&self) -> Option<bool> {
        match self.heard {
            [false, true] => Some(true),
            [true, false] => Some(false),
            _ => None,
        }
    }

    /// Takes what a SYN says, and what the acknowledgment that ends the handshake says of a SYN that was not seen.
    pub(crate) fn note(&mut self, segment: &Segment<'_>) {
        let [low, high] = &mut self.heard;
        *(if segment.from_low { low } else { high }) = true;
        let (own, peer) =
            if segment.from_low { (&mut self.low, &mut self.high) } else { (&mut self.high, &mut self.low) };
        if !segment.flags.has(TcpFlags::SYN) {
            let first = segment.flags.has(TcpFlags::ACK) && !segment.flags.has(TcpFlags::RST);
            if first && *own == Some(segment.seq) {
                // It has sent nothing yet, and so has the other side: it speaks second.
                peer.get_or_insert(segment.ack);
            }
            return;
        }
        *own = Some(segment.seq.wrapping_add(1));
        let answers = segment.flags.has(TcpFlags::ACK);
        if answers {
            peer.get_or_insert(segment.ack);
        }
        self.client_is_low.get_or_insert(segment.from_low != answers);
    }

    /// A segment without payload shows that payload was lost.
    pub(crate) fn lost(&self, segment: &Segment<'_>) -> bool {
        let (own, peer) = self.of(segment.from_low);
        let beyond = |seq: u32, first: u32| seq.wrapping_sub(first).cast_signed();
        let quiet = !segment.flags.has(TcpFlags::SYN | TcpFlags::RST);
        // A FIN takes one sequence number.
        quiet && own.is_some_and(|own| beyond(segment.seq, own) > 1)
            || quiet && segment.flags.has(TcpFlags::ACK) && peer.is_some_and(|peer| beyond(segment.ack, peer) > 1)
    }
}

/// A connection that carries payload.
#[derive(Debug)]
pub(crate) struct Connection<'m> {
    low: Reassembly<'m>,
    high: Reassembly<'m>,
    upper: Upper<'m>,
    /// Payload bytes, those that are lost included.
    bytes: u64,
    /// The low end sent the first FIN.
    first_fin: Option<bool>,
    server_ended: bool,
    /// It is over, and waits for a key only.
    over: Option<Over>,
}

#[derive(Clone, Copy, Debug)]
struct Over {
    time: Time,
    ending: CloseHow,
    orderly: bool,
}

/// What a segment did to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It goes on.
    Open,
    /// TCP ended it.
    Ended,
}

/// Where a direction's bytes go.
struct Lane<'a, 'e, 'm> {
    upper: &'a mut Upper<'m>,
    bytes: &'a mut u64,
    env: &'a mut Env<'e>,
    from_low: bool,
}

impl<'m> Ordered<'m> for Lane<'_, '_, 'm> {
    fn data(&mut self, time: Time, chunk: Chunk<'m, '_>) {
        *self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        self.upper.data(self.from_low, time, chunk, self.env);
    }

    fn gap(&mut self, time: Time, bytes: u64, at: GapWhere) {
        *self.bytes = self.bytes.saturating_add(bytes);
        self.upper.gap(self.from_low, time, bytes, at, self.env);
    }
}

impl<'m> Connection<'m> {
    pub(crate) fn new(id: ConnectionId, key: FlowKey, start: Start) -> Self {
        let joined = start.client_is_low.is_none();
        Self {
            low: Reassembly::new(start.low),
            high: Reassembly::new(start.high),
            upper: Upper::new(Voice::new(id), key, start.client_is_low, joined),
            bytes: 0,
            first_fin: None,
            server_ended: false,
            over: None,
        }
    }

    /// The direction of a sender and what is above it.
    const fn lane<'a, 'e>(
        &'a mut self,
        from_low: bool,
        env: &'a mut Env<'e>,
    ) -> (&'a mut Reassembly<'m>, Lane<'a, 'e, 'm>) {
        let lane = Lane { upper: &mut self.upper, bytes: &mut self.bytes, env, from_low };
        (if from_low { &mut self.low } else { &mut self.high }, lane)
    }

    /// A segment of this connection.
    pub(crate) fn segment(&mut self, segment: &Segment<'m>, chunk: Chunk<'m, '_>, env: &mut Env<'_>) -> Life {
        let Segment { time, from_low, flags, .. } = *segment;
        let syn = flags.has(TcpFlags::SYN);
        if flags.has(TcpFlags::ACK) {
            let (peer, mut lane) = self.lane(!from_low, env);
            if syn && peer.unseen() {
                peer.begins(segment.ack);
            }
            peer.overdue(time, &mut lane);
            peer.acknowledged(time, segment.ack, &mut lane);
        }
        let server_is_low = self.upper.side(true) == Side::Server;
        let lags = if server_is_low { self.low.lags() } else { self.high.lags() };
        self.upper.voice_mut().set_server_lags(lags);
        let (own, mut lane) = self.lane(from_low, env);
        own.overdue(time, &mut lane);
        let seq = if syn { segment.seq.wrapping_add(1) } else { segment.seq };
        if syn {
            own.begins(seq);
            lane.upper.client_is(from_low != flags.has(TcpFlags::ACK));
        }
        if flags.has(TcpFlags::RST) {
            return self.reset(segment, env);
        }
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX).wrapping_add(segment.missing);
        if length > 0 {
            let payload = Payload { time, seq, chunk, missing: segment.missing };
            let odd = own.data(payload, lane.env.limits, &mut lane);
            if let Some(odd) = odd {
                self.upper.odd(from_low, time, odd.name(), env);
            }
        }
        if flags.has(TcpFlags::FIN) {
            self.first_fin.get_or_insert(from_low);
            let (own, mut lane) = self.lane(from_low, env);
            own.fin(seq.wrapping_add(length), &mut lane);
        }
        if self.first_fin.is_some() { self.look_for_the_end(time, env) } else { Life::Open }
    }

    fn look_for_the_end(&mut self, time: Time, env: &mut Env<'_>) -> Life {
        if let Some(low) = self.first_fin {
            self.upper.ended(time, CloseHow::Fin(self.upper.side(low)), env);
        }
        let server_is_low = self.upper.side(true) == Side::Server;
        let server = if server_is_low { &self.low } else { &self.high };
        if server.ended() && !self.server_ended {
            self.server_ended = true;
            self.upper.server_ended(time, env);
        }
        if self.low.ended() && self.high.ended() { Life::Ended } else { Life::Open }
    }

    fn reset(&mut self, segment: &Segment<'m>, env: &mut Env<'_>) -> Life {
        let own = if segment.from_low { &self.low } else { &self.high };
        if !own.accepts_reset(segment.seq) {
            self.upper.odd(segment.from_low, segment.time, "tcp_rst_out_of_window", env);
            return Life::Open;
        }
        let by = self.upper.side(segment.from_low);
        self.upper.ended(segment.time, CloseHow::Rst(by), env);
        Life::Ended
    }

    /// The connection is over: gives on what waits and says the last words, unless a key may still come.
    /// `true`: all is said; `false`: it waits for a key.
    pub(crate) fn close(&mut self, time: Time, ending: CloseHow, may_wait: bool, env: &mut Env<'_>) -> bool {
        let over = if let Some(over) = self.over {
            over
        } else {
            let server_is_low = self.upper.side(true) == Side::Server;
            for from_low in [!server_is_low, server_is_low] {
                let (own, mut lane) = self.lane(from_low, env);
                own.flush(time, &mut lane);
            }
            let server = if server_is_low { &self.low } else { &self.high };
            Over { time, ending, orderly: server.ended() }
        };
        if may_wait && self.upper.waits(env.keys) {
            self.over = Some(over);
            return false;
        }
        self.upper.close(over.time, over.ending, self.bytes, over.orderly, env);
        true
    }

    /// It is over, and waits for a key only.
    pub(crate) const fn is_over(&self) -> bool {
        self.over.is_some()
    }

    pub(crate) const fn upper(&mut self) -> &mut Upper<'m> {
        &mut self.upper
    }

    pub(crate) const fn take_unsaid(&mut self) -> u64 {
        self.upper.voice_mut().take_unsaid()
    }

    /// A SYN says that a direction begins here, and nothing that was seen of it contradicts.
    pub(crate) fn may_begin(&self, from_low: bool, first: u32) -> bool {
        (if from_low { &self.low } else { &self.high }).may_begin(first)
    }

    /// Encrypted bytes that are held back.
    pub(crate) fn held(&self) -> usize {
        self.upper.held()
    }

    /// Bytes that wait for missing segments.
    pub(crate) const fn waiting(&self) -> usize {
        self.low.held().saturating_add(self.high.held())
    }

    /// The shard has no room for what waits: its holes are lost.
    pub(crate) fn give_up_holes(&mut self, env: &mut Env<'_>) {
        for from_low in [true, false] {
            let (own, mut lane) = self.lane(from_low, env);
            while own.held() > 0 && own.give_up(GapWhere::Cap, &mut lane) {}
        }
    }

    /// Memory of TLS and of HTTP.
    pub(crate) fn memory(&self) -> (usize, usize) {
        self.upper.memory()
    }
}
