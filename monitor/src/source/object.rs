//! The programs for the kernel, as they were built and committed (`cargo xtask build-ebpf`).

use std::io;

use aya::programs::ProgramError;
use aya::{Ebpf, EbpfLoader};

use super::SourceError;

#[cfg(target_arch = "x86_64")]
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../monitor-ebpf/h2watch.x86_64.bpf.o");
#[cfg(not(target_arch = "x86_64"))]
pub(super) static OBJECT: &[u8] = &[];

/// Smallest ring buffer: a page of 64 KiB is the largest that Linux uses on these machines.
pub(super) const MIN_RING: u32 = 64 << 10;

/// A ring buffer's size as the kernel wants it: a power of two, of whole pages.
pub(super) fn ring_size(bytes: u32) -> u32 {
    bytes.clamp(MIN_RING, 1 << 30).next_power_of_two()
}

/// Sizes of the maps that are not the same in every run: 0 for the least.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    /// Bytes of the tap's ring buffer.
    pub(super) tap_ring: u32,
    /// Bytes of the key probes' ring buffer.
    pub(super) secret_ring: u32,
    /// Bytes of the plaintext probes' ring buffer.
    pub(super) plain_ring: u32,
    /// Connections of the plaintext probes.
    pub(super) plain_connections: u32,
}

/// Makes the maps. Programs are loaded one by one, as they are attached.
pub(super) fn open(sizes: Sizes) -> Result<Ebpf, SourceError> {
    // The plaintext probes' other tables go with the one for connections: a run without those probes takes no room for them.
    let connections = sizes.plain_connections.max(1);
    EbpfLoader::new()
        .map_max_entries("TAP_RING", ring_size(sizes.tap_ring))
        .map_max_entries("SECRET_RING", ring_size(sizes.secret_ring))
        .map_max_entries("PLAIN_RING", ring_size(sizes.plain_ring))
        .map_max_entries("PLAIN_CONNECTIONS", connections)
        .map_max_entries("PLAIN_BOUNDARIES", connections)
        .map_max_entries("PLAIN_CALLS", connections)
        .load(OBJECT)
        .map_err(|error| failed("make the kernel programs' maps (needs CAP_BPF, or root)", error))
}

/// Loads a program. The kernel's check of a large one takes a while, and a signal that comes meanwhile breaks it off: then it is begun
/// again, as other loaders do.
pub(super) fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    const TIMES: usize = 5;
    let broken_off = |result: &Result<(), ProgramError>| match result {
        Err(ProgramError::LoadError { io_error, .. }) => io_error.kind() == io::ErrorKind::WouldBlock,
        _ => false,
    };
    let first = (1..TIMES).map(|_| load()).find(|result| !broken_off(result));
    first.unwrap_or_else(load)
}

/// A failure of the kernel, with all that the library says of it.
pub(super) fn failed(what: impl Into<String>, error: impl std::error::Error) -> SourceError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    SourceError::Io { what: what.into(), error: io::Error::other(shortened(&text)) }
}

/// Without the middle of a long text: the verifier's protocol of a program has its reason in its last lines.
fn shortened(text: &str) -> String {
    const KEPT: usize = 300;
    let count = text.chars().count();
    if count <= 2 * KEPT {
        return text.to_owned();
    }
    let start = text.chars().take(KEPT);
    let end = text.chars().skip(count - KEPT);
    start.chain(" […] ".chars()).chain(end).map(|c| if c == '\n' { ' ' } else { c }).collect()
}

/// The object lacks something: it is not the one that this program was built with.
pub(super) fn lacks(what: &str) -> SourceError {
    SourceError::Io { what: format!("find {what} in the kernel programs"), error: io::ErrorKind::NotFound.into() }
}

#[cfg(test)]
mod tests {
    use aya_obj::VerifierLog;

    use super::*;

    #[test]
    fn a_load_that_a_signal_breaks_off_is_begun_again() {
        let failing = |code: i32| {
            let io_error = io::Error::from_raw_os_error(code);
            let verifier_log = VerifierLog::new(String::new());
            Err(ProgramError::LoadError { io_error, verifier_log })
        };
        let times = |code: i32, failures: usize| {
            let mut times = 0;
            let result = patiently(|| {
                times += 1;
                if times <= failures { failing(code) } else { Ok(()) }
            });
            (times, result.is_ok())
        };
        assert_eq!(times(11, 0), (1, true));
        assert_eq!(times(11, 4), (5, true));
        assert_eq!(times(11, 9), (5, false));
        assert_eq!(times(22, 1), (1, false));
    }

    #[test]
    fn a_ring_is_a_power_of_two_of_whole_pages() {
        assert_eq!(ring_size(0), 64 << 10);
        assert_eq!(ring_size((1 << 20) + 1), 2 << 20);
        assert_eq!(ring_size(u32::MAX), 1 << 30);
    }
}
