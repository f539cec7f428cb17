//! One direction's record protection, seen from beside: opens records, authenticates them, and reads single blocks of those
//! that need no more.

mod cbc;
mod gather;
mod keystream;
mod opener;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::schedule::tls12::WriteKeys;
use crate::schedule::tls13::{TrafficKeys, next_secret};
use crate::secret::Secret;
use crate::suite::{Protection, Suite};
use gather::{Ends, Parts};
pub(crate) use keystream::Keystream;
use opener::Opener;

/// The five bytes in front of a record: type, version, length (RFC 8446 section 5.1).
pub type RecordHeader = [u8; 5];

/// A record does not authenticate under this key and sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unauthentic;

/// What an opened record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Type of the content: the inner one in TLS 1.3; 0, which is none, when a TLS 1.3 record holds nothing but padding.
    pub content_type: u8,
    /// Bytes of content.
    pub len: usize,
}

/// Opens the records of one direction under one key.
///
/// Cheap to make: what only some records need is derived when first used.
pub struct RecordCipher {
    suite: &'static Suite,
    key: Zeroizing<[u8; 32]>,
    /// As a [`Nonce`]. TLS 1.3 and ChaCha20: mixed with the sequence number. Other AEADs of TLS 1.2: its first 4 bytes begin the nonce.
    iv: Zeroizing<u128>,
    version: Protocol,
    opener: OnceLock<Opener>,
    keystream: OnceLock<Option<Box<Keystream>>>,
}

enum Protocol {
    Tls13 { secret: Secret },
    Tls12 { mac_key: Secret, encrypt_then_mac: bool },
    Tls12Aead,
}

impl RecordCipher {
    /// TLS 1.3 (RFC 8446 section 5.2). `None`: no suite of TLS 1.3, or the secret has not the length of its hash.
    #[must_use]
    pub fn tls13(suite: &'static Suite, secret: &[u8]) -> Option<Self> {
        if !suite.is_tls13() {
            return None;
        }
        let keys = TrafficKeys::derive(suite, secret)?;
        Self::new(suite, keys.key(), keys.iv(), Protocol::Tls13 { secret: Secret::new(secret)? })
    }

    /// TLS 1.2 (RFC 5246 section 6.2.3). `encrypt_then_mac` (RFC 7366) matters to CBC alone. `None`: no suite of TLS 1.2, or
    /// keys of other lengths than it has.
    #[must_use]
    pub fn tls12(suite: &'static Suite, keys: WriteKeys<'_>, encrypt_then_mac: bool) -> Option<Self> {
        let protection = suite.protection;
        let fits = keys.iv.len() == protection.fixed_iv_len() && keys.mac_key.len() == protection.mac_key_len();
        if suite.is_tls13() || !fits {
            return None;
        }
        let version = match protection {
            Protection::Cbc(..) => Protocol::Tls12 { mac_key: Secret::new(keys.mac_key)?, encrypt_then_mac },
            _ => Protocol::Tls12Aead,
        };
        Self::new(suite, keys.key, keys.iv, version)
    }

    fn new(suite: &'static Suite, key: &[u8], iv: &[u8], version: Protocol) -> Option<Self> {
        if key.len() != suite.protection.key_len() {
            return None;
        }
        let mut cipher = Self {
            suite,
            key: Zeroizing::new([0; 32]),
            iv: Zeroizing::new(0),
            version,
            opener: OnceLock::new(),
            keystream: OnceLock::new(),
        };
        cipher.key.get_mut(..key.len())?.copy_from_slice(key);
        let mut padded = Zeroizing::new([0; 12]);
        padded.get_mut(..iv.len())?.copy_from_slice(iv);
        *cipher.iv = Nonce::from_bytes(&padded).0;
        Some(cipher)
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> &'static Suite {
        self.suite
    }

    /// Bytes in front of the ciphertext that are sent in clear: the explicit nonce of GCM and CCM in TLS 1.2, the IV of CBC.
    #[must_use]
    pub const fn explicit_len(&self) -> usize {
        match (&self.version, self.suite.protection) {
            (_, Protection::Cbc(..)) => 16,
            (Protocol::Tls13 { .. }, _) | (_, Protection::ChaCha20Poly1305) => 0,
            _ => 8,
        }
    }

    /// Bytes behind the ciphertext: the tag of an AEAD, the MAC of CBC with encrypt-then-MAC.
    #[must_use]
    pub const fn trailer_len(&self) -> usize {
        match self.version {
            Protocol::Tls12 { encrypt_then_mac: true, .. } => self.suite.protection.mac_key_len(),
            _ => self.suite.protection.tag_len(),
        }
    }

    /// Length of the ciphertext in a fragment of `fragment` bytes; `None` when it is too short to be a record. With an AEAD
    /// this is the length of the plaintext, which in TLS 1.3 ends with the inner type and the padding.
    #[must_use]
    pub const fn ciphertext_len(&self, fragment: usize) -> Option<usize> {
        fragment.checked_sub(self.explicit_len() + self.trailer_len())
    }

    /// Decrypts and authenticates a record. `pieces` are its fragment, all of it, cut anywhere. The content is appended to `out`.
    ///
    /// # Errors
    /// The record does not authenticate; `out` is as before.
    pub fn open(
        &self,
        sequence: u64,
        header: RecordHeader,
        pieces: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<Opened, Unauthentic> {
        let start = out.len();
        let opened = self.open_at(start, sequence, header, pieces, out);
        if opened.is_err() {
            out.truncate(start);
        }
        opened
    }

    /// As [`open`](Self::open), but in the place of what `out` holds: the cheapest way for a buffer that is used again. Without
    /// success `out` is empty.
    pub(crate) fn open_over(
        &self,
        sequence: u64,
        header: RecordHeader,
        pieces: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<Opened, Unauthentic> {
        let opened = self.open_at(0, sequence, header, pieces, out);
        if opened.is_err() {
            out.clear();
        }
        opened
    }

    /// As [`open`](Self::open), for those who want to know only whether the record is authentic. `scratch` is overwritten.
    ///
    /// # Errors
    /// The record does not authenticate.
    pub fn verify(
        &self,
        sequence: u64,
        header: RecordHeader,
        pieces: &[&[u8]],
        scratch: &mut Vec<u8>,
    ) -> Result<Opened, Unauthentic> {
        self.open_over(sequence, header, pieces, scratch)
    }

    /// Writes the content to `out` from `start` on, whatever is there.
    fn open_at(
        &self,
        start: usize,
        sequence: u64,
        header: RecordHeader,
        pieces: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<Opened, Unauthentic> {
        let total = pieces.iter().fold(0, |total: usize, piece| total.saturating_add(piece.len()));
        let [content_type, major, minor, length @ ..] = header;
        if usize::from(u16::from_be_bytes(length)) != total {
            return Err(Unauthentic);
        }
        let len = self.ciphertext_len(total).ok_or(Unauthentic)?;
        let mut ends = Ends::default();
        let parts = Parts::split(pieces, self.explicit_len(), len, &mut ends, start, out).ok_or(Unauthentic)?;
        let opener = self.opener.get_or_init(|| Opener::new(self.suite.protection, &self.key, self.mac_key()));
        match &self.version {
            Protocol::Tls13 { .. } => {
                opener.open(self.nonce(sequence, &[]), &header, &parts, start, out)?;
                let content = out.get(start..).unwrap_or_default();
                let last = content.iter().rposition(|&byte| byte != 0);
                let content_type = last.and_then(|last| content.get(last)).copied().unwrap_or(0);
                out.truncate(start + last.unwrap_or(0));
                Ok(Opened { content_type, len: last.unwrap_or(0) })
            }
            Protocol::Tls12Aead => {
                let aad = additional_data(sequence, [content_type, major, minor], len);
                let nonce = self.nonce(sequence, parts.explicit);
                opener.open(nonce, &aad, &parts, start, out)?;
                Ok(Opened { content_type, len })
            }
            Protocol::Tls12 { encrypt_then_mac, .. } => {
                let aad = |len| additional_data(sequence, [content_type, major, minor], len);
                let len = opener.open_cbc(&parts, *encrypt_then_mac, aad, start, out)?;
                Ok(Opened { content_type, len })
            }
        }
    }

    /// Single bytes of records can be read with [`peek`](Self::peek).
    #[must_use]
    pub const fn seekable(&self) -> bool {
        !matches!(self.suite.protection, Protection::Cbc(..))
    }

    /// Decrypts a range of a record's plaintext without authenticating it: costs the blocks that the range touches.
    ///
    /// `explicit_nonce`: the fragment's first [`explicit_len`](Self::explicit_len) bytes. `ciphertext`: what stands at `offset` of the
    /// ciphertext, which begins behind the explicit nonce. Returns the number of bytes written to `out`: the shorter of
    /// `ciphertext` and `out`, or 0 for a cipher that is not [`seekable`](Self::seekable).
    #[inline]
    pub fn peek(
        &self,
        sequence: u64,
        explicit_nonce: &[u8],
        ciphertext: &[u8],
        offset: usize,
        out: &mut [u8],
    ) -> usize {
        let protection = self.suite.protection;
        let keystream = self.keystream.get_or_init(|| Keystream::new(protection, &self.key).map(Box::new));
        let (Some(keystream), Ok(offset)) = (keystream, u32::try_from(offset)) else { return 0 };
        let len = out.len().min(ciphertext.len());
        let (Some(out), Some(ciphertext)) = (out.get_mut(..len), ciphertext.get(..len)) else { return 0 };
        out.copy_from_slice(ciphertext);
        keystream.apply(self.nonce(sequence, explicit_nonce), offset, out);
        len
    }

    /// The cipher after this direction's KeyUpdate (RFC 8446 section 7.2); its sequence numbers begin at 0. `None` in TLS 1.2.
    #[must_use]
    pub fn next_generation(&self) -> Option<Self> {
        let Protocol::Tls13 { secret } = &self.version else { return None };
        let next = next_secret(self.suite.hash, secret.as_bytes())?;
        Self::tls13(self.suite, next.as_bytes())
    }

    #[inline]
    fn nonce(&self, sequence: u64, explicit: &[u8]) -> Nonce {
        let iv = Nonce(*self.iv);
        match self.version {
            Protocol::Tls12Aead if self.explicit_len() == 8 => {
                let explicit = explicit.first_chunk().map_or(0, |explicit| u64::from_be_bytes(*explicit));
                Nonce(iv.0 >> 64 << 64 | u128::from(explicit))
            }
            _ => iv.with_sequence(sequence),
        }
    }

    fn mac_key(&self) -> &[u8] {
        match &self.version {
            Protocol::Tls12 { mac_key, .. } => mac_key.as_bytes(),
            Protocol::Tls13 { .. } | Protocol::Tls12Aead => &[],
        }
    }
}

/// The 12 bytes of a nonce, the first one being the highest.
#[derive(Clone, Copy)]
pub(crate) struct Nonce(u128);

impl Nonce {
    pub(crate) fn from_bytes(bytes: &[u8; 12]) -> Self {
        Self(bytes.iter().fold(0, |nonce, byte| nonce << 8 | u128::from(*byte)))
    }

    pub(crate) const fn to_bytes(self) -> [u8; 12] {
        let [_, _, _, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    /// RFC 8446 section 5.3.
    pub(crate) const fn with_sequence(self, sequence: u64) -> Self {
        Self(self.0 ^ sequence as u128)
    }
}

impl fmt::Debug for RecordCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordCipher").field("suite", &self.suite.name).finish_non_exhaustive()
    }
}

/// seq_num + type + version + length (RFC 5246 sections 6.2.3.1 and 6.2.3.3).
fn additional_data(sequence: u64, [content_type, major, minor]: [u8; 3], len: usize) -> [u8; 13] {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = sequence.to_be_bytes();
    let [l0, l1] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    [s0, s1, s2, s3, s4, s5, s6, s7, content_type, major, minor, l0, l1]
}
