//! The connections that are open, and their requests that are not answered yet.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::ranges;
use crate::model::{
    ConnectionId, DarkWhy, Edge, Endpoints, ErrorCode, ExchangeId, Parties, Process, Protocol, Request, ServerCounts,
    ServerSlot, Servers, Time,
};

/// CANCELs of a server that are remembered for each connection.
const CANCELS: usize = 16;

/// Streams that were reset before their request was seen that are remembered for each connection.
const UNASKED: usize = 16;

/// What stands for a client that is not known and the server that it asks.
pub(super) const STRANGER: (u64, u64) = (0, 0);

/// A hash for keys that never leave the process. The seed is fixed: the same input gives the same run.
pub(super) fn mix(value: impl Hash) -> u64 {
    FixedState::with_seed(0x6832_7761_7463_6831).hash_one(value)
}

/// A map whose order is never looked at.
pub(super) type Map<K, V> = HashMap<K, V, FixedState>;

/// A request without a complete answer.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) request: Arc<Request>,
    pub(super) start: Time,
    /// Its number among the candidates.
    pub(super) record: u64,
    pub(super) status: Option<u16>,
}

/// A GOAWAY of the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerGoAway {
    pub(super) reset: u64,
    pub(super) time: Time,
    pub(super) code: ErrorCode,
    pub(super) last_stream: u32,
}

/// A stream that the server reset with CANCEL: no failure if the client does the same at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerCancel {
    pub(super) stream: ExchangeId,
    pub(super) time: Time,
    pub(super) case: u64,
}

/// What a connection hides of what its client sends on for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hides {
    Nothing,
    /// Since then it is not known yet what it speaks, and whether that can be read.
    Perhaps(Time),
    All,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) ends: Endpoints,
    /// The process at one of its ends.
    process: Option<Arc<Process>>,
    pub(super) opened: Time,
    pub(super) protocol: Option<Protocol>,
    pub(super) sni: Option<Box<str>>,
    pub(super) offers_h2: bool,
    pub(super) offers_only_http1: bool,
    /// A hello was seen, and it offers no version of HTTP.
    pub(super) offers_other: bool,
    /// When it began, until it is known what it speaks and whether that can be read.
    pub(super) pending: Option<Time>,
    /// Since when requests could not be read.
    pub(super) blind: Option<Time>,
    pub(super) hides: Hides,
    /// Could not be read at some time.
    pub(super) dark: bool,
    /// For which reasons, a bit each.
    dark_for: u16,
    /// Findings about what could not be seen so far.
    pub(super) notes: u32,
    /// A 401 that offers Negotiate or NTLM was seen.
    pub(super) windows_auth: bool,
    /// The last reset: the stream's end follows it.
    pub(super) last_reset: Option<(ExchangeId, u64)>,
    pub(super) goaway: Option<ServerGoAway>,
    /// The case of a GOAWAY without any request, until one comes.
    pub(super) goaway_case: Option<u64>,
    /// The first request after it, and its case.
    pub(super) attached: Option<(ExchangeId, u64)>,
    pub(super) cancels: SmallVec<[ServerCancel; 2]>,
    pub(super) open: Map<ExchangeId, Open>,
    /// Requests so far.
    pub(super) requests: u64,
    /// Hashes of the client's host, of the server, and of its host. What is not known is like nothing else; but a server without an
    /// address is named by its process, where that is known.
    pub(super) host: u64,
    pub(super) server: u64,
    pub(super) server_host: u64,
    /// Hash of the host that opened the TCP connection, whoever a PROXY protocol header names.
    pub(super) sender: u64,
    /// Streams whose reset by the server was heard of without their request, and their cases.
    unasked: SmallVec<[(ExchangeId, u64); 1]>,
    /// The CDN that publishes the client's address.
    edge: Option<Edge>,
    /// Where the server is counted, once there was something to count.
    slot: Option<ServerSlot>,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, ends: Endpoints, opened: Time) -> Self {
        let mut this = Self {
            id,
            ends,
            process: None,
            opened,
            protocol: None,
            sni: None,
            offers_h2: false,
            offers_only_http1: false,
            offers_other: false,
            pending: None,
            blind: None,
            hides: Hides::Nothing,
            dark: false,
            dark_for: 0,
            notes: 0,
            windows_auth: false,
            last_reset: None,
            goaway: None,
            goaway_case: None,
            attached: None,
            cancels: SmallVec::new(),
            open: Map::default(),
            requests: 0,
            host: 0,
            server: 0,
            server_host: 0,
            sender: 0,
            unasked: SmallVec::new(),
            edge: None,
            slot: None,
        };
        this.name();
        this
    }

    /// Takes its ends, which were not known before.
    pub(super) fn place(&mut self, ends: Endpoints) {
        self.ends = ends;
        // What was counted stays where it was counted.
        if self.requests == 0 {
            self.slot = None;
        }
        self.name();
    }

    /// Takes the process at one of its ends.
    pub(super) fn belongs_to(&mut self, process: Arc<Process>) {
        self.process = Some(process);
        self.name();
    }

    fn name(&mut self) {
        let Self { id, ends, process, .. } = self;
        self.host = Self::client_host(ends).map_or_else(|| mix(("client", *id)), mix);
        self.sender = ends.client.map_or(self.host, |client| mix(client.ip()));
        (self.server, self.server_host) = match (ends.server, process) {
            (Some(server), _) => (mix(server), mix(server.ip())),
            (None, Some(process)) => (mix(("process", process.pid)), mix(("host", process.pid))),
            (None, None) => (mix(("server", *id)), mix(("server host", *id))),
        };
        self.edge = ends.client.and_then(|client| ranges::edge(client.ip()));
    }

    /// Who is who.
    pub(super) fn parties(&self) -> Parties {
        Parties { client: self.ends.client, server: self.ends.server, process: self.process.clone() }
    }

    /// Whose requests towards whom are hidden while it cannot be read: those of anybody, where the client is not known.
    pub(super) fn pair(&self) -> (u64, u64) {
        if Self::client_host(&self.ends).is_none() { STRANGER } else { (self.host, self.server) }
    }

    /// Nothing tells who asks: neither an address, nor the CDN behind `edge`.
    pub(super) fn is_stranger(&self, edge: Option<Edge>) -> bool {
        Self::client_host(&self.ends).is_none() && !edge.is_some_and(Edge::is_cdn)
    }

    /// It cannot be read for this reason. True: that is new.
    pub(super) fn is_newly_dark_for(&mut self, why: DarkWhy) -> bool {
        let bit = DarkWhy::NAMES.iter().position(|&name| name == why.name()).map_or(0, |at| 1 << at);
        let before = self.dark_for;
        self.dark_for |= bit;
        before != self.dark_for
    }

    /// The counts of the server.
    pub(super) fn counts<'s>(&mut self, servers: &'s mut Servers) -> &'s mut ServerCounts {
        let slot = *self.slot.get_or_insert_with(|| servers.slot(self.ends.server));
        servers.at(slot)
    }

    /// The servers that have counts of their own are others now.
    pub(super) const fn forget_slot(&mut self) {
        self.slot = None;
    }

    /// The edge that asks: by the request's headers, or where they name no CDN, by its published addresses.
    pub(super) fn edge(&self, request: Option<&Request>) -> Option<Edge> {
        let named = request.and_then(|request| request.edge);
        if named.is_some_and(Edge::is_cdn) { named } else { self.edge.or(named) }
    }

    /// The client's host: behind a PROXY protocol header, the one that it names.
    pub(super) fn client_host(ends: &Endpoints) -> Option<IpAddr> {
        ends.proxied.or(ends.client).map(|client| client.ip())
    }

    /// Who asks: the host, or behind a CDN, which asks from many addresses, the CDN.
    pub(super) fn who(&self, edge: Option<Edge>) -> u64 {
        edge.filter(|edge| edge.is_cdn()).map_or(self.host, |edge| mix(("cdn", edge)))
    }

    /// A stream was reset by the server, and its request was not seen so far.
    pub(super) fn note_unasked(&mut self, stream: ExchangeId, case: u64) {
        if self.unasked.len() >= UNASKED {
            self.unasked.remove(0);
        }
        self.unasked.push((stream, case));
    }

    /// The case of a stream whose request comes to light now.
    pub(super) fn take_unasked(&mut self, stream: ExchangeId) -> Option<u64> {
        let at = self.unasked.iter().position(|&(of, _)| of == stream)?;
        Some(self.unasked.remove(at).1)
    }

    /// Remembers the last of the server's CANCELs.
    pub(super) fn note_cancel(&mut self, stream: ExchangeId, time: Time, case: u64) {
        if self.cancels.len() >= CANCELS {
            self.cancels.remove(0);
        }
        self.cancels.push(ServerCancel { stream, time, case });
    }
}
