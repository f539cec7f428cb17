//! One connection may come twice: as packets, and as the plaintext of a process at its end. It is counted once.
//!
//! Where packets are captured as well, plaintext speaks only for a connection whose packets were seen and cannot be read, which its
//! addresses tell, or the name of its handshake; what it says is told of the connection that the packets opened. All other plaintext is
//! passed over: its packets can be read; or nobody can say whose it is, as neither is known. Whichever was taken first stays: what a late
//! key shows of the packets is then passed over.
//!
//! How a connection ended is what its packets say: a process lets go of it mostly before they do. So the last words of its plaintext wait
//! for the first FIN or RST, for a while.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::model::{
    CloseHow, ConnectionId, DarkWhy, Endpoints, Event, ExchangeEnd, HandshakeName, Kind, PlaintextUse, Time,
};

/// Events of one connection that wait until it is known which witness is heard.
const HELD: usize = 256;

/// Events of all connections that wait.
const HELD_TOTAL: usize = 1 << 16;

/// How long the last words of plaintext wait for the end of the packets. A process closes its socket about when it lets go of the connection.
const PATIENCE: Duration = Duration::from_secs(5);

type Map<K, V> = HashMap<K, V, FixedState>;

/// What packets and plaintext of one connection have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mark {
    /// Both ends, in an order that does not depend on who is who: of plaintext that may not be known.
    Ends(SocketAddr, SocketAddr),
    /// Its handshake.
    Name(HandshakeName),
}

/// The marks of a connection: its ends, and its handshake.
type Marks = [Option<Mark>; 2];

/// Lets each connection through once.
#[derive(Debug, Default)]
pub(super) struct Once {
    /// Both kinds come.
    watches: bool,
    packets: Map<ConnectionId, Packets>,
    plaintext: Map<ConnectionId, Plain>,
    /// Open connections of packets by their marks, and plaintext that waits for such.
    by_mark: Map<Mark, ConnectionId>,
    awaited: Map<Mark, ConnectionId>,
    uses: BTreeMap<PlaintextUse, u64>,
    /// Events that wait.
    held: usize,
    /// Connections whose last words wait, and until when.
    leaving: VecDeque<(Time, ConnectionId)>,
    now: Time,
}

/// A connection of packets.
#[derive(Debug)]
struct Packets {
    marks: Marks,
    sight: Sight,
    /// How TCP ends it, where that was seen before its last word.
    ending: Option<CloseHow>,
    /// Its plaintext waits to be heard, or is heard instead.
    plain: Option<ConnectionId>,
}

#[derive(Debug)]
enum Sight {
    /// Not known yet.
    Unsettled,
    /// Its requests can be read.
    Readable,
    /// They cannot, and nobody else can read them.
    Dark,
    /// Its plaintext is heard instead.
    Replaced,
    /// Its plaintext has come to its last words: they wait until the packets end, too.
    Leaving(Vec<Event>),
    /// It has ended so, and its plaintext is still heard: its last word waits.
    Ended(Event),
    /// Its plaintext has said its last word.
    Over,
}

/// A connection of plaintext.
#[derive(Debug)]
enum Plain {
    /// Whose it is is not known, or how its packets can be read: its events wait.
    Waiting(Vec<Event>, Marks),
    /// It stands for a connection of packets.
    For(ConnectionId),
    /// It is passed over.
    Passed,
}

impl Once {
    /// Both kinds come from now on.
    pub(super) const fn watch(&mut self) {
        self.watches = true;
    }

    /// What became of connections of plaintext.
    pub(super) const fn uses(&self) -> &BTreeMap<PlaintextUse, u64> {
        &self.uses
    }

    /// Takes an event, and gives what is to be told.
    #[inline]
    pub(super) fn event(&mut self, event: Event, tell: &mut impl FnMut(Event)) {
        if self.watches {
            return self.watched(event, tell);
        }
        match event.kind {
            Kind::Named(_) | Kind::Ending(_) => return,
            Kind::Opened { plaintext: true, .. } => self.count(PlaintextUse::Own),
            _ => {}
        }
        tell(event);
    }

    /// Takes an event where both kinds come.
    fn watched(&mut self, event: Event, tell: &mut dyn FnMut(Event)) {
        let opened = match &event.kind {
            Kind::Opened { ends, plaintext, .. } => Some((both(ends), *plaintext)),
            _ => None,
        };
        match opened {
            Some((ends, true)) => {
                self.plaintext.insert(event.connection, Plain::Waiting(Vec::new(), [ends, None]));
                self.of_plaintext(event, tell);
            }
            Some((ends, false)) => self.opened(event, ends, tell),
            None if self.plaintext.contains_key(&event.connection) => self.of_plaintext(event, tell),
            None => self.of_packets(event, tell),
        }
    }

    fn count(&mut self, what: PlaintextUse) {
        *self.uses.entry(what).or_default() += 1;
    }

    /// A connection of packets begins.
    fn opened(&mut self, event: Event, ends: Option<Mark>, tell: &mut dyn FnMut(Event)) {
        let mut plain = None;
        if let Some(ends) = ends {
            self.by_mark.insert(ends, event.connection);
            plain = self.awaited.remove(&ends);
        }
        self.packets
            .insert(event.connection, Packets { marks: [ends, None], sight: Sight::Unsettled, ending: None, plain });
        tell(event);
    }

    /// The handshake of a connection of packets is known by name from here on.
    fn named(&mut self, id: ConnectionId, name: HandshakeName, tell: &mut dyn FnMut(Event)) {
        let mark = Mark::Name(name);
        let Some(packets) = self.packets.get_mut(&id) else { return };
        let [_, own] = &mut packets.marks;
        *own = Some(mark);
        if let Some(plain) = packets.plain
            && let Some(Plain::Waiting(_, [_, Some(other)])) = self.plaintext.get(&plain)
            && *other != mark
        {
            // Another connection with the same addresses, on another network of this machine.
            packets.plain = None;
        }
        self.by_mark.insert(mark, id);
        if let Some(plain) = self.awaited.remove(&mark) {
            self.settle(plain, self.time_of(plain), tell);
        }
    }

    fn of_packets(&mut self, event: Event, tell: &mut dyn FnMut(Event)) {
        let id = event.connection;
        if let Kind::Named(name) = event.kind {
            return self.named(id, *name, tell);
        }
        let Some(packets) = self.packets.get_mut(&id) else { return tell(event) };
        if let Kind::Ending(how) = event.kind {
            packets.ending = Some(how);
            if let Sight::Leaving(_) = packets.sight {
                let sight = std::mem::replace(&mut packets.sight, Sight::Replaced);
                self.tell_last(id, sight, tell);
            }
            return;
        }
        let closed = matches!(event.kind, Kind::Closed { .. });
        match &packets.sight {
            Sight::Over => {}
            Sight::Replaced | Sight::Leaving(_) | Sight::Ended(_) if closed => {
                let sight = std::mem::replace(&mut packets.sight, Sight::Ended(event));
                return self.tell_last(id, sight, tell);
            }
            Sight::Replaced | Sight::Leaving(_) | Sight::Ended(_) => {
                if matches!(event.kind, Kind::Hello(_) | Kind::Secured(_) | Kind::Alert { .. } | Kind::Process(_)) {
                    tell(event);
                }
                return;
            }
            Sight::Unsettled | Sight::Readable | Sight::Dark => {
                let waits = packets.plain.filter(|_| matches!(packets.sight, Sight::Unsettled));
                let sight = match &event.kind {
                    Kind::Request(_) | Kind::Response { .. } | Kind::Reset(_) | Kind::GoAway(_) => Sight::Readable,
                    Kind::Dark { why: DarkWhy::Tls(_), .. } => Sight::Dark,
                    // It ends without having shown anything.
                    Kind::Closed { .. } if waits.is_some() => Sight::Dark,
                    _ => {
                        tell(event);
                        if closed {
                            self.forget_packets(id);
                        }
                        return;
                    }
                };
                let settled = !matches!((&packets.sight, &sight), (Sight::Readable, _));
                if settled {
                    packets.sight = sight;
                }
                if let Some(plain) = waits {
                    if closed {
                        self.settle(plain, event.time, tell);
                        return self.of_packets(event, tell);
                    }
                    tell(event);
                    return self.settle(plain, self.time_of(plain), tell);
                }
                tell(event);
            }
        }
        if closed {
            self.forget_packets(id);
        }
    }

    fn forget_packets(&mut self, id: ConnectionId) {
        let marks = self.packets.remove(&id).map(|packets| packets.marks);
        for mark in marks.into_iter().flatten().flatten() {
            if self.by_mark.get(&mark) == Some(&id) {
                self.by_mark.remove(&mark);
            }
        }
    }

    /// When the first of the events that wait happened.
    fn time_of(&self, plain: ConnectionId) -> Time {
        match self.plaintext.get(&plain) {
            Some(Plain::Waiting(held, _)) => held.first().map_or(Time::default(), |event| event.time),
            _ => Time::default(),
        }
    }

    fn of_plaintext(&mut self, event: Event, tell: &mut dyn FnMut(Event)) {
        let id = event.connection;
        if let Kind::Progress { .. } = event.kind {
            return; // Its packets are what carries bytes.
        }
        let closed = matches!(event.kind, Kind::Closed { .. });
        match self.plaintext.get_mut(&id) {
            Some(Plain::Waiting(held, [ends, name])) => {
                match &event.kind {
                    Kind::Ends(found) => *ends = both(found),
                    Kind::Named(found) => *name = Some(Mark::Name(**found)),
                    _ => {}
                }
                let time = event.time;
                held.push(event);
                let full = held.len() >= HELD;
                self.held += 1;
                self.settle(id, time, tell);
                // Where there are packets of it, these settle it, by their last word at the latest.
                if full || (closed && !self.has_packets(id)) || self.held >= HELD_TOTAL {
                    self.pass_over(id, PlaintextUse::Unplaced);
                }
                return;
            }
            Some(Plain::For(packets)) => {
                let packets = *packets;
                self.tell_for(packets, event, tell);
            }
            Some(Plain::Passed) | None => {}
        }
        if closed {
            self.plaintext.remove(&id);
        }
    }

    /// Packets of this connection were seen.
    fn has_packets(&self, id: ConnectionId) -> bool {
        let Some(Plain::Waiting(_, marks)) = self.plaintext.get(&id) else { return false };
        let there = self.marked(marks).and_then(|there| self.packets.get(&there));
        there.is_some_and(|there| there.plain == Some(id))
    }

    /// The connection of packets with one of these marks, and no other. The name of the handshake comes first: addresses may have been
    /// changed on the way, or may be those of another connection on another network of this machine.
    fn marked(&self, [ends, name]: &Marks) -> Option<ConnectionId> {
        let by = |mark: &Option<Mark>| self.by_mark.get(mark.as_ref()?).copied();
        let agrees = |there: &ConnectionId| {
            let other = self.packets.get(there).and_then(|&Packets { marks: [_, other], .. }| other);
            name.is_none() || other.is_none() || other == *name
        };
        by(name).or_else(|| by(ends).filter(agrees))
    }

    /// Nothing of it is told, where nothing was yet.
    fn pass_over(&mut self, id: ConnectionId, what: PlaintextUse) {
        if let Some(plain) = self.plaintext.get_mut(&id)
            && let Plain::Waiting(held, marks) = plain
        {
            for mark in marks.iter().flatten() {
                if self.awaited.get(mark) == Some(&id) {
                    self.awaited.remove(mark);
                }
            }
            self.held -= held.len();
            let over = is_over(held);
            *plain = Plain::Passed;
            self.count(what);
            if over {
                self.plaintext.remove(&id);
            }
        }
    }

    /// Plaintext that waits is heard or passed over, where it is known by now which.
    fn settle(&mut self, id: ConnectionId, now: Time, tell: &mut dyn FnMut(Event)) {
        let Some(Plain::Waiting(_, marks)) = self.plaintext.get(&id) else { return };
        let marks = *marks;
        let there = self.marked(&marks);
        let Some((there, packets)) = there.and_then(|there| Some((there, self.packets.get_mut(&there)?))) else {
            self.awaited.extend(marks.into_iter().flatten().map(|mark| (mark, id)));
            return;
        };
        for mark in marks.iter().flatten() {
            if self.awaited.get(mark) == Some(&id) {
                self.awaited.remove(mark);
            }
        }
        let Some(Plain::Waiting(held, _)) = self.plaintext.get_mut(&id) else { return };
        match packets.sight {
            // Where both ends are probed, one is enough.
            Sight::Unsettled if packets.plain.is_none_or(|other| other == id) => packets.plain = Some(id),
            Sight::Unsettled => self.pass_over(id, PlaintextUse::Left),
            Sight::Dark => {
                let held = std::mem::take(held);
                (packets.sight, packets.plain) = (Sight::Replaced, Some(id));
                self.held -= held.len();
                if is_over(&held) {
                    self.plaintext.remove(&id);
                } else {
                    self.plaintext.insert(id, Plain::For(there));
                }
                self.count(PlaintextUse::Instead);
                let first = held.first().map_or(now, |event| event.time);
                tell(Event { time: first, connection: there, kind: Kind::Lit });
                held.into_iter().for_each(|event| self.tell_for(there, event, tell));
            }
            Sight::Readable | Sight::Replaced | Sight::Leaving(_) | Sight::Ended(_) | Sight::Over => {
                self.pass_over(id, PlaintextUse::Left);
            }
        }
    }

    /// Goes on to this time: what has waited long enough is told.
    pub(super) fn advance(&mut self, now: Time, tell: &mut dyn FnMut(Event)) {
        self.now = self.now.max(now);
        while let Some(&(until, id)) = self.leaving.front()
            && (until <= self.now || self.held >= HELD_TOTAL || self.leaving.len() >= HELD_TOTAL)
        {
            self.leaving.pop_front();
            self.let_go(id, tell);
        }
    }

    /// Tells what still waits for packets that do not come any more.
    pub(super) fn finish(&mut self, tell: &mut dyn FnMut(Event)) {
        for (_, id) in std::mem::take(&mut self.leaving) {
            self.let_go(id, tell);
        }
    }

    /// Tells the last words of a connection as its plaintext has them.
    fn let_go(&mut self, id: ConnectionId, tell: &mut dyn FnMut(Event)) {
        let Some(packets) = self.packets.get_mut(&id) else { return };
        if let Sight::Leaving(_) = packets.sight {
            let sight = std::mem::replace(&mut packets.sight, Sight::Over);
            self.tell_last(id, sight, tell);
        }
    }

    /// Tells the last words that waited.
    fn tell_last(&mut self, id: ConnectionId, sight: Sight, tell: &mut dyn FnMut(Event)) {
        if let Sight::Leaving(words) = sight {
            self.held -= words.len();
            words.into_iter().for_each(|word| self.tell_for(id, word, tell));
        }
    }

    /// Lets an event of plaintext wait if it is among its last words, and its packets have not ended. `None`: it waits.
    fn wait_for_end(&mut self, id: ConnectionId, event: Event) -> Option<Event> {
        let Some(packets) = self.packets.get_mut(&id) else { return Some(event) };
        let until = self.now.max(event.time).plus(PATIENCE);
        let last = match &event.kind {
            Kind::Closed { .. } => true,
            Kind::Ended { end: ExchangeEnd::Closed { how, .. }, .. } => is_own(*how),
            _ => false,
        };
        match &mut packets.sight {
            Sight::Leaving(words) => words.push(event),
            Sight::Replaced if last && packets.ending.is_none() => {
                packets.sight = Sight::Leaving(vec![event]);
                self.leaving.push_back((until, id));
            }
            _ => return Some(event),
        }
        self.held += 1;
        None
    }

    /// Tells an event of plaintext as one of the connection of packets that it stands for.
    fn tell_for(&mut self, id: ConnectionId, event: Event, tell: &mut dyn FnMut(Event)) {
        let Some(mut event) = self.wait_for_end(id, event) else { return };
        let packets = self.packets.get(&id);
        let (over, ended) = match packets.map(|packets| &packets.sight) {
            Some(Sight::Ended(Event { kind: Kind::Closed { how, .. }, .. })) => (true, Some(*how)),
            _ => (false, packets.and_then(|packets| packets.ending)),
        };
        let ended = ended.filter(|ended| is_told(*ended));
        match &mut event.kind {
            Kind::Opened { .. } | Kind::Ends(_) | Kind::Named(_) => return,
            // Whoever ended it was seen, or nobody knows more than the process.
            Kind::Ended { end: ExchangeEnd::Closed { how, .. }, .. } if is_own(*how) => {
                *how = ended.unwrap_or(*how);
            }
            Kind::Closed { how, unread, .. } => {
                *how = ended.unwrap_or(*how);
                let unread = *unread;
                let Some(packets) = self.packets.get_mut(&id) else { return };
                let sight = std::mem::replace(&mut packets.sight, Sight::Over);
                let mut last = match sight {
                    Sight::Ended(last) => last,
                    // Nothing that comes of it can be read; its last word is told now.
                    _ => Event { time: event.time, connection: id, kind: event.kind },
                };
                if let Kind::Closed { unread: of_packets, bytes, .. } = &mut last.kind {
                    *of_packets = unread.min(*bytes);
                }
                tell(last);
                if over {
                    self.forget_packets(id);
                }
                return;
            }
            _ => {}
        }
        tell(Event { connection: id, ..event });
    }
}

/// The process knows only that it has let go of the connection, or was made to.
const fn is_own(how: CloseHow) -> bool {
    matches!(how, CloseHow::Freed | CloseHow::ProcessEnded(_))
}

/// Packets have shown how it ended.
const fn is_told(how: CloseHow) -> bool {
    matches!(how, CloseHow::Fin(_) | CloseHow::Rst(_) | CloseHow::Alert(..))
}

/// These events are all of a connection.
fn is_over(held: &[Event]) -> bool {
    held.last().is_some_and(|event| matches!(event.kind, Kind::Closed { .. }))
}

fn both(ends: &Endpoints) -> Option<Mark> {
    let (client, server) = (ends.client?, ends.server?);
    Some(Mark::Ends(client.min(server), client.max(server)))
}

#[cfg(test)]
mod tests;
