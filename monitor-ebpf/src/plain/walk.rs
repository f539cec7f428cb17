//! Follows the frames of a stream through the bytes of one call.

use aya_ebpf::helpers::generated::bpf_copy_from_user;
use probe_abi::plain::{
    BoundaryKey, CALL_HEAD, HEAD_ROOM, MAX_PART, MAX_STEPS, Stream, UNSURE_BYTES, Walk, counter, is_plausible,
    reset_at, state,
};

use super::hand_up::{Run, hand_up};
use super::{PLAIN_BOUNDARIES, PLAIN_RESETS};
use crate::count::Counts;
use crate::{bounds, user};

/// A frame header (RFC 9113 section 4.1).
const HEADER: u32 = 9;
/// Most of a frame that is read here: GOAWAY up to its error code.
const MOST: u32 = HEADER + 8;

/// Pieces of [`MAX_PART`] bytes that go up behind the last frame that is followed in one call.
const RAW_STEPS: u32 = 4;

const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
/// The payload is that of a DATA frame which ends its stream.
const ENDS: u32 = 2;

/// Follows the bytes that a call moved, from `buffer` on. `moved`: how many, where that could be read.
#[inline(always)]
pub(super) fn walk(run: &Run, buffer: u64, moved: Option<u64>) {
    let counts = run.counts();
    let stream = run.stream();
    let Some(len) = moved else {
        // Bytes went by, and nobody knows how many: the next record shows a gap by its number.
        stream.serial += 1;
        return fall_out(stream, &counts);
    };
    counts.add::<{ counter::BYTES }>(len);
    stream.walk = Walk {
        at: buffer,
        left: len,
        raw: u64::from(CALL_HEAD),
        boundary: u64::MAX,
        run: 0,
        after: 0,
        urgent: 0,
        next: next::NOTHING,
        take: 0,
    };
    if stream.state == state::UNSURE {
        unsure(run);
    }
    for _ in 0..MAX_STEPS {
        if step(run) == 0 {
            break;
        }
    }
    let stream = run.stream();
    if stream.walk.left > 0 && stream.state < state::UNSURE {
        // More frames than are followed in one call: all that is left goes up, and user space follows them.
        fall_out(stream, &counts);
        for _ in 0..RAW_STEPS {
            if step(run) == 0 {
                break;
            }
        }
    }
    if stream.walk.run > 0 {
        hand_up(run);
    }
    let left = stream.walk.left;
    if left > 0 {
        stream.offset += left;
        counts.add::<{ counter::BYTES_LEFT }>(left);
    }
}

/// Where frames begin is not known any more.
#[inline(always)]
fn fall_out(stream: &mut Stream, counts: &Counts<{ counter::COUNT }>) {
    stream.state = state::UNSURE;
    stream.unsure = 0;
    stream.walk.raw = u64::from(UNSURE_BYTES);
    stream.left = 0;
    stream.have = 0;
    stream.want = HEADER;
    counts.one::<{ counter::FELL_OUT }>();
}

/// What comes next in a stream.
mod next {
    /// Nothing more goes up of this call.
    pub(super) const NOTHING: u64 = 0;
    /// Bytes that go up.
    pub(super) const UP: u64 = 1;
    /// Payload of DATA.
    pub(super) const SKIP: u64 = 2;
    /// Part of a header.
    pub(super) const HEAD: u64 = 3;
}

/// Goes one step. 0: there is none.
///
/// The parts of it are functions of their own that leave what they find in the map: so the verifier does not follow, for each way through
/// one of them, each way through the next.
#[inline(never)]
fn step(run: &Run) -> u64 {
    let stream = run.stream();
    if stream.walk.left == 0 {
        return 0;
    }
    find_next(run);
    if stream.walk.next == next::NOTHING {
        return 0;
    }
    make_room(run);
    if stream.walk.next == next::HEAD {
        head(run);
    }
    advance(run);
    1
}

/// Hands up what waits, when what comes does not go up with it, or finds no room beside it.
#[inline(never)]
fn make_room(run: &Run) -> u64 {
    let stream = run.stream();
    let take = stream.walk.take;
    let hands_up = if stream.walk.next == next::SKIP {
        stream.walk.after = take;
        // That a stream has ended is told at once.
        stream.walk.run > 0 || stream.left == 0 && stream.data == ENDS
    } else {
        stream.walk.run + take > MAX_PART as u64
    };
    if hands_up {
        hand_up(run);
    }
    stream.walk.after = 0;
    0
}

/// Goes past what came.
#[inline(never)]
fn advance(run: &Run) -> u64 {
    let stream = run.stream();
    let take = stream.walk.take;
    stream.walk.at += take;
    stream.walk.left -= take;
    stream.offset += take;
    if stream.walk.next == next::SKIP {
        stream.skipped += take;
        run.counts().add::<{ counter::BYTES_SKIPPED }>(take);
    } else {
        stream.walk.run += take;
    }
    0
}

/// Finds what comes next.
#[inline(never)]
fn find_next(run: &Run) -> u64 {
    let stream = run.stream();
    let least = |a: u64, b: u64| if a < b { a } else { b };
    if stream.state == state::UNSURE && stream.offset == stream.walk.boundary {
        stream.state = state::FRAMES;
    }
    let left = stream.walk.left;
    if stream.state >= state::UNSURE {
        let take = least(least(left, stream.walk.raw), MAX_PART as u64);
        let take = least(take, stream.walk.boundary.wrapping_sub(stream.offset));
        stream.walk.raw -= take;
        stream.unsure = stream.unsure.saturating_add(take as u32);
        stream.walk.next = if take == 0 { next::NOTHING } else { next::UP };
        stream.walk.take = take;
    } else if stream.left > 0 {
        let mut take = least(u64::from(stream.left), left);
        stream.walk.next = next::SKIP;
        if stream.data == 0 {
            take = least(take, MAX_PART as u64);
            stream.walk.next = next::UP;
        }
        stream.left -= take as u32;
        stream.walk.take = take;
    } else {
        stream.walk.next = next::HEAD;
        stream.walk.take = least(u64::from(stream.want.wrapping_sub(stream.have)), left);
    }
    0
}

/// Reads what comes of a header; out of step when it cannot be one.
#[inline(never)]
fn head(run: &Run) -> u64 {
    if !read(run) {
        fall_out(run.stream(), &run.counts());
    }
    0
}

/// Reads bytes of a header, and what it says once it is whole. `false`: it cannot be one.
#[inline(always)]
fn read(run: &Run) -> bool {
    let stream = run.stream();
    let have = stream.have;
    let Some(take) = bounds::within(stream.walk.take, u64::from(MOST)) else { return false };
    // One more, for zero is not let through.
    let Some(place) = bounds::within(u64::from(have) + 1, u64::from(MOST)) else { return false };
    const { assert!(2 * MOST as usize <= HEAD_ROOM) };
    // SAFETY: there is room for what is here already and what comes, which were checked; any address may be tried.
    let read = unsafe {
        let to = stream.head.as_mut_ptr().add(place as usize - 1);
        bpf_copy_from_user(to.cast(), take as u32, stream.walk.at as *const _)
    };
    if read != 0 {
        return false;
    }
    stream.have = have + take as u32;
    if stream.have < stream.want {
        return true;
    }
    if stream.want > HEADER {
        return counted(run);
    }
    let head = Head::new(&stream.head);
    if stream.state == state::FIRST {
        if stream.head[..8] == *b"PRI * HT" {
            // The rest of the client's preface (RFC 9113 section 3.4).
            stream.state = state::FRAMES;
            stream.data = 0;
            return ready(stream, 24 - HEADER);
        }
        if !head.is_first() {
            stream.state = state::OTHER;
            return true;
        }
        stream.state = state::FRAMES;
    }
    if !head.is_plausible() {
        return false;
    }
    match head.kind {
        RST_STREAM => stream.want = HEADER + 4,
        GOAWAY => stream.want = HEADER + 8,
        kind => {
            stream.data = if kind != DATA {
                0
            } else if head.flags & END_STREAM == 0 {
                1
            } else {
                ENDS
            };
            return ready(stream, head.len);
        }
    }
    true
}

/// The header is done with, its payload comes.
#[inline(always)]
fn ready(stream: &mut Stream, payload: u32) -> bool {
    stream.left = payload;
    stream.have = 0;
    stream.want = HEADER;
    true
}

/// Counts a reset whose error code is here.
#[inline(always)]
fn counted(run: &Run) -> bool {
    let stream = run.stream();
    let head = Head::new(&stream.head);
    let goaway = head.kind == GOAWAY;
    let code = if goaway {
        u32::from_be_bytes([stream.head[13], stream.head[14], stream.head[15], stream.head[16]])
    } else {
        u32::from_be_bytes([stream.head[9], stream.head[10], stream.head[11], stream.head[12]])
    };
    stream.walk.urgent = 1;
    if let Some(resets) = PLAIN_RESETS.get_ptr_mut(0) {
        Counts::new(resets).one_at(reset_at(run.direction, goaway, code));
    }
    stream.data = 0;
    let read = stream.want - HEADER;
    ready(stream, head.len.saturating_sub(read))
}

/// A frame header, read (RFC 9113 section 4.1).
struct Head {
    len: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    #[inline(always)]
    fn new(bytes: &[u8; HEAD_ROOM]) -> Self {
        Self {
            len: u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]),
            kind: bytes[3],
            flags: bytes[4],
            stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]),
        }
    }

    /// The first frame of a connection: SETTINGS.
    #[inline(always)]
    fn is_first(&self) -> bool {
        self.kind == 4 && self.flags & 1 == 0 && self.is_plausible()
    }

    #[inline(always)]
    const fn is_plausible(&self) -> bool {
        is_plausible(self.len, self.kind, self.stream)
    }

    /// It is plausible and as usual: for bytes that may be no header at all.
    #[inline(always)]
    fn is_likely(&self) -> bool {
        self.kind <= 9 && self.len <= 1 << 14 && self.is_plausible()
    }
}

/// At the beginning of a call, while it is unsure where frames begin: maybe user space has found that, or the call begins with a frame.
#[inline(always)]
fn unsure(run: &Run) {
    let stream = run.stream();
    if stream.unsure < UNSURE_BYTES {
        stream.walk.raw = u64::from(UNSURE_BYTES);
    }
    // SAFETY: a value of a map, which stays valid while the program runs.
    let generation = unsafe { (*run.connection).generation };
    let key = BoundaryKey { connection: run.id, generation, direction: u64::from(run.direction) };
    if let Some(boundary) = PLAIN_BOUNDARIES.get_ptr(key) {
        // SAFETY: as above.
        let boundary = unsafe { *boundary };
        if boundary >= stream.offset && boundary < stream.offset.wrapping_add(stream.walk.left) {
            stream.walk.boundary = boundary;
            stream.walk.raw = stream.walk.left;
            return;
        }
    }
    if begins_with_frames(&stream.walk) {
        stream.state = state::FRAMES;
    }
}

/// Whether this call begins with a likely header that leads to another one, or to the end of the call.
#[inline(always)]
fn begins_with_frames(walk: &Walk) -> bool {
    let Some(len) = likely(walk.at) else { return false };
    let end = u64::from(HEADER + len);
    end == walk.left || end + u64::from(HEADER) <= walk.left && likely(walk.at + end).is_some()
}

/// The length that a likely header says.
#[inline(always)]
fn likely(at: u64) -> Option<u32> {
    let bytes: [u8; HEADER as usize] = user::read(at)?;
    let mut room = [0; HEAD_ROOM];
    room[..HEADER as usize].copy_from_slice(&bytes);
    let head = Head::new(&room);
    head.is_likely().then_some(head.len)
}
