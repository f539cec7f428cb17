//! From frame to frame, by the lengths alone: where the next one begins.
//!
//! The kernel follows the frames by itself. Where one call brings more of them than it may look at, it hands up everything, and this
//! tells it where to go on.

/// A frame header (RFC 9113 section 4.1).
const HEADER: u64 = 9;
/// The client's connection preface (RFC 9113 section 3.4).
const PREFACE: u64 = 24;

/// Where the next frame of a direction begins, as far as its bytes came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// `None`: it is not known.
    next: Option<u64>,
    /// The first bytes of its header: the three of its length are enough.
    length: [u8; 3],
}

impl Hop {
    /// At the beginning of a connection, or somewhere.
    pub(super) const fn new(beginning: bool) -> Self {
        Self { next: if beginning { Some(0) } else { None }, length: [0; 3] }
    }

    /// Offset of the next frame.
    pub(super) const fn next(&self) -> Option<u64> {
        self.next
    }

    /// Takes bytes of the stream at an offset. Those between are payload of the frame before, or lost: then it is lost as well.
    pub(super) fn pass(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset.saturating_add(bytes.len() as u64);
        let Some(mut next) = self.next else { return };
        if next == 0 && offset == 0 && bytes.starts_with(b"PRI") {
            next = PREFACE;
        }
        while next < end {
            for (at, place) in (next..).zip(&mut self.length) {
                match at.checked_sub(offset) {
                    Some(at) => {
                        // Not there yet: the next call brings it.
                        let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get(at)) else {
                            self.next = Some(next);
                            return;
                        };
                        *place = *byte;
                    }
                    // It came before, when it was the end of what had come.
                    None if offset.saturating_sub(next) < 3 && self.next == Some(next) => {}
                    None => {
                        self.next = None;
                        return;
                    }
                }
            }
            let [a, b, c] = self.length;
            next = next.saturating_add(HEADER + u64::from(u32::from_be_bytes([0, a, b, c])));
        }
        self.next = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Vec<u8> {
        let mut frame = vec![0, (len >> 8) as u8, len as u8, 0, 0, 0, 0, 0, 1];
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
        assert_eq!(hop.next(), Some(1_020));
        hop.pass(1_024, &frame(2));
        assert_eq!(hop.next(), None);
        let mut hop = Hop::new(false);
        hop.pass(0, &frame(1));
        assert_eq!(hop.next(), None);
    }
}
