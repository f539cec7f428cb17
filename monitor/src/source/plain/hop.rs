//! From frame to frame, by the lengths alone: where the next one begins.
//!
//! The kernel follows the frames by itself. Where one call brings more of them than it may look at, it hands up everything, and this
//! tells it where to go on.

use probe_abi::plain::is_plausible;

/// A frame header (RFC 9113 section 4.1).
const HEADER: usize = 9;
/// The client's connection preface (RFC 9113 section 3.4).
const PREFACE: u64 = 24;

/// Where the next frame of a direction begins, as far as its bytes came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// `None`: it is not known.
    next: Option<u64>,
    /// What came of its header.
    head: [u8; HEADER],
    /// How much that is.
    have: usize,
}

impl Hop {
    /// At the beginning of a connection, or somewhere.
    pub(super) const fn new(beginning: bool) -> Self {
        Self { next: if beginning { Some(0) } else { None }, head: [0; HEADER], have: 0 }
    }

    /// Offset of the next frame.
    pub(super) const fn next(&self) -> Option<u64> {
        self.next
    }

    /// Takes bytes of the stream at an offset. What lies between is payload of the frame before; or lost, and the place with it.
    pub(super) fn pass(&mut self, offset: u64, bytes: &[u8]) {
        if self.next == Some(0) && offset == 0 && bytes.starts_with(b"PRI") {
            self.next = Some(PREFACE);
        }
        while let Some(next) = self.next {
            // Where the next byte of the header is among these.
            let Some(at) = next.saturating_add(self.have as u64).checked_sub(offset) else {
                self.next = None;
                return;
            };
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let wanted = self.head.iter_mut().skip(self.have);
            let taken = wanted.zip(rest).map(|(place, byte)| *place = *byte).count();
            self.have += taken;
            if self.have < HEADER {
                return;
            }
            let [a, b, c, kind, _, stream @ ..] = self.head;
            let len = u32::from_be_bytes([0, a, b, c]);
            let whole = is_plausible(len, kind, u32::from_be_bytes(stream));
            self.next = whole.then(|| next.saturating_add(HEADER as u64 + u64::from(len)));
            self.have = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Vec<u8> {
        let mut frame = vec![0, (len >> 8) as u8, len as u8, 1, 0, 0, 0, 0, 1];
        frame.resize(9 + len, 0xee);
        frame
    }

    #[test]
    fn however_the_stream_is_cut() {
        let mut stream = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for len in [0, 5, 300, 1, 0, 17] {
            stream.extend(frame(len));
        }
        for piece in [1, 2, 3, 7, 9, 10, 100, stream.len()] {
            if piece < 3 {
                // The preface is told by its first three bytes, which the kernel hands up together.
                continue;
            }
            let mut hop = Hop::new(true);
            for (at, bytes) in stream.chunks(piece).enumerate() {
                hop.pass((at * piece) as u64, bytes);
            }
            assert_eq!(hop.next(), Some(stream.len() as u64), "pieces of {piece}");
        }
    }

    #[test]
    fn payload_may_be_missing_and_headers_may_not() {
        let mut hop = Hop::new(true);
        hop.pass(0, &frame(1_000)[..9]);
        assert_eq!(hop.next(), Some(1_009));
        hop.pass(1_009, &frame(2)[..4]);
        hop.pass(1_013, &frame(2)[4..]);
        assert_eq!(hop.next(), Some(1_020));
        hop.pass(1_020, &frame(2)[..4]);
        hop.pass(1_026, &frame(2)[6..]);
        hop.pass(1_031, &frame(2));
        assert_eq!(hop.next(), None, "two bytes of a header are missing");
        let mut hop = Hop::new(false);
        hop.pass(0, &frame(1));
        assert_eq!(hop.next(), None);
        let mut hop = Hop::new(true);
        hop.pass(0, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(hop.next(), None, "no frame");
    }
}
