use aes::Block;

use super::Sample;
use super::head::{Head, Index};
use crate::cipher::{Keystream, Nonce, RecordCipher};
use crate::schedule::tls13::{TrafficKeys, next_secret};
use crate::secret::Secret;
use crate::suite::Suite;

/// Sequence numbers tried at a time: AES is pipelined.
pub(super) const BATCH: u64 = 64;

/// What things cost, in trials: one block of AES, about 6 ns.
pub(super) mod cost {
    /// Key derivation for a secret, a suite and a generation.
    pub(crate) const KEYS: u64 = 512;
    /// A block of ChaCha20.
    pub(crate) const CHACHA20: u64 = 32;
    /// The tail of a record, whose head was plausible.
    pub(crate) const TAIL: u64 = 8;
    /// A tag, apart from the record's length.
    pub(crate) const TAG: u64 = 128;
    /// An index, apart from its entries.
    pub(crate) const INDEX: u64 = 1024;
}

/// The suites that a secret of this length can belong to, by number; those that share a key stream stand together.
pub(super) const fn suites(secret_len: usize) -> &'static [&'static [u16]] {
    match secret_len {
        48 => &[&[0x1302]],
        32 => &[&[0x1301], &[0x1303], &[0x1304, 0x1305]],
        _ => &[],
    }
}

/// A secret made ready for trials.
pub(super) struct TrialKey {
    keystream: Keystream,
    iv: Nonce,
    /// Boxed, so that one that is taken out leaves no copy.
    ciphers: Vec<(u16, Box<RecordCipher>)>,
}

/// A sample whose head became plausible.
pub(super) struct Hit {
    pub(super) sequence: u64,
    pub(super) flow: u64,
    pub(super) sample: usize,
}

impl TrialKey {
    pub(super) fn new(secret: &Secret, ids: &[u16], generation: u32) -> Option<Self> {
        let suites = || ids.iter().filter_map(|&id| Suite::by_id(id));
        let suite = suites().next()?;
        let mut secret = secret.clone();
        for _ in 0..generation {
            secret = next_secret(suite.hash, secret.as_bytes())?;
        }
        let keys = TrafficKeys::derive(suite, secret.as_bytes())?;
        let mut key = zeroize::Zeroizing::new([0; 32]);
        key.get_mut(..keys.key().len())?.copy_from_slice(keys.key());
        let ciphers = suites()
            .filter_map(|suite| Some((suite.id, Box::new(RecordCipher::tls13(suite, secret.as_bytes())?))))
            .collect();
        Some(Self { keystream: Keystream::new(suite.protection, &key)?, iv: Nonce::from_bytes(keys.iv()), ciphers })
    }

    /// What a block costs.
    pub(super) const fn block_cost(&self) -> u64 {
        match self.keystream {
            Keystream::ChaCha20(_) => cost::CHACHA20,
            Keystream::Aes128(..) | Keystream::Aes256(..) => 1,
        }
    }

    /// Tries `count` sequence numbers, at most [`BATCH`], on all samples of an index. Returns how many samples were looked at.
    pub(super) fn scan(&self, from: u64, count: u64, index: &Index, hits: &mut Vec<Hit>) -> usize {
        let mut blocks = [Block::default(); BATCH as usize];
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(blocks.len());
        let Some(blocks) = blocks.get_mut(..count) else { return 0 };
        self.keystream.first_blocks(self.iv, from, blocks);
        let mut looked = 0;
        for (sequence, block) in (from..).zip(blocks.iter()) {
            looked += index.look_up(block, |&Head { flow, sample, .. }| hits.push(Hit { sequence, flow, sample }));
        }
        looked
    }

    /// Lets the tag decide on a sample. `Ok`: the suite. Adds what it cost.
    pub(super) fn verify(
        &mut self,
        sequence: u64,
        sample: &Sample,
        scratch: &mut Vec<u8>,
        spent: &mut u64,
    ) -> Option<(u16, Box<RecordCipher>)> {
        let authentic = self.ciphers.iter().position(|(_, cipher)| {
            *spent += cost::TAIL;
            let Some(last) = cipher.ciphertext_len(sample.fragment.len()).and_then(|len| len.checked_sub(1)) else {
                return false;
            };
            let mut tail = [0];
            cipher.peek(sequence, &[], sample.fragment.get(last..).unwrap_or_default(), last, &mut tail);
            // Application data, or padding.
            if !matches!(tail, [23 | 0]) {
                return false;
            }
            *spent += cost::TAG + sample.fragment.len() as u64 / 16;
            let opened = cipher.verify(sequence, sample.header, &[&sample.fragment], scratch);
            zeroize::Zeroize::zeroize(scratch);
            opened.is_ok_and(|opened| opened.content_type == 23)
        })?;
        Some(self.ciphers.swap_remove(authentic))
    }
}
