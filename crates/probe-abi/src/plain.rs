//! The plaintext probes: what processes write to TLS and read from it, as the kernel hands it up, and what it keeps of each connection.

use core::mem::offset_of;

use crate::part;

/// Stands in front of each record of the ring buffer; the bytes follow it.
///
/// Every record says where it stands in its stream, so that what is missing between two of them is known exactly: of the
/// difference of their offsets, the difference of [`skipped`](Self::skipped) was left out on purpose and the rest was lost.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainHeader {
    /// When: `CLOCK_MONOTONIC`, nanoseconds.
    pub time: u64,
    /// The library's object for the connection: an address in the process.
    pub object: u64,
    /// When the connection was first seen, nanoseconds: tells it from another at the same address.
    pub generation: u64,
    /// Counts the records of this direction, from 1 on; lost ones too.
    pub serial: u64,
    /// Bytes of the stream before those of this record, as far as the probes saw it.
    pub offset: u64,
    /// Payload of DATA frames among them that was left out on purpose.
    pub skipped: u64,
    /// The process, as the initial pid namespace names it.
    pub process: u32,
    /// Bytes of this record.
    pub len: u32,
    /// The descriptor of its socket, or -1: not known.
    pub descriptor: i32,
    /// [`LOCAL`] or [`PEER`].
    pub direction: u8,
    /// One of [`kind`].
    pub kind: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Zero.
    pub padding: u8,
    /// Payload of a DATA frame right behind the bytes that was left out on purpose.
    pub after: u32,
    /// Zero.
    pub padding_2: u32,
}

/// The probed process wrote the bytes.
pub const LOCAL: u8 = 0;
/// The other end wrote the bytes.
pub const PEER: u8 = 1;

/// What a record is.
pub mod kind {
    /// Bytes.
    pub const BYTES: u8 = 0;
    /// No bytes: where the direction ended. The connection is over; one for each direction, [`PEER`](super::PEER) last.
    pub const END: u8 = 1;
    /// The bytes are none of the stream: they name the handshake of the connection as a [`SecretRecord`](crate::secret::SecretRecord)
    /// is named, both randoms of TLS 1.2 (64 bytes) or Hash(ClientHello ‖ ServerHello) of TLS 1.3. Its place in a stream is 0.
    pub const NAME: u8 = 2;
}

/// What is known of a connection.
pub mod flag {
    /// Its handshake was seen to begin: nothing went before the first byte.
    pub const WHOLE: u8 = 1;
    /// The process is the TLS server.
    pub const SERVER: u8 = 2;
    /// The process is the TLS client.
    pub const CLIENT: u8 = 4;
    /// Where frames begin is not known here: everything is handed up, within bounds, and nothing is skipped.
    pub const UNSURE: u8 = 8;
}

impl PlainHeader {
    /// Bytes of a header.
    pub const LEN: usize = size_of::<Self>();

    /// A record of the ring buffer: the header and the bytes. `None`: it is shorter than it says.
    #[must_use]
    pub fn read(record: &[u8]) -> Option<(Self, &[u8])> {
        let word = |at| part(record, at).map(u32::from_ne_bytes);
        let long = |at| part(record, at).map(u64::from_ne_bytes);
        let byte = |at: usize| record.get(at).copied();
        let header = Self {
            time: long(offset_of!(Self, time))?,
            object: long(offset_of!(Self, object))?,
            generation: long(offset_of!(Self, generation))?,
            serial: long(offset_of!(Self, serial))?,
            offset: long(offset_of!(Self, offset))?,
            skipped: long(offset_of!(Self, skipped))?,
            process: word(offset_of!(Self, process))?,
            len: word(offset_of!(Self, len))?,
            descriptor: part(record, offset_of!(Self, descriptor)).map(i32::from_ne_bytes)?,
            direction: byte(offset_of!(Self, direction))?,
            kind: byte(offset_of!(Self, kind))?,
            flags: byte(offset_of!(Self, flags))?,
            padding: 0,
            after: word(offset_of!(Self, after))?,
            padding_2: 0,
        };
        let bytes = record.get(Self::LEN..)?.get(..header.len as usize)?;
        Some((header, bytes))
    }
}

/// Sizes of ring buffer records, header included: bytes take the smallest that holds them. The eight bytes missing from a power of two
/// are the ring buffer's own.
pub const SLOTS: [usize; 4] = [256 - 8, 1_024 - 8, 4_096 - 8, 16_384 - 8];

/// Most bytes in one record.
pub const MAX_PART: usize = match SLOTS.last() {
    Some(largest) => *largest - PlainHeader::LEN,
    None => 0,
};

/// Bytes of a direction that are handed up while it is unsure where frames begin. Behind them the beginning of each call goes up.
pub const UNSURE_BYTES: u32 = 1 << 20;
/// Bytes at the beginning of a call that are handed up where no frames are known.
pub const CALL_HEAD: u32 = 4_096;
/// Steps in one call: a frame takes one for its header and one for its payload. Behind them it is unsure where frames begin.
pub const MAX_STEPS: u32 = 64;

/// What RFC 9113 section 6 allows of a frame's header: its length, type and stream. Frames of unknown types may have any form, and
/// are taken for none when they are very long.
#[inline(always)]
#[must_use]
pub const fn is_plausible(len: u32, kind: u8, stream: u32) -> bool {
    let whole = stream & 0x7fff_ffff == 0;
    match kind {
        // DATA, HEADERS, CONTINUATION.
        0 | 1 | 9 => !whole,
        // PRIORITY, RST_STREAM.
        2 => len == 5 && !whole,
        3 => len == 4 && !whole,
        // SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE.
        4 => whole && len.is_multiple_of(6),
        5 => len >= 4 && !whole,
        6 => len == 8 && whole,
        7 => len >= 8 && whole,
        8 => len == 4,
        _ => len <= 1 << 16,
    }
}

/// A connection as the kernel knows it: by process and object.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectionKey {
    /// The library's object.
    pub object: u64,
    /// The process.
    pub process: u32,
    /// Zero.
    pub padding: u32,
}

impl ConnectionKey {
    /// The key of an object of a process.
    #[must_use]
    pub const fn new(process: u32, object: u64) -> Self {
        Self { object, process, padding: 0 }
    }

    /// As numbers.
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        [self.object, self.process as u64]
    }
}

/// What the kernel keeps of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// When it was first seen, nanoseconds.
    pub generation: u64,
    /// The thread whose writes are not the application's: the library writes again what it was given before. 0: none.
    pub inner_thread: u64,
    /// The descriptor of its socket, or -1.
    pub descriptor: i32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// What the process writes, and what it reads.
    pub streams: [Stream; 2],
}

/// Where a direction of a connection stands.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Bytes seen.
    pub offset: u64,
    /// Bytes of DATA left out among them.
    pub skipped: u64,
    /// Records made, lost ones too.
    pub serial: u64,
    /// Payload bytes left of the current frame.
    pub left: u32,
    /// Bytes handed up while unsure.
    pub unsure: u32,
    /// One of [`state`].
    pub state: u32,
    /// Bytes of the current header that are here.
    pub have: u32,
    /// Bytes that it takes to read the current header: nine, and of RST_STREAM and GOAWAY those up to the error code.
    pub want: u32,
    /// The current payload is that of a DATA frame: 1, or 2 where the frame ends its stream. 0: it is not.
    pub data: u32,
    /// The current header. Longer than any, for the verifier.
    pub head: [u8; HEAD_ROOM],
    /// The call whose bytes are followed. It lies here because the verifier would follow every value that it could have on the stack.
    pub walk: Walk,
}

/// Where the walk through the bytes of a call stands.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Where the next byte is in the process's memory.
    pub at: u64,
    /// Bytes of the call from there on.
    pub left: u64,
    /// Most of them that go up while no frames are known.
    pub raw: u64,
    /// Where in the stream a frame begins, while no frames are known.
    pub boundary: u64,
    /// Bytes before the next one that go up together, and have not yet.
    pub run: u64,
    /// Bytes from the next one on that are left out on purpose.
    pub after: u64,
    /// User space is woken for them.
    pub urgent: u64,
    /// What comes next in the stream, for the kernel alone.
    pub next: u64,
    /// How many bytes of it.
    pub take: u64,
}

/// Room for a frame's header and what is read of its payload.
pub const HEAD_ROOM: usize = 48;

/// How a direction is followed.
pub mod state {
    /// At its first bytes, which tell what it speaks.
    pub const FIRST: u32 = 0;
    /// HTTP/2, in step with its frames.
    pub const FRAMES: u32 = 1;
    /// Maybe HTTP/2: a call that begins with frames gets it into step.
    pub const UNSURE: u32 = 2;
    /// Something else.
    pub const OTHER: u32 = 3;
}

/// Bytes of a [`Connection`].
pub const CONNECTION: usize = size_of::<Connection>();

/// Where the directions of a connection stand, as far as the next record would tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// As in the records.
    pub generation: u64,
    /// Serial number, offset and skipped bytes of each direction after the last record.
    pub streams: [(u64, u64, u64); 2],
}

impl Standing {
    /// Reads a [`Connection`].
    #[must_use]
    pub fn read(bytes: &[u8; CONNECTION]) -> Option<Self> {
        let long = |at: usize| part(bytes, at).map(u64::from_ne_bytes);
        let stream = |at: usize| {
            let serial = long(at + offset_of!(Stream, serial))?;
            Some((serial, long(at + offset_of!(Stream, offset))?, long(at + offset_of!(Stream, skipped))?))
        };
        let first = offset_of!(Connection, streams);
        Some(Self {
            generation: long(offset_of!(Connection, generation))?,
            streams: [stream(first)?, stream(first + size_of::<Stream>())?],
        })
    }
}

impl Stream {
    /// Nothing seen.
    pub const EMPTY: Self = Self {
        offset: 0,
        skipped: 0,
        serial: 0,
        left: 0,
        unsure: 0,
        state: state::FIRST,
        have: 0,
        want: 9,
        data: 0,
        head: [0; HEAD_ROOM],
        walk: Walk { at: 0, left: 0, raw: 0, boundary: 0, run: 0, after: 0, urgent: 0, next: 0, take: 0 },
    };
}

impl Connection {
    /// Nothing known.
    pub const EMPTY: Self =
        Self { generation: 0, inner_thread: 0, descriptor: -1, flags: 0, streams: [Stream::EMPTY; 2] };
}

/// A call of a probed function that is under way, as its entry left it for its exit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The library's object.
    pub object: u64,
    /// The buffer.
    pub buffer: u64,
    /// Where the length is written. 0: it is returned.
    pub length: u64,
    /// One of [`function`].
    pub function: u32,
    /// Zero.
    pub padding: u32,
}

/// Names a [`Call`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallKey {
    /// Process and thread.
    pub thread: u64,
    /// The stack pointer at the function's entry.
    pub frame: u64,
}

/// What a probe's cookie says of its place. Bits 0 to 7: one of [`function`]; bits 16 to 31: how far below the function's first
/// instruction the stack pointer is there, in bytes.
#[must_use]
pub const fn cookie(function: u8, depth: u16) -> u64 {
    function as u64 | (depth as u64) << 16
}

/// What is probed. An object is always the first argument, a buffer the second.
pub mod function {
    /// `int SSL_write(ssl, buffer, length)`, `ssize_t gnutls_record_send(session, buffer, length)`: returns the length.
    pub const WRITE: u8 = 0;
    /// `int SSL_read(ssl, buffer, length)`, `ssize_t gnutls_record_recv(session, buffer, length)`: returns the length.
    pub const READ: u8 = 1;
    /// `int SSL_write_ex(ssl, buffer, length, *written)`: writes the length.
    pub const WRITE_EX: u8 = 2;
    /// `int SSL_read_ex(ssl, buffer, length, *read)`: writes the length.
    pub const READ_EX: u8 = 3;
    /// `int SSL_write_ex2(ssl, buffer, length, flags, *written)`: writes the length.
    pub const WRITE_EX2: u8 = 4;
    /// `SSL_free`, `gnutls_deinit`: the connection is over.
    pub const FREE: u8 = 5;
    /// `SSL_clear`: the connection, if there was one, is over, and the object serves another.
    pub const CLEAR: u8 = 6;
    /// `SSL_set_accept_state`, `SSL_accept`: a handshake as server begins.
    pub const ACCEPT: u8 = 7;
    /// `SSL_set_connect_state`, `SSL_connect`: a handshake as client begins.
    pub const CONNECT: u8 = 8;
    /// `gnutls_handshake`: a handshake begins, or goes on.
    pub const HANDSHAKE: u8 = 9;
    /// `SSL_set_fd` and its kin, `gnutls_transport_set_int2`: the second argument is the socket.
    pub const DESCRIPTOR: u8 = 10;
    /// `gnutls_record_uncork`: writes what it was given before.
    pub const UNCORK: u8 = 11;
    /// `SSL_do_handshake`: a handshake goes on inside of it.
    pub const STEP: u8 = 12;
}

/// What steers the probes, by [`config`].
pub type Config = [u32; config::COUNT];

/// Words of [`Config`].
pub mod config {
    /// Bits: [`LISTED`], [`COUNT_ONLY`], [`SOCKETS`], [`NAMES`].
    pub const FLAGS: usize = 0;
    /// Bytes in the ring buffer from which on user space is woken.
    pub const WAKE: usize = 1;
    /// How many words there are.
    pub const COUNT: usize = 2;

    /// Only processes of the process map.
    pub const LISTED: u32 = 1;
    /// Counts resets and hands nothing up.
    pub const COUNT_ONLY: u32 = 2;
    /// Looks for the sockets of connections.
    pub const SOCKETS: u32 = 4;
    /// Names handshakes.
    pub const NAMES: u32 = 8;
}

/// What the probes count on each processor.
///
/// Every call that moved bytes is in `CALLS`. Every record ends as one of three: `RECORDS = TAKEN + LOST_FULL + LOST_UNREAD`. Every byte
/// ends as one of four: `BYTES = BYTES_TAKEN + BYTES_SKIPPED + BYTES_LEFT + BYTES_LOST`.
pub mod counter {
    /// Calls that moved bytes.
    pub const CALLS: usize = 0;
    /// Records made.
    pub const RECORDS: usize = 1;
    /// Records handed up.
    pub const TAKEN: usize = 2;
    /// Records that found no room in the ring buffer.
    pub const LOST_FULL: usize = 3;
    /// Records whose bytes could not be read.
    pub const LOST_UNREAD: usize = 4;
    /// Bytes that calls moved.
    pub const BYTES: usize = 5;
    /// Bytes handed up.
    pub const BYTES_TAKEN: usize = 6;
    /// Bytes of DATA left out.
    pub const BYTES_SKIPPED: usize = 7;
    /// Bytes left out because what they are is not known, or because nothing is handed up.
    pub const BYTES_LEFT: usize = 8;
    /// Bytes of lost records.
    pub const BYTES_LOST: usize = 9;
    /// Times a direction fell out of step with its frames.
    pub const FELL_OUT: usize = 10;
    /// How many counters there are.
    pub const COUNT: usize = 11;
}

/// The counters of one processor, by [`counter`].
pub type Counters = [u64; counter::COUNT];

/// Names a place in a stream where user space knows that a frame begins. The value is its offset.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundaryKey {
    /// The connection.
    pub connection: ConnectionKey,
    /// Which of those that the object served.
    pub generation: u64,
    /// [`LOCAL`] or [`PEER`].
    pub direction: u64,
}

impl BoundaryKey {
    /// As numbers.
    #[must_use]
    pub const fn words(self) -> [u64; 4] {
        let [object, process] = self.connection.words();
        [object, process, self.generation, self.direction]
    }
}

/// Error codes that are counted: those of RFC 9113 section 7, and one for every other.
pub const CODES: usize = 15;
/// RST_STREAM and GOAWAY frames on one processor, by [`reset_at`].
pub type Resets = [u64; 4 * CODES];

/// Where [`Resets`] counts a frame with this error code.
#[must_use]
pub const fn reset_at(direction: u8, goaway: bool, code: u32) -> usize {
    let code = if code < CODES as u32 - 1 { code as usize } else { CODES - 1 };
    let kind = (direction & 1) as usize * 2 + goaway as usize;
    kind * CODES + code
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    #[test]
    fn the_layout_is_what_the_kernel_side_writes() {
        assert_eq!(PlainHeader::LEN, 72);
        assert_eq!(align_of::<PlainHeader>(), 8);
        let offsets = [
            offset_of!(PlainHeader, time),
            offset_of!(PlainHeader, object),
            offset_of!(PlainHeader, generation),
            offset_of!(PlainHeader, serial),
            offset_of!(PlainHeader, offset),
            offset_of!(PlainHeader, skipped),
            offset_of!(PlainHeader, process),
            offset_of!(PlainHeader, len),
            offset_of!(PlainHeader, descriptor),
            offset_of!(PlainHeader, direction),
            offset_of!(PlainHeader, kind),
            offset_of!(PlainHeader, flags),
            offset_of!(PlainHeader, after),
        ];
        assert_eq!(offsets, [0, 8, 16, 24, 32, 40, 48, 52, 56, 60, 61, 62, 64]);
        assert_eq!(size_of::<Stream>(), 168);
        assert_eq!(size_of::<Connection>(), 24 + 2 * 168);
        assert_eq!(size_of::<BoundaryKey>(), 32);
        assert_eq!(size_of::<ConnectionKey>(), 16);
        assert_eq!(size_of::<Call>(), 32);
    }

    #[test]
    fn slots_grow_and_leave_room_for_the_ring_buffers_own_header() {
        assert!(SLOTS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SLOTS.iter().all(|slot| (slot + 8).is_power_of_two() && *slot > PlainHeader::LEN));
    }

    #[test]
    fn a_record_is_read_and_a_short_one_is_not() {
        let mut record = vec![0; PlainHeader::LEN];
        record[8..16].copy_from_slice(&9u64.to_ne_bytes());
        record[48..52].copy_from_slice(&77u32.to_ne_bytes());
        record[52..56].copy_from_slice(&3u32.to_ne_bytes());
        record[56..60].copy_from_slice(&(-1i32).to_ne_bytes());
        record[60] = PEER;
        record[62] = flag::WHOLE | flag::SERVER;
        record.extend_from_slice(&[1, 2, 3, 4]);
        let (header, bytes) = PlainHeader::read(&record).unwrap();
        assert_eq!((header.object, header.process, header.descriptor, header.direction), (9, 77, -1, PEER));
        assert_eq!((header.flags, bytes), (3, &[1, 2, 3][..]));
        for len in 0..PlainHeader::LEN + 3 {
            assert!(PlainHeader::read(&record[..len]).is_none());
        }
    }

    #[test]
    fn frames_that_cannot_be() {
        for (len, kind, stream) in
            [(5, 0, 0), (4, 2, 1), (5, 3, 1), (4, 3, 0), (5, 4, 0), (6, 4, 1), (7, 6, 0), (5, 8, 1)]
        {
            assert!(!is_plausible(len, kind, stream), "{len} {kind} {stream}");
        }
        for (len, kind, stream) in
            [(0, 0, 1), (9, 1, 3), (4, 3, 1), (0, 4, 0), (12, 4, 0), (8, 6, 0), (99, 7, 0), (4, 8, 0)]
        {
            assert!(is_plausible(len, kind, stream), "{len} {kind} {stream}");
            assert!(is_plausible(len, kind, stream | 1 << 31), "the reserved bit is ignored");
        }
        assert!(is_plausible(1 << 16, 0xb, 0) && !is_plausible(0x68_74_74, b'p', 0));
    }

    #[test]
    fn every_reset_has_its_own_counter() {
        let mut seen = std::collections::BTreeSet::new();
        for direction in [LOCAL, PEER] {
            for goaway in [false, true] {
                for code in 0..CODES as u32 {
                    assert!(seen.insert(reset_at(direction, goaway, code)));
                }
                assert_eq!(reset_at(direction, goaway, u32::MAX), reset_at(direction, goaway, 14));
            }
        }
        assert_eq!(seen.into_iter().collect::<vec::Vec<_>>(), (0..4 * CODES).collect::<vec::Vec<_>>());
    }
}
