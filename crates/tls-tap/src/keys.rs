//! Secrets by connection.

mod table;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use crate::secret::Secret;
use crate::session::SessionName;
use crate::side::Side;
use crate::transcripts::{TranscriptName, Transcripts};
use table::Table;

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
/// A clone shares what neither changes, and costs little whatever the size: readers on other threads keep a version while the next one is
/// made. A secret is wiped when the last version that holds it is dropped.
#[derive(Clone)]
pub struct KeyStore {
    generation: u64,
    connections: Table<Random, Entry>,
    sessions: Table<SessionName, Arc<Secret>>,
    premasters: Table<[u8; 8], Arc<Secret>>,
    transcripts: Transcripts,
    /// Generation of the last change to sessions or premaster secrets.
    aside: u64,
    /// Connections that changed since [`take_changed`](KeyStore::take_changed), by number, and the generation at which it was called.
    changed: Vec<(u64, Random)>,
    taken: u64,
    evicted: u64,
    removed: u64,
}

#[derive(Clone)]
struct Entry {
    changed: u64,
    secrets: Arc<Secrets>,
}

/// A place in the order in which things were added to a [`KeyStore`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    connections: u64,
    sessions: u64,
    premasters: u64,
}

impl KeyStore {
    /// An empty store for at most `capacity` connections (at least one), and as many session ids.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            generation: 0,
            connections: Table::new(capacity),
            sessions: Table::new(capacity),
            premasters: Table::new(capacity),
            transcripts: Transcripts::new(capacity),
            aside: 0,
            changed: Vec::new(),
            taken: 0,
            evicted: 0,
            removed: 0,
        }
    }

    /// Adds a secret. `true`: it was not known before, and [`generation`](Self::generation) rose.
    pub fn add(&mut self, random: Random, kind: Kind, secret: Secret) -> bool {
        let generation = self.generation + 1;
        let (number, before) = if let Some(entry) = self.connections.get(&random) {
            if entry.secrets.get(kind) == Some(&secret) {
                return false;
            }
            let before = entry.changed;
            if let Some(entry) = self.connections.get_mut(&random) {
                entry.changed = generation;
                *Arc::make_mut(&mut entry.secrets).slot(kind) = Some(secret);
            }
            (self.connections.number(&random).unwrap_or_default(), before)
        } else {
            let mut secrets = Arc::<Secrets>::default();
            *Arc::make_mut(&mut secrets).slot(kind) = Some(secret);
            let (number, full) = self.connections.insert(random, Entry { changed: generation, secrets });
            self.evicted += u64::from(full);
            (number, 0)
        };
        self.generation = generation;
        if before <= self.taken {
            self.changed(number, random);
        }
        true
    }

    fn changed(&mut self, number: u64, random: Random) {
        const LEAST: usize = 1_024;
        if self.changed.len() >= self.connections.capacity().saturating_mul(2).max(LEAST) {
            self.changed.retain(|(number, random)| self.connections.number(random) == Some(*number));
        }
        self.changed.push((number, random));
    }

    /// The client randoms whose secrets changed since the last call, in the order in which they were added first.
    pub fn take_changed(&mut self) -> Vec<Random> {
        self.taken = self.generation;
        let mut changed = std::mem::take(&mut self.changed);
        changed.retain(|(number, random)| self.connections.number(random) == Some(*number));
        changed.sort_unstable_by_key(|(number, _)| *number);
        changed.dedup_by_key(|(number, _)| *number);
        changed.into_iter().map(|(_, random)| random).collect()
    }

    /// Adds the master secret of a TLS 1.2 session id. `true`: it was not known before.
    pub fn add_session(&mut self, id: &[u8], master: Secret) -> bool {
        SessionName::id(id).is_some_and(|id| {
            let (added, full) = add_aside(&mut self.sessions, id, master);
            self.added_aside(added, full)
        })
    }

    /// Adds a premaster secret under the first 8 bytes of its RSA-encrypted form. `true`: it was not known before.
    pub fn add_premaster(&mut self, encrypted: [u8; 8], premaster: Secret) -> bool {
        let (added, full) = add_aside(&mut self.premasters, encrypted, premaster);
        self.added_aside(added, full)
    }

    /// Adds a TLS 1.3 Handshake Secret under Hash(ClientHello ‖ ServerHello), or an Early Secret under Hash(ClientHello) (RFC 8446 sections
    /// 4.4.1 and 7.1). `true`: it was not known before.
    pub fn add_transcript(&mut self, transcript: &[u8], secret: Secret) -> bool {
        let Some(evicted) = self.transcripts.add(transcript, secret, self.generation + 1) else { return false };
        self.generation += 1;
        self.evicted += evicted;
        true
    }

    const fn added_aside(&mut self, added: bool, full: bool) -> bool {
        self.evicted += full as u64;
        if added {
            self.generation += 1;
            self.aside = self.generation;
        }
        added
    }

    /// Removes what is known about a connection. `true`: there was something.
    pub fn remove(&mut self, random: &Random) -> bool {
        let removed = self.connections.remove(random).is_some();
        self.removed += u64::from(removed);
        removed
    }

    /// The place behind everything that was added so far.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        Mark {
            connections: self.connections.next(),
            sessions: self.sessions.next(),
            premasters: self.premasters.next(),
        }
    }

    /// Removes what was first added before this place: connections, whose names are added to `names`, sessions and premaster secrets, in
    /// all no more than `most`. Returns how many it was.
    pub fn remove_before(&mut self, mark: Mark, most: u64, names: &mut Vec<Random>) -> u64 {
        let mut removed = 0;
        while removed < most {
            if let Some(name) = self.connections.remove_oldest(mark.connections) {
                names.push(name);
            } else if self.sessions.remove_oldest(mark.sessions).is_none()
                && self.premasters.remove_oldest(mark.premasters).is_none()
            {
                break;
            }
            removed += 1;
        }
        self.removed += removed;
        removed
    }

    /// The secrets of a connection.
    #[must_use]
    pub fn get(&self, random: &Random) -> Option<&Secrets> {
        self.connections.get(random).map(|entry| &*entry.secrets)
    }

    /// The master secret of a TLS 1.2 session id.
    #[must_use]
    pub fn session(&self, id: &[u8]) -> Option<&Secret> {
        self.sessions.get(&SessionName::id(id)?).map(|secret| &**secret)
    }

    /// The premaster secret whose RSA-encrypted form begins with these 8 bytes.
    #[must_use]
    pub fn premaster(&self, encrypted: &[u8; 8]) -> Option<&Secret> {
        self.premasters.get(encrypted).map(|secret| &**secret)
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
        self.connections.iter().map(|(random, entry)| (random, &*entry.secrets)).filter(|(_, secrets)| {
            let Secrets { client_traffic, server_traffic, .. } = secrets;
            client_traffic.is_some() || server_traffic.is_some()
        })
    }

    /// Rises whenever something is added: when it stands still, a lookup that failed fails again.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The [`generation`](Self::generation) of the last addition under another name than a client random.
    #[must_use]
    pub const fn aside_generation(&self) -> u64 {
        self.aside
    }

    /// Number of connections.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.connections.len()
    }

    /// Number of names that lead to secrets: client randoms, and transcripts.
    #[must_use]
    pub fn named(&self) -> usize {
        self.connections.len() + self.transcripts.len()
    }

    /// Nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.len() == 0
            && self.sessions.len() == 0
            && self.premasters.len() == 0
            && self.transcripts.is_empty()
    }

    /// Connections, sessions and premaster secrets that were dropped because the store was full.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Connections, sessions and premaster secrets that were removed.
    #[must_use]
    pub const fn removed(&self) -> u64 {
        self.removed
    }
}

/// Whether the secret is new, and whether the oldest had to go.
fn add_aside<N: Copy + Eq + Hash>(table: &mut Table<N, Arc<Secret>>, name: N, secret: Secret) -> (bool, bool) {
    match table.get(&name) {
        Some(known) if **known == secret => (false, false),
        Some(_) => {
            if let Some(known) = table.get_mut(&name) {
                *known = Arc::new(secret);
            }
            (true, false)
        }
        None => (true, table.insert(name, Arc::new(secret)).1),
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore")
            .field("connections", &self.connections.len())
            .field("sessions", &self.sessions.len())
            .field("generation", &self.generation)
            .field("evicted", &self.evicted)
            .finish_non_exhaustive()
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
        let first = |randoms: Vec<Random>| randoms.iter().map(|random| random[0]).collect::<Vec<_>>();
        assert_eq!(first(store.take_changed()), [9, 3, 7, 1]);
        store.add([7; 32], Kind::Traffic(Side::Server), secret(4));
        store.add([3; 32], Kind::Traffic(Side::Server), secret(4));
        store.add([3; 32], Kind::Handshake(Side::Server), secret(5));
        assert_eq!(first(store.take_changed()), [3, 7]);
        assert_eq!(first(store.take_changed()), []);
        assert_eq!(first(store.iter_tls13().map(|(random, _)| *random).collect()), [9, 3, 7]);
    }

    #[test]
    fn what_is_removed_is_gone_and_what_is_old_goes() {
        let mut store = KeyStore::new(10);
        store.add([1; 32], Kind::Master, secret(1));
        store.add_session(&[1; 4], secret(1));
        let mark = store.mark();
        store.add([2; 32], Kind::Master, secret(2));
        store.add([3; 32], Kind::Master, secret(3));
        let generation = store.generation();
        assert!(store.remove(&[3; 32]) && !store.remove(&[3; 32]));
        let mut names = Vec::new();
        assert_eq!(store.remove_before(mark, 1, &mut names), 1);
        assert_eq!(store.remove_before(mark, 9, &mut names), 1);
        assert_eq!(names, [[1; 32]]);
        assert!(store.get(&[1; 32]).is_none() && store.session(&[1; 4]).is_none());
        assert!(store.get(&[2; 32]).is_some());
        assert_eq!((store.len(), store.removed(), store.evicted(), store.generation()), (1, 3, 0, generation));
        assert_eq!(store.take_changed(), [[2; 32]]);
    }

    /// What a version costs when keys trickle in: `cargo test -p tls-tap --lib -- --ignored --nocapture versions`.
    #[test]
    #[ignore = "measures, and says so on standard output"]
    fn versions_are_cheap_however_many_keys_there_are() {
        fn random(number: u32) -> Random {
            let mut random = [0; 32];
            random[..4].copy_from_slice(&number.to_be_bytes());
            random
        }
        for connections in [1_000, 200_000] {
            let mut store = KeyStore::new(connections as usize);
            let mut next = 0;
            while store.evicted() == 0 {
                store.add(random(next), Kind::Traffic(Side::Client), secret(1));
                next += 1;
            }
            let (rounds, each) = (500, 20);
            let (mut adding, mut sharing) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
            let mut version = store.clone();
            for _ in 0..rounds {
                let begun = std::time::Instant::now();
                for _ in 0..each {
                    for kind in [Kind::Handshake(Side::Client), Kind::Handshake(Side::Server)] {
                        store.add(random(next), kind, secret(1));
                    }
                    for kind in [Kind::Traffic(Side::Client), Kind::Traffic(Side::Server)] {
                        store.add(random(next), kind, secret(1));
                    }
                    next += 1;
                }
                adding += begun.elapsed();
                let begun = std::time::Instant::now();
                assert_eq!(store.take_changed().len(), each);
                version = store.clone();
                sharing += begun.elapsed();
            }
            assert_eq!(version.len(), connections as usize);
            let (adding, sharing) = (adding / rounds, sharing / rounds);
            println!("{connections} connections: adding {each} {adding:?}, a version {sharing:?}");
        }
    }

    #[test]
    fn what_changed_is_bounded_while_nobody_asks() {
        let mut store = KeyStore::new(10);
        for round in 0..20_000_u32 {
            let mut random = [0; 32];
            random[..4].copy_from_slice(&round.to_be_bytes());
            store.add(random, Kind::Master, secret(1));
        }
        assert!(store.changed.len() <= 1_024);
        assert_eq!(store.take_changed().len(), 10);
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
