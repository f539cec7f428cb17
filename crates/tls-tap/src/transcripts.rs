//! TLS 1.3 secrets by the transcript that they are used with, instead of by client random: what a probe in a process sees.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::secret::Secret;

/// The first 32 bytes of a transcript hash: enough to name it.
pub type TranscriptName = [u8; 32];

/// Early Secrets by Hash(ClientHello) and Handshake Secrets by Hash(ClientHello ‖ ServerHello), oldest first out.
///
/// A secret is wanted within moments of its handshake, so few are kept.
#[derive(Clone, Debug)]
pub(crate) struct Transcripts {
    capacity: usize,
    /// Names in the order of addition, with the generation of the key store that each made.
    order: VecDeque<(TranscriptName, u64)>,
    /// Behind an `Arc`, so that a table that grows leaves no copy.
    by_name: HashMap<TranscriptName, Arc<Secret>, foldhash::fast::RandomState>,
}

impl Transcripts {
    /// Most secrets that are kept.
    const MAX: usize = 4_096;

    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.clamp(1, Self::MAX), order: VecDeque::new(), by_name: HashMap::default() }
    }

    /// Adds a secret. `None`: it was known, or the transcript is not of the secret's hash. Otherwise, how many went for it.
    pub(crate) fn add(&mut self, transcript: &[u8], secret: Secret, generation: u64) -> Option<u64> {
        let name = *transcript.first_chunk()?;
        if transcript.len() != secret.as_bytes().len() || self.by_name.contains_key(&name) {
            return None;
        }
        let mut evicted = 0;
        if self.order.len() >= self.capacity
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
            evicted = 1;
        }
        self.order.push_back((name, generation));
        self.by_name.insert(name, Arc::new(secret));
        Some(evicted)
    }

    pub(crate) fn get(&self, transcript: &[u8]) -> Option<&Secret> {
        let secret = self.by_name.get(transcript.first_chunk::<32>()?)?;
        (secret.as_bytes().len() == transcript.len()).then_some(secret)
    }

    /// Names added after this generation.
    pub(crate) fn since(&self, generation: u64) -> impl Iterator<Item = &TranscriptName> {
        self.order.iter().rev().take_while(move |(_, added)| *added > generation).map(|(name, _)| name)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(len: usize) -> Secret {
        Secret::new(&vec![7; len]).unwrap()
    }

    #[test]
    fn a_secret_is_found_by_the_whole_of_its_transcript() {
        let mut store = Transcripts::new(10);
        assert_eq!(store.add(&[1; 48], secret(48), 1), Some(0));
        assert_eq!(store.add(&[1; 48], secret(48), 2), None, "known");
        assert_eq!(store.add(&[2; 48], secret(32), 2), None, "another hash");
        assert_eq!(store.add(&[2; 20], secret(20), 2), None, "no hash of TLS 1.3");
        assert!(store.get(&[1; 48]).is_some());
        assert!(store.get(&[1; 32]).is_none() && store.get(&[2; 48]).is_none() && store.get(&[]).is_none());
    }

    #[test]
    fn the_oldest_goes_and_names_come_by_generation() {
        let mut store = Transcripts::new(2);
        for byte in 1..=3 {
            assert_eq!(store.add(&[byte; 32], secret(32), u64::from(byte)), Some(u64::from(byte == 3)));
        }
        assert!(store.get(&[1; 32]).is_none());
        assert_eq!(store.since(2).collect::<Vec<_>>(), [&[3; 32]]);
        assert_eq!(store.since(0).count(), 2);
    }
}
