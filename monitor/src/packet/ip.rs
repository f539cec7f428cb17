//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use super::fragment::{Name, Piece};
use super::walk::{Found, Layer, Place};
use super::wire::array;

/// IPv6 extension headers of one packet that are followed.
const MAX_EXTENSIONS: u32 = 16;

#[inline]
pub(super) fn any(packet: &[u8], place: Place) -> Result<Place, Found> {
    match packet.get(place.at).map(|first| first >> 4) {
        Some(4) => v4(packet, place),
        Some(6) => v6(packet, place),
        _ => Err(Found::Malformed),
    }
}

#[inline]
pub(super) const fn mapped(address: [u8; 4]) -> u128 {
    0xffff_0000_0000 | u32::from_be_bytes(address) as u128
}

#[inline]
fn v4(packet: &[u8], place: Place) -> Result<Place, Found> {
    let header = array::<20>(packet, place.at).ok_or(Found::Malformed)?;
    let &[first, _, t0, t1, i0, i1, f0, f1, _, protocol, _, _, a0, a1, a2, a3, b0, b1, b2, b3] = header;
    let len = usize::from(first & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([t0, t1]));
    // A total length of 0: the network card was to cut a packet of more than 64 KiB, or to fill the length in.
    let end = if total == 0 { place.end } else { place.at + total };
    let at = place.at + len;
    if len < 20 || at > end {
        return Err(Found::Malformed);
    }
    let (from, to) = (mapped([a0, a1, a2, a3]), mapped([b0, b1, b2, b3]));
    let fragment = u16::from_be_bytes([f0, f1]);
    if fragment & 0x3fff != 0 {
        let name = Name { from, to, id: u32::from(u16::from_be_bytes([i0, i1])), protocol, tunnel: place.tunnel };
        return Err(piece(packet, name, fragment & 0x1fff, fragment & 0x2000 != 0, at, end));
    }
    Ok(Place { layer: Layer::Transport { protocol, from, to }, at, end, tunnel: place.tunnel })
}

#[inline]
fn v6(packet: &[u8], place: Place) -> Result<Place, Found> {
    let header = array::<40>(packet, place.at).ok_or(Found::Malformed)?;
    let &[_, _, _, _, l0, l1, mut next, _, ..] = header;
    let from = u128::from_be_bytes(*array(header, 8).ok_or(Found::Malformed)?);
    let to = u128::from_be_bytes(*array(header, 24).ok_or(Found::Malformed)?);
    let payload = usize::from(u16::from_be_bytes([l0, l1]));
    let mut at = place.at + 40;
    // A payload length of 0: a packet of more than 64 KiB (RFC 2675, or before its segmentation).
    let end = if payload == 0 { place.end.max(at) } else { at + payload };
    for _ in 0..MAX_EXTENSIONS {
        let bytes = match next {
            // Hop-by-hop and destination options, routing, mobility, HIP, shim6.
            0 | 43 | 60 | 135 | 139 | 140 => (usize::from(*packet.get(at + 1).ok_or(Found::Malformed)?) + 1) * 8,
            // Authentication header (RFC 4302).
            51 => (usize::from(*packet.get(at + 1).ok_or(Found::Malformed)?) + 2) * 4,
            44 => {
                let &[protocol, _, o0, o1, i0, i1, i2, i3] = array::<8>(packet, at).ok_or(Found::Malformed)?;
                let offset = u16::from_be_bytes([o0, o1]);
                if offset & 0xfff9 != 0 {
                    if at + 8 > end {
                        return Err(Found::Malformed);
                    }
                    let id = u32::from_be_bytes([i0, i1, i2, i3]);
                    // The protocol of the first fragment counts (RFC 8200 section 4.5), and is no part of the name.
                    let name = Name { from, to, id, protocol: 44, tunnel: place.tunnel };
                    let Found::Fragment(found) = piece(packet, name, offset >> 3, offset & 1 != 0, at + 8, end) else {
                        return Err(Found::Malformed);
                    };
                    return Err(Found::Fragment(Piece { protocol, ..found }));
                }
                8
            }
            protocol => {
                if at > end {
                    return Err(Found::Malformed);
                }
                return Ok(Place { layer: Layer::Transport { protocol, from, to }, at, end, tunnel: place.tunnel });
            }
        };
        next = *packet.get(at).ok_or(Found::Malformed)?;
        at += bytes;
    }
    Err(Found::TooDeep)
}

/// A fragment whose offset is in units of eight bytes.
fn piece(packet: &[u8], name: Name, offset: u16, more: bool, at: usize, end: usize) -> Found {
    let captured = end.min(packet.len());
    Found::Fragment(Piece {
        protocol: name.protocol,
        name,
        offset: usize::from(offset) * 8,
        more,
        at: at.min(captured),
        len: captured.saturating_sub(at),
        missing: end - captured.max(at).min(end),
    })
}
