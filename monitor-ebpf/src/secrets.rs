//! Where the key probes put what they find.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use probe_abi::secret::{Counters, SecretRecord, counter};

use crate::count::Counts;

/// Secrets. User space sets its size.
#[map]
static SECRET_RING: RingBuf = RingBuf::with_byte_size(1 << 18, 0);

/// Counters: one entry.
#[map]
static SECRET_COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// What became of a call.
pub(crate) enum Outcome {
    /// It derives something else.
    Unwanted,
    /// Its secret was handed up.
    Taken,
    /// There was no room.
    Full,
    /// Its arguments could not be read.
    Unread,
}

/// Counts a call.
#[inline(always)]
pub(crate) fn counted(outcome: Outcome) {
    let Some(counters) = SECRET_COUNTERS.get_ptr_mut(0) else { return };
    let counts = Counts::new(counters);
    counts.one::<{ counter::CALLS }>();
    match outcome {
        Outcome::Unwanted => counts.one::<{ counter::UNWANTED }>(),
        Outcome::Taken => counts.one::<{ counter::TAKEN }>(),
        Outcome::Full => counts.one::<{ counter::LOST_FULL }>(),
        Outcome::Unread => counts.one::<{ counter::LOST_UNREAD }>(),
    }
}

/// Fills a record in the ring buffer with `fill`, and hands it up when that says `true`.
#[inline(always)]
pub(crate) fn hand_up(kind: u32, fill: impl FnOnce(&mut SecretRecord) -> bool) -> Outcome {
    let Some(mut entry): Option<RingBufEntry<SecretRecord>> = SECRET_RING.reserve(0) else { return Outcome::Full };
    let record = entry.write(SecretRecord::EMPTY);
    // SAFETY: a helper without preconditions.
    record.time = unsafe { bpf_ktime_get_ns() };
    record.pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    record.kind = kind;
    if fill(record) {
        entry.submit(0);
        Outcome::Taken
    } else {
        entry.discard(0);
        Outcome::Unread
    }
}
