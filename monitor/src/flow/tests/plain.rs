//! Plaintext as probes give it, from items to events.

use std::sync::Arc;

use super::script::short;
use crate::flow::{Events, Shard};
use crate::limits::Limits;
use crate::model::{PlainEnd, PlainId, PlainItem, PlainWhat, Plaintext, Process, Side, Time, Writer};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// GET /a, the first request.
const REQUEST: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x87\x84\x41\x01a";
const ANSWER: &[u8] = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
const REFUSED: &[u8] = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x0d";
/// The header of a DATA frame of 300 bytes that ends its stream.
const DATA: &[u8] = b"\0\x01\x2c\0\x01\0\0\0\x01";

struct Probe {
    shard: Shard<'static>,
    out: Events,
    ordinal: u64,
    arena: Vec<u8>,
}

impl Probe {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self { shard: Shard::new(Arc::new(limits)), out: Events::new(), ordinal: 0, arena: Vec::new() }
    }

    fn say(&mut self, connection: u64, what: PlainWhat) {
        self.ordinal += 1;
        let plaintext = Plaintext { time: Time(self.ordinal * 1_000), connection: PlainId(connection), what };
        let item = PlainItem { ordinal: self.ordinal, hash: connection, plaintext };
        self.shard.plaintext(&item, &self.arena, &mut self.out);
    }

    fn open(&mut self, connection: u64, joined: bool, role: Option<Side>) {
        let process = Arc::new(Process { pid: 9, command: "kestrel".into(), ..Process::default() });
        self.say(connection, PlainWhat::Opened { process, joined, role });
    }

    fn bytes(&mut self, connection: u64, by: Writer, bytes: &[u8]) {
        let start = u32::try_from(self.arena.len()).unwrap();
        self.arena.extend_from_slice(bytes);
        self.say(connection, PlainWhat::Bytes { by, start, len: u32::try_from(bytes.len()).unwrap() });
    }

    fn peer(&mut self, bytes: &[u8]) {
        self.bytes(1, Writer::Peer, bytes);
    }

    fn local(&mut self, bytes: &[u8]) {
        self.bytes(1, Writer::Local, bytes);
    }

    fn told(&mut self) -> Vec<String> {
        self.out.drain().map(|(_, event)| short(&event)).collect()
    }

    fn ends(&mut self, local: u16, peer: u16) {
        let at = |port| std::net::SocketAddr::from(([192, 0, 2, 1], port));
        self.say(1, PlainWhat::Ends { local: at(local), peer: at(peer) });
    }
}

#[test]
fn a_connection_from_its_start_to_its_end() {
    let mut probe = Probe::new();
    probe.open(1, false, None);
    probe.ends(443, 50_000);
    // The server may speak first; the preface says who it is.
    probe.local(b"\0\0\0\x04\0\0\0\0\0");
    assert!(probe.told().is_empty());
    probe.peer(PREFACE);
    probe.peer(REQUEST);
    probe.local(REFUSED);
    probe.say(1, PlainWhat::Closed(PlainEnd::Freed));
    probe.say(1, PlainWhat::Closed(PlainEnd::Freed));
    let told = probe.told();
    assert_eq!(
        told,
        [
            "opened 192.0.2.1:50000>192.0.2.1:443",
            "process 9 kestrel",
            "h2",
            "request 1 /",
            "reset 1 HTTP_1_1_REQUIRED BeforeResponse",
            "ended 1 HTTP_1_1_REQUIRED",
            "closed Freed 70 0",
        ],
    );
}

#[test]
fn what_was_open_when_the_process_ended_was_ended_by_its_side() {
    for (role, closed) in [(Side::Server, "Server"), (Side::Client, "Client")] {
        let mut probe = Probe::new();
        probe.open(1, false, Some(role));
        let client = if role == Side::Server { Writer::Peer } else { Writer::Local };
        probe.bytes(1, client, &[PREFACE, REQUEST].concat());
        probe.told();
        probe.say(1, PlainWhat::Closed(PlainEnd::ProcessEnded));
        let how = format!("ProcessEnded({closed})");
        assert_eq!(probe.told(), [format!("ended 1 {how}"), format!("closed {how} 48 0")]);
    }
}

#[test]
fn data_that_was_counted_is_no_gap() {
    for padded in [false, true] {
        let mut probe = Probe::new();
        probe.open(1, false, Some(Side::Server));
        probe.peer(&[PREFACE, REQUEST].concat());
        let mut header = DATA.to_vec();
        if padded {
            header[4] |= 8;
        }
        probe.local(&[ANSWER, &header].concat());
        probe.say(1, PlainWhat::Skipped { by: Writer::Local, bytes: 100 });
        assert!(!probe.told().iter().any(|event| event.starts_with("ended")), "not yet");
        probe.say(1, PlainWhat::Skipped { by: Writer::Local, bytes: 200 });
        assert_eq!(probe.told(), ["ended 1 complete"]);
        probe.local(REFUSED);
        assert_eq!(probe.told(), ["reset 1 HTTP_1_1_REQUIRED AfterEnd"]);
    }
}

#[test]
fn joined_in_the_middle_it_is_read_from_the_next_frame_on() {
    let mut probe = Probe::new();
    probe.open(1, true, None);
    // The end of a frame that was written before.
    probe.local(b"rest of a body");
    probe.local(&[ANSWER, DATA].concat());
    probe.say(1, PlainWhat::Skipped { by: Writer::Local, bytes: 300 });
    probe.peer(b"\0\0\x05\x01\x05\0\0\0\x03\x82\x87\x84\xbe\xbf");
    probe.local(b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x0d");
    probe.local(b"\0\0\x08\x06\0\0\0\0\0........\0\0\x08\x06\0\0\0\0\0........");
    probe.peer(b"\0\0\x08\x06\0\0\0\0\0........\0\0\x08\x06\0\0\0\0\0........");
    probe.say(1, PlainWhat::Closed(PlainEnd::Freed));
    let told = probe.told();
    assert_eq!(told[0], "opened ?>? joined");
    assert!(told.contains(&"reset 3 HTTP_1_1_REQUIRED BeforeResponse".to_owned()), "{told:?}");
}

#[test]
fn what_was_lost_is_a_gap_and_the_place_is_found_again() {
    for bytes in [Some(40), None] {
        let mut probe = Probe::new();
        probe.open(1, false, Some(Side::Server));
        probe.peer(&[PREFACE, REQUEST].concat());
        probe.say(1, PlainWhat::Lost { by: Writer::Local, bytes });
        probe.local(REFUSED);
        probe.say(1, PlainWhat::Closed(PlainEnd::Freed));
        let told = probe.told();
        let gap = format!("gap Server {} probe", bytes.map_or("?".to_owned(), |bytes| bytes.to_string()));
        assert!(told.contains(&gap), "{told:?}");
        assert!(told.contains(&"dark Some(Server) h2_lost_sync".to_owned()), "{told:?}");
        assert!(told.iter().any(|event| event.starts_with("reset 1 HTTP_1_1_REQUIRED")), "{told:?}");
    }
    // Inside a body whose length is known nothing is lost but the body.
    let mut probe = Probe::new();
    probe.open(1, false, Some(Side::Server));
    probe.peer(&[PREFACE, REQUEST].concat());
    probe.local(&[ANSWER, DATA].concat());
    probe.say(1, PlainWhat::Lost { by: Writer::Local, bytes: Some(300) });
    let told = probe.told();
    assert_eq!(told[told.len() - 2..], ["gap Server 300 probe", "ended 1 complete"]);
}

#[test]
fn addresses_that_come_late_are_told() {
    let mut probe = Probe::new();
    probe.open(1, false, Some(Side::Client));
    probe.local(&[PREFACE, REQUEST].concat());
    probe.ends(50_000, 8_443);
    let told = probe.told();
    assert_eq!(told.first().map(String::as_str), Some("opened ?>?"));
    assert_eq!(told.last().map(String::as_str), Some("ends 192.0.2.1:50000>192.0.2.1:8443"));
}

#[test]
fn without_roles_a_bounded_part_waits() {
    let mut probe = Probe::new();
    probe.open(1, true, None);
    for _ in 0..100 {
        probe.peer(&[7; 1_000]);
    }
    let told = probe.told();
    assert_eq!(told, ["opened ?>? joined", "process 9 kestrel", "dark None too_little"]);
    probe.shard.tick(Time(0), &mut probe.out);
    assert_eq!(probe.told(), ["progress 100000 85000"]);
    assert!(probe.shard.counts().http_bytes < 64 << 10);
    // Where the bytes show it in the end, it is read from there on.
    probe.peer(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    let told = probe.told();
    assert_eq!(told.first().map(String::as_str), Some("lit"));
    assert_eq!(told.last().map(String::as_str), Some("request 1 /late"), "{told:?}");
    // And the ports do where nothing else does.
    let mut probe = Probe::new();
    probe.open(1, true, None);
    probe.ends(443, 50_000);
    for _ in 0..100 {
        probe.peer(&[7; 1_000]);
    }
    assert_eq!(probe.told().first().map(String::as_str), Some("opened 192.0.2.1:50000>192.0.2.1:443 joined"));
}

#[test]
fn caps_hold_for_plaintext_too() {
    let mut probe = Probe::with(Limits { flows: 8, ..Limits::default() });
    for connection in 0..100 {
        probe.open(connection, false, Some(Side::Server));
        probe.bytes(connection, Writer::Peer, &[PREFACE, REQUEST].concat());
    }
    let counts = probe.shard.counts();
    assert_eq!((counts.open, counts.evicted), (8, 92));
    assert_eq!(probe.told().iter().filter(|event| event.starts_with("closed Evicted")).count(), 92);
    // One that was given up and goes on is a connection of its own, joined late.
    probe.bytes(0, Writer::Peer, REQUEST);
    assert!(probe.told().contains(&"opened ?>? joined".to_owned()));
    // And one that is idle for too long is forgotten.
    let later = Limits::default().flow_idle.as_nanos() as u64;
    probe.shard.tick(Time(later + 1_000_000_000), &mut probe.out);
    assert_eq!(probe.shard.counts().open, 0);
}
