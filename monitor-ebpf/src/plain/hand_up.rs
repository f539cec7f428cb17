//! Bytes into the ring buffer.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_copy_from_user;
use probe_abi::plain::{
    Connection, ConnectionKey, Counters, PEER, PlainHeader, SLOTS, Stream, config, counter, flag, kind, state,
};

use super::{PLAIN_CONFIG, PLAIN_RING};
use crate::bounds;
use crate::count::Counts;

/// A direction of a connection whose bytes go up.
pub(super) struct Run {
    pub(super) id: ConnectionKey,
    pub(super) connection: *mut Connection,
    pub(super) stream: *mut Stream,
    pub(super) counters: *mut Counters,
    /// Bits of the configuration.
    pub(super) flags: u32,
    pub(super) direction: u8,
    pub(super) kind: u8,
}

impl Run {
    #[inline(always)]
    pub(super) fn new(
        id: ConnectionKey,
        connection: *mut Connection,
        counters: *mut Counters,
        flags: u32,
        direction: u8,
    ) -> Self {
        // SAFETY: the connection is a value of a map, and has both.
        let stream = unsafe {
            if direction == PEER { &raw mut (*connection).streams[1] } else { &raw mut (*connection).streams[0] }
        };
        Self { id, connection, stream, counters, flags, direction, kind: kind::BYTES }
    }

    /// Where the direction stands. What is read of it is unknown to the verifier.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "there is one call at a time for a connection and direction")]
    pub(super) fn stream(&self) -> &mut Stream {
        // SAFETY: a value of a map, which stays valid while the program runs; no other call of this direction is under way.
        unsafe { &mut *self.stream }
    }

    #[inline(always)]
    pub(super) fn counts(&self) -> Counts<{ counter::COUNT }> {
        Counts::new(self.counters)
    }
}

enum Lost {
    Full,
    Unread,
}

/// Hands up what waits for it. A function of its own: each step calls it, and the verifier forgets what it learnt in it.
#[inline(never)]
pub(super) fn hand_up(run: &Run) -> u64 {
    let counts = run.counts();
    let stream = run.stream();
    let len = stream.walk.run;
    if run.flags & config::COUNT_ONLY != 0 {
        counts.add::<{ counter::BYTES_LEFT }>(len);
        stream.walk.run = 0;
        stream.walk.after = 0;
        return 0;
    }
    stream.serial += 1;
    counts.one::<{ counter::RECORDS }>();
    let needed = bounds::opaque(len + PlainHeader::LEN as u64);
    let result = if needed <= SLOTS[0] as u64 {
        part::<{ SLOTS[0] }>(run)
    } else if needed <= SLOTS[1] as u64 {
        part::<{ SLOTS[1] }>(run)
    } else if needed <= SLOTS[2] as u64 {
        part::<{ SLOTS[2] }>(run)
    } else {
        part::<{ SLOTS[3] }>(run)
    };
    match result {
        Ok(()) => {
            counts.one::<{ counter::TAKEN }>();
            counts.add::<{ counter::BYTES_TAKEN }>(stream.walk.run);
        }
        Err(lost) => {
            match lost {
                Lost::Full => counts.one::<{ counter::LOST_FULL }>(),
                Lost::Unread => counts.one::<{ counter::LOST_UNREAD }>(),
            }
            counts.add::<{ counter::BYTES_LOST }>(stream.walk.run);
        }
    }
    stream.walk.run = 0;
    stream.walk.after = 0;
    stream.walk.urgent = 0;
    0
}

/// One record, in a slot of `SLOT` bytes.
#[inline(always)]
fn part<const SLOT: usize>(run: &Run) -> Result<(), Lost> {
    let Some(mut slot) = PLAIN_RING.reserve::<[u8; SLOT]>(0) else { return Err(Lost::Full) };
    let place = slot.as_mut_ptr().cast::<u8>();
    // SAFETY: values of a map, which stay valid while the program runs.
    let (connection, stream) = unsafe { (&*run.connection, &*run.stream) };
    let len = stream.walk.run;
    let unsure = if matches!(stream.state, state::FRAMES | state::FIRST) { 0 } else { flag::UNSURE };
    let header = PlainHeader {
        // SAFETY: a helper without preconditions.
        time: unsafe { bpf_ktime_get_ns() },
        object: run.id.object,
        generation: connection.generation,
        serial: stream.serial,
        offset: stream.offset.wrapping_sub(len),
        skipped: stream.skipped,
        process: run.id.process,
        len: len as u32,
        descriptor: connection.descriptor,
        direction: run.direction,
        kind: run.kind,
        flags: connection.flags as u8 | unsure,
        padding: 0,
        after: stream.walk.after as u32,
        padding_2: 0,
    };
    // SAFETY: the slot has room for the header and is aligned to eight bytes.
    unsafe { place.cast::<PlainHeader>().write(header) };
    if len > 0 {
        let Some(len) = bounds::within(len, (SLOT - PlainHeader::LEN) as u64) else {
            slot.discard(0);
            return Err(Lost::Unread);
        };
        let from = stream.walk.at.wrapping_sub(len) as *const _;
        // SAFETY: the slot has room for `len` bytes behind the header, which was checked; any address may be tried.
        if unsafe { bpf_copy_from_user(place.add(PlainHeader::LEN).cast(), len as u32, from) } != 0 {
            slot.discard(0);
            return Err(Lost::Unread);
        }
    }
    let wake = PLAIN_CONFIG.get(0).map_or(0, |config| config[config::WAKE]);
    // A connection's first record as well: its socket is asked for its addresses while it is open.
    let soon = stream.walk.urgent != 0 || stream.serial == 1;
    let ready = soon || PLAIN_RING.query(u64::from(BPF_RB_AVAIL_DATA)) >= u64::from(wake);
    slot.submit(u64::from(if ready { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
    Ok(())
}
