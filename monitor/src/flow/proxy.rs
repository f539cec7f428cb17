//! The PROXY protocol, versions 1 and 2: a line or a block in front of a connection that names the true source.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Not this protocol.
    No,
    /// It may be: more bytes are needed.
    Partial,
    /// A header of this length, and the source that it names (`None`: a health check, or not TCP).
    Header {
        /// Length in bytes.
        length: usize,
        /// The source.
        source: Option<SocketAddr>,
    },
}

/// Version 1: longest line with its end.
const LINE: usize = 107;
/// Version 2: the signature.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2: longest block that is taken for one; real ones with every extension stay far below.
const BLOCK: usize = 4_096;

/// Looks for a header at the start of `bytes`.
pub(crate) fn find(bytes: &[u8]) -> Found {
    let shared = |word: &[u8]| bytes.iter().zip(word).all(|(a, b)| a == b);
    if shared(b"PROXY ") {
        if bytes.len() < 6 { Found::Partial } else { line(bytes) }
    } else if shared(SIGNATURE) {
        if bytes.len() < 16 { Found::Partial } else { block(bytes) }
    } else {
        Found::No
    }
}

fn line(bytes: &[u8]) -> Found {
    let Some(end) = bytes.iter().take(LINE).position(|&byte| byte == b'\n') else {
        return if bytes.len() < LINE { Found::Partial } else { Found::No };
    };
    let text = bytes.get(..end).map(String::from_utf8_lossy).unwrap_or_default();
    let mut words = text.trim_end().split(' ').skip(1);
    let source = match words.next() {
        Some("TCP4" | "TCP6") => {
            let ip: Option<IpAddr> = words.next().and_then(|word| word.parse().ok());
            let port: Option<u16> = words.nth(1).and_then(|word| word.parse().ok());
            ip.zip(port).map(SocketAddr::from)
        }
        Some("UNKNOWN") => None,
        _ => return Found::No,
    };
    Found::Header { length: end + 1, source }
}

fn block(bytes: &[u8]) -> Found {
    let Some(&[version, family, high, low]) = bytes.get(12..16).and_then(|head| head.first_chunk::<4>()) else {
        return Found::Partial;
    };
    let length = 16 + usize::from(u16::from_be_bytes([high, low]));
    if version >> 4 != 2 || length > BLOCK {
        return Found::No;
    }
    let Some(body) = bytes.get(16..length) else { return Found::Partial };
    // Version 2, command 1 is PROXY; 0 is LOCAL, a health check.
    let source = match (version & 0x0f, family) {
        (1, 0x11) => source4(body),
        (1, 0x21) => source6(body),
        _ => None,
    };
    Found::Header { length, source }
}

fn source4(body: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 4] = *body.first_chunk()?;
    let port: [u8; 2] = *body.get(8..)?.first_chunk()?;
    Some((Ipv4Addr::from(ip), u16::from_be_bytes(port)).into())
}

fn source6(body: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 16] = *body.first_chunk()?;
    let port: [u8; 2] = *body.get(32..)?.first_chunk()?;
    Some((Ipv6Addr::from(ip), u16::from_be_bytes(port)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: &str, length: usize) -> Found {
        Found::Header { length, source: source.parse().ok() }
    }

    #[test]
    fn version_1() {
        assert_eq!(find(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n\x16\x03"), at("192.0.2.1:56324", 42));
        assert_eq!(find(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"), at("[2001:db8::1]:1", 40));
        assert_eq!(find(b"PROXY UNKNOWN\r\nGET"), Found::Header { length: 15, source: None });
        assert_eq!(find(b"PROXY TCP4 192.0.2.1 "), Found::Partial);
        assert_eq!(find(b"PRO"), Found::Partial);
        assert_eq!(find(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 120]].concat()), Found::No);
        assert_eq!(find(b"PRI * HTTP/2.0\r\n"), Found::No);
    }

    #[test]
    fn version_2() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x21, 0x11, 0, 15, 192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 1, 0xbb, 4, 0, 0]);
        assert_eq!(find(&bytes), at("192.0.2.1:56324", 31));
        for cut in 1..bytes.len() {
            assert_eq!(find(&bytes[..cut]), Found::Partial, "{cut}");
        }
        bytes[12] = 0x20;
        assert_eq!(find(&bytes), Found::Header { length: 31, source: None });
        bytes[12] = 0x31;
        assert_eq!(find(&bytes), Found::No);
    }
}
