//! A capture file as memory, page by page.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Once;

use memmap2::{Advice, Mmap, UncheckedAdvice};

/// Pages are given back in ranges of at least this many bytes, when few files are mapped.
pub(super) const WINDOW: usize = 4 << 20;

/// How far back each range that is given back begins at least. A page that is read again later brings its whole folio back, up to 2 MiB
/// of the file, so that a few late looks would otherwise keep most of it resident. To look for such pages takes time, page by page: what
/// lies further back is left to the sweeps.
const BEHIND: usize = 32 << 20;

/// Bytes of a line of the processor's memory.
pub(super) const LINE: usize = 64;

/// Ranges given back between two sweeps over everything before.
const SWEEP: u32 = 16;

/// A whole file, mapped for reading.
#[derive(Debug)]
pub(super) struct Mapping {
    map: Mmap,
}

impl Mapping {
    pub(super) fn new(file: &File) -> io::Result<Self> {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(handle_shrinking);
        // SAFETY: the mapping is read-only. That nobody changes the file's bytes under it cannot be known: the caller maps no file that
        // changed within the last seconds, every parser takes any bytes, and a file that shrinks ends the program in `on_bus_error`.
        let map = unsafe { Mmap::map(file) }?;
        // Advice alone; without it everything still works.
        let _ = map.advise(Advice::Sequential);
        Ok(Self { map })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }
}

/// What of a mapping has been given back.
#[derive(Debug, Default)]
pub(super) struct Released {
    until: usize,
    ranges: u32,
}

impl Released {
    /// Gives back the resident pages of the whole windows before `until`. The bytes stay valid: they are read again on access.
    pub(super) fn release(&mut self, mapping: &Mapping, until: usize, window: usize) {
        let until = until - until % window.max(WINDOW / 64);
        if until <= self.until {
            return;
        }
        self.ranges = self.ranges.wrapping_add(1);
        let from = if self.ranges.is_multiple_of(SWEEP) { 0 } else { self.until.min(until.saturating_sub(BEHIND)) };
        drop_pages(mapping, from, until);
        self.until = until;
    }
}

impl Mapping {
    /// Asks the processor for the bytes from `from` until `until`, and does not wait for them. A load would be waited for by what comes a
    /// few hundred instructions behind it; nothing is asked of pages that are not mapped yet.
    #[inline]
    pub(super) fn ask(&self, from: usize, until: usize) {
        let bytes = self.map.get(from..until.min(self.map.len())).unwrap_or_default();
        for line in (0..bytes.len()).step_by(LINE) {
            prefetch(bytes.as_ptr().wrapping_add(line));
        }
    }

    /// Gives back every resident page.
    pub(super) fn release(&self) {
        drop_pages(self, 0, self.map.len());
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing that the program sees and faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

/// Other processors have no such instruction that is stable to use.
#[cfg(not(target_arch = "x86_64"))]
const fn prefetch(_: *const u8) {}

fn drop_pages(mapping: &Mapping, from: usize, until: usize) {
    if from < until && until <= mapping.map.len() {
        // SAFETY: the mapping is shared and backed by the file, and nothing writes to it: pages that are dropped are read again from
        // the file with the same bytes, so no slice of it changes.
        let _ = unsafe { mapping.map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, until - from) };
    }
}

/// Makes access beyond the end of a file that shrank end the program with a clear line, not with a core file.
fn handle_shrinking() {
    // SAFETY: `action` is a valid zeroed sigaction with an extern "C" handler of the plain form, and the handler is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

extern "C" fn on_bus_error(_signal: libc::c_int) {
    const LINE: &[u8] = b"h2watch: a capture file became shorter while it was read\n";
    // SAFETY: write and _exit are async-signal-safe, and LINE lives for ever.
    unsafe {
        libc::write(libc::STDERR_FILENO, LINE.as_ptr().cast(), LINE.len());
        libc::_exit(3);
    }
}
