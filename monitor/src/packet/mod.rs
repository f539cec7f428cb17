//! Link, IP and TCP headers: packets in, segments out; sans-IO. Plaintext takes its place among the packets by its time.

mod fragment;
mod hash;
mod ip;
#[cfg(test)]
mod tests;
mod tunnel;
mod walk;
mod wire;

use std::mem;

use crate::limits::Limits;
use crate::model::{
    Bytes, FlowKey, Packet, PacketBatch, PacketCounts, PlainItem, Plaintext, Segment, SegmentBatch, TcpFlags, Time,
};
use fragment::Fragments;
use walk::{Found, Layer, Place, Tcp};

/// LINKTYPE of Ethernet.
const ETHERNET: u16 = 1;

/// Datagrams within datagrams that are reassembled for one packet.
const MAX_REASSEMBLED: u32 = 4;

/// Takes packets apart down to their TCP segments. Wrong bytes never fail: they are counted. Checksums are not verified: a network
/// card may fill them in after the capture.
#[derive(Debug)]
pub struct Decoder {
    counts: PacketCounts,
    fragments: Fragments,
    now: Time,
    /// The place of the last packet or plaintext in the merged input.
    ordinal: u64,
}

impl Decoder {
    /// A decoder with the caps of `limits`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { counts: PacketCounts::default(), fragments: Fragments::new(limits), now: Time(0), ordinal: 0 }
    }

    /// Clears `out` and fills it with the segments and the plaintext of `raw`. The arena of `raw` moves to `out` (their buffers change
    /// places), so that what `raw` holds is spent. Ordinals count all packets and plaintext in the order of their times, from 1.
    pub fn decode<'m>(&mut self, raw: &mut PacketBatch<'m>, out: &mut SegmentBatch<'m>) {
        out.shards.iter_mut().for_each(Vec::clear);
        out.plaintext.iter_mut().for_each(Vec::clear);
        mem::swap(&mut raw.arena, &mut out.arena);
        raw.arena.clear();
        let mut plaintext = raw.plaintext.drain(..);
        let mut next = plaintext.next();
        for packet in &raw.packets {
            while let Some(earlier) = next.take_if(|next| next.time < packet.time) {
                self.plaintext(earlier, out);
                next = plaintext.next();
            }
            self.packet(packet, out);
        }
        next.into_iter().chain(plaintext).for_each(|plaintext| self.plaintext(plaintext, out));
        raw.packets.clear();
        out.now = self.now;
        self.counts.fragments_lost = self.fragments.lost;
    }

    /// The input has ended: what is still in reassembly is lost.
    pub fn finish(&mut self) {
        self.fragments.clear();
        self.counts.fragments_lost = self.fragments.lost;
    }

    /// What became of the packets so far. Each packet counts as one of TCP, not TCP, not IP, malformed, of an unsupported link, too
    /// deep, or as a fragment; one that made a datagram whole also as what that is.
    #[must_use]
    pub const fn counts(&self) -> &PacketCounts {
        &self.counts
    }

    fn plaintext(&mut self, plaintext: Plaintext, out: &mut SegmentBatch<'_>) {
        self.ordinal += 1;
        self.now = self.now.max(plaintext.time);
        let hash = hash::plain(plaintext.connection);
        if let Some(shard) = out.plaintext.get_mut(hash as usize % Limits::SHARDS) {
            shard.push(PlainItem { ordinal: self.ordinal, hash, plaintext });
        }
    }

    #[inline]
    fn packet<'m>(&mut self, packet: &Packet<'m>, out: &mut SegmentBatch<'m>) {
        self.counts.packets += 1;
        self.ordinal += 1;
        self.now = self.now.max(packet.time);
        let bytes = packet.data.chunk(&out.arena).bytes();
        self.counts.bytes += bytes.len() as u64;
        if packet.link == ETHERNET
            && let Some(tcp) = walk::plain(bytes)
        {
            let payload = part(packet.data, tcp.at, tcp.len);
            return self.segment(packet, &tcp, payload, out);
        }
        let end = bytes.len().max(packet.wire_len as usize);
        let found = match walk::begin(packet.link, bytes, end) {
            Some(Ok(place)) => walk::walk(bytes, place),
            Some(Err(found)) => found,
            None => {
                self.counts.unsupported_link += 1;
                return;
            }
        };
        match found {
            Found::Tcp(tcp) => {
                let payload = part(packet.data, tcp.at, tcp.len);
                self.segment(packet, &tcp, payload, out);
            }
            Found::Fragment(piece) => {
                if let Some((tcp, bytes)) = self.reassemble(packet.time, bytes, piece) {
                    let payload = bytes.get(tcp.at..tcp.at + tcp.len).unwrap_or_default();
                    let start = u32::try_from(out.arena.len()).unwrap_or(u32::MAX);
                    out.arena.extend_from_slice(payload);
                    let len = u32::try_from(payload.len()).unwrap_or(0);
                    self.segment(packet, &tcp, Bytes::Arena { start, len }, out);
                }
            }
            other => self.count(&other),
        }
    }

    /// Adds a fragment; the TCP segment of the datagram that it made whole, and its bytes.
    #[cold]
    fn reassemble(&mut self, time: Time, packet: &[u8], piece: fragment::Piece) -> Option<(Tcp, Vec<u8>)> {
        self.counts.fragments += 1;
        let mut whole = self.fragments.add(time, packet, &piece)?;
        for _ in 0..MAX_REASSEMBLED {
            let layer = Layer::Transport { protocol: whole.protocol, from: whole.name.from, to: whole.name.to };
            let place = Place { layer, at: 0, end: whole.bytes.len(), tunnel: whole.name.tunnel };
            match walk::walk(&whole.bytes, place) {
                Found::Tcp(tcp) => return Some((tcp, whole.bytes)),
                Found::Fragment(inner) => {
                    self.counts.fragments += 1;
                    whole = self.fragments.add(time, &whole.bytes, &inner)?;
                }
                other => {
                    self.count(&other);
                    return None;
                }
            }
        }
        self.counts.too_deep += 1;
        None
    }

    /// Inlined, so that what was just read of the headers is not written to memory to be read again.
    #[inline(always)]
    fn segment<'m>(&mut self, packet: &Packet<'m>, tcp: &Tcp, payload: Bytes<'m>, out: &mut SegmentBatch<'m>) {
        self.counts.tcp += 1;
        if packet.shortened {
            self.counts.shortened += 1;
        } else {
            self.counts.truncated += u64::from(tcp.missing > 0);
        }
        let from_low = tcp.from <= tcp.to;
        let (low, high) = if from_low { (tcp.from, tcp.to) } else { (tcp.to, tcp.from) };
        let key = FlowKey { low, high, tunnel: tcp.tunnel };
        let hash = hash::hash(&key);
        if let Some(shard) = out.shards.get_mut(hash as usize % Limits::SHARDS) {
            shard.push(Segment {
                time: packet.time,
                ordinal: self.ordinal,
                key,
                hash,
                from_low,
                seq: tcp.seq,
                ack: tcp.ack,
                flags: TcpFlags(tcp.flags),
                payload,
                missing: tcp.missing,
            });
        }
    }

    fn count(&mut self, found: &Found) {
        match found {
            Found::NotTcp => self.counts.not_tcp += 1,
            Found::NotIp => self.counts.not_ip += 1,
            Found::Malformed => self.counts.malformed += 1,
            Found::TooDeep => self.counts.too_deep += 1,
            Found::Tcp(_) | Found::Fragment(_) => {}
        }
    }
}

/// Part of a packet's bytes.
#[inline]
fn part(bytes: Bytes<'_>, at: usize, len: usize) -> Bytes<'_> {
    match bytes {
        Bytes::Lasting(bytes) => Bytes::Lasting(bytes.get(at..at + len).unwrap_or_default()),
        Bytes::Arena { start, .. } => Bytes::Arena {
            start: start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX)),
            len: u32::try_from(len).unwrap_or(0),
        },
    }
}
