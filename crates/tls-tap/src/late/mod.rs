//! Finds the secrets of TLS 1.3 connections whose handshake was not seen.

use crate::cipher::RecordHeader;
use crate::keys::Random;

/// A record of a direction without a key, for trials.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which of the direction's held records it is, from 0.
    pub index: u64,
    /// Its header.
    pub header: RecordHeader,
    /// Its fragment, whole.
    pub fragment: Box<[u8]>,
}

/// A direction whose secret was found: a record has authenticated.
#[derive(Debug)]
pub struct Found {
    /// The flow.
    pub token: u64,
    /// The sender.
    pub side: crate::Side,
    /// ClientHello.random of the connection.
    pub random: Random,
    /// Cipher suite.
    pub suite: u16,
    /// [`Sample::index`] of the record that authenticated.
    pub record_index: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// KeyUpdates before it on this side.
    pub generation: u32,
    /// Opens the direction's records.
    pub cipher: crate::cipher::RecordCipher,
}

/// The search.
#[derive(Debug)]
pub struct Search {
    budget: u64,
    trials: u64,
}

impl Search {
    /// A search that may cost this many trials in all.
    #[must_use]
    pub const fn new(budget_trials: u64) -> Self {
        Self { budget: budget_trials, trials: 0 }
    }
    /// Adds a direction without a key.
    pub fn add_flow(&mut self, _token: u64, _side: crate::Side, _samples: Vec<Sample>) {}
    /// Removes both directions of a connection.
    pub fn remove_flow(&mut self, _token: u64) {}
    /// A connection whose handshake was seen has this name: its secrets are not tried.
    pub fn claim(&mut self, _random: &Random) {}
    /// Adds the TLS 1.3 secrets of a store, or of a later version of the same store.
    pub fn add_keys(&mut self, _store: &crate::KeyStore) {}
    /// Searches on for at most this many trials.
    pub fn step(&mut self, _quantum_trials: u64) -> Vec<Found> {
        Vec::new()
    }
    /// Adds to the budget.
    pub const fn grant(&mut self, trials: u64) {
        self.budget = self.budget.saturating_add(trials);
    }
    /// Trials so far.
    #[must_use]
    pub const fn trials(&self) -> u64 {
        self.trials
    }
    /// The budget is used up.
    #[must_use]
    pub const fn exhausted(&self) -> bool {
        self.trials >= self.budget
    }
    /// A [`step`](Self::step) would try something.
    #[must_use]
    pub const fn pending(&self) -> bool {
        false
    }
}
