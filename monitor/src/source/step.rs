use crate::model::Time;

/// A captured packet longer than this is damage (libpcap's largest snap length).
pub(super) const MAX_PACKET: u32 = 262_144;

/// A pcapng block that must be held as a whole is damage, or passed over, when it is longer than this.
pub(super) const MAX_BLOCK: u32 = 16 << 20;

/// What the next bytes of a capture are.
#[derive(Debug)]
pub(super) enum Step {
    /// At least this many bytes are needed to tell. At the end of the input: none left is a clean end, some left are a cut.
    Need(usize),
    /// A packet; the bytes stay until [`Head::consumed`] are taken.
    Packet(Head),
    /// Key log text at this offset, of this length, then how many bytes to take.
    Secrets { offset: usize, len: usize, consumed: usize },
    /// The capturing program lost packets, from and until.
    Lost { packets: u64, within: (Time, Time), consumed: usize },
    /// Bytes that say nothing to us.
    Skip(u64),
    /// Bytes to pass over that deserve a note.
    Odd(String, u64),
    /// The rest cannot be read: what stands here.
    Damage(String),
}

/// Where a packet is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) time: Time,
    pub(super) link: u16,
    pub(super) wire_len: u32,
    /// Offset of the captured bytes.
    pub(super) offset: usize,
    /// Number of captured bytes.
    pub(super) len: usize,
    /// Bytes to take with it.
    pub(super) consumed: usize,
}

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let two = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(two),
            Self::Big => u16::from_be_bytes(two),
        })
    }

    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        Some(self.word(*bytes.get(at..)?.first_chunk::<4>()?))
    }

    #[inline]
    pub(super) const fn word(self, four: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(four),
            Self::Big => u32::from_be_bytes(four),
        }
    }

    pub(super) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let eight = *bytes.get(at..)?.first_chunk::<8>()?;
        Some(match self {
            Self::Little => u64::from_le_bytes(eight),
            Self::Big => u64::from_be_bytes(eight),
        })
    }
}
