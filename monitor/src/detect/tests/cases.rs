//! What becomes of requests that were refused.

use super::world::{EDGE, LONG, ORIGIN, World, get, line, lines, micros, told};
use crate::limits::Limits;
use crate::model::*;

#[test]
fn curl_asks_again_over_http_1_1() {
    let mut world = World::new();
    let first = world.h2("10.0.0.1:1000");
    world.ask(first, 1, &get("/a"));
    world.wait(200);
    world.refuse(first, 1);
    world.wait(3_000);
    let second = world.http1("10.0.0.1:1001");
    world.ask(second, 1, &get("/a"));
    world.answer(second, 1, 200);
    let cases = world.cases_after(LONG);
    assert_eq!(lines(&cases), ["Downgrade Retried ProtocolSwitch http/1.1 Ok resets 1 attempts 1"]);
    assert_eq!(cases[0].retry.as_ref().map(|retry| micros(retry.delay)), Some(3_000));
    assert_eq!(cases[0].resets, [1]);
}

#[test]
fn the_result_of_a_retry_is_told() {
    for (status, said) in [(Some(404), "HttpError"), (Some(503), "HttpError"), (Some(302), "Ok"), (None, "NoResponse")]
    {
        let cases = told(|world| {
            let first = world.h2(EDGE);
            world.ask(first, 1, &get("/a"));
            world.refuse(first, 1);
            world.wait(500);
            let second = world.http1("10.0.0.1:1001");
            world.ask(second, 1, &get("/a"));
            match status {
                Some(status) => world.answer(second, 1, status),
                None => world.cut(second, 1, CloseHow::Fin(Side::Server), None),
            }
        });
        assert_eq!(cases, [format!("Downgrade Retried ProtocolSwitch http/1.1 {said} resets 1 attempts 1")]);
    }
}

#[test]
fn a_loop_of_curls_is_a_retry_for_each() {
    let cases = told(|world| {
        for _ in 0..3 {
            let first = world.h2(EDGE);
            world.ask(first, 1, &get("/a"));
            world.refuse(first, 1);
            world.wait(800);
            let second = world.http1("10.0.0.1:1001");
            world.ask(second, 1, &get("/a"));
            world.answer(second, 1, 200);
            world.wait(50_000);
        }
    });
    assert_eq!(cases, ["Downgrade Retried ProtocolSwitch http/1.1 Ok resets 1 attempts 1"; 3]);
}

#[test]
fn an_edge_that_gives_up() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        for (stream, path) in [(1, "/a"), (3, "/b")] {
            world.ask(edge, stream, &get(path));
            world.refuse(edge, stream);
            world.wait(20_000);
            world.ask(edge, stream + 10, &get("/"));
            world.answer(edge, stream + 10, 200);
        }
    });
    assert_eq!(cases, ["Downgrade GivenUp Absence resets 1 attempts 1"; 2]);
}

#[test]
fn a_reset_in_the_body_cuts_it_off_unless_asked_again() {
    let scenario = |again: bool| {
        told(|world| {
            let edge = world.h2(EDGE);
            world.ask(edge, 1, &get("/a"));
            world.begin(edge, 1, 200);
            world.reset(edge, 1, Side::Server, 2, Some(200));
            if again {
                let second = world.http1("10.0.0.1:1001");
                world.wait(100);
                world.ask(second, 1, &get("/a"));
                world.answer(second, 1, 200);
            }
        })
    };
    assert_eq!(scenario(false), ["Failure Truncated Absence resets 1 attempts 1"]);
    assert_eq!(scenario(true), ["Failure Retried Sequence http/1.1 Ok resets 1 attempts 1"], "opened at the same time");
}

#[test]
fn a_storm_of_repeats_is_one_case() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        for (n, gap) in [(0, 2_800), (1, 100), (2, 90), (3, 90)] {
            world.ask(edge, 2 * n + 1, &get("/a"));
            world.wait(350);
            world.refuse(edge, 2 * n + 1);
            world.wait(gap);
        }
    });
    assert_eq!(cases, ["Downgrade GivenUp Absence resets 4 attempts 4"]);
}

/// Asks for something so often, and is refused each time.
fn storm(world: &mut World, edge: ConnectionId, first: u32, path: &'static str, attempts: u32, gap: u64) {
    for n in 0..attempts {
        world.ask(edge, first + 2 * n, &get(path));
        world.wait(350);
        world.refuse(edge, first + 2 * n);
        world.wait(gap);
    }
}

#[test]
fn repeats_that_come_late_are_told_by_the_habit_of_their_client() {
    const SLOW: u64 = 40_000;
    let habit = |world: &mut World, edge: ConnectionId| {
        for (first, path) in [(1, "/a"), (101, "/b"), (201, "/c")] {
            storm(world, edge, first, path, 4, 100);
        }
        world.wait(3_000_000);
    };
    let alone = told(|world| {
        let edge = world.h2(EDGE);
        storm(world, edge, 1, "/d", 4, SLOW);
    });
    assert_eq!(alone, ["Downgrade GivenUp Absence resets 1 attempts 1"; 4], "who asks is not known yet");
    let known = told(|world| {
        let edge = world.h2(EDGE);
        habit(world, edge);
        // Two visitors, one after the other.
        storm(world, edge, 301, "/d", 4, SLOW);
        storm(world, edge, 401, "/d", 4, SLOW);
    });
    assert_eq!(known, ["Downgrade GivenUp Absence resets 4 attempts 4"; 5]);
    let broken = told(|world| {
        let edge = world.h2(EDGE);
        habit(world, edge);
        storm(world, edge, 301, "/d", 1, 3_000_000);
        storm(world, edge, 401, "/e", 3, SLOW);
    });
    let other = "Downgrade GivenUp Absence resets 1 attempts 1";
    assert_eq!(broken[3..], [other; 4], "one that was asked once, and three of which nobody knows");
    let elsewhere = told(|world| {
        let edge = world.h2(EDGE);
        habit(world, edge);
        for n in 0..4 {
            let other = world.h2("10.0.0.1:2000");
            storm(world, other, 1 + 2 * n, "/d", 1, SLOW);
        }
    });
    assert_eq!(elsewhere[3..], [other; 4], "a repeat that comes late comes on the same connection");
}

#[test]
fn visitors_one_after_another_are_cases_of_their_own() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        for n in 0..4 {
            world.ask(edge, 2 * n + 1, &get("/a"));
            world.wait(350);
            world.reset(edge, 2 * n + 1, Side::Server, 1, None);
            world.wait(17_000);
        }
    });
    assert_eq!(cases, ["Failure GivenUp Absence resets 1 attempts 1"; 4]);
}

#[test]
fn visitors_side_by_side_are_cases_of_their_own() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        for n in 0..6 {
            world.ask(edge, 2 * n + 1, &get("/a"));
        }
        for n in 0..6 {
            world.refuse(edge, 2 * n + 1);
            world.wait(100);
            world.ask(edge, 2 * n + 101, &get("/a"));
        }
        for n in 0..6 {
            world.refuse(edge, 2 * n + 101);
        }
    });
    assert_eq!(cases.len(), 12, "too many rather than too few");
    assert!(cases.iter().all(|case| case == "Downgrade GivenUp Absence resets 1 attempts 1"), "{cases:?}");
}

#[test]
fn an_answer_over_h2_without_identity_is_never_a_retry() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        world.ask(edge, 1, &get("/a"));
        world.refuse(edge, 1);
        world.wait(100);
        world.ask(edge, 3, &get("/a"));
        world.answer(edge, 3, 200);
    });
    assert_eq!(cases, ["Downgrade Unknown Ambiguous resets 1 attempts 1"]);
}

#[test]
fn another_request_or_another_client_or_too_late_is_no_candidate() {
    let cases = told(|world| {
        let edge = world.h2(EDGE);
        world.ask(edge, 1, &get("/a"));
        world.refuse(edge, 1);
        world.wait(100);
        let other = world.h2("10.0.0.2:1000");
        world.ask(other, 1, &get("/a"));
        world.answer(other, 1, 200);
        world.ask(edge, 3, &get("/b"));
        world.answer(edge, 3, 200);
        world.wait(2_000_001);
        world.ask(edge, 5, &get("/a"));
        world.answer(edge, 5, 200);
    });
    assert_eq!(cases, ["Downgrade GivenUp Absence resets 1 attempts 1"]);
}

#[test]
fn as_many_http_1_1_requests_as_cases_or_fewer() {
    let scenario = |retries: u64| {
        told(|world| {
            let edge = world.h2(EDGE);
            world.ask(edge, 1, &get("/a"));
            world.ask(edge, 3, &get("/a"));
            world.refuse(edge, 1);
            world.refuse(edge, 3);
            for n in 0..retries {
                world.wait(100);
                let second = world.http1(&format!("10.0.0.1:{}", 2_000 + n));
                world.ask(second, 1, &get("/a"));
                world.answer(second, 1, 200);
            }
        })
    };
    assert_eq!(scenario(0), ["Downgrade GivenUp Absence resets 1 attempts 1"; 2]);
    assert_eq!(scenario(1), ["Downgrade Unknown Ambiguous resets 1 attempts 1"; 2]);
    let both = scenario(2);
    assert!(both.iter().all(|case| case.starts_with("Downgrade Retried") && case.contains("Ok")), "{both:?}");
    assert!(both[0].contains("Sequence"), "{both:?}");
    assert!(scenario(3).iter().all(|case| case == "Downgrade Unknown Ambiguous resets 1 attempts 1"));
}

#[test]
fn when_the_capture_ends_first_nobody_knows() {
    let mut world = World::new();
    let on = world.h2(EDGE);
    world.ask(on, 1, &get("/a"));
    world.refuse(on, 1);
    assert_eq!(lines(&world.cases_after(1_000_000)), ["Downgrade Unknown InputEnded resets 1 attempts 1"]);
}

#[test]
fn a_client_that_was_blind_may_have_asked_again() {
    let scenario = |server: &str, why: DarkWhy, gap: bool| {
        told(|world| {
            let on = world.h2(EDGE);
            world.ask(on, 1, &get("/a"));
            world.refuse(on, 1);
            world.wait(100);
            let dark = world.open("10.0.0.1:1001", server);
            if gap {
                world.say(dark, Kind::Protocol(Protocol::Http1));
                world.say(dark, Kind::Gap { by: Side::Client, bytes: Some(100), at: GapWhere::Acknowledged });
            } else {
                world.say(dark, Kind::Dark { by: None, why });
            }
        })
    };
    let no_key = DarkWhy::Tls(tls_tap::Dark::NoKey);
    let blind = ["Downgrade Unknown ClientBlind resets 1 attempts 1"];
    assert_eq!(scenario(ORIGIN, no_key, false), blind);
    assert_eq!(scenario(ORIGIN, no_key, true), blind);
    let seen = ["Downgrade GivenUp Absence resets 1 attempts 1"];
    assert_eq!(scenario("10.0.0.77:5432", no_key, false), seen);
    assert_eq!(scenario(ORIGIN, DarkWhy::NotHttp, false), seen);
}

#[test]
fn a_request_read_in_part_is_told_as_far_as_that_goes() {
    let scenario = |other: &'static str| {
        told(|world| {
            let on = world.h2(EDGE);
            world.ask(on, 1, &get("/a").blurred());
            world.refuse(on, 1);
            world.wait(100);
            world.ask(on, 3, &get(other).blurred());
            world.answer(on, 3, 200);
        })
    };
    assert_eq!(scenario("/b"), ["Downgrade GivenUp Absence resets 1 attempts 1"]);
    assert_eq!(scenario("/a"), ["Downgrade Unknown RequestUnseen resets 1 attempts 1"]);
}

#[test]
fn a_late_key_brings_a_reset_whose_retry_was_seen_before() {
    let cases = told(|world| {
        let first = world.open(EDGE, ORIGIN);
        let begin = world.now;
        world.wait(5_000);
        let second = world.http1("10.0.0.1:1001");
        world.ask(second, 1, &get("/a"));
        world.answer(second, 1, 200);
        world.wait(100_000);
        let late = world.now;
        world.now = begin;
        world.say(first, Kind::Protocol(Protocol::H2));
        world.ask(first, 1, &get("/a"));
        world.wait(1_000);
        world.refuse(first, 1);
        world.now = late;
    });
    assert_eq!(cases, ["Downgrade Retried ProtocolSwitch http/1.1 Ok resets 1 attempts 1"]);
}

#[test]
fn an_edge_seen_from_both_sides_loses_one_request_once() {
    let cases = told(|world| {
        let front = world.speaking("203.0.113.5:999", "10.0.0.1:80", Protocol::Http1);
        world.ask(front, 1, &get("/a"));
        let back = world.h2(EDGE);
        world.wait(100);
        world.ask(back, 1, &get("/a"));
        world.refuse(back, 1);
        world.wait(100);
        world.cut(front, 1, CloseHow::Fin(Side::Server), None);
    });
    assert_eq!(cases, ["Downgrade GivenUp Absence resets 1 attempts 1"]);
}

#[test]
fn caps_hold_and_are_said() {
    let limits = Limits { cases: 100, candidates: 1_000, case_resets: 2, top: 10, ..Limits::default() };
    let mut world = World::with(limits);
    let on = world.h2(EDGE);
    let paths: Vec<&'static str> = (0..500).map(|n| &*format!("/{n}").leak()).collect();
    for n in 0..200_000_u32 {
        let stream = 2 * n + 1;
        world.ask(on, stream, &get(paths[n as usize % 500]));
        world.refuse(on, stream);
        world.wait(1);
    }
    let cases = world.cases_after(LONG);
    assert!(cases.iter().all(|case| case.resets.len() <= 2));
    assert!(cases.iter().any(|case| case.why == Some(Why::Cap)), "{}", line(&cases[0]));
    assert_eq!(cases.iter().map(|case| case.reset_count).sum::<u64>(), 200_000);
    let stats = world.detector.stats();
    assert!(stats.worst.paths.len() <= 10 && stats.capped["top"] > 0 && stats.capped["cases"] > 0);
}

#[test]
fn a_million_requests_leave_nothing_behind() {
    let limits = Limits { cases: 1_000, candidates: 1_000, ..Limits::default() };
    let mut world = World::with(limits);
    let on = world.h2(EDGE);
    let ids = [IdentityKind::RequestId, IdentityKind::Visitor];
    for n in 0..1_000_000_u32 {
        let ask = match n % 4 {
            0 => get("/a"),
            1 => get("/b").blurred(),
            2 => get("/a").with(ids[n as usize / 4 % 2], u64::from(n)),
            _ => get("/c").from(Edge::Fastly),
        };
        world.ask(on, 2 * n + 1, &ask);
        match n % 3 {
            0 => world.refuse(on, 2 * n + 1),
            1 => world.answer(on, 2 * n + 1, 200),
            _ => world.reset(on, 2 * n + 1, Side::Client, 8, None),
        }
        world.wait(20);
        world.out.clear();
        assert!(n % 10_000 != 0 || world.detector.core.cases.held() < 20_000);
    }
    world.wait(LONG);
    world.detector.advance(Time(world.now * 1_000), &mut world.out);
    assert!(world.detector.core.cases.is_empty() && world.detector.core.open == 0);
    assert!(world.detector.core.cases.held() <= 2_000, "{}", world.detector.core.cases.held());
}

#[test]
fn a_retry_that_the_capture_cuts_off_is_not_called_unanswered() {
    let mut world = World::new();
    let on = world.h2(EDGE);
    world.ask(on, 1, &get("/a"));
    world.refuse(on, 1);
    world.wait(500);
    let second = world.http1("10.0.0.1:1001");
    world.ask(second, 1, &get("/a"));
    world.cut(second, 1, CloseHow::InputEnded, None);
    assert_eq!(lines(&world.cases_after(100)), ["Downgrade Unknown InputEnded resets 1 attempts 1"]);
}
