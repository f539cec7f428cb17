use aes::Block;

/// Bytes of an HTTP/2 frame header (RFC 9113 section 4.1).
pub(super) const HEAD: usize = 9;

/// The nine bytes look like the header of a frame that a peer would send.
///
/// A guess that saves tag checks and nothing more: strict, because records that it misses are few and trials are many.
pub(super) fn plausible(head: [u8; HEAD]) -> bool {
    let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
    let len = u32::from_be_bytes([0, l0, l1, l2]);
    let stream = u32::from_be_bytes([s0, s1, s2, s3]);
    let flags_within = |known: u8| flags & !known == 0;
    if stream >> 31 != 0 || l0 != 0 {
        return false;
    }
    match kind {
        // DATA
        0x0 => stream != 0 && flags_within(0x09),
        // HEADERS
        0x1 => stream != 0 && len != 0 && flags_within(0x2d),
        // PRIORITY, RST_STREAM
        0x2 => stream != 0 && len == 5 && flags == 0,
        0x3 => stream != 0 && len == 4 && flags == 0,
        // SETTINGS, and its acknowledgement
        0x4 => stream == 0 && (flags == 0 && len.is_multiple_of(6) && len <= 1536 || flags == 1 && len == 0),
        // PUSH_PROMISE
        0x5 => stream != 0 && len > 4 && flags_within(0x0c),
        // PING
        0x6 => stream == 0 && len == 8 && flags_within(0x01),
        // GOAWAY
        0x7 => stream == 0 && len >= 8 && flags == 0,
        // WINDOW_UPDATE
        0x8 => len == 4 && flags == 0,
        // CONTINUATION
        0x9 => stream != 0 && flags_within(0x04),
        // ALTSVC (RFC 7838), ORIGIN (RFC 8336), PRIORITY_UPDATE (RFC 9218)
        0xa => len >= 2 && flags == 0,
        0xc => stream == 0 && flags == 0,
        0x10 => stream == 0 && len >= 4 && flags == 0,
        _ => false,
    }
}

/// Where a sample's first bytes came from.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) bytes: [u8; HEAD],
    pub(super) flow: u64,
    pub(super) sample: usize,
}

/// The first bytes of many samples, found by the key stream that would make them a frame header: its first byte must turn
/// the sample's into 0, its fourth must turn the sample's into a known frame type.
#[derive(Default)]
pub(super) struct Index {
    /// Where each bucket begins in `heads`; one more than there are buckets.
    starts: Vec<u32>,
    heads: Vec<Head>,
}

impl Index {
    const BUCKETS: usize = 1 << 11;

    pub(super) fn build(mut heads: Vec<Head>) -> Self {
        heads.sort_by_key(|head| bucket(&head.bytes));
        let mut starts = vec![0; Self::BUCKETS + 1];
        for head in &heads {
            if let Some(count) = starts.get_mut(bucket(&head.bytes) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { starts, heads }
    }

    pub(super) const fn len(&self) -> usize {
        self.heads.len()
    }

    /// Calls `hit` with the samples that this key stream makes plausible; says how many were looked at.
    #[inline]
    pub(super) fn look_up(&self, keystream: &Block, hit: impl FnMut(&Head)) -> usize {
        let Some(key) = keystream.first_chunk::<HEAD>() else { return 0 };
        let at = bucket(key);
        match self.starts.get(at..=at + 1) {
            Some(&[from, to]) if from != to => self.look_up_in(from as usize..to as usize, key, hit),
            _ => 0,
        }
    }

    #[cold]
    fn look_up_in(&self, range: std::ops::Range<usize>, key: &[u8; HEAD], mut hit: impl FnMut(&Head)) -> usize {
        let Some(heads) = self.heads.get(range) else { return 0 };
        for head in heads {
            let mut text = head.bytes;
            text.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            if plausible(text) {
                hit(head);
            }
        }
        heads.len()
    }
}

/// First byte, and the three bits of the fourth that no known frame type has: equal in sample and key stream. (0x10 and
/// below have the upper three bits clear.)
const fn bucket(bytes: &[u8; HEAD]) -> usize {
    let [first, _, _, kind, ..] = *bytes;
    (first as usize) << 3 | (kind >> 5) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_are_sent_are_plausible_and_noise_is_not() {
        for head in [
            *b"\x00\x40\x00\x00\x00\x00\x00\x00\x01",
            *b"\x00\x00\x20\x01\x05\x00\x00\x00\x03",
            *b"\x00\x00\x00\x04\x01\x00\x00\x00\x00",
            *b"\x00\x00\x04\x03\x00\x00\x00\x00\x05",
            *b"\x00\x00\x08\x06\x01\x00\x00\x00\x00",
            *b"\x00\x00\x04\x08\x00\x00\x00\x00\x00",
        ] {
            assert!(plausible(head), "{head:02x?}");
        }
        for head in [
            *b"HTTP/1.1 ",
            [0xff; 9],
            *b"\x00\x00\x05\x03\x00\x00\x00\x00\x05",
            *b"\x00\x00\x04\x0b\x00\x00\x00\x00\x00",
        ] {
            assert!(!plausible(head), "{head:02x?}");
        }
    }

    #[test]
    fn the_index_finds_exactly_the_plausible() {
        let key = Block::from([0x5a; 16]);
        let heads: Vec<_> = (0..=255_u8)
            .map(|byte| Head {
                bytes: [byte ^ 0x5a, 0x5a, 0x5a ^ 4, 0x5a ^ 8, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a],
                flow: byte.into(),
                sample: 0,
            })
            .collect();
        let mut found = Vec::new();
        let looked = Index::build(heads).look_up(&key, |head| found.push(head.flow));
        assert_eq!((found, looked), (vec![0], 1));
    }
}
