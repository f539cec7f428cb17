//! Who is the server where the library does not say it.

use std::net::SocketAddr;

use super::super::sniff::{self, Guess};
use crate::model::Side;

/// The last resort: the end with the lower port serves. Gives the side of the local end.
pub(super) const fn by_port(local: SocketAddr, peer: SocketAddr) -> Side {
    if local.port() <= peer.port() { Side::Server } else { Side::Client }
}

/// The side that writes so; `None`: these bytes do not show it.
pub(super) fn speaker(bytes: &[u8]) -> Option<Side> {
    match sniff::plain(bytes) {
        Guess::Preface | Guess::Request => Some(Side::Client),
        Guess::Response => Some(Side::Server),
        Guess::Frames => by_frames(bytes),
        Guess::Partial | Guess::Proxy(_) | Guess::Tls(_) | Guess::No => None,
    }
}

/// What the frames show: some are sent by one side alone, and a header section begins with the pseudo-header fields of its side
/// (RFC 9113 section 8.3).
fn by_frames(bytes: &[u8]) -> Option<Side> {
    let mut rest = bytes;
    loop {
        let (head, behind) = rest.split_first_chunk::<9>()?;
        let length = sniff::frame(head)?;
        let &[_, _, _, kind, flags, .., last] = head;
        let found = match kind {
            0x1 if last % 2 == 0 => Some(Side::Server),
            0x1 => section(behind.get(..length).unwrap_or(behind), flags),
            0x2 | 0x10 => Some(Side::Client),
            0x5 => Some(Side::Server),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        rest = behind.get(length..)?;
    }
}

/// Whose first field a HEADERS frame begins with, where it is in HPACK's static table (RFC 7541 appendix A).
fn section(payload: &[u8], flags: u8) -> Option<Side> {
    const PADDED: u8 = 0x8;
    const PRIORITY: u8 = 0x20;
    let skip = usize::from(flags & PADDED != 0) + if flags & PRIORITY == 0 { 0 } else { 5 };
    let mut block = payload.get(skip..)?;
    // Changes of the table's size come first: 001xxxxx, and more bytes where all of x is set.
    while let Some((&first, behind)) = block.split_first()
        && first & 0xe0 == 0x20
    {
        let more = if first & 0x1f == 0x1f { behind.iter().position(|byte| byte & 0x80 == 0)? + 1 } else { 0 };
        block = behind.get(more..)?;
    }
    let &first = block.first()?;
    let index = match first {
        0x80.. => first & 0x7f,
        0x40.. => first & 0x3f,
        _ => first & 0x0f,
    };
    match index {
        1..=7 => Some(Side::Client),
        8..=14 => Some(Side::Server),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let head = [0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
        [&head, payload].concat()
    }

    #[test]
    fn frames_and_first_lines_show_who_wrote_them() {
        let settings = frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
        let behind = |next: &[u8]| [settings.as_slice(), next].concat();
        let cases = [
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Some(Side::Client)),
            (b"GET / HTTP/1.1\r\n".to_vec(), Some(Side::Client)),
            (b"HTTP/1.1 200 OK\r\n".to_vec(), Some(Side::Server)),
            (b"EHLO a\r\n".to_vec(), None),
            (settings.clone(), None),
            (behind(&frame(1, 5, 1, &[0x82, 0x86, 0x84])), Some(Side::Client)),
            (behind(&frame(1, 4, 1, &[0x88])), Some(Side::Server)),
            (frame(1, 4, 1, &[0x48, 3, b'4', b'1', b'8']), Some(Side::Server)),
            (frame(1, 4, 1, &[0x3f, 0xe1, 0x1f, 0x20, 0x8d]), Some(Side::Server)),
            (frame(1, 0x2c, 1, &[0, 0, 0, 0, 0, 9, 0x41, 1, b'a']), Some(Side::Client)),
            (frame(1, 4, 1, &[0xbe]), None),
            (frame(1, 4, 2, &[0xbe]), Some(Side::Server)),
            (frame(2, 0, 3, &[0, 0, 0, 0, 9]), Some(Side::Client)),
            (frame(3, 0, 1, &[0, 0, 0, 0xd]), None),
        ];
        for (bytes, side) in cases {
            assert_eq!(speaker(&bytes), side, "{bytes:02x?}");
        }
    }

    #[test]
    fn the_lower_port_serves() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(by_port(at(443), at(50_000)), Side::Server);
        assert_eq!(by_port(at(50_000), at(443)), Side::Client);
    }
}
