use probe_abi::plain::LOCAL;

use super::*;

/// A record of process 7 and object 1.
fn header(serial: u64, offset: u64, skipped: u64, len: usize) -> PlainHeader {
    PlainHeader {
        time: serial,
        object: 1,
        generation: 5,
        serial,
        offset,
        skipped,
        process: 7,
        len: len as u32,
        descriptor: -1,
        direction: LOCAL,
        kind: kind::BYTES,
        flags: flag::WHOLE | flag::SERVER,
        ..PlainHeader::default()
    }
}

/// What became of records, in words.
fn run(streams: &mut Streams, records: &[(PlainHeader, &[u8])]) -> Vec<String> {
    let mut batch = PacketBatch::default();
    let mut process = |pid| Arc::new(Process { pid, ..Process::default() });
    for (header, bytes) in records {
        streams.take(header, bytes, Time(header.time), &mut process, &mut batch);
    }
    words(&batch)
}

fn words(batch: &PacketBatch<'static>) -> Vec<String> {
    let word = |item: &Plaintext| {
        let id = item.connection.0;
        match &item.what {
            PlainWhat::Opened { joined, role, process } => format!("{id} opened {} {joined} {role:?}", process.pid),
            PlainWhat::Ends { local, peer } => format!("{id} ends {local} {peer}"),
            PlainWhat::Name(HandshakeName::Transcript(name)) => format!("{id} transcript {:?}", &name[..2]),
            PlainWhat::Name(HandshakeName::Randoms { client, server }) => {
                format!("{id} randoms {:?} {:?}", &client[..2], &server[..2])
            }
            PlainWhat::Bytes { by, start, len } => {
                format!("{id} {by:?} {:?}", &batch.arena[*start as usize..][..*len as usize])
            }
            PlainWhat::Skipped { by, bytes } => format!("{id} {by:?} skipped {bytes}"),
            PlainWhat::Lost { by, bytes } => format!("{id} {by:?} lost {bytes:?}"),
            PlainWhat::Closed(PlainEnd::Freed) => format!("{id} closed"),
            PlainWhat::Closed(end) => format!("{id} closed {end:?}"),
        }
    };
    batch.plaintext.iter().map(word).collect()
}

#[test]
fn a_handshake_is_named_once() {
    let name = |len| PlainHeader { kind: kind::NAME, ..header(0, 0, 0, len) };
    let mut streams = Streams::new(8);
    let mut randoms = [1; 64];
    randoms[32..].fill(2);
    let told = run(&mut streams, &[(name(64), &randoms), (name(48), &[3; 48]), (header(1, 0, 0, 2), b"ab")]);
    assert_eq!(told, ["1 opened 7 false Some(Server)", "1 randoms [2, 2] [1, 1]", "1 Local [97, 98]"]);
    let mut streams = Streams::new(8);
    let told = run(&mut streams, &[(name(31), &[4; 31]), (name(48), &[3; 48])]);
    assert_eq!(told, ["1 opened 7 false Some(Server)", "1 transcript [3, 3]"]);
    assert_eq!(streams.counts.malformed, 1);
}

#[test]
fn what_is_missing_is_skipped_or_lost() {
    let mut streams = Streams::new(10);
    let mut skips = header(1, 0, 0, 2);
    skips.after = 5;
    let records = [
        (skips, &[1, 2][..]),
        (header(2, 7, 5, 1), &[3][..]),
        (header(3, 18, 15, 1), &[4][..]),
        // A record was lost, and 20 bytes with it, 15 of which were of DATA.
        (header(5, 39, 30, 1), &[5][..]),
        // A call that moved nobody knows how much.
        (header(7, 40, 30, 1), &[6][..]),
        // Bytes that the kernel left out.
        (header(8, 50, 30, 1), &[7][..]),
    ];
    let found = run(&mut streams, &records);
    assert_eq!(
        found,
        [
            "1 opened 7 false Some(Server)",
            "1 Local [1, 2]",
            "1 Local skipped 5",
            "1 Local [3]",
            "1 Local skipped 10",
            "1 Local [4]",
            "1 Local lost Some(20)",
            "1 Local [5]",
            "1 Local lost None",
            "1 Local [6]",
            "1 Local lost Some(9)",
            "1 Local [7]",
        ]
    );
    assert_eq!((streams.counts.lost_records, streams.counts.lost_bytes), (2, 5 + 9));
}

#[test]
fn an_object_is_used_again() {
    let mut streams = Streams::new(10);
    let end = |direction, generation| PlainHeader { kind: kind::END, direction, generation, ..header(2, 1, 0, 0) };
    let mut next = header(1, 0, 0, 1);
    next.generation = 6;
    let late = header(9, 90, 0, 1);
    let unused = PlainHeader { offset: 0, serial: 1, object: 2, ..end(PEER, 5) };
    let found = run(
        &mut streams,
        &[
            (header(1, 0, 0, 1), &[1][..]),
            (end(LOCAL, 5), &[]),
            (PlainHeader { offset: 0, serial: 1, ..end(PEER, 5) }, &[]),
            (next, &[2]),
            // Its end was lost.
            (PlainHeader { generation: 7, ..next }, &[3]),
            (late, &[4]),
            (unused, &[]),
        ],
    );
    let opened = |id: u64| format!("{id} opened 7 false Some(Server)");
    assert_eq!(
        found,
        [
            opened(1),
            "1 Local [1]".into(),
            "1 closed".into(),
            opened(2),
            "2 Local [2]".into(),
            "2 closed".into(),
            opened(3),
            "3 Local [3]".into(),
        ]
    );
    assert_eq!(streams.counts.malformed, 1, "a record of an earlier connection");
}

#[test]
fn the_one_used_longest_ago_goes_first() {
    let mut streams = Streams::new(2);
    let of = |object: u64, serial: u64| PlainHeader { object, ..header(serial, serial - 1, 0, 1) };
    let records: Vec<(PlainHeader, &[u8])> =
        [(1, 1), (2, 1), (1, 2), (3, 1)].map(|(object, serial)| (of(object, serial), &[0][..])).to_vec();
    let found = run(&mut streams, &records);
    assert_eq!(found.iter().filter(|word| word.contains("closed")).collect::<Vec<_>>(), ["2 closed Evicted"]);
    assert_eq!((streams.known.len(), streams.order.len(), streams.counts.evicted), (2, 2, 1));
}

#[test]
fn one_that_was_forgotten_and_speaks_again_has_lost_nothing_but_its_past() {
    let mut streams = Streams::new(1);
    let other = PlainHeader { object: 2, generation: 6, ..header(1, 0, 0, 1) };
    run(&mut streams, &[(header(1, 0, 0, 3), &[1, 2, 3][..]), (other, &[0])]);
    // It has gone on meanwhile, and nobody listened.
    let again = header(9, 1_000, 700, 1);
    let peer = PlainHeader { direction: PEER, ..header(4, 60, 0, 1) };
    let standing = Standing { generation: 5, streams: [(9, 1_001, 700), (3, 60, 0)] };
    let mut found = run(&mut streams, &[(again, &[4][..])]);
    let mut batch = PacketBatch::default();
    streams.catch_up(streams.keys()[0], Some(standing), &mut batch);
    found.extend(words(&batch));
    found.extend(run(&mut streams, &[(peer, &[5][..]), (header(10, 1_003, 700, 1), &[6][..])]));
    let wanted = [
        "2 closed Evicted",
        "3 opened 7 true Some(Server)",
        "3 Local lost None",
        "3 Local [4]",
        "3 Peer lost None",
        "3 Peer [5]",
        "3 Local lost Some(2)",
        "3 Local [6]",
    ];
    assert_eq!(found, wanted);
    assert_eq!((streams.counts.lost_records, streams.counts.lost_bytes), (0, 2));
    // A new one is whole, though it takes the place of another.
    let new = PlainHeader { object: 3, generation: 7, ..header(1, 0, 0, 1) };
    let found = run(&mut streams, &[(new, &[7])]);
    assert_eq!(found, ["3 closed Evicted", "4 opened 7 false Some(Server)", "4 Local [7]"]);
}

#[test]
fn connections_end_with_their_process() {
    let mut streams = Streams::new(10);
    let of = |process, object| PlainHeader { process, object, ..header(1, 0, 0, 1) };
    run(&mut streams, &[(of(7, 1), &[0][..]), (of(8, 1), &[0]), (of(7, 2), &[0])]);
    let mut batch = PacketBatch::default();
    assert_eq!(streams.ended(7, Time(9), &mut batch).len(), 2);
    assert_eq!(words(&batch), ["1 closed ProcessEnded", "3 closed ProcessEnded"]);
    assert!(batch.plaintext.iter().all(|item| item.time == Time(9)));
    assert_eq!(streams.keys().len(), 1);
}

#[test]
fn after_losses_the_kernels_own_table_is_asked() {
    let mut streams = Streams::new(10);
    run(&mut streams, &[(header(1, 0, 0, 3), &[1, 2, 3][..])]);
    let key = streams.keys()[0];
    let mut batch = PacketBatch::default();
    let standing = Standing { generation: 5, streams: [(4, 30, 10), (0, 0, 0)] };
    streams.catch_up(key, Some(standing), &mut batch);
    assert_eq!(words(&batch), ["1 Local lost Some(27)"]);
    assert_eq!(run(&mut streams, &[(header(5, 31, 11, 0), &[][..])]), ["1 Local skipped 1"]);
    let mut batch = PacketBatch::default();
    streams.catch_up(key, None, &mut batch);
    assert_eq!(words(&batch), ["1 closed"]);
}

#[test]
fn sockets_are_looked_for_for_a_while() {
    let mut streams = Streams::new(100);
    let mut hopeless = Hopeless::default();
    for object in 1..=u64::from(Hopeless::ENOUGH) {
        run(&mut streams, &[(PlainHeader { object, time: 0, ..header(1, 0, 0, 1) }, &[0][..])]);
    }
    assert!(streams.searches(Time(SEARCH - 1), &mut hopeless));
    assert!(!streams.searches(Time(SEARCH), &mut hopeless));
    let late = PlainHeader { object: 99, time: SEARCH, ..header(1, 0, 0, 1) };
    run(&mut streams, &[(late, &[0])]);
    assert!(!streams.searches(Time(SEARCH + 1), &mut hopeless), "never found in this process");
    hopeless.found(7);
    assert!(streams.searches(Time(SEARCH + 1), &mut hopeless));
    run(&mut streams, &[(PlainHeader { descriptor: 4, ..PlainHeader { object: 99, ..header(2, 1, 0, 1) } }, &[0])]);
    assert!(!streams.searches(Time(SEARCH + 1), &mut hopeless));
    assert_eq!(streams.sockets().len(), 1);
}

#[test]
fn hostile_records_do_no_harm() {
    let mut streams = Streams::new(3);
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    };
    let mut batch = PacketBatch::default();
    let mut process = |pid| Arc::new(Process { pid, ..Process::default() });
    for _ in 0..20_000 {
        let any = |random: &mut dyn FnMut() -> u64| if random().is_multiple_of(8) { u64::MAX } else { random() % 16 };
        let header = PlainHeader {
            time: random(),
            object: random() % 5,
            generation: random() % 4,
            serial: any(&mut random),
            offset: any(&mut random),
            skipped: any(&mut random),
            process: 1,
            len: 9,
            descriptor: -1,
            direction: (random() % 3) as u8,
            kind: (random() % 3) as u8,
            flags: random() as u8,
            after: random() as u32,
            ..PlainHeader::default()
        };
        streams.take(&header, &[0, 0, 4, 8, 0, 0, 0, 0, 0], Time(header.time), &mut process, &mut batch);
        assert!(streams.known.len() <= 3 && streams.order.len() <= 3);
    }
}
