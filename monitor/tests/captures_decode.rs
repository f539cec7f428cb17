//! Every capture of the shared folder, down to its TCP segments, against tshark.
#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use h2watch::limits::Limits;
use h2watch::model::{Bytes, PacketBatch, SegmentBatch};
use h2watch::packet::Decoder;
use h2watch::source::{OpenedInputs, Source};

/// Frame number and TCP payload length on the wire, by frame.
type Lengths = Vec<(u64, u64)>;

fn captures() -> Option<PathBuf> {
    let shared = std::env::var_os("H2WATCH_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let captures = shared.join("captures");
    captures.is_dir().then_some(captures)
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|is| is == "pcap" || is == "pcapng") {
            into.push(path);
        }
    }
}

fn ours(path: &Path) -> Lengths {
    let inputs = OpenedInputs::open(&[path.to_owned()]).expect("open");
    let mut source = inputs.source();
    let mut decoder = Decoder::new(&Limits::default());
    let (mut raw, mut out) = (PacketBatch::default(), SegmentBatch::default());
    let mut lengths = Vec::new();
    while source.fill(&mut raw).expect("fill") {
        decoder.decode(&mut raw, &mut out);
        lengths.extend(out.shards.iter().flatten().map(|segment| {
            let captured = match segment.payload {
                Bytes::Lasting(bytes) => bytes.len() as u64,
                Bytes::Arena { len, .. } => u64::from(len),
            };
            (segment.ordinal, captured + u64::from(segment.missing))
        }));
    }
    assert_eq!(inputs.notes(), Vec::<String>::new());
    lengths.sort_unstable();
    lengths
}

fn tshark(path: &Path) -> Option<Lengths> {
    let output = Command::new("tshark")
        .args([
            "-n",
            "--disable-protocol",
            "tls",
            "-Y",
            "tcp.len",
            "-T",
            "fields",
            "-e",
            "frame.number",
            "-e",
            "tcp.len",
            "-r",
        ])
        .arg(path)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = |line: &str| line.split_once('\t').and_then(|(at, len)| Some((at.parse().ok()?, len.parse().ok()?)));
    text.lines().map(line).collect()
}

#[test]
fn the_same_tcp_segments_as_tshark() {
    let Some(captures) = captures() else {
        println!("skipped: no shared captures");
        return;
    };
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("skipped: no tshark");
        return;
    }
    let mut paths = Vec::new();
    files(&captures, &mut paths);
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let same = path.with_extension("pcap");
        if same != path && same.exists() {
            assert_eq!(ours(&path), ours(&same), "{}", path.display());
            continue;
        }
        let theirs = tshark(&path).unwrap_or_else(|| panic!("tshark on {}", path.display()));
        assert_eq!(ours(&path), theirs, "{}", path.display());
    }
}
