//! Memory of the probed process.

use aya_ebpf::helpers::generated::{bpf_copy_from_user, bpf_probe_read_user_str};

use crate::bounds;

/// Reads user memory; pages that are not resident are brought in.
#[inline(always)]
pub(crate) fn read<T: Copy>(from: u64) -> Option<T> {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes the whole of `value` or fails.
    unsafe {
        (bpf_copy_from_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, from as *const _) == 0)
            .then(|| value.assume_init())
    }
}

/// Reads `len` bytes of user memory, at least one and at most all of `out`.
#[inline(always)]
pub(crate) fn read_into<const N: usize>(from: u64, len: u64, out: &mut [u8; N]) -> bool {
    let Some(len) = bounds::within(len, N as u64) else { return false };
    // SAFETY: the helper writes at most `len` bytes, which are inside of `out`.
    unsafe { bpf_copy_from_user(out.as_mut_ptr().cast(), len as u32, from as *const _) == 0 }
}

/// The first seven bytes of a C string, zero behind its end, as a number.
#[inline(always)]
pub(crate) fn text(from: u64) -> Option<u64> {
    let mut text = [0u64; 1];
    for _ in 0..2 {
        // SAFETY: the helper writes at most the whole of `text`, zeros behind the end of the string; any address may be tried.
        if unsafe { bpf_probe_read_user_str(text.as_mut_ptr().cast(), 8, from as *const _) } > 0 {
            return Some(text[0]);
        }
        // That helper takes what is resident alone: brings the page in, and tries again.
        read::<u8>(from)?;
    }
    None
}
