//! The tap: packets as the kernel hands them up, and what steers it.

use core::mem::offset_of;

use crate::part;

/// Stands in front of each part of a packet in the ring buffer; the bytes follow it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartHeader {
    /// When the packet was seen: `CLOCK_MONOTONIC`, nanoseconds. The same in all parts of a packet.
    pub time: u64,
    /// Names the packet, with [`cpu`](Self::cpu) and [`interface`](Self::interface).
    pub serial: u64,
    /// The processor that saw it.
    pub cpu: u32,
    /// Index of the interface.
    pub interface: u32,
    /// Length of the packet as the kernel holds it, which may be many segments joined.
    pub wire_len: u32,
    /// Bytes in all its parts together: less than [`wire_len`](Self::wire_len) when a snap length cut it.
    pub captured: u32,
    /// Where this part stands in the packet.
    pub offset: u32,
    /// Bytes of this part.
    pub len: u32,
    /// [`INGRESS`] or [`EGRESS`].
    pub direction: u8,
    /// [`ETHERNET`] or [`RAW_IP`].
    pub link: u8,
    /// 1: the snap length of its flow cut it, otherwise 0.
    pub shortened: u8,
    /// Zero.
    pub padding: [u8; 5],
}

/// The interface received the packet.
pub const INGRESS: u8 = 0;
/// The interface sends the packet.
pub const EGRESS: u8 = 1;

/// The packet begins with an Ethernet header.
pub const ETHERNET: u8 = 0;
/// The packet begins with an IP header.
pub const RAW_IP: u8 = 1;

impl PartHeader {
    /// Bytes of a header.
    pub const LEN: usize = size_of::<Self>();

    /// A record of the ring buffer: the header and the bytes of the part. `None`: it is shorter than it says.
    #[must_use]
    pub fn read(record: &[u8]) -> Option<(Self, &[u8])> {
        let word = |at| part(record, at).map(u32::from_ne_bytes);
        let long = |at| part(record, at).map(u64::from_ne_bytes);
        let header = Self {
            time: long(offset_of!(Self, time))?,
            serial: long(offset_of!(Self, serial))?,
            cpu: word(offset_of!(Self, cpu))?,
            interface: word(offset_of!(Self, interface))?,
            wire_len: word(offset_of!(Self, wire_len))?,
            captured: word(offset_of!(Self, captured))?,
            offset: word(offset_of!(Self, offset))?,
            len: word(offset_of!(Self, len))?,
            direction: *record.get(offset_of!(Self, direction))?,
            link: *record.get(offset_of!(Self, link))?,
            shortened: *record.get(offset_of!(Self, shortened))?,
            padding: [0; 5],
        };
        let bytes = record.get(Self::LEN..)?.get(..header.len as usize)?;
        Some((header, bytes))
    }
}

/// Sizes of ring buffer records, header included: a part takes the smallest that holds it. The eight bytes missing from a power of two
/// are the ring buffer's own.
pub const SLOTS: [usize; 4] = [256 - 8, 2_048 - 8, 8_192 - 8, 32_768 - 8];

/// Most bytes of a packet in one part.
pub const MAX_PART: usize = match SLOTS.last() {
    Some(largest) => *largest - PartHeader::LEN,
    None => 0,
};

/// Most parts of a packet: more than the longest packet of Linux (BIG TCP, 512 KiB) has.
pub const MAX_PARTS: usize = 17;

/// What the tap counts for each interface and processor.
///
/// Every packet that is seen ends as one of filtered, taken, cut, lost for want of room, lost unread:
/// `SEEN = FILTERED + TAKEN + CUT + LOST_FULL + LOST_UNREAD`.
pub mod counter {
    /// Packets that passed the hook.
    pub const SEEN: usize = 0;
    /// Packets that the filter does not want.
    pub const FILTERED: usize = 1;
    /// Packets handed up as far as their snap length goes.
    pub const TAKEN: usize = 2;
    /// Packets of which the first parts were handed up, and the rest found no room in the ring buffer.
    pub const CUT: usize = 3;
    /// Packets that found no room in the ring buffer.
    pub const LOST_FULL: usize = 4;
    /// Packets whose bytes the kernel did not give.
    pub const LOST_UNREAD: usize = 5;
    /// Bytes handed up.
    pub const BYTES: usize = 6;
    /// Bytes that a snap length left out.
    pub const BYTES_SNAPPED: usize = 7;
    /// How many counters there are.
    pub const COUNT: usize = 8;
}

/// The counters of one interface on one processor, by [`counter`].
pub type Counters = [u64; counter::COUNT];

/// What steers the tap, by [`config`].
pub type Config = [u32; config::COUNT];

/// Words of [`Config`].
pub mod config {
    /// Bits of the filter: [`TCP`], [`PORTS`], [`ADDRESSES`], [`FLOWS`].
    pub const FLAGS: usize = 0;
    /// Most bytes of a packet that are handed up.
    pub const SNAP: usize = 1;
    /// Bytes in the ring buffer from which on user space is woken. Below, it looks when its own time has come.
    pub const WAKE: usize = 2;
    /// How many words there are.
    pub const COUNT: usize = 4;

    /// Only TCP, fragments of it, and tunnels that may hold it (IP in IP, GRE, VXLAN, GENEVE).
    pub const TCP: u32 = 1;
    /// Of TCP outside of tunnels, only what has one of the ports of the port map.
    pub const PORTS: u32 = 2;
    /// Of IP outside of tunnels, only what has one of the addresses of the address map.
    pub const ADDRESSES: u32 = 4;
    /// Some flow has a snap length of its own.
    pub const FLOWS: u32 = 8;
}

/// Both ends of a TCP flow in the order in which a packet names them, as they are on the wire: addresses (IPv4 as IPv4-mapped IPv6),
/// then ports.
pub type FlowName = [u8; 36];

/// The name of the flow from `source` to `destination`.
#[must_use]
pub fn flow_name(source: ([u8; 16], u16), destination: ([u8; 16], u16)) -> FlowName {
    let mut name = [0; 36];
    let fields =
        source.0.into_iter().chain(destination.0).chain(source.1.to_be_bytes()).chain(destination.1.to_be_bytes());
    for (to, from) in name.iter_mut().zip(fields) {
        *to = from;
    }
    name
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    #[test]
    fn the_layout_is_what_the_kernel_side_writes() {
        assert_eq!(PartHeader::LEN, 48);
        assert_eq!(align_of::<PartHeader>(), 8);
        let offsets = [
            offset_of!(PartHeader, time),
            offset_of!(PartHeader, serial),
            offset_of!(PartHeader, cpu),
            offset_of!(PartHeader, interface),
            offset_of!(PartHeader, wire_len),
            offset_of!(PartHeader, captured),
            offset_of!(PartHeader, offset),
            offset_of!(PartHeader, len),
            offset_of!(PartHeader, direction),
            offset_of!(PartHeader, link),
            offset_of!(PartHeader, shortened),
            offset_of!(PartHeader, padding),
        ];
        assert_eq!(offsets, [0, 8, 16, 20, 24, 28, 32, 36, 40, 41, 42, 43]);
    }

    #[test]
    fn slots_grow_and_leave_room_for_the_ring_buffers_own_header() {
        assert!(SLOTS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SLOTS.iter().all(|slot| (slot + 8).is_power_of_two() && *slot > PartHeader::LEN));
        const { assert!(MAX_PARTS * MAX_PART >= 512 << 10) };
    }

    fn record(len: u32, bytes: &[u8]) -> vec::Vec<u8> {
        let mut record = vec![0; PartHeader::LEN];
        record[0..8].copy_from_slice(&7u64.to_ne_bytes());
        record[8..16].copy_from_slice(&9u64.to_ne_bytes());
        for (at, word) in [(16, 1), (20, 2), (24, 300), (28, 200), (32, 100), (36, len)] {
            record[at..at + 4].copy_from_slice(&u32::to_ne_bytes(word));
        }
        record[40] = EGRESS;
        record[41] = RAW_IP;
        record[42] = 1;
        record.extend_from_slice(bytes);
        record
    }

    #[test]
    fn a_record_is_read_and_a_short_one_is_not() {
        let (header, bytes) = {
            let record = record(3, &[1, 2, 3, 4]);
            let (header, bytes) = PartHeader::read(&record).unwrap();
            (header, bytes.to_vec())
        };
        let expected = PartHeader {
            time: 7,
            serial: 9,
            cpu: 1,
            interface: 2,
            wire_len: 300,
            captured: 200,
            offset: 100,
            len: 3,
            direction: EGRESS,
            link: RAW_IP,
            shortened: 1,
            padding: [0; 5],
        };
        assert_eq!((header, &bytes[..]), (expected, &[1, 2, 3][..]));
        assert!(PartHeader::read(&record(5, &[1, 2, 3, 4])).is_none());
        assert!(PartHeader::read(&record(u32::MAX, &[])).is_none());
        let whole = record(0, &[]);
        for len in 0..whole.len() {
            assert!(PartHeader::read(&whole[..len]).is_none());
        }
    }

    #[test]
    fn a_flow_is_named_as_on_the_wire() {
        let name = flow_name(([1; 16], 0x0203), ([4; 16], 0x0506));
        assert_eq!(name[..16], [1; 16]);
        assert_eq!(name[16..32], [4; 16]);
        assert_eq!(name[32..], [2, 3, 5, 6]);
    }
}
