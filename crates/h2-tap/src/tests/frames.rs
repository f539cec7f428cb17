use super::*;
use crate::frame::flag;

#[test]
fn a_request_its_response_and_a_reset_of_another() {
    let mut tap = Tap::new();
    tap.data(Client, &[frame(kind::SETTINGS, 0, 0, &[]), get(1, "/a"), get(3, "/b")].concat());
    tap.data(Server, &[frame(kind::SETTINGS, 0, 0, &[]), ok(1), body(1, true, b"hello"), rst(3, 0xd)].concat());
    assert_eq!(
        tap.finish(),
        [
            "0 Request 1 :method=GET,:scheme=https,:authority=a,:path=/a end=true",
            "0 Request 3 :method=GET,:scheme=https,:authority=a,:path=/b end=true",
            "0 Server Response 1 :status=200",
            "0 end 1 /a Complete AfterEnd bytes=5",
            "0 reset 3 HTTP_1_1_REQUIRED by Server BeforeResponse /b verified=true",
            "0 end 3 /b Reset(HTTP_1_1_REQUIRED) BeforeResponse bytes=0",
        ]
    );
}

#[test]
fn frames_that_say_nothing_pass_without_a_word() {
    let mut tap = Tap::new();
    tap.data(Client, &get(1, "/"));
    tap.events();
    let all = [
        window(0),
        window(1),
        frame(kind::PING, 0, 0, &[0; 8]),
        frame(kind::PRIORITY, 0, 1, &[0; 5]),
        frame(kind::ALTSVC, 0, 0, &[0; 7]),
        frame(kind::ORIGIN, 0, 0, b"\0\x01a"),
        frame(kind::PRIORITY_UPDATE, 0, 0, &[0; 9]),
        frame(0xee, 0xff, 9, &[1; 300]),
        frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]),
        frame(kind::SETTINGS, flag::ACK, 0, &[]),
    ]
    .concat();
    tap.data(Server, &all);
    assert_eq!(tap.events(), [""; 0]);
    assert!(tap.h2.in_sync(Server));
}

#[test]
fn padding_is_no_body_and_no_header() {
    let mut tap = Tap::new();
    let mut fields = vec![3];
    fields.extend([0, 0, 0, 0, 0]);
    fields.extend(block(&[(":method", "GET"), (":path", "/p")]));
    fields.extend([0xff; 3]);
    tap.data(Client, &frame(kind::HEADERS, 0x2d, 1, &fields));
    tap.data(Server, &ok(1));
    tap.data(Server, &frame(kind::DATA, 0x9, 1, b"\x04bodyxxxx"));
    let events = tap.finish();
    assert!(has(&events, "Request 1 :method=GET,:path=/p"));
    assert!(has(&events, "end 1 /p Complete AfterEnd bytes=4"));
    assert_eq!(events.len(), 3);
}

#[test]
fn more_padding_than_payload_is_said() {
    let mut tap = Tap::new();
    tap.data(Client, &frame(kind::HEADERS, 0xc, 1, &[9, 0x82]));
    tap.data(Client, &get(3, "/next"));
    tap.data(Server, &frame(kind::DATA, 0x8, 3, &[200, 1]));
    let events = tap.finish();
    assert_eq!(events[0], "0 Client Padding");
    assert!(events[1].contains("Request 1 ?=?"), "{events:?}");
    assert!(has(&events, "/next"));
    assert!(has(&events, "Server Padding"));
}

#[test]
fn a_block_in_continuations() {
    let mut tap = Tap::new();
    let bytes = block(&[(":method", "GET"), (":path", "/long")]);
    tap.data(Client, &frame(kind::HEADERS, 0x1, 1, &bytes[..1]));
    tap.data(Client, &frame(kind::CONTINUATION, 0, 1, &[]));
    tap.data(Client, &frame(kind::CONTINUATION, 0, 1, &bytes[1..4]));
    tap.data(Client, &frame(kind::CONTINUATION, 0x4, 1, &bytes[4..]));
    assert_eq!(tap.events(), ["0 Request 1 :method=GET,:path=/long end=true"]);
}

#[test]
fn a_flood_of_continuations_is_bounded_and_the_stream_goes_on() {
    let mut tap = Tap::new();
    tap.data(Client, &frame(kind::HEADERS, 0x1, 1, &[0x82]));
    let more = frame(kind::CONTINUATION, 0, 1, &[0x82; 10_000]);
    for _ in 0..200 {
        tap.data(Client, &more);
        assert!(tap.h2.memory() < 1 << 20);
    }
    tap.data(Client, &frame(kind::CONTINUATION, 0x4, 1, &[0x82]));
    tap.data(Client, &get(3, "/after"));
    let events = tap.events();
    assert_eq!(events[0], "0 Client HeaderBlockTooLong");
    assert_eq!(events[1], "0 Request 1 ?=? end=true");
    assert!(events[2].contains("/after"));
    assert_eq!(events.len(), 3);
}

#[test]
fn a_frame_inside_a_block_and_a_continuation_outside() {
    let mut tap = Tap::new();
    tap.data(Client, &frame(kind::HEADERS, 0x1, 1, &[0x82]));
    tap.data(Client, &rst(1, 8));
    tap.data(Client, &frame(kind::CONTINUATION, 0x4, 1, &[0x82]));
    let events = tap.events();
    assert_eq!(events[0], "0 Client Continuation");
    assert!(has(&events, "reset 1 CANCEL by Client"));
    assert_eq!(events.last().unwrap(), "0 Client Continuation");
}

#[test]
fn bad_hpack_costs_the_fields_only() {
    let mut tap = Tap::new();
    tap.data(Client, &frame(kind::HEADERS, 0x5, 1, &[0x80]));
    tap.data(Server, &rst(1, 0xd));
    let events = tap.events();
    assert_eq!(events[..2], ["0 Client Hpack", "0 Request 1 ?=? end=true"]);
    assert!(events[2].contains("reset 1 HTTP_1_1_REQUIRED by Server BeforeResponse"));
}

#[test]
fn one_wrong_frame_is_said_and_passed() {
    for (bytes, anomaly) in [
        (frame(kind::RST_STREAM, 0, 1, &[0; 5]), "FrameSize"),
        (frame(kind::RST_STREAM, 0, 0, &[0; 4]), "StreamId"),
        (frame(kind::GOAWAY, 0, 3, &[0; 8]), "StreamId"),
        (frame(kind::GOAWAY, 0, 0, &[0; 7]), "FrameSize"),
        (frame(kind::SETTINGS, 0, 0, &[0; 7]), "FrameSize"),
        (frame(kind::SETTINGS, 0, 1, &[0; 6]), "StreamId"),
        (frame(kind::PING, 0, 0, &[0; 9]), "FrameSize"),
        (frame(kind::WINDOW_UPDATE, 0, 1, &[0; 3]), "FrameSize"),
        (frame(kind::DATA, 0, 0, &[0; 3]), "StreamId"),
        (frame(kind::DATA, 0, 1, &[0; 20_000]), "FrameTooLong"),
        (frame(kind::HEADERS, 0x20, 1, &[0; 3]), "FrameSize"),
    ] {
        let mut tap = Tap::new();
        tap.data(Client, &get(1, "/"));
        tap.events();
        tap.data(Server, &bytes);
        tap.data(Server, &rst(1, 0xd));
        let events = tap.events();
        assert_eq!(events[0], format!("0 Server {anomaly}"));
        assert!(has(&events, "reset 1 HTTP_1_1_REQUIRED"), "{events:?}");
        assert!(tap.h2.in_sync(Server));
    }
}

#[test]
fn bytes_that_are_no_frames_lose_the_place() {
    let mut tap = Tap::new();
    tap.data(Server, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(tap.events(), ["0 Server FrameTooLong", "0 Server LostSync"]);
    assert!(!tap.h2.in_sync(Server));
    assert!(tap.h2.in_sync(Client));
}

#[test]
fn a_preface_may_be_missing() {
    let mut tap = Tap::with(Connection::new(Limits::default()));
    tap.data(Client, &get(1, "/bare"));
    assert!(has(&tap.events(), "/bare"));
}

#[test]
fn settings_raise_the_frame_size() {
    let mut tap = Tap::new();
    tap.data(Client, &frame(kind::SETTINGS, 0, 0, &[0, 5, 0, 1, 0, 0]));
    tap.data(Client, &get(1, "/"));
    tap.events();
    tap.data(Server, &[frame(kind::SETTINGS, flag::ACK, 0, &[]), ok(1), body(1, true, &[0; 60_000])].concat());
    assert_eq!(tap.events()[1..], ["0 end 1 / Complete AfterEnd bytes=60000"]);
}

#[test]
fn a_forged_record_takes_the_finding_and_the_place() {
    let mut tap = Tap::new();
    tap.data(Client, &get(1, "/"));
    tap.events();
    tap.h2.data(0, Server, &[rst(1, 0xd), rst(1, 0xd)].concat(), true, &mut || Auth::Forged, &mut tap.log);
    assert_eq!(tap.events(), ["0 Server LostSync"]);
    assert!(!tap.h2.in_sync(Server));
}

#[test]
fn an_unverified_finding_says_so_and_others_do_not_ask() {
    let mut tap = Tap::new();
    let mut asked = 0;
    let bytes = [ok(1), body(1, true, b"x"), goaway(1, 0), rst(9, 2)].concat();
    tap.h2.data(
        0,
        Server,
        &bytes,
        true,
        &mut || {
            asked += 1;
            Auth::Unverified
        },
        &mut tap.log,
    );
    assert_eq!(asked, 2);
    assert!(has(&tap.events(), "0 reset 9 INTERNAL_ERROR by Server Unknown - verified=false"));
}

#[test]
fn a_look_ahead_accepts_only_data_that_is_right() {
    let mut tap = Tap::new();
    tap.data(Client, &get(1, "/"));
    tap.data(Server, &ok(1));
    tap.events();
    for wrong in [
        body(3, false, &[0; 50]),
        frame(kind::DATA, 0x9, 1, &[1; 50]),
        frame(kind::DATA, 0x2, 1, &[1; 50]),
        frame(kind::DATA, 0, 0x8000_0001, &[1; 50]),
        body(1, false, &[0; 16_385]),
        rst(1, 2),
    ] {
        assert_eq!(tap.h2.peek(0, Server, &wrong, &mut tap.log), None);
    }
    assert_eq!(tap.h2.peek(0, Server, &body(1, true, &[])[..8], &mut tap.log), None);
    tap.time = 5;
    assert_eq!(tap.h2.peek(5, Server, &body(1, true, &[0; 100])[..9], &mut tap.log), Some(109));
    assert_eq!(tap.h2.skippable(Server), 109);
    tap.h2.skipped(Server, 59);
    assert_eq!(tap.h2.skippable(Server), 50);
    // Delivered all the same.
    tap.data(Server, &[0; 20]);
    tap.h2.skipped(Server, 30);
    assert_eq!(tap.h2.skippable(Server), 0);
    tap.time = 6;
    tap.data(Server, &rst(1, 0));
    assert_eq!(
        tap.events(),
        ["5 end 1 / Complete AfterEnd bytes=100", "6 reset 1 NO_ERROR by Server AfterEnd / verified=true"]
    );
}

#[test]
fn skipping_too_far_loses_the_place() {
    let mut tap = Tap::new();
    tap.h2.skipped(Server, 1);
    assert!(!tap.h2.in_sync(Server));
    tap.data(Client, &[]);
    assert_eq!(tap.events(), ["0 Server LostSync"]);
}
