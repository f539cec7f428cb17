//! Makes the first inputs of the kept corpus, from the project's captures and the examples of RFC 7541: `cargo run --example seed`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use h2watch::limits::Limits;
use h2watch::model::{PacketBatch, SegmentBatch};
use h2watch::packet::Decoder;
use h2watch::source::{OpenedInputs, Source};

/// Captures that the larger seeds are made from: one of each kind of connection.
const KINDS: [&str; 6] = ["tls12", "clear-h2c", "http1-port", "joined-late", "retry-storm", "tls13-curl"];

/// Longest input of a seed.
const LONGEST: usize = 8 << 10;

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("a file");
}

/// A capture's packets (link, bytes) and key log.
fn read(bytes: &[u8]) -> (Vec<(u16, Vec<u8>)>, Vec<u8>) {
    let mut inputs = OpenedInputs::given(vec![(String::new(), bytes.to_vec())]);
    let mut keys = Vec::new();
    inputs.secrets(&mut |text| keys.extend_from_slice(text));
    let (mut source, mut batch, mut packets) = (inputs.source(), PacketBatch::default(), Vec::new());
    while source.fill(&mut batch).expect("memory does not fail") {
        packets
            .extend(batch.packets.iter().map(|packet| (packet.link, packet.data.chunk(&batch.arena).bytes().to_vec())));
    }
    (packets, keys)
}

fn pcap(packets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, packets.first().map_or(1, |(link, _)| u32::from(*link))] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for (second, (_, bytes)) in (1u32..).zip(packets) {
        for word in [second, 0, bytes.len() as u32, bytes.len() as u32] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(bytes);
        if out.len() > LONGEST {
            break;
        }
    }
    out
}

/// The first blocks of a pcapng file, as many as fit.
fn front(bytes: &[u8]) -> &[u8] {
    let mut end = 0;
    while let Some(length) = bytes.get(end + 4..end + 8) {
        let next = end + u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if next > 2 * LONGEST || next <= end || next > bytes.len() {
            break;
        }
        end = next;
    }
    &bytes[..end]
}

/// The segments of the first connection that begins as TLS, as operations of `tls_records` behind its key log.
fn records(packets: &[(u16, Vec<u8>)], keys: &[u8]) -> Vec<u8> {
    let batch = &mut PacketBatch::default();
    for (link, bytes) in packets {
        let (start, len) = (batch.arena.len() as u32, bytes.len() as u32);
        batch.arena.extend_from_slice(bytes);
        let data = h2watch::model::Bytes::Arena { start, len };
        let time = h2watch::model::Time(0);
        batch.packets.push(h2watch::model::Packet { time, link: *link, data, wire_len: len, shortened: false });
    }
    let mut out = SegmentBatch::default();
    Decoder::new(&Limits::default()).decode(batch, &mut out);
    let mut flows: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for segment in out.shards.iter().flatten() {
        let payload = segment.payload.chunk(&out.arena).bytes();
        let name = (segment.key.low, segment.key.high);
        let from_client = if segment.from_low { name.0.1 > name.1.1 } else { name.1.1 > name.0.1 };
        if !payload.is_empty() {
            let ops = flows.entry(name).or_default();
            ops.push(if from_client { 2 } else { 0x82 });
            ops.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            ops.extend_from_slice(payload);
        }
    }
    let ops = flows.into_values().find(|ops| ops.get(3) == Some(&22)).unwrap_or_default();
    let random: String = ops.get(14..46).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = String::from_utf8_lossy(keys);
    let keys: String = lines.lines().filter(|line| line.contains(&random)).map(|line| format!("{line}\n")).collect();
    let mut input = vec![0x18];
    input.extend_from_slice(&(keys.len() as u16).to_be_bytes());
    input.extend_from_slice(keys.as_bytes());
    input.extend_from_slice(&ops[..ops.len().min(LONGEST)]);
    input
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// RFC 7541 appendix C.3 to C.6, one run of blocks each.
const HPACK: [&[&str]; 3] = [
    &[
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ],
    &[
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ],
    &[
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ],
];

fn protocols() {
    for (name, blocks) in ["plain", "huffman", "response"].iter().zip(HPACK) {
        for (mark, between) in [("whole", &[][..]), ("missed", &[4, 1, 0x82, 7][..])] {
            let mut input = vec![0, 5, 1, 0];
            for block in blocks {
                let block = hex(block);
                input.extend_from_slice(&[0, block.len() as u8]);
                input.extend_from_slice(&block);
                input.extend_from_slice(between);
            }
            write("hpack", &format!("{name}-{mark}"), &input);
        }
    }
    let exchange = [
        &[2, 7, 9, 4, 0, 0, 0, 0x89, 4, 0, 0, 6, 0, 3, 0, 0, 0, 100][..],
        &[9, 1, 5, 1, 4, 0x82, 0x84, 0x87, 0x41, 0x89, 1, 4, 1, 1, 0x88, 0x88, 1, 0, 1, 0, 0x88, 1, 1, 0, 9],
        &[9, 1, 4, 3, 1, 0x82, 0x89, 3, 0, 3, 4, 0, 0, 0, 13, 0x83, 9, 0x89, 7, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 13],
    ]
    .concat();
    write("h2_frames", "exchange", &exchange);
    write("h2_frames", "late", &[&[3], &exchange[2..]].concat());
    for (name, flags) in [("handshake", 0x10), ("skips", 0x14), ("search", 0x11)] {
        let hello: &[u8] = if name == "search" { &[] } else { &[0, 0x81, 0xc2, 0x84, 0x43] };
        let body: &[u8] = &[9, 4, 0, 0x88, 0x40, 0, 0x88, 1, 0, 5, 9, 3, 4, 0, 0, 0, 1, 15, 14, 0x86, 21, 0, 2, 1, 0];
        write("tls_handshake", name, &[&[flags, 1], hello, body].concat());
    }
    let clear = [0, 1, 0, 2, 4, 0, 0, 0, 0x82, 4, 0, 0, 0, 3, 1, 0x85, 1, 13, 0x11, 1, 0x91, 3, 8, 0x11, 0x88, 0x11];
    write("pipeline", "clear", &clear);
    let sealed = [0, 11, 5, 1, 0, 2, 4, 0, 0, 0, 3, 1, 0x84, 1, 1, 0, 3, 3, 0x85, 3, 13, 7, 30, 27, 6, 17, 1, 0x91, 3];
    write("pipeline", "sealed", &sealed);
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures");
    for entry in fs::read_dir(folder).expect("captures").flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_none_or(|ending| ending != "pcapng") || !KINDS.iter().any(|kind| name.contains(kind)) {
            continue;
        }
        let bytes = fs::read(&path).expect("a capture");
        let (packets, keys) = read(&bytes);
        let records = records(&packets, &keys);
        if records.len() > 100 {
            write("tls_records", &name, &records);
        }
        write("pipeline", &name, front(&bytes));
        if name.contains("retry-storm") || name.contains("tls12") {
            write("keylog", &name, &keys[..keys.len().min(1_000)]);
        }
        if name.contains("retry-storm") || name.contains("http1-port") {
            write("pcapng", &name, &bytes[..bytes.len().min(LONGEST)]);
            write("pcap", &name, &pcap(&packets)[..2_000]);
            let mut input = Vec::new();
            for (link, bytes) in packets.iter().take(12) {
                input.push(if *link == 276 { 9 } else { 0 });
                input.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
                input.extend_from_slice(bytes);
            }
            write("packet", &name, &input);
        }
    }
    protocols();
}
