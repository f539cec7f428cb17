//! What cannot be told is not told: neither a retry, nor that a visitor failed, nor who made an error.

use super::world::{EDGE, ORIGIN, World, get, told};
use crate::model::*;

#[test]
fn over_http_1_1_another_request_may_be_anybodys() {
    let cases = told(|world| {
        let first = world.http1(EDGE);
        world.ask(first, 1, &get("/a"));
        world.cut(first, 1, CloseHow::Rst(Side::Server), None);
        world.wait(900_000);
        let second = world.http1("10.0.0.1:1001");
        world.ask(second, 1, &get("/a"));
        world.answer(second, 1, 200);
    });
    assert_eq!(cases, ["Failure Unknown Ambiguous resets 0 attempts 1"]);
}

fn unseen(world: &mut World, on: ConnectionId, stream: u32, by: Side, code: u32) {
    let reset = world.rst(on, stream, by, code, None);
    let (end, phase) = (ExchangeEnd::Reset(reset), Phase::Unknown);
    world.say(on, Kind::Ended { exchange: stream, end, status: None, phase, known: false });
}

#[test]
fn a_refusal_whose_request_was_not_seen_is_a_case() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        unseen(world, edge, 5, Side::Server, 0xd);
        for (by, code) in [(Side::Client, 5), (Side::Client, 8), (Side::Server, 0), (Side::Server, 5)] {
            unseen(world, edge, 7, by, code);
        }
    });
    assert_eq!(cases, ["Downgrade Unknown RequestUnseen resets 1 attempts 1"]);
}

#[test]
fn a_request_that_comes_to_light_behind_its_refusal_joins_its_case() {
    let mut world = World::new();
    let edge = world.h2(EDGE);
    let reset = world.rst(edge, 5, Side::Server, 0xd, None);
    let ended = |known| {
        let (end, phase) = (ExchangeEnd::Reset(reset), Phase::BeforeResponse);
        Kind::Ended { exchange: 5, end, status: None, phase, known }
    };
    world.say(edge, ended(false));
    world.wait(1_000);
    let retry = world.http1("10.0.0.1:1001");
    world.ask(retry, 1, &get("/a"));
    world.answer(retry, 1, 200);
    world.wait(20_000);
    let now = world.now;
    world.now -= 25_000;
    world.ask(edge, 5, &get("/a"));
    world.say(edge, ended(true));
    world.now = now;
    let cases = world.cases_after(super::world::LONG);
    assert_eq!(
        super::world::lines(&cases),
        ["Downgrade Retried ProtocolSwitch http/1.1 Ok resets 1 attempts 1"],
        "one case"
    );
    assert_eq!(world.detector.stats().streams.values().sum::<u64>(), 1, "one stream");
}

#[test]
fn what_may_have_been_a_response_is_neither_given_up_nor_cut_off() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        world.ask(edge, 1, &get("/a"));
        let reset = world.rst(edge, 1, Side::Client, 5, None);
        let (end, phase) = (ExchangeEnd::Reset(reset), Phase::Unknown);
        world.say(edge, Kind::Ended { exchange: 1, end, status: None, phase, known: true });
    });
    assert_eq!(cases, ["Failure Unknown CaptureLoss resets 1 attempts 1"]);
}

#[test]
fn repeats_whose_resets_are_heard_of_late_are_one_case() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        let mut resets = Vec::new();
        for n in 0..4 {
            world.ask(edge, 2 * n + 1, &get("/a"));
            world.wait(350);
            resets.push((world.now, 2 * n + 1));
            world.wait(100);
        }
        let now = world.now;
        for (at, stream) in resets {
            world.now = at;
            world.refuse(edge, stream);
        }
        world.now = now;
    });
    assert_eq!(cases, ["Downgrade GivenUp Absence resets 4 attempts 4"]);
}

/// An error that an edge gives its visitor, and what it may have sent on meanwhile; gives the errors that are the server's own, and those of
/// which nobody can say whose they are.
fn errors(front: &str, meanwhile: impl FnOnce(&mut World)) -> (u64, u64) {
    let mut world = World::new();
    let visitor = world.speaking("203.0.113.5:999", front, Protocol::Http1);
    world.ask(visitor, 1, &get("/a"));
    world.wait(100);
    meanwhile(&mut world);
    world.wait(100);
    world.answer(visitor, 1, 502);
    let stats = world.detector.stats();
    (stats.origin_errors.values().sum(), stats.unattributed_errors.values().sum())
}

#[test]
fn who_made_an_error_is_not_said_where_it_cannot_be_seen() {
    const FRONT: &str = "10.0.0.1:80";
    let hello = |alpn: &str| Kind::Hello(Box::new(HelloSeen { sni: None, alpn: vec![alpn.into()] }));
    let dark = |world: &mut World, client: &str, alpn: &str, says_dark: bool| {
        let on = world.open(client, ORIGIN);
        world.say(on, hello(alpn));
        if says_dark {
            world.say(on, Kind::Dark { by: None, why: DarkWhy::Tls(tls_tap::Dark::NoKey) });
        }
    };
    assert_eq!(errors(FRONT, |_| {}), (1, 0));
    // The edge's own connections cannot be read, or not yet; others' have nothing to do with it, nor has what is no HTTP.
    assert_eq!(errors(FRONT, |world| dark(world, EDGE, "h2", true)), (0, 1));
    assert_eq!(errors(FRONT, |world| dark(world, EDGE, "h2", false)), (0, 1));
    assert_eq!(errors(FRONT, |world| dark(world, "10.0.0.7:1000", "h2", true)), (1, 0));
    assert_eq!(errors(FRONT, |world| dark(world, EDGE, "postgresql", true)), (1, 0));
    // Something of what it sends was lost.
    let lost = |world: &mut World| {
        let on = world.h2(EDGE);
        world.say(on, Kind::Gap { by: Side::Client, bytes: Some(90), at: GapWhere::Acknowledged });
    };
    assert_eq!(errors(FRONT, lost), (0, 1));
}

#[test]
fn an_edge_may_have_another_address_behind_it() {
    let refused = |client: &'static str, path: &'static str| {
        move |world: &mut World| {
            let on = world.h2(client);
            world.ask(on, 1, &get(path));
            world.wait(50);
            world.refuse(on, 1);
        }
    };
    assert_eq!(errors("192.0.2.80:80", refused(EDGE, "/a")), (0, 1));
    assert_eq!(errors("192.0.2.80:80", refused(EDGE, "/b")), (1, 0));
    assert_eq!(errors("192.0.2.80:80", refused("203.0.113.5:998", "/a")), (1, 0), "the visitor itself");
    // Behind a PROXY protocol header is the edge all the same.
    let proxied = |world: &mut World| {
        let on = world.h2(EDGE);
        let ends = Endpoints {
            client: EDGE.parse().ok(),
            server: ORIGIN.parse().ok(),
            proxied: "203.0.113.5:999".parse().ok(),
        };
        world.say(on, Kind::Ends(Box::new(ends)));
        world.ask(on, 1, &get("/a"));
        world.wait(50);
        world.refuse(on, 1);
    };
    assert_eq!(errors("10.0.0.1:80", proxied), (0, 0), "told as what the origin refused");
}
