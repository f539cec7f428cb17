//! What bytes look like, whatever the port.

use super::proxy;
use crate::model::Side;

/// A yes or no that may need more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Like {
    /// They are not that.
    No,
    /// They may be: more bytes are needed.
    Partial,
    /// They are.
    Yes,
}

/// What the first bytes of a direction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// More bytes are needed.
    Partial,
    /// A PROXY protocol header.
    Proxy(proxy::Found),
    /// A TLS record; of a hello, who sent it.
    Tls(Option<Side>),
    /// The HTTP/2 preface (RFC 9113 section 3.4).
    Preface,
    /// A request line of HTTP/1.
    Request,
    /// A status line of HTTP/1.
    Response,
    /// HTTP/2 frames without a preface.
    Frames,
    /// None of these.
    No,
}

/// The start of the client's connection preface; no HTTP/1 request looks like it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Looks at the first bytes of a direction of a TCP connection.
pub(crate) fn wire(bytes: &[u8]) -> Guess {
    match proxy::find(bytes) {
        proxy::Found::No => {}
        proxy::Found::Partial => return Guess::Partial,
        found @ proxy::Found::Header { .. } => return Guess::Proxy(found),
    }
    match tls(bytes) {
        Guess::No => plain(bytes),
        guess => guess,
    }
}

/// Looks at the first bytes of a direction inside TLS or in the clear.
pub(crate) fn plain(bytes: &[u8]) -> Guess {
    if bytes.is_empty() {
        return Guess::Partial;
    }
    if bytes.iter().zip(PREFACE).all(|(a, b)| a == b) {
        return if bytes.len() < PREFACE.len() { Guess::Partial } else { Guess::Preface };
    }
    let status = b"HTTP/1.";
    if bytes.iter().zip(status).all(|(a, b)| a == b) {
        return if bytes.len() < status.len() { Guess::Partial } else { Guess::Response };
    }
    match request_line(bytes) {
        Like::Yes => return Guess::Request,
        Like::Partial => return Guess::Partial,
        Like::No => {}
    }
    match frames(bytes) {
        Like::Yes => Guess::Frames,
        Like::Partial => Guess::Partial,
        Like::No => Guess::No,
    }
}

/// A TLS record header, and behind it a hello where one is.
fn tls(bytes: &[u8]) -> Guess {
    let Some((&kind, rest)) = bytes.split_first() else { return Guess::Partial };
    if !(20..=23).contains(&kind) || rest.first().is_some_and(|&major| major != 3) {
        return Guess::No;
    }
    if rest.get(1).is_some_and(|&minor| minor > 4) {
        return Guess::No;
    }
    let Some(&[_, _, high, low, first]) = rest.first_chunk::<5>() else { return Guess::Partial };
    match (kind, u16::from_be_bytes([high, low])) {
        (_, 0) | (_, 16_641..) => Guess::No,
        (22, 4..) if first == 1 => Guess::Tls(Some(Side::Client)),
        (22, 4..) if first == 2 => Guess::Tls(Some(Side::Server)),
        (20, length) if length != 1 => Guess::No,
        _ => Guess::Tls(None),
    }
}

/// Where a record of application data begins that another follows, in bytes that begin inside a record.
pub(crate) fn record_inside(bytes: &[u8]) -> Option<usize> {
    let mut from = 1;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|&byte| byte == 0x17)?;
        if let Some(&[_, 3, 3, high, low]) = bytes.get(at..)?.first_chunk::<5>() {
            let length = u16::from_be_bytes([high, low]);
            let next = bytes.get(at + 5 + usize::from(length)..).unwrap_or_default();
            let chained = next.iter().zip([0x17, 3, 3]).all(|(&a, b)| a == b);
            if (17..=16_640).contains(&length) && chained {
                return Some(at);
            }
        }
        from = at + 1;
    }
}

/// A request line of HTTP/1 (RFC 9112 section 3): a method and the start of a target. Other text protocols have commands too, so
/// the target has to look like one.
pub(crate) fn request_line(bytes: &[u8]) -> Like {
    const LONGEST_METHOD: usize = 20;
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    match bytes.get(method) {
        _ if method > LONGEST_METHOD => Like::No,
        None if method > 0 => Like::Partial,
        Some(b' ') if method >= 3 => {
            let (name, target) = bytes.split_at_checked(method).unwrap_or_default();
            match target.get(1) {
                None => Like::Partial,
                Some(b'/' | b'*') => Like::Yes,
                Some(_) if name == b"CONNECT" => Like::Yes,
                Some(_) => {
                    let scheme = target.get(1..).unwrap_or_default();
                    let like = scheme.iter().zip(b"http").all(|(a, b)| a == b);
                    match (like, scheme.len() < 4) {
                        (false, _) => Like::No,
                        (true, true) => Like::Partial,
                        (true, false) => Like::Yes,
                    }
                }
            }
        }
        _ => Like::No,
    }
}

/// HTTP/2 frame headers that follow one another, three at the most (RFC 9113 section 4.1 and 6).
fn frames(bytes: &[u8]) -> Like {
    let mut at = 0usize;
    for seen in 0..3 {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(header) = rest.first_chunk::<9>() else {
            // Every frame that is small enough to be expected has a length below 2^16.
            let possible = rest.first().is_none_or(|&byte| byte == 0);
            return match (seen, possible) {
                (0, true) => Like::Partial,
                (_, true) => Like::Yes,
                (_, false) => Like::No,
            };
        };
        match frame(header) {
            Some(length) => at = at.saturating_add(9 + length),
            None => return Like::No,
        }
    }
    Like::Yes
}

/// The payload length of a frame header that the RFC allows.
pub(crate) fn frame(&[l2, l1, l0, kind, flags, s3, s2, s1, s0]: &[u8; 9]) -> Option<usize> {
    const DEFAULT_MAX_FRAME_SIZE: u32 = 1 << 14;
    let length = u32::from_be_bytes([0, l2, l1, l0]);
    let stream = u32::from_be_bytes([s3, s2, s1, s0]);
    let (connection, mask, sized) = match kind {
        0x0 => (false, 0x09, true),
        0x1 => (false, 0x2d, length > 0),
        0x2 => (false, 0, length == 5),
        0x3 => (false, 0, length == 4),
        0x4 => (true, 1, length.is_multiple_of(6)),
        0x5 => (false, 0x0c, length > 4),
        0x6 => (true, 1, length == 8),
        0x7 => (true, 0, length >= 8),
        0x8 => (stream == 0, 0, length == 4),
        0x9 => (false, 4, true),
        0x10 => (true, 0, length >= 4),
        _ => return None,
    };
    let allowed = stream >> 31 == 0
        && (stream == 0) == connection
        && flags & !mask == 0
        && sized
        && length <= DEFAULT_MAX_FRAME_SIZE;
    allowed.then_some(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_protocols_apart_by_content() {
        let cases: [(&[u8], Guess); 16] = [
            (b"\x16\x03\x01\x02\x00\x01\x00", Guess::Tls(Some(Side::Client))),
            (b"\x16\x03\x03\x00\x5a\x02\x00", Guess::Tls(Some(Side::Server))),
            (b"\x17\x03\x03\x00\x5a\x02\x00", Guess::Tls(None)),
            (b"\x17\x03\x03", Guess::Partial),
            (b"\x17\x04\x03\x00\x5a\x02", Guess::No),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Guess::Preface),
            (b"PRI * HT", Guess::Partial),
            (b"GET / HTTP/1.1\r\n", Guess::Request),
            (b"M-SEARCH * HTTP/1.1\r\n", Guess::Request),
            (b"OPTIONS http://a/ HTTP/1.1", Guess::Request),
            (b"EHLO mail.example\r\n", Guess::No),
            (b"SSH-2.0-OpenSSH_9\r\n", Guess::No),
            (b"HTTP/1.1 200 OK\r\n", Guess::Response),
            (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", Guess::Frames),
            (b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x0d\xff\0\0", Guess::No),
            (b"\0\0\0\0\0\0\0\0\0", Guess::No),
        ];
        for (bytes, guess) in cases {
            assert_eq!(wire(bytes), guess, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_record_is_found_inside_other_bytes() {
        let mut bytes = vec![0x17, 9, 9, 9, 9];
        bytes.extend([0x17, 3, 3, 0, 20]);
        bytes.extend([7; 20]);
        bytes.extend([0x17, 3, 3, 0, 20, 1]);
        assert_eq!(record_inside(&bytes), Some(5));
        assert_eq!(record_inside(&bytes[..20]), Some(5));
        bytes[30] = 0x18;
        assert_eq!(record_inside(&bytes[..32]), None);
    }
}
