use super::world::{LONG, ORIGIN, World, get};
use crate::model::*;

fn hello(alpn: &[&str]) -> Kind {
    Kind::Hello(Box::new(HelloSeen { sni: None, alpn: alpn.iter().map(|&one| one.into()).collect() }))
}

const NO_KEY: Kind = Kind::Dark { by: None, why: DarkWhy::Tls(tls_tap::Dark::NoKey) };

#[test]
fn without_keys_a_switch_to_http_1_1_is_suspected_and_no_case() {
    let suspected = |second: &[&str], keys: bool| {
        let mut world = World::new();
        let one = world.open("10.0.0.1:1", ORIGIN);
        world.say(one, hello(&["h2", "http/1.1"]));
        world.say(one, if keys { Kind::Protocol(Protocol::H2) } else { NO_KEY });
        world.wait(3_000);
        let two = world.open("10.0.0.1:2", ORIGIN);
        world.say(two, hello(second));
        world.say(two, NO_KEY);
        assert!(world.cases_after(LONG).is_empty());
        world.detector.stats().suspected
    };
    assert_eq!(suspected(&["http/1.1"], false), 1);
    assert_eq!(suspected(&["http/1.1"], true), 0);
    assert_eq!(suspected(&["h2", "http/1.1"], false), 0);
    assert_eq!(suspected(&[], false), 0);
}

#[test]
fn an_origins_own_error_is_told_from_an_edges() {
    let mut world = World::new();
    let front = world.speaking("203.0.113.5:999", "10.0.0.1:80", Protocol::Http1);
    let back = world.h2("10.0.0.1:1000");
    world.ask(front, 1, &get("/a"));
    world.ask(back, 1, &get("/a"));
    world.refuse(back, 1);
    world.answer(front, 1, 502);
    world.ask(back, 3, &get("/b"));
    world.answer(back, 3, 503);
    assert_eq!(world.detector.stats().origin_errors.iter().collect::<Vec<_>>(), [(&503, &1)]);
}

#[test]
fn a_401_before_is_evidence() {
    let mut world = World::new();
    let on = world.h2("10.0.0.1:1000");
    world.ask(on, 1, &get("/a"));
    world.say(on, Kind::Response { exchange: 1, status: Some(401), informational: false, asks_windows_auth: true });
    world.end(on, 1, ExchangeEnd::Complete, Some(401));
    world.ask(on, 3, &get("/a"));
    world.refuse(on, 3);
    let found = world.out.iter().find_map(|finding| match finding {
        Finding::Reset(reset) => Some(reset.evidence.clone()),
        _ => None,
    });
    assert_eq!(found, Some(vec![Evidence::EarlierUnauthorized, Evidence::NoResponseHeaders]));
}

#[test]
fn a_verdict_needs_sight() {
    let verdict = |scenario: &dyn Fn(&mut World)| {
        let mut world = World::new();
        scenario(&mut world);
        world.cases_after(LONG);
        world.detector.verdict()
    };
    let healthy = |world: &mut World| {
        let on = world.h2("10.0.0.1:1");
        world.ask(on, 1, &get("/"));
        world.begin(on, 1, 103);
        world.answer(on, 1, 200);
        world.close(on, CloseHow::Fin(Side::Client));
    };
    assert_eq!(verdict(&|_| {}), Verdict::Inconclusive(Unsure::Empty));
    assert_eq!(verdict(&healthy), Verdict::Nothing);
    assert_eq!(
        verdict(&|world| {
            world.open("10.0.0.1:1", ORIGIN);
        }),
        Verdict::Inconclusive(Unsure::NoHttp)
    );
    assert_eq!(
        verdict(&|world| {
            healthy(world);
            let dark = world.open("10.0.0.1:2", ORIGIN);
            world.say(dark, NO_KEY);
        }),
        Verdict::Inconclusive(Unsure::Dark)
    );
    assert_eq!(
        verdict(&|world| {
            healthy(world);
            let on = world.h2("10.0.0.1:3");
            world.say(on, Kind::Gap { by: Side::Server, bytes: Some(100), at: GapWhere::End });
        }),
        Verdict::Inconclusive(Unsure::Lost)
    );
    assert_eq!(
        verdict(&|world| {
            let on = world.h2("10.0.0.1:1");
            world.ask(on, 1, &get("/"));
            world.refuse(on, 1);
        }),
        Verdict::Found
    );
    for (lost, said) in [(2, Verdict::Inconclusive(Unsure::Lost)), (1, Verdict::Nothing)] {
        let told = verdict(&|world| {
            healthy(world);
            let stats = world.detector.stats_mut();
            (stats.packets.packets, stats.input.lost) = (100, lost);
        });
        assert_eq!(told, said, "{lost} of 100 packets");
    }
}

#[test]
fn a_dark_connection_counts_once_for_each_reason() {
    let mut world = World::new();
    for client in ["10.0.0.1:1", "10.0.0.1:2"] {
        let on = world.open(client, ORIGIN);
        for by in [Side::Client, Side::Server, Side::Client] {
            world.say(on, Kind::Dark { by: Some(by), why: DarkWhy::H2LostSync });
            world.say(on, Kind::Lit);
        }
        world.say(on, NO_KEY);
    }
    let counts: Vec<_> = world.detector.stats().connections.dark.iter().map(|(why, count)| (*why, *count)).collect();
    assert_eq!(counts, [("h2_lost_sync", 2), ("no_key", 2)]);
}

#[test]
fn a_connection_that_is_just_being_opened_is_waited_for() {
    let outcome = |settles: Option<Kind>| {
        let mut world = World::new();
        let edge = world.h2("10.0.0.1:1");
        world.ask(edge, 1, &get("/a"));
        world.refuse(edge, 1);
        let refused = world.now;
        world.wait(1_999_000);
        let other = world.open("10.0.0.1:2", ORIGIN);
        world.say(other, hello(&["h2", "http/1.1"]));
        world.wait(5_000);
        // The next is being opened by then: whatever it holds came after the window.
        let next = world.open("10.0.0.1:3", ORIGIN);
        world.say(next, hello(&["h2", "http/1.1"]));
        if let Some(kind) = settles {
            world.say(other, kind);
        }
        let cases = world.cases_after(LONG);
        (cases[0].outcome, cases[0].why, cases[0].time.since(Time(refused * 1_000)).as_millis())
    };
    assert_eq!(outcome(Some(Kind::Protocol(Protocol::H2))), (Outcome::GivenUp, None, 2_050));
    assert_eq!(outcome(Some(NO_KEY)), (Outcome::Unknown, Some(Why::ClientBlind), 2_050));
    assert_eq!(outcome(None), (Outcome::Unknown, Some(Why::ClientBlind), 4_000));
}

#[test]
fn while_the_capture_loses_packets_silence_says_nothing() {
    let outcome = |from: u64, until: u64, answered: bool| {
        let mut world = World::new();
        let on = world.h2("10.0.0.1:1");
        world.ask(on, 1, &get("/a"));
        world.refuse(on, 1);
        let at = |micros: u64| Time((world.now + micros) * 1_000);
        world.detector.lost(at(from), at(until));
        if answered {
            world.wait(3_000);
            let other = world.http1("10.0.0.1:2");
            world.ask(other, 1, &get("/a"));
            world.answer(other, 1, 200);
        }
        let cases = world.cases_after(LONG);
        (cases[0].outcome, cases[0].why)
    };
    let lost = (Outcome::Unknown, Some(Why::CaptureLoss));
    let window = 2_000_000;
    assert_eq!(outcome(1_000, 2_000, false), lost);
    assert_eq!(outcome(window - 1_000, window + 9_000, false), lost);
    assert_eq!(outcome(window + 1, window + 9_000, false), (Outcome::GivenUp, None), "after the window");
    assert_eq!(outcome(1_000, 2_000, true), (Outcome::Retried, None), "what was seen was seen");
}

#[test]
fn responses_are_counted_once_and_by_class() {
    let mut world = World::new();
    let on = world.h2("10.0.0.1:1");
    for (stream, status) in [(1, 200), (3, 204), (5, 404), (7, 500)] {
        world.ask(on, stream, &get("/"));
        world.begin(on, stream, 100);
        world.answer(on, stream, status);
    }
    let stats = world.detector.stats();
    let counts: Vec<_> = stats.responses.iter().map(|(&(_, class), &count)| (class, count)).collect();
    assert_eq!(counts, [(2, 2), (4, 1), (5, 1)]);
    assert_eq!(stats.requests[&Protocol::H2], 4);
}

#[test]
fn on_one_host_neither_side_of_an_edge_hides_a_loss() {
    let mut world = World::new();
    let fronts = [1, 2].map(|n| world.speaking(&format!("127.0.0.1:{n}"), "127.0.0.1:80", Protocol::Http1));
    let back = world.speaking("127.0.0.1:9", "127.0.0.1:8443", Protocol::H2);
    for (front, stream) in fronts.into_iter().zip([1, 3]) {
        world.ask(front, 1, &get("/a"));
        world.wait(50);
        world.ask(back, stream, &get("/a"));
        world.wait(50);
    }
    world.refuse(back, 3);
    world.cut(fronts[1], 1, CloseHow::Fin(Side::Server), None);
    world.refuse(back, 1);
    world.cut(fronts[0], 1, CloseHow::Fin(Side::Server), None);
    let cases = world.cases_after(LONG);
    assert_eq!(cases.iter().filter(|case| case.kind == CaseKind::Downgrade).count(), 2, "{cases:?}");
    assert!(cases.iter().all(|case| case.outcome == Outcome::GivenUp), "a visitor's request is no retry of an edge's");
}
