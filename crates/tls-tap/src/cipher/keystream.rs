use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher, StreamCipherSeek};
use aes::{Aes128Enc, Aes256Enc, Block};
use chacha20::ChaCha20;
use zeroize::Zeroizing;

use super::Nonce;
use crate::suite::{Aes, Protection};

/// The key stream of a cipher that is one: any block of any record, at the price of that block.
pub(crate) enum Keystream {
    Aes128(Aes128Enc, Layout),
    Aes256(Aes256Enc, Layout),
    ChaCha20(Zeroizing<[u8; 32]>),
}

/// How nonce and block number make a counter block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Nonce, then 32 bits that are 2 for the first block (NIST SP 800-38D section 7.1).
    Gcm,
    /// A flags byte, nonce, then 24 bits that are 1 for the first block (NIST SP 800-38C appendix A.3).
    Ccm,
}

impl Layout {
    /// Arithmetic on a whole block: a block put together of bytes is slow to load.
    #[inline]
    fn counter_block(self, nonce: Nonce, block: u32) -> Block {
        let block = match self {
            Self::Gcm => nonce.0 << 32 | u128::from(block.wrapping_add(2)),
            Self::Ccm => 2 << 120 | nonce.0 << 24 | u128::from(block.wrapping_add(1) & 0xff_ffff),
        };
        block.to_be_bytes().into()
    }
}

impl Keystream {
    /// `None` for CBC.
    pub(crate) fn new(protection: Protection, key: &[u8; 32]) -> Option<Self> {
        let layout = match protection {
            Protection::Gcm(_) => Layout::Gcm,
            Protection::Ccm(_) | Protection::Ccm8(_) => Layout::Ccm,
            Protection::ChaCha20Poly1305 => return Some(Self::ChaCha20(Zeroizing::new(*key))),
            Protection::Cbc(..) => return None,
        };
        match protection {
            Protection::Gcm(Aes::Aes128) | Protection::Ccm(Aes::Aes128) | Protection::Ccm8(Aes::Aes128) => {
                Some(Self::Aes128(Aes128Enc::new_from_slice(key.get(..16)?).ok()?, layout))
            }
            _ => Some(Self::Aes256(Aes256Enc::new_from_slice(key).ok()?, layout)),
        }
    }

    /// The first block of each of the TLS 1.3 records from a sequence number on.
    pub(crate) fn first_blocks(&self, iv: Nonce, sequence: u64, blocks: &mut [Block]) {
        match self {
            Self::Aes128(aes, layout) => first_blocks(aes, *layout, iv, sequence, blocks),
            Self::Aes256(aes, layout) => first_blocks(aes, *layout, iv, sequence, blocks),
            Self::ChaCha20(_) => {
                for (number, block) in (sequence..).zip(blocks) {
                    *block = Block::default();
                    self.apply(iv.with_sequence(number), 0, block);
                }
            }
        }
    }

    /// Encrypts or decrypts `text`, which stands at `offset` of the record with this nonce.
    #[inline]
    pub(crate) fn apply(&self, nonce: Nonce, offset: u32, text: &mut [u8]) {
        match self {
            Self::Aes128(aes, layout) => counter_mode(aes, *layout, nonce, offset, text),
            Self::Aes256(aes, layout) => counter_mode(aes, *layout, nonce, offset, text),
            Self::ChaCha20(key) => {
                let mut stream = ChaCha20::new((&**key).into(), (&nonce.to_bytes()).into());
                // Block 0 made the key of Poly1305 (RFC 8439 section 2.8). The offset of a record cannot reach the end.
                if stream.try_seek(u64::from(offset) + 64).is_ok() {
                    let _ = stream.try_apply_keystream(text);
                }
            }
        }
    }
}

fn first_blocks<C>(aes: &C, layout: Layout, iv: Nonce, sequence: u64, blocks: &mut [Block])
where
    C: BlockCipherEncrypt<BlockSize = ccm::consts::U16>,
{
    /// As many as AES without CPU support works on at a time; with it, more were measured slower.
    const AT_A_TIME: usize = 4;
    let mut sequence = sequence;
    for blocks in blocks.chunks_mut(AT_A_TIME) {
        for block in &mut *blocks {
            *block = layout.counter_block(iv.with_sequence(sequence), 0);
            sequence = sequence.wrapping_add(1);
        }
        aes.encrypt_blocks(blocks);
    }
}

#[inline]
fn counter_mode<C>(aes: &C, layout: Layout, nonce: Nonce, offset: u32, text: &mut [u8])
where
    C: BlockCipherEncrypt<BlockSize = ccm::consts::U16>,
{
    let mut block = offset / 16;
    let mut within = (offset % 16) as usize;
    let mut text = text;
    while !text.is_empty() {
        let mut key = layout.counter_block(nonce, block);
        aes.encrypt_block(&mut key);
        let n = text.len().min(key.len() - within);
        let Some((now, rest)) = text.split_at_mut_checked(n) else { return };
        for (byte, key) in now.iter_mut().zip(key.get(within..).unwrap_or_default()) {
            *byte ^= key;
        }
        (text, within, block) = (rest, 0, block.wrapping_add(1));
    }
}
