use super::*;

/// A connection with requests on streams 1, 3 and 5, whose responses have begun.
fn busy() -> Tap {
    let mut tap = Tap::new();
    tap.record(Client, &[get(1, "/1"), get(3, "/3"), get(5, "/5")].concat());
    tap.record(Server, &[ok(1), ok(3), ok(5)].concat());
    tap.events();
    tap
}

#[test]
fn a_gap_inside_data_loses_nothing() {
    let mut tap = busy();
    tap.record(Server, &body(1, true, &[0; 1_000])[..109]);
    tap.gap(Server, 900, 900);
    assert!(tap.h2.in_sync(Server));
    tap.record(Server, &rst(3, 0xd));
    let events = tap.events();
    assert_eq!(events[0], "0 end 1 /1 Complete AfterEnd bytes=1000");
    assert!(events[1].contains("reset 3 HTTP_1_1_REQUIRED by Server InBody /3"));
}

#[test]
fn a_gap_beyond_data_or_of_unknown_length_loses_the_place() {
    for (min, max) in [(901, 901), (899, 900)] {
        let mut tap = busy();
        tap.record(Server, &body(1, true, &[0; 1_000])[..109]);
        tap.gap(Server, min, max);
        assert!(!tap.h2.in_sync(Server));
        assert_eq!(tap.events(), ["0 Server LostSync"]);
    }
}

#[test]
fn gaps_longer_than_any_stream_are_survived() {
    let mut tap = busy();
    for _ in 0..3 {
        tap.gap(Server, u64::MAX - 7, u64::MAX - 7);
        tap.record(Server, &[0x55; 40]);
    }
    assert!(!tap.h2.in_sync(Server));
    tap.record(Server, &[window(0), window(0), window(0)].concat());
    assert!(tap.events().iter().all(|event| !event.contains("reset")));
}

#[test]
fn after_a_gap_what_was_held_is_told_in_order_with_its_times() {
    let mut tap = busy();
    tap.gap(Server, 1, 1_000);
    tap.events();
    tap.time = 1;
    tap.record(Server, &[0x55; 40]);
    tap.time = 2;
    tap.record(Server, &rst(3, 0xd));
    assert_eq!(tap.events(), [""; 0], "one header is not enough");
    tap.time = 3;
    tap.record(Server, &body(1, true, b"tail"));
    tap.time = 4;
    tap.record(Server, &window(0));
    tap.time = 5;
    tap.record(Server, &window(0));
    assert!(tap.h2.in_sync(Server));
    assert_eq!(
        tap.events(),
        [
            "2 reset 3 HTTP_1_1_REQUIRED by Server InBody /3 verified=true",
            "2 end 3 /3 Reset(HTTP_1_1_REQUIRED) InBody bytes=0",
            "3 end 1 /1 Complete AfterEnd bytes=4",
        ]
    );
    tap.time = 6;
    assert_eq!(tap.finish(), ["6 end 5 /5 Unknown InBody bytes=0"], "its end may have been lost");
}

#[test]
fn a_stream_that_lives_after_the_gap_is_not_doubtful() {
    let mut tap = busy();
    tap.gap(Server, 1, 1_000);
    for id in [1, 3, 1, 3] {
        tap.record(Server, &body(id, false, b"x"));
    }
    tap.events();
    assert_eq!(
        tap.finish(),
        [
            "0 end 1 /1 Closed(None) InBody bytes=2",
            "0 end 3 /3 Closed(None) InBody bytes=2",
            "0 end 5 /5 Unknown InBody bytes=0"
        ]
    );
}

#[test]
fn a_reset_after_lost_server_bytes_does_not_claim_that_no_response_began() {
    let mut tap = Tap::new();
    tap.record(Client, &get(1, "/1"));
    tap.gap(Server, 50, 50);
    tap.record(Server, &window(0));
    tap.record(Server, &window(0));
    tap.record(Server, &rst(1, 0xd));
    assert!(has(&tap.finish(), "reset 1 HTTP_1_1_REQUIRED by Server Unknown /1"));
}

#[test]
fn a_body_that_contains_http2_makes_no_finding() {
    let fake: Vec<u8> = (0..40).flat_map(|_| [rst(1, 0xd), rst(3, 0xd), goaway(1, 2)].concat()).collect();
    let mut inner = fake.clone();
    inner.resize(16_000, 0x20);
    let bytes = [body(1, false, &inner), body(1, false, &inner), body(1, false, &inner), rst(5, 0xd)].concat();
    // Every first byte of a record after the gap, in every phase of the fake frames and with every size of record.
    for (start, size) in (0..43).flat_map(|n| [(9 + n, 500), (9 + n, 1_370), (9 + n, 8_192)]) {
        for records in [true, false] {
            let mut tap = busy();
            tap.gap(Server, 1, 100_000);
            for part in bytes[start..].chunks(size) {
                tap.h2.data(0, Server, part, records, &mut || Auth::Verified, &mut tap.log);
            }
            let events = tap.finish();
            let false_finding = events
                .iter()
                .find(|event| event.contains("goaway") || event.contains("reset 1") || event.contains("reset 3"));
            assert_eq!(false_finding, None, "start {start} size {size} records {records}");
        }
    }
}

#[test]
fn two_chains_that_survive_are_both_not_believed() {
    let mut tap = busy();
    tap.gap(Server, 1, 1_000);
    tap.events();
    // The first record may be the true chain, the second begins inside its DATA and chains as well.
    let outer = body(1, false, &[rst(3, 0xd), rst(5, 0xd), window(0), rst(3, 1)].concat());
    tap.record(Server, &outer[..9]);
    for part in [rst(3, 0xd), rst(5, 0xd), window(0)] {
        tap.record(Server, &part);
    }
    assert_eq!(tap.events(), [""; 0]);
    assert!(!tap.h2.in_sync(Server));
}

#[test]
fn joined_late_with_few_small_records_on_both_sides() {
    let mut tap = Tap::with(Connection::midstream(Limits::default()));
    tap.record(Client, &get(41, "/a"));
    tap.record(Server, &ok(41));
    tap.record(Server, &body(41, true, b""));
    tap.record(Client, &get(43, "/b"));
    tap.record(Server, &rst(43, 0xd));
    let events = tap.finish();
    assert!(has(&events, "end 41 /a Complete"), "{events:?}");
    assert!(has(&events, "reset 43 HTTP_1_1_REQUIRED by Server BeforeResponse /b"), "{events:?}");
    assert!(has(&events, "end 43 /b Reset"));
}

#[test]
fn joined_late_a_lone_reset_is_found_at_the_end() {
    for records in [true, false] {
        let mut tap = Tap::with(Connection::midstream(Limits::default()));
        tap.h2.data(0, Server, &rst(43, 0xd), records, &mut || Auth::Verified, &mut tap.log);
        assert_eq!(tap.events(), [""; 0]);
        let events = tap.finish();
        let reset = "0 reset 43 HTTP_1_1_REQUIRED by Server Unknown - verified=true";
        assert_eq!(events, [reset, "0 end 43 - Reset(HTTP_1_1_REQUIRED) Unknown bytes=0"], "records {records}");
    }
}

#[test]
fn joined_late_in_the_middle_of_a_frame_of_clear_bytes() {
    let mut tap = Tap::with(Connection::midstream(Limits::default()));
    tap.data(Server, &[0xaa; 5_000]);
    for _ in 0..3 {
        tap.data(Server, &body(9, false, &[0xaa; 10_000]));
    }
    tap.data(Server, &rst(9, 0xd));
    assert!(tap.h2.in_sync(Server));
    assert!(has(&tap.events(), "reset 9 HTTP_1_1_REQUIRED by Server InBody"));
}

#[test]
fn a_lone_reset_after_the_rest_of_a_lost_body_is_found_at_the_end() {
    let mut tap = busy();
    tap.gap(Server, 4_096, 4_096);
    tap.record(Server, &[b'x'; 963]);
    tap.record(Server, &rst(1, 0xd));
    assert!(has(&tap.finish(), "reset 1 HTTP_1_1_REQUIRED by Server InBody /1"));
}

#[test]
fn what_never_became_sure_is_dropped_and_said() {
    let mut tap = busy();
    tap.gap(Server, 1, 1_000);
    tap.events();
    tap.record(Server, &[0x55; 300]);
    tap.record(Server, &rst(1, 0xd)[..12]);
    let events = tap.finish();
    assert_eq!(events[0], "0 Server LostSync");
    assert_eq!(events[1], "0 end 1 /1 Unknown InBody bytes=0");
    assert_eq!(events.len(), 4);
}

#[test]
fn hpack_entries_from_before_a_gap_are_unknown_after_it() {
    let mut tap = Tap::new();
    let mut encoder = httlib_hpack::Encoder::default();
    let mut request = |id: u32| {
        let mut out = Vec::new();
        // The first time it enters the dynamic table, then it is an index.
        let flags = httlib_hpack::Encoder::BEST_FORMAT | httlib_hpack::Encoder::WITH_INDEXING;
        encoder.encode((b":path".to_vec(), b"/indexed".to_vec(), flags), &mut out).unwrap();
        frame(kind::HEADERS, 0x5, id, &out)
    };
    tap.record(Client, &request(1));
    tap.record(Client, &request(3));
    assert!(has(&tap.events(), "Request 3 :path=/indexed"));
    tap.gap(Client, 10, 10);
    tap.events();
    for id in [5, 7, 9, 11] {
        tap.record(Client, &request(id));
    }
    let events = tap.finish();
    assert!(has(&events, "Request 5 ?=?"), "{events:?}");
    assert!(!has(&events, "/indexed end="), "{events:?}");
}

#[test]
fn a_search_costs_the_same_for_every_byte() {
    // Sixteen times the bytes, held in no more memory.
    let mut tap = busy();
    tap.gap(Server, 1, 1_000);
    let mut most = 0;
    for n in 0..4_096u32 {
        let noise: Vec<u8> = (0..64u32).map(|i| (n.wrapping_mul(31).wrapping_add(i * 7) % 11) as u8).collect();
        tap.record(Server, &noise);
        most = most.max(tap.h2.memory());
    }
    assert!(most < 2 << 20);
}
