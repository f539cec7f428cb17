//! What one side may do because of its peer's SETTINGS (RFC 9113 section 6.5).

use std::collections::VecDeque;

use crate::frame::DEFAULT_MAX_FRAME;

/// SETTINGS frames that wait for their ACK. A peer that sends more without waiting has the newest ones merged.
const PENDING: usize = 32;

const HEADER_TABLE_SIZE: u16 = 0x1;
const MAX_FRAME_SIZE: u16 = 0x5;

/// What one SETTINGS frame changes for its receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The smallest and the last SETTINGS_HEADER_TABLE_SIZE: an encoder must pass through the smallest (RFC 7541 section 4.2).
    pub(crate) table: Option<(u32, u32)>,
    /// The last SETTINGS_MAX_FRAME_SIZE.
    pub(crate) max_frame: Option<u32>,
}

impl Change {
    /// One setting, in the order of the frame.
    pub(crate) fn set(&mut self, id: u16, value: u32) {
        match id {
            HEADER_TABLE_SIZE => self.table = Some((self.table.map_or(value, |(min, _)| min.min(value)), value)),
            MAX_FRAME_SIZE if (DEFAULT_MAX_FRAME..1 << 24).contains(&value) => self.max_frame = Some(value),
            _ => {}
        }
    }

    fn then(&mut self, later: Self) {
        if let Some((min, last)) = later.table {
            self.table = Some((self.table.map_or(min, |(first, _)| first.min(min)), last));
        }
        self.max_frame = later.max_frame.or(self.max_frame);
    }
}

/// The bounds that one side, as a sender, has from its peer.
#[derive(Debug)]
pub(crate) struct Allowance {
    pending: VecDeque<Change>,
    /// ACKs seen before the SETTINGS that they acknowledge: the two directions are read independently.
    ahead: usize,
    acked_frame: u32,
    /// The largest frame that is allowed now: a raised value counts from when it is seen, a lowered one from its ACK.
    max_frame: u32,
    /// The peer's SETTINGS were seen, or the connection from its start.
    known: bool,
    /// Every SETTINGS and ACK since the connection's start was seen.
    counted: bool,
}

impl Allowance {
    pub(crate) fn new(known: bool) -> Self {
        Self {
            pending: VecDeque::new(),
            ahead: 0,
            acked_frame: DEFAULT_MAX_FRAME,
            max_frame: DEFAULT_MAX_FRAME,
            known,
            counted: known,
        }
    }

    /// The longest frame, or the default where nothing is known.
    pub(crate) const fn max_frame(&self) -> u32 {
        self.max_frame
    }

    /// The longest frame, where it is known.
    pub(crate) fn known_max_frame(&self) -> Option<u32> {
        self.known.then_some(self.max_frame)
    }

    /// The peer sent a SETTINGS frame. Returns what is in force at once because its ACK came first.
    pub(crate) fn announce(&mut self, change: Change) -> Option<Change> {
        self.known |= change.max_frame.is_some();
        if self.ahead > 0 {
            self.ahead -= 1;
            self.apply(change);
            return Some(change);
        }
        let full = self.pending.len() >= PENDING;
        match self.pending.back_mut().filter(|_| full) {
            Some(last) => last.then(change),
            None => self.pending.push_back(change),
        }
        self.bound();
        None
    }

    /// This side acknowledged its peer's oldest SETTINGS. Returns what is in force from here on.
    pub(crate) fn ack(&mut self) -> Option<Change> {
        let Some(change) = self.pending.pop_front() else {
            self.ahead = if self.counted { (self.ahead + 1).min(PENDING) } else { 0 };
            return None;
        };
        self.apply(change);
        Some(change)
    }

    /// Bytes of this side were lost, its ACKs may be among them: the largest frame that may be in force is allowed.
    pub(crate) fn lost(&mut self) {
        self.ahead = 0;
        self.counted = false;
        self.acked_frame = self.max_frame;
        self.pending.clear();
    }

    fn apply(&mut self, change: Change) {
        self.acked_frame = change.max_frame.unwrap_or(self.acked_frame);
        self.bound();
    }

    fn bound(&mut self) {
        self.max_frame = self
            .pending
            .iter()
            .filter_map(|change| change.max_frame)
            .fold(self.acked_frame, |max, value| max.max(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(settings: &[(u16, u32)]) -> Change {
        let mut change = Change::default();
        settings.iter().for_each(|&(id, value)| change.set(id, value));
        change
    }

    #[test]
    fn a_frame_size_rises_at_once_and_falls_at_the_ack() {
        let mut allowance = Allowance::new(true);
        allowance.announce(frame(&[(5, 100_000)]));
        assert_eq!(allowance.max_frame(), 100_000);
        allowance.announce(frame(&[(5, 20_000)]));
        allowance.ack();
        assert_eq!(allowance.max_frame(), 100_000);
        allowance.ack();
        assert_eq!(allowance.max_frame(), 20_000);
        allowance.announce(frame(&[(5, 7)]));
        assert_eq!(allowance.max_frame(), 20_000, "below 16,384 is not allowed");
    }

    #[test]
    fn the_smallest_table_of_a_frame_is_kept_beside_the_last() {
        assert_eq!(frame(&[(1, 4_096), (1, 0), (1, 100)]).table, Some((0, 100)));
    }

    #[test]
    fn an_ack_that_is_read_first_counts_for_the_settings_that_follow() {
        let mut allowance = Allowance::new(true);
        assert_eq!(allowance.ack(), None);
        assert_eq!(allowance.announce(frame(&[(1, 9)])), Some(frame(&[(1, 9)])));
        assert_eq!(allowance.announce(frame(&[(1, 8)])), None);
    }

    #[test]
    fn settings_without_ack_are_bounded() {
        let mut allowance = Allowance::new(true);
        for n in 0..1_000 {
            allowance.announce(frame(&[(1, n)]));
        }
        assert_eq!(allowance.pending.len(), PENDING);
        allowance.announce(frame(&[(5, 70_000)]));
        allowance.lost();
        assert_eq!(allowance.max_frame(), 70_000, "its ACK may be among what was lost");
    }
}
