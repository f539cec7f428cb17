//! Whole connections, from bytes to events.

mod cut;
mod frames;
mod loss;
mod streams;

use crate::frame::{PREFACE, kind};
use crate::{Anomaly, Auth, Connection, End, Fields, GoAway, HeadKind, Limits, Observer, Phase, Reset, Side, Stream};

pub(crate) use Side::{Client, Server};

/// Writes down what it hears, and tags each stream with its path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Log(pub(crate) Vec<String>);

fn text(fields: &Fields<'_>) -> String {
    let lossy = |part: Option<&[u8]>| part.map_or("?".into(), |part| String::from_utf8_lossy(part).into_owned());
    let all: Vec<String> = fields.iter().map(|f| format!("{}={}", lossy(f.name), lossy(f.value))).collect();
    all.join(",")
}

impl Observer for Log {
    type Tag = String;

    fn request(&mut self, time: u64, stream: u32, kind: HeadKind, fields: &Fields<'_>, end: bool) -> String {
        self.0.push(format!("{time} {kind:?} {stream} {} end={end}", text(fields)));
        let path = fields.iter().find(|field| field.name == Some(b":path")).and_then(|field| field.value);
        String::from_utf8_lossy(path.unwrap_or(b"?")).into_owned()
    }

    fn response(&mut self, time: u64, stream: &Stream<String>, kind: HeadKind, by: Side, fields: &Fields<'_>) {
        self.0.push(format!("{time} {by:?} {kind:?} {} {}", stream.id, text(fields)));
    }

    fn reset(&mut self, time: u64, reset: Reset, stream: Option<&Stream<String>>) {
        let phase = stream.map_or(Phase::Unknown, |stream| stream.phase);
        let tag = stream.and_then(|stream| stream.tag.as_deref()).unwrap_or("-");
        let Reset { by, stream, code, verified } = reset;
        self.0.push(format!("{time} reset {stream} {code} by {by:?} {phase:?} {tag} verified={verified}"));
    }

    fn goaway(&mut self, time: u64, goaway: GoAway, open: usize) {
        let GoAway { by, last_stream, code, debug_len, .. } = goaway;
        self.0.push(format!("{time} goaway last={last_stream} {code} by {by:?} debug={debug_len} open={open}"));
    }

    fn end(&mut self, time: u64, stream: &Stream<String>, end: End) {
        let end = match end {
            End::Reset(reset) => format!("Reset({})", reset.code),
            End::Closed(Some(goaway)) => format!("Closed({})", goaway.code),
            other => format!("{other:?}"),
        };
        let tag = stream.tag.as_deref().unwrap_or("-");
        self.0.push(format!("{time} end {} {tag} {end} {:?} bytes={}", stream.id, stream.phase, stream.response_bytes));
    }

    fn anomaly(&mut self, time: u64, by: Side, anomaly: Anomaly) {
        self.0.push(format!("{time} {by:?} {anomaly:?}"));
    }
}

/// A connection and its log.
pub(crate) struct Tap {
    pub(crate) h2: Connection<String>,
    pub(crate) log: Log,
    pub(crate) time: u64,
}

impl Tap {
    pub(crate) fn new() -> Self {
        let mut tap = Self::with(Connection::new(Limits::default()));
        tap.data(Client, PREFACE);
        tap
    }

    pub(crate) fn with(h2: Connection<String>) -> Self {
        Self { h2, log: Log::default(), time: 0 }
    }

    pub(crate) fn data(&mut self, side: Side, bytes: &[u8]) {
        self.h2.data(self.time, side, bytes, false, &mut || Auth::Verified, &mut self.log);
    }

    pub(crate) fn record(&mut self, side: Side, bytes: &[u8]) {
        self.h2.data(self.time, side, bytes, true, &mut || Auth::Verified, &mut self.log);
    }

    pub(crate) fn gap(&mut self, side: Side, min: u64, max: u64) {
        self.h2.gap(self.time, side, min, max, &mut self.log);
    }

    pub(crate) fn finish(&mut self) -> Vec<String> {
        self.h2.finish(self.time, &mut self.log);
        self.events()
    }

    pub(crate) fn events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log.0)
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// A block without Huffman coding and without the dynamic table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut encoder = httlib_hpack::Encoder::default();
    let mut out = Vec::new();
    for (name, value) in fields {
        encoder.encode((name.as_bytes().to_vec(), value.as_bytes().to_vec(), 0), &mut out).unwrap();
    }
    out
}

pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", path)];
    frame(kind::HEADERS, 0x5, stream, &block(&fields))
}

pub(crate) fn ok(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, 0x4, stream, &block(&[(":status", "200")]))
}

pub(crate) fn body(stream: u32, end: bool, bytes: &[u8]) -> Vec<u8> {
    frame(kind::DATA, u8::from(end), stream, bytes)
}

pub(crate) fn rst(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(crate) fn window(stream: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &[0, 0, 1, 0])
}

pub(crate) fn has(events: &[String], part: &str) -> bool {
    events.iter().any(|event| event.contains(part))
}
