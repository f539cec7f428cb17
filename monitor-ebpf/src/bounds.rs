//! Checks that the verifier sees.

use core::arch::asm;

/// `value`, when it is at least one and at most `most`.
///
/// The verifier follows one register through plain comparisons. The compiler likes to merge comparisons, to leave out those that it
/// knows to hold, and to compare a copy: it must not look through.
#[inline(always)]
pub(crate) fn within(value: u64, most: u64) -> Option<u64> {
    let value = opaque(value);
    if value > most {
        return None;
    }
    let value = opaque(value);
    // Not `== 0`: that teaches the verifier of Linux 6.1 nothing of the least value.
    if value <= opaque(0) {
        return None;
    }
    Some(opaque(value))
}

/// All ones when both are the same, otherwise zero; without a branch.
#[inline(always)]
pub(crate) fn equal(a: u64, b: u64) -> u64 {
    let differ = a ^ b;
    let differ = opaque(differ | differ.wrapping_neg()) >> 63;
    opaque(differ).wrapping_sub(1)
}

/// `value`, of which the compiler knows nothing.
#[inline(always)]
pub(crate) fn opaque(mut value: u64) -> u64 {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}
