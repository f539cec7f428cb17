//! What the receiver's acknowledgments say of bytes that the capture does not have.

use std::time::Duration;

use super::{Ordered, Reassembly, Start, WINDOW};
use crate::model::{GapWhere, Time};

/// Packets of the two directions can be captured a little out of order: so long may data come after its acknowledgment.
const SKEW: Duration = Duration::from_millis(20);

impl<'m> Reassembly<'m> {
    /// The receiver has every byte in front of `ack`.
    ///
    /// A hole is lost when bytes behind it were seen and acknowledged too; without such bytes, when [`overdue`](Self::overdue) says so.
    pub(crate) fn acknowledged(&mut self, time: Time, ack: u32, to: &mut impl Ordered<'m>) {
        if ack == self.seq && self.held.is_empty() || self.start == Start::Unseen {
            return;
        }
        let Some(offset) = self.place(ack).filter(|&offset| offset <= self.next.saturating_add(WINDOW)) else { return };
        if self.start == Start::Floating {
            if offset <= self.next {
                return;
            }
            self.settle(to);
        }
        self.acked = self.acked.max(offset);
        while self.held.first().is_some_and(|first| first.offset < self.acked) {
            self.give_up(GapWhere::Acknowledged, to);
        }
        if self.acked_data() > self.next {
            self.overdue.get_or_insert(time);
        } else {
            self.overdue = None;
        }
    }

    /// Bytes that were acknowledged and still have not come are lost. Costs nothing when there are none.
    pub(crate) fn overdue(&mut self, now: Time, to: &mut impl Ordered<'m>) {
        let Some(since) = self.overdue else { return };
        let lost = self.acked_data().saturating_sub(self.next);
        if lost == 0 {
            self.overdue = None;
        } else if now.since(since) >= SKEW {
            self.overdue = None;
            self.lose(since, lost, GapWhere::Acknowledged, to);
            self.drain(to);
        }
    }

    /// The receiver has bytes that were not seen.
    pub(crate) fn lags(&self) -> bool {
        self.overdue.is_some()
    }

    /// The acknowledged offset without the one that a FIN takes: one byte more than was seen may be a FIN that was not captured.
    pub(super) fn acked_data(&self) -> u64 {
        let seen = self.held.end().unwrap_or(self.next).max(self.next);
        match self.fin {
            Some(fin) => self.acked.min(fin),
            None if self.acked == seen.saturating_add(1) => seen,
            None => self.acked,
        }
    }
}
