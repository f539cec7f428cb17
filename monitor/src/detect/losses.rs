//! When the capture itself lost packets. Whose they were nobody can say: while it did, silence says nothing.

use std::collections::VecDeque;

use crate::model::Time;

/// Spans that are kept apart; of more, the two oldest are taken as one.
const KEPT: usize = 64;

/// Spans of time in which packets were lost, in the order in which they were told.
#[derive(Debug, Default)]
pub(super) struct Losses(VecDeque<(Time, Time)>);

impl Losses {
    /// Packets were lost at some time from `since` to `until`. What ended before `horizon` is forgotten.
    pub(super) fn add(&mut self, (since, until): (Time, Time), horizon: Time) {
        self.0.retain(|&(_, end)| end >= horizon);
        if let Some(last) = self.0.back_mut().filter(|last| since <= last.1 && until >= last.0) {
            *last = (last.0.min(since), last.1.max(until));
            return;
        }
        self.0.push_back((since, until));
        if self.0.len() > KEPT
            && let Some(oldest) = self.0.pop_front()
            && let Some(next) = self.0.front_mut()
        {
            *next = (next.0.min(oldest.0), next.1.max(oldest.1));
        }
    }

    /// Packets may have been lost within this span.
    pub(super) fn within(&self, since: Time, until: Time) -> bool {
        self.0.iter().any(|&(from, to)| from <= until && to >= since)
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Losses};
    use crate::model::Time;

    #[test]
    fn spans_join_and_are_bounded_and_forgotten() {
        let mut losses = Losses::default();
        losses.add((Time(10), Time(20)), Time(0));
        losses.add((Time(20), Time(30)), Time(0));
        assert_eq!(losses.0.len(), 1);
        assert!(
            losses.within(Time(0), Time(10)) && losses.within(Time(30), Time(40)) && losses.within(Time(15), Time(16))
        );
        assert!(!losses.within(Time(0), Time(9)) && !losses.within(Time(31), Time(40)));
        for n in 1..1_000 {
            losses.add((Time(n * 100), Time(n * 100 + 1)), Time(0));
        }
        assert_eq!(losses.0.len(), KEPT);
        assert!(losses.within(Time(150), Time(151)), "taken as one with its neighbours: too much, never too little");
        losses.add((Time(200_000), Time(200_001)), Time(100_000));
        assert_eq!(losses.0.len(), 1);
    }
}
