//! The record layer's header (RFC 8446 section 5.1, RFC 5246 section 6.2.1).

use crate::Guess;

/// Bytes of a record header.
pub(crate) const HEADER: usize = 5;
/// Most bytes of a TLS 1.3 record behind its header: 2^14 + 256.
pub(crate) const MAX_TLS13: usize = (1 << 14) + 256;
/// Most bytes of any record behind its header: 2^14 + 2048, TLS 1.2.
pub(crate) const MAX: usize = (1 << 14) + 2048;

/// ContentType values.
pub(crate) mod content {
    pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(crate) const ALERT: u8 = 21;
    pub(crate) const HANDSHAKE: u8 = 22;
    pub(crate) const APPLICATION_DATA: u8 = 23;
}

/// A record header, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(pub(crate) [u8; HEADER]);

impl Header {
    pub(crate) const fn content_type(self) -> u8 {
        let [content_type, ..] = self.0;
        content_type
    }

    /// Bytes of the record behind the header.
    pub(crate) fn len(self) -> usize {
        let [.., high, low] = self.0;
        usize::from(u16::from_be_bytes([high, low]))
    }

    /// A header that TLS 1.0 to 1.3 may send: known type, version 3.x, allowed length.
    pub(crate) fn is_valid(self) -> bool {
        let [content_type, major, minor, ..] = self.0;
        // 24 is heartbeat (RFC 6520).
        (20..=24).contains(&content_type) && major == 3 && minor <= 4 && self.len() <= MAX
    }

    /// A header of protected data, strict enough to be looked for in the middle of a stream.
    pub(crate) fn is_protected_data(self) -> bool {
        let [content_type, major, minor, ..] = self.0;
        content_type == content::APPLICATION_DATA && major == 3 && minor == 3 && (17..=MAX_TLS13).contains(&self.len())
    }

    /// A header that may stand behind protected data.
    pub(crate) fn may_follow(self) -> bool {
        let [content_type, major, minor, ..] = self.0;
        match content_type {
            content::APPLICATION_DATA => major == 3 && minor == 3 && (9..=MAX).contains(&self.len()),
            content::ALERT => major == 3 && minor == 3 && (2..=96).contains(&self.len()),
            _ => false,
        }
    }

    /// The header at the front of `bytes`.
    pub(crate) fn at(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(|header| Self(*header))
    }
}

/// Whether these are the first bytes of a client's or a server's first flight: a handshake record with a hello, or an alert.
pub(crate) fn first_flight(bytes: &[u8]) -> Guess {
    const HELLO: [fn(u8) -> bool; 6] = [
        |content_type| content_type == content::HANDSHAKE,
        |major| major == 3,
        |minor| minor <= 4,
        |length| length <= 0x48,
        |_| true,
        |message| message == 1 || message == 2,
    ];
    const ALERT: [fn(u8) -> bool; 6] = [
        |byte| byte == content::ALERT,
        |byte| byte == 3,
        |byte| byte <= 4,
        |byte| byte == 0,
        |byte| byte == 2,
        |byte| byte <= 2,
    ];
    let fits = |pattern: &[fn(u8) -> bool]| bytes.iter().zip(pattern).all(|(byte, fits)| fits(*byte));
    match (fits(&HELLO) || fits(&ALERT), bytes.len() >= HELLO.len()) {
        (true, true) => Guess::Yes,
        (true, false) => Guess::Maybe,
        (false, _) => Guess::No,
    }
}
