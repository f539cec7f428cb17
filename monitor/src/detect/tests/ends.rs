//! How connections and streams end.

use super::world::{EDGE, LONG, ORIGIN, World, get, lines, told};
use crate::model::*;

#[test]
fn goaway_covers_streams_above_its_last_and_those_left_incomplete() {
    let cases = told(|world| {
        let on = world.h2(EDGE);
        world.ask(on, 1, &get("/done"));
        world.ask(on, 3, &get("/cut"));
        world.ask(on, 5, &get("/above"));
        let goaway = world.goaway(on, 3, 0xd, 3);
        world.cut(on, 5, CloseHow::Fin(Side::Client), Some(goaway));
        world.ask(on, 7, &get("/later"));
        world.answer(on, 1, 200);
        world.wait(100);
        world.cut(on, 3, CloseHow::Fin(Side::Client), Some(goaway));
        world.reset(on, 7, Side::Client, 8, None);
        world.close(on, CloseHow::Fin(Side::Client));
    });
    assert_eq!(cases, ["Downgrade GivenUp Absence resets 1 attempts 1"; 3]);
}

#[test]
fn a_bare_goaway_is_a_case_and_takes_the_request_that_follows() {
    let scenario = |then: bool| {
        let mut world = World::new();
        let on = world.speaking(EDGE, ORIGIN, Protocol::H2c);
        let goaway = world.goaway(on, 0, 0xd, 0);
        if then {
            world.wait(1_400);
            world.ask(on, 1, &get("/again"));
            world.cut(on, 1, CloseHow::Rst(Side::Server), Some(goaway));
        }
        world.close(on, CloseHow::Rst(Side::Server));
        world.cases_after(LONG)
    };
    assert_eq!(lines(&scenario(false)), ["Downgrade Unknown RequestUnseen resets 1 attempts 1"]);
    let with = scenario(true);
    assert_eq!(lines(&with), ["Downgrade GivenUp Absence resets 1 attempts 1"]);
    assert_eq!(with[0].request.as_ref().and_then(|request| request.path.as_deref()), Some("/again"));
}

#[test]
fn a_retry_that_begins_before_the_refused_connection_closes_is_found() {
    let cases = told(|world| {
        let on = world.h2(EDGE);
        world.ask(on, 1, &get("/a"));
        let goaway = world.goaway(on, 1, 0xd, 1);
        world.wait(500);
        let second = world.http1("10.0.0.1:1001");
        world.ask(second, 1, &get("/a"));
        world.wait(500);
        world.cut(on, 1, CloseHow::Fin(Side::Client), Some(goaway));
        world.answer(second, 1, 200);
    });
    assert_eq!(cases, ["Downgrade Retried ProtocolSwitch http/1.1 Ok resets 1 attempts 1"]);
}

#[test]
fn who_ends_the_connection_decides() {
    use CloseHow::{Alert, Evicted, Fin, Idle, InputEnded, Reused, Rst};
    use Side::{Client, Server};
    let failures = [Fin(Server), Rst(Server), Alert(Server, 80), Alert(Server, 0), Alert(Client, 20)];
    let others = [Fin(Client), Rst(Client), Alert(Client, 0), Alert(Client, 90), Reused, Idle, Evicted, InputEnded];
    let scenario = |how| {
        let mut world = World::new();
        let on = world.h2(EDGE);
        world.ask(on, 1, &get("/a"));
        world.cut(on, 1, how, None);
        world.close(on, how);
        world.cases_after(LONG)
    };
    for how in failures {
        let cases = scenario(how);
        assert_eq!(lines(&cases), ["Failure GivenUp Absence resets 0 attempts 1"], "{how:?}");
        assert!(matches!(cases[0].ended_by, Some("fin" | "rst" | "alert")));
    }
    for how in others {
        assert!(scenario(how).is_empty(), "{how:?}");
    }
}

#[test]
fn what_is_no_failure() {
    let cases = told(|world| {
        let on = world.h2(EDGE);
        world.ask(on, 1, &get("/cancelled"));
        world.reset(on, 1, Side::Client, 8, None);
        world.ask(on, 3, &get("/early"));
        world.answer(on, 3, 200);
        world.rst(on, 3, Side::Server, 0, Some(200));
        world.ask(on, 5, &get("/grpc"));
        world.reset(on, 5, Side::Server, 8, None);
        world.wait(100);
        world.rst(on, 5, Side::Client, 8, None);
        world.ask(on, 7, &get("/lost"));
        world.end(on, 7, ExchangeEnd::Unseen, None);
    });
    assert!(cases.is_empty(), "{cases:?}");
    let cases = told(|world| {
        let on = world.h2(EDGE);
        world.ask(on, 1, &get("/early"));
        world.reset(on, 1, Side::Server, 0, None);
        world.ask(on, 3, &get("/cancelled-by-the-origin"));
        world.reset(on, 3, Side::Server, 8, None);
    });
    assert_eq!(cases, ["Failure GivenUp Absence resets 1 attempts 1"; 2]);
}
