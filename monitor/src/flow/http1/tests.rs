use std::sync::Arc;

use super::*;
use crate::flow::Events;
use crate::flow::voice::Voice;
use crate::limits::Limits;
use crate::model::{CloseHow, ConnectionId, Event};

/// Runs a script of (side, bytes) and returns what was told, in short.
struct Run {
    http1: Http1,
    voice: Voice,
    out: Events,
    limits: Arc<Limits>,
}

impl Run {
    fn new(joined: bool) -> Self {
        Self {
            http1: Http1::new(false, joined),
            voice: Voice::new(ConnectionId(0)),
            out: Events::new(),
            limits: Arc::new(Limits::default()),
        }
    }

    fn with<T>(&mut self, run: impl FnOnce(&mut Http1, &mut Teller<'_>) -> T) -> T {
        let mut teller = Teller {
            voice: &mut self.voice,
            out: &mut self.out,
            limits: &self.limits,
            ending: CloseHow::Fin(Side::Server),
        };
        run(&mut self.http1, &mut teller)
    }

    fn client(&mut self, bytes: &str) -> Turn {
        self.with(|http1, teller| http1.data(Time(0), Side::Client, bytes.as_bytes(), teller))
    }

    fn server(&mut self, bytes: &str) -> Turn {
        self.with(|http1, teller| http1.data(Time(0), Side::Server, bytes.as_bytes(), teller))
    }

    fn finish(&mut self) {
        self.with(|http1, teller| http1.finish(Time(0), true, teller));
    }

    fn told(&mut self) -> Vec<String> {
        self.out.drain().map(|(_, event)| short(&event)).collect()
    }
}

fn short(event: &Event) -> String {
    match &event.kind {
        Kind::Request(exchange) => {
            format!("{} {}", exchange.id, exchange.request.path.as_deref().unwrap_or_default())
        }
        Kind::Response { exchange, status, informational, .. } => {
            format!("{exchange} {}{}", status.unwrap_or(0), if *informational { " info" } else { "" })
        }
        Kind::Ended { exchange, end, known, .. } => {
            let end = match end {
                ExchangeEnd::Complete => "complete",
                ExchangeEnd::Reset(_) => "reset",
                ExchangeEnd::Closed { .. } => "closed",
                ExchangeEnd::Unseen => "unseen",
            };
            format!("{exchange} {end}{}", if *known { "" } else { " unknown" })
        }
        Kind::Anomaly { what, .. } => (*what).to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn pipelined_responses_belong_to_requests_in_order() {
    let mut run = Run::new(false);
    run.client("GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\nPOST /c HTTP/1.1\r\nContent-Le");
    run.client("ngth: 4\r\n\r\nbodyGET /d HTTP/1.1\r\n\r\n");
    run.server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    run.server("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab");
    run.server("c\r\n0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    let told = run.told();
    let requests = ["1 /a", "2 /b", "3 /c", "4 /d"];
    let responses =
        ["1 200", "1 complete", "2 200", "2 complete", "3 100 info", "3 201", "3 complete", "4 204", "4 complete"];
    assert_eq!(told, [&requests[..], &responses[..]].concat());
}

#[test]
fn an_end_of_the_connection_ends_a_body_without_a_length_only() {
    let mut run = Run::new(false);
    run.client("GET /a HTTP/1.1\r\n\r\n");
    run.server("HTTP/1.1 200 OK\r\n\r\nsome");
    run.finish();
    assert_eq!(run.told(), ["1 /a", "1 200", "1 complete"]);

    let mut run = Run::new(false);
    run.client("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
    run.server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome");
    run.finish();
    assert_eq!(run.told(), ["1 /a", "2 /b", "1 200", "1 closed", "2 closed"]);
}

#[test]
fn upgrades() {
    let mut run = Run::new(false);
    run.client("GET /a HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n");
    let turn = run.server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\0");
    let Turn::H2c(exchange, used) = turn else { panic!("{turn:?}") };
    assert_eq!((exchange.id, used), (1, 50));
    assert_eq!(run.told(), ["1 /a", "1 101 info"], "stream 1 ends it");

    let mut run = Run::new(false);
    run.client("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    assert!(matches!(run.server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), Turn::Upgraded));
    assert_eq!(run.told(), ["1 /ws", "1 101 info", "1 complete"]);

    let mut run = Run::new(false);
    run.client("CONNECT a:443 HTTP/1.1\r\n\r\n");
    assert!(matches!(run.server("HTTP/1.1 200 OK\r\n\r\nab"), Turn::Connected(19)));
}

#[test]
fn a_loss_inside_a_body_is_none_and_elsewhere_the_next_message_is_found() {
    let mut run = Run::new(false);
    run.client("GET /a HTTP/1.1\r\n\r\n");
    run.server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nso");
    run.with(|http1, teller| http1.gap(Time(0), Side::Server, 5, 5, teller));
    run.server("abc");
    assert_eq!(run.told(), ["1 /a", "1 200", "1 complete"]);

    run.client("GET /b HTTP/1.1\r\n\r\n");
    run.with(|http1, teller| http1.gap(Time(0), Side::Server, 5, 5, teller));
    run.server("rest of a body");
    run.client("GET /c HTTP/1.1\r\n\r\n");
    run.server("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(run.told(), ["2 /b", "3 /c", "2 unseen", "3 500", "3 complete"]);
}

#[test]
fn a_loss_in_front_of_the_only_answer_leaves_it_to_its_request() {
    let mut run = Run::new(false);
    run.client("GET /a HTTP/1.1\r\n\r\n");
    run.with(|http1, teller| http1.gap(Time(0), Side::Server, 5, 5, teller));
    run.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(run.told(), ["1 /a", "1 200", "1 complete"]);

    run.client("GET /b HTTP/1.1\r\n\r\n");
    run.with(|http1, teller| http1.gap(Time(0), Side::Server, 5, 5, teller));
    run.finish();
    assert_eq!(run.told(), ["2 /b", "2 unseen"]);
}

#[test]
fn a_response_without_its_request_has_a_name_of_its_own() {
    let mut run = Run::new(true);
    run.server("tail of a body");
    run.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(run.told(), ["1 200", "1 complete unknown"]);
}

#[test]
fn hostile_heads_end_in_words_not_in_memory() {
    let mut run = Run::new(false);
    for _ in 0..100 {
        run.client(&"x".repeat(1_000));
    }
    assert_eq!(run.told(), ["http1_head_too_long"]);
    assert!(run.http1.memory() < 64 << 10);
    let mut run = Run::new(false);
    run.client("\x01\x02\r\n\r\n");
    let told = run.told();
    assert_eq!(told.first().map(String::as_str), Some("http1_head"));
    let mut run = Run::new(false);
    for _ in 0..1_000 {
        run.client("GET / HTTP/1.1\r\n\r\n");
    }
    assert_eq!(run.http1.waiting.len(), PIPELINED);
}

#[test]
fn windows_authentication_is_recognised() {
    assert!(is_windows_auth(b"Negotiate"));
    assert!(is_windows_auth(b"Basic realm=x, NTLM"));
    assert!(!is_windows_auth(b"Basic realm=\"ntlm\""));
}
