use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher, StreamCipherSeek};
use aes::{Aes128Enc, Aes256Enc, Block};
use chacha20::ChaCha20;
use zeroize::Zeroizing;

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
    pub(crate) const fn counter_block(self, nonce: &[u8; 12], block: u32) -> [u8; 16] {
        let [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11] = *nonce;
        match self {
            Self::Gcm => {
                let [c0, c1, c2, c3] = block.wrapping_add(2).to_be_bytes();
                [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, c0, c1, c2, c3]
            }
            Self::Ccm => {
                let [_, c1, c2, c3] = block.wrapping_add(1).to_be_bytes();
                [2, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, c1, c2, c3]
            }
        }
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
    pub(crate) fn first_blocks(&self, iv: &[u8; 12], sequence: u64, blocks: &mut [Block]) {
        let nonce = |number: u64| {
            let mut nonce = *iv;
            for (byte, number) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
                *byte ^= number;
            }
            nonce
        };
        let counters = |layout: Layout, blocks: &mut [Block]| {
            for (number, block) in (sequence..).zip(blocks) {
                *block = layout.counter_block(&nonce(number), 0).into();
            }
        };
        match self {
            Self::Aes128(aes, layout) => {
                counters(*layout, blocks);
                aes.encrypt_blocks(blocks);
            }
            Self::Aes256(aes, layout) => {
                counters(*layout, blocks);
                aes.encrypt_blocks(blocks);
            }
            Self::ChaCha20(_) => {
                for (number, block) in (sequence..).zip(blocks) {
                    *block = Block::default();
                    self.apply(&nonce(number), 0, block);
                }
            }
        }
    }

    /// Encrypts or decrypts `text`, which stands at `offset` of the record with this nonce.
    pub(crate) fn apply(&self, nonce: &[u8; 12], offset: u32, text: &mut [u8]) {
        match self {
            Self::Aes128(aes, layout) => counter_mode(aes, *layout, nonce, offset, text),
            Self::Aes256(aes, layout) => counter_mode(aes, *layout, nonce, offset, text),
            Self::ChaCha20(key) => {
                let mut stream = ChaCha20::new((&**key).into(), nonce.into());
                // Block 0 made the key of Poly1305 (RFC 8439 section 2.8). The offset of a record cannot reach the end.
                if stream.try_seek(u64::from(offset) + 64).is_ok() {
                    let _ = stream.try_apply_keystream(text);
                }
            }
        }
    }
}

fn counter_mode<C>(aes: &C, layout: Layout, nonce: &[u8; 12], offset: u32, text: &mut [u8])
where
    C: BlockCipherEncrypt<BlockSize = ccm::consts::U16>,
{
    let xor = |text: &mut [u8], key: &[u8]| text.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    let mut block = offset / 16;
    let within = (offset % 16) as usize;
    let mut text = text;
    if within + text.len() <= 16 {
        let mut key = Block::from(layout.counter_block(nonce, block));
        aes.encrypt_block(&mut key);
        xor(text, key.get(within..).unwrap_or_default());
        return;
    }
    let mut within = within;
    while !text.is_empty() {
        let mut keys = [0, 1, 2, 3].map(|i| Block::from(layout.counter_block(nonce, block.wrapping_add(i))));
        aes.encrypt_blocks(&mut keys);
        let keys = Block::slice_as_flattened(&keys);
        let n = text.len().min(64 - within);
        let Some((now, rest)) = text.split_at_mut_checked(n) else { return };
        xor(now, keys.get(within..).unwrap_or_default());
        (text, within, block) = (rest, 0, block.wrapping_add(4));
    }
}
