//! Records of the kernel into what the pipeline takes: the streams of connections, in order, with their gaps.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use probe_abi::plain::{ConnectionKey, PEER, PlainHeader, Standing, flag, kind};

use super::hop::Hop;
use crate::model::{HandshakeName, PacketBatch, PlainEnd, PlainId, PlainWhat, Plaintext, Process, Side, Time, Writer};

/// The connections that are open, as far as their records came.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: HashMap<ConnectionKey, Known>,
    /// Connections by their last record: the oldest goes first.
    order: BTreeMap<u64, ConnectionKey>,
    /// Most connections that are known.
    most: usize,
    /// Those whose sockets became known.
    sockets: Vec<Socket>,
    records: u64,
    next_id: u64,
    /// The youngest connection that was forgotten because there were too many. One that is as old and not known was forgotten, too, or
    /// what it had to say until then was lost: its past is not known.
    forgotten: u64,
    now: Time,
    pub(super) counts: StreamCounts,
}

/// How long the socket of a connection is looked for, nanoseconds.
const SEARCH: u64 = 5_000_000_000;

/// Processes whose calls of the TLS library hold no system calls for sockets: the library works in memory there.
#[derive(Debug, Default)]
pub(super) struct Hopeless(HashMap<u32, u32>);

impl Hopeless {
    /// Connections of a process whose sockets were looked for in vain, before it is left alone.
    const ENOUGH: u32 = 8;
    /// Most processes that are remembered.
    const MOST: usize = 4_096;

    fn missed(&mut self, process: u32) {
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let count = self.0.entry(process).or_default();
        *count = count.saturating_add(1);
    }

    /// A socket of the process was found.
    pub(super) fn found(&mut self, process: u32) {
        self.0.remove(&process);
    }

    fn is(&self, process: u32) -> bool {
        self.0.get(&process).is_some_and(|count| *count >= Self::ENOUGH)
    }
}

/// What became of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamCounts {
    /// Connections seen.
    pub(super) opened: u64,
    /// Connections forgotten because there were too many.
    pub(super) evicted: u64,
    /// Records that the kernel made and that never came.
    pub(super) lost_records: u64,
    /// Bytes between records that were neither passed nor left out as DATA.
    pub(super) lost_bytes: u64,
    /// Records of no known form.
    pub(super) malformed: u64,
}

#[derive(Debug)]
struct Known {
    id: PlainId,
    generation: u64,
    descriptor: i32,
    /// Its handshake was named.
    named: bool,
    /// Until when its socket is looked for; `None`: not any more.
    search: Option<Time>,
    /// Its place in the order.
    last: u64,
    streams: [Stream; 2],
}

/// A direction, behind its last record.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    serial: u64,
    offset: u64,
    skipped: u64,
    hop: Hop,
    /// What came before its first record is not known: it begins there.
    rejoined: bool,
}

/// A frame boundary that the kernel is told, because it does not know where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boundary {
    pub(super) key: ConnectionKey,
    pub(super) generation: u64,
    pub(super) direction: u8,
    pub(super) offset: u64,
}

/// A connection whose socket is known, and whose addresses are not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) key: ConnectionKey,
    pub(super) generation: u64,
    pub(super) descriptor: i32,
}

impl Streams {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), ..Self::default() }
    }

    /// Takes a record. `process` gives what is known of the process.
    pub(super) fn take(
        &mut self,
        header: &PlainHeader,
        bytes: &[u8],
        time: Time,
        process: &mut dyn FnMut(u32) -> Arc<Process>,
        batch: &mut PacketBatch<'static>,
    ) -> Option<Boundary> {
        // Threads make records at the same time: what comes from the kernel is in order for each connection, not in all.
        self.now = self.now.max(time);
        let time = self.now;
        let key = ConnectionKey::new(header.process, header.object);
        if self.known.get(&key).is_some_and(|known| known.generation > header.generation) {
            self.counts.malformed += 1;
            return None;
        }
        if self.known.get(&key).is_none_or(|known| known.generation < header.generation) {
            self.close(key, PlainEnd::Freed, time, batch);
            if header.kind == kind::END && header.offset == 0 {
                // Nothing ever went over it.
                return None;
            }
            self.open(key, header, time, process(header.process), batch);
        }
        let last = self.touch(key);
        let known = self.known.get_mut(&key)?;
        known.last = last;
        if header.descriptor >= 0 && known.descriptor < 0 {
            known.descriptor = header.descriptor;
            self.sockets.push(Socket { key, generation: known.generation, descriptor: known.descriptor });
        }
        if header.kind == kind::NAME {
            let id = known.id;
            match name(bytes) {
                // What an established connection negotiates once more has another name; its packets were seen by the first.
                Some(name) if !std::mem::replace(&mut known.named, true) => {
                    batch.plaintext.push(Plaintext { time, connection: id, what: PlainWhat::Name(name) });
                }
                Some(_) => {}
                None => self.counts.malformed += 1,
            }
            return None;
        }
        let by = if header.direction == PEER { Writer::Peer } else { Writer::Local };
        let stream = match &mut known.streams {
            [local, _] if by == Writer::Local => local,
            [_, peer] => peer,
        };
        if header.serial <= stream.serial || header.offset < stream.offset || header.skipped < stream.skipped {
            self.counts.malformed += 1;
            return None;
        }
        let id = known.id;
        let mut tell = |what| batch.plaintext.push(Plaintext { time, connection: id, what });
        if std::mem::take(&mut stream.rejoined) {
            (stream.serial, stream.offset, stream.skipped) = (header.serial - 1, header.offset, header.skipped);
            tell(PlainWhat::Lost { by, bytes: None });
        }
        let gap = stream.gap(header.serial - 1, header.offset, header.skipped);
        self.counts.lost_records = self.counts.lost_records.saturating_add(gap.records);
        self.counts.lost_bytes = self.counts.lost_bytes.saturating_add(gap.lost);
        if let Some(what) = gap.what(by) {
            tell(what);
        }
        let end = header.offset.saturating_add(header.len.into());
        let mut boundary = None;
        if !bytes.is_empty()
            && let Ok(start) = u32::try_from(batch.arena.len())
        {
            batch.arena.extend_from_slice(bytes);
            tell(PlainWhat::Bytes { by, start, len: header.len });
            stream.hop.pass(header.offset, bytes);
            if header.flags & flag::UNSURE != 0 {
                boundary = stream.hop.next().filter(|next| *next >= end).map(|offset| Boundary {
                    key,
                    generation: header.generation,
                    direction: header.direction,
                    offset,
                });
            }
        }
        if header.after > 0 {
            tell(PlainWhat::Skipped { by, bytes: header.after.into() });
        }
        stream.serial = header.serial;
        stream.offset = end.saturating_add(header.after.into());
        stream.skipped = header.skipped.saturating_add(header.after.into());
        if header.kind == kind::END && by == Writer::Peer {
            self.close(key, PlainEnd::Freed, time, batch);
        }
        boundary
    }

    /// Tells what the kernel has gone on to since the last record of a connection, when records were lost.
    pub(super) fn catch_up(
        &mut self,
        key: ConnectionKey,
        standing: Option<Standing>,
        batch: &mut PacketBatch<'static>,
    ) {
        let Some(known) = self.known.get_mut(&key) else { return };
        let time = self.now;
        let Some(standing) = standing.filter(|standing| standing.generation == known.generation) else {
            // Its end was lost too.
            self.close(key, PlainEnd::Freed, time, batch);
            return;
        };
        for ((stream, by), (serial, offset, skipped)) in
            known.streams.iter_mut().zip([Writer::Local, Writer::Peer]).zip(standing.streams)
        {
            if stream.rejoined || serial <= stream.serial || offset < stream.offset || skipped < stream.skipped {
                continue;
            }
            let gap = stream.gap(serial, offset, skipped);
            self.counts.lost_records = self.counts.lost_records.saturating_add(gap.records);
            self.counts.lost_bytes = self.counts.lost_bytes.saturating_add(gap.lost);
            if let Some(what) = gap.what(by) {
                batch.plaintext.push(Plaintext { time, connection: known.id, what });
            }
            (stream.serial, stream.offset, stream.skipped) = (serial, offset, skipped);
        }
    }

    /// A process has ended, and all that it said was taken: its connections are over. Gives which.
    pub(super) fn ended(&mut self, process: u32, now: Time, batch: &mut PacketBatch<'static>) -> Vec<ConnectionKey> {
        self.now = self.now.max(now);
        let mut keys = self.keys();
        keys.retain(|key| key.process == process);
        keys.iter().for_each(|key| self.close(*key, PlainEnd::ProcessEnded, self.now, batch));
        keys
    }

    /// The connections that are open.
    pub(super) fn keys(&self) -> Vec<ConnectionKey> {
        self.order.values().copied().collect()
    }

    /// Whether a connection's socket is to be looked for in the system calls of its process. `hopeless`: processes that are known to read
    /// and write their sockets elsewhere.
    pub(super) fn searches(&mut self, now: Time, hopeless: &mut Hopeless) -> bool {
        let mut any = false;
        for (key, known) in self.known.iter_mut().filter(|(_, known)| known.descriptor < 0) {
            match known.search {
                Some(until) if now < until => any |= !hopeless.is(key.process),
                Some(_) => {
                    known.search = None;
                    hopeless.missed(key.process);
                }
                None => {}
            }
        }
        any
    }

    /// Connections whose sockets became known since the last call.
    pub(super) fn sockets(&mut self) -> Vec<Socket> {
        std::mem::take(&mut self.sockets)
    }

    /// The addresses of a connection were found.
    pub(super) fn address(
        &mut self,
        socket: &Socket,
        (local, peer): (SocketAddr, SocketAddr),
        batch: &mut PacketBatch<'static>,
    ) {
        if let Some(known) = self.known.get(&socket.key).filter(|known| known.generation == socket.generation) {
            let what = PlainWhat::Ends { local, peer };
            batch.plaintext.push(Plaintext { time: self.now, connection: known.id, what });
        }
    }

    fn open(
        &mut self,
        key: ConnectionKey,
        header: &PlainHeader,
        time: Time,
        process: Arc<Process>,
        batch: &mut PacketBatch<'static>,
    ) {
        while self.known.len() >= self.most
            && let Some(oldest) = self.order.values().next().copied()
        {
            self.counts.evicted += 1;
            let generation = self.known.get(&oldest).map_or(0, |known| known.generation);
            self.forgotten = self.forgotten.max(generation);
            self.close(oldest, PlainEnd::Evicted, time, batch);
        }
        let rejoined = header.generation <= self.forgotten;
        let role = match header.flags & (flag::SERVER | flag::CLIENT) {
            flag::SERVER => Some(Side::Server),
            flag::CLIENT => Some(Side::Client),
            _ => None,
        };
        let whole = header.flags & flag::WHOLE != 0 && !rejoined;
        self.next_id += 1;
        self.counts.opened += 1;
        let known = Known {
            id: PlainId(self.next_id),
            generation: header.generation,
            descriptor: -1,
            named: false,
            search: Some(Time(time.0.saturating_add(SEARCH))),
            last: 0,
            streams: [Stream { hop: Hop::new(whole), rejoined, ..Stream::default() }; 2],
        };
        let what = PlainWhat::Opened { process, joined: !whole, role };
        batch.plaintext.push(Plaintext { time, connection: known.id, what });
        self.known.insert(key, known);
    }

    fn close(&mut self, key: ConnectionKey, end: PlainEnd, time: Time, batch: &mut PacketBatch<'static>) {
        if let Some(known) = self.known.remove(&key) {
            self.order.remove(&known.last);
            batch.plaintext.push(Plaintext { time, connection: known.id, what: PlainWhat::Closed(end) });
        }
    }

    /// Puts a connection at the end of the order.
    fn touch(&mut self, key: ConnectionKey) -> u64 {
        self.records += 1;
        if let Some(known) = self.known.get(&key) {
            self.order.remove(&known.last);
        }
        self.order.insert(self.records, key);
        self.records
    }
}

/// The name of a handshake, as a record has it. `None`: it is of no known form.
fn name(bytes: &[u8]) -> Option<HandshakeName> {
    match bytes.len() {
        // The server's random stands first.
        64 => Some(HandshakeName::Randoms { server: *bytes.first_chunk()?, client: *bytes.last_chunk()? }),
        32 | 48 => Some(HandshakeName::Transcript(*bytes.first_chunk()?)),
        _ => None,
    }
}

/// What lies between two records of a direction.
#[derive(Clone, Copy, Debug)]
struct Gap {
    records: u64,
    bytes: u64,
    lost: u64,
}

impl Stream {
    /// The gap up to a record that follows `serial`.
    const fn gap(&self, serial: u64, offset: u64, skipped: u64) -> Gap {
        let bytes = offset.saturating_sub(self.offset);
        let lost = bytes.saturating_sub(skipped.saturating_sub(self.skipped));
        Gap { records: serial.saturating_sub(self.serial), bytes, lost }
    }
}

impl Gap {
    const fn what(self, by: Writer) -> Option<PlainWhat> {
        match self {
            Self { records: 0, bytes: 0, .. } => None,
            Self { records: 0, lost: 0, bytes } => Some(PlainWhat::Skipped { by, bytes }),
            // How many bytes a lost call moved is not known either.
            Self { bytes: 0, .. } => Some(PlainWhat::Lost { by, bytes: None }),
            Self { bytes, .. } => Some(PlainWhat::Lost { by, bytes: Some(bytes) }),
        }
    }
}
