use super::*;

#[test]
fn a_1xx_is_not_the_beginning_of_the_response() {
    let mut tap = Tap::new();
    tap.data(Client, &get(1, "/"));
    tap.data(Server, &frame(kind::HEADERS, 0x4, 1, &block(&[(":status", "103")])));
    tap.data(Server, &rst(1, 0xd));
    let events = tap.events();
    assert!(events[1].contains("Server Informational 1 :status=103"));
    assert!(events[2].contains("BeforeResponse"));
}

#[test]
fn a_1xx_of_unknown_status_is_corrected_by_what_follows() {
    let mut tap = Tap::new();
    tap.data(Client, &get(1, "/"));
    tap.data(Server, &frame(kind::HEADERS, 0x4, 1, &[0xbf]));
    tap.data(Server, &ok(1));
    tap.data(Server, &frame(kind::HEADERS, 0x5, 1, &block(&[("grpc-status", "0")])));
    let kinds: Vec<String> = tap.events()[1..].iter().map(|e| e.split(' ').nth(2).unwrap().to_owned()).collect();
    assert_eq!(kinds[kinds.len() - 3..], ["Response", "Trailers", "1"]);
}

#[test]
fn trailers_of_both_sides() {
    let mut tap = Tap::new();
    tap.data(Client, &frame(kind::HEADERS, 0x4, 1, &block(&[(":method", "POST"), (":path", "/")])));
    tap.data(Client, &[body(1, false, b"x"), frame(kind::HEADERS, 0x5, 1, &block(&[("sum", "1")]))].concat());
    tap.data(Server, &[ok(1), frame(kind::HEADERS, 0x5, 1, &block(&[("grpc-status", "0")]))].concat());
    assert_eq!(
        tap.events()[1..],
        [
            "0 Client Trailers 1 sum=1",
            "0 Server Response 1 :status=200",
            "0 Server Trailers 1 grpc-status=0",
            "0 end 1 / Complete AfterEnd bytes=0",
        ]
    );
}

#[test]
fn a_promised_stream_lives_as_one_that_was_asked_for() {
    let mut tap = Tap::new();
    tap.data(Client, &get(1, "/"));
    let promise = [&2u32.to_be_bytes()[..], &block(&[(":method", "GET"), (":path", "/pushed")])].concat();
    tap.data(Server, &frame(kind::PUSH_PROMISE, 0x4, 1, &promise));
    tap.data(Server, &[ok(2), body(2, true, b"abc")].concat());
    let events = tap.events();
    assert!(events[1].contains("Promise 2 :method=GET,:path=/pushed"));
    assert_eq!(events[3], "0 end 2 /pushed Complete AfterEnd bytes=3");
    tap.data(Server, &frame(kind::PUSH_PROMISE, 0x4, 1, &[0, 0, 0, 3, 0x82]));
    assert_eq!(tap.events(), ["0 Server StreamId"]);
}

#[test]
fn resets_find_streams_that_ended_and_do_without_those_never_seen() {
    let mut tap = Tap::new();
    tap.data(Client, &get(1, "/a"));
    tap.data(Server, &[ok(1), body(1, true, b""), rst(1, 0), rst(77, 0xd)].concat());
    tap.data(Client, &rst(1, 8));
    let events = tap.events();
    assert_eq!(
        events[3..],
        [
            "0 reset 1 NO_ERROR by Server AfterEnd /a verified=true",
            "0 reset 77 HTTP_1_1_REQUIRED by Server Unknown - verified=true",
            "0 end 77 - Reset(HTTP_1_1_REQUIRED) BeforeResponse bytes=0",
            "0 reset 1 CANCEL by Client AfterEnd /a verified=true",
        ]
    );
}

fn sized(stream: u32, length: &str) -> Vec<u8> {
    frame(kind::HEADERS, 0x4, stream, &block(&[(":status", "200"), ("content-length", length)]))
}

#[test]
fn a_client_with_the_whole_body_may_let_go_before_the_end_of_the_stream() {
    let mut tap = Tap::new();
    tap.data(Client, &[get(1, "/whole"), get(3, "/part"), get(5, "/refused"), get(7, "/odd")].concat());
    tap.data(Server, &[sized(1, "5"), body(1, false, b"ab"), body(1, false, b"cde")].concat());
    tap.data(Server, &[sized(3, "5"), body(3, false, b"abcd")].concat());
    tap.data(Server, &[sized(5, "2"), body(5, false, b"ab")].concat());
    tap.data(Server, &[sized(7, "2x"), body(7, false, b"ab")].concat());
    tap.events();
    tap.data(Client, &[rst(1, 5), rst(3, 5), rst(7, 5)].concat());
    tap.data(Server, &[rst(5, 2), body(1, true, b"")].concat());
    assert_eq!(
        tap.finish(),
        [
            "0 reset 1 STREAM_CLOSED by Client AfterEnd /whole verified=true",
            "0 end 1 /whole Complete AfterEnd bytes=5",
            "0 reset 3 STREAM_CLOSED by Client InBody /part verified=true",
            "0 end 3 /part Reset(STREAM_CLOSED) InBody bytes=4",
            "0 reset 7 STREAM_CLOSED by Client InBody /odd verified=true",
            "0 end 7 /odd Reset(STREAM_CLOSED) InBody bytes=2",
            "0 reset 5 INTERNAL_ERROR by Server InBody /refused verified=true",
            "0 end 5 /refused Reset(INTERNAL_ERROR) InBody bytes=2",
        ]
    );
}

#[test]
fn a_request_that_comes_to_light_after_its_end_takes_it_over() {
    let mut tap = Tap::new();
    tap.data(Server, &[ok(1), rst(3, 0xd)].concat());
    tap.data(Server, &body(5, false, b"not opened"));
    tap.data(Client, &[get(1, "/a"), get(3, "/b")].concat());
    tap.data(Server, &body(1, true, b"body"));
    let events = tap.finish();
    assert!(has(&events, "end 1 /a Complete AfterEnd bytes=4"));
    assert!(has(&events, "end 3 - Reset(HTTP_1_1_REQUIRED)"), "heard of before its request");
    assert!(has(&events, "end 3 /b Reset(HTTP_1_1_REQUIRED)"), "and again with it");
    assert_eq!(events.iter().filter(|event| event.contains(" end ")).count(), 3);
}

#[test]
fn goaway_with_an_error_ends_what_it_refuses_at_once() {
    let mut tap = Tap::new();
    tap.data(Client, &[get(1, "/1"), get(3, "/3"), get(5, "/5")].concat());
    tap.events();
    tap.data(Server, &goaway(1, 0xd));
    tap.data(Client, &get(7, "/7"));
    let events = tap.finish();
    assert_eq!(
        events,
        [
            "0 goaway last=1 HTTP_1_1_REQUIRED by Server debug=0 open=3",
            "0 end 3 /3 Closed(HTTP_1_1_REQUIRED) BeforeResponse bytes=0",
            "0 end 5 /5 Closed(HTTP_1_1_REQUIRED) BeforeResponse bytes=0",
            "0 Request 7 :method=GET,:scheme=https,:authority=a,:path=/7 end=true",
            "0 end 7 /7 Closed(HTTP_1_1_REQUIRED) BeforeResponse bytes=0",
            "0 end 1 /1 Closed(HTTP_1_1_REQUIRED) BeforeResponse bytes=0",
        ]
    );
}

#[test]
fn a_graceful_goaway_covers_only_what_is_above_it() {
    let mut tap = Tap::new();
    tap.data(Client, &[get(1, "/1"), get(3, "/3")].concat());
    tap.data(Server, &[goaway(i32::MAX as u32, 0), goaway(1, 0)].concat());
    tap.events();
    let events = tap.finish();
    assert_eq!(
        events,
        ["0 end 1 /1 Closed(None) BeforeResponse bytes=0", "0 end 3 /3 Closed(NO_ERROR) BeforeResponse bytes=0"]
    );
}

#[test]
fn a_clients_goaway_ends_nothing() {
    let mut tap = Tap::new();
    tap.data(Client, &[get(1, "/1"), goaway(0, 2)].concat());
    assert!(has(&tap.events(), "goaway last=0 INTERNAL_ERROR by Client"));
    assert_eq!(tap.finish(), ["0 end 1 /1 Closed(None) BeforeResponse bytes=0"]);
}

#[test]
fn a_full_ledger_lets_go_of_the_oldest() {
    let limits = Limits { streams: 4, ..Limits::default() };
    let mut tap = Tap::with(Connection::new(limits));
    tap.data(Client, PREFACE);
    for n in 0..1_000 {
        tap.data(Client, &get(2 * n + 1, "/"));
        assert!(tap.h2.open_streams() <= 4);
    }
    let events = tap.events();
    assert_eq!(events.iter().filter(|event| event.ends_with("LedgerFull")).count(), 996);
    assert!(has(&events, "end 1 / Unknown"));
    tap.data(Server, &rst(1_999, 0xd));
    assert!(has(&tap.events(), "BeforeResponse"));
}

#[test]
fn an_upgraded_connection_has_stream_1() {
    let mut tap = Tap::with(Connection::upgraded(Limits::default(), 3, "/up".to_owned()));
    tap.data(Server, &[ok(1), body(1, true, b"xy")].concat());
    tap.data(Client, &[&PREFACE[..], &get(3, "/next")].concat());
    let events = tap.finish();
    assert_eq!(events[1], "0 end 1 /up Complete AfterEnd bytes=2");
    assert!(has(&events, "Request 3"));
}

#[test]
fn a_response_that_is_cut_off_says_how_far_it_came() {
    let mut tap = Tap::new();
    tap.data(Client, &get(1, "/"));
    tap.data(Server, &[ok(1), body(1, true, &[0; 100])[..59].to_vec()].concat());
    tap.data(Client, &rst(1, 8));
    assert_eq!(tap.events().last().unwrap(), "0 end 1 / Reset(CANCEL) InBody bytes=50");
}

#[test]
fn headers_where_none_can_be_are_said() {
    let mut tap = Tap::new();
    tap.data(Client, &get(2, "/even"));
    tap.data(Client, &get(5, "/5"));
    tap.data(Client, &get(3, "/3"));
    tap.data(Server, &ok(3));
    let events = tap.events();
    assert_eq!(events[0], "0 Client StreamId");
    assert_eq!(events[2..], ["0 Client StreamId", "0 Server StreamId"]);
}
