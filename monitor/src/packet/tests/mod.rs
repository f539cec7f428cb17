mod fragments;
mod headers;
mod random;

use etherparse::PacketBuilder;

use super::Decoder;
use crate::limits::Limits;
use crate::model::{Bytes, FlowKey, Packet, PacketBatch, PacketCounts, SegmentBatch, Time};

/// A segment with its payload at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) tunnel: u32,
    pub(super) seq: u32,
    pub(super) payload: Vec<u8>,
    pub(super) missing: u32,
    pub(super) ordinal: u64,
}

pub(super) fn packet(link: u16, at: u64, bytes: &[u8]) -> Packet<'_> {
    Packet { time: Time(at), link, data: Bytes::Lasting(bytes), wire_len: bytes.len() as u32, shortened: false }
}

/// Decodes packets twice, mapped and in an arena, which must not differ.
pub(super) fn decode_with(limits: &Limits, packets: &[Packet<'_>]) -> (Vec<Seen>, PacketCounts) {
    let lasting = run(limits, PacketBatch { packets: packets.to_vec(), ..PacketBatch::default() });
    let mut arena = b"something before".to_vec();
    let packets = packets
        .iter()
        .map(|packet| {
            let bytes = packet.data.chunk(&[]).bytes();
            let (start, len) = (arena.len() as u32, bytes.len() as u32);
            arena.extend_from_slice(bytes);
            Packet { data: Bytes::Arena { start, len }, ..*packet }
        })
        .collect();
    assert_eq!(run(limits, PacketBatch { packets, arena, ..PacketBatch::default() }), lasting);
    lasting
}

fn run(limits: &Limits, mut raw: PacketBatch<'_>) -> (Vec<Seen>, PacketCounts) {
    let mut decoder = Decoder::new(limits);
    let mut out = SegmentBatch::default();
    out.arena.extend(b"left from before");
    decoder.decode(&mut raw, &mut out);
    assert!(raw.packets.is_empty() && raw.arena.is_empty());
    decoder.finish();
    let mut seen = Vec::new();
    for (shard, segments) in out.shards.iter().enumerate() {
        for segment in segments {
            assert_eq!(segment.hash as usize % Limits::SHARDS, shard);
            assert!(segment.key.low <= segment.key.high);
            let (from, to) = match segment.from_low {
                true => (segment.key.low, segment.key.high),
                false => (segment.key.high, segment.key.low),
            };
            seen.push(Seen {
                from: FlowKey::address(from).to_string(),
                to: FlowKey::address(to).to_string(),
                tunnel: segment.key.tunnel,
                seq: segment.seq,
                payload: segment.payload.chunk(&out.arena).bytes().to_vec(),
                missing: segment.missing,
                ordinal: segment.ordinal,
            });
        }
    }
    seen.sort_by_key(|segment| segment.ordinal);
    (seen, decoder.counts().clone())
}

pub(super) fn decode(packets: &[Packet<'_>]) -> (Vec<Seen>, PacketCounts) {
    decode_with(&Limits::default(), packets)
}

/// The one segment of one packet.
pub(super) fn one(link: u16, bytes: &[u8]) -> Seen {
    let (seen, counts) = decode(&[packet(link, 1, bytes)]);
    assert_eq!((seen.len(), counts.tcp, counts.packets, counts.bytes), (1, 1, 1, bytes.len() as u64));
    seen[0].clone()
}

pub(super) const PAYLOAD: &[u8] = b"some payload";

/// IPv4 and TCP with options.
pub(super) fn ipv4() -> Vec<u8> {
    let mut out = Vec::new();
    let options = [etherparse::TcpOptionElement::Timestamp(1, 2)];
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(40_000, 443, 77, 1_000)
        .ack(5)
        .options(&options)
        .unwrap()
        .write(&mut out, PAYLOAD)
        .unwrap();
    out
}

pub(super) fn ipv6() -> Vec<u8> {
    let (mut from, mut to) = ([0; 16], [0; 16]);
    (from[0], from[15], to[0], to[15]) = (0xfd, 1, 0xfd, 2);
    let mut out = Vec::new();
    PacketBuilder::ipv6(from, to, 64).tcp(443, 40_000, 78, 1_000).psh().write(&mut out, PAYLOAD).unwrap();
    out
}

pub(super) fn is_ipv4(seen: &Seen) {
    let want = ("10.0.0.1:40000", "10.0.0.2:443", 77, PAYLOAD, 0);
    assert_eq!((seen.from.as_str(), seen.to.as_str(), seen.seq, &seen.payload[..], seen.missing), want);
}

pub(super) fn is_ipv6(seen: &Seen) {
    let want = ("[fd00::1]:443", "[fd00::2]:40000", 78, PAYLOAD, 0);
    assert_eq!((seen.from.as_str(), seen.to.as_str(), seen.seq, &seen.payload[..], seen.missing), want);
}

pub(super) fn ethernet(tags: &[u8], kind: u16, inner: &[u8]) -> Vec<u8> {
    [&[0x11; 12][..], tags, &kind.to_be_bytes(), inner].concat()
}

/// An IPv4 header in front of a payload of some protocol.
pub(super) fn under_ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = (payload.len() + 20) as u16;
    let mut header = vec![0x45, 0, 0, 0, 0, 9, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header.extend_from_slice(payload);
    header
}

/// An IPv6 header in front of extension headers or a payload.
pub(super) fn under_ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = ipv6()[..40].to_vec();
    out[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    out[6] = next;
    out.extend_from_slice(payload);
    out
}
