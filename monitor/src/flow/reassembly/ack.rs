//! What the receiver's acknowledgments say of bytes that the capture does not have.

use std::time::Duration;

use super::{Ordered, Reassembly, Start, WINDOW};
use crate::model::{GapWhere, Time};

/// Packets of the two directions can be captured a little out of order: so long may data come after its acknowledgment.
const SKEW: Duration = Duration::from_millis(20);
/// So long after the first acknowledgment of a direction that was not seen, what is acknowledged may have been under way when the capture
/// began: a round trip, generously.
const UNDER_WAY: Duration = Duration::from_secs(1);

impl<'m> Reassembly<'m> {
    /// The receiver has every byte in front of `ack`.
    ///
    /// A hole is lost when bytes behind it were seen and acknowledged too; without such bytes, when [`overdue`](Self::overdue) says so.
    /// Of a direction that was not seen at all the first acknowledgment is a place to count from, and no loss.
    pub(crate) fn acknowledged(&mut self, time: Time, ack: u32, to: &mut impl Ordered<'m>) {
        if self.start == Start::Unseen {
            self.seq = ack;
            self.start = Start::Acknowledged { until: time.plus(UNDER_WAY) };
            return;
        }
        if ack == self.seq && self.held.is_empty() {
            return;
        }
        let Some(offset) = self.place(ack).filter(|&offset| offset <= self.next.saturating_add(WINDOW)) else { return };
        match self.start {
            Start::Acknowledged { until } if time < until => {
                if offset > self.next {
                    self.seq = ack;
                }
                return;
            }
            Start::Floating if offset <= self.next => return,
            Start::Floating => self.settle(to),
            Start::Unseen | Start::Acknowledged { .. } | Start::Settled => {}
        }
        self.acked = self.acked.max(offset);
        self.give_up_acknowledged(to);
        if self.acked_data() > self.next {
            self.overdue.get_or_insert(time);
        } else {
            self.overdue = None;
        }
    }

    /// Bytes that were acknowledged and still have not come are lost. Costs nothing when there are none.
    #[inline]
    pub(crate) fn overdue(&mut self, now: Time, to: &mut impl Ordered<'m>) {
        if let Some(since) = self.overdue {
            self.overdue_since(since, now, to);
        }
    }

    #[cold]
    fn overdue_since(&mut self, since: Time, now: Time, to: &mut impl Ordered<'m>) {
        if self.acked_data() <= self.next {
            self.overdue = None;
        } else if now.since(since) >= SKEW {
            self.overdue = None;
            self.start = Start::Settled;
            self.give_up_acknowledged(to);
            self.lose(since, self.acked_data().saturating_sub(self.next), GapWhere::Acknowledged, to);
            self.drain(to);
        }
    }

    /// Holes are lost that have acknowledged bytes behind them.
    fn give_up_acknowledged(&mut self, to: &mut impl Ordered<'m>) {
        while self.held.first().is_some_and(|first| first.offset < self.acked) {
            self.give_up(GapWhere::Acknowledged, to);
        }
    }

    /// The receiver has, or may have, bytes that were not seen.
    pub(crate) const fn lags(&self) -> bool {
        self.overdue.is_some() || matches!(self.start, Start::Acknowledged { .. })
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
