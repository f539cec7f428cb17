//! How flows leave a shard: idle, closed, forgotten.

use std::time::Duration;

use super::super::Events;
use super::super::table::{List, State};
use super::{Shard, replace};
use crate::model::{CloseHow, ConnectionId, Side, Time};

impl Shard<'_> {
    /// Forgets flows that were idle for too long, a bounded number of them: no more come than packets did.
    #[inline]
    pub(super) fn expire(&mut self, now: Time, out: &mut Events) {
        self.now = self.now.max(now);
        if self.now >= self.due {
            self.expire_due(out);
        }
    }

    #[inline(never)]
    fn expire_due(&mut self, out: &mut Events) {
        const AT_ONCE: usize = 64;
        for _ in 0..AT_ONCE {
            let Some((at, _)) = self.idle(List::Light, self.limits.half_open_idle) else { break };
            self.forget_light(at);
        }
        for _ in 0..AT_ONCE {
            let Some(&(until, at, id)) = self.overdue.front().filter(|(until, ..)| *until <= self.now) else { break };
            self.overdue.pop_front();
            if self.table.holds(at, id, |connection| usize::from(connection.is_over())) {
                self.close(at, until, CloseHow::InputEnded, false, out);
            }
        }
        for _ in 0..AT_ONCE {
            let Some(&(_, at, id)) = self.clocked.front().filter(|(due, ..)| *due <= self.now) else { break };
            self.clocked.pop_front();
            self.with(at, id, out, |connection, env| connection.upper().say_withheld(env));
        }
        for _ in 0..AT_ONCE {
            let Some((at, since)) = self.idle(List::Heavy, self.limits.flow_idle) else { break };
            self.close(at, since, CloseHow::Idle, false, out);
            self.table.remove(at);
        }
        self.due = self.next_due();
    }

    /// Nothing is due before: neither what is there, nor what may come until then.
    fn next_due(&self) -> Time {
        let limits = &self.limits;
        let spans = [limits.half_open_idle, limits.key_wait, limits.blind_wait, limits.flow_idle];
        let due = [
            self.oldest(List::Light, limits.half_open_idle).map(|(_, end)| end),
            self.overdue.front().map(|&(until, ..)| until),
            self.clocked.front().map(|&(due, ..)| due),
            self.oldest(List::Heavy, limits.flow_idle).map(|(_, end)| end),
            spans.into_iter().min().map(|least| self.now.plus(least)),
        ];
        due.into_iter().flatten().min().unwrap_or_default()
    }

    fn idle(&self, list: List, span: Duration) -> Option<(u32, Time)> {
        self.oldest(list, span).filter(|&(_, end)| end <= self.now)
    }

    /// The flow of a list that was longest without a packet, and when it has been so for `span`.
    fn oldest(&self, list: List, span: Duration) -> Option<(u32, Time)> {
        let at = self.table.oldest(list)?;
        Some((at, self.table.get(at)?.last.plus(span)))
    }

    pub(super) fn forget_light(&mut self, at: u32) {
        self.counts.empty += u64::from(self.table.get(at).is_some_and(|slot| matches!(slot.state, State::HalfOpen)));
        self.table.remove(at);
    }

    /// Closes a flow. It stays in the table: as one that waits for a key when it may, otherwise as a closed one.
    pub(super) fn close(&mut self, at: u32, time: Time, ending: CloseHow, may_wait: bool, out: &mut Events) {
        let Some(slot) = self.table.get(at) else { return };
        let id = slot.id;
        if let State::Plain(_) = slot.state {
            return self.close_plain(at, time, ending, out);
        }
        let mut done = false;
        let mut waits = false;
        self.run(at, id, out, |connection, env| {
            let was_over = connection.is_over();
            done = connection.close(time, ending, may_wait, env);
            waits = !done && !was_over;
        });
        if waits && self.limits.key_wait < self.limits.flow_idle {
            self.overdue.push_back((self.now.plus(self.limits.key_wait), at, id));
            if self.overdue.len() > self.limits.flows {
                // Its flow is gone, or waits as long as for a packet.
                self.overdue.pop_front();
            }
        }
        if !done {
            return;
        }
        self.unwanted(at, id);
        let Some(slot) = self.table.get_mut(at) else { return };
        let State::Open(mut connection) = std::mem::replace(&mut slot.state, State::Closed) else { return };
        if let Some(low) = slot.start.silent() {
            let [client, server] = &mut self.counts.one_way;
            *(if connection.upper().side(low) == Side::Client { client } else { server }) += 1;
        }
        let weight = std::mem::take(&mut slot.weight);
        replace(&mut self.weight.0, weight.0 as usize, 0);
        replace(&mut self.weight.1, weight.1 as usize, 0);
        replace(&mut self.waiting.bytes, connection.waiting(), 0);
        replace(&mut self.holding.bytes, connection.upper().held(), 0);
        self.counts.unsaid += connection.take_unsaid();
        if self.sampled.remove(&id.0).is_some() {
            self.gone.push(id.0);
        }
        if self.ended.len() < self.limits.flows {
            self.ended.extend(connection.upper().tls().and_then(|tls| tls.random()));
        }
        self.table.shift(at, List::Light);
    }

    /// A flow waits for a key no more.
    pub(super) fn unwanted(&mut self, at: u32, id: ConnectionId) {
        let Some(slot) = self.table.get_mut(at).filter(|slot| slot.id == id) else { return };
        let State::Open(connection) = &mut slot.state else { return };
        if let Some(random) = connection.upper().tls().and_then(|tls| tls.random())
            && let Some(flows) = self.wanted.get_mut(&random)
        {
            flows.retain(|&(_, other)| other != id);
            if flows.is_empty() {
                self.wanted.remove(&random);
            }
        }
    }
}
