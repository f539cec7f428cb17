//! The key probes: secrets as the kernel hands them up.

use core::fmt;
use core::mem::offset_of;

use crate::part;

/// Longest secret: the output of SHA-384 and the TLS 1.2 master secret have this length.
pub const MAX_SECRET: usize = 48;
/// Longest name of a secret: two TLS 1.2 randoms.
pub const MAX_NAME: usize = 64;
/// Longest label of a Go key log line (`CLIENT_HANDSHAKE_TRAFFIC_SECRET` has 31).
pub const MAX_LABEL: usize = 40;

/// A secret that a probed process derived or logged.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretRecord {
    /// When: `CLOCK_MONOTONIC`, nanoseconds.
    pub time: u64,
    /// The process, as the initial pid namespace names it.
    pub pid: u32,
    /// One of [`kind`].
    pub kind: u32,
    /// Bytes of [`secret`](Self::secret).
    pub secret_len: u32,
    /// Bytes of [`name`](Self::name).
    pub name_len: u32,
    /// Bytes of [`label`](Self::label).
    pub label_len: u32,
    /// Zero.
    pub padding: u32,
    /// The secret.
    pub secret: [u8; MAX_SECRET],
    /// What names its connection, by kind.
    pub name: [u8; MAX_NAME],
    /// The label of a key log line, of [`kind::LOGGED`] alone.
    pub label: [u8; MAX_LABEL],
}

/// What a [`SecretRecord`] holds.
pub mod kind {
    /// TLS 1.3 Handshake Secret; its name is Hash(ClientHello ‖ ServerHello) (RFC 8446 section 7.1).
    pub const HANDSHAKE: u32 = 1;
    /// TLS 1.3 Early Secret; its name is Hash(ClientHello).
    pub const EARLY: u32 = 2;
    /// TLS 1.2 master secret; its name is the server random and the client random.
    pub const TLS12: u32 = 3;
    /// A line of a key log: a secret, its label, and the client random as its name.
    pub const LOGGED: u32 = 4;
}

/// What the key probes count on each processor.
///
/// Every call ends as one of the rest: `CALLS = UNWANTED + TAKEN + LOST_FULL + LOST_UNREAD`.
pub mod counter {
    /// Calls of the probed functions.
    pub const CALLS: usize = 0;
    /// Calls that derive something else.
    pub const UNWANTED: usize = 1;
    /// Secrets handed up.
    pub const TAKEN: usize = 2;
    /// Secrets that found no room in the ring buffer.
    pub const LOST_FULL: usize = 3;
    /// Calls whose arguments could not be read, or were not of the form that is known.
    pub const LOST_UNREAD: usize = 4;
    /// How many counters there are.
    pub const COUNT: usize = 5;
}

/// The counters of one processor, by [`counter`].
pub type Counters = [u64; counter::COUNT];

impl SecretRecord {
    /// Bytes of a record.
    pub const LEN: usize = size_of::<Self>();

    /// A record of nothing.
    pub const EMPTY: Self = Self {
        time: 0,
        pid: 0,
        kind: 0,
        secret_len: 0,
        name_len: 0,
        label_len: 0,
        padding: 0,
        secret: [0; MAX_SECRET],
        name: [0; MAX_NAME],
        label: [0; MAX_LABEL],
    };

    /// A record of the ring buffer. `None`: it is too short, or one of its lengths is too large.
    #[must_use]
    pub fn read(record: &[u8]) -> Option<Self> {
        let word = |at| part(record, at).map(u32::from_ne_bytes);
        let read = Self {
            time: part(record, offset_of!(Self, time)).map(u64::from_ne_bytes)?,
            pid: word(offset_of!(Self, pid))?,
            kind: word(offset_of!(Self, kind))?,
            secret_len: word(offset_of!(Self, secret_len))?,
            name_len: word(offset_of!(Self, name_len))?,
            label_len: word(offset_of!(Self, label_len))?,
            padding: 0,
            secret: part(record, offset_of!(Self, secret))?,
            name: part(record, offset_of!(Self, name))?,
            label: part(record, offset_of!(Self, label))?,
        };
        let fits = read.secret_len as usize <= MAX_SECRET
            && read.name_len as usize <= MAX_NAME
            && read.label_len as usize <= MAX_LABEL;
        fits.then_some(read)
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        self.secret.get(..self.secret_len as usize).unwrap_or_default()
    }

    /// What names its connection.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.name.get(..self.name_len as usize).unwrap_or_default()
    }

    /// The label of a key log line.
    #[must_use]
    pub fn label(&self) -> &[u8] {
        self.label.get(..self.label_len as usize).unwrap_or_default()
    }
}

/// Prints no secret.
impl fmt::Debug for SecretRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretRecord")
            .field("time", &self.time)
            .field("pid", &self.pid)
            .field("kind", &self.kind)
            .field("secret_len", &self.secret_len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, vec};

    #[test]
    fn the_layout_is_what_the_kernel_side_writes() {
        assert_eq!(SecretRecord::LEN, 184);
        assert_eq!(align_of::<SecretRecord>(), 8);
        let offsets = [
            offset_of!(SecretRecord, time),
            offset_of!(SecretRecord, pid),
            offset_of!(SecretRecord, kind),
            offset_of!(SecretRecord, secret_len),
            offset_of!(SecretRecord, name_len),
            offset_of!(SecretRecord, label_len),
            offset_of!(SecretRecord, padding),
            offset_of!(SecretRecord, secret),
            offset_of!(SecretRecord, name),
            offset_of!(SecretRecord, label),
        ];
        assert_eq!(offsets, [0, 8, 12, 16, 20, 24, 28, 32, 80, 144]);
    }

    #[test]
    fn a_record_is_read_and_a_wrong_one_is_not() {
        let mut record = vec![0; SecretRecord::LEN];
        for (at, word) in [(8, 77), (12, kind::HANDSHAKE), (16, 32), (20, 48), (24, 0)] {
            record[at..at + 4].copy_from_slice(&u32::to_ne_bytes(word));
        }
        record[32..80].fill(0xab);
        record[80..144].fill(0xcd);
        let read = SecretRecord::read(&record).unwrap();
        assert_eq!((read.pid, read.kind), (77, kind::HANDSHAKE));
        assert_eq!((read.secret(), read.name(), read.label()), (&[0xab; 32][..], &[0xcd; 48][..], &[][..]));
        assert!(!format!("{read:?}").contains("171"));
        assert!(SecretRecord::read(&record[1..]).is_none());
        for (at, len) in [(16, 49), (20, 65), (24, 41), (24, u32::MAX)] {
            let mut wrong = record.clone();
            wrong[at..at + 4].copy_from_slice(&len.to_ne_bytes());
            assert!(SecretRecord::read(&wrong).is_none());
        }
    }
}
