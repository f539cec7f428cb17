//! Captures as plaintext: what TLS hid in a shipped capture, handed over as a probe would, gives the findings that its packets give.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use h2watch::detect::Settings;
use h2watch::engine::{Engine, Keys, Listener, Plan};
use h2watch::limits::Limits;
use h2watch::model::{
    Bytes, CaseFinding, Finding, FlowKey, Packet, PacketBatch, Parties, PlainId, PlainWhat, Plaintext, Process, Retry,
    RetryResult, Segment, SegmentBatch, Side, TcpFlags, Time, Writer,
};
use h2watch::packet::Decoder;
use h2watch::source::{OpenedInputs, Source};
use h2watch_tests::captures;
use h2watch_tests::traffic::Random;
use tls_tap::{Alert, Chunk, Dark, Gap, Hello, KeyLog, KeyStore, Proof, Reader, Secured, Tls};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A packet: when, and its bytes from the link's header on.
type Raw = (Time, u16, Vec<u8>);

/// What one end wrote, record by record.
#[derive(Default)]
struct Written(Vec<(Time, tls_tap::Side, Vec<u8>)>);

impl Reader for Written {
    fn skippable(&self, _: tls_tap::Side) -> u64 {
        0
    }

    fn peek(&mut self, _: u64, _: tls_tap::Side, _: &[u8]) -> Option<u64> {
        None
    }

    fn plaintext(&mut self, time: u64, side: tls_tap::Side, bytes: &[u8], _: bool, proof: &mut dyn Proof) {
        assert_eq!(proof.authenticate(), Ok(true));
        self.0.push((Time(time), side, bytes.to_vec()));
    }

    fn skipped(&mut self, _: tls_tap::Side, _: u64) {}
    fn gap(&mut self, _: u64, _: tls_tap::Side, _: Gap) {}
    fn client_hello(&mut self, _: u64, _: Hello) {}
    fn secured(&mut self, _: u64, _: Secured) {}
    fn alert(&mut self, _: u64, _: Alert) {}
    fn dark(&mut self, _: u64, _: Option<tls_tap::Side>, _: Dark) {}
}

/// A TLS connection of a capture.
struct Flow {
    client: SocketAddr,
    server: SocketAddr,
    written: Written,
}

/// A capture's packets and keys.
fn read(capture: &Path) -> (Vec<Raw>, Vec<u8>) {
    let mut inputs = OpenedInputs::open(&[capture.to_owned()]).unwrap();
    let mut keys = Vec::new();
    inputs.secrets(&mut |text| keys.extend_from_slice(text));
    let (mut source, mut batch, mut packets) = (inputs.source(), PacketBatch::default(), Vec::new());
    while source.fill(&mut batch).unwrap() {
        let raw = |packet: &Packet<'_>| (packet.time, packet.link, packet.data.chunk(&batch.arena).bytes().to_vec());
        packets.extend(batch.packets.iter().map(raw));
    }
    (packets, keys)
}

fn packet<'m>((time, link, bytes): &'m Raw) -> Packet<'m> {
    Packet { time: *time, link: *link, data: Bytes::Lasting(bytes), wire_len: bytes.len() as u32, shortened: false }
}

/// The TLS connections of a capture, decrypted, and the packets that belong to them.
fn decrypt<'m>(packets: &'m [Raw], keys: &[u8]) -> (Vec<Flow>, Vec<&'m Raw>) {
    let mut store = KeyStore::new(1_000);
    let mut log = KeyLog::new();
    log.push(keys, &mut store);
    log.finish(&mut store);
    let mut decoder = Decoder::new(&Limits::default());
    let mut by_key: BTreeMap<(FlowOrder, u32), Vec<(&'m Raw, Segment<'m>)>> = BTreeMap::new();
    let mut order = Vec::new();
    for raw in packets {
        let mut batch = PacketBatch { packets: vec![packet(raw)], ..PacketBatch::default() };
        let mut segments = SegmentBatch::default();
        decoder.decode(&mut batch, &mut segments);
        for segment in segments.shards.iter().flatten() {
            let key = ((segment.key.low, segment.key.high), segment.key.tunnel);
            if !by_key.contains_key(&key) {
                order.push(key);
            }
            by_key.entry(key).or_default().push((raw, *segment));
        }
    }
    let (mut flows, mut theirs) = (Vec::new(), Vec::new());
    for key in order {
        let segments = &by_key[&key];
        if let Some(flow) = tls(segments, &store) {
            flows.push(flow);
            theirs.extend(segments.iter().map(|(raw, _)| *raw));
        }
    }
    theirs.sort_by_key(|raw| raw.0);
    (flows, theirs)
}

type FlowOrder = ((u128, u16), (u128, u16));

/// Decrypts a connection; `None`: it is not TLS from its start.
fn tls(segments: &[(&Raw, Segment<'_>)], store: &KeyStore) -> Option<Flow> {
    let (_, syn) = segments.first().filter(|(_, first)| first.flags.has(TcpFlags::SYN))?;
    let (low, high) = (FlowKey::address(syn.key.low), FlowKey::address(syn.key.high));
    let (client, server) = if syn.from_low { (low, high) } else { (high, low) };
    let (mut tap, mut written) = (Tls::new(tls_tap::Limits::default()), Written::default());
    // Next byte of each direction; these captures come in order, some with repeats.
    let mut next: [Option<u32>; 2] = [None; 2];
    let mut first = true;
    for (_, segment) in segments {
        let direction = usize::from(segment.from_low);
        if segment.flags.has(TcpFlags::SYN) {
            next[direction] = Some(segment.seq.wrapping_add(1));
        }
        let Bytes::Lasting(bytes) = segment.payload else { panic!("every packet lasts") };
        let have = next[direction].unwrap_or(segment.seq).wrapping_sub(segment.seq) as usize;
        let Some(bytes) = bytes.get(have..).filter(|bytes| !bytes.is_empty()) else { continue };
        if std::mem::take(&mut first) && bytes[0] != 22 {
            return None;
        }
        next[direction] = Some(segment.seq.wrapping_add((have + bytes.len()) as u32));
        let side = if segment.from_low == syn.from_low { tls_tap::Side::Client } else { tls_tap::Side::Server };
        tap.data(segment.time.0, side, Chunk::Passing(bytes), store, &mut written);
    }
    tap.finish(segments.last()?.1.time.0, store, &mut written);
    (!first).then_some(Flow { client, server, written })
}

/// Follows the frames of a direction as the kernel does: gives what is to be copied, and how much is not.
#[derive(Default)]
struct Walker {
    preface: usize,
    head: Vec<u8>,
    left: usize,
    data: bool,
}

enum Part<'b> {
    Bytes(&'b [u8]),
    Skipped(u64),
}

impl Walker {
    fn walk<'b>(&mut self, mut bytes: &'b [u8]) -> Vec<Part<'b>> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let here = match (self.preface, self.left) {
                (0, 0) => (9 - self.head.len()).min(bytes.len()),
                (0, left) => left.min(bytes.len()),
                (preface, _) => preface.min(bytes.len()),
            };
            let (now, rest) = bytes.split_at(here);
            bytes = rest;
            if self.preface > 0 {
                self.preface -= here;
            } else if self.left > 0 {
                self.left -= here;
                if self.data {
                    parts.push(Part::Skipped(here as u64));
                    continue;
                }
            } else {
                self.head.extend_from_slice(now);
                if let [a, b, c, kind, ..] = self.head[..]
                    && self.head.len() == 9
                {
                    (self.left, self.data) = (u32::from_be_bytes([0, a, b, c]) as usize, kind == 0);
                    self.head.clear();
                }
            }
            parts.push(Part::Bytes(now));
        }
        parts
    }
}

/// What probes in the servers would hand up of these connections.
fn probed(flows: &[Flow], random: &mut Random, roles: bool) -> (Vec<Plaintext>, Vec<u8>) {
    let (mut items, mut arena) = (Vec::new(), Vec::new());
    for (name, flow) in (1..).zip(flows) {
        let Some((begin, ..)) = flow.written.0.first() else { continue };
        let say = |time: Time, what| Plaintext { time, connection: PlainId(name), what };
        let process = Arc::new(Process { pid: 9, ..Process::default() });
        let role = roles.then_some(Side::Server);
        items.push(say(*begin, PlainWhat::Opened { process, joined: false, role }));
        items.push(say(*begin, PlainWhat::Ends { local: flow.server, peer: flow.client }));
        let client = |side| matches!(side, tls_tap::Side::Client);
        let from_client: Vec<u8> = flow
            .written
            .0
            .iter()
            .filter(|(_, side, _)| client(*side))
            .flat_map(|(_, _, bytes)| bytes.clone())
            .collect();
        let h2 = from_client.starts_with(PREFACE);
        let mut walkers = [Walker { preface: PREFACE.len(), ..Walker::default() }, Walker::default()];
        for (time, side, bytes) in &flow.written.0 {
            let by = if client(*side) { Writer::Peer } else { Writer::Local };
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((1 + random.below(rest.len() as u64)) as usize);
                rest = behind;
                let walker = &mut walkers[usize::from(!client(*side))];
                let parts = if h2 { walker.walk(piece) } else { vec![Part::Bytes(piece)] };
                for part in parts {
                    let what = match part {
                        Part::Skipped(bytes) => PlainWhat::Skipped { by, bytes },
                        Part::Bytes(bytes) => {
                            let start = arena.len() as u32;
                            arena.extend_from_slice(bytes);
                            PlainWhat::Bytes { by, start, len: bytes.len() as u32 }
                        }
                    };
                    items.push(say(*time, what));
                }
            }
        }
    }
    items.sort_by_key(|item| item.time);
    (items, arena)
}

#[derive(Default)]
struct Heard(Vec<Finding>);

impl Listener for Heard {
    fn finding(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }
}

/// Runs packets or plaintext to their end, which is `last`.
fn run<'m>(mut batch: PacketBatch<'m>, keys: &[u8], last: &'m Raw) -> Vec<String> {
    let limits = Limits::default();
    let mut secrets = Keys::new(&limits);
    secrets.block(keys);
    let plan = Plan { threads: 1, settings: Settings::default(), limits };
    let mut heard = Heard::default();
    thread::scope(|scope| {
        let mut engine = Engine::start(scope, secrets, &plan);
        engine.packets(&mut batch, &mut heard);
        let mut end = PacketBatch { packets: vec![packet(last)], ..PacketBatch::default() };
        engine.packets(&mut end, &mut heard);
        engine.end(&mut heard);
    });
    heard.0.iter().filter_map(bare).collect()
}

/// What a finding says but for the connection's number, its process and its TLS handshake, and when a case was decided. How TCP ended a
/// connection, and what a missing key hid for a while, is not in its plaintext.
fn bare(finding: &Finding) -> Option<String> {
    let ends = |parties: &Parties| Parties { process: None, ..parties.clone() };
    match finding {
        Finding::Reset(found) => {
            let (what, about) = ((found.time, found.frame, found.code, found.sender), (&found.request, found.status));
            let more = (found.phase, found.age, found.edge, &found.evidence, found.verified);
            Some(format!("{what:?} {about:?} {more:?} {:?}", ends(&found.parties)))
        }
        Finding::Case(found) if found.ended_by.is_none_or(|by| by == "goaway") => {
            // Whether TCP cut a retry's body off is not in its plaintext either.
            let retry = found.retry.clone().map(|retry| Retry { result: RetryResult::Ok, ..retry });
            let found = CaseFinding { retry, id: 0, time: Time(0), parties: ends(&found.parties), ..(**found).clone() };
            Some(format!("{found:?}"))
        }
        Finding::OriginError(found) => Some(format!("{:?} {} {:?}", found.time, found.status, found.request)),
        Finding::Gap { .. } | Finding::Anomaly { .. } => Some(format!("{finding:?}")),
        Finding::Case(_) | Finding::Dark(_) | Finding::Suspected(_) => None,
    }
}

/// Shipped captures whose connections are TLS from their start, with every key.
fn shipped() -> Vec<PathBuf> {
    let names = ["502", "curl-retries", "late-reset", "healthy", "windows-auth", "retry-storm", "yarp"];
    let all = captures::files_in(&captures::shipped(), &[".pcapng"]);
    all.into_iter().filter(|path| names.iter().any(|name| path.to_string_lossy().contains(name))).collect()
}

#[test]
fn the_plaintext_of_a_capture_gives_the_findings_of_its_packets() {
    let mut resets = 0;
    for capture in shipped() {
        let (packets, keys) = read(&capture);
        let (flows, theirs) = decrypt(&packets, &keys);
        let last = packets.last().unwrap();
        let batch = PacketBatch { packets: theirs.into_iter().map(packet).collect(), ..PacketBatch::default() };
        let wanted = run(batch, &keys, last);
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let (plaintext, arena) = probed(&flows, &mut random, seed % 2 == 0);
            let found = run(PacketBatch { plaintext, arena, ..PacketBatch::default() }, b"", last);
            assert_eq!(found, wanted, "{} seed {seed}", capture.display());
        }
        resets += wanted.len();
    }
    assert!(resets > 10, "{resets}");
}
