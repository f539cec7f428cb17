//! Down the headers of one packet, layer by layer.

use super::wire::{array, u16_at, u32_at};
use super::{fragment, ip, tunnel};

/// Headers of one packet that are followed, of any kind.
const MAX_LAYERS: u32 = 24;

/// Where the walk through a packet is. Offsets are those of the packet's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The layer that begins here.
    pub(super) layer: Layer,
    /// Offset of its first byte.
    pub(super) at: usize,
    /// Offset behind the last byte that was on the wire, captured or not, without what is known to be padding.
    pub(super) end: usize,
    /// What the tunnels so far are called.
    pub(super) tunnel: u32,
}

/// The layer at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Ethernet,
    /// What an EtherType names.
    Ether(u16),
    /// IPv4 or IPv6, by the version in its first byte.
    Ip,
    /// What an IP protocol number names, between two addresses (IPv4-mapped).
    Transport {
        protocol: u8,
        from: u128,
        to: u128,
    },
}

/// What a packet held.
#[derive(Debug)]
pub(super) enum Found {
    Tcp(Tcp),
    /// A part of a datagram; the rest is to be awaited.
    Fragment(fragment::Piece),
    NotTcp,
    NotIp,
    Malformed,
    TooDeep,
}

/// A TCP header, and where its payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tcp {
    pub(super) from: (u128, u16),
    pub(super) to: (u128, u16),
    pub(super) tunnel: u32,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    /// Offset of the payload.
    pub(super) at: usize,
    /// Payload bytes captured.
    pub(super) len: usize,
    /// Payload bytes on the wire and not captured.
    pub(super) missing: u32,
}

/// The place where the packets of a link type begin. `None`: the link type is not decoded.
pub(super) fn begin(link: u16, packet: &[u8], end: usize) -> Option<Result<Place, Found>> {
    let place = |layer, at| Some(Ok(Place { layer, at, end, tunnel: 0 }));
    let ether = |kind: Option<u16>, at| match kind {
        Some(kind) => place(Layer::Ether(kind), at),
        None => Some(Err(Found::Malformed)),
    };
    match link {
        1 => place(Layer::Ethernet, 0),
        // Linux cooked captures: the protocol is the last field of the first version and the first of the second.
        113 => ether(u16_at(packet, 14), 16),
        276 => ether(u16_at(packet, 0), 20),
        12 | 14 | 101 | 228 | 229 => place(Layer::Ip, 0),
        // An address family in the byte order of some host. Whatever its number for IPv6 is there, the version nibble says it.
        0 | 108 => {
            let Some(&family) = array::<4>(packet, 0) else { return Some(Err(Found::Malformed)) };
            match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
                2 | 10 | 23 | 24 | 26 | 28 | 30 => place(Layer::Ip, 4),
                _ => Some(Err(Found::NotIp)),
            }
        }
        _ => None,
    }
}

/// The shape that most packets have, all at once: Ethernet, IPv4 without options, TCP. `None`: any other, or there is something to say of
/// it.
#[inline]
pub(super) fn plain(packet: &[u8]) -> Option<Tcp> {
    /// Where the layers begin.
    const IP: usize = 14;
    const TCP: usize = IP + 20;
    let header = array::<{ TCP + 20 }>(packet, 0)?;
    let (&ether, ip) = header.split_first_chunk::<IP>()?;
    let (&ip, tcp) = ip.split_first_chunk::<20>()?;
    let [.., 0x08, 0x00] = ether else { return None };
    let [0x45, _, t0, t1, _, _, f0, f1, _, 6, _, _, a0, a1, a2, a3, b0, b1, b2, b3] = ip else { return None };
    let total = usize::from(u16::from_be_bytes([t0, t1]));
    // A length of 0 was left to the network card; of a fragment the rest is to be awaited.
    if total == 0 || u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return None;
    }
    let &[s0, s1, d0, d1, q0, q1, q2, q3, k0, k1, k2, k3, offset, flags, ..] = tcp else { return None };
    let at = TCP + usize::from(offset >> 4) * 4;
    let end = IP + total;
    if offset < 0x50 || at > end {
        return None;
    }
    let captured = end.min(packet.len());
    Some(Tcp {
        from: (ip::mapped([a0, a1, a2, a3]), u16::from_be_bytes([s0, s1])),
        to: (ip::mapped([b0, b1, b2, b3]), u16::from_be_bytes([d0, d1])),
        tunnel: 0,
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        ack: u32::from_be_bytes([k0, k1, k2, k3]),
        flags,
        at: at.min(captured),
        len: captured.saturating_sub(at),
        missing: u32::try_from(end - captured.max(at)).unwrap_or(u32::MAX),
    })
}

/// Walks to the end of what can be followed.
#[inline]
pub(super) fn walk(packet: &[u8], mut place: Place) -> Found {
    for _ in 0..MAX_LAYERS {
        let next = match place.layer {
            Layer::Ethernet => ethernet(packet, place),
            Layer::Ether(kind) => ether(packet, place, kind),
            Layer::Ip => ip::any(packet, place),
            Layer::Transport { protocol: 6, from, to } => return tcp(packet, place, from, to),
            Layer::Transport { protocol, from, to } => tunnel::transport(packet, place, protocol, from, to),
        };
        match next {
            Ok(next) => place = next,
            Err(found) => return found,
        }
    }
    Found::TooDeep
}

#[inline]
fn ethernet(packet: &[u8], place: Place) -> Result<Place, Found> {
    let kind = u16_at(packet, place.at + 12).ok_or(Found::Malformed)?;
    Ok(Place { layer: Layer::Ether(kind), at: place.at + 14, ..place })
}

#[inline]
fn ether(packet: &[u8], place: Place, kind: u16) -> Result<Place, Found> {
    let to = |layer, bytes| Ok(Place { layer, at: place.at + bytes, ..place });
    match kind {
        0x0800 | 0x86dd => to(Layer::Ip, 0),
        // A VLAN tag: 802.1Q, 802.1ad and its forerunners.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
            to(Layer::Ether(u16_at(packet, place.at + 2).ok_or(Found::Malformed)?), 4)
        }
        // MPLS (RFC 3032): what lies under the last label has no type but its version.
        0x8847 | 0x8848 => {
            let label = u32_at(packet, place.at).ok_or(Found::Malformed)?;
            to(if label & 0x100 == 0 { Layer::Ether(kind) } else { Layer::Ip }, 4)
        }
        // A PPPoE session (RFC 2516) and its PPP protocol.
        0x8864 => match u16_at(packet, place.at + 6) {
            Some(0x0021 | 0x0057) => to(Layer::Ip, 8),
            Some(_) => Err(Found::NotIp),
            None => Err(Found::Malformed),
        },
        // Transparent Ethernet bridging (RFC 1701).
        0x6558 => to(Layer::Ethernet, 0),
        // A length of IEEE 802.3: a SNAP header may name an EtherType.
        0..=1500 => match array::<8>(packet, place.at) {
            Some(&[0xaa, 0xaa, 3, 0, 0, 0, high, low]) => to(Layer::Ether(u16::from_be_bytes([high, low])), 8),
            _ => Err(Found::NotIp),
        },
        _ => Err(Found::NotIp),
    }
}

/// RFC 9293 section 3.1.
#[inline]
fn tcp(packet: &[u8], place: Place, from: u128, to: u128) -> Found {
    let Some(&[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, ..]) = array::<20>(packet, place.at)
    else {
        return Found::Malformed;
    };
    let header = usize::from(offset >> 4) * 4;
    let at = place.at + header;
    if header < 20 || at > place.end {
        return Found::Malformed;
    }
    let captured = place.end.min(packet.len());
    Found::Tcp(Tcp {
        from: (from, u16::from_be_bytes([s0, s1])),
        to: (to, u16::from_be_bytes([d0, d1])),
        tunnel: place.tunnel,
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        at: at.min(captured),
        len: captured.saturating_sub(at),
        missing: u32::try_from(place.end - captured.max(at)).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Found, begin, plain, walk};

    proptest! {
        /// What is read all at once is what the walk finds.
        #[test]
        fn plain_packets_are_as_walked(
            changes in proptest::collection::vec((0_usize..64, any::<u8>()), 0..4),
            keep in 40_usize..=90,
            more in 0_usize..9,
        ) {
            let mut packet = vec![0; 90];
            packet[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
            packet[16..18].copy_from_slice(&70_u16.to_be_bytes());
            packet[23] = 6;
            packet[26..38].copy_from_slice(b"abcdefghijkl");
            packet[46] = 0x50;
            for (at, byte) in changes {
                packet[at] = byte;
            }
            packet.truncate(keep);
            if let Some(tcp) = plain(&packet) {
                let place = begin(1, &packet, keep + more).and_then(Result::ok).unwrap();
                prop_assert!(matches!(walk(&packet, place), Found::Tcp(walked) if walked == tcp));
            }
        }
    }

    #[test]
    fn a_plain_packet_is_known() {
        let mut packet = vec![0; 60];
        packet[12..18].copy_from_slice(&[8, 0, 0x45, 0, 0, 45]);
        (packet[23], packet[46]) = (6, 0x50);
        assert_eq!(plain(&packet).map(|tcp| (tcp.at, tcp.len, tcp.missing)), Some((54, 5, 0)));
        assert_eq!(plain(&packet[..56]).map(|tcp| (tcp.at, tcp.len, tcp.missing)), Some((54, 2, 3)));
        packet[20] = 0x20;
        assert_eq!(plain(&packet), None);
    }
}
