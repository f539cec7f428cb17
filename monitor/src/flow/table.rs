use hashbrown::HashTable;

use super::connection::{Connection, Start};
use super::plain::Plain;
use crate::model::{ConnectionId, FlowKey, PlainId, Time};

/// No slot.
const NONE: u32 = u32::MAX;

/// What a flow is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A TCP connection.
    Tcp(FlowKey),
    /// A connection whose plaintext a probe takes.
    Plain(PlainId),
}

/// A flow.
#[derive(Debug)]
pub(crate) struct Slot<'m> {
    name: Name,
    pub(crate) hash: u64,
    pub(crate) id: ConnectionId,
    /// When its last packet was captured.
    pub(crate) last: Time,
    /// Where its directions begin, and who opened it.
    pub(crate) start: Start,
    pub(crate) state: State<'m>,
    /// Bytes that it held when it was weighed last: in TLS, in HTTP and all else.
    pub(crate) weight: (u32, u32),
    /// It is to be weighed again.
    pub(crate) touched: bool,
    /// It is to tell what it has carried.
    pub(crate) moved: bool,
    list: List,
    newer: u32,
    older: u32,
}

/// What a flow is. One without payload costs no more than its slot.
#[derive(Debug)]
pub(crate) enum State<'m> {
    /// No payload yet.
    HalfOpen,
    /// With payload.
    Open(Box<Connection<'m>>),
    /// Of plaintext.
    Plain(Box<Plain>),
    /// It is over; packets that trail in belong to it.
    Closed,
    /// No flow.
    Free,
}

/// The order in which flows are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// Those without payload, and the closed ones.
    Light,
    /// Those with payload.
    Heavy,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    newest: u32,
    oldest: u32,
    len: usize,
}

/// Flows by their name, and by when they were last used. Every operation takes constant time.
#[derive(Debug)]
pub(crate) struct Table<'m> {
    index: HashTable<u32>,
    /// The flow that was found last: mostly the next segment is of the same one.
    recent: u32,
    slots: Vec<Slot<'m>>,
    free: Vec<u32>,
    light: Ends,
    heavy: Ends,
}

/// The low bits of a segment's hash are the same for all flows of a shard, and tables use the low and the highest bits.
const fn spread(hash: u64) -> u64 {
    hash.rotate_left(32)
}

impl<'m> Table<'m> {
    pub(crate) const fn new() -> Self {
        const EMPTY: Ends = Ends { newest: NONE, oldest: NONE, len: 0 };
        Self { index: HashTable::new(), recent: NONE, slots: Vec::new(), free: Vec::new(), light: EMPTY, heavy: EMPTY }
    }

    /// The flow of a name.
    #[inline]
    pub(crate) fn find(&mut self, hash: u64, is: impl Fn(&Name) -> bool) -> Option<u32> {
        if self.get(self.recent).is_some_and(|slot| slot.hash == hash && is(&slot.name)) {
            return Some(self.recent);
        }
        let at = *self.index.find(spread(hash), |&at| self.get(at).is_some_and(|slot| is(&slot.name)))?;
        self.recent = at;
        Some(at)
    }

    pub(crate) fn get(&self, at: u32) -> Option<&Slot<'m>> {
        self.slots.get(at as usize)
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut Slot<'m>> {
        self.slots.get_mut(at as usize)
    }

    /// A new flow without payload. Its name must not be in use.
    pub(crate) fn insert(&mut self, hash: u64, name: Name, id: ConnectionId, last: Time) -> u32 {
        let slot = Slot {
            name,
            hash,
            id,
            last,
            start: Start::default(),
            state: State::HalfOpen,
            weight: (0, 0),
            touched: false,
            moved: false,
            list: List::Light,
            newer: NONE,
            older: NONE,
        };
        let at = if let Some(at) = self.free.pop() {
            if let Some(room) = self.slots.get_mut(at as usize) {
                *room = slot;
            }
            at
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
        };
        let slots = &self.slots;
        self.index.insert_unique(spread(hash), at, |&at| slots.get(at as usize).map_or(0, |slot| spread(slot.hash)));
        self.link(at, List::Light);
        at
    }

    /// The name no longer leads to the flow, which stays.
    pub(crate) fn unname(&mut self, at: u32) {
        if self.recent == at {
            self.recent = NONE;
        }
        if let Some(slot) = self.slots.get(at as usize)
            && let Ok(entry) = self.index.find_entry(spread(slot.hash), |&other| other == at)
        {
            entry.remove();
        }
    }

    /// Forgets a flow.
    pub(crate) fn remove(&mut self, at: u32) {
        self.unname(at);
        self.unlink(at);
        if let Some(slot) = self.slots.get_mut(at as usize) {
            slot.state = State::Free;
            self.free.push(at);
        }
    }

    /// A packet of the flow came: it is the last to be forgotten.
    pub(crate) fn touch(&mut self, at: u32, now: Time) {
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        slot.last = slot.last.max(now);
        let list = slot.list;
        if self.ends(list).newest != at {
            self.unlink(at);
            self.link(at, list);
        }
    }

    /// Moves a flow to a list, as its newest.
    pub(crate) fn shift(&mut self, at: u32, list: List) {
        self.unlink(at);
        self.link(at, list);
    }

    /// The flow of a list that was longest without a packet.
    pub(crate) const fn oldest(&self, list: List) -> Option<u32> {
        let oldest = match list {
            List::Light => self.light.oldest,
            List::Heavy => self.heavy.oldest,
        };
        if oldest == NONE { None } else { Some(oldest) }
    }

    pub(crate) const fn len(&self, list: List) -> usize {
        match list {
            List::Light => self.light.len,
            List::Heavy => self.heavy.len,
        }
    }

    /// A flow holds bytes of a kind.
    pub(crate) fn holds(&self, at: u32, id: ConnectionId, bytes: impl Fn(&Connection<'m>) -> usize) -> bool {
        self.get(at).is_some_and(|slot| match &slot.state {
            State::Open(connection) => slot.id == id && bytes(connection) > 0,
            State::HalfOpen | State::Plain(_) | State::Closed | State::Free => false,
        })
    }

    /// Flows with payload and of plaintext, in no order that matters.
    pub(crate) fn open(&self) -> impl Iterator<Item = (u32, ConnectionId)> {
        self.slots.iter().zip(0..).filter_map(|(slot, at)| match &slot.state {
            State::Open(_) | State::Plain(_) => Some((at, slot.id)),
            State::HalfOpen | State::Closed | State::Free => None,
        })
    }

    pub(crate) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<'_>>() + self.free.capacity() * 4 + self.index.allocation_size()
    }

    const fn ends(&mut self, list: List) -> &mut Ends {
        match list {
            List::Light => &mut self.light,
            List::Heavy => &mut self.heavy,
        }
    }

    fn link(&mut self, at: u32, list: List) {
        let newest = self.ends(list).newest;
        if let Some(slot) = self.slots.get_mut(at as usize) {
            slot.list = list;
            slot.older = newest;
            slot.newer = NONE;
        }
        if let Some(slot) = self.slots.get_mut(newest as usize) {
            slot.newer = at;
        }
        let ends = self.ends(list);
        ends.newest = at;
        if ends.oldest == NONE {
            ends.oldest = at;
        }
        ends.len += 1;
    }

    fn unlink(&mut self, at: u32) {
        let Some((list, newer, older)) = self.get(at).map(|slot| (slot.list, slot.newer, slot.older)) else { return };
        if let Some(slot) = self.slots.get_mut(newer as usize) {
            slot.older = older;
        }
        if let Some(slot) = self.slots.get_mut(older as usize) {
            slot.newer = newer;
        }
        let ends = self.ends(list);
        if ends.newest == at {
            ends.newest = older;
        }
        if ends.oldest == at {
            ends.oldest = newer;
        }
        ends.len = ends.len.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> Name {
        Name::Tcp(FlowKey { low: (1, port), high: (2, 443), tunnel: 0 })
    }

    #[test]
    fn a_flow_that_lost_its_name_is_not_found_again() {
        let mut table = Table::new();
        let is = |name: &Name| *name == key(1);
        let first = table.insert(1 << 32, key(1), ConnectionId(1), Time(0));
        assert_eq!(table.find(1 << 32, is), Some(first));
        table.unname(first);
        assert_eq!(table.find(1 << 32, is), None);
        let second = table.insert(1 << 32, key(1), ConnectionId(2), Time(0));
        assert_eq!(table.find(1 << 32, is), Some(second));
        table.remove(second);
        assert_eq!(table.find(1 << 32, is), None);
        let third = table.insert(2 << 32, key(2), ConnectionId(3), Time(0));
        assert_eq!((table.find(1 << 32, is), table.find(2 << 32, |name| *name == key(2))), (None, Some(third)));
    }

    #[test]
    fn the_oldest_is_the_one_without_a_packet_for_longest() {
        let mut table = Table::new();
        let flows: Vec<u32> =
            (0..5).map(|n| table.insert(u64::from(n) << 32, key(n), ConnectionId(u64::from(n)), Time(0))).collect();
        table.touch(flows[0], Time(9));
        table.shift(flows[2], List::Heavy);
        table.remove(flows[3]);
        assert_eq!(table.find(1 << 32, |name| *name == key(1)), Some(flows[1]));
        assert_eq!(table.find(1 << 32, |name| *name == key(1)), Some(flows[1]));
        assert_eq!(table.find(3 << 32, |name| *name == key(3)), None);
        assert_eq!((table.len(List::Light), table.len(List::Heavy)), (3, 1));
        let order: Vec<u32> = std::iter::from_fn(|| {
            let at = table.oldest(List::Light)?;
            table.remove(at);
            Some(at)
        })
        .collect();
        assert_eq!(order, [flows[1], flows[4], flows[0]]);
        assert_eq!(table.oldest(List::Heavy), Some(flows[2]));
    }
}
