use std::net::SocketAddr;
use std::sync::Arc;

use h2watch::limits::Limits;
use h2watch::model::{
    HandshakeName, PacketBatch, PlainEnd, PlainId, PlainWhat, Plaintext, Process, Side, Time, Writer,
};
use h2watch_tests::traffic::frame;

use crate::input::Input;
use crate::pipeline::{Run, small};
use crate::world::{REQUEST, TEXTS};

/// What probes hand up of a few connections, in any order and with any holes: however it is cut into batches, it tells the same.
pub(crate) fn plaintext(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limits = if input.byte() & 1 == 0 { Limits::default() } else { small() };
    let mut items = Vec::new();
    let mut time = 1_000;
    while let Some(op) = input.op() {
        time += u64::from(op & 3);
        let connection = PlainId(u64::from(op >> 2 & 3));
        let by = if op & 0x10 == 0 { Writer::Local } else { Writer::Peer };
        items.push((Time(time), connection, read(&mut input, by)));
    }
    let told = run(&items, limits.clone(), 1);
    assert_eq!(told, run(&items, limits, 7), "batches make a difference");
}

/// Bytes beside what is no bytes.
enum Item {
    Bytes(Writer, Vec<u8>),
    What(PlainWhat),
}

fn read(input: &mut Input<'_>, by: Writer) -> Item {
    let end = |port| SocketAddr::from(([192, 0, 2, 1], port));
    match input.byte() % 13 {
        0 => {
            let ends = [PlainEnd::Freed, PlainEnd::ProcessEnded, PlainEnd::Evicted];
            Item::What(PlainWhat::Closed(ends[usize::from(input.byte()) % ends.len()]))
        }
        1 => Item::What(PlainWhat::Ends { local: end(input.u16()), peer: end(input.u16()) }),
        2 => {
            let flags = input.byte();
            let role = [None, Some(Side::Client), Some(Side::Server)][usize::from(flags >> 1) % 3];
            Item::What(PlainWhat::Opened { process: Arc::new(Process::default()), joined: flags & 1 != 0, role })
        }
        3 => Item::What(PlainWhat::Skipped { by, bytes: u64::from(input.u16()) }),
        4 => Item::What(PlainWhat::Lost { by, bytes: Some(u64::from(input.u16())).filter(|bytes| *bytes > 0) }),
        5 => Item::What(PlainWhat::Skipped { by, bytes: u64::from(input.u32()) << 32 }),
        6 => Item::Bytes(by, TEXTS[usize::from(input.byte()) % TEXTS.len()].to_vec()),
        7 => Item::Bytes(by, frame(1, 5, u32::from(input.byte()), REQUEST)),
        8 => Item::Bytes(by, input.short().to_vec()),
        12 => Item::What(PlainWhat::Name(HandshakeName::Transcript([input.byte(); 32]))),
        // The header of a DATA frame without its payload.
        9 => Item::Bytes(
            by,
            frame(0, input.byte(), u32::from(input.byte()), &vec![0; usize::from(input.byte())])[..9].to_vec(),
        ),
        _ => {
            let (kind, flags, stream) = (input.byte(), input.byte(), input.byte());
            Item::Bytes(by, frame(kind, flags, u32::from(stream), input.short()))
        }
    }
}

fn run(items: &[(Time, PlainId, Item)], limits: Limits, at_once: usize) -> Vec<String> {
    let mut run = Run::new(limits);
    let mut batch = PacketBatch::default();
    for items in items.chunks(at_once) {
        for (time, connection, item) in items {
            let what = match item {
                Item::What(what) => what.clone(),
                Item::Bytes(by, bytes) => {
                    let start = batch.arena.len() as u32;
                    batch.arena.extend_from_slice(bytes);
                    PlainWhat::Bytes { by: *by, start, len: bytes.len() as u32 }
                }
            };
            batch.plaintext.push(Plaintext { time: *time, connection: *connection, what });
        }
        run.batch(&mut batch);
    }
    run.finish()
}
