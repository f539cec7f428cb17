use h2_tap::{Auth, Connection, Limits, Side};
use h2watch_tests::traffic::frame;

use crate::input::Input;
use crate::log::Log;

/// What happens to a connection.
enum Op {
    Bytes(Side, Vec<u8>),
    Gap(Side, u64, u64),
    Time(u64),
    Auth(Auth),
}

/// How a run takes the bytes.
#[derive(Clone, Copy)]
struct Manner {
    late: bool,
    records: bool,
    small: bool,
    size: usize,
    skip: bool,
}

/// Runs a connection through pieces of both sides, frames and gaps: in any cut, and with bodies passed over, it tells the same.
pub(crate) fn h2_frames(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let ops = read(&mut input);
    let has = |bit: u8| flags & bit != 0;
    let manner = Manner { late: has(1), records: has(2), small: has(4), size: usize::MAX, skip: false };
    let whole = run(&ops, manner);
    // Where a record is forged the rest of the piece at hand is not read, so the cut matters.
    if ops.iter().any(|op| matches!(op, Op::Auth(Auth::Forged))) {
        return;
    }
    for size in [1, 10] {
        assert_eq!(whole, run(&ops, Manner { size, ..manner }), "in pieces of {size}");
    }
    if manner.records {
        assert_eq!(whole, run(&ops, Manner { size: 50, skip: true, ..manner }), "with bodies passed over");
    }
}

fn read(input: &mut Input<'_>) -> Vec<Op> {
    let mut ops = Vec::new();
    while let Some(op) = input.op() {
        let side = if op & 0x80 == 0 { Side::Client } else { Side::Server };
        ops.push(match op & 0x0f {
            0 | 1 => Op::Bytes(side, input.short().to_vec()),
            2 => Op::Bytes(side, input.long().to_vec()),
            3 => Op::Gap(side, u64::from(input.byte()), 0),
            4 => Op::Gap(side, u64::from(input.byte()), u64::from(input.u16())),
            5 => Op::Time(u64::from(input.byte())),
            6 => Op::Auth(match input.byte() & 3 {
                0 | 1 => Auth::Verified,
                2 => Auth::Unverified,
                _ => Auth::Forged,
            }),
            7 => Op::Bytes(side, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
            8 => {
                let (stream, flags) = (input.byte(), input.byte());
                Op::Bytes(side, frame(0, flags, u32::from(stream), &vec![7; usize::from(input.u16() & 0x3ff)]))
            }
            _ => {
                let (kind, flags, stream) = (input.byte(), input.byte(), input.byte());
                Op::Bytes(side, frame(kind, flags, u32::from(stream), input.short()))
            }
        });
    }
    ops
}

fn run(ops: &[Op], manner: Manner) -> Vec<String> {
    let limits = if manner.small {
        Limits { header_block: 100, header_table: 128, fields: 4, field_bytes: 200, streams: 3, closed_streams: 2 }
    } else {
        Limits::default()
    };
    let mut h2 = if manner.late { Connection::midstream(limits) } else { Connection::new(limits) };
    let (mut log, mut time, mut auth) = (Log::default(), 0, Auth::Verified);
    for op in ops {
        match op {
            Op::Time(by) => time += by,
            Op::Auth(new) => auth = *new,
            Op::Gap(side, min, more) => h2.gap(time, *side, *min, min + more, &mut log),
            Op::Bytes(side, bytes) => {
                deliver(&mut h2, &mut log, time, *side, bytes, auth, manner);
                // What was passed over to its end is said now.
                h2.data(time, *side, &[], false, &mut || auth, &mut log);
            }
        }
        assert!(h2.memory() < 4 << 20, "{} bytes", h2.memory());
        assert!(h2.open_streams() <= limits.streams);
    }
    h2.finish(time, &mut log);
    assert_eq!(log.requests, log.ends, "each request ends once");
    log.said
}

fn deliver(h2: &mut Connection<u32>, log: &mut Log, time: u64, side: Side, bytes: &[u8], auth: Auth, manner: Manner) {
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if manner.skip {
            if rest.len() >= 9 {
                h2.peek(time, side, &rest[..9], log);
            }
            let skipped = h2.skippable(side).min(manner.size.min(rest.len()) as u64);
            if skipped > 0 {
                h2.skipped(side, skipped);
                at += skipped as usize;
                continue;
            }
        }
        let part = &rest[..manner.size.min(rest.len())];
        h2.data(time, side, part, manner.records && at == 0, &mut || auth, log);
        at += part.len();
    }
}
