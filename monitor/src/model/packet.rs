use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Plaintext, Time};

/// Bytes of a packet: part of something that outlives the run (a mapped file), or a range of the batch's own arena.
#[derive(Clone, Copy, Debug)]
pub enum Bytes<'m> {
    /// Part of a mapping.
    Lasting(&'m [u8]),
    /// A range of [`PacketBatch::arena`] or [`SegmentBatch::arena`].
    Arena {
        /// Offset in the arena.
        start: u32,
        /// Number of bytes.
        len: u32,
    },
}

impl<'m> Bytes<'m> {
    /// The bytes, given the arena of their batch.
    #[must_use]
    pub fn chunk<'b>(self, arena: &'b [u8]) -> tls_tap::Chunk<'m, 'b>
    where
        'm: 'b,
    {
        match self {
            Self::Lasting(bytes) => tls_tap::Chunk::Lasting(bytes),
            Self::Arena { start, len } => {
                let start = start as usize;
                tls_tap::Chunk::Passing(arena.get(start..start.saturating_add(len as usize)).unwrap_or_default())
            }
        }
    }
}

/// Whether packets of this LINKTYPE are decoded: Ethernet, Linux SLL and SLL2, raw IP, BSD null and loop.
#[must_use]
pub const fn link_supported(link: u16) -> bool {
    matches!(link, 0 | 1 | 12 | 14 | 101 | 108 | 113 | 228 | 229 | 276)
}

/// A captured packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'m> {
    /// When it was captured.
    pub time: Time,
    /// LINKTYPE of its interface, as in pcap and pcapng files.
    pub link: u16,
    /// The captured bytes.
    pub data: Bytes<'m>,
    /// Its length on the wire; more than the captured bytes when a snap length cut it.
    pub wire_len: u32,
    /// The source cut it on purpose, because nobody reads its flow's payload ([`Interest`]).
    pub shortened: bool,
}

/// Whether anybody reads a flow's payload from here on. A source that can leave payload out may do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The flow.
    pub key: FlowKey,
    /// Its payload is read; otherwise its bytes are counted alone.
    pub payload: bool,
}

/// Packets as a source yields them, in time order, with what came between them.
#[derive(Debug, Default)]
pub struct PacketBatch<'m> {
    /// The packets.
    pub packets: Vec<Packet<'m>>,
    /// Bytes of packets that do not outlive the batch.
    pub arena: Vec<u8>,
    /// Key log text that the source carried (pcapng Decryption Secrets Blocks).
    pub secrets: Vec<Vec<u8>>,
    /// What plaintext probes saw, in time order. Its bytes are in the arena too.
    pub plaintext: Vec<Plaintext>,
    /// Packets that the source says it lost here (a full buffer).
    pub lost: u64,
    /// When the source missed packets, from and until, where it can say: also when it does not know how many.
    pub lost_within: Option<(Time, Time)>,
}

/// The shortest span of time that holds both.
#[must_use]
pub fn hull(one: Option<(Time, Time)>, other: Option<(Time, Time)>) -> Option<(Time, Time)> {
    match (one, other) {
        (Some((since, until)), Some((from, to))) => Some((since.min(from), until.max(to))),
        (one, other) => one.or(other),
    }
}

/// Names a TCP connection: its two ends, in an order that does not depend on who sends. IPv4 addresses are IPv4-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The lower end.
    pub low: (u128, u16),
    /// The higher end.
    pub high: (u128, u16),
    /// VXLAN network or GRE key: the same addresses in two tunnels are two connections.
    pub tunnel: u32,
}

impl FlowKey {
    /// An end's address for people.
    #[must_use]
    pub fn address(end: (u128, u16)) -> SocketAddr {
        let ip = Ipv6Addr::from(end.0);
        SocketAddr::new(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4), end.1)
    }
}

/// TCP control bits (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// ACK.
    pub const ACK: u8 = 0x10;

    /// Any of `bits` is set.
    #[must_use]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'m> {
    /// When it was captured.
    pub time: Time,
    /// Its packet's place in the merged input, among packets and plaintext.
    pub ordinal: u64,
    /// The connection.
    pub key: FlowKey,
    /// A well-mixed hash of `key`; its low bits choose the shard.
    pub hash: u64,
    /// The sender is [`FlowKey::low`].
    pub from_low: bool,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number, when [`TcpFlags::ACK`] is set.
    pub ack: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Payload that was captured.
    pub payload: Bytes<'m>,
    /// Payload bytes behind it that a snap length cut off.
    pub missing: u32,
}

/// Plaintext, and its place among the packets.
#[derive(Clone, Debug)]
pub struct PlainItem {
    /// Its place in the merged input, among packets and plaintext.
    pub ordinal: u64,
    /// A well-mixed hash of the connection's name; its low bits choose the shard.
    pub hash: u64,
    /// What was seen.
    pub plaintext: Plaintext,
}

/// Segments and plaintext of one [`PacketBatch`], spread over the shards.
#[derive(Debug, Default)]
pub struct SegmentBatch<'m> {
    /// Segments of each shard in packet order.
    pub shards: [Vec<Segment<'m>>; crate::limits::Limits::SHARDS],
    /// Plaintext of each shard, in order. Its bytes are in the arena.
    pub plaintext: [Vec<PlainItem>; crate::limits::Limits::SHARDS],
    /// Bytes of segments that do not outlive the batch.
    pub arena: Vec<u8>,
    /// Time of the latest packet, TCP or not, or plaintext.
    pub now: Time,
}

/// What became of the packets that were not TCP segments, and how the others were wrapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketCounts {
    /// Packets in all.
    pub packets: u64,
    /// Captured bytes in all.
    pub bytes: u64,
    /// TCP segments.
    pub tcp: u64,
    /// IP, but not TCP.
    pub not_tcp: u64,
    /// Not IP.
    pub not_ip: u64,
    /// A header that is damaged, or cut off by the snap length.
    pub malformed: u64,
    /// A link type that is not decoded.
    pub unsupported_link: u64,
    /// Cut off by the snap length somewhere in the payload.
    pub truncated: u64,
    /// Cut off by the source on purpose: nobody reads their flows.
    pub shortened: u64,
    /// IP fragments.
    pub fragments: u64,
    /// Fragments that never made a whole datagram, or were dropped at a cap.
    pub fragments_lost: u64,
    /// More than one header stack deep in tunnels than is followed.
    pub too_deep: u64,
}
