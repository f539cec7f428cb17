//! What names the handshake of a connection: what the packets of the connection have too.
//!
//! OpenSSL 3 derives the secrets of a handshake in the thread that is inside of a call for the connection.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::uprobe;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use aya_ebpf::programs::ProbeContext;
use probe_abi::plain::{ConnectionKey, LOCAL, PlainHeader, config, counter, kind};
use probe_abi::secret::MAX_NAME;

use super::{PLAIN_CONFIG, PLAIN_CONNECTIONS, PLAIN_COUNTERS, PLAIN_RING, sockets};
use crate::count::Counts;
use crate::kdf::Name;

/// A name as it goes up.
#[repr(C)]
struct Record {
    header: PlainHeader,
    name: [u8; MAX_NAME],
}

/// `EVP_KDF_derive` is called.
#[uprobe(sleepable)]
fn h2watch_plain_name(ctx: ProbeContext) -> u32 {
    if let Some(id) = sockets::inside(bpf_get_current_pid_tgid()) {
        name(&ctx, id);
    }
    0
}

#[inline(always)]
fn name(ctx: &ProbeContext, id: ConnectionKey) {
    let (Some(connection), Some(counters)) = (PLAIN_CONNECTIONS.get_ptr_mut(id), PLAIN_COUNTERS.get_ptr_mut(0)) else {
        return;
    };
    if PLAIN_CONFIG.get(0).is_none_or(|words| words[config::FLAGS] & config::COUNT_ONLY != 0) {
        return;
    }
    let Some(name) = Name::of(ctx) else { return };
    let counts = Counts::<{ counter::COUNT }>::new(counters);
    counts.one::<{ counter::RECORDS }>();
    let Some(mut entry): Option<RingBufEntry<Record>> = PLAIN_RING.reserve(0) else {
        return counts.one::<{ counter::LOST_FULL }>();
    };
    // SAFETY: values of a map, which stay readable while the program runs.
    let (generation, descriptor, flags) =
        unsafe { ((*connection).generation, (*connection).descriptor, (*connection).flags as u8) };
    let header = PlainHeader {
        // SAFETY: a helper without preconditions.
        time: unsafe { bpf_ktime_get_ns() },
        object: id.object,
        generation,
        serial: 0,
        offset: 0,
        skipped: 0,
        process: id.process,
        len: name.len(),
        descriptor,
        direction: LOCAL,
        kind: kind::NAME,
        flags,
        padding: 0,
        after: 0,
        padding_2: 0,
    };
    let record = entry.write(Record { header, name: [0; MAX_NAME] });
    if name.read(&mut record.name) {
        entry.submit(0);
        counts.one::<{ counter::TAKEN }>();
    } else {
        entry.discard(0);
        counts.one::<{ counter::LOST_UNREAD }>();
    }
}
