//! Connections whose plaintext a probe takes: in the same table as the others, under the same caps.

use super::super::plain::{Life, Plain};
use super::super::table::{List, Name, State};
use super::super::voice::Teller;
use super::{Events, Shard, replace};
use crate::model::{CloseHow, ConnectionId, PlainItem, PlainWhat, Time};

impl Shard<'_> {
    /// Plaintext of this shard. Flows that were idle for too long at its time are forgotten first.
    pub fn plaintext(&mut self, item: &PlainItem, arena: &[u8], out: &mut Events) {
        let (time, what) = (item.plaintext.time, &item.plaintext.what);
        out.at(item.ordinal);
        self.expire(time, out);
        let name = Name::Plain(item.plaintext.connection);
        let at = match self.table.find(item.hash, |other| *other == name) {
            Some(at) => at,
            None if matches!(what, PlainWhat::Closed(_)) => return,
            None => {
                let at = self.insert(name, item.hash, item.ordinal, time, out);
                if let Some(slot) = self.table.get_mut(at) {
                    slot.state = State::Plain(Box::new(Plain::new(ConnectionId(item.ordinal))));
                }
                self.table.shift(at, List::Heavy);
                at
            }
        };
        self.table.touch(at, time);
        let Some(slot) = self.table.get_mut(at) else { return };
        if !std::mem::replace(&mut slot.touched, true) {
            self.touched.push(at);
        }
        let State::Plain(plain) = &mut slot.state else { return };
        let (voice, flow) = plain.parts();
        let mut teller = Teller { voice, out, limits: &self.limits, ending: CloseHow::Freed };
        if let Life::Ended(how) = flow.take(time, what, arena, &mut teller) {
            self.close_plain(at, time, how, out);
            self.table.remove(at);
        }
    }

    /// Says the last words of a connection, and lets go of what it holds.
    pub(super) fn close_plain(&mut self, at: u32, time: Time, ending: CloseHow, out: &mut Events) {
        let Some(slot) = self.table.get_mut(at) else { return };
        let State::Plain(mut plain) = std::mem::replace(&mut slot.state, State::Closed) else { return };
        let weight = std::mem::take(&mut slot.weight);
        replace(&mut self.weight.0, weight.0 as usize, 0);
        replace(&mut self.weight.1, weight.1 as usize, 0);
        let (voice, flow) = plain.parts();
        flow.close(time, &mut Teller { voice, out, limits: &self.limits, ending });
        self.counts.unsaid += plain.take_unsaid();
        self.table.shift(at, List::Light);
    }
}
