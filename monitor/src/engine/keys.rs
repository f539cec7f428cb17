use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tls_tap::keylog::{Counts, Form};
use tls_tap::keys::{Kind, Random};
use tls_tap::{KeyLog, KeyStore, Secret};
use zeroize::Zeroizing;

use super::lifetime::Lifetime;
use crate::limits::Limits;
use crate::model::{KeyStats, Owners, Process, SecretName, Time};

/// Malformed lines that are told by number.
const TOLD: usize = 16;

/// Keys to be shared with every shard.
#[derive(Clone, Debug)]
pub(super) struct NewKeys {
    /// All keys.
    pub(super) store: Arc<KeyStore>,
    /// The client randoms of those that are new, and the transcripts.
    pub(super) randoms: Arc<[[u8; 32]]>,
    /// Who had them, of those that a probe took.
    pub(super) owners: Arc<Owners>,
}

/// A key log on its way in.
#[derive(Debug)]
pub struct KeyFeed {
    name: String,
    log: KeyLog,
    /// What of its counts was added to those of the run.
    told: Counts,
}

impl KeyFeed {
    /// At the beginning of a key log; `name` is told with the numbers of malformed lines.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name, log: KeyLog::new(), told: Counts::default() }
    }
}

/// The key material of a run: from key log files, and from Decryption Secrets Blocks.
#[derive(Debug)]
pub struct Keys {
    store: KeyStore,
    /// Generation and removals of the version that was shared last.
    shared: (u64, u64),
    stats: KeyStats,
    /// Handshakes that were seen and have a key.
    matched: u64,
    /// Of a live run.
    lifetime: Option<Lifetime>,
    owners: Arc<Owners>,
}

impl Keys {
    /// No keys yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            store: KeyStore::new(limits.secrets),
            shared: (0, 0),
            stats: KeyStats::default(),
            matched: 0,
            lifetime: None,
            owners: Arc::default(),
        }
    }

    /// Reads a key log file to its end, and gives what it held.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub fn file(&mut self, path: &Path) -> io::Result<Counts> {
        let mut file = File::open(path)?;
        let mut feed = KeyFeed::new(path.display().to_string());
        let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
        loop {
            let count = match file.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if count == 0 {
                break;
            }
            self.feed(&mut feed, buffer.get(..count).unwrap_or_default());
        }
        Ok(self.end(&mut feed))
    }

    /// Reads key log files to their ends. Gives a line about each that holds no secret.
    ///
    /// # Errors
    /// The first that cannot be read, and why.
    pub fn files(&mut self, paths: &[PathBuf]) -> Result<Vec<String>, (PathBuf, io::Error)> {
        let mut keyless = Vec::new();
        for path in paths {
            let counts = self.file(path).map_err(|error| (path.clone(), error))?;
            if counts.secrets == 0 {
                let why = match counts.form {
                    Some(Form::Utf16) => ": it is UTF-16, as PowerShell's > writes it (write it as ASCII or UTF-8)",
                    Some(Form::Compressed) => ": it is compressed (unpack it first)",
                    Some(Form::Binary) => ": it is not text (is it a key log?)",
                    None => " (is it a key log?)",
                };
                keyless.push(format!("{}: no key in it{why}", path.display()));
            }
        }
        Ok(keyless)
    }

    /// Takes the text of a Decryption Secrets Block.
    pub fn block(&mut self, text: &[u8]) {
        let mut feed = KeyFeed::new("Decryption Secrets Block".to_owned());
        self.feed(&mut feed, text);
        self.end(&mut feed);
    }

    /// Takes the next bytes of a key log that grows.
    pub fn feed(&mut self, feed: &mut KeyFeed, bytes: &[u8]) {
        feed.log.push(bytes, &mut self.store);
        self.told(feed);
    }

    /// A process had the secret of this name, which is about to come.
    pub fn owner(&mut self, name: SecretName, process: &Arc<Process>) {
        Arc::make_mut(&mut self.owners).add(name, process);
    }

    /// The key log has ended, or was replaced: what stands in it is complete, and what comes next is a new one. Gives what it held.
    pub fn end(&mut self, feed: &mut KeyFeed) -> Counts {
        feed.log.finish(&mut self.store);
        self.told(feed);
        feed.log = KeyLog::new();
        std::mem::take(&mut feed.told)
    }

    /// Adds what a key log's counts have grown by.
    fn told(&mut self, feed: &mut KeyFeed) {
        let counts = feed.log.counts();
        self.stats.secrets += counts.secrets - feed.told.secrets;
        self.stats.holes += counts.nul_bytes - feed.told.nul_bytes;
        self.stats.malformed.1 += counts.malformed - feed.told.malformed;
        for line in counts.malformed_lines.iter().skip(feed.told.malformed_lines.len()) {
            if self.stats.malformed.0.len() < TOLD {
                self.stats.malformed.0.push(format!("{}: line {line}", feed.name));
            }
        }
        feed.told = counts.clone();
    }

    /// What is new since the last call; `None` when nothing is.
    pub(super) fn take_new(&mut self) -> Option<NewKeys> {
        let now = (self.store.generation(), self.store.removed());
        let before = std::mem::replace(&mut self.shared, now);
        if before == now {
            return None;
        }
        let mut randoms = self.store.take_changed();
        if let Some(lifetime) = &mut self.lifetime {
            self.matched += randoms.iter().filter(|random| lifetime.came(random)).count() as u64;
        }
        randoms.extend(self.store.transcripts_since(before.0));
        Some(NewKeys { randoms: randoms.into(), store: Arc::new(self.store.clone()), owners: Arc::clone(&self.owners) })
    }

    /// Keys go with their connections, and when they are old.
    pub(super) fn live(&mut self, limits: &Limits, now: Time) {
        self.lifetime = Some(Lifetime::new(limits, now));
    }

    /// A handshake was seen.
    pub(super) fn claim(&mut self, random: &Random) {
        if self.store.get(random).is_some() {
            self.matched += 1;
        } else if let Some(lifetime) = &mut self.lifetime {
            lifetime.await_key(random);
        }
    }

    /// The transcript of a handshake that was seen has led to a secret.
    pub(super) fn found_by_transcript(&mut self, random: &Random) {
        // A key log may have the secrets of the same connection: it is counted once.
        if self.store.get(random).is_none() {
            self.matched += 1;
            if let Some(lifetime) = &mut self.lifetime {
                lifetime.came(random);
            }
        }
    }

    /// A handshake that was seen resumes a session of TLS 1.2 that has this master secret.
    pub(super) fn resumed(&mut self, random: &Random, master: &Secret) {
        if self.store.get(random).is_none_or(|secrets| secrets.master.is_none()) {
            self.store.add(*random, Kind::Master, master.clone());
            // Of a live run it is counted when the shards have it.
            self.matched += u64::from(self.lifetime.is_none());
        }
    }

    /// A connection has ended.
    pub(super) fn ended(&mut self, random: Random) {
        if let Some(lifetime) = &mut self.lifetime {
            lifetime.ended(random);
        }
    }

    /// The clock goes on. Gives the names of the connections whose keys have gone.
    pub(super) fn advance(&mut self, now: Time) -> Vec<Random> {
        self.lifetime.as_mut().map(|lifetime| lifetime.advance(now, &mut self.store)).unwrap_or_default()
    }

    /// There is something new since the last [`take_new`](Self::take_new).
    pub(super) const fn are_new(&self) -> bool {
        self.shared.0 != self.store.generation()
    }

    /// Writes the counts.
    pub(crate) fn count(&self, stats: &mut KeyStats) {
        let seen = self.stats.clone();
        *stats = KeyStats {
            randoms: self.store.named() as u64,
            matched: self.matched,
            evicted: self.store.evicted(),
            wiped: self.store.removed(),
            ..seen
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1);

    fn keys(live: bool, lines: &[String]) -> Keys {
        let limits = Limits::default();
        let mut keys = Keys::new(&limits);
        if live {
            keys.live(&limits, NOW);
        }
        keys.block(lines.concat().as_bytes());
        keys
    }

    fn by_random(byte: &str) -> String {
        format!("CLIENT_RANDOM {} {}\n", byte.repeat(32), "ab".repeat(48))
    }

    fn by_transcript(byte: &str) -> String {
        format!("TLS13_TRANSCRIPT_SECRET {} {}\n", byte.repeat(32), "cd".repeat(32))
    }

    fn counts(keys: &Keys) -> (u64, u64) {
        let mut stats = KeyStats::default();
        keys.count(&mut stats);
        (stats.randoms, stats.matched)
    }

    #[test]
    fn a_connection_whose_transcript_has_a_secret_is_matched() {
        for live in [false, true] {
            let mut keys = keys(live, &[by_transcript("11"), by_transcript("22")]);
            keys.claim(&[7; 32]);
            assert_eq!(counts(&keys), (2, 0), "seen, and no more");
            keys.found_by_transcript(&[7; 32]);
            assert_eq!(counts(&keys), (2, 1));
            // A key log has the same connection, later.
            keys.block(by_random("07").as_bytes());
            keys.take_new();
            assert_eq!(counts(&keys), (3, 1), "counted once");
        }
    }

    #[test]
    fn a_connection_that_both_names_lead_to_is_counted_once() {
        let mut keys = keys(true, &[by_transcript("11"), by_random("07")]);
        keys.claim(&[7; 32]);
        keys.found_by_transcript(&[7; 32]);
        assert_eq!(counts(&keys).1, 1);
    }
}
