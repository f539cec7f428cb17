//! A key log for other tools, of what the key probe finds.
//!
//! A key log names a connection by its client random. Of TLS 1.2 and of Go the probe has it; of TLS 1.3 in OpenSSL it has the hash of both
//! hellos instead. So the hellos are read from the wire: the same hash names the connection, and its traffic secrets follow from the
//! handshake.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use tls_tap::{KeyLog, KeyStore};

use super::{Control, now};
use crate::flow::{Events, Shard};
use crate::limits::Limits;
use crate::model::{PacketBatch, SegmentBatch};
use crate::packet::Decoder;
use crate::source::SourceError;
use crate::source::live::{KeyProbe, LiveSource};

/// How long the source waits for packets before the probe is asked again.
const POLL: Duration = Duration::from_millis(20);

/// Lines that are remembered, not to be written twice: both ends of a connection may be probed.
const REMEMBERED: usize = 1 << 16;

/// What it takes to write a key log.
pub struct KeyLogParts<'r> {
    /// Packets.
    pub source: &'r mut dyn LiveSource,
    /// Secrets.
    pub probe: &'r mut dyn KeyProbe,
    /// Where each line goes, its end of line included.
    pub write: &'r mut dyn FnMut(&str) -> io::Result<()>,
    /// Who stops it.
    pub control: &'r Control,
    /// After this time it ends.
    pub duration: Option<Duration>,
    /// After the keys of so many connections it ends.
    pub count: Option<u64>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLogCounts {
    /// Connections whose keys were written.
    pub connections: u64,
    /// TLS 1.3 secrets that the probe saw and to which no packets belonged: no line has them.
    pub nameless: u64,
}

/// Why it ended early.
#[derive(Debug)]
pub enum KeyLogError {
    /// Packets could not be had.
    Source(SourceError),
    /// The key log could not be written.
    Write(io::Error),
}

/// Writes keys until it is stopped.
///
/// # Errors
/// The source has failed, or the key log cannot be written.
pub fn write_keys(parts: KeyLogParts<'_>) -> Result<KeyLogCounts, KeyLogError> {
    let KeyLogParts { source, probe, write, control, duration, count } = parts;
    let started = Instant::now();
    let mut lines = Lines { write, seen: HashSet::default(), order: VecDeque::new(), connections: 0, error: None };
    let mut wire = Wire::new();
    let mut batch = PacketBatch::default();
    loop {
        let over = duration.is_some_and(|duration| started.elapsed() >= duration);
        let enough = count.is_some_and(|count| lines.connections >= count);
        if over || enough || control.stopped() {
            return Ok(KeyLogCounts { connections: lines.connections, nameless: wire.nameless() });
        }
        source.fill(&mut batch, POLL).map_err(KeyLogError::Source)?;
        // What belongs to these packets was derived before they were sent.
        probe.poll(&mut |secret| if secret.by_transcript { wire.secret(secret.line) } else { lines.add(secret.line) });
        wire.packets(&mut batch, &mut |line| lines.add(line));
        if let Some(error) = lines.error.take() {
            return Err(KeyLogError::Write(error));
        }
    }
}

/// Lines on their way out.
struct Lines<'w> {
    write: &'w mut dyn FnMut(&str) -> io::Result<()>,
    /// Label and client random of those that were written.
    seen: HashSet<Box<str>, FixedState>,
    order: VecDeque<Box<str>>,
    connections: u64,
    error: Option<io::Error>,
}

impl Lines<'_> {
    fn add(&mut self, line: &str) {
        let Some((name, _)) = line.rsplit_once(' ') else { return };
        if self.error.is_some() || !self.seen.insert(name.into()) {
            return;
        }
        self.order.push_back(name.into());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        match (self.write)(line) {
            // The last line of a connection.
            Ok(()) => {
                self.connections +=
                    u64::from(["CLIENT_RANDOM ", "SERVER_TRAFFIC_SECRET_0 "].iter().any(|last| line.starts_with(last)))
            }
            Err(error) => self.error = Some(error),
        }
    }
}

/// Handshakes on the wire.
struct Wire {
    store: KeyStore,
    log: KeyLog,
    /// Generation of the store that the shards have.
    given: u64,
    decoder: Decoder,
    segments: SegmentBatch<'static>,
    shards: Vec<Shard<'static>>,
    /// Secrets that the probe gave, and those that were found on the wire.
    taken: u64,
    found: u64,
}

impl Wire {
    fn new() -> Self {
        let limits = Arc::new(Limits::default());
        let shard = || {
            let mut shard = Shard::new(Arc::clone(&limits));
            shard.follow();
            shard
        };
        Self {
            store: KeyStore::new(limits.secrets),
            log: KeyLog::new(),
            given: 0,
            decoder: Decoder::new(&limits),
            segments: SegmentBatch::default(),
            shards: std::iter::repeat_with(shard).take(Limits::SHARDS).collect(),
            taken: 0,
            found: 0,
        }
    }

    /// A secret by its transcript.
    fn secret(&mut self, line: &str) {
        let before = self.store.generation();
        self.log.push(line.as_bytes(), &mut self.store);
        self.taken += u64::from(self.store.generation() != before);
    }

    /// Reads on, and gives what followed.
    fn packets(&mut self, batch: &mut PacketBatch<'static>, give: &mut dyn FnMut(&str)) {
        let quiet = batch.packets.is_empty();
        self.decoder.decode(batch, &mut self.segments);
        let names: Vec<_> = self.store.transcripts_since(self.given).copied().collect();
        let new = (self.given != self.store.generation()).then(|| Arc::new(self.store.clone()));
        self.given = self.store.generation();
        let time = if quiet { now() } else { self.segments.now };
        for (shard, segments) in self.shards.iter_mut().zip(&self.segments.shards) {
            let mut events = Events::new();
            if let Some(keys) = &new {
                shard.keys(Arc::clone(keys), &names, &mut events);
            }
            for segment in segments {
                shard.segment(segment, &self.segments.arena, &mut events);
            }
            shard.tick(time, &mut events);
            // Nobody searches for keys of connections joined late.
            shard.samples();
            for line in shard.take_followed() {
                // From each secret by transcript one of these follows.
                let one = ["SERVER_HANDSHAKE_TRAFFIC_SECRET ", "CLIENT_EARLY_TRAFFIC_SECRET "];
                self.found += u64::from(one.iter().any(|label| line.starts_with(label)));
                give(&line);
            }
        }
    }

    const fn nameless(&self) -> u64 {
        self.taken.saturating_sub(self.found)
    }
}
