mod counts;
mod ends;
mod plain;
mod progress;

use std::collections::VecDeque;
use std::sync::Arc;

pub use counts::FlowCounts;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use tls_tap::{KeyStore, Secret, SessionNames, late};
use zeroize::Zeroizing;

use self::progress::Moved;
use super::Events;
use super::connection::{Connection, Life};
use super::table::{List, Name, State, Table};
use super::tls::Beside;
use super::upper::Env;
use crate::limits::Limits;
use crate::model::{CloseHow, ConnectionId, Interest, Owners, Segment, TcpFlags, Time};

/// Flows of one shard: segments and plaintext in, events out.
#[derive(Debug)]
pub struct Shard<'m> {
    limits: Arc<Limits>,
    keys: Arc<KeyStore>,
    table: Table<'m>,
    now: Time,
    /// No flow is forgotten before.
    due: Time,
    /// Flows by the client random under which they wait for a key.
    wanted: HashMap<[u8; 32], Vec<(u32, ConnectionId)>, FixedState>,
    /// Flows whose samples were handed out.
    sampled: HashMap<u64, u32, FixedState>,
    /// Flows that may have samples to hand out.
    blind: Vec<(u32, ConnectionId)>,
    beside: Beside,
    interests: Vec<Interest>,
    /// Client randoms of flows that are closed, and names of closed flows whose samples were handed out.
    ended: Vec<[u8; 32]>,
    gone: Vec<u64>,
    /// Flows with bytes that wait for a missing segment, and with encrypted bytes held back, in the order in which they began to.
    waiting: Queue,
    holding: Queue,
    /// Flows that are over and wait for a key, and until when.
    overdue: VecDeque<(Time, u32, ConnectionId)>,
    /// Flows that hold something back and were not told to be dark, and when they are.
    clocked: VecDeque<(Time, u32, ConnectionId)>,
    /// Flows that a segment or a key has changed since they were weighed.
    touched: Vec<u32>,
    /// Flows that have carried something since they told of it.
    moved: Moved,
    /// What flows weighed last: in TLS, in HTTP and all else.
    weight: (usize, usize),
    counts: Counted,
}

/// Bytes that a flow with payload takes besides what TLS and HTTP hold: the connection here, and what `detect` keeps of it.
const FLOW: usize = size_of::<Connection<'_>>() + 1_024;

/// Flows of one client random that wait for its key. One has it; the same connection may be captured at several places.
const NAMESAKES: usize = 16;

/// What is counted as it happens.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    evicted: u64,
    outweighed: u64,
    half_open_evicted: u64,
    empty: u64,
    reassembly_evicted: u64,
    held_evicted: u64,
    unsaid: u64,
    one_way: [u64; 2],
}

/// Flows that hold bytes of one kind, oldest first, and the bytes of all. May name flows that hold none any more.
#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<(u32, ConnectionId)>,
    bytes: usize,
    /// Length at which names of flows that hold none are dropped: twice what was left the last time.
    full: usize,
}

impl Queue {
    fn push(&mut self, flow: (u32, ConnectionId), holds: impl Fn(u32, ConnectionId) -> bool) {
        const LEAST: usize = 64;
        if self.order.len() >= self.full.max(LEAST) {
            let mut seen: HashSet<u32, FixedState> = HashSet::default();
            self.order.retain(|&(at, id)| holds(at, id) && seen.insert(at));
            self.full = self.order.len().saturating_mul(2);
        }
        self.order.push_back(flow);
    }
}

/// What the late search is to know of a shard's flows since it last asked.
#[derive(Debug, Default)]
pub struct Samples {
    /// Directions without a key: the flow's token, the sender, records to try.
    pub flows: Vec<(u64, tls_tap::Side, Vec<late::Sample>)>,
    /// Client randoms of handshakes that were seen: their secrets need not be tried.
    pub claims: Vec<[u8; 32]>,
    /// Client randoms of handshakes that were seen and whose transcript has led to a secret.
    pub by_transcript: Vec<[u8; 32]>,
    /// Sessions of TLS 1.2 whose master secret is known.
    pub made: Vec<(SessionNames, Secret)>,
    /// Client randoms of handshakes that resume a session.
    pub resumed: Vec<([u8; 32], SessionNames)>,
    /// Client randoms of connections that are over: their secrets are needed no more.
    pub ended: Vec<[u8; 32]>,
    /// Tokens of flows that are over: they need not be searched.
    pub gone: Vec<u64>,
    /// Flows whose payload is read no more, or is again.
    pub interests: Vec<Interest>,
}

/// Adds to or takes from a total.
const fn replace(total: &mut usize, before: usize, after: usize) {
    *total = total.saturating_add(after).saturating_sub(before);
}

impl<'m> Shard<'m> {
    /// No flows yet.
    #[must_use]
    pub fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            keys: Arc::new(KeyStore::new(1)),
            table: Table::new(),
            now: Time(0),
            due: Time(0),
            wanted: HashMap::default(),
            sampled: HashMap::default(),
            blind: Vec::new(),
            beside: Beside::default(),
            interests: Vec::new(),
            ended: Vec::new(),
            gone: Vec::new(),
            waiting: Queue::default(),
            holding: Queue::default(),
            overdue: VecDeque::new(),
            clocked: VecDeque::new(),
            touched: Vec::new(),
            moved: Moved::default(),
            weight: (0, 0),
            counts: Counted::default(),
        }
    }

    /// New key material: flows that wait for one of `new_randoms` are tried again. Their events get the ordinal of the last segment.
    pub fn keys(&mut self, keys: Arc<KeyStore>, new_randoms: &[[u8; 32]], out: &mut Events) {
        let aside = keys.aside_generation() != self.keys.aside_generation();
        self.keys = keys;
        for random in new_randoms {
            for (at, id) in self.wanted.remove(random).unwrap_or_default() {
                self.retry(at, id, out);
            }
        }
        if aside {
            // A session id or an encrypted premaster secret does not lead to its flows: each that waits may be meant.
            let mut waiting: Vec<(u32, ConnectionId)> = self.wanted.drain().flat_map(|(_, flows)| flows).collect();
            waiting.sort_unstable_by_key(|&(_, id)| id);
            for (at, id) in waiting {
                self.retry(at, id, out);
            }
        }
    }

    /// Who had the secrets that come with the next keys.
    pub fn owners(&mut self, owners: Arc<Owners>) {
        self.beside.owners = owners;
    }

    /// From now on, keeps the secrets that follow from those known by their transcript, until they are taken.
    pub fn follow(&mut self) {
        self.beside.followed.get_or_insert_default();
    }

    /// The secrets that followed since the last call, as lines of a key log.
    pub fn take_followed(&mut self) -> Vec<Zeroizing<String>> {
        self.beside.followed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn retry(&mut self, at: u32, id: ConnectionId, out: &mut Events) {
        let mut over = false;
        self.with(at, id, out, |connection, env| {
            connection.upper().retry(env);
            over = connection.is_over();
        });
        if over {
            self.close(at, self.now, CloseHow::InputEnded, true, out);
        }
    }

    /// The late search has found a secret of a flow: `token` is as [`samples`](Self::samples) gave it.
    pub fn unlock(&mut self, token: u64, found: late::Found, out: &mut Events) {
        if let Some(at) = self.sampled.get(&token).copied() {
            self.with(at, ConnectionId(token), out, |connection, env| connection.upper().unlock(found, env));
        }
    }

    /// A segment of this shard. Flows that were idle for too long at its time are forgotten first.
    pub fn segment(&mut self, segment: &Segment<'m>, arena: &[u8], out: &mut Events) {
        out.at(segment.ordinal);
        self.expire(segment.time, out);
        let named = |name: &Name| matches!(name, Name::Tcp(key) if *key == segment.key);
        let at = match self.table.find(segment.hash, named) {
            Some(at) if !self.reused(at, segment) => at,
            Some(at) => {
                self.close(at, segment.time, CloseHow::Reused, true, out);
                if self.table.get(at).is_some_and(|slot| matches!(slot.state, State::Open(_))) {
                    // It waits for a key; its key leads to the new connection.
                    self.table.unname(at);
                } else {
                    self.forget_light(at);
                }
                self.insert_flow(segment, out)
            }
            None => self.insert_flow(segment, out),
        };
        let chunk = segment.payload.chunk(arena);
        let Some(slot) = self.table.get_mut(at) else { return };
        slot.start.note(segment);
        let id = slot.id;
        match &slot.state {
            State::Closed | State::Plain(_) | State::Free => return,
            State::Open(connection) if connection.is_over() => return,
            State::Open(_) => {}
            State::HalfOpen => {
                if chunk.is_empty() && segment.missing == 0 && !slot.start.lost(segment) {
                    self.table.touch(at, segment.time);
                    if segment.flags.has(TcpFlags::RST) {
                        self.forget_light(at);
                    }
                    return;
                }
                let connection = Connection::new(id, segment.key, slot.start);
                slot.state = State::Open(Box::new(connection));
                self.table.shift(at, List::Heavy);
            }
        }
        self.table.touch(at, segment.time);
        let mut life = Life::Open;
        let mut interest = None;
        self.with(at, id, out, |connection, env| {
            life = connection.segment(segment, chunk, env);
            interest = connection.upper().take_interest(segment.missing > 0);
        });
        self.interests.extend(interest.map(|payload| Interest { key: segment.key, payload }));
        if life == Life::Ended {
            self.close(at, segment.time, CloseHow::InputEnded, true, out);
        }
    }

    /// A batch is over: flows that were idle for too long are forgotten, at most a few hundred at a call, and those that hold more than
    /// there is room for are given up.
    pub fn tick(&mut self, now: Time, out: &mut Events) {
        self.expire(now, out);
        self.settle(out);
        self.progress(out);
    }

    /// Gives up flows that hold more than there is room for.
    pub fn settle(&mut self, out: &mut Events) {
        let mut touched = std::mem::take(&mut self.touched);
        for at in touched.drain(..) {
            self.weigh(at);
        }
        while self.weight.0 + self.weight.1 > self.limits.flow_shard
            && let Some(oldest) = self.table.oldest(List::Heavy)
        {
            self.counts.outweighed += 1;
            self.close(oldest, self.now, CloseHow::Evicted, false, out);
            self.table.remove(oldest);
        }
        self.touched = touched;
    }

    /// Brings what a flow weighs up to date.
    fn weigh(&mut self, at: u32) {
        let Some(slot) = self.table.get_mut(at) else { return };
        slot.touched = false;
        if self.limits.tells_early()
            && self.moved.has_room(self.limits.flows)
            && !std::mem::replace(&mut slot.moved, true)
        {
            self.moved.push(at, slot.id);
        }
        let (unsaid, (tls, http)) = match &mut slot.state {
            State::Open(connection) => (connection.take_unsaid(), connection.memory()),
            State::Plain(plain) => (plain.take_unsaid(), (0, plain.memory())),
            State::HalfOpen | State::Closed | State::Free => return,
        };
        self.counts.unsaid += unsaid;
        let round = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut slot.weight, (round(tls), round(http.saturating_add(FLOW))));
        replace(&mut self.weight.0, before.0 as usize, slot.weight.0 as usize);
        replace(&mut self.weight.1, before.1 as usize, slot.weight.1 as usize);
    }

    /// The input ended: every flow is closed, in the order of their names.
    pub fn finish(&mut self, now: Time, out: &mut Events) {
        let now = now.max(self.now);
        let mut open: Vec<(ConnectionId, u32)> = self.table.open().map(|(at, id)| (id, at)).collect();
        open.sort_unstable();
        for (_, at) in open {
            self.close(at, now, CloseHow::InputEnded, false, out);
        }
        while let Some(at) = self.table.oldest(List::Light) {
            self.forget_light(at);
        }
        self.wanted.clear();
        self.sampled.clear();
        self.blind.clear();
        self.clocked.clear();
    }

    /// What is new for the late search.
    pub fn samples(&mut self) -> Samples {
        let mut samples = Samples {
            flows: Vec::new(),
            claims: std::mem::take(&mut self.beside.claims),
            by_transcript: std::mem::take(&mut self.beside.by_transcript),
            made: std::mem::take(&mut self.beside.made),
            resumed: std::mem::take(&mut self.beside.resumed),
            ended: std::mem::take(&mut self.ended),
            gone: std::mem::take(&mut self.gone),
            interests: std::mem::take(&mut self.interests),
        };
        for (at, id) in std::mem::take(&mut self.blind) {
            let Some(slot) = self.table.get_mut(at).filter(|slot| slot.id == id) else { continue };
            let State::Open(connection) = &mut slot.state else { continue };
            let Some(tls) = connection.upper().tls() else { continue };
            for (side, records) in tls.samples() {
                self.sampled.insert(id.0, at);
                samples.flows.push((id.0, side, records));
            }
            // A side without samples may have some when its next segment came: until then there is no need to ask again.
            tls.unlist();
        }
        samples
    }

    /// What is held and what was dropped, as of the last [`tick`](Self::tick).
    #[must_use]
    pub fn counts(&self) -> FlowCounts {
        FlowCounts {
            open: self.table.len(List::Heavy) as u64,
            light: self.table.len(List::Light) as u64,
            evicted: self.counts.evicted,
            outweighed: self.counts.outweighed,
            half_open_evicted: self.counts.half_open_evicted,
            empty: self.counts.empty,
            reassembly_evicted: self.counts.reassembly_evicted,
            held_evicted: self.counts.held_evicted,
            unsaid: self.counts.unsaid,
            one_way: self.counts.one_way,
            waiting_bytes: self.waiting.bytes as u64,
            held_bytes: self.holding.bytes as u64,
            table_bytes: self.table.memory() as u64,
            tls_bytes: self.weight.0 as u64,
            http_bytes: self.weight.1 as u64,
        }
    }

    /// Runs something on an open flow, and keeps the totals, the indexes and the caps true.
    fn with(
        &mut self,
        at: u32,
        id: ConnectionId,
        out: &mut Events,
        run: impl FnOnce(&mut Connection<'m>, &mut Env<'_>),
    ) {
        self.run(at, id, out, run);
        while self.waiting.bytes > self.limits.reassembly_shard
            && let Some((at, id)) = self.waiting.order.pop_front()
        {
            let before = self.waiting.bytes;
            self.run(at, id, out, |connection, env| connection.give_up_holes(env));
            self.counts.reassembly_evicted += u64::from(self.waiting.bytes < before);
        }
        while self.holding.bytes > self.limits.held_shard
            && let Some((at, id)) = self.holding.order.pop_front()
        {
            let (before, now) = (self.holding.bytes, self.now);
            let mut over = false;
            self.unwanted(at, id);
            self.run(at, id, out, |connection, env| {
                connection.upper().give_up_held(now, env);
                over = connection.is_over();
            });
            self.counts.held_evicted += u64::from(self.holding.bytes < before);
            if over {
                self.close(at, now, CloseHow::Evicted, false, out);
                self.table.remove(at);
            }
        }
    }

    fn run(
        &mut self,
        at: u32,
        id: ConnectionId,
        out: &mut Events,
        run: impl FnOnce(&mut Connection<'m>, &mut Env<'_>),
    ) {
        let Some(slot) = self.table.get_mut(at).filter(|slot| slot.id == id) else { return };
        let State::Open(connection) = &mut slot.state else { return };
        if !std::mem::replace(&mut slot.touched, true) {
            self.touched.push(at);
        }
        let (waited, held) = (connection.waiting(), connection.upper().held());
        let mut env = Env { out, limits: &self.limits, keys: &self.keys, beside: &mut self.beside };
        run(connection, &mut env);
        let (waits, holds) = (connection.waiting(), connection.upper().held());
        if let Some(tls) = connection.upper().tls().filter(|tls| tls.is_blind()) {
            for name in tls.wants_key() {
                let flows = self.wanted.entry(name).or_default();
                if flows.len() < NAMESAKES {
                    flows.push((at, id));
                }
            }
            if self.blind.len() < self.limits.flows && tls.wants_search() {
                self.blind.push((at, id));
            }
        }
        let clocks = self.limits.tells_early() && self.clocked.len() < self.limits.flows;
        if clocks && connection.upper().wants_clock() {
            self.clocked.push_back((self.now.plus(self.limits.blind_wait), at, id));
        }
        replace(&mut self.waiting.bytes, waited, waits);
        replace(&mut self.holding.bytes, held, holds);
        if waited == 0 && waits > 0 {
            self.waiting.push((at, id), |at, id| self.table.holds(at, id, Connection::waiting));
        }
        if held == 0 && holds > 0 {
            self.holding.push((at, id), |at, id| self.table.holds(at, id, Connection::held));
        }
    }

    /// The flow's key is known to belong to another connection than the segment's.
    fn reused(&self, at: u32, segment: &Segment<'m>) -> bool {
        if !segment.flags.has(TcpFlags::SYN) {
            return false;
        }
        let Some(slot) = self.table.get(at) else { return false };
        let first = segment.seq.wrapping_add(1);
        let (own, peer) = slot.start.of(segment.from_low);
        match (&slot.state, own) {
            (State::HalfOpen, Some(own)) => {
                // A server may answer a repeated SYN anew.
                own != first && !(segment.flags.has(TcpFlags::ACK) && peer == Some(segment.ack))
            }
            (_, Some(own)) => own != first,
            (State::HalfOpen | State::Plain(_) | State::Free, None) => false,
            (State::Closed, None) => true,
            (State::Open(connection), None) => !connection.may_begin(segment.from_low, first),
        }
    }

    fn insert_flow(&mut self, segment: &Segment<'m>, out: &mut Events) -> u32 {
        self.insert(Name::Tcp(segment.key), segment.hash, segment.ordinal, segment.time, out)
    }

    /// Makes room for a flow.
    fn insert(&mut self, name: Name, hash: u64, ordinal: u64, time: Time, out: &mut Events) -> u32 {
        let (light, heavy) = (self.table.len(List::Light), self.table.len(List::Heavy));
        if light + heavy >= self.limits.flows.max(1) {
            // Flows without payload may fill a share of the table, not push out those with payload.
            if (light > self.limits.flows / 4 || heavy == 0)
                && let Some(oldest) = self.table.oldest(List::Light)
            {
                self.counts.half_open_evicted += 1;
                self.forget_light(oldest);
            } else if let Some(oldest) = self.table.oldest(List::Heavy) {
                self.counts.evicted += 1;
                self.close(oldest, time, CloseHow::Evicted, false, out);
                self.table.remove(oldest);
            }
        }
        self.table.insert(hash, name, ConnectionId(ordinal), time)
    }
}
