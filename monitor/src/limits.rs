//! Every cap of the program, in one value.

use std::time::Duration;

/// Every cap of the program. Overflow evicts the oldest, and is counted and shown; nothing here grows with the capture.
///
/// Caps that belong to flows hold for each of [`Limits::SHARDS`] shards, whose number does not depend on the number of threads, so that
/// the same capture gives the same events on one thread and on many.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open flows a shard, those without payload included.
    pub flows: usize,
    /// Bytes that the flows with payload of a shard may hold, in TLS, in HTTP and in what is kept of each for the findings. Above it the
    /// flow that was longest without a packet is given up. Weighed after every batch.
    pub flow_shard: usize,
    /// Bytes that wait for a missing segment, one direction of one flow.
    pub reassembly_flow: usize,
    /// Bytes that wait for missing segments, all flows of a shard.
    pub reassembly_shard: usize,
    /// Pieces that wait for a missing segment, one direction of one flow.
    pub reassembly_pieces: usize,
    /// Flow without a packet for this long: forgotten (capture time).
    pub flow_idle: Duration,
    /// Half-open flow (SYN without payload) without a packet for this long: forgotten (capture time).
    pub half_open_idle: Duration,
    /// Encrypted bytes held back while a key is missing, one direction of one flow. Those of a mapped file count too, though they are not
    /// copied: the same capture is read the same from a pipe.
    pub held_flow: usize,
    /// Encrypted bytes held back while keys are missing, all flows of a shard.
    pub held_shard: usize,
    /// Weight of the events that a shard tells at a time, before it reads on: one for each event, more for a request with long text.
    pub events: usize,
    /// Secrets in the key store (client randoms).
    pub secrets: usize,
    /// Names of TLS 1.2 sessions whose master secret is kept for the connections that resume them, for [`key_age`](Self::key_age) at most.
    pub sessions: usize,
    /// Live: how long after its end a connection waits for a key before it is told as it is. A replay waits as long as for a packet.
    pub key_wait: Duration,
    /// Live: how long something is held back for want of a key before its connection is told to be dark. A connection whose hellos were
    /// seen is told at once where there is no key. In a replay no key comes late, and the end of the connection tells.
    pub blind_wait: Duration,
    /// Live: how long a connection has to be dark before that is counted. A key that comes within it (some servers write theirs when
    /// the first request has ended) makes all readable, and nothing was missed. In a replay: not at all.
    pub dark_grace: Duration,
    /// Live: how often an open connection tells what it has carried. In a replay its end does.
    pub progress: Duration,
    /// Live: how long after the end of a connection its keys are kept, for what comes late or was captured at a second place.
    pub key_grace: Duration,
    /// Live: how long keys are kept that no connection is known to have used. An edge keeps connections open for hours, and one that was
    /// opened before the monitor was started is read with a key that is as old; a key is as old as the time since it was read.
    pub key_age: Duration,
    /// Trials of a joined-late search, the whole replay.
    pub late_trials: u64,
    /// Live: trials of the joined-late search a second. A trial takes about 6 ns.
    pub late_rate: u64,
    /// IP datagrams in reassembly from fragments.
    pub fragments: usize,
    /// Bytes of IP fragments.
    pub fragment_bytes: usize,
    /// HTTP/1 header section.
    pub http1_head: usize,
    /// Open cases.
    pub cases: usize,
    /// Requests remembered as candidates for a retry.
    pub candidates: usize,
    /// Resets that one case lists by id; more are counted.
    pub case_resets: usize,
    /// Distinct paths, hosts and clients counted for the summary.
    pub top: usize,
    /// Anomaly, gap and dark events of one connection that are written; more are counted.
    pub notes_per_connection: u32,
    /// HTTP/2 caps.
    pub h2: h2_tap::Limits,
}

impl Limits {
    /// Shards that flows are spread over, whatever the number of threads.
    pub const SHARDS: usize = 8;

    /// What everything takes that is not counted by flow or by key: program, windows of mapped files, batches in flight, cases,
    /// candidates and sessions.
    pub const BASE: usize = 64 << 20;

    /// Bytes of the flow table that one flow takes, with or without payload, and room for the table to grow in.
    pub const FLOW_SLOT: usize = 512;

    /// Bytes that the keys of one connection take in the key store and among the candidates of the joined-late search.
    pub const KEYS: usize = 1_024;

    /// As a replay has them: it ends, its keys are all there, and nobody waits for what it says.
    #[must_use]
    pub fn of_replay(&self) -> Self {
        Self { key_wait: self.flow_idle, blind_wait: Duration::MAX, dark_grace: Duration::ZERO, ..self.clone() }
    }

    /// It is told of connections while they are open, as in a live run.
    #[must_use]
    pub fn tells_early(&self) -> bool {
        self.blind_wait < self.flow_idle
    }

    /// Most bytes that open flows take, all shards together.
    #[must_use]
    pub const fn flow_memory(&self) -> usize {
        let shard = self.flow_shard + self.reassembly_shard + self.held_shard + self.flows * Self::FLOW_SLOT;
        Self::SHARDS * shard
    }

    /// Most bytes that the keys of `connections` take. Key logs are the operator's: nothing on the wire makes them longer, but for
    /// Decryption Secrets Blocks.
    #[must_use]
    pub const fn key_memory(&self, connections: usize) -> usize {
        let kept = if connections < self.secrets { connections } else { self.secrets };
        kept * Self::KEYS
    }

    /// Most bytes that a replay takes with the keys of `connections`, whatever the size of the capture.
    #[must_use]
    pub const fn memory(&self, connections: usize) -> usize {
        Self::BASE + self.flow_memory() + self.key_memory(connections)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 8_192,
            flow_shard: 16 << 20,
            reassembly_flow: 512 << 10,
            reassembly_shard: 2 << 20,
            reassembly_pieces: 1_024,
            flow_idle: Duration::from_secs(3_600),
            half_open_idle: Duration::from_secs(30),
            held_flow: 512 << 10,
            held_shard: 2 << 20,
            events: 4_096,
            secrets: 200_000,
            sessions: 8_192,
            key_wait: Duration::from_secs(10),
            blind_wait: Duration::from_secs(1),
            dark_grace: Duration::from_secs(3),
            progress: Duration::from_secs(2),
            key_grace: Duration::from_secs(60),
            key_age: Duration::from_secs(24 * 3_600),
            late_trials: 1 << 28,
            late_rate: 1 << 23,
            fragments: 1_024,
            fragment_bytes: 4 << 20,
            http1_head: 32 << 10,
            cases: 16_384,
            candidates: 65_536,
            case_resets: 64,
            top: 4_096,
            notes_per_connection: 16,
            h2: h2_tap::Limits::default(),
        }
    }
}
