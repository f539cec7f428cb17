//! A connection whose plaintext a probe takes: HTTP without TCP and TLS.

mod role;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;

use h2_tap::Auth;

use super::Events;
use super::http::Http;
use super::voice::{Teller, Voice};
use crate::model::{
    CloseHow, ConnectionId, DarkWhy, Endpoints, GapWhere, HandshakeName, Kind, PlainEnd, PlainWhat, Process, Side,
    Time, Writer,
};
use waiting::{Waiting, What};

/// A connection of plaintext.
#[derive(Debug)]
pub(crate) struct Plain {
    voice: Voice,
    flow: Flow,
}

/// What is known of the connection, and what waits until it is known who is who.
#[derive(Debug)]
pub(crate) struct Flow {
    /// The side of the probed process: as the library says it, or as the bytes show it.
    local: Option<Side>,
    /// The addresses of the process's end and of the other.
    ends: Option<(SocketAddr, SocketAddr)>,
    name: Option<HandshakeName>,
    process: Option<Arc<Process>>,
    joined: bool,
    /// The connection was told of.
    told: bool,
    stage: Stage,
    /// All bytes, those that were skipped or lost included.
    bytes: u64,
}

#[derive(Debug)]
enum Stage {
    /// It is not known who is the server.
    Waiting(Waiting),
    Http(Http),
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It goes on.
    Open,
    /// It is over.
    Ended(CloseHow),
}

impl Plain {
    /// A connection of which nothing is known yet: until it is said otherwise, it was joined after its start.
    pub(crate) fn new(id: ConnectionId) -> Self {
        let flow = Flow {
            local: None,
            ends: None,
            name: None,
            process: None,
            joined: true,
            told: false,
            stage: Stage::Waiting(Waiting::default()),
            bytes: 0,
        };
        Self { voice: Voice::new(id), flow }
    }

    pub(crate) const fn parts(&mut self) -> (&mut Voice, &mut Flow) {
        (&mut self.voice, &mut self.flow)
    }

    pub(crate) const fn take_unsaid(&mut self) -> u64 {
        self.voice.take_unsaid()
    }

    /// Tells what it has carried.
    pub(crate) fn progress(&self, time: Time, out: &mut Events) {
        if self.flow.told {
            self.voice.progress(time, self.flow.bytes, 0, out);
        }
    }

    /// Bytes that it holds.
    pub(crate) fn memory(&self) -> usize {
        let stage = match &self.flow.stage {
            Stage::Waiting(waiting) => waiting.memory(),
            Stage::Http(http) => http.memory(),
        };
        let process = self.flow.process.as_ref().map_or(0, |process| size_of::<Process>() + process.command.len());
        size_of::<Self>() + stage + process
    }
}

impl Flow {
    /// What a probe saw.
    pub(crate) fn take(&mut self, time: Time, what: &PlainWhat, arena: &[u8], teller: &mut Teller<'_>) -> Life {
        match *what {
            PlainWhat::Opened { ref process, joined, role } => {
                // Of a connection that was given up here, the beginning was missed.
                self.joined = joined || self.bytes > 0;
                self.process = Some(Arc::clone(process));
                if let Some(role) = role {
                    self.is(role, time, teller);
                }
            }
            PlainWhat::Ends { local, peer } => {
                self.ends = Some((local, peer));
                if self.told {
                    teller.tell(time, Kind::Ends(Box::new(self.endpoints())));
                }
            }
            PlainWhat::Name(name) => {
                self.name = Some(name);
                if self.told {
                    teller.tell(time, Kind::Named(Box::new(name)));
                }
            }
            PlainWhat::Bytes { by, start, len } => {
                let start = start as usize;
                let bytes = arena.get(start..start.saturating_add(len as usize)).unwrap_or_default();
                self.bytes = self.bytes.saturating_add(bytes.len() as u64);
                self.bytes(time, by, bytes, teller);
            }
            PlainWhat::Skipped { by, bytes } => {
                self.bytes = self.bytes.saturating_add(bytes);
                self.pass(time, by, What::Skipped(bytes), teller);
            }
            PlainWhat::Lost { by, bytes } => {
                self.bytes = self.bytes.saturating_add(bytes.unwrap_or(0));
                self.pass(time, by, What::Lost(bytes), teller);
            }
            PlainWhat::Closed(end) => return Life::Ended(self.how(end)),
        }
        Life::Open
    }

    /// Who is who; the client's end comes first where the roles are not known either.
    fn endpoints(&self) -> Endpoints {
        let Some((local, peer)) = self.ends else { return Endpoints::default() };
        let server = self.local.unwrap_or_else(|| role::by_port(local, peer)) == Side::Server;
        let (client, server) = if server { (peer, local) } else { (local, peer) };
        Endpoints { client: Some(client), server: Some(server), proxied: None }
    }

    /// Tells of the connection, once.
    fn tell(&mut self, time: Time, teller: &mut Teller<'_>) {
        if !std::mem::replace(&mut self.told, true) {
            let ends = Box::new(self.endpoints());
            teller.tell(time, Kind::Opened { ends, joined: self.joined, plaintext: true });
            if let Some(name) = self.name {
                teller.tell(time, Kind::Named(Box::new(name)));
            }
            if let Some(process) = &self.process {
                teller.tell(time, Kind::Process(Arc::clone(process)));
            }
        }
    }

    /// The process's side is known: what waits is read.
    fn is(&mut self, local: Side, time: Time, teller: &mut Teller<'_>) {
        let Stage::Waiting(waiting) = &mut self.stage else { return };
        let (lost, items) = (waiting.given_up(), std::mem::take(waiting).into_items());
        self.local = Some(local);
        self.stage = Stage::Http(Http::undecided(self.joined || lost));
        let mut items = items.peekable();
        if lost {
            let time = items.peek().map_or(time, |(first, ..)| *first);
            teller.lit_http(time, local);
        }
        for (time, by, what) in items {
            match what {
                What::Bytes(bytes) => self.read(time, by, &bytes, teller),
                what => self.pass(time, by, what, teller),
            }
        }
    }

    const fn how(&self, end: PlainEnd) -> CloseHow {
        match end {
            PlainEnd::Freed => CloseHow::Freed,
            PlainEnd::ProcessEnded => CloseHow::ProcessEnded(self.side(Writer::Local)),
            PlainEnd::Evicted => CloseHow::Evicted,
        }
    }

    const fn side(&self, by: Writer) -> Side {
        let local = match self.local {
            Some(side) => side,
            None => Side::Server,
        };
        match by {
            Writer::Local => local,
            Writer::Peer => local.peer(),
        }
    }

    fn bytes(&mut self, time: Time, by: Writer, bytes: &[u8], teller: &mut Teller<'_>) {
        if bytes.is_empty() {
            return;
        }
        let Stage::Waiting(waiting) = &mut self.stage else { return self.read(time, by, bytes, teller) };
        waiting.push(time, by, What::Bytes(bytes.into()));
        // Joined in the middle of a frame, what comes first shows nothing, and a later part may.
        let speaker = role::speaker(&waiting.prefix(by)).or_else(|| role::speaker(bytes));
        self.settle(time, by, speaker, teller);
    }

    /// Looks whether it is known now who is who, or whether no more can wait.
    fn settle(&mut self, time: Time, by: Writer, speaker: Option<Side>, teller: &mut Teller<'_>) {
        let Stage::Waiting(waiting) = &mut self.stage else { return };
        let speaker = speaker.map(|side| if by == Writer::Local { side } else { side.peer() });
        let by_port = || self.ends.map(|(local, peer)| role::by_port(local, peer));
        let full = waiting.is_full();
        if let Some(local) = speaker.or_else(|| by_port().filter(|_| full)) {
            self.is(local, time, teller);
        } else if full {
            let unread = waiting.give_up();
            self.tell(time, teller);
            teller.unread(unread);
            teller.dark(time, None, DarkWhy::TooLittle);
        }
    }

    /// The next bytes of a side, whose role is known.
    fn read(&mut self, time: Time, by: Writer, bytes: &[u8], teller: &mut Teller<'_>) {
        self.tell(time, teller);
        let side = self.side(by);
        if let Stage::Http(http) = &mut self.stage {
            // What one call of the library gave or took mostly begins where a frame does, as a record does. The process itself said it:
            // there is nothing to authenticate.
            http.data(time, side, bytes, true, &mut || Auth::Verified, teller);
        }
    }

    /// Bytes that are not here.
    fn pass(&mut self, time: Time, by: Writer, what: What, teller: &mut Teller<'_>) {
        if let Stage::Waiting(waiting) = &mut self.stage {
            waiting.push(time, by, what);
            return self.settle(time, by, None, teller);
        }
        self.tell(time, teller);
        let side = self.side(by);
        let Stage::Http(http) = &mut self.stage else { return };
        match what {
            What::Skipped(bytes) => http.body_skipped(time, side, bytes, teller),
            What::Lost(bytes) => {
                teller.tell(time, Kind::Gap { by: side, bytes, at: GapWhere::Probe });
                teller.unread(bytes.unwrap_or(0));
                http.gap(time, side, bytes.unwrap_or(0), bytes.unwrap_or(u64::MAX), teller);
            }
            What::Bytes(_) => {}
        }
    }

    /// The connection is over: the last words.
    pub(crate) fn close(&mut self, time: Time, teller: &mut Teller<'_>) {
        match &mut self.stage {
            Stage::Http(http) => http.finish(time, false, teller),
            Stage::Waiting(waiting) => {
                let unread = waiting.give_up();
                if unread > 0 {
                    self.tell(time, teller);
                    teller.unread(unread);
                    teller.dark(time, None, DarkWhy::TooLittle);
                }
            }
        }
        if self.told {
            let (how, unread) = (teller.how(), teller.voice.unread().min(self.bytes));
            teller.tell(time, Kind::Closed { how, bytes: self.bytes, unread });
        }
    }
}
