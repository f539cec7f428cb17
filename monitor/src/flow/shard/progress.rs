//! What open flows have carried, told from time to time: a long connection counts before its end.

use std::collections::VecDeque;

use super::super::table::State;
use super::{Events, Shard};
use crate::model::{ConnectionId, Time};

/// Flows that have carried something, and when they tell of it.
#[derive(Debug, Default)]
pub(super) struct Moved {
    flows: VecDeque<(u32, ConnectionId)>,
    due: Time,
}

impl Moved {
    /// Where there is none, flows are noted when they carry more.
    pub(super) fn has_room(&self, cap: usize) -> bool {
        self.flows.len() < cap
    }

    pub(super) fn push(&mut self, at: u32, id: ConnectionId) {
        self.flows.push_back((at, id));
    }
}

impl Shard<'_> {
    /// Lets flows tell what they have carried, when it is time: a bounded number at a call.
    pub(super) fn progress(&mut self, out: &mut Events) {
        const AT_ONCE: usize = 512;
        if self.now < self.moved.due {
            return;
        }
        let now = self.moved.flows.len().min(AT_ONCE);
        for (at, id) in self.moved.flows.drain(..now) {
            let Some(slot) = self.table.get_mut(at).filter(|slot| slot.id == id) else { continue };
            slot.moved = false;
            // At the time of its last packet: what other flows tell of the same packets is not late for it.
            match &mut slot.state {
                State::Open(connection) => connection.progress(slot.last, out),
                State::Plain(plain) => plain.progress(slot.last, out),
                State::HalfOpen | State::Closed | State::Free => {}
            }
        }
        if self.moved.flows.is_empty() {
            self.moved.due = self.now.plus(self.limits.progress);
        }
    }
}
