use aes::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use aes::{Aes128Dec, Aes256Dec, Block};
use aws_lc_rs::hmac;
use cbc::Decryptor;

use super::Unauthentic;
use super::gather::Parts;
use crate::schedule::hmac_algorithm;
use crate::suite::{Aes, Hash};

/// AES-CBC with HMAC (RFC 5246 section 6.2.3.2), either way round (RFC 7366).
///
/// A reader beside the wire answers nobody: nothing here needs constant time.
pub(super) struct Cbc {
    aes: Decrypt,
    mac: hmac::Key,
    mac_len: usize,
}

enum Decrypt {
    Aes128(Box<Aes128Dec>),
    Aes256(Box<Aes256Dec>),
}

impl Cbc {
    pub(super) fn new(aes: Aes, key: &[u8], mac: Hash, mac_key: &[u8]) -> Option<Self> {
        let aes = match aes {
            Aes::Aes128 => Decrypt::Aes128(Box::new(Aes128Dec::new_from_slice(key).ok()?)),
            Aes::Aes256 => Decrypt::Aes256(Box::new(Aes256Dec::new_from_slice(key).ok()?)),
        };
        Some(Self { aes, mac: hmac::Key::new(hmac_algorithm(mac), mac_key), mac_len: mac.output_len() })
    }

    pub(super) fn open(
        &self,
        parts: &Parts<'_>,
        encrypt_then_mac: bool,
        aad: impl Fn(usize) -> [u8; 13],
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, Unauthentic> {
        let iv = parts.explicit;
        let text = parts.gather(start, out).ok_or(Unauthentic)?;
        if encrypt_then_mac {
            self.authenticate(&[&aad(iv.len() + text.len()), iv, text], parts.trailer)?;
        }
        match &self.aes {
            Decrypt::Aes128(aes) => decrypt(&**aes, iv, text)?,
            Decrypt::Aes256(aes) => decrypt(&**aes, iv, text)?,
        }
        let padding = *text.last().ok_or(Unauthentic)?;
        let unpadded = text.len().checked_sub(usize::from(padding) + 1).ok_or(Unauthentic)?;
        let (body, pad) = text.split_at_checked(unpadded).ok_or(Unauthentic)?;
        if pad.iter().any(|&byte| byte != padding) {
            return Err(Unauthentic);
        }
        let len = if encrypt_then_mac {
            unpadded
        } else {
            let len = unpadded.checked_sub(self.mac_len).ok_or(Unauthentic)?;
            let (content, tag) = body.split_at_checked(len).ok_or(Unauthentic)?;
            self.authenticate(&[&aad(len), content], tag)?;
            len
        };
        out.truncate(start.saturating_add(len));
        Ok(len)
    }

    fn authenticate(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), Unauthentic> {
        let mut context = hmac::Context::with_key(&self.mac);
        for part in parts {
            context.update(part);
        }
        if context.sign().as_ref() == tag { Ok(()) } else { Err(Unauthentic) }
    }
}

fn decrypt<C>(aes: &C, iv: &[u8], text: &mut [u8]) -> Result<(), Unauthentic>
where
    C: BlockCipherDecrypt<BlockSize = ccm::consts::U16>,
{
    let iv = iv.try_into().map_err(|_| Unauthentic)?;
    let (blocks, []) = Block::slice_as_chunks_mut(text) else { return Err(Unauthentic) };
    Decryptor::inner_iv_init(aes, iv).decrypt_blocks(blocks);
    Ok(())
}
