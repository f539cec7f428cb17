//! HTTP/2 on the web port: the same answers, and no way for a hostile client to keep others out.

use std::io::{Read as _, Write as _};
use std::process::Command;

use crate::client::get;
use crate::fake::{self, Running};
use crate::secure::{Folder, Stream, TLS};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// GET /-/healthy of https://localhost, in HPACK without a table.
fn healthy() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x01, 9];
    block.extend(b"localhost");
    block.extend([0x04, 10]);
    block.extend(b"/-/healthy");
    block
}

/// What a server sent: type, flags, stream, payload.
type Frame = (u8, u8, u32, Vec<u8>);

/// A connection that has begun, by hand.
struct Raw(Stream);

impl Raw {
    fn new(folder: &Folder, running: &Running) -> Self {
        let mut this = Self(folder.connect(running.address, None, &[b"h2"]));
        this.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(SETTINGS, 0, 0, &[]).as_slice()].concat());
        this
    }

    /// The server may have hung up already: that is for the test to see in what it sent.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).and_then(|()| self.0.flush());
    }

    /// The next frame; `None`: the server has closed the connection.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// Reads to the end: the code of the GOAWAY.
    fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some((kind, _, _, payload)) = self.next() {
            if kind == GOAWAY {
                code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
        code
    }
}

fn serving() -> (Folder, Running) {
    let folder = Folder::new();
    let running = Running::start(fake::quiet(), Some(&folder.config(TLS)));
    (folder, running)
}

/// Somebody else is served as ever.
fn others_are_served(folder: &Folder, running: &Running) {
    let mut other = Raw::new(folder, running);
    other.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &healthy()));
    let body = std::iter::from_fn(|| other.next()).find(|(kind, .., payload)| *kind == DATA && !payload.is_empty());
    assert_eq!(body.map(|(.., payload)| payload).as_deref(), Some(&b"healthy\n"[..]));
}

/// What curl says of a path: version, status, body.
fn curl(running: &Running, words: &[&str], path: &str) -> (String, String) {
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "-k", "--max-time", "20", "-w", "\n%{http_version} %{http_code}"])
        .args(["--resolve", &format!("localhost:{}:127.0.0.1", running.address.port())])
        .args(words)
        .arg(format!("https://localhost:{}{path}", running.address.port()))
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, end) = text.rsplit_once('\n').unwrap_or(("", &text));
    (end.to_owned(), body.to_owned())
}

#[test]
fn curl_gets_the_same_over_either_version() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: curl_gets_the_same_over_either_version: curl is not installed");
        return;
    }
    let (folder, running) = serving();
    for (path, words, status) in [
        ("/-/healthy", &[][..], 200),
        ("/api/v1/build", &[], 200),
        ("/nothing", &[], 404),
        ("/", &["--data", "x"], 413),
        ("/", &["-X", "DELETE"], 405),
        ("/-/healthy", &["-H", "Host: evil.example"], 421),
    ] {
        let one = curl(&running, &[&["--http1.1"], words].concat(), path);
        let two = curl(&running, &[&["--http2"], words].concat(), path);
        assert_eq!((one.0, two.0), (format!("1.1 {status}"), format!("2 {status}")), "{path}");
        assert_eq!(one.1, two.1, "{path}");
    }
    folder.config(&format!("{TLS}http_server_config:\n  http2: false\n"));
    assert_eq!(curl(&running, &["--http2"], "/-/healthy").0, "1.1 200");
}

#[test]
fn a_flood_of_resets_ends_the_connection() {
    let (folder, running) = serving();
    let mut raw = Raw::new(&folder, &running);
    let cancel = 8_u32.to_be_bytes();
    // In one record, which the server reads whole: a connection that is closed with bytes unread ends without its last words.
    let flood = (0..100_u32).flat_map(|n| {
        let stream = 2 * n + 1;
        let asked = frame(HEADERS, END_HEADERS | END_STREAM, stream, &healthy());
        [asked, frame(RST_STREAM, 0, stream, &cancel)].concat()
    });
    raw.send(&flood.collect::<Vec<u8>>());
    assert_eq!(raw.goaway(), Some(ENHANCE_YOUR_CALM));
    others_are_served(&folder, &running);
}

#[test]
fn header_sections_without_end_or_measure_are_refused() {
    let (folder, running) = serving();
    let mut raw = Raw::new(&folder, &running);
    raw.send(&frame(HEADERS, END_STREAM, 1, &healthy()));
    // A field that is not indexed, over and over.
    let field = [&[0x00, 1, b'a', 100][..], &[b'x'; 100]].concat().repeat(100);
    for _ in 0..1_000 {
        raw.send(&frame(CONTINUATION, 0, 1, &field));
    }
    while raw.next().is_some() {}
    // A section that is only too long gets an answer, and the connection stays.
    let mut raw = Raw::new(&folder, &running);
    let long = [healthy(), [&[0x00, 1, b'a', 100][..], &[b'x'; 100]].concat().repeat(150)].concat();
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &long));
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &healthy()));
    let answers: Vec<_> = std::iter::from_fn(|| raw.next())
        .filter(|(kind, ..)| *kind == HEADERS)
        .take(2)
        .map(|(_, _, stream, block)| (stream, block[0]))
        .collect();
    // The status is the first field: 431 has no entry of its own in the static table, 200 is entry 8.
    assert!(answers.contains(&(3, 0x88)) && answers.iter().any(|&(stream, first)| stream == 1 && first != 0x88));
    others_are_served(&folder, &running);
}

#[test]
fn what_a_client_may_hold_is_bounded_and_said() {
    let (folder, running) = serving();
    let mut raw = Raw::new(&folder, &running);
    let settings = std::iter::from_fn(|| raw.next()).find(|(kind, flags, ..)| (*kind, *flags) == (SETTINGS, 0));
    let (.., settings) = settings.unwrap();
    let value = |id: u8| {
        let found = settings.chunks(6).find(|entry| entry[..2] == [0, id]);
        found.map(|entry| u32::from_be_bytes(entry[2..].try_into().unwrap()))
    };
    let (streams, window, header_list) = (value(3).unwrap(), value(4).unwrap_or(65_535), value(6).unwrap());
    assert!(streams <= 16 && window <= 65_535 && header_list <= 16 << 10, "{streams} {window} {header_list}");
    // Uploads that nobody asked for are refused before they are read.
    let mut post = healthy();
    post[0] = 0x83;
    raw.send(&frame(HEADERS, END_HEADERS, 1, &post));
    let answer = std::iter::from_fn(|| raw.next()).find(|(kind, ..)| *kind == HEADERS);
    assert!(answer.is_some());
    others_are_served(&folder, &running);
    assert_eq!(get(running.address, "/").status, 400, "clear text to a port that speaks TLS");
}
