//! Real captures with their keys, from the wire's bytes to events. Skipped where the captures are not there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tls_tap::{KeyLog, KeyStore};

use super::script::short;
use crate::flow::{Events, Shard};
use crate::limits::Limits;
use crate::model::{Bytes, Event, FlowKey, Kind, Segment, TcpFlags, Time};

fn folder(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("H2WATCH_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("captures").join(name);
    let there = folder.is_dir();
    if !there {
        println!("skipped: {} is missing", folder.display());
    }
    there.then_some(folder)
}

/// Segments of a microsecond, little-endian pcap file of Ethernet with IPv4 or IPv6 and TCP: all that these captures have.
fn segments(file: &[u8]) -> Vec<Segment<'_>> {
    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut at, mut segments) = (24, Vec::new());
    while at + 16 <= file.len() {
        let time = Time(u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4)) * 1_000);
        let end = at + 16 + word(at + 8) as usize;
        let packet = &file[at + 16..end];
        at = end;
        let ordinal = segments.len() as u64;
        segments.extend(segment(packet, time, ordinal));
    }
    segments
}

fn segment(packet: &[u8], time: Time, ordinal: u64) -> Option<Segment<'_>> {
    let ip = &packet[14..];
    if packet[12..14] != [8, 0] || ip[9] != 6 {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let address = |at: usize| 0xffff_0000_0000 | u128::from(u32::from_be_bytes(ip[at..at + 4].try_into().unwrap()));
    let tcp = &ip[usize::from(ip[0] & 15) * 4..total];
    let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
    let (from, to) = ((address(12), port(0)), (address(16), port(2)));
    Some(Segment {
        time,
        ordinal,
        key: FlowKey { low: from.min(to), high: from.max(to), tunnel: 0 },
        hash: (u64::from(from.1) ^ u64::from(to.1)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        from_low: from < to,
        seq: number(4),
        ack: number(8),
        flags: TcpFlags(tcp[13]),
        payload: Bytes::Lasting(&tcp[usize::from(tcp[12] >> 4) * 4..]),
        missing: 0,
    })
}

fn store(keys: &Path) -> Arc<KeyStore> {
    let mut store = KeyStore::new(10_000);
    if let Ok(text) = fs::read(keys) {
        let mut log = KeyLog::new();
        log.push(&text, &mut store);
        log.finish(&mut store);
    }
    Arc::new(store)
}

fn run(segments: &[Segment<'_>], keys: Arc<KeyStore>, late: bool) -> Vec<Event> {
    let mut out = Events::new();
    let mut shard = Shard::new(Arc::new(Limits::default()));
    let randoms: Vec<[u8; 32]> = keys.iter_tls13().map(|(random, _)| *random).collect();
    if !late {
        shard.keys(Arc::clone(&keys), &randoms, &mut out);
    }
    for segment in segments {
        shard.segment(segment, &[], &mut out);
    }
    if late {
        shard.keys(keys, &randoms, &mut out);
    }
    shard.finish(Time(0), &mut out);
    out.drain().map(|(_, event)| event).collect()
}

/// RST_STREAM and GOAWAY frames.
fn frames(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.kind, Kind::Reset(_) | Kind::GoAway(_))).count()
}

fn each(name: &str, mut check: impl FnMut(&str, &[Segment<'_>], Arc<KeyStore>)) {
    let Some(folder) = folder(name) else { return };
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|ext| ext == "pcap")) {
        let file = fs::read(path).unwrap();
        let stem = path.file_stem().unwrap().to_string_lossy();
        check(&stem, &segments(&file), store(&path.with_extension("keys")));
    }
}

/// Every request ends once, and every connection opens first and closes last.
fn well_formed(stem: &str, events: &[Event]) {
    let mut open: BTreeMap<u64, BTreeMap<u32, bool>> = BTreeMap::new();
    for event in events {
        let words = short(event);
        match &event.kind {
            Kind::Opened { .. } => {
                assert!(open.insert(event.connection.0, BTreeMap::new()).is_none(), "{stem}: {words}")
            }
            Kind::Closed { .. } => {
                let requests = open.remove(&event.connection.0).expect(stem);
                assert!(requests.values().all(|ended| *ended), "{stem}: {words} leaves {requests:?}");
            }
            kind => {
                let requests = open.get_mut(&event.connection.0).expect(stem);
                match kind {
                    Kind::Request(exchange) => assert_eq!(requests.insert(exchange.id, false), None, "{stem}: {words}"),
                    Kind::Ended { exchange, .. } => {
                        assert_ne!(requests.insert(*exchange, true), Some(true), "{stem}: {words} twice");
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(open.is_empty(), "{stem}");
}

/// Frames that tshark finds in each capture.
const FRAMES: [(&str, usize); 18] = [
    ("apache-haproxy-502", 4),
    ("apache-haproxy-retry-storm", 4),
    ("apache-nghttpx-closed", 1),
    ("apache-tls12-curl-retries", 3),
    ("apache-tls13-curl-retries", 3),
    ("kestrel-busy-url-haproxy", 8),
    ("kestrel-busy-url-haproxy-retries", 8),
    ("kestrel-busy-url-request-id", 8),
    ("kestrel-h2-preface-on-http1-port", 2),
    ("kestrel-haproxy-502", 3),
    ("kestrel-haproxy-fixed-http1", 0),
    ("kestrel-haproxy-retry-storm", 8),
    ("kestrel-iis-form-windows-auth", 3),
    ("kestrel-late-reset", 5),
    ("kestrel-multiplexed-browser-like", 6),
    ("kestrel-nghttpx-scheme-mismatch", 3),
    ("kestrel-tls13-curl-retries", 3),
    ("kestrel-yarp", 6),
];

fn expected(stem: &str) -> Option<usize> {
    FRAMES.iter().find(|(name, _)| *name == stem).map(|(_, frames)| *frames)
}

#[test]
fn finds_the_frames_that_tshark_finds() {
    for name in ["kestrel", "lab"] {
        each(name, |stem, segments, keys| {
            let events = run(segments, keys, false);
            well_formed(stem, &events);
            if let Some(count) = expected(stem) {
                assert_eq!(frames(&events), count, "{stem}: {:?}", events.iter().map(short).collect::<Vec<_>>());
            }
        });
    }
}

#[test]
fn keys_that_come_last_show_the_same() {
    for name in ["kestrel", "lab"] {
        each(name, |stem, segments, keys| {
            let told = |late| requests(&run(segments, Arc::clone(&keys), late));
            assert_eq!(told(true), told(false), "{stem}");
        });
    }
}

/// Requests, their ends and resets, in a fixed order.
fn requests(events: &[Event]) -> Vec<String> {
    let mut told: Vec<String> = events
        .iter()
        .filter(|event| matches!(event.kind, Kind::Request(_) | Kind::Ended { .. } | Kind::Reset(_)))
        .map(|event| format!("{} {} {}", event.connection.0, event.time.0, short(event)))
        .collect();
    told.sort();
    told
}

#[test]
fn packets_that_come_twice_or_swapped_show_the_same() {
    each("lab", |stem, segments, keys| {
        let expected = frames(&run(segments, Arc::clone(&keys), false));
        let twice: Vec<Segment<'_>> = segments.iter().flat_map(|segment| [*segment, *segment]).collect();
        assert_eq!(frames(&run(&twice, keys, false)), expected, "{stem}");
    });
}

#[test]
fn the_late_search_opens_what_was_joined_late() {
    each("kestrel", |stem, segments, keys| {
        if !stem.ends_with("joined-late") {
            return;
        }
        let mut out = Events::new();
        let mut shard = Shard::new(Arc::new(Limits::default()));
        shard.keys(Arc::clone(&keys), &[], &mut out);
        for segment in segments {
            shard.segment(segment, &[], &mut out);
        }
        let mut search = tls_tap::late::Search::new(1 << 24);
        let samples = shard.samples();
        assert!(!samples.flows.is_empty());
        samples.claims.iter().for_each(|random| search.claim(random));
        for (token, side, records) in samples.flows {
            search.add_flow(token, side, records);
        }
        search.add_keys(&keys, keys.iter_tls13().map(|(random, _)| random));
        while search.pending() {
            for found in search.step(1 << 20) {
                shard.unlock(found.token, found, &mut out);
            }
        }
        shard.finish(Time(0), &mut out);
        let events: Vec<Event> = out.drain().map(|(_, event)| event).collect();
        well_formed(stem, &events);
        assert_eq!(frames(&events), 2, "{:?}", events.iter().map(short).collect::<Vec<_>>());
    });
}
