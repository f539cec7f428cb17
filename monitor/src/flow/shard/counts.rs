//! What a shard counts.

/// What the flows of a shard hold, and what was dropped at a cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// Flows with payload that are open.
    pub open: u64,
    /// Flows without payload, and closed ones that are still remembered.
    pub light: u64,
    /// Flows with payload that were dropped because the table was full.
    pub evicted: u64,
    /// Flows that were given up because the shard's flows held too much.
    pub outweighed: u64,
    /// Flows without payload that were dropped because the table was full.
    pub half_open_evicted: u64,
    /// Flows that went away and never had payload: they gave no event.
    pub empty: u64,
    /// Times that waiting bytes were given on with holes because the shard had no room.
    pub reassembly_evicted: u64,
    /// Flows whose encrypted bytes were given up because the shard had no room.
    pub held_evicted: u64,
    /// Anomaly and dark events that were not given because of the cap of each connection.
    pub unsaid: u64,
    /// Flows with payload that have ended, of which no packet of the client was seen; of the server.
    pub one_way: [u64; 2],
    /// Bytes that wait for missing segments.
    pub waiting_bytes: u64,
    /// Encrypted bytes held back.
    pub held_bytes: u64,
    /// Memory of the flow table.
    pub table_bytes: u64,
    /// Memory of TLS, as it was weighed last.
    pub tls_bytes: u64,
    /// Memory of HTTP and of the flows themselves, as it was weighed last.
    pub http_bytes: u64,
}

impl FlowCounts {
    /// Adds another shard's.
    pub const fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.light += other.light;
        self.evicted += other.evicted;
        self.outweighed += other.outweighed;
        self.half_open_evicted += other.half_open_evicted;
        self.empty += other.empty;
        self.reassembly_evicted += other.reassembly_evicted;
        self.held_evicted += other.held_evicted;
        self.unsaid += other.unsaid;
        let ([client, server], [more_client, more_server]) = (&mut self.one_way, other.one_way);
        *client += more_client;
        *server += more_server;
        self.waiting_bytes += other.waiting_bytes;
        self.held_bytes += other.held_bytes;
        self.table_bytes += other.table_bytes;
        self.tls_bytes += other.tls_bytes;
        self.http_bytes += other.http_bytes;
    }

    /// What was dropped at a cap, by cap.
    #[must_use]
    pub const fn capped(&self) -> [(&'static str, u64); 6] {
        [
            ("flows", self.evicted),
            ("flow_memory", self.outweighed),
            ("half_open_flows", self.half_open_evicted),
            ("reassembly", self.reassembly_evicted),
            ("held", self.held_evicted),
            ("connection_notes", self.unsaid),
        ]
    }
}
