//! tshark as the oracle for which frames are on the wire.

use std::path::{Path, PathBuf};
use std::process::Command;

/// tshark can be run.
#[must_use]
pub fn is_there() -> bool {
    Command::new("tshark").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// An RST_STREAM or GOAWAY frame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reset {
    /// Sender, `address:port`.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// "RST_STREAM" or "GOAWAY".
    pub frame: String,
    /// Stream, or last stream.
    pub stream: u64,
    /// Error code.
    pub code: u64,
}

/// A request's header section.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Client, `address:port`.
    pub from: String,
    /// `:method`.
    pub method: String,
    /// `:path`, with query.
    pub path: String,
}

/// What tshark finds in a capture.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// Resets, sorted.
    pub resets: Vec<Reset>,
    /// Requests, sorted.
    pub requests: Vec<Request>,
    /// HEADERS and DATA frames.
    pub headers_and_data: usize,
}

/// Reads a capture with tshark.
pub fn frames(capture: &Path, keys: &[PathBuf]) -> Frames {
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(capture);
    for keys in keys {
        tshark.arg("-o").arg(format!("tls.keylog_file:{}", keys.display()));
    }
    for port in [8443, 8444, 8445] {
        tshark.args(["-d", &format!("tcp.port=={port},tls")]);
    }
    // Clear-text HTTP/2 on ports that tshark does not know.
    for (name, port) in [("h2c", 8447), ("preface", 8446), ("errorcode", 6233)] {
        if capture.to_string_lossy().contains(name) {
            tshark.args(["-d", &format!("tcp.port=={port},http2")]);
        }
    }
    tshark.args(["-Y", "http2", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=\u{1f}"]);
    let fields = [
        "ip.src",
        "ipv6.src",
        "tcp.srcport",
        "ip.dst",
        "ipv6.dst",
        "tcp.dstport",
        "http2.type",
        "http2.streamid",
        "http2.rst_stream.error",
        "http2.goaway.error",
        "http2.goaway.last_stream_id",
        "http2.headers.method",
        "http2.headers.path",
    ];
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().expect("tshark runs");
    let mut frames = Frames::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let columns: Vec<Vec<&str>> =
            line.split('\t').map(|column| column.split('\u{1f}').filter(|value| !value.is_empty()).collect()).collect();
        let [
            v4_from,
            v6_from,
            from_port,
            v4_to,
            v6_to,
            to_port,
            kinds,
            streams,
            resets,
            goaways,
            lasts,
            methods,
            paths,
        ] = columns.as_slice()
        else {
            panic!("tshark gave {} columns", columns.len());
        };
        let end = |v4: &[&str], v6: &[&str], port: &[&str]| match (v4.last(), v6.last()) {
            (Some(address), _) => format!("{address}:{}", port.last().unwrap_or(&"")),
            (None, Some(address)) => format!("[{address}]:{}", port.last().unwrap_or(&"")),
            (None, None) => String::new(),
        };
        let (from, to) = (end(v4_from, v6_from, from_port), end(v4_to, v6_to, to_port));
        let (mut resets, mut goaways, mut lasts) = (resets.iter(), goaways.iter(), lasts.iter());
        // The connection preface ("Magic") is a frame of no type to tshark: types and streams are aligned from the end.
        for (kind, stream) in kinds.iter().rev().zip(streams.iter().rev()).collect::<Vec<_>>().into_iter().rev() {
            match *kind {
                "0" | "1" => frames.headers_and_data += 1,
                "3" => frames.resets.push(Reset {
                    from: from.clone(),
                    to: to.clone(),
                    frame: "RST_STREAM".to_owned(),
                    stream: number(stream),
                    code: number(resets.next().unwrap_or(&"")),
                }),
                "7" => frames.resets.push(Reset {
                    from: from.clone(),
                    to: to.clone(),
                    frame: "GOAWAY".to_owned(),
                    stream: number(lasts.next().unwrap_or(&"")),
                    code: number(goaways.next().unwrap_or(&"")),
                }),
                _ => {}
            }
        }
        for (method, path) in methods.iter().zip(paths) {
            frames.requests.push(Request {
                from: from.clone(),
                method: (*method).to_owned(),
                path: (*path).to_owned(),
            });
        }
    }
    frames.resets.sort();
    frames.requests.sort();
    frames
}

fn number(text: &str) -> u64 {
    text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16)).expect("a number")
}
