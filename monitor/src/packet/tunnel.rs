//! What may lie between IP and the next IP.

use super::walk::{Found, Layer, Place};
use super::wire::{array, u16_at, u32_at};

/// VXLAN (RFC 7348), and the port that Linux took before there was one.
const VXLAN: [u16; 2] = [4_789, 8_472];
/// GENEVE (RFC 8926).
const GENEVE: u16 = 6_081;

/// What is under an IP protocol that is not TCP.
pub(super) fn transport(packet: &[u8], place: Place, protocol: u8, from: u128, to: u128) -> Result<Place, Found> {
    match protocol {
        // IP in IP (RFC 2003), 6in4 (RFC 4213).
        4 | 41 => Ok(Place { layer: Layer::Ip, ..place }),
        17 => udp(packet, place),
        47 => gre(packet, place),
        // An authentication header over IPv4 (RFC 4302).
        51 => {
            let &[protocol, words] = array::<2>(packet, place.at).ok_or(Found::Malformed)?;
            let at = place.at + (usize::from(words) + 2) * 4;
            if at > place.end {
                return Err(Found::Malformed);
            }
            Ok(Place { layer: Layer::Transport { protocol, from, to }, at, ..place })
        }
        _ => Err(Found::NotTcp),
    }
}

/// Names a tunnel within those around it.
const fn within(outer: u32, name: u32) -> u32 {
    if outer == 0 { name } else { outer.rotate_left(7).wrapping_mul(0x9e37_79b1) ^ name }
}

fn udp(packet: &[u8], place: Place) -> Result<Place, Found> {
    let port = u16_at(packet, place.at + 2).ok_or(Found::NotTcp)?;
    let at = place.at + 8;
    if VXLAN.contains(&port) {
        // The flag that the network identifier is valid.
        let &[flags, _, _, _, v0, v1, v2, _] = array::<8>(packet, at).ok_or(Found::NotTcp)?;
        if flags & 0x08 == 0 {
            return Err(Found::NotTcp);
        }
        let tunnel = within(place.tunnel, u32::from_be_bytes([0, v0, v1, v2]));
        return Ok(Place { layer: Layer::Ethernet, at: at + 8, tunnel, ..place });
    }
    if port == GENEVE {
        let &[lengths, _, k0, k1, v0, v1, v2, _] = array::<8>(packet, at).ok_or(Found::NotTcp)?;
        if lengths >> 6 != 0 {
            return Err(Found::NotTcp);
        }
        let tunnel = within(place.tunnel, u32::from_be_bytes([0, v0, v1, v2]));
        let layer = Layer::Ether(u16::from_be_bytes([k0, k1]));
        return Ok(Place { layer, at: at + 8 + usize::from(lengths & 0x3f) * 4, tunnel, ..place });
    }
    Err(Found::NotTcp)
}

/// GRE (RFC 2784, RFC 2890), with what rides on it: IP, Ethernet (NVGRE), ERSPAN II.
fn gre(packet: &[u8], place: Place) -> Result<Place, Found> {
    let &[f0, f1, k0, k1] = array::<4>(packet, place.at).ok_or(Found::Malformed)?;
    let kind = u16::from_be_bytes([k0, k1]);
    // Version 1 is PPTP; routing (RFC 1701) is used by nobody.
    if f1 & 0x07 != 0 || f0 & 0x40 != 0 {
        return Err(Found::NotTcp);
    }
    let has = |bit: u8| usize::from(f0 & bit != 0) * 4;
    let (checksum, key, sequence) = (has(0x80), has(0x20), has(0x10));
    let tunnel = if key > 0 {
        within(place.tunnel, u32_at(packet, place.at + 4 + checksum).ok_or(Found::Malformed)?)
    } else {
        place.tunnel
    };
    let at = place.at + 4 + checksum + key + sequence;
    let (layer, at) = match kind {
        // ERSPAN: without a sequence number there is no header of its own (type I); with one it has eight bytes (type II).
        0x88be if sequence == 0 => (Layer::Ethernet, at),
        0x88be => (Layer::Ethernet, at + 8),
        // Cisco's keep-alives, WCCP.
        0 | 0x883e => return Err(Found::NotTcp),
        _ => (Layer::Ether(kind), at),
    };
    Ok(Place { layer, at, tunnel, ..place })
}
