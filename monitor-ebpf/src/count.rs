//! Counters.

use core::arch::asm;

/// Counters of one processor, in a map.
///
/// The additions are atomic: a probe that may sleep can be preempted by another on its processor.
pub(crate) struct Counts<const N: usize>(*mut [u64; N]);

impl<const N: usize> Counts<N> {
    /// The counters at a place in a map.
    pub(crate) const fn new(place: *mut [u64; N]) -> Self {
        Self(place)
    }

    /// Adds to the counter at `AT`.
    #[inline(always)]
    pub(crate) fn add<const AT: usize>(&self, amount: u64) {
        const { assert!(AT < N) };
        // SAFETY: the place is a value of a map, which lives as long as the program; `AT` is inside of it.
        unsafe { add(self.0.cast::<u64>().add(AT), amount) };
    }

    /// Adds one to the counter at `at`, where there is one.
    #[inline(always)]
    pub(crate) fn one_at(&self, at: usize) {
        if at < N {
            // SAFETY: as in `add`; `at` is inside of it.
            unsafe { add(self.0.cast::<u64>().add(at), 1) };
        }
    }

    /// Adds one to the counter at `AT`.
    #[inline(always)]
    pub(crate) fn one<const AT: usize>(&self) {
        self.add::<AT>(1);
    }

    /// Reads the counter at `AT`.
    #[inline(always)]
    pub(crate) fn get<const AT: usize>(&self) -> u64 {
        const { assert!(AT < N) };
        // SAFETY: as in `add`.
        unsafe { self.0.cast::<u64>().add(AT).read_volatile() }
    }
}

/// Adds at once, whatever else runs. The instruction is one that every version of BPF has; core's atomics need those of later ones.
///
/// # Safety
/// The counter is inside of a value of a map.
#[inline(always)]
unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: as the caller says.
    unsafe { asm!("lock *(u64 *)({counter} + 0) += {amount}", counter = in(reg) counter, amount = in(reg) amount) };
}
