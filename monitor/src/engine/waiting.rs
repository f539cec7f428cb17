use std::collections::VecDeque;

use super::LAG;
use crate::model::{Event, Time};

/// Batches that wait while a key of a connection joined late is looked for: a sample is taken, tried, and its key is applied.
const PATIENCE: usize = LAG + 2;

/// Events that wait, at most.
const EVENTS: usize = 1 << 16;

/// The events of a batch, and the time of its latest packet where it has any.
type Batch = (Vec<Event>, Option<Time>);

/// Events on their way to `detect`. While the late search has fresh samples they wait for some batches, so that what a found key makes
/// readable comes at its own time among the others, not behind them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    batches: VecDeque<Batch>,
    /// Events in them.
    events: usize,
    patience: usize,
}

impl Waiting {
    /// Adds the events of a batch, and those that a late key has made readable. `blind`: there are fresh samples to try.
    pub(super) fn add(&mut self, events: Vec<Event>, now: Option<Time>, mut late: Vec<Event>, blind: bool) {
        self.patience = if blind { PATIENCE } else { self.patience.saturating_sub(1) };
        self.events += events.len() + late.len();
        self.batches.push_back((events, now));
        if late.is_empty() {
            return;
        }
        late.sort_by_key(|event| event.time);
        let mut late = late.into_iter().peekable();
        let mut reached = Time::default();
        for (events, _) in &mut self.batches {
            let on_time = std::mem::take(events);
            events.reserve(on_time.len());
            for event in on_time {
                reached = reached.max(event.time);
                while let Some(earlier) = late.next_if(|late| late.time < reached) {
                    events.push(earlier);
                }
                events.push(event);
            }
        }
        if let Some((events, _)) = self.batches.back_mut() {
            events.extend(late);
        }
    }

    /// Nothing waits, and nothing that comes now need.
    pub(super) fn is_idle(&self) -> bool {
        self.patience == 0 && self.batches.is_empty()
    }

    /// The next batch that need not wait.
    pub(super) fn due(&mut self) -> Option<Batch> {
        if self.patience > 0 && self.batches.len() <= PATIENCE && self.events <= EVENTS {
            return None;
        }
        let batch = self.batches.pop_front()?;
        self.events = self.events.saturating_sub(batch.0.len());
        Some(batch)
    }

    /// What is left when the input has ended.
    pub(super) fn rest(&mut self) -> VecDeque<Batch> {
        std::mem::take(&mut self.batches)
    }
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, Waiting};
    use crate::model::{ConnectionId, Event, Kind, Time};

    fn event(time: u64, connection: u64) -> Event {
        Event { time: Time(time), connection: ConnectionId(connection), kind: Kind::Lit }
    }

    fn names(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.connection.0).collect()
    }

    #[test]
    fn nothing_waits_without_fresh_samples() {
        let mut waiting = Waiting::default();
        waiting.add(vec![event(5, 1)], Some(Time(5)), Vec::new(), false);
        assert_eq!(waiting.due().map(|(events, _)| names(&events)), Some(vec![1]));
        assert!(waiting.due().is_none());
    }

    #[test]
    fn late_events_come_at_their_time() {
        let mut waiting = Waiting::default();
        waiting.add(vec![event(1, 1), event(4, 2)], Some(Time(4)), Vec::new(), true);
        assert!(waiting.due().is_none());
        waiting.add(vec![event(6, 3), event(9, 4)], Some(Time(9)), Vec::new(), false);
        waiting.add(vec![event(11, 5)], Some(Time(11)), vec![event(3, 20), event(6, 21), event(99, 22)], false);
        let all: Vec<u64> = waiting.rest().iter().flat_map(|(events, _)| names(events)).collect();
        assert_eq!(all, [1, 20, 2, 3, 21, 4, 5, 22]);
    }

    #[test]
    fn patience_ends() {
        let mut waiting = Waiting::default();
        for round in 0..10 {
            waiting.add(vec![event(round, round)], Some(Time(round)), Vec::new(), true);
            assert!(waiting.batches.len() <= PATIENCE + 1);
            while waiting.due().is_some() {}
        }
    }
}
