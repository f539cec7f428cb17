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
    let snap = flow::wanted(ctx, link, config[config::FLAGS], config[config::SNAP]);
    if snap == 0 {
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
        captured: if wire_len < snap { wire_len } else { snap },
        offset: 0,
        len: 0,
        direction,
        link,
        padding: [0; 6],
    };
    hand_up(ctx, &header, config[config::WAKE], &counts);
}

/// Puts the parts of a packet into the ring buffer.
#[inline(always)]
fn hand_up(ctx: &TcContext, header: &PartHeader, wake: u32, counts: &Counts<{ counter::COUNT }>) {
    let mut offset = 0;
    for _ in 0..MAX_PARTS {
        let left = header.captured - offset;
        let len = if left < MAX_PART as u32 { left } else { MAX_PART as u32 };
        let part = PartHeader { offset, len, ..*header };
        let needed = len as usize + PartHeader::LEN;
        let done = if needed <= SLOTS[0] {
            part_of::<{ SLOTS[0] }>(ctx, &part, wake)
        } else if needed <= SLOTS[1] {
            part_of::<{ SLOTS[1] }>(ctx, &part, wake)
        } else if needed <= SLOTS[2] {
            part_of::<{ SLOTS[2] }>(ctx, &part, wake)
        } else {
            part_of::<{ SLOTS[3] }>(ctx, &part, wake)
        };
        match done {
            Ok(()) => {}
            Err(_) if offset > 0 => return counts.one::<{ counter::CUT }>(),
            Err(Lost::Full) => return counts.one::<{ counter::LOST_FULL }>(),
            Err(Lost::Unread) => return counts.one::<{ counter::LOST_UNREAD }>(),
        }
        counts.add::<{ counter::BYTES }>(u64::from(len));
        offset += len;
        if offset >= header.captured {
            break;
        }
    }
    if offset < header.captured {
        return counts.one::<{ counter::CUT }>();
    }
    counts.add::<{ counter::BYTES_SNAPPED }>(u64::from(header.wire_len - header.captured));
    counts.one::<{ counter::TAKEN }>();
}

enum Lost {
    Full,
    Unread,
}

/// One part, in a slot of `SLOT` bytes.
#[inline(always)]
fn part_of<const SLOT: usize>(ctx: &TcContext, part: &PartHeader, wake: u32) -> Result<(), Lost> {
    let Some(mut slot) = TAP_RING.reserve::<[u8; SLOT]>(0) else { return Err(Lost::Full) };
    let Some(len) = bounds::within(u64::from(part.len), (SLOT - PartHeader::LEN) as u64) else {
        slot.discard(0);
        return Err(Lost::Unread);
    };
    let place = slot.as_mut_ptr().cast::<u8>();
    // SAFETY: the slot has room for the header, is aligned to eight bytes, and for `len` bytes behind the header, which was checked.
    let result = unsafe {
        place.cast::<PartHeader>().write(*part);
        bpf_skb_load_bytes(ctx.as_ptr(), part.offset, place.add(PartHeader::LEN).cast(), len as u32)
    };
    if result != 0 {
        slot.discard(0);
        return Err(Lost::Unread);
    }
    let ready = TAP_RING.query(u64::from(BPF_RB_AVAIL_DATA));
    slot.submit(u64::from(if ready >= u64::from(wake) { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
    Ok(())
}
