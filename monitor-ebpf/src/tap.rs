//! The tap: packets into a ring buffer, as they pass the hooks of traffic control.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, TC_ACT_UNSPEC};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_skb_load_bytes};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::{Array, PerCpuHashMap, RingBuf};
use aya_ebpf::programs::TcContext;
use probe_abi::tap::{
    Config, Counters, EGRESS, ETHERNET, INGRESS, MAX_PART, MAX_PARTS, PartHeader, RAW_IP, SLOTS, config, counter,
};

use crate::count::Counts;
use crate::{bounds, flow};

/// Parts of packets. User space sets its size.
#[map]
static TAP_RING: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

/// What steers the tap: one entry.
#[map]
static TAP_CONFIG: Array<Config> = Array::with_max_entries(1, 0);

/// Counters by interface. User space makes the entries before it attaches.
#[map]
static TAP_COUNTERS: PerCpuHashMap<u32, Counters> = PerCpuHashMap::with_max_entries(1_024, 0);

/// Packets that an interface receives, with Ethernet headers.
#[classifier]
fn h2watch_in(ctx: TcContext) -> i32 {
    tap(&ctx, INGRESS, ETHERNET);
    TC_ACT_UNSPEC
}

/// Packets that an interface sends, with Ethernet headers.
#[classifier]
fn h2watch_out(ctx: TcContext) -> i32 {
    tap(&ctx, EGRESS, ETHERNET);
    TC_ACT_UNSPEC
}

/// Packets that an interface without a link header receives.
#[classifier]
fn h2watch_ip_in(ctx: TcContext) -> i32 {
    tap(&ctx, INGRESS, RAW_IP);
    TC_ACT_UNSPEC
}

/// Packets that an interface without a link header sends.
#[classifier]
fn h2watch_ip_out(ctx: TcContext) -> i32 {
    tap(&ctx, EGRESS, RAW_IP);
    TC_ACT_UNSPEC
}

#[inline(always)]
fn tap(ctx: &TcContext, direction: u8, link: u8) {
    // SAFETY: the kernel gives a valid context.
    let interface = unsafe { (*ctx.skb.skb).ifindex };
    let Some(counters) = TAP_COUNTERS.get_ptr_mut(interface) else { return };
    let counts = Counts::new(counters);
    counts.one::<{ counter::SEEN }>();
    let Some(config) = TAP_CONFIG.get(0) else { return };
    let wire_len = ctx.len();
    let flow::Wanted { bytes, of_flow } = flow::wanted(ctx, link, config[config::FLAGS], config[config::SNAP]);
    if bytes == 0 {
        return counts.one::<{ counter::FILTERED }>();
    }
    let header = PartHeader {
        // SAFETY: a helper without preconditions, as the next one.
        time: unsafe { bpf_ktime_get_ns() },
        serial: counts.get::<{ counter::SEEN }>(),
        // SAFETY: as above.
        cpu: unsafe { bpf_get_smp_processor_id() } as u32,
        interface,
        wire_len,
        captured: if wire_len < bytes { wire_len } else { bytes },
        offset: 0,
        len: 0,
        direction,
        link,
        shortened: u8::from(of_flow && bytes < wire_len),
        padding: [0; 5],
    };
    hand_up(ctx, &header, config[config::WAKE], &counts);
}

/// Puts the parts of a packet into the ring buffer.
#[inline(always)]
fn hand_up(ctx: &TcContext, header: &PartHeader, wake: u32, counts: &Counts<{ counter::COUNT }>) {
    let mut offset = 0;
    // All parts but the last are of one size: paths that differ would multiply with each turn, and the verifier walks every path.
    for _ in 1..MAX_PARTS {
        if header.captured - offset <= MAX_PART as u32 {
            break;
        }
        if let Err(lost) = part_of::<{ SLOTS[3] }>(ctx, header, offset, MAX_PART as u32, wake) {
            return failed(lost, offset, counts);
        }
        counts.add::<{ counter::BYTES }>(MAX_PART as u64);
        offset += MAX_PART as u32;
    }
    let left = header.captured - offset;
    let needed = left as usize + PartHeader::LEN;
    let done = if needed <= SLOTS[0] {
        part_of::<{ SLOTS[0] }>(ctx, header, offset, left, wake)
    } else if needed <= SLOTS[1] {
        part_of::<{ SLOTS[1] }>(ctx, header, offset, left, wake)
    } else if needed <= SLOTS[2] {
        part_of::<{ SLOTS[2] }>(ctx, header, offset, left, wake)
    } else {
        part_of::<{ SLOTS[3] }>(ctx, header, offset, left, wake)
    };
    if let Err(lost) = done {
        return failed(lost, offset, counts);
    }
    counts.add::<{ counter::BYTES }>(u64::from(left));
    counts.add::<{ counter::BYTES_SNAPPED }>(u64::from(header.wire_len - header.captured));
    counts.one::<{ counter::TAKEN }>();
}

/// Counts a packet whose part at an offset did not go up.
#[inline(always)]
fn failed(lost: Lost, offset: u32, counts: &Counts<{ counter::COUNT }>) {
    match lost {
        _ if offset > 0 => counts.one::<{ counter::CUT }>(),
        Lost::Full => counts.one::<{ counter::LOST_FULL }>(),
        Lost::Unread => counts.one::<{ counter::LOST_UNREAD }>(),
    }
}

enum Lost {
    Full,
    Unread,
}

/// One part, in a slot of `SLOT` bytes.
#[inline(always)]
fn part_of<const SLOT: usize>(
    ctx: &TcContext,
    header: &PartHeader,
    offset: u32,
    len: u32,
    wake: u32,
) -> Result<(), Lost> {
    let Some(mut slot) = TAP_RING.reserve::<[u8; SLOT]>(0) else { return Err(Lost::Full) };
    let Some(len) = bounds::within(u64::from(len), (SLOT - PartHeader::LEN) as u64) else {
        slot.discard(0);
        return Err(Lost::Unread);
    };
    let place = slot.as_mut_ptr().cast::<u8>();
    // SAFETY: the slot has room for the header, is aligned to eight bytes, and for `len` bytes behind the header, which was checked.
    let result = unsafe {
        place.cast::<PartHeader>().write(PartHeader { offset, len: len as u32, ..*header });
        bpf_skb_load_bytes(ctx.as_ptr(), offset, place.add(PartHeader::LEN).cast(), len as u32)
    };
    if result != 0 {
        slot.discard(0);
        return Err(Lost::Unread);
    }
    let ready = TAP_RING.query(u64::from(BPF_RB_AVAIL_DATA));
    slot.submit(u64::from(if ready >= u64::from(wake) { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
    Ok(())
}
