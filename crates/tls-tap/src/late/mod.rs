//! Finds the secrets of TLS 1.3 connections whose handshake was not seen.
//!
//! The key stream of a record depends on secret and sequence number alone: its first block is computed once and looked up
//! among the first bytes of all the records that wait for a key. Where it makes an HTTP/2 frame header the tag is checked, and
//! the tag alone decides.

mod head;
mod pool;
mod stage;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::VecDeque;
use std::fmt;

use hashbrown::HashMap;

use crate::cipher::{RecordCipher, RecordHeader};
use crate::keys::{KeyStore, Random};
use crate::secret::Secret;
use crate::side::Side;
use head::Index;
use pool::{Candidates, Flows};
use stage::{Area, Pass, Stage, WINDOWS};
use trial::{BATCH, Hit, TrialKey, cost, suites};

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
    pub side: Side,
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
    pub cipher: Box<RecordCipher>,
}

/// The search. Deterministic: the same calls find the same.
///
/// Cost is counted in trials, the price of one AES block; dearer steps count as many as they are worth. A [`step`](Self::step) may
/// exceed what it was given by the price of the records that its last 64 sequence numbers made plausible.
pub struct Search {
    budget: u64,
    trials: u64,
    flows: Flows,
    candidates: Candidates,
    stages: [Stage; WINDOWS.len()],
    /// Connections of which one direction was found.
    names: HashMap<u64, Box<Name>>,
    tokens: HashMap<Random, u64>,
    /// Directions whose peer was found: one secret each, before all others.
    named: VecDeque<Named>,
    key: Option<(KeyId, Box<TrialKey>)>,
    /// One a side: secrets of both sides take turns.
    indexes: [Option<(IndexId, Index)>; 2],
    hits: Vec<Hit>,
    scratch: Vec<u8>,
}

struct Name {
    random: Random,
    suite: u16,
    secrets: [Option<Secret>; 2],
}

struct Named {
    flow: u64,
    random: Random,
    suite: u16,
    secret: Box<Secret>,
    window: usize,
    offset: u64,
}

/// Secret by number and side, first suite, generation. Those that are named count by flow.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KeyId {
    named: bool,
    number: u64,
    suite: u16,
    generation: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct IndexId {
    side: Side,
    from: u64,
    to: u64,
    named: bool,
    departures: u64,
}

const fn slot(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Search {
    /// A search that may cost this many trials in all.
    #[must_use]
    pub fn new(budget_trials: u64) -> Self {
        Self {
            budget: budget_trials,
            trials: 0,
            flows: Flows::default(),
            candidates: Candidates::default(),
            stages: [Stage::default(); WINDOWS.len()],
            names: HashMap::new(),
            tokens: HashMap::new(),
            named: VecDeque::new(),
            key: None,
            indexes: [None, None],
            hits: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds a direction without a key: the shortest of its held records. `token` names the connection, both sides have the same. What
    /// was added before for this side is replaced. `false`: no sample is long enough to be of use.
    pub fn add_flow(&mut self, token: u64, side: Side, samples: Vec<Sample>) -> bool {
        let named = self.names.contains_key(&token);
        let Some(number) = self.flows.add(token, side, samples, named) else { return false };
        self.queue_named(token, number, side);
        true
    }

    /// Removes both directions of a connection, and what is known of it.
    pub fn remove_flow(&mut self, token: u64) {
        self.flows.remove(token, Side::Client);
        self.flows.remove(token, Side::Server);
        if let Some(name) = self.names.remove(&token) {
            self.tokens.remove(&name.random);
        }
    }

    /// A handshake that was seen has this random: its secrets are not tried, now or later.
    pub fn claim(&mut self, random: &Random) {
        self.candidates.claim(random);
    }

    /// Takes the TLS 1.3 secrets of these connections: of those that are new in the store, or have changed.
    pub fn add_keys<'k>(&mut self, store: &KeyStore, randoms: impl IntoIterator<Item = &'k Random>) {
        for random in randoms {
            let Some(secrets) = store.get(random) else { continue };
            for side in [Side::Client, Side::Server] {
                let Some(secret) = secrets.traffic(side) else { continue };
                self.candidates.add(*random, side, secret);
                // The other direction was found before this secret was logged.
                let Some(&token) = self.tokens.get(random) else { continue };
                let new = self.names.get_mut(&token).and_then(|name| name.secrets.get_mut(slot(side)));
                if let Some(new @ None) = new {
                    *new = Some(secret.clone());
                    if let Some(number) = self.flows.number(token, side) {
                        self.queue_named(token, number, side);
                    }
                }
            }
        }
    }

    /// The secrets of this connection are not to be kept: they are tried no more, unless they are added again.
    pub fn forget(&mut self, random: &Random) {
        self.candidates.take(random);
    }

    /// Searches on for this many trials, or to the end of the budget.
    pub fn step(&mut self, quantum_trials: u64) -> Vec<Found> {
        let limit = self.trials.saturating_add(quantum_trials).min(self.budget);
        let mut found = Vec::new();
        while self.trials < limit && self.advance(limit, &mut found) {}
        found
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

    /// Directions that are searched.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Secrets that are tried.
    #[must_use]
    pub fn secrets(&self) -> usize {
        self.candidates.len()
    }

    /// A [`step`](Self::step) has something to try.
    #[must_use]
    pub fn pending(&self) -> bool {
        let stages = || {
            let all = Area { flows: self.flows.next, secrets: self.candidates.next };
            self.stages.iter().any(|stage| stage.pass.is_some() || stage.done != all)
        };
        !self.exhausted()
            && (!self.named.is_empty() || !self.candidates.is_empty() && self.flows.any_unnamed() && stages())
    }

    /// Directions and secrets that were dropped because there were too many.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.flows.evicted + self.candidates.evicted
    }

    /// Does the next piece of work; `false`: there is none.
    fn advance(&mut self, limit: u64, found: &mut Vec<Found>) -> bool {
        if let Some(at) = (0..self.named.len()).min_by_key(|&at| self.named.get(at).map(|named| named.window)) {
            self.try_named(at, limit, found);
            return true;
        }
        let all = Area { flows: self.flows.next, secrets: self.candidates.next };
        let Some((number, pass)) = stage::next(&mut self.stages, all) else { return false };
        let pass = self.try_pass(number, pass, limit, found);
        if let Some(stage) = self.stages.get_mut(number) {
            match pass {
                Some(_) => stage.pass = pass,
                None => *stage = Stage { done: stage.pass.map_or(stage.done, |pass| pass.target), pass: None },
            }
        }
        true
    }

    /// Goes on with one direction and its one secret.
    fn try_named(&mut self, at: usize, limit: u64, found: &mut Vec<Found>) {
        let Some(mut named) = self.named.remove(at) else { return };
        let (Some(window), Some(flow)) = (WINDOWS.get(named.window), self.flows.get(named.flow)) else { return };
        let Flows { departures, .. } = self.flows;
        let index = IndexId { side: flow.side, from: named.flow, to: named.flow + 1, named: true, departures };
        // CCM and CCM-8 share keys; others do not share a suite.
        let ids = suites(named.secret.as_bytes().len()).iter().find(|ids| ids.contains(&named.suite));
        let Some(ids) = ids else { return };
        let id = KeyId { named: true, number: named.flow, suite: named.suite, generation: window.generation };
        self.prepare_index(index);
        if !self.prepare_key(id, &named.secret, ids) {
            return;
        }
        let (next, hit) = self.burst(index.side, window.from + named.offset, window.to, limit);
        if let Some(hit) = hit {
            self.report(hit, named.random, id.generation, found);
            return;
        }
        named.offset = next - window.from;
        if next >= window.to {
            named.window += 1;
            named.offset = 0;
        }
        self.named.insert(at.min(self.named.len()), named);
    }

    /// Goes on with a stage; `None`: the pass is complete.
    fn try_pass(&mut self, number: usize, mut pass: Pass, limit: u64, found: &mut Vec<Found>) -> Option<Pass> {
        let (window, done) = (WINDOWS.get(number)?, self.stages.get(number)?.done);
        let (secret_number, candidate) = self.candidates.from(pass.secret, pass.target.secrets)?;
        if secret_number != pass.secret {
            // Those between are gone, the one that was being tried with them.
            pass = Pass { secret: secret_number, suite: 0, offset: 0, ..pass };
        }
        let (random, side, secret) = (candidate.random, candidate.side, candidate.secret.clone());
        let from = if secret_number < done.secrets { done.flows } else { 0 };
        let Flows { departures, .. } = self.flows;
        let empty = self.prepare_index(IndexId { side, from, to: pass.target.flows, named: false, departures }) == 0;
        let ids = suites(secret.as_bytes().len()).get(pass.suite).copied().unwrap_or_default();
        let Some(&suite) = ids.first().filter(|_| !empty) else {
            self.trials += 1;
            pass.next_secret(secret_number);
            return Some(pass);
        };
        let id = KeyId { named: false, number: secret_number, suite, generation: window.generation };
        if !self.prepare_key(id, &secret, ids) {
            pass.next_suite();
            return Some(pass);
        }
        let (next, hit) = self.burst(side, window.from + pass.offset, window.to, limit);
        pass.offset = next - window.from;
        if let Some(hit) = hit {
            self.report(hit, random, id.generation, found);
            pass.next_secret(secret_number);
        } else if next >= window.to {
            pass.next_suite();
        }
        Some(pass)
    }

    /// Tries sequence numbers with the key and the index that were prepared, up to `to` or while there are trials left. Returns the next
    /// number to try, and the sample that authenticated.
    fn burst(&mut self, side: Side, from: u64, to: u64, limit: u64) -> (u64, Option<Authentic>) {
        let (Some((id, mut key)), Some((_, index))) =
            (self.key.take(), self.indexes.get(slot(side)).and_then(Option::as_ref))
        else {
            return (to, None);
        };
        let mut next = from;
        while next < to && self.trials < limit {
            let affordable = (limit - self.trials).div_ceil(key.block_cost());
            let count = (to - next).min(BATCH).min(affordable);
            self.hits.clear();
            let looked = key.scan(next, count, index, &mut self.hits);
            self.trials += count * key.block_cost() + looked as u64 / 4;
            next += count;
            for hit in &self.hits {
                let sample = self.flows.get(hit.flow).and_then(|flow| flow.samples.get(hit.sample));
                let Some(sample) = sample else { continue };
                let Some((suite, cipher)) = key.verify(hit.sequence, sample, &mut self.scratch, &mut self.trials)
                else {
                    continue;
                };
                let (flow, sequence, record_index) = (hit.flow, hit.sequence, sample.index);
                return (next, Some(Authentic { flow, record_index, sequence, suite, cipher }));
            }
        }
        self.key = Some((id, key));
        (next, None)
    }

    /// Has the index at hand; says how many samples are in it.
    fn prepare_index(&mut self, id: IndexId) -> usize {
        let Some(cached) = self.indexes.get_mut(slot(id.side)) else { return 0 };
        if let Some((_, index)) = cached.as_ref().filter(|(of, _)| *of == id) {
            return index.len();
        }
        let index = self.flows.index(id.side, id.from, id.to, id.named);
        self.trials += cost::INDEX + index.len() as u64;
        cached.insert((id, index)).1.len()
    }

    /// Has the key at hand; `false`: the secret does not fit the suites.
    fn prepare_key(&mut self, id: KeyId, secret: &Secret, suites: &[u16]) -> bool {
        if !self.key.as_ref().is_some_and(|(of, _)| *of == id) {
            self.trials += cost::KEYS;
            self.key = TrialKey::new(secret, suites, id.generation).map(|key| (id, Box::new(key)));
        }
        self.key.is_some()
    }

    fn report(&mut self, hit: Authentic, random: Random, generation: u32, found: &mut Vec<Found>) {
        let Some(flow) = self.flows.get(hit.flow) else { return };
        let (token, side) = (flow.token, flow.side);
        self.flows.remove_number(hit.flow);
        if !self.names.contains_key(&token) {
            let secrets = self.candidates.claim(&random);
            self.names.insert(token, Box::new(Name { random, suite: hit.suite, secrets }));
            self.tokens.insert(random, token);
        }
        if let Some(peer) = self.flows.number(token, side.peer()) {
            self.flows.name(peer);
            self.queue_named(token, peer, side.peer());
        }
        let Authentic { record_index, sequence, suite, cipher, .. } = hit;
        found.push(Found { token, side, random, suite, record_index, sequence, generation, cipher });
    }

    fn queue_named(&mut self, token: u64, flow: u64, side: Side) {
        let Some(name) = self.names.get(&token) else { return };
        if let Some(Some(secret)) = name.secrets.get(slot(side)) {
            let (random, suite, secret) = (name.random, name.suite, Box::new(secret.clone()));
            self.named.retain(|named| named.flow != flow);
            self.named.push_back(Named { flow, random, suite, secret, window: 0, offset: 0 });
        }
    }
}

/// A sample whose tag fits.
struct Authentic {
    flow: u64,
    record_index: u64,
    sequence: u64,
    suite: u16,
    cipher: Box<RecordCipher>,
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("budget", &self.budget).field("trials", &self.trials).finish_non_exhaustive()
    }
}
