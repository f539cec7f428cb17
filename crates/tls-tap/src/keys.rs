//! Secrets by connection.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::secret::Secret;
use crate::side::Side;
use crate::transcripts::{TranscriptName, Transcripts};

/// ClientHello.random: the name of a connection in a key log.
pub type Random = [u8; 32];

/// What is known about one connection, by the labels of the NSS key log format.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// TLS 1.2 master secret (`CLIENT_RANDOM`).
    pub master: Option<Secret>,
    /// TLS 1.3 client early traffic secret: 0-RTT data.
    pub early: Option<Secret>,
    /// TLS 1.3 client handshake traffic secret.
    pub client_handshake: Option<Secret>,
    /// TLS 1.3 server handshake traffic secret.
    pub server_handshake: Option<Secret>,
    /// TLS 1.3 client application traffic secret, generation 0.
    pub client_traffic: Option<Secret>,
    /// TLS 1.3 server application traffic secret, generation 0.
    pub server_traffic: Option<Secret>,
}

impl Secrets {
    /// The secret of this kind.
    #[must_use]
    pub const fn get(&self, kind: Kind) -> Option<&Secret> {
        match kind {
            Kind::Master => self.master.as_ref(),
            Kind::Early => self.early.as_ref(),
            Kind::Handshake(side) => self.handshake(side),
            Kind::Traffic(side) => self.traffic(side),
        }
    }

    pub(crate) fn set(&mut self, kind: Kind, secret: Secret) {
        *self.slot(kind) = Some(secret);
    }

    const fn slot(&mut self, kind: Kind) -> &mut Option<Secret> {
        match kind {
            Kind::Master => &mut self.master,
            Kind::Early => &mut self.early,
            Kind::Handshake(Side::Client) => &mut self.client_handshake,
            Kind::Handshake(Side::Server) => &mut self.server_handshake,
            Kind::Traffic(Side::Client) => &mut self.client_traffic,
            Kind::Traffic(Side::Server) => &mut self.server_traffic,
        }
    }

    /// The handshake traffic secret that protects what `side` sends.
    #[must_use]
    pub const fn handshake(&self, side: Side) -> Option<&Secret> {
        match side {
            Side::Client => self.client_handshake.as_ref(),
            Side::Server => self.server_handshake.as_ref(),
        }
    }

    /// The first application traffic secret that protects what `side` sends.
    #[must_use]
    pub const fn traffic(&self, side: Side) -> Option<&Secret> {
        match side {
            Side::Client => self.client_traffic.as_ref(),
            Side::Server => self.server_traffic.as_ref(),
        }
    }
}

/// Which secret of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TLS 1.2 master secret.
    Master,
    /// TLS 1.3 client early traffic secret.
    Early,
    /// TLS 1.3 handshake traffic secret of this sender.
    Handshake(Side),
    /// TLS 1.3 application traffic secret of this sender, generation 0.
    Traffic(Side),
}

/// Secrets by connection, capped: the connection added first goes first.
///
/// A clone shares the secrets, so that readers on other threads can keep a version while the next one is made.
#[derive(Clone)]
pub struct KeyStore {
    capacity: usize,
    generation: u64,
    /// Number of the entry at the front of `order`.
    first: u64,
    order: VecDeque<Entry>,
    by_random: HashMap<Random, u64, foldhash::fast::RandomState>,
    sessions: Aside<Box<[u8]>>,
    premasters: Aside<[u8; 8]>,
    transcripts: Transcripts,
    evicted: u64,
}

#[derive(Clone)]
struct Entry {
    random: Random,
    changed: u64,
    secrets: Arc<Secrets>,
}

impl KeyStore {
    /// Longest TLS 1.2 session id (RFC 5246 section 7.4.1.2).
    const MAX_SESSION_ID: usize = 32;

    /// An empty store for at most `capacity` connections (at least one), and as many session ids.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            capacity,
            generation: 0,
            first: 0,
            order: VecDeque::new(),
            by_random: HashMap::default(),
            sessions: Aside::new(capacity),
            premasters: Aside::new(capacity),
            transcripts: Transcripts::new(capacity),
            evicted: 0,
        }
    }

    /// Adds a secret. `true`: it was not known before, and [`generation`](Self::generation) rose.
    pub fn add(&mut self, random: Random, kind: Kind, secret: Secret) -> bool {
        let at = self.by_random.get(&random).and_then(|number| usize::try_from(number.wrapping_sub(self.first)).ok());
        let known = at.and_then(|at| self.order.get_mut(at));
        if let Some(entry) = known {
            if entry.secrets.get(kind) == Some(&secret) {
                return false;
            }
            self.generation += 1;
            entry.changed = self.generation;
            *Arc::make_mut(&mut entry.secrets).slot(kind) = Some(secret);
            return true;
        }
        if self.order.len() >= self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_random.remove(&oldest.random);
            self.first += 1;
            self.evicted += 1;
        }
        self.generation += 1;
        let mut secrets = Secrets::default();
        *secrets.slot(kind) = Some(secret);
        self.by_random.insert(random, self.first + self.order.len() as u64);
        self.order.push_back(Entry { random, changed: self.generation, secrets: Arc::new(secrets) });
        true
    }

    /// Adds the master secret of a TLS 1.2 session id. `true`: it was not known before.
    pub fn add_session(&mut self, id: &[u8], master: Secret) -> bool {
        if id.is_empty() || id.len() > Self::MAX_SESSION_ID {
            return false;
        }
        self.count(|store| store.sessions.insert(id.into(), master, &mut store.evicted))
    }

    /// Adds a premaster secret under the first 8 bytes of its RSA-encrypted form. `true`: it was not known before.
    pub fn add_premaster(&mut self, encrypted: [u8; 8], premaster: Secret) -> bool {
        self.count(|store| store.premasters.insert(encrypted, premaster, &mut store.evicted))
    }

    /// Adds a TLS 1.3 Handshake Secret under Hash(ClientHello ‖ ServerHello), or an Early Secret under Hash(ClientHello) (RFC 8446 sections
    /// 4.4.1 and 7.1). `true`: it was not known before.
    pub fn add_transcript(&mut self, transcript: &[u8], secret: Secret) -> bool {
        let Some(evicted) = self.transcripts.add(transcript, secret, self.generation + 1) else { return false };
        self.generation += 1;
        self.evicted += evicted;
        true
    }

    fn count(&mut self, insert: impl FnOnce(&mut Self) -> bool) -> bool {
        let added = insert(self);
        self.generation += u64::from(added);
        added
    }

    /// The secrets of a connection.
    #[must_use]
    pub fn get(&self, random: &Random) -> Option<&Secrets> {
        let number = self.by_random.get(random)?;
        let at = usize::try_from(number.wrapping_sub(self.first)).ok()?;
        self.order.get(at).map(|entry| &*entry.secrets)
    }

    /// The master secret of a TLS 1.2 session id.
    #[must_use]
    pub fn session(&self, id: &[u8]) -> Option<&Secret> {
        self.sessions.by_name.get(id).map(|secret| &**secret)
    }

    /// The premaster secret whose RSA-encrypted form begins with these 8 bytes.
    #[must_use]
    pub fn premaster(&self, encrypted: &[u8; 8]) -> Option<&Secret> {
        self.premasters.by_name.get(encrypted).map(|secret| &**secret)
    }

    /// The secret that is used with this transcript hash.
    #[must_use]
    pub fn transcript(&self, hash: &[u8]) -> Option<&Secret> {
        self.transcripts.get(hash)
    }

    /// The transcripts whose secrets were added after this [`generation`](Self::generation).
    pub fn transcripts_since(&self, generation: u64) -> impl Iterator<Item = &TranscriptName> {
        self.transcripts.since(generation)
    }

    /// Connections that have TLS 1.3 application traffic secrets, in the order in which they were added.
    pub fn iter_tls13(&self) -> impl Iterator<Item = (&Random, &Secrets)> {
        self.iter_tls13_since(0)
    }

    /// The client randoms whose secrets changed after this [`generation`](Self::generation), in the order of addition.
    pub fn randoms_since(&self, generation: u64) -> impl Iterator<Item = &Random> {
        self.order.iter().filter(move |entry| entry.changed > generation).map(|entry| &entry.random)
    }

    /// As [`iter_tls13`](Self::iter_tls13), those only that changed after this [`generation`](Self::generation).
    pub fn iter_tls13_since(&self, generation: u64) -> impl Iterator<Item = (&Random, &Secrets)> {
        let changed = move |entry: &&Entry| entry.changed > generation;
        self.order.iter().filter(changed).map(|entry| (&entry.random, &*entry.secrets)).filter(|(_, secrets)| {
            let Secrets { client_traffic, server_traffic, .. } = secrets;
            client_traffic.is_some() || server_traffic.is_some()
        })
    }

    /// Rises whenever something is added: when it stands still, a lookup that failed fails again.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Number of connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
            && self.sessions.order.is_empty()
            && self.premasters.order.is_empty()
            && self.transcripts.is_empty()
    }

    /// Connections, sessions and premaster secrets that were dropped because the store was full.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore")
            .field("connections", &self.order.len())
            .field("sessions", &self.sessions.order.len())
            .field("generation", &self.generation)
            .field("evicted", &self.evicted)
            .finish_non_exhaustive()
    }
}

/// Secrets under names other than a client random, oldest first out. Behind an `Arc`, so that a table that grows leaves no copy.
#[derive(Clone)]
struct Aside<N> {
    capacity: usize,
    order: VecDeque<N>,
    by_name: HashMap<N, Arc<Secret>, foldhash::fast::RandomState>,
}

impl<N: Clone + Eq + std::hash::Hash> Aside<N> {
    fn new(capacity: usize) -> Self {
        Self { capacity, order: VecDeque::new(), by_name: HashMap::default() }
    }

    fn insert(&mut self, name: N, secret: Secret, evicted: &mut u64) -> bool {
        if let Some(known) = self.by_name.get_mut(&name) {
            let new = **known != secret;
            *known = Arc::new(secret);
            return new;
        }
        if self.order.len() >= self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
            *evicted += 1;
        }
        self.order.push_back(name.clone());
        self.by_name.insert(name, Arc::new(secret));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn holds_what_was_added_and_says_when_it_changed() {
        let mut store = KeyStore::new(10);
        assert!(store.is_empty());
        assert!(store.add([1; 32], Kind::Traffic(Side::Client), secret(1)));
        assert_eq!(store.generation(), 1);
        assert!(!store.add([1; 32], Kind::Traffic(Side::Client), secret(1)), "nothing new");
        assert_eq!(store.generation(), 1);
        assert!(store.add([1; 32], Kind::Traffic(Side::Server), secret(2)));
        assert!(store.add([1; 32], Kind::Traffic(Side::Server), secret(3)), "a later line wins");
        assert_eq!(store.generation(), 3);
        assert_eq!(store.len(), 1);
        let found = store.get(&[1; 32]).unwrap();
        assert_eq!(found.traffic(Side::Client), Some(&secret(1)));
        assert_eq!(found.traffic(Side::Server), Some(&secret(3)));
        assert!(store.get(&[2; 32]).is_none());
    }

    #[test]
    fn the_oldest_goes_when_full_and_is_counted() {
        let mut store = KeyStore::new(3);
        for byte in 0..10 {
            store.add([byte; 32], Kind::Master, secret(byte));
            store.add_session(&[byte; 4], secret(byte));
        }
        assert_eq!((store.len(), store.evicted()), (3, 14));
        assert!(store.get(&[6; 32]).is_none());
        assert!(store.session(&[6; 4]).is_none());
        for byte in 7..10 {
            assert_eq!(store.get(&[byte; 32]).unwrap().master, Some(secret(byte)));
            assert_eq!(store.session(&[byte; 4]), Some(&secret(byte)));
        }
    }

    #[test]
    fn tls13_secrets_come_in_the_order_of_addition_and_by_generation() {
        let mut store = KeyStore::new(10);
        for byte in [9, 3, 7] {
            store.add([byte; 32], Kind::Traffic(Side::Client), secret(byte));
        }
        store.add([1; 32], Kind::Master, secret(1));
        let seen = store.generation();
        store.add([3; 32], Kind::Traffic(Side::Server), secret(4));
        let order = |since| store.iter_tls13_since(since).map(|(random, _)| random[0]).collect::<Vec<_>>();
        assert_eq!(order(0), [9, 3, 7]);
        assert_eq!(order(seen), [3]);
    }

    #[test]
    fn a_clone_keeps_its_version() {
        let mut store = KeyStore::new(10);
        store.add([1; 32], Kind::Traffic(Side::Client), secret(1));
        let old = store.clone();
        store.add([1; 32], Kind::Traffic(Side::Client), secret(2));
        assert_eq!(old.get(&[1; 32]).unwrap().client_traffic, Some(secret(1)));
        assert_eq!(store.get(&[1; 32]).unwrap().client_traffic, Some(secret(2)));
    }

    #[test]
    fn debug_prints_no_secret_and_no_random() {
        let mut store = KeyStore::new(10);
        store.add([0xab; 32], Kind::Master, secret(0xcd));
        let text = format!("{store:?} {:?}", store.get(&[0xab; 32]).unwrap());
        assert!(!text.contains("171") && !text.contains("205"), "{text}");
    }

    #[test]
    fn session_ids_are_bounded() {
        let mut store = KeyStore::new(1);
        assert!(!store.add_session(&[], secret(1)));
        assert!(!store.add_session(&[0; 33], secret(1)));
        assert!(store.add_session(&[0; 32], secret(1)));
    }
}
