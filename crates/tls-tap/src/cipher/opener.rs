use aes::{Aes128, Aes256};
use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce as AeadNonce, UnboundKey,
};
use ccm::Ccm;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U12, U16};

use super::cbc::Cbc;
use super::gather::Parts;
use super::{Nonce, Unauthentic};
use crate::suite::{Aes, Protection};

/// Opens whole records and checks that they are authentic.
pub(super) enum Opener {
    Aead(LessSafeKey),
    Ccm128(Box<Ccm<Aes128, U16, U12>>),
    Ccm256(Box<Ccm<Aes256, U16, U12>>),
    Ccm8_128(Box<Ccm<Aes128, U8, U12>>),
    Ccm8_256(Box<Ccm<Aes256, U8, U12>>),
    Cbc(Box<Cbc>),
    /// A key that no library took. Lengths are checked before: it does not come to this, and would open nothing.
    Unusable,
}

impl Opener {
    pub(super) fn new(protection: Protection, key: &[u8; 32], mac_key: &[u8]) -> Self {
        let key = key.get(..protection.key_len()).unwrap_or_default();
        let aead =
            |algorithm: &'static Algorithm| Some(Self::Aead(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?)));
        let opener = match protection {
            Protection::Gcm(Aes::Aes128) => aead(&AES_128_GCM),
            Protection::Gcm(Aes::Aes256) => aead(&AES_256_GCM),
            Protection::ChaCha20Poly1305 => aead(&CHACHA20_POLY1305),
            Protection::Ccm(Aes::Aes128) => Ccm::new_from_slice(key).ok().map(|ccm| Self::Ccm128(Box::new(ccm))),
            Protection::Ccm(Aes::Aes256) => Ccm::new_from_slice(key).ok().map(|ccm| Self::Ccm256(Box::new(ccm))),
            Protection::Ccm8(Aes::Aes128) => Ccm::new_from_slice(key).ok().map(|ccm| Self::Ccm8_128(Box::new(ccm))),
            Protection::Ccm8(Aes::Aes256) => Ccm::new_from_slice(key).ok().map(|ccm| Self::Ccm8_256(Box::new(ccm))),
            Protection::Cbc(aes, mac) => Cbc::new(aes, key, mac, mac_key).map(|cbc| Self::Cbc(Box::new(cbc))),
        };
        opener.unwrap_or(Self::Unusable)
    }

    /// Writes an AEAD record's plaintext to `out` from `start` on, or anything.
    pub(super) fn open(
        &self,
        nonce: Nonce,
        aad: &[u8],
        parts: &Parts<'_>,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Unauthentic> {
        match self {
            Self::Aead(key) => aead(key, nonce, aad, parts, start, out),
            Self::Ccm128(key) => ccm(&**key, nonce, aad, parts, start, out),
            Self::Ccm256(key) => ccm(&**key, nonce, aad, parts, start, out),
            Self::Ccm8_128(key) => ccm(&**key, nonce, aad, parts, start, out),
            Self::Ccm8_256(key) => ccm(&**key, nonce, aad, parts, start, out),
            Self::Cbc(_) | Self::Unusable => Err(Unauthentic),
        }
    }

    /// Writes a CBC record's plaintext to `out` from `start` on and says how long it is.
    pub(super) fn open_cbc(
        &self,
        parts: &Parts<'_>,
        encrypt_then_mac: bool,
        aad: impl Fn(usize) -> [u8; 13],
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, Unauthentic> {
        let Self::Cbc(cbc) = self else { return Err(Unauthentic) };
        cbc.open(parts, encrypt_then_mac, aad, start, out)
    }
}

fn aead(
    key: &LessSafeKey,
    nonce: Nonce,
    aad: &[u8],
    parts: &Parts<'_>,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unauthentic> {
    let (nonce, aad) = (AeadNonce::assume_unique_for_key(nonce.to_bytes()), Aad::from(aad));
    match parts.contiguous {
        Some(ciphertext) => {
            // What an earlier record left is overwritten: only what is beyond it has to be made.
            out.resize(start.saturating_add(parts.len), 0);
            let plaintext = out.get_mut(start..).ok_or(Unauthentic)?;
            key.open_separate_gather(nonce, aad, ciphertext, parts.trailer, plaintext).map_err(|_| Unauthentic)
        }
        None => {
            let text = out.get_mut(start..).ok_or(Unauthentic)?;
            key.open_in_place_separate_tag(nonce, aad, parts.trailer, text).map(|_| ()).map_err(|_| Unauthentic)
        }
    }
}

fn ccm<K: AeadInOut>(
    key: &K,
    nonce: Nonce,
    aad: &[u8],
    parts: &Parts<'_>,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unauthentic> {
    let nonce = nonce.to_bytes();
    let nonce = nonce.as_slice().try_into().map_err(|_| Unauthentic)?;
    let tag = parts.trailer.try_into().map_err(|_| Unauthentic)?;
    let text = parts.gather(start, out).ok_or(Unauthentic)?;
    key.decrypt_inout_detached(nonce, aad, InOutBuf::from(text), tag).map_err(|_| Unauthentic)
}
