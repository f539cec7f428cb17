//! Captures that are made to hurt: each of a size that the caller chooses, deterministic.

use crate::traffic::{Cipher, Connection, Packets, Random, Side, Tcp, data, frame, goaway, headers, rst_stream};

/// A capture file and its key log.
#[derive(Default)]
pub struct Hostile {
    /// The capture file's bytes.
    pub capture: Vec<u8>,
    /// Key log lines.
    pub keys: String,
}

impl From<Packets> for Hostile {
    fn from(packets: Packets) -> Self {
        Self { capture: packets.bytes, keys: String::new() }
    }
}

type Address = ([u8; 4], u16);

const SERVER: Address = ([10, 0, 0, 1], 80);
const TLS_SERVER: Address = ([10, 0, 0, 1], 443);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const MSS: usize = 1_448;

const SYN: u8 = 2;
const RST: u8 = 4;
const PSH_ACK: u8 = 0x18;

/// Client number `n`: an address and a port of its own.
const fn client(n: u32) -> Address {
    let [_, a, b, c] = (n / 16_384).to_be_bytes();
    ([172, 16 + a % 16, b, c], 1_024 + (n % 16_384) as u16 * 3)
}

/// TCP without TLS, without loss, without acknowledgments of their own.
pub struct Clear {
    ends: [Address; 2],
    seq: [u32; 2],
    /// Bytes of payload in a packet.
    pub mss: usize,
}

impl Clear {
    /// Connects.
    pub fn open(from: Address, to: Address, packets: &mut Packets) -> Self {
        let mut this = Self { ends: [from, to], seq: [1_000, 5_000], mss: MSS };
        this.segment(0, SYN, &[], packets);
        this.segment(1, SYN | 0x10, &[], packets);
        this.seq = [1_001, 5_001];
        this
    }

    /// Connects and says the HTTP/2 preface and both SETTINGS.
    pub fn h2(n: u32, settings: &[u8], packets: &mut Packets) -> Self {
        let mut this = Self::open(client(n), SERVER, packets);
        this.send(Side::Client, &[PREFACE, &frame(4, 0, 0, settings), &frame(4, 1, 0, &[])].concat(), packets);
        this.send(Side::Server, &[frame(4, 0, 0, settings), frame(4, 1, 0, &[])].concat(), packets);
        this
    }

    fn segment(&mut self, from: usize, flags: u8, payload: &[u8], packets: &mut Packets) {
        let (seq, ack) = (self.seq[from], self.seq[1 - from]);
        packets.tcp(Tcp { from: self.ends[from], to: self.ends[1 - from], seq, ack, flags }, payload);
        self.seq[from] = seq.wrapping_add(payload.len() as u32);
    }

    /// Sends bytes in packets.
    pub fn send(&mut self, side: Side, bytes: &[u8], packets: &mut Packets) {
        for part in bytes.chunks(self.mss) {
            self.segment(usize::from(side == Side::Server), PSH_ACK, part, packets);
        }
    }
}

/// An HPACK string without Huffman code, of less than 127 + 2^14 bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    integer(0, 7, bytes.len() as u32, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// An HPACK integer (RFC 7541 section 5.1).
fn integer(first: u8, prefix: u32, value: u32, out: &mut Vec<u8>) {
    let most = (1 << prefix) - 1;
    if value < most {
        return out.push(first | value as u8);
    }
    out.push(first | most as u8);
    let mut left = value - most;
    while left >= 128 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// A field with an indexed name that goes to the dynamic table.
fn indexed(name: u8, value: &[u8]) -> Vec<u8> {
    [&[0x40 | name][..], &string(value)].concat()
}

/// HPACK bomb: one large entry, then blocks of nothing but references to it, in requests of one frame each.
#[must_use]
pub fn hpack_bomb(requests: u32) -> Hostile {
    let mut packets = Packets::default();
    let mut connection = Clear::h2(0, &[], &mut packets);
    let big = indexed(33, &[b'x'; 4_000]);
    connection.send(Side::Client, &headers(1, &[&[0x82, 0x84, 0x86][..], &big].concat(), true), &mut packets);
    let block = [&[0x82, 0x84, 0x86][..], &[0xbe; 2_000]].concat();
    for n in 1..requests {
        connection.send(Side::Client, &headers(2 * n + 1, &block, true), &mut packets);
        connection.send(Side::Server, &headers(2 * n + 1, &[0x88], true), &mut packets);
    }
    packets.into()
}

/// Requests of a dozen bytes, each with a long path from the dynamic table: everything that a request is kept as comes from little.
#[must_use]
pub fn path_bomb(requests: u32) -> Hostile {
    let mut packets = Packets::default();
    let mut connection = Clear::h2(0, &[], &mut packets);
    let (one, two) = ([b"/".as_slice(), &[b'a'; 1_900]].concat(), [b"/".as_slice(), &[b'b'; 1_900]].concat());
    let mut up = Vec::new();
    for (n, path) in [(0, one), (1, two)] {
        up.extend_from_slice(&headers(2 * n + 1, &[&[0x82, 0x86][..], &indexed(4, &path)].concat(), true));
    }
    for n in 2..requests {
        up.extend_from_slice(&headers(2 * n + 1, &[0x82, 0x86, 0xbe + (n % 2) as u8], true));
    }
    connection.send(Side::Client, &up, &mut packets);
    packets.into()
}

/// The dynamic table goes up and down with every block, and is filled in between.
#[must_use]
pub fn table_churn(blocks: u32) -> Hostile {
    let mut packets = Packets::default();
    // SETTINGS_HEADER_TABLE_SIZE of 4 GiB.
    let mut connection = Clear::h2(0, &[0, 1, 0xff, 0xff, 0xff, 0xff], &mut packets);
    let mut random = Random::new(1);
    for n in 0..blocks {
        let mut block = Vec::new();
        integer(0x20, 5, 0, &mut block);
        integer(0x20, 5, u32::MAX >> (n % 20), &mut block);
        block.extend_from_slice(&[0x82, 0x84, 0x86]);
        for _ in 0..40 {
            block.extend_from_slice(
                &[&[0x40][..], &string(&random.bytes::<12>()), &string(&random.bytes::<20>())].concat(),
            );
        }
        connection.send(Side::Client, &headers(2 * n + 1, &block, true), &mut packets);
    }
    packets.into()
}

/// HEADERS without END_HEADERS, then CONTINUATION frames of `size` bytes without end.
#[must_use]
pub fn continuation_flood(frames: u32, size: usize) -> Hostile {
    let mut packets = Packets::default();
    let mut connection = Clear::h2(0, &[], &mut packets);
    let mut up = frame(1, 1, 1, &[0x82, 0x84, 0x86]);
    let part = frame(9, 0, 1, &vec![0x82; size]);
    for _ in 0..frames {
        up.extend_from_slice(&part);
    }
    connection.send(Side::Client, &up, &mut packets);
    packets.into()
}

/// SYNs, each of its own client.
#[must_use]
pub fn half_open(flows: u32) -> Hostile {
    let mut packets = Packets { step: 1_000, ..Packets::default() };
    for n in 0..flows {
        packets.tcp(Tcp { from: client(n), to: TLS_SERVER, seq: n, ack: 0, flags: SYN }, &[]);
    }
    packets.into()
}

/// Connections with one request each, never answered.
#[must_use]
pub fn unanswered_flows(flows: u32) -> Hostile {
    let mut packets = Packets::default();
    for n in 0..flows {
        let path = format!("/{n}/{}", "p".repeat(200));
        let mut connection = Clear::h2(n, &[], &mut packets);
        let block = [&[0x82, 0x86][..], &indexed(4, path.as_bytes())].concat();
        connection.send(Side::Client, &headers(1, &block, true), &mut packets);
    }
    packets.into()
}

/// Connections joined late, each of which gives a little of many kinds.
#[must_use]
pub fn midstream_flows(flows: u32, bytes: usize) -> Hostile {
    let mut packets = Packets::default();
    let mut random = Random::new(2);
    let mut body = vec![0; bytes];
    for n in 0..flows {
        let mut connection = Clear { ends: [client(n), SERVER], seq: [7, 9], mss: MSS };
        random.fill(&mut body);
        let table: Vec<u8> = (0..8).flat_map(|_| indexed(33, &random.bytes::<100>())).collect();
        let up = [frame(4, 0, 0, &[]), headers(101, &table, true), headers(103, &[0x82, 0x84], true)].concat();
        connection.send(Side::Client, &up, &mut packets);
        connection.send(Side::Server, &frame(6, 0, 0, &[0; 8]), &mut packets);
        connection.send(Side::Server, &data(101, &body, false), &mut packets);
    }
    packets.into()
}

/// A TLS connection in segments of one byte.
#[must_use]
pub fn tiny_segments(requests: u32) -> Hostile {
    let (mut packets, mut keys, mut random) = (Packets::default(), String::new(), Random::new(3));
    let ends = [client(0), TLS_SERVER];
    let mut connection = Connection::open(ends, "h2", Cipher::Aes128Gcm, 1, &mut random, &mut packets, &mut keys);
    for _ in 0..requests {
        let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/tiny")];
        let stream = connection.request(&fields, &mut packets);
        connection.send(Side::Server, &rst_stream(stream, 0xd), &mut packets);
    }
    connection.close(&mut packets);
    Hostile { capture: packets.bytes, keys }
}

/// Segments of one byte, last first.
#[must_use]
pub fn reversed(segments: u32, connections: u32) -> Hostile {
    let mut packets = Packets::default();
    for n in 0..connections {
        let mut connection = Clear::open(client(n), SERVER, &mut packets);
        let first = connection.seq[0];
        for at in (0..segments).rev() {
            connection.seq[0] = first + at;
            connection.segment(0, PSH_ACK, b"x", &mut packets);
        }
    }
    packets.into()
}

/// Segments at random places, overlapping, with contents that contradict each other.
#[must_use]
pub fn overlapping(segments: u32) -> Hostile {
    let mut packets = Packets::default();
    let mut random = Random::new(4);
    let mut connection = Clear::h2(0, &[], &mut packets);
    let first = connection.seq[0];
    for _ in 0..segments {
        connection.seq[0] = first.wrapping_add(random.below(1 << 20) as u32);
        let len = 1 + random.below(1_400) as usize;
        let mut bytes = vec![0; len];
        random.fill(&mut bytes);
        connection.segment(0, PSH_ACK, &bytes, &mut packets);
    }
    packets.into()
}

/// SYN, data, RST, again and again, on one pair of ports.
#[must_use]
pub fn port_storm(times: u32) -> Hostile {
    let mut packets = Packets::default();
    for n in 0..times {
        let mut connection = Clear { ends: [client(0), SERVER], seq: [n.wrapping_mul(77_777), 5], mss: MSS };
        connection.segment(0, SYN, &[], &mut packets);
        connection.seq[0] = connection.seq[0].wrapping_add(1);
        if n % 3 == 0 {
            connection.segment(0, PSH_ACK, PREFACE, &mut packets);
        }
        connection.segment((n % 2) as usize, RST, &[], &mut packets);
    }
    packets.into()
}

/// IP fragments that never make a datagram whole.
#[must_use]
pub fn fragments(count: u32) -> Hostile {
    let mut packets = Packets::default();
    for n in 0..count {
        let start = packets.bytes.len();
        packets.tcp(Tcp { from: client(n / 4), to: SERVER, seq: 1, ack: 1, flags: PSH_ACK }, &[1; 1_004]);
        // Identification, flags and fragment offset of the IPv4 header, behind the packet's and the Ethernet header.
        let ip = start + 16 + 14;
        let place = 0x2000 | ((n % 4) * 700) as u16;
        packets.bytes[ip + 4..ip + 6].copy_from_slice(&(n as u16 / 4).to_be_bytes());
        packets.bytes[ip + 6..ip + 8].copy_from_slice(&place.to_be_bytes());
    }
    packets.into()
}

/// Connections joined late under keys that no log has, and a log of secrets of others.
#[must_use]
pub fn wrong_keys(flows: u32, secrets: u32) -> Hostile {
    let mut random = Random::new(5);
    let (mut packets, mut keys, mut unused) = (Packets::default(), String::new(), String::new());
    for n in 0..flows {
        let (ends, mut handshake) = ([client(n), TLS_SERVER], Packets::default());
        let mut connection =
            Connection::open(ends, "h2", Cipher::Aes128Gcm, MSS, &mut random, &mut handshake, &mut unused);
        unused.clear();
        for _ in 0..6 {
            connection.send(Side::Client, &frame(6, 0, 0, &[0; 8]), &mut packets);
            connection.send(Side::Server, &frame(6, 1, 0, &[0; 8]), &mut packets);
        }
    }
    push_secrets(secrets, &mut random, &mut keys);
    Hostile { capture: packets.bytes, keys }
}

fn push_secrets(count: u32, random: &mut Random, keys: &mut String) {
    use std::fmt::Write as _;
    for _ in 0..count {
        let name = random.bytes::<32>();
        for label in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"] {
            let hex = |bytes: &[u8]| {
                bytes.iter().fold(String::new(), |mut text, byte| {
                    let _ = write!(text, "{byte:02x}");
                    text
                })
            };
            let _ = writeln!(keys, "{label} {} {}", hex(&name), hex(&random.bytes::<32>()));
        }
    }
}

/// A key log of this many lines and a connection of which it knows nothing.
#[must_use]
pub fn long_key_log(lines: u32) -> Hostile {
    let mut hostile = wrong_keys(0, 0);
    push_secrets(lines / 2, &mut Random::new(6), &mut hostile.keys);
    hostile.capture = half_open(10).capture;
    hostile
}

/// Streams that are opened and never end.
#[must_use]
pub fn many_streams(streams: u32) -> Hostile {
    let mut packets = Packets::default();
    let mut connection = Clear::h2(0, &[], &mut packets);
    let up: Vec<u8> = (0..streams).flat_map(|n| headers(2 * n + 1, &[0x82, 0x84, 0x86], true)).collect();
    connection.send(Side::Client, &up, &mut packets);
    packets.into()
}

/// Resets of streams that nobody opened, each with a code of its own.
#[must_use]
pub fn unknown_resets(count: u32) -> Hostile {
    let mut packets = Packets::default();
    let mut connection = Clear::h2(0, &[], &mut packets);
    let down: Vec<u8> = (0..count).flat_map(|n| rst_stream(2 * n + 1, n)).collect();
    connection.send(Side::Server, &down, &mut packets);
    packets.into()
}

/// Promised streams, then GOAWAYs whose last stream goes down and up.
#[must_use]
pub fn goaway_storm(count: u32) -> Hostile {
    let mut packets = Packets::default();
    let mut connection = Clear::h2(0, &[], &mut packets);
    connection.send(Side::Client, &headers(1, &[0x82, 0x84, 0x86], true), &mut packets);
    let promise = |n: u32| frame(5, 4, 1, &[&(2 * n).to_be_bytes()[..], &[0x82, 0x84, 0x86]].concat());
    let mut down: Vec<u8> = (1..2_000).flat_map(promise).collect();
    for n in 0..count {
        let last = if n % 2 == 0 { 1 } else { 0x7fff_ffff - n };
        down.extend_from_slice(&goaway(last, 2));
    }
    connection.send(Side::Server, &down, &mut packets);
    packets.into()
}

/// PROXY headers, of both versions, broken in every way that comes to mind.
#[must_use]
pub fn proxy_garbage(flows: u32) -> Hostile {
    let mut packets = Packets::default();
    let mut random = Random::new(7);
    for n in 0..flows {
        let mut connection = Clear::open(client(n), TLS_SERVER, &mut packets);
        let mut tail = vec![0; random.below(3_000) as usize];
        random.fill(&mut tail);
        let head: &[u8] = match n % 4 {
            0 => b"PROXY TCP4 ",
            1 => b"PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535",
            2 => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            _ => b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x01",
        };
        connection.send(Side::Client, &[head, &tail].concat(), &mut packets);
    }
    packets.into()
}

/// Random bytes where TLS or HTTP/2 is expected.
#[must_use]
pub fn noise(flows: u32, bytes: usize) -> Hostile {
    let mut packets = Packets::default();
    let mut random = Random::new(8);
    let mut body = vec![0; bytes];
    for n in 0..flows {
        let to = if n % 2 == 0 { TLS_SERVER } else { SERVER };
        let mut connection = Clear::open(client(n), to, &mut packets);
        for side in [Side::Client, Side::Server] {
            random.fill(&mut body);
            let start: &[u8] = match n % 4 {
                0 => &[22, 3, 1, 1],
                1 => PREFACE,
                2 => &[23, 3, 3, 0x40],
                _ => &[],
            };
            connection.send(side, &[start, &body].concat(), &mut packets);
        }
    }
    packets.into()
}

/// Only one side of connections was captured, from their middle.
#[must_use]
pub fn one_sided(flows: u32, records: u32) -> Hostile {
    let mut random = Random::new(9);
    let (mut packets, mut keys) = (Packets::default(), String::new());
    for n in 0..flows {
        let (ends, mut other) = ([client(n), TLS_SERVER], Packets::default());
        let mut connection = Connection::open(ends, "h2", Cipher::Aes256Gcm, MSS, &mut random, &mut other, &mut keys);
        for record in 0..records {
            connection.send(Side::Server, &data(1, &[7; 300], record % 2 == 0), &mut packets);
        }
    }
    keys.clear();
    Hostile { capture: packets.bytes, keys }
}

/// Connections whose keys are in no log, over as soon as they began.
#[must_use]
pub fn blind_flows(flows: u32) -> Hostile {
    let mut random = Random::new(10);
    let (mut packets, mut keys) = (Packets::default(), String::new());
    for n in 0..flows {
        let ends = [client(n), TLS_SERVER];
        let mut connection = Connection::open(ends, "h2", Cipher::Aes128Gcm, MSS, &mut random, &mut packets, &mut keys);
        keys.clear();
        connection.close(&mut packets);
    }
    packets.into()
}

/// A pcapng file whose blocks have lengths that cannot be.
#[must_use]
pub fn insane_pcapng(blocks: u32) -> Hostile {
    let section = [0x0a0d_0d0au32, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28];
    let interface = [1, 20, 1, 0x4_0000, 20];
    let mut capture: Vec<u8> = section.iter().chain(&interface).flat_map(|word: &u32| word.to_le_bytes()).collect();
    for n in 0..blocks {
        // An enhanced packet block, whose captured length is larger than the block; then one that ends nowhere.
        let packet = [6, 32, 0, 0, n, u32::MAX - n, u32::MAX, 32];
        capture.extend(packet.iter().flat_map(|word: &u32| word.to_le_bytes()));
    }
    capture.extend([6, 0xffff_fff0u32, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
    Hostile { capture, keys: String::new() }
}

/// Requests of `connections` clients, each for a path of its own, and each refused at once.
#[must_use]
pub fn refused(requests: u32, connections: u32) -> Hostile {
    let mut packets = Packets::default();
    let mut open: Vec<Clear> = (0..connections).map(|n| Clear::h2(n, &[], &mut packets)).collect();
    for n in 0..requests {
        let connection = &mut open[(n % connections) as usize];
        let stream = 2 * (n / connections) + 1;
        let path = format!("/{n}/{}", "p".repeat(60));
        let block = [&[0x82, 0x86, 4][..], &string(path.as_bytes()), &[1], &string(b"origin.example")].concat();
        connection.send(Side::Client, &headers(stream, &block, true), &mut packets);
        connection.send(Side::Server, &rst_stream(stream, 0xd), &mut packets);
    }
    packets.into()
}
