//! Kernel time to wall-clock time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Time;

/// What turns `CLOCK_MONOTONIC` into wall-clock time: read anew with each batch, so that times follow a clock that is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Nanoseconds since the Unix epoch when the monotonic clock was at zero.
    zero: i128,
    /// Nanoseconds since the Unix epoch when it was read.
    now: i128,
}

impl Clock {
    pub(super) fn read() -> Self {
        let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let monotonic = i128::from(monotonic.tv_sec) * 1_000_000_000 + i128::from(monotonic.tv_nsec);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let now = i128::try_from(wall).unwrap_or(0);
        Self { zero: now - monotonic, now }
    }

    /// The time when it was read.
    pub(super) fn now(self) -> Time {
        Time(u64::try_from(self.now).unwrap_or(0))
    }

    pub(super) fn wall(self, monotonic: u64) -> Time {
        Time(u64::try_from(self.zero + i128::from(monotonic)).unwrap_or(0))
    }
}
