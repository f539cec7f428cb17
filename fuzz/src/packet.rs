use h2watch::limits::Limits;
use h2watch::model::{Bytes, Packet, PacketBatch, SegmentBatch, Time};
use h2watch::packet::Decoder;

use crate::input::Input;

const LINKS: [u16; 11] = [1, 0, 12, 14, 101, 108, 113, 228, 229, 276, 147];

/// Decodes packets: for each its link type, how much the snap length cut off, and its bytes.
pub(crate) fn packet(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut packets = Vec::new();
    let mut time = 0;
    while let Some(op) = input.op() {
        let link = LINKS[usize::from(op & 0x0f) % LINKS.len()];
        time += if op & 0x10 == 0 { 1_000 } else { 40_000_000_000 };
        let cut = if op & 0x20 == 0 { 0 } else { u32::from(input.byte()) };
        let data = if op & 0x40 == 0 { input.long() } else { input.short() };
        packets.push((Time(time), link, data, data.len() as u32 + cut));
    }
    let lasting = decode(&packets, false);
    assert_eq!(lasting, decode(&packets, true), "where the bytes lie makes a difference");
}

/// Every segment in words. `arena`: the packets are copies.
fn decode(packets: &[(Time, u16, &[u8], u32)], arena: bool) -> Vec<String> {
    let limits = Limits { fragments: 4, fragment_bytes: 8 << 10, ..Limits::default() };
    let mut decoder = Decoder::new(&limits);
    let (mut batch, mut out) = (PacketBatch::default(), SegmentBatch::default());
    let (mut said, mut segments) = (Vec::new(), 0);
    for packets in packets.chunks(3) {
        for &(time, link, bytes, wire_len) in packets {
            let data = if arena {
                let start = batch.arena.len() as u32;
                batch.arena.extend_from_slice(bytes);
                Bytes::Arena { start, len: bytes.len() as u32 }
            } else {
                Bytes::Lasting(bytes)
            };
            batch.packets.push(Packet { time, link, data, wire_len, shortened: false });
        }
        decoder.decode(&mut batch, &mut out);
        for segment in out.shards.iter().flatten() {
            let payload = segment.payload.chunk(&out.arena).bytes();
            if let Bytes::Arena { len, .. } = segment.payload {
                assert_eq!(payload.len(), len as usize, "outside its arena");
            }
            segments += 1;
            said.push(format!(
                "{:?} {} {:?} {:x} {} {} {} {} {:?} {:?}",
                segment.time,
                segment.ordinal,
                segment.key,
                segment.hash,
                segment.from_low,
                segment.seq,
                segment.ack,
                segment.missing,
                segment.flags,
                payload
            ));
        }
    }
    decoder.finish();
    let counts = decoder.counts();
    assert_eq!(counts.packets, packets.len() as u64);
    assert_eq!(counts.tcp, segments);
    let kinds = [counts.tcp, counts.not_tcp, counts.not_ip, counts.malformed, counts.unsupported_link];
    let accounted = kinds.iter().sum::<u64>() + counts.too_deep + counts.fragments;
    assert!(accounted >= counts.packets, "a packet that is not counted: {counts:?}");
    said.push(format!("{counts:?}"));
    said
}
