//! The system's clock, without its steps.

use crate::model::Time;

/// Readings of the system's clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Since the Unix epoch; somebody may step it.
    pub real: u64,
    /// Since the machine was started, sleep included; never steps.
    pub boot: u64,
}

/// Keeps the time of a live run going evenly when somebody steps the system's clock: windows neither end early nor wait for hours.
/// Between steps it is the system's time. Slewing (NTP) is no step.
#[derive(Debug)]
pub struct Clock {
    /// What is taken from the system's time, wrapping.
    correction: u64,
    /// The same before the last step, for packets that were captured before it.
    before: u64,
    /// Real less boot at the last reading.
    offset: u64,
    now: Time,
    steps: u64,
}

/// A change of real less boot that is a step.
const STEP: u64 = 20_000_000;

impl Clock {
    /// Starts from the system's time.
    #[must_use]
    pub const fn new(reading: Reading) -> Self {
        let offset = reading.real.wrapping_sub(reading.boot);
        Self { correction: 0, before: 0, offset, now: Time(reading.real), steps: 0 }
    }

    /// Reads the clock: the time of the run.
    pub fn read(&mut self, reading: Reading) -> Time {
        let offset = reading.real.wrapping_sub(reading.boot);
        let change = offset.wrapping_sub(self.offset);
        if change.min(change.wrapping_neg()) >= STEP {
            self.before = self.correction;
            self.correction = self.correction.wrapping_add(change);
            self.steps += 1;
        } else {
            self.before = self.correction;
        }
        self.offset = offset;
        self.now = self.now.max(Time(reading.real.wrapping_sub(self.correction)));
        self.now
    }

    /// The time of the run at which a packet was captured, given the system's time of the capture. Call [`read`](Self::read) first,
    /// after the packet was captured.
    #[must_use]
    pub fn of_packet(&self, captured: Time) -> Time {
        let after = captured.0.wrapping_sub(self.correction);
        if self.before == self.correction {
            return Time(after);
        }
        let before = captured.0.wrapping_sub(self.before);
        // Captured around the step: the reading that lies closer to now is right.
        Time(if before.abs_diff(self.now.0) < after.abs_diff(self.now.0) { before } else { after })
    }

    /// The system's time at a time of the run.
    #[must_use]
    pub const fn shown(&self, time: Time) -> Time {
        Time(time.0.wrapping_add(self.correction))
    }

    /// The time of the run when the clock was read last.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Steps so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Reading};
    use crate::model::Time;

    const SECOND: u64 = 1_000_000_000;

    fn at(real: u64, boot: u64) -> Reading {
        Reading { real: real * SECOND, boot: boot * SECOND }
    }

    #[test]
    fn goes_with_the_system() {
        let mut clock = Clock::new(at(1_000, 10));
        assert_eq!(clock.read(at(1_003, 13)), Time(1_003 * SECOND));
        assert_eq!(clock.of_packet(Time(1_002 * SECOND)), Time(1_002 * SECOND));
        assert_eq!(clock.steps(), 0);
    }

    #[test]
    fn a_step_back_does_not_stop_the_time() {
        let mut clock = Clock::new(at(10_000, 10));
        clock.read(at(10_001, 11));
        // Stepped back an hour, two seconds later.
        assert_eq!(clock.read(at(6_403, 13)), Time(10_003 * SECOND));
        assert_eq!(clock.steps(), 1);
        // Captured before and after the step.
        assert_eq!(clock.of_packet(Time(10_002 * SECOND)), Time(10_002 * SECOND));
        assert_eq!(clock.of_packet(Time(6_402 * SECOND)), Time(10_002 * SECOND));
        assert_eq!(clock.shown(Time(10_003 * SECOND)), Time(6_403 * SECOND));
    }

    #[test]
    fn a_step_forward_does_not_end_windows() {
        let mut clock = Clock::new(at(10_000, 10));
        assert_eq!(clock.read(at(96_401, 11)), Time(10_001 * SECOND));
        assert_eq!(clock.read(at(96_402, 12)), Time(10_002 * SECOND));
        assert_eq!(clock.of_packet(Time(96_402 * SECOND)), Time(10_002 * SECOND));
    }

    #[test]
    fn slewing_is_followed() {
        let mut clock = Clock::new(at(1_000, 10));
        let mut real = 1_000 * SECOND;
        for second in 11..100 {
            real += SECOND - 500_000;
            assert_eq!(clock.read(Reading { real, boot: second * SECOND }), Time(real));
        }
        assert_eq!(clock.steps(), 0);
    }
}
