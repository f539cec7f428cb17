//! The system's clocks.

use nix::time::{ClockId, clock_gettime};

use super::clock::Reading;
use crate::model::Time;

fn nanos(clock: ClockId) -> u64 {
    // Neither clock can be missing on Linux.
    clock_gettime(clock).map_or(0, |at| {
        let (seconds, nanos) = (u64::try_from(at.tv_sec()).unwrap_or(0), u64::try_from(at.tv_nsec()).unwrap_or(0));
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    })
}

/// Both clocks, one right after the other.
pub(super) fn reading() -> Reading {
    Reading { real: nanos(ClockId::CLOCK_REALTIME), boot: nanos(ClockId::CLOCK_BOOTTIME) }
}

/// The system's time.
pub(crate) fn now() -> Time {
    Time(nanos(ClockId::CLOCK_REALTIME))
}
