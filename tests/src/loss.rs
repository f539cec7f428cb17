//! Captures with packets taken out, and what is still found in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use h2watch::limits::Limits;
use h2watch::model::{Event, Finding, Kind};
use h2watch::replay::{Keys, Listener, Plan, run};
use h2watch::source::OpenedInputs;

use crate::captures;
use crate::traffic::Random;

/// A little-endian classic pcap of Ethernet, IPv4 and TCP, as the lab's captures are, cut into packets.
pub struct Cut {
    header: Vec<u8>,
    packets: Vec<Vec<u8>>,
}

impl Cut {
    /// Reads a capture.
    #[must_use]
    pub fn read(capture: &Path) -> Option<Self> {
        let bytes = std::fs::read(capture).ok()?;
        let (header, mut rest) = bytes.split_at_checked(24)?;
        let mut packets = Vec::new();
        while let Some(length) = rest.get(8..12) {
            let length = 16 + u32::from_le_bytes(length.try_into().ok()?) as usize;
            let (packet, after) = rest.split_at_checked(length)?;
            packets.push(packet.to_vec());
            rest = after;
        }
        Some(Self { header: header.to_vec(), packets })
    }

    /// Number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// No packets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Capture time of a packet in nanoseconds.
    #[must_use]
    pub fn time(&self, index: usize) -> u64 {
        let word =
            |at: usize| u64::from(u32::from_le_bytes(self.packets[index][at..at + 4].try_into().expect("four bytes")));
        let unit = if self.header[..4] == 0xa1b2_3c4du32.to_le_bytes() { 1 } else { 1_000 };
        word(0) * 1_000_000_000 + word(4) * unit
    }

    /// Source and destination port.
    #[must_use]
    pub fn ports(&self, index: usize) -> [u16; 2] {
        let packet = &self.packets[index][16..];
        let tcp = 14 + usize::from(packet[14] & 15) * 4;
        [0, 2].map(|at| u16::from_be_bytes([packet[tcp + at], packet[tcp + at + 1]]))
    }

    /// The packet carries payload.
    #[must_use]
    pub fn has_payload(&self, index: usize) -> bool {
        let packet = &self.packets[index][16..];
        let ip = usize::from(packet[14] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([packet[16], packet[17]]));
        let tcp = usize::from(packet[14 + ip + 12] >> 4) * 4;
        total > ip + tcp
    }

    /// Writes the capture without some packets.
    pub fn write_without(&self, lose: impl Fn(usize) -> bool, to: &Path) {
        let mut bytes = self.header.clone();
        for (index, packet) in self.packets.iter().enumerate() {
            if !lose(index) {
                bytes.extend_from_slice(packet);
            }
        }
        std::fs::write(to, bytes).expect("a writable folder");
    }

    /// Picks packets at random, a share of `per_mille` of those that `may` be lost.
    #[must_use]
    pub fn pick(&self, per_mille: u64, seed: u64, may: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut random = Random::new(seed);
        (0..self.len()).map(|index| may(index) && random.below(1_000) < per_mille).collect()
    }
}

/// Something found at a time: how often each is there.
pub type Found = BTreeMap<(u64, String), u64>;

/// What `part` has of `whole`, and what it has that `whole` has not.
#[must_use]
pub fn compare(whole: &Found, part: &Found, lost: impl Fn(u64) -> bool) -> Recovered {
    let mut recovered = Recovered::default();
    let mut names: BTreeMap<&str, i64> = BTreeMap::new();
    for ((_, name), count) in whole {
        *names.entry(name).or_default() += *count as i64;
    }
    for ((_, name), count) in part {
        let left = names.entry(name).or_default();
        *left -= *count as i64;
    }
    recovered.wrong = names.iter().filter(|(_, left)| **left < 0).map(|(name, _)| (*name).to_owned()).collect();
    let mut have: BTreeMap<&str, u64> = BTreeMap::new();
    for ((_, name), count) in part {
        *have.entry(name).or_default() += count;
    }
    for ((time, name), count) in whole {
        if lost(*time) {
            continue;
        }
        recovered.wanted += count;
        let left = have.entry(name).or_default();
        let got = (*count).min(*left);
        *left -= got;
        recovered.got += got;
    }
    recovered
}

/// How much was found again.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// What lies in undamaged packets.
    pub wanted: u64,
    /// Of these, found.
    pub got: u64,
    /// Found, but not there.
    pub wrong: Vec<String>,
}

/// Header sections and resets, by connection and stream.
#[derive(Default)]
pub struct Frames {
    ports: BTreeMap<u64, u16>,
    /// What was found.
    pub found: Found,
    first_request: BTreeMap<u16, u64>,
}

impl Frames {
    fn add(&mut self, event: &Event, what: String) {
        let port = self.ports[&event.connection.0];
        *self.found.entry((event.time.0, format!("{port} {what}"))).or_default() += 1;
    }
}

impl Listener for Frames {
    fn finding(&mut self, _: &Finding) {}

    fn event(&mut self, event: &Event) {
        match &event.kind {
            Kind::Opened { ends, .. } => {
                self.ports.insert(event.connection.0, ends.client.map_or(0, |client| client.port()));
            }
            Kind::Request(exchange) => {
                let port = self.ports[&event.connection.0];
                self.first_request.entry(port).or_insert(event.time.0);
                // A field that HPACK lost is no wrong field: what is known has to be right.
                self.add(event, format!("request {}", exchange.id));
                if let Some(path) = exchange.request.path.as_deref() {
                    self.add(event, format!("request {} {path}", exchange.id));
                }
            }
            Kind::Response { exchange, status, informational: false, .. } => {
                self.add(event, format!("response {exchange}"));
                if let Some(status) = status {
                    self.add(event, format!("response {exchange} {status}"));
                }
            }
            Kind::Reset(seen) => {
                self.add(event, format!("reset {} {:?} {}", seen.reset.stream, seen.reset.by, seen.reset.code));
            }
            Kind::GoAway(seen) => {
                self.add(
                    event,
                    format!("goaway {} {:?} {}", seen.goaway.last_stream, seen.goaway.by, seen.goaway.code),
                );
            }
            _ => {}
        }
    }
}

/// Replays a capture.
#[must_use]
pub fn frames(capture: &Path, keys: &[PathBuf]) -> Frames {
    let limits = Limits::default();
    let mut secrets = Keys::new(&limits);
    secrets.files(keys).expect("a readable capture");
    let inputs = OpenedInputs::open(&[capture.to_owned()]).expect("a readable capture");
    let mut frames = Frames::default();
    run(&inputs, secrets, &Plan { threads: 1, settings: Default::default(), limits }, &mut frames);
    frames
}

/// Resets are decoded without HPACK; what else is wanted does not hang on dynamic table entries that were lost.
fn without_hpack(found: Found) -> Found {
    found
        .into_iter()
        .filter(|((_, name), _)| name.matches(' ').count() < 3 || name.contains("reset") || name.contains("goaway"))
        .collect()
}

/// A capture to take packets out of.
pub struct Subject {
    /// Its packets.
    pub cut: Cut,
    /// Where it is.
    pub path: PathBuf,
    /// Its key logs.
    pub keys: Vec<PathBuf>,
    whole: Frames,
    /// Its name.
    pub name: String,
}

/// The captures of the lab whose connections begin in them.
#[must_use]
pub fn subjects(shared: &Path) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for folder in ["kestrel", "lab"] {
        for capture in captures::files(&shared.join(folder), &[".pcap"]) {
            let name = capture.file_stem().expect("a readable capture").to_string_lossy().into_owned();
            if name.contains("joined-late") || name.contains("preface") {
                continue;
            }
            let keys = captures::keys_of(&capture);
            let whole = frames(&capture, &keys);
            subjects.push(Subject {
                path: capture.clone(),
                cut: Cut::read(&capture).expect("a readable capture"),
                keys,
                whole,
                name,
            });
        }
    }
    subjects
}

impl Subject {
    /// After the handshake of its connection: without the handshake a connection is dark, which another test is about.
    #[must_use]
    pub fn may_be_lost(&self, index: usize) -> bool {
        let begun = self.cut.ports(index).iter().find_map(|port| self.whole.first_request.get(port));
        self.cut.has_payload(index) && begun.is_some_and(|&time| self.cut.time(index) > time)
    }

    /// Takes packets out, and gives what is found again.
    #[must_use]
    pub fn lose(&self, lost: &dyn Fn(usize) -> bool, scratch: &Path) -> Recovered {
        self.cut.write_without(lost, scratch);
        let part = frames(scratch, &self.keys).found;
        let times: Vec<u64> =
            (0..self.cut.len()).filter(|&index| lost(index)).map(|index| self.cut.time(index)).collect();
        let wrong = compare(&self.whole.found, &part, |_| false).wrong;
        let kept =
            compare(&without_hpack(self.whole.found.clone()), &without_hpack(part), |time| times.contains(&time));
        Recovered { wrong, ..kept }
    }
}
