//! The 9-byte frame header (RFC 9113 section 4.1) and what each frame type allows.

use crate::{Anomaly, Side};

/// Frame types: RFC 9113 section 6, RFC 7838 section 4, RFC 8336 section 2, RFC 9218 section 7.1.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const PRIORITY: u8 = 0x2;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PUSH_PROMISE: u8 = 0x5;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
    pub(crate) const ALTSVC: u8 = 0xa;
    pub(crate) const ORIGIN: u8 = 0xc;
    pub(crate) const PRIORITY_UPDATE: u8 = 0x10;
}

/// Frame flags.
pub(crate) mod flag {
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// What a client sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// SETTINGS_MAX_FRAME_SIZE before any SETTINGS (RFC 9113 section 6.5.2).
pub(crate) const DEFAULT_MAX_FRAME: u32 = 16_384;

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) reserved: bool,
    pub(crate) stream: u32,
}

/// What the rules say of a frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing against it.
    Fine,
    /// One rule broken: a peer's fault; the frame still ends where it says.
    Odd(Anomaly),
    /// Several rules broken: these bytes are no frame header.
    Implausible(Anomaly),
}

impl Head {
    pub(crate) const LEN: usize = 9;

    /// Reads a header; `None` when fewer than nine bytes are there.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<9>()?;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        Some(Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            reserved: stream >> 31 != 0,
            stream: stream & 0x7fff_ffff,
        })
    }

    pub(crate) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Flags that the type defines; `None` for a type that we do not know.
    const fn known_flags(self) -> Option<u8> {
        Some(match self.kind {
            kind::DATA => flag::END_STREAM | flag::PADDED,
            kind::HEADERS => flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY,
            kind::SETTINGS | kind::PING => flag::ACK,
            kind::PUSH_PROMISE => flag::END_HEADERS | flag::PADDED,
            kind::CONTINUATION => flag::END_HEADERS,
            kind::PRIORITY
            | kind::RST_STREAM
            | kind::GOAWAY
            | kind::WINDOW_UPDATE
            | kind::ALTSVC
            | kind::ORIGIN
            | kind::PRIORITY_UPDATE => 0,
            _ => return None,
        })
    }

    /// The type allows this length (RFC 9113 section 6).
    const fn size_fits(self) -> bool {
        match self.kind {
            kind::DATA => !self.has(flag::PADDED) || self.length >= 1,
            kind::HEADERS | kind::PUSH_PROMISE => self.length >= self.prefix(),
            kind::PRIORITY => self.length == 5,
            kind::RST_STREAM | kind::WINDOW_UPDATE => self.length == 4,
            kind::SETTINGS => self.length.is_multiple_of(6) && (!self.has(flag::ACK) || self.length == 0),
            kind::PING => self.length == 8,
            kind::GOAWAY => self.length >= 8,
            kind::ALTSVC => self.length >= 2,
            kind::PRIORITY_UPDATE => self.length >= 4,
            _ => true,
        }
    }

    /// The type allows this stream identifier (RFC 9113 section 6).
    const fn stream_fits(self) -> bool {
        match self.kind {
            kind::DATA
            | kind::HEADERS
            | kind::PRIORITY
            | kind::RST_STREAM
            | kind::PUSH_PROMISE
            | kind::CONTINUATION => self.stream != 0,
            kind::SETTINGS | kind::PING | kind::GOAWAY | kind::ORIGIN | kind::PRIORITY_UPDATE => self.stream == 0,
            _ => true,
        }
    }

    /// Bytes before the header block fragment: pad length, priority, promised stream.
    pub(crate) const fn prefix(self) -> u32 {
        let padded = if self.has(flag::PADDED) { 1 } else { 0 };
        match self.kind {
            kind::HEADERS if self.has(flag::PRIORITY) => padded + 5,
            kind::HEADERS | kind::DATA => padded,
            kind::PUSH_PROMISE => padded + 4,
            _ => 0,
        }
    }

    /// Judges a header at a place where one is due. A receiver ignores the reserved bit and undefined flags, so that neither is
    /// an anomaly alone; beside another oddity they say that this is no header. `max`: SETTINGS_MAX_FRAME_SIZE, where it is known.
    #[inline]
    pub(crate) fn judge(self, max: Option<u32>) -> Verdict {
        let flags = self.known_flags();
        let long = max.is_some_and(|max| self.length > max);
        let size = !self.size_fits();
        let stream = !self.stream_fits();
        if !(long | size | stream) {
            return Verdict::Fine;
        }
        let anomaly = match (stream, size) {
            (true, _) => Anomaly::StreamId,
            (_, true) => Anomaly::FrameSize,
            _ => Anomaly::FrameTooLong,
        };
        let strange = self.reserved || flags.is_none_or(|known| self.flags & !known != 0);
        if u8::from(long) + u8::from(size) + u8::from(stream) + u8::from(strange) > 1 {
            Verdict::Implausible(anomaly)
        } else {
            Verdict::Odd(anomaly)
        }
    }

    /// Judges bytes that may be a header: every rule must hold, a sender must have no reason to be odd.
    pub(crate) fn strict(self, side: Side, max: u32) -> bool {
        let by = match self.kind {
            kind::PUSH_PROMISE | kind::ALTSVC | kind::ORIGIN => side == Side::Server,
            kind::PRIORITY_UPDATE => side == Side::Client,
            _ => true,
        };
        by && !self.reserved
            && self.length <= max
            && self.size_fits()
            && self.stream_fits()
            && self.known_flags().is_some_and(|known| self.flags & !known == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(length: u32, kind: u8, flags: u8, stream: u32) -> Head {
        Head { length, kind, flags, reserved: false, stream }
    }

    #[test]
    fn reads_the_wire_form() {
        let head = Head::read(&[0, 0x40, 1, 3, 0x29, 0x80, 0, 1, 5]).unwrap();
        assert_eq!((head.length, head.kind, head.flags, head.stream), (0x4001, 3, 0x29, 0x105));
        assert!(head.reserved);
        assert_eq!(Head::read(&[0; 8]), None);
    }

    #[test]
    fn one_oddity_is_a_fault_and_two_are_no_header() {
        let max = Some(DEFAULT_MAX_FRAME);
        assert_eq!(head(4, kind::RST_STREAM, 0, 1).judge(max), Verdict::Fine);
        assert_eq!(head(4, kind::RST_STREAM, 0xff, 1).judge(max), Verdict::Fine);
        assert_eq!(head(5, kind::RST_STREAM, 0, 1).judge(max), Verdict::Odd(Anomaly::FrameSize));
        assert_eq!(head(4, kind::RST_STREAM, 0, 0).judge(max), Verdict::Odd(Anomaly::StreamId));
        assert_eq!(head(16_385, kind::DATA, 0, 1).judge(max), Verdict::Odd(Anomaly::FrameTooLong));
        assert_eq!(head(16_385, kind::DATA, 0, 1).judge(None), Verdict::Fine);
        assert_eq!(head(16_385, kind::DATA, 0, 0).judge(max), Verdict::Implausible(Anomaly::StreamId));
        assert_eq!(head(0x48_5454, 0x50, 0x2f, 0x312e_3120).judge(max), Verdict::Implausible(Anomaly::FrameTooLong));
        assert_eq!(head(100, 0xee, 0xff, 77).judge(max), Verdict::Fine, "unknown types are allowed");
    }

    #[test]
    fn strict_wants_every_rule() {
        let fine = head(8, kind::GOAWAY, 0, 0);
        assert!(fine.strict(Side::Server, 16_384));
        assert!(!Head { reserved: true, ..fine }.strict(Side::Server, 16_384));
        assert!(!Head { flags: 1, ..fine }.strict(Side::Server, 16_384));
        assert!(!head(4, kind::PUSH_PROMISE, 4, 1).strict(Side::Client, 16_384));
        assert!(!head(4, 0xee, 0, 1).strict(Side::Client, 16_384));
    }
}
