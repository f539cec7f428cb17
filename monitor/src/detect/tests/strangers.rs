//! Connections whose addresses are not known, and what is known of the process at their end.

use std::sync::Arc;

use super::world::{LONG, ORIGIN, World, get, lines};
use crate::model::*;

fn kestrel() -> Arc<Process> {
    Arc::new(Process { pid: 7, command: "kestrel".into(), container: None, unit: Some("shop.service".into()) })
}

#[test]
fn a_client_that_is_not_known_neither_switched_nor_gave_up() {
    let mut world = World::new();
    let h2 = world.nowhere(Protocol::H2);
    world.ask(h2, 1, &get("/a"));
    world.refuse(h2, 1);
    world.wait(1_000);
    let http1 = world.nowhere(Protocol::Http1);
    world.ask(http1, 1, &get("/a"));
    world.answer(http1, 1, 200);
    // Of this one there is nothing that could be a retry.
    world.ask(h2, 3, &get("/b"));
    world.refuse(h2, 3);
    let cases = world.cases_after(LONG);
    let unknown = "Downgrade Unknown ClientUnknown resets 1 attempts 1";
    assert_eq!(lines(&cases), [unknown, unknown]);
    assert!(cases.iter().all(|case| case.parties == Parties::default()));
    let stats = world.detector.stats();
    assert!(stats.worst.clients.is_empty() && stats.worst.servers.is_empty());
    assert_eq!((stats.servers.named().count(), stats.servers.rest().requests), (0, 3));
}

#[test]
fn identity_tells_a_retry_of_a_client_that_is_not_known() {
    let mut world = World::new();
    let h2 = world.nowhere(Protocol::H2);
    let ask = get("/a").with(IdentityKind::RequestId, 5);
    world.ask(h2, 1, &ask);
    world.refuse(h2, 1);
    world.wait(1_000);
    let http1 = world.nowhere(Protocol::Http1);
    world.ask(http1, 1, &ask);
    world.answer(http1, 1, 200);
    assert_eq!(lines(&world.cases_after(LONG)), ["Downgrade Retried Identity http/1.1 Ok resets 1 attempts 1"]);
}

#[test]
fn a_stranger_that_asks_for_the_same_may_be_anybody() {
    let run = |path: &'static str, early: bool| {
        let mut world = World::new();
        let (known, stranger) = (world.h2("10.0.0.1:1000"), world.nowhere(Protocol::Http1));
        world.ask(known, 1, &get("/a"));
        if early {
            // The refusal is heard of late: what was asked meanwhile is remembered.
            let reset = world.rst(known, 1, Side::Server, 0xd, None);
            world.wait(1_000);
            world.ask(stranger, 1, &get(path));
            world.now -= 1_000;
            world.end(known, 1, ExchangeEnd::Reset(reset), None);
            world.now += 1_000;
        } else {
            world.refuse(known, 1);
            world.wait(1_000);
            world.ask(stranger, 1, &get(path));
        }
        world.answer(stranger, 1, 200);
        lines(&world.cases_after(LONG))
    };
    let (unknown, given_up) =
        ("Downgrade Unknown ClientUnknown resets 1 attempts 1", "Downgrade GivenUp Absence resets 1 attempts 1");
    for early in [false, true] {
        assert_eq!(run("/a", early), [unknown], "{early}");
        assert_eq!(run("/b", early), [given_up], "{early}");
    }
}

#[test]
fn a_stranger_that_cannot_be_read_may_hide_anybodys_retry() {
    let mut world = World::new();
    let (known, stranger) = (world.h2("10.0.0.1:1000"), world.nowhere(Protocol::H2));
    world.ask(known, 1, &get("/a"));
    world.refuse(known, 1);
    world.say(stranger, Kind::Dark { by: None, why: DarkWhy::H2LostSync });
    assert_eq!(lines(&world.cases_after(LONG)), ["Downgrade Unknown ClientBlind resets 1 attempts 1"]);
}

#[test]
fn a_cdn_needs_no_address() {
    let mut world = World::new();
    let ask = get("/a").from(Edge::Cloudflare);
    let h2 = world.nowhere(Protocol::H2);
    world.say(h2, Kind::Process(kestrel()));
    world.ask(h2, 1, &ask);
    world.refuse(h2, 1);
    world.wait(1_000);
    // It goes on asking the same process, on another connection.
    let other = world.nowhere(Protocol::H2);
    world.say(other, Kind::Process(kestrel()));
    world.ask(other, 1, &get("/b").from(Edge::Cloudflare));
    world.answer(other, 1, 200);
    let cases = world.cases_after(LONG);
    assert_eq!(lines(&cases), ["Downgrade GivenUp Absence resets 1 attempts 1"]);
    assert_eq!(cases[0].parties.process, Some(kestrel()));
}

#[test]
fn ends_that_are_known_late_hold_from_then_on() {
    let mut world = World::new();
    let id = world.nowhere(Protocol::H2);
    world.say(id, Kind::Dark { by: None, why: DarkWhy::H2LostSync });
    let (client, server) = ("10.0.0.1:1000".parse().ok(), ORIGIN.parse().ok());
    world.say(id, Kind::Ends(Box::new(Endpoints { client, server, proxied: None })));
    world.say(id, Kind::Lit);
    world.wait(1_000);
    world.ask(id, 1, &get("/a"));
    world.refuse(id, 1);
    let cases = world.cases_after(LONG);
    assert_eq!(lines(&cases), ["Downgrade GivenUp Absence resets 1 attempts 1"], "nothing is left of the darkness");
    assert_eq!(cases[0].parties, Parties { client, server, process: None });
    assert_eq!(world.detector.stats().servers.named().count(), 1);
}

#[test]
fn what_was_lost_without_a_number_makes_nothing_unsure() {
    let mut world = World::new();
    let id = world.nowhere(Protocol::H2);
    world.ask(id, 1, &get("/a"));
    world.answer(id, 1, 200);
    world.say(id, Kind::Gap { by: Side::Server, bytes: None, at: GapWhere::Probe });
    world.close(id, CloseHow::Freed);
    world.detector.stats_mut().span = Some((Time(0), Time(1)));
    assert_eq!(world.detector.verdict(), Verdict::Inconclusive(Unsure::Lost));
}
