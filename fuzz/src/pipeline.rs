use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use h2watch::detect::{Detector, Settings};
use h2watch::flow::{Events, Shard};
use h2watch::limits::Limits;
use h2watch::model::{Bytes, ConnectionId, Event, Kind, Packet, PacketBatch, SegmentBatch, Time};
use h2watch::packet::Decoder;
use h2watch::source::{OpenedInputs, Source};
use tls_tap::late::Search;
use tls_tap::{KeyLog, KeyStore};

use crate::input::Input;
use crate::world::World;

/// Few bytes of compressed input can hold very many packets.
const BATCHES: usize = 4;

/// A capture file with its keys inside; or, where the first byte begins none, connections that the input describes.
pub(crate) fn pipeline(bytes: &[u8]) {
    match bytes.first() {
        Some(&flags) if flags < 0x0a => {
            let mut input = Input::new(bytes);
            let flags = input.byte();
            let world = World::read(&mut input, flags & 2 != 0);
            let limits = if flags & 1 == 0 { Limits::default() } else { small() };
            if flags & 4 != 0 {
                // What is held back costs nothing where its bytes last, so that this cap is met later there.
                let limits = Limits { held_flow: 500, held_shard: 600, ..limits };
                made(&world, limits.clone(), false);
                made(&world, limits, true);
                return;
            }
            let (lasting, passing) = (made(&world, limits.clone(), false), made(&world, limits, true));
            for (lasting, passing) in lasting.iter().zip(&passing) {
                assert_eq!(lasting, passing, "where the bytes lie makes a difference");
            }
            assert_eq!(lasting.len(), passing.len());
        }
        _ => captured(bytes),
    }
}

pub(crate) fn small() -> Limits {
    Limits {
        flows: 2,
        reassembly_flow: 300,
        reassembly_shard: 400,
        reassembly_pieces: 4,
        http1_head: 120,
        cases: 2,
        candidates: 3,
        case_resets: 1,
        top: 2,
        notes_per_connection: 2,
        ..Limits::default()
    }
}

fn made(world: &World, limits: Limits, passing: bool) -> Vec<String> {
    let mut run = Run::new(limits);
    run.keys(world.keys.as_bytes());
    let mut batch = PacketBatch::default();
    for packets in world.packets.chunks(5) {
        for (time, bytes) in packets {
            let data = if passing {
                let start = batch.arena.len() as u32;
                batch.arena.extend_from_slice(bytes);
                Bytes::Arena { start, len: bytes.len() as u32 }
            } else {
                Bytes::Lasting(bytes)
            };
            batch.packets.push(Packet {
                time: Time(*time),
                link: 1,
                data,
                wire_len: bytes.len() as u32,
                shortened: false,
            });
        }
        run.batch(&mut batch);
    }
    run.finish()
}

fn captured(bytes: &[u8]) {
    let mut inputs = OpenedInputs::given(vec![("capture".to_owned(), bytes.to_vec())]);
    let mut keys = Vec::new();
    inputs.secrets(&mut |text| keys.extend_from_slice(text));
    let mut run = Run::new(Limits::default());
    run.keys(&keys);
    let mut source = inputs.source();
    let mut batch = PacketBatch::default();
    for _ in 0..BATCHES {
        if !source.fill(&mut batch).expect("memory does not fail") {
            break;
        }
        run.batch(&mut batch);
    }
    run.finish();
}

/// Everything from packets to findings, on one thread.
pub(crate) struct Run<'m> {
    decoder: Decoder,
    segments: SegmentBatch<'m>,
    shards: Vec<(Shard<'m>, Events)>,
    keys: Arc<KeyStore>,
    detector: Detector,
    order: Order,
    findings: usize,
    said: Vec<String>,
}

impl<'m> Run<'m> {
    pub(crate) fn new(limits: Limits) -> Self {
        let decoder = Decoder::new(&limits);
        let limits = Arc::new(limits);
        Self {
            decoder,
            segments: SegmentBatch::default(),
            shards: (0..Limits::SHARDS).map(|_| (Shard::new(Arc::clone(&limits)), Events::new())).collect(),
            keys: Arc::new(KeyStore::new(64)),
            detector: Detector::new(Settings::default(), limits),
            order: Order::default(),
            findings: 0,
            said: Vec::new(),
        }
    }

    fn keys(&mut self, text: &[u8]) {
        let mut store = KeyStore::new(64);
        let mut log = KeyLog::new();
        log.push(text, &mut store);
        log.finish(&mut store);
        let randoms: Vec<_> = store.iter_tls13().map(|(random, _)| *random).collect();
        self.keys = Arc::new(store);
        for (shard, events) in &mut self.shards {
            shard.keys(Arc::clone(&self.keys), &randoms, events);
        }
    }

    pub(crate) fn batch(&mut self, batch: &mut PacketBatch<'m>) {
        self.decoder.decode(batch, &mut self.segments);
        // No target has packets and plaintext in one batch.
        for ((shard, events), segments) in self.shards.iter_mut().zip(&self.segments.shards) {
            for segment in segments {
                shard.segment(segment, &self.segments.arena, events);
            }
        }
        for ((shard, events), plaintext) in self.shards.iter_mut().zip(&self.segments.plaintext) {
            for item in plaintext {
                shard.plaintext(item, &self.segments.arena, events);
            }
        }
        self.merge();
    }

    fn search(&mut self) {
        for (shard, events) in &mut self.shards {
            let mut search = Search::new(1 << 12);
            let samples = shard.samples();
            for random in &samples.claims {
                search.claim(random);
            }
            for (token, side, records) in samples.flows {
                search.add_flow(token, side, records);
            }
            search.add_keys(&self.keys, self.keys.iter_tls13().map(|(random, _)| random));
            while search.pending() && !search.exhausted() {
                for found in search.step(1 << 10) {
                    shard.unlock(found.token, found, events);
                }
            }
        }
    }

    /// Gives the events of all shards to the detector in the order of their packets.
    fn merge(&mut self) {
        let mut all: Vec<(u64, Event)> = Vec::new();
        for (_, events) in &mut self.shards {
            assert!(events.as_slice().is_sorted_by_key(|(ordinal, _)| *ordinal), "events out of order");
            all.extend(events.drain());
        }
        all.sort_by_key(|(ordinal, _)| *ordinal);
        let mut findings = Vec::new();
        for (ordinal, event) in all {
            self.said.push(format!("{ordinal} {event:?}"));
            self.order.event(&event);
            self.detector.event(event, &mut findings);
        }
        self.findings += findings.len();
    }

    pub(crate) fn finish(mut self) -> Vec<String> {
        self.search();
        self.decoder.finish();
        let now = self.segments.now;
        for (shard, events) in &mut self.shards {
            shard.finish(now, events);
            let counts = shard.counts();
            assert_eq!((counts.open, counts.waiting_bytes, counts.held_bytes), (0, 0, 0), "{counts:?}");
        }
        self.merge();
        self.order.finish();
        let mut findings = Vec::new();
        self.detector.finish(now, &mut findings);
        self.said.push(format!("{} {findings:?} {:?}", self.findings, self.detector.verdict()));
        self.said
    }
}

/// What the order of events promises: `Opened` first, `Closed` last, one `Ended` for each `Request`.
#[derive(Default)]
struct Order {
    /// Requests that have not ended.
    open: BTreeMap<ConnectionId, i64>,
    closed: BTreeSet<ConnectionId>,
}

impl Order {
    fn event(&mut self, event: &Event) {
        let id = event.connection;
        assert!(!self.closed.contains(&id), "after Closed: {event:?}");
        if let Kind::Opened { .. } = event.kind {
            assert!(self.open.insert(id, 0).is_none(), "opened twice: {event:?}");
            return;
        }
        let open = self.open.get_mut(&id).unwrap_or_else(|| panic!("before Opened: {event:?}"));
        match event.kind {
            Kind::Request(_) => *open += 1,
            Kind::Ended { known: true, .. } => *open -= 1,
            Kind::Closed { bytes, unread, .. } => {
                assert_eq!(*open, 0, "requests without an end");
                assert!(unread <= bytes, "{unread} of {bytes} bytes unread");
                self.open.remove(&id);
                self.closed.insert(id);
            }
            _ => {}
        }
        assert!(self.open.get(&id).is_none_or(|open| *open >= 0), "ended twice: {event:?}");
    }

    fn finish(&self) {
        assert!(self.open.is_empty(), "never closed: {:?}", self.open);
    }
}
