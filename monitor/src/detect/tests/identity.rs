//! Who asks: identity, CDNs and proxies.

use super::world::{EDGE, LONG, ORIGIN, World, get, lines, told};
use crate::model::*;

#[test]
fn identity_tells_a_retry_over_h2_from_other_visitors() {
    let ask = |n| get("/a").with(IdentityKind::RequestId, n);
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        world.ask(edge, 1, &ask(1));
        world.ask(edge, 3, &ask(2));
        world.refuse(edge, 1);
        world.refuse(edge, 3);
        world.wait(100);
        world.ask(edge, 5, &ask(3));
        world.answer(edge, 5, 200);
        let elsewhere = world.h2("10.0.0.2:1000");
        world.ask(elsewhere, 1, &ask(2));
        world.refuse(elsewhere, 1);
        world.wait(900_000);
        world.ask(elsewhere, 3, &ask(2));
        world.answer(elsewhere, 3, 200);
    });
    assert_eq!(
        cases,
        ["Downgrade GivenUp Absence resets 1 attempts 1", "Downgrade Retried Identity h2 Ok resets 2 attempts 2"]
    );
}

#[test]
fn an_identity_that_others_have_is_none() {
    let ask = || get("/a").with(IdentityKind::Visitor, 7);
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        world.ask(edge, 1, &ask());
        world.answer(edge, 1, 200);
        world.ask(edge, 3, &ask());
        world.refuse(edge, 3);
        world.wait(100);
        world.ask(edge, 5, &ask());
        world.answer(edge, 5, 200);
    });
    assert_eq!(cases, ["Downgrade Unknown Ambiguous resets 1 attempts 1"]);
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        world.ask(edge, 1, &ask());
        world.refuse(edge, 1);
        world.wait(100);
        for stream in [3, 5] {
            world.ask(edge, stream, &ask());
            world.answer(edge, stream, 200);
        }
    });
    assert_eq!(cases, ["Downgrade Unknown Ambiguous resets 1 attempts 1"]);
}

#[test]
fn a_cdn_is_one_client_and_may_ask_elsewhere() {
    let ask = |path, ray| get(path).from(Edge::Cloudflare).with(IdentityKind::RayId, ray);
    let scenario = |goes_on: bool, again: bool| {
        told(|world| {
            let edge = world.h2("104.16.0.1:1000");
            world.ask(edge, 1, &ask("/a", 1));
            world.refuse(edge, 1);
            world.wait(1_000);
            let other = world.http1("104.16.0.2:1000");
            if goes_on {
                world.ask(other, 1, &ask("/b", 2));
                world.answer(other, 1, 200);
            }
            if again {
                world.ask(other, 2, &ask("/a", 1));
                world.answer(other, 2, 200);
            }
        })
    };
    assert_eq!(scenario(false, false), ["Downgrade Unknown OtherOrigin resets 1 attempts 1"]);
    assert_eq!(scenario(true, false), ["Downgrade GivenUp Absence resets 1 attempts 1"]);
    assert_eq!(scenario(true, true), ["Downgrade Retried Identity http/1.1 Ok resets 1 attempts 1"]);
}

#[test]
fn a_cdn_is_known_by_its_published_addresses_too() {
    let cases = told(|world| {
        let edge = world.h2("104.16.0.1:1000");
        world.ask(edge, 1, &get("/a").from(Edge::Proxy));
        world.refuse(edge, 1);
    });
    assert_eq!(cases, ["Downgrade Unknown OtherOrigin resets 1 attempts 1"]);
}

#[test]
fn a_proxy_protocol_header_names_the_client() {
    let mut world = World::new();
    let open = |world: &mut World, id: u64, port: u16, protocol: Protocol, proxied: &str| {
        let client = std::net::SocketAddr::from(([10, 0, 0, 1], port));
        let ends = Endpoints { client: Some(client), server: ORIGIN.parse().ok(), proxied: proxied.parse().ok() };
        let id = ConnectionId(100 + id);
        world.say(id, Kind::Opened { ends: Box::new(ends), joined: false, plaintext: false });
        world.say(id, Kind::Protocol(protocol));
        id
    };
    let on = open(&mut world, 1, 1, Protocol::H2, "192.0.2.1:1");
    world.ask(on, 1, &get("/a"));
    world.refuse(on, 1);
    world.wait(100);
    let other = open(&mut world, 2, 2, Protocol::Http1, "192.0.2.2:1");
    world.ask(other, 1, &get("/a"));
    world.answer(other, 1, 200);
    assert_eq!(lines(&world.cases_after(LONG)), ["Downgrade GivenUp Absence resets 1 attempts 1"]);
}
